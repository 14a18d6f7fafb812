"""Energies of the orders: enumeration, high precision, and explicit networks."""

from __future__ import annotations

import itertools
import math
import time

import mpmath
import numpy as np
import pytest

from companion import expansion as ex
from companion.activations import Erf, LeakyReLU
from companion.architecture import ResNetSpec
from companion.expansion import energies
from companion.montecarlo import Estimate
from companion.weights import FractionalNoise
from tests.defects import must_reject
from tests.expansion.networks import expand

RELU = ResNetSpec.residual_expansion


def subsets(x: np.ndarray, k: int) -> float:
    return math.fsum(math.prod(s) for s in itertools.combinations(x.tolist(), k))


def test_every_subset_counts_once():
    x = np.random.default_rng(1).uniform(0, 3, 9)
    x[4] = 0.0
    found = ex.log_order_energies(x)
    assert np.exp(found) == pytest.approx([subsets(x, k) for k in range(10)], rel=1e-13, abs=1e-300)
    assert found[9] == -np.inf  # one block is off, so no path takes all nine
    assert np.sum(np.exp(found)) == pytest.approx(math.exp(ex.log_total_energy(x)), rel=1e-13)
    assert ex.log_order_energies(x, 4) == pytest.approx(found[:5], abs=1e-14)


def test_many_different_blocks_in_high_precision():
    """Blocks over 30 decades, whose products leave float64 on both sides."""
    x = 10.0 ** np.random.default_rng(2).uniform(-15, 15, 150)
    found = ex.log_elementary_symmetric(x)
    assert max(found) > 709  # exp of it overflows
    assert found == pytest.approx(exact_logs(x), rel=1e-13, abs=1e-12)


@pytest.mark.parametrize(
    "x",
    [
        np.r_[np.zeros(200), np.full(100, 1e-3), np.full(100, 1.1e-3)],
        np.r_[np.zeros(40), np.full(40, 1e10), 2e10],
        np.array([0, 1e-5] * 150),
        np.sort(10.0 ** np.random.default_rng(3).uniform(-300, 300, 40)),
    ],
    ids=["weak blocks after none", "strong blocks after none", "every second block", "growing"],
)
def test_blocks_that_are_off_or_much_weaker_come_first(x):
    """Orders that appear late are far from the scale of the orders before them."""
    found, exact = ex.log_elementary_symmetric(x), exact_logs(x)
    live = np.count_nonzero(x)
    assert found[: live + 1] == pytest.approx(exact[: live + 1], rel=1e-13, abs=1e-12)
    assert np.all(found[live + 1 :] == -np.inf)


def exact_logs(x: np.ndarray) -> list[float]:
    with mpmath.workdps(40):
        exact = [mpmath.mpf(1)] + [mpmath.mpf(0)] * x.size
        for value in x:
            for k in range(x.size, 0, -1):
                exact[k] += mpmath.mpf(float(value)) * exact[k - 1]
        return [float(mpmath.log(e)) if e else -math.inf for e in exact]


@pytest.mark.parametrize("k", [1, 2, 7, 5000, 9990, 10000])
def test_equal_blocks_at_depth_ten_thousand(k):
    with mpmath.workdps(40):
        exact = mpmath.log(mpmath.binomial(10**4, k)) + k * mpmath.log(mpmath.mpf(0.3))
        assert ex.log_order_energies(np.full(10**4, 0.3))[k] == pytest.approx(
            float(exact), rel=1e-13
        )


def test_nearly_equal_blocks_take_the_other_algorithm():
    x = np.full(2000, 0.3)
    y = x.copy()
    y[-1] = np.nextafter(0.3, 1)
    assert ex.log_order_energies(y) == pytest.approx(ex.log_order_energies(x), rel=1e-12, abs=1e-11)


def test_depth_ten_thousand_is_a_matter_of_seconds():
    x = np.random.default_rng(3).uniform(0.1, 2, 10**4)
    began = time.perf_counter()
    logs = ex.log_order_energies(x, 100)
    assert time.perf_counter() - began < 2
    assert np.all(np.isfinite(logs))
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert np.prod(1 + x) == np.inf
    assert ex.log_total_energy(x) > 700


def test_reference_energies():
    spec = RELU(50, 50**-0.5, width=32)
    expected = [1, 1, 0.49, 0.1568, 0.036848]
    assert np.exp(ex.log_order_energies(spec, 4)) == pytest.approx(expected, rel=1e-12)
    assert math.exp(ex.log_total_energy(spec)) == pytest.approx(2.6916, abs=5e-5)
    assert math.exp(ex.log_total_energy(RELU(100, 0.1, width=8))) == pytest.approx(2.7048, abs=5e-5)
    assert math.expm1(ex.log_total_energy(RELU(100, 0.01, width=8))) == pytest.approx(
        0.01, rel=1e-2
    )
    assert ex.log_total_energy(RELU(12, 1.0, width=64)) / math.log(2) == pytest.approx(12)


def test_spec_fixes_gain_scale_and_skip():
    scales = (0.1, 0.5, 0.3)
    spec = RELU(3, scales, width=7, sigma_w2=3.0, sigma_v2=0.7)
    assert ex.block_ratios(spec) == pytest.approx(3.0 * 0.7 / 2 * np.square(scales))
    leaky = spec.replace(activation=LeakyReLU(0.2), skip=0.5)
    assert ex.block_ratios(leaky) == pytest.approx(2.1 * 1.04 / 2 * np.square(scales) / 0.25)
    shares = leaky.shares()
    assert ex.block_ratios(leaky) == pytest.approx(shares / (1 - shares))
    linear = RELU(3, scales, width=7, sigma_w2=3.0, activation="linear", block="single")
    assert ex.block_ratios(linear) == pytest.approx(3.0 * np.square(scales))


def test_aligned_blocks():
    for depth in (10, 100, 1000):
        norms = ex.log_aligned_norms(np.full(depth, 1 / depth))
        assert np.sum(np.exp(norms)) == pytest.approx((1 + 1 / depth) ** depth, rel=1e-12)
        third = math.comb(depth, 3) / depth**3
        assert math.exp(norms[3]) == pytest.approx(third, rel=1e-12)
    assert math.exp(ex.log_aligned_norms(np.full(100, 0.01))[3]) == pytest.approx(0.1617)
    assert math.exp(ex.log_aligned_norms(np.full(1000, 0.001))[3]) == pytest.approx(
        0.1662, abs=5e-5
    )
    total = np.sum(np.exp(ex.log_aligned_norms(np.full(100, 0.1))))
    assert total == pytest.approx(1.38e4, rel=2e-3)


def test_lipschitz_bound_holds_for_orthogonal_blocks_and_is_attained():
    rng = np.random.default_rng(4)
    strengths = rng.uniform(0.05, 0.5, 12)
    bound = np.exp(ex.log_aligned_norms(strengths, 6))
    h = rng.standard_normal(5)
    for blocks in ([np.linalg.qr(rng.standard_normal((5, 5)))[0] for _ in strengths], None):
        orders = np.zeros((7, 5))
        orders[0] = h
        for index, strength in enumerate(strengths):
            matrix = np.eye(5) if blocks is None else blocks[index]
            orders[1:] += strength * orders[:-1] @ matrix.T
        norms = np.linalg.norm(orders, axis=1) / np.linalg.norm(h)
        assert np.all(norms <= bound * (1 + 1e-12))
        assert (norms == pytest.approx(bound, rel=1e-12)) is (blocks is None)


# ---------------------------------------------------------------- against networks

PROFILE = np.sqrt(np.linspace(0.1, 1.9, 20) / 20)
CASES = {
    "linear": ({"kind": "linear", "inner": 1.3}, {"activation": "linear", "block": "single"}),
    "frozen": ({"masks": "frozen", "inner": 3.0, "outer": 0.9}, {"sigma_v2": 0.9}),
    "actual": ({"masks": "actual", "inner": 3.0, "outer": 0.9}, {"sigma_v2": 0.9}),
}


def check_energies(case: str) -> None:
    """Order energies, orthogonality and total at width 12: exact at every width."""
    options, fields = CASES[case]
    rng = np.random.default_rng(10)
    sample = expand(12, PROFILE, 6000, 4, rng, **options)
    spec = RELU(20, tuple(PROFILE), width=12, sigma_w2=options["inner"], **fields)
    theory = np.exp(ex.log_order_energies(spec, 4))
    measured = Estimate.mean(np.stack([sample.energy(k, k) for k in range(1, 5)], axis=1))
    assert measured.resolves(theory[1:] / 5)
    assert measured.agrees(theory[1:])
    for j, k in ((0, 1), (1, 2), (1, 3), (2, 4)):
        cross = Estimate.mean(sample.energy(j, k))
        assert cross.resolves(0.25 * np.sqrt(theory[j] * theory[k]))
        assert cross.agrees(0.0)
    total = Estimate.mean(np.mean(sample.stream**2, axis=1))
    assert total.resolves(math.exp(ex.log_total_energy(spec)) / 5)
    assert total.agrees(math.exp(ex.log_total_energy(spec)))


def amplitudes(patch):
    """The scale where its square belongs."""
    true = energies.block_ratios
    patch.setattr(energies, "block_ratios", lambda network: np.sqrt(true(network)))


def one_order_more(patch):
    """The energies of one order count for the next."""
    true = energies.log_elementary_symmetric
    wrong = lambda x, k=None: np.concatenate([[0.0], true(x, k)[:-1]])  # noqa: E731
    patch.setattr(energies, "log_elementary_symmetric", wrong)


def equal_scales(patch):
    """The mean ratio for every block."""
    true = energies.block_ratios
    wrong = lambda network: np.full(network.depth, np.mean(true(network)))  # noqa: E731
    patch.setattr(energies, "block_ratios", wrong)


def no_half(patch):
    """Masks that let everything through."""
    true = energies.block_ratios
    patch.setattr(energies, "block_ratios", lambda network: 2 * true(network))


@pytest.mark.mc
@pytest.mark.parametrize("case", CASES)
def test_energies_of_networks(case):
    check_energies(case)


@pytest.mark.mc
@pytest.mark.parametrize("defect", [amplitudes, one_order_more, equal_scales, no_half])
def test_energies_of_networks_reject(defect):
    must_reject(defect, check_energies, "frozen")


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": Erf()}, "activation must be linear or of the ReLU family"),
        ({"bias_variance": 0.1}, "bias_variance=0.1"),
        ({"weight_law": FractionalNoise(0.8)}, "weight_law must be independent"),
        ({"skip": 0.0}, "skip must be positive, got 0"),
    ],
)
def test_networks_without_such_energies(change, message):
    with pytest.raises(ValueError, match=message):
        ex.log_order_energies(RELU(4, 0.5, width=3).replace(**change))


def test_bad_arguments():
    with pytest.raises(ValueError, match="least value -1"):
        ex.log_order_energies([1.0, -1.0])
    with pytest.raises(ValueError, match="strengths must be"):
        ex.log_aligned_norms([[1.0]])
    with pytest.raises(ValueError, match="orders must not exceed the depth 2, got 3"):
        ex.log_order_energies([1.0, 1.0], 3)
    with pytest.raises(TypeError, match="orders must be a positive integer"):
        ex.log_order_energies([1.0, 1.0], 1.5)
    assert ex.log_order_energies([1.0, 2.0], 0) == pytest.approx([0.0])
