"""Figures of the optimal scale: against depth, weights, input and the kind of response.

All curves are theory; there is nothing to draw on top, so ``live`` is accepted and left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from companion.plots.field_theory.networks import ROLES
from companion.plots.style import PALETTE

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "approximations",
    "criterion",
    "elasticity",
    "final_kernel",
    "kinds",
    "optimum",
    "pairs",
    "variance",
]

#: Scales of practice.
_PRACTICE = (0.1, 0.3)
_NETWORK = ["weight_variance", "bias_variance", "input_variance"]


def _main(data: pd.DataFrame) -> pd.DataFrame:
    """Rows of the network without biases and with input 0.1."""
    chosen = (data["bias_variance"] == 0) & (data["input_variance"] == 0.1)
    return _ordered(data[chosen])


def _ordered(data: pd.DataFrame) -> pd.DataFrame:
    """Rows by increasing index, groups in the order of the table."""
    return data.sort_values("x", kind="stable")


def _network_label(key: tuple[float, ...]) -> str:
    return rf"$\sigma_w^2={key[0]:g},\ \sigma_b^2={key[1]:g},\ K^0={key[2]:g}$"


def optimum(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Optimal scale against the depth with the band of 90 % of the response, and practice."""
    ax = ax or plt.gca()
    ax.axhspan(*_PRACTICE, color=PALETTE["muted"], alpha=0.2, label="practice, 0.1 to 0.3")
    for role, (key, rows) in zip(ROLES, _ordered(data).groupby(_NETWORK, sort=False), strict=False):
        ax.plot(rows["x"], rows["exact_theory"], color=PALETTE[role], label=_network_label(key))
    main = _main(data)
    ax.fill_between(
        main["x"],
        main["low_theory"],
        main["high_theory"],
        color=PALETTE[ROLES[0]],
        alpha=0.2,
        label="90 % of the response, first network",
    )
    ax.set(xscale="log", yscale="log", xlabel="depth $L$", ylabel="optimal scale $s^*$")
    ax.legend()
    return ax


def approximations(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Largest relative error of three approximations over the networks, against the depth."""
    ax = ax or plt.gca()
    names = {
        "leading": "leading order",
        "corrected": "with depth correction",
        "explicit": "explicit",
    }
    for role, (name, label) in zip(ROLES, names.items(), strict=False):
        error = np.abs(data[f"{name}_theory"] / data["exact_theory"] - 1)
        worst = error.groupby(data["x"]).max()
        ax.plot(worst.index, worst, "o-", color=PALETTE[role], label=label)
    ax.set(xscale="log", yscale="log", xlabel="depth $L$", ylabel="relative error of $s^*$")
    ax.legend()
    return ax


def final_kernel(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Last kernel at the optimal scale over the operating point, against the depth."""
    ax = ax or plt.gca()
    for role, (key, rows) in zip(ROLES, _ordered(data).groupby(_NETWORK, sort=False), strict=False):
        ratio = rows["final_theory"] / rows["operating_theory"]
        ax.plot(rows["x"], ratio, color=PALETTE[role], label=_network_label(key))
    ax.axhline(1, color=PALETTE["muted"], linewidth=0.8)
    ax.set(xscale="log", xlabel="depth $L$", ylabel="$K^L(s^*)\\,/\\,K^*$")
    ax.legend()
    return ax


def variance(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    input_variance: float = 0.1,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Optimal scale against the deviation of the weights, one curve for each bias variance."""
    ax = ax or plt.gca()
    chosen = data[data["input_variance"] == input_variance]
    for role, (bias, rows) in zip(ROLES, _ordered(chosen).groupby("bias_variance"), strict=False):
        label = rf"$\sigma_b^2={bias:g}$"
        ax.plot(rows["x"], rows["optimum_theory"], color=PALETTE[role], label=label)
        if bias in (0.0, 0.05):
            ax.fill_between(
                rows["x"], rows["low_theory"], rows["high_theory"], color=PALETTE[role], alpha=0.15
            )
    return _weights(ax, "optimal scale $s^*$")


def elasticity(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    input_variance: float = 0.1,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Logarithmic derivative of the optimal scale by the deviation of the weights."""
    ax = ax or plt.gca()
    chosen = data[data["input_variance"] == input_variance]
    for role, (bias, rows) in zip(ROLES, _ordered(chosen).groupby("bias_variance"), strict=False):
        label = rf"$\sigma_b^2={bias:g}$"
        ax.plot(rows["x"], rows["elasticity_theory"], color=PALETTE[role], label=label)
    ax.axhspan(-0.5, 0.5, color=PALETTE["muted"], alpha=0.2, label="weak")
    ax.set_ylim(-1.2, 2)
    return _weights(ax, r"$d\ln s^*/d\ln\sigma_w$")


def _weights(ax: Axes, ylabel: str) -> Axes:
    ax.set(xscale="log", xlabel=r"deviation of the weights $\sigma_w$", ylabel=ylabel)
    ticks = (0.5, 1.0, 2.0)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.legend()
    return ax


def kinds(data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None) -> Axes:
    """Log response, relative to the smallest scale, for several kinds of response."""
    ax = ax or plt.gca()
    names = {
        "diagonal": "one input, erf",
        "pair": "two inputs, cosine ½",
        "jacobian": "squared Jacobian, erf",
        "relu": "one input, ReLU",
        "linear readout": "one input, linear readout",
    }
    for role, (name, label) in zip(ROLES, names.items(), strict=False):
        rows = data[data["kind"] == name].sort_values("x")
        logs = rows["log_response_theory"].to_numpy()
        ax.plot(rows["x"], logs - logs[0], color=PALETTE[role], label=label)
        peak = int(np.argmax(logs))
        if peak < len(logs) - 1:
            ax.plot(rows["x"].iloc[peak], logs[peak] - logs[0], "o", color=PALETTE[role])
    ax.set(
        xscale="log",
        ylim=(-3, 4),
        xlabel="branch scale $s$",
        ylabel=r"$\ln\chi$ relative to small $s$",
    )
    ax.legend()
    return ax


def pairs(data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None) -> Axes:
    """Optimal scale for two inputs against their cosine; dashed for one input."""
    ax = ax or plt.gca()
    for role, (depth, rows) in zip(ROLES, _ordered(data).groupby("depth"), strict=False):
        ax.plot(rows["x"], rows["optimum_theory"], color=PALETTE[role], label=f"$L={depth}$")
        ax.axhline(rows["diagonal_theory"].iloc[0], color=PALETTE[role], linestyle="--")
    ax.set(yscale="log", xlabel="cosine of the inputs", ylabel="optimal scale")
    ax.legend(title="dashed: one input")
    return ax


def criterion(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    r"""Map of :math:`s^*\sqrt L` over input and bias; white where no optimal scale exists."""
    ax = ax or plt.gca()
    grid = data.pivot_table(index="beta", columns="x", values="optimum_theory")
    mesh = ax.pcolormesh(
        grid.columns, grid.index, grid.where(grid > 0), cmap="viridis", rasterized=True
    )
    ax.figure.colorbar(mesh, ax=ax, label=r"$s^*\sqrt{L}$")
    edge = data.drop_duplicates("beta").sort_values("beta")
    edge = edge[edge["operating_theory"] > 0]
    label = "operating point $v^*$"
    ax.plot(edge["operating_theory"], edge["beta"], color=PALETTE["balanced"], label=label)
    ax.set(
        xlabel=r"input $v_0=2\gamma^2K^0$",
        ylabel=r"bias ratio $\beta=\sigma_b^2/\sigma_w^2$",
        xlim=(grid.columns[0], grid.columns[-1]),
        ylim=(grid.index[0], grid.index[-1]),
    )
    ax.legend()
    return ax
