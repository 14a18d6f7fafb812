"""The study of trained networks: what is measured, the cells, their tables and the claims."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from companion import results
from companion.montecarlo import Estimate
from companion.papers.residual_expansion import measures, trained, trained_cells, trained_claims
from companion.papers.residual_expansion.trained import TRAINED
from companion.simulate import jacobians, jets
from companion.sweeps.experiment import plain
from companion.sweeps.runner import finished_rows
from companion.training import Outcome, Settings, Weights, train
from companion.training.stack import Stack, draw

SEED = np.random.SeedSequence(11)
DATA = trained_cells.images("digits", np.random.SeedSequence(1))
BY_ID = {e.id: e for e in TRAINED}


def run_of(depth: int, scale: float, protocol: str = "sgd 0.02", epochs: int = 3) -> Outcome:
    spec = trained_cells.network(depth, 16, scale, DATA)
    settings = trained_cells.settings(protocol, epochs)
    return train([spec], DATA, settings, seeds=[1], device="cpu", keep_weights=True)[0]


def trace_of(run: Outcome, count: int = 9) -> measures.Trace:
    assert run.trained is not None
    return measures.trace(run.trained, run.spec, DATA.x_test[:count], run.settings.normalisation)


# ---------------------------------------------------------------- data and protocols


def test_images_are_split_anew_for_every_seed_and_scaled_on_the_training_part():
    other = trained_cells.images("digits", np.random.SeedSequence(2))
    assert [len(y) for y in (DATA.y_train, DATA.y_validation, DATA.y_test)] == [1257, 270, 270]
    assert np.abs(DATA.x_train.mean(0)).max() < 1e-5
    assert np.mean(np.sum(DATA.x_train.astype(float) ** 2, 1)) == pytest.approx(64, rel=1e-5)
    assert not np.array_equal(DATA.y_train, other.y_train)
    again = trained_cells.images("digits", np.random.SeedSequence(1))
    assert np.array_equal(DATA.x_test, again.x_test)


def test_protocols_are_those_of_the_chapter():
    sgd = trained_cells.settings("sgd 0.1", 40)
    assert (sgd.optimiser, sgd.momentum, sgd.clip, sgd.normalisation) == ("sgd", 0.9, None, "none")
    rates = [sgd.rate(epoch) for epoch in (0, 27, 28, 39)]
    assert rates == pytest.approx([0.1, 0.1, 0.02, 0.02])
    assert trained_cells.settings("sgd 0.1", 40, 7.0).branch_rate(0) == pytest.approx(0.7)
    adam = trained_cells.settings("adam 0.0004", 15)
    assert (adam.optimiser, adam.betas, adam.learning_rate) == ("adam", (0.9, 0.99), 4e-4)
    clipped = trained_cells.settings("clipped", 15)
    assert (clipped.learning_rate, clipped.clip) == (0.02, 0.5)
    kinds = [trained_cells.settings(f"{k} norm", 1).normalisation for k in ("batch", "layer")]
    assert kinds == ["batch", "layer"]
    assert all(isinstance(trained_cells.settings(k, 1), Settings) for k in trained_cells.PROTOCOLS)


# ---------------------------------------------------------------- what is measured


def check_complexity(protocol: str) -> None:
    """Against automatic differentiation of the network that was trained."""
    run = run_of(6, 0.4, protocol)
    kind = run.settings.normalisation
    found = measures.geometric_complexity(trace_of(run))
    stack, moments = Stack.load([run.spec], [run.trained], torch.device("cpu"), torch.float64, kind)
    x = torch.tensor(DATA.x_test[:9]).double().requires_grad_()
    for function, value in zip((stack.features, stack.logits), found, strict=True):
        outputs = function(x, moments)[0]
        gradients = [torch.autograd.grad(row.sum(), x, retain_graph=True)[0] for row in outputs]
        expected = sum(float((g**2).sum(1).mean()) for g in gradients)
        assert value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("protocol", ["sgd 0.02", "batch norm", "layer norm"])
def test_geometric_complexity_is_that_of_the_trained_network(protocol):
    check_complexity(protocol)


@pytest.mark.parametrize("protocol", ["batch norm", "layer norm"])
def test_a_normalisation_whose_slope_is_forgotten_is_noticed(protocol, monkeypatch):
    monkeypatch.setattr(measures, "_pull_norm", lambda found, place, rows: rows)
    with pytest.raises(AssertionError):
        check_complexity(protocol)


def check_against_the_library(run: Outcome) -> None:
    """Orders, coherence and complexity against the simulations of the package."""
    w = run.trained
    assert w is not None
    found = trace_of(run)
    scale = float(run.spec.scales[0])
    x = DATA.x_test[:9].astype(float)
    tower = jets.Tower(w.outer.astype(float), w.inner.astype(float), activation="relu")
    start = x @ w.input.astype(float).T
    energies = measures.order_energies(found, 5)
    expected = np.asarray(jets.paths(tower, start, 5, scale).energies(scale)).mean(1)
    orders = [energies["order", float(k)] for k in range(6)]
    assert orders == pytest.approx(list(expected), rel=1e-9)
    assert energies["members", -1.0] == pytest.approx(sum(orders))
    branches = jacobians.branches(tower, start, scale)
    coherence = float(np.mean(np.asarray(jacobians.coherence(branches))))
    assert energies["coherence", -1.0] == pytest.approx(coherence, rel=1e-9)
    function = jacobians.network(tower, scale, input_map=w.input.astype(float))
    expected_features = float(jacobians.geometric_complexity(function, x))
    assert measures.geometric_complexity(found)[0] == pytest.approx(expected_features, rel=1e-9)


def test_measures_agree_with_the_simulations_of_the_package():
    check_against_the_library(run_of(12, 0.3))


def test_masks_of_another_scale_are_noticed(monkeypatch):
    true = measures.trace

    def frozen(weights: Weights, spec: Any, inputs: Any, normalisation: str = "none") -> Any:
        still = true(weights, spec.replace(scale=1e-9), inputs, normalisation)
        right = true(weights, spec, inputs, normalisation)
        return measures.Trace(right.weights, right.streams, still.masks, normalisation)

    run = run_of(12, 0.3)
    monkeypatch.setattr(measures, "trace", frozen)
    with pytest.raises(AssertionError):
        check_against_the_library(run)


def test_orders_are_sums_over_the_subsets_of_the_blocks():
    """Enumeration: every path through five blocks, with the masks the network has."""
    run = run_of(5, 0.5)
    found = trace_of(run, 1)
    start = found.streams[0, 0]
    sums = np.zeros((6, start.size))
    for order in range(6):
        for path in itertools.combinations(range(5), order):
            h = start
            for block in path:
                inner = found.weights["inner"][block] @ h
                h = found.weights["outer"][block] @ (found.masks[block, 0] * inner)
            sums[order] += h
    assert sums.sum(0) == pytest.approx(found.streams[-1, 0], rel=1e-9)
    energies = measures.order_energies(found, 5)
    for order, vector in enumerate(sums):
        expected = vector @ vector / (start @ start)
        assert energies["order", float(order)] == pytest.approx(expected, rel=1e-9)
    total = found.streams[-1, 0] @ found.streams[-1, 0] / (start @ start)
    assert energies["total", -1.0] == pytest.approx(total, rel=1e-12)


def check_initial_complexity() -> None:
    """Mean over networks against the squared input map times prod(1 + s^2 c)."""
    depth, width, scale, networks = 20, 16, 0.2, 400
    spec = trained_cells.network(depth, width, scale, DATA)
    values = []
    for number in range(networks):
        drawn = draw(spec, np.random.default_rng([5, number]))
        weights = Weights(**{k: v.astype(np.float32) for k, v in drawn.items()})
        found = measures.trace(
            weights,
            spec,
            DATA.x_test[number : number + 1] if number < 270 else DATA.x_train[number : number + 1],
        )
        values.append(measures.geometric_complexity(found)[0])
    mean = Estimate.mean(np.array(values))
    expected = 10 ** trained._initial_complexity(depth, width, scale)
    assert expected == pytest.approx(width * 1.04**20, rel=1e-12)
    assert float(mean.sem) < 0.05 * expected, "small against the factor 1.04^20 = 2.19"
    assert mean.agrees(expected)


def test_complexity_at_initialization_is_that_of_the_formula():
    check_initial_complexity()


def test_a_branch_of_twice_the_variance_is_noticed(monkeypatch):
    true = measures.trace

    def wide(weights: Weights, spec: Any, inputs: Any) -> Any:
        return true(weights, spec.replace(scale=float(spec.scales[0]) * 2**0.5), inputs)

    monkeypatch.setattr(measures, "trace", wide)
    with pytest.raises(AssertionError):
        check_initial_complexity()


def test_coherence_without_branches_is_unknown():
    assert np.isnan(measures.coherence(trace_of(run_of(3, 0.0))))


def test_what_cannot_be_measured_is_refused():
    run = run_of(3, 0.4, "layer norm", 1)
    with pytest.raises(ValueError, match="normalisation must be 'none', got 'layer'; normalised"):
        measures.order_energies(trace_of(run), 2)
    single = run.spec.replace(activation="tanh")
    with pytest.raises(ValueError, match="weights must be those of two-layer ReLU blocks without"):
        measures.trace(run.trained, single, DATA.x_test)


# ---------------------------------------------------------------- cells

TINY = {"depth": 4, "width": 12, "epochs": 2, "images": 8, "data": "digits", "networks": 2}


def test_runs_of_one_seed_share_everything_but_the_scale():
    params = {**TINY, "protocols": ("sgd 0.1", "adam 0.002"), "scales": (0.0, 0.5)}
    frame = trained_cells.training(params, SEED, "cpu")
    assert list(frame["kind"]) == (["sgd 0.1"] * 2 + ["adam 0.002"] * 2) * 2
    assert list(frame["network"]) == [0] * 4 + [1] * 4
    before = frame.pivot(index="network", columns=["kind", "x"], values="features_before")
    assert (before["sgd 0.1"] == before["adam 0.002"]).all(axis=None), "same weights and images"
    assert (before["sgd 0.1"][0.0] < before["sgd 0.1"][0.5]).all()
    assert before.nunique().min() == 2, "seeds differ"
    again = trained_cells.training(params, np.random.SeedSequence(11, spawn_key=(7,)), "cpu")
    pd.testing.assert_frame_equal(frame, again)  # of the seed of a cell only the root counts
    other = trained_cells.training(params, np.random.SeedSequence(12), "cpu")
    assert (other["features_before"] != frame["features_before"]).all()


def test_an_accuracy_is_that_of_all_images_that_were_held_out():
    params = {**TINY, "protocols": ("adam 0.002",), "scales": (0.5,)}
    frame = trained_cells.training(params, SEED, "cpu")
    parts = (270 * frame["validation"] + 270 * frame["test"]) / 540
    np.testing.assert_allclose(frame["accuracy"], parts, rtol=1e-12)
    assert frame["accuracy"].between(0.15, 0.99).all()


def test_a_run_that_diverges_is_recorded_and_has_no_numbers():
    params = {**TINY, "depth": 60, "protocols": ("sgd 0.1",), "scales": (0.1, 1.0)}
    frame = trained_cells.training(params, SEED, "cpu").set_index("x")
    lost = frame.loc[1.0]
    assert (lost["diverged"] == 1).all()
    names = ["accuracy", "validation", "test", "loss", "features_after", "logits_after"]
    assert lost[[*names, "coherence"]].isna().all(axis=None)
    assert np.isfinite(lost[["features_before", "logits_before"]]).all(axis=None)
    assert (frame.loc[0.1, "diverged"] == 0).all()
    assert np.isfinite(frame.loc[0.1, names]).all(axis=None)


def test_the_rate_of_the_branches_is_a_parameter_of_the_cell():
    params = {**TINY, "protocol": "sgd 0.1", "multipliers": (1.0, 4.0)}
    frame = trained_cells.rates(params, SEED, "cpu")
    assert list(frame["x"]) == [0.0, 1.0, 4.0] * 2
    before = frame.pivot(index="network", columns="x", values="features_before")
    assert (before[1.0] == before[4.0]).all()
    assert (before[0.0] > before[1.0]).all(), "the reference has the larger scale"
    after = frame.pivot(index="network", columns="x", values="features_after")
    assert (after[1.0] != after[4.0]).all()


def test_rows_of_the_orders():
    params = {**TINY, "protocol": "sgd 0.1", "points": ((0.5, 1.0), (0.25, 4.0)), "orders": 3}
    frame = trained_cells.orders(params, SEED, "cpu")
    assert len(frame) == 2 * 2 * (4 + 3)
    one = frame.query("network == 1 and entry == 1 and kind == 'order'")
    assert list(one["x"]) == [0, 1, 2, 3]
    assert (one["scale"] == 0.25).all()
    assert (one["multiplier"] == 4).all()
    assert one["before"].iloc[0] == one["after"].iloc[0] == 0
    assert (one["before"].to_numpy()[1:] != one["after"].to_numpy()[1:]).all()
    lost = {**params, "depth": 60, "points": ((0.1, 1.0), (1.0, 1.0))}
    assert set(trained_cells.orders(lost, SEED, "cpu")["entry"]) == {0}, "the other one diverged"


# ---------------------------------------------------------------- tables


def raw_runs() -> pd.DataFrame:
    """Three seeds, two scales, numbers that can be checked by hand."""
    frame = pd.DataFrame(
        {
            "kind": "sgd 0.1",
            "x": [0.1, 1.0] * 3,
            "network": [0, 0, 1, 1, 2, 2],
            "diverged": [0.0, 0.0, 0.0, 1.0, 0.0, 0.0],
            "accuracy": [0.90, 0.80, 0.92, np.nan, 0.94, 0.90],
            "validation": [0.9, 0.8, 0.9, np.nan, 0.7, 0.9],
            "test": [0.90, 0.80, 0.94, np.nan, 0.94, 0.90],
            "features_before": [1.0, 2.0, 1.0, 2.0, 1.0, 2.0],
            "features_after": [1.5, 1.0, 1.6, np.nan, 1.7, 1.2],
        }
    )
    same = dict.fromkeys(("logits_before", "logits_after"), frame["features_after"])
    return frame.assign(**same, coherence=1.0, loss=0.1)


def test_the_table_is_of_the_runs_that_did_not_diverge():
    table = trained.training_table(raw_runs(), {"depth": 100, "width": 32})
    small, large = (table[table["x"] == x].iloc[0] for x in (0.1, 1.0))
    assert (small["diverged"], large["diverged"]) == (0, pytest.approx(1 / 3))
    assert small["accuracy"] == pytest.approx(0.92)
    assert small["accuracy_sem"] == pytest.approx(0.02 / 3**0.5)
    assert large["accuracy"] == pytest.approx(0.85)
    assert small["ratio"] == pytest.approx(0.6)
    assert large["ratio"] == pytest.approx(-0.9)
    assert (small["reduced"], large["reduced"]) == (pytest.approx(1), pytest.approx(10))
    # The seeds choose 0.1 (twice) and 1.0; a run that diverged is not chosen.
    assert small["chosen"] == pytest.approx((0.90 + 0.94 + 0.90) / 3)
    assert small["chosen_scale"] == 0.1
    assert small["features_theory"] == pytest.approx(np.log10(32 * 1.01**100))


def test_a_single_run_has_no_error_and_is_not_shown():
    runs = raw_runs()
    runs.loc[1, ["accuracy", "test", "validation"]] = np.nan
    large = trained.training_table(runs, {"depth": 100, "width": 32}).iloc[1]
    assert np.isnan([large["accuracy"], large["accuracy_sem"]]).all()
    assert np.isfinite(large["features_after"])


def test_normalised_networks_have_no_theory_beside_them():
    runs = raw_runs().assign(kind="batch norm")
    table = trained.training_table(runs, {"depth": 100, "width": 32})
    assert table["features_theory"].isna().all()


def test_the_gap_is_paired():
    runs = raw_runs().assign(x=[0.0, 50.0] * 3)
    table = trained.rates_table(runs, {"depth": 100}).set_index("x")
    paired = Estimate.mean(np.array([0.10, 0.04]))
    assert table.loc[50.0, "gap"] == pytest.approx(float(paired.value))
    assert table.loc[50.0, "gap_sem"] == pytest.approx(float(paired.sem))
    assert table.loc[0.0, "gap"] == 0
    assert list(table["branches"]) == [1.0, 0.5]


def test_orders_stand_beside_the_law_of_independent_blocks():
    keys = [("order", 0.0), ("order", 1.0), ("order", 2.0), ("members", -1.0), ("total", -1.0)]
    rows = [
        {"entry": 0, "scale": 0.1, "multiplier": 1.0, "network": n, "kind": kind, "x": x}
        for n in (0, 1)
        for kind, x in [*keys, ("coherence", -1.0)]
    ]
    frame = pd.DataFrame(rows).assign(before=1.0, after=2.0)
    table = trained.orders_table(frame, {"depth": 100, "orders": 2})
    energies = 10 ** table["energy_theory"].to_numpy()
    np.testing.assert_allclose(energies, [1, 1, 0.495, 2.495, 1.01**100, 1], rtol=1e-12)
    assert (table["after"] == 2).all()
    assert (table["after_sem"] == 0).all()


def small(name: str) -> dict[str, Any]:
    params = dict(BY_ID[name].grid("quick")[0])
    return {**params, **{k: v for k, v in TINY.items() if k != "depth"}}


@pytest.mark.parametrize("name", BY_ID)
def test_a_cell_and_its_table_follow_the_rules(name):
    params = {**small(name), "images": 4, "epochs": 1}
    raw = BY_ID[name].cell(params, SEED, "cpu")
    table = finished_rows(BY_ID[name], params, [raw])
    for column in table.columns:
        if column.endswith("_sem"):
            assert column.removesuffix("_sem") in table
            known = table[column.removesuffix("_sem")].notna()
            assert (table.loc[known, column] >= 0).all(), column
    assert np.isfinite(table.filter(like="_theory").to_numpy()).all()


def test_the_grids_share_what_is_run_live():
    for experiment in TRAINED:
        full = [plain(cell) for cell in experiment.grid("full")]
        for cell in experiment.grid("quick"):
            found = plain(cell)
            assert any(
                set(found.get("protocols", [])) <= set(other.get("protocols", []))
                and all(
                    found[k] == other[k] for k in ("depth", "width", "epochs", "images", "data")
                )
                for other in full
            ), found


def test_named_scales():
    found = trained.scales(100)
    assert found["1/L"] == 0.01
    assert found["1/√L"] == pytest.approx(0.1)
    assert found["L^(-1/4)"] == pytest.approx(0.3162, abs=1e-4)
    assert list(found.values()) == sorted(found.values())


# ---------------------------------------------------------------- claims

CLAIMS = {c.id: c for c in trained_claims.TRAINED_CLAIMS}


def made(rows: list[dict[str, Any]]) -> Any:
    """A cell that returns what is given, at the scales and protocols it is asked for."""

    def cell(params: Any, seed: Any, device: str) -> pd.DataFrame:
        frame = pd.DataFrame(rows)
        if "protocols" in params:
            scales = params["scales"]
            frame = frame[frame["kind"].isin(params["protocols"])].copy()
            frame["x"] = [scales[int(i)] if i < len(scales) else np.nan for i in frame["x"]]
            frame = frame.dropna(subset=["x"])
        return frame

    return cell


def curve(*values: float, protocol: str = "clipped", before: float = 0.0) -> list[dict[str, Any]]:
    return [
        {
            "kind": protocol,
            "x": i,
            "network": n,
            "diverged": 0.0,
            "features_after": value + 0.01 * n * i,
            "features_before": before,
        }
        for i, value in enumerate(values)
        for n in (0, 1)
    ]


def verdict(name: str, monkeypatch: Any, cell: str, rows: list[dict[str, Any]]) -> str:
    monkeypatch.setattr(trained_cells, cell, made(rows))
    claim = CLAIMS[name]
    return claim.test({**claim.sizes["quick"], "networks": 2}, 1, "cpu").verdict


def test_a_complexity_that_falls_would_be_unimodal(monkeypatch):
    rising, bump = (1, 1, 2, 3, 4, 5, 6, 7), (1, 1, 2, 3, 2, 1, 0, 0)
    assert verdict("RE-13", monkeypatch, "training", curve(*rising)) == "not supported"
    assert verdict("RE-13", monkeypatch, "training", curve(*bump)) == "supported"


def test_scales_at_which_a_run_diverged_are_left_out(monkeypatch):
    rows = curve(1, 1, 2, 3, 4, 5, 6, 0)
    for row in rows[-2:]:
        row["diverged"] = 1.0
    assert verdict("RE-13", monkeypatch, "training", rows) == "not supported"


def test_the_largest_factor_must_lie_near_the_root(monkeypatch):
    bump = (0.1, 0.12, 0.15, 0.2, 0.3, 0.2, 0.0, -0.5)
    late = (0.1, 0.12, 0.15, 0.2, 0.2, 0.2, 0.6, -0.5)
    assert verdict("RE-18", monkeypatch, "training", curve(*bump)) == "supported"
    assert verdict("RE-18", monkeypatch, "training", curve(*late)) == "not supported"


def accuracies(*pairs: tuple[float, float, float]) -> list[dict[str, Any]]:
    """Reference, 1/L, and 1/L with fast branches, for every seed."""
    return [
        {"x": x, "network": n, "accuracy": a, "features_after": 2.3 - 0.01 * x + 0.001 * n * x}
        for n, triple in enumerate(pairs)
        for x, a in zip((0.0, 1.0, 30.0), triple, strict=True)
    ]


def test_the_gap_between_scales_must_close(monkeypatch):
    closes = accuracies((0.98, 0.96, 0.98), (0.98, 0.965, 0.981))
    stays = accuracies((0.98, 0.96, 0.96), (0.98, 0.965, 0.961))
    none = accuracies((0.98, 0.975, 0.98), (0.98, 0.974, 0.981))
    recorded = CLAIMS["RE-11"].recorded
    assert verdict("RE-11", monkeypatch, "rates", closes) == recorded
    assert verdict("RE-11", monkeypatch, "rates", stays) == "supported"
    assert verdict("RE-11", monkeypatch, "rates", none) == "not supported"


def test_equal_complexity_or_unequal_accuracy_refute_the_capacity(monkeypatch):
    right = accuracies((0.98, 0.96, 0.98), (0.98, 0.96, 0.981))
    assert verdict("RE-17", monkeypatch, "rates", right) == "supported"
    flat = [{**row, "features_after": 2.0 + 0.01 * row["network"]} for row in right]
    assert verdict("RE-17", monkeypatch, "rates", flat) == "not supported"
    worse = accuracies((0.98, 0.96, 0.94), (0.98, 0.96, 0.941))
    assert verdict("RE-17", monkeypatch, "rates", worse) == "not supported"


def test_a_constant_scale_that_trains_refutes_the_divergence(monkeypatch):
    def rows(deep: float, shallow: float) -> list[dict[str, Any]]:
        lost = {("sgd 0.1", 1): deep, ("sgd 0.1", 2): deep, ("clipped", 0): shallow}
        points = [*lost, ("sgd 0.1", 0), ("adam 0.002", 0)]
        return [
            {"kind": k, "x": i, "network": 0, "diverged": lost.get((k, i), 0.0)} for k, i in points
        ]

    recorded = CLAIMS["RE-10"].recorded
    assert verdict("RE-10", monkeypatch, "training", rows(1.0, 0.0)) == recorded
    assert verdict("RE-10", monkeypatch, "training", rows(0.0, 0.0)) == "not supported"
    assert verdict("RE-10", monkeypatch, "training", rows(1.0, 1.0)) == "supported"


def test_three_points_of_accuracy_refute_the_tie(monkeypatch):
    def rows(gap: float) -> list[dict[str, Any]]:
        kinds = {"sgd 0.1": 0.97, "batch norm": 0.97 + gap, "layer norm": 0.97}
        found = [
            {"kind": k, "x": 0, "network": n, "diverged": 0.0, "accuracy": a + 0.001 * n * len(k)}
            for k, a in kinds.items()
            for n in (0, 1)
        ]
        return [*found, {"kind": "sgd 0.1", "x": 1, "network": 0, "diverged": 1.0}]

    assert verdict("RE-12", monkeypatch, "training", rows(0.004)) == "supported"
    assert verdict("RE-12", monkeypatch, "training", rows(0.03)) == "not supported"
    assert verdict("RE-12", monkeypatch, "training", rows(-0.03)) == "not supported"


# ---------------------------------------------------------------- what is published

#: What a full preset must at least hold: least width, depths, least networks.
MINIMA = {
    "re-training": (32, {10, 100, 200}, 5),
    "re-rates": (32, {100}, 5),
    "re-orders": (32, {100}, 5),
}


@pytest.mark.parametrize("experiment", TRAINED, ids=lambda e: e.id)
def test_what_is_published_is_the_full_preset(experiment):
    assert experiment.id in results.published()
    _, manifest = results.load(experiment.id)
    assert manifest["preset"] == "full"
    assert manifest["spec"] == [plain(cell) for cell in experiment.grid("full")]
    width, depths, networks = MINIMA[experiment.id]
    assert min(cell["width"] for cell in manifest["spec"]) >= width
    assert {cell["depth"] for cell in manifest["spec"]} >= depths
    assert min(cell["networks"] for cell in manifest["spec"]) >= networks


def test_published_branches_align_under_adam_and_not_under_sgd():
    frame, _ = results.load("re-orders")
    deep = frame[(frame["depth"] == 100) & (frame["kind"] == "coherence")]
    sgd = deep[(deep["protocol"] == "sgd 0.1") & (deep["multiplier"] == 1)]
    assert (np.abs(sgd["after"]) < 0.15).all(), "a factor of 1.4"
    adam = deep[(deep["protocol"] == "adam 0.002") & (deep["scale"] == 0.01)]
    assert 10 ** adam["after"].item() > 20
    assert (np.abs(deep["before"]) < 0.1).all()


def test_published_learning_rates_of_the_branches_close_the_gap():
    frame, _ = results.load("re-rates")
    deep = frame[(frame["depth"] == 100) & (frame["protocol"] == "sgd 0.1")].set_index("x")
    assert deep.loc[1.0, "gap"] - 4.5 * deep.loc[1.0, "gap_sem"] > 0
    assert abs(deep.loc[100.0, "gap"]) < 0.007
    assert deep.loc[100.0, "features_after"] < deep.loc[0.0, "features_after"] - 0.1
