"""Experiments run shard by shard, seeded by position, and are pooled exactly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from companion import sweeps
from companion.montecarlo import Moments
from companion.sweeps import NORMALS_PER_SHARD, Experiment, moments
from companion.sweeps.experiment import plain, plan
from tests.sweeps.toys import toy


def draw(params, seed, device):
    value = np.random.default_rng(seed).standard_normal() + params["shift"]
    return pd.DataFrame({"value": [value, -value]})


def experiment(*shifts: float) -> Experiment:
    grid = [{"shift": shift, "label": "a", "lags": (1, 2)} for shift in shifts]
    return Experiment("toy", "A toy", draw, {"quick": grid, "full": grid})


def large(networks: int, **options) -> Experiment:
    grid = [{"depth": 1000, "width": 1000, "networks": networks}]
    return Experiment("large", "Large", draw, {"quick": grid, "full": grid}, **options)


def test_rows_carry_the_scalar_parameters_first():
    frame = sweeps.run(experiment(0.0, 10.0), seed=3)
    assert list(frame.columns) == ["shift", "label", "value"]
    assert frame["shift"].tolist() == [0.0, 0.0, 10.0, 10.0]


def test_a_cell_is_seeded_by_its_position_alone():
    short, long = sweeps.run(experiment(1.0), seed=3), sweeps.run(experiment(1.0, 2.0, 3.0), seed=3)
    assert long["value"].iloc[:2].tolist() == short["value"].tolist()
    cell = draw({"shift": 3.0}, np.random.SeedSequence(3, spawn_key=(2, 0)), "cpu")
    assert long["value"].iloc[4:].tolist() == cell["value"].tolist()


def test_another_seed_gives_other_numbers():
    first, second = (sweeps.run(experiment(0.0), seed=seed)["value"][0] for seed in (1, 2))
    assert first != second


@pytest.mark.parametrize("networks", [1, 499, 500, 501, 1003])
def test_large_cells_are_cut_into_replicates(networks):
    shards = plan(large(networks, pool=moments.pool), "full", 5, "cpu").shards
    parts = [shard.params["networks"] for shard in shards]
    assert sum(parts) == networks
    assert max(parts) - min(parts) <= 1
    assert max(parts) * 10**6 <= NORMALS_PER_SHARD
    assert [s.seed.spawn_key for s in shards] == [(0, r) for r in range(len(shards))]
    assert len(shards) == -(-networks // 500)


def test_a_cell_that_cannot_be_pooled_is_not_cut():
    assert len(plan(large(5000), "full", 0, "cpu").shards) == 1


def test_replicates_are_pooled_to_the_moments_of_all_samples(monkeypatch):
    sample = np.random.default_rng(1).standard_gamma(2.0, (90, 3))
    frames = [
        pd.DataFrame({"row": range(3), "replicate": i, "count": i, **moments.columns("x", part)})
        for i, part in enumerate(np.split(sample, [20, 50]))
    ]
    pooled, whole = moments.pool(pd.concat(frames)), Moments.of(sample)
    found = moments.read(pooled, "x")
    assert found.n == 90
    for name in ("average", "sum2", "sum3", "sum4"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-12)
    assert pooled["count"].tolist() == [3, 3, 3]
    assert pooled["row"].tolist() == [0, 1, 2]
    estimates = moments.estimates(pooled, "x", scale=-2.0)
    np.testing.assert_allclose(estimates["variance"], 4 * sample.var(0, ddof=1))
    assert np.all(estimates["mean_sem"] > 0)


def test_finishing_sees_the_whole_cell():
    frame = sweeps.run(toy(2))
    assert frame["expected"].tolist() == [0, 0, 0, 1, 1, 1]
    assert list(frame.columns[:2]) == ["shift", "networks"]
    assert np.all(np.abs(frame["mean"] - frame["expected"]) < 4.5 * frame["mean_sem"])


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_bad_seeds_are_named(seed):
    with pytest.raises(ValueError, match=f"seed must be a non-negative integer, got {seed!r}"):
        sweeps.run(experiment(0.0), seed=seed)


def test_an_unknown_preset_is_named():
    with pytest.raises(ValueError, match=r"preset must be one of .*quick.*full.*got 'slow'"):
        sweeps.run(experiment(0.0), "slow")


@pytest.mark.parametrize("jobs", [0, -2, True, 1.5])
def test_bad_numbers_of_processes_are_named(jobs):
    with pytest.raises(ValueError, match="jobs must be a positive number of processes, or -1"):
        sweeps.run(experiment(0.0), jobs=jobs)


def test_jobs_and_a_scheduler_exclude_each_other():
    with pytest.raises(ValueError, match="jobs=2 and a scheduler were given"):
        sweeps.run(experiment(0.0), jobs=2, scheduler="tcp://127.0.0.1:1")


def test_the_preset_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv("COMPANION_PRESET", raising=False)
    assert sweeps.preset_from_environment() == "quick"
    monkeypatch.setenv("COMPANION_PRESET", "full")
    assert sweeps.preset_from_environment() == "full"
    monkeypatch.setenv("COMPANION_PRESET", "slow")
    with pytest.raises(ValueError, match="COMPANION_PRESET must be one of"):
        sweeps.preset_from_environment()


def test_parameters_in_plain_types():
    class Spec:
        def to_dict(self):
            return {"depth": np.int64(3)}

    assert plain({"a": (1, np.float64(2.0)), "spec": Spec()}) == {
        "a": [1, 2.0],
        "spec": {"depth": 3},
    }


def test_a_bar_is_shown_only_for_long_runs(capsys, monkeypatch):
    sweeps.run(experiment(0.0), progress=True)
    assert capsys.readouterr().err == ""

    import tqdm

    eager = tqdm.tqdm
    monkeypatch.setattr(tqdm, "tqdm", lambda *a, delay, **k: eager(*a, **k, delay=delay - 2))
    sweeps.run(experiment(0.0, 1.0), progress=True)
    shown = capsys.readouterr().err
    assert "toy" in shown
    assert "2/2" in shown
