"""``python -m benchmarks``: measure, print, and store the record of the benchmarks page."""

from __future__ import annotations

import sys

import torch

from benchmarks import large_depth, matrixfree
from benchmarks.protocol import write_record


def main() -> int:
    """Run every comparison; the exit status counts the missed targets."""
    torch.set_num_threads(1)
    subjects = (matrixfree, large_depth)
    checks = "; ".join(subject.check() for subject in subjects)
    print(checks)
    found = [ratio for subject in subjects for ratio in subject.ratios()]
    for ratio in found:
        sign, mark = ("≥" if ratio.at_least else "≤"), ("met" if ratio.met else "MISSED")
        print(
            f"{ratio.what}: {ratio.median:.3g} ({ratio.low:.3g}-{ratio.high:.3g}), "
            f"target {sign} {ratio.bound:g}: {mark}; {ratio.context}"
        )
    facts = {"laws": checks}
    for subject in subjects:
        facts |= subject.facts()
    for name, fact in facts.items():
        print(f"{name}: {fact}")
    write_record(found, facts)
    return sum(not ratio.met for ratio in found)


if __name__ == "__main__":
    sys.exit(main())
