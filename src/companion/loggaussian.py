r"""Law of the log norm of ReLU networks whose depth is comparable to their width.

All functions take a `ResNetSpec` with single ReLU blocks, equal scales and no biases, that is
:math:`h_{l+1}=a h_l+s\sqrt{\sigma_w^2/n}\,W\varphi(h_l)`, and reduce it to skip
:math:`\alpha` and scale :math:`\lambda` with :math:`\alpha^2+\lambda^2=1`.

Notation
--------
========================  =============================  ======================================
symbol                    name                           label in the book
========================  =============================  ======================================
:math:`\alpha,\lambda`    ``alpha``, ``lam``             ``eq-lg-reduction``
:math:`v`                 `one_layer_variance`           ``eq-lg-v``
:math:`\Sigma_L[f]`       `lag_sum`                      ``eq-lg-lag-sum``
:math:`A,M,S,C`           in `companion.activations`     ``eq-lg-amsc``
:math:`\delta_l,f_l`      `hypoactivation`               ``eq-lg-hypoactivation``
:math:`\mu,\beta`         `log_norm_law`                 ``eq-lg-law``
:math:`c_L`               `log_second_moment`            ``eq-lg-second-moment``
:math:`J`                 `gradient_law`                 ``eq-lg-gradient-law``
========================  =============================  ======================================

That the limit is log-Gaussian is the result of Li, Nica and Roy (2021); the explicit form and the
constants were derived for this book and tested against simulation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion.activations import (
    ReLU,
    abs_moment,
    arc_cosine,
    sign_moment,
    sine_of,
    square_moment,
    square_sign_moment,
)
from companion.architecture import ResNetSpec

__all__ = [
    "DomainWarning",
    "LayerRates",
    "LogGaussian",
    "active_fraction_covariance",
    "aligned_sign_moment",
    "backward_reuse_shift",
    "covariance_two_inputs",
    "fully_connected_density",
    "fully_connected_law",
    "gradient_law",
    "hypoactivation",
    "imbalance_covariance",
    "lag_sum",
    "layer_rates",
    "log_norm_law",
    "log_second_moment",
    "mean_cosines",
    "one_layer_variance",
    "output_log_density",
    "stationary_hypoactivation",
    "tangent_alignment",
]

Array = NDArray[np.float64]

#: ``d lambda^2 / n`` above which the first-order law of vanilla gradients is known to fail.
GRADIENT_DOMAIN = 0.05


_ZETA_MINUS_HALF = -0.20788622497735457  # Riemann zeta: the correction of a square-root edge


class DomainWarning(UserWarning):
    """A formula is evaluated outside the range in which it was found to hold."""


@dataclass(frozen=True)
class LogGaussian:
    """Normal law of a log squared norm: natural logarithm, mean and variance."""

    mean: float
    variance: float

    def pdf(self, x: ArrayLike) -> Array:
        """Density at ``x``."""
        t = np.asarray(x, dtype=np.float64) - self.mean
        return np.exp(-(t**2) / (2 * self.variance)) / np.sqrt(2 * np.pi * self.variance)

    def cdf(self, x: ArrayLike) -> Array:
        """Distribution function at ``x``."""
        from scipy.special import ndtr

        return np.asarray(ndtr((np.asarray(x, dtype=np.float64) - self.mean) / self.std))

    @property
    def std(self) -> float:
        """Standard deviation."""
        return float(np.sqrt(self.variance))


def coefficients(spec: ResNetSpec) -> tuple[float, float, float]:
    r"""Normalised :math:`(\alpha,\lambda)` and the log growth :math:`L\ln(a^2+s^2c)`.

    Raises
    ------
    ValueError
        If ``spec`` is not a bias-free single-block ReLU network with equal scales.
    """
    if spec.block != "single" or not isinstance(spec.activation, ReLU):
        raise ValueError(
            f"the log-Gaussian law is for single ReLU blocks, got block={spec.block!r} with "
            f"activation={spec.activation!r}; build the spec with ResNetSpec.log_gaussian."
        )
    if not spec.homogeneous:
        raise ValueError(
            f"bias_variance must be 0 for the log-Gaussian law, got {spec.bias_variance}."
        )
    if not spec.weight_law.independent:
        raise ValueError(
            f"weight_law must be independent across layers for the log-Gaussian law, got "
            f"{spec.weight_law!r}."
        )
    if np.ptp(spec.scales) > 0:
        raise ValueError(
            "scale must be equal in all layers for the log-Gaussian law, got scales from "
            f"{spec.scales.min()} to {spec.scales.max()}."
        )
    alpha, lam, _ = spec.normalized_coefficients()
    growth = np.log(spec.skip**2 + spec.scales**2 * spec.gain(1.0))
    return float(alpha[0]), float(lam[0]), float(growth.sum())


def lag_sum(function: Callable[[Array], Array], alpha: float, depth: int) -> float:
    r""":math:`\Sigma_L[f]=\sum_{m=1}^{L-1}(L-m)f(\alpha^m)` for ``f`` with ``f(0) = 0``.

    Lags with :math:`\alpha^m<10^{-17}` are left out, so the cost is the smaller of ``depth`` and
    about ``39 / ln(1 / alpha)``.
    """
    lags = _lags(alpha, depth - 1)
    return float(np.sum((depth - lags) * function(alpha**lags))) if lags.size else 0.0


def one_layer_variance(spec: ResNetSpec) -> float:
    r""":math:`v=5\lambda^4+4\alpha^2\lambda^2`; one log increment has variance ``v / n``."""
    alpha, lam, _ = coefficients(spec)
    return 5 * lam**4 + 4 * alpha**2 * lam**2


class LayerRates(NamedTuple):
    r"""What one block adds, times :math:`n`, deep inside a network.

    ``own`` is :math:`v`; ``mean`` and ``variance`` are those of :math:`\ln\|h\|^2`, ``second``
    that of :math:`\ln E\|h\|^2`, all relative to the deterministic growth.
    """

    own: float
    mean: float
    variance: float
    second: float


def layer_rates(spec: ResNetSpec) -> LayerRates:
    r"""Rates at which moments grow per block, times :math:`n`, as :math:`L\to\infty`.

    Vanilla networks add to the balanced :math:`(-v/2, v, 0)` the sums over all lags of
    :math:`-2\lambda^4 rM(r)`, :math:`2\lambda^4C(r)` and :math:`\lambda^4S(r)`.
    """
    alpha, lam, _ = coefficients(spec)
    own = one_layer_variance(spec)
    if spec.balanced or lam == 0:
        return LayerRates(own, -own / 2, own, 0.0)
    r = alpha ** _lags(alpha, None)
    weight = lam**4
    return LayerRates(
        own,
        -own / 2 - 2 * weight * float(np.sum(r * abs_moment(r))),
        own + 2 * weight * float(np.sum(square_moment(r))),
        weight * float(np.sum(square_sign_moment(r))),
    )


def log_norm_law(spec: ResNetSpec, *, input_layer: str = "leading") -> LogGaussian:
    r"""Law of :math:`\ln(\|h_L\|^2/n)` with depth and width large and ``L/n`` fixed.

    Parameters
    ----------
    spec : ResNetSpec
        Vanilla, balanced or (``skip=0``) fully connected.
    input_layer : {"leading", "exact", "none"}
        Contribution of the random input map: :math:`(-1/n,2/n)` to mean and variance, the exact
        :math:`\psi(n/2)-\ln(n/2)` and :math:`\psi_1(n/2)`, or nothing (law given
        :math:`\|h_0\|^2=nK^0`).

    Returns
    -------
    LogGaussian
        Corrections to mean and variance are of order ``L / n**2`` for vanilla networks, and
        smaller for balanced and fully connected ones.

    Notes
    -----
    Log-Gaussian limit: Li, Nica and Roy (2021). Form and rates: derived here (``eq-lg-law``).
    """
    alpha, lam, growth = coefficients(spec)
    mean, variance = _input_layer(spec.width, input_layer)
    n, depth = spec.width, spec.depth
    rate = depth * one_layer_variance(spec) / n
    mean += growth + float(np.log(spec.input_variance)) - rate / 2
    variance += rate
    if not spec.balanced:
        weight = 2 * lam**4 / n
        mean -= weight * lag_sum(lambda r: r * abs_moment(r), alpha, depth)
        variance += weight * lag_sum(square_moment, alpha, depth)
    return LogGaussian(mean, variance)


def log_second_moment(spec: ResNetSpec) -> float:
    r""":math:`\ln(E\|h_L\|^2/E\|h_0\|^2)`: exact for balanced and fully connected networks.

    Vanilla networks gain :math:`\frac{\lambda^4}n\Sigma_L[S]` from the correlation of the
    activation imbalance across layers, up to ``O(L / n**2)`` (``eq-lg-second-moment``).
    """
    alpha, lam, growth = coefficients(spec)
    if spec.balanced:
        return growth
    return growth + lam**4 / spec.width * lag_sum(square_sign_moment, alpha, spec.depth)


def hypoactivation(spec: ResNetSpec) -> tuple[Array, Array]:
    r"""Mean imbalance :math:`E\delta_k` and mean active fraction :math:`Ef_k`.

    Returns
    -------
    imbalance, active : ndarray, shape (L + 1,)
        For the streams ``h_0 .. h_L``, up to ``O(n**-2)``; ``h_0`` is exact, and so are all
        layers of a balanced network (0 and 1/2).
    """
    alpha, lam, _ = coefficients(spec)
    n, layers = spec.width, spec.depth + 1
    if spec.balanced:
        return np.zeros(layers), np.full(layers, 0.5)
    r = alpha ** np.arange(1.0, layers)
    imbalance = -2 * lam**2 / n * np.cumsum(r * abs_moment(r))
    active = 0.5 - lam**2 / (np.pi * n) * np.cumsum(r * sine_of(r))
    return np.concatenate([[0.0], imbalance]), np.concatenate([[0.5], active])


def stationary_hypoactivation(spec: ResNetSpec) -> tuple[float, float]:
    r"""Constants :math:`nE\delta_\infty` and :math:`n(Ef_\infty-\frac12)` deep in the network."""
    alpha, lam, _ = coefficients(spec)
    if spec.balanced or lam == 0:
        return 0.0, 0.0
    step = -np.log1p(-(lam**2)) / 2 if lam < 1 else np.inf  # ln(1 / alpha), without cancellation
    if step < 1e-4:  # too many lags to sum: Euler-Maclaurin, error below 1e-10
        total = 3 / (4 * step) - 1 / 2 + step / 6
        active_total = np.pi / (4 * step) + _ZETA_MINUS_HALF * np.sqrt(2 * step)
    else:
        r = alpha ** _lags(alpha, None)
        total, active_total = np.sum(r * abs_moment(r)), np.sum(r * sine_of(r))
    return float(-2 * lam**2 * total), float(-(lam**2) / np.pi * active_total)


def imbalance_covariance(spec: ResNetSpec, lags: ArrayLike) -> Array:
    r""":math:`\mathrm{Cov}(\delta_l,\delta_{l+m})=C(\alpha^m)/n`; 0 at ``m > 0`` if balanced."""
    return _across_layers(spec, lags, square_moment) / spec.width


def active_fraction_covariance(spec: ResNetSpec, lags: ArrayLike) -> Array:
    r""":math:`\mathrm{Cov}(f_l,f_{l+m})=A(\alpha^m)/(4n)`; 0 at ``m > 0`` if balanced."""
    return _across_layers(spec, lags, sign_moment) / (4 * spec.width)


def gradient_law(spec: ResNetSpec) -> LogGaussian:
    r"""Law of :math:`\ln(\|J^\top w\|^2/\|w\|^2)`, :math:`J=\partial h_L/\partial h_0`.

    ``w`` is isotropic and independent of the blocks; :math:`\ln(\|Jt\|^2/\|t\|^2)` has the same
    two expressions. Balanced networks: valid at fixed ``L / n``. Vanilla networks: first order in
    ``L / n`` only.

    Warns
    -----
    DomainWarning
        For a vanilla network with :math:`L\lambda^2/n` above `GRADIENT_DOMAIN`: the stream and
        its tangent align, and the variance is larger than first order says (by a fifth at
        ``L = n``, :math:`\alpha^2=\frac12`). Nothing is known there in closed form; simulate
        with `companion.simulate.matrixfree.backward`.
    """
    alpha, lam, growth = coefficients(spec)
    n, depth = spec.width, spec.depth
    variance = depth * one_layer_variance(spec) / n
    if spec.balanced or alpha == 0:
        return LogGaussian(growth - variance / 2, variance)
    if depth * lam**2 / n > GRADIENT_DOMAIN:
        warnings.warn(
            f"the gradient law of a vanilla network is first order in depth/width; at "
            f"depth * lambda^2 / width = {depth * lam**2 / n:.3g} > {GRADIENT_DOMAIN} it "
            "underestimates the variance. Simulate with companion.simulate.matrixfree.backward.",
            DomainWarning,
            stacklevel=2,
        )
    variance += 2 * lam**4 / n * lag_sum(aligned_sign_moment, alpha, depth)
    gain = lam**4 / n * lag_sum(square_sign_moment, alpha, depth)
    return LogGaussian(growth + gain - variance / 2, variance)


def aligned_sign_moment(r: Array) -> Array:
    r""":math:`E[\mathrm{sgn}x\,\mathrm{sgn}y\,t^2t'^2]=A(r)(1+2r^2)` of ``eq-lg-gradient-law``.

    ``(x, y)`` and ``(t, t')`` are independent standard normal pairs of one correlation ``r``.
    """
    return np.asarray(sign_moment(r)) * (1 + 2 * np.asarray(r) ** 2)


def tangent_alignment(spec: ResNetSpec) -> float:
    r"""Mean squared cosine between :math:`h_L` and :math:`Jt`, first order in ``L / n``.

    For an isotropic tangent :math:`t` at a vanilla network,
    :math:`\frac1n\{1+L(2\alpha^2\lambda^2+2\lambda^4)+2\lambda^4\Sigma_L[rM(r)]\}`
    (``eq-lg-alignment``); nothing restores the angle, so it grows to order one at ``L = n`` and
    the first order ends.

    Raises
    ------
    ValueError
        For a balanced network, for which no such formula was derived.
    """
    alpha, lam, _ = coefficients(spec)
    if spec.balanced:
        raise ValueError("balanced must be False: the alignment was derived for vanilla networks.")
    own = spec.depth * (2 * (alpha * lam) ** 2 + 2 * lam**4)
    pairs = 2 * lam**4 * lag_sum(lambda r: r * abs_moment(r), alpha, spec.depth)
    return (1 + own + pairs) / spec.width


def backward_reuse_shift(spec: ResNetSpec) -> float:
    r"""What reusing :math:`W` in the backward pass adds to :math:`E\ln\|J^\top w\|^2`.

    :math:`\frac{4\lambda^4}{\pi n}\Sigma_L[r\sqrt{1-r^2}]` to first order in ``L / n``; the
    "gradient independence" shortcut, fresh weights in the backward pass, misses it.
    """
    alpha, lam, _ = coefficients(spec)
    if spec.balanced:
        return 0.0
    total = lag_sum(lambda r: r * sine_of(r), alpha, spec.depth)
    return 4 * lam**4 / (np.pi * spec.width) * total


def fully_connected_law(spec: ResNetSpec, *, input_layer: str = "exact") -> LogGaussian:
    r"""Exact mean and variance of :math:`\ln(\|h_L\|^2/n)` at ``skip=0``, any width.

    The ratios :math:`R_{l+1}/R_l` are independent with the law of
    :math:`\frac2n\chi^2_B,\ B\sim\mathrm{Bin}(n,\frac12)`, conditioned on :math:`B\ge1`; a network
    dies with probability about :math:`L2^{-n}`. The law itself is not normal: see
    `fully_connected_density`.
    """
    _, _, growth = _fully_connected(spec)
    b, p = _active_units(spec.width)
    from scipy.special import digamma, polygamma

    psi = digamma(b / 2)
    layer_mean = float(np.sum(p * psi) + np.log(4 / spec.width))
    layer_variance = float(np.sum(p * polygamma(1, b / 2)) + np.sum(p * psi**2))
    layer_variance -= float(np.sum(p * psi)) ** 2
    mean, variance = _input_layer(spec.width, input_layer)
    mean += growth + float(np.log(spec.input_variance)) + spec.depth * layer_mean
    return LogGaussian(mean, variance + spec.depth * layer_variance)


def fully_connected_density(
    spec: ResNetSpec, *, input_layer: bool = True, points: int = 4096
) -> tuple[Array, Array]:
    r"""Exact density of :math:`\ln(\|h_L\|^2/n)` at ``skip=0``, by one fast Fourier transform.

    The characteristic function of one layer,
    :math:`\phi(t)=E\,(4/n)^{it}\Gamma(B/2+it)/\Gamma(B/2)`, is raised to the power ``L``.

    Parameters
    ----------
    input_layer : bool
        Include the law of :math:`\|h_0\|^2/n`, :math:`\chi^2_n/n`.
    points : int
        Size of the transform.

    Returns
    -------
    x, density : ndarray, shape (points,)
        Equally spaced grid, wide enough for 14 standard deviations on either side.
    """
    from scipy.special import loggamma

    law = fully_connected_law(spec, input_layer="exact" if input_layer else "none")
    b, p = _active_units(spec.width)
    span = 28 * law.std
    t = 2 * np.pi * np.fft.fftfreq(points, d=1.0) * points / span
    t = t[: points // 2 + 1]
    ratio = np.exp(loggamma(b / 2 + 1j * t[:, None]) - loggamma(b / 2)) @ p
    # The power is taken before any logarithm: far out the function underflows to 0.
    phi = (ratio * np.exp(1j * t * np.log(4 / spec.width))) ** spec.depth
    if input_layer:
        a = spec.width / 2
        phi *= np.exp(loggamma(a + 1j * t) - loggamma(a) - 1j * t * np.log(a))
    _, _, growth = _fully_connected(spec)
    shift = growth + np.log(spec.input_variance) - (law.mean - span / 2)
    phi *= np.exp(1j * t * shift)
    density = np.fft.irfft(np.conj(phi), points)[:points] * points / span
    x = law.mean - span / 2 + span / points * np.arange(points, dtype=np.float64)
    return x, density


def output_log_density(spec: ResNetSpec, x: ArrayLike, *, law: LogGaussian | None = None) -> Array:
    r"""Density of :math:`\ln\|y\|^2` for a linear readout, at ``x``.

    :math:`\ln\|y\|^2=\ln(\sigma_{out}^2\chi^2_{n_{out}})+G`, the two independent; the Gaussian
    factor is exact at any size, only the normality of :math:`G` is a limit.

    Parameters
    ----------
    x : array_like
        Points, natural logarithm of a squared norm.
    law : LogGaussian, optional
        Law of ``G``; default `log_norm_law`. A law of variance 0 gives the infinite-width limit.
    """
    from scipy.special import polygamma
    from scipy.stats import chi2

    g = log_norm_law(spec) if law is None else law
    t = np.asarray(x, dtype=np.float64)[..., None] - g.mean - np.log(spec.readout_variance)
    # The trapezoidal rule converges exponentially for such smooth, decaying integrands; it runs
    # over the narrower of the two factors, on whose scale the other one is smooth.
    if g.variance < polygamma(1, spec.outputs / 2):
        z = np.linspace(-9, 9, 401)
        weight = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
        return np.asarray(_log_chi_square_pdf(t - g.std * z, spec.outputs) @ weight)
    ends = np.log(chi2.ppf([1e-15, 1 - 1e-15], spec.outputs))
    u = np.linspace(float(ends[0]), float(ends[1]), 2001)
    weight = _log_chi_square_pdf(u, spec.outputs) * (u[1] - u[0])
    return np.asarray(LogGaussian(0.0, g.variance).pdf(t - u) @ weight)


def _log_chi_square_pdf(t: Array, freedom: int) -> Array:
    r"""Density of :math:`\ln\chi^2` with ``freedom`` degrees at ``t``."""
    from scipy.special import gammaln

    half = freedom / 2
    power = half * (t - np.log(2)) - np.exp(np.minimum(t, 700.0)) / 2 - gammaln(half)
    return np.asarray(np.exp(power))


def mean_cosines(spec: ResNetSpec, rho: float) -> Array:
    r"""Leading-order cosines :math:`\rho_0..\rho_L` of two streams, shape ``(L + 1,)``.

    :math:`\rho_{l+1}=\alpha^2\rho_l+\lambda^2\kappa_1(\rho_l)`; at finite width the cosine is
    random, with a bias of order ``1/n`` and a spread of order ``n**-0.5``.
    """
    alpha, lam, _ = coefficients(spec)
    path = np.empty(spec.depth + 1)
    path[0] = _cosine(rho)
    for layer in range(spec.depth):
        path[layer + 1] = alpha**2 * path[layer] + lam**2 * float(arc_cosine(path[layer], 1))
    return np.minimum(path, 1.0)


def covariance_two_inputs(spec: ResNetSpec, rho: float) -> float:
    r""":math:`\mathrm{Cov}(\ln\|h_L\|^2,\ln\|h_L'\|^2)` for inputs of cosine ``rho``.

    Leading order (``eq-lg-two-inputs``); at ``rho=1`` it is the variance of `log_norm_law`. For
    balanced networks the interlayer sum is absent. For ``L / n`` of order one the cosine is
    itself random: simulate.
    """
    alpha, lam, _ = coefficients(spec)
    path = mean_cosines(spec, rho)[:-1]
    kappa = arc_cosine(path, 1)
    own = lam**4 * (2 * kappa**2 + square_moment(path)) + 4 * (alpha * lam) ** 2 * path * kappa
    total = 2 * _cosine(rho) ** 2 + float(np.sum(own))
    if not spec.balanced:
        for lag in _lags(alpha, spec.depth - 1).astype(int):
            total += 2 * lam**4 * float(np.sum(square_moment(path[:-lag] * alpha**lag)))
    return total / spec.width


def _lags(alpha: float, largest: int | None) -> Array:
    if alpha == 0 or largest == 0:
        return np.zeros(0)
    visible = np.inf if alpha >= 1 else np.ceil(np.log(1e-17) / np.log(alpha))
    stop = visible if largest is None else min(visible, largest)
    return np.arange(1.0, stop + 1)


def _across_layers(spec: ResNetSpec, lags: ArrayLike, moment: Callable[[Array], Array]) -> Array:
    alpha, _, _ = coefficients(spec)
    m = np.asarray(lags)
    if np.any(m < 0) or np.any(m > spec.depth):
        raise ValueError(f"lags must lie in 0..{spec.depth}, got {lags!r}.")
    values = np.asarray(moment(alpha ** m.astype(np.float64)))
    return np.where(m == 0, values, 0.0) if spec.balanced else values


def _input_layer(width: int, kind: str) -> tuple[float, float]:
    if kind == "leading":
        return -1 / width, 2 / width
    if kind == "none":
        return 0.0, 0.0
    if kind == "exact":
        from scipy.special import digamma, polygamma

        return float(digamma(width / 2) - np.log(width / 2)), float(polygamma(1, width / 2))
    raise ValueError(f"input_layer must be 'leading', 'exact' or 'none', got {kind!r}.")


def _fully_connected(spec: ResNetSpec) -> tuple[float, float, float]:
    if spec.skip != 0:
        raise ValueError(
            f"skip must be 0 for a fully connected network, got {spec.skip}; use log_norm_law."
        )
    return coefficients(spec)


def _active_units(width: int) -> tuple[Array, Array]:
    """Number of active units given that there is one, and its probabilities."""
    from scipy.stats import binom

    b = np.arange(1, width + 1)
    p = binom.pmf(b, width, 0.5)
    keep = p > 1e-18 * p.max()  # the rest cannot change a double
    return b[keep].astype(np.float64), p[keep] / p.sum()


def _cosine(rho: float) -> float:
    if not np.isfinite(rho) or abs(rho) > 1:
        raise ValueError(f"rho must be a cosine in [-1, 1], got {rho!r}.")
    return float(rho)
