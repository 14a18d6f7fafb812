"""`make full` runs every experiment and stops where it is stopped."""

from __future__ import annotations

import pytest

from companion.papers import all_experiments
from tools import full


@pytest.fixture
def commands(monkeypatch):
    """Return the commands instead of running them; the second experiment ends as told."""
    seen: list[tuple[str, ...]] = []
    seen_status = {"second": 0}

    def companion(*arguments: str) -> int:
        seen.append(arguments)
        return seen_status["second"] if len(seen) == 2 else 0

    monkeypatch.setattr(full, "companion", companion)
    return seen, seen_status


def test_every_experiment_is_run_at_full_size(commands):
    seen, _ = commands
    assert full.main(["--jobs", "2", "--device", "cpu"]) == 0
    assert [arguments[1] for arguments in seen] == list(all_experiments())
    assert seen[0][2:] == ("--preset", "full", "--device", "cpu", "--jobs", "2")


def test_verify_recomputes_a_sample(commands):
    seen, _ = commands
    assert full.main(["--verify"]) == 0
    assert all(arguments[-1] == "--verify" for arguments in seen)


def test_ctrl_c_ends_all_and_a_failure_only_one(commands, capsys):
    seen, status = commands
    status["second"] = 130
    assert full.main([]) == 130
    assert len(seen) == 2
    seen.clear()
    status["second"] = 1
    assert full.main([]) == 1
    assert len(seen) == len(all_experiments())
    assert f"FAILED: {seen[1][1]}" in capsys.readouterr().out
