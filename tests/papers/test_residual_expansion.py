"""Experiments of the residual expansion on small cells, and what is published of them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from companion import expansion, results
from companion.montecarlo import Estimate
from companion.papers import residual_expansion
from companion.papers.defects import planted
from companion.papers.residual_expansion import cells, defects, networks, truncated
from companion.papers.residual_expansion.experiments import LAWS, TRUNCATED
from companion.papers.residual_expansion.trained import TRAINED
from companion.sweeps import moments
from companion.sweeps.experiment import plain
from companion.sweeps.runner import finished_rows

TRAINED_IDS = {e.id for e in TRAINED}
EXPERIMENTS = [e for e in residual_expansion.EXPERIMENTS if e.id not in TRAINED_IDS]
BY_ID = {e.id: e for e in EXPERIMENTS}

SMALL = {
    "depth": 34,
    "width": 8,
    "networks": 6,
    "orders": 33,
    "scales": (0.25, 1.0),
    "ratios": (0.5, 1.0),
}


def small(experiment, preset: str) -> dict:
    params = dict(experiment.grid(preset)[0])
    changed = {name: value for name, value in SMALL.items() if name in params}
    if experiment.id == "re-smooth":  # every order costs a row of the kernel
        changed |= {"orders": 4}
    return {**params, **changed}


def table(name: str, params: dict, seed: int = 1) -> pd.DataFrame:
    experiment = BY_ID[name]
    raw = experiment.cell(params, np.random.SeedSequence(seed), "cpu")
    return finished_rows(experiment, params, [raw])


def row(frame: pd.DataFrame, kind: str, x: float) -> pd.Series:
    found = frame[(frame["kind"] == kind) & np.isclose(frame["x"], x)]
    assert len(found) == 1
    return found.iloc[0]


def agrees(found: pd.Series, name: str, *, effect: float, allowance: float = 0.0) -> bool:
    """Within 4.5 standard errors of theory, by an estimate that would see ``effect``."""
    value, sem, theory = (float(found[f"{name}{end}"]) for end in ("", "_sem", "_theory"))
    assert 4.5 * sem + allowance < effect, "resolved"
    return abs(value - theory) < 4.5 * sem + allowance


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.id)
def test_cells_are_pure_and_finite(experiment):
    params = small(experiment, "quick")
    made = [experiment.cell(params, np.random.SeedSequence(4), "cpu") for _ in range(2)]
    pd.testing.assert_frame_equal(*made)
    frame = finished_rows(experiment, params, made[:1])
    numbers = frame.select_dtypes("number")
    assert not np.isinf(numbers.to_numpy(dtype=float)).any()
    for name in [column for column in frame if column.endswith("sem")]:
        assert (frame[name].dropna() >= 0).all()


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.id)
def test_estimates_have_errors_and_differ_between_seeds(experiment):
    """What has an error is random: a constant would differ by rounding from machine to machine."""
    params = small(experiment, "quick")
    one, two = (table(experiment.id, params, seed) for seed in (1, 2))
    for name in [c for c in one if f"{c}_sem" in one or (c == "density" and "sem" in one)]:
        known = one[name].notna() & (one["kind"] != "density")
        if experiment.id == "re-truncation":  # order 0, and beyond some order rounding alone
            known &= (one["kind"] != "size") | (one["entry"] > 0)
            known &= one["value"] > -14
        assert (one[name] != two[name])[known].all()


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.id)
def test_full_says_no_less_than_quick(experiment):
    quick, full = experiment.grid("quick"), experiment.grid("full")
    assert len(full) >= len(quick)
    assert sum(p.get("networks", 0) for p in full) >= sum(p.get("networks", 0) for p in quick)
    for name in ("activation", "variance", "masks", "exponent", "alignment", "law", "parameter"):
        assert {p.get(name) for p in full} == {p.get(name) for p in quick}, name
    for one in quick:  # every quick cell has a full one to be compared with
        fixed = {k: v for k, v in one.items() if k != "networks"}
        assert any(fixed.items() <= other.items() for other in full)


# ---------------------------------------------------------------- orders

PATHS = {
    "activation": "relu",
    "masks": "frozen",
    "exponent": 0.5,
    "alignment": "independent",
    "depth": 50,
    "width": 16,
    "networks": 600,
    "orders": 4,
}


def check_energies(masks: str, activation: str):
    frame = table("re-paths", {**PATHS, "masks": masks, "activation": activation})
    assert row(frame, "total", -1)["energy_theory"] == pytest.approx(2.6916, abs=5e-5)
    assert agrees(row(frame, "total", -1), "energy", effect=1.0)
    for order, want in ((1, 1.0), (2, 0.49), (3, 0.1568), (4, 0.036848)):
        found = row(frame, "order", order)
        assert agrees(found, "energy", effect=0.45 * want)
        assert found["energy_theory"] == pytest.approx(want, rel=1e-5)
    cross = frame[frame["kind"] == "cross"]
    assert list(zip(cross["x"], cross["entry"], strict=True)) == [(1, 2), (1, 3), (2, 3)]
    for _, found in cross.iterrows():
        assert agrees(found, "energy", effect=0.2)


@pytest.mark.parametrize(
    ("masks", "activation"), [("frozen", "linear"), ("frozen", "relu"), ("actual", "relu")]
)
def test_energies_lie_on_the_theory(masks, activation):
    check_energies(masks, activation)


@pytest.mark.parametrize("defect", [defects.scale_for_square, defects.tied_blocks])
def test_energies_reject(defect):
    with planted(defect), pytest.raises(AssertionError):
        check_energies("frozen", "relu")


def test_laws_of_the_path_length_beside_the_energies():
    frame = table("re-paths", PATHS)
    orders = frame[frame["kind"] == "order"]
    assert list(orders["x"]) == list(range(51))
    for name in ("share_theory", "count_theory"):
        assert orders[name].sum() == pytest.approx(1)
    share = orders["energy_theory"] / orders["energy_theory"].sum()
    np.testing.assert_allclose(orders["share_theory"], share, rtol=1e-9)
    np.testing.assert_allclose(orders["poisson_theory"][:4], [1, 1, 1 / 2, 1 / 6], rtol=1e-12)
    np.testing.assert_allclose(
        orders["count_theory"], [math.comb(50, k) / 2**50 for k in range(51)], rtol=1e-12
    )


def test_aligned_blocks_add_as_norms():
    params = {**PATHS, "activation": "linear", "alignment": "aligned", "networks": 0, "orders": 0}
    for exponent, total in ((0.0, 2.0**50), (0.5, (1 + 50**-0.5) ** 50), (1.0, 1.02**50)):
        frame = table("re-paths", {**params, "exponent": exponent})
        assert row(frame, "total", -1)["energy_theory"] == pytest.approx(total, rel=1e-12)
        assert frame["energy"].isna().all()
    third = row(frame, "order", 3)["energy_theory"]
    assert third == pytest.approx(math.comb(50, 3) / 50**3, rel=1e-12)


def test_jacobians_have_the_law_of_the_stream():
    frame = table("re-jacobian", {"depth": 50, "width": 32, "networks": 1500, "orders": 4})
    wanted = {"total": 2.6916, "log": 0.928, "spread": 0.124}
    for kind, want in wanted.items():
        found = row(frame, kind, -1)
        assert found["value_theory"] == pytest.approx(want, abs=5e-4)
        assert agrees(found, "value", effect=0.5 * want)
    for order in range(1, 5):
        found = row(frame, "order", order)
        assert agrees(found, "value", effect=0.4 * found["value_theory"])


def check_lengths():
    frame = table("re-prenorm", {"depth": 54, "width": 64, "networks": 60})
    mean = row(frame, "mean", -1)
    assert mean["value_theory"] == pytest.approx(3.594, abs=5e-4)
    assert agrees(mean, "value", effect=1.0, allowance=3 / 64)
    variance = row(frame, "variance", -1)
    assert variance["value_theory"] == pytest.approx(2.967, abs=5e-4)
    assert agrees(variance, "value", effect=1.0, allowance=6 / 64)


def test_normalised_networks_have_short_paths():
    check_lengths()
    frame = table("re-prenorm", {"depth": 54, "width": 8, "networks": 3})
    shares = frame[frame["kind"] == "share"]
    assert shares["value_theory"].sum() == pytest.approx(1)
    assert shares["count_theory"][shares["x"] <= 20].sum() == pytest.approx(0.038, abs=5e-4)
    assert shares["value"].isna().sum() == 55 - 40, "order 0 and those beyond the longest"


@pytest.mark.parametrize("defect", [defects.all_paths_alike, defects.tied_blocks])
def test_short_paths_reject(defect):
    with planted(defect), pytest.raises(AssertionError):
        check_lengths()


SMOOTH = {
    "activation": "erf",
    "depth": 50,
    "variance": 1.5,
    "width": 64,
    "networks": 150,
    "orders": 5,
}


def check_smooth():
    frame = table("re-smooth", SMOOTH)
    for order, effect in ((1, 0.3), (2, 0.1), (3, 0.0369), (4, 0.03)):
        found = row(frame, "energy", order)
        allowance = 3 / 64 * found["value_theory"]
        assert agrees(found, "value", effect=effect, allowance=allowance)
    cross = frame[frame["kind"] == "cross"].set_index(["x", "entry"])
    assert agrees(cross.loc[(1, 3)], "value", effect=0.06, allowance=3e-3)


def test_orders_of_erf_networks_lie_on_the_kernel():
    check_smooth()
    frame = table("re-smooth", {**SMOOTH, "networks": 2, "width": 8})
    energies = [row(frame, "energy", k) for k in range(1, 6)]
    wanted = (0.614498, 0.215650, 0.0863209, 0.0588203, 0.0548343)
    np.testing.assert_allclose([e["value_theory"] for e in energies], wanted, rtol=2e-6)
    np.testing.assert_allclose([e["closed_theory"] for e in energies[:3]], wanted[:3], rtol=2e-6)
    assert energies[2]["paths_theory"] == pytest.approx(0.08632 - 0.03690, abs=1e-5)
    for energy in energies[:2]:
        assert energy["paths_theory"] == pytest.approx(energy["value_theory"])
    cross = frame[frame["kind"] == "cross"].set_index(["x", "entry"])["value_theory"]
    assert cross[1, 3] == pytest.approx(-0.064695, abs=1e-6)


@pytest.mark.parametrize("defect", [defects.no_trees, defects.tied_blocks])
def test_orders_of_erf_networks_reject(defect):
    with planted(defect), pytest.raises(AssertionError):
        check_smooth()


# ---------------------------------------------------------------- remainders and kinks


def check_remainder():
    params = {"activation": "relu", "depth": 50, "width": 32, "networks": 300}
    frame = table("re-remainder", {**params, "scales": (0.125, 1.0)})
    for x, leading, third in ((0.125, 5.05e-6, 0.60e-6), (1.0, 0.1655, 0.1568)):
        found = row(frame, "second", x)
        assert found["leading_theory"] == pytest.approx(leading, rel=1e-3)
        assert found["third_theory"] == pytest.approx(third, rel=5e-3)
        exact = found["value_theory"]
        assert agrees(found, "value", effect=exact - third, allowance=0.03 * exact)
    frozen = row(frame, "frozen", 1.0)
    assert agrees(frozen, "value", effect=0.2, allowance=0.01)


def test_remainders_of_relu_networks_lie_on_the_theory():
    check_remainder()


def test_remainders_reject():
    with planted(defects.masks_never_switch), pytest.raises(AssertionError):
        check_remainder()


def test_remainders_of_erf_networks_have_the_sixth_power():
    params = {"activation": "erf", "variance": 1.5, "depth": 30, "width": 32, "networks": 100}
    frame = table("re-remainder", {**params, "scales": (0.05, 0.1)})
    assert set(frame["kind"]) == {"second"}
    low, high = frame["value"]
    assert math.log2(high / low) == pytest.approx(6, abs=0.1)
    found = row(frame, "second", 0.05)
    gap = abs(found["value"] - found["leading_theory"])
    assert gap < 4.5 * found["value_sem"] + 0.1 * found["leading_theory"]


def check_kinks():
    params = {"depth": 32, "width": 16, "networks": 600, "edges": (0.0, 5.0, 10)}
    frame = table("re-kink", params)
    mean = row(frame, "mean", -1)
    assert agrees(mean, "value", effect=0.5, allowance=0.05)
    bars = frame[frame["kind"] == "density"]
    error = np.maximum(bars["sem"], np.sqrt(bars["density_theory"] / 600 / 0.5))
    assert (np.abs(bars["density"] - bars["density_theory"]) < 4.5 * error).all()
    assert 4.5 * error.iloc[0] < 0.3 < bars["density_theory"].iloc[0]


def test_first_kinks_are_exponential():
    check_kinks()
    frame = table("re-kink", {"depth": 50, "width": 32, "networks": 8, "edges": (0.0, 5.0, 5)})
    params = {"depth": 50, "width": 32}
    mean = row(frame, "mean", -1)["value_theory"] * networks.kink_unit(params)
    assert mean == pytest.approx(4.23e-4, abs=5e-7)


def test_first_kinks_reject():
    with planted(defects.kinks_of_one_block), pytest.raises(AssertionError):
        check_kinks()


# ---------------------------------------------------------------- truncation


def truncated_rows(activation: str, variance: float, depth: int = 100, count: int = 4):
    params = {"activation": activation, "variance": variance, "depth": depth, "width": 32}
    params |= {"networks": count, "orders": 40, "scales": (0.25, 1.0)}
    return table("re-truncation", params)


def error(frame: pd.DataFrame, x: float, order: int) -> float:
    own = frame[(frame["kind"] == "error") & np.isclose(frame["x"], x)]
    return 10 ** float(own[own["entry"] == order]["value"].iloc[0])


def test_linear_networks_are_exhausted_and_relu_networks_are_not():
    linear, relu = truncated_rows("linear", 1.0), truncated_rows("relu", 2.0)
    assert error(linear, 1.0, 40) < 1e-14
    assert error(relu, 1.0, 40) == pytest.approx(error(relu, 1.0, 20), rel=1e-6)
    assert 0.1 < error(relu, 1.0, 40) < 1
    assert "radius" not in set(linear["kind"]) | set(relu["kind"])


def test_whether_smooth_networks_converge_depends_on_their_weights():
    tanh, tame, wild = (truncated_rows(*v) for v in (("tanh", 1.0), ("erf", 1.0), ("erf", 2.0)))
    radii = [f[f["kind"] == "radius"].iloc[0] for f in (tanh, tame, wild)]
    assert radii[0]["middle"] < 1 < radii[1]["low"]
    assert radii[2]["high"] < 1
    assert error(tame, 1.0, 40) < 1e-3
    assert error(wild, 1.0, 40) > 1e3
    assert error(tanh, 0.25, 40) < 1e-12
    for frame in (tanh, wild):
        best = frame[(frame["kind"] == "best") & np.isclose(frame["x"], 1.0)].iloc[0]
        assert 2 <= best["low"] <= best["middle"] <= best["high"] <= 40


def test_the_explorer_follows_one_network():
    for activation, variance in TRUNCATED:
        params = {"activation": activation, "variance": variance, "depth": 40, "width": 16}
        params |= {"orders": 32, "scales": (0.1, 1.0)}
        frame = table("re-explorer", params)
        assert len(frame) == 2 * 33
        assert frame["kink"].notna().all() == (activation == "relu")
        assert frame["radius"].notna().all() == (activation in ("tanh", "erf"))
        low = frame[np.isclose(frame["x"], 0.1)]["error"].to_numpy()
        assert (np.diff(low[:3]) < 0).all()
        # a ReLU network beyond its first kink is not its series, the others converge to rounding
        assert 1e-4 < low[-1] < 1e-2 if activation == "relu" else low[-1] < 1e-14
    # below its first kink a ReLU network is a polynomial
    params |= {"activation": "relu", "scales": (0.9 * _kink(params), 3 * _kink(params))}
    frame = table("re-explorer", params)
    errors = frame[frame["entry"] == 32]["error"].to_numpy()
    assert errors[0] < 1e-14
    assert errors[1] > 1e-9


def _kink(params: dict) -> float:
    return float(table("re-explorer", {**params, "activation": "relu"})["kink"].iloc[0])


# ---------------------------------------------------------------- correlation

EQUAL = {
    "law": "equicorrelated",
    "parameter": 0.1,
    "depth": 60,
    "width": 32,
    "networks": 100,
    "orders": 3,
    "ratios": (0.5, 1.0),
}


def check_correlation():
    frame = table("re-correlation", EQUAL)
    assert frame["critical_theory"].iloc[0] == pytest.approx(0.049147, abs=5e-7)
    total = row(frame, "total", 1.0)
    assert total["value_theory"] == pytest.approx(2.2997, abs=5e-5)
    assert agrees(total, "value", effect=1.0, allowance=0.03 * 2.3)
    for order in (1, 2, 3):
        found = row(frame, "order", order)
        assert agrees(
            found,
            "value",
            effect=0.6 * found["value_theory"],
            allowance=0.04 * found["value_theory"],
        )


def test_correlated_blocks_lie_on_the_theory():
    check_correlation()


@pytest.mark.parametrize("defect", [defects.correlation_ignored, defects.tied_blocks])
def test_correlated_blocks_reject(defect):
    with planted(defect), pytest.raises(AssertionError):
        check_correlation()


def test_order_norms_and_curves_of_every_law():
    small_ = {**EQUAL, "width": 6, "networks": 2}
    frame = table("re-correlation", {**small_, "depth": 30})
    found = [row(frame, "order", k)["value_theory"] for k in (1, 2, 3)]
    np.testing.assert_allclose(found, [117, 3784.5, 58325.554], rtol=1e-12)
    for law, parameter, first in (("ou", 5.0, 552.2), ("ou", 60.0, 2649), ("fractional", 0.5, 60)):
        frame = table("re-correlation", {**small_, "law": law, "parameter": parameter})
        assert row(frame, "order", 1)["value_theory"] == pytest.approx(first, rel=2e-4)
        assert frame["critical_theory"].iloc[0] == pytest.approx(first**-0.5, rel=2e-4)
        curve = frame[frame["kind"] == "curve"]
        assert curve["value_theory"].is_monotonic_increasing
        assert curve["value"].isna().all()
    with pytest.raises(ValueError, match="law must be 'equicorrelated', 'ou' or 'fractional'"):
        networks.covariance("smooth", 1.0, 5)


def test_lengths_by_depth_and_correlation():
    params = {"depth": 30, "correlation": 0.0, "gain": 1.0, "exponents": (0.5, 1.0)}
    frame = table("re-lengths", params)
    half = frame[frame["beta"] == 0.5]
    assert half["share_theory"].sum() == pytest.approx(1)
    assert half["log_total_theory"].iloc[0] == pytest.approx(30 * math.log1p(1 / 30))
    np.testing.assert_allclose(half["share_theory"], half["critical_share_theory"], atol=1e-12)
    shared = table("re-lengths", {**params, "correlation": 1.0})
    assert math.exp(shared[shared["beta"] == 1.0]["log_total_theory"].iloc[0]) == pytest.approx(
        2.2574, abs=5e-5
    )
    stronger = table("re-lengths", {**params, "gain": 4.0})
    assert stronger["critical_theory"].iloc[0] == pytest.approx(0.5 / 30**0.5)


def test_moments_of_parts_are_pooled():
    params = {**PATHS, "networks": 4}
    seeds = [np.random.SeedSequence(7, spawn_key=(i,)) for i in range(2)]
    parts = [cells.paths(params, seed, "cpu") for seed in seeds]
    pooled = moments.pool(pd.concat([p.assign(replicate=i) for i, p in enumerate(parts)]))
    assert (pooled["energy_n"] == 8).all()
    means = [p["energy_average"].to_numpy() for p in parts]
    np.testing.assert_allclose(pooled["energy_average"], np.mean(means, axis=0))


def test_kinks_of_parts_are_pooled():
    params = {"depth": 20, "width": 8, "networks": 20, "edges": (0.0, 5.0, 4)}
    seeds = [np.random.SeedSequence(7, spawn_key=(i,)) for i in range(2)]
    parts = [cells.kink(params, seed, "cpu").assign(replicate=i) for i, seed in enumerate(seeds)]
    pooled = moments.pool(pd.concat(parts))
    both, *single = (f[f["kind"] == "density"]["value_average"] for f in (pooled, *parts))
    np.testing.assert_allclose(both, (single[0].to_numpy() + single[1].to_numpy()) / 2)
    assert 0.9 < both.sum() <= 1
    assert (pooled["value_n"] == 40).all()


def test_the_remainder_of_low_orders_alone_is_the_same():
    params = {"activation": "relu", "depth": 20, "width": 8, "networks": 5, "scales": (0.5,)}
    seed = np.random.SeedSequence(3)
    full = truncated.remainder(params, seed, "cpu")
    low = truncated.remainder({**params, "orders": 2}, seed, "cpu")
    assert set(low["kind"]) == {"second"}
    np.testing.assert_allclose(
        low["value_average"], full[full["kind"] == "second"]["value_average"], rtol=1e-10
    )


# ---------------------------------------------------------------- what is published

#: What a full preset must at least hold: least width, depths, least networks of simulated cells.
MINIMA = {
    "re-paths": (32, {12, 50}, 4000),
    "re-jacobian": (32, {50}, 10_000),
    "re-prenorm": (256, {54}, 40),
    "re-smooth": (256, {50}, 400),
    "re-truncation": (64, {100, 400, 1000}, 2),
    "re-remainder": (32, {50}, 1500),
    "re-kink": (16, {32, 50}, 1500),
    "re-correlation": (128, {60}, 300),
}


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.id)
def test_what_is_published_is_the_full_preset(experiment):
    assert experiment.id in results.published()
    _, manifest = results.load(experiment.id)
    assert manifest["preset"] == "full"
    assert manifest["spec"] == [plain(cell) for cell in experiment.grid("full")]
    if experiment.id in MINIMA:
        width, depths, least = MINIMA[experiment.id]
        simulated = [cell for cell in manifest["spec"] if cell["networks"]]
        assert min(cell["width"] for cell in simulated) >= width
        assert {cell["depth"] for cell in simulated} >= depths
        assert min(cell["networks"] for cell in simulated) >= least


def estimates(frame: pd.DataFrame, name: str) -> Estimate:
    return Estimate(frame[name].to_numpy(), frame[f"{name}_sem"].to_numpy(), 4000)


def test_published_energies_lie_on_the_theory():
    frame, _ = results.load("re-paths")
    known = frame.dropna(subset="energy")
    assert estimates(known, "energy").agrees(known["energy_theory"])
    orders = known[(known["kind"] == "order") & (known["x"] <= 4)]
    assert (orders["energy_sem"] < 0.05 * orders["energy"]).all()


def test_published_jacobians_and_lengths_lie_on_the_theory():
    frame, _ = results.load("re-jacobian")
    assert estimates(frame, "value").agrees(frame["value_theory"])
    frame, _ = results.load("re-prenorm")
    known = frame[frame["kind"].isin(["mean", "variance"])]
    allowance = 2 / 256 * known["value_theory"]
    assert estimates(known, "value").agrees(known["value_theory"], allowance=allowance)


def test_published_orders_of_erf_need_trees():
    frame, _ = results.load("re-smooth")
    known = frame[frame["x"].isin([1, 2, 3, 4])]
    allowance = 3 / 256 * known["value_theory"].abs() + 1e-12
    assert estimates(known, "value").agrees(known["value_theory"], allowance=allowance)
    third = row(frame, "energy", 3)
    assert third["value"] - 20 * third["value_sem"] > third["paths_theory"]


def test_published_remainders_and_kinks_lie_on_the_theory():
    frame, _ = results.load("re-remainder")
    known = frame.dropna(subset="value_theory")
    allowance = 0.03 * known["value_theory"]
    assert estimates(known, "value").agrees(known["value_theory"], allowance=allowance)
    frame, _ = results.load("re-kink")
    mean = frame[frame["kind"] == "mean"]
    assert estimates(mean, "value").agrees(mean["value_theory"], allowance=0.05)


def test_published_totals_of_correlated_blocks_lie_on_the_theory():
    frame, _ = results.load("re-correlation")
    assert set(zip(frame["law"], frame["parameter"], strict=True)) == set(LAWS)
    known = frame[(frame["kind"] == "total") & (frame["x"] <= 1)]
    allowance = 0.03 * known["value_theory"]
    assert estimates(known, "value").agrees(known["value_theory"], allowance=allowance)
    critical = known[known["x"] == 1]["value_theory"]
    assert critical.between(2, math.e).all()
    for law, parameter in LAWS:
        g = networks.covariance(law, parameter, 60)
        own = frame[(frame["law"] == law) & (frame["parameter"] == parameter)]
        assert own["critical_theory"].iloc[0] == pytest.approx(float(expansion.critical_scale(g)))


def test_published_truncation_at_small_scales_is_accurate_and_at_one_it_depends():
    frame, _ = results.load("re-truncation")
    deep = frame[(frame["depth"] == 400) & (frame["kind"] == "error") & (frame["entry"] == 40)]
    by = deep.set_index(["activation", "variance", "x"])
    assert by.loc[("tanh", 1.0, 0.25), "high"] < -12
    assert by.loc[("tanh", 1.0, 1.0), "middle"] > 1
    assert by.loc[("erf", 1.0, 1.0), "high"] < -2
    assert by.loc[("tanh", 1.0, 2.0), "low"] > 5
