"""Figures of the field-theory chapter; data come from ``companion.papers.field_theory``."""

from companion.plots.field_theory.explorer import explorer
from companion.plots.field_theory.learning import (
    practitioner,
    regression,
    training,
    training_loss,
)
from companion.plots.field_theory.networks import (
    accumulation,
    cross_layer,
    fluctuations,
    kernels,
    output_response,
    responses,
)
from companion.plots.field_theory.scales import (
    approximations,
    criterion,
    elasticity,
    final_kernel,
    kinds,
    optimum,
    pairs,
    variance,
)

__all__ = [
    "accumulation",
    "approximations",
    "criterion",
    "cross_layer",
    "elasticity",
    "explorer",
    "final_kernel",
    "fluctuations",
    "kernels",
    "kinds",
    "optimum",
    "output_response",
    "pairs",
    "practitioner",
    "regression",
    "responses",
    "training",
    "training_loss",
    "variance",
]
