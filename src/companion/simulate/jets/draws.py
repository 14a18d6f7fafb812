r"""Random towers by blocks of randomness.

Notation
--------
==============================  ===========================  ================
symbol                          name                         book label
==============================  ===========================  ================
:math:`V_l,\ W_l`               ``Drawn.tower``              ``eq-re-block``
:math:`s_l`                     ``tower.relative_scales``    ``eq-re-model``
:math:`h_0`                     ``Drawn.start``              ``eq-re-model``
==============================  ===========================  ================
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from companion._validation import positive_integer
from companion.architecture import ResNetSpec
from companion.simulate import processes
from companion.simulate.blocks import (
    Block,
    batches,
    block_size,
    one_thread,
    resolve_device,
    resolve_dtype,
)
from companion.simulate.jets.tower import Tower, streams

__all__ = ["Drawn", "draw", "on_sphere"]


@dataclass(frozen=True)
class Drawn:
    """A batch of random networks.

    Attributes
    ----------
    tower : Tower
    start : Tensor, shape (N, B, n)
        Streams :math:`h_0`.
    direction : Tensor, shape (N, B, n)
        Uniform on the sphere of squared radius ``n``, independent of all else: a probe of the
        Jacobian.
    keep : slice
        Place of these networks in the whole run.
    """

    tower: Tower
    start: torch.Tensor
    direction: torch.Tensor
    keep: slice


def draw(
    spec: ResNetSpec,
    networks: int,
    *,
    seed: int | np.random.SeedSequence,
    samples: int = 1,
    start: ArrayLike | None = None,
    dtype: str | torch.dtype = "float32",
    device: str | torch.device = "cpu",
    batch: int = 1,
) -> Iterator[Drawn]:
    r"""Draw networks by blocks of randomness; relative scales are ``spec.scales``, so ``s = 1``.

    Parameters
    ----------
    spec : ResNetSpec
        Skip 1, not balanced; any block, activation, weight law and bias.
    networks : int
    seed : int or SeedSequence
        A network is a function of it, of its index, ``samples``, device kind and dtype.
    samples : int
        Streams per network.
    start : array_like, shape (B, n), optional
        Streams :math:`h_0` for all networks. Default: independent, uniform on the sphere
        :math:`\|h_0\|^2=nK^0`.
    dtype : str
        Of the random numbers; everything computed from them is float64.
    batch : int
        Blocks of randomness per batch; changes memory and speed only.

    Yields
    ------
    Drawn

    Raises
    ------
    ValueError
        For a spec with another skip or balancing signs, or a bad ``start``.
    """
    if spec.skip != 1 or spec.balanced:
        raise ValueError(
            f"the expansion needs skip=1 and balanced=False, got skip={spec.skip:g} and "
            f"balanced={spec.balanced}; divide scale by skip, the stream is then skip**L larger"
        )
    where, kind = resolve_device(device), resolve_dtype(dtype)
    count = positive_integer(samples, "samples")
    weights = spec.depth * spec.width**2 * (1 if spec.block == "single" else 2)
    # Weights dominate the memory: about 16 MiB of them in a block.
    size = block_size(-(-weights // 64), where)
    for block in batches(networks, size, seed=seed, device=where, dtype=kind, batch=batch):
        with one_thread():
            drawn = _one(spec, block, count, start)
        yield drawn


def _one(spec: ResNetSpec, block: Block, samples: int, start: ArrayLike | None) -> Drawn:
    n, depth, law, noise = spec.width, spec.depth, spec.weight_law, block.noise
    kept = block.keep.stop - block.keep.start

    def matrices(variance: float) -> torch.Tensor:
        found = processes.draw(law, depth, block.networks, n, n, noise)
        return found.mul_((variance / n) ** 0.5)[:, :kept]

    single = spec.block == "single"
    inner = None if single else matrices(spec.weight_variance)
    outer = matrices(spec.weight_variance if single else spec.outer_variance)
    bias = None
    if spec.bias_variance > 0:
        bias = noise.normal(block.networks, depth, n).mul_(spec.bias_variance**0.5)
        bias = bias[:kept].transpose(0, 1)
    scales = torch.as_tensor(spec.scales)
    tower = Tower(outer, inner, spec.activation, scales, outer_bias=bias)
    direction = on_sphere(noise.normal(block.networks, samples, n)[:kept].double())
    if start is None:
        rows = on_sphere(noise.normal(block.networks, samples, n)[:kept].double())
        h0 = rows * math.sqrt(spec.input_variance)
    else:
        h0 = streams(tower, start)
    return Drawn(tower, h0, direction, block.keep)


def on_sphere(rows: torch.Tensor) -> torch.Tensor:
    """Rows rescaled to squared length ``n``."""
    return rows * (rows.shape[-1] ** 0.5 / rows.norm(dim=-1, keepdim=True))
