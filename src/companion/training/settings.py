"""How a run is trained, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from companion._validation import choice, flag, positive_integer, real_number
from companion.architecture import ResNetSpec

__all__ = ["Outcome", "Settings", "Weights"]

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Optimiser, its schedule and the length of a run; see ``alg-ld-training``.

    Parameters
    ----------
    optimiser : str
        ``"adam"`` or ``"sgd"``, those of ``torch.optim``; what is not named here has their default.
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
    momentum : float
        Of ``"sgd"``; in [0, 1).
    betas : pair of float
        Decay of the two running means of ``"adam"``; in [0, 1).
    normalisation : str
        Of the input of every branch and of the end of the stream before the readout, without
        trainable parameters (``alg-re-training``). ``"none"``; ``"layer"``: over the coordinates of
        one example; ``"batch"``: each coordinate over the examples of the batch, and in evaluation
        by its mean and variance over all training examples at the current weights.
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
    momentum: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    normalisation: str = "none"

    OPTIMISERS: ClassVar[tuple[str, ...]] = ("adam", "sgd")
    NORMALISATIONS: ClassVar[tuple[str, ...]] = ("none", "batch", "layer")

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
        choice(self.normalisation, "normalisation", self.NORMALISATIONS)
        if len(self.betas) != 2:
            raise ValueError(f"betas must be a pair, got {self.betas!r}; pass (0.9, 0.999)")
        for name, value in (("momentum", self.momentum), *(("betas", b) for b in self.betas)):
            if real_number(value, name, minimum=0.0) >= 1:
                raise ValueError(f"{name} must be below 1, got {value}; pass 0.9, say")

    def rate(self, epoch: int) -> float:
        """Learning rate of input map and readout in an epoch, counted from 0."""
        drops = 0 if self.schedule_step is None else epoch // self.schedule_step
        return self.learning_rate * self.schedule_factor**drops

    def branch_rate(self, epoch: int) -> float:
        """Learning rate of the branches in an epoch, counted from 0."""
        return self.branch_rate_multiplier * self.rate(epoch)


@dataclass(frozen=True)
class Weights:
    """Parameters of one network, float32.

    Attributes
    ----------
    input : ndarray, shape (width, inputs)
    outer : ndarray, shape (depth, width, width)
        The matrix of a block that is applied last, entries of variance of order ``1 / width``; the
        only one of a single block.
    readout : ndarray, shape (outputs, width)
    inner : ndarray, shape (depth, width, width), or None
        The other matrix of a two-layer block.
    bias : ndarray, shape (depth, width, 1), or None
        Of the branches.
    mean, variance : ndarray, shape (depth + 1, width), or None
        With batch normalisation: of every coordinate over the training examples, at the input of
        every branch and at the end of the stream.
    """

    input: Array32
    outer: Array32
    readout: Array32
    inner: Array32 | None = None
    bias: Array32 | None = None
    mean: Array32 | None = None
    variance: Array32 | None = None


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
    initial, trained : Weights or None
        Kept on demand; ``trained`` is ``None`` for a run that diverged.
    """

    spec: ResNetSpec
    settings: Settings
    train_loss: Array
    test_accuracy: Array
    validation_accuracy: Array | None
    diverged_at: int | None
    seconds: float
    initial: Weights | None = None
    trained: Weights | None = None

    @property
    def diverged(self) -> bool:
        """Whether the run diverged."""
        return self.diverged_at is not None

    @property
    def accuracy(self) -> float:
        """Test accuracy after the last epoch."""
        return float(self.test_accuracy[-1])
