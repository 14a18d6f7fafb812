"""Compare every published result with a run of the package as it is now.

    python -m tools.drift            all published experiments, at the preset quick
    python -m tools.drift lg-norms   some of them

A number that differs by more than its error bars allow is named, and the run fails.
"""

from __future__ import annotations

import argparse
import os
import sys

from companion import evidence, results
from tools.inputs import ROOT


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("experiments", nargs="*", help="default: all that are published")
    names = parser.parse_args(arguments).experiments or results.published()
    alarms = [alarm for name in names if (alarm := check(name))]
    print(f"{len(names)} published results, {len(alarms)} drifted")
    return int(bool(alarms))


def check(name: str) -> str | None:
    """Return what is wrong with a published result, if anything, and print what was found."""
    found = evidence.gather(name)
    if not found.comparable:
        print(f"{name}: holds no standard errors, nothing to compare")
        return None
    agreement = evidence.compare(found.full, found.quick, found.experiment)
    try:
        found.assert_agree()
    except AssertionError as error:
        print(error)
        return str(error)
    print(
        f"{name}: {agreement.count} numbers agree; largest difference {agreement.worst:.1f} "
        f"standard errors, {agreement.limit:.1f} allowed"
    )
    return None


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
