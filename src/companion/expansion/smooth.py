r"""Smooth activations: the energies of the first orders, and what trees add to the paths.

Notation
--------
============================================  =======================  =========================
symbol                                        name                     book label
============================================  =======================  =========================
:math:`\kappa=\sigma_v^2E\phi(z)^2`           `SmoothGains.kappa`      ``eq-re-smooth-energies``
:math:`\chi=\sigma_v^2\sigma_w^2E\phi'(z)^2`  `SmoothGains.chi`        ``eq-re-smooth-energies``
:math:`\xi=\sigma_v^2\sigma_w^4E\phi''(z)^2`  `SmoothGains.xi`         ``eq-re-smooth-energies``
:math:`E_1,E_2,E_3`                           `closed_order_energies`  ``eq-re-smooth-energies``
chains and trees of order 3                   `ClosedEnergies`         ``eq-re-third-order``
============================================  =======================  =========================

:math:`z` has the variance :math:`\sigma_w^2K^0`. A single block :math:`W\phi(h)` is the same with
:math:`\sigma_w^2` in the place of :math:`\sigma_v^2` and 1 in that of :math:`\sigma_w^2`. All
results are limits of large width, relative to :math:`\|h_0\|^2`. Derived here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from companion import _quadrature
from companion.activations import Erf, Linear
from companion.architecture import ResNetSpec
from companion.expansion.energies import log_elementary_symmetric

__all__ = [
    "ClosedEnergies",
    "SmoothGains",
    "closed_order_energies",
    "smooth_gains",
]

Array = NDArray[np.float64]


class SmoothGains(NamedTuple):
    """Gains of a block, of its derivative and of its curvature, at the input.

    Attributes
    ----------
    kappa
        Mean square of a coordinate of ``F(h_0)``.
    chi
        ``E|DF u|^2 / |u|^2`` for any direction ``u``.
    xi
        A third of ``E|D^2F[u, u]|^2`` for ``|u|^2 = n``, per neuron.
    """

    kappa: float
    chi: float
    xi: float


class ClosedEnergies(NamedTuple):
    """Energies of the orders 1 to 3, relative to ``|h_0|^2``; the third in its two parts.

    Attributes
    ----------
    first, second
        Energies of orders 1 and 2.
    chains
        What the paths through three blocks contribute to order 3.
    trees
        What two earlier blocks feeding one later block contribute to order 3.
    """

    first: float
    second: float
    chains: float
    trees: float

    @property
    def third(self) -> float:
        """Energy of order 3; chains and trees are uncorrelated."""
        return self.chains + self.trees

    @property
    def tree_share(self) -> float:
        """Share of the trees in the energy of order 3; 0 if there is none."""
        return self.trees / self.third if self.third > 0 else 0.0


def smooth_gains(spec: ResNetSpec) -> SmoothGains:
    r""":math:`\kappa,\chi,\xi` at :math:`h_0`; exact for erf and linear, else by quadrature.

    Parameters
    ----------
    spec
        Independent layers and a twice differentiable activation. A bias enters ``kappa``.

    Raises
    ------
    ValueError
        If the activation has a kink, or layers are correlated.
    """
    check_smooth(spec)
    inner, outer = block_variances(spec)
    activation, variance = spec.activation, inner * spec.input_variance
    kappa = spec.bias_variance + outer * float(activation.second_moment(variance))
    chi = outer * inner * float(activation.mean_squared_derivative(variance))
    return SmoothGains(kappa, chi, outer * inner**2 * _squared_curvature(spec, variance))


def closed_order_energies(spec: ResNetSpec) -> ClosedEnergies:
    r"""Energies of the first three orders in closed form, for any scales of the layers.

    For equal scales :math:`E_1=Ls^2\kappa`, :math:`E_2=\binom L2s^4\chi\kappa` and
    :math:`E_3=s^6[\binom L3\chi^2\kappa+\frac34\xi\kappa^2\sum_k(k-1)^2]`, over :math:`K^0`.

    Parameters and errors as `smooth_gains`, with skip 1.
    """
    check_skip(spec)
    kappa, chi, xi = smooth_gains(spec)
    squares = spec.scales**2
    sums = np.zeros(4)
    found = np.exp(log_elementary_symmetric(squares, min(3, spec.depth)))
    sums[: found.size] = found
    before = np.concatenate([[0.0], np.cumsum(squares[:-1])])
    trees = 0.75 * xi * kappa**2 * float(np.sum(squares * before**2))
    chains = chi**2 * kappa * sums[3]
    parts = np.array([kappa * sums[1], chi * kappa * sums[2], chains, trees]) / spec.input_variance
    return ClosedEnergies(*(float(part) for part in parts))


def block_variances(spec: ResNetSpec) -> tuple[float, float]:
    """What multiplies the variance inside the activation, and the moment outside."""
    if spec.block == "single":
        return 1.0, spec.weight_variance
    return spec.weight_variance, spec.outer_variance


def _squared_curvature(spec: ResNetSpec, variance: float) -> float:
    """``E phi''(z)^2``."""
    activation = spec.activation
    if isinstance(activation, Linear):
        return 0.0
    if isinstance(activation, Erf):
        square = activation.steepness**2
        return 16 / math.pi * square**3 * variance / (1 + 4 * square * variance) ** 1.5

    def curvature(x: Array) -> Array:
        return np.asarray(_quadrature.difference(activation.derivative, x) ** 2)

    return float(_quadrature.single(curvature, np.asarray(variance), activation.analytic_strip))


def check_smooth(spec: ResNetSpec) -> None:
    if spec.activation.homogeneous and not isinstance(spec.activation, Linear):
        raise ValueError(
            f"activation must be smooth, got {spec.activation!r}, which has a kink; use "
            "companion.expansion.log_order_energies"
        )
    if not spec.weight_law.independent:
        raise ValueError(
            f"weight_law must be independent across layers, got {spec.weight_law!r}; use "
            "companion.expansion.log_order_norms for linear networks"
        )


def check_skip(spec: ResNetSpec) -> None:
    if spec.skip != 1:
        raise ValueError(
            f"skip must be 1, got {spec.skip:g}; the expansion of a curved network is around the "
            "identity"
        )
