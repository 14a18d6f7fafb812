"""Lock the versions installed in this environment in ``constraints.txt``."""

from __future__ import annotations

import re
import subprocess
import sys

from tools.inputs import ROOT

HEADER = (
    "# The versions with which the book and the tests are built; written by `make constraints`.\n"
    "# Not for users of the package alone, whose requirements have no upper bounds.\n"
)
# Pulled in by the CUDA builds of torch only; which of them exist depends on the machine.
_ACCELERATOR = re.compile(r"^(nvidia-|cuda-|triton\b|pytorch-triton)", re.IGNORECASE)


def main() -> int:
    command = [sys.executable, "-m", "pip", "freeze", "--exclude-editable"]
    frozen = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = locked(frozen)
    (ROOT / "constraints.txt").write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"constraints.txt: {len(lines)} versions")
    return 0


def locked(frozen: str) -> list[str]:
    """Return the lines of ``pip freeze`` that hold on every machine.

    A local version suffix (``+cpu``) names one build, and an address or path names one machine.
    """
    pinned = [line.split("+")[0] for line in frozen.splitlines() if "==" in line]
    return [line for line in pinned if not _ACCELERATOR.match(line)]


if __name__ == "__main__":
    sys.exit(main())
