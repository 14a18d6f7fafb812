"""Explicit weights: one network at a time by automatic differentiation, identities, moments."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
import torch

from companion.activations import Erf, LeakyReLU
from companion.architecture import ResNetSpec
from companion.montecarlo import Estimate, ks_between
from companion.simulate import blocks, columns, dense, displacement, explicit, plans, processes
from companion.weights import IID, FractionalNoise, Smooth
from tests import defects

RATIOS = ("log_norm", "log_difference", "log_gradient", "log_gradient_difference")


def large_depth(depth: int, width: int, **kwargs: object) -> ResNetSpec:
    return ResNetSpec.large_depth(depth, width, 0.5, d_in=5).replace(**kwargs)


def run(spec: ResNetSpec, networks: int, **kwargs: object) -> explicit.Ratios:
    return explicit.ratios(
        spec, networks, **({"seed": 1, "device": "cpu", "dtype": "float64"} | kwargs)
    )


def arrays(found: explicit.Ratios) -> dict[str, np.ndarray]:
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    return {name: value for name, value in values.items() if value is not None}


# ---------------------------------------------------------------- one network at a time

CASES = {
    "res-3": large_depth(6, 5),
    "res-1": large_depth(6, 5, block="single"),
    "leaky": large_depth(6, 5, activation=LeakyReLU(-0.3), weight_law=IID("gaussian")),
    "leaky res-1": large_depth(6, 5, activation=LeakyReLU(0.4), block="single"),
    "linear": large_depth(6, 5, activation="linear", weight_law=IID("rademacher")),
    "tanh": large_depth(6, 5, activation="tanh", weight_variance=2.0, outer_variance=0.7),
    "erf res-1": large_depth(6, 5, activation=Erf(0.8), block="single", weight_variance=2.0),
    "smooth": large_depth(6, 5, weight_law=Smooth(0.05), weight_variance=2.0),
    "fractional": large_depth(6, 5, weight_law=FractionalNoise(0.8), outer_variance=0.6),
    "fractional res-1": large_depth(6, 5, weight_law=FractionalNoise(0.2), block="single"),
    "one scale per layer": large_depth(6, 5, scale=tuple(np.linspace(0.1, 0.9, 6))),
}


class Script:
    """The matrices, and the uniform numbers that make inputs, in the order of their drawing."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.matrices: list[torch.Tensor] = []
        self.uniforms: list[torch.Tensor] = []
        draw, uniform = processes.draw, blocks.Noise.uniform

        def drawn(*args, **kwargs):
            self.matrices.append(draw(*args, **kwargs))
            return self.matrices[-1]

        def spread(noise, *shape):
            self.uniforms.append(uniform(noise, *shape))
            return self.uniforms[-1].clone()

        patch.setattr(processes, "draw", drawn)
        patch.setattr(blocks.Noise, "uniform", spread)


def linear(weight: torch.Tensor) -> torch.nn.Linear:
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.float64)
    layer.weight.data = weight
    return layer


def alone(spec: ResNetSpec, x, scale, embed, inner, outer, read) -> list[float]:
    """One sample through one network made of linear layers, with the gradients of a loss."""
    phi = {
        "relu": torch.relu,
        "leaky_relu": lambda u: torch.nn.functional.leaky_relu(u, spec.activation.slope),
        "linear": lambda u: u,
        "tanh": torch.tanh,
        "erf": lambda u: torch.erf(spec.activation.steepness * u),
    }[spec.activation.name]
    h = linear(embed * (spec.input_weight_variance / spec.inputs) ** 0.5)(x)
    states = [h.detach().requires_grad_()]
    for layer in range(spec.depth):
        u = states[-1]
        if inner is not None:
            u = linear(inner[layer] * (spec.weight_variance / spec.width) ** 0.5)(u)
        variance = spec.weight_variance if inner is None else spec.outer_variance
        branch = linear(outer[layer] * (variance / spec.width) ** 0.5)(phi(u))
        s = scale if scale is not None else spec.scales[layer]
        states.append(states[-1] + s * branch)
    loss = (linear(read.T)(states[-1]) - 0.3).square().sum()
    p0, pL = torch.autograd.grad(loss, [states[0], states[-1]])
    h0, hL = states[0], states[-1]
    norms = [hL, hL - h0, p0, pL - p0]
    starts = [h0, h0, pL, pL]
    return [
        float(2 * torch.log(torch.linalg.norm(a.detach()) / torch.linalg.norm(b.detach())))
        for a, b in zip(norms, starts, strict=True)
    ]


def check_one_at_a_time(case: str, inputs: str):
    spec = CASES[case]
    scales = None if isinstance(spec.scale, tuple) else np.array([0.03, 0.4, 1.1])
    rows = np.random.default_rng(3).standard_normal((2, 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "BLOCK_WEIGHTS", {"cpu": 2 * 2 * 6 * 25})
        script = Script(patch)
        found = run(spec, 2, scales=scales, inputs=rows if inputs == "given" else 2)
    embed, outer, *inner, read = script.matrices
    assert embed.shape[1] >= 2
    for b in range(2):
        x = torch.as_tensor(rows) if inputs == "given" else (script.uniforms[0][b] + 1) / 2
        for i, scale in enumerate([None] if scales is None else scales):
            for j in range(2):
                inside = inner[0][:, b] if inner else None
                expected = alone(spec, x[j], scale, embed[0, b], inside, outer[:, b], read[0, b])
                values = [getattr(found, name)[b, i, j] for name in RATIOS]
                np.testing.assert_allclose(values, expected, atol=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_one_network_at_a_time(case):
    check_one_at_a_time(case, "given")


def test_one_network_at_a_time_with_random_inputs():
    case = CASES["random"] = large_depth(6, 5, weight_law=IID("gaussian"))
    assert case.weight_law.gaussian  # so that only the inputs are uniform
    check_one_at_a_time("random", "random")


def fresh_backward(patch: defects.Patch) -> None:
    """Walk back through the weights of other networks."""
    true = columns.Branch.pull

    def pull(self, layer, p, kept):
        return true(
            self, columns.Layer(*(m if m is None else m.roll(1, 0) for m in layer)), p, kept
        )

    patch.setattr(columns.Branch, "pull", pull)


def no_mask(patch: defects.Patch) -> None:
    """Take every slope as 1 on the way back."""
    true = columns.Branch.pull

    def pull(self, layer, p, kept):
        return true(self, layer, p, torch.ones_like(kept))

    patch.setattr(columns.Branch, "pull", pull)


def untransposed(patch: defects.Patch) -> None:
    """Use the matrices themselves on the way back."""
    true = columns.Branch.pull

    def pull(self, layer, p, kept):
        return true(self, columns.Layer(*(m if m is None else m.mT for m in layer)), p, kept)

    patch.setattr(columns.Branch, "pull", pull)


def wrong_inner_deviation(patch: defects.Patch) -> None:
    """Give the branch a tenth too much."""
    true = columns.Branch.__init__

    def init(self, spec):
        true(self, spec)
        self.up, self.down = 1.1 * self.up, 1.1 * self.down

    patch.setattr(columns.Branch, "__init__", init)


def norm_for_displacement(patch: defects.Patch) -> None:
    """Report the norm in place of the norm of the displacement."""
    true = columns.Walk.ratios
    patch.setattr(columns.Walk, "ratios", lambda self: (true(self)[0],) * 2)


def stale_ratio(patch: defects.Patch) -> None:
    """Rescale columns and sums, and go on adding as before."""

    def rescale(self):
        self.log_x += displacement.rescale_(self.x.mT)
        self.log_moved += displacement.rescale_(self.moved.mT)

    patch.setattr(columns.Walk, "rescale", rescale)


@pytest.mark.parametrize(
    ("case", "defect"),
    [
        *[(case, fresh_backward) for case in CASES],
        *[(case, untransposed) for case in CASES],
        *[(case, no_mask) for case in CASES if case != "linear"],
        *[(case, wrong_inner_deviation) for case in CASES],
        ("res-3", norm_for_displacement),
    ],
)
def test_one_network_at_a_time_rejects(case, defect):
    defects.must_reject(defect, check_one_at_a_time, case, "given")


# ---------------------------------------------------------------- conservation


def check_conservation(case: str, depth: int = 60):
    spec = CASES[case].replace(depth=depth, width=10, scale=0.3)
    scales = [1e-6, 0.1, 1.0, 3.0]
    drift = run(spec, 20, scales=scales, inputs=3).drift
    assert np.abs(drift).max() < 1e-12
    assert 0 < np.abs(run(spec, 20, scales=scales, dtype="float32").drift).max() < 1e-4


HOMOGENEOUS = [case for case in CASES if case not in ("tanh", "erf res-1")]


@pytest.mark.parametrize("case", HOMOGENEOUS)
def test_conservation(case):
    check_conservation(case)


@pytest.mark.parametrize("case", HOMOGENEOUS)
@pytest.mark.parametrize("defect", [fresh_backward, untransposed])
def test_conservation_rejects(case, defect):
    defects.must_reject(defect, check_conservation, case)


def test_nothing_is_conserved_by_other_branches():
    drift = run(CASES["tanh"], 20, scales=[1.0], inputs=rows_of_size(3)).drift
    assert np.abs(drift).max() > 1e-3


def rows_of_size(size: float, k: int = 2) -> np.ndarray:
    return size * np.random.default_rng(3).standard_normal((k, 5))


# ---------------------------------------------------------------- reproducibility


@pytest.mark.parametrize("case", ["res-3", "res-1", "tanh", "smooth", "fractional"])
@pytest.mark.parametrize("k", [1, 3])
def test_batches_change_no_bit(case, k, precision):
    spec = CASES[case].replace(depth=20, width=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "BLOCK_WEIGHTS", {"cpu": 3 * 20 * 64 * 2})
        keywords = {"scales": [0.1, 0.5], "inputs": k, "dtype": precision}
        whole = arrays(run(spec, 11, **keywords))
        for batch in (2, 3, 50):
            for name, rows in arrays(run(spec, 11, batch=batch, **keywords)).items():
                np.testing.assert_array_equal(rows, whole[name], err_msg=name)
        for name, rows in arrays(run(spec, 4, batch=2, **keywords)).items():
            np.testing.assert_array_equal(rows, whole[name][:4], err_msg=name)


@pytest.mark.parametrize("width", [3, 10, 40])
def test_lone_networks_in_batches(width):
    spec = large_depth(7, width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "BLOCK_WEIGHTS", {"cpu": 1})
        whole = arrays(run(spec, 5))
        for name, rows in arrays(run(spec, 5, batch=4)).items():
            np.testing.assert_array_equal(rows, whole[name], err_msg=name)


def test_columns_in_any_chunks_are_the_same_networks():
    spec, keywords = CASES["res-3"], {"scales": [0.1, 0.5, 1.0], "inputs": rows_of_size(1, 4)}
    whole = arrays(run(spec, 3, **keywords))
    for chunk in (1, 5, 8):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plans, "CHUNK_COLUMNS", {"cpu": chunk})
            for name, rows in arrays(run(spec, 3, **keywords)).items():
                np.testing.assert_allclose(rows, whole[name], atol=1e-12, err_msg=name)
    for i, scale in enumerate(keywords["scales"]):
        one = arrays(run(spec, 3, scales=[scale], inputs=keywords["inputs"]))
        declared = arrays(run(spec.replace(scale=scale), 3, inputs=keywords["inputs"]))
        for name, rows in one.items():
            np.testing.assert_allclose(rows[:, 0], whole[name][:, i], atol=1e-12, err_msg=name)
            np.testing.assert_array_equal(declared[name], rows)


@pytest.mark.parametrize("case", ["res-3", "tanh", "smooth"])
def test_paths_are_of_the_same_networks(case):
    spec = CASES[case].replace(depth=70)
    path = explicit.paths(spec, 5, seed=1, device="cpu", inputs=2)
    both, up = (run(spec, 5, inputs=2, dtype="float32", gradients=g) for g in (True, False))
    assert path.shape == (5, 71, 2)
    assert np.all(path[:, 0] == 0)
    assert up.log_gradient is up.log_gradient_difference is up.drift is None
    np.testing.assert_array_equal(both.log_norm, up.log_norm)
    np.testing.assert_allclose(path[:, -1], up.log_norm[:, 0], atol=1e-12)
    shorter = explicit.paths(CASES[case].replace(depth=70), 5, seed=1, device="cpu", inputs=2)
    np.testing.assert_array_equal(path, shorter)
    if case == "res-3":  # layers are independent: the first ones are those of another depth too
        layers = np.diff(path[:, :, 0], axis=1)
        assert np.unique(layers).size > 300


def test_seeds_and_blocks_are_different_networks():
    found = [
        run(CASES["res-3"], 3, seed=seed).log_norm for seed in (1, 2, np.random.SeedSequence(1))
    ]
    np.testing.assert_array_equal(found[0], found[2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "BLOCK_WEIGHTS", {"cpu": 600})
        many = run(CASES["res-3"], 12).log_norm
    assert np.unique(np.concatenate([found[0], found[1], many])).size >= 15


# ---------------------------------------------------------------- extremes


def same_normals(patch: pytest.MonkeyPatch) -> None:
    """Draw all normals in float64 and round them to the number type of the run."""

    def normal_(self, out):
        (generator,) = self._generators
        return out.copy_(torch.empty(out.shape, dtype=torch.float64).normal_(generator=generator))

    patch.setattr(blocks.Noise, "normal_", normal_)


def subtracted(patch: defects.Patch) -> None:
    """Take the displacement as the difference of two streams."""
    true = columns.Walk.ratios

    def ratios(self):
        norm, _ = true(self)
        scaled = self.x * torch.exp(self.log_x / 2).to(self.x.dtype)[:, None]
        gap = (scaled - self.start).to(torch.float64).square().sum(-2)
        return norm, torch.log(gap) - self.log_start

    patch.setattr(columns.Walk, "ratios", ratios)


def check_small_scales():
    spec, scales = large_depth(100, 20, weight_law=IID("gaussian")), [1e-3, 1e-6, 1e-12, 1e-30]
    with pytest.MonkeyPatch.context() as patch:
        same_normals(patch)
        keywords = {"scales": scales, "inputs": rows_of_size(1)}
        low, high = (arrays(run(spec, 5, dtype=d, **keywords)) for d in ("float32", "float64"))
    for name in RATIOS:
        np.testing.assert_allclose(low[name], high[name], atol=2e-5, err_msg=name)
    slope = np.diff(high["log_difference"], axis=1) / np.diff(2 * np.log(scales))[:, None]
    np.testing.assert_allclose(slope, 1, atol=1e-3)


def test_small_scales_keep_their_digits():
    check_small_scales()


def test_small_scales_keep_their_digits_rejects_subtraction():
    defects.must_reject(subtracted, check_small_scales)


def test_growth_beyond_the_range_of_floats():
    """Scale 1 at depth 1000: a second moment of 10^176; scale 10^6: one of 10^12000."""
    spec = large_depth(1000, 40, weight_law=IID("gaussian"))
    with pytest.MonkeyPatch.context() as patch:
        same_normals(patch)
        patch.setattr(plans, "BLOCK_WEIGHTS", {"cpu": 1})
        keywords = {"scales": [1.0, 1e6], "inputs": rows_of_size(1)}
        low, high = (arrays(run(spec, 1, dtype=d, **keywords)) for d in ("float32", "float64"))
    for name in RATIOS:
        assert np.all(low[name][:, 0] > 300), name
        assert np.all(low[name][:, 1] > 20000), name
        np.testing.assert_allclose(low[name], high[name], rtol=1e-5)
    law = 1000 * (np.log(1.5) - np.array([5 / 4 - 0.5 * 0.25]) / 40)  # leading order in 1/n
    assert np.all(np.abs(high["log_norm"][:, 0] - law) < 60)


def test_contraction_keeps_its_digits():
    """Anti-persistent linear branches shrink the stream far below the input."""
    law = FractionalNoise(0.1)
    spec = large_depth(3000, 2, block="single", activation="linear", weight_law=law)
    with pytest.MonkeyPatch.context() as patch:
        same_normals(patch)
        keywords = {"scales": [0.1], "inputs": rows_of_size(1)}
        low, high = (arrays(run(spec, 8, dtype=d, **keywords)) for d in ("float32", "float64"))
    assert np.median(high["log_norm"]) < -8
    np.testing.assert_allclose(low["log_norm"], high["log_norm"], atol=0.02)


def test_no_branch_moves_nothing():
    found = run(CASES["res-3"], 3, scales=[0.0, 0.5])
    assert np.all(found.log_norm[:, 0] == 0)
    assert np.all(np.isneginf(found.log_difference[:, 0]))
    assert np.all(np.isneginf(found.log_gradient_difference[:, 0]))
    assert np.all(np.isfinite(found.log_gradient_difference[:, 1]))


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_inputs_of_any_size(scale):
    one, other = (run(CASES["res-3"], 3, inputs=rows_of_size(s)) for s in (1.0, scale))
    for name in RATIOS:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-10)
    small, large = (run(CASES["tanh"], 3, inputs=rows_of_size(s)) for s in (0.1, 10.0))
    assert np.abs(small.log_norm - large.log_norm).min() > 1e-3


# ---------------------------------------------------------------- moments


def moments(found: explicit.Ratios) -> list[Estimate]:
    """Means of the four squared ratios; inputs of a network are averaged first."""
    return [Estimate.mean(np.exp(getattr(found, name)).mean(-1)[:, 0]) for name in RATIOS]


SECOND_MOMENTS = {  # spec, gain of a branch
    "uniform": (large_depth(50, 10), 0.5),
    "leaky": (large_depth(30, 8, activation=LeakyReLU(0.3)), (1 + 0.3**2) / 2),
    "linear res-1": (large_depth(30, 12, activation="linear", block="single"), 1.0),
    "rademacher": (large_depth(30, 8, weight_law=IID("rademacher"), weight_variance=2.0), 1.0),
}


def check_second_moments(case: str):
    """(1 + c alpha^2)^L at every width, forward and backward; less 1 for the displacements."""
    spec, gain = SECOND_MOMENTS[case]
    moved = np.expm1(spec.depth * np.log1p(gain * spec.scale**2))
    for found, target in zip(
        moments(run(spec, 6000, dtype="float32", seed=4)), [1 + moved, moved] * 2, strict=True
    ):
        assert found.resolves(0.2 * moved)
        assert found.agrees(target)


@pytest.mark.mc
@pytest.mark.parametrize("case", SECOND_MOMENTS)
def test_second_moments(case):
    check_second_moments(case)


@pytest.mark.mc
@pytest.mark.parametrize("case", SECOND_MOMENTS)
@pytest.mark.parametrize("defect", [wrong_inner_deviation, norm_for_displacement])
def test_second_moments_reject(case, defect):
    defects.must_reject(defect, check_second_moments, case)


@pytest.mark.mc
def test_second_moments_reject_a_stale_ratio():
    defects.must_reject(stale_ratio, check_second_moments, "uniform")


def kappa(r):
    return (np.sqrt(1 - r**2) + r * (np.pi - np.arccos(r))) / (2 * np.pi)


def kappa0(r):
    return (np.pi - np.arccos(r)) / (2 * np.pi)


def first_order(law, depth: int, width: int, block: str) -> tuple[float, float]:
    """Forward and backward displacement over alpha^2, first order at any width."""
    lags = np.arange(depth)
    weight = np.where(lags == 0, depth, 2.0 * (depth - lags))
    g = np.clip(law.covariance(lags, depth), -1, 1)
    if block == "single":
        return float(weight @ g) / 2, float(weight @ g) / 2
    back = g * ((1 - 1 / width) * g * kappa0(g) + kappa(g) / width)
    return float(weight @ (g * kappa(g))), float(weight @ back)


FIRST_ORDER = {  # law, depth, width, block, networks
    "persistent, n=5": (FractionalNoise(0.8), 200, 5, "two-layer", 2000),
    "persistent, n=20": (FractionalNoise(0.8), 200, 20, "two-layer", 500),
    "anti-persistent": (FractionalNoise(0.2), 100, 8, "two-layer", 1500),
    "smooth": (Smooth(), 60, 8, "two-layer", 3000),
    "smooth, n=2": (Smooth(0.05), 30, 2, "two-layer", 8000),
    "res-1": (FractionalNoise(0.7), 100, 10, "single", 2000),
}


def check_first_order(case: str):
    law, depth, width, block, networks = FIRST_ORDER[case]
    forward, backward = first_order(law, depth, width, block)
    spec = large_depth(depth, width, block=block, weight_law=law)
    alpha = (1e-3 / forward) ** 0.5
    rows = np.random.default_rng(5).choice([-1.0, 1.0], (6, 5))
    found = moments(run(spec, networks, scales=[alpha], inputs=rows, dtype="float32"))
    for estimate, target in ((found[1], 1e-3), (found[3], alpha**2 * backward)):
        assert estimate.resolves(0.16 * target)
        assert estimate.agrees(target, allowance=2e-3 * target)


@pytest.mark.mc
@pytest.mark.parametrize("case", FIRST_ORDER)
def test_first_order(case):
    check_first_order(case)


def independent_layers(patch: defects.Patch) -> None:
    """Draw every layer afresh, whatever the law."""
    true = processes.draw
    patch.setattr(processes, "draw", lambda law, *args, **kwargs: true(IID(), *args, **kwargs))


@pytest.mark.mc
@pytest.mark.parametrize(
    ("case", "defect"),
    [
        *[(case, independent_layers) for case in FIRST_ORDER],
        ("persistent, n=5", fresh_backward),
        ("smooth", no_mask),
        ("anti-persistent", no_mask),
    ],
)
def test_first_order_rejects(case, defect):
    defects.must_reject(defect, check_first_order, case)


def test_first_order_numbers():
    """Backward over forward displacement: the two directions differ for correlated weights."""
    for width, number in ((5, 0.0088), (20, 0.0067), (60, 0.0062)):
        forward, backward = first_order(FractionalNoise(0.8), 200, width, "two-layer")
        assert 0.02 * backward / forward == pytest.approx(number, abs=6e-5)
    for hurst, number in ((0.1, 0.0533), (0.3, 0.0541), (0.7, 0.0139), (0.9, 0.0178)):
        forward, backward = first_order(FractionalNoise(hurst), 300, 30, "two-layer")
        assert 0.04 * backward / forward == pytest.approx(number, abs=6e-5)


def check_equal_in_law_to_the_reference(case: str):
    spec = CASES[case].replace(weight_law=IID("gaussian"))
    row = rows_of_size(1.0)[:1]
    found = run(spec, 4000, inputs=row)
    names = ("log_norm", "log_difference", "log_gradient", "log_gradient_difference")
    layers = dense.backward(
        spec, 4000, seed=9, inputs=row, record=names, device="cpu", dtype="float64"
    ).layers
    pairs = [
        (found.log_norm, layers["log_norm"][:, -1] - layers["log_norm"][:, 0]),
        (found.log_difference, layers["log_difference"][:, -1]),
        (found.log_gradient, layers["log_gradient"][:, 0]),
        (found.log_gradient_difference, layers["log_gradient_difference"][:, 0]),
    ]
    for mine, other in pairs:
        assert not ks_between(mine, other).rejects(0.01, tests=16)


@pytest.mark.mc
@pytest.mark.parametrize("case", ["res-1", "tanh", "erf res-1", "one scale per layer"])
def test_equal_in_law_to_the_reference(case):
    check_equal_in_law_to_the_reference(case)


@pytest.mark.mc
@pytest.mark.parametrize("case", ["res-1", "tanh", "erf res-1", "one scale per layer"])
def test_equal_in_law_to_the_reference_rejects(case):
    defects.must_reject(wrong_inner_deviation, check_equal_in_law_to_the_reference, case)


# ---------------------------------------------------------------- memory

LAWS = {"uniform": IID("uniform"), "smooth": Smooth(), "white": FractionalNoise(0.5)}


def small_budget(patch, bytes_: int) -> None:
    patch.setattr(plans, "BLOCK_WEIGHTS", {"cpu": 2 * 40 * 6**2 * 8})
    patch.setattr(plans, "BUDGET_BYTES", {"cpu": bytes_})


def check_streams(law: str):
    """Layers drawn one by one are networks of the same law."""
    # Smooth weights are streamed in pieces of 128 layers, which only a deeper network outgrows.
    depth, networks, scale = (300, 1500, 0.1) if law == "smooth" else (40, 3000, 0.4)
    spec = large_depth(depth, 6, weight_law=LAWS[law])
    kept = run(spec, networks, scales=[scale], gradients=False)
    with pytest.MonkeyPatch.context() as patch:
        small_budget(patch, 1_200_000 if law == "smooth" else 180_000)
        patch.setattr(plans, "BLOCK_WEIGHTS", {"cpu": 2 * depth * 6**2 * 8})
        plan = plans.Plan(spec, [scale], 1, "cpu", "float64", gradients=False)
        assert plan.streamed
        drawn = run(spec, networks, scales=[scale], gradients=False, seed=8, batch=1)
    for name in ("log_norm", "log_difference"):
        one, other = getattr(kept, name), getattr(drawn, name)
        assert not ks_between(one, other).rejects(0.01, tests=6)


@pytest.mark.mc
@pytest.mark.parametrize("law", LAWS)
def test_streams(law):
    check_streams(law)


def repeated_layers(patch: defects.Patch) -> None:
    """Let a stream give every layer twice."""
    true = processes.stream

    def stream(*args):
        for index, layer in enumerate(true(*args)):
            if index % 2 == 0:
                held = layer.clone()
            yield held

    patch.setattr(processes, "stream", stream)


@pytest.mark.mc
@pytest.mark.parametrize("law", ["uniform", "white"])
def test_streams_reject(law):
    defects.must_reject(repeated_layers, check_streams, law)


def test_a_stream_serves_many_columns():
    spec = large_depth(40, 6)
    keywords = {"scales": np.linspace(0.1, 1, 9), "inputs": 2, "gradients": False}
    with pytest.MonkeyPatch.context() as patch:
        small_budget(patch, 180_000)
        patch.setattr(plans, "CHUNK_COLUMNS", {"cpu": 7})
        found = run(spec, 12, **keywords)
        keywords["scales"] = keywords["scales"][[0, -1]]
        ends = run(spec, 12, **keywords)
        path = explicit.paths(
            spec.replace(scale=1.0), 12, seed=1, inputs=2, device="cpu", dtype="float64"
        )
    for name in ("log_norm", "log_difference"):
        one, other = getattr(found, name)[:, [0, -1]], getattr(ends, name)
        np.testing.assert_allclose(one, other, atol=1e-12)
    np.testing.assert_allclose(path[:, -1], found.log_norm[:, -1], atol=1e-12)


@pytest.mark.parametrize(
    ("law", "gradients", "remedy"),
    [
        (IID(), True, "pass gradients=False, which holds one layer at a time, or simulate i.i.d."),
        (Smooth(), True, "pass gradients=False"),
        (FractionalNoise(0.7), True, "lower them, or simulate i.i.d. Gaussian"),
        (FractionalNoise(0.7), False, "lower them"),
    ],
)
def test_networks_that_do_not_fit(law, gradients, remedy):
    spec = large_depth(5000, 300, weight_law=law)
    message = rf"depth=5000 and width=300 need \d+ MiB .* more than the 768 MiB .*{remedy}"
    with pytest.raises(ValueError, match=message):
        run(spec, 1, gradients=gradients)


@pytest.mark.parametrize("columns_", [1, 3500, 10**6])
@pytest.mark.parametrize("shape", [(50, 10), (1000, 40), (1000, 100), (10**5, 10), (10, 1000)])
def test_plans_fit_in_their_budget(shape, columns_):
    spec = large_depth(*shape)
    plan = plans.Plan(spec, np.ones(columns_), 1, "cpu", "float32", gradients=True)
    weights = plan.size * spec.depth * spec.width**2 * 2 * 4
    tape = plan.size * spec.depth * spec.width * plan.chunk * 4
    assert (1.5 * weights + tape) * plan.most <= plans.BUDGET_BYTES["cpu"]
    assert plan.size == 1 or weights <= 4 * plans.BLOCK_WEIGHTS["cpu"]
    assert 1 <= plan.chunk <= columns_


# ---------------------------------------------------------------- speed


def rate_of_products(depth: int, width: int, count: int) -> float:
    """Seconds of the four products per layer alone."""
    w, h = torch.randn(depth, 1, width, width), torch.randn(1, width, count)
    start = time.process_time()
    for _ in range(2):
        for matrix in w:
            torch.bmm(matrix, h)
            torch.bmm(matrix.mT, h)
    return time.process_time() - start


def test_time_goes_into_products():
    """At least half of what was reached on a quiet machine, 60 % of the time of the products."""
    spec, scales = large_depth(1000, 40), np.geomspace(1e-3, 1, 70)

    def share() -> float:
        start = time.process_time()
        found = run(spec, 2, scales=scales, inputs=10, dtype="float32")
        seconds = time.process_time() - start
        assert found.log_norm.shape == (2, 70, 10)
        return 2 * 2 * rate_of_products(1000, 40, 350) / seconds  # two networks, two chunks each

    run(spec, 2, scales=scales, dtype="float32")
    assert max(share() for _ in range(3)) > 0.3


# ---------------------------------------------------------------- errors

SPEC = large_depth(4, 5)


@pytest.mark.parametrize(
    ("changes", "keywords", "message"),
    [
        ({"skip": 0.9}, {}, r"skip must be 1 .*got 0\.9; divide .*companion.simulate.dense"),
        ({"balanced": True}, {}, "biases and balanced blocks .*balanced=True.*simulate.dense"),
        ({"bias_variance": 0.1}, {}, r"bias_variance=0\.1"),
        ({"input_bias_variance": 0.1}, {}, r"input_bias_variance=0\.1"),
        ({}, {"scales": 0.3}, r"scales must have shape \(S,\) .*got \(\); pass a list"),
        ({}, {"scales": []}, r"scales must have shape \(S,\) with S at least 1, got \(0,\)"),
        ({}, {"scales": [[0.1]]}, r"scales must have shape \(S,\) .*got \(1, 1\)"),
        ({}, {"scales": [-0.1, 1]}, r"scales must lie between 0 and 1e\+06, got -0\.1 to 1"),
        ({}, {"scales": [1e7]}, r"got 1e\+07 to 1e\+07; a larger one belongs to the variance"),
        ({}, {"scales": [np.nan]}, "scales must be finite, got nan"),
        ({}, {"inputs": 0}, "inputs must be a positive integer, got 0; pass their number"),
        ({}, {"inputs": np.ones((2, 4))}, r"inputs must have shape \(k, 5\).*got \(2, 4\)"),
        ({}, {"inputs": np.ones(5)}, r"inputs must have shape \(k, 5\).*got \(5,\)"),
        ({}, {"inputs": np.eye(5)[:2] * [[1], [0]]}, "inputs must not hold a zero row"),
        ({}, {"networks": 0}, "networks must be a positive integer, got 0"),
        ({}, {"batch": 0}, "batch must be a positive integer, got 0"),
        ({}, {"seed": -1}, "seed must be a non-negative integer .*got -1"),
        ({}, {"device": "tpu"}, "device must be 'auto', 'cpu' or 'cuda', got 'tpu'"),
        ({}, {"dtype": "float16"}, "dtype must be 'float32' or 'float64', got 'float16'"),
    ],
)
def test_bad_arguments(changes, keywords, message):
    arguments: dict[str, object] = {"networks": 3, "seed": 1, "device": "cpu"} | keywords
    entries: tuple[Callable, ...] = (explicit.ratios,)
    if "scales" not in keywords:
        entries += (explicit.paths,)
    for entry in entries:
        with pytest.raises(ValueError, match=message):
            entry(SPEC.replace(**changes), **arguments)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"inputs": 2.0}, r"inputs must be a positive integer, got 2\.0 of type float"),
        ({"gradients": 1}, "gradients must be True or False, got 1"),
        ({"batch": 1.5}, r"batch must be a positive integer, got 1\.5"),
        ({"scales": ["a"]}, "scales must be a real number or an array of them"),
    ],
)
def test_arguments_of_a_wrong_type(keywords, message):
    with pytest.raises(TypeError, match=message):
        run(SPEC, 3, **keywords)


def test_rescaling_is_exact():
    """Powers of two: columns and sums are the same numbers however often they are rescaled."""
    spec = large_depth(30, 10)
    found = []
    for every in (1, 7, 32):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plans, "RESCALE_EVERY", every)
            found.append(arrays(run(spec, 4, scales=[0.1, 1.0], dtype="float32")))
    for name in RATIOS:
        for other in found[1:]:
            np.testing.assert_allclose(other[name], found[0][name], atol=1e-13, err_msg=name)


def test_a_dead_row_is_left_alone():
    rows = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    logs = displacement.rescale_(rows)
    assert logs[0] == 0
    assert torch.all(rows[0] == 0)
    assert torch.exp(logs[1]) * rows[1].square().sum() == pytest.approx(25)


def test_blocks_that_leave_the_range_at_once_are_refused():
    spec = ResNetSpec(depth=3, width=4, block="single", weight_variance=1e60)
    with pytest.raises(ValueError, match="scale times the deviations of the weights must let"):
        explicit.ratios(spec, 2, seed=1)


@pytest.mark.parametrize("size", [1e-50, 1e30])
def test_inputs_beyond_the_range_of_the_activation_are_refused(size):
    spec = ResNetSpec(depth=3, width=4, inputs=2, activation="tanh")
    with pytest.raises(ValueError, match="inputs must have entries between 1e-15 and 1e15 for"):
        explicit.ratios(spec, 2, seed=1, inputs=[[size, size]])


def test_columns_that_vanish_drift_nowhere():
    spec = ResNetSpec(depth=6, width=1, block="single", weight_law=IID("rademacher"))
    drift = explicit.ratios(spec, 200, seed=1).drift
    assert drift is not None
    assert np.abs(drift).max() < 1e-6


def test_rough_smooth_laws_are_counted_with_their_rank():
    law = Smooth(1e-6)
    spec = ResNetSpec(depth=1000, width=1000, weight_law=law, block="single")
    with pytest.raises(ValueError, match=r"need .* MiB"):
        plans.Plan(spec, None, 1, "cpu", "float32", gradients=False)
