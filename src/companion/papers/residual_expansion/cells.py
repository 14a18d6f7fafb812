"""Cells of the residual expansion that simulate networks: orders, path lengths, Jacobians, kinks.

Energies are squared lengths over that of the input, and 1 at order 0. `truncated` has
the cells that follow single networks order by order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from companion.papers.residual_expansion.networks import covariance, kink_unit, network
from companion.simulate import blocks
from companion.simulate.jets import draws, sampling, tower, transport, unexpanded
from companion.sweeps import moments

__all__ = ["correlation", "jacobian", "kink", "paths", "prenorm", "smooth"]

Params = Mapping[str, Any]
Seed = np.random.SeedSequence
Array = NDArray[np.float64]

#: Pairs of orders whose covariance is followed.
_PAIRS = ((1, 2), (1, 3), (2, 3))

#: Longest path of a normalised network that is followed; longer ones carry less than rounding.
_LONGEST = 40

#: Networks in one block of correlated networks, whose layers are mixed all at once.
_BLOCK = 4


def _rows(kind: str, x: Any, name: str, samples: Array) -> pd.DataFrame:
    """Moments of ``samples`` (networks, rows), one row for each element of ``x``."""
    frame = pd.DataFrame({"kind": kind, "x": x, "entry": -1})
    return frame.assign(**moments.columns(name, samples))


def _covariances(gram: Array, name: str) -> pd.DataFrame:
    """Rows of the covariances of two orders, ``x`` the lower one, ``entry`` the higher."""
    low, high = (np.array(part) for part in zip(*_PAIRS, strict=True))
    return _rows("cross", low, name, gram[:, low, high]).assign(entry=high)


def paths(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Energies of the orders, covariances of some, and the energy of the whole stream."""
    if not params["networks"]:  # theory alone
        return pd.DataFrame({"kind": ["total"], "x": -1, "entry": -1})
    found = sampling.sample_orders(
        network(params),
        params["networks"],
        params["orders"],
        seed=seed,
        masks=params["masks"],
        device=device,
    )
    energies = found.energies
    parts = [
        _rows("order", np.arange(1, params["orders"] + 1), "energy", energies[:, 1:]),
        _rows("total", [-1], "energy", found.total[:, None]),
        _covariances(found.gram, "energy"),
    ]
    return pd.concat(parts, ignore_index=True)


def jacobian(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Squared length of ``J v`` for ``v`` on the sphere, by order, in total, and its logarithm."""
    found = sampling.sample_orders(
        network({**params, "activation": "relu"}),
        params["networks"],
        params["orders"],
        seed=seed,
        masks="actual",
        tangent=True,
        device=device,
    )
    energies = found.energies
    parts = [
        _rows("order", np.arange(1, params["orders"] + 1), "value", energies[:, 1:]),
        _rows("total", [-1], "value", found.total[:, None]),
        _rows("log", [-1], "value", np.log(found.total)[:, None]),
    ]
    return pd.concat(parts, ignore_index=True)


def prenorm(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Shares of the energy by path length, linear blocks on the input over its rms.

    The orders are those of the network that is left when the rms of its forward pass are kept as
    constants.
    """
    depth, longest = params["depth"], min(params["depth"], _LONGEST)
    spec = network({**params, "activation": "linear"}, 1.0)
    energies = np.empty((params["networks"], longest + 1))
    for drawn in draws.draw(spec, params["networks"], seed=seed, dtype="float64", device=device):
        matrices, start = drawn.tower.outer.cpu().numpy(), drawn.start.cpu().numpy()
        scales = _inverse_rms(matrices, start)
        network_ = tower.Tower(matrices, activation="linear", relative_scales=scales)
        energies[drawn.keep] = transport.taylor(network_, start, longest).energies()[..., 0].T
    k = np.arange(longest + 1)
    shares = energies / energies.sum(1, keepdims=True)
    mean = shares @ k
    parts = [
        _rows("share", k[1:], "value", energies[:, 1:] / (depth + 1)),
        _rows("mean", [-1], "value", mean[:, None]),
        _rows("variance", [-1], "value", (shares @ k**2 - mean**2)[:, None]),
    ]
    return pd.concat(parts, ignore_index=True)


def _inverse_rms(matrices: Array, start: Array) -> Array:
    """One over the rms of the stream before each block, shape (depth, networks)."""
    h, scales = start, []
    for matrix in matrices:
        scale = np.mean(h**2, axis=-1, keepdims=True) ** -0.5
        h = h + (scale * h) @ matrix.transpose(0, 2, 1)
        scales.append(scale[:, 0, 0])
    return np.array(scales)


def smooth(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Energies of the orders of networks with a curved activation, and covariances of some."""
    orders = params["orders"]
    found = sampling.sample_orders(
        network(params), params["networks"], orders, seed=seed, device=device
    )
    energies = found.energies
    parts = [
        _rows("energy", np.arange(1, orders + 1), "value", energies[:, 1:]),
        _covariances(found.gram, "value"),
    ]
    return pd.concat(parts, ignore_index=True)


def kink(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Shares of the first kink over `kink_unit` in bins, and its first two moments."""
    low, high, bins = params["edges"]
    spec = network({**params, "activation": "relu"}, kink_unit(params))
    found = sampling.sample_kinks(
        spec, params["networks"], seed=seed, limit=_LATEST, device=device
    )[:, 0]
    edges = np.linspace(low, high, bins + 1)
    inside = np.searchsorted(edges, found, side="right")[:, None] == np.arange(1, bins + 1)
    parts = [
        _rows("density", (edges[1:] + edges[:-1]) / 2, "value", inside.astype(float)),
        _rows("mean", [-1.0], "value", found[:, None]),
        _rows("square", [-1.0], "value", found[:, None] ** 2),
    ]
    return pd.concat(parts, ignore_index=True).drop(columns="entry")


#: Kinks are looked for up to this multiple of their unit.
_LATEST = 40.0


def correlation(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Energies of the orders at scale 1, and totals at multiples of the scale of unit order 1."""
    depth, n, orders = params["depth"], params["width"], params["orders"]
    g = covariance(params["law"], params["parameter"], depth)
    lag = np.abs(np.subtract.outer(np.arange(depth), np.arange(depth)))
    critical = float(g[lag].sum() ** -0.5)
    scales = critical * np.array(params["ratios"])
    factor = _root(g[lag])
    norms = np.empty((params["networks"], orders + 1))
    totals = np.empty((params["networks"], len(scales)))
    where, kind = blocks.resolve_device(device), blocks.resolve_dtype("float64")
    for block in blocks.batches(params["networks"], _BLOCK, seed=seed, device=where, dtype=kind):
        noise = block.noise.normal(block.networks, depth, n * n).cpu().numpy()
        mixed = (factor @ noise / n**0.5).reshape(block.networks, depth, n, n)
        start = block.noise.normal(block.networks, 1, n).cpu().numpy()
        start = start * (n**0.5 / np.linalg.norm(start, axis=-1, keepdims=True))
        network_ = tower.Tower(np.swapaxes(mixed, 0, 1), activation="linear")
        kept = block.keep.stop - block.keep.start
        norms[block.keep] = transport.taylor(network_, start, orders).energies()[:, :kept, 0].T
        ends = np.asarray(unexpanded.forward(network_, start, scales))[:, :, 0]
        totals[block.keep] = (np.square(ends).sum(-1).T / n)[:kept]
    parts = [
        _rows("order", np.arange(1.0, orders + 1), "value", norms[:, 1:]),
        _rows("total", params["ratios"], "value", totals),
    ]
    return pd.concat(parts, ignore_index=True).drop(columns="entry")


def _root(matrix: Array) -> Array:
    """Symmetric square root of a covariance, which may be singular."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
