"""One clear line when an optional dependency is missing."""

from __future__ import annotations

import importlib.util

__all__ = ["MissingExtraError", "require"]


class MissingExtraError(ImportError):
    """An optional dependency is not installed; the message names the extra that holds it."""


def require(module: str, *, extra: str, purpose: str) -> None:
    """Check that ``module`` can be imported.

    Raises
    ------
    MissingExtraError
        Naming the module, what it is needed for and the extra to install.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingExtraError(
            f"{module} is needed to {purpose} and is not installed; "
            f"run: pip install 'residual-scaling[{extra}]'"
        )
