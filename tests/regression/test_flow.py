"""Gradient flow in closed form, its stopping rules and its reduced space."""

from __future__ import annotations

import math
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from companion.montecarlo import Estimate
from companion.regression import Discrepancy, HoldOut, KernelRegressor, grams, oracle
from companion.regression import flow as flows
from companion.regression.tangent import TangentKernel
from tests import defects
from tests.defects import must_reject

KERNEL = RBF(1.5)
TIMES = [0.0, 0.3, 7.0, 400.0, 1e6, math.inf]


def data(n: int = 40, d: int = 4, outputs: int | None = None, seed: int = 5):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    targets = np.stack([np.sin(x[:, 0]) + x[:, 1], x[:, 2] * x[:, 3], x.sum(1)], axis=1)
    return x, targets[:, 0] if outputs is None else targets[:, :outputs]


def sphere(n: int, seed: int, d: int = 3) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def smoother(new, x, time: float, noise: float) -> np.ndarray:
    """Map from targets to predictions by a matrix exponential, no eigendecomposition."""
    ridged = KERNEL(x) + noise * np.eye(len(x))
    return KERNEL(new, x) @ np.linalg.solve(ridged, np.eye(len(x)) - expm(-time / len(x) * ridged))


# ---------------------------------------------------------------- the flow


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("outputs", [None, 1, 3])
def test_it_solves_the_differential_equation(outputs, noise):
    """The flow of the loss in the weights of a kernel expansion, integrated step by step."""
    (x, y), (new, _) = data(12, outputs=outputs), data(5, seed=6)
    gram, targets = KERNEL(x), y.reshape(12, -1)

    def motion(_, dual):
        dual = dual.reshape(targets.shape)
        return (-(gram @ dual + noise * dual - targets) / 12).ravel()

    start = np.zeros(targets.size)
    end = solve_ivp(motion, (0, 25.0), start, method="DOP853", rtol=1e-11, atol=1e-13).y[:, -1]
    mine = KernelRegressor(KERNEL, stopping=25.0, noise=noise).fit(x, y)
    expected = KERNEL(new, x) @ end.reshape(y.shape)
    assert mine.predict(new).shape == expected.shape
    assert mine.predict(new) == pytest.approx(expected, rel=1e-9, abs=1e-11)
    assert mine.stopping_time_ == 25.0


@pytest.mark.parametrize("noise", [0.01, 0.3])
@pytest.mark.parametrize("time", [0.2, 5.0, 300.0])
def test_it_is_a_matrix_exponential(noise, time):
    (x, y), (new, _) = data(outputs=2), data(7, seed=6)
    mine = KernelRegressor(KERNEL, stopping=time, noise=noise).fit(x, y)
    assert mine.predict(new) == pytest.approx(smoother(new, x, time, noise) @ y, rel=1e-9)


@pytest.mark.parametrize("outputs", [None, 2])
def test_its_end_is_the_ridge(outputs):
    (x, y), (new, _) = data(outputs=outputs), data(7, seed=6)
    ridge = KernelRegressor(KERNEL, noise=0.05).fit(x, y)
    for time in (math.inf, 1e9):
        mine = KernelRegressor(KERNEL, stopping=time, noise=0.05).fit(x, y)
        assert mine.predict(new) == pytest.approx(ridge.predict(new), rel=1e-9, abs=1e-11)
        assert mine.dual_coef_.shape == ridge.dual_coef_.shape


def test_its_end_without_a_ridge_interpolates_also_a_singular_kernel():
    """Of inputs that are there twice the mean of the targets is learned."""
    x, y = data(15)
    twice = np.concatenate([x, x[:4]])
    targets = np.concatenate([y, y[:4] + 1.0])
    mine = KernelRegressor(KERNEL, stopping=math.inf, noise=0.0).fit(twice, targets)
    assert mine.predict(x[:4]) == pytest.approx(y[:4] + 0.5, abs=1e-7)
    assert mine.predict(x[4:]) == pytest.approx(y[4:], abs=1e-7)
    assert mine.training_error([math.inf])[0] == pytest.approx(2 * 4 * 0.25 / 19, rel=1e-9)


def test_its_beginning():
    (x, y), (new, _) = data(), data(7, seed=6)
    first = KernelRegressor(KERNEL, stopping=1e-6, noise=0.2).fit(x, y).predict(new)
    assert first == pytest.approx(1e-6 / 40 * KERNEL(new, x) @ y, rel=1e-5)
    assert not np.any(KernelRegressor(KERNEL, stopping=0).fit(x, y).predict(new))


@pytest.mark.parametrize("landmarks", [None, 15])
@pytest.mark.parametrize("outputs", [None, 1, 3])
def test_a_path_is_what_each_time_would_predict(outputs, landmarks):
    (x, y), (new, _) = data(outputs=outputs), data(7, seed=6)
    settings = {"noise": 0.01, "landmarks": landmarks}
    path = KernelRegressor(KERNEL, stopping=3.0, **settings).fit(x, y).path(new, TIMES)
    assert path.shape == (6, *KernelRegressor(KERNEL).fit(x, y).predict(new).shape)
    for time, found in zip(TIMES, path, strict=True):
        alone = KernelRegressor(KERNEL, stopping=time, **settings).fit(x, y)
        assert found == pytest.approx(alone.predict(new), rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("landmarks", [None, 15])
def test_training_error_is_that_of_the_predictions(landmarks):
    x, y = data(outputs=2)
    model = KernelRegressor(KERNEL, stopping=3.0, noise=0.01, landmarks=landmarks).fit(x, y)
    found = np.mean((model.path(x, TIMES) - y) ** 2, axis=(1, 2))
    assert model.training_error(TIMES) == pytest.approx(found, rel=1e-9)
    assert np.all(np.diff(model.training_error(TIMES[:-1])) < 0)


@pytest.mark.parametrize("landmarks", [None, 15])
def test_effective_dimension_is_the_trace_of_the_smoother(landmarks):
    x, _ = data()
    model = KernelRegressor(KERNEL, stopping=3.0, noise=0.01, landmarks=landmarks)
    model.fit(x, np.eye(40))
    traces = [np.trace(fitted) for fitted in model.path(x, TIMES)]
    assert model.effective_dimension(TIMES) == pytest.approx(traces, rel=1e-9, abs=1e-12)
    free = KernelRegressor(KERNEL, stopping=3.0, noise=0.0, landmarks=landmarks).fit(x, np.eye(40))
    assert free.effective_dimension([math.inf])[0] == pytest.approx(landmarks or 40, rel=1e-9)


# ---------------------------------------------------------------- the risk, exactly in mean


def check_risk(draws: int = 400) -> None:
    """Mean risk over the noise is squared bias plus variance of the linear smoother."""
    (x, clean), (new, truth) = data(30), data(50, seed=6)
    noise = 0.6 * np.random.default_rng(11).standard_normal((30, draws))
    for time in (20.0, 2000.0):
        model = KernelRegressor(KERNEL, stopping=time, noise=0.0).fit(x, clean[:, None] + noise)
        risks = np.mean((model.predict(new) - truth[:, None]) ** 2, axis=0)
        linear = smoother(new, x, time, 1e-12)
        bias = np.mean((linear @ clean - truth) ** 2)
        expected = bias + 0.36 * np.sum(linear**2) / 50
        assert Estimate.mean(risks).resolves(0.1 * expected)
        assert Estimate.mean(risks).agrees(expected)


def time_per_sample(patch: defects.Patch) -> None:
    """Run the flow of the sum of the squares, not of their mean, twice as fast as it is."""
    true = flows.GradientFlow.filter
    patch.setattr(
        flows.GradientFlow, "filter", lambda self, times: true(self, 2 * np.asarray(times))
    )


def ridge_for_flow(patch: defects.Patch) -> None:
    """Take the ridge with noise N/t for the flow stopped at t."""

    def wrong(self, times):
        ridge = self.samples / np.maximum(np.asarray(times), 1e-300)[:, None]
        return 1 / (self.eigenvalues + ridge)

    patch.setattr(flows.GradientFlow, "filter", wrong)


@pytest.mark.mc
def test_risk():
    check_risk()


@pytest.mark.mc
@pytest.mark.parametrize("defect", [time_per_sample, ridge_for_flow])
def test_risk_rejects(defect):
    must_reject(defect, check_risk)


def test_early_stopping_is_needed_with_noise():
    """Degree 2 on the sphere, noise .3: measured 19 times the risk at the end, 400 samples."""
    (x, new), rng = (sphere(400, 1), sphere(500, 2)), np.random.default_rng(3)

    def degree_two(rows):
        return math.sqrt(5) * (3 * rows[:, 0] ** 2 - 1) / 2

    model = KernelRegressor(TangentKernel(1000, 1e-3), stopping=math.inf, noise=0.0)
    model.fit(x, degree_two(x) + 0.3 * rng.standard_normal(400))
    best = oracle(model, new, degree_two(new), np.append(np.geomspace(1, 1e8, 65), math.inf))
    assert best.risks[-1] / best.risk > 5
    assert 5e-4 < best.risk < 5e-3
    assert 0.02 < best.risks[-1] < 0.06
    assert 10 < best.time < 1e4


# ---------------------------------------------------------------- stopping rules


def noisy(n: int = 80, outputs: int | None = None):
    x, y = data(n, outputs=outputs)
    return x, y + 0.5 * np.random.default_rng(8).standard_normal(y.shape)


@pytest.mark.parametrize("landmarks", [None, 25])
@pytest.mark.parametrize("outputs", [None, 2])
def test_hold_out_by_hand(outputs, landmarks):
    x, y = noisy(outputs=outputs)
    times = tuple(np.geomspace(1, 1e5, 30))
    settings = {"noise": 0.0, "landmarks": landmarks}
    rule = HoldOut(0.25, times, seed=4)
    model = KernelRegressor(KERNEL, stopping=rule, **settings).fit(x, y)
    order = np.random.default_rng(4).permutation(80)
    test, train = order[:20], order[20:]
    errors = [
        np.mean(
            (
                KernelRegressor(KERNEL, stopping=time, **settings)
                .fit(x[train], y[train])
                .predict(x[test])
                - y[test]
            )
            ** 2
        )
        for time in times
    ]
    assert model.stopping_time_ == times[int(np.argmin(errors))]
    assert times[0] < model.stopping_time_ < times[-1]
    fixed = KernelRegressor(KERNEL, stopping=model.stopping_time_, **settings).fit(x, y)
    assert np.array_equal(model.predict(x), fixed.predict(x))


def test_hold_out_chooses_among_default_times():
    """The range of times follows the size of the kernel."""
    x, y = noisy()
    small, large = (
        KernelRegressor(size * KERNEL, stopping=HoldOut(), noise=0.0).fit(x, y)
        for size in (1.0, 1e6)
    )
    assert small.stopping_time_ == pytest.approx(1e6 * large.stopping_time_, rel=1e-9)
    assert small.predict(x) == pytest.approx(large.predict(x), rel=1e-6)
    assert 1 < small.effective_dimension([small.stopping_time_])[0] < 60


def test_hold_out_keeps_training_where_there_is_no_noise():
    x, y = data(80)
    rule = HoldOut(times=(1.0, 100.0, 1e4, math.inf))
    assert KernelRegressor(KERNEL, stopping=rule).fit(x, y).stopping_time_ > 100


@pytest.mark.parametrize("landmarks", [None, 25])
@pytest.mark.parametrize("outputs", [None, 2])
def test_discrepancy_stops_at_the_noise(outputs, landmarks):
    x, y = noisy(outputs=outputs)
    model = KernelRegressor(KERNEL, stopping=Discrepancy(0.6), noise=0.0, landmarks=landmarks)
    model.fit(x, y)
    assert np.mean((model.predict(x) - y) ** 2) == pytest.approx(0.6, rel=1e-9)
    assert 0 < model.stopping_time_ < math.inf


def test_discrepancy_at_its_ends():
    x, y = noisy()
    power = float(np.mean(y**2))
    for variance, time in [(power * 1.001, 0.0), (1e-12, math.inf)]:
        model = KernelRegressor(KERNEL, stopping=Discrepancy(variance), noise=0.1).fit(x, y)
        assert model.stopping_time_ == time
    early = KernelRegressor(KERNEL, stopping=Discrepancy(power * (1 - 1e-9)), noise=0.1).fit(x, y)
    assert 0 < early.stopping_time_ < 1e-6
    late = KernelRegressor(KERNEL, stopping=Discrepancy(1e-9), noise=0.0).fit(x, y)
    assert np.mean((late.predict(x) - y) ** 2) == pytest.approx(1e-9, rel=1e-4)


@pytest.mark.parametrize("outputs", [None, 2])
def test_oracle_is_the_best_of_the_times(outputs):
    (x, y), (new, clean) = noisy(outputs=outputs), data(30, outputs=outputs, seed=6)
    model = KernelRegressor(KERNEL, stopping=1.0, noise=0.0).fit(x, y)
    found = oracle(model, new, clean, TIMES)
    risks = [np.mean((prediction - clean) ** 2) for prediction in model.path(new, TIMES)]
    assert found.risks == pytest.approx(risks)
    assert found.risk == pytest.approx(min(risks))
    assert found.time == TIMES[int(np.argmin(risks))] == 400.0


def test_times_can_be_searched():
    x, y = noisy()
    search = GridSearchCV(
        make_pipeline(StandardScaler(), KernelRegressor(TangentKernel(20, 0.2), noise=0.0)),
        {
            "kernelregressor__stopping": [1.0, 100.0, 1e8],
            "kernelregressor__kernel__scale": [0.01, 1.0],
            "kernelregressor__kernel__depth": [5],
        },
        cv=3,
    ).fit(x, y)
    assert search.best_params_["kernelregressor__stopping"] == 100.0
    assert search.best_estimator_[-1].kernel_.depth == 5


# ---------------------------------------------------------------- the reduced space


@pytest.mark.parametrize("stopping", [None, 5.0, 1e4])
def test_with_all_landmarks_it_is_exact(stopping):
    (x, y), (new, _) = data(outputs=2), data(7, seed=6)
    whole = KernelRegressor(KERNEL, stopping=stopping, noise=0.01).fit(x, y)
    mine = KernelRegressor(KERNEL, stopping=stopping, noise=0.01, landmarks=10**6).fit(x, y)
    assert mine.predict(new) == pytest.approx(whole.predict(new), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("stopping", [5.0, 1e4])
def test_it_is_the_flow_of_the_projected_kernel(stopping):
    (x, y), (new, _) = data(60), data(7, seed=6)
    mine = KernelRegressor(KERNEL, stopping=stopping, noise=0.01, landmarks=20).fit(x, y)
    marks = mine.X_fit_
    assert marks.shape == (20, 4)
    assert {tuple(row) for row in marks} <= {tuple(row) for row in x}

    def projected(a, b=None):
        right = KERNEL(marks, a if b is None else b)
        return KERNEL(a, marks) @ np.linalg.solve(KERNEL(marks), right)

    whole = KernelRegressor(projected, stopping=stopping, noise=0.01).fit(x, y)
    assert mine.predict(new) == pytest.approx(whole.predict(new), rel=1e-6)


def test_its_ridge_is_that_of_scikit_learn():
    """Same landmarks by the same seed would be chance: all features of its transformer instead."""
    x, y = data(60)
    features = Nystroem(KERNEL, n_components=60, random_state=0).fit(x)
    other = Ridge(alpha=0.01, fit_intercept=False).fit(features.transform(x), y)
    new, _ = data(7, seed=6)
    mine = KernelRegressor(KERNEL, noise=0.01, landmarks=60).fit(x, y)
    assert mine.predict(new) == pytest.approx(other.predict(features.transform(new)), rel=1e-6)


def test_more_landmarks_are_better():
    x, new, kernel = sphere(600, 1), sphere(200, 2), TangentKernel(100, 0.1)
    y = x[:, 0] * x[:, 1] + 0.1 * np.random.default_rng(3).standard_normal(600)
    whole = KernelRegressor(kernel, stopping=100.0, noise=0.0).fit(x, y).predict(new)
    gaps = [
        np.sqrt(
            np.mean(
                (
                    KernelRegressor(kernel, stopping=100.0, noise=0.0, landmarks=m)
                    .fit(x, y)
                    .predict(new)
                    - whole
                )
                ** 2
            )
        )
        for m in (20, 80, 320)
    ]
    assert gaps[0] > 3 * gaps[1] > 9 * gaps[2]
    assert gaps[2] < 0.01 * np.std(whole)


def test_landmarks_follow_their_seed():
    x, y = data(60)
    fits = [
        KernelRegressor(KERNEL, landmarks=20, random_state=seed).fit(x, y).X_fit_
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(fits[0], fits[1])
    assert not np.array_equal(fits[0], fits[2])


def test_many_samples_need_little_memory(monkeypatch):
    """No matrix of samples times landmarks, nor any larger one."""
    monkeypatch.setattr(grams, "BLOCK_ENTRIES", 2**17)
    x, kernel = sphere(20000, 1), TangentKernel(10, 0.3)
    y = x[:, 0]
    kernel(x[:10])
    tracemalloc.start()
    model = KernelRegressor(kernel, stopping=1e3, noise=0.0, landmarks=100).fit(x, y)
    found = model.predict(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20000 * 100 * 8 / 2
    assert np.mean((found - y) ** 2) < 1e-4


@pytest.mark.slow
def test_error_of_the_landmarks():
    x, new, kernel = sphere(4000, 1), sphere(1000, 3), TangentKernel(1000, 1000**-0.5)

    def clean(rows):
        return math.sqrt(5) * (3 * rows[:, 0] ** 2 - 1) / 2

    y = clean(x) + 0.3 * np.random.default_rng(2).standard_normal(4000)
    settings = {"stopping": 178.0, "noise": 0.0}
    whole = KernelRegressor(kernel, **settings).fit(x, y).predict(new)
    assert np.mean((whole - clean(new)) ** 2) < 5e-4
    for landmarks, gap in [(100, 0.03), (300, 0.01), (1000, 0.0015)]:
        mine = KernelRegressor(kernel, **settings, landmarks=landmarks).fit(x, y).predict(new)
        assert gap / 4 < np.sqrt(np.mean((mine - whole) ** 2)) < gap


_LARGE = """
import resource
import numpy as np
from companion.regression import KernelRegressor
from companion.regression.tangent import TangentKernel
x = np.random.default_rng(1).standard_normal((50000, 3))
x /= np.linalg.norm(x, axis=1, keepdims=True)
model = KernelRegressor(TangentKernel(1000, 1000**-.5), stopping=1e3, noise=0.0, landmarks=1000)
error = np.mean((model.fit(x, x[:, 0] * x[:, 1]).predict(x) - x[:, 0] * x[:, 1]) ** 2)
print(error, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.slow
def test_fifty_thousand_samples_in_two_gigabytes():
    done = subprocess.run(
        [sys.executable, "-c", _LARGE], capture_output=True, text=True, check=True
    )
    error, gigabytes = map(float, done.stdout.split())
    assert error < 1e-4
    assert gigabytes < 2


@pytest.mark.parametrize("entries", [1, 100, 2**24])
def test_blocks_do_not_matter(entries, monkeypatch):
    (x, y), (new, _) = data(30, outputs=2), data(7, seed=6)
    settings = {"stopping": 10.0, "noise": 0.0, "landmarks": 10}
    whole = KernelRegressor(KERNEL, **settings).fit(x, y)
    monkeypatch.setattr(grams, "BLOCK_ENTRIES", entries)
    mine = KernelRegressor(KERNEL, **settings).fit(x, y)
    assert mine.predict(new) == pytest.approx(whole.predict(new), rel=1e-8)
    assert mine.path(new, TIMES) == pytest.approx(whole.path(new, TIMES), rel=1e-6, abs=1e-9)


# ---------------------------------------------------------------- errors


def test_without_a_flow_there_is_no_path():
    x, y = data()
    model = KernelRegressor().fit(x, y)
    for call in (
        lambda: model.path(x, [1.0]),
        lambda: model.training_error([1.0]),
        lambda: model.effective_dimension([1.0]),
    ):
        with pytest.raises(ValueError, match=r"needs the flow, .* e\.g\. stopping=math\.inf"):
            call()
    with pytest.raises(NotFittedError):
        KernelRegressor(stopping=1.0).path(x, [1.0])
    with pytest.raises(NotFittedError):
        KernelRegressor(stopping=1.0).training_error([1.0])


def test_a_flow_has_no_evidence():
    for model in (KernelRegressor(stopping=1.0), KernelRegressor(landmarks=5)):
        with pytest.raises(ValueError, match="belongs to the ridge, got a flow or landmarks"):
            model.fit(*data()).log_marginal_likelihood()


@pytest.mark.parametrize("times", [[], 3.0, [-1.0], [math.nan], [[1.0]]])
def test_errors_of_times(times):
    x, y = data()
    model = KernelRegressor(stopping=1.0).fit(x, y)
    with pytest.raises(ValueError, match="times must be a non-empty sequence of numbers of at lea"):
        model.path(x, times)
    if np.ndim(times) == 1:
        with pytest.raises(ValueError, match="times must be a non-empty sequence"):
            HoldOut(times=tuple(times))


def test_errors_of_rules():
    with pytest.raises(ValueError, match=r"fraction must be below 1, got 1; hold out e\.g\."):
        HoldOut(1.0)
    with pytest.raises(ValueError, match="fraction must be greater than 0"):
        HoldOut(0.0)
    with pytest.raises(ValueError, match="variance must be greater than 0"):
        Discrepancy(0.0)
    with pytest.raises(TypeError, match="variance must be a real number"):
        Discrepancy("noise")
    with pytest.raises(ValueError, match="must leave a sample to train on, got n_samples=1"):
        KernelRegressor(stopping=HoldOut()).fit([[1.0]], [1.0])


def test_errors_of_the_oracle():
    x, y = data()
    model = KernelRegressor(stopping=1.0).fit(x, y)
    with pytest.raises(ValueError, match=r"shape \(40,\) of the predictions, got \(40, 1\); eval"):
        oracle(model, x, y[:, None], [1.0])
    with pytest.raises(ValueError, match="clean must be finite"):
        oracle(model, x, np.full(40, np.nan), [1.0])
