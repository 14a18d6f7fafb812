"""Blocks, seeds, devices: what a result may depend on, and what it may not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from companion.architecture import ResNetSpec
from companion.simulate import blocks, matrixfree
from companion.simulate.blocks import Noise, batches, block_size, resolve_device, resolve_dtype

CPU = torch.device("cpu")


def noise(
    indices: range, size: int = 4, seed: int = 3, dtype: torch.dtype = torch.float64
) -> Noise:
    return Noise(np.random.SeedSequence(seed), indices, size, CPU, dtype)


def cut(networks: int, size: int, **kwargs: object) -> list[blocks.Block]:
    settings = {"seed": 1, "device": CPU, "dtype": torch.float32} | kwargs
    return list(batches(networks, size, **settings))


@pytest.mark.parametrize("networks", [1, 3, 4, 5, 17, 40])
@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_batches_cover_every_network_once(networks, batch):
    found = cut(networks, 4, batch=batch)
    assert [i for b in found for i in range(b.keep.start, b.keep.stop)] == list(range(networks))
    assert all(b.networks % 4 == 0 for b in found)
    assert all(b.networks <= 4 * batch for b in found)


@pytest.mark.parametrize("name", ["networks", "batch"])
@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3"])
def test_counts_must_be_positive_integers(name, value):
    arguments = {"networks": 5, "batch": 1, name: value}
    with pytest.raises(ValueError, match=rf"{name} must be a positive integer, got {value!r}"):
        cut(arguments["networks"], 4, batch=arguments["batch"])


@pytest.mark.parametrize("draw", ["normal", "signs", "uniform"])
def test_noise_of_a_batch_is_the_noise_of_its_blocks(draw):
    together = noise(range(2, 5))
    alone = [noise(range(i, i + 1)) for i in (2, 3, 4)]
    for shape in ((7, 3), (1,), (2, 40)):
        whole = getattr(together, draw)(12, *shape)
        parts = torch.cat([getattr(one, draw)(4, *shape) for one in alone])
        assert torch.equal(whole, parts)


@pytest.mark.parametrize(
    ("draw", "law"),
    [("normal", stats.norm.cdf), ("uniform", stats.uniform(-1, 2).cdf)],
)
def test_laws_of_the_noise(draw, law):
    sample = getattr(noise(range(20), 100), draw)(2000, 20).numpy()
    assert stats.ks_1samp(sample.ravel(), law).pvalue > 1e-3
    assert stats.ks_1samp(sample[:, 0] ** 3, lambda x: law(np.cbrt(x))).pvalue > 1e-3
    # independent between blocks: the correlation of two of them has standard error 2000^(-1/2)
    table = np.corrcoef(sample.reshape(20, 2000))
    assert np.abs(table - np.eye(20)).max() < 4.5 / 2000**0.5


def test_signs_are_fair():
    signs = noise(range(20), 100).signs(2000, 50).numpy()
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(signs.mean()) < 4.5 / signs.size**0.5


def test_generators_use_more_than_32_bits():
    """PyTorch's Mersenne twister keeps 32 bits of a seed; ours is filled from the sequence."""
    child = np.random.SeedSequence(3, spawn_key=(7,))
    generator = blocks._generator(np.random.SeedSequence(3), 7, CPU)
    raw = np.random.MT19937()
    state = raw.state
    state["state"] = {"key": child.generate_state(624), "pos": 624}
    raw.state = state
    words = torch.empty(2000, dtype=torch.int64).random_(0, 2**24, generator=generator)
    assert words.tolist() == (raw.random_raw(2000) % 2**24).tolist()


def test_seeds_and_spawn_keys_are_respected():
    root = np.random.SeedSequence(11)
    cells = [root, *root.spawn(2), np.random.SeedSequence(12), np.random.SeedSequence(11 + 2**32)]
    draws = [Noise(cell, range(1), 4, CPU, torch.float64).normal(4, 5) for cell in cells]
    for i, one in enumerate(draws):
        assert not any(torch.equal(one, other) for other in draws[:i])
    again = Noise(np.random.SeedSequence(11, spawn_key=(1,)), range(1), 4, CPU, torch.float64)
    assert torch.equal(draws[2], again.normal(4, 5))


@pytest.mark.parametrize("seed", [-1, 1.5, True, "7", None])
def test_bad_seeds(seed):
    with pytest.raises(ValueError, match="seed must be a non-negative integer or a numpy Seed"):
        cut(3, 4, seed=seed)


def test_block_size_is_a_constant_of_the_network():
    assert block_size(100) == 2**16 // 100
    assert block_size(100, "cuda") == 2**22 // 100
    assert block_size(100, layers=10**5) == 2**26 // 10**5 // 100
    assert block_size(100, layers=10) == block_size(100)
    # A lone network would be summed in another order by several threads.
    assert block_size(10**6) == block_size(100, layers=10**9) == 2


@pytest.mark.parametrize("device", ["gpu", "mps", "cpuu", ""])
def test_unknown_devices(device):
    with pytest.raises(ValueError, match=f"device must be 'auto', 'cpu' or 'cuda', got '{device}'"):
        resolve_device(device)


def test_cuda_without_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device='cuda' was asked for but PyTorch finds no CUDA"):
        resolve_device("cuda")
    assert resolve_device("auto") == CPU


@pytest.mark.parametrize("dtype", ["float16", "double", torch.int32, 3, ["float32"]])
def test_unknown_number_types(dtype):
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64', got"):
        resolve_dtype(dtype)


def test_known_number_types():
    for dtype in ("float64", torch.float64, np.dtype("float64")):
        assert resolve_dtype(dtype) is torch.float64


def test_the_missing_extra_is_named():
    from companion._optional import MissingExtraError, require

    require("torch", extra="sim", purpose="simulate networks")
    message = r"no_such is needed to fly .* pip install 'residual-scaling\[wings\]'"
    with pytest.raises(MissingExtraError, match=message):
        require("no_such", extra="wings", purpose="fly")
    assert issubclass(MissingExtraError, ImportError)


def test_a_simulation_runs_on_one_thread_and_gives_the_others_back(monkeypatch):
    seen = []
    true = matrixfree.Chain.step

    def step(self, *args):
        seen.append(torch.get_num_threads())
        return true(self, *args)

    monkeypatch.setattr(matrixfree.Chain, "step", step)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        matrixfree.forward(ResNetSpec.log_gaussian(3, 4, 0.6, 0.8), 2, seed=1, device="cpu")
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
        with pytest.raises(RuntimeError, match="stop"), blocks.one_thread():
            raise RuntimeError("stop")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
