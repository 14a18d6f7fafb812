r"""The residual tangent kernel as a kernel of scikit-learn's.

Notation
--------
=========================================  ====================  =======================
symbol                                     name                  label in the book
=========================================  ====================  =======================
:math:`\|x\|\|x'\|\,\bar r^{(L)}(\theta)`  `TangentKernel`       ``eq-tk-recursion``
:math:`\|x\|\|x'\|\,r_T(\theta)`           `TangentLimitKernel`  ``eq-tk-flow-solution``
:math:`L,\ s`                              ``depth``, ``scale``  ``eq-tk-model``
:math:`T`                                  ``effective_depth``   ``eq-effective-depth``
=========================================  ====================  =======================

Both are normalised: an input with itself gives its squared length. An amplitude is a
``ConstantKernel`` in front. They serve `companion.regression.KernelRegressor` and scikit-learn's
Gaussian processes alike. The work goes through `companion.kernels.table`, so it does not grow with
depth once the table of a network is there.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._optional import require
from companion.architecture import ResNetSpec
from companion.kernels.table import TangentTable, flow_table, tangent_table

require("sklearn", extra="learn", purpose="use kernels in scikit-learn")

from sklearn.gaussian_process.kernels import Hyperparameter, Kernel  # noqa: E402

__all__ = ["TangentKernel", "TangentLimitKernel"]

Array = NDArray[np.float64]
Bounds = tuple[float, float] | str

#: Step in the logarithm of a hyperparameter for its derivative, and the weights of the steps
#: -2, -1, 1, 2: the error is of fourth order, 1e-9 of the kernel and less.
_STEP = 0.01
_WEIGHTS = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}


class _TableKernel(Kernel):
    """A kernel of one hyperparameter, evaluated from tables."""

    @abstractmethod
    def _table(self, factor: float) -> TangentTable:
        """Table with the hyperparameter multiplied by ``factor``."""

    def __call__(
        self, X: ArrayLike, Y: ArrayLike | None = None, eval_gradient: bool = False
    ) -> Array | tuple[Array, Array]:
        """Kernel between the rows of ``X`` and ``Y``, of ``X`` with itself without ``Y``.

        Parameters
        ----------
        X, Y : array_like, shapes (N, d) and (M, d)
        eval_gradient : bool
            Also return the derivative by the logarithm of the hyperparameter, by differences of
            fourth order; only without ``Y``.

        Returns
        -------
        ndarray, shape (N, M), and with ``eval_gradient`` another one of shape (N, N, 1), or
        (N, N, 0) if the hyperparameter is fixed.

        Raises
        ------
        ValueError
            If the data are not finite or shapes do not fit, a parameter is out of range, or a
            gradient is asked for between two sets.
        """
        values = self._table(1.0).gram(X, Y)
        if not eval_gradient:
            return values
        if Y is not None:
            raise ValueError(
                "eval_gradient=True needs Y=None, got a second set of inputs; ask for the kernel "
                "of X with itself."
            )
        if self.hyperparameters[0].fixed:
            return values, np.empty((*values.shape, 0))
        slope = np.zeros_like(values)
        for step, weight in _WEIGHTS.items():
            slope += (weight / _STEP) * self._table(float(np.exp(step * _STEP))).gram(X)
        np.fill_diagonal(slope, 0.0)  # squared lengths, whatever the parameter
        return values, slope[:, :, None]

    def diag(self, X: ArrayLike) -> Array:
        """Kernel of each row with itself: its squared length, shape ``(N,)``."""
        rows = np.asarray(X, dtype=np.float64)
        return np.asarray(np.einsum("ij,ij->i", rows, rows))

    def is_stationary(self) -> bool:
        """Whether the kernel depends on differences of inputs alone: no."""
        return False


class TangentKernel(_TableKernel):
    """Normalised tangent kernel of a residual network of finite depth (``eq-tk-recursion``).

    Parameters
    ----------
    depth : int
        Number of blocks ``L``.
    scale : float
        Branch scale ``s``, above 0; the hyperparameter that a Gaussian process fits.
    scale_bounds : pair of float or "fixed"
        Range of the fit, or none.
    """

    def __init__(
        self, depth: int = 10, scale: float = 1.0, scale_bounds: Bounds = (1e-3, 10.0)
    ) -> None:
        self.depth = depth
        self.scale = scale
        self.scale_bounds = scale_bounds

    @property
    def hyperparameter_scale(self) -> Any:
        """The scale, as scikit-learn describes it."""
        return Hyperparameter("scale", "numeric", self.scale_bounds)

    @property
    def effective_depth(self) -> float:
        """``T`` of the network."""
        return self._spec(1.0).effective_depth()

    def _spec(self, factor: float) -> ResNetSpec:
        return ResNetSpec.tangent_kernel(self.depth, 1, alpha=self.scale * factor)

    def _table(self, factor: float) -> TangentTable:
        return tangent_table(self._spec(factor))

    def __repr__(self) -> str:
        return f"TangentKernel(depth={self.depth}, scale={self.scale:.4g})"


class TangentLimitKernel(_TableKernel):
    """Normalised tangent kernel at infinite depth (``eq-tk-flow-solution``).

    Parameters
    ----------
    effective_depth : float
        ``T``, above 0; the hyperparameter that a Gaussian process fits.
    effective_depth_bounds : pair of float or "fixed"
        Range of the fit, or none.
    """

    def __init__(
        self, effective_depth: float = 1.0, effective_depth_bounds: Bounds = (1e-3, 1e4)
    ) -> None:
        self.effective_depth = effective_depth
        self.effective_depth_bounds = effective_depth_bounds

    @property
    def hyperparameter_effective_depth(self) -> Any:
        """The effective depth, as scikit-learn describes it."""
        return Hyperparameter("effective_depth", "numeric", self.effective_depth_bounds)

    def _table(self, factor: float) -> TangentTable:
        return flow_table(self.effective_depth * factor)

    def __repr__(self) -> str:
        return f"TangentLimitKernel(effective_depth={self.effective_depth:.4g})"
