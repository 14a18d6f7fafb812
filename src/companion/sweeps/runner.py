"""Run a preset: take up what is there, compute the rest, close with a table and its manifest."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from companion._checkout import checkout
from companion.sweeps import backends, manifest
from companion.sweeps.experiment import Experiment, Params, Plan, Shard, plain, plan
from companion.sweeps.store import Result, Store, StoreError, write_parquet

__all__ = ["SweepInterrupted", "assemble", "backend", "finished_rows", "run", "run_folder"]


class SweepInterrupted(KeyboardInterrupt):
    """A run was stopped from the keyboard; the message says what is done."""


def run(
    experiment: Experiment,
    preset: str = "quick",
    *,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
    jobs: int = 1,
    scheduler: str | None = None,
    folder: Path | None = None,
) -> pd.DataFrame:
    """Run every shard of a preset that is not in ``folder`` yet.

    Parameters
    ----------
    seed : int
        Root seed, non-negative; replicate ``r`` of cell ``i`` gets
        ``SeedSequence(seed, spawn_key=(i, r))``.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    progress : bool
        Show a bar on standard error once the run takes more than two seconds.
    jobs : int
        Processes on this machine; -1 for one per core.
    scheduler : str, optional
        Address of a running Dask scheduler, such as ``tcp://127.0.0.1:8786``; its workers then
        compute, and ``jobs`` must be 1.
    folder : Path, optional
        Folder of the run, see `run_folder`: shards, and at the end ``ID.parquet`` and ``ID.json``.
        Default: nothing is written.

    Returns
    -------
    DataFrame
        Rows in grid order, scalar parameters in the leading columns.

    Raises
    ------
    SweepInterrupted
        On Ctrl-C; everything but the shards in flight is kept.
    StoreError
        If ``folder`` cannot be written; what is there stays valid.
    WorkersLost
        If the cluster goes away; everything but the shards in flight is kept.
    ValueError
        For a wrong argument, naming it.
    """
    started = time.perf_counter()
    plan(experiment, preset, seed, "cpu")  # wrong arguments before anything is started
    with backend(experiment, device, jobs, scheduler) as engine:
        todo = plan(experiment, preset, seed, engine.device)
        store = Store(Path(folder) / "shards") if folder is not None else None
        done = store.load(todo) if store else {}
        complete = len(done) == len(todo.shards)
        try:
            with closing(_compute(todo, engine, store, done, progress)) as pairs:
                for shard, result in pairs:
                    done[shard.index] = store.put(todo, shard, result) if store else result
        except KeyboardInterrupt:
            raise SweepInterrupted(_standing(todo, done, store)) from None
        except (StoreError, backends.WorkersLost) as error:
            raise type(error)(f"{error} {_standing(todo, done, store)}") from error
    table = assemble(todo, done)
    if folder is not None and not (complete and manifest.still_true(Path(folder), todo, table)):
        _close(Path(folder), todo, done, table, engine.name, time.perf_counter() - started)
    return table


def run_folder(
    experiment: str, preset: str = "quick", seed: int = 0, *, out: Path | None = None
) -> Path:
    """Folder of a run: ``OUT/ID/PRESET-seedSEED``, by default in ``build/runs`` of the checkout."""
    base = out if out is not None else (checkout() or Path.cwd()) / "build" / "runs"
    return Path(base) / experiment / f"{preset}-seed{seed}"


def backend(
    experiment: Experiment, device: str, jobs: int = 1, scheduler: str | None = None
) -> AbstractContextManager[backends.Backend]:
    """Choose what computes the shards."""
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs == 0 or jobs < -1:
        raise ValueError(f"jobs must be a positive number of processes, or -1, got {jobs!r}.")
    if scheduler is not None:
        if jobs != 1:
            raise ValueError(f"jobs={jobs} and a scheduler were given; name one of the two.")
        return backends.dask(device, scheduler, experiment)
    return backends.serial(device) if jobs == 1 else backends.joblib(device, jobs)


def assemble(plan: Plan, results: dict[int, Result]) -> pd.DataFrame:
    """Table of a run from its shards, in the order of the grid."""
    grid = plan.experiment.grid(plan.preset)
    cells = [
        finished_rows(plan.experiment, params, [results[s.index].frame for s in shards])
        for params, shards in zip(grid, plan.cells(), strict=True)
    ]
    return pd.concat(cells, ignore_index=True)


def finished_rows(
    experiment: Experiment, params: Params, replicates: list[pd.DataFrame]
) -> pd.DataFrame:
    """Rows of one cell: replicates pooled, finished, behind the scalar parameters."""
    frame = replicates[0]
    if experiment.pool is not None:
        numbered = [part.assign(replicate=i) for i, part in enumerate(replicates)]
        frame = experiment.pool(pd.concat(numbered, ignore_index=True))
    if experiment.finish is not None:
        frame = experiment.finish(frame, params)
    lead = {k: v for k, v in params.items() if np.isscalar(v) and k not in frame.columns}
    return frame.assign(**lead)[[*lead, *frame.columns]]


def _compute(
    plan: Plan,
    engine: backends.Backend,
    store: Store | None,
    done: dict[int, Result],
    progress: bool,
) -> Generator[tuple[Shard, Result], None, None]:
    """Compute what is missing; a shard that another runner delivers meanwhile is taken over."""

    def missing() -> Iterator[Shard]:
        for shard in plan.shards:
            if shard.index in done:
                continue
            theirs = store.find(plan, shard) if store else None
            if theirs is None:
                yield shard
            else:
                done[shard.index] = theirs

    bar = _bar(plan, len(done)) if progress else None
    try:
        with closing(engine.compute(plan.experiment, missing(), plan.device)) as pairs:
            for pair in pairs:
                yield pair
                if bar is not None:
                    bar.update(len(done) - bar.n)
    finally:
        if bar is not None:
            bar.close()


def _bar(plan: Plan, done: int) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=len(plan.shards), initial=done, desc=plan.experiment.id, unit="shard", delay=2
    )


def _standing(plan: Plan, done: dict[int, Result], store: Store | None) -> str:
    if store:  # what was written last may not have been noted any more
        done = {s.index: r for s in plan.shards if (r := done.get(s.index) or store.find(plan, s))}
    count = f"{len(done)} of {len(plan.shards)} shards of {plan.experiment.id} are done"
    return f"{count}; the same command resumes." if store else f"{count}; nothing was kept."


def _close(
    folder: Path,
    plan: Plan,
    results: dict[int, Result],
    table: pd.DataFrame,
    device_name: str,
    elapsed: float,
) -> None:
    path = write_parquet(table, folder / f"{plan.experiment.id}.parquet")
    note = manifest.make(plan, results, path, device_name, elapsed)
    manifest.write(plain(note), folder / f"{plan.experiment.id}.json")
