"""The first kink and the remainders of ReLU networks: integration, limits, explicit networks."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy import integrate, stats

from companion import expansion as ex
from companion.activations import Erf, LeakyReLU
from companion.architecture import ResNetSpec
from companion.expansion import kinks
from companion.montecarlo import Estimate, ks_against
from tests.defects import must_reject
from tests.expansion.networks import apply, expand, start, weights

RELU = ResNetSpec.residual_expansion


# ---------------------------------------------------------------- reference numbers


def test_reference_kink():
    law = ex.first_kink(RELU(50, 1.0, width=32))
    assert law.mean == pytest.approx(4.23e-4, abs=5e-7)
    assert law.median == pytest.approx(2.93e-4, abs=5e-7)
    roots = sum(math.sqrt(block - 1) for block in range(1, 51))
    assert law.mean == pytest.approx(math.pi / (32 * roots), rel=1e-13)
    deep = ex.first_kink(RELU(10**5, 1.0, width=8, sigma_w2=3.0))
    assert deep.mean == pytest.approx(1.5 * math.pi / (8 * 1.5**0.5 * 10**7.5), rel=1e-4)


def test_law_of_the_first_kink():
    law = ex.FirstKink(4.0)
    exact = stats.expon(scale=0.25)
    s = np.array([0.0, 0.1, 2.0, 100.0])
    assert law.cdf(s) == pytest.approx(exact.cdf(s))
    assert law.survival(s) == pytest.approx(exact.sf(s))
    assert (law.mean, law.median) == pytest.approx((exact.mean(), exact.median()))
    assert law.cdf(1e-20) == pytest.approx(4e-20, rel=1e-12)


def test_scales_of_the_layers():
    """A block that is off is absent; the value of a common scale does not matter."""
    spec = RELU(3, (0.2, 0.0, 0.2), width=16)
    # two blocks of one scale, written for their root mean square over three layers
    two = ex.first_kink(RELU(2, 0.7, width=16))
    before_off = 16 * math.sqrt(1.5) / math.pi  # the units of the block that is off still kink
    expected = (two.rate * math.sqrt(1.5)) + before_off
    assert ex.first_kink(spec).rate == pytest.approx(expected)
    assert ex.first_kink(RELU(9, 0.0, width=4)) == ex.first_kink(RELU(9, 3.0, width=4))


TABLE = [  # reduced scale, simulated remainder after order 2, its error, leading term, order 3
    (0.125, 5.52e-6, 0.07e-6, 5.05e-6, 0.60e-6),
    (0.25, 1.939e-4, 0.023e-4, 1.617e-4, 0.383e-4),
    (0.5, 7.33e-3, 0.08e-3, 5.17e-3, 2.45e-3),
    (1.0, 0.3230, 0.0038, 0.1655, 0.1568),
]


@pytest.mark.parametrize(("reduced", "simulated", "sem", "leading", "third"), TABLE)
def test_reference_remainders(reduced, simulated, sem, leading, third):
    """The exact wide limit explains simulations of width 32 without further terms."""
    spec = RELU(50, reduced / 50**0.5, width=32)
    assert ex.remainder_leading(spec) == pytest.approx(leading, rel=2e-3)
    assert math.exp(ex.log_order_energies(spec, 3)[3]) == pytest.approx(third, rel=5e-3)
    exact = ex.remainder_energies(spec, 2)[2]
    assert abs(exact - simulated) < 2.5 * sem
    assert abs(leading - simulated) > 4.5 * sem


def test_reference_gap():
    assert abs(ex.gap_energy(RELU(50, 50**-0.5, width=32)) - 0.293) < 2 * 0.004


# ---------------------------------------------------------------- the exact remainders


def test_leading_power_is_five():
    """``R_2`` over its leading term tends to 1, and so does the gap; R_1 has the power 4."""
    ratio = []
    for s in (1e-2, 1e-3, 1e-4):
        spec = RELU(40, s / 40**0.5, width=4, sigma_w2=1.3)
        remainders = ex.remainder_energies(spec, 3)
        ratio.append(remainders[2] / ex.remainder_leading(spec))
        assert remainders[1] == pytest.approx(
            math.exp(ex.log_order_energies(spec, 2)[2]), rel=5 * s
        )
        assert ex.gap_energy(spec) == pytest.approx(ex.remainder_leading(spec), rel=5 * s)
    assert np.abs(np.array(ratio) - 1) == pytest.approx([0, 0, 0], abs=0.02)
    assert abs(ratio[2] - 1) < abs(ratio[1] - 1) / 5 < abs(ratio[0] - 1) / 25
    approximate = 8 / (15 * math.pi) * 0.65**2.5
    assert ex.remainder_leading(RELU(4000, 4000**-0.5, width=4, sigma_w2=1.3)) == pytest.approx(
        approximate, rel=1e-3
    )


@pytest.mark.parametrize("grown", [1e-8, 0.01, 3.0])
def test_crossing_moment_by_integration(grown):
    """``E[u v; u < 0 < w]`` over the joint normal law of the stream and the input."""
    variance, overlap = 1 + grown, 0.37
    rho = variance**-0.5
    theta = math.acos(rho) if grown > 1e-3 else math.atan(math.sqrt(grown))

    def polar(function: object) -> float:
        """Integral over the wedge of directions in which the two signs differ; E r^2 = 2."""
        value = integrate.quad(
            lambda x: function(math.cos(math.pi / 2 + x), math.cos(math.pi / 2 + x - theta)),
            0,
            theta,
            epsabs=0,
        )[0]
        return value / math.pi

    root = math.sqrt(variance)
    matrix = np.array([[variance, 1.0], [1.0, 1.0]])
    found = kinks._crossing(grown, np.array([1.0, overlap, 0.0]))
    if grown > 1e-3:
        a, b = np.linalg.solve(matrix, [overlap, 0.0])  # regression of v on (u, w)
        expected = polar(lambda u, w: root * u * (a * root * u + b * w))
        assert found[1] == pytest.approx(expected, rel=1e-9)
    else:
        assert found[1] == pytest.approx(overlap * math.sqrt(grown) / (2 * math.pi), rel=1e-3)
    assert found[0] == pytest.approx(polar(lambda u, w: root * u * w), rel=1e-8)
    assert found[2] == 0


def test_angle_excess_in_high_precision():
    for theta in (1e-9, 1e-3, 0.3, 0.4999, 0.5001, 1.5):
        with mpmath.workdps(40):
            t = mpmath.mpf(theta)
            exact = float(t - mpmath.sin(t) * mpmath.cos(t))
        assert kinks._angle_excess(theta) == pytest.approx(exact, rel=1e-14)


def test_limits_of_the_remainders():
    linear = RELU(12, 0.4, width=4, activation="linear", sigma_w2=1.0)
    energies = np.exp(ex.log_order_energies(linear))
    tails = [energies[k + 1 :].sum() for k in range(13)]
    assert ex.remainder_energies(linear, 12) == pytest.approx(tails, rel=1e-12)
    assert ex.gap_energy(linear) == 0
    assert ex.remainder_leading(RELU(12, 0.4, width=4).replace(activation=LeakyReLU(1.0))) == 0
    one = RELU(1, 0.7, width=4)
    assert ex.remainder_energies(one, 1) == pytest.approx([0.49, 0.0], abs=1e-16)
    # order 0: the distance from the input, in closed form
    spec = RELU(30, 0.3, width=4, sigma_w2=1.1)
    assert ex.remainder_energies(spec, 0)[0] == pytest.approx(
        math.expm1(ex.log_total_energy(spec)), rel=1e-12
    )


# ---------------------------------------------------------------- against networks


def check_first_kink() -> None:
    """How often no unit of the true network has changed sign at a scale, 6 blocks."""
    n, depth, networks, gain2 = 32, 6, 3000, 3.0
    law = ex.first_kink(RELU(depth, 1.0, width=n, sigma_w2=2 * gain2))
    rng = np.random.default_rng(60)
    kept = {factor: [] for factor in (0.35, 1.0, 2.0)}
    for _ in range(3):
        h = start(networks // 3, n, rng)
        streams = dict.fromkeys(kept, h)
        alive = {factor: np.ones(networks // 3, dtype=bool) for factor in kept}
        for _ in range(depth):
            w, v = (weights(networks // 3, n, g, rng) for g in (2 * gain2, 1.0))
            mask = apply(w, h) > 0
            for factor, stream in streams.items():
                z = apply(w, stream)
                alive[factor] &= np.all((z > 0) == mask, axis=1)
                streams[factor] = stream + factor * law.mean * apply(v, np.maximum(z, 0))
        for factor, flags in kept.items():
            flags.append(alive[factor])
    for factor, flags in kept.items():
        survival = Estimate.mean(np.concatenate(flags).astype(float))
        theory = float(law.survival(factor * law.mean))
        assert survival.resolves(0.06)
        # the spread of the branches' norms lowers the rate by at most 7/(8 n), in the first layers
        assert survival.agrees(theory, allowance=factor * theory * 1 / n)


def gain_for_its_root(patch):
    """The variance of the slope where its standard deviation belongs."""
    true = kinks.first_kink
    root = math.sqrt(3.0)
    patch.setattr(ex, "first_kink", lambda spec: ex.FirstKink(true(spec).rate * root))


def both_signs(patch):
    """Roots at negative scales count too."""
    true = kinks.first_kink
    patch.setattr(ex, "first_kink", lambda spec: ex.FirstKink(true(spec).rate * 2))


def layers_from_one(patch):
    """Block l has seen l branches instead of l - 1."""
    true = kinks.first_kink
    blocks = np.arange(1, 7)
    factor = np.sum(np.sqrt(blocks)) / np.sum(np.sqrt(blocks - 1))
    patch.setattr(ex, "first_kink", lambda spec: ex.FirstKink(true(spec).rate * factor))


@pytest.mark.mc
def test_first_kink_of_networks():
    check_first_kink()


@pytest.mark.mc
@pytest.mark.parametrize("defect", [gain_for_its_root, both_signs, layers_from_one])
def test_first_kink_of_networks_rejects(defect):
    must_reject(defect, check_first_kink)


def test_exponential_law_of_cauchy_roots():
    """The Poisson picture alone: the least positive ratio of independent normals."""
    n, depth, networks = 32, 20, 4000
    rng = np.random.default_rng(61)
    least = np.full(networks, np.inf)
    for block in range(2, depth + 1):
        z0 = rng.standard_normal((networks, n))
        roots = -z0 / (rng.standard_normal((networks, n)) * math.sqrt(block - 1))
        least = np.minimum(least, np.min(np.where(roots > 0, roots, np.inf), axis=1))
    law = ex.first_kink(RELU(depth, 1.0, width=n))
    assert not ks_against(least, law.cdf).rejects(0.001)
    assert ks_against(least, ex.FirstKink(1.15 * law.rate).cdf).rejects(0.001)


def check_remainders(slope: float) -> None:
    """Remainders after orders 0 to 3 and the frozen sum, at reduced scale 1 and width 64."""
    n, depth, networks = 64, 8, 300
    rng = np.random.default_rng(62)
    spec = RELU(depth, depth**-0.5, width=n)
    sample = expand(n, spec.scales, networks, depth, rng, slope=slope)
    spec = spec.replace(activation=LeakyReLU(slope)) if slope else spec
    partial = np.cumsum(sample.orders, axis=0)
    gaps = np.mean((sample.stream - partial) ** 2, axis=2)[[1, 2, 3, depth]].T
    theory = ex.remainder_energies(spec, depth)[[1, 2, 3, depth]]
    measured = Estimate.mean(gaps)
    assert measured.resolves(theory / 4)
    assert measured.agrees(theory, allowance=2 / n * theory)


def energies_alone(patch):
    """Only the orders left out, as if masks did not matter."""
    patch.setattr(kinks, "_deficits", lambda spec, top: np.zeros(top + 1))


def independent_signs(patch):
    """The order's preactivation is taken as independent of the unit's sign change."""
    true = kinks._crossing

    def wrong(grown, overlaps):
        products = true(grown, overlaps)
        products[1:] = 0
        return products

    patch.setattr(kinks, "_crossing", wrong)


def relu_jump(patch):
    """The squared jump of the slope of ReLU for every activation."""
    patch.setattr(kinks, "_jump", lambda spec: 1.0)


@pytest.mark.mc
@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_remainders_of_networks(slope):
    check_remainders(slope)


@pytest.mark.mc
@pytest.mark.parametrize(
    ("defect", "slope"), [(energies_alone, 0.0), (independent_signs, 0.0), (relu_jump, 0.3)]
)
def test_remainders_of_networks_reject(defect, slope):
    must_reject(defect, check_remainders, slope)


# ---------------------------------------------------------------- errors


def test_errors():
    with pytest.raises(ValueError, match="two-layer ReLU or leaky ReLU blocks, got block='single'"):
        ex.first_kink(RELU(3, 0.1, width=4, block="single"))
    with pytest.raises(ValueError, match="smooth activations have no kinks"):
        ex.remainder_leading(RELU(3, 0.1, width=4).replace(activation=Erf()))
    with pytest.raises(ValueError, match="depth must be at least 2"):
        ex.first_kink(RELU(1, 0.1, width=4))
    with pytest.raises(ValueError, match="activation must have a kink"):
        ex.first_kink(RELU(5, 0.1, width=4).replace(activation=LeakyReLU(1.0)))
    with pytest.raises(ValueError, match=r"skip 1 and balanced=False, got skip=0\.5"):
        ex.remainder_energies(RELU(3, 0.1, width=4).replace(skip=0.5), 2)
    with pytest.raises(OverflowError, match="use a smaller scale"):
        ex.remainder_energies(RELU(2000, 5.0, width=4), 2)
    with pytest.raises(ValueError, match="rate must be greater than 0"):
        ex.FirstKink(0.0)
