"""Experiments on the log-Gaussian limit: what the figures of the chapter show.

Widths, depths and numbers of networks are fixed in the grids below; `cells` simulates, `theory`
makes the tables. A quick grid shares cells with the full one, so that a live run can be compared
with the published result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from companion.papers.log_gaussian import cells, theory
from companion.papers.log_gaussian.cells import KINDS, lag_covariance, network
from companion.sweeps import Experiment, moments

__all__ = ["EXPERIMENTS", "lag_covariance", "network"]


def _grid(*sizes: Mapping[str, Any], **common: Any) -> list[dict[str, Any]]:
    return [{"kind": "vanilla", **common, **size} for size in sizes]


def _pairs(*widths: int) -> list[dict[str, Any]]:
    """Cells of the hypoactivation experiment: widths, and two controls at the first width."""
    cells = [{"width": width, "antithetic": True} for width in widths]
    control = {"width": widths[0], "kind": "balanced", "antithetic": True}
    return [*cells, control, {"width": widths[0], "antithetic": False}]


def _squares(*widths: int, networks: int) -> list[dict[str, Any]]:
    """Cells with depth equal to width, vanilla and balanced."""
    return [
        {"kind": kind, "width": width, "depth": width, "networks": networks}
        for kind in ("vanilla", "balanced")
        for width in widths
    ]


def _histograms(*sizes: tuple[int, int]) -> list[dict[str, Any]]:
    """Cells of the histogram: depth, width, and the bins that hold the whole sample."""
    return [{"depth": d, "width": n, "edges": _EDGES[d, n]} for d, n in sizes]


#: Least and greatest log norm, and number of bins, by depth and width.
_EDGES = {
    (10, 100): (-2.0, 6.2, 60),
    (100, 100): (-11.5, 12.2, 60),
}

_LAGS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32)

EXPERIMENTS = (
    Experiment(
        "lg-histogram",
        "Histogram of the log output norm against the infinite-width and log-Gaussian laws",
        cells.histogram,
        {
            "quick": _grid(*_histograms((10, 100), (100, 100)), networks=10000),
            "full": _grid(*_histograms((10, 100), (100, 100)), networks=100000),
        },
        pool=moments.pool,
        finish=theory.histogram,
    ),
    Experiment(
        "lg-norms",
        "Mean and variance of the log norm against depth / width, three kinds of network",
        cells.norms,
        {
            preset: [
                {"kind": kind, "depth": 2 * width, "width": width, "networks": networks}
                for kind in KINDS
                for width in widths
            ]
            for preset, widths, networks in (
                ("quick", (50, 100), 10000),
                ("full", (50, 100, 200, 400), 20000),
            )
        },
        pool=moments.pool,
        finish=theory.norms,
    ),
    Experiment(
        "lg-hypoactivation",
        "Activation imbalance and active fraction along the layers",
        cells.hypoactivation,
        {
            "quick": _grid(*_pairs(100, 200, 400), depth=60, networks=4000),
            "full": _grid(*_pairs(100, 400, 1600), depth=60, networks=20000),
        },
        pool=moments.pool,
        finish=theory.hypoactivation,
    ),
    Experiment(
        "lg-interlayer",
        "Covariance of the activation imbalance between layers",
        cells.interlayer,
        {
            "quick": _grid(
                {"alpha2": 0.5},
                {"alpha2": 0.9},
                {"alpha2": 0.5, "kind": "balanced"},
                width=400,
                depth=40,
                networks=4000,
                lags=_LAGS,
            ),
            "full": _grid(
                {"alpha2": 0.5},
                {"alpha2": 0.9},
                {"alpha2": 0.5, "kind": "balanced"},
                width=400,
                depth=40,
                networks=15000,
                lags=_LAGS,
            ),
        },
        finish=theory.interlayer,
    ),
    Experiment(
        "lg-second-moment",
        "Mean against median of the squared norm, vanilla and balanced",
        cells.second_moment,
        {
            "quick": _grid(
                {"kind": "vanilla"}, {"kind": "balanced"}, width=100, depth=50, networks=40000
            ),
            "full": _grid(
                {"kind": "vanilla"}, {"kind": "balanced"}, width=100, depth=50, networks=200000
            ),
        },
        finish=theory.second_moment,
    ),
    Experiment(
        "lg-gradients",
        "Gradient norms along the layers, vanilla and balanced",
        cells.gradients,
        {
            "quick": _grid(
                {"kind": "vanilla"}, {"kind": "balanced"}, width=100, depth=100, networks=3000
            ),
            "full": _grid(
                {"kind": "vanilla"}, {"kind": "balanced"}, width=100, depth=100, networks=20000
            ),
        },
        finish=theory.gradients,
    ),
    Experiment(
        "lg-next-order",
        "What the leading-order law leaves out, at depth equal to width",
        cells.next_order,
        {
            "quick": _squares(25, 50, 100, networks=40000),
            "full": _squares(50, 100, 200, networks=400000),
        },
        pool=moments.pool,
        finish=theory.next_order,
    ),
    Experiment(
        "lg-alignment",
        "Alignment of a tangent vector with the stream",
        cells.alignment,
        {
            "quick": _grid({"width": 100}, {"width": 200}, depth=300, networks=1000),
            "full": _grid({"width": 100}, {"width": 200}, depth=300, networks=8000),
        },
        pool=moments.pool,
        finish=theory.alignment,
    ),
    Experiment(
        "lg-explorer",
        "Histograms of the log norm for the interactive figure",
        cells.explorer,
        {
            preset: [
                {
                    "kind": kind,
                    "alpha2": alpha2,
                    "width": 100,
                    "depth": 200,
                    "networks": networks,
                    "layers": (1, 2, 5, 10, 20, 50, 100, 200),
                }
                for kind in ("vanilla", "balanced")
                for alpha2 in (0.25, 0.5, 0.75, 0.9)
            ]
            for preset, networks in (("quick", 4000), ("full", 40000))
        },
    ),
)
