"""Where the repository lies, for the commands that read or write its folders."""

from __future__ import annotations

from pathlib import Path

__all__ = ["checkout"]


def checkout() -> Path | None:
    """Root of the repository that holds this package, or else the working folder; or None.

    A package installed without its repository (as on Colab) has none, unless the command is
    started inside one.
    """
    here, start = Path(__file__).resolve(), Path.cwd()
    for folder in (here.parents[2], start, *start.parents):
        if (folder / "pyproject.toml").is_file() and (folder / "src" / "companion").is_dir():
            return folder
    return None
