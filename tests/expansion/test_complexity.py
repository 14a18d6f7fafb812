"""Jacobians and gradients at initialization, against explicit networks and their backward pass."""

from __future__ import annotations

import math

import numpy as np
import pytest

from companion import expansion as ex
from companion.activations import Erf, LeakyReLU
from companion.architecture import ResNetSpec
from companion.expansion import complexity
from companion.montecarlo import Estimate
from companion.weights import FractionalNoise
from tests.defects import must_reject
from tests.expansion.networks import apply, weights

EXPANSION = ResNetSpec.residual_expansion
PROFILE = (0.5, 0.9, 0.2, 0.7)
NETWORK = EXPANSION(4, PROFILE, width=6, sigma_w2=2.5, sigma_v2=0.8, inputs=3, outputs=2).replace(
    input_weight_variance=1.4, readout_variance=0.6, input_variance=1.7
)


def test_closed_forms():
    spec = EXPANSION(50, 50**-0.5, width=32)
    assert math.exp(ex.log_jacobian_energy(spec)) == pytest.approx(2.6916, abs=5e-5)
    assert ex.log_jacobian_energy(spec) == pytest.approx(ex.log_total_energy(spec))
    critical = EXPANSION(100, 0.1, width=32, inputs=64)
    start = ex.log_geometric_complexity(critical.replace(scale=0.0))
    assert math.exp(start) == pytest.approx(32)
    growth = ex.log_geometric_complexity(critical) - start
    assert math.exp(growth) == pytest.approx(2.705, abs=5e-4)
    skipped = NETWORK.replace(skip=0.5)
    assert ex.log_jacobian_energy(skipped) == pytest.approx(
        8 * math.log(0.5) + ex.log_total_energy(skipped)
    )
    assert ex.log_geometric_complexity(NETWORK, of="outputs") == pytest.approx(
        ex.log_total_energy(NETWORK) + math.log(1.4 * 2 * 0.6)
    )


def test_complexity_grows_with_the_scale_and_never_overflows():
    logs = [ex.log_geometric_complexity(EXPANSION(10**4, s, width=32)) for s in (0, 0.01, 0.1, 1)]
    assert np.all(np.diff(logs) > 0)
    assert logs[-1] == pytest.approx(10**4 * math.log(2) + math.log(32))


def test_curved_activations_take_the_gain_of_the_derivative():
    spec = EXPANSION(3, 0.4, width=8, sigma_w2=1.5, sigma_v2=1.2, activation="erf")
    variances = spec.stream_variances()[:-1]
    v = 1.5 * variances  # erf(x / sqrt 2): the reduced variance is the variance itself
    slopes = 1.5 * 1.2 * 2 / math.pi / np.sqrt(1 + 2 * v)
    assert ex.log_jacobian_energy(spec) == pytest.approx(np.sum(np.log1p(0.16 * slopes)))
    assert slopes[0] == pytest.approx(ex.smooth_gains(spec).chi)
    single = spec.replace(block="single", outer_variance=1.0, activation=Erf())
    k = single.stream_variances()[:-1]
    slopes = 1.5 / np.sqrt(1 + math.pi * k)
    assert ex.log_jacobian_energy(single) == pytest.approx(np.sum(np.log1p(0.16 * slopes)))


def test_branch_rate():
    assert ex.branch_rate_multiplier(EXPANSION(100, 0.01, width=4)) == pytest.approx(100)
    assert ex.branch_rate_multiplier(EXPANSION(100, 0.1, width=4)) == pytest.approx(1)
    assert ex.branch_rate_multiplier(EXPANSION(3, 0.0, width=4)) == math.inf
    assert ex.branch_rate_multiplier(NETWORK) == pytest.approx(1 / np.sum(np.square(PROFILE)))


def test_branches_do_not_learn_at_one_over_depth():
    """Share of the branches in the tangent kernel: of order 1 at L^-1/2, of order 1/L at 1/L."""
    depths = np.array([100, 400, 1600])
    share = {
        beta: [ex.gradient_energies(EXPANSION(L, L**-beta, width=32)).branch_share for L in depths]
        for beta in (0.5, 1.0)
    }
    assert np.ptp(share[0.5]) < 0.01
    assert share[0.5][0] > 0.5
    slope = np.polyfit(np.log(depths), np.log(share[1.0]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.02)
    cured = ex.gradient_energies(EXPANSION(400, 1 / 400, width=32))
    multiplier = ex.branch_rate_multiplier(EXPANSION(400, 1 / 400, width=32))
    critical = ex.gradient_energies(EXPANSION(400, 400**-0.5, width=32))
    assert cured.branches * multiplier == pytest.approx(critical.branches, rel=0.01)


# ---------------------------------------------------------------- against networks


def backward(spec: ResNetSpec, networks: int, seed: int) -> dict[str, np.ndarray]:
    """Jacobians, and squared gradients of the first output by group, of every network."""
    rng = np.random.default_rng(seed)
    n, d, m = spec.width, spec.inputs, spec.outputs
    x = rng.standard_normal((networks, d))
    x *= math.sqrt(spec.input_squared_norm) / np.linalg.norm(x, axis=1, keepdims=True)
    first = rng.standard_normal((networks, n, d)) * math.sqrt(spec.input_weight_variance / d)
    last = rng.standard_normal((networks, m, n)) * math.sqrt(spec.readout_variance / n)
    h, jacobian, layers = apply(first, x), first, []
    for scale in spec.scales:
        w = weights(networks, n, spec.weight_variance, rng)
        v = weights(networks, n, spec.outer_variance, rng)
        z = apply(w, h)
        mask = spec.activation.derivative(z)
        layers.append((scale, w, v, mask, z, h))
        h = spec.skip * h + scale * apply(v, mask * z)
        jacobian = spec.skip * jacobian + scale * v @ (mask[:, :, None] * (w @ jacobian))
    found = {
        "features": np.sum(jacobian**2, axis=(1, 2)),
        "outputs": np.sum((last @ jacobian) ** 2, axis=(1, 2)),
        "readout": np.sum(h**2, axis=1),
    }
    p, inner, outer = last[:, 0], [], []
    for scale, w, v, mask, z, stream in reversed(layers):
        back = mask * apply(v.swapaxes(1, 2), p)
        outer.append(scale**2 * np.sum(p**2, axis=1) * np.sum((mask * z) ** 2, axis=1))
        inner.append(scale**2 * np.sum(back**2, axis=1) * np.sum(stream**2, axis=1))
        p = spec.skip * p + scale * apply(w.swapaxes(1, 2), back)
    found["input_map"] = np.sum(p**2, axis=1) * spec.input_squared_norm
    found["inner"] = np.stack(inner[::-1], axis=1)
    found["outer"] = np.stack(outer[::-1], axis=1)
    return found


def check_network(spec: ResNetSpec) -> None:
    """Everything at width 6, where the formulas are exact as well."""
    found = backward(spec, 40000, 70)
    for of in ("features", "outputs"):
        theory = math.exp(ex.log_geometric_complexity(spec, of=of))
        measured = Estimate.mean(found[of])
        assert measured.resolves(theory / 8)
        assert measured.agrees(theory)
    common = spec.width * spec.skip ** (2 * spec.depth) * math.exp(ex.log_total_energy(spec))
    theory = ex.gradient_energies(spec)
    for group in ("input_map", "readout", "inner", "outer"):
        expected = common * np.asarray(getattr(theory, group))
        measured = Estimate.mean(found[group])
        assert measured.resolves(expected / 5)
        assert measured.agrees(expected)


NETWORKS = {
    "relu": NETWORK,
    "leaky": NETWORK.replace(activation=LeakyReLU(0.4), skip=0.8),
}


def open_masks(patch):
    """A derivative of 1 everywhere, as if every unit were on."""
    true = complexity.log_jacobian_energy
    wrong = lambda spec: true(spec.replace(weight_variance=2 * spec.weight_variance))  # noqa: E731
    patch.setattr(complexity, "log_jacobian_energy", wrong)


def no_readout_fan_in(patch):
    """A readout whose variance is not divided by the width."""
    true = complexity.log_geometric_complexity

    def wrong(spec, of="features"):
        return true(spec, of) + (math.log(spec.width) if of == "outputs" else 0)

    patch.setattr(ex, "log_geometric_complexity", wrong)


def own_block_twice(patch):
    """The block's own growth is left in the gradient of its weights."""
    patch.setattr(complexity, "block_ratios", lambda spec: np.zeros(spec.depth))


def swapped_matrices(patch):
    """The gradients of W and V are exchanged."""
    true = complexity.gradient_energies

    def wrong(spec):
        found = true(spec)
        return found._replace(inner=found.outer, outer=found.inner)

    patch.setattr(ex, "gradient_energies", wrong)


@pytest.mark.mc
@pytest.mark.parametrize("case", NETWORKS)
def test_networks(case):
    check_network(NETWORKS[case])


@pytest.mark.mc
@pytest.mark.parametrize(
    "defect", [open_masks, no_readout_fan_in, own_block_twice, swapped_matrices]
)
def test_networks_reject(defect):
    must_reject(defect, check_network, NETWORK)


def test_single_blocks():
    """A block without an outer matrix has one group of weights, with the same share per block."""
    spec = EXPANSION(4, PROFILE, width=6, sigma_w2=1.3, activation="linear", block="single")
    found = ex.gradient_energies(spec)
    assert np.all(found.outer == 0)
    expected = np.square(PROFILE) / (1 + 1.3 * np.square(PROFILE))
    assert found.inner == pytest.approx(expected)
    assert found.branch_share == pytest.approx(
        expected.sum() / (expected.sum() + 1 + spec.input_squared_norm / 6)
    )


# ---------------------------------------------------------------- errors


def test_errors():
    with pytest.raises(ValueError, match="of must be one of 'features', 'outputs', got 'logits'"):
        ex.log_geometric_complexity(NETWORK, of="logits")
    with pytest.raises(ValueError, match="readout must be 'linear', got 'activation'"):
        ex.log_geometric_complexity(NETWORK.replace(readout="activation"), of="outputs")
    with pytest.raises(ValueError, match="readout must be 'linear'"):
        ex.gradient_energies(NETWORK.replace(readout="activation"))
    with pytest.raises(ValueError, match="weight_law must be independent"):
        ex.log_jacobian_energy(NETWORK.replace(weight_law=FractionalNoise(0.9)))
    with pytest.raises(ValueError, match="activation must be linear or of the ReLU family"):
        ex.gradient_energies(NETWORK.replace(activation=Erf()))
