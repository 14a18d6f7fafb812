"""Matrix-free and explicit networks have one law: two-sample tests on joint statistics.

Statistics are rounded before they are compared: at small widths their laws have atoms (all units
dead), which differ in the last digit between two algorithms.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from companion.architecture import ResNetSpec
from companion.montecarlo import ks_between
from companion.simulate import Propagation, dense, matrixfree
from tests import defects
from tests.networks import erf_with_bias, leaky, network, two_layer, two_rows

pytestmark = pytest.mark.mc

CASES: dict[str, ResNetSpec] = {
    "atoms": network(0.5, 12, 4),
    "square": network(0.5, 20, 20),
    "long memory": network(0.9, 20, 20),
    "balanced": network(0.5, 20, 20, balanced=True),
    "fully connected": network(0.0, 6, 10).replace(readout="activation"),
    "two-layer": two_layer(8, 10),
    "erf with bias": erf_with_bias(5, 8),
    "leaky": leaky(9, 10),
}
LEVEL = 0.01


def forward_statistics(run: Propagation) -> dict[str, np.ndarray]:
    norm, output = run.log_norm, run.log_output
    middle = run.layers["log_norm"].shape[1] // 2
    delta, active = run.layers["delta"], run.layers["active"]
    return {
        "norm": norm[:, 0],
        "norms, sum": norm.sum(1),
        "norms, difference": norm[:, 0] - norm[:, 1],
        "increment": norm[:, 0] - run.layers["log_norm"][:, middle, 1],
        "cosine": run.layers["cosine"][:, -1],
        "cosine, first": run.layers["cosine"][:, 0],
        "imbalances": delta[:, -1, 0] + delta[:, 0, 1],
        "active": active.mean((1, 2)),
        "outputs, sum": output.sum(1),
        "outputs, difference": output[:, 0] - output[:, 1],
        "output and norm": output[:, 0] - norm[:, 0],
    }


def tangent_statistics(run: Propagation) -> dict[str, np.ndarray]:
    norm, tangent = run.log_norm, run.log_tangent
    return {
        "tangent": tangent[:, 0],
        "tangents, sum": tangent.sum(1),
        "tangents, difference": tangent[:, 0] - tangent[:, 1],
        "tangent and norm, sum": tangent[:, 0] + norm[:, 0],
        "tangent and norm, difference": tangent[:, 0] - norm[:, 0],
        "tangent and other norm": tangent[:, 0] - norm[:, 1],
    }


def gradient_statistics(run: Propagation) -> dict[str, np.ndarray]:
    norm, gradient = run.log_norm, run.layers["log_gradient"]
    middle, cosine = gradient.shape[1] // 2, run.layers["gradient_cosine"]
    return {
        "gradient": gradient[:, 0, 0],
        "gradients, difference": gradient[:, 0, 0] - gradient[:, 0, 1],
        "gradient, middle": gradient[:, middle, 0],
        "gradient cosine": cosine[:, 0],
        "gradient cosine, middle": cosine[:, middle],
        "gradient and norm, sum": gradient[:, 0, 0] + norm[:, 0],
        "gradient and norm, difference": gradient[:, 0, 0] - norm[:, 0],
        "gradient and other norm": gradient[:, 0, 0] - norm[:, 1],
        "pairing": run.layers["pairing"][:, -1, 0],
        "pairings": run.layers["pairing"][:, -1].sum(1),
    }


MODES = {  # function name, keywords, statistics
    "forward": (
        {"record": ("log_norm", "cosine", "delta", "active"), "readout": True},
        forward_statistics,
    ),
    "tangent": ({}, tangent_statistics),
    "backward": ({"record": ("log_gradient", "gradient_cosine", "pairing")}, gradient_statistics),
}


def finite(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Differences of two dead networks are no numbers: count them as one atom."""
    return {name: np.where(np.isnan(row), -99.0, row) for name, row in rows.items()}


@np.errstate(invalid="ignore")
def check_equal_in_law(case: str, mode: str, precision: str, networks: int):
    spec, (keywords, statistics) = CASES[case], MODES[mode]
    keywords = keywords | {"inputs": two_rows(0.5, spec.inputs), "dtype": precision}
    keywords["device"] = "cpu"
    runs = [getattr(dense, mode)(spec, networks, seed=101, **keywords)]
    runs.append(getattr(matrixfree, mode)(spec, networks, seed=202, **keywords))
    for name in runs[0].layers:
        assert not any(np.isnan(run.layers[name]).any() for run in runs), name
    explicit, free = (finite(statistics(run)) for run in runs)
    for name, sample in explicit.items():
        found = ks_between(free[name], sample)
        family = len(explicit) * len(CASES)
        assert not found.rejects(LEVEL, tests=family), f"{name}: {found}"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", MODES)
def test_equal_in_law(case, mode, precision):
    check_equal_in_law(case, mode, precision, 10000)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", MODES)
def test_equal_in_law_at_length(case, mode, precision):
    check_equal_in_law(case, mode, precision, 60000)


REJECTIONS = [
    *[(case, "backward", defects.fresh_backward_weights) for case in CASES],
    *[(case, "backward", defects.no_projection) for case in CASES],
    *[(case, "forward", defects.independent_columns) for case in CASES],
    *[(case, "tangent", defects.independent_columns) for case in ("atoms", "square", "balanced")],
    *[(case, "tangent", defects.activation_as_slope) for case in ("atoms", "erf with bias")],
    *[(case, "backward", defects.activation_as_slope) for case in ("leaky", "two-layer")],
    *[(case, "forward", defects.one_large_branch) for case in ("square", "balanced", "two-layer")],
    *[(case, "forward", defects.unscaled_readout) for case in ("atoms", "fully connected")],
    ("balanced", "backward", defects.unflipped_gradient),
    ("erf with bias", "forward", defects.bias_per_input),
]


@pytest.mark.parametrize(("case", "mode", "defect"), REJECTIONS)
def test_equal_in_law_rejects(case, mode, defect):
    defects.must_reject(defect, check_equal_in_law, case, mode, "float32", 10000)


# ---------------------------------------------------------------- gradients of the weights


def explicit_weight_gradients(spec: ResNetSpec, networks: int, seed: int) -> np.ndarray:
    """Log squared Frobenius norms of the weight gradients by automatic differentiation.

    Written out here with standard normal weights, and shared with nothing of the library.
    """
    generator = torch.Generator().manual_seed(seed)
    n, b = spec.width, networks

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    h = normal(b, n)
    blocks = [normal(b, n, n).requires_grad_() for _ in range(spec.depth)]
    for scale, w in zip(spec.scales, blocks, strict=True):
        branch = (w @ torch.relu(h)[..., None])[..., 0]
        h = spec.skip * h + scale * (spec.weight_variance / n) ** 0.5 * branch
    readout = normal(b, n)
    gradients = torch.autograd.grad((readout * h).sum(), blocks)
    sizes = torch.stack([g.square().sum((1, 2)) for g in gradients], dim=1)
    return torch.log(sizes / readout.square().sum(1, keepdim=True)).numpy()


@np.errstate(invalid="ignore")
def check_weight_gradients():
    spec = ResNetSpec.log_gaussian(6, 10, 0.9, 0.7)
    explicit = explicit_weight_gradients(spec, 10000, seed=7)
    free = matrixfree.backward(
        spec, 10000, seed=8, record=("log_weight_gradient",), device="cpu", dtype="float64"
    ).layers["log_weight_gradient"][..., 0]
    family = 2 * spec.depth
    for layer in range(spec.depth):
        pair = [
            finite({"norm": rows[:, layer], "contrast": rows[:, layer] - rows[:, layer - 1]})
            for rows in (explicit, free)
        ]
        for name in pair[0]:
            found = ks_between(pair[0][name], pair[1][name])
            assert not found.rejects(LEVEL, tests=family), f"layer {layer}, {name}: {found}"


def test_weight_gradients():
    check_weight_gradients()


@pytest.mark.parametrize(
    "defect", [defects.layer_gain_in_weight_gradient, defects.fresh_backward_weights]
)
def test_weight_gradients_rejects(defect):
    defects.must_reject(defect, check_weight_gradients)
