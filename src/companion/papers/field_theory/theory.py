"""Cells of the field-theory experiments that need no network: optimal scales and what they do.

Every column but the index is theory. The parameters of a cell are those of
`companion.papers.field_theory.cells.settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from companion import response
from companion.papers.field_theory.cells import network, settings

__all__ = ["KINDS", "criterion", "explorer", "kinds", "optimum", "pairs", "variance"]

Params = Mapping[str, Any]
Seed = np.random.SeedSequence
Array = NDArray[np.float64]

#: ``2 gamma^2`` of the erf of unit slope.
_UNIT = np.pi / 2


def optimum(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Optimal scale against depth, with its approximations and what happens there."""
    depths = np.asarray(params["depths"])
    sets = settings({**params, "depth": 1}).replace(depth=depths)
    exact = np.asarray(response.optimal_scale(sets))
    twice = np.asarray(response.optimal_scale(sets.replace(depth=2 * depths)))
    band = response.plateau(sets)
    final = response.top_kernel(sets, exact**2)
    return pd.DataFrame(
        {
            "x": depths,
            "exact_theory": exact,
            "leading_theory": response.leading_scale(sets),
            "corrected_theory": response.corrected_scale(sets),
            "explicit_theory": response.explicit_scale(sets),
            "low_theory": band.low,
            "high_theory": band.high,
            "final_theory": final,
            "operating_theory": response.operating_kernel(sets.bias_ratio),
            "slope_theory": np.log(twice / exact) / np.log(2),
            "entropy_theory": response.entropy_scale(sets),
            "correction_theory": response.depth_correction(sets),
            "time_theory": np.log(final / sets.input_variance),
        }
    )


def variance(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Optimal scale against the standard deviation of the weights."""
    sigmas = np.asarray(params["sigmas"])
    sets = settings({**params, "weight_variance": 1.0}).replace(weight_variance=sigmas**2)
    exact, band = np.asarray(response.optimal_scale(sets)), response.plateau(sets)
    exists = exact > 0
    return pd.DataFrame(
        {
            "x": sigmas,
            "optimum_theory": np.where(exists, exact, np.nan),
            "elasticity_theory": response.elasticity(sets),
            "low_theory": band.low,
            "high_theory": band.high,
        }
    )


def kinds(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Log response against the scale, for several responses and networks."""
    scales = np.asarray(params["scales"])
    kind = params["kind"]
    return pd.DataFrame({"x": scales, "log_response_theory": KINDS[kind](params, scales)})


def _diagonal(params: Params, scales: Array) -> Array:
    return response.log_output_response(settings(params), scales)


def _pair(params: Params, scales: Array) -> Array:
    return response.log_pair_response(settings(params), 0.5, scales)


def _jacobian(params: Params, scales: Array) -> Array:
    found = [float(response.jacobian_response(network(params, s)).log_output) for s in scales]
    return np.array(found)


def _relu(params: Params, scales: Array) -> Array:
    return _by_network({**params, "activation": "relu"}, scales, "activation")


def _linear_readout(params: Params, scales: Array) -> Array:
    return _by_network(params, scales, "linear")


def _by_network(params: Params, scales: Array, readout: str) -> Array:
    specs = [network(params, float(s)).replace(readout=readout) for s in scales]
    return np.array([float(response.diagonal_response(spec).log_output) for spec in specs])


#: Responses that are compared, by name.
KINDS = {
    "diagonal": _diagonal,
    "pair": _pair,
    "jacobian": _jacobian,
    "relu": _relu,
    "linear readout": _linear_readout,
}


def pairs(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Optimal scale of the response of two inputs, against their cosine."""
    cosines, sets = np.asarray(params["cosines"]), settings(params)
    return pd.DataFrame(
        {
            "x": cosines,
            "optimum_theory": response.optimal_pair_scale(sets, cosines),
            "diagonal_theory": float(response.optimal_scale(sets)),
        }
    )


def criterion(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Optimal scale over the plane of input variance and bias ratio, weights of variance 1."""
    reduced = np.asarray(params["reduced"])
    betas = np.asarray(params["betas"])
    v0, beta = (part.ravel() for part in np.meshgrid(reduced, betas))
    sets = response.Settings(depth=params["depth"], bias_variance=beta, input_variance=v0 / _UNIT)
    return pd.DataFrame(
        {
            "x": v0,
            "beta": beta,
            "optimum_theory": np.asarray(response.optimal_scale(sets)) * params["depth"] ** 0.5,
            "slope_theory": response.initial_slope(sets) / params["depth"],
            "operating_theory": _UNIT * np.asarray(response.operating_kernel(beta)),
        }
    )


def explorer(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Response relative to that of the input layer, final kernel and optimum of one network."""
    scales, sets = np.asarray(params["scales"]), settings(params)
    band, best = response.plateau(sets), float(response.optimal_scale(sets))
    logs = response.log_output_response(sets, scales)
    return pd.DataFrame(
        {
            "x": scales,
            "response_theory": np.exp(logs),
            "kernel_theory": response.top_kernel(sets, scales**2),
            "optimum_theory": best,
            "low_theory": float(band.low),
            "high_theory": float(band.high),
            "operating_theory": float(response.operating_kernel(sets.bias_ratio)),
        }
    )
