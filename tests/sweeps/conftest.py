"""Runs of the toy experiments in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Start = Callable[..., subprocess.Popen]


@pytest.fixture
def environment(root: Path) -> dict[str, str]:
    """Variables with which a subprocess finds the package and the toys."""
    paths = [str(root / "src"), str(root), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


@pytest.fixture
def start(root: Path, environment: dict[str, str]) -> Iterator[Start]:
    """Start a Python module; whatever still runs at the end of the test is killed."""
    running: list[subprocess.Popen] = []

    def starter(module: str, *arguments: object, **options: object) -> subprocess.Popen:
        command = [sys.executable, "-m", module, *map(str, arguments)]
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, **options}
        running.append(subprocess.Popen(command, cwd=root, env=environment, **pipes))
        return running[-1]

    yield starter
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


@pytest.fixture
def toys(start: Start) -> Start:
    """Start the toys on a folder."""
    return lambda *arguments, **options: start("tests.sweeps", *arguments, **options)
