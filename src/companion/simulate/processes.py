r"""Weights of all layers at once, with any law along depth.

Notation
--------
===========================  =======================  ====================================
symbol                       name                     book label
===========================  =======================  ====================================
:math:`L`                    ``depth``                ``eq-ld-model``
:math:`\lambda_k`            ``WeightLaw.spectrum``   ``eq-ld-circulant``
:math:`F`                    ``factor``               ``eq-ld-factor``
===========================  =======================  ====================================

Two exact methods for normal weights. *Circulant*: a real Fourier transform of length ``2 L`` per
matrix entry (``alg-ld-circulant``), of order :math:`L\ln L`. *Factor*: :math:`F` times standard
normals, of order :math:`L^2` per entry but half as many random numbers, and a matrix product that
writes in the order in which layers are read: better for short or smooth paths, and on a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import numpy as np
import torch

from companion._validation import choice, positive_integer
from companion.simulate.blocks import Noise
from companion.weights import IID, GaussianLaw, WeightLaw

__all__ = ["METHODS", "draw", "stream"]

#: Ways of drawing weights that are correlated along depth.
METHODS: Final = ("auto", "circulant", "factor")

#: Greatest depth at which ``"auto"`` takes the factor: on a CPU where the two methods were measured
#: to cost the same in float32 (1000 in float64), on a GPU an estimate.
FACTOR_DEPTH: Final = {"cpu": 400, "cuda": 8000}

#: Random numbers per network drawn at once; the entries of a matrix go in chunks.
_CHUNK: Final = 2**18

#: Rows of the factor, or layers of a stream, that one product makes.
_ROWS: Final = 128


def draw(
    law: WeightLaw,
    depth: int,
    networks: int,
    rows: int,
    columns: int,
    noise: Noise,
    *,
    method: str = "auto",
) -> torch.Tensor:
    """Draw one matrix per layer for every network, exactly in law.

    Parameters
    ----------
    law
        How an entry is distributed along depth.
    depth, networks, rows, columns
        Sizes; ``networks`` is the number that ``noise`` was made for.
    noise
        Random numbers of the batch. A network's weights depend on its block alone.
    method
        ``"circulant"``, ``"factor"`` or ``"auto"``, which takes the faster one for the device and
        depth. Independent layers are drawn directly, whatever the method.

    Returns
    -------
    Tensor of shape ``(depth, networks, rows, columns)``, entries with the variance of the law
    (1, unless the law says otherwise), in the dtype and on the device of ``noise``.

    Raises
    ------
    ValueError
        If the method is unknown, or is ``"circulant"`` where the embedding has a negative
        eigenvalue; if the law is neither `IID` nor Gaussian.

    Notes
    -----
    Entries of a matrix are made in chunks. Beyond the result and the factor (``depth**2`` numbers)
    the working memory is at most a quarter of the result, or 2**18 numbers per network if that is
    less, and never less than one entry of every network needs (``2 depth`` numbers).
    """
    choice(method, "method", METHODS)
    sizes = {"depth": depth, "networks": networks, "rows": rows, "columns": columns}
    shape = tuple(positive_integer(value, name) for name, value in sizes.items())
    if networks != noise.networks:
        raise ValueError(
            f"networks must be the number that noise was made for, {noise.networks}, got {networks}"
        )
    out = torch.empty(shape, device=noise.device, dtype=noise.dtype)
    if not isinstance(law, IID | GaussianLaw):
        raise ValueError(
            f"law must be IID or Gaussian to be drawn, got {law!r}; derive it from GaussianLaw"
        )
    if isinstance(law, IID) or law.independent:
        for layer in out:
            _independent(law, layer, noise, depth)
        return out
    flat = out.view(depth, networks, rows * columns)
    if _by_factor(law, depth, noise, method):
        _factor_paths(_factor(law, depth, noise.device, noise.dtype), flat, noise)
    else:
        _circulant_paths(law, flat, noise)
    return out


def stream(
    law: WeightLaw, depth: int, networks: int, rows: int, columns: int, noise: Noise
) -> Iterator[torch.Tensor]:
    """Draw one layer at a time, exactly in law; arguments as in `draw`.

    Yields
    ------
    Tensors of shape ``(networks, rows, columns)``, ``depth`` of them.

    Notes
    -----
    Memory: one layer for independent layers; for laws of low rank ``rank`` layers of random
    coefficients and 128 layers of weights; all layers otherwise.
    """
    shape = (networks, rows, columns)
    if isinstance(law, GaussianLaw) and law.low_rank:
        factor, _ = _factor(law, depth, noise.device, noise.dtype)
        coefficients = noise.normal(networks, factor.shape[1], rows * columns)
        for part in factor.split(_ROWS):
            layers = coefficients.new_empty(len(part), networks, rows * columns)
            for i in range(networks):
                torch.mm(part, coefficients[i], out=layers[:, i])
            yield from layers.view(len(part), *shape)
    elif isinstance(law, IID | GaussianLaw) and law.independent:
        for _ in range(positive_integer(depth, "depth")):
            layer = torch.empty(shape, device=noise.device, dtype=noise.dtype)
            yield _independent(law, layer, noise, depth)
    else:
        yield from draw(law, depth, networks, rows, columns, noise)


def _independent(
    law: IID | GaussianLaw, layer: torch.Tensor, noise: Noise, depth: int
) -> torch.Tensor:
    """Fill a layer, first axis networks, from a law that is independent across layers."""
    if law.gaussian:
        deviation = math.sqrt(law.covariance(0, depth))
        return noise.normal_(layer) if deviation == 1 else noise.normal_(layer).mul_(deviation)
    if law == IID("uniform"):
        return torch.mul(noise.uniform(*layer.shape), math.sqrt(3), out=layer)
    return layer.copy_(noise.signs(*layer.shape))


def _by_factor(law: GaussianLaw, depth: int, noise: Noise, method: str) -> bool:
    if method != "auto":
        return method == "factor"
    return law.low_rank or depth <= FACTOR_DEPTH[noise.device.type]


def _chunks(entries: int, numbers: int) -> Iterator[slice]:
    """Slices of the entries: at most an eighth of them, or ``_CHUNK`` random numbers.

    Not a function of the number of networks, lest random numbers depended on the batch.
    """
    step = max(1, min(-(-entries // 8), _CHUNK // numbers))
    for start in range(0, entries, step):
        yield slice(start, min(start + step, entries))


@lru_cache(maxsize=1)  # of a network's two matrices the second has it ready
def _factor(
    law: GaussianLaw, depth: int, device: torch.device, dtype: torch.dtype
) -> tuple[torch.Tensor, bool]:
    """Factor of the layer covariance, and whether it is lower triangular."""
    factor = law.factor(depth)
    triangular = not np.triu(factor, 1).any()
    return torch.as_tensor(factor, device=device, dtype=dtype), triangular


def _factor_paths(factor: tuple[torch.Tensor, bool], out: torch.Tensor, noise: Noise) -> None:
    """Fill ``out``, shape (depth, networks, entries), by products with the factor."""
    matrix, triangular = factor
    depth, networks, entries = out.shape
    rank = matrix.shape[1]
    for part in _chunks(entries, rank):
        normals = noise.normal(networks, rank, part.stop - part.start)
        for first in range(0, depth, _ROWS):
            last = min(first + _ROWS, depth)
            used = last if triangular else rank  # zeros beyond
            for i in range(networks):
                # By way of a temporary: the bits of a product depend on the strides of its result.
                out[first:last, i, part] = matrix[first:last, :used] @ normals[i, :used]


def _circulant_paths(law: GaussianLaw, out: torch.Tensor, noise: Noise) -> None:
    """Fill ``out``, shape (depth, networks, entries), by Fourier transforms."""
    depth, networks, entries = out.shape
    spectrum = law.spectrum(depth)
    if spectrum is None:
        raise ValueError(
            f"method='circulant' needs an embedding without negative eigenvalues, which {law!r} "
            f"has not at depth {depth}; use method='factor'"
        )
    amplitude = np.sqrt(np.repeat(spectrum, 2) / (4 * depth))
    amplitude[[0, -2]] *= math.sqrt(2)  # real coefficients ...
    amplitude[[1, -1]] = 0.0  # ... without an imaginary part
    scale = torch.as_tensor(amplitude, device=out.device, dtype=out.dtype)
    parts = list(_chunks(entries, 2 * depth))
    buffer = out.new_empty(networks * (parts[0].stop - parts[0].start) * scale.numel())
    for part in parts:
        paths = part.stop - part.start
        normals = buffer[: networks * paths * scale.numel()].view(networks, paths, depth + 1, 2)
        noise.normal_(normals)
        for i in range(networks):  # one at a time: a network's bits do not depend on the batch
            normals[i].view(paths, -1).mul_(scale)
            coefficients = torch.view_as_complex(normals[i])
            periods = torch.fft.irfft(coefficients, 2 * depth, norm="forward")
            out[:, i, part] = periods[:, :depth].T
