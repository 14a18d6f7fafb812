"""Masks of two-layer blocks are coins (lem-ld-coins), and what follows for gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

from companion import depthlimits as dl
from companion.depthlimits import lognormal
from companion.montecarlo import Estimate, ks_between
from tests.defects import must_reject
from tests.depthlimits.networks import apply, explicit, large_depth


def check_gradient_law(n: int = 3, depth: int = 6, scale: float = 0.6) -> None:
    """Gradient and stream have one law at every width and depth, not only in the limit."""
    run = explicit(n, depth, scale, 60_000, np.random.default_rng(2))
    other = explicit(n, depth, scale, 60_000, np.random.default_rng(3))
    target = math.exp(dl.log_fourth_moment(large_depth(n, depth, alpha=scale, beta=None)))
    found = Estimate.mean(run.gr2**2)
    assert found.resolves(0.3 * target)
    assert found.agrees(target)
    assert not ks_between(np.log(run.gr2), np.log(other.hr2)).rejects(0.001)


def test_gradients_have_the_law_of_the_stream():
    check_gradient_law()


def test_gradients_of_a_wrong_fourth_moment_are_rejected():
    def wide(patch):
        """Take the fourth moment of a wide network."""
        true = lognormal.log_fourth_moment
        patch.setattr(dl, "log_fourth_moment", lambda spec: true(spec.replace(width=10**6)))

    must_reject(wide, check_gradient_law)


def gradients_by_side(block: str, n: int = 2, depth: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Squared gradient above the first block, by the sign of an entry of its outer matrix."""
    rng = np.random.default_rng(7)
    networks, scale = 40_000, 1.0
    outer = rng.standard_normal((depth, networks, n, n)) / n**0.5
    inner = rng.standard_normal((depth, networks, n, n)) / n**0.5
    h = np.ones((networks, n))
    masks = []
    for layer in range(depth):
        u = h if block == "single" else apply(inner[layer], h)
        masks.append(u > 0)
        h = h + scale * apply(outer[layer], np.maximum(u, 0))
    p = rng.standard_normal((networks, n))
    for layer in reversed(range(1, depth)):
        back = masks[layer] * apply(outer[layer].swapaxes(1, 2), p)
        p = p + scale * (back if block == "single" else apply(inner[layer].swapaxes(1, 2), back))
    size, up = np.log(np.sum(p**2, axis=1)), outer[0][:, 0, 0] > 0
    return size[up], size[~up]


def test_a_gradient_does_not_know_the_matrices_below_it():
    assert not ks_between(*gradients_by_side("two-layer")).rejects(0.001)


def test_in_single_blocks_it_does():
    assert ks_between(*gradients_by_side("single")).rejects(1e-6)


@pytest.mark.parametrize("law", ["gaussian", "rademacher"])
def test_masks_are_independent_of_the_products(law):
    """Correlation of a mask with the product of its row and column, given the input."""
    rng = np.random.default_rng(4)
    count, n = 200_000, 3
    draw = rng.standard_normal if law == "gaussian" else lambda size: rng.choice([-1.0, 1.0], size)
    v, w = draw((count, n)), draw((count, n))
    # An input whose products with plus and minus ones are never 0.
    mask = w @ np.array([1.0, 0.3, -0.5]) > 0
    for i in range(n):
        for j in range(n):
            assert Estimate.mean((mask - 0.5) * v[:, i] * w[:, j]).agrees(0.0)
    # The mask does know its row.
    assert not Estimate.mean((mask - 0.5) * w[:, 0]).agrees(0.0)
