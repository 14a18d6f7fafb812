r"""Jacobians at initialization: geometric complexity, and where the gradient goes.

The geometric complexity of a map is the mean squared Frobenius norm of its Jacobian over the
inputs. At initialization it grows with every branch scale. Here :math:`J=\partial h_L/\partial
h_0`, :math:`A` is the input map and :math:`\theta` a group of parameters.

Notation
--------
====================================  ==========================  =========================
symbol                                name                        book label
====================================  ==========================  =========================
:math:`E\|J\|_F^2/n`                  `log_jacobian_energy`       ``eq-re-jacobian-energy``
:math:`\|A\|_F^2\prod_l(1+s_l^2c_l)`  `log_geometric_complexity`  ``eq-re-complexity-init``
:math:`E\|\partial_\theta f\|^2`      `gradient_energies`         ``eq-re-gradient-energy``
:math:`\mu=1/\sum_ls_l^2`             `branch_rate_multiplier`    ``eq-re-branch-rate``
====================================  ==========================  =========================

The definition is that of ``eq-re-geometric-complexity``; the values are derived here. They are
exact at every width for two-layer blocks of the ReLU family and linear blocks without bias, and
limits of large width otherwise. The law of the orders of a Jacobian is that of
:class:`companion.expansion.PathLaw`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from companion._validation import choice
from companion.architecture import ResNetSpec
from companion.expansion.energies import block_ratios

__all__ = [
    "GradientEnergies",
    "branch_rate_multiplier",
    "gradient_energies",
    "log_geometric_complexity",
    "log_jacobian_energy",
]

Array = NDArray[np.float64]

_LOG_RANGE = 700.0  # exp of this is inside float64


class GradientEnergies(NamedTuple):
    r"""Expected squared gradient norms of one output, by group of parameters, per neuron.

    All are relative to the energy of the stream, :math:`E\|h_L\|^2/\|h_0\|^2`, a common factor.

    Attributes
    ----------
    input_map, readout
        Weights of the input map and of the readout.
    inner, outer
        The matrices ``W_l`` and ``V_l`` of each block, shape ``(L,)``; a single block has no
        ``V``, and zeros there.
    """

    input_map: float
    readout: float
    inner: Array
    outer: Array

    @property
    def branches(self) -> float:
        """All blocks together."""
        return float(np.sum(self.inner) + np.sum(self.outer))

    @property
    def branch_share(self) -> float:
        """Share of the blocks in the tangent kernel of one input with itself."""
        return self.branches / (self.branches + self.input_map + self.readout)


def log_jacobian_energy(spec: ResNetSpec) -> float:
    r"""Natural log of :math:`E\|\partial h_L/\partial h_0\|_F^2/n`, the mean gain of a direction.

    :math:`a^{2L}\prod_l(1+s_l^2c_l/a^2)` for homogeneous blocks, with the gain of the derivative
    in the place of :math:`c_l` for others.

    Raises
    ------
    ValueError
        If layers are correlated.
    """
    _check_law(spec)
    logs = np.clip(spec.log_stream_variances()[:-1], -_LOG_RANGE, _LOG_RANGE)
    variances = np.exp(logs)
    if spec.block == "single":
        slopes = spec.weight_variance * spec.activation.mean_squared_derivative(variances)
    else:
        inner = spec.activation.mean_squared_derivative(spec.weight_variance * variances)
        slopes = spec.outer_variance * spec.weight_variance * inner
    return float(np.sum(np.log(spec.skip**2 + spec.scales**2 * slopes)))


def log_geometric_complexity(spec: ResNetSpec, of: str = "features") -> float:
    r"""Natural log of the expected geometric complexity at initialization.

    Parameters
    ----------
    spec
        Network with independent layers. For curved activations the value is that at inputs of the
        spec's norm; for homogeneous ones the inputs do not matter.
    of
        ``"features"`` for :math:`x\mapsto h_L`, with :math:`E\|A\|_F^2=n\sigma_{in}^2` of the input
        map, or ``"outputs"`` for the outputs of a linear readout.

    Raises
    ------
    ValueError
        If layers are correlated, ``of`` is unknown, or the readout is not linear.
    """
    choice(of, "of", ("features", "outputs"))
    logs = log_jacobian_energy(spec) + math.log(spec.input_weight_variance)
    if of == "features":
        return logs + math.log(spec.width)
    _check_readout(spec)
    return logs + math.log(spec.outputs * spec.readout_variance)


def gradient_energies(spec: ResNetSpec) -> GradientEnergies:
    r"""Where the gradient of an output goes at initialization, by group of parameters.

    A block receives :math:`\propto s_l^2/(1+x_l)`: of order :math:`Ls^2` all together, which is
    :math:`O(1)` at :math:`s=L^{-1/2}` and :math:`O(1/L)` at :math:`s=1/L`.

    Parameters
    ----------
    spec
        Homogeneous blocks, independent layers, positive skip, linear readout; biases of input map
        and readout are not counted.

    Raises
    ------
    ValueError
        If the network is another one.
    """
    ratios = block_ratios(spec)
    _check_readout(spec)
    power = float(spec.activation.gain(1.0))
    common = power * spec.input_variance * spec.readout_variance
    received: Array = common * (spec.scales / spec.skip) ** 2 / (1 + ratios)
    single = spec.block == "single"
    inner = received * (1.0 if single else spec.outer_variance)
    outer = np.zeros(spec.depth) if single else received * spec.weight_variance
    first = spec.input_squared_norm * spec.readout_variance / spec.width
    return GradientEnergies(first, spec.input_variance, inner, outer)


def branch_rate_multiplier(spec: ResNetSpec) -> float:
    r""":math:`\mu=1/\sum_ls_l^2`, the factor on the branches' learning rate in gradient descent.

    It gives the branches the share in training that they have at :math:`s=L^{-1/2}`, where it is
    1; at :math:`s=1/L` it is ``L``. Infinite at scale 0.
    """
    size = float(np.sum(spec.scales**2))
    return 1 / size if size > 0 else math.inf


def _check_law(spec: ResNetSpec) -> None:
    if not spec.weight_law.independent:
        raise ValueError(
            f"weight_law must be independent across layers, got {spec.weight_law!r}; simulate the "
            "network instead"
        )


def _check_readout(spec: ResNetSpec) -> None:
    if spec.readout != "linear":
        raise ValueError(
            f"readout must be 'linear', got {spec.readout!r}; ask for the features instead"
        )
