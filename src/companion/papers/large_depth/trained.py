r"""Cells of the large-depth experiments on trained networks: roughness of weights, accuracy.

Both train networks with a single matrix per block, :math:`h_{l+1}=h_l+L^{-\beta}V_l\sigma(h_l)`
(``eq-ld-network``), with the settings of the authors' code at a smaller depth. Pixels are scaled to
[0, 1] and nothing else, as there. Input map and readout are uniform for i.i.d. weights, as there,
and normal of the same variance for the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from companion import datasets
from companion.architecture import ResNetSpec
from companion.training import Outcome, Settings, train
from companion.weights import IID, FractionalNoise, Smooth, WeightLaw

__all__ = [
    "INITIALIZATIONS",
    "LEARNING_RATES",
    "accuracy",
    "best_rates",
    "layer_autocorrelation",
    "roughness",
]

Params = Mapping[str, Any]
Seed = np.random.SeedSequence
Array = NDArray[np.float64]

#: The three initializations of the trained weights: law and exponent of the branch scale.
INITIALIZATIONS: Final[Mapping[str, tuple[WeightLaw, float]]] = {
    "smooth, beta=1": (Smooth(0.01), 1.0),
    "iid, beta=1": (IID("uniform"), 1.0),
    "iid, beta=0.5": (IID("uniform"), 0.5),
}

#: Learning rates of the authors' script; its figure shows the best test accuracy among them.
LEARNING_RATES: Final = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def roughness(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Weights along the depth before and after training.

    Parameters
    ----------
    params
        ``initialization`` (a key of `INITIALIZATIONS`), ``learning_rate``, ``epochs``,
        ``networks`` (runs), ``depth``, ``width``; optional ``data``, ``schedule_step`` and
        ``traces`` (entries of :math:`V_l` that are kept, of the first run).

    Returns
    -------
    DataFrame
        Rows of ``kind`` ``"run"``, one per network (``network``, ``before``, ``after`` and
        ``update``: lag-1 autocorrelations of initial weights, trained weights and their
        difference; ``displacement``, the norm of the difference over that of the initial weights;
        ``accuracy`` on the test data; ``diverged``), then of ``kind`` ``"trace"``, one per kept
        entry and layer (``network``, ``entry``, ``layer``, ``initial``, ``final``). Entries are
        scaled by the square root of the width, so that their initial variance is 1.
    """
    law, beta = INITIALIZATIONS[params["initialization"]]
    data = datasets.load(params.get("data", datasets.EMBEDDED))
    spec = _network(params, beta, law, data)
    settings = Settings(
        learning_rate=params["learning_rate"],
        epochs=params["epochs"],
        schedule_step=params.get("schedule_step", 5),
    )
    networks = int(params["networks"])
    runs = train(
        [spec] * networks,
        data,
        settings,
        seeds=_children(seed, networks),
        device=device,
        keep_weights=True,
    )
    summary = pd.DataFrame([_summary(run, number) for number, run in enumerate(runs)])
    return pd.concat([summary, _traces(runs[0], int(params.get("traces", 0)))], ignore_index=True)


def accuracy(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Accuracy of trained networks with fractional weights, for every exponent and learning rate.

    Parameters
    ----------
    params
        ``hurst``, ``betas``, ``learning_rates``, ``networks`` (runs per exponent and learning
        rate, each with fresh weights), ``depth``, ``width``, ``epochs``; optional ``data``,
        ``schedule_step`` and ``held_out`` (part of the training data for validation).

    Returns
    -------
    DataFrame
        One row per run: ``beta``, ``learning_rate``, ``network``, ``test`` and ``validation``
        (accuracies after the last epoch), ``best_epoch`` (of the validation accuracy, counted from
        1; the first of several), ``loss`` (last mean training loss, nats; NaN if diverged) and
        ``diverged``. Blocks have a trainable bias that starts at 0, as in the authors' code.
    """
    data = datasets.load(params.get("data", datasets.EMBEDDED))
    data = data.hold_out(params.get("held_out", 0.2))
    law, networks = FractionalNoise(params["hurst"]), int(params["networks"])
    points = [
        (float(beta), float(rate), network)
        for beta in params["betas"]
        for rate in params["learning_rates"]
        for network in range(networks)
    ]
    runs = train(
        [_network(params, beta, law, data) for beta, _, _ in points],
        data,
        [
            Settings(
                learning_rate=rate,
                epochs=params["epochs"],
                schedule_step=params.get("schedule_step", 5),
                branch_bias=True,
            )
            for _, rate, _ in points
        ],
        seeds=_children(seed, len(points)),
        device=device,
    )
    frame = pd.DataFrame(points, columns=["beta", "learning_rate", "network"])
    return frame.assign(
        test=[run.accuracy for run in runs],
        validation=[_validation(run)[-1] for run in runs],
        best_epoch=[int(np.argmax(_validation(run))) + 1 for run in runs],
        loss=[float(run.train_loss[-1]) for run in runs],
        diverged=[run.diverged for run in runs],
    )


def best_rates(frame: pd.DataFrame) -> pd.DataFrame:
    """Two ways to choose the learning rate of every point of the map.

    Parameters
    ----------
    frame : DataFrame
        Rows of `accuracy`, with ``hurst``.

    Returns
    -------
    DataFrame
        One row per ``hurst``, ``beta`` and ``network``. ``maximum``: the largest test accuracy
        over the learning rates, which is what the authors' code shows; it is chosen on the data it
        reports. ``chosen``: the test accuracy at the learning rate that is best on the validation
        data (the smallest of several), ``chosen_rate``; an unbiased report.
    """
    keys = ["hurst", "beta", "network"]
    order = [True] * len(keys) + [False, True]
    ranked = frame.sort_values([*keys, "validation", "learning_rate"], ascending=order)
    return ranked.groupby(keys, as_index=False).agg(
        maximum=("test", "max"), chosen=("test", "first"), chosen_rate=("learning_rate", "first")
    )


def layer_autocorrelation(weights: NDArray[Any], lag: int = 1) -> float:
    r"""Correlation of an entry with itself ``lag`` layers on, pooled over layers and entries.

    Parameters
    ----------
    weights : ndarray, shape (layers, ...)
        Taken as centred: no mean is subtracted.
    lag : int
        Between 1 and ``layers - 1``.

    Returns
    -------
    float
        :math:`\sum x_lx_{l+k}/\sqrt{\sum x_l^2\sum x_{l+k}^2}` over all pairs
        (``eq-ld-layer-autocorrelation``).

    Raises
    ------
    ValueError
        If the lag does not fit.
    """
    if not 1 <= lag < len(weights):
        raise ValueError(
            f"lag must be between 1 and layers - 1 = {len(weights) - 1}, got {lag}; pass 1, or "
            "weights of more layers"
        )
    x = np.asarray(weights, dtype=np.float64).reshape(len(weights), -1)
    first, second = x[:-lag], x[lag:]
    return float(np.sum(first * second) / np.sqrt(np.sum(first**2) * np.sum(second**2)))


def _children(seed: Seed, count: int) -> list[Seed]:
    """Seeds by position; ``seed.spawn`` would count its calls and make the cell impure."""
    return [Seed(seed.entropy, spawn_key=(*seed.spawn_key, index)) for index in range(count)]


def _network(params: Params, beta: float, law: WeightLaw, data: datasets.Dataset) -> ResNetSpec:
    return ResNetSpec.large_depth(
        params["depth"],
        params["width"],
        beta,
        block="single",
        law=law,
        d_in=data.inputs,
        outputs=data.classes,
    )


def _summary(run: Outcome, number: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "kind": "run",
        "network": number,
        "accuracy": run.accuracy,
        "diverged": float(run.diverged),
    }
    assert run.initial is not None
    before = run.initial.outer
    row["before"] = layer_autocorrelation(before)
    if run.trained is not None:
        update = run.trained.outer - before
        row["after"] = layer_autocorrelation(run.trained.outer)
        row["update"] = layer_autocorrelation(update)
        row["displacement"] = float(np.linalg.norm(update) / np.linalg.norm(before))
    return row


def _traces(run: Outcome, traces: int) -> pd.DataFrame:
    """Entries on the first off-diagonal, which no symmetry singles out."""
    if not traces or run.initial is None or run.trained is None:
        return pd.DataFrame()
    root = run.spec.width**0.5
    frames = [
        pd.DataFrame(
            {
                "kind": "trace",
                "network": 0,
                "entry": entry,
                "layer": np.arange(run.spec.depth),
                "initial": run.initial.outer[:, entry, entry + 1].astype(np.float64) * root,
                "final": run.trained.outer[:, entry, entry + 1].astype(np.float64) * root,
            }
        )
        for entry in range(traces)
    ]
    return pd.concat(frames, ignore_index=True)


def _validation(run: Outcome) -> Array:
    assert run.validation_accuracy is not None
    return run.validation_accuracy
