"""Published results against live runs: no false alarm, and no drift goes unseen."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from companion import evidence, papers, results
from companion.evidence import compare, gather
from companion.papers import defects, find_experiment
from companion.papers.defects import planted
from companion.sweeps import Experiment, run
from tools import drift

GRID = {
    "quick": [{"kind": "a", "networks": 400}, {"kind": "b", "networks": 400}],
    "full": [{"kind": kind, "networks": 6400} for kind in "abc"],
}


def cell(params, seed, device):
    rng = np.random.default_rng(seed)
    sample = rng.standard_normal((params["networks"], 3))
    return pd.DataFrame(
        {
            "layer": [0, 1, 2],
            "mean": sample.mean(0),
            "mean_sem": sample.std(0) / params["networks"] ** 0.5,
            "mean_theory": 0.0,
            "median": np.median(sample, axis=0),
        }
    )


TOY = Experiment("toy", "A toy", cell, GRID)


@pytest.fixture
def pair() -> tuple[pd.DataFrame, pd.DataFrame]:
    return run(TOY, "full", device="cpu"), run(TOY, "quick", seed=1, device="cpu")


def test_equal_laws_agree(pair):
    found = compare(*pair, TOY)
    assert found.holds
    assert found.count == 12, "two cells of three layers: estimate and theory"
    assert 0 < found.worst < 4


@pytest.mark.parametrize(("shift", "holds"), [(2, True), (8, False)])
@pytest.mark.parametrize("side", [0, 1])
def test_a_drift_beyond_the_error_bars_is_seen(pair, shift, holds, side):
    drifted = pair[side].copy()
    drifted.loc[drifted["kind"] == "b", "mean"] += shift / 400**0.5
    tables = (drifted, pair[1]) if side == 0 else (pair[0], drifted)
    found = compare(*tables, TOY)
    assert found.holds == holds
    assert holds or "mean at kind=b, layer=" in found.where


def test_theory_may_not_move_at_all(pair):
    full, quick = pair
    found = compare(full, quick.assign(mean_theory=1e-5), TOY)
    assert not found.holds
    assert found.worst == np.inf


def test_the_limit_grows_with_the_family():
    limits = [evidence._limit(count) for count in (1, 10, 1000)]
    assert limits[0] == pytest.approx(4.5)
    assert limits == sorted(limits)
    assert limits[-1] < 6


def test_an_empty_bin_does_not_claim_to_be_exact():
    frame = pd.DataFrame({"x": [0.5], "networks": [10000], "density": [0.0005], "sem": [0.00022]})
    live = frame.assign(networks=1000, density=0.0, sem=0.0)
    one = Experiment("bins", "", cell, {"quick": [{"networks": 1}], "full": [{"networks": 2}]})
    assert compare(frame, live, one).worst < 1


def publish(folder, experiment: Experiment, monkeypatch) -> None:
    """Make a published result of a toy, known to the papers and to `results`."""
    monkeypatch.setattr(papers, "all_experiments", lambda: {experiment.id: experiment})
    monkeypatch.setattr(results, "_folder", lambda: folder)
    run(experiment, "full", device="cpu", folder=folder)


def test_evidence_holds_both_runs(tmp_path, monkeypatch):
    publish(tmp_path, TOY, monkeypatch)
    found = gather("toy", device="cpu").assert_agree()
    assert len(found.full) == 9
    assert found.live is found.quick
    assert len(found.quick) == 6
    date = json.loads((tmp_path / "toy.json").read_text())["date"][:10]
    assert found.stamp.startswith("published: full, ")
    assert date in found.stamp
    assert "live: quick" in found.stamp


def test_without_a_published_result_the_live_run_is_all(tmp_path, monkeypatch):
    monkeypatch.setattr(papers, "all_experiments", lambda: {"toy": TOY})
    monkeypatch.setattr(results, "_folder", lambda: tmp_path)
    found = gather("toy", device="cpu").assert_agree()
    assert found.live is None
    assert found.full is found.quick
    assert "nothing published yet" in found.stamp


def test_presets_without_a_common_cell_are_refused(tmp_path, monkeypatch):
    apart = replace(TOY, grids={**GRID, "quick": [{"kind": "z", "networks": 9}]})
    publish(tmp_path, apart, monkeypatch)
    with pytest.raises(AssertionError, match="let the presets share a cell"):
        gather("toy", device="cpu").assert_agree()


@pytest.mark.mc
def test_a_drift_of_the_library_raises_the_alarm(tmp_path, monkeypatch, capsys):
    """A result is published, then a defect comes into the simulation or into the theory."""
    real = find_experiment("lg-norms")
    cells = [{"kind": "vanilla", "depth": 20, "width": 20, "networks": n} for n in (2000, 8000)]
    small = replace(real, grids={"quick": cells[:1], "full": cells[1:]})
    publish(tmp_path, small, monkeypatch)
    assert drift.main(["lg-norms"]) == 0
    assert "lg-norms: 32 numbers agree" in capsys.readouterr().out
    for defect in (defects.one_large_branch, defects.no_interlayer_term):
        with planted(defect):
            assert drift.main(["lg-norms"]) == 1
        assert "lg-norms drifted from its published result" in capsys.readouterr().out


def scalars(params):
    """What tells cells apart: lists, such as the scales of one draw, are columns of the rows."""
    chosen = {k: v for k, v in params.items() if k not in evidence.SAMPLE_SIZES}
    return {k: v for k, v in chosen.items() if not isinstance(v, (list, tuple))}


def test_experiments_share_cells_between_their_presets():
    """Else a live run could not be compared with the published one."""
    for name, one in papers.all_experiments().items():
        cells = [
            {json.dumps(scalars(p), sort_keys=True, default=str) for p in grid}
            for grid in (one.grid("quick"), one.grid("full"))
        ]
        assert cells[0] & cells[1], name


def test_a_number_without_a_value_on_either_side_differs_nowhere():
    frame = pd.DataFrame({"n": [1, 2], "value": [1.0, np.nan], "value_sem": [0.1, np.nan]})
    one = Experiment("x", "x", cell, {"quick": [{"n": 1}], "full": [{"n": 1}]})
    assert compare(frame, frame.assign(value=[1.2, np.nan]), one).holds
    assert not compare(frame, frame.assign(value=[1.2, 5.0], value_sem=0.1), one).holds
    theory = frame.assign(value_theory=[np.nan, 1.0])
    assert compare(theory, theory, one).holds
    assert not compare(theory, theory.assign(value_theory=[1.0, 1.0]), one).holds
