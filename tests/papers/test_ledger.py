"""The ledger: records for machines, text and tables for people, in both directions."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from companion import papers
from companion.cli import main
from companion.papers import all_claims, claims_report, ledger, select_claims
from companion.papers.claims import Check, Claim, Finding
from companion.papers.defects import no_interlayer_term, planted

YES = Check("q < 1", "1 ± 0.1", "1", "equal", True, 1.0, 0.1, 1.0, 100)
NO = replace(YES, passed=False)
KEYS = {
    *("id", "statement", "origin", "preset", "n", "seed", "estimate", "sem", "expected"),
    *("criterion", "verdict", "recorded", "agrees", "checks"),
}


def claim(passes: bool, recorded: str) -> Claim:
    return Claim(
        "XX-01",
        "a < b & c",
        "derived here",
        recorded,
        "sec-x",
        {"quick": {}, "full": {}},
        1,
        lambda sizes, seed, device: Finding((YES if passes else NO,)),
        no_interlayer_term,
    )


@pytest.mark.parametrize("passes", [True, False])
@pytest.mark.parametrize("recorded", ["supported", "not supported"])
def test_a_report_compares_with_the_record_in_both_directions(passes, recorded):
    found = ledger.report([claim(passes, recorded)])
    assert found.all_as_recorded == (passes == (recorded == "supported"))
    html = found._repr_html_()
    assert "a &lt; b &amp; c" in html
    assert "q &lt; 1" in html
    assert ("recorded:" in html) != found.all_as_recorded


@pytest.fixture
def record_of_two(monkeypatch):
    """Two claims that take no time, with records that the caller chooses."""

    def plant(*records: tuple[bool, str]) -> None:
        toys = [replace(claim(*row), id=f"XX-{i:02d}") for i, row in enumerate(records, 1)]
        paper = type("Paper", (), {"CLAIMS": tuple(toys), "EXPERIMENTS": ()})
        monkeypatch.setattr(papers, "PAPERS", {"toy": paper})

    return plant


def call(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as leaving:
        main(["claims", *arguments])
    out, err = capsys.readouterr()
    return int(leaving.value.code or 0), out, err


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ([(True, "supported"), (False, "not supported")], 0),
        ([(True, "supported"), (True, "not supported")], 1),
        ([(False, "supported"), (False, "not supported")], 1),
        ([(True, "conditional: small"), (True, "supported")], 1),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_verdict_off_the_record_fails_either_way(capsys, record_of_two, rows, status, form):
    record_of_two(*rows)
    got, out, _ = call(capsys, *form)
    assert got == status
    assert ("on record" in out) == (status == 1 and not form)
    if form:
        assert [row["agrees"] for row in json.loads(out)].count(False) == status


def test_json_is_a_list_of_complete_records(capsys):
    status, out, _ = call(capsys, "--claim", "LG-13", "--claim", "LG-04", "--json")
    assert status == 0
    first, second = json.loads(out)
    assert set(first) >= KEYS
    assert (first["id"], second["id"]) == ("LG-04", "LG-13")
    assert first["estimate"] > first["expected"] == 0.6
    assert (first["n"], first["seed"]) == (1000, all_claims()["LG-04"].seed)
    assert second["n"] is None, "it is deterministic"
    for row in (first, second):
        assert row["agrees"]
        assert row["verdict"] == row["recorded"]
        assert {"quantity", "estimate", "sem", "expected", "passed"} <= set(row["checks"][0])


def test_text_shows_every_check(capsys):
    _, out, _ = call(capsys, "--claim", "LG-13")
    row = ledger.record(all_claims()["LG-13"])
    assert row["statement"] in out
    assert all(check["observed_text"] in out for check in row["checks"])
    assert out.endswith("1 claims, 1 as recorded, 0 not.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--paper", "lg"],
            "paper must be one of residual-expansion, large-depth, field-theory, log-gaussian, "
            "tangent-kernel, got",
        ),
        (["--claim", "LG-99"], "no claim is called 'LG-99'; known are: FT-01"),
        (["--preset", "slow"], "preset must be one of quick, full, got 'slow'"),
        (["--device", "tpu"], "device must be 'auto', 'cpu' or 'cuda', got 'tpu'"),
        (["--jobs", "0"], "jobs must be a positive integer, got 0"),
    ],
)
def test_mistakes_end_in_one_line(capsys, arguments, message):
    status, out, err = call(capsys, *arguments)
    assert (status, out) == (1, "")
    assert err.startswith(f"companion: {message}")
    assert err.count("\n") == 1


def test_a_planted_defect_fails_the_command(capsys):
    with planted(all_claims()["LG-13"].defect):
        status, out, _ = call(capsys, "--claim", "LG-13")
    assert status == 1
    assert "not supported   <-- on record: supported" in out


def test_findings_do_not_depend_on_the_number_of_processes():
    chosen = select_claims(names=["LG-04", "LG-13"])
    one, two = (ledger.examine(chosen, jobs=jobs) for jobs in (1, 2))
    for row in (*one, *two):
        del row["seconds"]
    assert one == two


def test_the_code_of_a_claim_is_where_its_record_says(root):
    for name, one in all_claims().items():
        code = ledger.source_of(one.test)
        line = (root / code["path"]).read_text(encoding="utf-8").splitlines()[code["line"] - 1]
        assert line.startswith(f"def {one.test.__name__}("), name


def store(path: Path, preset: str) -> None:
    rows = [ledger.record(claim(True, "supported")) | {"paper": "log-gaussian"}]
    path.write_text(json.dumps({"preset": preset, "claims": rows}))


def test_a_stored_run_is_shown_and_nothing_is_computed(tmp_path, monkeypatch):
    store(tmp_path / "run.json", "quick")
    monkeypatch.setenv("COMPANION_CLAIMS", str(tmp_path / "run.json"))
    monkeypatch.setattr(ledger, "examine", None)
    assert [row["id"] for row in claims_report("log-gaussian").records] == ["XX-01"]


@pytest.mark.parametrize("missing", ["file", "preset"])
def test_without_a_stored_run_the_claims_are_tested(tmp_path, monkeypatch, missing):
    if missing == "preset":
        store(tmp_path / "run.json", "full")
    monkeypatch.setenv("COMPANION_CLAIMS", str(tmp_path / "run.json"))
    asked = []
    monkeypatch.setattr(ledger, "examine", lambda *a: asked.append(a) or [])
    assert claims_report("log-gaussian").records == ()
    assert len(asked) == 1


def test_the_installed_command_leaves_with_its_status():
    command = [sys.executable, "-m", "companion", "claims", "--claim", "LG-13"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("LG-13  supported\n")
