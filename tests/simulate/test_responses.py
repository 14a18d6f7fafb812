"""Responses of simulated networks to their input kernel: exact cases, theory, and defects."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from companion.architecture import ResNetSpec
from companion.montecarlo import Estimate
from companion.simulate import dense, kernels, responses
from companion.simulate.responses import RESPONSES, sample
from tests import defects
from tests.defects import must_reject
from tests.networks import erf_with_bias
from tests.simulate.kernel_reference import pair_path

WEIGHTS = ("implicit", "explicit")

#: Reference numbers: the responses of the output, None where there is none.
ERF = ResNetSpec.field_theory(20, 400, 0.25, sigma_w2=1.2, sigma_b2=0.05)
RELU = ResNetSpec.field_theory(15, 400, 0.3, sigma_w2=1.5, sigma_b2=0.05, K0=0.3, activation="relu")
CASES = {
    "erf": (ERF, 0.5, (0.94570, 1.8907, -0.3112, 0.1615)),
    "relu": (RELU, 0.4, (1.3320, 0.6702, None, None)),
}


def draw(spec: ResNetSpec, networks: int, **kwargs: object) -> responses.EmpiricalResponse:
    settings = {"seed": 3, "device": "cpu"} | kwargs
    return sample(spec, networks, **settings)


def expected(spec: ResNetSpec, cosine: float) -> dict[str, np.ndarray]:
    """Responses at layers 0..L and of the output; the bias of the input map counts."""
    jacobian = pair_path(spec, cosine)[1]
    bias = spec.input_bias_variance / spec.input_variance
    angle = (cosine - bias) / (1 - bias)
    covariance, variance = jacobian[:, 2, 2], jacobian[:, 2, 0]
    by_norm = variance + angle / 2 * covariance
    return dict(zip(RESPONSES, (jacobian[:, 0, 0], covariance, variance, by_norm), strict=True))


# ---------------------------------------------------------------- defects of this module


def one_sided(patch: defects.Patch) -> None:
    """Lower no input: differences are one-sided, and half as large."""
    true = responses._perturbed

    def wrong(spec, cosine, step):
        rows, columns = true(spec, cosine, step)
        rows[1] = (rows[0] ** 2 + rows[1] ** 2) ** 0.5 / 2**0.5 * np.sign(rows[0])
        return rows, columns

    patch.setattr(responses, "_perturbed", wrong)


def fixed_covariance(patch: defects.Patch) -> None:
    """Let the covariance of the inputs stay as the first is made longer."""
    true = responses._perturbed

    def wrong(spec, cosine, step):
        rows, columns = true(spec, cosine, step)
        rows[0:2] = rows[4:6]
        return rows, columns

    patch.setattr(responses, "_perturbed", wrong)


def no_output_activation(patch: defects.Patch) -> None:
    """Read the stream out without the activation."""
    true = kernels.products
    patch.setattr(
        responses, "products", lambda spec, *args: true(spec.replace(readout="linear"), *args)
    )


def doubled_scale(patch: defects.Patch) -> None:
    """Double the branch scale, in networks with explicit weights."""
    true = dense.Network.layer

    def wrong(self, h, index, log=None):
        once, self.spec = self.spec, self.spec.replace(scale=tuple(2 * self.spec.scales))
        out = true(self, h, index, log)
        self.spec = once
        return out

    patch.setattr(dense.Network, "layer", wrong)


def weights_per_input(patch: defects.Patch) -> None:
    """Give the columns of a product other matrices, in networks with explicit weights."""
    true = dense.Network.layer

    def wrong(self, h, index, log=None):
        columns = [true(self, h[:, i : i + 1], index, log) for i in range(h.shape[1])]
        return torch.cat(columns, dim=1)

    patch.setattr(dense.Network, "layer", wrong)


# ---------------------------------------------------------------- exact at every width


LINEAR = ResNetSpec(
    depth=6,
    width=10,
    inputs=1,
    skip=0.9,
    scale=tuple(np.linspace(0.2, 0.9, 6)),
    block="single",
    activation="linear",
    weight_variance=1.3,
    bias_variance=0.3,
    input_variance=0.7,
    input_bias_variance=0.2,
    input_weight_variance=1.4,
    readout_variance=1.6,
    readout_bias_variance=0.2,
)


def check_linear(weights: str, cosine: float = 0.6) -> None:
    """Linear networks: the covariance responds by itself, and by the growth of the stream."""
    found = draw(LINEAR, 8000, cosine=cosine, weights=weights)
    target = expected(LINEAR, cosine)
    for name in RESPONSES:
        mean = Estimate.mean(found.stream[name])
        assert mean.resolves(0.1 * target["variance"][:-1])
        assert mean.agrees(target[name][:-1])
        assert Estimate.mean(found.output[name]).agrees(target[name][-1])


@pytest.mark.mc
@pytest.mark.parametrize("weights", WEIGHTS)
def test_linear_networks(weights):
    check_linear(weights)


@pytest.mark.mc
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("defect", [one_sided, fixed_covariance])
def test_linear_networks_reject(weights, defect):
    must_reject(defect, check_linear, weights)


@pytest.mark.mc
@pytest.mark.parametrize("defect", [defects.independent_columns, defects.one_large_branch])
def test_linear_networks_without_matrices_reject(defect):
    must_reject(defect, check_linear, "implicit")


@pytest.mark.mc
@pytest.mark.parametrize("defect", [doubled_scale, weights_per_input])
def test_linear_networks_with_matrices_reject(defect):
    must_reject(defect, check_linear, "explicit")


def test_the_response_of_a_linear_network_is_its_kernel():
    """Without biases kernels are linear in the lengths, network by network."""
    spec = LINEAR.replace(bias_variance=0.0, input_bias_variance=0.0)
    found = draw(spec, 20, weights="explicit")
    one = kernels.sample(
        spec, 20, seed=3, device="cpu", weights="explicit", dtype="float64", batch=2
    )
    assert found.stream["variance"] == pytest.approx(one.stream[:, :, 0, 0] / 0.7, rel=1e-10)


# ---------------------------------------------------------------- theory


def check_theory(case: str, weights: str, width: int, networks: int) -> None:
    spec, cosine, numbers = CASES[case]
    target = expected(spec, cosine)
    found = draw(spec.replace(width=width), networks, cosine=cosine, weights=weights)
    for name, number in zip(RESPONSES, numbers, strict=True):
        if number is not None:
            assert target[name][-1] == pytest.approx(number, abs=6e-5)
        for mean, exact in (
            (Estimate.mean(found.stream[name]), target[name][:-1]),
            (Estimate.mean(found.output[name]), target[name][-1]),
        ):
            size = np.maximum(np.abs(exact), 0.1)
            assert mean.agrees(exact, allowance=2 / width * size)
    for name in ("variance", "covariance"):
        assert Estimate.mean(found.output[name]).resolves(0.2 * target[name][-1])


THEORY = [("implicit", 400, 400), ("explicit", 200, 160)]


@pytest.mark.mc
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("way", THEORY, ids=WEIGHTS)
def test_theory(case, way):
    check_theory(case, *way)


@pytest.mark.mc
@pytest.mark.parametrize(
    ("case", "way"),
    [("erf", THEORY[0]), ("relu", THEORY[1])],
    ids=["erf-implicit", "relu-explicit"],
)
@pytest.mark.parametrize("defect", [one_sided, fixed_covariance, no_output_activation])
def test_theory_rejects(case, way, defect):
    must_reject(defect, check_theory, case, *way)


@pytest.mark.mc
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("defect", [defects.one_large_branch, defects.bias_per_input])
def test_theory_without_matrices_rejects(case, defect):
    must_reject(defect, check_theory, case, *THEORY[0])


@pytest.mark.mc
def test_theory_with_matrices_rejects_a_doubled_scale():
    must_reject(doubled_scale, check_theory, "relu", *THEORY[1])


def check_one_input(weights: str) -> None:
    spec = ERF.replace(width=200, depth=8)
    found = draw(spec, 200, weights=weights, layers=(0, 8))
    assert list(found.stream) == list(found.output) == ["variance"]
    target = expected(spec, 0.0)["variance"]
    for mean, exact in (
        (Estimate.mean(found.stream["variance"]), target[[0, 8]]),
        (Estimate.mean(found.output["variance"]), target[-1]),
    ):
        assert mean.resolves(0.1 * exact)
        assert mean.agrees(exact, allowance=exact / 100)


@pytest.mark.mc
@pytest.mark.parametrize("weights", WEIGHTS)
def test_one_input(weights):
    check_one_input(weights)


@pytest.mark.mc
@pytest.mark.parametrize("weights", WEIGHTS)
def test_one_input_rejects_one_sided_differences(weights):
    must_reject(one_sided, check_one_input, weights)


# ---------------------------------------------------------------- the differences


def test_differences_are_central():
    """Their error is quadratic in the step."""
    spec = ERF.replace(width=30, depth=5)
    at = {
        step: draw(spec, 40, cosine=0.3, step=step, weights="explicit").output
        for step in (0.02, 0.04, 0.08)
    }
    for name in RESPONSES:
        far = np.mean(at[0.08][name] - at[0.02][name])
        near = np.mean(at[0.04][name] - at[0.02][name])
        assert far / near == pytest.approx(5.0, rel=0.02)
        assert abs(near) < 0.005 * np.mean(at[0.02]["variance"])


def test_the_default_step_is_small_enough():
    """Both of its errors are far below the scatter of a thousand networks."""
    spec = ERF.replace(width=100)
    mine = draw(spec, 60, cosine=0.5).output
    finer = draw(spec, 60, cosine=0.5, step=0.002).output
    for name in RESPONSES:
        difference = np.mean(mine[name] - finer[name])
        assert abs(difference) < np.std(mine[name]) / 1000**0.5 / 10


def test_columns_share_their_weights():
    """Responses scatter as kernels do; independent columns would multiply this by 1 / step."""
    found = draw(ERF.replace(width=100), 100, cosine=0.5).output
    for name in RESPONSES:
        assert np.std(found[name]) < 1.0


def check_longer_input() -> None:
    """A longer input has a larger variance and a larger covariance."""
    spec = erf_with_bias(3, 8)
    found = draw(spec, 4000, cosine=0.5, weights="implicit").output
    angle = (0.5 - 0.2) / 0.8
    parts = found["covariance_by_variance"] + angle / 2 * found["covariance"]
    gap = Estimate.mean(found["covariance_by_norm"] - parts)
    assert gap.resolves(0.2 * np.mean(found["covariance"]))
    assert gap.agrees(0.0)


@pytest.mark.mc
def test_longer_input():
    check_longer_input()


@pytest.mark.mc
@pytest.mark.parametrize("defect", [fixed_covariance, one_sided])
def test_longer_input_rejects(defect):
    must_reject(defect, check_longer_input)


# ---------------------------------------------------------------- what a result depends on


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_result_depends_on_seed_and_block_only(weights):
    spec = erf_with_bias(3, 100)
    whole = draw(spec, 250, cosine=0.3, weights=weights)
    batched = draw(spec, 250, cosine=0.3, weights=weights, batch=4)
    first = draw(spec, 110, cosine=0.3, weights=weights, layers=(2,))
    other = draw(spec, 250, cosine=0.3, weights=weights, seed=4)
    for name in RESPONSES:
        assert np.array_equal(whole.stream[name], batched.stream[name])
        assert np.array_equal(whole.output[name], batched.output[name])
        assert np.array_equal(whole.stream[name][:110, [2]], first.stream[name])
        assert np.array_equal(whole.output[name][:110], first.output[name])
        assert not np.any(whole.output[name] == other.output[name])


def test_shapes(precision):
    found = draw(erf_with_bias(3, 9), 5, cosine=-0.4, dtype=precision)
    assert found.layers == (0, 1, 2, 3)
    assert tuple(found.stream) == tuple(found.output) == RESPONSES
    for name in RESPONSES:
        assert found.stream[name].shape == (5, 4)
        assert found.output[name].shape == (5,)
        assert found.stream[name].dtype == np.float64


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"step": 0.0}, "step must be greater than 0"),
        ({"step": 0.9}, "step=0.9 must keep the input kernel positive definite"),
        ({"cosine": 0.99, "step": 0.02}, "a cosine nearer to 0"),
        ({"cosine": -1.0}, "a cosine nearer to 0"),
        ({"cosine": 0.95, "step": 0.1}, "a change of 0.1 with room for"),
        ({"cosine": float("nan")}, "cosine must be finite"),
        ({"weights": "dense"}, "weights must be one of"),
        ({"layers": (4,)}, r"layers must be increasing integers in 0\.\.3"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        draw(erf_with_bias(3, 4), 3, **arguments)


def test_an_input_that_does_nothing_has_no_response():
    spec = erf_with_bias(3, 4).replace(input_bias_variance=1.0)
    with pytest.raises(ValueError, match="a smaller input bias"):
        draw(spec, 3)
