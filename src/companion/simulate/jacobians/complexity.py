r"""Geometric complexity: the mean squared Jacobian of a network with respect to its input.

Notation
--------
=====================================  =======================  ================================
symbol                                 name                     book label
=====================================  =======================  ================================
:math:`\|\partial f/\partial x\|_F^2`  `squared_jacobian`       ``eq-re-geometric-complexity``
:math:`GC`                             `geometric_complexity`   ``eq-re-geometric-complexity``
:math:`E_v\|J^\top v\|^2`              `estimated_complexity`   ``eq-re-geometric-complexity``
=====================================  =======================  ================================

Everything is in units of (output / input) squared. A function takes a batch and treats its examples
one by one, so that one backward pass gives a row of the Jacobian of every example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from companion._validation import choice, positive_integer, real_number
from companion.montecarlo import Estimate
from companion.simulate.blocks import Noise, resolve_seed
from companion.simulate.frozen import require_frozen
from companion.simulate.jets import series
from companion.simulate.jets.tower import Tower, floating
from companion.simulate.jets.unexpanded import branch_values

__all__ = ["estimated_complexity", "geometric_complexity", "network", "squared_jacobian"]

Array = NDArray[np.float64]
Function = Callable[[torch.Tensor], torch.Tensor]

#: Examples that share one random stream.
BLOCK = 64


def squared_jacobian(
    function: Function,
    inputs: Any,
    *,
    batch_axes: int = 1,
    method: str = "auto",
    batch: int = 8,
) -> Array:
    """Squared Frobenius norm of the Jacobian at every example, exact.

    Parameters
    ----------
    function : torch module or function
        Maps a batch to a batch and treats its examples one by one.
    inputs : array_like or Tensor, shape (B, ...), or (N, B, ...) with two batch axes
        In the dtype and on the device that ``function`` wants.
    batch_axes : int
        Leading axes that count examples; the last of them is cut into batches.
    method : str
        ``"reverse"`` takes one backward pass per output, ``"forward"`` about two per input,
        ``"auto"`` the cheaper one.
    batch : int
        Blocks of 64 examples at a time; changes memory only.

    Returns
    -------
    Array of the shape of the batch axes.

    Raises
    ------
    ValueError
        If ``function`` is a module whose output is random or couples examples, or changes the
        batch axes.
    """
    choice(method, "method", ("auto", "reverse", "forward"))
    found = []
    for part, _ in _parts(function, inputs, batch_axes, batch):
        x, y = _evaluate(function, part, batch_axes)
        rows, columns = y.shape[-1], x[(0,) * batch_axes].numel()
        forward = method == "forward" or (method == "auto" and 2 * columns < rows)
        squares = _columns(x, y, batch_axes) if forward else _rows(x, y, batch_axes)
        found.append(squares.cpu().numpy())
    return np.concatenate(found, axis=batch_axes - 1)


def geometric_complexity(
    function: Function, inputs: Any, *, batch_axes: int = 1, method: str = "auto", batch: int = 8
) -> Any:
    """Mean of `squared_jacobian` over the examples, exact for these examples.

    Returns
    -------
    A float, or with two batch axes an array of shape ``(N,)``. Parameters and errors are those of
    `squared_jacobian`.
    """
    squares = squared_jacobian(function, inputs, batch_axes=batch_axes, method=method, batch=batch)
    mean = squares.mean(-1)
    return mean if mean.ndim else float(mean)


def estimated_complexity(
    function: Function,
    inputs: Any,
    *,
    probes: int,
    seed: int | np.random.SeedSequence,
    batch_axes: int = 1,
    batch: int = 8,
) -> Estimate:
    """Geometric complexity from random signs, one backward pass per probe.

    Parameters
    ----------
    probes : int
        Sign vectors per example, at least 2.
    seed : int or SeedSequence
        The result is a function of it, whatever ``batch``.
    function, inputs, batch_axes, batch
        As in `squared_jacobian`.

    Returns
    -------
    Estimate
        Of the mean over these examples: its error is that of the probes alone, pooled over the
        examples, and says nothing about other examples. ``n`` is the number of probes drawn.

    Raises
    ------
    ValueError
        As `squared_jacobian`; or with fewer than two probes, which carry no error.
    """
    count = positive_integer(probes, "probes")
    if count < 2:
        raise ValueError("probes must be at least 2 to carry an error, got 1.")
    root, found = resolve_seed(seed), []
    for part, blocks in _parts(function, inputs, batch_axes, batch):
        x, y = _evaluate(function, part, batch_axes)
        signs = _signs(root, blocks, count, y, batch_axes)
        squares = [_pulled(x, y, v, batch_axes) for v in signs]
        found.append(torch.stack(squares).cpu().numpy())
    values = np.concatenate(found, axis=batch_axes)  # (probes, batch axes)
    examples = values.shape[-1]
    error = np.sqrt(values.var(0, ddof=1).sum(-1) / count) / examples
    return Estimate(values.mean((0, -1)), error, count * examples)


def _parts(
    function: Function, inputs: Any, batch_axes: int, batch: int
) -> Iterator[tuple[torch.Tensor, range]]:
    """Inputs by whole blocks of examples, with the indices of the blocks."""
    require_frozen(function, "function")
    x = torch.as_tensor(inputs).detach()
    axes, size = (
        positive_integer(batch_axes, "batch_axes"),
        BLOCK * positive_integer(batch, "batch"),
    )
    if x.ndim < axes or x.shape[axes - 1] == 0 or not x.is_floating_point():
        raise ValueError(
            f"inputs must be floating and have {axes} batch axes of at least one example, got "
            f"shape {tuple(x.shape)} of {x.dtype}"
        )
    for start in range(0, x.shape[axes - 1], size):
        part = x.narrow(axes - 1, start, min(size, x.shape[axes - 1] - start))
        first = start // BLOCK
        yield part, range(first, first - (-part.shape[axes - 1] // BLOCK))


def _evaluate(
    function: Function, part: torch.Tensor, axes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs that record, and outputs flattened to one axis behind the batch axes."""
    with torch.enable_grad():
        x = part.clone().requires_grad_()
        y = function(x * 1)  # a function may overwrite its input, but no leaf
    if y.shape[:axes] != x.shape[:axes]:
        raise ValueError(
            f"function must keep the batch axes {tuple(x.shape[:axes])}, got an output of shape "
            f"{tuple(y.shape)}; set batch_axes to the number of axes that count examples"
        )
    return x, y.reshape(*y.shape[:axes], -1)


def _square(gradient: torch.Tensor | None, like: torch.Tensor, axes: int) -> torch.Tensor:
    if gradient is None:
        return like.new_zeros(like.shape[:axes], dtype=torch.float64)
    return gradient.detach().double().square().flatten(axes).sum(-1)


def _pulled(x: torch.Tensor, y: torch.Tensor, v: torch.Tensor, axes: int) -> torch.Tensor:
    """``|J^T v|^2`` of every example."""
    if not y.requires_grad:
        return _square(None, x, axes)
    (gradient,) = torch.autograd.grad(y, x, v, retain_graph=True, allow_unused=True)
    return _square(gradient, x, axes)


def _rows(x: torch.Tensor, y: torch.Tensor, axes: int) -> torch.Tensor:
    total = torch.zeros(x.shape[:axes], dtype=torch.float64, device=x.device)
    for index in range(y.shape[-1]):
        v = torch.zeros_like(y)
        v[..., index] = 1
        total += _pulled(x, y, v, axes)
    return total


def _columns(x: torch.Tensor, y: torch.Tensor, axes: int) -> torch.Tensor:
    """Columns ``J e``, each the derivative by ``v`` of ``<J^T v, e>``."""
    total = torch.zeros(x.shape[:axes], dtype=torch.float64, device=x.device)
    if not y.requires_grad:
        return total
    v = torch.zeros_like(y, requires_grad=True)
    (pulled,) = torch.autograd.grad(y, x, v, create_graph=True)
    flat = pulled.reshape(*x.shape[:axes], -1)
    for index in range(flat.shape[-1]):
        e = torch.zeros_like(flat)
        e[..., index] = 1
        (column,) = torch.autograd.grad(flat, v, e, retain_graph=True)
        total += _square(column, x, axes)
    return total


def _signs(
    root: np.random.SeedSequence, blocks: range, probes: int, y: torch.Tensor, axes: int
) -> Iterator[torch.Tensor]:
    """Sign vectors of the shape of ``y``, a stream per block of examples."""
    examples = y.shape[axes - 1]
    others = (*y.shape[: axes - 1], *y.shape[axes:])
    noise = Noise(root, blocks, BLOCK, y.device, y.dtype)
    for _ in range(probes):
        drawn = noise.signs(noise.networks, *others)[:examples]
        yield drawn.movedim(0, axes - 1)


def network(
    tower: Tower,
    scale: float,
    *,
    input_map: Any = None,
    readout: Any = None,
    through_activation: bool = False,
) -> Function:
    """A network with explicit weights as a torch function in float64.

    Parameters
    ----------
    tower : Tower
    scale : float
        Branch scale ``s``.
    input_map : array_like, shape (n, d) or (N, n, d), optional
        Without it the input is the stream :math:`h_0`.
    readout : array_like, shape (outputs, n) or (N, outputs, n), optional
        Without it the output is the last stream, the features.
    through_activation : bool
        Read ``phi(h_L)``.

    Returns
    -------
    Function from inputs of shape (B, d), or (N, B, d) for a tower of many networks (then
    ``batch_axes=2``), to outputs of shape (B, ...) or (N, B, ...).
    """
    layers = list(tower.layers())
    given, scale = {"input_map": input_map, "readout": readout}, real_number(scale, "scale")
    ends = [None if m is None else _matrix(m, tower, name) for name, m in given.items()]

    def function(x: torch.Tensor) -> torch.Tensor:
        h = x.double() if tower.stacked else x.double()[None]
        h = h if ends[0] is None else h @ ends[0]
        h = h[:, None]
        for layer in layers:
            h = h + scale * branch_values(tower, layer, h)
        y = h[:, 0]
        y = series.values(tower.phi, y) if through_activation else y
        y = y if ends[1] is None else y @ ends[1]
        return y if tower.stacked else y[0]

    return function


def _matrix(values: Any, tower: Tower, name: str) -> torch.Tensor:
    found = floating(values, name).double().to(tower.outer.device).mT
    return found if found.ndim == 3 else found[None]
