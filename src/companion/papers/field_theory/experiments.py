"""Experiments of the field-theory chapter: what its figures show.

`cells` simulates, `theory` needs no network, `learning` trains and regresses. Simulated networks
have the running example's parameters (weights 1.2, biases 0.05, input 0.1) unless a cell says
otherwise. A quick grid shares cells with the full one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from companion.papers.field_theory import cells, learning, theory
from companion.sweeps import Experiment, moments

__all__ = ["EXAMPLE", "EXPERIMENTS", "PLAIN", "SETTINGS", "TRAINED_SCALES"]

#: Parameters of the running example, and of the network without biases.
EXAMPLE = {"weight_variance": 1.2, "bias_variance": 0.05, "input_variance": 0.1}
PLAIN = {"weight_variance": 1.0, "bias_variance": 0.0, "input_variance": 0.1}

#: ReLU beside the running example.
_RELU = {
    "activation": "relu",
    "weight_variance": 1.5,
    "bias_variance": 0.05,
    "input_variance": 0.3,
}

#: Parameters for which the optimal scale is drawn against the depth.
SETTINGS = (
    PLAIN,
    {"weight_variance": 1.0, "bias_variance": 0.05, "input_variance": 0.1},
    EXAMPLE,
    {"weight_variance": 1.0, "bias_variance": 0.0, "input_variance": 0.01},
)

#: Branch scales of the trained networks and of the regression.
TRAINED_SCALES = (0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.9)
_REGRESSION_SCALES = (0.03, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.9, 1.5)


def _points(depth: int) -> tuple[float, ...]:
    """Scales around the optimum of a depth; far beyond it single networks respond erratically."""
    return tuple(round(c / depth**0.5, 4) for c in (0.25, 0.5, 1.0, 1.5, 2.5))


def _grid(*sizes: Mapping[str, Any], **common: Any) -> list[dict[str, Any]]:
    return [{**common, **size} for size in sizes]


def _kernels(networks: int) -> list[dict[str, Any]]:
    """One cell for every scale; explicit names keep erf and ReLU in one table."""
    erf = {"activation": "erf", **EXAMPLE}
    return _grid(
        *({**erf, "scale": scale} for scale in (0.1, 0.2, 0.35, 0.6)),
        {**_RELU, "scale": 0.35},
        depth=30,
        width=500,
        networks=networks,
    )


def _responses(implicit: int, explicit: int) -> list[dict[str, Any]]:
    common = {"width": 400, **EXAMPLE}
    return [
        *_grid(
            *({"depth": depth, "scales": _points(depth)} for depth in (5, 20, 50, 100)),
            weights="implicit",
            networks=implicit,
            **common,
        ),
        {
            "depth": 20,
            "scales": (0.1, 0.2, 0.35),
            "weights": "explicit",
            "networks": explicit,
            **common,
        },
    ]


def _optimum(depths: Sequence[int]) -> list[dict[str, Any]]:
    return _grid(*SETTINGS, depths=tuple(depths))


_FEW_DEPTHS = (2, 5, 10, 20, 50, 100)
_DEPTHS = sorted({*_FEW_DEPTHS, *(int(d) for d in np.round(np.geomspace(2, 1000, 25)))})


def _variance(sigmas: Sequence[float]) -> list[dict[str, Any]]:
    return _grid(
        *(
            {"bias_variance": bias, "input_variance": k0}
            for k0 in (0.1, 0.05)
            for bias in (0.0, 0.02, 0.05, 0.1)
        ),
        depth=20,
        sigmas=tuple(sigmas),
    )


_SIGMAS = tuple(float(s) for s in np.round(np.geomspace(0.35, 2.8, 73), 6))


def _fluctuations(networks: int, deep: int) -> list[dict[str, Any]]:
    example = {"activation": "erf", "depth": 10, "scale": 0.35, **EXAMPLE}
    return _grid(
        *({**example, "width": width} for width in (50, 100, 200, 400)),
        {"activation": "erf", "depth": 30, "scale": 0.25, "width": 200, **PLAIN},
        {**_RELU, "depth": 10, "scale": 0.35, "width": 200},
        # at the optimal scale of its depth
        {
            "activation": "erf",
            "depth": 100,
            "scale": 0.1347,
            "width": 1000,
            **PLAIN,
            "every": 10,
            "networks": deep,
        },
        every=1,
        networks=networks,
    )


#: By curve: the largest depth that is simulated, and the largest one of the theory, beyond which
#: too many modes of a saturated activation would be needed.
_REACH = {"optimum": (100, 1000), "erf": (100, 300), "relu": (30, 1000)}


def _accumulation(networks: int) -> list[dict[str, Any]]:
    return [
        {
            "curve": curve,
            "depth": depth,
            "networks": networks if depth <= simulated else 0,
        }
        for curve, (simulated, largest) in _REACH.items()
        for depth in (2, 10, 30, 100, 300, 1000)
        if depth <= largest
    ]


def _training(*cells: tuple[str, int, int], scales: Sequence[float]) -> list[dict[str, Any]]:
    """Cells of protocol, depth and number of seeds."""
    return [
        {
            "protocol": protocol,
            "depth": depth,
            "networks": networks,
            "width": 64,
            "scales": tuple(scales),
            **EXAMPLE,
        }
        for protocol, depth, networks in cells
    ]


def _regression(*cells: tuple[int, float, float], networks: int) -> list[dict[str, Any]]:
    """Cells of depth, bias variance and noise."""
    return [
        {
            **EXAMPLE,
            "depth": depth,
            "bias_variance": bias,
            "noise": noise,
            "networks": networks,
            "scales": _REGRESSION_SCALES,
        }
        for depth, bias, noise in cells
    ]


_KIND_SCALES = tuple(float(s) for s in np.round(np.geomspace(0.02, 3.0, 61), 6))
_COSINES = tuple(float(c) for c in np.round(np.linspace(-0.9, 0.95, 38), 6))
_REDUCED = tuple(float(v) for v in np.round(np.linspace(0.005, 0.8, 64), 6))
_BETAS = tuple(float(b) for b in np.round(np.linspace(0.0, 0.36, 46), 6))
_EXPLORED = tuple(float(s) for s in np.round(np.geomspace(0.02, 2.0, 33), 6))


def _explorer(depths: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {
            "depth": depth,
            "weight_variance": round(sigma**2, 6),
            "bias_variance": bias,
            "input_variance": 0.1,
            "scales": _EXPLORED,
        }
        for depth in depths
        for sigma in (0.5, 0.7, 1.0, 1.4)
        for bias in (0.0, 0.05, 0.1)
    ]


EXPERIMENTS = (
    Experiment(
        "ft-kernels",
        "Kernel and its response to the input, layer by layer",
        cells.kernels,
        {"quick": _kernels(40), "full": _kernels(1000)},
        finish=cells.kernels_table,
    ),
    Experiment(
        "ft-response",
        "Response of the output against the branch scale",
        cells.output_response,
        {"quick": _responses(30, 4), "full": _responses(400, 150)},
        finish=cells.output_response_table,
        dtype="float64",
    ),
    Experiment(
        "ft-optimum",
        "Optimal scale against the depth, exactly and in closed forms",
        theory.optimum,
        {"quick": _optimum(_FEW_DEPTHS), "full": _optimum(_DEPTHS)},
        dtype="float64",
    ),
    Experiment(
        "ft-variance",
        "Optimal scale against the variance of the weights",
        theory.variance,
        {"quick": _variance(_SIGMAS[::8]), "full": _variance(_SIGMAS)},
        dtype="float64",
    ),
    Experiment(
        "ft-fluctuations",
        "Fluctuations of kernels from network to network",
        cells.fluctuations,
        {"quick": _fluctuations(2000, 50), "full": _fluctuations(20_000, 5000)},
        pool=moments.pool,
        finish=cells.fluctuations_table,
    ),
    Experiment(
        "ft-accumulation",
        "Relative fluctuations of the last kernel against the depth",
        cells.accumulation,
        {"quick": _accumulation(100), "full": _accumulation(4000)},
        dtype="float64",
    ),
    Experiment(
        "ft-training",
        "Accuracy after training against the branch scale",
        learning.runs,
        {
            "quick": _training(("short", 5, 2), ("short", 20, 2), scales=TRAINED_SCALES),
            "full": _training(
                *(("short", depth, 20) for depth in (5, 20, 60)),
                ("long", 20, 10),
                ("sgd", 20, 10),
                scales=TRAINED_SCALES,
            ),
        },
        finish=learning.training_table,
    ),
    Experiment(
        "ft-regression",
        "Error of the regression with the kernel of the infinitely wide network",
        learning.regression,
        {
            "quick": _regression((20, 0.05, 1e-3), networks=2),
            "full": _regression(
                *((depth, 0.05, 1e-3) for depth in (5, 20, 60)),
                (20, 0.0, 1e-3),
                (20, 0.05, 0.05),
                networks=10,
            ),
        },
        finish=learning.regression_table,
        dtype="float64",
    ),
    Experiment(
        "ft-kinds",
        "Which responses have a largest scale",
        theory.kinds,
        {
            preset: _grid(
                *({"kind": kind} for kind in theory.KINDS), depth=20, scales=scales, **EXAMPLE
            )
            for preset, scales in (("quick", _KIND_SCALES[::4]), ("full", _KIND_SCALES))
        },
        dtype="float64",
    ),
    Experiment(
        "ft-pairs",
        "Optimal scale for two inputs against their cosine",
        theory.pairs,
        {
            preset: _grid(*({"depth": depth} for depth in (5, 20, 60)), cosines=cosines, **EXAMPLE)
            for preset, cosines in (("quick", _COSINES[::6]), ("full", _COSINES))
        },
        dtype="float64",
    ),
    Experiment(
        "ft-criterion",
        "Where an optimal scale exists: input variance against bias variance",
        theory.criterion,
        {
            preset: [{"depth": 100, "reduced": _REDUCED[::step], "betas": _BETAS[::step]}]
            for preset, step in (("quick", 9), ("full", 1))
        },
        dtype="float64",
    ),
    Experiment(
        "ft-explorer",
        "Response curves for the interactive figure",
        theory.explorer,
        {"quick": _explorer((20,)), "full": _explorer((5, 20, 50, 100))},
        dtype="float64",
    ),
)
