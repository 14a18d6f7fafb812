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
from companion.kernels.tangent import pair_angles
from companion.kernels.tangent_limits import degeneration_offset
from companion.papers.tangent_kernel.draws import Split, digits, field, harmonic, sphere
from companion.papers.tangent_kernel.settings import Params, Seed, children, network
from companion.regression import KernelRegressor, oracle

__all__ = [
    "FIELD_NOISE",
    "HARMONIC_NOISE",
    "KINDS",
    "TIMES",
    "classification",
    "harmonic_risk",
    "risk",
    "scores",
]

Array = NDArray[np.float64]

#: Stopping times that the oracle chooses from; the last one never stops.
TIMES = np.append(np.geomspace(1.0, 1e8, 65), math.inf)

#: Standard deviation of the noise on the labels of the two regressions.
FIELD_NOISE, HARMONIC_NOISE = 0.2, 0.3

_TEST = 500

#: How labels enter the classification.
KINDS = ("raw", "centred", "parzen")


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


def scores(table: TangentTable, data: Split, targets: Array, times: Array) -> Array:
    """Predicted targets on the test images for every time, shape (T, M, outputs)."""
    model = KernelRegressor(table.gram, stopping=math.inf, noise=0.0)
    return np.asarray(model.fit(data.x_train, targets).path(data.x_test, times))


def classification(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Classes of images by regression of their indicators: one row per split and kind.

    ``raw`` takes the same constant off all indicators, ``centred`` from each its mean over the
    training images; ``parzen`` (with ``parzen=True``) is the kernel that is left of the first
    order in ``1/T`` at infinite effective depth, with centred indicators.
    """
    table = tangent_table(network(params))
    times, rows = TIMES[::4], []
    for number, child in enumerate(children(seed, params["networks"])):
        data = digits(np.random.default_rng(child), params["data"], params["samples"])
        onehot, truth = np.eye(data.classes)[data.y_train], np.eye(data.classes)[data.y_test]
        means_ = {"raw": 1 / data.classes, "centred": onehot.mean(0)}
        both = np.hstack([onehot - mean for mean in means_.values()])
        found = scores(table, data, both, np.append(times, math.inf))
        for place, (kind, mean) in enumerate(means_.items()):
            part = found[..., place * data.classes : (place + 1) * data.classes]
            rows.append((kind, number, *_judge(part, data.y_test, truth - mean)))
        if params["parzen"]:
            part = (_vote(data) @ (onehot - onehot.mean(0)))[None]
            rows.append(("parzen", number, *_judge(part, data.y_test, truth)))
    return pd.DataFrame(rows, columns=["kind", "network", "accuracy", "error", "gain"])


def _judge(path: Array, labels: NDArray[np.int64], targets: Array) -> tuple[float, float, float]:
    """Accuracy and relative squared error at the last time; best accuracy of all minus last."""
    accuracy = np.mean(path.argmax(-1) == labels, axis=1)
    error = float(np.sum((path[-1] - targets) ** 2) / np.sum(targets**2))
    return float(accuracy[-1]), error, float(accuracy.max() - accuracy[-1])


def _vote(data: Split) -> Array:
    """``a(theta)`` between test and training images, from a grid: ``theta a`` is smooth."""
    grid = np.linspace(0.0, np.pi, 2001)
    product = np.append(3 * np.pi / 4, grid[1:] * degeneration_offset(grid[1:]))
    theta = np.maximum(pair_angles(data.x_test, data.x_train), 1e-6)
    return np.asarray(np.interp(theta, grid, product) / theta)
