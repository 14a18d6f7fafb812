"""What an experiment is, and how a preset of it is cut into shards.

A grid cell whose networks do not fit into one shard is cut into *replicates*: the same parameters
with a part of the networks each. The cut is a function of depth, width and number of networks
alone, and the seed of a shard one of its position, so neither workers nor restarts can change a
result.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from companion.sweeps.code import code_hash

__all__ = [
    "NORMALS_PER_SHARD",
    "PRESETS",
    "SCHEMA",
    "Experiment",
    "Params",
    "Plan",
    "Shard",
    "device_kind",
    "plain",
    "plan",
    "preset_from_environment",
]

PRESETS = ("quick", "full")

#: Gaussian numbers (depth x width x networks) drawn in one shard: 2 to 7 seconds of one core.
NORMALS_PER_SHARD: Final = 500_000_000

#: Version of the layout of shards; a change voids all of them.
SCHEMA: Final = 1

Params = Mapping[str, Any]
Cell = Callable[[Params, np.random.SeedSequence, str], pd.DataFrame]
Pool = Callable[[pd.DataFrame], pd.DataFrame]
Finish = Callable[[pd.DataFrame, Params], pd.DataFrame]


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
        ``cell(params, seed, device) -> DataFrame``; pure, a function of an importable module.
    grids : mapping
        For each preset the parameters of its cells, in order.
    pool : callable, optional
        ``pool(frame) -> DataFrame`` merges the rows of the replicates of one cell, which the column
        ``replicate`` tells apart. Without it a cell is never cut. `moments.pool` merges moments.
    finish : callable, optional
        ``finish(frame, params) -> DataFrame`` makes the rows of one cell presentable: estimates
        from moments, theory beside them. It runs in the caller, after pooling, so that a change of
        theory voids no shard.
    dtype : str
        Number type in which the cell computes; part of the key of every shard.
    """

    id: str
    title: str
    cell: Cell
    grids: Mapping[str, Sequence[Params]]
    pool: Pool | None = None
    finish: Finish | None = None
    dtype: str = "float32"

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


@dataclass(frozen=True)
class Shard:
    """One piece of work: a part of the networks of one grid cell.

    ``index`` counts the shards of the run, ``cell`` and ``replicate`` give its place and its seed.
    """

    index: int
    cell: int
    replicate: int
    params: Params
    root: int

    @property
    def seed(self) -> np.random.SeedSequence:
        """Seed by position."""
        return np.random.SeedSequence(self.root, spawn_key=(self.cell, self.replicate))


@dataclass(frozen=True)
class Plan:
    """Everything that determines the numbers of a run, and the cut into shards."""

    experiment: Experiment
    preset: str
    seed: int
    device: str
    shards: tuple[Shard, ...]

    def fields(self, shard: Shard) -> dict[str, Any]:
        """What determines the numbers of a shard, in plain types; compared as a whole."""
        cell = self.experiment.cell
        return {
            "cell": f"{cell.__module__}:{cell.__qualname__}",
            "code": code_hash(cell.__module__),
            "device": self.device,
            "dtype": self.experiment.dtype,
            "params": plain(shard.params),
            "schema": SCHEMA,
            "seed": [shard.root, shard.cell, shard.replicate],
        }

    def key(self, shard: Shard) -> str:
        """Short name of `fields`."""
        text = json.dumps(self.fields(shard), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def cells(self) -> list[list[Shard]]:
        """Shards of each grid cell, in order."""
        grid = self.experiment.grid(self.preset)
        return [[s for s in self.shards if s.cell == cell] for cell in range(len(grid))]


def plan(experiment: Experiment, preset: str, seed: int, device: str) -> Plan:
    """Cut a preset into shards for a device.

    Raises
    ------
    ValueError
        For an unknown preset or device, or a seed that is not a non-negative integer.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed must be a non-negative integer, got {seed!r}.")
    root = int(seed)
    shards: list[Shard] = []
    for cell, params in enumerate(experiment.grid(preset)):
        for replicate, part in enumerate(_replicates(params, experiment.pool is not None)):
            shards.append(Shard(len(shards), cell, replicate, part, root))
    return Plan(experiment, preset, root, device_kind(device), tuple(shards))


def _replicates(params: Params, divisible: bool) -> list[Params]:
    networks = params.get("networks", 1)
    normals = params.get("depth", 1) * params.get("width", 1) * networks
    parts = min(-(-normals // NORMALS_PER_SHARD), networks) if divisible else 1
    if parts <= 1:
        return [params]
    base, more = divmod(networks, parts)
    return [{**params, "networks": base + (part < more)} for part in range(parts)]


def preset_from_environment() -> str:
    """Preset named by ``COMPANION_PRESET``, default ``quick``."""
    preset = os.environ.get("COMPANION_PRESET", "quick")
    if preset not in PRESETS:
        raise ValueError(f"COMPANION_PRESET must be one of {PRESETS}, got {preset!r}.")
    return preset


def device_kind(device: str) -> str:
    """``cpu`` or ``cuda``; ``auto`` is resolved on this machine."""
    if device == "cpu":  # needs no torch
        return device
    from companion.simulate import resolve_device

    return resolve_device(device).type


def plain(value: Any) -> Any:
    """Parameters in the types of JSON."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    return value.item() if isinstance(value, np.generic) else value
