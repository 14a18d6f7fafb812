"""Classification by regression of indicators; centring, where the kernel learns no constant."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_ridge import KernelRidge

from companion import datasets
from companion.regression import HoldOut, KernelClassifier
from companion.regression.tangent import TangentKernel
from tests import defects
from tests.defects import must_reject

KERNEL = RBF(1.0)


def groups(classes: int = 3, n: int = 90, seed: int = 0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, classes, n)
    angles = 2 * np.pi * codes / classes
    return np.stack([np.cos(angles), np.sin(angles)], 1) + 0.4 * rng.standard_normal((n, 2)), codes


def digits(train: int, test: int, seed: int = 0):
    """Rows of length 1 and labels."""
    source = datasets.load()
    x = np.concatenate([source.x_train, source.x_test]).astype(np.float64)
    y = np.concatenate([source.y_train, source.y_test])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    order = np.random.default_rng(seed).permutation(len(y))[: train + test]
    return x[order[:train]], y[order[:train]], x[order[train:]], y[order[train:]]


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("classes", [2, 3])
def test_scores_are_regressions_of_indicators(classes, centred):
    (x, codes), (new, truth) = groups(classes), groups(classes, 50, 1)
    labels = np.array(["ant", "bee", "cat"])[codes]
    model = KernelClassifier(KERNEL, noise=0.1, centred=centred).fit(x, labels)
    targets = np.eye(classes)[codes]
    other = KernelRidge(alpha=0.1, kernel="precomputed").fit(
        KERNEL(x), targets - centred * targets.mean(0)
    )
    scores = other.predict(KERNEL(new, x))
    found = model.decision_function(new)
    assert found == pytest.approx(scores if classes > 2 else scores[:, 1] - scores[:, 0])
    assert model.classes_.tolist() == ["ant", "bee", "cat"][:classes]
    expected = model.classes_[scores.argmax(1)]
    assert np.array_equal(model.predict(new), expected)
    assert model.score(new, np.array(["ant", "bee", "cat"])[truth]) > 0.75


def test_one_constant_off_all_indicators_changes_no_decision():
    (x, codes), (new, _) = groups(), groups(3, 50, 1)
    raw = KernelClassifier(KERNEL, stopping=50.0, centred=False).fit(x, codes)
    shifted = KernelRidge(alpha=1e-3, kernel="precomputed").fit(KERNEL(x), np.eye(3)[codes] - 0.1)
    end = raw.path(new, [math.inf])[0]
    gap = shifted.predict(KERNEL(new, x)) - end
    assert gap == pytest.approx(np.repeat(gap[:, :1], 3, 1), abs=1e-6)
    assert np.abs(gap).min() > 1e-3


@pytest.mark.parametrize("classes", [2, 3])
def test_a_path_is_what_each_time_would_decide(classes):
    (x, codes), (new, _) = groups(classes), groups(classes, 50, 1)
    times = [3.0, 100.0, math.inf]
    path = KernelClassifier(KERNEL, stopping=1.0).fit(x, codes).path(new, times)
    assert path.shape == (3, 50, classes)
    for time, scores in zip(times, path, strict=True):
        alone = KernelClassifier(KERNEL, stopping=time).fit(x, codes)
        assert np.array_equal(alone.predict(new), scores.argmax(1))


def test_rules_and_landmarks():
    x, codes = groups(3, 200)
    model = KernelClassifier(KERNEL, stopping=HoldOut(), noise=0.0, landmarks=40).fit(x, codes)
    assert 0 < model.stopping_time_ < math.inf
    assert model.dual_coef_.shape == (40, 3)
    assert model.score(*groups(3, 200, 1)) > 0.8
    assert model.effective_dimension([math.inf])[0] <= 40
    assert model.training_error([0.0])[0] == pytest.approx(np.var(np.eye(3)[codes], 0).mean())


def check_degenerate_kernel() -> None:
    """At effective depth 5e4 the unlearned constant decides, unless the classes are centred."""
    x, y, new, truth = digits(500, 400)
    depth = TangentKernel(100_000, 1.0)
    assert depth.effective_depth == pytest.approx(5e4)
    centred, raw = (
        KernelClassifier(depth, stopping=math.inf, noise=0.0, centred=choice).fit(x, y)
        for choice in (True, False)
    )
    assert centred.score(new, truth) > 0.9
    assert raw.score(new, truth) < 0.5


def test_a_degenerate_kernel_still_classifies():
    check_degenerate_kernel()


def test_a_degenerate_kernel_shows_that_centring_was_forgotten():
    def forgotten(patch: defects.Patch) -> None:
        """Ignore the choice to centre the indicators."""
        true = KernelClassifier.fit

        def wrong(self, x, y):
            self.centred = False
            return true(self, x, y)

        patch.setattr(KernelClassifier, "fit", wrong)

    must_reject(forgotten, check_degenerate_kernel)


@pytest.mark.parametrize(("depth", "scale"), [(10, 10**-0.5), (1000, 1000**-0.5), (1000, 1e-3)])
def test_digits(depth, scale):
    """Accuracy .9895 at 1000 training images over five splits, standard errors .0005 to .002."""
    found = []
    for seed in range(3):
        x, y, new, truth = digits(1000, 797, seed)
        model = KernelClassifier(TangentKernel(depth, scale), stopping=math.inf, noise=0.0)
        found.append(model.fit(x, y).score(new, truth))
    assert np.mean(found) == pytest.approx(0.9895, abs=0.004)


def test_errors():
    x, codes = groups()
    with pytest.raises(ValueError, match="y must hold at least 2 classes, got 1 class"):
        KernelClassifier().fit(x, np.zeros(90))
    with pytest.raises(TypeError, match="centred must be True or False, got 1"):
        KernelClassifier(centred=1).fit(x, codes)
    with pytest.raises(ValueError, match="continuous"):
        KernelClassifier().fit(x, x[:, 0])
    with pytest.raises(ValueError, match=r"path\(\) needs the flow"):
        KernelClassifier().fit(x, codes).path(x, [1.0])
