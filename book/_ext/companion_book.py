"""Sphinx extension of this book: honest execution cache, local scripts, version at the foot.

The execution cache is keyed by the code cells of a chapter only: after a change in the package it
would return outputs of the old code. Here its place also depends on the package, the locked
versions, the preset and the published results, so that no build, not even a direct
``jupyter-book build .``, can publish stale numbers.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for `tools`, beside this folder

from tools import inputs
from tools.assets import prepare_assets


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    # "env": Sphinx reads every page again when the value differs from that of the last build.
    app.add_config_value("companion_execution_key", "", "env", str)
    app.add_css_file("companion.css")
    app.connect("config-inited", _configure)
    app.connect("html-page-context", _drop_thebe, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _configure(app: Sphinx, config: Config) -> None:
    root = Path(app.srcdir)
    os.environ.update(inputs.chapter_environment(root))  # kernels inherit it
    config.companion_execution_key = inputs.execution_key(root)
    config.nb_execution_cache_path = str(inputs.cache_path(root))
    config.html_static_path.append(str(Path(__file__).resolve().parents[1] / "_static"))
    config.html_extra_path.append(str(prepare_assets(root / "build" / "extra")))
    footer = f'<p class="companion-version">{inputs.version_stamp(root).capitalize()}.</p>'
    config.html_theme_options = config.html_theme_options | {"extra_footer": footer}


def _drop_thebe(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Remove the live-code scripts of Jupyter Book, which name a foreign host and are not used."""
    context["script_files"] = [
        script for script in context.get("script_files", []) if not _is_thebe(script)
    ]


def _is_thebe(script: Any) -> bool:
    body = getattr(script, "attributes", {}).get("body") or ""
    return "thebe" in f"{getattr(script, 'filename', script)} {body}".lower()
