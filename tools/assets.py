"""Copy the scripts that pages need (MathJax, plotly) out of the installed packages.

They are served with the book, so that it can be read with no network, and are never committed.
They must not lie in ``book/_static``: Jupyter Book loads every script it finds there on every page.
"""

from __future__ import annotations

import shutil
from importlib.metadata import distribution
from pathlib import Path

# The single-file build, plus what it loads on demand: fonts, TeX extensions, accessibility.
_MATHJAX_PARTS = (
    "tex-mml-chtml.js",
    "output/chtml/fonts/woff-v2",
    "input/tex/extensions",
    "a11y",
    "sre/mathmaps/base.json",
    "sre/mathmaps/en.json",
    "sre/mathmaps/nemeth.json",
)


def prepare_assets(folder: Path) -> Path:
    """Fill `folder` with ``mathjax/`` and ``plotly/`` and return it."""
    mathjax = distribution("sphinx-mathjax-offline").locate_file(
        "sphinx-mathjax-offline/static/mathjax"
    )
    for part in _MATHJAX_PARTS:
        _copy(Path(str(mathjax)) / part, folder / "mathjax" / part)
    plotly = distribution("plotly").locate_file("plotly/package_data/plotly.min.js")
    _copy(Path(str(plotly)), folder / "plotly" / "plotly.min.js")
    return folder


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, unless a copy of the same size is already there."""
    if source.is_dir():
        for child in source.iterdir():
            _copy(child, target / child.name)
    elif not target.exists() or target.stat().st_size != source.stat().st_size:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
