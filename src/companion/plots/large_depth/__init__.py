"""Figures of the large-depth chapter; data come from ``companion.papers.large_depth``."""

from companion.plots.large_depth.curves import (
    contraction,
    displacement,
    euler_order,
    noise,
    path,
    quotients,
    roughness,
    shrinking,
    strong_order,
    typical_growth,
)
from companion.plots.large_depth.explorers import boundary_explorer, stages
from companion.plots.large_depth.maps import accuracy, generators, phase_map, single_boundary

__all__ = [
    "accuracy",
    "boundary_explorer",
    "contraction",
    "displacement",
    "euler_order",
    "generators",
    "noise",
    "path",
    "phase_map",
    "quotients",
    "roughness",
    "shrinking",
    "single_boundary",
    "stages",
    "strong_order",
    "typical_growth",
]
