"""Experiments on the log-Gaussian limit: what the figures of the chapter show.

Every cell returns moments with their standard errors beside the theory, in tidy form. Widths,
depths and numbers of networks are fixed in the grids below.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from companion import loggaussian
from companion.architecture import ResNetSpec
from companion.montecarlo import Estimate, Moments
from companion.simulate import matrixfree
from companion.sweeps import Experiment

__all__ = ["EXPERIMENTS", "network"]

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
    r"""Histogram of :math:`\ln\|y\|^2`, as a density with binomial errors."""
    spec = network(params)
    run = matrixfree.forward(spec, params["networks"], seed=seed, readout=True, device=device)
    assert run.log_output is not None
    sample = run.log_output[:, 0]
    law = loggaussian.log_norm_law(spec)
    reach = 5 * np.sqrt(law.variance + 2 / spec.outputs)
    edges = np.linspace(-reach, reach, 61) + law.mean + np.log(spec.outputs)
    counts, _ = np.histogram(sample, edges)
    fraction, width = counts / sample.size, np.diff(edges)
    return pd.DataFrame(
        {
            "x": (edges[1:] + edges[:-1]) / 2,
            "density": fraction / width,
            "sem": np.sqrt(fraction * (1 - fraction) / sample.size) / width,
            "count": counts,
        }
    )


def explorer(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Histograms of :math:`\ln(\|h_l\|^2/n)` at a few layers of one deep run."""
    spec = network(params)
    run = matrixfree.forward(
        spec, params["networks"], seed=seed, record=("log_norm",), device=device
    )
    frames = []
    for layer in params["layers"]:
        law = loggaussian.log_norm_law(spec.replace(depth=layer))
        edges = law.mean + law.std * np.linspace(-4.2, 4.2, 43)
        sample = run.layers["log_norm"][:, layer, 0]
        counts, _ = np.histogram(sample, edges)
        density = counts / sample.size / np.diff(edges)
        centres = (edges[1:] + edges[:-1]) / 2
        frames.append(pd.DataFrame({"layer": layer, "x": centres, "density": density}))
    return pd.concat(frames, ignore_index=True)


def norms(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Mean and variance of :math:`\ln(\|h_l\|^2/n)` along one deep run.

    The layers of a run share their networks, so points of one width are correlated.
    """
    spec = network(params)
    run = matrixfree.forward(
        spec, params["networks"], seed=seed, record=("log_norm",), device=device
    )
    layers = np.unique(np.linspace(0, spec.depth, 9).astype(int))[1:]
    sample = run.layers["log_norm"][:, layers, 0]
    mean, variance = Estimate.mean(sample), Estimate.variance(sample)
    laws = [loggaussian.log_norm_law(spec.replace(depth=int(layer))) for layer in layers]
    return pd.DataFrame(
        {
            "layer": layers,
            "ratio": layers / spec.width,
            "mean": mean.value,
            "mean_sem": mean.sem,
            "variance": variance.value,
            "variance_sem": variance.sem,
            "mean_theory": [law.mean for law in laws],
            "variance_theory": [law.variance for law in laws],
        }
    )


def hypoactivation(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Means of :math:`n\delta_l` and :math:`n(f_l-\frac12)`, from antithetic pairs or not."""
    spec, antithetic = network(params), bool(params["antithetic"])
    run = matrixfree.forward(
        spec,
        params["networks"],
        seed=seed,
        record=("delta", "active"),
        antithetic=antithetic,
        device=device,
    )
    n = spec.width
    delta, active = run.layers["delta"][..., 0], run.layers["active"][..., 0]
    if antithetic:  # the pair is the independent unit
        delta, active = delta.mean(1), active.mean(1)
    imbalance, fraction = Estimate.mean(n * delta), Estimate.mean(n * (active - 0.5))
    theory_delta, theory_active = loggaussian.hypoactivation(spec)
    return pd.DataFrame(
        {
            "layer": np.arange(spec.depth),
            "imbalance": imbalance.value,
            "imbalance_sem": imbalance.sem,
            "active": fraction.value,
            "active_sem": fraction.sem,
            "imbalance_theory": n * theory_delta[:-1],
            "active_theory": n * (theory_active[:-1] - 0.5),
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
            "covariance_theory": spec.width * loggaussian.imbalance_covariance(spec, lags),
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
    spec = network(params)
    run = matrixfree.forward(
        spec, params["networks"], seed=seed, record=("log_norm",), device=device
    )
    layers = np.unique(np.linspace(0, spec.depth, 11).astype(int))[1:]
    sample = run.layers["log_norm"][:, layers, 0] - run.layers["log_norm"][:, :1, 0]
    mean = Estimate.mean(np.exp(sample))
    theory = [loggaussian.log_second_moment(spec.replace(depth=int(layer))) for layer in layers]
    typical = [
        loggaussian.log_norm_law(spec.replace(depth=int(layer)), input_layer="none").mean
        for layer in layers
    ]
    return pd.DataFrame(
        {
            "layer": layers,
            "log_mean": np.log(mean.value),
            "log_mean_sem": mean.sem / mean.value,
            "log_median": np.median(sample, axis=0),
            "log_mean_theory": theory,
            "log_median_theory": typical,
        }
    )


def gradients(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Mean, variance and quantiles of :math:`\ln(\|g_l\|^2/\|g_L\|^2)` against the layer."""
    spec = network(params)
    run = matrixfree.backward(spec, params["networks"], seed=seed, device=device)
    sample = run.layers["log_gradient"][..., 0]
    layers = np.unique(np.linspace(0, spec.depth, 21).astype(int))[:-1]
    above = spec.depth - layers
    laws = [_gradient_law(spec.replace(depth=int(blocks))) for blocks in above]
    mean = Estimate.mean(sample[:, layers])
    variance = Estimate.variance(sample[:, layers])
    quantiles = np.quantile(sample[:, layers], [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    columns = dict(zip(("q05", "q25", "q50", "q75", "q95"), quantiles, strict=True))
    return pd.DataFrame(
        {
            "layer": layers,
            "blocks_above": above,
            "mean": mean.value,
            "mean_sem": mean.sem,
            "variance": variance.value,
            "variance_sem": variance.sem,
            "mean_theory": [law.mean for law in laws],
            "variance_theory": [law.variance for law in laws],
            **columns,
        }
    )


def next_order(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""What the leading order leaves out at ``L = n``, multiplied by :math:`n^2/L=n`."""
    spec = network({**params, "depth": params["width"]})
    run = matrixfree.forward(spec, params["networks"], seed=seed, device=device)
    law = loggaussian.log_norm_law(spec)
    moments = Moments.of(run.log_norm[:, 0])
    mean = (moments.mean - law.mean) * float(spec.width)
    variance = (moments.variance - law.variance) * float(spec.width)
    return pd.DataFrame(
        {
            "mean": [float(mean.value)],
            "mean_sem": [float(mean.sem)],
            "variance": [float(variance.value)],
            "variance_sem": [float(variance.sem)],
        }
    )


def alignment(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Mean squared cosine between the stream and an isotropic tangent, and :math:`\ln\|Jt\|^2`."""
    spec = network(params)
    run = matrixfree.tangent(
        spec, params["networks"], seed=seed, record=("alignment",), device=device
    )
    layers = np.unique(np.geomspace(1, spec.depth, 12).astype(int))
    square = Estimate.mean(run.layers["alignment"][:, layers, 0] ** 2)
    theory = [loggaussian.tangent_alignment(spec.replace(depth=int(layer))) for layer in layers]
    return pd.DataFrame(
        {
            "layer": layers,
            "alignment": square.value,
            "alignment_sem": square.sem,
            "alignment_theory": theory,
        }
    )


def _gradient_law(spec: ResNetSpec) -> loggaussian.LogGaussian:
    """First-order law, also outside its domain: the figure is there to show where it ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", loggaussian.DomainWarning)
        return loggaussian.gradient_law(spec)


def _grid(*sizes: Mapping[str, Any], **common: Any) -> list[dict[str, Any]]:
    return [{"kind": "vanilla", **common, **size} for size in sizes]


def _pairs(*widths: int) -> list[dict[str, Any]]:
    """Cells of the hypoactivation experiment: widths, and two controls at the first width."""
    cells = [{"width": width, "antithetic": True} for width in widths]
    control = {"width": widths[0], "kind": "balanced", "antithetic": True}
    return [*cells, control, {"width": widths[0], "antithetic": False}]


_LAGS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32)

EXPERIMENTS = (
    Experiment(
        "lg-histogram",
        "Histogram of the log output norm against the infinite-width and log-Gaussian laws",
        histogram,
        {
            "quick": _grid(
                {"depth": 10, "width": 100}, {"depth": 100, "width": 100}, networks=10000
            ),
            "full": _grid(
                {"depth": 10, "width": 100}, {"depth": 100, "width": 100}, networks=100000
            ),
        },
    ),
    Experiment(
        "lg-norms",
        "Mean and variance of the log norm against depth / width, three kinds of network",
        norms,
        {
            preset: [
                {"kind": kind, "depth": 2 * width, "width": width, "networks": networks}
                for kind in KINDS
                for width in widths
            ]
            for preset, widths, networks in (
                ("quick", (50, 100), 10000),
                ("full", (50, 100, 200), 20000),
            )
        },
    ),
    Experiment(
        "lg-hypoactivation",
        "Activation imbalance and active fraction along the layers",
        hypoactivation,
        {
            "quick": _grid(*_pairs(100, 200, 400), depth=40, networks=4000),
            "full": _grid(*_pairs(100, 400, 1600), depth=60, networks=20000),
        },
    ),
    Experiment(
        "lg-interlayer",
        "Covariance of the activation imbalance between layers",
        interlayer,
        {
            "quick": _grid(
                {"alpha2": 0.5},
                {"alpha2": 0.9},
                {"alpha2": 0.5, "kind": "balanced"},
                width=100,
                depth=40,
                networks=6000,
                lags=_LAGS,
            ),
            "full": _grid(
                {"alpha2": 0.5},
                {"alpha2": 0.9},
                {"alpha2": 0.5, "kind": "balanced"},
                width=400,
                depth=40,
                networks=15000,
                lags=_LAGS,
            ),
        },
    ),
    Experiment(
        "lg-second-moment",
        "Mean against median of the squared norm, vanilla and balanced",
        second_moment,
        {
            "quick": _grid(
                {"kind": "vanilla"}, {"kind": "balanced"}, width=100, depth=50, networks=40000
            ),
            "full": _grid(
                {"kind": "vanilla"}, {"kind": "balanced"}, width=100, depth=50, networks=200000
            ),
        },
    ),
    Experiment(
        "lg-gradients",
        "Gradient norms along the layers, vanilla and balanced",
        gradients,
        {
            "quick": _grid(
                {"kind": "vanilla"}, {"kind": "balanced"}, width=100, depth=100, networks=3000
            ),
            "full": _grid(
                {"kind": "vanilla"}, {"kind": "balanced"}, width=100, depth=100, networks=20000
            ),
        },
    ),
    Experiment(
        "lg-next-order",
        "What the leading-order law leaves out, at depth equal to width",
        next_order,
        {
            "quick": _grid({"width": 25}, {"width": 50}, {"width": 100}, networks=40000)
            + _grid({"width": 25}, {"width": 50}, {"width": 100}, networks=40000, kind="balanced"),
            "full": _grid({"width": 50}, {"width": 100}, {"width": 200}, networks=400000)
            + _grid(
                {"width": 50}, {"width": 100}, {"width": 200}, networks=400000, kind="balanced"
            ),
        },
    ),
    Experiment(
        "lg-alignment",
        "Alignment of a tangent vector with the stream",
        alignment,
        {
            "quick": _grid({"width": 100}, {"width": 200}, depth=200, networks=1000),
            "full": _grid({"width": 100}, {"width": 200}, depth=300, networks=8000),
        },
    ),
    Experiment(
        "lg-explorer",
        "Histograms of the log norm for the interactive figure",
        explorer,
        {
            preset: [
                {
                    "kind": kind,
                    "alpha2": alpha2,
                    "width": 100,
                    "depth": 200,
                    "networks": networks,
                    "layers": (1, 2, 5, 10, 20, 50, 100, 200),
                }
                for kind in ("vanilla", "balanced")
                for alpha2 in (0.25, 0.5, 0.75, 0.9)
            ]
            for preset, networks in (("quick", 4000), ("full", 40000))
        },
    ),
)
