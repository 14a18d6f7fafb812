r"""Kernels of random networks, network by network.

Returned per network in float64, so that means, variances and covariances come with their errors
from `companion.montecarlo`. Networks are sampled without weight matrices (``alg-lg-matrixfree`` in
the book) or, for reference, with every matrix drawn.

Notation
--------
==============================  ============================  ====================
symbol                          name                          label in the book
==============================  ============================  ====================
:math:`K^0`                     ``spec.input_variance``       ``eq-ft-input-kernel``
:math:`\hat q^l_{\alpha\beta}`  ``EmpiricalKernels.stream``   ``eq-ft-empirical``
:math:`\hat C^y_{\alpha\beta}`  ``EmpiricalKernels.output``   ``eq-ft-empirical``
==============================  ============================  ====================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from companion._validation import choice, finite_array
from companion.architecture import ResNetSpec
from companion.simulate.blocks import (
    Block,
    batches,
    block_size,
    one_thread,
    resolve_device,
    resolve_dtype,
)
from companion.simulate.chain import Chain, Run
from companion.simulate.dense import Network
from companion.simulate.ingredients import branch_functions, input_rows
from companion.simulate.observables import to_numpy

__all__ = [
    "WEIGHTS",
    "EmpiricalKernels",
    "check_layers",
    "inputs_of_kernel",
    "products",
    "sample",
]

#: Ways to sample a network, equal in law.
WEIGHTS: Final = ("implicit", "explicit")

Array = NDArray[np.float64]
Pairs = Sequence[tuple[int, int]]
#: Streams of a batch at all layers from 0 on, shape (b, k, n), float64.
Walk = Callable[[Block], Iterator[torch.Tensor]]


@dataclass(frozen=True)
class EmpiricalKernels:
    r"""Kernels of simulated networks, in linear units (squared, not rooted).

    Attributes
    ----------
    layers : tuple of int
        Layers of ``stream``, 0 being the embedded input.
    stream : ndarray, shape (networks, len(layers), k, k)
        :math:`\langle h^l_\alpha,h^l_\beta\rangle/n`.
    output : ndarray, shape (networks, k, k)
        Covariance of one output over the readout, given the network below it:
        :math:`\sigma_{out}^2\langle\psi(h^L_\alpha),\psi(h^L_\beta)\rangle/n` plus the variance of
        the readout's bias, :math:`\psi` being the activation or the identity as in the spec.
    """

    layers: tuple[int, ...]
    stream: Array
    output: Array


def inputs_of_kernel(spec: ResNetSpec, kernel: ArrayLike) -> Array:
    r"""Inputs whose embedded streams have a given covariance ``K^0`` (``eq-ft-input-kernel``).

    Parameters
    ----------
    spec : ResNetSpec
        Its input map and number of inputs ``d`` count.
    kernel : array_like, shape (k, k)
        :math:`K^0_{\alpha\beta}`, symmetric, positive semidefinite also after the variance of the
        input bias is taken off.

    Returns
    -------
    ndarray, shape (k, d)
        One row per input.

    Raises
    ------
    ValueError
        If there is no such set of inputs in ``d`` dimensions.
    """
    k0 = finite_array(kernel, "kernel")
    if k0.ndim != 2 or k0.shape != k0.T.shape or not k0.size or not np.allclose(k0, k0.T, 1e-12, 0):
        raise ValueError(
            f"kernel must be a symmetric matrix, got {k0!r}; pass K^0 of the inputs, shape (k, k)."
        )
    values, vectors = np.linalg.eigh(k0 - spec.input_bias_variance)
    size = float(np.abs(values).max())
    if values[0] < -1e-12 * size:
        raise ValueError(
            f"kernel must be positive semidefinite after the input bias is taken off, got the "
            f"eigenvalue {values[0]:.3g}; lower input_bias_variance or the off-diagonal entries."
        )
    rank = int(np.sum(values > 1e-12 * size))
    if rank > spec.inputs:
        raise ValueError(
            f"kernel has rank {rank}, which inputs of dimension {spec.inputs} cannot give; use "
            f"spec.replace(inputs={rank}), which changes nothing else."
        )
    rows = np.zeros((len(k0), spec.inputs))
    if rank:
        rows[:, :rank] = (vectors * np.sqrt(np.maximum(values, 0.0)))[:, -rank:]
    return rows * math.sqrt(spec.inputs / spec.input_weight_variance)


def sample(
    spec: ResNetSpec,
    networks: int,
    *,
    seed: int | np.random.SeedSequence,
    inputs: ArrayLike | None = None,
    layers: Iterable[int] | None = None,
    weights: str = "implicit",
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float32",
    batch: int = 1,
) -> EmpiricalKernels:
    r"""Kernels of ``k`` inputs in ``networks`` independent random networks.

    Parameters
    ----------
    spec : ResNetSpec
        The network; without matrices its weights must be i.i.d. Gaussian.
    networks : int
        Number of networks.
    seed : int or SeedSequence
        Root seed; the result is a function of it, of the device kind, the dtype and ``weights``.
    inputs : array_like, shape (k, d), optional
        One row per input; default one input with the variance declared in ``spec``. See
        `inputs_of_kernel`.
    layers : iterable of int, optional
        Increasing layers in ``0..L`` whose stream kernels are kept; default all.
    weights : {"implicit", "explicit"}
        Sample increments without matrices at :math:`O(nk^2)` per layer, or draw every matrix at
        :math:`O(n^2k)`; equal in law.
    device, dtype : str
        Where and how the streams are held; products are summed in float64.
    batch : int
        Blocks per batch; changes memory and speed, never the result.

    Returns
    -------
    EmpiricalKernels

    Raises
    ------
    ValueError
        For an argument that cannot be simulated; the message names it.
    OverflowError
        If a kernel leaves the range of float64.
    """
    rows = input_rows(spec, inputs)
    k = rows.shape[0]
    upper = [(i, j) for i in range(k) for j in range(i, k)]
    kept = check_layers(spec, layers)
    stream, output = products(
        spec, rows, upper, kept, networks, seed, weights, device, dtype, batch
    )
    place = np.zeros((k, k), dtype=int)
    for index, (i, j) in enumerate(upper):
        place[i, j] = place[j, i] = index
    return EmpiricalKernels(kept, stream[..., place], output[..., place])


def check_layers(spec: ResNetSpec, layers: Iterable[int] | None) -> tuple[int, ...]:
    """Checked layers; ``None`` stands for all."""
    if layers is None:
        return tuple(range(spec.depth + 1))
    kept = tuple(layers)
    whole = all(isinstance(i, (int, np.integer)) and 0 <= i <= spec.depth for i in kept)
    if not kept or not whole or any(i >= j for i, j in pairwise(kept)):
        raise ValueError(
            f"layers must be increasing integers in 0..{spec.depth}, got {kept!r}; 0 is the "
            "embedded input and the depth the last layer."
        )
    return tuple(int(i) for i in kept)


def products(
    spec: ResNetSpec,
    rows: Array,
    pairs: Pairs,
    layers: tuple[int, ...],
    networks: int,
    seed: int | np.random.SeedSequence,
    weights: str,
    device: str | torch.device,
    dtype: str | torch.dtype,
    batch: int,
) -> tuple[Array, Array]:
    """Kernel entries of ``pairs`` of rows, of streams and of outputs.

    Parameters as in `sample`, with the inputs as ``rows`` and the layers checked.

    Returns
    -------
    stream : ndarray, shape (networks, len(layers), len(pairs))
    output : ndarray, shape (networks, len(pairs))
    """
    where, kind = resolve_device(device), resolve_dtype(dtype)
    if choice(weights, "weights", WEIGHTS) == "implicit":
        walk, elements = _implicit(Run(spec, rows, where, kind)), spec.width * len(rows)
    else:  # a block is measured in weights, which dominate the memory
        walk, elements = _explicit(spec, rows), spec.width**2
    psi = (lambda h: h) if spec.readout == "linear" else branch_functions(spec.activation)[0]
    streams, outputs = [], []
    with one_thread():
        for block in batches(
            networks, block_size(elements, where), seed=seed, device=where, dtype=kind, batch=batch
        ):
            count = block.keep.stop - block.keep.start
            kept = []
            for layer, h in enumerate(walk(block)):
                if layer in layers:
                    kept.append(_inner(h, pairs))
            features = psi(h)
            output = spec.readout_variance * _inner(features, pairs) + spec.readout_bias_variance
            streams.append(to_numpy(torch.stack(kept, dim=1))[:count])
            outputs.append(to_numpy(output)[:count])
    found = np.concatenate(streams), np.concatenate(outputs)
    if not all(np.all(np.isfinite(values)) for values in found):
        raise OverflowError(
            "the kernels leave the range of the numbers; use dtype='float64', fewer layers, or "
            "companion.simulate.matrixfree.forward, which returns logarithms."
        )
    return found


def _inner(h: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    """Products over width of pairs of rows, shape (b, len(pairs)), for ``h`` of (b, k, n)."""
    # Written as sums over rows: a batched product of matrices may depend on the batch.
    return torch.stack([(h[:, i] * h[:, j]).mean(-1) for i, j in pairs], dim=-1)


def _implicit(run: Run) -> Walk:
    """Streams sampled without matrices, with their true size."""

    def walk(block: Block) -> Iterator[torch.Tensor]:
        chain = Chain(run, block, (1.0,))
        for layer in range(run.spec.depth + 1):
            if layer:
                chain.step(layer - 1, None)
            size = torch.exp((chain.log_scale[:, 0] + float(run.growth[layer])) / 2)
            yield chain.h[:, 0].to(torch.float64) * size[..., None]

    return walk


def _explicit(spec: ResNetSpec, rows: Array) -> Walk:
    """Streams of networks with explicit weights."""

    def walk(block: Block) -> Iterator[torch.Tensor]:
        network = Network(spec, block)
        h = network.embed(rows)
        yield h.to(torch.float64)
        for layer in range(spec.depth):
            h = network.layer(h, layer)
            yield h.to(torch.float64)

    return walk
