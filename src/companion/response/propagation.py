r"""Responses of kernels to kernels of the input, layer by layer, in logarithms.

Notation, with the labels of the book, is at the top of :mod:`companion.response`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._activation import GaussianPair
from companion.architecture import ResNetSpec
from companion.kernels import Branch, pair_layers, stream_variances, symmetric_gram
from companion.kernels.walk import PAIRS_PER_BLOCK

__all__ = [
    "PairResponse",
    "Response",
    "diagonal_response",
    "gram_response",
    "jacobian_response",
    "pair_response",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Response:
    """Natural logarithms of one response along the network.

    Attributes
    ----------
    log_stream
        ``ln dK^l/dK^0`` at ``l = 0..L``, shape ``(L + 1, *inputs)``; the first is 0.
    log_output
        ``ln dK^y/dK^0``, shape ``inputs``.
    """

    log_stream: Array
    log_output: Array


@dataclass(frozen=True)
class PairResponse:
    r"""Responses of the three kernels of a pair of inputs (``eq-ft-pair-response``).

    Attributes
    ----------
    first, second
        :math:`\chi_{11,11}` and :math:`\chi_{22,22}`, each the response of one input.
    cross
        :math:`\chi_{12,12}`.
    mixed_first, mixed_second
        :math:`\chi_{12,11}` and :math:`\chi_{12,22}` divided by :math:`\chi_{12,12}`, shape
        ``(L + 2, *pairs)``: the stream at ``l = 0..L``, then the output. They have either sign.
    """

    first: Response
    second: Response
    cross: Response
    mixed_first: Array
    mixed_second: Array

    @property
    def output(self) -> Array:
        """Jacobian of the outputs ``(K_11, K_22, K_12)``, linear, shape ``(*pairs, 3, 3)``."""
        jacobian = np.zeros((*self.cross.log_output.shape, 3, 3))
        cross = np.exp(self.cross.log_output)
        jacobian[..., 0, 0] = np.exp(self.first.log_output)
        jacobian[..., 1, 1] = np.exp(self.second.log_output)
        jacobian[..., 2, 2] = cross
        jacobian[..., 2, 0] = self.mixed_first[-1] * cross
        jacobian[..., 2, 1] = self.mixed_second[-1] * cross
        return jacobian


def diagonal_response(spec: ResNetSpec, variances: ArrayLike | None = None) -> Response:
    """Response of an input's variance to itself (``eq-ft-response``).

    Parameters
    ----------
    variances
        ``K^0``, any shape; default the ``input_variance`` of the network.

    Returns
    -------
    Response
        Of the stream and, with the factor of the readout (``eq-ft-output-response``), of the
        output.

    Raises
    ------
    ValueError
        If a variance is negative, or a response is negative, which takes an activation whose
        second moment falls with the variance.
    """
    return _single_input(spec, variances, squared=False)


def jacobian_response(spec: ResNetSpec, variances: ArrayLike | None = None) -> Response:
    r"""Mean squared input-output Jacobian per unit of input kernel (``eq-ft-jacobian-response``).

    The limit of the response :math:`\chi_{12,12}` at equal inputs; for a saturating activation it
    is larger than the diagonal response. Parameters, return value and errors as
    `diagonal_response`.
    """
    return _single_input(spec, variances, squared=True)


def pair_response(spec: ResNetSpec, p1: ArrayLike, p2: ArrayLike, q: ArrayLike) -> PairResponse:
    """Responses of pairs of inputs (``eq-ft-pair-response``).

    Parameters
    ----------
    p1, p2, q
        ``K^0`` of the pairs: the two variances and the covariance; broadcast together.

    Returns
    -------
    PairResponse

    Raises
    ------
    ValueError
        If ``|q|`` exceeds ``sqrt(p1 p2)``, or as `diagonal_response`.
    """
    start = GaussianPair.of(p1, p2, q)
    shape, size = start.q.shape, start.q.size
    path = stream_variances(spec, np.concatenate([start.p1.ravel(), start.p2.ravel()]))
    first, second = np.arange(size), size + np.arange(size)
    own = [diagonal_response(spec, start.p1.ravel()), diagonal_response(spec, start.p2.ravel())]
    branch, readout = Branch.of(spec), Branch.of_readout(spec)
    cross, ratios = np.zeros((spec.depth + 1, size)), np.zeros((2, spec.depth + 2, size))
    squares = [*(spec.scales**2).tolist(), 0.0]
    walk = pair_layers(spec, path, first, second, start.q.ravel() / path.units[0], slopes=True)
    for layer, (v1, v2, c, slope) in enumerate(walk):
        if layer < spec.depth:
            step, block, square = _log_factor(spec, squares[layer], slope), branch, squares[layer]
            top = cross[layer + 1] = cross[layer] + step
        elif spec.readout == "activation":
            block, square = readout, 1.0
            moment = readout.activation.pair_derivative(v1, v2, _clip(v1, v2, c))
            top = output = cross[-1] + _log_positive(readout.outer * np.asarray(moment))
        else:
            ratios[:, -1], output = ratios[:, -2], cross[-1] + np.log(spec.readout_variance)
            break
        for row, (a, b), mine in zip(ratios, ((v1, v2), (v2, v1)), own, strict=True):
            gain = square * block.variance_slope(a, b, _clip(a, b, c))
            row[layer + 1] = row[layer] + gain * np.exp(mine.log_stream[layer] - top)
    return PairResponse(
        _shaped(own[0], shape),
        _shaped(own[1], shape),
        _shaped(Response(cross, output), shape),
        ratios[0].reshape(-1, *shape),
        ratios[1].reshape(-1, *shape),
    )


def gram_response(spec: ResNetSpec, gram: ArrayLike) -> Array:
    r"""Log output response of every kernel of ``N`` inputs to itself, shape ``(N, N)``.

    Entry :math:`(\alpha,\beta)` is :math:`\ln\partial K^y_{\alpha\beta}/\partial
    K^0_{\alpha\beta}`: :math:`\chi_{12,12}` off the diagonal, :math:`\chi_{11,11}` on it.

    Parameters
    ----------
    gram
        ``K^0`` as for `companion.kernels.stream_kernels`.

    Raises
    ------
    ValueError
        As `companion.kernels.stream_kernels` and `diagonal_response`.
    """
    start = symmetric_gram(gram)
    path = stream_variances(spec, np.diagonal(start))
    first, second = np.triu_indices(start.shape[0], 1)
    squares, packed = (spec.scales**2).tolist(), np.empty(first.size)
    for low in range(0, first.size, PAIRS_PER_BLOCK):
        i, j = first[low : low + PAIRS_PER_BLOCK], second[low : low + PAIRS_PER_BLOCK]
        total = np.zeros(i.size)
        walk = pair_layers(spec, path, i, j, start[i, j] / path.units[0], slopes=True)
        for layer, (v1, v2, c, slope) in enumerate(walk):
            if layer < spec.depth:
                total += _log_factor(spec, squares[layer], slope)
            else:
                total += _log_readout(spec, v1, v2, c)
        packed[low : low + PAIRS_PER_BLOCK] = total
    out = np.diag(diagonal_response(spec, np.diagonal(start)).log_output)
    out[first, second] = out[second, first] = packed
    return out


def _single_input(spec: ResNetSpec, variances: ArrayLike | None, squared: bool) -> Response:
    path = stream_variances(spec, variances)
    branch, readout = Branch.of(spec), Branch.of_readout(spec)
    log_stream = np.zeros(path.normalized.shape)
    for layer, square in enumerate((spec.scales**2).tolist()):
        k = path.normalized[layer]
        slope = branch.squared_slope(k) if squared else branch.slope(k)
        log_stream[layer + 1] = log_stream[layer] + _log_factor(spec, square, slope)
    if spec.readout == "linear":
        return Response(log_stream, log_stream[-1] + np.log(spec.readout_variance))
    top = path.normalized[-1]
    last = readout.squared_slope(top) if squared else readout.slope(top)
    return Response(log_stream, log_stream[-1] + _log_positive(last))


def _log_readout(spec: ResNetSpec, p1: Array, p2: Array, q: Array) -> Array | float:
    if spec.readout == "linear":
        return float(np.log(spec.readout_variance))
    slope = spec.activation.pair_derivative(p1, p2, _clip(p1, p2, q))
    return _log_positive(spec.readout_variance * np.asarray(slope))


def _log_factor(spec: ResNetSpec, square: float, slope: Array) -> Array:
    """``ln(a^2 + s^2 slope)``."""
    if spec.skip != 1.0 or np.any(slope < 0):
        return _log_positive(spec.skip**2 + square * slope)
    return np.log1p(square * slope)


def _log_positive(values: Array) -> Array:
    if np.any(values < 0):
        raise ValueError(
            f"the response of a layer must not be negative to have a logarithm, got "
            f"{np.min(values):g}; this activation is not monotone enough, use another one."
        )
    with np.errstate(divide="ignore"):
        return np.log(values)


def _clip(p1: Array, p2: Array, q: Array) -> Array:
    """``q`` without the rounding by which it may exceed ``sqrt(p1 p2)``."""
    scale = np.where(p1 == p2, p1, np.sqrt(p1) * np.sqrt(p2))
    return np.clip(q, -scale, scale)


def _shaped(response: Response, shape: tuple[int, ...]) -> Response:
    return Response(response.log_stream.reshape(-1, *shape), np.reshape(response.log_output, shape))
