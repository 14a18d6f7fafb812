"""A two-page book, to see that no build can publish outputs of old code or hide an error."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import book, chapters, inputs

CONFIG = """
title: Two pages
exclude_patterns: [_build, build, "notebooks/*.ipynb"]
only_build_toc_files: true
execute: {{execute_notebooks: cache, raise_on_error: true}}
sphinx:
  recursive_update: true
  local_extensions: {{companion_book: {extensions}}}
"""
TOC = "{format: jb-book, root: index, chapters: [{file: notebooks/one.md}]}"
CHAPTER = """---
jupytext:
  formats: md:myst,ipynb
  text_representation: {extension: .md, format_name: myst, format_version: 0.13}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# One

Some prose.

```{code-cell} ipython3
from companion import answer
print("the answer is", answer())
```
"""
CODE = "def answer():\n    return {value}\n"


@pytest.fixture
def dummy(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the sources of a book on a package of one function; return its folder."""
    (tmp_path / "src" / "companion").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "_config.yml").write_text(CONFIG.format(extensions=root / "book" / "_ext"))
    (tmp_path / "_toc.yml").write_text(TOC)
    (tmp_path / "constraints.txt").write_text("numpy==1\n")
    (tmp_path / "index.md").write_text("# Index\n\nWelcome.\n")
    (tmp_path / "notebooks" / "one.md").write_text(CHAPTER)
    set_answer(tmp_path, 41)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "src"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return tmp_path


def set_answer(folder: Path, value: int) -> None:
    (folder / "src" / "companion" / "__init__.py").write_text(CODE.format(value=value))


def run_jupyter_book(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build as a user would by hand, without the scripts of this repository."""
    program = str(Path(sys.executable).with_name("jupyter-book"))
    command = [program, "build", "-W", "-n", "--keep-going", "."]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def built(folder: Path) -> str:
    """Build, which must succeed, and return what was logged."""
    done = run_jupyter_book(folder)
    log = done.stdout + done.stderr
    assert done.returncode == 0, log
    return log


def page_of(folder: Path) -> str:
    return (folder / "_build" / "html" / "notebooks" / "one.html").read_text(encoding="utf-8")


def executes(log: str) -> bool:
    ran, cached = "Executing notebook using" in log, "Using cached notebook" in log
    assert not (ran and cached)
    return ran


def test_prose_reuses_outputs_and_code_does_not(dummy: Path) -> None:
    assert executes(built(dummy))
    assert "the answer is 41" in page_of(dummy)

    chapter = dummy / "notebooks" / "one.md"
    chapter.write_text(CHAPTER.replace("Some prose.", "Better prose."))
    log = built(dummy)
    assert "Using cached notebook" in log
    assert not executes(log)
    assert "Better prose." in page_of(dummy)

    # The page itself is untouched: only the package changed.
    set_answer(dummy, 42)
    assert executes(built(dummy))
    assert "the answer is 42" in page_of(dummy)
    assert "the answer is 41" not in page_of(dummy)


def test_a_failing_cell_fails_the_build(dummy: Path) -> None:
    chapter = dummy / "notebooks" / "one.md"
    chapter.write_text(CHAPTER.replace("answer())", "1 / 0)"))
    done = run_jupyter_book(dummy)
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stdout + done.stderr


def test_a_warning_fails_the_build(dummy: Path) -> None:
    (dummy / "index.md").write_text("# Index\n\n{ref}`nowhere`\n")
    done = run_jupyter_book(dummy)
    assert done.returncode != 0
    assert "nowhere" in done.stdout + done.stderr


def test_chapters_execute_once_and_the_book_reuses_them(
    dummy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pair(dummy)
    assert book.make(dummy) == 0
    said = capfd.readouterr().out
    assert "1 to execute" in said
    assert "1 passed" in said
    assert not executes((dummy / "build" / "book.log").read_text())
    assert "the answer is 41" in page_of(dummy)

    assert book.make(dummy) == 0
    assert "up to date" in capfd.readouterr().out

    set_answer(dummy, 42)
    assert book.make(dummy) == 0
    assert "1 to execute" in capfd.readouterr().out
    assert "the answer is 42" in page_of(dummy)


def test_a_failing_chapter_stops_the_book_and_is_not_cached(
    dummy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    set_answer(dummy, "1 / 0")
    pair(dummy)
    for _ in range(2):  # the second time, too: a failure must not become a cached result
        assert book.make(dummy) != 0
        said = capfd.readouterr().out
        assert "ZeroDivisionError" in said
        assert "1 to execute" in said
    assert not (dummy / "_build" / "html").exists()


def pair(folder: Path) -> None:
    command = [sys.executable, "-m", "jupytext", "--quiet", "--to", "ipynb"]
    subprocess.run([*command, str(folder / "notebooks" / "one.md")], check=True)


def test_a_build_that_executes_is_refused(
    dummy: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The tool must notice when the outputs that nbmake made are not those in the book."""
    pair(dummy)
    monkeypatch.setattr(chapters, "execute_missing", lambda root: 0)
    assert book.make(dummy) != 0
    assert "executed a chapter again" in capfd.readouterr().out
    assert not (dummy / book.STAMP).exists()


def test_a_pair_out_of_step_stops_the_book(dummy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pair(dummy)
    chapter = dummy / "notebooks" / "one.md"
    chapter.write_text(CHAPTER.replace("answer())", "1 + answer())"))
    assert book.make(dummy) != 0
    said = capfd.readouterr().out
    assert "one.ipynb: differs from one.md" in said
    assert "make pairs" in said
    assert "to execute" not in said


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: set_answer(folder, 7),
        lambda folder: (folder / "constraints.txt").write_text("numpy==2\n"),
        lambda folder: (folder / "results.json").rename(folder / "results" / "one.json"),
        lambda folder: os.environ.update(COMPANION_PRESET="full"),
    ],
    ids=["package", "versions", "results", "preset"],
)
def test_what_outputs_depend_on_moves_the_cache(
    dummy: Path, change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPANION_PRESET", "quick")
    (dummy / "results").mkdir()
    (dummy / "results.json").write_text("{}")
    before = inputs.cache_path(dummy)
    assert inputs.cache_path(dummy) == before
    change(dummy)
    assert inputs.cache_path(dummy) != before


def test_prose_moves_the_stamp_but_not_the_cache(dummy: Path) -> None:
    cache, stamp = inputs.cache_path(dummy), inputs.book_key(dummy)
    (dummy / "_toc.yml").write_text(TOC.replace("chapters", "chapters "))
    assert inputs.cache_path(dummy) == cache
    assert inputs.book_key(dummy) != stamp


def test_byte_code_and_checkpoints_move_nothing(dummy: Path) -> None:
    before = inputs.book_key(dummy)
    shutil.copytree(dummy / "notebooks", dummy / "notebooks" / ".ipynb_checkpoints")
    (dummy / "src" / "companion" / "__pycache__").mkdir()
    (dummy / "src" / "companion" / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert inputs.book_key(dummy) == before
