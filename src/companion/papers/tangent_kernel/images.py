r"""Cells of the tangent-kernel experiments that classify images with the kernel of infinite width.

The indicators of the classes are regressed on by gradient flow without a ridge
(``eq-tk-gradient-flow``), and the largest one decides. Every split of the images serves all
kernels, so that differences between them are paired.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from companion.kernels.table import TangentTable, tangent_table
from companion.kernels.tangent import pair_angles
from companion.kernels.tangent_limits import degeneration_offset
from companion.papers.tangent_kernel.draws import Split, digits
from companion.papers.tangent_kernel.settings import Params, Seed, children, network
from companion.regression import KernelRegressor

__all__ = ["classification", "scores"]

Array = NDArray[np.float64]

#: Stopping times at which the accuracy is compared with that of the whole flow.
_TIMES = np.append(np.geomspace(1.0, 1e8, 17), math.inf)


def classification(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Classes of images for every exponent and depth: one row per split, kernel and kind.

    Parameters
    ----------
    params
        ``data``, ``samples`` (images for training; the rest is for testing), ``networks``
        (splits), ``exponents`` and ``depths``, and ``deepest``, a depth at a constant scale; 0
        for none.

    Returns
    -------
    DataFrame
        Columns ``beta``, ``x`` (the depth), ``kind``, ``network``, ``accuracy``, ``error``
        (squared, relative to the labels) and ``gain`` (best accuracy of all stopping times minus
        that of the whole flow). Of kind ``raw``, one constant is taken off all indicators, of kind
        ``centred`` from each its mean over the training images. With ``deepest``, ``parzen`` is
        the vote that is left in the first order of ``1/T``, with centred indicators
        (``eq-tk-parzen``).
    """
    laws = [(beta, depth) for beta in params["exponents"] for depth in params["depths"]]
    laws += [(0.0, params["deepest"])] * bool(params["deepest"])
    rows = []
    for number, child in enumerate(children(seed, params["networks"])):
        data = digits(np.random.default_rng(child), params["data"], params["samples"])
        for beta, depth in laws:
            table = tangent_table(network({"beta": beta, "depth": depth}))
            for kind, *judged in _classify(table, data):
                rows.append((beta, depth, kind, number, *judged))
        if params["deepest"]:
            onehot = np.eye(data.classes)[data.y_train]
            found = (_vote(data) @ (onehot - onehot.mean(0)))[None]
            truth = np.eye(data.classes)[data.y_test]
            rows.append(
                (0.0, params["deepest"], "parzen", number, *_judge(found, data.y_test, truth))
            )
    columns = ["beta", "x", "kind", "network", "accuracy", "error", "gain"]
    return pd.DataFrame(rows, columns=columns)


def scores(table: TangentTable, data: Split, targets: Array, times: Array) -> Array:
    """Predicted targets on the test images for every time, shape (T, M, outputs)."""
    model = KernelRegressor(table.gram, stopping=math.inf, noise=0.0)
    return np.asarray(model.fit(data.x_train, targets).path(data.x_test, times))


def _classify(table: TangentTable, data: Split) -> Iterator[tuple[str, float, float, float]]:
    """Both treatments of the labels with one decomposition."""
    onehot, truth = np.eye(data.classes)[data.y_train], np.eye(data.classes)[data.y_test]
    means = {"raw": 1 / data.classes, "centred": onehot.mean(0)}
    found = scores(table, data, np.hstack([onehot - mean for mean in means.values()]), _TIMES)
    for (kind, mean), part in zip(means.items(), np.split(found, 2, axis=-1), strict=True):
        yield kind, *_judge(part, data.y_test, truth - mean)


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
