"""Cells of the large-depth experiments that sample or evaluate a law of the theory.

Boundaries and exponents of the wide network are deterministic; the chain of norms, limits in
continuous time and narrow networks are sampled with NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from companion import depthlimits
from companion.montecarlo import Estimate
from companion.papers.large_depth.cells import network, weight_law
from companion.simulate import explicit
from companion.weights import Smooth

__all__ = [
    "SMOOTH_STEPS",
    "STEPS",
    "WIDTHS",
    "boundaries",
    "boundary_grid",
    "exponent_grid",
    "exponents",
    "fraction",
    "histogram",
    "smooth_convergence",
    "stages",
    "strong_convergence",
]

Params = Mapping[str, Any]
Seed = np.random.SeedSequence
Array = NDArray[np.float64]

#: Widths for which the boundary of gradients is predicted.
WIDTHS = (10, 40, 160)


def boundary_grid(hursts: Sequence[float], depths: Sequence[int]) -> list[dict[str, Any]]:
    """Columns of the theoretical phase diagram: blocks, generators, depths."""
    kinds = (("two-layer", "exact"), ("two-layer", "published"), ("single", "exact"))
    return [
        {"block": block, "generator": generator, "depth": depth, "hurst": hurst}
        for block, generator in kinds
        for depth in depths
        for hurst in hursts
    ]


def boundaries(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Critical exponents at one Hurst index and depth.

    ``recursion_theory`` is the exponent at which the wide network reaches a mean square
    displacement of 1; ``output_theory`` and ``gradient_..._theory`` are first orders,
    :math:`\ln\mathcal S/(2\ln L)`, for several widths; the asymptotic lines hold at infinite depth.
    """
    depth, block, hurst = params["depth"], params["block"], params["hurst"]
    law = {"exact": "fractional", "published": "published"}[params["generator"]]
    g = depthlimits.layer_covariance(weight_law({"law": law, "hurst": hurst}), depth)
    infinite = depthlimits.first_order_sums(g, block)
    row = {
        "recursion_theory": depthlimits.critical_exponent(g, block),
        "output_theory": _exponent(infinite.forward, depth),
        "gradient_inf_theory": _exponent(infinite.backward, depth),
    }
    for width in WIDTHS:
        sums = depthlimits.first_order_sums(g, block, width)
        row[f"gradient_{width}_theory"] = _exponent(sums.backward, depth)
    row["asymptotic_output_theory"] = depthlimits.forward_exponent(hurst, block)
    if block == "two-layer":
        row["asymptotic_gradient_theory"] = depthlimits.backward_exponent(hurst)
    else:
        row["asymptotic_gradient_theory"] = depthlimits.forward_exponent(hurst, block)
    return pd.DataFrame([row])


def _exponent(total: float, depth: int) -> float:
    return float(np.log(total) / (2 * np.log(depth)))


def exponent_grid(*windows: tuple[int, int]) -> list[dict[str, Any]]:
    """Windows of depth for the local exponents, and the Hurst indices of the table."""
    return [
        {"block": block, "hurst": hurst, "shallow": low, "deep": high}
        for low, high in windows
        for block in ("two-layer", "single")
        for hurst in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9)
    ]


def exponents(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Local critical exponent :math:`-d\ln\alpha^*/d\ln L` between two depths."""
    window = (params["shallow"], params["deep"])
    value = depthlimits.local_exponent(params["hurst"], window, params["block"])
    return pd.DataFrame({"exponent_theory": [value]})


def histogram(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Counts of :math:`\|h_L\|/\|h_0\|` and :math:`\|p_0\|/\|p_L\|` in equal bins.

    ``engine`` is ``"chain"``, the exact law of both norms at a cost that does not depend on the
    width, or ``"explicit"``, with every weight drawn (uniform, as in the authors' code).
    """
    if params["engine"] == "chain":
        spec = network({**params, "law": "gaussian"})
        chain = depthlimits.sample_norms(spec, params["networks"], np.random.default_rng(seed))
        logs = {"output": chain.log_norm, "gradient": chain.log_gradient}
    elif params["engine"] != "explicit":
        raise ValueError(f"engine must be 'chain' or 'explicit', got {params['engine']!r}.")
    else:
        run = explicit.ratios(
            network(params), params["networks"], seed=seed, device=device, batch=8
        )
        assert run.log_gradient is not None
        logs = {"output": run.log_norm[:, 0, 0], "gradient": run.log_gradient[:, 0, 0]}
    low, high, bins = params["edges"]
    frames = []
    for direction, log in logs.items():
        counts, edges = np.histogram(np.exp(log / 2), bins=bins, range=(low, high))
        x = (edges[1:] + edges[:-1]) / 2
        frames.append(pd.DataFrame({"direction": direction, "x": x, "count": counts}))
    return pd.concat(frames, ignore_index=True)


def fraction(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Narrow networks: mean of :math:`\ln hr^2/(L\alpha^2)`, and how many shrink."""
    from scipy.special import ndtr

    spec = network({**params, "law": "gaussian"})
    rng = np.random.default_rng(seed)
    sample = depthlimits.sample_log_norm(spec, params["networks"], rng)
    time = params["depth"] ** (1 - 2 * params["beta"])
    mean, below = Estimate.mean(sample / time), Estimate.mean((sample < 0).astype(np.float64))
    law = depthlimits.limit_law(spec)
    return pd.DataFrame(
        {
            "log_mean": [float(mean.value)],
            "log_mean_sem": [float(mean.sem)],
            "leading_theory": [0.5 - 1 / params["width"]],
            "below": [float(below.value)],
            "below_sem": [float(below.sem)],
            "below_theory": [float(ndtr(-law.mean / np.sqrt(law.variance)))],
        }
    )


#: Depths of the networks that are compared with the stochastic equation, and with each other.
STEPS = (8, 16, 32, 64, 128, 256)
SMOOTH_STEPS = (25, 50, 100, 200, 400, 800)
_FINEST = 4096


def strong_convergence(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Root of :math:`E\sup_l\|h_l-X_{l/L}\|^2` for networks of one Brownian path.

    Depths share their paths.
    """
    square = depthlimits.strong_errors(
        STEPS,
        width=params["width"],
        paths=params["networks"],
        rng=np.random.default_rng(seed),
        activation=params["activation"],
        fine=_FINEST,
    )
    root = np.sqrt(square.value)
    return pd.DataFrame({"steps": STEPS, "error": root, "error_sem": square.sem / (2 * root)})


def smooth_convergence(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    r"""Mean distance between the outputs of networks of depths ``L`` and ``2 L`` of one path."""
    gap = depthlimits.ode_differences(
        SMOOTH_STEPS,
        width=params["width"],
        networks=params["networks"],
        rng=np.random.default_rng(seed),
    )
    return pd.DataFrame({"steps": SMOOTH_STEPS, "error": gap.value, "error_sem": gap.sem})


def stages(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """One coordinate along depth, for networks of several depths that read one path of weights.

    ``rough``: increments of a Brownian motion, ``beta = 1/2``; ``smooth``: values of a smooth
    process, ``beta = 1``. Single-matrix ReLU blocks; deep networks are thinned to 256 points.
    """
    width, rng = params["width"], np.random.default_rng(seed)
    start, shape = rng.standard_normal((width,)), (width, width)
    if params["kind"] == "rough":
        fine = rng.standard_normal((_FINEST, *shape)) / np.sqrt(_FINEST)
    else:  # the correlation length is a third of the depth, so that one path is no noise
        fine = Smooth(0.1).process(np.arange(_FINEST) / _FINEST, shape, rng) * 2 / _FINEST
    frames = []
    for steps in (*STEPS, _FINEST):
        blocks = fine.reshape(steps, -1, *shape)
        moves = blocks.sum(1) if params["kind"] == "rough" else blocks[:, 0] * (_FINEST / steps)
        path = _walk(start, moves / width**0.5)
        layers = np.arange(0, steps + 1, max(1, steps // 256))
        row = {"steps": steps, "layer": layers, "time": layers / steps, "value": path[layers]}
        frames.append(pd.DataFrame(row))
    return pd.concat(frames, ignore_index=True)


def _walk(start: Array, moves: Array) -> Array:
    """First coordinate of ``h + move ReLU(h)``, from the start on."""
    h, path = start, [start[0]]
    for move in moves:
        h = h + move @ np.maximum(h, 0.0)
        path.append(h[0])
    return np.array(path)
