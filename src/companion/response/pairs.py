r"""The optimal scale for the kernel of two different inputs.

Notation, with the labels of the book, is at the top of :mod:`companion.response`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import finite_array, nonnegative_array, real_number
from companion.activations import Activation, as_activation
from companion.kernels import Branch
from companion.response.roots import bracketed_maximum
from companion.response.settings import Settings

__all__ = ["deep_pair_kernel", "log_pair_response", "optimal_pair_scale"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

_SCAN_POINTS = 60
#: Final kernels between which the optimum is searched, in multiples of the unit of the activation.
_SMALLEST, _LARGEST = 1e-3, 1e6
_LARGEST_DEEP = 1e5


def log_pair_response(settings: Settings, cosine: ArrayLike, scale: ArrayLike) -> Array:
    r""":math:`\ln\chi^y_{12,12}` for two inputs of equal variance (``eq-ft-pair-response``).

    Parameters
    ----------
    cosine
        Correlation of the two inputs in :math:`K^0`, in ``[-1, 1]``; at 1 the result is that of
        the squared Jacobian.
    scale
        Branch scales, at least 0. Everything broadcasts.

    Returns
    -------
    Natural log, up to :math:`\ln\sigma_{out}^2`.
    """
    c, s = _cosines(cosine), nonnegative_array(scale, "scale")
    wide = settings.broadcast(c.shape, s.shape)
    shape = wide.shape
    start, r = np.broadcast_to(c, shape).ravel(), np.broadcast_to(s, shape).ravel() ** 2
    out = np.empty(r.size)
    for depth, at in wide.by_depth():
        out[at] = _log_response(wide.at(at), depth, start[at], r[at])
    return out.reshape(shape)[()]


def optimal_pair_scale(settings: Settings, cosine: ArrayLike) -> Array:
    r"""The scale with the largest response :math:`\chi^y_{12,12}` (``sec-ft-pairs``).

    Parameters
    ----------
    cosine
        Correlation of the two inputs in :math:`K^0`, in ``[-1, 1]``, broadcast against the
        settings.

    Returns
    -------
    Scale, accurate to about 1e-7 relatively; 0 where the response is largest without branches,
    infinite where it grows up to the end of the scan, as it does at equal inputs.
    """
    c = _cosines(cosine)
    wide = settings.broadcast(c.shape)
    shape = wide.shape
    start, out = np.broadcast_to(c, shape).ravel(), np.empty(math.prod(shape))
    for depth, at in wide.by_depth():
        out[at] = _best_scale(wide.at(at), depth, start[at])
    return out.reshape(shape)[()]


def deep_pair_kernel(
    cosine: float,
    input_variance: float = 0.1,
    bias_ratio: float = 0.0,
    activation: Activation | str = "erf",
) -> float:
    r"""Final kernel :math:`K^L` at which :math:`\chi^y_{12,12}` is largest in the deep limit.

    There the covariance follows :math:`dq/dp=(\beta+f)/(\beta+g)` and the response is
    :math:`\langle\phi'\phi'\rangle\exp\int\langle\phi'\phi'\rangle/(\beta+g)\,dp`
    (``eq-ft-deep-pair``).

    Parameters
    ----------
    cosine
        Initial correlation, in ``[-1, 1)``.
    input_variance
        ``K^0``, positive.
    bias_ratio
        ``beta``, at least 0.

    Returns
    -------
    Kernel, accurate to about 1e-5 relatively; ``input_variance`` if it is best to have no
    branches, infinite if there is no maximum below 1e5.
    """
    from scipy.integrate import solve_ivp

    phi = as_activation(activation)
    c = real_number(cosine, "cosine", minimum=-1.0)
    k0 = real_number(input_variance, "input_variance", minimum=0.0, strict=True)
    beta = real_number(bias_ratio, "bias_ratio", minimum=0.0)
    if c >= 1:
        raise ValueError(f"cosine must be below 1, got {c:g}; equal inputs have no optimum.")
    branch = Branch(phi, 1.0, 1.0, beta)

    def flow(log_p: float, state: Array) -> list[float]:
        p = np.array([math.exp(log_p)])
        moment, slope = branch.pair_with_slope(p, p, np.clip(state[:1], -p, p))
        rate = float(p[0]) / float(branch.moment(p)[0])
        return [float(moment[0]) * rate, float(slope[0]) * rate]

    ends = (math.log(k0), math.log(max(_LARGEST_DEEP, 10 * k0)))
    path = solve_ivp(flow, ends, [c * k0, 0.0], method="DOP853", rtol=1e-11, dense_output=True)

    def response(log_p: Array, at: Indices) -> Array:
        p, (q, gained) = np.exp(log_p), path.sol(log_p)
        return gained + np.log(branch.pair_with_slope(p, p, np.clip(q, -p, p))[1])

    grid = np.linspace(*ends, 400)
    best = int(np.argmax(response(grid, np.arange(0))))
    if best in (0, grid.size - 1):
        return k0 if best == 0 else math.inf
    found = bracketed_maximum(response, grid[best - 1 : best], grid[best + 1 : best + 2])
    return math.exp(float(found[0]))


def _cosines(cosine: ArrayLike) -> Array:
    c = finite_array(cosine, "cosine")
    if np.any(np.abs(c) > 1):
        raise ValueError(f"cosine must lie in [-1, 1], got {c.flat[np.argmax(np.abs(c))]:g}.")
    return c


def _log_response(sets: Settings, depth: int, cosine: Array, r: Array) -> Array:
    branch, w = Branch(sets.activation, 1.0, 1.0, 0.0), sets.weight_variance
    p = np.broadcast_to(sets.input_variance, np.shape(r)).copy()
    q, total = cosine * p, np.zeros(np.shape(r))
    for _ in range(depth):
        moment, slope = branch.pair_with_slope(p, p, q)
        total += np.log1p(r * w * slope)
        p, q = p + r * sets.branch(p), q + r * (sets.bias_variance + w * moment)
        q = np.clip(q, -p, p)
    return total + np.log(branch.pair_with_slope(p, p, q)[1])


def _best_scale(sets: Settings, depth: int, cosine: Array) -> Array:
    k0 = sets.input_variance
    unit = 1 / np.asarray(sets.activation.mean_squared_derivative(0.0))
    # From steps that hardly move the kernel to a saturated branch that makes it enormous.
    low = np.log(_SMALLEST * k0 / (depth * sets.branch(k0)))
    high = np.log(_LARGEST * unit / (depth * sets.branch(unit)))
    scan = low + (high - low) * np.linspace(0, 1, _SCAN_POINTS)[:, None]
    rows = [_log_response(sets, depth, cosine, np.exp(x)) for x in scan]
    none = _log_response(sets, depth, cosine, np.zeros(cosine.size))
    best, column = np.argmax(rows, axis=0), np.arange(cosine.size)
    left, right = (
        scan[np.maximum(best - 1, 0), column],
        scan[np.minimum(best + 1, _SCAN_POINTS - 1), column],
    )
    found = bracketed_maximum(
        lambda x, at: _log_response(sets.at(at), depth, cosine[at], np.exp(x)), left, right
    )
    found = np.exp(found / 2)
    found = np.where(best == _SCAN_POINTS - 1, np.inf, found)
    return np.where(np.max(rows, axis=0) > none, found, 0.0)
