r"""Where the branch scale is critical: first-order sums, and the root of the full recursion.

Notation
--------
=================================  ======================  ========================
symbol                             name                    book label
=================================  ======================  ========================
:math:`\mathcal S,\ \mathcal S_p`  `first_order_sums`      ``eq-ld-first-order``
:math:`\alpha^*,\ \beta^*`         `critical_scale`,       ``eq-ld-critical-scale``
                                   `critical_exponent`
:math:`\ln\mathcal S/(2\ln L)`     `first_order_exponent`  ``eq-ld-finite-size``
=================================  ======================  ========================

Derived for this book and tested against simulation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from companion._validation import real_number
from companion.depthlimits.correlated import (
    _backward_weight,
    _normalised,
    kappa,
    log_displacement,
    log_gradient_displacement,
)

__all__ = [
    "FirstOrder",
    "critical_exponent",
    "critical_scale",
    "first_order_exponent",
    "first_order_sums",
]


class FirstOrder(NamedTuple):
    r"""Leading order: :math:`E\,\Delta_h^2\simeq\alpha^2\mathcal S`, the gradient likewise."""

    forward: float
    backward: float


def first_order_sums(
    covariance: ArrayLike, block: str = "two-layer", width: int | None = None
) -> FirstOrder:
    r"""Sums of the leading order in :math:`\alpha` of both mean square displacements.

    With :math:`w_0=L,\ w_k=2(L-k)`, for two-layer blocks
    :math:`\mathcal S=\sum_kw_kg\,\kappa(g)`, exact at every width, and
    :math:`\mathcal S_p=\sum_kw_kg[(1-\frac1n)g\,\kappa_0(g)+\frac1n\kappa(g)]`; for single blocks
    both are :math:`\frac12\sum_kw_kg` (wide limit).

    Parameters
    ----------
    covariance
        ``g(0) .. g(L-1)``, shape ``(L,)``; normal weights.
    block
        ``"two-layer"`` or ``"single"``.
    width
        ``n`` in the backward sum, ``None`` for infinite width.
    """
    g, unit, _ = _normalised(covariance, 1.0, block)
    weights = 2.0 * np.arange(g.size, 0, -1)
    weights[0] = g.size
    weights *= unit[0]
    if block == "single":
        total = float(np.sum(weights * g)) / 2
        return FirstOrder(total, total)
    backward = _backward_weight(g, np.ones_like(g), block, width)
    return FirstOrder(float(np.sum(weights * g * kappa(g))), float(np.sum(weights * backward)))


def critical_scale(
    covariance: ArrayLike,
    block: str = "two-layer",
    *,
    level: float = 1.0,
    gradient: bool = False,
    width: int | None = None,
) -> float:
    r"""Scale :math:`\alpha^*` at which the mean square displacement reaches ``level``.

    Parameters
    ----------
    covariance, block
        As :func:`~companion.depthlimits.log_displacement`.
    level
        :math:`E\,\Delta_h^2`, positive.
    gradient
        Take :math:`E\,\Delta_p^2` instead; ``width`` then as in
        :func:`~companion.depthlimits.log_gradient_displacement`.

    Raises
    ------
    ValueError
        If ``level`` is not positive, or as :func:`~companion.depthlimits.log_displacement`.
    OverflowError
        With ``gradient``, if the search for a high level leaves the range of float64.
    """
    from scipy.optimize import brentq

    target = math.log(real_number(level, "level", minimum=0.0, strict=True))
    seen: dict[float, float] = {}

    def excess(log_scale: float) -> float:
        if log_scale not in seen:
            scale = math.exp(log_scale)
            if gradient:
                logs = log_gradient_displacement(covariance, scale, block=block, width=width)
                seen[log_scale] = float(logs[0]) - target
            else:
                seen[log_scale] = float(log_displacement(covariance, scale, block)[-1]) - target
        return seen[log_scale]

    start = (target - _log_sum(covariance, block, gradient, width)) / 2
    low, high = _bracket(excess, start)
    return math.exp(brentq(excess, low, high, xtol=1e-12, rtol=1e-13))


def _bracket(function: Callable[[float], float], start: float) -> tuple[float, float]:
    """Ends between which a function changes sign that rises with slope 2 or a little more."""
    value = function(start)
    if value == 0:
        return start, start
    other = start - value / 2
    for _ in range(60):
        if function(other) * value <= 0:
            return min(start, other), max(start, other)
        other -= value / 2
    raise ArithmeticError("no scale reaches the level; the displacement does not grow with it")


def critical_exponent(
    covariance: ArrayLike,
    block: str = "two-layer",
    *,
    level: float = 1.0,
    gradient: bool = False,
    width: int | None = None,
) -> float:
    r""":math:`\beta^*=-\ln\alpha^*/\ln L`: the exponent whose scale :math:`L^{-\beta}` is critical.

    Parameters and errors as :func:`critical_scale`; the depth must be at least 2
    (``eq-ld-critical-scale``).
    """
    depth = np.size(covariance)
    if depth < 2:
        raise ValueError(
            f"covariance must have at least 2 lags to define an exponent, got {depth}; at depth 1 "
            "every L**-beta is 1, use critical_scale"
        )
    found = critical_scale(covariance, block, level=level, gradient=gradient, width=width)
    return -math.log(found) / math.log(depth)


def first_order_exponent(
    covariance: ArrayLike,
    block: str = "two-layer",
    *,
    gradient: bool = False,
    width: int | None = None,
) -> float:
    r""":math:`\ln\mathcal S/(2\ln L)`, where :math:`\alpha^2\mathcal S=1` at this depth.

    A prediction of the boundary that needs one sum; it lies .01 to .03 low, as a displacement of 1
    is past first order (``eq-ld-finite-size``).

    Parameters
    ----------
    covariance
        ``g(0) .. g(L-1)``, at least two lags.
    block, width
        As in :func:`first_order_sums`.
    gradient
        Take the backward sum.
    """
    depth = np.size(covariance)
    if depth < 2:
        raise ValueError(f"covariance must have at least 2 lags to define an exponent, got {depth}")
    return _log_sum(covariance, block, gradient, width) / (2 * math.log(depth))


def _log_sum(covariance: ArrayLike, block: str, gradient: bool, width: int | None) -> float:
    sums = first_order_sums(covariance, block, width)
    total = sums.backward if gradient else sums.forward
    if not 0 < total < math.inf:
        raise ValueError(
            f"covariance must have a positive first-order sum, got {total:g}; it is the covariance "
            "of no process whose layers add up to something, or of weights far from unit variance"
        )
    return math.log(total)
