"""The fingerprint of the code changes with what a cell computes, and with nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from companion.papers import all_experiments
from companion.sweeps import code_hash
from companion.sweeps.code import sources

CELLS = "companion.papers.log_gaussian.cells"
THEORY = "companion.papers.log_gaussian.theory"


@pytest.fixture
def package(root: Path, tmp_path: Path) -> Path:
    """Return a copy of the package that may be edited."""
    return Path(shutil.copytree(root / "src" / "companion", tmp_path / "companion"))


def changes(package: Path, file: str, old: str, new: str, module: str = CELLS) -> bool:
    before = code_hash.__wrapped__(module, package)
    path = package / file
    text = path.read_text()
    assert old in text, f"{file} no longer holds {old!r}"
    path.write_text(text.replace(old, new))
    return code_hash.__wrapped__(module, package) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("papers/log_gaussian/cells.py", '"""Cells of the', '"""Some cells of the'),
        ("papers/log_gaussian/cells.py", "import numpy as np", "import numpy as np  # arrays"),
        ("simulate/matrixfree.py", "Propagate ``k`` inputs", "Push ``k`` inputs"),
        ("simulate/blocks.py", "#: Stream elements", "#: Elements of the stream"),
        ("plots/style.py", "\nimport ", "\nprint()\nimport "),
        ("plots/log_gaussian.py", "\nimport ", "\nprint()\nimport "),
        ("cli.py", "Experiments on the command line", "Experiments"),
        ("sweeps/runner.py", "started = time.perf_counter()", "started = 0.0"),
        ("papers/log_gaussian/claims.py", "\nimport ", "\nprint()\nimport "),
        ("papers/claims.py", "\nfrom companion", "\nprint()\nfrom companion"),
        ("loggaussian.py", "\nimport ", "\nprint()\nimport "),
        ("papers/log_gaussian/theory.py", "spec.width", "2 * spec.width"),
        ("papers/log_gaussian/experiments.py", "networks=10000", "networks=10001"),
    ],
)
def test_what_no_number_depends_on_voids_nothing(package, file, old, new):
    assert not changes(package, file, old, new)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("papers/log_gaussian/cells.py", "spec.width * delta", "delta"),
        ("simulate/matrixfree.py", "(1.0, -1.0)", "(1.0, 1.0)"),
        ("simulate/blocks.py", "2**16", "2**15"),
        ("simulate/conditioning.py", "import torch", "import torch\nprint()"),
        ("montecarlo.py", "c2 = c * c", "c2 = c * c * 1.5"),
        ("architecture.py", "\nimport ", "\nprint()\nimport "),
        ("_validation.py", "\nimport ", "\nprint()\nimport "),
    ],
)
def test_a_change_of_a_helper_voids_the_cell(package, file, old, new):
    assert changes(package, file, old, new)


def test_a_change_of_theory_changes_the_tables_alone(package):
    path = package / "loggaussian.py"
    path.write_text(path.read_text() + "\nEXTRA = 1\n")
    assert code_hash.__wrapped__(CELLS, package) == code_hash(CELLS)
    assert code_hash.__wrapped__(THEORY, package) != code_hash(THEORY)


def test_layout_does_not_count(package):
    path = package / "montecarlo.py"
    path.write_text(path.read_text().replace("\n    ", "\n\n    # a remark\n    ", 5))
    assert code_hash.__wrapped__(CELLS, package) == code_hash(CELLS)


def test_the_sources_of_the_cells():
    found = set(sources(CELLS))
    assert {CELLS, "companion.simulate.blocks", "companion.montecarlo"} <= found
    unwanted = ("sweeps", "plots", "cli", "papers.claims", "loggaussian", "papers.log_gaussian.th")
    assert not [n for n in found if n.startswith(tuple(f"companion.{u}" for u in unwanted))]


def test_every_experiment_has_a_fingerprint():
    for experiment in all_experiments().values():
        assert len(code_hash(experiment.cell.__module__)) == 64


def test_imports_of_all_forms_are_followed(tmp_path):
    package = tmp_path / "companion"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("VERSION = 1\n")
    (package / "inner" / "__init__.py").write_text("from companion.far import x\n")
    (package / "inner" / "one.py").write_text("from . import two\nfrom .three import y\n")
    (package / "inner" / "two.py").write_text("def f():\n    from ..four import z\n")
    for name in ("inner/three", "four", "far", "five"):
        (package / f"{name}.py").write_text("x = y = z = 1\n")
    (package / "start.py").write_text("import companion.five as f\nimport companion.inner.one\n")
    found = sources("companion.start", package)
    assert set(found) == {
        f"companion.{n}" for n in ("start", "five", "inner.one", "inner.two", "inner.three", "four")
    }
    (package / "start.py").write_text("from companion.inner import x\n")
    assert set(sources("companion.start", package)) == {
        f"companion.{n}" for n in ("start", "inner", "far")
    }


def test_a_module_without_a_file_is_named():
    with pytest.raises(ValueError, match="module 'time' of the cell has no source file"):
        code_hash("time")
