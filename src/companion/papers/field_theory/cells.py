"""Cells of the field-theory experiments that simulate networks, with the theory put beside them.

A function of one name in two parts: the cell simulates, and what ends in ``_table`` makes the rows
presentable, so that a change of theory voids nothing that was computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from companion import response
from companion.architecture import ResNetSpec
from companion.kernels import stream_variances
from companion.montecarlo import Estimate
from companion.simulate import kernels as empirical
from companion.simulate import responses
from companion.sweeps import moments

__all__ = [
    "CURVE",
    "accumulation",
    "children",
    "fluctuations",
    "fluctuations_table",
    "kernels",
    "kernels_table",
    "network",
    "output_response",
    "output_response_table",
    "settings",
]

Params = Mapping[str, Any]
Seed = np.random.SeedSequence

#: Branch scales at which curves are computed.
CURVE = tuple(float(s) for s in np.round(np.geomspace(0.01, 3.0, 121), 6))

#: Width of the networks of `accumulation`.
_ACCUMULATION_WIDTH = 400


def network(params: Params, scale: float | None = None) -> ResNetSpec:
    """Network of a cell; ``scale`` overrides that of the parameters."""
    return ResNetSpec.field_theory(
        params["depth"],
        params.get("width", 1),
        params["scale"] if scale is None else scale,
        sigma_w2=params["weight_variance"],
        sigma_b2=params["bias_variance"],
        K0=params["input_variance"],
        activation=params.get("activation", "erf"),
    )


def settings(params: Params) -> response.Settings:
    """What the optimal scale of a cell depends on."""
    return response.Settings.of(network(params, 0.0))


def children(seed: Seed, count: int) -> list[Seed]:
    """Seeds by position; ``seed.spawn`` would count its calls and make the cell impure."""
    return [Seed(seed.entropy, spawn_key=(*seed.spawn_key, index)) for index in range(count)]


def kernels(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Means of the kernel and of its response at every layer, from independent networks."""
    spec, (first, second) = network(params), children(seed, 2)
    sampled = empirical.sample(spec, params["networks"], seed=first, device=device)
    changed = responses.sample(
        spec, params["networks"], seed=second, weights="implicit", device=device
    )
    kernel = Estimate.mean(sampled.stream[:, :, 0, 0])
    slope = Estimate.mean(changed.stream["variance"])
    return pd.DataFrame(
        {
            "layer": np.arange(spec.depth + 1),
            "kernel": kernel.value,
            "kernel_sem": kernel.sem,
            "response": slope.value,
            "response_sem": slope.sem,
        }
    )


def kernels_table(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Mean kernel and response of the infinitely wide network beside the simulated ones."""
    spec = network(params)
    return frame.assign(
        kernel_theory=np.exp(stream_variances(spec).log),
        response_theory=np.exp(response.diagonal_response(spec).log_stream),
    )


def output_response(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Response of the output of networks for every scale in ``scales``."""
    rows = []
    scales = params["scales"]
    for scale, child in zip(scales, children(seed, len(scales)), strict=True):
        found = responses.sample(
            network(params, scale),
            params["networks"],
            seed=child,
            layers=[0],
            weights=params["weights"],
            device=device,
        )
        mean = Estimate.mean(found.output["variance"])
        rows.append((float(scale), float(mean.value), float(mean.sem)))
    return pd.DataFrame(rows, columns=["x", "response", "response_sem"])


def output_response_table(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """The points with theory beside them, and the curve of the infinitely wide network."""
    points = frame.assign(kind="network")
    curve = pd.DataFrame({"x": CURVE, "kind": "curve"})
    both = points if params["weights"] == "explicit" else pd.concat([points, curve])
    sets, x = settings(params), both["x"].to_numpy()
    band = response.plateau(sets)
    return both.assign(
        response_theory=np.exp(response.log_output_response(sets, x)),
        kernel_theory=response.top_kernel(sets, x**2),
        optimum_theory=float(response.optimal_scale(sets)),
        low_theory=float(band.low),
        high_theory=float(band.high),
    ).reset_index(drop=True)


def fluctuations(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Moments of the kernels of the stream and of the output over networks."""
    spec = network(params)
    kept = range(0, spec.depth + 1, params["every"])
    found = empirical.sample(spec, params["networks"], seed=seed, layers=kept, device=device)
    samples = np.column_stack([found.stream[:, :, 0, 0], found.output[:, 0, 0]])
    kinds = ["stream"] * len(kept) + ["output"]
    frame = pd.DataFrame({"kind": kinds, "layer": [*kept, spec.depth]})
    return frame.assign(**moments.columns("value", samples))


def fluctuations_table(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Means, and variances times the width, with both theories: all layers, and each by itself."""
    spec, width = network(params), params["width"]
    found = moments.estimates(frame, "value")
    full, single = (response.fluctuations(spec, cross_layer=cross) for cross in (True, False))
    layers = frame["layer"].to_numpy()
    stream = (frame["kind"] == "stream").to_numpy()
    mean = np.exp(np.where(stream, full.log_variances[layers], full.log_output))
    variances = [
        np.where(stream, np.diagonal(theory.stream)[layers], theory.output)
        for theory in (full, single)
    ]
    return pd.DataFrame(
        {
            "kind": frame["kind"],
            "layer": layers,
            "mean": found["mean"],
            "mean_sem": found["mean_sem"],
            "mean_theory": mean,
            "variance": width * found["variance"],
            "variance_sem": width * found["variance_sem"],
            "variance_theory": variances[0],
            "independent_theory": variances[1],
        }
    )


def accumulation(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Relative fluctuations of the last kernel for one way to choose the scale with the depth.

    Networks are simulated where their number is positive.
    """
    curve, depth = params["curve"], params["depth"]
    variances = {"weight_variance": 2.0 if curve == "relu" else 1.0, "bias_variance": 0.0}
    chosen = {**params, **variances, "input_variance": 0.1, "width": _ACCUMULATION_WIDTH}
    chosen["activation"] = "relu" if curve == "relu" else "erf"
    scale = float(response.optimal_scale(settings(chosen))) if curve == "optimum" else 1.0
    spec = network(chosen, scale)
    theory = response.fluctuations(spec)
    value, sem = float("nan"), float("nan")
    if params["networks"]:
        found = empirical.sample(
            spec, params["networks"], seed=seed, layers=[depth], device=device, dtype="float64"
        )
        relative = found.stream[:, 0, 0, 0] / np.exp(theory.log_variances[-1])
        variance = Estimate.variance(relative)
        value, sem = (float(v) * spec.width for v in (variance.value, variance.sem))
    return pd.DataFrame(
        {
            "relative": [value],
            "relative_sem": [sem],
            "relative_theory": [float(theory.relative_stream[-1, -1])],
            "output_theory": [theory.relative_output],
            "scale": [scale],
        }
    )
