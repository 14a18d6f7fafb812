r"""The state of a batch of networks as it walks up, and its gradient as it walks down.

Homogeneous networks are run in their normalised form, skip and scale divided by
:math:`q_l=(a^2+s_l^2c)^{1/2}` (``eq-lg-reduction`` in the book); the deterministic growth is added
to the logarithms at the end. States are rescaled by powers of two every few layers and their
scales kept as float64 logarithms, so neither depth nor scale overflows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from companion.architecture import ResNetSpec
from companion.simulate.blocks import (
    Block,
    batches,
    block_size,
    one_thread,
    resolve_device,
    resolve_dtype,
)
from companion.simulate.conditioning import ConditionedGaussian
from companion.simulate.displacement import RESCALE_EVERY, Displacement, rescale_
from companion.simulate.ingredients import branch_functions, input_rows
from companion.simulate.observables import (
    Propagation,
    Recorder,
    join,
    log_mean_square,
    truncate,
)

__all__ = ["Backward", "Chain", "Run"]

Array = NDArray[np.float64]


class Run:
    """Everything the blocks of one call share."""

    def __init__(
        self,
        spec: ResNetSpec,
        inputs: ArrayLike | None,
        device: str | torch.device,
        dtype: str | torch.dtype,
    ) -> None:
        law = spec.weight_law
        if not (law.independent and law.gaussian):
            raise ValueError(
                f"weight_law must be independent and Gaussian to be simulated without matrices, "
                f"got {law!r}; use companion.simulate.dense."
            )
        self.spec = spec
        rows = input_rows(spec, inputs) * np.sqrt(spec.input_weight_variance / spec.inputs)
        exponents = np.zeros(rows.shape[0], dtype=np.int32)
        if spec.homogeneous and not spec.input_bias_variance:  # else the size of inputs matters
            exponents = np.frexp(np.abs(rows).max(1))[1]
        #: Inputs times the scale of the input map, divided by powers of two; logs of their squares.
        self.rows = np.ldexp(rows, -exponents[:, None])
        self.log_rows = exponents * (2 * math.log(2))
        self.k = self.rows.shape[0]
        self.device, self.dtype = resolve_device(device), resolve_dtype(dtype)
        self.phi, self.slope = branch_functions(spec.activation)
        skips, scales = np.full(spec.depth, spec.skip), spec.scales
        growth = np.zeros(spec.depth)
        if spec.homogeneous:  # run the normalised network; its deterministic growth is added back
            growth = np.log(spec.skip**2 + spec.scales**2 * float(spec.gain(1.0)))
            skips, scales = skips * np.exp(-growth / 2), scales * np.exp(-growth / 2)
        self.skips: list[float] = skips.tolist()
        self.scales: list[float] = scales.tolist()
        #: ``ln prod_{j <= l} (a^2 + s_j^2 c)`` for l = 0..L
        self.growth = np.concatenate([[0.0], np.cumsum(growth)])

    def blocks(
        self,
        one: Callable[[Block], Propagation],
        networks: int,
        seed: int | np.random.SeedSequence,
        batch: int,
        *,
        columns: int | None = None,
        pairs: bool = False,
        tape: bool = False,
    ) -> Propagation:
        """Run ``one`` on every batch and join.

        ``columns`` counts the vectors of a network, ``tape`` says that all layers are kept.
        """
        elements = self.spec.width * (columns or self.k) * (2 if pairs else 1)
        parts = []
        with one_thread():
            for block in batches(
                networks,
                block_size(elements, self.device, layers=self.spec.depth if tape else 1),
                seed=seed,
                device=self.device,
                dtype=self.dtype,
                batch=batch,
            ):
                count = block.keep.stop - block.keep.start
                parts.append(
                    truncate(one(block), slice(None, count), mirror=0 if not pairs else None)
                )
        return self._grown(join(parts))

    def _grown(self, run: Propagation) -> Propagation:
        """Put the deterministic growth of the normalised network back."""
        up, total = self.growth, float(self.growth[-1])
        shifts: dict[str, Array | float] = {
            "log_norm": up[:, None],
            "log_difference": up[:, None],
            "log_gradient": (total - up)[:, None],
            "log_gradient_difference": (total - up)[:, None],
            "log_weight_gradient": total,
        }
        layers = {name: rows + shifts.get(name, 0.0) for name, rows in run.layers.items()}
        return Propagation(
            run.log_norm + total,
            layers,
            None if run.log_output is None else run.log_output + total,
            None if run.log_tangent is None else run.log_tangent + total,
        )


class Chain:
    """State of one batch while it walks up the network."""

    def __init__(
        self,
        run: Run,
        block: Block,
        signs: tuple[float, ...],
        *,
        tangents: bool = False,
        keep: bool = False,
        keep_streams: bool = False,
        displaced: bool = False,
    ) -> None:
        self.run, self.noise, self.b = run, block.noise, block.networks
        self.k = run.k
        self.signs = torch.tensor(signs, device=run.device, dtype=run.dtype)[:, None, None]
        self.tangents = tangents
        self.keep, self.keep_streams = keep, keep_streams
        self.tape: list[LayerTape] = []
        self.streams: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.h = self._embed()
        self.log_scale = torch.zeros(self.h.shape[:-1], device=run.device, dtype=torch.float64)
        self.log_scale[..., : self.k] += torch.as_tensor(run.log_rows, device=run.device)
        self.displacement = Displacement(self.h, self.log_scale) if displaced else None

    def _embed(self) -> torch.Tensor:
        spec, run = self.run.spec, self.run
        x = torch.as_tensor(run.rows, device=run.device, dtype=run.dtype)
        x = x.expand(self.b, len(self.signs), self.k, spec.inputs)
        h = ConditionedGaussian(self.noise, self.signs).apply(x, spec.width)
        if spec.input_bias_variance:
            h = h + self._bias(spec.input_bias_variance)
        if not self.tangents:
            return h
        t = self.noise.normal(self.b, 1, self.k, spec.width).expand(h.shape)
        return torch.cat([h, t], dim=-2)

    def step(self, layer: int, log: Recorder | None) -> None:
        """Apply block ``layer + 1``."""
        spec, run = self.run.spec, self.run
        self.keep_stream()
        u, variance, inner = self.h, spec.weight_variance, None
        if spec.block == "two-layer":
            inner = ConditionedGaussian(self.noise, self.signs)
            gain = (spec.weight_variance / spec.width) ** 0.5
            u = inner.apply(self.h, spec.width, factor=gain, keep=self.keep)
            variance = spec.outer_variance
        flips = self.noise.signs(self.b, 1, 1, spec.width) if spec.balanced else None
        if flips is not None:
            u = u * flips
        if log is not None:
            log.preactivation(u)
        outer = ConditionedGaussian(self.noise, self.signs)
        features = self._features(u)
        factor = run.scales[layer] * (variance / spec.width) ** 0.5
        update = outer.apply(features, spec.width, factor=factor, keep=self.keep)
        if self.keep:
            size = features.square().sum(-1).to(torch.float64)
            log_features = torch.log(size) + self.log_scale
            self.tape.append(LayerTape(outer, run.slope(u), log_features, inner, flips))
        if spec.bias_variance:  # tangents feel no bias
            update[..., : self.k, :] += run.scales[layer] * self._bias(spec.bias_variance)
        if self.displacement is not None:
            self.displacement.add(update, run.skips[layer], self.log_scale)
        self.h = update.add_(self.h, alpha=run.skips[layer])
        if spec.homogeneous and (layer + 1) % RESCALE_EVERY == 0:
            self.log_scale += rescale_(self.h)

    def _features(self, u: torch.Tensor) -> torch.Tensor:
        if not self.tangents:
            return self.run.phi(u)
        z, t = u[..., : self.k, :], u[..., self.k :, :]
        return torch.cat([self.run.phi(z), self.run.slope(z) * t], dim=-2)

    def _bias(self, variance: float) -> torch.Tensor:
        """One bias vector per network, added to every input (its mirror image has it negated)."""
        b = self.noise.normal(self.b, 1, 1, self.run.spec.width) * variance**0.5
        return b * self.signs

    def observe(self, log: Recorder) -> None:
        """Record the current stream."""
        log.stream(self.h, self.log_scale)
        if self.displacement is not None:
            log.add("log_difference", self.displacement.log_ratio())

    def keep_stream(self) -> None:
        """Remember the current stream, where the backward pass will need it."""
        if self.keep_streams:
            self.streams.append((self.h, self.log_scale.clone()))

    def readout(self) -> torch.Tensor:
        """``ln |y|^2`` of the readout, short of the deterministic growth."""
        spec = self.run.spec
        features = self.h if spec.readout == "linear" else self.run.phi(self.h)
        y = ConditionedGaussian(self.noise, self.signs).apply(features, spec.outputs)
        y = y * (spec.readout_variance / spec.width) ** 0.5
        if spec.readout_bias_variance:
            bias = self.noise.normal(self.b, 1, 1, spec.outputs) * self.signs
            shift = torch.exp(-(self.log_scale + float(self.run.growth[-1])) / 2)[..., None]
            y = y + (shift * spec.readout_bias_variance**0.5).to(y.dtype) * bias
        return log_mean_square(y, self.log_scale) + float(np.log(spec.outputs))


@dataclass
class LayerTape:
    """What the backward pass needs of one block."""

    outer: ConditionedGaussian
    slope: torch.Tensor
    log_features: torch.Tensor
    inner: ConditionedGaussian | None = None
    flips: torch.Tensor | None = None


class Backward:
    """Gradient of ``<w, h_L>`` walking down the tape of a chain."""

    def __init__(self, chain: Chain, log: Recorder, log_norm: torch.Tensor) -> None:
        self.chain, self.log, self.log_norm = chain, log, log_norm
        w = chain.noise.normal(chain.b, 1, 1, chain.run.spec.width)
        self.log_scale = torch.zeros_like(chain.log_scale)
        self.g = w.expand(chain.h.shape).clone()
        self.top = log_mean_square(self.g, self.log_scale)
        self.displacement = None
        if "log_gradient_difference" in log.wanted:
            self.displacement = Displacement(self.g, self.log_scale)

    def walk(self) -> None:
        """Go from the top to the input, recording what was asked for."""
        self._observe(self.chain.run.spec.depth)
        for layer in reversed(range(self.chain.run.spec.depth)):
            if "log_weight_gradient" in self.log.wanted:
                self.log.add("log_weight_gradient", self._weight_gradient(layer))
            self._step(layer)
            self._observe(layer)

    def _step(self, layer: int) -> None:
        run, spec, tape = self.chain.run, self.chain.run.spec, self.chain.tape[layer]
        variance = spec.weight_variance if tape.inner is None else spec.outer_variance
        factor = run.scales[layer] * (variance / spec.width) ** 0.5
        back = tape.outer.apply_transpose(self.g, factor=factor).mul_(tape.slope)
        if tape.flips is not None:
            back.mul_(tape.flips)
        if tape.inner is not None:
            gain = (spec.weight_variance / spec.width) ** 0.5
            back = tape.inner.apply_transpose(back, factor=gain)
        if self.displacement is not None:
            self.displacement.add(back, run.skips[layer], self.log_scale)
        self.g = back.add_(self.g, alpha=run.skips[layer])
        if layer % RESCALE_EVERY == 0:
            self.log_scale = self.log_scale + rescale_(self.g)

    def _weight_gradient(self, layer: int) -> torch.Tensor:
        run, spec = self.chain.run, self.chain.run.spec
        factor = run.scales[layer] ** 2 * spec.weight_variance / spec.width
        gradient = log_mean_square(self.g, self.log_scale) - self.top
        log_factor = math.log(factor) if factor > 0 else -math.inf
        return self.chain.tape[layer].log_features + gradient + log_factor

    def _observe(self, layer: int) -> None:
        self.log.gradient(self.g, self.log_scale, self.top)
        if self.displacement is not None:
            self.log.add("log_gradient_difference", self.displacement.log_ratio())
        if "pairing" in self.log.wanted:
            h, h_scale = self.chain.streams[layer]
            self.log.pairing(self.g, h, self.log_scale + h_scale - self.top - self.log_norm)
