"""Activations and arc-cosine functions against independent integrals, at 30 digits where closed."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from typing import ClassVar

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from companion import activations as act
from companion.activations import Activation, Custom, Erf, LeakyReLU, Linear, ReLU, Tanh

DIGITS = 30
NEAR_ONE = 1 - 1e-12
GRID = [-1.0, -NEAR_ONE, -0.9999, -0.8, -0.2, -1e-9, 0.0, 1e-12, 0.2, 0.5, 0.8, NEAR_ONE, 1.0]


# ---------------------------------------------------------------- arc-cosine functions


def conditional(given: Callable, r: float) -> mpf:
    """``E given(x, mean, sd)`` over a standard normal ``x``, where ``y | x ~ N(mean, sd^2)``."""
    with mpmath.workdps(DIGITS):
        rho = mpf(r)
        sd = mpmath.sqrt((1 - rho) * (1 + rho))
        cuts = {mpf(x) for x in (0, 1, 2, 4, 8, 14)}
        if 0 < sd < mpf("0.5"):  # the step at x ~ sd needs its own panels
            cuts |= {sd * k for k in (1, 2, 4, 8, 12)}
        cuts = sorted(x for x in cuts if x <= 14)
        both = [-x for x in reversed(cuts[1:])] + cuts
        return mpmath.quad(lambda x: mpmath.npdf(x) * given(x, rho * x, sd), both)


def expected_sign(mean: mpf, sd: mpf) -> mpf:
    return mpmath.sign(mean) if sd == 0 else mpmath.erf(mean / (sd * mpmath.sqrt(2)))


def expected_abs(mean: mpf, sd: mpf) -> mpf:
    density = 0 if sd == 0 else mpmath.npdf(mean / sd)
    return mean * expected_sign(mean, sd) + 2 * sd * density


def expected_signed_square(mean: mpf, sd: mpf) -> mpf:
    density = 0 if sd == 0 else mpmath.npdf(mean / sd)
    return (mean**2 + sd**2) * expected_sign(mean, sd) + 2 * mean * sd * density


MOMENTS = {
    "sign_moment": lambda x, m, s: mpmath.sign(x) * expected_sign(m, s),
    "abs_moment": lambda x, m, s: abs(x) * expected_abs(m, s),
    "square_sign_moment": lambda x, m, s: x * abs(x) * expected_sign(m, s),
    "square_moment": lambda x, m, s: x * abs(x) * expected_signed_square(m, s),
}
CLOSED = {
    "sign_moment": lambda r: 2 / mpmath.pi * mpmath.asin(r),
    "abs_moment": lambda r: 2 / mpmath.pi * (r * mpmath.asin(r) + mpmath.sqrt(1 - r * r)),
    "square_sign_moment": lambda r: 2 / mpmath.pi * (mpmath.asin(r) + r * mpmath.sqrt(1 - r * r)),
    "square_moment": lambda r: (
        2 / mpmath.pi * ((1 + 2 * r * r) * mpmath.asin(r) + 3 * r * mpmath.sqrt(1 - r * r))
    ),
}


@pytest.mark.parametrize("name", MOMENTS)
@pytest.mark.parametrize("r", GRID)
def test_moments_equal_their_defining_integral(name, r):
    exact = float(conditional(MOMENTS[name], r))
    assert getattr(act, name)(r) == pytest.approx(exact, rel=4e-15, abs=1e-16)


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("r", [r for r in GRID if abs(r) < 1])
def test_moment_derivatives_equal_high_precision_differences(name, r):
    with mpmath.workdps(60):
        exact = float(mpmath.diff(CLOSED[name], mpf(r), h=mpf(10) ** -25))
    assert getattr(act, name + "_derivative")(r) == pytest.approx(exact, rel=4e-15, abs=1e-16)


def test_moment_derivatives_at_the_ends():
    assert act.sign_moment_derivative(1.0) == math.inf
    assert act.square_sign_moment_derivative(-1.0) == 0
    assert act.abs_moment_derivative(1.0) == pytest.approx(1, rel=1e-15)
    assert act.square_moment_derivative(1.0) == pytest.approx(4, rel=1e-15)
    assert act.square_moment_derivative(0.0) == pytest.approx(8 / math.pi, rel=1e-15)


@pytest.mark.parametrize(
    ("r", "c", "s", "m", "a"),
    [(0.2, 0.5127, 0.2529, 0.6494, 0.1282), (0.8, 2.2627, 0.8959, 0.8542, 0.5903)],
)
def test_moments_reference_table(r, c, s, m, a):
    values = [act.square_moment(r), act.square_sign_moment(r), act.abs_moment(r)]
    assert np.round([*values, act.sign_moment(r)], 4).tolist() == [c, s, m, a]


def test_moments_satisfy_their_identities():
    r = np.arange(-1000, 1001) / 1000
    a, m, s, c = (getattr(act, name)(r) for name in CLOSED)
    np.testing.assert_allclose(c - 2 * r * m, s, atol=2e-15)
    np.testing.assert_allclose(s - a, 2 / np.pi * r * act.sine_of(r), atol=1e-15)
    np.testing.assert_allclose(a, 2 * act.arc_cosine(r, 0) - 1, atol=1e-15)
    np.testing.assert_allclose(m, 2 * act.arc_cosine(r, 1) - r, atol=1e-15)
    np.testing.assert_allclose(c, 2 * act.arc_cosine(r, 2) - (1 + 2 * r**2), atol=4e-15)
    for odd in (a, s, c):
        np.testing.assert_array_equal(odd, -odd[::-1])
    np.testing.assert_array_equal(m, m[::-1])


def test_moments_at_special_correlations():
    ends = [f(1.0) for f in (act.sign_moment, act.abs_moment, act.square_sign_moment)]
    assert ends == pytest.approx([1, 1, 1], rel=1e-15)
    assert act.square_moment(1.0) == pytest.approx(3, rel=1e-15)
    assert act.abs_moment(0.0) == pytest.approx(2 / math.pi, rel=1e-15)
    assert act.sign_moment(0.0) == act.square_sign_moment(0.0) == act.square_moment(0.0) == 0


def exact_arc_cosine(theta: mpf, order: int) -> mpf:
    s, c, rest = mpmath.sin(theta), mpmath.cos(theta), mpmath.pi - theta
    if order == 0:
        return rest / mpmath.pi
    if order == 1:
        return (s + rest * c) / mpmath.pi
    return (3 * s * c + rest * (1 + 2 * c * c)) / mpmath.pi


@pytest.mark.parametrize("order", [0, 1, 2])
def test_arc_cosine_keeps_all_digits_up_to_the_antipode(order):
    cosines = np.concatenate(
        [np.linspace(-1, 1, 101), -1 + np.logspace(-15, -1, 57), 1 - np.logspace(-15, -1, 57)]
    )
    with mpmath.workdps(60):
        exact = np.array([float(exact_arc_cosine(mpmath.acos(mpf(u)), order)) for u in cosines])
    np.testing.assert_allclose(act.arc_cosine(cosines, order), exact, rtol=2e-14, atol=1e-55)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_arc_cosine_angle_keeps_all_digits(order):
    angles = np.concatenate(
        [np.linspace(0, math.pi, 101), np.logspace(-15, 0, 31), math.pi - np.logspace(-15, 0, 31)]
    )
    with mpmath.workdps(100):
        exact = np.array([float(exact_arc_cosine(mpf(t), order)) for t in angles])
    np.testing.assert_allclose(act.arc_cosine_angle(angles, order), exact, rtol=2e-14, atol=0)


def test_arc_cosine_excess_is_accurate_at_small_angles():
    angles = np.concatenate([np.logspace(-100, 0, 41), np.linspace(0.9, math.pi, 41)])
    with mpmath.workdps(250):
        exact = [float((mpmath.sin(t) - t * mpmath.cos(t)) / mpmath.pi) for t in map(mpf, angles)]
    np.testing.assert_allclose(act.arc_cosine_excess(angles), exact, rtol=2e-15, atol=0)
    np.testing.assert_allclose(
        act.arc_cosine_excess(angles), act.arc_cosine_angle(angles, 1) - np.cos(angles), atol=1e-15
    )


def test_arc_cosine_is_twice_the_moment_of_rectified_normals():
    for order in (0, 1, 2):

        def half(x, m, s, k=order):
            if x <= 0:
                return mpf(0)
            tail = mpmath.ncdf(m / s)
            first = m * tail + s * mpmath.npdf(m / s)
            value = [tail, first, m * first + s * s * tail][k]
            return 2 * x**k * value

        for r in (-0.7, 0.3, 0.95):
            exact = float(conditional(half, r))
            assert act.arc_cosine(r, order) == pytest.approx(exact, rel=1e-14)
    assert [float(act.arc_cosine(1, k)) for k in range(3)] == pytest.approx([1, 1, 3], rel=1e-15)


def test_guards_clip_rounding_and_refuse_more():
    for f in (act.guarded_arcsin, act.sign_moment, act.abs_moment, act.square_moment, act.sine_of):
        assert f(1 + 9e-10) == f(1.0)
        with pytest.raises(ValueError, match=r"r must lie in \[-1, 1\], got 1\.0000000099"):
            f([0.0, 1 + 1e-8])
    assert act.guarded_arccos(-1 - 1e-12) == math.pi
    assert act.sine_of(NEAR_ONE) == pytest.approx(math.sqrt(2e-12), rel=1e-4)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_arc_cosine_functions_refuse_nonfinite(bad):
    with pytest.raises(ValueError, match=r"r must be finite, got (nan|inf); remove NaN"):
        act.abs_moment([0.1, bad])
    with pytest.raises(ValueError, match=r"theta must be finite"):
        act.arc_cosine_angle(bad, 1)
    with pytest.raises(TypeError, match=r"r must be a real number or an array of them, got 'a'"):
        act.sign_moment("a")


def test_arc_cosine_refuses_other_orders_and_angles():
    for order in (3, -1, True, 0.5):
        with pytest.raises(ValueError, match=r"order must be 0, 1 or 2, got"):
            act.arc_cosine(0.1, order)
    with pytest.raises(ValueError, match=r"theta must lie in \[0, pi\], got 3\.2.*in radians"):
        act.arc_cosine_angle([1.0, 3.2], 1)


# ---------------------------------------------------------------- one contract for all activations

_GAUSS = np.polynomial.legendre.leggauss(220)


def panels(*cuts: float) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and normal weights on [-11, 11], cut at the given points."""
    edges = np.unique(np.clip([-11.0, *cuts, 11.0], -11, 11))
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    x = (middle[:, None] + half[:, None] * _GAUSS[0]).ravel()
    w = (half[:, None] * _GAUSS[1]).ravel() * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return x, w


def integral(f: Callable, variance: float) -> float:
    """``E f(u)``, split at the kink."""
    x, w = panels(0.0)
    return float(f(math.sqrt(variance) * x) @ w)


def pair_integral(f: Callable, g: Callable, p1: float, p2: float, q: float) -> float:
    """``E f(u1) g(u2)`` from the conditional law of ``u2``, split at both kinks."""
    x, w = panels(0.0)
    mean, sd = q / p1 * math.sqrt(p1) * x, math.sqrt(max(p2 - q * q / p1, 0.0))
    total = 0.0
    for mi, fi, wi in zip(mean, f(math.sqrt(p1) * x), w, strict=True):
        y, v = panels(-mi / sd if sd > 0 else 0.0)
        total += wi * fi * float(g(mi + sd * y) @ v)
    return total


def slope_of(f: Callable) -> Callable:
    h = 1e-4
    return lambda u: (8 * (f(u + h) - f(u - h)) - (f(u + 2 * h) - f(u - 2 * h))) / (12 * h)


PAIRS = [(0.9, 0.4, 0.35), (0.3, 1.1, -0.45), (0.6, 0.6, 0.6 * 0.999)]


class ActivationContract:
    """What every activation must satisfy; a subclass gives the object and a second formula."""

    accuracy: ClassVar[float] = 1e-12

    def activation(self) -> Activation:
        raise NotImplementedError

    def reference(self, u: np.ndarray) -> np.ndarray:
        """``phi``, written independently."""
        raise NotImplementedError

    def reference_slope(self, u: np.ndarray) -> np.ndarray:
        """``phi'``; written out only where a kink spoils the difference quotient."""
        return slope_of(self.reference)(u)

    def test_values(self):
        u = np.linspace(-6, 6, 241)
        np.testing.assert_allclose(self.activation()(u), self.reference(u), rtol=1e-13, atol=1e-15)

    def test_derivative(self):
        u = np.linspace(-6, 6, 240)  # avoids the kink at 0
        np.testing.assert_allclose(
            self.activation().derivative(u), slope_of(self.reference)(u), atol=2e-10
        )

    @pytest.mark.parametrize("variance", [1e-3, 0.1, 0.7, 1.6])
    def test_second_moment(self, variance):
        exact = integral(lambda u: self.reference(u) ** 2, variance)
        assert self.activation().second_moment(variance) == pytest.approx(exact, rel=self.accuracy)

    @pytest.mark.parametrize("variance", [0.1, 0.7, 1.6])
    def test_mean(self, variance):
        exact = integral(self.reference, variance)
        assert self.activation().mean(variance) == pytest.approx(exact, abs=self.accuracy)

    @pytest.mark.parametrize("variance", [0.1, 0.7, 1.6])
    def test_second_moment_derivative(self, variance):
        x, w = panels(0.0)
        squares = self.reference(math.sqrt(variance) * x) ** 2
        exact = float((squares * (x**2 - 1)) @ w) / (2 * variance)
        value = self.activation().second_moment_derivative(variance)
        assert value == pytest.approx(exact, rel=10 * self.accuracy, abs=1e-13)

    @pytest.mark.parametrize("variance", [0.1, 0.7, 1.6])
    def test_mean_squared_derivative(self, variance):
        exact = integral(lambda u: self.reference_slope(u) ** 2, variance)
        value = self.activation().mean_squared_derivative(variance)
        assert value == pytest.approx(exact, rel=1e-10)

    @pytest.mark.parametrize("pair", PAIRS)
    def test_pair_moment(self, pair):
        exact = pair_integral(self.reference, self.reference, *pair)
        assert self.activation().pair_moment(*pair) == pytest.approx(exact, rel=10 * self.accuracy)

    @pytest.mark.parametrize("pair", PAIRS)
    def test_pair_derivative(self, pair):
        slope = self.reference_slope
        exact = pair_integral(slope, slope, *pair)
        assert self.activation().pair_derivative(*pair) == pytest.approx(exact, rel=1e-9)

    @pytest.mark.parametrize("pair", PAIRS)
    def test_pair_derivative_variance(self, pair):
        p1, p2, q = pair

        def moment(p):
            return pair_integral(self.reference, self.reference, p, p2, q)

        h = 2e-4 * (p1 - q * q / p2) / p1
        exact = (
            8 * (moment(p1 + h) - moment(p1 - h)) - moment(p1 + 2 * h) + moment(p1 - 2 * h)
        ) / (12 * h)
        assert self.activation().pair_derivative_variance(*pair) == pytest.approx(exact, abs=2e-8)

    @pytest.mark.parametrize("variance", [1e-6, 0.3, 2.0])
    def test_perfect_correlation(self, variance):
        phi = self.activation()
        full = (variance, variance, variance)
        power = float(phi.second_moment(variance))
        assert phi.pair_moment(*full) == pytest.approx(power, rel=1e-12)
        assert phi.pair_derivative(*full) == pytest.approx(
            float(phi.mean_squared_derivative(variance)), rel=1e-12
        )
        # dg/dK moves p1, p2 and q together
        total = phi.pair_derivative(*full) + 2 * phi.pair_derivative_variance(*full)
        assert total == pytest.approx(
            float(phi.second_moment_derivative(variance)), rel=1e-9, abs=1e-11
        )

    def test_continuity_at_perfect_correlation(self):
        phi = self.activation()
        near = (0.8, 0.8, 0.8 * NEAR_ONE)
        gap = (1 - NEAR_ONE) * 0.8
        slope = float(phi.mean_squared_derivative(0.8))
        drop = float(phi.second_moment(0.8) - phi.pair_moment(*near))
        assert drop == pytest.approx(slope * gap, abs=1e-15)
        assert phi.pair_derivative(*near) == pytest.approx(slope, rel=1e-6)
        # rounding in q beyond the bound is clipped
        assert phi.pair_moment(0.8, 0.8, 0.8 * (1 + 5e-10)) == phi.pair_moment(0.8, 0.8, 0.8)

    def test_opposite_correlation(self):
        phi = self.activation()
        exact = integral(lambda u: self.reference(u) * self.reference(-u), 0.8)
        assert phi.pair_moment(0.8, 0.8, -0.8) == pytest.approx(exact, abs=1e-12)

    def test_zero_correlation_factorises(self):
        phi = self.activation()
        product = float(phi.mean(0.4) * phi.mean(1.3))
        assert phi.pair_moment(0.4, 1.3, 0.0) == pytest.approx(product, abs=1e-13)

    def test_pair_symmetry(self):
        phi = self.activation()
        assert phi.pair_moment(0.9, 0.4, 0.35) == pytest.approx(
            float(phi.pair_moment(0.4, 0.9, 0.35)), rel=1e-12
        )

    def test_zero_variance(self):
        phi = self.activation()
        start = float(self.reference(np.array([0.0]))[0])
        assert phi.second_moment(0.0) == pytest.approx(start**2, abs=1e-15)
        assert phi.pair_moment(0.0, 0.7, 0.0) == pytest.approx(start * float(phi.mean(0.7)))
        assert phi.pair_moment(0.0, 0.0, 0.0) == pytest.approx(start**2)
        assert np.isfinite(phi.pair_derivative(0.0, 0.7, 0.0))
        assert np.isfinite(phi.pair_derivative(0.0, 0.0, 0.0))
        assert not np.isnan(phi.pair_derivative_variance(0.0, 0.7, 0.0))
        assert np.isfinite(phi.pair_derivative_variance(0.7, 0.0, 0.0))
        assert np.isfinite(phi.pair_derivative_variance(0.0, 0.0, 0.0))

    def test_gain(self):
        phi = self.activation()
        k = np.array([0.2, 3.0])
        np.testing.assert_allclose(phi.gain(k) * k, phi.second_moment(k), rtol=1e-14)
        if float(phi.second_moment(0.0)) > 0:
            assert phi.gain(0.0) == math.inf
        else:
            assert phi.gain(0.0) == pytest.approx(float(phi.gain(1e-9)), rel=1e-7)
            assert phi.gain([0.0, 3.0])[1] == pytest.approx(float(phi.gain(3.0)), rel=1e-13)

    def test_cauchy_schwarz(self):
        phi = self.activation()
        r = np.linspace(-1, 1, 21)
        bound = math.sqrt(float(phi.second_moment(0.7) * phi.second_moment(1.9)))
        moments = phi.pair_moment(0.7, 1.9, r * math.sqrt(0.7 * 1.9))
        assert np.all(np.abs(moments) <= bound * (1 + 1e-12))
        assert np.all(phi.second_moment(r + 2) >= phi.mean(r + 2) ** 2)

    def test_homogeneity_flag(self):
        phi = self.activation()
        u = np.linspace(-3, 3, 50)
        scales = bool(np.allclose(phi(2.5 * u), 2.5 * phi(u), rtol=1e-12))
        assert scales == phi.homogeneous
        same = math.isclose(phi.pair_moment(9.0, 4.0, 3.5), 10 * phi.pair_moment(0.9, 0.4, 0.35))
        assert same == phi.homogeneous

    def test_broadcasting_and_types(self):
        phi = self.activation()
        p1, p2 = np.array([[0.5], [0.9], [1.5]]), np.array([0.4, 0.6, 0.8, 1.0])
        for f in (phi.pair_moment, phi.pair_derivative, phi.pair_derivative_variance):
            block = f(p1, p2, 0.3)
            assert block.shape == (3, 4)
            assert block.dtype == np.float64
            # one quadrature grid serves a whole array, so entries agree to its accuracy
            assert block[2, 1] == pytest.approx(float(f(1.5, 0.6, 0.3)), rel=1e-11)
            assert np.ndim(f(1, 1, 0)) == 0
        for f in (phi.second_moment, phi.mean, phi.gain, phi.second_moment_derivative):
            assert f(np.ones((2, 3), dtype=np.float32)).shape == (2, 3)
            assert f([]).shape == (0,)
            assert isinstance(f(1), float)
        for f in (phi, phi.derivative):
            assert f(np.ones(3)).dtype == np.float64
            assert f(np.arange(3)).dtype == np.float64
        if not isinstance(phi, Custom):
            assert phi(np.ones(3, dtype=np.float32)).dtype == np.float32
            assert phi.derivative(np.ones(3, dtype=np.float32)).dtype == np.float32

    @pytest.mark.mc
    def test_monte_carlo(self):
        rng = np.random.default_rng(20240611)
        n, (p1, p2, q) = 400_000, (0.9, 0.4, 0.35)
        x, y = rng.standard_normal((2, n))
        u1 = math.sqrt(p1) * x
        u2 = q / math.sqrt(p1) * x + math.sqrt(p2 - q * q / p1) * y
        phi = self.activation()
        for draws, exact in (
            (phi(u1) * phi(u2), phi.pair_moment(p1, p2, q)),
            (phi.derivative(u1) * phi.derivative(u2), phi.pair_derivative(p1, p2, q)),
            (phi(u1) ** 2, phi.second_moment(p1)),
        ):
            sem = float(np.std(draws)) / math.sqrt(n)
            assert sem < 0.01 * abs(float(exact))  # a shift of 5 % is out of reach of the noise
            assert abs(float(np.mean(draws)) - float(exact)) <= 4.5 * sem + 1e-12

    def test_bad_arguments(self):
        phi = self.activation()
        with pytest.raises(
            ValueError, match=r"variance must be at least 0, got -0\.1; it is a var"
        ):
            phi.second_moment([0.2, -0.1])
        with pytest.raises(ValueError, match=r"variance must be finite, got nan"):
            phi.gain(math.nan)
        for f in (phi.pair_moment, phi.pair_derivative, phi.pair_derivative_variance):
            with pytest.raises(ValueError, match=r"p2 must be at least 0, got -1"):
                f(1.0, -1.0, 0.0)
            with pytest.raises(ValueError, match=r"q must be finite, got inf"):
                f(1.0, 1.0, math.inf)
            with pytest.raises(
                ValueError, match=r"q must satisfy \|q\| <= sqrt\(p1 p2\), got q=1\.5"
            ):
                f([1.0, 1.0], 2.0, [0.5, 1.5])

    def test_record(self):
        phi = self.activation()
        if isinstance(phi, Custom):
            with pytest.raises(ValueError, match=r"is a Custom one and cannot be written to JSON"):
                phi.to_dict()
        else:
            assert act.activation_from_dict(json.loads(json.dumps(phi.to_dict()))) == phi
            assert act.as_activation(phi) is phi
            assert eval(repr(phi), vars(act)) == phi
        assert hash(phi) == hash(self.activation())


class TestReLU(ActivationContract):
    def activation(self):
        return ReLU()

    def reference(self, u):
        return (u + np.abs(u)) / 2

    def reference_slope(self, u):
        return (np.sign(u) + 1) / 2


class TestLeakyReLU(ActivationContract):
    def activation(self):
        return LeakyReLU(slope=0.2)

    def reference(self, u):
        return np.where(u > 0, u, 0.2 * u)

    def reference_slope(self, u):
        return 0.6 + 0.4 * np.sign(u)


class TestAbsoluteValue(ActivationContract):
    def activation(self):
        return LeakyReLU(slope=-1)

    def reference(self, u):
        return np.abs(u)

    def reference_slope(self, u):
        return np.sign(u)


class TestLinear(ActivationContract):
    def activation(self):
        return Linear()

    def reference(self, u):
        return 1.0 * u


class TestErf(ActivationContract):
    def activation(self):
        return Erf()

    def reference(self, u):
        return np.vectorize(lambda t: math.erf(0.88622692545275801365 * t), otypes=[float])(u)


class TestErfOfTheExpansion(ActivationContract):
    def activation(self):
        return Erf(gain=1 / math.sqrt(2))

    def reference(self, u):
        return np.vectorize(lambda t: math.erf(t / math.sqrt(2)), otypes=[float])(u)


class TestTanh(ActivationContract):
    def activation(self):
        return Tanh()

    def reference(self, u):
        return -np.expm1(-2 * u) / (1 + np.exp(-2 * u))


def sigmoid(u):
    return 1 / (1 + np.exp(-u))


def sigmoid_slope(u):
    return sigmoid(u) * (1 - sigmoid(u))


class TestCustomWithOffset(ActivationContract):
    def activation(self):
        return Custom(sigmoid, sigmoid_slope, name="sigmoid")

    def reference(self, u):
        return np.exp(u / 2) / (2 * np.cosh(u / 2))


class TestCustomWithoutDerivative(ActivationContract):
    def activation(self):
        return Custom(np.sin, name="sine")

    def reference(self, u):
        return np.imag(np.exp(1j * u))


# The contract must be able to fail: each expectation, wrong by a factor, is rejected by its tests.
DEFECTS = [
    ("mean", 1.001, "test_mean", (0.7,)),
    ("second_moment", 1 + 1e-9, "test_second_moment", (0.7,)),
    ("second_moment_derivative", 1 + 1e-9, "test_second_moment_derivative", (0.7,)),
    ("mean_squared_derivative", 1 + 1e-7, "test_mean_squared_derivative", (0.7,)),
    ("pair_moment", 1 + 1e-9, "test_pair_moment", (PAIRS[0],)),
    ("pair_derivative", 0.5, "test_pair_derivative", (PAIRS[0],)),
    ("pair_derivative", 1 + 1e-7, "test_pair_derivative", (PAIRS[2],)),
    ("pair_derivative_variance", 2.0, "test_pair_derivative_variance", (PAIRS[0],)),
    ("pair_derivative_variance", 1.0001, "test_pair_derivative_variance", (PAIRS[1],)),
    ("pair_derivative_variance", 0.0, "test_perfect_correlation", (0.3,)),
    ("pair_derivative", 0.99, "test_perfect_correlation", (0.3,)),
    ("pair_moment", 1.05, "test_monte_carlo", ()),
    ("pair_derivative", 0.95, "test_monte_carlo", ()),
    ("second_moment", 1.05, "test_monte_carlo", ()),
    ("pair_moment", 1 + 1e-6, "test_continuity_at_perfect_correlation", ()),
    ("__call__", 1 + 1e-9, "test_values", ()),
    ("derivative", 1 + 1e-6, "test_derivative", ()),
    ("gain", 1.001, "test_gain", ()),
]


@pytest.mark.parametrize(
    ("contract", "method", "factor", "check", "arguments"),
    [(TestCustomWithOffset, *defect) for defect in DEFECTS]
    # the mean of an odd function is 0 whatever the factor
    + [(TestErf, *defect) for defect in DEFECTS if defect[0] != "mean"],
)
def test_contract_rejects_planted_defects(monkeypatch, contract, method, factor, check, arguments):
    getattr(contract(), check)(*arguments)  # passes as it is
    owner = type(contract().activation())
    original = getattr(owner, method)
    monkeypatch.setattr(owner, method, lambda *a: factor * original(*a))
    with pytest.raises(AssertionError):
        getattr(contract(), check)(*arguments)


# ---------------------------------------------------------------- reference values and extremes


def test_erf_reference_values():
    phi, pair = Erf(), (0.9, 0.4, 0.35)
    assert phi.second_moment(0.7) == pytest.approx(0.350904268957, abs=1e-12)
    assert phi.second_moment_derivative(0.7) == pytest.approx(0.266291513047, abs=1e-12)
    assert phi.pair_moment(*pair) == pytest.approx(0.178889850748, abs=1e-12)
    assert phi.pair_derivative(*pair) == pytest.approx(0.525005421219, abs=1e-12)
    assert phi.pair_derivative_variance(*pair) == pytest.approx(-0.0597909452712, abs=1e-12)


def test_relu_reference_values():
    phi, pair = ReLU(), (0.9, 0.4, 0.35)
    assert phi.pair_moment(*pair) == pytest.approx(0.199756600379, abs=1e-12)
    assert phi.pair_derivative(*pair) == pytest.approx(0.349125929757, abs=1e-12)
    with mpmath.workdps(DIGITS):
        q, p2 = mpf("0.35"), mpf("0.4")
        exact = mpmath.diff(
            lambda p: (
                mpmath.sqrt(p * p2) / 2 * exact_arc_cosine(mpmath.acos(q / mpmath.sqrt(p * p2)), 1)
            ),
            mpf("0.9"),
        )
    assert phi.pair_derivative_variance(*pair) == pytest.approx(float(exact), rel=1e-14)
    assert phi.pair_derivative_variance(*pair) == pytest.approx(0.0430902916466, abs=1e-13)


EXTREMES = [1e-12, 1e-4, 1.0, 1e4, 1e12]


@pytest.mark.parametrize("variance", EXTREMES)
@pytest.mark.parametrize("correlation", [-NEAR_ONE, -0.3, 1e-12, 0.6, 0.999999, NEAR_ONE])
def test_erf_closed_forms_at_high_precision(variance, correlation):
    phi = Erf()
    p1, p2 = variance, 3 * variance
    q = correlation * math.sqrt(p1 * p2)
    with mpmath.workdps(60):
        two = 2 * mpf(phi.steepness) ** 2

        def f(a, b, c):
            root = mpmath.sqrt((1 + two * a) * (1 + two * b))
            return 2 / mpmath.pi * mpmath.asin(two * c / root)

        a, b, c = mpf(p1), mpf(p2), mpf(q)
        step = mpf(10) ** -25
        exact = [
            f(a, b, c),
            mpmath.diff(lambda t: f(a, b, t), c, h=step * a),
            mpmath.diff(lambda t: f(t, b, c), a, h=step * a),
        ]
    values = [g(p1, p2, q) for g in (phi.pair_moment, phi.pair_derivative)]
    values.append(phi.pair_derivative_variance(p1, p2, q))
    # near |r| = 1 and at large variance the inputs themselves are only rounded numbers
    sensitivity = 1e-15 * max(1.0, 1 / (1 - correlation**2)) if variance > 1 else 1e-14
    np.testing.assert_allclose(values, [float(v) for v in exact], rtol=max(1e-14, sensitivity))


@pytest.mark.parametrize("correlation", [-0.9999, -0.3, 1e-12, 0.6, 0.9999])
def test_relu_closed_forms_at_high_precision(correlation):
    phi = LeakyReLU(0.1)
    p1, p2 = 0.3, 1.7
    q = correlation * math.sqrt(p1 * p2)
    with mpmath.workdps(50):
        slope = mpf(phi.slope)

        def f(a, b, c):
            m = mpmath.sqrt(a * b)
            kernel = exact_arc_cosine(mpmath.acos(c / m), 1)
            return slope * c + (1 - slope) ** 2 / 2 * m * kernel

        a, b, c = mpf(p1), mpf(p2), mpf(q)
        exact = [
            f(a, b, c),
            mpmath.diff(lambda t: f(a, b, t), c),
            mpmath.diff(lambda t: f(t, b, c), a),
        ]
    values = [phi.pair_moment(p1, p2, q), phi.pair_derivative(p1, p2, q)]
    values.append(phi.pair_derivative_variance(p1, p2, q))
    np.testing.assert_allclose(values, [float(v) for v in exact], rtol=3e-12)


@pytest.mark.parametrize("variance", [1e-9, 1e-3, 0.5, 10.0, 100.0, 1e4])
def test_tanh_quadrature_accuracy(variance):
    with mpmath.workdps(25):
        root = mpmath.sqrt(mpf(variance))
        cuts = [mpf(x) for x in (0, 0.01, 0.03, 0.1, 0.3, 1, 2, 3, 5, 8, 12)]

        def mean(f):
            return 2 * mpmath.quad(lambda z: mpmath.npdf(z) * f(z, root * z), cuts)

        moment = float(mean(lambda z, u: mpmath.tanh(u) ** 2))
        slope = float(mean(lambda z, u: z * mpmath.tanh(u) * mpmath.sech(u) ** 2) / root)
    assert Tanh().second_moment(variance) == pytest.approx(moment, rel=1e-13)
    assert Tanh().second_moment_derivative(variance) == pytest.approx(slope, rel=2e-12)


@pytest.mark.parametrize("scale", [1.0, 10.0, 80.0])
def test_tanh_pairs_at_large_variance(scale):
    pair = (scale, 0.7 * scale, 0.6 * scale)
    root = math.sqrt(scale)
    x, w = panels(*(np.array([-3, -1, -0.3, 0, 0.3, 1, 3]) * 2 / root))
    total, sd = 0.0, math.sqrt(pair[1] - pair[2] ** 2 / pair[0])
    for xi, wi in zip(x, w, strict=True):
        m = 0.6 * root * xi
        y, v = panels(*((np.array([-6, -2, 0, 2, 6]) - m) / sd))
        total += wi * math.tanh(root * xi) * float(np.tanh(m + sd * y) @ v)
    assert Tanh().pair_moment(*pair) == pytest.approx(total, abs=1e-10)


def test_erf_survives_the_range_of_float64():
    phi = Erf()
    assert phi.second_moment(1e300) == pytest.approx(1, rel=1e-12)
    assert phi.pair_moment(1e300, 1e300, 0.5e300) == pytest.approx(1 / 3, rel=1e-12)
    assert 0 < phi.gain(1e300) < 1e-299
    assert phi.gain(1e-300) == pytest.approx(1, rel=1e-14)
    assert ReLU().pair_moment(1e300, 1e-300, 0.5) == pytest.approx(
        float(ReLU().pair_moment(1, 1, 0.5)), rel=1e-14
    )


def test_custom_without_derivative_equals_the_closed_form():
    closed, numeric = Erf(), Custom(Erf())
    for name in ("second_moment_derivative", "mean_squared_derivative", "gain"):
        for variance in (0.0, 1e-10, 0.3):
            assert getattr(numeric, name)(variance) == pytest.approx(
                float(getattr(closed, name)(variance)), rel=1e-11
            )
    for p1 in (0.0, 1e-8, 1e-5, 0.4):
        value = numeric.pair_derivative_variance(p1, 0.9, 0.5 * math.sqrt(p1 * 0.9))
        exact = closed.pair_derivative_variance(p1, 0.9, 0.5 * math.sqrt(p1 * 0.9))
        assert value == pytest.approx(float(exact), rel=1e-8, abs=1e-12)


def test_custom_kink_needs_a_smaller_strip():
    errors = [
        abs(float(Custom(lambda u: np.maximum(u, 0), strip=s).second_moment(1.0)) - 0.5)
        for s in (math.pi / 2, 0.02)
    ]
    assert errors[0] < 1e-9  # the square of ReLU has no jump in its slope
    means = [
        abs(
            float(Custom(lambda u: np.maximum(u, 0), strip=s).mean(1.0))
            - 1 / math.sqrt(2 * math.pi)
        )
        for s in (math.pi / 2, 0.02)
    ]
    assert means[1] < means[0] / 100 < 1e-4


# ---------------------------------------------------------------- names, parameters, imports


def test_names():
    assert [act.activation_from_name(n).name for n in ("relu", "leaky_relu", "erf")] == [
        "relu",
        "leaky_relu",
        "erf",
    ]
    assert act.as_activation("tanh") == Tanh()
    assert act.as_activation("linear") == Linear()
    assert act.activation_from_name("leaky_relu", slope=0.3) == LeakyReLU(0.3)
    assert act.activation_from_name("erf", gain=2) == Erf(gain=2.0)
    assert Erf().steepness == pytest.approx(math.sqrt(math.pi) / 2, rel=1e-16)
    assert LeakyReLU().slope == 0.01


@pytest.mark.parametrize(
    ("argument", "error", "message"),
    [
        ("swish", ValueError, r"one of 'relu', 'leaky_relu', 'erf', 'tanh', 'linear', got 'swish'"),
        (ReLU, TypeError, r"write ReLU\(\) with parentheses"),
        (np.sin, TypeError, r"wrap a function as Custom\(function, derivative\)"),
        (None, TypeError, r"activation must be an Activation or one of 'relu'.*got None"),
    ],
)
def test_unknown_activations(argument, error, message):
    with pytest.raises(error, match=message):
        act.as_activation(argument)


def test_bad_parameters():
    with pytest.raises(
        TypeError, match=r"'relu' takes the parameters \(\), got 'slope'; leaky_relu"
    ):
        act.activation_from_name("relu", slope=0.1)
    with pytest.raises(ValueError, match=r"activation must be one of .*got 3; for another"):
        act.activation_from_name(3)
    with pytest.raises(ValueError, match=r"must have the key 'name', got \{'gain': 1\}"):
        act.activation_from_dict({"gain": 1})
    with pytest.raises(ValueError, match=r"gain must be greater than 0, got 0"):
        Erf(gain=0)
    with pytest.raises(TypeError, match=r"gain must be a real number, got 'x' of type str"):
        act.activation_from_name("erf", gain="x")
    with pytest.raises(ValueError, match=r"slope must be finite, got nan"):
        LeakyReLU(math.nan)
    with pytest.raises(TypeError, match=r"slope must be a real number, got True of type bool"):
        LeakyReLU(True)


def test_bad_custom_functions():
    with pytest.raises(TypeError, match=r"function must be a function of an array, got 3"):
        Custom(3)
    with pytest.raises(TypeError, match=r"derivative must be a function of an array, got 'cos'"):
        Custom(np.sin, "cos")
    with pytest.raises(ValueError, match=r"same shape, got shape \(\) for \(2, 3\)"):
        Custom(np.sum)
    with pytest.raises(ValueError, match=r"finite: False"):
        Custom(lambda u: u * np.inf)
    with pytest.raises(ValueError, match=r"strip must be greater than 0, got -1"):
        Custom(np.sin, strip=-1)


def test_import_is_light():
    code = (
        "import sys, companion.architecture; print('scipy' in sys.modules, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]
