"""The built book, as the tests of its pages need it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import book, toc
from tools.inputs import ROOT, book_key


@pytest.fixture(scope="session")
def html() -> Path:
    """Return the folder of the built book; it must belong to the present state of its sources."""
    if not book.is_current(ROOT, book_key(ROOT)):
        pytest.fail("the built book is missing or older than its sources: run `make book` first")
    return ROOT / book.HTML


def page_names(*, only_notebooks: bool = False) -> list[str]:
    """Return the pages of the book as the addresses of their HTML files, without suffix."""
    found = toc.notebooks(ROOT) if only_notebooks else toc.pages(ROOT)
    return [path.with_suffix("").as_posix() for path in found]
