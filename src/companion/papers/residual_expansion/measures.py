r"""What a trained network is measured by: geometric complexity, coherence, energies of its orders.

For two-layer ReLU networks whose weights were kept, in NumPy and float64, exactly: the network is
linear near an input, so one pass forward gives the masks, and products of matrices do the rest.

Notation
--------
===================================  ========================  ==============================
symbol                               name                      book label
===================================  ========================  ==============================
:math:`h_l=h_{l-1}+s_lF_l(h_{l-1})`  ``streams``               ``eq-re-model``
:math:`V_l,\ W_l`                    ``outer, inner``          ``eq-re-block``
:math:`h^{(k)}`, masks as they are   ``order_energies``        ``eq-re-paths``
:math:`\mathrm{GC}`                  ``geometric_complexity``  ``eq-re-geometric-complexity``
coherence                            ``coherence``             ``eq-re-coherence``
===================================  ========================  ==============================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion.architecture import ResNetSpec
from companion.training import Weights

__all__ = ["Trace", "coherence", "geometric_complexity", "order_energies", "trace"]

Array = NDArray[np.float64]

#: Added to variances by the normalisations of the training loop (the default of PyTorch).
_EPSILON = 1e-5


@dataclass(frozen=True)
class Trace:
    """One pass forward.

    Attributes
    ----------
    weights : mapping of str to ndarray
        Float64; ``outer`` carries the scale of its branch.
    streams : ndarray, shape (depth + 1, inputs, width)
        From the input map to the end.
    masks : ndarray of float, shape (depth, inputs, width)
        1 for active units.
    normalisation : str
        One of ``Settings.NORMALISATIONS``.
    """

    weights: dict[str, Array]
    streams: Array
    masks: Array
    normalisation: str


def trace(
    weights: Weights, spec: ResNetSpec, inputs: NDArray[Any], normalisation: str = "none"
) -> Trace:
    """Run a network forward on inputs of shape (inputs, features).

    Raises
    ------
    ValueError
        For other blocks than two matrices around a ReLU without bias.
    """
    if weights.inner is None or weights.bias is not None or spec.activation.name != "relu":
        raise ValueError(
            "weights must be those of two-layer ReLU blocks without bias, got "
            f"block={spec.block!r}, activation={spec.activation!r}; train "
            "ResNetSpec.residual_expansion(...)"
        )
    names = ("input", "inner", "outer", "readout", "mean", "variance")
    kept = {n: np.asarray(v, np.float64) for n in names if (v := getattr(weights, n)) is not None}
    kept["outer"] = kept["outer"] * spec.scales[:, None, None]
    found = Trace(
        kept,
        np.empty((spec.depth + 1, len(inputs), spec.width)),
        np.empty((spec.depth, len(inputs), spec.width)),
        normalisation,
    )
    found.streams[0] = inputs.astype(np.float64) @ kept["input"].T
    for layer in range(spec.depth):
        z = _normalised(found, layer) @ kept["inner"][layer].T
        found.masks[layer] = z > 0
        found.streams[layer + 1] = (
            found.streams[layer] + (found.masks[layer] * z) @ kept["outer"][layer].T
        )
    return found


def geometric_complexity(found: Trace) -> tuple[float, float]:
    """Mean over the inputs of the squared Frobenius norm of the Jacobian in the input.

    Returns
    -------
    features, logits : float
        Of the end of the stream, before any normalisation of it, and of the logits; batch
        normalisation with its statistics fixed.
    """
    w, width = found.weights, found.streams.shape[2]
    count = found.streams.shape[1]
    ends = (np.eye(width), w["readout"])
    rows = [np.broadcast_to(end, (count, *end.shape)) for end in ends]
    rows[1] = _pull_norm(found, -1, rows[1])
    p = np.concatenate(rows, axis=1)  # gradients in the stream, one row per output
    for layer in reversed(range(len(found.masks))):
        q = (p @ w["outer"][layer] * found.masks[layer][:, None]) @ w["inner"][layer]
        p = p + _pull_norm(found, layer, q)
    squared = np.sum((p @ w["input"]) ** 2, axis=2).mean(0)
    return float(squared[:width].sum()), float(squared[width:].sum())


def coherence(found: Trace) -> float:
    """Squared norm of the sum of the branches over the sum of their squared norms.

    Along the pass forward, mean over the inputs; 1 for independent branches, the depth for equal
    ones, NaN if the branches vanish.
    """
    branches = np.diff(found.streams, axis=0)
    parts = np.sum(branches**2, axis=(0, 2))
    if not np.all(parts > 0):
        return float("nan")
    return float(np.mean(np.sum(branches.sum(0) ** 2, axis=1) / parts))


def order_energies(found: Trace, largest: int) -> dict[tuple[str, float], float]:
    """Energies of the orders at the masks of the network, relative to the start of the stream.

    Parameters
    ----------
    found : Trace
        Without normalisation.
    largest : int
        Order up to which the network is split.

    Returns
    -------
    dict
        Means over the inputs: ``("order", k)``; ``("members", -1)``, the sum over all orders
        up to the largest; ``("total", -1)``, the stream itself; ``("coherence", -1)``.

    Raises
    ------
    ValueError
        For a network with normalisation, whose blocks are not piecewise linear.
    """
    if found.normalisation != "none":
        raise ValueError(
            f"normalisation must be 'none', got {found.normalisation!r}; normalised blocks have no "
            "path decomposition"
        )
    start = found.streams[0]
    parts = np.zeros((largest + 1, *start.shape))
    parts[0] = start
    for layer, mask in enumerate(found.masks):
        branch = (parts[:-1] @ found.weights["inner"][layer].T * mask) @ found.weights["outer"][
            layer
        ].T
        parts[1:] += branch
    size = np.sum(start**2, axis=1)
    energies = np.mean(np.sum(parts**2, axis=2) / size, axis=1)
    total = np.mean(np.sum(found.streams[-1] ** 2, axis=1) / size)
    return {
        **{("order", float(k)): float(energy) for k, energy in enumerate(energies)},
        ("members", -1.0): float(energies.sum()),
        ("total", -1.0): float(total),
        ("coherence", -1.0): coherence(found),
    }


def _normalised(found: Trace, place: int) -> Array:
    h = found.streams[place]
    if found.normalisation == "none":
        return h
    mean, deviation = _statistics(found, place)
    return np.asarray((h - mean) / deviation)


def _statistics(found: Trace, place: int) -> tuple[Array, Array]:
    """What is subtracted from the stream, and what it is divided by; broadcast to it."""
    if found.normalisation == "batch":
        w = found.weights
        return w["mean"][place], np.sqrt(w["variance"][place] + _EPSILON)
    h = found.streams[place]
    return h.mean(1, keepdims=True), np.sqrt(h.var(1, keepdims=True) + _EPSILON)


def _pull_norm(found: Trace, place: int, rows: Array) -> Array:
    """Gradients of shape (inputs, outputs, width) through a normalisation, backwards."""
    if found.normalisation == "none":
        return rows
    _, deviation = _statistics(found, place)
    if found.normalisation == "batch":
        return np.asarray(rows / deviation)
    y = _normalised(found, place)[:, None]
    centred = rows - rows.mean(2, keepdims=True) - y * np.mean(rows * y, axis=2, keepdims=True)
    return np.asarray(centred / deviation[:, None])
