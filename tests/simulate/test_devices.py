"""What every device must give; the cases on CUDA are marked and run where there is one."""

from __future__ import annotations

import numpy as np
import pytest

from companion.architecture import ResNetSpec
from companion.montecarlo import ks_between
from companion.simulate import block_size, dense, matrixfree

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
SPEC = ResNetSpec.log_gaussian(12, 16, 0.6, 0.8, n_in=2)
INPUTS = [[1.0, 0.0], [0.6, 0.8]]


@pytest.mark.mc
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("balanced", [False, True])
def test_the_law_is_that_of_explicit_weights_on_a_cpu(device, balanced):
    spec = SPEC.replace(balanced=balanced)
    free = matrixfree.backward(spec, 6000, seed=1, inputs=INPUTS, device=device)
    full = dense.backward(spec, 6000, seed=2, inputs=INPUTS, device="cpu")
    for quantity in (
        lambda run: run.log_norm[:, 0],
        lambda run: run.log_norm[:, 0] - run.log_norm[:, 1],
        lambda run: run.layers["log_gradient"][:, 0, 0],
    ):
        assert not ks_between(quantity(free), quantity(full)).rejects(0.01, tests=6)


@pytest.mark.parametrize("device", DEVICES)
def test_batches_do_not_change_a_bit(device):
    networks = 2 * block_size(SPEC.width * 2, device) + 3
    one, three = (
        matrixfree.forward(SPEC, networks, seed=3, inputs=INPUTS, device=device, batch=batch)
        for batch in (1, 3)
    )
    assert np.array_equal(one.log_norm, three.log_norm)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-5)])
def test_the_gradient_is_conserved(device, dtype, tolerance):
    run = matrixfree.backward(
        SPEC, 50, seed=4, inputs=INPUTS, record=("pairing",), device=device, dtype=dtype
    )
    pairing = run.layers["pairing"]
    assert np.abs(pairing - pairing[:, -1:]).max() < tolerance


@pytest.mark.parametrize("device", DEVICES)
def test_tangents_pairs_and_readouts_are_finite(device):
    pairs = matrixfree.forward(
        SPEC, 20, seed=5, antithetic=True, readout=True, record=("delta",), device=device
    )
    assert pairs.log_norm.shape == (20, 2, 1)
    assert np.all(np.isfinite(pairs.log_output))
    assert np.abs(pairs.layers["delta"][:, :, 0].sum(1)).max() < 1e-6, "mirror images at the input"
    moved = matrixfree.tangent(SPEC, 20, seed=6, device=device)
    assert np.all(np.isfinite(moved.log_tangent))
