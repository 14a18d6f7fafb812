"""Defects planted for the tangent-kernel claims and tests; see `companion.papers.defects`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.architecture import ResNetSpec
from companion.kernels import flow as depth_flow
from companion.kernels import spectrum, tangent, tangent_limits
from companion.papers.defects import Patch
from companion.papers.tangent_kernel import images, regressions
from companion.regression import flow as gradient_flow
from companion.simulate import tangent as simulated

__all__ = [
    "constant_scale",
    "inner_forgotten",
    "inner_matrices_frozen",
    "kernel_of_unit_depth",
    "linear_antipode",
    "never_stopping",
    "no_antipode",
    "no_logarithm",
    "offset_without_constant",
    "resolved_ridge",
    "scale_for_share",
    "tame_networks",
]


def inner_matrices_frozen(patch: Patch) -> None:
    """Leave the inner matrices out of the kernels of simulated networks."""
    patch.setattr(
        simulated.FiniteNetwork,
        "_inner_part",
        lambda self, tape, signals: signals.stream.new_zeros(()),
    )


def inner_forgotten(patch: Patch) -> None:
    """Count the outer matrices twice in the flow, and the inner ones not at all."""
    true = depth_flow.arc_cosine_angle
    patch.setattr(depth_flow, "block_term", lambda angles: 2 * true(angles, 1))


def no_logarithm(patch: Patch) -> None:
    """Take the approach at constant scale for one by the inverse depth alone."""
    patch.setattr(tangent_limits, "LOG_COEFFICIENT", 0.0)


def offset_without_constant(patch: Patch) -> None:
    """Drop the constant of the offset at large effective depth."""
    true = tangent_limits.degeneration_offset
    patch.setattr(tangent_limits, "degeneration_offset", lambda theta: true(theta) + 0.5)


def linear_antipode(patch: Patch) -> None:
    """Let the gap at the antipode be proportional to the effective depth."""
    coefficient = tangent_limits.ANTIPODE_COEFFICIENT
    patch.setattr(tangent_limits, "antipode_gap", lambda depth: coefficient * np.asarray(depth))


def no_antipode(patch: Patch) -> None:
    """Leave the kink at the antipode out of the decay of the eigenvalues."""
    true = spectrum.kink_eigenvalues
    patch.setattr(
        spectrum, "kink_eigenvalues", lambda k, d, first, second: true(k, d, first, 0.0 * second)
    )


def never_stopping(patch: Patch) -> None:
    """Run the gradient flow to its end, whatever the stopping time."""
    true = gradient_flow.GradientFlow.filter

    def wrong(self: Any, times: Any) -> Any:
        return true(self, np.full(np.shape(times), np.inf))

    patch.setattr(gradient_flow.GradientFlow, "filter", wrong)


def kernel_of_unit_depth(patch: Patch) -> None:
    """Regress with the kernel of effective depth 1, whatever was asked for."""
    limit = regressions.flow_table
    patch.setattr(regressions, "flow_table", lambda depth: limit(1.0))
    _other_scale(patch, lambda depth: depth**-0.5)


def resolved_ridge(patch: Patch) -> None:
    """Take the constant part of the degenerate kernel for its unresolved part."""
    true = spectrum.interpolation_bias
    patch.setattr(
        spectrum,
        "interpolation_bias",
        lambda value, samples, ridge=0.25: true(value, samples, ridge),
    )


def tame_networks(patch: Patch) -> None:
    """Simulate networks whose branch scale falls with the depth, whatever was asked for."""
    true = simulated.sample

    def wrong(spec: ResNetSpec, *args: Any, **kwargs: Any) -> Any:
        return true(spec.replace(scale=0.1 * spec.depth**-0.5), *args, **kwargs)

    patch.setattr(simulated, "sample", wrong)


def constant_scale(patch: Patch) -> None:
    """Regress with the kernel of a constant branch scale, whatever was asked for."""
    _other_scale(patch, lambda depth: 1.0)


def _other_scale(patch: Patch, scale: Callable[[int], float]) -> None:
    for module in (regressions, images):
        true = module.tangent_table
        patch.setattr(
            module,
            "tangent_table",
            lambda spec, true=true: true(spec.replace(scale=scale(spec.depth))),
        )


def scale_for_share(patch: Patch) -> None:
    """Take the branch scale for the share of a block."""
    true = tangent.block_shares
    patch.setattr(tangent, "block_shares", lambda spec: np.sqrt(true(spec)))
