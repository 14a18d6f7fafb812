"""Kernels of infinitely wide networks: closed forms, other algorithms, simulation."""

from __future__ import annotations

import math
import time

import mpmath as mp
import numpy as np
import pytest

from companion import kernels
from companion.activations import Custom, Erf, LeakyReLU, ReLU, Tanh
from companion.architecture import ResNetSpec
from companion.kernels import branch, walk
from companion.kernels import gram as data_sets
from companion.montecarlo import Estimate
from companion.simulate import matrixfree
from tests import defects
from tests.networks import Frozen, erf_with_bias, two_layer

field_theory = ResNetSpec.field_theory
ERF = field_theory(10, 200, 0.35, sigma_w2=1.2, sigma_b2=0.05)
RELU = field_theory(10, 200, 0.35, sigma_w2=1.5, sigma_b2=0.05, K0=0.3, activation="relu")


def gram_of(size: int, variance: float = 0.1, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((size, 2 * size))
    return variance * x @ x.T / (2 * size)


# ---------------------------------------------------------------- one pair, to the digit


def test_pair_functions_of_erf():
    mp.mp.dps = 40
    a, p1, p2, q = mp.sqrt(mp.pi) / 2, mp.mpf("0.9"), mp.mpf("0.4"), mp.mpf("0.35")

    def f(p1, p2, q):
        root = mp.sqrt((1 + 2 * a**2 * p1) * (1 + 2 * a**2 * p2))
        return 2 / mp.pi * mp.asin(2 * a**2 * q / root)

    phi = Erf()
    assert float(phi.pair_moment(0.9, 0.4, 0.35)) == pytest.approx(float(f(p1, p2, q)), rel=1e-14)
    assert float(phi.pair_moment(0.9, 0.4, 0.35)) == pytest.approx(0.178889850748, abs=5e-13)
    slope = float(mp.diff(lambda x: f(p1, p2, x), q))
    assert slope == pytest.approx(0.525005421219, abs=5e-13)
    assert float(phi.pair_derivative(0.9, 0.4, 0.35)) == pytest.approx(slope, rel=1e-14)
    bend = float(mp.diff(lambda x: f(x, p2, q), p1))
    assert bend == pytest.approx(-0.0597909452719, abs=5e-14)
    assert float(phi.pair_derivative_variance(0.9, 0.4, 0.35)) == pytest.approx(bend, rel=1e-13)
    assert float(phi.second_moment(0.7)) == pytest.approx(0.350904268957, abs=5e-13)
    assert float(phi.second_moment_derivative(0.7)) == pytest.approx(0.266291513047, abs=5e-13)


def test_pair_functions_of_relu():
    mp.mp.dps = 40
    p1, p2, q = mp.mpf("0.9"), mp.mpf("0.4"), mp.mpf("0.35")

    def f(p1, p2, q):
        t = mp.acos(q / mp.sqrt(p1 * p2))
        return mp.sqrt(p1 * p2) / (2 * mp.pi) * (mp.sin(t) + (mp.pi - t) * mp.cos(t))

    phi = ReLU()
    assert float(phi.pair_moment(0.9, 0.4, 0.35)) == pytest.approx(0.199756600379, abs=5e-13)
    assert float(phi.pair_derivative(0.9, 0.4, 0.35)) == pytest.approx(0.349125929757, abs=5e-13)
    exact = float(mp.diff(lambda x: f(x, p2, q), p1))
    assert exact == pytest.approx(0.0430902916466, abs=5e-14)
    assert float(phi.pair_derivative_variance(0.9, 0.4, 0.35)) == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("gain", [0.3, math.sqrt(math.pi) / 2, 5.0])
def test_fast_pair_of_erf_is_the_checked_one(gain):
    rng = np.random.default_rng(1)
    p1, p2 = np.exp(rng.uniform(-9, 9, (2, 400)))
    p2[:100] = p1[:100]
    c = np.concatenate([[1.0, -1.0, 0.0, 1 - 1e-9], rng.uniform(-1, 1, 396)])
    q = np.where(p1 == p2, p1 * c, np.sqrt(p1) * np.sqrt(p2) * c)
    phi = Erf(gain)
    moment, slope = branch.Branch(phi, 1.0, 1.0, 0.0).pair_with_slope(p1, p2, q)
    np.testing.assert_allclose(moment, phi.pair_moment(p1, p2, q), rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(slope, phi.pair_derivative(p1, p2, q), rtol=2e-9)
    np.testing.assert_allclose(slope[:100], phi.pair_derivative(p1, p2, q)[:100], rtol=1e-13)


# ---------------------------------------------------------------- the recursion


def test_reference_variances():
    erf = kernels.stream_variances(ERF).normalized
    assert erf[[5, 10]] == pytest.approx([0.21583, 0.39125], abs=5e-6)
    assert np.exp(kernels.stream_variances(RELU).log[10]) == pytest.approx(0.81641, abs=5e-6)


def test_variances_are_those_of_the_architecture():
    for spec in (ERF, RELU, erf_with_bias(7, 50), two_layer(6, 30), ERF.replace(skip=0.7)):
        logs = kernels.stream_variances(spec).log
        np.testing.assert_allclose(logs, spec.log_stream_variances(), rtol=1e-12, atol=1e-12)


def test_relu_in_closed_form():
    depth, square = np.arange(11), 1.5 * 0.35**2
    growth = (1 + square / 2) ** depth
    exact = growth * 0.3 + 2 * 0.05 / 1.5 * (growth - 1)
    np.testing.assert_allclose(np.exp(kernels.stream_variances(RELU).log), exact, rtol=1e-13)


def naive(spec: ResNetSpec, gram: np.ndarray, pair) -> np.ndarray:
    """All layers by a loop over the entries; ``pair(p1, p2, q)`` is the moment."""
    layers = [gram]
    inner, outer = 1.0, spec.weight_variance
    if spec.block == "two-layer":
        inner, outer = spec.weight_variance, spec.outer_variance
    for scale in spec.scales:
        k = layers[-1]
        new = np.empty_like(k)
        for i in range(len(k)):
            for j in range(len(k)):
                moment = pair(inner * k[i, i], inner * k[j, j], inner * k[i, j])
                new[i, j] = spec.skip**2 * k[i, j]
                new[i, j] += scale**2 * (spec.bias_variance + outer * moment)
        layers.append(new)
    return np.array(layers)


def erf_pair(p1: float, p2: float, q: float, gain: float = math.sqrt(math.pi) / 2) -> float:
    a = 2 * gain**2
    return 2 / math.pi * math.asin(min(a * q / math.sqrt((1 + a * p1) * (1 + a * p2)), 1.0))


def leaky_pair(p1: float, p2: float, q: float, slope: float = -0.3) -> float:
    c = min(q / math.sqrt(p1 * p2), 1.0)
    t, size = math.acos(c), math.sqrt(p1 * p2)
    relu = size / (2 * math.pi) * (math.sin(t) + (math.pi - t) * c)
    flipped = size / (2 * math.pi) * (math.sin(t) - t * c)  # E relu(u) relu(-v)
    return (1 + slope**2) * relu - 2 * slope * flipped


NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(90)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def tanh_pair(p1: float, p2: float, q: float) -> float:
    c = q / math.sqrt(p1 * p2)
    second = c * NODES[:, None] + math.sqrt(max(1 - c * c, 0.0)) * NODES[None, :]
    products = np.tanh(math.sqrt(p1) * NODES)[:, None] * np.tanh(math.sqrt(p2) * second)
    return float(WEIGHTS @ products @ WEIGHTS)


NETWORKS = {
    "erf": (ERF, erf_pair, 1e-12),
    "scales": (ERF.replace(scale=tuple(np.linspace(0, 1, 10)), skip=0.8), erf_pair, 1e-12),
    "tanh": (ERF.replace(depth=4, activation=Tanh()), tanh_pair, 1e-10),
    "custom": (ERF.replace(depth=4, activation=Custom(np.tanh)), tanh_pair, 1e-10),
    "leaky": (
        RELU.replace(activation=LeakyReLU(-0.3), skip=0.9, scale=1.4),
        leaky_pair,
        1e-10,
    ),
    "two-layer": (
        ERF.replace(block="two-layer", outer_variance=1.7, weight_variance=0.6),
        erf_pair,
        1e-12,
    ),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_kernels_by_a_naive_loop(case):
    spec, pair, accuracy = NETWORKS[case]
    gram = gram_of(6, 0.3)
    gram[1, 1], gram[1, [0, 2, 3, 4, 5]], gram[[0, 2, 3, 4, 5], 1] = 0.3, 0.0, 0.0
    found = kernels.stream_kernels(spec, gram, layers=range(spec.depth + 1))
    exact = naive(spec, gram, pair)
    np.testing.assert_allclose(found.values, exact, rtol=accuracy, atol=accuracy / 10)
    output = spec.readout_variance * np.array(
        [[pair(k[i, i], k[j, j], k[i, j]) for j in range(6)] for k in exact for i in range(6)]
    ).reshape(exact.shape)
    found_output = kernels.output_kernel(spec, found)
    np.testing.assert_allclose(
        found_output, spec.readout_bias_variance + output, rtol=accuracy, atol=accuracy
    )


def test_deep_kernel_in_high_precision():
    mp.mp.dps = 40
    spec = field_theory(300, 10, 0.1, sigma_w2=1.2, sigma_b2=0.05)
    p1, p2, q = mp.mpf("0.1"), mp.mpf("0.2"), mp.mpf("-0.05")
    r, half = mp.mpf(0.1) ** 2, mp.pi / 2

    def f(a, b, c):
        return 2 / mp.pi * mp.asin(half * c / mp.sqrt((1 + half * a) * (1 + half * b)))

    w, b = mp.mpf(1.2), mp.mpf(0.05)
    for _ in range(300):
        p1, p2, q = (
            x + r * (b + w * f(*at))
            for x, at in ((p1, (p1, p1, p1)), (p2, (p2, p2, p2)), (q, (p1, p2, q)))
        )
    found = kernels.stream_kernels(spec, [[0.1, -0.05], [-0.05, 0.2]]).values[0]
    exact = [[float(p1), float(q)], [float(q), float(p2)]]
    np.testing.assert_allclose(found, exact, rtol=1e-13)


def test_growing_kernels_stay_in_range():
    spec = field_theory(3000, 10, 1.0, sigma_w2=2.0, K0=0.3, activation="relu")
    gram = 0.3 * np.array([[1.0, 0.2], [0.2, 1.0]])
    found = kernels.stream_kernels(spec, gram)
    assert found.log_unit[0] == pytest.approx(math.log(0.3) + 3000 * math.log(2), rel=1e-12)
    mp.mp.dps = 30
    cosine = mp.mpf("0.2")
    for _ in range(3000):  # at gain 1 and scale 1 the cosine is averaged with its image
        angle = mp.acos(cosine)
        cosine = (cosine + (mp.sin(angle) + (mp.pi - angle) * cosine) / mp.pi) / 2
    assert found.cosines[0, 0, 1] == pytest.approx(float(cosine), abs=1e-12)
    with pytest.raises(OverflowError, match="use `normalized`"):
        _ = found.values
    with pytest.raises(OverflowError, match="outside float64"):
        kernels.output_kernel(spec, found)
    with pytest.raises(OverflowError, match="skip of at most 1"):
        kernels.stream_variances(field_theory(3000, 10, 1.0).replace(skip=2.0))


def test_a_bias_in_a_growing_network():
    spec = field_theory(400, 10, 1.0, sigma_w2=2.0, sigma_b2=0.5, K0=1e-3, activation="relu")
    exact = 400 * math.log(2) + math.log(1e-3 + 0.5 * (1 - 2.0**-400))
    assert kernels.stream_variances(spec).log[-1] == pytest.approx(exact, rel=1e-14)


def test_blocks_of_pairs_do_not_matter(monkeypatch):
    gram = gram_of(9)
    whole = kernels.stream_kernels(ERF, gram).values
    monkeypatch.setattr(data_sets, "PAIRS_PER_BLOCK", 7)
    np.testing.assert_array_equal(kernels.stream_kernels(ERF, gram).values, whole)


def test_cross_kernels_are_blocks_of_the_whole():
    for spec in (erf_with_bias(5, 30), RELU.replace(inputs=3), two_layer(5, 20)):
        x = np.random.default_rng(2).standard_normal((7, 3))
        whole = kernels.nngp(spec, x)
        np.testing.assert_allclose(kernels.nngp(spec, x[:3], x[3:]), whole[:3, 3:], rtol=1e-12)
        np.testing.assert_allclose(kernels.nngp(spec, x, x), whole, rtol=1e-9)
        assert np.min(np.linalg.eigvalsh(whole)) > -1e-12


def test_equal_and_vanishing_inputs():
    gram = np.array([[0.2, 0.2, 0.0], [0.2, 0.2, 0.0], [0.0, 0.0, 0.0]])
    for spec in (ERF, RELU, ERF.replace(depth=3, activation=Tanh())):
        found = kernels.stream_kernels(spec, gram).values[0]
        np.testing.assert_allclose(found[:2, :2], found[0, 0], rtol=1e-12)
        # without an input only the bias is left, and it is shared
        assert 0 < found[2, 2] < found[0, 0]


def test_no_branches_leave_the_kernel_alone():
    gram = gram_of(4)
    still = kernels.stream_kernels(ERF.replace(scale=0.0), gram).values[0]
    np.testing.assert_allclose(still, gram, rtol=1e-15, atol=1e-17)


def test_an_inner_matrix_is_a_steeper_activation():
    gram = gram_of(5)
    inner = ERF.replace(block="two-layer", weight_variance=2.3, outer_variance=1.2)
    steep = ERF.replace(activation=Erf(math.sqrt(2.3 * math.pi) / 2))
    np.testing.assert_allclose(
        kernels.stream_kernels(inner, gram).values,
        kernels.stream_kernels(steep, gram).values,
        rtol=1e-13,
    )


def test_linear_readout():
    spec = erf_with_bias(4, 20).replace(readout="linear")
    stream = kernels.stream_kernels(spec, gram_of(3))
    expected = spec.readout_bias_variance + spec.readout_variance * stream.values
    np.testing.assert_array_equal(kernels.output_kernel(spec, stream), expected)


def test_a_thousand_layers_of_two_hundred_inputs_take_two_seconds():
    x = np.random.default_rng(3).standard_normal((200, 30))
    spec = field_theory(1000, 10, 0.05, sigma_b2=0.05, d=30, sigma_w_in2=0.1)

    def seconds() -> float:
        start = time.process_time()
        kernels.nngp(spec, x)
        return time.process_time() - start

    assert min(seconds() for _ in range(2)) < 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernels.stream_kernels(ERF, np.ones((2, 3))), "square matrix"),
        (lambda: kernels.stream_kernels(ERF, [[1.0, 0.2], [0.1, 1.0]]), "must be symmetric"),
        (lambda: kernels.stream_kernels(ERF, [[1.0, 2.0], [2.0, 1.0]]), r"\|q\| <= sqrt"),
        (lambda: kernels.stream_kernels(ERF, [[-1.0]]), "at least 0"),
        (lambda: kernels.stream_kernels(ERF, [[1.0]], layers=[11]), "from 0 to the depth 10"),
        (lambda: kernels.stream_kernels(ERF, [[1.0]], layers=[]), "from 0 to the depth"),
        (lambda: kernels.cross_kernels(ERF, [1.0], [1.0], [1.0]), r"shapes \(N,\), \(M,\)"),
        (lambda: kernels.nngp(ERF, np.ones((2, 3))), r"x must have shape \(N, 1\)"),
        (lambda: kernels.nngp(ERF, [[1.0]], [[np.nan]]), "y must be finite"),
        (lambda: kernels.stream_variances(ERF, [-1.0]), "at least 0"),
        (lambda: kernels.stream_variances(ERF.replace(weight_law=Frozen())), "independent"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------- simulation


def check_mean_kernel(spec: ResNetSpec, networks: int, effect: float):
    """Two inputs of correlation .4 at all layers, with 2/n for what the width adds."""
    rows = np.zeros((2, 2))
    rows[0, 0], rows[1] = 1.0, (0.4, math.sqrt(1 - 0.4**2))
    spec = spec.replace(inputs=2)
    rows *= math.sqrt(spec.input_squared_norm)
    run = matrixfree.forward(
        spec, networks, seed=30, inputs=rows, record=("log_norm", "cosine"), device="cpu"
    ).layers
    norms = np.exp(run["log_norm"])
    cross = run["cosine"] * np.sqrt(norms[..., 0] * norms[..., 1])
    layers = range(spec.depth + 1)
    theory = kernels.stream_kernels(spec, kernels.input_kernel(spec, rows), layers=layers).values
    for sample, exact in ((norms[..., 0], theory[:, 0, 0]), (cross, theory[:, 0, 1])):
        found = Estimate.mean(sample)
        assert found[1:].resolves(effect * exact[1:])
        assert found.agrees(exact, allowance=2 / spec.width * exact)


def no_bias(patch):
    """Leave the bias out of the branch."""
    true = branch.Branch.of

    def wrong(spec):
        return true(spec.replace(bias_variance=0.0))

    patch.setattr(branch.Branch, "of", wrong)


def amplitude_for_variance(patch):
    """Put the scale where its square belongs."""
    true = walk.stream_variances

    def wrong(spec, variances=None):
        return true(spec.replace(scale=tuple(np.sqrt(spec.scales))), variances)

    patch.setattr(kernels, "stream_variances", wrong)
    patch.setattr(data_sets, "stream_variances", wrong)


def independent_inputs(patch):
    """Take the features of the two inputs for independent."""
    true = branch.Branch.pair
    patch.setattr(
        branch.Branch, "pair", lambda self, p1, p2, q, unit=1.0: true(self, p1, p2, 0 * q, unit)
    )


SIMULATED = {"erf": (ERF, 2500, 0.05), "relu": (RELU, 2500, 0.1), "two-layer": None}
SIMULATED["two-layer"] = (ERF.replace(block="two-layer", weight_variance=2.0), 2500, 0.05)


@pytest.mark.mc
@pytest.mark.parametrize("case", SIMULATED)
def test_mean_kernel(case):
    check_mean_kernel(*SIMULATED[case])


@pytest.mark.mc
@pytest.mark.parametrize("case", SIMULATED)
@pytest.mark.parametrize("defect", [no_bias, amplitude_for_variance, independent_inputs])
def test_mean_kernel_rejects(case, defect):
    defects.must_reject(defect, check_mean_kernel, *SIMULATED[case])
