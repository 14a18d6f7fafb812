"""Experiments of the large-depth chapter on small cells, and what is published of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from companion import depthlimits, results
from companion.montecarlo import Estimate
from companion.papers import find_experiment, large_depth
from companion.papers.large_depth import cells, limits, theory
from companion.papers.large_depth.generator import PublishedFractionalNoise
from companion.sweeps.experiment import plain
from companion.sweeps.runner import finished_rows
from companion.weights import IID, FractionalNoise, Smooth

SMALL = {"depth": 24, "width": 6, "networks": 6, "shallow": 20, "deep": 60, "epochs": 2}
BY_ID = {e.id: e for e in large_depth.EXPERIMENTS}


def small(experiment, preset: str) -> dict:
    params = dict(experiment.grid(preset)[0])
    return {**params, **{name: value for name, value in SMALL.items() if name in params}}


@pytest.mark.parametrize("experiment", large_depth.EXPERIMENTS, ids=lambda e: e.id)
def test_cells_are_pure_and_finite(experiment):
    for preset in ("quick", "full"):
        params = small(experiment, preset)
        made = [experiment.cell(params, np.random.SeedSequence(4), "cpu") for _ in range(2)]
        pd.testing.assert_frame_equal(*made)
        frame = finished_rows(experiment, params, made[:1])
        numbers = frame.select_dtypes("number")
        # A fine column or a coordinate may be absent in rows of another kind, never infinite.
        assert not np.isinf(numbers.to_numpy(dtype=float)).any()
        assert numbers.notna().any().all()
        for name in [column for column in frame if column.endswith("sem")]:
            assert (frame[name].dropna() >= 0).all()


@pytest.mark.parametrize("experiment", large_depth.EXPERIMENTS, ids=lambda e: e.id)
def test_full_says_no_less_than_quick(experiment):
    quick, full = experiment.grid("quick"), experiment.grid("full")
    assert len(full) >= len(quick)
    assert sum(p.get("networks", 0) for p in full) >= sum(p.get("networks", 0) for p in quick)
    for name in ("block", "generator", "activation", "engine", "kind", "initialization", "width"):
        assert {p.get(name) for p in quick} <= {p.get(name) for p in full}
        if name not in ("width",):
            assert {p.get(name) for p in full} == {p.get(name) for p in quick}, name


def test_laws_by_name():
    assert cells.weight_law({"law": "gaussian"}) == IID("gaussian")
    assert cells.weight_law({}) == IID("uniform")
    assert cells.weight_law({"law": "smooth"}) == Smooth(0.01)
    assert cells.weight_law({"law": "fractional", "hurst": 0.7}) == FractionalNoise(0.7)
    published = cells.weight_law({"law": "published", "hurst": 0.7})
    assert published == PublishedFractionalNoise(0.7)
    with pytest.raises(ValueError, match=r"law must be uniform, .* got 'levy'"):
        cells.weight_law({"law": "levy"})


def test_boundary_of_straight_lines_is_found_with_its_jackknife_error():
    """For lines of one slope the boundary is a mean, and the jackknife its standard error."""
    rng = np.random.default_rng(3)
    betas, zeros = np.linspace(0, 1, 41), 0.4 + 0.05 * rng.standard_normal(12)
    found = cells.boundary(betas, 3 * (zeros[:, None] - betas))
    plain_mean = Estimate.mean(zeros)
    assert float(found.value) == pytest.approx(float(plain_mean.value), abs=1e-12)
    assert float(found.sem) == pytest.approx(float(plain_mean.sem), rel=1e-9)


def test_a_boundary_outside_of_the_grid_is_an_error():
    with pytest.raises(ValueError, match="betas must reach across the boundary, got 0 to 1"):
        cells.boundary(np.linspace(0, 1, 5), np.ones((3, 5)))


def test_scan_agrees_with_the_exact_moment_and_would_notice_another():
    params = {
        "law": "gaussian",
        "depth": 40,
        "width": 12,
        "betas": (0.5, 1.0),
        "networks": 4000,
    }
    experiment = BY_ID["ld-iid"]
    frame = finished_rows(
        experiment, params, [experiment.cell(params, np.random.SeedSequence(1), "cpu")]
    )
    gap = (frame["square"] - frame["rms_theory"] ** 2).abs()
    assert (gap < 4.5 * frame["square_sem"]).all()
    assert (4.5 * frame["square_sem"] < 0.2 * frame["rms_theory"] ** 2).all()
    other = frame["rms_theory"] ** 2 * 1.25
    assert ((frame["square"] - other).abs() > 4.5 * frame["square_sem"]).all()


def test_no_theory_stands_beside_correlated_weights_of_another_activation():
    params = {"law": "smooth", "depth": 6, "width": 4, "betas": (1.0,), "networks": 3}
    for activation, known in (("relu", True), ("linear", False)):
        cell = {**params, "activation": activation}
        rms = theory.scan(cells.scan(cell, np.random.SeedSequence(1), "cpu"), cell)["rms_theory"]
        assert (np.isfinite(rms) == known).all()


def test_theory_of_a_column_is_the_recursion():
    params = {
        "block": "two-layer",
        "generator": "exact",
        "hurst": 0.8,
        "depth": 60,
        "width": 8,
        "networks": 3,
        "inputs": 2,
        "betas": tuple(np.linspace(0.2, 1.2, 11)),
    }
    frame = cells.phase(params, np.random.SeedSequence(2), "cpu")
    finished = theory.phase(frame, params)
    g = depthlimits.layer_covariance(FractionalNoise(0.8), 60)
    output = finished[finished["direction"] == "output"]
    expected = depthlimits.log_displacement(g, 60**-0.7)[-1] / (2 * np.log(10))
    assert output["log10_theory"].iloc[5] == pytest.approx(expected)
    assert output["boundary_theory"].iloc[0] == pytest.approx(depthlimits.critical_exponent(g))
    first = depthlimits.first_order_sums(g, width=8)
    for direction, total in zip(cells.DIRECTIONS, first, strict=True):
        rows = finished[finished["direction"] == direction]
        assert np.allclose(rows["first_order_theory"], np.log(total) / (2 * np.log(60)))
    assert finished[finished["direction"] == "gradient"]["log10_theory"].isna().all()


def test_stages_converge_to_the_finest_path():
    for kind, order in (("rough", 0.5), ("smooth", 1.0)):
        frame = limits.stages({"kind": kind, "width": 5}, np.random.SeedSequence(0), "cpu")
        ends = frame[frame["time"] == 1].set_index("steps")["value"]
        assert list(ends.index) == [*limits.STEPS, 4096]
        gaps = (ends - ends[4096]).abs()
        assert gaps[256] < gaps[8] * 32**-order * 8
        assert (frame.groupby("steps")["value"].first().nunique()) == 1


#: What a full preset must at least hold: least width, depths, least networks per cell.
MINIMA = {
    "ld-iid": (40, {int(d) for d in np.linspace(10, 1000, 10)}, 50),
    "ld-histogram": (100, {1000}, 400),
    "ld-smooth": (40, {int(d) for d in np.linspace(10, 1000, 10)}, 50),
    "ld-phase": (40, {1000}, 10),
    "ld-roughness": (30, {200}, 5),
    "ld-accuracy": (30, {200}, 3),
    "ld-fraction": (1, {2000}, 4000),
    "ld-contraction": (3, {100, 250, 400, 1000, 1600, 4000}, 1000),
}


@pytest.mark.parametrize("experiment", large_depth.EXPERIMENTS, ids=lambda e: e.id)
def test_what_is_published_is_the_full_preset(experiment):
    assert experiment.id in results.published()
    _, manifest = results.load(experiment.id)
    assert manifest["preset"] == "full"
    assert manifest["spec"] == [plain(cell) for cell in experiment.grid("full")]
    if experiment.id in MINIMA:
        width, depths, networks = MINIMA[experiment.id]
        spec = manifest["spec"]
        assert min(cell["width"] for cell in spec) >= width
        assert {cell["depth"] for cell in spec} >= depths
        assert min(cell["networks"] for cell in spec) >= networks


def test_the_published_map_covers_the_grid_of_the_authors_script():
    table, _ = results.load("ld-phase")
    main = table[(table["block"] == "two-layer") & (table["generator"] == "exact")]
    assert np.allclose(sorted(set(main["hurst"])), np.linspace(0.05, 0.97, 51))
    assert np.allclose(sorted(set(main["beta"])), np.linspace(0, 1.3, 70))
    assert len(main) == 2 * 51 * 70
    assert set(main["inputs"]) == {50}
    assert (table["networks"] == 10).all()


def test_published_boundaries_lie_on_the_recursion():
    """Within 0.03, of which sampling may take a part."""
    table, _ = results.load("ld-phase")
    main = table[(table["block"] == "two-layer") & (table["generator"] == "exact")]
    columns = main.drop_duplicates(["hurst", "direction"])
    output = columns[columns["direction"] == "output"].set_index("hurst")
    gap = output["boundary"] - output["boundary_theory"]
    assert gap.abs().max() < 0.03 + 4.5 * output["boundary_sem"].max()
    assert gap.abs().median() < 0.015
    gradient = columns[columns["direction"] == "gradient"].set_index("hurst")
    difference = output["boundary"] - gradient["boundary"]
    assert difference.loc[0.6:0.9].min() > 0.015
    assert difference.loc[0.75:0.85].min() > 0.05


def test_published_displacements_follow_the_exact_moment():
    table, _ = results.load("ld-iid")
    mild = table[table["beta"] >= 0.5]
    gap = (mild["square"] - mild["rms_theory"] ** 2).abs()
    assert (gap < 4.5 * mild["square_sem"]).all()


def test_published_histograms_are_densities():
    table, _ = results.load("ld-histogram")
    for _, rows in table.groupby(["engine", "direction"]):
        assert rows["count"].sum() >= 0.998 * rows["networks"].iloc[0]


def test_unknown_experiments_are_refused():
    with pytest.raises(ValueError, match="no experiment is called 'ld-nothing'"):
        find_experiment("ld-nothing")
