"""Claims are tested once for each state of the package, and a differing verdict stays an error."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tools import claims, inputs


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """A package with claims, and in the place of the command what it would print."""
    (tmp_path / "src" / "companion" / "papers").mkdir(parents=True)
    (tmp_path / "src" / "companion" / "__init__.py").write_text('__version__ = "1.0.0"\n')
    state = {"root": tmp_path, "calls": 0, "out": [row(True)], "status": 0}

    def fake(arguments, **options):
        state["calls"] += 1
        state["arguments"] = arguments
        out = state["out"] if isinstance(state["out"], str) else json.dumps(state["out"])
        return subprocess.CompletedProcess(arguments, state["status"], out)

    monkeypatch.setattr(claims.subprocess, "run", fake)
    return state


def row(agrees: bool) -> dict:
    verdict = "supported" if agrees else "not supported"
    names = {"id": "XX-01", "verdict": verdict, "recorded": "supported"}
    return {**names, "agrees": agrees, "seconds": 1.0}


def test_claims_are_tested_once(command, capsys):
    assert [claims.execute_missing(command["root"]) for _ in range(2)] == [0, 0]
    assert command["calls"] == 1
    assert "1 already tested" in capsys.readouterr().out
    stored = json.loads(inputs.claims_path(command["root"]).read_text())
    assert stored["claims"] == [row(True)]
    assert stored["preset"] == "quick"
    assert "version 1.0.0" in stored["stamp"]


def test_a_change_of_the_package_tests_them_again(command):
    claims.execute_missing(command["root"])
    (command["root"] / "src" / "companion" / "new.py").write_text("x = 1\n")
    claims.execute_missing(command["root"])
    assert command["calls"] == 2


def test_a_differing_verdict_fails_every_time(command, capsys):
    command |= {"out": [row(False)], "status": 1}
    assert [claims.execute_missing(command["root"]) for _ in range(2)] == [1, 1]
    assert command["calls"] == 1
    assert "XX-01: verdict 'not supported', on record 'supported'" in capsys.readouterr().out


def test_a_crash_is_not_stored(command):
    command |= {"out": "", "status": 1}
    assert [claims.execute_missing(command["root"]) for _ in range(2)] == [1, 1]
    assert command["calls"] == 2
    assert not inputs.claims_path(command["root"]).exists()


def test_a_package_without_claims_is_left_alone(tmp_path):
    assert claims.execute_missing(tmp_path) == 0


def test_chapters_find_the_stored_run(tmp_path):
    environment = inputs.chapter_environment(tmp_path)
    assert environment["COMPANION_CLAIMS"] == str(inputs.claims_path(tmp_path))
