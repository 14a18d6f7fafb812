r"""Columns that walk up and down networks with explicit weights, one product per matrix and layer.

A column is one vector of one network; columns of the same network share its matrices and differ
in branch scale or input (``alg-ld-columns`` in the book).

Notation
--------
==============================  =======================  =====================================
symbol                          name                     label in the book
==============================  =======================  =====================================
:math:`h_l,\ p_l`               ``Walk.x``               ``eq-ld-model``
:math:`V_l,\ W_l`               ``outer``, ``inner``     ``eq-ld-model``
:math:`D_l`                     ``tape``                 ``alg-ld-columns``
:math:`h_l-h_0`                 ``Walk.moved``           ``eq-ld-observables``
==============================  =======================  =====================================

Matrices have unit variance here; the standard deviations of the weights are in the factors.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from companion.activations import ReLU
from companion.architecture import ResNetSpec
from companion.simulate.displacement import rescale_
from companion.simulate.ingredients import branch_functions

__all__ = ["Branch", "Layer", "Walk", "drift"]


class Layer(NamedTuple):
    """Matrices of one block, shape (b, n, n): ``outer`` acts last; a single block has no inner."""

    outer: torch.Tensor
    inner: torch.Tensor | None = None


class Branch:
    """The branch of a block and the transpose of its derivative, without scale and deviations.

    Attributes
    ----------
    up, down : float
        What the branch and the transposed derivative are still to be multiplied by.
    """

    def __init__(self, spec: ResNetSpec) -> None:
        self._phi, self._slope = branch_functions(spec.activation)
        self._relu = isinstance(spec.activation, ReLU)
        outer = (spec.outer_variance / spec.width) ** 0.5
        inner = (spec.weight_variance / spec.width) ** 0.5
        if spec.block == "single":
            outer, inner = inner, 1.0
        # A 1-homogeneous activation lets a factor of its argument pass.
        self._inside = 1.0 if spec.homogeneous else inner
        self.up, self.down = outer * inner / self._inside, outer * inner
        self.homogeneous = spec.homogeneous

    @property
    def steepest(self) -> float:
        """Largest slope of the activation; those known here have it at 0 or beside it."""
        return float(self._slope(torch.tensor([-1.0, 0.0, 1.0])).abs().max())

    def apply(self, layer: Layer, h: torch.Tensor, keep: torch.Tensor | None) -> torch.Tensor:
        """Branch of the columns ``h``; ``keep`` receives what `pull` will need."""
        u = h
        if layer.inner is not None:
            u = torch.bmm(layer.inner, h)
            if self._inside != 1.0:
                u.mul_(self._inside)
        if self._relu:  # its features tell where it was active
            return torch.bmm(layer.outer, torch.clamp_min(u, 0.0, out=keep))
        if keep is not None:
            keep.copy_(self._slope(u))
        return torch.bmm(layer.outer, self._phi(u))

    def pull(self, layer: Layer, p: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Transposed derivative of the branch, applied to the columns ``p``."""
        q = torch.bmm(layer.outer.mT, p)
        q = torch.ops.aten.threshold_backward(q, kept, 0.0) if self._relu else q.mul_(kept)
        return q if layer.inner is None else torch.bmm(layer.inner.mT, q)


class Walk:
    """Columns with the sum of what was added to them, both divided by powers of two.

    Parameters
    ----------
    x
        Columns at the start, shape (b, n, C); kept, and copied.
    factor
        What multiplies the additions, float64, shape (C,).
    """

    def __init__(self, x: torch.Tensor, factor: torch.Tensor) -> None:
        self.start, self.x, self.moved = x, x.clone(), torch.zeros_like(x)
        self.log_start = _log_square(x)
        self.log_x = torch.zeros_like(self.log_start)
        self.log_moved = torch.zeros_like(self.log_start)
        self._log_factor = 2 * torch.log(factor)
        self._factor = factor.to(x.dtype)
        self._ratio = torch.ones_like(x[:, :1])

    def add(self, y: torch.Tensor, profile: float) -> None:
        """Add ``profile * factor * y``, with ``y`` in the scale of ``x``."""
        self.x.addcmul_(y, self._factor, value=profile)
        # The sum is kept without its factor, which may be too small for the number type.
        self.moved.addcmul_(y, self._ratio, value=profile)

    def rescale(self) -> None:
        """Bring columns and sums back to a size near 1."""
        self.log_x += rescale_(self.x.mT)
        self.log_moved += rescale_(self.moved.mT)
        power = torch.round((self.log_x - self.log_moved) / (2 * math.log(2)))
        self._ratio = torch.exp2(power).to(self.x.dtype)[:, None, :]

    def log_size(self) -> torch.Tensor:
        """Log squared norms of the columns, shape (b, C), float64."""
        return _log_square(self.x) + self.log_x

    def ratios(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Log squared norms of the columns and of what was added, over those of the start."""
        moved = _log_square(self.moved) + self.log_moved + self._log_factor
        return self.log_size() - self.log_start, moved - self.log_start


def drift(up: Walk, down: Walk) -> torch.Tensor:
    """Change of the product of stream and gradient between top and bottom, shape (b, C).

    In units of the larger product of their norms (``prop-ld-conservation``).
    """
    norms = up.log_start + down.log_size(), up.log_size() + down.log_start
    unit = torch.maximum(*norms)
    unit = unit.where(torch.isfinite(unit), 0.0)  # both are zero, and so is the drift
    bottom = _dot(up.start, down.x) * torch.exp((down.log_x - unit) / 2)
    return bottom - _dot(up.x, down.start) * torch.exp((up.log_x - unit) / 2)


def _log_square(x: torch.Tensor) -> torch.Tensor:
    return torch.log(x.to(torch.float64).square().sum(-2))


def _dot(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x.to(torch.float64) * y.to(torch.float64)).sum(-2)
