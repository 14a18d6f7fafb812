r"""Chebyshev series on ``[0, pi]`` behind a logarithmic map of both ends (``alg-tk-table``).

Notation, with the labels of the book, is at the top of :mod:`companion.kernels.table`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["CUT", "SeriesSum", "chebyshev_angles", "chebyshev_coefficients", "fold"]

Array = NDArray[np.float64]

#: Coefficients below this part of the largest one are cut off at the end of the series.
CUT = 1e-13


def chebyshev_angles(intervals: int, lower: float, upper: float) -> Array:
    """Angles of the Chebyshev points of ``y``, from ``pi`` down to 0."""
    y = np.cos(math.pi * np.arange(intervals + 1) / intervals)
    start, end = math.log(lower / (math.pi + upper)), math.log((math.pi + lower) / upper)
    z = start + (end - start) * (y + 1) / 2
    small = np.exp(-np.abs(z))
    angles = np.where(
        z < 0,
        ((math.pi + upper) * small - lower) / (1 + small),
        (math.pi + upper - lower * small) / (1 + small),
    )
    angles = np.clip(angles, 0.0, math.pi)
    angles[0], angles[-1] = math.pi, 0.0
    return angles


def map_angles(theta: Array, lower: float, upper: float, out: Array, scratch: Array) -> None:
    """Write ``y`` of the angles to ``out``."""
    start, end = math.log(lower / (math.pi + upper)), math.log((math.pi + lower) / upper)
    np.subtract(math.pi + upper, theta, out=scratch)
    np.add(theta, lower, out=out)
    out /= scratch
    np.log(out, out=out)
    out *= 2 / (end - start)
    out -= (end + start) / (end - start)


def chebyshev_coefficients(values: Array) -> Array:
    """Chebyshev coefficients from values at ``cos(pi j / N)``, without the negligible tail."""
    around = np.concatenate([values, values[-2:0:-1]])
    found = np.fft.rfft(around).real / (values.size - 1)
    found[[0, -1]] /= 2
    kept = np.flatnonzero(np.abs(found) > CUT * np.max(np.abs(found)))
    return np.asarray(found[: int(kept[-1]) + 1], dtype=np.float64)


def fold(coefficients: Array) -> Array:
    """Write a Chebyshev series as one in ``T_m(y)`` whose coefficients are short series in ``y``.

    By ``T_{jm+i} = 2 T_{jm} T_i - T_{jm-i}``, from the top down. The short series are one product
    of matrices, and about ``2 sqrt(K)`` recurrences remain of ``K``.

    Returns
    -------
    Shape ``(J, m)``: the series is the sum over ``j, i`` of ``folded[j, i] T_j(T_m(y)) T_i(y)``.
    """
    m = max(2, math.ceil(math.sqrt(coefficients.size)))
    rest = np.zeros(m * -(-coefficients.size // m))
    rest[: coefficients.size] = coefficients
    folded = np.zeros((rest.size // m, m))
    for k in range(rest.size - 1, -1, -1):
        j, i = divmod(k, m)
        if j and i:
            folded[j, i] += 2 * rest[k]
            rest[j * m - i] -= rest[k]
        else:
            folded[j, i] += rest[k]
    return folded


class SeriesSum:
    """A folded series, summed in place with buffers that are allocated once.

    Fresh temporaries of this size would be mapped and unmapped by the system at every step, which
    costs several times as much as the arithmetic.

    Parameters
    ----------
    coefficients
        Chebyshev coefficients, ascending.
    lower, upper
        Ends of the map.
    size
        Largest number of angles at a time.
    """

    def __init__(self, coefficients: Array, lower: float, upper: float, size: int) -> None:
        self._folded, self._lower, self._upper = fold(coefficients), lower, upper
        count, m = self._folded.shape
        self._basis = np.empty((m + 1, size))
        self._short = np.empty((count, size))
        self._twice = np.empty(size)

    def __call__(self, theta: Array) -> None:
        """Replace angles, a vector of at most ``size``, by values of the series."""
        count, m = self._folded.shape
        basis, twice = self._basis[:, : theta.size], self._twice[: theta.size]
        short = self._short[:, : theta.size]
        basis[0] = 1.0
        map_angles(theta, self._lower, self._upper, out=basis[1], scratch=twice)
        np.multiply(basis[1], 2.0, out=twice)
        for i in range(2, m + 1):
            np.multiply(twice, basis[i - 1], out=basis[i])
            basis[i] -= basis[i - 2]
        np.matmul(self._folded, basis[:m], out=short)
        outer = basis[m]
        np.multiply(outer, 2.0, out=twice)
        spare, above, here = basis[0], basis[1], short[-1]
        above[:] = 0.0
        for j in range(count - 2, -1, -1):
            np.multiply(twice if j else outer, here, out=spare)
            spare -= above
            spare += short[j]
            spare, above, here = above, here, spare
        theta[:] = here
