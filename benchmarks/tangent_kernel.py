"""Gram matrices of the residual tangent kernel: the table against the recursion pair by pair."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.protocol import Ratio, compare, duration
from companion.architecture import ResNetSpec
from companion.kernels import table, tangent

__all__ = ["cached", "check", "cold", "direct", "facts", "network", "plain", "ratios"]

Contestant = tuple[Callable[[], object], float]

PAIRS = 20_000


def network(depth: int, scale: float = 1.0) -> ResNetSpec:
    """Network of one scale; its width does not enter."""
    return ResNetSpec.tangent_kernel(depth, 1, alpha=scale)


def sphere(samples: int) -> np.ndarray:
    """Uniform points on the sphere of three dimensions."""
    x = np.random.default_rng(1).standard_normal((samples, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def plain_recursion(theta: np.ndarray, depth: int, scale: float) -> np.ndarray:
    """The stable recursion as one writes it in NumPy, on arrays of angles."""
    share = scale**2 / (1 + scale**2)
    half, total = np.sin(theta / 2), np.zeros_like(theta)
    for _ in range(depth):
        cosine = 1 - 2 * half**2
        series = theta**3 / 3 * (1 - theta**2 / 10 * (1 - theta**2 / 28 * (1 - theta**2 / 54)))
        excess = np.where(theta < 0.05, series, np.sin(theta) - theta * cosine)
        total = total * (1 - share * theta / np.pi)
        total += cosine + excess / np.pi + cosine * (1 - theta / np.pi)
        half = np.sqrt(np.maximum(half**2 - share * excess / (2 * np.pi), 0))
        theta = 2 * np.arcsin(np.minimum(half, 1))
    return total / (2 * depth)


def plain(samples: int, depth: int, *, timed_at: int) -> Contestant:
    """The plain recursion for every pair, timed on some pairs and layers; units: whole matrices.

    Both extrapolations are linear; 20 000 pairs at a time stay in the cache.
    """
    theta = np.random.default_rng(1).uniform(0, np.pi, PAIRS)
    part = PAIRS / (samples * (samples + 1) / 2) * timed_at / depth
    return (lambda: plain_recursion(theta, timed_at, 1.0)), part


def direct(samples: int, depth: int, *, timed_at: int) -> Contestant:
    """The recursion of the package, extrapolated likewise."""
    theta, spec = np.random.default_rng(1).uniform(0, np.pi, PAIRS), network(timed_at)
    part = PAIRS / (samples * (samples + 1) / 2) * timed_at / depth
    return (lambda: tangent.normalized_kernel(spec, theta)), part


def cached(samples: int, depth: int) -> Contestant:
    """One matrix, with the table at hand and the memory touched; units: matrices."""
    x, out, known = (
        sphere(samples),
        np.ones((samples, samples)),
        table.tangent_table(network(depth)),
    )
    return (lambda: known.gram(x, out=out)), 1.0


def cold(samples: int, depth: int) -> Contestant:
    """One matrix, with its table, in fresh memory; units: matrices."""
    x, spec = sphere(samples), network(depth)

    def run() -> None:
        table._constant_table.cache_clear()
        table.tangent_gram(spec, x)

    return run, 1.0


def check() -> str:
    """Table and recursion agree: a contestant that is wrong has no time."""
    x, worst = sphere(60), 0.0
    for depth in (10, 100, 10_000):
        for exponent in (0.0, 0.25, 0.5, 1.0):
            spec = network(depth, depth**-exponent)
            gap = table.tangent_gram(spec, x) - tangent.direct_gram(spec, x)
            worst = max(worst, float(np.abs(gap).max()))
    theta = np.linspace(0, np.pi, 50)
    gap = plain_recursion(theta, 100, 1.0) - tangent.normalized_kernel(network(100), theta)
    worst = max(worst, float(np.abs(gap).max()))
    if worst > 1e-10:
        raise RuntimeError(f"the table is off by {worst:.2g}; no time is valid")
    return f"largest difference of table and recursion, L up to 10,000: {worst:.1e}"


def ratios() -> list[Ratio]:
    """The comparisons of the benchmarks page."""
    deep = 10_000
    slow = plain(2000, deep, timed_at=100)
    found = [
        compare(
            "tk-plain-cold",
            "plain NumPy recursion pair by pair (timed at L = 100, extrapolated) / table and "
            "matrix, N = 2000, L = 10,000",
            slow,
            cold(2000, deep),
            bound=2000,
            at_least=True,
        ),
        compare(
            "tk-plain-cached",
            "the same / matrix, with the table at hand",
            slow,
            cached(2000, deep),
            bound=4000,
            at_least=True,
        ),
        compare(
            "tk-direct-cached",
            "the recursion of the package, pair by pair, likewise / matrix, with the table at hand",
            direct(2000, deep, timed_at=100),
            cached(2000, deep),
            bound=2000,
            at_least=True,
        ),
        compare(
            "tk-depth",
            "Gram matrix at L = 10,000 / at L = 10, tables at hand, N = 2000",
            cached(2000, deep),
            cached(2000, 10),
            bound=1.5,
            at_least=False,
        ),
    ]
    found = [replace(row, context=f"matrices: {row.context}") for row in found]
    for name, what, contestant, bound in (
        ("tk-cold", "seconds for a Gram matrix with its table, N = 2000", cold(2000, deep), 0.3),
        ("tk-cached", "seconds with the table at hand, N = 2000", cached(2000, deep), 0.06),
        (
            "tk-large",
            "seconds with the table, in fresh memory, N = 10,000",
            cold(10_000, deep),
            5.0,
        ),
    ):
        found.append(duration(name, f"{what}, L = 10,000", contestant, bound=bound))
    return found


def facts() -> dict[str, str]:
    """Lengths of the series, and what the matrix is used for."""
    sizes = [
        f"{table.tangent_table(network(10_000, 10_000**-beta)).coefficients.size} at {beta:g}"
        for beta in (0.0, 0.25, 0.5, 1.0)
    ]
    gram = table.tangent_gram(network(10_000, 0.01), sphere(2000))
    start = time.process_time()
    np.linalg.eigh(gram)
    return {
        "Chebyshev coefficients at L = 10,000, by exponent of the scale": ", ".join(sizes),
        "eigendecomposition of that Gram matrix, N = 2000": (
            f"{time.process_time() - start:.1f} s"
        ),
    }
