"""Where shards are computed: in this process, on all cores, or on a Dask cluster.

Whatever computes them, only the runner writes: workers hand back a few kilobytes of moments, so
they need no common file system, and no order of arrival can change the result.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np
import pandas as pd

from companion._optional import require
from companion.sweeps.code import code_hash
from companion.sweeps.experiment import Cell, Experiment, Params, Shard, device_kind
from companion.sweeps.store import Result

__all__ = ["Backend", "WorkersLost", "dask", "joblib", "serial", "versions"]

#: How long to wait for the answer of a scheduler.
SCHEDULER_SECONDS = 10.0

_LIBRARIES = ("numpy", "scipy", "pandas", "pyarrow", "torch")


class WorkersLost(OSError):
    """What computes the shards is gone; the message says what is known."""


@dataclass(frozen=True)
class Backend:
    """Something that computes shards.

    ``compute(experiment, shards, device)`` yields them with their results, in any order; it takes
    them one by one as it has room. ``device`` is the kind of its devices, ``name`` their model.
    """

    compute: Callable[
        [Experiment, Iterable[Shard], str], Generator[tuple[Shard, Result], None, None]
    ]
    device: str
    name: str


@contextmanager
def serial(device: str) -> Iterator[Backend]:
    """Compute one after the other, here."""

    def compute(
        experiment: Experiment, shards: Iterable[Shard], kind: str
    ) -> Generator[tuple[Shard, Result], None, None]:
        for shard in shards:
            yield shard, _work(experiment.cell, shard.params, shard.seed, kind)

    kind = device_kind(device)
    yield Backend(compute, kind, device_name(kind))


@contextmanager
def joblib(device: str, jobs: int) -> Iterator[Backend]:
    """Compute on ``jobs`` processes of this machine."""
    require("joblib", extra="evidence", purpose="run on several cores")
    from joblib import Parallel, delayed

    def compute(
        experiment: Experiment, shards: Iterable[Shard], kind: str
    ) -> Generator[tuple[Shard, Result], None, None]:
        pool = Parallel(jobs, return_as="generator_unordered", pre_dispatch=jobs + 1, batch_size=1)
        tasks = (delayed(_numbered)(s, experiment.cell, s.params, s.seed, kind) for s in shards)
        try:
            with closing(pool(tasks)) as results:
                yield from results
        except BrokenExecutor:
            raise WorkersLost(
                "a worker process was killed, perhaps for want of memory; try fewer jobs."
            ) from None

    kind = device_kind(device)
    with warnings.catch_warnings():  # a stopped run leaves tasks undone, as it should
        warnings.filterwarnings("ignore", category=UserWarning, module=r"joblib\.parallel")
        yield Backend(compute, kind, device_name(kind))


@contextmanager
def dask(device: str, scheduler: str, experiment: Experiment) -> Iterator[Backend]:
    """Compute on the workers of a running Dask scheduler.

    Raises
    ------
    ValueError
        If the scheduler does not answer, has no workers, or they differ in code or device.
    """
    require("distributed", extra="cluster", purpose="run on a Dask cluster")
    from distributed import Client, KilledWorker, as_completed

    if experiment.cell.__module__ == "__main__":
        raise ValueError(
            f"the cell of {experiment.id} is defined in the script that is run, which workers "
            "cannot import; move it to a module."
        )
    try:
        client = Client(scheduler, timeout=SCHEDULER_SECONDS, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(
            f"no Dask scheduler answers at {scheduler!r} ({' '.join(str(error).split())}); start "
            "one with `dask scheduler` and workers with `dask worker ADDRESS`."
        ) from None

    def compute(
        experiment: Experiment, shards: Iterable[Shard], kind: str
    ) -> Generator[tuple[Shard, Result], None, None]:
        futures = {
            client.submit(_work, experiment.cell, s.params, s.seed, kind, pure=False): s
            for s in shards
        }
        finished = as_completed(futures, loop=client.loop, with_results=True)
        try:
            for future, result in finished:
                if isinstance(result, BaseException):
                    raise result
                yield futures[future], result
        except (KilledWorker, CancelledError) as error:
            raise WorkersLost(
                f"the Dask cluster at {scheduler!r} was lost ({type(error).__name__}); see the "
                "messages of its scheduler and workers."
            ) from None

    with _silenced("distributed.client", "distributed.utils"), client:
        kind, name = _agreed(client, scheduler, experiment, device)
        yield Backend(compute, kind, name)


def device_name(kind: str) -> str:
    """Model of the device of a kind on this machine."""
    if kind != "cpu":
        from companion.simulate.hardware import accelerator_name

        return accelerator_name(kind)
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        models = []
    if models:
        return models[0]
    import platform

    return platform.processor() or platform.machine()


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that numbers depend on."""
    import platform

    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


@contextmanager
def _silenced(*names: str) -> Iterator[None]:
    """Keep loggers from printing tracebacks of what the runner says in one line."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _agreed(client: Any, scheduler: str, experiment: Experiment, device: str) -> tuple[str, str]:
    """Device kind and model common to all workers, which must run the caller's code."""
    try:
        client.wait_for_workers(1, timeout=30)
    except TimeoutError:
        raise ValueError(
            f"the Dask scheduler at {scheduler!r} has no workers; start some with "
            "`dask worker ADDRESS`."
        ) from None
    module = experiment.cell.__module__
    answers = client.run(_probe, module, device)
    kinds = sorted({kind for kind, _, _ in answers.values()})
    if len(kinds) > 1:
        raise ValueError(
            f"the workers have devices of several kinds ({', '.join(kinds)}), whose numbers differ "
            "in the last digits; name one with device."
        )
    other = [address for address, answer in answers.items() if answer[2] != code_hash(module)]
    if other:
        raise ValueError(
            f"the code of the Dask worker {other[0]} differs from the code here; install one "
            "version everywhere and restart the workers."
        )
    return kinds[0], ", ".join(sorted({name for _, name, _ in answers.values()}))


def _probe(module: str, device: str) -> tuple[str, str, str]:
    kind = device_kind(device)
    return kind, device_name(kind), code_hash(module)


def _numbered(shard: Shard, *arguments: Any) -> tuple[Shard, Result]:
    """Compute one shard in a process of joblib."""
    if multiprocessing.parent_process() is not None:
        _obey_the_runner()
    return shard, _work(*arguments)


@cache
def _obey_the_runner() -> None:
    """In a worker process, leave Ctrl-C to the runner and end when it has ended."""
    runner = os.getppid()

    def watch() -> None:
        while os.getppid() == runner:
            time.sleep(0.5)
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()


def _work(cell: Cell, params: Params, seed: np.random.SeedSequence, device: str) -> Result:
    """Compute one shard."""
    started = time.perf_counter()
    frame: pd.DataFrame = cell(params, seed, device)
    return Result(frame, time.perf_counter() - started, versions())
