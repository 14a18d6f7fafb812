r"""Where the Taylor expansion of a piecewise-linear network ends: its first kink.

Notation
--------
==================  ==================  ==============
symbol              name                book label
==================  ==================  ==============
:math:`s_*`         `first_kink`        ``prop-re-kink``
==================  ==================  ==============

Up to the first kink every preactivation is its frozen polynomial in the scale, so :math:`s_*` is
the smallest positive root of all of these polynomials: of ``L n`` polynomials of degree below
``L``. A trial interval comes from the linear terms; in it, the sum of the absolute coefficients
excludes all units but a few, whose first roots are approached from below by certified steps.
"""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from companion._validation import real_number
from companion.activations import Linear
from companion.simulate.jets import series
from companion.simulate.jets.tower import Tower, streams
from companion.simulate.jets.transport import transport

__all__ = ["first_kink", "first_root"]

Array = NDArray[np.float64]

_FIRST_ORDER = 10  # of the polynomials in the first attempt
_NEGLIGIBLE = 1e-15  # share of the constant term below which the last coefficient must lie
_MARGIN = 1.05  # of the trial interval beyond the smallest root of the linear terms
_ROUNDS = 2000


def first_kink(tower: Tower, start: Any, limit: float = 1.0) -> Array:
    r"""First kink :math:`s_*` of each network and sample, exact to rounding.

    Parameters
    ----------
    tower : Tower
        With ReLU or leaky ReLU.
    start : array_like, shape (n,), (B, n) or (N, B, n)
        Streams :math:`h_0`.
    limit : float
        Largest scale that is searched, positive.

    Returns
    -------
    Array of the shape of ``start`` without its last axis: the least ``s > 0`` at which a
    preactivation vanishes; ``inf`` where none does in ``(0, limit]``; 0 where one vanishes at
    ``s = 0`` and moves.

    Raises
    ------
    ValueError
        If the activation is smooth.
    """
    if not series.piecewise_linear(tower.phi):
        raise ValueError(f"activation must be ReLU or leaky ReLU to have kinks, got {tower.phi!r}")
    top = real_number(limit, "limit", minimum=0.0, strict=True)
    h0 = streams(tower, start)
    found = torch.full(h0.shape[:2], torch.inf, dtype=torch.float64, device=h0.device)
    if not isinstance(tower.phi, Linear):
        _search(tower, h0, top, found)
    many = (tower.networks, h0.shape[1])
    shape = many if tower.stacked else np.shape(start)[:-1]
    return np.asarray(found.cpu().numpy().reshape(shape))


def _search(tower: Tower, h0: torch.Tensor, limit: float, found: torch.Tensor) -> None:
    """Fill ``found``, interval by interval, until every network has its kinks."""
    reach = (_linear_roots(tower, h0) * _MARGIN).amax(1).clamp(max=limit)
    open_ = torch.arange(tower.networks, device=h0.device)
    while len(open_):
        part = tower.as_stack().select(open_).scaled(reach[open_])
        roots = _roots(part, h0[open_]) * reach[open_, None]
        found[open_] = torch.minimum(found[open_], roots)
        unsolved = (found[open_] > reach[open_, None]).any(1) & (reach[open_] < limit)
        open_ = open_[unsolved]
        reach[open_] = (2 * reach[open_]).clamp(max=limit)


def _linear_roots(tower: Tower, h0: torch.Tensor) -> torch.Tensor:
    """Smallest positive root of the linear parts of all preactivations, shape (N, B)."""
    least = h0.new_full(h0.shape[:2], torch.inf)

    def observe(_: int, z: torch.Tensor) -> None:
        roots = -z[:, 0] / z[:, 1]
        roots = torch.where(roots > 0, roots, torch.inf)
        torch.minimum(least, roots.amin(-1), out=least)

    transport(tower.as_stack(), h0, 2, None, observe=observe)
    return least


def _roots(tower: Tower, h0: torch.Tensor) -> torch.Tensor:
    """Smallest root in (0, 1] of any preactivation, ``inf`` where there is none, shape (N, B)."""
    order = min(_FIRST_ORDER, tower.depth)
    while True:
        place, coefficients, unsure = _suspects(tower, h0, order)
        if order >= tower.depth or not unsure:  # degrees are below the depth
            break
        order = min(2 * order, tower.depth)
    least = h0.new_full((h0.shape[0] * h0.shape[1],), torch.inf)
    roots = torch.as_tensor(first_root(coefficients.cpu().numpy()), device=h0.device)
    least.scatter_reduce_(0, place, roots, "amin")
    return least.view(h0.shape[:2])


def _suspects(
    tower: Tower, h0: torch.Tensor, order: int
) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """Preactivations that can vanish in (0, 1]: index of network and sample, coefficients.

    And whether orders that were left out could matter: to one of them, or to a unit that would be
    one if as many more orders as there are blocks were as large as its last.
    """
    places, polynomials, unsure = [], [], []
    samples = h0.shape[1]

    def observe(_: int, z: torch.Tensor) -> None:
        moving = z[:, 1:].abs().sum(1)
        network, sample, unit = torch.nonzero(
            (moving >= z[:, 0].abs()) & (moving > 0), as_tuple=True
        )
        places.append(network * samples + sample)
        polynomials.append(z[network, :, sample, unit])
        first, last = z[:, 0].abs(), z[:, -1].abs()
        near = moving + tower.depth * last >= first
        unsure.append((near & (last > _NEGLIGIBLE * first)).any())

    transport(tower, h0, order, None, observe=observe)
    return torch.cat(places), torch.cat(polynomials), bool(torch.stack(unsure).any())


def first_root(coefficients: Array) -> Array:
    """Smallest root in (0, 1] of polynomials, ``inf`` where there is none.

    Parameters
    ----------
    coefficients : ndarray, shape (M, K + 1)
        Of ascending powers.

    Notes
    -----
    With the polynomial re-expanded at ``t``, no root lies within
    ``1 / (2 max_k |c_k / c_0|^(1/k))`` of ``t`` (Fujiwara's bound), so a step of that length
    misses none; near a simple root the steps halve the distance.
    """
    count, width = coefficients.shape
    t, found = np.zeros(count), np.full(count, np.inf)
    powers = np.arange(width)
    binomials = np.array([[float(comb(k, j)) for j in range(width)] for k in range(width)])
    alive = np.arange(count)
    for _ in range(_ROUNDS):
        if not len(alive):
            return found
        shifted = _shift(coefficients[alive], t[alive], binomials)
        size = np.abs(shifted)
        with np.errstate(divide="ignore", invalid="ignore"):
            rates = (size[:, 1:] / size[:, :1]) ** (1 / powers[1:])
            step = 0.5 / np.nan_to_num(rates, nan=0.0, posinf=np.inf).max(1)
        step = np.where(size[:, 0] == 0, 0.0, step)
        arrived = step <= 4e-16 * t[alive]
        found[alive[arrived]] = t[alive[arrived]]
        t[alive] += step
        alive = alive[~arrived & (t[alive] <= 1)]
    raise RuntimeError(
        f"no root was reached in {_ROUNDS} steps; two roots nearly coincide in the first of "
        f"{len(alive)} polynomials, {coefficients[alive[0]]}"
    )


def _shift(coefficients: Array, t: Array, binomials: Array) -> Array:
    """Coefficients at ``t``: ``d_j = sum_k C(k, j) c_k t^(k - j)``."""
    width = coefficients.shape[1]
    gaps = np.arange(width)[:, None] - np.arange(width)
    powers = t[:, None] ** np.arange(width)
    factors = binomials * np.where(gaps >= 0, powers[:, np.maximum(gaps, 0)], 0.0)
    return np.asarray(np.einsum("mk,mkj->mj", coefficients, factors))
