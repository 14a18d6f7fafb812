r"""Many networks at once: arrays of parameters, and their response as a function of the scale.

Notation, with the labels of the book, is at the top of :mod:`companion.response`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion import _quadrature
from companion._validation import finite_array, nonnegative_array
from companion.activations import Activation, Erf, as_activation
from companion.architecture import ResNetSpec

__all__ = ["Settings", "curvature", "log_output_response", "top_kernel"]

Array = NDArray[np.float64]

#: Sets that walk up together: a few arrays of this length stay in a first-level cache.
_SETS_PER_BLOCK = 4096


@dataclass(frozen=True, init=False, eq=False)
class Settings:
    """Parameters of networks with skip 1, single blocks and a readout through the activation.

    Parameters
    ----------
    depth
        Numbers of blocks, integers of at least 1.
    weight_variance, bias_variance, input_variance
        ``sigma_w^2 > 0``, ``sigma_b^2 >= 0`` and ``K^0 > 0``. All arrays broadcast together.
    activation
        One for all, an object or a name; it must saturate. The name ``"erf"`` is the one of unit
        slope.

    Raises
    ------
    ValueError
        If a value is out of range, shapes do not broadcast, or the activation is piecewise linear.
    """

    depth: NDArray[np.int64]
    weight_variance: Array
    bias_variance: Array
    input_variance: Array
    activation: Activation

    def __init__(
        self,
        *,
        depth: ArrayLike,
        weight_variance: ArrayLike = 1.0,
        bias_variance: ArrayLike = 0.0,
        input_variance: ArrayLike = 0.1,
        activation: Activation | str = "erf",
    ) -> None:
        phi = as_activation(activation)
        if phi.homogeneous:
            raise ValueError(
                f"activation must saturate for an optimal scale to exist, got {phi!r}: its "
                "response grows with the scale without bound; use Erf(), Tanh() or the like."
            )
        layers = finite_array(depth, "depth")
        if np.any((layers < 1) | (layers != np.round(layers))):
            raise ValueError(f"depth must hold integers of at least 1, got {depth!r}.")
        arrays = np.broadcast_arrays(
            layers,
            _positive(weight_variance, "weight_variance"),
            nonnegative_array(bias_variance, "bias_variance"),
            _positive(input_variance, "input_variance"),
        )
        names = ("depth", "weight_variance", "bias_variance", "input_variance")
        for name, values in zip(names, arrays, strict=True):
            object.__setattr__(self, name, values)
        object.__setattr__(self, "depth", arrays[0].astype(np.int64))
        object.__setattr__(self, "activation", phi)

    @classmethod
    def of(cls, spec: ResNetSpec) -> Settings:
        """The parameters of one network; its scale is ignored.

        Raises
        ------
        ValueError
            If the network is of another kind.
        """
        for name, value, want in (
            ("skip", spec.skip, 1.0),
            ("block", spec.block, "single"),
            ("readout", spec.readout, "activation"),
            ("weight_law.independent", spec.weight_law.independent, True),
        ):
            if value != want:
                raise ValueError(
                    f"{name} must be {want!r} for an optimal scale, got {value!r}; build the spec "
                    "with ResNetSpec.field_theory."
                )
        return cls(
            depth=spec.depth,
            weight_variance=spec.weight_variance,
            bias_variance=spec.bias_variance,
            input_variance=spec.input_variance,
            activation=spec.activation,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Common shape of the parameters."""
        return self.depth.shape

    @property
    def bias_ratio(self) -> Array:
        """``beta = sigma_b^2 / sigma_w^2``."""
        return np.asarray(self.bias_variance / self.weight_variance)

    def branch(self, variance: ArrayLike) -> Array:
        """``F(K) = sigma_b^2 + sigma_w^2 g(K)``."""
        g = np.asarray(self.activation.second_moment(variance))
        return self.bias_variance + self.weight_variance * g

    def replace(
        self,
        *,
        depth: ArrayLike | None = None,
        weight_variance: ArrayLike | None = None,
        bias_variance: ArrayLike | None = None,
        input_variance: ArrayLike | None = None,
    ) -> Settings:
        """A copy with some arrays changed, checked and broadcast like new ones."""
        return Settings(
            depth=self.depth if depth is None else depth,
            weight_variance=self.weight_variance if weight_variance is None else weight_variance,
            bias_variance=self.bias_variance if bias_variance is None else bias_variance,
            input_variance=self.input_variance if input_variance is None else input_variance,
            activation=self.activation,
        )

    def broadcast(self, *shapes: tuple[int, ...]) -> Settings:
        """The same sets, repeated to the common shape with ``shapes``."""
        shape = np.broadcast_shapes(self.shape, *shapes)
        return self.replace(depth=np.broadcast_to(self.depth, shape))

    def at(self, index: NDArray[np.intp]) -> Settings:
        """Some of the sets, by index into the flattened arrays."""
        return self.replace(
            depth=self.depth.ravel()[index],
            weight_variance=self.weight_variance.ravel()[index],
            bias_variance=self.bias_variance.ravel()[index],
            input_variance=self.input_variance.ravel()[index],
        )

    def by_depth(self) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Every depth that occurs, with the flat indices of its sets in blocks."""
        flat = self.depth.ravel()
        for depth in np.unique(flat):
            found = np.flatnonzero(flat == depth)
            for low in range(0, found.size, _SETS_PER_BLOCK):
                yield int(depth), found[low : low + _SETS_PER_BLOCK]


def curvature(activation: Activation, variance: ArrayLike) -> Array:
    r"""``g''(K)``: in closed form for erf, else :math:`E[\phi^2He_4(z)]/4K^2`.

    Parameters
    ----------
    variance
        ``K > 0``; the error of the quadrature is about ``1e-15 / K`` relatively.
    """
    k = nonnegative_array(variance, "variance")
    if isinstance(activation, Erf):
        v = 2 * activation.steepness**2 * k
        slope = np.asarray(activation.second_moment_derivative(k))
        return -2 * activation.steepness**2 * slope * (2 + 3 * v) / ((1 + v) * (1 + 2 * v))
    strip = activation.analytic_strip
    fourth = _quadrature.single(lambda u: (activation(u) * u * u) ** 2, k, strip)
    second = _quadrature.single(lambda u: (activation(u) * u) ** 2, k, strip)
    plain = _quadrature.single(lambda u: activation(u) ** 2, k, strip)
    return (fourth / k**2 - 6 * second / k + 3 * plain) / (4 * k**2)


def top_kernel(settings: Settings, squared_scale: ArrayLike) -> Array:
    """``K^L`` at the squared scale ``r``, broadcast against the settings."""
    return _each(settings, squared_scale, _climb)


def log_output_response(settings: Settings, scale: ArrayLike) -> Array:
    r"""``ln(dK^y/dK^0)`` up to :math:`\ln\sigma_{out}^2` (``eq-ft-output-response``).

    Parameters
    ----------
    scale
        Branch scales, at least 0, broadcast against the settings: for a curve per set give the
        settings a last axis of length 1.
    """
    return _each(settings, nonnegative_array(scale, "scale") ** 2, log_response_at)


def _climb(settings: Settings, depth: int, r: Array) -> Array:
    k = settings.input_variance
    for _ in range(depth):
        k = k + r * settings.branch(k)
    return k


def log_response_at(settings: Settings, depth: int, r: Array) -> Array:
    """``ln chi^y`` of flat settings of one depth at squared scale ``r``."""
    phi, w = settings.activation, settings.weight_variance
    k, total = settings.input_variance, np.zeros(np.shape(r))
    for _ in range(depth):
        total += np.log1p(r * w * phi.second_moment_derivative(k))
        k = k + r * settings.branch(k)
    return total + np.log(phi.second_moment_derivative(k))


def log_response_slope_at(settings: Settings, depth: int, r: Array) -> Array:
    """Derivative of `log_response_at` by the squared scale."""
    phi, w = settings.activation, settings.weight_variance
    k, total = settings.input_variance, np.zeros(np.shape(r))
    moved = np.zeros(np.shape(r))  # dK^l/dr
    for _ in range(depth):
        slope, branch = w * phi.second_moment_derivative(k), settings.branch(k)
        factor = 1 + r * slope
        total += (slope + r * w * curvature(phi, k) * moved) / factor
        k, moved = k + r * branch, factor * moved + branch
    return total + curvature(phi, k) / phi.second_moment_derivative(k) * moved


def _each(
    settings: Settings, values: ArrayLike, function: Callable[[Settings, int, Array], Array]
) -> Array:
    """``function`` of every set and value, depth by depth, in blocks."""
    wide = settings.broadcast(np.shape(values))
    shape = wide.shape
    flat = np.broadcast_to(np.asarray(values, dtype=np.float64), shape).ravel()
    out = np.empty(flat.size)
    for depth, at in wide.by_depth():
        out[at] = function(wide.at(at), depth, flat[at])
    return out.reshape(shape)[()]


def _positive(values: ArrayLike, name: str) -> Array:
    array = nonnegative_array(values, name)
    if np.any(array == 0):
        raise ValueError(f"{name} must be greater than 0, got 0; pass positive variances.")
    return array
