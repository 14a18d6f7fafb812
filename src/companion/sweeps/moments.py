"""Moments as columns of a table: what cells return, and how replicates are merged exactly.

The moments of a quantity ``x`` are the columns ``x_n, x_average, x_sum2, x_sum3, x_sum4``.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from companion.montecarlo import Moments

__all__ = ["columns", "estimates", "pool", "read"]

_PARTS = ("average", "sum2", "sum3", "sum4")


def columns(name: str, samples: ArrayLike) -> dict[str, Any]:
    """Columns with the moments of ``samples`` over axis 0; one row per remaining element.

    Parameters
    ----------
    samples : array_like, shape (n,) or (n, rows)
    """
    moments = Moments.of(samples)
    parts = {f"{name}_{part}": np.atleast_1d(getattr(moments, part)) for part in _PARTS}
    return {f"{name}_n": np.full(parts[f"{name}_average"].size, moments.n), **parts}


def read(frame: pd.DataFrame, name: str) -> Moments:
    """Moments of the quantity ``name`` in a table, one element per row."""
    parts = (frame[f"{name}_{part}"].to_numpy(dtype=np.float64) for part in _PARTS)
    return Moments(int(frame[f"{name}_n"].iloc[0]), *parts)


def estimates(frame: pd.DataFrame, name: str, *, scale: float = 1.0) -> dict[str, Any]:
    """Columns ``mean, mean_sem, variance, variance_sem`` of ``scale`` times the quantity."""
    moments = read(frame, name)
    mean, variance = moments.mean * scale, moments.variance * scale**2
    return {
        "mean": mean.value,
        "mean_sem": mean.sem,
        "variance": variance.value,
        "variance_sem": variance.sem,
    }


def pool(frame: pd.DataFrame) -> pd.DataFrame:
    """Merge the replicates of one cell: moments add up, counts too, the rest is kept.

    Parameters
    ----------
    frame : DataFrame
        Rows of all replicates, the same in number and order, with the column ``replicate``.
    """
    parts = [part.drop(columns="replicate") for _, part in frame.groupby("replicate")]
    return reduce(_merge, (part.reset_index(drop=True) for part in parts))


def _merge(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    merged = first.copy()
    for name in [column.removesuffix("_sum4") for column in first if column.endswith("_sum4")]:
        total = read(first, name) + read(second, name)
        merged[f"{name}_n"] = total.n
        for part in _PARTS:
            merged[f"{name}_{part}"] = getattr(total, part)
    for column in [c for c in first if c == "count"]:
        merged[column] = first[column] + second[column]
    return merged
