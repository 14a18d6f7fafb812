"""Fluctuations against reference values, brute force and simulation."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

from companion.activations import Custom, Erf, LeakyReLU, Tanh
from companion.architecture import ResNetSpec
from companion.montecarlo import Estimate
from companion.response import (
    Settings,
    finite_width,
    fluctuations,
    influence,
    influence_covariance,
    optimal_scale,
)
from companion.simulate import matrixfree
from tests import defects
from tests.networks import Frozen

field_theory = ResNetSpec.field_theory
ERF = field_theory(10, 200, 0.35, sigma_w2=1.2, sigma_b2=0.05)
DEEP = field_theory(30, 200, 0.25)
RELU = field_theory(10, 200, 0.35, sigma_w2=1.5, sigma_b2=0.05, K0=0.3, activation="relu")
TANH = ERF.replace(depth=6, activation=Tanh(), skip=0.9, scale=(0.1, 0.5, 0.2, 0.9, 0.3, 0.4))
PAIR = 0.1 * np.array([[1.0, 0.4], [0.4, 1.0]])


def test_reference_values():
    found = fluctuations(ERF)
    diagonal = np.diagonal(found.stream)[[1, 5, 10]]
    assert diagonal == pytest.approx([0.03294, 0.15190, 0.5858], rel=3e-4)
    assert found.stream[5, 10] == pytest.approx(0.2183, abs=5e-5)
    assert found.output == pytest.approx(0.11254, abs=5e-6)
    assert fluctuations(DEEP).stream[30, 30] == pytest.approx(0.7958, abs=5e-5)
    assert fluctuations(DEEP).output == pytest.approx(0.14585, abs=5e-6)
    assert fluctuations(RELU).stream[10, 10] == pytest.approx(4.292, abs=5e-4)
    assert fluctuations(RELU).output == pytest.approx(2.154, abs=5e-4)


@pytest.mark.parametrize(
    ("spec", "alone", "ratio"),
    [(ERF, 0.0638, 1.763), (DEEP, 0.0647, 2.255), (RELU, 0.886, 2.431)],
)
def test_layers_are_not_independent(spec, alone, ratio):
    full, without = fluctuations(spec).output, fluctuations(spec, cross_layer=False).output
    assert without == pytest.approx(alone, rel=1e-3)
    assert full / without == pytest.approx(ratio, abs=5e-4)


def test_fluctuations_do_not_accumulate_at_the_optimal_scale():
    depths = [2, 10, 30, 100, 300, 1000]
    scales = np.asarray(optimal_scale(Settings(depth=depths)))
    found = [
        fluctuations(field_theory(d, 9, float(s))) for d, s in zip(depths, scales, strict=True)
    ]
    stream = [f.relative_stream[-1, -1] for f in found]
    assert stream == pytest.approx([4.11, 4.81, 4.93, 4.97, 4.986, 4.990], abs=5e-3)
    assert found[-1].relative_output == pytest.approx(2.346, abs=2e-3)


def test_fluctuations_at_full_scale():
    depths = [2, 10, 30, 100, 300]
    relu = [field_theory(d, 9, 1.0, sigma_w2=2.0, activation="relu") for d in depths]
    stream = [fluctuations(s).relative_stream[-1, -1] for s in relu]
    assert stream == pytest.approx([7.5, 46, 155, 536, 1624], rel=5e-3)
    erf = [fluctuations(field_theory(d, 9, 1.0)).relative_stream[-1, -1] for d in depths]
    assert erf == pytest.approx([4.0, 3.2, 2.4, 2.1, 2.07], abs=0.05)


def test_linear_network_in_closed_form():
    for depth, scale, w in ((10, 0.3, 1.2), (50, 1.0, 2.0), (2000, 1.0, 3.0)):
        spec = field_theory(depth, 9, scale, sigma_w2=w, activation="linear")
        growth = 1 + scale**2 * w
        exact = 2 + 2 * depth * (1 - growth**-2)
        assert fluctuations(spec).relative_stream[-1, -1] == pytest.approx(exact, rel=1e-9)
    # the last of these networks is far outside float64
    with pytest.raises(OverflowError, match="use the relative one"):
        _ = fluctuations(spec).stream


NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(120)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def brute_noise(spec: ResNetSpec, k: np.ndarray) -> np.ndarray:
    """Covariance of ``phi(h_l)^2`` and ``phi(h_m)^2`` by a product rule for every two layers."""
    out = np.empty((k.size, k.size))
    for low in range(k.size):
        for high in range(low, k.size):
            c = spec.skip ** (high - low) * math.sqrt(k[low] / k[high])
            second = c * NODES[:, None] + math.sqrt(max(1 - c * c, 0.0)) * NODES[None, :]
            first = spec.activation(math.sqrt(k[low]) * NODES) ** 2
            last = spec.activation(math.sqrt(k[high]) * second) ** 2
            mean = float(WEIGHTS @ (first[:, None] * last) @ WEIGHTS)
            means = float(first @ WEIGHTS) * float(WEIGHTS @ last @ WEIGHTS)
            out[low, high] = out[high, low] = mean - means
    return out


def brute_propagator(spec: ResNetSpec, k: np.ndarray) -> np.ndarray:
    slope = spec.weight_variance * np.asarray(spec.activation.second_moment_derivative(k))
    squares, out = spec.scales**2, np.zeros((k.size, k.size))
    for layer in range(k.size):
        for below in range(layer):
            out[layer, below] = squares[below] * spec.weight_variance
            for between in range(below + 1, layer):
                out[layer, below] *= spec.skip**2 + squares[between] * slope[between]
    return out


SMOOTH = {
    "erf": ERF,
    "steep erf": ERF.replace(activation=Erf(1.5), depth=5),
    "tanh": TANH,
    "custom": TANH.replace(activation=Custom(lambda x: np.sin(x) + x * x / 4)),
    "scales": ERF.replace(scale=tuple(np.linspace(0.0, 0.8, 10)), skip=0.9),
}


@pytest.mark.parametrize("case", SMOOTH)
def test_brute_force(case):
    spec = SMOOTH[case]
    k = spec.stream_variances()
    noise, propagator = brute_noise(spec, k), brute_propagator(spec, k)
    slope = np.asarray(spec.activation.second_moment_derivative(k))
    found = fluctuations(spec)
    g = np.asarray(spec.activation.second_moment(k))
    np.testing.assert_allclose(found.noise * np.outer(g, g), noise, rtol=1e-7, atol=1e-10)
    kernel = propagator @ noise @ propagator.T
    np.testing.assert_allclose(found.kernel, kernel, rtol=1e-7, atol=1e-12)
    layers = np.arange(k.size)
    smaller = k[np.minimum(layers[:, None], layers)]
    shared = spec.skip ** np.abs(layers[:, None] - layers) * smaller
    mixed = (2 * shared**2 * slope) @ propagator.T
    np.testing.assert_allclose(
        found.stream, kernel + mixed + mixed.T + 2 * shared**2, rtol=1e-7, atol=1e-12
    )
    w = spec.readout_variance * (slope[-1] * propagator[-1] + (layers == spec.depth))
    assert found.output == pytest.approx(float(w @ noise @ w), rel=1e-7)


def test_second_mode_is_the_slope():
    k = np.array([0.1, 0.4, 2.0])
    modes = finite_width.hermite_modes(Erf(), k, 24)
    slope = np.asarray(Erf().second_moment_derivative(k))
    np.testing.assert_allclose(modes[:, 2], math.sqrt(2) * k * slope, rtol=1e-12)
    np.testing.assert_allclose(modes[:, 0], Erf().second_moment(k), rtol=1e-13)
    assert np.max(np.abs(modes[:, 1::2])) < 1e-15


def test_piecewise_linear_closed_form_is_the_hermite_sum():
    for phi in (LeakyReLU(0.0), LeakyReLU(-0.4), LeakyReLU(0.7)):
        k, c = np.array([1.0, 1.0]), np.array([[1.0, 0.6], [0.6, 1.0]])
        modes = finite_width.hermite_modes(phi, k, 400)[0]
        for r in (0.6, 1.0):
            total = np.sum(modes[1:] ** 2 * r ** np.arange(1, 400)) / modes[0] ** 2
            closed = finite_width._noise(phi, k, c)[0, 0 if r == 1 else 1]
            assert closed == pytest.approx(total, rel=1e-4)


def test_arc_cosine_form_of_the_relu_noise():
    k = RELU.stream_variances()
    found = fluctuations(RELU)
    t = np.arccos(np.sqrt(np.minimum.outer(k, k) / np.maximum.outer(k, k)))
    s, c = np.sin(t), np.cos(t)
    exact = (3 * s * c + (math.pi - t) * (1 + 2 * c**2)) / (2 * math.pi) - 0.25
    np.testing.assert_allclose(found.noise / 4, exact, rtol=1e-7)


def test_linear_readout():
    found = fluctuations(ERF.replace(readout="linear", readout_variance=3.0))
    assert found.output == pytest.approx(9 * found.stream[-1, -1], rel=1e-13)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ERF.replace(block="two-layer"), "block must be 'single'"),
        (RELU.replace(balanced=True), "balanced must be False"),
        (ERF.replace(weight_law=Frozen()), "weight_law must be independent"),
        (ERF.replace(activation=Erf(1e4), depth=2), "Hermite modes"),
    ],
)
def test_refused_networks(spec, message):
    with pytest.raises(ValueError, match=message):
        fluctuations(spec)


# ---------------------------------------------------------------- influence of one neuron


@pytest.mark.mc
@pytest.mark.parametrize("of", ["output", "stream"])
@pytest.mark.parametrize("case", ["erf", "relu", "tanh"])
def test_influence_of_one_input_is_the_closed_form(case, of):
    spec = {"erf": ERF, "relu": RELU, "tanh": TANH}[case]
    found = influence_covariance(spec, [[spec.input_variance]], samples=60000, seed=4, of=of)
    closed = fluctuations(spec)
    exact = closed.output if of == "output" else closed.stream[-1, -1]
    assert found.resolves(0.15 * exact)
    assert found.agrees(exact)


def check_two_inputs_by_influence():
    found = influence_covariance(ERF, PAIR, samples=400000, seed=5)
    assert found.value.shape == (3, 3)
    assert found.value[0, 0] == pytest.approx(0.11247, rel=0.01)
    assert found[0, 0].agrees(fluctuations(ERF).output)
    assert found[1, 1].agrees(0.13366, allowance=4.5 * 0.0002)
    assert found[0, 2].agrees(0.02877, allowance=5e-6)
    assert found[0, 1].agrees(0.0678, allowance=5e-5)
    assert found.resolves(0.06 * found.value)


@pytest.mark.mc
def test_two_inputs_by_influence():
    check_two_inputs_by_influence()


def test_influence_depends_on_seed_and_samples_only():
    first, again, other = (
        influence_covariance(ERF, PAIR, samples=20000, seed=s) for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.value, again.value)
    assert np.all(first.value != other.value)
    assert first.n == 20000


def test_influence_refuses():
    # three inputs, each pair possible but not all together
    gram = 0.1 * np.array([[1, -0.9, -0.9], [-0.9, 1, -0.9], [-0.9, -0.9, 1]])
    with pytest.raises(ValueError, match="positive semi-definite"):
        influence_covariance(ERF, gram, samples=100, seed=0)
    with pytest.raises(ValueError, match="of must be one of"):
        influence_covariance(ERF, PAIR, samples=100, seed=0, of="layer")
    with pytest.raises(TypeError, match="samples must be a positive integer"):
        influence_covariance(ERF, PAIR, samples=1e3, seed=0)


# ---------------------------------------------------------------- simulation


def check_stream(spec: ResNetSpec, networks: int):
    """Variances and a covariance of the norms; 3 % for the next order in the inverse width."""
    run = matrixfree.forward(spec, networks, seed=40, record=("log_norm",), device="cpu")
    norms = np.exp(run.layers["log_norm"][..., 0])
    layers = [1, spec.depth // 2, spec.depth]
    theory = fluctuations(spec).stream
    found = spec.width * Estimate.variance(norms[:, layers])
    exact = theory[layers, layers]
    assert found.resolves(0.2 * exact)
    assert found.agrees(exact, allowance=0.03 * exact)
    middle, top = layers[1:]
    mixed = spec.width * Estimate.covariance(norms[:, middle], norms[:, top])
    assert mixed.resolves(0.2 * theory[middle, top])
    assert mixed.agrees(theory[middle, top], allowance=0.03 * theory[middle, top])


def feature_kernels(spec: ResNetSpec, gram: np.ndarray, networks: int, seed: int = 41):
    """Output kernels of small networks whose increments are drawn given the layer below."""
    rng = np.random.default_rng(seed)
    size, n = len(gram), spec.width
    h = np.linalg.cholesky(gram) @ rng.standard_normal((networks, size, n))
    for square in spec.scales**2:
        phi = spec.activation(h)
        c = spec.bias_variance + spec.weight_variance * phi @ phi.transpose(0, 2, 1) / n
        h += np.linalg.cholesky(square * c) @ rng.standard_normal(h.shape)
    phi = spec.activation(h)
    return (phi @ phi.transpose(0, 2, 1) / n)[:, *np.triu_indices(size)]


def check_output(spec: ResNetSpec, networks: int):
    sample = feature_kernels(spec, np.array([[spec.input_variance]]), networks)[:, 0]
    found, exact = spec.width * Estimate.variance(sample), fluctuations(spec).output
    assert found.resolves(0.2 * exact)
    assert found.agrees(exact, allowance=0.03 * exact)


@functools.cache
def pair_sample() -> np.ndarray:
    """Drawn once: no defect of the theory touches it."""
    return np.concatenate([feature_kernels(ERF, PAIR, 2000, seed) for seed in range(10)])


def check_output_of_pairs():
    sample = pair_sample()
    exact = influence_covariance(ERF, PAIR, samples=100000, seed=6)
    found = ERF.width * Estimate.covariance(sample[:, :, None], sample[:, None, :])
    difference = found - exact
    assert difference.resolves(0.25 * exact.value)
    assert difference.agrees(0.0, allowance=0.03 * exact.value)


def independent_layers(patch):
    """Drop the correlation of the noise of different layers."""
    true = finite_width._noise
    patch.setattr(finite_width, "_noise", lambda *args: np.diag(np.diagonal(true(*args))))


def no_noise_of_features(patch):
    """Let the coordinates fluctuate, but not the means of their features."""
    true = finite_width._noise
    patch.setattr(finite_width, "_noise", lambda *args: 0 * true(*args))


def frozen_variances(patch):
    """Forget how the kernel of a pair responds to the two variances."""
    true = influence._slopes
    patch.setattr(influence, "_slopes", lambda *args: np.diag(np.diagonal(true(*args))))


def last_layer_alone(patch):
    """Count the noise of the last layer only."""
    true = influence.influence_weights

    def wrong(*args):
        weights, direct = true(*args)
        weights[:-1] = 0.0
        return weights, direct

    patch.setattr(influence, "influence_weights", wrong)


SIMULATED = {"erf": (ERF, 4000), "relu": (RELU, 6000)}


@pytest.mark.mc
@pytest.mark.parametrize("case", SIMULATED)
def test_stream(case):
    check_stream(*SIMULATED[case])


@pytest.mark.mc
@pytest.mark.parametrize("case", SIMULATED)
@pytest.mark.parametrize("defect", [independent_layers, no_noise_of_features])
def test_stream_rejects(case, defect):
    defects.must_reject(defect, check_stream, *SIMULATED[case])


@pytest.mark.mc
@pytest.mark.parametrize("case", SIMULATED)
def test_output(case):
    check_output(*SIMULATED[case])


@pytest.mark.mc
@pytest.mark.parametrize("case", SIMULATED)
@pytest.mark.parametrize("defect", [independent_layers, no_noise_of_features])
def test_output_rejects(case, defect):
    defects.must_reject(defect, check_output, *SIMULATED[case])


@pytest.mark.mc
def test_output_of_pairs():
    check_output_of_pairs()


@pytest.mark.mc
@pytest.mark.parametrize("defect", [frozen_variances, last_layer_alone])
def test_output_of_pairs_rejects(defect):
    defects.must_reject(defect, check_output_of_pairs)
    defects.must_reject(defect, check_two_inputs_by_influence)
