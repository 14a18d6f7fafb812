"""Defects planted in what the large-depth claims and tests call; see `companion.papers.defects`."""

from __future__ import annotations

from typing import Any

import numpy as np

from companion import depthlimits
from companion.depthlimits import correlated, limits, lognormal
from companion.papers.defects import Patch
from companion.papers.large_depth import generator, trained
from companion.simulate import columns, processes
from companion.weights import IID, FractionalNoise, Smooth

__all__ = [
    "exact_generator",
    "fresh_transposed_weights",
    "half_the_variance",
    "identity_unlearned",
    "independent_layers",
    "linear_branch",
    "naive_kernel",
    "no_width_noise",
    "refreshed_paths",
    "rough_for_smooth",
    "shared_layers",
]


def linear_branch(patch: Patch) -> None:
    """Leave the activation out of the branch."""

    def wrong(self: Any, layer: Any, h: Any, keep: Any) -> Any:
        if keep is not None:
            keep.fill_(1.0)
        return layer.outer @ (h if layer.inner is None else layer.inner @ h)

    patch.setattr(columns.Branch, "apply", wrong)


def independent_layers(patch: Patch) -> None:
    """Draw the layers of fractional weights independently."""
    true = processes.draw

    def wrong(law: Any, *args: Any, **kwargs: Any) -> Any:
        return true(IID() if isinstance(law, FractionalNoise) else law, *args, **kwargs)

    patch.setattr(processes, "draw", wrong)
    patch.setattr(FractionalNoise, "sample", lambda self, *args: IID().sample(*args))


def shared_layers(patch: Patch) -> None:
    """Use the weights of the first block in every block."""
    true = processes.draw

    def wrong(*args: Any, **kwargs: Any) -> Any:
        weights = true(*args, **kwargs)
        return weights[:1].expand_as(weights)

    patch.setattr(processes, "draw", wrong)


def rough_for_smooth(patch: Patch) -> None:
    """Draw smooth weights as white noise."""

    def process(self: Any, times: Any, shape: Any, rng: Any) -> Any:
        size = (shape,) if isinstance(shape, int) else tuple(shape)
        return rng.standard_normal((len(times), *size))

    def sample(self: Any, depth: int, shape: Any, rng: Any) -> Any:
        return process(self, range(depth), shape, rng)

    patch.setattr(Smooth, "process", process)
    patch.setattr(Smooth, "sample", sample)


def no_width_noise(patch: Patch) -> None:
    """Treat a narrow network as a wide one when its norm is sampled."""
    true = depthlimits.sample_log_norm
    patch.setattr(
        depthlimits,
        "sample_log_norm",
        lambda spec, networks, rng: true(spec.replace(width=400), networks, rng),
    )


def half_the_variance(patch: Patch) -> None:
    """Halve the variance of the log-normal limit."""
    true = lognormal.LimitLaw
    patch.setattr(lognormal, "LimitLaw", lambda mean, variance: true(mean, variance / 2))


def refreshed_paths(patch: Patch) -> None:
    """Let the coarse networks read another path than the fine one."""
    true = limits._euler

    def wrong(state: Any, step: Any, phi: Any) -> Any:
        return true(state, np.roll(step, 1, axis=0) if step.std() > _COARSE else step, phi)

    patch.setattr(limits, "_euler", wrong)


#: Between the deviation of an increment of the finest path and of the next coarser one.
_COARSE = 0.015


def naive_kernel(patch: Patch) -> None:
    """Take the fresh inner matrix for no decorrelation: kappa(1) at every lag."""
    true = correlated._Rows.__init__

    def wrong(self: Any, g: Any, strength: Any, block: str) -> None:
        true(self, g, strength, "single")

    patch.setattr(correlated._Rows, "__init__", wrong)


def exact_generator(patch: Patch) -> None:
    """Replace the published recipe by exact sampling."""

    def wrong(hurst: float, depth: int, paths: int, rng: Any) -> Any:
        return FractionalNoise(hurst).sample(depth, paths, rng)

    patch.setattr(generator, "emulate", wrong)
    patch.setattr(generator, "published_covariance", lambda hurst, depth: np.ones(1))


def fresh_transposed_weights(patch: Patch) -> None:
    """Draw other matrices for the backward pass."""
    true = columns.Branch.pull

    def wrong(self: Any, layer: Any, p: Any, kept: Any) -> Any:
        other = layer._replace(outer=layer.outer.roll(1, -1))
        return true(self, other, p, kept)

    patch.setattr(columns.Branch, "pull", wrong)


def identity_unlearned(patch: Patch) -> None:
    """Score networks near the identity as if they had learned nothing."""
    true = trained.train

    def wrong(specs: Any, *args: Any, **kwargs: Any) -> Any:
        runs = true(specs, *args, **kwargs)
        for run in runs:
            if run.spec.effective_depth() < 0.1:
                run.test_accuracy[:] = 1 / run.spec.outputs
        return runs

    patch.setattr(trained, "train", wrong)
