"""Build the book.

    python -m tools.book            execute what is missing, build, print the address
    python -m tools.book --force    build again even if nothing changed
    python -m tools.book --serve    show the built book on a local web server

Nothing is done when no input changed since the last build.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tools import chapters, claims, pairs
from tools.inputs import ROOT, book_key, chapter_environment

HTML = Path("_build") / "html"
FIRST_PAGE = HTML / "index.html"
STAMP = Path("build") / "book.stamp"
_EXECUTING = "Executing notebook using"  # what the build logs when the cache has no outputs


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--force", action="store_true", help="build even if nothing changed")
    parser.add_argument("--serve", action="store_true", help="show the built book")
    parser.add_argument("--port", type=int, default=8000, help="port of --serve")
    options = parser.parse_args(arguments)
    if options.serve:
        return serve(ROOT, options.port)
    return make(ROOT, force=options.force)


def make(root: Path, *, force: bool = False) -> int:
    """Execute and build the book of `root` where needed; return an exit status."""
    key = book_key(root)
    stamp = root / STAMP
    if not force and is_current(root, key):
        print("The book is up to date.")
    else:
        stamp.unlink(missing_ok=True)
        status = (
            pairs.check(root)
            or claims.execute_missing(root)
            or chapters.execute_missing(root)
            or build(root)
        )
        if status:
            return status
        stamp.write_text(key)
    print(f"First page:  {(root / FIRST_PAGE).as_uri()}")
    print("To serve it: make serve   (or: python -m tools.book --serve)")
    return 0


def is_current(root: Path, key: str) -> bool:
    """Tell whether the built book belongs to `key`."""
    stamp = root / STAMP
    return (root / FIRST_PAGE).exists() and stamp.exists() and stamp.read_text() == key


def build(root: Path) -> int:
    """Run Jupyter Book on executed chapters, warnings as errors; return an exit status."""
    # From scratch: a kept doctree is not read again, and its warnings would be lost.
    for leftover in (HTML, Path("_build") / ".doctrees"):
        shutil.rmtree(root / leftover, ignore_errors=True)
    jupyter_book = str(Path(sys.executable).with_name("jupyter-book"))
    command = [jupyter_book, "build", "-W", "-n", "--keep-going", "."]
    log = root / "build" / "book.log"
    log.parent.mkdir(exist_ok=True)
    started = time.perf_counter()
    with log.open("w", encoding="utf-8") as file:
        status = subprocess.run(
            command, cwd=root, env=chapter_environment(root), stdout=file, stderr=file, check=False
        ).returncode
    text = log.read_text(encoding="utf-8", errors="replace")
    if status:
        print(_complaints(text), f"The build failed; its whole log: {log}", sep="\n")
        return status
    if _EXECUTING in text:
        print(f"The build executed a chapter again instead of taking it from the cache: {log}")
        return 1
    print(f"Built the book in {time.perf_counter() - started:.0f} s.")
    return 0


def _complaints(log: str) -> str:
    """Return the warnings and errors of a build log, or its end where there are none."""
    lines = log.splitlines()
    bad = [line for line in lines if "WARNING" in line or "ERROR" in line]
    return "\n".join(bad or lines[-40:])


def serve(root: Path, port: int) -> int:
    """Serve the built book on this machine until interrupted."""
    if not (root / FIRST_PAGE).exists():
        print("There is no book yet: run `make book` first.")
        return 1
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=root / HTML)
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"The book: http://127.0.0.1:{server.server_port}/  (stop with Ctrl-C)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
