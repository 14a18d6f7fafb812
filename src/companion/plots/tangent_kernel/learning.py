"""Figures of what kernels of infinite width learn: risks on the sphere, digits, a map.

``data`` is a published table and ``live``, where there is one, a run of the package as it is now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from companion.plots.style import ERROR_SIGMAS, PALETTE, errorbars, overlay
from companion.plots.tangent_kernel.curves import BETA_ROLES, MARKERS, mark

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "centring",
    "digits",
    "early_stopping",
    "harmonics",
    "phase",
    "risk",
    "stopping_time",
    "threshold",
]

_RATE = 3 / 5


def risk(data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None) -> Axes:
    """Least risk along the flow against the sample size, one curve for each kernel.

    The dotted line is the law ``N ** (-3/5)``; the dashed one is the
    risk of the two-layer kernel if every harmonic were learned by itself.
    """
    ax = ax or plt.gca()
    _by_samples(data, "risk", ax, live)
    ideal = data[data["beta"] == 1].sort_values("samples")
    label = "harmonic by harmonic"
    ax.plot(
        ideal["samples"], ideal["ideal_theory"], "--", color=PALETTE[BETA_ROLES[1.0]], label=label
    )
    samples = np.sort(np.unique(data["samples"]))
    line = 0.6 * float(ideal["ideal_theory"].iloc[0]) * (samples / samples[0]) ** -_RATE
    ax.plot(samples, line, ":", color=PALETTE["theory"], label="$N^{-3/5}$")
    ax.set(yscale="log", ylabel="least risk along the flow")
    ax.set_ylim(0.1 * ax.get_ylim()[0])  # room for the legend
    _once(ax, ncols=3, loc="lower left")
    return ax


def stopping_time(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Best stopping time against the sample size; the dotted line is the law ``N ** (3/5)``.

    Kernels of an effective depth beyond the sample size are left out: they need not stop.
    """
    ax = ax or plt.gca()
    shown = data[data["beta"] > 0]
    _by_samples(shown, "log_time", ax, None if live is None else live[live["beta"] > 0])
    samples = np.sort(np.unique(data["samples"]))
    first = shown.sort_values("samples")["log_time"].iloc[0]
    line = first - 0.4 + _RATE * np.log10(samples / samples[0])
    ax.plot(samples, line, ":", color=PALETTE["theory"], label="$N^{3/5}$")
    ax.set_ylabel(r"$\log_{10}$ of the best time")
    _once(ax)
    return ax


def _by_samples(data: pd.DataFrame, name: str, ax: Axes, live: pd.DataFrame | None) -> None:
    order = data.groupby(["beta", "depth"])["effective_theory"].first().sort_values()
    roles = ("fully connected", "vanilla", "second", "balanced", "infinite width")
    for role, (key, total) in zip(roles, order.items(), strict=False):
        beta, depth = key
        rows = data[(data["beta"] == beta) & (data["depth"] == depth)].sort_values("samples")
        label = f"$T={total:.2g}$" if total < 100 else f"$T={total:.0f}$"
        ax.plot(rows["samples"], rows[name], color=PALETTE[role], linewidth=0.8)
        errorbars(ax, rows["samples"], rows[name], rows[f"{name}_sem"], role=role, label=label)
    if live is not None:
        overlay(ax, live, live["samples"], name)
    ticks = [int(samples) for samples in sorted(set(data["samples"]))]
    ax.set(xscale="log", xlabel="sample size $N$")
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())


def harmonics(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    samples: int = 400,
    domain: str = "sphere",
    live: pd.DataFrame | None = None,
) -> Axes:
    """Least risk on one harmonic against the effective depth, one curve for each degree.

    Parameters
    ----------
    data, live : DataFrame
        ``tk-harmonics``.
    samples : int
        Sample size.
    domain : str
        ``"sphere"``, or ``"orthant"`` for inputs with positive coordinates.
    """
    ax = ax or plt.gca()
    groups = _domain(data, samples, domain).groupby("degree")
    roles = {2: "vanilla", 3: "balanced", 5: "fully connected"}
    for shape, (degree, rows) in zip(MARKERS, groups, strict=False):
        role = roles[int(degree)]
        label = f"$P_{degree}$"
        color = PALETTE[role]
        ax.errorbar(
            rows["x"],
            rows["risk"],
            yerr=ERROR_SIGMAS * rows["risk_sem"],
            color=color,
            marker=shape,
            linewidth=0.8,
            label=label,
        )
        ax.plot(rows["x"], rows["bias_theory"], "--", color=color, linewidth=1.2)
    if live is not None:
        rows = _domain(live, samples, domain)
        overlay(ax, rows, rows["x"], "risk")
    title = "sphere" if domain == "sphere" else "positive orthant"
    ax.set(xscale="log", yscale="log", xlabel="effective depth $T$", ylabel="least risk")
    ax.set_title(f"{title}, $N={samples}$")
    _once(ax)
    return ax


def _domain(data: pd.DataFrame, samples: int, domain: str) -> pd.DataFrame:
    own = data[(data["samples"] == samples) & (data["domain"] == domain)]
    return own.sort_values(["degree", "x"])


def early_stopping(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    degree: int = 2,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Risk at the best time and at the end of the flow against the effective depth, N = 400."""
    ax = ax or plt.gca()
    rows = _domain(data, 400, "sphere")
    rows = rows[rows["degree"] == degree]
    for name, role, label in (
        ("final", "balanced", r"$t\to\infty$"),
        ("risk", "vanilla", "best time"),
    ):
        ax.plot(rows["x"], rows[name], color=PALETTE[role], linewidth=0.8)
        errorbars(ax, rows["x"], rows[name], rows[f"{name}_sem"], role=role, label=label)
        if live is not None:
            points = _domain(live, 400, "sphere")
            points = points[points["degree"] == degree]
            overlay(ax, points, points["x"], name)
    ax.set(xscale="log", yscale="log", xlabel="effective depth $T$", ylabel="risk")
    ax.set_title(f"$P_{degree}$, $N=400$")
    _once(ax)
    return ax


def threshold(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Risk over the variance of the target against the effective depth over the threshold.

    The threshold is ``N pi / (2 k + 1)``, the line the bias of interpolation there.
    """
    ax = ax or plt.gca()
    rows = _rough(data)
    groups = rows.groupby(["degree", "samples"])
    roles = {2: "vanilla", 3: "balanced", 5: "fully connected"}
    shapes = {100: "o", 400: "s", 1000: "^"}
    for key, part in groups:
        degree, samples = key
        ax.errorbar(
            part["place"],
            part["risk"],
            yerr=ERROR_SIGMAS * part["risk_sem"],
            linestyle="none",
            color=PALETTE[roles[int(degree)]],
            marker=shapes[int(samples)],
            label=f"$P_{degree}$, $N={samples}$",
        )
    place = np.geomspace(0.03, 1e4, 200)
    ratio = 1 / (1 + 1 / place)  # at the threshold N mu_k is the unresolved part
    ax.plot(place, ratio**2, color=PALETTE["theory"], label="theory")
    if live is not None:
        points = _rough(live)
        overlay(ax, points, points["place"], "risk")
    xlabel = r"$T$ over the threshold $\pi N/(2k+1)$"
    ax.set(xscale="log", xlabel=xlabel, ylabel="risk over variance", ylim=(0, 1.15))
    _once(ax, ncols=2)
    return ax


def _rough(data: pd.DataFrame) -> pd.DataFrame:
    rows = data[(data["domain"] == "sphere") & data["threshold_theory"].notna()]
    middle = np.pi * rows["samples"] / (2 * rows["degree"] + 1)
    return rows.assign(place=rows["x"] / middle)


def digits(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    quantity: str = "accuracy",
    live: pd.DataFrame | None = None,
) -> Axes:
    """Accuracy or relative squared error on test images against the depth, by decay of the scale.

    Labels are indicators minus one constant.

    Parameters
    ----------
    data, live : DataFrame
        ``tk-digits``.
    quantity : str
        ``"accuracy"`` or ``"error"``.
    """
    ax = ax or plt.gca()
    rows = data[data["kind"] == "raw"].sort_values("depth")
    for shape, (beta, part) in zip(MARKERS, rows.groupby("beta"), strict=False):
        style: dict[str, Any] = {
            "marker": shape,
            "linewidth": 0.8,
            "color": PALETTE[BETA_ROLES[float(beta)]],
        }
        error = ERROR_SIGMAS * part[f"{quantity}_sem"]
        label = rf"$\beta={beta:g}$"
        ax.errorbar(part["depth"], part[quantity], yerr=error, label=label, **style)
    if live is not None:
        points = live[live["kind"] == "raw"]
        overlay(ax, points, points["depth"], quantity)
    name = "test accuracy" if quantity == "accuracy" else "relative squared error"
    ax.set(xscale="log", xlabel="depth $L$", ylabel=name)
    _once(ax)
    return ax


def centring(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Accuracy at a constant scale against the depth, by the treatment of the labels."""
    ax = ax or plt.gca()
    kinds = (
        ("raw", "balanced", "one constant off all labels"),
        ("centred", "vanilla", "centred class by class"),
    )
    for kind, role, label in kinds:
        rows = data[(data["kind"] == kind) & (data["beta"] == 0)].sort_values("depth")
        ax.plot(rows["depth"], rows["accuracy"], color=PALETTE[role], linewidth=0.8)
        errorbars(ax, rows["depth"], rows["accuracy"], rows["accuracy_sem"], role=role, label=label)
        if live is not None:
            points = live[(live["kind"] == kind) & (live["beta"] == 0)]
            overlay(ax, points, points["depth"], "accuracy")
    vote = data[data["kind"] == "parzen"]
    level = float(vote["accuracy"].iloc[0])
    ax.axhline(level, color=PALETTE["theory"], linestyle="--", label="vote in the limit")
    ax.set(xscale="log", xlabel="depth $L$", ylabel="test accuracy", ylim=(0, 1.02))
    _once(ax)
    return ax


def phase(data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None) -> Axes:
    """Plane of depth and decay of the scale, coloured by the effective depth.

    The solid line is the threshold beyond which a harmonic is forgotten, dotted ones are powers
    of ten of the effective depth.
    """
    ax = ax or plt.gca()
    grid = data.pivot(index="beta", columns="x", values="effective_theory")
    logs = np.log10(grid.to_numpy())
    mesh = ax.pcolormesh(
        grid.columns, grid.index, logs, cmap="cividis", shading="gouraud", rasterized=True
    )
    ax.figure.colorbar(mesh, ax=ax, label=r"$\log_{10}T$")
    lines: dict[str, Any] = {"colors": PALETTE["muted"], "linestyles": "dotted", "linewidths": 1}
    levels = [level for level in range(-4, 6) if logs.min() < level < logs.max()]
    ax.contour(grid.columns, grid.index, logs, levels=levels, **lines)
    limit = np.log10(float(data["threshold_theory"].iloc[0]))
    if logs.min() < limit < logs.max():
        ax.contour(grid.columns, grid.index, logs, levels=[limit], colors="white", linewidths=2)
    ax.axhline(0.5, color="white", linestyle="--", linewidth=1.2)
    if live is not None:
        crossing = live[(live["effective_theory"] / 10**limit).between(0.5, 2.0)]
        mark(ax, crossing["x"], crossing["beta"])
    samples, degree = int(data["samples"].iloc[0]), int(data["degree"].iloc[0])
    ax.set(xscale="log", xlabel="depth $L$", ylabel=r"exponent $\beta$")
    ax.set_title(f"white: $P_{degree}$ is forgotten by $N={samples}$ to the lower right")
    return ax


def _once(ax: Axes, *, ncols: int = 1, loc: Literal["best", "lower left"] = "best") -> None:
    """A legend that names every label once."""
    handles, labels = ax.get_legend_handles_labels()
    kept = dict(zip(labels, handles, strict=True))
    ax.legend(kept.values(), kept.keys(), ncols=ncols, loc=loc)
