"""Command line: ``companion --version | list | run EXPERIMENT``.

Every failure that a user can cause ends in one line on standard error and exit status 1 or 2,
never in a traceback.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from companion import __version__
from companion._optional import MissingExtraError, require

if TYPE_CHECKING:
    import pandas as pd

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

    @group.command("run")
    @click.argument("experiment")
    @click.option("--preset", default="quick", show_default=True, metavar="quick|full")
    @click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda")
    @click.option("--seed", default=0, show_default=True, type=int)
    @click.option(
        "--out",
        type=click.Path(path_type=Path),
        help="Folder for EXPERIMENT.PRESET.parquet; default: print the table only.",
    )
    def run_experiment(
        experiment: str, preset: str, device: str, seed: int, out: Path | None
    ) -> None:
        """Run EXPERIMENT and print its table."""
        from companion import sweeps
        from companion.papers import find_experiment
        from companion.simulate import resolve_device

        # Everything that can be wrong is found before the first number is computed.
        found = find_experiment(experiment)
        found.grid(preset)
        resolve_device(device)
        if out is not None:
            _check_writable(out)
        frame = sweeps.run(found, preset, seed=seed, device=device, progress=True)
        click.echo(_table(frame))
        if out is not None:
            path = sweeps.write_parquet(frame, out / f"{found.id}.{preset}.parquet")
            click.echo(f"wrote {path} ({len(frame)} rows)")

    @group.command("claims")
    @click.option("--paper", help="Only this paper, such as log-gaussian.")
    @click.option("--claim", "names", multiple=True, help="Only this claim, such as LG-05.")
    @click.option("--preset", default="quick", show_default=True, metavar="quick|full")
    @click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda")
    @click.option("--jobs", default=1, show_default=True, type=int, help="Processes.")
    @click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of text.")
    def test_claims(
        paper: str | None,
        names: tuple[str, ...],
        preset: str,
        device: str,
        jobs: int,
        as_json: bool,
    ) -> None:
        """Test claims; exit 1 if a verdict differs from the one on record, either way."""
        from companion.papers import ledger, select_claims
        from companion.simulate import resolve_device

        resolve_device(device)
        chosen = select_claims(paper, names)
        records = ledger.examine(chosen, preset, device, jobs=jobs, progress=True)
        click.echo(
            json.dumps(records, indent=2, ensure_ascii=False)
            if as_json
            else ledger.as_text(records)
        )
        if not all(row["agrees"] for row in records):
            raise SystemExit(1)

    return group


def _check_writable(folder: Path) -> None:
    """Refuse a folder that cannot take the result, before the computation starts.

    Permissions do not tell (read-only file systems, the superuser), so a file is really made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"--out {str(folder)!r} cannot be written ({error.strerror}); choose another folder."
        ) from error


def _table(frame: pd.DataFrame) -> str:
    return str(frame.to_string(index=False, float_format=lambda x: f"{x:.5g}", na_rep="–"))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    main()
