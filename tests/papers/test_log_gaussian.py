"""Experiments of the log-Gaussian chapter on small cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from companion import results
from companion.papers import find_experiment, log_gaussian
from companion.papers.log_gaussian.experiments import lag_covariance, network
from companion.sweeps import run
from companion.sweeps.experiment import plain
from companion.sweeps.runner import finished_rows

#: Parameters that make a cell small, by experiment.
SMALL = {"depth": 12, "width": 20, "networks": 40, "layers": (1, 12), "lags": (0, 1, 3)}


@pytest.mark.parametrize("experiment", log_gaussian.EXPERIMENTS, ids=lambda e: e.id)
def test_cells_are_pure_and_finite(experiment):
    for preset in ("quick", "full"):
        params = {**experiment.grid(preset)[0], **SMALL}
        seed = np.random.SeedSequence(4)
        cells = [experiment.cell(params, seed, "cpu") for _ in range(2)]
        pd.testing.assert_frame_equal(*cells)
        first = finished_rows(experiment, params, cells[:1])
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
    params = {"depth": 10, "width": 50, "networks": 4000, "edges": (-3.0, 7.0, 50)}
    cell = experiment.cell(params, np.random.SeedSequence(1), "cpu")
    frame = finished_rows(experiment, params, [cell])
    step = frame["x"].diff().iloc[1]
    assert frame["density"].sum() * step == pytest.approx(1.0, abs=0.002)
    assert frame["count"].sum() > 3990


@pytest.mark.parametrize("cell", find_experiment("lg-histogram").grid("quick"), ids=str)
def test_the_bins_hold_the_whole_sample(cell):
    frame = run(find_experiment("lg-histogram"), device="cpu")
    rows = frame[frame["depth"] == cell["depth"]]
    assert rows["count"].sum() >= 0.9999 * cell["networks"]
    assert rows["count"].iloc[[0, 1, -2, -1]].sum() < 0.01 * cell["networks"]


#: What a full preset must at least hold: widths, greatest depth, networks per cell, kinds.
MINIMA = {
    "lg-histogram": ({100}, 100, 10_000, {"vanilla"}),
    "lg-norms": ({50, 100, 200, 400}, 800, 10_000, {"vanilla", "balanced", "fully connected"}),
    "lg-hypoactivation": ({100, 400, 1600}, 60, 20_000, {"vanilla", "balanced"}),
    "lg-interlayer": ({400}, 40, 15_000, {"vanilla", "balanced"}),
    "lg-second-moment": ({100}, 50, 200_000, {"vanilla", "balanced"}),
    "lg-gradients": ({100}, 100, 20_000, {"vanilla", "balanced"}),
    "lg-next-order": ({50, 100, 200}, 200, 400_000, {"vanilla", "balanced"}),
    "lg-alignment": ({100, 200}, 300, 8_000, {"vanilla"}),
    "lg-explorer": ({100}, 200, 40_000, {"vanilla", "balanced"}),
}


@pytest.mark.parametrize("experiment", log_gaussian.EXPERIMENTS, ids=lambda e: e.id)
def test_what_is_published_is_large_enough(experiment):
    assert experiment.id in results.published()
    table, manifest = results.load(experiment.id)
    widths, depth, networks, kinds = MINIMA[experiment.id]
    spec = manifest["spec"]
    assert manifest["preset"] == "full"
    assert {cell["width"] for cell in spec} >= widths
    assert max(cell["depth"] for cell in spec) >= depth
    assert min(cell["networks"] for cell in spec) >= networks
    assert {cell["kind"] for cell in spec} >= kinds
    assert set(table["width"]) == {cell["width"] for cell in spec}
    assert spec == [plain(cell) for cell in experiment.grid("full")]


def test_published_depths_reach_twice_the_width():
    table, _ = results.load("lg-norms")
    assert (table.groupby(["kind", "width"])["ratio"].max() == 2).all()


def test_published_hypoactivation_comes_from_antithetic_pairs():
    _, manifest = results.load("lg-hypoactivation")
    assert sum(cell["antithetic"] for cell in manifest["spec"]) == len(manifest["spec"]) - 1


def test_published_norms_follow_the_law():
    """Within 4.5 standard errors and the allowance of the next order, about 60 L/n^2."""
    table, _ = results.load("lg-norms")
    vanilla = table["kind"] == "vanilla"
    for quantity, coefficient in (("mean", 10), ("variance", 60)):
        allowance = coefficient * table["ratio"] / table["width"]
        gap = (table[quantity] - table[f"{quantity}_theory"]).abs()
        assert (gap < 4.5 * table[f"{quantity}_sem"] + allowance).all()
        assert (4.5 * table[f"{quantity}_sem"] < 0.2 * table[f"{quantity}_theory"].abs())[
            vanilla
        ].all()


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
    with pytest.raises(ValueError, match="no experiment is called 'x'; known are: re-paths"):
        find_experiment("x")
