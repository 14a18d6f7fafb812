"""Test every claim once for each state of the package; the book and the checks read the result.

    python -m tools.claims

The run is stored under ``build/claims`` beside a hash of what it depends on. It fails if a verdict
is not the one on record, also when it is read again from the store.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

from tools.inputs import ROOT, chapter_environment, claims_path, preset, version_stamp

WORKERS = 2


def main() -> int:
    return execute_missing(ROOT)


def execute_missing(root: Path) -> int:
    """Test the claims unless their run is stored; return an exit status."""
    if not (root / "src" / "companion" / "papers").is_dir():
        return 0  # a book without claims
    path = claims_path(root)
    if path.is_file():
        return _say(json.loads(path.read_text(encoding="utf-8")), "already tested")
    command = [sys.executable, "-m", "companion", "claims", "--json"]
    command += ["--preset", preset(), "--jobs", str(WORKERS)]
    done = subprocess.run(
        command, cwd=root, env=chapter_environment(root), stdout=subprocess.PIPE, check=False
    )
    try:
        records = json.loads(done.stdout)
    except ValueError:  # it ended before there was a verdict, and has said why
        return done.returncode or 1
    stored = {
        "preset": preset(),
        "stamp": version_stamp(root),
        "date": date.today().isoformat(),
        "claims": records,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(stored, indent=1, ensure_ascii=False), encoding="utf-8")
    partial.replace(path)
    return _say(stored, "tested")


def _say(stored: dict[str, Any], how: str) -> int:
    records = stored["claims"]
    differing = [row for row in records if not row["agrees"]]
    seconds = sum(row["seconds"] for row in records)
    print(f"claims at preset {stored['preset']}: {len(records)} {how} ({seconds:.0f} s of work)")
    for row in differing:
        print(f"{row['id']}: verdict {row['verdict']!r}, on record {row['recorded']!r}")
    return int(bool(differing))


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
