r"""Gram matrices of the tangent kernel in PyTorch, on CPU or GPU: twin of ``kernels.table``.

Notation
--------
=============================  =======================  ==========================
symbol                         name                     book label
=============================  =======================  ==========================
:math:`\theta`                 ``theta``                ``eq-tk-recursion``
:math:`\bar r`                 ``evaluate``             ``alg-tk-table``
:math:`\|x\|\|x'\|\,\bar r`    ``gram``                 ``prop-tk-homogeneous``
=============================  =======================  ==========================

The table is built by NumPy, once; here it is only summed. Everything is float64: at large
effective depth the kernel falls from 1 to 1/4 within an angle that float32 cannot tell from 0.
"""

from __future__ import annotations

import math
from typing import Final

import torch

from companion.kernels.series import fold
from companion.kernels.table import TangentTable

__all__ = ["evaluate", "gram"]

#: Entries held at a time, by kind of device; a dozen arrays of this length are in use.
CHUNK_ELEMENTS: Final = {"cpu": 2**15, "cuda": 2**23}
#: Cosines nearer to +-1 than this give the angle of two rows by differences instead.
_NEAR = 5e-5


def evaluate(table: TangentTable, theta: torch.Tensor) -> torch.Tensor:
    """Normalised kernel at angles.

    Parameters
    ----------
    table : TangentTable
        From `companion.kernels.table`.
    theta : Tensor
        Angles in radians, in ``[0, pi]``, float64, any shape.

    Returns
    -------
    Tensor
        Kernel, shape and device of ``theta``.

    Raises
    ------
    TypeError
        If ``theta`` is not a float64 tensor.
    ValueError
        If an angle is not in ``[0, pi]``.
    """
    _check_type(theta, "theta")
    if not bool(((theta >= 0) & (theta <= math.pi)).all()):
        raise ValueError(
            "theta must lie in [0, pi], got other or undefined angles; pass the angle between two "
            "inputs in radians."
        )
    values = _series(table, theta.reshape(-1)).reshape(theta.shape)
    return torch.where(theta == 0, 1.0, values)


def gram(
    table: TangentTable,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Kernel between inputs, :math:`\|x\|\|x'\|\,\bar r(\theta)`.

    Parameters
    ----------
    table : TangentTable
        From `companion.kernels.table`.
    x, y : Tensor, shapes (N, d) and (M, d)
        One input per row, float64, on one device. Without ``y`` the kernel of ``x`` with itself,
        at half the work, exactly symmetric, with the diagonal exact.
    out : Tensor, shape (N, M), optional
        Where to write, float64, on the device of ``x``.

    Returns
    -------
    Tensor, shape (N, M)
        On the device of ``x``; rows of zeros give zeros.

    Raises
    ------
    TypeError
        If an argument is not a float64 tensor.
    ValueError
        If shapes or devices do not fit, or an entry is not finite.
    """
    _check_rows(x, "x", x)
    if y is not None:
        _check_rows(y, "y", x)
    columns = x if y is None else y
    result = _output(out, x, len(columns))
    own, a = _polar(x)
    other, b = (own, a) if y is None else _polar(columns)
    step = max(1, CHUNK_ELEMENTS["cuda" if x.is_cuda else "cpu"] // max(1, len(columns)))
    for low in range(0, len(x), step):
        high = min(low + step, len(x))
        width = high if y is None else len(columns)
        angles = _angles(a[low:high], b[:width])
        part = _series(table, angles.reshape(-1)).reshape(angles.shape)
        part *= own[low:high, None] * other[None, :width]
        if y is None:
            square = part[:, low:high]
            square.copy_(square.tril() + square.tril(-1).T)
            result[:low, low:high] = part[:, :low].T
        result[low:high, :width] = part
    if y is None:
        result.diagonal().copy_(own**2)
    return result


def _polar(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Lengths and unit rows, free of overflow; rows of zeros stay."""
    top = rows.abs().amax(1, keepdim=True)
    top = torch.where(top > 0, top, 1.0)
    scaled = rows / top
    size = scaled.square().sum(1, keepdim=True).sqrt()
    return (size * top)[:, 0], scaled / torch.where(size > 0, size, 1.0)


def _angles(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Angles between unit rows, by differences near 0 and pi."""
    cosines = (a @ b.T).clamp_(-1.0, 1.0)
    row, column = torch.nonzero(cosines.abs() > 1 - _NEAR, as_tuple=True)
    angles = torch.arccos(cosines)
    for low in range(0, len(row), 2**13):
        i, j = row[low : low + 2**13], column[low : low + 2**13]
        apart, joint = (a[i] - b[j]).norm(dim=1), (a[i] + b[j]).norm(dim=1)
        angles[i, j] = 2 * torch.atan2(apart, joint)
    return angles


def _series(table: TangentTable, theta: torch.Tensor) -> torch.Tensor:
    """The folded Chebyshev series of the table at a vector of angles."""
    y = torch.log((theta + table.lower) / ((math.pi + table.upper) - theta))
    start = math.log(table.lower / (math.pi + table.upper))
    end = math.log((math.pi + table.lower) / table.upper)
    y = (2 * y - (end + start)) / (end - start)
    folded = torch.as_tensor(fold(table.coefficients), device=theta.device)
    count, m = folded.shape
    basis = [torch.ones_like(y), y]
    while len(basis) <= m:
        basis.append(2 * y * basis[-1] - basis[-2])
    short = folded @ torch.stack(basis[:m])
    above, here = torch.zeros_like(y), short[-1]
    for j in range(count - 2, -1, -1):
        factor = 2 * basis[m] if j else basis[m]
        above, here = here, factor * here - above + short[j]
    return here


def _check_type(values: torch.Tensor, name: str) -> None:
    if not isinstance(values, torch.Tensor) or values.dtype != torch.float64:
        kind = values.dtype if isinstance(values, torch.Tensor) else type(values).__name__
        raise TypeError(
            f"{name} must be a float64 tensor, got {kind}; use .to(torch.float64), as float32 "
            "cannot resolve the kernel near its diagonal."
        )


def _check_rows(values: torch.Tensor, name: str, like: torch.Tensor) -> None:
    _check_type(values, name)
    if values.ndim != 2 or values.shape[1] == 0 or values.shape[1] != like.shape[-1]:
        raise ValueError(
            f"{name} must be a matrix with one input per row and the columns of x, got shape "
            f"{tuple(values.shape)}; reshape a single input with [None, :]."
        )
    if values.device != like.device or not bool(torch.isfinite(values).all()):
        raise ValueError(
            f"{name} must be finite and on the device of x ({like.device}), got device "
            f"{values.device}; move it with .to(device) and remove NaN and infinite entries."
        )


def _output(out: torch.Tensor | None, x: torch.Tensor, columns: int) -> torch.Tensor:
    shape = (len(x), columns)
    if out is None:
        return torch.empty(shape, dtype=x.dtype, device=x.device)
    _check_type(out, "out")
    if tuple(out.shape) != shape or out.device != x.device:
        raise ValueError(
            f"out must have shape {shape} on {x.device}, got {tuple(out.shape)} on {out.device}; "
            "allocate it with torch.empty."
        )
    return out
