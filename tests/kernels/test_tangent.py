"""The recursion of the tangent kernel: high precision, closed forms, another library."""

from __future__ import annotations

import json
import math
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

from companion.architecture import ResNetSpec
from companion.kernels import rows, tangent
from companion.weights import FractionalNoise

ENDS = [0.0, 1e-9, 1e-6, 1e-3, math.pi - 1e-3, math.pi - 1e-6, math.pi - 1e-9, math.pi]
# Both sides of the angles where the algorithm changes its formulas, 0.15 and 2.
ANGLES = [*ENDS, 0.05, 0.1499, 0.1501, 0.5, 1.0, math.pi / 2, 1.999, 2.001, 2.5, 3.0]
NETWORKS = [(1, 1.0), (2, 1e-8), (2, 1.0), (5, 1e3), (200, 1.0), (300, 0.1), (400, 0.002)]
PEER = Path(__file__).parent / "neural_tangents.json"


def network(depth: int, scale: float = 1.0) -> ResNetSpec:
    return ResNetSpec.tangent_kernel(depth, 1, alpha=scale)


def high_precision(theta: float, scales: list[float]) -> tuple[float, float, float]:
    """Kernel, NNGP and ``B_1`` from the unnormalised recursion, forward then backward."""
    with mp.workdps(40):
        theta, squares = mp.mpf(theta), [mp.mpf(float(s)) ** 2 for s in scales]
        k, q, layers = mp.cos(theta), mp.mpf(1), []
        for square in squares:
            angle = mp.acos(k / q)
            zero = 1 - angle / mp.pi
            one = mp.cos(angle) + (mp.sin(angle) - angle * mp.cos(angle)) / mp.pi
            layers.append((square, q * one + k * zero, 1 + square * zero, 2 * q))
            k, q = k + square * q * one, q * (1 + square)
        b, kernel, diagonal, top = mp.mpf(1), mp.mpf(0), mp.mpf(0), mp.mpf(1)
        for square, term, step, own in reversed(layers):
            kernel, b = kernel + square * b * term, b * step
            diagonal, top = diagonal + square * top * own, top * (1 + square)
        return float(kernel / diagonal), float(k / q), float(b / q)


@pytest.mark.parametrize(("depth", "scale"), NETWORKS)
def test_the_recursion_has_thirteen_digits(depth, scale):
    spec = network(depth, scale)
    expected = np.array([high_precision(theta, [scale] * depth) for theta in ANGLES])
    parts = tangent.tangent_parts(spec, ANGLES)
    kernel = tangent.normalized_kernel(spec, ANGLES)
    assert np.abs(kernel - expected[:, 0]).max() < 1e-13
    assert np.abs(parts.readout - expected[:, 1]).max() < 1e-13
    assert np.abs(parts.transport - expected[:, 2]).max() < 1e-13
    assert kernel[0] == 1.0


def test_relative_accuracy_holds_next_to_the_diagonal():
    # The plain recursion in the cosine has lost half of the digits of 1 - r here.
    spec, theta = network(200), 1e-6
    with mp.workdps(40):
        slope = (1 + mp.mpf(199) / 2) / (2 * mp.pi)
    assert (1 - tangent.normalized_kernel(spec, theta)) / theta == pytest.approx(slope, rel=1e-4)
    expected = high_precision(theta, [1.0] * 200)[0]
    assert tangent.normalized_kernel(spec, theta) == pytest.approx(expected, abs=2e-15)


def test_the_diagonal_is_one_at_great_depth():
    for scale in (1.0, 0.1, 1e-3):
        assert tangent.normalized_kernel(network(10_000, scale), 0.0) == 1.0


def test_scales_may_differ_by_layer():
    scales = [0.0, 0.3, 2.0, 0.0, 0.7, 1e-4]
    spec = network(6).replace(scale=tuple(scales))
    expected = [high_precision(theta, scales)[0] for theta in ANGLES]
    assert np.abs(tangent.normalized_kernel(spec, ANGLES) - expected).max() < 1e-14
    reversed_spec = network(6).replace(scale=tuple(scales[::-1]))
    assert np.abs(tangent.normalized_kernel(reversed_spec, 1.0) - expected[12]) > 1e-3


def test_the_series_meets_the_closed_form_of_the_excess():
    half = np.array([0.07499, 0.07501])
    out = np.sin(half) * np.cos(half) - half * np.cos(2 * half)
    exact = out.copy()
    tangent._series_below(half, out)
    assert out[0] != exact[0]
    assert out[1] == exact[1]
    assert out == pytest.approx(exact, rel=2e-13)
    tangent._series_below(half[:1] * 0.99, out[:1])
    with mp.workdps(30):
        theta = 2 * mp.mpf(float(half[0] * 0.99))
        expected = float((mp.sin(theta) - theta * mp.cos(theta)) / 2)
    assert out[0] == pytest.approx(expected, rel=1e-15)


def test_order_and_shape_of_the_angles_do_not_matter():
    spec, theta = network(50, 0.4), np.random.default_rng(1).uniform(0, math.pi, (3, 5, 700))
    together = tangent.normalized_kernel(spec, theta)
    assert together.shape == theta.shape
    one_by_one = [float(tangent.normalized_kernel(spec, t)) for t in theta[1, 2, :20]]
    assert together[1, 2, :20] == pytest.approx(one_by_one, abs=1e-15)
    assert tangent.normalized_kernel(spec, []).shape == (0,)


def test_no_depth_overflows():
    spec = network(5000)  # 2**5000 is outside float64
    assert 0.25 < tangent.normalized_kernel(spec, 1.0) < 0.26
    expected = math.log(5000) + 5000 * math.log(2)  # 2 T = 5000
    assert tangent.log_amplitude(spec) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("width", [1, 7, 500])
def test_the_amplitude_has_the_books_normalisation(width):
    depth, scale = 10, 10**-0.5
    spec = ResNetSpec.tangent_kernel(depth, width, alpha=scale, d=4)
    expected = 2 * depth * scale**2 * (1 + scale**2) ** (depth - 1)
    assert math.exp(tangent.log_amplitude(spec)) == pytest.approx(expected, rel=1e-12)
    parts = tangent.tangent_parts(spec, [0.0, 1.0])
    unit = math.exp(parts.log_scale)
    assert unit * parts.blocks[0] == pytest.approx(expected, rel=1e-12)
    assert unit == pytest.approx((1 + scale**2) ** depth, rel=1e-12)


def test_skip_and_variances_enter_through_the_shares_and_the_amplitude():
    base = ResNetSpec.tangent_kernel(8, 5, alpha=0.5)
    other = base.replace(skip=2.0, weight_variance=4.0, outer_variance=0.5, readout_variance=3.0)
    same = network(8, 0.25)  # s^2 c / a^2 = 0.25 * 1 / 4
    theta = np.linspace(0, math.pi, 9)
    assert tangent.normalized_kernel(other, theta) == pytest.approx(
        tangent.normalized_kernel(same, theta), abs=1e-14
    )
    gap = tangent.log_amplitude(other) - tangent.log_amplitude(same)
    assert gap == pytest.approx(math.log(3 / 5) + 8 * math.log(4), rel=1e-12)


def test_homogeneity_of_the_gram_matrix():
    spec, rng = network(30, 0.5), np.random.default_rng(2)
    x, y = rng.standard_normal((7, 4)), rng.standard_normal((5, 4))
    x[3] = 0.0
    gram = tangent.direct_gram(spec, x, y)
    scaled = tangent.direct_gram(spec, 2.0 * x, 0.25 * y)
    assert np.array_equal(scaled, 0.5 * gram), "powers of two are exact"
    assert np.all(gram[3] == 0)
    unit = tangent.normalized_kernel(spec, rows.pair_angles(x, y))
    product = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(y, axis=1)
    assert gram == pytest.approx(unit * product, rel=1e-13)
    own = tangent.direct_gram(spec, x)
    assert np.diagonal(own) == pytest.approx(np.sum(x**2, axis=1), rel=1e-15)


def test_angles_of_near_duplicates_keep_their_digits():
    theta = np.array([1e-12, 1e-9, 1e-5, 1e-2, 1.0, 3.0, math.pi - 1e-5, math.pi - 1e-9])
    x = np.array([[0.6, 0.8, 0.0]])
    y = np.cos(theta)[:, None] * x + np.sin(theta)[:, None] * np.array([[0.8, -0.6, 0.0]])
    assert rows.pair_angles(x, y)[0] == pytest.approx(theta, abs=5e-16, rel=1e-14 / 5e-3)
    plain = np.arccos(np.clip(x @ y.T, -1, 1))[0]
    assert abs(plain[1] - theta[1]) > 1e-10, "the plain inverse cosine is the defect"
    angles = rows.pair_angles(np.vstack([y, 1e200 * y[4], 1e-200 * y[4], 0 * y[4]]))
    assert np.all(np.diagonal(angles)[:-1] == 0)
    assert angles[4, 8] < 1e-15
    assert angles[4, 9] < 1e-15
    assert np.all(angles[10] == math.pi / 2)
    assert rows.pair_angles(x, -x) == pytest.approx(math.pi, abs=1e-15)


@pytest.fixture(scope="module")
def peer():
    return json.loads(PEER.read_text(encoding="utf-8"))


def worst_gap_to_peer(peer) -> tuple[float, float]:
    """Largest relative gaps of both kernels; the peer trains input map and readout too."""
    worst = [0.0, 0.0]
    for case in peer["cases"]:
        parts = tangent.tangent_parts(network(case["depth"], case["scale"]), peer["angles"])
        unit = math.exp(parts.log_scale)
        ours = (parts.blocks + parts.readout + parts.embedding) * unit, parts.readout * unit
        for i, name in enumerate(("tangent", "outputs")):
            theirs = np.array(case[name])
            worst[i] = max(worst[i], float(np.abs(ours[i] / theirs[0] - theirs / theirs[0]).max()))
    return worst[0], worst[1]


def test_another_library_agrees(peer):
    assert len(peer["cases"]) >= 4
    tangent_gap, output_gap = worst_gap_to_peer(peer)
    assert tangent_gap < 1e-6
    assert output_gap < 1e-12


@pytest.mark.parametrize("defect", ["no input layer", "one matrix", "transport off by one"])
def test_the_comparison_with_the_library_can_fail(peer, monkeypatch, defect):
    right = tangent.tangent_parts

    def wrong(spec, theta):
        found = right(spec, theta)
        changes = {
            "no input layer": {"embedding": 0 * found.embedding},
            "one matrix": {"blocks": found.blocks / 2},
            "transport off by one": {"blocks": found.blocks * found.transport**0.01},
        }[defect]
        return tangent.TangentParts(**{**found.__dict__, **changes})

    monkeypatch.setattr(tangent, "tangent_parts", wrong)
    assert worst_gap_to_peer(peer)[0] > 1e-4


@pytest.mark.parametrize(
    "change",
    [
        {"block": "single"},
        {"activation": "erf"},
        {"bias_variance": 0.1},
        {"readout_bias_variance": 0.1},
        {"readout": "activation"},
        {"weight_law": FractionalNoise(0.8)},
    ],
)
def test_other_networks_are_refused(change):
    with pytest.raises(ValueError, match=r"two-layer ReLU blocks.*use ResNetSpec.tangent_kernel"):
        tangent.block_shares(network(3).replace(**change))


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"scale must be positive in some layer, got 0.0"):
        tangent.block_shares(network(3, 0.0))
    for bad in (-1e-3, 3.15):
        with pytest.raises(ValueError, match=r"theta must lie in \[0, pi\]"):
            tangent.normalized_kernel(network(3), [0.5, bad])
    with pytest.raises(ValueError, match=r"y must be a matrix .* 3 columns like x, got shape"):
        tangent.direct_gram(network(3), np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"x must be a matrix .* reshape"):
        tangent.direct_gram(network(3), np.ones(3))
