"""Experiments on the large-depth regime: what the figures of the chapter show.

Width, depths, exponents and numbers of networks of ``ld-iid``, ``ld-histogram``, ``ld-smooth``,
``ld-paths`` and ``ld-phase`` are at least those of the authors' published scripts, and the laws of
the weights are theirs; `cells` simulates, `theory` makes the tables. A quick grid shares cells with
the full one, so that a live run can be compared with the published result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from companion.papers.large_depth import cells, learned, limits, theory, trained
from companion.papers.large_depth.trained import INITIALIZATIONS, LEARNING_RATES
from companion.sweeps import Experiment

__all__ = ["BETAS", "EXPERIMENTS", "HURSTS"]

#: Grid of the phase diagram, as in the authors' script.
BETAS = tuple(float(beta) for beta in np.linspace(0, 1.3, 70))
HURSTS = tuple(float(hurst) for hurst in np.linspace(0.05, 0.97, 51))

#: Depths of the authors' scans.
_DEPTHS = tuple(int(depth) for depth in np.linspace(10, 1000, 10))


def _grid(*sizes: Mapping[str, Any], **common: Any) -> list[dict[str, Any]]:
    return [{**common, **size} for size in sizes]


def _scan(depths: Sequence[int], **common: Any) -> list[dict[str, Any]]:
    return _grid(*({"depth": depth} for depth in depths), width=40, **common)


def _phase(hursts: Sequence[float], betas: Sequence[float], **common: Any) -> list[dict[str, Any]]:
    """Columns of the map, for the network of the authors' figure."""
    columns = ({"hurst": hurst} for hurst in hursts)
    rest = {"block": "two-layer", "generator": "exact", "width": 40, "depth": 1000, **common}
    return _grid(*columns, betas=betas, **rest)


def _histograms(chain: int, explicit: int) -> list[dict[str, Any]]:
    sizes = {"depth": 1000, "width": 100, "edges": (0.9, 1.75, 51)}
    return [
        {"engine": "chain", "networks": chain, **sizes},
        {"engine": "explicit", "networks": explicit, **sizes},
    ]


def _contraction(*cells: tuple[str, int, int, int]) -> list[dict[str, Any]]:
    return [
        {
            "activation": activation,
            "width": width,
            "depth": depth,
            "networks": networks,
            "block": "single",
            "law": "fractional",
            "hurst": 0.2,
            "beta": 0.35,
        }
        for activation, width, depth, networks in cells
    ]


def _roughness(*schedules: tuple[float, int], **sizes: int) -> list[dict[str, Any]]:
    """Schedules as in the two configurations of the authors' code.

    The long one is cut from 300 epochs to 30; it keeps its learning rate, the short one drops it
    after 5 epochs.
    """
    return [
        {
            "initialization": name,
            "learning_rate": rate,
            "epochs": epochs,
            "schedule_step": 5 if epochs <= 10 else 1000,
            "width": 30,
            "traces": 2,
            "data": "digits",
            **sizes,
        }
        for rate, epochs in schedules
        for name in INITIALIZATIONS
    ]


#: Axis of the map of accuracies, for the Hurst index and for the exponent.
_AXIS = tuple(round(float(value), 6) for value in np.linspace(0.1, 0.9, 10))


def _accuracy(
    rows: Sequence[int], columns: Sequence[int], rates: Sequence[float], networks: int
) -> list[dict[str, Any]]:
    """Map, learning rates and epochs of the authors' script; the depth is 200, not 1000."""
    return [
        {
            "hurst": _AXIS[row],
            "betas": tuple(_AXIS[column] for column in columns),
            "learning_rates": tuple(rates),
            "depth": 200,
            "width": 30,
            "epochs": 10,
            "schedule_step": 5,
            "held_out": 0.2,
            "data": "digits",
            "networks": networks,
        }
        for row in rows
    ]


EXPERIMENTS = (
    Experiment(
        "ld-iid",
        "Displacement of output and gradient against depth, independent weights",
        cells.scan,
        {
            "quick": _scan((10, 120, 1000), law="uniform", betas=(1.0, 0.25, 0.5), networks=50),
            "full": _scan(_DEPTHS, law="uniform", betas=(1.0, 0.75, 0.25, 0.5), networks=400),
        },
        finish=theory.scan,
    ),
    Experiment(
        "ld-histogram",
        "Histogram of the norms of output and gradient, and the log-normal limit",
        limits.histogram,
        {"quick": _histograms(2000, 30), "full": _histograms(10_000, 400)},
        finish=theory.histogram,
    ),
    Experiment(
        "ld-smooth",
        "Displacement of output and gradient against depth, smooth weights",
        cells.scan,
        {
            "quick": _scan((50, 100, 200, 400), law="smooth", betas=(2.0, 0.5, 1.0), networks=20),
            "full": _scan(
                (*_DEPTHS, 50, 100, 200, 400), law="smooth", betas=(2.0, 0.5, 1.0), networks=200
            ),
        },
        finish=theory.scan,
    ),
    Experiment(
        "ld-paths",
        "Fractional noise along the layers, and its running sum",
        cells.paths,
        {
            preset: _grid(*({"hurst": hurst} for hurst in (0.2, 0.5, 0.8)), depth=1000)
            for preset in ("quick", "full")
        },
    ),
    Experiment(
        "ld-phase",
        "Phase diagram: displacements over Hurst index and exponent, both directions",
        cells.phase,
        {
            "quick": [
                *_phase(HURSTS[::6], BETAS[::3], networks=5, inputs=2),
                *_phase(HURSTS[48:], BETAS[::3], networks=5, inputs=2, generator="published"),
                *_phase(HURSTS[::12], BETAS[::3], networks=5, inputs=2, block="single"),
            ],
            "full": [
                *_phase(HURSTS, BETAS, networks=10, inputs=50),
                *_phase(HURSTS[30::3], BETAS, networks=10, inputs=10, generator="published"),
                *_phase(HURSTS[::3], BETAS, networks=10, inputs=10, block="single"),
            ],
        },
        finish=theory.phase,
    ),
    Experiment(
        "ld-boundaries",
        "Critical exponents by theory: depth, width, block, direction and generator",
        limits.boundaries,
        {
            "quick": limits.boundary_grid(HURSTS[::12], (100, 1000)),
            "full": limits.boundary_grid(HURSTS, (30, 100, 300, 1000, 3000)),
        },
    ),
    Experiment(
        "ld-exponents",
        "Local critical exponents between two depths",
        limits.exponents,
        {
            "quick": limits.exponent_grid((250, 1000)),
            "full": limits.exponent_grid((250, 1000), (1000, 4000)),
        },
    ),
    Experiment(
        "ld-sde",
        "Strong convergence of networks of one Brownian path to the stochastic equation",
        limits.strong_convergence,
        {
            "quick": _grid({"activation": "relu"}, {"activation": "tanh"}, width=5, networks=200),
            "full": _grid({"activation": "relu"}, {"activation": "tanh"}, width=5, networks=2000),
        },
    ),
    Experiment(
        "ld-ode",
        "Convergence of networks with smooth weights to the ordinary equation",
        limits.smooth_convergence,
        {
            "quick": _grid({"width": 20, "networks": 20}),
            "full": _grid({"width": 20, "networks": 200}),
        },
    ),
    Experiment(
        "ld-stages",
        "One path of the weights, read by networks of several depths",
        limits.stages,
        {
            preset: _grid({"kind": "rough"}, {"kind": "smooth"}, width=5)
            for preset in ("quick", "full")
        },
    ),
    Experiment(
        "ld-fraction",
        "Explosion in mean against explosion in probability, narrow networks",
        limits.fraction,
        {
            preset: _grid(
                *({"width": width} for width in (1, 2, 3, 4, 8)),
                depth=2000,
                beta=0.25,
                networks=networks,
            )
            for preset, networks in (("quick", 1000), ("full", 20_000))
        },
    ),
    Experiment(
        "ld-contraction",
        "Contraction of single-matrix blocks with rough weights",
        cells.contraction,
        {
            "quick": _contraction(
                ("linear", 3, 250, 1000), ("linear", 3, 1000, 1000), ("relu", 16, 400, 200)
            ),
            "full": _contraction(
                *(("linear", 3, depth, 4000) for depth in (250, 1000, 4000)),
                *(("linear", 10, depth, 2000) for depth in (250, 1000, 4000)),
                *(("relu", 16, depth, 1000) for depth in (100, 400, 1600)),
            ),
        },
        finish=theory.contraction,
    ),
    Experiment(
        "ld-roughness",
        "Trained weights along the depth: what of their roughness is left",
        trained.roughness,
        {
            "quick": [
                *_roughness((1e-3, 10), networks=3, depth=200),
                *_roughness((1e-2, 30), networks=2, depth=60),
            ],
            "full": _roughness((1e-3, 10), (1e-2, 30), networks=10, depth=200),
        },
        finish=learned.roughness,
    ),
    Experiment(
        "ld-accuracy",
        "Accuracy after training over Hurst index and exponent",
        trained.accuracy,
        {
            "quick": _accuracy((0, 9), (0, 4, 9), (1e-3, 1e-2), networks=2),
            "full": _accuracy(range(10), range(10), LEARNING_RATES, networks=3),
        },
        finish=learned.accuracy,
    ),
)
