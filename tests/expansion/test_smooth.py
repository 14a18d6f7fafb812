"""Smooth activations: closed forms, the torus, exact power series, explicit networks."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy import integrate

from companion import expansion as ex
from companion.activations import Custom, Erf, ReLU, Tanh
from companion.architecture import ResNetSpec
from companion.expansion import smooth, torus
from companion.montecarlo import Estimate
from companion.weights import FractionalNoise
from tests.defects import must_reject
from tests.expansion.networks import expand_erf

EXPANSION = ResNetSpec.residual_expansion


def erf_network(depth: int, scale: float | tuple[float, ...], **fields: float) -> ResNetSpec:
    variances = {"sigma_w2": 1.5, "sigma_v2": 1.5, **fields}
    return EXPANSION(depth, scale, width=64, activation="erf", **variances)


REFERENCE = erf_network(50, 50**-0.5)
PROFILE = (0.3, 0.8, 0.1, 0.5)
GENERAL = erf_network(4, PROFILE, sigma_w2=2.0, sigma_v2=0.7).replace(
    input_variance=0.8, bias_variance=0.15, activation=Erf(gain=0.9)
)
SINGLE = EXPANSION(
    4, PROFILE, width=64, sigma_w2=1.8, activation="erf", block="single", sigma_v2=1.0
).replace(input_variance=0.6)


# ---------------------------------------------------------------- reference numbers


def test_reference_gains():
    kappa, chi, xi = ex.smooth_gains(REFERENCE)
    assert kappa == pytest.approx(0.614498, abs=5e-7)
    assert chi == pytest.approx(0.716197, abs=5e-7)
    assert xi == pytest.approx(0.402861, abs=5e-7)


def test_reference_energies():
    values, error = ex.order_covariances(REFERENCE, 5)
    expected = [1, 0.614498, 0.215650, 0.0863209, 0.0588203, 0.0548343]
    assert np.diag(values) == pytest.approx(expected, abs=5e-7)
    assert values[1, 3] == pytest.approx(-0.064695, abs=5e-7)
    assert np.max(error) < 1e-12
    closed = ex.closed_order_energies(REFERENCE)
    assert closed.third == pytest.approx(0.0863209, abs=5e-8)
    assert closed.trees == pytest.approx(0.03690, abs=5e-6)
    assert closed.tree_share == pytest.approx(0.427, abs=5e-4)


def test_two_tori_agree():
    one = ex.order_covariances(REFERENCE, 5, radius=0.5, points=32).values
    other = ex.order_covariances(REFERENCE, 5, radius=0.3, points=64).values
    assert np.max(np.abs(one - other)) < 6e-12


def test_equal_scales_are_the_binomial_forms():
    """The formulas of the chapter, written out, at a scale other than the reference."""
    depth, s = 30, 0.3
    spec = erf_network(depth, s, sigma_w2=0.8, sigma_v2=2.5)
    kappa, chi, xi = ex.smooth_gains(spec)
    found = ex.closed_order_energies(spec)
    assert found.first == pytest.approx(depth * s**2 * kappa)
    assert found.second == pytest.approx(math.comb(depth, 2) * s**4 * chi * kappa)
    assert found.chains == pytest.approx(s**6 * math.comb(depth, 3) * chi**2 * kappa)
    pairs = sum((k - 1) ** 2 for k in range(1, depth + 1))
    assert found.trees == pytest.approx(s**6 * 0.75 * xi * kappa**2 * pairs)


# ---------------------------------------------------------------- closed forms and the torus


@pytest.mark.parametrize("spec", [REFERENCE, GENERAL, SINGLE], ids=["equal", "general", "single"])
def test_closed_forms_are_the_coefficients(spec):
    found = np.diag(ex.order_covariances(spec, 3).values)
    closed = ex.closed_order_energies(spec)
    assert found == pytest.approx([1, closed.first, closed.second, closed.third], rel=1e-12)


@pytest.mark.parametrize("depth", [1, 2])
def test_few_blocks(depth):
    closed = ex.closed_order_energies(erf_network(depth, 0.5))
    found = np.diag(ex.order_covariances(erf_network(depth, 0.5), 3).values)
    assert found == pytest.approx([1, closed.first, closed.second, closed.third], abs=1e-15)
    assert closed.chains == 0
    assert (closed.trees > 0) is (depth == 2)  # a pair of blocks contributes at order three


def test_linear_networks_are_the_elementary_symmetric_polynomials():
    spec = EXPANSION(4, PROFILE, width=8, sigma_w2=1.3, sigma_v2=0.9, activation="linear")
    values = ex.order_covariances(spec, 4).values
    assert values == pytest.approx(np.diag(np.exp(ex.log_order_energies(spec))), abs=1e-14)
    assert ex.closed_order_energies(spec).tree_share == 0
    assert ex.closed_order_energies(spec.replace(scale=0.0)).tree_share == 0
    assert ex.order_covariances(spec.replace(scale=0.0), 2).values == pytest.approx(
        np.diag([1.0, 0, 0]), abs=1e-15
    )


def test_all_orders_sum_to_the_stream():
    """At a small scale the series converges: its sum is the variance of the real network."""
    spec = erf_network(20, 0.3 / 20**0.5)
    values = ex.order_covariances(spec, 12).values
    assert np.sum(values) == pytest.approx(spec.stream_variances()[-1], rel=1e-10)


# Truncated power series in two scales: arrays of mpmath numbers, entry (j, k) for u^j v^k.


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.full(a.shape, mpmath.mpf(0), dtype=object)
    top = len(a)
    for j in range(top):
        for k in range(top):
            if a[j, k] != 0:
                out[j:, k:] += a[j, k] * b[: top - j, : top - k]
    return out


def compose(function: object, a: np.ndarray) -> np.ndarray:
    """``function(a)`` by its Taylor series at the constant term; the rest is nilpotent."""
    terms = mpmath.taylor(function, a[0, 0], 2 * (len(a) - 1))
    rest = a.copy()
    rest[0, 0] = mpmath.mpf(0)
    out = np.full(a.shape, mpmath.mpf(0), dtype=object)
    for term in reversed(terms):
        out = product(out, rest)
        out[0, 0] += term
    return out


def diagonal(q: np.ndarray) -> np.ndarray:
    """``Q(u, u)`` as a series in ``u``, which depends on the first scale alone."""
    out = np.full(q.shape, mpmath.mpf(0), dtype=object)
    for j in range(len(q)):
        for k in range(len(q) - j):
            out[j + k, 0] += q[j, k]
    return out


def exact_covariances(spec: ResNetSpec, top: int) -> np.ndarray:
    inner, outer = spec.weight_variance, spec.outer_variance
    if spec.block == "single":
        inner, outer = 1.0, spec.weight_variance
    factor = mpmath.mpf(2 * spec.activation.steepness**2 * inner)
    size = 2 * top + 1  # orders up to top of Q(u, u) need both indices up to top only
    q = np.full((size, size), mpmath.mpf(0), dtype=object)
    q[0, 0] = mpmath.mpf(spec.input_variance)
    for s in spec.scales:
        own = factor * diagonal(q)
        own[0, 0] += 1
        root = compose(lambda x: 1 / mpmath.sqrt(x), own)
        sine = product(product(factor * q, root), root.T)
        moment = mpmath.mpf(outer) * 2 / mpmath.pi * compose(mpmath.asin, sine)
        moment[0, 0] += mpmath.mpf(spec.bias_variance)
        step = np.full(q.shape, mpmath.mpf(0), dtype=object)
        step[1:, 1:] = mpmath.mpf(float(s)) ** 2 * moment[:-1, :-1]
        q = q + step
    return np.array(q[: top + 1, : top + 1] / mpmath.mpf(spec.input_variance), dtype=float)


@pytest.mark.parametrize("spec", [GENERAL, SINGLE], ids=["general", "single"])
def test_exact_power_series(spec):
    with mpmath.workdps(30):
        expected = exact_covariances(spec, 3)
    values, error = ex.order_covariances(spec, 3)
    assert values == pytest.approx(expected, rel=1e-11, abs=1e-13)
    assert expected[1, 3] < 0 < expected[1, 1]
    assert np.all(np.abs(values - expected) <= 10 * error + 1e-15)


def test_error_estimate_sees_a_torus_that_is_too_small_or_too_coarse():
    tiny = ex.order_covariances(REFERENCE, 5, radius=0.02)
    assert tiny.error[5, 5] > 1e-3  # rounding
    coarse = ex.order_covariances(REFERENCE, 3, points=8)
    assert coarse.error[3, 3] > 1e-6  # aliasing
    exact = ex.order_covariances(REFERENCE, 5).values
    assert abs(coarse.values - exact[:4, :4])[3, 3] < 2 * coarse.error[3, 3]


def test_radius_is_checked_and_found():
    strong = erf_network(30, 30**-0.5, sigma_w2=20.0, sigma_v2=30.0)
    with pytest.raises(ValueError, match=r"radius must keep the kernel analytic, got 0\.5"):
        ex.order_covariances(strong, 3, radius=0.5)
    closed = ex.closed_order_energies(strong)
    found = np.diag(ex.order_covariances(strong, 3).values)
    assert found[1:] == pytest.approx([closed.first, closed.second, closed.third], rel=1e-9)


# ---------------------------------------------------------------- gains


@pytest.mark.parametrize("gain", [0.4, 1.7])
def test_gains_by_integration(gain):
    spec = erf_network(3, 0.1).replace(activation=Erf(gain=gain), input_variance=0.7)
    deviation = math.sqrt(1.5 * 0.7)

    def mean(function: object) -> float:
        def integrand(x: float) -> float:
            return function(x * deviation) * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)

        return integrate.quad(integrand, -12, 12, epsabs=1e-13)[0]

    def curvature(x: float) -> float:
        return 16 / math.pi * gain**6 * x**2 * math.exp(-2 * (gain * x) ** 2)

    found = ex.smooth_gains(spec)
    assert found.kappa == pytest.approx(1.5 * mean(lambda x: math.erf(gain * x) ** 2))
    slope = mean(lambda x: 4 * gain**2 / math.pi * math.exp(-2 * (gain * x) ** 2))
    assert found.chi == pytest.approx(2.25 * slope)
    assert found.xi == pytest.approx(1.5**3 * mean(curvature))


def test_quadrature_agrees_with_the_closed_form():
    from scipy.special import erf

    exact = ex.smooth_gains(REFERENCE)
    custom = Custom(lambda x: erf(x / math.sqrt(2)), strip=math.pi)
    found = ex.smooth_gains(REFERENCE.replace(activation=custom))
    assert found == pytest.approx(exact, rel=1e-7)
    tanh = ex.smooth_gains(REFERENCE.replace(activation=Tanh()))
    z = np.linspace(-12, 12, 20001) * math.sqrt(1.5)
    density = np.exp(-z * z / 3)
    curvature = np.sum(density * 4 * np.tanh(z) ** 2 / np.cosh(z) ** 4) / np.sum(density)
    assert tanh.xi == pytest.approx(1.5**3 * curvature, rel=1e-9)


# ---------------------------------------------------------------- against networks


def check_orders() -> None:
    """Energies and cross-covariances of orders 1 to 3 at width 96, trees included."""
    depth, n, networks = 10, 96, 150
    spec = erf_network(depth, depth**-0.5, sigma_w2=2.0, sigma_v2=2.0)
    rng = np.random.default_rng(50)
    sample = expand_erf(n, spec.scales, networks, rng, inner=2.0, outer=2.0)
    closed = ex.closed_order_energies(spec)
    values = ex.order_covariances(spec, 3).values
    expected = np.array([closed.first, closed.second, closed.third])
    measured = Estimate.mean(np.stack([sample.energy(k, k) for k in (1, 2, 3)], axis=1))
    assert measured.resolves(expected / 4)
    assert measured[2].resolves(closed.trees / 3)
    for theory in (expected, np.diag(values)[1:]):
        assert measured.agrees(theory, allowance=2 / n * expected)
    cross = Estimate.mean(sample.energy(1, 3))
    assert cross.resolves(values[1, 3] / 3)
    assert cross.agrees(values[1, 3], allowance=2 / n * abs(values[1, 3]))
    assert Estimate.mean(sample.energy(1, 2)).agrees(values[1, 2])


def no_trees(patch):
    """Paths alone at order 3."""
    patch.setattr(smooth.ClosedEnergies, "third", property(lambda parts: parts.chains))


def unequal_trees(patch):
    """Two earlier blocks feed a later one only if they differ: the factor 3 becomes 1."""
    true = smooth.closed_order_energies
    wrong = lambda spec: true(spec)._replace(trees=true(spec).trees / 3)  # noqa: E731
    patch.setattr(ex, "closed_order_energies", wrong)


def one_scale(patch):
    """The variances inside the kernel are taken at the scale 0."""

    def wrong(spec, covariance):
        reduced = 2 * spec.activation.steepness**2 * covariance
        own = 2 * spec.activation.steepness**2 * spec.weight_variance * spec.input_variance
        return 2 / math.pi * np.arcsin(reduced / (1 + own))

    patch.setattr(torus, "_pair_moment", wrong)


@pytest.mark.mc
def test_orders_of_networks():
    check_orders()


@pytest.mark.mc
@pytest.mark.parametrize("defect", [no_trees, unequal_trees, one_scale])
def test_orders_of_networks_reject(defect):
    must_reject(defect, check_orders)


# ---------------------------------------------------------------- errors


def test_errors():
    with pytest.raises(ValueError, match="activation must be smooth"):
        ex.smooth_gains(REFERENCE.replace(activation=ReLU()))
    with pytest.raises(ValueError, match="activation must be erf or linear"):
        ex.order_covariances(REFERENCE.replace(activation=Tanh()))
    with pytest.raises(ValueError, match="weight_law must be independent"):
        ex.closed_order_energies(REFERENCE.replace(weight_law=FractionalNoise(0.7)))
    with pytest.raises(ValueError, match=r"skip must be 1, got 0\.5"):
        ex.order_covariances(REFERENCE.replace(skip=0.5))
    with pytest.raises(ValueError, match="points must lie between 11 and 1024 for order 5, got 10"):
        ex.order_covariances(REFERENCE, 5, points=10)
    with pytest.raises(ValueError, match="radius must be greater than 0"):
        ex.order_covariances(REFERENCE, 2, radius=0.0)
