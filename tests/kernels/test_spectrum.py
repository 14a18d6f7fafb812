"""Eigenvalues on the sphere: exact cases, asymptotics, and the risks made from them."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

from companion.architecture import ResNetSpec
from companion.kernels import spectrum, tangent, tangent_limits
from companion.kernels.table import tangent_table

BOTH = np.array([299, 300])


def network(depth: int, **scale: float) -> ResNetSpec:
    return ResNetSpec.tangent_kernel(depth, 1, **scale)


@pytest.mark.parametrize("dimension", [2, 3, 5, 8])
def test_quadrature_and_polynomials_are_orthogonal(dimension):
    theta, weights = spectrum.quadrature(dimension)
    assert weights.sum() == pytest.approx(1.0, abs=2e-15)
    zonal = spectrum.gegenbauer(40, dimension, theta)
    products = zonal * weights @ zonal.T
    norms = 1 / spectrum.multiplicity(np.arange(41), dimension)
    assert np.abs(products - np.diag(norms)).max() < 5e-15
    assert spectrum.gegenbauer(40, dimension, 0.0) == pytest.approx(1.0, abs=1e-13)


def test_known_polynomials_and_counts():
    theta = np.linspace(0, math.pi, 7)
    chebyshev = spectrum.gegenbauer(9, 2, theta)
    assert chebyshev[9] == pytest.approx(np.cos(9 * theta), abs=1e-13)
    legendre = np.polynomial.legendre.legval(np.cos(theta), [0] * 6 + [1])
    assert spectrum.gegenbauer(6, 3, theta)[6] == pytest.approx(legendre, abs=1e-14)
    assert spectrum.gegenbauer(0, 4, theta).shape == (1, 7)
    assert spectrum.multiplicity([0, 1, 2, 3, 10], 3).tolist() == [1, 3, 5, 7, 21]
    assert spectrum.multiplicity([0, 1, 2, 7], 2).tolist() == [1, 2, 2, 2]
    assert spectrum.multiplicity([0, 1, 2, 3], 5).tolist() == [1, 5, 14, 30]


def test_eigenvalues_of_known_kernels():
    found = spectrum.eigenvalues(lambda t: np.cos(t) ** 2, 4, 3)
    assert found == pytest.approx([1 / 4, 0, 3 / 4 / 9, 0], abs=1e-15)
    one = spectrum.eigenvalues(tangent_limits.two_layer_kernel, 3, 300)
    assert one[:3] == pytest.approx([1 / 4, 1 / 6, 5 / 128], abs=1e-15)
    assert np.abs(one[3::2]).max() < 1e-15, "odd harmonics are invisible to two layers"
    assert one[300] * 2 * math.pi * 300.5**3 == pytest.approx(1.00009, abs=6e-6)


@pytest.mark.parametrize(
    ("dimension", "plain"), [(2, -2.0005), (3, -2.990), (5, -4.948), (8, -7.835)]
)
def test_the_exponent_of_even_degrees_is_minus_the_dimension(dimension, plain):
    mu = spectrum.eigenvalues(tangent_limits.two_layer_kernel, dimension, 200)
    shift = (dimension - 2) / 2
    fall = math.log(mu[200] / mu[100])
    exact = {2: -2.0005, 3: -3.0009, 5: -5.002, 8: -8.004}[dimension]
    slope = fall / math.log((200 + shift) / (100 + shift))
    assert slope == pytest.approx(exact, abs=6e-4)
    assert fall / math.log(2) == pytest.approx(plain, abs=6e-4)
    total = float(spectrum.multiplicity(np.arange(201), dimension) @ mu)
    assert 0.998 < total < 1, "the eigenvalues with multiplicity add up to one"


@pytest.mark.parametrize(
    ("depth", "scale", "ratios", "alone"),
    [
        (2, {"alpha": 1.0}, (1.0001, 1.0001), (0.778, 1.222)),
        (10, {"alpha": 1.0}, (1.0000, 1.0000), None),
        (1000, {"gamma": 0.5}, (1.0001, 1.0001), (0.9998, 1.0003)),
        (1000, {"gamma": 0.25}, (0.9974, 0.9974), None),
        (100, {"alpha": 1.0}, (0.9933, 0.9934), None),
    ],
)
def test_two_kinks_set_the_decay(depth, scale, ratios, alone):
    spec = network(depth, **scale)
    mu = spectrum.eigenvalues(tangent_table(spec), 3, 300)[BOTH]
    slopes = tangent_limits.diagonal_slope(spec), tangent_limits.antipode_slope(spec)
    assert mu / spectrum.kink_eigenvalues(BOTH, 3, *slopes) == pytest.approx(ratios, abs=6e-5)
    if alone:
        one = spectrum.kink_eigenvalues(BOTH, 3, slopes[0], 0.0)
        assert mu / one == pytest.approx(alone, abs=6e-4)
    direct = spectrum.eigenvalues(functools.partial(tangent.normalized_kernel, spec), 3, 300)
    assert np.abs(direct[BOTH] / mu - 1).max() < 1e-6


@pytest.mark.parametrize(
    ("dimension", "depth", "bound"), [(2, 1, 1e-4), (2, 30, 2e-4), (5, 2, 3e-4), (5, 30, 3e-4)]
)
def test_two_kinks_in_other_dimensions(dimension, depth, bound):
    spec = network(depth, gamma=0.5)
    mu = spectrum.eigenvalues(tangent_table(spec), dimension, 300)
    slopes = tangent_limits.diagonal_slope(spec), tangent_limits.antipode_slope(spec)
    expected = spectrum.kink_eigenvalues(BOTH, dimension, *slopes)
    even_only = slice(1, 2) if depth == 1 else slice(0, 2)
    assert mu[BOTH][even_only] == pytest.approx(expected[even_only], rel=bound)


def test_the_odd_eigenvalues_vanish_with_the_effective_depth():
    mu = spectrum.eigenvalues(tangent_table(network(1000, gamma=1.0)), 3, 4)
    assert mu[3] == pytest.approx(2.0e-5, abs=6e-7)
    assert mu[4] == pytest.approx(2.6e-3, abs=6e-5)


def test_the_plateau_below_the_effective_depth():
    mu = spectrum.eigenvalues(tangent_table(network(10_000, alpha=1.0)), 3, 100)
    degrees = np.array([5, 20, 100])
    ratio = mu[degrees] / spectrum.plateau_eigenvalues(degrees, 5000.0)
    assert ratio == pytest.approx([0.979, 0.977, 0.907], abs=6e-4)
    assert mu[0] == pytest.approx(0.25, abs=1e-3)


def test_the_idealised_risk_is_a_sum_over_harmonics():
    mu, signal = np.array([0.25, 0.1, 0.0]), np.array([1.0, 0.5, 0.2])
    times = np.array([0.0, 3.0, 1e9])
    found = spectrum.idealised_risk(mu, 3, signal, 0.3, 50, times)
    expected = []
    for t in times:
        total = 0.0
        for m, s, count in zip(mu, signal, (1, 3, 5), strict=True):
            total += count * (s * math.exp(-2 * t * m) + 0.09 / 50 * (1 - math.exp(-t * m)) ** 2)
        expected.append(total)
    assert found == pytest.approx(expected, rel=1e-13)
    assert found[0] == pytest.approx(1 + 1.5 + 1.0)
    assert found[2] == pytest.approx(1.0 + 4 * 0.09 / 50)
    tiny = spectrum.idealised_risk([1e-12], 3, [0.0], 1.0, 1, 1.0)
    assert tiny == pytest.approx(1e-24, rel=1e-9)


@pytest.mark.parametrize(
    ("samples", "depth", "bias"),
    [
        (400, 300, 0.296),
        (400, 1000, 0.639),
        (400, 3000, 0.851),
        (1000, 1000, 0.377),
        (1000, 300, 0.104),
        (100, 100, 0.377),
    ],
)
def test_the_bias_of_a_degenerate_kernel(samples, depth, bias):
    mu = spectrum.plateau_eigenvalues(2, depth)
    assert spectrum.interpolation_bias(mu, samples) == pytest.approx(bias, abs=6e-4)


def test_the_threshold_is_where_a_quarter_is_lost():
    for samples, degree in ((100, 2), (477, 5)):
        depth = spectrum.degeneration_threshold(samples, degree)
        mu = spectrum.plateau_eigenvalues(degree, depth)
        assert samples * mu == pytest.approx(0.75, rel=1e-14)
        assert spectrum.interpolation_bias(mu, samples) == pytest.approx(0.25, rel=1e-14)
    assert spectrum.degeneration_threshold(400, 2) == pytest.approx(80 * math.pi)


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"dimension must be at least 2"):
        spectrum.quadrature(1)
    with pytest.raises(ValueError, match=r"degrees must be whole numbers from 0"):
        spectrum.multiplicity(-1, 3)
    with pytest.raises(ValueError, match=r"degrees must be whole numbers from 1"):
        spectrum.kink_eigenvalues([0, 1], 3, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"kernel\(theta\) must have the shape"):
        spectrum.eigenvalues(lambda t: np.ones(3), 3, 2)
    with pytest.raises(ValueError, match=r"kernel\(theta\) must be finite"):
        spectrum.eigenvalues(lambda t: np.full_like(t, np.nan), 3, 2)
    with pytest.raises(ValueError, match=r"spectrum and signal must be vectors of one length"):
        spectrum.idealised_risk([1.0], 3, [1.0, 2.0], 0.1, 5, 1.0)
    with pytest.raises(ValueError, match=r"eigenvalue must be at least 0"):
        spectrum.interpolation_bias(-1.0, 5)
