r"""Gauss quadrature of what one two-layer ReLU block with normal weights does to the norm.

Notation
--------
====================  =====================  ===================
symbol                name                   book label
====================  =====================  ===================
:math:`R`             exponential of a node  ``eq-ld-one-layer``
:math:`y=\chi^2_m/n`  `_hidden_rule`         ``eq-ld-one-layer``
====================  =====================  ===================

:math:`R=1+2\alpha\sqrt{y/n}\,g+\alpha^2y(g^2+\chi^2_{n-1})/n` with
:math:`m\sim\mathrm{Bin}(n,\frac12)`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LayerRule", "layer_rule"]

Array = NDArray[np.float64]
Rule = tuple[Array, Array]

_FINE, _THIN = (32, 64, 24), (24, 48, 16)  # nodes for hidden layer, its direction, outer noise
_SMALL = 64  # widths up to here sum over all numbers of active units
_NO_WEIGHT = 1e-22


@dataclass(frozen=True, eq=False)
class LayerRule:
    r"""Nodes and weights for the law of :math:`\ln R`, with its mean and variance."""

    nodes: Array
    weights: Array

    @property
    def mean(self) -> float:
        r""":math:`E\ln R`."""
        return float(self.weights @ self.nodes)

    @property
    def variance(self) -> float:
        r""":math:`\mathrm{Var}\ln R`."""
        return float(self.weights @ (self.nodes - self.mean) ** 2)

    def characteristic(self, step: float, count: int) -> NDArray[np.complex128]:
        r""":math:`E\,e^{it(\ln R-E\ln R)}` at ``t = 0, step, ..., (count - 1) step``.

        Every frequency is a coarse plus a fine one, so that a matrix product replaces most of the
        exponentials.
        """
        fine = math.ceil(math.sqrt(count))
        coarse = math.ceil(count / fine)
        centred = self.nodes - self.mean
        slow = np.exp(1j * step * np.multiply.outer(np.arange(fine), centred))
        fast = np.exp(1j * step * fine * np.multiply.outer(np.arange(coarse), centred))
        table = (fast * self.weights) @ slow.T
        return np.asarray(table.ravel()[:count])


def layer_rule(strength: float, width: int, *, thin: bool = False) -> LayerRule:
    """Rule for one block with ``strength`` the square of its scale; ``thin`` has fewer nodes."""
    counts = _THIN if thin else _FINE
    y, y_weight = _hidden_rule(width, counts[0])
    g, g_weight = _golub_welsch(np.zeros(counts[1]), np.sqrt(np.arange(1.0, counts[1])))
    if width > 1:
        q, q_weight = _gamma_rule((width - 1) / 2, counts[2])
    else:
        q, q_weight = np.zeros(1), np.ones(1)
    weight = y_weight[:, None, None] * g_weight[:, None] * q_weight
    keep = weight > _NO_WEIGHT
    s = np.sqrt(strength * y / width)[:, None, None]
    excess = np.broadcast_to(2 * s * g[:, None] + s**2 * (g[:, None] ** 2 + 2 * q), weight.shape)
    nodes, weights = np.log1p(excess[keep]), weight[keep]
    if width <= _SMALL:  # all units may be inactive
        nodes, weights = np.append(nodes, 0.0), np.append(weights, 0.5**width)
    return LayerRule(nodes, weights / weights.sum())


def _hidden_rule(width: int, count: int) -> Rule:
    """Gauss rule for the sub-probability law of ``y`` with at least one active unit."""
    if width <= _SMALL:
        active = np.arange(1.0, width + 1)
        chance = np.array([math.comb(width, int(m)) * 0.5**width for m in active])
    else:  # Gauss rule of the binomial law, of mean n/2: the number of units becomes real
        k = np.arange(1.0, count)
        active, chance = _golub_welsch(np.full(count, width / 2), np.sqrt(k * (width - k + 1)) / 2)
    rules = [_gamma_rule(m / 2, count) for m in active]
    nodes = np.concatenate([2 * rule[0] / width for rule in rules])
    weights = np.concatenate([p * rule[1] for p, rule in zip(chance, rules, strict=True)])
    return _compressed(nodes, weights, count)


def _gamma_rule(shape: float, count: int) -> Rule:
    """Gauss rule of the gamma law, by the recurrence of the Laguerre polynomials."""
    k = np.arange(float(count))
    return _golub_welsch(2 * k + shape, np.sqrt(k[1:] * (k[1:] + shape - 1)))


def _golub_welsch(diagonal: Array, beside: Array) -> Rule:
    from scipy.linalg import eigh_tridiagonal

    nodes, vectors = eigh_tridiagonal(diagonal, beside)
    return nodes, vectors[0] ** 2


def _compressed(nodes: Array, weights: Array, count: int) -> Rule:
    """Gauss rule with ``count`` nodes of a discrete law, by the Lanczos recursion."""
    total = weights.sum()
    basis = np.zeros((count, nodes.size))
    diagonal, beside = np.zeros(count), np.zeros(count - 1)
    vector = np.sqrt(weights / total)
    for k in range(count):
        basis[k] = vector
        vector = nodes * vector
        diagonal[k] = basis[k] @ vector
        for _ in range(2):  # twice is enough to keep the basis orthogonal
            vector -= basis[: k + 1].T @ (basis[: k + 1] @ vector)
        if k + 1 < count:
            beside[k] = np.linalg.norm(vector)
            vector /= beside[k]
    found, shares = _golub_welsch(diagonal, beside)
    return found, shares * total
