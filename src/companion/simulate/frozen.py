"""Modules whose output is a function of one input alone: what derivatives by the input need."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["require_frozen"]

_Norm = torch.nn.modules.batchnorm._BatchNorm
_Dropout = torch.nn.modules.dropout._DropoutNd
_Random = torch.nn.RReLU
_WithDropout = (torch.nn.MultiheadAttention, torch.nn.RNNBase)  # a number, and no module


def require_frozen(function: Any, name: str) -> None:
    """Refuse a module that is random, or that couples the examples of a batch.

    Raises
    ------
    ValueError
        For dropout, or batch normalisation with the statistics of the batch.
    """
    if not isinstance(function, torch.nn.Module):
        return
    for path, module in function.named_modules():
        where = f"{name} holds {type(module).__name__}" + (f" at {path!r}" if path else "")
        if isinstance(module, _Dropout) and module.training and module.p > 0:
            raise ValueError(
                f"{where} in training mode, so its output is random; call {name}.eval() first"
            )
        if isinstance(module, _Random) and module.training:
            raise ValueError(
                f"{where} in training mode, so its slope is random; call {name}.eval() first"
            )
        if isinstance(module, _WithDropout) and module.training and module.dropout > 0:
            raise ValueError(
                f"{where} with dropout={module.dropout:g} in training mode, so its output is "
                f"random; call {name}.eval() first"
            )
        if isinstance(module, _Norm) and (module.training or module.running_mean is None):
            raise ValueError(
                f"{where} that takes mean and variance from the batch, which couples the "
                f"examples; call {name}.eval() with track_running_stats=True, so that they are "
                "frozen"
            )
