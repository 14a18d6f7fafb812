r"""Experiments of the residual expansion on trained networks, and their tables.

Complexities, energies and coherences are decimal logarithms, averaged over the runs that did not
diverge; an accuracy is the mean over the same runs, and ``diverged`` says what part is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaln

from companion.architecture import ResNetSpec
from companion.montecarlo import Estimate
from companion.papers.residual_expansion import trained_cells
from companion.sweeps import Experiment

__all__ = ["TRAINED", "orders_table", "rates_table", "scales", "training_table"]

Params = Mapping[str, Any]
Array = NDArray[np.float64]
_Point = tuple[float, float]

_MEASURED: Final = (
    "accuracy",
    "validation",
    "test",
    "features_before",
    "features_after",
    "logits_before",
    "logits_after",
    "ratio",
    "coherence",
)


def training_table(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Means over the seeds by protocol and scale.

    Adds ``reduced`` (scale times the root of the depth), ``ratio`` (of the geometric complexity of
    the features after training to that before it), ``features_theory`` (the expected complexity at
    initialization, ``eq-re-complexity-init``) and, per protocol, what choosing the scale on the
    images of the validation gives: ``chosen`` (test accuracy, with its error), ``chosen_scale``
    (median over the seeds).
    """
    frame = frame.assign(ratio=frame["features_after"] - frame["features_before"])
    tables = []
    for kind, runs in frame.groupby("kind", sort=False):
        table = pd.DataFrame(
            [{"kind": kind, "x": x, **_means(group, _MEASURED)} for x, group in runs.groupby("x")]
        )
        tables.append(table.assign(**_chosen(runs)))
    found = pd.concat(tables, ignore_index=True)
    depth, width = params["depth"], params["width"]
    return found.assign(
        reduced=found["x"] * depth**0.5,
        features_theory=[
            np.nan if kind.endswith("norm") else _initial_complexity(depth, width, x)
            for kind, x in zip(found["kind"], found["x"], strict=True)
        ],
    )


def rates_table(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Means over the seeds by multiplier; ``gap`` is the accuracy of the reference less this one.

    Row ``x = 0`` is the reference, scale 1/sqrt(L) with multiplier 1. ``branches`` is the
    multiplier times L s^2, the share of the branches in the tangent kernel relative to that of the
    reference (``eq-re-branch-rate``).
    """
    frame = frame.assign(ratio=frame["features_after"] - frame["features_before"])
    wide = frame.pivot(index="network", columns="x", values="accuracy")
    gap = (-wide.sub(wide[0.0], axis=0)).stack().rename("gap")
    frame = frame.join(gap, on=["network", "x"])
    names = (*_MEASURED, "gap")
    rows = [{"x": x, **_means(group, names)} for x, group in frame.groupby("x")]
    table = pd.DataFrame(rows)
    return table.assign(branches=np.where(table["x"] == 0, 1.0, table["x"] / params["depth"]))


def orders_table(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Means over the seeds by order; ``energy_theory`` is that of independent blocks."""
    rows = []
    for (entry, scale, multiplier), point in frame.groupby(["entry", "scale", "multiplier"]):
        theory = _independent(params["depth"], scale, params["orders"])
        place = {"entry": entry, "scale": scale, "multiplier": multiplier}
        for (kind, x), group in point.groupby(["kind", "x"], sort=False):
            found = _means(group, ("before", "after"))
            rows.append({**place, "kind": kind, "x": x, **found, "energy_theory": theory[kind, x]})
    return pd.DataFrame(rows)


def _independent(depth: int, scale: float, largest: int) -> dict[tuple[str, float], float]:
    """Decimal logarithms for independent blocks of gain 1, ``eq-re-energy``."""
    k = np.arange(largest + 1.0)
    energies = gammaln(depth + 1) - gammaln(k + 1) - gammaln(depth - k + 1) + 2 * k * np.log(scale)
    theory = {("order", float(x)): float(e) for x, e in zip(k, energies, strict=True)}
    theory["members", -1.0] = float(np.logaddexp.reduce(energies))
    theory["total", -1.0] = depth * float(np.log1p(scale**2))
    return {key: value / float(np.log(10)) for key, value in theory.items()} | {
        ("coherence", -1.0): 0.0
    }


def _means(group: pd.DataFrame, names: Sequence[str]) -> dict[str, float]:
    """Mean and standard error of every quantity over the runs that have it."""
    found: dict[str, float] = {}
    if "diverged" in group:
        found["diverged"] = float(group["diverged"].mean())
    for name in names:
        values = group[name].dropna().to_numpy()
        value, sem = np.nan, np.nan
        if len(values) > 1:
            mean = Estimate.mean(values)
            value, sem = float(mean.value), float(mean.sem)
        found[name], found[f"{name}_sem"] = value, sem
    return found


def _chosen(runs: pd.DataFrame) -> dict[str, float]:
    held = runs.pivot(index="network", columns="x", values="validation").fillna(0.0)
    test = runs.pivot(index="network", columns="x", values="test").fillna(0.0)
    best = held.to_numpy().argmax(1)  # the smallest of several
    found = Estimate.mean(test.to_numpy()[np.arange(len(best)), best])
    return {
        "chosen": float(found.value),
        "chosen_sem": float(found.sem),
        "chosen_scale": float(np.median(held.columns.to_numpy()[best])),
    }


def _initial_complexity(depth: int, width: int, scale: float) -> float:
    """Decimal logarithm of the expected complexity; the input map has squared norm ``width``."""
    spec = ResNetSpec.residual_expansion(depth, scale, width=width)
    return float((np.log(width) - np.log1p(-spec.shares()).sum()) / np.log(10))


def scales(depth: int) -> dict[str, float]:
    """Scales that are compared, by name."""
    root = depth**-0.5
    return {
        "0": 0.0,
        "0.1/L": 0.1 / depth,
        "1/L": 1 / depth,
        "L^(-3/4)": depth**-0.75,
        "0.6/√L": 0.6 * root,
        "1/√L": root,
        "1.5/√L": 1.5 * root,
        "2/√L": 2 * root,
        "2.5/√L": 2.5 * root,
        "L^(-1/4)": depth**-0.25,
        "1": 1.0,
    }


_COMMON: Final = {"width": 32, "images": 64, "data": "digits"}
_CURVE: Final = tuple(scales(1))
#: Coarser, for what is not the subject: the curves of Adam, and networks of depth 200.
_COARSE: Final = ("0", "1/L", "L^(-3/4)", "1/√L", "2/√L", "L^(-1/4)", "1")
_FEW: Final = ("1/L", "1/√L", "2/√L")
_ENDS: Final = ("0", "1/L", "1/√L", "1")
_SGD: Final = ("sgd 0.1", "sgd 0.02", "sgd 0.004", "clipped")
_ADAM: Final = ("adam 0.002", "adam 0.0004")
_NORMS: Final = ("batch norm", "layer norm")


def _training(
    depth: int, networks: int, *groups: tuple[Sequence[str], Sequence[str]], epochs: int = 40
) -> list[dict[str, Any]]:
    return [
        {
            "depth": depth,
            "epochs": epochs,
            "protocols": tuple(protocols),
            "scales": tuple(scales(depth)[name] for name in names),
            "networks": networks,
            **_COMMON,
        }
        for protocols, names in groups
    ]


def _rates(
    depth: int, networks: int, *groups: tuple[str, Sequence[float]], epochs: int = 40
) -> list[dict[str, Any]]:
    return [
        {
            "depth": depth,
            "epochs": epochs,
            "protocol": protocol,
            "multipliers": tuple(float(m) for m in multipliers),
            "networks": networks,
            **_COMMON,
        }
        for protocol, multipliers in groups
    ]


def _orders(
    depth: int, networks: int, *groups: tuple[str, Sequence[_Point]], epochs: int = 40
) -> list[dict[str, Any]]:
    return [
        {
            "depth": depth,
            "epochs": epochs,
            "protocol": protocol,
            "points": tuple(points),
            "orders": 6,
            "networks": networks,
            **_COMMON,
        }
        for protocol, points in groups
    ]


def _points(depth: int) -> tuple[tuple[str, Sequence[_Point]], ...]:
    """Both scales with either optimiser, and 1/L with branches that learn L times as fast."""
    both = (depth**-0.5, 1.0), (1 / depth, 1.0)
    return ("sgd 0.1", (*both, (1 / depth, float(depth)))), ("adam 0.002", both)


#: Cells that both presets share: a live run is compared with the published one.
_SHORT: Final = 15
_SHARED_RATES: Final = (("sgd 0.1", (1, 30)), ("adam 0.002", (1, 10)))

#: Experiments on trained networks, in the order of the chapter.
TRAINED: Final = (
    Experiment(
        "re-training",
        "Accuracy, divergence and geometric complexity after training, against the branch scale",
        trained_cells.training,
        {
            "quick": _training(
                10, 2, (_SGD, _ENDS), (_ADAM, _ENDS[1:]), (_NORMS, _ENDS[2:]), epochs=_SHORT
            ),
            "full": [
                *_training(100, 5, (_SGD, _CURVE), (_ADAM[:1], _COARSE)),
                *_training(100, 5, (_ADAM[1:], _FEW), (_NORMS, _ENDS[2:])),
                *_training(10, 5, (("sgd 0.1", "clipped"), _CURVE)),
                *_training(200, 5, (("sgd 0.1",), _COARSE)),
                *_training(
                    10, 10, (_SGD, _CURVE), (_ADAM, _COARSE), (_NORMS, _ENDS[2:]), epochs=_SHORT
                ),
            ],
        },
        finish=training_table,
    ),
    Experiment(
        "re-rates",
        "Accuracy at scale 1/L against the learning rate of the branches",
        trained_cells.rates,
        {
            "quick": _rates(30, 2, *_SHARED_RATES, epochs=_SHORT),
            "full": [
                *_rates(
                    100,
                    5,
                    ("sgd 0.1", (1, 3, 10, 30, 100, 300)),
                    ("adam 0.002", (0.1, 0.3, 1, 3, 10, 30)),
                ),
                *_rates(30, 10, *_SHARED_RATES, epochs=_SHORT),
            ],
        },
        finish=rates_table,
    ),
    Experiment(
        "re-orders",
        "Energies of the orders and coherence of the blocks after training",
        trained_cells.orders,
        {
            "quick": _orders(30, 2, *_points(30), epochs=_SHORT),
            "full": [
                *_orders(100, 5, *_points(100), ("sgd 0.004", ((0.25, 1.0),))),
                *_orders(30, 10, *_points(30), epochs=_SHORT),
            ],
        },
        finish=orders_table,
    ),
)
