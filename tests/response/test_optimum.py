"""The optimal scale: reference values, high precision, scans, approximations."""

from __future__ import annotations

import functools
import math
import time

import mpmath as mp
import numpy as np
import pytest

from companion import kernels
from companion.activations import Custom, Erf, ReLU, Tanh
from companion.architecture import ResNetSpec
from companion.response import (
    Settings,
    closedform,
    corrected_scale,
    curvature,
    deep_pair_kernel,
    depth_correction,
    depth_range,
    diagonal_response,
    elasticity,
    entropy_scale,
    explicit_scale,
    flow_time,
    has_optimum,
    initial_slope,
    leading_scale,
    log_output_response,
    log_pair_response,
    operating_kernel,
    optimal_pair_scale,
    optimal_scale,
    optimum,
    pair_response,
    plateau,
    reaching_scale,
    reduced_operating_point,
    settings,
    top_kernel,
)
from companion.response.roots import bracketed_maximum, bracketed_root
from tests import defects

field_theory = ResNetSpec.field_theory


# ---------------------------------------------------------------- reference values


@pytest.mark.parametrize(
    ("bias", "depths", "scales"),
    [
        (
            0.0,
            [2, 5, 10, 20, 50, 100, 1000],
            [1.39979, 0.68968, 0.45316, 0.30946, 0.19178, 0.13471, 0.04234],
        ),
        (
            0.05,
            [2, 5, 10, 20, 50, 100, 1000],
            [1.01417, 0.51494, 0.34179, 0.23457, 0.14580, 0.10251, 0.03225],
        ),
    ],
)
def test_by_depth(bias, depths, scales):
    found = optimal_scale(Settings(depth=depths, bias_variance=bias))
    assert found == pytest.approx(scales, abs=6e-6)


@pytest.mark.parametrize(
    ("bias", "scales"),
    [
        (0.0, [0.624, 0.488, 0.373, 0.3095, 0.2233, 0.1429, 0.0920, 0, 0]),
        (0.05, [0.342, 0.328, 0.280, 0.2346, 0.1532, 0.0273, 0, 0, 0]),
    ],
)
def test_by_input_variance(bias, scales):
    sets = Settings(
        depth=20,
        bias_variance=bias,
        input_variance=[0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.35, 0.4, 1],
    )
    assert optimal_scale(sets) == pytest.approx(scales, abs=6e-4)
    assert np.array_equal(has_optimum(sets), np.array(scales) > 0)


def test_operating_point():
    beta = np.array([0, 0.01, 0.05, 0.1, 0.2, 0.3])
    exact = [0.61080, 0.58245, 0.47705, 0.36114, 0.17129, 0.02349]
    assert operating_kernel(beta) * math.pi / 2 == pytest.approx(exact, abs=6e-6)
    assert operating_kernel(0.0) * math.pi / 2 == pytest.approx(0.610801, abs=6e-7)
    assert operating_kernel(0.0) == pytest.approx(0.3888, abs=6e-5)
    assert operating_kernel(0.0, Erf(1.0)) == pytest.approx(0.3054, abs=6e-5)
    assert operating_kernel(0.0, "tanh") == pytest.approx(0.382, abs=6e-4)
    assert operating_kernel([1 / math.pi, 0.5, 3.0]).tolist() == [0, 0, 0]
    assert operating_kernel(0.4, "tanh") == 0
    assert np.all(np.diff(operating_kernel(np.linspace(0, 0.31, 50))) < 0)
    for gain in (1e-3, 40.0):  # the reduced kernel does not know the gain
        kernel = operating_kernel(0.05, Erf(gain))
        assert 2 * gain**2 * kernel == pytest.approx(0.4770515, abs=1e-6)


def test_operating_point_in_high_precision():
    mp.mp.dps = 40
    for beta in (0.0, 0.05, 0.25):
        b = mp.pi / 2 * mp.mpf(beta)
        exact = mp.findroot(
            lambda v, b=b: (b + mp.asin(v / (1 + v))) * (2 + 3 * v) / mp.sqrt(1 + 2 * v) - 1, 0.3
        )
        assert operating_kernel(beta) == pytest.approx(float(2 / mp.pi * exact), rel=1e-14)


def test_a_general_activation_finds_what_erf_has_in_closed_form():
    phi = Custom(Erf(), Erf().derivative, "erf by quadrature")
    np.testing.assert_allclose(operating_kernel([0.0, 0.1], phi), operating_kernel([0.0, 0.1]))
    sets = {"depth": [3, 20], "bias_variance": 0.05, "weight_variance": 1.3}
    np.testing.assert_allclose(
        optimal_scale(Settings(**sets, activation=phi)), optimal_scale(Settings(**sets)), rtol=1e-9
    )
    np.testing.assert_allclose(
        depth_correction(Settings(**sets, activation=phi)),
        depth_correction(Settings(**sets)),
        rtol=1e-6,
    )


def test_curvature_of_the_second_moment():
    mp.mp.dps = 30
    k = np.array([1e-2, 0.4, 3.0])
    exact = [
        float(mp.diff(lambda x: 2 / mp.pi * mp.asin(x / (1 + x)), mp.pi / 2 * mp.mpf(x), 2))
        * (math.pi / 2) ** 2
        for x in k
    ]
    np.testing.assert_allclose(curvature(Erf(), k), exact, rtol=1e-13)
    np.testing.assert_allclose(curvature(Custom(Erf()), k), exact, rtol=1e-11)
    step = 1e-4 * k
    slopes = [Tanh().second_moment_derivative(k + s) for s in (step, -step)]
    np.testing.assert_allclose(
        curvature(Tanh(), k), (slopes[0] - slopes[1]) / (2 * step), rtol=1e-6
    )


def mp_log_response(r, depth=20, w=1, b=0, k0="0.1"):
    half, k, total = mp.pi / 2, mp.mpf(k0), mp.mpf(0)

    def slope(k):
        v = half * k
        return 1 / ((1 + v) * mp.sqrt(1 + 2 * v))

    for _ in range(depth):
        v = half * k
        total += mp.log(1 + r * w * slope(k))
        k += r * (b + w * 2 / mp.pi * mp.asin(v / (1 + v)))
    return total + mp.log(slope(k))


def mp_optimum(guess, **kwargs):
    return mp.sqrt(
        mp.findroot(
            lambda r: mp.diff(lambda x: mp_log_response(x, **kwargs), r), mp.mpf(guess) ** 2
        )
    )


def test_optimum_in_high_precision():
    mp.mp.dps = 40
    found = optimal_scale(Settings(depth=20, weight_variance=1.44, bias_variance=0.05))
    exact = mp_optimum(found, w=mp.mpf(1.44), b=mp.mpf(0.05))
    assert found == pytest.approx(float(exact), rel=1e-13)
    near = mp_log_response(exact**2, w=mp.mpf(1.44), b=mp.mpf(0.05))
    value = log_output_response(Settings(depth=20, weight_variance=1.44, bias_variance=0.05), found)
    assert value == pytest.approx(float(near), abs=1e-13)


def test_response_curve_is_that_of_a_network():
    spec = field_theory(20, 10, 0.3, sigma_w2=1.2, sigma_b2=0.05, K0=0.2, activation="tanh")
    sets = Settings.of(spec)
    assert log_output_response(sets, 0.3) == pytest.approx(
        float(diagonal_response(spec).log_output), abs=1e-12
    )
    assert top_kernel(sets, 0.3**2) == pytest.approx(spec.stream_variances()[-1], rel=1e-12)


# ---------------------------------------------------------------- the weight variance


ELASTICITIES = [  # input variance, bias variance, values at sigma_w = .7, .8, .9, 1, 1.2, 1.4, 2
    (0.1, 0.0, [-1, -1, -1, -1, -1, -1, -1]),
    (0.1, 0.02, [-0.55, -0.66, -0.73, -0.78, -0.85, -0.89, -0.95]),
    (0.1, 0.05, [0.39, -0.05, -0.28, -0.44, -0.62, -0.72, -0.86]),
    (0.05, 0.1, [3.39, 1.13, 0.45, 0.10, -0.27, -0.46, -0.72]),
]


@pytest.mark.parametrize(("k0", "bias", "values"), ELASTICITIES)
def test_elasticity(k0, bias, values):
    w = np.array([0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 2.0]) ** 2
    sets = Settings(depth=20, weight_variance=w, bias_variance=bias, input_variance=k0)
    assert elasticity(sets) == pytest.approx(values, abs=0.0061)


def test_steepest_elasticity_in_high_precision():
    mp.mp.dps = 40
    w, h = mp.mpf("0.7") ** 2, mp.mpf("1e-8")
    points = [
        mp_optimum("0.0767", w=w * mp.exp(2 * s * h), b=mp.mpf("0.1"), k0="0.05") for s in (1, -1)
    ]
    exact = float((mp.log(points[0]) - mp.log(points[1])) / (2 * h))
    assert exact == pytest.approx(3.39, abs=5e-3)
    sets = Settings(depth=20, weight_variance=0.49, bias_variance=0.1, input_variance=0.05)
    assert elasticity(sets) == pytest.approx(exact, abs=1e-6)


def test_without_bias_only_the_product_matters():
    sets = Settings(depth=7, weight_variance=[0.25, 1, 4])
    product = optimal_scale(sets) * np.array([0.5, 1, 2])
    assert product == pytest.approx(0.558598, abs=6e-7)
    np.testing.assert_allclose(product, product[0], rtol=1e-13)
    assert np.isnan(elasticity(Settings(depth=7, input_variance=1.0)))


def test_the_gain_is_a_unit_of_the_kernel():
    """At equal reduced kernel and bias the optimal scale is inverse to the gain."""
    one = optimal_scale(Settings(depth=9, bias_variance=0.05))
    gain = 2.0
    unit = (math.sqrt(math.pi) / 2 / gain) ** 2
    sets = Settings(depth=9, bias_variance=0.05, input_variance=0.1 * unit, activation=Erf(gain))
    assert optimal_scale(sets) == pytest.approx(float(one) * math.sqrt(unit), rel=1e-12)


# ---------------------------------------------------------------- scans


def random_sets(count: int, seed: int) -> Settings:
    rng = np.random.default_rng(seed)
    return Settings(
        depth=np.exp(rng.uniform(0, math.log(200), count)).astype(int),
        weight_variance=np.exp(rng.uniform(-1.5, 1.5, count)),
        bias_variance=np.where(rng.random(count) < 0.25, 0, rng.uniform(0, 0.4, count)),
        input_variance=np.exp(rng.uniform(-9, 1, count)),
    )


SCANNED = np.linspace(-9, 5, 400)


@functools.cache
def scan() -> tuple[Settings, np.ndarray]:
    """Random sets and their log responses, at no scale and at the scales of the scan."""
    sets = random_sets(150, 7)
    columns = Settings(
        depth=sets.depth[:, None],
        weight_variance=sets.weight_variance[:, None],
        bias_variance=sets.bias_variance[:, None],
        input_variance=sets.input_variance[:, None],
    )
    return sets, log_output_response(columns, np.concatenate([[0.0], np.exp(SCANNED)]))


def check_against_a_scan():
    """The largest of 400 responses is at the optimum, or at zero where there is none."""
    sets, values = scan()
    best = np.argmax(values, axis=1)
    found = optimal_scale(sets)
    assert 30 < np.sum(found > 0) < 120
    np.testing.assert_array_equal(found > 0, best > 0)
    at = found > 0
    distance = np.log(found[at]) - SCANNED[best[at] - 1]
    assert np.all(np.abs(distance) < SCANNED[1] - SCANNED[0])
    assert np.all(log_output_response(sets, found)[at] >= np.max(values, axis=1)[at] - 1e-13)


def test_against_a_scan():
    check_against_a_scan()


def test_one_maximum():
    sets, values = scan()
    for row in np.diff(values[np.asarray(has_optimum(sets))], axis=1):
        signs = np.sign(row[np.abs(row) > 1e-10])  # the flat part at tiny scales is rounding
        assert np.sum(np.diff(signs) != 0) == 1


def strict_criterion(patch):
    """Ask the criterion for three times the input variance."""
    true = optimum.has_optimum
    patch.setattr(
        optimum, "has_optimum", lambda s: true(s.replace(input_variance=3 * s.input_variance))
    )


def bent_readout(patch):
    """Overrate the second derivative of the second moment by a fifth."""
    true = settings.curvature
    patch.setattr(settings, "curvature", lambda *args: 1.2 * true(*args))


@pytest.mark.parametrize("defect", [strict_criterion, bent_readout])
def test_against_a_scan_rejects(defect):
    defects.must_reject(defect, check_against_a_scan)


def test_criterion_of_erf():
    sets = random_sets(2000, 8)
    v, b = math.pi / 2 * sets.input_variance, math.pi / 2 * sets.bias_ratio
    stated = b + np.arcsin(v / (1 + v)) < np.sqrt(1 + 2 * v) / (2 + 3 * v)
    np.testing.assert_array_equal(has_optimum(sets), stated)
    below = sets.input_variance < operating_kernel(sets.bias_ratio)
    np.testing.assert_array_equal(below, stated)


def test_initial_slope_by_differences():
    for phi in ("erf", "tanh"):
        sets = Settings(depth=[1, 7], bias_variance=0.03, input_variance=0.15, activation=phi)
        h = 1e-5  # in the squared scale
        one, two = (log_output_response(sets, math.sqrt(x)) for x in (h, 2 * h))
        slope = (4 * one - two - 3 * log_output_response(sets, 0.0)) / (2 * h)
        np.testing.assert_allclose(initial_slope(sets), slope, rtol=1e-6)


def test_near_the_threshold_the_optimum_vanishes():
    top = float(operating_kernel(0.05))
    gaps = np.array([1e-2, 1e-4, 1e-6])
    found = optimal_scale(Settings(depth=20, bias_variance=0.05, input_variance=top * (1 - gaps)))
    assert found / np.sqrt(gaps) == pytest.approx(found[2] / 1e-3, rel=0.05)
    assert optimal_scale(Settings(depth=20, bias_variance=0.05, input_variance=top * 1.0001)) == 0


# ---------------------------------------------------------------- approximations


def grid(depth: int) -> Settings:
    w, b, k = np.meshgrid(
        [0.5, 0.7, 1, 1.4, 2], [0, 0.02, 0.05, 0.1], [0.01, 0.05, 0.1, 0.2], indexing="ij"
    )
    return Settings(depth=depth, weight_variance=w**2, bias_variance=b, input_variance=k)


ACCURACY = [  # depth, worst relative errors in percent: leading, corrected, explicit
    (3, 36, 31, 42),
    (5, 22, 5.6, 7.6),
    (10, 11, 1.0, 1.6),
    (20, 5.7, 0.22, 0.35),
    (50, 2.3, 0.033, 0.26),
    (1000, 0.11, 0.00008, 0.25),
]


def worst(found: np.ndarray, exact: np.ndarray, where: np.ndarray) -> float:
    return 100 * float(np.max(np.abs(found[where] / exact[where] - 1)))


@pytest.mark.parametrize(("depth", "leading", "corrected", "explicit"), ACCURACY)
def test_accuracy_of_the_approximations(depth, leading, corrected, explicit):
    sets = grid(depth)
    exact = optimal_scale(sets)
    there = exact > 0
    assert 40 < np.sum(there) < 80
    far = there & (operating_kernel(sets.bias_ratio) / sets.input_variance > 1.3)
    assert worst(leading_scale(sets), exact, there) == pytest.approx(leading, rel=0.05)
    assert worst(corrected_scale(sets), exact, there) == pytest.approx(corrected, rel=0.05)
    assert worst(explicit_scale(sets), exact, far) == pytest.approx(explicit, rel=0.05)
    for approximation in (leading_scale, corrected_scale, explicit_scale):
        assert np.all(approximation(sets)[~there] == 0)


def test_accuracy_at_very_small_depth():
    for depth, leading, first in ((2, 51, 29), (3, 36, 15)):
        sets = grid(depth)
        exact = optimal_scale(sets)
        assert worst(leading_scale(sets), exact, exact > 0) == pytest.approx(leading, rel=0.03)
        plain = corrected_scale(sets, resummed=False)
        assert worst(plain, exact, exact > 0) == pytest.approx(first, rel=0.03)
    # two blocks, and a correction of more than two blocks
    assert np.isnan(corrected_scale(Settings(depth=2, input_variance=0.01)))
    assert np.isnan(explicit_scale(Settings(depth=2, input_variance=0.01)))


def test_reduced_operating_point():
    beta = np.linspace(0, 0.2, 40)
    exact = operating_kernel(beta) * math.pi / 2
    rough = np.abs(reduced_operating_point(beta, newton=False) / exact - 1)
    assert 1e-3 < np.max(rough) < 5.5e-3
    assert np.max(np.abs(reduced_operating_point(beta) - exact)) < 5e-5
    assert reduced_operating_point(0.4) == 0


def test_flow_time_by_integration():
    from scipy.integrate import quad

    for phi, k0, bias in (("erf", 1e-6, 0.0), ("erf", 0.1, 0.05), ("tanh", 1e-3, 0.02)):
        sets = Settings(depth=1, bias_variance=bias, input_variance=k0, activation=phi)
        top = float(operating_kernel(sets.bias_ratio, phi))
        exact = quad(
            lambda x, s=sets: math.exp(x) / float(s.branch(math.exp(x))),
            math.log(k0),
            math.log(top),
            epsabs=1e-13,
            epsrel=1e-12,
        )[0]
        assert flow_time(sets) == pytest.approx(exact, rel=1e-10)


def test_depth_correction_is_the_next_order():
    """``L s*^2 / tau* = 1 + c_1 / L + O(c_1^2 / L^2)``."""
    depths = np.array([20, 50, 100, 400])
    for bias in (0.0, 0.05):
        sets = Settings(depth=depths, bias_variance=bias)
        ratio = depths * optimal_scale(sets) ** 2 / flow_time(sets)
        c1 = depth_correction(sets)
        assert np.all(np.abs(ratio - 1 - c1 / depths) < 3 * c1**2 / depths**2)
        assert c1[0] == pytest.approx(depths[-1] * (ratio[-1] - 1), rel=1e-2)


def test_steady_part_of_the_depth_correction():
    sets = grid(20)
    there = np.asarray(has_optimum(sets))
    top = operating_kernel(sets.bias_ratio)
    rest = depth_correction(sets) - np.log(sets.branch(top) / sets.branch(sets.input_variance)) / 2
    assert np.min(rest[there]) > 0.66
    assert np.max(rest[there]) < 0.82
    assert abs(closedform._STEADY_CORRECTION - 0.78) < 1e-12


def test_depth_law_and_final_kernel():
    depths = np.array([20, 50, 100, 500, 1000])
    sets = Settings(depth=depths)
    best = optimal_scale(sets)
    ratio = top_kernel(sets, best**2) / operating_kernel(0.0)
    assert ratio[:3] == pytest.approx([1.047, 1.018, 1.009], abs=5e-4)
    slope = np.log(best[4] / best[3]) / np.log(2)
    assert slope == pytest.approx(-0.5, abs=1e-3)


def test_ten_thousand_sets_take_a_second():
    rng = np.random.default_rng(9)
    sets = Settings(
        depth=20,
        weight_variance=rng.uniform(0.25, 4, 10000),
        bias_variance=rng.uniform(0, 0.1, 10000),
        input_variance=np.exp(rng.uniform(-7, -1, 10000)),
    )

    def seconds(function) -> float:
        start = time.process_time()
        function(sets)
        return time.process_time() - start

    for function in (optimal_scale, explicit_scale, corrected_scale):
        assert min(seconds(function) for _ in range(2)) < 1


# ---------------------------------------------------------------- around the optimum


def test_plateau():
    found = plateau(Settings(depth=[20, 50, 100]))
    assert found.low == pytest.approx([0.219, 0.136, 0.095], abs=6e-4)
    assert found.high == pytest.approx([0.394, 0.243, 0.171], abs=6e-4)
    found = plateau(Settings(depth=50, bias_variance=0.05))
    assert (found.low, found.high) == pytest.approx((0.074, 0.201), abs=6e-4)
    exercise = Settings(depth=50, weight_variance=1.2, bias_variance=0.05, input_variance=0.05)
    assert optimal_scale(exercise) == pytest.approx(0.16576, abs=6e-6)
    band = plateau(exercise)
    assert (band.low, band.high) == pytest.approx((0.118, 0.210), abs=6e-4)
    best = log_output_response(exercise, optimal_scale(exercise))
    for edge in band:
        assert log_output_response(exercise, edge) - best == pytest.approx(math.log(0.9), abs=1e-12)
    flat = plateau(Settings(depth=20, bias_variance=0.05, input_variance=[0.3, 0.4]))
    assert flat.low[0] == 0
    assert np.all(np.isnan([flat.low[1], flat.high[1]]))


def test_far_from_the_optimum():
    sets = Settings(depth=[20, 50, 100])
    best = log_output_response(sets, optimal_scale(sets))
    share = np.exp(log_output_response(sets, 1.0) - best)
    assert share == pytest.approx([0.089, 0.018, 0.0057], rel=0.01)
    assert np.exp(log_output_response(sets, 0.3) - best)[2] == pytest.approx(0.25, abs=5e-3)


@pytest.mark.parametrize(
    ("w", "bias", "k0", "depths"),
    [
        (1, 0, 0.1, (22, 180)),
        (1, 0.05, 0.1, (13, 105)),
        (1.25, 0.05, 0.05, (16, 132)),
        (1, 0, 0.01, (50, 425)),
        (2, 0.1, 0.05, (10, 74)),
    ],
)
def test_depths_of_the_empirical_range(w, bias, k0, depths):
    sets = Settings(depth=1, weight_variance=w, bias_variance=bias, input_variance=k0)
    assert depth_range(sets) == depths
    first, last = depths
    around = optimal_scale(sets.replace(depth=[first - 1, first, last, last + 1]))
    assert around[0] > 0.3 >= around[1]
    assert around[2] >= 0.1 > around[3]


def test_depth_range_elsewhere():
    sets = Settings(depth=1)
    assert optimal_scale(Settings(depth=182)) == pytest.approx(0.0996, abs=6e-5)
    assert depth_range(sets, 1.0, 10.0) == (1, 2)
    assert optimal_scale(Settings(depth=3)) < 1
    with pytest.raises(ValueError, match="no depth has its optimal scale"):
        depth_range(sets, 0.3001, 0.3002)
    with pytest.raises(ValueError, match="no depth up to"):
        depth_range(sets, 1e-5, 1e-4)
    with pytest.raises(ValueError, match="one set with an optimum"):
        depth_range(Settings(depth=1, input_variance=1.0))


@pytest.mark.parametrize(
    ("depth", "w", "bias", "k0", "ratio", "share"),
    [
        (20, 1, 0, 0.1, 1.195, 0.947),
        (50, 1.2, 0.05, 0.05, 1.268, 0.898),
        (20, 1.2, 0.05, 0.1, 1.351, 0.905),
        (200, 1, 0.05, 0.1, 1.410, 0.882),
    ],
)
def test_entropy_scale(depth, w, bias, k0, ratio, share):
    sets = Settings(depth=depth, weight_variance=w, bias_variance=bias, input_variance=k0)
    most, best = entropy_scale(sets), optimal_scale(sets)
    assert most / best == pytest.approx(ratio, abs=6e-4)
    lost = log_output_response(sets, most) - log_output_response(sets, best)
    assert np.exp(lost) == pytest.approx(share, abs=6e-4)
    assert top_kernel(sets, most**2) == pytest.approx(2 / math.pi, rel=1e-13)


def test_uniform_output_at_the_entropy_kernel():
    z = np.linspace(-3, 3, 13)
    for gain in (0.4, 1.0):
        from scipy.stats import norm

        h = z / (math.sqrt(2) * gain)
        np.testing.assert_allclose(Erf(gain)(h), 2 * norm.cdf(z) - 1, rtol=1e-13, atol=1e-15)
    assert entropy_scale(Settings(depth=5, input_variance=0.7)) == 0
    with pytest.raises(ValueError, match="activation must be Erf"):
        entropy_scale(Settings(depth=5, activation=Tanh()))
    reached = reaching_scale(Settings(depth=[3, 9], activation=Tanh()), [[0.2], [1.5]])
    assert reached.shape == (2, 2)
    assert np.all(np.diff(reached, axis=0) > 0)


# ---------------------------------------------------------------- two inputs


def test_optimal_scale_of_pairs():
    sets = Settings(depth=[[5], [20], [60]], weight_variance=1.2, bias_variance=0.05)
    found = optimal_pair_scale(sets, [0, 0.3, 0.5, 0.7, 0.9])
    exact = [
        [1.43, 1.60, 1.81, 2.19, 3.24],
        [0.577, 0.638, 0.708, 0.831, 1.12],
        [0.318, 0.350, 0.389, 0.452, 0.600],
    ]
    np.testing.assert_allclose(found, exact, rtol=4e-3)
    own = optimal_scale(sets).ravel()
    assert own == pytest.approx([0.494, 0.224, 0.127], abs=6e-4)
    assert np.all(found[:, 0] > 2 * own)
    assert np.all(np.isinf(optimal_pair_scale(sets, 1.0)))


def test_response_of_pairs_is_that_of_the_network():
    spec = field_theory(20, 400, 0.25, sigma_w2=1.2, sigma_b2=0.05)
    found = log_pair_response(Settings.of(spec), [0.5, -0.3], 0.25)
    exact = pair_response(spec, 0.1, 0.1, [0.05, -0.03]).cross.log_output
    np.testing.assert_allclose(found, exact, atol=1e-13)
    best = float(optimal_pair_scale(Settings.of(spec), 0.5))
    around = log_pair_response(Settings.of(spec), 0.5, best * np.array([1 - 1e-3, 1, 1 + 1e-3]))
    assert around[1] > max(around[0], around[2])


def test_deep_pair_kernel():
    cosines = [0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99]
    found = [deep_pair_kernel(c) for c in cosines]
    assert found == pytest.approx([3.38, 3.70, 4.437, 6.2, 8.2, 12.5, 18, 35], rel=5e-3)
    # it exists for large inputs too, where the diagonal response has no optimum
    assert deep_pair_kernel(0.0, 1.0) == pytest.approx(found[0], rel=1e-3)
    assert deep_pair_kernel(0.0, 5.0) == 5.0
    with pytest.raises(ValueError, match="equal inputs have no optimum"):
        deep_pair_kernel(1.0)


def test_deep_pair_kernel_is_the_limit_of_networks():
    kernel = []
    for depth in (60, 120):
        sets = Settings(depth=depth, bias_variance=0.05)
        kernel.append(float(top_kernel(sets, optimal_pair_scale(sets, 0.3) ** 2)))
    limit = 2 * kernel[1] - kernel[0]  # without the first order in 1 / depth
    assert deep_pair_kernel(0.3, 0.1, 0.05) == pytest.approx(limit, rel=2e-3)
    assert abs(kernel[1] / limit - 1) > 6e-3


# ---------------------------------------------------------------- many roots at once


def test_roots_and_maxima():
    low, high = np.zeros(5), np.full(5, 4.0)
    powers = np.array([1.0, 2.0, 5.0, 20.0, 0.3])
    roots = bracketed_root(lambda x, at: x ** powers[at] - 2, low, np.full(5, 20.0))
    np.testing.assert_allclose(roots, 2 ** (1 / powers), rtol=1e-14)
    tops = bracketed_maximum(lambda x, at: -np.cosh(x - powers[at] / 6), low, high)
    np.testing.assert_allclose(tops, powers / 6, atol=1e-7)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Settings(depth=0), ValueError, "depth must hold integers"),
        (lambda: Settings(depth=1.5), ValueError, "depth must hold integers"),
        (lambda: Settings(depth=1, weight_variance=0), ValueError, "weight_variance must be gr"),
        (lambda: Settings(depth=1, input_variance=[0.1, 0]), ValueError, "input_variance must be"),
        (lambda: Settings(depth=1, bias_variance=-1), ValueError, "bias_variance must be at least"),
        (lambda: Settings(depth=1, activation=ReLU()), ValueError, "must saturate"),
        (lambda: Settings(depth=[1, 2], bias_variance=[0, 0, 0]), ValueError, "broadcast"),
        (lambda: Settings.of(ResNetSpec(depth=2, width=3)), ValueError, "block must be 'single'"),
        (
            lambda: Settings.of(field_theory(2, 3, 0.1).replace(skip=0.5)),
            ValueError,
            "skip must be 1.0",
        ),
        (lambda: plateau(Settings(depth=3), 1.0), ValueError, "fraction must be below 1"),
        (
            lambda: operating_kernel(0.0, Custom(lambda x: x + np.tanh(x))),
            ValueError,
            "must saturate",
        ),
        (lambda: optimal_pair_scale(Settings(depth=3), 1.1), ValueError, "cosine must lie in"),
        (
            lambda: explicit_scale(Settings(depth=3, activation="tanh")),
            ValueError,
            "activation must be Erf",
        ),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_kernel_at_the_optimum_from_the_whole_machinery():
    """One network, three ways to the same final kernel."""
    sets = Settings(depth=30, weight_variance=1.3, bias_variance=0.04)
    scale = float(optimal_scale(sets))
    spec = field_theory(30, 10, scale, sigma_w2=1.3, sigma_b2=0.04)
    top = float(top_kernel(sets, scale**2))
    assert kernels.stream_kernels(spec, [[0.1]]).values[0, 0, 0] == pytest.approx(top, rel=1e-13)
    assert reaching_scale(sets, top) == pytest.approx(scale, rel=1e-12)
