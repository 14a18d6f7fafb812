"""Figures of the chapter on the residual expansion.

Data come from ``companion.papers.residual_expansion``.
"""

from companion.plots.residual_expansion.diagrams import ensemble
from companion.plots.residual_expansion.explorers import lengths_explorer, truncation_explorer
from companion.plots.residual_expansion.learned import (
    branch_rates,
    complexity,
    complexity_ratio,
    trained_orders,
    training_accuracy,
)
from companion.plots.residual_expansion.orders import (
    counting,
    jacobian,
    path_energies,
    prenorm,
    smooth_orders,
)
from companion.plots.residual_expansion.truncation import (
    coefficients,
    crossover,
    kinks,
    remainder,
    truncation,
)

__all__ = [
    "branch_rates",
    "coefficients",
    "complexity",
    "complexity_ratio",
    "counting",
    "crossover",
    "ensemble",
    "jacobian",
    "kinks",
    "lengths_explorer",
    "path_energies",
    "prenorm",
    "remainder",
    "smooth_orders",
    "trained_orders",
    "training_accuracy",
    "truncation",
    "truncation_explorer",
]
