r"""Exact second moments, and how they grow with depth, for weights independent across layers.

Everything takes a `ResNetSpec` with skip 1, homogeneous blocks and no biases; scales may differ
from layer to layer.

Notation
--------
==============================================  ==========================  =======================
symbol                                          name                        book label
==============================================  ==========================  =======================
:math:`\alpha_l`                                ``spec.scales``             ``eq-residual-block``
:math:`c`                                       ``spec.gain()``             ``eq-gain``
:math:`E\,Q_h^2=E\|h_L\|^2/\|h_0\|^2`           `log_second_moment`         ``eq-ld-second-moment``
:math:`E\,\Delta_h^2=E\|h_L-h_0\|^2/\|h_0\|^2`  `mean_square_displacement`  ``eq-ld-second-moment``
:math:`E\,Q_p^2,\ E\,\Delta_p^2`                the same two                ``eq-ld-second-moment``
:math:`\beta` in :math:`\alpha=L^{-\beta}`      ``beta``                    ``eq-ld-scaling``
:math:`m_l,\ q_l`                               in `mean_branch_log_norms`  ``eq-ld-mean-branch``
:math:`S(r)`                                    in `companion.activations`  ``eq-arc-cosine``
==============================================  ==========================  =======================

That :math:`\beta=\frac12` separates explosion from identity is stated in the abstract of Marion,
Fermanian, Biau and Vert; the constants were derived for this book and tested against simulation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from companion._validation import positive_integer, real_number
from companion.activations import LeakyReLU, Linear, ReLU, square_sign_moment
from companion.architecture import ResNetSpec

__all__ = [
    "Regime",
    "displacement_bound",
    "log_mean_square_displacement",
    "log_second_moment",
    "mean_branch_log_norms",
    "mean_square_displacement",
    "regime",
    "single_block_bounds",
    "single_block_log_second_moment",
]

Array = NDArray[np.float64]


class Regime(NamedTuple):
    r"""What becomes of :math:`E\,\Delta_h^2` at :math:`\alpha=L^{-\beta}` as the depth grows.

    Attributes
    ----------
    name
        ``"identity"``, ``"critical"`` or ``"explosion"``.
    exponent
        Power of ``L``: of the rms displacement (identity), of its log mean square (explosion), 0 at
        the critical exponent.
    constant
        Its factor; at the critical exponent the limit of the rms displacement.
    """

    name: str
    exponent: float
    constant: float


def log_second_moment(spec: ResNetSpec) -> float:
    r"""Natural log of :math:`E\|h_L\|^2/\|h_0\|^2=\prod_l(1+c\,\alpha_l^2)`, exact at every width.

    Two-layer blocks with ReLU, leaky ReLU or linear activation, or linear single blocks; any
    symmetric i.i.d. entries. :math:`E\|p_0\|^2/\|p_L\|^2` is the same number.

    Raises
    ------
    ValueError
        If the moment is not closed (single ReLU block, weights correlated across layers), or the
        network has biases, another activation or a skip weight other than 1.

    Notes
    -----
    ``thm-ld-second-moment``, derived here.
    """
    _require_closed(spec)
    return _log_growth(spec, float(spec.gain()))


def log_mean_square_displacement(spec: ResNetSpec) -> float:
    r"""Natural log of :math:`E\,\Delta_h^2=E\,\Delta_p^2`, for moments beyond the range of float64.

    ``-inf`` if all scales are 0; domain and errors as :func:`log_second_moment`.
    """
    growth = log_second_moment(spec)
    if growth == 0:
        return -math.inf
    return growth + math.log(-math.expm1(-growth))


def mean_square_displacement(spec: ResNetSpec) -> float:
    r""":math:`E\|h_L-h_0\|^2/\|h_0\|^2=E\|p_0-p_L\|^2/\|p_L\|^2=\prod_l(1+c\,\alpha_l^2)-1`, exact.

    Raises
    ------
    OverflowError
        If it leaves the range of float64.
    ValueError
        As :func:`log_second_moment`.
    """
    growth = log_second_moment(spec)
    try:
        return math.expm1(growth)
    except OverflowError:
        raise OverflowError(
            f"the mean square displacement is exp({growth:.4g}), beyond float64; use "
            "log_mean_square_displacement"
        ) from None


def displacement_bound(spec: ResNetSpec, level: float) -> float:
    r"""Markov's bound on :math:`P(\|h_L-h_0\|^2\ge t\|h_0\|^2)`; the same for the gradient.

    Parameters
    ----------
    level
        ``t``, positive: a squared relative displacement.
    """
    t = real_number(level, "level", minimum=0.0, strict=True)
    return math.exp(min(0.0, log_mean_square_displacement(spec) - math.log(t)))


def regime(beta: float, gain: float = 0.5) -> Regime:
    r"""The trichotomy of i.i.d. weights at :math:`\alpha=L^{-\beta}` (``thm-ld-trichotomy``).

    With gain ``c``: :math:`\sqrt{E\,\Delta_h^2}\simeq\sqrt c\,L^{1/2-\beta}` above one half,
    :math:`\sqrt{e^c-1}` at one half, and :math:`\ln E\,\Delta_h^2\simeq c\,L^{1-2\beta}` below.

    Raises
    ------
    ValueError
        If ``beta`` is negative or ``gain`` not positive.
    """
    b = real_number(beta, "beta", minimum=0.0, remedy="the scale is L**-beta, at most 1")
    c = real_number(gain, "gain", minimum=0.0, strict=True)
    if b > 0.5:
        return Regime("identity", 0.5 - b, math.sqrt(c))
    if b == 0.5:
        return Regime("critical", 0.0, math.sqrt(math.expm1(c)))
    return Regime("explosion", 1 - 2 * b, c)


def single_block_bounds(spec: ResNetSpec) -> tuple[float, float]:
    r"""Logs of the bounds :math:`\prod(1+a^2\alpha_l^2)\le E\,Q_h^2\le\prod(1+b^2\alpha_l^2)`.

    For single blocks :math:`V\sigma(h)` with :math:`a|x|\le|\sigma(x)|\le b|x|` and i.i.d. entries
    of mean 0, at every width (``prop-ld-single-bounds``). For ReLU the lower bound is 0 and the
    upper one is that of a linear branch.
    """
    _require(spec)
    _require_block(spec, "single", "single_block_bounds")
    slope = _slope(spec)
    ends = sorted((abs(slope), 1.0))
    lower, upper = (_log_growth(spec, spec.weight_variance * end**2) for end in ends)
    return lower, upper


def single_block_log_second_moment(spec: ResNetSpec) -> float:
    r"""Log of :math:`E\|h_L\|^2/\|h_0\|^2` of single ReLU blocks, with the first order in 1/n.

    :math:`L\ln(1+c\,\alpha^2)+\frac{\lambda^2}n\sum_{m<L}(L-m)S((1-\lambda)^{m/2})` with the share
    :math:`\lambda=c\,\alpha^2/(1+c\,\alpha^2)` and :math:`c=\sigma_w^2/2`
    (``eq-ld-single-moment``): the same neurons stay active for many layers, so the norm grows more
    than in a two-layer network. Isotropic input, equal scales; corrections are of order
    ``L / n**2``.

    Raises
    ------
    ValueError
        If the blocks are not single ReLU blocks, or the scales differ.
    """
    _require(spec)
    _require_block(spec, "single", "single_block_log_second_moment")
    if not isinstance(spec.activation, ReLU):
        raise ValueError(
            f"activation must be ReLU for the interlayer term, got {spec.activation!r}; use "
            "single_block_bounds"
        )
    if np.ptp(spec.scales) > 0:
        raise ValueError("scale must be equal in all layers for the interlayer term; pass a number")
    wide = _log_growth(spec, float(spec.gain()))
    share = float(spec.shares()[0])
    if spec.balanced or share == 0:
        return wide
    lags = np.arange(1.0, spec.depth)
    moment = square_sign_moment(np.exp(lags / 2 * math.log1p(-share)))
    return wide + share**2 / spec.width * float(np.sum((spec.depth - lags) * moment))


def mean_branch_log_norms(alpha: float, depth: int, mean: float = 0.0) -> Array:
    r"""Wide limit of :math:`\ln(\|h_l\|/\|h_0\|)` for :math:`h+\alpha\,\mathrm{ReLU}(Wh)`.

    A branch without an outer matrix of mean 0 has a mean: it pushes every coordinate the same way,
    and the critical exponent is 1. With :math:`m_l` the mean and :math:`q_l` the mean square of a
    coordinate (``eq-ld-mean-branch``),
    :math:`m\leftarrow m+\alpha\sqrt{q/2\pi},\ q\leftarrow q+2\alpha m\sqrt{q/2\pi}+\alpha^2q/2`.

    Parameters
    ----------
    alpha
        Branch scale, at least 0.
    depth
        Number of blocks.
    mean
        :math:`m_0/\sqrt{q_0}`, in ``[-1, 1]``.

    Returns
    -------
    Array of shape ``(depth + 1,)``, natural logs of a norm, not squared; starts at 0.
    """
    scale = real_number(alpha, "alpha", minimum=0.0)
    layers = positive_integer(depth, "depth")
    ratio = real_number(mean, "mean", minimum=-1.0, remedy="it is m_0/sqrt(q_0)")
    if ratio > 1:
        raise ValueError(f"mean must be at most 1, got {ratio:g}; it is m_0/sqrt(q_0)")
    push = scale / math.sqrt(2 * math.pi)
    steps = np.empty(layers)
    for layer in range(layers):  # in units of the present norm
        excess = 2 * push * ratio + scale**2 / 2
        steps[layer] = math.log1p(excess) / 2
        ratio = (ratio + push) / math.sqrt(1 + excess)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _log_growth(spec: ResNetSpec, gain: float) -> float:
    return float(np.sum(np.log1p(gain * spec.scales**2)))


def _slope(spec: ResNetSpec) -> float:
    """Slope of the activation on the negative half-line."""
    if isinstance(spec.activation, LeakyReLU):
        return spec.activation.slope
    return 1.0 if isinstance(spec.activation, Linear) else 0.0


def _require(spec: ResNetSpec) -> None:
    if not spec.homogeneous:
        raise ValueError(
            f"the moments need 1-homogeneous blocks, got activation={spec.activation!r} with "
            f"bias_variance={spec.bias_variance:g}; use ReLU, leaky ReLU or linear without bias"
        )
    if spec.skip != 1:
        raise ValueError(
            f"skip must be 1, got {spec.skip:g}; h_l / skip**l is the network with skip 1 and "
            "scale s / skip, pass that one"
        )
    if not spec.weight_law.independent:
        raise ValueError(
            f"weight_law must be independent across layers, got {spec.weight_law!r}; for "
            "correlated weights use depthlimits.log_displacement"
        )


def _require_block(spec: ResNetSpec, block: str, function: str) -> None:
    if spec.block != block:
        raise ValueError(
            f"{function} is for block={block!r}, got {spec.block!r}; build the spec with "
            f"ResNetSpec.large_depth(..., block={block!r})"
        )


def _require_closed(spec: ResNetSpec) -> None:
    """A network whose second moment does not need to know how the norm is spread."""
    _require(spec)
    if spec.block == "single" and abs(_slope(spec)) != 1:
        raise ValueError(
            f"the second moment of single {spec.activation.name} blocks is not closed; use "
            "single_block_bounds, or single_block_log_second_moment for its first order in 1/n"
        )
