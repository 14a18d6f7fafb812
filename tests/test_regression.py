"""The kernel regressor against scikit-learn and closed forms, and its kernel."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from companion import regression
from companion.architecture import ResNetSpec
from companion.kernels import nngp
from companion.montecarlo import Estimate
from companion.regression import (
    DEFAULT_SPEC,
    HoldOut,
    KernelClassifier,
    KernelRegressor,
    NNGPKernel,
)
from companion.simulate import kernels
from tests import defects
from tests.defects import must_reject

SPEC = ResNetSpec.field_theory(6, 1, 0.4, sigma_w2=1.2, sigma_b2=0.05, sigma_w_in2=0.1)


def data(n: int = 40, d: int = 4, outputs: int | None = None, seed: int = 5):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    targets = np.stack([np.sin(x[:, 0]) + x[:, 1], x[:, 2] * x[:, 3], x.sum(1)], axis=1)
    return x, targets[:, 0] if outputs is None else targets[:, :outputs]


def linear_kernel(x, y=None):
    return x @ (x if y is None else y).T


@parametrize_with_checks(
    [
        KernelRegressor(),
        KernelRegressor(RBF(2.0), noise=0.1),
        KernelRegressor(stopping=1e5),
        KernelRegressor(RBF(2.0), stopping=1e5, noise=0.0, landmarks=150),
        KernelClassifier(),
        KernelClassifier(RBF(2.0), stopping=HoldOut(), centred=False),
    ]
)
def test_estimator_checks(estimator, check):
    check(estimator)


# ---------------------------------------------------------------- against others


@pytest.mark.parametrize("noise", [1e-6, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("outputs", [None, 1, 3])
@pytest.mark.parametrize("kernel", [NNGPKernel(SPEC), RBF(1.5), linear_kernel])
def test_it_is_kernel_ridge_regression(kernel, outputs, noise):
    (x, y), (new, _) = data(outputs=outputs), data(7, seed=6)
    mine = KernelRegressor(kernel, noise=noise).fit(x, y)
    other = KernelRidge(alpha=noise, kernel="precomputed").fit(kernel(x), y)
    expected = other.predict(kernel(new, x))
    assert mine.predict(new).shape == expected.shape
    assert mine.predict(new) == pytest.approx(expected, rel=1e-7, abs=1e-7)
    assert mine.score(x, y) == pytest.approx(other.score(kernel(x), y), rel=1e-9)


@pytest.mark.parametrize("noise", [1e-4, 0.1])
@pytest.mark.parametrize("outputs", [None, 2])
def test_it_is_the_posterior_mean_of_a_gaussian_process(outputs, noise):
    (x, y), (new, _) = data(outputs=outputs), data(7, seed=6)
    kernel = ConstantKernel(1.7) * RBF(1.5)
    mine = KernelRegressor(kernel, noise=noise).fit(x, y)
    other = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(x, y)
    assert mine.predict(new) == pytest.approx(other.predict(new), rel=1e-8)
    assert mine.log_marginal_likelihood() == pytest.approx(
        other.log_marginal_likelihood_value_, rel=1e-10
    )


@pytest.mark.parametrize("outputs", [None, 3])
def test_linear_kernels_are_ridge_regression(outputs):
    (x, y), (new, _) = data(outputs=outputs), data(7, seed=6)
    weights = np.linalg.solve(x.T @ x + 0.3 * np.eye(4), x.T @ y)
    mine = KernelRegressor(linear_kernel, noise=0.3).fit(x, y)
    assert mine.predict(new) == pytest.approx(new @ weights, rel=1e-10)


def test_a_linear_network_is_ridge_regression():
    """Its kernel is a multiple of the products of the inputs."""
    spec = ResNetSpec(depth=5, width=1, scale=0.5, activation="linear", block="single")
    (x, y), (new, _) = data(), data(7, seed=6)
    factor = 1.25**5 / 4
    weights = np.linalg.solve(x.T @ x + 0.3 / factor * np.eye(4), x.T @ y)
    mine = KernelRegressor(NNGPKernel(spec), noise=0.3).fit(x, y)
    assert mine.predict(new) == pytest.approx(new @ weights, rel=1e-10)


def test_one_training_input():
    """Prediction k(x, a) y / (k(a, a) + noise), and the evidence of one normal number."""
    mine = KernelRegressor(linear_kernel, noise=0.5).fit([[2.0]], [3.0])
    assert mine.predict([[1.0], [4.0]]) == pytest.approx([2 * 3 / 4.5, 8 * 3 / 4.5])
    assert mine.dual_coef_ == pytest.approx([3 / 4.5])
    evidence = -(9 / 4.5 + np.log(4.5) + np.log(2 * np.pi)) / 2
    assert mine.log_marginal_likelihood() == pytest.approx(evidence)


def test_evidence_is_the_density_of_the_targets():
    from scipy.stats import multivariate_normal

    x, y = data(12, outputs=2)
    law = multivariate_normal(cov=nngp(SPEC.replace(inputs=4), x) + 0.01 * np.eye(12))
    mine = KernelRegressor(NNGPKernel(SPEC), noise=0.01).fit(x, y)
    expected = sum(law.logpdf(column) for column in y.T)
    assert mine.log_marginal_likelihood() == pytest.approx(expected, rel=1e-9)


def check_wide_networks() -> None:
    """The kernel, and the regression, of many networks of finite width."""
    (x, y), (new, _) = data(6), data(2, seed=6)
    spec, inputs = SPEC.replace(width=100, inputs=4), np.concatenate([x, new])
    found = kernels.sample(spec, 3000, seed=9, inputs=inputs, layers=(6,), device="cpu")
    mean = Estimate.mean(found.output)
    exact = NNGPKernel(SPEC)(inputs)
    assert mean.resolves(0.05 * exact.max())
    assert mean.agrees(exact, allowance=exact.max() / 100)
    gram = mean.value
    dual = np.linalg.solve(gram[:6, :6] + 0.1 * np.eye(6), y)
    mine = KernelRegressor(NNGPKernel(SPEC), noise=0.1).fit(x, y)
    assert gram[6:, :6] @ dual == pytest.approx(mine.predict(new), abs=0.02 * np.abs(y).max())


def no_output_activation(patch: defects.Patch) -> None:
    """Read the stream out without the activation."""
    true = regression.nngp
    patch.setattr(
        regression, "nngp", lambda spec, *args: true(spec.replace(readout="linear"), *args)
    )


def fan_in_of_the_spec(patch: defects.Patch) -> None:
    """Divide the products of the inputs by another dimension than that of the data."""
    true = regression.nngp

    def wrong(spec, *args):
        return true(spec.replace(input_weight_variance=spec.input_weight_variance * 2), *args)

    patch.setattr(regression, "nngp", wrong)


@pytest.mark.mc
def test_wide_networks():
    check_wide_networks()


@pytest.mark.mc
@pytest.mark.parametrize("defect", [no_output_activation, fan_in_of_the_spec])
def test_wide_networks_reject(defect):
    must_reject(defect, check_wide_networks)


# ---------------------------------------------------------------- searching


def test_the_branch_scale_can_be_searched():
    x, y = data(60)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), KernelRegressor(NNGPKernel(SPEC))),
        {
            "kernelregressor__kernel__scale": [0.05, 0.3, 3.0],
            "kernelregressor__noise": [1e-3, 1e-1],
        },
        cv=3,
    ).fit(x, y)
    spec = search.best_estimator_[-1].kernel_.spec
    assert spec.scale == search.best_params_["kernelregressor__kernel__scale"]
    assert SPEC.scale == 0.4
    scores = search.cv_results_["mean_test_score"]
    assert np.ptp(scores) > 0.01
    for parameters, score in zip(search.cv_results_["params"], scores, strict=True):
        scale = parameters["kernelregressor__kernel__scale"]
        by_hand = make_pipeline(
            StandardScaler(),
            KernelRegressor(
                NNGPKernel(SPEC.replace(scale=scale)), noise=parameters["kernelregressor__noise"]
            ),
        )
        assert np.mean(cross_val_score(by_hand, x, y, cv=3)) == pytest.approx(score)


def test_parameters_of_the_kernel():
    model = KernelRegressor(NNGPKernel(SPEC))
    parameters = model.get_params()
    assert parameters["kernel__scale"] == 0.4
    assert parameters["kernel__spec"] is SPEC
    assert set(NNGPKernel(SPEC).get_params(deep=False)) == {"spec"}
    model.set_params(kernel__scale=0.1, kernel__depth=9, noise=2.0)
    assert model.kernel.spec == SPEC.replace(scale=0.1, depth=9)
    model.set_params(kernel__spec=DEFAULT_SPEC, kernel__depth=3)
    assert model.kernel.spec == DEFAULT_SPEC.replace(depth=3)
    same = model.set_params(**model.get_params())
    assert same.kernel.spec == DEFAULT_SPEC.replace(depth=3)


def test_copies_share_nothing_that_changes():
    model = KernelRegressor(NNGPKernel(SPEC))
    copy = clone(model).set_params(kernel__scale=0.9)
    assert model.kernel.spec == SPEC
    assert copy.kernel.spec.scale == 0.9
    x, y = data()
    before = model.fit(x, y).predict(x)
    model.set_params(kernel__scale=2.0)
    assert np.array_equal(model.predict(x), before)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(x), before)


# ---------------------------------------------------------------- the kernel


@pytest.mark.parametrize("d", [1, 5])
def test_the_kernel_takes_its_dimension_from_the_data(d):
    kernel = NNGPKernel(SPEC)
    (x, _), (y, _) = data(8, d=5), data(3, d=5, seed=8)
    x, y = x[:, :d], y[:, :d]
    assert np.array_equal(kernel(x), nngp(SPEC.replace(inputs=d), x))
    assert np.array_equal(kernel(x, y), nngp(SPEC.replace(inputs=d), x, y))
    assert kernel(x, x) == pytest.approx(kernel(x), rel=1e-12)


def test_width_does_not_matter_to_the_kernel():
    x, _ = data(5)
    other = SPEC.replace(width=77, outputs=3, inputs=9, input_variance=2.5)
    assert np.array_equal(NNGPKernel(SPEC)(x), NNGPKernel(other)(x))


def test_representation():
    text = repr(NNGPKernel(SPEC))
    assert text.startswith("NNGPKernel(ResNetSpec(depth=6")
    assert "NNGPKernel" in repr(KernelRegressor(NNGPKernel(SPEC)))


@pytest.mark.parametrize("activation", ["relu", "tanh", "erf"])
@pytest.mark.parametrize("block", ["single", "two-layer"])
def test_any_network_can_be_a_kernel(activation, block):
    spec = ResNetSpec(depth=3, width=1, scale=0.5, activation=activation, block=block)
    x, y = data()
    assert KernelRegressor(NNGPKernel(spec), noise=1e-4).fit(x, y).score(x, y) > 0.99


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"noise": 0.0}, ValueError, "noise must be greater than 0"),
        ({"noise": -1.0}, ValueError, "noise must be greater than 0"),
        ({"noise": "auto"}, TypeError, "noise must be a real number"),
        ({"stopping": "early"}, TypeError, r"stopping must be None, .* got 'early'; pass e\.g\."),
        ({"stopping": np.ones(1)}, TypeError, "stopping must be None, a time or a rule, got array"),
        ({"stopping": True}, TypeError, "stopping must be None, a time or a rule, got True"),
        ({"stopping": -1.0}, ValueError, r"stopping must be a time of at least 0, got -1\.0"),
        ({"stopping": np.nan}, ValueError, "stopping must be a time of at least 0, got nan"),
        ({"stopping": 1.0, "noise": -1.0}, ValueError, "noise must be at least 0"),
        ({"landmarks": 0}, ValueError, "landmarks must be a positive integer"),
        ({"landmarks": 2.0}, TypeError, "landmarks must be a positive integer"),
        (
            {"kernel": lambda x, y=None: -linear_kernel(x, y), "stopping": 1.0},
            ValueError,
            "kernel must be positive semidefinite, got the eigenvalue -",
        ),
        (
            {"kernel": lambda x, y=None: 0 * linear_kernel(x, y), "stopping": 1.0},
            ValueError,
            "kernel must not vanish on the training inputs",
        ),
        ({"kernel": "rbf"}, TypeError, r"kernel must be callable .* got 'rbf'; pass e\.g\."),
        (
            {"kernel": lambda x, y=None: np.ones((2, 2))},
            ValueError,
            r"an array of shape \(40, 40\) for these inputs, got \(2, 2\)",
        ),
        (
            {"kernel": lambda x, y=None: np.full((40, 40), np.nan)},
            ValueError,
            "kernel must return finite values",
        ),
        (
            {"kernel": lambda x, y=None: -linear_kernel(x, y)},
            ValueError,
            r"noise=0\.001 must make the kernel positive definite, .* raise noise",
        ),
    ],
)
def test_errors_of_fit(arguments, error, message):
    with pytest.raises(error, match=message):
        KernelRegressor(**arguments).fit(*data())


def test_errors_before_fit():
    with pytest.raises(NotFittedError):
        KernelRegressor().predict([[1.0]])
    with pytest.raises(NotFittedError):
        KernelRegressor().log_marginal_likelihood()


def test_features_must_be_those_of_the_training_inputs():
    with pytest.raises(ValueError, match="X has 3 features, but KernelRegressor is expecting 4"):
        KernelRegressor().fit(*data()).predict(np.ones((2, 3)))


def test_errors_of_the_kernel():
    with pytest.raises(TypeError, match="spec must be a ResNetSpec, got 3"):
        NNGPKernel(3)
    with pytest.raises(ValueError, match=r"X must have shape \(N, d\)"):
        NNGPKernel(SPEC)(np.ones(3))
    with pytest.raises(TypeError, match="unknown field 'rho'"):
        NNGPKernel(SPEC).set_params(rho=3)
    with pytest.raises(TypeError, match="spec must be a ResNetSpec"):
        NNGPKernel(SPEC).set_params(spec=None)
    with pytest.raises(ValueError, match="scale must be at least 0"):
        KernelRegressor(NNGPKernel(SPEC)).set_params(kernel__scale=-1.0)
