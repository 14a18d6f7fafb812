r"""Leading order in the inverse width: how kernels of one input fluctuate from network to network.

Notation, with the labels of the book, is at the top of :mod:`companion.response`. Everything is
relative to the mean kernels, so that nothing overflows where they grow exponentially.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from companion.activations import Activation, Erf, LeakyReLU, Linear, ReLU, square_moment
from companion.architecture import ResNetSpec
from companion.kernels import Branch, stream_variances
from companion.kernels.walk import LOG_LARGEST

__all__ = ["Fluctuations", "check_single_blocks", "fluctuations", "hermite_modes"]

Array = NDArray[np.float64]

#: Part of the variance of ``phi(h)^2`` that the modes may miss; that the most of them may miss.
_MISSING, _MISSING_AT_LAST = 1e-9, 1e-2
#: How many modes to try: a step of width w in units of the normal takes about 20 / w^2 of them.
_MODE_COUNTS = (24, 48, 96, 192, 384, 768, 1536, 3072)
#: The weight e^(-z^2/4) that a mode leaves to its integrand is 1e-17 there.
_REACH = 12.5
_MOST_NODES, _NODES_PER_BLOCK = 2**14, 2**10


@dataclass(frozen=True)
class Fluctuations:
    r"""Covariances times the width ``n``, to leading order in ``1/n``, for one input.

    Attributes
    ----------
    log_variances
        ``ln K^l`` at ``l = 0..L``.
    noise
        :math:`S_{lm}/(g^lg^m)`, ``n`` times the covariance of the means of ``phi(h)^2`` over the
        coordinates of layers ``l`` and ``m`` at fixed kernels, relative to their means (``g^l`` is
        the mean), shape ``(L + 1, L + 1)``.
    relative_kernel
        ``n Cov(K^l, K^m) / (K^l K^m)`` of the variance that a coordinate has given the layers
        below, shape ``(L + 1, L + 1)``.
    relative_stream
        The same of the empirical :math:`\hat q^l=|h_l|^2/n`.
    relative_output
        ``n`` times the variance of :math:`\hat C^y` over its squared mean; without the output
        bias.
    log_output
        ``ln`` of the mean of :math:`\hat C^y`.
    """

    log_variances: Array
    noise: Array
    relative_kernel: Array
    relative_stream: Array
    relative_output: float
    log_output: float

    @property
    def kernel(self) -> Array:
        """``n Cov(K^l, K^m)``; errors as `stream`."""
        return self.relative_kernel * self._products

    @property
    def stream(self) -> Array:
        r"""``n`` times the covariance of :math:`\hat q^l` and :math:`\hat q^m`.

        Raises
        ------
        OverflowError
            If it leaves the range of float64; use `relative_stream`.
        """
        return self.relative_stream * self._products

    @property
    def output(self) -> float:
        r"""``n`` times the variance of :math:`\hat C^y`; errors as `stream`."""
        return self.relative_output * math.exp(_small(2 * self.log_output))

    @property
    def _products(self) -> Array:
        logs = self.log_variances[:, None] + self.log_variances[None, :]
        _small(float(np.max(logs)))
        return np.exp(logs)


def fluctuations(spec: ResNetSpec, *, cross_layer: bool = True) -> Fluctuations:
    r"""Fluctuations of the kernels of one input (``eq-ft-fluctuations``).

    Parameters
    ----------
    spec
        A network of single blocks; any skip, scales and activation.
    cross_layer
        ``False`` drops the correlation of the noise of different layers, :math:`S_{l\ne m}`, which
        the skip makes: for the comparison with a theory of independent layers only.

    Returns
    -------
    Fluctuations
        Relative errors are of the next order in the inverse width, times a growing function of the
        depth where kernels grow without bound. Cost ``O(k L^2)`` for ``k`` Hermite modes; of these
        24 suffice at the optimal scale, and a few hundred where a saturating activation is driven
        to variances above 10. Numerically exact to 1e-8, to 1e-2 at variances above about 100.

    Raises
    ------
    ValueError
        If the network is not of single blocks, is balanced or has correlated weights, or if the
        Hermite series of its activation does not converge.
    """
    check_single_blocks(spec)
    branch, logs = Branch.of(spec), stream_variances(spec).log
    k = np.exp(np.clip(logs, -LOG_LARGEST, LOG_LARGEST))
    correlation = np.exp(_log_correlation(spec, logs))
    noise = _noise(spec.activation, k, correlation)
    if not cross_layer:
        noise = np.diag(np.diagonal(noise))
    gains = np.asarray(spec.activation.gain(k))  # g / K
    absolute = noise * (gains[:, None] * gains[None, :])  # S over K^l K^m
    walk = _Propagator.of(spec, branch, logs)
    kernel = walk.apply(walk.apply(absolute).T).T
    # Cov of the mean of h_l^2 and that of phi(h_m)^2: 2 Cov(h_l, h_m)^2 g'(K^m), relative.
    slopes = np.asarray(spec.activation.second_moment_derivative(k))
    mixed = walk.apply((2 * correlation**2 * slopes[None, :]).T).T
    stream = kernel + mixed + mixed.T + 2 * correlation**2
    if spec.readout == "linear":
        log_output = math.log(spec.readout_variance) + float(logs[-1])
        return Fluctuations(logs, noise, kernel, stream, float(stream[-1, -1]), log_output)
    weights = np.zeros(spec.depth + 1)
    weights[-1] = 1.0
    weights += float(slopes[-1]) * walk.row()
    output = float(weights @ absolute @ weights) / float(gains[-1]) ** 2
    log_output = math.log(spec.readout_variance * float(gains[-1])) + float(logs[-1])
    return Fluctuations(logs, noise, kernel, stream, output, log_output)


@dataclass(frozen=True)
class _Propagator:
    """``M`` of ``eq-ft-propagator``, relative to the kernels, as a recursion over the layers."""

    factors: Array  # what one block makes of a relative deviation, shape (L,)
    sources: Array  # what it adds to one for a relative noise, shape (L,)

    @classmethod
    def of(cls, spec: ResNetSpec, branch: Branch, logs: Array) -> _Propagator:
        shrink = np.exp(logs[:-1] - logs[1:])
        slope = branch.slope(np.exp(np.clip(logs[:-1], -LOG_LARGEST, LOG_LARGEST)))
        squares = spec.scales**2
        return cls((spec.skip**2 + squares * slope) * shrink, squares * branch.outer * shrink)

    def apply(self, noise: Array) -> Array:
        """``M`` times a matrix of shape ``(L + 1, m)``."""
        out = np.zeros_like(noise)
        for layer, (factor, source) in enumerate(zip(self.factors, self.sources, strict=True)):
            out[layer + 1] = factor * out[layer] + source * noise[layer]
        return out

    def row(self) -> Array:
        """The last row of ``M``, shape ``(L + 1,)``, by the recursion downwards."""
        out, carried = np.zeros(self.factors.size + 1), 1.0
        for layer in range(self.factors.size - 1, -1, -1):
            out[layer] = carried * self.sources[layer]
            carried *= self.factors[layer]
        return out


def hermite_modes(activation: Activation, variances: Array, modes: int) -> Array:
    r""":math:`a_k(K)=E[\phi(\sqrt Kz)^2He_k(z)]/\sqrt{k!}` for ``k = 0..modes - 1``.

    Returns
    -------
    Modes, shape ``(variances, modes)``, by the trapezoidal rule on Hermite functions.
    """
    strip = _strip(activation) / math.sqrt(max(float(np.max(variances)), 1e-300))
    # The mode k oscillates with wave number sqrt(k); both it and the activation must be resolved.
    step = max(min(0.05, 1 / math.sqrt(modes), 0.17 * strip), 2 * _REACH / _MOST_NODES)
    nodes = np.linspace(-_REACH, _REACH, 2 * math.ceil(_REACH / step) + 1)
    out = np.zeros((variances.size, modes))
    for low in range(0, nodes.size, _NODES_PER_BLOCK):
        z = nodes[low : low + _NODES_PER_BLOCK]
        weight = np.exp(-z * z / 4) * math.sqrt((nodes[1] - nodes[0]) / math.sqrt(2 * math.pi))
        values = activation(np.sqrt(variances)[:, None] * z) ** 2
        out += (values * weight) @ _hermite_functions(z, weight, modes).T
    return out


def _hermite_functions(z: Array, first: Array, modes: int) -> Array:
    """Normalised Hermite polynomials times ``first``, shape ``(modes, z)``."""
    basis = np.empty((modes, z.size))
    basis[0], basis[1] = first, z * first
    for k in range(1, modes - 1):
        basis[k + 1] = (z * basis[k] - math.sqrt(k) * basis[k - 1]) / math.sqrt(k + 1)
    return basis


def _strip(activation: Activation) -> float:
    """Scale on which the activation varies; erf, which has no pole, by its steepness."""
    if isinstance(activation, Erf):
        return math.sqrt(math.pi) / 2 * activation.analytic_strip / activation.steepness
    return activation.analytic_strip


def _noise(activation: Activation, k: Array, correlation: Array) -> Array:
    """``S_lm / (g^l g^m)``, from the correlation of a coordinate at layers ``l`` and ``m``."""
    if isinstance(activation, (ReLU, LeakyReLU, Linear)):
        slope = {ReLU: 0.0, Linear: 1.0}.get(type(activation), getattr(activation, "slope", 0.0))
        even, odd = (1 + slope**2) / 2, (1 - slope**2) / 2
        products = 2 * (even * correlation) ** 2 + odd**2 * np.asarray(square_moment(correlation))
        return products / even**2
    modes = _converged_modes(activation, k)
    relative = modes[:, 1:] / modes[:, :1]
    out = np.zeros_like(correlation)
    for column in relative.T[::-1]:  # Horner
        out = correlation * (out + column[:, None] * column[None, :])
    return out


def _converged_modes(activation: Activation, k: Array) -> Array:
    from companion import _quadrature

    fourth = _quadrature.single(lambda u: activation(u) ** 4, k, _strip(activation))
    missing = math.inf
    for count in _MODE_COUNTS:
        modes = hermite_modes(activation, k, count)
        variance = np.maximum(fourth - modes[:, 0] ** 2, 1e-6 * fourth)
        missing = float(np.max((fourth - np.sum(modes**2, axis=1)) / variance))
        if missing < _MISSING or (count == _MODE_COUNTS[-1] and missing < _MISSING_AT_LAST):
            return modes
    raise ValueError(
        f"activation {activation!r} at variance {np.max(k):.3g} leaves {missing:.2g} of the "
        f"variance of its square outside {_MODE_COUNTS[-1]} Hermite modes; use a smoother one, a "
        "smaller scale, or influence_covariance, which samples."
    )


def _log_correlation(spec: ResNetSpec, logs: Array) -> Array:
    """``ln`` of the correlation of a coordinate at two layers, ``a^(m - l) sqrt(K^l / K^m)``."""
    layers = np.arange(spec.depth + 1)
    lag = np.abs(layers[:, None] - layers[None, :])
    if spec.skip == 0:
        return np.where(lag == 0, 0.0, -np.inf)
    earlier = np.minimum(layers[:, None], layers[None, :])
    later = np.maximum(layers[:, None], layers[None, :])
    return np.minimum((logs[earlier] - logs[later]) / 2 + lag * math.log(spec.skip), 0.0)


def check_single_blocks(spec: ResNetSpec) -> None:
    """Refuse networks whose noise the theory does not describe."""
    if spec.block != "single":
        raise ValueError(
            f"block must be 'single' for the fluctuations, got {spec.block!r}; the inner matrix of "
            "a two-layer block adds noise that is not in this theory."
        )
    if spec.balanced:
        raise ValueError(
            "balanced must be False for the fluctuations: random signs decouple the layers; for "
            "the log norm of such networks see companion.loggaussian."
        )


def _small(log: float) -> float:
    if log > LOG_LARGEST:
        raise OverflowError(
            f"the covariance is of size exp({log:.4g}), outside float64; use the relative one."
        )
    return log
