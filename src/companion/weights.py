r"""Laws of the branch weights along depth.

Notation
--------
===============================  ============================  ========================
symbol                           name                          book label
===============================  ============================  ========================
:math:`E[W_{l,ij}W_{m,ij}]`      ``covariance(l - m)``         ``eq-weight-covariance``
:math:`H`, :math:`\gamma_H`      ``hurst``, `FractionalNoise`  ``eq-ld-fractional``
:math:`v`, :math:`\tau=(l-m)/L`  ``variance``, lag over depth  ``eq-ld-smooth``
:math:`\gamma_s(\tau)`           covariance of ``process``     ``eq-ld-smooth-limit``
:math:`\lambda_k`                ``spectrum``                  ``eq-ld-circulant``
:math:`F`                        ``factor``                    ``eq-ld-factor``
===============================  ============================  ========================

Entries have unit variance here; a network multiplies them by
:math:`\sigma/\sqrt{\text{fan-in}}`. Different entries of one matrix are independent; the law says
how one entry is distributed and how it is correlated with itself in the other layers.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._paths import chunks, circulant_paths, half_second_difference, pivoted_factor
from companion._validation import choice, finite_array, positive_integer, real_number

__all__ = [
    "IID",
    "FractionalNoise",
    "GaussianLaw",
    "Smooth",
    "WeightLaw",
    "weight_law_from_dict",
]

FloatArray = NDArray[np.float64]

#: Eigenvalues of an embedding down to minus this share of the largest are zeros, rounded.
_ROUNDING: Final = 1e-13

#: Least variance of a smooth law, and the inverse of the largest: its exponents stay in range.
_LEAST_VARIANCE: Final = 1e-200


@dataclass(frozen=True)
class WeightLaw(ABC):
    """Law of one matrix entry as a sequence over the layers: centred, stationary, unit variance.

    A law that departs from unit variance says so.
    """

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
    def covariance(self, lags: ArrayLike, depth: int | None = None) -> FloatArray:
        """Covariance of one entry in layers ``l`` and ``l + lag``.

        Parameters
        ----------
        lags
            Integers of either sign, any shape.
        depth
            Number of layers; needed by laws of ``l / depth``, ignored by the others.

        Returns
        -------
        Covariance, shape of ``lags``; 1 at lag 0.

        Raises
        ------
        ValueError
            If a lag is not an integer, or the law needs a depth and there is none.
        """

    def spectrum(self, depth: int) -> FloatArray | None:
        r"""Eigenvalues of the circulant of order ``2 depth`` that embeds the layer covariance.

        Its first row is :math:`\gamma(0),\dots,\gamma(L),\gamma(L-1),\dots,\gamma(1)`
        (``eq-ld-circulant``).

        Returns
        -------
        Eigenvalues :math:`\lambda_0..\lambda_L`, shape ``(depth + 1,)``, the others being
        :math:`\lambda_{2L-k}=\lambda_k`; None where one of them is negative, so that no
        stationary periodic sequence has this covariance.
        """
        from scipy import fft

        half = self.covariance(np.arange(positive_integer(depth, "depth") + 1), depth)
        eigenvalues = fft.rfft(np.concatenate([half, half[-2:0:-1]])).real
        if eigenvalues.min() < -_ROUNDING * eigenvalues.max():
            return None
        return np.maximum(eigenvalues, 0.0)

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

    def covariance(self, lags: ArrayLike, depth: int | None = None) -> FloatArray:
        """1 at lag 0, else 0; see :meth:`WeightLaw.covariance`."""
        return np.where(integer_lags(lags) == 0, 1.0, 0.0)[()]

    def factor(self, depth: int) -> FloatArray:
        """Identity matrix; see :meth:`GaussianLaw.factor`.

        Raises
        ------
        ValueError
            If the distribution is not the normal one, which no covariance determines.
        """
        if not self.gaussian:
            raise ValueError(
                f"distribution must be 'gaussian' to be drawn from a factor, got "
                f"{self.distribution!r}; use sample"
            )
        return np.eye(positive_integer(depth, "depth"))

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


@dataclass(frozen=True)
class GaussianLaw(WeightLaw):
    """A law whose layers are jointly normal, so that the covariance says all.

    A subclass gives ``covariance``; samplers follow from it.
    """

    #: Whether the layer covariance has, numerically, a rank far below the depth.
    low_rank: ClassVar[bool] = False

    @property
    def independent(self) -> bool:
        """Whether the weights of different layers are independent; false unless overridden."""
        return False

    @property
    def gaussian(self) -> bool:
        """Always true."""
        return True

    def factor(self, depth: int) -> FloatArray:
        r"""Matrix :math:`F` with :math:`FF^\top` the covariance of the layers (``eq-ld-factor``).

        Returns
        -------
        Shape ``(depth, rank)``: the lower triangular Cholesky factor where the covariance has full
        numerical rank, else a pivoted one that leaves out less than ``1e-14`` of each layer's
        variance. Time is of order ``depth**3``, or ``depth * rank**2`` at low rank.
        """
        lags = np.arange(positive_integer(depth, "depth"))
        covariance = self.covariance(lags, depth)
        if not self.low_rank:
            from scipy import linalg

            try:
                toeplitz = linalg.toeplitz(covariance)
                return np.asarray(linalg.cholesky(toeplitz, lower=True, overwrite_a=True))
            except linalg.LinAlgError:  # singular up to rounding
                pass
        return pivoted_factor(
            np.full(depth, covariance[0]), lambda layer: covariance[np.abs(lags - layer)]
        )

    def sample(
        self, depth: int, shape: int | Sequence[int], rng: np.random.Generator
    ) -> FloatArray:
        """Draw by circulant embedding, or by a factor; see :meth:`WeightLaw.sample`.

        Besides the result, 64 MiB are used, or what one entry needs if that is more.
        """
        size = layered_shape(depth, shape, rng)
        if self.independent:
            return rng.standard_normal(size) * math.sqrt(self.covariance(0, depth))
        out = np.empty((size[0], math.prod(size[1:])))
        spectrum = None if self.low_rank else self.spectrum(depth)
        if spectrum is None:
            factor = self.factor(depth)
            for part in chunks(out.shape[1], depth):
                normals = rng.standard_normal((factor.shape[1], part.stop - part.start))
                np.matmul(factor, normals, out=out[:, part])
        else:
            for part in chunks(out.shape[1], 2 * depth):
                out[:, part] = circulant_paths(spectrum, part.stop - part.start, rng).T
        return out.reshape(size)


@dataclass(frozen=True)
class FractionalNoise(GaussianLaw):
    r"""Fractional Gaussian noise: increments of fractional Brownian motion, of unit variance.

    Covariance :math:`\gamma_H(k)=\tfrac12(|k-1|^{2H}-2|k|^{2H}+|k+1|^{2H})`
    (``eq-ld-fractional``), whatever the depth: the sum of ``L`` layers has variance ``L**(2 H)``.

    Parameters
    ----------
    hurst
        Hurst index ``H``, strictly between 0 and 1; at 1/2 the layers are independent, below they
        are negatively, above positively correlated.

    Raises
    ------
    ValueError
        If ``hurst`` is outside the open interval.
    """

    hurst: float
    kind: ClassVar[str] = "fractional"

    def __post_init__(self) -> None:
        object.__setattr__(self, "hurst", hurst_index(self.hurst))

    @property
    def independent(self) -> bool:
        """Whether ``hurst`` is 1/2."""
        return self.hurst == 0.5

    def covariance(self, lags: ArrayLike, depth: int | None = None) -> FloatArray:
        """To 1e-14 relative at every lag; see :meth:`WeightLaw.covariance`."""
        k, p = np.abs(integer_lags(lags)), 2 * self.hurst
        first = math.expm1((p - 1) * math.log(2))
        return np.select(
            [k == 0, k == 1], [1.0, first], half_second_difference(np.maximum(k, 2), p)
        )[()]

    def to_dict(self) -> dict[str, Any]:
        """``{"kind": "fractional", "hurst": ...}``."""
        return {"kind": self.kind, "hurst": self.hurst}


@dataclass(frozen=True)
class Smooth(GaussianLaw):
    r"""Normalised increments of a smooth Gaussian process over the layers.

    The process :math:`G` on :math:`[0,1]` has the kernel :math:`k(\tau)=e^{-\tau^2/2v}`; layer
    ``l`` carries :math:`G(l/L)-G((l-1)/L)` divided by its standard deviation (``eq-ld-smooth``).
    At fixed :math:`\tau=(l-m)/L` the covariance tends to
    :math:`(1-\tau^2/v)e^{-\tau^2/2v}` (``eq-ld-smooth-limit``), that of :math:`\sqrt v\,G'`.

    Parameters
    ----------
    variance
        ``v``, positive: the square of the correlation length of :math:`G`, in units of the whole
        depth. (The entries themselves have variance 1.)

    Raises
    ------
    ValueError
        If ``variance`` is not positive.
    """

    variance: float = 0.01
    kind: ClassVar[str] = "smooth"
    low_rank: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "variance", real_number(self.variance, "variance", minimum=0.0, strict=True)
        )
        if not _LEAST_VARIANCE <= self.variance <= 1 / _LEAST_VARIANCE:
            raise ValueError(
                f"variance must lie between {_LEAST_VARIANCE:g} and {1 / _LEAST_VARIANCE:g}, got "
                f"{self.variance:g}; beyond, layers are independent or alike: use IID or one layer"
            )

    def covariance(self, lags: ArrayLike, depth: int | None = None) -> FloatArray:
        """Without cancellation at any depth, which is needed; see :meth:`WeightLaw.covariance`."""
        if depth is None:
            raise ValueError(
                "depth must be given for smooth weights, got None; their covariance is a function "
                "of lag / depth"
            )
        m = np.abs(integer_lags(lags))
        # With a = 1/(2 v L^2): exp(-a m^2) (1 - 2 sinh^2(a m) / (exp(a) - 1)), free of overflow.
        a = 1 / (2 * self.variance * positive_integer(depth, "depth") ** 2)
        drop = np.exp(-a * (m - 1) ** 2) * np.expm1(-2 * a * m) ** 2 / (-2 * math.expm1(-a))
        return (np.exp(-a * m**2) - drop)[()]

    def process(
        self, times: ArrayLike, shape: int | Sequence[int], rng: np.random.Generator
    ) -> FloatArray:
        """Draw the limit of infinite depth at given times (``eq-ld-smooth-limit``).

        Parameters
        ----------
        times
            Times ``l / L`` in units of the whole depth, shape ``(m,)``, in any order. Every
            second row of the result is the same path on a coarser grid.
        shape
            Shape of one layer's matrix.
        rng
            Source of randomness; the draw advances it.

        Returns
        -------
        Array of shape ``(m, *shape)``, float64, unit variance.

        Raises
        ------
        ValueError
            If ``times`` is not a vector of finite numbers, or a dimension is not positive.
        """
        t = finite_array(times, "times")
        if t.ndim != 1 or t.size == 0:
            raise ValueError(f"times must be a vector, got shape {t.shape}; pass shape (m,)")
        size = layered_shape(t.size, shape, rng)

        def column(index: int) -> FloatArray:
            square = (t - t[index]) ** 2 / self.variance
            return np.asarray((1 - square) * np.exp(-square / 2))

        factor = pivoted_factor(np.ones(t.size), column)
        out = np.empty((t.size, math.prod(size[1:])))
        for part in chunks(out.shape[1], t.size):
            normals = rng.standard_normal((factor.shape[1], part.stop - part.start))
            np.matmul(factor, normals, out=out[:, part])
        return out.reshape(size)

    def to_dict(self) -> dict[str, Any]:
        """``{"kind": "smooth", "variance": ...}``."""
        return {"kind": self.kind, "variance": self.variance}


def hurst_index(value: Any) -> float:
    """``value`` as a float strictly between 0 and 1."""
    remedy = "pass a number strictly between 0 and 1"
    hurst = real_number(value, "hurst", minimum=0.0, strict=True, remedy=remedy)
    if hurst >= 1:
        raise ValueError(f"hurst must be less than 1, got {hurst:g}; {remedy}")
    return hurst


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
    if not isinstance(shape, (int, np.integer, Iterable)):
        raise TypeError(
            f"shape must be an integer or a sequence of integers, got {shape!r}; pass e.g. (n, n)"
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
    laws = {law.kind: law for law in _descendants() if "kind" in vars(law)}
    kind = choice(parameters.pop("kind", None), "kind of weight law", sorted(laws))
    return laws[kind](**parameters)


def _descendants(law: type[WeightLaw] | None = None) -> Iterator[type[WeightLaw]]:
    children: list[type[WeightLaw]] = (law or WeightLaw).__subclasses__()
    for child in children:
        yield child
        yield from _descendants(child)
