"""The expansion of ordinary torch modules: formulas, finite differences, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import nn

from companion.simulate import jets
from companion.simulate.jets import modules
from companion.simulate.jets.differentiable import differentiable
from tests import defects


@pytest.fixture(autouse=True)
def _float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(7)
    yield
    torch.set_default_dtype(before)


class Attention(nn.Module):
    """Normalised self-attention, as in a transformer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.heads = (
            nn.LayerNorm(width),
            nn.MultiheadAttention(width, 2, batch_first=True),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        return self.heads(y, y, y, need_weights=False)[0]


def dense(activation: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 9), activation, nn.Linear(9, 6))


KINDS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "dense": (lambda: dense(nn.Tanh()), (4, 6)),
    "layer norm": (lambda: nn.Sequential(nn.LayerNorm(6), dense(nn.GELU())), (4, 6)),
    "convolution": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1),
            nn.BatchNorm2d(3).eval(),
            nn.SiLU(),
            nn.Conv2d(3, 2, 3, padding=1),
        ),
        (2, 2, 5, 5),
    ),
    "instance norm": (
        lambda: nn.Sequential(nn.InstanceNorm1d(3, affine=True), nn.Conv1d(3, 3, 1), nn.Tanh()),
        (2, 3, 7),
    ),
    "group norm": (
        lambda: nn.Sequential(nn.GroupNorm(2, 4), nn.Conv1d(4, 4, 3, padding=1)),
        (2, 4, 6),
    ),
    "attention": (lambda: Attention(6), (2, 3, 6)),
}
OMEGA = (0.7, 1.3, 0.4, 1.0)


@torch.no_grad()
def true_stream(blocks: Sequence[nn.Module], h: torch.Tensor, s: float) -> torch.Tensor:
    for block, omega in zip(blocks, OMEGA, strict=True):
        h = h + s * omega * block(h)
    return h


def by_interpolation(function: Callable[[float], torch.Tensor], order: int) -> np.ndarray:
    """Taylor coefficients from values at Chebyshev points of a small interval."""
    radius, points = 0.06, 17
    nodes = np.cos(np.pi * (np.arange(points) + 0.5) / points)
    values = np.array([function(radius * float(t)).numpy().ravel() for t in nodes])
    fitted = np.polynomial.chebyshev.chebfit(nodes, values, points - 1)
    power = np.array([np.polynomial.chebyshev.cheb2poly(column) for column in fitted.T]).T
    return power[: order + 1] / radius ** np.arange(order + 1.0)[:, None]


def gaps(found: torch.Tensor, expected: np.ndarray) -> list[float]:
    rows = found.numpy().reshape(len(found), -1)
    sizes = np.linalg.norm(expected, axis=1)
    return list(np.linalg.norm(rows - expected, axis=1) / sizes)


def check_modules(kind: str):
    make, shape = KINDS[kind]
    blocks, start = [make() for _ in OMEGA], torch.randn(shape)
    found = jets.expand(blocks, start, 3, scales=OMEGA)
    expected = by_interpolation(lambda s: true_stream(blocks, start, s), 3)
    assert found.coefficients.shape == (4, *shape)
    assert not found.coefficients.requires_grad
    bounds = (1e-14, 1e-11, 1e-9, 1e-7)
    for k, (gap, bound) in enumerate(zip(gaps(found.coefficients, expected), bounds, strict=True)):
        assert gap < bound, f"order {k}"


@pytest.mark.parametrize("kind", KINDS)
def test_modules(kind):
    check_modules(kind)


def reversed_blocks(patch: defects.Patch) -> None:
    """Let later blocks feed earlier ones."""
    true = jets.expand

    def wrong(blocks, start, order, *, scales):
        return true(blocks[::-1], start, order, scales=scales[::-1])

    patch.setattr(jets, "expand", wrong)


def no_trees(patch: defects.Patch) -> None:
    """Linearise every block at the first stream."""
    true = modules.along

    def wrong(function, path, order, name):
        zero = torch.zeros_like(path[0])
        rows = [
            true(function, [path[0], u, *[zero] * order][: order + 1], order, name) for u in path
        ]
        return [rows[0][0]] + [rows[k][1] for k in range(1, order + 1)]

    patch.setattr(modules, "along", wrong)


def updated_in_place(patch: defects.Patch) -> None:
    """Feed a block its own output, order by order upwards."""
    true = modules.along

    def wrong(function, path, order, name):
        for k in range(order):
            path = [*path[: k + 1], path[k + 1] + true(function, path, k, name)[k], *path[k + 2 :]]
        return true(function, path, order, name)

    patch.setattr(modules, "along", wrong)


@pytest.mark.parametrize("defect", [reversed_blocks, no_trees, updated_in_place])
@pytest.mark.parametrize("kind", ["dense", "layer norm"])
def test_modules_reject(defect, kind):
    defects.must_reject(defect, check_modules, kind)


# ---------------------------------------------------------------- readout


def check_readout():
    blocks, start = [dense(nn.Tanh()) for _ in OMEGA], torch.randn(6)
    readout = nn.Sequential(nn.Linear(6, 3), nn.Tanh())
    found = jets.expand(blocks, start, 2, scales=OMEGA, readout=readout)
    _, one, two = found.coefficients
    matrix, bias = (p.detach() for p in readout[0].parameters())
    value = torch.tanh(matrix @ start + bias)
    slope, bend = 1 - value**2, -2 * value * (1 - value**2)
    orders = [
        value,
        slope * (matrix @ one),
        slope * (matrix @ two) + bend * (matrix @ one) ** 2 / 2,
    ]
    assert found.readout is not None
    for k, expected in enumerate(orders):
        assert torch.allclose(found.readout[k], expected, rtol=1e-12, atol=1e-14), f"order {k}"


def test_orders_of_a_nonlinear_readout():
    check_readout()


def test_orders_of_a_readout_reject_chains_alone():
    defects.must_reject(no_trees, check_readout)


def test_a_readout_through_layer_normalisation():
    blocks, start = [dense(nn.Tanh()) for _ in OMEGA], torch.randn(4, 6)
    readout = nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 2))
    found = jets.expand(blocks, start, 3, scales=OMEGA, readout=readout)
    expected = by_interpolation(lambda s: readout(true_stream(blocks, start, s)).detach(), 3)
    assert found.readout is not None
    assert max(gaps(found.readout, expected)) < 1e-7
    output = readout(true_stream(blocks, start, 0.01)).detach()
    assert torch.allclose(found.readout_sum(0.01), output, atol=1e-7)
    assert not torch.allclose(found.readout_sum(0.01, order=1), output, atol=1e-7)


# ---------------------------------------------------------------- against jets


@pytest.mark.parametrize(
    ("name", "activation"), [("tanh", nn.Tanh()), ("relu", nn.ReLU(inplace=True))]
)
def test_modules_and_jets_agree(name, activation):
    blocks, start = [dense(activation) for _ in OMEGA], torch.randn(3, 6)
    found = jets.expand(blocks, start, 4, scales=OMEGA)
    parameters = [[p.detach() for p in block.parameters()] for block in blocks]
    inner, inner_bias, outer, outer_bias = (torch.stack(p) for p in zip(*parameters, strict=True))
    tower = jets.Tower(outer, inner, name, OMEGA, outer_bias, inner_bias)
    exact = jets.taylor(tower, start, 4)
    for k in range(5):
        gap = np.linalg.norm(found.coefficients[k].numpy() - exact.coefficients[k])
        assert gap < 1e-13 * np.linalg.norm(exact.coefficients[k]), f"order {k}"
    partial = torch.tensor(exact.partial_sums(0.3))
    assert torch.allclose(found.partial_sum(0.3, 2), partial[2], rtol=1e-13)
    assert torch.allclose(found.partial_sum(0.3), partial[4], rtol=1e-13)


@pytest.mark.parametrize("weights", [True, False])
def test_unfused_normalisation_is_the_same_function(weights):
    frozen = nn.InstanceNorm1d(3, affine=weights, track_running_stats=True).eval()
    layers = [
        (nn.LayerNorm((3, 4), elementwise_affine=weights), torch.randn(5, 3, 4)),
        (nn.InstanceNorm2d(3, affine=weights), torch.randn(2, 3, 4, 5)),
        (frozen, torch.randn(2, 3, 6)),
    ]
    for layer, x in layers:
        for parameter in layer.parameters():
            nn.init.uniform_(parameter)
        with differentiable():
            y = layer(x)
        assert torch.allclose(y, layer(x), rtol=1e-13, atol=1e-13)


def test_a_block_that_ignores_its_input():
    constant = jets.expand([torch.ones_like], torch.randn(3), 3)
    assert constant.coefficients.norm(dim=1)[2:].tolist() == [0.0, 0.0]
    assert constant.coefficients[1].tolist() == [1.0, 1.0, 1.0]


# ---------------------------------------------------------------- what is refused


def test_errors():
    h = torch.randn(2, 3, 6)
    with pytest.raises(ValueError, match=r"blocks\[1\] holds Dropout at '1' in training.*eval"):
        jets.expand([nn.Identity(), nn.Sequential(nn.Tanh(), nn.Dropout())], h)
    with pytest.raises(ValueError, match=r"blocks\[0\] holds BatchNorm1d that takes mean"):
        jets.expand([nn.BatchNorm1d(3)], h)
    with pytest.raises(ValueError, match=r"blocks\[0\] holds BatchNorm1d.*track_running_stats"):
        jets.expand([nn.BatchNorm1d(3, track_running_stats=False).eval()], h)
    with pytest.raises(ValueError, match=r"blocks\[0\] overwrites its input.*inplace=False"):
        jets.expand([nn.ReLU(inplace=True)], h)
    with pytest.raises(ValueError, match=r"blocks\[0\] must keep the shape \(2, 3, 6\), got"):
        jets.expand([nn.Linear(6, 5)], h)
    with pytest.raises(ValueError, match="scales must hold one number per block, 1, got 2"):
        jets.expand([nn.Tanh()], h, scales=(1.0, 2.0))
    with pytest.raises(ValueError, match="order must be a positive integer, got 0"):
        jets.expand([nn.Tanh()], h, 0)
    with pytest.raises(ValueError, match=r"holds RReLU in training mode, so its slope is random"):
        jets.expand([nn.RReLU()], h)
    for random in (nn.MultiheadAttention(6, 2, dropout=0.5), nn.GRU(6, 6, 2, dropout=0.5)):
        with pytest.raises(ValueError, match=r"with dropout=0\.5 in training mode.*eval"):
            jets.expand([random], h)
    with pytest.raises(TypeError, match=r"blocks\[0\] must return a tensor, got tuple"):
        jets.expand([nn.GRU(6, 6)], h)
    with pytest.raises(TypeError, match="start must be a tensor, got <class 'list'>"):
        jets.expand([nn.Tanh()], [1.0])
    with pytest.raises(ValueError, match="must act on floating numbers"):
        jets.expand([nn.Identity()], torch.arange(3))
    with pytest.raises(ValueError, match="readout must be given to expand"):
        jets.expand([nn.Tanh()], h).readout_sum(0.1)


def test_an_operation_without_a_second_derivative():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            return g

    for block in (Once.apply, lambda x: x**2 + Once.apply(x)):
        with pytest.raises(RuntimeError, match=r"blocks\[1\] cannot be differentiated 1 times"):
            jets.expand([block, block], torch.randn(3))


def test_an_operation_whose_derivative_vanishes():
    found = jets.expand([torch.sign, nn.Tanh()], torch.randn(3), 3)
    assert torch.isfinite(found.coefficients).all()
    h = torch.randn(3, 4, dtype=torch.float64)
    radial = nn.functional.normalize  # constant along its own direction
    assert jets.expand([radial, radial], h).coefficients[2].abs().max() < 1e-15
