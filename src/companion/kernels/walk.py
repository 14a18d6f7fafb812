"""The kernel recursion itself: variances of all inputs, then blocks of pairs.

Notation, with the labels of the book, is at the top of :mod:`companion.kernels`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import nonnegative_array
from companion.architecture import ResNetSpec
from companion.kernels.branch import Branch

__all__ = ["LOG_LARGEST", "PAIRS_PER_BLOCK", "StreamVariances", "pair_layers", "stream_variances"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Pairs that walk up together: a dozen arrays of this length stay in a second-level cache.
PAIRS_PER_BLOCK = 2**13
#: The exponential of this is inside float64, with room for a factor.
LOG_LARGEST = 700.0


@dataclass(frozen=True)
class StreamVariances:
    """Variances of the stream for several inputs.

    Attributes
    ----------
    normalized
        Shape ``(L + 1, *inputs)``, in the unit of the layer.
    log_unit
        Natural log of the unit, shape ``(L + 1,)``; 0 unless the activation is piecewise linear.
    growth
        The unit over that of the layer below, shape ``(L + 1,)``; the first is the unit itself.
    """

    normalized: Array
    log_unit: Array
    growth: Array

    @property
    def log(self) -> Array:
        """``ln K^l``, shape ``(L + 1, *inputs)``; ``-inf`` for a vanishing variance."""
        with np.errstate(divide="ignore"):
            logs = np.log(self.normalized)
        return logs + self.log_unit.reshape((-1,) + (1,) * (logs.ndim - 1))

    @property
    def units(self) -> list[float]:
        """The units themselves, kept inside the range of float64."""
        clipped = np.clip(self.log_unit, -LOG_LARGEST, LOG_LARGEST)
        return [math.exp(u) for u in clipped.tolist()]


def stream_variances(spec: ResNetSpec, variances: ArrayLike | None = None) -> StreamVariances:
    """``K^l`` of every input at ``l = 0..L``.

    Parameters
    ----------
    spec
        Its ``input_variance`` is used only where ``variances`` is not given.
    variances
        ``K^0`` of the inputs, any shape, finite and at least 0.

    Returns
    -------
    StreamVariances

    Raises
    ------
    ValueError
        If a variance is negative or not finite, or the weights of the blocks are correlated.
    OverflowError
        If a variance leaves the range of float64, which a saturating activation can only do by a
        skip above 1.
    """
    branch = Branch.of(spec)
    start = nonnegative_array(spec.input_variance if variances is None else variances, "variances")
    k, log_unit, rescale = start, 0.0, spec.activation.homogeneous
    layers, logs = np.empty((spec.depth + 1, *start.shape)), np.zeros(spec.depth + 1)
    growth = np.ones(spec.depth + 1)
    for layer, square in enumerate([0.0, *(spec.scales**2).tolist()]):
        if layer:
            unit = math.exp(min(max(log_unit, -LOG_LARGEST), LOG_LARGEST))
            with np.errstate(over="ignore"):
                k = spec.skip**2 * k + square * branch.moment(k, unit)
        top = float(np.max(k, initial=0.0))
        if not math.isfinite(top):
            raise OverflowError(
                f"the variances leave the range of float64 at layer {layer} of {spec.depth}; "
                f"use a skip of at most 1 (got {spec.skip:g}) or fewer layers."
            )
        if rescale and top > 0:
            k, log_unit, growth[layer] = k / top, log_unit + math.log(top), top
        layers[layer], logs[layer] = k, log_unit
    return StreamVariances(layers, logs, growth)


def pair_layers(
    spec: ResNetSpec,
    path: StreamVariances,
    first: Indices,
    second: Indices,
    covariance: Array,
    *,
    slopes: bool = False,
) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Walk pairs of inputs up the network.

    Parameters
    ----------
    path
        Variances of all inputs, one axis of inputs.
    first, second
        The two inputs of every pair.
    covariance
        ``K^0`` of every pair, in the unit of layer 0.
    slopes
        Whether the derivative of ``F`` by the covariance is asked for.

    Yields
    ------
    ``(p1, p2, q, slope)`` at layers ``0..L``, in the unit of the layer; ``slope`` belongs to the
    next block, is without meaning at the top and, where not asked for, everywhere.
    """
    branch, units, q = Branch.of(spec), path.units, covariance
    # Not from the logarithms, whose difference is inexact where they are large.
    steps = (1 / path.growth[1:]).tolist()
    squares, skip = (spec.scales**2).tolist(), spec.skip**2
    for layer in range(spec.depth):
        variances = path.normalized[layer]
        p1, p2 = variances.take(first), variances.take(second)
        if slopes:
            moment, slope = branch.pair_with_slope(p1, p2, q, units[layer])
        else:
            moment = slope = branch.pair(p1, p2, q, units[layer])
        yield p1, p2, q, slope
        q = (skip * steps[layer]) * q + (squares[layer] * steps[layer]) * moment
    top = path.normalized[-1]
    yield top.take(first), top.take(second), q, q
