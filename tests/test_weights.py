"""Laws of the weights along depth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from companion.weights import IID, WeightLaw, weight_law_from_dict

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
        target = law.covariance(layers[:, None] - layers)
        assert np.all(sem < 0.01)
        assert np.all(np.abs(value - target) <= 4.5 * sem + 1e-12)

    def test_covariance_is_a_correlation(self):
        law = self.law()
        lags = np.arange(-50, 51)
        values = law.covariance(lags)
        assert values.shape == lags.shape
        assert law.covariance(0) == 1
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
            law.covariance([1, 0.5])
        with pytest.raises(ValueError, match=r"lags must be finite, got nan"):
            law.covariance(math.nan)
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
