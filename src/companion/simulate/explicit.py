r"""Networks with explicit weights of any law along depth: many scales and inputs at once.

The branch scale multiplies a branch and leaves its matrices alone, so one draw of the weights
serves every scale and every input: all of them are columns of the same two products per layer
(``alg-ld-columns`` in the book). The backward pass is written out and reuses the matrices.

Notation
--------
=======================================  ================================  ========================
symbol                                   name                              label in the book
=======================================  ================================  ========================
:math:`h_l,\ p_l`                        streams and their gradients       ``eq-ld-model``
:math:`V_l,\ W_l`                        outer and inner matrices          ``eq-ld-model``
:math:`\alpha_L`                         ``scales``                        ``eq-ld-model``
:math:`\|h_L\|^2/\|h_0\|^2` and others   `Ratios`                          ``eq-ld-observables``
:math:`p_l\cdot h_l`                     ``Ratios.drift``                  ``prop-ld-conservation``
=======================================  ================================  ========================

Displacements :math:`h_L-h_0` are sums of branches, never differences of streams, so a scale of
:math:`10^{-6}` keeps the digits of float32. Columns are rescaled by powers of two with float64
logarithms of their scales, so a second moment of :math:`10^{176}` does not overflow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from companion._validation import flag, positive_integer
from companion.architecture import ResNetSpec
from companion.simulate import processes
from companion.simulate.blocks import Block, batches, one_thread
from companion.simulate.columns import Layer, Walk, drift
from companion.simulate.displacement import rescale_
from companion.simulate.observables import to_numpy
from companion.simulate.plans import Plan
from companion.weights import IID

__all__ = ["Ratios", "paths", "ratios"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ratios:
    r"""Log squared ratios of norms across networks (``eq-ld-observables``).

    Natural logarithms of squared ratios, float64, shape ``(networks, scales, inputs)``.

    Attributes
    ----------
    log_norm, log_difference : ndarray
        :math:`\ln(\|h_L\|^2/\|h_0\|^2)` and :math:`\ln(\|h_L-h_0\|^2/\|h_0\|^2)`; ``-inf`` for a
        ratio of 0.
    log_gradient, log_gradient_difference : ndarray, optional
        :math:`\ln(\|p_0\|^2/\|p_L\|^2)` and :math:`\ln(\|p_L-p_0\|^2/\|p_L\|^2)`.
    drift : ndarray, optional
        :math:`p_0\cdot h_0-p_L\cdot h_L`, divided by the larger of :math:`\|p_0\|\|h_0\|` and
        :math:`\|p_L\|\|h_L\|` (linear, no logarithm). Nothing but rounding for 1-homogeneous
        branches (``prop-ld-conservation``).
    """

    log_norm: Array
    log_difference: Array
    log_gradient: Array | None = None
    log_gradient_difference: Array | None = None
    drift: Array | None = None


def ratios(
    spec: ResNetSpec,
    networks: int,
    *,
    seed: int | np.random.SeedSequence,
    scales: ArrayLike | None = None,
    inputs: int | ArrayLike = 1,
    gradients: bool = True,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float32",
    batch: int = 1,
) -> Ratios:
    r"""Ratios of norms in random networks, with every scale and input on the same weights.

    Parameters
    ----------
    spec : ResNetSpec
        Skip 1, without biases, not balanced; any block, activation and weight law.
    networks : int
        Number of independent networks.
    seed : int or SeedSequence
        Root seed; the result is a function of it, of the number of inputs, the device kind and
        the dtype. The networks depend neither on ``scales`` nor on ``gradients``.
    scales : array_like, shape (S,), optional
        Branch scales :math:`\alpha_L`, each in place of ``spec.scale`` in all layers, from 0 to
        `LARGEST_SCALE`. Default: the scale of ``spec``, also one by layer, and ``S = 1``.
    inputs : int or array_like
        Number ``k`` of inputs of a network, drawn for each network uniformly from the unit cube
        :math:`[0,1]^{d}` as in the authors' code; or an array of shape (k, d) for all networks.
        They pass the random input map.
    gradients : bool
        Also walk the gradient of a linear readout back, one random direction per network.
    device, dtype : str
        Where and how the columns are held. Logarithms are always float64.
    batch : int
        Blocks per batch, fewer where `BUDGET_BYTES` says so; changes memory and speed, never the
        result.

    Returns
    -------
    Ratios

    Raises
    ------
    ValueError
        For a spec or argument that cannot be simulated, or a network that does not fit in memory;
        the message names it and the remedy.
    """
    run = _Run(spec, scales, inputs, device, dtype, gradients=flag(gradients, "gradients"))
    observe = run.both_ways if gradients else run.upward
    parts = run.blocks(observe, networks, seed, batch)
    shape = (-1, run.scales.size, run.k)
    return Ratios(*(np.concatenate(rows).reshape(shape) for rows in zip(*parts, strict=True)))


def paths(
    spec: ResNetSpec,
    networks: int,
    *,
    seed: int | np.random.SeedSequence,
    inputs: int | ArrayLike = 1,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float32",
    batch: int = 1,
) -> Array:
    r"""Norm of the stream after every block, of the networks that `ratios` draws.

    Parameters and errors as in `ratios`; the scale is that of ``spec``.

    Returns
    -------
    ndarray, shape (networks, L + 1, k)
        :math:`\ln(\|h_l\|^2/\|h_0\|^2)` for ``l = 0..L``, float64.
    """
    run = _Run(spec, None, inputs, device, dtype, gradients=False)
    return np.concatenate([rows for (rows,) in run.blocks(run.along, networks, seed, batch)])


class _Run(Plan):
    """What is done with every block of one call."""

    def blocks(
        self,
        one: Callable[[Block], tuple[Array, ...]],
        networks: int,
        seed: int | np.random.SeedSequence,
        batch: int,
    ) -> list[tuple[Array, ...]]:
        """Run ``one`` on every batch, and cut off the networks that nobody asked for."""
        parts = []
        with one_thread():
            for block in batches(
                networks,
                self.size,
                seed=seed,
                device=self.device,
                dtype=self.dtype,
                batch=min(positive_integer(batch, "batch"), self.most),
            ):
                count = block.keep.stop - block.keep.start
                parts.append(tuple(rows[:count] for rows in one(block)))
        return parts

    def both_ways(self, block: Block) -> tuple[Array, ...]:
        """All ratios of one batch, shape (b, S k) each."""
        start, layers = self._embed(block), list(self._layers(block))
        top = self._entries(block, 1)
        tape = start.new_empty((self.spec.depth, block.networks * self.spec.width * self.chunk))
        return _joined(self._up_and_down(start, layers, top, tape, c) for c in self._chunks())

    def upward(self, block: Block) -> tuple[Array, ...]:
        """Ratios of the streams alone."""
        start = self._embed(block)
        if self.streamed:  # every matrix is there once: all columns walk side by side
            walks = [self._walk_up(start, chunk) for chunk in self._chunks()]
            for index, layer in enumerate(self._layers(block)):
                for walk in walks:
                    self._step(walk, index, layer, None)
            return _joined(walk.ratios() for walk in walks)
        layers = list(self._layers(block))
        return _joined(self._up(start, layers, c, None).ratios() for c in self._chunks())

    def along(self, block: Block) -> tuple[Array, ...]:
        """Log norms of all layers, shape (b, L + 1, k)."""
        start = self._embed(block)
        walks = [self._walk_up(start, chunk) for chunk in self._chunks()]
        bottom = [walk.log_size() for walk in walks]
        rows = [[torch.zeros_like(size)] for size in bottom]
        for index, layer in enumerate(self._layers(block)):
            for walk, size, row in zip(walks, bottom, rows, strict=True):
                self._step(walk, index, layer, None)
                row.append(walk.log_size() - size)
        return _joined((torch.stack(row, dim=1),) for row in rows)

    def _up(
        self,
        start: torch.Tensor,
        layers: list[Layer],
        chunk: torch.Tensor,
        tape: list[torch.Tensor] | None,
    ) -> Walk:
        walk = self._walk_up(start, chunk)
        for index, layer in enumerate(layers):
            self._step(walk, index, layer, None if tape is None else tape[index])
        return walk

    def _step(self, walk: Walk, index: int, layer: Layer, keep: torch.Tensor | None) -> None:
        walk.add(self.branch.apply(layer, walk.x, keep), self.profile[index])
        if self.spec.homogeneous and (index + 1) % self.every == 0:
            walk.rescale()

    def _up_and_down(
        self,
        start: torch.Tensor,
        layers: list[Layer],
        top: torch.Tensor,
        tape: torch.Tensor,
        chunk: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        shape = (len(start), self.spec.width, len(chunk))
        kept = [row[: math.prod(shape)].view(shape) for row in tape]
        up = self._up(start, layers, chunk, kept)
        down = Walk(top.expand(shape), self._factors(chunk, self.branch.down))
        for index in reversed(range(len(layers))):
            down.add(self.branch.pull(layers[index], down.x, kept[index]), self.profile[index])
            if index % self.every == 0:
                down.rescale()
        return (*up.ratios(), *down.ratios(), drift(up, down))

    def _chunks(self) -> tuple[torch.Tensor, ...]:
        """Numbers of the columns of each product; the input runs faster than the scale."""
        return torch.arange(self.scales.size * self.k, device=self.device).split(self.chunk)

    def _walk_up(self, start: torch.Tensor, chunk: torch.Tensor) -> Walk:
        return Walk(start[..., chunk % self.k], self._factors(chunk, self.branch.up))

    def _factors(self, chunk: torch.Tensor, deviation: float) -> torch.Tensor:
        """What multiplies the branch of each column, float64."""
        return torch.as_tensor(self.scales, device=self.device)[chunk // self.k] * deviation

    def _embed(self, block: Block) -> torch.Tensor:
        """Streams ``h_0``, shape (b, n, k)."""
        if self.rows is None:
            x = block.noise.uniform(block.networks, self.k, self.spec.inputs).add_(1).div_(2)
        else:
            x = torch.as_tensor(self.rows, device=self.device, dtype=self.dtype)
            x = x.expand(block.networks, *x.shape)
        deviation = (self.spec.input_weight_variance / self.spec.inputs) ** 0.5
        h = torch.bmm(self._entries(block, self.spec.inputs), x.mT).mul_(deviation)
        if self.spec.homogeneous:  # their size is a factor of everything
            rescale_(h.mT)
        return h

    def _entries(self, block: Block, columns: int) -> torch.Tensor:
        """Entries of input map or readout, unit variance, shape (b, n, columns)."""
        law = self.spec.weight_law
        law = law if isinstance(law, IID) else IID()
        return processes.draw(law, 1, block.networks, self.spec.width, columns, block.noise)[0]

    def _layers(self, block: Block) -> Iterator[Layer]:
        spec = self.spec
        source = processes.stream if self.streamed else processes.draw
        stacks = [
            source(spec.weight_law, spec.depth, block.networks, spec.width, spec.width, block.noise)
            for _ in range(2 if spec.block == "two-layer" else 1)
        ]
        return (Layer(*matrices) for matrices in zip(*stacks, strict=True))


def _joined(chunks: Iterable[tuple[torch.Tensor, ...]]) -> tuple[Array, ...]:
    """Results of consecutive columns, the last axis, as one."""
    return tuple(to_numpy(torch.cat(rows, dim=-1)) for rows in zip(*chunks, strict=True))
