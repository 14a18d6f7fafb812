"""Experiments: a pure cell, a grid for each preset, and a run that is seeded by position.

``cell(params, seed, device)`` returns a tidy DataFrame of moments, never of samples. The rows of a
run are those of its cells, in grid order, with the scalar parameters as leading columns.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["PRESETS", "Experiment", "preset_from_environment", "run", "write_parquet"]

PRESETS = ("quick", "full")

Params = Mapping[str, Any]
Cell = Callable[[Params, np.random.SeedSequence, str], pd.DataFrame]


@dataclass(frozen=True)
class Experiment:
    """A named computation with two presets that test the same statement.

    Attributes
    ----------
    id : str
        Name on the command line.
    title : str
        One line for people.
    cell : callable
        ``cell(params, seed, device) -> DataFrame``; pure.
    grids : mapping
        For each preset the parameters of its cells, in order.
    """

    id: str
    title: str
    cell: Cell
    grids: Mapping[str, Sequence[Params]]

    def grid(self, preset: str) -> Sequence[Params]:
        """Cells of ``preset``.

        Raises
        ------
        ValueError
            If ``preset`` is not one of `PRESETS`.
        """
        if preset not in self.grids:
            raise ValueError(f"preset must be one of {PRESETS}, got {preset!r}.")
        return self.grids[preset]


def preset_from_environment() -> str:
    """Preset named by ``COMPANION_PRESET``, default ``quick``."""
    preset = os.environ.get("COMPANION_PRESET", "quick")
    if preset not in PRESETS:
        raise ValueError(f"COMPANION_PRESET must be one of {PRESETS}, got {preset!r}.")
    return preset


def run(
    experiment: Experiment,
    preset: str = "quick",
    *,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
) -> pd.DataFrame:
    """Run every cell of a preset in this process.

    Parameters
    ----------
    seed : int
        Root seed, non-negative; cell ``i`` gets ``SeedSequence(seed, spawn_key=(i,))``.
    device : str
        Passed to the cells.
    progress : bool
        Show a bar on standard error once the run takes more than two seconds.

    Returns
    -------
    DataFrame
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed must be a non-negative integer, got {seed!r}.")
    grid = experiment.grid(preset)
    frames = []
    for index, params in enumerate(_watched(grid, experiment.id, progress)):
        child = np.random.SeedSequence(int(seed), spawn_key=(index,))
        frame = experiment.cell(params, child, device)
        lead = {k: v for k, v in params.items() if np.isscalar(v) and k not in frame.columns}
        frames.append(frame.assign(**lead)[[*lead, *frame.columns]])
    return pd.concat(frames, ignore_index=True)


def write_parquet(frame: pd.DataFrame, path: Path) -> Path:
    """Write ``frame`` to ``path`` atomically: a reader sees the old file or the whole new one.

    Raises
    ------
    OSError
        If the folder cannot be written; nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        frame.to_parquet(name, index=False)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def _watched(grid: Sequence[Params], label: str, progress: bool) -> Sequence[Params]:
    if not progress:
        return grid
    from tqdm import tqdm

    return tqdm(grid, desc=label, unit="cell", delay=2)
