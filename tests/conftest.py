"""What all tests share: one thread, and device and number type decided once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before NumPy or torch start their thread pools: workers run side by side, one thread each, and
# sums do not depend on the number of threads.
for _library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cpu", help="device of the simulations: cpu or cuda")
    parser.addoption("--dtype", default="float32", help="their number type: float32 or float64")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--device")


@pytest.fixture(scope="session")
def dtype(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--dtype")


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the repository."""
    return Path(__file__).resolve().parents[1]
