"""The chain of norms, fractional weights and the covariance recursion against simple code."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.protocol import Ratio, compare, duration
from companion import depthlimits
from companion.architecture import ResNetSpec
from companion.montecarlo import ks_between
from companion.papers.large_depth import cells
from companion.simulate import processes
from companion.simulate.blocks import batches
from companion.weights import FractionalNoise

__all__ = ["check", "facts", "histogram", "naive", "noise", "ratios"]

Contestant = tuple[Callable[[], object], float]


def naive_ratios(depth: int, width: int, networks: int, inputs: int = 64) -> np.ndarray:
    """Log squared ratios of output and gradient, one ``nn.Linear`` per matrix, one network a time.

    As one writes it without a library, and as the authors' code is organised; shape (networks, 2).
    """
    bound = math.sqrt(3 / width)
    found = []
    for _ in range(networks):
        matrices = [torch.nn.Linear(width, width, bias=False) for _ in range(2 * depth)]
        for matrix in matrices:
            torch.nn.init.uniform_(matrix.weight, -bound, bound)
        embed = torch.nn.Linear(inputs, width, bias=False)
        readout = torch.nn.Linear(width, 1, bias=False)
        start = embed(torch.rand(1, inputs)).detach().requires_grad_()
        h = start
        for inner, outer in zip(matrices[::2], matrices[1::2], strict=True):
            h = h + depth**-0.5 * outer(torch.relu(inner(h)))
        h.retain_grad()
        (readout(h) - torch.rand(1, 1)).square().sum().backward()
        assert h.grad is not None
        assert start.grad is not None
        pair = (h.detach().norm() / start.detach().norm(), start.grad.norm() / h.grad.norm())
        found.append([2 * math.log(float(ratio)) for ratio in pair])
    return np.array(found)


def naive(depth: int, width: int, networks: int) -> Contestant:
    """Units: networks."""
    return (lambda: naive_ratios(depth, width, networks)), float(networks)


def histogram(depth: int, width: int, networks: int) -> Contestant:
    """Both histograms from the exact chain of norms; units: networks."""
    spec = cells.network({"depth": depth, "width": width, "law": "gaussian"})
    return (lambda: depthlimits.sample_norms(spec, networks, np.random.default_rng(1))), float(
        networks
    )


def noise(depth: int, width: int) -> Contestant:
    """Both matrices of every layer of one network, fractional weights; units: networks."""
    law, device = FractionalNoise(0.8), torch.device("cpu")

    def run() -> None:
        (block,) = batches(1, 1, seed=1, device=device, dtype=torch.float32)
        for _ in range(2):
            processes.draw(law, depth, 1, width, width, block.noise)

    return run, 1.0


def path_by_path(depth: int, width: int, paths: int) -> Contestant:
    """Fractional noise one matrix entry at a time, as a textbook recipe has it; units: networks.

    A loop over the frequencies, then a transform: how the published generator works, with the
    right formula.
    """
    rng, lags = np.random.default_rng(1), np.arange(depth + 1)

    def one() -> np.ndarray:
        gamma = FractionalNoise(0.8).covariance(lags)
        eigenvalues = np.fft.fft(np.concatenate([gamma, gamma[-2:0:-1]])).real
        z = np.zeros(2 * depth, complex)
        for k in (0, depth):
            z[k] = np.sqrt(eigenvalues[k] / (2 * depth)) * rng.standard_normal()
        for k in range(1, depth):
            a, b = rng.standard_normal(), rng.standard_normal()
            z[k] = np.sqrt(eigenvalues[k] / (4 * depth)) * (a + 1j * b)
            z[2 * depth - k] = np.conj(z[k])
        return np.asarray(np.fft.fft(z)[:depth].real)

    return (lambda: [one() for _ in range(paths)]), paths / (2 * width**2)


def whole_paths(depth: int, width: int, paths: int) -> Contestant:
    """Fractional noise one matrix entry at a time, each by one NumPy transform."""
    spectrum = FractionalNoise(0.8).spectrum(depth)
    assert spectrum is not None
    rng, amplitude = np.random.default_rng(1), np.sqrt(depth * spectrum)

    def run() -> None:
        for _ in range(paths):
            z = amplitude * (rng.standard_normal(depth + 1) + 1j * rng.standard_normal(depth + 1))
            np.fft.irfft(z, 2 * depth)[:depth].copy()

    return run, paths / (2 * width**2)


def check() -> str:
    """Chain and naive loop have one law: a contestant that is wrong has no time."""
    torch.manual_seed(1)
    slow = naive_ratios(20, 20, 800)
    spec = cells.network({"depth": 20, "width": 20, "law": "gaussian"})
    fast = depthlimits.sample_norms(spec, 8000, np.random.default_rng(2))
    worst = min(
        ks_between(slow[:, 0], fast.log_norm).pvalue,
        ks_between(slow[:, 1], fast.log_gradient).pvalue,
    )
    if worst < 0.005:
        raise RuntimeError(f"the simulations differ in law (p = {worst:.2g}); no time is valid")
    return f"Kolmogorov-Smirnov of the chain against a naive loop, smallest p = {worst:.2f}"


def ratios() -> list[Ratio]:
    """The comparisons of the benchmarks page."""
    g = depthlimits.layer_covariance(FractionalNoise(0.8), 4000)
    return [
        compare(
            "ld-histogram",
            "naive loop / chain, 10 000 networks, both directions, L = 1000, n = 100",
            naive(1000, 100, 1),
            histogram(1000, 100, 10_000),
            bound=500,
            at_least=True,
        ),
        compare(
            "ld-noise",
            "fractional weights entry by entry and frequency by frequency / batched, "
            "L = 1000, n = 40",
            path_by_path(1000, 40, 8),
            noise(1000, 40),
            bound=200,
            at_least=True,
        ),
        duration(
            "ld-noise-seconds",
            "seconds for the fractional weights of one network, L = 1000, n = 40",
            noise(1000, 40),
            bound=0.05,
        ),
        duration(
            "ld-recursion",
            "seconds for the covariance recursion at L = 4000, one scale",
            ((lambda: depthlimits.log_displacement(g, 4000**-0.7)), 1.0),
            bound=0.5,
        ),
    ]


def facts() -> dict[str, str]:
    """Context: against a vectorised loop, and sizes out of reach of explicit weights."""
    vectorised = compare(
        "x", "x", whole_paths(1000, 40, 100), noise(1000, 40), bound=1, at_least=True
    )
    spec = ResNetSpec.large_depth(100_000, 10_000, 0.5, law=cells.weight_law({"law": "gaussian"}))
    start = time.process_time()
    sample = depthlimits.sample_norms(spec, 200, np.random.default_rng(1)).log_norm
    return {
        "fractional weights, one vectorised NumPy transform per entry / batched": (
            f"{vectorised.median:.3g} ({vectorised.low:.3g}-{vectorised.high:.3g})"
        ),
        "joint law of output and gradient norms, L = 100,000, n = 10,000, 200 networks": (
            f"{time.process_time() - start:.1f} s, mean of ln(|h_L|²/|h_0|²) "
            f"{sample.mean():.4f} ± {sample.std() / len(sample) ** 0.5:.4f}"
        ),
    }
