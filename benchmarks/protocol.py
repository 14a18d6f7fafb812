"""How times are compared: interleaved rounds in one process, ratios, one thread, CPU time.

The ratio of two contestants is taken within each round, so a slow moment of the machine hits both.
The median of the rounds is reported with its 10 % and 90 % quantiles; a target is met when the
quantile on the unfavourable side meets it.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = ["RECORD", "Ratio", "compare", "duration", "limit", "machine", "update_record"]

#: The stored record that the benchmarks page is made from.
RECORD = Path(__file__).parent / "record.json"

ROUNDS = 7
SHORTEST_ROUND = 0.02  # seconds


@dataclass(frozen=True)
class Ratio:
    """Outcome of one comparison.

    ``median``, ``low`` and ``high`` are quantiles over rounds of (time of the slower contestant,
    per unit of work) / (time of the other), or of a plain number whose unit ``what`` names;
    ``bound`` is the target, ``at_least`` its direction.
    """

    name: str
    what: str
    median: float
    low: float
    high: float
    bound: float
    at_least: bool
    rounds: int
    context: str

    @property
    def met(self) -> bool:
        """Whether the unfavourable quantile meets the target."""
        return self.low >= self.bound if self.at_least else self.high <= self.bound


def compare(
    name: str,
    what: str,
    numerator: tuple[Callable[[], object], float],
    denominator: tuple[Callable[[], object], float],
    *,
    bound: float,
    at_least: bool,
    rounds: int = ROUNDS,
) -> Ratio:
    """Time two contestants in turn.

    Parameters
    ----------
    numerator, denominator : (callable, units of work done by one call)
        The ratio is of times per unit of work.
    bound, at_least
        The target.
    """
    ratios, per_unit = [], ([], [])
    for function, _ in (numerator, denominator):
        function()  # warm-up
    for _ in range(rounds):
        times = []
        for slot, (function, units) in enumerate((numerator, denominator)):
            seconds = _timed(function) / units
            times.append(seconds)
            per_unit[slot].append(seconds)
        ratios.append(times[0] / times[1])
    low, median, high = np.quantile(ratios, [0.1, 0.5, 0.9])
    rates = [1 / np.median(seconds) for seconds in per_unit]
    return Ratio(
        name,
        what,
        float(median),
        float(low),
        float(high),
        bound,
        at_least,
        rounds,
        f"{rates[0]:.3g}/s against {rates[1]:.3g}/s",
    )


def duration(
    name: str,
    what: str,
    contestant: tuple[Callable[[], object], float],
    *,
    bound: float,
    rounds: int = ROUNDS,
) -> Ratio:
    """CPU seconds per unit of work, where a target is an absolute time."""
    function, units = contestant
    function()  # warm-up
    seconds = [_timed(function) / units for _ in range(rounds)]
    low, median, high = (float(q) for q in np.quantile(seconds, [0.1, 0.5, 0.9]))
    return Ratio(name, what, median, low, high, bound, False, rounds, "absolute")


def limit(name: str, what: str, value: float, *, bound: float) -> Ratio:
    """A number measured once that must not exceed its target."""
    return Ratio(name, what, value, value, value, bound, False, 1, "absolute")


def machine() -> dict[str, str]:
    """What the record has to say about where it was made."""
    return {
        "date": date.today().isoformat(),
        "processor": _processor(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": str(torch.get_num_threads()),
        "load": f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown",
        "clock": "process time (CPU seconds)",
    }


def update_record(
    subject: str, ratios: list[Ratio], facts: Mapping[str, str], path: Path = RECORD
) -> None:
    """Store the rows of a subject in the place of its old ones, whole or not at all."""
    record: dict[str, Any] = {"ratios": [], "facts": {}}
    if path.exists():
        record = json.loads(path.read_text(encoding="utf-8"))
    rows = [row for row in record["ratios"] if row.get("subject") != subject]
    rows += [{"subject": subject, **asdict(r), "met": r.met} for r in ratios]
    kept = {k: v for k, v in record["facts"].items() if k not in facts}
    record = {"machine": machine(), "ratios": rows, "facts": {**kept, **facts}}
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def _timed(function: Callable[[], object]) -> float:
    """CPU seconds of one call, repeated until a round is long enough to be measured."""
    calls, start = 0, time.process_time()
    while True:
        function()
        calls += 1
        elapsed = time.process_time() - start
        if elapsed >= SHORTEST_ROUND:
            return elapsed / calls


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
