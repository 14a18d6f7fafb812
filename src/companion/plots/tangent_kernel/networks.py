"""Figures with networks of finite width: their kernels, and what they classify.

``data`` is a published table and ``live``, where there is one, a run of the package as it is now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from companion.plots.style import ERROR_SIGMAS, PALETTE, errorbars, overlay
from companion.plots.tangent_kernel.curves import BETA_ROLES, DEPTH_ROLES, MARKERS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["convergence", "empirical", "training", "variation"]


def convergence(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    depth: int = 5,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Ratio of mean kernels against the inverse width, with a weighted line to width infinity.

    Parameters
    ----------
    data, live : DataFrame
        ``tk-convergence``.
    depth : int
        5 (scale 1) or 16 (scale 1/4).
    """
    ax = ax or plt.gca()
    own = data[data["depth"] == depth]
    for role, shape, (angle, rows) in zip(DEPTH_ROLES, MARKERS, own.groupby("x"), strict=False):
        inverse = 1 / rows["width"].to_numpy()
        color = PALETTE[role]
        ax.errorbar(
            inverse,
            rows["ratio"],
            yerr=ERROR_SIGMAS * rows["ratio_sem"],
            linestyle="none",
            marker=shape,
            color=color,
            label=rf"$\theta={angle:g}$",
        )
        slope, level = np.polyfit(inverse, rows["ratio"], 1, w=1 / rows["ratio_sem"])
        ends = np.array([0.0, inverse.max()])
        ax.plot(ends, level + slope * ends, color=color, linewidth=0.8)
        ax.plot(0, rows["ratio_theory"].iloc[0], "*", color=color, markersize=11, clip_on=False)
    if live is not None:
        points = live[live["depth"] == depth]
        overlay(ax, points, 1 / points["width"], "ratio")
    ax.set(xlabel="$1/n$", ylabel=r"$E\hat\Theta(x,x')\,/\,E\hat\Theta(x,x)$", xlim=(0, None))
    ax.set_title(f"$L={depth}$, $s={own['constant'].iloc[0]:g}$; stars: infinite width")
    widths = sorted(set(own["width"]), reverse=True)
    ax.set_xticks([0, *(1 / width for width in widths)], ["0", *(f"1/{w}" for w in widths)])
    _once(ax)
    return ax


def empirical(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Accuracy of regression with the kernel of an untrained network against its width.

    Dashed lines are the kernel of infinite width on the same images.
    """
    ax = ax or plt.gca()
    styles = {(0.0, 8): ("second", "^"), (0.0, 32): ("balanced", "o"), (0.5, 32): ("vanilla", "s")}
    for (beta, depth), (role, shape) in styles.items():
        rows = data[(data["beta"] == beta) & (data["depth"] == depth)].sort_values("width")
        if rows.empty:
            continue
        color = PALETTE[role]
        ax.errorbar(
            rows["width"],
            rows["accuracy"],
            yerr=ERROR_SIGMAS * rows["accuracy_sem"],
            color=color,
            marker=shape,
            linewidth=0.8,
            label=rf"$L={depth}$, $\beta={beta:g}$",
        )
        weights = rows["networks"] / rows["networks"].sum()
        ax.axhline(
            float(np.sum(weights * rows["kernel"])), color=color, linestyle="--", linewidth=1
        )
    if live is not None:
        overlay(ax, live, live["width"], "accuracy")
    _widths(ax, data)
    ax.set(ylabel="test accuracy", ylim=(None, 1.0))
    _once(ax)
    return ax


def variation(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Coefficient of variation of the kernel's diagonal over images against the width."""
    ax = ax or plt.gca()
    roles = {(0.0, 8): "second", (0.0, 32): "balanced", (0.5, 32): "vanilla"}
    for (beta, depth), role in roles.items():
        rows = data[(data["beta"] == beta) & (data["depth"] == depth)].sort_values("width")
        if rows.empty:
            continue
        label = rf"$L={depth}$, $\beta={beta:g}$"
        ax.plot(rows["width"], rows["variation"], color=PALETTE[role], linewidth=0.8)
        errorbars(
            ax, rows["width"], rows["variation"], rows["variation_sem"], role=role, label=label
        )
    widths = np.sort(np.unique(data["width"]))
    top = float(data["variation"].max())
    line = 0.8 * top * (widths / widths[0]) ** -0.5
    ax.plot(widths, line, ":", color=PALETTE["theory"], label="$n^{-1/2}$")
    if live is not None:
        overlay(ax, live, live["width"], "variation")
    _widths(ax, data)
    ax.set(yscale="log", ylabel="variation of the diagonal")
    _once(ax)
    return ax


def training(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    width: int = 128,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Test accuracy of trained networks along the steps, by depth and decay of the scale.

    Solid lines are networks of one width, dashed ones the flow of infinite width.

    Parameters
    ----------
    data, live : DataFrame
        ``tk-networks``.
    width : int
        Of the networks.
    """
    ax = ax or plt.gca()
    own = data[data["width"] == width]
    shapes = dict(zip(sorted(set(own["depth"])), "o^sv", strict=False))
    for key, rows in own.sort_values("steps").groupby(["depth", "beta"]):
        depth, beta = key
        color = PALETTE[BETA_ROLES[float(beta)]]
        ax.errorbar(
            rows["steps"],
            rows["accuracy"],
            yerr=ERROR_SIGMAS * rows["accuracy_sem"],
            color=color,
            marker=shapes[int(depth)],
            linewidth=0.8,
            label=rf"$L={depth}$, $\beta={beta:g}$",
        )
        if depth == max(shapes):
            ax.plot(rows["steps"], rows["kernel"], "--", color=color, linewidth=1)
    if live is not None:
        points = live[live["width"] == width]
        overlay(ax, points, points["steps"], "accuracy")
    ax.set(xlabel="steps", ylabel="test accuracy", title=f"$n={width}$; dashed: infinite width")
    low, high = ax.get_ylim()
    ax.set_ylim(low - 0.6 * (high - low), None)  # room for the legend
    _once(ax, ncols=2, loc="lower right")
    return ax


def _widths(ax: Axes, data: pd.DataFrame) -> None:
    ticks = [int(width) for width in sorted(set(data["width"]))]
    ax.set(xscale="log", xlabel="width $n$")
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())


def _once(ax: Axes, *, ncols: int = 1, loc: Literal["best", "lower right"] = "best") -> None:
    """A legend that names every label once."""
    handles, labels = ax.get_legend_handles_labels()
    kept = dict(zip(labels, handles, strict=True))
    ax.legend(kept.values(), kept.keys(), ncols=ncols, loc=loc)
