r"""Random inputs and targets of the tangent-kernel experiments; each repeat has its own seed.

Notation
--------
=======================  ====================  ======================
symbol                   name                  label in the book
=======================  ====================  ======================
:math:`P_k`              zonal harmonic        ``eq-tk-funk-hecke``
:math:`(k+2)^{-5.1}`     ``SMOOTHNESS``        ``eq-tk-target``
=======================  ====================  ======================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from companion import datasets
from companion.montecarlo import Estimate

__all__ = [
    "DEGREES",
    "SMOOTHNESS",
    "Split",
    "digits",
    "field",
    "field_variances",
    "harmonic",
    "means",
    "sphere",
]

Array = NDArray[np.float64]

#: Decay of the coefficients of the random target: the edge of the native space for ``k^-3``.
SMOOTHNESS = 5.1
#: Degrees of the random target: 1 and the even ones, which the two-layer kernel learns.
DEGREES = (1, *range(2, 81, 2))
_JITTER = 1e-9
_CHUNK = 2**14


def sphere(rng: np.random.Generator, count: int, domain: str = "sphere") -> Array:
    """Uniform unit vectors in three dimensions, or in the positive ``orthant`` of the sphere."""
    x = rng.standard_normal((count, 3))
    if domain == "orthant":
        x = np.abs(x)
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def harmonic(x: Array, degree: int) -> Array:
    """Zonal harmonic around the third axis, of variance 1 on the whole sphere."""
    weights = np.zeros(degree + 1)
    weights[degree] = (2 * degree + 1) ** 0.5
    return np.asarray(np.polynomial.legendre.legval(x[:, 2], weights))


def field_variances() -> Array:
    """Variances of a coefficient of the random target by degree; all coefficients add up to 1."""
    found = np.zeros(max(DEGREES) + 1)
    found[list(DEGREES)] = (np.array(DEGREES) + 2.0) ** -SMOOTHNESS
    return found / np.sum((2 * np.arange(found.size) + 1) * found)


def field(rng: np.random.Generator, x: Array) -> Array:
    """One Gaussian random function at unit vectors, with `field_variances` (``eq-tk-target``)."""
    covariance = _covariance(x)
    covariance.flat[:: len(x) + 1] += _JITTER
    return np.asarray(np.linalg.cholesky(covariance) @ rng.standard_normal(len(x)))


def _covariance(x: Array) -> Array:
    """``sum_k (2k+1) s_k^2 P_k(u)``: one even series in ``u``, half as many terms, and degree 1."""
    variances = field_variances()
    weights = (2 * np.arange(variances.size) + 1) * variances
    even = weights.copy()
    even[1] = 0.0
    half = variances.size // 2
    y = np.polynomial.chebyshev.chebpts1(half + 1)
    values = np.polynomial.legendre.legval(np.sqrt((1 + y) / 2), even)
    series = np.polynomial.chebyshev.chebfit(y, values, half)
    u = np.clip(x @ x.T, -1.0, 1.0)
    flat = u.reshape(-1)
    for low in range(0, flat.size, _CHUNK):
        part = flat[low : low + _CHUNK]
        part[:] = np.polynomial.chebyshev.chebval(2 * part**2 - 1, series) + weights[1] * part
    return u


class Split(NamedTuple):
    """Unit rows and classes, for training and testing."""

    x_train: Array
    y_train: NDArray[np.int64]
    x_test: Array
    y_test: NDArray[np.int64]
    classes: int


def digits(rng: np.random.Generator, name: str, train: int, test: int | None = None) -> Split:
    """A random split of a data set, each image divided by its length.

    All of its images are mixed first; ``test`` defaults to the rest.
    """
    source = datasets.load(name, progress=False)
    x = np.concatenate([source.x_train, source.x_test]).astype(np.float64)
    y = np.concatenate([source.y_train, source.y_test])
    order = rng.permutation(len(y))
    stop = len(y) if test is None else min(len(y), train + test)
    chosen, held = order[:train], order[train:stop]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return Split(x[chosen], y[chosen], x[held], y[held], source.classes)


def means(frame: pd.DataFrame, by: str | list[str], names: list[str]) -> pd.DataFrame:
    """Mean and standard error over the repeats of a cell, for every value of ``by``."""
    rows: list[Mapping[str, Any]] = []
    keys = [by] if isinstance(by, str) else by
    for values, part in frame.groupby(keys, sort=False):
        row: dict[str, Any] = dict(zip(keys, values, strict=True))
        for name in names:
            mean = Estimate.mean(part[name].to_numpy())
            row |= {name: float(mean.value), f"{name}_sem": float(mean.sem)}
        rows.append(row)
    return pd.DataFrame(rows)
