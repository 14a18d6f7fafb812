"""The limit law, the exact law, and both against the O(1) chain."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from companion import depthlimits as dl
from companion.activations import LeakyReLU
from companion.depthlimits import _layer, chain, exact
from companion.montecarlo import Estimate, ks_against
from companion.weights import IID
from tests.defects import must_reject
from tests.depthlimits.networks import explicit, large_depth


@pytest.fixture(scope="module")
def figure_law():
    return dl.exact_law(large_depth(100, 1000))


# ---------------------------------------------------------------- limit


def test_limit_law_values():
    law = dl.limit_law(large_depth(100, 1000))
    assert (law.mean, law.variance) == pytest.approx((0.49, 0.02), rel=1e-12)
    norm = law.of_norm()
    assert (norm.mean, norm.std) == pytest.approx((0.245, 0.0707), abs=5e-5)
    quantiles = np.exp(norm.quantile([0.05, 0.25, 0.5, 0.75, 0.95]))
    assert quantiles == pytest.approx([1.1373, 1.2181, 1.2776, 1.3400, 1.4352], abs=5e-5)
    assert math.exp(norm.mean + norm.variance / 2) == pytest.approx(1.2808, abs=5e-5)
    four = dl.limit_law(large_depth(4, 100)).of_norm()
    mean, rms = (math.exp(k * four.mean + k**2 * four.variance / 2) ** (1 / k) for k in (1, 2))
    assert (math.exp(four.mean), mean, rms) == pytest.approx((1.133, 1.206, 1.284), abs=5e-4)


def test_limit_law_is_a_law():
    from scipy.stats import norm

    law = dl.LimitLaw(0.3, 0.04)
    x = np.linspace(-1, 2, 7)
    assert law.pdf(x) == pytest.approx(norm.pdf(x, 0.3, 0.2))
    assert law.cdf(law.quantile([0.1, 0.7])) == pytest.approx([0.1, 0.7])


def test_limit_law_of_other_gains():
    law = dl.limit_law(large_depth(10, 50, activation=LeakyReLU(0.5)))
    assert (law.mean, law.variance) == pytest.approx((0.625 * 0.8, 0.25))
    assert dl.LEAST_GROWING_WIDTH == 3
    assert [np.sign(dl.limit_law(large_depth(n, 50)).mean) for n in (1, 2, 3)] == [-1, 0, 1]


def test_stagnation_bound():
    n, depth, beta = 5, 2000, 0.25
    spec = large_depth(n, depth, beta)
    tau = depth**0.5
    bound = dl.stagnation_bound(dl.limit_law(spec))
    assert bound == pytest.approx(8 / (n * tau * (0.5 - 1 / n) ** 2))
    law = dl.exact_law(spec)
    assert law.cdf(law.mean / 2) < dl.stagnation_bound(law) < 1
    assert dl.stagnation_bound(dl.LimitLaw(0.1, 5.0)) == 1
    with pytest.raises(ValueError, match="grows from width 3 on"):
        dl.stagnation_bound(dl.limit_law(large_depth(2, 50)))


# ---------------------------------------------------------------- exact moments


@pytest.mark.parametrize(
    ("n", "L", "expected"), [(20, 100, 2.9963), (100, 1000, 2.7725), (10, 50, 3.3023)]
)
def test_fourth_moment_values(n, L, expected):
    assert math.exp(dl.log_fourth_moment(large_depth(n, L))) == pytest.approx(expected, abs=5e-5)


def test_fourth_moment_of_a_linear_block():
    """One block h + a V W h: by hand from the Wishart moment E|Wh|^4 = (1 + 2/n)|h|^4."""
    n, a = 5, 0.7
    spec = large_depth(n, 1, alpha=a, beta=None, activation="linear")
    by_hand = 1 + (2 + 4 / n) * a**2 + a**4 * (1 + 2 / n) ** 2
    assert math.exp(dl.log_fourth_moment(spec)) == pytest.approx(by_hand, rel=1e-13)


def test_fourth_moment_of_a_leaky_block():
    n, a, slope = 4, 0.9, 0.5
    spec = large_depth(n, 1, alpha=a, beta=None, activation=LeakyReLU(slope))
    run = explicit(n, 1, a, 100000, np.random.default_rng(1), slope=slope)
    found, target = Estimate.mean(run.hr2**2), math.exp(dl.log_fourth_moment(spec))
    relu = math.exp(dl.log_fourth_moment(large_depth(n, 1, alpha=a, beta=None)))
    assert found.resolves(target - relu)
    assert found.agrees(target)


@pytest.mark.parametrize(("n", "L"), [(10, 50), (65, 40), (100, 1000), (10000, 10**5)])
def test_exact_law_has_the_exact_moments(n, L):
    spec = large_depth(n, L)
    law = dl.exact_law(spec)
    step = law.x[1] - law.x[0]
    moments = [math.log(step * np.sum(law.density * np.exp(k * law.x))) for k in (0, 1, 2)]
    expected = [0.0, dl.log_second_moment(spec), dl.log_fourth_moment(spec)]
    assert moments == pytest.approx(expected, abs=2e-10)
    assert law.error < 1e-9


def layer_mean_by_integration(n: int, a: float) -> tuple[float, float]:
    """Mean and variance of ln R given the number of active units, by nested adaptive quadrature.

    ``R`` given ``y`` is ``s^2`` times a noncentral chi square with ``n`` degrees of freedom, whose
    log moments are Poisson mixtures of digamma functions.
    """
    from scipy.integrate import quad
    from scipy.special import digamma, polygamma
    from scipy.stats import chi2, poisson

    def moments(y: float) -> np.ndarray:
        s2 = a * a * y / n
        half = 1 / (2 * s2)
        k = np.arange(max(0, int(half - 12 * half**0.5 - 30)), int(half + 12 * half**0.5 + 60))
        p = poisson.pmf(k, half)
        log = digamma(n / 2 + k) + math.log(2 * s2)
        return np.array([p @ log, p @ (log**2 + polygamma(1, n / 2 + k))])

    total = np.zeros(2)
    for m in range(1, n + 1):
        chance = math.comb(n, m) / 2**n
        for i in (0, 1):
            value, _ = quad(
                lambda r, i=i, m=m: moments(r * r / n)[i] * chi2.pdf(r * r, m) * 2 * r,
                1e-3,
                9,
                epsabs=1e-9,
                limit=200,
            )
            total[i] += chance * value
    return total[0], total[1] - total[0] ** 2


def test_mean_and_variance_of_one_layer():
    n, a = 5, 0.35
    mean, variance = layer_mean_by_integration(n, a)
    law = dl.exact_law(large_depth(n, 100, alpha=a, beta=None))
    assert law.mean / 100 == pytest.approx(mean, abs=1e-7)
    assert law.variance / 100 == pytest.approx(variance, abs=1e-7)


def test_exact_law_tends_to_the_limit(figure_law):
    limit = dl.limit_law(large_depth(100, 1000))
    assert figure_law.mean == pytest.approx(limit.mean, abs=2e-4)
    assert figure_law.variance == pytest.approx(limit.variance, abs=1e-5)
    x = limit.quantile(np.linspace(0.01, 0.99, 50))
    assert np.max(np.abs(figure_law.cdf(x) - limit.cdf(x))) < 1e-3
    deeper = dl.exact_law(large_depth(100, 10**5))
    assert np.max(np.abs(deeper.cdf(x) - limit.cdf(x))) < 1e-5
    wide = dl.exact_law(large_depth(10**5, 10))  # here the logarithm of the mean
    assert wide.mean == pytest.approx(10 * math.log1p(0.05), abs=2e-5)


def test_exact_law_is_consistent(figure_law):
    p = np.array([0.001, 0.05, 0.5, 0.95, 0.999])
    assert figure_law.cdf(figure_law.quantile(p)) == pytest.approx(p, abs=1e-11)
    quantiles = np.exp(figure_law.quantile([0.05, 0.25, 0.5, 0.75, 0.95]) / 2)
    assert quantiles == pytest.approx([1.13729, 1.21805, 1.27754, 1.33994, 1.43511], abs=6e-6)
    x = figure_law.x
    assert figure_law.pdf(x) == pytest.approx(np.maximum(figure_law.density, 0), abs=1e-12)
    assert figure_law.cdf([x[0] - 1, x[-1] + 1]) == pytest.approx([0, 1], abs=1e-12)
    sums = np.cumsum(figure_law.density) * (x[1] - x[0])  # exact at the middles of the cells
    assert figure_law.cdf((x[1:] + x[:-1]) / 2) == pytest.approx(sums[:-1], abs=2e-4)


def test_exact_law_with_unequal_scales():
    """Half of the layers with one scale, half with another; the order does not matter."""
    mixed = dl.exact_law(large_depth(10, 60).replace(scale=(0.1, 0.2) * 30))
    means = [dl.exact_law(large_depth(10, 30, alpha=a, beta=None)).mean for a in (0.1, 0.2)]
    assert mixed.mean == pytest.approx(sum(means), rel=1e-13)
    scaled = dl.exact_law(
        large_depth(10, 60).replace(scale=0.1, weight_variance=2.0, outer_variance=3.0)
    )
    same = dl.exact_law(large_depth(10, 60, alpha=0.1 * 6**0.5, beta=None))
    assert scaled.density == pytest.approx(same.density, rel=1e-9, abs=1e-12)


# ---------------------------------------------------------------- against the chain


def check_exact_law_against_chain(n: int, depth: int, beta: float):
    spec = large_depth(n, depth, beta)
    law = dl.exact_law(spec)
    sample = dl.sample_log_norm(spec, 20000, np.random.default_rng(2))
    assert not ks_against(sample, law.cdf).rejects(0.01)
    assert Estimate.mean(sample).agrees(law.mean)
    assert Estimate.variance(sample).agrees(law.variance)


CHAIN_CASES = [(3, 40, 0.5), (4, 100, 0.25), (20, 100, 0.5)]


def half_active(patch):
    """Exactly half of the units active, with y = 1/2 and no noise."""
    patch.setattr(_layer, "_hidden_rule", lambda n, k: (np.array([0.5]), np.array([1.0])))


def wide_overlap(patch):
    """The outer noise of the chain one degree of freedom short."""
    original = chain._Chain._step

    def step(self, hidden):
        overlap, outer = original(self, hidden)
        return overlap, outer * (self.width - 2) / (self.width - 1)

    patch.setattr(chain._Chain, "_step", step)


@pytest.mark.mc
@pytest.mark.parametrize("case", CHAIN_CASES)
def test_exact_law_against_chain(case):
    check_exact_law_against_chain(*case)


@pytest.mark.mc
@pytest.mark.parametrize("case", CHAIN_CASES[:2])
def test_exact_law_against_chain_rejects_half_active(case):
    must_reject(half_active, check_exact_law_against_chain, *case)


@pytest.mark.mc
@pytest.mark.parametrize("case", CHAIN_CASES)
def test_exact_law_against_chain_rejects_missing_noise(case):
    must_reject(wide_overlap, check_exact_law_against_chain, *case)


def check_explosion_needs_three():
    """Means of the log norm over the clock, and the fraction of networks that shrink."""
    depth, networks = 500, 4000
    tau = depth**0.5
    for n in (2, 3, 4):
        spec = large_depth(n, depth, 0.25)
        sample = dl.sample_log_norm(spec, networks, np.random.default_rng(n))
        drift = Estimate.mean(sample / tau)
        assert drift.resolves(0.05)
        assert drift.agrees(dl.limit_law(spec).mean / tau, allowance=0.003)
        fraction = Estimate.mean((sample < 0).astype(float))
        assert fraction.agrees(dl.exact_law(spec).cdf(0.0))


@pytest.mark.mc
def test_explosion_needs_three():
    check_explosion_needs_three()


def second_moment_as_mean(patch):
    """The growth of the mean square taken for the typical growth."""
    limit = dl.limit_law

    def wrong(spec):
        return dl.LimitLaw(float(np.sum(spec.scales**2)) / 2, limit(spec).variance)

    patch.setattr(dl, "limit_law", wrong)


@pytest.mark.mc
def test_explosion_needs_three_rejects_the_mean_square():
    must_reject(second_moment_as_mean, check_explosion_needs_three)


@pytest.mark.mc
def test_width_one_dies_although_its_mean_square_explodes():
    from scipy.integrate import quad
    from scipy.special import k0, ndtr

    spec = large_depth(1, 2000, 0.25)
    sample = dl.sample_log_norm(spec, 4000, np.random.default_rng(9))

    def log_power(x: float, power: int) -> float:
        """Of ln R with R = (1 + a x)^2, x a product of two normals, when the unit is active."""
        values = (np.log((1 + spec.scale * sign * x) ** 2) ** power for sign in (-1, 1))
        return float(sum(values) * k0(x) / (2 * math.pi))

    ends = [0.0, 1 / spec.scale, 40.0]
    first, second = (
        sum(quad(log_power, a, b, args=(k,))[0] for a, b in pairwise(ends)) for k in (1, 2)
    )
    mean, variance = 2000 * first, 2000 * (second - first**2)
    found = Estimate.mean(sample)
    assert found.resolves(0.05 * mean)
    assert found.agrees(mean)
    shrunk = Estimate.mean((sample < 0).astype(float))
    assert shrunk.agrees(ndtr(-mean / variance**0.5), allowance=0.002)
    assert dl.log_second_moment(spec) > 20


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (large_depth(10, 50, law=IID("uniform")), "weight_law must be normal"),
        (large_depth(10, 50, block="single"), "is for block='two-layer'"),
        (large_depth(10, 50, activation="linear"), "activation must be ReLU"),
        (large_depth(5, 5), "too small for a smooth law"),
        (large_depth(1, 2000, 0.25), "not resolved at width 1"),
        (large_depth(5, 5, alpha=0.0, beta=None), "scale must be positive in some layer"),
    ],
)
def test_networks_without_an_exact_law(spec, message):
    with pytest.raises(ValueError, match=message):
        dl.exact_law(spec)


def test_quantiles_need_probabilities(figure_law):
    with pytest.raises(ValueError, match="inside"):
        figure_law.quantile([0.0])


def test_the_error_is_measured(monkeypatch):
    """A rule that does not resolve the layer is noticed by the comparison of the two rules."""
    monkeypatch.setattr(_layer, "_FINE", (2, 3, 2))
    monkeypatch.setattr(exact, "_LARGEST_ERROR", 1e-6)
    with pytest.raises(ValueError, match="not resolved"):
        dl.exact_law(large_depth(5, 50, 0.25))


def test_the_density_is_zero_outside_of_its_grid():
    law = dl.exact_law(large_depth(12, 20))
    far = np.array([-1e9, law.x[0] - 1, law.x[-1] + 1, 1e9, np.nan])
    assert np.array_equal(law.pdf(far), [0, 0, 0, 0, np.nan], equal_nan=True)
    assert law.pdf(law.mean) > 0
