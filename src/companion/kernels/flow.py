r"""The kernel at infinite depth and finite effective depth: a flow of angles, solved.

Notation, with the labels of the book, is at the top of :mod:`companion.kernels.tangent_limits`,
through which everything here is public.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._arccosine import arc_cosine_angle, arc_cosine_excess
from companion._validation import real_number
from companion.kernels.rows import check_angles

__all__ = [
    "block_term",
    "flow_angle",
    "flow_kernel",
    "flow_kernel_ode",
    "flow_time",
    "two_layer_kernel",
]

Array = NDArray[np.float64]

_GAUSS_NODES = 64
_SERIES_BELOW = 1.0
# sin/g - 3/x^2 = (x^2 sin x - 3 g)/(x^2 g); both as series in x^2, from x^5 and x^3 on.
_EXCESS_SERIES = [(-1) ** (k + 1) * 2 * k / math.factorial(2 * k + 1) for k in range(1, 13)]
_CLOCK_SERIES = [
    (-1) ** k * (3 / math.factorial(2 * k) - 3 / math.factorial(2 * k + 1))
    - (-1) ** k / math.factorial(2 * k - 1)
    for k in range(2, 14)
]


def two_layer_kernel(theta: ArrayLike) -> Array:
    r""":math:`r_0=\frac12(u\kappa_0+\kappa_1)`: the limit ``T -> 0``, exact at depth 1.

    Parameters
    ----------
    theta
        Angles in radians, in ``[0, pi]``, any shape.

    Returns
    -------
    Normalised tangent kernel of one hidden layer without bias, shape of ``theta``.

    Raises
    ------
    ValueError
        If an angle is outside ``[0, pi]``.
    """
    return block_term(check_angles(theta)) / 2


def flow_time(theta: ArrayLike) -> Array:
    r""":math:`c(\theta)`, the time coordinate of the flow: ``c(theta) - c(theta_T) = T``.

    .. math::

       c(\theta)=\pi\int_0^\theta\Big(\frac{\sin\varphi}{g(\varphi)}-\frac3{\varphi^2}\Big)d\varphi
       -\frac{3\pi}\theta,

    increasing, minus infinity at ``theta = 0``. Parameters and errors as `two_layer_kernel`.
    """
    angles = check_angles(theta)
    with np.errstate(divide="ignore"):
        return _clock(angles) - 3 * math.pi / angles


def flow_angle(theta: ArrayLike, effective_depth: float) -> Array:
    r"""Angle :math:`\theta_T` after the flow :math:`\dot\theta=-(1-\theta\cot\theta)/\pi`.

    Parameters
    ----------
    theta
        Angles at the start, radians, in ``[0, pi]``, any shape.
    effective_depth
        Duration ``T``, at least 0.

    Returns
    -------
    Angles in ``[0, theta]``, shape of ``theta``.

    Raises
    ------
    ValueError
        If an angle is outside ``[0, pi]`` or ``effective_depth`` negative or not finite.
    """
    angles = check_angles(theta)
    duration = real_number(effective_depth, "effective_depth", minimum=0.0)
    positive = angles > 0
    if duration == 0 or not np.any(positive):
        return angles.copy()
    out = np.zeros_like(angles)
    out[positive] = _backward(angles[positive], duration)
    return out


def flow_kernel(theta: ArrayLike, effective_depth: float) -> Array:
    r"""Limit :math:`r_T` of the normalised kernel for small shares that add up to ``T``.

    Both integrals of ``eq-tk-flow-solution`` over ``[theta_T, theta]`` by one Gauss rule in
    :math:`\ln\varphi`,

    .. math::

       r_T=\frac{g(\theta_T)\int(\sin\varphi+2(\pi-\varphi)\cos\varphi)\sin\varphi\,g^{-2}d\varphi}
       {2\pi\int\sin\varphi\,g^{-1}d\varphi},

    whose quotient needs no special case at small ``T``. The error for shares of a finite network
    is of order ``1/L`` at fixed ``T``.

    Parameters
    ----------
    theta
        Angles in radians, in ``[0, pi]``, any shape.
    effective_depth
        ``T``, at least 0; at 0 the result is `two_layer_kernel`.

    Returns
    -------
    Kernel, shape of ``theta``, 1 at ``theta = 0``; absolute error below 1e-13 for ``T >= 1e-6``,
    below 1e-11 for ``T >= 1e-9``.

    Raises
    ------
    ValueError
        As in `flow_angle`.
    """
    angles = check_angles(theta)
    duration = real_number(effective_depth, "effective_depth", minimum=0.0)
    if duration == 0:
        return two_layer_kernel(angles)
    out = np.ones_like(angles)
    positive = angles > 0
    if np.any(positive):
        out[positive] = _quotient(angles[positive], duration)
    return out


def flow_kernel_ode(theta: ArrayLike, effective_depth: float, *, tolerance: float = 1e-12) -> Array:
    r""":math:`r_T` by integrating the flow (``eq-tk-flow``); independent of `flow_kernel`.

    In the time ``t/T`` and with the running mean instead of the sum, so that small ``T`` is no
    special case: :math:`\dot\delta=-Tg/\pi`, :math:`\dot r=-T\theta r/\pi+(\kappa_1+u\kappa_0)/2`
    with :math:`\delta=1-\cos\theta`.

    Parameters
    ----------
    theta, effective_depth
        As in `flow_kernel`.
    tolerance
        Relative and absolute tolerance of the integrator.

    Raises
    ------
    ValueError
        As in `flow_angle`.
    RuntimeError
        If the integrator gives up.
    """
    from scipy.integrate import solve_ivp

    angles = check_angles(theta)
    duration = real_number(effective_depth, "effective_depth", minimum=0.0)
    flat = angles.ravel()

    def rate(_: float, state: Array) -> Array:
        half, mean = state.reshape(2, -1)
        now = 2 * np.arcsin(np.clip(half, 0.0, 1.0))
        g = math.pi * arc_cosine_excess(now)
        # d sin(theta/2) = d delta / (4 sin(theta/2)); g/sin vanishes with the angle.
        turn = -duration / (4 * math.pi) * np.divide(g, half, out=np.zeros_like(g), where=half > 0)
        return np.concatenate([turn, block_term(now) / 2 - duration / math.pi * now * mean])

    start = np.concatenate([np.sin(flat / 2), np.zeros_like(flat)])
    done = solve_ivp(rate, (0, 1), start, "DOP853", t_eval=[1.0], rtol=tolerance, atol=tolerance)
    if not done.success:
        raise RuntimeError(f"the flow was not integrated: {done.message}; loosen tolerance.")
    return np.asarray(done.y[flat.size :, -1], dtype=np.float64).reshape(angles.shape)


def block_term(angles: Array) -> Array:
    """``kappa_1 + cos kappa_0``: what a block adds to the sum over layers, per share."""
    return arc_cosine_angle(angles, 1) + np.cos(angles) * arc_cosine_angle(angles, 0)


def _clock(angles: Array) -> Array:
    """``pi`` times the integral of ``sin/g - 3/x^2`` from 0, an analytic function of the angle."""
    nodes, weights = np.polynomial.legendre.leggauss(_GAUSS_NODES)
    x = angles[..., None] * ((nodes + 1) / 2)
    square = x * x
    series = np.polynomial.polynomial.polyval(
        np.minimum(square, _SERIES_BELOW**2), _CLOCK_SERIES
    ) / np.polynomial.polynomial.polyval(np.minimum(square, _SERIES_BELOW**2), _EXCESS_SERIES)
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = np.sin(x) / (np.sin(x) - x * np.cos(x)) - 3 / square
    integrand = np.where(x < _SERIES_BELOW, series, plain)
    return math.pi / 2 * angles * (integrand @ weights)


def _backward(angles: Array, duration: float) -> Array:
    """Solve ``c(out) = c(angles) - duration`` by Newton steps in ``1 - cos``, kept in a bracket.

    As a function of ``1 - cos theta`` the time is concave, with slope ``pi/g``, also at ``pi``:
    from the left the steps increase to the root, and only the first can come from the right.
    """
    target = _clock(angles) - 3 * math.pi / angles - duration
    # The angle falls at least as fast as for g = x^3/3, exactly so near 0.
    guess = angles / (1 + duration * angles / (3 * math.pi))
    low, high = np.zeros_like(angles), guess.copy()
    for _ in range(60):
        gap = _clock(guess) - 3 * math.pi / guess - target
        low, high = np.where(gap <= 0, guess, low), np.where(gap >= 0, guess, high)
        half = np.sin(guess / 2)
        square = half**2 - gap * arc_cosine_excess(guess) / 2
        step = 2 * np.arcsin(np.sqrt(np.clip(square, 0.0, 1.0)))
        step = np.where((step >= low) & (step <= high), step, (low + high) / 2)
        done = np.abs(step - guess) <= 4e-16 * guess
        guess = step
        if np.all(done):
            break
    return guess


def _quotient(angles: Array, duration: float) -> Array:
    """The quotient of the two integrals; an error of the lower end only shifts ``T`` in both."""
    lower = _backward(angles, duration)
    nodes, weights = np.polynomial.legendre.leggauss(_GAUSS_NODES)
    span = np.log(angles / lower)
    # Measured from the upper end, where sin(phi) must vanish with the distance from pi.
    phi = angles[..., None] * np.exp(-span[..., None] * ((nodes + 1) / 2))
    excess = arc_cosine_excess(phi)
    measure = phi * np.sin(phi) / excess
    transport = arc_cosine_excess(lower)[..., None] / excess
    return (transport * block_term(phi) * measure) @ weights / (2 * (measure @ weights))
