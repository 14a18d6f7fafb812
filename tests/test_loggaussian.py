"""The log-Gaussian law: published digits, a second algorithm, limits, and simulation."""

from __future__ import annotations

import itertools
import time
import warnings
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from scipy import integrate, stats

from companion import loggaussian as lg
from companion.activations import (
    Erf,
    abs_moment,
    sign_moment,
    square_moment,
    square_sign_moment,
)
from companion.architecture import ResNetSpec
from tests.networks import Frozen, critical, network, one_to_third

MOMENTS = (sign_moment, abs_moment, square_sign_moment, square_moment)


def rounded(value: float, digits: int) -> float:
    """Half a unit of the last digit given, with a little room for decimal rounding."""
    return pytest.approx(value, abs=0.502 * 10.0**-digits, rel=0)


# ---------------------------------------------------------------- published digits

STATIONARY = [  # eq-lg-hypoactivation
    (0.25, -1.02453, -0.22058),
    (0.5, -1.71772, -0.33503),
    (0.75, -2.36857, -0.42588),
    (0.9, -2.74908, -0.47243),
    (0.99, -2.97499, -0.49743),
]


@pytest.mark.parametrize(("share", "imbalance", "active"), STATIONARY)
def test_stationary_hypoactivation(share, imbalance, active):
    found = lg.stationary_hypoactivation(network(share, 10, 100))
    assert found == (rounded(imbalance, 5), rounded(active, 5))
    deep = lg.hypoactivation(network(share, 8000, 50))
    assert 50 * deep[0][-1] == pytest.approx(found[0], abs=1e-12)
    assert 50 * (deep[1][-1] - 0.5) == pytest.approx(found[1], abs=1e-12)


@pytest.mark.parametrize("s", [0.02, 0.0142, 0.0141, 1e-3, 1e-5, 1e-9])
def test_stationary_hypoactivation_tends_to_its_limit(s):
    """Across the change of algorithm at s = 0.01414, and where alpha rounds to 1."""
    imbalance, active = lg.stationary_hypoactivation(ResNetSpec.log_gaussian(5, 100, 1.0, s))
    edge = 0.20788622497735457 * s**3 / np.pi  # zeta(-1/2), of the square-root edge of the sine
    assert imbalance == pytest.approx(-3 + 5 / 2 * s**2, abs=3 * s**4 + 1e-14)
    assert active == pytest.approx(-0.5 + s**2 / 4 + edge, abs=s**4 + 1e-14)


def test_constant_of_the_log_mean():
    imbalance, _ = lg.stationary_hypoactivation(network(0.5, 10, 100))
    assert 0.5 * imbalance == rounded(-0.8589, 4)


@pytest.mark.parametrize(("k", "value"), [(1, -0.568), (2, -0.927)])
def test_first_layers_of_hypoactivation(k, value):
    assert 100 * lg.hypoactivation(network(0.5, 5, 100))[0][k] == rounded(value, 3)


RATES = [  # eq-lg-v, eq-lg-law, eq-lg-second-moment
    (0.0, 5.0, 5.0, -2.5, 0.0),
    (0.25, 3.5625, 6.49631, -2.54965, 0.69851),
    (0.5, 2.25, 5.44248, -1.98386, 0.73738),
    (0.75, 1.0625, 3.22136, -1.12339, 0.48729),
    (0.9, 0.41, 1.40280, -0.47991, 0.22149),
    (0.99, 0.0401, 0.14699, -0.04980, 0.02369),
]


@pytest.mark.parametrize(("share", "v", "variance", "mean", "second"), RATES)
def test_rates_per_layer(share, v, variance, mean, second):
    shallow, deep = network(share, 9000, 100), network(share, 9001, 100)

    def rate(value):
        return 100 * (value(deep) - value(shallow))

    assert lg.one_layer_variance(deep) == pytest.approx(v, abs=1e-12)
    assert rate(lambda spec: lg.log_norm_law(spec).variance) == rounded(variance, 5)
    assert rate(lambda spec: lg.log_norm_law(spec).mean) == rounded(mean, 5)
    assert rate(lg.log_second_moment) == rounded(second, 5)


@pytest.mark.parametrize(("share", "v", "variance", "mean", "second"), RATES)
def test_rates_per_layer_balanced(share, v, variance, mean, second):
    law = [lg.log_norm_law(network(share, d, 100, balanced=True)) for d in (9000, 9001)]
    assert 100 * (law[1].variance - law[0].variance) == pytest.approx(v, abs=1e-7)
    assert 100 * (law[1].mean - law[0].mean) == pytest.approx(-v / 2, abs=1e-7)
    assert lg.log_second_moment(network(share, 9000, 100, balanced=True)) == pytest.approx(
        0, abs=1e-10
    )


NORM_TABLE = [  # spec, mean, variance (input layer exact)
    (network(0.5, 100, 100), -1.966, 5.356),
    (network(0.5, 400, 400), -1.979, 5.421),
    (network(0.5, 100, 400), -0.492, 1.339),
    (network(0.9, 100, 100), -0.442, 1.237),
    (network(0.25, 100, 100), -2.545, 6.458),
    (network(0.0, 100, 100), -2.510, 5.020),
    (network(0.5, 100, 100, balanced=True), -1.135, 2.270),
    (network(0.5, 100, 400, balanced=True), -0.284, 0.568),
    (one_to_third(50, 200), 4.226, 0.218),
]


@pytest.mark.parametrize(("spec", "mean", "variance"), NORM_TABLE)
def test_log_norm_law_table(spec, mean, variance):
    law = lg.log_norm_law(spec, input_layer="exact")
    assert (law.mean, law.variance) == (rounded(mean, 3), rounded(variance, 3))


def test_mean_of_the_log_norm_in_its_two_forms():
    """The identity C - 2 r M = S: mu = -beta / 2 + lambda^4 Sigma[S] / n."""
    for share in (0.25, 0.5, 0.9):
        spec = network(share, 70, 30)
        law = lg.log_norm_law(spec)
        assert law.mean == pytest.approx(-law.variance / 2 + lg.log_second_moment(spec), abs=1e-13)


FULLY_CONNECTED = network(0.0, 100, 100)


def test_fully_connected_digits():
    layer = lg.fully_connected_law(network(0.0, 1, 100), input_layer="none")
    assert (layer.mean, layer.variance) == (rounded(-0.0254209, 7), rounded(0.0519400, 7))
    whole = lg.fully_connected_law(FULLY_CONNECTED)
    assert (whole.mean, whole.variance) == (rounded(-2.5521, 4), rounded(5.2142, 4))
    blocks = lg.fully_connected_law(FULLY_CONNECTED, input_layer="none")
    assert (blocks.mean, blocks.variance) == (rounded(-2.54209, 5), rounded(5.19400, 5))


@pytest.mark.parametrize("n", [1, 2, 3, 20, 100])
def test_fully_connected_law_at_thirty_digits(n):
    with mpmath.workdps(30):
        alive = 1 - mpmath.mpf(2) ** -n
        p = [mpmath.binomial(n, b) * mpmath.mpf(2) ** -n / alive for b in range(1, n + 1)]
        psi = [mpmath.digamma(mpmath.mpf(b) / 2) for b in range(1, n + 1)]
        mean = mpmath.fdot(p, psi) + mpmath.log(mpmath.mpf(4) / n)
        inner = [mpmath.psi(1, mpmath.mpf(b) / 2) + x**2 for b, x in enumerate(psi, 1)]
        variance = mpmath.fdot(p, inner) - mpmath.fdot(p, psi) ** 2
        start = mpmath.digamma(mpmath.mpf(n) / 2) - mpmath.log(mpmath.mpf(n) / 2)
        spread = mpmath.psi(1, mpmath.mpf(n) / 2)
    law = lg.fully_connected_law(network(0.0, 7, n))
    assert law.mean == pytest.approx(float(7 * mean + start), rel=1e-12)
    assert law.variance == pytest.approx(float(7 * variance + spread), rel=1e-11)


def test_fully_connected_law_tends_to_its_leading_order():
    for n in (10**3, 10**4):
        law = lg.fully_connected_law(network(0.0, 1, n), input_layer="none")
        assert law.mean == pytest.approx(-2.5 / n, abs=10 / n**2)
        assert law.variance == pytest.approx(5 / n, abs=30 / n**2)


def test_fully_connected_density_digits():
    x, density = lg.fully_connected_density(FULLY_CONNECTED, input_layer=False)
    step = x[1] - x[0]
    mean = float(np.sum(x * density) * step)
    assert x.shape == density.shape == (4096,)
    assert float(np.sum(density) * step) == pytest.approx(1, abs=1e-12)
    assert mean == rounded(-2.542089, 6)
    assert float(np.sum((x - mean) ** 2 * density) * step) == rounded(5.193999, 6)


@pytest.mark.parametrize(("d", "n"), [(1, 1), (1, 2), (10, 2), (3, 50), (2000, 100), (10, 10**4)])
@pytest.mark.parametrize("input_layer", [True, False])
def test_fully_connected_density_has_the_exact_moments(d, n, input_layer):
    spec = ResNetSpec.log_gaussian(d, n, 0.0, 1.7)
    law = lg.fully_connected_law(spec, input_layer="exact" if input_layer else "none")
    x, density = lg.fully_connected_density(spec, input_layer=input_layer)
    step = x[1] - x[0]
    mean = np.sum(x * density) * step
    assert np.sum(density) * step == pytest.approx(1, abs=1e-10)
    # An exponential left tail, of rate 1/2 at widths 1 and 2, ends at 14 standard deviations.
    error = 2e-5 if d == 1 and not input_layer else 1e-6
    assert mean == pytest.approx(law.mean, abs=error * law.std)
    assert np.sum((x - mean) ** 2 * density) * step == pytest.approx(law.variance, rel=error)
    assert density.min() > -1e-9 * density.max()


def test_fully_connected_density_of_one_layer():
    """One block of width 2: a mixture of two chi-square laws, written out."""
    x, density = lg.fully_connected_density(network(0.0, 1, 2), input_layer=False, points=2**16)
    inside = slice(2**15 - 3000, 2**15 + 3000)
    e = np.exp(x[inside])  # R_1 / R_0 = chi^2_B, with B = 1, 2 of weights 2/3, 1/3
    exact = e * (2 / 3 * stats.chi2.pdf(e, 1) + 1 / 3 * stats.chi2.pdf(e, 2))
    assert np.abs(density[inside] - exact).max() < 1e-4 * exact.max()


def test_second_moment_digits():
    assert lg.log_second_moment(network(0.5, 50, 100)) == rounded(0.3429, 4)


def test_second_moment_at_the_critical_scale():
    spec = critical(50, 10)
    assert np.exp(lg.log_second_moment(spec)) == rounded(1.6639, 4)
    assert np.exp(lg.log_second_moment(spec.replace(balanced=True))) == rounded(1.6446, 4)


GRADIENTS = [  # spec, mean or None, variance (decimals as published)
    (network(0.5, 3, 100), None, 0.0800, 4),
    (network(0.5, 30, 1000), None, 0.0997, 4),
    (network(0.75, 10, 500), None, 0.0311, 4),
    (network(0.0, 50, 200), -0.625, 1.25, 3),
    (network(0.5, 100, 100, balanced=True), -1.125, 2.25, 3),
]


@pytest.mark.parametrize(("spec", "mean", "variance", "digits"), GRADIENTS)
def test_gradient_law_digits(spec, mean, variance, digits):
    law = lg.gradient_law(spec)
    assert law.variance == rounded(variance, digits)
    exponent = lg.log_second_moment(spec)
    assert law.mean == pytest.approx(exponent - law.variance / 2, abs=1e-13)
    if mean is not None:
        assert law.mean == rounded(mean, digits)


def test_gradient_law_outside_its_domain():
    """First order at d = n: (-.99, 3.40), with a warning that says so."""
    with pytest.warns(lg.DomainWarning, match="first order in depth/width.*matrixfree.backward"):
        law = lg.gradient_law(network(0.5, 100, 100))
    assert (law.mean, law.variance) == (rounded(-0.99, 2), rounded(3.40, 2))
    with pytest.warns(lg.DomainWarning):
        deep = [lg.gradient_law(network(0.5, d, 100)) for d in (900, 901)]
    assert 100 * (deep[1].variance - deep[0].variance) == rounded(3.4323, 4)


@pytest.mark.parametrize(
    "spec",
    [
        network(0.5, 9, 100),
        network(0.9, 49, 100),
        network(0.0, 500, 10),
        network(0.5, 500, 10, balanced=True),
    ],
)
def test_gradient_law_is_silent_inside_its_domain(spec):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lg.gradient_law(spec)


@pytest.mark.parametrize(
    ("d", "n", "value", "digits"),
    [(20, 800, 0.01366, 5), (5, 200, 0.00669, 5), (20, 200, 0.0546, 4)],
)
def test_backward_reuse_shift_digits(d, n, value, digits):
    assert lg.backward_reuse_shift(network(0.5, d, n)) == rounded(value, digits)
    assert lg.backward_reuse_shift(network(0.5, d, n, balanced=True)) == 0
    assert lg.backward_reuse_shift(network(0.0, d, n)) == 0


@pytest.mark.parametrize(("d", "value", "digits"), [(10, 0.0845, 4), (20, 0.177, 3)])
def test_tangent_alignment_digits(d, value, digits):
    assert lg.tangent_alignment(network(0.5, d, 200)) == rounded(value, digits)


TWO_INPUTS = [  # alpha^2, rho_0, covariance, digits, rho_d  (n = 400, d = 60)
    (0.5, 0.5, 0.673, 3, 0.9732),
    (0.9, 0.0, 0.0619, 4, 0.7348),
    (0.5, -0.8, 0.580, 3, 0.9675),
]


@pytest.mark.parametrize(("share", "rho", "covariance", "digits", "cosine"), TWO_INPUTS)
def test_two_inputs_digits(share, rho, covariance, digits, cosine):
    spec = network(share, 60, 400)
    assert lg.covariance_two_inputs(spec, rho) == rounded(covariance, digits)
    path = lg.mean_cosines(spec, rho)
    assert (path.shape, path[0], path[-1]) == ((61,), rho, rounded(cosine, 4))


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("balanced", [False, True])
def test_equal_inputs_have_the_covariance_of_one(share, balanced):
    spec = network(share, 60, 400, balanced=balanced)
    one = lg.log_norm_law(spec).variance
    assert lg.covariance_two_inputs(spec, 1.0) == pytest.approx(one, rel=1e-13)
    assert lg.log_norm_law(network(0.5, 60, 400)).variance == rounded(0.795, 3)


@pytest.mark.parametrize(
    ("c", "d", "value", "digits"),
    [(1, 10**6, 8.457, 3), (4, 10**6, 43.09, 2), (1, 200, 8.456, 3), (4, 200, 42.8, 1)],
)
def test_variance_at_the_critical_scale(c, d, value, digits):
    law = lg.log_norm_law(network(1 - c / d, d, 200), input_layer="exact")
    exact = 200 * float(mpmath.psi(1, 100)) - 2
    assert 200 * law.variance - (exact if d > 200 else 0) == rounded(value, digits)


@pytest.mark.parametrize("c", [1, 4])
def test_variance_at_the_critical_scale_is_an_integral(c):
    integral = integrate.quad(lambda u: (1 - u) * square_moment(np.exp(-c * u / 2)), 0, 1)[0]
    limit = 2 + 4 * c + 2 * c**2 * integral
    for d in (10**3, 10**4, 10**5):
        law = lg.log_norm_law(network(1 - c / d, d, 1000))
        assert 1000 * law.variance == pytest.approx(limit, abs=20 * c**3 / d)


@pytest.mark.parametrize(
    ("share", "lag", "value", "digits"),
    [
        (0.5, 0, 3, 6),
        (0.5, 1, 1.955, 3),
        (0.5, 2, 1.327, 3),
        (0.5, 4, 0.643, 3),
        (0.5, 8, 0.159, 3),
        (0.9, 1, 2.799, 3),
        (0.9, 4, 2.297, 3),
        (0.9, 16, 1.130, 3),
    ],
)
def test_imbalance_covariance_digits(share, lag, value, digits):
    assert 100 * lg.imbalance_covariance(network(share, 20, 100), lag) == rounded(value, digits)


def test_active_fraction_covariance_digits():
    assert 100 * lg.active_fraction_covariance(network(0.5, 9, 100), 1) == rounded(0.1250, 4)
    assert 100 * lg.active_fraction_covariance(network(0.5, 9, 100), 0) == pytest.approx(0.25)


def test_balanced_covariances_vanish_between_layers():
    spec = network(0.5, 9, 100, balanced=True)
    assert lg.imbalance_covariance(spec, [0, 1, 9]).tolist() == pytest.approx([0.03, 0, 0])
    assert lg.active_fraction_covariance(spec, [0, 1]).tolist() == pytest.approx([0.0025, 0])


def test_shares_are_exact_fractions():
    """The rates of eq-lg-v are polynomials: 5 - 6 a + a^2 of a = alpha^2."""
    for a in (Fraction(1, 4), Fraction(1, 2), Fraction(3, 4)):
        exact = 5 - 6 * a + a**2
        assert lg.one_layer_variance(network(float(a), 2, 5)) == pytest.approx(float(exact))


# ---------------------------------------------------------------- a second algorithm


def exact_moments(r: mpmath.mpf) -> list[mpmath.mpf]:
    """The functions A, M, S, C at the working precision of mpmath (eq-lg-amsc)."""
    angle, side = mpmath.asin(r), mpmath.sqrt(1 - r**2)
    quarter = 2 / mpmath.pi
    return [
        quarter * angle,
        quarter * (r * angle + side),
        quarter * (angle + r * side),
        quarter * ((1 + 2 * r**2) * angle + 3 * r * side),
    ]


@pytest.mark.parametrize(("share", "depth"), [(0.25, 40), (0.5, 40), (0.9, 60), (0.99, 60)])
@pytest.mark.parametrize("index", [0, 2, 3])
def test_lag_sum_against_the_double_sum(share, depth, index):
    with mpmath.workdps(30):
        alpha = mpmath.sqrt(mpmath.mpf(share))
        by_lag = [exact_moments(alpha**m)[index] for m in range(1, depth)]
        double = sum(by_lag[k - j - 1] for j in range(depth) for k in range(j + 1, depth))
    found = lg.lag_sum(MOMENTS[index], share**0.5, depth)
    assert found == pytest.approx(float(double), rel=1e-13)


def test_lag_sum_drops_only_invisible_lags():
    """Far beyond the last visible lag the sum is linear in depth, to rounding."""
    alpha = 0.5**0.5
    sums = [lg.lag_sum(square_moment, alpha, d) for d in (200, 10**5, 2 * 10**5)]
    slope = (sums[1] - sums[0]) / (10**5 - 200)
    assert sums[2] - sums[1] == pytest.approx(10**5 * slope, rel=1e-13)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_hypoactivation_at_thirty_digits(share):
    depth, n = 30, 50
    with mpmath.workdps(30):
        alpha = mpmath.sqrt(mpmath.mpf(share))
        weight = 1 - mpmath.mpf(share)
        r = [alpha**m for m in range(1, depth + 1)]
        imbalance = [0, *np.cumsum([-2 * weight / n * x * exact_moments(x)[1] for x in r])]
        sines = np.cumsum([-weight / n / mpmath.pi * x * mpmath.sqrt(1 - x**2) for x in r])
    found = lg.hypoactivation(network(share, depth, n))
    np.testing.assert_allclose(found[0], np.array(imbalance, dtype=float), rtol=1e-13)
    np.testing.assert_allclose(found[1] - 0.5, np.array([0, *sines], dtype=float), atol=1e-15)


def test_two_inputs_against_the_double_sum():
    alpha2, rho, d, n = 0.75, -0.3, 25, 60
    lam2 = 1 - alpha2
    with mpmath.workdps(30):
        path = [mpmath.mpf(rho)]
        kappa = []
        for _ in range(d):
            r = path[-1]
            k = (mpmath.sqrt(1 - r**2) + r * (mpmath.pi - mpmath.acos(r))) / mpmath.pi
            kappa.append(k)
            path.append(alpha2 * r + lam2 * k)
        total = 2 * path[0] ** 2
        for j in range(d):
            square = exact_moments(path[j])[3]
            total += lam2**2 * (2 * kappa[j] ** 2 + square) + 4 * alpha2 * lam2 * path[j] * kappa[j]
            for k in range(j + 1, d):
                r = path[j] * mpmath.mpf(alpha2) ** (mpmath.mpf(k - j) / 2)
                total += 2 * lam2**2 * exact_moments(r)[3]
    spec = network(alpha2, d, n)
    assert lg.covariance_two_inputs(spec, rho) == pytest.approx(float(total / n), rel=1e-12)
    np.testing.assert_allclose(lg.mean_cosines(spec, rho), np.array(path, dtype=float), rtol=1e-13)


def test_triple_expectation_of_the_cavity_argument():
    """E[x|x| u |y|] = 2 alpha M(alpha^m) + alpha^(m-1) S(alpha^m), by a double integral."""
    alpha, m = 0.7, 3
    r = alpha**m
    closed = 2 * alpha * abs_moment(r) + alpha ** (m - 1) * square_sign_moment(r)
    assert closed == rounded(1.1539, 4)
    # u given (x, y) is linear in them; y given x has mean r x and variance 1 - r^2.
    on_x, on_y = np.linalg.solve([[1, r], [r, 1]], [alpha, alpha ** (m - 1)])
    side = np.sqrt(1 - r**2)

    def integrand(z, x):
        y = r * x + side * z
        return x * abs(x) * (on_x * x + on_y * y) * abs(y) * np.exp(-(x**2 + z**2) / 2)

    total = 0.0  # cut along the kinks x = 0 and y = 0
    for low, high in ((-9, 0), (0, 9)):
        for ends in ((-12, lambda x: -r * x / side), (lambda x: -r * x / side, 12)):
            total += integrate.dblquad(integrand, low, high, *ends, epsabs=1e-10)[0]
    assert total / (2 * np.pi) == pytest.approx(closed, abs=1e-7)


@pytest.mark.parametrize("outputs", [1, 2, 10, 400])
@pytest.mark.parametrize("variance", [1e-6, 1e-3, 0.05, 1.0, 30.0])
def test_output_density_against_adaptive_quadrature(outputs, variance):
    """Narrow and wide factors: neither may fall between the points of the rule."""
    spec = network(0.5, 10, 100, n_out=outputs).replace(readout_variance=2.5)
    law = lg.LogGaussian(0.3, variance)
    centre = 0.3 + np.log(2.5 * outputs)

    def mixture(g, x):
        e = np.exp(x - g) / 2.5
        return law.pdf(g) * e * stats.chi2.pdf(e, outputs)

    for x in centre + np.array([-2.0, -0.1, 0.0, 0.3]):
        cuts = 0.3 + law.std * np.linspace(-9, 9, 37)
        pieces = [integrate.quad(mixture, a, b, args=(x,))[0] for a, b in itertools.pairwise(cuts)]
        found = float(lg.output_log_density(spec, x, law=law))
        assert found == pytest.approx(sum(pieces), rel=1e-7, abs=1e-12)


def test_output_density_is_normalised_and_has_the_right_moments():
    spec = network(0.5, 30, 100, n_out=10)
    x = np.linspace(-40, 30, 7001)
    density = lg.output_log_density(spec, x)
    law = lg.log_norm_law(spec)
    mean = np.sum(x * density) * 0.01
    assert np.sum(density) * 0.01 == pytest.approx(1, abs=1e-10)
    assert mean == pytest.approx(law.mean + np.log(2) + float(mpmath.digamma(5)), abs=1e-9)
    variance = law.variance + float(mpmath.psi(1, 5))
    assert np.sum((x - mean) ** 2 * density) * 0.01 == pytest.approx(variance, abs=1e-8)


def test_output_density_of_infinite_width():
    spec = network(0.5, 30, 100, n_out=3)
    x = np.array([-900.0, -2.0, 0.5, 900.0])
    found = lg.output_log_density(spec, x, law=lg.LogGaussian(0.0, 0.0))
    e = np.exp(x[1:3])
    np.testing.assert_allclose(found[1:3], e * stats.chi2.pdf(e, 3), rtol=1e-12)
    assert found[0] == found[3] == 0


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize("balanced", [False, True])
def test_without_branches_only_the_input_layer_is_random(balanced):
    spec = ResNetSpec.log_gaussian(50, 100, 1.0, 0.0, balanced=balanced)
    law = lg.log_norm_law(spec)
    assert (law.mean, law.variance) == (-0.01, 0.02)
    assert lg.stationary_hypoactivation(spec) == (0.0, 0.0)
    assert lg.log_second_moment(spec) == lg.backward_reuse_shift(spec) == 0
    assert np.all(lg.hypoactivation(spec)[0] == 0)
    assert np.all(lg.hypoactivation(spec)[1] == 0.5)
    assert lg.gradient_law(spec) == lg.LogGaussian(0.0, 0.0)


def test_without_skip_nothing_couples_the_layers():
    vanilla, balanced = network(0.0, 50, 100), network(0.0, 50, 100, balanced=True)
    assert lg.log_norm_law(vanilla) == lg.log_norm_law(balanced)
    assert np.all(lg.hypoactivation(vanilla)[0] == 0)
    assert lg.stationary_hypoactivation(vanilla) == (0.0, 0.0)
    assert lg.imbalance_covariance(vanilla, [0, 1, 2]).tolist() == pytest.approx([0.03, 0, 0])


def test_one_block_has_no_interlayer_term():
    for share in (0.0, 0.3, 0.9):
        vanilla, balanced = network(share, 1, 20), network(share, 1, 20, balanced=True)
        assert lg.log_norm_law(vanilla) == lg.log_norm_law(balanced)
        assert lg.gradient_law(vanilla) == lg.gradient_law(balanced)


def test_a_million_blocks_cost_nothing():
    spec = network(0.5, 10**6, 100)
    lg.log_norm_law(spec)  # imports
    start = time.process_time()
    law, second = lg.log_norm_law(spec), lg.log_second_moment(spec)
    assert time.process_time() - start < 0.1
    deep = network(0.5, 2 * 10**6, 100)
    assert lg.log_norm_law(deep).variance == pytest.approx(2 * law.variance, rel=1e-5)
    assert lg.log_second_moment(deep) == pytest.approx(2 * second, rel=1e-5)


def test_scale_is_reduced_by_homogeneity():
    """(a, s) is (alpha, lambda) and a deterministic growth d ln(a^2 + s^2)."""
    d, n, a, s = 40, 100, 0.8, 1.3
    q2 = a**2 + s**2
    plain, reduced = ResNetSpec.log_gaussian(d, n, a, s), network(a**2 / q2, d, n)
    law, normal = lg.log_norm_law(plain), lg.log_norm_law(reduced)
    assert law.variance == pytest.approx(normal.variance, rel=1e-13)
    assert law.mean == pytest.approx(normal.mean + d * np.log(q2), rel=1e-13)
    other = lg.log_norm_law(plain.replace(input_variance=3.0))
    assert other.mean - law.mean == pytest.approx(np.log(3.0), abs=1e-13)
    np.testing.assert_allclose(lg.hypoactivation(plain), lg.hypoactivation(reduced), rtol=1e-12)


def test_equal_cosines_stay_one():
    assert np.all(lg.mean_cosines(network(0.5, 20000, 10), 1.0) == 1.0)
    assert lg.mean_cosines(network(0.5, 3, 10), -1.0)[1] == pytest.approx(-0.5)


# ---------------------------------------------------------------- errors

PLAIN = network(0.5, 4, 10)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ResNetSpec.tangent_kernel(5, 10, alpha=0.3), "single ReLU blocks, got block='two-layer'"),
        (PLAIN.replace(activation=Erf()), "single ReLU blocks.*activation=Erf"),
        (PLAIN.replace(bias_variance=0.1), "bias_variance must be 0.*got 0.1"),
        (PLAIN.replace(scale=(0.1, 0.2, 0.1, 0.1)), "scale must be equal in all .*0.1 to 0.2"),
        (PLAIN.replace(weight_law=Frozen()), "weight_law must be independent across layers"),
    ],
)
def test_networks_outside_the_theory(spec, message):
    for law in (lg.log_norm_law, lg.log_second_moment, lg.gradient_law, lg.hypoactivation):
        with pytest.raises(ValueError, match=message):
            law(spec)


def test_bad_arguments():
    with pytest.raises(ValueError, match="input_layer must be 'leading', 'exact' or 'none'"):
        lg.log_norm_law(PLAIN, input_layer="some")
    with pytest.raises(ValueError, match=r"lags must lie in 0..4, got \[5\]"):
        lg.imbalance_covariance(PLAIN, [5])
    with pytest.raises(ValueError, match="lags must lie in"):
        lg.active_fraction_covariance(PLAIN, -1)
    with pytest.raises(ValueError, match=r"skip must be 0 for a fully connected network, got 0\.7"):
        lg.fully_connected_law(PLAIN)
    with pytest.raises(ValueError, match="skip must be 0"):
        lg.fully_connected_density(PLAIN)
    for rho in (1.1, -2.0, float("nan")):
        with pytest.raises(ValueError, match=r"rho must be a cosine in \[-1, 1\]"):
            lg.mean_cosines(PLAIN, rho)
    with pytest.raises(ValueError, match="balanced must be False"):
        lg.tangent_alignment(network(0.5, 4, 10, balanced=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d": -1}, "depth must be .*got -1"),
        ({"n": 0}, "width must be .*got 0"),
        ({"alpha": 0.0, "lam": 0.0}, "skip and scale must not both be zero"),
        ({"alpha": float("nan")}, "skip must be .*got nan"),
        ({"lam": -0.5}, "scale must be .*got -0.5"),
    ],
)
def test_bad_networks(change, message):
    arguments = {"d": 5, "n": 10, "alpha": 0.5, "lam": 0.5} | change
    with pytest.raises(ValueError, match=message):
        ResNetSpec.log_gaussian(**arguments)
