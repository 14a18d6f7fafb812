"""What the phase diagram of the large-depth chapter costs, in minutes and in memory."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

from benchmarks.protocol import Ratio, limit
from companion.papers import find_experiment
from companion.sweeps import run

__all__ = ["check", "facts", "ratios"]


def check() -> str:
    """Nothing is compared here: the simulation is the one that the tests check."""
    return "phase diagram as published"


def ratios() -> list[Ratio]:
    """The absolute targets."""
    return [
        limit(
            "ld-phase-minutes",
            "minutes of wall time for the phase diagram on two cores: 51 × 70 points, "
            "10 networks × 50 inputs each, both directions, L = 1000, n = 40",
            _phase_minutes(),
            bound=8.0,
        ),
        *(
            limit(f"ld-memory-{name}", f"GiB at the peak: {what}", _peak(code), bound=2.0)
            for name, (what, code) in _SETTINGS.items()
        ),
    ]


def _phase_minutes() -> float:
    """The main map of the experiment, by two processes."""
    experiment = find_experiment("ld-phase")
    columns = [
        cell
        for cell in experiment.grids["full"]
        if (cell["block"], cell["generator"]) == ("two-layer", "exact")
    ]
    chosen = replace(experiment, grids={"quick": columns, "full": columns})
    start = time.perf_counter()
    run(chosen, "full", device="cpu", jobs=2)
    return (time.perf_counter() - start) / 60


#: What is measured in a process of its own: the largest cells of the published experiments.
_SETTINGS = {
    "phase": (
        "one column of the phase diagram",
        "from companion.papers.large_depth import cells as m; f = m.phase; i = 'ld-phase'; k = 0",
    ),
    "histogram": (
        "explicit weights, L = 1000, n = 100",
        "from companion.papers.large_depth import limits as m; f = m.histogram; "
        "i = 'ld-histogram'; k = 1",
    ),
    "contraction": (
        "explicit weights, L = 4000",
        "from companion.papers.large_depth import cells as m; f = m.contraction; "
        "i = 'ld-contraction'; k = 5",
    ),
    "training": (
        "150 trained networks, L = 200",
        "from companion.papers.large_depth import trained as m; f = m.accuracy; "
        "i = 'ld-accuracy'; k = 0",
    ),
}

_PEAK = """
import resource, torch
torch.set_num_threads(1)
import numpy as np
{code}
from companion.papers import find_experiment
params = find_experiment(i).grid("full")[k]
if "networks" in params and params.get("inputs", 1) == 1 and i != "ld-accuracy":
    params = {{**params, "networks": min(params["networks"], 40)}}
f(params, np.random.SeedSequence(1), "cpu")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _peak(code: str) -> float:
    """Resident memory at the peak in GiB; the number of networks does not enter it."""
    done = subprocess.run(
        [sys.executable, "-c", _PEAK.format(code=code)], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1]) / 2**20


def facts() -> dict[str, str]:
    """Nothing beside the targets."""
    return {}
