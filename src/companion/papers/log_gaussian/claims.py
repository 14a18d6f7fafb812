"""Claims on the log-Gaussian limit, each with the function that tests it.

The qualitative statements of claims 1-6 and 8-10 are the paper's, as its abstract states them or
as they follow from it; every number is derived for this book. Sample sizes and criteria stand
in the tables at the end; where one was changed, the note of the claim says why, and whether a
result had been seen before.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion import loggaussian
from companion.architecture import ResNetSpec
from companion.montecarlo import Estimate, Moments, TestResult, ks_against, ks_between
from companion.papers import defects
from companion.papers.claims import Check, Claim, Finding, at_least, at_most, exceeds, matches
from companion.papers.log_gaussian.experiments import lag_covariance, network
from companion.simulate import dense, matrixfree

__all__ = ["CLAIMS"]

Sizes = Mapping[str, Any]
Array = NDArray[np.float64]


def _log_norms(spec: ResNetSpec, networks: int, seed: int, device: str) -> Array:
    return matrixfree.forward(spec, networks, seed=seed, device=device).log_norm[:, 0]


def _square(width: int, **kwargs: Any) -> ResNetSpec:
    """Network as deep as wide."""
    return network({"depth": width, "width": width, **kwargs})


def approaches_gaussian(sizes: Sizes, seed: int, device: str) -> Finding:
    """Skewness and distance to the fitted normal law shrink as the width grows at ``L = n``."""
    small, large = sizes["widths"]
    skewness, distance = [], []
    for width in (small, large):
        sample = _log_norms(_square(width), sizes["networks"], seed, device)
        moments = Moments.of(sample)
        skewness.append(moments.skewness)
        fitted = loggaussian.LogGaussian(float(sample.mean()), float(sample.var()))
        distance.append(ks_against(sample, fitted.cdf).statistic)
    return Finding(
        (
            exceeds(f"−skewness at n={small}", skewness[0] * -1.0, 0.0),
            exceeds(
                f"skewness(n={large}) − ½ skewness(n={small})",
                skewness[1] - skewness[0] * 0.5,
                0.0,
            ),
            at_most(
                f"KS distance to the fitted normal, n={large}",
                distance[1],
                0.02,
                n=sizes["networks"],
            ),
        )
    )


def vanilla_law(sizes: Sizes, seed: int, device: str) -> Finding:
    """Mean and variance of the log norm of a vanilla network."""
    spec = _square(sizes["width"])
    sample = _log_norms(spec, sizes["networks"], seed, device)
    law = loggaussian.log_norm_law(spec)
    plain = loggaussian.log_norm_law(spec.replace(balanced=True))
    order = spec.depth / spec.width**2
    return Finding(
        (
            matches(
                "mean of ln(‖h‖²/n)",
                Estimate.mean(sample),
                law.mean,
                allowance=10 * order,
                effect=law.mean - plain.mean,
            ),
            matches(
                "variance",
                Estimate.variance(sample),
                law.variance,
                allowance=60 * order,
                effect=law.variance - plain.variance,
            ),
        )
    )


def balanced_law(sizes: Sizes, seed: int, device: str) -> Finding:
    """Mean and variance of the log norm of a balanced network, without any allowance."""
    spec = _square(sizes["width"], kind="balanced")
    sample = _log_norms(spec, sizes["networks"], seed, device)
    law = loggaussian.log_norm_law(spec)
    vanilla = loggaussian.log_norm_law(spec.replace(balanced=False))
    mean, variance = Estimate.mean(sample), Estimate.variance(sample)
    return Finding(
        (
            matches("mean", mean, law.mean, effect=law.mean - vanilla.mean),
            matches("variance", variance, law.variance, effect=law.variance - vanilla.variance),
        )
    )


def infinite_width_fails(sizes: Sizes, seed: int, device: str) -> Finding:
    """The Gaussian-process limit says that the squared norm is chi-square distributed."""
    from scipy.stats import chi2

    checks = []
    for kind in ("vanilla", "balanced"):
        spec = _square(sizes["width"], kind=kind)
        sample = _log_norms(spec, sizes["networks"], seed, device)
        found = ks_against(np.exp(sample) * spec.width, chi2(spec.width).cdf)
        quantity = f"KS distance of ‖h‖² to χ² with n degrees, {kind}"
        checks.append(at_least(quantity, found.statistic, 0.6, n=sizes["networks"]))
    return Finding(tuple(checks))


def log_gaussian_holds(sizes: Sizes, seed: int, device: str) -> Finding:
    """Distance of the log norm to the predicted normal law, nothing fitted."""
    checks = []
    for width in sizes["widths"]:
        for kind in ("vanilla", "balanced"):
            spec = _square(width, kind=kind)
            sample = _log_norms(spec, sizes["networks"], seed, device)
            found = ks_against(sample, loggaussian.log_norm_law(spec).cdf)
            quantity = f"KS distance, {kind}, n={width}"
            checks.append(at_most(quantity, found.statistic, 0.03, n=sizes["networks"]))
    return Finding(tuple(checks))


def _deep_pairs(spec: ResNetSpec, pairs: int, seed: int, device: str) -> tuple[Estimate, Estimate]:
    """Means of ``n delta`` and ``n (f - 1/2)`` over the layers from 30 on, antithetic."""
    run = matrixfree.forward(
        spec, pairs, seed=seed, record=("delta", "active"), antithetic=True, device=device
    )
    delta = run.layers["delta"][:, :, 30:, 0].mean((1, 2))
    active = run.layers["active"][:, :, 30:, 0].mean((1, 2)) - 0.5
    return Estimate.mean(spec.width * delta), Estimate.mean(spec.width * active)


def hypoactive(sizes: Sizes, seed: int, device: str) -> Finding:
    """Fewer than half of the units are active on average; balanced networks are the control."""
    checks = []
    spec = network({"depth": 60, "width": sizes["width"]})
    _, active = _deep_pairs(spec, sizes["pairs"], seed, device)
    checks.append(exceeds("n(½ − E f), layers 30–59", active * -1.0, 0.0))
    _, control = _deep_pairs(spec.replace(balanced=True), sizes["pairs"], seed, device)
    effect = loggaussian.stationary_hypoactivation(spec)[1]
    checks.append(matches("the same, balanced", control, 0.0, effect=effect))
    return Finding(tuple(checks))


def hypoactivation_size(sizes: Sizes, seed: int, device: str) -> Finding:
    """Extrapolation of the stationary imbalance to infinite width."""
    narrow, wide = sizes["widths"]
    spec = network({"depth": 60, "width": wide})
    low, _ = _deep_pairs(spec.replace(width=narrow), sizes["pairs"], seed, device)
    high, _ = _deep_pairs(spec, sizes["pairs"], seed + 1, device)
    limit = (high * float(wide) - low * float(narrow)) / float(wide - narrow)
    target = loggaussian.stationary_hypoactivation(spec)[0]
    found = matches("n E δ, extrapolated in 1/n", limit, target, effect=sizes["resolution"])
    return Finding((found,))


def interlayer_covariance(sizes: Sizes, seed: int, device: str) -> Finding:
    """Covariance of the imbalance at five lags."""
    spec = network({"depth": 40, "width": sizes["width"]})
    run = matrixfree.forward(spec, sizes["networks"], seed=seed, record=("delta",), device=device)
    delta = run.layers["delta"][..., 0]
    checks = []
    for lag in (0, 1, 2, 4, 8):
        target = spec.width * float(loggaussian.imbalance_covariance(spec, lag))
        # Without correlation the covariance at positive lag would be zero.
        checks.append(
            matches(
                _covariance(lag),
                lag_covariance(delta, lag) * spec.width,
                target,
                allowance=sizes["allowance"] * 3.0,
                effect=target,
            )
        )
    return Finding(tuple(checks))


def _covariance(lag: int) -> str:
    digits = str(lag).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
    return f"n Cov(δₗ, δₗ₊{digits})"


def balanced_is_neutral(sizes: Sizes, seed: int, device: str) -> Finding:
    """Exact zeros at any width: lag covariances and mean of the imbalance."""
    spec = network({"depth": 40, "width": sizes["width"], "kind": "balanced"})
    run = matrixfree.forward(spec, sizes["networks"], seed=seed, record=("delta",), device=device)
    delta = run.layers["delta"][..., 0]
    vanilla = spec.replace(balanced=False)
    checks = []
    for lag in (1, 2, 4):
        effect = spec.width * float(loggaussian.imbalance_covariance(vanilla, lag))
        observed = lag_covariance(delta, lag) * spec.width
        checks.append(matches(_covariance(lag), observed, 0.0, effect=effect))
    mean, _ = _deep_pairs(spec.replace(depth=60), sizes["networks"], seed, device)
    effect = loggaussian.stationary_hypoactivation(vanilla)[0]
    return Finding((*checks, matches("n E δ, layers 30–59", mean, 0.0, effect=effect)))


def output_variance_inflation(sizes: Sizes, seed: int, device: str) -> Finding:
    """Logarithm of the mean squared norm, relative to the input layer."""
    checks = []
    vanilla = network({"depth": sizes["depth"], "width": sizes["width"]})
    effect = loggaussian.log_second_moment(vanilla)
    for spec in (vanilla, vanilla.replace(balanced=True)):
        run = matrixfree.forward(
            spec, sizes["networks"], seed=seed, record=("log_norm",), device=device
        )
        half = spec.depth // 2
        growth = run.layers["log_norm"][:, [half, spec.depth], 0] - run.layers["log_norm"][:, :1, 0]
        for column, depth in enumerate((half, spec.depth)):
            mean = Estimate.mean(np.exp(growth[:, column]))
            logged = Estimate(np.log(mean.value), mean.sem / mean.value, mean.n)
            target = loggaussian.log_second_moment(spec.replace(depth=depth))
            kind = "balanced" if spec.balanced else "vanilla"
            checks.append(
                matches(
                    f"ln E‖h‖²/E‖h₀‖² at layer {depth}, {kind}", logged, target, effect=effect / 2
                )
            )
    return Finding(tuple(checks))


def variance_ratio(sizes: Sizes, seed: int, device: str) -> Finding:
    """Variance of the log norm, vanilla over balanced, without the input layer."""
    checks = []
    for alpha2 in (0.25, 0.5, 0.9, 0.0):
        pair = [_square(sizes["width"], alpha2=alpha2, kind=k) for k in ("vanilla", "balanced")]
        theory, observed = [], []
        for offset, spec in enumerate(pair):
            law = loggaussian.log_norm_law(spec, input_layer="none")
            theory.append(law.variance)
            sample = _log_norms(spec, sizes["networks"], seed + offset, device)
            observed.append(Estimate.variance(sample) - 2 / spec.width)
        ratio = theory[0] / theory[1]
        found = observed[0] / observed[1]
        effect = ratio - 1 if alpha2 else 0.5
        checks.append(
            matches(f"ratio at α²={alpha2}", found, ratio, allowance=0.1 * ratio, effect=effect)
        )
    return Finding(tuple(checks))


#: Two inputs of cosine 1/2, as rows.
TWO_INPUTS = np.sqrt(2) * np.array([[1.0, 0.0], [0.5, 0.75**0.5]])


def equal_in_law(sizes: Sizes, seed: int, device: str) -> Finding:
    """Matrix-free against explicit weights: eight statistics of two inputs."""
    checks = []
    for alpha2 in (0.5, 0.9):
        spec = network({"depth": 20, "width": 20, "alpha2": alpha2}).replace(inputs=2)
        statistics = [
            _two_input_statistics(
                simulate.backward(
                    spec,
                    sizes["networks"],
                    seed=seed + offset,
                    inputs=TWO_INPUTS,
                    record=("log_gradient", "gradient_cosine", "cosine"),
                    device=device,
                )
            )
            for offset, simulate in enumerate((matrixfree, dense))
        ]
        tests = len(statistics[0])
        for name, sample in statistics[0].items():
            found = ks_between(sample, statistics[1][name])
            checks.append(_one_law(f"{name}, α²={alpha2}", found, 2 * tests, sizes["networks"]))
    return Finding(tuple(checks))


def _one_law(quantity: str, found: TestResult, tests: int, networks: int) -> Check:
    """Two samples have one law: the p-value is above the level of one test among ``tests``."""
    return Check(
        quantity,
        f"D = {found.statistic:.4f}, p = {found.pvalue:.3g}",
        "one law",
        f"p above 1 % / {tests} (KS, Bonferroni)",
        not found.rejects(0.01, tests),
        found.pvalue,
        None,
        0.01 / tests,
        networks,
    )


def _two_input_statistics(run: Any) -> dict[str, Array]:
    up, down = run.log_norm, run.layers["log_gradient"]
    middle = down.shape[1] // 2
    return {
        "ln‖h‖² at the top": up[:, 0],
        "its difference between two inputs": up[:, 0] - up[:, 1],
        "cosine of the streams": run.layers["cosine"][:, -1],
        "ln‖g‖² at the input": down[:, 0, 0],
        "its difference between two inputs, backward": down[:, 0, 0] - down[:, 0, 1],
        "ln‖g‖² half way": down[:, middle, 0],
        "cosine of the gradients": run.layers["gradient_cosine"][:, 0],
        "ln‖h‖² + ln‖g‖²": up[:, 0] + down[:, 0, 0],
    }


def fully_connected_limit(sizes: Sizes, seed: int, device: str) -> Finding:
    """Exact rates approach −5/2n and 5/n with an error of order 1/n²; deterministic."""
    checks = []
    for name, limit in (("mean", -2.5), ("variance", 5.0)):
        error = []
        for width in (sizes["width"], 2 * sizes["width"]):
            spec = network({"depth": 1, "width": width, "kind": "fully connected"})
            law = loggaussian.fully_connected_law(spec, input_layer="none")
            error.append(width * getattr(law, name) - limit)
        order = float(np.log2(error[0] / error[1]))
        checks.append(
            Check(
                f"order in 1/n of n × {name} − ({limit:g})",
                f"{order:.3f}",
                "1",
                "within 0.05",
                abs(order - 1) < 0.05,
                order,
                None,
                1.0,
            )
        )
        checks.append(at_most(f"|n × {name} − ({limit:g})|, n={width}", abs(error[1]), 0.05))
    return Finding(tuple(checks))


def gradient_first_order(sizes: Sizes, seed: int, device: str) -> Finding:
    """Variance of the log gradient norm: inside ``L/n <= 0.03``, and outside at ``L = n``."""
    inside = _gradient_checks(3, sizes["width"], sizes["networks"], seed, device)
    outside = _gradient_checks(sizes["width"], sizes["width"], sizes["deep"], seed + 1, device)
    return Finding(inside, condition="depth/width ≤ 0.03", outside=outside[1:])


def _gradient_checks(
    depth: int, width: int, networks: int, seed: int, device: str
) -> tuple[Check, Check]:
    spec = network({"depth": depth, "width": width})
    sample = matrixfree.backward(spec, networks, seed=seed, device=device)
    down = sample.layers["log_gradient"][:, 0, 0]
    with warnings.catch_warnings():  # it is tested outside its domain, too
        warnings.simplefilter("ignore", loggaussian.DomainWarning)
        law = loggaussian.gradient_law(spec)
    plain = loggaussian.gradient_law(spec.replace(balanced=True))
    size = f"L={depth}, n={width}"
    return (
        matches(
            f"mean of the log gradient norm, {size}",
            Estimate.mean(down),
            law.mean,
            effect=max(abs(law.mean - plain.mean), abs(law.mean)),
        ),
        matches(
            f"variance, {size}",
            Estimate.variance(down),
            law.variance,
            effect=law.variance - plain.variance,
        ),
    )


def _claim(
    number: int, statement: str, origin: str, test: Any, defect: defects.Defect, **rest: Any
) -> Claim:
    rest.setdefault("recorded", "supported")
    return Claim(
        id=f"LG-{number:02d}",
        statement=statement,
        origin=origin,
        seed=2106_04013 + 100 * number,
        test=test,
        defect=defect,
        **rest,
    )


_ABSTRACT = "the abstract states the effect; numbers derived here"
_DERIVED = "derived here"

CLAIMS = (
    _claim(
        1,
        "At fixed depth/width the log norm becomes Gaussian as the width grows.",
        _ABSTRACT,
        approaches_gaussian,
        defects.tied_layers,
        anchor="sec-lg-law",
        sizes={
            "quick": {"widths": (25, 100), "networks": 40000},
            "full": {"widths": (50, 400), "networks": 40000},
        },
        note="Changed after seeing it fail. The first setting (n = 50 and 100, 40 000 networks, a "
        "difference of skewness beyond 4.5 s.e., |skewness| < 0.12 at n = 100) had too little "
        "power: it passed on one random stream (4.7 s.e.) and failed on the next (4.3). A larger "
        "sample gave -0.184, -0.093 and -0.033 at n = 50, 100 and 200; now the skewness must at "
        "least halve, at widths where 4.5 s.e. resolve it.",
    ),
    _claim(
        2,
        "Mean and variance of the log norm of a vanilla ResNet follow the log-Gaussian law.",
        _ABSTRACT,
        vanilla_law,
        defects.scale_for_share,
        anchor="sec-lg-law",
        sizes={
            "quick": {"width": 50, "networks": 20000},
            "full": {"width": 400, "networks": 10000},
        },
    ),
    _claim(
        3,
        "In a Balanced ResNet the log-mean is minus half of the log-variance 2/n + Lv/n.",
        _ABSTRACT,
        balanced_law,
        defects.half_the_layers,
        anchor="sec-lg-law",
        sizes={
            "quick": {"width": 100, "networks": 20000},
            "full": {"width": 100, "networks": 20000},
        },
    ),
    _claim(
        4,
        "At depth equal to width the infinite-width Gaussian limit is a bad description.",
        _ABSTRACT,
        infinite_width_fails,
        defects.first_block_only,
        anchor="sec-lg-law",
        sizes={
            "quick": {"width": 100, "networks": 1000},
            "full": {"width": 200, "networks": 1000},
        },
    ),
    _claim(
        5,
        "The log-Gaussian law, nothing fitted, is a good one.",
        _ABSTRACT,
        log_gaussian_holds,
        defects.no_interlayer_term,
        anchor="sec-lg-law",
        sizes={
            "quick": {"widths": (100,), "networks": 10000},
            "full": {"widths": (100, 200, 400), "networks": 10000},
        },
        note="Changed after seeing it fail. The first setting, n = 50, gave D = 0.027 on one "
        "random stream and 0.031 on the next, on both sides of the bound; a larger sample gives "
        "0.0269 there. The claim is now made from n = 100 on; nothing is claimed at n = 50. "
        "10 000 networks also in quick: at 2 000 the sampling noise of D alone reaches 0.03. "
        "An exact KS acceptance is not claimed: the O(L/n²) terms of vanilla networks are visible "
        "at this size.",
    ),
    _claim(
        6,
        "Hypoactivation: on average fewer than half of the ReLUs of a vanilla ResNet are active.",
        "the abstract states it",
        hypoactive,
        defects.balanced_everywhere,
        anchor="sec-lg-hypoactivation",
        sizes={"quick": {"width": 100, "pairs": 4000}, "full": {"width": 100, "pairs": 4000}},
        note="4 000 pairs instead of 2 000, so that the balanced control resolves the effect.",
    ),
    _claim(
        7,
        "The size of hypoactivation is that of the cavity formula.",
        _DERIVED,
        hypoactivation_size,
        defects.flat_abs_moment,
        anchor="sec-lg-hypoactivation",
        sizes={
            "quick": {"widths": (100, 400), "pairs": 5000, "resolution": 0.15},
            "full": {"widths": (100, 400), "pairs": 40000, "resolution": 0.0515},
        },
        note="Resolution 9 % in quick, 3 % in full; 40 000 pairs in full to reach it at 4.5 s.e.",
    ),
    _claim(
        8,
        "The activation imbalance is correlated between layers, with covariance C(α^m)/n.",
        _ABSTRACT,
        interlayer_covariance,
        defects.squared_correlation,
        anchor="sec-lg-interlayer",
        sizes={
            "quick": {"width": 100, "networks": 15000, "allowance": 0.04},
            "full": {"width": 400, "networks": 15000, "allowance": 0.04},
        },
        note="The allowance of 4 % is of the covariance at lag 0.",
    ),
    _claim(
        9,
        "A Balanced ResNet has neither hypoactivation nor interlayer correlations.",
        _ABSTRACT,
        balanced_is_neutral,
        defects.shared_signs,
        anchor="sec-lg-interlayer",
        sizes={"quick": {"width": 100, "networks": 5000}, "full": {"width": 400, "networks": 5000}},
    ),
    _claim(
        10,
        "Interlayer correlations inflate the output variance exponentially in depth.",
        _ABSTRACT,
        output_variance_inflation,
        defects.no_interlayer_term,
        anchor="sec-lg-second-moment",
        sizes={
            "quick": {"width": 100, "depth": 50, "networks": 50000},
            "full": {"width": 100, "depth": 50, "networks": 200000},
        },
    ),
    _claim(
        11,
        "The log-variance of a vanilla ResNet exceeds that of a balanced one by a factor set by α.",
        _DERIVED,
        variance_ratio,
        defects.no_interlayer_term,
        anchor="sec-lg-law",
        sizes={
            "quick": {"width": 100, "networks": 20000},
            "full": {"width": 400, "networks": 20000},
        },
        note="Compared at the simulated depth; the ratios of the rates at infinite depth are 1.82, "
        "2.42, 3.42 and 1, and at α² = 0.9 a hundred layers are short of them.",
    ),
    _claim(
        12,
        "The matrix-free simulation has exactly the law of explicit weights.",
        _DERIVED,
        equal_in_law,
        defects.fresh_backward_weights,
        anchor="sec-lg-matrixfree",
        sizes={"quick": {"networks": 5000}, "full": {"networks": 30000}},
    ),
    _claim(
        13,
        "Fully connected networks: the exact rates tend to −5/2n and 5/n.",
        _DERIVED,
        fully_connected_limit,
        defects.fully_connected_limit,
        anchor="sec-lg-fully-connected",
        sizes={"quick": {"width": 200}, "full": {"width": 200}},
    ),
    _claim(
        14,
        "Gradient norms of vanilla ResNets follow the first-order law.",
        _DERIVED,
        gradient_first_order,
        defects.patterns_alone,
        anchor="sec-lg-gradients",
        recorded="conditional: depth/width ≤ 0.03",
        sizes={
            "quick": {"width": 100, "networks": 50000, "deep": 4000},
            "full": {"width": 100, "networks": 100000, "deep": 20000},
        },
    ),
)
