"""The law of the path length: enumeration, high precision, limits, prenormalised networks."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from scipy import stats

from companion import expansion as ex
from companion.activations import Tanh
from companion.architecture import ResNetSpec
from companion.expansion import PathLaw, paths
from companion.montecarlo import Estimate
from tests.defects import must_reject
from tests.expansion.networks import apply, expand, start, weights

RELU = ResNetSpec.residual_expansion


def enumerated(shares: list[float]) -> list[float]:
    """Probability of every length over all subsets of blocks, in exact arithmetic."""
    p = [Fraction(s) for s in shares]
    law = [Fraction(0)] * (len(p) + 1)
    for taken in itertools.product([0, 1], repeat=len(p)):
        law[sum(taken)] += math.prod(q if t else 1 - q for q, t in zip(p, taken, strict=True))
    return [float(x) for x in law]


@pytest.mark.parametrize("shares", [[0.2, 0.7, 0.45, 0.01], [0.0, 1.0, 0.3, 1.0, 0.9], [1.0, 0.0]])
def test_law_by_enumeration(shares):
    law, exact = PathLaw(tuple(shares)), np.array(enumerated(shares))
    k = np.arange(exact.size)
    assert law.pmf() == pytest.approx(exact, rel=1e-14, abs=1e-300)
    assert law.pmf(1) == pytest.approx(exact[:2], rel=1e-14, abs=1e-300)
    assert law.mean == pytest.approx(k @ exact)
    assert law.variance == pytest.approx(k**2 @ exact - (k @ exact) ** 2, abs=1e-14)
    assert [law.beyond(j) for j in k] == pytest.approx(
        [exact[j + 1 :].sum() for j in k], rel=1e-13, abs=1e-16
    )


def test_mean_is_the_effective_depth():
    spec = RELU(40, tuple(np.linspace(0.01, 0.9, 40)), width=16, sigma_w2=1.7)
    law = PathLaw.of(spec)
    assert law.mean == pytest.approx(spec.effective_depth(), rel=1e-14)
    assert law.pmf() @ np.arange(41) == pytest.approx(law.mean, rel=1e-13)
    energies = np.exp(ex.log_order_energies(spec) - ex.log_total_energy(spec))
    assert law.pmf() == pytest.approx(energies, rel=1e-12)
    by_ratio = PathLaw.of(ex.block_ratios(spec))
    assert by_ratio.shares == pytest.approx(law.shares, rel=1e-14)
    without_skip = PathLaw.of(spec.replace(skip=0.0, scale=1.0))
    assert without_skip.pmf()[40] == 1
    assert without_skip.mean == 40


def test_far_tails_keep_their_digits():
    law = PathLaw.of(np.full(3000, 1 / 3000))
    with mpmath.workdps(50):
        p = 1 / mpmath.mpf(3001)
        exact = mpmath.log(mpmath.binomial(3000, 900) * p**900 * (1 - p) ** 2100)
    assert float(exact) < -745
    assert law.log_pmf()[900] == pytest.approx(float(exact), rel=1e-12)
    assert 0 < law.beyond(60) == pytest.approx(stats.binom.sf(60, 3000, 1 / 3001), rel=1e-9)


def test_truncation_at_order_two():
    poisson = 1 - 2.5 / math.e
    assert poisson == pytest.approx(0.0803, abs=5e-5)
    assert PathLaw.of(np.full(10**5, 1e-5)).beyond(2) == pytest.approx(poisson, rel=1e-4)
    assert PathLaw.aligned(np.full(10**5, 1e-5)).beyond(2) == pytest.approx(poisson, rel=1e-4)
    assert math.sqrt(poisson) == pytest.approx(0.28, abs=5e-3)
    assert 1 - ex.poisson_pmf(1.0, 2).sum() == pytest.approx(poisson, rel=1e-13)


# ---------------------------------------------------------------- Poisson limits


def test_distance_to_the_poisson_law():
    """The exercise: total variation below 1 % from depth 37 on, bound proves it from 200 on."""
    law = {L: PathLaw.of(np.full(L, 1 / L)) for L in (36, 37, 100, 200)}
    assert law[100].poisson_distance(1.0) == pytest.approx(0.0037, abs=5e-5)
    assert law[36].poisson_distance(1.0) > 0.01 > law[37].poisson_distance(1.0)
    assert law[100].poisson_bound(1.0) == pytest.approx(0.0098 + 0.0099, abs=1e-4)
    assert law[200].poisson_bound(1.0) < 0.01
    for one in law.values():
        assert one.poisson_distance(1.0) <= one.poisson_bound(1.0)
        assert one.poisson_distance() <= one.poisson_bound()


def test_distance_by_another_sum():
    law = PathLaw.prenormalised(30)
    k = np.arange(400)
    other = stats.poisson.pmf(k, 2.2)
    other[: law.longest + 1] -= law.pmf()
    assert law.poisson_distance(2.2) == pytest.approx(np.abs(other).sum() / 2, rel=1e-12)
    short = PathLaw((1.0,))  # here most of the Poisson law lies beyond the longest path
    assert short.poisson_distance(9.0) == pytest.approx(1 - stats.poisson.pmf(1, 9.0))
    assert PathLaw((0.0,)).poisson_distance() == 0


def test_total_variation_between_laws():
    a, b = PathLaw((0.5, 0.5)), PathLaw((1.0,))
    assert a.total_variation(b) == b.total_variation(a) == pytest.approx(0.5)
    assert a.total_variation(a) == 0


def test_three_scales():
    deep, c = 10**4, 1.5
    constant = PathLaw.of(np.full(100, c))
    assert constant.mean == pytest.approx(100 * c / (1 + c))
    assert PathLaw.of(np.full(deep, c / deep)).poisson_distance(c) < 1e-3
    assert PathLaw.of(np.full(deep, c / deep**2)).pmf(0)[0] == pytest.approx(1 - c / deep, rel=1e-6)
    assert PathLaw.aligned(np.full(deep, c / deep)).poisson_distance(c) < 1e-3
    assert PathLaw.aligned(np.full(deep, c / deep**0.5)).mean == pytest.approx(c * 100, rel=0.02)


@pytest.mark.parametrize("rate", [0.0, 0.3, 700.0])
def test_poisson_law(rate):
    found = ex.poisson_pmf(rate, 900)
    assert found == pytest.approx(stats.poisson.pmf(np.arange(901), rate), rel=1e-10, abs=1e-300)


# ---------------------------------------------------------------- through one block


def check_through() -> None:
    """Squared gradients of a linear network's block, split by path length, against the law."""
    n, networks, block = 10, 4000, 3
    scales = np.array([0.9, 0.4, 0.7, 0.5, 1.1])
    rng = np.random.default_rng(30)
    before = expand(n, scales[: block - 1], networks, 2, rng, kind="linear", inner=1.2)
    after = np.zeros((3, networks, n))
    after[0] = start(networks, n, rng)  # gradient at the output, carried back by fresh matrices
    for scale in scales[block:]:
        after[1:] += scale * np.stack([apply(weights(networks, n, 1.2, rng), a) for a in after])[:2]
    # dL/dW_block = outer product of the two; lengths add, and the block itself counts 1
    carried = np.mean(before.orders**2, axis=2)[:, None] * np.mean(after**2, axis=2)[None]
    by_length = np.stack(
        [sum(carried[j, k - j] for j in range(3) if 0 <= k - j < 3) for k in range(5)], axis=1
    )
    spec = RELU(5, tuple(scales), width=n, sigma_w2=1.2, activation="linear", block="single")
    law = PathLaw.of(spec).through(block)
    ratios = ex.block_ratios(spec)
    total = np.prod(1 + np.delete(ratios, block - 1))
    measured = Estimate.mean(by_length)
    assert measured.resolves(law.pmf()[1:] * total / 4)
    assert measured.agrees(law.pmf()[1:] * total)


def shifted_block(patch):
    """The neighbouring block is left out."""
    true = PathLaw.through
    patch.setattr(PathLaw, "through", lambda law, block: true(law, block - 1))


def all_blocks(patch):
    """The block is counted twice: as certain and as possible."""
    wrong = lambda law, block: PathLaw((*law.shares[:4],), law.certain + 1)  # noqa: E731
    patch.setattr(PathLaw, "through", wrong)


@pytest.mark.mc
def test_gradient_of_a_block():
    check_through()


@pytest.mark.mc
@pytest.mark.parametrize("defect", [shifted_block, all_blocks])
def test_gradient_of_a_block_rejects(defect):
    must_reject(defect, check_through)


def test_through_is_the_law_of_the_others_plus_one():
    law = PathLaw((0.2, 0.7, 0.45))
    others = PathLaw((0.2, 0.45)).pmf()
    assert law.through(2).pmf() == pytest.approx([0, *others])
    assert law.through(2).mean == pytest.approx(1.65)
    twice = law.through(2).through(2)
    assert twice.pmf() == pytest.approx([0, 0, 0.8, 0.2])
    deep = PathLaw.of(np.full(1000, 1e-3))
    assert deep.through(7).pmf(3)[1:] == pytest.approx(ex.poisson_pmf(1.0, 2), rel=3e-3)


# ---------------------------------------------------------------- prenormalised networks


def test_prenormalised_lengths_are_logarithmic():
    def harmonic(m: int) -> float:
        return math.fsum(1 / k for k in range(1, m + 1))

    for depth in (1, 54, 1000):
        assert PathLaw.prenormalised(depth).mean == pytest.approx(harmonic(depth + 1) - 1)
    law = PathLaw.prenormalised(54)
    assert law.mean == pytest.approx(3.594, abs=5e-4)
    assert law.variance == pytest.approx(2.967, abs=5e-4)
    assert PathLaw.prenormalised(1000).mean == pytest.approx(6.486, abs=5e-4)
    assert stats.binom.cdf(20, 54, 0.5) == pytest.approx(0.038, abs=5e-4)
    counted = PathLaw.of(np.ones(54))  # every path counts the same
    assert counted.pmf(20).sum() == pytest.approx(0.038, abs=5e-4)
    energies = [2.0, 0.5, 0.0, 1.0]
    assert PathLaw.prenormalised(energies).shares == pytest.approx([2 / 3, 1 / 7, 0, 1 / 4.5])


def check_prenormalised() -> None:
    """Orders of root-mean-square normalised linear blocks, the normaliser taken as constant."""
    n, depth, networks, top = 128, 24, 80, 16
    rng = np.random.default_rng(31)
    h = start(networks, n, rng)
    orders = np.zeros((top + 1, networks, n))
    orders[0] = h
    for _ in range(depth):
        w = weights(networks, n, 1.0, rng) / np.sqrt(np.mean(h * h, axis=1))[:, None, None]
        orders[1:] += np.moveaxis(w @ np.moveaxis(orders[:-1], 0, -1), -1, 0)
        h = h + apply(w, h)
    energies = np.mean(orders**2, axis=2)  # (order, network)
    lengths = np.arange(top + 1)[:, None]
    law = PathLaw.prenormalised(depth)
    mean = Estimate.mean(np.sum(lengths * energies, axis=0) / np.sum(energies, axis=0))
    assert law.beyond(top) < 1e-8
    assert mean.resolves(0.05 * law.mean)
    assert mean.agrees(law.mean, allowance=2 * law.mean / n)
    shares = Estimate.mean((energies / np.sum(energies, axis=0)).T)
    assert shares[:7].resolves(0.2 * law.pmf(6))
    assert shares[:7].agrees(law.pmf(6), allowance=2 / n * law.pmf(6))


def unnormalised(patch):
    """Blocks whose branch grows with the stream."""
    patch.setattr(PathLaw, "prenormalised", classmethod(lambda cls, depth: cls.of(np.ones(depth))))


def stream_before(patch):
    """Shares of the energy before the block instead of after it."""
    wrong = lambda cls, depth: cls(tuple(1 / np.arange(1.0, depth + 1)))  # noqa: E731
    patch.setattr(PathLaw, "prenormalised", classmethod(wrong))


@pytest.mark.mc
def test_prenormalised_networks():
    check_prenormalised()


@pytest.mark.mc
@pytest.mark.parametrize("defect", [unnormalised, stream_before])
def test_prenormalised_networks_reject(defect):
    must_reject(defect, check_prenormalised)


# ---------------------------------------------------------------- errors


def test_errors():
    with pytest.raises(ValueError, match=r"between 0 and 1, got \(0.5, 1.5\)"):
        PathLaw((0.5, 1.5))
    with pytest.raises(ValueError, match="certain must be a positive integer, got -1"):
        PathLaw((0.5,), -1)
    with pytest.raises(ValueError, match="block must be at most the depth 1, got 2"):
        PathLaw((0.5,)).through(2)
    with pytest.raises(ValueError, match="block must be a positive integer, got 0"):
        PathLaw((0.5,)).through(0)
    with pytest.raises(ValueError, match="order must be a positive integer, got -1"):
        PathLaw((0.5,)).beyond(-1)
    with pytest.raises(ValueError, match="rate must be at least 0"):
        PathLaw((0.5,)).poisson_distance(-1.0)
    with pytest.raises(ValueError, match="order_covariances, for others simulate"):
        PathLaw.of(RELU(3, 0.5, width=4, activation="erf").replace(activation=Tanh()))
    assert paths.poisson_pmf(2.0, 0) == pytest.approx([math.exp(-2)])
