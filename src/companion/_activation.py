"""The base class of every activation: Gaussian expectations by quadrature, from ``phi`` alone.

Notation, with the labels of the book, is at the top of :mod:`companion.activations`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion import _quadrature
from companion._arccosine import CORRELATION_SLACK, sine_of
from companion._validation import finite_array, nonnegative_array

__all__ = ["Activation", "GaussianPair"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianPair:
    """A checked centred normal pair in the form that the closed formulas need."""

    p1: FloatArray
    p2: FloatArray
    q: FloatArray
    scale: FloatArray  # sqrt(p1 p2)
    cosine: FloatArray  # q / sqrt(p1 p2), 0 where a variance is 0
    sine: FloatArray

    @classmethod
    def of(cls, p1: ArrayLike, p2: ArrayLike, q: ArrayLike) -> GaussianPair:
        a, b, c = np.broadcast_arrays(
            nonnegative_array(p1, "p1"), nonnegative_array(p2, "p2"), finite_array(q, "q")
        )
        # exactly p where p1 = p2 = p, and free of overflow elsewhere
        scale = np.where(a == b, a, np.sqrt(a) * np.sqrt(b))
        if np.any(np.abs(c) > scale * (1 + CORRELATION_SLACK)):
            worst = int(np.argmax(np.abs(c) - scale))
            raise ValueError(
                f"q must satisfy |q| <= sqrt(p1 p2), got q={c.flat[worst]:.17g} with "
                f"p1={a.flat[worst]:.17g}, p2={b.flat[worst]:.17g}; pass a covariance, "
                "not a correlation"
            )
        cosine = np.divide(c, scale, out=np.zeros_like(scale), where=scale > 0)
        cosine = np.clip(cosine, -1.0, 1.0)
        return cls(a, b, np.clip(c, -scale, scale), scale, cosine, sine_of(cosine))


@dataclass(frozen=True)
class Activation(ABC):
    """A nonlinearity and its Gaussian expectations.

    A subclass gives ``__call__``, ``derivative`` and ``name``; the expectations then come from
    quadrature, whose accuracy is about 1e-12 as long as the function is analytic in the strip
    ``|Im u| < analytic_strip`` and variances stay below 1e4 (single) or 100 (pairs). A subclass
    with closed forms overrides them.
    """

    #: ``phi(c x) = c phi(x)`` for every ``c >= 0``.
    homogeneous: ClassVar[bool] = False

    #: Name by which ``activation_from_name`` finds the class.
    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """Name of the activation, for messages and records."""
        return self.kind

    @property
    def analytic_strip(self) -> float:
        """Half-width of the strip around the real axis without a singularity; pi/2 as for tanh."""
        return math.pi / 2

    @abstractmethod
    def __call__(self, x: ArrayLike) -> NDArray[Any]:
        """``phi(x)``, elementwise; any shape, ``float32`` stays ``float32``."""

    @abstractmethod
    def derivative(self, x: ArrayLike) -> NDArray[Any]:
        """``phi'(x)``, elementwise; 0 is used for the left slope at a kink of ReLU type."""

    def mean(self, variance: ArrayLike) -> FloatArray:
        """``E phi(u)``, ``u`` centred normal of this ``variance`` (any shape, finite, >= 0)."""
        k = nonnegative_array(variance, "variance")
        return _quadrature.single(self, k, self.analytic_strip)

    def second_moment(self, variance: ArrayLike) -> FloatArray:
        """``g(K) = E phi(u)**2``; parameters as :meth:`mean`."""
        k = nonnegative_array(variance, "variance")
        return _quadrature.single(lambda u: self(u) ** 2, k, self.analytic_strip)

    def second_moment_derivative(self, variance: ArrayLike) -> FloatArray:
        """``g'(K) = E[phi'^2 + phi phi'']``; parameters as :meth:`mean`."""
        k = nonnegative_array(variance, "variance")
        return _quadrature.square_slope(self, self.derivative, k, self.analytic_strip)

    def mean_squared_derivative(self, variance: ArrayLike) -> FloatArray:
        """``E phi'(u)**2``; parameters as :meth:`mean`."""
        k = nonnegative_array(variance, "variance")
        return _quadrature.single(lambda u: self.derivative(u) ** 2, k, self.analytic_strip)

    def gain(self, variance: ArrayLike) -> FloatArray:
        """``g(K)/K``; at ``K = 0`` its limit, infinite where ``phi(0)`` is not 0."""
        k = nonnegative_array(variance, "variance")
        moment = np.asarray(self.second_moment(k))
        if np.all(k > 0):
            return (moment / k)[()]
        starts_at_zero = float(self.second_moment(0.0)) == 0
        limit = float(self.second_moment_derivative(0.0)) if starts_at_zero else math.inf
        return np.divide(moment, k, out=np.full(k.shape, limit), where=k > 0)[()]

    def pair_moment(self, p1: ArrayLike, p2: ArrayLike, q: ArrayLike) -> FloatArray:
        """``f = E phi(u1) phi(u2)``.

        Parameters
        ----------
        p1, p2
            Variances (not standard deviations), finite and at least 0; broadcast together.
        q
            Covariance, ``|q| <= sqrt(p1 p2)`` up to a relative 1e-9, which is clipped.

        Returns
        -------
        Expectation, of the broadcast shape.

        Raises
        ------
        ValueError
            If a variance is negative, something is not finite or ``|q| > sqrt(p1 p2)``.
        """
        pair = GaussianPair.of(p1, p2, q)
        return _quadrature.pair(self, self, pair.p1, pair.p2, pair.cosine, self.analytic_strip)

    def pair_derivative(self, p1: ArrayLike, p2: ArrayLike, q: ArrayLike) -> FloatArray:
        """``df/dq = E phi'(u1) phi'(u2)``; parameters and errors as :meth:`pair_moment`.

        A pair with a zero variance counts as uncorrelated.
        """
        pair = GaussianPair.of(p1, p2, q)
        slope = self.derivative
        return _quadrature.pair(slope, slope, pair.p1, pair.p2, pair.cosine, self.analytic_strip)

    def pair_derivative_variance(self, p1: ArrayLike, p2: ArrayLike, q: ArrayLike) -> FloatArray:
        """``df/dp1 = E phi''(u1) phi(u2) / 2``; parameters and errors as :meth:`pair_moment`.

        The derivative by ``p2`` is the same function with ``p1`` and ``p2`` exchanged.
        """
        pair = GaussianPair.of(p1, p2, q)
        return _quadrature.variance_slope(
            self, self.derivative, pair.p1, pair.p2, pair.cosine, self.analytic_strip
        )

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters, ready for JSON; read back by :func:`activation_from_dict`."""
        return {"name": self.name} | {
            field.name: getattr(self, field.name) for field in fields(self)
        }
