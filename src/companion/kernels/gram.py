"""Kernels of whole data sets, layer by layer and at the output.

Notation, with the labels of the book, is at the top of :mod:`companion.kernels`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._activation import GaussianPair
from companion._validation import finite_array, nonnegative_array
from companion.architecture import ResNetSpec
from companion.kernels.branch import Branch
from companion.kernels.walk import (
    LOG_LARGEST,
    PAIRS_PER_BLOCK,
    StreamVariances,
    pair_layers,
    stream_variances,
)

__all__ = [
    "StreamKernels",
    "cross_kernels",
    "input_kernel",
    "nngp",
    "output_kernel",
    "stream_kernels",
    "symmetric_gram",
]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class StreamKernels:
    """Kernels of chosen layers for ``N`` inputs against ``M``, in the unit of each layer.

    Attributes
    ----------
    layers
        The layers, shape ``(P,)``.
    normalized
        ``K^l`` divided by the unit, shape ``(P, N, M)``.
    first_variances, second_variances
        Variances divided by the unit, shapes ``(P, N)`` and ``(P, M)``.
    log_unit
        Natural log of the unit, shape ``(P,)``; 0 unless the activation is piecewise linear.
    """

    layers: Indices
    normalized: Array
    first_variances: Array
    second_variances: Array
    log_unit: Array

    @property
    def values(self) -> Array:
        """``K^l``, shape ``(P, N, M)``; errors as `units`."""
        return self.normalized * self.units

    @property
    def units(self) -> Array:
        """The unit of each layer, shape ``(P, 1, 1)``.

        Raises
        ------
        OverflowError
            If one is outside the range of float64.
        """
        if np.any(np.abs(self.log_unit) > LOG_LARGEST):
            worst = self.log_unit[np.argmax(np.abs(self.log_unit))]
            raise OverflowError(
                f"the kernel is of size exp({worst:.4g}), outside float64; use `normalized` with "
                "`log_unit`, or `cosines`."
            )
        return np.exp(self.log_unit)[:, None, None]

    @property
    def cosines(self) -> Array:
        """Correlations, shape ``(P, N, M)``; 0 where a variance vanishes."""
        scale = np.sqrt(self.first_variances[:, :, None] * self.second_variances[:, None, :])
        out = np.zeros_like(self.normalized)
        return np.clip(np.divide(self.normalized, scale, out=out, where=scale > 0), -1.0, 1.0)


def stream_kernels(
    spec: ResNetSpec, gram: ArrayLike, *, layers: Iterable[int] | None = None
) -> StreamKernels:
    """Kernels of the stream for all pairs of ``N`` inputs (``eq-ft-kernel``).

    Parameters
    ----------
    gram
        ``K^0``, shape ``(N, N)``, symmetric, with entries at most the geometric mean of their
        variances in absolute value (a relative excess of 1e-9 is clipped); see `input_kernel`.
    layers
        Which of the layers ``0..L`` to keep; default the last.

    Returns
    -------
    StreamKernels

    Raises
    ------
    ValueError
        If ``gram`` is not such a matrix, a layer is not in ``0..L`` or the weights are correlated.
    """
    start = symmetric_gram(gram)
    size = start.shape[0]
    first, second = np.triu_indices(size, 1)  # the diagonal is known from the variances
    path = stream_variances(spec, np.diagonal(start))
    kept = _layers(spec, layers)
    packed = _walk(spec, path, first, second, start[first, second], kept)
    values = np.empty((kept.size, size, size))
    values[:, first, second] = values[:, second, first] = packed
    diagonal = path.normalized[kept]
    values[:, np.arange(size), np.arange(size)] = diagonal
    return StreamKernels(kept, values, diagonal, diagonal, path.log_unit[kept])


def cross_kernels(
    spec: ResNetSpec,
    first: ArrayLike,
    second: ArrayLike,
    cross: ArrayLike,
    *,
    layers: Iterable[int] | None = None,
) -> StreamKernels:
    """Kernels of the stream for ``N`` inputs against ``M`` others.

    Parameters
    ----------
    first, second
        ``K^0`` of the inputs with themselves, shapes ``(N,)`` and ``(M,)``.
    cross
        ``K^0`` between them, shape ``(N, M)``.
    layers
        Which of the layers ``0..L`` to keep; default the last.

    Returns
    -------
    StreamKernels

    Raises
    ------
    ValueError
        If shapes do not fit, or as in `stream_kernels`.
    """
    p1, p2 = nonnegative_array(first, "first"), nonnegative_array(second, "second")
    q = finite_array(cross, "cross")
    if p1.ndim != 1 or p2.ndim != 1 or q.shape != (p1.size, p2.size):
        raise ValueError(
            f"first, second and cross must have shapes (N,), (M,) and (N, M), got {p1.shape}, "
            f"{p2.shape} and {q.shape}; pass the variances of the rows and of the columns."
        )
    q = GaussianPair.of(p1[:, None], p2[None, :], q).q
    path, kept = stream_variances(spec, np.concatenate([p1, p2])), _layers(spec, layers)
    rows, columns = (part.ravel() for part in np.indices(q.shape))
    packed = _walk(spec, path, rows, p1.size + columns, q.ravel(), kept)
    own = path.normalized[kept]
    shape = (kept.size, *q.shape)
    return StreamKernels(
        kept, packed.reshape(shape), own[:, : p1.size], own[:, p1.size :], path.log_unit[kept]
    )


def input_kernel(spec: ResNetSpec, x: ArrayLike, y: ArrayLike | None = None) -> Array:
    """``K^0 = sigma_in^2 x y^T / d + sigma_b,in^2``, shape ``(N, M)``; ``y`` defaults to ``x``.

    Parameters
    ----------
    x, y
        One input per row, shapes ``(N, d)`` and ``(M, d)`` with ``d = spec.inputs``.

    Raises
    ------
    ValueError
        If the shape does not fit the network.
    """
    a = _rows(spec, x, "x")
    b = a if y is None else _rows(spec, y, "y")
    return spec.input_weight_variance / spec.inputs * (a @ b.T) + spec.input_bias_variance


def output_kernel(spec: ResNetSpec, stream: StreamKernels) -> Array:
    """``K^y`` as if each kept layer were the last, shape ``(P, N, M)`` (``eq-ft-output-kernel``).

    Raises
    ------
    OverflowError
        If the kernel is outside the range of float64.
    """
    if spec.readout == "linear":
        return spec.readout_bias_variance + spec.readout_variance * stream.values
    branch, k = Branch.of_readout(spec), stream.normalized
    p1, p2 = np.broadcast_arrays(
        stream.first_variances[:, :, None], stream.second_variances[:, None, :]
    )
    scale = np.where(p1 == p2, p1, np.sqrt(p1) * np.sqrt(p2))
    return branch.bias + stream.units * branch.pair_moment(p1, p2, np.clip(k, -scale, scale))


def nngp(spec: ResNetSpec, x: ArrayLike, y: ArrayLike | None = None) -> Array:
    """Covariance of the outputs of the infinitely wide network, ``K^y``, shape ``(N, M)``.

    Parameters
    ----------
    x, y
        One input per row, shapes ``(N, d)`` and ``(M, d)``; without ``y`` the kernel of ``x`` with
        itself, for half of the work.

    Raises
    ------
    ValueError
        As `input_kernel` and `stream_kernels`.
    OverflowError
        If the kernel is outside the range of float64.
    """
    if y is None:
        return output_kernel(spec, stream_kernels(spec, input_kernel(spec, x)))[0]
    first, second = _own_variances(spec, x, "x"), _own_variances(spec, y, "y")
    return output_kernel(spec, cross_kernels(spec, first, second, input_kernel(spec, x, y)))[0]


def symmetric_gram(gram: ArrayLike) -> Array:
    """``gram`` checked and clipped: symmetric, square, a possible matrix of covariances."""
    start = finite_array(gram, "gram")
    if start.ndim != 2 or start.shape[0] != start.shape[1]:
        raise ValueError(
            f"gram must be a square matrix, got shape {start.shape}; for other pairs use "
            "cross_kernels."
        )
    variances = nonnegative_array(np.diagonal(start), "the diagonal of gram")
    largest = float(np.max(variances, initial=0.0))
    if not np.allclose(start, start.T, rtol=0.0, atol=1e-9 * largest):
        gap = float(np.max(np.abs(start - start.T)))
        raise ValueError(
            f"gram must be symmetric, got a difference of {gap:g} from its transpose; for two "
            "sets of inputs use cross_kernels."
        )
    middle = (start + start.T) / 2
    return GaussianPair.of(variances[:, None], variances[None, :], middle).q


def _walk(
    spec: ResNetSpec,
    path: StreamVariances,
    first: Indices,
    second: Indices,
    covariance: Array,
    kept: Indices,
) -> Array:
    """Covariances of all pairs at the kept layers, shape ``(P, pairs)``."""
    out = np.empty((kept.size, first.size))
    start = covariance / path.units[0]
    for low in range(0, first.size, PAIRS_PER_BLOCK):
        at = slice(low, low + PAIRS_PER_BLOCK)
        walk = pair_layers(spec, path, first[at], second[at], start[at])
        for layer, (_, _, q, _) in enumerate(walk):
            out[kept == layer, at] = q
    return out


def _layers(spec: ResNetSpec, layers: Iterable[int] | None) -> Indices:
    kept = np.asarray([spec.depth] if layers is None else list(layers))
    wrong = kept.size == 0 or kept.ndim != 1 or not np.issubdtype(kept.dtype, np.integer)
    if wrong or np.any((kept < 0) | (kept > spec.depth)):
        raise ValueError(
            f"layers must hold integers from 0 to the depth {spec.depth}, got {kept.tolist()}; "
            "layer 0 is the stream before the first block."
        )
    return kept.astype(np.intp)


def _rows(spec: ResNetSpec, x: ArrayLike, name: str) -> Array:
    rows = finite_array(x, name)
    if rows.ndim != 2 or rows.shape[1] != spec.inputs:
        raise ValueError(
            f"{name} must have shape (N, {spec.inputs}) for this spec, one input per row, got "
            f"{rows.shape}; set inputs of the ResNetSpec to the dimension of the data."
        )
    return rows


def _own_variances(spec: ResNetSpec, x: ArrayLike, name: str) -> Array:
    rows = _rows(spec, x, name)
    squares = np.einsum("ij,ij->i", rows, rows)
    return spec.input_weight_variance / spec.inputs * squares + spec.input_bias_variance
