"""The claims ledger: test claims, and show what came out as records, text or a table.

A record is a plain dictionary, ready for JSON. Its ``estimate``, ``sem``, ``expected`` and
``criterion`` are those of the first check of the claim; ``checks`` holds all of them, those outside
of a condition marked by ``inside: false``.
"""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from companion.papers.claims import Check, Claim, Finding
from companion.papers.defects import describe

__all__ = ["ClaimsReport", "as_json", "as_text", "examine", "read", "record", "report", "source_of"]

Record = dict[str, Any]

_PACKAGE = Path(__file__).resolve().parents[1]


def record(claim: Claim, preset: str = "quick", device: str = "auto", *, paper: str = "") -> Record:
    """Test one claim and say what was found."""
    from companion.simulate import resolve_device

    started = time.perf_counter()
    finding = claim.run(preset, device)
    seconds = time.perf_counter() - started
    first = finding.checks[0]
    return {
        "id": claim.id,
        "paper": paper,
        "statement": claim.statement,
        "origin": claim.origin,
        "preset": preset,
        "device": resolve_device(device).type,
        "n": first.n,
        "seed": claim.seed,
        "estimate": first.estimate,
        "sem": first.sem,
        "expected": first.target,
        "criterion": first.criterion,
        "verdict": finding.verdict,
        "recorded": claim.recorded,
        "agrees": finding.verdict == claim.recorded,
        "checks": _checks(finding),
        "anchor": claim.anchor,
        "code": source_of(claim.test),
        "defect": describe(claim.defect),
        "note": claim.note,
        "seconds": round(seconds, 2),
    }


def _checks(finding: Finding) -> list[Record]:
    sides = [(check, True) for check in finding.checks]
    sides += [(check, False) for check in finding.outside]
    return [_check(check) | {"inside": inside} for check, inside in sides]


def _check(check: Check) -> Record:
    return {
        "quantity": check.quantity,
        "n": check.n,
        "estimate": check.estimate,
        "sem": check.sem,
        "expected": check.target,
        "criterion": check.criterion,
        "passed": check.passed,
        "observed_text": check.observed,
        "expected_text": check.expected,
    }


def source_of(function: Any) -> Record:
    """Path (in the repository) and line of a function."""
    plain = inspect.unwrap(function)
    file = Path(inspect.getsourcefile(plain) or "").resolve()
    if file.is_relative_to(_PACKAGE):
        path = f"src/companion/{file.relative_to(_PACKAGE).as_posix()}"
    else:  # a function of the user's own
        path = file.name
    return {"path": path, "line": inspect.getsourcelines(plain)[1]}


def examine(
    claims: Sequence[tuple[str, Claim]],
    preset: str = "quick",
    device: str = "auto",
    *,
    jobs: int = 1,
    progress: bool = False,
) -> list[Record]:
    """Test claims, each given with the key of its paper, in this or in several processes.

    Parameters
    ----------
    jobs : int
        Number of processes. Each claim has its own seed, so the findings do not depend on it.
    progress : bool
        Show a bar on standard error once it takes more than two seconds.

    Raises
    ------
    ValueError
        If ``jobs`` is not a positive integer, or ``preset`` is not one.
    """
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise ValueError(f"jobs must be a positive integer, got {jobs!r}.")
    for _, claim in claims:
        claim.check_preset(preset)
    jobs = min(jobs, max(len(claims), 1))
    if jobs == 1:
        found: Iterable[Record] = (
            record(claim, preset, device, paper=paper) for paper, claim in claims
        )
    else:
        from joblib import Parallel, delayed

        # By name: a claim is defined where it is imported, not where it is tested.
        tasks = (delayed(_record_by_name)(claim.id, preset, device) for _, claim in claims)
        found = Parallel(n_jobs=jobs, return_as="generator")(tasks)
    return list(_watched(found, len(claims), progress))


def _record_by_name(name: str, preset: str, device: str) -> Record:
    from companion.papers import select_claims

    ((paper, claim),) = select_claims(names=[name])
    return record(claim, preset, device, paper=paper)


def _watched(found: Iterable[Record], total: int, progress: bool) -> Iterable[Record]:
    if not progress:
        return found
    from tqdm import tqdm

    return tqdm(found, total=total, desc="claims", unit="claim", delay=2)


def as_json(records: Sequence[Record]) -> str:
    """Records as a JSON list."""
    return json.dumps(list(records), indent=2, ensure_ascii=False)


def as_text(records: Sequence[Record]) -> str:
    """Every claim with its checks, for a terminal, and a closing line that counts."""
    blocks = [_claim_text(row) for row in records]
    agree = sum(row["agrees"] for row in records)
    closing = f"{len(records)} claims, {agree} as recorded, {len(records) - agree} not."
    return "\n".join([*blocks, closing])


def _claim_text(row: Record) -> str:
    verdict = row["verdict"]
    if not row["agrees"]:
        verdict += f"   <-- on record: {row['recorded']}"
    lines = [f"{row['id']}  {verdict}", f"       {row['statement']}  [{row['origin']}]"]
    width = max(len(check["quantity"]) for check in row["checks"])
    for check in row["checks"]:
        mark = "+" if check["passed"] else "-"
        side = "" if check["inside"] else "  (outside the condition: must fail)"
        lines.append(
            f"       {mark} {check['quantity']:<{width}}  {check['observed_text']:<18}  "
            f"expected {check['expected_text']:<8}  {check['criterion']}{side}"
        )
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class ClaimsReport:
    """Records of several claims, shown as a table in a notebook."""

    records: tuple[Record, ...]

    @property
    def all_as_recorded(self) -> bool:
        """Whether every verdict is the one on record."""
        return all(row["agrees"] for row in self.records)

    def _repr_html_(self) -> str:
        body = "".join(_claim_row(row) for row in sorted(self.records, key=lambda r: r["id"]))
        return (
            '<div class="claims" style="overflow-x:auto"><table class="dataframe"><thead><tr>'
            "<th>id</th><th>claim, origin, evidence</th><th>verdict</th></tr></thead>"
            f"<tbody>{body}</tbody></table></div>"
        )


def report(claims: Sequence[Claim], preset: str = "quick", device: str = "auto") -> ClaimsReport:
    """Test ``claims`` at the sizes of ``preset`` and tabulate what was found."""
    return ClaimsReport(tuple(examine([("", claim) for claim in claims], preset, device)))


def read(path: Path, preset: str) -> list[Record] | None:
    """Records of a stored run; none if there is no run of ``preset`` at ``path``."""
    if not path.is_file():
        return None
    stored: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return list(stored["claims"]) if stored.get("preset") == preset else None


def _claim_row(row: Record) -> str:
    note = "" if row["agrees"] else f" (recorded: {escape(row['recorded'])})"
    left = 'style="text-align:left;vertical-align:top"'
    return (
        f'<tr><td style="white-space:nowrap;vertical-align:top">{row["id"]}</td>'
        f"<td {left}>{escape(row['statement'])} "
        f"<small>({escape(row['origin'])})</small>{evidence_html(row['checks'])}</td>"
        f"<td {left}>{escape(row['verdict'])}{note}</td></tr>"
    )


def evidence_html(checks: Sequence[Record]) -> str:
    """Foldable table of checks; its summary shows the first."""
    first, passed = checks[0], sum(check["passed"] for check in checks)
    lines = "".join(_check_row(check) for check in checks)
    return (
        f"<details><summary>{passed} of {len(checks)} checks passed: "
        f"{escape(first['quantity'])} {escape(first['observed_text'])}, "
        f"expected {escape(first['expected_text'])}"
        "</summary><table><thead><tr><th></th><th>quantity</th><th>observed</th><th>expected</th>"
        f"<th>criterion</th></tr></thead><tbody>{lines}</tbody></table></details>"
    )


def _check_row(check: Record) -> str:
    where = "" if check["inside"] else " (outside the condition: must fail)"
    cells = (
        "✓" if check["passed"] else "✗",
        escape(check["quantity"]) + where,
        escape(check["observed_text"]),
        escape(check["expected_text"]),
        f"<small>{escape(check['criterion'])}</small>",
    )
    return "<tr>" + "".join(f'<td style="text-align:left">{c}</td>' for c in cells) + "</tr>"
