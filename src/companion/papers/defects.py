"""Defects planted in the library, so that every test and every claim shows that it can fail.

A defect is a function that patches one function of the library; its docstring says what it does.
`planted` runs a block of code with a defect in the library and always takes it out again:

>>> with planted(no_interlayer_term):
...     finding = all_claims()["LG-10"].run()

"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from companion import loggaussian
from companion.simulate import blocks, chain, conditioning

__all__ = [
    "Defect",
    "Patch",
    "activation_as_slope",
    "balanced_everywhere",
    "bias_per_input",
    "describe",
    "first_block_only",
    "flat_abs_moment",
    "flat_sine",
    "fresh_backward_weights",
    "fully_connected_limit",
    "half_the_layers",
    "independent_columns",
    "layer_gain_in_weight_gradient",
    "no_input_layer",
    "no_interlayer_term",
    "no_lags",
    "no_projection",
    "one_large_branch",
    "patterns_alone",
    "planted",
    "scale_for_share",
    "shared_signs",
    "squared_correlation",
    "tied_layers",
    "unflipped_gradient",
    "unmirrored",
    "unscaled_readout",
]


class Patch:
    """Replaces attributes and puts them back when its block ends, also after an error."""

    def __init__(self) -> None:
        self._undo = ExitStack()

    def setattr(self, owner: Any, name: str, value: Any) -> None:
        """Replace attribute ``name`` of a module or class, which must have it."""
        self._undo.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, value)

    def __enter__(self) -> Patch:
        return self

    def __exit__(self, *error: object) -> None:
        self._undo.close()


#: A function that plants a defect through the patch it is given.
Defect = Callable[[Patch], None]


@contextmanager
def planted(defect: Defect) -> Iterator[None]:
    """Run a block of code with ``defect`` in the library of this process.

    Processes that the block starts do not inherit the defect, except by a fork.
    """
    with Patch() as patch:
        defect(patch)
        yield


def describe(defect: Defect) -> str:
    """What a defect does, in one line."""
    return (defect.__doc__ or defect.__name__).strip().split("\n")[0]


# ---------------------------------------------------------------- in the formulas


def scale_for_share(patch: Patch) -> None:
    """Put lambda where lambda squared belongs."""
    true = loggaussian.coefficients

    def wrong(spec: Any) -> Any:
        alpha, lam, growth = true(spec)
        return alpha, lam**0.5, growth

    patch.setattr(loggaussian, "coefficients", wrong)


def squared_correlation(patch: Patch) -> None:
    """Take the correlation of two streams for alpha squared to the lag."""
    true = loggaussian.coefficients

    def wrong(spec: Any) -> Any:
        alpha, lam, growth = true(spec)
        return alpha**2, lam, growth

    patch.setattr(loggaussian, "coefficients", wrong)


def no_interlayer_term(patch: Patch) -> None:
    """Treat the layers as independent."""
    patch.setattr(loggaussian, "lag_sum", lambda function, alpha, depth: 0.0)


def no_lags(patch: Patch) -> None:
    """Treat the layers as independent in the covariance of two inputs."""
    patch.setattr(loggaussian, "_lags", lambda alpha, largest: np.zeros(0))


def half_the_layers(patch: Patch) -> None:
    """Halve the variance of one block."""
    true = loggaussian.one_layer_variance
    patch.setattr(loggaussian, "one_layer_variance", lambda spec: true(spec) / 2)


def no_input_layer(patch: Patch) -> None:
    """Forget that the input map is random."""
    patch.setattr(loggaussian, "_input_layer", lambda width, kind: (0.0, 0.0))


def patterns_alone(patch: Patch) -> None:
    """Count the activation patterns only in the gradient law: A in the place of A (1 + 2 r^2)."""
    patch.setattr(loggaussian, "aligned_sign_moment", loggaussian.sign_moment)


def flat_abs_moment(patch: Patch) -> None:
    """Decouple the two streams of the hypoactivation: M(0) in the place of M(r)."""
    true = loggaussian.abs_moment
    patch.setattr(loggaussian, "abs_moment", lambda r: true(0 * r))


def flat_sine(patch: Patch) -> None:
    """Take the sine of the angle between two streams for 1."""
    patch.setattr(loggaussian, "sine_of", lambda r: r**0)


def fully_connected_limit(patch: Patch) -> None:
    """Let every unit of a fully connected layer be active with probability one half, rounded."""
    true = loggaussian._active_units

    def wrong(width: Any) -> Any:
        b, p = true(width)
        return b[:1] * 0 + width / 2, p[:1] * 0 + 1

    patch.setattr(loggaussian, "_active_units", wrong)


# ---------------------------------------------------------------- in the simulation


def fresh_backward_weights(patch: Patch) -> None:
    """Draw other matrices for the backward pass (the same normals, nothing reused)."""

    def wrong(self: Any, h: Any, *, factor: float = 1.0) -> Any:
        xi = self._noise.normal(*h.shape[:-1], self.q.shape[-1])
        return conditioning.combine(xi, conditioning.orthonormalize(h)[1]) * factor

    patch.setattr(conditioning.ConditionedGaussian, "apply_transpose", wrong)


def no_projection(patch: Patch) -> None:
    """Keep the fresh normals along directions that the forward pass has already seen."""

    def wrong(self: Any, h: Any, *, factor: float = 1.0) -> Any:
        xi = self._noise.normal(*h.shape[:-1], self.q.shape[-1])
        fresh = conditioning.combine(xi, conditioning.orthonormalize(h)[1])
        return (fresh + conditioning.transfer(self.q, self.gamma, h)) * factor

    patch.setattr(conditioning.ConditionedGaussian, "apply_transpose", wrong)


def independent_columns(patch: Patch) -> None:
    """Let every column of a product have its own matrix."""

    def wrong(x: Any) -> Any:
        size = x.square().sum(-1, keepdim=True).sqrt()
        return x / size.where(size > 0, 1.0), size[..., 0].diag_embed()

    patch.setattr(conditioning, "orthonormalize", wrong)


def shared_signs(patch: Patch) -> None:
    """Let all blocks of a balanced network share one vector of signs."""
    true = blocks.Noise.signs

    def wrong(self: Any, *shape: Any) -> Any:
        if not hasattr(self, "_shared"):
            self._shared = true(self, *shape)
        return self._shared

    patch.setattr(blocks.Noise, "signs", wrong)


def unmirrored(patch: Patch) -> None:
    """Forget to negate the noise of the second network of an antithetic pair."""

    def wrong(self: Any, gamma: Any, p: Any) -> Any:
        return gamma.expand(-1, p, -1, -1).clone()

    patch.setattr(conditioning.ConditionedGaussian, "_mirrored", wrong)


def one_large_branch(patch: Patch) -> None:
    """Double the branch of the first block."""
    true = chain.Run.__init__

    def wrong(self: Any, *args: Any) -> Any:
        true(self, *args)
        self.scales[0] *= 2

    patch.setattr(chain.Run, "__init__", wrong)


def activation_as_slope(patch: Patch) -> None:
    """Use 1 in the place of the derivative of the activation."""
    true = chain.branch_functions
    patch.setattr(
        chain,
        "branch_functions",
        lambda activation: (true(activation)[0], lambda u: u.new_ones(u.shape)),
    )


def unflipped_gradient(patch: Patch) -> None:
    """Forget the signs of a balanced network in its backward pass."""
    true: Any = chain.LayerTape
    patch.setattr(chain, "LayerTape", lambda *parts: true(*parts[:-1], None))


def bias_per_input(patch: Patch) -> None:
    """Give every input biases of its own."""

    def wrong(self: Any, variance: Any) -> Any:
        return self.noise.normal(self.b, 1, self.k, self.run.spec.width) * variance**0.5

    patch.setattr(chain.Chain, "_bias", wrong)


def unscaled_readout(patch: Patch) -> None:
    """Forget the scale of the stored state in the readout."""
    true = chain.Chain.readout

    def wrong(self: Any) -> Any:
        scale, self.log_scale = self.log_scale, 0 * self.log_scale
        y = true(self)
        self.log_scale = scale
        return y

    patch.setattr(chain.Chain, "readout", wrong)


def layer_gain_in_weight_gradient(patch: Patch) -> None:
    """Take the weight gradient of a block from the stream below it, not above."""
    true = chain.Backward.walk

    def wrong(self: Any) -> Any:
        step, weight = self._step, self._weight_gradient
        self._step = lambda layer: None

        def late(layer: Any) -> Any:
            step(layer)
            return weight(layer)

        self._weight_gradient = late
        true(self)

    patch.setattr(chain.Backward, "walk", wrong)


def tied_layers(patch: Patch) -> None:
    """Use the weights of the first block in every block."""
    true = chain.Chain.step

    def wrong(self: Any, layer: Any, log: Any) -> Any:
        generators = self.noise._generators
        if layer == 0:
            self._first = [generator.get_state() for generator in generators]
        for generator, state in zip(generators, self._first, strict=True):
            generator.set_state(state)
        true(self, layer, log)

    patch.setattr(chain.Chain, "step", wrong)


def first_block_only(patch: Patch) -> None:
    """Leave the stream as it is after the first block."""
    true = chain.Chain.step
    patch.setattr(
        chain.Chain, "step", lambda self, layer, log: None if layer else true(self, layer, log)
    )


def balanced_everywhere(patch: Patch) -> None:
    """Draw the signs of a balanced network for every network."""
    true = chain.Run.__init__

    def wrong(self: Any, spec: Any, *args: Any) -> Any:
        true(self, spec, *args)
        self.spec = spec.replace(balanced=True)

    patch.setattr(chain.Run, "__init__", wrong)
