"""Each chapter exists twice, as MyST source and as notebook: the two must be one."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest

from companion import REPOSITORY_URL
from tools.inputs import ROOT
from tools.pairs import differences, orphans, sources, strip_outputs, write

SOURCES = sources(ROOT)


def notebook_of(source: Path) -> nbformat.NotebookNode:
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def first_code_cell(source: Path) -> nbformat.NotebookNode:
    return next(cell for cell in notebook_of(source).cells if cell.cell_type == "code")


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """Copy a real chapter to where it may be spoilt; return its source."""
    for suffix in (".md", ".ipynb"):
        shutil.copy(SOURCES[0].with_suffix(suffix), tmp_path / f"chapter{suffix}")
    return tmp_path / "chapter.md"


def test_there_are_chapters() -> None:
    assert SOURCES
    assert orphans(ROOT) == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_notebook_equals_its_source_and_holds_no_outputs(source: Path) -> None:
    assert differences(source) == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_first_cell_makes_it_run_in_colab(source: Path) -> None:
    bootstrap = first_code_cell(source).source
    assert "companion" in bootstrap
    assert REPOSITORY_URL in bootstrap
    assert "--no-deps" in bootstrap  # torch and NumPy of Colab stay as they are
    assert bootstrap == first_code_cell(SOURCES[0]).source  # the same in every chapter


def test_a_changed_cell_is_found(pair: Path) -> None:
    pair.write_text(pair.read_text() + "\nOne more sentence.\n")
    assert differences(pair) != []


def test_changed_metadata_is_found(pair: Path) -> None:
    notebook = notebook_of(pair)
    notebook.cells[-1].metadata["tags"] = ["changed"]
    nbformat.write(notebook, pair.with_suffix(".ipynb"))
    assert differences(pair) != []


@pytest.mark.parametrize(
    "trace", [{"execution_count": 1}, {"outputs": [nbformat.v4.new_output("stream", text="hi")]}]
)
def test_outputs_are_found_and_removed(pair: Path, trace: dict) -> None:
    notebook = notebook_of(pair)
    next(cell for cell in notebook.cells if cell.cell_type == "code").update(trace)
    nbformat.write(notebook, pair.with_suffix(".ipynb"))
    assert differences(pair) == ["chapter.ipynb: holds outputs"]
    strip_outputs(pair.with_suffix(".ipynb"))
    assert differences(pair) == []


def test_writing_mends_a_pair_and_keeps_the_ids_of_its_cells(pair: Path) -> None:
    folder = pair.parent / "notebooks"
    folder.mkdir()
    source = folder / pair.name
    for suffix in (".md", ".ipynb"):
        shutil.move(pair.with_suffix(suffix), source.with_suffix(suffix))
    ids = [cell.id for cell in notebook_of(source).cells]
    source.write_text(source.read_text() + "\n+++\n\nOne more cell.\n")
    assert differences(source) != []
    write(pair.parent)
    assert differences(source) == []
    assert [cell.id for cell in notebook_of(source).cells][: len(ids)] == ids


def test_a_missing_notebook_is_found(pair: Path) -> None:
    pair.with_suffix(".ipynb").unlink()
    assert "make pairs" in differences(pair)[0]


def test_a_notebook_without_source_is_found(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "alone.ipynb").write_text("{}")
    assert orphans(tmp_path) == ["alone.ipynb has no .md source"]
