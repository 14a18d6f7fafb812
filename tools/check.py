"""Check everything: style, types, pairs, claims, chapters, book, and last all tests.

    python -m tools.check               without slow tests and those for a GPU
    python -m tools.check --all         with them, and with every published result compared again
    python -m tools.check --only lint   one stage

A stage that fails does not hide what later ones would say; the run fails if any stage failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

from tools.inputs import ROOT, chapter_environment

WORKERS = 2
_THREADS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--all", action="store_true", help="also slow tests and those for a GPU")
    parser.add_argument(
        "--only", choices=[*STAGES, *SLOW_STAGES, "tests"], help="run a single stage"
    )
    options = parser.parse_args(arguments)
    if options.only == "tests":
        return tests(everything=options.all)
    stages = STAGES | (SLOW_STAGES if options.all or options.only else {})
    names = [options.only] if options.only else list(stages)
    failed = [name for name in names if not _passes(name, stages[name])]
    if not options.only and tests(everything=options.all):
        failed.append("tests")
    if failed:
        print(f"FAILED: {', '.join(failed)}")
    return int(bool(failed))


def _passes(name: str, stage: Callable[[], int]) -> bool:
    print(f"--- {name}", flush=True)
    started = time.perf_counter()
    status = stage()
    verdict = "FAILED" if status else "ok"
    print(f"    {name}: {verdict} ({time.perf_counter() - started:.1f} s)", flush=True)
    return status == 0


def lint() -> int:
    return max(_python("ruff", "check", "."), _python("ruff", "format", "--check", "."))


def types() -> int:
    return _python("mypy")


def pairs() -> int:
    return _python("tools.pairs")


def browser() -> int:
    return _python("tools.browser")


def claims() -> int:
    return _python("tools.claims")


def chapters() -> int:
    return _python("tools.chapters")


def book() -> int:
    return _python("tools.book")


def drift() -> int:
    return _python("tools.drift")


def tests(*, everything: bool) -> int:
    """Run all tests, each worker on one thread; pytest's closing line is the last one printed."""
    print("--- tests", flush=True)
    one_thread = {f"{library}_NUM_THREADS": "1" for library in _THREADS}
    command = ["pytest", "-q", "-n", str(WORKERS), "--dist", "worksteal", "--benchmark-disable"]
    if not everything:
        command += ["-m", "not slow and not gpu"]
    elif not _has_gpu():
        print("No CUDA device on this machine: the tests marked gpu are left out.", flush=True)
        command += ["-m", "not gpu"]
    return _python(*command, environment=one_thread)


STAGES: dict[str, Callable[[], int]] = {
    "lint": lint,
    "types": types,
    "pairs": pairs,
    "browser": browser,
    "claims": claims,
    "chapters": chapters,
    "book": book,
}
#: With ``--all``. The chapters make the same comparison for the figures that they show.
SLOW_STAGES: dict[str, Callable[[], int]] = {"drift": drift}


def _has_gpu() -> bool:
    return (
        shutil.which("nvidia-smi") is not None
        and not subprocess.run(["nvidia-smi", "-L"], capture_output=True, check=False).returncode
    )


def _python(module: str, *arguments: str, environment: dict[str, str] | None = None) -> int:
    command = [sys.executable, "-m", module, *arguments]
    variables = chapter_environment() | (environment or {})
    return subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
