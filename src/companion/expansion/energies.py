r"""How much energy each order of the expansion carries, when the blocks are independent.

The order-``k`` part of the stream, :math:`s^kh^{(k)}`, passes through ``k`` of the blocks. For
independent, bias-free, piecewise-linear blocks the orders are uncorrelated, and their mean squared
norms are elementary symmetric polynomials of the blocks' ratios
:math:`x_l=s_l^2c_l/a^2=\lambda_l/(1-\lambda_l)`.

Notation
--------
==============================  ======================  ========================
symbol                          name                    book label
==============================  ======================  ========================
:math:`x_l=s_l^2c_l/a^2`        `block_ratios`          ``eq-re-energy-general``
:math:`E_k=e_k(x_1,\dots,x_L)`  `log_order_energies`    ``eq-re-energy-general``
:math:`E_k=\binom Lk(s^2c)^k`   the same, equal ratios  ``eq-re-energy``
:math:`\prod_l(1+x_l)`          `log_total_energy`      ``eq-re-energy-general``
:math:`e_k(s_1\alpha_1,\dots)`  `log_aligned_norms`     ``eq-re-aligned``
:math:`e_k(s_1M_1,\dots)`       the same, Lipschitz     ``eq-re-worst-case``
==============================  ======================  ========================

Energies are relative to :math:`a^{2L}\|h_0\|^2`, with skip :math:`a=1` unless the network says
otherwise. Everything is a natural log, so no depth overflows. Derived here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import finite_array, positive_integer
from companion.architecture import ResNetSpec

__all__ = [
    "block_ratios",
    "log_aligned_norms",
    "log_elementary_symmetric",
    "log_order_energies",
    "log_total_energy",
]

Array = NDArray[np.float64]

#: Binary exponents further apart than this have no common digit.
_FAR = 1100
#: Binary exponent of a number that is 0.
_NONE = -(2**60)


def block_ratios(network: ResNetSpec | ArrayLike) -> Array:
    """``x_l = s_l^2 c / a^2``, what block ``l`` adds to the energy relative to what it receives.

    Parameters
    ----------
    network
        A `ResNetSpec` with homogeneous blocks and independent layers, or the ratios themselves.

    Returns
    -------
    Shape ``(L,)``, linear, at least 0. The energies that follow from it are exact at every width
    for two-layer blocks with any activation of the ReLU family and for linear blocks; they are
    those of the wide limit for single ReLU blocks.

    Raises
    ------
    ValueError
        If the blocks have a curved activation or a bias, if layers are correlated, if the skip is
        0, or if given ratios are not a vector of finite numbers of at least 0.
    """
    if not isinstance(network, ResNetSpec):
        return vector(network, "network")
    check_independent_paths(network)
    if network.skip == 0:
        raise ValueError(
            "skip must be positive, got 0; without a skip path the only order is L, use a "
            "positive skip"
        )
    return np.asarray((network.scales / network.skip) ** 2 * float(network.gain()))


def log_order_energies(network: ResNetSpec | ArrayLike, orders: int | None = None) -> Array:
    r"""Natural log of :math:`E_k=E\|s^kh^{(k)}\|^2/a^{2L}\|h_0\|^2`, orders ``0 .. orders``.

    The same for frozen and for actual masks, and for the orders of the input-output Jacobian
    (``eq-re-jacobian-energy``).

    Parameters
    ----------
    network
        As `block_ratios`.
    orders
        Highest order, at most and by default the depth.

    Returns
    -------
    Shape ``(orders + 1,)``; 0 at order 0, ``-inf`` where no path exists.
    """
    return log_elementary_symmetric(block_ratios(network), orders)


def log_total_energy(network: ResNetSpec | ArrayLike) -> float:
    r"""Natural log of :math:`E\|h_L\|^2/a^{2L}\|h_0\|^2=\prod_l(1+x_l)`; parameters as above."""
    return float(np.sum(np.log1p(block_ratios(network))))


def log_aligned_norms(strengths: ArrayLike, orders: int | None = None) -> Array:
    r"""Natural log of the norms of the orders when all blocks push in one direction.

    Blocks are aligned if they commute and the input is a common eigenvector, with eigenvalue
    :math:`\alpha_l`: terms then add as norms, not as squares.

    Parameters
    ----------
    strengths
        :math:`s_l\alpha_l`, shape ``(L,)``, at least 0. With Lipschitz constants in the place of
        :math:`\alpha_l` the result bounds the norm of every order of bias-free piecewise-linear
        blocks, whatever their weights, and aligned blocks attain the bound.
    orders
        Highest order, at most and by default ``L``.

    Returns
    -------
    ``ln(|s^k h^(k)| / |h_0|)`` (not squared), shape ``(orders + 1,)``; their total is the sum of
    ``log1p(strengths)``.
    """
    return log_elementary_symmetric(vector(strengths, "strengths"), orders)


def log_elementary_symmetric(values: ArrayLike, orders: int | None = None) -> Array:
    r"""Natural log of :math:`e_k(x)=\sum_{l_1<\dots<l_k}x_{l_1}\cdots x_{l_k}` for every ``k``.

    Parameters
    ----------
    values
        ``x``, shape ``(L,)``, at least 0.
    orders
        Highest ``k``, at most and by default ``L``.

    Returns
    -------
    Shape ``(orders + 1,)``; ``-inf`` where the polynomial vanishes.

    Raises
    ------
    ValueError
        If ``values`` is not a vector of finite numbers of at least 0, or ``orders`` too large.

    Notes
    -----
    All terms are positive, so a sweep :math:`e_k\leftarrow e_k+x_le_{k-1}` loses no digits; each
    number carries its own binary exponent. Time ``O(L orders)``; equal values use the binomial.
    """
    x = vector(values, "values")
    top = highest_order(orders, x.size)
    if np.all(x == x[0]):
        with np.errstate(divide="ignore"):
            powers = np.arange(1, top + 1) * np.log(x[0])
        return log_binomials(x.size, top) + np.concatenate([[0.0], powers])
    mantissa, exponent = np.zeros(top + 1), np.full(top + 1, _NONE, dtype=np.int64)
    mantissa[0], exponent[0] = 1.0, 0
    for layer, (value, own) in enumerate(zip(*np.frexp(x), strict=True)):
        end = min(layer + 1, top)
        if value == 0:
            continue
        # Both terms on the scale of the larger one, so that neither leaves the range of float64.
        old, new = exponent[1 : end + 1], exponent[:end] + own
        common = np.maximum(old, new)
        grown = _shifted(mantissa[1 : end + 1], old - common)
        grown += _shifted(mantissa[:end] * value, new - common)
        mantissa[1 : end + 1], change = np.frexp(grown)
        exponent[1 : end + 1] = np.where(grown > 0, common + change, _NONE)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(mantissa) + np.log(2.0) * exponent)


def _shifted(mantissa: Array, shift: NDArray[np.int64]) -> Array:
    return np.asarray(np.ldexp(mantissa, np.maximum(shift, -_FAR)))


def log_binomials(depth: int, orders: int) -> Array:
    """Natural log of the binomials of ``depth`` over ``0 .. orders``, by their own ratios."""
    half = np.arange(min(orders, depth // 2))
    lower = np.concatenate([[0.0], np.cumsum(np.log((depth - half) / (half + 1)))])
    mirrored = depth - np.arange(lower.size, orders + 1)
    return np.concatenate([lower, lower[mirrored]])


def highest_order(orders: int | None, depth: int) -> int:
    """``orders`` as an int between 0 and ``depth``; ``depth`` for None."""
    if orders is None:
        return depth
    top = order_number(orders, "orders")
    if top > depth:
        raise ValueError(
            f"orders must not exceed the depth {depth}, got {top}; higher orders have no paths"
        )
    return top


def order_number(value: int, name: str) -> int:
    """``value`` as an int of at least 0."""
    if value == 0 and value is not False:
        return 0
    return positive_integer(value, name, "orders count blocks: 0, 1, 2, ...")


def vector(values: ArrayLike, name: str) -> Array:
    """``values`` as a vector of finite numbers of at least 0, one per block."""
    array = finite_array(values, name)
    if array.ndim != 1 or array.size == 0 or np.any(array < 0):
        least = f" and least value {array.min():g}" if array.size else ""
        raise ValueError(
            f"{name} must be a ResNetSpec or a vector of numbers of at least 0, one per block, got "
            f"shape {array.shape}{least}; pass e.g. numpy.full(depth, 1 / depth)"
        )
    return array


def check_independent_paths(spec: ResNetSpec) -> None:
    """Raise unless the orders of this network are uncorrelated sums over paths."""
    if not spec.homogeneous:
        raise ValueError(
            f"activation must be linear or of the ReLU family and bias_variance 0, got "
            f"{spec.activation!r} with bias_variance={spec.bias_variance:g}; for erf use "
            "companion.expansion.order_covariances, for others simulate"
        )
    if not spec.weight_law.independent:
        raise ValueError(
            f"weight_law must be independent across layers, got {spec.weight_law!r}; use "
            "companion.expansion.log_order_norms"
        )
