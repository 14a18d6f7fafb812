"""Files of the data sets, fetched once and kept.

A file counts as present only if its hash is the published one. It is written under another name
and moved to its place after the check, so that an interrupted transfer leaves nothing behind that
looks complete.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from companion._optional import require
from companion._validation import choice
from companion.datasets.sources import SOURCES, RemoteFile, Source

__all__ = ["DATA_VARIABLE", "DownloadError", "cache_folder", "fetch", "present"]

#: Environment variable that names the folder of the data sets.
DATA_VARIABLE: Final = "COMPANION_DATA"

#: Rounds over the addresses of a file, and the pause between them in seconds.
ROUNDS: Final = 3
PAUSE: Final = 2.0

_TIMEOUT = 30.0  # seconds without an answer


class DownloadError(OSError):
    """A file could not be fetched, or is not the published one; the message says what to do."""


def cache_folder() -> Path:
    """Folder of the data sets: ``COMPANION_DATA``, or else the cache of the user."""
    named = os.environ.get(DATA_VARIABLE)
    if named:
        try:
            return Path(named).expanduser()
        except RuntimeError as error:  # ~name of nobody
            raise ValueError(
                f"{DATA_VARIABLE} must name a folder, got {named!r}: {error} Name another folder."
            ) from error
    pooch = _pooch()
    return Path(pooch.os_cache("residual-scaling"))


def present(name: str) -> bool:
    """Whether all files of a data set are in the cache, unchanged."""
    choice(name, "name of a data set that is fetched", SOURCES)
    return all(_is_published(cache_folder() / file.name, file) for file in SOURCES[name].files)


def fetch(name: str, *, progress: bool = True) -> list[Path]:
    """Paths of the files of a data set; those that are missing are fetched.

    Parameters
    ----------
    name : str
        A key of `companion.datasets.SOURCES`.
    progress : bool
        Show a bar for every transfer, where tqdm is installed.

    Raises
    ------
    DownloadError
        If no address gives the file, or what it gives has another hash.
    ValueError
        For a name that is not in the table.
    """
    choice(name, "name of a data set that is fetched", SOURCES)
    source, folder = SOURCES[name], cache_folder()
    return [_fetch_file(name, source, file, folder, progress) for file in source.files]


def _fetch_file(name: str, source: Source, file: RemoteFile, folder: Path, progress: bool) -> Path:
    path = folder / file.name
    if _is_published(path, file):
        return path
    failures: list[str] = []
    for attempt in range(ROUNDS):
        if attempt:
            time.sleep(PAUSE)
        failures = []
        for address in source.addresses:
            try:
                return _retrieve(address, file, folder, progress)
            except (OSError, ValueError) as error:
                failures.append(_short(address, error))
    raise _unavailable(name, source, file, folder, failures)


def _retrieve(address: str, file: RemoteFile, folder: Path, progress: bool) -> Path:
    pooch = _pooch()
    shown = progress and importlib.util.find_spec("tqdm") is not None
    downloader = pooch.HTTPDownloader(progressbar=shown, timeout=_TIMEOUT)
    found = pooch.retrieve(
        address + file.name, f"md5:{file.md5}", file.name, folder, downloader=downloader
    )
    return Path(found)


def _short(address: str, error: Exception) -> str:
    """One clause on what went wrong at an address."""
    text = " ".join(str(error).split())
    if "does not match the known hash" in text:
        return f"{address} gives a file with another MD5"
    if isinstance(error, OSError) and not type(error).__module__.startswith("requests"):
        return f"{text}"  # of this machine: a full disk, a folder that cannot be written
    response = getattr(error, "response", None)
    status = f"status {response.status_code}" if response is not None else type(error).__name__
    return f"{address} does not answer as it should ({status})"


def _unavailable(
    name: str, source: Source, file: RemoteFile, folder: Path, failures: Sequence[str]
) -> DownloadError:
    return DownloadError(
        f"{name} could not be fetched: {'; '.join(failures)}. Nothing was kept. Put the file "
        f"{file.name} ({file.size} bytes, MD5 {file.md5} as published in {source.hashes}) into "
        f"{str(folder)!r}, or name the folder that has it in {DATA_VARIABLE}."
    )


def _is_published(path: Path, file: RemoteFile) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest() == file.md5


def _pooch() -> Any:
    require("pooch", extra="learn", purpose="fetch data sets")
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    return pooch
