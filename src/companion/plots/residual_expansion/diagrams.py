"""Drawing of the paths through a residual network; it shows no data."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from companion.plots.style import PALETTE

__all__ = ["ensemble"]

#: More paths than this cannot be told apart in a figure.
_LARGEST = 4

#: Colour of a block, by its place.
_BLOCKS = ("vanilla", "balanced", "fully connected", "infinite width")


def ensemble(depth: int = 3, ax: Axes | None = None) -> Axes:
    """All paths through a network of few blocks, one row each, sorted by length.

    A path goes through a block, drawn as a box, or passes it by on the skip connection. The paths
    of one length make one order of the expansion (``eq-re-paths``).

    Parameters
    ----------
    depth : int
        Number of blocks, 1 to 4.

    Raises
    ------
    ValueError
        For another depth: the number of rows doubles with every block.
    """
    if not 1 <= depth <= _LARGEST:
        raise ValueError(
            f"depth must be 1 to {_LARGEST} to be drawn, got {depth!r}; there are 2**depth paths."
        )
    ax = ax or plt.gca()
    top = 0.0
    for order in range(depth + 1):
        paths = list(itertools.combinations(range(depth), order))
        for row, path in enumerate(paths):
            _path(ax, path, depth, top - 0.62 * row)
        _bracket(ax, depth, order, top, top - 0.62 * (len(paths) - 1))
        top -= 0.62 * len(paths) + 0.3
    ax.set(xlim=(-0.6, depth + 2.6), ylim=(top + 0.1, 0.6))
    ax.set_axis_off()
    return ax


def _path(ax: Axes, path: Sequence[int], depth: int, y: float) -> None:
    """One row: input, the blocks that the path visits, arcs over the others, output."""
    ax.text(-0.15, y, "$h_0$", ha="right", va="center", color=PALETTE["theory"])
    ax.annotate(
        "",
        (depth, y),
        (-0.1, y),
        arrowprops={"arrowstyle": "->", "color": PALETTE["muted"], "linewidth": 1.2},
    )
    for block in range(depth):
        centre = block + 0.45
        if block in path:
            _box(ax, centre, y, block)
        else:
            _arc(ax, centre, y)


def _box(ax: Axes, x: float, y: float, block: int) -> None:
    colour = PALETTE[_BLOCKS[block]]
    shape = FancyBboxPatch(
        (x - 0.25, y - 0.18),
        0.5,
        0.36,
        boxstyle="round,pad=0.02",
        facecolor=colour,
        edgecolor=colour,
        zorder=3,
    )
    ax.add_patch(shape)
    name = f"$s\\,F_{block + 1}$"
    ax.text(x, y, name, ha="center", va="center", color="white", fontsize="small", zorder=4)


def _arc(ax: Axes, x: float, y: float) -> None:
    """The place of a block that is passed by."""
    angle = np.linspace(0, math.pi, 30)
    ax.plot(x + 0.25 * np.cos(angle), y + 0.16 * np.sin(angle), ":", color=PALETTE["muted"], lw=1)


def _bracket(ax: Axes, depth: int, order: int, top: float, bottom: float) -> None:
    x = depth + 0.15
    ax.plot([x, x], [top + 0.22, bottom - 0.22], color=PALETTE["theory"], linewidth=1.2)
    count = math.comb(depth, order)
    paths = "path" if count == 1 else "paths"
    text = f"order {order}: {count} {paths}, weight $s^{order}$"
    ax.text(x + 0.12, (top + bottom) / 2, text, va="center", fontsize="small")
