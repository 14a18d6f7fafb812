"""Blocks of networks: the unit of randomness, and the devices they run on.

A *block* is a fixed number of networks that share one random stream, seeded by
``(root seed, block index)``. Work is done in batches of whole blocks, so a result depends on the
root seed and on the device kind, never on the batch size, the number of workers or the order of
execution.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

__all__ = [
    "BLOCK_ELEMENTS",
    "Block",
    "Noise",
    "batches",
    "block_size",
    "one_thread",
    "resolve_device",
    "resolve_dtype",
    "resolve_seed",
]

#: Stream elements (networks x inputs x width) in one block, by device kind. On a CPU the state and
#: its noise stay in the second-level cache; a GPU needs far larger launches to be busy.
BLOCK_ELEMENTS: Final = {"cpu": 2**16, "cuda": 2**22}

#: Stream elements in one block summed over the layers, where a backward pass keeps them all.
TAPE_ELEMENTS: Final = {"cpu": 2**26, "cuda": 2**30}

#: Words of the Mersenne twister, 64 bits each, and their place in a CPU generator's state.
_TWISTER_WORDS, _TWISTER_OFFSET = 624, 24

_DTYPES: Final = {
    "float32": torch.float32,
    "float64": torch.float64,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    np.dtype(np.float32): torch.float32,
    np.dtype(np.float64): torch.float64,
}


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Turn ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"`` into a usable device.

    Raises
    ------
    ValueError
        For an unknown name, or a CUDA device where there is none.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device must be 'auto', 'cpu' or 'cuda', got {device!r}; use 'auto' to take a GPU "
            "where there is one."
        ) from error
    if found.type not in BLOCK_ELEMENTS:
        raise ValueError(f"device must be 'auto', 'cpu' or 'cuda', got {device!r}.")
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={str(device)!r} was asked for but PyTorch finds no CUDA device; "
            "use device='cpu' or 'auto'."
        )
    return found


def resolve_dtype(dtype: str | torch.dtype | np.dtype) -> torch.dtype:
    """Turn ``"float32"``, ``"float64"`` or a dtype object into a torch dtype."""
    try:
        return _DTYPES[dtype]
    except (KeyError, TypeError) as error:
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}.") from error


def resolve_seed(seed: int | np.random.SeedSequence) -> np.random.SeedSequence:
    """Root seed as a `SeedSequence`; integers must be non-negative."""
    if isinstance(seed, np.random.SeedSequence):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(
            f"seed must be a non-negative integer or a numpy SeedSequence, got {seed!r}."
        )
    return np.random.SeedSequence(int(seed))


def block_size(elements: int, device: torch.device | str = "cpu", *, layers: int = 1) -> int:
    """Networks in one block, for networks whose state has ``elements`` numbers.

    ``layers`` is the number of layers whose states are kept. The size is a constant of the
    network and of the device kind, whatever the number of networks asked for.
    """
    kind = torch.device(device).type
    kept = TAPE_ELEMENTS[kind] // layers if layers > 1 else BLOCK_ELEMENTS[kind]
    # At least two networks: a sum over one lone row is cut differently by several threads.
    return max(2, min(BLOCK_ELEMENTS[kind], kept) // elements)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch on one thread within this block of code.

    Random numbers are drawn serially and the tensors of a block are small: a second thread has
    nothing to gain, and on a busy machine the threads wait for each other a hundred times longer
    than they work.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Block:
    """A batch of whole blocks: its networks, its slice of the result, its noise."""

    networks: int
    keep: slice
    noise: Noise


class Noise:
    """Random numbers for a batch of blocks, one generator per block."""

    def __init__(
        self,
        root: np.random.SeedSequence,
        indices: range,
        size: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.device, self.dtype, self._size = device, dtype, size
        self.networks = size * len(indices)
        self._generators = [_generator(root, i, device) for i in indices]

    def normal_(self, out: torch.Tensor) -> torch.Tensor:
        """Fill ``out``, whose first axis runs over the networks of the batch, with N(0, 1)."""
        if len(self._generators) == 1:  # the common case, without the cost of a view
            return out.normal_(generator=self._generators[0])
        for i, generator in enumerate(self._generators):
            out[i * self._size : (i + 1) * self._size].normal_(generator=generator)
        return out

    def normal(self, *shape: int) -> torch.Tensor:
        """Fresh N(0, 1) numbers of the given shape."""
        return self.normal_(torch.empty(shape, device=self.device, dtype=self.dtype))

    def uniform(self, *shape: int) -> torch.Tensor:
        """Fresh U(-1, 1) numbers of the given shape."""
        out = torch.empty(shape, device=self.device, dtype=self.dtype)
        for i, generator in enumerate(self._generators):
            out[i * self._size : (i + 1) * self._size].uniform_(-1.0, 1.0, generator=generator)
        return out

    def signs(self, *shape: int) -> torch.Tensor:
        """Fresh fair signs of the given shape."""
        out = torch.empty(shape, device=self.device, dtype=self.dtype)
        for i, generator in enumerate(self._generators):
            out[i * self._size : (i + 1) * self._size].random_(0, 2, generator=generator)
        return out.mul_(2).sub_(1)


def batches(
    networks: int,
    size: int,
    *,
    seed: int | np.random.SeedSequence,
    device: torch.device,
    dtype: torch.dtype,
    batch: int = 1,
) -> Iterator[Block]:
    """Cut ``networks`` into batches of ``batch`` whole blocks of ``size`` networks.

    The last block is computed in full and truncated, so the first networks of a long run are the
    networks of a short one.

    Raises
    ------
    ValueError
        If ``networks`` or ``batch`` is not a positive integer.
    """
    for name, value in (("networks", networks), ("batch", batch)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}.")
    root = resolve_seed(seed)
    blocks = -(-networks // size)
    for first in range(0, blocks, batch):
        indices = range(first, min(first + batch, blocks))
        start, stop = first * size, min(indices.stop * size, networks)
        noise = Noise(root, indices, size, device, dtype)
        yield Block(size * len(indices), slice(start, stop), noise)


def _generator(root: np.random.SeedSequence, index: int, device: torch.device) -> torch.Generator:
    key = (*root.spawn_key, index)
    child = np.random.SeedSequence(root.entropy, spawn_key=key)
    seed = int(child.generate_state(1, np.uint64)[0]) >> 1  # torch takes 63 bits everywhere
    generator = torch.Generator(device=device).manual_seed(seed)
    if device.type == "cpu":  # its Mersenne twister reads 32 bits of a seed: blocks would collide
        state = generator.get_state()
        words = child.generate_state(_TWISTER_WORDS).astype(np.uint64)
        state[_TWISTER_OFFSET : _TWISTER_OFFSET + words.nbytes] = torch.from_numpy(
            words.view(np.uint8)
        )
        generator.set_state(state)
    return generator
