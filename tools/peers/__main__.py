"""Compare the tangent kernel with the neural-tangents library, in an environment of its own.

    python -m tools.peers                    make build/peers, write the reference values, time
    python -m tools.peers --python PATH      use this interpreter, which has the library

Writes the values that tests/kernels reads, and the rows of the benchmarks page.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.protocol import Ratio, update_record
from benchmarks.tangent_kernel import cached, network
from companion.kernels import tangent
from tools.inputs import ROOT

HERE = Path(__file__).parent
ENVIRONMENT = ROOT / "build" / "peers"
VALUES = ROOT / "tests" / "kernels" / "neural_tangents.json"
#: How many times as long the library may take at least, compiled, by depth.
TARGETS = {10: 10.0, 100: 50.0}
QUANTILES = (0.1, 0.5, 0.9)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--python", type=Path, help="interpreter that has the library")
    python = parser.parse_args(arguments).python or environment()
    values = ask(python, "values")
    worst = largest_gap(values)
    print(f"largest relative difference of the kernels: {worst:.1e}")
    if worst > 1e-6:
        print("FAILED: the kernels differ; no time is valid")
        return 1
    VALUES.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    rows = [ratio(found) for found in ask(python, "times")]
    for row in rows:
        print(f"{row.what}: {row.median:.3g} ({row.low:.3g}-{row.high:.3g}); {row.context}")
    versions = ", ".join(f"{name} {number}" for name, number in values["versions"].items())
    fact = f"largest relative difference {worst:.1e} ({versions})"
    update_record("peers", rows, {"tangent kernel against another library": fact})
    return sum(not row.met for row in rows)


def environment() -> Path:
    """Interpreter of the peers' environment, which is made if it is not there."""
    scripts = ENVIRONMENT / ("Scripts" if sys.platform == "win32" else "bin")
    done = ENVIRONMENT / ".installed"
    if not done.exists():
        venv.create(ENVIRONMENT, with_pip=True)
        pins = str(HERE / "requirements.txt")
        command = [str(scripts / "python"), "-m", "pip", "install", "--quiet", "-r", pins]
        subprocess.run(command, check=True)
        done.touch()
    return scripts / "python"


def ask(python: Path, question: str) -> Any:
    """What the library says, from a process of its own."""
    script = str(HERE / "neural_tangents_peer.py")
    done = subprocess.run([str(python), script, question], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def largest_gap(values: dict[str, Any]) -> float:
    """Largest difference of the tangent kernels, relative to the diagonal."""
    worst = 0.0
    for case in values["cases"]:
        parts = tangent.tangent_parts(network(case["depth"], case["scale"]), values["angles"])
        ours = (parts.blocks + parts.readout + parts.embedding) * math.exp(parts.log_scale)
        theirs = np.array(case["tangent"])
        worst = max(worst, float(np.abs(ours - theirs).max() / theirs[0]))
    return worst


def ratio(found: dict[str, Any]) -> Ratio:
    """Their later calls over ours with the table at hand, each timed in its own process."""
    depth, samples = found["depth"], found["samples"]
    run, _ = cached(samples, depth)
    run()
    ours = []
    for _ in found["later"]:
        start = time.process_time()
        for _ in range(10):
            run()
        ours.append((time.process_time() - start) / 10)
    low, median, high = (float(q) for q in np.quantile(found["later"] / np.array(ours), QUANTILES))
    return Ratio(
        name=f"peer-{depth}-{samples}",
        what=f"neural-tangents, compiled / table at hand, N = {samples}, L = {depth}",
        median=median,
        low=low,
        high=high,
        bound=TARGETS[depth],
        at_least=True,
        rounds=len(ours),
        context=(
            f"CPU seconds {np.median(found['later']):.2g} (and {found['first']:.2g} for the first "
            f"call, with its compilation) against {np.median(ours):.2g}"
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
