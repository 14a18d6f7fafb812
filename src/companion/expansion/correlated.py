r"""Orders and total energy when the blocks are correlated along depth: everything in between.

Blocks are linear, :math:`F_l(h)=W_lh`, with independent entries inside a layer and covariance
:math:`E[W_{l,ij}W_{m,ij}]=C_{lm}/n` across depth. In a wide network only pairings that keep the
order of depth survive, which gives two recursions over pairs of blocks.

Notation
--------
==================================  =======================  ========================
symbol                              name                     book label
==================================  =======================  ========================
:math:`C_{lm}`                      ``covariance``           ``eq-weight-covariance``
:math:`N_k=\sum_{ij}M^{(k)}_{ij}`   `log_order_norms`        ``eq-re-order-norms``
:math:`K_{ij}`, :math:`K_{LL}`      `log_correlated_energy`  ``eq-re-goursat``
:math:`I_0(2sL)`                    `log_shared_limit`       ``eq-re-bessel``
==================================  =======================  ========================

A covariance is the vector of the lags ``0 .. L-1`` of a stationary law (memory ``O(L)``), or a
symmetric matrix of shape ``(L, L)``; see :mod:`companion.expansion.alignment`. Derived here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import (
    finite_array,
    nonnegative_array,
)
from companion.expansion.energies import highest_order

__all__ = [
    "log_correlated_energy",
    "log_order_norms",
    "log_shared_limit",
]

Array = NDArray[np.float64]

_LARGEST = 2.0**400  # rows above are scaled down by a power of two, which keeps every bit
_FAR = 1100  # binary exponents further apart have no common digit
_DENSE = 200  # depth up to which eigenvalues are computed
_SLACK = 1e-9  # what rounding may make of 0


def log_order_norms(covariance: ArrayLike, orders: int) -> Array:
    r"""Natural log of :math:`N_k`, the energy of order ``k`` at branch scale 1.

    :math:`E\|s^kh^{(k)}\|^2/\|h_0\|^2\to s^{2k}N_k` as the width grows.

    Parameters
    ----------
    covariance
        Lags, shape ``(L,)``, or a symmetric matrix, shape ``(L, L)``.
    orders
        Highest order, at most ``L``.

    Returns
    -------
    Shape ``(orders + 1,)``; ``-inf`` for an order that vanishes.

    Raises
    ------
    ValueError
        If ``covariance`` has a wrong shape, is not symmetric or turns out to be indefinite.

    Notes
    -----
    Row by row with cumulative sums: time ``O(orders L^2)``, memory ``O(orders L)`` besides the
    covariance. Every order has its own binary exponent, so nothing overflows.
    """
    depth, row_of = covariance_rows(covariance)
    top = highest_order(orders, depth)
    # columns[k, j]: sum of M^(k+1) over the rows so far, the row index below the present one
    columns = np.zeros((max(top, 1), depth))
    exponent = np.zeros(max(top, 1), dtype=np.int64)
    for row in range(depth):
        c = row_of(row)
        born = min(row + 1, top)  # order k needs k rows
        if 0 < row < top:
            exponent[row] = exponent[row - 1]
        before = np.cumsum(columns[: max(born - 1, 0), :-1], axis=1)
        shift = np.clip(exponent[: max(born - 1, 0)] - exponent[1:born], -_FAR, _FAR)
        columns[1:born, 1:] += c[1:] * np.ldexp(before, shift[:, None])
        if top:
            columns[0] += np.ldexp(c, np.clip(-exponent[0], -_FAR, _FAR))
        change = np.frexp(np.max(np.abs(columns[:born]), axis=1, initial=0.0))[1]
        columns[:born] = np.ldexp(columns[:born], -change[:, None])
        exponent[:born] += change
    sums = _nonnegative(np.sum(columns, axis=1), np.sum(np.abs(columns), axis=1))
    with np.errstate(divide="ignore"):
        logs = np.log(sums) + math.log(2) * exponent
    return np.concatenate([[0.0], logs[:top]])


def log_correlated_energy(covariance: ArrayLike, scale: ArrayLike) -> Array:
    r"""Natural log of :math:`E\|h_L\|^2/\|h_0\|^2=K_{LL}`, all orders together, in the wide limit.

    :math:`K_{i+1,j+1}=K_{i+1,j}+K_{i,j+1}-K_{ij}+s^2C_{ij}K_{ij}` with ones on the border.

    Parameters
    ----------
    covariance
        Lags, shape ``(L,)``, or a symmetric matrix, shape ``(L, L)``.
    scale
        Branch scale, at least 0, any shape: all scales go through one pass.

    Returns
    -------
    Shape of ``scale``.

    Notes
    -----
    Row by row over one triangle, in rescaled numbers: time ``O(L^2)`` and memory ``O(L)`` per
    scale besides the covariance; a scale of any size is safe.
    """
    depth, row_of = covariance_rows(covariance)
    scales = nonnegative_array(scale, "scale")
    squares = scales.ravel()[:, None] ** 2
    rows = np.ones((squares.size, depth + 1))  # K_{row, 0..row}
    log_unit = np.zeros(squares.size)
    for row in range(depth):
        old = rows[:, : row + 1]
        steps = squares * row_of(row)[: row + 1] * old
        sums = np.cumsum(steps, axis=1)
        # K_{row+1,j+1} = K_{row,j+1} + sum of the steps up to j; the diagonal by symmetry twice
        diagonal = old[:, -1] + sums[:, -1] + (sums[:, -2] if row else 0.0)
        rows[:, 1 : row + 1] += sums[:, :-1]
        rows[:, row + 1] = diagonal
        largest = np.max(np.abs(rows[:, : row + 2]), axis=1)
        if np.any(largest > _LARGEST):
            shrink = np.where(largest > _LARGEST, -np.frexp(largest)[1], 0)
            rows = np.ldexp(rows, shrink[:, None])
            log_unit -= math.log(2) * shrink
    ends = _nonnegative(rows[:, depth], np.max(np.abs(rows), axis=1))
    with np.errstate(divide="ignore"):
        logs = np.log(ends) + log_unit
    return np.asarray(logs.reshape(scales.shape))[()]


def log_shared_limit(strength: ArrayLike) -> Array:
    r"""Natural log of :math:`I_0(2x)=\sum_kx^{2k}/k!^2`, one Gaussian matrix for all blocks.

    The limit of the energy at covariance 1 as the depth grows at fixed :math:`x=sL\sigma_w`.

    Parameters
    ----------
    strength
        ``x``, at least 0, any shape.
    """
    from scipy.special import i0e, ive

    x = nonnegative_array(strength, "strength")
    # ive gives up on arguments beyond 2^30, where i0e is as good
    scaled = np.where(x < 1e8, ive(0, 2 * np.minimum(x, 1e8)), i0e(2 * x))
    return np.asarray(np.log(scaled) + 2 * x)[()]


def covariance_rows(covariance: ArrayLike) -> tuple[int, Callable[[int], Array]]:
    """Depth, and the function that returns a row of the checked covariance."""
    c = finite_array(covariance, "covariance")
    if c.size == 0 or c.ndim not in (1, 2) or (c.ndim == 2 and c.shape[0] != c.shape[1]):
        raise ValueError(
            f"covariance must hold the lags 0..L-1 or be a square matrix, got shape {c.shape}; "
            "pass companion.depthlimits.layer_covariance(law, depth)"
        )
    variances = c[:1] if c.ndim == 1 else np.diag(c)
    if np.any(variances <= 0):
        raise ValueError(
            f"covariance must have positive variances, got {variances.min():g}; lag 0 comes first"
        )
    if c.ndim == 2:
        if not np.allclose(c, c.T, rtol=1e-12, atol=0.0):
            raise ValueError(
                f"covariance must be symmetric, got entries up to {np.max(np.abs(c - c.T)):g} "
                "apart; pass (C + C.T) / 2"
            )
        _check_definite(c)
        return c.shape[0], lambda row: np.asarray(c[row])
    _check_definite(c)
    mirrored = np.concatenate([c[:0:-1], c])  # lags -(L-1) .. L-1
    return c.size, lambda row: np.asarray(mirrored[c.size - 1 - row : 2 * c.size - 1 - row])


def _check_definite(c: Array) -> None:
    """Refuse what is no covariance: by all eigenvalues if it is small, else by what is cheap."""
    depth = len(c)
    if depth <= _DENSE:
        index = np.arange(depth)
        dense = c if c.ndim == 2 else c[np.abs(index[:, None] - index)]
        least = float(np.linalg.eigvalsh(dense)[0])
        if least < -_SLACK * float(np.trace(dense)):
            raise _impossible(f"it has the eigenvalue {least:g}")
    elif c.ndim == 1:
        if np.any(np.abs(c) > c[0] * (1 + _SLACK)):
            raise _impossible("two blocks have a correlation beyond 1")
    else:
        sizes = np.sqrt(np.diag(c)) * (1 + _SLACK)
        if any(np.any(np.abs(row) > size * sizes) for row, size in zip(c, sizes, strict=True)):
            raise _impossible("two blocks have a correlation beyond 1")


def _nonnegative(values: Array, sizes: Array) -> Array:
    """``values``, with 0 for negative ones that are rounding of terms of these sizes."""
    if np.any(values < -_SLACK * sizes):
        raise _impossible("it gives a squared norm a negative mean")
    return np.maximum(values, 0.0)


def _impossible(reason: str) -> ValueError:
    return ValueError(
        f"covariance must be positive semidefinite, but {reason}; check numpy.linalg.eigvalsh of "
        "the matrix, for lags that of scipy.linalg.toeplitz(lags)"
    )
