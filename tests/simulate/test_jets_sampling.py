"""Orders, remainders and first kinks of random networks against the theory, with defects."""

from __future__ import annotations

import math

import numpy as np
import pytest

from companion import expansion
from companion.architecture import ResNetSpec
from companion.montecarlo import Estimate, ks_against
from companion.simulate import jets
from companion.simulate.jets import draws, kinks, series, tower, transport
from companion.weights import FractionalNoise
from tests import defects

pytestmark = pytest.mark.mc

DEPTH = 50


def relu(scale: float, n: int = 32, depth: int = DEPTH) -> ResNetSpec:
    return ResNetSpec.residual_expansion(depth, scale, width=n)


def linear(scale: float, n: int = 16, depth: int = DEPTH) -> ResNetSpec:
    return ResNetSpec.residual_expansion(
        depth, scale, width=n, block="single", activation="linear", sigma_w2=1.0
    )


CRITICAL = DEPTH**-0.5


# ---------------------------------------------------------------- planted defects


def larger_scale(patch: defects.Patch) -> None:
    """Multiply the branches by 1.1."""
    true = tower.Tower.layers

    def wrong(self):
        return (layer._replace(outer=1.1 * layer.outer) for layer in true(self))

    patch.setattr(tower.Tower, "layers", wrong)


def tied_blocks(patch: defects.Patch) -> None:
    """Use the weights of the first block in every block."""
    true = tower.Tower.layers

    def wrong(self):
        first = next(true(self))
        return (first for _ in range(self.depth))

    patch.setattr(tower.Tower, "layers", wrong)


def no_masks(patch: defects.Patch) -> None:
    """Leave the masks of ReLU out."""
    patch.setattr(series, "slopes", lambda *_: None)


def no_shift(patch: defects.Patch) -> None:
    """Start a block one order late."""
    true = transport.advance_

    def wrong(state, branch, lead, scale):
        branch[:, -1] = 0
        true(state, branch.roll(1, 1) if not lead else branch, lead, scale)

    patch.setattr(transport, "advance_", wrong)


# ---------------------------------------------------------------- energies

CASES = {
    "linear": (linear(CRITICAL), "frozen", False, 1500),
    "relu frozen": (relu(CRITICAL), "frozen", False, 600),
    "relu actual": (relu(CRITICAL), "actual", False, 600),
    "jacobian": (relu(CRITICAL), "actual", True, 600),
    "jacobian frozen": (relu(CRITICAL), "frozen", True, 600),
    "by layer": (relu(tuple(np.linspace(0, 0.3, 30)), depth=30), "frozen", False, 600),
}
EXACT = [1.0, 1.0, 0.49, 0.1568, 0.036848]


def check_energies(case):
    spec, masks, tangent, networks = CASES[case]
    found = jets.sample_orders(spec, networks, 4, seed=11, masks=masks, tangent=tangent)
    theory = np.exp(expansion.log_order_energies(spec, 4))
    if spec.scale == CRITICAL:
        assert np.allclose(theory, EXACT, atol=5e-7)
    energies = Estimate.mean(found.energies[:, 1:])
    assert energies.resolves(theory[1:] / 3)
    assert energies.agrees(theory[1:])
    rows, columns = np.triu_indices(5, 1)
    cross = Estimate.mean(found.gram[:, rows, columns])
    assert cross.resolves(0.5 * np.sqrt(theory[rows] * theory[columns]))
    assert cross.agrees(0.0)
    total = Estimate.mean(found.total)
    grown = math.exp(expansion.log_total_energy(spec))
    assert total.resolves((grown - 1) / 3)
    assert total.agrees(grown)


@pytest.mark.parametrize("case", CASES)
def test_energies(case):
    check_energies(case)


@pytest.mark.parametrize("case", ["linear", "relu frozen", "relu actual", "jacobian"])
@pytest.mark.parametrize("defect", [larger_scale, tied_blocks])
def test_energies_reject(defect, case):
    defects.must_reject(defect, check_energies, case)


@pytest.mark.parametrize("case", ["relu frozen", "relu actual", "jacobian"])
def test_energies_reject_lost_masks(case):
    defects.must_reject(no_masks, check_energies, case)


def test_energies_reject_a_late_block():
    defects.must_reject(no_shift, check_energies, "linear")


# ---------------------------------------------------------------- smooth activations

ERF = ResNetSpec.residual_expansion(
    DEPTH, CRITICAL, width=256, activation="erf", sigma_w2=1.5, sigma_v2=1.5
)
#: Energies of orders 1 to 5, and the covariance of orders 1 and 3, in the wide limit.
ERF_ENERGIES = [0.614498, 0.215650, 0.0863209, 0.0588203, 0.0548343]
ERF_CROSS = -0.064695


def check_smooth_energies():
    found = jets.sample_orders(ERF, 32, 5, seed=12)
    energies, cross = Estimate.mean(found.energies[:, 1:]), Estimate.mean(found.gram[:, 1, 3])
    assert energies.resolves(np.array(ERF_ENERGIES) / 3)
    assert energies.agrees(ERF_ENERGIES)
    assert cross.resolves(ERF_CROSS / 3)
    assert cross.agrees(ERF_CROSS)


def no_trees(patch: defects.Patch) -> None:
    """Linearise erf at order 0."""

    def wrong(activation, z):
        slope = 2 / math.pi**0.5 * activation.steepness
        a = z * slope * (-((activation.steepness * z[:, :1]) ** 2)).exp()
        a[:, 0] = (activation.steepness * z[:, 0]).erf()
        return a

    patch.setattr(series, "apply", wrong)


def test_smooth_energies():
    check_smooth_energies()


def test_smooth_energies_reject_chains_alone():
    defects.must_reject(no_trees, check_smooth_energies)


# ---------------------------------------------------------------- beyond the first kink


@pytest.mark.parametrize("reduced", [0.125, 0.5, 1.0])
def test_remainders(reduced):
    check_remainders(reduced)


def check_remainders(reduced):
    # The theory is the wide limit; 10 000 networks of widths 16 and 32 measured -0.3/n to -1.1/n.
    spec = relu(reduced * CRITICAL, n=64)
    found = jets.sample_orders(spec, 300, 4, seed=13).remainder
    theory = expansion.remainder_energies(spec, 4)
    remainder = Estimate.mean(found[:, 1:])
    assert remainder.resolves(theory[1:] / 6)
    assert remainder.agrees(theory[1:], allowance=theory[1:] * 1.2 / spec.width)


def test_remainders_reject_masks_of_the_true_pass():
    def actual_masks(patch: defects.Patch) -> None:
        patch.setattr(
            jets.sampling, "taylor", lambda *args, tangent: jets.paths(*args, 1.0, tangent=tangent)
        )

    defects.must_reject(actual_masks, check_remainders, 0.5)


def check_kinks():
    spec = relu(1.0)
    found = jets.sample_kinks(spec, 500, seed=14)[:, 0]
    mean = math.pi / (32 * np.sqrt(np.arange(DEPTH)).sum())
    assert mean == pytest.approx(4.23e-4, rel=2e-3)
    assert not ks_against(found, lambda s: 1 - np.exp(-s / mean)).rejects(1e-3)
    estimate = Estimate.mean(found)
    assert estimate.resolves(0.25 * mean)
    assert estimate.agrees(mean)


def test_first_kinks_are_exponential():
    check_kinks()


def late_blocks_ignored(patch: defects.Patch) -> None:
    """Look for kinks in the first three quarters of the blocks."""
    true = kinks.transport

    def part(found, h0, order, scale, observe):
        last = found.depth * 3 // 4
        return true(found, h0, order, scale, observe=lambda i, z: i < last and observe(i, z))

    patch.setattr(kinks, "transport", part)


def test_first_kinks_reject_lost_blocks():
    defects.must_reject(late_blocks_ignored, check_kinks)


# ---------------------------------------------------------------- drawing


def test_networks_depend_on_the_seed_and_their_index_alone(monkeypatch):
    monkeypatch.setattr(draws, "block_size", lambda *_: 4)
    spec = relu(0.2, n=6, depth=5)
    runs = [
        jets.sample_orders(spec, count, 3, seed=5, batch=batch, samples=2)
        for count, batch in ((11, 1), (11, 3), (7, 2))
    ]
    assert np.array_equal(runs[0].gram, runs[1].gram)
    assert np.array_equal(runs[0].gram[:7], runs[2].gram)
    assert np.array_equal(runs[0].remainder, runs[1].remainder)
    other = jets.sample_orders(spec, 11, 3, seed=6, samples=2)
    assert not np.any(np.isclose(runs[0].total, other.total, rtol=1e-9))
    assert len(np.unique(runs[0].total)) == 11


def test_what_is_drawn():
    spec = ResNetSpec(
        depth=40,
        width=30,
        scale=0.3,
        block="single",
        weight_variance=1.7,
        bias_variance=0.4,
        input_variance=0.5,
        weight_law=FractionalNoise(0.8),
    )
    (drawn,) = jets.draw(spec, 20, seed=3, samples=2)
    assert drawn.start.shape == drawn.direction.shape == (20, 2, 30)
    assert np.allclose((drawn.start**2).sum(-1), 15.0)
    assert np.allclose((drawn.direction**2).sum(-1), 30.0)
    weights, bias = drawn.tower.outer.numpy(), drawn.tower.outer_bias.numpy()
    assert drawn.tower.inner is None
    assert weights.shape == (40, 20, 30, 30)
    variance = Estimate.mean((weights**2).mean((0, 2, 3)) * 30)
    assert variance.agrees(1.7)
    lagged = Estimate.mean((weights[1:] * weights[:-1]).mean((0, 2, 3)) * 30)
    assert lagged.agrees(1.7 * FractionalNoise(0.8).covariance(1))
    assert Estimate.mean((bias**2).mean((0, 2))).agrees(0.4)
    assert np.allclose(drawn.tower.relative_scales, 0.3)


def test_given_streams_are_those_of_every_network():
    start = np.arange(12.0).reshape(2, 6)
    (drawn,) = jets.draw(relu(0.2, n=6, depth=5), 3, seed=3, start=start)
    assert np.array_equal(drawn.start, np.broadcast_to(start, (3, 2, 6)))


def test_errors():
    with pytest.raises(ValueError, match=r"needs skip=1 and balanced=False, got skip=0\.5"):
        next(jets.draw(relu(0.2).replace(skip=0.5), 2, seed=1))
    with pytest.raises(ValueError, match="masks must be one of 'frozen', 'actual'"):
        jets.sample_orders(relu(0.2), 2, 3, seed=1, masks="true")
    with pytest.raises(ValueError, match="activation must be piecewise linear to have paths"):
        jets.sample_orders(ERF, 2, 3, seed=1, masks="actual")
    with pytest.raises(ValueError, match="must be ReLU or leaky ReLU to have kinks"):
        jets.sample_kinks(ERF, 2, seed=1)
