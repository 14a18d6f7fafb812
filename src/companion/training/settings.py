"""How a run is trained, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from companion._validation import choice, flag, positive_integer, real_number
from companion.architecture import ResNetSpec

__all__ = ["BranchWeights", "Outcome", "Settings"]

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Optimiser, its schedule and the length of a run; see ``alg-ld-training``.

    Parameters
    ----------
    optimiser : str
        ``"adam"`` or ``"sgd"``, those of ``torch.optim`` with their default parameters.
    learning_rate : float
        At the start, for input map and readout; positive.
    epochs : int
        Passes over the training data.
    batch_size : int
        Examples per step; the last batch of an epoch may be smaller.
    schedule_step : int, optional
        The learning rate is multiplied by ``schedule_factor`` every so many epochs; ``None`` keeps
        it constant.
    schedule_factor : float
        Positive.
    branch_rate_multiplier : float
        Learning rate of the branches (their matrices and biases) over ``learning_rate``; at least
        0, which freezes them.
    clip : float, optional
        Largest Euclidean norm of the gradient of a run, over all its parameters.
    branch_bias : bool
        Give every branch a trainable bias that starts at 0. A spec with ``bias_variance > 0`` has
        biases that start at random, whatever this says.
    divergence_bound : float
        A run whose loss is not finite, or above this (nats), has diverged. The default is near the
        end of float32: a network that merely starts far too large goes on.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.
    """

    optimiser: str = "adam"
    learning_rate: float = 1e-3
    epochs: int = 10
    batch_size: int = 128
    schedule_step: int | None = None
    schedule_factor: float = 0.1
    branch_rate_multiplier: float = 1.0
    clip: float | None = None
    branch_bias: bool = False
    divergence_bound: float = 1e30

    OPTIMISERS: ClassVar[tuple[str, ...]] = ("adam", "sgd")

    def __post_init__(self) -> None:
        choice(self.optimiser, "optimiser", self.OPTIMISERS)
        for name in ("epochs", "batch_size"):
            positive_integer(getattr(self, name), name)
        if self.schedule_step is not None:
            positive_integer(self.schedule_step, "schedule_step")
        for name in ("learning_rate", "schedule_factor", "divergence_bound"):
            real_number(getattr(self, name), name, minimum=0.0, strict=True)
        real_number(self.branch_rate_multiplier, "branch_rate_multiplier", minimum=0.0)
        if self.clip is not None:
            real_number(self.clip, "clip", minimum=0.0, strict=True)
        flag(self.branch_bias, "branch_bias")

    def rate(self, epoch: int) -> float:
        """Learning rate of input map and readout in an epoch, counted from 0."""
        drops = 0 if self.schedule_step is None else epoch // self.schedule_step
        return self.learning_rate * self.schedule_factor**drops

    def branch_rate(self, epoch: int) -> float:
        """Learning rate of the branches in an epoch, counted from 0."""
        return self.branch_rate_multiplier * self.rate(epoch)


@dataclass(frozen=True)
class BranchWeights:
    """Matrices of the branches of one network.

    Attributes
    ----------
    outer : ndarray of float32, shape (depth, width, width)
        The matrix that is applied last, entries of variance of order ``1 / width``; the only one
        of a single block.
    inner : ndarray of float32, shape (depth, width, width), or None
        The other matrix of a two-layer block.
    """

    outer: Array32
    inner: Array32 | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one run.

    Attributes
    ----------
    spec : ResNetSpec
    settings : Settings
    train_loss : ndarray, shape (epochs,)
        Mean cross-entropy in nats over the batches of each epoch, each batch met before its step;
        NaN from the epoch of divergence on.
    test_accuracy : ndarray, shape (epochs,)
        After each epoch; ``1 / classes``, the accuracy of chance, from the epoch of divergence on.
    validation_accuracy : ndarray, shape (epochs,), or None
        The same on the part of the training data that was held out; ``None`` without one.
    diverged_at : int or None
        Step, counted from 0 over the whole run, whose batch had a loss that is not finite or
        beyond the bound.
    seconds : float
        Wall time of the stack divided by its runs.
    initial, trained : BranchWeights or None
        Kept on demand; ``trained`` is ``None`` for a run that diverged.
    """

    spec: ResNetSpec
    settings: Settings
    train_loss: Array
    test_accuracy: Array
    validation_accuracy: Array | None
    diverged_at: int | None
    seconds: float
    initial: BranchWeights | None = None
    trained: BranchWeights | None = None

    @property
    def diverged(self) -> bool:
        """Whether the run diverged."""
        return self.diverged_at is not None

    @property
    def accuracy(self) -> float:
        """Test accuracy after the last epoch."""
        return float(self.test_accuracy[-1])
