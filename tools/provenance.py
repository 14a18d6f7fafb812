"""Where the numbers of the book come from: what its pages say about chapters and experiments."""

from __future__ import annotations

import json
import platform
import pydoc
import shutil
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jupyter_cache import get_cache

from companion import REPOSITORY_URL, papers, results
from companion.papers import ledger
from tools import chapters, toc
from tools.inputs import cache_path, claims_path, preset, version_stamp

_LIBRARIES = ("numpy", "scipy", "torch", "pandas")
#: Folder of the published data among the pages.
DATA = "data"


def code_url(path: str, line: int) -> str:
    """Return the address of a line of the repository."""
    return f"{REPOSITORY_URL}/blob/main/{path}#L{line}"


@cache
def claims(root: Path) -> dict[str, Any]:
    """Return the stored run of the claims of `root`.

    Raises
    ------
    FileNotFoundError
        If they were not tested since the package changed.
    """
    return json.loads(claims_path(root).read_text(encoding="utf-8"))


@cache
def chapter(root: Path, page: str) -> dict[str, Any]:
    """Return how a chapter was executed; `page` is its source file."""
    notebook = chapters.read(root / page)
    facts: dict[str, Any] = {
        "page": page,
        "stamp": version_stamp(root),
        "preset": preset(),
        "device": _device(root),
        "seconds": None,
        "date": None,
        "libraries": libraries(),
        "experiments": experiments_of(notebook.cells),
    }
    try:
        record = get_cache(str(cache_path(root))).match_cache_notebook(notebook)
    except KeyError:
        return facts
    seconds = (record.data or {}).get("execution_seconds")
    return facts | {"seconds": seconds, "date": record.created.date().isoformat()}


def experiments_of(cells: list[Any]) -> list[str]:
    """Return the experiments that the metadata of a chapter's cells name."""
    return [name for cell in cells for name in named(cell.metadata)]


def named(metadata: dict[str, Any]) -> list[str]:
    """Return the experiments that the metadata of one cell name."""
    return list(metadata.get("companion", {}).get("experiments", []))


def functions(metadata: dict[str, Any]) -> list[str]:
    """Return the functions, by full name, that the metadata of a cell names as its source."""
    return list(metadata.get("companion", {}).get("code", []))


@cache
def function_url(name: str) -> str:
    """Return the address of the code of a function of the package.

    Raises
    ------
    ValueError
        If there is no such function.
    """
    found = pydoc.locate(name)
    if not callable(found):
        raise ValueError(f"code: {name!r} in the metadata of a cell is not a function; mend it.")
    return code_url(**ledger.source_of(found))


def chapter_pages(root: Path) -> list[str]:
    """Return the pages that are executed, in reading order."""
    return [page.as_posix() for page in toc.notebooks(root)]


def libraries() -> str:
    """Return the versions that matter for numbers."""
    found = [f"Python {platform.python_version()}"]
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _device(root: Path) -> str:
    """Return the device of this machine, as the claims have found it."""
    try:
        rows = claims(root)["claims"]
    except FileNotFoundError:
        return "auto"
    return rows[0]["device"] if rows else "auto"


@cache
def experiment(name: str) -> dict[str, Any]:
    """Return what is known about the published result of an experiment, and where its code is."""
    found = papers.find_experiment(name)
    facts: dict[str, Any] = {
        "id": name,
        "title": found.title,
        "code": ledger.source_of(found.cell),
        "manifest": None,
        "current": True,
    }
    if name in results.published():
        _, manifest = results.load(name)
        facts |= {"manifest": manifest, "current": results.is_current(manifest)}
    return facts


def all_experiments() -> list[dict[str, Any]]:
    """Return the facts of every experiment, in the order of the papers."""
    return [experiment(name) for name in papers.all_experiments()]


def sentence(name: str) -> str:
    """Return preset, device and date of the published result of an experiment."""
    facts = experiment(name)
    manifest = facts["manifest"]
    if manifest is None:
        return "not published yet"
    older = "" if facts["current"] else ", older code"
    return f"{manifest['preset']}, {manifest['device']['name']}, {manifest['date'][:10]}{older}"


def seconds_text(seconds: float | None) -> str:
    """Return a time for people."""
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def copy_data(root: Path, folder: Path) -> Path:
    """Put the published tables into `folder`/data, each also as CSV; return `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    target = folder / DATA
    target.mkdir(parents=True)
    for name in results.published():
        table, _ = results.load(name)
        table.to_csv(target / f"{name}.csv", index=False, float_format="%.10g")
        for kind in ("parquet", "json"):
            shutil.copyfile(root / "results" / f"{name}.{kind}", target / f"{name}.{kind}")
    return folder
