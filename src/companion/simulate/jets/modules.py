r"""Low orders of any residual network made of differentiable blocks.

Notation
--------
===================================================  ====================  =====================
symbol                                               name                  book label
===================================================  ====================  =====================
:math:`F_l,\ \omega_l`                               ``blocks, scales``    ``eq-re-model``
:math:`\sum_{i<j}\omega_i\omega_jDF_jF_i`            ``coefficients[2]``   ``eq-re-second-order``
running sums                                         `expand`              ``eq-re-running-sum``
:math:`h^{(3)}`, chains and trees                    ``coefficients[3]``   ``eq-re-third-order``
orders of :math:`g(h_L)`                             ``readout``           ``eq-re-readout``
===================================================  ====================  =====================

A block is evaluated along the polynomial :math:`h^{(0)}+sh^{(1)}+s^2h^{(2)}+\dots` of the stream
below it and differentiated by :math:`s`. The first derivative is a Jacobian-vector product with the
running sum of all earlier blocks, so order 2 costs ``L`` evaluations and ``L`` such products.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from companion._validation import positive_integer
from companion.simulate.frozen import require_frozen
from companion.simulate.jets.differentiable import differentiable

__all__ = ["Expansion", "expand"]

Function = Callable[[torch.Tensor], torch.Tensor]

#: Share of a derivative that may be rounding, also in float32.
_LINEAR = 1e-3
#: Units of rounding of a function that its derivative may contain where it is 0.
_ROUNDING = 100.0


@dataclass(frozen=True)
class Expansion:
    """Taylor coefficients in the branch scale, as tensors without gradients.

    Attributes
    ----------
    coefficients : Tensor, shape (K + 1, *start.shape)
        Of the last stream.
    readout : Tensor, shape (K + 1, *output.shape), optional
        Of the readout of the last stream.
    """

    coefficients: torch.Tensor
    readout: torch.Tensor | None = None

    def partial_sum(self, scale: float, order: int | None = None) -> torch.Tensor:
        """Sum of the terms ``scale**k * coefficients[k]`` up to ``order`` (default: all)."""
        return sum_terms(self.coefficients, scale, order)

    def readout_sum(self, scale: float, order: int | None = None) -> torch.Tensor:
        """The same for the readout.

        Raises
        ------
        ValueError
            If the expansion was made without a readout.
        """
        if self.readout is None:
            raise ValueError("readout must be given to expand(); this expansion is of streams only")
        return sum_terms(self.readout, scale, order)


def sum_terms(
    coefficients: torch.Tensor | Sequence[torch.Tensor],
    scale: float | torch.Tensor,
    order: int | None = None,
) -> torch.Tensor:
    """Value of a polynomial in the scale, by Horner's rule."""
    last = len(coefficients) - 1 if order is None else order
    total = coefficients[last]
    for k in range(last - 1, -1, -1):
        total = coefficients[k] + scale * total
    return total


def expand(
    blocks: Sequence[Function],
    start: torch.Tensor,
    order: int = 2,
    *,
    scales: Sequence[float] | None = None,
    readout: Function | None = None,
) -> Expansion:
    r"""Expand ``h + s w_l block(h)`` over all blocks in ``s``.

    Parameters
    ----------
    blocks : sequence of torch modules or functions
        Without the skip connection; each maps a stream to one of the same shape.
    start : Tensor
        Stream :math:`h_0`, any shape, floating.
    order : int
        ``K``, at least 1. Memory and time of one block grow about threefold with each order
        beyond the first: 4 is the practical end, and `companion.simulate.jets.taylor` goes on
        from there for the blocks that it knows.
    scales : sequence of float, optional
        Relative scales :math:`\omega_l`; 1 if not given.
    readout : torch module or function, optional
        :math:`g`, also expanded.

    Returns
    -------
    Expansion
        At a kink of a block the derivative that torch takes.

    Raises
    ------
    ValueError
        For a module in training mode that is random or couples examples, a block that changes
        shape or overwrites its input, or a number of scales other than that of blocks.
    RuntimeError
        If torch cannot differentiate a block often enough.
    """
    last = positive_integer(order, "order")
    if not isinstance(start, torch.Tensor):
        raise TypeError(f"start must be a tensor, got {type(start)}; pass torch.as_tensor(start)")
    weights = [1.0] * len(blocks) if scales is None else [float(w) for w in scales]
    if len(weights) != len(blocks):
        raise ValueError(
            f"scales must hold one number per block, {len(blocks)}, got {len(weights)}"
        )
    path = [start.detach()] + [torch.zeros_like(start)] * last
    for index, (block, weight) in enumerate(zip(blocks, weights, strict=True)):
        name = f"blocks[{index}]"
        branch = along(block, path[:-1], last - 1, name)
        if branch[0].shape != start.shape:
            raise ValueError(
                f"{name} must keep the shape {tuple(start.shape)}, got {tuple(branch[0].shape)}; "
                "put shortcuts that change it into the input map"
            )
        # A new list: order k takes the branch of the stream as it was below this block.
        path = [path[0]] + [h + weight * f for h, f in zip(path[1:], branch, strict=True)]
    found = None if readout is None else torch.stack(along(readout, path, last, "readout"))
    return Expansion(torch.stack(path), found)


def along(
    function: Function, path: Sequence[torch.Tensor], order: int, name: str = "function"
) -> list[torch.Tensor]:
    """Taylor coefficients of ``function(sum_k path[k] s^k)`` at ``s = 0``, up to ``order``."""
    require_frozen(function, name)
    if not all(part.is_floating_point() for part in path):
        raise ValueError(f"{name} must act on floating numbers, got {path[0].dtype}")
    with torch.enable_grad():
        s = torch.zeros((), dtype=path[0].dtype, device=path[0].device, requires_grad=True)
        point = sum_terms(path, s) if order else path[0].clone()
        version = point._version
        with differentiable():
            value = function(point)
        if not isinstance(value, torch.Tensor):
            raise TypeError(
                f"{name} must return a tensor, got {type(value).__name__}; wrap it in a function "
                "that picks one"
            )
        if point._version != version:
            raise ValueError(
                f"{name} overwrites its input; build its first activation with inplace=False"
            )
        found = [value.detach()]
        for k in range(1, order + 1):
            value = _derivative(value, s, name, k)
            found.append(value.detach() / math.factorial(k))
    return found


def _derivative(value: torch.Tensor, s: torch.Tensor, name: str, k: int) -> torch.Tensor:
    """Derivative of a tensor by the number ``s``, itself differentiable."""
    # <v, value> is differentiated by s, and the result, which is linear in v, by v: two backward
    # passes make a forward one. torch.func.jvp would load deprecated parts of PyTorch.
    if not value.requires_grad:
        return torch.zeros_like(value)
    v = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype, device=value.device)
    v = v.view(value.shape).requires_grad_()
    try:
        pulled = _gradient(value, s, v)
        connected = pulled is not None and pulled.requires_grad
        found = _gradient(pulled, v, None) if connected else None
    except RuntimeError as error:
        raise _not_differentiable(name, k, str(error)) from error
    found = torch.zeros_like(value) if found is None else found
    if pulled is not None:  # a part without a second derivative drops out of it silently
        with torch.no_grad():
            lost = (pulled - (v * found).sum()).abs()
            rounding = _ROUNDING * torch.finfo(value.dtype).eps * v.norm() * value.norm()
            if lost > _LINEAR * (v.norm() * found.norm() + pulled.abs()) + rounding:
                raise _not_differentiable(name, k, "its backward pass is not differentiable")
    return found


def _not_differentiable(name: str, k: int, reason: str) -> RuntimeError:
    return RuntimeError(
        f"{name} cannot be differentiated {k} times in torch: {reason}. Lower the order, or write "
        "the operation in elementary ones"
    )


def _gradient(value: torch.Tensor, by: torch.Tensor, weight: torch.Tensor | None) -> Any:
    (found,) = torch.autograd.grad(value, by, weight, create_graph=True, allow_unused=True)
    return found
