"""Laws of the weights along depth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import mpmath
import numpy as np
import pytest
from scipy import linalg

from companion import _paths, weights
from companion.papers.large_depth.generator import published_spectrum
from companion.weights import (
    IID,
    FractionalNoise,
    GaussianLaw,
    Smooth,
    WeightLaw,
    weight_law_from_dict,
)
from tests.stationary import check_every_lag, check_long_range

HURSTS = [0.05, 0.2, 0.5, 0.8, 0.97]

# fourth moment of the unit-variance distribution, and a bound on the entries
DISTRIBUTIONS = {"gaussian": (3.0, math.inf), "uniform": (1.8, math.sqrt(3)), "rademacher": (1, 1)}


def second_moments(law: WeightLaw, depth: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Estimated covariance between layers and its standard error, both ``(depth, depth)``."""
    draws = law.sample(depth, (n,), np.random.default_rng(seed))
    products = draws[:, None, :] * draws[None, :, :]
    return products.mean(axis=2), products.std(axis=2) / math.sqrt(n)


class WeightLawContract:
    """What every law must satisfy; a subclass gives the object."""

    def law(self) -> WeightLaw:
        raise NotImplementedError

    @pytest.mark.mc
    def test_sample_has_the_covariance(self):
        law, depth, n = self.law(), 6, 200_000
        value, sem = second_moments(law, depth, n, seed=31)
        layers = np.arange(depth)
        target = law.covariance(layers[:, None] - layers, depth)
        assert np.all(sem < 0.01)
        assert np.all(np.abs(value - target) <= 4.5 * sem + 1e-12)

    def test_covariance_is_a_correlation(self):
        law = self.law()
        lags = np.arange(-50, 51)
        values = law.covariance(lags, 100)
        assert values.shape == lags.shape
        assert law.covariance(0, 100) == 1
        np.testing.assert_array_equal(values, values[::-1])
        assert np.all(np.abs(values) <= 1)
        assert law.independent == bool(np.all(values[lags != 0] == 0))

    def test_shapes_and_seed(self):
        law = self.law()
        first = law.sample(4, (3, 2), np.random.default_rng(5))
        again = law.sample(4, (3, 2), np.random.default_rng(5))
        other = law.sample(4, (3, 2), np.random.default_rng(6))
        assert first.shape == (4, 3, 2)
        assert first.dtype == np.float64
        np.testing.assert_array_equal(first, again)
        assert np.any(first != other)
        assert law.sample(2, 7, np.random.default_rng(5)).shape == (2, 7)
        assert law.sample(1, (), np.random.default_rng(5)).shape == (1,)

    def test_sampling_advances_the_generator(self):
        law, rng = self.law(), np.random.default_rng(5)
        assert np.any(law.sample(3, (5, 5), rng) != law.sample(3, (5, 5), rng))

    def test_record(self):
        law = self.law()
        assert weight_law_from_dict(law.to_dict()) == law
        assert hash(law) == hash(self.law())

    def test_bad_arguments(self):
        law, rng = self.law(), np.random.default_rng(0)
        with pytest.raises(
            ValueError, match=r"lags must be integers, got 0\.5; a lag counts layers"
        ):
            law.covariance([1, 0.5], 4)
        with pytest.raises(ValueError, match=r"lags must be finite, got nan"):
            law.covariance(math.nan, 4)
        with pytest.raises(TypeError, match=r"rng must be a numpy.random.Generator, got 3; pass"):
            law.sample(2, (2, 2), 3)
        with pytest.raises(ValueError, match=r"depth must be a positive integer, got 0"):
            law.sample(0, (2, 2), rng)
        with pytest.raises(ValueError, match=r"every dimension of shape must be a .*got -1"):
            law.sample(2, (2, -1), rng)
        with pytest.raises(
            TypeError, match=r"every dimension of shape must .*got 2\.0 of type float"
        ):
            law.sample(2, (2.0, 2), rng)


class TestGaussian(WeightLawContract):
    def law(self):
        return IID()


class TestUniform(WeightLawContract):
    def law(self):
        return IID("uniform")


class TestRademacher(WeightLawContract):
    def law(self):
        return IID("rademacher")


class TestRough(WeightLawContract):
    def law(self):
        return FractionalNoise(0.2)


class TestPersistent(WeightLawContract):
    def law(self):
        return FractionalNoise(0.9)


class TestHalf(WeightLawContract):
    def law(self):
        return FractionalNoise(0.5)


class TestSmooth(WeightLawContract):
    def law(self):
        return Smooth(0.04)


@pytest.mark.mc
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_shape_of_the_distribution(distribution):
    kurtosis, bound = DISTRIBUTIONS[distribution]
    draws = IID(distribution).sample(2, (200, 500), np.random.default_rng(8)).ravel()
    fourth = draws**4
    sem = fourth.std() / math.sqrt(fourth.size)
    assert sem < 0.05
    assert abs(fourth.mean() - kurtosis) <= 4.5 * sem
    assert abs(draws.mean()) <= 4.5 / math.sqrt(draws.size)
    assert np.max(np.abs(draws)) <= bound
    assert IID(distribution).gaussian == (distribution == "gaussian")


@pytest.mark.parametrize("planted", ["shared layers", "unit range"])
def test_contract_rejects_planted_defects(monkeypatch, planted):
    original = IID.sample

    def shared(self, depth, shape, rng):
        return np.repeat(original(self, 1, shape, rng), depth, axis=0)

    def unit_range(self, depth, shape, rng):
        return rng.uniform(-1, 1, (depth, *shape))

    monkeypatch.setattr(IID, "sample", shared if planted == "shared layers" else unit_range)
    with pytest.raises(AssertionError):
        TestUniform().test_sample_has_the_covariance()


def test_unknown_laws():
    with pytest.raises(
        ValueError,
        match=r"distribution must be one of 'gaussian', 'uniform', 'rademacher', got 'x'",
    ):
        IID("x")
    with pytest.raises(ValueError, match=r"kind of weight law must be one of .*'iid'.*got 'fbm2'"):
        weight_law_from_dict({"kind": "fbm2"})
    with pytest.raises(ValueError, match=r"kind of weight law must be one of .*got None"):
        weight_law_from_dict({})


# ---------------------------------------------------------------- covariances


def exact_fractional(hurst: float, k: int) -> mpmath.mpf:
    p = 2 * mpmath.mpf(hurst)
    powers = [mpmath.mpf(j) ** p if j else mpmath.mpf(0) for j in (abs(k - 1), k, k + 1)]
    return (powers[0] - 2 * powers[1] + powers[2]) / 2


@pytest.mark.parametrize("hurst", [0.01, *HURSTS, 0.5 + 1e-6, 0.999])
def test_fractional_covariance_keeps_its_digits(hurst):
    lags = [0, 1, 2, 3, 4, 7, 100, 1000, 10**6, 10**9]
    with mpmath.workdps(60):
        exact = [float(exact_fractional(hurst, k)) for k in lags]
    np.testing.assert_allclose(FractionalNoise(hurst).covariance(lags), exact, rtol=2e-14)


def test_the_plain_second_difference_would_lose_them():
    k, p = 1e6, 1.6
    plain = ((k - 1) ** p - 2 * k**p + (k + 1) ** p) / 2
    assert abs(plain / FractionalNoise(0.8).covariance(10**6) - 1) > 1e-7


@pytest.mark.parametrize("hurst", HURSTS)
def test_the_sum_of_the_layers_is_fractional_brownian_motion(hurst):
    law, depth = FractionalNoise(hurst), 1000
    lags = np.arange(depth)
    counts = np.where(lags == 0, depth, 2 * (depth - lags))
    assert counts @ law.covariance(lags) == pytest.approx(depth ** (2 * hurst), rel=1e-10)


def test_half_is_independent():
    law, lags = FractionalNoise(0.5), np.arange(-5, 2000)
    assert law.independent
    assert not FractionalNoise(0.5 + 1e-9).independent
    np.testing.assert_array_equal(law.covariance(lags), IID().covariance(lags))
    np.testing.assert_array_equal(law.spectrum(100), np.ones(101))
    np.testing.assert_array_equal(IID("uniform").spectrum(100), np.ones(101))
    np.testing.assert_array_equal(law.factor(7), np.eye(7))
    np.testing.assert_array_equal(IID().factor(7), np.eye(7))
    one, other = (x.sample(9, (4, 3), np.random.default_rng(1)) for x in (law, IID()))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("variance", [1e-6, 1e-3, 0.01, 1.0, 1e4])
@pytest.mark.parametrize("depth", [1, 10, 1000, 10**6])
def test_smooth_covariance_keeps_its_digits(variance, depth):
    lags = np.unique(np.concatenate([np.arange(6), depth * np.arange(11) // 10]))
    with mpmath.workdps(60):
        v, h = mpmath.mpf(variance), 1 / mpmath.mpf(depth)

        def kernel(tau: mpmath.mpf) -> mpmath.mpf:
            return mpmath.exp(-(tau**2) / (2 * v))

        scale = 2 - 2 * kernel(h)
        taus = [int(k) * h for k in lags]
        exact = [float((2 * kernel(t) - kernel(t + h) - kernel(t - h)) / scale) for t in taus]
    np.testing.assert_allclose(Smooth(variance).covariance(lags, depth), exact, atol=1e-15)


def test_smooth_covariance_tends_to_that_of_the_derivative():
    times = np.arange(11) / 10
    limit = (1 - times**2 / 0.01) * np.exp(-(times**2) / 0.02)
    gaps = [
        np.abs(Smooth(0.01).covariance(depth * np.arange(11) // 10, depth) - limit).max()
        for depth in (100, 200, 400)
    ]
    np.testing.assert_allclose([gaps[0] / gaps[1], gaps[1] / gaps[2]], 4.0, rtol=0.03)


# ---------------------------------------------------------------- spectra and factors


@pytest.mark.parametrize("depth", [1, 2, 3, 10, 101, 1000, 20000])
def test_the_embedding_of_fractional_noise_is_positive(depth):
    for hurst in [0.001, *np.linspace(0.05, 0.97, 24), 0.999]:
        assert np.min(FractionalNoise(hurst).spectrum(depth)) > 0


def test_smallest_eigenvalues():
    assert FractionalNoise(0.05).spectrum(1000).min() == pytest.approx(2.0e-4, abs=0.05e-4)
    assert FractionalNoise(0.97).spectrum(1000).min() == pytest.approx(0.052, abs=0.0005)


@pytest.mark.parametrize("law", [FractionalNoise(0.1), FractionalNoise(0.9), Smooth(0.003)])
def test_spectrum_is_that_of_the_circulant(law):
    row = law.covariance(np.arange(21), 20)
    circulant = linalg.toeplitz(np.concatenate([row, row[-2:0:-1]]))
    np.testing.assert_allclose(circulant[:20, :20], linalg.toeplitz(row[:20]), atol=0)
    spectrum = law.spectrum(20)
    expected = np.sort(np.concatenate([spectrum, spectrum[1:-1]]))
    np.testing.assert_allclose(np.linalg.eigvalsh(circulant), expected, atol=1e-12)


def test_no_spectrum_where_an_eigenvalue_is_negative():
    assert Smooth(1.0).spectrum(50) is None


@pytest.mark.parametrize("depth", [1, 2, 60, 300])
@pytest.mark.parametrize("law", [FractionalNoise(0.05), FractionalNoise(0.97), Smooth(), Smooth(1)])
def test_factor(law, depth):
    factor = law.factor(depth)
    exact = linalg.toeplitz(law.covariance(np.arange(depth), depth))
    np.testing.assert_allclose(factor @ factor.T, exact, atol=1e-13)


def test_fractional_factor_is_triangular():
    assert not np.triu(FractionalNoise(0.3).factor(50), 1).any()


@pytest.mark.parametrize(("depth", "rank"), [(50, 28), (100, 28), (1000, 29)])
def test_rank_of_smooth_weights(depth, rank):
    factor = Smooth().factor(depth)
    eigenvalues = np.linalg.svd(factor, compute_uv=False) ** 2
    assert np.sum(eigenvalues > 1e-10 * eigenvalues[0]) == rank
    assert factor.shape[1] <= 36


def test_factor_of_a_very_deep_smooth_network():
    depth = 20000
    factor = Smooth().factor(depth)
    assert factor.shape[1] <= 36
    some = np.array([0, 1, 7, 999, 10000, depth - 1])
    exact = Smooth().covariance(some[:, None] - some, depth)
    np.testing.assert_allclose(factor[some] @ factor[some].T, exact, atol=1e-13)


@dataclass(frozen=True)
class Constant(GaussianLaw):
    """The same weights in every layer: a singular covariance that is not declared as such."""

    kind: ClassVar[str] = "constant-of-the-tests"

    def covariance(self, lags: Any, depth: int | None = None) -> np.ndarray:
        return np.ones(np.shape(lags))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind}


def test_a_singular_covariance_gets_a_pivoted_factor():
    np.testing.assert_array_equal(Constant().factor(6), np.ones((6, 1)))
    draw = Constant().sample(6, (3,), np.random.default_rng(0))
    np.testing.assert_allclose(draw, np.broadcast_to(draw[0], draw.shape), rtol=1e-12)
    assert weight_law_from_dict({"kind": "constant-of-the-tests"}) == Constant()


# ---------------------------------------------------------------- draws

LAWS = [*map(FractionalNoise, HURSTS), Smooth(0.01), Smooth(1e-4)]


def check_draw(law: WeightLaw, depth: int = 48, n: int = 20000) -> None:
    paths = law.sample(depth, (n // 100, 100), np.random.default_rng(41)).reshape(depth, -1)
    check_every_lag(paths, law.covariance(np.arange(depth), depth))


@pytest.mark.mc
@pytest.mark.parametrize("law", LAWS)
def test_draws_have_the_covariance_at_every_lag(law):
    check_draw(law)


@pytest.mark.mc
@pytest.mark.parametrize("law", [FractionalNoise(0.2), Smooth(0.01)])
def test_draws_in_many_chunks(law, monkeypatch):
    monkeypatch.setattr(_paths, "_CHUNK", 48 * 701)
    assert len(list(_paths.chunks(20000, 96))) > 50
    check_draw(law)


def check_deep_draw(hurst: float) -> None:
    law, depth, n = FractionalNoise(hurst), 1000, 3000
    paths = law.sample(depth, n, np.random.default_rng(42))
    check_long_range(paths, law.covariance(np.arange(depth)))


@pytest.mark.mc
@pytest.mark.parametrize("hurst", HURSTS)
def test_deep_draws_have_the_long_range_covariance(hurst):
    check_deep_draw(hurst)


def published(self: FractionalNoise, depth: int) -> np.ndarray:
    return published_spectrum(self.hurst, depth)


def two_percent_too_large(self: FractionalNoise, depth: int) -> np.ndarray:
    return 1.02 * GaussianLaw.spectrum(self, depth)


def complex_ends(self: FractionalNoise, depth: int) -> np.ndarray:
    """What is sampled if the first and last coefficient get the amplitude of the others."""
    spectrum = GaussianLaw.spectrum(self, depth)
    spectrum[[0, -1]] /= 2
    return spectrum


@pytest.mark.mc
@pytest.mark.parametrize("hurst", [0.2, 0.8, 0.97])
@pytest.mark.parametrize("planted", [two_percent_too_large, complex_ends])
def test_every_lag_rejects_a_wrong_normalisation(monkeypatch, hurst, planted):
    monkeypatch.setattr(FractionalNoise, "spectrum", planted)
    with pytest.raises(AssertionError):
        check_draw(FractionalNoise(hurst))


@pytest.mark.mc
def test_the_published_generator_is_rejected(monkeypatch):
    monkeypatch.setattr(FractionalNoise, "spectrum", published)
    with pytest.raises(AssertionError):
        check_draw(FractionalNoise(0.9))
    with pytest.raises(AssertionError):
        check_draw(FractionalNoise(0.97))


@pytest.mark.mc
@pytest.mark.parametrize("hurst", [0.2, 0.8])
def test_deep_draws_reject_a_short_memory(monkeypatch, hurst):
    """Two independent halves of the depth: right at every lag but the long ones."""
    original = FractionalNoise.sample

    def halves(self, depth, shape, rng):
        return np.concatenate([original(self, depth // 2, shape, rng) for _ in range(2)])

    monkeypatch.setattr(FractionalNoise, "sample", halves)
    with pytest.raises(AssertionError):
        check_deep_draw(hurst)


@pytest.mark.mc
@pytest.mark.parametrize("planted", ["rank", "scale"])
def test_every_lag_rejects_a_truncated_factor(monkeypatch, planted):
    def truncated(diagonal, column):
        factor = _paths.pivoted_factor(diagonal, column)
        return factor[:, :-18] if planted == "rank" else 1.01 * factor

    monkeypatch.setattr(weights, "pivoted_factor", truncated)
    with pytest.raises(AssertionError):
        check_draw(Smooth(0.01))


# ---------------------------------------------------------------- the limit process


def check_process() -> None:
    law, depth = Smooth(0.02), 40
    times = np.arange(1, depth + 1) / depth
    paths = law.process(times, (200, 100), np.random.default_rng(43)).reshape(depth, -1)
    square = (times - times[0]) ** 2 / law.variance
    check_every_lag(paths, (1 - square) * np.exp(-square / 2))


@pytest.mark.mc
def test_process():
    check_process()


@pytest.mark.mc
def test_process_rejects_the_undifferentiated_kernel(monkeypatch):
    def kernel(diagonal, column):
        index = np.arange(diagonal.size)
        values = np.exp(-(((index[:, None] - index) / diagonal.size) ** 2) / 0.04)
        return _paths.pivoted_factor(diagonal, lambda i: values[i])

    monkeypatch.setattr(weights, "pivoted_factor", kernel)
    with pytest.raises(AssertionError):
        check_process()


def test_process_is_smooth_and_shared_by_two_depths():
    times = np.arange(401) / 400
    path = Smooth(0.04).process(times, (), np.random.default_rng(3))
    assert path.shape == (401,)
    # a quadratic through the coarse grid predicts the points between to third order in the step
    coarse = path[::2]
    between = (3 * coarse[:-2] + 6 * coarse[1:-1] - coarse[2:]) / 8
    np.testing.assert_allclose(between, path[1:-3:2], atol=1e-4)


def test_errors_of_the_laws():
    with pytest.raises(ValueError, match=r"hurst must be less than 1, got 1; pass a number strict"):
        FractionalNoise(1)
    with pytest.raises(ValueError, match=r"hurst must be greater than 0, got 0; pass a number"):
        FractionalNoise(0.0)
    with pytest.raises(TypeError, match=r"hurst must be a real number, got 'x'"):
        FractionalNoise("x")
    with pytest.raises(ValueError, match=r"variance must be greater than 0, got -1"):
        Smooth(-1)
    with pytest.raises(ValueError, match=r"depth must be given for smooth weights, got None"):
        Smooth().covariance(3)
    with pytest.raises(ValueError, match=r"depth must be a positive integer, got 0"):
        Smooth().covariance(3, 0)
    with pytest.raises(ValueError, match=r"distribution must be 'gaussian' to be drawn from a fac"):
        IID("uniform").factor(4)
    with pytest.raises(ValueError, match=r"times must be a vector, got shape \(2, 2\)"):
        Smooth().process(np.ones((2, 2)), 3, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"kind of weight law must be .*'fractional'.*'smooth'"):
        weight_law_from_dict({"kind": "gaussian"})


@pytest.mark.parametrize("variance", [5e-324, 1e308])
def test_variances_whose_covariance_leaves_the_numbers_are_refused(variance):
    with pytest.raises(ValueError, match="variance must lie between 1e-200 and 1e"):
        weights.Smooth(variance)


@pytest.mark.parametrize("shape", [2.5, None])
def test_shapes_of_a_wrong_type_are_named(shape):
    with pytest.raises(TypeError, match="shape must be an integer or a sequence of integers"):
        weights.IID().sample(2, shape, np.random.default_rng(0))
