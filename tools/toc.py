"""The pages of the book, read from ``_toc.yml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tools.inputs import ROOT


def pages(root: Path = ROOT) -> list[Path]:
    """Return the source file of each page in reading order, relative to `root`."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    return [_source(root, name) for name in _names(toc)]


def notebooks(root: Path = ROOT) -> list[Path]:
    """Return the pages that hold code to execute, relative to `root`."""
    return [page for page in pages(root) if _is_notebook(root / page)]


def _names(entry: Any) -> list[str]:
    if isinstance(entry, list):
        return [name for item in entry for name in _names(item)]
    if not isinstance(entry, dict):
        return []
    own = [entry[key] for key in ("root", "file") if key in entry]
    below = [name for key in ("parts", "chapters", "sections") for name in _names(entry.get(key))]
    return own + below


def _source(root: Path, name: str) -> Path:
    candidates = (Path(name), Path(f"{name}.md"), Path(f"{name}.ipynb"))
    for path in candidates:
        if (root / path).is_file():
            return path
    raise SystemExit(f"_toc.yml names {name!r}, but there is no such page")


def _is_notebook(page: Path) -> bool:
    """Tell whether a MyST page has a kernel in its header."""
    head = page.read_text(encoding="utf-8").split("\n---", 1)[0]
    return page.suffix == ".ipynb" or "kernelspec:" in head
