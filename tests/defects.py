"""The planted defects of `companion.papers.defects`, with the assertion that a check rejects one.

A check is a function of what it tests; its test calls it once on the library and once, expecting
an `AssertionError`, on the library with a defect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from companion.papers.defects import *  # noqa: F403
from companion.papers.defects import Defect, planted


def must_reject(defect: Defect, check: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """Assert that ``check`` fails, by an assertion, on the library with ``defect``."""
    with planted(defect), pytest.raises(AssertionError):
        check(*args, **kwargs)
