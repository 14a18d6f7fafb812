r"""Cells of the tangent-kernel experiments that regress with the kernel of infinite width.

Early-stopped gradient flow without a ridge (``eq-tk-gradient-flow``); the stopping time is the
best of a grid for the clean target (an oracle, which is optimistic by a little), and ``final`` is
the end of the flow.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from companion.kernels.table import TangentTable, flow_table, tangent_table
from companion.papers.tangent_kernel.draws import field, harmonic, sphere
from companion.papers.tangent_kernel.settings import Params, Seed, children, network
from companion.regression import KernelRegressor, oracle

__all__ = [
    "FIELD_NOISE",
    "HARMONIC_NOISE",
    "TIMES",
    "harmonic_risk",
    "risk",
]

Array = NDArray[np.float64]

#: Stopping times that the oracle chooses from; the last one never stops.
TIMES = np.append(np.geomspace(1.0, 1e8, 65), math.inf)

#: Standard deviation of the noise on the labels of the two regressions.
FIELD_NOISE, HARMONIC_NOISE = 0.2, 0.3

_TEST = 500


def _stop(table: TangentTable, x: Array, labels: Array, clean: Array) -> tuple[float, float, float]:
    """Oracle risk, its time, and the risk at the end; the test inputs are the last rows."""
    count = len(labels)
    model = KernelRegressor(table.gram, stopping=math.inf, noise=0.0).fit(x[:count], labels)
    found = oracle(model, x[count:], clean[count:], TIMES)
    return found.risk, min(found.time, 1e9), float(found.risks[-1])


def risk(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Risk on a random target at the edge of the native space: one row per repeat."""
    table, count = tangent_table(network(params)), params["samples"]
    rows = []
    for number, child in enumerate(children(seed, params["networks"])):
        rng = np.random.default_rng(child)
        x = sphere(rng, count + _TEST)
        clean = field(rng, x)
        labels = clean[:count] + FIELD_NOISE * rng.standard_normal(count)
        best, time, final = _stop(table, x, labels, clean)
        rows.append((number, best, math.log10(time), final))
    return pd.DataFrame(rows, columns=["network", "risk", "log_time", "final"])


def harmonic_risk(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Risk on one harmonic for every ``T`` in ``depths``: one row per repeat and ``T``."""
    rows, count = [], params["samples"]
    for number, child in enumerate(children(seed, params["networks"])):
        rng = np.random.default_rng(child)
        x = sphere(rng, count + _TEST, params["domain"])
        clean = harmonic(x, params["degree"])
        labels = clean[:count] + HARMONIC_NOISE * rng.standard_normal(count)
        for depth in params["depths"]:
            best, _, final = _stop(flow_table(float(depth)), x, labels, clean)
            rows.append((float(depth), number, best, final))
    return pd.DataFrame(rows, columns=["x", "network", "risk", "final"])
