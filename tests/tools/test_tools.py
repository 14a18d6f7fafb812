"""The scripts behind `make`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools import assets, book, browser, check, toc
from tools.constraints import locked


def test_constraints_drop_what_only_one_machine_has() -> None:
    frozen = "numpy==2.4.6\ntorch==2.13.0+cpu\nnvidia-nccl-cu12==2.2\ntriton==3.5\nx @ file:///y\n"
    assert locked(frozen) == ["numpy==2.4.6", "torch==2.13.0"]


def test_toc_lists_pages_in_reading_order(tmp_path: Path) -> None:
    (tmp_path / "_toc.yml").write_text(
        "root: index\nparts:\n- chapters:\n  - file: one.md\n    sections:\n    - file: two\n"
    )
    for name in ("index", "one", "two"):
        (tmp_path / f"{name}.md").write_text("# Title\n")
    (tmp_path / "one.md").write_text("---\nkernelspec:\n  name: python3\n---\n# One\n")
    assert toc.pages(tmp_path) == [Path("index.md"), Path("one.md"), Path("two.md")]
    assert toc.notebooks(tmp_path) == [Path("one.md")]


def test_a_page_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "_toc.yml").write_text("root: nowhere\n")
    with pytest.raises(SystemExit, match=r"_toc\.yml names 'nowhere'"):
        toc.pages(tmp_path)


def test_assets_are_copied_and_mended(tmp_path: Path) -> None:
    assets.prepare_assets(tmp_path)
    script = tmp_path / "plotly" / "plotly.min.js"
    whole = script.read_bytes()
    script.write_bytes(b"half")
    assets.prepare_assets(tmp_path)
    assert script.read_bytes() == whole
    assert (tmp_path / "mathjax" / "tex-mml-chtml.js").stat().st_size > 100_000


def test_a_missing_browser_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "find_browser", lambda: None)
    with (
        pytest.raises(RuntimeError, match="install chromium or Google Chrome"),
        browser.open_browser(),
    ):
        pass


def test_only_root_installs_a_browser(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(browser, "find_browser", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    assert browser.main() == 1
    assert capsys.readouterr().out.strip() == browser.MISSING


def test_serving_needs_a_book(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert book.serve(tmp_path, port=0) == 1
    assert "make book" in capsys.readouterr().out


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the stages of `make test`: the first one fails, the others only say that they ran."""
    ran: list[str] = []
    statuses = {"lint": 1, "types": 0}
    fakes = {name: lambda name=name: (ran.append(name), statuses[name])[1] for name in statuses}
    monkeypatch.setattr(check, "STAGES", fakes)
    monkeypatch.setattr(check, "tests", lambda *, everything: (ran.append("tests"), 0)[1])
    return ran


def test_one_failed_stage_fails_the_run_and_hides_no_other(
    stages: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check.main([]) == 1
    assert stages == ["lint", "types", "tests"]
    assert "FAILED: lint" in capsys.readouterr().out


def test_the_run_passes_when_every_stage_does(
    stages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(check.STAGES, "lint", lambda: 0)
    assert check.main([]) == 0
    assert stages == ["types", "tests"]


def test_drift_is_looked_for_in_the_long_run_only(
    stages: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(check.STAGES, "lint", lambda: 0)
    monkeypatch.setattr(check, "SLOW_STAGES", {"drift": lambda: (stages.append("drift"), 1)[1]})
    assert check.main([]) == 0
    assert "drift" not in stages
    assert check.main(["--all"]) == 1
    assert stages[-3:] == ["types", "drift", "tests"]
    assert "FAILED: drift" in capsys.readouterr().out


def test_failed_tests_fail_the_run(stages: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(check.STAGES, "lint", lambda: 0)
    monkeypatch.setattr(check, "tests", lambda *, everything: 1)
    assert check.main([]) == 1
