"""The O(1) chain against networks with explicit weights."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from companion import depthlimits as dl
from companion.depthlimits import _draws, chain
from companion.montecarlo import Estimate, ks_between
from companion.weights import IID
from tests.defects import must_reject
from tests.depthlimits.networks import explicit, large_depth

CASES = [(3, 8, 0.5), (5, 6, 0.0), (8, 20, 0.5)]
NETWORKS = 12000


def check_joint_law(n: int, depth: int, beta: float):
    run = explicit(n, depth, depth**-beta, NETWORKS, np.random.default_rng(1))
    h, p, c = np.log(run.hr2), np.log(run.gr2), run.cosine
    found = dl.sample_norms(large_depth(n, depth, beta), NETWORKS, np.random.default_rng(2))
    a, b, d = found
    spread = np.std(h)
    pairs = [(h, a), (p, b), (c, d), (h + p, a + b), (h - p, a - b)]
    pairs += [(p + spread * s * c, b + spread * s * d) for s in (-2, 2)]
    pairs += [(p + spread * np.abs(c), b + spread * np.abs(d))]
    for one, other in pairs:
        assert not ks_between(one, other, decimals=None).rejects(0.01, tests=len(pairs))


def independent_gradient(patch):
    """Gradient and stream with fresh weights: no pairing to conserve."""

    original = chain._Chain._backward

    def backward(self, square, active, hidden, overlap, outer, ratio, cosine, sine2):
        growth, new, sine2 = original(
            self, square, active, hidden, overlap, outer, ratio, 0 * cosine, 0 * cosine + 1
        )
        return growth, new, sine2

    patch.setattr(chain._Chain, "_backward", backward)


def lost_scale(patch):
    """The branch of the gradient too strong by half."""
    original = chain._Chain._backward

    def backward(self, square, *rest):
        return original(self, 1.5 * square, *rest)

    patch.setattr(chain._Chain, "_backward", backward)


def one_more_unit(patch):
    """One unit too many is active."""
    original = _draws.binomial_table

    def table(width):
        first, threshold, alias = original(width)
        return first + 1, threshold, alias

    patch.setattr(chain, "binomial_table", table)


@pytest.mark.mc
@pytest.mark.parametrize("case", CASES)
def test_joint_law(case):
    check_joint_law(*case)


@pytest.mark.mc
@pytest.mark.parametrize("defect", [independent_gradient, lost_scale, one_more_unit])
def test_joint_law_rejects(defect):
    must_reject(defect, check_joint_law, *CASES[2])


def check_displacement(n: int, depth: int, beta: float):
    spec = large_depth(n, depth, beta)
    run = explicit(n, depth, depth**-beta, NETWORKS, np.random.default_rng(3))
    found = dl.sample_displacements(spec, NETWORKS, np.random.default_rng(4))
    h, e, a, b = np.log(run.hr2), np.log(run.hd2), *found
    for one, other in ((h, a), (e, b), (h + e, a + b), (h - e, a - b)):
        assert not ks_between(one, other, decimals=None).rejects(0.01, tests=4)
    mean = Estimate.mean(np.exp(b))
    exact = dl.mean_square_displacement(spec)
    assert mean.resolves(exact / 6)
    assert mean.agrees(exact)


def forgotten_noise(patch):
    """The displacement of a network in two dimensions only."""
    original = chain._Chain.displaced

    def displaced(self, squares):
        generator = self.rng

        class Flat:
            def __getattr__(self, name):
                return getattr(generator, name)

            def standard_gamma(self, shape, *size):
                factor = 0.8 if np.ndim(shape) == 0 else 1.0
                return factor * generator.standard_gamma(shape, *size)

        self.rng = Flat()
        return original(self, squares)

    patch.setattr(chain._Chain, "displaced", displaced)


@pytest.mark.mc
@pytest.mark.parametrize("case", [(2, 8, 0.5), *CASES[1:]])
def test_displacement(case):
    check_displacement(*case)


@pytest.mark.mc
def test_displacement_rejects_missing_noise():
    must_reject(forgotten_noise, check_displacement, *CASES[1])


@pytest.mark.mc
def test_small_displacements_keep_their_digits():
    spec = large_depth(20, 50, alpha=1e-9, beta=None)
    found = Estimate.mean(
        np.exp(dl.sample_displacements(spec, 4000, np.random.default_rng(5)).log_displacement)
    )
    exact = dl.mean_square_displacement(spec)
    assert found.resolves(exact / 20)
    assert found.agrees(exact)


# ---------------------------------------------------------------- reference numbers


@pytest.mark.mc
def test_correlation_of_stream_and_gradient():
    """Explicit weights: .142(7) at n = 10, L = 50, and .0729(85) at n = 20, L = 100."""
    for n, depth, expected, error in ((10, 50, 0.142, 0.007), (20, 100, 0.0729, 0.0085)):
        run = dl.sample_norms(large_depth(n, depth), 20000, np.random.default_rng(6))
        found = np.corrcoef(run.log_norm, run.log_gradient)[0, 1]
        assert abs(found - expected) < 4.5 * np.hypot(error, 20000**-0.5)
        assert found > 6 * 20000**-0.5


@pytest.mark.mc
def test_fourth_moment_of_the_chain():
    spec = large_depth(20, 100)
    run = dl.sample_norms(spec, 20000, np.random.default_rng(7))
    for sample in (run.log_norm, run.log_gradient):
        found = Estimate.mean(np.exp(2 * sample))
        assert found.resolves(0.1)
    assert Estimate.mean(np.exp(2 * run.log_norm)).agrees(np.exp(dl.log_fourth_moment(spec)))
    for sample in (run.log_norm, run.log_gradient):
        assert Estimate.mean(np.exp(sample)).agrees(np.exp(dl.log_second_moment(spec)))


@pytest.mark.mc
def test_very_wide_networks():
    spec = large_depth(10**4, 2000)
    run = dl.sample_norms(spec, 2000, np.random.default_rng(8))
    law = dl.exact_law(spec)
    for sample in (run.log_norm, run.log_gradient):
        assert Estimate.mean(sample).agrees(law.mean)
        assert Estimate.variance(sample).agrees(law.variance)
        assert Estimate.variance(sample).resolves(0.2 * law.variance)


def test_strong_branches_do_not_overflow():
    for alpha in (1.0, 1e6):
        spec = large_depth(5, 2000, alpha=alpha, beta=None)
        run = dl.sample_norms(spec, 50, np.random.default_rng(9))
        moved = dl.sample_displacements(spec, 50, np.random.default_rng(9))
        assert all(np.all(np.isfinite(part)) for part in (*run, *moved))
        assert run.log_norm.min() > 100


def test_all_units_inactive():
    """At width 3 an eighth of the single-block networks are exact copies of their input."""
    run = dl.sample_norms(large_depth(3, 1), 40000, np.random.default_rng(10))
    assert Estimate.mean((run.log_norm == 0).astype(float)).agrees(1 / 8)
    assert np.array_equal(run.log_norm == 0, np.abs(run.log_gradient) < 1e-14)


# ---------------------------------------------------------------- draws


@pytest.mark.parametrize("width", [1, 2, 7, 100, 10**4])
def test_binomial_table_is_exact(width):
    from scipy.stats import binom

    first, threshold, alias = _draws.binomial_table(width)
    slots = threshold.size
    chance = threshold.copy()
    np.add.at(chance, alias, 1 - threshold)
    expected = binom.pmf(first + np.arange(slots), width, 0.5)
    assert chance / slots == pytest.approx(expected, abs=1e-15)
    assert np.all((threshold >= 0) & (threshold <= 1))


def test_the_first_networks_do_not_depend_on_their_number():
    spec = large_depth(5, 4)
    few = dl.sample_norms(spec, chain.BLOCK, np.random.default_rng(1))
    many = dl.sample_norms(spec, chain.BLOCK + 300, np.random.default_rng(1))
    assert np.array_equal(few.log_norm, many.log_norm[: chain.BLOCK])
    assert many.cosine.shape == (chain.BLOCK + 300,)


def test_speed_does_not_depend_on_width_and_is_a_few_normals():
    """Twenty normals per network and layer on a quiet core; three times that on a busy one."""
    rng = np.random.default_rng(1)
    steps = 100 * chain.BLOCK

    def seconds(action) -> float:
        times = []
        for _ in range(5):
            start = time.process_time()
            action()
            times.append(time.process_time() - start)
        return min(times)

    normal = seconds(lambda: [rng.standard_normal(chain.BLOCK) for _ in range(100)])
    for width in (100, 10**4):
        spec = large_depth(width, 100)
        found = seconds(lambda spec=spec: dl.sample_norms(spec, chain.BLOCK, rng))
        assert found < 60 * normal, f"{found / steps * 1e9:.0f} ns per network and layer"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (large_depth(2, 5), "width must be at least 3"),
        (large_depth(5, 5, law=IID("uniform")), "weight_law must be normal"),
        (large_depth(5, 5, block="single"), "is for block='two-layer'"),
        (large_depth(5, 5, alpha=1e9, beta=None), "scale must be below"),
        (large_depth(5, 5).replace(skip=0.5), "skip must be 1"),
    ],
)
def test_errors(spec, message):
    with pytest.raises(ValueError, match=message):
        dl.sample_norms(spec, 10, np.random.default_rng(1))


def test_errors_of_arguments():
    spec = large_depth(5, 5)
    with pytest.raises(TypeError, match=r"numpy\.random\.default_rng"):
        dl.sample_norms(spec, 10, 5)
    with pytest.raises(TypeError, match="networks must be a positive integer"):
        dl.sample_norms(spec, 1.5, np.random.default_rng(1))
    with pytest.raises(ValueError, match="width must be at least 2"):
        dl.sample_displacements(large_depth(1, 5), 10, np.random.default_rng(1))


def test_memory_does_not_grow_with_the_width():
    """A table of all values of a binomial variable would take tens of gigabytes here."""
    first, threshold, alias = _draws.binomial_table(10**9)
    assert threshold.size == alias.size < 10**6
    assert first < 10**9 / 2 < first + threshold.size
    sample = dl.sample_log_norm(large_depth(10**9, 20), 50, np.random.default_rng(1))
    assert np.allclose(sample, 20 * math.log1p(0.5 / 20), atol=1e-3)
