r"""Nonlinearities with exact Gaussian expectations, and the arc-cosine functions.

Notation
--------
=====================================  ====================================  ===================
symbol                                 name                                  book label
=====================================  ====================================  ===================
:math:`\phi`                           an :class:`Activation`                ``eq-residual-block``
:math:`K`                              ``variance`` of a coordinate          ``eq-kernel-recursion``
:math:`g(K)=E\phi(\sqrt Kz)^2`         ``second_moment``                     ``eq-second-moment``
:math:`g(K)/K`                         ``gain``                              ``eq-gain``
:math:`f(p_1,p_2,q)`                   ``pair_moment``                       ``eq-pair-moment``
:math:`\partial_qf=E\phi'\phi'`        ``pair_derivative``                   ``eq-pair-moment``
:math:`\partial_{p_1}f`                ``pair_derivative_variance``          ``eq-pair-moment``
=====================================  ====================================  ===================

``(u1, u2)`` is a centred normal pair with variances ``p1``, ``p2`` and covariance ``q``; ``z`` is a
standard normal. ReLU, leaky ReLU, erf and linear have closed forms (derived here); every other
activation goes through the quadrature of the base class. Expectations are float64 and broadcast;
their arguments must be finite. ``phi(x)`` itself follows NumPy (NaN in, NaN out) and keeps
``float32``.
"""

from __future__ import annotations

import inspect
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion import _quadrature
from companion._activation import Activation, GaussianPair
from companion._arccosine import (
    abs_moment,
    abs_moment_derivative,
    arc_cosine,
    arc_cosine_angle,
    arc_cosine_excess,
    guarded_arccos,
    guarded_arcsin,
    sign_moment,
    sign_moment_derivative,
    sine_of,
    square_moment,
    square_moment_derivative,
    square_sign_moment,
    square_sign_moment_derivative,
)
from companion._validation import nonnegative_array, real_number

__all__ = [
    "Activation",
    "Custom",
    "Erf",
    "LeakyReLU",
    "Linear",
    "ReLU",
    "Tanh",
    "abs_moment",
    "abs_moment_derivative",
    "activation_from_dict",
    "activation_from_name",
    "arc_cosine",
    "arc_cosine_angle",
    "arc_cosine_excess",
    "as_activation",
    "guarded_arccos",
    "guarded_arcsin",
    "sign_moment",
    "sign_moment_derivative",
    "sine_of",
    "square_moment",
    "square_moment_derivative",
    "square_sign_moment",
    "square_sign_moment_derivative",
]

FloatArray = NDArray[np.float64]


class _PiecewiseLinear(Activation):
    """``max(x, 0) + slope * min(x, 0)``: all expectations in closed form."""

    homogeneous: ClassVar[bool] = True

    @property
    @abstractmethod
    def _slope(self) -> float:
        """Slope on the negative half-line."""

    def __call__(self, x: ArrayLike) -> NDArray[Any]:
        """``phi(x)``, elementwise."""
        values = _floating(x)
        return np.maximum(values, 0) + self._slope * np.minimum(values, 0)

    def derivative(self, x: ArrayLike) -> NDArray[Any]:
        """``phi'(x)``, elementwise; the left slope at 0."""
        values = _floating(x)
        return np.where(values > 0, 1.0, self._slope).astype(values.dtype)[()]

    def mean(self, variance: ArrayLike) -> FloatArray:
        """``E phi(u)``; see :meth:`Activation.mean`."""
        k = nonnegative_array(variance, "variance")
        return (1 - self._slope) * np.sqrt(k / (2 * math.pi))

    def second_moment(self, variance: ArrayLike) -> FloatArray:
        """``g(K)`` in closed form."""
        return nonnegative_array(variance, "variance") * self._power

    def second_moment_derivative(self, variance: ArrayLike) -> FloatArray:
        """``g'(K)`` in closed form."""
        return np.full_like(nonnegative_array(variance, "variance"), self._power)[()]

    def mean_squared_derivative(self, variance: ArrayLike) -> FloatArray:
        """``E phi'(u)**2`` in closed form."""
        return self.second_moment_derivative(variance)

    def gain(self, variance: ArrayLike) -> FloatArray:
        """``g(K)/K``, the same at every variance."""
        return self.second_moment_derivative(variance)

    def pair_moment(self, p1: ArrayLike, p2: ArrayLike, q: ArrayLike) -> FloatArray:
        """``f`` in closed form; see :meth:`Activation.pair_moment`."""
        pair = GaussianPair.of(p1, p2, q)
        odd, even = self._slope, self._bend
        return odd * pair.q + even * pair.scale * arc_cosine(pair.cosine, 1)

    def pair_derivative(self, p1: ArrayLike, p2: ArrayLike, q: ArrayLike) -> FloatArray:
        """``df/dq`` in closed form; see :meth:`Activation.pair_derivative`."""
        pair = GaussianPair.of(p1, p2, q)
        return self._slope + self._bend * arc_cosine(pair.cosine, 0)

    def pair_derivative_variance(self, p1: ArrayLike, p2: ArrayLike, q: ArrayLike) -> FloatArray:
        """``df/dp1`` in closed form; see :meth:`Activation.pair_derivative_variance`."""
        pair = GaussianPair.of(p1, p2, q)
        if self._bend == 0:
            return np.zeros_like(pair.q)[()]
        with np.errstate(divide="ignore"):
            ratio = np.divide(pair.p2, pair.p1, out=np.zeros_like(pair.p2), where=pair.p2 > 0)
        return self._bend * np.sqrt(ratio) * pair.sine / (2 * math.pi)

    @property
    def _power(self) -> float:
        return (1 + self._slope**2) / 2

    @property
    def _bend(self) -> float:
        return (1 - self._slope) ** 2 / 2


@dataclass(frozen=True)
class ReLU(_PiecewiseLinear):
    """``max(x, 0)``; gain 1/2 at every variance. Closed forms: the arc-cosine kernels."""

    kind: ClassVar[str] = "relu"

    @property
    def _slope(self) -> float:
        return 0.0


@dataclass(frozen=True)
class LeakyReLU(_PiecewiseLinear):
    """``max(x, 0) + slope * min(x, 0)``; gain ``(1 + slope**2)/2``.

    Parameters
    ----------
    slope
        Finite; 0 is ReLU, 1 is the identity, -1 the absolute value.
    """

    slope: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "slope", real_number(self.slope, "slope"))

    kind: ClassVar[str] = "leaky_relu"

    @property
    def _slope(self) -> float:
        return self.slope


@dataclass(frozen=True)
class Linear(_PiecewiseLinear):
    """The identity."""

    kind: ClassVar[str] = "linear"

    @property
    def _slope(self) -> float:
        return 1.0


@dataclass(frozen=True, init=False, repr=False)
class Erf(Activation):
    r"""``erf(gain * x)``, the saturating activation with closed forms.

    Parameters
    ----------
    gain
        Positive; stored as ``steepness`` because ``gain`` is a method of every activation. The
        default :math:`\sqrt\pi/2` gives slope 1 at the origin (field theory); the residual
        expansion uses :math:`1/\sqrt2`.
    """

    steepness: float

    def __init__(self, gain: float = math.sqrt(math.pi) / 2) -> None:
        value = real_number(gain, "gain", minimum=0.0, strict=True)
        object.__setattr__(self, "steepness", value)

    def __repr__(self) -> str:
        return f"Erf(gain={self.steepness!r})"

    kind: ClassVar[str] = "erf"

    def __call__(self, x: ArrayLike) -> NDArray[Any]:
        """``phi(x)``, elementwise."""
        from scipy.special import erf

        return erf(self.steepness * _floating(x))

    def derivative(self, x: ArrayLike) -> NDArray[Any]:
        """``phi'(x)``, elementwise."""
        t = self.steepness * _floating(x)
        return 2 * self.steepness / math.sqrt(math.pi) * np.exp(-t * t)

    def mean(self, variance: ArrayLike) -> FloatArray:
        """``E phi(u)``; see :meth:`Activation.mean`."""
        return np.zeros_like(nonnegative_array(variance, "variance"))[()]

    def second_moment(self, variance: ArrayLike) -> FloatArray:
        """``g(K)`` in closed form."""
        v = self._reduced(nonnegative_array(variance, "variance"))
        # arcsin(v / (1 + v)), which would cancel at large v
        return 2 / math.pi * np.arctan2(v, np.sqrt(1 + 2 * v))

    def second_moment_derivative(self, variance: ArrayLike) -> FloatArray:
        """``g'(K)`` in closed form."""
        v = self._reduced(nonnegative_array(variance, "variance"))
        return self._slope_power / ((1 + v) * np.sqrt(1 + 2 * v))

    def mean_squared_derivative(self, variance: ArrayLike) -> FloatArray:
        """``E phi'(u)**2`` in closed form."""
        v = self._reduced(nonnegative_array(variance, "variance"))
        return self._slope_power / np.sqrt(1 + 2 * v)

    def pair_moment(self, p1: ArrayLike, p2: ArrayLike, q: ArrayLike) -> FloatArray:
        """``f`` in closed form; see :meth:`Activation.pair_moment`."""
        pair = GaussianPair.of(p1, p2, q)
        return 2 / math.pi * np.arctan2(self._reduced(pair.q), self._root(pair))

    def pair_derivative(self, p1: ArrayLike, p2: ArrayLike, q: ArrayLike) -> FloatArray:
        """``df/dq`` in closed form; see :meth:`Activation.pair_derivative`."""
        return self._slope_power / self._root(GaussianPair.of(p1, p2, q))

    def pair_derivative_variance(self, p1: ArrayLike, p2: ArrayLike, q: ArrayLike) -> FloatArray:
        """``df/dp1`` in closed form; see :meth:`Activation.pair_derivative_variance`."""
        pair = GaussianPair.of(p1, p2, q)
        shrink = self.steepness**2 * pair.q / (1 + self._reduced(pair.p1))
        return -shrink * self._slope_power / self._root(pair)

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters, ready for JSON."""
        return {"name": self.name, "gain": self.steepness}

    def _reduced(self, variance: FloatArray) -> FloatArray:
        """``v = 2 gain^2 K``."""
        return 2 * self.steepness**2 * variance

    def _root(self, pair: GaussianPair) -> FloatArray:
        """``sqrt((1 + v1)(1 + v2) - w^2)``, written without cancellation or overflow."""
        v1, v2, m, w = (self._reduced(part) for part in (pair.p1, pair.p2, pair.scale, pair.q))
        return np.hypot(np.sqrt(1 + v1 + v2), np.sqrt(m - w) * np.sqrt(m + w))

    @property
    def _slope_power(self) -> float:
        """``phi'(0)^2``."""
        return 4 * self.steepness**2 / math.pi


@dataclass(frozen=True)
class Tanh(Activation):
    """The hyperbolic tangent; expectations by quadrature, error about 1e-12 up to variance 900."""

    kind: ClassVar[str] = "tanh"

    def __call__(self, x: ArrayLike) -> NDArray[Any]:
        """``phi(x)``, elementwise."""
        return np.tanh(_floating(x))

    def derivative(self, x: ArrayLike) -> NDArray[Any]:
        """``phi'(x)``, elementwise."""
        # 1/cosh^2 through one decaying exponential: no overflow and no cancellation in the tails
        decay = np.exp(-2 * np.abs(_floating(x)))
        return 4 * decay / (1 + decay) ** 2

    def mean(self, variance: ArrayLike) -> FloatArray:
        """``E phi(u)``; see :meth:`Activation.mean`."""
        return np.zeros_like(nonnegative_array(variance, "variance"))[()]


@dataclass(frozen=True, init=False, repr=False)
class Custom(Activation):
    """A user's own smooth activation; expectations by quadrature.

    Parameters
    ----------
    function
        Elementwise function of a float64 array of any shape.
    derivative
        Its derivative; without it central differences of order six are used (error about 1e-12).
    name
        Label used in messages.
    strip
        Half-width of the strip around the real axis in which the function has no singularity;
        the quadrature step follows from it. For a function with a kink the error falls only as
        the square of the step (about 1e-3 by default; a smaller ``strip`` buys accuracy).

    Raises
    ------
    TypeError
        If ``function`` or ``derivative`` is not callable.
    ValueError
        If one of them does not map a float64 array to a finite array of the same shape.
    """

    function: Callable[[FloatArray], NDArray[Any]]
    slope_function: Callable[[FloatArray], NDArray[Any]] | None
    label: str
    strip: float

    def __init__(
        self,
        function: Callable[[FloatArray], NDArray[Any]],
        derivative: Callable[[FloatArray], NDArray[Any]] | None = None,
        name: str = "custom",
        strip: float = math.pi / 2,
    ) -> None:
        object.__setattr__(self, "function", _checked(function, "function"))
        slope = None if derivative is None else _checked(derivative, "derivative")
        object.__setattr__(self, "slope_function", slope)
        object.__setattr__(self, "label", str(name))
        width = real_number(strip, "strip", minimum=0.0, strict=True)
        object.__setattr__(self, "strip", width)

    def __repr__(self) -> str:
        return f"Custom(name={self.label!r})"

    @property
    def name(self) -> str:
        """The label given at construction."""
        return self.label

    @property
    def analytic_strip(self) -> float:
        """The ``strip`` given at construction."""
        return self.strip

    def __call__(self, x: ArrayLike) -> NDArray[Any]:
        """``phi(x)``, elementwise."""
        return self.function(_floating(x))

    def derivative(self, x: ArrayLike) -> NDArray[Any]:
        """``phi'(x)``, elementwise."""
        if self.slope_function is not None:
            return self.slope_function(_floating(x))
        return _quadrature.difference(self.function, np.asarray(x, dtype=np.float64))

    def to_dict(self) -> dict[str, Any]:
        """Refuse, since a Python function cannot be written to JSON (``ValueError``)."""
        raise ValueError(
            f"activation {self.label!r} is a Custom one and cannot be written to JSON, because it "
            f"holds a Python function; use one of {_listed()} or store the source of the function"
        )


_CLASSES = {cls.kind: cls for cls in (ReLU, LeakyReLU, Erf, Tanh, Linear)}


def activation_from_name(name: str, **parameters: float) -> Activation:
    """The activation called ``name``, with its parameters as keywords.

    Parameters
    ----------
    name
        ``"relu"``, ``"leaky_relu"``, ``"erf"``, ``"tanh"`` or ``"linear"``.
    **parameters
        ``slope`` of the leaky ReLU, ``gain`` of erf.

    Raises
    ------
    ValueError
        If the name is unknown; the message lists the names.
    TypeError
        If the activation has no such parameter.
    """
    if not isinstance(name, str) or name not in _CLASSES:
        raise ValueError(
            f"activation must be one of {_listed()}, got {name!r}; for another function pass "
            "Custom(function, derivative)"
        )
    known = inspect.signature(_CLASSES[name]).parameters
    unknown = [key for key in parameters if key not in known]
    if unknown:
        raise TypeError(
            f"activation {name!r} takes the parameters ({', '.join(known)}), got {unknown[0]!r}; "
            "leaky_relu takes slope, erf takes gain, the others take none"
        )
    return _CLASSES[name](**parameters)


def activation_from_dict(record: Mapping[str, Any]) -> Activation:
    """Inverse of :meth:`Activation.to_dict`; errors as :func:`activation_from_name`."""
    parameters = dict(record)
    if "name" not in parameters:
        raise ValueError(
            f"activation record must have the key 'name', got {parameters!r}; write it with "
            "Activation.to_dict()"
        )
    return activation_from_name(parameters.pop("name"), **parameters)


def as_activation(activation: Activation | str) -> Activation:
    """An :class:`Activation`: the object itself, or the one a string names.

    Raises
    ------
    ValueError
        If a string is not a known name.
    TypeError
        If the argument is neither (the class instead of an object, or a bare function).
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str):
        return activation_from_name(activation)
    remedy = "wrap a function as Custom(function, derivative)"
    if isinstance(activation, type) and issubclass(activation, Activation):
        remedy = f"write {activation.__name__}() with parentheses"
    raise TypeError(
        f"activation must be an Activation or one of {_listed()}, got {activation!r}; {remedy}"
    )


def _listed() -> str:
    return ", ".join(repr(name) for name in _CLASSES)


def _floating(x: ArrayLike) -> NDArray[Any]:
    """``x`` as a floating array; float32 stays, integers become float64."""
    values = np.asarray(x)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    return values


def _checked(function: Any, name: str) -> Callable[[FloatArray], NDArray[Any]]:
    """``function`` after a trial on a small array."""
    if not callable(function):
        raise TypeError(
            f"{name} must be a function of an array, got {function!r}; pass e.g. numpy.sin"
        )
    probe = np.linspace(-3.0, 3.0, 6).reshape(2, 3)
    values = np.asarray(function(probe))
    if values.shape != probe.shape or not np.all(np.isfinite(values)):
        raise ValueError(
            f"{name} must map an array to a finite array of the same shape, got shape "
            f"{values.shape} for {probe.shape} (finite: {bool(np.all(np.isfinite(values)))}); "
            "write it elementwise with NumPy functions"
        )
    return function
