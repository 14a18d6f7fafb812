"""Experiments of the chapter on the residual expansion: what its figures show.

`cells` and `truncated` simulate random networks, `theory` needs none, `trained` trains. Blocks
have gain 1. A quick grid shares cells with the full one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from companion.papers.residual_expansion import cells, theory, truncated
from companion.papers.residual_expansion.trained import TRAINED
from companion.sweeps import Experiment, moments

__all__ = ["EXPERIMENTS", "LAWS", "TRUNCATED"]

Grid = list[dict[str, Any]]

#: Activation and masks of the networks whose orders are measured.
_ORDERED = (("linear", "frozen"), ("relu", "frozen"), ("relu", "actual"))


def _paths(deep: int, wide: int) -> Grid:
    """Networks of depth 50 at two scales; at scale 1 of depth 12, where a mean can be estimated."""
    simulated = [
        {"activation": activation, "masks": masks, "exponent": exponent, **shape}
        for exponent, shape in (
            (0.5, {"depth": 50, "width": 32, "networks": deep, "orders": 8}),
            (1.0, {"depth": 50, "width": 32, "networks": deep, "orders": 5}),
            (0.0, {"depth": 12, "width": 64, "networks": wide, "orders": 12}),
        )
        for activation, masks in _ORDERED
    ]
    aligned = [
        {
            "activation": "linear",
            "masks": "frozen",
            "exponent": exponent,
            "depth": 50,
            "width": 1,
            "networks": 0,
            "orders": 0,
        }
        for exponent in (0.0, 0.5, 1.0)
    ]
    return [{**p, "alignment": "independent"} for p in simulated] + [
        {**p, "alignment": "aligned"} for p in aligned
    ]


def _jacobian(networks: int) -> Grid:
    return [{"depth": 50, "width": 32, "networks": networks, "orders": 8}]


def _prenorm(*cells_: tuple[int, int]) -> Grid:
    """Cells of depth and number of networks."""
    return [{"depth": depth, "width": 256, "networks": count} for depth, count in cells_]


def _smooth(networks: int) -> Grid:
    return [
        {
            "activation": "erf",
            "depth": 50,
            "variance": 1.5,
            "width": 256,
            "networks": networks,
            "orders": 6,
        }
    ]


#: Activations and variances of the weights of the networks that are truncated.
TRUNCATED = (("linear", 1.0), ("relu", 2.0), ("tanh", 1.0), ("erf", 1.0), ("erf", 1.5))
_REDUCED = (0.25, 0.5, 1.0, 2.0)


def _truncation(networks: int, depths: Sequence[int]) -> Grid:
    return [
        {
            "activation": activation,
            "variance": variance,
            "depth": depth,
            "width": 64,
            "networks": networks,
            "orders": 40,
            "scales": _REDUCED,
        }
        for activation, variance in TRUNCATED
        for depth in depths
    ]


def _remainder(networks: int) -> Grid:
    return [
        {
            "activation": activation,
            "variance": variance,
            "depth": 50,
            "width": 32,
            "networks": networks,
            "scales": (0.125, 0.25, 0.5, 1.0),
        }
        for activation, variance in (("relu", 2.0), ("erf", 1.5))
    ]


def _kink(networks: int) -> Grid:
    return [
        {"depth": depth, "width": width, "networks": networks, "edges": (0.0, 5.0, 20)}
        for depth, width in ((32, 16), (50, 32))
    ]


#: Covariances along depth: name and parameter.
LAWS = (
    ("equicorrelated", 0.0),
    ("equicorrelated", 0.01),
    ("equicorrelated", 0.1),
    ("equicorrelated", 1.0),
    ("ou", 5.0),
    ("ou", 60.0),
    ("fractional", 0.6),
    ("fractional", 0.8),
)


def _correlation(networks: int) -> Grid:
    return [
        {
            "law": law,
            "parameter": parameter,
            "depth": 60,
            "width": 128,
            "networks": networks,
            "orders": 3,
            "ratios": (0.25, 0.5, 1.0, 2.0),
        }
        for law, parameter in LAWS
    ]


def _lengths(depths: Sequence[int]) -> Grid:
    return [
        {
            "depth": depth,
            "correlation": correlation,
            "gain": gain,
            "exponents": (0.0, 0.25, 0.5, 0.75, 1.0),
        }
        for depth in depths
        for correlation in (0.0, 0.01, 0.1, 1.0)
        for gain in (0.5, 1.0, 2.0)
    ]


_EXPLORED = tuple(float(s) for s in np.round(np.geomspace(0.05, 2.0, 15), 4))


def _explorer() -> Grid:
    return [
        {
            "activation": activation,
            "variance": variance,
            "depth": depth,
            "width": 64,
            "orders": 32,
            "scales": tuple(sorted({*_EXPLORED, 1.0})),
        }
        for activation, variance in TRUNCATED
        for depth in (20, 100)
    ]


EXPERIMENTS = (
    Experiment(
        "re-paths",
        "Energy of each order of the expansion at three branch scales",
        cells.paths,
        {"quick": _paths(200, 200), "full": _paths(4000, 4000)},
        pool=moments.pool,
        finish=theory.paths,
        dtype="float64",
    ),
    Experiment(
        "re-jacobian",
        "Energy of each order of the Jacobian of ReLU networks",
        cells.jacobian,
        {"quick": _jacobian(500), "full": _jacobian(10_000)},
        pool=moments.pool,
        finish=theory.jacobian,
        dtype="float64",
    ),
    Experiment(
        "re-prenorm",
        "Path lengths of networks that normalise the input of each branch",
        cells.prenorm,
        {
            "quick": _prenorm((10, 20), (54, 10)),
            "full": _prenorm((10, 200), (54, 200), (200, 40)),
        },
        pool=moments.pool,
        finish=theory.prenorm,
        dtype="float64",
    ),
    Experiment(
        "re-smooth",
        "Energies and covariances of the orders of erf networks",
        cells.smooth,
        {"quick": _smooth(20), "full": _smooth(400)},
        pool=moments.pool,
        finish=theory.smooth,
        dtype="float64",
    ),
    Experiment(
        "re-truncation",
        "Error of the expansion cut after each order, by reduced scale and activation",
        truncated.truncation,
        {
            "quick": _truncation(2, (100,)),
            "full": _truncation(12, (100, 400)) + _truncation(4, (1000,)),
        },
        dtype="float64",
    ),
    Experiment(
        "re-remainder",
        "Remainder beyond the second order against the reduced scale",
        truncated.remainder,
        {"quick": _remainder(300), "full": _remainder(8000)},
        pool=moments.pool,
        finish=theory.remainder,
        dtype="float64",
    ),
    Experiment(
        "re-kink",
        "Histogram of the first kink of ReLU networks",
        cells.kink,
        {"quick": _kink(400), "full": _kink(4000)},
        pool=moments.pool,
        finish=theory.kink,
        dtype="float64",
    ),
    Experiment(
        "re-correlation",
        "Growth of the stream with blocks correlated along depth",
        cells.correlation,
        {"quick": _correlation(6), "full": _correlation(300)},
        pool=moments.pool,
        finish=theory.correlation,
        dtype="float64",
    ),
    Experiment(
        "re-lengths",
        "Law of the path length by depth, exponent, correlation and gain",
        theory.lengths,
        {"quick": _lengths((20,)), "full": _lengths((10, 20, 50, 100))},
        dtype="float64",
    ),
    Experiment(
        "re-explorer",
        "Expansion of single networks for the interactive figure",
        truncated.explorer,
        {"quick": _explorer(), "full": _explorer()},
        dtype="float64",
    ),
    *TRAINED,
)
