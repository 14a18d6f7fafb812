"""Experiments of the tangent-kernel chapter on small cells, and what is published of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from companion import datasets, results
from companion.kernels import tangent_limits
from companion.kernels.tangent import normalized_kernel
from companion.montecarlo import Estimate
from companion.papers import tangent_kernel
from companion.papers.defects import planted
from companion.papers.tangent_kernel import (
    defects,
    draws,
    finite,
    images,
    settings,
    tables,
)
from companion.papers.tangent_kernel.experiments import RISK_KERNELS
from companion.simulate.tangent import FiniteNetwork
from companion.sweeps.experiment import plain
from companion.sweeps.runner import finished_rows

SMALL = {
    "depth": 6,
    "width": 16,
    "networks": 3,
    "samples": 40,
    "degrees": 12,
    "depths": (0.1, 30.0),
    "betas": (0.0, 0.5),
    "checkpoints": (1, 3),
}
BY_ID = {e.id: e for e in tangent_kernel.EXPERIMENTS}
#: Experiments whose ``depths`` are of networks, or whose depth must exceed its effective depth.
OWN = {"tk-phase": {"depths": (10, 100)}, "tk-flow": {"depth": 1000}}


def small(experiment, preset: str) -> dict:
    params = dict(experiment.grid(preset)[0])
    changed = {**SMALL, **OWN.get(experiment.id, {})}
    if experiment.id == "tk-digits":
        changed = {"networks": 2, "depths": (10,), "deepest": 1000}
    return {**params, **{name: value for name, value in changed.items() if name in params}}


def table(name: str, params: dict, seed: int = 1) -> pd.DataFrame:
    experiment = BY_ID[name]
    raw = experiment.cell(params, np.random.SeedSequence(seed), "cpu")
    return finished_rows(experiment, params, [raw])


@pytest.mark.parametrize("experiment", tangent_kernel.EXPERIMENTS, ids=lambda e: e.id)
def test_cells_are_pure_and_finite(experiment):
    params = small(experiment, "quick")
    made = [experiment.cell(params, np.random.SeedSequence(4), "cpu") for _ in range(2)]
    pd.testing.assert_frame_equal(*made)
    frame = finished_rows(experiment, params, made[:1])
    numbers = frame.select_dtypes("number")
    assert not np.isinf(numbers.to_numpy(dtype=float)).any()
    absent = set(numbers.columns[numbers.isna().all()])
    assert absent <= {"predicted_theory", "offset_theory", "plateau_theory"}, (
        "no law at this exponent or dimension"
    )
    for name in [column for column in frame if column.endswith("_sem")]:
        assert (frame[name].dropna() >= 0).all()


@pytest.mark.parametrize("experiment", tangent_kernel.EXPERIMENTS, ids=lambda e: e.id)
def test_full_says_no_less_than_quick(experiment):
    quick, full = experiment.grid("quick"), experiment.grid("full")
    assert len(full) >= len(quick)
    assert sum(p.get("networks", 0) for p in full) >= sum(p.get("networks", 0) for p in quick)
    for name in ("beta", "constant", "schedule", "dimension", "degree", "domain", "exponents"):
        if experiment.id != "tk-explorer":
            assert {p.get(name) for p in full} == {p.get(name) for p in quick}, name
    for name in ("depth", "width", "samples", "effective_depth"):
        assert {p.get(name) for p in quick} <= {p.get(name) for p in full}, name
    for one in quick:  # every quick cell has a full one to be compared with
        rest = {"networks", "depths", "betas", "checkpoints"}
        fixed = {k: v for k, v in one.items() if k not in rest}
        assert any(fixed.items() <= other.items() for other in full)


def test_seeds_of_a_cell_are_distinct_and_repeatable():
    seed = np.random.SeedSequence(5, spawn_key=(1, 2))
    one, two = settings.children(seed, 2)
    assert (one.spawn_key, two.spawn_key) == ((1, 2, 0), (1, 2, 1))
    assert settings.children(seed, 2)[0].generate_state(1) == one.generate_state(1)


# ---------------------------------------------------------------- kernels, limits, spectra


@pytest.mark.parametrize("beta", [0.0, 0.25, 0.5, 1.0])
def test_curves_approach_their_limit(beta):
    far = {}
    for depth in (100, 1000):
        frame = table("tk-kernel", {"beta": beta, "depth": depth})
        curve = frame[(frame["kind"] == "angle") & (frame["x"] > 1)]
        far[depth] = float((curve["kernel_theory"] - curve["limit_theory"]).abs().max())
        start = frame[(frame["kind"] == "angle") & (frame["x"] == 0)]
        assert float(start["kernel_theory"].iloc[0]) == 1.0
    # in the mean over the exponents: 1/L, L^(-1/2), 1/L, and L^(-1/2) at the antipode
    factor = {0.0: 0.17, 0.25: 0.55, 0.5: 0.11, 1.0: 0.36}[beta]
    assert far[1000] < factor * far[100]


def test_peaks_lie_on_one_profile():
    frame = table("tk-kernel", {"beta": 0.0, "depth": 10_000})
    rows = frame[frame["kind"] == "peak"]
    assert len(rows) > 30
    assert (rows["kernel_theory"] - rows["limit_theory"]).abs().max() < 5e-4
    shallow = table("tk-kernel", {"beta": 0.0, "depth": 10})
    part = shallow[shallow["kind"] == "peak"]
    assert (part["kernel_theory"] - part["limit_theory"]).abs().max() > 5e-3


@pytest.mark.parametrize("name", ["constant", "rising", "first tenth"])
def test_schedules_add_up_to_their_effective_depth(name):
    spec = settings.schedule(name, 200, 1.5)
    assert spec.effective_depth() == pytest.approx(1.5, rel=1e-12)
    shares = spec.shares()
    assert {"constant": np.ptp(shares) < 1e-15, "rising": shares[-1] > 100 * shares[0]}.get(
        name, (shares[20:] == 0).all() and (shares[:20] > 0).all()
    )


def test_schedules_with_one_effective_depth_have_one_kernel():
    gaps = {}
    for name in ("constant", "rising", "first tenth"):
        frame = table("tk-flow", {"effective_depth": 2.0, "depth": 2000, "schedule": name})
        gaps[name] = (frame["kernel_theory"] - frame["flow_theory"]).abs().max()
    assert gaps["rising"] < 6e-5
    assert gaps["first tenth"] < 1.2e-3
    assert gaps["constant"] < 1e-4


def test_rates_are_those_predicted():
    slow = table("tk-rates", {"beta": 0.25, "constant": 1.0, "depth": 16_000}).set_index("x")
    fast = table("tk-rates", {"beta": 1.0, "constant": 1.0, "depth": 10_000}).set_index("x")
    for frame, angles, tolerance in (
        (slow, (1.0, 2.0), 0.2),
        (fast, (0.1, 0.5, 1.0, 2.0, 3.0, np.pi), 3e-3),
    ):
        gap = frame["kernel_theory"] - frame["limit_theory"]
        for angle in angles:
            assert gap[angle] / frame["predicted_theory"][angle] == pytest.approx(1, abs=tolerance)
    assert slow["offset_theory"].isna().all()
    half = table("tk-rates", {"beta": 0.0, "constant": 0.5, "depth": 4000}).set_index("x")
    assert half["offset_theory"][2.0] == pytest.approx(3.529, abs=6e-4)
    unit = table("tk-rates", {"beta": 0.0, "constant": 1.0, "depth": 16_000}).set_index("x")
    assert unit["offset_theory"][1.0] == pytest.approx(2.7991, abs=6e-5)


def test_spectrum_has_the_laws_of_its_decay():
    frame = table("tk-spectrum", {"beta": 0.5, "depth": 1000, "dimension": 3, "degrees": 300})
    tail = frame[frame["x"] > 250]
    np.testing.assert_allclose(tail["eigenvalue_theory"] / tail["kinks_theory"], 1, atol=2e-4)
    deep = table("tk-spectrum", {"beta": 0.0, "depth": 10_000, "dimension": 3, "degrees": 100})
    ratio = (deep["eigenvalue_theory"] / deep["plateau_theory"]).set_axis(deep["x"])
    np.testing.assert_allclose(ratio[[5, 20, 100]], [0.979, 0.977, 0.907], atol=6e-4)
    two = table("tk-spectrum", {"beta": 0.0, "depth": 1, "dimension": 3, "degrees": 9})
    assert two["eigenvalue_theory"][[3, 5, 7, 9]].abs().max() < 1e-15
    np.testing.assert_allclose(two["eigenvalue_theory"][:3], [1 / 4, 1 / 6, 5 / 128], atol=1e-13)


def test_plane_holds_the_threshold():
    frame = table("tk-phase", {"samples": 400, "degree": 2, "depths": (8000,), "betas": (0.0, 0.5)})
    assert frame["threshold_theory"][0] == pytest.approx(400 * np.pi / 5)
    assert frame["effective_theory"].tolist() == pytest.approx([4000, 8000 / 8001])
    assert frame["bias_theory"][0] > 0.85
    assert frame["bias_theory"][1] < 1e-4


def test_explorer_shows_kernel_and_spectrum():
    frame = table("tk-explorer", {"beta": 0.0, "depth": 100})
    spec = settings.network({"beta": 0.0, "depth": 100})
    curve = frame[frame["kind"] == "kernel"]
    wanted = normalized_kernel(spec, curve["x"].to_numpy())
    np.testing.assert_allclose(curve["value_theory"], wanted, atol=1e-11)
    values = frame[frame["kind"] == "eigenvalue"].set_index("x")["value_theory"]
    assert values[0] > values[1] > values[2] > 0


# ---------------------------------------------------------------- inputs and targets


def test_inputs_are_uniform_on_their_domain():
    rng = np.random.default_rng(0)
    x = draws.sphere(rng, 20_000)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=1e-12)
    assert Estimate.mean(x[:, 2]).agrees(0.0)
    assert Estimate.mean(x[:, 2] ** 2).agrees(1 / 3)
    part = draws.sphere(rng, 20_000, "orthant")
    assert (part >= 0).all()
    assert Estimate.mean(part[:, 2]).agrees(0.5), "the area of a zone is that of its height"


@pytest.mark.parametrize("degree", [2, 3, 5])
def test_harmonics_have_unit_variance_and_the_degree_asked_for(degree):
    x = draws.sphere(np.random.default_rng(1), 20_000)
    values = draws.harmonic(x, degree)
    assert Estimate.mean(values**2).agrees(1.0)
    assert Estimate.mean(values * draws.harmonic(x, degree + 1)).agrees(0.0)


def check_field() -> None:
    """Covariance of the random target from many draws at three points."""
    rng = np.random.default_rng(2)
    angles = np.array([0.0, 0.4, 2.6])
    x = np.stack([np.sin(angles), 0 * angles, np.cos(angles)], axis=1)
    samples = np.array([draws.field(rng, x) for _ in range(2500)])
    variances = draws.field_variances()
    assert variances[0] == 0
    assert np.all(variances[3::2] == 0)
    weights = (2 * np.arange(variances.size) + 1) * variances
    for j, angle in enumerate(angles):
        target = float(np.polynomial.legendre.legval(np.cos(angle), weights))
        product = Estimate.mean(samples[:, 0] * samples[:, j])
        assert product.agrees(target)
        assert product.resolves(0.2)


def test_the_random_target_has_the_covariance_it_is_said_to_have():
    check_field()


def test_the_covariance_needs_its_odd_degree(monkeypatch):
    true = draws._covariance

    def even(x):
        return (true(x) + true(np.vstack([x[:1], -x[1:]]))) / 2

    monkeypatch.setattr(draws, "_covariance", even)
    with pytest.raises(AssertionError):
        check_field()


def test_images_have_unit_length_and_splits_are_new_for_every_seed():
    one, other = (draws.digits(np.random.default_rng(k), "digits", 300, 200) for k in (0, 1))
    for data in (one, other):
        assert data.x_train.shape == (300, 64)
        assert data.x_test.shape == (200, 64)
        np.testing.assert_allclose(np.linalg.norm(data.x_train, axis=1), 1, atol=1e-12)
    assert one.classes == 10
    assert not np.array_equal(one.y_train, other.y_train)
    rest = draws.digits(np.random.default_rng(0), "digits", 300)
    assert len(rest.y_test) == 1797 - 300
    assert np.array_equal(rest.y_train, one.y_train)


def test_the_data_set_is_a_parameter(monkeypatch):
    """Another data set goes through the same function."""
    digits, asked = datasets.load(), []
    other = dataclasses.replace(digits, name="mnist")
    monkeypatch.setattr(datasets, "load", lambda name, **kw: asked.append(name) or other)
    cell = {"data": "mnist", "samples": 200, "networks": 2, "deepest": 0}
    frame = table("tk-digits", {**cell, "exponents": (0.5,), "depths": (10,)})
    assert asked == ["mnist"] * 2
    assert frame["accuracy"].min() > 0.9
    assert set(frame["kind"]) == {"raw", "centred"}


# ---------------------------------------------------------------- regressions


def check_risk() -> None:
    """The risk of a smooth kernel against the sum over independent harmonics, in a wide band."""
    frame = table("tk-risk", {"beta": 1.0, "depth": 1000, "samples": 512, "networks": 6})
    row = frame.iloc[0]
    assert row["ideal_theory"] == pytest.approx(0.0090, abs=1e-4)
    assert row["ideal_theory"] < row["risk"] + 4.5 * row["risk_sem"]
    assert row["risk"] < 1.35 * row["ideal_theory"]
    assert 4.5 * row["risk_sem"] < row["ideal_theory"]
    assert row["final"] > 1.5 * row["risk"], "stopping early pays"
    assert row["log_time"] == pytest.approx(3.8, abs=0.4)


def test_risk_of_a_smooth_kernel():
    check_risk()


@pytest.mark.parametrize("defect", [defects.never_stopping, defects.constant_scale])
def test_risk_rejects(defect):
    with planted(defect), pytest.raises(AssertionError):
        check_risk()


def test_ideal_risks_are_those_of_the_target():
    samples = (64, 2048)
    found = [
        float(
            tables.risk_table(
                pd.DataFrame({"risk": [1.0, 1.0], "log_time": [1.0, 2.0], "final": [1.0, 1.0]}),
                {"beta": 1.0, "depth": 1000, "samples": count},
            )["ideal_theory"].iloc[0]
        )
        for count in samples
    ]
    np.testing.assert_allclose(found, [0.0302, 0.0040], atol=6e-5)


def check_harmonics() -> None:
    """Even and odd harmonics at small, unit and large effective depth."""
    cell = {"samples": 400, "domain": "sphere", "networks": 8, "depths": (0.001, 1.0, 300.0)}
    even, odd = (table("tk-harmonics", {**cell, "degree": k}).set_index("x") for k in (2, 3))
    assert odd["risk"][0.001] > 20 * odd["risk"][1.0]
    assert even["risk"][0.001] < 1.3 * even["risk"][1.0]
    assert even["final"][0.001] > 5 * even["risk"][0.001]
    row = even.loc[300.0]
    assert row["threshold_theory"] == pytest.approx(0.296, abs=1e-3)
    band = 4.5 * row["risk_sem"] + 0.03
    assert abs(row["risk"] - row["bias_theory"]) < band < 0.1
    assert np.isnan(even["bias_theory"][1.0]), "no unresolved part that acts as a ridge"


def test_harmonics_by_effective_depth():
    check_harmonics()


@pytest.mark.parametrize(
    "defect", [defects.kernel_of_unit_depth, defects.never_stopping, defects.resolved_ridge]
)
def test_harmonics_reject(defect):
    with planted(defect), pytest.raises(AssertionError):
        check_harmonics()


def test_the_orthant_hides_the_parity():
    cell = {"samples": 400, "networks": 6, "depths": (0.001, 1.0), "degree": 3}
    frame = table("tk-harmonics", {**cell, "domain": "orthant"})
    assert 0.6 < frame["risk"][0] / frame["risk"][1] < 1.6


def test_digits_by_the_treatment_of_the_labels():
    cell = {"data": "digits", "samples": 500, "networks": 2, "exponents": (), "depths": ()}
    frame = table("tk-digits", {**cell, "deepest": 100_000}).set_index("kind")
    assert frame["accuracy"]["raw"] < 0.5
    assert frame["accuracy"]["centred"] > 0.88
    assert abs(frame["accuracy"]["parzen"] - frame["accuracy"]["centred"]) < 0.02
    assert frame["error"]["centred"] > 0.98
    assert np.isnan(frame["error"]["parzen"])
    with planted(defects.kernel_of_unit_depth):
        tame = table("tk-digits", {**cell, "deepest": 10_000}).set_index("kind")
    assert tame["accuracy"]["raw"] > 0.95


def test_the_vote_is_the_first_order_at_large_effective_depth():
    data = draws.digits(np.random.default_rng(3), "digits", 60, 40)
    vote = images._vote(data)
    angle = np.arccos(np.clip(data.x_test @ data.x_train.T, -1, 1))
    np.testing.assert_allclose(vote, tangent_limits.degeneration_offset(angle), rtol=1e-5)


# ---------------------------------------------------------------- networks of finite width


def check_convergence() -> None:
    """Ratios of mean kernels at width 128, with an allowance of 2/n for finite width."""
    cell = {"depth": 5, "beta": 0.0, "constant": 1.0, "width": 128, "networks": 300}
    frame = table("tk-convergence", cell)
    for _, row in frame.iterrows():
        band = 4.5 * row["ratio_sem"] + 2 / 128
        assert abs(row["ratio"] - row["ratio_theory"]) < band < 0.05
        assert abs(row["amplitude"] - 1) < 4.5 * row["amplitude_sem"] + 2 / 128 < 0.25


def test_kernels_of_networks_converge():
    check_convergence()


def test_kernels_of_networks_reject():
    with planted(defects.inner_matrices_frozen), pytest.raises(AssertionError):
        check_convergence()


def test_wide_networks_regress_like_the_limit():
    """At small width a constant scale costs accuracy, a falling one does not."""
    cell = {"depth": 32, "width": 64, "networks": 3}
    rough = table("tk-empirical", {**cell, "beta": 0.0}).iloc[0]
    tame = table("tk-empirical", {**cell, "beta": 0.5}).iloc[0]
    assert rough["gap"] < -0.15
    assert tame["gap"] > -0.06
    assert rough["variation"] > 3 * tame["variation"]
    assert rough["kernel"] > 0.94
    assert rough["gap"] == pytest.approx(rough["accuracy"] - rough["kernel"])


def test_a_known_kernel_is_looked_up():
    values = np.arange(9.0).reshape(3, 3)
    known = finite._Known(values)
    rows = np.array([[2.0], [0.0]])
    assert np.array_equal(known(rows), values[np.ix_([2, 0], [2, 0])])
    assert np.array_equal(known(rows, np.array([[1.0]])), values[[2, 0]][:, [1]])


def check_training() -> None:
    """Two steps against gradients by torch, momentum by hand."""
    data = draws.digits(np.random.default_rng(0), "digits", 12, 6)
    spec = settings.network({"depth": 3, "beta": 0.5, "width": 16, "inputs": 64})
    net, twin = (FiniteNetwork(spec.replace(outputs=data.classes), 5) for _ in range(2))
    list(finite._descend(net, data, [1, 2]))
    x = twin.input_map.new_tensor(data.x_train)
    targets = twin.input_map.new_tensor(finite._indicators(data))
    start = twin.output(twin.forward(x))
    weights = [*twin.inner, *twin.outer]
    velocity = [0.0 * weight for weight in weights]
    for _ in range(2):
        leaves = [weight.requires_grad_(True) for weight in weights]
        misfit = twin.output(twin.forward(x)) - start - targets
        gradients = torch.autograd.grad((misfit**2).sum() / (2 * len(x)), leaves)
        rate = 0.5 / (2 * spec.effective_depth())
        with torch.no_grad():
            for weight, move, gradient in zip(weights, velocity, gradients, strict=True):
                move.mul_(0.9).sub_(rate * gradient)
                weight.add_(move)
    for one, other in zip([*net.inner, *net.outer], weights, strict=True):
        assert (one - other).abs().max() < 1e-10


def test_training_is_gradient_descent_with_momentum():
    check_training()


def test_training_without_momentum_is_noticed(monkeypatch):
    monkeypatch.setattr(finite, "MOMENTUM", 0.0)
    with pytest.raises(AssertionError):
        check_training()


def test_training_comes_near_the_flow_of_infinite_width():
    cell = {"depth": 4, "width": 192, "networks": 2, "checkpoints": (20, 60), "beta": 0.5}
    frame = table("tk-networks", cell).set_index("steps")
    assert frame["accuracy"][60] > frame["accuracy"][20] > 0.75
    assert abs(frame["gap"][60]) < 0.06
    short = table("tk-networks", {**cell, "checkpoints": (20,)}).set_index("steps")
    assert short["accuracy"][20] == frame["accuracy"][20], "steps to come change nothing"


# ---------------------------------------------------------------- what is published

#: What a full preset must at least hold: depths, widths or sample sizes, least repeats.
MINIMA = {
    "tk-kernel": ({"depth": {10, 100, 1000, 10_000}}, 0),
    "tk-flow": ({"depth": {100, 1000, 10_000}}, 0),
    "tk-rates": ({"depth": {1000, 16_000, 64_000}}, 0),
    "tk-spectrum": ({"dimension": {2, 3, 5, 8}, "degrees": {300}}, 0),
    "tk-risk": ({"samples": {64, 128, 256, 512, 1024, 2048}}, 4),
    "tk-harmonics": ({"samples": {100, 400, 1000}, "degree": {2, 3, 5}}, 4),
    "tk-digits": ({"samples": {1000}, "deepest": {100_000}}, 5),
    "tk-networks": ({"depth": {8, 32}, "width": {64, 128, 256}}, 3),
    "tk-empirical": ({"width": {64, 128, 256, 512, 1024}}, 3),
    "tk-convergence": ({"width": {48, 96, 192, 384}}, 100),
}


@pytest.mark.parametrize("experiment", tangent_kernel.EXPERIMENTS, ids=lambda e: e.id)
def test_what_is_published_is_the_full_preset(experiment):
    assert experiment.id in results.published()
    _, manifest = results.load(experiment.id)
    assert manifest["preset"] == "full"
    assert manifest["spec"] == [plain(cell) for cell in experiment.grid("full")]
    wanted, repeats = MINIMA.get(experiment.id, ({}, 0))
    for name, values in wanted.items():
        assert {cell[name] for cell in manifest["spec"]} >= values
    assert all(cell.get("networks", repeats) >= repeats for cell in manifest["spec"])


def test_published_risks_fall_at_the_rate():
    frame, _ = results.load("tk-risk")
    assert {(b, d) for b, d in zip(frame["beta"], frame["depth"], strict=True)} == set(RISK_KERNELS)
    for beta in (1.0, 0.5):
        rows = frame[(frame["beta"] == beta) & (frame["samples"] >= 512)]
        slope = np.polyfit(np.log(rows["samples"]), np.log(rows["risk"]), 1)[0]
        assert abs(slope + 0.6) < 0.15
    assert (frame[frame["depth"] == 10_000]["risk"] > 0.4).all(), "T = 5000 learns little"


def test_published_harmonics_follow_the_threshold():
    frame, _ = results.load("tk-harmonics")
    rows = frame[(frame["domain"] == "sphere") & (frame["x"] >= 100) & (frame["degree"] == 2)]
    gap = (rows["risk"] - rows["bias_theory"]).abs()
    assert (gap < 4.5 * rows["risk_sem"] + 0.03).all()
    odd = frame[(frame["degree"] == 3) & (frame["samples"] == 400) & (frame["domain"] == "sphere")]
    assert 0.3 <= odd.loc[odd["risk"].idxmin(), "x"] <= 3


def test_published_digits_depend_on_depth_only_below_one_half():
    frame, _ = results.load("tk-digits")
    raw = frame[frame["kind"] == "raw"]
    fast = raw[raw["beta"] >= 0.5]
    assert np.ptp(fast["accuracy"]) < 0.002
    slow = raw[raw["beta"] == 0].set_index("depth")["accuracy"]
    assert slow[10] > slow[1000] > slow[10_000] > slow[100_000]


def test_published_networks_need_width_at_a_constant_scale():
    frame, _ = results.load("tk-empirical")
    rough = frame[(frame["beta"] == 0) & (frame["depth"] == 32)].sort_values("width")
    assert (np.diff(rough["accuracy"]) > 0).all()
    assert (np.diff(rough["variation"]) < 0).all()
    assert rough["gap"].iloc[-1] > -0.08
    assert rough["gap"].iloc[0] < -0.2
    tame = frame[frame["beta"] == 0.5]
    assert (tame["gap"] > -0.05).all()


def test_published_kernels_of_networks_extrapolate_to_the_theory():
    from companion.simulate.extrapolation import extrapolate

    frame, _ = results.load("tk-convergence")
    for _, rows in frame.groupby(["depth", "x"]):
        parts = [
            Estimate(np.array(row["ratio"]), np.array(row["ratio_sem"]), row["networks"])
            for _, row in rows.iterrows()
        ]
        line = extrapolate(rows["width"].tolist(), parts)
        assert line.limit.agrees(float(rows["ratio_theory"].iloc[0]))
        assert line.limit.resolves(0.05)
