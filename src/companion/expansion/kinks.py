r"""ReLU networks: where the expansion at branch scale 0 stops being the network, and by how much.

Up to the first kink, the least positive scale :math:`s_*` at which a preactivation changes sign,
a bias-free ReLU network is a polynomial in ``s``: its expansion. Beyond, the expansion keeps the
masks of ``h_0`` ("frozen") while the network does not.

Notation
--------
===============================================  ====================  ====================
symbol                                           name                  book label
===============================================  ====================  ====================
:math:`\omega_l=s_l/s`, :math:`\bar\omega^2=1`   ``profile``           ``eq-re-model``
:math:`n\sqrt c\,\sum_l\Omega_l^{1/2}/\pi`       `FirstKink.rate`      ``eq-re-kink``
:math:`\frac4{3\pi}c^{5/2}s^5\sum_l(l-1)^{3/2}`  `remainder_leading`   ``eq-re-remainder``
:math:`R_K=\sum_{k>K}E_k+2\sum_{k\le K}d_k`      `remainder_energies`  ``eq-re-frozen-gap``
:math:`d_k`                                      ``deficits``          ``eq-re-frozen-gap``
:math:`m_k`                                      ``crossing``          ``eq-re-frozen-gap``
===============================================  ====================  ====================

:math:`\Omega_l=\sum_{i<l}\omega_i^2` is :math:`l-1` for equal scales. The first kink is the leading
order in ``s``; the remainders :math:`R_K` are exact in the limit of large width. Derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import nonnegative_array, real_number
from companion.activations import LeakyReLU, Linear, ReLU, arc_cosine_excess
from companion.architecture import ResNetSpec
from companion.expansion.energies import (
    block_ratios,
    highest_order,
    log_order_energies,
)

__all__ = [
    "FirstKink",
    "first_kink",
    "gap_energy",
    "remainder_energies",
    "remainder_leading",
]

Array = NDArray[np.float64]

#: Below this angle theta - sin(theta) cos(theta) is summed as a series.
_SERIES_BELOW = 0.5
_SERIES = [(-1) ** k * 4.0**k / math.factorial(2 * k + 1) for k in range(1, 12)]
_LARGEST_LOG = 300.0


@dataclass(frozen=True)
class FirstKink:
    """Exponential law of the first kink, in units of the branch scale ``s``.

    Parameters
    ----------
    rate
        Positive: expected number of sign changes per unit of the scale, near 0.

    Raises
    ------
    ValueError
        If ``rate`` is not positive.
    """

    rate: float

    def __post_init__(self) -> None:
        real_number(self.rate, "rate", minimum=0.0, strict=True)

    @property
    def mean(self) -> float:
        """Mean of the first kink."""
        return 1 / self.rate

    @property
    def median(self) -> float:
        """Median of the first kink, robust against the exponential tail."""
        return math.log(2) / self.rate

    def cdf(self, scale: ArrayLike) -> Array:
        """Probability that some unit has changed sign at this scale, at least 0, any shape."""
        return -np.expm1(-self.rate * nonnegative_array(scale, "scale"))[()]

    def survival(self, scale: ArrayLike) -> Array:
        """Probability that the expansion is still the network at this scale."""
        return np.exp(-self.rate * nonnegative_array(scale, "scale"))[()]


def first_kink(spec: ResNetSpec) -> FirstKink:
    r"""Law of the first kink :math:`s_*` of a wide two-layer ReLU network, for one input.

    Each preactivation is :math:`z_0+sz_1` to leading order, with independent normals whose ratio
    is a Cauchy variable; sign changes are then a Poisson process near 0.

    Parameters
    ----------
    spec
        Two-layer ReLU or leaky ReLU, bias-free, skip 1. The value of a common branch scale does not
        matter; scales that differ are written as their root mean square times a profile, and the
        law is that of the root mean square.

    Raises
    ------
    ValueError
        If the network is another one, or has fewer than two blocks: the first block has no kink.
    """
    _check(spec)
    if _jump(spec) == 0:
        raise ValueError(
            f"activation must have a kink, got {spec.activation!r}; slope 1 is linear, use "
            "another slope"
        )
    profile = _profile(spec)
    before = np.concatenate([[0.0], np.cumsum(profile[:-1] ** 2)])
    crossings = float(np.sum(np.sqrt(before)))
    if crossings == 0:
        raise ValueError(
            f"depth must be at least 2 with two positive scales, got {spec.describe()}; the first "
            "block sees h_0 at every scale, so its units never change sign"
        )
    return FirstKink(spec.width * math.sqrt(float(spec.gain())) * crossings / math.pi)


def remainder_leading(spec: ResNetSpec) -> float:
    r"""Leading term of the mean squared remainder after order 2 (or higher) at small scale.

    :math:`\frac{4c^{5/2}}{3\pi}s^5\sum_l(l-1)^{3/2}\approx\frac8{15\pi}(c\hat s^2)^{5/2}` with
    :math:`\hat s=s\sqrt L` for ReLU, relative to :math:`\|h_0\|^2`; a leaky ReLU of slope
    :math:`\eta` has the factor :math:`(1-\eta)^2/(1+\eta^2)`. The order is odd in ``s``: units that
    changed sign contribute, and no smooth remainder has this power.

    Parameters
    ----------
    spec
        Two-layer ReLU or leaky ReLU, bias-free, skip 1, at its scale.

    Raises
    ------
    ValueError
        If the network is another one.
    """
    _check(spec)
    ratios = block_ratios(spec)
    before = np.concatenate([[0.0], np.cumsum(ratios[:-1])])
    return float(4 / (3 * math.pi) * _jump(spec) * np.sum(ratios * before**1.5))


def remainder_energies(spec: ResNetSpec, orders: int) -> Array:
    r"""Mean squared remainder :math:`R_K` after order ``K = 0 .. orders``, in the wide limit.

    :math:`R_K=E\|h_L-\sum_{k\le K}s^kh^{(k)}\|^2/\|h_0\|^2`, frozen masks, exact at every scale.

    Parameters
    ----------
    spec
        Two-layer ReLU, leaky ReLU or linear, bias-free, skip 1, at its scale.
    orders
        Highest order, at most the depth.

    Returns
    -------
    Shape ``(orders + 1,)``. No cancellation: relative accuracy also at tiny scales.

    Raises
    ------
    ValueError
        If the network is another one.
    OverflowError
        If the energy leaves the range of float64.

    Notes
    -----
    :math:`d_k=E\langle s^kh^{(k)},s^kh^{(k)}-h_L\rangle/\|h_0\|^2` follows from the joint normal
    law of three preactivations of one unit: of the network, of :math:`h_0` and of :math:`h^{(k)}`.
    Block ``l`` maps :math:`d_k\to d_k+x_l(d_{k-1}+2m_{k-1})`, where :math:`m_k` is the mean product
    of the first and the third over the units that went from on to off; a leaky ReLU of slope
    :math:`\eta` has :math:`m_k` times :math:`(1-\eta)^2/(1+\eta^2)`. Time
    ``O(L orders)``.
    """
    _check(spec, linear=True)
    top = highest_order(orders, spec.depth)
    energies = np.exp(_tame(log_order_energies(spec)))
    tails = np.concatenate([np.cumsum(energies[::-1])[::-1], [0.0]])
    return tails[1 : top + 2] + 2 * np.cumsum(_deficits(spec, top))


def gap_energy(spec: ResNetSpec) -> float:
    """Mean squared distance between network and the sum of all orders at frozen masks.

    Relative to the squared norm of ``h_0``; parameters and errors as `remainder_energies`. The two
    have the same energy, and are different vectors.
    """
    return float(remainder_energies(spec, spec.depth)[-1])


def _deficits(spec: ResNetSpec, top: int) -> Array:
    """``d_0 .. d_top`` after the last block."""
    jump = _jump(spec)
    grown = 0.0  # E|h_l|^2/|h_0|^2 - 1, without the 1 that would hide its digits
    energies, deficits = np.zeros(top + 1), np.zeros(top + 1)
    energies[0] = 1.0
    for ratio in block_ratios(spec):
        crossing = _crossing(grown, energies - deficits)
        step = ratio * (deficits + jump * 2 * crossing)
        deficits[1:] += step[:-1]
        energies[1:] += ratio * energies[:-1]
        grown += ratio * (1 + grown)
    return deficits


def _crossing(grown: float, overlaps: Array) -> Array:
    r"""``E[u v_k; u < 0 < w]``, the mean product over the units that changed sign.

    ``u, w, v_k`` are preactivations (of unit variance at :math:`h_0`) of the stream, of
    :math:`h_0` and of order ``k``: ``Var u = 1 + grown``, ``Cov(u, w) = 1``; ``Cov(u, v_k)`` is
    ``overlaps``, and ``Cov(w, v_k)`` is 0 but for ``v_0 = w``.
    """
    if grown == 0:
        return np.zeros_like(overlaps)
    variance = 1 + grown
    theta = math.atan(math.sqrt(grown))  # angle between the streams: cos = variance^(-1/2)
    excess = float(arc_cosine_excess(theta)) / 2  # -E[u w; .] over the standard deviation of u
    own = _angle_excess(theta) / (2 * math.pi)  # E[u^2; .] / variance
    products = overlaps / grown * (variance * own + math.sqrt(variance) * excess)
    products[0] = -math.sqrt(variance) * excess
    return products


def _angle_excess(theta: float) -> float:
    r""":math:`\theta-\sin\theta\cos\theta\approx\frac23\theta^3`, to full relative accuracy."""
    if theta > _SERIES_BELOW:
        return theta - math.sin(theta) * math.cos(theta)
    square = theta * theta
    return -theta * sum(a * square**k for k, a in enumerate(_SERIES, start=1))


def _jump(spec: ResNetSpec) -> float:
    r"""Squared jump of the slope over :math:`1+\eta^2`: 1 for ReLU."""
    if isinstance(spec.activation, LeakyReLU):
        eta = spec.activation.slope
        return (1 - eta) ** 2 / (1 + eta**2)
    return 1.0 if isinstance(spec.activation, ReLU) else 0.0


def _profile(spec: ResNetSpec) -> Array:
    """Scales over their root mean square; ones if all are 0."""
    scales = spec.scales
    size = math.sqrt(float(np.mean(scales**2)))
    return scales / size if size > 0 else np.ones(spec.depth)


def _tame(logs: Array) -> Array:
    if np.max(logs) > _LARGEST_LOG:
        raise OverflowError(
            f"the orders have energies up to exp({np.max(logs):.0f}); use a smaller scale, the "
            "expansion is far from the network there"
        )
    return logs


def _check(spec: ResNetSpec, linear: bool = False) -> None:
    kinds = (ReLU, LeakyReLU, Linear) if linear else (ReLU, LeakyReLU)
    if not isinstance(spec.activation, kinds) or spec.block != "two-layer":
        raise ValueError(
            f"network must have two-layer ReLU or leaky ReLU blocks, got block={spec.block!r} with "
            f"activation={spec.activation!r}; smooth activations have no kinks"
        )
    if spec.skip != 1 or spec.balanced:
        raise ValueError(
            f"network must have skip 1 and balanced=False, got skip={spec.skip:g} and "
            f"balanced={spec.balanced}; rescale the network by spec.normalized_coefficients()"
        )
    block_ratios(spec)  # refuses biases and correlated layers
