r"""Which path lengths carry the signal: the energy of the orders as a law of probability.

Divided by the total energy, the energies of the orders are the law of the number of successes in
``L`` independent trials with the probabilities :math:`\lambda_l`, the blocks' shares. Its mean is
the effective depth ``T`` of the network.

Notation
--------
=======================================  ==========================  =======================
symbol                                   name                        book label
=======================================  ==========================  =======================
:math:`\lambda_l`                        ``shares``                  ``eq-share``
:math:`\pi_k=E_k/\sum_jE_j`              `PathLaw.pmf`               ``eq-re-path-law``
:math:`T=\sum_l\lambda_l`                `PathLaw.mean`              ``eq-re-path-law``
:math:`\sum_{j>k}\pi_j`                  `PathLaw.beyond`            ``eq-re-beyond``
:math:`1+\text{law of the others}`       `PathLaw.through`           ``eq-re-through-block``
:math:`\lambda_l=x_l/(1+x_1+\dots+x_l)`  `PathLaw.prenormalised`     ``eq-re-prenorm``
:math:`s_l\alpha_l/(1+s_l\alpha_l)`      `PathLaw.aligned`           ``eq-re-aligned``
:math:`d_{TV}`, and a bound              `PathLaw.poisson_distance`  ``eq-re-poisson``
=======================================  ==========================  =======================

Source: derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import finite_array, positive_integer, real_number
from companion.architecture import ResNetSpec
from companion.expansion.energies import (
    check_independent_paths,
    highest_order,
    log_elementary_symmetric,
    order_number,
    vector,
)

__all__ = ["PathLaw", "poisson_pmf"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PathLaw:
    """Law of the length of the paths, weighed by what they carry.

    Parameters
    ----------
    shares
        Probability that a path takes block ``l`` rather than the skip, each in ``[0, 1]``; kept as
        a tuple.
    certain
        Number of further blocks that every path takes, at least 0.

    Raises
    ------
    ValueError
        If a share lies outside ``[0, 1]`` or ``certain`` is negative.
    """

    shares: tuple[float, ...]
    certain: int = 0

    def __post_init__(self) -> None:
        shares = finite_array(self.shares, "shares")
        if shares.ndim != 1 or np.any((shares < 0) | (shares > 1)):
            raise ValueError(
                f"shares must be a vector of numbers between 0 and 1, got {self.shares!r}; pass "
                "spec.shares(), or ratios x as x / (1 + x)"
            )
        order_number(self.certain, "certain")
        object.__setattr__(self, "shares", tuple(shares.tolist()))

    @classmethod
    def of(cls, network: ResNetSpec | ArrayLike) -> Self:
        """Law of a network with independent blocks, weighed by energy (squared norm).

        Parameters
        ----------
        network
            A homogeneous `ResNetSpec` with independent layers, or the ratios ``s_l^2 c_l / a^2``,
            shape ``(L,)``.

        Raises
        ------
        ValueError
            If the network has no such law (curved activation, bias, correlated layers).
        """
        if isinstance(network, ResNetSpec):
            check_independent_paths(network)
            return cls(tuple(network.shares().tolist()))
        ratios = vector(network, "network")
        return cls(tuple((ratios / (1 + ratios)).tolist()))

    @classmethod
    def aligned(cls, strengths: ArrayLike) -> Self:
        r"""Law for aligned blocks, weighed by norm (not squared), from :math:`s_l\alpha_l`."""
        values = vector(strengths, "strengths")
        return cls(tuple((values / (1 + values)).tolist()))

    @classmethod
    def prenormalised(cls, blocks: int | ArrayLike) -> Self:
        r"""Law for blocks that divide their input by its root mean square.

        Such a block adds the same energy whatever the stream has become, so its share shrinks
        along depth. The normaliser is taken as a constant in the path expansion, which holds in the
        wide limit.

        Parameters
        ----------
        blocks
            Depth of a network whose blocks each add the energy of the input (shares
            :math:`1/(l+1)`, mean :math:`H_{L+1}-1`), or :math:`x_l`, the energies they add relative
            to that of the input, shape ``(L,)``.
        """
        if np.ndim(blocks) == 0:
            added = np.ones(positive_integer(blocks, "blocks"))
        else:
            added = vector(blocks, "blocks")
        return cls(tuple((added / (1 + np.cumsum(added))).tolist()))

    @property
    def longest(self) -> int:
        """Largest possible length."""
        return len(self.shares) + self.certain

    @property
    def mean(self) -> float:
        """Mean length: the effective depth ``T``."""
        return math.fsum(self.shares) + self.certain

    @property
    def variance(self) -> float:
        """Variance of the length, at most the mean."""
        return math.fsum(share * (1 - share) for share in self.shares)

    def log_pmf(self, orders: int | None = None) -> Array:
        """Natural log of the probabilities of the lengths ``0 .. orders`` (default: all).

        Returns
        -------
        Shape ``(orders + 1,)``, ``-inf`` where a length is impossible. Tails far below the range of
        float64 keep their digits.
        """
        top = highest_order(orders, self.longest)
        p = np.asarray(self.shares)
        always = self.certain + int(np.sum(p == 1))
        p = p[(p > 0) & (p < 1)]
        logs = np.full(self.longest + 1, -np.inf)
        if always <= top:
            ratios, wanted = p / (1 - p), min(top - always, p.size)
            found = log_elementary_symmetric(ratios, wanted) if p.size else np.zeros(1)
            logs[always : always + wanted + 1] = found + np.sum(np.log1p(-p))
        return logs[: top + 1]

    def pmf(self, orders: int | None = None) -> Array:
        """Probabilities of the lengths ``0 .. orders``, as :meth:`log_pmf`."""
        return np.asarray(np.exp(self.log_pmf(orders)))

    def beyond(self, order: int) -> float:
        """Probability of a length above ``order``: what truncation after ``order`` leaves out.

        Summed from the far side, so that small values keep their digits.

        Raises
        ------
        ValueError
            If ``order`` is negative.
        """
        return float(np.sum(self.pmf()[: order_number(order, "order") : -1]))

    def through(self, block: int) -> PathLaw:
        """Law of the paths that take one given block: those that the gradient of a block sees.

        Parameters
        ----------
        block
            Number of the block, from 1 (next to the input) to the depth.

        Raises
        ------
        ValueError
            If there is no such block.
        """
        index = positive_integer(block, "block", "blocks are counted from 1")
        if index > len(self.shares):
            raise ValueError(
                f"block must be at most the depth {len(self.shares)}, got {index}; blocks are "
                "counted from 1"
            )
        others = self.shares[: index - 1] + self.shares[index:]
        return PathLaw(others, self.certain + 1)

    def total_variation(self, other: PathLaw) -> float:
        """Total-variation distance to another law of lengths, between 0 and 1."""
        size = max(self.longest, other.longest) + 1
        padded = [np.pad(law.pmf(), (0, size - law.longest - 1)) for law in (self, other)]
        return float(np.sum(np.abs(padded[0] - padded[1])) / 2)

    def poisson_distance(self, rate: float | None = None) -> float:
        """Exact total-variation distance to the Poisson law of mean ``rate`` (default: the mean).

        Raises
        ------
        ValueError
            If ``rate`` is negative.
        """
        from scipy.special import gammainc

        target = self.mean if rate is None else real_number(rate, "rate", minimum=0.0)
        gaps = np.abs(self.pmf() - poisson_pmf(target, self.longest))
        tail = float(gammainc(self.longest + 1, target))  # Poisson lengths beyond the longest path
        return float(np.sum(gaps) + tail) / 2

    def poisson_bound(self, rate: float | None = None) -> float:
        r"""Upper bound on that distance: :math:`\sum_l\lambda_l^2+|T-r|`, by Le Cam's theorem."""
        target = self.mean if rate is None else real_number(rate, "rate", minimum=0.0)
        return math.fsum(p * p for p in self.shares) + self.certain + abs(self.mean - target)


def poisson_pmf(rate: float, orders: int) -> Array:
    """Poisson probabilities of ``0 .. orders``, shape ``(orders + 1,)``, for a mean ``rate``.

    Raises
    ------
    ValueError
        If ``rate`` is negative or ``orders`` is not an integer of at least 0.
    """
    from scipy.special import gammaln, xlogy

    mean = real_number(rate, "rate", minimum=0.0)
    lengths = np.arange(order_number(orders, "orders") + 1)
    return np.asarray(np.exp(xlogy(lengths, mean) - mean - gammaln(lengths + 1.0)))
