r"""Every order of a residual network at once: truncated Taylor arithmetic in the branch scale.

Notation
--------
=================================  =========================  ==============================
symbol                             name                       book label
=================================  =========================  ==============================
:math:`h_L=\sum_ks^kh^{(k)}`       ``Jet.coefficients``       ``eq-re-series``
jet transport                      `taylor`, `paths`          ``alg-re-jets``
:math:`h^{(k)}_{act}`              `paths`                    ``thm-re-paths``
:math:`E_k`                        ``Jet.energies``           ``thm-re-energy``
=================================  =========================  ==============================

The stream is carried as its coefficients up to order ``K``. Matrices act on each of them, the
activation by its power series (`companion.simulate.jets.series`), and multiplication by the scale
shifts the result by one order before it is added. Cost: ``2 L K`` products of a matrix and a vector
and, for smooth activations, :math:`O(LK^2n)` elementwise operations; no subset of blocks is ever
enumerated. All samples and orders of a network are rows of the same two products.

Piecewise-linear activations have two expansions that must not be confused: `taylor` uses the masks
of :math:`h_0`, `paths` those of the true forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from companion._validation import real_number
from companion.simulate.blocks import one_thread
from companion.simulate.jets import series
from companion.simulate.jets.tower import Layer, Tower, streams, tangents

__all__ = [
    "Jet",
    "advance_",
    "as_numpy",
    "paths",
    "preactivation",
    "product",
    "result_shape",
    "taylor",
    "transport",
]

Array = NDArray[np.float64]
Observer = Callable[[int, torch.Tensor], None]


@dataclass(frozen=True)
class Jet:
    r"""Coefficients of one expansion.

    Attributes
    ----------
    coefficients : ndarray, shape (K + 1, ..., n)
        :math:`h^{(k)}`; the shape of ``start`` follows the order, with an axis of networks in
        front of it if there are many.
    stream : ndarray, shape (..., n), optional
        The true :math:`h_L` at the scale whose masks were used.
    """

    coefficients: Array
    stream: Array | None = None

    @property
    def order(self) -> int:
        """Truncation order ``K``."""
        return len(self.coefficients) - 1

    def terms(self, scale: float = 1.0) -> Array:
        """``s^k h^(k)``, shape of the coefficients."""
        s = real_number(scale, "scale")
        powers = s ** np.arange(self.order + 1.0)
        return self.coefficients * powers.reshape(-1, *[1] * (self.coefficients.ndim - 1))

    def gram(self, scale: float = 1.0) -> Array:
        """``<s^j h^(j), s^k h^(k)> / |h^(0)|^2``, shape (K + 1, K + 1, ...), linear."""
        terms = self.terms(scale)
        size = (terms[0] ** 2).sum(-1)
        return np.einsum("j...n,k...n->jk...", terms, terms) / size

    def energies(self, scale: float = 1.0) -> Array:
        """``|s^k h^(k)|^2 / |h^(0)|^2``, shape (K + 1, ...), linear."""
        squares = (self.terms(scale) ** 2).sum(-1)
        return np.asarray(squares / squares[0])

    def partial_sums(self, scale: float = 1.0) -> Array:
        """Sums of the terms up to each order, shape of the coefficients."""
        return np.cumsum(self.terms(scale), axis=0)


def taylor(tower: Tower, start: Any, order: int, *, tangent: Any = None) -> Jet:
    """Taylor coefficients at ``s = 0`` of the last stream, exact to rounding.

    Parameters
    ----------
    tower : Tower
    start : array_like, shape (n,), (B, n) or (N, B, n)
        Streams :math:`h_0`.
    order : int
        ``K``, at least 0.
    tangent : array_like, shape of ``start``, optional
        Vectors to transport in the place of :math:`h_0`, by the same masks and without biases:
        orders of the Jacobian. Piecewise-linear activations only.

    Returns
    -------
    Jet
        For a piecewise-linear activation the expansion is the network up to its first kink only
        (`companion.simulate.jets.first_kink`).

    Raises
    ------
    ValueError
        For a shape that does not fit, an activation without a series, or a tangent with a smooth
        one.
    """
    return transport(tower, start, order, None, tangent)


def paths(tower: Tower, start: Any, order: int, scale: float, *, tangent: Any = None) -> Jet:
    """Path decomposition at one scale, with the masks of the true forward pass (``thm-re-paths``).

    The terms ``scale**k * coefficients[k]`` up to order ``L`` sum to the network exactly. They are
    no Taylor series: the coefficients depend on ``scale`` through the masks.

    Parameters
    ----------
    scale : float
        Branch scale ``s``; block ``l`` is multiplied by ``s`` times its relative scale.

    Other parameters, result and errors are those of `taylor`; ``Jet.stream`` is the network.
    """
    if not series.piecewise_linear(tower.phi):
        raise ValueError(
            f"activation must be piecewise linear to have paths, got {tower.activation!r}; a "
            "curved one has trees as well: use taylor"
        )
    return transport(tower, start, order, real_number(scale, "scale"), tangent)


def transport(
    tower: Tower,
    start: Any,
    order: int,
    scale: float | None,
    tangent: Any = None,
    observe: Observer | None = None,
) -> Jet:
    """Jets with frozen masks (``scale=None``) or actual ones; ``observe`` sees preactivations.

    It is called with the index of a block and its preactivation series, shape (N, K, B, m), of
    orders below ``order``.
    """
    if isinstance(order, bool) or not isinstance(order, (int, np.integer)) or order < 0:
        raise ValueError(f"order must be an integer of at least 0, got {order!r}.")
    smooth = not series.piecewise_linear(tower.activation)  # type: ignore[arg-type]
    if smooth and tangent is not None:
        raise ValueError(
            f"tangent needs a piecewise-linear activation, got {tower.activation!r}; expand the "
            "network at two neighbouring inputs, or use jacobians.squared_jacobian"
        )
    h0 = streams(tower, start)
    first = h0 if tangent is None else tangents(tower, start, tangent)
    # One more row, in front of the orders, for the stream whose masks are used, unless that is
    # order 0 itself.
    lead = int(scale is not None or tangent is not None)
    state = h0.new_zeros(tower.networks, lead + order + 1, *first.shape[1:])
    state[:, 0], state[:, lead] = h0.expand_as(first), first
    with one_thread():
        for index, layer in enumerate(tower.layers()):
            if order == 0 and not lead:
                break
            z = preactivation(layer, state[:, :-1], 1 + lead if tangent is None else lead)
            if observe is not None:
                observe(index, z)
            advance_(state, _branch(tower, layer, z, tangent is None, lead), lead, scale)
    found = state.movedim(1, 0)
    shape = result_shape(tower, start if tangent is None else tangent, found.shape[2])
    stream = None if scale is None else as_numpy(found[0], shape)
    return Jet(as_numpy(found[lead:], (order + 1, *shape)), stream)


def preactivation(layer: Layer, rows: torch.Tensor, biased: int) -> torch.Tensor:
    """Product with the inner matrix of a block; the first ``biased`` slots get its bias."""
    if layer.inner is None:
        return rows
    z = product(rows, layer.inner)
    if layer.inner_bias is not None:
        z[:, :biased] += layer.inner_bias
    return z


def product(rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Rows of shape (N, K, B, n) times matrices of shape (N, n, m)."""
    networks, orders, samples, n = rows.shape
    flat = torch.bmm(rows.reshape(networks, orders * samples, n), matrix)
    return flat.view(networks, orders, samples, -1)


def _branch(
    tower: Tower, layer: Layer, z: torch.Tensor, with_bias: bool, lead: int
) -> torch.Tensor:
    """Series of the branch, times the relative scale of its block."""
    activation = tower.phi
    if series.piecewise_linear(activation):
        slope = series.slopes(activation, z[:, :1])
        a = z if slope is None else z * slope
    else:
        a = series.apply(activation, z)
    branch = product(a, layer.outer)
    if layer.outer_bias is not None:
        branch[:, : lead + 1 if with_bias else lead] += layer.outer_bias
    return branch


def advance_(state: torch.Tensor, branch: torch.Tensor, lead: int, scale: float | None) -> None:
    """Add a branch to the stream, shifted by one order (``eq-re-path-recursion``)."""
    # The whole branch is computed before any order changes: an update in place, order by order
    # upwards, would feed a block with its own output.
    state[:, lead + 1 :] += branch[:, lead:]
    if scale is not None:
        state[:, 0] += scale * branch[:, 0]


def result_shape(tower: Tower, start: Any, samples: int) -> tuple[int, ...]:
    """Shape of a result: that of ``start``, with the axes that it lacks."""
    if tower.stacked:
        return (tower.networks, samples, tower.width)
    return (tower.width,) if np.ndim(start) == 1 else (samples, tower.width)


def as_numpy(tensor: torch.Tensor, shape: tuple[int, ...]) -> Array:
    """A result as a NumPy array of this shape."""
    return np.asarray(tensor.cpu().numpy().reshape(shape))
