"""The ledger, the status page, chapter stamps and the sources of figures in the built book."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import BrowserContext, Page

from companion import REPOSITORY_URL, papers, results
from tests.book.conftest import page_names
from tests.book.test_pages import leads_somewhere
from tools import provenance
from tools.browser import open_browser
from tools.inputs import ROOT, claims_path

pytestmark = pytest.mark.book


@pytest.fixture(scope="module")
def stored() -> list[dict]:
    return json.loads(claims_path(ROOT).read_text(encoding="utf-8"))["claims"]


def soup(html: Path, page: str) -> BeautifulSoup:
    return BeautifulSoup((html / f"{page}.html").read_text(encoding="utf-8"), "html.parser")


def ledger_rows(html: Path) -> list[Tag]:
    return soup(html, "book/ledger").select("table.ledger > tbody > tr")


def test_the_ledger_has_a_row_for_each_claim(html: Path, stored: list[dict]) -> None:
    rows = ledger_rows(html)
    assert [row.find("td").get_text(strip=True) for row in rows] == sorted(papers.all_claims())
    by_id = {record["id"]: record for record in stored}
    assert len(by_id) == len(rows)
    for row in rows:
        cells = row.find_all("td", recursive=False)
        text = [cell.get_text(" ", strip=True) for cell in cells]
        record = by_id[text[0]]
        first = record["checks"][0]
        assert text[1] == record["verdict"]
        written = text[2].replace("’", "'")  # the book sets apostrophes
        for part in ("statement", "origin", "defect"):
            assert record[part] in written
        assert text[3] == f"{first['quantity']}: {first['observed_text']}"
        assert text[4:6] == [first["expected_text"], first["criterion"]]
        assert len(row.select("details tbody tr")) == len(record["checks"])


def test_each_claim_links_to_its_section_and_its_code(html: Path) -> None:
    here = html / "book" / "ledger.html"
    for row in ledger_rows(html):
        name = row.find("td").get_text(strip=True)
        claim = papers.all_claims()[name]
        section, code = (str(link["href"]) for link in row.select("td:last-child a"))
        assert leads_somewhere(here, section), section
        assert section.endswith(f"#{claim.anchor}")
        found = re.fullmatch(rf"{REPOSITORY_URL}/blob/main/(\S+)#L(\d+)", code)
        assert found is not None, code
        line = (ROOT / found[1]).read_text(encoding="utf-8").splitlines()[int(found[2]) - 1]
        assert line.startswith(f"def {claim.test.__name__}(")


#: The chapter of each paper.
CHAPTERS = {
    "residual-expansion": "notebooks/01-residual-expansion",
    "large-depth": "notebooks/02-large-depth",
    "field-theory": "notebooks/03-field-theory",
    "log-gaussian": "notebooks/04-log-gaussian",
    "tangent-kernel": "notebooks/05-tangent-kernel",
}


def test_each_paper_has_a_chapter() -> None:
    assert list(CHAPTERS) == list(papers.PAPERS)


@pytest.mark.parametrize("paper", CHAPTERS)
def test_ledger_and_chapter_show_one_run(html: Path, stored: list[dict], paper: str) -> None:
    chapter = soup(html, CHAPTERS[paper]).select_one(".claims")
    assert chapter is not None
    text = chapter.get_text(" ", strip=True)
    records = [record for record in stored if record["paper"] == paper]
    assert records
    for record in records:
        for check in record["checks"]:
            assert check["observed_text"] in text, record["id"]


def test_the_status_page_has_a_row_for_everything(html: Path) -> None:
    chapters, experiments = soup(html, "book/status").select(".result-status table")
    names = [row.find("td").get_text(strip=True) for row in chapters.select("tbody tr")]
    assert names == [Path(page).name for page in page_names(only_notebooks=True)]
    for row in experiments.select("tbody tr"):
        cells = [cell.get_text(" ", strip=True) for cell in row.find_all("td")]
        facts = provenance.experiment(cells[0])
        if facts["manifest"] is None:
            assert cells[-1] == "not published yet"
            continue
        _, manifest = results.load(cells[0])
        assert cells[1].startswith(manifest["git_commit"][:7])
        assert cells[2:5] == ["full", manifest["device"]["name"], str(manifest["seed"])]
        assert int(cells[5].replace(" ", "")) == manifest["networks"]
        assert cells[7] == manifest["date"][:10]
        assert f"torch {manifest['versions']['torch']}" in cells[8]
        assert cells[9] == ("current" if results.is_current(manifest) else "older code")
    assert len(experiments.select("tbody tr")) == len(papers.all_experiments())


@pytest.mark.parametrize("page", page_names(only_notebooks=True))
def test_a_chapter_says_how_it_was_computed(html: Path, page: str) -> None:
    (stamp,) = soup(html, page).select("article .companion-stamp")
    before = stamp.find_previous(["h1", "h2", "p"])
    assert before.name == "h1", "it stands under the title"
    pattern = r"Computed \d{4}-\d\d-\d\d: preset (quick|full), (cpu|cuda), [\d.]+ \w+, version .*"
    assert re.match(pattern, stamp.get_text())
    assert leads_somewhere(html / f"{page}.html", str(stamp.find("a")["href"]))


@pytest.mark.parametrize("paper", CHAPTERS)
def test_figures_link_to_their_data_and_code(html: Path, paper: str) -> None:
    page = CHAPTERS[paper]
    sources = soup(html, page).select("article .companion-source")
    text = " ".join(source.get_text() for source in sources)
    for experiment in papers.PAPERS[paper].EXPERIMENTS:
        if experiment.id != "ld-exponents":  # a table, without a caption
            assert f"{experiment.id} (" in text
    for source in sources:
        links = [(link.get_text(), str(link["href"])) for link in source.find_all("a")]
        code = [address for label, address in links if label == "code"]
        assert all(address.startswith(f"{REPOSITORY_URL}/blob/main/src/") for address in code)
        for label, address in links:
            assert label == "code" or leads_somewhere(html / f"{page}.html", address)
        run = "Live run" if any(label == "CSV" for label, _ in links) else "Run"
        assert re.search(rf"{run}: (quick|full), \w+, \d{{4}}-\d\d-\d\d\.", source.get_text())
    figures = soup(html, page).select("article figure figcaption .companion-source")
    interactive = {"residual-expansion": 2, "large-depth": 2}.get(paper, 1)
    assert len(figures) == len(sources) - interactive, "interactive figures have it below"


@pytest.mark.parametrize("page", page_names(only_notebooks=True))
def test_no_figure_is_without_a_source(html: Path, page: str) -> None:
    figures = [f for f in soup(html, page).select("article figure") if f.find("img")]
    assert figures
    for figure in figures:
        labels = [link.get_text() for link in figure.select(".companion-source a")]
        assert "code" in labels, figure.get("id")


def test_served_data_are_the_published_data(html: Path) -> None:
    for name in results.published():
        table, _ = results.load(name)
        lines = (html / "data" / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        assert lines[0].split(",") == list(table.columns)
        assert len(lines) == len(table) + 1
        published = (ROOT / "results" / f"{name}.parquet").read_bytes()
        assert (html / "data" / f"{name}.parquet").read_bytes() == published


def test_an_older_code_would_be_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "is_current", lambda manifest: False)
    provenance.experiment.cache_clear()
    try:
        published = results.published()
        assert published
        assert all("older code" in provenance.sentence(name) for name in published)
    finally:
        provenance.experiment.cache_clear()


@pytest.fixture(scope="module")
def scriptless() -> Iterator[BrowserContext]:
    """A browser in which no script runs: the filters must not need one."""
    options = {"viewport": {"width": 1280, "height": 900}, "java_script_enabled": False}
    with open_browser(**options) as context:
        yield context


@pytest.fixture
def ledger(scriptless: BrowserContext, html: Path) -> Iterator[Page]:
    page = scriptless.new_page()
    page.goto((html / "book" / "ledger.html").as_uri())
    yield page
    page.close()


def shown(page: Page) -> list[str]:
    """Return the ids of the rows that are visible."""
    rows = page.locator("table.ledger > tbody > tr")
    return [
        rows.nth(i).locator("td").first.inner_text().strip()
        for i in range(rows.count())
        if rows.nth(i).is_visible()
    ]


@pytest.mark.browser
def test_without_a_choice_every_claim_shows(ledger: Page, stored: list[dict]) -> None:
    assert len(shown(ledger)) == len(stored)
    assert ledger.locator(".ledger-count").inner_text() == f"{len(stored)} shown"


@pytest.mark.browser
@pytest.mark.parametrize("verdict", ["supported", "conditional", "not-supported"])
def test_filter_by_verdict(ledger: Page, stored: list[dict], verdict: str) -> None:
    ledger.check(f"#ledger-verdict-{verdict}")
    kind = verdict.replace("-", " ")
    expected = sorted(r["id"] for r in stored if r["verdict"].split(":")[0] == kind)
    assert shown(ledger) == expected
    assert ledger.locator(".ledger-count").inner_text() == f"{len(expected)} shown"


@pytest.mark.browser
def test_filters_work_together_and_by_keyboard(ledger: Page, stored: list[dict]) -> None:
    ledger.focus("#ledger-paper-all")
    ledger.keyboard.press("ArrowRight")
    first = min(papers.PAPERS)  # in the order of the alphabet
    assert ledger.is_checked(f"#ledger-paper-{first}")
    ledger.keyboard.press("Tab")
    ledger.keyboard.press("ArrowRight")
    ledger.keyboard.press("ArrowRight")
    assert ledger.is_checked("#ledger-verdict-conditional")
    expected = [
        r["id"] for r in stored if r["paper"] == first and r["verdict"].startswith("conditional")
    ]
    assert shown(ledger) == expected
    assert expected == ["FT-03", "FT-07", "FT-08", "FT-14"]
