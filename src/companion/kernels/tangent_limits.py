r"""Limits of the residual tangent kernel at large depth, with their corrections.

Notation
--------
====================================  ==========================  =========================
symbol                                name                        book label
====================================  ==========================  =========================
:math:`T`                             ``effective_depth``         ``eq-effective-depth``
:math:`\theta`                        ``theta``                   ``eq-tk-recursion``
:math:`g=\sin\theta-\theta\cos\theta`      (inside)                    ``eq-tk-excess``
:math:`\theta_T`                      ``flow_angle``              ``eq-tk-flow``
:math:`c(\theta)`                     ``flow_time``               ``eq-tk-offset``
:math:`r_T`                           ``flow_kernel``             ``eq-tk-flow-solution``
:math:`a(\theta)`                     ``degeneration_offset``     ``eq-tk-offset``
:math:`C_s(\theta)`                   ``degenerate_gap``          ``eq-tk-log``
:math:`R(x)`                          ``peak_profile``            ``eq-tk-peak``
:math:`r_0`                           ``two_layer_kernel``        ``eq-tk-two-layer``
:math:`\rho_1`                        ``two_layer_correction``    ``eq-tk-first-order``
:math:`c`                             ``diagonal_slope``          ``eq-tk-slope``
:math:`c'`                            ``antipode_slope``          ``eq-tk-kinks``
====================================  ==========================  =========================

Three limits, told apart by the effective depth :math:`T`: :math:`T\to0` is the kernel :math:`r_0`
of a network with one hidden layer; a finite :math:`T` gives :math:`r_T`, whatever the schedule of
the small shares; :math:`T\to\infty` gives the degenerate kernel, 1/4 off the diagonal. The
degeneration at large :math:`T` is in the abstract of the paper; the limit at :math:`T\to0` is
recalled from the literature; rates, constants and :math:`r_T` are derived here.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._arccosine import arc_cosine_angle, arc_cosine_excess
from companion._validation import finite_array, real_number
from companion.architecture import ResNetSpec
from companion.kernels.flow import (
    block_term,
    flow_angle,
    flow_kernel,
    flow_kernel_ode,
    flow_time,
    two_layer_kernel,
)
from companion.kernels.rows import check_angles
from companion.kernels.tangent import block_shares, normalized_kernel, recursion

__all__ = [
    "ANTIPODE_COEFFICIENT",
    "DEGENERATE_VALUE",
    "LOG_COEFFICIENT",
    "antipode_gap",
    "antipode_slope",
    "degenerate_gap",
    "degeneration_offset",
    "diagonal_slope",
    "flow_angle",
    "flow_kernel",
    "flow_kernel_ode",
    "flow_time",
    "peak_profile",
    "peak_width",
    "two_layer_correction",
    "two_layer_kernel",
]

Array = NDArray[np.float64]

#: Limit of the normalised kernel off the diagonal at infinite ``T`` (``thm-tk-degeneration``).
DEGENERATE_VALUE: Final = 0.25
#: Factor of ``ln L / L`` in the approach at constant scale, for every scale and angle.
LOG_COEFFICIENT: Final = 0.375
#: Factor of ``sqrt(T)`` in the gap at the antipode for small ``T`` (``eq-tk-antipode``).
ANTIPODE_COEFFICIENT: Final = -math.sqrt(2) / (3 * math.pi)


def two_layer_correction(theta: ArrayLike) -> Array:
    r"""First correction, :math:`\bar r=r_0+\tau\rho_1+o(\tau)` with ``tau = (L-1) lambda``.

    .. math::

       \rho_1=\tfrac14\Big[(\kappa_1-u)\big(2\kappa_0+\tfrac u{\pi\sin\theta}\big)
       -\tfrac\theta\pi(\kappa_1+u\kappa_0)\Big].

    It tends to minus infinity at ``theta = pi``, where the rate is another one (`antipode_gap`),
    and to 0 at ``theta = 0``. Parameters and errors as `two_layer_kernel`; derived here.
    """
    angles = check_angles(theta)
    u, gain = np.cos(angles), arc_cosine_excess(angles)
    with np.errstate(divide="ignore", invalid="ignore"):
        pole = u * gain / (math.pi * np.sin(angles))
    pole = np.where(angles == 0, 0.0, np.where(angles >= math.pi, -np.inf, pole))
    regular = 2 * gain * arc_cosine_angle(angles, 0) - angles / math.pi * block_term(angles)
    return (regular + pole) / 4


def antipode_gap(effective_depth: ArrayLike) -> Array:
    r"""Leading gap :math:`\bar r(\pi)-r_0(\pi)=-\frac{\sqrt2}{3\pi}\sqrt T`, for small ``T``.

    The largest gap over the sphere: half of the exponent that holds at every other angle.

    Raises
    ------
    ValueError
        If an effective depth is negative or not finite.
    """
    depth = finite_array(effective_depth, "effective_depth")
    if np.any(depth < 0):
        raise ValueError(
            f"effective_depth must be at least 0, got {depth.min():g}; it is a sum of shares."
        )
    return ANTIPODE_COEFFICIENT * np.sqrt(depth)


def degeneration_offset(theta: ArrayLike) -> Array:
    r""":math:`a(\theta)=-\frac14c(\theta)-\frac12`: :math:`r_T=\frac14+a(\theta)/T+O(T^{-2})`.

    Positive, infinite at ``theta = 0``. Parameters and errors as `two_layer_kernel`; derived here.
    """
    return -flow_time(theta) / 4 - 0.5


def degenerate_gap(spec: ResNetSpec, theta: ArrayLike) -> Array:
    r""":math:`L(\bar r-\frac14)-\frac38\ln L`, which tends to a constant :math:`C_s(\theta)`.

    For one scale that does not fall with depth (``eq-tk-log``); derived here.

    Raises
    ------
    ValueError
        As in `companion.kernels.tangent.normalized_kernel`.
    """
    kernel = normalized_kernel(spec, theta)
    return spec.depth * (kernel - DEGENERATE_VALUE) - LOG_COEFFICIENT * math.log(spec.depth)


def peak_profile(x: ArrayLike) -> Array:
    r"""Kernel near the diagonal at large ``T``: :math:`R(x)=\frac{(1+x)^4-1}{4x(1+x)^3}`.

    Parameters
    ----------
    x
        ``theta / peak_width(T)``, at least 0, any shape.

    Returns
    -------
    ``R(x)``: 1 at 0, 15/32 at 1, ``1/4 + 1/(4 x)`` far out.

    Raises
    ------
    ValueError
        If an ``x`` is negative or not finite.
    """
    ratio = finite_array(x, "x")
    if np.any(ratio < 0):
        raise ValueError(f"x must be at least 0, got {ratio.min():g}; it is an angle over a width.")
    inverse = 1 / (1 + ratio)  # the sum of four powers: no difference, no overflow
    return (1 + inverse + inverse**2 + inverse**3) / 4


def peak_width(effective_depth: float) -> float:
    """Angle ``3 pi / T`` on which the kernel falls from 1 to 15/32 at large ``T``."""
    remedy = "at T = 0 there is no peak"
    depth = real_number(effective_depth, "effective_depth", minimum=0.0, strict=True, remedy=remedy)
    return 3 * math.pi / depth


def diagonal_slope(spec: ResNetSpec) -> float:
    r"""``c`` in :math:`\bar r=1-c\,\theta+O(\theta^2)`, exact at every depth (``eq-tk-slope``).

    :math:`c=\frac1{2\pi}\big(1+T-\sum_l\lambda_l^2/T\big)`, which for one scale is
    :math:`\frac{1+\lambda(L-1)}{2\pi}`.

    Raises
    ------
    ValueError
        As in `companion.kernels.tangent.block_shares`.
    """
    shares = block_shares(spec)
    total = float(shares.sum())
    # T - sum of squares / T as a sum over pairs of layers, which cannot cancel at depth 1.
    pairs = float(shares[1:] @ np.cumsum(shares)[:-1])
    return (1 + 2 * pairs / total) / (2 * math.pi)


def antipode_slope(spec: ResNetSpec) -> float:
    r"""``c'`` in :math:`\bar r(\pi-\varepsilon)=\bar r(\pi)-c'\varepsilon+O(\varepsilon^2)`.

    Only the first block that is switched on leaves a kink: its share of the kernel over
    :math:`2\pi T`, transported through the later ones (``eq-tk-kinks``).

    Raises
    ------
    ValueError
        As in `companion.kernels.tangent.block_shares`.
    """
    shares = block_shares(spec)
    active = shares[int(np.argmax(shares > 0)) :]
    first, total = float(active[0]), float(shares.sum())
    # The first block maps the antipode to cos = -1 + lambda_1.
    after = 2 * math.atan2(math.sqrt(1 - first / 2), math.sqrt(first / 2))
    transport = float(recursion(active[1:], after).transport) if active.size > 1 else 1.0
    return first * transport / (2 * math.pi * total)
