"""What a network is made of, in PyTorch: activations with their slopes, and inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from companion.activations import Activation, Erf, LeakyReLU, Linear, ReLU, Tanh
from companion.architecture import ResNetSpec

__all__ = ["branch_functions", "input_rows"]

Array = NDArray[np.float64]
Function = Callable[[torch.Tensor], torch.Tensor]


def branch_functions(activation: Activation) -> tuple[Function, Function]:
    """Activation and its almost-everywhere derivative as torch functions.

    Raises
    ------
    ValueError
        For an activation without a torch form.
    """
    if isinstance(activation, ReLU):
        return torch.relu, lambda u: (u > 0).to(u.dtype)
    if isinstance(activation, LeakyReLU):
        slope = activation.slope
        return (
            lambda u: torch.where(u > 0, u, slope * u),
            lambda u: torch.where(u > 0, torch.ones_like(u), slope),
        )
    if isinstance(activation, Erf):
        gain = activation.steepness
        height = 2 * gain / np.pi**0.5
        return (
            lambda u: torch.erf(gain * u),
            lambda u: height * torch.exp(-((gain * u) ** 2)),
        )
    if isinstance(activation, Tanh):
        return torch.tanh, lambda u: 1 - torch.tanh(u) ** 2
    if isinstance(activation, Linear):
        return lambda u: u, torch.ones_like
    raise ValueError(
        f"activation {activation!r} has no torch form; simulations know ReLU, LeakyReLU, Erf, "
        "Tanh and Linear."
    )


def input_rows(spec: ResNetSpec, inputs: object | None) -> Array:
    r"""Inputs as rows of shape ``(k, d)``, validated against ``spec``.

    ``None`` stands for one input of the norm that gives the stream its declared variance,
    :math:`\sigma_{in}^2\|x\|^2/d+\sigma_{b,in}^2=K^0`.
    """
    if inputs is None:
        row = np.zeros((1, spec.inputs))
        row[0, 0] = spec.input_squared_norm**0.5
        return row
    rows = np.asarray(inputs, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != spec.inputs or rows.shape[0] < 1:
        raise ValueError(
            f"inputs must have shape (k, {spec.inputs}) for this spec, one row per input; got "
            f"{rows.shape}."
        )
    if not np.all(np.isfinite(rows)):
        raise ValueError("inputs must be finite, got NaN or infinite entries.")
    return rows
