"""Guards at half of the targets: a lost vectorisation fails, a busy machine does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from benchmarks import tangent_kernel
from benchmarks.protocol import compare

DEEP = 10_000


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_contestants_agree():
    assert "largest difference" in tangent_kernel.check()


@pytest.mark.parametrize(
    ("slow", "fast", "guard"),
    [
        (tangent_kernel.plain, tangent_kernel.cold, 1000),
        (tangent_kernel.plain, tangent_kernel.cached, 2000),
        (tangent_kernel.direct, tangent_kernel.cached, 1000),
    ],
)
def test_the_table_stays_far_ahead_of_the_recursion(slow, fast, guard):
    contestants = slow(2000, DEEP, timed_at=50), fast(2000, DEEP)
    found = compare("x", "x", *contestants, bound=guard, at_least=True, rounds=3)
    assert found.median >= guard


def test_depth_costs_nothing_once_there_is_a_table():
    deep, shallow = (tangent_kernel.cached(1500, depth) for depth in (DEEP, 10))
    found = compare("x", "x", deep, shallow, bound=2.0, at_least=False, rounds=5)
    assert found.median <= 2.0
