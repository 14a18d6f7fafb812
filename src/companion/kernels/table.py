r"""The tangent kernel at any depth for the price of one short series: Gram matrices in N^2.

Notation
--------
=============================  ===================================  =========================
symbol                         name                                 book label
=============================  ===================================  =========================
:math:`T`                      ``effective_depth``                  ``eq-effective-depth``
:math:`\bar r`                 ``tangent_table``                    ``eq-tk-recursion``
:math:`r_T`                    ``flow_table``                       ``eq-tk-flow-solution``
:math:`e_0, e_1`               ``lower``, ``upper``                 ``alg-tk-table``
:math:`y`                      argument of the series, in [-1, 1]   ``alg-tk-table``
=============================  ===================================  =========================

The kernel is analytic in the angle on ``[0, pi]``, both ends included, but its nearest complex
singularities come close: one to 0, at about :math:`-3\pi/T`, and two to :math:`\pi`, at a distance
of :math:`\pm i\sqrt{2\lambda}` with the share of the first block (at infinite depth
:math:`\pm i\sqrt{2T}`). The map

.. math::

   y=-1+2\frac{z(\theta)-z(0)}{z(\pi)-z(0)},\qquad
   z(\theta)=\ln\frac{\theta+e_0}{\pi-\theta+e_1},

with :math:`e_0=\min(1,3\pi/T)` and :math:`e_1=\min(1,\sqrt{2\lambda})` moves both away, and a few
dozen Chebyshev coefficients in ``y`` suffice at every depth (``alg-tk-table``). Derived here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import real_number
from companion.architecture import ResNetSpec
from companion.kernels.flow import flow_kernel
from companion.kernels.rows import angles_of, check_angles, input_rows, lengths, unit_rows
from companion.kernels.series import SeriesSum, chebyshev_angles, chebyshev_coefficients
from companion.kernels.tangent import block_shares, recursion

__all__ = ["ERROR_BOUND", "TangentTable", "flow_table", "tangent_gram", "tangent_table"]

Array = NDArray[np.float64]

#: A table whose error on the test angles exceeds this is refined, in units of ``rbar(0) = 1``.
ERROR_BOUND = 1e-11
_FIRST_NODES, _MOST_NODES = 64, 1024
_NEAREST_END = 1e-10
#: Pairs per step: a few arrays of this length stay in the cache.
_CHUNK = 2**15
_ROWS = 128


@dataclass(frozen=True, eq=False)
class TangentTable:
    """A normalised tangent kernel as a series; built by `tangent_table` and `flow_table`.

    Attributes
    ----------
    effective_depth
        ``T`` of the network.
    lower, upper
        Ends ``e_0``, ``e_1`` of the map, radians.
    coefficients
        Chebyshev coefficients, ascending.
    error
        Largest error on the test angles, absolute, the kernel being 1 at angle 0.
    """

    effective_depth: float
    lower: float
    upper: float
    coefficients: Array
    error: float

    def __call__(self, theta: ArrayLike) -> Array:
        """Kernel at angles in ``[0, pi]``, any shape.

        Raises
        ------
        ValueError
            If an angle is outside ``[0, pi]``.
        """
        angles = check_angles(theta)
        values = angles.ravel().copy()
        total = self._sum(min(values.size, _CHUNK))
        for low in range(0, values.size, _CHUNK):
            total(values[low : low + _CHUNK])
        values[angles.ravel() == 0] = 1.0
        return values.reshape(angles.shape)

    def gram(self, x: ArrayLike, y: ArrayLike | None = None, out: Array | None = None) -> Array:
        r"""Kernel between inputs, :math:`\|x\|\|x'\|\,\bar r(\theta)` (``prop-tk-homogeneous``).

        Parameters
        ----------
        x, y
            One input per row, shapes ``(N, d)`` and ``(M, d)``. Without ``y`` the kernel of ``x``
            with itself, at half the work, exactly symmetric, with the diagonal exact.
        out
            Where to write, shape ``(N, M)``, float64; saves the first touch of fresh memory.

        Returns
        -------
        Shape ``(N, M)``; rows of zeros give zeros. Beside it, memory is of order ``128 M``.

        Raises
        ------
        ValueError
            If shapes do not fit, or an entry is not finite.
        """
        rows = input_rows(x, "x")
        columns = rows if y is None else input_rows(y, "y", rows.shape[1])
        result = _output(out, (len(rows), len(columns)))
        own, other = lengths(rows), lengths(columns)
        a = unit_rows(rows)
        b = a if y is None else unit_rows(columns)
        work = np.empty(min(_ROWS, len(rows)) * len(columns))
        total = self._sum(min(_CHUNK, work.size))
        for low in range(0, len(rows), _ROWS):
            high = min(low + _ROWS, len(rows))
            width = high if y is None else len(columns)
            part = work[: (high - low) * width].reshape(high - low, width)
            _kernel_of(a[low:high], b[:width], total, part)
            part *= own[low:high, None]
            part *= other[:width]
            result[low:high, :width] = part
            if y is None:
                result[:low, low:high] = part[:, :low].T
                square = part[:, low:]
                result[low:high, low:high] = np.tril(square) + np.tril(square, -1).T
        if y is None:
            np.fill_diagonal(result, own**2)
        return result

    def _sum(self, size: int) -> SeriesSum:
        return SeriesSum(self.coefficients, self.lower, self.upper, size)


def _kernel_of(a: Array, b: Array, total: SeriesSum, out: Array) -> None:
    """Normalised kernel between unit rows, in steps that stay in the cache."""
    np.matmul(a, b.T, out=out)
    step = max(1, _CHUNK // max(1, len(b)))
    for low in range(0, len(a), step):
        flat = angles_of(out[low : low + step], a[low : low + step], b).reshape(-1)
        for begin in range(0, flat.size, _CHUNK):
            total(flat[begin : begin + _CHUNK])


def tangent_table(spec: ResNetSpec) -> TangentTable:
    """Table of a network; the last 128 are kept, by depth and share.

    Parameters
    ----------
    spec
        As in `companion.kernels.tangent.block_shares`; any depth, also one scale per layer.

    Returns
    -------
    TangentTable

    Raises
    ------
    ValueError
        If the network has no tangent kernel of this kind.
    RuntimeError
        If no table of 1024 nodes is accurate to `ERROR_BOUND`.
    """
    shares = block_shares(spec)
    if np.all(shares == shares[0]):
        return _constant_table(spec.depth, float(shares[0]))
    return _schedule_table(shares.tobytes())


def flow_table(effective_depth: float) -> TangentTable:
    """Table of the limit ``r_T`` of infinite depth (``eq-tk-flow-solution``); cached likewise.

    Raises
    ------
    ValueError
        If ``effective_depth`` is negative or not finite.
    RuntimeError
        As in `tangent_table`.
    """
    return _flow_table(real_number(effective_depth, "effective_depth", minimum=0.0))


def tangent_gram(
    spec: ResNetSpec, x: ArrayLike, y: ArrayLike | None = None, out: Array | None = None
) -> Array:
    """``tangent_table(spec).gram(x, y, out)``: the normalised kernel between inputs."""
    return tangent_table(spec).gram(x, y, out)


@lru_cache(maxsize=128)
def _constant_table(depth: int, share: float) -> TangentTable:
    return _table_of_shares(np.full(depth, share))


@lru_cache(maxsize=32)
def _schedule_table(shares: bytes) -> TangentTable:
    return _table_of_shares(np.frombuffer(shares, dtype=np.float64))


@lru_cache(maxsize=128)
def _flow_table(depth: float) -> TangentTable:
    return _build(lambda theta: flow_kernel(theta, depth), depth, depth)


def _table_of_shares(shares: Array) -> TangentTable:
    first = float(shares[int(np.argmax(shares > 0))])
    return _build(
        lambda theta: recursion(shares, theta, transport=False).kernel, float(shares.sum()), first
    )


def _build(kernel: Callable[[Array], Array], depth: float, first: float) -> TangentTable:
    """Double the nodes until the series agrees with the kernel between and beyond them.

    The tests are the new nodes of the doubled grid, where a series that lacks degrees is worst,
    and angles next to both ends; the doubled grid is the next candidate, so nothing is wasted.
    """
    lower = min(1.0, 3 * math.pi / depth) if depth > 0 else 1.0
    upper = max(min(1.0, math.sqrt(2 * first)), _NEAREST_END)
    ends = np.geomspace(1e-8, 1e-2, 7)
    tests = np.concatenate([ends, math.pi - ends])
    grid = chebyshev_angles(2 * _FIRST_NODES, lower, upper)
    found = kernel(np.concatenate([grid, tests]))
    values, at_tests = found[: grid.size], found[grid.size :]
    while True:
        coefficients = chebyshev_coefficients(values[::2])
        table = TangentTable(depth, lower, upper, coefficients, 0.0)
        error = max(
            float(np.max(np.abs(table(grid[1::2]) - values[1::2]))),
            float(np.max(np.abs(table(tests) - at_tests))),
        )
        if error <= ERROR_BOUND:
            return TangentTable(depth, lower, upper, coefficients, error)
        if grid.size > 2 * _MOST_NODES:
            raise RuntimeError(
                f"the table of the kernel at effective depth {depth:g} is accurate to {error:.2g} "
                f"only, with {_MOST_NODES} nodes; needed is {ERROR_BOUND:g}. Use direct_gram."
            )
        finer = chebyshev_angles(2 * (grid.size - 1), lower, upper)
        refined = np.empty(finer.size)
        refined[::2], refined[1::2] = values, kernel(finer[1::2])
        grid, values = finer, refined


def _output(out: Array | None, shape: tuple[int, int]) -> Array:
    if out is None:
        return np.empty(shape)
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != np.float64:
        found = f"{out.dtype} of shape {out.shape}" if isinstance(out, np.ndarray) else repr(out)
        raise ValueError(
            f"out must be a float64 array of shape {shape}, got {found}; float32 cannot resolve "
            "the kernel near its diagonal."
        )
    return out
