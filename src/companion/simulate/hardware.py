"""Names of devices, for the record of a run."""

from __future__ import annotations

import torch

__all__ = ["accelerator_name"]


def accelerator_name(kind: str) -> str:
    """Model of the current device of ``kind``, such as ``cuda``."""
    return str(torch.cuda.get_device_name()) if kind == "cuda" else kind
