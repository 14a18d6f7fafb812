"""Published results: the full presets, one table and one manifest per experiment.

They lie in ``results/`` of the repository; where that is not at hand, they are fetched from the
release. Only `publish` writes them.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from companion._checkout import checkout
from companion._optional import require

require("pandas", extra="evidence", purpose="read published results")

import pandas as pd  # noqa: E402

from companion.papers import find_experiment  # noqa: E402
from companion.sweeps import manifest as manifests  # noqa: E402
from companion.sweeps import run  # noqa: E402
from companion.sweeps.store import write_file  # noqa: E402

__all__ = ["MAXIMUM_BYTES", "is_current", "load", "publish", "published", "read"]

#: No published file is larger.
MAXIMUM_BYTES: Final = 1_000_000

#: Release assets by file name: address and SHA-256.
ASSETS: Final[Mapping[str, tuple[str, str]]] = {}


def load(name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Published table of an experiment and its manifest.

    Taken from ``results/`` of the checkout, or else from the release. Where neither has it, a
    warning says so and the quick preset is run; its manifest then holds ``experiment``, ``preset``
    and ``seed`` alone, and ``table_sha256`` is None.

    Raises
    ------
    ValueError
        If no experiment has this name, or a file does not have the checksum in its manifest.
    """
    experiment = find_experiment(name)
    files = _local(name) or _released(name)
    if files is not None:
        return _checked(*files)
    warnings.warn(
        f"no published result of {name!r} is at hand; its quick preset is run instead.",
        stacklevel=2,
    )
    note = {"experiment": name, "preset": "quick", "seed": 0, "table_sha256": None}
    return run(experiment, "quick", progress=True), note


def read(run_dir: Path, name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Table and manifest of a finished run in its own folder, checked as `load` does."""
    return _checked(Path(run_dir) / f"{name}.parquet", Path(run_dir) / f"{name}.json")


def published() -> list[str]:
    """Names of the experiments with a table and a manifest in ``results/`` of the checkout."""
    folder = _folder()
    if folder is None or not folder.is_dir():
        return []
    return sorted(p.stem for p in folder.glob("*.json") if p.with_suffix(".parquet").is_file())


def publish(name: str, run_dir: Path) -> list[Path]:
    """Copy the table and the manifest of a finished full run to ``results/`` of the checkout.

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    ValueError
        If the run is not finished, not of the full preset, damaged, of another experiment, or a
        file exceeds 1 MB. Nothing is written then.
    """
    folder = _folder()
    if folder is None:
        raise ValueError("publishing needs a checkout of the repository; start it inside one.")
    table, note = (Path(run_dir) / f"{name}.{kind}" for kind in ("parquet", "json"))
    _check_publishable(name, table, note)
    files = {folder / path.name: path.read_bytes() for path in (table, note)}
    # The manifest last: until then the pair is either the old one or found to be damaged.
    return [write_file(path, data) for path, data in files.items()]


def is_current(manifest: Mapping[str, Any]) -> bool:
    """Whether the code behind a result is the code of today; False means "older code".

    Raises
    ------
    ValueError
        If the experiment no longer exists.
    """
    hashes = manifests.code_hashes(find_experiment(manifest["experiment"]))
    return all(manifest.get(name) == value for name, value in hashes.items())


def _folder() -> Path | None:
    root = checkout()
    return None if root is None else root / "results"


def _local(name: str) -> tuple[Path, Path] | None:
    folder = _folder()
    if folder is None or name not in published():
        return None
    return folder / f"{name}.parquet", folder / f"{name}.json"


def _released(name: str) -> tuple[Path, Path] | None:
    files = (f"{name}.parquet", f"{name}.json")
    if any(file not in ASSETS for file in files):
        return None
    table, note = (_download(file) for file in files)
    return table, note


def _download(file: str) -> Path:
    """Fetch a release asset once; pooch keeps it and checks its hash."""
    require("pooch", extra="learn", purpose="fetch published results")
    import pooch

    address, sha256 = ASSETS[file]
    return Path(pooch.retrieve(address, f"sha256:{sha256}", fname=f"{sha256[:16]}-{file}"))


def _checked(table: Path, note: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    manifest = manifests.read(note)
    _check_sum(table, manifest)
    return pd.read_parquet(io.BytesIO(table.read_bytes())), manifest


def _check_sum(table: Path, manifest: Mapping[str, Any]) -> None:
    found = manifests.file_hash(table)
    if found != manifest["table_sha256"]:
        raise ValueError(
            f"{str(table)!r} is damaged: its checksum {found[:12]}... is not the one in its "
            f"manifest ({str(manifest['table_sha256'])[:12]}...); restore it or run it anew."
        )


def _check_publishable(name: str, table: Path, note: Path) -> None:
    find_experiment(name)
    missing = [path.name for path in (table, note) if not path.is_file()]
    if missing:
        raise ValueError(
            f"{str(table.parent)!r} holds no finished run ({' and '.join(missing)} missing); run "
            f"`companion run {name} --preset full` first."
        )
    manifest = manifests.read(note)
    if manifest["experiment"] != name:
        raise ValueError(f"{str(note)!r} belongs to {manifest['experiment']!r}, not to {name!r}.")
    if manifest["preset"] != "full":
        raise ValueError(
            f"only full presets are published, got {manifest['preset']!r}; run "
            f"`companion run {name} --preset full` first."
        )
    _check_sum(table, manifest)
    for path in (table, note):
        if os.path.getsize(path) >= MAXIMUM_BYTES:
            raise ValueError(
                f"{str(path)!r} has {os.path.getsize(path)} bytes; a published file has fewer than "
                f"{MAXIMUM_BYTES}: let the cell return fewer rows."
            )
