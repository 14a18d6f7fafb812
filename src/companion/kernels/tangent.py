r"""Tangent kernel of an infinitely wide residual network: the recursion over its blocks.

Two-layer ReLU blocks without bias, whose matrices ``W``, ``V`` are trained while input map and
readout stay fixed; the network may have any skip, scale (also one per layer) and variances.

Notation
--------
==================================  ================================  =========================
symbol                              name                              book label
==================================  ================================  =========================
:math:`\lambda_l`                   ``shares``                        ``eq-share``
:math:`T=\sum_l\lambda_l`           effective depth                   ``eq-effective-depth``
:math:`\theta`                      ``theta``, angle of two inputs    ``eq-tk-recursion``
:math:`\theta_l`                    ``TangentParts.angle``            ``eq-tk-recursion``
:math:`\bar r(\theta)`              ``normalized_kernel``             ``eq-tk-recursion``
:math:`\Theta`                      ``TangentParts.blocks``           ``eq-tk-kernel``
:math:`B_1`                         ``TangentParts.transport``        ``eq-tk-recursion``
:math:`\kappa_0,\kappa_1`           arc-cosine kernels                ``eq-arc-cosine-kernels``
==================================  ================================  =========================

With shares :math:`\lambda_l`, one block turns the angle by
:math:`\cos\theta_l=\cos\theta_{l-1}+\lambda_l(\kappa_1-\cos)(\theta_{l-1})`, and

.. math::

   \bar r=\frac1{2T}\sum_l\lambda_l\,B_{l+1}
   \big[\kappa_1+\cos\cdot\kappa_0\big](\theta_{l-1}),\qquad
   B_l=\prod_{j\ge l}\Big(1-\lambda_j\frac{\theta_{j-1}}\pi\Big),

so that :math:`\bar r(0)=1`: this is ``eq-tk-recursion``, an average over layers.
Nothing here grows with depth, and :math:`2T\bar r` is carried through a single pass
(``alg-tk-recursion``). Source: recursion recalled from the literature, derived in the book; form
for any shares and stable form derived here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion.activations import ReLU
from companion.architecture import ResNetSpec
from companion.kernels.rows import check_angles, input_rows, lengths, pair_angles
from companion.kernels.walk import PAIRS_PER_BLOCK

__all__ = [
    "TangentParts",
    "block_shares",
    "direct_gram",
    "log_amplitude",
    "normalized_kernel",
    "pair_angles",
    "recursion",
    "tangent_parts",
]

Array = NDArray[np.float64]

#: Below this half angle ``(sin - theta cos)/2`` is a series of five terms in the half angle.
_SERIES_BELOW = 0.075
_EXCESS = [(-4.0) ** k * -2 * k / math.factorial(2 * k + 1) for k in range(5, 0, -1)]
#: Above this half angle the angle is read off its supplement.
_UPPER = 1.0


@dataclass(frozen=True)
class TangentParts:
    r"""Kernels of the infinitely wide network at angles ``theta`` between unit inputs.

    All values are in units of ``exp(log_scale)``, which is the variance of the output for an
    input of length 1; each has the shape of ``theta``.

    Attributes
    ----------
    blocks
        Tangent kernel of the matrices of the blocks, :math:`\Theta=2T\bar r`.
    readout
        Tangent kernel of a trained readout, which is the covariance of the outputs (the kernel of
        the untrained network), :math:`\cos\theta_L`.
    embedding
        Tangent kernel of a trained input map, :math:`B_1\cos\theta`.
    angle
        :math:`\theta_L`, radians.
    transport
        :math:`B_1`, derivative of :math:`\cos\theta_L` by :math:`\cos\theta`.
    log_scale
        Natural log of the unit.
    """

    blocks: Array
    readout: Array
    embedding: Array
    angle: Array
    transport: Array
    log_scale: float


def block_shares(spec: ResNetSpec) -> Array:
    """Shares of the blocks of a network that has the tangent kernel of this module.

    Parameters
    ----------
    spec
        Two-layer ReLU blocks without biases, linear readout, independent weights; the width has
        no influence.

    Returns
    -------
    ``lambda_l``, shape ``(depth,)``, in ``[0, 1]``, not all 0.

    Raises
    ------
    ValueError
        If the network is of another kind, or its branches are all switched off.
    """
    biases = (spec.bias_variance, spec.input_bias_variance, spec.readout_bias_variance)
    fits = spec.block == "two-layer" and spec.readout == "linear" and spec.weight_law.independent
    if not fits or not isinstance(spec.activation, ReLU) or any(biases):
        raise ValueError(
            "spec must have two-layer ReLU blocks, a linear readout, no biases and independent "
            f"weights for the tangent kernel, got {spec.describe()}, readout {spec.readout!r}, "
            f"biases {biases}, {spec.weight_law!r}; use ResNetSpec.tangent_kernel."
        )
    shares = spec.shares()
    if not np.any(shares > 0):
        raise ValueError(
            f"scale must be positive in some layer, got {spec.scale!r}; without branches nothing "
            "is trained and the tangent kernel is 0."
        )
    return shares


def normalized_kernel(spec: ResNetSpec, theta: ArrayLike) -> Array:
    r"""Tangent kernel :math:`\bar r` of unit inputs at angle ``theta``, 1 at ``theta = 0``.

    Parameters
    ----------
    spec
        As in `block_shares`.
    theta
        Angles in radians, in ``[0, pi]``, any shape.

    Returns
    -------
    Kernel, shape of ``theta``; absolute error below 1e-13. Time is proportional to depth times
    size: for many pairs use `companion.kernels.table`.

    Raises
    ------
    ValueError
        If an angle is outside ``[0, pi]``, or as in `block_shares`.
    """
    return recursion(block_shares(spec), theta, transport=False).kernel


def log_amplitude(spec: ResNetSpec) -> float:
    r"""``ln(Theta(x, x) / |x|^2)``, natural log: what the normalised kernel leaves out.

    :math:`\Theta(x,x')=e^{\text{amplitude}}\,\|x\|\|x'\|\,\bar r(\theta)`, at every width
    homogeneous in both inputs (``prop-tk-homogeneous``). Derivatives are by weights in units of
    their standard deviation over fan-in (entries ``N(0, 1)`` with the factor in front).

    Raises
    ------
    ValueError
        As in `block_shares`.
    """
    return math.log(2 * float(block_shares(spec).sum())) + _log_output_variance(spec)


def tangent_parts(spec: ResNetSpec, theta: ArrayLike) -> TangentParts:
    """Kernels of the blocks, the readout and the input map, unnormalised, for unit inputs.

    For inputs of other lengths each is multiplied by both lengths (``prop-tk-homogeneous``).

    Parameters, errors
        As in `normalized_kernel`.
    """
    angles = check_angles(theta)
    shares = block_shares(spec)
    walk = recursion(shares, angles)
    return TangentParts(
        blocks=2 * float(shares.sum()) * walk.kernel,
        readout=np.cos(walk.angle),
        embedding=walk.transport * np.cos(angles),
        angle=walk.angle,
        transport=walk.transport,
        log_scale=_log_output_variance(spec),
    )


def direct_gram(spec: ResNetSpec, x: ArrayLike, y: ArrayLike | None = None) -> Array:
    r""":math:`\|x\|\|x'\|\bar r`, the recursion run for every pair; slow, the reference.

    Parameters
    ----------
    x, y
        One input per row, shapes ``(N, d)`` and ``(M, d)``; ``y`` defaults to ``x``.

    Returns
    -------
    Shape ``(N, M)``; rows of zeros give zeros.

    Raises
    ------
    ValueError
        If shapes do not fit, or as in `block_shares`.
    """
    rows = input_rows(x, "x")
    columns = rows if y is None else input_rows(y, "y", rows.shape[1])
    shares = block_shares(spec)
    angles = pair_angles(rows, None if y is None else columns)
    kernel = recursion(shares, angles, transport=False).kernel
    return kernel * lengths(rows)[:, None] * lengths(columns)


@dataclass(frozen=True)
class Walk:
    """Outcome of `recursion`, each of the shape of the angles: ``rbar``, ``theta_L``, ``B_1``."""

    kernel: Array
    angle: Array
    transport: Array


def recursion(shares: Array, theta: ArrayLike, *, transport: bool = True) -> Walk:
    """Run the blocks for given shares (``alg-tk-recursion``); angles in ``[0, pi]``, any shape.

    Without ``transport`` that of the result is 1.
    """
    angles = check_angles(theta)
    flat = angles.ravel()
    order = np.argsort(flat, kind="stable")
    out = np.empty((3, flat.size))
    steps = shares.tolist()
    for low in range(0, flat.size, PAIRS_PER_BLOCK):
        at = order[low : low + PAIRS_PER_BLOCK]
        out[:, at] = _walk_sorted(flat[at], steps, transport)
    kernel, angle, carried = out.reshape(3, *angles.shape)
    return Walk(kernel, angle, carried)


def _walk_sorted(start: Array, shares: Sequence[float], transport: bool) -> list[Array]:
    """The recursion on increasing angles: the order is kept, so slices replace masks.

    Carried are half angles, ``v = sin^2(theta/2)`` below the angle 2 and ``w = cos^2(theta/2)``
    above, so that neither end of the interval cancels. Arrays are short and layers many: what
    counts is the number of NumPy calls per layer.
    """
    half = start / 2
    v, w = np.sin(half) ** 2, np.cos(half) ** 2
    kernel, total, carried = np.zeros_like(v), 0.0, np.ones_like(v)
    top = int(half.searchsorted(_UPPER))
    cosine, product, g, tmp = (np.empty_like(v) for _ in range(4))
    for share in shares:
        np.subtract(w, v, out=cosine)
        np.multiply(half, cosine, out=product)
        np.multiply(v, w, out=g)
        np.sqrt(g, out=g)
        g -= product
        _series_below(half, g)
        np.multiply(half, -2 * share / math.pi, out=tmp)
        tmp += 1.0
        kernel *= tmp
        if transport:
            carried *= tmp
        np.subtract(g, product, out=tmp)
        tmp *= 1 / math.pi
        tmp += cosine
        tmp *= share
        kernel += tmp
        total += share  # the same sum at the angle 0, rounding included
        g *= share / math.pi
        top = _turn(half, v, w, g, top)
    return [kernel / total, 2 * half, carried]


def _series_below(half: Array, g: Array) -> None:
    """Replace ``g = (sin - theta cos)/2`` by its series at the small angles, which come first."""
    low = int(half.searchsorted(_SERIES_BELOW))
    if not low:
        return
    small = half[:low]
    square = small * small
    series = square * _EXCESS[0]
    for coefficient in _EXCESS[1:-1]:
        series += coefficient
        series *= square
    series += _EXCESS[-1]
    series *= square
    np.multiply(series, small, out=g[:low])


def _turn(half: Array, v: Array, w: Array, step: Array, top: int) -> int:
    """Move ``v`` down and ``w`` up by ``step``, set the angle; return where angles exceed 2."""
    v -= step
    if top == v.size:  # the usual case; the slice of large angles only shrinks
        np.subtract(1.0, v, out=w)
        np.sqrt(v, out=half)
        np.arcsin(half, out=half)
        return top
    w[top:] += step[top:]
    np.subtract(1.0, w[top:], out=v[top:])
    np.subtract(1.0, v[:top], out=w[:top])
    np.sqrt(v[:top], out=half[:top])
    np.sqrt(w[top:], out=half[top:])
    np.arcsin(half, out=half)
    np.subtract(math.pi / 2, half[top:], out=half[top:])
    return int(half.searchsorted(_UPPER))


def _log_output_variance(spec: ResNetSpec) -> float:
    """Natural log of the variance of the output for an input of length 1."""
    logs = spec.log_stream_variances()
    embedded = math.log(spec.input_weight_variance / spec.inputs)
    return math.log(spec.readout_variance) + embedded + float(logs[-1] - logs[0])
