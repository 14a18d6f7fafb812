r"""Coefficients by Cauchy's formula: the unmodified network at complex scales.

Notation
--------
================================================  ====================  ================
symbol                                            name                  book label
================================================  ====================  ================
:math:`h^{(k)}=\frac1{Mr^k}\sum_mh_L(re^{2\pi     `contour`             ``eq-re-cauchy``
im/M})e^{-2\pi ikm/M}`
:math:`r,\ M`                                     ``radius, points``    ``eq-re-cauchy``
================================================  ====================  ================

A black box that shares nothing with jet transport: its check. The error is of order
:math:`(r/R)^M` from the points, with :math:`R` the distance of the nearest singularity, and
:math:`10^{-16}r^{-k}` from rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import positive_integer, real_number
from companion.simulate.jets import series
from companion.simulate.jets.tower import Tower, streams

__all__ = ["complex_forward", "contour"]

Complex = NDArray[np.complex128]


def contour(
    function: Callable[[Complex], Complex], order: int, radius: float, points: int = 64
) -> Complex:
    """Taylor coefficients at 0 of an analytic function.

    Parameters
    ----------
    function : callable
        Takes complex scales of shape ``(M,)`` and returns an array of shape ``(M, ...)``.
    order : int
        Largest coefficient, below ``points``.
    radius : float
        Of the circle, inside the disc where the function is analytic.
    points : int
        Points ``M`` on the circle.

    Returns
    -------
    Complex array of shape ``(order + 1, ...)``; the imaginary part of a real function's
    coefficients is rounding error.

    Raises
    ------
    ValueError
        If ``points`` does not exceed ``order`` or ``radius`` is not positive.
    """
    count = positive_integer(points, "points")
    if not 0 <= order < count:
        raise ValueError(
            f"order must be at least 0 and below points={count}, got {order}; take more points"
        )
    r = real_number(radius, "radius", minimum=0.0, strict=True)
    circle = r * np.exp(2j * np.pi * np.arange(count) / count)
    values = np.asarray(function(circle), dtype=np.complex128)
    if values.shape[:1] != (count,):
        raise ValueError(
            f"function must return one row per scale, ({count}, ...), got shape {values.shape}"
        )
    found = np.fft.fft(values, axis=0)[: order + 1] / count
    return np.asarray(found / (r ** np.arange(order + 1.0)).reshape(-1, *[1] * (values.ndim - 1)))


def complex_forward(tower: Tower, start: Any, scales: ArrayLike) -> Complex:
    """The network at complex scales, in NumPy.

    Parameters
    ----------
    tower : Tower
        With an analytic activation: tanh, erf, SiLU, GELU or linear.
    start : array_like, shape (n,), (B, n) or (N, B, n)
    scales : array_like, shape (M,)
        Complex branch scales ``s``.

    Returns
    -------
    Complex array of shape ``(M, ..., n)``.

    Raises
    ------
    ValueError
        For an activation with a kink.
    """
    s = np.atleast_1d(np.asarray(scales, dtype=np.complex128))[:, None, None, None]
    h0 = streams(tower, start).cpu().numpy()
    h = np.repeat(h0[None].astype(np.complex128), len(s), axis=0)
    for layer in tower.layers():
        z = h if layer.inner is None else h @ layer.inner.cpu().numpy()
        z = z if layer.inner_bias is None else z + layer.inner_bias[:, 0].cpu().numpy()
        branch = series.complex_values(tower.phi, z) @ layer.outer.cpu().numpy()
        if layer.outer_bias is not None:
            branch = branch + layer.outer_bias[:, 0].cpu().numpy()
        h = h + s * branch
    if tower.stacked:
        return h
    return np.asarray(h.reshape(len(s), *np.shape(start)))
