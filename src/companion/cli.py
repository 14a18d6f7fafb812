"""Command line: ``companion --version | list | run | publish | claims | data list | data fetch``.

Every failure that a user can cause ends in one line on standard error and exit status 1 or 2,
never in a traceback; a run stopped by Ctrl-C says how far it came and ends with status 130.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from companion import __version__
from companion._optional import MissingExtraError, require

if TYPE_CHECKING:
    import pandas as pd

    from companion.sweeps import Experiment

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the ``companion`` command.

    Parameters
    ----------
    arguments : list of str, optional
        Default ``sys.argv[1:]``.
    """
    try:
        require("click", extra="cli", purpose="use the command line")
        _group()(args=arguments, prog_name="companion")
    except (MissingExtraError, OSError, ValueError, TypeError) as error:
        print(f"companion: {_one_line(error)}", file=sys.stderr)
        raise SystemExit(1) from None


def _group() -> Any:
    """Build the commands; click is optional, so they cannot be made at import."""
    import click

    @click.group(context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(__version__, prog_name="companion")
    def group() -> None:
        """How strongly should a residual branch speak? Experiments on the command line."""

    @group.command("list")
    def list_experiments() -> None:
        """List the experiments."""
        from companion.papers import PAPERS

        for key, paper in PAPERS.items():
            click.echo(f"{key}")
            for experiment in paper.EXPERIMENTS:
                click.echo(f"  {experiment.id:<20} {experiment.title}")

    _add_run(group)
    _add_publish(group)
    _add_claims(group)
    _add_data(group)
    return group


def _add_run(group: Any) -> None:
    import click

    @group.command("run")
    @click.argument("experiment")
    @click.option("--preset", default="quick", show_default=True, metavar="quick|full")
    @click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda")
    @click.option("--seed", default=0, show_default=True, type=int)
    @click.option(
        "--out",
        type=click.Path(path_type=Path),
        help="Folder of the runs; default build/runs of the checkout.",
    )
    @click.option(
        "--jobs", default=1, show_default=True, help="Processes on this machine; -1: one per core."
    )
    @click.option("--scheduler", help="Address of a running Dask scheduler, tcp://HOST:PORT.")
    @click.option(
        "--verify", is_flag=True, help="Recompute a random sample of a finished run and compare."
    )
    @click.option(
        "--sample", default=5, show_default=True, help="Shards recomputed by --verify.", type=int
    )
    def command(experiment: str, verify: bool, sample: int, **options: Any) -> None:
        """Run EXPERIMENT, or take up where it was stopped, and print its table."""
        from companion import sweeps
        from companion.papers import find_experiment

        with warnings.catch_warnings():
            warnings.simplefilter("always", sweeps.ShardWarning)
            warnings.showwarning = _show_warning
            found = find_experiment(experiment)
            if verify:
                _verify(found, sample, **options)
            else:
                _run(found, **options)


def _add_publish(group: Any) -> None:
    import click

    @group.command("publish")
    @click.argument("experiment")
    @click.option("--seed", default=0, show_default=True, type=int)
    @click.option(
        "--out", type=click.Path(path_type=Path), help="Folder of the runs, as for `run`."
    )
    def command(experiment: str, seed: int, out: Path | None) -> None:
        """Copy the finished full run of EXPERIMENT to results/ of the checkout."""
        from companion import results, sweeps

        for path in results.publish(
            experiment, sweeps.run_folder(experiment, "full", seed, out=out)
        ):
            click.echo(f"wrote {path} ({path.stat().st_size} bytes)")


def _add_claims(group: Any) -> None:
    import click

    @group.command("claims")
    @click.option("--paper", help="Only this paper, such as log-gaussian.")
    @click.option("--claim", "names", multiple=True, help="Only this claim, such as LG-05.")
    @click.option("--preset", default="quick", show_default=True, metavar="quick|full")
    @click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda")
    @click.option("--jobs", default=1, show_default=True, type=int, help="Processes.")
    @click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of text.")
    def command(paper: str | None, names: tuple[str, ...], as_json: bool, **options: Any) -> None:
        """Test claims; exit 1 if a verdict differs from the one on record, either way."""
        from companion.papers import ledger, select_claims
        from companion.simulate import resolve_device

        resolve_device(options["device"])
        records = ledger.examine(select_claims(paper, names), progress=True, **options)
        click.echo(ledger.as_json(records) if as_json else ledger.as_text(records))
        if not all(row["agrees"] for row in records):
            raise SystemExit(1)


def _add_data(group: Any) -> None:
    import click

    data = click.Group("data", help="Data sets of the training experiments.")
    group.add_command(data)

    @data.command("list")
    def list_data() -> None:
        """List the data sets: name, size, whether they are here, and where."""
        from companion import datasets

        click.echo(f"{datasets.EMBEDDED:<10} {'-':>9}  present  comes with scikit-learn")
        for name, source in datasets.SOURCES.items():
            state = "present" if datasets.present(name) else "absent"
            where = datasets.cache_folder() if state == "present" else source.addresses[0]
            click.echo(f"{name:<10} {source.size / 1e6:>6.1f} MB  {state:<7}  {where}")

    @data.command("fetch")
    @click.argument("name")
    def fetch_data(name: str) -> None:
        """Fetch the data set NAME, check it and keep it."""
        from companion import datasets

        found = datasets.load(name)
        where = "in scikit-learn" if name == datasets.EMBEDDED else f"in {datasets.cache_folder()}"
        counts = f"{len(found.y_train)} examples for training, {len(found.y_test)} for testing"
        click.echo(f"{name}: {counts}, {found.classes} classes; {where}")


def _run(
    experiment: Experiment,
    *,
    preset: str,
    device: str,
    seed: int,
    out: Path | None,
    jobs: int,
    scheduler: str | None,
) -> None:
    from companion import sweeps

    folder = sweeps.run_folder(experiment.id, preset, seed, out=out)
    try:
        frame = sweeps.run(
            experiment,
            preset,
            seed=seed,
            device=device,
            progress=True,
            jobs=jobs,
            scheduler=scheduler,
            folder=folder,
        )
    except sweeps.SweepInterrupted as stopped:
        print(f"companion: stopped; {stopped}", file=sys.stderr)
        raise SystemExit(130) from None
    print(_table(frame))
    print(f"wrote {folder / experiment.id}.parquet ({len(frame)} rows) and its manifest")


def _verify(
    experiment: Experiment,
    sample: int,
    *,
    preset: str,
    device: str,
    seed: int,
    out: Path | None,
    **_unused: Any,
) -> None:
    """Compare with the run in its folder, or else with the published one."""
    from companion import results, sweeps

    folder = sweeps.run_folder(experiment.id, preset, seed, out=out)
    if (folder / f"{experiment.id}.json").is_file():
        table, manifest = results.read(folder, experiment.id)
    elif out is None and experiment.id in results.published():
        table, manifest = results.load(experiment.id)
    else:
        manifest = {}
    if (manifest.get("preset"), manifest.get("seed")) != (preset, seed):
        raise ValueError(
            f"no finished run of {experiment.id} with preset {preset!r} and seed {seed} is in "
            f"{str(folder)!r} or published; run it first, without --verify."
        )
    found = sweeps.verify(experiment, table, manifest, sample=sample, device=device)
    print(f"{experiment.id}: {found}")
    if not found.passed:
        raise SystemExit(1)


def _show_warning(message: Warning | str, *_args: Any, **_kwargs: Any) -> None:
    print(f"companion: warning: {_one_line(message)}", file=sys.stderr)


def _table(frame: pd.DataFrame) -> str:
    return str(frame.to_string(index=False, float_format=lambda x: f"{x:.5g}", na_rep="–"))


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


if __name__ == "__main__":
    main()
