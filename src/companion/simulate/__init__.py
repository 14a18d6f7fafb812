"""Simulations of random residual networks in PyTorch, on CPU or GPU.

``dense`` draws every weight matrix and is the reference; ``matrixfree`` draws none and has exactly
the same law. Both return a `Propagation`.

Importing this package needs the ``sim`` extra (PyTorch).
"""

from companion._optional import require

require("torch", extra="sim", purpose="simulate networks")

from companion.simulate import dense, matrixfree  # noqa: E402
from companion.simulate.blocks import block_size, resolve_device, resolve_dtype  # noqa: E402
from companion.simulate.observables import Propagation  # noqa: E402

__all__ = [
    "Propagation",
    "block_size",
    "dense",
    "matrixfree",
    "resolve_device",
    "resolve_dtype",
]
