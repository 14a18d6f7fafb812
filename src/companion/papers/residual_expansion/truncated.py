"""Cells of the residual expansion that compare networks with their expansion, cut after an order.

Scales are reduced: multiples of ``1 / sqrt(depth)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from companion.montecarlo import Estimate
from companion.papers.residual_expansion.networks import network
from companion.simulate.jets import draws, kinks, transport, unexpanded
from companion.sweeps import moments

__all__ = ["FITTED", "explorer", "remainder", "truncation"]

Params = Mapping[str, Any]
Seed = np.random.SeedSequence
Array = NDArray[np.float64]

#: Orders between which the growth of the coefficients is fitted.
FITTED = (14, 32)

#: Order beyond which the orders of a ReLU network at reduced scale 1 are below rounding.
_ALL = 18

_CURVED = ("tanh", "erf")


def truncation(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Relative errors by scale and order, sizes of the orders, best orders and apparent radii.

    Errors and sizes are decadic logarithms, with their mean, least, median and largest over
    networks; the order with the least error has no mean.
    """
    scales, orders = np.array(params["scales"]), params["orders"]
    errors, sizes, radii = [], [], []
    for drawn in _networks(params, seed, device):
        jet = transport.taylor(drawn.tower, drawn.start, orders)
        streams = unexpanded.forward(drawn.tower, drawn.start, scales)
        errors.append(unexpanded.truncation_errors(jet, streams, scales)[..., 0])
        sizes.append(np.sqrt(jet.energies()[..., 0]))
        radii.append(_radius(jet))
    error = np.moveaxis(np.concatenate(errors, -1), -1, 0)
    logs = np.log10(np.maximum(error, _ROUNDING))
    size = np.log10(np.maximum(np.concatenate(sizes, -1).T, _ROUNDING))
    k = np.arange(orders + 1)
    parts = [_summary("error", s, k, logs[:, i]) for i, s in enumerate(scales)]
    best = np.argmin(error, axis=2)
    parts += [_range("best", scales, best), _range("best_error", scales, logs.min(2))]
    parts.append(_summary("size", 1.0, k, size))
    if params["activation"] in _CURVED:
        parts.append(_summary("radius", 1.0, -1, np.concatenate(radii)[:, None]))
    return pd.concat(parts, ignore_index=True)


def _radius(jet: transport.Jet) -> Array:
    """Apparent radius of every network; NaN if too few orders are known."""
    networks = jet.coefficients.shape[1]
    if jet.order < FITTED[1]:
        return np.full(networks, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # orders of a polynomial end
        return np.asarray(unexpanded.apparent_radius(jet, *FITTED)[:, 0])


#: Smaller relative errors are rounding.
_ROUNDING = 1e-17


def _networks(params: Params, seed: Seed, device: str) -> Any:
    """Networks whose scale 1 is the reduced scale 1."""
    return draws.draw(
        network({"exponent": 0.5, **params}),
        params.get("networks", 1),
        seed=seed,
        dtype="float64",
        device=device,
    )


def _summary(kind: str, x: Any, entry: Any, samples: Array) -> pd.DataFrame:
    """Mean with error, least, median and largest of ``samples`` (networks, rows)."""
    mean = Estimate.mean(samples)
    return pd.DataFrame(
        {
            "kind": kind,
            "x": x,
            "entry": entry,
            "value": mean.value,
            "value_sem": mean.sem,
            "low": samples.min(0),
            "middle": np.median(samples, axis=0),
            "high": samples.max(0),
        }
    )


def _range(kind: str, x: Array, samples: Array) -> pd.DataFrame:
    """Least, median and largest of ``samples`` (networks, rows)."""
    return pd.DataFrame(
        {
            "kind": kind,
            "x": x,
            "entry": -1,
            "low": samples.min(0),
            "middle": np.median(samples, axis=0),
            "high": samples.max(0),
        }
    )


def remainder(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Mean squared remainder beyond order 2, and for ReLU that beyond all orders.

    With ``orders=2`` the latter is left out.
    """
    scales, relu = np.array(params["scales"]), params["activation"] == "relu"
    highest = params.get("orders", _ALL if relu else 2)
    spec, networks = network({"exponent": 0.5, **params}), params["networks"]
    second, frozen = (np.empty((networks, len(scales))) for _ in range(2))
    for drawn in draws.draw(spec, networks, seed=seed, dtype="float64", device=device):
        jet = transport.taylor(drawn.tower, drawn.start, highest)
        streams = unexpanded.forward(drawn.tower, drawn.start, scales)
        for i, (scale, stream) in enumerate(zip(scales, streams, strict=True)):
            sums = jet.partial_sums(scale)
            for order, out in ((2, second), (-1, frozen)):
                gap = stream[:, 0] - sums[order][:, 0]
                out[drawn.keep, i] = np.square(gap).sum(-1) / spec.width
    parts = [_moments("second", scales, second)]
    if highest == _ALL:
        parts.append(_moments("frozen", scales, frozen))
    return pd.concat(parts, ignore_index=True)


def _moments(kind: str, x: Array, samples: Array) -> pd.DataFrame:
    frame = pd.DataFrame({"kind": kind, "x": x})
    return frame.assign(**moments.columns("value", samples))


def explorer(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Relative errors of one network by scale and order, with its first kink or apparent radius."""
    scales, orders = np.array(params["scales"]), params["orders"]
    (drawn,) = _networks({**params, "networks": 1}, seed, device)
    jet = transport.taylor(drawn.tower, drawn.start, orders)
    streams = unexpanded.forward(drawn.tower, drawn.start, scales)
    errors = unexpanded.truncation_errors(jet, streams, scales).reshape(len(scales), -1)
    x, k = np.meshgrid(scales, np.arange(orders + 1), indexing="ij")
    kink = radius = float("nan")
    if params["activation"] == "relu":
        kink = float(np.ravel(kinks.first_kink(drawn.tower, drawn.start))[0])
    if params["activation"] in _CURVED:
        radius = float(_radius(jet)[0])
    return pd.DataFrame(
        {
            "x": x.ravel(),
            "entry": k.ravel(),
            "error": errors.ravel(),
            "kink": kink,
            "radius": radius,
        }
    )
