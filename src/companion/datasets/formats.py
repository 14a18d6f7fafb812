"""Readers of the binary files of MNIST and CIFAR: no pickle, nothing unpacked to disk."""

from __future__ import annotations

import gzip
import math
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["CIFAR", "CifarLayout", "read_cifar", "read_idx", "scaled"]

Bytes = NDArray[np.uint8]

_UNSIGNED_BYTES = 8  # code of the number type in the header of an IDX file
_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class CifarLayout:
    """Members of a CIFAR archive.

    Attributes
    ----------
    train : tuple of str
        Members with training records.
    test, names : str
        Member with test records, and with the names of the classes.
    label_bytes : int
        Bytes before the pixels of a record; the last of them is the label.
    """

    train: tuple[str, ...]
    test: str
    names: str
    label_bytes: int


CIFAR: Final = {
    "cifar10": CifarLayout(
        tuple(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)),
        "cifar-10-batches-bin/test_batch.bin",
        "cifar-10-batches-bin/batches.meta.txt",
        1,
    ),
    "cifar100": CifarLayout(
        ("cifar-100-binary/train.bin",),
        "cifar-100-binary/test.bin",
        "cifar-100-binary/fine_label_names.txt",
        2,
    ),
}


def read_idx(path: Path, dimensions: int) -> Bytes:
    """Read a compressed IDX file of unsigned bytes.

    Parameters
    ----------
    path : Path
        A ``.gz`` file.
    dimensions : int
        3 for images, 1 for labels.

    Raises
    ------
    ValueError
        If the file is not gzip, truncated, or not an IDX file of this kind.
    """
    with _readable(path):
        raw = gzip.decompress(path.read_bytes())
    magic = bytes([0, 0, _UNSIGNED_BYTES, dimensions])
    if raw[:4] != magic:
        raise _damaged(path, f"it starts with {raw[:4].hex()}, an IDX file with {magic.hex()}")
    start = 4 + 4 * dimensions
    if len(raw) < start:
        raise _damaged(path, "it ends within its header")
    shape = tuple(int(n) for n in np.frombuffer(raw[4:start], ">u4"))
    if len(raw) - start != math.prod(shape):
        raise _damaged(path, f"it holds {len(raw) - start} bytes of data for the shape {shape}")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def read_cifar(
    path: Path, layout: CifarLayout
) -> tuple[tuple[Bytes, Bytes], tuple[Bytes, Bytes], tuple[str, ...]]:
    """Read a binary CIFAR archive without unpacking it.

    Returns
    -------
    train, test : pair of ndarray
        Pixels of shape (examples, 3072), colour by colour in rows, and labels.
    names : tuple of str
        Of the classes.

    Raises
    ------
    ValueError
        If the archive is damaged, lacks a member, or a member is not a plain file of records.
    """
    with _readable(path), tarfile.open(path, "r:gz") as archive:
        found = {name: _member(archive, name, path) for name in (*layout.train, layout.test)}
        names = _member(archive, layout.names, path).decode("ascii").split()
    train = _records(b"".join(found[name] for name in layout.train), layout, len(names), path)
    return train, _records(found[layout.test], layout, len(names), path), tuple(names)


def _member(archive: tarfile.TarFile, name: str, path: Path) -> bytes:
    # A member is asked for by its full name and read in memory: no name in the archive is ever
    # a path of this machine. Links are refused.
    try:
        member = archive.getmember(name)
    except KeyError:
        raise _damaged(path, f"it holds no {name}") from None
    stream = archive.extractfile(member) if member.isreg() else None
    if stream is None:
        raise _damaged(path, f"{name} in it is not a plain file")
    return stream.read()


def _records(raw: bytes, layout: CifarLayout, classes: int, path: Path) -> tuple[Bytes, Bytes]:
    length = layout.label_bytes + _PIXELS
    if not raw or len(raw) % length:
        raise _damaged(path, f"{len(raw)} bytes are no whole number of records of {length} bytes")
    rows = np.frombuffer(raw, np.uint8).reshape(-1, length)
    labels = rows[:, layout.label_bytes - 1]
    if labels.max() >= classes:
        raise _damaged(path, f"it has the label {labels.max()} for {classes} classes")
    return rows[:, layout.label_bytes :], labels


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn the many errors of damaged archives into one."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def _damaged(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"{str(path)!r} is damaged or not what its name says: {reason}; delete it, the next load "
        "fetches it again."
    )


def scaled(images: NDArray[Any], largest: int) -> NDArray[np.float32]:
    """Images as rows of float32 in [0, 1], given the ``largest`` possible value of a pixel."""
    return (images.reshape(len(images), -1) / np.float32(largest)).astype(np.float32)
