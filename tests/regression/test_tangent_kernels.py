"""The tangent kernel inside scikit-learn: values, gradients, Gaussian processes, searches."""

from __future__ import annotations

import pickle

import mpmath
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel

from companion.architecture import ResNetSpec
from companion.kernels.tangent import normalized_kernel
from companion.kernels.tangent_limits import flow_kernel
from companion.regression import KernelRegressor
from companion.regression.tangent import TangentKernel, TangentLimitKernel

KERNELS = [
    TangentKernel(1, 0.7),
    TangentKernel(30, 1.0),
    TangentKernel(1000, 1e-3),
    TangentLimitKernel(2.0),
    TangentLimitKernel(300.0),
]


def rows(n: int = 30, d: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def angles(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    length = np.linalg.norm(x, axis=1)
    cosine = x @ x.T / np.outer(length, length)
    np.fill_diagonal(cosine, 1.0)
    return np.outer(length, length), np.arccos(np.clip(cosine, -1, 1))


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_values(kernel):
    x = rows()
    lengths, theta = angles(x)
    if isinstance(kernel, TangentKernel):
        spec = ResNetSpec.tangent_kernel(kernel.depth, 7, alpha=kernel.scale)
        expected = lengths * normalized_kernel(spec, theta)
        assert kernel.effective_depth == pytest.approx(spec.effective_depth())
    else:
        expected = lengths * flow_kernel(theta, kernel.effective_depth)
    assert kernel(x) == pytest.approx(expected, abs=1e-9)
    assert kernel(x[:4], x) == pytest.approx(expected[:4], abs=1e-9)
    assert kernel.diag(x) == pytest.approx(np.diag(kernel(x)), rel=1e-14)
    assert not kernel.is_stationary()


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_gradient_is_the_derivative(kernel):
    """Against differences of another step and order, through the interface of scikit-learn."""
    x = rows()
    values, gradient = kernel(x, eval_gradient=True)
    assert np.array_equal(values, kernel(x))
    assert gradient.shape == (30, 30, 1)
    assert np.array_equal(np.diag(gradient[:, :, 0]), np.zeros(30))
    step = 0.04

    def at(shift):
        return kernel.clone_with_theta(kernel.theta + shift * step)(x)

    central = [(at(k) - at(-k)) / (2 * k * step) for k in (1, 2, 3)]
    sixth = (15 * central[0] - 6 * central[1] + central[2]) / 10
    moves = not (isinstance(kernel, TangentKernel) and kernel.depth == 1)
    assert (np.abs(sixth).max() > 1e-7) == moves  # of one block the scale is an amplitude
    assert gradient[:, :, 0] == pytest.approx(sixth, abs=2e-8 * np.abs(values).max())


def test_gradient_in_high_precision():
    """Derivative of the recursion by the scale, 40 digits."""
    theta, depth, scale = 1.1, 12, 0.6
    x = np.array([[1.0, 0.0], [np.cos(theta), np.sin(theta)]])

    def kernel(log_scale):
        square = mpmath.exp(2 * log_scale)
        share, angle, total = square / (1 + square), mpmath.mpf(theta), mpmath.mpf(0)
        for _ in range(depth):
            cosine, sine = mpmath.cos(angle), mpmath.sin(angle)
            excess = (sine - angle * cosine) / mpmath.pi
            total *= 1 - share * angle / mpmath.pi
            total += cosine + excess + cosine * (1 - angle / mpmath.pi)
            angle = mpmath.acos(cosine + share * excess)
        return total / (2 * depth)

    with mpmath.workdps(40):
        exact = float(mpmath.diff(kernel, mpmath.log(mpmath.mpf(scale))))
    found = TangentKernel(depth, scale)(x, eval_gradient=True)[1][0, 1, 0]
    assert found == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize(
    ("kernel", "true"),
    [(TangentKernel(20, 0.2), 0.7), (TangentLimitKernel(1.0), 6.0)],
    ids=["finite", "limit"],
)
def test_a_gaussian_process_finds_the_scale(kernel, true):
    """The evidence has an interior maximum near the kernel that the data were drawn from."""
    rng = np.random.default_rng(4)
    truth = clone(kernel).set_params(**{kernel.hyperparameters[0].name: true})
    x = rows(120)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    gram = truth(x) + 1e-4 * np.eye(120)
    y = np.linalg.cholesky(gram) @ rng.standard_normal(120)
    model = GaussianProcessRegressor(kernel, alpha=1e-4).fit(x, y)
    (found,) = np.exp(model.kernel_.theta)
    assert model.log_marginal_likelihood_value_ > model.log_marginal_likelihood(kernel.theta) + 3
    _, slope = model.log_marginal_likelihood(model.kernel_.theta, eval_gradient=True)
    assert abs(slope[0]) < 1e-2
    best = KernelRegressor(model.kernel_, noise=1e-4).fit(x, y)
    assert best.log_marginal_likelihood() == pytest.approx(model.log_marginal_likelihood_value_)
    assert true / 3 < found < 3 * true


def test_it_composes_with_other_kernels():
    x, y = rows(40), rows(40)[:, 0]
    kernel = ConstantKernel(2.0) * TangentKernel(5, 0.5) + WhiteKernel(0.1)
    model = GaussianProcessRegressor(kernel, optimizer=None).fit(x, y)
    assert model.predict(x) == pytest.approx(
        KernelRegressor(ConstantKernel(2.0) * TangentKernel(5, 0.5), noise=0.1 + 1e-10)
        .fit(x, y)
        .predict(x),
        rel=1e-6,
    )
    values, gradient = kernel(x, eval_gradient=True)
    assert gradient.shape == (40, 40, 3)
    assert values.shape == (40, 40)


def test_a_fixed_parameter_has_no_gradient():
    kernel = TangentKernel(5, 0.5, scale_bounds="fixed")
    assert kernel(rows(), eval_gradient=True)[1].shape == (30, 30, 0)
    assert kernel.n_dims == 0


def test_parameters_and_copies():
    kernel = TangentKernel(7, 0.3)
    model = KernelRegressor(kernel)
    assert model.get_params()["kernel__depth"] == 7
    model.set_params(kernel__scale=0.9, kernel__depth=2)
    assert repr(model.kernel) == "TangentKernel(depth=2, scale=0.9)"
    assert clone(model).kernel == model.kernel
    assert pickle.loads(pickle.dumps(kernel)) == kernel
    assert TangentLimitKernel(3.0) != TangentLimitKernel(4.0)
    assert repr(TangentLimitKernel(3.0)) == "TangentLimitKernel(effective_depth=3)"
    assert kernel.theta == pytest.approx(np.log(kernel.scale))


def test_errors():
    x = rows()
    with pytest.raises(ValueError, match="eval_gradient=True needs Y=None"):
        TangentKernel()(x, x, eval_gradient=True)
    with pytest.raises(ValueError, match="L must be a positive integer, got 0"):
        TangentKernel(0)(x)
    with pytest.raises(ValueError, match="must be at least 0"):
        TangentKernel(3, -1.0)(x)
    with pytest.raises(ValueError, match="effective_depth must be at least 0"):
        TangentLimitKernel(-1.0)(x)
