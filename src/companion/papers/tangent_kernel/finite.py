r"""Cells of the tangent-kernel experiments with networks of finite width.

Notation
--------
==============================  =====================  ======================
symbol                          name                   label in the book
==============================  =====================  ======================
:math:`\hat\Theta`              empirical kernel       ``eq-tk-finite``
:math:`f-f_0`                   centred output         ``eq-tk-centred-output``
:math:`\eta=.5/2T`              ``STEP / 2T``          ``eq-tk-centred-output``
==============================  =====================  ======================

Images are the digits of scikit-learn, each divided by its length; targets are the indicators of
the classes minus 0.1. Networks are trained on half the mean squared error of :math:`f-f_0` by
gradient descent with momentum on all images at once; the matrices of the blocks are trained, input
map and readout are fixed. Every repeat has its own split and its own weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from companion.kernels.table import tangent_table
from companion.papers.tangent_kernel.draws import Split, digits
from companion.papers.tangent_kernel.images import scores
from companion.papers.tangent_kernel.settings import Params, Seed, children, network
from companion.regression import KernelRegressor
from companion.simulate import tangent
from companion.simulate.blocks import Noise, one_thread, resolve_device, resolve_dtype
from companion.simulate.extrapolation import diagonal_variation, ratio_of_means

__all__ = [
    "ANGLES",
    "FLOW_TIME",
    "MOMENTUM",
    "STEP",
    "convergence",
    "empirical",
    "training",
]

Array = NDArray[np.float64]

#: Angles between the inputs of `convergence`, from the first one.
ANGLES = (0.5, 1.0, 2.0, 3.0)

#: Momentum, and the step in units of the inverse amplitude of the tangent kernel.
MOMENTUM, STEP = 0.9, 0.5

#: Stopping time of the regression with an empirical kernel, that of 80 steps.
FLOW_TIME = 400.0

_TRAIN, _TEST, _PIXELS = 500, 400, 64


def convergence(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Ratio of mean kernels, off the diagonal and on it, at one width.

    ``amplitude`` is the mean of the diagonal over its value at infinite width, at every angle.
    """
    spec = network(params)
    theta = np.array((0.0, *ANGLES))
    inputs = np.stack([np.cos(theta), np.sin(theta), 0 * theta], axis=1)
    found = tangent.sample(spec, params["networks"], seed=seed, inputs=inputs, device=device)
    kernels = found.normalized
    diagonal = np.diagonal(kernels, axis1=1, axis2=2)
    ratio = ratio_of_means(kernels[:, 0, 1:], (diagonal[:, :1] + diagonal[:, 1:]) / 2)
    unit = np.full((len(kernels), 1), 2 * spec.effective_depth())
    amplitude = ratio_of_means(diagonal[:, 1:], unit)
    return pd.DataFrame(
        {
            "x": theta[1:],
            "ratio": ratio.value,
            "ratio_sem": ratio.sem,
            "amplitude": amplitude.value,
            "amplitude_sem": amplitude.sem,
        }
    )


def empirical(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Regression with the tangent kernel of one untrained network: one row per repeat.

    ``accuracy`` on the test images, ``kernel`` that of the kernel of infinite width on the same
    split, both at `FLOW_TIME`, and ``variation``, the coefficient of variation of the diagonal
    over the images.
    """
    spec = network({**params, "inputs": _PIXELS})
    rows = []
    for number, child in enumerate(children(seed, params["networks"])):
        data, weights = _start(child)
        x = np.concatenate([data.x_train, data.x_test])
        found = tangent.sample(spec, 1, seed=weights, inputs=x, device=device).normalized
        values = found[0] / (2 * spec.effective_depth())
        model = KernelRegressor(_Known(values), stopping=FLOW_TIME, noise=0.0)
        index = np.arange(len(x), dtype=np.float64)[:, None]
        targets = _indicators(data)
        output = model.fit(index[:_TRAIN], targets).predict(index[_TRAIN:])
        accuracy = float(np.mean(output.argmax(1) == data.y_test))
        infinite = float(_kernel_accuracy(params, data, [FLOW_TIME])[0])
        rows.append((number, accuracy, infinite, accuracy - infinite, diagonal_variation(found)[0]))
    return pd.DataFrame(rows, columns=["network", "accuracy", "kernel", "gap", "variation"])


def training(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Accuracy of networks in training: one row per repeat and checkpoint.

    ``kernel`` is the accuracy of the gradient flow of infinite width on the same split, at the
    time :math:`t=\eta\,2T\cdot\text{steps}/(1-\text{momentum})`.
    """
    spec = network({**params, "inputs": _PIXELS})
    steps = list(params["checkpoints"])
    times = [count * STEP / (1 - MOMENTUM) for count in steps]
    rows = []
    for number, child in enumerate(children(seed, params["networks"])):
        data, weights = _start(child)
        noise = Noise(weights, range(1), 1, resolve_device(device), resolve_dtype("float32"))
        net = tangent.FiniteNetwork(spec.replace(outputs=data.classes), noise)
        with one_thread():
            found = list(_descend(net, data, steps))
        infinite = _kernel_accuracy(params, data, times)
        for step, accuracy, limit in zip(steps, found, infinite, strict=True):
            rows.append((step, number, accuracy, float(limit), accuracy - float(limit)))
    return pd.DataFrame(rows, columns=["steps", "network", "accuracy", "kernel", "gap"])


class _Known:
    """A kernel that was computed before; its inputs are the numbers of the rows."""

    def __init__(self, values: Array) -> None:
        self._values = values

    def __call__(self, X: ArrayLike, Y: ArrayLike | None = None) -> Array:
        rows, columns = (np.asarray(part)[:, 0].astype(int) for part in (X, X if Y is None else Y))
        return self._values[np.ix_(rows, columns)]


def _start(seed: Seed) -> tuple[Split, Seed]:
    split, weights = children(seed, 2)
    return digits(np.random.default_rng(split), "digits", _TRAIN, _TEST), weights


def _indicators(data: Split) -> Array:
    return np.asarray(np.eye(data.classes)[data.y_train] - 1 / data.classes)


def _kernel_accuracy(params: Params, data: Split, times: list[float]) -> Array:
    path = scores(tangent_table(network(params)), data, _indicators(data), np.array(times))
    return np.asarray(np.mean(path.argmax(-1) == data.y_test, axis=1))


def _descend(net: Any, data: Split, steps: list[int]) -> Iterator[float]:
    """Train a network in place; test accuracy at every one of the steps."""
    train, test, targets = (
        net.input_map.new_tensor(part) for part in (data.x_train, data.x_test, _indicators(data))
    )
    start, held = (net.output(net.forward(x)) for x in (train, test))
    rate = STEP / (2 * net.spec.effective_depth())
    weights = [*zip(net.inner, net.outer, strict=True)]
    velocity = [tuple(part.new_zeros(part.shape) for part in pair) for pair in weights]
    for step in range(1, max(steps) + 1):
        tape = net.forward(train)
        residual = net.output(tape) - start - targets
        for layer, *gradient in net.gradients(tape, residual / len(train)):
            for kept, part in zip(velocity[layer - 1], gradient, strict=True):
                kept.mul_(MOMENTUM).add_(part, alpha=-rate)
        for pair, moves in zip(weights, velocity, strict=True):
            for part, move in zip(pair, moves, strict=True):
                part.add_(move)
        if step in steps:
            output = net.output(net.forward(test)) - held
            yield float(np.mean(output.argmax(1).cpu().numpy() == data.y_test))
