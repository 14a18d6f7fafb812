"""Blocks correlated along depth: enumeration, high precision, explicit networks, limits."""

from __future__ import annotations

import itertools
import math
import time

import mpmath
import numpy as np
import pytest
from scipy.linalg import toeplitz

from companion import expansion as ex
from companion.architecture import ResNetSpec
from companion.depthlimits import layer_covariance
from companion.expansion import alignment, correlated
from companion.montecarlo import Estimate
from companion.weights import FractionalNoise, Smooth
from tests.defects import must_reject
from tests.expansion.networks import apply, start


def enumerated(c: np.ndarray, k: int) -> float:
    """``N_k`` over all pairs of chains of blocks."""
    chains = list(itertools.combinations(range(len(c)), k))
    return math.fsum(
        math.prod(c[i, j] for i, j in zip(one, other, strict=True))
        for one in chains
        for other in chains
    )


def random_covariance(depth: int, seed: int) -> np.ndarray:
    """A covariance with entries of both signs and unequal variances."""
    root = np.random.default_rng(seed).standard_normal((depth, depth + 2))
    return root @ root.T / depth


MATRICES = {
    "equicorrelated": toeplitz(ex.equicorrelated(7, 0.3)),
    "fractional": toeplitz(layer_covariance(FractionalNoise(0.2), 7)),
    "random": random_covariance(7, 5),
}


@pytest.mark.parametrize("case", MATRICES)
def test_order_norms_by_enumeration(case):
    c = MATRICES[case]
    expected = [enumerated(c, k) for k in range(8)]
    assert np.exp(ex.log_order_norms(c, 7)) == pytest.approx(expected, rel=1e-11)
    assert ex.log_order_norms(c, 2) == pytest.approx(np.log(expected[:3]), abs=1e-12)
    for scale in (0.2, 3.0):
        total = math.fsum(scale ** (2 * k) * norm for k, norm in enumerate(expected))
        assert math.exp(ex.log_correlated_energy(c, scale)) == pytest.approx(total, rel=1e-11)


def test_lags_are_their_matrix():
    for lags in (ex.ornstein_uhlenbeck(40, 6.0), layer_covariance(Smooth(0.05), 40)):
        c = toeplitz(lags)
        assert ex.log_order_norms(lags, 6) == pytest.approx(ex.log_order_norms(c, 6), abs=1e-13)
        scales = np.array([[0.0, 0.01], [0.3, 40.0]])
        found = ex.log_correlated_energy(lags, scales)
        assert found == pytest.approx(ex.log_correlated_energy(c, scales), rel=1e-13)
        assert found[0, 0] == 0
        one_by_one = [ex.log_correlated_energy(lags, s) for s in scales.ravel()]
        assert found.ravel() == pytest.approx(one_by_one, rel=1e-13)


def test_energy_in_high_precision():
    """The whole square of the recursion with 40 digits, at scales far beyond float64."""
    c = random_covariance(60, 6)
    for scale in (0.05, 1.0, 1e7):
        with mpmath.workdps(40):
            k = [[mpmath.mpf(1)] * 61 for _ in range(61)]
            for i in range(60):
                for j in range(60):
                    step = mpmath.mpf(scale) ** 2 * mpmath.mpf(float(c[i, j])) * k[i][j]
                    k[i + 1][j + 1] = k[i + 1][j] + k[i][j + 1] - k[i][j] + step
            exact = float(mpmath.log(k[60][60]))
        assert ex.log_correlated_energy(c, scale) == pytest.approx(exact, rel=1e-10)


def test_nothing_overflows():
    depth = 1000
    assert ex.log_correlated_energy(np.eye(depth)[0], 1e3) == pytest.approx(
        depth * math.log1p(1e6), rel=1e-12
    )
    norms = ex.log_order_norms(np.ones(400), 400)
    binomials = [
        2 * (math.lgamma(401) - math.lgamma(k + 1) - math.lgamma(401 - k)) for k in range(401)
    ]
    assert norms == pytest.approx(binomials, rel=1e-10, abs=1e-9)
    tiny = ex.log_order_norms(np.full(30, 1e-200), 20)
    shift = -200 * math.log(10) * np.arange(21)
    assert tiny == pytest.approx(ex.log_order_norms(np.ones(30), 20) + shift, rel=1e-13)


def test_independent_and_shared_blocks():
    for depth in (1, 2, 50):
        independent = np.eye(depth)[0]
        scale = 1 / depth**0.5
        energy = math.exp(ex.log_correlated_energy(independent, scale))
        assert energy == pytest.approx((1 + 1 / depth) ** depth, rel=1e-14)
        top = min(depth, 5)
        norms = np.exp(ex.log_order_norms(independent, top))
        assert norms == pytest.approx([math.comb(depth, k) for k in range(top + 1)], rel=1e-13)
        shared = np.exp(ex.log_order_norms(np.ones(depth), top))
        assert shared == pytest.approx(
            [math.comb(depth, k) ** 2 for k in range(top + 1)], rel=1e-13
        )


def test_one_shared_matrix_tends_to_a_bessel_function():
    assert math.exp(ex.log_shared_limit(1.0)) == pytest.approx(2.2796, abs=5e-5)
    assert float(mpmath.besseli(0, 2)) == pytest.approx(math.exp(ex.log_shared_limit(1.0)))
    for depth, expected in ((30, 2.2574), (100, 2.2728), (400, 2.2779)):
        found = math.exp(ex.log_correlated_energy(np.ones(depth), 1 / depth))
        assert found == pytest.approx(expected, abs=5e-5)
    strength = np.array([0.0, 0.5, 400.0])
    exact = [float(mpmath.log(mpmath.besseli(0, 2 * x))) for x in strength]
    assert ex.log_shared_limit(strength) == pytest.approx(exact, rel=1e-14, abs=1e-15)
    assert ex.log_shared_limit(1e10) == pytest.approx(2e10 - math.log(4e10 * math.pi) / 2)


@pytest.mark.parametrize(
    ("lags", "expected"),
    [
        (ex.equicorrelated(30, 0.1), [117, 3784.5, 58326]),
        (ex.equicorrelated(30, 1.0), [900, 1.8922e5, 1.6484e7]),
        (ex.ornstein_uhlenbeck(60, 5.0), [552.2, 131990]),
        (ex.ornstein_uhlenbeck(60, 60.0), [2649, 1.9266e6]),
    ],
)
def test_reference_norms(lags, expected):
    found = np.exp(ex.log_order_norms(lags, len(expected)))[1:]
    assert found == pytest.approx(expected, rel=7e-5)


def test_reference_energies():
    energy = ex.log_correlated_energy(ex.equicorrelated(60, 0.1), 0.049147)
    assert math.exp(energy) == pytest.approx(2.2997, abs=5e-5)
    energy = ex.log_correlated_energy(ex.ornstein_uhlenbeck(60, 5.0), 0.0426)
    assert math.exp(energy) == pytest.approx(2.566, abs=1e-3)


def test_depth_a_thousand_is_fast():
    lags = ex.ornstein_uhlenbeck(1000, 50.0)
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        ex.log_correlated_energy(lags, 0.01)
        taken.append(time.perf_counter() - began)
    assert min(taken) < 0.3


# ---------------------------------------------------------------- critical scale and coherence


def test_critical_scale():
    lags = ex.equicorrelated(60, 0.1)
    assert ex.critical_scale(lags) == pytest.approx(0.049147, abs=5e-7)
    assert ex.mean_correlation(lags) == pytest.approx(0.1)
    assert ex.critical_scale_of(60, 0.1) == pytest.approx(ex.critical_scale(lags))
    for c in (ex.ornstein_uhlenbeck(33, 4.0), toeplitz(ex.ornstein_uhlenbeck(33, 4.0))):
        assert ex.critical_scale_of(33, ex.mean_correlation(c)) == pytest.approx(
            ex.critical_scale(c)
        )
        assert ex.critical_scale(c) ** -2 == pytest.approx(np.exp(ex.log_order_norms(c, 1)[1]))
    assert ex.critical_scale_of(100, [0.0, 1.0]) == pytest.approx([0.1, 0.01])
    assert ex.critical_scale(np.array([[1.0, -1.0], [-1.0, 1.0]])) == math.inf
    assert ex.mean_correlation([2.0]) == 0
    unequal = np.array([[3.0, 1.0], [1.0, 1.0]])
    assert ex.mean_correlation(unequal) == pytest.approx(0.5)
    assert ex.expected_coherence(unequal) == pytest.approx(1.5)


@pytest.mark.parametrize("hurst", [0.5, 0.7, 0.95])
def test_fractional_weights_have_the_exponent_of_their_roughness(hurst):
    """``N_1 = L^(2H)``, so the critical exponent of the scale is H."""
    for depth in (10, 300):
        lags = layer_covariance(FractionalNoise(hurst), depth)
        assert ex.critical_scale(lags) == pytest.approx(depth**-hurst, rel=1e-11)


def test_coherence_of_given_branches():
    rng = np.random.default_rng(7)
    b = rng.standard_normal(16)
    aligned = np.outer([1.0, 1.0, 1.0, 1.0], b)
    assert ex.coherence(aligned) == pytest.approx(4)
    assert ex.coherence(np.eye(5)) == pytest.approx(1)
    assert ex.coherence(np.stack([b, -b])) == pytest.approx(0, abs=1e-15)
    batch = rng.standard_normal((6, 3, 16, 2))
    found = ex.coherence(batch, axis=2)
    assert found.shape == (3, 2)
    assert found[1, 0] == pytest.approx(ex.coherence(batch[:, 1, :, 0]))
    assert np.isnan(ex.coherence(np.zeros((3, 4))))


def test_covariance_of_a_linear_network():
    law = FractionalNoise(0.8)
    spec = ResNetSpec.residual_expansion(
        9, 0.2, width=5, sigma_w2=1.5, activation="linear", block="single"
    ).replace(weight_law=law)
    lags = layer_covariance(law, 9)
    assert ex.block_covariance(spec) == pytest.approx(1.5 * lags)
    double = spec.replace(block="two-layer", outer_variance=0.5)
    assert ex.block_covariance(double) == pytest.approx(0.75 * lags**2)
    independent = ResNetSpec.residual_expansion(9, 0.2, width=5, sigma_w2=1.5, activation="linear")
    assert ex.log_correlated_energy(ex.block_covariance(independent), 0.2) == pytest.approx(
        ex.log_total_energy(independent)
    )


# ---------------------------------------------------------------- against networks


def check_correlated(rho: float, block: str) -> None:
    """Orders and total of linear networks at width 96; the wide limit is off by O(1/n)."""
    n, depth, networks = 96, 10, 250
    scale, rng = 0.8 * float(ex.critical_scale_of(depth, rho)), np.random.default_rng(40)
    h = start(networks, n, rng)
    orders = np.zeros((4, networks, n))
    orders[0] = h
    matrices = 1 if block == "single" else 2
    common = rng.standard_normal((matrices, networks, n, n)) / n**0.5
    branches = []
    for _ in range(depth):
        fresh = rng.standard_normal((matrices, networks, n, n)) / n**0.5
        layer = rho**0.5 * common + (1 - rho) ** 0.5 * fresh
        branches.append(through(layer, orders[0]))
        orders[1:] += scale * through(layer, orders[:-1])
        h = h + scale * through(layer, h)
    spec = ResNetSpec.residual_expansion(
        depth, scale, width=n, sigma_w2=1.0, activation="linear", block=block
    )
    lags = ex.equicorrelated(depth, rho) ** (1 if block == "single" else 2)
    assert ex.block_covariance(spec)[0] == lags[0]
    theory = np.exp(ex.log_order_norms(lags, 3)) * scale ** (2 * np.arange(4))
    energies = np.mean(orders**2, axis=2)[1:].T
    measured = Estimate.mean(energies)
    assert measured.resolves(theory[1:] / 3)
    assert measured.agrees(theory[1:], allowance=2 / n * theory[1:])
    total = math.exp(ex.log_correlated_energy(lags, scale))
    found = Estimate.mean(np.mean(h**2, axis=1))
    assert found.resolves(total / 3)
    assert found.agrees(total, allowance=2 / n * total)
    agreement = Estimate.mean(ex.coherence(np.stack(branches)))
    assert agreement.resolves(ex.expected_coherence(lags) - 1)
    assert agreement.agrees(ex.expected_coherence(lags), allowance=2 / n * depth)


def through(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    for matrix in matrices:
        vectors = apply(matrix, vectors)
    return vectors


def independent_blocks(patch):
    """Correlation along depth is ignored."""
    true = correlated.covariance_rows

    def wrong(covariance):
        depth, row_of = true(covariance)
        return depth, lambda row: np.where(np.arange(depth) == row, row_of(row), 0.0)

    patch.setattr(correlated, "covariance_rows", wrong)


def pairs_in_any_order(patch):
    """Chains are paired regardless of depth: the powers of the first order."""
    true = correlated.log_order_norms

    def wrong(covariance, orders):
        first = true(covariance, 1)[1]
        k = np.arange(orders + 1)
        return k * first - np.array([2 * math.lgamma(j + 1) for j in k])

    patch.setattr(ex, "log_order_norms", wrong)


def sum_without_diagonal(patch):
    """A block does not agree with itself."""
    true = alignment._sums

    def wrong(covariance):
        total, trace, depth = true(covariance)
        return total - trace, trace, depth

    patch.setattr(alignment, "_sums", wrong)


@pytest.mark.mc
@pytest.mark.parametrize(("rho", "block"), [(0.2, "single"), (1.0, "single"), (0.5, "two-layer")])
def test_networks(rho, block):
    check_correlated(rho, block)


@pytest.mark.mc
@pytest.mark.parametrize(
    ("defect", "rho"),
    [(independent_blocks, 0.2), (sum_without_diagonal, 0.2), (pairs_in_any_order, 1.0)],
)
def test_networks_reject(defect, rho):
    must_reject(defect, check_correlated, rho, "single")


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "function",
    [
        lambda c: ex.log_order_norms(c, 2),
        lambda c: ex.log_correlated_energy(c, 0.5),
        ex.critical_scale,
        ex.expected_coherence,
        ex.mean_correlation,
    ],
)
def test_an_indefinite_matrix_is_no_covariance(function):
    lags = np.array([1.0, -0.9, -0.9])
    for covariance in (lags, toeplitz(lags)):
        with pytest.raises(
            ValueError, match=r"semidefinite, but it has the eigenvalue -0\.8; check"
        ):
            function(covariance)
    deep = np.where(np.arange(300) == 1, 1.5, np.arange(300) == 0)
    for covariance in (deep, toeplitz(deep)):
        with pytest.raises(ValueError, match="semidefinite, but two blocks have a correlation bey"):
            function(covariance)


def test_what_only_the_sums_of_a_deep_covariance_reveal():
    lags = np.where(np.arange(300) == 0, 1.0, -0.5)  # at most 1/299 is possible
    with pytest.raises(ValueError, match="semidefinite, but it gives a squared norm a negative"):
        ex.log_order_norms(lags, 1)
    for covariance in (ex.equicorrelated(300, -1 / 299), ex.equicorrelated(100, -1 / 99)):
        found = np.exp(ex.log_order_norms(covariance, 1)[1])  # the blocks cancel
        assert found == pytest.approx(0, abs=1e-10)


def test_errors():
    with pytest.raises(ValueError, match=r"rho must be at least -0\.25, got -0\.3"):
        ex.equicorrelated(5, -0.3)
    with pytest.raises(ValueError, match="rho must be at most 1, got 2"):
        ex.equicorrelated(5, 2.0)
    with pytest.raises(ValueError, match="rho must lie between"):
        ex.critical_scale_of(5, [0.1, -0.3])
    with pytest.raises(ValueError, match="length must be greater than 0"):
        ex.ornstein_uhlenbeck(5, 0.0)
    with pytest.raises(ValueError, match="positive variances, got 0"):
        ex.log_order_norms([0.0, 1.0], 1)
    with pytest.raises(ValueError, match=r"square matrix, got shape \(2, 3\)"):
        ex.log_correlated_energy(np.ones((2, 3)), 1.0)
    with pytest.raises(ValueError, match=r"symmetric, got entries up to 0\.5 apart"):
        ex.critical_scale(np.array([[1.0, 0.5], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="orders must not exceed the depth 3"):
        ex.log_order_norms(np.ones(3), 4)
    with pytest.raises(ValueError, match=r"neurons on another, got shape \(3, 4\) and axis 0"):
        ex.coherence(np.ones((3, 4)), axis=0)
    with pytest.raises(ValueError, match=r"neurons on another, got shape \(3, 4\) and axis 7"):
        ex.coherence(np.ones((3, 4)), axis=7)
    with pytest.raises(ValueError, match="network must be linear without bias"):
        ex.block_covariance(ResNetSpec.residual_expansion(3, 0.1, width=4))
