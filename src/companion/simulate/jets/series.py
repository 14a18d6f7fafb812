r"""How an activation acts on a truncated power series (``eq-re-jet-activations``).

A series is a tensor of shape ``(N, K, B, m)``: coefficient :math:`k` of :math:`z(s)` in slot ``k``
of the second axis. The recurrences follow from the differential equation of the activation, at
:math:`O(K^2)` elementwise operations:

===============================  ===============================================================
:math:`a=\tanh z`                :math:`p_k=\sum_jj\,z_jb_{k-j}`, :math:`k\,a_k=p_k`,
                                 :math:`k\,b_k=-2\sum_ja_jp_{k-j}`, with :math:`b=1-a^2`
:math:`a=\mathrm{erf}(gz)`       :math:`p_k=\sum_jj\,z_je_{k-j}`,
                                 :math:`k\,a_k=\frac{2g}{\sqrt\pi}p_k`,
                                 :math:`k\,e_k=-2g^2\sum_jz_jp_{k-j}`, with :math:`e=e^{-g^2z^2}`
SiLU, GELU                       :math:`\frac z2(1+\tanh\frac z2)`,
                                 :math:`\frac z2(1+\mathrm{erf}\frac z{\sqrt2})`
===============================  ===============================================================

Piecewise-linear activations multiply all coefficients by one mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from companion.activations import Activation, Erf, LeakyReLU, Linear, ReLU, Tanh

__all__ = [
    "GELU",
    "SiLU",
    "apply",
    "complex_values",
    "erf_series",
    "multiply",
    "piecewise_linear",
    "slopes",
    "tanh_series",
    "values",
]

Series = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class SiLU(Activation):
    """``x / (1 + exp(-x))``; Gaussian expectations by quadrature."""

    kind: ClassVar[str] = "silu"

    @property
    def analytic_strip(self) -> float:
        """Distance pi of the poles from the real axis."""
        return math.pi

    def __call__(self, x: ArrayLike) -> NDArray[Any]:
        """``phi(x)``, elementwise."""
        half = np.asarray(x) / 2
        return half * (1 + np.tanh(half))

    def derivative(self, x: ArrayLike) -> NDArray[Any]:
        """``phi'(x)``, elementwise."""
        half = np.asarray(x) / 2
        t = np.tanh(half)
        return (1 + t + half * (1 - t) * (1 + t)) / 2


@dataclass(frozen=True)
class GELU(Activation):
    """``x Phi(x)`` with the normal distribution function; expectations by quadrature."""

    kind: ClassVar[str] = "gelu"

    def __call__(self, x: ArrayLike) -> NDArray[Any]:
        """``phi(x)``, elementwise."""
        from scipy.special import erf

        z = np.asarray(x)
        return z / 2 * (1 + erf(z / math.sqrt(2)))

    def derivative(self, x: ArrayLike) -> NDArray[Any]:
        """``phi'(x)``, elementwise."""
        from scipy.special import erf

        z = np.asarray(x)
        density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        return (1 + erf(z / math.sqrt(2))) / 2 + z * density


def piecewise_linear(activation: Activation) -> bool:
    """Whether the activation is linear on either side of 0."""
    return isinstance(activation, ReLU | LeakyReLU | Linear)


def slopes(activation: Activation, z: torch.Tensor) -> torch.Tensor | None:
    """Slope of a piecewise-linear activation at ``z``, the left one at 0; None for the identity."""
    if isinstance(activation, Linear):
        return None
    negative = activation.slope if isinstance(activation, LeakyReLU) else 0.0
    return torch.where(z > 0, z.new_ones(()), negative)  # two plain numbers would make float32


def apply(activation: Activation, z: torch.Tensor) -> torch.Tensor:
    """Series of ``phi(z)`` for a smooth activation.

    Raises
    ------
    ValueError
        For an activation without a recurrence.
    """
    if isinstance(activation, Tanh):
        return tanh_series(z)
    if isinstance(activation, Erf):
        return erf_series(z, activation.steepness)
    if isinstance(activation, SiLU):
        return _gated(z, tanh_series(z / 2))
    if isinstance(activation, GELU):
        return _gated(z, erf_series(z, math.sqrt(0.5)))
    raise _unknown(activation)


def _unknown(activation: Activation) -> ValueError:
    return ValueError(
        f"activation {activation!r} has no power series here; known are ReLU, LeakyReLU, Linear, "
        "Tanh, Erf, SiLU and GELU, and jets.expand takes any torch function at low orders"
    )


def tanh_series(z: torch.Tensor) -> torch.Tensor:
    """Series of ``tanh z``."""
    value = torch.tanh(z[:, 0])
    return _recurrence(z, value, 1 - value**2, slope=1.0, feedback=-2.0, through=None)


def erf_series(z: torch.Tensor, steepness: float) -> torch.Tensor:
    """Series of ``erf(steepness z)``."""
    t = steepness * z[:, 0]
    slope, feedback = 2 * steepness / math.sqrt(math.pi), -2 * steepness**2
    return _recurrence(z, torch.erf(t), torch.exp(-t * t), slope, feedback, through=z)


def _recurrence(
    z: torch.Tensor,
    value: torch.Tensor,
    weight: torch.Tensor,
    slope: float,
    feedback: float,
    through: torch.Tensor | None,
) -> torch.Tensor:
    """Solve ``a' = slope e z'``, ``e' = feedback c e z'`` with ``c`` = ``through``, or ``a``."""
    last = z.shape[1] - 1
    order = torch.arange(last + 1, device=z.device, dtype=z.dtype)
    found = torch.empty_like(z, memory_format=torch.contiguous_format)
    weights, products = torch.empty_like(found), torch.empty_like(found)
    weights[:, last], found[:, 0] = weight, value
    jz, a = _cells(z * order[:, None, None]), _cells(found)
    reverse_e, reverse_p = _cells(weights), _cells(products)
    c = a if through is None else _cells(through)
    # Factors lie in opposite orders, so that each order is one product and one reduction.
    for k in range(1, last + 1):
        p = _pair_sum(jz[:, 1 : k + 1], reverse_e[:, last - k + 1 :])
        reverse_p[:, last - k] = p
        a[:, k] = p * (slope / k)
        e = _pair_sum(c[:, :k], reverse_p[:, last - k : -1])
        reverse_e[:, last - k] = e * (feedback / k)
    return found


def multiply(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Product of two series, truncated at their length."""
    last = x.shape[1] - 1
    found = torch.empty_like(x, memory_format=torch.contiguous_format)
    first, reverse, out = _cells(x), _cells(y.flip(1)), _cells(found)
    for k in range(last + 1):
        out[:, k] = _pair_sum(first[:, : k + 1], reverse[:, last - k :])
    return found


def _cells(z: torch.Tensor) -> Any:
    """View of shape (N, K, cells): in NumPy on a CPU, where its calls cost a third of torch's."""
    flat = z.reshape(*z.shape[:2], -1)
    return flat.numpy() if z.device.type == "cpu" else flat


def _pair_sum(x: Any, y: Any) -> Any:
    """Sum over the orders of the products of two stacks of coefficients."""
    return np.einsum("nkc,nkc->nc", x, y) if isinstance(x, np.ndarray) else (x * y).sum(1)


def _gated(z: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
    """``z (1 + gate) / 2``."""
    gate[:, 0] += 1
    return multiply(z, gate).mul_(0.5)


def values(activation: Activation, z: torch.Tensor) -> torch.Tensor:
    """``phi(z)`` of real numbers, differentiable by torch."""
    if piecewise_linear(activation):
        slope = slopes(activation, z.detach())
        return z if slope is None else slope * z
    if isinstance(activation, Tanh):
        return torch.tanh(z)
    if isinstance(activation, Erf):
        return torch.erf(activation.steepness * z)
    if isinstance(activation, SiLU):
        return torch.nn.functional.silu(z)
    if isinstance(activation, GELU):
        return torch.nn.functional.gelu(z)
    raise _unknown(activation)


def complex_values(activation: Activation, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """``phi(z)`` of complex numbers, by the function itself and none of the recurrences.

    Raises
    ------
    ValueError
        For an activation with a kink, which has no continuation off the real axis.
    """
    if isinstance(activation, Linear):
        return z
    if isinstance(activation, Tanh):
        return np.asarray(np.tanh(z))
    if isinstance(activation, Erf | GELU | SiLU):
        from scipy.special import erf

        if isinstance(activation, Erf):
            return np.asarray(erf(activation.steepness * z))
        if isinstance(activation, GELU):
            return np.asarray(z / 2 * (1 + erf(z / math.sqrt(2))))
        return np.asarray(z / (1 + np.exp(-z)))
    if piecewise_linear(activation):
        raise ValueError(
            f"activation {activation!r} has a kink and no continuation to complex scales; use "
            "jets.taylor below the first kink, or jets.paths"
        )
    raise _unknown(activation)
