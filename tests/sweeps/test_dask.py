"""A real Dask scheduler and its workers, one of which is killed."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from dataclasses import replace

import pytest

from companion import sweeps
from tests.sweeps.test_faults import PATIENCE, done, finish, undisturbed, wait_for_shards
from tests.sweeps.toys import toy

pytest.importorskip("distributed")


@pytest.fixture
def scheduler_process(start, tmp_path):
    """A scheduler without workers, which writes its address to a file."""
    note = tmp_path / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--scheduler-file", note]
    return start("distributed.cli.dask_scheduler", *options, stderr=subprocess.DEVNULL)


@pytest.fixture
def scheduler(scheduler_process, tmp_path):
    """Address of the scheduler."""
    note = tmp_path / "scheduler.json"
    limit = time.monotonic() + PATIENCE
    while not note.exists() or not note.read_text():
        assert time.monotonic() < limit, "the scheduler does not start"
        time.sleep(0.05)
    return json.loads(note.read_text())["address"]


@pytest.fixture
def workers(start, scheduler, tmp_path):
    """Two workers, each one process with one thread."""
    options = ["--nthreads", 1, "--no-nanny", "--no-dashboard", "--local-directory", tmp_path / "w"]
    command = ("distributed.cli.dask_worker", scheduler, *options)
    return [start(*command, stderr=subprocess.DEVNULL) for _ in range(2)]


def test_a_killed_worker_changes_nothing(toys, scheduler, workers, tmp_path):
    folder = tmp_path / "cluster"
    runner = toys(folder, "--size", "cluster", "--scheduler", scheduler)
    wait_for_shards(folder, 3, runner)
    assert all(worker.poll() is None for worker in workers)
    workers[0].send_signal(signal.SIGKILL)
    _, error = runner.communicate(timeout=PATIENCE)
    assert runner.returncode == 0, error
    calm = undisturbed("cluster", tmp_path / "calm")
    assert sweeps.manifest.file_hash(folder / "toy.parquet") == calm
    assert workers[1].poll() is None


def test_a_lost_scheduler_is_one_line(toys, scheduler, scheduler_process, workers, tmp_path):
    folder = tmp_path / "lost"
    runner = toys(folder, "--size", "short", "--scheduler", scheduler)
    wait_for_shards(folder, 2, runner)
    scheduler_process.send_signal(signal.SIGKILL)
    _, error = runner.communicate(timeout=PATIENCE)
    assert runner.returncode == 1
    assert error.count("\n") == 1, error
    assert f"the Dask cluster at '{scheduler}' was lost" in error
    assert f"{done(folder)} of 12 shards of toy are done; the same command resumes" in error
    assert finish(toys, folder, "short") == undisturbed("short", tmp_path / "calm")


def test_a_run_goes_on_elsewhere(toys, scheduler, workers, tmp_path):
    """Begun here, stopped, finished on the cluster: the same table."""
    folder = tmp_path / "moved"
    runner = toys(folder, "--size", "short")
    wait_for_shards(folder, 2, runner)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    table = finish(toys, folder, "short", "--scheduler", scheduler)
    assert table == undisturbed("short", tmp_path / "calm")


def test_no_scheduler_is_named(monkeypatch):
    monkeypatch.setattr(sweeps.backends, "SCHEDULER_SECONDS", 0.5)
    with pytest.raises(ValueError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:9'.*dask"):
        sweeps.run(toy(), device="cpu", scheduler="tcp://127.0.0.1:9")


class FakeClient:
    """A cluster whose workers answer what a test wants."""

    def __init__(self, *answers):
        self.answers = answers

    def wait_for_workers(self, count, timeout):
        if not self.answers:
            raise TimeoutError

    def run(self, probe, module, device):
        assert probe(module, "cpu")[0] == "cpu", "it also works here"
        return {f"tcp://{i}": answer for i, answer in enumerate(self.answers)}


CODE = sweeps.code_hash("tests.sweeps.toys")


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ((), "has no workers; start some with `dask worker ADDRESS`"),
        ((("cpu", "a", CODE), ("cuda", "b", CODE)), r"of several kinds \(cpu, cuda\)"),
        ((("cpu", "a", CODE), ("cpu", "a", "older")), "the code of the Dask worker tcp://1 differ"),
    ],
)
def test_workers_must_agree(answers, message):
    with pytest.raises(ValueError, match=message):
        sweeps.backends._agreed(FakeClient(*answers), "tcp://x", toy(), "auto")


def test_the_device_is_that_of_the_workers():
    answers = [("cuda", "H", CODE), ("cuda", "G", CODE)]
    found = sweeps.backends._agreed(FakeClient(*answers), "tcp://x", toy(), "auto")
    assert found == ("cuda", "G, H")


def test_a_cell_of_a_script_is_refused(monkeypatch):
    cell = replace(toy(), cell=lambda params, seed, device: None)
    monkeypatch.setattr(cell.cell, "__module__", "__main__")
    with pytest.raises(ValueError, match="which workers cannot import; move it to a module"):
        sweeps.run(cell, device="cpu", scheduler="tcp://127.0.0.1:9")
