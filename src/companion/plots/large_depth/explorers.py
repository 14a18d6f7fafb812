"""Interactive figures of the large-depth chapter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objects as go
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from companion.plots.interactive import Control, Interactive
from companion.plots.style import PALETTE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["boundary_explorer", "stages"]

#: Line of the boundary explorer, colour and dash of each column.
_LINES: Mapping[str, tuple[str, str, str]] = {
    "recursion_theory": ("output, recursion", "vanilla", "solid"),
    "output_theory": ("output, first order", "vanilla", "dash"),
    "asymptotic_output_theory": ("output, L = ∞", "vanilla", "dot"),
    "gradient": ("gradient, first order", "balanced", "dash"),
    "asymptotic_gradient_theory": ("gradient, L = ∞, n = ∞", "balanced", "dot"),
}


def stages(data: pd.DataFrame, name: str = "ld-stages") -> Interactive:
    """Interactive: a coordinate of the stream on one path of weights, for several depths.

    Parameters
    ----------
    data : DataFrame
        Result of the experiment ``ld-stages``.
    """
    kinds = {"rough": "independent, β = ½", "smooth": "smooth, β = 1"}
    depths = sorted(set(data["steps"]))
    shown, deepest = depths[:-1], depths[-1]

    def figure(i: int, j: int) -> go.Figure:
        rows = data[data["kind"] == list(kinds)[j]]
        limit = rows[rows["steps"] == deepest]
        curves = {
            f"L = {deepest}": limit[:: max(1, len(limit) // 512)],
            f"L = {shown[i]}": rows[rows["steps"] == shown[i]],
        }
        figure = go.Figure()
        for (label, part), role in zip(curves.items(), ("muted", "vanilla"), strict=True):
            figure.add_scatter(
                x=part["time"],
                y=part["value"],
                mode="lines",
                name=label,
                line={"color": PALETTE[role]},
            )
        span = np.ptp(rows["value"]) * 0.05
        figure.update_layout(
            title=f"{list(kinds.values())[j]}, L = {shown[i]}",
            xaxis={"title": {"text": "l / L"}, "range": [0, 1]},
            yaxis={
                "title": {"text": "one coordinate of the stream"},
                "range": [rows["value"].min() - span, rows["value"].max() + span],
            },
        )
        return figure

    start = (min(2, len(shown) - 1), 0)
    controls = [
        Control("Depth L", [str(d) for d in shown], "slider", start[0]),
        Control("Weights", list(kinds.values()), "menu", start[1]),
    ]
    return Interactive(
        name,
        controls,
        figure,
        fallback=_still(figure(*start), "$l/L$"),
        description=(
            "One coordinate of the stream against time for a network of the chosen depth and for "
            f"one of depth {deepest} on the same path of the weights. With independent weights the "
            "curves are rough and approach each other slowly, with smooth weights they are smooth "
            "and coincide from moderate depth on."
        ),
    )


def boundary_explorer(data: pd.DataFrame, name: str = "ld-boundaries") -> Interactive:
    """Interactive phase diagram of two-layer networks: sliders for depth and width.

    Parameters
    ----------
    data : DataFrame
        Result of the experiment ``ld-boundaries``.
    """
    rows = data[(data["block"] == "two-layer") & (data["generator"] == "exact")]
    depths = sorted(set(rows["depth"]))
    prefix, suffix = "gradient_", "_theory"
    widths = [
        column[len(prefix) : -len(suffix)]
        for column in rows.columns
        if column.startswith(prefix) and column.endswith(suffix)
    ]
    widths.sort(key=float)  # "inf" is a float, too

    def figure(i: int, j: int) -> go.Figure:
        chosen = rows[rows["depth"] == depths[i]].sort_values("hurst")
        label = widths[j].replace("inf", "∞")
        figure = go.Figure()
        for column, (text, role, dash) in _LINES.items():
            y = chosen[f"gradient_{widths[j]}_theory" if column == "gradient" else column]
            line = {"color": PALETTE[role], "dash": dash}
            figure.add_scatter(x=chosen["hurst"], y=y, mode="lines", name=text, line=line)
        figure.update_layout(
            title=f"L = {depths[i]}, n = {label}",
            xaxis={"title": {"text": "Hurst index H"}, "range": [0, 1]},
            yaxis={"title": {"text": "critical β"}, "range": [0.35, 1.02]},
        )
        return figure

    start = (depths.index(1000) if 1000 in depths else len(depths) - 1, min(1, len(widths) - 1))
    controls = [
        Control("Depth L", [str(d) for d in depths], "slider", start[0]),
        Control("Width n", [w.replace("inf", "∞") for w in widths], "slider", start[1]),
    ]
    return Interactive(
        name,
        controls,
        figure,
        fallback=_still(figure(*start), "Hurst index $H$"),
        description=(
            "Critical exponent against the Hurst index for output and gradient of two-layer "
            "networks: at the chosen depth and width, and in the limit of large depth. At depth "
            "1000 the curves are still far from their limits between one half and 0.8, and the "
            "gradient's curve lies below that of the output above one half."
        ),
    )


def _still(figure: go.Figure, xlabel: str) -> Figure:
    """Static picture of a state made of lines, by matplotlib."""
    styles: dict[str | None, Any] = {"dash": "--", "dot": ":"}
    still, ax = plt.subplots(figsize=(7.2, 4))
    for trace in figure.data:
        style = styles.get(trace.line.dash, "-")
        ax.plot(trace.x, trace.y, color=trace.line.color, linestyle=style, label=trace.name)
    layout = figure.layout
    ax.set(xlabel=xlabel, ylabel=layout.yaxis.title.text, ylim=layout.yaxis.range)
    ax.set_title(layout.title.text)
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.legend()
    plt.close(still)
    return still
