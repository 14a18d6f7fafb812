r"""Second moments of wide networks whose weights are correlated along depth.

Let one entry of the weights have covariance :math:`g(l-m)/n` between layers. In a wide ReLU network
:math:`K_{lm}=\langle h_l,h_m\rangle/n` obeys a closed recursion; its rows need the row before only.

Notation
--------
=====================================  ===============================  ============================
symbol                                 name                             book label
=====================================  ===============================  ============================
:math:`g(k)`                           ``covariance``, lags ``0..L-1``  ``eq-weight-covariance``
:math:`\alpha`                         ``scale``                        ``eq-residual-block``
:math:`\kappa,\ \kappa_0`              `kappa`, `kappa_zero`            ``eq-ld-kappa``
:math:`K_{lm}`                         `covariance_matrix`              ``eq-ld-covariance``
:math:`E\,\Delta_h^2=K_{LL}/K_{00}-1`  `log_displacement`               ``eq-ld-covariance``
:math:`E\,\Delta_p^2`                  `log_gradient_displacement`      ``eq-ld-backward-recursion``
=====================================  ===============================  ============================

Here :math:`\kappa(1)=\kappa_0(1)=\frac12`: half of the arc-cosine kernels of orders 1 and 0. The
recursions were derived for this book and tested against simulation.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import (
    choice,
    finite_array,
    nonnegative_array,
    positive_integer,
    real_number,
)
from companion.activations import abs_moment, sign_moment
from companion.weights import WeightLaw

__all__ = [
    "BLOCKS",
    "covariance_matrix",
    "kappa",
    "kappa_zero",
    "layer_covariance",
    "log_displacement",
    "log_gradient_displacement",
]

Array = NDArray[np.float64]

#: ``two-layer`` is V ReLU(W h), ``single`` is V ReLU(h).
BLOCKS = ("two-layer", "single")
_LARGEST = 2.0**400  # streams above are scaled down, by powers of four that keep every bit
_NEGLIGIBLE = 2.0**-450  # a standard deviation so far below the present one does not matter
_MOST_BYTES = 2**31


def kappa(rho: ArrayLike) -> Array:
    r""":math:`\kappa(\rho)=E[u_+u'_+]` of standard normals of correlation ``rho``.

    :math:`\frac1{2\pi}(\sqrt{1-\rho^2}+\rho(\pi-\arccos\rho))`, so :math:`\kappa(1)=\frac12`,
    :math:`\kappa(0)=\frac1{2\pi}`; values outside ``[-1, 1]`` are clipped (``eq-ld-kappa``).
    """
    r = np.clip(rho, -1.0, 1.0)
    return (abs_moment(r) + r) / 4


def kappa_zero(rho: ArrayLike) -> Array:
    r""":math:`\kappa_0(\rho)=P(u>0,u'>0)=\kappa'(\rho)`: ``1/2`` at 1, ``1/4`` at 0; clipped."""
    return (sign_moment(np.clip(rho, -1.0, 1.0)) + 1) / 4


def layer_covariance(law: WeightLaw, depth: int) -> Array:
    """Covariance ``g(0) .. g(depth - 1)`` of one entry of the weights of a network.

    Parameters
    ----------
    law
        Law of the weights along depth.
    depth
        Number of blocks ``L``; a smooth law depends on it, as its time is ``l / L``.
    """
    length = positive_integer(depth, "depth")
    return np.asarray(law.covariance(np.arange(length), length), dtype=np.float64)


def log_displacement(covariance: ArrayLike, scale: ArrayLike, block: str = "two-layer") -> Array:
    r"""Natural log of :math:`E\|h_l-h_0\|^2/\|h_0\|^2` at every layer of a wide ReLU network.

    Parameters
    ----------
    covariance
        ``g(0) .. g(L-1)``, shape ``(L,)``, ``g(0) > 0``. A variance ``g(0)`` other than 1 moves to
        the scale: once per random matrix of the block.
    scale
        Branch scale, at least 0, any shape: all scales go through one pass.
    block
        ``"two-layer"`` for V ReLU(W h), ``"single"`` for V ReLU(h); weights of variance 1/n.

    Returns
    -------
    Array of shape ``(*scale.shape, L)``, for ``h_1 .. h_L``; ``-inf`` at scale 0. Add up to the log
    norm by ``numpy.logaddexp(0, result)``. Logs are carried, so nothing overflows at scale 1.

    Raises
    ------
    ValueError
        If ``covariance`` is not one-dimensional, ``g(0)`` not positive or a scale negative.

    Notes
    -----
    Cost ``O(L^2)`` time and ``O(L)`` memory per scale (``alg-ld-rows``). Derived here.
    """
    g, strength, shape = _normalised(covariance, scale, block)
    rows = _Rows(g, strength, block)
    paths = np.empty((strength.size, g.size))
    for layer in range(g.size):
        paths[:, layer] = rows.advance(layer)
    return paths.reshape(*shape, g.size)


class _Rows:
    """The rows of ``C`` one after the other, for several scales at a time.

    Kept as ``C = base + excess`` with ``excess = 0`` in row and column 0, so that small
    displacements lose no digits.
    """

    def __init__(self, g: Array, strength: Array, block: str) -> None:
        scales, depth = strength.size, g.size
        self.reversed = np.ascontiguousarray(g[::-1])
        self.two_layer = block == "two-layer"
        self.strength = strength[:, None]  # alpha^2
        self.base = np.ones((scales, 1))
        self.excess = np.zeros((scales, depth + 1))
        self.deviation = np.ones((scales, depth + 1))  # sqrt(C_mm)
        self.inverse = np.ones((scales, depth + 1))
        self.log_unit = np.zeros(scales)

    def advance(self, layer: int) -> Array:
        """Turn row ``layer`` into the next one; log of ``C_ll - C_00`` over ``C_00`` there."""
        end = layer + 1
        lags = self.reversed[self.reversed.size - end :]  # g(layer), ..., g(0)
        own = self.deviation[:, layer : layer + 1]
        cosine = (self.excess[:, :end] + self.base) * self.inverse[:, :end]
        cosine *= self.inverse[:, layer : layer + 1]
        if self.two_layer:
            cosine *= lags
        np.clip(cosine, -1.0, 1.0, out=cosine)
        step = abs_moment(cosine)
        step += cosine
        step *= lags
        step *= self.deviation[:, :end]
        step *= self.strength * own / 4
        last = step[:, -1].copy()  # the diagonal, before the sum runs over it
        np.cumsum(step, axis=1, out=step)
        before = step[:, -2] if layer else 0.0
        diagonal = self.excess[:, layer] + 2 * before + last
        self.excess[:, 1:end] += step[:, :-1]
        self.excess[:, end] = diagonal
        root = np.sqrt(np.maximum(diagonal + self.base[:, 0], 0.0))
        self.deviation[:, end] = root
        self.inverse[:, end] = 1 / root
        with np.errstate(divide="ignore"):
            found = np.log(np.maximum(diagonal, 0.0)) + self.log_unit
        if np.max(root) > math.sqrt(_LARGEST):
            self._rescale(end)
        return np.asarray(found)

    def _rescale(self, end: int) -> None:
        """Divide everything by the power of four nearest to the present variance."""
        halving = np.round(np.log2(self.deviation[:, end]))
        factor = 2.0 ** -halving[:, None]
        self.deviation *= factor
        self.excess *= factor**2
        self.base *= factor**2
        self.log_unit += 2 * math.log(2) * halving
        visible = self.deviation > _NEGLIGIBLE
        self.inverse = np.divide(
            1.0, self.deviation, out=np.zeros_like(visible, float), where=visible
        )


def covariance_matrix(covariance: ArrayLike, scale: float, block: str = "two-layer") -> Array:
    r"""All of :math:`K_{lm}/K_{00}`, shape ``(L + 1, L + 1)``, linear; needs ``32 L^2`` bytes.

    Parameters as :func:`log_displacement`, for one scale.

    Raises
    ------
    ValueError
        As :func:`log_displacement`, or if the matrix would not fit into 2 GiB.
    OverflowError
        If the stream leaves the range of float64.
    """
    g, strength, _ = _normalised(covariance, real_number(scale, "scale", minimum=0.0), block)
    _check_memory(g.size, 4)
    rows = _Rows(g, strength, block)
    full = np.ones((g.size + 1, g.size + 1))
    for layer in range(g.size):
        rows.advance(layer)
        if rows.log_unit[0] != 0:
            raise OverflowError(
                f"the covariance leaves the range of float64 at layer {layer + 1} of {g.size}; use "
                "log_displacement, which carries logs, or a smaller scale"
            )
        full[layer + 1, : layer + 2] += rows.excess[0, : layer + 2]
    lower = np.tril(full)
    return lower + np.tril(lower, -1).T


def log_gradient_displacement(
    covariance: ArrayLike, scale: float, *, block: str = "two-layer", width: int | None = None
) -> Array:
    r"""Natural log of :math:`E\|p_l-p_L\|^2/\|p_L\|^2` at every layer, in the wide limit.

    Parameters
    ----------
    covariance, scale, block
        As :func:`log_displacement`, for one scale.
    width
        ``None`` for infinite width. A number keeps the ``1/n`` term of the transposed weights of a
        two-layer block (``eq-ld-backward``), which is exact to first order in the branch only.

    Returns
    -------
    Array of shape ``(L,)``, for ``p_0 .. p_{L-1}``: the first entry belongs to the input. Needs
    ``88 L^2`` bytes while it runs.

    Raises
    ------
    ValueError, OverflowError
        As :func:`covariance_matrix`.
    """
    g, strength, _ = _normalised(covariance, real_number(scale, "scale", minimum=0.0), block)
    _check_memory(g.size, 11)
    forward = covariance_matrix(covariance, scale, block)[:-1, :-1]
    deviation = np.sqrt(np.diag(forward))
    depth = g.size
    lags = g[np.abs(np.subtract.outer(np.arange(depth), np.arange(depth)))]
    rho = forward / deviation[:, None] / deviation
    np.fill_diagonal(rho, 1.0)  # kappa_0 has the slope of a square root there
    weight = _backward_weight(lags, rho, block, width)[::-1, ::-1] * strength[0]
    # Layers are counted from the output: row j is p_{L-j}, as the forward rows count from h_0.
    excess, logs = np.zeros(depth + 1), np.empty(depth)
    for row in range(depth):
        end = row + 1
        step = weight[row, :end] * (1.0 + excess[:end])
        sums = np.cumsum(step)
        diagonal = excess[row] + 2 * (sums[-2] if row else 0.0) + step[-1]
        excess[1:end] += sums[:-1]
        excess[end] = diagonal
        logs[row] = diagonal
    with np.errstate(divide="ignore"):
        return np.log(logs[::-1])


def _backward_weight(g: Array, rho: Array, block: str, width: int | None) -> Array:
    """What multiplies the covariance of two gradients in the covariance of their steps."""
    if block == "single":
        return np.asarray(g * kappa_zero(rho))
    share = 0.0 if width is None else 1 / positive_integer(width, "width")
    inner = g * rho
    return np.asarray(g * ((1 - share) * g * kappa_zero(inner) + share * kappa(inner)))


def _normalised(
    covariance: ArrayLike, scale: ArrayLike, block: str
) -> tuple[Array, Array, tuple[int, ...]]:
    """``g / g(0)``, squares of the scales that absorb ``g(0)`` (flat), and the scales' shape."""
    choice(block, "block", BLOCKS)
    g = finite_array(covariance, "covariance")
    if g.ndim != 1 or g.size == 0:
        raise ValueError(
            f"covariance must hold the lags 0..L-1 in one dimension, got shape {g.shape}; pass "
            "layer_covariance(law, depth)"
        )
    if g[0] <= 0:
        raise ValueError(
            f"covariance must start with the positive variance g(0), got {g[0]:g}; lag 0 comes "
            "first"
        )
    scales = nonnegative_array(scale, "scale")
    squares = scales.ravel() ** 2 * g[0] ** (2 if block == "two-layer" else 1)
    return g / g[0], squares, scales.shape


def _check_memory(depth: int, arrays: int) -> None:
    """Refuse what needs that many matrices of the whole covariance at a time."""
    if 8 * arrays * depth**2 > _MOST_BYTES:
        raise ValueError(
            f"covariance of depth {depth} needs {8 * arrays * depth**2 / 2**30:.1f} GiB, more "
            f"than {_MOST_BYTES / 2**30:.0f} GiB; use log_displacement, whose memory is O(depth)"
        )
