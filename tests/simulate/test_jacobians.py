"""Geometric complexity and coherence: exact Jacobians, probes, laws at initialization."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from companion import expansion
from companion.architecture import ResNetSpec
from companion.montecarlo import Estimate
from companion.simulate import jacobians, jets
from companion.simulate.jacobians import alignment, complexity
from companion.simulate.jets import series, tower
from tests import defects


def one_network(activation: str = "relu", depth: int = 6, n: int = 5):
    """A tower with biases, an input map of 4 coordinates and a readout of 3, and 7 inputs."""
    rng = np.random.default_rng(1)
    found = jets.Tower(
        rng.standard_normal((depth, n, n)) / n**0.5,
        rng.standard_normal((depth, n, n)) * (2 / n) ** 0.5,
        activation,
        rng.uniform(0.5, 1.5, depth),
        0.3 * rng.standard_normal((depth, n)),
        0.3 * rng.standard_normal((depth, n)),
    )
    ends = rng.standard_normal((n, 4)), rng.standard_normal((3, n))
    return found, *ends, rng.standard_normal((7, 4))


def by_autograd(function, inputs: np.ndarray) -> np.ndarray:
    """Squared Jacobian of each example alone."""
    rows = (
        torch.autograd.functional.jacobian(lambda x: function(x[None])[0], torch.tensor(row))
        for row in inputs
    )
    return np.array([float(row.square().sum()) for row in rows])


# ---------------------------------------------------------------- exact


@pytest.mark.parametrize("activation", ["relu", "tanh", "erf"])
@pytest.mark.parametrize("with_readout", [True, False])
@pytest.mark.parametrize("method", ["reverse", "forward", "auto"])
def test_squared_jacobian(activation, with_readout, method):
    found, embed, read, inputs = one_network(activation)
    function = jacobians.network(
        found, 0.4, input_map=embed, readout=read if with_readout else None
    )
    expected = by_autograd(function, inputs)
    squares = jacobians.squared_jacobian(function, inputs, method=method)
    assert squares.shape == (7,)
    assert np.allclose(squares, expected, rtol=1e-12)
    mean = jacobians.geometric_complexity(function, inputs, method=method)
    assert mean == pytest.approx(expected.mean(), rel=1e-12)


def test_the_network_is_that_of_the_jets():
    found, embed, read, inputs = one_network()
    features = jets.forward(found, inputs @ embed.T, [0.4])[0]
    for through in (False, True):
        function = jacobians.network(
            found, 0.4, input_map=embed, readout=read, through_activation=through
        )
        expected = (np.maximum(features, 0) if through else features) @ read.T
        assert np.allclose(function(torch.tensor(inputs)), expected, rtol=1e-12)
    streams = jacobians.network(found, 0.4)(torch.tensor(inputs @ embed.T))
    assert np.allclose(streams, features, rtol=1e-12)


def test_many_networks_side_by_side():
    rng = np.random.default_rng(2)
    outer, inner = rng.standard_normal((2, 6, 3, 5, 5)) / 5**0.5
    embed, read, inputs = (
        rng.standard_normal(shape) for shape in ((3, 5, 4), (3, 2, 5), (3, 7, 4))
    )
    many = jets.Tower(outer, inner)
    function = jacobians.network(many, 0.5, input_map=embed, readout=read)
    squares = jacobians.squared_jacobian(function, inputs, batch_axes=2)
    means = jacobians.geometric_complexity(function, inputs, batch_axes=2)
    estimate = jacobians.estimated_complexity(function, inputs, probes=400, seed=1, batch_axes=2)
    assert squares.shape == (3, 7)
    assert means.shape == estimate.value.shape == (3,)
    for k in range(3):
        alone = jacobians.network(
            jets.Tower(outer[:, k], inner[:, k]), 0.5, input_map=embed[k], readout=read[k]
        )
        assert np.allclose(squares[k], by_autograd(alone, inputs[k]), rtol=1e-12)
        assert means[k] == pytest.approx(squares[k].mean(), rel=1e-13)
    assert estimate.agrees(means)


def test_modules_of_any_shape():
    torch.manual_seed(3)
    function = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Flatten(),
        nn.Linear(32, 3),
    ).double()  # fmt: skip
    inputs = torch.randn(5, 1, 4, 4, dtype=torch.float64)
    function(inputs)
    function.eval()
    expected = by_autograd(function, inputs.numpy())
    for method in ("reverse", "forward"):
        squares = jacobians.squared_jacobian(function, inputs, method=method)
        assert np.allclose(squares, expected, rtol=1e-12)


def test_batches_change_nothing():
    found, embed, read, _ = one_network()
    inputs = np.random.default_rng(4).standard_normal((150, 4))
    function = jacobians.network(found, 0.4, input_map=embed, readout=read)
    whole = jacobians.squared_jacobian(function, inputs, batch=8)
    assert np.allclose(whole, jacobians.squared_jacobian(function, inputs, batch=1), rtol=1e-13)
    one = jacobians.estimated_complexity(function, inputs, probes=3, seed=2, batch=1)
    two = jacobians.estimated_complexity(function, inputs, probes=3, seed=2, batch=2)
    assert float(one.value) == pytest.approx(float(two.value), rel=1e-13)
    assert float(one.sem) == pytest.approx(float(two.sem), rel=1e-13)


def test_a_constant_has_no_complexity():
    inputs = np.random.default_rng(4).standard_normal((5, 3))
    for method in ("reverse", "forward"):
        found = jacobians.squared_jacobian(lambda x: torch.ones(len(x), 2), inputs, method=method)
        assert np.array_equal(found, np.zeros(5))


# ---------------------------------------------------------------- probes


def check_probes():
    found, embed, read, inputs = one_network("tanh", depth=2)
    function = jacobians.network(found, 0.4, input_map=embed, readout=read)
    exact = jacobians.geometric_complexity(function, inputs)
    runs = [
        jacobians.estimated_complexity(function, inputs, probes=4, seed=seed) for seed in range(250)
    ]
    deviations = np.array([float(run.z(exact)) for run in runs])
    mean = Estimate.mean([float(run.value) for run in runs])
    assert runs[0].n == 4 * 7
    assert np.all(np.isfinite(deviations))
    assert mean.resolves(0.05 * exact)
    assert mean.agrees(exact)
    assert Estimate.variance(deviations).agrees(1.0, allowance=0.15)


@pytest.mark.mc
def test_probes_and_their_error():
    check_probes()


def gaussian_sized_signs(patch: defects.Patch) -> None:
    """Let probes have a variance other than one."""
    true = complexity._signs
    patch.setattr(complexity, "_signs", lambda *args: (1.1 * v for v in true(*args)))


def one_probe_for_all(patch: defects.Patch) -> None:
    """Give all examples the same probes, which the error does not know."""
    true = complexity._signs

    def wrong(*args):
        return (v[:1].expand_as(v) for v in true(*args))

    patch.setattr(complexity, "_signs", wrong)


@pytest.mark.mc
@pytest.mark.parametrize("defect", [gaussian_sized_signs, one_probe_for_all])
def test_probes_reject(defect):
    defects.must_reject(defect, check_probes)


# ---------------------------------------------------------------- at initialization


def check_initial_complexity():
    depth, n, networks = 20, 16, 400
    scale = depth**-0.5
    spec = ResNetSpec.residual_expansion(depth, scale, width=n)
    rng = np.random.default_rng(5)
    embed = rng.standard_normal((n, 6)) / 6**0.5
    found = []
    for drawn in jets.draw(spec, networks, seed=6):
        count = len(drawn.start)
        function = jacobians.network(drawn.tower, 1.0, input_map=np.tile(embed, (count, 1, 1)))
        inputs = rng.standard_normal((count, 1, 6))
        found.append(
            jacobians.squared_jacobian(function, inputs, batch_axes=2, method="reverse")[:, 0]
        )
    expected = (embed**2).sum() * np.exp(expansion.log_jacobian_energy(spec))
    assert expected == pytest.approx((embed**2).sum() * (1 + 1 / depth) ** depth, rel=1e-12)
    estimate = Estimate.mean(np.concatenate(found))
    assert estimate.resolves(0.2 * expected)
    assert estimate.agrees(expected)


@pytest.mark.mc
def test_complexity_at_initialization():
    check_initial_complexity()


def no_masks(patch: defects.Patch) -> None:
    """Leave the masks of ReLU out."""
    patch.setattr(series, "slopes", lambda *_: None)


def larger_scale(patch: defects.Patch) -> None:
    """Multiply the branches by 1.2."""
    true = tower.Tower.layers

    def wrong(self):
        return (layer._replace(outer=1.2 * layer.outer) for layer in true(self))

    patch.setattr(tower.Tower, "layers", wrong)


def outputs_forgotten(patch: defects.Patch) -> None:
    """Leave out one row of the Jacobian in four."""
    true = complexity._pulled

    def wrong(x, y, v, axes):
        v = v.clone()
        v[..., ::4] = 0
        return true(x, y, v, axes)

    patch.setattr(complexity, "_pulled", wrong)


@pytest.mark.mc
@pytest.mark.parametrize("defect", [no_masks, larger_scale, outputs_forgotten])
def test_complexity_at_initialization_rejects(defect):
    defects.must_reject(defect, check_initial_complexity)


# ---------------------------------------------------------------- coherence


def test_branches_add_up_to_the_network():
    found, embed, _, inputs = one_network()
    start = inputs @ embed.T
    parts = jacobians.branches(found, start, 0.4)
    assert parts.shape == (6, 7, 5)
    assert np.allclose(start + parts.sum(0), jets.forward(found, start, [0.4])[0], rtol=1e-12)
    assert np.allclose(jacobians.branches(found, start[2], 0.4), parts[:, 2], rtol=1e-12)
    rows = np.stack([start, start])
    twice = jets.Tower(*(p.expand(-1, 2, -1, -1) for p in (found.outer, found.inner)))
    assert jacobians.branches(twice, rows, 0.4).shape == (6, 2, 7, 5)


def test_branches_of_modules():
    torch.manual_seed(3)
    blocks = [nn.Sequential(nn.Conv1d(2, 2, 3, padding=1), nn.ReLU(inplace=True)) for _ in range(4)]
    start, scales = torch.randn(5, 2, 6), [0.3, 0.1, 0.2, 0.5]
    parts = jacobians.module_branches(blocks, start, scales)
    assert parts.shape == (4, 5, 12)
    with torch.no_grad():
        h = start
        for block, scale in zip(blocks, scales, strict=True):
            h = h + scale * block(h.clone())
    assert np.allclose(start.flatten(1).numpy() + parts.sum(0), h.flatten(1).numpy(), atol=1e-6)
    found = expansion.coherence(parts)
    assert np.allclose(jacobians.coherence(parts), found, rtol=1e-12)


def test_coherence_of_known_directions():
    rng = np.random.default_rng(7)
    v = rng.standard_normal((3, 8))
    aligned = np.broadcast_to(v, (5, 3, 8))
    assert np.allclose(jacobians.coherence(aligned), 5.0)
    assert np.allclose(jacobians.cosines(aligned), 1.0)
    orthogonal = np.eye(8)[:5, None] * np.arange(1, 6)[:, None, None]
    assert np.allclose(jacobians.coherence(orthogonal), 1.0)
    assert np.allclose(jacobians.cosines(orthogonal)[..., 0], np.eye(5))
    cancelling = np.stack([v, -v])
    assert np.allclose(jacobians.coherence(cancelling), 0.0)
    mixed = np.concatenate([aligned, aligned], 1) * np.r_[1, 1, 1, 3, 3, 3][:, None]
    mixed[:, 3:] *= np.array([1, -1, 1, -1, 1])[:, None, None]
    together, apart = (mixed.sum(0) ** 2).sum(), (mixed**2).sum()
    assert float(jacobians.pooled_coherence(mixed)) == pytest.approx(together / apart)


def check_independent_blocks():
    spec = ResNetSpec.residual_expansion(30, 30**-0.5, width=16)
    together, apart = [], []
    for drawn in jets.draw(spec, 500, seed=8):
        parts = jacobians.branches(drawn.tower, drawn.start, 1.0)
        one, two = alignment._squares(parts)
        together.append(one[:, 0])
        apart.append(two[:, 0])
    size = np.mean(np.concatenate(apart))
    gap = Estimate.mean((np.concatenate(together) - np.concatenate(apart)) / size)
    assert gap.resolves(0.5)
    assert gap.agrees(0.0)


@pytest.mark.mc
def test_independent_blocks_have_coherence_one():
    check_independent_blocks()


def tied_blocks(patch: defects.Patch) -> None:
    """Use the weights of the first block in every block."""
    true = tower.Tower.layers

    def wrong(self):
        first = next(true(self))
        return (first for _ in range(self.depth))

    patch.setattr(tower.Tower, "layers", wrong)


@pytest.mark.mc
def test_independent_blocks_reject_tied_ones():
    defects.must_reject(tied_blocks, check_independent_blocks)


# ---------------------------------------------------------------- what is refused


def test_errors():
    inputs = np.ones((3, 4))
    with pytest.raises(ValueError, match="function holds BatchNorm1d that takes mean and variance"):
        jacobians.squared_jacobian(nn.BatchNorm1d(4), inputs)
    with pytest.raises(ValueError, match="function holds Dropout in training mode"):
        jacobians.squared_jacobian(nn.Dropout(), inputs)
    with pytest.raises(ValueError, match=r"function must keep the batch axes \(3,\)"):
        jacobians.squared_jacobian(lambda x: x.sum(0), inputs)
    with pytest.raises(ValueError, match="inputs must be floating and have 1 batch axes"):
        jacobians.squared_jacobian(torch.tanh, np.ones((0, 4)))
    with pytest.raises(ValueError, match="method must be one of"):
        jacobians.squared_jacobian(torch.tanh, inputs, method="exact")
    with pytest.raises(ValueError, match="probes must be at least 2"):
        jacobians.estimated_complexity(torch.tanh, inputs, probes=1, seed=0)
    with pytest.raises(ValueError, match=r"contributions must have shape \(L, \.\.\., n\)"):
        jacobians.coherence(np.ones(3))
    with pytest.raises(ValueError, match="contributions must not all vanish"):
        jacobians.coherence(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="contributions must not vanish to have a direction"):
        jacobians.cosines(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"blocks\[0\] holds Dropout"):
        jacobians.module_branches([nn.Dropout()], torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"blocks\[0\] must keep the shape \(2, 3\), got \(2, 1\)"):
        jacobians.module_branches([nn.Linear(3, 1)], torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"one per block, 1, got shape \(3,\)"):
        jacobians.module_branches([nn.Tanh()], torch.ones(2, 3), [1.0, 2.0, 3.0])
    plain = jets.Tower(np.ones((2, 3, 3)))
    with pytest.raises(ValueError, match="scale must be finite, got nan"):
        jacobians.network(plain, float("nan"))
    with pytest.raises(ValueError, match="readout must be finite"):
        jacobians.network(plain, 1.0, readout=np.full((1, 3), np.nan))
