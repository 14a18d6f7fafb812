"""Tables of the trained networks of the large-depth experiments.

Each function takes the rows of one cell and its parameters and makes the means over the runs. The
module stands apart from `theory`, so that a change of the training loop voids no table but these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from companion import datasets
from companion.montecarlo import Estimate
from companion.papers.large_depth.trained import best_rates

__all__ = ["accuracy", "roughness"]

Params = Mapping[str, Any]


def roughness(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """One row with the means over the runs, then the traces of the first run if they were kept.

    ``before``, ``after`` and ``update`` are lag-1 autocorrelations along depth. What a diverged run
    does not have is NaN in the mean.
    """
    names = ["before", "after", "update", "displacement", "accuracy"]
    runs = frame.loc[frame["kind"] == "run"].reindex(columns=names)
    row: dict[str, Any] = {"kind": "runs", "entry": -1, "layer": -1}
    for name in names:
        row |= {f"{name}{end}": value for end, value in _mean_and_error(runs[name], "_sem")}
    traces = frame[frame["kind"] == "trace"]
    if traces.empty:
        return pd.DataFrame([{**row, "initial": np.nan, "final": np.nan}])
    columns = ["kind", "entry", "layer", "initial", "final"]
    both = pd.concat([pd.DataFrame([row]), traces[columns]], ignore_index=True)
    return both.astype({"entry": int, "layer": int})


def accuracy(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Mean accuracies by exponent and learning rate, with the error of runs and finite test set.

    ``maximum`` and ``chosen`` are the two ways of `best_rates` to choose the learning rate; they
    are repeated in all rows of an exponent, with their errors over the runs.
    """
    best = best_rates(frame.assign(hurst=params["hurst"]))
    images = _TEST_IMAGES[params.get("data", datasets.EMBEDDED)]
    rows = []
    for (beta, rate), runs in frame.groupby(["beta", "learning_rate"]):
        mean = Estimate.mean(runs["test"].to_numpy())
        test_set = np.sqrt(mean.value * (1 - mean.value) / images)
        chosen = best[best["beta"] == beta]
        rows.append(
            {
                "beta": beta,
                "learning_rate": rate,
                "test": float(mean.value),
                "test_sem": float(np.hypot(mean.sem, test_set)),
                "validation": float(runs["validation"].mean()),
                "diverged": float(runs["diverged"].mean()),
                **{
                    f"{name}{end}": value
                    for name in ("maximum", "chosen")
                    for end, value in _mean_and_error(chosen[name])
                },
            }
        )
    return pd.DataFrame(rows)


#: Images of the test sets.
_TEST_IMAGES = {"digits": 360, "mnist": 10_000, "cifar10": 10_000, "cifar100": 10_000}


def _mean_and_error(values: pd.Series, suffix: str = "_error") -> list[tuple[str, float]]:
    if values.isna().any():
        return [("", float("nan")), (suffix, float("nan"))]
    mean = Estimate.mean(values.to_numpy())
    return [("", float(mean.value)), (suffix, float(mean.sem))]
