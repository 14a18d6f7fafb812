r"""Response of random networks to their input kernel, by differences within one network.

Notation
--------
==========================================  ============================  =======================
symbol                                      name                          label in the book
==========================================  ============================  =======================
:math:`\chi_{11,11}`                        ``"variance"``                ``eq-ft-response``
:math:`\chi_{12,12}`                        ``"covariance"``              ``eq-ft-pair-response``
:math:`\chi_{12,11}`                        ``"covariance_by_variance"``  ``eq-ft-pair-response``
:math:`\chi_{12,11}+\frac c2\chi_{12,12}`  ``"covariance_by_norm"``      ``eq-ft-norm-response``
==========================================  ============================  =======================

A response is the derivative of a kernel by an entry of the input kernel :math:`K^0`
(``eq-ft-input-kernel``); :math:`c` is the cosine of the two inputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from companion._validation import real_number
from companion.architecture import ResNetSpec
from companion.simulate.kernels import Pairs, check_layers, products

__all__ = ["RESPONSES", "EmpiricalResponse", "sample"]

#: Names of the measured responses; with one input there is the first only.
RESPONSES: Final = ("variance", "covariance", "covariance_by_variance", "covariance_by_norm")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class EmpiricalResponse:
    r"""Derivatives of the kernels of simulated networks by their input kernel.

    Attributes
    ----------
    layers : tuple of int
        Layers of ``stream``, 0 being the embedded input.
    stream : dict of ndarray, shape (networks, len(layers))
        By name, see `RESPONSES`: ``"variance"`` :math:`\partial\hat q^l_{11}/\partial K^0_{11}`,
        ``"covariance"`` :math:`\partial\hat q^l_{12}/\partial K^0_{12}`,
        ``"covariance_by_variance"`` :math:`\partial\hat q^l_{12}/\partial K^0_{11}` at fixed
        :math:`K^0_{12}`, and ``"covariance_by_norm"``, the same as the first input is made longer,
        which changes :math:`K^0_{12}` too.
    output : dict of ndarray, shape (networks,)
        The same of :math:`\hat C^y`.
    """

    layers: tuple[int, ...]
    stream: dict[str, Array]
    output: dict[str, Array]


def sample(
    spec: ResNetSpec,
    networks: int,
    *,
    seed: int | np.random.SeedSequence,
    cosine: float | None = None,
    step: float = 0.02,
    layers: Iterable[int] | None = None,
    weights: str = "explicit",
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float64",
    batch: int = 1,
) -> EmpiricalResponse:
    r"""Responses by central differences with common random numbers (``alg-ft-response``).

    Perturbed inputs are further columns of the same matrix products, so the difference of two
    kernels is taken within one network and its expectation is the difference of their means. With
    a Gaussian input map the law of the streams depends on the inputs through :math:`K^0` only:
    they are placed in a plane, whatever the dimension in ``spec``.

    Parameters
    ----------
    spec, networks, seed, layers, device, dtype, batch
        As in `companion.simulate.kernels.sample`; both inputs have the variance
        ``spec.input_variance``.
    cosine : float, optional
        :math:`K^0_{12}/K^0_{11}` of a second input, inside (-1, 1); default no second input.
    step : float
        Change of an entry of the input kernel, to either side, as a fraction of
        :math:`K^0_{11}`. The error of the difference is of relative order ``step**2``.
    weights : {"explicit", "implicit"}
        Draw every matrix, or none; equal in law.

    Returns
    -------
    EmpiricalResponse

    Raises
    ------
    ValueError
        For an argument that cannot be simulated, or a step that leaves the set of covariances.
    """
    rows, columns = _perturbed(spec, cosine, step)
    flat = spec.replace(inputs=rows.shape[1])
    pairs = [pair for two in columns.values() for pair in two]
    kept = check_layers(spec, layers)
    stream, output = (
        (values[..., ::2] - values[..., 1::2]) / (2 * step * spec.input_variance)
        for values in products(
            flat, rows, pairs, kept, networks, seed, weights, device, dtype, batch
        )
    )
    return EmpiricalResponse(kept, _by_name(columns, stream), _by_name(columns, output))


def _perturbed(
    spec: ResNetSpec, cosine: float | None, step: float
) -> tuple[Array, dict[str, Pairs]]:
    """Rows of all perturbed inputs; for each response its product of rows, raised and lowered."""
    k0 = spec.input_variance
    change = real_number(step, "step", minimum=0.0, strict=True) * k0
    p = k0 - spec.input_bias_variance  # what the input itself gives, without the bias
    q = 0.0 if cosine is None else real_number(cosine, "cosine") * k0 - spec.input_bias_variance
    room = min(p - abs(q), p - q * q / p) if p > 0 else 0.0
    if change >= room:
        raise ValueError(
            f"step={step!r} must keep the input kernel positive definite, got a change of "
            f"{change:.3g} with room for {room:.3g}; take a smaller step, a cosine nearer to 0 or "
            "a smaller input bias."
        )
    factors = [math.sqrt(1 + sign * change / p) for sign in (1, -1)]
    unit = math.sqrt(spec.input_weight_variance)
    if cosine is None:
        return np.sqrt(p) / unit * np.array(factors)[:, None], {"variance": ((0, 0), (1, 1))}

    def first(variance: float, covariance: float) -> Array:
        along = covariance / math.sqrt(p)
        return np.array([along, math.sqrt(variance - along**2)])

    rows = [
        *(first(p, q) * factor for factor in factors),
        *(first(p, q + sign * change) for sign in (1, -1)),
        *(first(p + sign * change, q) for sign in (1, -1)),
        np.array([math.sqrt(p), 0.0]),  # the second input, which stays
    ]
    columns: dict[str, Pairs] = {
        "variance": ((0, 0), (1, 1)),
        "covariance": ((2, 6), (3, 6)),
        "covariance_by_variance": ((4, 6), (5, 6)),
        "covariance_by_norm": ((0, 6), (1, 6)),
    }
    return math.sqrt(2) / unit * np.stack(rows), columns


def _by_name(names: Iterable[str], values: Array) -> dict[str, Array]:
    """Last axis of ``values`` by name."""
    return {name: values[..., i] for i, name in enumerate(names)}
