"""Jets of explicit networks: explicit formulas, enumeration, Cauchy's formula, first kinks."""

from __future__ import annotations

import itertools

import mpmath as mp
import numpy as np
import pytest
import torch

from companion.activations import Custom, Erf, LeakyReLU, Linear, ReLU, Tanh
from companion.simulate import jets
from companion.simulate.jets import kinks, series, tower, transport
from tests import defects

GELU, SiLU = jets.GELU(), jets.SiLU()


def blocks(depth: int, n: int, m: int | None = None, *, seed: int = 0, biased: bool = False):
    """Matrices and biases of one network, relative scales U(.2, 1.5), one stream."""
    rng, m = np.random.default_rng(seed), m or n
    parts = {
        "outer": rng.standard_normal((depth, n, m)) / m**0.5,
        "inner": rng.standard_normal((depth, m, n)) / n**0.5,
        "relative_scales": rng.uniform(0.2, 1.5, depth),
    }
    if biased:
        parts["outer_bias"] = 0.3 * rng.standard_normal((depth, n))
        parts["inner_bias"] = 0.3 * rng.standard_normal((depth, m))
    return parts, rng.standard_normal(n)


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


# ---------------------------------------------------------------- planted defects


def reversed_blocks(patch: defects.Patch) -> None:
    """Let later blocks feed earlier ones."""
    true = tower.Tower.layers
    patch.setattr(tower.Tower, "layers", lambda self: reversed(list(true(self))))


def no_trees(patch: defects.Patch) -> None:
    """Linearise the activation at order 0."""

    def linear(_activation, z):
        a = z * (1 - torch.tanh(z[:, :1]) ** 2)
        a[:, 0] = torch.tanh(z[:, 0])
        return a

    patch.setattr(series, "apply", linear)


def upward_in_place(patch: defects.Patch) -> None:
    """Update the orders in place and upwards, so that a block sees its own output."""
    seen = {}
    branch = transport._branch

    def remember(found, layer, z, *rest):
        seen["layer"] = layer
        return branch(found, layer, z, *rest)

    def advance(state, _branch, lead, scale):
        layer = seen["layer"]
        for k in range(lead, state.shape[1] - 1):
            z = transport.preactivation(layer, state[:, k : k + 1], 0)
            state[:, k + 1 : k + 2] += transport.product(z, layer.outer)

    patch.setattr(transport, "_branch", remember)
    patch.setattr(transport, "advance_", advance)


def masks_of_every_order(patch: defects.Patch) -> None:
    """Apply the activation to each coefficient by itself."""

    def branch(found, layer, z, *_):
        return transport.product(torch.relu(z), layer.outer)

    patch.setattr(transport, "_branch", branch)


def frozen_everywhere(patch: defects.Patch) -> None:
    """Take the masks of the first stream for the actual ones."""
    true = transport.advance_
    patch.setattr(transport, "advance_", lambda *args: true(*args[:-1], None))


# ---------------------------------------------------------------- explicit formulas, orders 1 to 3


def explicit_orders(parts: dict[str, np.ndarray], h: np.ndarray) -> list[np.ndarray]:
    """Orders 1 to 3 of tanh blocks as double and triple sums over blocks."""
    scales, zs = parts["relative_scales"], parts["inner"] @ h
    slope, bend = 1 - np.tanh(zs) ** 2, -2 * np.tanh(zs) * (1 - np.tanh(zs) ** 2)
    branch = [v @ np.tanh(z) for v, z in zip(parts["outer"], zs, strict=True)]

    def first(k, u):
        return parts["outer"][k] @ (slope[k] * (parts["inner"][k] @ u))

    def second(k, u, v):
        return parts["outer"][k] @ (bend[k] * (parts["inner"][k] @ u) * (parts["inner"][k] @ v))

    depth = len(scales)
    one = sum(scales[i] * branch[i] for i in range(depth))
    two = sum(
        scales[i] * scales[j] * first(j, branch[i])
        for i, j in itertools.combinations(range(depth), 2)
    )
    chains = sum(
        scales[i] * scales[j] * scales[k] * first(k, first(j, branch[i]))
        for i, j, k in itertools.combinations(range(depth), 3)
    )
    trees = sum(
        scales[i] * scales[j] * scales[k] * second(k, branch[i], branch[j]) / 2
        for k in range(depth)
        for i in range(k)
        for j in range(k)
    )
    return [one, two, chains + trees]


def check_explicit_formulas():
    parts, h = blocks(12, 16)
    jet = jets.taylor(jets.Tower(**parts, activation="tanh"), h, 3)
    assert np.array_equal(jet.coefficients[0], h)
    for k, expected in enumerate(explicit_orders(parts, h), start=1):
        assert relative(jet.coefficients[k], expected) < 1e-13, f"order {k}"


def test_explicit_formulas():
    check_explicit_formulas()


@pytest.mark.parametrize("defect", [reversed_blocks, no_trees])
def test_explicit_formulas_reject(defect):
    defects.must_reject(defect, check_explicit_formulas)


def test_the_tree_term_is_not_small():
    parts, h = blocks(12, 16)
    found = jets.Tower(**parts, activation="tanh")
    whole = jets.taylor(found, h, 3).coefficients[3]
    with defects.planted(no_trees):
        chains = jets.taylor(found, h, 3).coefficients[3]
    assert relative(chains, whole) > 0.3


# ---------------------------------------------------------------- enumeration of subsets


def enumerate_paths(matrices: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Sum over all subsets of blocks, by size; the earliest block acts first."""
    depth, found = len(matrices), []
    for size in range(depth + 1):
        total = np.zeros_like(h)
        for subset in itertools.combinations(range(depth), size):
            v = h
            for block in subset:
                v = matrices[block] @ v
            total += v
        found.append(total)
    return np.array(found)


def effective_matrices(parts, h, scale, slope=0.0):
    """Matrices of the blocks in their linear regions, without the scale."""
    found = []
    for v, w, omega in zip(parts["outer"], parts["inner"], parts["relative_scales"], strict=True):
        z = w @ h
        found.append(omega * (v * np.where(z > 0, 1.0, slope)) @ w)
        h = h + scale * found[-1] @ h
    return np.array(found), h


def check_linear_paths():
    parts, h = blocks(7, 5)
    matrices, _ = effective_matrices(parts, h, 0.0, slope=1.0)
    jet = jets.taylor(jets.Tower(**parts, activation="linear"), h, 7)
    expected = enumerate_paths(matrices, h)
    for k in range(8):
        assert relative(jet.coefficients[k], expected[k]) < 1e-13, f"order {k}"


def test_linear_paths():
    check_linear_paths()


@pytest.mark.parametrize("defect", [reversed_blocks, upward_in_place])
def test_linear_paths_reject(defect):
    defects.must_reject(defect, check_linear_paths)


@pytest.mark.parametrize(("activation", "slope"), [(ReLU(), 0.0), (LeakyReLU(-0.3), -0.3)])
def test_actual_masks(activation, slope):
    check_actual_masks(activation, slope)


def check_actual_masks(activation, slope):
    parts, h = blocks(8, 5)
    scale = 0.8
    matrices, output = effective_matrices(parts, h, scale, slope)
    jet = jets.paths(jets.Tower(**parts, activation=activation), h, 8, scale)
    expected = enumerate_paths(matrices, h)
    for k in range(9):
        assert relative(jet.coefficients[k], expected[k]) < 1e-13, f"order {k}"
    assert relative(jet.stream, output) < 1e-14
    assert relative(jet.partial_sums(scale)[-1], output) < 1e-13


@pytest.mark.parametrize("defect", [reversed_blocks, masks_of_every_order, frozen_everywhere])
def test_actual_masks_reject(defect):
    defects.must_reject(defect, check_actual_masks, ReLU(), 0.0)


def test_frozen_masks_are_those_of_the_first_stream():
    parts, h = blocks(7, 5)
    matrices, _ = effective_matrices(parts, h, 0.0)
    jet = jets.taylor(jets.Tower(**parts), h, 7)
    assert relative(jet.coefficients, enumerate_paths(matrices, h)) < 1e-13


def test_the_path_sum_with_biases_is_the_network():
    parts, h = blocks(9, 6, 4, biased=True)
    found = jets.Tower(**parts)
    jet = jets.paths(found, h, 9, 0.7)
    assert relative(jet.partial_sums(0.7)[-1], jets.forward(found, h, [0.7])[0]) < 1e-14
    stream = h.copy()
    for index in range(9):
        z = parts["inner"][index] @ stream + parts["inner_bias"][index]
        branch = parts["outer"][index] @ np.maximum(z, 0) + parts["outer_bias"][index]
        stream = stream + 0.7 * parts["relative_scales"][index] * branch
    assert relative(jet.stream, stream) < 1e-14


def test_tangents_are_transported_by_the_jacobian():
    parts, h = blocks(8, 6)
    found, rng = jets.Tower(**parts), np.random.default_rng(3)
    v = rng.standard_normal((4, 6))
    rows = np.tile(h, (4, 1))
    matrices, _ = effective_matrices(parts, h, 0.6)
    expected = np.stack([enumerate_paths(matrices, u) for u in v], 1)
    jet = jets.paths(found, rows, 8, 0.6, tangent=v)
    assert relative(jet.coefficients, expected) < 1e-13
    powers = 0.6 ** np.arange(9.0)[:, None, None]
    transported = jets.push_forward(found, rows, v, 0.6)
    assert relative(transported, (powers * expected).sum(0)) < 1e-13
    step = 1e-6
    ahead, behind = (jets.forward(found, rows + e * v, [0.6])[0] for e in (step, -step))
    assert relative(transported, (ahead - behind) / (2 * step)) < 1e-8
    frozen = jets.taylor(found, rows, 8, tangent=v)
    matrices, _ = effective_matrices(parts, h, 0.0)
    assert relative(frozen.coefficients, np.stack([enumerate_paths(matrices, u) for u in v], 1)) < (
        1e-13
    )


# ---------------------------------------------------------------- Cauchy's formula, any activation

SMOOTH = {"tanh": Tanh(), "erf": Erf(0.7), "silu": SiLU, "gelu": GELU, "linear": Linear()}


def check_against_contour(name):
    parts, h = blocks(12, 16, biased=True)
    found = jets.Tower(**parts, activation=SMOOTH[name])
    radius = 0.1
    expected = jets.contour(lambda s: jets.complex_forward(found, h, s), 8, radius, 128)
    jet = jets.taylor(found, h, 8)
    size = np.linalg.norm(h)
    for k in range(9):
        gap = np.linalg.norm(jet.coefficients[k] - expected[k])
        assert gap * radius**k < 3e-15 * size, f"order {k}"
        assert gap < 1e-7 * np.linalg.norm(expected[k]), f"order {k}"


@pytest.mark.parametrize("name", SMOOTH)
def test_orders_against_contour(name):
    check_against_contour(name)


def lost_end_terms(patch: defects.Patch) -> None:
    """Leave the last term out of every product of two series."""
    true = series.multiply
    patch.setattr(series, "multiply", lambda x, y: true(x, y) - x * y[:, :1])


@pytest.mark.parametrize(("defect", "name"), [(no_trees, "tanh"), (lost_end_terms, "gelu")])
def test_contour_rejects(defect, name):
    defects.must_reject(defect, check_against_contour, name)


def check_single_blocks(name):
    parts, h = blocks(6, 5, seed=4)
    found = jets.Tower(
        parts["outer"], activation=SMOOTH[name], outer_bias=0.2 * parts["inner"][:, 0]
    )
    expected = jets.contour(lambda s: jets.complex_forward(found, h, s), 6, 0.1)
    assert relative(jets.taylor(found, h, 6).coefficients, expected.real) < 1e-9


@pytest.mark.parametrize("name", SMOOTH)
def test_single_matrix_blocks(name):
    check_single_blocks(name)


FUNCTIONS = {
    "tanh": (Tanh(), mp.tanh),
    "erf": (Erf(0.7), lambda z: mp.erf(mp.mpf(0.7) * z)),
    "silu": (SiLU, lambda z: z / (1 + mp.exp(-z))),
    "gelu": (GELU, lambda z: z * mp.ncdf(z)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_series_against_high_precision(name):
    activation, function = FUNCTIONS[name]
    inner = [0.4, -0.9, 0.3, 0.25]
    z = torch.zeros(1, 33, 1, 1, dtype=torch.float64)
    z[0, :4, 0, 0] = torch.tensor(inner, dtype=z.dtype)
    found = series.apply(activation, z)[0, :, 0, 0].numpy()
    with mp.workdps(60):
        polynomial = [mp.mpf(c) for c in inner[::-1]]
        expected = mp.taylor(lambda s: function(mp.polyval(polynomial, s)), 0, 32)
    expected = np.array([float(c) for c in expected])
    envelope = np.maximum.accumulate(np.abs(expected)[::-1])[::-1]
    assert np.all(np.abs(found - expected) < 2e-13 * envelope)


@pytest.mark.parametrize("activation", [Tanh(), Erf(0.7), SiLU, GELU])
def test_series_in_torch_alone(activation, monkeypatch):
    # The form that a GPU takes.
    z = torch.randn(3, 9, 2, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = series.apply(activation, z)
    monkeypatch.setattr(series, "_cells", lambda x: x.reshape(*x.shape[:2], -1))
    assert torch.allclose(series.apply(activation, z), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("activation", [SiLU, GELU])
def test_the_new_activations(activation):
    x = np.linspace(-4, 4, 41)
    tensor = torch.tensor(x, requires_grad=True)
    y = series.values(activation, tensor)
    (slope,) = torch.autograd.grad(y.sum(), tensor)
    assert np.allclose(activation(x), y.detach(), rtol=0, atol=1e-15)
    assert np.allclose(activation.derivative(x), slope, rtol=0, atol=1e-15)
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    expected = weights @ activation(1.3**0.5 * nodes) ** 2 / weights.sum()
    assert activation.second_moment(1.3) == pytest.approx(expected, rel=1e-10)


# ---------------------------------------------------------------- many networks, samples, scales


def stack(count: int, depth: int, n: int):
    drawn = [blocks(depth, n, seed=seed, biased=True) for seed in range(count)]
    parts = {name: np.stack([p[name] for p, _ in drawn], axis=1) for name in drawn[0][0]}
    return parts, [p for p, _ in drawn]


@pytest.mark.parametrize("activation", ["relu", "tanh", "erf"])
def test_networks_and_samples_side_by_side(activation):
    parts, each = stack(3, 6, 5)
    start = np.random.default_rng(1).standard_normal((3, 4, 5))
    many = jets.Tower(**parts, activation=activation)
    jet = jets.taylor(many, start, 5)
    outputs = jets.forward(many, start, [0.3, 1.1])
    assert jet.coefficients.shape == (6, 3, 4, 5)
    assert outputs.shape == (2, 3, 4, 5)
    errors = jets.truncation_errors(jet, outputs, [0.3, 1.1])
    assert errors.shape == (2, 6, 3, 4)
    for index, own in enumerate(each):
        one = jets.Tower(**own, activation=activation)
        alone = jets.taylor(one, start[index], 5)
        assert relative(jet.coefficients[:, index], alone.coefficients) < 1e-14
        assert relative(outputs[:, index], jets.forward(one, start[index], [0.3, 1.1])) < 1e-14
        lone = jets.taylor(one, start[index, 2], 5)
        assert relative(lone.coefficients, alone.coefficients[:, 2]) < 1e-14
        assert np.allclose(jet.energies(0.7)[:, index], alone.energies(0.7), rtol=1e-12)
    same = jets.taylor(many, start[0, 0], 2)
    assert same.coefficients.shape == (3, 3, 1, 5)


def test_quantities_of_a_jet():
    parts, h = blocks(10, 6)
    jet = jets.taylor(jets.Tower(**parts, activation="tanh"), h, 3)
    terms = [0.4**k * jet.coefficients[k] for k in range(4)]
    assert np.allclose(jet.terms(0.4), terms, rtol=1e-14)
    assert np.allclose(jet.partial_sums(0.4), np.cumsum(terms, 0), rtol=1e-14)
    gram = np.array([[a @ b for a in terms] for b in terms]) / (h @ h)
    assert np.allclose(jet.gram(0.4), gram, rtol=1e-12)
    assert np.allclose(jet.energies(0.4), np.diag(gram), rtol=1e-12)
    assert jet.order == 3


def test_the_reduced_scale_is_a_change_of_variable():
    parts, h = blocks(30, 6)
    found = jets.Tower(parts["outer"], parts["inner"], "tanh")
    reduced = found.scaled(30**-0.5)
    plain, small = jets.taylor(found, h, 6), jets.taylor(reduced, h, 6)
    powers = 30.0 ** (-np.arange(7.0)[:, None] / 2)
    assert np.allclose(small.coefficients, powers * plain.coefficients, rtol=1e-12)
    assert np.allclose(jets.forward(reduced, h, [0.5]), jets.forward(found, h, [0.5 * 30**-0.5]))


def test_remainders_of_smooth_networks_have_their_order():
    parts, h = blocks(12, 16)
    found = jets.Tower(**parts, activation="tanh")
    scales = 0.05 / 2 ** np.arange(3)
    outputs = jets.forward(found, h, scales)
    errors = jets.truncation_errors(jets.taylor(found, h, 4), outputs, scales)
    for order in (1, 2, 3):
        slopes = np.diff(np.log2(errors[:, order]))
        assert np.allclose(slopes, -(order + 1), atol=0.1), f"order {order}"


def test_apparent_radius_of_a_geometric_series():
    coefficients = 2.5 ** -np.arange(20.0)[:, None, None] * np.ones((20, 3, 4))
    radius = jets.apparent_radius(jets.Jet(coefficients), 5, 19)
    assert radius.shape == (3,)
    assert np.allclose(radius, 2.5, rtol=1e-12)


# ---------------------------------------------------------------- first kinks


def signs(parts, h, scale):
    """Signs of all preactivations of a ReLU network without biases."""
    found = []
    for v, w, omega in zip(parts["outer"], parts["inner"], parts["relative_scales"], strict=True):
        z = w @ h
        found.append(z > 0)
        h = h + scale * omega * v @ np.maximum(z, 0)
    return np.array(found)


def check_kinks(depth, n, networks):
    for seed in range(networks):
        parts, h = blocks(depth, n, seed=seed)
        kink = float(jets.first_kink(jets.Tower(**parts), h, limit=5.0))
        start = signs(parts, h, 0.0)
        grid = np.linspace(0, min(kink, 5.0), 200)[:-1]
        assert all(np.array_equal(signs(parts, h, s), start) for s in grid), "a kink was missed"
        if np.isfinite(kink):
            assert np.array_equal(signs(parts, h, kink * (1 - 1e-11)), start)
            assert not np.array_equal(signs(parts, h, kink * (1 + 1e-11)), start)
        else:
            assert np.array_equal(signs(parts, h, 5.0), start)


@pytest.mark.parametrize(("depth", "n", "networks"), [(12, 8, 40), (3, 2, 40), (50, 16, 6)])
def test_first_kink_is_where_the_signs_change(depth, n, networks):
    check_kinks(depth, n, networks)


def test_some_networks_have_no_kink():
    found = [
        float(jets.first_kink(jets.Tower(**parts), h, limit=5.0))
        for parts, h in (blocks(3, 2, seed=seed) for seed in range(40))
    ]
    assert 3 < np.isinf(found).sum() < 37
    parts, h = blocks(1, 4)
    assert jets.first_kink(jets.Tower(**parts), h) == np.inf
    assert jets.first_kink(jets.Tower(**parts, activation="linear"), h) == np.inf


def last_blocks_ignored(patch: defects.Patch) -> None:
    """Look for kinks in the first half of the blocks."""
    true = kinks.transport

    def half(found, h0, order, scale, observe):
        middle = found.depth // 2
        return true(found, h0, order, scale, observe=lambda i, z: i < middle and observe(i, z))

    patch.setattr(kinks, "transport", half)


def linear_terms_alone(patch: defects.Patch) -> None:
    """Take the roots of the linear terms for those of the preactivations."""
    true = kinks._suspects

    def wrong(*args):
        place, coefficients, unsure = true(*args)
        return place, coefficients * (torch.arange(coefficients.shape[1]) < 2), unsure

    patch.setattr(kinks, "_suspects", wrong)


@pytest.mark.parametrize("defect", [last_blocks_ignored, linear_terms_alone])
def test_first_kink_rejects(defect):
    defects.must_reject(defect, check_kinks, 12, 8, 40)


def test_a_kink_that_only_high_orders_make():
    """The unit is 11 - s - ... - s^14, and no other one comes near 0."""
    n = 15
    outer, inner, bias = np.zeros((n, n, n)), np.zeros((n, n, n)), np.ones((n, n))
    leak = np.zeros((n, n))
    for block in range(n - 1):  # adds coordinate `block` to the next one
        inner[block, block, block], bias[block, block] = 1, 100
        outer[block, block + 1, block], leak[block, block + 1] = 1, -100
    inner[-1, 0, [0, -1]], bias[-1, 0] = (12, -1), 0
    found = jets.first_kink(jets.Tower(outer, inner, outer_bias=leak, inner_bias=bias), np.ones(n))
    roots = np.roots(np.r_[np.full(14, -1.0), 11.0])
    expected = roots[(abs(roots.imag) < 1e-9) & (roots.real > 0)].real.min()
    assert 0.9 < expected < 1
    assert found == pytest.approx(expected, rel=1e-14)


def test_first_kinks_of_many_networks_and_samples():
    parts, each = stack(3, 9, 5)
    for own in (parts, *each):
        own["activation"] = LeakyReLU(0.2)
    start = np.random.default_rng(2).standard_normal((3, 4, 5))
    found = jets.first_kink(jets.Tower(**parts), start)
    assert found.shape == (3, 4)
    for index, own in enumerate(each):
        alone = [float(jets.first_kink(jets.Tower(**own), h)) for h in start[index]]
        assert np.allclose(found[index], alone, rtol=1e-10)
        kink = found[index, 1]
        jet = jets.taylor(jets.Tower(**own), start[index, 1], 9)
        below, above = kink * 0.999, min(3 * kink, kink + 0.3)
        outputs = jets.forward(jets.Tower(**own), start[index, 1], [below, above])
        errors = jets.truncation_errors(jet, outputs, [below, above])[:, -1]
        assert errors[0] < 1e-14
        assert errors[1] > 1e-8


def test_a_preactivation_that_starts_at_zero():
    parts, h = blocks(4, 3)
    parts["inner"][2] -= np.outer(parts["inner"][2] @ h, h) / (h @ h)
    parts["inner"][2, 0] = np.cross(h, [1.0, 0.0, 0.0])
    assert jets.first_kink(jets.Tower(**parts), h) < 1e-12


def test_first_root_of_polynomials():
    rng = np.random.default_rng(5)
    polynomials = rng.standard_normal((300, 9)) * 3.0 ** -np.arange(9)
    polynomials[:5, :] = 0
    polynomials[0, :3] = 0.5**2 + 1e-6, -1.0, 1.0  # just above zero at 1/2
    polynomials[1, :3] = 0.5**2 - 1e-6, -1.0, 1.0  # just below
    polynomials[2, 0] = 1.0
    polynomials[3, 1] = 1.0
    polynomials[4, :2] = 1.0, -1.0
    found = kinks.first_root(polynomials)
    assert np.allclose(found[:5], [np.inf, 0.5 - 1e-3, np.inf, 0.0, 1.0], rtol=1e-12)
    for c, root in zip(polynomials[5:], found[5:], strict=True):
        all_roots = np.roots(c[::-1])
        real = all_roots[(abs(all_roots.imag) < 1e-9) & (all_roots.real > 0)].real
        inside = real[real <= 1]
        expected = inside.min() if len(inside) else np.inf
        assert root == pytest.approx(expected, rel=1e-8)


# ---------------------------------------------------------------- arguments


def test_errors_of_towers():
    parts, _ = blocks(4, 3)
    with pytest.raises(ValueError, match=r"outer must have shape \(L, n, m\)"):
        jets.Tower(np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"inner must have shape \(4, 3, 3\).*got \(4, 2, 3\)"):
        jets.Tower(parts["outer"], parts["inner"][:, :2])
    with pytest.raises(ValueError, match="inner must be given for outer of shape"):
        jets.Tower(np.ones((4, 3, 2)))
    with pytest.raises(ValueError, match=r"relative_scales must be a number or have shape \(4,\)"):
        jets.Tower(parts["outer"], relative_scales=[1.0, 2.0])
    with pytest.raises(ValueError, match="outer must be finite"):
        jets.Tower(np.full((4, 3, 3), np.nan))
    with pytest.raises(TypeError, match="outer must be an array or a tensor"):
        jets.Tower("weights")
    with pytest.raises(ValueError, match=r"start must have shape \(3,\), \(B, 3\)"):
        jets.taylor(jets.Tower(parts["outer"]), np.ones(4), 2)


def test_arrays_of_any_kind_are_the_same_network():
    parts, h = blocks(4, 3, biased=True)
    expected = jets.taylor(jets.Tower(**parts), h, 3).coefficients

    def found(make):
        return jets.taylor(
            jets.Tower(**{name: make(part) for name, part in parts.items()}), make(h), 3
        ).coefficients

    def readonly(array):
        array = array.copy()
        array.setflags(write=False)
        return array

    for make in (
        np.ndarray.tolist,  # numbers of Python are no float32
        list,
        readonly,
        np.asfortranarray,
        lambda a: a[::-1].copy()[::-1],  # a negative stride
        lambda a: torch.tensor(a, requires_grad=True),
    ):
        assert np.array_equal(found(make), expected)
    tower = jets.Tower(parts["outer"], relative_scales=0.3)
    assert tower.relative_scales[0, 0].item() == 0.3
    assert tower.scaled(0.1).relative_scales[0, 0].item() == 0.3 * 0.1
    with pytest.raises(TypeError, match=r"outer must be real, got torch\.complex128"):
        jets.Tower(parts["outer"] * 1j)


def test_errors_of_tangents():
    parts, h = blocks(4, 3)
    relu, smooth = jets.Tower(**parts), jets.Tower(**parts, activation="tanh")
    with pytest.raises(ValueError, match="activation must be piecewise linear, got Tanh"):
        jets.push_forward(smooth, h, h, 0.5)
    with pytest.raises(ValueError, match="scale must be finite, got nan"):
        jets.push_forward(relu, h, h, float("nan"))
    two = np.stack([h, 2 * h])
    for tangent in (h, np.stack([h] * 3)):
        with pytest.raises(ValueError, match="tangent must have one row for each of the 2 samples"):
            jets.push_forward(relu, two, tangent, 0.5)
        with pytest.raises(ValueError, match="tangent must have one row for each of the 2 samples"):
            jets.taylor(relu, two, 2, tangent=tangent)
    assert jets.taylor(relu, h, 2, tangent=two).coefficients.shape == (3, 2, 3)
    for scales in ([], [[0.1, 0.2]]):
        with pytest.raises(ValueError, match="scales must be a number or a vector"):
            jets.forward(relu, h, scales)


def test_errors_of_expansions():
    parts, h = blocks(4, 3)
    relu, smooth = jets.Tower(**parts), jets.Tower(**parts, activation="tanh")
    with pytest.raises(ValueError, match="order must be an integer of at least 0, got -1"):
        jets.taylor(relu, h, -1)
    with pytest.raises(ValueError, match="activation must be piecewise linear to have paths"):
        jets.paths(smooth, h, 2, 0.1)
    with pytest.raises(ValueError, match="tangent needs a piecewise-linear activation"):
        jets.taylor(smooth, h, 2, tangent=h)
    with pytest.raises(ValueError, match="has no power series here"):
        jets.taylor(jets.Tower(parts["outer"], activation=Custom(np.sin)), h, 2)
    with pytest.raises(ValueError, match="must be ReLU or leaky ReLU to have kinks"):
        jets.first_kink(smooth, h)
    with pytest.raises(ValueError, match="has a kink and no continuation"):
        jets.complex_forward(relu, h, [0.1j])
    with pytest.raises(ValueError, match="order must be at least 0 and below points=8"):
        jets.contour(np.exp, 8, 0.1, 8)
    with pytest.raises(ValueError, match="function must return one row per scale"):
        jets.contour(lambda s: s[:3], 2, 0.1, 8)
    jet = jets.taylor(relu, h, 3)
    with pytest.raises(ValueError, match="one per scale"):
        jets.truncation_errors(jet, h, [0.1])
    with pytest.raises(ValueError, match="0 < low < high <= 3"):
        jets.apparent_radius(jet, 1, 4)


def test_order_zero_is_the_first_stream():
    parts, h = blocks(4, 3)
    for activation in ("relu", "tanh"):
        jet = jets.taylor(jets.Tower(**parts, activation=activation), h, 0)
        assert np.array_equal(jet.coefficients, h[None])
