"""Which networks the cells of the residual expansion are about; simulation and theory share it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion.architecture import ResNetSpec
from companion.weights import FractionalNoise

__all__ = ["covariance", "kink_unit", "network", "scale_of"]

Params = Mapping[str, Any]
Array = NDArray[np.float64]


def scale_of(params: Params) -> float:
    """Branch scale of a cell: ``scale``, or ``depth ** -exponent``, default the exponent 1/2."""
    if "scale" in params:
        return float(params["scale"])
    return float(params["depth"] ** -params.get("exponent", 0.5))


def network(params: Params, scale: float | None = None) -> ResNetSpec:
    """Network of a cell, with blocks ``W h`` if it is linear and ``V phi(W h)`` otherwise.

    Linear and ReLU blocks have gain 1; ``variance`` is that of the weights of tanh and erf.
    """
    activation, depth = params["activation"], params["depth"]
    s = scale_of(params) if scale is None else scale
    variances: dict[str, Any] = {"sigma_w2": 1.0 if activation == "linear" else 2.0}
    if activation in ("tanh", "erf"):
        variances = dict.fromkeys(("sigma_w2", "sigma_v2"), float(params.get("variance", 1.0)))
    return ResNetSpec.residual_expansion(
        depth,
        s,
        width=params["width"],
        activation=activation,
        block="single" if activation == "linear" else "two-layer",
        **variances,
    )


def kink_unit(params: Params) -> float:
    """Unit in which first kinks are counted: the mean to leading order in depth at gain 1."""
    return float(1.5 * np.pi / (params["width"] * params["depth"] ** 1.5))


def covariance(law: str, parameter: float, depth: int) -> Array:
    """Covariance of the weights of two blocks by their distance in depth, shape ``(depth,)``.

    Parameters
    ----------
    law : str
        ``"equicorrelated"`` (correlation ``parameter``), ``"ou"`` (correlation length
        ``parameter``, in blocks) or ``"fractional"`` (Hurst index ``parameter``).
    """
    lags = np.arange(depth)
    if law == "equicorrelated":
        return np.where(lags == 0, 1.0, parameter)
    if law == "ou":
        return np.exp(-lags / parameter)
    if law == "fractional":
        return FractionalNoise(parameter).covariance(lags)
    raise ValueError(
        f"law must be 'equicorrelated', 'ou' or 'fractional', got {law!r}; give the name of a "
        "covariance along depth."
    )
