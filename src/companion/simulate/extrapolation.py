r"""From networks of several widths to infinite width, with errors.

Notation
--------
==============================================  ====================  ===================
symbol                                          name                  label in the book
==============================================  ====================  ===================
:math:`E\hat\Theta(x,x')/E\hat\Theta(x'',x'')`  `ratio_of_means`      ``eq-tk-ratio``
:math:`r+c/n`                                   `extrapolate`         ``eq-tk-ratio``
:math:`\mathrm{sd}/\mathrm{mean}`               `diagonal_variation`  ``eq-tk-variation``
==============================================  ====================  ===================

Kernels of single networks fluctuate by common factors, so that a mean of ratios is biased where
the ratio of the means is not, to leading order in the number of networks. Source: standard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import finite_array
from companion.montecarlo import Estimate

__all__ = ["Extrapolation", "diagonal_variation", "extrapolate", "ratio_of_means"]

Array = NDArray[np.float64]


class Extrapolation(NamedTuple):
    """Straight line in ``1/n`` through estimates at several widths.

    Attributes
    ----------
    limit, coefficient : Estimate
        Value at infinite width, and factor of ``1/n``.
    chi2 : ndarray
        Sum of squared distances of the estimates from the line, in standard errors; about the
        number of widths minus 2 if the line is right. Shape of the quantity.
    """

    limit: Estimate
    coefficient: Estimate
    chi2: Array


def ratio_of_means(numerator: ArrayLike, denominator: ArrayLike) -> Estimate:
    """Mean of the numerators over mean of the denominators, of paired samples along axis 0.

    Parameters
    ----------
    numerator : array_like, shape (networks, ...)
    denominator : array_like, shape (networks, ...)
        Broadcast against the numerator.

    Returns
    -------
    Estimate
        With the error of the delta method, which counts the correlation of the two.

    Raises
    ------
    ValueError
        If there are fewer than two samples, or the mean denominator is 0.
    """
    above, below = finite_array(numerator, "numerator"), finite_array(denominator, "denominator")
    above, below = np.broadcast_arrays(above, below)
    if above.ndim == 0 or len(above) < 2:
        raise ValueError(
            f"numerator must hold at least two networks along axis 0, got shape {above.shape}; an "
            "error needs more than one."
        )
    mean = below.mean(0)
    if np.any(mean == 0):
        raise ValueError("denominator must have a mean other than 0; divide by a diagonal entry.")
    ratio = above.mean(0) / mean
    return Estimate(ratio, Estimate.mean(above - ratio * below).sem / np.abs(mean), len(above))


def extrapolate(widths: Sequence[int], estimates: Sequence[Estimate]) -> Extrapolation:
    """Weighted least-squares line in ``1/n`` through independent estimates, entry by entry.

    Parameters
    ----------
    widths : sequence of int
        At least two different widths ``n``.
    estimates : sequence of Estimate
        One per width, of one shape, with positive errors.

    Raises
    ------
    ValueError
        If numbers or shapes do not fit, the widths are equal or an error is 0.
    """
    t = 1 / finite_array(widths, "widths")
    if t.ndim != 1 or len(t) != len(estimates) or len(set(t.tolist())) < 2:
        raise ValueError(
            f"widths must hold at least two different widths, one per estimate, got {widths!r} "
            f"for {len(estimates)} estimates."
        )
    values = np.stack([e.value for e in estimates])
    sems = np.stack([e.sem for e in estimates])
    if np.any(sems <= 0):
        raise ValueError("every estimate needs a positive standard error to be weighted.")
    t, w = t.reshape(-1, *[1] * (values.ndim - 1)), 1 / sems**2
    total = w.sum(0)
    centre, level = (w * t).sum(0) / total, (w * values).sum(0) / total
    spread = (w * (t - centre) ** 2).sum(0)
    slope = (w * (t - centre) * values).sum(0) / spread
    limit = level - slope * centre
    n = sum(e.n for e in estimates)
    chi2 = np.sum(w * (values - limit - slope * t) ** 2, axis=0)
    return Extrapolation(
        Estimate(limit, np.sqrt(1 / total + centre**2 / spread), n),
        Estimate(slope, spread**-0.5, n),
        np.asarray(chi2),
    )


def diagonal_variation(kernels: ArrayLike) -> Array:
    """Standard deviation over mean of the diagonal, across inputs, shape ``(networks,)``.

    Parameters
    ----------
    kernels : array_like, shape (networks, k, k)
        Kernels whose diagonal would be constant at infinite width: inputs of one norm.

    Raises
    ------
    ValueError
        If the shape is another one.
    """
    values = finite_array(kernels, "kernels")
    if values.ndim != 3 or values.shape[1] != values.shape[2] or values.shape[1] < 2:
        raise ValueError(
            f"kernels must have shape (networks, k, k) with k of at least 2, got {values.shape}; "
            "pass EmpiricalTangent.normalized."
        )
    diagonal = np.diagonal(values, axis1=1, axis2=2)
    return np.asarray(diagonal.std(1, ddof=1) / diagonal.mean(1))
