"""Keep each chapter's .ipynb equal to its .md source, and free of outputs.

python -m tools.pairs           list what differs; fail if anything does
python -m tools.pairs --write   write the .ipynb files from the .md files
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat

from tools.inputs import ROOT


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the .ipynb files")
    if parser.parse_args(arguments).write:
        write(ROOT)
    status = check(ROOT)
    if not status:
        print("pairs: every .ipynb equals its .md and holds no outputs")
    return status


def check(root: Path) -> int:
    """Print what is out of step under `root`, and the remedy; return an exit status."""
    problems = [problem for path in sources(root) for problem in differences(path)]
    problems += orphans(root)
    if problems:
        problems.append("The .md is the source: `make pairs` writes the .ipynb from it.")
        print("\n".join(problems))
    return int(bool(problems))


def sources(root: Path) -> list[Path]:
    """Return the chapters' MyST sources."""
    return sorted((root / "notebooks").glob("*.md"))


def orphans(root: Path) -> list[str]:
    """Name notebooks without a source."""
    found = sorted((root / "notebooks").glob("*.ipynb"))
    return [
        f"{path.name} has no .md source" for path in found if not path.with_suffix(".md").exists()
    ]


def write(root: Path) -> None:
    """Write each .ipynb from its .md, without outputs; unchanged cells keep their ids."""
    for path in sources(root):
        command = [sys.executable, "-m", "jupytext", "--quiet", "--to", "ipynb", "--update"]
        subprocess.run([*command, str(path)], check=True)
        strip_outputs(path.with_suffix(".ipynb"))


def strip_outputs(path: Path) -> None:
    """Remove what running a notebook left in it; jupytext keeps the outputs it finds."""
    notebook = nbformat.read(path, as_version=4)
    if _holds_outputs(notebook):
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, path)


def _holds_outputs(notebook: Any) -> bool:
    return any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)


def differences(source: Path) -> list[str]:
    """Say how the notebook beside `source` differs from it, cell by cell."""
    target = source.with_suffix(".ipynb")
    if not target.exists():
        return [f"{source.name} has no paired notebook: run `make pairs`"]
    expected = jupytext.read(source)
    actual = nbformat.read(target, as_version=4)
    problems = [f"{target.name}: holds outputs"] if _holds_outputs(actual) else []
    if _header(expected) != _header(actual):
        problems.append(f"{target.name}: kernel or format differs from {source.name}")
    pairs = zip(expected.cells, actual.cells, strict=False)
    differing = [index for index, (a, b) in enumerate(pairs) if _content(a) != _content(b)]
    if differing or len(expected.cells) != len(actual.cells):
        first = differing[0] if differing else min(len(expected.cells), len(actual.cells))
        problems.append(f"{target.name}: differs from {source.name} from cell {first} on")
    return problems


def _header(notebook: Any) -> tuple[Any, Any]:
    formats = notebook.metadata.get("jupytext", {}).get("formats")
    return notebook.metadata.get("kernelspec"), formats


def _content(cell: Any) -> tuple[str, str, dict[str, Any]]:
    return cell.cell_type, cell.source, dict(cell.metadata)


if __name__ == "__main__":
    sys.exit(main())
