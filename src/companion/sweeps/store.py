"""Shards on disk: written whole or not at all, and believed only with their checksum.

The name of a shard is ``INDEX-KEY-SHA256.parquet``, so that one rename puts data and checksum in
place together. The key stands for everything that determines the numbers; its full text is also in
the file. Any number of runners may share a folder: equal keys have equal numbers, and no file that
another runner may need is removed before its replacement is there.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import socket
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from companion.sweeps.experiment import Plan, Shard

__all__ = ["Result", "ShardWarning", "Store", "StoreError", "write_file", "write_parquet"]

_NAME = re.compile(r"(\d{5,})-([0-9a-f]{16})-([0-9a-f]{64})\.parquet")
_TEMPORARY = re.compile(r"\.tmp-(.+)-(\d+)-[0-9a-f]+")
_DAY = 86400.0

#: Why a shard of another key is not used, by the first of its fields that differs.
_REASONS = {
    "schema": "has an older layout",
    "cell": "belongs to another experiment",
    "params": "was computed with other parameters",
    "seed": "was computed with another seed",
    "code": "was computed by other code",
}


class StoreError(OSError):
    """A folder of results cannot be written; the message says what to do."""


class ShardWarning(UserWarning):
    """Shards on disk are not used and are computed anew."""


@dataclass(frozen=True)
class Result:
    """Rows of a shard, the seconds they took, and the library versions that made them."""

    frame: pd.DataFrame
    seconds: float
    versions: dict[str, str] = field(default_factory=dict)


class Store:
    """Shards of one run in one folder.

    Raises
    ------
    StoreError
        If the folder cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._replaced: dict[int, list[Path]] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_file(self.folder / f".probe-{os.getpid()}", b"").unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"the folder {str(self.folder)!r} cannot be written ({_why(error)}); choose "
                "another folder."
            ) from error
        _remove_stale(self.folder)

    def load(self, plan: Plan) -> dict[int, Result]:
        """Shards of the plan that are there and sound; warns of those that are not."""
        found: dict[int, Result] = {}
        rejected: dict[str, list[str]] = {}
        files = self._listing()
        for shard in plan.shards:
            here = [(p, *_examine(p, key, plan, shard)) for p, key in files.get(shard.index, [])]
            sound = [result for _, result, _ in here if result is not None]
            if sound:
                found[shard.index] = sound[0]
                continue
            for path, _, problem in here:
                if problem:
                    rejected.setdefault(problem, []).append(path.name)
                    self._replaced.setdefault(shard.index, []).append(path)
        _warn(rejected)
        return found

    def find(self, plan: Plan, shard: Shard) -> Result | None:
        """One shard, if another runner has put it there meanwhile."""
        key = plan.key(shard)
        for path in self.folder.glob(f"{shard.index:05d}-{key}-*.parquet"):
            result, _ = _examine(path, key, plan, shard)
            if result is not None:
                return result
        return None

    def put(self, plan: Plan, shard: Shard, result: Result) -> Result:
        """Write a shard and remove the damaged or outdated ones that it replaces.

        Returns
        -------
        Result
            As a later run will read it.
        """
        data = _encode(plan.fields(shard), result)
        name = f"{shard.index:05d}-{plan.key(shard)}-{hashlib.sha256(data).hexdigest()}.parquet"
        write_file(self.folder / name, data)
        for path in self._replaced.pop(shard.index, []):
            path.unlink(missing_ok=True)
        return _decode(data)[1]

    def _listing(self) -> dict[int, list[tuple[Path, str]]]:
        """Files by index."""
        files: dict[int, list[tuple[Path, str]]] = {}
        for path in sorted(self.folder.iterdir()):
            match = _NAME.fullmatch(path.name)
            if match:
                files.setdefault(int(match[1]), []).append((path, match[2]))
        return files


def write_file(path: Path, data: bytes) -> Path:
    """Write ``data`` to ``path`` atomically: a reader sees the old file or the whole new one.

    Raises
    ------
    StoreError
        Naming the file, if the disk is full or cannot be written; nothing is left behind.
    """
    owner = f"{socket.gethostname()}-{os.getpid()}"
    temporary = path.parent / f".tmp-{owner}-{secrets.token_hex(4)}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StoreError(
                f"{str(path)!r} cannot be written ({_why(error)}); free space or choose another "
                "folder."
            ) from error
        raise
    return path


def write_parquet(frame: pd.DataFrame, path: Path) -> Path:
    """Write ``frame`` to ``path`` atomically, as `write_file` does."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return write_file(Path(path), buffer.getvalue())


def _examine(path: Path, key: str, plan: Plan, shard: Shard) -> tuple[Result | None, str]:
    """Read one file: its result if it is the shard, else what is wrong with it.

    A shard of another device or number type is neither: it belongs to a run beside this one.
    """
    match = _NAME.fullmatch(path.name)
    try:
        data = path.read_bytes()
        if match is None or hashlib.sha256(data).hexdigest() != match[3]:
            return None, "is truncated or damaged (its checksum does not match)"
        fields, result = _decode(data)
    except FileNotFoundError:  # replaced by another runner
        return None, ""
    except (OSError, ValueError, KeyError) as error:
        return None, f"cannot be read ({' '.join(str(error).split())[:80]})"
    wanted = plan.fields(shard)
    if fields == wanted and key == plan.key(shard):
        return result, ""
    differing = [name for name in _REASONS if fields.get(name) != wanted[name]]
    if differing:
        return None, _REASONS[differing[0]]
    return None, "" if fields != wanted else "does not have the key of its content"


def _encode(fields: dict[str, Any], result: Result) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(result.frame, preserve_index=False)
    note = {"key": fields, "seconds": result.seconds, "versions": result.versions}
    metadata = {**(table.schema.metadata or {}), b"companion": json.dumps(note).encode()}
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), buffer)
    return buffer.getvalue()


def _decode(data: bytes) -> tuple[dict[str, Any], Result]:
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    note = json.loads((table.schema.metadata or {})[b"companion"])
    return note["key"], Result(table.to_pandas(), note["seconds"], note["versions"])


def _warn(rejected: dict[str, list[str]]) -> None:
    for problem, names in rejected.items():
        others = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        warnings.warn(
            f"shard {names[0]}{others} {problem}; computed anew.", ShardWarning, stacklevel=4
        )


def _remove_stale(folder: Path) -> None:
    """Remove what dead runners were writing when they died."""
    for path in folder.glob(".tmp-*"):
        match = _TEMPORARY.fullmatch(path.name)
        if match and not _in_use(match[1], int(match[2]), path):
            path.unlink(missing_ok=True)


def _in_use(host: str, process: int, path: Path) -> bool:
    # Elsewhere processes cannot be asked; on Windows the question would end them.
    if host != socket.gethostname() or os.name != "posix":
        try:
            return time.time() - path.stat().st_mtime < _DAY
        except FileNotFoundError:
            return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _why(error: OSError) -> str:
    return error.strerror or str(error)
