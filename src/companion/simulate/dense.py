r"""Random networks with every weight matrix drawn: the reference for everything faster.

Same arguments and results as `companion.simulate.matrixfree`, at :math:`O(n^2)` per layer and
input, and independent of it: matrices are explicit and derivatives come from automatic
differentiation. Any weight law that is independent across layers can be used.

The notation is that of `companion.simulate.matrixfree`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike

from companion.architecture import ResNetSpec
from companion.simulate.blocks import (
    Block,
    batches,
    block_size,
    one_thread,
    resolve_device,
    resolve_dtype,
)
from companion.simulate.ingredients import branch_functions, input_rows
from companion.simulate.observables import (
    BACKWARD_RECORDS,
    LAYER_RECORDS,
    Propagation,
    Recorder,
    check_pairs,
    join,
    log_mean_square,
    to_numpy,
    truncate,
)
from companion.weights import IID

__all__ = ["Network", "backward", "forward", "tangent"]


class Network:
    """A batch of networks with explicit weights.

    Parameters
    ----------
    spec : ResNetSpec
    block : Block
        Number of networks and source of noise.
    """

    def __init__(self, spec: ResNetSpec, block: Block) -> None:
        if not isinstance(spec.weight_law, IID):
            raise ValueError(
                f"weight_law must be IID to be drawn layer by layer, got {spec.weight_law!r}."
            )
        self.spec, self._block, self._law = spec, block, spec.weight_law
        self.phi, _ = branch_functions(spec.activation)

    def matrix(self, rows: int, columns: int, variance: float) -> torch.Tensor:
        """Matrices of shape (b, rows, columns), entries of variance ``variance / columns``."""
        b, noise, law = self._block.networks, self._block.noise, self._law
        if law.distribution == "gaussian":
            w = noise.normal(b, rows, columns)
        elif law.distribution == "uniform":
            w = noise.uniform(b, rows, columns).mul_(3**0.5)
        else:
            w = noise.signs(b, rows, columns)
        return w.mul_((variance / columns) ** 0.5)

    def embed(self, rows: np.ndarray) -> torch.Tensor:
        """Streams ``h_0`` of shape (b, k, n) for inputs of shape (k, d)."""
        spec, noise = self.spec, self._block.noise
        x = torch.as_tensor(rows, device=noise.device, dtype=noise.dtype)
        h = x @ self.matrix(spec.width, spec.inputs, spec.input_weight_variance).mT
        return h + self.bias(spec.width, spec.input_bias_variance)

    def bias(self, size: int, variance: float) -> torch.Tensor | float:
        """One bias vector per network, shape (b, 1, size), or 0."""
        if not variance:
            return 0.0
        return self._block.noise.normal(self._block.networks, 1, size) * variance**0.5

    def layer(self, h: torch.Tensor, index: int, log: Recorder | None = None) -> torch.Tensor:
        """Apply block ``index + 1`` with fresh weights to streams of shape (b, k, n)."""
        spec, n = self.spec, self.spec.width
        u, variance = h, spec.weight_variance
        if spec.block == "two-layer":
            u, variance = h @ self.matrix(n, n, spec.weight_variance).mT, spec.outer_variance
        if spec.balanced:
            u = u * self._block.noise.signs(self._block.networks, 1, n)
        if log is not None:
            log.preactivation(u)
        branch = self.phi(u) @ self.matrix(n, n, variance).mT + self.bias(n, spec.bias_variance)
        return spec.skip * h + float(spec.scales[index]) * branch

    def readout(self, h: torch.Tensor) -> torch.Tensor:
        """Outputs of shape (b, k, outputs)."""
        spec = self.spec
        features = h if spec.readout == "linear" else self.phi(h)
        y = features @ self.matrix(spec.outputs, spec.width, spec.readout_variance).mT
        return y + self.bias(spec.outputs, spec.readout_bias_variance)


def forward(
    spec: ResNetSpec,
    networks: int,
    *,
    seed: int | np.random.SeedSequence,
    inputs: ArrayLike | None = None,
    record: Iterable[str] = (),
    readout: bool = False,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float32",
    batch: int = 1,
) -> Propagation:
    """Propagate inputs; as `companion.simulate.matrixfree.forward`, without antithetic pairs.

    Streams are held without rescaling, so the norm must stay within the range of ``dtype``, and
    displacements are differences, whose smallest digits it cuts off.
    """
    rows, names = input_rows(spec, inputs), tuple(record)
    check_pairs(names, rows.shape[0], LAYER_RECORDS)

    def one(block: Block) -> Propagation:
        net, log = Network(spec, block), Recorder(names)
        h = start = net.embed(rows)
        zero = torch.zeros(h.shape[:-1], device=h.device, dtype=torch.float64)
        for index in range(spec.depth):
            _observe(log, h, start, spec.skip**index)
            h = net.layer(h, index, log)
        _observe(log, h, start, spec.skip**spec.depth)
        norm = to_numpy(log_mean_square(h, zero))
        if not readout:
            return Propagation(norm, log.collect())
        y = log_mean_square(net.readout(h), zero) + float(np.log(spec.outputs))
        return Propagation(norm, log.collect(), to_numpy(y))

    return _blocks(spec, one, networks, seed, device, dtype, batch)


def tangent(
    spec: ResNetSpec,
    networks: int,
    *,
    seed: int | np.random.SeedSequence,
    inputs: ArrayLike | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float32",
    batch: int = 1,
) -> Propagation:
    """Forward run with one isotropic tangent vector per input, by automatic differentiation."""
    rows = input_rows(spec, inputs)

    def one(block: Block) -> Propagation:
        net = Network(spec, block)
        h = net.embed(rows)
        t = block.noise.normal(*h.shape)
        zero = torch.zeros(h.shape[:-1], device=h.device, dtype=torch.float64)
        start = log_mean_square(t, zero)
        for index in range(spec.depth):
            h, t = _push_forward(partial(net.layer, index=index), h, t)
        moved = to_numpy(log_mean_square(t, zero) - start)
        return Propagation(to_numpy(log_mean_square(h, zero)), log_tangent=moved)

    return _blocks(spec, one, networks, seed, device, dtype, batch)


def backward(
    spec: ResNetSpec,
    networks: int,
    *,
    seed: int | np.random.SeedSequence,
    inputs: ArrayLike | None = None,
    record: Iterable[str] = ("log_gradient",),
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float32",
    batch: int = 1,
) -> Propagation:
    """Gradients of ``<w, h_L>`` with respect to every stream, by automatic differentiation.

    As `companion.simulate.matrixfree.backward`, without weight gradients.
    """
    rows, names = input_rows(spec, inputs), tuple(record)
    known = tuple(name for name in BACKWARD_RECORDS if name != "log_weight_gradient")
    check_pairs(names, rows.shape[0], known)

    def one(block: Block) -> Propagation:
        net, log = Network(spec, block), Recorder(names, known)
        streams = [net.embed(rows).requires_grad_()]
        zero = torch.zeros(streams[0].shape[:-1], dtype=torch.float64, device=streams[0].device)
        for index in range(spec.depth):
            _observe(log, streams[-1].detach(), streams[0].detach(), spec.skip**index)
            streams.append(net.layer(streams[-1], index, log))
        _observe(log, streams[-1].detach(), streams[0].detach(), spec.skip**spec.depth)
        w = block.noise.normal(block.networks, 1, spec.width)
        gradients = torch.autograd.grad((streams[-1] * w).sum(), streams)
        top = log_mean_square(gradients[-1], zero)
        norm = log_mean_square(streams[-1].detach(), zero)
        for index, (h, g) in enumerate(zip(streams, gradients, strict=True)):
            log.gradient(g, zero, top)
            if "log_gradient_difference" in names:
                rest = gradients[-1] * spec.skip ** (spec.depth - index)
                log.add("log_gradient_difference", log_mean_square(g - rest, zero) - top)
            log.pairing(g, h.detach(), -(top + norm))
        return Propagation(to_numpy(norm), log.collect())

    return _blocks(spec, one, networks, seed, device, dtype, batch)


def _observe(log: Recorder, h: torch.Tensor, start: torch.Tensor, rest: float) -> None:
    """Record a stream, of which ``rest * start`` is what no block has touched."""
    zero = torch.zeros(h.shape[:-1], device=h.device, dtype=torch.float64)
    log.stream(h, zero)
    if "log_difference" in log.wanted:
        moved = log_mean_square(h - rest * start, zero)
        ratio = moved - log_mean_square(start, zero)
        log.add("log_difference", torch.where(torch.isneginf(moved), moved, ratio))


def _push_forward(
    layer: Callable[[torch.Tensor], torch.Tensor], h: torch.Tensor, t: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """``layer(h)`` and ``J t``."""
    # J^T v is linear in v, and J is the transpose of its derivative; torch.func.jvp would load
    # deprecated parts of PyTorch, with a warning.
    h = h.detach().requires_grad_()
    out = layer(h)
    v = torch.zeros_like(out, requires_grad=True)
    (pulled,) = torch.autograd.grad(out, h, v, create_graph=True)
    (moved,) = torch.autograd.grad(pulled, v, t)
    return out.detach(), moved


def _blocks(
    spec: ResNetSpec,
    one: Callable[[Block], Propagation],
    networks: int,
    seed: int | np.random.SeedSequence,
    device: str | torch.device,
    dtype: str | torch.dtype,
    batch: int,
) -> Propagation:
    where, kind = resolve_device(device), resolve_dtype(dtype)
    parts = []
    # A block is measured in weights, which dominate the memory.
    size = block_size(spec.width**2, where)
    with one_thread():
        for block in batches(networks, size, seed=seed, device=where, dtype=kind, batch=batch):
            parts.append(truncate(one(block), slice(None, block.keep.stop - block.keep.start)))
    return join(parts)
