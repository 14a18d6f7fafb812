r"""Small experiments of the primer: sums of steps, streams, clocks, averages of a log-normal.

Notation
--------
=====================  ==========================  =================================
symbol                 name                        label in the book
=====================  ==========================  =================================
:math:`r`              ``correlation``             ``eq-coherence``
:math:`T`              ``effective_depth``         ``eq-effective-depth``
:math:`\sigma`         ``sigma``                   ``eq-log-normal-mean``
=====================  ==========================  =================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from companion.architecture import ResNetSpec
from companion.montecarlo import Estimate
from companion.simulate import matrixfree

__all__ = [
    "PRESCRIPTIONS",
    "averages_of_lognormal",
    "effective_depths",
    "length_of_sum",
    "log_norms",
    "summed_steps",
]

#: Branch scales in use, as functions of depth.
PRESCRIPTIONS: Mapping[str, Callable[[int], float]] = {
    "s = 1": lambda depth: 1.0,
    "s = 0.3": lambda depth: 0.3,
    "s = 0.1": lambda depth: 0.1,
    "s = 1/√L": lambda depth: depth**-0.5,
    "s = 1/L": lambda depth: 1.0 / depth,
}


def unit_gain(depth: int, width: int, scale: float) -> ResNetSpec:
    """Two-layer ReLU network with skip 1 and gain 1."""
    return ResNetSpec(depth=depth, width=width, scale=scale, weight_variance=2.0)


def length_of_sum(counts: Sequence[int], correlation: float) -> np.ndarray:
    r"""Root-mean-square length :math:`\sqrt{m+m(m-1)r}` of a sum of ``m`` steps.

    Parameters
    ----------
    counts : sequence of int
        Numbers of steps ``m``.
    correlation : float
        ``r``, mean inner product of two different steps of unit mean square.
    """
    m = np.asarray(counts, dtype=np.float64)
    return np.sqrt(m + m * (m - 1) * correlation)


def summed_steps(
    counts: Sequence[int],
    correlation: float,
    *,
    walks: int = 1000,
    width: int = 16,
    seed: int,
) -> Estimate:
    r"""Root-mean-square length of sums of random steps, simulated.

    Step ``l`` is :math:`\sqrt r\,A+\sqrt{1-r}\,B_l` with independent normal vectors of unit mean
    square: ``A`` is common to all steps of a walk, ``B_l`` is fresh.

    Parameters
    ----------
    counts : sequence of int, shape (p,)
        Numbers of steps at which a walk is looked at, at least 1.
    correlation : float
        ``r``, in [0, 1].
    walks, width : int
        Independent walks, and coordinates of a step.
    seed : int
        Seed of the walks.

    Returns
    -------
    Estimate, shape (p,)
        The entries belong to the same walks and are therefore correlated.

    Raises
    ------
    ValueError
        If ``correlation`` is outside [0, 1].
    """
    if not 0 <= correlation <= 1:
        raise ValueError(
            f"correlation must lie in [0, 1], got {correlation}; steps that share a component "
            "cannot be negatively correlated"
        )
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((walks, 1, width))
    fresh = rng.standard_normal((walks, max(counts), width))
    steps = (correlation**0.5 * common + (1 - correlation) ** 0.5 * fresh) / width**0.5
    ends = np.cumsum(steps, axis=1)[:, np.asarray(counts) - 1]
    square = Estimate.mean(np.sum(ends**2, axis=-1))
    length = np.sqrt(square.value)
    return Estimate(length, square.sem / (2 * length), square.n)


def log_norms(
    depth: int, width: int, *, networks: int = 200, seed: int, device: str = "auto"
) -> pd.DataFrame:
    r"""Growth of the stream at each of `PRESCRIPTIONS`, simulated, beside the wide limit.

    Returns
    -------
    DataFrame
        Columns ``scale`` (a key of `PRESCRIPTIONS`), ``layer`` (0 to ``depth``), ``low``,
        ``median``, ``high`` (10, 50 and 90 percent quantiles of :math:`\ln(\|h_l\|^2/n)` over
        networks) and ``energy``, the log of the mean :math:`\ln K^l`. Natural logs.
    """
    frames = []
    for label, rule in PRESCRIPTIONS.items():
        spec = unit_gain(depth, width, rule(depth))
        run = matrixfree.forward(spec, networks, seed=seed, record=("log_norm",), device=device)
        low, median, high = np.quantile(run.layers["log_norm"][..., 0], [0.1, 0.5, 0.9], axis=0)
        columns = {"low": low, "median": median, "high": high}
        rows = {"layer": np.arange(depth + 1), **columns, "energy": spec.log_stream_variances()}
        frames.append(pd.DataFrame(rows).assign(scale=label))
    return pd.concat(frames, ignore_index=True)


def effective_depths(depths: Sequence[int]) -> pd.DataFrame:
    """Effective depth of each of `PRESCRIPTIONS`, at skip 1 and gain 1.

    Returns
    -------
    DataFrame
        Columns ``scale``, ``depth``, ``effective_depth``.
    """
    rows = [
        (label, depth, unit_gain(depth, 1, rule(depth)).effective_depth())
        for label, rule in PRESCRIPTIONS.items()
        for depth in depths
    ]
    return pd.DataFrame(rows, columns=["scale", "depth", "effective_depth"])


def averages_of_lognormal(
    sigma: float, sizes: Sequence[int], *, repeats: int = 200, seed: int
) -> pd.DataFrame:
    r"""Spread of the sample mean of :math:`e^X`, :math:`X\sim N(0,\sigma^2)`.

    Parameters
    ----------
    sigma : float
        Standard deviation of ``X``.
    sizes : sequence of int
        Sample sizes.
    repeats : int
        Independent samples of each size.
    seed : int
        Seed of the samples.

    Returns
    -------
    DataFrame
        Columns ``size``, and ``low``, ``median``, ``high``: 10, 50 and 90 percent quantiles of
        the sample mean over the repetitions.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for size in sizes:
        means = [np.exp(rng.normal(0, sigma, size)).mean() for _ in range(repeats)]
        rows.append((size, *np.quantile(means, [0.1, 0.5, 0.9])))
    return pd.DataFrame(rows, columns=["size", "low", "median", "high"])
