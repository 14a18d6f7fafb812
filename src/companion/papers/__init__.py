"""Evidence, by paper: experiments that make the figures and claims that are tested.

Importing this package needs the ``sim`` and ``evidence`` extras.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from companion._optional import require

require("torch", extra="sim", purpose="run experiments")
require("pandas", extra="evidence", purpose="run experiments")

from companion.papers import (  # noqa: E402
    field_theory,
    large_depth,
    ledger,
    log_gaussian,
    residual_expansion,
    tangent_kernel,
)
from companion.papers.claims import Claim  # noqa: E402
from companion.papers.ledger import ClaimsReport  # noqa: E402
from companion.sweeps import Experiment, preset_from_environment  # noqa: E402

__all__ = [
    "CLAIMS_VARIABLE",
    "PAPERS",
    "all_claims",
    "all_experiments",
    "claims_report",
    "find_experiment",
    "select_claims",
]

#: Environment variable that names the file of a stored run of the claims.
CLAIMS_VARIABLE = "COMPANION_CLAIMS"

#: Modules by paper key; each has ``EXPERIMENTS`` and ``CLAIMS``.
PAPERS = {
    "residual-expansion": residual_expansion,
    "large-depth": large_depth,
    "field-theory": field_theory,
    "log-gaussian": log_gaussian,
    "tangent-kernel": tangent_kernel,
}


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


def select_claims(paper: str | None = None, names: Sequence[str] = ()) -> list[tuple[str, Claim]]:
    """Claims with the keys of their papers, in order.

    Parameters
    ----------
    paper : str, optional
        Key of a paper; default all papers.
    names : sequence of str
        Ids of claims; default all of them.

    Raises
    ------
    ValueError
        For a paper or a claim that does not exist, or a claim of another paper.
    """
    if paper is not None and paper not in PAPERS:
        raise ValueError(f"paper must be one of {', '.join(PAPERS)}, got {paper!r}.")
    keys = PAPERS if paper is None else [paper]
    found = [(key, claim) for key in keys for claim in PAPERS[key].CLAIMS]
    known = {claim.id for _, claim in found}
    for name in names:
        if name not in known:
            where = f" of {paper}" if paper else ""
            raise ValueError(
                f"no claim{where} is called {name!r}; known are: {', '.join(sorted(known))}."
            )
    return [(key, claim) for key, claim in found if not names or claim.id in names]


def claims_report(paper: str, *, device: str = "auto") -> ClaimsReport:
    """What testing every claim of a paper gave, at the preset named by ``COMPANION_PRESET``.

    The stored run that ``COMPANION_CLAIMS`` names is shown if there is one of this preset: the
    book tests each claim once. Otherwise the claims are tested now.
    """
    claims = select_claims(paper)
    preset = preset_from_environment()
    stored = os.environ.get(CLAIMS_VARIABLE)
    records = ledger.read(Path(stored), preset) if stored else None
    if records is None:
        records = ledger.examine(claims, preset, device)
    return ClaimsReport(tuple(row for row in records if row["paper"] == paper))
