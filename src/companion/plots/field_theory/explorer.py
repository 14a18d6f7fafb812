"""Interactive figure of the field-theory chapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objects as go
from matplotlib.figure import Figure

from companion.plots.interactive import Control, Interactive
from companion.plots.style import PALETTE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["explorer"]

#: Branch scales among which the reader chooses.
_STEPS = 9


def explorer(data: pd.DataFrame, name: str = "ft-explorer") -> Interactive:
    """Interactive: response curve, the chosen branch scale on it, its optimum and 90 % band.

    Parameters
    ----------
    data : DataFrame
        Result of the experiment ``ft-explorer``; controls are depth, deviation of the weights,
        bias variance and branch scale.
    """
    depths, weights, biases = (
        sorted(set(data[column])) for column in ("depth", "weight_variance", "bias_variance")
    )
    scales = np.array(sorted(set(data["x"])))
    shown = scales[np.linspace(0, len(scales) - 1, _STEPS).round().astype(int)]
    groups = dict(tuple(data.groupby(["depth", "weight_variance", "bias_variance"])))

    def figure(i: int, j: int, k: int, m: int) -> go.Figure:
        rows = groups[depths[i], weights[j], biases[k]].sort_values("x")
        return _figure(rows, float(shown[m]))

    start = (min(1, len(depths) - 1), len(weights) // 2, 0, _STEPS // 2)
    controls = [
        Control("Depth L", [str(d) for d in depths], "slider", start[0]),
        Control("Weights σ_w", [f"{w**0.5:.2g}" for w in weights], "slider", start[1]),
        Control("Biases σ_b²", [f"{b:g}" for b in biases], "slider", start[2]),
        Control("Branch scale s", [f"{s:.2g}" for s in shown], "slider", start[3]),
    ]
    return Interactive(
        name,
        controls,
        figure,
        fallback=_still(figure(*start)),
        description=(
            "Response of the output against the branch scale for a network of the chosen depth, "
            "weights and biases, for inputs of variance 0.1. A dot marks the chosen scale, a line "
            "the optimal one with the band of 90 percent of the largest response. Deeper networks "
            "respond most at smaller scales; with small weights and large biases there is no "
            "optimal scale. Beyond the optimum the final kernel exceeds the operating point, and "
            "the readout saturates."
        ),
    )


def _figure(rows: pd.DataFrame, scale: float) -> go.Figure:
    at = rows.iloc[int(np.argmin(np.abs(rows["x"].to_numpy() - scale)))]
    best, goal = float(at["optimum_theory"]), float(at["operating_theory"])
    figure = go.Figure()
    line = {"color": PALETTE["vanilla"], "shape": "spline"}
    figure.add_scatter(
        x=rows["x"], y=rows["response_theory"], mode="lines", name="response", line=line
    )
    marker = {"color": PALETTE["balanced"], "size": 11}
    figure.add_scatter(
        x=[at["x"]], y=[at["response_theory"]], mode="markers", name="chosen", marker=marker
    )
    top = 1.1 * float(rows["response_theory"].max())
    shapes = []
    if best > 0:
        vertical = {"type": "line", "x0": best, "x1": best, "y0": 0, "y1": top}
        shapes.append({**vertical, "line": {"color": PALETTE["muted"], "dash": "dot"}})
        low = max(float(at["low_theory"]), float(rows["x"].min()))
        band = {"type": "rect", "x0": low, "x1": float(at["high_theory"]), "y0": 0, "y1": top}
        shade = {"fillcolor": "rgba(128,128,128,.15)", "line": {"width": 0}, "layer": "below"}
        shapes.append({**band, **shade})
    optimum = f"s* = {best:.3g}" if best > 0 else "no optimal scale"
    figure.update_layout(
        title=f"{optimum}; at s = {at['x']:.2g}: K^L = {at['kernel_theory']:.3g}, K* = {goal:.3g}",
        xaxis={"title": {"text": "branch scale s"}, "type": "log"},
        yaxis={"title": {"text": "response of the output"}, "range": [0, top]},
        shapes=shapes,
        showlegend=False,
    )
    return figure


def _still(figure: go.Figure) -> Figure:
    """Static picture of a state, by matplotlib."""
    curve, chosen = figure.data
    still, ax = plt.subplots(figsize=(7.2, 4))
    ax.plot(curve.x, curve.y, color=curve.line.color)
    ax.plot(chosen.x, chosen.y, "o", color=chosen.marker.color, markersize=8)
    for shape in figure.layout.shapes:
        if shape.type == "line":
            ax.axvline(shape.x0, color=shape.line.color, linestyle=":")
        else:
            ax.axvspan(shape.x0, shape.x1, color=PALETTE["muted"], alpha=0.15)
    layout = figure.layout
    ax.set(xscale="log", xlabel="branch scale $s$", ylabel=layout.yaxis.title.text)
    ax.set(ylim=layout.yaxis.range, xlim=(curve.x[0], curve.x[-1]))
    ax.set_title(layout.title.text)
    plt.close(still)
    return still
