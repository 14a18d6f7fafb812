r"""Gaussian expectations of a function that has no closed form: the trapezoidal rule.

For an integrand that is analytic in a strip of half-width :math:`d` the trapezoidal rule of step
:math:`h` errs by :math:`e^{-2\pi d/h}`; for an activation with a pole at distance :math:`b` from
the real axis, seen through :math:`\phi(\sqrt Kz)`, :math:`d=b/\sqrt K`. The step below makes that
error about :math:`10^{-16}`. Gauss-Hermite nodes would need several times as many points at the
same accuracy, since they spread over an interval that grows with their number. A pair is written
as :math:`u_1=\sqrt{p_1}x`, :math:`u_2=\sqrt{p_2}(rx+\sqrt{1-r^2}\,y)` with independent normals, so
that nothing is singular at :math:`|r|=1`. Source: derived here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["difference", "pair", "single", "square_slope", "variance_slope"]

FloatArray = NDArray[np.float64]
Function = Callable[[FloatArray], NDArray[Any]]

#: The normal density is below 1e-17 of its peak beyond this many standard deviations.
_REACH = 9.0
#: Number of natural-log units of accuracy asked for, about 16 digits.
_DIGITS = 37.0
_LARGEST_STEP = 0.25
_MOST_NODES, _MOST_NODES_PAIR = 2**15 + 1, 2**11 + 1
#: Function values held in memory at a time.
_BUDGET = 2**22
#: Below these variances E[u phi'(u) ...]/K loses digits and second differences are used.
_TINY_SINGLE, _TINY_PAIR = 1e-8, 1e-6
_DIFFERENCE_STEP = 5e-3


def _nodes(variance: float, strip: float, most: int) -> tuple[FloatArray, FloatArray]:
    """Trapezoidal nodes and weights (sum 1) for variances up to ``variance``."""
    step = min(_LARGEST_STEP, 2 * math.pi * strip / (_DIGITS * math.sqrt(max(variance, 1e-300))))
    half = min(math.ceil(_REACH / step), most // 2)
    z = np.linspace(-_REACH, _REACH, 2 * half + 1)
    weights = np.exp(-z * z / 2)
    return z, weights / weights.sum()


def single(function: Function, variance: FloatArray, strip: float) -> FloatArray:
    """``E function(u)`` for every variance of an array."""
    flat = variance.ravel()
    z, weights = _nodes(float(flat.max(initial=0.0)), strip, _MOST_NODES)
    rows = max(1, _BUDGET // z.size)
    out = np.empty(flat.size)
    for start in range(0, flat.size, rows):
        chunk = np.sqrt(flat[start : start + rows])[:, None] * z
        out[start : start + rows] = function(chunk) @ weights
    return out.reshape(variance.shape)[()]


def difference(function: Function, x: FloatArray) -> FloatArray:
    """Derivative by central differences of order six; error about 1e-12 for smooth functions."""
    h = _DIFFERENCE_STEP
    total = np.zeros_like(x)
    for k, coefficient in ((1, 45.0), (2, -9.0), (3, 1.0)):
        total += coefficient * (function(x + k * h) - function(x - k * h))
    return total / (60 * h)


def square_slope(
    function: Function, derivative: Function, variance: FloatArray, strip: float
) -> FloatArray:
    """``d/dK E phi(u)**2``: ``E[u phi phi']/K``, or ``E[phi'^2 + phi phi'']`` at tiny ``K``."""
    tiny = variance < _TINY_SINGLE
    safe = np.where(tiny, 1.0, variance)
    large = single(lambda u: u * function(u) * derivative(u), safe, strip) / safe
    if not np.any(tiny):
        return large[()]

    def direct(u: FloatArray) -> FloatArray:
        return derivative(u) ** 2 + function(u) * difference(derivative, u)

    return np.where(tiny, single(direct, np.where(tiny, variance, 0.0), strip), large)[()]


def pair(
    first: Function,
    second: Function,
    p1: FloatArray,
    p2: FloatArray,
    cosine: FloatArray,
    strip: float,
) -> FloatArray:
    """``E first(u1) second(u2)`` for every pair of equally shaped arrays."""
    a, b, r = np.sqrt(p1).ravel(), np.sqrt(p2).ravel(), cosine.ravel()
    s = np.sqrt((1 - r) * (1 + r))
    largest = max(float(p1.max(initial=0.0)), float(p2.max(initial=0.0)))
    z, weights = _nodes(largest, strip, _MOST_NODES_PAIR)
    rows = max(1, _BUDGET // z.size**2)
    out = np.empty(r.size)
    for start in range(0, r.size, rows):
        at = slice(start, start + rows)
        u2 = b[at, None, None] * (r[at, None, None] * z[:, None] + s[at, None, None] * z)
        inner = second(u2) @ weights
        out[at] = (first(a[at, None] * z) * inner) @ weights
    return out.reshape(cosine.shape)[()]


def variance_slope(
    function: Function,
    derivative: Function,
    p1: FloatArray,
    p2: FloatArray,
    cosine: FloatArray,
    strip: float,
) -> FloatArray:
    """``E phi''(u1) phi(u2) / 2``, by Stein's lemma from first derivatives unless ``p1`` is tiny.

    ``E[u1 phi'(u1) phi(u2)] = p1 E[phi'' phi] + q E[phi' phi']``.
    """
    tiny = p1 < _TINY_PAIR
    safe = np.where(tiny, 1.0, p1)
    q = cosine * np.sqrt(safe) * np.sqrt(p2)
    weighted = pair(lambda u: u * derivative(u), function, safe, p2, cosine, strip)
    large = (weighted - q * pair(derivative, derivative, safe, p2, cosine, strip)) / (2 * safe)
    if not np.any(tiny):
        return large[()]
    curvature = pair(
        lambda u: difference(derivative, u), function, np.where(tiny, p1, 0.0), p2, cosine, strip
    )
    return np.where(tiny, curvature / 2, large)[()]
