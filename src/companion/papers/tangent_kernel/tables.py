"""Rows of the tangent-kernel cells made presentable: means over repeats, theory beside them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from companion.kernels import spectrum as harmonics
from companion.kernels.table import flow_table, tangent_table
from companion.kernels.tangent import normalized_kernel
from companion.papers.tangent_kernel.draws import field_variances, means
from companion.papers.tangent_kernel.regressions import FIELD_NOISE, TIMES
from companion.papers.tangent_kernel.settings import Params, network

__all__ = [
    "classification_table",
    "convergence_table",
    "empirical_table",
    "harmonic_risk_table",
    "risk_table",
    "training_table",
]


def risk_table(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Means over the repeats, beside the risk if every harmonic were learned by itself."""
    spec = network(params)
    found = means(frame.assign(cell=0), "cell", ["risk", "log_time", "final"])
    variances = field_variances()
    values = harmonics.eigenvalues(tangent_table(spec), 3, variances.size - 1)
    ideal = harmonics.idealised_risk(
        np.maximum(values, 0.0), 3, variances, FIELD_NOISE, params["samples"], TIMES[:-1]
    )
    return found.drop(columns="cell").assign(
        ideal_theory=float(ideal.min()), effective_theory=spec.effective_depth()
    )


def harmonic_risk_table(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Means over the repeats, and the bias that the unresolved part of the kernel leaves."""
    degree, count = params["degree"], params["samples"]
    table = means(frame, "x", ["risk", "final"])
    values = np.array([harmonics.eigenvalues(flow_table(x), 3, degree)[-1] for x in table["x"]])
    plateau = np.array([float(harmonics.plateau_eigenvalues(degree, x)) for x in table["x"]])
    bias = harmonics.interpolation_bias(np.maximum(values, 0.0), count)
    # Else no unresolved part acts as a ridge, or the harmonics are no eigenfunctions.
    rough = (table["x"] ** 2 > count) & (params["domain"] == "sphere")
    return table.assign(
        eigenvalue_theory=values,
        bias_theory=np.where(rough, bias, np.nan),
        threshold_theory=np.where(rough, harmonics.interpolation_bias(plateau, count), np.nan),
    )


def classification_table(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Means over the splits by kernel and kind; a vote without a scale has no error.

    The gain is never negative and mostly 0: it has no standard error to be judged by.
    """
    table = means(frame, ["beta", "x", "kind"], ["accuracy", "error", "gain"])
    vote = table["kind"] == "parzen"
    for name in ("error", "error_sem", "gain"):
        table[name] = table[name].mask(vote)
    laws = zip(table["beta"], table["x"], strict=True)
    depths = [network({"beta": beta, "depth": int(x)}).effective_depth() for beta, x in laws]
    return table.drop(columns="gain_sem").assign(depth=table["x"], effective_theory=depths)


def convergence_table(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """The kernel of infinite width beside the ratios."""
    spec = network(params)
    return frame.assign(
        ratio_theory=normalized_kernel(spec, frame["x"].to_numpy()),
        effective_theory=spec.effective_depth(),
    )


def empirical_table(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Means over splits and networks."""
    names = ["accuracy", "kernel", "gap", "variation"]
    table = means(frame.assign(cell=0), "cell", names).drop(columns="cell")
    return table.assign(effective_theory=network(params).effective_depth())


def training_table(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Means over splits and networks at every checkpoint."""
    table = means(frame, "steps", ["accuracy", "kernel", "gap"])
    return table.assign(effective_theory=network(params).effective_depth())
