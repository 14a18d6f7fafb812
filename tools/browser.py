"""Find a browser for the page tests, or install one where that is allowed.

python -m tools.browser     print its path; install Debian's chromium if none is found
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import BrowserContext, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MISSING = (
    "No browser for the page tests: install chromium or Google Chrome and put it on the PATH "
    "(Debian, Ubuntu: apt-get install chromium; elsewhere: python -m playwright install chromium)."
)
# Quiet: the browser itself must not reach for the network, or the tests could not blame the page.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def main() -> int:
    found = find_browser() or install_browser()
    print(found or MISSING)
    return 0 if found else 1


def find_browser() -> str | None:
    """Return the path of a browser on the PATH, else of the one that Playwright downloaded."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if path and Path(path).exists() else None


def install_browser() -> str | None:
    """Install Debian's chromium when running as root on such a system; return its path."""
    may_install = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")
    if not may_install:
        return None
    print("Installing chromium for the page tests ...", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        done = subprocess.run(
            ["apt-get", "-q", *step],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            return None
    return shutil.which("chromium")


@contextmanager
def open_browser(**options: object) -> Iterator[BrowserContext]:
    """Open a headless browser with a fresh profile; `options` go to Playwright's context."""
    path = find_browser()
    if path is None:
        raise RuntimeError(MISSING)
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=path, headless=True, args=list(FLAGS), **options
        )
        try:
            yield context
        finally:
            context.close()


if __name__ == "__main__":
    sys.exit(main())
