"""Interactive figures of the residual expansion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objects as go
from matplotlib.figure import Figure

from companion.plots.interactive import Control, Interactive
from companion.plots.residual_expansion.truncation import NETWORKS
from companion.plots.style import PALETTE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["lengths_explorer", "truncation_explorer"]

#: Bars reach to the length beyond which less than this share lies.
_TAIL = 1e-3


def lengths_explorer(data: pd.DataFrame, name: str = "re-lengths") -> Interactive:
    """Interactive: which path lengths carry the signal, by depth, exponent, correlation and gain.

    Parameters
    ----------
    data : DataFrame
        Result of the experiment ``re-lengths``.
    """
    depths, exponents, correlations, gains = (
        sorted(set(data[column])) for column in ("depth", "beta", "correlation", "gain")
    )
    groups = dict(tuple(data.groupby(["depth", "beta", "correlation", "gain"])))

    def figure(i: int, j: int, k: int, m: int) -> go.Figure:
        key = (depths[i], exponents[j], correlations[k], gains[m])
        return _bars(groups[key].sort_values("x"))

    start = (
        len(depths) // 2,
        exponents.index(0.5) if 0.5 in exponents else 0,
        0,
        gains.index(1.0) if 1.0 in gains else 0,
    )
    controls = [
        Control("Depth L", [f"{d:g}" for d in depths], "slider", start[0]),
        Control("Exponent β", [f"{b:g}" for b in exponents], "slider", start[1]),
        Control("Correlation ρ", [f"{r:g}" for r in correlations], "slider", start[2]),
        Control("Gain c", [f"{c:g}" for c in gains], "slider", start[3]),
    ]
    return Interactive(
        name,
        controls,
        figure,
        fallback=_still_bars(figure(*start)),
        description=(
            "Share of the expected energy by length of the path, for linear blocks of the chosen "
            "gain whose weights have the chosen correlation between any two layers, at the branch "
            "scale L to the power of minus the exponent, beside the law at the critical scale. A "
            "dashed line marks the mean length. With independent blocks the exponent one half "
            "leaves short paths and a moderate total at every depth; with correlated blocks the "
            "total explodes there, and the critical exponent grows towards one."
        ),
    )


def _bars(rows: pd.DataFrame) -> go.Figure:
    first = rows.iloc[0]
    beyond = 1 - np.cumsum(rows["share_theory"].to_numpy())
    reach = max(6, int(np.argmax(beyond < _TAIL)))
    shown = rows[rows["x"] <= reach]
    mean = float((rows["x"] * rows["share_theory"]).sum())
    scale, critical = float(first["scale_theory"]), float(first["critical_theory"])
    figure = go.Figure()
    figure.add_bar(
        x=shown["x"],
        y=shown["share_theory"],
        marker={"color": PALETTE["vanilla"]},
        name="share of the energy",
    )
    figure.add_scatter(
        x=shown["x"],
        y=shown["critical_share_theory"],
        mode="lines+markers",
        line={"color": PALETTE["balanced"], "dash": "dot"},
        name="at the critical scale",
    )
    mark = {"type": "line", "x0": mean, "x1": mean, "y0": 0, "y1": 1, "yref": "paper"}
    figure.update_layout(
        title=(
            f"total {_power(float(first['log_total_theory']))}, mean length {mean:.3g}, "
            f"s = {scale:.3g} = {scale / critical:.2g} s_c"
        ),
        xaxis={"title": {"text": "length of the path k"}, "range": [-0.6, reach + 0.6]},
        yaxis={"title": {"text": "share of the energy"}, "rangemode": "tozero"},
        shapes=[{**mark, "line": {"color": PALETTE["muted"], "dash": "dash"}}],
    )
    return figure


def _power(log: float) -> str:
    """The exponential of a natural log, for people."""
    if log < 7:
        return f"{np.exp(log):.3g}"
    return f"10^{log / np.log(10):.1f}"


def _still_bars(figure: go.Figure) -> Figure:
    bars, line = figure.data
    still, ax = plt.subplots(figsize=(7.2, 4))
    ax.bar(bars.x, bars.y, color=bars.marker.color, label=bars.name)
    ax.plot(line.x, line.y, "o:", color=line.line.color, label=line.name)
    ax.axvline(figure.layout.shapes[0].x0, color=PALETTE["muted"], linestyle="--")
    ax.legend()
    ax.set(xlabel="length of the path $k$", ylabel="share of the energy")
    ax.set_title(figure.layout.title.text)
    plt.close(still)
    return still


def truncation_explorer(data: pd.DataFrame, name: str = "re-explorer") -> Interactive:
    """Interactive: error of the expansion of one network, cut after each order.

    Parameters
    ----------
    data : DataFrame
        Result of the experiment ``re-explorer``.
    """
    keys = set(zip(data["activation"], data["variance"], strict=True))
    networks = [network for network in NETWORKS if network in keys]
    scales = sorted(set(data["x"]))
    depths = sorted(set(data["depth"]))
    groups = dict(tuple(data.groupby(["activation", "variance", "depth", "x"])))

    def figure(i: int, j: int, k: int) -> go.Figure:
        return _curve(groups[(*networks[i], depths[j], scales[k])].sort_values("entry"))

    start = (
        networks.index(("tanh", 1.0)) if ("tanh", 1.0) in networks else 0,
        len(depths) - 1,
        int(np.argmin(np.abs(np.array(scales) - 1.0))),
    )
    controls = [
        Control("Activation", [NETWORKS[n] for n in networks], "menu", start[0]),
        Control("Depth L", [f"{d:g}" for d in depths], "menu", start[1]),
        Control("Reduced scale s√L", [f"{s:.3g}" for s in scales], "slider", start[2]),
    ]
    return Interactive(
        name,
        controls,
        figure,
        fallback=_still_curve(figure(*start)),
        description=(
            "Relative error of the expansion of one random network, cut after each order, at the "
            "chosen reduced scale. A linear network is reproduced to rounding once enough orders "
            "are kept. For ReLU the error stops falling, because the network is its Taylor "
            "polynomial only up to the first kink. For tanh and erf it falls and then grows "
            "beyond the apparent radius of convergence, which lies below one for tanh and for "
            "erf with large weights."
        ),
    )


def _curve(rows: pd.DataFrame) -> go.Figure:
    first = rows.iloc[0]
    best = rows.loc[rows["error"].idxmin()]
    figure = go.Figure()
    line = {"color": PALETTE["vanilla"]}
    error = rows["error"].clip(lower=_FLOOR)
    figure.add_scatter(x=rows["entry"], y=error, mode="lines+markers", name="error", line=line)
    figure.add_scatter(
        x=[best["entry"]],
        y=[max(float(best["error"]), _FLOOR)],
        mode="markers",
        name="best order",
        marker={"color": PALETTE["balanced"], "size": 11},
    )
    figure.update_layout(
        title=f"s√L = {first['x']:.3g}; {_limits(first)}",
        xaxis={"title": {"text": "last order kept K"}},
        yaxis={
            "title": {"text": "relative error"},
            "type": "log",
            "range": [-17, 10],
            "exponentformat": "power",
        },
        showlegend=False,
    )
    return figure


#: Errors below it are rounding.
_FLOOR = 1e-17


def _limits(row: pd.Series) -> str:
    """Where the expansion ends to hold, in words."""
    if not np.isnan(row["kink"]):
        side = "beyond" if row["x"] > row["kink"] else "below"
        return f"{side} the first kink at {row['kink']:.2g}"
    if not np.isnan(row["radius"]):
        side = "beyond" if row["x"] > row["radius"] else "inside"
        return f"{side} the apparent radius {row['radius']:.2f}"
    return "a polynomial, exact at order L"


def _still_curve(figure: go.Figure) -> Figure:
    curve, best = figure.data
    still, ax = plt.subplots(figsize=(7.2, 4))
    ax.plot(curve.x, curve.y, "o-", color=curve.line.color, markersize=4)
    ax.plot(best.x, best.y, "o", color=best.marker.color, markersize=8)
    ax.set(yscale="log", ylim=(1e-17, 1e10))
    ax.set(xlabel="last order kept $K$", ylabel="relative error")
    ax.set_title(figure.layout.title.text)
    plt.close(still)
    return still
