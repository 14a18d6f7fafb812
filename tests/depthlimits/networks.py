"""Explicit networks in plain NumPy, weights and all: what the theory is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from companion.architecture import ResNetSpec
from companion.weights import IID, WeightLaw

NORMAL = IID("gaussian")


def large_depth(n: int, L: int, beta: float = 0.5, **kwargs: object) -> ResNetSpec:
    """Network of the chapter with normal weights."""
    return ResNetSpec.large_depth(L, n, beta, **{"law": NORMAL, **kwargs})


@dataclass
class Ratios:
    """Squared relative observables, one entry per network."""

    hr2: np.ndarray
    hd2: np.ndarray
    gr2: np.ndarray
    gd2: np.ndarray
    cosine: np.ndarray
    drift: np.ndarray  # of p.h between first and last layer, relative


def explicit(
    n: int,
    depth: int,
    scale: float,
    networks: int,
    rng: np.random.Generator,
    *,
    law: WeightLaw = NORMAL,
    block: str = "two-layer",
    slope: float = 0.0,
) -> Ratios:
    """Forward and backward pass of networks with all their matrices, ReLU or leaky ReLU."""
    shape = (networks, n, n)
    outer = law.sample(depth, shape, rng) / n**0.5
    inner = law.sample(depth, shape, rng) / n**0.5 if block == "two-layer" else None
    h = first = rng.standard_normal((networks, n))
    slopes = []
    for layer in range(depth):
        u = h if inner is None else apply(inner[layer], h)
        slopes.append(np.where(u > 0, 1.0, slope))
        h = h + scale * apply(outer[layer], slopes[-1] * u)
    p = last = rng.standard_normal((networks, n))
    for layer in reversed(range(depth)):
        back = slopes[layer] * apply(outer[layer].swapaxes(1, 2), p)
        p = p + scale * (back if inner is None else apply(inner[layer].swapaxes(1, 2), back))
    dots = [np.sum(first * p, axis=1), np.sum(h * last, axis=1)]
    size = np.sqrt(square(h) * square(last))
    return Ratios(
        square(h) / square(first),
        square(h - first) / square(first),
        square(p) / square(last),
        square(p - last) / square(last),
        dots[1] / size,
        np.abs(dots[0] - dots[1]) / size,
    )


def apply(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.matmul(matrices, vectors[..., None])[..., 0]


def square(vectors: np.ndarray) -> np.ndarray:
    return np.sum(vectors**2, axis=-1)
