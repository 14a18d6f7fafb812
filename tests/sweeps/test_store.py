"""Shards on disk: what is damaged or foreign is seen, named and computed anew."""

from __future__ import annotations

import hashlib
import os
import socket
import warnings
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from companion import sweeps
from companion.sweeps import ShardWarning, manifest, store
from companion.sweeps.experiment import plan
from companion.sweeps.store import Store, StoreError, write_file
from tests.sweeps.toys import sleepy, toy


@pytest.fixture
def calls(monkeypatch) -> list[float]:
    """Return the cells computed, by their shift."""
    seen: list[float] = []
    work = sweeps.backends._work

    def counted(cell, params, seed, device):
        seen.append(params["shift"])
        return work(cell, params, seed, device)

    monkeypatch.setattr(sweeps.backends, "_work", counted)
    return seen


def shards(folder: Path) -> list[Path]:
    return sorted((folder / "shards").glob("*.parquet"))


def test_a_run_leaves_table_manifest_and_shards(tmp_path, calls):
    frame = sweeps.run(toy(), folder=tmp_path)
    assert calls == [0, 1, 2, 3]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "toy.parquet"), frame)
    pd.testing.assert_frame_equal(sweeps.run(toy()), frame)
    assert len(shards(tmp_path)) == 4
    assert {p.name for p in tmp_path.iterdir()} == {"shards", "toy.parquet", "toy.json"}


def test_the_manifest_says_everything(tmp_path):
    sweeps.run(toy(), seed=7, folder=tmp_path)
    note = manifest.read(tmp_path / "toy.json")
    assert note["experiment"] == "toy"
    assert (note["preset"], note["seed"], note["dtype"]) == ("quick", 7, "float32")
    assert note["spec"][2] == {"shift": 2, "networks": 20, "seconds": 0.0}
    assert (note["networks"], note["shards"], len(note["digests"])) == (80, 4, 4)
    assert note["device"]["kind"] == "cpu"
    assert note["device"]["name"]
    assert note["table_sha256"] == manifest.file_hash(tmp_path / "toy.parquet")
    assert note["code_hash"] == sweeps.code_hash("tests.sweeps.toys")
    assert {"python", "numpy", "scipy", "pandas"} <= set(note["versions"])
    assert note["shard_seconds"] >= 0
    assert note["elapsed_seconds"] > 0
    assert note["blocks"] == {}, "the toy uses no blocks"
    assert {"date", "package_version", "git_commit", "git_changed", "schema"} <= set(note)


def test_a_finished_run_computes_nothing_again(tmp_path, calls):
    first = sweeps.run(toy(), folder=tmp_path)
    calls.clear()
    pd.testing.assert_frame_equal(sweeps.run(toy(), folder=tmp_path), first)
    assert calls == []


def test_more_cells_keep_the_ones_there(tmp_path, calls):
    sweeps.run(toy(3), folder=tmp_path)
    calls.clear()
    sweeps.run(toy(5), folder=tmp_path)
    assert calls == [3, 4]


def another(params, seed, device):
    return sleepy(params, seed, device)


def truncate(path: Path, folder: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def empty(path: Path, folder: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path, folder: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))


def overwrite(path: Path, folder: Path) -> None:
    """Put the bytes of another shard under the name of this one."""
    path.write_bytes(shards(folder)[3].read_bytes())


def rename(path: Path, folder: Path) -> None:
    """Give a sound shard of other parameters the place of this one, checksum and all."""
    other = shards(folder)[3]
    key = path.name.split("-")[1]
    (path.parent / f"00001-{key}-{other.name.split('-')[2]}").write_bytes(other.read_bytes())
    path.unlink()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, r"is truncated or damaged \(its checksum does not match\)"),
        (empty, "is truncated or damaged"),
        (flip, "is truncated or damaged"),
        (overwrite, "is truncated or damaged"),
        (rename, "was computed with other parameters"),
    ],
)
def test_a_bad_shard_is_computed_anew(tmp_path, calls, damage, reason):
    first = sweeps.run(toy(), folder=tmp_path)
    damage(shards(tmp_path)[1], tmp_path)
    bad = [p.name for p in shards(tmp_path) if p.name.startswith("00001")]
    calls.clear()
    with pytest.warns(ShardWarning, match=f"shard {bad[0]} {reason}.*; computed anew"):
        again = sweeps.run(toy(), folder=tmp_path)
    assert calls == [1]
    pd.testing.assert_frame_equal(again, first)
    assert len(shards(tmp_path)) == 4, "the bad one was replaced"
    calls.clear()
    sweeps.run(toy(), folder=tmp_path)
    assert calls == []


def test_a_file_that_is_no_table_is_computed_anew(tmp_path, calls):
    sweeps.run(toy(), folder=tmp_path)
    path = shards(tmp_path)[0]
    key = path.name.split("-")[1]
    path.unlink()
    forged = hashlib.sha256(b"nothing").hexdigest()
    (path.parent / f"00000-{key}-{forged}.parquet").write_bytes(b"nothing")
    with pytest.warns(ShardWarning, match="cannot be read"):
        sweeps.run(toy(), folder=tmp_path)


def test_a_flip_of_any_byte_is_seen(tmp_path):
    sweeps.run(toy(1), folder=tmp_path)
    path, todo = shards(tmp_path)[0], plan(toy(1), "quick", 0, "cpu")
    data = path.read_bytes()
    for place in range(0, len(data), 97):
        changed = bytearray(data)
        changed[place] ^= 1
        path.write_bytes(bytes(changed))
        with pytest.warns(ShardWarning, match="checksum"):
            assert Store(tmp_path / "shards").load(todo) == {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seed": 9}, "was computed with another seed"),
        ({"experiment": replace(toy(), cell=another)}, "belongs to another experiment"),
        ({"experiment": toy(networks=30)}, "was computed with other parameters"),
    ],
)
def test_shards_of_other_runs_are_not_used(tmp_path, calls, change, reason):
    first = sweeps.run(toy(), folder=tmp_path)
    options = {"experiment": toy(), "seed": 0, **change}
    with pytest.warns(ShardWarning, match=r"and 3 more\) " + f".*{reason}"):
        other = sweeps.run(**options, folder=tmp_path)
    pd.testing.assert_frame_equal(other, sweeps.run(**options))
    assert len(shards(tmp_path)) == 4
    with pytest.warns(ShardWarning):
        pd.testing.assert_frame_equal(sweeps.run(toy(), folder=tmp_path), first)


def test_shards_of_older_code_are_not_used(tmp_path, calls, monkeypatch):
    sweeps.run(toy(), folder=tmp_path)
    calls.clear()
    monkeypatch.setattr(sweeps.experiment, "code_hash", lambda module: "changed")
    with pytest.warns(ShardWarning, match="was computed by other code"):
        sweeps.run(toy(), folder=tmp_path)
    assert calls == [0, 1, 2, 3]


def test_a_change_of_theory_voids_no_shard(tmp_path, calls):
    sweeps.run(toy(), folder=tmp_path)
    calls.clear()
    changed = replace(toy(), finish=lambda frame, params: frame.assign(more=1.0))
    assert "more" in sweeps.run(changed, folder=tmp_path)
    assert calls == []


def test_number_types_lie_side_by_side(tmp_path, calls):
    double = replace(toy(), dtype="float64")
    sweeps.run(toy(), folder=tmp_path)
    sweeps.run(double, folder=tmp_path)
    calls.clear()
    sweeps.run(toy(), folder=tmp_path)
    sweeps.run(double, folder=tmp_path)
    assert calls == []
    assert len(shards(tmp_path)) == 8


def test_what_dead_runners_left_is_removed(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    host = socket.gethostname()
    dead, alive = folder / f".tmp-{host}-999999999-ab", folder / f".tmp-{host}-{os.getpid()}-cd"
    far, older = folder / ".tmp-elsewhere-12-ef", folder / ".tmp-elsewhere-12-00"
    for path in (dead, alive, far, older):
        path.write_bytes(b"half")
    os.utime(older, (0, 0))
    Store(folder)
    assert sorted(p.name for p in folder.iterdir()) == sorted([alive.name, far.name])


def test_a_shard_of_another_runner_is_taken_over(tmp_path, calls):
    """While cell 0 is computed, another runner finishes cells 1 to 3."""
    other = tmp_path / "other"
    sweeps.run(toy(), folder=other)
    first = True

    def cell(params, seed, device):
        nonlocal first
        if first:
            first = False
            for path in shards(other)[1:]:
                (tmp_path / "shards" / path.name).write_bytes(path.read_bytes())
        return sleepy(params, seed, device)

    cell.__module__, cell.__qualname__ = sleepy.__module__, sleepy.__qualname__
    calls.clear()
    frame = sweeps.run(replace(toy(), cell=cell), folder=tmp_path)
    assert calls == [0]
    pd.testing.assert_frame_equal(frame, sweeps.run(toy()))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = write_file(tmp_path / "file", b"old")
    for failure in (OSError(28, "No space left on device"), KeyboardInterrupt()):

        def fail(handle, failure=failure):
            raise failure

        monkeypatch.setattr(os, "fsync", fail)
        expected = StoreError if isinstance(failure, OSError) else KeyboardInterrupt
        with pytest.raises(expected):
            write_file(path, b"new")
        monkeypatch.undo()
        assert [p.name for p in tmp_path.iterdir()] == ["file"]
        assert path.read_bytes() == b"old"


def test_parquet_round_trip(tmp_path):
    frame = sweeps.run(toy())
    path = sweeps.write_parquet(frame, tmp_path / "new" / "toy.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame)


def test_a_folder_that_is_a_file_is_refused_before_the_work(tmp_path, calls):
    (tmp_path / "file").write_text("here")
    with pytest.raises(StoreError, match=r"cannot be written .*; choose another folder"):
        sweeps.run(toy(), folder=tmp_path / "file")
    assert calls == []


def test_a_full_disk_is_named_and_what_is_there_stays(tmp_path, monkeypatch, calls):
    put, count = store.write_file, 0

    def limited(path, data):
        nonlocal count
        count += path.suffix == ".parquet"
        if count > 2:
            raise StoreError(f"{path.name!r} cannot be written (No space left on device).")
        return put(path, data)

    monkeypatch.setattr(store, "write_file", limited)
    with pytest.raises(StoreError, match=r"No space .* 2 of 4 shards .* the same command resumes"):
        sweeps.run(toy(), folder=tmp_path)
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pd.testing.assert_frame_equal(sweeps.run(toy(), folder=tmp_path), sweeps.run(toy()))


def test_a_manifest_that_is_none_is_named(tmp_path):
    for text in ("{", "[]", "{}"):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(ValueError, match="is not a manifest"):
            manifest.read(tmp_path / "x.json")
