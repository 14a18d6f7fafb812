"""Figures of trained networks: accuracy, rates of the branches, complexity, orders.

``data`` is the published table of an experiment and ``live``, where there is one, a run of the
package as it is now, drawn on top of the cells that both have. A scale of 0, which a logarithmic
axis does not have, stands at its left end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from companion.plots.style import ERROR_SIGMAS, PALETTE, overlay

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["branch_rates", "complexity", "complexity_ratio", "trained_orders", "training_accuracy"]

#: Protocols of training: role, marker, label.
PROTOCOLS = {
    "sgd 0.1": ("vanilla", "o", "SGD, rate 0.1"),
    "sgd 0.02": ("third", "v", "SGD, rate 0.02"),
    "sgd 0.004": ("muted", "^", "SGD, rate 0.004"),
    "clipped": ("fully connected", "s", "SGD, clipped"),
    "adam 0.002": ("balanced", "D", "Adam, rate 0.002"),
    "adam 0.0004": ("second", "d", "Adam, rate 0.0004"),
    "batch norm": ("infinite width", "P", "batch norm"),
    "layer norm": ("theory", "X", "layer norm"),
}

_COMPARED = ("sgd 0.1", "sgd 0.02", "clipped", "adam 0.002", "batch norm", "layer norm")

#: Share of diverged runs from which a point counts as diverged.
_DIVERGED = 0.5

#: Accuracies this far below the best are off the figure.
_RANGE = 0.08

#: Largest decadic logarithm of a complexity that is shown; training fails far below.
_LARGEST = 7.0


def training_accuracy(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    depth: int = 100,
    epochs: int = 40,
    protocols: Sequence[str] = _COMPARED,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Accuracy on held-out images against the branch scale, by protocol of training.

    Crosses below the curves mark scales at which at least half of the runs diverged, dotted lines
    the scales 1/L and 1/sqrt(L). Points more than eight percent below the best are off the figure.

    Parameters
    ----------
    data, live : DataFrame
        ``re-training``.
    depth, epochs : int
        Which of its cells.
    protocols : sequence of str
        Keys of `PROTOCOLS`.
    """
    ax = ax or plt.gca()
    chosen = _cells(data, depth, epochs)
    high = float(chosen["accuracy"].max())
    low, step = high - _RANGE, _RANGE / 16
    for place, name in enumerate(protocols):
        rows = chosen[chosen["kind"] == name].sort_values("x")
        _points(ax, rows, "accuracy", name, chosen)
        lost = rows[rows["diverged"] >= _DIVERGED]
        role, _, _ = PROTOCOLS[name]
        level = np.full(len(lost), low - step * (place + 1))
        ax.plot(_place(lost, chosen), level, "x", color=PALETTE[role], markersize=6)
    _live(ax, live, depth, epochs, "accuracy", protocols, chosen)
    _scales(ax, chosen, depth)
    ax.set(ylabel="accuracy", title=f"$L={depth}$, {epochs} epochs")
    ax.set_ylim(low - step * (len(protocols) + 1), high + 2 * step)
    ax.legend()
    return ax


def _cells(data: pd.DataFrame, depth: int, epochs: int) -> pd.DataFrame:
    """Rows of one depth and length of training; a ValueError says which there are."""
    found = data[(data["depth"] == depth) & (data["epochs"] == epochs)]
    if found.empty:
        known = sorted(set(zip(data["depth"], data["epochs"], strict=True)))
        raise ValueError(
            f"depth and epochs must be one of {known}, got ({depth}, {epochs}); the table holds "
            "no other cells."
        )
    return found


def _shared(live: pd.DataFrame | None, depth: int, epochs: int) -> pd.DataFrame | None:
    """The same of a live run, which may lack them."""
    if live is None:
        return None
    found = live[(live["depth"] == depth) & (live["epochs"] == epochs)]
    return None if found.empty else found


def _place(rows: pd.DataFrame, data: pd.DataFrame) -> np.ndarray:
    """Abscissae: scales, and the left end of the axis for a scale of 0."""
    return np.where(rows["x"] > 0, rows["x"], _zero(data))


def _zero(data: pd.DataFrame) -> float:
    """Where a scale of 0 stands."""
    return float(data["x"][data["x"] > 0].min()) / 2


def _points(ax: Axes, rows: pd.DataFrame, name: str, protocol: str, data: pd.DataFrame) -> None:
    role, marker, label = PROTOCOLS[protocol]
    known = rows.dropna(subset=name)
    ax.errorbar(
        _place(known, data),
        known[name],
        yerr=ERROR_SIGMAS * known[f"{name}_sem"],
        color=PALETTE[role],
        marker=marker,
        linestyle="none" if protocol.endswith("norm") else "-",
        linewidth=0.9,
        label=label,
        zorder=3,
    )


def _live(
    ax: Axes,
    live: pd.DataFrame | None,
    depth: int,
    epochs: int,
    name: str,
    protocols: Sequence[str],
    data: pd.DataFrame,
) -> None:
    own = _shared(live, depth, epochs)
    if own is not None:
        own = own[own["kind"].isin(protocols)].dropna(subset=name)
        overlay(ax, own, _place(own, data), name)


def _scales(ax: Axes, rows: pd.DataFrame, depth: int) -> None:
    for scale in (1 / depth, depth**-0.5):
        ax.axvline(scale, color=PALETTE["muted"], linestyle=":", linewidth=1)
    ax.set(xscale="log", xlabel="branch scale $s$ (left end: 0)")


def complexity(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    of: str = "features",
    depth: int = 100,
    epochs: int = 40,
    protocol: str = "clipped",
    live: pd.DataFrame | None = None,
) -> Axes:
    """Geometric complexity before and after training against the branch scale.

    Parameters
    ----------
    data, live : DataFrame
        ``re-training``; complexities are decadic logarithms.
    of : str
        ``"features"`` or ``"logits"``.
    depth, epochs : int
    protocol : str
        A key of `PROTOCOLS`.
    """
    ax = ax or plt.gca()
    chosen = _cells(data, depth, epochs)
    rows = chosen[chosen["kind"] == protocol].sort_values("x")
    for when, role, marker in (("before", "muted", "o"), ("after", "vanilla", "s")):
        name = f"{of}_{when}"
        known = rows.dropna(subset=name)
        value, half = known[name].to_numpy(), ERROR_SIGMAS * known[f"{name}_sem"].to_numpy()
        centre = 10**value
        bars = np.stack([centre - 10 ** (value - half), 10 ** (value + half) - centre])
        label = f"{when} training"
        style = {"before": "none", "after": "-"}[when]
        ax.errorbar(
            _place(known, rows),
            centre,
            yerr=bars,
            color=PALETTE[role],
            marker=marker,
            linestyle=style,
            linewidth=0.9,
            label=label,
        )
    if of == "features":
        theory = 10 ** rows["features_theory"]
        ax.plot(_place(rows, rows), theory, color=PALETTE["theory"], lw=1, label="before, theory")
    _scales(ax, rows, depth)
    _, _, label = PROTOCOLS[protocol]
    ax.set(yscale="log", ylabel=f"complexity of the {of}", title=f"$L={depth}$, {label}")
    ax.set_ylim(top=min(ax.get_ylim()[1], 10**_LARGEST))
    own = _shared(live, depth, epochs)
    if own is not None:
        own = own[own["kind"] == protocol].dropna(subset=f"{of}_after")
        ax.plot(
            _place(own, data),
            10 ** own[f"{of}_after"],
            "D",
            color=PALETTE["theory"],
            fillstyle="none",
            markersize=4,
            label="live run",
        )
    ax.legend()
    return ax


def complexity_ratio(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    epochs: int = 40,
    protocol: str = "clipped",
    live: pd.DataFrame | None = None,
) -> Axes:
    r"""Complexity of the features after training over that before, against the reduced scale.

    Parameters
    ----------
    data, live : DataFrame
        ``re-training``.
    epochs : int
    protocol : str
        A key of `PROTOCOLS`; every depth that was trained by it has a curve.
    """
    ax = ax or plt.gca()
    rows = data[(data["kind"] == protocol) & (data["epochs"] == epochs) & (data["x"] > 0)]
    roles = ("vanilla", "balanced", "fully connected", "infinite width")
    for role, (depth, own) in zip(roles, rows.groupby("depth"), strict=False):
        known = own.dropna(subset="ratio").sort_values("x")
        ax.errorbar(
            known["reduced"],
            known["ratio"],
            yerr=ERROR_SIGMAS * known["ratio_sem"],
            color=PALETTE[role],
            marker="o",
            linewidth=0.9,
            label=f"$L={depth}$",
        )
    if live is not None:
        own = live[(live["kind"] == protocol) & (live["epochs"] == epochs) & (live["x"] > 0)]
        overlay(ax, own.dropna(subset="ratio"), own.dropna(subset="ratio")["reduced"], "ratio")
    ax.axhline(0, color=PALETTE["muted"], linewidth=0.8)
    ax.axvline(1, color=PALETTE["muted"], linestyle=":", linewidth=1)
    ax.set(
        xscale="log",
        xlabel=r"reduced scale $s\sqrt{L}$",
        ylabel=r"$\log_{10}$ (after / before)",
        title=PROTOCOLS[protocol][2],
    )
    ax.set_ylim(bottom=max(ax.get_ylim()[0], -1))
    ax.legend()
    return ax


def branch_rates(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    depth: int = 100,
    epochs: int = 40,
    live: pd.DataFrame | None = None,
) -> Axes:
    r"""Accuracy at the scale 1/L against the multiplier of the branches' learning rate.

    Horizontal lines are the accuracy at the scale 1/sqrt(L) with one rate for all.

    Parameters
    ----------
    data, live : DataFrame
        ``re-rates``.
    depth, epochs : int
        Which of its cells.
    """
    ax = ax or plt.gca()
    chosen = _cells(data, depth, epochs)
    for protocol, rows in chosen.groupby("protocol", sort=False):
        role, marker, label = PROTOCOLS[str(protocol)]
        swept = rows[rows["x"] > 0].dropna(subset="accuracy").sort_values("x")
        ax.errorbar(
            swept["x"],
            swept["accuracy"],
            yerr=ERROR_SIGMAS * swept["accuracy_sem"],
            color=PALETTE[role],
            marker=marker,
            linewidth=0.9,
            label=f"{label}, $s=1/L$",
        )
        some = swept[swept["diverged"] > 0]
        name = "some runs diverged" if len(some) else None
        ax.plot(some["x"], some["accuracy"], "x", color=PALETTE["theory"], ms=10, label=name)
        reference = float(rows["accuracy"][rows["x"] == 0].iloc[0])
        name = f"{label}, $s=1/\\sqrt{{L}}$"
        ax.axhline(reference, color=PALETTE[role], linestyle="--", linewidth=1, label=name)
    own = _shared(live, depth, epochs)
    if own is not None:
        own = own[own["x"] > 0].dropna(subset="accuracy")
        overlay(ax, own, own["x"], "accuracy")
    ax.axvline(depth, color=PALETTE["muted"], linestyle=":", linewidth=1)
    ax.set(
        xscale="log",
        xlabel=r"multiplier $\mu$ of the branches' rate",
        ylabel="accuracy",
        title=f"$L={depth}$, {epochs} epochs",
    )
    ax.legend()
    return ax


#: Smallest decadic logarithm of an energy that is shown.
_SMALLEST = -8.0


def trained_orders(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    depth: int = 100,
    epochs: int = 40,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Energy of each order after training, with that of independent blocks of the same scale.

    Parameters
    ----------
    data, live : DataFrame
        ``re-orders``; energies are decadic logarithms.
    depth, epochs : int
        Which of its cells.
    """
    ax = ax or plt.gca()
    chosen = _cells(data, depth, epochs)
    orders = chosen[(chosen["kind"] == "order") & chosen["scale"].lt(2 / depth**0.5)]
    roles = ("vanilla", "third", "fully connected", "balanced", "second", "infinite width")
    groups = orders.groupby(["protocol", "scale", "multiplier"], sort=False)
    for role, ((protocol, scale, multiplier), rows) in zip(roles, groups, strict=False):
        own = rows.sort_values("x")
        name = "1/L" if np.isclose(scale, 1 / depth) else "1/\\sqrt{L}"
        times = "" if multiplier == 1 else ", $\\mu=L$"
        label = f"{PROTOCOLS[str(protocol)][2]}, $s={name}${times}"
        ax.errorbar(
            own["x"],
            own["after"],
            yerr=ERROR_SIGMAS * own["after_sem"],
            color=PALETTE[role],
            marker="o",
            linewidth=0.9,
            label=label,
        )
        ax.plot(own["x"], own["energy_theory"], ":", color=PALETTE[role], linewidth=1)
    own = _shared(live, depth, epochs)
    if own is not None:
        rows = own[(own["kind"] == "order") & own["scale"].lt(2 / depth**0.5)]
        overlay(ax, rows, rows["x"], "after")
    ax.set(
        xlabel="order $k$",
        ylabel=r"$\log_{10}E_k$ after training",
        title=f"$L={depth}$, {epochs} epochs",
        ylim=(_SMALLEST, 1),
    )
    ax.legend()
    return ax
