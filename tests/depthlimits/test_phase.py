"""Critical exponents: series, finite-size values, and what happens between the exponents."""

from __future__ import annotations

import math

import numpy as np
import pytest

from companion import depthlimits as dl
from companion.depthlimits import phase
from companion.montecarlo import Estimate
from companion.weights import FractionalNoise
from tests.defects import must_reject
from tests.depthlimits.networks import explicit


def test_exponents():
    assert [dl.forward_exponent(h) for h in (0.2, 0.5, 0.8)] == [0.5, 0.5, 0.8]
    assert [dl.forward_exponent(h, "single") for h in (0.1, 0.4, 0.8)] == [0.25, 0.4, 0.8]
    assert [dl.backward_exponent(h) for h in (0.2, 0.75, 0.9)] == [0.5, 0.5, pytest.approx(0.8)]
    assert dl.backward_exponent(0.9, width=40) == 0.9


@pytest.mark.parametrize(
    ("hurst", "forward", "backward"),
    [
        (0.05, 0.4325, 0.5747),
        (0.1, 0.4194, 0.5657),
        (0.2, 0.3938, 0.5465),
        (0.3, 0.3699, 0.5267),
        (0.4, 0.3502, 0.5090),
    ],
)
def test_constants(hurst, forward, backward):
    assert dl.forward_constant(hurst) == pytest.approx(forward, abs=5.1e-5)
    assert dl.backward_constant(hurst) == pytest.approx(backward, abs=5.1e-5)


def test_constants_at_the_ends():
    assert dl.forward_constant(0.5) == pytest.approx(0.5 - 1 / (2 * math.pi), abs=1e-15)
    assert dl.backward_constant(0.5) == pytest.approx(0.5, abs=1e-15)
    # as H tends to 0 the covariance tends to 1, -1/2, 0, ...
    limit = 0.5 - float(dl.kappa(-0.5))
    assert limit == pytest.approx(0.4455, abs=5e-5)
    assert dl.forward_constant(1e-6) == pytest.approx(limit, abs=1e-5)


@pytest.mark.parametrize("hurst", [0.02, 0.1])
def test_constants_to_30_digits(hurst):
    """The same series with other software: 300 terms and Euler-Maclaurin, in 30 digits."""
    from mpmath import acos, asin, mp, mpf, pi, sqrt, sumem

    with mp.workdps(30):
        h = mpf(hurst)

        def gamma(k):
            return ((k - 1) ** (2 * h) - 2 * k ** (2 * h) + (k + 1) ** (2 * h)) / 2

        def forward(k):
            g = gamma(k)
            return g * ((sqrt(1 - g * g) + g * (pi - acos(g)) - 1) / (2 * pi))

        def backward(k):
            g = gamma(k)
            return g * g * (mpf(1) / 4 + asin(g) / (2 * pi))

        for function, own, found in (
            (forward, mpf(1) / 2 - 1 / (2 * pi), dl.forward_constant(hurst)),
            (backward, mpf(1) / 2, dl.backward_constant(hurst)),
        ):
            body = sum(function(mpf(k)) for k in range(1, 300))
            tail = sumem(function, [300, mp.inf], tol=mpf("1e-18"))
            assert found == pytest.approx(float(own + 2 * (body + tail)), abs=3e-14)


@pytest.mark.parametrize("hurst", [0.2, 0.4, 0.6, 0.7])
def test_constants_do_not_depend_on_where_the_tail_begins(hurst, monkeypatch):
    """Slow decay, where numerical summation of the tail fails: it is 1e-2 at H = .7."""
    functions = (dl.forward_constant, dl.backward_constant)
    expected = [function(hurst) for function in functions]
    for start in (1000, 40000):
        monkeypatch.setattr(phase, "_SUMMED_LAGS", start)
        assert [function(hurst) for function in functions] == pytest.approx(expected, abs=2e-13)


@pytest.mark.parametrize("hurst", [0.2, 0.4, 0.6, 0.9])
def test_asymptotic_sums(hurst):
    """The ratio tends to 1; at H > 1/2 slowly, as the exponents at depth 1000 show."""
    ratios = []
    for depth in (10**3, 10**5):
        g = dl.layer_covariance(FractionalNoise(hurst=hurst), depth)
        ratios.append(np.divide(dl.first_order_sums(g), dl.asymptotic_sums(hurst, depth)))
    gaps = np.abs(np.array(ratios) - 1)
    assert np.all(gaps[1] < 0.2)
    assert np.all(gaps[1] < 0.65 * gaps[0])


LOCAL = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9]
TWO_LAYER = [None, 0.499, 0.497, 0.493, 0.488, 0.500, 0.560, 0.712, 0.862]
SINGLE = [0.236, 0.232, 0.242, 0.305, 0.401, 0.500, 0.600, 0.750, 0.900]


@pytest.mark.parametrize(("hurst", "two", "one"), list(zip(LOCAL, TWO_LAYER, SINGLE, strict=True)))
def test_local_exponents(hurst, two, one):
    depths = (250, 1000)
    if two is not None:
        assert dl.local_exponent(hurst, depths) == pytest.approx(two, abs=6e-4)
    assert dl.local_exponent(hurst, depths, "single") == pytest.approx(one, abs=6e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hurst", "block", "expected"),
    [
        (0.2, "two-layer", 0.499),
        (0.75, "two-layer", 0.726),
        (0.9, "two-layer", 0.870),
        (0.05, "single", 0.242),
        (0.1, "single", 0.237),
        (0.2, "single", 0.242),
    ],
)
def test_local_exponents_deep(hurst, block, expected):
    found = dl.local_exponent(hurst, (1000, 4000), block)
    assert found == pytest.approx(expected, abs=6e-4)


def test_local_exponent_of_the_gradient():
    """Half where the stream's is already above it."""
    depths = (100, 400)
    assert dl.local_exponent(0.6, depths, gradient=True) == pytest.approx(0.5, abs=0.01)
    assert dl.local_exponent(0.6, depths) > 0.54


# ---------------------------------------------------------------- contraction


def check_contraction():
    """Single linear blocks with rough weights shrink, by 1/n: neither identity nor explosion."""
    hurst, depth, alpha = 0.2, 400, 400**-0.35
    law, rng = FractionalNoise(hurst=hurst), np.random.default_rng(1)
    means = []
    for n in (3, 6):
        run = explicit(n, depth, alpha, 1500, rng, law=law, block="single", slope=1.0)
        found = Estimate.mean(np.log(run.hr2) / 2)
        target = dl.contraction_log_norm(alpha, depth, n)
        assert found.resolves(target / 2)
        means.append((found, target))
    # the remainder (alpha L^H)^2 is common to both widths to leading order
    difference = means[0][0] - means[1][0]
    expected = means[0][1] - means[1][1]
    assert difference.resolves(expected / 3)
    assert difference.agrees(expected, allowance=0.15 * abs(expected))


def no_contraction(patch):
    """Growth as for independent layers."""
    patch.setattr(dl, "contraction_log_norm", lambda a, L, n: a**2 * L * (0.5 - 1 / n))


@pytest.mark.mc
def test_contraction():
    check_contraction()


@pytest.mark.mc
def test_contraction_rejects_growth():
    must_reject(no_contraction, check_contraction)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dl.forward_exponent(0.0), "hurst must be greater than 0"),
        (lambda: dl.forward_exponent(1.0), "hurst must be less than 1"),
        (lambda: dl.forward_constant(0.75), "below 3/4"),
        (lambda: dl.asymptotic_sums(0.75, 10), "must not be 3/4"),
        (lambda: dl.local_exponent(0.3, (10, 10)), "depths must differ"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
