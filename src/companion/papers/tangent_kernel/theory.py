r"""Cells of the tangent-kernel experiments that draw nothing: kernels, limits, spectra.

Every column but the index is theory. The branch scale is :math:`s=cL^{-\beta}` with ``constant``
:math:`c`, and ``effective_theory`` the effective depth ``T`` of the row.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from companion.kernels import spectrum as harmonics
from companion.kernels import tangent, tangent_limits
from companion.kernels.table import tangent_table
from companion.papers.tangent_kernel.settings import Params, Seed, network, schedule

__all__ = [
    "ANGLES",
    "explorer",
    "flow",
    "kernel",
    "limit_kernel",
    "phase",
    "rates",
    "spectrum",
]

Array = NDArray[np.float64]

#: Angles at which the approach to a limit is followed.
ANGLES = (0.1, 0.5, 1.0, 2.0, 3.0, float(np.pi))

#: Angles of a curve: dense near 0, where the kernel may have a peak.
_CURVE = np.unique(np.concatenate([np.geomspace(1e-4, 0.2, 40), np.linspace(0, np.pi, 91)]))
#: Places on the peak, in units of its width.
_PEAK = np.geomspace(0.01, 50.0, 45)
#: Angles and degrees of the interactive figure.
_SHOWN = np.unique(np.concatenate([np.geomspace(1e-3, 0.2, 14), np.linspace(0, np.pi, 40)]))
_DEGREES = np.unique(np.round(np.concatenate([np.arange(0, 13), np.geomspace(13, 200, 18)])))


def limit_kernel(beta: float, theta: Array, effective_depth: float) -> Array:
    """Kernel at infinite depth for a scale that falls as ``L ** -beta``; 1 at the angle 0."""
    if beta < 0.5:
        return np.where(theta == 0, 1.0, tangent_limits.DEGENERATE_VALUE)
    if beta > 0.5:
        return tangent_limits.two_layer_kernel(theta)
    return tangent_limits.flow_kernel(theta, effective_depth)


def kernel(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Kernel against the angle, and near the diagonal against the angle over the peak's width."""
    spec, beta = network(params), float(params["beta"])
    depth = spec.effective_depth()
    curve = tangent.normalized_kernel(spec, _CURVE)
    rows = pd.DataFrame(
        {
            "kind": "angle",
            "x": _CURVE,
            "kernel_theory": curve,
            "limit_theory": limit_kernel(beta, _CURVE, depth),
        }
    )
    if beta < 0.5 and depth > 3:
        places = _PEAK[_PEAK * tangent_limits.peak_width(depth) <= 0.3]
        near = tangent.normalized_kernel(spec, places * tangent_limits.peak_width(depth))
        peak = tangent_limits.peak_profile(places)
        part = pd.DataFrame(
            {"kind": "peak", "x": places, "kernel_theory": near, "limit_theory": peak}
        )
        rows = pd.concat([rows, part], ignore_index=True)
    return rows.assign(effective_theory=depth)


def flow(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Kernel of a finite depth with a given schedule, and the limit at the same ``T``."""
    total = float(params["effective_depth"])
    spec = schedule(params["schedule"], params["depth"], total)
    theta = np.linspace(0.0, np.pi, 91)
    return pd.DataFrame(
        {
            "x": theta,
            "kernel_theory": tangent.normalized_kernel(spec, theta),
            "flow_theory": tangent_limits.flow_kernel(theta, total),
            "two_layer_theory": tangent_limits.two_layer_kernel(theta),
        }
    )


def rates(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Approach to the limit at a few angles, with the gap that is predicted."""
    spec, theta, beta = network(params), np.array(ANGLES), float(params["beta"])
    depth = spec.effective_depth()
    found = tangent.normalized_kernel(spec, theta)
    limit = limit_kernel(beta, theta, depth)
    share = depth / spec.depth
    predicted, offset = np.full(theta.size, np.nan), np.full(theta.size, np.nan)
    if beta < 0.5:
        predicted = tangent_limits.degeneration_offset(theta) / depth
    if beta > 0.5:
        first = (spec.depth - 1) * share * tangent_limits.two_layer_correction(theta)
        predicted = np.where(theta == np.pi, tangent_limits.antipode_gap(depth), first)
    if beta == 0:
        offset = tangent_limits.degenerate_gap(spec, theta)
    return pd.DataFrame(
        {
            "x": theta,
            "kernel_theory": found,
            "limit_theory": limit,
            "predicted_theory": predicted,
            "offset_theory": offset,
            "effective_theory": depth,
        }
    )


def spectrum(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Eigenvalues on the sphere, degree by degree, and the laws of their decay."""
    spec, dimension = network(params), int(params["dimension"])
    degrees = np.arange(int(params["degrees"]) + 1)
    depth = spec.effective_depth()
    table = partial(tangent.normalized_kernel, spec)
    found = harmonics.eigenvalues(table, dimension, int(params["degrees"]))
    slopes = tangent_limits.diagonal_slope(spec), tangent_limits.antipode_slope(spec)
    kinks, plateau = np.full((2, degrees.size), np.nan)
    kinks[1:] = harmonics.kink_eigenvalues(degrees[1:], dimension, *slopes)
    if dimension == 3:
        plateau[1:] = harmonics.plateau_eigenvalues(degrees[1:], depth)
    return pd.DataFrame(
        {
            "x": degrees,
            "eigenvalue_theory": found,
            "kinks_theory": kinks,
            "plateau_theory": plateau,
            "effective_theory": depth,
        }
    )


def phase(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Share of a harmonic that interpolation leaves unlearned, over depth and exponent."""
    depths, betas = np.asarray(params["depths"]), np.asarray(params["betas"])
    x, beta = (part.ravel() for part in np.meshgrid(depths, betas))
    squared = x ** (-2.0 * beta)
    total = x * squared / (1 + squared)
    values = harmonics.plateau_eigenvalues(params["degree"], 1.0) / total
    samples = params["samples"]
    return pd.DataFrame(
        {
            "x": x,
            "beta": beta,
            "effective_theory": total,
            "bias_theory": harmonics.interpolation_bias(values, samples),
            "threshold_theory": harmonics.degeneration_threshold(samples, params["degree"]),
        }
    )


def explorer(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Kernel and eigenvalues of one network, from its table."""
    spec = network(params)
    table = tangent_table(spec)
    degrees = _DEGREES.astype(int)
    values = harmonics.eigenvalues(table, 3, int(degrees[-1]))[degrees]
    kinds = ["kernel"] * _SHOWN.size + ["eigenvalue"] * degrees.size
    return pd.DataFrame(
        {
            "kind": kinds,
            "x": np.concatenate([_SHOWN, degrees]),
            "value_theory": np.concatenate([table(_SHOWN), values]),
            "effective_theory": spec.effective_depth(),
        }
    )
