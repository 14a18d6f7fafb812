"""Responses against closed forms, differences of the kernel recursion and high precision."""

from __future__ import annotations

import math
import time

import mpmath as mp
import numpy as np
import pytest

from companion import kernels
from companion.activations import Custom, Erf, LeakyReLU, Linear, Tanh
from companion.architecture import ResNetSpec
from companion.response import (
    diagonal_response,
    gram_response,
    jacobian_response,
    pair_response,
    propagation,
)
from tests import defects

field_theory = ResNetSpec.field_theory
ERF = field_theory(20, 400, 0.25, sigma_w2=1.2, sigma_b2=0.05)
RELU = field_theory(15, 400, 0.3, sigma_w2=1.5, sigma_b2=0.05, K0=0.3, activation="relu")


def test_reference_pair_of_erf():
    found = pair_response(ERF, 0.1, 0.1, 0.05).output
    assert found[0, 0] == pytest.approx(0.94570, abs=5e-6)
    assert found[2, 2] == pytest.approx(1.8907, abs=5e-5)
    assert found[2, 0] == pytest.approx(-0.3112, abs=5e-5)
    # what a change of one input's norm does to the kernel of the pair, at correlation 1/2
    assert found[2, 0] + 0.5 / 2 * found[2, 2] == pytest.approx(0.1615, abs=5e-5)


def test_reference_pair_of_relu():
    found = pair_response(RELU, 0.3, 0.3, 0.12).output
    assert found[0, 0] == pytest.approx(1.3320, abs=5e-5)
    assert found[2, 2] == pytest.approx(0.6702, abs=5e-5)


def test_relu_in_closed_form():
    exact = math.log(0.5) + 15 * math.log1p(0.3**2 * 1.5 / 2)
    assert diagonal_response(RELU).log_output == pytest.approx(exact, rel=1e-13)
    deep = field_theory(5000, 10, 2.0, sigma_w2=2.0, activation="relu")
    exact = math.log(0.5) + 5000 * math.log(5)
    assert diagonal_response(deep).log_output == pytest.approx(exact, rel=1e-13)


def test_relu_grows_with_the_scale_and_so_does_the_jacobian_of_erf():
    scales = np.exp(np.linspace(-4, 2, 60))
    relu = [diagonal_response(RELU.replace(scale=s)).log_output for s in scales]
    assert np.all(np.diff(relu) > 0)
    for depth in (5, 20, 100):
        for bias in (0.0, 0.05, 0.5):
            spec = field_theory(depth, 10, 1.0, sigma_b2=bias)
            erf = [jacobian_response(spec.replace(scale=s)).log_output for s in scales]
            assert np.all(np.diff(erf) > 0)


def test_diagonal_response_in_high_precision():
    mp.mp.dps = 40
    half, r, w, b = mp.pi / 2, mp.mpf(0.25) ** 2, mp.mpf(1.2), mp.mpf(0.05)

    def g(k):
        return 2 / mp.pi * mp.asin(half * k / (1 + half * k))

    def climb(k, readout=True):
        for _ in range(20):
            k += r * (b + w * g(k))
        return g(k) if readout else k

    found = diagonal_response(ERF)
    exact = mp.log(mp.diff(climb, mp.mpf(0.1)))
    assert float(found.log_output) == pytest.approx(float(exact), abs=1e-13)
    stream = mp.log(mp.diff(lambda k: climb(k, False), mp.mpf(0.1)))
    assert found.log_stream[-1] == pytest.approx(float(stream), rel=1e-13)


NETWORKS = {
    "erf": ERF,
    "steep erf": ERF.replace(activation=Erf(3.0), depth=6),
    "tanh": ERF.replace(activation=Tanh(), depth=4),
    "custom": ERF.replace(activation=Custom(np.tanh), depth=3),
    "relu": RELU,
    "leaky": RELU.replace(activation=LeakyReLU(0.3), skip=0.9, scale=1.3),
    "linear": RELU.replace(activation=Linear()),
    "scales": ERF.replace(scale=tuple(np.linspace(0, 1, 20)), skip=0.8, readout_variance=2.5),
    "two-layer": ERF.replace(block="two-layer", weight_variance=0.7, outer_variance=1.9),
    "linear readout": ERF.replace(readout="linear", readout_variance=1.7),
}


def check_jacobian(spec: ResNetSpec):
    """All nine responses of a pair by differences of the kernel itself."""
    start = np.array([0.21, 0.34, -0.12])

    def outputs(state: np.ndarray) -> np.ndarray:
        p1, p2, q = state
        stream = kernels.stream_kernels(spec, [[p1, q], [q, p2]])
        k = kernels.output_kernel(spec, stream)[0]
        return np.array([k[0, 0], k[1, 1], k[0, 1]])

    step = 1e-3
    columns = []
    for e in step * np.eye(3):
        near = outputs(start + e) - outputs(start - e)
        far = outputs(start + 2 * e) - outputs(start - 2 * e)
        columns.append((8 * near - far) / (12 * step))
    found = pair_response(spec, *start).output
    np.testing.assert_allclose(found, np.transpose(columns), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("case", NETWORKS)
def test_jacobian_by_differences(case):
    check_jacobian(NETWORKS[case])


def one_block_less(patch):
    """Forget the response of the first block."""
    true = propagation._log_factor
    seen = []

    def wrong(spec, square, slope):
        seen.append(0)
        return 0 * true(spec, square, slope) if len(seen) == 1 else true(spec, square, slope)

    patch.setattr(propagation, "_log_factor", wrong)


def no_curvature(patch):
    """Leave the term of the second derivative of the activation out."""
    patch.setattr(kernels.Branch, "slope", kernels.Branch.squared_slope)


@pytest.mark.parametrize("defect", [one_block_less, no_curvature])
@pytest.mark.parametrize("case", ["erf", "two-layer", "linear readout"])
def test_jacobian_rejects(case, defect):
    defects.must_reject(defect, check_jacobian, NETWORKS[case])


def test_shapes_broadcast_and_agree_with_single_calls():
    p1, q = np.array([[0.1], [0.3]]), np.array([0.05, -0.02, 0.01])
    found = pair_response(ERF, p1, 0.2, q)
    assert found.output.shape == (2, 3, 3, 3)
    assert found.mixed_first.shape == (22, 2, 3)
    alone = pair_response(ERF, 0.3, 0.2, -0.02)
    np.testing.assert_allclose(found.output[1, 1], alone.output, rtol=1e-14)
    np.testing.assert_allclose(
        found.cross.log_stream[:, 1, 1], alone.cross.log_stream, rtol=1e-13, atol=1e-15
    )
    own = diagonal_response(ERF, [0.1, 0.3])
    np.testing.assert_array_equal(found.first.log_output[:, 0], own.log_output)


def test_every_layer_is_the_end_of_a_shorter_network():
    found = pair_response(ERF, 0.1, 0.2, 0.05)
    short = pair_response(ERF.replace(depth=7), 0.1, 0.2, 0.05)
    for one, other in ((found.cross, short.cross), (found.first, short.first)):
        np.testing.assert_allclose(one.log_stream[:8], other.log_stream, rtol=1e-14)
    np.testing.assert_allclose(found.mixed_first[:8], short.mixed_first[:8], rtol=1e-14)


def test_equal_inputs_respond_like_the_squared_jacobian():
    # at the kink of ReLU the angle of a pair is the root of the rounding of its cosine
    for spec, accuracy in (
        (ERF, 1e-12),
        (ERF.replace(activation=Tanh(), depth=3), 1e-11),
        (RELU, 1e-7),
    ):
        same = float(pair_response(spec, 0.2, 0.2, 0.2).cross.log_output)
        exact = float(jacobian_response(spec, 0.2).log_output)
        assert same == pytest.approx(exact, abs=accuracy)
    assert jacobian_response(ERF).log_output > diagonal_response(ERF).log_output


def test_a_scaling_of_both_inputs_moves_all_kernels_alike():
    """With equal inputs the kernel of the pair is the variance of each, so responses add up."""
    jacobian = pair_response(ERF, 0.1, 0.1, 0.1).output
    assert jacobian[2].sum() == pytest.approx(jacobian[0, 0], rel=1e-12)


def test_gram_response_is_the_pairs(monkeypatch):
    x = np.random.default_rng(0).standard_normal((6, 12))
    gram = 0.2 * x @ x.T / 12
    monkeypatch.setattr(propagation, "PAIRS_PER_BLOCK", 4)
    for spec in (ERF, RELU):
        found = gram_response(spec, gram)
        np.testing.assert_array_equal(found, found.T)
        assert found[1, 4] == pytest.approx(
            float(pair_response(spec, gram[1, 1], gram[4, 4], gram[1, 4]).cross.log_output),
            rel=1e-13,
        )
        assert found[2, 2] == diagonal_response(spec, gram[2, 2]).log_output


def test_a_thousand_layers_of_two_hundred_inputs_take_two_seconds():
    x = np.random.default_rng(3).standard_normal((200, 30))
    spec, gram = field_theory(1000, 10, 0.05, sigma_b2=0.05), 0.1 * x @ x.T / 30

    def seconds() -> float:
        start = time.process_time()
        kernels.stream_kernels(spec, gram)
        gram_response(spec, gram)
        return time.process_time() - start

    assert min(seconds() for _ in range(2)) < 2


def test_a_falling_response_is_refused():
    spec = ERF.replace(activation=Custom(lambda x: x * np.exp(-(x**2)), strip=0.5), depth=2)
    with pytest.raises(ValueError, match="must not be negative"):
        diagonal_response(spec, 5.0)
    with pytest.raises(ValueError, match=r"\|q\| <= sqrt"):
        pair_response(ERF, 0.1, 0.1, 0.2)
