"""The cells on trained networks: what training adds to weights, and accuracy over the map."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from companion.papers import find_experiment
from companion.papers.large_depth import claims, learned, trained
from companion.training import Settings
from companion.training.stack import Stack
from companion.weights import IID, FractionalNoise, Smooth

SEED = np.random.SeedSequence(11)


# --- the autocorrelation ------------------------------------------------------------------------


def check_autocorrelation() -> None:
    """Pooled over 4000 entries, it is the covariance of the law."""
    rng = np.random.default_rng(3)
    for law in (IID("uniform"), FractionalNoise(0.8), FractionalNoise(0.2), Smooth(0.01)):
        sample = law.sample(100, (4000,), rng)
        for lag in (1, 3):
            parts = [trained.layer_autocorrelation(part, lag) for part in np.split(sample, 20, 1)]
            sem = np.std(parts, ddof=1) / 20**0.5
            wanted = float(law.covariance(np.arange(lag, lag + 1), 100)[0])
            assert sem < 0.01
            assert abs(np.mean(parts) - wanted) < 4.5 * sem + 1e-4


def test_the_autocorrelation_estimates_the_covariance_of_the_law():
    check_autocorrelation()


def test_an_autocorrelation_at_the_next_lag_is_noticed(monkeypatch):
    right = trained.layer_autocorrelation
    monkeypatch.setattr(trained, "layer_autocorrelation", lambda x, lag=1: right(x, lag + 1))
    with pytest.raises(AssertionError):
        check_autocorrelation()


def test_autocorrelations_known_exactly():
    assert trained.layer_autocorrelation(np.ones((5, 2))) == pytest.approx(1)
    assert trained.layer_autocorrelation(np.array([1.0, -1, 1, -1])) == pytest.approx(-1)
    assert trained.layer_autocorrelation(np.array([1.0, 0, 1, 0, 1]), 2) == pytest.approx(1)
    assert trained.layer_autocorrelation(np.array([3.0, 4.0, 0.0])) == pytest.approx(12 / 20)
    for lag in (0, 3):
        with pytest.raises(
            ValueError, match=f"lag must be between 1 and layers - 1 = 2, got {lag}"
        ):
            trained.layer_autocorrelation(np.ones((3, 2)), lag)


# --- roughness ----------------------------------------------------------------------------------


SHORT = {**find_experiment("ld-roughness").grid("quick")[0], "networks": 2, "depth": 60}


def rough(name: str, **changes: object) -> pd.DataFrame:
    params = {**SHORT, "initialization": name, **changes}
    return trained.roughness(params, SEED, "cpu")


def check_roughness() -> None:
    """The initial roughness is kept, and what training adds is smooth along the depth."""
    limits = {
        "smooth, beta=1": ((0.95, 1.0), (0.95, 1.0)),
        "iid, beta=1": ((-0.03, 0.03), (0.0, 0.1)),
        "iid, beta=0.5": ((-0.03, 0.03), (-0.03, 0.1)),
    }
    for name, (before, after) in limits.items():
        runs = rough(name).query("kind == 'run'")
        assert runs["before"].between(*before).all(), name
        assert runs["after"].between(*after).all(), name
        assert (runs["update"] > 0.9).all(), name
        assert runs["displacement"].between(0.1, 1.0).all(), name
        assert (runs["accuracy"] > 0.5).all(), name
        assert not runs["diverged"].any()


def test_trained_weights_keep_the_roughness_of_their_initialization():
    check_roughness()


def test_updates_that_do_not_match_their_layers_are_noticed(monkeypatch):
    """Gradients handed to the layers in a random order make the update rough."""
    share = Stack.share_gradients

    def shuffled(self, loss):
        share(self, loss)
        for member in self.members:
            outer = member["outer"]
            order = np.random.default_rng(0).permutation(len(outer))
            outer.grad = outer.grad[order].contiguous()

    monkeypatch.setattr(Stack, "share_gradients", shuffled)
    with pytest.raises(AssertionError):
        check_roughness()


def test_traces_are_the_weights():
    frame = rough("iid, beta=0.5", networks=1, epochs=1, traces=3)
    traces = frame.query("kind == 'trace'")
    assert len(frame) == 1 + len(traces) == 1 + 3 * 60
    initial = traces.pivot(index="layer", columns="entry", values="initial").to_numpy()
    assert np.abs(initial).max() <= 3**0.5 * (1 + 1e-6), "uniform, of unit variance"
    assert initial.std() == pytest.approx(1, abs=0.2)
    moved = (traces["final"] - traces["initial"]).abs()
    assert (moved > 0).mean() > 0.9
    assert moved.max() < 0.5
    first = frame.query("kind == 'run'").iloc[0]
    assert first["displacement"] > 0


def test_a_diverged_run_is_said_to_be_one():
    frame = rough("iid, beta=0.5", networks=1, epochs=1, learning_rate=1e3)
    (row,) = frame.to_dict("records")
    assert row["diverged"] == 1.0
    assert row["accuracy"] == pytest.approx(0.1)
    assert row["before"] == pytest.approx(0, abs=0.03)
    assert "after" not in row


ROUGH = {"depth": 3, "width": 4, "networks": 2, "epochs": 1, "initialization": "iid, beta=1"}


@pytest.mark.parametrize("traces", [{}, {"traces": 0}, {"traces": 2}])
def test_the_table_of_roughness_without_traces(traces):
    params = {**ROUGH, "learning_rate": 1e-3, **traces}
    table = learned.roughness(trained.roughness(params, SEED, "cpu"), params)
    assert list(table["kind"]) == ["runs"] + ["trace"] * 3 * traces.get("traces", 0)
    assert {"initial", "final"} <= set(table)
    assert np.isfinite(table.loc[0, ["after", "after_sem", "accuracy_sem"]].astype(float)).all()


def test_the_table_of_roughness_says_what_diverged_runs_lack():
    params = {**ROUGH, "learning_rate": 1e30, "traces": 2}
    (row,) = learned.roughness(trained.roughness(params, SEED, "cpu"), params).to_dict("records")
    assert np.isfinite([row["before"], row["before_sem"], row["accuracy"]]).all()
    assert np.isnan([row["after"], row["after_sem"], row["update"], row["displacement"]]).all()
    runs = trained.roughness({**params, "learning_rate": 1e-3}, SEED, "cpu")
    runs.loc[1, ["after", "update", "displacement"]] = np.nan  # one of the two diverged
    table = learned.roughness(runs, params)
    assert len(table) == 1 + 2 * 3
    assert np.isnan(table.loc[0, "after"])
    assert np.isfinite(table.loc[0, "accuracy"])


def test_the_claim_on_roughness_does_not_skip_runs_that_diverge(monkeypatch):
    true = trained.roughness

    def partly(params, seed, device):
        rows = true({**params, "depth": 5, "width": 4, "epochs": 1}, seed, device)
        rows.loc[0, ["after", "update"]] = np.nan
        return rows

    monkeypatch.setattr(trained, "roughness", partly)
    finding = claims.roughness_stays({"depth": 5, "width": 4, "networks": 2}, 1, "cpu")
    assert finding.verdict == "not supported"
    assert not any(check.passed for check in finding.checks)


# --- accuracy -----------------------------------------------------------------------------------

POINT = {
    **find_experiment("ld-accuracy").grid("quick")[0],
    "depth": 60,
    "epochs": 8,
    "networks": 2,
    "learning_rates": (1e-3, 1e-2, 1.0),
}


def accuracies(hurst: float, *betas: float, **changes: object) -> pd.DataFrame:
    params = {**POINT, "hurst": hurst, "betas": betas, **changes}
    return trained.accuracy(params, SEED, "cpu").assign(hurst=hurst)


def check_map() -> None:
    """Trainable at (0.5, 0.5), not at (0.9, 0.1)."""
    frame = pd.concat([accuracies(0.5, 0.5), accuracies(0.9, 0.1)])
    best = trained.best_rates(frame).set_index("hurst")
    for column in ("maximum", "chosen"):
        assert (best.loc[0.5, column] > 0.9).all()
        assert (best.loc[0.9, column] < 0.5).all()


def test_accuracy_depends_on_hurst_index_and_exponent():
    check_map()


def test_an_ignored_scale_is_noticed(monkeypatch):
    build = Stack.__init__

    def without_scale(self, *args, **kwargs):
        build(self, *args, **kwargs)
        self.scales = self.scales.new_ones(()).expand_as(self.scales)

    monkeypatch.setattr(Stack, "__init__", without_scale)
    with pytest.raises(AssertionError):
        check_map()


def test_rows_of_the_accuracy_cell():
    frame = accuracies(0.5, 0.3, 0.9)
    assert len(frame) == 2 * 3 * 2
    assert set(zip(frame["beta"], frame["learning_rate"], frame["network"], strict=True)) == {
        (b, r, k) for b in (0.3, 0.9) for r in (1e-3, 1e-2, 1.0) for k in (0, 1)
    }
    assert frame["test"].between(0, 1).all()
    assert frame["validation"].between(0, 1).all()
    assert frame["best_epoch"].between(1, 8).all()
    assert (frame["loss"].isna() == frame["diverged"]).all()
    wild = frame[frame["learning_rate"] == 1.0]
    assert (wild["test"] < 0.6).all()
    assert frame["test"].nunique() > 4, "runs differ"


def test_the_table_of_accuracies_knows_the_data_set_that_is_taken_by_default():
    params = {**POINT, "betas": (0.5,), "depth": 2, "epochs": 1, "learning_rates": (1e-3,)}
    frame = trained.accuracy(params, SEED, "cpu")
    silent = {name: value for name, value in params.items() if name != "data"}
    pd.testing.assert_frame_equal(learned.accuracy(frame, silent), learned.accuracy(frame, params))


def test_the_accuracy_cell_is_pure():
    again = [accuracies(0.7, 0.5, epochs=1, networks=1) for _ in range(2)]
    pd.testing.assert_frame_equal(*again)
    pd.testing.assert_frame_equal(*(rough("smooth, beta=1", epochs=1) for _ in range(2)))


def test_the_branches_have_a_bias_and_the_rate_drops(monkeypatch):
    seen = []

    class Listening(Settings):
        def __init__(self, **values):
            seen.append(values)
            super().__init__(**values)

    monkeypatch.setattr(trained, "Settings", Listening)
    accuracies(0.5, 0.5, epochs=1, networks=1)
    assert [values["learning_rate"] for values in seen] == [1e-3, 1e-2, 1.0]
    assert all(values["branch_bias"] and values["schedule_step"] == 5 for values in seen)
    seen.clear()
    rough("iid, beta=1", epochs=1, networks=1)
    assert "branch_bias" not in seen[0]


def test_two_ways_to_choose_the_learning_rate():
    rows = [
        # network 0: the best test accuracy is not at the best validation accuracy
        (0, 1e-3, 0.90, 0.80),
        (0, 1e-2, 0.85, 0.95),
        (0, 1e-1, 0.10, 0.10),
        # network 1: a tie on the validation data goes to the smaller rate
        (1, 1e-1, 0.70, 0.90),
        (1, 1e-2, 0.60, 0.90),
        (1, 1e-3, 0.50, 0.50),
    ]
    frame = pd.DataFrame(rows, columns=["network", "learning_rate", "test", "validation"])
    best = trained.best_rates(frame.assign(hurst=0.5, beta=0.3))
    assert best["maximum"].tolist() == [0.90, 0.70]
    assert best["chosen"].tolist() == [0.85, 0.60]
    assert best["chosen_rate"].tolist() == [1e-2, 1e-2]


def test_the_grids_say_the_same_at_both_sizes():
    quick, full = (find_experiment("ld-roughness").grid(preset) for preset in ("quick", "full"))
    assert [(p["initialization"], p["learning_rate"]) for p in quick] == [
        (p["initialization"], p["learning_rate"]) for p in full
    ]
    assert {p["initialization"] for p in full} == set(trained.INITIALIZATIONS)
    axis = np.linspace(0.1, 0.9, 10)
    cells = find_experiment("ld-accuracy").grid("full")
    assert np.allclose([p["hurst"] for p in cells], axis)
    assert all(np.allclose(p["betas"], axis) for p in cells)
    assert all(p["learning_rates"] == (1e-4, 1e-3, 1e-2, 1e-1, 1.0) for p in cells)
    assert all(
        (p["depth"], p["width"], p["epochs"], p["networks"]) == (200, 30, 10, 3) for p in cells
    )
    assert {p["hurst"] for p in find_experiment("ld-accuracy").grid("quick")} == {0.1, 0.9}
