"""Gram matrices of any kernel, checked; and the solution of the ridge problem.

Notation, with the labels of the book, is at the top of :mod:`companion.regression`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK_ENTRIES", "blocks", "gram", "ridge_factor", "ridge_log_evidence", "ridge_solve"]

Array = NDArray[np.float64]
Kernel = Callable[..., Any]

#: Entries of a kernel between new and known inputs that are in memory at once (128 MiB).
BLOCK_ENTRIES = 2**24


def gram(kernel: Kernel, x: Array, y: Array | None, shape: tuple[int, int]) -> Array:
    """``kernel(x, y)``, checked to be a finite matrix of this shape.

    Raises
    ------
    ValueError
        If the kernel returns something else.
    """
    values = np.asarray(kernel(x) if y is None else kernel(x, y), dtype=np.float64)
    if values.shape != shape:
        raise ValueError(
            f"kernel must return an array of shape {shape} for these inputs, got {values.shape}; "
            "its rows belong to X and its columns to Y."
        )
    if not np.all(np.isfinite(values)):
        raise ValueError("kernel must return finite values, got NaN or infinity; scale the data.")
    return values


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of ``rows`` whose kernel with ``columns`` inputs has at most `BLOCK_ENTRIES`."""
    step = max(1, BLOCK_ENTRIES // columns)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def ridge_factor(values: Array, noise: float) -> Array:
    """Lower Cholesky factor of a Gram matrix plus ``noise`` on its diagonal.

    Raises
    ------
    ValueError
        If that is not positive definite.
    """
    from scipy.linalg import LinAlgError, cholesky

    ridged = values.copy()
    ridged.flat[:: len(values) + 1] += noise
    try:
        return np.asarray(cholesky(ridged, lower=True, check_finite=False))
    except LinAlgError as error:
        raise ValueError(
            f"noise={noise:g} must make the kernel positive definite, and does not: its largest "
            f"entry is {np.abs(values).max():.3g}; raise noise, or check that the kernel is one."
        ) from error


def ridge_solve(factor: Array, targets: Array) -> Array:
    """Weights of the training inputs, shape of ``targets``."""
    from scipy.linalg import cho_solve

    return np.asarray(cho_solve((factor, True), targets, check_finite=False))


def ridge_log_evidence(factor: Array, targets: Array, dual: Array) -> float:
    """Natural log of the density of the targets, summed over outputs (``eq-ft-evidence``)."""
    outputs = targets.size // len(targets)
    log_determinant = 2 * float(np.sum(np.log(np.diagonal(factor))))
    constant = len(targets) * math.log(2 * math.pi)
    return -(float(np.sum(targets * dual)) + outputs * (log_determinant + constant)) / 2
