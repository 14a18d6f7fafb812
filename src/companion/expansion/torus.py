r"""Energies and cross-covariances of all orders of a smooth network: the kernel in two scales.

Two copies of a wide network with the same weights and the branch scales :math:`us_l` and
:math:`vs_l` have the covariance :math:`Q_L(u,v)=\sum_{jk}u^jv^k\langle
s^jh^{(j)},s^kh^{(k)}\rangle/n`, so that its Taylor coefficients are what is wanted. They are read
off a torus in the complex plane by a discrete Fourier transform.

Notation
--------
===========================  ===================  =======================
symbol                       name                 book label
===========================  ===================  =======================
:math:`Q_l(u,v)`             ``kernel``           ``eq-re-smooth-kernel``
coefficients of :math:`Q_L`  `order_covariances`  ``eq-re-torus``
:math:`\hat s`               ``reduced``          ``eq-re-torus``
===========================  ===================  =======================

All results are limits of large width, relative to :math:`\|h_0\|^2`. Derived here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from companion._validation import positive_integer, real_number
from companion.activations import Erf, Linear
from companion.architecture import ResNetSpec
from companion.expansion.energies import order_number
from companion.expansion.smooth import block_variances, check_skip, check_smooth

__all__ = ["OrderCovariances", "order_covariances"]

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

_LARGEST_RADIUS, _SHRINK, _TRIALS = 0.5, 0.8, 24
_MOST_POINTS = 1024


class OrderCovariances(NamedTuple):
    r"""Covariances of the orders of one network.

    Attributes
    ----------
    values
        :math:`E\langle s^jh^{(j)},s^kh^{(k)}\rangle/\|h_0\|^2`, shape ``(orders + 1, orders + 1)``;
        the diagonal holds the energies.
    error
        Difference from the same computation on a smaller torus, same shape: aliasing is largest in
        one, rounding in the other.
    """

    values: Array
    error: Array


def order_covariances(
    spec: ResNetSpec,
    orders: int = 5,
    *,
    radius: float | None = None,
    points: int | None = None,
) -> OrderCovariances:
    r"""Energies and cross-covariances of the orders ``0 .. orders`` of a wide erf network.

    Parameters
    ----------
    spec
        Erf or linear activation, independent layers, skip 1.
    orders
        Highest order. Rounding grows as :math:`\varepsilon r^{-j-k}`: with the default radius of
        1/2 about 12 digits are left at order 5 and 4 at order 20.
    radius
        Radius of the torus in the reduced scale :math:`\hat s=(\sum_ls_l^2)^{1/2}`; by default the
        first of 0.5, 0.4, 0.32, ... such that the kernel is analytic up to 5/4 of it.
    points
        Number of points on each circle, more than twice ``orders``; by default 64 or more.

    Returns
    -------
    Values and an estimate of their error.

    Raises
    ------
    ValueError
        If the network is another one, ``radius`` leaves the domain in which the kernel is known to
        be analytic, or ``points`` is too small or above 1024.

    Notes
    -----
    Time ``O(L points^2)``. The recursion needs the principal branches of a root and an inverse
    sine. If the real parts of :math:`1+q` and of :math:`1-\text{(sine)}^2` are positive on the
    torus, they are so inside it, being harmonic, and the coefficients are those of the series.
    """
    check_smooth(spec)
    check_skip(spec)
    if not isinstance(spec.activation, (Erf, Linear)):
        raise ValueError(
            f"activation must be erf or linear, got {spec.activation!r}; its kernel has no closed "
            "form for complex scales, use closed_order_energies or simulate"
        )
    top = order_number(orders, "orders")
    count = max(64, 8 * (top + 1)) if points is None else positive_integer(points, "points")
    if not 2 * top < count <= _MOST_POINTS:
        raise ValueError(
            f"points must lie between {2 * top + 1} and {_MOST_POINTS} for order {top}, got "
            f"{count}; fewer points cannot tell the orders apart"
        )
    if radius is None:
        wide, kernel = _widest(spec, count)
    else:
        wide = real_number(radius, "radius", minimum=0.0, strict=True)
        kernel = _required(_kernel(spec, wide, count), wide)
    narrow = wide * _SHRINK
    values = _coefficients(spec, kernel, wide, top)
    other = _coefficients(spec, _required(_kernel(spec, narrow, count), narrow), narrow, top)
    return OrderCovariances(values, np.abs(values - other))


def _widest(spec: ResNetSpec, count: int) -> tuple[float, ComplexArray]:
    """Largest radius of the default list with room around it, and the kernel there."""
    radius = _LARGEST_RADIUS
    for _ in range(_TRIALS):
        if _kernel(spec, radius / _SHRINK, count) is not None:
            break
        radius *= _SHRINK
    return radius, _required(_kernel(spec, radius, count), radius)


def _required(kernel: ComplexArray | None, radius: float) -> ComplexArray:
    if kernel is None:
        raise ValueError(
            f"radius must keep the kernel analytic, got {radius:g} in units of the reduced scale; "
            "use a smaller one, or smaller weight variances"
        )
    return kernel


def _kernel(spec: ResNetSpec, radius: float, count: int) -> ComplexArray | None:
    """``Q_L/K^0`` on the torus, shape ``(count, count)``; None beyond the safe radius."""
    inner, outer = block_variances(spec)
    circle = radius * np.exp(2j * math.pi * np.arange(count) / count)
    squares = spec.scales**2
    size = float(np.sum(squares))
    products = np.multiply.outer(circle, circle) * (outer / (size if size > 0 else 1.0))
    bias = spec.bias_variance / outer
    kernel: ComplexArray = np.full((count, count), spec.input_variance, dtype=np.complex128)
    for square in squares:
        moment = _pair_moment(spec, inner * kernel)
        if moment is None:
            return None
        kernel = kernel + square * products * (moment + bias)
    return kernel / spec.input_variance


def _pair_moment(spec: ResNetSpec, covariance: ComplexArray) -> ComplexArray | None:
    """``E phi(u) phi(v)``, continued analytically in the covariance; None where unsafe."""
    if not isinstance(spec.activation, Erf):
        return covariance
    reduced = 2 * spec.activation.steepness**2 * covariance
    own = 1 + np.diagonal(reduced)
    root = np.sqrt(own)
    sine = reduced / np.multiply.outer(root, root)
    if np.min(own.real) <= 0 or np.min((1 - sine**2).real) <= 0:
        return None
    return np.asarray(2 / math.pi * np.arcsin(sine))


def _coefficients(spec: ResNetSpec, kernel: ComplexArray, radius: float, top: int) -> Array:
    """Taylor coefficients up to ``top``, at the network's own scale."""
    spectrum = np.fft.fft2(kernel)[: top + 1, : top + 1].real / kernel.size
    reduced = math.sqrt(float(np.sum(spec.scales**2)))
    factors = (reduced / radius) ** np.arange(top + 1)
    return np.asarray(spectrum * np.multiply.outer(factors, factors))
