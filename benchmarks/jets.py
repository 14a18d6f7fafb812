"""Jets of explicit networks against double loops and bare matrix products; geometric complexity."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.protocol import Ratio, compare, duration
from companion.architecture import ResNetSpec
from companion.simulate import jacobians, jets
from companion.simulate.jets import series

__all__ = ["check", "complexity", "double_loop", "facts", "products", "ratios", "relu", "tanh"]

Contestant = tuple[Callable[[], object], float]

WIDTH = 64


def tower(activation: str, depth: int) -> jets.Tower:
    rng = np.random.default_rng(1)
    inner, outer = rng.standard_normal((2, depth, WIDTH, WIDTH)) / WIDTH**0.5
    gain = 2**0.5 if activation == "relu" else 1.0
    return jets.Tower(outer, gain * inner, activation, depth**-0.5)


def rows(samples: int) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((samples, WIDTH))


def whole(activation: str, depth: int, order: int, samples: int = 1) -> Contestant:
    """Jets of one network; units: networks."""
    found, start = tower(activation, depth), rows(samples)
    return (lambda: jets.taylor(found, start, order)), 1.0


def relu(depth: int, order: int, samples: int) -> Contestant:
    """Units: blocks."""
    run, _ = whole("relu", depth, order, samples)
    return run, float(depth)


def products(order: int, samples: int, repeats: int = 20) -> Contestant:
    """The two matrix products of a block, orders and samples as one operand; units: blocks."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(order * samples, WIDTH, generator=generator, dtype=torch.float64)
    v, w = torch.randn(2, WIDTH, WIDTH, generator=generator, dtype=torch.float64)
    z, out = torch.empty_like(x), torch.empty_like(x)

    def run() -> None:
        for _ in range(repeats):
            torch.mm(x, w, out=z)
            torch.mm(z, v, out=out)

    return run, float(repeats)


def double_loop_tanh(z: torch.Tensor) -> torch.Tensor:
    """The recurrence as it is written: one vector operation per pair of orders."""
    orders = z.shape[0]
    a, b = torch.zeros_like(z), torch.zeros_like(z)
    a[0] = torch.tanh(z[0])
    b[0] = 1 - a[0] ** 2
    for k in range(1, orders):
        for j in range(1, k + 1):
            a[k] += j * z[j] * b[k - j]
        a[k] /= k
        for j in range(k + 1):
            b[k] -= a[j] * a[k - j]
    return a


def argument(order: int, samples: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(order, samples, WIDTH, generator=generator, dtype=torch.float64)
    return z * 2.0 ** -torch.arange(order, dtype=torch.float64)[:, None, None]


def double_loop(order: int, samples: int) -> Contestant:
    """Units: activations of one block."""
    z = argument(order, samples)
    return (lambda: double_loop_tanh(z)), 1.0


def tanh(order: int, samples: int, repeats: int = 10) -> Contestant:
    """Units: activations of one block."""
    z = argument(order, samples)[None]
    return (lambda: [series.tanh_series(z) for _ in range(repeats)]), float(repeats)


def complexity(depth: int, width: int, inputs: int, examples: int) -> Contestant:
    """Exact geometric complexity of features and of ten outputs; units: networks."""
    spec = ResNetSpec.residual_expansion(depth, depth**-0.5, width=width)
    drawn = next(jets.draw(spec, 1, seed=1))
    outer, inner = drawn.tower.outer[:, 0], drawn.tower.inner[:, 0]
    found, rng = jets.Tower(outer, inner, relative_scales=depth**-0.5), np.random.default_rng(3)
    embed = rng.standard_normal((width, inputs)) / inputs**0.5
    read = rng.standard_normal((10, width)) / width**0.5
    x = rng.standard_normal((examples, inputs))
    functions = [
        jacobians.network(found, 1.0, input_map=embed, readout=end) for end in (None, read)
    ]
    return (lambda: [jacobians.geometric_complexity(f, x) for f in functions]), 1.0


def check() -> str:
    """Series and jets agree with the double loop and with Cauchy's formula, or no time counts."""
    z = argument(32, 4)
    gap = float((series.tanh_series(z[None])[0] - double_loop_tanh(z)).abs().max())
    found, start = tower("tanh", 20), rows(1)
    exact = jets.contour(lambda s: jets.complex_forward(found, start, s), 8, 0.3, 128).real
    sizes = np.linalg.norm(exact, axis=-1)
    gaps = np.linalg.norm(jets.taylor(found, start, 8).coefficients - exact, axis=-1) / sizes
    if gap > 1e-12 or gaps.max() > 1e-9:
        raise RuntimeError(f"the contestants differ ({gap:.2g}, {gaps.max():.2g})")
    return (
        f"largest difference from the double loop {gap:.1e}, from Cauchy's formula {gaps.max():.1e}"
    )


def ratios() -> list[Ratio]:
    """The comparisons of the benchmarks page."""
    return [
        compare(
            "jets-relu",
            "two bare matrix products per block / ReLU jets, order 32, 64 samples, n = 64",
            products(32, 64),
            relu(100, 32, 64),
            bound=0.6,
            at_least=True,
        ),
        compare(
            "jets-tanh",
            "double loop over pairs of orders / one reduction per order, tanh, order 32, one "
            "sample, n = 64",
            double_loop(32, 1),
            tanh(32, 1),
            bound=10,
            at_least=True,
        ),
        duration(
            "jets-relu-seconds",
            "seconds for 32 orders of one ReLU network, one sample, L = 1000, n = 64",
            whole("relu", 1000, 32),
            bound=0.1,
        ),
        duration(
            "jets-tanh-seconds",
            "seconds for 32 orders of one tanh network, one sample, L = 1000, n = 64",
            whole("tanh", 1000, 32),
            bound=1.0,
        ),
        duration(
            "jets-complexity-seconds",
            "seconds for the exact geometric complexity of features and outputs, 500 examples, "
            "64 inputs, L = 100, n = 32",
            complexity(100, 32, 64, 500),
            bound=5.0,
        ),
    ]


def facts() -> dict[str, str]:
    """Context: first kinks of many networks."""
    start = time.process_time()
    found = jets.sample_kinks(ResNetSpec.residual_expansion(50, 1.0, width=32), 500, seed=1)
    return {
        "first kinks of 500 ReLU networks, L = 50, n = 32": (
            f"{time.process_time() - start:.1f} s, mean {found.mean():.3g}"
        )
    }
