"""Figures of the eigenvalues on the sphere; every number is theory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from companion.plots.style import PALETTE
from companion.plots.tangent_kernel.curves import DEPTH_ROLES, MARKERS, mark

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["decay", "spectrum"]


def spectrum(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    beta: float = 0.5,
    depth: int = 1000,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Eigenvalues of one kernel in three dimensions, even and odd degrees, with their laws.

    Parameters
    ----------
    data, live : DataFrame
        ``tk-spectrum``.
    beta, depth : float, int
        Exponent of the branch scale, and depth, of a network in the table.
    """
    ax = ax or plt.gca()
    rows = _network(data, beta, depth)
    total = float(rows["effective_theory"].iloc[0])
    # the kinks rule degrees beyond T and beyond the inverse root of twice the share
    reach = max(2.0, total / 5, 0.2 * (2 * total / depth) ** -0.5)
    thin = np.unique(np.round(np.geomspace(1, 300, 60)))
    shown = rows[rows["x"].isin(thin)]
    for parity, shape, role in ((0, "o", "vanilla"), (1, "s", "balanced")):
        part = shown[(shown["x"] % 2 == parity) & (shown["eigenvalue_theory"] > 1e-16)]
        label = "even degrees" if parity == 0 else "odd degrees"
        fill = "full" if parity == 0 else "none"
        style: dict[str, Any] = {
            "marker": shape,
            "linestyle": "none",
            "fillstyle": fill,
            "label": label,
        }
        ax.plot(part["x"], part["eigenvalue_theory"], color=PALETTE[role], **style)
        line = rows[(rows["x"] % 2 == parity) & (rows["x"] > reach)]
        law = line[line["kinks_theory"] > 1e-16]
        ax.plot(law["x"], law["kinks_theory"], "--", color=PALETTE[role], linewidth=1.2)
    if total > 30:
        line = rows[(rows["x"] > 1) & (rows["x"] < total)]
        label = r"$3\pi/8T(k+\frac{1}{2})$"
        ax.plot(line["x"], line["plateau_theory"], ":", color=PALETTE["theory"], label=label)
    if live is not None:
        points = _network(live, beta, depth)
        chosen = points[points["x"].isin((2, 4, 10, 30, 100, 300))]
        mark(ax, chosen["x"], chosen["eigenvalue_theory"])
    ax.set(xscale="log", yscale="log", xlabel="degree $k$", ylabel=r"eigenvalue $\mu_k$")
    ax.set_title(rf"$\beta={beta:g}$, $L={depth}$, $T={total:.3g}$")
    ax.legend()
    return ax


def _network(data: pd.DataFrame, beta: float, depth: int) -> pd.DataFrame:
    three = data[(data["dimension"] == 3) & (data["x"] > 0)]
    return three[(three["beta"] == beta) & (three["depth"] == depth)].sort_values("x")


def decay(data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None) -> Axes:
    r"""Local exponent of the even eigenvalues against the degree, in several dimensions.

    Slope in :math:`\ln(k+(d-2)/2)` between ``k`` and ``2 k``; dotted lines are ``-d``.
    """
    ax = ax or plt.gca()
    rows = data[(data["beta"] == 0.5) & (data["depth"] == 1000)]
    groups = rows.groupby("dimension")
    for role, shape, (dimension, part) in zip(DEPTH_ROLES, MARKERS, groups, strict=False):
        degrees, slopes = _slopes(part)
        label = f"$d={dimension}$"
        ax.plot(degrees, slopes, color=PALETTE[role], marker=shape, label=label)
        ax.axhline(-float(dimension), color=PALETTE[role], linestyle=":", linewidth=1)
        if live is not None:
            mine = live[(live["beta"] == 0.5) & (live["depth"] == 1000)]
            mark(ax, *_slopes(mine[mine["dimension"] == dimension]))
    ax.set(xscale="log", xlabel="degree $k$", ylabel="local exponent, $k$ to $2k$")
    handles, labels = ax.get_legend_handles_labels()
    kept = dict(zip(labels, handles, strict=True))
    ax.legend(kept.values(), kept.keys(), ncols=2, loc="center right", bbox_to_anchor=(1.0, 0.33))
    return ax


def _slopes(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    values = rows.set_index("x")["eigenvalue_theory"]
    shift = (float(rows["dimension"].iloc[0]) - 2) / 2
    degrees = np.array([4, 6, 10, 16, 26, 40, 64, 100, 150])
    rise = np.log(values.loc[2 * degrees].to_numpy() / values.loc[degrees].to_numpy())
    return degrees, rise / np.log((2 * degrees + shift) / (degrees + shift))
