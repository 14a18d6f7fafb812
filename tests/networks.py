"""Networks and inputs that several test modules use."""

from __future__ import annotations

import numpy as np

from companion.activations import Erf, LeakyReLU
from companion.architecture import ResNetSpec
from companion.weights import WeightLaw


def network(share: float, d: int, n: int, **kwargs: object) -> ResNetSpec:
    """Network with alpha^2 + lambda^2 = 1 and alpha^2 = ``share``."""
    return ResNetSpec.log_gaussian(d, n, share**0.5, (1 - share) ** 0.5, **kwargs)


def critical(depth: int, width: int) -> ResNetSpec:
    """Skip 1, gain 1/2 and scale L^(-1/2): the network of the large-depth limit."""
    scale = (2 * depth) ** -0.5
    return ResNetSpec.log_gaussian(depth, width, 1.0, scale)


def one_to_third(d: int, n: int) -> ResNetSpec:
    """Skip 1 and scale .3."""
    return ResNetSpec.log_gaussian(d, n, 1.0, 0.3)


def two_rows(rho: float, inputs: int = 10) -> np.ndarray:
    """Two inputs of squared norm ``inputs`` and cosine ``rho``."""
    rows = np.zeros((2, inputs))
    rows[:, 0] = 1, rho
    rows[1, 1] = (1 - rho**2) ** 0.5
    return inputs**0.5 * rows


def two_layer(d: int, n: int) -> ResNetSpec:
    """Skip 1, two-layer ReLU blocks."""
    return ResNetSpec.tangent_kernel(d, n, alpha=0.6)


def erf_with_bias(d: int, n: int) -> ResNetSpec:
    """Biases everywhere, a saturating activation, read out through it: nothing homogeneous."""
    return ResNetSpec(
        depth=d,
        width=n,
        inputs=3,
        outputs=2,
        scale=0.8,
        block="single",
        activation=Erf(),
        weight_variance=1.5,
        bias_variance=0.4,
        input_bias_variance=0.2,
        readout="activation",
        readout_bias_variance=0.3,
    )


def leaky(d: int, n: int) -> ResNetSpec:
    """Leaky ReLU blocks whose scales differ from layer to layer."""
    return ResNetSpec(
        depth=d,
        width=n,
        inputs=3,
        outputs=2,
        skip=0.9,
        scale=tuple(np.linspace(0.2, 1.5, d)),
        block="single",
        activation=LeakyReLU(-0.3),
        weight_variance=2.0,
        readout="activation",
        readout_variance=1.7,
    )


class Frozen(WeightLaw):
    """One matrix for all layers."""

    kind = "frozen"
    independent = False
    gaussian = True

    def covariance(self, lags: object) -> np.ndarray:
        return np.ones_like(np.asarray(lags, dtype=float))

    def sample(self, *args: object, **kwargs: object) -> np.ndarray:
        raise NotImplementedError

    def to_dict(self) -> dict[str, object]:
        return {"kind": self.kind}
