"""The table of the kernel and its Gram matrices, against the recursion pair by pair."""

from __future__ import annotations

import math

import numpy as np
import pytest

from companion.architecture import ResNetSpec
from companion.kernels import series, table, tangent, tangent_limits

NEAR = np.geomspace(1e-8, 1.0, 60)
ANGLES = np.unique(np.concatenate([NEAR, math.pi - NEAR, np.linspace(0, math.pi, 80)]))
EXPONENTS = [0.0, 0.25, 0.5, 1.0]


def network(depth: int, exponent: float) -> ResNetSpec:
    return ResNetSpec.tangent_kernel(depth, 1, gamma=exponent)


def points(samples: int, dimension: int = 3) -> np.ndarray:
    """Points of any length, with duplicates, near duplicates, opposites and a zero."""
    x = np.random.default_rng(3).standard_normal((samples, dimension))
    x[1], x[2], x[3], x[4] = x[0], 3 * x[0], x[0] + 1e-9, -x[0]
    x[5], x[6] = 0.0, -2 * x[0] + 1e-7
    return x


def worst_gap(spec: ResNetSpec) -> float:
    known = table.tangent_table(spec)
    return float(np.abs(known(ANGLES) - tangent.normalized_kernel(spec, ANGLES)).max())


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("depth", [1, 2, 10, 100, 1000, 10_000])
def test_the_table_is_the_recursion(depth, exponent):
    spec = network(depth, exponent)
    known = table.tangent_table(spec)
    assert worst_gap(spec) < 2e-12
    assert known.error < table.ERROR_BOUND
    assert known.coefficients.size <= 66
    assert known(0.0) == 1.0


def test_the_comparison_can_fail(monkeypatch):
    spec = network(1000, 1.0)
    table._constant_table.cache_clear()
    monkeypatch.setattr(table, "ERROR_BOUND", math.inf)
    monkeypatch.setattr(table, "_FIRST_NODES", 24)  # too few, unnoticed at construction
    gap = worst_gap(spec)
    table._constant_table.cache_clear()
    assert gap > 1e-8


def test_without_the_map_of_the_ends_hundreds_of_nodes_are_needed(monkeypatch):
    monkeypatch.setattr(table, "_NEAREST_END", 1.0)
    for exponent, least in ((1.0, 150), (0.0, 25)):
        table._constant_table.cache_clear()
        size = table.tangent_table(network(10_000, exponent)).coefficients.size
        assert size >= least
    table._constant_table.cache_clear()


def test_nodes_are_doubled_until_the_table_is_good(monkeypatch):
    table._constant_table.cache_clear()
    monkeypatch.setattr(table, "_FIRST_NODES", 8)
    spec = network(100, 1.0)
    assert worst_gap(spec) < 1e-11
    table._constant_table.cache_clear()
    monkeypatch.setattr(table, "_MOST_NODES", 8)
    with pytest.raises(RuntimeError, match=r"accurate to .* only, with 8 nodes.*direct_gram"):
        table.tangent_table(spec)


@pytest.mark.parametrize(("depth", "exponent"), [(10, 0.0), (1000, 0.5), (10_000, 0.0)])
def test_gram_matrices_agree_with_the_recursion(depth, exponent):
    spec, x = network(depth, exponent), points(90)
    size = np.maximum(np.linalg.norm(x, axis=1), 1e-300)
    found, expected = table.tangent_gram(spec, x), tangent.direct_gram(spec, x)
    assert np.abs((found - expected) / size[:, None] / size).max() < 1e-10
    assert np.array_equal(found, found.T)
    assert np.diagonal(found) == pytest.approx(np.sum(x**2, axis=1), rel=1e-15)
    assert np.all(found[5] == 0)
    unit = table.tangent_gram(spec, x[6:] / size[6:, None])
    assert np.diagonal(unit) == pytest.approx(1.0, abs=1e-15)


def test_the_plain_inverse_cosine_would_spoil_near_duplicates(monkeypatch):
    spec, x = network(10_000, 0.0), points(8)
    expected = tangent.direct_gram(spec, x)
    monkeypatch.setattr(
        table, "angles_of", lambda cosines, *_: np.arccos(np.clip(cosines, -1, 1), out=cosines)
    )
    gap = np.abs(table.tangent_gram(spec, x) - expected)
    assert gap[0, 3] > 1e-7


@pytest.mark.parametrize("rows", [1, 127, 128, 129, 300])
def test_blocks_of_rows_fit_together(rows, monkeypatch):
    monkeypatch.setattr(table, "_CHUNK", 1000)
    spec, x = network(50, 0.25), np.random.default_rng(4).standard_normal((rows, 5))
    expected = tangent.direct_gram(spec, x)
    assert np.abs(table.tangent_gram(spec, x) - expected).max() < 1e-11
    columns = np.vstack([x[:: max(1, rows // 7)], x[:1]])
    cross = table.tangent_gram(spec, x, columns)
    assert np.abs(cross - tangent.direct_gram(spec, x, columns)).max() < 1e-11
    assert table.tangent_gram(spec, x[:0]).shape == (0, 0)
    assert table.tangent_gram(spec, x, x[:0]).shape == (rows, 0)


def test_the_output_array_is_used_and_the_inputs_are_left_alone():
    spec, x = network(10, 0.0), points(40)
    before, out = x.copy(), np.full((40, 40), np.nan)
    assert table.tangent_gram(spec, x, out=out) is out
    assert np.array_equal(out, table.tangent_gram(spec, x))
    assert np.array_equal(x, before)
    wide = np.full((40, 80), np.nan)
    table.tangent_gram(spec, x, out=wide[:, ::2])
    assert np.array_equal(wide[:, ::2], out)
    for bad in (np.empty((40, 40), np.float32), np.empty((40, 39)), [[0.0]]):
        with pytest.raises(ValueError, match=r"out must be a float64 array of shape \(40, 40\)"):
            table.tangent_gram(spec, x, out=bad)


def test_tables_are_kept_by_depth_and_share():
    spec = network(20, 0.5)
    assert table.tangent_table(spec) is table.tangent_table(network(20, 0.5).replace(width=9))
    assert table.tangent_table(spec) is not table.tangent_table(network(21, 0.5))
    assert table.flow_table(2.0) is table.flow_table(2)
    mixed = spec.replace(scale=tuple(np.linspace(0.1, 1, 20)))
    assert table.tangent_table(mixed) is table.tangent_table(mixed)
    gap = table.tangent_table(mixed)(ANGLES) - tangent.normalized_kernel(mixed, ANGLES)
    assert np.abs(gap).max() < 1e-11
    late = spec.replace(scale=(0.0,) * 10 + (0.3,) * 10)
    gap = table.tangent_table(late)(ANGLES) - tangent.normalized_kernel(late, ANGLES)
    assert np.abs(gap).max() < 1e-11


@pytest.mark.parametrize("depth", [0.0, 1e-6, 1e-3, 0.1, 1.0, 10.0, 100.0, 1e4, 1e6])
def test_tables_of_infinite_depth(depth):
    known = table.flow_table(depth)
    assert known.effective_depth == depth
    assert np.abs(known(ANGLES) - tangent_limits.flow_kernel(ANGLES, depth)).max() < 2e-12


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 17, 30, 65])
def test_the_folded_series_is_the_series(size):
    rng = np.random.default_rng(size)
    coefficients = rng.standard_normal(size)
    theta = rng.uniform(0, math.pi, 50)
    lower, upper = 0.3, 0.01
    z = np.log((theta + lower) / (math.pi - theta + upper))
    start, end = math.log(lower / (math.pi + upper)), math.log((math.pi + lower) / upper)
    y = -1 + 2 * (z - start) / (end - start)
    values = theta.copy()
    series.SeriesSum(coefficients, lower, upper, 60)(values)
    expected = np.polynomial.chebyshev.chebval(y, coefficients)
    assert np.abs(values - expected).max() < 1e-13 * size


def test_coefficients_of_a_polynomial():
    y = np.cos(math.pi * np.arange(17) / 16)
    wanted = np.array([0.5, -1.0, 0.0, 2.0, 0.25])
    values = np.polynomial.chebyshev.chebval(y, wanted)
    found = series.chebyshev_coefficients(values)
    assert found.size == 5, "the negligible tail is cut off"
    assert found == pytest.approx(wanted, abs=1e-15)


def test_errors_name_the_argument():
    known = table.flow_table(1.0)
    with pytest.raises(ValueError, match=r"theta must lie in \[0, pi\]"):
        known([0.1, 4.0])
    with pytest.raises(ValueError, match=r"x must be finite"):
        known.gram([[np.nan, 1.0]])
    with pytest.raises(ValueError, match=r"effective_depth must be at least 0"):
        table.flow_table(-1.0)
