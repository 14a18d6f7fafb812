"""A finished run is compared with what the code computes now."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from companion import sweeps
from companion.sweeps import manifest, verify
from tests.sweeps import toys
from tests.sweeps.toys import toy

#: Enough samples in each cell for errors to be trusted.
EXPERIMENT = toy(6, networks=400)


@pytest.fixture
def finished(tmp_path) -> tuple[pd.DataFrame, dict]:
    sweeps.run(EXPERIMENT, folder=tmp_path)
    return pd.read_parquet(tmp_path / "toy.parquet"), manifest.read(tmp_path / "toy.json")


def test_the_same_code_gives_the_same_bits(finished):
    found = verify(EXPERIMENT, *finished, sample=3, seed=1)
    assert found.passed
    assert found.bitwise
    assert len(set(found.checked)) == 3
    assert str(found) == "3 of 3 recomputed shards agree bit by bit (6 in all)"
    assert len(verify(EXPERIMENT, *finished, sample=99).checked) == 6


def test_the_sample_is_random_and_repeatable(finished):
    chosen = [verify(EXPERIMENT, *finished, sample=2, seed=seed).checked for seed in range(6)]
    assert len(set(chosen)) > 1
    assert verify(EXPERIMENT, *finished, sample=2, seed=0).checked == chosen[0]


def test_a_planted_change_of_a_bit_is_found(finished):
    table, note = finished
    note["digests"][4] = note["digests"][4][::-1]
    found = verify(EXPERIMENT, table, note, sample=6)
    assert not found.passed
    assert len(found.failures) == 1
    assert "shard 4 (cell 4, {'shift': 4, " in found.failures[0]
    assert "has other bits" in str(found)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("device", "kind"), "cuda"),
        (("versions", "numpy"), "1.0"),
        (("dtype",), "float64"),
        (("code_hash",), "older"),
    ],
)
def test_other_conditions_ask_for_agreement_within_errors(finished, monkeypatch, place, value):
    table, note = finished
    inner = note
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    draw = np.random.default_rng

    def other(seed=None):
        return draw([*seed.spawn_key, 7]) if isinstance(seed, np.random.SeedSequence) else draw(0)

    monkeypatch.setattr(toys.np.random, "default_rng", other)
    found = verify(EXPERIMENT, table, note, sample=6)
    assert not found.bitwise
    assert found.passed, "other bits, same law"
    assert "agree within 4.5 standard errors" in str(found)


def test_a_planted_change_of_the_law_is_found(finished, monkeypatch):
    table, note = finished
    note["device"]["kind"] = "cuda"
    work = sweeps.backends._work
    monkeypatch.setattr(
        sweeps.backends,
        "_work",
        lambda cell, params, seed, device: work(
            cell, {**params, "shift": params["shift"] + 0.4}, seed, device
        ),
    )
    found = verify(EXPERIMENT, table, note, sample=6)
    assert len(found.failures) == 6
    assert "differs in 'mean' by" in found.failures[0]


def test_a_changed_grid_is_named(finished):
    with pytest.raises(ValueError, match="the quick grid of toy is not the one of this run"):
        verify(toy(7, networks=400), *finished)


def test_a_sample_of_none_is_refused(finished):
    with pytest.raises(ValueError, match="sample must be at least 1 shard, got 0"):
        verify(EXPERIMENT, *finished, sample=0)


def test_a_table_of_other_rows_is_named(finished):
    table, note = finished
    note["device"]["kind"] = "cuda"
    note["digests"] = ["?"] * 6
    with pytest.raises(ValueError, match="the table has 2 rows for cell"):
        verify(EXPERIMENT, table[table["row"] > 0], note)
