"""Claims: a statement, where it comes from, and a function that tests it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import pandas as pd

from companion.montecarlo import AGREEMENT_SIGMAS, Estimate
from companion.sweeps import PRESETS

__all__ = ["Check", "Claim", "ClaimsReport", "Finding", "at_most", "exceeds", "matches", "report"]

Sizes = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """One comparison inside a claim.

    ``observed`` is what simulation or an independent algorithm gives, ``expected`` what is
    claimed, ``criterion`` how they were compared, ``passed`` the outcome.
    """

    quantity: str
    observed: str
    expected: str
    criterion: str
    passed: bool


@dataclass(frozen=True)
class Finding:
    """Outcome of a claim's test.

    A claim with a ``condition`` is supported conditionally when every check inside the condition
    passes and every check ``outside`` of it fails.
    """

    checks: tuple[Check, ...]
    condition: str = ""
    outside: tuple[Check, ...] = ()

    @property
    def verdict(self) -> str:
        """``supported``, ``conditional: ...`` or ``not supported``."""
        if not all(check.passed for check in self.checks):
            return "not supported"
        if not self.condition:
            return "supported"
        if any(check.passed for check in self.outside):
            return "supported"
        return f"conditional: {self.condition}"


@dataclass(frozen=True)
class Claim:
    """A statement that is tested.

    Attributes
    ----------
    id : str
        Such as ``LG-05``.
    statement : str
        One sentence.
    origin : str
        Where the statement comes from: the abstract, public code, or derived here.
    recorded : str
        The verdict on record.
    anchor : str
        Label of the section of the book that discusses it.
    sizes : mapping
        For each preset the sample sizes and dimensions, fixed in advance.
    seed : int
        Root seed, fixed in advance.
    test : callable
        ``test(sizes, seed, device) -> Finding``.
    note : str
        Changes of size or criterion, and why.
    """

    id: str
    statement: str
    origin: str
    recorded: str
    anchor: str
    sizes: Mapping[str, Sizes]
    seed: int
    test: Callable[[Sizes, int, str], Finding]
    note: str = ""

    def run(self, preset: str = "quick", device: str = "auto") -> Finding:
        """Test the claim at the sizes of ``preset``."""
        if preset not in self.sizes:
            raise ValueError(f"preset must be one of {PRESETS}, got {preset!r}.")
        return self.test(self.sizes[preset], self.seed, device)


def matches(
    quantity: str,
    estimate: Estimate,
    target: float,
    *,
    effect: float,
    allowance: float = 0.0,
    k: float = AGREEMENT_SIGMAS,
) -> Check:
    """Agreement within ``k * sem + allowance``, by an estimate that resolves ``effect``.

    ``effect`` is the size of the deviation that the claim excludes; an estimate too noisy to see
    it fails the check, and so does an allowance that would swallow it.
    """
    band = k * float(estimate.sem) + allowance
    resolved = band < abs(effect)
    extra = f" + {allowance:.3g}" if allowance else ""
    return Check(
        quantity,
        f"{estimate}",
        _number(target),
        f"|difference| ≤ {k:g} s.e.{extra}, band < effect {abs(effect):.3g}",
        bool(estimate.agrees(target, k=k, allowance=allowance) and resolved),
    )


def exceeds(
    quantity: str, estimate: Estimate, bound: float, *, k: float = AGREEMENT_SIGMAS
) -> Check:
    """One-sided: the estimate lies above ``bound`` by more than ``k`` standard errors."""
    passed = bool(float(estimate.value) - k * float(estimate.sem) > bound)
    return Check(quantity, f"{estimate}", f"> {bound:g}", f"by more than {k:g} s.e.", passed)


def at_most(quantity: str, value: float, bound: float) -> Check:
    """A plain number stays below ``bound``."""
    return Check(quantity, f"{value:.4g}", f"< {bound:g}", "below the bound", bool(value < bound))


@dataclass(frozen=True)
class ClaimsReport:
    """Findings of several claims, shown as a table in a notebook.

    ``frame`` has one row per check, with the columns ``id``, ``statement``, ``origin``,
    ``quantity``, ``observed``, ``expected``, ``criterion``, ``passed``, ``inside`` (of the
    condition), ``verdict`` and ``recorded``.
    """

    frame: pd.DataFrame

    @property
    def all_as_recorded(self) -> bool:
        """Whether every verdict is the one on record."""
        return bool((self.frame["verdict"] == self.frame["recorded"]).all())

    def _repr_html_(self) -> str:
        body = "".join(_claim_row(rows) for _, rows in self.frame.groupby("id", sort=True))
        return (
            '<div class="claims" style="overflow-x:auto"><table class="dataframe"><thead><tr>'
            "<th>id</th><th>claim, origin, evidence</th><th>verdict</th></tr></thead>"
            f"<tbody>{body}</tbody></table></div>"
        )


def report(claims: Sequence[Claim], preset: str = "quick", device: str = "auto") -> ClaimsReport:
    """Test ``claims`` at the sizes of ``preset`` and tabulate what was found."""
    rows = []
    for claim in claims:
        finding = claim.run(preset, device)
        common = {"id": claim.id, "statement": claim.statement, "origin": claim.origin}
        outcome = {"verdict": finding.verdict, "recorded": claim.recorded}
        for inside, checks in ((True, finding.checks), (False, finding.outside)):
            for check in checks:
                rows.append({**common, **asdict(check), "inside": inside, **outcome})
    return ClaimsReport(pd.DataFrame(rows))


def _claim_row(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    lines = "".join(_check_row(check) for check in rows.itertuples())
    passed = f"{int(rows['passed'].sum())} of {len(rows)} checks passed"
    note = "" if first.verdict == first.recorded else f" (recorded: {escape(first.recorded)})"
    left = 'style="text-align:left;vertical-align:top"'
    return (
        f'<tr><td style="white-space:nowrap;vertical-align:top">{first.id}</td>'
        f"<td {left}>{escape(first.statement)} "
        f"<small>({escape(first.origin)})</small><details><summary>{passed}: "
        f"{escape(first.quantity)} {escape(first.observed)}, expected {escape(first.expected)}"
        f"</summary><table><thead><tr><th></th><th>quantity</th><th>observed</th><th>expected</th>"
        f"<th>criterion</th></tr></thead><tbody>{lines}</tbody></table></details></td>"
        f"<td {left}>{escape(first.verdict)}{note}</td></tr>"
    )


def _check_row(check: Any) -> str:
    where = "" if check.inside else " (outside the condition: must fail)"
    cells = (
        "✓" if check.passed else "✗",
        escape(check.quantity) + where,
        escape(check.observed),
        escape(check.expected),
        f"<small>{escape(check.criterion)}</small>",
    )
    return "<tr>" + "".join(f'<td style="text-align:left">{c}</td>' for c in cells) + "</tr>"


def _number(value: float) -> str:
    return f"{round(value, 12) + 0:.4g}"  # a rounding error of zero is zero
