r"""Kernel gradient flow in closed form: one eigendecomposition serves every stopping time.

Notation
--------
=====================================================  ===================  =======================
symbol                                                 name                 label in the book
=====================================================  ===================  =======================
:math:`K=U\Lambda U^\top`                              ``eigenvalues``      ``eq-tk-gradient-flow``
:math:`\varphi_t(\lambda)`                             ``filter``           ``eq-tk-gradient-flow``
:math:`\hat f_t(x)=k(x,X)U\varphi_t(\Lambda)U^\top y`  ``KernelFlow.path``  ``eq-tk-gradient-flow``
:math:`d_t=\operatorname{tr}K\varphi_t(K)`             effective dimension  ``eq-tk-dimension``
:math:`k(x,S)K_{SS}^{-1}k(S,x')`                       `reduced`            ``eq-tk-nystroem``
=====================================================  ===================  =======================

The flow is that of :math:`\frac1{2N}\sum_i(f(x_i)-y_i)^2+\frac{\sigma^2}{2N}\|f\|^2` from
:math:`f_0=0`: :math:`\varphi_t(\lambda)=(1-e^{-t(\lambda+\sigma^2)/N})/(\lambda+\sigma^2)`. Without
the ridge :math:`\sigma^2` it is the training of a very wide network by gradient flow; at
:math:`t=\infty` it is kernel ridge regression. Source: standard.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import finite_array
from companion.regression.grams import Kernel, blocks, gram

__all__ = ["GradientFlow", "KernelFlow", "as_times", "exact", "reduced"]

Array = NDArray[np.float64]


def as_times(times: ArrayLike) -> Array:
    """Stopping times as an array of shape ``(T,)``; at least 0, infinity allowed.

    Raises
    ------
    ValueError
        If a time is negative or NaN, or the times are not a sequence.
    """
    values = np.asarray(times, dtype=np.float64)
    if values.ndim != 1 or not values.size or np.any(np.isnan(values) | (values < 0)):
        raise ValueError(
            f"times must be a non-empty sequence of numbers of at least 0, got {times!r}; the flow "
            "starts at 0 and ends at math.inf."
        )
    return values


@dataclass(frozen=True)
class GradientFlow:
    """A flow in its eigenbasis.

    Attributes
    ----------
    samples : int
        Number ``N`` of training inputs, the unit of time.
    ridge : float
        Variance added to every eigenvalue.
    eigenvalues : ndarray, shape (p,)
        Those of the ``N x N`` Gram matrix that are above rounding, increasing.
    basis : ndarray, shape (centres, p)
        Maps kernel values to coordinates along the eigenvectors.
    coordinates : ndarray, shape (p, outputs)
        Components of the targets along the unit eigenvectors.
    remainder : float
        Sum of squares of the targets outside the eigenvectors; no time fits it.
    """

    samples: int
    ridge: float
    eigenvalues: Array
    basis: Array
    coordinates: Array
    remainder: float

    def filter(self, times: ArrayLike) -> Array:
        """``phi_t(lambda)`` (``eq-tk-gradient-flow``), shape ``(T, p)``; 0 at ``t = 0``."""
        rate = self.eigenvalues + self.ridge
        steps = as_times(times)[:, None]
        with np.errstate(under="ignore"):
            return np.asarray(-np.expm1(-steps * rate / self.samples) / rate)

    def learned(self, times: ArrayLike) -> Array:
        """Fraction of each coordinate that is fitted, shape ``(T, p)``, in ``[0, 1]``."""
        return self.eigenvalues * self.filter(times)

    def effective_dimension(self, times: ArrayLike) -> Array:
        """Trace of the map from targets to fitted values, shape ``(T,)`` (``eq-tk-dimension``)."""
        return np.asarray(self.learned(times).sum(1))

    def training_error(self, times: ArrayLike) -> Array:
        """Mean over samples and outputs of the squared residual, shape ``(T,)``."""
        energy = np.sum(self.coordinates**2, axis=1)
        left = (1 - self.learned(times)) ** 2 @ energy + self.remainder
        return np.asarray(left / (self.samples * self.coordinates.shape[1]))

    def dual(self, time: float) -> Array:
        """Weights of the centres at ``time``, shape ``(centres, outputs)``."""
        return np.asarray(self.basis @ (self.filter([time])[0][:, None] * self.coordinates))

    def path(self, values: Array, times: ArrayLike) -> Array:
        """Predictions, shape ``(T, M, outputs)``, from kernel values of shape (M, centres)."""
        modes, weights = values @ self.basis, self.filter(times).T
        columns = [(modes * column) @ weights for column in self.coordinates.T]
        return np.stack(columns, axis=-1).transpose(1, 0, 2)

    def default_times(self) -> Array:
        """65 times from a tenth of the shortest time constant to ``1e8`` times it."""
        shortest = self.samples / (self.eigenvalues[-1] + self.ridge)
        return np.geomspace(0.1 * shortest, 1e8 * shortest, 65)


@dataclass(frozen=True)
class KernelFlow:
    """A `GradientFlow` with the kernel and the centres that it predicts from."""

    kernel: Kernel
    centres: Array
    flow: GradientFlow

    def path(self, rows: Array, times: ArrayLike) -> Array:
        """Predictions at ``rows`` for every time, shape ``(T, M, outputs)``."""
        count = len(self.centres)
        parts = [
            self.flow.path(gram(self.kernel, rows[at], self.centres, (len(rows[at]), count)), times)
            for at in blocks(len(rows), count)
        ]
        return np.concatenate(parts, axis=1)


def exact(kernel: Kernel, rows: Array, targets: Array, ridge: float) -> KernelFlow:
    """Flow with the whole Gram matrix: ``O(N^3)`` operations and ``3 N^2`` numbers, once.

    Parameters
    ----------
    rows, targets : ndarray, shapes (N, d) and (N, outputs)
    ridge : float
        At least 0.

    Raises
    ------
    ValueError
        If the kernel is not one: an eigenvalue is negative beyond rounding.
    """
    n = len(rows)
    values, vectors = _eigen(gram(kernel, rows, None, (n, n)))
    return KernelFlow(
        kernel, rows, _flow(n, ridge, values, vectors, vectors.T @ targets, np.sum(targets**2))
    )


def reduced(
    kernel: Kernel, rows: Array, targets: Array, ridge: float, landmarks: Array
) -> KernelFlow:
    r"""Flow with the kernel projected on ``m`` landmarks (``eq-tk-nystroem``).

    :math:`k(x,S)K_{SS}^{-1}k(S,x')` replaces the kernel: ``O(N m^2)`` operations, and beyond the
    data memory for a block of `BLOCK_ENTRIES` numbers and a few ``m x m`` matrices. With all rows
    as landmarks it is the exact flow.

    Parameters
    ----------
    rows, targets, ridge
        As in `exact`.
    landmarks : ndarray, shape (m, d)
        Inputs ``S``, usually some of the rows.

    Raises
    ------
    ValueError
        As `exact`.
    """
    n, m = len(rows), len(landmarks)
    values, vectors = _eigen(gram(kernel, landmarks, None, (m, m)))
    whiten = vectors / np.sqrt(values)
    square, moment = np.zeros((len(values),) * 2), np.zeros((len(values), targets.shape[1]))
    for at in blocks(n, m):
        features = gram(kernel, rows[at], landmarks, (len(rows[at]), m)) @ whiten
        square += features.T @ features
        moment += features.T @ targets[at]
    spectrum, turned = _eigen(square)
    root = np.sqrt(spectrum)
    coordinates = (turned.T @ moment) / root[:, None]
    basis = (whiten @ turned) * root
    return KernelFlow(
        kernel, landmarks, _flow(n, ridge, spectrum, basis, coordinates, np.sum(targets**2))
    )


def _flow(
    n: int, ridge: float, values: Array, basis: Array, coordinates: Array, energy: float
) -> GradientFlow:
    remainder = max(float(energy - np.sum(coordinates**2)), 0.0)
    return GradientFlow(n, ridge, values, basis, coordinates, remainder)


def _eigen(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues above rounding, increasing, and their vectors as columns."""
    from scipy.linalg import eigh

    values, vectors = eigh(matrix, driver="evd", check_finite=False)
    finite_array(values, "the eigenvalues of the kernel")
    floor = len(values) * np.finfo(np.float64).eps * np.abs(values).max()
    if values[0] < -max(100 * floor, 1e-9 * np.abs(values).max()):
        raise ValueError(
            f"kernel must be positive semidefinite, got the eigenvalue {values[0]:.3g} beside "
            f"{values[-1]:.3g}; check that it is a kernel and computed in float64."
        )
    kept = values > floor
    if not np.any(kept):
        raise ValueError(
            "kernel must not vanish on the training inputs, got only zeros; check the scale of "
            "the data and of the kernel."
        )
    return values[kept], vectors[:, kept]
