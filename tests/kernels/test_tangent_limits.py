"""Limits of the tangent kernel: closed forms, two independent solutions, rates and constants."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest

from companion.architecture import ResNetSpec
from companion.kernels import flow, tangent, tangent_limits

FIVE = np.array([0.1, 0.5, 1.0, 2.0, 3.0])
ENDS = [0.0, 1e-8, 1e-4, 1e-2, 3.1415, math.pi - 1e-6, math.pi]


def of_share(depth: int, share: float) -> ResNetSpec:
    return ResNetSpec.tangent_kernel(depth, 1, alpha=math.sqrt(share / (1 - share)))


def of_exponent(depth: int, exponent: float) -> ResNetSpec:
    return ResNetSpec.tangent_kernel(depth, 1, gamma=exponent)


def kernel(spec: ResNetSpec, theta) -> np.ndarray:
    return tangent.normalized_kernel(spec, theta)


# The flow


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (1.0, [0.96404, 0.76142, 0.46632, 0.06621, -0.02131]),
        (10.0, [0.84826, 0.51581, 0.35036, 0.24388, 0.22129]),
    ],
)
def test_values_of_the_flow(depth, expected):
    found = tangent_limits.flow_kernel(FIVE, depth)
    assert found == pytest.approx(expected, abs=1.01e-5)


@pytest.mark.parametrize("depth", [1e-6, 1e-3, 0.1, 1.0, 10.0, 100.0, 1e4])
def test_quadrature_and_integration_agree(depth):
    theta = np.concatenate([ENDS, FIVE])
    by_quadrature = tangent_limits.flow_kernel(theta, depth)
    by_steps = tangent_limits.flow_kernel_ode(theta, depth, tolerance=1e-13)
    assert np.abs(by_quadrature - by_steps).max() < 4e-12
    assert np.abs(by_quadrature[7:] - by_steps[7:]).max() < 4e-13
    assert by_quadrature[0] == 1.0


@pytest.mark.parametrize(("theta", "depth"), [(1.0, 1e-6), (math.pi, 1.0), (3.0, 10.0), (0.5, 300)])
def test_the_quotient_in_high_precision(theta, depth):
    with mp.workdps(30):
        start = mp.pi if theta == math.pi else mp.mpf(theta)

        def g(p):
            return mp.sin(p) - p * mp.cos(p)

        def gap(end):
            return mp.pi * mp.quad(lambda p: mp.sin(p) / g(p), [end, start]) - depth

        guess = mp.mpf(float(tangent_limits.flow_angle(theta, depth)))
        end = mp.findroot(gap, (guess * (1 - mp.mpf(10) ** -9), guess))
        integral = mp.quad(
            lambda p: (mp.sin(p) + 2 * (mp.pi - p) * mp.cos(p)) * mp.sin(p) / g(p) ** 2,
            [end, mp.sqrt(end * start), start],
        )
        expected = float(g(end) / (2 * depth) * integral)
    assert tangent_limits.flow_kernel(theta, depth) == pytest.approx(expected, abs=1e-13)
    assert tangent_limits.flow_angle(theta, depth) == pytest.approx(float(end), rel=1e-12)


def test_the_flow_of_angles_composes():
    theta = np.array([*FIVE, math.pi])
    halfway = tangent_limits.flow_angle(theta, 1.5)
    whole = tangent_limits.flow_angle(theta, 4.0)
    assert tangent_limits.flow_angle(halfway, 2.5) == pytest.approx(whole, rel=1e-13)
    times = tangent_limits.flow_time(theta) - tangent_limits.flow_time(whole)
    assert times == pytest.approx(4.0, rel=1e-12)
    assert np.array_equal(tangent_limits.flow_angle(theta, 0.0), theta)
    assert tangent_limits.flow_angle(0.0, 3.0) == 0.0


def test_small_effective_depth_joins_the_two_layer_kernel():
    two = tangent_limits.two_layer_kernel(FIVE)
    assert np.array_equal(tangent_limits.flow_kernel(FIVE, 0.0), two)
    for depth in (1e-3, 1e-5):
        slope = (tangent_limits.flow_kernel(FIVE, depth) - two) / depth
        assert slope == pytest.approx(tangent_limits.two_layer_correction(FIVE), abs=60 * depth)


@pytest.mark.parametrize(
    ("depth", "errors"),
    [
        (1.0, {100: 4.8e-4, 1000: 4.7e-5, 10_000: 4.7e-6}),
        (10.0, {100: 3.9e-3, 1000: 3.8e-4, 10_000: 3.8e-5}),
        (100.0, {1000: 1.1e-3, 10_000: 1.1e-4}),
    ],
)
def test_the_error_of_the_flow_falls_like_one_over_depth(depth, errors):
    limit = tangent_limits.flow_kernel(FIVE, depth)
    for layers, error in errors.items():
        found = np.abs(kernel(of_share(layers, depth / layers), FIVE) - limit).max()
        assert found == pytest.approx(error, rel=0.04)


def test_the_sum_of_shares_is_the_clock():
    # Against the sum of squared scales, or of log growths, as candidates.
    for depth in (10.0, 100.0):
        spec = of_share(1000, depth / 1000)
        square = float(spec.scales[0] ** 2)
        clocks = (depth, 1000 * math.log1p(square), 1000 * square)
        gaps = [
            np.abs(kernel(spec, FIVE) - tangent_limits.flow_kernel(FIVE, t)).max() for t in clocks
        ]
        assert gaps[0] < gaps[1] < gaps[2]
        assert gaps[2] > 2 * gaps[0]


def test_the_schedule_of_small_shares_does_not_matter():
    layers = np.arange(1, 2001)
    rising = np.sqrt(2 * layers / layers.sum())
    early = np.where(layers <= 200, 0.1, 0.0)
    for scales, bound in ((rising, 5.5e-5), (early, 4.2e-4)):
        spec = of_share(2000, 0.5).replace(scale=tuple(scales))
        depth = spec.effective_depth()
        assert depth == pytest.approx(2.0, rel=0.02)
        gap = np.abs(kernel(spec, FIVE) - tangent_limits.flow_kernel(FIVE, depth)).max()
        assert gap < bound
    large = of_share(2000, 0.5).replace(scale=tuple(layers**-0.5))
    assert large.effective_depth() == pytest.approx(7.18, abs=0.005)
    gap = np.abs(kernel(large, FIVE) - tangent_limits.flow_kernel(FIVE, 7.18)).max()
    assert 2e-3 < gap < 1.2e-2, "a first share of one half is not small"


# Degeneration


def test_the_off_diagonal_limit_is_a_quarter():
    for depth in (1e4, 1e6):
        gap = tangent_limits.flow_kernel(FIVE, depth) - tangent_limits.DEGENERATE_VALUE
        assert np.all((gap > 0) & (gap < 25 / depth))
    assert float(kernel(of_share(1000, 0.5), 1.0)) == pytest.approx(0.25531, abs=5e-6)


def test_angles_fall_like_three_pi_over_time():
    shares = np.full(10_000, 0.5)
    angles = tangent.recursion(shares, np.array([0.5, 2.0, 3.0])).angle
    scaled = angles * 5000 / (3 * math.pi)
    assert scaled == pytest.approx([0.9953, 0.9978, 0.9979], abs=6e-5)


def test_the_offset_of_the_degenerate_limit():
    theta = np.array([0.1, 0.5, 1.0, math.pi / 2, 2.0, math.pi])
    expected = [23.0777, 4.29112, 2.01481, 1.25296, 1.00571, 0.80884]
    assert tangent_limits.degeneration_offset(theta) == pytest.approx(
        expected, abs=5.1e-6, rel=2e-6
    )
    for angle, values, limit in (
        (1.0, (1.802, 1.991, 2.012), 2.01481),
        (3.0, (0.590, 0.787, 0.809), 0.8114),
    ):
        found = [t * (tangent_limits.flow_kernel(angle, t) - 0.25) for t in (1e2, 1e3, 1e4)]
        assert found == pytest.approx(values, abs=6e-4)
        assert tangent_limits.degeneration_offset(angle) == pytest.approx(limit, abs=6e-5)
    assert tangent_limits.degeneration_offset(0.0) == math.inf


@pytest.mark.parametrize("theta", [0.3, 0.99, 1.01, 2.0, math.pi])
def test_the_time_coordinate_in_high_precision(theta):
    with mp.workdps(30):
        end = mp.pi if theta == math.pi else mp.mpf(theta)
        integral = mp.quad(
            lambda p: mp.sin(p) / (mp.sin(p) - p * mp.cos(p)) - 3 / p**2, [mp.mpf(10) ** -8, end]
        )
        expected = float(mp.pi * (integral - mp.mpf(10) ** -8 / 5) - 3 * mp.pi / end)
    assert tangent_limits.flow_time(theta) == pytest.approx(expected, rel=1e-13)


def test_the_logarithm_of_depth_at_constant_scale():
    one = [tangent_limits.degenerate_gap(of_share(n, 0.5), 1.0) for n in (1000, 4000, 16_000)]
    assert one == pytest.approx([2.7192, 2.7828, 2.7991], abs=6e-5)
    half = [
        tangent_limits.degenerate_gap(ResNetSpec.tangent_kernel(n, 1, alpha=0.5), 2.0)
        for n in (1000, 4000, 16_000)
    ]
    assert half == pytest.approx([3.112, 3.529, 3.639], abs=6e-4)
    # With another coefficient of the logarithm the sequence would not settle.
    assert abs(one[2] - one[1]) < 0.02 < 0.05 * math.log(4)
    assert pytest.approx(3 / 8) == tangent_limits.LOG_COEFFICIENT


def test_the_logarithm_is_one_of_the_effective_depth():
    # C = a/lambda + 3/8 ln lambda + O(1), the O(1) about -0.97 at angle 1; what the flow itself
    # lacks at this T is left out on both sides.
    for share in (0.2, 0.05):
        total = 8000 * share
        gap = kernel(of_share(8000, share), 1.0) - tangent_limits.flow_kernel(1.0, total)
        assert 8000 * gap - 0.375 * math.log(total) == pytest.approx(-0.97, abs=0.012)
        assert abs(8000 * gap - 0.375 * math.log(8000) + 0.97) > 0.5


@pytest.mark.parametrize(("exponent", "slope"), [(0.1, -0.822), (0.25, -0.487)])
def test_slow_decay_degenerates_at_its_own_rate(exponent, slope):
    gaps = [kernel(of_exponent(n, exponent), 0.5) - 0.25 for n in (8000, 64_000)]
    assert math.log(gaps[1] / gaps[0]) / math.log(8) == pytest.approx(slope, abs=6e-4)


def test_the_peak_at_the_diagonal():
    x = np.array([0.01, 0.1, 1.0, 5.0, 20.0])
    profile = tangent_limits.peak_profile(x)
    assert profile == pytest.approx([0.985246, 0.871713, 0.468750, 0.299769, 0.262499], abs=6e-7)
    plain = ((1 + x) ** 4 - 1) / (4 * x * (1 + x) ** 3)
    assert profile == pytest.approx(plain, rel=1e-13)
    theta = x * tangent_limits.peak_width(5000.0)
    found = kernel(of_share(10_000, 0.5), theta)
    assert found == pytest.approx([0.985245, 0.871698, 0.468684, 0.299724, 0.262501], abs=6e-7)
    assert tangent_limits.peak_profile([0.0, 1.0]).tolist() == [1.0, 15 / 32]
    far = tangent_limits.peak_profile(1e6)
    assert (far - 0.25) * 4e6 == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize(
    ("depth", "scale", "two_pi_slope"),
    [(7, 0.8, None), (300, 0.3, None), (1, 1.0, 1.0)],
)
def test_the_slope_at_the_diagonal(depth, scale, two_pi_slope):
    spec = ResNetSpec.tangent_kernel(depth, 1, alpha=scale)
    slope = tangent_limits.diagonal_slope(spec)
    share = scale**2 / (1 + scale**2)
    assert slope == pytest.approx((1 + share * (depth - 1)) / (2 * math.pi), rel=1e-14)
    if two_pi_slope:
        assert slope * 2 * math.pi == two_pi_slope
    step = 1e-6
    assert (1 - kernel(spec, step)) / step == pytest.approx(slope, rel=(1 + slope) * 10 * step)


def test_slopes_of_a_schedule():
    spec = of_share(6, 0.5).replace(scale=(0.0, 0.3, 2.0, 0.0, 0.7, 0.1))
    step = 1e-6
    slope = tangent_limits.diagonal_slope(spec)
    assert (1 - kernel(spec, step)) / step == pytest.approx(slope, rel=1e-5)
    slope = tangent_limits.antipode_slope(spec)
    found = (kernel(spec, math.pi) - kernel(spec, math.pi - step)) / step
    assert found == pytest.approx(slope, abs=1e-5)


@pytest.mark.parametrize(("depth", "scale"), [(1, 1.0), (2, 1.0), (30, 0.4)])
def test_the_slope_at_the_antipode(depth, scale):
    spec = ResNetSpec.tangent_kernel(depth, 1, alpha=scale)
    share = scale**2 / (1 + scale**2)
    theta, product = math.pi, 1.0
    for layer in range(1, depth):
        excess = (math.sin(theta) - theta * math.cos(theta)) / math.pi
        theta = math.acos(math.cos(theta) + share * excess)
        product *= 1 - share * theta / math.pi
        assert layer < depth
    expected = product / (2 * math.pi * depth)
    assert tangent_limits.antipode_slope(spec) == pytest.approx(expected, rel=1e-12)


# Two layers


def test_depth_one_is_the_two_layer_kernel():
    theta = np.linspace(0, math.pi, 50)
    for scale in (1e-3, 1.0, 30.0):
        found = kernel(ResNetSpec.tangent_kernel(1, 1, alpha=scale), theta)
        assert found == pytest.approx(tangent_limits.two_layer_kernel(theta), abs=1e-15)
    u = np.cos(theta)
    direct = (u * (1 - theta / math.pi) + u + (np.sin(theta) - theta * u) / math.pi) / 2
    assert tangent_limits.two_layer_kernel(theta) == pytest.approx(direct, abs=1e-15)


def test_the_first_correction():
    expected = [-0.015449, -0.057471, -0.042361, 0.082602, -0.51994]
    correction = tangent_limits.two_layer_correction(FIVE)
    assert correction == pytest.approx(expected, abs=6e-7, rel=1e-5)
    spec = of_exponent(10_000, 1.0)
    gap = kernel(spec, FIVE) - tangent_limits.two_layer_kernel(FIVE)
    found = gap / (9999 * 1e-8)
    assert found == pytest.approx([-0.015449, -0.057471, -0.042360, 0.082602, -0.51895], abs=6e-6)
    ends = tangent_limits.two_layer_correction([0.0, 1e-9, math.pi])
    assert ends[0] == 0.0
    assert ends[1] == pytest.approx(-1e-9 / (2 * math.pi), rel=1e-6)
    assert ends[2] == -math.inf


def test_half_of_the_exponent_at_the_antipode():
    found = [
        (kernel(of_exponent(n, 1.0), math.pi) - tangent_limits.two_layer_kernel(math.pi)) * n**0.5
        for n in (100, 1000, 10_000)
    ]
    assert found == pytest.approx([-0.14670, -0.14971, -0.15002], abs=6e-6)
    assert tangent_limits.antipode_gap(1.0) == pytest.approx(-0.15005, abs=6e-6)
    assert tangent_limits.antipode_gap([4.0, 0.0]) == pytest.approx([-0.30011, 0.0], abs=1e-5)


@pytest.mark.parametrize("defect", ["time", "source", "weight"])
def test_the_agreement_with_the_recursion_can_fail(monkeypatch, defect):
    right_term, right_end = flow.block_term, flow._backward
    if defect == "time":
        monkeypatch.setattr(flow, "_backward", lambda a, t: right_end(a, 1.01 * t))
    elif defect == "source":
        monkeypatch.setattr(flow, "block_term", lambda a: right_term(a) - 0.002 * np.sin(a))
    else:
        monkeypatch.setattr(flow, "_GAUSS_NODES", 3)
    gap = np.abs(kernel(of_share(10_000, 1e-3), FIVE) - flow.flow_kernel(FIVE, 10.0)).max()
    assert gap > 2 * 3.8e-5


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"theta must lie in \[0, pi\]"):
        tangent_limits.two_layer_kernel(-0.1)
    with pytest.raises(ValueError, match=r"effective_depth must be at least 0"):
        tangent_limits.flow_kernel(1.0, -1.0)
    with pytest.raises(ValueError, match=r"effective_depth must be at least 0, got -1"):
        tangent_limits.antipode_gap([1.0, -1.0])
    with pytest.raises(ValueError, match=r"x must be at least 0"):
        tangent_limits.peak_profile(-1.0)
    with pytest.raises(ValueError, match=r"effective_depth must be greater than 0"):
        tangent_limits.peak_width(0.0)
