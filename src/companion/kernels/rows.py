"""Rows of inputs: lengths, directions, and angles that keep their digits near 0 and pi.

Notation, with the labels of the book, is at the top of :mod:`companion.kernels.tangent`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import finite_array
from companion.kernels.walk import PAIRS_PER_BLOCK

__all__ = ["angles_of", "check_angles", "input_rows", "lengths", "pair_angles", "unit_rows"]

Array = NDArray[np.float64]

#: Cosines nearer to +-1 than this give the angle of two rows by differences instead.
_NEAR = 5e-5
_ROWS = 256


def pair_angles(x: ArrayLike, y: ArrayLike | None = None) -> Array:
    """Angle between every two rows, shape ``(N, M)``, radians; a row of zeros counts as ``pi/2``.

    Near 0 and ``pi`` the inverse cosine would turn a rounding error of 1e-16 into 1e-8; there the
    angle is ``2 atan2(|x - x'|, |x + x'|)`` of the unit vectors, and on the diagonal it is 0.

    Raises
    ------
    ValueError
        If ``x`` and ``y`` are not finite matrices of the same number of columns.
    """
    first = unit_rows(input_rows(x, "x"))
    second = first if y is None else unit_rows(input_rows(y, "y", first.shape[1]))
    out = np.empty((len(first), len(second)))
    for low in range(0, len(first), _ROWS):
        part = first[low : low + _ROWS]
        out[low : low + _ROWS] = angles_of(part @ second.T, part, second)
    if y is None:
        np.fill_diagonal(out, np.where(np.any(first != 0, axis=1), 0.0, math.pi / 2))
    return out


def input_rows(x: ArrayLike, name: str, columns: int | None = None) -> Array:
    """``x`` as a finite matrix with one input per row."""
    rows = finite_array(x, name)
    if rows.ndim != 2 or rows.shape[1] == 0 or columns not in (None, rows.shape[1]):
        wanted = "at least one column" if columns is None else f"{columns} columns like x"
        raise ValueError(
            f"{name} must be a matrix with one input per row and {wanted}, got shape "
            f"{rows.shape}; reshape a single input with [None, :]."
        )
    return rows


def lengths(rows: Array) -> Array:
    """Euclidean length of every row, free of overflow."""
    top = np.max(np.abs(rows), axis=1, initial=0.0)
    unit = np.where(top > 0, top, 1.0)[:, None]
    scaled = rows / unit
    return np.sqrt(np.einsum("ij,ij->i", scaled, scaled)) * unit[:, 0]


def unit_rows(rows: Array) -> Array:
    """Rows divided by their lengths; rows of zeros stay."""
    size = lengths(rows)
    return rows / np.where(size > 0, size, 1.0)[:, None]


def angles_of(cosines: Array, first: Array, second: Array) -> Array:
    """Angles from the products of unit rows, shape ``(N, M)``; overwrites ``cosines``."""
    ends = -1 + _NEAR, 1 - _NEAR
    if cosines.size == 0 or (cosines.min() >= ends[0] and cosines.max() <= ends[1]):
        return np.arccos(cosines, out=cosines)
    near = np.flatnonzero((cosines < ends[0]) | (cosines > ends[1]))
    np.clip(cosines, -1.0, 1.0, out=cosines)
    angles = np.arccos(cosines, out=cosines)
    for low in range(0, near.size, PAIRS_PER_BLOCK):
        at = near[low : low + PAIRS_PER_BLOCK]
        row, column = np.unravel_index(at, angles.shape)
        a, b = first[row], second[column]
        angles[row, column] = 2 * np.arctan2(lengths(a - b), lengths(a + b))
    return angles


def check_angles(theta: ArrayLike) -> Array:
    """``theta`` as float64 angles in ``[0, pi]``."""
    angles = finite_array(theta, "theta")
    if np.any((angles < 0) | (angles > math.pi)):
        worst = angles[(angles < 0) | (angles > math.pi)].flat[0]
        raise ValueError(
            f"theta must lie in [0, pi], got {worst:.17g}; pass the angle between two inputs in "
            "radians, as pair_angles does."
        )
    return angles
