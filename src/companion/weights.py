r"""Laws of the branch weights along depth.

Notation
--------
==================================  ==============================  ================================
symbol                              name                            book label
==================================  ==============================  ================================
:math:`E[W_{l,ij}W_{m,ij}]`         ``covariance(l - m)``           ``eq-weight-covariance``
==================================  ==============================  ================================

Entries have unit variance here; a network multiplies them by
:math:`\sigma/\sqrt{\text{fan-in}}`. Different entries of one matrix are independent; the law says
how one entry is distributed and how it is correlated with itself in the other layers.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import choice, finite_array, positive_integer

__all__ = ["IID", "WeightLaw", "weight_law_from_dict"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class WeightLaw(ABC):
    """Law of one matrix entry as a sequence over the layers: centred, stationary, unit variance."""

    #: Name in records written by :meth:`to_dict`.
    kind: ClassVar[str]

    @property
    @abstractmethod
    def independent(self) -> bool:
        """Whether the weights of different layers are independent."""

    @property
    @abstractmethod
    def gaussian(self) -> bool:
        """Whether the entries are jointly normal."""

    @abstractmethod
    def covariance(self, lags: ArrayLike) -> FloatArray:
        """Covariance of one entry in layers ``l`` and ``l + lag``.

        Parameters
        ----------
        lags
            Integers of either sign, any shape.

        Returns
        -------
        Covariance, shape of ``lags``; 1 at lag 0.

        Raises
        ------
        ValueError
            If a lag is not an integer.
        """

    @abstractmethod
    def sample(
        self, depth: int, shape: int | Sequence[int], rng: np.random.Generator
    ) -> FloatArray:
        """Draw all layers, exactly in law.

        Parameters
        ----------
        depth
            Number of layers, at least 1.
        shape
            Shape of one layer's matrix.
        rng
            Source of randomness; the draw advances it.

        Returns
        -------
        Array of shape ``(depth, *shape)``, float64, unit-variance entries.

        Raises
        ------
        TypeError
            If ``rng`` is not a ``numpy.random.Generator`` or ``depth`` not an integer.
        ValueError
            If ``depth`` or a dimension is not positive.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Kind and parameters, ready for JSON; read back by :func:`weight_law_from_dict`."""


@dataclass(frozen=True)
class IID(WeightLaw):
    """Independent entries, and independent layers.

    Parameters
    ----------
    distribution
        ``"gaussian"``, ``"uniform"`` (on plus or minus the square root of 3) or ``"rademacher"``
        (plus or minus 1); all centred, symmetric, with unit variance.

    Raises
    ------
    ValueError
        If the distribution is another one.
    """

    distribution: str = "gaussian"
    kind: ClassVar[str] = "iid"

    def __post_init__(self) -> None:
        choice(self.distribution, "distribution", ("gaussian", "uniform", "rademacher"))

    @property
    def independent(self) -> bool:
        """Always true."""
        return True

    @property
    def gaussian(self) -> bool:
        """Whether the distribution is the normal one."""
        return self.distribution == "gaussian"

    def covariance(self, lags: ArrayLike) -> FloatArray:
        """1 at lag 0, else 0; see :meth:`WeightLaw.covariance`."""
        return np.where(integer_lags(lags) == 0, 1.0, 0.0)[()]

    def sample(
        self, depth: int, shape: int | Sequence[int], rng: np.random.Generator
    ) -> FloatArray:
        """Independent draws; see :meth:`WeightLaw.sample`."""
        size = layered_shape(depth, shape, rng)
        if self.distribution == "gaussian":
            return rng.standard_normal(size)
        if self.distribution == "uniform":
            return rng.uniform(-math.sqrt(3), math.sqrt(3), size)
        return np.where(rng.integers(0, 2, size) == 0, -1.0, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """``{"kind": "iid", "distribution": ...}``."""
        return {"kind": self.kind, "distribution": self.distribution}


def integer_lags(lags: ArrayLike) -> FloatArray:
    """``lags`` as a float64 array of integers."""
    array = finite_array(lags, "lags")
    if np.any(array != np.round(array)):
        bad = array[array != np.round(array)].flat[0]
        raise ValueError(
            f"lags must be integers, got {bad:g}; a lag counts layers, it is not a time l/L"
        )
    return array


def layered_shape(
    depth: int, shape: int | Sequence[int], rng: np.random.Generator
) -> tuple[int, ...]:
    """``(depth, *shape)`` after checking the three arguments of ``sample``."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"rng must be a numpy.random.Generator, got {rng!r}; "
            "pass numpy.random.default_rng(seed)"
        )
    dims = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    checked = tuple(positive_integer(dim, "every dimension of shape") for dim in dims)
    return (positive_integer(depth, "depth"), *checked)


def weight_law_from_dict(record: dict[str, Any]) -> WeightLaw:
    """Inverse of :meth:`WeightLaw.to_dict`.

    Raises
    ------
    ValueError
        If ``kind`` is missing or unknown.
    TypeError
        If the law has no such parameter.
    """
    parameters = dict(record)
    laws = {law.kind: law for law in WeightLaw.__subclasses__()}
    kind = choice(parameters.pop("kind", None), "kind of weight law", sorted(laws))
    return laws[kind](**parameters)
