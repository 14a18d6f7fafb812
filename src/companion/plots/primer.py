"""Figures of the primer: they take data and Axes, and return the Axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion.loggaussian import LogGaussian
from companion.montecarlo import Estimate

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["averages", "clocks", "streams", "sums", "where_the_mean_is"]


def _axes(ax: Axes | None) -> Axes:
    import matplotlib.pyplot as plt

    return plt.subplots()[1] if ax is None else ax


def streams(data: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Log mean square of the stream against the layer, one band for each branch scale.

    ``data`` is that of `companion.papers.primer.log_norms`: bands from ``low`` to ``high``, lines
    at ``median``, dashes at ``energy``.
    """
    ax = _axes(ax)
    for label, rows in data.groupby("scale", sort=False):
        (line,) = ax.plot(rows["layer"], rows["median"], label=str(label))
        ax.fill_between(rows["layer"], rows["low"], rows["high"], color=line.get_color(), alpha=0.2)
        ax.plot(rows["layer"], rows["energy"], color=line.get_color(), linestyle="--", linewidth=1)
    ax.set(xlabel="layer $l$", ylabel=r"$\ln(\|h_l\|^2/n)$")
    ax.legend()
    return ax


def sums(
    counts: Sequence[int],
    simulated: Mapping[float, Estimate],
    theory: Mapping[float, NDArray[np.float64]],
    ax: Axes | None = None,
) -> Axes:
    """Length of a sum of steps against their number; one curve for each correlation."""
    ax = _axes(ax)
    for correlation, estimate in simulated.items():
        (line,) = ax.loglog(counts, theory[correlation], label=f"$r={correlation:g}$")
        ax.errorbar(
            counts,
            estimate.value,
            yerr=2 * estimate.sem,
            color=line.get_color(),
            fmt="o",
            markersize=4,
            capsize=2,
        )
    ax.set(xlabel="number of steps $L$", ylabel="root-mean-square length of the sum")
    ax.legend(title="correlation of steps")
    return ax


def clocks(data: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Effective depth against depth, one line for each branch scale.

    ``data`` is that of `companion.papers.primer.effective_depths`.
    """
    ax = _axes(ax)
    for label, rows in data.groupby("scale", sort=False):
        ax.loglog(rows["depth"], rows["effective_depth"], label=str(label))
    ax.axhline(1, color="0.5", linewidth=0.8, zorder=0)
    ax.set(xlabel="depth $L$", ylabel="effective depth $T$")
    ax.legend()
    return ax


def averages(data: pd.DataFrame, mean: float, median: float, ax: Axes | None = None) -> Axes:
    """Spread of a sample mean against the sample size, with the true mean and median.

    ``data`` is that of `companion.papers.primer.averages_of_lognormal`.
    """
    ax = _axes(ax)
    (line,) = ax.loglog(data["size"], data["median"], marker="o", label="sample mean, typical")
    ax.fill_between(
        data["size"],
        data["low"],
        data["high"],
        color=line.get_color(),
        alpha=0.2,
        label="8 of 10 samples",
    )
    ax.axhline(mean, color="0.2", linewidth=1, label=f"mean {mean:.3g}")
    ax.axhline(median, color="0.2", linewidth=1, linestyle=":", label=f"median {median:.3g}")
    ax.set(xlabel="sample size", ylabel="average of $e^X$")
    ax.legend()
    return ax


def where_the_mean_is(sample: ArrayLike, law: LogGaussian, ax: Axes | None = None) -> Axes:
    """Histogram of logs, their law, and the part of the axis that makes the mean of ``exp``.

    The weighted density ``exp(x) p(x)``, divided by its integral, is again normal, with the mean
    moved up by the variance.
    """
    ax = _axes(ax)
    values = np.asarray(sample, dtype=np.float64)
    tilted = LogGaussian(law.mean + law.variance, law.variance)
    x = np.linspace(law.mean - 3.5 * law.std, tilted.mean + 3.5 * law.std, 400)
    label = f"{values.size} networks"
    ax.hist(values.ravel(), 40, density=True, histtype="stepfilled", color="0.8", label=label)
    ax.plot(x, law.pdf(x), label="their law")
    ax.plot(x, tilted.pdf(x), linestyle="--", label="what the mean of $e^X$ is made of")
    top = law.pdf(law.mean)
    ax.vlines(values.max(), 0, top, color="0.2", linestyle=":", label="largest of the sample")
    ax.set(xlabel=r"$X=\ln(\|h_L\|^2/n)$", ylabel="density")
    ax.set_ylim(top=1.45 * ax.get_ylim()[1])
    ax.legend(ncols=2)
    return ax
