"""Exact second moments against simulation, other algorithms and their limits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from companion import depthlimits as dl
from companion import loggaussian
from companion.activations import LeakyReLU, Linear
from companion.architecture import ResNetSpec
from companion.depthlimits import moments
from companion.montecarlo import Estimate
from companion.weights import IID, FractionalNoise
from tests.defects import must_reject
from tests.depthlimits.networks import apply, explicit, large_depth, square
from tests.networks import Frozen

# ---------------------------------------------------------------- closed forms


@pytest.mark.parametrize(
    ("L", "beta", "expected"),
    [(50, 0.5, 1.6446), (100, 0.5, 1.6467), (100, 1.0, 1.0050), (100, 0.25, 131.50)],
)
def test_second_moment_values(L, beta, expected):
    spec = large_depth(20, L, beta)
    assert math.exp(dl.log_second_moment(spec)) == pytest.approx(expected, abs=5e-5 * expected)
    assert dl.mean_square_displacement(spec) == pytest.approx(expected - 1, abs=5e-5 * expected)


def test_second_moment_of_other_branches():
    leaky = large_depth(12, 40, activation=LeakyReLU(0.3))
    assert math.exp(dl.log_second_moment(leaky)) == pytest.approx(1.7183, abs=5e-5)
    linear = large_depth(20, 100, block="single", activation="linear")
    assert math.exp(dl.log_second_moment(linear)) == pytest.approx(2.7048, abs=5e-5)


def test_second_moment_with_unequal_scales_and_variances():
    scales = np.array([0.1, 0.0, 2.0, 0.5])
    spec = ResNetSpec(
        depth=4, width=3, scale=tuple(scales), weight_variance=1.5, outer_variance=0.7
    )
    assert math.exp(dl.log_second_moment(spec)) == pytest.approx(np.prod(1 + 0.525 * scales**2))


def test_small_displacements_keep_their_digits():
    """Against 40 digits, where one minus one would leave none."""
    from mpmath import mp, mpf

    with mp.workdps(40):
        exact = (1 + mpf("1e-9") ** 2 / 2) ** 1000 - 1
    spec = large_depth(5, 1000, alpha=1e-9, beta=None)
    assert dl.mean_square_displacement(spec) == pytest.approx(float(exact), rel=1e-13)
    assert dl.log_mean_square_displacement(spec) == pytest.approx(math.log(exact), rel=1e-14)


def test_large_displacements_are_logs():
    spec = large_depth(5, 5000, 0.0)
    assert dl.log_mean_square_displacement(spec) == pytest.approx(5000 * math.log(1.5), rel=1e-14)
    with pytest.raises(OverflowError, match="use log_mean_square_displacement"):
        dl.mean_square_displacement(spec)


def test_no_branch_no_displacement():
    spec = large_depth(5, 10, alpha=0.0, beta=None)
    assert dl.mean_square_displacement(spec) == 0
    assert dl.log_mean_square_displacement(spec) == -math.inf


# ---------------------------------------------------------------- trichotomy


def test_regime_is_the_limit_of_the_moment():
    depth = 10**6
    for beta in (0.75, 1.0, 2.0):
        name, exponent, constant = dl.regime(beta)
        rms = math.sqrt(dl.mean_square_displacement(large_depth(3, depth, beta)))
        assert name == "identity"
        assert rms == pytest.approx(constant * depth**exponent, rel=2e-3)
    critical = dl.regime(0.5)
    assert critical.name == "critical"
    assert critical.constant == pytest.approx(0.8054, abs=5e-5)
    rms = math.sqrt(dl.mean_square_displacement(large_depth(3, depth, 0.5)))
    assert rms == pytest.approx(critical.constant, rel=1e-5)
    explosion = dl.regime(0.25)
    log = dl.log_mean_square_displacement(large_depth(3, depth, 0.25))
    assert explosion.name == "explosion"
    assert log == pytest.approx(explosion.constant * depth**explosion.exponent, rel=1e-3)


def test_regime_of_another_gain():
    assert dl.regime(0.5, gain=1.0).constant == pytest.approx(math.sqrt(math.e - 1))


def test_markov_bound():
    spec = large_depth(4, 100, 1.0)
    bound = dl.displacement_bound(spec, 0.01)
    assert bound == pytest.approx(dl.mean_square_displacement(spec) / 0.01)
    assert dl.displacement_bound(large_depth(4, 100, 0.0), 0.01) == 1.0
    found = explicit(4, 100, 0.01, 4000, np.random.default_rng(1)).hd2
    assert 0.01 < np.mean(found >= 0.01) < bound


# ---------------------------------------------------------------- simulation


def check_second_moments(beta: float = 0.5, networks: int = 20000, **kwargs: object):
    n, depth = 6, 20
    law = IID("uniform")
    spec = large_depth(n, depth, beta, law=law, **kwargs)
    slope = spec.activation.slope if isinstance(spec.activation, LeakyReLU) else 0.0
    run = explicit(n, depth, depth**-beta, networks, np.random.default_rng(2), law=law, slope=slope)
    displacement = dl.mean_square_displacement(spec)
    for sample, target in (
        (run.hd2, displacement),
        (run.gd2, displacement),
        (run.hr2, displacement + 1),
        (run.gr2, displacement + 1),
    ):
        found = Estimate.mean(sample)
        assert found.resolves(displacement / 8)
        assert found.agrees(target)


CASES = {"critical": {}, "identity": {"beta": 1.0}, "leaky": {"activation": LeakyReLU(0.5)}}


def whole_gain(patch):
    """Twice the gain: the activation forgotten."""
    growth = moments._log_growth
    patch.setattr(moments, "_log_growth", lambda spec, gain: growth(spec, 2 * gain))


@pytest.mark.mc
@pytest.mark.parametrize("case", ["critical", "leaky"])
def test_second_moments(case):
    check_second_moments(**CASES[case])


@pytest.mark.mc
@pytest.mark.parametrize("case", ["critical", "leaky"])
def test_second_moments_reject_a_forgotten_activation(case):
    must_reject(whole_gain, check_second_moments, **CASES[case])


@pytest.mark.mc
def test_conservation_of_the_pairing():
    run = explicit(6, 20, 20**-0.5, 50, np.random.default_rng(3))
    assert run.drift.max() < 1e-13
    run = explicit(6, 20, 20**-0.5, 50, np.random.default_rng(3), block="single", slope=0.3)
    assert run.drift.max() < 1e-13


# ---------------------------------------------------------------- single blocks


def test_single_block_formula_values():
    for n, expected in ((10, 1.6639), (40, 1.6494)):
        spec = large_depth(n, 50, block="single")
        found = math.exp(dl.single_block_log_second_moment(spec))
        assert found == pytest.approx(expected, abs=5e-5)


def test_single_block_formula_is_that_of_the_log_gaussian_chapter():
    spec = large_depth(10, 50, block="single")
    assert dl.single_block_log_second_moment(spec) == pytest.approx(
        loggaussian.log_second_moment(spec), rel=1e-13
    )


def check_single_block():
    spec = large_depth(10, 20, block="single")
    rng = np.random.default_rng(4)
    h = rng.standard_normal((300000, 10))
    start = square(h)
    for _ in range(20):  # V s(h) has this law whatever h, so no matrix is needed
        size = np.sqrt(square(np.maximum(h, 0)) / (10 * 20))
        h += size[:, None] * rng.standard_normal(h.shape)
    found = Estimate.mean(square(h) / start)
    wide = 1.025**20
    target = math.exp(dl.single_block_log_second_moment(spec))
    assert found.resolves(0.6 * (target - wide))
    assert found.agrees(target)


def no_interlayer_term(patch):
    """The wide limit at finite width."""
    patch.setattr(moments, "square_sign_moment", np.zeros_like)


@pytest.mark.mc
def test_single_block():
    check_single_block()


@pytest.mark.mc
def test_single_block_rejects_the_wide_limit():
    must_reject(no_interlayer_term, check_single_block)


def test_single_block_bounds_contain_the_truth():
    spec = large_depth(10, 50, block="single")
    lower, upper = dl.single_block_bounds(spec)
    assert lower == 0
    assert lower < dl.single_block_log_second_moment(spec) < upper
    assert upper == pytest.approx(50 * math.log(1.02))
    steep = large_depth(10, 50, block="single", activation=LeakyReLU(-2.0))
    assert dl.single_block_bounds(steep) == pytest.approx(
        (50 * math.log(1.02), 50 * math.log(1.08))
    )


# ---------------------------------------------------------------- a branch with a mean


@pytest.mark.parametrize(
    ("beta", "expected"),
    [(0.5, (2.183, 4.978, 10.608)), (1.0, (0.081, 0.078, 0.078))],
)
def test_mean_branch_values(beta, expected):
    found = [dl.mean_branch_log_norms(L**-beta, L)[-1] for L in (50, 200, 800)]
    assert found == pytest.approx(expected, abs=5e-4)


def test_mean_branch_by_the_plain_recursion():
    alpha, m, q = 0.2, 0.4, 2.0
    path = [q]
    for _ in range(30):
        push = alpha * math.sqrt(q / (2 * math.pi))
        m, q = m + push, q + 2 * m * push + alpha**2 * q / 2
        path.append(q)
    found = dl.mean_branch_log_norms(alpha, 30, 0.4 / math.sqrt(2.0))
    assert found == pytest.approx(np.log(np.array(path) / 2) / 2, rel=1e-12)
    assert np.all(np.isfinite(dl.mean_branch_log_norms(10.0, 2000)))


def check_mean_branch():
    n, depth, networks = 200, 20, 60
    rng = np.random.default_rng(5)
    h = rng.standard_normal((networks, n))
    start = square(h)
    for _ in range(depth):
        w = rng.standard_normal((networks, n, n)) / n**0.5
        h = h + depth**-0.5 * np.maximum(apply(w, h), 0)
    found = Estimate.mean(np.log(square(h) / start) / 2)
    target = dl.mean_branch_log_norms(depth**-0.5, depth)[-1]
    centred = 10 * math.log1p(0.025)
    assert found.resolves((target - centred) / 8)
    assert found.agrees(target, allowance=0.02)


def centred_branch(patch):
    """The growth of a branch without a mean."""
    patch.setattr(
        dl,
        "mean_branch_log_norms",
        lambda a, L: np.arange(L + 1) * math.log1p(a**2 / 2) / 2,
    )


@pytest.mark.mc
def test_mean_branch():
    check_mean_branch()


@pytest.mark.mc
def test_mean_branch_rejects_a_centred_branch():
    must_reject(centred_branch, check_mean_branch)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"skip": 0.5}, r"skip must be 1, got 0\.5"),
        ({"bias_variance": 0.1}, "1-homogeneous"),
        ({"activation": "tanh"}, "1-homogeneous"),
        ({"weight_law": Frozen()}, "independent across layers"),
        ({"weight_law": FractionalNoise(hurst=0.7)}, "independent across layers"),
        ({"block": "single"}, "not closed; use single_block_bounds"),
    ],
)
def test_networks_without_a_closed_moment(changes, message):
    with pytest.raises(ValueError, match=message):
        dl.log_second_moment(large_depth(5, 5).replace(**changes))


def test_other_errors():
    spec = large_depth(5, 5, block="single")
    with pytest.raises(ValueError, match="is for block='single'"):
        dl.single_block_bounds(large_depth(5, 5))
    with pytest.raises(ValueError, match="activation must be ReLU"):
        dl.single_block_log_second_moment(spec.replace(activation=Linear()))
    with pytest.raises(ValueError, match="scale must be equal"):
        dl.single_block_log_second_moment(spec.replace(scale=(1, 2, 3, 4, 5)))
    with pytest.raises(ValueError, match="level must be greater than 0"):
        dl.displacement_bound(large_depth(5, 5), 0.0)
    with pytest.raises(ValueError, match="beta must be at least 0"):
        dl.regime(-1.0)
    with pytest.raises(ValueError, match="mean must be at most 1"):
        dl.mean_branch_log_norms(0.1, 5, 2.0)
