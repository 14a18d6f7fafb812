"""Matrices known only through their products (lem-lg-conditioning), and the QR behind them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from companion.montecarlo import Estimate
from companion.simulate.blocks import Noise
from companion.simulate.conditioning import ConditionedGaussian, orthonormalize
from tests import defects

EPS = {torch.float32: 1.2e-7, torch.float64: 2.3e-16}
DTYPES = list(EPS)


def rows(k: int, n: int, dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    return torch.as_tensor(np.random.default_rng(seed).standard_normal((5, 1, k, n)), dtype=dtype)


def assert_factors(x: torch.Tensor, q: torch.Tensor, r: torch.Tensor, units: float = 20) -> None:
    """``x = r^T q`` and orthonormal or zero rows, to ``units`` rounding errors."""
    tolerance = units * EPS[x.dtype]
    size = float(torch.linalg.vector_norm(x, dim=-1).max())
    assert torch.allclose(r.mT @ q, x, rtol=0, atol=tolerance * size)
    gram = q @ q.mT
    alive = (r.diagonal(dim1=-2, dim2=-1) > 0).to(x.dtype)
    assert torch.allclose(gram, torch.diag_embed(alive), rtol=0, atol=tolerance)
    assert torch.equal(r, torch.triu(r))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("k", "n"), [(1, 7), (2, 2), (2, 100), (3, 10), (5, 40)])
def test_orthonormalize_is_the_qr_factorisation(k, n, dtype):
    x = rows(k, n, dtype)
    q, r = orthonormalize(x)
    assert_factors(x, q, r.reshape(5, 1, k, k))
    exact_q, exact_r = np.linalg.qr(np.swapaxes(x.double().numpy(), -1, -2))
    signs = np.sign(np.diagonal(exact_r, axis1=-2, axis2=-1))
    error = 1e3 * EPS[dtype]
    np.testing.assert_allclose(
        q.numpy(), np.swapaxes(exact_q, -1, -2) * signs[..., None], atol=error
    )
    np.testing.assert_allclose(r.numpy(), exact_r * signs[..., None], atol=error * n)


@pytest.mark.parametrize(("dtype", "angle"), [(torch.float32, 1e-5), (torch.float64, 1e-6)])
def test_nearly_dependent_rows_stay_orthonormal(dtype, angle):
    """Where the Gram matrix has lost all digits, the residual still has some."""
    x = rows(2, 60, torch.float64)
    x[..., 1, :] = 3 * x[..., 0, :] + angle * x[..., 1, :]
    x = x.to(dtype)
    q, r = orthonormalize(x)
    assert_factors(x, q, r)
    assert bool((r[..., 1, 1] > 0).all())
    exact = np.abs(np.linalg.qr(np.swapaxes(x.double().numpy(), -1, -2))[1])
    lost = 100 * EPS[dtype] / angle
    np.testing.assert_allclose(r[..., 1, 1].numpy(), exact[..., 1, 1], rtol=lost)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [1.0, -2.7, 1e-12, 1e12])
def test_dependent_rows_are_dropped(dtype, factor):
    x = rows(3, 30, dtype)
    x[..., 1, :] = factor * x[..., 0, :]
    q, r = orthonormalize(x)
    assert torch.equal(q[..., 1, :], torch.zeros_like(q[..., 1, :]))
    assert not r[..., 1, 1].any()
    assert torch.allclose(r[..., 0, 1], factor * r[..., 0, 0], rtol=20 * EPS[dtype], atol=0)
    assert bool((r[..., 2, 2] > 0).all())


def test_an_angle_below_the_resolution_is_no_direction():
    x = rows(2, 60, torch.float64)
    x[..., 1, :] = x[..., 0, :] + 1e-6 * x[..., 1, :]
    _, r = orthonormalize(x.float())
    assert not r[..., 1, 1].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_more_rows_than_dimensions_and_zero_rows(dtype):
    x = rows(4, 2, dtype)
    x[:2, :, 0] = 0
    q, r = orthonormalize(x)
    assert_factors(x, q, r)
    rank = (r.diagonal(dim1=-2, dim2=-1) > 0).sum(-1)
    assert rank.unique().tolist() == [2]
    zero_q, zero_r = orthonormalize(torch.zeros(1, 1, 1, 3, dtype=dtype))
    assert not zero_q.any()
    assert not zero_r.any()


# ---------------------------------------------------------------- the law of the products

N = 3
SAMPLES = 40000


def products(k: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Fixed ``x`` and ``h``, and samples of ``W x`` and ``W^T h``, shapes (samples, k, N)."""
    fixed = np.random.default_rng(4).standard_normal((2, k, N))
    x, h = torch.as_tensor(fixed)[:, None, None]
    noise = Noise(np.random.SeedSequence(9), range(1), SAMPLES, torch.device("cpu"), torch.float64)
    w = ConditionedGaussian(noise)
    shape = (SAMPLES, 1, k, N)
    forward = w.apply(x.expand(shape), N, factor=0.7, keep=True)
    back = w.apply_transpose(h.expand(shape), factor=0.7)
    return x[0, 0], h[0, 0], forward[:, 0], back[:, 0]


def check_joint_law(k: int):
    """All second moments of two products with one matrix; they are jointly normal."""
    x, h, forward, back = products(k)
    sample = torch.cat([forward.flatten(1), back.flatten(1)], dim=1).numpy()
    # Rows of A map the N^2 entries of W to the 2 k N numbers of the sample.
    eye = np.eye(N)
    up = [np.kron(eye[i], x[j].numpy()) for j in range(k) for i in range(N)]
    down = [np.kron(h[j].numpy(), eye[i]) for j in range(k) for i in range(N)]
    a = 0.7 * np.array(up + down)
    moments = Estimate.mean(sample[:, :, None] * sample[:, None, :])
    assert moments.resolves(0.15)
    assert moments.agrees(a @ a.T, allowance=1e-12)
    assert Estimate.mean(sample).agrees(0)


@pytest.mark.mc
@pytest.mark.parametrize("k", [1, 2])
def test_joint_law_of_product_and_transposed_product(k):
    check_joint_law(k)


@pytest.mark.mc
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("defect", [defects.fresh_backward_weights, defects.no_projection])
def test_joint_law_rejects(defect, k):
    defects.must_reject(defect, check_joint_law, k)


@pytest.mark.mc
def test_joint_law_rejects_independent_columns():
    defects.must_reject(defects.independent_columns, check_joint_law, 2)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_both_products_are_of_one_matrix(k):
    """``<h, W x> = <W^T h, x>`` for every pair of columns, sample by sample."""
    x, h, forward, back = products(k)
    left = torch.einsum("jn,skn->sjk", h, forward)
    right = torch.einsum("sjn,kn->sjk", back, x)
    assert torch.allclose(left, right, rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [2, 4])
def test_one_column_is_the_same_with_and_without_memory(k):
    """``k`` only names the size: one column takes a shortcut if nothing is kept."""
    x = rows(1, k * 10, torch.float64)

    def image(keep: bool) -> torch.Tensor:
        noise = Noise(np.random.SeedSequence(1), range(1), 5, torch.device("cpu"), torch.float64)
        return ConditionedGaussian(noise).apply(x, 7, factor=1.3, keep=keep)

    assert torch.allclose(image(True), image(False), rtol=1e-14, atol=0)
