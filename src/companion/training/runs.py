"""What the training loop carries along: the runs, the examples on the device, a progress bar."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from companion._optional import require
from companion.architecture import ResNetSpec
from companion.datasets import Dataset
from companion.training.settings import Outcome, Settings, Weights

__all__ = ["Bar", "Examples", "Run"]


@dataclass(eq=False)
class Run:
    """One run under way."""

    spec: ResNetSpec
    settings: Settings
    seed: np.random.SeedSequence
    loss: list[float] = field(default_factory=list)
    test: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    diverged_at: int | None = None
    initial: Weights | None = None
    trained: Weights | None = None

    def __post_init__(self) -> None:
        key, entropy = self.seed.spawn_key, self.seed.entropy
        self.weights, self.order = (
            np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(*key, part)))
            for part in (0, 1)
        )

    def outcome(self, seconds: float, validated: bool) -> Outcome:
        """The record of the run; after a divergence the epochs that are missing are filled in."""
        epochs, chance = self.settings.epochs, 1 / self.spec.outputs

        def filled(values: list[float], value: float) -> np.ndarray:
            return np.array(values + [value] * (epochs - len(values)))

        return Outcome(
            self.spec,
            self.settings,
            filled(self.loss, np.nan),
            filled(self.test, chance),
            filled(self.validation, chance) if validated else None,
            self.diverged_at,
            seconds,
            self.initial,
            self.trained,
        )


@dataclass(frozen=True)
class Examples:
    """The data on the device; the validation part may be empty."""

    train: tuple[torch.Tensor, torch.Tensor]
    test: tuple[torch.Tensor, torch.Tensor]
    validation: tuple[torch.Tensor, torch.Tensor] | None

    @classmethod
    def on(cls, data: Dataset, device: torch.device) -> Examples:
        """Copy a data set to a device."""

        def pair(x: np.ndarray, y: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
            # Copies: the arrays of a data set are read-only.
            return torch.tensor(x, device=device), torch.tensor(y, device=device)

        x, y = data.x_validation, data.y_validation
        return cls(
            pair(data.x_train, data.y_train),
            pair(data.x_test, data.y_test),
            None if x is None or y is None else pair(x, y),
        )


class Bar:
    """A progress bar over epochs of stacks, or nothing."""

    def __init__(self, total: int, *, shown: bool) -> None:
        self._bar = None
        if shown:
            require("tqdm", extra="cli", purpose="show the progress of training")
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc="training", unit="epoch", leave=False)

    def update(self) -> None:
        """One more epoch of a stack is done."""
        if self._bar is not None:
            self._bar.update()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.close()
