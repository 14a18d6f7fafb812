"""The covariance recursion and the critical scale, against other algorithms and simulation."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from companion import depthlimits as dl
from companion.depthlimits import correlated, critical
from companion.montecarlo import Estimate
from companion.weights import IID, FractionalNoise, Smooth
from tests.defects import must_reject
from tests.depthlimits.networks import explicit


def fractional(hurst: float, depth: int) -> np.ndarray:
    return dl.layer_covariance(FractionalNoise(hurst=hurst), depth)


def arccos_kappa(r: float) -> float:
    r = min(1.0, max(-1.0, r))
    return (math.sqrt(1 - r * r) + r * (math.pi - math.acos(r))) / (2 * math.pi)


def full_matrix(g: np.ndarray, alpha: float, block: str) -> np.ndarray:
    """``C`` entry by entry from its definition, all of it in memory."""
    depth = g.size
    c = np.ones((depth + 1, depth + 1))
    for layer in range(depth):
        for m in range(depth):
            size = math.sqrt(c[layer, layer] * c[m, m])
            rho = c[layer, m] / size
            lag = g[abs(layer - m)]
            step = alpha**2 * lag * size * arccos_kappa(lag * rho if block == "two-layer" else rho)
            if m > layer:  # by symmetry, needs the diagonal only now
                continue
            c[layer + 1, m + 1] = c[layer, m + 1] + c[layer + 1, m] - c[layer, m] + step
            c[m + 1, layer + 1] = c[layer + 1, m + 1]
            if m == layer - 1:
                c[layer, layer + 1] = c[layer + 1, layer]
    return c


@pytest.mark.parametrize("block", ["two-layer", "single"])
@pytest.mark.parametrize("hurst", [0.1, 0.5, 0.9])
def test_rows_are_the_full_matrix(block, hurst):
    g = fractional(hurst, 40)
    expected = full_matrix(g, 0.3, block)
    assert dl.covariance_matrix(g, 0.3, block) == pytest.approx(expected, rel=1e-12)
    paths = dl.log_displacement(g, 0.3, block)
    assert paths == pytest.approx(np.log(np.diag(expected)[1:] - 1), abs=1e-11)


@pytest.mark.parametrize("block", ["two-layer", "single"])
def test_independent_layers_are_the_exact_moment(block):
    for scale in (1e-7, 0.03, 1.0):
        found = dl.log_displacement(dl.layer_covariance(IID(), 1000), scale, block)
        growth = np.arange(1, 1001) * math.log1p(scale**2 / 2)
        assert found == pytest.approx(growth + np.log(-np.expm1(-growth)), rel=1e-12)


def test_scales_go_together_or_one_by_one():
    g = fractional(0.8, 50)
    scales = np.array([[0.0, 1e-3, 0.1], [0.4, 1.0, 50.0]])
    found = dl.log_displacement(g, scales)
    assert found.shape == (2, 3, 50)
    assert np.all(found[0, 0] == -np.inf)
    for index in np.ndindex(2, 3):
        alone = dl.log_displacement(g, scales[index])
        assert found[index] == pytest.approx(alone, rel=1e-13, abs=1e-13)


def test_strong_branches_are_rescaled():
    """Past the range of float64 the increments of the log stay those of the range's end."""
    g = fractional(0.9, 1500)
    path = dl.log_displacement(g, 1.0)
    steps = np.diff(path)
    assert path[-1] > 1000
    assert np.all(np.isfinite(path))
    assert np.max(np.abs(np.diff(steps)[200:])) < 1e-3
    early = dl.log_displacement(g[:300], 1.0)
    assert path[:300] == pytest.approx(early, rel=1e-13)
    alone, beside = dl.log_displacement(g, 1.0), dl.log_displacement(g, [1.0, 1e-4])[0]
    assert alone == pytest.approx(beside, rel=1e-13)


def test_rescaling_changes_nothing(monkeypatch):
    g = fractional(0.7, 300)
    expected = dl.log_displacement(g, [0.01, 0.5])
    monkeypatch.setattr(correlated, "_LARGEST", 2.0**4)
    assert dl.log_displacement(g, [0.01, 0.5]) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("block", "power"), [("two-layer", 1.0), ("single", 0.5)])
def test_layer_variance_moves_to_the_scale(block, power):
    g, v = fractional(0.8, 30), 1.7
    found = dl.log_displacement(v * g, 0.2, block)
    assert found == pytest.approx(dl.log_displacement(g, 0.2 * v**power, block), rel=1e-13)
    sums = dl.first_order_sums(v * g, block)
    assert sums.forward == pytest.approx(v ** (2 * power) * dl.first_order_sums(g, block).forward)


# ---------------------------------------------------------------- reference numbers


@pytest.mark.parametrize(
    ("hurst", "level", "block", "expected"),
    [
        (0.1, 0.04, "two-layer", 0.0408),
        (0.9, 0.04, "two-layer", 0.0405),
        (0.1, 0.7, "two-layer", 1.0128),
        (0.3, 0.7, "two-layer", 1.0168),
        (0.5, 0.7, "two-layer", 1.0121),
        (0.7, 0.7, "two-layer", 0.9532),
        (0.9, 0.7, "two-layer", 0.8869),
        (0.3, 0.04, "single", 0.0416),
        (0.3, 0.7, "single", 1.5481),
        (0.7, 0.7, "single", 0.9046),
        (0.9, 0.7, "single", 0.8526),
    ],
)
def test_displacement_at_a_first_order_level(hurst, level, block, expected):
    g = fractional(hurst, 300)
    scale = math.sqrt(level / dl.first_order_sums(g, block).forward)
    found = math.exp(dl.log_displacement(g, scale, block)[-1])
    assert found == pytest.approx(expected, abs=5.1e-5)


@pytest.mark.parametrize(
    ("hurst", "expected"),
    [(0.2, 0.4596), (0.5, 0.4763), (0.8, 0.7002), (0.9, 0.8137), (0.97, 0.9131)],
)
def test_critical_exponent_values(hurst, expected):
    assert dl.critical_exponent(fractional(hurst, 1000)) == pytest.approx(expected, abs=5.1e-5)


@pytest.mark.parametrize(
    ("depth", "beta", "expected"), [(100, 2, 3.97e-6), (400, 2, 2.48e-7), (100, 1, 0.0405)]
)
def test_smooth_weights_values(depth, beta, expected):
    g = dl.layer_covariance(Smooth(variance=0.01), depth)
    found = math.exp(dl.log_displacement(g, depth**-beta)[-1])
    assert found == pytest.approx(expected, rel=2e-3)


def test_smooth_weights_have_a_limit_at_exponent_one():
    values = [
        dl.log_displacement(dl.layer_covariance(Smooth(variance=0.01), L), L**-1.0)[-1]
        for L in (200, 400, 800)
    ]
    steps = np.abs(np.diff(np.exp(values)))
    assert steps[1] < 0.6 * steps[0] < 1e-4


@pytest.mark.parametrize(
    ("hurst", "first_order", "recursion"),
    [(0.1, 0.0533, 1.5369), (0.3, 0.0541, 1.5729), (0.7, 0.0139, 0.2737), (0.9, 0.0178, None)],
)
def test_gradient_displacement_values(hurst, first_order, recursion):
    g = fractional(hurst, 300)
    sums = dl.first_order_sums(g, width=30)
    assert 0.04 * sums.backward / sums.forward == pytest.approx(first_order, abs=6e-5)
    if recursion is not None:
        scale = math.sqrt(0.7 / sums.forward)
        found = math.exp(dl.log_gradient_displacement(g, scale, width=30)[0])
        assert found == pytest.approx(recursion, abs=6e-5)


def test_gradient_of_independent_layers():
    g = dl.layer_covariance(IID(), 200)
    for block in correlated.BLOCKS:
        backward = dl.log_gradient_displacement(g, 0.05, block=block)
        assert backward[::-1] == pytest.approx(dl.log_displacement(g, 0.05, block), rel=1e-9)
    assert dl.critical_scale(g) == pytest.approx(math.sqrt(2 * math.expm1(math.log(2) / 200)))
    assert dl.critical_scale(g, gradient=True) == pytest.approx(dl.critical_scale(g), rel=1e-9)


# ---------------------------------------------------------------- first order


@pytest.mark.parametrize("width", [None, 7])
def test_first_order_sums_are_double_sums(width):
    g = fractional(0.3, 60)
    share = 0 if width is None else 1 / width
    forward = backward = single = 0.0
    for a in range(60):
        for b in range(60):
            c = float(g[abs(a - b)])
            zero = (math.pi - math.acos(min(c, 1.0))) / (2 * math.pi)
            forward += c * arccos_kappa(c)
            backward += c * ((1 - share) * c * zero + share * arccos_kappa(c))
            single += c / 2
    found = dl.first_order_sums(g, width=width)
    assert found == pytest.approx((forward, backward), rel=1e-12)
    assert dl.first_order_sums(g, "single") == pytest.approx((single, single), rel=1e-11)
    assert single == pytest.approx(60**0.6 / 2, rel=1e-12)


@pytest.mark.parametrize("block", ["two-layer", "single"])
def test_first_order_is_the_small_scale_of_the_recursions(block):
    for hurst in (0.2, 0.8):
        g = fractional(hurst, 50)
        sums = dl.first_order_sums(g, block)
        forward = dl.log_displacement(g, 1e-5, block)[-1]
        backward = dl.log_gradient_displacement(g, 1e-5, block=block)[0]
        expected = np.log(sums) + 2 * math.log(1e-5)
        # the masks of single blocks move at first order in the displacement, not in its square
        allowance = 1e-7 if block == "two-layer" else 1e-4
        assert forward == pytest.approx(expected[0], abs=1e-7)
        assert backward == pytest.approx(expected[1], abs=allowance)


@pytest.mark.parametrize(
    ("hurst", "forward", "backward"),
    [
        (0.2, 0.433, 0.456),
        (0.6, 0.500, 0.454),
        (0.7, 0.581, 0.479),
        (0.8, 0.679, 0.561),
        (0.9, 0.795, 0.722),
        (0.97, 0.896, 0.869),
    ],
)
def test_first_order_exponent_values(hurst, forward, backward):
    g = fractional(hurst, 1000)
    assert dl.first_order_exponent(g) == pytest.approx(forward, abs=6e-4)
    found = dl.first_order_exponent(g, gradient=True, width=40)
    assert found == pytest.approx(backward, abs=6e-4)


def check_first_order(hurst: float):
    """Both directions at a small scale, exact at any width: explicit weights, narrow."""
    n, depth = 6, 24
    g = fractional(hurst, depth)
    sums = dl.first_order_sums(g, width=n)
    scale = math.sqrt(0.004 / sums.forward)
    law = FractionalNoise(hurst=hurst)
    run = explicit(n, depth, scale, 6000, np.random.default_rng(1), law=law)
    for sample, total in ((run.hd2, sums.forward), (run.gd2, sums.backward)):
        found = Estimate.mean(sample / scale**2)
        assert found.resolves(0.12 * total)
        assert found.agrees(total, allowance=0.006 * total)
    assert abs(sums.forward / sums.backward - 1) > 0.15


def same_direction(patch):
    """The gradient's sum taken for the stream's, as for independent layers."""
    patch.setattr(critical, "_backward_weight", lambda g, rho, block, width: g * critical.kappa(g))


def no_nonlinearity(patch):
    """A linear hidden layer of the same gain."""
    patch.setattr(critical, "kappa", lambda rho: np.asarray(rho) / 2)


@pytest.mark.mc
@pytest.mark.parametrize("hurst", [0.1, 0.8])
def test_first_order(hurst):
    check_first_order(hurst)


@pytest.mark.mc
@pytest.mark.parametrize("defect", [same_direction, no_nonlinearity])
@pytest.mark.parametrize("hurst", [0.1, 0.8])
def test_first_order_rejects(hurst, defect):
    must_reject(defect, check_first_order, hurst)


# ---------------------------------------------------------------- simulation past first order


def check_recursion(block: str, hurst: float, allowance: float):
    """Explicit weights, wide enough that corrections in 1/n stay within the allowance."""
    n, depth, networks = 100, 16, 160
    g = fractional(hurst, depth)
    scale = dl.critical_scale(g, block)
    law = FractionalNoise(hurst=hurst)
    rng = np.random.default_rng(2)
    parts = [
        explicit(n, depth, scale, 20, rng, law=law, block=block) for _ in range(networks // 20)
    ]
    forward = Estimate.mean(np.concatenate([part.hd2 for part in parts]))
    backward = Estimate.mean(np.concatenate([part.gd2 for part in parts]))
    gradient = math.exp(dl.log_gradient_displacement(g, scale, block=block)[0])
    linear = dl.first_order_sums(g, block)
    assert abs(linear.forward * scale**2 - 1) > 0.11  # what the recursion adds to first order
    assert forward.resolves(0.12)
    assert forward.agrees(1.0, allowance=allowance)
    assert backward.agrees(gradient, allowance=allowance * gradient)


RECURSION = {
    "two-layer-.3": ("two-layer", 0.3, 0.03),
    "two-layer-.8": ("two-layer", 0.8, 0.03),
    "single-.3": ("single", 0.3, 0.06),
    "single-.8": ("single", 0.8, 0.03),
}


def linear_kernel(patch):
    """The kernel of a linear branch of the same gain."""
    patch.setattr(correlated, "abs_moment", np.array)


def other_block(patch):
    """A fresh inner matrix where there is none, and the other way round."""

    class Exchanged(correlated._Rows):
        def __init__(self, g, strength, block):
            super().__init__(g, strength, "single" if block == "two-layer" else "two-layer")

    patch.setattr(correlated, "_Rows", Exchanged)


@pytest.mark.mc
@pytest.mark.parametrize("case", RECURSION)
def test_recursion(case):
    check_recursion(*RECURSION[case])


@pytest.mark.mc
@pytest.mark.parametrize(
    ("case", "defect"),
    [
        ("two-layer-.8", linear_kernel),
        ("two-layer-.3", other_block),
        ("single-.3", other_block),
    ],
)
def test_recursion_rejects(case, defect):
    must_reject(defect, check_recursion, *RECURSION[case])


# ---------------------------------------------------------------- kernels, cost, errors


def test_kernels():
    rho = np.linspace(-1, 1, 9)
    assert dl.kappa(rho) == pytest.approx([arccos_kappa(r) for r in rho], abs=1e-15)
    assert (dl.kappa(1.0), dl.kappa_zero(1.0), dl.kappa_zero(0.0)) == (0.5, 0.5, 0.25)
    assert dl.kappa(0.0) == pytest.approx(1 / (2 * math.pi))
    assert dl.kappa(1 + 1e-6) == 0.5
    step = 1e-6
    inside = rho[1:-1]
    slope = (dl.kappa(inside + step) - dl.kappa(inside - step)) / (2 * step)
    assert slope == pytest.approx(dl.kappa_zero(inside), abs=1e-9)


def test_memory_is_a_row_and_time_a_few_kernels():
    """Cost of a pair of layers against that of one evaluation of the kernel, in one run."""
    depth = 1500
    g = fractional(0.7, depth)
    values = np.full(depth * depth // 2, 0.3)
    start = time.process_time()
    dl.kappa(values)
    kernel = time.process_time() - start
    start = time.process_time()
    dl.log_displacement(g, 0.01)
    assert time.process_time() - start < 12 * kernel


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dl.log_displacement(np.ones((2, 2)), 0.1), "one dimension"),
        (lambda: dl.log_displacement([0.0, 0.1], 0.1), "positive variance"),
        (lambda: dl.log_displacement([1.0], -0.1), "scale must be at least 0"),
        (lambda: dl.log_displacement([1.0], 0.1, "triple"), "block must be one of"),
        (lambda: dl.covariance_matrix(np.ones(20000), 0.1), "use log_displacement"),
        (lambda: dl.critical_exponent([1.0]), "at least 2 lags"),
        (lambda: dl.first_order_exponent([1.0]), "at least 2 lags"),
        (lambda: dl.critical_scale([1.0, 0.0], level=0.0), "level must be greater than 0"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_matrix_that_does_not_fit_float64():
    with pytest.raises(OverflowError, match="use log_displacement"):
        dl.covariance_matrix(fractional(0.5, 1200), 1.0)


@pytest.mark.parametrize("level", [1e-6, 1.0, 1e6])
def test_critical_scale_reaches_the_level(level):
    for block in correlated.BLOCKS:
        g = fractional(0.7, 60)
        scale = dl.critical_scale(g, block, level=level)
        reached = dl.log_displacement(g, scale, block)[-1]
        assert reached == pytest.approx(math.log(level), abs=1e-8)


def test_a_first_order_sum_of_zero_is_named():
    with pytest.raises(ValueError, match="covariance must have a positive first-order sum, got 0"):
        dl.critical_scale([1.0, -1.0], "single")


@pytest.mark.parametrize(
    ("function", "depth"), [(dl.covariance_matrix, 10_000), (dl.log_gradient_displacement, 6000)]
)
def test_more_memory_than_there_is_is_refused_beforehand(function, depth):
    g = np.zeros(depth)
    g[0] = 1.0
    with pytest.raises(ValueError, match=r"covariance of depth \d+ needs [23]\.\d GiB"):
        function(g, 0.1)
