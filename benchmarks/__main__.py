"""Measure, print, and store the record of the benchmarks page.

    python -m benchmarks                everything, which takes about ten minutes of two cores
    python -m benchmarks matrixfree     one subject; the rest of the record stays as it is

The exit status counts the missed targets.
"""

from __future__ import annotations

import argparse
import sys
from types import ModuleType

import torch

from benchmarks import jets, large_depth, matrixfree, phase_diagram, tangent_kernel
from benchmarks.protocol import update_record

SUBJECTS: dict[str, ModuleType] = {
    "matrixfree": matrixfree,
    "large_depth": large_depth,
    "phase_diagram": phase_diagram,
    "jets": jets,
    "tangent_kernel": tangent_kernel,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the comparisons of some subjects, or of all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("subjects", nargs="*", help=f"among {', '.join(SUBJECTS)}; default: all")
    names = parser.parse_args(arguments).subjects or list(SUBJECTS)
    unknown = [name for name in names if name not in SUBJECTS]
    if unknown:
        parser.error(f"no subject is called {unknown[0]!r}; known are: {', '.join(SUBJECTS)}")
    torch.set_num_threads(1)
    missed = 0
    for name in names:
        subject = SUBJECTS[name]
        fact = subject.check()
        print(fact)
        found = subject.ratios()
        for ratio in found:
            sign, mark = ("≥" if ratio.at_least else "≤"), ("met" if ratio.met else "MISSED")
            print(
                f"{ratio.what}: {ratio.median:.3g} ({ratio.low:.3g}-{ratio.high:.3g}), "
                f"target {sign} {ratio.bound:g}: {mark}; {ratio.context}"
            )
        facts = {f"check of {name}": fact, **subject.facts()}
        for key, text in facts.items():
            print(f"{key}: {text}")
        update_record(name, found, facts)
        missed += sum(not ratio.met for ratio in found)
    return missed


if __name__ == "__main__":
    sys.exit(main())
