"""Kernels of simulated networks: exact cases, the mean kernel, fluctuations, and defects."""

from __future__ import annotations

import numpy as np
import pytest

from companion.activations import Erf, LeakyReLU, ReLU, Tanh
from companion.architecture import ResNetSpec
from companion.montecarlo import Estimate, ks_between
from companion.simulate import chain, kernels, matrixfree
from companion.simulate.kernels import inputs_of_kernel, sample
from tests import defects
from tests.defects import must_reject
from tests.networks import Frozen, erf_with_bias, leaky, two_layer
from tests.simulate.kernel_reference import DEEP, ERF, RELU, pair, pair_path

WEIGHTS = ("implicit", "explicit")


def draw(spec: ResNetSpec, networks: int, **kwargs: object) -> kernels.EmpiricalKernels:
    settings = {"seed": 7, "device": "cpu"} | kwargs
    return sample(spec, networks, **settings)


# ---------------------------------------------------------------- defects of this module


def half_the_neurons(patch: defects.Patch) -> None:
    """Average over the first half of the neurons: right in mean, twice the variance."""
    true = kernels._inner
    patch.setattr(
        kernels, "_inner", lambda h, pairs: true(h[..., : h.shape[-1] // 2].contiguous(), pairs)
    )


def mixed_networks(patch: defects.Patch) -> None:
    """Take every layer of another network: the right law at each layer, no covariance."""
    true, calls = kernels._inner, []

    def wrong(h, pairs):
        calls.append(0)
        return true(h, pairs).roll(len(calls), 0)

    patch.setattr(kernels, "_inner", wrong)


def forgotten_growth(patch: defects.Patch) -> None:
    """Leave out the growth that homogeneous networks are simulated without."""
    true = chain.Run.__init__

    def wrong(self, *args):
        true(self, *args)
        self.growth = 0 * self.growth

    patch.setattr(chain.Run, "__init__", wrong)


def forgotten_scale(patch: defects.Patch) -> None:
    """Leave out the powers of two that the stored state is divided by."""
    true = chain.rescale_
    patch.setattr(chain, "rescale_", lambda h: true(h) * 0)


# ---------------------------------------------------------------- exact at every width


LINEAR = ResNetSpec(
    depth=9,
    width=12,
    inputs=2,
    skip=0.9,
    scale=tuple(np.linspace(0.2, 1.4, 9)),
    block="single",
    activation="linear",
    weight_variance=1.3,
    input_variance=0.7,
    readout_variance=1.6,
    readout_bias_variance=0.2,
)


def check_linear(weights: str, networks: int = 30000) -> None:
    """Kernels of linear networks have closed first and second moments at every width."""
    n, a2, r = LINEAR.width, LINEAR.skip**2, LINEAR.scales**2 * LINEAR.weight_variance
    found = draw(
        LINEAR, networks, inputs=inputs_of_kernel(LINEAR, pair(LINEAR, 0.4)), weights=weights
    )
    growth = np.cumprod([1.0, *(a2 + r)])
    mean = Estimate.mean(found.stream)
    assert mean.resolves(0.15 * growth[:, None, None] * 0.4 * 0.7)
    assert mean.agrees(growth[:, None, None] * pair(LINEAR, 0.4))
    assert Estimate.mean(found.output).agrees(1.6 * growth[-1] * pair(LINEAR, 0.4) + 0.2)
    square = 0.49 * (1 + 2 / n) * np.cumprod([1.0, *((a2 + r) ** 2 + (4 * a2 * r + 2 * r**2) / n)])
    second = Estimate.mean(found.stream[:, :, 0, 0] ** 2)
    spread = square - (0.7 * growth) ** 2
    assert second.resolves(spread)
    assert second.agrees(square)


@pytest.mark.mc
@pytest.mark.parametrize("weights", WEIGHTS)
def test_linear_networks(weights):
    check_linear(weights)


@pytest.mark.mc
@pytest.mark.parametrize(
    "defect",
    [
        forgotten_growth,
        forgotten_scale,
        half_the_neurons,
        defects.independent_columns,
        defects.tied_layers,
        defects.one_large_branch,
    ],
)
def test_linear_networks_reject(defect):
    must_reject(defect, check_linear, "implicit")


ONE_BLOCK = [
    ResNetSpec.field_theory(
        1,
        5,
        1.3,
        sigma_w2=1.7,
        sigma_b2=0.6,
        K0=1.9,
        activation=activation,
        sigma_w_in2=0.8,
        sigma_b_in2=0.5,
        d=3,
    )
    for activation in (Erf(), Tanh(), ReLU(), LeakyReLU(0.3))
]


def check_one_block(spec: ResNetSpec, weights: str, networks: int = 20000) -> None:
    """The stream after one block, whose argument is exactly normal."""
    inputs = inputs_of_kernel(spec, pair(spec, 0.6))
    found = draw(spec, networks, inputs=inputs, weights=weights).stream
    exact = pair_path(spec, 0.6)[0][:2]
    mean = Estimate.mean(found[:, :, [0, 1, 0], [0, 1, 1]])
    assert mean.resolves(0.1 * exact)
    assert mean.agrees(exact)


@pytest.mark.mc
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("spec", ONE_BLOCK, ids=lambda s: s.activation.name)
def test_one_block(spec, weights):
    check_one_block(spec, weights)


@pytest.mark.mc
@pytest.mark.parametrize("defect", [defects.bias_per_input, defects.independent_columns])
@pytest.mark.parametrize("spec", ONE_BLOCK[:3], ids=lambda s: s.activation.name)
def test_one_block_rejects(spec, defect):
    must_reject(defect, check_one_block, spec, "implicit")


def check_still_stream(weights: str) -> None:
    """Without branches the stream is normal: mean and variance of the output kernel are exact."""
    spec = ResNetSpec.field_theory(
        3, 10, 0.0, K0=1.2, sigma_out2=2.0, sigma_b_out2=0.3, activation="relu"
    )
    found = draw(spec, 20000, weights=weights)
    assert np.allclose(found.stream, found.stream[:, :1], rtol=1e-6)
    c = found.output[:, 0, 0]
    assert Estimate.mean(c).resolves(0.05 * 1.5)
    assert Estimate.mean(c).agrees(0.3 + 2.0 * 1.2 / 2)
    variance = 4.0 * (3 / 2 - 1 / 4) * 1.2**2 / 10
    assert Estimate.variance(c).resolves(0.2 * variance)
    assert Estimate.variance(c).agrees(variance)


@pytest.mark.mc
@pytest.mark.parametrize("weights", WEIGHTS)
def test_still_stream(weights):
    check_still_stream(weights)


@pytest.mark.mc
@pytest.mark.parametrize("weights", WEIGHTS)
def test_still_stream_rejects_half_the_neurons(weights):
    must_reject(half_the_neurons, check_still_stream, weights)


# ---------------------------------------------------------------- the mean kernel


def check_mean_kernel(spec: ResNetSpec, networks: int, numbers: dict[int, float]) -> None:
    found = draw(spec, networks, layers=sorted(numbers))
    expected = np.array(list(numbers.values()))
    assert pair_path(spec)[0][list(numbers), 0] == pytest.approx(expected, abs=6e-6)
    mean = Estimate.mean(found.stream[:, :, 0, 0])
    # measured shifts are -.4 K/n and less
    assert mean.resolves(0.02 * expected)
    assert mean.agrees(expected, allowance=expected / spec.width)
    output = pair_path(spec)[0][-1, 0]
    assert Estimate.mean(found.output[:, 0, 0]).agrees(output, allowance=output / spec.width)


MEANS = {
    "erf": (ERF, 10000, {0: 0.1, 5: 0.21583, 10: 0.39125}),
    "relu": (RELU, 10000, {0: 0.3, 10: 0.81641}),
}


@pytest.mark.mc
@pytest.mark.parametrize("case", MEANS)
def test_mean_kernel(case):
    check_mean_kernel(*MEANS[case])


@pytest.mark.mc
@pytest.mark.parametrize("case", MEANS)
@pytest.mark.parametrize("defect", [defects.tied_layers, defects.one_large_branch])
def test_mean_kernel_rejects(case, defect):
    must_reject(defect, check_mean_kernel, *MEANS[case])


# ---------------------------------------------------------------- fluctuations


#: By name: spec, and n times variances of the stream by layer and of the output, the latter also
#: as it would be if the noise of different layers were independent.
FLUCTUATIONS = {
    "erf": (ERF, {1: 0.03294, 5: 0.1519, 10: 0.5858}, 0.11254, 0.0638),
    "deep": (DEEP, {30: 0.7958}, 0.14585, 0.0647),
    "relu": (RELU, {10: 4.292}, 2.154, 0.886),
}
NEXT_ORDER = 0.03  # of the next order in 1/n, at width 200


def check_fluctuations(case: str) -> None:
    spec, stream, output, independent = FLUCTUATIONS[case]
    found = draw(spec, 16000, layers=sorted(stream))
    expected = np.array(list(stream.values()))
    variance = spec.width * Estimate.variance(found.stream[:, :, 0, 0])
    assert variance.resolves(0.1 * expected)
    assert variance.agrees(expected, allowance=NEXT_ORDER * expected)
    variance = spec.width * Estimate.variance(found.output[:, 0, 0])
    assert variance.resolves((output - independent) / 4)
    assert variance.agrees(output, allowance=NEXT_ORDER * output)


@pytest.mark.mc
@pytest.mark.parametrize("case", FLUCTUATIONS)
def test_fluctuations(case):
    check_fluctuations(case)


@pytest.mark.mc
@pytest.mark.parametrize("case", ["erf", "relu"])
@pytest.mark.parametrize("defect", [half_the_neurons, defects.tied_layers])
def test_fluctuations_reject(case, defect):
    must_reject(defect, check_fluctuations, case)


def check_covariance_of_layers() -> None:
    found = draw(ERF, 12000, layers=(5, 10)).stream[:, :, 0, 0]
    covariance = ERF.width * Estimate.covariance(found[:, 0], found[:, 1])
    assert covariance.resolves(0.1 * 0.2183)
    assert covariance.agrees(0.2183, allowance=NEXT_ORDER * 0.2183)


@pytest.mark.mc
def test_covariance_of_layers():
    check_covariance_of_layers()


@pytest.mark.mc
@pytest.mark.parametrize("defect", [mixed_networks, half_the_neurons])
def test_covariance_of_layers_rejects(defect):
    must_reject(defect, check_covariance_of_layers)


#: n times the covariance of two entries of the output kernel of two inputs of cosine .4
ENTRIES = {
    ((0, 0), (0, 0)): 0.11247,
    ((0, 1), (0, 1)): 0.13366,
    ((0, 0), (1, 1)): 0.02877,
    ((0, 0), (0, 1)): 0.0678,
}


def check_covariance_of_entries() -> None:
    inputs = inputs_of_kernel(ERF, pair(ERF, 0.4))
    found = draw(ERF, 16000, inputs=inputs, layers=(10,)).output
    for (one, other), expected in ENTRIES.items():
        covariance = ERF.width * Estimate.covariance(found[:, *one], found[:, *other])
        assert covariance.resolves(0.3 * expected)
        assert covariance.agrees(expected, allowance=NEXT_ORDER * expected)


@pytest.mark.mc
def test_covariance_of_entries():
    check_covariance_of_entries()


@pytest.mark.mc
@pytest.mark.parametrize(
    "defect", [half_the_neurons, defects.independent_columns, defects.bias_per_input]
)
def test_covariance_of_entries_rejects(defect):
    must_reject(defect, check_covariance_of_entries)


# ---------------------------------------------------------------- two ways to sample, one law


LAWS = {"erf": erf_with_bias(3, 6), "leaky": leaky(9, 6), "two-layer": two_layer(3, 6)}


def check_equal_in_law(spec: ResNetSpec) -> None:
    inputs = np.array([[1.0, 0.2, 0.0], [0.4, -0.9, 0.3]])
    one, other = (draw(spec, 6000, inputs=inputs, weights=weights) for weights in WEIGHTS)
    for a, b in ((0, 0), (0, 1)):
        for left, right in ((one.stream[:, -1], other.stream[:, -1]), (one.output, other.output)):
            assert not ks_between(left[:, a, b], right[:, a, b], decimals=None).rejects(
                0.01, tests=4
            )


@pytest.mark.mc
@pytest.mark.parametrize("case", LAWS)
def test_equal_in_law(case):
    check_equal_in_law(LAWS[case])


@pytest.mark.mc
@pytest.mark.parametrize("case", LAWS)
@pytest.mark.parametrize("defect", [defects.independent_columns, defects.tied_layers])
def test_equal_in_law_rejects(case, defect):
    must_reject(defect, check_equal_in_law, LAWS[case])


# ---------------------------------------------------------------- what a result depends on


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_result_depends_on_seed_and_block_only(weights):
    spec, inputs = erf_with_bias(4, 150), np.eye(3)[:2]
    whole = draw(spec, 500, inputs=inputs, weights=weights)
    batched = draw(spec, 500, inputs=inputs, weights=weights, batch=3)
    first = draw(spec, 130, inputs=inputs, weights=weights, layers=(1, 4))
    assert np.array_equal(whole.stream, batched.stream)
    assert np.array_equal(whole.output, batched.output)
    assert np.array_equal(whole.stream[:130, [1, 4]], first.stream)
    assert np.array_equal(whole.output[:130], first.output)
    assert first.layers == (1, 4)
    other = draw(spec, 500, inputs=inputs, weights=weights, seed=8)
    assert not np.any(whole.output == other.output)


def test_shapes_and_symmetry(precision):
    found = draw(erf_with_bias(4, 7), 11, inputs=np.eye(3), dtype=precision)
    assert found.stream.shape == (11, 5, 3, 3)
    assert found.output.shape == (11, 3, 3)
    assert found.layers == (0, 1, 2, 3, 4)
    assert found.stream.dtype == found.output.dtype == np.float64
    assert np.array_equal(found.stream, np.swapaxes(found.stream, 2, 3))
    assert np.linalg.eigvalsh(found.stream).min() > 0


@pytest.mark.parametrize("spec", [leaky(20, 30), erf_with_bias(5, 30)], ids=["leaky", "erf"])
def test_the_diagonal_is_the_norm_of_a_forward_run(spec):
    inputs = np.array([[1.0, 0.2, 0.0], [0.4, -900.0, 0.3]])
    found = draw(spec, 50, inputs=inputs).stream
    norms = matrixfree.forward(
        spec, 50, seed=7, inputs=inputs, record=("log_norm",), device="cpu"
    ).layers["log_norm"]
    assert np.log(np.diagonal(found, axis1=2, axis2=3)) == pytest.approx(norms, abs=1e-5)


def test_the_default_input_has_the_declared_variance():
    spec = ResNetSpec.field_theory(1, 50, 0.2, K0=0.37, d=4)
    default = draw(spec, 20, weights="explicit").stream[:, 0]
    rows = inputs_of_kernel(spec, [[0.37]])
    assert rows @ rows.T == pytest.approx(4 * 0.37)
    one = draw(spec, 20, weights="explicit", inputs=rows).stream[:, 0]
    assert default == pytest.approx(one, rel=1e-5)


# ---------------------------------------------------------------- inputs of a kernel


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_inputs_of_a_kernel(rank):
    spec = erf_with_bias(2, 4).replace(inputs=3, input_weight_variance=1.7)
    factor = np.random.default_rng(rank).standard_normal((5, rank))
    kernel = factor @ factor.T + spec.input_bias_variance
    rows = inputs_of_kernel(spec, kernel)
    assert rows.shape == (5, 3)
    assert rows @ rows.T * 1.7 / 3 + spec.input_bias_variance == pytest.approx(kernel, abs=1e-12)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ([1.0, 2.0], "kernel must be a symmetric matrix"),
        ([[1.0, 0.2], [0.3, 1.0]], "kernel must be a symmetric matrix"),
        (np.zeros((0, 0)), "kernel must be a symmetric matrix"),
        ([[1.0, 1.2], [1.2, 1.0]], "positive semidefinite after the input bias .* lower"),
        ([[1.0, -0.1], [-0.1, 1.0]], "positive semidefinite after the input bias .* lower"),
        (np.eye(4) + 0.5, r"rank 4, which inputs of dimension 3 .* spec.replace\(inputs=4\)"),
        ([[np.nan]], "kernel must be finite"),
    ],
)
def test_impossible_kernels(kernel, message):
    spec = ResNetSpec(depth=1, width=2, inputs=3, input_bias_variance=0.5)
    with pytest.raises(ValueError, match=message):
        inputs_of_kernel(spec, kernel)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("layers", [(), (0, 6), (-1,), (2, 1), (1, 1), (1.0,), "03"])
def test_layers_must_be_layers(layers):
    with pytest.raises(ValueError, match=r"layers must be increasing integers in 0\.\.5"):
        draw(erf_with_bias(5, 4), 3, layers=layers)


def test_the_way_to_sample_must_be_known():
    with pytest.raises(ValueError, match="weights must be one of 'implicit', 'explicit'"):
        draw(erf_with_bias(5, 4), 3, weights="dense")


@pytest.mark.parametrize("weights", WEIGHTS)
def test_weights_must_be_independent(weights):
    spec = erf_with_bias(2, 4).replace(weight_law=Frozen())
    with pytest.raises(ValueError, match="weight_law must be"):
        draw(spec, 3, weights=weights)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_kernels_outside_float64_are_refused(weights):
    spec = LINEAR.replace(depth=500, scale=30.0)
    with pytest.raises(OverflowError, match=r"matrixfree\.forward, which returns logarithms"):
        draw(spec, 2, inputs=[[1.0, 0.0]], weights=weights)
