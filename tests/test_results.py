"""Published results: read with their checksum, written only from finished full runs."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from companion import papers, results, sweeps
from companion.sweeps import manifest
from tests.sweeps.toys import toy


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Return an empty checkout, in which the toy is a known experiment."""
    known = papers.all_experiments()
    monkeypatch.setattr(papers, "all_experiments", lambda: {**known, "toy": toy()})
    folder = tmp_path / "checkout"
    monkeypatch.setattr(results, "checkout", lambda: folder)
    return folder


@pytest.fixture
def run_dir(checkout, tmp_path):
    """Return a finished full run."""
    sweeps.run(toy(), "full", folder=tmp_path / "run")
    return tmp_path / "run"


def contents(folder) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()} if folder.exists() else {}


def test_what_is_published_is_loaded(checkout, run_dir):
    assert results.published() == []
    table, note = results.publish("toy", run_dir)
    assert table == checkout / "results" / "toy.parquet"
    assert results.published() == ["toy"]
    frame, loaded = results.load("toy")
    pd.testing.assert_frame_equal(frame, sweeps.run(toy(), "full"))
    assert loaded == manifest.read(note)
    assert set(contents(checkout / "results")) == {"toy.parquet", "toy.json"}


def test_a_damaged_table_is_not_believed(checkout, run_dir):
    table, _ = results.publish("toy", run_dir)
    data = bytearray(table.read_bytes())
    data[100] ^= 1
    table.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"is damaged: its checksum .* restore it or run it anew"):
        results.load("toy")


def test_a_table_without_its_manifest_is_not_published(checkout, run_dir):
    _, note = results.publish("toy", run_dir)
    note.unlink()
    assert results.published() == []


def test_what_is_not_at_hand_is_said_and_run_quickly(checkout):
    with pytest.warns(UserWarning, match="no published result of 'toy' is at hand; its quick"):
        frame, note = results.load("toy")
    pd.testing.assert_frame_equal(frame, sweeps.run(toy()))
    assert (note["preset"], note["table_sha256"]) == ("quick", None)


def test_a_release_asset_is_fetched(checkout, run_dir, monkeypatch):
    pooch = pytest.importorskip("pooch")
    files = {p.name: p for p in run_dir.iterdir() if p.is_file()}
    asked = []

    def retrieve(address, known_hash, fname):
        asked.append((address, known_hash))
        return str(files[address.rsplit("/")[-1]])

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assets = {name: (f"https://example.org/{name}", "0" * 64) for name in files}
    monkeypatch.setattr(results, "ASSETS", assets)
    frame, note = results.load("toy")
    pd.testing.assert_frame_equal(frame, sweeps.run(toy(), "full"))
    assert note["preset"] == "full"
    assert sorted(asked) == sorted((address, f"sha256:{sha}") for address, sha in assets.values())


def test_unknown_names(checkout, run_dir):
    for call in (results.load, lambda name: results.publish(name, run_dir)):
        with pytest.raises(ValueError, match="no experiment is called 'nonsense'"):
            call("nonsense")


def edit(run_dir, **changes) -> None:
    path = run_dir / "toy.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def spoil(run_dir) -> None:
    with (run_dir / "toy.parquet").open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "toy.json").unlink(), r"holds no finished run \(toy.json missing\); run"),
        (lambda d: (d / "toy.parquet").unlink(), "toy.parquet missing"),
        (lambda d: edit(d, preset="quick"), "only full presets are published, got 'quick'"),
        (lambda d: edit(d, experiment="other"), "belongs to 'other', not to 'toy'"),
        (lambda d: edit(d, title="x" * 1_000_000), "a published file has fewer than 1000000"),
        (lambda d: (d / "toy.json").write_text("{"), "is not a manifest"),
        (spoil, "is damaged"),
    ],
)
def test_what_must_not_be_published_is_refused(checkout, run_dir, damage, message):
    results.publish("toy", run_dir)
    before = contents(checkout / "results")
    damage(run_dir)
    with pytest.raises(ValueError, match=message):
        results.publish("toy", run_dir)
    assert contents(checkout / "results") == before


def test_publishing_needs_a_checkout(checkout, run_dir, monkeypatch):
    monkeypatch.setattr(results, "checkout", lambda: None)
    with pytest.raises(ValueError, match="publishing needs a checkout"):
        results.publish("toy", run_dir)
    assert results.published() == []


def test_older_code_is_recognised(checkout, run_dir):
    note = manifest.read(run_dir / "toy.json")
    assert results.is_current(note)
    assert not results.is_current({**note, "code_hash": "older"})
    assert not results.is_current({**note, "finish_hash": "older"})


def test_a_finished_run_keeps_its_manifest(checkout, run_dir, monkeypatch):
    before = (run_dir / "toy.json").read_bytes()
    sweeps.run(toy(), "full", folder=run_dir)
    assert (run_dir / "toy.json").read_bytes() == before
    (run_dir / "toy.parquet").write_bytes(b"damaged")
    sweeps.run(toy(), "full", folder=run_dir)
    table, note = results.read(run_dir, "toy")
    pd.testing.assert_frame_equal(table, sweeps.run(toy(), "full"))
    assert note["shards"] == 4
