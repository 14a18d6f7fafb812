"""Defects planted for the field-theory claims and tests; see `companion.papers.defects`."""

from __future__ import annotations

from typing import Any

import numpy as np

from companion import regression, response
from companion.activations import Erf
from companion.kernels import Branch
from companion.papers.defects import Patch
from companion.papers.field_theory import learning
from companion.response import finite_width, optimum, settings

__all__ = [
    "bent_readout",
    "biases_forgotten",
    "deaf_kernel",
    "deaf_training",
    "diagonal_jacobian",
    "independent_noise",
    "leading_order_alone",
    "no_bias_in_blocks",
    "no_cross_term",
    "no_curvature_term",
    "strict_criterion",
    "uniform_at_optimum",
    "uniform_operating_point",
]


def no_bias_in_blocks(patch: Patch) -> None:
    """Leave the bias out of the recursion of the kernel."""
    true = Branch.moment

    def wrong(self: Any, variance: Any, unit: float = 1.0) -> Any:
        return true(self, variance, unit) - self.bias / unit

    patch.setattr(Branch, "moment", wrong)


def no_curvature_term(patch: Patch) -> None:
    """Take the squared derivative for the derivative of the second moment."""
    patch.setattr(Branch, "slope", Branch.squared_slope)
    patch.setattr(Erf, "second_moment_derivative", Erf.mean_squared_derivative)


def no_cross_term(patch: Patch) -> None:
    """Let the kernel of a pair not depend on its variances."""
    patch.setattr(Branch, "variance_slope", lambda self, p1, p2, q: np.zeros(np.shape(q)))


def strict_criterion(patch: Patch) -> None:
    """Ask the criterion for three times the input variance."""
    true = response.has_optimum
    patch.setattr(
        response, "has_optimum", lambda s: true(s.replace(input_variance=3 * s.input_variance))
    )


def bent_readout(patch: Patch) -> None:
    """Overrate the second derivative of the second moment by a fifth."""
    true = settings.curvature
    patch.setattr(settings, "curvature", lambda *args: 1.2 * true(*args))


def leading_order_alone(patch: Patch) -> None:
    """Leave the depth correction out."""
    patch.setattr(response, "depth_correction", lambda sets: np.zeros(sets.shape))


def uniform_operating_point(patch: Patch) -> None:
    """Take the kernel of the uniform output for the one of the largest response."""
    patch.setattr(response, "operating_kernel", lambda beta: np.full(np.shape(beta), 2 / np.pi)[()])


def biases_forgotten(patch: Patch) -> None:
    """Leave the biases out of the elasticity."""
    true = response.elasticity
    patch.setattr(response, "elasticity", lambda s: true(s.replace(bias_variance=0.0)))


def independent_noise(patch: Patch) -> None:
    """Treat the noise of different layers as independent."""
    true = finite_width._noise
    patch.setattr(finite_width, "_noise", lambda *args: np.diag(np.diagonal(true(*args))))


def uniform_at_optimum(patch: Patch) -> None:
    """Call the output uniform where the response is largest."""
    patch.setattr(response, "entropy_scale", optimum.optimal_scale)


def diagonal_jacobian(patch: Patch) -> None:
    """Take the response of the kernel for the squared Jacobian."""
    patch.setattr(response, "jacobian_response", response.diagonal_response)


def deaf_kernel(patch: Patch) -> None:
    """Evaluate the kernel of the regression at one branch scale, whatever was asked for."""
    true = regression.nngp
    patch.setattr(regression, "nngp", lambda spec, *args: true(spec.replace(scale=0.3), *args))


def deaf_training(patch: Patch) -> None:
    """Train every network at one branch scale, whatever was asked for."""
    true = learning.train

    def wrong(specs: Any, *args: Any, **kwargs: Any) -> Any:
        return true([spec.replace(scale=0.3) for spec in specs], *args, **kwargs)

    patch.setattr(learning, "train", wrong)
