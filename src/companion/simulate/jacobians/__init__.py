"""What derivatives and branches say about one network: complexity, coherence.

``squared_jacobian``, ``geometric_complexity`` and ``estimated_complexity`` take any torch function
of a batch; ``coherence`` and ``cosines`` take the contributions of the blocks.
"""

from companion.simulate.jacobians.alignment import (
    branches,
    coherence,
    cosines,
    module_branches,
    pooled_coherence,
)
from companion.simulate.jacobians.complexity import (
    estimated_complexity,
    geometric_complexity,
    network,
    squared_jacobian,
)

__all__ = [
    "branches",
    "coherence",
    "cosines",
    "estimated_complexity",
    "geometric_complexity",
    "module_branches",
    "network",
    "pooled_coherence",
    "squared_jacobian",
]
