r"""The phase diagram of fractional weights: critical exponents as the depth grows, and before.

Weights are fractional Gaussian noise along depth, of Hurst index :math:`H` and unit variance in
every layer whatever the depth; the scale is :math:`\alpha=L^{-\beta}`.

Notation
--------
=====================================  ===================  =========================
symbol                                 name                 book label
=====================================  ===================  =========================
:math:`H`                              ``hurst``            ``eq-ld-fractional``
:math:`\beta_c`, forward and backward  `forward_exponent`,  ``prop-ld-phase``
                                       `backward_exponent`
:math:`c_f(H),\ c_b(H)`                `forward_constant`,  ``eq-ld-phase-constants``
                                       `backward_constant`
:math:`-d\ln\alpha^*/d\ln L`           `local_exponent`     ``eq-ld-local-exponent``
=====================================  ===================  =========================

Derived for this book to first order in the branch; the floor of single blocks at one quarter is a
heuristic of second order, supported by the recursion of ``eq-ld-covariance``, not a theorem.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from companion._validation import choice, positive_integer, real_number
from companion.depthlimits.correlated import BLOCKS, kappa, kappa_zero, layer_covariance
from companion.depthlimits.critical import FirstOrder, critical_scale
from companion.weights import FractionalNoise

__all__ = [
    "asymptotic_sums",
    "backward_constant",
    "backward_exponent",
    "contraction_log_norm",
    "forward_constant",
    "forward_exponent",
    "local_exponent",
]

Array = NDArray[np.float64]

_SUMMED_LAGS = 4000  # beyond, the expansion of the terms in 1/k is exact to 1e-14


def forward_exponent(hurst: float, block: str = "two-layer") -> float:
    r"""Critical exponent of the stream as :math:`L\to\infty`, at first order.

    :math:`\max(\frac12,H)` for two-layer blocks, whose fresh inner matrix destroys the cancellation
    of antipersistent weights; :math:`\max(H,\frac14)` for single blocks at infinite width
    (``prop-ld-phase``). At a depth of 1000 the boundary is elsewhere: see
    :func:`~companion.depthlimits.critical_exponent`.

    Raises
    ------
    ValueError
        If ``hurst`` is not inside ``(0, 1)`` or the block is another.
    """
    h = _hurst(hurst)
    floor = 0.5 if choice(block, "block", BLOCKS) == "two-layer" else 0.25
    return max(h, floor)


def backward_exponent(hurst: float, width: int | None = None) -> float:
    r"""Critical exponent of the gradient of two-layer blocks as :math:`L\to\infty`, first order.

    :math:`\max(\frac12,2H-1)` at infinite width (``None``): the transposed weights bring a second
    factor of the covariance. At a fixed width a term with prefactor ``1/n`` restores
    :math:`\max(\frac12,H)` (``prop-ld-phase``).
    """
    h = _hurst(hurst)
    if width is None:
        return max(0.5, 2 * h - 1)
    positive_integer(width, "width")
    return max(0.5, h)


def forward_constant(hurst: float) -> float:
    r""":math:`c_f(H)=\sum_{k\in\mathbb Z}\gamma_H(k)[\kappa(\gamma_H(k))-\frac1{2\pi}]`.

    For two-layer blocks :math:`\mathcal S\simeq c_fL+L^{2H}/2\pi` (``eq-ld-phase-constants``);
    the series needs ``hurst < 3/4``. Accurate to about 1e-13.
    """
    return _series(hurst, lambda g: kappa(g) - 1 / (2 * math.pi), 1 / (4 * math.pi), 12)


def backward_constant(hurst: float) -> float:
    r""":math:`c_b(H)=\sum_{k\in\mathbb Z}\gamma_H(k)^2\kappa_0(\gamma_H(k))`.

    :math:`\mathcal S_p\simeq c_bL` at infinite width (``eq-ld-phase-constants``), for
    ``hurst < 3/4``. Accurate to about 1e-13.
    """
    return _series(hurst, lambda g: g * kappa_zero(g), 1 / (2 * math.pi), 6)


def asymptotic_sums(hurst: float, depth: int) -> FirstOrder:
    r"""Large-depth form of both first-order sums of two-layer blocks at infinite width.

    Forward :math:`c_fL+L^{2H}/2\pi` below ``H = 3/4``, the second term alone above; backward
    :math:`c_bL` below 3/4 and
    :math:`\frac{H^2(2H-1)^2}{2(4H-3)(4H-2)}L^{4H-2}` above (``eq-ld-phase-constants``).

    Raises
    ------
    ValueError
        At ``hurst = 3/4``, where the backward sum grows like ``L log L``.
    """
    h, length = _hurst(hurst), positive_integer(depth, "depth")
    power = length ** (2 * h) / (2 * math.pi)
    if h < 0.75:
        return FirstOrder(forward_constant(h) * length + power, backward_constant(h) * length)
    if h == 0.75:
        raise ValueError(
            "hurst must not be 3/4, where the backward sum has a logarithm; use first_order_sums"
        )
    constant = (h * (2 * h - 1)) ** 2 / (2 * (4 * h - 3) * (4 * h - 2))
    return FirstOrder(power, constant * length ** (4 * h - 2))


def local_exponent(
    hurst: float,
    depths: tuple[int, int],
    block: str = "two-layer",
    *,
    level: float = 1.0,
    gradient: bool = False,
) -> float:
    r""":math:`-\ln(\alpha^*_2/\alpha^*_1)/\ln(L_2/L_1)` between two depths, at infinite width.

    Parameters
    ----------
    hurst
        Hurst index in ``(0, 1)``.
    depths
        Two different depths.
    block, level, gradient
        As in :func:`~companion.depthlimits.critical_scale`.
    """
    first, second = (positive_integer(depth, "every depth") for depth in depths)
    if first == second:
        raise ValueError(f"depths must differ, got {first} twice; a slope needs two points")
    law = FractionalNoise(hurst=_hurst(hurst))
    scales = [
        critical_scale(layer_covariance(law, depth), block, level=level, gradient=gradient)
        for depth in (first, second)
    ]
    return -math.log(scales[1] / scales[0]) / math.log(second / first)


def contraction_log_norm(alpha: float, depth: int, width: int) -> float:
    r""":math:`\ln\|h_L\|/\|h_0\|\simeq-\alpha^2L/2n` of single linear blocks with ``H < 1/2``.

    Leading order between :math:`\max(H,\frac14)` and :math:`\frac12`: a sum of Itô type differs
    from that of Stratonovich by half the quadratic variation (``eq-ld-contraction``). The remainder
    is of order :math:`(\alpha L^H)^2`.
    """
    scale = real_number(alpha, "alpha", minimum=0.0)
    return -(scale**2) * positive_integer(depth, "depth") / (2 * positive_integer(width, "width"))


def _hurst(hurst: float) -> float:
    h = real_number(hurst, "hurst", minimum=0.0, strict=True)
    if h >= 1:
        raise ValueError(f"hurst must be less than 1, got {h:g}; 1/2 is independence")
    return h


def _series(hurst: float, function: Callable[[Array], Array], cubic: float, ratio: float) -> float:
    r"""Sum over all lags of :math:`\gamma f(\gamma)`, with :math:`f=\frac\gamma4+\dots` at 0.

    ``cubic`` is the coefficient of :math:`\gamma^3` in :math:`\gamma f(\gamma)`, and that of
    :math:`\gamma^5` is ``ratio`` times smaller. The tail uses
    :math:`\gamma_H(k)=ak^{2H-2}(1+bk^{-2}+\dots)` and Hurwitz zeta functions.
    """
    from scipy.special import zeta

    h = _hurst(hurst)
    if h >= 0.75:
        raise ValueError(f"hurst must be below 3/4 for the sum over lags to converge, got {h:g}")
    lags = np.arange(_SUMMED_LAGS)
    g = np.asarray(FractionalNoise(hurst=h).covariance(lags), dtype=np.float64)
    terms = g * function(g)
    body = float(terms[0] + 2 * math.fsum(terms[1:]))
    a, b = h * (2 * h - 1), (2 * h - 2) * (2 * h - 3) / 12
    start = _SUMMED_LAGS
    tail = a**2 / 4 * (zeta(4 - 4 * h, start) + 2 * b * zeta(6 - 4 * h, start))
    tail += cubic * a**3 * (zeta(6 - 6 * h, start) + 3 * b * zeta(8 - 6 * h, start))
    tail += cubic / ratio * a**5 * zeta(10 - 10 * h, start)
    return body + 2 * float(tail)
