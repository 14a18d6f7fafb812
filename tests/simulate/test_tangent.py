"""Tangent kernels of finite networks: against automatic differentiation, in mean, and defects."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.func import functional_call, jacrev

from companion import datasets
from companion.activations import LeakyReLU
from companion.architecture import ResNetSpec
from companion.kernels.tangent import normalized_kernel, tangent_parts
from companion.montecarlo import Estimate
from companion.simulate import extrapolation, tangent
from companion.simulate.extrapolation import diagonal_variation, extrapolate, ratio_of_means
from companion.simulate.ingredients import branch_functions
from companion.simulate.tangent import FiniteNetwork, sample
from companion.weights import IID
from tests import defects
from tests.defects import must_reject
from tests.networks import Frozen, leaky

ANGLES = np.array([0.0, 0.5, 1.0, 2.0, 3.0])
CIRCLE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)


def draw(spec: ResNetSpec, networks: int, **kwargs: object) -> tangent.EmpiricalTangent:
    settings = {"seed": 7, "device": "cpu"} | kwargs
    return sample(spec, networks, **settings)


# ---------------------------------------------------------------- exactly, network by network


SPECS = {
    "sheet": ResNetSpec.tangent_kernel(4, 7, alpha=1.3),
    "deep": ResNetSpec.tangent_kernel(9, 5, gamma=0.5),
    "leaky": ResNetSpec(
        depth=4,
        width=6,
        inputs=3,
        outputs=2,
        skip=0.9,
        scale=(0.2, 1.5, 0.7, 0.4),
        activation=LeakyReLU(-0.3),
        weight_variance=1.7,
        outer_variance=0.6,
        input_weight_variance=1.4,
        readout_variance=2.2,
    ),
    "tanh": ResNetSpec(
        depth=3, width=6, inputs=3, scale=0.8, activation="tanh", weight_variance=1.7
    ),
    "linear": ResNetSpec(depth=2, width=4, inputs=3, scale=0.5, activation="linear"),
}


class Plain(torch.nn.Module):
    """The network as the specification writes it, standard normal parameters."""

    def __init__(self, spec: ResNetSpec, network: FiniteNetwork) -> None:
        super().__init__()
        self.spec, (self.phi, _) = spec, branch_functions(spec.activation)
        self.embed = torch.nn.Parameter(network.input_map.clone())
        self.inner = torch.nn.ParameterList([w.clone() for w in network.inner])
        self.outer = torch.nn.ParameterList([v.clone() for v in network.outer])
        self.read = torch.nn.Parameter(network.readout.clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spec, n = self.spec, self.spec.width
        h = math.sqrt(spec.input_weight_variance / spec.inputs) * x @ self.embed.T
        for w, v, s in zip(self.inner, self.outer, spec.scales, strict=True):
            z = math.sqrt(spec.weight_variance / n) * h @ w.T
            h = spec.skip * h + s * math.sqrt(spec.outer_variance / n) * self.phi(z) @ v.T
        return math.sqrt(spec.readout_variance / n) * h @ self.read


def by_jacobian(spec: ResNetSpec, network: FiniteNetwork, x: torch.Tensor, part: str):
    """Tangent kernel of the first output from the whole Jacobian."""
    plain = Plain(spec, network)
    params = {name: p.detach() for name, p in plain.named_parameters()}
    jacobian = jacrev(lambda p: functional_call(plain, p, (x,))[:, 0])(params)
    names = [n for n in jacobian if part == "all" or n.startswith(("inner", "outer"))]
    rows = torch.cat([jacobian[name].reshape(len(x), -1) for name in names], dim=1)
    return (rows @ rows.T).numpy()


def check_jacobian(name: str, part: str = "blocks") -> None:
    spec = SPECS[name]
    x = np.random.default_rng(3).standard_normal((5, 3))
    network = FiniteNetwork(spec, 11)
    rows = torch.as_tensor(x)
    expected = by_jacobian(spec, network, rows, part)
    found = math.exp(network.log_unit) * network.tangent(rows, part).numpy()
    assert found == pytest.approx(expected, rel=1e-11, abs=1e-11 * np.abs(expected).max())
    with torch.no_grad():
        plain = Plain(spec, network)(rows).numpy()
    output = math.exp(network.log_unit / 2) * network.output(network.forward(rows)).numpy()
    assert output == pytest.approx(plain, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("part", tangent.TRAINED)
@pytest.mark.parametrize("name", SPECS)
def test_it_is_the_product_of_jacobians(name, part):
    check_jacobian(name, part)


def forgotten_inner(patch: defects.Patch) -> None:
    """Leave out the inner matrices W."""
    patch.setattr(FiniteNetwork, "_inner_part", lambda self, *args: 0.0)


def mask_of_another_input(patch: defects.Patch) -> None:
    """Send each signal down through the active neurons of the next input."""
    true = FiniteNetwork.__init__

    def wrong(self, *args):
        true(self, *args)
        slope = self.slope
        self.slope = lambda z: slope(z.roll(1, 0))

    patch.setattr(FiniteNetwork, "__init__", wrong)


def signal_of_the_layer_below(patch: defects.Patch) -> None:
    """Use the derivative with respect to the stream before the block."""
    true = FiniteNetwork.backward

    def wrong(self, tape, cotangent):
        for signals in true(self, tape, cotangent):
            inner = self.factor_inner * (signals.hidden @ self.inner[signals.layer - 1])
            below = self.skips[signals.layer - 1] * signals.stream + inner
            yield signals._replace(stream=below)

    patch.setattr(FiniteNetwork, "backward", wrong)


def no_skip_on_the_way_down(patch: defects.Patch) -> None:
    """Send the signal down through the branches alone."""
    true = FiniteNetwork.backward

    def wrong(self, tape, cotangent):
        skips, self.skips = self.skips, [0.0] * len(self.skips)
        yield from true(self, tape, cotangent)
        self.skips = skips

    patch.setattr(FiniteNetwork, "backward", wrong)


DEFECTS = [
    forgotten_inner,
    mask_of_another_input,
    signal_of_the_layer_below,
    no_skip_on_the_way_down,
]


@pytest.mark.parametrize("defect", DEFECTS)
def test_the_product_of_jacobians_rejects(defect):
    must_reject(defect, check_jacobian, "sheet")


@pytest.mark.parametrize("name", SPECS)
def test_gradients_are_those_of_autograd(name):
    spec, rng = SPECS[name], np.random.default_rng(3)
    network, x = FiniteNetwork(spec, 11), torch.as_tensor(rng.standard_normal((5, 3)))
    cotangent = torch.as_tensor(rng.standard_normal((5, spec.outputs)))
    plain = Plain(spec, network)
    (plain(x) * cotangent).sum().backward()
    unit = math.exp(network.log_unit / 2)
    layers = []
    for layer, inner, outer in network.gradients(network.forward(x), cotangent):
        layers.append(layer)
        for mine, parameter in (
            (inner, plain.inner[layer - 1]),
            (outer, plain.outer[layer - 1]),
        ):
            expected = parameter.grad.numpy()
            assert unit * mine.numpy() == pytest.approx(expected, rel=1e-10, abs=1e-12)
    assert layers == list(range(spec.depth, 0, -1))


def test_scaling_inputs_scales_the_kernel_exactly():
    """ReLU networks without biases are homogeneous at every width."""
    spec = ResNetSpec.tangent_kernel(5, 20, alpha=1.0)
    x = np.random.default_rng(0).standard_normal((3, 3))
    factors = np.array([1.0, 4.0, 0.5])
    plain, scaled = draw(spec, 3, inputs=x), draw(spec, 3, inputs=factors[:, None] * x)
    assert np.array_equal(scaled.normalized, np.outer(factors, factors) * plain.normalized)
    assert not np.any(draw(spec, 2, inputs=0 * x).normalized)


def test_growth_is_kept_as_a_logarithm():
    kernel = draw(ResNetSpec.tangent_kernel(3, 10, alpha=1.0, d=2), 2, inputs=CIRCLE)
    assert kernel.log_unit == pytest.approx(3 * math.log(2))
    assert kernel.values == pytest.approx(8 * kernel.normalized)
    deep = draw(ResNetSpec.tangent_kernel(1500, 4, alpha=1.0, d=2), 2, inputs=CIRCLE)
    assert np.all(np.isfinite(deep.normalized))
    with pytest.raises(OverflowError, match=r"size exp\(1040\), outside float64; use `normalized`"):
        _ = deep.values


# ---------------------------------------------------------------- in mean: infinite width


#: By depth and scale: the kernel over its diagonal at four angles.
RATIOS = {
    (5, 1.0): [0.7160, 0.4433, 0.1433, 0.0816],
    (16, 0.25): [0.7671, 0.4701, 0.0606, -0.0257],
}


def check_ratios(depth: int, scale: float, sizes: dict[int, int]) -> None:
    """Ratio of means, extrapolated to infinite width by a straight line in 1/n."""
    expected = np.array(RATIOS[depth, scale])
    specs = [ResNetSpec.tangent_kernel(depth, m, alpha=scale, d=2) for m in sizes]
    assert normalized_kernel(specs[0], ANGLES[1:]) == pytest.approx(expected, abs=6e-5)
    found, diagonals = [], []
    for seed, (spec, networks) in enumerate(zip(specs, sizes.values(), strict=True)):
        kernels = draw(spec, networks, seed=seed, inputs=CIRCLE, dtype="float32").normalized
        found.append(ratio_of_means(kernels[:, 0, 1:], kernels[:, 0, :1]))
        diagonals.append(kernels[:, 0, 0] / (2 * spec.effective_depth()))
    line = extrapolate(list(sizes), found)
    assert line.limit.resolves([0.1, 0.1, 0.05, 0.03])
    assert line.limit.agrees(expected)
    assert np.all(line.chi2 < 20)
    amplitude = extrapolate(list(sizes), [Estimate.mean(d) for d in diagonals])
    assert amplitude.limit.resolves(0.3)
    assert amplitude.limit.agrees(1.0)


SMALL = {32: 600, 64: 600, 128: 250}


@pytest.mark.mc
@pytest.mark.parametrize(
    ("depth", "scale", "sizes"),
    [
        (5, 1.0, SMALL),
        (16, 0.25, {24: 400, 48: 400, 96: 200}),
        pytest.param(5, 1.0, {48: 4000, 96: 4000, 192: 2000}, marks=pytest.mark.slow),
    ],
)
def test_ratios(depth, scale, sizes):
    check_ratios(depth, scale, sizes)


@pytest.mark.mc
@pytest.mark.parametrize("defect", DEFECTS)
def test_ratios_reject(defect):
    must_reject(defect, check_ratios, 5, 1.0, SMALL)


def check_all_layers() -> None:
    """With input map and readout trained, the two other kernels are added."""
    spec = ResNetSpec.tangent_kernel(4, 64, alpha=0.7, d=2)
    kernels = draw(spec, 600, inputs=CIRCLE, trained="all", dtype="float32").normalized[:, 0]
    parts = tangent_parts(spec, ANGLES)
    expected = parts.blocks + parts.readout + parts.embedding
    mean = Estimate.mean(kernels)
    assert mean.resolves(0.25 * (parts.readout + parts.embedding).max())
    assert mean.agrees(expected, allowance=1.0 / spec.width)


def no_readout(patch: defects.Patch) -> None:
    """Leave out the kernel of the readout."""
    true = FiniteNetwork.tangent

    def wrong(self, x, trained):
        top = self.forward(x).streams[-1]
        return true(self, x, trained) - self.factor_out**2 * (top @ top.T)

    patch.setattr(FiniteNetwork, "tangent", wrong)


@pytest.mark.mc
def test_all_layers():
    check_all_layers()


@pytest.mark.mc
@pytest.mark.parametrize("defect", [no_readout, forgotten_inner])
def test_all_layers_reject(defect):
    must_reject(defect, check_all_layers)


# ---------------------------------------------------------------- fluctuations across inputs


def digits(count: int) -> np.ndarray:
    rows = datasets.load().x_train[:count].astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_diagonal_varies_less_in_wide_networks():
    """Single networks of depth 32 and constant scale varied by .78 and .33 at these widths."""
    x, means = digits(100), []
    for width, seed in ((64, 1), (256, 2)):
        spec = ResNetSpec.tangent_kernel(32, width, alpha=1.0, d=64)
        found = diagonal_variation(draw(spec, 4, seed=seed, inputs=x).normalized)
        assert found.shape == (4,)
        means.append(float(found.mean()))
    assert 0.5 < means[0] < 1.1
    assert 0.22 < means[1] < 0.5
    narrow = ResNetSpec.tangent_kernel(32, 64, gamma=0.5, d=64)
    assert diagonal_variation(draw(narrow, 4, inputs=x).normalized).mean() < means[0] / 2


def test_diagonal_variation_by_hand():
    kernels = np.array([np.diag([1.0, 2.0, 3.0]), np.ones((3, 3))])
    assert diagonal_variation(kernels) == pytest.approx([0.5, 0.0])
    with pytest.raises(ValueError, match=r"shape \(networks, k, k\) with k of at least 2, got"):
        diagonal_variation(np.ones((3, 3)))


# ---------------------------------------------------------------- estimators


def check_ratio(draws: int = 3000) -> None:
    """Coverage: distances from the true ratio have unit variance over many experiments."""
    rng = np.random.default_rng(1)
    factor = np.exp(0.5 * rng.standard_normal((draws, 40)))
    above = factor * (0.3 + 0.1 * rng.standard_normal((draws, 40)))
    below = factor * (1.0 + 0.1 * rng.standard_normal((draws, 40)))
    z = np.array(
        [
            float(extrapolation.ratio_of_means(a, b).z(0.3))
            for a, b in zip(above, below, strict=True)
        ]
    )
    spread = Estimate.variance(z)
    assert spread.resolves(0.3)
    assert spread.agrees(1.0, allowance=0.1)
    assert Estimate.mean(z).agrees(0.0, allowance=0.05)


def unpaired(patch: defects.Patch) -> None:
    """Forget that numerator and denominator come from the same networks."""
    patch.setattr(
        extrapolation,
        "ratio_of_means",
        lambda above, below: Estimate.mean(above) / Estimate.mean(below),
    )


@pytest.mark.mc
def test_ratio_has_its_error():
    check_ratio()


@pytest.mark.mc
def test_ratio_rejects():
    must_reject(unpaired, check_ratio)


def test_extrapolation_is_exact_on_a_line():
    widths = [10, 20, 50]
    values = [np.array([0.3 + 2 / n, -1.0 - 5 / n]) for n in widths]
    line = extrapolate(
        widths, [Estimate(v, 0.01 * (i + 1) * np.ones(2), 5) for i, v in enumerate(values)]
    )
    assert line.limit.value == pytest.approx([0.3, -1.0], abs=1e-12)
    assert line.coefficient.value == pytest.approx([2.0, -5.0], abs=1e-10)
    assert line.chi2 == pytest.approx([0.0, 0.0], abs=1e-20)
    assert line.limit.n == 15


def test_extrapolation_errors_are_those_of_least_squares():
    widths, sems = [10, 20, 50, 80], np.array([0.1, 0.05, 0.08, 0.02])
    values = np.array([0.5, 0.3, 0.41, 0.2])
    design = np.stack([np.ones(4), 1 / np.array(widths)], axis=1) / sems[:, None]
    covariance = np.linalg.inv(design.T @ design)
    best = covariance @ design.T @ (values / sems)
    pairs = zip(values, sems, strict=True)
    line = extrapolate(widths, [Estimate(np.asarray(v), np.asarray(s), 9) for v, s in pairs])
    assert [float(line.limit.value), float(line.coefficient.value)] == pytest.approx(best)
    found = [float(line.limit.sem), float(line.coefficient.sem)]
    assert found == pytest.approx(np.sqrt(np.diag(covariance)))
    assert line.chi2 == pytest.approx(np.sum((values / sems - design @ best) ** 2))


def test_errors_of_the_estimators():
    one = Estimate(np.asarray(1.0), np.asarray(0.1), 5)
    with pytest.raises(ValueError, match="widths must hold at least two different widths"):
        extrapolate([8, 8], [one, one])
    with pytest.raises(ValueError, match="one per estimate"):
        extrapolate([8, 16], [one])
    with pytest.raises(ValueError, match="positive standard error"):
        extrapolate([8, 16], [one, Estimate(np.asarray(1.0), np.asarray(0.0), 5)])
    with pytest.raises(ValueError, match="at least two networks"):
        ratio_of_means([1.0], [1.0])
    with pytest.raises(ValueError, match="denominator must have a mean other than 0"):
        ratio_of_means([1.0, 2.0], [1.0, -1.0])


# ---------------------------------------------------------------- what a result depends on


def test_a_network_depends_on_seed_and_index_only(precision):
    spec = ResNetSpec.tangent_kernel(3, 20, alpha=0.5, d=2)
    many = draw(spec, 5, inputs=CIRCLE, dtype=precision).normalized
    few = draw(spec, 2, inputs=CIRCLE, dtype=precision).normalized
    assert np.array_equal(many[:2], few)
    assert many.shape == (5, 5, 5)
    assert many.dtype == np.float64
    assert np.array_equal(many, many.transpose(0, 2, 1))
    assert not np.any(many == draw(spec, 5, seed=8, inputs=CIRCLE, dtype=precision).normalized)
    other = draw(spec, 2, seed=np.random.SeedSequence(7), inputs=CIRCLE, dtype=precision)
    assert np.array_equal(other.normalized, few)
    root = np.random.SeedSequence(7, spawn_key=(3,))
    assert not np.any(draw(spec, 2, seed=root, inputs=CIRCLE).normalized == few)


def test_the_default_input_has_the_declared_length():
    spec = ResNetSpec.tangent_kernel(3, 20, alpha=0.5)
    assert draw(spec, 2).normalized == pytest.approx(
        draw(spec, 2, inputs=[[1.0, 0.0, 0.0]]).normalized
    )


def test_precisions_agree():
    """Other numbers are drawn, so the means are compared, with the errors of their networks."""
    spec = ResNetSpec.tangent_kernel(4, 30, alpha=0.5, d=2)
    single, double = (
        Estimate.mean(draw(spec, 600, inputs=CIRCLE, dtype=kind).normalized[:, 0])
        for kind in ("float32", "float64")
    )
    assert (single - double).agrees(0.0)
    assert (single - double).resolves(0.3 * double.value[0])


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block": "single"}, "block must be 'two-layer' for a tangent kernel"),
        ({"balanced": True}, "balanced must be False"),
        ({"readout": "activation"}, "readout must be 'linear'"),
        ({"bias_variance": 0.1}, r"bias_variance must be 0\.0 .* got 0\.1; start from ResNetSpec"),
        ({"readout_bias_variance": 0.1}, "readout_bias_variance must be 0"),
        ({"weight_law": Frozen()}, "weight_law must be IID"),
        ({"weight_law": IID("uniform")}, "weight_law must be IID"),
    ],
)
def test_networks_of_another_kind(change, message):
    spec = ResNetSpec.tangent_kernel(3, 4, alpha=0.5).replace(**change)
    with pytest.raises(ValueError, match=message):
        draw(spec, 2)
    with pytest.raises(ValueError, match=message):
        FiniteNetwork(spec, 0)


def test_other_errors():
    spec = ResNetSpec.tangent_kernel(3, 4, alpha=0.5)
    with pytest.raises(ValueError, match="trained must be one of 'blocks', 'all'"):
        draw(spec, 2, trained="head")
    with pytest.raises(ValueError, match="networks must be a positive integer"):
        draw(spec, 0)
    with pytest.raises(ValueError, match=r"inputs must have shape \(k, 3\)"):
        draw(spec, 2, inputs=np.ones((2, 2)))
    with pytest.raises(ValueError, match="seed must be a non-negative integer"):
        FiniteNetwork(spec, -1)
    with pytest.raises(ValueError, match="block must be 'two-layer'"):
        FiniteNetwork(leaky(2, 3), 0)
    tanh = ResNetSpec(depth=700, width=4, skip=3.0, scale=0.5, activation="tanh")
    with pytest.raises(OverflowError, match="leave the range of the numbers"):
        draw(tanh, 2)
