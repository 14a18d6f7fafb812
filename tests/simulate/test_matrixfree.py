"""Matrix-free networks: identities to rounding, reproducibility, extremes, pairs, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from companion import loggaussian as lg
from companion.architecture import ResNetSpec
from companion.montecarlo import Estimate, ks_between
from companion.simulate import (
    Propagation,
    blocks,
    chain,
    conditioning,
    displacement,
    matrixfree,
)
from companion.weights import IID
from tests import defects
from tests.networks import Frozen, erf_with_bias, leaky, network, two_layer, two_rows

ROUNDING = {"float32": 2e-5, "float64": 1e-12}


def run(mode: str, spec: ResNetSpec, networks: int, **kwargs: object) -> Propagation:
    settings = {"seed": 1, "device": "cpu", "dtype": "float64"} | kwargs
    return getattr(matrixfree, mode)(spec, networks, **settings)


def arrays(result: Propagation) -> dict[str, np.ndarray]:
    whole = {"log_norm": result.log_norm, **result.layers}
    extra = {"log_output": result.log_output, "log_tangent": result.log_tangent}
    return whole | {name: rows for name, rows in extra.items() if rows is not None}


def assert_same(one: Propagation, other: Propagation, networks: int | None = None) -> None:
    """Equal bit by bit, on the first ``networks``."""
    left, right = arrays(one), arrays(other)
    assert left.keys() == right.keys()
    for name, rows in left.items():
        np.testing.assert_array_equal(rows[:networks], right[name][:networks], err_msg=name)


# ---------------------------------------------------------------- Euler's identity

HOMOGENEOUS = {
    "vanilla": network(0.5, 40, 20),
    "growing": ResNetSpec.log_gaussian(200, 20, 1.0, 2.0),
    "balanced": network(0.5, 40, 20, balanced=True),
    "fully connected": network(0.0, 20, 20),
    "two-layer": two_layer(20, 12),
    "leaky": leaky(20, 12),
    "leaky, balanced": leaky(20, 12).replace(balanced=True),
    "two-layer, balanced": two_layer(20, 12).replace(balanced=True),
}


def check_conservation(case: str, precision: str, k: int):
    """<g_l, h_l> is the readout for every l, since blocks are 1-homogeneous."""
    spec = HOMOGENEOUS[case]
    inputs = two_rows(0.3, spec.inputs)[:k]
    records = ("pairing", "log_norm", "log_gradient")
    layers = run("backward", spec, 40, record=records, inputs=inputs, dtype=precision).layers
    pairing, norm = layers["pairing"], layers["log_norm"]
    # |g_l| |h_l| / (|g_L| |h_L|) is what a rounding error multiplies
    size = np.exp((layers["log_gradient"] + norm - norm[:, -1:]) / 2).max(1, keepdims=True)
    assert np.abs(pairing).max() > 0.2
    assert np.abs((pairing - pairing[:, -1:]) / size).max() < ROUNDING[precision]


@pytest.mark.parametrize("case", HOMOGENEOUS)
@pytest.mark.parametrize("k", [1, 2])
def test_conservation(case, precision, k):
    check_conservation(case, precision, k)


@pytest.mark.parametrize("case", HOMOGENEOUS)
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("defect", [defects.fresh_backward_weights, defects.no_projection])
def test_conservation_rejects(case, defect, k):
    defects.must_reject(defect, check_conservation, case, "float32", k)


@pytest.mark.parametrize("case", ["balanced", "two-layer, balanced", "leaky, balanced"])
def test_conservation_rejects_unflipped_gradients(case):
    defects.must_reject(defects.unflipped_gradient, check_conservation, case, "float32", 1)


@pytest.mark.parametrize("case", ["vanilla", "leaky", "two-layer"])
def test_conservation_rejects_a_wrong_slope(case):
    defects.must_reject(defects.activation_as_slope, check_conservation, case, "float32", 1)


def test_weight_gradient_is_gradient_times_feature():
    """|dW_l|^2 = s^2 (2/n) |g_{l+1}|^2 |phi(h_l)|^2, and 2 |phi|^2 = R (1 + delta)."""
    spec = ResNetSpec.log_gaussian(30, 12, 0.9, 0.7)
    found = run(
        "backward",
        spec,
        50,
        record=("log_weight_gradient", "log_gradient", "log_norm", "delta"),
    ).layers
    delta, norm = found["delta"], found["log_norm"][:, :-1]
    alive = np.log1p(delta[delta > -1 + 1e-9])
    expected = np.log(0.7**2) + found["log_gradient"][:, 1:] + norm
    difference = (found["log_weight_gradient"] - expected)[delta > -1 + 1e-9]
    np.testing.assert_allclose(difference, alive, atol=1e-6)
    still = run(
        "backward", ResNetSpec.log_gaussian(3, 5, 1.0, 0.0), 2, record=("log_weight_gradient",)
    )
    assert np.all(np.isneginf(still.layers["log_weight_gradient"]))


# ---------------------------------------------------------------- reproducibility

EVERYTHING = {
    "forward": {
        "record": ("log_norm", "log_difference", "delta", "active", "cosine"),
        "readout": True,
    },
    "tangent": {"record": ("log_norm", "alignment")},
    "backward": {
        "record": (
            "log_norm",
            "log_gradient",
            "log_gradient_difference",
            "gradient_cosine",
            "pairing",
        )
    },
}


@pytest.mark.parametrize("mode", EVERYTHING)
@pytest.mark.parametrize("n", [3, 30, 1000])
def test_batches_change_no_bit(mode, n, precision):
    spec = network(0.5, 9, n, balanced=n == 30)
    size = blocks.block_size(2 * n * (2 if mode == "tangent" else 1))
    keywords = EVERYTHING[mode] | {"inputs": two_rows(0.5), "dtype": precision}
    whole = run(mode, spec, 2 * size + 3, **keywords)
    for batch in (2, 3, 50):
        assert_same(whole, run(mode, spec, 2 * size + 3, batch=batch, **keywords))
    assert_same(whole, run(mode, spec, size + 1, **keywords), size + 1)


@pytest.mark.parametrize("mode", EVERYTHING)
def test_pairs_and_single_inputs_in_batches(mode):
    keywords = {} if mode != "forward" else {"antithetic": True, "readout": True}
    for n in (7, 5000):
        spec = network(0.5, 3, n)
        count = 2 * blocks.block_size(2 * n) + 1
        assert_same(run(mode, spec, count, **keywords), run(mode, spec, count, batch=3, **keywords))


@pytest.mark.parametrize("mode", ["forward", "backward"])
@pytest.mark.parametrize("k", [1, 2])
def test_threads_change_no_bit(mode, k):
    """Also where a vector is longer than what PyTorch gives to one thread."""
    spec, keywords = network(0.5, 2, 40000), {"inputs": two_rows(0.5)[:k]}
    single = run(mode, spec, 3, **keywords)
    torch.set_num_threads(2)
    assert_same(single, run(mode, spec, 3, **keywords))
    assert_same(single, run(mode, spec, 3, batch=2, **keywords))


def test_seeds():
    spec = network(0.5, 5, 20)
    one = run("forward", spec, 4)
    assert_same(one, run("forward", spec, 4, seed=np.random.SeedSequence(1)))
    others = [2, 2**32 + 1, np.random.SeedSequence(1, spawn_key=(0,))]
    others.append(np.random.SeedSequence(1).spawn(2)[1])
    for seed in others:
        assert not np.isin(run("forward", spec, 4, seed=seed).log_norm, one.log_norm).any()
    child = np.random.SeedSequence(1, spawn_key=(1,))
    assert_same(run("forward", spec, 4, seed=others[-1]), run("forward", spec, 4, seed=child))


def test_blocks_are_different_networks():
    spec = network(0.5, 2, 2**14)
    assert blocks.block_size(2**14) == 4
    assert np.unique(run("forward", spec, 12).log_norm).size == 12


def test_records_do_not_disturb_the_networks():
    spec = network(0.5, 9, 20)
    plain = run("forward", spec, 30)
    assert_same(plain, Propagation(run("forward", spec, 30, record=("delta", "log_norm")).log_norm))


def same_normals(patch: pytest.MonkeyPatch) -> None:
    """Draw all normals in float64 and round them to the number type of the run."""

    def normal_(self, out):
        (generator,) = self._generators
        return out.copy_(torch.empty(out.shape, dtype=torch.float64).normal_(generator=generator))

    patch.setattr(blocks.Noise, "normal_", normal_)


def float32_logs(patch: pytest.MonkeyPatch) -> None:
    """Divide by the norm itself and accumulate the logarithms of the scale in float32."""

    def rescale_(h):
        size = h.square().mean(-1).sqrt()
        h.div_(size[..., None])
        return 2 * size.log().to(torch.float32)

    def init(self, *args, **kwargs):
        start(self, *args, **kwargs)
        self.log_scale = self.log_scale.to(torch.float32)

    start = chain.Chain.__init__
    patch.setattr(chain.Chain, "__init__", init)
    patch.setattr(chain, "rescale_", rescale_)


def check_float32_is_enough():
    spec = network(0.5, 5000, 100)
    with pytest.MonkeyPatch.context() as patch:
        same_normals(patch)
        patch.setitem(blocks.BLOCK_ELEMENTS, "cpu", 1600)
        runs = [run("forward", spec, 16, dtype=dtype).log_norm for dtype in ("float32", "float64")]
    assert np.abs(runs[0] - runs[1]).max() < 3e-5
    assert np.abs(runs[1]).max() > 50


def test_float32_is_enough():
    check_float32_is_enough()


def test_float32_is_enough_rejects_float32_logarithms():
    defects.must_reject(float32_logs, check_float32_is_enough)


# ---------------------------------------------------------------- extremes


@pytest.mark.parametrize(
    "spec",
    [
        ResNetSpec.log_gaussian(500, 50, 1.0, 10.0),
        ResNetSpec.log_gaussian(500, 50, 0.03, 0.02),
        ResNetSpec.log_gaussian(3000, 50, 1.0, 1e-3),
        ResNetSpec.log_gaussian(20, 50, 1e-30, 1e30),
    ],
)
def test_growth_and_decay_beyond_the_range_of_floats(spec):
    law = lg.log_norm_law(spec)
    found = run("forward", spec, 64, dtype="float32", readout=True)
    assert np.all(np.abs(found.log_norm - law.mean) < 6 * law.std + 60 * spec.depth / 2500)
    assert np.all(np.isfinite(found.log_output))
    back = run("backward", spec, 4, dtype="float32").layers["log_gradient"]
    assert np.all(np.isfinite(back))
    assert np.all(np.isfinite(run("tangent", spec, 4, dtype="float32").log_tangent))


@pytest.mark.parametrize("scale", [1e-200, 1e-25, 1e25, 1e200])
@pytest.mark.parametrize("mode", EVERYTHING)
def test_inputs_of_any_size(mode, scale, precision):
    """The norm of an input is a factor: huge and tiny ones neither overflow nor vanish."""
    spec, rows = network(0.5, 20, 30), two_rows(0.4)
    keywords = EVERYTHING[mode] | {"dtype": precision}
    plain = arrays(run(mode, spec, 20, inputs=rows, **keywords))
    for other in (scale * rows, rows * [[1.0], [scale]]):
        found = arrays(run(mode, spec, 20, inputs=other, **keywords))
        factors = np.abs(other).max(1) / np.abs(rows).max(1)
        for name, values in found.items():
            shift = 2 * np.log(factors) if name in ("log_norm", "log_output") else 0.0
            tolerance = ROUNDING[precision] * 20
            np.testing.assert_allclose(values, plain[name] + shift, atol=tolerance, rtol=1e-12)


def test_default_input_has_the_declared_variance():
    for variance in (1e-60, 0.1, 1e60):
        spec = network(0.5, 3, 4000).replace(input_variance=variance)
        found = run("forward", spec, 40, dtype="float32", record=("log_norm",))
        start = Estimate.mean(np.exp(found.layers["log_norm"][:, 0, 0] - np.log(variance)))
        assert start.resolves(0.05)
        assert start.agrees(1.0)


@pytest.mark.parametrize("factor", [1.0, 3.0, 1e-6, 1e6])
@pytest.mark.parametrize("balanced", [False, True])
def test_proportional_inputs(factor, balanced, precision):
    """x' = c x: one network, so the streams differ by c and the gradients not at all."""
    spec, row = network(0.5, 30, 20, balanced=balanced), two_rows(0.4)[1]
    rows = np.stack([row, factor * row, two_rows(0.4)[0]])
    found = run(
        "backward", spec, 30, inputs=rows, dtype=precision, record=("log_norm", "log_gradient")
    )
    error = ROUNDING[precision]
    norm, gradient = found.layers["log_norm"], found.layers["log_gradient"]
    np.testing.assert_allclose(norm[..., 1] - norm[..., 0], 2 * np.log(factor), atol=error)
    np.testing.assert_allclose(gradient[..., 1], gradient[..., 0], atol=error)
    assert np.abs(norm[..., 2] - norm[..., 0]).max() > 0.1


def test_more_inputs_than_dimensions():
    """Five inputs in the plane: the embedding has rank 2 and the law of one input is its own."""
    angle = np.linspace(0, 1, 5)
    rows = 2**0.5 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    spec = network(0.5, 10, 4, n_in=2)
    found = run("backward", spec, 20000, inputs=rows, dtype="float32")
    alone = run("backward", spec, 20000, inputs=rows[:1], dtype="float32", seed=2)
    assert not ks_between(found.log_norm[:, 4], alone.log_norm[:, 0]).rejects(0.01, tests=2)
    last, one = found.layers["log_gradient"][:, 0, 4], alone.layers["log_gradient"][:, 0, 0]
    assert not ks_between(last, one).rejects(0.01, tests=2)


@pytest.mark.parametrize("mode", EVERYTHING)
@pytest.mark.parametrize("make", [lambda: network(0.5, 12, 10), lambda: two_layer(12, 10)])
def test_a_zero_input_stays_zero(mode, make):
    spec = make()
    rows = two_rows(0.4, spec.inputs)
    rows[1] = 0
    found = arrays(run(mode, spec, 30, inputs=rows, **EVERYTHING[mode]))
    for name, values in found.items():
        assert not np.isnan(values).any(), name
    assert np.all(np.isneginf(found["log_norm"][..., 1]))
    for name in {"delta", "active", "pairing"} & set(found):
        assert np.all(found[name][..., 1] == 0), name
    for name in {"log_norm", "log_gradient", "log_tangent"} & set(found):
        assert np.all(np.isfinite(found[name][..., 0])), name


@pytest.mark.parametrize("n", [1, 2])
def test_dead_networks_decay_exactly(n):
    """Where no unit is active, a vanilla network only shrinks: ln R falls by ln alpha^2."""
    share = 0.6
    found = run("backward", network(share, 12, n), 400, record=("log_norm", "active", "pairing"))
    norm, active = found.layers["log_norm"][..., 0], found.layers["active"][..., 0]
    steps, dead = np.diff(norm, axis=1), active == 0
    assert 0.2 < dead.mean() < 1
    np.testing.assert_allclose(steps[dead], np.log(share), atol=1e-12)
    assert np.abs(steps[~dead] - np.log(share)).min() > 1e-9
    assert np.all(dead[:, :-1] <= dead[:, 1:]), "no unit revives"
    assert not np.isnan(found.layers["pairing"]).any()


@pytest.mark.parametrize("n", [1, 2])
def test_dead_fully_connected_networks_vanish(n):
    found = run(
        "backward", network(0.0, 6, n), 2000, record=("log_norm", "log_gradient", "pairing")
    )
    norm = found.layers["log_norm"][..., 0]
    dead = np.isneginf(norm)
    survival = Estimate.mean(1.0 - dead[:, 1:])
    assert survival.agrees((1 - 2.0**-n) ** np.arange(1, 7))
    assert np.all(dead[:, :-1] <= dead[:, 1:])
    lost = dead[:, -1]
    assert np.all(np.isneginf(found.layers["log_gradient"][lost, 0]))
    assert np.all(np.isfinite(found.layers["log_gradient"][~lost]))
    assert np.all(found.layers["pairing"][lost] == 0)


def million(depth: int, networks: int) -> Estimate:
    spec = network(0.5, depth, 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(blocks.BLOCK_ELEMENTS, "cpu", 100 * networks)
        found = run("forward", spec, networks, dtype="float32").log_norm[:, 0]
    assert np.all(np.isfinite(found))
    return 100 / depth * Estimate.mean(found)


def test_deep_networks():
    rate = million(20000, 64)
    assert rate.resolves(0.2)
    assert rate.agrees(-1.984 - 5 / 100, allowance=0.02)


@pytest.mark.slow
def test_a_million_layers():
    rate = million(10**6, 16)
    assert rate.resolves(0.05)
    assert rate.agrees(-1.984 - 5 / 100, allowance=0.02)


def test_scale_is_reduced_by_homogeneity(precision):
    """(a, s) and (alpha, lambda) are one network, up to a deterministic factor."""
    plain = ResNetSpec.log_gaussian(60, 20, 0.8, 1.3)
    q2 = 0.8**2 + 1.3**2
    keywords = {"record": ("log_norm", "log_gradient", "log_weight_gradient"), "dtype": precision}
    found, normal = (run("backward", s, 20, **keywords) for s in (plain, plain.normalized()))
    growth = np.log(q2) * np.arange(61)[:, None]
    error = 60 * ROUNDING[precision]
    layers, reduced = found.layers, normal.layers
    np.testing.assert_allclose(found.log_norm, normal.log_norm + growth[-1], atol=error)
    np.testing.assert_allclose(layers["log_norm"], reduced["log_norm"] + growth, atol=error)
    np.testing.assert_allclose(
        layers["log_gradient"], reduced["log_gradient"] + growth[::-1], atol=error
    )
    np.testing.assert_allclose(  # the derivative with respect to W holds one factor q less, and s
        layers["log_weight_gradient"],
        reduced["log_weight_gradient"] + growth[-1],
        atol=error,
    )
    forward, reduced = (run("forward", s, 20, readout=True) for s in (plain, plain.normalized()))
    np.testing.assert_allclose(forward.log_output, reduced.log_output + growth[-1], atol=1e-10)


# ---------------------------------------------------------------- displacements

BOTH_WAYS = ("log_difference", "log_gradient_difference")


def lost_skip(patch: defects.Patch) -> None:
    """Do not let the skip act on what was added."""
    true = displacement.Displacement.add
    patch.setattr(
        displacement.Displacement, "add", lambda self, x, skip, log: true(self, x, 1.0, log)
    )


def lost_scale(patch: defects.Patch) -> None:
    """Add updates as if stream and displacement were stored in one scale."""
    true = displacement.Displacement.add

    def add(self, update, skip, log_scale):
        true(self, update, skip, self.log_scale)

    patch.setattr(displacement.Displacement, "add", add)


def check_second_moments_of_displacements():
    """(1 + alpha^2 / 2)^L - 1 in both directions, at every width."""
    spec = ResNetSpec.large_depth(50, 10, 0.5, law=IID("gaussian"))
    layers = run("backward", spec, 10000, record=BOTH_WAYS, dtype="float32").layers
    forward, backward = (np.exp(layers[name][..., 0]) for name in BOTH_WAYS)
    target = np.expm1(np.arange(51) * np.log1p(1 / 100))
    assert target[-1] == pytest.approx(0.6446, abs=5e-5)
    for found in (Estimate.mean(forward[:, 1:]), Estimate.mean(backward[:, -2::-1])):
        assert found.resolves(target[1:] / 10)
        assert found.agrees(target[1:])
    assert np.all(forward[:, 0] == 0)
    assert np.all(backward[:, -1] == 0)


@pytest.mark.mc
def test_second_moments_of_displacements():
    check_second_moments_of_displacements()


@pytest.mark.mc
@pytest.mark.parametrize("defect", [lost_skip, lost_scale])
def test_second_moments_of_displacements_reject(defect):
    defects.must_reject(defect, check_second_moments_of_displacements)


def check_displacement_is_what_is_added():
    """With skip a, |h_l|^2 is |h_l - a^l h_0|^2 plus what the cosine with h_0 says."""
    spec, row = leaky(20, 12), two_rows(0.3, 3)
    with pytest.MonkeyPatch.context() as patch:
        streams: list[np.ndarray] = []
        true = chain.Chain.observe

        def observe(self, log):
            size = torch.exp(self.log_scale / 2)[..., None]
            streams.append((self.h * size)[:20, 0].numpy())
            true(self, log)

        patch.setattr(chain.Chain, "observe", observe)
        layers = run("forward", spec, 20, inputs=row, record=("log_difference",)).layers
    root = np.exp(chain.Run(spec, row, "cpu", "float64").growth / 2)  # of the normalised network
    start = streams[0]
    for layer in range(1, 21):
        moved = root[layer] * streams[layer] - spec.skip**layer * start
        expected = np.log((moved**2).sum(-1) / (start**2).sum(-1))
        np.testing.assert_allclose(layers["log_difference"][:, layer], expected, atol=1e-10)


def test_displacement_is_what_is_added():
    check_displacement_is_what_is_added()


@pytest.mark.parametrize("defect", [lost_skip, lost_scale])
def test_displacement_is_what_is_added_rejects(defect):
    defects.must_reject(defect, check_displacement_is_what_is_added)


def test_without_skip_all_is_added():
    layers = run(
        "backward", network(0.0, 12, 30), 20, record=("log_norm", "log_gradient", *BOTH_WAYS)
    ).layers
    norm, gradient = layers["log_norm"], layers["log_gradient"]
    moved, moved_back = (layers[name] for name in BOTH_WAYS)
    np.testing.assert_allclose(moved[:, 1:], norm[:, 1:] - norm[:, :1], atol=1e-12)
    np.testing.assert_allclose(moved_back[:, :-1], gradient[:, :-1], atol=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1e-6, 1e-15])
def test_small_displacements_keep_their_digits(scale):
    spec = ResNetSpec.large_depth(60, 20, alpha=scale, law=IID("gaussian"))
    with pytest.MonkeyPatch.context() as patch:
        same_normals(patch)
        low, high = (
            run("backward", spec, 10, dtype=dtype, record=BOTH_WAYS).layers
            for dtype in ("float32", "float64")
        )
    for name in BOTH_WAYS:
        inside = np.isfinite(high[name])
        np.testing.assert_allclose(low[name][inside], high[name][inside], atol=3e-5)
        assert np.abs(np.median(high[name][inside]) - 2 * np.log(scale)) < 5


@pytest.mark.parametrize("mode", ["forward", "backward"])
def test_displacements_do_not_disturb_the_networks(mode):
    spec, keywords = network(0.5, 19, 20), {"inputs": two_rows(0.4)}
    names = ("log_norm",) if mode == "forward" else ("log_norm", "log_gradient")
    extra = BOTH_WAYS[:1] if mode == "forward" else BOTH_WAYS
    plain = run(mode, spec, 30, record=names, **keywords)
    found = run(mode, spec, 30, record=(*names, *extra), **keywords)
    kept = {name: found.layers[name] for name in names}
    assert_same(plain, Propagation(found.log_norm, kept))


# ---------------------------------------------------------------- antithetic pairs


def stretched_mirror(patch: pytest.MonkeyPatch) -> None:
    """Let the mirror image have slightly too much noise."""
    true = conditioning.ConditionedGaussian._mirrored

    def wrong(self, gamma, p):
        out = true(self, gamma, p).clone()
        return torch.cat([out[:, :1], 1.1 * out[:, 1:]], dim=1) if p > 1 else out

    patch.setattr(conditioning.ConditionedGaussian, "_mirrored", wrong)


PAIRS = {
    "vanilla": network(0.5, 10, 10),
    "balanced": network(0.5, 10, 10, balanced=True),
    "erf with bias": erf_with_bias(5, 8),
    "two-layer": two_layer(6, 10),
}


def check_law_of_the_mirror_image(case: str):
    spec = PAIRS[case]
    keywords = {
        "record": ("delta", "cosine"),
        "inputs": two_rows(0.5, spec.inputs),
        "readout": True,
    }
    pair = run("forward", spec, 10000, antithetic=True, **keywords)
    alone = run("forward", spec, 10000, seed=2, **keywords)
    assert pair.log_norm.shape == (10000, 2, 2)
    assert pair.layers["delta"].shape == (10000, 2, spec.depth, 2)
    for member in (0, 1):
        samples = [
            (pair.log_norm[:, member, 0], alone.log_norm[:, 0]),
            (np.ptp(pair.log_norm[:, member], axis=1), np.ptp(alone.log_norm, axis=1)),
            (pair.layers["delta"][:, member, -1, 1], alone.layers["delta"][:, -1, 1]),
            (pair.layers["cosine"][:, member, -1], alone.layers["cosine"][:, -1]),
            (pair.log_output[:, member, 0], alone.log_output[:, 0]),
        ]
        for one, other in samples:
            assert not ks_between(one, other).rejects(0.01, tests=2 * len(samples) * len(PAIRS))


@pytest.mark.mc
@pytest.mark.parametrize("case", PAIRS)
def test_law_of_the_mirror_image(case):
    check_law_of_the_mirror_image(case)


@pytest.mark.mc
@pytest.mark.parametrize("case", PAIRS)
def test_law_of_the_mirror_image_rejects(case):
    defects.must_reject(stretched_mirror, check_law_of_the_mirror_image, case)


def check_pairs_reduce_the_noise():
    """The odd leading fluctuation of delta cancels between the two of a pair."""
    spec = network(0.5, 40, 100)
    delta = run("forward", spec, 2000, antithetic=True, record=("delta",)).layers["delta"]
    single, pair = 100 * delta[:, 0, -1, 0], 100 * delta[:, :, -1, 0].mean(1)
    assert single.std() == pytest.approx(17.3, rel=0.06)
    assert single.std() > 5 * pair.std()


@pytest.mark.mc
def test_pairs_reduce_the_noise():
    check_pairs_reduce_the_noise()


@pytest.mark.mc
def test_pairs_reduce_the_noise_rejects_equal_noise():
    defects.must_reject(defects.unmirrored, check_pairs_reduce_the_noise)


def test_mirror_images_start_opposite():
    """At layer 0 the two streams have equal norms and opposite imbalances."""
    spec = network(0.5, 5, 20)
    found = run("forward", spec, 9, antithetic=True, record=("delta", "log_norm", "active")).layers
    np.testing.assert_array_equal(found["log_norm"][:, 0, 0], found["log_norm"][:, 1, 0])
    np.testing.assert_allclose(found["delta"][:, 0, 0], -found["delta"][:, 1, 0], atol=1e-15)
    np.testing.assert_allclose(found["active"][:, 0, 0] + found["active"][:, 1, 0], 1, atol=1e-15)


# ---------------------------------------------------------------- errors

SPEC = network(0.5, 4, 10)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"inputs": np.full((1, 10), np.nan)}, "inputs must be finite, got NaN or infinite"),
        ({"inputs": np.full((1, 10), np.inf)}, "inputs must be finite"),
        ({"inputs": np.ones(10)}, r"inputs must have shape \(k, 10\).*got \(10,\)"),
        ({"inputs": np.ones((2, 9))}, r"inputs must have shape \(k, 10\).*got \(2, 9\)"),
        ({"inputs": np.ones((0, 10))}, r"inputs must have shape \(k, 10\).*got \(0, 10\)"),
        ({"record": ("colour",)}, "record must be drawn from .*got 'colour'"),
        ({"record": ("cosine",)}, "needs at least two inputs"),
        ({"device": "tpu"}, "device must be 'auto', 'cpu' or 'cuda', got 'tpu'"),
        ({"dtype": "float16"}, "dtype must be 'float32' or 'float64', got 'float16'"),
        ({"seed": -3}, "seed must be a non-negative integer .*got -3"),
        ({"seed": 0.5}, r"seed must be a non-negative integer .*got 0\.5"),
        ({"networks": 0}, "networks must be a positive integer, got 0"),
        ({"networks": 2.0}, r"networks must be a positive integer, got 2\.0"),
        ({"batch": 0}, "batch must be a positive integer, got 0"),
    ],
)
@pytest.mark.parametrize("mode", EVERYTHING)
def test_bad_arguments(mode, keywords, message):
    if mode == "tangent" and keywords.get("record") == ("cosine",):
        message = "record must be drawn from .*got 'cosine'"
    arguments = {"networks": 3, "seed": 1, "device": "cpu"} | keywords
    with pytest.raises(ValueError, match=message):
        getattr(matrixfree, mode)(SPEC, **arguments)


def test_gradients_are_recorded_backward_only():
    with pytest.raises(ValueError, match=r"record must be drawn from .*got 'log_gradient'"):
        run("forward", SPEC, 2, record=("log_gradient",))
    with pytest.raises(ValueError, match="needs at least two inputs"):
        run("backward", SPEC, 2, record=("gradient_cosine",))
    with pytest.raises(
        ValueError, match="'log_weight_gradient' is defined for block='single' only"
    ):
        run("backward", two_layer(3, 4), 2, record=("log_weight_gradient",))


def test_no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device='cuda' was asked for but PyTorch finds no CUDA"):
        run("forward", SPEC, 2, device="cuda")


@pytest.mark.parametrize("law", [IID("uniform"), IID("rademacher"), Frozen()])
def test_other_laws_need_matrices(law):
    message = "weight_law must be independent and Gaussian .*companion.simulate.dense"
    for mode in EVERYTHING:
        with pytest.raises(ValueError, match=message):
            run(mode, SPEC.replace(weight_law=law), 2)
