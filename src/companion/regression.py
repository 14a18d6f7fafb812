r"""Regression with the kernel of an infinitely wide network, as a scikit-learn estimator.

Notation
--------
===================================  ===========================  ========================
symbol                               name                         label in the book
===================================  ===========================  ========================
:math:`K=K^y(X,X)`                   ``kernel(X)``                ``eq-ft-output-kernel``
:math:`\sigma^2`                     ``noise``                    ``eq-ft-regression``
:math:`\alpha=(K+\sigma^2)^{-1}Y`    ``dual_coef_``               ``eq-ft-regression``
:math:`\ln p(Y)`                     ``log_marginal_likelihood``  ``eq-ft-evidence``
===================================  ===========================  ========================

The prediction is :math:`K^y(x,X)\,\alpha`: the posterior mean of a Gaussian process without a mean
function, and kernel ridge regression with the ridge :math:`\sigma^2`. Source: standard.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._optional import require
from companion._validation import real_number
from companion.architecture import ResNetSpec
from companion.kernels import nngp

require("sklearn", extra="learn", purpose="fit kernel regressions")

from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, clone  # noqa: E402
from sklearn.utils.validation import check_is_fitted, validate_data  # noqa: E402

__all__ = ["DEFAULT_SPEC", "KernelRegressor", "NNGPKernel"]

Array = NDArray[np.float64]

#: Network whose kernel is used where none is given; a kernel does not depend on the width.
DEFAULT_SPEC = ResNetSpec.field_theory(10, 1, 0.3, sigma_b2=0.05, sigma_w_in2=0.1)


class NNGPKernel:
    """Output kernel of an infinitely wide residual network, with parameters that can be searched.

    Parameters
    ----------
    spec : ResNetSpec
        The network. Its width, its numbers of inputs and outputs and its input variance do not
        matter: the data decide, rows of ``d`` features having ``inputs = d``.

    Every field of the spec is a parameter in scikit-learn's sense, so that within a
    `KernelRegressor` the branch scale is ``kernel__scale``.

    Raises
    ------
    TypeError
        If ``spec`` is not a `ResNetSpec`.
    """

    def __init__(self, spec: ResNetSpec) -> None:
        if not isinstance(spec, ResNetSpec):
            raise TypeError(
                f"spec must be a ResNetSpec, got {spec!r}; pass e.g. "
                "ResNetSpec.field_theory(L, n, rho)"
            )
        self.spec = spec

    def __call__(self, X: ArrayLike, Y: ArrayLike | None = None) -> Array:
        """Kernel between rows, shape ``(N, M)``, of ``X`` with itself without ``Y``.

        Raises
        ------
        ValueError
            If the data are not finite or not of shape ``(N, d)``, with one ``d``.
        OverflowError
            If the kernel is outside the range of float64.
        """
        rows = np.asarray(X, dtype=np.float64)
        if rows.ndim != 2:
            raise ValueError(f"X must have shape (N, d), one input per row, got {rows.shape}.")
        return nngp(self.spec.replace(inputs=rows.shape[1]), rows, Y)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The spec and, if ``deep``, its fields by name."""
        fields = dataclasses.fields(self.spec) if deep else ()
        return {"spec": self.spec} | {
            field.name: getattr(self.spec, field.name) for field in fields
        }

    def set_params(self, **params: Any) -> Self:
        """Replace the spec, then fields of it, together.

        Raises
        ------
        TypeError, ValueError
            As `ResNetSpec.replace`, for an unknown name or a bad value.
        """
        spec = params.pop("spec", self.spec)
        self.spec = NNGPKernel(spec).spec.replace(**params)
        return self

    def __repr__(self) -> str:
        return f"NNGPKernel({self.spec!r})"


class KernelRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Regression with a given kernel and independent noise on the targets.

    Parameters
    ----------
    kernel : callable, optional
        ``kernel(X, Y=None)`` returns the kernel between rows of ``X`` and ``Y``, of ``X`` with
        itself without ``Y``: an `NNGPKernel`, a kernel of scikit-learn's, or a function. Default
        the `NNGPKernel` of `DEFAULT_SPEC`.
    stopping : None
        When training ends. ``None`` is its end: the minimum of the squared error plus the ridge.
    noise : float
        Variance of the noise on the targets, the ridge; above 0, in units of the kernel.

    Attributes
    ----------
    kernel_ : callable
        The kernel that was used, a copy where scikit-learn can copy it.
    X_fit_ : ndarray, shape (N, d)
        Training inputs.
    dual_coef_ : ndarray, shape (N,) or (N, outputs)
        Weight of every training input in a prediction.
    n_features_in_ : int
        Number of features ``d``.

    Notes
    -----
    Targets are not centred: the prior mean is 0. All numbers are float64.
    """

    def __init__(self, kernel: Any = None, stopping: None = None, noise: float = 1e-3) -> None:
        self.kernel = kernel
        self.stopping = stopping
        self.noise = noise

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Solve for the weights of the training inputs.

        Parameters
        ----------
        X : array_like, shape (N, d)
        y : array_like, shape (N,) or (N, outputs)

        Raises
        ------
        TypeError
            If ``kernel`` is not callable or ``noise`` not a number.
        ValueError
            If a parameter is out of range, the kernel returns something else than a kernel, or
            the kernel plus the noise is not positive definite.
        """
        if self.stopping is not None:
            raise ValueError(
                f"stopping must be None, the end of training, got {self.stopping!r}; regularise "
                "with noise."
            )
        noise = real_number(self.noise, "noise", minimum=0.0, strict=True)
        rows, targets = validate_data(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True
        )
        targets = np.asarray(targets, dtype=np.float64)
        self.kernel_ = _copy(self.kernel)
        self.X_fit_ = rows
        factor = _cholesky(_gram(self.kernel_, rows, None, (len(rows), len(rows))), noise)
        self.dual_coef_ = _solve(factor, targets)
        self._log_evidence = _log_evidence(factor, targets, self.dual_coef_)
        return self

    def predict(self, X: ArrayLike) -> Array:
        """Posterior mean at the rows of ``X``, shape (M,) or (M, outputs).

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If ``X`` does not have the features of the training inputs.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        kernel = _gram(self.kernel_, rows, self.X_fit_, (len(rows), len(self.X_fit_)))
        return np.asarray(kernel @ self.dual_coef_)

    def log_marginal_likelihood(self) -> float:
        """Natural log of the density of the training targets, summed over the outputs.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        return self._log_evidence


def _copy(kernel: Any) -> Any:
    """The kernel to use, checked; copied where it has parameters that may change later."""
    if kernel is None:
        return NNGPKernel(DEFAULT_SPEC)
    if not callable(kernel):
        raise TypeError(
            f"kernel must be callable as kernel(X, Y=None), got {kernel!r}; pass e.g. "
            "NNGPKernel(spec)."
        )
    return clone(kernel) if hasattr(kernel, "get_params") else kernel


def _gram(kernel: Any, x: Array, y: Array | None, shape: tuple[int, int]) -> Array:
    """``kernel(x, y)``, checked to be a finite matrix of this shape."""
    values = np.asarray(kernel(x) if y is None else kernel(x, y), dtype=np.float64)
    if values.shape != shape:
        raise ValueError(
            f"kernel must return an array of shape {shape} for these inputs, got {values.shape}; "
            "its rows belong to X and its columns to Y."
        )
    if not np.all(np.isfinite(values)):
        raise ValueError("kernel must return finite values, got NaN or infinity; scale the data.")
    return values


def _cholesky(gram: Array, noise: float) -> Array:
    """Lower factor of ``gram + noise``."""
    from scipy.linalg import LinAlgError, cholesky

    ridged = gram.copy()
    ridged.flat[:: len(gram) + 1] += noise
    try:
        return np.asarray(cholesky(ridged, lower=True, check_finite=False))
    except LinAlgError as error:
        raise ValueError(
            f"noise={noise:g} must make the kernel positive definite, and does not: its largest "
            f"entry is {np.abs(gram).max():.3g}; raise noise, or check that the kernel is one."
        ) from error


def _solve(factor: Array, targets: Array) -> Array:
    from scipy.linalg import cho_solve

    return np.asarray(cho_solve((factor, True), targets, check_finite=False))


def _log_evidence(factor: Array, targets: Array, dual: Array) -> float:
    outputs = targets.size // len(targets)
    log_determinant = 2 * float(np.sum(np.log(np.diagonal(factor))))
    constant = len(targets) * math.log(2 * math.pi)
    return -(float(np.sum(targets * dual)) + outputs * (log_determinant + constant)) / 2
