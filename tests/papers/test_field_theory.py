"""Experiments of the field-theory chapter on small cells, and what is published of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from companion import evidence, response, results
from companion.montecarlo import Estimate
from companion.papers import field_theory, find_experiment
from companion.papers.defects import planted
from companion.papers.field_theory import cells, defects, learning, theory
from companion.papers.field_theory.experiments import EXAMPLE, PLAIN, SETTINGS
from companion.sweeps import moments
from companion.sweeps.experiment import plain
from companion.sweeps.runner import finished_rows

SMALL = {
    "depth": 6,
    "width": 24,
    "networks": 4,
    "every": 2,
    "depths": (2, 5),
    "sigmas": (0.8, 1.6),
    "scales": (0.1, 0.3, 0.9),
    "cosines": (-0.5, 0.5),
    "reduced": (0.1, 0.3),
    "betas": (0.0, 0.1),
}
BY_ID = {e.id: e for e in field_theory.EXPERIMENTS}


def small(experiment, preset: str) -> dict:
    params = dict(experiment.grid(preset)[0])
    return {**params, **{name: value for name, value in SMALL.items() if name in params}}


def table(name: str, params: dict, seed: int = 1) -> pd.DataFrame:
    experiment = BY_ID[name]
    raw = experiment.cell(params, np.random.SeedSequence(seed), "cpu")
    return finished_rows(experiment, params, [raw])


@pytest.mark.parametrize("experiment", field_theory.EXPERIMENTS, ids=lambda e: e.id)
def test_cells_are_pure_and_finite(experiment):
    params = small(experiment, "quick")
    made = [experiment.cell(params, np.random.SeedSequence(4), "cpu") for _ in range(2)]
    pd.testing.assert_frame_equal(*made)
    frame = finished_rows(experiment, params, made[:1])
    numbers = frame.select_dtypes("number")
    assert not np.isinf(numbers.to_numpy(dtype=float)).any()
    assert numbers.notna().any().all()
    for name in [column for column in frame if column.endswith("sem")]:
        assert (frame[name].dropna() >= 0).all()


@pytest.mark.parametrize("experiment", field_theory.EXPERIMENTS, ids=lambda e: e.id)
def test_full_says_no_less_than_quick(experiment):
    quick, full = experiment.grid("quick"), experiment.grid("full")
    assert len(full) >= len(quick)
    assert sum(p.get("networks", 0) for p in full) >= sum(p.get("networks", 0) for p in quick)
    for name in ("activation", "scale", "width", "curve", "kind", "weights", "weight_variance"):
        assert {p.get(name) for p in full} == {p.get(name) for p in quick}, name
    for name in ("depth", "bias_variance", "protocol", "noise"):
        assert {p.get(name) for p in quick} <= {p.get(name) for p in full}, name
    for one in quick:  # every quick cell has a full one to be compared with
        rest = {"networks", "depths", "sigmas", "scales", "cosines", "reduced", "betas", "every"}
        fixed = {k: v for k, v in one.items() if k not in rest}
        assert any(fixed.items() <= other.items() for other in full)


def test_seeds_of_a_cell_are_distinct_and_repeatable():
    seed = np.random.SeedSequence(5, spawn_key=(1, 2))
    one, two = cells.children(seed, 2)
    assert one.spawn_key == (1, 2, 0)
    assert two.spawn_key == (1, 2, 1)
    assert cells.children(seed, 2)[0].generate_state(1) == one.generate_state(1)


KERNEL_CELL = {
    "activation": "erf",
    "depth": 8,
    "width": 200,
    "scale": 0.4,
    "networks": 1500,
    **EXAMPLE,
}


def check_kernels_and_responses():
    frame = table("ft-kernels", KERNEL_CELL)
    last = frame.iloc[-1]
    for name, effect in (("kernel", 0.03), ("response", 0.1)):
        band = 4.5 * last[f"{name}_sem"] + 2 / 200 * last[f"{name}_theory"]
        assert abs(last[name] - last[f"{name}_theory"]) < band < effect


def test_kernels_and_responses_lie_on_the_theory():
    check_kernels_and_responses()


@pytest.mark.parametrize("defect", [defects.no_bias_in_blocks, defects.no_curvature_term])
def test_kernels_and_responses_reject(defect):
    with planted(defect), pytest.raises(AssertionError):
        check_kernels_and_responses()


def test_output_response_has_points_curve_and_optimum():
    params = {"depth": 20, "width": 60, "scales": (0.1, 0.3), "networks": 4, **EXAMPLE}
    frame = table("ft-response", {**params, "weights": "implicit"})
    curve = frame[frame["kind"] == "curve"]
    points = frame[frame["kind"] == "network"]
    assert tuple(curve["x"]) == cells.CURVE
    assert tuple(points["x"]) == (0.1, 0.3)
    assert points["response_sem"].gt(0).all()
    assert curve["response"].isna().all()
    best = float(frame["optimum_theory"].iloc[0])
    assert best == pytest.approx(0.2244, abs=1e-4)
    top = curve.loc[curve["response_theory"].idxmax(), "x"]
    assert abs(np.log(top / best)) < np.log(cells.CURVE[1] / cells.CURVE[0])
    band = curve[(curve["x"] > frame["low_theory"][0]) & (curve["x"] < frame["high_theory"][0])]
    assert (band["response_theory"] > 0.9 * curve["response_theory"].max()).all()
    explicit = table("ft-response", {**params, "weights": "explicit"})
    assert set(explicit["kind"]) == {"network"}


def check_fluctuations():
    params = {**KERNEL_CELL, "depth": 10, "scale": 0.35, "networks": 4000, "every": 5}
    frame = table("ft-fluctuations", params)
    assert list(frame["kind"]) == ["stream"] * 3 + ["output"]
    assert list(frame["layer"]) == [0, 5, 10, 10]
    for _, row in frame.iloc[2:].iterrows():
        variance = Estimate(np.array(row["variance"]), np.array(row["variance_sem"]), 4000)
        assert variance.agrees(row["variance_theory"], allowance=0.03 * row["variance_theory"])
        assert variance.resolves(0.3 * row["variance_theory"])
    output = frame.iloc[-1]
    assert output["variance_theory"] == pytest.approx(0.1125, abs=1e-4)
    assert output["independent_theory"] == pytest.approx(0.0638, abs=1e-4)


def test_fluctuations_lie_on_the_theory():
    check_fluctuations()


def test_fluctuations_reject():
    with planted(defects.independent_noise), pytest.raises(AssertionError):
        check_fluctuations()


def test_fluctuations_of_parts_are_pooled():
    params = {**KERNEL_CELL, "networks": 6, "every": 8}
    parts = [
        cells.fluctuations(
            {**params, "networks": 3}, np.random.SeedSequence(7, spawn_key=(i,)), "cpu"
        )
        for i in range(2)
    ]
    pooled = moments.pool(pd.concat([p.assign(replicate=i) for i, p in enumerate(parts)]))
    assert (pooled["value_n"] == 6).all()
    means = [p["value_average"].to_numpy() for p in parts]
    np.testing.assert_allclose(pooled["value_average"], np.mean(means, axis=0))


def test_accumulation_at_the_optimum_and_elsewhere():
    for curve, want in (("optimum", 4.81), ("erf", 3.16), ("relu", 46.08)):
        frame = table("ft-accumulation", {"curve": curve, "depth": 10, "networks": 0})
        assert frame["relative_theory"][0] == pytest.approx(want, abs=0.01)
        assert frame["relative"].isna().all()
    found = table("ft-accumulation", {"curve": "optimum", "depth": 10, "networks": 2000})
    assert abs(found["relative"][0] - 4.81) < 4.5 * found["relative_sem"][0] < 1.0


def test_optimum_by_depth():
    frame = table("ft-optimum", {"depths": (20, 50, 100), **PLAIN})
    np.testing.assert_allclose(frame["exact_theory"], [0.30946, 0.19178, 0.13471], atol=1e-5)
    np.testing.assert_allclose(
        frame["final_theory"] / frame["operating_theory"], [1.047, 1.018, 1.009], atol=1e-3
    )
    np.testing.assert_allclose(frame["low_theory"], [0.219, 0.136, 0.095], atol=1e-3)
    np.testing.assert_allclose(frame["high_theory"], [0.394, 0.243, 0.171], atol=1e-3)
    gaps = (frame["slope_theory"] + 0.5).abs()
    assert gaps[2] < gaps[1] < gaps[0] < 0.05
    assert gaps[2] < 0.01
    assert frame["entropy_theory"][0] / frame["exact_theory"][0] == pytest.approx(1.195, abs=2e-3)


def test_variance_of_the_weights():
    params = {"depth": 20, "input_variance": 0.1, "sigmas": (0.5, 1.0, 2.0)}
    plain_ = table("ft-variance", {**params, "bias_variance": 0.0})
    np.testing.assert_allclose(plain_["elasticity_theory"], -1, atol=1e-6)
    np.testing.assert_allclose(plain_["optimum_theory"] * plain_["x"], 0.30946, atol=1e-5)
    biased = table("ft-variance", {**params, "bias_variance": 0.1})
    assert biased["optimum_theory"].isna()[0], "no optimum with small weights and large biases"


def test_only_the_kernel_of_a_saturating_readout_turns():
    grid = BY_ID["ft-kinds"].grid("full")
    turns = {}
    for params in grid:
        values = theory.kinds(params, np.random.SeedSequence(0), "cpu")["log_response_theory"]
        turns[params["kind"]] = bool((np.diff(values) < 0).any())
    assert turns == {
        "diagonal": True,
        "pair": True,
        "jacobian": False,
        "relu": False,
        "linear readout": False,
    }


def test_pairs_want_a_larger_scale():
    frame = table("ft-pairs", {"depth": 20, "cosines": (0.0, 0.3, 0.9), **EXAMPLE})
    np.testing.assert_allclose(frame["optimum_theory"], [0.577, 0.638, 1.12], atol=4e-3)
    assert frame["diagonal_theory"][0] == pytest.approx(0.224, abs=1e-3)


def test_criterion_map_ends_at_the_operating_point():
    frame = table(
        "ft-criterion", {"depth": 50, "reduced": (0.1, 0.4, 0.6, 0.62), "betas": (0.0, 0.1, 0.33)}
    )
    inside = frame["x"] < frame["operating_theory"]
    assert ((frame["optimum_theory"] > 0) == inside).all()
    assert ((frame["slope_theory"] > 0) == inside).all()
    assert inside.sum() == 4


def test_digits_are_split_anew_for_every_seed_and_scaled_on_the_training_part():
    one, other = (learning.digits(np.random.SeedSequence(k)) for k in (0, 1))
    assert (len(one.y_train), len(one.y_validation), len(one.y_test)) == (300, 300, 1197)
    assert np.mean(one.x_train.astype(float) ** 2) == pytest.approx(1.0, abs=1e-6)
    assert np.abs(one.x_train.mean(0)).max() < 1e-5
    assert abs(np.mean(one.x_test.astype(float) ** 2) - 1) < 0.2
    assert not np.array_equal(one.y_train, other.y_train)
    again = learning.digits(np.random.SeedSequence(0))
    assert np.array_equal(one.x_train, again.x_train)


TINY = {"protocol": "short", "depth": 3, "width": 16, "networks": 2, **EXAMPLE}


def test_runs_of_one_seed_share_everything_but_the_scale():
    both = learning.runs({**TINY, "scales": (0.3, 0.6)}, np.random.SeedSequence(3), "cpu")
    alone = learning.runs({**TINY, "scales": (0.3,)}, np.random.SeedSequence(3), "cpu")
    same = both[both["x"] == 0.3].reset_index(drop=True)
    assert np.abs(same["accuracy"] - alone["accuracy"]).max() < 0.01, "rounding alone"
    assert (both[both["x"] == 0.6]["loss"].to_numpy() != same["loss"].to_numpy()).all()
    twice = learning.runs({**TINY, "scales": (0.3, 0.3)}, np.random.SeedSequence(3), "cpu")
    first, second = (twice.iloc[k::2].reset_index(drop=True) for k in (0, 1))
    pd.testing.assert_frame_equal(first, second)


def raw_runs() -> pd.DataFrame:
    """Three seeds, two scales, numbers that can be checked by hand."""
    return pd.DataFrame(
        {
            "x": [0.2, 0.6] * 3,
            "network": [0, 0, 1, 1, 2, 2],
            "accuracy": [0.5, 0.7, 0.6, 0.7, 0.4, 0.7],
            "test": [0.5, 0.8, 0.6, 0.9, 0.4, 0.7],
            "validation": [0.9, 0.8, 0.7, 0.8, 0.6, 0.6],
            "loss": [1.0, 0.5, 1.2, 0.6, 1.1, 0.7],
        }
    )


def test_the_scale_is_chosen_on_validation_and_reported_on_test():
    params = {"depth": 20, "scales": (0.2, 0.6), **EXAMPLE}
    found = learning.training_table(raw_runs(), params)
    row = found.iloc[0]
    # the first seed prefers 0.2, the second 0.6, and the third the smaller of two equal ones
    assert row["chosen"] == pytest.approx((0.5 + 0.9 + 0.4) / 3)
    assert row["near"] == pytest.approx(0.5)
    assert row["near_scale"] == 0.2
    assert row["lead"] == pytest.approx(row["chosen"] - row["near"])
    assert row["chosen_scale"] == 0.2
    np.testing.assert_allclose(found["accuracy"], [0.5, 0.7])
    np.testing.assert_allclose(found["gain"], [0.0, 0.2], atol=1e-15)
    paired = Estimate.mean(np.array([0.2, 0.1, 0.3]))
    assert found["gain_sem"][1] == pytest.approx(float(paired.sem))
    assert found["gain_sem"][0] == 0


def test_a_diverged_run_leaves_its_loss_unknown():
    rows = raw_runs()
    rows.loc[1, "loss"] = np.nan
    found = learning.training_table(rows, {"depth": 20, "scales": (0.2, 0.6), **EXAMPLE})
    assert np.isnan(found["loss"][1])
    assert np.isnan(found["loss_sem"][1])
    assert found["loss"][0] == pytest.approx(1.1)


def test_regression_errs_least_beyond_the_optimal_scale():
    params = {
        "depth": 20,
        "noise": 1e-3,
        "networks": 2,
        "scales": (0.1, 0.2, 0.4, 1.5),
        **EXAMPLE,
    }
    frame = table("ft-regression", params)
    assert frame["error"].idxmin() == 2
    np.testing.assert_allclose(frame["error"], [0.0215, 0.0141, 0.0117, 0.0177], atol=0.0015)
    assert (frame["gain"][2] + 4.5 * frame["gain_sem"][2]) < 0
    assert frame["accuracy"].between(0.93, 1).all()
    assert frame["near_scale"][0] == 0.2
    with planted(defects.deaf_kernel):
        flat = table("ft-regression", params)
    assert np.ptp(flat["error"]) == 0


def test_nearest_is_by_ratio():
    assert learning.nearest((0.1, 0.4), 0.19) == 0.1
    assert learning.nearest((0.1, 0.4), 0.21) == 0.4


# ---------------------------------------------------------------- what is published

#: What a full preset must at least hold: least width, depths, least networks of simulated cells.
MINIMA = {
    "ft-kernels": (500, {30}, 1000),
    "ft-response": (400, {5, 20, 50, 100}, 150),
    "ft-fluctuations": (50, {10, 30, 100}, 5000),
    "ft-training": (64, {5, 20, 60}, 10),
    "ft-regression": (0, {5, 20, 60}, 3),
}


@pytest.mark.parametrize("experiment", field_theory.EXPERIMENTS, ids=lambda e: e.id)
def test_what_is_published_is_the_full_preset(experiment):
    assert experiment.id in results.published()
    _, manifest = results.load(experiment.id)
    assert manifest["preset"] == "full"
    assert manifest["spec"] == [plain(cell) for cell in experiment.grid("full")]
    if experiment.id in MINIMA:
        width, depths, networks = MINIMA[experiment.id]
        spec = manifest["spec"]
        assert min(cell.get("width", 0) for cell in spec) >= width
        assert {cell["depth"] for cell in spec} >= depths
        assert min(cell["networks"] for cell in spec) >= networks


def test_published_optima_reach_the_depths_of_the_law():
    frame, _ = results.load("ft-optimum")
    assert frame["x"].max() == 1000
    deep = frame[frame["x"] >= 100]
    assert (deep["slope_theory"] + 0.5).abs().max() < 0.01
    assert len(frame.drop_duplicates(["weight_variance", "bias_variance", "input_variance"])) == (
        len(SETTINGS)
    )


def test_published_kernels_lie_on_the_theory():
    """Within 4.5 standard errors and a relative 2/n."""
    frame, _ = results.load("ft-kernels")
    for name in ("kernel", "response"):
        theory_ = frame[f"{name}_theory"]
        gap = (frame[name] - theory_).abs()
        assert (gap < 4.5 * frame[f"{name}_sem"] + 2 / frame["width"] * theory_).all()


def test_published_responses_lie_on_the_curve():
    frame, _ = results.load("ft-response")
    points = frame[frame["kind"] == "network"]
    gap = (points["response"] - points["response_theory"]).abs()
    allowance = 2 / points["width"] * points["response_theory"]
    assert (gap < 4.5 * points["response_sem"] + allowance).all()
    assert points["response_sem"].median() < 0.02
    optima = frame.drop_duplicates("depth").set_index("depth")["optimum_theory"]
    assert np.all(np.diff(optima * np.sqrt(optima.index)) < 0)
    assert (optima * np.sqrt(optima.index)).between(0.97, 1.11).all()


def test_published_fluctuations_need_the_correlations_of_the_layers():
    frame, _ = results.load("ft-fluctuations")
    output = frame[(frame["kind"] == "output") & (frame["width"] >= 200)]
    gap = (output["variance"] - output["variance_theory"]).abs()
    assert (gap < 4.5 * output["variance_sem"] + 0.05 * output["variance_theory"]).all()
    far = output["variance"] - output["independent_theory"]
    assert (far > 10 * output["variance_sem"]).all()


def test_published_training_moves_with_the_depth():
    frame, _ = results.load("ft-training")
    short = frame[frame["protocol"] == "short"]
    best = {d: rows.loc[rows["accuracy"].idxmax(), "x"] for d, rows in short.groupby("depth")}
    assert best[5] > best[20] > best[60]
    for depth, scale in best.items():
        assert scale > float(response.optimal_scale(cells.settings({"depth": depth, **EXAMPLE})))
    assert (frame["networks"] >= 10).all()


def test_published_regression_has_its_minima_where_the_claim_says():
    frame, _ = results.load("ft-regression")
    main = frame[(frame["noise"] == 1e-3) & (frame["bias_variance"] > 0)]
    best = {d: rows.loc[rows["error"].idxmin(), "x"] for d, rows in main.groupby("depth")}
    assert best == {5: 0.9, 20: 0.4, 60: 0.2}


def test_cells_without_networks_can_be_compared():
    frame, _ = results.load("ft-accumulation")
    assert (frame["networks"] == 0).any()
    found = evidence.compare(frame, frame, find_experiment("ft-accumulation"))
    assert found.count == 3 * len(frame)
    assert found.holds


def test_unknown_experiments_are_refused():
    with pytest.raises(ValueError, match="no experiment is called 'ft-nothing'"):
        find_experiment("ft-nothing")
