r"""What the cells of the tangent-kernel experiments share: networks and seeds.

The branch scale of a cell is :math:`s=cL^{-\beta}` with ``constant`` :math:`c`, 1 where it is not
given (``eq-tk-model``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from companion.architecture import ResNetSpec

__all__ = ["Params", "Seed", "children", "network", "schedule"]

Params = Mapping[str, Any]
Seed = np.random.SeedSequence


def network(params: Params) -> ResNetSpec:
    """Network of a cell; of width 1 where the cell names none, for its kernel alone."""
    scale = params.get("constant", 1.0) * params["depth"] ** -float(params["beta"])
    return ResNetSpec.tangent_kernel(
        params["depth"], params.get("width", 1), alpha=scale, d=params.get("inputs", 3)
    )


def schedule(name: str, depth: int, effective_depth: float) -> ResNetSpec:
    """Network whose shares add up to an effective depth.

    ``name`` is ``constant``; ``rising``, shares that grow linearly with the layer; or ``first
    tenth``, where the other layers have no branch.
    """
    layer = np.arange(1, depth + 1)
    weights = {
        "constant": np.ones(depth),
        "rising": layer / depth,
        "first tenth": (layer <= max(1, depth // 10)).astype(float),
    }[name]
    shares = weights * effective_depth / weights.sum()
    scales = np.sqrt(shares / (1 - shares))
    return ResNetSpec.tangent_kernel(depth, 1, alpha=1.0).replace(scale=tuple(scales.tolist()))


def children(seed: Seed, count: int) -> list[Seed]:
    """Seeds by position; ``seed.spawn`` would count its calls and make the cell impure."""
    return [Seed(seed.entropy, spawn_key=(*seed.spawn_key, index)) for index in range(count)]
