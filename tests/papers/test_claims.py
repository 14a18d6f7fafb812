"""Claims: how a verdict comes about, and that it can come out differently."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from companion.montecarlo import Estimate
from companion.papers import PAPERS, all_claims, log_gaussian, select_claims
from companion.papers.claims import Check, Claim, Finding, at_least, at_most, exceeds, matches
from companion.papers.defects import describe, no_interlayer_term, planted

YES = Check("q", "1", "1", "equal", True)
NO = Check("q", "2", "1", "equal", False)
BLIND = replace(NO, resolved=False)


def estimate(value: float, sem: float) -> Estimate:
    return Estimate(np.asarray(value), np.asarray(sem), 100)


@pytest.mark.parametrize(
    ("finding", "verdict"),
    [
        (Finding((YES, YES)), "supported"),
        (Finding((YES, NO)), "not supported"),
        (Finding((YES,), "small", (NO, NO)), "conditional: small"),
        (Finding((YES,), "small", (NO, YES)), "supported"),
        (Finding((NO,), "small", (NO,)), "not supported"),
        (Finding((YES,), "small", (BLIND,)), "supported"),
    ],
)
def test_verdicts(finding, verdict):
    assert finding.verdict == verdict


def test_a_condition_is_tested_on_both_sides():
    with pytest.raises(ValueError, match="checks must hold at least one check"):
        Finding(())
    with pytest.raises(ValueError, match="condition and outside go together"):
        Finding((YES,), "small")
    with pytest.raises(ValueError, match="condition and outside go together"):
        Finding((YES,), outside=(NO,))


def test_agreement_needs_a_resolving_estimate():
    assert matches("q", estimate(1.0, 0.01), 1.02, effect=0.5).passed
    assert not matches("q", estimate(1.0, 0.01), 1.2, effect=0.5).passed, "too far"
    blind = matches("q", estimate(1.0, 1.0), 1.02, effect=0.5)
    assert not blind.passed, "too noisy to say"
    assert not blind.resolved
    assert not matches("q", estimate(1.0, 0.01), 1.02, effect=0.5, allowance=0.6).passed


def test_one_sided_checks():
    assert exceeds("q", estimate(1.0, 0.1), 0.5).passed
    assert not exceeds("q", estimate(1.0, 0.2), 0.5).passed
    assert at_most("q", 0.1, 0.2).passed
    assert not at_most("q", 0.2, 0.2).passed
    assert at_least("q", 0.3, 0.2, n=7).n == 7
    assert not at_least("q", 0.2, 0.2).passed


def test_a_check_carries_its_numbers():
    check = matches("q", estimate(1.0, 0.01), 1.02, effect=0.5)
    assert (check.estimate, check.sem, check.target, check.n) == (1.0, 0.01, 1.02, 100)


def claim(passes: bool, recorded: str) -> Claim:
    check = YES if passes else NO
    return Claim(
        "XX-01",
        "a < b & c",
        "derived here",
        recorded,
        "sec-x",
        {"quick": {}, "full": {}},
        1,
        lambda sizes, seed, device: Finding((check,)),
        no_interlayer_term,
    )


def test_names_of_presets_and_papers_are_checked():
    with pytest.raises(ValueError, match="preset must be one of"):
        claim(True, "supported").run("slow")
    with pytest.raises(ValueError, match="paper must be one of residual-expansion, large"):
        select_claims("lg")
    with pytest.raises(ValueError, match="no claim is called 'LG-99'; known are: FT-01"):
        select_claims(names=["LG-99"])


def test_every_claim_is_complete():
    claims = all_claims()
    assert sum(len(paper.CLAIMS) for paper in PAPERS.values()) == len(claims), "ids are unique"
    for one in claims.values():
        assert set(one.sizes) == {"quick", "full"}
        assert one.statement.endswith(".")
        assert one.recorded == "supported" or one.recorded.startswith(("conditional: ", "not"))
        assert one.origin
        assert one.test.__doc__
        assert describe(one.defect).endswith(".")


def test_every_anchor_is_a_label_of_the_book(root):
    text = "".join(p.read_text(encoding="utf-8") for p in (root / "notebooks").glob("*.md"))
    for one in all_claims().values():
        assert f"({one.anchor})=" in text, one.id


@pytest.mark.mc
@pytest.mark.parametrize("name", sorted(all_claims()))
def test_its_defect_changes_the_verdict(name):
    """On the whole library the recorded verdict is tested by the stage `claims` of the checks."""
    one = all_claims()[name]
    with planted(one.defect):
        assert one.run("quick", "cpu").verdict != one.recorded


@pytest.mark.mc
def test_a_condition_that_is_not_needed_is_noticed(monkeypatch):
    """The first-order law inside its domain on both sides: nothing fails outside."""
    one = all_claims()["LG-14"]
    inside = log_gaussian.claims._gradient_checks
    monkeypatch.setattr(
        log_gaussian.claims,
        "_gradient_checks",
        lambda depth, *rest: inside(3, rest[0], 20000, *rest[2:]),
    )
    assert one.run("quick", "cpu").verdict == "supported"
