"""Figures of the truncated expansion: errors by order, remainders, first kinks, correlation.

``data`` is the published table of an experiment and ``live``, where there is one, a run of the
package as it is now, drawn on top.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from companion.plots.style import ERROR_SIGMAS, PALETTE, errorbars, overlay

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["coefficients", "crossover", "kinks", "remainder", "truncation"]

#: Roles of the curves of one figure, in the order of their parameter.
ROLES = ("vanilla", "fully connected", "second", "balanced", "infinite width", "third")

#: Names of the networks that are truncated, by activation and variance of the weights.
NETWORKS = {
    ("linear", 1.0): "linear",
    ("relu", 2.0): "ReLU",
    ("tanh", 1.0): "tanh",
    ("erf", 1.0): "erf, weights 1",
    ("erf", 1.5): "erf, weights 1.5",
}

#: Reduced scales shown in the figure of the truncation error.
_SHOWN = (0.25, 0.5, 1.0, 2.0)


def truncation(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    activation: str = "tanh",
    variance: float = 1.0,
    depth: int = 400,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Relative error of the expansion cut after each order, at several reduced scales.

    Lines are geometric means over networks, bands reach from the least to the largest network.

    Parameters
    ----------
    data, live : DataFrame
        ``re-truncation``.
    activation : str
        ``"linear"``, ``"relu"``, ``"tanh"`` or ``"erf"``.
    variance : float
        Of the weights: 2 for ReLU, 1 or 1.5 for erf, 1 for the others.
    depth : int
    """
    ax = ax or plt.gca()
    network = (activation, variance)
    for role, scale in zip(ROLES, _SHOWN, strict=False):
        rows = _errors(data, network, depth, scale)
        label = rf"$\hat s={scale:g}$"
        ax.plot(rows["entry"], 10 ** rows["value"], color=PALETTE[role], label=label)
        ax.fill_between(
            rows["entry"],
            10 ** rows["low"],
            10 ** rows["high"],
            color=PALETTE[role],
            alpha=0.15,
            linewidth=0,
        )
        if live is not None:
            own = _errors(live, network, depth, scale)
            own = own[own["entry"] % 8 == 0]
            _log_points(ax, own, own["entry"], "live run" if scale == _SHOWN[0] else None)
    ax.axhline(1, color=PALETTE["muted"], linewidth=0.8)
    ax.set(
        yscale="log",
        ylim=(1e-16, 1e10),
        xlabel="last order kept $K$",
        ylabel="relative error",
        title=f"{NETWORKS[network]}, $L={depth}$",
    )
    ax.legend()
    return ax


def _errors(
    data: pd.DataFrame, network: tuple[str, float], depth: int, scale: float
) -> pd.DataFrame:
    own = _of(data, network, depth)
    own = own[(own["kind"] == "error") & np.isclose(own["x"], scale)]
    return own.sort_values("entry")


def _of(data: pd.DataFrame, network: tuple[str, float], depth: int) -> pd.DataFrame:
    """Rows of one activation, variance of the weights, and depth."""
    activation, variance = network
    own = data[(data["activation"] == activation) & (data["depth"] == depth)]
    return own[np.isclose(own["variance"], variance)]


def _log_points(ax: Axes, rows: pd.DataFrame, x: pd.Series, label: str | None) -> None:
    """Open diamonds of a live run whose values are decadic logarithms."""
    value, half = rows["value"].to_numpy(), ERROR_SIGMAS * rows["value_sem"].to_numpy()
    centre = 10**value
    bars = np.stack([centre - 10 ** (value - half), 10 ** (value + half) - centre])
    ax.errorbar(
        np.asarray(x),
        centre,
        yerr=bars,
        color=PALETTE["theory"],
        marker="D",
        markersize=3.2,
        fillstyle="none",
        linestyle="none",
        linewidth=0.8,
        label=label,
        zorder=4,
    )


def coefficients(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    depth: int = 400,
    live: pd.DataFrame | None = None,
) -> Axes:
    r"""Size of each order of single networks at the reduced scale 1, by activation.

    Parameters
    ----------
    data, live : DataFrame
        ``re-truncation``.
    depth : int
    """
    ax = ax or plt.gca()
    for role, network in zip(ROLES, NETWORKS, strict=False):
        rows = _sizes(data, network, depth)
        ax.plot(
            rows["entry"],
            10 ** rows["value"],
            color=PALETTE[role],
            label=NETWORKS[network],
        )
        ax.fill_between(
            rows["entry"],
            10 ** rows["low"],
            10 ** rows["high"],
            color=PALETTE[role],
            alpha=0.15,
            linewidth=0,
        )
        if live is not None:
            own = _sizes(live, network, depth)
            own = own[own["entry"] % 8 == 0]
            _log_points(ax, own, own["entry"], "live run" if role == ROLES[0] else None)
    ax.set(
        yscale="log",
        ylim=(1e-9, 1e8),
        xlabel="order $k$",
        ylabel=r"$\|s^k h^{(k)}\|/\|h_0\|$ at $\hat s=1$",
        title=f"$L={depth}$",
    )
    ax.legend()
    return ax


def _sizes(data: pd.DataFrame, network: tuple[str, float], depth: int) -> pd.DataFrame:
    own = _of(data, network, depth)
    return own[own["kind"] == "size"].sort_values("entry")


def remainder(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Mean squared remainder beyond order 2 against the reduced scale, for ReLU and erf.

    Dashed is the leading power: 5 for ReLU, 6 for erf.

    Parameters
    ----------
    data, live : DataFrame
        ``re-remainder``.
    """
    ax = ax or plt.gca()
    for role, (activation, power) in zip(ROLES, (("relu", 5), ("erf", 6)), strict=False):
        rows = _remainders(data, activation)
        name = {"relu": "ReLU", "erf": "erf"}[activation]
        label = f"{name}, leading $\\hat s^{power}$"
        ax.plot(rows["x"], rows["leading_theory"], "--", color=PALETTE[role], label=label)
        errorbars(ax, rows["x"], rows["value"], rows["value_sem"], role=role, label=name)
        if activation == "relu":
            ax.plot(rows["x"], rows["value_theory"], color=PALETTE[role], label="ReLU, theory")
            third = rows["third_theory"]
            ax.plot(rows["x"], third, ":", color=PALETTE["muted"], label="energy of order 3, ReLU")
        if live is not None:
            own = _remainders(live, activation)
            overlay(ax, own, own["x"], "value")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel=r"reduced scale $\hat s=s\sqrt{L}$",
        ylabel=r"$\mathbb{E}\,\|$beyond order 2$\|^2/\|h_0\|^2$",
    )
    scales = sorted(set(data["x"]))
    ax.set_xticks(scales, [f"{scale:g}" for scale in scales])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.legend(*_unique(ax))
    return ax


def _remainders(data: pd.DataFrame, activation: str) -> pd.DataFrame:
    own = data[(data["kind"] == "second") & (data["activation"] == activation)]
    return own.sort_values("x")


def _unique(ax: Axes) -> tuple[list, list]:
    """Handles and labels of a legend, each label once."""
    found = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    return list(found.values()), list(found)


def kinks(data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None) -> Axes:
    """Histogram of the first kink in units of its mean in deep networks, with the exponential law.

    Parameters
    ----------
    data, live : DataFrame
        ``re-kink``.
    """
    ax = ax or plt.gca()
    rows = data[data["kind"] == "density"]
    curve = rows.drop_duplicates("x").sort_values("x")
    ax.plot(curve["x"], curve["density_theory"], color=PALETTE["theory"], label="exponential")
    groups = rows.sort_values(["depth", "x"]).groupby("depth")
    for role, (depth, own) in zip(ROLES, groups, strict=False):
        label = f"$L={depth}$, $n={own['width'].iloc[0]}$"
        errorbars(ax, own["x"], own["density"], own["sem"], role=role, label=label)
    if live is not None:
        own = live[(live["kind"] == "density") & (live["depth"] == rows["depth"].min())]
        overlay(ax, own, own["x"], "density", sem="sem")
    ax.set(yscale="log", xlabel=r"$s_*\cdot 2nL^{3/2}/(3\pi)$", ylabel="density")
    ax.legend()
    return ax


_LAWS = {
    "equicorrelated": "$\\rho={:g}$",
    "ou": "OU, length {:g}",
    "fractional": "$H={:g}$",
}


def crossover(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    collapsed: bool = False,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Log growth of the squared norm against the branch scale, for blocks correlated in depth.

    Parameters
    ----------
    data, live : DataFrame
        ``re-correlation``.
    collapsed : bool
        Divide the scale by the critical one of each law.
    """
    ax = ax or plt.gca()
    groups = data.groupby(["law", "parameter"], sort=False)
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(groups)))
    for colour, ((law, parameter), rows) in zip(colours, groups, strict=True):
        unit = 1.0 if collapsed else float(rows["critical_theory"].iloc[0])
        curve = rows[rows["kind"] == "curve"].sort_values("x")
        label = _LAWS[law].format(parameter)
        growth = np.log(curve["value_theory"])
        ax.plot(curve["x"] * unit, growth, color=colour, linewidth=1.2, label=label)
        points = rows[rows["kind"] == "total"]
        ax.errorbar(
            points["x"] * unit,
            np.log(points["value"]),
            yerr=ERROR_SIGMAS * points["value_sem"] / points["value"],
            color=colour,
            marker="o",
            markersize=4,
            linestyle="none",
        )
    if live is not None:
        _live_totals(ax, live[live["kind"] == "total"], collapsed)
    name = "s/s_c" if collapsed else "s"
    ax.set(
        xscale="log",
        yscale="log",
        xlabel=f"branch scale ${name}$",
        ylabel=r"$\ln\,\mathbb{E}\|h_L\|^2/\|h_0\|^2$",
    )
    ax.legend()
    return ax


def _live_totals(ax: Axes, rows: pd.DataFrame, collapsed: bool) -> None:
    shown = rows.assign(growth=np.log(rows["value"]), growth_sem=rows["value_sem"] / rows["value"])
    unit = 1.0 if collapsed else shown["critical_theory"]
    overlay(ax, shown, shown["x"] * unit, "growth")
