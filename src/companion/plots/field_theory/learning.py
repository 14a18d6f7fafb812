"""Figures of what is learned: accuracy after training, error of the regression.

``data`` is a published table and ``live``, where there is one, a run of the package as it is now.
Dotted lines mark the optimal scale of each depth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from companion.plots.field_theory.networks import ROLES
from companion.plots.style import PALETTE, errorbars, overlay

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["practitioner", "regression", "training", "training_loss"]

#: Colour of a depth, the same in every figure.
_DEPTH_ROLES = {5: ROLES[0], 20: ROLES[1], 60: ROLES[2]}
_PROTOCOLS = {"short": "Adam, 36 steps", "long": "Adam, 180 steps", "sgd": "SGD, 36 steps"}


def training(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    protocol: str = "short",
    live: pd.DataFrame | None = None,
) -> Axes:
    """Accuracy on images held out, against the branch scale, one curve for each depth."""
    ax = _by_scale(data, "accuracy", protocol, ax, live)
    ax.set(ylabel="accuracy", title=_PROTOCOLS[protocol])
    return ax


def training_loss(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    protocol: str = "short",
    live: pd.DataFrame | None = None,
) -> Axes:
    """Training loss of the last epoch against the branch scale."""
    ax = _by_scale(data, "loss", protocol, ax, live)
    ax.set(ylabel="training loss (nats)", yscale="log", title=_PROTOCOLS[protocol])
    return ax


def _by_scale(
    data: pd.DataFrame, name: str, protocol: str, ax: Axes | None, live: pd.DataFrame | None
) -> Axes:
    ax = ax or plt.gca()
    chosen = data[data["protocol"] == protocol]
    _curves(ax, chosen, name)
    if live is not None:
        rows = live[live["protocol"] == protocol]
        overlay(ax, rows, rows["x"], name)
    ax.set(xscale="log", xlabel="branch scale $s$")
    ax.legend()
    return ax


def _curves(ax: Axes, data: pd.DataFrame, name: str) -> None:
    for depth, rows in data.sort_values("x").groupby("depth"):
        role = _DEPTH_ROLES[int(depth)]
        ax.plot(rows["x"], rows[name], color=PALETTE[role], linewidth=0.8)
        errorbars(ax, rows["x"], rows[name], rows[f"{name}_sem"], role=role, label=f"$L={depth}$")
        best = float(rows["optimum_theory"].iloc[0])
        ax.axvline(best, color=PALETTE[role], linestyle=":", linewidth=1)


def practitioner(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Test accuracy at the scale chosen on validation images, and at the one nearest to theory."""
    ax = ax or plt.gca()
    rows = _protocols(data)
    places = np.arange(len(rows))
    for shift, role, name, label in (
        (-0.1, "vanilla", "chosen", "chosen on validation images"),
        (0.1, "balanced", "near", "nearest to $s^*$"),
    ):
        errorbars(ax, places + shift, rows[name], rows[f"{name}_sem"], role=role, label=label)
    if live is not None:
        found = _protocols(live)
        keys = list(zip(rows["protocol"], rows["depth"], strict=True))
        x = [keys.index(key) for key in zip(found["protocol"], found["depth"], strict=True)]
        overlay(ax, found, np.array(x) - 0.1, "chosen")
    labels = [
        f"{_PROTOCOLS[row['protocol']]}\n$L={row['depth']}$\n"
        f"chosen {row['chosen_scale']:g}\n$s^*={row['optimum_theory']:.2g}$"
        for _, row in rows.iterrows()
    ]
    ax.set_xticks(places, labels, fontsize="x-small")
    ax.set_ylabel("test accuracy")
    ax.legend()
    return ax


def _protocols(data: pd.DataFrame) -> pd.DataFrame:
    return data.drop_duplicates(["protocol", "depth"])


def regression(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Test error of the kernel regression against the branch scale, one curve for each depth."""
    ax = ax or plt.gca()
    _curves(ax, _small_noise(data), "error")
    noisy = data[data["noise"] > data["noise"].min()].sort_values("x")
    if len(noisy):
        label = f"$L={noisy['depth'].iloc[0]}$, noise {noisy['noise'].iloc[0]:g}"
        ax.plot(noisy["x"], noisy["error"], "--", color=PALETTE["muted"], label=label)
    if live is not None:
        rows = _small_noise(live)
        overlay(ax, rows, rows["x"], "error")
    ax.set(xscale="log", yscale="log", xlabel="branch scale $s$", ylabel="mean squared test error")
    ax.legend()
    return ax


def _small_noise(data: pd.DataFrame) -> pd.DataFrame:
    return data[(data["noise"] == data["noise"].min()) & (data["bias_variance"] > 0)]
