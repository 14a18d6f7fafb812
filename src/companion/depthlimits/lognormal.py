r"""Law of the log norm of two-layer ReLU networks with i.i.d. weights: limit and moments.

Notation
--------
================================  =========================  =======================
symbol                            name                       book label
================================  =========================  =======================
:math:`\tau=\sum_l\alpha_l^2`     ``clock``                  ``eq-ld-scaling``
:math:`\ln(\|h_L\|^2/\|h_0\|^2)`  the variable of every law  ``eq-ld-log-normal``
:math:`E\|h_L\|^4/\|h_0\|^4`      `log_fourth_moment`        ``eq-ld-fourth-moment``
================================  =========================  =======================

Derived for this book and tested against simulation; that the limit at :math:`\beta=\frac12` is a
stochastic differential equation is stated in the abstract of Marion, Fermanian, Biau and Vert.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion.activations import ReLU
from companion.architecture import ResNetSpec
from companion.depthlimits.moments import _require, _require_block, _require_closed, _slope

__all__ = [
    "LEAST_GROWING_WIDTH",
    "LimitLaw",
    "limit_law",
    "log_fourth_moment",
    "stagnation_bound",
]

Array = NDArray[np.float64]

#: Least width at which the typical norm grows: the mean of the log grows like ``1 - 2/n``. At width
#: 2 it has no drift, at 1 the norm tends to 0 in probability while its second moment explodes.
LEAST_GROWING_WIDTH = 3


class _MeanAndVariance(Protocol):
    @property
    def mean(self) -> float: ...

    @property
    def variance(self) -> float: ...


@dataclass(frozen=True)
class LimitLaw:
    r"""Normal law of :math:`\ln(\|h_L\|^2/\|h_0\|^2)`: natural log, squared norm.

    ``of_norm()`` is the law of the log of the norm itself, as in a histogram of
    :math:`\|h_L\|/\|h_0\|`, which is then log-normal.
    """

    mean: float
    variance: float

    @property
    def std(self) -> float:
        """Standard deviation."""
        return math.sqrt(self.variance)

    def of_norm(self) -> LimitLaw:
        """Law of half the variable: mean halved, variance divided by four."""
        return LimitLaw(self.mean / 2, self.variance / 4)

    def pdf(self, x: ArrayLike) -> Array:
        """Density at ``x``."""
        t = np.asarray(x, dtype=np.float64) - self.mean
        return np.exp(-(t**2) / (2 * self.variance)) / math.sqrt(2 * math.pi * self.variance)

    def cdf(self, x: ArrayLike) -> Array:
        """Distribution function at ``x``."""
        from scipy.special import ndtr

        return np.asarray(ndtr((np.asarray(x, dtype=np.float64) - self.mean) / self.std))

    def quantile(self, probability: ArrayLike) -> Array:
        """Inverse of :meth:`cdf`."""
        from scipy.special import ndtri

        return self.mean + self.std * np.asarray(ndtri(probability))


def limit_law(spec: ResNetSpec) -> LimitLaw:
    r"""Limit :math:`N(c\tau(1-\frac2n),\,\frac{4c\tau}n)` of the log squared norm of the stream.

    As :math:`L\to\infty` with :math:`\tau=\sum_l\alpha_l^2` fixed, at any fixed width, for
    symmetric i.i.d. entries with a finite fourth moment; two-layer blocks with ReLU
    (:math:`c=\frac12`), leaky ReLU or linear, and linear single blocks. The gradient's
    :math:`\ln(\|p_0\|^2/\|p_L\|^2)` has the same limit (``thm-ld-log-normal``).

    Raises
    ------
    ValueError
        As :func:`~companion.depthlimits.log_second_moment`.
    """
    _require_closed(spec)
    rate = float(spec.gain()) * float(np.sum(spec.scales**2))
    return LimitLaw(rate * (1 - 2 / spec.width), 4 * rate / spec.width)


def stagnation_bound(law: _MeanAndVariance) -> float:
    r"""Chebyshev's bound on the probability that the log squared norm stays below half its mean.

    ``min(1, 4 variance / mean**2)``; with :func:`limit_law` it is
    :math:`8/(n\tau(\frac12-\frac1n)^2)` for ReLU (``eq-ld-stagnation``), with ``exact_law`` it
    holds at finite depth.

    Raises
    ------
    ValueError
        If the mean is not positive: below width 3 nothing explodes in probability.
    """
    if law.mean <= 0:
        raise ValueError(
            f"the mean of the log norm must be positive, got {law.mean:.4g}; the typical norm "
            f"grows from width {LEAST_GROWING_WIDTH} on"
        )
    return min(1.0, 4 * law.variance / law.mean**2)


def log_fourth_moment(spec: ResNetSpec) -> float:
    r"""Natural log of :math:`E\|h_L\|^4/\|h_0\|^4`, exact for normal i.i.d. two-layer networks.

    For ReLU each block contributes
    :math:`1+\alpha^2(1+\frac2n)+\alpha^4(1+\frac2n)(\frac14+\frac5{4n})`
    (``eq-ld-fourth-moment``); leaky ReLU and linear blocks are included.
    """
    _require(spec)
    _require_block(spec, "two-layer", "log_fourth_moment")
    _require_normal(spec)
    n, slope = spec.width, _slope(spec)
    first = (1 + slope**2) / 2  # E y of the hidden layer
    second = 3 * (1 + slope**4) / (2 * n) + (1 - 1 / n) * first**2  # E y^2
    square = spec.scales**2 * spec.weight_variance * spec.outer_variance
    excess = (1 + 2 / n) * (2 * square * first + square**2 * second)
    return float(np.sum(np.log1p(excess)))


def _layer_squares(spec: ResNetSpec) -> Array:
    """Squares of the scales with both variances, for a network whose ratios are independent."""
    _require(spec)
    _require_block(spec, "two-layer", "the exact law")
    _require_normal(spec)
    if not isinstance(spec.activation, ReLU):
        raise ValueError(
            f"activation must be ReLU for the exact law, got {spec.activation!r}; limit_law and "
            "log_fourth_moment take leaky ReLU and linear blocks"
        )
    return np.asarray(spec.scales**2 * spec.weight_variance * spec.outer_variance)


def _require_normal(spec: ResNetSpec) -> None:
    if not spec.weight_law.gaussian:
        raise ValueError(
            f"weight_law must be normal for an exact law, got {spec.weight_law!r}; pass "
            "law=IID('gaussian')"
        )
