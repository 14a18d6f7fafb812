"""Experiments that sleep instead of simulating; ``python -m tests.sweeps`` runs them.

Subprocesses and Dask workers import this module, so it loads neither torch nor pytest.
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from companion.sweeps import Experiment, moments


def sleepy(params, seed, device):
    """Sleep, then return the moments of a few normals, some of them exact and none alike."""
    time.sleep(params["seconds"])
    sample = np.random.default_rng(seed).standard_normal((params["networks"], 3)) + params["shift"]
    return pd.DataFrame({"row": np.arange(3), "kind": "a", **moments.columns("x", sample)})


def estimates(frame, params):
    found = moments.estimates(frame, "x")
    return pd.DataFrame({"row": frame["row"], "expected": float(params["shift"]), **found})


def grid(cells: int, seconds: float, networks: int = 20) -> list[dict]:
    return [{"shift": i, "networks": networks, "seconds": seconds} for i in range(cells)]


def toy(cells: int = 4, seconds: float = 0.0, networks: int = 20) -> Experiment:
    cut = grid(cells, seconds, networks)
    pool, finish = moments.pool, estimates
    return Experiment("toy", "A toy", sleepy, {"quick": cut, "full": cut}, pool, finish)


#: Number and length of the shards, by name.
SIZES = {
    "tiny": (4, 0.0),
    "short": (12, 0.1),
    "kills": (45, 0.12),
    "cluster": (16, 0.3),
    "seconds": (6, 1.0),
}
