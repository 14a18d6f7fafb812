"""Claims on the residual expansion, each with the function that tests it.

That depth adds ever longer compositions of blocks, that their number explodes and that a branch
scale that falls with the depth is the remedy is what the abstract states; the scales 1/L and
1/sqrt(L) and the form of the expansion are reported in public reviews of an earlier submission.
All formulas and numbers are derived here. Sample sizes and criteria stand in the table at the end;
claims about training are those of `trained_claims`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion import expansion
from companion.architecture import ResNetSpec
from companion.montecarlo import Estimate, ks_against
from companion.papers.claims import (
    Check,
    Claim,
    Finding,
    at_least,
    at_most,
    matches,
    within,
)
from companion.papers.defects import Defect
from companion.papers.residual_expansion import cells, defects, truncated
from companion.papers.residual_expansion.networks import covariance, network
from companion.papers.residual_expansion.trained_claims import TRAINED_CLAIMS
from companion.simulate import jacobians, jets
from companion.sweeps import moments

__all__ = ["CLAIMS"]

Sizes = Mapping[str, Any]
Array = NDArray[np.float64]

_INDEPENDENT = "blocks that are independent of each other"
_SMALL = "erf(z/√2) with weights of variance 1; neither tanh nor erf with variance 2"
_SMOOTH = "smooth blocks"
_STRAIGHT = "linear and piecewise-linear blocks, or orders below three"


def _spec(
    activation: str, depth: int, width: int, exponent: float = 0.5, **more: Any
) -> ResNetSpec:
    return network(
        {"activation": activation, "depth": depth, "width": width, "exponent": exponent, **more}
    )


def _one(spec: ResNetSpec, seed: int) -> tuple[jets.Tower, Array]:
    """One network without the axis of networks, relative scales 1, and its input."""
    (drawn,) = jets.draw(spec, 1, seed=seed, dtype="float64")
    inner = drawn.tower.inner
    tower = jets.Tower(
        drawn.tower.outer[:, 0],
        None if inner is None else inner[:, 0],
        activation=spec.activation,
    )
    return tower, drawn.start[0, 0].numpy()


def _distance(found: Array, wanted: Array) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def second_order(sizes: Sizes, seed: int, device: str) -> Finding:
    """Order two by running sums, by jet transport and in the complex plane, 12 tanh blocks."""
    tower, start = _one(_spec("tanh", 12, 16, 0.0), seed)
    omega = np.random.default_rng(seed).uniform(0.2, 1.5, tower.depth)
    tower = jets.Tower(
        tower.outer[:, 0], tower.inner[:, 0], activation="tanh", relative_scales=omega
    )
    jet = jets.taylor(tower, start, 2)
    first, second = _running_sums(tower, start, omega)
    circle = jets.contour(
        lambda scales: jets.complex_forward(tower, start, scales), 2, radius=0.05, points=64
    )
    scales = np.array([0.05, 0.0125])
    gaps = [
        np.linalg.norm(stream - jet.partial_sums(float(s))[2])
        for s, stream in zip(scales, jets.forward(tower, start, scales), strict=True)
    ]
    return Finding(
        (
            at_most("order 2, jets, relative error", _distance(jet.coefficients[2], second), 1e-12),
            at_most("order 1, jets, relative error", _distance(jet.coefficients[1], first), 1e-12),
            at_most("order 2, contour, relative error", _distance(circle[2], second), 1e-11),
            within("power of the remainder", math.log(gaps[0] / gaps[1], 4), 3.0, 0.05),
        )
    )


def _running_sums(tower: jets.Tower, start: Array, omega: Array) -> tuple[Array, Array]:
    """Orders one and two of tanh blocks by the formula: the later block is differentiated."""
    first, second = np.zeros_like(start), np.zeros_like(start)
    outer, inner = tower.outer[:, 0].numpy(), tower.inner[:, 0].numpy()
    for scale, v, w in zip(omega, outer, inner, strict=True):
        a = np.tanh(w @ start)
        second += scale * v @ ((1 - a**2) * (w @ first))
        first += scale * v @ a
    return first, second


def members(sizes: Sizes, seed: int, device: str) -> Finding:
    """Sums over all subsets of blocks against jets; energy of order three against paths alone."""
    inside = []
    for activation in ("linear", "relu"):
        tower, start = _one(_spec(activation, 8, 8, 0.0), seed)
        for masks, jet in (
            ("frozen", jets.taylor(tower, start, 4)),
            ("actual", jets.paths(tower, start, 4, 0.5)),
        ):
            wanted = _subsets(_matrices(tower, start, 0.5 if masks == "actual" else 0.0), start, 4)
            worst = max(
                _distance(*pair) for pair in zip(jet.coefficients[1:], wanted[1:], strict=True)
            )
            name = f"orders 1 to 4 against all subsets, {activation}, {masks} masks"
            inside.append(at_most(f"{name}, relative error", worst, 1e-12))
    spec = _spec("erf", 50, sizes["width"], variance=1.5)
    energies = jets.sample_orders(spec, sizes["networks"], 3, seed=seed, device=device).energies
    closed = expansion.closed_order_energies(spec)
    name = f"energy of order {{}}, erf, L=50, n={spec.width}"
    second, third = (Estimate.mean(energies[:, k]) for k in (2, 3))
    common = {"effect": closed.trees, "allowance": 3 / spec.width * closed.chains}
    inside.append(matches(f"{name.format(2)}, paths", second, closed.second, **common))
    all_trees = closed.chains + closed.trees
    inside.append(matches(f"{name.format(3)}, paths and trees", third, all_trees, **common))
    outside = (matches(f"{name.format(3)}, paths alone", third, closed.chains, **common),)
    return Finding(tuple(inside), _STRAIGHT, outside)


def _matrices(tower: jets.Tower, start: Array, scale: float) -> list[Array]:
    """Matrices of the blocks at the masks of the forward pass at ``scale``."""
    h, found = start, []
    for index in range(tower.depth):
        matrix = tower.outer[index, 0].numpy()
        if tower.inner is not None:
            w = tower.inner[index, 0].numpy()
            matrix = matrix @ ((w @ h > 0)[:, None] * w)
        found.append(matrix)
        h = h + scale * matrix @ h
    return found


def _subsets(matrices: Sequence[Array], start: Array, orders: int) -> list[Array]:
    """For each order the sum over all subsets of the blocks, applied in the order of depth."""
    sums = []
    for order in range(orders + 1):
        total = np.zeros_like(start)
        for subset in itertools.combinations(matrices, order):
            h = start
            for matrix in subset:
                h = matrix @ h
            total += h
        sums.append(total)
    return sums


def explosion(sizes: Sizes, seed: int, device: str) -> Finding:
    """Binary logarithm of the mean energy of unscaled ReLU networks of gain one, two depths."""
    checks = []
    for depth in (6, 12):
        spec = _spec("relu", depth, 64, 0.0)
        total = jets.sample_orders(spec, sizes["networks"], 1, seed=seed, device=device).total
        mean = Estimate.mean(total)
        log = Estimate(np.log2(mean.value), mean.sem / mean.value / math.log(2), mean.n)
        wanted = expansion.log_total_energy(spec) / math.log(2)
        name = f"log₂ of the mean energy, ReLU, s=1, L={depth}, n=64"
        checks.append(matches(name, log, wanted, effect=1.0))  # one block more or less
    return Finding(tuple(checks))


def order_energies(sizes: Sizes, seed: int, device: str) -> Finding:
    """Energies of four orders and two covariances, 50 blocks of width 32."""
    checks = []
    for activation, masks in (("linear", "frozen"), ("relu", "frozen"), ("relu", "actual")):
        spec = _spec(activation, 50, 32)
        found = jets.sample_orders(
            spec, sizes["networks"], 4, seed=seed, masks=masks, device=device
        )
        wanted = np.exp(expansion.log_order_energies(spec, 4))
        for order in range(1, 5):
            name = f"energy of order {order}, {activation}, {masks} masks"
            mean = Estimate.mean(found.energies[:, order])
            checks.append(
                matches(name, mean, float(wanted[order]), effect=0.4 * float(wanted[order]))
            )
        for i, j in ((1, 2), (1, 3)):
            mean = Estimate.mean(found.gram[:, i, j])
            effect = float(np.sqrt(wanted[i] * wanted[j]))  # if the two were parallel
            name = f"covariance of orders {i} and {j}, {activation}, {masks} masks"
            checks.append(matches(name, mean, 0.0, effect=effect / 2))
    return Finding(tuple(checks))


def _aligned(depth: int, strength: float) -> tuple[jets.Tower, Array]:
    """Blocks that all multiply the stream by one number."""
    tower = jets.Tower(np.full((depth, 1, 1), strength), activation="linear")
    return tower, np.ones(1)


def inverse_depth(sizes: Sizes, seed: int, device: str) -> Finding:
    """Norm of aligned and displacement of independent blocks at the scale 1/L."""
    checks = []
    for depth in (10, 100, 1000):
        tower, start = _aligned(depth, 1 / depth)
        norm = float(jets.forward(tower, start, 1.0).ravel()[0])
        wanted = math.exp(
            np.logaddexp.reduce(expansion.log_aligned_norms(np.full(depth, 1 / depth)))
        )
        name = f"norm of aligned blocks, s=1/L, L={depth}"
        checks.append(within(f"{name}, over its formula", norm / wanted, 1.0, 1e-11))
        checks.append(at_most(name, norm, math.e))
    for depth in (25, 100):
        spec = _spec("relu", depth, 32, 1.0)
        found = jets.sample_orders(spec, sizes["networks"], 1, seed=seed, device=device)
        moved = Estimate.mean(found.remainder[:, 0])
        wanted = math.expm1(expansion.log_total_energy(spec))
        name = f"squared displacement of independent blocks, s=1/L, L={depth}"
        checks.append(matches(name, moved, wanted, effect=wanted))
    return Finding(tuple(checks))


def inverse_root(sizes: Sizes, seed: int, device: str) -> Finding:
    """Energy of independent blocks and norm of aligned ones at the scale 1/sqrt(L)."""
    inside = []
    for depth in (25, 100):
        spec = _spec("relu", depth, 32)
        total = jets.sample_orders(spec, sizes["networks"], 1, seed=seed, device=device).total
        wanted = math.exp(expansion.log_total_energy(spec))
        name = f"mean energy of independent blocks, s=1/√L, L={depth}"
        inside.append(matches(name, Estimate.mean(total), wanted, effect=wanted - 1))
    largest = max(expansion.log_total_energy(np.full(d, 1 / d)) for d in (10, 1000, 100_000))
    inside.append(at_most("log energy of independent blocks, L up to 100 000", largest, 1.0))
    outside = []
    for depth in (25, 100):
        tower, start = _aligned(depth, depth**-0.5)
        norm = float(jets.forward(tower, start, 1.0).ravel()[0])
        outside.append(at_most(f"norm of aligned blocks, s=1/√L, L={depth}", norm, math.e))
    return Finding(tuple(inside), _INDEPENDENT, tuple(outside))


def second_order_truncation(sizes: Sizes, seed: int, device: str) -> Finding:
    """Relative error after order two at the scale 1/L, tanh networks and aligned blocks."""
    depths = sizes["depths"]
    errors = np.array([_second_errors(depth, sizes["networks"], seed) for depth in depths])
    logs = np.log(errors)
    slope = np.polyfit(np.log(depths), logs.mean(1), 1)[0]
    count = sizes["networks"]
    inside = (
        at_most("largest error, tanh, L=100", float(errors[0].max()), 1e-3, n=count),
        within("power of L of the geometric mean, tanh", float(slope), -1.5, 0.1, n=count),
    )
    outside = []
    for depth in (100, 1000):
        tower, start = _aligned(depth, 1 / depth)
        jet = jets.taylor(tower, start, 2)
        error = jets.truncation_errors(jet, jets.forward(tower, start, 1.0), 1.0)
        outside.append(at_most(f"error, aligned, L={depth}", float(error[0, 2]), 1e-2))
    return Finding(inside, _INDEPENDENT, tuple(outside))


def _second_errors(depth: int, networks: int, seed: int, activation: str = "tanh") -> Array:
    """Relative errors after order two of networks of width 32 at the scale 1/L."""
    found = []
    spec = _spec(activation, depth, 32, 1.0)
    for drawn in jets.draw(spec, networks, seed=seed, dtype="float64"):
        jet = jets.taylor(drawn.tower, drawn.start, 2)
        streams = jets.forward(drawn.tower, drawn.start, 1.0)
        found.append(jets.truncation_errors(jet, streams, 1.0)[0, 2, :, 0])
    return np.concatenate(found)


def remainder_is_of_third_order(sizes: Sizes, seed: int, device: str) -> Finding:
    """Powers of the remainder after order two of erf and ReLU networks, and its size at 1/L.

    The two reduced scales lie on either side of 1/L at the depth of 50.
    """
    errors = _second_errors(100, sizes["networks"] // 4, seed, "relu")
    size = float(np.sqrt(np.mean(np.square(errors))))
    name = "root mean square of the relative error after order 2, ReLU, s=1/L, L=100"

    def power(activation: str) -> Check:
        words = f"power of the remainder after order 2, {activation}, ŝ from 0.125 to 0.25"
        found = _power(activation, sizes["networks"], seed, device)
        return matches(words, found, 3.0, allowance=0.1, effect=0.4)

    return Finding(
        (power("erf"), at_most(name, size, 0.01, n=errors.size)), _SMOOTH, (power("relu"),)
    )


def _power(activation: str, networks: int, seed: int, device: str) -> Estimate:
    """Power of the root mean squared remainder between two small scales."""
    low, high = _remainders((0.125, 0.25), networks, seed, device, activation)
    relative = [float(m.sem / m.value) for m in (low, high)]
    power = math.log(float(high.value / low.value), 2) / 2
    sem = math.hypot(*relative) / (2 * math.log(2))
    return Estimate(np.asarray(power), np.asarray(sem), networks)


def _remainders(
    scales: Sequence[float], networks: int, seed: int, device: str, activation: str = "relu"
) -> list[Estimate]:
    """Mean squared remainders beyond order two at reduced scales, 50 blocks of width 32."""
    params = {"activation": activation, "depth": 50, "width": 32}
    params |= {"networks": networks, "scales": tuple(scales), "orders": 2}
    rows = truncated.remainder(params, np.random.SeedSequence(seed), device)
    mean = moments.read(rows[rows["kind"] == "second"], "value").mean
    return [mean[i] for i in range(len(scales))]


def kink_laws(sizes: Sizes, seed: int, device: str) -> Finding:
    """Kolmogorov-Smirnov test and mean of the first kink; remainders at three scales."""
    spec = _spec("relu", 50, 32, 0.0)
    law = expansion.first_kink(spec)
    unit = spec.replace(scale=law.mean)
    kinks = jets.sample_kinks(unit, sizes["kinks"], seed=seed, limit=40.0, device=device)[:, 0]
    test = ks_against(kinks * law.mean, law.cdf)
    mean = Estimate.mean(kinks)
    checks = [
        at_least("p-value against the exponential, L=50, n=32", test.pvalue, 1e-3, n=kinks.size),
        matches("mean first kink over its formula", mean, 1.0, effect=0.5),
    ]
    scales = (0.125, 0.25, 1.0)
    for scale, found in zip(
        scales, _remainders(scales, sizes["networks"], seed, device), strict=True
    ):
        at = spec.replace(scale=scale / 50**0.5)
        wanted = float(expansion.remainder_energies(at, 2)[2])
        smooth = float(np.exp(expansion.log_order_energies(at, 3)[3]))
        name = f"mean squared remainder after order 2, ŝ={scale:g}"
        checks.append(matches(name, found, wanted, allowance=0.03 * wanted, effect=wanted - smooth))
    leading = [expansion.remainder_leading(spec.replace(scale=s)) for s in (1e-3, 2e-3)]
    power = math.log(leading[1] / leading[0], 2) / 2
    checks.append(within("leading power", power, 2.5, 1e-9))
    return Finding(tuple(checks))


def series_at_inverse_root(sizes: Sizes, seed: int, device: str) -> Finding:
    """Relative errors at order 40 over networks of width 64, at the reduced scale one."""
    inside, outside = [], []
    for depth in sizes["depths"]:
        _, high = _errors_at_40("erf", 1.0, depth, sizes["networks"], seed)
        name = f"erf, weights of variance 1, s=1/√L, L={depth}"
        inside.append(at_most(f"largest error after order 40, {name}", high, 0.01))
        for activation, variance in (("tanh", 1.0), ("erf", 2.0)):
            middle, _ = _errors_at_40(activation, variance, depth, sizes["networks"], seed)
            name = f"{activation}, weights of variance {variance:g}, s=1/√L, L={depth}"
            outside.append(at_most(f"median error after order 40, {name}", middle, 1.0))
    return Finding(tuple(inside), _SMALL, tuple(outside))


def _errors_at_40(
    activation: str, variance: float, depth: int, networks: int, seed: int
) -> tuple[float, float]:
    """Median and largest relative error after order 40 over networks."""
    params = {"activation": activation, "variance": variance, "depth": depth, "width": 64}
    params |= {"orders": 40, "networks": networks, "scales": (1.0,)}
    rows = truncated.truncation(params, np.random.SeedSequence(seed), "cpu")
    at = rows[(rows["kind"] == "error") & (rows["entry"] == 40)].iloc[0]
    return 10 ** float(at["middle"]), 10 ** float(at["high"])


def capacity(sizes: Sizes, seed: int, device: str) -> Finding:
    """Geometric complexity of features at initialization at three scales, 50 blocks."""
    checks = []
    for scale in (0.0, 0.5, 1.0):
        spec = _spec("relu", 50, 32).replace(scale=scale / 50**0.5)
        found = np.concatenate(
            [
                _complexities(drawn)
                for drawn in jets.draw(spec, sizes["networks"], seed=seed, dtype="float64")
            ]
        )
        wanted = math.exp(expansion.log_jacobian_energy(spec))
        name = f"geometric complexity over that of the input map, ŝ={scale:g}"
        if scale == 0:
            checks.append(within(name, float(found.mean()), 1.0, 1e-9, n=found.size))
        else:
            checks.append(matches(name, Estimate.mean(found), wanted, effect=wanted - 1))
    return Finding(tuple(checks))


def _complexities(drawn: jets.Drawn) -> Array:
    """Squared Jacobians of the features by an input map that is the identity, over the width."""
    features = jacobians.network(drawn.tower, 1.0, input_map=np.eye(drawn.tower.width))
    found = jacobians.squared_jacobian(features, drawn.start, batch_axes=2)
    return np.asarray(found)[:, 0] / drawn.tower.width


def effective_lengths(sizes: Sizes, seed: int, device: str) -> Finding:
    """Mean path length of normalised networks against harmonic numbers and half the depth."""
    checks = []
    for depth, networks in sizes["networks"].items():
        params = {"depth": depth, "width": 256, "networks": networks}
        rows = cells.prenorm(params, np.random.SeedSequence(seed), device)
        mean = moments.read(rows[rows["kind"] == "mean"], "value").mean[0]
        wanted = expansion.PathLaw.prenormalised(depth).mean
        name = f"mean path length, L={depth}, n=256"
        checks.append(
            matches(name, mean, wanted, allowance=0.01 * wanted, effect=depth / 2 - wanted)
        )
        harmonic = float(np.sum(1 / np.arange(2, depth + 2)))
        checks.append(within(f"its formula, L={depth}", wanted, harmonic, 1e-9))
        checks.append(
            at_most(f"mean path length over L/2, L={depth}", float(mean.value) / (depth / 2), 0.5)
        )
    return Finding(tuple(checks))


def critical_scale(sizes: Sizes, seed: int, device: str) -> Finding:
    """Energies of correlated linear blocks at the critical scale, and its range over laws."""
    checks = []
    for law, parameter in (("equicorrelated", 0.1), ("ou", 5.0), ("equicorrelated", 1.0)):
        g = covariance(law, parameter, 60)
        params = {"law": law, "parameter": parameter, "depth": 60, "width": 128}
        params |= {"networks": sizes["networks"], "orders": 2, "ratios": (1.0,)}
        rows = cells.correlation(params, np.random.SeedSequence(seed), device)
        critical = expansion.critical_scale(g)
        total = moments.read(rows[rows["kind"] == "total"], "value").mean[0]
        wanted = math.exp(float(expansion.log_correlated_energy(g, critical)))
        name = f"mean energy at the critical scale, {law} {parameter:g}, L=60, n=128"
        checks.append(matches(name, total, wanted, allowance=0.02 * wanted, effect=wanted - 1))
    for law, parameter in (("equicorrelated", 0.0), ("equicorrelated", 0.01), ("fractional", 0.8)):
        for depth in (60, 300):
            g = covariance(law, parameter, depth)
            log = float(expansion.log_correlated_energy(g, expansion.critical_scale(g)))
            name = f"energy at the critical scale, {law} {parameter:g}, L={depth}"
            checks += [at_least(name, math.exp(log), 2.0), at_most(name, math.exp(log), math.e)]
    return Finding(tuple(checks))


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


def _sizes(quick: Mapping[str, Any], full: Mapping[str, Any]) -> dict[str, Sizes]:
    return {"quick": quick, "full": full}


_ABSTRACT = "the abstract states it; the test and its numbers are ours"
_REVIEW = "reported in public reviews of an earlier submission; the test and its numbers are ours"
_DERIVED = "derived here"

_INITIAL = (
    _claim(
        1,
        "To second order in the branch scale, a residual network is its input, plus every block of "
        "the input, plus every pair of blocks, the later one differentiated along the earlier.",
        "the abstract states the expansion, its form is reported in public reviews of an earlier "
        "submission; proof and test are ours",
        second_order,
        defects.blocks_reversed,
        anchor="sec-re-expansion",
        sizes=_sizes({}, {}),
        note="Blocks are smooth (tanh); for ReLU see RE-08.",
    ),
    _claim(
        2,
        "The order k of the expansion is the sum of as many members as there are ways to choose k "
        "blocks.",
        "the abstract and public reviews of an earlier submission; the test and its numbers are "
        "ours",
        members,
        defects.no_trees,
        recorded=f"conditional: {_STRAIGHT}",
        anchor="sec-re-expansion",
        sizes=_sizes({"width": 64, "networks": 100}, {"width": 256, "networks": 400}),
        note="From the third order on, curved blocks add trees that are not paths. The allowance "
        "is a relative 3/n.",
    ),
    _claim(
        3,
        "Without scaling, the output of a residual network grows exponentially with its depth.",
        _ABSTRACT,
        explosion,
        defects.tied_blocks,
        anchor="sec-re-energies",
        sizes=_sizes({"networks": 500}, {"networks": 8000}),
    ),
    _claim(
        4,
        "Independent blocks give the order k an energy of the number of its paths times the k-th "
        "power of the squared scale and gain, and uncorrelated orders.",
        _DERIVED,
        order_energies,
        defects.scale_for_square,
        anchor="sec-re-energies",
        sizes=_sizes({"networks": 400}, {"networks": 4000}),
    ),
    _claim(
        5,
        "At the branch scale 1/L the stream stays bounded, whatever the depth.",
        _REVIEW,
        inverse_depth,
        defects.tied_blocks,
        anchor="sec-re-scales",
        sizes=_sizes({"networks": 100}, {"networks": 2000}),
        note="The bound is attained by aligned blocks; independent ones move the stream by 1 % of "
        "its squared norm at L=100.",
    ),
    _claim(
        6,
        "At the branch scale 1/√L the stream of a network at initialization stays bounded, "
        "whatever the depth.",
        _REVIEW,
        inverse_root,
        defects.tied_blocks,
        recorded=f"conditional: {_INDEPENDENT}",
        anchor="sec-re-scales",
        sizes=_sizes({"networks": 200}, {"networks": 4000}),
    ),
    _claim(
        7,
        "At the branch scale 1/L the expansion to second order is accurate.",
        "our question: public reviews of an earlier submission report the objection that the third "
        "order does not become negligible there",
        second_order_truncation,
        defects.tied_blocks,
        recorded=f"conditional: {_INDEPENDENT}",
        anchor="sec-re-truncation",
        sizes=_sizes(
            {"depths": (100, 400), "networks": 30}, {"depths": (100, 400, 1600), "networks": 60}
        ),
        note="Accurate means an error below 1 %; aligned blocks miss 8 %.",
    ),
    _claim(
        8,
        "At the branch scale 1/L a network equals its expansion to second order up to a remainder "
        "of third order, averaged over networks.",
        "our question; public reviews of an earlier submission report an expansion in powers of "
        "the scale",
        remainder_is_of_third_order,
        defects.masks_never_switch,
        recorded=f"conditional: {_SMOOTH}",
        anchor="sec-re-kinks",
        sizes=_sizes({"networks": 400}, {"networks": 8000}),
        note="For ReLU the power is 5/2, and the remainder is small all the same: 0.1 % at s=1/L "
        "and L=100. The decomposition into paths at the masks of the true forward pass is exact "
        "at every scale, but it is not a Taylor series. The allowance of 0.1 is for the next "
        "order.",
    ),
    _claim(
        9,
        "The full series converges at the branch scale 1/√L.",
        "our question: 1/√L is reported in public reviews to train well, no statement about "
        "convergence is known to us",
        series_at_inverse_root,
        defects.quarter_of_the_scale,
        recorded=f"conditional: {_SMALL}",
        anchor="sec-re-truncation",
        sizes=_sizes({"depths": (100,), "networks": 8}, {"depths": (100, 400), "networks": 40}),
        note="A numerical observation up to order 40, without proof: what looks like convergence "
        "there need not be. Single tanh networks of depth 100 still have errors below one there, "
        "hence the median.",
    ),
    _claim(
        14,
        "The branch scale controls the capacity of the network at initialization: its geometric "
        "complexity is that of the input map times a power that grows with the scale.",
        "the abstract calls the scale a capacity control; the formula is derived here",
        capacity,
        defects.scale_for_square,
        anchor="sec-re-complexity",
        sizes=_sizes({"networks": 60}, {"networks": 2000}),
    ),
    _claim(
        15,
        "The paths that carry the signal of a normalised network are short: their mean length "
        "grows like the logarithm of the depth.",
        "observed by Veit, Wilber and Belongie (2016) in a trained network; the formula is derived "
        "here",
        effective_lengths,
        defects.all_paths_alike,
        anchor="sec-re-lengths",
        sizes=_sizes({"networks": {10: 10, 54: 10}}, {"networks": {10: 200, 54: 200, 200: 40}}),
        note="At initialization; the allowance is a relative 1 % for finite width.",
    ),
    _claim(
        16,
        "The critical branch scale is set by the mean correlation of the blocks along depth.",
        _DERIVED,
        critical_scale,
        defects.correlation_ignored,
        anchor="sec-re-correlation",
        sizes=_sizes({"networks": 40}, {"networks": 300}),
        note="The allowance of 2 % is for finite width.",
    ),
    _claim(
        19,
        "The first kink of a ReLU network is exponential with a mean far below 1/L, and its "
        "remainder beyond the second order has the power 5/2.",
        _DERIVED,
        kink_laws,
        defects.kinks_of_one_block,
        anchor="sec-re-kinks",
        sizes=_sizes({"kinks": 500, "networks": 250}, {"kinks": 4000, "networks": 8000}),
        note="The allowance of 3 % is for finite width.",
    ),
)

CLAIMS = tuple(sorted((*_INITIAL, *TRAINED_CLAIMS), key=lambda claim: claim.id))
