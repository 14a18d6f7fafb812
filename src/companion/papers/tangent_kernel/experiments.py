"""Experiments of the tangent-kernel chapter: what its figures show.

`theory` draws nothing, `regressions` draws inputs and labels, `images` splits of images, `finite`
networks; `tables` puts theory beside them. A quick grid shares cells with the full one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from companion.papers.tangent_kernel import finite, images, regressions, tables, theory
from companion.sweeps import Experiment

__all__ = ["EXPERIMENTS", "RISK_KERNELS"]

Grid = list[dict[str, Any]]

#: Exponent and depth of the kernels whose risk is followed: ``T`` of 0.001, 1, 31, 500, 5000.
RISK_KERNELS = ((1.0, 1000), (0.5, 1000), (0.25, 1000), (0.0, 1000), (0.0, 10_000))

_BETAS = (0.0, 0.25, 0.5, 1.0)


def _grid(*sizes: Mapping[str, Any], **common: Any) -> Grid:
    return [{**common, **size} for size in sizes]


def _kernel(depths: Sequence[int]) -> Grid:
    return _grid(*({"beta": beta, "depth": depth} for beta in _BETAS for depth in depths))


def _flow(depths: Sequence[int]) -> Grid:
    plain = [
        {"effective_depth": total, "depth": depth, "schedule": "constant"}
        for total in (0.1, 1.0, 10.0, 100.0)
        for depth in depths
        if total < depth / 2
    ]
    uneven = [
        {"effective_depth": total, "depth": 1000, "schedule": name}
        for total in (0.1, 1.0, 10.0)
        for name in ("rising", "first tenth")
    ]
    return _grid(*plain, *uneven)


def _rates(depths: Sequence[int]) -> Grid:
    """Constant scales of 1 and 1/2, and scales that fall."""
    laws = ((0.0, 1.0), (0.0, 0.5), (0.25, 1.0), (0.5, 1.0), (0.75, 1.0), (1.0, 1.0))
    return _grid(
        *(
            {"beta": beta, "constant": constant, "depth": depth}
            for beta, constant in laws
            for depth in depths
        )
    )


def _spectrum() -> Grid:
    three = [*((beta, 1000, 3) for beta in _BETAS), (0.0, 1, 3), (0.0, 10, 3), (0.0, 10_000, 3)]
    others = [(0.5, 1000, dimension) for dimension in (2, 5, 8)]
    return _grid(
        *(
            {"beta": beta, "depth": depth, "dimension": dimension}
            for beta, depth, dimension in (*three, *others)
        ),
        degrees=300,
    )


def _risk(repeats: Mapping[int, int]) -> Grid:
    return [
        {"beta": beta, "depth": depth, "samples": samples, "networks": networks}
        for beta, depth in RISK_KERNELS
        for samples, networks in repeats.items()
    ]


_FEW_DEPTHS = (0.001, 0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0)
_DEPTHS = (0.001, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 1e4, 5e4)


def _harmonics(cells: Iterable[tuple[int, int, str, int]], depths: Sequence[float]) -> Grid:
    """Cells of degree, samples, domain and number of repeats."""
    return [
        {
            "degree": degree,
            "samples": samples,
            "domain": domain,
            "networks": networks,
            "depths": tuple(depths),
        }
        for degree, samples, domain, networks in cells
    ]


def _digits(depths: Sequence[int], splits: int, deepest: int) -> Grid:
    return [
        {
            "data": "digits",
            "samples": 1000,
            "networks": splits,
            "exponents": _BETAS,
            "depths": tuple(depths),
            "deepest": deepest,
        }
    ]


def _training(cells: Iterable[tuple[float, int, int, int]], checkpoints: Sequence[int]) -> Grid:
    """Cells of exponent, depth, width and number of networks."""
    return [
        {
            "beta": beta,
            "depth": depth,
            "width": width,
            "networks": networks,
            "checkpoints": tuple(checkpoints),
        }
        for beta, depth, width, networks in cells
    ]


def _empirical(cells: Iterable[tuple[float, int, int, int]]) -> Grid:
    """Cells of exponent, depth, width and number of networks."""
    return [
        {"beta": beta, "depth": depth, "width": width, "networks": networks}
        for beta, depth, width, networks in cells
    ]


def _convergence(widths: Mapping[int, int], share: int) -> Grid:
    """Networks by width; of the deeper ones, one ``share``-th as many."""
    return [
        {
            "depth": depth,
            "beta": 0.0,
            "constant": constant,
            "width": width,
            "networks": networks // (share if depth > 5 else 1),
        }
        for depth, constant in ((5, 1.0), (16, 0.25))
        for width, networks in widths.items()
    ]


_DEEP = 100_000
_PLANE = tuple(round(0.025 * i, 3) for i in range(41))
_MANY = tuple(round(10 ** (1 + i / 8)) for i in range(41))

EXPERIMENTS = (
    Experiment(
        "tk-kernel",
        "Tangent kernel against the angle, by depth and decay of the branch scale",
        theory.kernel,
        {"quick": _kernel((10, 100, 1000)), "full": _kernel((10, 100, 1000, 10_000))},
        dtype="float64",
    ),
    Experiment(
        "tk-flow",
        "One parameter: kernels of several depths and schedules at the same effective depth",
        theory.flow,
        {"quick": _flow((10, 100, 1000)), "full": _flow((10, 30, 100, 300, 1000, 3000, 10_000))},
        dtype="float64",
    ),
    Experiment(
        "tk-rates",
        "Approach of the kernel to its limit against the depth",
        theory.rates,
        {
            "quick": _rates((10, 100, 1000, 4000)),
            "full": _rates((10, 20, 50, 100, 200, 500, 1000, 2000, 4000, 8000, 16_000, 64_000)),
        },
        dtype="float64",
    ),
    Experiment(
        "tk-spectrum",
        "Eigenvalues of the kernel on the sphere",
        theory.spectrum,
        {"quick": _spectrum(), "full": _spectrum()},
        dtype="float64",
    ),
    Experiment(
        "tk-risk",
        "Risk of early-stopped regression against the sample size",
        regressions.risk,
        {
            "quick": _risk({64: 8, 256: 6, 512: 4}),
            "full": _risk({64: 40, 128: 40, 256: 24, 512: 12, 1024: 8, 2048: 4}),
        },
        finish=tables.risk_table,
        dtype="float64",
    ),
    Experiment(
        "tk-harmonics",
        "Risk on one harmonic against the effective depth",
        regressions.harmonic_risk,
        {
            "quick": _harmonics(
                [
                    *((degree, samples, "sphere", 4) for degree in (2, 3, 5) for samples in (100,)),
                    *((degree, 400, "sphere", 3) for degree in (2, 3, 5)),
                    (3, 400, "orthant", 3),
                ],
                _FEW_DEPTHS,
            ),
            "full": _harmonics(
                [
                    *((degree, 100, "sphere", 24) for degree in (2, 3, 5)),
                    *((degree, 400, "sphere", 10) for degree in (2, 3, 5)),
                    (2, 1000, "sphere", 4),
                    (3, 400, "orthant", 12),
                ],
                _DEPTHS,
            ),
        },
        finish=tables.harmonic_risk_table,
        dtype="float64",
    ),
    Experiment(
        "tk-digits",
        "Digits by regression with the kernel of infinite width",
        images.classification,
        {
            "quick": _digits((10, 10_000), 2, _DEEP),
            "full": _digits((10, 100, 1000, 10_000), 5, _DEEP),
        },
        finish=tables.classification_table,
        dtype="float64",
    ),
    Experiment(
        "tk-networks",
        "Accuracy of trained networks of finite width on digits",
        finite.training,
        {
            "quick": _training(
                [*((beta, 8, 128, 2) for beta in _BETAS), (0.0, 32, 64, 2), (0.5, 32, 64, 2)],
                (20, 40),
            ),
            "full": _training(
                [
                    *((beta, depth, 128, 3) for beta in _BETAS for depth in (8, 32)),
                    *((beta, 32, 64, 4) for beta in (0.0, 0.5)),
                    (0.0, 32, 256, 3),
                ],
                (20, 40, 80, 120),
            ),
        },
        finish=tables.training_table,
    ),
    Experiment(
        "tk-empirical",
        "Digits by regression with the tangent kernel of an untrained network of finite width",
        finite.empirical,
        {
            "quick": _empirical(
                (beta, depth, width, 2)
                for beta, depth in ((0.0, 8), (0.0, 32), (0.5, 32))
                for width in (64, 128)
            ),
            "full": _empirical(
                [
                    *((0.0, 32, width, 6) for width in (64, 128, 256)),
                    *((0.0, 32, width, 3) for width in (512, 1024)),
                    *((0.5, 32, width, 4) for width in (64, 128, 256)),
                    *((0.0, 8, width, 4) for width in (64, 128, 256)),
                ]
            ),
        },
        finish=tables.empirical_table,
        dtype="float64",
    ),
    Experiment(
        "tk-convergence",
        "Tangent kernels of finite networks against the inverse width",
        finite.convergence,
        {
            "quick": _convergence({48: 200, 96: 100}, 2),
            "full": _convergence({48: 2000, 96: 1000, 192: 500, 384: 200}, 2),
        },
        finish=tables.convergence_table,
        dtype="float64",
    ),
    Experiment(
        "tk-phase",
        "Where a kernel forgets: plane of depth and decay of the scale",
        theory.phase,
        {
            preset: [
                {"samples": 400, "degree": 2, "depths": _MANY[::step], "betas": _PLANE[::step]}
            ]
            for preset, step in (("quick", 4), ("full", 1))
        },
        dtype="float64",
    ),
    Experiment(
        "tk-explorer",
        "Kernels and spectra for the interactive figure",
        theory.explorer,
        {
            preset: _grid(*({"beta": beta, "depth": depth} for beta in betas for depth in depths))
            for preset, betas, depths in (
                ("quick", _BETAS, (10, 1000)),
                (
                    "full",
                    (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 1.0),
                    (1, 3, 10, 30, 100, 300, 1000, 10_000),
                ),
            )
        },
        dtype="float64",
    ),
)
