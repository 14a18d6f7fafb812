"""Interactive figure of the tangent-kernel chapter."""

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

_GRID = "rgba(128,128,128,.25)"


def explorer(data: pd.DataFrame, name: str = "tk-explorer") -> Interactive:
    """Interactive: kernel against the angle, and its eigenvalues, for a depth and a decay.

    Parameters
    ----------
    data : DataFrame
        Result of the experiment ``tk-explorer``; controls are depth and exponent.
    """
    # With one block every exponent is the same network, and the second control would do nothing.
    data = data[data["depth"] > 1]
    depths, betas = (sorted(set(data[column])) for column in ("depth", "beta"))
    groups = dict(tuple(data.groupby(["depth", "beta"])))
    least = float(data.loc[data["kind"] == "eigenvalue", "value_theory"].abs().min())

    def figure(i: int, j: int) -> go.Figure:
        return _figure(groups[depths[i], betas[j]], least)

    start = (len(depths) - 1, betas.index(0.5))
    controls = [
        Control("Depth L", [str(d) for d in depths], "slider", start[0]),
        Control("Exponent β", [f"{b:g}" for b in betas], "slider", start[1]),
    ]
    return Interactive(
        name,
        controls,
        figure,
        fallback=_still(figure(*start)),
        description=(
            "Left: the normalised tangent kernel against the angle between two inputs. Right: its "
            "eigenvalues on the sphere against the degree, even and odd ones apart. With exponents "
            "below one half the kernel becomes a narrow peak over the level one quarter as the "
            "depth grows, and the eigenvalues flatten; above one half it becomes the kernel of two "
            "layers, whose odd eigenvalues vanish; at one half it stays where the effective depth "
            "T has put it."
        ),
    )


def _figure(rows: pd.DataFrame, least: float) -> go.Figure:
    first = rows.iloc[0]
    curve = rows[rows["kind"] == "kernel"].sort_values("x")
    spectrum = rows[(rows["kind"] == "eigenvalue") & (rows["x"] > 0)].sort_values("x")
    figure = go.Figure()
    line = {"color": PALETTE["vanilla"]}
    figure.add_scatter(
        x=curve["x"], y=curve["value_theory"], mode="lines", name="kernel", line=line
    )
    for parity, role, symbol in ((0, "vanilla", "circle"), (1, "balanced", "square-open")):
        part = spectrum[(spectrum["x"] % 2 == parity) & (spectrum["value_theory"] > 1e-15)]
        figure.add_scatter(
            x=part["x"],
            y=part["value_theory"],
            mode="markers",
            name="even degrees" if parity == 0 else "odd degrees",
            marker={"color": PALETTE[role], "symbol": symbol, "size": 6},
            xaxis="x2",
            yaxis="y2",
        )
    total = float(first["effective_theory"])
    floor = np.floor(np.log10(max(least, 1e-10)))
    axis = {"gridcolor": _GRID, "zerolinecolor": _GRID}
    figure.update_layout(
        title=f"L = {int(first['depth'])}, β = {first['beta']:g}: T = {total:.3g}",
        xaxis={"title": {"text": "angle θ"}, "domain": [0, 0.44], "range": [0, 3.1416]},
        yaxis={"title": {"text": "kernel"}, "range": [-0.12, 1.05]},
        xaxis2={
            "title": {"text": "degree k"},
            "domain": [0.58, 1],
            "type": "log",
            "anchor": "y2",
            **axis,
        },
        yaxis2={
            "title": {"text": "eigenvalue"},
            "type": "log",
            "anchor": "x2",
            "range": [float(floor), 0],
            "exponentformat": "power",
            **axis,
        },
        showlegend=True,
    )
    return figure


def _still(figure: go.Figure) -> Figure:
    """Static picture of a state, by matplotlib."""
    still, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.6))
    curve, *spectra = figure.data
    left.plot(curve.x, curve.y, color=curve.line.color)
    for trace in spectra:
        shape = "o" if trace.marker.symbol == "circle" else "s"
        fill = "full" if shape == "o" else "none"
        style = {"linestyle": "none", "fillstyle": fill, "label": trace.name}
        right.plot(trace.x, trace.y, shape, color=trace.marker.color, **style)
    left.set(xlabel=r"angle $\theta$", ylabel="kernel", ylim=figure.layout.yaxis.range)
    right.set(xscale="log", yscale="log", xlabel="degree $k$", ylabel="eigenvalue")
    right.legend()
    still.suptitle(figure.layout.title.text)
    plt.close(still)
    return still
