"""Estimates are as far off as they say, moments merge, tests with atoms do not cry wolf."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from companion.montecarlo import Estimate, Moments, TestResult, fit_slope, ks_against, ks_between
from tests import defects

REPETITIONS = 2000
SIZE = 400


def coverage(found: Estimate, truth: float) -> float:
    """Fraction of repetitions whose 95 % interval holds the truth."""
    return float(np.mean(np.abs(found.z(truth)) < 1.96))


def assert_honest(found: Estimate, truth: float) -> None:
    """Within 4.5 standard deviations of a 95 % coverage, less 1 % for SIZE samples."""
    slack = 4.5 * (0.95 * 0.05 / REPETITIONS) ** 0.5
    assert 0.94 - slack < coverage(found, truth) < 0.95 + slack
    assert found.sem.mean() == pytest.approx(found.value.std(), rel=0.1)


def draws(law: str) -> np.ndarray:
    """``SIZE`` samples of each repetition, of mean 0 and variance 1."""
    rng = np.random.default_rng(1)
    shape = (SIZE, REPETITIONS)
    return {
        "normal": rng.standard_normal(shape),
        "uniform": rng.uniform(-(3**0.5), 3**0.5, shape),
        "skewed": (rng.gamma(4.0, size=shape) - 4) / 2,
    }[law]


# ---------------------------------------------------------------- honest errors


def check_mean(law: str):
    assert_honest(Estimate.mean(draws(law)), 0.0)


def check_variance(law: str):
    assert_honest(Estimate.variance(draws(law)), 1.0)


def check_covariance(law: str):
    x, y = draws(law), np.random.default_rng(2).standard_normal((SIZE, REPETITIONS))
    assert_honest(Estimate.covariance(x, 0.6 * x + y), 0.6)


CHECKS = [check_mean, check_variance, check_covariance]


@pytest.mark.mc
@pytest.mark.parametrize("law", ["normal", "uniform", "skewed"])
@pytest.mark.parametrize("check", CHECKS)
def test_coverage(check, law):
    check(law)


def small_errors(patch: pytest.MonkeyPatch) -> None:
    """Understate every standard error by a fifth."""
    true = Estimate.__post_init__

    def wrong(self):
        true(self)
        object.__setattr__(self, "sem", 0.8 * self.sem)

    patch.setattr(Estimate, "__post_init__", wrong)


def normal_error_of_variance(patch: pytest.MonkeyPatch) -> None:
    """Give every variance the error of a normal sample."""

    def wrong(self):
        value = self.sum2 / (self.n - 1)
        return Estimate(value, value * (2 / self.n) ** 0.5, self.n)

    patch.setattr(Moments, "variance", property(wrong))


@pytest.mark.mc
@pytest.mark.parametrize("check", CHECKS)
def test_coverage_rejects_small_errors(check):
    defects.must_reject(small_errors, check, "normal")


@pytest.mark.mc
@pytest.mark.parametrize("law", ["uniform", "skewed"])
def test_coverage_rejects_normal_errors(law):
    defects.must_reject(normal_error_of_variance, check_variance, law)


def check_slope(through_origin: bool):
    rng = np.random.default_rng(3)
    x, sem = np.array([0.5, 1.0, 2.0, 5.0]), np.array([0.3, 0.1, 0.2, 0.4])
    truth = 2.0 * x + (0.0 if through_origin else 1.0)
    values = truth + sem * rng.standard_normal((REPETITIONS, 4))
    slopes = [fit_slope(x, Estimate(row, sem, 9), through_origin=through_origin) for row in values]
    joined = Estimate([s.value for s in slopes], [s.sem for s in slopes], 9)
    assert_honest(joined, 2.0)


@pytest.mark.mc
@pytest.mark.parametrize("through_origin", [False, True])
def test_slope_coverage(through_origin):
    check_slope(through_origin)
    defects.must_reject(small_errors, check_slope, through_origin)


def test_slope_is_the_weighted_fit():
    rng = np.random.default_rng(4)
    x, y, sem = rng.standard_normal(6), rng.standard_normal(6), rng.uniform(0.1, 2, 6)
    coefficients, covariance = np.polyfit(x, y, 1, w=1 / sem, cov="unscaled")
    found = fit_slope(x, Estimate(y, sem, 5))
    assert found.value == pytest.approx(coefficients[0], rel=1e-12)
    assert found.sem == pytest.approx(covariance[0, 0] ** 0.5, rel=1e-12)
    assert found.n == 5


def test_moments_against_scipy():
    x = np.random.default_rng(5).gamma(2.0, size=(1000, 3))
    found = Moments.of(x)
    np.testing.assert_allclose(found.mean.value, x.mean(0), rtol=1e-14)
    np.testing.assert_allclose(found.mean.sem, stats.sem(x, axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.variance.value, x.var(0, ddof=1), rtol=1e-13)
    for order in (2, 3, 4):
        np.testing.assert_allclose(found.central(order), stats.moment(x, order), rtol=1e-12)
    np.testing.assert_allclose(found.skewness.value, stats.skew(x), rtol=1e-12)
    assert np.all(found.skewness.agrees(2 / 2**0.5, allowance=1.0))


def test_covariance_of_a_sample_with_itself_is_its_variance():
    x = np.random.default_rng(6).standard_normal(500)
    covariance, variance = Estimate.covariance(x, x), Estimate.variance(x)
    assert covariance.value == pytest.approx(variance.value, rel=1e-13)
    assert covariance.sem == pytest.approx(variance.sem, rel=0.01)
    assert Estimate.covariance(x, 3 * x + 7).value == pytest.approx(np.cov(x, 3 * x)[0, 1])


@pytest.mark.parametrize("offset", [0.0, 1e6, -1e8])
@pytest.mark.parametrize("cuts", [[1], [1, 2, 3], [500], [10, 400, 990, 999]])
def test_merged_moments_are_those_of_the_whole(offset, cuts):
    x = np.random.default_rng(7).gamma(2.0, size=(1000, 2)) + offset
    parts = [Moments.of(part) for part in np.split(x, cuts)]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged + part
    whole = Moments.of(x)
    assert merged.n == whole.n == 1000
    # averages are rounded to 1e-16 |offset|; moments about zero would lose 1e-16 offset^2
    error = 1e-12 + 1e-14 * abs(offset)
    np.testing.assert_allclose(merged.average, whole.average, rtol=1e-14)
    for order in (2, 3, 4):
        np.testing.assert_allclose(merged.central(order), whole.central(order), rtol=error)
    np.testing.assert_allclose(merged.variance.sem, whole.variance.sem, rtol=error)


# ---------------------------------------------------------------- arithmetic and judgement


def test_agreement_is_a_band():
    found = Estimate(1.0, 0.1, 10)
    assert found.agrees(1.449)
    assert not found.agrees(1.451)
    assert found.agrees(1.55, allowance=0.1)
    assert not found.agrees(0.3, k=6)
    assert found.z(1.3) == pytest.approx(-3)
    assert found.resolves(0.46)
    assert not found.resolves(-0.44)


def test_agreement_needs_every_component():
    found = Estimate([1.0, 2.0], [0.1, 0.0], 10)
    assert found.agrees([1.2, 2.0])
    assert not found.agrees([1.2, 2.0 + 1e-9])
    assert not Estimate(np.nan, 0.1, 10).agrees(1.0)
    assert not Estimate(1.0, 0.1, 10).agrees(np.nan)
    np.testing.assert_array_equal(found.z([1.0, 2.5]), [0.0, -np.inf])


def test_arithmetic_propagates_errors():
    x, y = Estimate(6.0, 0.3, 10), Estimate(2.0, 0.4, 20)
    for found, value, sem in (
        (x - y, 4.0, 0.5),
        (x - 1, 5.0, 0.3),
        (-2 * x, -12.0, 0.6),
        (x * 2, 12.0, 0.6),
        (x / 2, 3.0, 0.15),
        (x / y, 3.0, np.hypot(0.15, 0.6)),
    ):
        assert (found.value, found.sem) == (pytest.approx(value), pytest.approx(sem))
        assert found.n == 10
    pair = np.array([1.0, 2.0]) * x
    assert isinstance(pair, Estimate)
    assert pair.value.tolist() == [6.0, 12.0]
    assert pair[1].sem == pytest.approx(0.6)


def test_estimates_print_their_error():
    assert str(Estimate(1.2345678, 0.0123, 10)) == "1.235 ± 0.012"
    assert str(Estimate(1234.4, 123.0, 10)) == "1234 ± 123"
    assert str(Estimate(-0.5, 0.0, 10)) == "-0.500000 ± 0.000000"
    assert f"{Estimate(1.2345678, 0.0123, 10):.3f}" == "1.235 ± 0.012"
    assert str(Estimate([1.0, 2.0], [0.1, 0.1], 10)) == "Estimate of shape (2,), n=10"


# ---------------------------------------------------------------- distribution tests


def check_ks_level():
    """Under equality, p-values are uniform; with a shift, they are not."""
    rng = np.random.default_rng(8)
    pvalues = [
        ks_between(rng.standard_normal(300), rng.standard_normal(200), decimals=None).pvalue
        for _ in range(400)
    ]
    for level in (0.05, 0.3, 0.6):
        slack = 4.5 * (level * (1 - level) / 400) ** 0.5
        assert abs(np.mean(np.array(pvalues) < level) - level) < slack + 0.03


@pytest.mark.mc
def test_ks_level():
    check_ks_level()


@pytest.mark.mc
def test_ks_level_rejects_the_wrong_size():
    def double(patch):
        true = stats.ks_2samp
        patch.setattr(
            stats,
            "ks_2samp",
            lambda a, b, method: true(np.repeat(a, 2), np.repeat(b, 2), method="asymp"),
        )

    defects.must_reject(double, check_ks_level)


def two_noisy_atoms() -> tuple[np.ndarray, np.ndarray]:
    """One law with an atom of weight .3, which two algorithms compute to different last digits."""
    rng = np.random.default_rng(9)
    samples = rng.standard_normal((2, 3000))
    atom = rng.random((2, 3000)) < 0.3
    samples[0, atom[0]] = np.log(0.5)
    samples[1, atom[1]] = np.log(0.5) * (1 + 2.3e-16)
    return samples[0], samples[1]


def test_rounding_restores_ties():
    x, y = two_noisy_atoms()
    assert ks_between(x, y, decimals=None).rejects(1e-6)
    assert not ks_between(x, y).rejects(0.01)
    assert ks_between(x, y).decimals == 4
    assert ks_between(x, y + 0.2).rejects(0.01)


def test_signed_zeros_tie():
    x = np.array([-0.00001, 0.00001] * 50)
    assert ks_between(x, -x).statistic == 0
    assert ks_between(np.abs(x), -np.abs(x)).statistic == 0


def test_dead_networks_are_an_atom_at_minus_infinity():
    rng = np.random.default_rng(10)
    x, y = rng.standard_normal((2, 500))
    x[:100] = y[:100] = -np.inf
    assert not ks_between(x, y).rejects(0.01)
    y[:300] = -np.inf
    assert ks_between(x, y).rejects(0.01)


def test_ks_against_a_law():
    x = np.random.default_rng(11).standard_normal(3000)
    found = ks_against(x, stats.norm.cdf)
    assert not found.rejects(0.01)
    assert found.sizes == (3000,)
    assert ks_against(x, stats.norm(0.15).cdf).rejects(0.01)


def test_rejection_is_corrected_for_many_tests():
    found = TestResult(0.1, 0.004, (10, 10))
    assert found.rejects()
    assert found.rejects(0.01, tests=2)
    assert not found.rejects(0.01, tests=3)
    assert not found.rejects(0.004)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Estimate([1.0, 2.0], 0.1, 5), r"value and sem must have one shape, got \(2,\)"),
        (lambda: Estimate(1.0, -0.1, 5), "sem must be finite and >= 0"),
        (lambda: Estimate(1.0, np.nan, 5), "sem must be finite and >= 0"),
        (lambda: Estimate(1.0, 0.1, 1), "n must be at least 2 to carry an error, got 1"),
        (lambda: Moments.of(3.0), r"samples must have a non-empty first axis, got shape \(\)"),
        (lambda: Moments.of([]), r"samples must have a non-empty first axis, got shape \(0,\)"),
        (lambda: Moments.of([1.0, np.nan, -np.inf]), "samples must be finite, got 2 NaN or inf"),
        (lambda: Estimate.mean([1.0]), "this moment needs at least 2 samples, got 1"),
        (lambda: Estimate.variance([1.0, 2.0, 3.0]), "needs at least 4 samples, got 3"),
        (lambda: fit_slope([1.0], Estimate([1.0], [0.1], 5)), "one-dimensional of one length >= 2"),
        (lambda: fit_slope([1, 2, 3], Estimate([1.0, 2], [1.0, 1], 5)), r"got shapes \(3,\) and"),
        (lambda: fit_slope([1, 1], Estimate([1.0, 2], [1.0, 1], 5)), "two different values"),
        (lambda: fit_slope([1, 2], Estimate([1.0, 2], [1.0, 0], 5)), "positive standard error"),
        (lambda: ks_between([1.0], [1.0, 2.0]), "needs at least 2 samples, got 1"),
        (lambda: ks_between([1.0, np.nan], [1.0, 2.0]), "must not hold NaN; mark dead networks"),
        (lambda: ks_against([1.0, np.nan], stats.norm.cdf), "must not hold NaN"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
