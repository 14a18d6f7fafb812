"""Data sets as plain arrays, by name: one that needs no network, others by address and hash.

``digits`` comes with scikit-learn. ``mnist``, ``cifar10`` and ``cifar100`` are fetched once from
their original addresses, checked against the published hashes and kept in ``COMPANION_DATA`` or in
the cache of the user. `SOURCES` says where each is from and where its hashes are published.

Needs the ``learn`` extra (scikit-learn, pooch), which is asked for when a data set is loaded.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion._optional import require
from companion._validation import choice, real_number
from companion.datasets.download import (
    DATA_VARIABLE,
    DownloadError,
    cache_folder,
    fetch,
    present,
)
from companion.datasets.formats import CIFAR, read_cifar, read_idx, scaled
from companion.datasets.sources import EMBEDDED, SOURCES, RemoteFile, Source

__all__ = [
    "DATA_VARIABLE",
    "EMBEDDED",
    "NAMES",
    "SOURCES",
    "Dataset",
    "DownloadError",
    "RemoteFile",
    "Source",
    "cache_folder",
    "fetch",
    "load",
    "present",
]

Array32 = NDArray[np.float32]
Labels = NDArray[np.int64]

#: Names that `load` knows, the default first.
NAMES = (EMBEDDED, *SOURCES)

_DIGITS_TEST, _DIGITS_SEED = 0.2, 0
_SEEDS = range(2**32)  # those of scikit-learn


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples of a classification task; all arrays are read-only.

    Attributes
    ----------
    x_train, x_test : ndarray of float32, shapes (examples, features)
        Pixels in [0, 1], row by row (CIFAR: colour by colour), unless `standardized`.
    y_train, y_test : ndarray of int64, shapes (examples,)
        Classes, counted from 0.
    name : str
    labels : tuple of str
        Names of the classes.
    shape : tuple of int
        Shape of one image.
    source, split : str
        Where the data are from, and how they are split; for captions.
    x_validation, y_validation : ndarray or None
        Part of the training data set aside by `hold_out`.
    """

    x_train: Array32
    y_train: Labels
    x_test: Array32
    y_test: Labels
    name: str
    labels: tuple[str, ...]
    shape: tuple[int, ...]
    source: str
    split: str
    x_validation: Array32 | None = None
    y_validation: Labels | None = None

    def __post_init__(self) -> None:
        for part in ("train", "test", "validation"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if x is None and y is None:
                continue
            if not (isinstance(x, np.ndarray) and isinstance(y, np.ndarray)):
                raise TypeError(
                    f"x_{part} and y_{part} must be arrays, got {type(x).__name__} and "
                    f"{type(y).__name__}; pass both, as NumPy arrays"
                )
            if x.dtype != np.float32 or y.dtype != np.int64:
                raise TypeError(
                    f"x_{part} must be float32 and y_{part} int64, got {x.dtype} and {y.dtype}; "
                    "use astype"
                )
            if x.ndim != 2 or y.shape != x.shape[:1] or len(y) == 0:
                raise ValueError(
                    f"x_{part} must be a table with one row per entry of y_{part}, got shapes "
                    f"{x.shape} and {y.shape}; flatten the images"
                )
            if x.shape[1] != self.x_train.shape[1]:
                raise ValueError(
                    f"x_{part} must have the {self.x_train.shape[1]} features of x_train, got "
                    f"{x.shape[1]}; flatten the images alike"
                )
            if y.min() < 0 or y.max() >= len(self.labels):
                raise ValueError(
                    f"y_{part} must lie between 0 and {len(self.labels) - 1}, one class per label, "
                    f"got {y.min()} to {y.max()}; count classes from 0"
                )
            for array in (x, y):
                array.flags.writeable = False

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.labels)

    @property
    def inputs(self) -> int:
        """Features of an example."""
        return int(self.x_train.shape[1])

    def hold_out(self, fraction: float, *, seed: int = 0) -> Dataset:
        """Set a part of the training data aside for validation, stratified by class.

        Raises
        ------
        ValueError
            If ``fraction`` is not inside (0, 1), or a part was set aside before.
        """
        share = real_number(fraction, "fraction", minimum=0.0, strict=True)
        if share >= 1:
            raise ValueError(f"fraction must be below 1, got {share:g}; pass e.g. 0.2")
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed not in _SEEDS:
            raise ValueError(f"seed must be an integer from 0 to 2**32 - 1, got {seed!r}; pass 0")
        if self.x_validation is not None:
            raise ValueError("hold_out() was called before; call it on the data set as loaded")
        rest, held = _stratified(self.y_train, share, seed)
        return dataclasses.replace(
            self,
            x_train=self.x_train[rest],
            y_train=self.y_train[rest],
            x_validation=self.x_train[held],
            y_validation=self.y_train[held],
            split=f"{self.split}; of the training data {len(held)} held out for validation",
        )

    def standardized(self) -> Dataset:
        """Pixels minus the mean over all training pixels, over their standard deviation.

        One mean and one deviation for all features, in float64: features that never vary (the
        corners of digits) would be divided by nothing.
        """
        mean, deviation = float(self.x_train.mean(dtype="f8")), float(self.x_train.std(dtype="f8"))
        if deviation == 0:
            raise ValueError(
                f"x_train must vary to be standardized, all of it is {mean:g}; take it as it is"
            )
        parts = {
            name: ((value.astype(np.float64) - mean) / deviation).astype(np.float32)
            for name in ("x_train", "x_test", "x_validation")
            if (value := getattr(self, name)) is not None
        }
        return dataclasses.replace(self, **parts)


def load(name: str = EMBEDDED, *, standardize: bool = False, progress: bool = True) -> Dataset:
    """Load a data set, fetching it the first time.

    Parameters
    ----------
    name : str
        One of `NAMES`. ``"digits"``: the 1797 images of 8 x 8 of scikit-learn, of which a fifth,
        stratified with a fixed seed, is for testing. The others have their published split.
    standardize : bool
        Apply `Dataset.standardized`. By default pixels are only scaled to [0, 1], as in the
        authors' code of the large-depth experiments (``sec-ld-training``).
    progress : bool
        Show a bar for every transfer.

    Returns
    -------
    Dataset

    Raises
    ------
    MissingExtraError
        Without the ``learn`` extra.
    DownloadError
        If a file cannot be fetched, or is not the published one.
    ValueError
        For another name, or a damaged file.
    """
    choice(name, "name of a data set", NAMES)
    found = _digits() if name == EMBEDDED else _remote(name, progress)
    return found.standardized() if standardize else found


def _digits() -> Dataset:
    require("sklearn", extra="learn", purpose="load digits")
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    train, test = _stratified(y, _DIGITS_TEST, _DIGITS_SEED)
    return _dataset(
        EMBEDDED,
        (x[train], y[train]),
        (x[test], y[test]),
        largest=16,
        labels=tuple("0123456789"),
        shape=(8, 8),
        source="scikit-learn",
        split=f"{len(train)} for training, {len(test)} for testing, stratified, fixed seed",
    )


def _remote(name: str, progress: bool) -> Dataset:
    source = SOURCES[name]
    files = fetch(name, progress=progress)
    common: dict[str, Any] = {
        "largest": 255,
        "source": source.addresses[0],
        "split": "as published",
    }
    if source.layout == "idx":
        images, labels, test_images, test_labels = (
            read_idx(path, dimensions) for path, dimensions in zip(files, (3, 1, 3, 1), strict=True)
        )
        names, shape = tuple("0123456789"), images.shape[1:]
        return _dataset(
            name,
            (images, labels),
            (test_images, test_labels),
            labels=names,
            shape=shape,
            **common,
        )
    train, test, names = read_cifar(files[0], CIFAR[source.layout])
    return _dataset(name, train, test, labels=names, shape=(3, 32, 32), **common)


def _dataset(
    name: str,
    train: tuple[NDArray[Any], NDArray[Any]],
    test: tuple[NDArray[Any], NDArray[Any]],
    *,
    largest: int,
    labels: tuple[str, ...],
    shape: tuple[int, ...],
    source: str,
    split: str,
) -> Dataset:
    return Dataset(
        scaled(train[0], largest),
        train[1].astype(np.int64),
        scaled(test[0], largest),
        test[1].astype(np.int64),
        name,
        labels,
        shape,
        source,
        split,
    )


def _stratified(y: NDArray[Any], fraction: float, seed: int) -> tuple[Labels, Labels]:
    """Positions of the larger and of the smaller part, in increasing order."""
    require("sklearn", extra="learn", purpose="split data sets")
    from sklearn.model_selection import train_test_split

    every = np.arange(len(y))
    try:
        parts = train_test_split(every, test_size=fraction, stratify=y, random_state=seed)
    except ValueError as error:
        raise ValueError(
            f"fraction must leave examples of every class on both sides, got {fraction:g} of "
            f"{len(y)} examples ({error}); pass e.g. 0.2"
        ) from error
    return np.sort(parts[0]), np.sort(parts[1])
