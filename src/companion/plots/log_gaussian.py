"""Figures of the log-Gaussian chapter; data come from ``companion.papers.log_gaussian``.

``data`` is the published table of an experiment and ``live``, where there is one, a run of the
package as it is now, drawn on top.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from companion import loggaussian
from companion.architecture import ResNetSpec
from companion.plots.interactive import Control, Interactive
from companion.plots.style import PALETTE, errorbars, overlay

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "alignment",
    "explorer",
    "gradient_fan",
    "hypoactivation",
    "interlayer",
    "moment_growth",
    "next_order",
    "norm_law",
    "output_histogram",
]

#: The infinite-width limit as a degenerate log-normal factor.
INFINITE_WIDTH = loggaussian.LogGaussian(0.0, 0.0)

_AXIS = {
    "mean": r"mean of $\ln(\|h_L\|^2/n)$",
    "variance": r"variance of $\ln\|h_L\|^2$",
    "imbalance": r"$n\,\mathbb{E}\,\delta_l$",
    "active": r"$n\,(\mathbb{E} f_l-\frac{1}{2})$",
}


def output_histogram(
    data: pd.DataFrame,
    spec: ResNetSpec,
    ax: Axes | None = None,
    *,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Histogram of the log output norm of one cell, with the two candidate laws."""
    ax = ax or plt.gca()
    x = data["x"].to_numpy()
    ax.step(x, data["density"], where="mid", color=PALETTE["muted"], label="simulated networks")
    low, high = data["density"] - 2 * data["sem"], data["density"] + 2 * data["sem"]
    ax.fill_between(x, low.clip(lower=0), high, step="mid", color=PALETTE["muted"], alpha=0.3)
    if live is not None:
        rows = live[live["depth"] == spec.depth][::3]
        overlay(ax, rows, rows["x"], "density", sem="sem")
    fine = np.linspace(x[0], x[-1], 400)
    law = loggaussian.output_log_density(spec, fine)
    limit = loggaussian.output_log_density(spec, fine, law=INFINITE_WIDTH)
    ax.plot(fine, law, color=PALETTE["vanilla"], label="log-Gaussian law")
    ax.plot(fine, limit, "--", color=PALETTE["infinite width"], label="infinite width")
    ax.set(xlabel=r"$\ln\|y\|^2$", ylabel="density", ylim=(0, None))
    ax.set_title(f"$L={spec.depth}$, $n={spec.width}$")
    return ax


def norm_law(
    data: pd.DataFrame,
    quantity: str,
    ax: Axes | None = None,
    *,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Mean or variance of the log norm against depth over width: theory lines, simulated points."""
    ax = ax or plt.gca()
    for kind, rows in data.groupby("kind", sort=False):
        widest = rows[rows["width"] == rows["width"].max()]
        ax.plot(widest["ratio"], widest[f"{quantity}_theory"], color=PALETTE[str(kind)])
        narrower = rows[rows["width"] < rows["width"].max()]
        for points in (narrower, widest):
            widths = ", ".join(str(width) for width in sorted(set(points["width"])))
            errorbars(
                ax,
                points["ratio"],
                points[quantity],
                points[f"{quantity}_sem"],
                role=str(kind),
                label=f"{kind}, $n={widths}$",
                fillstyle="full" if points is widest else "none",
            )
    if live is not None:
        overlay(ax, live, live["ratio"], quantity)
    ax.set(xlabel="depth / width", ylabel=_AXIS[quantity])
    return ax


def hypoactivation(
    data: pd.DataFrame,
    quantity: str,
    ax: Axes | None = None,
    *,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Mean imbalance or active fraction along the layers, several widths and two controls."""
    ax = ax or plt.gca()
    paired = data[data["antithetic"].astype(bool)]
    vanilla = paired[paired["kind"] == "vanilla"]
    roles = ("third", "vanilla", "second", "fully connected")
    thinned = vanilla[vanilla["layer"] % 3 == 0]
    for role, (width, rows) in zip(roles, thinned.groupby("width"), strict=False):
        label = f"vanilla, $n={width}$"
        errorbars(
            ax, rows["layer"], rows[quantity], rows[f"{quantity}_sem"], role=role, label=label
        )
    first = vanilla[vanilla["width"] == vanilla["width"].min()]
    ax.plot(first["layer"], first[f"{quantity}_theory"], color=PALETTE["theory"], label="theory")
    rows = paired[(paired["kind"] == "balanced") & (paired["layer"] % 3 == 0)]
    errorbars(
        ax,
        rows["layer"],
        rows[quantity],
        rows[f"{quantity}_sem"],
        role="balanced",
        label="balanced",
    )
    single = data[~data["antithetic"].astype(bool)]
    if len(single):
        band = 2 * single[f"{quantity}_sem"].to_numpy()
        centre = single[f"{quantity}_theory"].to_numpy()
        ax.fill_between(
            single["layer"],
            centre - band,
            centre + band,
            color=PALETTE["muted"],
            alpha=0.2,
            label="error bar without mirror images",
        )
    if live is not None:
        rows = live[live["antithetic"].astype(bool) & (live["layer"] % 6 == 0)]
        overlay(ax, rows, rows["layer"], quantity)
    ax.axhline(0, color=PALETTE["muted"], linewidth=0.8)
    ax.set(xlabel="layer $l$", ylabel=_AXIS[quantity])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def interlayer(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    r"""Covariance of the imbalance against the lag, with :math:`C(\alpha^m)`."""
    ax = ax or plt.gca()
    roles = {("vanilla", 0.5): "vanilla", ("vanilla", 0.9): "second", ("balanced", 0.5): "balanced"}
    for (kind, alpha2), rows in data.groupby(["kind", "alpha2"], sort=False):
        role = roles[(str(kind), float(alpha2))]
        spec = ResNetSpec.log_gaussian(64, 1, alpha2**0.5, (1 - alpha2) ** 0.5)
        if kind == "vanilla":
            fine = np.arange(int(rows["lag"].max()) + 1)
            ax.plot(fine, loggaussian.imbalance_covariance(spec, fine), color=PALETTE[role])
        label = rf"{kind}, $\alpha^2={alpha2:g}$"
        errorbars(
            ax, rows["lag"], rows["covariance"], rows["covariance_sem"], role=role, label=label
        )
    if live is not None:
        overlay(ax, live, live["lag"], "covariance")
    ax.axhline(0, color=PALETTE["muted"], linewidth=0.8)
    ylabel = r"$n\,\mathrm{Cov}(\delta_l,\delta_{l+m})$"
    ax.set(xlabel="lag $m$", ylabel=ylabel)
    ax.legend(title=r"points: simulation, lines: $C(\alpha^m)$")
    return ax


def moment_growth(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Log of the mean and median of the squared norm: one rises, the other falls."""
    ax = ax or plt.gca()
    for kind, rows in data.groupby("kind", sort=False):
        color = PALETTE[str(kind)]
        ax.plot(rows["layer"], rows["log_mean_theory"], color=color)
        ax.plot(rows["layer"], rows["log_median_theory"], "--", color=color)
        errorbars(
            ax,
            rows["layer"],
            rows["log_mean"],
            rows["log_mean_sem"],
            role=str(kind),
            label=f"{kind}: mean",
        )
        ax.plot(
            rows["layer"], rows["log_median"], "x", color=color, label=f"{kind}: median", zorder=3
        )
    if live is not None:
        overlay(ax, live, live["layer"], "log_mean")
    ax.axhline(0, color=PALETTE["muted"], linewidth=0.8)
    ax.set(xlabel="layer $l$", ylabel=r"$\ln(\|h_l\|^2/\|h_0\|^2)$")
    ax.legend(ncols=2)
    return ax


def gradient_fan(
    data: pd.DataFrame, kind: str, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Quantiles of the log gradient norm against the layer, with the first-order law.

    The live run shows as its mean.
    """
    ax = ax or plt.gca()
    rows = data[data["kind"] == kind]
    color = PALETTE[kind]
    for low, high, alpha in (("q05", "q95", 0.18), ("q25", "q75", 0.32)):
        ax.fill_between(rows["layer"], rows[low], rows[high], color=color, alpha=alpha, linewidth=0)
    ax.plot(rows["layer"], rows["q50"], color=color, label="simulation: median, 50 %, 90 %")
    spread = 1.6449 * np.sqrt(rows["variance_theory"])
    label = "first-order law: mean, 90 %"
    for shift in (-spread, 0 * spread, spread):
        line = rows["mean_theory"] + shift
        ax.plot(rows["layer"], line, "--", color=PALETTE["theory"], linewidth=1.3, label=label)
        label = "_"
    if live is not None:
        chosen = live[live["kind"] == kind]
        overlay(ax, chosen, chosen["layer"], "mean")
    ax.set(xlabel="layer $l$", ylabel=r"$\ln(\|g_l\|^2/\|g_L\|^2)$")
    ax.set_title(kind)
    return ax


def next_order(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    r"""What leading order leaves out at ``L = n``, times :math:`n`: flat if it is O(L/n²)."""
    ax = ax or plt.gca()
    for kind, rows in data.groupby("kind", sort=False):
        for quantity, shift, fill in (("variance", 0.98, "full"), ("mean", 1.02, "none")):
            ax.errorbar(
                rows["width"] * shift,
                rows[quantity],
                yerr=2 * rows[f"{quantity}_sem"],
                color=PALETTE[str(kind)],
                marker="o" if kind == "vanilla" else "s",
                fillstyle=fill,
                linestyle="none",
                label=f"{kind}: {quantity}",
            )
    if live is not None:
        for quantity, shift in (("variance", 0.94), ("mean", 1.06)):
            overlay(ax, live, live["width"] * shift, quantity)
    ax.axhline(0, color=PALETTE["muted"], linewidth=0.8)
    ax.set(xscale="log", xlabel="width $n$ (and depth)", ylabel=r"$n\times$ (simulation $-$ law)")
    ticks = sorted({*data["width"], *(() if live is None else live["width"])})
    ax.set_xticks(ticks, [str(t) for t in ticks])
    ax.minorticks_off()
    return ax


def alignment(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Mean squared cosine of stream and tangent against depth over width."""
    ax = ax or plt.gca()
    for role, (width, rows) in zip(("vanilla", "second"), data.groupby("width"), strict=False):
        x = rows["layer"] / width
        errorbars(ax, x, rows["alignment"], rows["alignment_sem"], role=role, label=f"$n={width}$")
        inside = rows["alignment_theory"] < 1
        ax.plot(x[inside], rows["alignment_theory"][inside], "--", color=PALETTE[role])
    if live is not None:
        overlay(ax, live, live["layer"] / live["width"], "alignment")
    ax.set(xscale="log", yscale="log", xlabel="depth / width", ylim=(None, 1.1))
    ax.set_ylabel(r"$\mathbb{E}\,\cos^2\angle(h_l, J_l t)$")
    ax.legend(title="points: simulation,\ndashed: first order", loc="upper left")
    return ax


def explorer(data: pd.DataFrame, name: str = "lg-explorer") -> Interactive:
    """Interactive histogram of the log norm against depth, skip weight and kind.

    Parameters
    ----------
    data : DataFrame
        Result of the experiment ``lg-explorer``.
    """
    depths = sorted(set(data["layer"]))
    alphas = sorted(set(data["alpha2"]))
    kinds = ("vanilla", "balanced")
    width = int(data["width"].iloc[0])

    def figure(i: int, j: int, k: int) -> go.Figure:
        depth, alpha2, kind = depths[i], alphas[j], kinds[k]
        chosen = (data["layer"] == depth) & (data["alpha2"] == alpha2) & (data["kind"] == kind)
        return _explorer_state(data[chosen], depth, width, alpha2, kind)

    start = (depths.index(100) if 100 in depths else len(depths) - 1, alphas.index(0.5), 0)
    controls = [
        Control("Depth L", [str(d) for d in depths], "slider", start[0]),
        Control("α²", [f"{a:g}" for a in alphas], "slider", start[1]),
        Control("Network", kinds, "menu", start[2]),
    ]
    shown = figure(*start)
    return Interactive(
        name,
        controls,
        figure,
        fallback=_still(shown),
        description=(
            f"Density of the log squared norm of networks of width {width}: a histogram of "
            "simulated networks with the laws of a vanilla network, of a balanced network and of "
            "infinite width. At depth 100 the infinite-width law is far too narrow, the balanced "
            "law too narrow for a vanilla network, and the vanilla law follows the histogram."
        ),
    )


def _explorer_state(
    rows: pd.DataFrame, depth: int, width: int, alpha2: float, kind: str
) -> go.Figure:

    spec = ResNetSpec.log_gaussian(int(depth), width, alpha2**0.5, (1 - alpha2) ** 0.5)
    laws = {
        "vanilla": loggaussian.log_norm_law(spec),
        "balanced": loggaussian.log_norm_law(spec.replace(balanced=True)),
        "infinite width": loggaussian.LogGaussian(-1 / width, 2 / width),
    }
    figure = go.Figure()
    x = rows["x"].to_numpy()
    figure.add_bar(
        x=x,
        y=rows["density"].to_numpy(),
        width=1.02 * (x[1] - x[0]),  # neighbours touch also after rounding
        name=f"simulated, {kind}",
        marker={"color": PALETTE["muted"], "line": {"width": 0}},
    )
    dashes = {"vanilla": "solid", "balanced": "dash", "infinite width": "dot"}
    # The peak of the infinite-width law may leave the frame: it would flatten everything else.
    top = 1.3 * max(laws[label].pdf(laws[label].mean).item() for label in ("vanilla", "balanced"))
    for label, law in laws.items():
        fine = law.mean + law.std * np.linspace(-4.2, 4.2, 61)
        figure.add_scatter(
            x=fine,
            y=law.pdf(fine),
            mode="lines",
            name=f"law: {label}",
            line={"color": PALETTE[label], "dash": dashes[label]},
        )
    figure.update_layout(
        title=f"L = {depth}, n = {width}, α² = {alpha2:g}, {kind}",
        bargap=0,
        xaxis={
            "title": {"text": "ln(‖h<sub>L</sub>‖² / n)"},
            "range": [rows["x"].min(), rows["x"].max()],
        },
        yaxis={"title": {"text": "density"}, "range": [0, top]},
    )
    return figure


def _still(figure: go.Figure) -> Any:
    """Static picture of an explorer state, by matplotlib."""
    still, ax = plt.subplots(figsize=(7.2, 4))
    for trace in figure.data:
        if trace.type == "bar":
            step = trace.x[1] - trace.x[0]
            ax.bar(trace.x, trace.y, width=step, color=PALETTE["muted"], label=trace.name)
        else:
            ax.plot(trace.x, trace.y, color=trace.line.color, label=trace.name)
    ax.set(xlabel=r"$\ln(\|h_L\|^2/n)$", ylabel="density", ylim=figure.layout.yaxis.range)
    ax.set_title(figure.layout.title.text)
    ax.legend()
    plt.close(still)
    return still
