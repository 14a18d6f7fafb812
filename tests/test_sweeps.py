"""Experiments run cell by cell, seeded by position, and write whole files or none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from companion import sweeps
from companion.sweeps import Experiment


def draw(params, seed, device):
    value = np.random.default_rng(seed).standard_normal() + params["shift"]
    return pd.DataFrame({"value": [value, -value]})


def experiment(*shifts: float) -> Experiment:
    grid = [{"shift": shift, "label": "a", "lags": (1, 2)} for shift in shifts]
    return Experiment("toy", "A toy", draw, {"quick": grid, "full": grid})


def test_rows_carry_the_scalar_parameters_first():
    frame = sweeps.run(experiment(0.0, 10.0), seed=3)
    assert list(frame.columns) == ["shift", "label", "value"]
    assert frame["shift"].tolist() == [0.0, 0.0, 10.0, 10.0]


def test_a_cell_is_seeded_by_its_position_alone():
    short, long = sweeps.run(experiment(1.0), seed=3), sweeps.run(experiment(1.0, 2.0, 3.0), seed=3)
    assert long["value"].iloc[:2].tolist() == short["value"].tolist()
    cell = draw({"shift": 3.0}, np.random.SeedSequence(3, spawn_key=(2,)), "cpu")
    assert long["value"].iloc[4:].tolist() == cell["value"].tolist()


def test_another_seed_gives_other_numbers():
    first, second = (sweeps.run(experiment(0.0), seed=seed)["value"][0] for seed in (1, 2))
    assert first != second


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_bad_seeds_are_named(seed):
    with pytest.raises(ValueError, match=f"seed must be a non-negative integer, got {seed!r}"):
        sweeps.run(experiment(0.0), seed=seed)


def test_an_unknown_preset_is_named():
    with pytest.raises(ValueError, match=r"preset must be one of .*quick.*full.*got 'slow'"):
        sweeps.run(experiment(0.0), "slow")


def test_the_preset_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv("COMPANION_PRESET", raising=False)
    assert sweeps.preset_from_environment() == "quick"
    monkeypatch.setenv("COMPANION_PRESET", "full")
    assert sweeps.preset_from_environment() == "full"
    monkeypatch.setenv("COMPANION_PRESET", "slow")
    with pytest.raises(ValueError, match="COMPANION_PRESET must be one of"):
        sweeps.preset_from_environment()


def test_parquet_round_trip(tmp_path):
    frame = sweeps.run(experiment(0.0, 1.0))
    path = sweeps.write_parquet(frame, tmp_path / "new" / "toy.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame)


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, failure):
    path = tmp_path / "toy.parquet"
    old = sweeps.run(experiment(0.0))
    sweeps.write_parquet(old, path)

    def fail(self, name, index):
        with open(name, "wb") as file:
            file.write(b"half a fi")
        raise failure

    monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    with pytest.raises(type(failure)):
        sweeps.write_parquet(old * 2, path)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["toy.parquet"]
    pd.testing.assert_frame_equal(pd.read_parquet(path), old)


def test_a_bar_is_shown_only_for_long_runs(capsys, monkeypatch):
    sweeps.run(experiment(0.0), progress=True)
    assert capsys.readouterr().err == ""

    import tqdm

    eager = tqdm.tqdm
    monkeypatch.setattr(tqdm, "tqdm", lambda *a, delay, **k: eager(*a, **k, delay=delay - 2))
    sweeps.run(experiment(0.0, 1.0), progress=True)
    assert "toy" in capsys.readouterr().err
