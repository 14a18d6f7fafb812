"""Compute a sample of shards again and compare them with a finished run.

Where device kind, number type, library versions and code are those of the run, the bits must be the
same. Elsewhere the estimates must agree within their errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from companion.montecarlo import AGREEMENT_SIGMAS
from companion.sweeps.backends import versions
from companion.sweeps.experiment import Experiment, Plan, Shard, plain, plan
from companion.sweeps.manifest import code_hashes, digest
from companion.sweeps.runner import backend, finished_rows

__all__ = ["Verification", "verify"]


@dataclass(frozen=True)
class Verification:
    """Outcome of a comparison.

    Attributes
    ----------
    bitwise : bool
        Whether equal bits were asked for, or agreement within errors.
    checked : tuple of int
        Shards that were computed again.
    failures : tuple of str
        One line for each that does not agree.
    shards : int
        Shards of the run.
    """

    bitwise: bool
    checked: tuple[int, ...]
    failures: tuple[str, ...]
    shards: int

    @property
    def passed(self) -> bool:
        """Whether all of them agree."""
        return not self.failures

    def __str__(self) -> str:
        how = "bit by bit" if self.bitwise else f"within {AGREEMENT_SIGMAS} standard errors"
        agree = len(self.checked) - len(self.failures)
        summary = (
            f"{agree} of {len(self.checked)} recomputed shards agree {how} ({self.shards} in all)"
        )
        return "; ".join([summary, *self.failures])


def verify(
    experiment: Experiment,
    table: pd.DataFrame,
    manifest: Mapping[str, Any],
    *,
    sample: int = 5,
    seed: int | None = None,
    device: str = "auto",
) -> Verification:
    """Compute a random sample of the shards of a run again.

    Parameters
    ----------
    table, manifest
        The run, as `companion.results.load` or its folder gives them.
    sample : int
        Number of shards, at least 1; all if the run has fewer.
    seed : int, optional
        Of the choice; default another one each time.
    device : str
        Where to compute; may differ from the device of the run.

    Raises
    ------
    ValueError
        If the grid of the experiment is no longer the one of the run.
    """
    if sample < 1:
        raise ValueError(f"sample must be at least 1 shard, got {sample!r}.")
    with backend(experiment, device) as engine:
        todo = plan(experiment, manifest["preset"], manifest["seed"], engine.device)
        _same_grid(todo, manifest)
        count = min(sample, len(todo.shards))
        chosen = sorted(np.random.default_rng(seed).choice(len(todo.shards), count, replace=False))
        exact = _same_conditions(todo, manifest)
        failures = []
        shards = [todo.shards[index] for index in chosen]
        for shard, result in engine.compute(experiment, shards, engine.device):
            problem = _compare(todo, shard, result.frame, table, manifest, exact)
            failures += [problem] if problem else []
    return Verification(exact, tuple(int(i) for i in chosen), tuple(failures), len(todo.shards))


def _same_grid(todo: Plan, manifest: Mapping[str, Any]) -> None:
    spec = [plain(params) for params in todo.experiment.grid(todo.preset)]
    if spec != manifest["spec"] or len(todo.shards) != manifest["shards"]:
        raise ValueError(
            f"the {todo.preset} grid of {todo.experiment.id} is not the one of this run (of "
            f"{manifest['date']}), so no shard of it can be computed again; run it anew."
        )


def _same_conditions(todo: Plan, manifest: Mapping[str, Any]) -> bool:
    here = {
        "device": todo.device,
        "dtype": todo.experiment.dtype,
        "code": code_hashes(todo.experiment)["code_hash"],
        "versions": {k: v for k, v in versions().items() if k in ("numpy", "torch")},
    }
    there = {
        "device": manifest["device"]["kind"],
        "dtype": manifest["dtype"],
        "code": manifest["code_hash"],
        "versions": {k: v for k, v in manifest["versions"].items() if k in ("numpy", "torch")},
    }
    return here == there


def _compare(
    todo: Plan,
    shard: Shard,
    frame: pd.DataFrame,
    table: pd.DataFrame,
    manifest: Mapping[str, Any],
    exact: bool,
) -> str:
    """Say what is wrong with a shard; nothing if it agrees."""
    if digest(frame) == manifest["digests"][shard.index]:
        return ""
    where = f"shard {shard.index} (cell {shard.cell}, {plain(shard.params)})"
    if exact:
        return f"{where} has other bits"
    ours = finished_rows(todo.experiment, shard.params, [frame])
    theirs = _rows_of(table, todo, shard, len(ours))
    worst, name = _distance(ours, theirs)
    if worst <= AGREEMENT_SIGMAS:
        return ""
    return f"{where} differs in {name!r} by {worst:.1f} standard errors"


def _rows_of(table: pd.DataFrame, todo: Plan, shard: Shard, rows: int) -> pd.DataFrame:
    """Rows of the table that belong to the cell of a shard: equal scalar parameters, in order."""
    params = todo.experiment.grid(todo.preset)[shard.cell]
    mask = np.ones(len(table), dtype=bool)
    for name, value in params.items():
        if np.isscalar(value) and name in table.columns:
            mask &= (table[name] == value).to_numpy()
    found = table[mask]
    if len(found) != rows:
        raise ValueError(
            f"the table has {len(found)} rows for cell {shard.cell} and the code makes {rows}; "
            "run it anew."
        )
    return found


def _distance(ours: pd.DataFrame, theirs: pd.DataFrame) -> tuple[float, str]:
    """Largest distance in standard errors; ``x_sem`` is the error of ``x``.

    A plain ``sem`` is the error of the column before it.
    """
    worst, where = 0.0, ""
    names = list(ours.columns)
    for position, error in enumerate(names):
        if not error.endswith("sem") or error not in theirs:
            continue
        name = error.removesuffix("_sem") if error != "sem" else names[position - 1]
        gap = np.abs(ours[name].to_numpy() - theirs[name].to_numpy())
        spread = np.hypot(ours[error].to_numpy(), theirs[error].to_numpy())
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = float(np.max(np.where(gap == 0, 0.0, gap / spread)))
        if ratio > worst:
            worst, where = ratio, name
    return worst, where
