"""The built pages, read as files."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag

from companion import REPOSITORY_URL
from tests.book.conftest import page_names
from tools.inputs import ROOT

pytestmark = pytest.mark.book

PAGES = page_names()
COLAB = REPOSITORY_URL.replace("https://github.com", "https://colab.research.google.com/github")
LEFTOVERS = re.compile(
    r"\{[a-z:]+\}`"  # a role that was not understood
    r"|^\s*:{3,}"  # a directive that was not closed
    r"|^\s*```"
    r"|\[@\w+"  # a citation in the syntax of another tool
    r"|\?\?\?",
    flags=re.MULTILINE,
)
FOREIGN_SCRIPT = re.compile(r"https?://[^\s\"'`]+\.m?js\b")


def soup_of(text: str) -> BeautifulSoup:
    return BeautifulSoup(text, "html.parser")


def read(html: Path, page: str) -> str:
    return (html / f"{page}.html").read_text(encoding="utf-8")


def foreign_resources(text: str) -> list[str]:
    """Return what a browser would load from another host when it opens the page."""
    soup = soup_of(text)
    addresses = [str(tag["src"]) for tag in soup.find_all(src=True)]
    addresses += [str(tag["href"]) for tag in soup.find_all("link", href=True)]
    inline = "".join(tag.get_text() for tag in soup.find_all(["script", "style"]))
    return [
        *(address for address in addresses if re.match(r"(https?:)?//", address)),
        *FOREIGN_SCRIPT.findall(inline),
    ]


def leftovers(text: str) -> list[str]:
    """Return MyST source and docutils complaints that show on the page."""
    article = article_of(text)
    complaints = [tag.get_text() for tag in article.select(".system-message, .problematic")]
    for code in article.find_all(["pre", "code", "script", "style"]):
        code.decompose()
    return complaints + [match.group() for match in LEFTOVERS.finditer(article.get_text())]


def article_of(text: str) -> Tag:
    article = soup_of(text).find("article")
    assert isinstance(article, Tag)
    return article


def pictures_without_words(text: str) -> list[str]:
    """Return the source of each picture whose alternative text is missing or a file name."""
    pictures = article_of(text).find_all("img")
    return [str(picture["src"]) for picture in pictures if not says_something(picture.get("alt"))]


def says_something(alt: object) -> bool:
    is_path = re.search(r"\.(png|svg|jpe?g|gif|webp)$|_images/|jupyter_execute", str(alt))
    return bool(alt) and not is_path and len(str(alt).split()) > 2


@pytest.mark.parametrize("page", [*PAGES, "search", "genindex"])
def test_nothing_comes_from_another_host(html: Path, page: str) -> None:
    assert foreign_resources(read(html, page)) == []


def test_style_sheets_load_nothing_from_another_host(html: Path) -> None:
    pattern = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//")
    sheets = sorted(html.rglob("*.css"))
    assert sheets
    assert [sheet.name for sheet in sheets if pattern.search(sheet.read_text())] == []


@pytest.mark.parametrize("page", PAGES)
def test_no_source_shows_on_the_page(html: Path, page: str) -> None:
    assert leftovers(read(html, page)) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_picture_is_described(html: Path, page: str) -> None:
    assert pictures_without_words(read(html, page)) == []


@pytest.mark.parametrize("page", page_names(only_notebooks=True))
def test_colab_button_opens_the_notebook(html: Path, page: str) -> None:
    links = [str(tag["href"]) for tag in soup_of(read(html, page)).select('a[href*="colab"]')]
    expected = f"{COLAB}/blob/main/{page}.ipynb"
    assert expected in links
    assert (ROOT / f"{page}.ipynb").is_file()


@pytest.mark.parametrize("page", PAGES)
def test_links_inside_the_book_lead_somewhere(html: Path, page: str) -> None:
    assert dead_links(html, page) == []


def dead_links(html: Path, page: str) -> list[str]:
    here = html / f"{page}.html"
    found = [str(tag["href"]) for tag in soup_of(read(html, page)).select("a[href]")]
    local = [link for link in found if not re.match(r"[a-z]+:|//", link)]
    return [link for link in local if not leads_somewhere(here, link)]


def leads_somewhere(here: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (here.parent / name.partition("?")[0]).resolve() if name else here
    if not target.is_file():
        return False
    return not (anchor and target.suffix == ".html") or anchor in anchors(target)


@cache
def anchors(page: Path) -> set[str]:
    """Return every id of a page."""
    return {str(tag["id"]) for tag in soup_of(page.read_text(encoding="utf-8")).find_all(id=True)}


@pytest.mark.parametrize("page", PAGES)
def test_there_is_one_search_box(html: Path, page: str) -> None:
    soup = soup_of(read(html, page))
    assert len(soup.select(".search-button-field")) == 1
    assert soup.select("#pst-header .search-button-field, #pst-header form") == []


@pytest.mark.parametrize("page", PAGES)
def test_the_foot_names_version_and_commit(html: Path, page: str) -> None:
    foot = soup_of(read(html, page)).select_one(".companion-version")
    assert foot is not None
    assert re.search(r"Version \d+\.\d+\.\d+", foot.get_text())


@pytest.mark.parametrize(
    "script", ["mathjax/tex-mml-chtml.js", "plotly/plotly.min.js", "mathjax/output", "mathjax/a11y"]
)
def test_scripts_are_served_with_the_book(html: Path, script: str) -> None:
    assert (html / script).exists()


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (foreign_resources, '<script src="https://example.org/x.js"></script>'),
        (foreign_resources, '<script src="//example.org/x.js"></script>'),
        (foreign_resources, '<link rel="stylesheet" href="https://example.org/x.css">'),
        (foreign_resources, '<script>load("https://example.org/x.js")</script>'),
        (leftovers, "<article>see {ref}`nowhere`</article>"),
        (leftovers, "<article><p>:::{note}</p></article>"),
        (leftovers, '<article><p class="system-message">oops</p></article>'),
        (pictures_without_words, '<article><img src="a.png"></article>'),
        (pictures_without_words, '<article><img src="a" alt="_images/ab12.png"></article>'),
    ],
)
def test_a_defect_would_be_found(check, text: str) -> None:
    assert len(check(text)) == 1


def test_a_dead_link_would_be_found(tmp_path: Path) -> None:
    links = '<a href="two.html"></a><a href="#no"></a><a href="#here"></a><p id="here"></p>'
    (tmp_path / "one.html").write_text(links)
    assert dead_links(tmp_path, "one") == ["two.html", "#no"]
