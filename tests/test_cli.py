"""The command line: what it prints, what it writes, and one line for every mistake."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest

from companion import __version__, datasets, papers, results, sweeps
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


def test_run_prints_the_table(capsys, toy, tmp_path):
    status, out, _ = call(capsys, "run", "toy", "--device", "cpu", "--out", str(tmp_path))
    assert status == 0
    assert out.split()[:6] == ["n", "value", "1", "1.5", "2", "1.5"]
    assert toy == ["cpu", "cpu"]


def test_run_writes_where_told(capsys, toy, tmp_path):
    status, text, _ = call(capsys, "run", "toy", "--preset", "full", "--out", str(tmp_path))
    folder = tmp_path / "toy" / "full-seed0"
    assert status == 0
    assert f"wrote {folder / 'toy.parquet'} (1 rows) and its manifest" in text
    assert pd.read_parquet(folder / "toy.parquet")["n"].tolist() == [3]
    assert {p.name for p in folder.iterdir()} == {"shards", "toy.parquet", "toy.json"}


def test_runs_lie_in_the_build_folder_of_the_checkout(capsys, toy, tmp_path, monkeypatch):
    monkeypatch.setattr(sweeps.runner, "checkout", lambda: tmp_path)
    assert call(capsys, "run", "toy", "--seed", "4")[0] == 0
    assert (tmp_path / "build" / "runs" / "toy" / "quick-seed4" / "toy.json").is_file()


def test_the_same_command_resumes(capsys, toy, tmp_path):
    for _ in range(2):
        assert call(capsys, "run", "toy", "--out", str(tmp_path))[0] == 0
    assert len(toy) == 2, "the second call computed nothing"
    shard = min((tmp_path / "toy" / "quick-seed0" / "shards").iterdir())
    shard.write_bytes(b"half")
    status, _, err = call(capsys, "run", "toy", "--out", str(tmp_path))
    assert status == 0
    assert err == (
        f"companion: warning: shard {shard.name} is truncated or damaged (its checksum does not "
        "match); computed anew.\n"
    )


def test_ctrl_c_is_one_line(capsys, toy, tmp_path, monkeypatch):
    def stop(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeps.backends, "_work", stop)
    status, out, err = call(capsys, "run", "toy", "--out", str(tmp_path))
    assert status == 130
    assert out == ""
    assert err == ("companion: stopped; 0 of 2 shards of toy are done; the same command resumes.\n")


def test_verify_compares_with_a_finished_run(capsys, toy, tmp_path, monkeypatch):
    options = ["run", "toy", "--out", str(tmp_path)]
    status, _, err = call(capsys, *options, "--verify")
    assert status == 1
    assert "no finished run of toy with preset 'quick' and seed 0 is in" in err
    assert call(capsys, *options)[0] == 0
    status, out, _ = call(capsys, *options, "--verify", "--sample", "1")
    assert (status, out) == (
        0,
        "toy: 1 of 1 recomputed shards agree bit by bit (2 in all)\n",
    )
    work = sweeps.backends._work

    def changed(*arguments):
        result = work(*arguments)
        return replace(result, frame=result.frame + 1e-9)

    monkeypatch.setattr(sweeps.backends, "_work", changed)
    status, out, _ = call(capsys, *options, "--verify")
    assert status == 1
    assert "0 of 2 recomputed shards agree" in out
    assert "has other bits" in out


def test_publish(capsys, toy, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "checkout", lambda: tmp_path / "checkout")
    options = ["--out", str(tmp_path / "runs")]
    status, _, err = call(capsys, "publish", "toy", *options)
    assert status == 1
    assert "holds no finished run" in err
    assert call(capsys, "run", "toy", "--preset", "full", *options)[0] == 0
    status, out, _ = call(capsys, "publish", "toy", *options)
    assert status == 0
    assert out.count("wrote ") == 2
    assert results.published() == ["toy"]
    status, out, _ = call(capsys, "run", "toy", "--preset", "full", "--verify", *options)
    assert status == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nonsense"], "no experiment is called 'nonsense'; known are: re-paths"),
        (["run", "toy", "--preset", "slow"], "preset must be one of"),
        (["run", "toy", "--device", "tpu"], "device must be 'auto', 'cpu' or 'cuda', got 'tpu'"),
        (["run", "toy", "--seed", "-1"], "seed must be a non-negative integer, got -1"),
        (["run", "toy", "--jobs", "0"], "jobs must be a positive number of processes, or -1"),
        (["run", "toy", "--scheduler", "nonsense://x"], "no Dask scheduler answers at"),
        (["publish", "nonsense"], "no experiment is called 'nonsense'"),
        (["publish", "toy"], "holds no finished run"),
    ],
)
def test_mistakes_end_in_one_line(capsys, toy, arguments, message, tmp_path, monkeypatch):
    monkeypatch.setattr(sweeps.runner, "checkout", lambda: tmp_path)
    status, out, err = call(capsys, *arguments)
    assert status == 1
    assert out == ""
    assert err.startswith("companion: ")
    assert message in err
    assert err.count("\n") == 1
    assert toy == [], "nothing was computed"
    assert not list(tmp_path.iterdir()), "nothing was written"


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


def test_data_list(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv(datasets.DATA_VARIABLE, str(tmp_path))
    status, out, _ = call(capsys, "data", "list")
    rows = [line.split() for line in out.splitlines()]
    assert status == 0
    assert [row[0] for row in rows] == list(datasets.NAMES)
    assert rows[0][2] == "present"
    assert rows[2][:4] == ["cifar10", "170.1", "MB", "absent"]
    assert rows[2][4] == "https://www.cs.toronto.edu/~kriz/"
    content = b"stands in for an archive"
    file = replace(
        datasets.SOURCES["cifar10"].files[0],
        md5=hashlib.md5(content).hexdigest(),
        size=len(content),
    )
    made = replace(datasets.SOURCES["cifar10"], files=(file,))
    monkeypatch.setattr(datasets.download, "SOURCES", {**datasets.SOURCES, "cifar10": made})
    (tmp_path / file.name).write_bytes(content)
    row = call(capsys, "data", "list")[1].splitlines()[2].split()
    assert row[3:] == ["present", str(tmp_path)]


def test_data_fetch(capsys, monkeypatch):
    assert call(capsys, "data", "fetch", "digits")[:2] == (
        0,
        "digits: 1437 examples for training, 360 for testing, 10 classes; in scikit-learn\n",
    )

    def fails(name, **_options):
        raise datasets.DownloadError(f"{name} could not be fetched: no network.\nPut the file")

    monkeypatch.setattr(datasets, "fetch", fails)
    status, out, err = call(capsys, "data", "fetch", "cifar10")
    assert (status, out) == (1, "")
    assert err == "companion: cifar10 could not be fetched: no network. Put the file\n"
    status, _, err = call(capsys, "data", "fetch", "imagenet")
    assert status == 1
    assert err.startswith("companion: name of a data set must be one of 'digits', 'mnist'")
    assert err.count("\n") == 1


def test_data_without_its_extra(capsys, monkeypatch):
    find = importlib.util.find_spec
    missing = lambda name, *rest: None if name == "sklearn" else find(name, *rest)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", missing)
    status, _, err = call(capsys, "data", "fetch", "digits")
    assert status == 1
    assert err == (
        "companion: sklearn is needed to load digits and is not installed; "
        "run: pip install 'residual-scaling[learn]'\n"
    )


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
