"""The log-Gaussian law against simulation, with a planted defect for every check."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from companion import loggaussian as lg
from companion.architecture import ResNetSpec
from companion.montecarlo import Estimate, ks_against, ks_between
from companion.simulate import matrixfree
from tests import defects
from tests.networks import critical, network, one_to_third, two_rows

pytestmark = pytest.mark.mc


# ---------------------------------------------------------------- the norm


def simulate(spec: ResNetSpec, networks: int, seed: int = 20, **kwargs: object):
    return matrixfree.forward(spec, networks, seed=seed, device="cpu", **kwargs)


def check_one_step():
    """One block at any width: eq-lg-v is the variance of an exact decomposition."""
    n, share, networks = 6, 0.5, 30000
    layers = simulate(network(share, 1, n), networks, record=("log_norm", "delta")).layers
    ratio = np.exp(np.diff(layers["log_norm"][:, :, 0], axis=1)[:, 0])
    delta = layers["delta"][:, 0, 0]
    rng = np.random.default_rng(21)
    g = rng.standard_normal((networks, n))
    noise = 2 * (share * (1 - share) * (1 + delta) / n) ** 0.5 * g[:, 0]
    exact = share + noise + (1 - share) * (1 + delta) * (g**2).mean(1)
    for one, other in (
        (ratio, exact),
        (ratio - delta, exact - delta),
        (ratio + delta, exact + delta),
    ):
        assert not ks_between(one, other).rejects(0.01, tests=3)


def test_one_step():
    check_one_step()


def test_one_step_rejects_a_large_branch():
    defects.must_reject(defects.one_large_branch, check_one_step)


# Measured next-order terms are about +40 d/n^2 (variance) and -5 d/n^2 (mean) at alpha^2 = 1/2, +52
# and -8 at 1/4, +3 and 0 at 9/10; the allowances are half as large again.
NORM_CASES = {
    "vanilla-.5": (network(0.5, 100, 400), 12000, 10, 60),
    "vanilla-.25": (network(0.25, 100, 400), 12000, 12, 80),
    "vanilla-.9": (network(0.9, 100, 200), 20000, 2, 6),
    "scale-.3": (one_to_third(50, 200), 20000, 2, 6),
    "balanced": (network(0.5, 100, 100, balanced=True), 20000, 1, 1),
    "one-block": (network(0.5, 1, 40, balanced=True), 40000, 1, 1),
}


def check_log_norm(spec: ResNetSpec, networks: int, mean_order: float, variance_order: float):
    law = lg.log_norm_law(spec, input_layer="exact")
    sample = simulate(spec, networks).log_norm[:, 0]
    mean, variance = Estimate.mean(sample), Estimate.variance(sample)
    order = spec.depth / spec.width**2
    assert mean.resolves(law.variance / 4)
    assert variance.resolves(law.variance / 8)
    assert mean.agrees(law.mean, allowance=mean_order * order)
    assert variance.agrees(law.variance, allowance=variance_order * order)


@pytest.mark.parametrize("case", NORM_CASES)
def test_log_norm(case):
    check_log_norm(*NORM_CASES[case])


@pytest.mark.parametrize("case", NORM_CASES)
def test_log_norm_rejects_scale_for_share(case):
    defects.must_reject(defects.scale_for_share, check_log_norm, *NORM_CASES[case])


@pytest.mark.parametrize("case", ["vanilla-.5", "vanilla-.25", "vanilla-.9", "scale-.3"])
def test_log_norm_rejects_independent_layers(case):
    defects.must_reject(defects.no_interlayer_term, check_log_norm, *NORM_CASES[case])


def test_log_norm_rejects_a_fixed_input_layer():
    defects.must_reject(defects.no_input_layer, check_log_norm, *NORM_CASES["one-block"])


@pytest.mark.parametrize("case", ["balanced"])
def test_log_norm_rejects_shared_signs(case):
    defects.must_reject(defects.shared_signs, check_log_norm, *NORM_CASES[case])


FULLY_CONNECTED = network(0.0, 100, 100)


def check_fully_connected():
    """Exact at finite width: moments without any allowance, and the whole law."""
    sample = simulate(FULLY_CONNECTED, 20000).log_norm[:, 0]
    law = lg.fully_connected_law(FULLY_CONNECTED)
    leading = lg.log_norm_law(FULLY_CONNECTED)
    variance = Estimate.variance(sample)
    assert variance.resolves(law.variance - leading.variance + 0.1)
    assert Estimate.mean(sample).agrees(law.mean)
    assert variance.agrees(law.variance)
    x, density = lg.fully_connected_density(FULLY_CONNECTED)
    cdf = np.cumsum(density) * (x[1] - x[0])
    assert not ks_against(sample, lambda t: np.interp(t, x + (x[1] - x[0]) / 2, cdf)).rejects(0.01)


def test_fully_connected():
    check_fully_connected()


def test_fully_connected_rejects_half_of_the_units_active():
    defects.must_reject(defects.fully_connected_limit, check_fully_connected)


def check_second_moment(spec: ResNetSpec, networks: int, effect: float):
    norms = simulate(spec, networks, record=("log_norm",)).layers["log_norm"][:, :, 0]
    growth = Estimate.mean(np.exp(norms[:, -1] - norms[:, 0]))
    expected = np.exp(lg.log_second_moment(spec))
    assert growth.resolves(effect)
    assert growth.agrees(expected)


SECOND_MOMENTS = {  # spec, networks, effect of the interlayer correlations
    "vanilla": (network(0.5, 50, 100), 60000, 0.409),
    "balanced": (network(0.5, 50, 100, balanced=True), 60000, 0.409),
    "critical": (critical(50, 10), 150000, 0.0193),
}


@pytest.mark.parametrize("case", SECOND_MOMENTS)
def test_second_moment(case):
    check_second_moment(*SECOND_MOMENTS[case])


@pytest.mark.parametrize(
    ("case", "defect"),
    [
        ("vanilla", defects.no_interlayer_term),
        ("critical", defects.no_interlayer_term),
        ("balanced", defects.shared_signs),
    ],
)
def test_second_moment_rejects(case, defect):
    defects.must_reject(defect, check_second_moment, *SECOND_MOMENTS[case])


def output_cdf(spec: ResNetSpec):
    x = np.linspace(-60, 40, 20001)
    cdf = np.cumsum(lg.output_log_density(spec, x)) * (x[1] - x[0])
    return lambda t: np.interp(t, x + (x[1] - x[0]) / 2, cdf)


def check_output_density(spec: ResNetSpec):
    sample = simulate(spec, 8000, readout=True).log_output[:, 0]
    assert not ks_against(sample, output_cdf(spec)).rejects(0.01)


@pytest.mark.parametrize("balanced", [False, True])
def test_output_density(balanced):
    check_output_density(network(0.5, 50, 400, balanced=balanced))


@pytest.mark.parametrize("defect", [defects.no_interlayer_term, defects.scale_for_share])
def test_output_density_rejects(defect):
    defects.must_reject(defect, check_output_density, network(0.5, 50, 400))


def check_shared_signs_are_vanilla():
    """With one sign vector for all blocks the balanced network is the vanilla one in law."""
    spec = network(0.5, 30, 30)
    with pytest.MonkeyPatch.context() as patch:
        SHARED.plant(patch)
        shared = simulate(spec.replace(balanced=True), 20000, seed=1).log_norm[:, 0]
    assert not ks_between(simulate(spec, 20000, seed=2).log_norm[:, 0], shared).rejects(0.01)


SHARED = SimpleNamespace(plant=defects.shared_signs)


def test_shared_signs_are_vanilla():
    check_shared_signs_are_vanilla()


def test_shared_signs_are_vanilla_rejects_fresh_signs(monkeypatch):
    monkeypatch.setattr(SHARED, "plant", lambda patch: None)
    with pytest.raises(AssertionError):
        check_shared_signs_are_vanilla()


# ---------------------------------------------------------------- activation patterns

LAGS = [0, 1, 2, 4, 8]


def lag_products(rows: np.ndarray) -> Estimate:
    """Mean over layers of the products of centred rows at each lag, one sample per network."""
    centred = rows - rows.mean(0)
    layers = centred.shape[1]
    products = [(centred[:, : layers - m] * centred[:, m:]).mean(1) for m in LAGS]
    return Estimate.mean(np.stack(products, axis=1))


def check_interlayer_covariance(balanced: bool, record: str):
    spec = network(0.5, 40, 400, balanced=balanced)
    rows = simulate(spec, 6000, record=(record,)).layers[record][..., 0]
    found = 400 * lag_products(rows)
    if record == "delta":
        theory = 400 * lg.imbalance_covariance(spec, LAGS)
    else:
        theory = 400 * lg.active_fraction_covariance(spec, LAGS)
    assert found[:4].resolves(0.15 * theory[0])
    assert found.agrees(theory, allowance=0.04 * theory)


@pytest.mark.parametrize("record", ["delta", "active"])
@pytest.mark.parametrize("balanced", [False, True])
def test_interlayer_covariance(balanced, record):
    check_interlayer_covariance(balanced, record)


@pytest.mark.parametrize("record", ["delta", "active"])
@pytest.mark.parametrize(
    ("balanced", "defect"),
    [(False, defects.squared_correlation), (True, defects.shared_signs)],
)
def test_interlayer_covariance_rejects(balanced, defect, record):
    defects.must_reject(defect, check_interlayer_covariance, balanced, record)


def pair_means(spec: ResNetSpec, pairs: int, layers: slice) -> tuple[Estimate, Estimate]:
    """``n delta`` and ``n (f - 1/2)`` averaged over layers and over the two of each pair."""
    run = simulate(spec, pairs, record=("delta", "active"), antithetic=True).layers
    imbalance = run["delta"][..., layers, 0].mean((1, 2))
    active = run["active"][..., layers, 0].mean((1, 2)) - 0.5
    return Estimate.mean(spec.width * imbalance), Estimate.mean(spec.width * active)


HYPOACTIVATION = {  # spec, layers, pairs: relative corrections are 3/n to 7/n
    "first": (network(0.5, 3, 100), slice(1, 2), 60000),
    "second": (network(0.5, 3, 100), slice(2, 3), 60000),
    "deep": (network(0.5, 60, 400), slice(30, 60), 5000),
    "deep-.9": (network(0.9, 90, 400), slice(60, 90), 3000),
}


def check_hypoactivation(spec: ResNetSpec, layers: slice, pairs: int):
    imbalance, active = pair_means(spec, pairs, layers)
    theory = [spec.width * row[:-1][layers].mean() for row in lg.hypoactivation(spec)]
    theory[1] -= spec.width / 2
    allowance = 7 / spec.width
    assert imbalance.resolves(theory[0] / 5)
    assert active.resolves(theory[1] / 2)
    assert imbalance.agrees(theory[0], allowance=allowance * abs(theory[0]))
    assert active.agrees(theory[1], allowance=allowance * abs(theory[1]))


@pytest.mark.parametrize("case", HYPOACTIVATION)
def test_hypoactivation(case):
    check_hypoactivation(*HYPOACTIVATION[case])


@pytest.mark.parametrize(
    ("case", "defect"),
    [
        *[(case, defects.scale_for_share) for case in HYPOACTIVATION],
        ("deep", defects.flat_abs_moment),
        ("deep", defects.flat_sine),
        ("deep", defects.unmirrored),
    ],
)
def test_hypoactivation_rejects(case, defect):
    defects.must_reject(defect, check_hypoactivation, *HYPOACTIVATION[case])


def check_balanced_is_not_hypoactive():
    spec = network(0.5, 40, 100, balanced=True)
    imbalance, active = pair_means(spec, 6000, slice(10, 40))
    assert imbalance.resolves(1.7 / 5)
    assert active.resolves(0.335 / 2)
    assert imbalance.agrees(0)
    assert active.agrees(0)


def test_balanced_is_not_hypoactive():
    check_balanced_is_not_hypoactive()


def test_balanced_is_not_hypoactive_rejects_shared_signs():
    defects.must_reject(defects.shared_signs, check_balanced_is_not_hypoactive)


# ---------------------------------------------------------------- gradients


def gradients(spec: ResNetSpec, networks: int, seed: int = 5) -> np.ndarray:
    run = matrixfree.backward(spec, networks, seed=seed, device="cpu")
    return run.layers["log_gradient"][:, 0, 0]


def tangents(spec: ResNetSpec, networks: int) -> np.ndarray:
    return matrixfree.tangent(spec, networks, seed=6, device="cpu").log_tangent[:, 0]


DERIVATIVES = {"gradient": gradients, "tangent": tangents}


def check_derivative_law(which: str, spec: ResNetSpec, networks: int, effect: float):
    sample = DERIVATIVES[which](spec, networks)
    law = lg.gradient_law(spec)
    variance = Estimate.variance(sample)
    order = spec.depth / spec.width**2
    assert variance.resolves(effect)
    assert variance.agrees(law.variance, allowance=10 * order)
    assert Estimate.mean(sample).agrees(law.mean, allowance=5 * order)


DERIVATIVE_CASES = {  # spec, networks, least effect that must be seen
    "vanilla": (network(0.5, 3, 200), 60000, 0.003),
    "vanilla-.75": (network(0.75, 10, 500), 12000, 0.004),
    "balanced": (network(0.5, 50, 100, balanced=True), 8000, 0.2),
    "fully connected": (network(0.0, 50, 200), 8000, 0.2),
}


@pytest.mark.parametrize("case", DERIVATIVE_CASES)
@pytest.mark.parametrize("which", DERIVATIVES)
def test_derivative_law(which, case):
    check_derivative_law(which, *DERIVATIVE_CASES[case])


@pytest.mark.parametrize("which", DERIVATIVES)
@pytest.mark.parametrize(
    ("case", "defect"),
    [
        ("vanilla", defects.patterns_alone),
        ("vanilla", defects.no_interlayer_term),
        ("vanilla-.75", defects.patterns_alone),
        ("balanced", defects.scale_for_share),
        ("balanced", defects.shared_signs),
        ("fully connected", defects.half_the_layers),
    ],
)
def test_derivative_law_rejects(which, case, defect):
    defects.must_reject(defect, check_derivative_law, which, *DERIVATIVE_CASES[case])


def check_reuse_of_weights():
    """The same normals with and without reuse of the matrices (eq-lg-gradient-law)."""
    spec = network(0.5, 5, 200)
    reused = gradients(spec, 40000)
    with defects.planted(defects.fresh_backward_weights):
        fresh = gradients(spec, 40000)
    shift = Estimate.mean(reused - fresh)
    theory = lg.backward_reuse_shift(spec)
    assert shift.resolves(theory / 2)
    assert shift.agrees(theory, allowance=0.1 * theory)


def test_reuse_of_weights():
    check_reuse_of_weights()


@pytest.mark.parametrize(
    "defect", [defects.fresh_backward_weights, defects.scale_for_share, defects.no_interlayer_term]
)
def test_reuse_of_weights_rejects(defect):
    defects.must_reject(defect, check_reuse_of_weights)


def check_alignment():
    spec = network(0.5, 3, 400)
    run = matrixfree.tangent(spec, 40000, seed=8, record=("alignment",), device="cpu")
    found = Estimate.mean(run.layers["alignment"][:, -1, 0] ** 2)
    theory = lg.tangent_alignment(spec)
    assert found.resolves(0.06 * theory)
    # Second order lowers it by about 1.2 d/n, relatively, at d = 10 and n = 200.
    assert found.agrees(theory, allowance=3 * spec.depth / spec.width * theory)


def test_alignment():
    check_alignment()


@pytest.mark.parametrize("defect", [defects.no_interlayer_term, defects.independent_columns])
def test_alignment_rejects(defect):
    defects.must_reject(defect, check_alignment)


# ---------------------------------------------------------------- two inputs


def check_two_inputs(share: float, rho: float):
    spec = network(share, 60, 400)
    run = simulate(spec, 4000, inputs=two_rows(rho), record=("cosine",))
    covariance = Estimate.covariance(run.log_norm[:, 0], run.log_norm[:, 1])
    theory = lg.covariance_two_inputs(spec, rho)
    assert covariance.resolves(0.25 * theory)
    assert covariance.agrees(theory, allowance=0.05 * theory)
    cosine = Estimate.mean(run.layers["cosine"][:, -1])
    path = lg.mean_cosines(spec, rho)
    assert cosine.resolves((path[-1] - rho) / 5)
    assert cosine.agrees(path[-1], allowance=4 / spec.width)


@pytest.mark.parametrize(("share", "rho"), [(0.5, 0.5), (0.9, 0.0), (0.5, -0.8)])
def test_two_inputs(share, rho):
    check_two_inputs(share, rho)


@pytest.mark.parametrize(
    ("share", "rho", "defect"),
    [
        (0.5, 0.5, defects.independent_columns),
        (0.9, 0.0, defects.squared_correlation),
        (0.5, 0.5, defects.no_lags),
        (0.5, -0.8, defects.no_lags),
        (0.9, 0.0, defects.no_lags),
    ],
)
def test_two_inputs_rejects(share, rho, defect):
    defects.must_reject(defect, check_two_inputs, share, rho)
