"""The book's look: palette, fonts, error bars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ERROR_SIGMAS",
    "MARKERS",
    "PALETTE",
    "errorbars",
    "legends_below",
    "overlay",
    "panel_labels",
    "shared_legend",
    "use_style",
]

#: Okabe and Ito's colours, distinguishable with every common colour vision; one role each.
PALETTE = {
    "vanilla": "#0072B2",
    "balanced": "#D55E00",
    "fully connected": "#009E73",
    "infinite width": "#CC79A7",
    "second": "#E69F00",
    "third": "#56B4E9",
    "theory": "#222222",
    "muted": "#8A8A8A",
}

#: A marker beside the colour, so that no figure depends on colour alone.
MARKERS = {"vanilla": "o", "balanced": "s", "fully connected": "^"}

#: Half-length of every error bar, in standard errors.
ERROR_SIGMAS = 2


def use_style() -> None:
    """Set the book's style for all figures that follow."""
    sns.set_theme(context="notebook", style="ticks", palette=list(PALETTE.values()))
    mpl.rcParams.update(
        {
            "figure.figsize": (7.2, 4.2),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "white",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "legend.frameon": False,
            "legend.fontsize": "small",
            "legend.title_fontsize": "small",
            "lines.linewidth": 1.8,
            "lines.markersize": 5,
            "errorbar.capsize": 2,
            "mathtext.fontset": "cm",
            "svg.hashsalt": "residual-scaling",
        }
    )


def errorbars(
    ax: Axes,
    x: ArrayLike,
    y: ArrayLike,
    sem: ArrayLike,
    *,
    role: str,
    label: str | None = None,
    fillstyle: Literal["full", "none"] = "full",
) -> Axes:
    """Simulated points with bars of `ERROR_SIGMAS` standard errors."""
    ax.errorbar(
        np.asarray(x),
        np.asarray(y),
        yerr=ERROR_SIGMAS * np.asarray(sem),
        color=PALETTE[role],
        marker=MARKERS.get(role, "o"),
        linestyle="none",
        fillstyle=fillstyle,
        label=label,
        zorder=3,
    )
    return ax


def overlay(
    ax: Axes, live: pd.DataFrame | None, x: ArrayLike, y: str, *, sem: str | None = None
) -> Axes:
    """Points of a live run, on the published ones: open diamonds with the same kind of bars.

    Parameters
    ----------
    live : DataFrame, optional
        Rows of the run; nothing is drawn without them.
    x : array_like
        Abscissae of the rows.
    y, sem : str
        Columns of the estimates and of their standard errors, default ``y`` with ``_sem``.
    """
    if live is None or live.empty:
        return ax
    ax.errorbar(
        np.asarray(x),
        live[y].to_numpy(),
        yerr=ERROR_SIGMAS * live[sem or f"{y}_sem"].to_numpy(),
        color=PALETTE["theory"],
        marker="D",
        markersize=3.2,
        markeredgewidth=0.8,
        fillstyle="none",
        linestyle="none",
        linewidth=0.8,
        label="live run",
        zorder=4,
    )
    return ax


def panel_labels(axes: Iterable[Axes]) -> None:
    """Write (a), (b), ... at the upper left of each panel."""
    for letter, ax in zip("abcdefgh", axes, strict=False):
        ax.set_title(f"({letter})", loc="left", fontweight="bold")


def shared_legend(axes: Sequence[Axes], *, ncols: int = 3) -> None:
    """One legend below the panels, for labels that they share; their own legends are removed."""
    entries: dict[str, Artist] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
        legend = ax.get_legend()
        if legend is not None:
            legend.remove()
    axes[0].figure.legend(
        handles=list(entries.values()),
        labels=list(entries),
        loc="outside lower center",
        ncols=ncols,
    )


def legends_below(axes: Iterable[Axes], *, ncols: int = 2) -> None:
    """The legend of each panel below it, where panels do not share labels."""
    for ax in axes:
        entries = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
        ax.legend(
            list(entries.values()),
            list(entries),
            loc="upper center",
            bbox_to_anchor=(0.5, -0.2),
            ncols=ncols,
        )
