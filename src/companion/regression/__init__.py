r"""Regression with the kernel of an infinitely wide network, as scikit-learn estimators.

Notation
--------
=================================  ===========================  =======================
symbol                             name                         label in the book
=================================  ===========================  =======================
:math:`K=K^y(X,X)`                 ``kernel(X)``                ``eq-ft-output-kernel``
:math:`\sigma^2`                   ``noise``                    ``eq-ft-regression``
:math:`\alpha=(K+\sigma^2)^{-1}Y`  ``dual_coef_``               ``eq-ft-regression``
:math:`\ln p(Y)`                   ``log_marginal_likelihood``  ``eq-ft-evidence``
:math:`t`                          ``stopping``                 ``eq-tk-gradient-flow``
=================================  ===========================  =======================

The prediction is :math:`K^y(x,X)\,\alpha`: the posterior mean of a Gaussian process without a mean
function, and kernel ridge regression with the ridge :math:`\sigma^2`; with a stopping time, that of
gradient flow which has not come to its end. The flow itself is in :mod:`companion.regression.flow`,
the tangent kernel in :mod:`companion.regression.tangent`. Source: standard.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._optional import require
from companion.architecture import ResNetSpec
from companion.kernels import nngp

require("sklearn", extra="learn", purpose="fit kernel regressions")

from companion.regression.estimators import KernelClassifier, KernelRegressor  # noqa: E402
from companion.regression.stopping import Discrepancy, HoldOut, OracleStop, oracle  # noqa: E402

__all__ = [
    "DEFAULT_SPEC",
    "Discrepancy",
    "HoldOut",
    "KernelClassifier",
    "KernelRegressor",
    "NNGPKernel",
    "OracleStop",
    "oracle",
]

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
