r"""Random networks sampled exactly in law, without any weight matrix.

A Gaussian matrix enters a network only through the few products that are actually formed, and
those can be drawn one after the other from their conditional laws
(`companion.simulate.conditioning`). A layer costs :math:`O(nk^2)` operations for ``k`` inputs
instead of :math:`O(n^2k)`, and no :math:`n^2` numbers exist anywhere. The algorithm is
``alg-lg-matrixfree`` in the book.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import ArrayLike

from companion.architecture import ResNetSpec
from companion.simulate.blocks import Block
from companion.simulate.chain import Backward, Chain, Run
from companion.simulate.observables import (
    BACKWARD_RECORDS,
    LAYER_RECORDS,
    Propagation,
    Recorder,
    check_pairs,
    cosine,
    log_mean_square,
    to_numpy,
)

__all__ = ["backward", "forward", "tangent"]


def forward(
    spec: ResNetSpec,
    networks: int,
    *,
    seed: int | np.random.SeedSequence,
    inputs: ArrayLike | None = None,
    record: Iterable[str] = (),
    antithetic: bool = False,
    readout: bool = False,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float32",
    batch: int = 1,
) -> Propagation:
    r"""Propagate ``k`` inputs through ``networks`` independent random networks.

    Parameters
    ----------
    spec : ResNetSpec
        The network; its weights must be i.i.d. Gaussian.
    networks : int
        Number of networks, or of antithetic pairs.
    seed : int or SeedSequence
        Root seed; the result is a function of it, of the device kind and of the dtype.
    inputs : array_like, shape (k, d), optional
        One row per input; default one input with the variance declared in ``spec``.
    record : iterable of str
        Per-layer quantities to keep, from `LAYER_RECORDS`; ``log_difference`` carries a second
        vector beside each stream.
    antithetic : bool
        Run beside each network its mirror image (:math:`h_0` and every :math:`\Gamma` negated).
        Each of the two has exactly the law of the network, and odd fluctuations cancel in their
        average.
    readout : bool
        Also sample :math:`\ln\|y\|^2`.
    device, dtype : str
        Where and how the state is held. Logarithms of norms are always float64.
    batch : int
        Blocks per batch; changes memory and speed, never the result.

    Returns
    -------
    Propagation

    Raises
    ------
    ValueError
        For a spec or argument that cannot be simulated; the message names it.
    """
    run = Run(spec, inputs, device, dtype)
    names = tuple(record)
    check_pairs(names, run.k, LAYER_RECORDS)

    def one(block: Block) -> Propagation:
        log = Recorder(names)
        signs = (1.0, -1.0) if antithetic else (1.0,)
        chain = Chain(run, block, signs, displaced="log_difference" in names)
        for layer in range(spec.depth):
            if names:
                chain.observe(log)
            chain.step(layer, log if names else None)
        chain.observe(log)
        norm = log_mean_square(chain.h, chain.log_scale)
        output = chain.readout() if readout else None
        return Propagation(
            to_numpy(norm), log.collect(), None if output is None else to_numpy(output)
        )

    return run.blocks(one, networks, seed, batch, pairs=antithetic)


def tangent(
    spec: ResNetSpec,
    networks: int,
    *,
    seed: int | np.random.SeedSequence,
    inputs: ArrayLike | None = None,
    record: Iterable[str] = (),
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float32",
    batch: int = 1,
) -> Propagation:
    r"""Forward run that also carries one isotropic tangent vector per input.

    The features :math:`\phi(u)` and the tangents :math:`\phi'(u)\,t` are columns of the same
    product with :math:`W`. ``record`` may hold ``log_norm`` and ``alignment``, the cosine between
    every stream and its tangent, both at ``l = 0..L`` with shape (..., L+1, k). Other parameters as
    in `forward`; the result carries ``log_tangent``.
    """
    run = Run(spec, inputs, device, dtype)
    names = tuple(record)
    Recorder(names, ("log_norm", "alignment"))
    k = run.k

    def observe(log: Recorder, chain: Chain) -> None:
        if "log_norm" in names:
            log.add("log_norm", log_mean_square(chain.h[..., :k, :], chain.log_scale[..., :k]))
        if "alignment" in names:
            log.add("alignment", cosine(chain.h[..., :k, :], chain.h[..., k:, :]))

    def one(block: Block) -> Propagation:
        log = Recorder(names, ("log_norm", "alignment"))
        chain = Chain(run, block, (1.0,), tangents=True)
        start = log_mean_square(chain.h, chain.log_scale)[..., k:]
        observe(log, chain)
        for layer in range(spec.depth):
            chain.step(layer, None)
            observe(log, chain)
        norm = log_mean_square(chain.h, chain.log_scale)
        return Propagation(
            to_numpy(norm[..., :k]), log.collect(), log_tangent=to_numpy(norm[..., k:] - start)
        )

    return run.blocks(one, networks, seed, batch, columns=2 * k)


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
    r"""Forward and full backward pass of :math:`\langle w,h_L\rangle`, :math:`w\sim N(0,I_n)`.

    The same :math:`w`, drawn independently of the blocks, serves all inputs of a network, as the
    gradient of a linear readout does. The transposed products reuse the matrices of the forward
    pass, conditioned on what it has revealed of them.

    Parameters
    ----------
    record : iterable of str
        From `LAYER_RECORDS` and ``log_gradient``, ``log_gradient_difference``,
        ``gradient_cosine``, ``pairing``, ``log_weight_gradient`` (single blocks).

    Notes
    -----
    The states of all layers are kept: about ``3 L`` numbers for every number of the state. Other
    parameters, return value and errors as in `forward`.
    """
    run = Run(spec, inputs, device, dtype)
    names = tuple(record)
    check_pairs(names, run.k, BACKWARD_RECORDS)
    if "log_weight_gradient" in names and spec.block != "single":
        raise ValueError("record='log_weight_gradient' is defined for block='single' only.")

    def one(block: Block) -> Propagation:
        log = Recorder(names, BACKWARD_RECORDS)
        chain = Chain(
            run,
            block,
            (1.0,),
            keep=True,
            keep_streams="pairing" in names,
            displaced="log_difference" in names,
        )
        for layer in range(spec.depth):
            chain.observe(log)
            chain.step(layer, log)
        chain.observe(log)
        chain.keep_stream()
        norm = log_mean_square(chain.h, chain.log_scale)
        Backward(chain, log, norm).walk()
        return Propagation(
            to_numpy(norm), log.collect(reverse=BACKWARD_RECORDS[len(LAYER_RECORDS) :])
        )

    return run.blocks(one, networks, seed, batch, tape=True)
