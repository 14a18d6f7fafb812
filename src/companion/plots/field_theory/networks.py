"""Figures with simulated networks: kernels, responses, fluctuations.

``data`` is the published table of an experiment and ``live``, where there is one, a run of the
package as it is now, drawn on top. Lines are theory, points are simulated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator

from companion.plots.style import PALETTE, errorbars, overlay

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ROLES",
    "accumulation",
    "cross_layer",
    "fluctuations",
    "kernels",
    "label_depths",
    "output_response",
    "responses",
]

#: Roles of the curves of one figure, in the order of their parameter.
ROLES = ("vanilla", "balanced", "fully connected", "infinite width", "second", "third")

_NAMES = {"optimum": "erf, $s=s^*$", "erf": "erf, $s=1$", "relu": "ReLU, $s=1$"}


def kernels(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    activation: str = "erf",
    live: pd.DataFrame | None = None,
) -> Axes:
    """Kernel of the stream against the layer, one curve for each scale.

    Parameters
    ----------
    data, live : DataFrame
        ``ft-kernels``.
    activation : str
        ``"erf"`` or ``"relu"``.
    """
    ax = _by_layer(data, "kernel", ax, activation, live)
    ax.set(ylabel="kernel $K^l$", yscale="log")
    ax.yaxis.set_minor_formatter(NullFormatter())
    return ax


def responses(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    activation: str = "erf",
    live: pd.DataFrame | None = None,
) -> Axes:
    """Response of the stream's kernel to that of the input, against the layer."""
    ax = _by_layer(data, "response", ax, activation, live)
    ax.set_ylabel(r"response $\chi^{(l)}$")
    return ax


def _by_layer(
    data: pd.DataFrame, name: str, ax: Axes | None, activation: str, live: pd.DataFrame | None
) -> Axes:
    ax = ax or plt.gca()
    chosen = data[data["activation"] == activation]
    for role, (scale, rows) in zip(ROLES, chosen.groupby("scale"), strict=False):
        ax.plot(rows["layer"], rows[f"{name}_theory"], color=PALETTE[role])
        some = rows[rows["layer"] % 3 == 0]
        label = f"$s={scale:g}$"
        errorbars(ax, some["layer"], some[name], some[f"{name}_sem"], role=role, label=label)
    if live is not None:
        rows = live[(live["activation"] == activation) & (live["layer"] % 10 == 0)]
        overlay(ax, rows, rows["layer"], name)
    ax.set_xlabel("layer $l$")
    return _legend(ax)


def output_response(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Response of the output against the branch scale, one curve for each depth.

    Circles are simulated increments, squares explicit weights, vertical lines optimal scales.
    """
    ax = ax or plt.gca()
    for role, (depth, rows) in zip(ROLES, data.groupby("depth"), strict=False):
        curve = rows[rows["kind"] == "curve"].sort_values("x")
        ax.plot(curve["x"], curve["response_theory"], color=PALETTE[role])
        best = float(rows["optimum_theory"].iloc[0])
        ax.axvline(best, color=PALETTE[role], linestyle=":", linewidth=1)
        points = rows[(rows["kind"] == "network") & (rows["weights"] == "implicit")]
        label = f"$L={depth}$"
        errorbars(
            ax, points["x"], points["response"], points["response_sem"], role=role, label=label
        )
    drawn = data[data["weights"] == "explicit"]
    ax.plot(
        drawn["x"],
        drawn["response"],
        "s",
        color=PALETTE["theory"],
        fillstyle="none",
        markersize=9,
        label="explicit weights",
        zorder=5,
    )
    if live is not None:
        rows = live[(live["kind"] == "network") & (live["weights"] == "implicit")]
        overlay(ax, rows, rows["x"], "response")
    ax.set(xscale="log", xlabel="branch scale $s$", ylabel=r"response of the output $\chi^y$")
    return _legend(ax)


def fluctuations(
    data: pd.DataFrame,
    ax: Axes | None = None,
    *,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Variance of the stream's kernel times the width, against the layer, for several widths.

    The running example; the dashed line leaves out the correlations between layers.
    """
    ax = ax or plt.gca()
    rows = _example(data)
    stream = rows[rows["kind"] == "stream"]
    theory = stream[stream["width"] == stream["width"].max()]
    ax.plot(theory["layer"], theory["variance_theory"], color=PALETTE["theory"], label="theory")
    ax.plot(
        theory["layer"],
        theory["independent_theory"],
        "--",
        color=PALETTE["muted"],
        label="without cross-layer terms",
    )
    groups = stream.groupby("width")
    shifts = np.linspace(-0.21, 0.21, len(groups))
    for role, shift, (width, part) in zip(ROLES, shifts, groups, strict=False):
        label = f"$n={width}$"
        errorbars(
            ax,
            part["layer"] + shift,
            part["variance"],
            part["variance_sem"],
            role=role,
            label=label,
        )
    if live is not None:
        part = _example(live)
        part = part[(part["kind"] == "stream") & (part["width"] == 200)]
        overlay(ax, part, part["layer"], "variance")
    ax.set(xlabel="layer $l$", ylabel=r"$n\,\mathrm{Var}\,\hat q^l$")
    ax.legend()
    return ax


def _example(data: pd.DataFrame) -> pd.DataFrame:
    shallow = data["depth"] == data["depth"].min()
    return data[shallow & (data["activation"] == "erf")]


def cross_layer(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Variance of the output's kernel times the width, over the theory, for all networks."""
    ax = ax or plt.gca()
    rows = _outputs(data)
    places = np.arange(len(rows))
    unit = rows["variance_theory"].to_numpy()
    errorbars(
        ax,
        places,
        rows["variance"] / unit,
        rows["variance_sem"] / unit,
        role="vanilla",
        label="networks",
    )
    ax.plot(
        places,
        rows["independent_theory"] / unit,
        "x",
        color=PALETTE["balanced"],
        label="without cross-layer terms",
    )
    ax.axhline(1, color=PALETTE["theory"], linewidth=1, label="theory")
    if live is not None:
        found = _outputs(live)
        scaled = found.assign(
            variance=found["variance"] / found["variance_theory"],
            variance_sem=found["variance_sem"] / found["variance_theory"],
        )
        overlay(ax, scaled, np.arange(len(scaled)) + 0.15, "variance")
    ax.set_xticks(places, [_short(row) for _, row in rows.iterrows()], fontsize="x-small")
    ax.set(ylabel=r"$\mathrm{Var}\,\hat C^y$ over its theory", ylim=(0, None))
    ax.legend()
    return ax


def _outputs(data: pd.DataFrame) -> pd.DataFrame:
    return data[data["kind"] == "output"]


def _short(row: pd.Series) -> str:
    name = {"relu": "ReLU"}.get(str(row["activation"]), str(row["activation"]))
    return f"{name}\n$L={row['depth']}$\n$n={row['width']}$"


def accumulation(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Relative fluctuations of the last kernel times the width, against the depth."""
    ax = ax or plt.gca()
    for role, (curve, rows) in zip(ROLES, data.groupby("curve", sort=False), strict=False):
        ax.plot(rows["depth"], rows["relative_theory"], color=PALETTE[role])
        known = rows.dropna(subset="relative")
        label = _NAMES[str(curve)]
        errorbars(
            ax, known["depth"], known["relative"], known["relative_sem"], role=role, label=label
        )
    if live is not None:
        known = live.dropna(subset="relative")
        overlay(ax, known, known["depth"], "relative")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="depth $L$",
        ylabel=r"$n\,\mathrm{Var}\,\hat q^L/(K^L)^2$",
    )
    label_depths(ax, data["depth"])
    return _legend(ax)


def label_depths(ax: Axes, depths: pd.Series) -> None:
    """Label every depth of a short list."""
    ticks = sorted({int(depth) for depth in depths})
    ax.set_xticks(ticks, [str(depth) for depth in ticks])
    ax.xaxis.set_minor_locator(NullLocator())


def _legend(ax: Axes) -> Axes:
    ax.legend(title="lines: theory")
    return ax
