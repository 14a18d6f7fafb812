"""Experiments of the log-Gaussian chapter on small cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from companion.papers import find_experiment, log_gaussian
from companion.papers.log_gaussian.experiments import lag_covariance, network

#: Parameters that make a cell small, by experiment.
SMALL = {"depth": 12, "width": 20, "networks": 40, "layers": (1, 12), "lags": (0, 1, 3)}


@pytest.mark.parametrize("experiment", log_gaussian.EXPERIMENTS, ids=lambda e: e.id)
def test_cells_are_pure_and_finite(experiment):
    for preset in ("quick", "full"):
        params = {**experiment.grid(preset)[0], **SMALL}
        seed = np.random.SeedSequence(4)
        first, second = (experiment.cell(params, seed, "cpu") for _ in range(2))
        pd.testing.assert_frame_equal(first, second)
        assert np.all(np.isfinite(first.select_dtypes("number")))
        sems = [name for name in first if name.endswith("sem")]
        assert all((first[name] >= 0).all() for name in sems)


@pytest.mark.parametrize("experiment", log_gaussian.EXPERIMENTS, ids=lambda e: e.id)
def test_full_is_no_smaller_than_quick(experiment):
    quick, full = experiment.grid("quick"), experiment.grid("full")
    assert len(full) >= len(quick)
    assert sum(p["networks"] for p in full) > sum(p["networks"] for p in quick)


def test_histograms_are_densities():
    experiment = find_experiment("lg-histogram")
    params = {"kind": "vanilla", "depth": 10, "width": 50, "networks": 4000}
    frame = experiment.cell(params, np.random.SeedSequence(1), "cpu")
    step = frame["x"].diff().iloc[1]
    assert frame["density"].sum() * step == pytest.approx(1.0, abs=0.002)
    assert frame["count"].sum() > 3990


def test_lag_covariance_is_the_mean_over_layers_of_plain_covariances():
    rng = np.random.default_rng(0)
    delta = rng.standard_normal((50, 6)).cumsum(1)
    plain = [
        np.mean((delta[:, i] - delta[:, i].mean()) * (delta[:, i + 2] - delta[:, i + 2].mean()))
        for i in range(4)
    ]
    assert float(lag_covariance(delta, 2).value) == pytest.approx(np.mean(plain))


def test_kinds_of_network():
    spec = network({"kind": "balanced", "alpha2": 0.75, "depth": 3, "width": 4})
    assert spec.balanced
    assert spec.skip == pytest.approx(0.75**0.5)
    assert spec.effective_depth() == pytest.approx(3 * 0.25)
    assert network({"kind": "fully connected", "depth": 3, "width": 4}).skip == 0
    with pytest.raises(ValueError, match="kind must be one of"):
        network({"kind": "prenorm", "depth": 3, "width": 4})


def test_unknown_experiments_are_named():
    with pytest.raises(ValueError, match="no experiment is called 'x'; known are: lg-histogram"):
        find_experiment("x")
