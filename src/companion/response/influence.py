r"""Fluctuations of kernels of several inputs, by the influence of one neuron's path.

Notation, with the labels of the book, is at the top of :mod:`companion.response`.

To leading order in the inverse width an empirical kernel is its mean plus the average over the
neurons of an influence :math:`\psi=\sum_lw_l\cdot\phi_\alpha\phi_\beta(h_l)` along the path
:math:`h_0,\dots,h_L` of one neuron. In the mean-field limit these paths are independent, with
Gaussian increments of covariance :math:`s^2F(K)`; the weights follow from the responses by a
recursion from the output down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import choice, positive_integer
from companion.architecture import ResNetSpec
from companion.kernels import Branch, stream_kernels
from companion.montecarlo import Estimate
from companion.response.finite_width import check_single_blocks

__all__ = ["influence_covariance", "influence_weights"]

Array = NDArray[np.float64]

#: Paths that share one random stream; the unit of randomness.
PATHS_PER_BLOCK = 2**14


def influence_covariance(
    spec: ResNetSpec,
    gram: ArrayLike,
    *,
    samples: int,
    seed: int | np.random.SeedSequence,
    of: str = "output",
) -> Estimate:
    r"""``n`` times the covariance of empirical kernels of several inputs (``eq-ft-influence``).

    Parameters
    ----------
    spec
        A network of single blocks whose kernels stay within the range of float64.
    gram
        ``K^0`` of ``k`` inputs, shape ``(k, k)``, positive semi-definite.
    samples
        Number of paths of one neuron, at least 2.
    seed
        Root seed; the result depends on it and on ``samples`` alone.
    of
        ``"output"`` for :math:`\sigma_{out}^2\phi_\alpha(h_L)\cdot\phi_\beta(h_L)/n` (of
        :math:`h_L` itself with a linear readout), ``"stream"`` for
        :math:`h_{L,\alpha}\cdot h_{L,\beta}/n`.

    Returns
    -------
    Estimate
        Covariance matrix of the pairs ``(0, 0), (0, 1), .., (1, 1), ..``, in the order of
        ``numpy.triu_indices(k)``: leading order in the inverse width, with the error of the
        sampling.

    Raises
    ------
    ValueError
        If the network or ``gram`` is not of this kind.
    """
    check_single_blocks(spec)
    count, what = positive_integer(samples, "samples"), choice(of, "of", ("output", "stream"))
    kernels = stream_kernels(spec, gram, layers=range(spec.depth + 1)).values
    weights = influence_weights(spec, kernels, what)
    roots = _increment_roots(spec, kernels)
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    rows = []
    for index, start in enumerate(range(0, count, PATHS_PER_BLOCK)):
        key = (*sequence.spawn_key, index)
        rng = np.random.default_rng(np.random.SeedSequence(sequence.entropy, spawn_key=key))
        block = _influences(spec, roots, weights, rng)
        rows.append(block[: count - start])
    psi = np.concatenate(rows)
    return Estimate.covariance(psi[:, :, None], psi[:, None, :])


def influence_weights(spec: ResNetSpec, kernels: Array, of: str) -> tuple[Array, Array]:
    """Weights of every layer, and of the products of the last stream itself.

    Returns
    -------
    weights, direct
        Shapes ``(L + 1, P, P)``, for every observed pair (middle axis) the weights of the products
        of activations of all pairs (last axis), and ``(P,)``.
    """
    branch, readout = Branch.of(spec), Branch.of_readout(spec)
    pairs = kernels.shape[1] * (kernels.shape[1] + 1) // 2
    weights, identity = np.zeros((spec.depth + 1, pairs, pairs)), np.eye(pairs)
    through = of == "output" and spec.readout == "activation"
    direct = np.full(pairs, 0.0 if through else 1.0)
    if of == "output" and not through:
        direct *= spec.readout_variance
    if through:
        weights[-1] = readout.outer * identity
        carried = _slopes(readout, kernels[-1])
    else:
        carried = np.diag(direct)
    for layer in range(spec.depth - 1, -1, -1):
        square = float(spec.scales[layer]) ** 2
        weights[layer] = square * branch.outer * carried
        carried = spec.skip**2 * carried + square * carried @ _slopes(branch, kernels[layer])
    return weights, direct


def _slopes(branch: Branch, kernel: Array) -> Array:
    """Derivative of the pairs' ``F`` by the pairs' kernels, shape ``(P, P)``."""
    first, second = np.triu_indices(kernel.shape[0])
    place = np.zeros(kernel.shape, dtype=np.intp)
    place[first, second] = np.arange(first.size)
    out = np.zeros((first.size, first.size))
    for row, (i, j) in enumerate(zip(first, second, strict=True)):
        p1, p2, q = kernel[i, i], kernel[j, j], kernel[i, j]
        if i == j:
            out[row, row] = float(branch.slope(p1))
            continue
        scale = np.sqrt(p1 * p2)
        q = min(max(q, -scale), scale)
        at = np.array([p1]), np.array([p2]), np.array([q])
        out[row, row] = float(branch.pair_with_slope(*at)[1][0])
        out[row, place[i, i]] = float(branch.variance_slope(p1, p2, q))
        out[row, place[j, j]] = float(branch.variance_slope(p2, p1, q))
    return out


def _increment_roots(spec: ResNetSpec, kernels: Array) -> Array:
    """Roots of the covariances of ``h_0`` and of the increments, shape ``(L + 1, k, k)``."""
    steps = np.concatenate([kernels[:1], kernels[1:] - spec.skip**2 * kernels[:-1]])
    values, vectors = np.linalg.eigh(steps)
    least = -1e-8 * np.max(np.abs(kernels))
    if np.min(values) < least:
        raise ValueError(
            f"gram must be positive semi-definite, got the eigenvalue {np.min(values[0]):g}; pass "
            "the kernel of actual inputs."
        )
    return vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]


def _influences(
    spec: ResNetSpec, roots: Array, weights: tuple[Array, Array], rng: np.random.Generator
) -> Array:
    """The influence of every pair along a block of paths, shape ``(paths, P)``."""
    size = roots.shape[1]
    first, second = np.triu_indices(size)
    h = np.zeros((PATHS_PER_BLOCK, size))
    total = np.zeros((PATHS_PER_BLOCK, first.size))
    for layer, root in enumerate(roots):
        h = (spec.skip if layer else 1.0) * h + rng.standard_normal(h.shape) @ root.T
        features = np.asarray(spec.activation(h))
        total += (features[:, first] * features[:, second]) @ weights[0][layer].T
    return total + weights[1] * (h[:, first] * h[:, second])
