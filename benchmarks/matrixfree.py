"""Matrix-free simulation against explicit weights and against drawing the same normals."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import torch

from benchmarks.protocol import Ratio, compare
from companion.architecture import ResNetSpec
from companion.montecarlo import ks_between
from companion.simulate import block_size, dense, matrixfree

__all__ = ["check", "facts", "ratios"]

HALF = 0.5**0.5


def network(depth: int, width: int) -> ResNetSpec:
    """Vanilla network of equal weights."""
    return ResNetSpec.log_gaussian(depth, width, HALF, HALF)


def floor(depth: int, width: int, draws: int = 1) -> tuple[Callable[[], object], float]:
    """Drawing the normals of one block, in the same portions; units: networks."""
    size = block_size(width)
    buffer = torch.empty(size, 1, 1, width)
    generator = torch.Generator().manual_seed(1)

    def draw() -> None:
        for _ in range(draws * depth):
            buffer.normal_(generator=generator)

    return draw, float(size)


def forward(depth: int, width: int) -> tuple[Callable[[], object], float]:
    """One block, forward, float32."""
    spec, size = network(depth, width), block_size(width)
    return (lambda: matrixfree.forward(spec, size, seed=1, device="cpu")), float(size)


def backward(depth: int, width: int) -> tuple[Callable[[], object], float]:
    """One block, forward and backward, float32."""
    spec, size = network(depth, width), block_size(width, layers=depth)
    return (lambda: matrixfree.backward(spec, size, seed=1, device="cpu")), float(size)


def explicit(depth: int, width: int, networks: int) -> tuple[Callable[[], object], float]:
    """Batched explicit weights in plain torch, as one would write it without a library."""
    generator = torch.Generator().manual_seed(1)

    def run() -> torch.Tensor:
        h = torch.randn(networks, width, 1, generator=generator)
        for _ in range(depth):
            w = torch.randn(networks, width, width, generator=generator)
            h = HALF * h + HALF * (2 / width) ** 0.5 * torch.bmm(w, torch.relu(h))
        return h.square().mean((1, 2)).log()

    return run, float(networks)


def check() -> str:
    """Both contestants have one law: a contestant that is wrong has no time."""
    spec = network(20, 20)
    free = matrixfree.forward(spec, 8000, seed=1, device="cpu").log_norm[:, 0]
    full = dense.forward(spec, 8000, seed=2, device="cpu").log_norm[:, 0]
    plain = explicit(20, 20, 8000)[0]().numpy()
    worst = min(ks_between(free, full).pvalue, ks_between(free, plain).pvalue)
    if worst < 0.005:
        raise RuntimeError(f"the simulations differ in law (p = {worst:.2g}); no time is valid")
    return f"Kolmogorov-Smirnov against explicit weights, smallest p = {worst:.2f}"


def ratios() -> list[Ratio]:
    """The comparisons of the benchmarks page."""
    found = []
    for width, bound in ((100, 80), (400, 250)):
        found.append(
            compare(
                f"explicit-{width}",
                f"explicit torch, batched / matrix-free, forward, L = 100, n = {width}",
                explicit(100, width, 4),
                forward(100, width),
                bound=bound,
                at_least=True,
            )
        )
    for depth, width in ((100, 100), (100, 400), (1000, 100)):
        size = f"L = {depth}, n = {width}"
        found.append(
            compare(
                f"floor-{depth}-{width}",
                f"matrix-free forward / drawing its normals, {size}",
                forward(depth, width),
                floor(depth, width),
                bound=1.35,
                at_least=False,
            )
        )
    for depth, width in ((100, 100), (100, 400)):
        found.append(
            compare(
                f"backward-{depth}-{width}",
                f"forward + backward / drawing their normals, L = {depth}, n = {width}",
                backward(depth, width),
                floor(depth, width, draws=2),
                bound=2.6,
                at_least=False,
            )
        )
    return found


_DEEP = """
import resource, time, torch
torch.set_num_threads(1)
from companion.architecture import ResNetSpec
from companion.simulate import matrixfree
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
spec = ResNetSpec.log_gaussian({depth}, {width}, 0.5**0.5, 0.5**0.5)
run = matrixfree.forward(spec, {networks}, seed=1, device="cpu")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak, before, time.perf_counter() - start, run.log_norm.mean())
"""


def facts() -> dict[str, str]:
    """Sizes that are out of reach of explicit weights, each in a process of its own."""
    out = {}
    for depth, width, networks in ((10_000, 10_000, 6), (1_000_000, 100, 16)):
        code = _DEEP.format(depth=depth, width=width, networks=networks)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        peak, before, seconds, mean = (float(v) for v in done.stdout.split())
        out[f"forward, L = {depth:,}, n = {width:,}, {networks} networks"] = (
            f"{seconds:.1f} s, peak memory {peak / 2**20:.2f} GiB "
            f"({before / 2**20:.2f} GiB of it the libraries), mean log norm {mean:.5g}"
        )
    return out
