"""Cells of the large-depth experiments: what is simulated with explicit weights.

Theory is added in `companion.papers.large_depth.theory`; a change there voids nothing computed
here. Settings that the authors' code fixes (width, depths, laws, observables) are in the grids of
`companion.papers.large_depth.experiments`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from companion.architecture import ResNetSpec
from companion.montecarlo import Estimate
from companion.papers.large_depth.generator import PublishedFractionalNoise
from companion.simulate import explicit
from companion.weights import IID, FractionalNoise, Smooth, WeightLaw

__all__ = [
    "DIRECTIONS",
    "boundary",
    "contraction",
    "network",
    "paths",
    "phase",
    "scan",
    "weight_law",
]

Params = Mapping[str, Any]
Seed = np.random.SeedSequence
Array = NDArray[np.float64]

#: Blocks of networks per product where there are few columns; it does not change results.
_BATCH = 8

#: Displacement of the output, and of the gradient on its way back.
DIRECTIONS = ("output", "gradient")


def weight_law(params: Params) -> WeightLaw:
    """Law of the weights of a cell: ``law``, and its parameter ``hurst`` or ``variance``."""
    name = params.get("law", "uniform")
    if name in ("uniform", "gaussian", "rademacher"):
        return IID(name)
    if name == "smooth":
        return Smooth(params.get("variance", 0.01))
    if name == "fractional":
        return FractionalNoise(params["hurst"])
    if name == "published":
        return PublishedFractionalNoise(params["hurst"])
    raise ValueError(
        f"law must be uniform, gaussian, rademacher, smooth, fractional or published, got {name!r}."
    )


def network(params: Params) -> ResNetSpec:
    """Network of a cell: ``depth``, ``width``, ``block``, ``activation``, ``beta`` and a law."""
    return ResNetSpec.large_depth(
        params["depth"],
        params["width"],
        params.get("beta", 0.5),
        block=params.get("block", "two-layer"),
        law=weight_law(params),
        activation=params.get("activation", "relu"),
    )


def scan(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Relative displacement of output and gradient for every exponent in ``betas``.

    The exponents share their networks.
    """
    betas = np.asarray(params["betas"], dtype=np.float64)
    run = explicit.ratios(
        network(params),
        params["networks"],
        seed=seed,
        scales=params["depth"] ** -betas,
        device=device,
        batch=_BATCH,
    )
    frames = []
    for direction, logs in zip(DIRECTIONS, _displacements(run), strict=True):
        ratio = np.exp(logs[..., 0] / 2)
        mean, square = Estimate.mean(ratio), Estimate.mean(ratio**2)
        log_mean = Estimate.mean(logs[..., 0] / 2)
        quantiles = np.quantile(ratio, [0.05, 0.5, 0.95], axis=0)
        frames.append(
            pd.DataFrame(
                {
                    "beta": betas,
                    "direction": direction,
                    "mean": mean.value,
                    "mean_sem": mean.sem,
                    "square": square.value,
                    "square_sem": square.sem,
                    "log_mean": log_mean.value,
                    "log_mean_sem": log_mean.sem,
                    **dict(zip(("q05", "q50", "q95"), quantiles, strict=True)),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def paths(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""One weight along the layers, and its running sum times :math:`L^{-H}`."""
    depth, hurst = params["depth"], params["hurst"]
    noise = FractionalNoise(hurst).sample(depth, 1, np.random.default_rng(seed))[:, 0]
    path = np.cumsum(noise) * depth**-hurst
    return pd.DataFrame({"layer": np.arange(1, depth + 1), "noise": noise, "path": path})


def phase(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""One column of the phase diagram: mean of :math:`\log_{10}` of the displacements.

    All exponents and inputs share the weights of a network, so the network is the independent
    unit. ``boundary`` is the exponent at which the mean over the networks vanishes.
    """
    betas = np.asarray(params["betas"], dtype=np.float64)
    run = explicit.ratios(
        network({**params, "law": _GENERATORS[params["generator"]]}),
        params["networks"],
        seed=seed,
        scales=params["depth"] ** -betas,
        inputs=params["inputs"],
        device=device,
    )
    frames = []
    for direction, logs in zip(DIRECTIONS, _displacements(run), strict=True):
        decades = logs / (2 * np.log(10))
        mean, critical = Estimate.mean(decades.mean(2)), boundary(betas, decades.mean(2))
        frames.append(
            pd.DataFrame(
                {
                    "beta": betas,
                    "direction": direction,
                    "log10": mean.value,
                    "log10_sem": mean.sem,
                    "log10_median": np.median(decades, axis=(0, 2)),
                    "boundary": critical.value,
                    "boundary_sem": critical.sem,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


_GENERATORS = {"exact": "fractional", "published": "published"}


def boundary(betas: Array, curves: Array) -> Estimate:
    """Exponent at which the mean of the ``curves`` over the networks crosses 0, by jackknife.

    Parameters
    ----------
    betas : ndarray, shape (B,)
        Increasing.
    curves : ndarray, shape (networks, B)
        Log displacement of each network; the mean decreases in ``beta`` where it crosses zero.

    Raises
    ------
    ValueError
        If the mean, or the mean without one network, has one sign on all of ``betas``.
    """
    networks = curves.shape[0]
    total = curves.sum(0)
    value = _zero(betas, total / networks)
    parts = [_zero(betas, (total - curve) / (networks - 1)) for curve in curves]
    spread = (networks - 1) / networks * np.sum((np.array(parts) - np.mean(parts)) ** 2)
    return Estimate(np.array(value), np.sqrt(spread), networks)


def _zero(betas: Array, mean: Array) -> float:
    """Last sign change from plus to minus, by linear interpolation."""
    down = np.flatnonzero((mean[:-1] > 0) & (mean[1:] <= 0))
    if not down.size:
        raise ValueError(
            f"betas must reach across the boundary, got {betas[0]:g} to {betas[-1]:g} with mean "
            f"logs from {mean[0]:.3g} to {mean[-1]:.3g}; widen the range."
        )
    i = int(down[-1])
    return float(betas[i] + (betas[i + 1] - betas[i]) * mean[i] / (mean[i] - mean[i + 1]))


def contraction(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Mean of :math:`\ln(\|h_L\|/\|h_0\|)`, forward only."""
    run = explicit.ratios(
        network(params), params["networks"], seed=seed, gradients=False, device=device, batch=_BATCH
    )
    mean = Estimate.mean(run.log_norm[:, 0, 0] / 2)
    return pd.DataFrame({"log_mean": [float(mean.value)], "log_mean_sem": [float(mean.sem)]})


def _displacements(run: explicit.Ratios) -> tuple[Array, Array]:
    assert run.log_gradient_difference is not None
    return run.log_difference, run.log_gradient_difference
