"""The description of a network: checks, shares, five notations, records."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from companion.activations import Custom, Erf, LeakyReLU, Linear, ReLU, Tanh
from companion.architecture import NormalizedCoefficients, ResNetSpec
from companion.weights import IID


def small(**changes) -> ResNetSpec:
    return ResNetSpec(**({"depth": 4, "width": 8} | changes))


# ---------------------------------------------------------------- arguments


BAD = [
    ({"depth": -3}, ValueError, r"depth must be a positive integer, got -3; count blocks"),
    ({"depth": 0}, ValueError, r"depth must be a positive integer, got 0"),
    ({"depth": 3.0}, TypeError, r"depth must be a positive integer, got 3\.0 of type float"),
    ({"depth": True}, TypeError, r"depth must be a positive integer, got True of type bool"),
    ({"width": 0}, ValueError, r"width must be a positive integer, got 0"),
    ({"width": "8"}, TypeError, r"width must be a positive integer, got '8' of type str"),
    ({"inputs": 0}, ValueError, r"inputs must be a positive integer"),
    ({"outputs": -1}, ValueError, r"outputs must be a positive integer"),
    ({"skip": -0.1}, ValueError, r"skip must be at least 0, got -0\.1"),
    ({"skip": math.nan}, ValueError, r"skip must be finite, got nan"),
    ({"skip": True}, TypeError, r"skip must be a real number, got True of type bool"),
    ({"scale": -1}, ValueError, r"scale must be at least 0, got -1; a sign belongs to the weights"),
    ({"scale": math.inf}, ValueError, r"scale must be finite, got inf"),
    ({"scale": "big"}, TypeError, r"scale must be a real number, got 'big' of type str"),
    ({"scale": [0.1, 0.2]}, ValueError, r"one entry per layer, got shape \(2,\) for depth 4; pass"),
    ({"scale": [1, 1, 1, -2]}, ValueError, r"scale must be at least 0, got -2"),
    ({"scale": [1, 1, 1, math.nan]}, ValueError, r"scale must be finite, got nan"),
    ({"scale": ["a", 1, 1, 1]}, TypeError, r"scale must be a real number or an array"),
    ({"skip": 0, "scale": 0}, ValueError, r"skip and scale must not both be zero in a layer"),
    ({"skip": 0, "scale": [1, 1, 0, 1]}, ValueError, r"such a layer erases the stream, give one"),
    ({"block": "three"}, ValueError, r"block must be one of 'single', 'two-layer', got 'three'"),
    ({"readout": "tanh"}, ValueError, r"readout must be one of 'linear', 'activation', got 'tanh'"),
    ({"balanced": 1}, TypeError, r"balanced must be True or False, got 1 of type int; pass a bool"),
    ({"balanced": True, "activation": "erf"}, ValueError, r"balanced=True needs a ReLU or leaky"),
    ({"activation": "swish"}, ValueError, r"activation must be one of 'relu', .*got 'swish'"),
    ({"activation": ReLU}, TypeError, r"write ReLU\(\) with parentheses"),
    ({"weight_variance": 0}, ValueError, r"weight_variance must be greater than 0, got 0"),
    ({"weight_variance": None}, TypeError, r"weight_variance must be a real number, got None"),
    ({"outer_variance": -1}, ValueError, r"outer_variance must be greater than 0, got -1"),
    (
        {"outer_variance": 2, "block": "single"},
        ValueError,
        r"outer_variance must be 1 for block='s",
    ),
    ({"bias_variance": -1}, ValueError, r"bias_variance must be at least 0, got -1"),
    ({"input_weight_variance": 0}, ValueError, r"input_weight_variance must be greater than 0"),
    ({"input_bias_variance": -1}, ValueError, r"input_bias_variance must be at least 0"),
    ({"input_bias_variance": 2}, ValueError, r"input_variance must be at least input_bias.*1 < 2"),
    ({"input_variance": 0}, ValueError, r"input_variance must be greater than 0, got 0"),
    ({"readout_variance": 0}, ValueError, r"readout_variance must be greater than 0"),
    ({"readout_bias_variance": -1}, ValueError, r"readout_bias_variance must be at least 0"),
    (
        {"weight_law": "iid"},
        TypeError,
        r"weight_law must be a WeightLaw, got 'iid'; pass e\.g\. IID",
    ),
]


@pytest.mark.parametrize(("changes", "error", "message"), BAD)
def test_bad_arguments(changes, error, message):
    with pytest.raises(error, match=message):
        small(**changes)
    with pytest.raises(error, match=message):
        small().replace(**changes)


def test_arguments_are_converted():
    spec = small(depth=np.int64(4), scale=np.linspace(0, 1, 4), activation="tanh", skip=1)
    assert type(spec.depth) is int
    assert type(spec.skip) is float
    assert spec.scale == tuple(np.linspace(0, 1, 4).tolist())
    assert spec.activation == Tanh()
    assert small(scale=np.float32(0.5)).scale == small(scale=np.array(0.5)).scale == 0.5
    assert small(scale=[1, 2, 3, 4]) == small(scale=(1.0, 2.0, 3.0, 4.0))
    assert hash(small(scale=[1, 2, 3, 4])) == hash(small(scale=(1.0, 2.0, 3.0, 4.0)))
    np.testing.assert_array_equal(small(scale=0.5).scales, np.full(4, 0.5))
    with pytest.raises(AttributeError):
        spec.depth = 5
    with pytest.raises(TypeError, match="positional"):
        ResNetSpec(4, 8)


def test_scales_cannot_change_the_spec():
    spec = small(scale=0.5)
    spec.scales[:] = 0
    assert spec.effective_depth() > 0


def test_replace():
    assert small().replace(width=9).width == 9
    assert small(activation="erf").replace(depth=2).activation == Erf()
    with pytest.raises(TypeError, match=r"unknown field 'heads'; the fields are depth, width"):
        small().replace(heads=3)


def test_input_squared_norm_gives_the_input_variance():
    spec = small(inputs=5, input_variance=0.7, input_weight_variance=2.0, input_bias_variance=0.1)
    assert spec.input_squared_norm * 2.0 / 5 + 0.1 == pytest.approx(0.7, rel=1e-15)
    assert small(inputs=3).input_squared_norm == 3


# ---------------------------------------------------------------- gains


@pytest.mark.parametrize(
    ("spec", "gain"),
    [
        (small(weight_variance=3, outer_variance=5), 7.5),
        (small(weight_variance=3, block="single"), 1.5),
        (small(weight_variance=3, block="single", balanced=True), 1.5),
        (small(weight_variance=3, activation=LeakyReLU(0.5), block="single"), 3 * 1.25 / 2),
        (small(weight_variance=3, activation=Linear(), block="single"), 3),
        (small(weight_variance=3, outer_variance=2, activation=Linear()), 6),
    ],
)
def test_homogeneous_gains(spec, gain):
    assert spec.homogeneous
    assert spec.gain() == spec.gain(0.0) == pytest.approx(gain, rel=1e-15)
    np.testing.assert_allclose(spec.gain([0.1, 7.0]), gain, rtol=1e-15)
    assert spec.branch_variance(0.3) == pytest.approx(0.3 * gain, rel=1e-15)


def test_gains_that_depend_on_the_variance():
    erf = Erf()
    single = small(block="single", activation=erf, weight_variance=1.3, bias_variance=0.2)
    double = small(activation=erf, weight_variance=1.3, outer_variance=0.7, bias_variance=0.2)
    for k in (0.01, 0.6, 30.0):
        assert single.gain(k) == pytest.approx(float(1.3 * erf.second_moment(k) + 0.2) / k)
        inner = 0.7 * float(erf.second_moment(1.3 * k))
        assert double.gain(k) == pytest.approx((inner + 0.2) / k, rel=1e-14)
        for spec in (single, double):
            assert spec.gain(k) * k == pytest.approx(float(spec.branch_variance(k)), rel=1e-14)
    assert single.gain(0.0) == math.inf
    assert double.replace(bias_variance=0).gain(0.0) == pytest.approx(0.91, rel=1e-14)
    assert not single.homogeneous
    assert not small(bias_variance=0.1).homogeneous
    with pytest.raises(ValueError, match=r"variance must be at least 0, got -1"):
        single.gain(-1)


def branch(spec: ResNetSpec, h: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One explicit branch for every row of ``h``, each with its own weights."""
    networks, n = h.shape
    phi, root = spec.activation, math.sqrt(1 / n)
    matrix = spec.weight_law.sample(networks, (n, n), rng) * math.sqrt(spec.weight_variance) * root
    bias = rng.standard_normal((networks, n)) * math.sqrt(spec.bias_variance)
    signs = rng.choice([-1.0, 1.0], (networks, n)) if spec.balanced else 1.0
    if spec.block == "single":
        return np.einsum("bij,bj->bi", matrix, phi(signs * h)) + bias
    outer = spec.weight_law.sample(networks, (n, n), rng) * math.sqrt(spec.outer_variance) * root
    hidden = phi(signs * np.einsum("bij,bj->bi", matrix, h))
    return np.einsum("bij,bj->bi", outer, hidden) + bias


@pytest.mark.mc
@pytest.mark.parametrize(
    ("spec", "allowance"),
    [  # exact at every width for two-layer homogeneous blocks and for a normal stream otherwise
        (small(weight_variance=2, outer_variance=1.5, weight_law=IID("uniform")), 0.0),
        (small(weight_variance=2, balanced=True, activation=LeakyReLU(0.3)), 0.0),
        (small(block="single", weight_variance=1.2, bias_variance=0.3, activation=Erf()), 0.0),
        (small(weight_variance=1.2, outer_variance=1.4, activation=Tanh()), 0.02),
    ],
    ids=["relu uniform", "balanced leaky", "erf bias", "tanh two-layer"],
)
def test_gain_is_that_of_explicit_blocks(spec, allowance):
    rng, networks, n, k = np.random.default_rng(77), 4000, 40, 0.8
    h = math.sqrt(k) * rng.standard_normal((networks, n))
    powers = np.mean(branch(spec, h, rng) ** 2, axis=1)
    exact = float(spec.branch_variance(k))
    sem = float(np.std(powers)) / math.sqrt(networks)
    assert sem < 0.02 * exact  # a lost factor of 1.2 is 10 standard errors
    assert abs(float(np.mean(powers)) - exact) <= 4.5 * sem + allowance * exact


@pytest.mark.mc
@pytest.mark.parametrize("lost", ["weight_variance", "outer_variance", "bias_variance"])
def test_gain_check_rejects_a_lost_variance(monkeypatch, lost):
    spec = small(weight_variance=1.3, outer_variance=1.4, bias_variance=0.2, activation=Linear())
    test_gain_is_that_of_explicit_blocks(spec, 0.0)
    original = ResNetSpec.branch_variance
    value = 0.0 if lost == "bias_variance" else 1.0
    monkeypatch.setattr(
        ResNetSpec, "branch_variance", lambda s, k: original(s.replace(**{lost: value}), k)
    )
    with pytest.raises(AssertionError):
        test_gain_is_that_of_explicit_blocks(spec, 0.0)


# ---------------------------------------------------------------- stream, shares, effective depth


def test_erf_stream_variances():
    spec = ResNetSpec.field_theory(10, 200, 0.35, sigma_w2=1.2, sigma_b2=0.05, K0=0.1)
    k = spec.stream_variances()
    assert k.shape == (11,)
    assert k[[0, 5, 10]].round(5).tolist() == [0.1, 0.21583, 0.39125]
    g = Erf().second_moment(k[:-1])
    np.testing.assert_allclose(k[1:], k[:-1] + 0.35**2 * (0.05 + 1.2 * g), rtol=1e-14)
    np.testing.assert_allclose(spec.log_stream_variances(), np.log(k), atol=1e-14)
    # the share is the part of the variance that the block contributed
    np.testing.assert_allclose(spec.shares(), 1 - k[:-1] / k[1:], rtol=1e-13)
    assert spec.log_energy() == pytest.approx(math.log(k[10] / k[0]), rel=1e-14)
    # tanh goes through the same recursion with quadrature
    tanh = ResNetSpec.field_theory(3, 200, 0.35, activation="tanh").stream_variances()
    assert tanh[1] == pytest.approx(0.1 + 0.35**2 * float(Tanh().second_moment(0.1)), rel=1e-14)


def test_relu_stream_variances_with_bias():
    spec = ResNetSpec.field_theory(
        10, 200, 0.35, sigma_w2=1.5, sigma_b2=0.05, K0=0.3, activation="relu"
    )
    growth = (1 + 0.35**2 * 0.75) ** np.arange(11)
    exact = growth * 0.3 + 2 * 0.05 / 1.5 * (growth - 1)
    np.testing.assert_allclose(spec.stream_variances(), exact, rtol=1e-14)
    assert spec.stream_variances()[10].round(5) == 0.81641


@pytest.mark.parametrize(("depth", "gap"), [(8, 0.0683), (32, 0.0160), (128, 0.0039)])
def test_equal_shares_of_effective_depth_one(depth, gap):
    share = 1 / depth
    spec = ResNetSpec(
        depth=depth, width=8, scale=math.sqrt(share / (1 - share)), weight_variance=2.0
    )
    np.testing.assert_allclose(spec.shares(), share, rtol=1e-14)
    assert spec.effective_depth() == pytest.approx(1, rel=1e-14)
    assert round(spec.log_energy() - 1, 4) == gap
    assert spec.log_energy() == pytest.approx(-depth * math.log1p(-share), rel=1e-14)


def test_shares_follow_each_layer():
    spec = small(scale=[0, 0.5, 1, 2], skip=0.5, weight_variance=2.0)
    np.testing.assert_allclose(spec.shares(), [0, 0.5, 0.8, 4 / 4.25], rtol=1e-15)
    assert spec.effective_depth() == pytest.approx(float(np.sum(spec.shares())), rel=1e-15)
    assert spec.log_energy() == pytest.approx(-float(np.sum(np.log1p(-spec.shares()))), rel=1e-14)
    power = spec.stream_variances()[-1] / 0.5**8
    assert spec.log_energy() == pytest.approx(math.log(power), rel=1e-13)


@pytest.mark.parametrize("activation", [ReLU(), Erf()])
def test_without_skip_every_share_is_one(activation):
    spec = small(skip=0, scale=0.5, activation=activation)
    np.testing.assert_array_equal(spec.shares(), np.ones(4))
    assert spec.effective_depth() == 4
    assert spec.log_energy() == math.inf


def test_huge_growth_is_carried_in_logs():
    spec = ResNetSpec(depth=3000, width=4, scale=1.0, weight_variance=2.0)
    assert spec.log_stream_variances()[-1] == pytest.approx(3000 * math.log(2), rel=1e-13)
    with pytest.raises(OverflowError, match=r"at layer 1024 of 3000; use log_stream_variances"):
        spec.stream_variances()
    biased = spec.replace(bias_variance=0.5)
    assert biased.log_stream_variances()[-1] == pytest.approx(
        3000 * math.log(2) + math.log(1.5), rel=1e-13
    )
    erf = spec.replace(activation="erf", skip=1.5, bias_variance=0.1)
    assert np.all(np.isfinite(erf.log_stream_variances()))
    assert erf.shares()[-1] < 1e-300
    fading = ResNetSpec(depth=3000, width=4, skip=0.5, scale=0.1, activation="erf")
    limit = 0.25 + 0.01 * float(Erf().gain(0.0))
    slope = np.diff(fading.log_stream_variances())[-1]
    assert slope == pytest.approx(math.log(limit), rel=1e-12)
    with pytest.raises(OverflowError, match=r"leaves the range of float64"):
        fading.stream_variances()


@pytest.mark.mc
def test_log_energy_is_that_of_explicit_networks():
    spec = ResNetSpec(
        depth=5, width=30, skip=0.8, scale=[0.2, 0.4, 0.3, 0.1, 0.5], weight_variance=2
    )
    rng, networks = np.random.default_rng(3), 6000
    h = np.ones((networks, 30))
    for scale in spec.scales:
        h = spec.skip * h + scale * branch(spec, h, rng)
    ratio = np.mean(h**2, axis=1) / spec.skip ** (2 * spec.depth)
    sem = float(np.std(ratio)) / math.sqrt(networks)
    assert sem < 0.01 * np.mean(ratio)
    assert abs(float(np.mean(ratio)) - math.exp(spec.log_energy())) <= 4.5 * sem


@pytest.mark.mc
@pytest.mark.parametrize("defect", ["amplitude for share", "skip not squared", "lost layer"])
def test_log_energy_check_rejects_planted_defects(monkeypatch, defect):
    def wrong(spec: ResNetSpec) -> float:
        power = {
            "amplitude for share": spec.scales / spec.skip**2,
            "skip not squared": spec.scales**2 / spec.skip,
            "lost layer": spec.scales[1:] ** 2 / spec.skip**2,
        }[defect]
        return float(np.sum(np.log1p(power)))

    monkeypatch.setattr(ResNetSpec, "log_energy", wrong)
    with pytest.raises(AssertionError):
        test_log_energy_is_that_of_explicit_networks()


# ---------------------------------------------------------------- reduction by homogeneity


@pytest.mark.parametrize(
    "spec",
    [
        small(skip=0.7, scale=[0.1, 0.9, 0.4, 2.0], block="single", weight_variance=3.0),
        small(skip=0.0, scale=1.7, weight_variance=3.0, outer_variance=0.6),
        small(skip=1.4, scale=0.3, activation=LeakyReLU(0.2)),
    ],
    ids=["single by layer", "no skip", "leaky"],
)
def test_reduction_holds_for_every_network(spec):
    coefficients = spec.normalized_coefficients()
    assert isinstance(coefficients, NormalizedCoefficients)
    skip, scale, log_growth = coefficients
    np.testing.assert_allclose(skip**2 + scale**2, 1, rtol=1e-15)
    np.testing.assert_allclose(scale**2, spec.shares(), rtol=1e-14)
    assert log_growth == pytest.approx(float(np.diff(spec.log_stream_variances()).sum()), rel=1e-13)

    h = bar = np.random.default_rng(1).standard_normal((3, 8))
    root = math.sqrt(float(spec.gain()))
    for layer, s in enumerate(spec.scales):
        same = [np.random.default_rng(layer) for _ in range(2)]
        h = spec.skip * h + s * branch(spec, h, same[0])
        bar = skip[layer] * bar + scale[layer] * branch(spec, bar, same[1]) / root
    np.testing.assert_allclose(h, math.exp(log_growth / 2) * bar, rtol=1e-12, atol=1e-12)


def test_normalized_spec():
    spec = ResNetSpec.log_gaussian(6, 20, 1.0, 0.3)
    reduced = spec.normalized()
    assert reduced.skip**2 + reduced.scale**2 == pytest.approx(1, rel=1e-15)
    assert reduced.effective_depth() == pytest.approx(spec.effective_depth(), rel=1e-14)
    np.testing.assert_allclose(reduced.log_stream_variances(), 0, atol=1e-14)
    half = ResNetSpec.large_depth(6, 20, alpha=0.4).normalized()
    assert half.skip**2 + half.scale**2 / 2 == pytest.approx(1, rel=1e-15)


def test_reduction_needs_homogeneity_and_equal_scales():
    with pytest.raises(ValueError, match=r"normalized_coefficients\(\) needs 1-homogeneous blocks"):
        small(activation="erf").normalized_coefficients()
    with pytest.raises(
        ValueError, match=r"normalized\(\) needs 1-homogeneous.*bias_variance=0\.1;"
    ):
        small(bias_variance=0.1).normalized()
    with pytest.raises(ValueError, match=r"normalized\(\) needs one scale for all layers, got \(1"):
        small(scale=[1, 1, 1, 2]).normalized()


# ---------------------------------------------------------------- five notations


def test_one_network_in_five_notations():
    depth, n, s = 12, 64, 0.37
    specs = [
        ResNetSpec.residual_expansion(depth, s, width=n),
        ResNetSpec.large_depth(depth, n, alpha=math.sqrt(2) * s),  # gain 1/2
        ResNetSpec.field_theory(depth, n, s, sigma_w2=2.0, activation="relu"),
        ResNetSpec.log_gaussian(depth, n, 1.0, s),
        ResNetSpec.tangent_kernel(depth, n, alpha=s),
    ]
    share = s**2 / (1 + s**2)
    for spec in specs:
        assert (spec.depth, spec.width) == (depth, n)
        np.testing.assert_allclose(spec.shares(), share, rtol=1e-14)
        assert spec.log_energy() == pytest.approx(depth * math.log1p(s**2), rel=1e-13)
    assert [spec.block for spec in specs] == [
        "two-layer",
        "two-layer",
        "single",
        "single",
        "two-layer",
    ]


def test_residual_expansion_constructor():
    spec = ResNetSpec.residual_expansion(50, 0.2, width=16, sigma_w2=3, sigma_v2=0.5)
    p = 0.2**2 * 0.75 / (1 + 0.2**2 * 0.75)
    assert (spec.depth, spec.width) == (50, 16)  # its n is the depth
    assert spec.effective_depth() == pytest.approx(50 * p, rel=1e-14)
    assert ResNetSpec.residual_expansion(3, 0.2, width=4, activation="erf").activation == Erf(
        gain=1 / math.sqrt(2)
    )
    assert ResNetSpec.residual_expansion(3, (0.1, 0.2, 0.3), width=4).scale == (0.1, 0.2, 0.3)
    linear = ResNetSpec.residual_expansion(
        3, 0.2, width=4, activation="linear", block="single", sigma_w2=1.0
    )
    assert linear.gain() == 1


def test_large_depth_constructor():
    spec = ResNetSpec.large_depth(1000, 40, 0.5)
    assert spec.scale == pytest.approx(1000**-0.5, rel=1e-15)
    assert spec.weight_law == IID("uniform")
    assert (spec.inputs, spec.width, float(spec.gain())) == (64, 40, 0.5)
    assert spec.input_squared_norm == pytest.approx(64 / 3, rel=1e-14)
    # gain 1/2: exponent 1/2 is effective depth 1/2
    assert spec.effective_depth() == pytest.approx(0.5 / (1 + 0.0005), rel=1e-13)
    assert ResNetSpec.large_depth(8, 4, 1, block="single").scale == pytest.approx(1 / 8)
    for arguments in ({}, {"beta": 0.5, "alpha": 0.1}):
        with pytest.raises(
            ValueError, match=r"exactly one of beta and alpha must be given, got be"
        ):
            ResNetSpec.large_depth(8, 4, **arguments)
    with pytest.raises(ValueError, match=r"L must be a positive integer, got 0"):
        ResNetSpec.large_depth(0, 4, 0.5)
    with pytest.raises(ValueError, match=r"beta must be finite, got nan"):
        ResNetSpec.large_depth(8, 4, math.nan)


def test_field_theory_constructor():
    spec = ResNetSpec.field_theory(20, 100, 0.3, sigma_b2=0.05, K0=0.2, d=7, sigma_w_in2=0.1)
    assert spec.activation == Erf(gain=math.sqrt(math.pi) / 2)
    assert (spec.block, spec.readout, spec.skip, spec.scale) == ("single", "activation", 1.0, 0.3)
    assert spec.input_squared_norm == pytest.approx(7 * 0.2 / 0.1, rel=1e-14)
    shares = spec.shares()
    k = spec.stream_variances()
    np.testing.assert_allclose(shares, 1 - k[:-1] / k[1:], rtol=1e-12)


def test_log_gaussian_constructor():
    spec = ResNetSpec.log_gaussian(10, 100, math.sqrt(0.5), math.sqrt(0.5), balanced=True)
    assert (spec.depth, spec.width, spec.inputs, spec.outputs) == (10, 100, 10, 10)
    assert spec.balanced
    assert (spec.block, float(spec.gain())) == ("single", 1.0)
    np.testing.assert_allclose(spec.stream_variances(), 1, rtol=1e-14)
    assert ResNetSpec.log_gaussian(10, 100, 0, 1).effective_depth() == 10


def test_tangent_kernel_constructor():
    spec = ResNetSpec.tangent_kernel(100, 256, gamma=0.5, d=5)
    assert spec.scale == pytest.approx(0.1, rel=1e-15)
    assert spec.effective_depth() == pytest.approx(100 * 0.01 / 1.01, rel=1e-14)
    assert spec.input_squared_norm == pytest.approx(1, rel=1e-14)  # the unit sphere
    # E|h_0|^2 = |x|^2 and readout entries N(0, 1)
    assert spec.input_variance * spec.width == pytest.approx(1, rel=1e-15)
    assert spec.readout_variance / spec.width == 1
    with pytest.raises(ValueError, match=r"exactly one of gamma and alpha must be given"):
        ResNetSpec.tangent_kernel(100, 256)
    with pytest.raises(TypeError, match=r"m must be a positive integer, got 2\.5"):
        ResNetSpec.tangent_kernel(100, 2.5, alpha=1)


# ---------------------------------------------------------------- records


@pytest.mark.parametrize(
    "spec",
    [
        ResNetSpec.residual_expansion(3, (0.1, 0.2, 0.3), width=4, activation="erf"),
        ResNetSpec.large_depth(30, 4, 0.5),
        ResNetSpec.field_theory(3, 5, 0.1, activation="tanh", sigma_b2=0.3),
        ResNetSpec.log_gaussian(3, 5, 0.1, 0.7, balanced=True),
        ResNetSpec.tangent_kernel(3, 5, gamma=0.7),
        small(activation=LeakyReLU(0.3), weight_law=IID("rademacher"), scale=1 / 3),
    ],
)
def test_record_survives_json(spec):
    again = ResNetSpec.from_dict(json.loads(json.dumps(spec.to_dict(), allow_nan=False)))
    assert again == spec
    assert again.to_dict() == spec.to_dict()


def test_bad_records():
    with pytest.raises(ValueError, match=r"unknown key 'heads'; it was written by another version"):
        ResNetSpec.from_dict(small().to_dict() | {"heads": 2})
    with pytest.raises(ValueError, match=r"'mine' is a Custom one and cannot be written to JSON"):
        small(activation=Custom(np.sin, name="mine")).to_dict()
    with pytest.raises(ValueError, match=r"kind of weight law must be one of"):
        ResNetSpec.from_dict(small().to_dict() | {"weight_law": {"kind": "other"}})
    assert ResNetSpec.from_dict({"depth": 2, "width": 3}) == ResNetSpec(depth=2, width=3)


def test_describe():
    text = ResNetSpec.log_gaussian(10, 100, 1, 0.5, balanced=True).describe()
    assert text == (
        "balanced single relu ResNet, depth 10, width 100, skip 1, scale 0.5, effective depth 2"
    )
    assert "scale 0.1..0.4 by layer" in small(scale=[0.1, 0.2, 0.3, 0.4]).describe()
