"""The law of the published generator: closed form, emulation of its steps, and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg

from companion.papers.large_depth import generator
from companion.papers.large_depth.generator import (
    PublishedFractionalNoise,
    emulate,
    published_covariance,
    published_spectrum,
)
from companion.simulate import processes
from companion.simulate.blocks import Noise
from companion.weights import FractionalNoise, weight_law_from_dict
from tests.stationary import check_every_lag, check_long_range

#: Hurst index, variance of a layer at depth 1000.
VARIANCES = [
    (0.5, 1.000),
    (0.6, 1.002),
    (0.7, 1.011),
    (0.8, 1.050),
    (0.9, 1.226),
    (0.95, 1.581),
    (0.97, 1.853),
]


@pytest.mark.parametrize(("hurst", "variance"), VARIANCES)
def test_variance_at_depth_1000(hurst, variance):
    assert published_covariance(hurst, 1000)[0] == pytest.approx(variance, abs=0.0005)


def test_covariance_alternates_between_layers():
    found, exact = published_covariance(0.97, 1000), FractionalNoise(0.97).covariance([0, 1])
    assert found[1] == pytest.approx(0.230, abs=0.0005)
    assert exact[1] == pytest.approx(0.919, abs=0.0005)
    assert published_spectrum(0.97, 1000)[-1] / 2000 == pytest.approx(0.64, abs=0.005)
    signs = (-1.0) ** np.arange(1000)
    excess = found - FractionalNoise(0.97).covariance(np.arange(1000))
    assert np.mean(signs * excess) == pytest.approx(0.64, abs=0.005)


def test_dropped_eigenvalues():
    spectrum = published_spectrum(0.97, 1000)
    dropped = 2 * np.sum(spectrum[1:-1] == 0) + 1  # and that of the highest frequency, replaced
    assert dropped == 913
    assert spectrum[-1] == spectrum[0]


@pytest.mark.parametrize("hurst", [0.05, 0.5, 0.7, 0.9, 0.97])
def test_sums_over_all_layers_have_the_right_variance(hurst):
    depth = 1000
    lags = np.arange(depth)
    counts = np.where(lags == 0, depth, 2 * (depth - lags))
    total = counts @ published_covariance(hurst, depth)
    assert total == pytest.approx(depth ** (2 * hurst), rel=5e-5)


def test_law():
    law = PublishedFractionalNoise(0.9)
    assert law.gaussian
    assert not law.independent
    np.testing.assert_allclose(law.covariance(np.arange(30), 30), published_covariance(0.9, 30))
    np.testing.assert_array_equal(law.covariance([-3, 30 - 70], 30), law.covariance([3, 20], 30))
    np.testing.assert_array_equal(law.spectrum(30), published_spectrum(0.9, 30))
    assert weight_law_from_dict(law.to_dict()) == law
    factor = law.factor(30)
    exact = linalg.toeplitz(published_covariance(0.9, 30))
    np.testing.assert_allclose(factor @ factor.T, exact, atol=1e-13)


def test_errors():
    with pytest.raises(ValueError, match=r"depth must be given for the published gener.*got None"):
        PublishedFractionalNoise(0.9).covariance(1)
    with pytest.raises(ValueError, match=r"hurst must be less than 1, got 1"):
        PublishedFractionalNoise(1)
    with pytest.raises(ValueError, match=r"depth must be a positive integer, got 0"):
        published_spectrum(0.9, 0)
    with pytest.raises(ValueError, match=r"paths must be a positive integer, got 0"):
        emulate(0.9, 5, 0, np.random.default_rng(0))


# ---------------------------------------------------------------- closed form against the recipe


def check_emulation(hurst: float, depth: int = 48) -> None:
    paths = emulate(hurst, depth, 20000, np.random.default_rng(51))
    check_every_lag(paths, generator.published_covariance(hurst, depth))


@pytest.mark.mc
@pytest.mark.parametrize("hurst", [0.05, 0.5, 0.7, 0.8, 0.9, 0.97])
def test_closed_form_is_the_law_of_the_recipe(hurst):
    check_emulation(hurst)


def exact_covariance(hurst: float, depth: int) -> np.ndarray:
    return FractionalNoise(hurst).covariance(np.arange(depth))


def negative_kept(hurst: float, depth: int) -> np.ndarray:
    """Covariance if the imaginary part of the paths were kept in the real one."""
    row = FractionalNoise(hurst).covariance(np.arange(depth))
    spectrum = np.abs(np.fft.rfft(np.concatenate([row, [0.0], row[:0:-1]])).real)
    spectrum[-1] = spectrum[0]
    return np.fft.irfft(spectrum, 2 * depth)[:depth]


def last_not_replaced(hurst: float, depth: int) -> np.ndarray:
    """Covariance with the lost wrap-around element as the only departure."""
    row = FractionalNoise(hurst).covariance(np.arange(depth))
    spectrum = np.fft.rfft(np.concatenate([row, [0.0], row[:0:-1]])).real
    return np.fft.irfft(np.maximum(spectrum, 0), 2 * depth)[:depth]


@pytest.mark.mc
@pytest.mark.parametrize("hurst", [0.9, 0.97])
@pytest.mark.parametrize("planted", [exact_covariance, negative_kept, last_not_replaced])
def test_each_departure_is_seen(monkeypatch, hurst, planted):
    monkeypatch.setattr(generator, "published_covariance", planted)
    with pytest.raises(AssertionError):
        check_emulation(hurst)


@pytest.mark.parametrize("depth", [7, 64, 100, 199, 1000])
def test_rounding_rarely_saves_an_eigenvalue(depth):
    """A negative eigenvalue is dropped unless rounding gives its conjugate roots opposite signs.

    The transform of a modulated row, read backwards, has small imaginary parts, and the sign of
    each decides which root is taken.
    """
    index = np.arange(2 * depth)
    turns = (2 * depth - 1) * index * (1 / (2 * depth))
    upper = np.arange(1, depth)
    for hurst in np.linspace(0.05, 0.97, 24):
        row = FractionalNoise(hurst).covariance(np.arange(depth))
        period = np.concatenate([row, [0.0], row[:0:-1]])
        found = np.fft.fft(period * np.exp(2 * np.pi * 1j * turns))[::-1]
        np.testing.assert_allclose(found.real, np.fft.fft(period).real, atol=1e-9 * depth)
        opposite = np.signbit(found.imag[upper]) != np.signbit(found.imag[2 * depth - upper])
        saved = -np.minimum(found.real[upper], 0.0)[opposite].sum() / depth
        assert saved < 0.003


# ---------------------------------------------------------------- simulation


def noise() -> Noise:
    root = np.random.SeedSequence(52)
    return Noise(root, range(4), 5, torch.device("cpu"), torch.float32)


def check_draw(hurst: float, depth: int, method: str) -> None:
    law = PublishedFractionalNoise(hurst)
    found = processes.draw(law, depth, 20, 25, 20, noise(), method=method)
    paths = found.reshape(depth, -1).numpy().astype(np.float64)
    check = check_every_lag if depth <= 60 else check_long_range
    check(paths, published_covariance(hurst, depth))


@pytest.mark.mc
@pytest.mark.parametrize("method", ["circulant", "factor"])
@pytest.mark.parametrize("depth", [48, 600])
def test_simulation_has_the_law(method, depth):
    check_draw(0.97, depth, method)


@pytest.mark.mc
def test_simulation_rejects_the_exact_noise(monkeypatch):
    monkeypatch.setattr(
        PublishedFractionalNoise, "spectrum", lambda law, n: FractionalNoise(law.hurst).spectrum(n)
    )
    with pytest.raises(AssertionError):
        check_draw(0.9, 48, "circulant")
