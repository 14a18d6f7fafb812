"""Figures of the kernel itself: curves, limits and the approach to them.

``data`` is the published table of an experiment and ``live``, where there is one, a run of the
package as it is now, drawn on top as open diamonds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from companion.plots.style import PALETTE

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BETA_ROLES",
    "DEPTH_ROLES",
    "antipode",
    "collapse",
    "collapse_error",
    "kernel_curves",
    "log_correction",
    "mark",
    "peak",
    "rates",
]

#: Colours of curves in the order of their parameter, and a marker beside each.
DEPTH_ROLES = ("vanilla", "balanced", "fully connected", "infinite width", "second", "third")
MARKERS = ("o", "s", "^", "v", "P", "X")

#: Colour of a decay of the branch scale, the same in every figure.
BETA_ROLES = {
    0.0: "balanced",
    0.25: "second",
    0.5: "vanilla",
    0.75: "third",
    1.0: "fully connected",
}

_ANGLE = r"angle $\theta$"


def mark(ax: Axes, x: object, y: object) -> None:
    """Points of a live run of something that has no error: open diamonds."""
    ax.plot(
        np.asarray(x),
        np.asarray(y),
        linestyle="none",
        marker="D",
        markersize=3.2,
        markeredgewidth=0.8,
        fillstyle="none",
        color=PALETTE["theory"],
        label="live run",
        zorder=4,
    )


def kernel_curves(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    beta: float = 0.0,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Kernel against the angle for one decay of the scale, all depths, and the limit.

    Parameters
    ----------
    data, live : DataFrame
        ``tk-kernel``.
    beta : float
        Exponent of the branch scale.
    """
    ax = ax or plt.gca()
    rows = _curve(data, beta)
    depths = sorted(set(rows["depth"]))
    for role, depth in zip(DEPTH_ROLES, depths, strict=False):
        curve = rows[rows["depth"] == depth]
        label = f"$L={depth}$"
        ax.plot(curve["x"], curve["kernel_theory"], color=PALETTE[role], label=label)
    last = rows[(rows["depth"] == depths[-1]) & (rows["x"] > 0)]
    ax.plot(
        last["x"], last["limit_theory"], "--", color=PALETTE["theory"], linewidth=1.3, label="limit"
    )
    if live is not None:
        points = _curve(live, beta)
        chosen = points[points["depth"] == points["depth"].max()].iloc[::9]
        mark(ax, chosen["x"], chosen["kernel_theory"])
    ax.set(xlabel=_ANGLE, ylabel=r"kernel $\bar r$", title=rf"$\beta={beta:g}$", ylim=(-0.12, 1.05))
    ax.set_xticks([0, np.pi / 2, np.pi], ["0", r"$\pi/2$", r"$\pi$"])
    ax.legend()
    return ax


def _curve(data: pd.DataFrame, beta: float) -> pd.DataFrame:
    return data[(data["kind"] == "angle") & (data["beta"] == beta)].sort_values(["depth", "x"])


def peak(data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None) -> Axes:
    """Kernel near the diagonal against the angle over the width of the peak, on one profile."""
    ax = ax or plt.gca()
    rows = data[(data["kind"] == "peak") & (data["beta"] == 0)].sort_values("x")
    profile = rows.drop_duplicates("x")
    ax.plot(profile["x"], profile["limit_theory"], color=PALETTE["theory"], label="$R(x)$")
    ax.axhline(0.25, color=PALETTE["muted"], linewidth=0.8)
    groups = rows.groupby("depth")
    for role, shape, (depth, part) in zip(DEPTH_ROLES, MARKERS, groups, strict=False):
        some = part.iloc[::3]
        label = f"$L={depth}$"
        ax.plot(some["x"], some["kernel_theory"], shape, color=PALETTE[role], label=label)
    if live is not None:
        points = live[(live["kind"] == "peak") & (live["depth"] == 1000) & (live["beta"] == 0)]
        mark(ax, points["x"].iloc[1::6], points["kernel_theory"].iloc[1::6])
    ax.set(xscale="log", xlabel=r"$x=\theta T/3\pi$", ylabel=r"kernel $\bar r$", ylim=(0, 1.05))
    ax.legend(title="constant scale")
    return ax


def collapse(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Limits of infinite depth, and kernels of other depths and schedules at the same ``T``."""
    ax = ax or plt.gca()
    for role, (total, rows) in zip(DEPTH_ROLES, data.groupby("effective_depth"), strict=False):
        line = rows.drop_duplicates("x").sort_values("x")
        label = f"$T={total:g}$"
        ax.plot(line["x"], line["flow_theory"], color=PALETTE[role], label=label)
        deep = rows[(rows["schedule"] == "constant") & (rows["depth"] == 1000)]
        ax.plot(deep["x"].iloc[3::9], deep["kernel_theory"].iloc[3::9], "o", color=PALETTE[role])
        for shape, start, name in (("^", 6, "rising"), ("s", 9, "first tenth")):
            other = rows[rows["schedule"] == name].iloc[start::9]
            ax.plot(
                other["x"], other["kernel_theory"], shape, color=PALETTE[role], fillstyle="none"
            )
    if live is not None:
        points = live[(live["schedule"] == "constant") & (live["depth"] == 1000)]
        chosen = points[points["effective_depth"].isin((1.0, 10.0))]
        some = chosen[np.isclose(chosen["x"] % (np.pi / 5), 0, atol=1e-9)]
        mark(ax, some["x"], some["kernel_theory"])
    ax.set(xlabel=_ANGLE, ylabel=r"kernel $\bar r$", ylim=(-0.12, 1.05))
    ax.set_xticks([0, np.pi / 2, np.pi], ["0", r"$\pi/2$", r"$\pi$"])
    ax.legend(title="lines: $r_T$, points: $L=1000$")
    return ax


def collapse_error(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Largest gap over the angles to the limit of the same ``T``, against the depth."""
    ax = ax or plt.gca()
    groups = _gaps(data).groupby("effective_depth")
    for role, shape, (total, rows) in zip(DEPTH_ROLES, MARKERS, groups, strict=False):
        style: dict[str, Any] = {"marker": shape, "color": PALETTE[role], "label": f"$T={total:g}$"}
        ax.plot(rows["depth"], rows["gap"], **style)
    if live is not None:
        points = _gaps(live)
        mark(ax, points["depth"], points["gap"])
    ends = np.array([100.0, 10_000.0])
    ax.plot(ends, 0.02 / ends, ":", color=PALETTE["theory"], label="slope $-1$")
    ax.set(xscale="log", yscale="log", xlabel="depth $L$", ylabel=r"$\max_\theta|\bar r-r_T|$")
    ax.legend()
    return ax


def _gaps(data: pd.DataFrame) -> pd.DataFrame:
    plain = data[data["schedule"] == "constant"]
    gap = (plain["kernel_theory"] - plain["flow_theory"]).abs()
    found = plain.assign(gap=gap).groupby(["effective_depth", "depth"], as_index=False)["gap"]
    return found.max()


def rates(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    angle: float = 1.0,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Distance to the limit against the depth for every decay of the scale; dashed: predicted.

    Parameters
    ----------
    data, live : DataFrame
        ``tk-rates``.
    angle : float
        0.1, 0.5, 1, 2, 3 or pi.
    """
    ax = ax or plt.gca()
    for beta, rows in _at(data, angle).groupby("beta"):
        color = PALETTE[BETA_ROLES[float(beta)]]
        label = rf"$\beta={beta:g}$"
        ax.plot(rows["depth"], _gap(rows), "o", color=color, label=label)
        line = rows["predicted_theory"].abs()
        if beta == 0:  # the logarithm, and the constant at the largest depth
            line = (0.375 * np.log(rows["depth"]) + rows["offset_theory"].iloc[-1]) / rows["depth"]
        if beta == 0.5:
            line = _gap(rows).iloc[-1] * rows["depth"].iloc[-1] / rows["depth"]
        ax.plot(rows["depth"], line, "--", color=color, linewidth=1.2)
    if live is not None:
        points = _at(live, angle)
        mark(ax, points["depth"], _gap(points))
    ax.set(xscale="log", yscale="log", xlabel="depth $L$", ylabel=r"$|\bar r-\mathrm{limit}|$")
    ax.legend()
    return ax


def _at(data: pd.DataFrame, angle: float, constant: float = 1.0) -> pd.DataFrame:
    near = np.isclose(data["x"], angle) & (data["constant"] == constant)
    return data[near].sort_values("depth")


def _gap(rows: pd.DataFrame) -> pd.Series:
    return (rows["kernel_theory"] - rows["limit_theory"]).abs()


def log_correction(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    r"""What is left of :math:`L(\bar r-1/4)` with and without the logarithm, constant scales."""
    ax = ax or plt.gca()
    cases = ((1.0, 1.0, "vanilla"), (0.5, 1.0, "balanced"), (1.0, 2.0, "fully connected"))
    for constant, angle, role in cases:
        rows = _at(data[data["beta"] == 0], angle, constant)
        depth = rows["depth"].to_numpy()
        label = rf"$s={constant:g}$, $\theta={angle:g}$"
        ax.plot(depth, rows["offset_theory"], "o-", color=PALETTE[role], label=label)
        raw = rows["offset_theory"] + 0.375 * np.log(depth)
        ax.plot(depth, raw, ":", color=PALETTE[role])
        if live is not None:
            points = _at(live[live["beta"] == 0], angle, constant)
            mark(ax, points["depth"], points["offset_theory"])
    ylabel = r"$L(\bar r-\frac{1}{4})-\frac{3}{8}\ln L$"
    ax.set(xscale="log", xlabel="depth $L$", ylabel=ylabel)
    handles, labels = ax.get_legend_handles_labels()
    kept = dict(zip(labels, handles, strict=True))
    ax.set_ylim(None, 1.5 * ax.get_ylim()[1])
    ax.legend(kept.values(), kept.keys(), title="dotted: without the logarithm", loc="upper left")
    return ax


def antipode(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    r"""Distance to the two-layer kernel at three angles and at the antipode, :math:`\beta=1`."""
    ax = ax or plt.gca()
    fast = data[data["beta"] == 1]
    angles = ((1.0, "$1$"), (2.0, "$2$"), (3.0, "$3$"), (np.pi, r"$\pi$"))
    for role, shape, (angle, name) in zip(DEPTH_ROLES, MARKERS, angles, strict=False):
        rows = _at(fast, angle)
        style: dict[str, Any] = {"marker": shape, "linestyle": "none", "color": PALETTE[role]}
        ax.plot(rows["depth"], _gap(rows), label=rf"$\theta=${name}", **style)
        ax.plot(rows["depth"], rows["predicted_theory"].abs(), "--", color=PALETTE[role])
        if live is not None:
            points = _at(live[live["beta"] == 1], angle)
            mark(ax, points["depth"], _gap(points))
    ax.set(xscale="log", yscale="log", xlabel="depth $L$", ylabel=r"$|\bar r-r_0|$")
    handles, labels = ax.get_legend_handles_labels()
    kept = dict(zip(labels, handles, strict=True))
    ax.legend(kept.values(), kept.keys(), title=r"$\beta=1$; dashed: predicted")
    return ax
