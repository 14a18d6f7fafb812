r"""How much blocks agree along depth, and the branch scale that this makes critical.

Notation
--------
==========================================  ====================  ========================
symbol                                      name                  book label
==========================================  ====================  ========================
:math:`C_{lm}`                              ``covariance``        ``eq-weight-covariance``
:math:`\bar\rho`                            `mean_correlation`    ``eq-re-critical-scale``
:math:`s_c=N_1^{-1/2}`                      `critical_scale`      ``eq-re-critical-scale``
:math:`\|\sum s_lF_l\|^2/\sum\|s_lF_l\|^2`  `coherence`           ``eq-re-coherence``
:math:`N_1/\mathrm{tr}\,C`                  `expected_coherence`  ``eq-re-coherence``
==========================================  ====================  ========================

A covariance is the vector of the lags ``0 .. L-1`` of a stationary law, or a symmetric matrix of
shape ``(L, L)``. That of a weight law is
:func:`companion.depthlimits.layer_covariance`. Derived here.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import finite_array, positive_integer, real_number
from companion.activations import Linear
from companion.architecture import ResNetSpec
from companion.depthlimits import layer_covariance
from companion.expansion.correlated import covariance_rows

__all__ = [
    "block_covariance",
    "coherence",
    "critical_scale",
    "critical_scale_of",
    "equicorrelated",
    "expected_coherence",
    "mean_correlation",
    "ornstein_uhlenbeck",
]

Array = NDArray[np.float64]


def equicorrelated(depth: int, rho: float) -> Array:
    """Lags of the covariance ``rho`` between any two blocks, and 1 of a block with itself.

    Raises
    ------
    ValueError
        If ``rho`` is not a possible correlation of ``depth`` blocks, ``-1/(depth-1) .. 1``.
    """
    length = positive_integer(depth, "depth")
    least = -1 / (length - 1) if length > 1 else -1.0
    value = real_number(rho, "rho", minimum=least, remedy="so many blocks cannot all repel")
    if value > 1:
        raise ValueError(f"rho must be at most 1, got {value:g}; it is a correlation")
    return np.where(np.arange(length) == 0, 1.0, value)


def ornstein_uhlenbeck(depth: int, length: float) -> Array:
    r"""Lags of :math:`C_{lm}=e^{-|l-m|/\ell}` with the correlation length ``length`` in blocks.

    Raises
    ------
    ValueError
        If ``length`` is not positive.
    """
    reach = real_number(length, "length", minimum=0.0, strict=True)
    return np.asarray(np.exp(-np.arange(positive_integer(depth, "depth")) / reach))


def block_covariance(spec: ResNetSpec) -> Array:
    """Lags of the covariance of the blocks of a linear network, by its weight law.

    Returns
    -------
    Shape ``(L,)``: the covariance of the weights times their variance for single blocks; for
    two-layer blocks, whose two matrices follow the same law independently, the square of it.

    Raises
    ------
    ValueError
        If the network is not linear without bias and with skip 1.
    """
    if not isinstance(spec.activation, Linear) or spec.bias_variance != 0 or spec.skip != 1:
        raise ValueError(
            f"network must be linear without bias and have skip 1, got {spec.activation!r}, "
            f"bias_variance={spec.bias_variance:g} and skip={spec.skip:g}; for ReLU blocks use "
            "companion.depthlimits.log_displacement"
        )
    lags = layer_covariance(spec.weight_law, spec.depth)
    power = 1 if spec.block == "single" else 2
    return spec.weight_variance * spec.outer_variance * lags**power


def mean_correlation(covariance: ArrayLike) -> float:
    r"""Mean correlation :math:`\bar\rho` of two different blocks, from their covariance.

    Relative to the mean variance of a block; 0 for a single block.
    """
    total, trace, depth = _sums(covariance)
    return (total / trace - 1) / (depth - 1) if depth > 1 else 0.0


def critical_scale(covariance: ArrayLike) -> float:
    r""":math:`s_c=N_1^{-1/2}`: the scale at which the first order is as large as the input.

    For blocks of variance 1 this is :math:`(L+L(L-1)\bar\rho)^{-1/2}`; infinite if the blocks
    cancel, :math:`N_1=0`.
    """
    total = _sums(covariance)[0]
    return 1 / math.sqrt(total) if total > 0 else math.inf


def critical_scale_of(depth: int, rho: ArrayLike) -> Array:
    r""":math:`(L+L(L-1)\bar\rho)^{-1/2}` for mean correlations ``rho``, blocks of variance 1.

    From :math:`L^{-1/2}` for independent blocks to :math:`1/L` for aligned ones.

    Raises
    ------
    ValueError
        If ``rho`` is above 1 or makes the sum negative.
    """
    length = positive_integer(depth, "depth")
    values = finite_array(rho, "rho")
    total = length * (1 + (length - 1) * values)
    if np.any(values > 1) or np.any(total < 0):
        raise ValueError(
            f"rho must lie between -1/(depth-1) and 1, got {values.min():g} to {values.max():g} at "
            f"depth {length}; it is a mean correlation"
        )
    with np.errstate(divide="ignore"):
        return np.asarray(1 / np.sqrt(total))[()]


def coherence(branches: ArrayLike, axis: int = -1) -> Array:
    r""":math:`\|\sum_lb_l\|^2/\sum_l\|b_l\|^2` of the branches along one forward pass.

    1 for branches at right angles (independent blocks), ``L`` for aligned ones of one size, 0 if
    they cancel.

    Parameters
    ----------
    branches
        :math:`b_l=s_lF_l(h_{l-1})`, shape ``(L, ...)`` with the neurons on ``axis``.
    axis
        Axis of the neurons; not the first, which is depth.

    Returns
    -------
    The other axes' shape; NaN where all branches vanish.

    Raises
    ------
    ValueError
        If there are not at least two axes, or ``axis`` is the first.
    """
    b = finite_array(branches, "branches")
    if b.ndim < 2 or not -b.ndim <= axis < b.ndim or axis % b.ndim == 0:
        raise ValueError(
            f"branches must have depth on the first axis and neurons on another, got shape "
            f"{b.shape} and axis {axis}; stack the branches along axis 0"
        )
    neurons = axis % b.ndim
    joint = np.sum(np.sum(b, axis=0) ** 2, axis=neurons - 1)
    apart = np.sum(b**2, axis=(0, neurons))
    found = np.full(np.shape(apart), np.nan)
    return np.divide(joint, apart, out=found, where=apart > 0)[()]


def expected_coherence(covariance: ArrayLike) -> float:
    r"""Coherence of the branches at the input, :math:`N_1/\mathrm{tr}\,C=1+(L-1)\bar\rho`."""
    total, trace, _ = _sums(covariance)
    return total / trace


def _sums(covariance: ArrayLike) -> tuple[float, float, int]:
    """Sum of all entries, trace, and depth."""
    depth = covariance_rows(covariance)[0]
    c = np.asarray(covariance, dtype=np.float64)
    if c.ndim == 2:
        total, trace = float(np.sum(c)), float(np.trace(c))
    else:
        total = float(depth * c[0] + 2 * float(np.sum((depth - np.arange(1, depth)) * c[1:])))
        trace = float(depth * c[0])
    return max(total, 0.0), trace, depth
