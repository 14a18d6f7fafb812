"""What stands beside the simulated numbers of the large-depth experiments.

Each function takes the rows of one cell and its parameters and adds the theory.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from companion import depthlimits
from companion.activations import ReLU
from companion.papers.large_depth.cells import network, weight_law

__all__ = ["contraction", "histogram", "phase", "scan"]

Params = Mapping[str, Any]
Array = NDArray[np.float64]


def scan(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Root mean square displacement: exact for independent layers, the wide limit for others.

    The wide limit is known for ReLU; NaN for another activation.
    """
    rms = [
        np.exp(_log_square(params, float(beta), direction) / 2)
        for beta, direction in zip(frame["beta"], frame["direction"], strict=True)
    ]
    return frame.assign(rms_theory=rms)


def _log_square(params: Params, beta: float, direction: str) -> float:
    spec = network({**params, "beta": beta})
    if spec.weight_law.independent:
        return depthlimits.log_mean_square_displacement(spec)
    if not isinstance(spec.activation, ReLU):
        return float("nan")
    g, scale = depthlimits.layer_covariance(spec.weight_law, spec.depth), float(spec.scales[0])
    if direction == "output":
        return float(depthlimits.log_displacement(g, scale, spec.block)[-1])
    if beta < 1:  # the covariance of the streams leaves the range of numbers
        return float("nan")
    logs = depthlimits.log_gradient_displacement(g, scale, block=spec.block, width=spec.width)
    return float(logs[0])


def histogram(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Density with binomial errors, and the log-normal limit."""
    low, high, bins = params["edges"]
    step, networks = (high - low) / bins, params["networks"]
    fraction = frame["count"] / networks
    law = depthlimits.limit_law(network({**params, "law": "gaussian"}))
    x = frame["x"].to_numpy()
    return pd.DataFrame(
        {
            "direction": frame["direction"],
            "x": x,
            "density": fraction / step,
            "sem": np.sqrt(fraction * (1 - fraction) / networks) / step,
            "count": frame["count"],
            "density_theory": 2 / x * law.pdf(2 * np.log(x)),
        }
    )


def phase(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """The recursion of the wide network for outputs, and both first-order boundaries."""
    law = {"exact": "fractional", "published": "published"}[params["generator"]]
    g = depthlimits.layer_covariance(weight_law({**params, "law": law}), params["depth"])
    critical, sums = _boundaries(tuple(g), params["block"], params["width"])
    output = (frame["direction"] == "output").to_numpy()
    betas = frame["beta"].to_numpy()
    logs = depthlimits.log_displacement(g, params["depth"] ** -betas, params["block"])[:, -1]
    first = np.log(np.where(output, *sums)) / (2 * np.log(params["depth"]))
    return frame.assign(
        log10_theory=np.where(output, logs / (2 * np.log(10)), np.nan),
        boundary_theory=np.where(output, critical, np.nan),
        first_order_theory=first,
    )


@lru_cache(maxsize=256)
def _boundaries(
    covariance: tuple[float, ...], block: str, width: int
) -> tuple[float, tuple[float, float]]:
    g = np.array(covariance)
    sums = depthlimits.first_order_sums(g, block, width)
    return depthlimits.critical_exponent(g, block), (sums.forward, sums.backward)


def contraction(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Leading order of the contraction of a linear branch; none is known for ReLU."""
    leading = float("nan")
    if params["activation"] == "linear":
        leading = depthlimits.contraction_log_norm(
            params["depth"] ** -params["beta"], params["depth"], params["width"]
        )
    return frame.assign(leading_theory=leading)
