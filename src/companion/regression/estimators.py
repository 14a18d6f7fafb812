"""Regression and classification with a kernel: ridge, or gradient flow stopped early.

Notation, with the labels of the book, is at the top of :mod:`companion.regression`.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin, clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from companion._validation import flag, positive_integer, real_number
from companion.regression import flow, grams
from companion.regression.stopping import Task, stopping_time

__all__ = ["KernelClassifier", "KernelRegressor"]

Array = NDArray[np.float64]


class _KernelModel(BaseEstimator):
    """What both estimators share; targets are two-dimensional here."""

    def __init__(
        self,
        kernel: Any = None,
        stopping: Any = None,
        noise: float = 1e-3,
        landmarks: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.kernel = kernel
        self.stopping = stopping
        self.noise = noise
        self.landmarks = landmarks
        self.random_state = random_state

    def _fit(self, rows: Array, targets: Array) -> Array:
        """Weights of the centres, shape (centres, outputs)."""
        flows = self.stopping is not None or self.landmarks is not None
        noise = real_number(self.noise, "noise", minimum=0.0, strict=not flows)
        self.kernel_ = _copy(self.kernel)
        self._flow: flow.KernelFlow | None = None
        self._log_evidence: float | None = None
        self.stopping_time_ = math.inf
        if not flows:
            return self._ridge(rows, targets, noise)

        def fit(some: Array, their: Array) -> flow.KernelFlow:
            if self.landmarks is None:
                return flow.exact(self.kernel_, some, their, noise)
            return flow.reduced(self.kernel_, some, their, noise, self._landmarks(some))

        self._flow = fit(rows, targets)
        if self.stopping is not None:
            task = Task(rows, targets, self._flow.flow, fit)
            self.stopping_time_ = stopping_time(self.stopping, task)
        self.X_fit_ = self._flow.centres
        return self._flow.flow.dual(self.stopping_time_)

    def _ridge(self, rows: Array, targets: Array, noise: float) -> Array:
        self.X_fit_ = rows
        values = grams.gram(self.kernel_, rows, None, (len(rows), len(rows)))
        factor = grams.ridge_factor(values, noise)
        dual = grams.ridge_solve(factor, targets)
        self._log_evidence = grams.ridge_log_evidence(factor, targets, dual)
        return dual

    def _landmarks(self, rows: Array) -> Array:
        """Rows drawn without replacement; all of them if there are not enough."""
        count = min(positive_integer(self.landmarks, "landmarks"), len(rows))
        order = np.random.default_rng(self.random_state).permutation(len(rows))
        return rows[np.sort(order[:count])]

    def _predict(self, X: ArrayLike) -> Array:
        """Kernel values of ``X`` times the weights, in blocks of rows."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        count = len(self.X_fit_)
        parts = [
            grams.gram(self.kernel_, rows[at], self.X_fit_, (len(rows[at]), count))
            @ self.dual_coef_
            for at in grams.blocks(len(rows), count)
        ]
        return np.concatenate(parts)

    def _path(self, X: ArrayLike, times: ArrayLike) -> Array:
        """Predictions for every time, shape (T, M, outputs)."""
        fitted = self._fitted_flow("path")
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        return fitted.path(rows, times)

    def training_error(self, times: ArrayLike) -> Array:
        """Mean squared residual of the training targets at every time, shape ``(T,)``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If the model was fitted without a flow, or a time is negative.
        """
        return self._fitted_flow("training_error").flow.training_error(times)

    def effective_dimension(self, times: ArrayLike) -> Array:
        """Trace of the map from targets to fitted values, shape ``(T,)`` (``eq-tk-dimension``).

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError
            As `training_error`.
        """
        return self._fitted_flow("effective_dimension").flow.effective_dimension(times)

    def _fitted_flow(self, method: str) -> flow.KernelFlow:
        check_is_fitted(self)
        if self._flow is None:
            raise ValueError(
                f"{method}() needs the flow, which stopping=None does not compute; fit with a "
                "stopping time or rule, e.g. stopping=math.inf."
            )
        return self._flow


class KernelRegressor(MultiOutputMixin, RegressorMixin, _KernelModel):
    """Regression with a given kernel: ridge, or gradient flow from 0 that may stop early.

    Parameters
    ----------
    kernel : callable, optional
        ``kernel(X, Y=None)`` returns the kernel between rows of ``X`` and ``Y``, of ``X`` with
        itself without ``Y``: an `NNGPKernel`, a kernel of scikit-learn's, or a function. Default
        the `NNGPKernel` of `DEFAULT_SPEC`.
    stopping : None, float or rule
        When the gradient flow ends (``eq-tk-gradient-flow``), in units in which a mode of
        eigenvalue ``lambda_i`` of the Gram matrix is learned at the rate
        ``(lambda_i + noise)/N``. A number of at least 0, ``math.inf``, `HoldOut` or
        `Discrepancy`. ``None`` is the end, computed without an eigendecomposition.
    noise : float
        Variance of the noise on the targets, the ridge, in units of the kernel; above 0, or at
        least 0 with a flow. Early stopping regularises without it: the flow of a network is that
        with ``noise=0``.
    landmarks : int, optional
        Project the kernel on this many training inputs (``eq-tk-nystroem``), for data sets whose
        Gram matrix does not fit in memory. Default: exact. Measured on 4000 samples of a function
        of variance 1 on the sphere, at the best time: predictions differ by .017, .006 and .0008
        (root mean square) with 100, 300 and 1000 landmarks.
    random_state : int
        Seed that chooses the landmarks.

    Attributes
    ----------
    kernel_ : callable
        The kernel that was used, a copy where scikit-learn can copy it.
    X_fit_ : ndarray, shape (centres, d)
        Training inputs, or the landmarks.
    dual_coef_ : ndarray, shape (centres,) or (centres, outputs)
        Weight of each of them in a prediction.
    stopping_time_ : float
        Time at which the flow was stopped.
    n_features_in_ : int
        Number of features ``d``.

    Notes
    -----
    Targets are not centred: the prior mean is 0. All numbers are float64.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Solve for the weights of the training inputs.

        Parameters
        ----------
        X : array_like, shape (N, d)
        y : array_like, shape (N,) or (N, outputs)

        Raises
        ------
        TypeError
            If ``kernel`` is not callable, ``noise`` not a number or ``stopping`` not one of the
            above.
        ValueError
            If a parameter is out of range, the kernel returns something else than a kernel, or
            the kernel plus the noise is not positive definite.
        """
        rows, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        targets = np.asarray(y, dtype=np.float64)
        self._outputs = targets.shape[1:]
        dual = self._fit(rows, targets.reshape(len(targets), -1))
        self.dual_coef_ = dual.reshape(-1, *self._outputs)
        return self

    def predict(self, X: ArrayLike) -> Array:
        """Prediction at the rows of ``X``, shape (M,) or (M, outputs).

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If ``X`` does not have the features of the training inputs.
        """
        return self._predict(X)

    def path(self, X: ArrayLike, times: ArrayLike) -> Array:
        """Predictions as if the flow had been stopped at each of ``times``.

        Parameters
        ----------
        X : array_like, shape (M, d)
        times : array_like, shape (T,)
            At least 0; infinity allowed. Any number of them costs one product of matrices.

        Returns
        -------
        ndarray, shape (T, M) or (T, M, outputs)

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If the model was fitted with ``stopping=None``, a time is negative, or as `predict`.
        """
        found = self._path(X, times)
        return found.reshape(*found.shape[:2], *self._outputs)

    def log_marginal_likelihood(self) -> float:
        """Natural log of the density of the training targets, summed over the outputs.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If the model was fitted with a flow, which is not the mean of a Gaussian process.
        """
        check_is_fitted(self)
        if self._log_evidence is None:
            raise ValueError(
                "log_marginal_likelihood() belongs to the ridge, got a flow or landmarks; fit "
                "with stopping=None and landmarks=None."
            )
        return self._log_evidence


class KernelClassifier(ClassifierMixin, _KernelModel):
    """Classification by regression of the indicators of the classes.

    Parameters
    ----------
    kernel, stopping, noise, landmarks, random_state
        As in `KernelRegressor`.
    centred : bool
        Subtract from each indicator its mean over the training samples, so that a constant that
        the kernel does not learn cannot decide between the classes. Without it the indicators are
        0 and 1; taking one constant off all of them would not change a decision.

    Attributes
    ----------
    classes_ : ndarray, shape (classes,)
        Labels, sorted.
    kernel_, X_fit_, dual_coef_, stopping_time_, n_features_in_
        As in `KernelRegressor`.
    """

    def __init__(
        self,
        kernel: Any = None,
        stopping: Any = None,
        noise: float = 1e-3,
        landmarks: int | None = None,
        random_state: int = 0,
        centred: bool = True,
    ) -> None:
        super().__init__(kernel, stopping, noise, landmarks, random_state)
        self.centred = centred

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Solve for the weights of the training inputs.

        Parameters
        ----------
        X : array_like, shape (N, d)
        y : array_like, shape (N,)
            Labels of at least two classes.

        Raises
        ------
        TypeError, ValueError
            As `KernelRegressor.fit`, or for a single class.
        """
        centred = flag(self.centred, "centred")
        rows, labels = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("y must hold at least 2 classes, got 1 class; nothing to decide.")
        targets = np.eye(len(self.classes_))[codes]
        self.dual_coef_ = self._fit(rows, targets - targets.mean(0) if centred else targets)
        return self

    def decision_function(self, X: ArrayLike) -> Array:
        """Regressed indicators, shape (M, classes); for two classes their difference, shape (M,).

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError
            As `KernelRegressor.predict`.
        """
        scores = self._predict(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Class of the largest regressed indicator, shape (M,); errors as `decision_function`."""
        best = np.argmax(self._predict(X), axis=1)
        return np.asarray(self.classes_[best])

    def path(self, X: ArrayLike, times: ArrayLike) -> Array:
        """Regressed indicators for every stopping time, shape (T, M, classes).

        Parameters and errors as `KernelRegressor.path`; the decision is the ``argmax`` of the last
        axis.
        """
        return self._path(X, times)


def _copy(kernel: Any) -> Any:
    """The kernel to use, checked; copied where it has parameters that may change later."""
    if kernel is None:
        from companion.regression import DEFAULT_SPEC, NNGPKernel

        return NNGPKernel(DEFAULT_SPEC)
    if not callable(kernel):
        raise TypeError(
            f"kernel must be callable as kernel(X, Y=None), got {kernel!r}; pass e.g. "
            "NNGPKernel(spec)."
        )
    return clone(kernel) if hasattr(kernel, "get_params") else kernel
