"""What stands beside the simulated numbers of the residual expansion, and cells of theory alone.

A function that ends a simulated experiment takes the rows of one cell and its parameters and adds
the theory; `lengths` is a cell by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from companion import depthlimits, expansion
from companion.papers.residual_expansion.networks import covariance, kink_unit, network, scale_of
from companion.sweeps import moments

__all__ = [
    "CURVE",
    "correlation",
    "jacobian",
    "kink",
    "lengths",
    "paths",
    "prenorm",
    "remainder",
    "smooth",
]

Params = Mapping[str, Any]
Seed = np.random.SeedSequence
Array = NDArray[np.float64]

#: Scales over the critical one at which the curves of `correlation` are computed.
CURVE = tuple(float(r) for r in np.round(np.geomspace(0.1, 4.0, 33), 6))


def _estimates(frame: pd.DataFrame, name: str = "value") -> pd.DataFrame:
    """Means with their errors in the place of moments."""
    kept = frame[[c for c in frame if not c.startswith(f"{name}_")]]
    mean = moments.read(frame, name).mean
    return kept.assign(**{name: mean.value, f"{name}_sem": mean.sem})


def _binomial_half(depth: int) -> Array:
    """Share of all paths by their length."""
    return expansion.PathLaw((0.5,) * depth).pmf()


def paths(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Energies of the orders with their theory, and the law of the path length at every length."""
    depth, independent = params["depth"], params["alignment"] == "independent"
    strengths = np.full(depth, scale_of(params) ** (2 if independent else 1))
    law = expansion.PathLaw.aligned(strengths)
    logs = expansion.log_aligned_norms(strengths)
    if independent:
        spec = network(params)
        logs, law = expansion.log_order_energies(spec), expansion.PathLaw.of(spec)
    orders = pd.DataFrame(
        {
            "kind": "order",
            "x": np.arange(depth + 1),
            "entry": -1,
            "energy_theory": np.exp(logs),
            "share_theory": law.pmf(),
            "poisson_theory": np.exp(strengths.sum())
            * expansion.poisson_pmf(strengths.sum(), depth),
            "count_theory": _binomial_half(depth),
        }
    )
    others = pd.DataFrame({"kind": ["total"], "x": -1, "entry": -1})
    others["energy_theory"] = np.exp(np.logaddexp.reduce(logs))
    table = pd.concat([orders, others], ignore_index=True)
    if not params["networks"]:
        return table.assign(energy=np.nan, energy_sem=np.nan)
    found = _estimates(frame, "energy")
    cross = found[found["kind"] == "cross"].assign(energy_theory=0.0)
    merged = table.merge(found, how="left", on=["kind", "x", "entry"])
    return pd.concat([merged, cross], ignore_index=True)


def jacobian(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Orders, total and logarithm of the squared length of ``J v``, with their theory.

    The law of ``|J v| / |v|`` is that of the stream, because half of the units pass either on.
    """
    spec = network({**params, "activation": "relu"})
    logs = expansion.log_order_energies(spec, params["orders"])
    exact = depthlimits.exact_law(spec)
    others = {
        "total": np.exp(expansion.log_jacobian_energy(spec)),
        "log": exact.mean,
        "spread": exact.variance,
    }
    log = frame[frame["kind"] == "log"]
    spread = moments.estimates(log, "value")
    found = _estimates(frame)
    row = {"kind": "spread", "x": -1, "entry": -1}
    row |= {"value": spread["variance"], "value_sem": spread["variance_sem"]}
    found = pd.concat([found, pd.DataFrame(row)], ignore_index=True)
    theory = [
        np.exp(logs[int(x)]) if kind == "order" else others[kind]
        for kind, x in zip(found["kind"], found["x"], strict=True)
    ]
    return found.assign(value_theory=np.array(theory, dtype=float))


def prenorm(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Law of the path length of a normalised network, beside the counted one."""
    depth = params["depth"]
    law = expansion.PathLaw.prenormalised(depth)
    x = np.arange(depth + 1)
    shares = pd.DataFrame({"kind": "share", "x": x, "entry": -1, "value_theory": law.pmf()})
    others = pd.DataFrame({"kind": ["mean", "variance"], "x": -1, "entry": -1})
    theory = pd.concat(
        [
            shares.assign(count_theory=_binomial_half(depth)),
            others.assign(value_theory=[law.mean, law.variance]),
        ],
        ignore_index=True,
    )
    return theory.merge(_estimates(frame), how="left", on=["kind", "x", "entry"])


def smooth(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Energies and covariances of the orders by the kernel of two scales, and by closed forms."""
    spec = network(params)
    exact = expansion.order_covariances(spec, params["orders"]).values
    gains, closed = expansion.smooth_gains(spec), expansion.closed_order_energies(spec)
    x = np.arange(params["orders"] + 1)
    pairs = np.exp(expansion.log_aligned_norms(spec.scales**2, params["orders"]))
    chains = np.where(x == 0, 1.0, pairs * gains.kappa * gains.chi ** np.maximum(x - 1, 0))
    third = closed.chains + closed.trees
    forms = np.array([1.0, closed.first, closed.second, third])
    found = _estimates(frame)
    energy = (found["kind"] == "energy").to_numpy()
    i, j = found["x"].to_numpy(), found["entry"].to_numpy()
    j = np.where(energy, i, j)
    known = energy & (i < len(forms))
    return found.assign(
        value_theory=exact[i, j],
        paths_theory=np.where(energy, chains[i], np.nan),
        closed_theory=np.where(known, forms[np.where(known, i, 0)], np.nan),
    )


def remainder(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Remainder beyond the second order: exact for ReLU, leading power, energy of order 3."""
    rows = []
    for kind, x in zip(frame["kind"], frame["x"], strict=True):
        spec = network(params, float(x) / params["depth"] ** 0.5)
        rows.append(_remainder(kind, spec, params["activation"]))
    names = ("value_theory", "leading_theory", "third_theory")
    theory = pd.DataFrame(rows, columns=names, index=frame.index)
    return pd.concat([_estimates(frame), theory], axis=1)


def _remainder(kind: str, spec: Any, activation: str) -> tuple[float, float, float]:
    nothing = float("nan")
    if activation == "erf":
        closed = expansion.closed_order_energies(spec)
        third = closed.chains + closed.trees
        return nothing, third, third
    if kind == "frozen":
        return float(expansion.gap_energy(spec)), nothing, nothing
    return (
        float(expansion.remainder_energies(spec, 2)[2]),
        float(expansion.remainder_leading(spec)),
        float(np.exp(expansion.log_order_energies(spec, 3)[3])),
    )


def kink(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Density and first two moments of the first kink over `kink_unit`, with the exponential."""
    low, high, bins = params["edges"]
    step = (high - low) / bins
    law = expansion.first_kink(network({**params, "activation": "relu"}))
    mean = law.mean / kink_unit(params)
    found = _estimates(frame)
    bars, others = found[found["kind"] == "density"], found[found["kind"] != "density"]
    histogram = pd.DataFrame(
        {
            "kind": "density",
            "x": bars["x"],
            "density": bars["value"] / step,
            "sem": bars["value_sem"] / step,
            # the mean of the exponential over the bin
            "density_theory": np.exp(-bars["x"] / mean) * np.sinh(step / (2 * mean)) / (step / 2),
        }
    )
    wanted = {"mean": mean, "square": 2 * mean**2}
    others = others.assign(value_theory=others["kind"].map(wanted))
    return pd.concat([histogram, others], ignore_index=True)


def correlation(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Orders and totals of correlated blocks with the wide limit, and the curve of the totals."""
    g = covariance(params["law"], params["parameter"], params["depth"])
    critical = float(expansion.critical_scale(g))
    found = _estimates(frame)
    logs = expansion.log_order_norms(g, params["orders"])
    total = (found["kind"] == "total").to_numpy()
    x = found["x"].to_numpy(dtype=float)
    theory = np.empty(len(found))
    theory[~total] = np.exp(logs[x[~total].astype(int)])
    theory[total] = np.exp(expansion.log_correlated_energy(g, x[total] * critical))
    ratios = np.array(CURVE)
    logs = np.asarray(expansion.log_correlated_energy(g, ratios * critical))
    curve = pd.DataFrame({"kind": "curve", "x": ratios, "value_theory": np.exp(logs)})
    both = pd.concat([found.assign(value_theory=theory), curve], ignore_index=True)
    return both.assign(
        critical_theory=critical,
        mean_correlation_theory=float(expansion.mean_correlation(g)),
    )


def lengths(params: Params, seed: Seed, device: str) -> pd.DataFrame:
    """Share of the energy by path length, for linear blocks correlated alike in depth."""
    depth, c = params["depth"], params["gain"]
    g = c * covariance("equicorrelated", params["correlation"], depth)
    critical = float(expansion.critical_scale(g))
    logs = expansion.log_order_norms(g, depth)
    k = np.arange(depth + 1)
    at_critical = logs + 2 * k * np.log(critical)
    parts = []
    for beta in params["exponents"]:
        scale = depth**-beta
        energies = logs + 2 * k * np.log(scale)
        total = float(np.logaddexp.reduce(energies))
        part = pd.DataFrame({"beta": beta, "x": k, "share_theory": np.exp(energies - total)})
        part["critical_share_theory"] = np.exp(at_critical - np.logaddexp.reduce(at_critical))
        part["log_total_theory"], part["scale_theory"] = total, scale
        parts.append(part.assign(critical_theory=critical))
    return pd.concat(parts, ignore_index=True)
