"""Cells of the log-Gaussian experiments: what is simulated, as moments and counts.

Theory is added in `companion.papers.log_gaussian.theory`; a change there voids nothing computed
here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from companion.architecture import ResNetSpec
from companion.montecarlo import Estimate
from companion.simulate import matrixfree
from companion.sweeps import moments

__all__ = [
    "KINDS",
    "alignment",
    "explorer",
    "gradients",
    "histogram",
    "hypoactivation",
    "interlayer",
    "lag_covariance",
    "network",
    "next_order",
    "norms",
    "second_moment",
]

Params = Mapping[str, Any]
Seed = np.random.SeedSequence

#: Kinds of network; a fully connected one has no skip connection.
KINDS = ("vanilla", "balanced", "fully connected")


def network(params: Params) -> ResNetSpec:
    r"""Network of a cell: ``kind``, ``alpha2`` (:math:`\alpha^2`), ``depth``, ``width``."""
    kind = params.get("kind", "vanilla")
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}.")
    alpha2 = 0.0 if kind == "fully connected" else float(params.get("alpha2", 0.5))
    return ResNetSpec.log_gaussian(
        params["depth"],
        params["width"],
        alpha2**0.5,
        (1 - alpha2) ** 0.5,
        balanced=kind == "balanced",
    )


def histogram(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Counts of :math:`\ln\|y\|^2` in equal bins, ``edges = (low, high, bins)``."""
    spec = network(params)
    run = matrixfree.forward(spec, params["networks"], seed=seed, readout=True, device=device)
    assert run.log_output is not None
    low, high, bins = params["edges"]
    counts, edges = np.histogram(run.log_output[:, 0], bins=bins, range=(low, high))
    return pd.DataFrame({"x": (edges[1:] + edges[:-1]) / 2, "count": counts})


def explorer(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Histograms of :math:`\ln(\|h_l\|^2/n)` at a few layers of one deep run.

    The bins of a layer reach 4.2 standard deviations to both sides of the mean of its sample.
    """
    layers = np.asarray(params["layers"])
    sample = _log_norms(params, seed, device)[:, layers]
    frames = []
    for column, layer in zip(sample.T, layers, strict=True):
        edges = column.mean() + column.std() * np.linspace(-4.2, 4.2, 43)
        counts, _ = np.histogram(column, edges)
        density = counts / column.size / np.diff(edges)
        centres = (edges[1:] + edges[:-1]) / 2
        frames.append(pd.DataFrame({"layer": layer, "x": centres, "density": density}))
    return pd.concat(frames, ignore_index=True)


def norms(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Moments of :math:`\ln(\|h_l\|^2/n)` along one deep run.

    The layers of a run share their networks, so points of one width are correlated.
    """
    layers = np.unique(np.linspace(0, params["depth"], 9).astype(int))[1:]
    sample = _log_norms(params, seed, device)[:, layers]
    return pd.DataFrame({"layer": layers, **moments.columns("log_norm", sample)})


def hypoactivation(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Moments of :math:`n\delta_l` and :math:`n(f_l-\frac12)`, from antithetic pairs or not."""
    spec, antithetic = network(params), bool(params["antithetic"])
    run = matrixfree.forward(
        spec,
        params["networks"],
        seed=seed,
        record=("delta", "active"),
        antithetic=antithetic,
        device=device,
    )
    delta, active = run.layers["delta"][..., 0], run.layers["active"][..., 0]
    if antithetic:  # the pair is the independent unit
        delta, active = delta.mean(1), active.mean(1)
    return pd.DataFrame(
        {
            "layer": np.arange(spec.depth),
            **moments.columns("imbalance", spec.width * delta),
            **moments.columns("active", spec.width * (active - 0.5)),
        }
    )


def interlayer(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Covariance :math:`n\,\mathrm{Cov}(\delta_l,\delta_{l+m})` against the lag."""
    spec = network(params)
    run = matrixfree.forward(spec, params["networks"], seed=seed, record=("delta",), device=device)
    delta = run.layers["delta"][..., 0]
    lags = np.array([m for m in params["lags"] if m < spec.depth])
    rows = [lag_covariance(delta, int(m)) * spec.width for m in lags]
    return pd.DataFrame(
        {
            "lag": lags,
            "covariance": [float(row.value) for row in rows],
            "covariance_sem": [float(row.sem) for row in rows],
        }
    )


def lag_covariance(delta: np.ndarray, lag: int) -> Estimate:
    """Covariance at one lag, averaged over the layers of each network.

    Parameters
    ----------
    delta : ndarray, shape (networks, layers)
        Layers of one network are correlated, so the network is the independent unit.
    """
    centred = delta - delta.mean(0)
    stop = delta.shape[1] - lag
    return Estimate.mean((centred[:, :stop] * centred[:, lag:]).mean(1))


def second_moment(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Mean and median of :math:`\|h_l\|^2/\|h_0\|^2` along one run, in logarithms."""
    layers = np.unique(np.linspace(0, params["depth"], 11).astype(int))[1:]
    log_norm = _log_norms(params, seed, device)
    sample = log_norm[:, layers] - log_norm[:, :1]
    mean = Estimate.mean(np.exp(sample))
    return pd.DataFrame(
        {
            "layer": layers,
            "log_mean": np.log(mean.value),
            "log_mean_sem": mean.sem / mean.value,
            "log_median": np.median(sample, axis=0),
        }
    )


def gradients(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Mean, variance and quantiles of :math:`\ln(\|g_l\|^2/\|g_L\|^2)` against the layer."""
    spec = network(params)
    run = matrixfree.backward(spec, params["networks"], seed=seed, device=device)
    layers = np.unique(np.linspace(0, spec.depth, 21).astype(int))[:-1]
    sample = run.layers["log_gradient"][..., 0][:, layers]
    mean, variance = Estimate.mean(sample), Estimate.variance(sample)
    quantiles = np.quantile(sample, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    return pd.DataFrame(
        {
            "layer": layers,
            "blocks_above": spec.depth - layers,
            "mean": mean.value,
            "mean_sem": mean.sem,
            "variance": variance.value,
            "variance_sem": variance.sem,
            **dict(zip(("q05", "q25", "q50", "q75", "q95"), quantiles, strict=True)),
        }
    )


def next_order(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Moments of :math:`\ln(\|h_L\|^2/n)` at ``L = n``."""
    run = matrixfree.forward(network(params), params["networks"], seed=seed, device=device)
    return pd.DataFrame(moments.columns("log_norm", run.log_norm[:, 0]))


def alignment(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Moments of the squared cosine between the stream and an isotropic tangent."""
    run = matrixfree.tangent(
        network(params), params["networks"], seed=seed, record=("alignment",), device=device
    )
    layers = np.unique(np.geomspace(1, params["depth"], 12).astype(int))
    square = run.layers["alignment"][:, layers, 0] ** 2
    return pd.DataFrame({"layer": layers, **moments.columns("alignment", square)})


def _log_norms(params: Params, seed: Seed, device: str) -> np.ndarray:
    r""":math:`\ln(\|h_l\|^2/n)`, shape (networks, depth + 1)."""
    run = matrixfree.forward(
        network(params), params["networks"], seed=seed, record=("log_norm",), device=device
    )
    return run.layers["log_norm"][..., 0]
