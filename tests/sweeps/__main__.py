"""Run a toy experiment.

python -m tests.sweeps FOLDER [--jobs N] [--scheduler ADDRESS] [--size NAME]
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
from pathlib import Path

from companion import sweeps
from tests.sweeps.toys import SIZES, toy


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", default="tiny", choices=SIZES)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--scheduler")
    parser.add_argument("--file-limit", type=int, help="greatest size of a file, in bytes")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    if options.file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.file_limit,) * 2)
    try:
        sweeps.run(
            toy(*SIZES[options.size]),
            device="cpu",
            jobs=options.jobs,
            scheduler=options.scheduler,
            folder=options.folder,
        )
    except (OSError, ValueError) as error:
        sys.exit(f"toy: {error}")
    except sweeps.SweepInterrupted as stopped:
        print(f"toy: stopped; {stopped}", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
