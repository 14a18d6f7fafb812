"""Execute every chapter once, under nbmake, and hand the outputs to the book.

    python -m tools.chapters

The notebooks are copied to ``build/executed`` and executed there as tests. The outputs go into the
execution cache, where the build of the book finds them; a chapter that is already there for this
state of the package is not executed again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import jupytext
import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from nbformat import NotebookNode

from tools import toc
from tools.inputs import ROOT, cache_path, chapter_environment, preset

TIMEOUT_S = 900
WORKERS = 2
# Workers run side by side, so each computes on one thread.
_ONE_THREAD = {
    f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "LOKY")
}


def main() -> int:
    return execute_missing(ROOT)


def execute_missing(root: Path) -> int:
    """Execute the notebooks that the cache does not hold; return the exit status of the run."""
    cache = get_cache(str(cache_path(root)))
    all_notebooks = toc.notebooks(root)
    missing = [page for page in all_notebooks if not _is_cached(cache, read(root / page))]
    print(
        f"chapters at preset {preset()}: {len(all_notebooks)} in the book, "
        f"{len(all_notebooks) - len(missing)} already executed, {len(missing)} to execute",
        flush=True,
    )
    if not missing:
        return 0
    copies = {page: _copy(root, page) for page in missing}
    status = _nbmake(root, list(copies.values()))
    for page, copy in copies.items():
        _store(cache, root / page, copy)
    return status


def read(path: Path) -> NotebookNode:
    """Read a notebook: the .ipynb that readers run where a page has one, else the page itself."""
    paired = path.with_suffix(".ipynb")
    return jupytext.read(paired if paired.exists() else path)


def _is_cached(cache: JupyterCacheAbstract, notebook: NotebookNode) -> bool:
    try:
        cache.match_cache_notebook(notebook)
    except KeyError:
        return False
    return True


def _copy(root: Path, page: Path) -> Path:
    target = (root / "build" / "executed" / page).with_suffix(".ipynb")
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(read(root / page), target)
    return target


def _nbmake(root: Path, notebooks: list[Path]) -> int:
    folder = root / "build" / "executed"
    # An own configuration: the rules of the unit tests (warnings are errors) are not for kernels.
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    command = [sys.executable, "-m", "pytest", "--nbmake", "--overwrite", "-q", "--durations=0"]
    command += [f"--nbmake-timeout={TIMEOUT_S}", "--nbmake-kernel=python3", "-c", "pytest.ini"]
    if len(notebooks) > 1:
        command += ["-n", str(min(WORKERS, len(notebooks)))]
    environment = chapter_environment(root) | _ONE_THREAD
    names = [path.relative_to(folder).as_posix() for path in notebooks]
    return subprocess.run([*command, *names], cwd=folder, env=environment, check=False).returncode


def _store(cache: JupyterCacheAbstract, page: Path, copy: Path) -> None:
    """Put an executed notebook into the cache, unless it failed or did not run to its end."""
    notebook = nbformat.read(copy, as_version=4)
    if not _succeeded(notebook):
        return
    seconds = _pop_execution_times(notebook)
    bundle = CacheBundleIn(notebook, str(page), data={"execution_seconds": seconds})
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def _succeeded(notebook: NotebookNode) -> bool:
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    outputs = [output for cell in code for output in cell.outputs]
    return all(cell.execution_count for cell in code) and not any(
        output.output_type == "error" for output in outputs
    )


def _pop_execution_times(notebook: NotebookNode) -> float:
    """Remove the time stamps, which the key of the cache would count, and return the run time."""
    stamps: list[datetime] = []
    for cell in notebook.cells:
        times = cell.metadata.pop("execution", {}).values()
        stamps += [datetime.fromisoformat(time.replace("Z", "+00:00")) for time in times]
    return (max(stamps) - min(stamps)).total_seconds() if stamps else 0.0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
