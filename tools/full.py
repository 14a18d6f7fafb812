"""Run every experiment at full size, or recompute samples of the finished runs.

python -m tools.full             run; what is there already is kept, so a stopped run resumes
python -m tools.full --jobs 2    on two processes
python -m tools.full --verify    compare a random sample of shards with each run
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from tools.inputs import ROOT


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", default="1", help="processes; -1 for one per core")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--verify", action="store_true", help="compare instead of run")
    options = parser.parse_args(arguments)
    mode = ["--verify"] if options.verify else ["--jobs", options.jobs]
    failed = []
    for name in experiments():
        print(f"--- {name}", flush=True)
        status = companion("run", name, "--preset", "full", "--device", options.device, *mode)
        if status == 130:  # stopped from the keyboard: the others are not wanted either
            return status
        failed += [name] if status else []
    if failed:
        print(f"FAILED: {', '.join(failed)}")
    return int(bool(failed))


def experiments() -> list[str]:
    from companion.papers import all_experiments  # noqa: PLC0415

    return list(all_experiments())


def companion(*arguments: str) -> int:
    command = [sys.executable, "-m", "companion", *arguments]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
