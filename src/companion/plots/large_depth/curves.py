"""Curves, histograms and paths of the large-depth chapter.

``data`` is the published table of an experiment and ``live``, where there is one, a run of the
package as it is now, drawn on top.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator

from companion import depthlimits
from companion.architecture import ResNetSpec
from companion.plots.style import PALETTE, errorbars, overlay

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "contraction",
    "displacement",
    "euler_order",
    "noise",
    "path",
    "quotients",
    "roughness",
    "shrinking",
    "strong_order",
    "typical_growth",
]

#: Roles of the curves of one figure, in the order of their parameter.
_ROLES = ("balanced", "vanilla", "fully connected", "second")
#: Names of the two directions in formulas.
SYMBOL = {"output": "h", "gradient": "p"}
_NAMES = {"relu": "ReLU"}


def displacement(
    data: pd.DataFrame,
    direction: str,
    ax: Axes | None = None,
    *,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Mean relative displacement against depth, one curve per exponent; lines are theory (rms)."""
    ax = ax or plt.gca()
    chosen = data[data["direction"] == direction].sort_values("depth")
    for role, (beta, rows) in zip(_ROLES, chosen.groupby("beta"), strict=False):
        ax.plot(rows["depth"], rows["rms_theory"], color=PALETTE[role])
        label = rf"$\beta={beta:g}$"
        errorbars(ax, rows["depth"], rows["mean"], rows["mean_sem"], role=role, label=label)
    if live is not None:
        rows = live[live["direction"] == direction]
        overlay(ax, rows, rows["depth"], "mean")
    ax.set(xscale="log", yscale="log", xlabel="depth $L$")
    _few_labels(ax)
    ax.set_ylabel(rf"$\Delta_{SYMBOL[direction]}$")
    ax.set_title(direction)
    return ax


def typical_growth(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    r"""Mean of :math:`\ln Q_h^2/(L\alpha^2)` against the width, with its leading order."""
    ax = ax or plt.gca()
    fine = np.geomspace(data["width"].min() * 0.93, data["width"].max() * 1.08, 100)
    ax.plot(fine, 0.5 - 1 / fine, color=PALETTE["theory"], label="theory")
    errorbars(
        ax, data["width"], data["log_mean"], data["log_mean_sem"], role="vanilla", label="simulated"
    )
    if live is not None:
        overlay(ax, live, live["width"], "log_mean")
    ax.axhline(0, color=PALETTE["muted"], linewidth=0.8)
    ax.set_ylabel(r"mean of $\ln Q_h^2\,/\,L\alpha^2$")
    return _widths(ax, data)


def shrinking(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Fraction of networks whose output is shorter than their input, with the normal law."""
    ax = ax or plt.gca()
    fine = np.geomspace(data["width"].min(), data["width"].max(), 100)
    time = float((data["depth"] ** (1 - 2 * data["beta"])).iloc[0])
    laws = [depthlimits.LimitLaw(time * (0.5 - 1 / n), 2 * time / n) for n in fine]
    below = [float(law.cdf(0.0)) for law in laws]
    ax.plot(fine, below, color=PALETTE["theory"], label="theory")
    errorbars(
        ax, data["width"], data["below"], data["below_sem"], role="vanilla", label="simulated"
    )
    if live is not None:
        overlay(ax, live, live["width"], "below")
    ax.set(ylabel=r"fraction with $Q_h<1$", ylim=(-0.03, 1.03))
    return _widths(ax, data)


def _widths(ax: Axes, data: pd.DataFrame) -> Axes:
    ax.set(xscale="log", xlabel="width $n$")
    ticks = sorted(set(data["width"]))
    ax.set_xticks(ticks, [str(t) for t in ticks])
    ax.minorticks_off()
    return ax


def quotients(
    data: pd.DataFrame,
    direction: str,
    ax: Axes | None = None,
    *,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Histogram of a quotient of norms at the critical exponent: chain, explicit weights, limit."""
    ax = ax or plt.gca()
    chosen = data[data["direction"] == direction]
    chain, explicit = (chosen[chosen["engine"] == name] for name in ("chain", "explicit"))
    x, density, sem = (chain[name].to_numpy() for name in ("x", "density", "sem"))
    ax.step(x, density, where="mid", color=PALETTE["muted"], label="exact chain")
    ax.fill_between(
        x,
        np.maximum(density - 2 * sem, 0),
        density + 2 * sem,
        step="mid",
        color=PALETTE["muted"],
        alpha=0.3,
    )
    label = "explicit weights"
    some = explicit[explicit["count"] > 0][::3]
    errorbars(ax, some["x"], some["density"], some["sem"], role="balanced", label=label)
    ax.plot(x, chain["density_theory"], color=PALETTE["vanilla"], label="log-normal limit")
    spec = ResNetSpec.large_depth(int(chain["depth"].iloc[0]), int(chain["width"].iloc[0]), 0.5)
    wide = float(np.exp(spec.log_energy() / 2))
    color = PALETTE["infinite width"]
    ax.axvline(wide, color=color, linestyle="--", linewidth=1.3, label="infinite width")
    if live is not None:
        rows = live[(live["direction"] == direction) & (live["engine"] == "chain")][1::4]
        overlay(ax, rows, rows["x"], "density", sem="sem")
    ax.set(xlabel=rf"$Q_{SYMBOL[direction]}$", ylabel="density", ylim=(0, 1.6 * density.max()))
    ax.set_title(direction)
    return ax


def strong_order(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Distance to the limit on one Brownian path against depth, with lines of slope -1/2."""
    ax = ax or plt.gca()
    for role, (name, rows) in zip(_ROLES, data.groupby("activation", sort=False), strict=False):
        _slope_line(ax, rows, -0.5, role)
        label = _NAMES.get(str(name), str(name))
        errorbars(ax, rows["steps"], rows["error"], rows["error_sem"], role=role, label=label)
    if live is not None:
        overlay(ax, live, live["steps"], "error")
    ax.set_ylabel("root mean square distance")
    ax.legend(title=r"lines: slope $-\frac{1}{2}$")
    return _orders(ax, data)


def euler_order(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Distance between the outputs at depths L and 2L for smooth weights, with slope -1."""
    ax = ax or plt.gca()
    _slope_line(ax, data, -1.0, "fully connected")
    errorbars(
        ax,
        data["steps"],
        data["error"],
        data["error_sem"],
        role="fully connected",
        label="smooth weights, ReLU",
    )
    if live is not None:
        overlay(ax, live, live["steps"], "error")
    ax.set_ylabel("distance between $L$ and $2L$")
    ax.legend(title=r"line: slope $-1$")
    return _orders(ax, data)


def _slope_line(ax: Axes, rows: pd.DataFrame, slope: float, role: str) -> None:
    """Line of a given slope through the centre of the points, on log axes."""
    x = rows["steps"].to_numpy(dtype=float)
    level = np.log(rows["error"]).mean() - slope * np.log(x).mean()
    ax.plot(x, np.exp(level) * x**slope, color=PALETTE[role])


def _orders(ax: Axes, data: pd.DataFrame) -> Axes:
    ax.set(xscale="log", yscale="log", xlabel="depth $L$")
    _label_depths(ax, data["steps"])
    return ax


def _few_labels(ax: Axes) -> None:
    """Label the powers of ten of a logarithmic depth axis, and nothing between."""
    ax.xaxis.set_minor_formatter(NullFormatter())


def _label_depths(ax: Axes, depths: Iterable[int]) -> None:
    """Label every depth of a short list."""
    ticks = sorted({int(depth) for depth in depths})
    ax.set_xticks(ticks, [str(depth) for depth in ticks])
    ax.xaxis.set_minor_locator(NullLocator())


def noise(data: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """One weight against the layer."""
    ax = ax or plt.gca()
    ax.plot(data["layer"], data["noise"], color=PALETTE["muted"], linewidth=0.5)
    ax.set(ylabel="weight", xlabel="layer $l$", title=f"$H={data['hurst'].iloc[0]:g}$")
    ax.label_outer()
    return ax


def path(data: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Running sum of one weight, scaled."""
    ax = ax or plt.gca()
    ax.plot(data["layer"], data["path"], color=PALETTE["vanilla"], linewidth=1)
    ax.axhline(0, color=PALETTE["muted"], linewidth=0.8)
    ax.set(xlabel="layer $l$", ylabel=r"running sum $\times\,L^{-H}$")
    ax.label_outer()
    return ax


def contraction(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Mean log norm of single blocks with rough weights against depth."""
    ax = ax or plt.gca()
    groups = data.groupby(["activation", "width"], sort=False)
    for role, ((name, width), rows) in zip(_ROLES, groups, strict=False):
        if rows["leading_theory"].notna().all():
            fine = np.geomspace(rows["depth"].min(), rows["depth"].max(), 40).astype(int)
            beta = float(rows["beta"].iloc[0])
            leading = [
                depthlimits.contraction_log_norm(depth**-beta, depth, int(width))
                for depth in fine.tolist()
            ]
            ax.plot(fine, leading, color=PALETTE[role])
        errorbars(
            ax,
            rows["depth"],
            rows["log_mean"],
            rows["log_mean_sem"],
            role=role,
            label=f"{_NAMES.get(str(name), name)}, $n={width}$",
        )
    if live is not None:
        overlay(ax, live, live["depth"], "log_mean")
    ax.axhline(0, color=PALETTE["muted"], linewidth=0.8)
    ax.set(xscale="log", xlabel="depth $L$", ylabel=r"mean of $\ln Q_h$")
    _label_depths(ax, [100, 250, 1000, 4000])
    ax.legend(title="lines: leading order")
    return ax


def roughness(data: pd.DataFrame, axes: np.ndarray, *, learning_rate: float = 1e-2) -> np.ndarray:
    """One entry of the weights along depth before and after training, and what training added.

    Parameters
    ----------
    data : DataFrame
        ``ld-roughness``.
    axes : ndarray of Axes, shape (2, 3)
        Weights above, updates below; one column for each initialization.
    learning_rate : float
        The schedule that is shown.
    """
    chosen = data[(data["kind"] == "trace") & np.isclose(data["learning_rate"], learning_rate)]
    chosen = chosen[chosen["entry"] == 0]
    columns = zip(axes.T, chosen.groupby("initialization", sort=False), strict=False)
    for (above, below), (name, rows) in columns:
        layer, initial, final = rows["layer"], rows["initial"], rows["final"]
        above.plot(layer, initial, color=PALETTE["muted"], linewidth=0.8, label="initial")
        above.plot(layer, final, color=PALETTE["vanilla"], linewidth=0.8, label="trained")
        below.plot(layer, final - initial, color=PALETTE["balanced"], label="update")
        above.set(title=str(name).replace("beta", "β").replace("iid", "i.i.d."), ylabel="weight")
        below.set(xlabel="layer $l$", ylabel="update")
    for ax in axes[:, 1:].ravel():
        ax.set_ylabel("")
    return axes
