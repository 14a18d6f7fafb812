"""Roots and maxima of many one-dimensional functions at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["bracketed_maximum", "bracketed_root"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Function = Callable[[Array, Indices], Array]

_ITERATIONS = 80
_ACCURACY = 4e-16
_GOLDEN = (5**0.5 - 1) / 2


def bracketed_root(function: Function, low: Array, high: Array) -> Array:
    """Root of every function between ``low`` and ``high``, by Chandrupatla's method.

    ``function(x, at)`` returns the values at ``x`` of the functions with indices ``at``. The signs
    at the two ends must differ. Roots are accurate to rounding: a few ``1e-16`` relatively.
    """
    at = np.arange(low.size)
    a, b = high.astype(np.float64), low.astype(np.float64)
    fa, fb = function(a, at), function(b, at)
    c, fc, t = a.copy(), fa.copy(), np.full(low.size, 0.5)
    roots = np.empty(low.size)
    for _ in range(_ITERATIONS):
        x = a + t * (b - a)
        fx = function(x, at)
        same = np.sign(fx) == np.sign(fa)
        c, fc = np.where(same, a, b), np.where(same, fa, fb)
        b, fb = np.where(same, b, a), np.where(same, fb, fa)
        a, fa = x, fx
        best = np.where(np.abs(fa) < np.abs(fb), a, b)
        width = np.abs(b - a)
        done = (width <= _ACCURACY * 2 * np.abs(best)) | (fa == 0)
        roots[at] = best
        if np.all(done):
            return roots
        left = ~done
        a, b, c, fa, fb, fc, at = (v[left] for v in (a, b, c, fa, fb, fc, at))
        t = _next_fraction(a, b, c, fa, fb, fc)
    return roots


def _next_fraction(a: Array, b: Array, c: Array, fa: Array, fb: Array, fc: Array) -> Array:
    """Where in ``[a, b]`` to go: inverse quadratic interpolation where it is safe, else 1/2."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
        smooth = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi)
        quadratic = fa / (fb - fa) * fc / (fb - fc)
        quadratic = quadratic + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
    t = np.where(smooth & np.isfinite(quadratic), quadratic, 0.5)
    least = np.minimum(_ACCURACY * np.maximum(np.abs(a), np.abs(b)) / np.abs(b - a), 0.5)
    return np.clip(t, least, 1 - least)


def bracketed_maximum(function: Function, low: Array, high: Array, iterations: int = 45) -> Array:
    """Argument of the one maximum between ``low`` and ``high``, by golden sections.

    Accurate to about ``1e-8``, below which a smooth maximum is flat to rounding.
    """
    at = np.arange(low.size)
    a, b = low.astype(np.float64), high.astype(np.float64)
    x1, x2 = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
    f1, f2 = function(x1, at), function(x2, at)
    for _ in range(iterations):
        left = f1 > f2
        a, b = np.where(left, a, x1), np.where(left, x2, b)
        fresh = np.where(left, b - _GOLDEN * (b - a), a + _GOLDEN * (b - a))
        value = function(fresh, at)
        x1, x2 = np.where(left, fresh, x2), np.where(left, x1, fresh)
        f1, f2 = np.where(left, value, f2), np.where(left, f1, value)
    return (a + b) / 2
