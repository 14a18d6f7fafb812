"""Differential equations in continuous depth, and the networks that approach them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from companion import depthlimits as dl
from companion.depthlimits import limits
from companion.montecarlo import Estimate, ks_against
from tests.defects import must_reject
from tests.depthlimits.networks import apply, square

DEPTHS = [8, 16, 32, 64]


def slope(values: np.ndarray, depths: list[int]) -> float:
    return float(np.polyfit(np.log(depths), np.log(values), 1)[0])


def check_strong_order(activation: str):
    slopes = []
    for seed in range(10):
        found = dl.strong_errors(
            DEPTHS,
            width=5,
            paths=150,
            rng=np.random.default_rng(seed),
            activation=activation,
            fine=1024,
        )
        slopes.append(slope(found.value, DEPTHS) / 2)
    order = Estimate.mean(np.array(slopes))
    assert order.resolves(0.1)
    assert order.agrees(-0.5, allowance=0.02)


def leaking_skip(patch):
    """A skip weight a little off 1."""
    step = limits._euler
    patch.setattr(limits, "_euler", lambda state, dw, phi: step(0.999 * state, dw, phi))


def half_steps(patch):
    """Steps of the coarse networks come from half of the noise."""
    step = limits._euler
    fine = 1 / math.sqrt(5 * 1024)

    def wrong(state, dw, phi):
        return step(state, dw if np.std(dw) < 1.5 * fine else dw / 2**0.5, phi)

    patch.setattr(limits, "_euler", wrong)


@pytest.mark.mc
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_strong_order(activation):
    check_strong_order(activation)


@pytest.mark.mc
@pytest.mark.parametrize("defect", [leaking_skip, half_steps])
def test_strong_order_rejects(defect):
    must_reject(defect, check_strong_order, "tanh")


@pytest.mark.mc
def test_strong_error_values():
    """Reference errors .447 .. .170 (ReLU) and .262 .. .097 (tanh), 400 paths each."""
    for activation, expected in (
        ("relu", [0.447, 0.330, 0.245, 0.170]),
        ("tanh", [0.262, 0.185, 0.133, 0.097]),
    ):
        found = dl.strong_errors(
            DEPTHS, width=5, paths=600, rng=np.random.default_rng(3), activation=activation
        )
        # the reference carries the error of 400 paths
        error = found.sem * math.sqrt(1 + 600 / 400)
        assert np.all(np.abs(found.value - np.square(expected)) < 4.5 * error)
        assert np.all(4.5 * error < 0.8 * found.value)


def test_weak_error():
    from mpmath import mp, mpf

    depths = [1, 2, 50, 10**4, 10**12]
    with mp.workdps(60):
        exact = [float(mp.e ** (mpf(1) / 2) - (1 + mpf(1) / (2 * L)) ** L) for L in depths]
    assert dl.weak_error(depths) == pytest.approx(exact, rel=1e-13)
    c = 2.0
    assert dl.weak_error(10**6, c) * 10**6 == pytest.approx(c**2 * math.exp(c) / 2, rel=1e-5)
    assert slope(dl.weak_error([100, 1000]), [100, 1000]) == pytest.approx(-1, abs=2e-3)
    assert dl.weak_error(5, 0.0) == 0


# ---------------------------------------------------------------- matrix Brownian motion


def test_brownian_norm_is_the_limit_law():
    spec_free = dl.brownian_log_norm(10)
    assert (spec_free.mean, spec_free.variance) == pytest.approx((0.4, 0.2))
    assert dl.log_brownian_moment(1, 10) == pytest.approx(0.5)  # E|X|^2 = exp(c t)
    assert dl.log_brownian_moment(2, 10, 0.7, 0.3) == pytest.approx(0.21 * (2 + 4 / 10))


def check_brownian_norm():
    """Euler scheme of the linear equation, forward and, transposed, backward."""
    n, steps, networks = 4, 200, 3000
    rng = np.random.default_rng(4)
    x = rng.standard_normal((networks, n))
    p = rng.standard_normal((networks, n))
    start = square(x), square(p)
    for _ in range(steps):  # the product is stationary, so backward may run along
        b = rng.standard_normal((networks, n, n)) / math.sqrt(2 * n * steps)
        x, p = x + apply(b, x), p + apply(b.swapaxes(1, 2), p)
    law = dl.brownian_log_norm(n)
    for end, first in zip((x, p), start, strict=True):
        sample = np.log(square(end) / first)
        assert Estimate.mean(sample).resolves(0.2 * law.mean + 0.02)
        assert Estimate.mean(sample).agrees(law.mean, allowance=0.5 / steps)
        assert Estimate.variance(sample).agrees(law.variance, allowance=0.5 / steps)
        assert not ks_against(sample, law.cdf).rejects(0.01)


def stratonovich(patch):
    """The drift without Ito's correction."""
    law = dl.LimitLaw
    patch.setattr(dl, "brownian_log_norm", lambda n: law(0.5, 2 / n))


@pytest.mark.mc
def test_brownian_norm():
    check_brownian_norm()


@pytest.mark.mc
def test_brownian_norm_rejects_stratonovich():
    must_reject(stratonovich, check_brownian_norm)


# ---------------------------------------------------------------- several inputs


def test_kernel_values():
    found = dl.kernel_recursion(np.eye(2), 0.1, 100)
    assert found[0, 1] == pytest.approx(0.232, abs=5e-4)
    assert found[0, 1] / found[0, 0] == pytest.approx(0.141, abs=5e-4)
    assert found[0, 0] == pytest.approx(1.005**100, rel=1e-13)


GRAM = np.array([[1.0, 0.3, -2.0], [0.3, 0.5, -0.6], [-2.0, -0.6, 4.0]])


def test_kernel_flow_is_the_limit_of_the_recursion():
    flow = dl.kernel_flow(GRAM, 1.5)
    gaps = [
        np.max(np.abs(dl.kernel_recursion(GRAM, (1.5 / L) ** 0.5, L) - flow)) for L in (500, 1000)
    ]
    assert gaps[0] / gaps[1] == pytest.approx(2, abs=0.02)
    assert gaps[1] < 3e-3
    richardson = 2 * dl.kernel_recursion(GRAM, (1.5 / 4000) ** 0.5, 4000)
    richardson -= dl.kernel_recursion(GRAM, (1.5 / 2000) ** 0.5, 2000)
    assert flow == pytest.approx(richardson, abs=2e-7)
    assert np.array_equal(dl.kernel_flow(GRAM, 0.0), GRAM)
    assert np.diag(flow) == pytest.approx(np.diag(GRAM) * math.exp(0.75), rel=1e-13)


def test_kernel_flow_against_another_algorithm():
    """Time as a function of the cosine, by quadrature."""
    from scipy.integrate import quad

    flow = dl.kernel_flow(np.eye(2), 1.0)
    end = flow[0, 1] / flow[0, 0]
    time, _ = quad(lambda r: 1 / (float(dl.kappa(r)) - r / 2), 0, end, epsabs=1e-13)
    assert time == pytest.approx(1.0, abs=1e-11)


def check_kernel_of_networks():
    n, depth, networks = 300, 20, 12
    rng = np.random.default_rng(5)
    first, _ = np.linalg.qr(rng.standard_normal((networks, n, 2)))
    h = first * n**0.5
    for _ in range(depth):
        w, v = (rng.standard_normal((networks, n, n)) / n**0.5 for _ in range(2))
        h = h + depth**-0.5 * v @ np.maximum(w @ h, 0)
    found = Estimate.mean(np.sum(h[..., 0] * h[..., 1], axis=1) / n)
    target = dl.kernel_recursion(np.eye(2), depth**-0.5, depth)[0, 1]
    assert found.resolves(target / 2)
    assert found.agrees(target)


def no_mean_kernel(patch):
    """A linear branch: orthogonal inputs stay orthogonal."""
    patch.setattr(limits, "kappa", lambda r: np.asarray(r) / 2)


@pytest.mark.mc
def test_kernel_of_networks():
    check_kernel_of_networks()


@pytest.mark.mc
def test_kernel_of_networks_rejects_a_linear_branch():
    must_reject(no_mean_kernel, check_kernel_of_networks)


# ---------------------------------------------------------------- smooth weights


def check_ode():
    depths = [25, 50, 100, 200]
    found = dl.ode_differences(depths, width=12, networks=40, rng=np.random.default_rng(6))
    assert found.resolves(found.value)
    order = slope(found.value, depths)
    assert -1.1 < order < -0.9


def rough_path(patch):
    """A fresh draw at every time: independent layers at exponent 1."""

    def process(self, times, shape, rng):
        return rng.standard_normal((len(times), *shape))

    patch.setattr(limits.Smooth, "process", process)


@pytest.mark.mc
def test_smooth_weights_converge_at_order_one():
    check_ode()


@pytest.mark.mc
def test_smooth_weights_reject_rough_paths():
    must_reject(rough_path, check_ode)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: dl.strong_errors([3, 8], width=2, paths=2, rng=r), "each a divisor"),
        (lambda r: dl.strong_errors([8, 4], width=2, paths=2, rng=r), "must increase"),
        (lambda r: dl.ode_differences([3, 8], width=2, networks=2, rng=r), "divide the largest"),
        (lambda r: dl.weak_error(0), "positive integers"),
        (lambda r: dl.weak_error(1.5), "positive integers"),
        (lambda r: dl.kernel_flow([[1, 2], [2, 1]]), "cosines in"),
        (lambda r: dl.kernel_flow([[1, 0.2], [0.1, 1]]), "symmetric"),
        (lambda r: dl.kernel_recursion([[1, 0], [0, 0]], 0.1, 5), "positive diagonal"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(1))
