r"""Spectrum of a rotation-invariant kernel on the sphere, and what it says about learning.

Notation
--------
======================  ==========================  ======================
symbol                  name                        book label
======================  ==========================  ======================
:math:`d`               ``dimension``               ``eq-tk-funk-hecke``
:math:`\mu_k`           ``eigenvalues``             ``eq-tk-funk-hecke``
:math:`N(d,k)`          ``multiplicity``            ``eq-tk-funk-hecke``
:math:`P_k`             ``gegenbauer``              ``eq-tk-funk-hecke``
:math:`c,\ c'`          slopes of the two kinks     ``eq-tk-kinks``
:math:`N`               ``samples``                 ``eq-tk-threshold``
:math:`t`               ``times``                   ``eq-tk-risk``
======================  ==========================  ======================

The measure is the uniform *probability* on the sphere of ``R^d``, the harmonics of degree ``k``
share one eigenvalue, and the eigenvalues counted with multiplicity add up to ``kernel(0) = 1``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import finite_array, positive_integer, real_number

__all__ = [
    "UNRESOLVED_RIDGE",
    "degeneration_threshold",
    "eigenvalues",
    "gegenbauer",
    "idealised_risk",
    "interpolation_bias",
    "kink_eigenvalues",
    "multiplicity",
    "plateau_eigenvalues",
    "quadrature",
]

Array = NDArray[np.float64]

#: What the unresolved part of a degenerate kernel adds to the diagonal (``eq-tk-threshold``).
UNRESOLVED_RIDGE: Final = 0.75

_PANELS, _SPLITS, _PANEL_NODES = 40, 30, 20


def multiplicity(degrees: ArrayLike, dimension: int) -> Array:
    r"""Number of harmonics, :math:`N(d,k)=\binom{k+d-1}k-\binom{k+d-3}{k-2}`.

    Parameters
    ----------
    degrees
        ``k``, whole numbers from 0, any shape.
    dimension
        ``d`` of the surrounding space, at least 2.

    Returns
    -------
    Exact counts as float64 (rounded above 2**53), shape of ``degrees``.

    Raises
    ------
    ValueError
        If a degree is negative or not whole, or ``dimension`` below 2.
    """
    d, k = _dimension(dimension), _degrees(degrees)
    counts = [
        math.comb(i + d - 1, i) - (math.comb(i + d - 3, i - 2) if i >= 2 else 0)
        for i in k.ravel().astype(int).tolist()
    ]
    return np.asarray(counts, dtype=np.float64).reshape(k.shape)


def gegenbauer(max_degree: int, dimension: int, theta: ArrayLike) -> Array:
    r"""Zonal polynomials :math:`P_k(\cos\theta)` for ``k = 0..max_degree``, 1 at ``theta = 0``.

    :math:`P_k=\frac{(2k+d-4)\,uP_{k-1}-(k-1)P_{k-2}}{k+d-3}`; Legendre at ``d = 3``, Chebyshev at
    ``d = 2``.

    Returns
    -------
    Shape ``(max_degree + 1, *theta.shape)``.

    Raises
    ------
    ValueError
        If ``max_degree`` is negative, ``dimension`` below 2, or an angle not finite.
    """
    d = _dimension(dimension)
    u = np.cos(finite_array(theta, "theta"))
    out = np.empty((int(_degrees(max_degree)) + 1, *u.shape))
    out[0] = 1.0
    if len(out) > 1:
        out[1] = u
    for k in range(2, len(out)):
        out[k] = ((2 * k + d - 4) * u * out[k - 1] - (k - 1) * out[k - 2]) / (k + d - 3)
    return out


def quadrature(dimension: int) -> tuple[Array, Array]:
    r"""Angles and weights of the law of the angle, of density :math:`\propto\sin^{d-2}\theta`.

    40 equal panels of 20 Gauss nodes; the two at the ends, where kernels have kinks and peaks, are
    halved 30 times towards the end. Resolves degrees up to 300 to about 1e-16.

    Returns
    -------
    Two vectors; the weights add up to 1.

    Raises
    ------
    ValueError
        If ``dimension`` is below 2.
    """
    d = _dimension(dimension)
    width = math.pi / _PANELS
    near = width * 2.0 ** -np.arange(_SPLITS, -1, -1)
    # Distances from the nearer end: the upper half mirrors the lower one exactly.
    edges = np.concatenate([[0.0], near, width * np.arange(2, _PANELS // 2 + 1)])
    nodes, weights = np.polynomial.legendre.leggauss(_PANEL_NODES)
    lengths = np.diff(edges)[:, None] / 2
    angles = (edges[:-1, None] + lengths * (nodes + 1)).ravel()
    log_constant = math.lgamma(d / 2) - math.lgamma((d - 1) / 2) - math.log(math.pi) / 2
    density = (lengths * weights).ravel() * np.sin(angles) ** (d - 2) * math.exp(log_constant)
    return np.concatenate([angles, math.pi - angles[::-1]]), np.concatenate(
        [density, density[::-1]]
    )


def eigenvalues(kernel: Callable[[Array], Array], dimension: int, max_degree: int) -> Array:
    r"""Funk-Hecke eigenvalues :math:`\mu_k=E[\bar r(\theta)P_k(\cos\theta)]` up to a degree.

    Parameters
    ----------
    kernel
        Function of a vector of angles, such as a `companion.kernels.table.TangentTable`.
    dimension
        ``d`` of the surrounding space, at least 2.
    max_degree
        Largest degree, at most 300 for full accuracy.

    Returns
    -------
    Shape ``(max_degree + 1,)``; absolute error about 1e-15 beside that of the kernel.

    Raises
    ------
    ValueError
        As in `gegenbauer`, or if ``kernel`` returns another shape or values that are not finite.
    """
    angles, weights = quadrature(dimension)
    values = finite_array(kernel(angles), "kernel(theta)")
    if values.shape != angles.shape:
        raise ValueError(
            f"kernel(theta) must have the shape {angles.shape} of its angles, got {values.shape}; "
            "pass a function that works on vectors."
        )
    return np.asarray(gegenbauer(max_degree, dimension, angles) @ (weights * values))


def kink_eigenvalues(
    degrees: ArrayLike, dimension: int, diagonal_slope: float, antipode_slope: float
) -> Array:
    r"""Decay of the eigenvalues from the kinks of the kernel at both ends (``eq-tk-kinks``).

    .. math::

       \mu_k\simeq\big[c+(-1)^kc'\big]\frac{2^{d-2}\Gamma(d/2)^2}\pi
       \Big(k+\frac{d-2}2\Big)^{-d}.

    Holds for ``k`` far above ``T`` and ``lambda ** -0.5``; with ``c`` alone, far above ``T`` and
    ``T ** -0.5``. At depth 1 the slopes are equal and the odd degrees vanish. Derived here; the
    exponent is recalled from the literature.

    Parameters
    ----------
    degrees
        ``k``, whole numbers from 1, any shape.
    dimension
        ``d``, at least 2.
    diagonal_slope, antipode_slope
        ``c`` and ``c'`` of `companion.kernels.tangent_limits`.

    Raises
    ------
    ValueError
        If a degree is below 1 or not whole, or ``dimension`` below 2.
    """
    d, k = _dimension(dimension), _degrees(degrees, least=1)
    front = math.exp((d - 2) * math.log(2) + 2 * math.lgamma(d / 2)) / math.pi
    signs = np.where(k % 2 == 0, 1.0, -1.0)
    kinks = real_number(diagonal_slope, "diagonal_slope") + signs * real_number(
        antipode_slope, "antipode_slope"
    )
    return kinks * front * (k + (d - 2) / 2) ** -float(d)


def plateau_eigenvalues(degrees: ArrayLike, effective_depth: float) -> Array:
    r""":math:`\mu_k\simeq\frac{3\pi}{8T(k+1/2)}`, from the tail of the peak, in ``d = 3``.

    Holds for ``1 << k << T`` (``eq-tk-plateau``). Derived here.

    Raises
    ------
    ValueError
        If a degree is below 1 or not whole, or ``effective_depth`` not positive.
    """
    depth = real_number(effective_depth, "effective_depth", minimum=0.0, strict=True)
    return 3 * math.pi / (8 * depth * (_degrees(degrees, least=1) + 0.5))


def idealised_risk(
    spectrum: ArrayLike,
    dimension: int,
    signal: ArrayLike,
    noise: float,
    samples: int,
    times: ArrayLike,
) -> Array:
    r"""Excess risk of gradient flow if every harmonic were learned by itself (``eq-tk-risk``).

    .. math::

       \sum_kN(d,k)\Big\{\sigma_k^2e^{-2t\mu_k}+\frac{\sigma^2}N(1-e^{-t\mu_k})^2\Big\}.

    Standard for sequence models; no account of the unresolved part of the kernel, which must be
    small (``T`` far below the sample size).

    Parameters
    ----------
    spectrum
        :math:`\mu_k`, shape ``(K + 1,)``, at least 0.
    dimension
        ``d``, at least 2.
    signal
        :math:`\sigma_k^2`, variance of one coefficient of the target at degree ``k``, shape of
        ``spectrum``.
    noise
        Standard deviation of the labels.
    samples
        Sample size ``N``.
    times
        Stopping times ``t`` of the flow on the mean of half squares, any shape.

    Returns
    -------
    Squared error, shape of ``times``.

    Raises
    ------
    ValueError
        If shapes differ or a value is out of range.
    """
    mu, s2 = finite_array(spectrum, "spectrum"), finite_array(signal, "signal")
    if mu.ndim != 1 or mu.shape != s2.shape or np.any(s2 < 0):
        raise ValueError(
            f"spectrum and signal must be vectors of one length with signal at least 0, got shapes "
            f"{mu.shape} and {s2.shape}; pass one variance per degree."
        )
    t = finite_array(times, "times")
    level = real_number(noise, "noise", minimum=0.0) ** 2 / positive_integer(samples, "samples")
    decay = np.exp(-t[..., None] * mu)
    counts = multiplicity(np.arange(mu.size), dimension)
    terms = s2 * decay**2 + level * np.expm1(-t[..., None] * mu) ** 2
    return np.asarray(terms @ counts)


def interpolation_bias(
    eigenvalue: ArrayLike, samples: int, ridge: float = UNRESOLVED_RIDGE
) -> Array:
    r"""Squared bias of interpolating one harmonic, :math:`\big(\frac\kappa{N\mu_k+\kappa}\big)^2`.

    In units of the harmonic's variance, where the unresolved part of the kernel acts like the ridge
    :math:`\kappa=\frac34`: for :math:`T\gg N^{1/(d-1)}` (``eq-tk-threshold``). Derived here.

    Raises
    ------
    ValueError
        If a value is negative or not finite, or ``ridge`` not positive.
    """
    mu = finite_array(eigenvalue, "eigenvalue")
    if np.any(mu < 0):
        raise ValueError(f"eigenvalue must be at least 0, got {mu.min():g}; a kernel is positive.")
    kappa = real_number(ridge, "ridge", minimum=0.0, strict=True)
    return (kappa / (positive_integer(samples, "samples") * mu + kappa)) ** 2


def degeneration_threshold(samples: int, degree: int) -> float:
    r"""Effective depth :math:`\frac{N\pi}{2k+1}` beyond which degree ``k`` is lost, in ``d = 3``.

    There :math:`N\mu_k=\frac34`, by `plateau_eigenvalues`: linear in ``N``
    (``eq-tk-threshold-depth``).

    Raises
    ------
    ValueError
        If an argument is not a positive integer.
    """
    count, k = positive_integer(samples, "samples"), positive_integer(degree, "degree")
    return count * math.pi / (2 * k + 1)


def _dimension(dimension: int) -> int:
    d = positive_integer(dimension, "dimension")
    if d < 2:
        raise ValueError("dimension must be at least 2, got 1; the sphere of R^1 is two points.")
    return d


def _degrees(degrees: ArrayLike, least: int = 0) -> Array:
    k = finite_array(degrees, "degrees")
    if np.any(k != np.round(k)) or np.any(k < least):
        raise ValueError(
            f"degrees must be whole numbers from {least}, got {degrees!r}; they count the zeros of "
            "a harmonic."
        )
    return k
