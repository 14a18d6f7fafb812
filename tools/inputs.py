"""What the book depends on, as hashes: the one place that decides what is out of date.

``execution_key`` covers what the *outputs* of the chapters depend on and the execution cache
does not see: the package, the locked versions, the preset and the published results.
``book_key`` covers every file the *pages* depend on; the stamp of ``make book`` holds it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: Read by the chapters: which sizes to run, where the claims that were tested are stored, and where
#: pages find the plotly script.
PRESET_VARIABLE = "COMPANION_PRESET"
PLOTLY_VARIABLE = "COMPANION_PLOTLYJS"
CLAIMS_VARIABLE = "COMPANION_CLAIMS"
PLOTLY_ADDRESS = "../plotly/plotly.min.js"

_EXECUTION_INPUTS = ("src/companion", "results", "constraints.txt")
_BOOK_INPUTS = (
    *_EXECUTION_INPUTS,
    "book",
    "notebooks",
    "benchmarks",
    "tools",
    "_config.yml",
    "_toc.yml",
    "pyproject.toml",
)
_IGNORED_PARTS = {"__pycache__", ".ipynb_checkpoints", ".benchmarks", ".DS_Store"}


def preset() -> str:
    """Return the preset at which chapters run; ``quick`` unless the environment says otherwise."""
    return os.environ.get(PRESET_VARIABLE) or "quick"


def chapter_environment(root: Path = ROOT) -> dict[str, str]:
    """Return the environment in which every chapter is executed, whoever executes it."""
    return os.environ | {
        PRESET_VARIABLE: preset(),
        CLAIMS_VARIABLE: str(claims_path(root)),
        PLOTLY_VARIABLE: os.environ.get(PLOTLY_VARIABLE) or PLOTLY_ADDRESS,
    }


def execution_key(root: Path) -> str:
    """Hash what the outputs of the chapters under `root` depend on, apart from their own cells."""
    return _hash(root, _EXECUTION_INPUTS, extra=[preset()])


def cache_path(root: Path) -> Path:
    """Return the folder of the execution cache that is valid for the present state of `root`."""
    return root / "build" / "jupyter_cache" / execution_key(root)


def claims_path(root: Path) -> Path:
    """Return the file that holds the tested claims of the present state of `root`."""
    return root / "build" / "claims" / execution_key(root) / f"{preset()}.json"


def book_key(root: Path) -> str:
    """Hash everything that the pages of the book under `root` depend on."""
    return _hash(root, _BOOK_INPUTS, extra=[preset(), version_stamp(root)])


def version_stamp(root: Path) -> str:
    """Return ``version X, commit Y`` as the foot of each page prints it."""
    version = _package_version(root)
    commit = _git_commit(root)
    return f"version {version}, commit {commit}" if commit else f"version {version}"


def _hash(root: Path, names: Iterable[str], extra: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in extra:
        digest.update(text.encode() + b"\0")
    for path in _files(root, names):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _files(root: Path, names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        base = root / name
        found = sorted(base.rglob("*")) if base.is_dir() else [base]
        for path in found:
            if path.is_file() and not _IGNORED_PARTS & set(path.relative_to(root).parts):
                yield path


def _package_version(root: Path) -> str:
    source = root / "src" / "companion" / "__init__.py"
    for line in source.read_text(encoding="utf-8").splitlines() if source.exists() else []:
        if line.startswith("__version__"):
            return line.split('"')[1]
    return "unknown"


def _git_commit(root: Path) -> str:
    """Return the last commit that changed the book, marked if files differ; else nothing."""
    if not (root / ".git").exists():
        return ""
    paths = [name for name in _BOOK_INPUTS if (root / name).exists()]
    try:
        commit = _git(root, "log", "-1", "--format=%h", "--", *paths)
        changed = _git(root, "status", "--porcelain", "--", *paths)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{commit} with local changes" if changed else commit


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()
