r"""Cells of the residual-expansion experiments on trained networks.

Networks are :math:`h_l=h_{l-1}+sV_l\,\mathrm{relu}(W_lh_{l-1})` of gain 1, trained without
normalisation by ``alg-re-training``, but for two baselines. A seed stands for a split of the
images, a set of weights and an order of the batches; all scales, optimisers and learning rates of
an experiment share it, so that differences between them are paired.

Notation
--------
===================  ========================  ==============================
symbol               name                      book label
===================  ========================  ==============================
:math:`s`            ``scale``                 ``eq-re-model``
:math:`\mu`          ``multiplier``            ``eq-re-branch-rate``
:math:`\mathrm{GC}`  ``features``, ``logits``  ``eq-re-geometric-complexity``
:math:`E_k`          ``order``                 ``eq-re-paths``
===================  ========================  ==============================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from companion import datasets
from companion.architecture import ResNetSpec
from companion.datasets import Dataset
from companion.papers.residual_expansion import measures
from companion.training import Outcome, Settings, train

__all__ = ["PROTOCOLS", "images", "network", "orders", "rates", "settings", "training"]

Params = Mapping[str, Any]
Seed = np.random.SeedSequence

#: Parts of the images for training and for validation; the rest is for testing.
_TRAINING, _VALIDATION = 0.7, 0.15

_SGD: Final = {"optimiser": "sgd", "momentum": 0.9, "learning_rate": 0.1}
_ADAM: Final = {"optimiser": "adam", "betas": (0.9, 0.99)}

#: How networks are trained, by name; the last two are the baselines with normalisation.
PROTOCOLS: Final[Mapping[str, Mapping[str, Any]]] = {
    "sgd 0.1": _SGD,
    "sgd 0.02": {**_SGD, "learning_rate": 0.02},
    "sgd 0.004": {**_SGD, "learning_rate": 0.004},
    "clipped": {**_SGD, "learning_rate": 0.02, "clip": 0.5},
    "adam 0.002": {**_ADAM, "learning_rate": 2e-3},
    "adam 0.0004": {**_ADAM, "learning_rate": 4e-4},
    "batch norm": {**_SGD, "normalisation": "batch"},
    "layer norm": {**_SGD, "normalisation": "layer"},
}


def settings(protocol: str, epochs: int, multiplier: float = 1.0) -> Settings:
    """A protocol for a number of epochs; the rate drops to a fifth after 70 % of them."""
    return Settings(
        epochs=epochs,
        schedule_step=max(1, round(0.7 * epochs)),
        schedule_factor=0.2,
        branch_rate_multiplier=multiplier,
        **PROTOCOLS[protocol],
    )


def images(name: str, seed: Seed) -> Dataset:
    """A split of a data set: 70 % for training, 15 % for validation, 15 % for testing.

    Images are centred by the mean over the training images and scaled so that the mean squared
    norm of those is the number of pixels.
    """
    source = datasets.load(name)
    x = np.concatenate([source.x_train, source.x_test]).astype(np.float64)
    y = np.concatenate([source.y_train, source.y_test])
    order = np.random.default_rng(seed).permutation(len(y))
    bounds = int(_TRAINING * len(y)), int((_TRAINING + _VALIDATION) * len(y))
    fit, held, test = np.split(order, bounds)
    centred = x - x[fit].mean(0)
    scaled = (centred / np.sqrt(np.mean(centred[fit] ** 2))).astype(np.float32)
    return Dataset(
        scaled[fit],
        y[fit],
        scaled[test],
        y[test],
        source.name,
        source.labels,
        source.shape,
        source.source,
        f"{len(fit)} for training, {len(held)} for validation, {len(test)} for testing",
        scaled[held],
        y[held],
    )


def network(depth: int, width: int, scale: float, data: Dataset) -> ResNetSpec:
    """The network that is trained: gain 1, input map and readout of variance 1 over fan-in."""
    return ResNetSpec.residual_expansion(
        depth, scale, width=width, inputs=data.inputs, outputs=data.classes
    )


def training(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Train one network for every protocol, scale and seed.

    Parameters
    ----------
    params
        ``depth``, ``width``, ``epochs``, ``protocols`` (keys of `PROTOCOLS`), ``scales``,
        ``networks`` (seeds), ``images`` (test images of the geometric complexity), ``data``.

    Returns
    -------
    DataFrame
        One row per run: ``kind`` (the protocol), ``x`` (the scale), ``network``, ``diverged``;
        after the last epoch ``accuracy`` (on the images of validation and test), ``validation``,
        ``test``, ``loss``; ``features_before``, ``features_after``, ``logits_before``,
        ``logits_after``, decimal logarithms of the geometric complexity of the end of the stream
        and of the logits; ``coherence`` after training. NaN is what a run that diverged lacks.
    """
    points = [(kind, float(x), 1.0) for kind in params["protocols"] for x in params["scales"]]
    frames = []
    for number, data, found in _runs(params, points, seed, device):
        rows = [
            {
                "kind": kind,
                "x": x,
                "network": number,
                **_record(run, data),
                **_complexities(run, shown),
            }
            for (kind, x, _), run in zip(points, found, strict=True)
            for shown in [data.x_test[: params["images"]]]
        ]
        frames.append(pd.DataFrame(rows))
    return pd.concat(frames, ignore_index=True)


def rates(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Train networks of scale 1/L whose branches have a learning rate of their own.

    Parameters
    ----------
    params
        ``depth``, ``width``, ``epochs``, ``protocol``, ``multipliers`` (of the learning rate of the
        branches), ``networks``, ``images``, ``data``.

    Returns
    -------
    DataFrame
        One row per run: ``x`` (the multiplier, 0 standing for the reference: scale 1/sqrt(L) and
        multiplier 1), ``network`` and the columns of `training` from ``diverged`` on.
    """
    depth, protocol = params["depth"], params["protocol"]
    points = [(protocol, depth**-0.5, 1.0)]
    points += [(protocol, 1 / depth, float(multiplier)) for multiplier in params["multipliers"]]
    frames = []
    for number, data, found in _runs(params, points, seed, device):
        shown = data.x_test[: params["images"]]
        rows = [
            {"x": x, "network": number, **_record(run, data), **_complexities(run, shown)}
            for x, run in zip([0.0, *params["multipliers"]], found, strict=True)
        ]
        frames.append(pd.DataFrame(rows))
    return pd.concat(frames, ignore_index=True)


def orders(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Energies of the orders of trained networks, split at the masks they really have.

    Parameters
    ----------
    params
        ``depth``, ``width``, ``epochs``, ``protocol``, ``points`` (pairs of scale and multiplier),
        ``orders`` (the largest), ``networks``, ``images``, ``data``.

    Returns
    -------
    DataFrame
        Per run (``entry``, the number of the point, with its ``scale`` and ``multiplier``, and
        ``network``) rows of ``kind`` ``"order"`` (``x`` = k), ``"members"`` (sum of their
        energies), ``"total"`` (energy of the stream) and ``"coherence"``, with ``before`` and
        ``after`` training: decimal logarithms of means over images, energies relative to the start
        of the stream. Runs that diverged are left out.
    """
    points = [(params["protocol"], float(scale), float(m)) for scale, m in params["points"]]
    frames = []
    for number, data, found in _runs(params, points, seed, device):
        x = data.x_test[: params["images"]]
        for entry, ((_, scale, multiplier), run) in enumerate(zip(points, found, strict=True)):
            if run.trained is not None:
                place = {"entry": entry, "scale": scale, "multiplier": multiplier}
                frames.append(_orders_of(run, x, params["orders"]).assign(**place, network=number))
    return pd.concat(frames, ignore_index=True)


def _orders_of(run: Outcome, x: Any, largest: int) -> pd.DataFrame:
    assert run.initial is not None
    assert run.trained is not None
    sides = {
        name: measures.order_energies(measures.trace(weights, run.spec, x), largest)
        for name, weights in (("before", run.initial), ("after", run.trained))
    }
    rows = [(*key, *(np.log10(s[key]) for s in sides.values())) for key in sides["before"]]
    return pd.DataFrame(rows, columns=["kind", "x", *sides])


def _runs(
    params: Params, points: Sequence[tuple[str, float, float]], seed: Seed, device: str
) -> Any:
    """For every seed the data and the runs of all points: protocol, scale and multiplier."""
    for number in range(params["networks"]):
        # From the root seed alone: the cells of an experiment differ in what they do to one seed.
        split, weights = (Seed(seed.entropy, spawn_key=(number, part)) for part in (0, 1))
        data = images(params["data"], split)
        found = train(
            [network(params["depth"], params["width"], x, data) for _, x, _ in points],
            data,
            [settings(kind, params["epochs"], multiplier) for kind, _, multiplier in points],
            seeds=[weights] * len(points),
            device=device,
            keep_weights=True,
        )
        yield number, data, found


def _record(run: Outcome, data: Dataset) -> dict[str, float]:
    assert run.validation_accuracy is not None
    assert data.y_validation is not None
    held, test = float(run.validation_accuracy[-1]), run.accuracy
    sizes = len(data.y_validation), len(data.y_test)
    lost = np.nan if run.diverged else 1.0
    return {
        "diverged": float(run.diverged),
        "accuracy": lost * (held * sizes[0] + test * sizes[1]) / sum(sizes),
        "validation": lost * held,
        "test": lost * test,
        "loss": float(run.train_loss[-1]),
    }


def _complexities(run: Outcome, x: Any) -> dict[str, float]:
    row = {"coherence": np.nan}
    kind = run.settings.normalisation
    for name, weights in (("before", run.initial), ("after", run.trained)):
        found = (np.nan, np.nan)
        if weights is not None:
            trace = measures.trace(weights, run.spec, x, kind)
            found = measures.geometric_complexity(trace)
            row["coherence"] = measures.coherence(trace) if name == "after" else np.nan
        row[f"features_{name}"], row[f"logits_{name}"] = (float(np.log10(c)) for c in found)
    return row
