"""The manifest of a run: everything needed to say what a number is and to compute it again."""

from __future__ import annotations

import datetime
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd

from companion import __version__
from companion._checkout import checkout
from companion.sweeps.code import code_hash, sources
from companion.sweeps.experiment import SCHEMA, Experiment, Plan, plain
from companion.sweeps.store import Result, write_file

__all__ = ["code_hashes", "digest", "file_hash", "make", "read", "still_true", "write"]


def make(
    plan: Plan, results: dict[int, Result], table: Path, device_name: str, elapsed: float
) -> dict[str, Any]:
    """Manifest of a finished run.

    Parameters
    ----------
    results : dict
        Shards by index.
    table : Path
        The Parquet file of the run.
    elapsed : float
        Seconds of this call; the sum over all shards is beside it.
    """
    experiment = plan.experiment
    spec = [plain(params) for params in experiment.grid(plan.preset)]
    shards = [results[shard.index] for shard in plan.shards]
    return {
        "experiment": experiment.id,
        "title": experiment.title,
        "preset": plan.preset,
        "seed": plan.seed,
        "spec": spec,
        "networks": sum(int(params.get("networks", 0)) for params in spec),
        "schema": SCHEMA,
        "package_version": __version__,
        **code_hashes(experiment),
        **_commit(experiment),
        "versions": _versions(shards),
        "device": {"kind": plan.device, "name": device_name},
        "dtype": experiment.dtype,
        "blocks": _blocks(experiment),
        "shards": len(shards),
        "shard_seconds": round(sum(shard.seconds for shard in shards), 3),
        "elapsed_seconds": round(elapsed, 3),
        "digests": [digest(shard.frame) for shard in shards],
        "table_sha256": file_hash(table),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def still_true(folder: Path, plan: Plan, table: pd.DataFrame) -> bool:
    """Whether a folder holds this very table, made by this code, and the manifest of that run.

    A finished run that is started again then keeps its date, commit and times.
    """
    experiment = plan.experiment
    path, note = (folder / f"{experiment.id}.{kind}" for kind in ("parquet", "json"))
    try:
        old = read(note)
        same_file = file_hash(path) == old["table_sha256"]
        same_table = same_file and digest(pd.read_parquet(path)) == digest(table)
    except (OSError, ValueError):
        return False
    facts = {"device": plan.device, "dtype": experiment.dtype, **code_hashes(experiment)}
    return same_table and all(
        value == (old["device"]["kind"] if name == "device" else old.get(name))
        for name, value in facts.items()
    )


def code_hashes(experiment: Experiment) -> dict[str, str | None]:
    """Fingerprints of the code behind the shards, and of that which finishes the table."""
    finish = experiment.finish
    return {
        "code_hash": code_hash(experiment.cell.__module__),
        "finish_hash": None if finish is None else code_hash(finish.__module__),
    }


def write(note: dict[str, Any], path: Path) -> Path:
    """Write a manifest atomically."""
    return write_file(path, (json.dumps(note, indent=1, ensure_ascii=False) + "\n").encode())


def read(path: Path) -> dict[str, Any]:
    """Read a manifest.

    Raises
    ------
    ValueError
        If the file is not one.
    """
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is not a manifest ({error}); publish it again.") from error
    if not isinstance(note, dict) or "table_sha256" not in note:
        raise ValueError(f"{str(path)!r} is not a manifest of a run; publish it again.")
    return note


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest(frame: pd.DataFrame) -> str:
    """Fingerprint of names, types and bits of a table, whatever file it was in."""
    found = hashlib.sha256()
    for name, column in frame.items():
        values = column.to_numpy()
        if values.dtype.kind in "biuf":
            found.update(f"{name}:{values.dtype.str}:".encode() + values.tobytes())
        else:
            found.update(f"{name}:text:{json.dumps([str(v) for v in column])}".encode())
    return found.hexdigest()[:16]


def _versions(shards: list[Result]) -> dict[str, str]:
    """Library versions of all shards; several of one library are all named."""
    names = sorted({name for shard in shards for name in shard.versions})
    return {
        name: ", ".join(sorted({s.versions[name] for s in shards if name in s.versions}))
        for name in names
    }


def _blocks(experiment: Experiment) -> dict[str, Any]:
    """Constants that fix which network gets which random numbers."""
    if "companion.simulate.blocks" not in sources(experiment.cell.__module__):
        return {}
    from companion.simulate import blocks

    return {"block_elements": blocks.BLOCK_ELEMENTS, "tape_elements": blocks.TAPE_ELEMENTS}


def _commit(experiment: Experiment) -> dict[str, Any]:
    """Commit of the checkout, and whether the code behind the experiment was changed since."""
    folder = checkout()
    commit = _git(folder, "rev-parse", "HEAD") if folder else None
    behind = filter(None, (experiment.cell, experiment.finish))
    files = {str(path) for part in behind for path in sources(part.__module__).values()}
    changed = _git(folder, "status", "--porcelain", "--", *sorted(files)) if commit else None
    return {"git_commit": commit or None, "git_changed": bool(changed)}


def _git(folder: Path | None, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
