"""Checks of arguments, with errors that name the argument, the value, the need and the remedy.

Every check returns the value in its canonical Python or NumPy type, so that a caller writes
``depth = positive_integer(depth, "depth")``.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["choice", "finite_array", "flag", "nonnegative_array", "positive_integer", "real_number"]

FloatArray = NDArray[np.float64]


def positive_integer(value: Any, name: str, remedy: str = "pass 1, 2, 3, ...") -> int:
    """``value`` as a Python int of at least 1; ``bool`` and floats such as ``3.0`` are refused."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(
            f"{name} must be a positive integer, got {value!r} of type {type(value).__name__}; "
            f"{remedy}"
        )
    if value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value}; {remedy}")
    return int(value)


def real_number(
    value: Any,
    name: str,
    *,
    minimum: float = -math.inf,
    strict: bool = False,
    remedy: str = "pass a finite float",
) -> float:
    """``value`` as a finite Python float of at least (``strict``: above) ``minimum``."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"{name} must be a real number, got {value!r} of type {type(value).__name__}; {remedy}"
        )
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number}; {remedy}")
    if number < minimum or (strict and number == minimum):
        relation = "greater than" if strict else "at least"
        raise ValueError(f"{name} must be {relation} {minimum:g}, got {number:g}; {remedy}")
    return number


def flag(value: Any, name: str) -> bool:
    """``value`` as a Python bool; an integer is refused, being usually a misplaced argument."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(
            f"{name} must be True or False, got {value!r} of type {type(value).__name__}; "
            "pass a bool"
        )
    return bool(value)


def choice(value: Any, name: str, allowed: Iterable[str]) -> str:
    """``value`` as one of the ``allowed`` strings."""
    options = tuple(allowed)
    if not isinstance(value, str) or value not in options:
        listed = ", ".join(repr(option) for option in options)
        raise ValueError(f"{name} must be one of {listed}, got {value!r}; choose one of these")
    return str(value)


def finite_array(values: ArrayLike, name: str) -> FloatArray:
    """``values`` as a float64 array without NaN or infinity."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} must be a real number or an array of them, got {values!r}; "
            "pass something that NumPy converts to float64"
        ) from error
    if not np.all(np.isfinite(array)):
        bad = array[~np.isfinite(array)].flat[0]
        raise ValueError(f"{name} must be finite, got {bad}; remove NaN and infinite entries first")
    return array


def nonnegative_array(values: ArrayLike, name: str) -> FloatArray:
    """``values`` as a float64 array of finite entries that are at least 0."""
    array = finite_array(values, name)
    if np.any(array < 0):
        raise ValueError(
            f"{name} must be at least 0, got {array.min():g}; it is a variance, so check the "
            "recursion or the data that produced it"
        )
    return array
