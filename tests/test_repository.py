"""What the repository must hold, and what it must never hold."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import companion

# Put together from parts, so that this file does not contain what it forbids.
REGISTRY_HOSTS = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "registry." + "npmjs",
    "deb." + "debian.org",
    "download." + "pytorch.org",
]
MACHINE_PATHS = [rf"(?<![\w.])/{folder}/" for folder in ("wo" + "rk", "ro" + "ot", "ho" + "me")]
FORBIDDEN = re.compile("|".join([*map(re.escape, REGISTRY_HOSTS), *MACHINE_PATHS]))
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")
LARGEST_FILE = 1_000_000


def committed_files(root: Path) -> list[Path]:
    """Return the files under version control, and those that would be added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return [root / name for name in sorted(set(listed.split("\0"))) if (root / name).is_file()]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="ignore")


def test_no_registry_host_and_no_machine_path(root: Path) -> None:
    found = {path.name: match for path in committed_files(root) if (match := leak(text_of(path)))}
    assert found == {}


def leak(text: str) -> str:
    match = FORBIDDEN.search(text)
    return match.group() if match else ""


@pytest.mark.parametrize(
    "text", [f"see https://{REGISTRY_HOSTS[0]}/x", f"cd /{'wo' + 'rk'}/main", f"/{'ro' + 'ot'}/.x"]
)
def test_a_leak_would_be_found(text: str) -> None:
    assert leak(text)


def test_relative_paths_are_no_leak() -> None:
    assert not leak("tests/" + "wo" + "rk/x and build/executed")


def test_no_large_file(root: Path) -> None:
    large = [path.name for path in committed_files(root) if path.stat().st_size > LARGEST_FILE]
    assert large == []


def test_notebooks_hold_no_outputs(root: Path) -> None:
    notebooks = [path for path in committed_files(root) if path.suffix == ".ipynb"]
    assert [path.name for path in notebooks if holds_outputs(json.loads(text_of(path)))] == []


def holds_outputs(notebook: dict) -> bool:
    return any(cell.get("outputs") or cell.get("execution_count") for cell in notebook["cells"])


@pytest.mark.parametrize("cell", [{"outputs": [{}]}, {"execution_count": 3, "outputs": []}])
def test_an_output_would_be_found(cell: dict) -> None:
    assert holds_outputs({"cells": [cell]})
    assert not holds_outputs({"cells": [{"outputs": [], "execution_count": None}]})


def test_the_package_is_finished(root: Path) -> None:
    sources = sorted((root / "src").rglob("*.py"))
    assert [path.name for path in sources if UNFINISHED.search(text_of(path))] == []
    assert [stub for path in sources for stub in stubs(ast.parse(text_of(path)))] == []


def stubs(tree: ast.Module) -> Iterator[str]:
    """Yield functions without a body, apart from those that need none.

    Abstract methods, overloads, protocols and groups of commands do nothing by design.
    """
    protocols = {
        function
        for owner in ast.walk(tree)
        if isinstance(owner, ast.ClassDef)
        and any("Protocol" in ast.unparse(b) for b in owner.bases)
        for function in owner.body
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node not in protocols and is_empty(node):
            marks = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
            if not re.search(r"\babstractmethod\b|\boverload\b|\bclick\.group\b", marks):
                yield node.name


def is_empty(function: ast.FunctionDef) -> bool:
    def says_nothing(statement: ast.stmt) -> bool:
        return (
            isinstance(statement, ast.Pass)
            or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
            or (isinstance(statement, ast.Raise) and "NotImplemented" in ast.unparse(statement))
        )

    return all(says_nothing(statement) for statement in function.body)


def test_a_stub_would_be_found() -> None:
    empty = 'def f():\n    """Say."""\n    pass\n'
    rest = "def g():\n    return 1\n@abstractmethod\ndef h(): ...\n"
    assert list(stubs(ast.parse(empty + rest))) == ["f"]


def test_citation_is_valid(root: Path) -> None:
    command = [str(Path(sys.executable).with_name("cffconvert")), "--validate"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_citation_names_this_version(root: Path) -> None:
    citation = yaml.safe_load(text_of(root / "CITATION.cff"))
    assert citation["version"] == companion.__version__
    assert citation["repository-code"] == companion.REPOSITORY_URL


def test_the_book_points_at_the_repository(root: Path) -> None:
    config = yaml.safe_load(text_of(root / "_config.yml"))
    assert config["repository"]["url"] == companion.REPOSITORY_URL
    assert config["repository"]["branch"] == "main"


def test_the_readme_names_the_two_commands(root: Path) -> None:
    readme = text_of(root / "README.md")
    assert "make book" in readme
    assert "make test" in readme
    assert companion.REPOSITORY_URL in readme


def test_every_make_target_is_described(root: Path) -> None:
    """`make` alone lists the targets that have a description; here none may lack one."""
    makefile = text_of(root / "Makefile")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    described = re.findall(r"^([a-z-]+):[^#\n]*## \w", makefile, flags=re.MULTILINE)
    assert sorted(described) == sorted(phony.split())


def test_every_requirement_is_locked(root: Path) -> None:
    """A tool that is not locked could change the numbers of the book unnoticed."""
    import tomllib

    project = tomllib.loads(text_of(root / "pyproject.toml"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = {canonical(line) for group in groups for line in group} - {"residual-scaling"}
    locked = {canonical(line) for line in text_of(root / "constraints.txt").splitlines()}
    assert wanted - locked == set()


def canonical(requirement: str) -> str:
    name = re.match(r"[\w.-]*", requirement)
    return re.sub(r"[-_.]+", "-", name.group() if name else "").lower()


def test_constraints_hold_on_every_machine(root: Path) -> None:
    lines = [line for line in text_of(root / "constraints.txt").splitlines() if line[:1] != "#"]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    assert [line for line in lines if re.match(r"nvidia|cuda|triton", line)] == []
