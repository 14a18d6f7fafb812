r"""Limits in continuous depth: stochastic and ordinary differential equations, and kernel flows.

Notation
--------
=======================================  ====================  =========================
symbol                                   name                  book label
=======================================  ====================  =========================
:math:`dX=\frac1{\sqrt n}dB\,\sigma(X)`  in `strong_errors`    ``eq-ld-sde``
:math:`dX=\sqrt{c/n}\,dB\,X`             `brownian_log_norm`   ``eq-ld-matrix-brownian``
:math:`e^c-(1+c/L)^L`                    `weak_error`          ``eq-ld-weak-error``
:math:`\dot H=V(t)\sigma(W(t)H)`         in `ode_differences`  ``eq-ld-ode``
:math:`q_{ab}`                           ``gram``              ``eq-ld-kernel-flow``
=======================================  ====================  =========================

That i.i.d. weights at :math:`\beta=\frac12` lead to a stochastic, smooth ones at :math:`\beta=1` to
an ordinary differential equation is stated in the abstract of Marion, Fermanian, Biau and Vert; the
forms and rates here were derived for this book and tested.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import finite_array, nonnegative_array, positive_integer, real_number
from companion.activations import Activation, as_activation
from companion.depthlimits.correlated import kappa
from companion.depthlimits.lognormal import LimitLaw
from companion.montecarlo import Estimate
from companion.weights import Smooth

__all__ = [
    "brownian_log_norm",
    "kernel_flow",
    "kernel_recursion",
    "log_brownian_moment",
    "ode_differences",
    "strong_errors",
    "weak_error",
]

Array = NDArray[np.float64]

_PATH_BYTES = 2**26  # smooth paths held at a time


def strong_errors(
    depths: Sequence[int],
    *,
    width: int,
    paths: int,
    rng: np.random.Generator,
    activation: Activation | str = "relu",
    fine: int = 4096,
) -> Estimate:
    r""":math:`E\sup_l\|h_l-X_{l/L}\|^2` of single-block networks coupled to one Brownian path.

    The networks :math:`h_{l+1}=h_l+L^{-1/2}V_l\sigma(h_l)` have
    :math:`V_l=\sqrt{L/n}\,(B_{(l+1)/L}-B_{l/L})`, i.e. they are the Euler-Maruyama scheme of
    ``eq-ld-sde``; the scheme of depth ``fine`` stands for :math:`X`. All start at one standard
    normal vector per path.

    Parameters
    ----------
    depths
        Increasing depths, each a divisor of the next and the last one of ``fine``.
    width
        Coordinates of the stream.
    paths
        Independent paths.
    rng
        Source of randomness.
    activation
        Of Lipschitz type for the strong order one half.
    fine
        Depth of the reference.

    Returns
    -------
    Mean square errors, shape ``(len(depths),)``, squared lengths with :math:`E\|h_0\|^2=n`.

    Raises
    ------
    ValueError
        If the depths do not divide one another.
    """
    phi, n = as_activation(activation), positive_integer(width, "width")
    steps = [positive_integer(depth, "every depth") for depth in (*depths, fine)]
    if any(b % a or b <= a for a, b in pairwise(steps)) or len(steps) < 2:
        raise ValueError(
            f"depths must increase, each a divisor of the next and of fine, got {steps}; pass "
            "powers of two"
        )
    count = positive_integer(paths, "paths")
    states = [rng.standard_normal((count, n))] * len(steps)
    noise = [np.zeros((count, n, n)) for _ in steps[:-1]]
    worst = np.zeros((count, len(depths)))
    for tick in range(1, fine + 1):
        step = rng.standard_normal((count, n, n)) / math.sqrt(n * fine)
        states[-1] = _euler(states[-1], step, phi)
        for i in range(len(steps) - 2, -1, -1):
            noise[i] += step
            if tick % (fine // steps[i]):
                break
            step, noise[i] = noise[i], np.zeros_like(noise[i])
            states[i] = _euler(states[i], step, phi)
            error = np.sum((states[i] - states[-1]) ** 2, axis=1)
            worst[:, i] = np.maximum(worst[:, i], error)
    return Estimate.mean(worst)


def _euler(state: Array, step: Array, phi: Activation) -> Array:
    return np.asarray(state + np.matmul(step, phi(state)[..., None])[..., 0])


def weak_error(depth: ArrayLike, gain: float = 0.5) -> Array:
    r""":math:`e^c-(1+c/L)^L`: the SDE's mean square norm minus the network's, relative.

    About :math:`c^2e^c/2L`, so the weak order is 1 (``eq-ld-weak-error``).

    Parameters
    ----------
    depth
        Positive integers, any shape.
    gain
        ``c``, not negative.
    """
    c = real_number(gain, "gain", minimum=0.0)
    lengths = nonnegative_array(depth, "depth")
    if np.any((lengths < 1) | (lengths != np.round(lengths))):
        raise ValueError("depth must hold positive integers; it counts blocks")
    return np.asarray(-math.exp(c) * np.expm1(lengths * _log1p_excess(c / lengths)))


def _log1p_excess(x: Array) -> Array:
    """``log(1 + x) - x`` without cancellation at small ``x``."""
    series = np.zeros_like(x)
    for k in range(12, 1, -1):
        series = x * series + (-1) ** (k + 1) / k
    return np.where(x < 0.01, x * x * series, np.log1p(x) - x)


def brownian_log_norm(width: int, time: float = 1.0, gain: float = 0.5) -> LimitLaw:
    r"""Exact law of :math:`\ln(\|X_t\|^2/\|X_0\|^2)` for :math:`dX=\sqrt{c/n}\,dB\,X`.

    Normal with mean :math:`ct(1-\frac2n)` and variance :math:`4ct/n`: the limit of two-layer
    networks with :math:`c=\frac12`, stream and gradient alike (``eq-ld-matrix-brownian``).
    """
    n = positive_integer(width, "width")
    rate = real_number(gain, "gain", minimum=0.0) * real_number(time, "time", minimum=0.0)
    return LimitLaw(rate * (1 - 2 / n), 4 * rate / n)


def log_brownian_moment(order: float, width: int, time: float = 1.0, gain: float = 0.5) -> float:
    r"""Natural log of :math:`E\|X_t\|^{2k}/\|X_0\|^{2k}`: :math:`k\mu+\frac12k^2\sigma^2`."""
    k = real_number(order, "order")
    law = brownian_log_norm(width, time, gain)
    return k * law.mean + k**2 * law.variance / 2


def kernel_recursion(gram: ArrayLike, alpha: float, depth: int) -> Array:
    r"""Gram matrix of several inputs after ``depth`` wide two-layer ReLU blocks.

    :math:`q_{ab}\leftarrow q_{ab}+\alpha^2\sqrt{q_aq_b}\,\kappa(q_{ab}/\sqrt{q_aq_b})`
    (``eq-ld-kernel-flow``), weights independent across layers.

    Parameters
    ----------
    gram
        :math:`\langle h_0^a,h_0^b\rangle/n`, symmetric with a positive diagonal, shape ``(k, k)``.
    alpha
        Branch scale, at least 0.
    depth
        Number of blocks.

    Raises
    ------
    ValueError
        If ``gram`` is not a Gram matrix.
    """
    cosine, lengths = _cosines(gram)
    square = real_number(alpha, "alpha", minimum=0.0) ** 2
    for _ in range(positive_integer(depth, "depth")):
        cosine = (cosine + square * kappa(cosine)) / (1 + square / 2)
    return cosine * lengths * math.exp(depth * math.log1p(square / 2))


def kernel_flow(gram: ArrayLike, time: float = 1.0) -> Array:
    r"""Limit of :func:`kernel_recursion` at :math:`L\alpha^2=` ``time`` and infinite depth.

    :math:`\dot q_{ab}=\sqrt{q_aq_b}\,\kappa(q_{ab}/\sqrt{q_aq_b})`; relative error below 1e-10.
    Parameters and errors as :func:`kernel_recursion`.
    """
    from scipy.integrate import solve_ivp

    cosine, lengths = _cosines(gram)
    end = real_number(time, "time", minimum=0.0)
    if end == 0:
        return cosine * lengths
    flow = solve_ivp(
        lambda _, r: kappa(r) - r / 2, (0, end), cosine.ravel(), "DOP853", rtol=1e-12, atol=1e-13
    )
    return np.asarray(flow.y[:, -1].reshape(cosine.shape) * lengths * math.exp(end / 2))


def _cosines(gram: ArrayLike) -> tuple[Array, Array]:
    """Cosines and products of lengths of a Gram matrix."""
    matrix = finite_array(gram, "gram")
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
    if not square or not np.array_equal(matrix, matrix.T) or np.any(np.diag(matrix) <= 0):
        raise ValueError(
            "gram must be a symmetric matrix with a positive diagonal, got shape "
            f"{matrix.shape}; pass x @ x.T / n"
        )
    root = np.sqrt(np.diag(matrix))
    lengths = root[:, None] * root
    cosine = matrix / lengths
    if np.any(np.abs(cosine) > 1 + 1e-9):
        raise ValueError(
            f"gram must have cosines in [-1, 1], got {np.abs(cosine).max():g}; pass x @ x.T / n"
        )
    return np.clip(cosine, -1.0, 1.0), lengths


def ode_differences(
    depths: Sequence[int],
    *,
    width: int,
    networks: int,
    rng: np.random.Generator,
    variance: float = 0.01,
    activation: Activation | str = "relu",
) -> Estimate:
    r"""Mean of :math:`\|h^{(L)}_L-h^{(2L)}_{2L}\|/\|h_0\|` on one smooth path of the weights.

    Networks :math:`h_{l+1}=h_l+\frac1LV(l/L)\sigma(W(l/L)h_l)` of depths ``L`` and ``2 L`` are two
    explicit Euler schemes of ``eq-ld-ode``; the difference falls like ``1/L``.

    Parameters
    ----------
    depths
        Depths ``L``; all of them must divide the largest.
    width, networks
        Coordinates of the stream; independent networks, each with its own path and input.
    rng
        Source of randomness.
    variance
        ``v`` of the :class:`~companion.weights.Smooth` law.
    activation
        Nonlinearity of the two-layer block.

    Returns
    -------
    Estimate of shape ``(len(depths),)``.
    """
    phi, n = as_activation(activation), positive_integer(width, "width")
    lengths = [positive_integer(depth, "every depth") for depth in depths]
    finest = 2 * max(lengths)
    if any(finest % (2 * depth) for depth in lengths):
        raise ValueError(f"depths must divide the largest, got {lengths}; pass powers of two")
    law, times = Smooth(variance=variance), np.arange(finest) / finest
    chunk = max(1, _PATH_BYTES // (16 * finest * n * n))
    parts = []
    for start in range(0, positive_integer(networks, "networks"), chunk):
        size = min(chunk, networks - start)
        inner, outer = (law.process(times, (size, n, n), rng) / math.sqrt(n) for _ in range(2))
        first = rng.standard_normal((size, n))
        ends = {
            depth: _smooth_network(first, inner, outer, depth, phi)
            for depth in sorted({*lengths, *(2 * depth for depth in lengths)})
        }
        scale = np.linalg.norm(first, axis=1)
        gaps = [np.linalg.norm(ends[d] - ends[2 * d], axis=1) / scale for d in lengths]
        parts.append(np.stack(gaps, axis=1))
    return Estimate.mean(np.concatenate(parts))


def _smooth_network(first: Array, inner: Array, outer: Array, depth: int, phi: Activation) -> Array:
    """Last layer of the network of this depth on paths given on a finer grid."""
    state, stride = first, inner.shape[0] // depth
    for layer in range(0, inner.shape[0], stride):
        hidden = phi(np.matmul(inner[layer], state[..., None]))
        state = state + np.matmul(outer[layer], hidden)[..., 0] / depth
    return state
