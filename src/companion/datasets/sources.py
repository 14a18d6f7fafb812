"""Where the data sets come from: addresses, sizes and published hashes, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["EMBEDDED", "SOURCES", "RemoteFile", "Source"]

#: Data set that comes with a library and needs no network.
EMBEDDED: Final = "digits"


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set.

    Attributes
    ----------
    name : str
        Of the file, at the source and in the cache.
    md5 : str
        As published; see `Source.hashes`.
    size : int
        Bytes.
    """

    name: str
    md5: str
    size: int


@dataclass(frozen=True)
class Source:
    """Origin of a data set.

    Attributes
    ----------
    title, layout : str
        One line for people; name of the reader in `companion.datasets.formats`.
    addresses : tuple of str
        Folders that hold the files, tried in order: the original first, then mirrors.
    files : tuple of RemoteFile
        For ``"idx"`` training images and labels, then test images and labels; for CIFAR layouts
        the one archive.
    hashes : str
        Where the hashes are published.
    """

    title: str
    layout: str
    addresses: tuple[str, ...]
    files: tuple[RemoteFile, ...]
    hashes: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


_CIFAR = ("https://www.cs.toronto.edu/~kriz/",)
_CIFAR_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"

SOURCES: Final[Mapping[str, Source]] = {
    "mnist": Source(
        "MNIST, 70,000 handwritten digits of 28 x 28",
        "idx",
        # The original host refuses most requests; the second one is the mirror of torchvision.
        ("http://yann.lecun.com/exdb/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
        (
            RemoteFile("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
            RemoteFile("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432", 28_881),
            RemoteFile("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3", 1_648_877),
            RemoteFile("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c", 4_542),
        ),
        "torchvision/datasets/mnist.py of https://github.com/pytorch/vision",
    ),
    "cifar10": Source(
        "CIFAR-10, 60,000 colour images of 32 x 32 in 10 classes",
        "cifar10",
        _CIFAR,
        (RemoteFile("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", 170_052_171),),
        _CIFAR_PAGE,
    ),
    "cifar100": Source(
        "CIFAR-100, 60,000 colour images of 32 x 32 in 100 classes",
        "cifar100",
        _CIFAR,
        (RemoteFile("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", 168_513_733),),
        _CIFAR_PAGE,
    ),
}
