r"""Monte Carlo results that carry their error: estimates, streaming moments, slopes, tests.

Notation
--------
=============  =======================  =========================================
symbol         name                     meaning
=============  =======================  =========================================
:math:`n`      ``n``                    independent samples behind an estimate
s.e.m.         ``sem``                  standard error of whatever is estimated
:math:`k`      ``k``                    width of an acceptance band, in ``sem``
:math:`m_p`    ``Moments.central``      central moment of order ``p``
=============  =======================  =========================================

How to read an `Estimate` is explained in the book (``sec-reading-estimates``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "AGREEMENT_SIGMAS",
    "Estimate",
    "Moments",
    "TestResult",
    "fit_slope",
    "ks_against",
    "ks_between",
]

#: Half-width of the house's acceptance band, in standard errors.
AGREEMENT_SIGMAS = 4.5

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """An estimated quantity with its standard error and sample size.

    Parameters
    ----------
    value, sem : float or ndarray of one common shape
        The estimate and its standard error, in the units of the quantity. ``sem`` must be
        finite and non-negative: an error bar that could not be computed is not an estimate.
    n : int
        Number of independent samples.

    Raises
    ------
    ValueError
        If shapes differ, ``sem`` is negative or not finite, or ``n < 2``.
    """

    value: Array
    sem: Array
    n: int

    __array_ufunc__ = None  # ``array * estimate`` is an Estimate, not an array of them

    def __post_init__(self) -> None:
        value = np.asarray(self.value, dtype=np.float64)
        sem = np.asarray(self.sem, dtype=np.float64)
        if value.shape != sem.shape:
            raise ValueError(
                f"value and sem must have one shape, got {value.shape} and {sem.shape}; "
                "broadcast them before building the Estimate."
            )
        if not (np.all(np.isfinite(sem)) and np.all(sem >= 0)):
            raise ValueError(
                f"sem must be finite and >= 0, got {sem!r}; an estimate needs at least two "
                "samples and finite moments."
            )
        if self.n < 2:
            raise ValueError(f"n must be at least 2 to carry an error, got {self.n}.")
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "sem", sem)
        object.__setattr__(self, "n", int(self.n))

    @classmethod
    def mean(cls, samples: ArrayLike) -> Estimate:
        """Mean over axis 0 of independent samples, shape ``(n, ...)``."""
        return Moments.of(samples).mean

    @classmethod
    def variance(cls, samples: ArrayLike) -> Estimate:
        """Unbiased variance over axis 0; its error uses the fourth moment."""
        return Moments.of(samples).variance

    @classmethod
    def covariance(cls, x: ArrayLike, y: ArrayLike) -> Estimate:
        """Unbiased covariance of two paired samples over axis 0.

        The error is that of the mean of the products of the centred samples, which is the
        delta-method error to leading order in ``1/n``.
        """
        a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        products = (a - a.mean(0)) * (b - b.mean(0))
        n = products.shape[0]
        biased = cls.mean(products)
        return cls(biased.value * n / (n - 1), biased.sem * n / (n - 1), n)

    def z(self, target: ArrayLike) -> Array:
        """Distance from ``target`` in standard errors (infinite where the error is zero)."""
        gap = self.value - np.asarray(target, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(gap == 0, 0.0, gap / self.sem)

    def agrees(
        self, target: ArrayLike, k: float = AGREEMENT_SIGMAS, allowance: ArrayLike = 0.0
    ) -> bool:
        """Whether every component lies within ``k * sem + allowance`` of ``target``.

        Parameters
        ----------
        target : array_like
            Value to compare with, broadcast against the estimate.
        k : float
            Half-width of the band in standard errors.
        allowance : array_like
            Absolute systematic allowance, for a leading-order formula at finite size.
        """
        gap = np.abs(self.value - np.asarray(target, dtype=np.float64))
        return bool(np.all(gap <= k * self.sem + np.asarray(allowance, dtype=np.float64)))

    def resolves(self, effect: ArrayLike, k: float = AGREEMENT_SIGMAS) -> bool:
        """Whether ``k`` standard errors are smaller than ``|effect|`` in every component.

        A test that accepts must also be able to reject: call this with the size of the effect
        that the test is meant to see.
        """
        return bool(np.all(k * self.sem < np.abs(np.asarray(effect, dtype=np.float64))))

    def __sub__(self, other: Estimate | ArrayLike) -> Estimate:
        """Difference of *independent* estimates, or of an estimate and a constant."""
        if isinstance(other, Estimate):
            return Estimate(
                self.value - other.value, np.hypot(self.sem, other.sem), min(self.n, other.n)
            )
        value = self.value - np.asarray(other, dtype=np.float64)
        return Estimate(value, np.broadcast_to(self.sem, value.shape), self.n)

    def __mul__(self, factor: ArrayLike) -> Estimate:
        c = np.asarray(factor, dtype=np.float64)
        return Estimate(self.value * c, self.sem * np.abs(c), self.n)

    __rmul__ = __mul__

    def __truediv__(self, other: Estimate | ArrayLike) -> Estimate:
        """Ratio of *independent* estimates (first-order error), or division by a constant."""
        if isinstance(other, Estimate):
            ratio = self.value / other.value
            spread = np.hypot(self.sem / other.value, ratio * other.sem / other.value)
            return Estimate(ratio, spread, min(self.n, other.n))
        return self * (1.0 / np.asarray(other, dtype=np.float64))

    def __getitem__(self, index: Any) -> Estimate:
        return Estimate(self.value[index], self.sem[index], self.n)

    def __format__(self, spec: str) -> str:
        """Value and error; without a format spec, both to two significant digits of the error."""
        if self.value.ndim:
            return f"Estimate of shape {self.value.shape}, n={self.n}"
        value, sem = float(self.value), float(self.sem)
        if not spec:
            digits = 1 - math.floor(math.log10(sem)) if sem > 0 else 6
            spec = f".{min(max(digits, 0), 15)}f"
        return f"{value:{spec}} ± {sem:{spec}}"

    def __str__(self) -> str:
        return format(self, "")


@dataclass(frozen=True)
class Moments:
    """Count, mean and central moment *sums* up to order four, mergeable and streaming.

    Built by `Moments.of` from a batch of shape ``(n, ...)``; two of them add up to the moments
    of the joined samples. Merging uses the pairwise update of central moments, which does not
    lose digits when the mean is large against the spread.
    """

    n: int
    average: Array
    sum2: Array
    sum3: Array
    sum4: Array

    @classmethod
    def of(cls, samples: ArrayLike) -> Moments:
        """Moments over axis 0 of ``samples``.

        Raises
        ------
        ValueError
            If there is no sample axis or a sample is not finite.
        """
        x = np.asarray(samples, dtype=np.float64)
        if x.ndim == 0 or x.shape[0] == 0:
            raise ValueError(f"samples must have a non-empty first axis, got shape {x.shape}.")
        if not np.all(np.isfinite(x)):
            bad = int(np.sum(~np.isfinite(x)))
            raise ValueError(
                f"samples must be finite, got {bad} NaN or infinite values; condition on the "
                "networks that are alive, or work in logs."
            )
        average = x.mean(0)
        c = x - average
        c2 = c * c
        return cls(x.shape[0], average, c2.sum(0), (c2 * c).sum(0), (c2 * c2).sum(0))

    def __add__(self, other: Moments) -> Moments:
        na, nb, n = self.n, other.n, self.n + other.n
        d = other.average - self.average
        a2, b2, a3, b3 = self.sum2, other.sum2, self.sum3, other.sum3
        sum2 = a2 + b2 + d**2 * na * nb / n
        sum3 = a3 + b3 + d**3 * na * nb * (na - nb) / n**2 + 3 * d * (na * b2 - nb * a2) / n
        sum4 = (
            self.sum4
            + other.sum4
            + d**4 * na * nb * (na**2 - na * nb + nb**2) / n**3
            + 6 * d**2 * (na**2 * b2 + nb**2 * a2) / n**2
            + 4 * d * (na * b3 - nb * a3) / n
        )
        return Moments(n, self.average + d * nb / n, sum2, sum3, sum4)

    def central(self, order: int) -> Array:
        """Biased central moment ``m_p`` for ``order`` 2, 3 or 4."""
        return {2: self.sum2, 3: self.sum3, 4: self.sum4}[order] / self.n

    @property
    def mean(self) -> Estimate:
        """Sample mean with its standard error."""
        self._require(2)
        return Estimate(self.average, np.sqrt(self.sum2 / (self.n - 1) / self.n), self.n)

    @property
    def variance(self) -> Estimate:
        r"""Unbiased variance; error :math:`\sqrt{(m_4-\frac{n-3}{n-1}m_2^2)/n}`."""
        self._require(4)
        m2, m4 = self.central(2), self.central(4)
        spread = (m4 - (self.n - 3) / (self.n - 1) * m2**2) / self.n
        return Estimate(self.sum2 / (self.n - 1), np.sqrt(np.maximum(spread, 0.0)), self.n)

    @property
    def skewness(self) -> Estimate:
        r"""Sample skewness :math:`m_3/m_2^{3/2}` with the error of a normal sample."""
        self._require(4)
        n = self.n
        value = self.central(3) / self.central(2) ** 1.5
        error = np.sqrt(6.0 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
        return Estimate(value, np.full_like(value, error), n)

    def _require(self, least: int) -> None:
        if self.n < least:
            raise ValueError(f"this moment needs at least {least} samples, got {self.n}.")


def fit_slope(x: ArrayLike, y: Estimate, *, through_origin: bool = False) -> Estimate:
    """Slope of a weighted straight-line fit to independent estimates.

    Parameters
    ----------
    x : array_like, shape (p,)
        Abscissae without error.
    y : Estimate, shape (p,)
        Independent ordinates; weights are ``1 / sem**2``.
    through_origin : bool
        Fit ``y = slope * x`` without an intercept.

    Returns
    -------
    Estimate
        Scalar slope; its error is that of the fit with the errors of ``y`` taken as known.

    Raises
    ------
    ValueError
        With fewer points than parameters, equal abscissae, or a zero error.
    """
    t = np.asarray(x, dtype=np.float64)
    least = 1 if through_origin else 2
    if t.ndim != 1 or t.shape != y.value.shape or t.size < least:
        raise ValueError(
            f"x and y must be one-dimensional of one length >= {least}, got shapes {t.shape} "
            f"and {y.value.shape}."
        )
    if np.any(y.sem <= 0):
        raise ValueError("every point needs a positive standard error to be weighted.")
    w = 1.0 / y.sem**2
    centre = 0.0 if through_origin else float(np.sum(w * t) / np.sum(w))
    level = 0.0 if through_origin else float(np.sum(w * y.value) / np.sum(w))
    spread = float(np.sum(w * (t - centre) ** 2))
    if spread == 0:
        raise ValueError(f"x must hold at least two different values, got {t}.")
    slope = float(np.sum(w * (t - centre) * (y.value - level))) / spread
    return Estimate(np.asarray(slope), np.asarray(spread**-0.5), y.n)


@dataclass(frozen=True)
class TestResult:
    """Outcome of a distribution test.

    Attributes
    ----------
    statistic : float
        Kolmogorov-Smirnov distance in [0, 1].
    pvalue : float
        Probability of a larger distance under equality of the laws; conservative with ties.
    sizes : tuple of int
        Sample sizes (two samples) or the one sample size.
    decimals : int or None
        Rounding applied before the comparison.
    """

    __test__ = False  # keeps pytest from collecting the class

    statistic: float
    pvalue: float
    sizes: tuple[int, ...]
    decimals: int | None = None

    def rejects(self, level: float = 0.01, tests: int = 1) -> bool:
        """Whether equality is rejected at ``level``, Bonferroni-corrected for ``tests``."""
        return self.pvalue < level / tests


def ks_between(x: ArrayLike, y: ArrayLike, *, decimals: int | None = 4) -> TestResult:
    """Two-sample Kolmogorov-Smirnov test that tolerates atoms.

    Laws with atoms (a network whose ReLUs are all dead has an exact log-norm) are ties in exact
    arithmetic and differ in the last digit in floating point, which makes the test reject equal
    laws. Rounding to ``decimals`` restores the ties; the p-value is then conservative.

    Parameters
    ----------
    x, y : array_like, one-dimensional
        Independent samples; infinities are allowed (dead networks), NaN is not.
    decimals : int or None
        Digits kept after the point, ``None`` for no rounding.
    """
    from scipy import stats

    a, b = (_rounded(v, decimals) for v in (x, y))
    found = stats.ks_2samp(a, b, method="asymp" if min(a.size, b.size) > 2000 else "auto")
    return TestResult(float(found.statistic), float(found.pvalue), (a.size, b.size), decimals)


def ks_against(x: ArrayLike, cdf: Callable[[Array], ArrayLike]) -> TestResult:
    """One-sample Kolmogorov-Smirnov test against a continuous distribution function."""
    from scipy import stats

    a = _rounded(x, None)
    found = stats.ks_1samp(a, cdf)
    return TestResult(float(found.statistic), float(found.pvalue), (a.size,))


def _rounded(samples: ArrayLike, decimals: int | None) -> Array:
    a = np.asarray(samples, dtype=np.float64).ravel()
    if a.size < 2:
        raise ValueError(f"a Kolmogorov-Smirnov test needs at least 2 samples, got {a.size}.")
    if np.any(np.isnan(a)):
        raise ValueError("samples must not hold NaN; mark dead networks by -inf instead.")
    # Adding zero turns -0.0 into 0.0, so that the two tie.
    return a if decimals is None else np.round(a, decimals) + 0.0
