r"""Networks with explicit weights as they are, and how far an expansion is from them.

Notation
--------
=========================  =====================  ====================
symbol                     name                   book label
=========================  =====================  ====================
:math:`h_L`                `forward`              ``eq-re-model``
:math:`\varepsilon_K`      `truncation_errors`    ``eq-re-truncation``
:math:`R`                  `apparent_radius`      ``eq-re-truncation``
=========================  =====================  ====================
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from companion._validation import finite_array, real_number
from companion.simulate.blocks import one_thread
from companion.simulate.jets import series
from companion.simulate.jets.tower import Layer, Tower, streams, tangents
from companion.simulate.jets.transport import (
    Jet,
    as_numpy,
    preactivation,
    product,
    result_shape,
)

__all__ = ["apparent_radius", "branch_values", "forward", "push_forward", "truncation_errors"]

Array = NDArray[np.float64]


def branch_values(tower: Tower, layer: Layer, h: torch.Tensor) -> torch.Tensor:
    """One block at streams of shape (N, S, B, n), times its relative scale; differentiable."""
    a = series.values(tower.phi, preactivation(layer, h, h.shape[1]))
    branch = product(a, layer.outer)
    return branch if layer.outer_bias is None else branch + layer.outer_bias


def forward(tower: Tower, start: Any, scales: ArrayLike) -> Array:
    """The network itself, unexpanded, at many scales.

    Parameters
    ----------
    tower, start
        As in `taylor`.
    scales : array_like, shape (S,)
        Branch scales ``s``.

    Returns
    -------
    Array of shape ``(S, ..., n)``: :math:`h_L`; infinite where it leaves the range of float64.
    """
    given = np.atleast_1d(finite_array(scales, "scales"))
    if given.ndim > 1 or not given.size:
        raise ValueError(
            f"scales must be a number or a vector of at least one, got shape {given.shape}"
        )
    h0 = streams(tower, start)
    factor = torch.as_tensor(given, device=h0.device)[:, None, None]
    h = h0[:, None].expand(-1, len(given), -1, -1).clone()
    with one_thread():
        for layer in tower.layers():
            h.addcmul_(branch_values(tower, layer, h), factor)
    return as_numpy(h.movedim(1, 0), (len(given), *result_shape(tower, start, h.shape[2])))


def push_forward(tower: Tower, start: Any, tangent: Any, scale: float) -> Array:
    """Jacobian of a piecewise-linear network at one scale times vectors, all orders together.

    Parameters
    ----------
    tower, start, tangent, scale
        As in `paths`.

    Returns
    -------
    Array of the shape of ``tangent``.

    Raises
    ------
    ValueError
        For another activation, or shapes that do not fit.
    """
    if not series.piecewise_linear(tower.phi):
        raise ValueError(
            f"activation must be piecewise linear, got {tower.activation!r}; use "
            "jacobians.squared_jacobian, or torch.func.jvp of jacobians.network"
        )
    scale = real_number(scale, "scale")
    h, t = streams(tower, start)[:, None], tangents(tower, start, tangent)[:, None]
    samples = t.shape[2]
    with one_thread():
        for layer in tower.layers():
            z = preactivation(layer, h, 1)
            slope = series.slopes(tower.phi, z)
            a, moved = (z, preactivation(layer, t, 0))
            if slope is not None:
                a, moved = z * slope, moved * slope
            branch = product(a, layer.outer)
            h = h + scale * (branch if layer.outer_bias is None else branch + layer.outer_bias)
            t = t + scale * product(moved, layer.outer)
    return as_numpy(t[:, 0], result_shape(tower, tangent, samples))


def truncation_errors(jet: Jet, outputs: ArrayLike, scales: ArrayLike) -> Array:
    """Relative error of the truncated series after each order (``eq-re-truncation``).

    Parameters
    ----------
    jet : Jet
    outputs : array_like, shape (S, ..., n)
        The network at ``scales``, from `forward`.
    scales : array_like, shape (S,)

    Returns
    -------
    Array of shape ``(S, K + 1, ...)``: length of the error over the length of the output.
    """
    given, true = np.atleast_1d(finite_array(scales, "scales")), np.asarray(outputs)
    if true.shape != (len(given), *jet.coefficients.shape[1:]):
        raise ValueError(
            f"outputs must have shape {(len(given), *jet.coefficients.shape[1:])}, one per scale, "
            f"got {true.shape}; use forward(tower, start, scales)"
        )
    errors = [
        np.linalg.norm(jet.partial_sums(float(s)) - h, axis=-1) / np.linalg.norm(h, axis=-1)
        for s, h in zip(given, true, strict=True)
    ]
    return np.array(errors)


def apparent_radius(jet: Jet, low: int, high: int) -> Array:
    """Radius at which the terms neither grow nor fall, from a line through ``ln |h^(k)|``.

    Parameters
    ----------
    low, high : int
        First and last order of the least-squares fit.

    Returns
    -------
    Array of the batch shape, in units of ``s``: the exponential of minus the slope. A description
    of the coefficients that were computed, not a radius of convergence.
    """
    if not 0 < low < high <= jet.order:
        raise ValueError(
            f"low and high must satisfy 0 < low < high <= {jet.order}, got {low} and {high}"
        )
    k = np.arange(low, high + 1.0)
    sizes = np.log(np.linalg.norm(jet.coefficients[low : high + 1], axis=-1))
    slope = np.tensordot(k - k.mean(), sizes, 1) / ((k - k.mean()) ** 2).sum()
    return np.asarray(np.exp(-slope))
