"""What stands beside the simulated numbers of the log-Gaussian experiments.

Each function takes the pooled rows of one cell and its parameters; it turns moments into estimates
with their standard errors and adds the theory.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from companion import loggaussian
from companion.architecture import ResNetSpec
from companion.papers.log_gaussian.cells import network
from companion.sweeps import moments

__all__ = [
    "alignment",
    "gradients",
    "histogram",
    "hypoactivation",
    "interlayer",
    "next_order",
    "norms",
    "second_moment",
]

Params = Mapping[str, Any]


def histogram(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Density with binomial errors."""
    low, high, bins = params["edges"]
    fraction, step = frame["count"] / params["networks"], (high - low) / bins
    error = np.sqrt(fraction * (1 - fraction) / params["networks"])
    return pd.DataFrame(
        {
            "x": frame["x"],
            "density": fraction / step,
            "sem": error / step,
            "count": frame["count"],
        }
    )


def norms(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Mean and variance of the log norm, and their law."""
    laws = _laws(frame, network(params))
    return pd.DataFrame(
        {
            "layer": frame["layer"],
            "ratio": frame["layer"] / params["width"],
            **moments.estimates(frame, "log_norm"),
            "mean_theory": [law.mean for law in laws],
            "variance_theory": [law.variance for law in laws],
        }
    )


def hypoactivation(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Mean imbalance and active fraction, times the width."""
    spec = network(params)
    imbalance, active = (moments.read(frame, name).mean for name in ("imbalance", "active"))
    theory_imbalance, theory_active = loggaussian.hypoactivation(spec)
    return pd.DataFrame(
        {
            "layer": frame["layer"],
            "imbalance": imbalance.value,
            "imbalance_sem": imbalance.sem,
            "active": active.value,
            "active_sem": active.sem,
            "imbalance_theory": spec.width * theory_imbalance[:-1],
            "active_theory": spec.width * (theory_active[:-1] - 0.5),
        }
    )


def interlayer(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Covariance of the leading order at each lag."""
    spec, lags = network(params), frame["lag"].to_numpy()
    return frame.assign(covariance_theory=spec.width * loggaussian.imbalance_covariance(spec, lags))


def second_moment(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Log of the mean, and mean of the log, from the input layer on."""
    specs = [network(params).replace(depth=int(layer)) for layer in frame["layer"]]
    laws = [loggaussian.log_norm_law(spec, input_layer="none") for spec in specs]
    return frame.assign(
        log_mean_theory=[loggaussian.log_second_moment(spec) for spec in specs],
        log_median_theory=[law.mean for law in laws],
    )


def gradients(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """First-order law, also outside its domain: the figure is there to show where it ends."""
    spec = network(params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", loggaussian.DomainWarning)
        laws = [
            loggaussian.gradient_law(spec.replace(depth=int(blocks)))
            for blocks in frame["blocks_above"]
        ]
    return frame.assign(
        mean_theory=[law.mean for law in laws], variance_theory=[law.variance for law in laws]
    )


def next_order(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    r"""What the leading order leaves out at ``L = n``, multiplied by :math:`n^2/L=n`."""
    law, found = loggaussian.log_norm_law(network(params)), moments.read(frame, "log_norm")
    mean = (found.mean - law.mean) * float(params["width"])
    variance = (found.variance - law.variance) * float(params["width"])
    return pd.DataFrame(
        {
            "mean": mean.value,
            "mean_sem": mean.sem,
            "variance": variance.value,
            "variance_sem": variance.sem,
        }
    )


def alignment(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Mean squared cosine, and its prediction."""
    spec, square = network(params), moments.read(frame, "alignment").mean
    theory = [
        loggaussian.tangent_alignment(spec.replace(depth=int(layer))) for layer in frame["layer"]
    ]
    return pd.DataFrame(
        {
            "layer": frame["layer"],
            "alignment": square.value,
            "alignment_sem": square.sem,
            "alignment_theory": theory,
        }
    )


def _laws(frame: pd.DataFrame, spec: ResNetSpec) -> list[loggaussian.LogGaussian]:
    return [loggaussian.log_norm_law(spec.replace(depth=int(layer))) for layer in frame["layer"]]
