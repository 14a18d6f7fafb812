r"""What a network is: one frozen description shared by every theory and every simulation.

.. math::

   h_0=W_{in}x+b_{in},\qquad h_l=a\,h_{l-1}+s_lF_l(h_{l-1}),\qquad y=W_{out}\,\psi(h_L)+b_{out},

with :math:`F=W\phi(h)+b` (``single``) or :math:`F=V\phi(Wh)+b` (``two-layer``) and
:math:`\psi` the identity (``linear``) or :math:`\phi` (``activation``).

Notation
--------
========================================  ========================  ==============================
symbol                                    name                      book label
========================================  ========================  ==============================
:math:`L,\ n,\ d`                         ``depth, width, inputs``  ``eq-residual-block``
:math:`a,\ s_l`                           ``skip, scale``           ``eq-residual-block``
:math:`K^l`                               ``stream_variances``      ``eq-kernel-recursion``
:math:`c(K)=E\|F(h)\|^2/\|h\|^2`          ``gain``                  ``eq-gain``
:math:`\lambda_l`                         ``shares``                ``eq-share``
:math:`T=\sum_l\lambda_l`                 ``effective_depth``       ``eq-effective-depth``
:math:`\Theta_E=-\sum_l\ln(1-\lambda_l)`  ``log_energy``            ``eq-log-energy``
========================================  ========================  ==============================

Gains, shares and variances take each block by itself, in the limit of large width: correlation of
the weights across layers enters through the coherence of the blocks, not here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._notations import PaperNotations
from companion._validation import (
    choice,
    finite_array,
    flag,
    nonnegative_array,
    positive_integer,
    real_number,
)
from companion.activations import (
    Activation,
    LeakyReLU,
    ReLU,
    activation_from_dict,
    as_activation,
)
from companion.weights import IID, WeightLaw, weight_law_from_dict

__all__ = ["NormalizedCoefficients", "ResNetSpec"]

FloatArray = NDArray[np.float64]

_LOG_LARGEST = 700.0  # exp of this is inside float64, with room for a factor
_POSITIVE = ("weight_variance", "outer_variance", "input_weight_variance", "readout_variance")
_NONNEGATIVE = ("bias_variance", "input_bias_variance", "readout_bias_variance")


class NormalizedCoefficients(NamedTuple):
    """The same network with every step preserving the mean squared norm.

    Attributes
    ----------
    skip
        ``a / q_l``, shape ``(depth,)``, with ``q_l**2 = a**2 + s_l**2 c``.
    scale
        ``s_l sqrt(c) / q_l``, shape ``(depth,)``: the factor of the branch divided by ``sqrt(c)``.
        ``skip**2 + scale**2 = 1`` and ``scale**2`` is the share.
    log_growth
        Sum of ``ln q_l**2`` (natural log, of the squared norm).
    """

    skip: FloatArray
    scale: FloatArray
    log_growth: float


@dataclass(frozen=True, kw_only=True)
class ResNetSpec(PaperNotations):
    """A residual network at initialization.

    Parameters
    ----------
    depth
        Number of residual blocks ``L``, at least 1.
    width
        Coordinates of the stream (and hidden units of a two-layer block) ``n``, at least 1.
    inputs, outputs
        Dimensions of ``x`` and ``y``.
    skip
        Weight ``a`` of the identity path, at least 0; 0 is a fully connected network.
    scale
        Branch scale ``s``, at least 0: a number, or one per layer (any sequence; kept as a tuple).
    block
        ``"single"`` for ``W phi(h) + b``, ``"two-layer"`` for ``V phi(W h) + b``.
    balanced
        A fresh fair sign in front of the argument of every ReLU, ``phi(sigma z)``, drawn for each
        neuron of each block; for ReLU and leaky ReLU only.
    activation
        An :class:`~companion.activations.Activation`, or one of its names.
    weight_variance, outer_variance
        ``sigma_w**2``, ``sigma_v**2``: entries of ``W``, ``V`` have this variance over fan-in.
        A single block has no ``V``.
    bias_variance
        ``sigma_b**2`` of a coordinate of ``b``, which the branch scale multiplies as well.
    input_weight_variance, input_bias_variance
        Entries of the input map have variance ``input_weight_variance / inputs``.
    readout_variance, readout_bias_variance
        Entries of the readout have variance ``readout_variance / width``.
    readout
        ``"linear"`` reads ``h_L``, ``"activation"`` reads ``phi(h_L)``.
    input_variance
        ``K^0``, variance of a coordinate of ``h_0`` over the input map. It fixes the length of the
        input, see :attr:`input_squared_norm`; the default 1 needs ``|x|^2 = d``.
    weight_law
        Law of the branch weights along depth. The entries of input map and readout have the
        distribution of an :class:`~companion.weights.IID` law and are normal under any other.

    Raises
    ------
    TypeError
        If an argument has the wrong type (``True`` and ``3.0`` are not integers).
    ValueError
        If a value is out of range, or two arguments contradict each other.
    """

    depth: int
    width: int
    inputs: int = 1
    outputs: int = 1
    skip: float = 1.0
    scale: float | tuple[float, ...] = 1.0
    block: str = "two-layer"
    balanced: bool = False
    activation: Activation = field(default_factory=ReLU)
    weight_variance: float = 1.0
    outer_variance: float = 1.0
    bias_variance: float = 0.0
    input_weight_variance: float = 1.0
    input_bias_variance: float = 0.0
    readout_variance: float = 1.0
    readout_bias_variance: float = 0.0
    readout: str = "linear"
    input_variance: float = 1.0
    weight_law: WeightLaw = field(default_factory=IID)

    BLOCKS: ClassVar[tuple[str, ...]] = ("single", "two-layer")
    READOUTS: ClassVar[tuple[str, ...]] = ("linear", "activation")

    def __post_init__(self) -> None:
        for name in ("depth", "width", "inputs", "outputs"):
            remedy = "count blocks, neurons or coordinates: 1, 2, 3, ..."
            self._set(name, positive_integer(getattr(self, name), name, remedy))
        self._set("skip", real_number(self.skip, "skip", minimum=0.0))
        self._set("scale", _scale(self.scale, self.depth))
        choice(self.block, "block", self.BLOCKS)
        choice(self.readout, "readout", self.READOUTS)
        self._set("balanced", flag(self.balanced, "balanced"))
        self._set("activation", as_activation(self.activation))
        for name in _POSITIVE:
            value = real_number(getattr(self, name), name, minimum=0.0, strict=True)
            self._set(name, value)
        for name in _NONNEGATIVE:
            self._set(name, real_number(getattr(self, name), name, minimum=0.0))
        value = real_number(self.input_variance, "input_variance", minimum=0.0, strict=True)
        self._set("input_variance", value)
        self._check_combinations()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_combinations(self) -> None:
        if not isinstance(self.weight_law, WeightLaw):
            raise TypeError(
                f"weight_law must be a WeightLaw, got {self.weight_law!r}; pass e.g. IID('uniform')"
            )
        if self.skip == 0 and np.any(self.scales == 0):
            raise ValueError(
                f"skip and scale must not both be zero in a layer, got skip={self.skip:g} and "
                f"scale={self.scale!r}; such a layer erases the stream, give one a positive value"
            )
        if self.balanced and not isinstance(self.activation, (ReLU, LeakyReLU)):
            raise ValueError(
                f"balanced=True needs a ReLU or leaky ReLU, got activation={self.activation!r}; "
                "random signs balance a kink, set balanced=False for this activation"
            )
        if self.block == "single" and self.outer_variance != 1.0:
            raise ValueError(
                f"outer_variance must be 1 for block='single', got {self.outer_variance:g}; a "
                "single block has no outer matrix, use weight_variance or block='two-layer'"
            )
        if self.input_variance < self.input_bias_variance:
            raise ValueError(
                f"input_variance must be at least input_bias_variance, got "
                f"{self.input_variance:g} < {self.input_bias_variance:g}; the bias alone gives "
                "h_0 that much variance, raise input_variance"
            )

    @property
    def scales(self) -> FloatArray:
        """Branch scale of every layer, shape ``(depth,)``."""
        return np.broadcast_to(np.asarray(self.scale, dtype=np.float64), (self.depth,)).copy()

    @property
    def homogeneous(self) -> bool:
        """Whether every block is 1-homogeneous: ReLU-type or linear, without bias."""
        return self.activation.homogeneous and self.bias_variance == 0

    @property
    def input_squared_norm(self) -> float:
        """``|x|^2`` of the inputs that give ``h_0`` the variance ``input_variance``."""
        excess = self.input_variance - self.input_bias_variance
        return self.inputs * excess / self.input_weight_variance

    def branch_variance(self, variance: ArrayLike) -> FloatArray:
        """Variance of a coordinate of ``F(h)`` when a coordinate of ``h`` has this ``variance``.

        Wide limit; exact at every width for a two-layer ReLU or linear block.
        """
        k = nonnegative_array(variance, "variance")
        if self.block == "single":
            moment = self.weight_variance * self.activation.second_moment(k)
        else:
            inner = self.activation.second_moment(self.weight_variance * k)
            moment = self.outer_variance * inner
        return self.bias_variance + moment

    def gain(self, variance: ArrayLike = 1.0) -> FloatArray:
        """``c(K) = E|F(h)|^2 / |h|^2`` at stream variance ``K``, in the wide limit.

        Parameters
        ----------
        variance
            ``K``, any shape, finite, at least 0; irrelevant for homogeneous networks.

        Returns
        -------
        Gain, shape of ``variance``; at ``K = 0`` the limit, which a bias makes infinite. For a
        two-layer ReLU block it is ``sigma_v^2 sigma_w^2 / 2``, exact at every width; for a single
        ReLU block ``sigma_w^2 / 2``.

        Raises
        ------
        ValueError
            If ``variance`` is negative or not finite.
        """
        k = nonnegative_array(variance, "variance")
        if self.block == "single":
            c = self.weight_variance * self.activation.gain(k)
        else:
            inner = self.activation.gain(self.weight_variance * k)
            c = self.outer_variance * self.weight_variance * inner
        if self.bias_variance > 0:
            limit = np.full(k.shape, np.inf)
            c = c + np.divide(self.bias_variance, k, out=limit, where=k > 0)
        return c[()]

    def log_stream_variances(self) -> FloatArray:
        """``ln K^l``, shape ``(depth + 1,)``, natural log, from ``ln K^0`` on; never overflows."""
        steps = np.log(self._growth())
        return math.log(self.input_variance) + np.concatenate([[0.0], np.cumsum(steps)])

    def stream_variances(self) -> FloatArray:
        """``K^l``, variance of a coordinate of ``h_l``, shape ``(depth + 1,)``, from ``K^0`` on.

        Wide-limit recursion ``K^l = a^2 K^{l-1} + s_l^2 E F^2`` (``eq-kernel-recursion``), in mean
        exact at every width for two-layer homogeneous networks.

        Raises
        ------
        OverflowError
            If a variance leaves the range of float64.
        """
        with np.errstate(over="ignore", under="ignore"):
            powers = np.concatenate([[1.0], np.cumprod(self._growth())])
            variances = self.input_variance * powers
        if not np.all(np.isfinite(variances) & (variances > 0)):
            layer = int(np.argmin(np.isfinite(variances) & (variances > 0)))
            raise OverflowError(
                f"the stream variance leaves the range of float64 at layer {layer} of "
                f"{self.depth}; use log_stream_variances()"
            )
        return variances

    def shares(self) -> FloatArray:
        """``lambda_l = s^2 c_l / (a^2 + s^2 c_l)``, share of block ``l`` in the stream's variance.

        Returns
        -------
        Shares in ``[0, 1]``, shape ``(depth,)``; all 1 if ``skip = 0``.
        """
        branch = self.scales * np.sqrt(self._gains())
        return (branch / np.hypot(self.skip, branch)) ** 2

    def effective_depth(self) -> float:
        """``T``, the sum of the shares: the clock of the network at initialization."""
        return float(np.sum(self.shares()))

    def log_energy(self) -> float:
        """``Theta_E``, minus the sum of ``ln(1 - lambda_l)``; infinite if ``skip = 0``.

        It is the natural log of ``E|h_L|^2 / (a^(2L) |h_0|^2)``.
        """
        if self.skip == 0:
            return math.inf
        return float(np.sum(np.log1p(self.scales**2 * self._gains() / self.skip**2)))

    def normalized_coefficients(self) -> NormalizedCoefficients:
        """Coefficients with ``skip**2 + scale**2 = 1`` in every layer, for homogeneous networks.

        By 1-homogeneity ``h_l`` is the product of the ``q``'s up to ``l`` times the normalised
        stream, exactly, for the same weights.

        Raises
        ------
        ValueError
            If the network is not homogeneous.
        """
        self._require_homogeneous("normalized_coefficients")
        root = math.sqrt(float(self.gain()))
        q = np.hypot(self.skip, self.scales * root)
        log_growth = float(2 * np.sum(np.log(q)))
        return NormalizedCoefficients(self.skip / q, self.scales * root / q, log_growth)

    def normalized(self) -> ResNetSpec:
        """The network with ``a^2 + s^2 c = 1``: the same normalised stream, without growth.

        Raises
        ------
        ValueError
            If the network is not homogeneous, or the scales of the layers differ.
        """
        self._require_homogeneous("normalized")
        scales = self.scales
        if np.any(scales != scales[0]):
            raise ValueError(
                f"normalized() needs one scale for all layers, got {self.scale!r}; use "
                "normalized_coefficients(), which returns one pair per layer"
            )
        q = math.hypot(self.skip, float(scales[0]) * math.sqrt(float(self.gain())))
        return self.replace(skip=self.skip / q, scale=float(scales[0]) / q)

    def replace(self, **changes: Any) -> ResNetSpec:
        """A copy with some fields changed, checked like a new one.

        Raises
        ------
        TypeError
            If a name is not a field; the message lists the fields.
        """
        known = [f.name for f in dataclasses.fields(self)]
        unknown = sorted(set(changes) - set(known))
        if unknown:
            raise TypeError(
                f"replace() got the unknown field {unknown[0]!r}; the fields are {', '.join(known)}"
            )
        return dataclasses.replace(self, **changes)

    def describe(self) -> str:
        """One line for people."""
        scale = _brief(self.scale)
        signs = "balanced " if self.balanced else ""
        return (
            f"{signs}{self.block} {self.activation.name} ResNet, depth {self.depth}, width "
            f"{self.width}, skip {self.skip:.4g}, scale {scale}, effective depth "
            f"{self.effective_depth():.4g}"
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON; read back by :meth:`from_dict`.

        Raises
        ------
        ValueError
            If the activation is a ``Custom`` one.
        """
        record = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        record["activation"] = self.activation.to_dict()
        record["weight_law"] = self.weight_law.to_dict()
        if isinstance(self.scale, tuple):
            record["scale"] = list(self.scale)
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> ResNetSpec:
        """Inverse of :meth:`to_dict`; absent fields take their defaults.

        Raises
        ------
        ValueError
            If a key is not a field, or a field has a bad value.
        TypeError
            If ``depth`` or ``width`` is missing, or a field has the wrong type.
        """
        fields = dict(record)
        unknown = sorted(set(fields) - {f.name for f in dataclasses.fields(cls)})
        if unknown:
            raise ValueError(
                f"record of a network has the unknown key {unknown[0]!r}; it was written by another"
                " version, or is not one of ResNetSpec.to_dict()"
            )
        if isinstance(fields.get("activation"), Mapping):
            fields["activation"] = activation_from_dict(fields["activation"])
        if isinstance(fields.get("weight_law"), Mapping):
            fields["weight_law"] = weight_law_from_dict(fields["weight_law"])
        return cls(**fields)

    def _require_homogeneous(self, method: str) -> None:
        if not self.homogeneous:
            raise ValueError(
                f"{method}() needs 1-homogeneous blocks, got activation={self.activation!r} with "
                f"bias_variance={self.bias_variance:g}; use ReLU, leaky ReLU or linear without bias"
            )

    def _gains(self) -> FloatArray:
        """Gain met by every block, shape ``(depth,)``."""
        return self._walk()[0]

    def _growth(self) -> FloatArray:
        """``a^2 + s_l^2 c_l`` of every block, shape ``(depth,)``."""
        return self._walk()[1]

    def _walk(self) -> tuple[FloatArray, FloatArray]:
        """Gains and growth factors; the stream variance is carried as a log."""
        squares = self.scales**2
        if self.homogeneous:
            gains = np.full(self.depth, float(self.gain()))
            return gains, self.skip**2 + squares * gains
        gains = np.empty(self.depth)
        log_variance = math.log(self.input_variance)
        for layer, square in enumerate(squares):
            inside = min(max(log_variance, -_LOG_LARGEST), _LOG_LARGEST)
            gains[layer] = self.gain(math.exp(inside))
            log_variance += math.log(self.skip**2 + square * gains[layer])
        return gains, self.skip**2 + squares * gains


def _scale(value: Any, depth: int) -> float | tuple[float, ...]:
    """A checked branch scale: a float, or a tuple with one float per layer."""
    remedy = "a sign belongs to the weights, which are symmetric"
    if np.ndim(value) == 0:
        value = value[()] if isinstance(value, np.ndarray) else value
        return real_number(value, "scale", minimum=0.0, remedy=remedy)
    scales = finite_array(value, "scale")
    if scales.shape != (depth,):
        raise ValueError(
            f"scale must be a number or hold one entry per layer, got shape {scales.shape} for "
            f"depth {depth}; pass a sequence of length {depth}"
        )
    return tuple(real_number(float(s), "scale", minimum=0.0, remedy=remedy) for s in scales)


def _brief(scale: float | tuple[float, ...]) -> str:
    if isinstance(scale, tuple):
        return f"{min(scale):.4g}..{max(scale):.4g} by layer"
    return f"{scale:.4g}"
