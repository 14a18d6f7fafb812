"""Residual networks expanded in their branch scale, order by order.

``taylor`` and ``paths`` expand networks with explicit weights to any order, ``expand`` any torch
modules to low orders, ``contour`` checks both; ``first_kink`` says where an expansion of a ReLU
network ends, ``sample_orders`` and ``sample_kinks`` do this for random networks.
"""

from companion.simulate.jets.contour import complex_forward, contour
from companion.simulate.jets.draws import Drawn, draw
from companion.simulate.jets.kinks import first_kink
from companion.simulate.jets.modules import Expansion, expand
from companion.simulate.jets.sampling import Orders, sample_kinks, sample_orders
from companion.simulate.jets.series import GELU, SiLU
from companion.simulate.jets.tower import Tower
from companion.simulate.jets.transport import Jet, paths, taylor
from companion.simulate.jets.unexpanded import (
    apparent_radius,
    forward,
    push_forward,
    truncation_errors,
)

__all__ = [
    "GELU",
    "Drawn",
    "Expansion",
    "Jet",
    "Orders",
    "SiLU",
    "Tower",
    "apparent_radius",
    "complex_forward",
    "contour",
    "draw",
    "expand",
    "first_kink",
    "forward",
    "paths",
    "push_forward",
    "sample_kinks",
    "sample_orders",
    "taylor",
    "truncation_errors",
]
