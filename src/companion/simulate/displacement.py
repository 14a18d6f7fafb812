r"""What blocks add to a vector, kept apart from the vector, and rescaling without rounding.

Notation
--------
=======================  ======================  ================================
symbol                   name                    label in the book
=======================  ======================  ================================
:math:`h_l-a^lh_0`       ``Displacement.x``      ``eq-ld-observables``
=======================  ======================  ================================
"""

from __future__ import annotations

import math

import torch

from companion.simulate.observables import log_mean_square

__all__ = ["RESCALE_EVERY", "Displacement", "rescale_"]

#: Layers between two rescalings. A layer of a normalised network changes a norm by a bounded
#: factor, so eight of them stay far inside the range of float32.
RESCALE_EVERY = 8


class Displacement:
    """Sum of what the blocks added to some vectors, each term multiplied by the later skips.

    It is never a difference of streams, so small displacements keep all digits; ``x`` times
    ``exp(log_scale / 2)`` is the sum, and ``log_start`` the log of the vectors' size at the start.
    Branch scales must exceed 1e-16 in float32, where squares of smaller updates vanish.
    """

    def __init__(self, start: torch.Tensor, log_scale: torch.Tensor) -> None:
        self.x, self.log_scale = torch.zeros_like(start), log_scale.clone()
        self.log_start = log_mean_square(start, log_scale)
        self._added = 0

    def add(self, update: torch.Tensor, skip: float, log_scale: torch.Tensor) -> None:
        """Multiply by ``skip`` and add ``update``, which is stored with this log scale."""
        power = torch.round((log_scale - self.log_scale) / (2 * math.log(2)))
        self.x.mul_(skip).addcmul_(update, torch.exp2(power).to(update.dtype)[..., None])
        self._added += 1
        if self._added % RESCALE_EVERY == 0:
            self.log_scale += rescale_(self.x)

    def log_ratio(self) -> torch.Tensor:
        """Log of its squared norm over that of the vectors at the start; ``-inf`` if it is zero."""
        size = log_mean_square(self.x.to(torch.float64), self.log_scale)
        return torch.where(torch.isneginf(size), size, size - self.log_start)


def rescale_(h: torch.Tensor) -> torch.Tensor:
    """Divide every row by the power of two nearest its root mean square.

    A power of two is divided out without rounding, so rescaling changes no digit. Returns the
    logarithm of the square of the divisor, float64; dead rows stay zero.
    """
    square = h.square().mean(-1)
    exponent = torch.round(torch.log2(torch.where(square > 0, square, 1.0)) / 2)
    h.mul_(torch.exp2(-exponent)[..., None])
    return exponent.to(torch.float64) * (2 * math.log(2))
