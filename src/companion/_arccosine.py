r"""Guarded inverse sines, and the moments of a correlated normal pair (arc-cosine functions).

Notation
--------
======================  =============================  ================================
symbol                  name                           book label
======================  =============================  ================================
:math:`r`               ``correlation``                ``eq-arc-cosine``
:math:`\theta`          ``angle``, :math:`\arccos r`   ``eq-arc-cosine``
:math:`A(r)`            ``sign_moment``                ``eq-arc-cosine``
:math:`M(r)`            ``abs_moment``                 ``eq-arc-cosine``
:math:`S(r)`            ``square_sign_moment``         ``eq-arc-cosine``
:math:`C(r)`            ``square_moment``              ``eq-arc-cosine``
:math:`\kappa_k`        ``arc_cosine(u, k)``           ``eq-arc-cosine-kernels``
======================  =============================  ================================

This is the one place that guards ``arcsin``, ``arccos`` and ``sqrt(1 - r**2)`` near
:math:`|r|=1`. The functions are public through :mod:`companion.activations`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import finite_array

__all__ = [
    "abs_moment",
    "abs_moment_derivative",
    "arc_cosine",
    "arc_cosine_angle",
    "arc_cosine_excess",
    "guarded_arccos",
    "guarded_arcsin",
    "sign_moment",
    "sign_moment_derivative",
    "sine_of",
    "square_moment",
    "square_moment_derivative",
    "square_sign_moment",
    "square_sign_moment_derivative",
]

FloatArray = NDArray[np.float64]

#: A correlation may exceed 1 in absolute value by this much and is then clipped as rounding.
CORRELATION_SLACK = 1e-9
#: Below this angle (radians) differences that cancel are summed as power series.
_SERIES_BELOW = 1.0
#: pi minus its float64 value.
_PI_TAIL = 1.2246467991473532e-16
# sin x - x cos x = x^3 (1/3 - x^2/30 + ...), and J_2 near the antipode, x^5 (4/15 - ...).
_EXCESS_SERIES = [(-1) ** (k + 1) * 2 * k / math.factorial(2 * k + 1) for k in range(1, 13)]
_ORDER_TWO_SERIES = [
    (-1) ** k * (k - 1) * 2.0 ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(2, 16)
]


def _correlation(values: ArrayLike, name: str) -> FloatArray:
    """``values`` as correlations: at most 1 in absolute value, rounding clipped."""
    array = finite_array(values, name)
    if np.any(np.abs(array) > 1 + CORRELATION_SLACK):
        worst = array.flat[int(np.argmax(np.abs(array)))]
        raise ValueError(
            f"{name} must lie in [-1, 1], got {worst:.17g}; a correlation is a covariance divided"
            " by both standard deviations (excess up to 1e-9 is taken for rounding and clipped)"
        )
    return np.clip(array, -1.0, 1.0)


def guarded_arcsin(r: ArrayLike) -> FloatArray:
    """Inverse sine of a correlation; ``|r|`` up to ``1 + 1e-9`` is clipped, beyond is an error.

    Parameters
    ----------
    r
        Correlation, any shape.

    Returns
    -------
    Angle in radians, in ``[-pi/2, pi/2]``, shape of ``r``.

    Raises
    ------
    ValueError
        If ``r`` is not finite or ``|r| > 1 + 1e-9``.
    """
    return np.arcsin(_correlation(r, "r"))


def guarded_arccos(r: ArrayLike) -> FloatArray:
    """Angle of a correlation in ``[0, pi]``; domain and errors as :func:`guarded_arcsin`."""
    return np.arccos(_correlation(r, "r"))


def sine_of(r: ArrayLike) -> FloatArray:
    """``sqrt(1 - r**2)``, computed as ``sqrt((1 - r)(1 + r))`` so that nothing cancels.

    Domain and errors as :func:`guarded_arcsin`; the slope is infinite at ``|r| = 1``.
    """
    corr = _correlation(r, "r")
    return np.sqrt((1 - corr) * (1 + corr))


def sign_moment(r: ArrayLike) -> FloatArray:
    r"""``A(r) = E[sgn x sgn y]`` of standard normals of correlation ``r``.

    :math:`A(r)=\frac2\pi\arcsin r`, odd, ``A(1) = 1``. Source: derived here (``eq-arc-cosine``).

    Parameters
    ----------
    r
        Correlation, any shape; ``|r|`` up to ``1 + 1e-9`` is clipped.

    Returns
    -------
    Moment, shape of ``r``.

    Raises
    ------
    ValueError
        If ``r`` is not finite or ``|r| > 1 + 1e-9``.
    """
    return 2 / math.pi * guarded_arcsin(r)


def sign_moment_derivative(r: ArrayLike) -> FloatArray:
    r"""``A'(r)``, :math:`\frac{2}{\pi\sqrt{1-r^2}}`; infinite at ``|r| = 1``."""
    with np.errstate(divide="ignore"):
        return np.divide(2 / math.pi, sine_of(r))


def abs_moment(r: ArrayLike) -> FloatArray:
    r"""``M(r) = E|x||y|`` of standard normals of correlation ``r``.

    :math:`M(r)=\frac2\pi\big(r\arcsin r+\sqrt{1-r^2}\big)`, even, ``M(0) = 2/pi``, ``M(1) = 1``.
    Parameters, errors and source as :func:`sign_moment`.
    """
    corr = _correlation(r, "r")
    return 2 / math.pi * (corr * np.arcsin(corr) + sine_of(corr))


def abs_moment_derivative(r: ArrayLike) -> FloatArray:
    """``M'(r) = A(r)``."""
    return sign_moment(r)


def square_sign_moment(r: ArrayLike) -> FloatArray:
    r"""``S(r) = E[x|x| sgn y]`` of standard normals of correlation ``r``.

    :math:`S(r)=\frac2\pi\big(\arcsin r+r\sqrt{1-r^2}\big)`, odd, ``S(1) = 1``.
    Parameters, errors and source as :func:`sign_moment`.
    """
    corr = _correlation(r, "r")
    return 2 / math.pi * (np.arcsin(corr) + corr * sine_of(corr))


def square_sign_moment_derivative(r: ArrayLike) -> FloatArray:
    r"""``S'(r)``, :math:`\frac4\pi\sqrt{1-r^2}`."""
    return 4 / math.pi * sine_of(r)


def square_moment(r: ArrayLike) -> FloatArray:
    r"""``C(r) = E[x|x| y|y|]`` of standard normals of correlation ``r``.

    :math:`C(r)=\frac2\pi\big((1+2r^2)\arcsin r+3r\sqrt{1-r^2}\big)`, odd, ``C(1) = 3``.
    Parameters, errors and source as :func:`sign_moment`. ``C(r) - 2 r M(r) = S(r)``.
    """
    corr = _correlation(r, "r")
    return 2 / math.pi * ((1 + 2 * corr**2) * np.arcsin(corr) + 3 * corr * sine_of(corr))


def square_moment_derivative(r: ArrayLike) -> FloatArray:
    """``C'(r) = 4 M(r)``, so ``C'(0) = 8/pi``."""
    return 4 * abs_moment(r)


def _series(x: FloatArray, coefficients: list[float]) -> FloatArray:
    """Sum of ``coefficients[k] * x**(2k)``."""
    return np.asarray(np.polynomial.polynomial.polyval(x * x, coefficients), dtype=np.float64)


def _excess(angle: FloatArray, sine: FloatArray, cosine: FloatArray) -> FloatArray:
    """``sin x - x cos x`` without cancellation at small ``x``."""
    small = np.minimum(angle, _SERIES_BELOW)
    series = small**3 * _series(small, _EXCESS_SERIES)
    return np.where(angle < _SERIES_BELOW, series, sine - angle * cosine)


def _order_two(angle: FloatArray, sine: FloatArray, cosine: FloatArray) -> FloatArray:
    """``x (1 + 2 cos(x)^2) - 3 sin x cos x`` without cancellation at small ``x``."""
    small = np.minimum(angle, _SERIES_BELOW)
    series = small**5 * _series(small, _ORDER_TWO_SERIES)
    return np.where(angle < _SERIES_BELOW, series, angle * (1 + 2 * cosine**2) - 3 * sine * cosine)


def _arc_cosine(
    supplement: FloatArray, sine: FloatArray, cosine: FloatArray, order: int
) -> FloatArray:
    """Order-``order`` kernel from ``pi - theta`` (``supplement``), ``sin theta``, ``cos theta``.

    Everything is written in the supplement because the kernels vanish at the antipode.
    """
    if order == 0:
        return supplement / math.pi
    if order == 1:
        return _excess(supplement, sine, -cosine) / math.pi
    return _order_two(supplement, sine, -cosine) / math.pi


def _check_order(order: int) -> int:
    if order not in (0, 1, 2) or isinstance(order, bool):
        raise ValueError(
            f"order must be 0, 1 or 2, got {order!r}; these are the orders with a closed form here"
        )
    return int(order)


def arc_cosine(u: ArrayLike, order: int) -> FloatArray:
    r"""Arc-cosine kernel of order 0, 1 or 2 at the cosine ``u``.

    With :math:`\theta=\arccos u`: :math:`\kappa_0=1-\theta/\pi`,
    :math:`\kappa_1=u+\frac1\pi(\sin\theta-\theta\cos\theta)`,
    :math:`\kappa_2=\frac1\pi\big(3\sin\theta\cos\theta+(\pi-\theta)(1+2\cos^2\theta)\big)`;
    :math:`\kappa_k=2E[x_+^ky_+^k]` of standard normals of correlation ``u``. The values at
    ``u = 1`` are 1, 1 and 3, those at ``u = -1`` are 0. :math:`\kappa_1'=\kappa_0`,
    :math:`\kappa_2'=4\kappa_1`; :math:`A=2\kappa_0-1`, :math:`M=2\kappa_1-u`,
    :math:`C=2\kappa_2-(1+2u^2)`. Source: known, proof in the book (``eq-arc-cosine-kernels``).

    Parameters
    ----------
    u
        Cosine, any shape; ``|u|`` up to ``1 + 1e-9`` is clipped.
    order
        0, 1 or 2.

    Returns
    -------
    Kernel, shape of ``u``; relative error of a few units in the last place over the whole
    interval, including near ``u = -1`` where the kernel vanishes.

    Raises
    ------
    ValueError
        If ``u`` is not finite, ``|u| > 1 + 1e-9`` or ``order`` is another number.
    """
    k = _check_order(order)
    cosine = _correlation(u, "u")
    return _arc_cosine(np.arccos(-cosine), sine_of(cosine), cosine, k)


def arc_cosine_angle(theta: ArrayLike, order: int) -> FloatArray:
    """:func:`arc_cosine` at ``cos(theta)``, for callers that carry the angle.

    Parameters
    ----------
    theta
        Angle in radians, in ``[0, pi]``, any shape.
    order
        0, 1 or 2.

    Returns
    -------
    Kernel, shape of ``theta``, accurate also where ``theta`` rounds to ``pi``.

    Raises
    ------
    ValueError
        If ``theta`` is not finite or outside ``[0, pi]``, or ``order`` is another number.
    """
    k = _check_order(order)
    angle = _angle(theta)
    supplement = (math.pi - angle) + _PI_TAIL
    return _arc_cosine(supplement, np.sin(supplement), -np.cos(supplement), k)


def arc_cosine_excess(theta: ArrayLike) -> FloatArray:
    r"""``kappa_1 - cos(theta)``, :math:`\frac1\pi(\sin\theta-\theta\cos\theta)`.

    This is what one residual block adds to a cosine; near ``theta = 0`` it is
    :math:`\theta^3/3\pi`, which the plain difference would lose. Parameters and errors as
    :func:`arc_cosine_angle`.
    """
    angle = _angle(theta)
    return _excess(angle, np.sin(angle), np.cos(angle)) / math.pi


def _angle(theta: ArrayLike) -> FloatArray:
    angle = finite_array(theta, "theta")
    if np.any((angle < 0) | (angle > math.pi)):
        bad = angle[(angle < 0) | (angle > math.pi)].flat[0]
        raise ValueError(
            f"theta must lie in [0, pi], got {bad:g}; pass the angle between two vectors in radians"
        )
    return angle
