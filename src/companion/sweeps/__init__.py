"""Experiments: a pure cell, a grid for each preset, and a run that can be stopped and traced.

``cell(params, seed, device)`` returns a tidy DataFrame of moments, never of samples. A preset is
cut into *shards* of a few seconds, each seeded by its position. A shard is computed in this
process, on all cores or on a Dask cluster, and written at once, so that a run may end at any
moment and be taken up again: its table is the same, bit by bit.
"""

from companion._optional import require

require("pandas", extra="evidence", purpose="run experiments")

from companion.sweeps.code import code_hash  # noqa: E402
from companion.sweeps.experiment import (  # noqa: E402
    NORMALS_PER_SHARD,
    PRESETS,
    Experiment,
    preset_from_environment,
)
from companion.sweeps.runner import SweepInterrupted, run, run_folder  # noqa: E402
from companion.sweeps.store import ShardWarning, StoreError, write_parquet  # noqa: E402
from companion.sweeps.verify import Verification, verify  # noqa: E402

__all__ = [
    "NORMALS_PER_SHARD",
    "PRESETS",
    "Experiment",
    "ShardWarning",
    "StoreError",
    "SweepInterrupted",
    "Verification",
    "code_hash",
    "preset_from_environment",
    "run",
    "run_folder",
    "verify",
    "write_parquet",
]
