r"""Stationary normal sequences: how to draw them, and how not to lose digits on the way.

Notation
--------
===================================  ==========================  ======================
symbol                               name                        book label
===================================  ==========================  ======================
:math:`\lambda_k`                    ``spectrum``                ``eq-ld-circulant``
:math:`F`                            ``pivoted_factor``          ``eq-ld-factor``
:math:`\gamma_H(k)` at lags from 2   ``half_second_difference``  ``eq-ld-fractional``
===================================  ==========================  ======================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["chunks", "circulant_paths", "half_second_difference", "pivoted_factor"]

FloatArray = NDArray[np.float64]

#: Float64 numbers that a sampler works on at once (16 MiB); larger draws go in chunks of entries.
_CHUNK: Final = 2**21

#: Variance that a factor of a numerically singular covariance may leave out, per layer.
_REMAINDER: Final = 1e-14


def half_second_difference(k: FloatArray, power: float) -> FloatArray:
    """``((k - 1)**power - 2 k**power + (k + 1)**power) / 2`` for ``k >= 2``, ``0 < power < 2``.

    The binomial series in ``1 / k**2`` has terms of one sign, so that nothing cancels: the error
    is 1e-15 relative at every ``k``.
    """
    term, total = np.ones_like(k), np.zeros_like(k)
    for j in range(27):  # at k = 2, where they decay slowest, the next term is below 1e-17
        ratio = (power - 2 * j) * (power - 2 * j - 1) / ((2 * j + 1) * (2 * j + 2))
        term = term * (ratio / k**2)
        total = total + term
    return np.asarray(k**power * total)


def circulant_paths(spectrum: FloatArray, paths: int, rng: np.random.Generator) -> FloatArray:
    """Stationary normal paths, shape ``(paths, depth)``, from `WeightLaw.spectrum`.

    ``alg-ld-circulant``: normal Fourier coefficients with the eigenvalues as variances, and half of
    the period kept.
    """
    from scipy import fft

    depth = spectrum.size - 1
    amplitude = np.sqrt(spectrum * depth)
    amplitude[[0, -1]] *= math.sqrt(2)  # real coefficients, without an imaginary partner
    normals = rng.standard_normal((paths, depth + 1, 2))
    normals[:, [0, -1], 1] = 0.0
    coefficients = normals.view(np.complex128)[..., 0] * amplitude
    return np.asarray(fft.irfft(coefficients, 2 * depth, overwrite_x=True)[:, :depth])


def pivoted_factor(diagonal: FloatArray, column: Callable[[int], FloatArray]) -> FloatArray:
    r"""Matrix :math:`F` of shape ``(m, rank)`` with :math:`FF^\top` a given covariance.

    Cholesky factorisation that eliminates the largest remaining variance first and stops when
    every one is below ``1e-14`` times the largest: a covariance of low numerical rank is never
    formed whole.

    Parameters
    ----------
    diagonal
        Variances, shape ``(m,)``.
    column
        Returns a column of the covariance by its index.
    """
    remaining, limit = diagonal.copy(), _REMAINDER * diagonal.max()
    factor = np.zeros((diagonal.size, min(diagonal.size, 64)))
    for rank in range(diagonal.size):
        pivot = int(np.argmax(remaining))
        if remaining[pivot] <= limit:
            return factor[:, :rank].copy()
        if rank == factor.shape[1]:
            more = min(rank, diagonal.size - rank)
            factor = np.concatenate([factor, np.zeros((diagonal.size, more))], axis=1)
        rest = column(pivot) - factor[:, :rank] @ factor[pivot, :rank]
        factor[:, rank] = rest / math.sqrt(remaining[pivot])
        remaining -= factor[:, rank] ** 2
        remaining[pivot] = 0.0
    return factor


def chunks(entries: int, numbers: int) -> Iterator[slice]:
    """Slices of the entries, such that ``numbers`` per entry stay within the working memory."""
    step = max(1, _CHUNK // numbers)
    for start in range(0, entries, step):
        yield slice(start, min(start + step, entries))
