"""Evidence, by paper: experiments that make the figures and claims that are tested.

Importing this package needs the ``sim`` and ``evidence`` extras.
"""

from __future__ import annotations

from companion._optional import require

require("torch", extra="sim", purpose="run experiments")
require("pandas", extra="evidence", purpose="run experiments")

from companion.papers import log_gaussian  # noqa: E402
from companion.papers.claims import Claim  # noqa: E402
from companion.sweeps import Experiment  # noqa: E402

__all__ = ["PAPERS", "all_claims", "all_experiments", "find_experiment"]

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
