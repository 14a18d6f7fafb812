r"""Exact law of the log norm of two-layer ReLU networks with normal i.i.d. weights.

Notation
--------
=================================  ======================  ====================
symbol                             name                    book label
=================================  ======================  ====================
:math:`\ln(\|h_L\|^2/\|h_0\|^2)`   variable of `ExactLaw`  ``eq-ld-log-normal``
:math:`R=\|h_{l+1}\|^2/\|h_l\|^2`  of one block            ``eq-ld-one-layer``
=================================  ======================  ====================

The ratios :math:`R` of the blocks are independent, so the characteristic function of the log norm
is a product. Derived for this book and tested.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import finite_array
from companion.architecture import ResNetSpec
from companion.depthlimits._layer import LayerRule, layer_rule
from companion.depthlimits.lognormal import _layer_squares

__all__ = ["ExactLaw", "exact_law"]

Array = NDArray[np.float64]

#: Half-width of the grid of `exact_law`, in standard deviations.
_REACH = 14.0
_MOST_POINTS = 2**14
#: Modulus at which the characteristic function counts as having decayed.
_DECAYED = 1e-15
#: Largest numerical error of the density, in units of its scale, that is let through.
_LARGEST_ERROR = 1e-4


@dataclass(frozen=True, eq=False)
class ExactLaw:
    r"""Exact law of :math:`\ln(\|h_L\|^2/\|h_0\|^2)` at finite width and depth.

    Attributes
    ----------
    mean, variance
        Of the log squared norm, natural log.
    x, density
        Equally spaced grid 14 standard deviations to either side, and the density on it.
    error
        Largest change of the density, times the standard deviation, when every quadrature rule is
        thinned: a bound on the numerical error, not on a statistical one.
    """

    mean: float
    variance: float
    x: Array
    density: Array
    error: float

    @property
    def std(self) -> float:
        """Standard deviation."""
        return math.sqrt(self.variance)

    def pdf(self, x: ArrayLike) -> Array:
        """Density at ``x``; 0 outside the grid."""
        t = np.asarray(x, dtype=np.float64)
        inside = (t >= self.x[0]) & (t <= self.x[-1])
        density = self._spline()(np.clip(t, self.x[0], self.x[-1]))
        return np.where(inside, np.maximum(density, 0.0), np.where(np.isnan(t), t, 0.0))[()]

    def cdf(self, x: ArrayLike) -> Array:
        """Distribution function at ``x``."""
        t = np.clip(np.asarray(x, dtype=np.float64), self.x[0], self.x[-1])
        return np.clip(self._spline().antiderivative()(t), 0.0, 1.0)

    def quantile(self, probability: ArrayLike) -> Array:
        """Inverse of :meth:`cdf` by bisection, to 1e-12 standard deviations."""
        p = finite_array(probability, "probability")
        if np.any((p <= 0) | (p >= 1)):
            raise ValueError(
                "probability must lie inside (0, 1); quantiles at 0 and 1 are infinite"
            )
        low, high = np.full(p.shape, self.x[0]), np.full(p.shape, self.x[-1])
        integral = self._spline().antiderivative()
        for _ in range(50):
            middle = (low + high) / 2
            below = integral(middle) < p
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return (low + high) / 2

    def _spline(self) -> Any:
        from scipy.interpolate import make_interp_spline

        return make_interp_spline(self.x, self.density, k=5)


def exact_law(spec: ResNetSpec) -> ExactLaw:
    r"""Exact law of the log squared norm of a normal i.i.d. two-layer ReLU network, any width.

    The characteristic function of one block's :math:`\ln R` (``eq-ld-one-layer``), by Gauss
    quadrature over the hidden layer and the outer noise, is raised to the number of blocks and
    inverted by one fast Fourier transform: no simulation, and the cost does not depend on depth
    (equal scales).

    Raises
    ------
    ValueError
        If the network is of another kind, has no branch, or is so shallow or so narrow that its law
        is not smooth; then use ``sample_log_norm``.

    Notes
    -----
    ``alg-ld-exact-law``, derived here.
    """
    strengths = _strengths(spec)
    fine = {a: layer_rule(a, spec.width) for a in strengths}
    mean = sum(k * fine[a].mean for a, k in strengths.items())
    variance = sum(k * fine[a].variance for a, k in strengths.items())
    span = 2 * _REACH * math.sqrt(variance)
    points = _points(strengths, fine, span, spec)
    coarse = {a: layer_rule(a, spec.width, thin=True) for a in strengths}
    x = mean - span / 2 + span / points * np.arange(points, dtype=np.float64)
    density = _invert(strengths, fine, mean, span, points)
    change = density - _invert(strengths, coarse, mean, span, points)
    error = float(np.max(np.abs(change))) * math.sqrt(variance)
    if error > _LARGEST_ERROR:
        raise ValueError(
            f"the law is not resolved at width {spec.width} and scale up to {spec.scales.max():g} "
            f"(error {error:.1e}): the norm may come close to 0; use sample_log_norm"
        )
    return ExactLaw(mean, variance, x, density, error)


def _strengths(spec: ResNetSpec) -> Counter[float]:
    """Squares of the scales, variances included, with the number of blocks that have each."""
    squares = _layer_squares(spec)
    strengths = Counter(float(square) for square in squares if square > 0)
    if not strengths:
        raise ValueError("scale must be positive in some layer; without a branch the norm is fixed")
    return strengths


def _points(
    strengths: Counter[float], rules: dict[float, LayerRule], span: float, spec: ResNetSpec
) -> int:
    """Grid points that reach the frequency at which the characteristic function has decayed."""
    points = 256
    while points <= _MOST_POINTS:
        last = math.pi * points / span
        logs = [
            count * math.log(max(abs(rules[a].characteristic(last, 2)[1]), 1e-300))
            for a, count in strengths.items()
        ]
        if sum(logs) < math.log(_DECAYED):
            return points
        points *= 2
    raise ValueError(
        f"depth and width are too small for a smooth law, got depth {spec.depth} and width "
        f"{spec.width}; use sample_log_norm"
    )


def _invert(
    strengths: Counter[float], rules: dict[float, LayerRule], mean: float, span: float, points: int
) -> Array:
    """Density on the grid around ``mean``, from the product of the characteristic functions."""
    step = 2 * math.pi / span
    total = np.ones(points // 2 + 1, dtype=np.complex128)
    shift = -(mean - span / 2)
    for a, count in strengths.items():
        total *= rules[a].characteristic(step, total.size) ** count
        shift += count * rules[a].mean
    total *= np.exp(1j * step * np.arange(total.size) * shift)
    return np.fft.irfft(np.conj(total), points) * points / span
