"""Claims on trained networks, each with the function that tests it.

That a constant scale diverges without normalisation, that 1/sqrt(L) is more accurate than 1/L, and
that the geometric complexity of the learned features is unimodal in the scale is reported in public
reviews of an earlier submission; that scaling is the remedy that normalisation was, and a control
of capacity, the abstract states. The tests are ours: digits of scikit-learn, networks of width 32,
``alg-re-training``. Differences are between runs of one seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from companion.montecarlo import Estimate
from companion.papers.claims import (
    Check,
    Claim,
    Finding,
    at_least,
    at_most,
    exceeds,
    matches,
)
from companion.papers.defects import Defect, Patch
from companion.papers.residual_expansion import trained_cells

__all__ = [
    "TRAINED_CLAIMS",
    "common_branch_rate",
    "complexity_over_initial",
    "deaf_to_the_scale",
    "unnormalised",
]

Sizes = Mapping[str, Any]
Array = NDArray[np.float64]


# ---------------------------------------------------------------- planted defects


def deaf_to_the_scale(patch: Patch) -> None:
    """Train every network at the branch scale 1/sqrt(L), whatever was asked for."""
    true = trained_cells.network
    patch.setattr(
        trained_cells,
        "network",
        lambda depth, width, scale, data: true(depth, width, depth**-0.5, data),
    )


def common_branch_rate(patch: Patch) -> None:
    """Train the branches at the learning rate of input map and readout, whatever was asked for."""
    true = trained_cells.settings
    patch.setattr(
        trained_cells, "settings", lambda protocol, epochs, multiplier=1.0: true(protocol, epochs)
    )


def complexity_over_initial(patch: Patch) -> None:
    """Divide the complexity after training by the one before it."""
    true = trained_cells._complexities

    def wrong(*args: Any) -> dict[str, float]:
        row = true(*args)
        return {**row, "features_after": row["features_after"] - row["features_before"]}

    patch.setattr(trained_cells, "_complexities", wrong)


def unnormalised(patch: Patch) -> None:
    """Leave the normalisation out of the baselines."""
    true = trained_cells.PROTOCOLS
    bare = {**true["sgd 0.1"]}
    patch.setattr(trained_cells, "PROTOCOLS", {**true, "batch norm": bare, "layer norm": bare})


# ---------------------------------------------------------------- tests


def constant_scale_diverges(sizes: Sizes, seed: int, device: str) -> Finding:
    """Part of the runs that diverge at scales 1 and L^(-1/4), deep and shallow."""
    depth, shallow = sizes["depth"], 10
    scales = {"1/√L": depth**-0.5, "L^(−1/4)": depth**-0.25, "1": 1.0}
    deep = _trained(sizes, seed, device, scales=tuple(scales.values()))
    part, counts = deep.groupby("x")["diverged"].mean(), deep.groupby("x").size()

    def lost(name: str) -> Check:
        x = scales[name]
        words = f"part of the SGD runs that diverge, s={name}, L={depth}"
        return at_least(words, float(part[x]), 0.99, n=int(counts[x]))

    control = at_most(
        f"the same, s=1/√L, L={depth}", float(part[scales["1/√L"]]), 0.5, n=int(counts.iloc[0])
    )
    rest = {**sizes, "depth": shallow, "epochs": sizes["shallow_epochs"]}
    kinds = {"clipped": "SGD with clipped gradients", "adam 0.002": "Adam"}
    few = _trained({**rest, "protocols": tuple(kinds)}, seed, device, scales=(1.0,))
    outside = [
        at_least(
            f"part of the runs that diverge, s=1, L={shallow}, {words}",
            float(few.loc[few["kind"] == kind, "diverged"].mean()),
            0.99,
            n=int((few["kind"] == kind).sum()),
        )
        for kind, words in kinds.items()
    ]
    return Finding((lost("1"), lost("L^(−1/4)"), control), "deep networks, plain SGD", (*outside,))


def root_scale_is_more_accurate(sizes: Sizes, seed: int, device: str) -> Finding:
    """Accuracy at 1/sqrt(L) less accuracy at 1/L, with either learning rate of the branches."""
    depth = sizes["depth"]
    runs = _rates(sizes, seed, device)
    common, scaled = (_gap(runs, "accuracy", multiplier) for multiplier in (1.0, float(depth)))
    words = f"accuracy at 1/√L − at 1/L, L={depth}"
    gaps = _gaps(runs, "accuracy", 1.0)
    ahead = at_least(
        f"part of the seeds with 1/√L ahead, L={depth}", float(np.mean(gaps > 0)), 0.7, n=len(gaps)
    )
    return Finding(
        (_mean_above(f"{words}, one learning rate", common, 0.008), ahead),
        "SGD, one learning rate for all parameters",
        (_mean_above(f"{words}, branches of 1/L learn L times as fast", scaled, 0.008),),
    )


def _mean_above(quantity: str, estimate: Estimate, bound: float) -> Check:
    """A mean over seeds lies above a bound; its error is shown and not used."""
    check = at_least(quantity, float(estimate.value), bound, n=estimate.n)
    return replace(check, observed=f"{estimate}", sem=float(estimate.sem))


def scale_stands_in(sizes: Sizes, seed: int, device: str) -> Finding:
    """Accuracy without normalisation at 1/sqrt(L) less that with it; and with neither."""
    depth = sizes["depth"]
    bare = _trained({**sizes, "protocols": ("sgd 0.1",)}, seed, device, scales=(depth**-0.5, 1.0))
    normed = _trained(
        {**sizes, "protocols": ("batch norm", "layer norm")}, seed, device, scales=(1.0,)
    )
    scaled, constant = (bare[bare["x"] == x] for x in (depth**-0.5, 1.0))
    checks = [
        matches(
            f"accuracy at s=1/√L − at s=1 with {kind}, L={depth}",
            _paired(scaled, runs, "accuracy"),
            0.0,
            allowance=0.01,
            effect=0.03,
        )
        for kind, runs in normed.groupby("kind")
    ]
    part = float(constant["diverged"].mean())
    control = at_least(f"part that diverges at s=1 without, L={depth}", part, 0.99, n=len(constant))
    return Finding((*checks, control))


def complexity_is_unimodal(sizes: Sizes, seed: int, device: str) -> Finding:
    """How far the complexity of the learned features falls beyond its largest value."""
    return Finding(
        tuple(
            at_least(
                f"fall of lg GC of the features beyond its maximum, L={depth}, {kind}",
                float(curve.max() - curve.iloc[-1]),
                0.05,
                n=sizes["networks"],
            )
            for depth, runs in _curves(sizes, seed, device)
            for kind, curve in _by_scale(runs, "features_after")
        )
    )


def learning_adds_most_near_the_root(sizes: Sizes, seed: int, device: str) -> Finding:
    """Where the factor between learned and initial complexity of the features is largest."""
    checks: list[Check] = []
    for depth, found in _curves({**sizes, "protocols": ("clipped",)}, seed, device):
        runs = found.assign(ratio=found["features_after"] - found["features_before"])
        ((_, curve),) = _by_scale(runs, "ratio")
        best, n = float(curve.idxmax()), sizes["networks"]
        at, none = (runs[runs["x"] == x] for x in (best, 0.0))
        words = f"L={depth}, clipped SGD"
        checks += [
            at_least(f"s√L of the largest factor, {words}", best * depth**0.5, 0.45, n=n),
            at_most(f"s√L of the largest factor, {words}", best * depth**0.5, 1.55, n=n),
            exceeds(
                f"lg of the largest factor over that at s=0, {words}",
                _paired(at, none, "ratio"),
                0.0,
            ),
            at_most(
                f"lg of the factor at the largest scale, {words}", float(curve.iloc[-1]), 0.0, n=n
            ),
        ]
    return Finding((*checks,))


def smaller_scale_is_simpler(sizes: Sizes, seed: int, device: str) -> Finding:
    """Complexity at 1/sqrt(L) over that at 1/L with branches that learn L times as fast."""
    depth = sizes["depth"]
    runs = _rates(sizes, seed, device)
    words = f"at 1/√L − at 1/L with branches L times as fast, L={depth}"
    return Finding(
        (
            exceeds(f"lg GC of the features {words}", _gap(runs, "features_after", depth), 0.05),
            matches(
                f"accuracy {words}",
                _gap(runs, "accuracy", depth),
                0.0,
                allowance=0.005,
                effect=0.03,
            ),
        )
    )


def _cell(sizes: Sizes, **more: Any) -> dict[str, Any]:
    return {"width": 32, "images": 32, "data": "digits", **sizes, **more}


def _trained(sizes: Sizes, seed: int, device: str, **more: Any) -> pd.DataFrame:
    return trained_cells.training(_cell(sizes, **more), np.random.SeedSequence(seed), device)


def _rates(sizes: Sizes, seed: int, device: str) -> pd.DataFrame:
    params = _cell(sizes, protocol="sgd 0.1")
    return trained_cells.rates(params, np.random.SeedSequence(seed), device)


def _curves(sizes: Sizes, seed: int, device: str) -> list[tuple[int, pd.DataFrame]]:
    """Runs over the scales for every depth."""
    return [
        (
            depth,
            _trained(
                {**sizes, "depth": depth},
                seed,
                device,
                scales=tuple(x * depth**-0.5 for x in sizes["reduced"]),
            ),
        )
        for depth in sizes["depths"]
    ]


def _by_scale(runs: pd.DataFrame, name: str) -> list[tuple[str, pd.Series]]:
    """For every protocol the mean over the seeds, at the scales at which no run diverged."""
    found = []
    for kind, group in runs.groupby("kind", sort=False):
        means = group.groupby("x")[name].mean()
        sane = group.groupby("x")["diverged"].max() == 0
        found.append((str(kind), means[sane]))
    return found


def _gap(runs: pd.DataFrame, name: str, multiplier: float) -> Estimate:
    """The reference less the runs with a multiplier."""
    return _paired(runs[runs["x"] == 0.0], runs[runs["x"] == multiplier], name)


def _gaps(runs: pd.DataFrame, name: str, multiplier: float) -> Array:
    return _differences(runs[runs["x"] == 0.0], runs[runs["x"] == multiplier], name)


def _differences(one: pd.DataFrame, other: pd.DataFrame, name: str) -> Array:
    pair = (runs.set_index("network")[name] for runs in (one, other))
    return np.asarray(next(pair).sub(next(pair)), dtype=np.float64)


def _paired(one: pd.DataFrame, other: pd.DataFrame, name: str) -> Estimate:
    """Mean difference between runs of one seed; NaN, which fits nothing, if one diverged."""
    values = _differences(one, other, name)
    if not np.all(np.isfinite(values)):
        return Estimate(np.asarray(np.nan), np.asarray(0.0), len(values))
    return Estimate.mean(values)


def _claim(
    number: int, statement: str, origin: str, test: Any, defect: Defect, **rest: Any
) -> Claim:
    rest.setdefault("recorded", "supported")
    return Claim(
        id=f"RE-{number:02d}",
        statement=statement,
        origin=origin,
        seed=2510_03470 + 100 * number,
        test=test,
        defect=defect,
        **rest,
    )


_REVIEWS = "reported in public reviews of an earlier submission; the test is ours"
_DERIVED = "derived here"

_REDUCED = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)

TRAINED_CLAIMS = (
    _claim(
        10,
        "Without normalisation, networks of a branch scale of 1 or L^(−1/4) diverge in training.",
        "public reviews of an earlier submission report it of a constant scale; the second scale "
        "and the test are ours",
        constant_scale_diverges,
        deaf_to_the_scale,
        recorded="conditional: deep networks, plain SGD",
        anchor="sec-re-training",
        sizes={
            "quick": {
                "depth": 50,
                "protocols": ("sgd 0.1", "sgd 0.02"),
                "epochs": 4,
                "shallow_epochs": 10,
                "networks": 2,
            },
            "full": {
                "depth": 100,
                "protocols": ("sgd 0.1", "sgd 0.02", "sgd 0.004"),
                "epochs": 40,
                "shallow_epochs": 40,
                "networks": 5,
            },
        },
    ),
    _claim(
        11,
        "After training, the scale 1/sqrt(L) is more accurate than 1/L.",
        _REVIEWS,
        root_scale_is_more_accurate,
        common_branch_rate,
        recorded="conditional: SGD, one learning rate for all parameters",
        anchor="sec-re-training",
        sizes={
            "quick": {"depth": 30, "multipliers": (1, 30), "epochs": 30, "networks": 5},
            "full": {"depth": 100, "multipliers": (1, 100), "epochs": 40, "networks": 10},
        },
    ),
    _claim(
        12,
        "A branch scale can stand in for normalisation: on the digits the scale 1/sqrt(L) is as "
        "accurate as batch or layer normalisation, within one point.",
        "the abstract presents scaling as the remedy that normalisation was, a comparison on "
        "CIFAR-10 is reported in public reviews; statement and test are ours",
        scale_stands_in,
        unnormalised,
        anchor="sec-re-training",
        sizes={
            "quick": {"depth": 20, "epochs": 10, "networks": 4},
            "full": {"depth": 100, "epochs": 40, "networks": 10},
        },
    ),
    _claim(
        13,
        "The geometric complexity of the learned features is unimodal in the branch scale.",
        _REVIEWS,
        complexity_is_unimodal,
        complexity_over_initial,
        recorded="not supported",
        anchor="sec-re-complexity",
        sizes={
            "quick": {
                "depths": (10,),
                "reduced": _REDUCED,
                "protocols": ("clipped",),
                "epochs": 10,
                "networks": 2,
            },
            "full": {
                "depths": (10, 100),
                "reduced": _REDUCED,
                "protocols": ("clipped", "sgd 0.02", "adam 0.002"),
                "epochs": 40,
                "networks": 5,
            },
        },
    ),
    _claim(
        17,
        "After training to the same accuracy, the smaller branch scale has the smaller geometric "
        "complexity of the features.",
        "the abstract calls the scale a control of capacity; the statement is ours",
        smaller_scale_is_simpler,
        deaf_to_the_scale,
        note="Of the features, not of the logits: the readout makes up for smaller features.",
        anchor="sec-re-complexity",
        sizes={
            "quick": {"depth": 30, "multipliers": (30,), "epochs": 10, "networks": 4},
            "full": {"depth": 100, "multipliers": (100,), "epochs": 40, "networks": 10},
        },
    ),
    _claim(
        18,
        "With clipped SGD, the factor by which training changes the geometric complexity of the "
        "features is largest near 1/sqrt(L); far above, training removes complexity.",
        _DERIVED,
        learning_adds_most_near_the_root,
        deaf_to_the_scale,
        anchor="sec-re-complexity",
        sizes={
            "quick": {"depths": (10,), "reduced": _REDUCED, "epochs": 10, "networks": 4},
            "full": {"depths": (10, 100), "reduced": _REDUCED, "epochs": 40, "networks": 10},
        },
    ),
)
