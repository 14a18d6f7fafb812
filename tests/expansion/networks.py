"""Explicit networks in plain NumPy, weights and all, with the orders of their streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import erf

Blocks = Callable[[np.random.Generator], np.ndarray]


class Orders(NamedTuple):
    """Orders ``s^k h^(k)`` and the streams of networks, per network and neuron, ``|h_0|^2 = n``."""

    orders: np.ndarray  # (orders + 1, networks, n)
    stream: np.ndarray  # (networks, n)

    def energy(self, j: int, k: int) -> np.ndarray:
        """``<s^j h^(j), s^k h^(k)> / n`` of every network."""
        return np.mean(self.orders[j] * self.orders[k], axis=1)


def start(networks: int, n: int, rng: np.random.Generator) -> np.ndarray:
    h = rng.standard_normal((networks, n))
    return h * np.sqrt(n / np.sum(h * h, axis=1, keepdims=True))


def weights(networks: int, n: int, variance: float, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((networks, n, n)) * np.sqrt(variance / n)


def apply(matrix: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Matrices (networks, n, n) on arrays (..., networks, n)."""
    return np.einsum("bij,...bj->...bi", matrix, vectors)


def expand(
    n: int,
    scales: np.ndarray,
    networks: int,
    top: int,
    rng: np.random.Generator,
    *,
    kind: str = "relu",
    masks: str = "frozen",
    inner: float = 2.0,
    outer: float = 1.0,
    slope: float = 0.0,
) -> Orders:
    """Two-layer ReLU blocks (leaky with a slope), or single linear ones, by transport."""
    h = start(networks, n, rng)
    first, orders = h, np.zeros((top + 1, networks, n))
    orders[0] = h
    for scale in scales:
        if kind == "linear":
            w = weights(networks, n, inner, rng)
            steps, own = _product(w, orders[:-1]), apply(w, h)
        else:
            w, v = weights(networks, n, inner, rng), weights(networks, n, outer, rng)
            z = apply(w, h)
            frozen = apply(w, first) if masks == "frozen" else z
            mask = np.where(frozen > 0, 1.0, slope)
            steps = _product(v, mask * _product(w, orders[:-1]))
            own = apply(v, np.where(z > 0, z, slope * z))
        orders[1:] += scale * steps
        h = h + scale * own
    return Orders(orders, h)


def _product(matrix: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """All orders through one matrix, by one batched product."""
    return np.moveaxis(matrix @ np.moveaxis(orders, 0, -1), -1, 0)


def expand_erf(
    n: int,
    scales: np.ndarray,
    networks: int,
    rng: np.random.Generator,
    *,
    inner: float,
    outer: float,
) -> Orders:
    """Orders 0 to 3 of two-layer networks with erf(x/sqrt 2), by explicit derivatives."""
    h = start(networks, n, rng)
    orders = np.stack([h, 0 * h, 0 * h, 0 * h])
    for scale in scales:
        w, v = weights(networks, n, inner, rng), weights(networks, n, outer, rng)
        z = _product(w, orders)
        slope = np.sqrt(2 / np.pi) * np.exp(-(z[0] ** 2) / 2)
        parts = [erf(z[0] / np.sqrt(2)), slope * z[1], slope * (z[2] - z[0] * z[1] ** 2 / 2)]
        orders[1:] += scale * _product(v, np.stack(parts))
    return Orders(orders, np.sum(orders, axis=0))
