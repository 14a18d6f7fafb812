"""Weights of all layers drawn in PyTorch: law, independence, reproducibility, memory, speed."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch

from companion.montecarlo import Estimate, ks_against
from companion.papers.large_depth.generator import published_spectrum
from companion.simulate import processes
from companion.simulate.blocks import Noise
from companion.simulate.processes import draw, stream
from companion.weights import IID, FractionalNoise, GaussianLaw, Smooth, WeightLaw
from tests.stationary import check_every_lag, check_long_range

HURSTS = [0.05, 0.2, 0.5, 0.8, 0.97]
LAWS = [*map(FractionalNoise, HURSTS), Smooth(0.01), IID(), IID("uniform"), IID("rademacher")]
WAYS = ["circulant", "factor", "stream"]


def noise(
    blocks: range = range(4), size: int = 5, seed: int = 61, dtype: torch.dtype = torch.float32
) -> Noise:
    return Noise(np.random.SeedSequence(seed), blocks, size, torch.device("cpu"), dtype)


def weights(law: WeightLaw, depth: int, way: str, rows: int = 25, columns: int = 40):
    if way == "stream":
        return torch.stack(list(stream(law, depth, 20, rows, columns, noise())))
    return draw(law, depth, 20, rows, columns, noise(), method=way)


def paths_of(found: torch.Tensor) -> np.ndarray:
    return found.reshape(len(found), -1).numpy().astype(np.float64)


# ---------------------------------------------------------------- law


def check_law(law: WeightLaw, way: str, depth: int = 48) -> None:
    paths = paths_of(weights(law, depth, way))
    check_every_lag(paths, law.covariance(np.arange(depth), depth))


@pytest.mark.mc
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("law", [*map(FractionalNoise, HURSTS), Smooth(0.01), Smooth(1e-4)])
def test_covariance_at_every_lag(law, way):
    check_law(law, way)


@pytest.mark.mc
@pytest.mark.gpu
@pytest.mark.parametrize("way", ["auto", "circulant", "factor", "stream"])
@pytest.mark.parametrize("law", [FractionalNoise(0.2), FractionalNoise(0.97), Smooth(1e-4)])
def test_covariance_on_cuda(law, way):
    def on_gpu() -> Noise:
        root = np.random.SeedSequence(62)
        return Noise(root, range(4), 5, torch.device("cuda"), torch.float32)

    found = (
        torch.stack(list(stream(law, 48, 20, 25, 40, on_gpu())))
        if way == "stream"
        else draw(law, 48, 20, 25, 40, on_gpu(), method=way)
    )
    check_every_lag(paths_of(found.cpu()), law.covariance(np.arange(48), 48))


def check_deep(hurst: float, way: str) -> None:
    law, depth = FractionalNoise(hurst), 1000
    paths = paths_of(weights(law, depth, way, rows=20, columns=10))
    check_long_range(paths, law.covariance(np.arange(depth)))


@pytest.mark.mc
@pytest.mark.parametrize("way", ["circulant", "factor"])
@pytest.mark.parametrize("hurst", HURSTS)
def test_long_range_covariance(hurst, way):
    check_deep(hurst, way)


@pytest.mark.mc
@pytest.mark.parametrize("way", ["auto", "stream"])
@pytest.mark.parametrize("distribution", ["gaussian", "uniform", "rademacher"])
def test_independent_entries(distribution, way):
    found = weights(IID(distribution), 12, way).double()
    fourth = {"gaussian": 3.0, "uniform": 1.8, "rademacher": 1.0}[distribution]
    assert Estimate.mean(found.numpy().ravel()).agrees(0.0)
    assert Estimate.mean(found.numpy().ravel() ** 2).agrees(1.0, allowance=1e-6)
    assert Estimate.mean(found.numpy().ravel() ** 4).agrees(fourth, allowance=1e-6)
    neighbours = (found[1:] * found[:-1]).numpy().ravel()
    assert Estimate.mean(neighbours).agrees(0.0)


def published(law: FractionalNoise, depth: int) -> np.ndarray:
    return published_spectrum(law.hurst, depth)


def two_percent_too_large(law: FractionalNoise, depth: int) -> np.ndarray:
    return 1.02 * GaussianLaw.spectrum(law, depth)


def complex_ends(law: FractionalNoise, depth: int) -> np.ndarray:
    spectrum = GaussianLaw.spectrum(law, depth)
    spectrum[[0, -1]] /= 2
    return spectrum


@pytest.mark.mc
@pytest.mark.parametrize("hurst", [0.9, 0.97])
@pytest.mark.parametrize("planted", [published, two_percent_too_large, complex_ends])
def test_every_lag_rejects_a_wrong_spectrum(monkeypatch, hurst, planted):
    monkeypatch.setattr(FractionalNoise, "spectrum", planted)
    with pytest.raises(AssertionError):
        check_law(FractionalNoise(hurst), "circulant")


@pytest.mark.mc
@pytest.mark.parametrize("law", [FractionalNoise(0.2), FractionalNoise(0.8), Smooth(0.01)])
@pytest.mark.parametrize("way", ["factor", "stream"])
def test_every_lag_rejects_a_factor_one_layer_late(monkeypatch, law, way):
    original = processes._factor

    def late(*args):
        factor, triangular = original(*args)
        return torch.cat([factor[:1], factor[:-1]]), triangular

    if way == "stream" and not law.low_rank:
        monkeypatch.setitem(processes.FACTOR_DEPTH, "cpu", 500)
    monkeypatch.setattr(processes, "_factor", late)
    with pytest.raises(AssertionError):
        check_law(law, way)


@pytest.mark.mc
@pytest.mark.parametrize("way", ["circulant", "factor"])
def test_long_range_rejects_a_neighbouring_law(monkeypatch, way):
    """Half of the reach: the noise of 500 layers twice."""
    original = processes.draw

    def halves(law, depth, *args, **kwargs):
        return torch.cat([original(law, depth // 2, *args, **kwargs) for _ in range(2)])

    monkeypatch.setattr("tests.simulate.test_processes.draw", halves)
    with pytest.raises(AssertionError):
        check_deep(0.8, way)


# ---------------------------------------------------------------- joint law of the entries


def check_entries(law: WeightLaw, way: str) -> None:
    """Sums over entries, over networks and over layers are normal with the right variance."""
    depth, rows, columns = 40, 30, 50
    found = paths_of(weights(law, depth, way, rows, columns)).reshape(depth, 20, rows * columns)
    slope = np.linspace(-1, 1, depth)  # any direction among the layers
    lags = np.arange(depth)
    layers = law.covariance(lags[:, None] - lags, depth)
    score = np.einsum("l,lne->ne", slope, found) / math.sqrt(slope @ layers @ slope)
    first = found[0] / math.sqrt(layers[0, 0])
    for sample in (score, first):
        assert not ks_against(sample.ravel(), normal_cdf).rejects(0.01, tests=2)
    for sums, count in ((score.reshape(20, -1, 10).sum(2), 10), (score.sum(0), 20)):
        normalised = sums.ravel() / math.sqrt(count)
        sem = np.array(math.sqrt(2 / normalised.size))
        assert Estimate(np.mean(normalised**2), sem, normalised.size).agrees(1.0)


def normal_cdf(x: np.ndarray) -> np.ndarray:
    from scipy import special

    return special.ndtr(x)


@pytest.mark.mc
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("law", [FractionalNoise(0.2), FractionalNoise(0.8), Smooth(1e-4)])
def test_entries_and_networks_are_independent_and_normal(law, way):
    check_entries(law, way)


def shared_entries(self: Noise, out: torch.Tensor) -> torch.Tensor:
    """Pairs of entries share their random numbers."""
    original_normal(self, out)
    if out.ndim == 4:  # circulant: (networks, entries, frequencies, 2)
        out[:, 1::2] = out[:, : 2 * (out.shape[1] // 2) : 2]
    else:  # factor: (networks, rank, entries)
        out[..., 1::2] = out[..., : 2 * (out.shape[-1] // 2) : 2]
    return out


def shared_networks(self: Noise, out: torch.Tensor) -> torch.Tensor:
    """All networks share their random numbers."""
    original_normal(self, out)
    return out.copy_(out[:1].clone().expand_as(out))


original_normal = Noise.normal_


@pytest.mark.mc
@pytest.mark.parametrize("planted", [shared_entries, shared_networks])
@pytest.mark.parametrize(
    ("law", "way"),
    [(FractionalNoise(0.2), "circulant"), (FractionalNoise(0.8), "factor"), (Smooth(), "stream")],
)
def test_shared_numbers_are_rejected(monkeypatch, planted, law, way):
    monkeypatch.setattr(Noise, "normal_", planted)
    with pytest.raises(AssertionError):
        check_entries(law, way)


@pytest.mark.mc
def test_uniform_numbers_are_rejected(monkeypatch):
    """The right covariance, but not normal."""
    monkeypatch.setattr(Noise, "normal_", lambda n, out: out.copy_(n.uniform(*out.shape) * 3**0.5))
    with pytest.raises(AssertionError):
        check_entries(FractionalNoise(0.99), "factor")


# ---------------------------------------------------------------- reproducibility


@pytest.mark.parametrize("law", LAWS, ids=repr)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("depth", [7, 130])
def test_weights_do_not_depend_on_the_batch(law, way, depth):
    if way == "circulant" and isinstance(law, Smooth):
        law = Smooth(1e-4)

    def whole(blocks: range) -> torch.Tensor:
        count = 2 * len(blocks)
        if way == "stream":
            return torch.stack(list(stream(law, depth, count, 5, 4, noise(blocks, 2))))
        return draw(law, depth, count, 5, 4, noise(blocks, 2), method=way)

    batch = whole(range(3))
    assert batch.shape == (depth, 6, 5, 4)
    assert batch.dtype == torch.float32
    assert torch.equal(batch, torch.cat([whole(range(i, i + 1)) for i in range(3)], dim=1))
    assert not torch.equal(batch[:, :2], batch[:, 2:4])


def test_auto_takes_the_factor_when_shallow_or_smooth():
    for law, depth, method in [
        (FractionalNoise(0.3), 100, "factor"),
        (FractionalNoise(0.3), 600, "circulant"),
        (Smooth(), 600, "factor"),
    ]:
        one, other = (draw(law, depth, 20, 2, 3, noise(), method=name) for name in ("auto", method))
        assert torch.equal(one, other)


def test_a_stored_draw_is_streamed_as_it_is():
    law = FractionalNoise(0.3)
    for depth in (20, 450):
        stored = draw(law, depth, 20, 3, 4, noise())
        assert torch.equal(torch.stack(list(stream(law, depth, 20, 3, 4, noise()))), stored)


def test_half_is_the_iid_draw():
    law = FractionalNoise(0.5)
    for sampler in (draw, lambda *args: torch.stack(list(stream(*args)))):
        one, other = (sampler(x, 30, 20, 3, 4, noise()) for x in (law, IID()))
        assert torch.equal(one, other)


@pytest.mark.parametrize("method", ["circulant", "factor"])
def test_the_two_precisions_and_shapes(method):
    law = FractionalNoise(0.7)
    found = draw(law, 9, 20, 3, 1, noise(dtype=torch.float64), method=method)
    assert found.dtype == torch.float64
    assert found.shape == (9, 20, 3, 1)
    assert draw(law, 1, 20, 1, 1, noise(), method=method).shape == (1, 20, 1, 1)


# ---------------------------------------------------------------- memory and speed


class Counting(Noise):
    """Noise that remembers how many numbers it was asked for at once."""

    largest = 0

    def normal_(self, out: torch.Tensor) -> torch.Tensor:
        self.largest = max(self.largest, out.numel())
        return super().normal_(out)


def counting(networks: int) -> Counting:
    root = np.random.SeedSequence(0)
    return Counting(root, range(1), networks, torch.device("cpu"), torch.float32)


@pytest.mark.parametrize("method", ["circulant", "factor"])
def test_working_memory_is_bounded(method):
    few = counting(2)
    draw(FractionalNoise(0.3), 1000, 2, 60, 60, few, method=method)
    assert few.largest <= 2 * 1.001 * 2**18
    many = counting(300)
    found = draw(FractionalNoise(0.3), 200, 300, 4, 8, many, method=method)
    assert many.largest <= 0.26 * found.numel()
    deep = counting(2)
    draw(Smooth(), 5000, 2, 30, 30, deep)
    assert deep.largest <= 2 * 36 * 900


def test_streaming_smooth_weights_keeps_the_coefficients_only():
    source = counting(2)
    layers = stream(Smooth(), 10**5, 2, 30, 30, source)
    assert next(layers).shape == (2, 30, 30)
    assert source.largest <= 2 * 40 * 900


def loop(hurst: float, depth: int, rng: np.random.Generator) -> np.ndarray:
    """One entry as a textbook recipe has it: a loop over the frequencies, then a transform."""
    gamma = FractionalNoise(hurst).covariance(np.arange(depth + 1))
    eigenvalues = np.fft.fft(np.concatenate([gamma, gamma[-2:0:-1]])).real
    z = np.zeros(2 * depth, complex)
    for k in (0, depth):
        z[k] = np.sqrt(eigenvalues[k] / (2 * depth)) * rng.standard_normal()
    for k in range(1, depth):
        a, b = rng.standard_normal(), rng.standard_normal()
        z[k] = np.sqrt(eigenvalues[k] / (4 * depth)) * (a + 1j * b)
        z[2 * depth - k] = np.conj(z[k])
    return np.fft.fft(z)[:depth].real


def test_speed_against_a_loop_over_entries():
    rng, law = np.random.default_rng(0), FractionalNoise(0.8)
    ratios = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(4):
            loop(0.8, 1000, rng)
        middle = time.process_time()
        draw(law, 1000, 1, 80, 40, noise(range(1), 1))
        ratios.append(((middle - start) / 4) / ((time.process_time() - middle) / 3200))
    assert np.median(ratios) >= 100


# ---------------------------------------------------------------- errors


def test_errors():
    law = FractionalNoise(0.3)
    with pytest.raises(ValueError, match=r"method must be one of 'auto', 'circulant', 'factor', g"):
        draw(law, 5, 20, 2, 2, noise(), method="fft")
    with pytest.raises(ValueError, match=r"rows must be a positive integer, got 0"):
        draw(law, 5, 20, 0, 2, noise())
    with pytest.raises(ValueError, match=r"negative eigenvalues.*Smooth.*use method='factor'"):
        draw(Smooth(1.0), 50, 20, 2, 2, noise(), method="circulant")
    with pytest.raises(ValueError, match=r"law must be IID or Gaussian to be drawn, got 'iid'"):
        draw("iid", 5, 20, 2, 2, noise())
    with pytest.raises(ValueError, match=r"depth must be a positive integer, got 0"):
        next(stream(Smooth(), 0, 20, 2, 2, noise()))


def test_networks_must_be_those_of_the_noise():
    noise = Noise(np.random.SeedSequence(1), range(2), 2, torch.device("cpu"), torch.float32)
    with pytest.raises(ValueError, match="networks must be the number that noise was made for, 4"):
        draw(IID(), 2, 3, 2, 2, noise)
