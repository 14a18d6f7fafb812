"""The explicit reference: its weights, its layers against loops in NumPy, its records."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from companion.architecture import ResNetSpec
from companion.montecarlo import Estimate, ks_between
from companion.simulate import dense, displacement, matrixfree
from companion.simulate.blocks import Block, Noise, batches
from companion.weights import IID
from tests import defects
from tests.networks import Frozen, erf_with_bias, leaky, network, two_layer, two_rows

CPU = torch.device("cpu")


def block(networks: int, seed: int = 2) -> Block:
    return next(
        iter(batches(networks, networks, seed=seed, device=CPU, dtype=torch.float64, batch=1))
    )


class Scripted(dense.Network):
    """Network whose matrices, biases and signs are kept, to be used again by a slow loop."""

    def __init__(self, spec: ResNetSpec, networks: int) -> None:
        super().__init__(spec, block(networks))
        self.drawn: list[np.ndarray] = []

    def matrix(self, rows: int, columns: int, variance: float) -> torch.Tensor:
        self.drawn.append(super().matrix(rows, columns, variance))
        return self.drawn[-1]

    def bias(self, size: int, variance: float) -> torch.Tensor | float:
        self.drawn.append(super().bias(size, variance))
        return self.drawn[-1]


@pytest.mark.parametrize("make", [erf_with_bias, leaky, two_layer])
def test_a_layer_is_what_the_spec_says(make):
    spec = make(4, 6)
    net = Scripted(spec, 3)
    h = torch.as_tensor(np.random.default_rng(1).standard_normal((3, 2, 6)))
    found = net.layer(h, 2).numpy()
    *matrices, bias = (np.asarray(part) for part in net.drawn)
    for b in range(3):
        for i in range(2):
            u = h[b, i].numpy()
            if spec.block == "two-layer":
                u = matrices[0][b] @ u
            shift = bias[b, 0] if bias.ndim else bias
            branch = matrices[-1][b] @ spec.activation(u) + shift
            expected = spec.skip * h[b, i].numpy() + spec.scales[2] * branch
            np.testing.assert_allclose(found[b, i], expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("distribution", ["gaussian", "uniform", "rademacher"])
def test_variance_of_the_weights(distribution):
    spec = network(0.5, 2, 5).replace(weight_law=IID(distribution))
    w = dense.Network(spec, block(4000)).matrix(5, 8, 2.4).numpy()
    assert Estimate.mean(w.reshape(4000, -1)).agrees(0)
    size = Estimate.mean((w**2).reshape(4000, -1))
    assert size.resolves(0.05)
    assert size.agrees(2.4 / 8, allowance=1e-12)
    kurtosis = {"gaussian": 3.0, "uniform": 1.8, "rademacher": 1.0}[distribution]
    fourth = Estimate.mean((w**4).mean((1, 2)))
    assert fourth.agrees(kurtosis * (2.4 / 8) ** 2, allowance=1e-12)


@pytest.mark.parametrize("make", [erf_with_bias, leaky, two_layer])
@pytest.mark.parametrize("mode", ["forward", "tangent", "backward"])
def test_batches_change_no_bit(make, mode, precision):
    spec = make(3, 40)
    keywords = {"inputs": two_rows(0.5, spec.inputs), "seed": 5, "device": "cpu"}
    runs = [
        getattr(dense, mode)(spec, 130, batch=batch, dtype=precision, **keywords)
        for batch in (1, 2, 7)
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.log_norm, runs[0].log_norm)
        if mode == "tangent":
            np.testing.assert_array_equal(run.log_tangent, runs[0].log_tangent)
        for name in run.layers:
            np.testing.assert_array_equal(run.layers[name], runs[0].layers[name])


def test_euler_for_explicit_gradients():
    """<g_l, h_l> is the readout at every layer of a homogeneous network."""
    for spec in (leaky(8, 12), two_layer(8, 12), network(0.5, 8, 12, balanced=True)):
        run = dense.backward(
            spec,
            50,
            seed=1,
            inputs=two_rows(0.3, spec.inputs),
            record=("pairing",),
            dtype="float64",
            device="cpu",
        )
        pairing = run.layers["pairing"]
        spread = np.abs(pairing - pairing[:, :1]).max()
        # The slope of the leaky activation is a float64 here, so nothing but rounding remains.
        assert spread < 1e-12
        assert np.abs(pairing).max() > 0.1


def check_displacements(mode: str):
    """Both simulations have one law of |h_l - a^l h_0| and, from the top, of the gradients."""
    spec, rows = leaky(9, 10), two_rows(0.3, 3)
    names = ("log_difference",) + (("log_gradient_difference",) if mode == "backward" else ())
    settings = {"inputs": rows, "record": names, "device": "cpu", "dtype": "float64"}
    explicit = getattr(dense, mode)(spec, 4000, seed=1, **settings).layers
    free = getattr(matrixfree, mode)(spec, 4000, seed=2, **settings).layers
    for name in names:
        layers = (1, 4, 9) if name == "log_difference" else (8, 4, 0)
        for layer in layers:
            for one, other in (
                (explicit[name][:, layer, 0], free[name][:, layer, 0]),
                (np.ptp(explicit[name][:, layer], axis=1), np.ptp(free[name][:, layer], axis=1)),
            ):
                assert not ks_between(one, other).rejects(0.01, tests=24)
    end = 9 if mode == "forward" else 0
    assert np.isneginf(explicit[names[-1]][:, 9 - end]).all()
    assert np.isneginf(free[names[-1]][:, 9 - end]).all()


@pytest.mark.mc
@pytest.mark.parametrize("mode", ["forward", "backward"])
def test_displacements(mode):
    check_displacements(mode)


def lost_skip(patch: defects.Patch) -> None:
    """Do not let the skip act on what was added."""
    true = displacement.Displacement.add
    patch.setattr(
        displacement.Displacement, "add", lambda self, x, skip, log: true(self, x, 1.0, log)
    )


@pytest.mark.mc
@pytest.mark.parametrize("mode", ["forward", "backward"])
def test_displacements_reject(mode):
    defects.must_reject(lost_skip, check_displacements, mode)


def test_dead_networks_give_no_nan():
    records = ("log_norm", "log_difference", "delta", "cosine", "log_gradient", "pairing")
    records += ("gradient_cosine",)
    keywords = {"inputs": two_rows(0.3), "record": records, "device": "cpu"}
    found = dense.backward(network(0.0, 8, 2), 200, seed=1, **keywords)
    assert np.isneginf(found.log_norm).mean() > 0.5
    for name, values in found.layers.items():
        assert not np.isnan(values).any(), name


@pytest.mark.parametrize("mode", ["forward", "backward"])
def test_records_have_the_shapes_of_the_matrix_free_ones(mode):
    names = ("log_norm", "log_difference", "cosine", "delta", "active")
    if mode == "backward":
        names += ("log_gradient", "log_gradient_difference", "gradient_cosine", "pairing")
    spec = leaky(4, 6)
    keywords = {"seed": 1, "inputs": two_rows(0.3, 3), "record": names, "device": "cpu"}
    explicit = getattr(dense, mode)(spec, 7, **keywords).layers
    free = getattr(matrixfree, mode)(spec, 7, **keywords).layers
    shapes = {name: rows.shape for name, rows in free.items()}
    assert {name: rows.shape for name, rows in explicit.items()} == shapes
    assert set(shapes) == set(names)


def test_weight_gradients_are_not_recorded():
    with pytest.raises(ValueError, match=r"record must be drawn from .*got 'log_weight_gradient'"):
        dense.backward(network(0.5, 3, 5), 2, seed=1, record=("log_weight_gradient",))


def test_dependent_weights_are_refused():
    spec = network(0.5, 3, 5).replace(weight_law=Frozen())
    with pytest.raises(ValueError, match="weight_law must be IID to be drawn layer by layer"):
        dense.forward(spec, 2, seed=1)


def test_noise_is_not_shared_between_networks():
    sample = Noise(np.random.SeedSequence(1), range(1), 3, CPU, torch.float64).normal(3, 2)
    assert len(set(sample.flatten().tolist())) == 6
