"""Photograph pages of the built book: light and dark, wide and phone, full length.

python -m tools.screenshot notebooks/04-log-gaussian book/index --out build/screenshots
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from playwright.sync_api import BrowserContext

from tools.book import HTML
from tools.browser import open_browser
from tools.inputs import ROOT

WIDTHS = {"wide": 1280, "phone": 390}
SCHEMES = ("light", "dark")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", nargs="+", help="page names as in _toc.yml, without suffix")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "screenshots")
    parser.add_argument("--top", action="store_true", help="only what shows before scrolling")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    with open_browser() as context:
        for page in options.pages:
            photograph(context, page, options.out, full=not options.top)
    return 0


def photograph(context: BrowserContext, name: str, out: Path, *, full: bool) -> None:
    """Write the four pictures of one page into `out`."""
    name = name.removesuffix(".md").removesuffix(".html")
    page = context.new_page()
    for scheme in SCHEMES:
        for label, width in WIDTHS.items():
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            page.goto((ROOT / HTML / f"{name}.html").as_uri(), wait_until="load")
            page.wait_for_function("!window.MathJax || window.MathJax.startup?.promise")
            page.evaluate("() => window.MathJax?.startup?.promise")
            page.wait_for_timeout(700)  # fonts and plotly's entry animation
            picture = out / f"{name.replace('/', '-')}-{label}-{scheme}.png"
            page.screenshot(path=picture, full_page=full)
            print(picture)
    page.close()


if __name__ == "__main__":
    sys.exit(main())
