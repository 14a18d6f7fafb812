r"""Approximations of the optimal scale: leading order in the depth, next order, closed form.

Notation, with the labels of the book, is at the top of :mod:`companion.response`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import nonnegative_array
from companion.activations import Activation, Erf
from companion.response.optimum import flow_time, has_optimum, operating_kernel
from companion.response.settings import Settings, curvature

__all__ = [
    "corrected_scale",
    "depth_correction",
    "explicit_scale",
    "leading_scale",
    "reduced_operating_point",
]

Array = NDArray[np.float64]

#: ``arcsin(v / (1 + v))`` is about ``v / (1 + kappa v)`` up to the operating point.
_KAPPA = 0.934
#: The part of the depth correction that hardly depends on anything, for erf.
_STEADY_CORRECTION = 0.78
_DIFFERENCE = 1e-3


def leading_scale(settings: Settings) -> Array:
    r""":math:`\sqrt{\tau^*/L}` (``eq-ft-leading-scale``); 0 where there is no optimum.

    The error is about ``c_1 / 2L`` relatively (`depth_correction`): 6 % at 20 blocks.
    """
    return np.where(has_optimum(settings), np.sqrt(flow_time(settings) / settings.depth), 0.0)[()]


def corrected_scale(settings: Settings, *, resummed: bool = True) -> Array:
    r""":math:`\sqrt{\tau^*/(L-c_1)}` (``eq-ft-corrected-scale``); 0 without an optimum.

    Parameters
    ----------
    resummed
        ``False`` for :math:`\sqrt{(\tau^*/L)(1+c_1/L)}`, which is better below about 5 blocks and
        worse above.

    Returns
    -------
    Scale, shape of the settings; nan where ``resummed`` and ``c_1`` reaches ``L``. The error is
    about 6, 1 and .2 % at 5, 10 and 20 blocks.
    """
    depth, c1 = settings.depth.astype(np.float64), depth_correction(settings)
    return _scale(settings, flow_time(settings), depth, c1, resummed)


def depth_correction(settings: Settings) -> Array:
    """``c_1`` of ``eq-ft-depth-correction``; nan where there is no optimum."""
    phi, w = settings.activation, settings.weight_variance
    k0, exists = settings.input_variance, has_optimum(settings)
    top = np.where(exists, operating_kernel(settings.bias_ratio, phi), 2 * k0)
    time = np.where(exists, flow_time(settings, top), 1.0)
    branch, slopes = settings.branch(top), [w * phi.second_moment_derivative(k) for k in (top, k0)]
    bend = w * curvature(phi, top)
    change = (slopes[0] - slopes[1]) / branch + time * bend
    peak = _log_peak_curvature(settings, top)
    c1 = np.log(branch / settings.branch(k0)) / 2 + change / (2 * time * branch * peak)
    return np.where(exists, c1, np.nan)[()]


def reduced_operating_point(bias_ratio: ArrayLike, *, newton: bool = True) -> Array:
    r"""Closed form for :math:`v^*=2\gamma^2K^*` of erf (``eq-ft-operating-point-approximate``).

    Parameters
    ----------
    bias_ratio
        ``beta``, at least 0, any shape.
    newton
        Whether to add one Newton step, for four digits instead of half a percent.
    """
    b = math.pi / 2 * nonnegative_array(bias_ratio, "bias_ratio")
    v = np.maximum((0.5 - b) / (0.8186 + 0.8628 * b), 0.0)
    if not newton:
        return v[()]
    root, angle = np.sqrt(1 + 2 * v), b + np.arctan2(v, np.sqrt(1 + 2 * v))
    ratio = (2 + 3 * v) / root
    slope = (3 / root - (2 + 3 * v) / root**3) * angle + ratio / ((1 + v) * root)
    return np.maximum(v - (angle * ratio - 1) / slope, 0.0)[()]


def explicit_scale(settings: Settings) -> Array:
    """The optimal scale of erf without integral, root or search (``eq-ft-explicit-scale``).

    Returns
    -------
    Scale, shape of the settings; 0 without an optimum, nan where the depth correction reaches the
    depth. The error is about 8, 2 and .4 % at 5, 10 and 20 blocks.

    Raises
    ------
    ValueError
        For another activation.
    """
    phi = settings.activation
    if not isinstance(phi, Erf):
        raise ValueError(
            f"activation must be Erf for the explicit scale, got {phi!r}; use corrected_scale."
        )
    beta, unit = settings.bias_ratio, 2 * phi.steepness**2
    b, v0 = math.pi / 2 * beta, unit * settings.input_variance
    top = np.maximum(reduced_operating_point(beta), v0)
    steep = 1 + _KAPPA * b
    integral = _KAPPA * (top - v0) / steep
    integral = integral + np.log((b + steep * top) / (b + steep * v0)) / steep**2
    time = integral * math.pi / (2 * unit * settings.weight_variance)
    growth = settings.branch(top / unit) / settings.branch(v0 / unit)
    c1 = np.log(growth) / 2 + _STEADY_CORRECTION
    return _scale(settings, time, settings.depth.astype(np.float64), c1, True)


def _scale(settings: Settings, time: Array, depth: Array, c1: Array, resummed: bool) -> Array:
    left = depth - c1 if resummed else depth / (1 + c1 / depth)
    exists = has_optimum(settings)
    square = np.divide(time, left, out=np.full(exists.shape, np.nan), where=exists & (left > 0))
    return np.where(exists, np.sqrt(square), 0.0)[()]


def _log_peak_curvature(settings: Settings, k: Array) -> Array:
    r""":math:`\Phi''`, :math:`\Phi=\ln(g'F)`, by central differences of :math:`\Phi'`."""
    return (
        8 * (_log_peak_slope(settings, k, 1) - _log_peak_slope(settings, k, -1))
        - (_log_peak_slope(settings, k, 2) - _log_peak_slope(settings, k, -2))
    ) / (12 * _DIFFERENCE * k)


def _log_peak_slope(settings: Settings, k: Array, steps: int) -> Array:
    phi: Activation = settings.activation
    at = k * (1 + steps * _DIFFERENCE)
    slope = np.asarray(phi.second_moment_derivative(at))
    drift = settings.weight_variance * slope / settings.branch(at)
    return curvature(phi, at) / slope + drift
