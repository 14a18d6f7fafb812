"""Evidence, by paper: experiments that make the figures and claims that are tested.

Importing this package needs the ``sim`` and ``evidence`` extras.
"""

from __future__ import annotations

from companion._optional import require

require("torch", extra="sim", purpose="run experiments")
require("pandas", extra="evidence", purpose="run experiments")

import pandas as pd  # noqa: E402

from companion.papers import log_gaussian  # noqa: E402
from companion.papers.claims import Claim, ClaimsReport, report  # noqa: E402
from companion.sweeps import Experiment, preset_from_environment, run  # noqa: E402

__all__ = [
    "PAPERS",
    "all_claims",
    "all_experiments",
    "examine_claims",
    "find_experiment",
    "run_experiment",
]

#: Modules by paper key; each has ``EXPERIMENTS`` and ``CLAIMS``.
PAPERS = {"log-gaussian": log_gaussian}


def all_experiments() -> dict[str, Experiment]:
    """Every experiment by its id."""
    return {e.id: e for paper in PAPERS.values() for e in paper.EXPERIMENTS}


def all_claims() -> dict[str, Claim]:
    """Every claim by its id."""
    return {c.id: c for paper in PAPERS.values() for c in paper.CLAIMS}


def find_experiment(name: str) -> Experiment:
    """Experiment called ``name``.

    Raises
    ------
    ValueError
        Naming what exists.
    """
    known = all_experiments()
    if name not in known:
        raise ValueError(f"no experiment is called {name!r}; known are: {', '.join(known)}.")
    return known[name]


def run_experiment(name: str, *, seed: int = 0, device: str = "auto") -> pd.DataFrame:
    """Data of one experiment, at the preset named by ``COMPANION_PRESET`` (default quick)."""
    return run(find_experiment(name), preset_from_environment(), seed=seed, device=device)


def examine_claims(paper: str, *, device: str = "auto") -> ClaimsReport:
    """Test every claim of a paper at the preset named by ``COMPANION_PRESET``."""
    if paper not in PAPERS:
        raise ValueError(f"paper must be one of {', '.join(PAPERS)}, got {paper!r}.")
    return report(PAPERS[paper].CLAIMS, preset_from_environment(), device)
