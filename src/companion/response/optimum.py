r"""The branch scale at which the output responds most, exactly, and what surrounds it.

Notation, with the labels of the book, is at the top of :mod:`companion.response`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import nonnegative_array, real_number
from companion.activations import Activation, Erf, as_activation
from companion.response.roots import bracketed_root
from companion.response.settings import (
    Settings,
    curvature,
    log_response_at,
    log_response_slope_at,
    top_kernel,
)

__all__ = [
    "Plateau",
    "depth_range",
    "elasticity",
    "entropy_scale",
    "flow_time",
    "has_optimum",
    "initial_slope",
    "operating_kernel",
    "optimal_scale",
    "plateau",
    "reaching_scale",
]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

_SCAN_POINTS = 36
#: Responses evaluated by one call: enough to pay for the call, few enough for the cache.
_SCANNED_TOGETHER = 2**13
_FLOW_NODES, _FLOW_WEIGHTS = np.polynomial.legendre.leggauss(48)
#: Kernels between which a general activation is searched for its operating point.
_KERNEL_GRID = np.exp(np.linspace(math.log(1e-4), math.log(1e3), 300))
_DEEPEST = 10**5


class Plateau(NamedTuple):
    """Scales between which the response is at least a fraction of its maximum."""

    low: Array
    high: Array


def initial_slope(settings: Settings) -> Array:
    r"""Derivative of :math:`\ln\chi^y` by :math:`s^2` at zero scale (``eq-ft-initial-slope``)."""
    k, phi = settings.input_variance, settings.activation
    slope = np.asarray(phi.second_moment_derivative(k))
    bend = curvature(phi, k) / slope * settings.branch(k)
    return settings.depth * (settings.weight_variance * slope + bend)


def has_optimum(settings: Settings) -> NDArray[np.bool_]:
    """Whether the response first grows with the scale (``thm-ft-criterion``).

    Sufficient for an optimal scale above 0 at every depth, for activations that saturate; for erf
    also necessary at every depth.
    """
    return np.asarray(initial_slope(settings) > 0)


def operating_kernel(bias_ratio: ArrayLike, activation: Activation | str = "erf") -> Array:
    r"""``K^*``: the final kernel at which a deep network responds most (``eq-ft-operating-point``).

    The maximum of :math:`g'(K)(\beta+g(K))`, whatever depth, input and readout. For erf the root
    of ``eq-ft-operating-point-erf``, exact to rounding.

    Parameters
    ----------
    bias_ratio
        ``beta = sigma_b^2 / sigma_w^2``, at least 0, any shape.
    activation
        ``"erf"`` is the one of unit slope.

    Returns
    -------
    Kernel, shape of ``bias_ratio``; 0 where the ratio is too large for an optimum.

    Raises
    ------
    ValueError
        If the activation does not saturate between variances 1e-4 and 1e3.
    """
    phi, beta = as_activation(activation), nonnegative_array(bias_ratio, "bias_ratio")
    flat, out = beta.ravel(), np.zeros(beta.size)
    low, high = _erf_bracket(phi, flat) if isinstance(phi, Erf) else _scan_kernels(phi, flat)
    exists = np.flatnonzero(low < high)
    if exists.size:
        ratio = flat[exists]
        out[exists] = bracketed_root(
            lambda k, at: _growth_slope(phi, k, ratio[at]), low[exists], high[exists]
        )
    return out.reshape(beta.shape)[()]


def flow_time(settings: Settings, kernel: ArrayLike | None = None) -> Array:
    r""":math:`\tau=\int_{K^0}^{K}dK'/F(K')` up to ``kernel``, default ``K^*`` (``eq-ft-flow``).

    Returns
    -------
    Time, shape of the settings; 0 where ``kernel`` is not above ``K^0``.
    """
    k0 = settings.input_variance
    goal = operating_kernel(settings.bias_ratio, settings.activation) if kernel is None else kernel
    top = np.maximum(np.asarray(goal, dtype=np.float64), k0)
    half = np.log(top / k0) / 2  # the integrand is smooth in ln K
    total = np.zeros(np.broadcast_shapes(settings.shape, top.shape))
    for node, weight in zip(_FLOW_NODES, _FLOW_WEIGHTS, strict=True):
        k = k0 * np.exp(half * (1 + node))
        total += weight * k / settings.branch(k)
    return (total * half)[()]


def optimal_scale(settings: Settings) -> Array:
    r"""The scale ``s^*`` with the largest output response (``sec-ft-optimum``).

    Returns
    -------
    Scale, shape of the settings, accurate to about 1e-12 relatively; 0 where the response is
    largest without branches, which is where `has_optimum` is false.

    Notes
    -----
    The response is scanned over :math:`\ln s`, around the scale of the deep limit; the root of its
    derivative next to the largest value is then found in a bracket.
    """
    out = np.zeros(math.prod(settings.shape))
    exists = np.ravel(has_optimum(settings))
    for depth, at in settings.by_depth():
        found = at[exists[at]]
        if found.size:
            out[found] = np.sqrt(_optimal_square(settings.at(found), depth))
    return out.reshape(settings.shape)[()]


def plateau(settings: Settings, fraction: float = 0.9) -> Plateau:
    """Scales around the optimum at which the response is ``fraction`` of its maximum.

    Returns
    -------
    Plateau
        Shapes of the settings; ``low`` is 0 where even the response without branches suffices,
        and both are nan where there is no optimum.

    Raises
    ------
    ValueError
        If ``fraction`` is not between 0 and 1.
    """
    share = real_number(fraction, "fraction", minimum=0.0, strict=True)
    if share >= 1:
        raise ValueError(f"fraction must be below 1, got {share:g}; use optimal_scale for 1.")
    best = np.ravel(optimal_scale(settings))
    low, high = np.full(best.size, np.nan), np.full(best.size, np.nan)
    for depth, at in settings.by_depth():
        found = at[best[at] > 0]
        if found.size:
            low[found], high[found] = _edges(settings.at(found), depth, best[found] ** 2, share)
    return Plateau(low.reshape(settings.shape)[()], high.reshape(settings.shape)[()])


def elasticity(settings: Settings, step: float = 2e-3) -> Array:
    r""":math:`d\ln s^*/d\ln\sigma_w` at fixed :math:`\sigma_b^2` (``eq-ft-elasticity``).

    Central differences of order four of the exact optimum, in steps of ``step`` in
    :math:`\ln\sigma_w`; nan where there is no optimum within two steps.
    """
    logs = []
    for k in (-2, -1, 1, 2):
        w = settings.weight_variance * math.exp(2 * k * step)
        best = np.asarray(optimal_scale(settings.replace(weight_variance=w)))
        logs.append(np.log(np.where(best > 0, best, np.nan)))
    return ((logs[0] - 8 * logs[1] + 8 * logs[2] - logs[3]) / (12 * step))[()]


def reaching_scale(settings: Settings, kernel: ArrayLike) -> Array:
    """The scale at which the final kernel ``K^L`` is ``kernel``; 0 if ``K^0`` is not below it."""
    goal = nonnegative_array(kernel, "kernel")
    wide = settings.broadcast(goal.shape)
    shape = wide.shape
    target, out = np.broadcast_to(goal, shape).ravel(), np.zeros(math.prod(shape))
    below = np.ravel(wide.input_variance) < target
    for depth, at in wide.by_depth():
        found = at[below[at]]
        if not found.size:
            continue
        sets, want = wide.at(found), target[found]
        gap = want - sets.input_variance
        # The branch variance only grows, so this many equal steps go too far.
        high = gap / (depth * sets.branch(sets.input_variance)) * (1 + 1e-9)

        def short(r: Array, at: Indices, sets: Settings = sets, want: Array = want) -> Array:
            return np.log(top_kernel(sets.at(at), r) / want[at])

        out[found] = np.sqrt(bracketed_root(short, np.zeros(found.size), high))
    return out.reshape(shape)[()]


def entropy_scale(settings: Settings) -> Array:
    r"""The scale at which :math:`\phi(h_L)` is uniform on ``(-1, 1)`` (``prop-ft-entropy``).

    For erf of gain :math:`\gamma` that is :math:`K^L=1/2\gamma^2`; 0 if ``K^0`` is not below it.

    Raises
    ------
    ValueError
        For another activation, which maps no normal law onto a uniform one.
    """
    phi = settings.activation
    if not isinstance(phi, Erf):
        raise ValueError(
            f"activation must be Erf for the uniform output, got {phi!r}; use reaching_scale with "
            "a kernel of your choice."
        )
    return reaching_scale(settings, 1 / (2 * phi.steepness**2))


def depth_range(settings: Settings, low: float = 0.1, high: float = 0.3) -> tuple[int, int]:
    """First and last depth whose optimal scale lies in ``[low, high]``.

    Parameters
    ----------
    settings
        One set of parameters; its depth is ignored.

    Raises
    ------
    ValueError
        If there are several sets, no optimum, or no such depth up to a hundred thousand.
    """
    if settings.shape or not has_optimum(settings):
        raise ValueError(
            f"settings must be one set with an optimum, got shape {settings.shape}; choose an "
            "input variance below operating_kernel(bias_ratio)."
        )
    small, large = real_number(low, "low", minimum=0.0, strict=True), real_number(high, "high")
    first, last = _first_below(settings, large, False), _first_below(settings, small, True) - 1
    if first > last:
        raise ValueError(f"no depth has its optimal scale in [{small:g}, {large:g}].")
    return first, last


def _first_below(settings: Settings, scale: float, strict: bool) -> int:
    """The first depth whose optimal scale is at most (``strict``: below) ``scale``."""
    single = settings.at(np.array([0]))

    def below(depth: int) -> bool:
        # The response has one maximum: it falls at every scale beyond it.
        slope = float(log_response_slope_at(single, depth, np.array([scale**2]))[0])
        return slope < 0 or (slope == 0 and not strict)

    # eq-ft-corrected-scale solved for the depth: right up to one or two blocks
    guess = float(flow_time(settings)) / scale**2
    if guess > _DEEPEST:
        raise ValueError(f"no depth up to {_DEEPEST} has an optimal scale below {scale:g}.")
    step = 2
    low = max(0, round(guess) - step)
    while low > 0 and below(low):
        low, step = max(0, low - step), 4 * step
    high = low + 1
    while not below(high):
        low, high, step = high, high + step, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if below(middle) else (middle, high)
    return high


def _optimal_square(sets: Settings, depth: int) -> Array:
    """``s^*^2`` of flat settings of one depth, all of which have an optimum."""
    k0 = sets.input_variance
    goal = np.maximum(operating_kernel(sets.bias_ratio, sets.activation), k0 * (1 + 1e-9))
    low = np.log(flow_time(sets, goal) / depth) - 2
    # Equal steps of the first size overshoot the operating point; one layer wants K^L up to 2.7 K*.
    high = np.maximum(np.log((goal - k0) / sets.branch(k0)) + 3, low + 5)
    scan = np.exp(low + (high - low) * np.linspace(0, 1, _SCAN_POINTS)[:, None])
    rows = max(1, _SCANNED_TOGETHER // k0.size)
    values = [log_response_at(sets, depth, scan[i : i + rows]) for i in range(0, len(scan), rows)]
    best = np.argmax(np.concatenate(values), axis=0)
    column = np.arange(best.size)
    left = np.where(best > 0, scan[np.maximum(best - 1, 0), column], 0.0)
    right = scan[np.minimum(best + 1, _SCAN_POINTS - 1), column]
    right = np.where(best == _SCAN_POINTS - 1, 100 * right, right)
    return bracketed_root(lambda r, at: log_response_slope_at(sets.at(at), depth, r), left, right)


def _edges(sets: Settings, depth: int, best: Array, share: float) -> tuple[Array, Array]:
    """Scales left and right of the optimum at which the response is ``share`` of its maximum."""
    level = log_response_at(sets, depth, best) + math.log(share)

    def above(r: Array, at: Indices) -> Array:
        return log_response_at(sets.at(at), depth, r) - level[at]

    everyone, low, zero = np.arange(best.size), np.zeros(best.size), np.zeros(best.size)
    inside = np.flatnonzero(above(zero, everyone) < 0)
    low[inside] = bracketed_root(lambda r, at: above(r, inside[at]), zero[inside], best[inside])
    right = 2 * best
    while np.any(wide := above(right, everyone) > 0):
        right = np.where(wide, 2 * right, right)
    return np.sqrt(low), np.sqrt(bracketed_root(above, best, right))


def _growth_slope(phi: Activation, k: Array, beta: Array) -> Array:
    """A function with the sign of ``d/dK ln(g' (beta + g))``, without poles at ``K = 0``."""
    if isinstance(phi, Erf):
        v = 2 * phi.steepness**2 * k
        angle = math.pi / 2 * beta + np.arctan2(v, np.sqrt(1 + 2 * v))
        return np.sqrt(1 + 2 * v) - (2 + 3 * v) * angle
    slope = np.asarray(phi.second_moment_derivative(k))
    return slope**2 + curvature(phi, k) * (beta + np.asarray(phi.second_moment(k)))


def _erf_bracket(phi: Erf, beta: Array) -> tuple[Array, Array]:
    # The operating point is highest without bias, at 2 gamma^2 K = .611.
    return np.zeros(beta.size), np.where(beta < 1 / math.pi, 0.35 / phi.steepness**2, 0.0)


def _scan_kernels(phi: Activation, beta: Array) -> tuple[Array, Array]:
    """Neighbours on the grid between which the response of a deep network turns."""
    slope = np.asarray(phi.second_moment_derivative(_KERNEL_GRID))
    bend, moment = curvature(phi, _KERNEL_GRID), np.asarray(phi.second_moment(_KERNEL_GRID))
    falls = slope**2 + bend * (beta[:, None] + moment) < 0
    turn = np.argmax(falls, axis=1)
    if not np.all(np.any(falls, axis=1)):
        raise ValueError(
            f"activation must saturate for an optimum to exist, got {phi!r}; its response still "
            f"grows at variance {_KERNEL_GRID[-1]:g}."
        )
    low = np.where(turn > 0, _KERNEL_GRID[np.maximum(turn - 1, 0)], 0.0)
    return low, np.where(turn > 0, _KERNEL_GRID[turn], 0.0)
