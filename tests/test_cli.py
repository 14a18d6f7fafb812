"""The command line: what it prints, what it writes, and one line for every mistake."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pandas as pd
import pytest

from companion import __version__, papers
from companion.cli import main
from companion.sweeps import Experiment


@pytest.fixture
def toy(monkeypatch):
    """An experiment that takes no time, registered beside the real ones."""
    calls = []

    def cell(params, seed, device):
        calls.append(device)
        return pd.DataFrame({"value": [1.5]})

    known = papers.all_experiments()
    made = Experiment("toy", "A toy", cell, {"quick": [{"n": 1}, {"n": 2}], "full": [{"n": 3}]})
    monkeypatch.setattr(papers, "all_experiments", lambda: {**known, "toy": made})
    return calls


def call(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as leaving:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(leaving.value.code or 0), out, err


def test_version(capsys):
    assert call(capsys, "--version")[:2] == (0, f"companion, version {__version__}\n")


def test_list_names_every_experiment(capsys):
    status, out, _ = call(capsys, "list")
    assert status == 0
    for name, experiment in papers.all_experiments().items():
        assert name in out
        assert experiment.title in out


def test_run_prints_the_table(capsys, toy):
    status, out, _ = call(capsys, "run", "toy", "--device", "cpu")
    assert status == 0
    assert out.split() == ["n", "value", "1", "1.5", "2", "1.5"]
    assert toy == ["cpu", "cpu"]


def test_run_writes_parquet_where_told(capsys, toy, tmp_path):
    out = tmp_path / "results"
    status, text, _ = call(capsys, "run", "toy", "--preset", "full", "--out", str(out))
    assert status == 0
    assert "toy.full.parquet (1 rows)" in text
    assert pd.read_parquet(out / "toy.full.parquet")["n"].tolist() == [3]
    assert [p.name for p in out.iterdir()] == ["toy.full.parquet"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nonsense"], "no experiment is called 'nonsense'; known are: lg-histogram"),
        (["run", "toy", "--preset", "slow"], "preset must be one of"),
        (["run", "toy", "--device", "tpu"], "device must be 'auto', 'cpu' or 'cuda', got 'tpu'"),
        (["run", "toy", "--seed", "-1"], "seed must be a non-negative integer, got -1"),
    ],
)
def test_mistakes_end_in_one_line(capsys, toy, arguments, message):
    status, out, err = call(capsys, *arguments)
    assert status == 1
    assert out == ""
    assert err.startswith("companion: ")
    assert message in err
    assert err.count("\n") == 1
    assert toy == [], "nothing was computed"


def test_cuda_where_there_is_none(capsys, toy, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    status, _, err = call(capsys, "run", "toy", "--device", "cuda")
    assert status == 1
    assert "PyTorch finds no CUDA device; use device='cpu' or 'auto'" in err


def test_an_unwritable_folder_is_refused_before_the_work(capsys, toy, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("here")
    status, _, err = call(capsys, "run", "toy", "--out", str(blocker))
    assert status == 1
    assert "cannot be written" in err
    assert "choose another folder" in err
    assert toy == [], "nothing was computed"
    assert blocker.read_text() == "here"


@pytest.mark.parametrize(
    ("module", "extra"), [("torch", "sim"), ("pandas", "evidence"), ("click", "cli")]
)
def test_a_missing_extra_is_named(capsys, monkeypatch, module, extra):
    find = importlib.util.find_spec
    missing = lambda name, *rest: None if name == module else find(name, *rest)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", missing)
    for name in [
        m for m in sys.modules if m.startswith(("companion.papers", "companion.simulate"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    status, _, err = call(capsys, "list")
    assert status == 1
    assert f"{module} is needed to" in err
    assert f"pip install 'residual-scaling[{extra}]'" in err
    assert err.count("\n") == 1


def test_the_installed_command_shows_no_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "companion", "run", "nonsense"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("companion: no experiment is called 'nonsense'")
