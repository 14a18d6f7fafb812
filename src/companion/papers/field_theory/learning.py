"""Does the scale of the largest response also learn best? Training and exact Bayesian regression.

Data are the digits of scikit-learn, every feature centred and all divided by one number, so that
the mean of the squared length over the dimension is 1 on the training images; with an input map of
variance 0.1 that is also the mean of ``K^0``. A seed stands for a split of the images, a set of
weights and an order of the examples; all scales share it, so that differences between scales are
paired.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from companion import datasets, response
from companion.architecture import ResNetSpec
from companion.datasets import Dataset
from companion.montecarlo import Estimate
from companion.papers.field_theory.cells import children, settings
from companion.regression import KernelRegressor, NNGPKernel
from companion.training import Settings, train

__all__ = [
    "digits",
    "nearest",
    "regression",
    "regression_table",
    "runs",
    "training_table",
]

Params = Mapping[str, Any]
Seed = np.random.SeedSequence
Array = NDArray[np.float64]

#: Images: for training, for the choice of the scale; the rest is for testing.
_TRAINING, _VALIDATION = 300, 300
#: Images on which the regression is tested.
_REGRESSION_TEST = 500

#: How networks are trained, by name.
PROTOCOLS: Mapping[str, Settings] = {
    "short": Settings(learning_rate=1e-3, epochs=12, batch_size=100),
    "long": Settings(learning_rate=1e-3, epochs=60, batch_size=100),
    "sgd": Settings(optimiser="sgd", learning_rate=0.05, epochs=12, batch_size=100),
}


def digits(seed: Seed) -> Dataset:
    """A split of the digits: 300 for training, 300 for validation, 1197 for testing."""
    source = datasets.load()
    x = np.concatenate([source.x_train, source.x_test]).astype(np.float64)
    y = np.concatenate([source.y_train, source.y_test])
    order = np.random.default_rng(seed).permutation(len(y))
    train_, held, test = np.split(order, [_TRAINING, _TRAINING + _VALIDATION])
    centred = x - x[train_].mean(0)
    scaled = (centred / np.sqrt(np.mean(centred[train_] ** 2))).astype(np.float32)
    return Dataset(
        scaled[train_],
        y[train_],
        scaled[test],
        y[test],
        source.name,
        source.labels,
        source.shape,
        source.source,
        f"{_TRAINING} for training, {_VALIDATION} for validation, {len(test)} for testing",
        scaled[held],
        y[held],
    )


def _spec(params: Params, scale: float, data: Dataset) -> ResNetSpec:
    return ResNetSpec.field_theory(
        params["depth"],
        params.get("width", 1),
        scale,
        sigma_w2=params["weight_variance"],
        sigma_b2=params["bias_variance"],
        K0=params["input_variance"],
        d=data.inputs,
        d_out=data.classes,
        sigma_w_in2=params["input_variance"],
    )


def runs(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Train one network for every scale and seed.

    Returns
    -------
    DataFrame
        One row per run: ``x`` (the scale), ``network``, and after the last epoch ``validation``,
        ``test`` and, on the images of both, ``accuracy``; ``loss`` is the mean training loss of
        the last epoch, in nats (nan if the run diverged).
    """
    frames, scales = [], params["scales"]
    for number, child in enumerate(children(seed, params["networks"])):
        split, weights = children(child, 2)
        data = digits(split)
        specs = [_spec(params, float(scale), data) for scale in scales]
        found = train(
            specs, data, PROTOCOLS[params["protocol"]], seeds=[weights] * len(scales), device=device
        )
        test = np.array([run.accuracy for run in found])
        held = np.array([_validation(run.validation_accuracy) for run in found])
        sizes = len(data.y_test), _VALIDATION
        frames.append(
            pd.DataFrame(
                {
                    "x": [float(scale) for scale in scales],
                    "network": number,
                    "accuracy": (sizes[0] * test + sizes[1] * held) / sum(sizes),
                    "test": test,
                    "validation": held,
                    "loss": [float(run.train_loss[-1]) for run in found],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _validation(history: Array | None) -> float:
    assert history is not None
    return float(history[-1])


def training_table(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Means over the seeds by scale; and what choosing the scale on validation images gives.

    ``gain`` is the paired difference to the scale of the grid nearest to the optimal one.
    ``chosen`` is the test accuracy at the scale with the best validation accuracy of the same seed
    (the smallest of several), ``near`` that at the scale of the grid nearest to the optimal one,
    ``lead`` their paired difference; they are repeated in all rows.
    """
    sets = settings(params)
    best = float(response.optimal_scale(sets))
    near = nearest(params["scales"], best)
    test, held = _wide(frame, "test"), _wide(frame, "validation")
    choice = held.to_numpy().argmax(1)
    chosen = test.to_numpy()[np.arange(len(choice)), choice]
    table = _by_scale(frame, ("accuracy", "loss"), near, "accuracy")
    repeated = {"chosen": chosen, "near": test[near].to_numpy()}
    repeated["lead"] = repeated["chosen"] - repeated["near"]
    return table.assign(
        validation=held.mean(axis=0).to_numpy(),
        **_estimates(repeated),
        chosen_scale=float(np.median(np.asarray(params["scales"])[choice])),
        near_scale=near,
        optimum_theory=best,
        entropy_theory=float(response.entropy_scale(sets)),
    )


def regression(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Regression with the kernel of the infinitely wide network, for every scale and split.

    Targets are 1 for the class of an image and 0 for the others, minus 0.1.

    Returns
    -------
    DataFrame
        One row per scale and split: ``error`` (mean squared over images and outputs) and
        ``accuracy`` on 500 images.
    """
    rows = []
    for number, child in enumerate(children(seed, params["networks"])):
        data = digits(child)
        targets = np.eye(data.classes)
        x, y = data.x_test[:_REGRESSION_TEST].astype(np.float64), data.y_test[:_REGRESSION_TEST]
        for scale in params["scales"]:
            kernel = NNGPKernel(_spec(params, float(scale), data))
            model = KernelRegressor(kernel, noise=params["noise"])
            model.fit(data.x_train.astype(np.float64), targets[data.y_train] - 0.1)
            found = model.predict(x)
            error = float(np.mean((found - targets[y] + 0.1) ** 2))
            rows.append((float(scale), number, error, float(np.mean(found.argmax(1) == y))))
    return pd.DataFrame(rows, columns=["x", "network", "error", "accuracy"])


def regression_table(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Means over the splits by scale, and the paired difference to the scale nearest to s*."""
    sets = settings(params)
    best = float(response.optimal_scale(sets))
    near = nearest(params["scales"], best)
    return _by_scale(frame, ("error", "accuracy"), near, "error").assign(
        near_scale=near,
        optimum_theory=best,
        pair_theory=float(response.optimal_pair_scale(sets, 0.3)),
    )


def nearest(scales: Any, scale: float) -> float:
    """The scale of a grid whose ratio to ``scale`` is nearest to 1."""
    grid = np.asarray(scales, dtype=np.float64)
    return float(grid[np.argmin(np.abs(np.log(grid / scale)))])


def _by_scale(
    frame: pd.DataFrame, names: tuple[str, ...], reference: float, gained: str
) -> pd.DataFrame:
    """Mean and error of every quantity by scale, and the paired gain of one of them."""
    wide = {name: _wide(frame, name) for name in names}
    gain = wide[gained].sub(wide[gained][reference], axis=0)
    table = pd.DataFrame({"x": gain.columns.to_numpy()})
    for name, values in [*wide.items(), ("gain", gain)]:
        columns = [_estimates({name: values[x].to_numpy()}) for x in values.columns]
        for key in (name, f"{name}_sem"):
            table[key] = [column[key] for column in columns]
    return table


def _wide(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    return frame.pivot(index="network", columns="x", values=name)


def _estimates(samples: Mapping[str, Array]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, values in samples.items():
        known = len(values) > 1 and np.all(np.isfinite(values))
        mean = Estimate.mean(values) if known else None
        found[name] = float(mean.value) if mean else float(np.mean(values))
        found[f"{name}_sem"] = float(mean.sem) if mean else float("nan")
    return found
