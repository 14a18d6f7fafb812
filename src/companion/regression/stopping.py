"""When to stop the flow: rules that a model applies at fit, and the time an oracle would choose.

Notation, with the labels of the book, is at the top of :mod:`companion.regression.flow`. Fixed
times need no rule: a number is a stopping time. Source of the rules: standard.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import finite_array, real_number
from companion.regression.flow import GradientFlow, KernelFlow, as_times

__all__ = ["Discrepancy", "HoldOut", "OracleStop", "Rule", "Task", "oracle", "stopping_time"]

Array = NDArray[np.float64]


class Task(NamedTuple):
    """What a rule may look at: the data, the flow on all of them, and how to fit a part."""

    rows: Array
    targets: Array
    flow: GradientFlow
    fit: Callable[[Array, Array], KernelFlow]


class Rule(Protocol):
    """A stopping rule: anything with this method."""

    def stop(self, task: Task) -> float:
        """Stopping time, at least 0; may be infinite."""
        ...


@dataclass(frozen=True)
class HoldOut:
    """Stop where the mean squared error on held-out samples is least; then use all samples.

    Parameters
    ----------
    fraction : float
        Share of the samples that is held out, inside (0, 1).
    times : sequence of float, optional
        Candidates; default 65 times over nine decades from the shortest time constant, and
        infinity.
    seed : int
        Decides which samples are held out.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.
    """

    fraction: float = 0.2
    times: tuple[float, ...] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        share = real_number(self.fraction, "fraction", minimum=0.0, strict=True)
        if share >= 1:
            raise ValueError(f"fraction must be below 1, got {share:g}; hold out e.g. 0.2")
        if self.times is not None:
            object.__setattr__(self, "times", tuple(as_times(self.times).tolist()))

    def stop(self, task: Task) -> float:
        """Time with the least error on the held-out samples, the earliest of equals."""
        count = len(task.rows)
        held = max(1, round(self.fraction * count))
        if held >= count:
            raise ValueError(
                f"HoldOut(fraction={self.fraction:g}) must leave a sample to train on, got "
                f"n_samples={count}; pass more samples or a fixed stopping time."
            )
        order = np.random.default_rng(self.seed).permutation(count)
        test, train = order[:held], order[held:]
        part = task.fit(task.rows[train], task.targets[train])
        times = np.append(part.flow.default_times(), math.inf)
        if self.times is not None:
            times = as_times(self.times)
        error = np.mean((part.path(task.rows[test], times) - task.targets[test]) ** 2, axis=(1, 2))
        return float(times[np.argmin(error)])


@dataclass(frozen=True)
class Discrepancy:
    """Stop as soon as the mean squared residual has come down to the variance of the noise.

    Parameters
    ----------
    variance : float
        Variance of the noise on the targets, in their squared units, above 0.

    Raises
    ------
    TypeError, ValueError
        If ``variance`` is not such a number.
    """

    variance: float

    def __post_init__(self) -> None:
        real_number(self.variance, "variance", minimum=0.0, strict=True)

    def stop(self, task: Task) -> float:
        """First time at which the residual is there: 0 if from the start, infinite if never."""
        from scipy.optimize import brentq

        def excess(log_time: float) -> float:
            return float(flow.training_error([math.exp(log_time)])[0]) - self.variance

        flow = task.flow
        start, end = flow.training_error([0.0, math.inf])
        if start <= self.variance:
            return 0.0
        if end >= self.variance:
            return math.inf
        low, high = np.log(flow.default_times()[[0, -1]])
        while excess(low) <= 0:
            low -= 5.0
        while excess(high) > 0:
            high += 5.0
        return math.exp(brentq(excess, low, high, xtol=1e-12))


class OracleStop(NamedTuple):
    """What `oracle` found.

    Attributes
    ----------
    time, risk : float
        The best of the times, and the mean squared error there.
    times, risks : ndarray, shape (T,)
        All of them.
    """

    time: float
    risk: float
    times: Array
    risks: Array


def oracle(model: Any, X: ArrayLike, clean: ArrayLike, times: ArrayLike) -> OracleStop:
    """Best stopping time of a fitted model against a target without noise.

    Parameters
    ----------
    model
        A fitted regressor with ``path(X, times)``.
    X : array_like, shape (M, d)
        Test inputs.
    clean : array_like, shape (M,) or (M, outputs)
        The function to be learned, at ``X``; no data set has it.
    times : array_like, shape (T,)

    Returns
    -------
    OracleStop
        Risks are means of squared errors over inputs and outputs. The least of them is
        *optimistic*: it looks at the target, and at the very inputs that it is reported for.

    Raises
    ------
    ValueError
        If shapes do not fit.
    """
    grid, target = as_times(times), finite_array(clean, "clean")
    found = model.path(X, grid)
    if found.shape[1:] != target.shape:
        raise ValueError(
            f"clean must have the shape {found.shape[1:]} of the predictions, got {target.shape}; "
            "evaluate the target at the rows of X."
        )
    risks = np.mean((found - target) ** 2, axis=tuple(range(1, found.ndim)))
    best = int(np.argmin(risks))
    return OracleStop(float(grid[best]), float(risks[best]), grid, risks)


def stopping_time(stopping: Any, task: Task) -> float:
    """Stopping time of a number or a rule.

    Raises
    ------
    TypeError, ValueError
        If ``stopping`` is neither, or a time is out of range.
    """
    rule = getattr(stopping, "stop", None)
    time = rule(task) if callable(rule) else stopping
    if isinstance(time, bool) or not isinstance(time, (int, float, np.integer, np.floating)):
        raise TypeError(
            f"stopping must be None, a time or a rule, got {stopping!r}; pass e.g. 100.0, "
            "math.inf or HoldOut()."
        )
    if not time >= 0:
        raise ValueError(
            f"stopping must be a time of at least 0, got {time!r}; the flow starts at 0 and ends "
            "at math.inf."
        )
    return float(time)
