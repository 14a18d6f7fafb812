"""Small tools of the O(1) chain: a fast exact binomial draw, and products kept as logs.

Notation: none of the book's; the alias method draws from a finite law in constant time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["Product", "binomial_table"]

Array = NDArray[np.float64]

_LOG_EVERY = 8  # factors that are multiplied before one logarithm is taken
_NO_CHANCE = 1e-20


class Product:
    """Running product of positive arrays, kept as a log plus a few factors."""

    def __init__(self, size: int) -> None:
        self.logs, self.factors, self.count = np.zeros(size), np.ones(size), 0

    def multiply(self, factor: Array) -> None:
        """Multiply by ``factor``."""
        self.factors *= factor
        self.count += 1
        if self.count == _LOG_EVERY:
            self._flush()

    def log(self) -> Array:
        """Log of the product so far."""
        self._flush()
        return self.logs

    def _flush(self) -> None:
        self.logs += np.log(self.factors)
        self.factors.fill(1.0)
        self.count = 0


def binomial_table(width: int) -> tuple[int, Array, NDArray[np.int64]]:
    """Alias table of Bin(width, 1/2): first value, threshold and alias of every slot."""
    from scipy.stats import binom

    # Beyond twelve standard deviations a value has no chance in the sense of _NO_CHANCE.
    reach = math.ceil(6 * math.sqrt(width)) + 1
    values = np.arange(max(0, width // 2 - reach), min(width, width // 2 + reach) + 1)
    chance = binom.pmf(values, width, 0.5)
    visible = np.flatnonzero(chance > _NO_CHANCE * chance.max())
    first = int(values[visible[0]])
    left = chance[visible] / chance[visible].sum() * visible.size
    threshold, alias = np.ones(visible.size), np.arange(visible.size)
    poor = [i for i, share in enumerate(left) if share < 1]
    rich = [i for i, share in enumerate(left) if share >= 1]
    while poor and rich:
        low, high = poor.pop(), rich[-1]
        threshold[low], alias[low] = left[low], high
        left[high] -= 1 - left[low]
        if left[high] < 1:
            poor.append(rich.pop())
    return first, threshold, alias
