"""Checks of draws of stationary normal sequences against their covariance, at every lag."""

from __future__ import annotations

import math

import numpy as np
from scipy import linalg, stats

from companion.montecarlo import Estimate


def lag_means(paths: np.ndarray) -> np.ndarray:
    """Mean over layers and paths of the products at each lag; ``paths`` has shape (L, N)."""
    depth = len(paths)
    return np.array([np.mean(paths[: depth - k] * paths[k:]) for k in range(depth)])


def lag_mean_covariance(gamma: np.ndarray) -> np.ndarray:
    """Covariance of `lag_means` of one path, shape (L, L), from Isserlis' theorem."""
    depth = len(gamma)
    layers = linalg.toeplitz(gamma)
    products = np.empty((depth, depth, depth))
    for k in range(depth):
        form = (np.eye(depth, k=k) + np.eye(depth, k=-k)) / (2 * (depth - k))
        products[k] = form @ layers
    return 2 * np.einsum("jab,kba->jk", products, products)


def check_every_lag(paths: np.ndarray, gamma: np.ndarray) -> None:
    """Each lag within 4.5 exact standard errors, and all together by a chi-square."""
    covariance = lag_mean_covariance(gamma) / paths.shape[1]
    found = Estimate(lag_means(paths), np.sqrt(np.diag(covariance)), paths.shape[1])
    assert np.all(found.sem < 0.05)
    assert found.agrees(gamma)
    sizes, directions = np.linalg.eigh(covariance)
    kept = sizes > 1e-8 * sizes[-1]
    z = (found.value - gamma) @ directions[:, kept] / np.sqrt(sizes[kept])
    assert stats.chi2.sf(np.sum(z**2), z.size) > 1e-5


def check_long_range(paths: np.ndarray, gamma: np.ndarray) -> None:
    """Variance of the sum over all layers, and covariance of the sums over its two halves."""
    depth, n = paths.shape
    half = depth // 2
    halves = np.kron(np.eye(2), np.ones(half))
    layers = linalg.toeplitz(gamma)
    (own, cross), _ = halves @ layers @ halves.T
    one, two = halves @ paths
    sem = math.sqrt((own**2 + cross**2) / n)
    assert sem < 0.04 * own
    assert Estimate(np.mean(one * two), np.array(sem), n).agrees(cross)
    total = 2 * (own + cross)
    sem = total * math.sqrt(2 / n)
    assert Estimate(np.mean((one + two) ** 2), np.array(sem), n).agrees(total)
