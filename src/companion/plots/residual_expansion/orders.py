"""Figures of the orders of the expansion: energies, path lengths, smooth activations.

``data`` is the published table of an experiment and ``live``, where there is one, a run of the
package as it is now, drawn on top. Lines are theory, points are simulated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from companion.plots.style import PALETTE, errorbars, overlay

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["counting", "jacobian", "path_energies", "prenorm", "smooth_orders"]

#: Networks of a figure of energies: activation, masks, role, label.
_NETWORKS = (
    ("linear", "frozen", "vanilla", "linear"),
    ("relu", "frozen", "balanced", "ReLU, masks of the input"),
    ("relu", "actual", "fully connected", "ReLU, masks of the network"),
)

_SCALES = {0.0: "s=1", 0.5: "s=1/\\sqrt{L}", 1.0: "s=1/L"}


def path_energies(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    exponent: float = 0.5,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Energy of each order for independent blocks, at one scale ``s = L ** -exponent``.

    Parameters
    ----------
    data, live : DataFrame
        ``re-paths``.
    exponent : float
        0, 1/2 or 1.
    """
    ax = ax or plt.gca()
    rows = _energies(data, exponent)
    curve = rows.drop_duplicates("x").sort_values("x")
    curve = curve[curve["energy_theory"] > _SMALLEST]
    ax.plot(
        curve["x"], curve["energy_theory"], color=PALETTE["theory"], linewidth=1, label="theory"
    )
    if exponent == 0.5:
        poisson = curve["poisson_theory"]
        ax.plot(curve["x"], poisson, "--", color=PALETTE["muted"], label="Poisson")
    shifts = (-0.12, 0.0, 0.12)
    for shift, (activation, masks, role, label) in zip(shifts, _NETWORKS, strict=True):
        own = _seen(rows[(rows["activation"] == activation) & (rows["masks"] == masks)])
        if len(own):
            errorbars(
                ax, own["x"] + shift, own["energy"], own["energy_sem"], role=role, label=label
            )
    if live is not None:
        own = _seen(_energies(live, exponent))
        overlay(ax, own, own["x"], "energy")
    depth = int(rows["depth"].iloc[0])
    total = float(rows.drop_duplicates("x")["energy_theory"].sum())
    title = f"${_SCALES[exponent]}$, $L={depth}$\ntotal {total:.4g}"
    ax.set(yscale="log", xlabel="order $k$", ylabel="energy $E_k$", title=title)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()
    return ax


#: Smaller energies are not drawn.
_SMALLEST = 1e-7


def _energies(data: pd.DataFrame, exponent: float, alignment: str = "independent") -> pd.DataFrame:
    """Orders at one scale."""
    found = data[(data["alignment"] == alignment) & (data["kind"] == "order")]
    return found[np.isclose(found["exponent"], exponent)]


def _seen(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose energy was estimated and is not lost in its error."""
    return rows[rows["energy"] > np.maximum(_SMALLEST, 2 * rows["energy_sem"])]


def counting(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Share of all paths by length, beside what these paths carry.

    Parameters
    ----------
    data : DataFrame
        ``re-paths``.
    """
    ax = ax or plt.gca()
    independent = _energies(data, 0.5)
    aligned = _energies(data, 1.0, "aligned")
    bars = (
        ("muted", independent, "count_theory", "paths, counted"),
        ("vanilla", independent, "share_theory", r"energy, independent, $s=1/\sqrt{L}$"),
        ("balanced", aligned, "share_theory", "norm, aligned, $s=1/L$"),
    )
    for role, rows, column, label in bars:
        shown = rows.drop_duplicates("x").sort_values("x")
        fill = "none" if rows is aligned else PALETTE[role]  # the last two laws are nearly one
        ax.bar(shown["x"], shown[column], 0.8, color=fill, edgecolor=PALETTE[role], label=label)
    depth = int(independent["depth"].iloc[0])
    ax.set(xlabel="length of the path $k$", ylabel="share", title=f"$L={depth}$")
    ax.set_xlim(-1, 0.8 * depth)
    ax.legend()
    return ax


def jacobian(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Energy of each order of the input-output Jacobian of ReLU networks.

    Parameters
    ----------
    data, live : DataFrame
        ``re-jacobian``.
    """
    ax = ax or plt.gca()
    rows = data[data["kind"] == "order"].sort_values("x")
    ax.plot(rows["x"], rows["value_theory"], color=PALETTE["theory"], linewidth=1, label="theory")
    errorbars(
        ax, rows["x"], rows["value"], rows["value_sem"], role="vanilla", label="ReLU networks"
    )
    if live is not None:
        own = live[live["kind"] == "order"]
        overlay(ax, own, own["x"], "value")
    ax.set(yscale="log", xlabel="order $k$", ylabel=r"share of $\mathbb{E}\|J\|_F^2/n$")
    ax.legend()
    return ax


#: Smaller shares cannot be told from zero in a figure.
_VISIBLE = 1e-3


def prenorm(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    depth: int = 54,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Path lengths of a network that normalises the input of each branch.

    Parameters
    ----------
    data, live : DataFrame
        ``re-prenorm``.
    depth : int
        Which of its depths.
    """
    ax = ax or plt.gca()
    rows = _lengths(data, depth)
    ax.bar(rows["x"], rows["count_theory"], 0.9, color=PALETTE["muted"], label="paths, counted")
    ax.plot(
        rows["x"],
        rows["value_theory"],
        color=PALETTE["theory"],
        linewidth=1,
        label="energy, theory",
    )
    known = rows[rows["value"] > _VISIBLE]
    errorbars(
        ax, known["x"], known["value"], known["value_sem"], role="vanilla", label="energy, networks"
    )
    if live is not None:
        own = _lengths(live, depth)
        own = own[own["value"] > _VISIBLE]
        overlay(ax, own, own["x"], "value")
    mean = data[(data["kind"] == "mean") & (data["depth"] == depth)]["value_theory"]
    ax.set(
        xlabel="length of the path $k$",
        ylabel="share",
        title=f"$L={depth}$: mean length {float(mean.iloc[0]):.3g}, counted {depth / 2:g}",
    )
    ax.legend()
    return ax


def _lengths(data: pd.DataFrame, depth: int) -> pd.DataFrame:
    rows = data[(data["kind"] == "share") & (data["depth"] == depth)]
    return rows.sort_values("x")


def smooth_orders(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Energies of the orders of erf networks, with the theory and with chains alone.

    Parameters
    ----------
    data, live : DataFrame
        ``re-smooth``.
    """
    ax = ax or plt.gca()
    rows = data[data["kind"] == "energy"].sort_values("x")
    ax.plot(
        rows["x"], rows["value_theory"], color=PALETTE["theory"], linewidth=1, label="all trees"
    )
    ax.plot(rows["x"], rows["paths_theory"], "--", color=PALETTE["balanced"], label="paths alone")
    errorbars(ax, rows["x"], rows["value"], rows["value_sem"], role="vanilla", label="erf networks")
    if live is not None:
        own = live[live["kind"] == "energy"]
        overlay(ax, own, own["x"], "value")
    ax.set(yscale="log", xlabel="order $k$", ylabel="energy $E_k$")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()
    return ax
