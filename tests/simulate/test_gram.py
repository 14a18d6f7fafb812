"""The Gram matrix in PyTorch against NumPy; the cases on CUDA are marked and run where one is."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from companion.architecture import ResNetSpec
from companion.kernels import table, tangent
from companion.simulate import gram

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def network(depth: int, scale: float = 1.0) -> ResNetSpec:
    return ResNetSpec.tangent_kernel(depth, 1, alpha=scale)


def points(samples: int) -> np.ndarray:
    x = np.random.default_rng(5).standard_normal((samples, 3))
    x[1], x[2], x[3], x[4] = x[0], 3 * x[0], x[0] + 1e-9, -x[0]
    x[5] = 0.0
    return x


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("depth", "scale"), [(1, 1.0), (10, 0.3), (2000, 1.0)])
def test_the_twin_agrees_with_numpy(device, depth, scale):
    spec, x = network(depth, scale), points(60)
    known = table.tangent_table(spec)
    found = gram.gram(known, torch.from_numpy(x).to(device)).cpu().numpy()
    unit = np.maximum(np.linalg.norm(x, axis=1), 1e-300)
    for other in (known.gram(x), tangent.direct_gram(spec, x)):
        assert np.abs((found - other) / unit[:, None] / unit).max() < 1e-10
    assert np.array_equal(found, found.T)
    assert np.diagonal(found) == pytest.approx(np.sum(x**2, axis=1), rel=1e-15)
    assert np.all(found[5] == 0)


@pytest.mark.parametrize("device", DEVICES)
def test_other_columns_and_blocks(device, monkeypatch):
    monkeypatch.setitem(gram.CHUNK_ELEMENTS, "cpu", 100)
    monkeypatch.setitem(gram.CHUNK_ELEMENTS, "cuda", 100)
    known, x = table.tangent_table(network(50)), torch.from_numpy(points(41)).to(device)
    whole = gram.gram(known, x)
    assert torch.allclose(gram.gram(known, x, x[3:20]), whole[:, 3:20], rtol=0, atol=1e-11)
    out = torch.full_like(whole, torch.nan)
    assert gram.gram(known, x, out=out) is out
    assert torch.equal(out, whole)


@pytest.mark.parametrize("device", DEVICES)
def test_the_series_at_angles(device):
    theta = np.linspace(0, math.pi, 101).reshape(1, 101)
    for known in (table.tangent_table(network(3)), table.flow_table(1e4)):
        found = gram.evaluate(known, torch.from_numpy(theta).to(device)).cpu().numpy()
        assert found == pytest.approx(known(theta), abs=1e-13)
        assert found[0, 0] == 1.0


def test_the_comparison_can_fail(monkeypatch):
    known, x = table.tangent_table(network(2000)), points(20)
    right = gram._angles
    monkeypatch.setattr(gram, "_angles", lambda a, b: right(a.float(), b.float()).double())
    found = gram.gram(known, torch.from_numpy(x)).numpy()
    unit = np.maximum(np.linalg.norm(x, axis=1), 1e-300)
    gap = np.abs(found - known.gram(x)) / unit[:, None] / unit
    assert gap.max() > 1e-8, "float32 spoils what must hold to 1e-10"


def test_errors_name_the_argument():
    known, x = table.flow_table(1.0), torch.ones(3, 2, dtype=torch.float64)
    with pytest.raises(TypeError, match=r"x must be a float64 tensor, got torch.float32"):
        gram.gram(known, x.float())
    with pytest.raises(TypeError, match=r"y must be a float64 tensor, got ndarray"):
        gram.gram(known, x, np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"y must be a matrix .* columns of x, got shape \(3, 3\)"):
        gram.gram(known, x, torch.ones(3, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"x must be finite and on the device"):
        gram.gram(known, x * torch.nan)
    with pytest.raises(ValueError, match=r"out must have shape \(3, 3\)"):
        gram.gram(known, x, out=torch.ones(3, 2, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"theta must lie in \[0, pi\]"):
        gram.evaluate(known, torch.tensor([4.0], dtype=torch.float64))
