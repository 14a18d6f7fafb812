"""Claims: how a verdict comes about, and that it can come out differently."""

from __future__ import annotations

import numpy as np
import pytest

from companion.montecarlo import Estimate
from companion.papers import PAPERS, all_claims, examine_claims
from companion.papers.claims import Check, Claim, Finding, at_most, exceeds, matches, report
from tests import defects

YES = Check("q", "1", "1", "equal", True)
NO = Check("q", "2", "1", "equal", False)


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
    ],
)
def test_verdicts(finding, verdict):
    assert finding.verdict == verdict


def test_agreement_needs_a_resolving_estimate():
    assert matches("q", estimate(1.0, 0.01), 1.02, effect=0.5).passed
    assert not matches("q", estimate(1.0, 0.01), 1.2, effect=0.5).passed, "too far"
    assert not matches("q", estimate(1.0, 1.0), 1.02, effect=0.5).passed, "too noisy to say"
    assert not matches("q", estimate(1.0, 0.01), 1.02, effect=0.5, allowance=0.6).passed


def test_one_sided_checks():
    assert exceeds("q", estimate(1.0, 0.1), 0.5).passed
    assert not exceeds("q", estimate(1.0, 0.2), 0.5).passed
    assert at_most("q", 0.1, 0.2).passed
    assert not at_most("q", 0.2, 0.2).passed


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
    )


@pytest.mark.parametrize("passes", [True, False])
@pytest.mark.parametrize("recorded", ["supported", "not supported"])
def test_a_report_compares_with_the_record_in_both_directions(passes, recorded):
    found = report([claim(passes, recorded)])
    assert found.all_as_recorded == (passes == (recorded == "supported"))
    html = found._repr_html_()
    assert "a &lt; b &amp; c" in html
    assert ("recorded:" in html) != found.all_as_recorded


def test_names_of_presets_and_papers_are_checked():
    with pytest.raises(ValueError, match="preset must be one of"):
        claim(True, "supported").run("slow")
    with pytest.raises(ValueError, match="paper must be one of log-gaussian"):
        examine_claims("lg")


def test_every_claim_is_complete():
    claims = all_claims()
    assert sum(len(paper.CLAIMS) for paper in PAPERS.values()) == len(claims), "ids are unique"
    for one in claims.values():
        assert set(one.sizes) == {"quick", "full"}
        assert one.statement.endswith(".")
        assert one.recorded == "supported" or one.recorded.startswith(("conditional: ", "not"))
        assert one.origin
        assert one.test.__doc__


def test_every_anchor_is_a_label_of_the_book(root):
    text = "".join(p.read_text(encoding="utf-8") for p in (root / "notebooks").glob("*.md"))
    for one in all_claims().values():
        assert f"({one.anchor})=" in text, one.id


@pytest.mark.mc
@pytest.mark.parametrize(
    ("name", "defect"),
    [
        ("LG-02", defects.scale_for_share),
        ("LG-03", defects.scale_for_share),
        ("LG-11", defects.no_interlayer_term),
        ("LG-12", defects.fresh_backward_weights),
        ("LG-14", defects.patterns_alone),
    ],
)
def test_a_defect_changes_the_verdict(name, defect):
    one = all_claims()[name]
    with defects.planted(defect):
        assert one.run("quick", "cpu").verdict != one.recorded
