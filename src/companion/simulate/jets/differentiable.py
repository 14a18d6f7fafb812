"""Forms of torch operations whose derivatives are right at every order.

Torch's fused layer normalisation and instance normalisation treat the saved mean and standard
deviation as constants from the third derivative on, and give a wrong number without a word (PyTorch
issues 175754 and 186256); its fused attention has no second derivative at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["differentiable"]


@contextmanager
def differentiable() -> Iterator[None]:
    """Run a block of code with layer and instance normalisation and attention unfused."""
    with _Unfused(), _plain_attention():
        yield


def _plain_attention() -> AbstractContextManager[Any]:
    try:
        from torch.nn.attention import SDPBackend, sdpa_kernel
    except ImportError:  # before torch 2.3; the error of the derivative then names the remedy
        return nullcontext()
    return sdpa_kernel(SDPBackend.MATH)


def _layer_norm(
    input: torch.Tensor,
    normalized_shape: Sequence[int],
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> torch.Tensor:
    y = _standardized(input, list(range(-len(normalized_shape), 0)), eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _instance_norm(
    input: torch.Tensor,
    running_mean: torch.Tensor | None = None,
    running_var: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    shape = (1, -1, *[1] * (input.ndim - 2))
    if use_input_stats or running_mean is None or running_var is None:
        y = _standardized(input, list(range(2, input.ndim)), eps)
    else:
        y = (input - running_mean.view(shape)) * (running_var.view(shape) + eps).rsqrt()
    y = y if weight is None else y * weight.view(shape)
    return y if bias is None else y + bias.view(shape)


def _standardized(x: torch.Tensor, axes: list[int], eps: float) -> torch.Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred * (centred.square().mean(axes, keepdim=True) + eps).rsqrt()


_FORMS: dict[Any, Callable[..., torch.Tensor]] = {
    torch.nn.functional.layer_norm: _layer_norm,
    torch.layer_norm: _layer_norm,
    torch.nn.functional.instance_norm: _instance_norm,
}


class _Unfused(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _FORMS.get(func, func)(*args, **(kwargs or {}))
