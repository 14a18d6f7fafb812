"""Defects planted in the library, so that every statistical test shows that it can fail.

A check is a function of what it tests; its test calls it once on the library and once, expecting
an `AssertionError`, on the library with one of the defects below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from companion import loggaussian
from companion.simulate import blocks, chain, conditioning

Defect = Callable[[pytest.MonkeyPatch], None]


@contextmanager
def planted(defect: Defect) -> Iterator[None]:
    """Run a block of code with ``defect`` in the library."""
    with pytest.MonkeyPatch.context() as patch:
        defect(patch)
        yield


def must_reject(defect: Defect, check: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """Assert that ``check`` fails, by an assertion, on the library with ``defect``."""
    with planted(defect), pytest.raises(AssertionError):
        check(*args, **kwargs)


# ---------------------------------------------------------------- in the formulas


def scale_for_share(patch: pytest.MonkeyPatch) -> None:
    """Put lambda where lambda squared belongs."""
    true = loggaussian.coefficients

    def wrong(spec):
        alpha, lam, growth = true(spec)
        return alpha, lam**0.5, growth

    patch.setattr(loggaussian, "coefficients", wrong)


def squared_correlation(patch: pytest.MonkeyPatch) -> None:
    """Take the correlation of two streams for alpha squared to the lag."""
    true = loggaussian.coefficients

    def wrong(spec):
        alpha, lam, growth = true(spec)
        return alpha**2, lam, growth

    patch.setattr(loggaussian, "coefficients", wrong)


def no_interlayer_term(patch: pytest.MonkeyPatch) -> None:
    """Treat the layers as independent."""
    patch.setattr(loggaussian, "lag_sum", lambda function, alpha, depth: 0.0)


def no_lags(patch: pytest.MonkeyPatch) -> None:
    """Treat the layers as independent in the covariance of two inputs."""
    patch.setattr(loggaussian, "_lags", lambda alpha, largest: np.zeros(0))


def half_the_layers(patch: pytest.MonkeyPatch) -> None:
    """Halve the variance of one block."""
    true = loggaussian.one_layer_variance
    patch.setattr(loggaussian, "one_layer_variance", lambda spec: true(spec) / 2)


def no_input_layer(patch: pytest.MonkeyPatch) -> None:
    """Forget that the input map is random."""
    patch.setattr(loggaussian, "_input_layer", lambda width, kind: (0.0, 0.0))


def patterns_alone(patch: pytest.MonkeyPatch) -> None:
    """Count the activation patterns only in the gradient law: A in the place of A (1 + 2 r^2)."""
    patch.setattr(loggaussian, "aligned_sign_moment", loggaussian.sign_moment)


def flat_abs_moment(patch: pytest.MonkeyPatch) -> None:
    """Decouple the two streams of the hypoactivation: M(0) in the place of M(r)."""
    true = loggaussian.abs_moment
    patch.setattr(loggaussian, "abs_moment", lambda r: true(0 * r))


def flat_sine(patch: pytest.MonkeyPatch) -> None:
    """Take the sine of the angle between two streams for 1."""
    patch.setattr(loggaussian, "sine_of", lambda r: r**0)


def fully_connected_limit(patch: pytest.MonkeyPatch) -> None:
    """Let every unit of a fully connected layer be active with probability one half, rounded."""
    true = loggaussian._active_units

    def wrong(width):
        b, p = true(width)
        return b[:1] * 0 + width / 2, p[:1] * 0 + 1

    patch.setattr(loggaussian, "_active_units", wrong)


# ---------------------------------------------------------------- in the simulation


def fresh_backward_weights(patch: pytest.MonkeyPatch) -> None:
    """Draw other matrices for the backward pass (the same normals, nothing reused)."""

    def wrong(self, h, *, factor=1.0):
        xi = self._noise.normal(*h.shape[:-1], self.q.shape[-1])
        return conditioning.combine(xi, conditioning.orthonormalize(h)[1]) * factor

    patch.setattr(conditioning.ConditionedGaussian, "apply_transpose", wrong)


def no_projection(patch: pytest.MonkeyPatch) -> None:
    """Keep the fresh normals along directions that the forward pass has already seen."""

    def wrong(self, h, *, factor=1.0):
        xi = self._noise.normal(*h.shape[:-1], self.q.shape[-1])
        fresh = conditioning.combine(xi, conditioning.orthonormalize(h)[1])
        return (fresh + conditioning.transfer(self.q, self.gamma, h)) * factor

    patch.setattr(conditioning.ConditionedGaussian, "apply_transpose", wrong)


def independent_columns(patch: pytest.MonkeyPatch) -> None:
    """Let every column of a product have its own matrix."""

    def wrong(x):
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x / torch.where(size > 0, size, 1.0), torch.diag_embed(size[..., 0])

    patch.setattr(conditioning, "orthonormalize", wrong)


def shared_signs(patch: pytest.MonkeyPatch) -> None:
    """Let all blocks of a balanced network share one vector of signs."""
    true = blocks.Noise.signs

    def wrong(self, *shape):
        if not hasattr(self, "_shared"):
            self._shared = true(self, *shape)
        return self._shared

    patch.setattr(blocks.Noise, "signs", wrong)


def unmirrored(patch: pytest.MonkeyPatch) -> None:
    """Forget to negate the noise of the second network of an antithetic pair."""

    def wrong(self, gamma, p):
        return gamma.expand(-1, p, -1, -1).clone()

    patch.setattr(conditioning.ConditionedGaussian, "_mirrored", wrong)


def one_large_branch(patch: pytest.MonkeyPatch) -> None:
    """Double the branch of the first block."""
    true = chain.Run.__init__

    def wrong(self, *args):
        true(self, *args)
        self.scales[0] *= 2

    patch.setattr(chain.Run, "__init__", wrong)


def activation_as_slope(patch: pytest.MonkeyPatch) -> None:
    """Use 1 in the place of the derivative of the activation."""
    true = chain.branch_functions
    patch.setattr(
        chain, "branch_functions", lambda activation: (true(activation)[0], torch.ones_like)
    )


def unflipped_gradient(patch: pytest.MonkeyPatch) -> None:
    """Forget the signs of a balanced network in its backward pass."""
    true = chain.LayerTape
    patch.setattr(chain, "LayerTape", lambda *parts: true(*parts[:-1], None))


def bias_per_input(patch: pytest.MonkeyPatch) -> None:
    """Give every input biases of its own."""

    def wrong(self, variance):
        return self.noise.normal(self.b, 1, self.k, self.run.spec.width) * variance**0.5

    patch.setattr(chain.Chain, "_bias", wrong)


def unscaled_readout(patch: pytest.MonkeyPatch) -> None:
    """Forget the scale of the stored state in the readout."""
    true = chain.Chain.readout

    def wrong(self):
        scale, self.log_scale = self.log_scale, 0 * self.log_scale
        y = true(self)
        self.log_scale = scale
        return y

    patch.setattr(chain.Chain, "readout", wrong)


def layer_gain_in_weight_gradient(patch: pytest.MonkeyPatch) -> None:
    """Take the weight gradient of a block from the stream below it, not above."""
    true = chain.Backward.walk

    def wrong(self):
        step, weight = self._step, self._weight_gradient
        self._step = lambda layer: None

        def late(layer):
            step(layer)
            return weight(layer)

        self._weight_gradient = late
        true(self)

    patch.setattr(chain.Backward, "walk", wrong)
