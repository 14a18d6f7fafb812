r"""How far the blocks of a network point in one direction, along the true forward pass.

Notation
--------
==================================================  ====================  ===================
symbol                                              name                  book label
==================================================  ====================  ===================
:math:`s_lF_l(h_{l-1})`                             `branches`            ``eq-re-model``
:math:`\|\sum_ls_lF_l\|^2/\sum_l\|s_lF_l\|^2`       `coherence`           ``eq-re-coherence``
==================================================  ====================  ===================

Coherence is about 1 for independent blocks and ``L`` for blocks that all say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from companion._validation import finite_array, real_number
from companion.simulate.blocks import one_thread
from companion.simulate.frozen import require_frozen
from companion.simulate.jets.tower import Tower, streams
from companion.simulate.jets.unexpanded import branch_values

__all__ = ["branches", "coherence", "cosines", "module_branches", "pooled_coherence"]

Array = NDArray[np.float64]


def branches(tower: Tower, start: Any, scale: float) -> Array:
    """Contributions of the blocks to the stream.

    Parameters
    ----------
    tower : Tower
    start : array_like, shape (n,), (B, n) or (N, B, n)
    scale : float
        Branch scale ``s``.

    Returns
    -------
    Array of shape ``(L, ..., n)`` with the shape of ``start`` (of many networks: ``(N, B, n)``).
    """
    s, h = real_number(scale, "scale"), streams(tower, start)[:, None]
    shape = (tower.networks, h.shape[2], tower.width) if tower.stacked else np.shape(start)
    found = []
    with one_thread():
        for layer in tower.layers():
            found.append(s * branch_values(tower, layer, h))
            h = h + found[-1]
    return np.asarray(torch.stack(found).cpu().numpy().reshape(tower.depth, *shape))


def module_branches(
    blocks: Sequence[Callable[[torch.Tensor], torch.Tensor]],
    start: torch.Tensor,
    scales: float | Sequence[float] = 1.0,
) -> Array:
    """The same for torch modules ``h + scale * block(h)``.

    Parameters
    ----------
    blocks : sequence of torch modules or functions
        Without the skip connection.
    start : Tensor, shape (B, ...)
    scales : float or sequence of float
        ``s_l``.

    Returns
    -------
    Array of shape ``(L, B, everything else)``: streams are flattened.

    Raises
    ------
    ValueError
        For a module in training mode that is random or couples examples, a block that changes
        shape, or a wrong number of scales.
    """
    given = finite_array(scales, "scales")
    if given.shape not in ((), (len(blocks),)):
        raise ValueError(
            f"scales must be a number or one per block, {len(blocks)}, got shape {given.shape}"
        )
    given = np.broadcast_to(given, (len(blocks),))
    h, found = start.detach(), []
    with torch.no_grad():
        for index, (block, scale) in enumerate(zip(blocks, given, strict=True)):
            require_frozen(block, f"blocks[{index}]")
            value = block(h.clone())
            if value.shape != h.shape:
                raise ValueError(
                    f"blocks[{index}] must keep the shape {tuple(h.shape)}, got "
                    f"{tuple(value.shape)}; put shortcuts that change it into the input map"
                )
            branch = float(scale) * value
            h = h + branch
            found.append(branch.double().flatten(1).cpu().numpy())
    return np.array(found)


def coherence(contributions: ArrayLike) -> Array:
    """Coherence of each sample (``eq-re-coherence``).

    Parameters
    ----------
    contributions : array_like, shape (L, ..., n)
        From `branches` or `module_branches`.

    Returns
    -------
    Array of the batch shape, between 0 and ``L``.

    Raises
    ------
    ValueError
        If a sample has no branch at all, or values are not finite.
    """
    together, apart = _squares(contributions)
    return np.asarray(together / apart)


def pooled_coherence(contributions: ArrayLike) -> Array:
    """Ratio of the mean squares over the samples, the axis before the last.

    Parameters and errors as in `coherence`; the result has the shape of the remaining batch axes.
    """
    together, apart = _squares(contributions)
    if not together.ndim:
        return np.asarray(together / apart)
    return np.asarray(together.mean(-1) / apart.mean(-1))


def cosines(contributions: ArrayLike) -> Array:
    """Cosines of every pair of blocks, shape ``(L, L, ...)``; parameters as in `coherence`."""
    parts = finite_array(contributions, "contributions")
    products = np.einsum("l...n,m...n->lm...", parts, parts)
    sizes = np.sqrt(np.einsum("ll...->l...", products))
    if np.any(sizes == 0):
        raise ValueError("contributions must not vanish to have a direction, got a zero branch")
    return np.asarray(products / (sizes[:, None] * sizes[None]))


def _squares(contributions: ArrayLike) -> tuple[Array, Array]:
    parts = finite_array(contributions, "contributions")
    if parts.ndim < 2:
        raise ValueError(
            f"contributions must have shape (L, ..., n), got {parts.shape}; use branches(...)"
        )
    apart = (parts**2).sum((0, -1))
    if np.any(apart == 0):
        raise ValueError("contributions must not all vanish, got a sample without any branch")
    return (parts.sum(0) ** 2).sum(-1), apart
