"""The built pages in a real browser: opened as files and from a local web server."""

from __future__ import annotations

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.book.conftest import page_names
from tools.browser import open_browser

pytestmark = [pytest.mark.book, pytest.mark.browser]

PAGES = page_names()
PATIENCE_MS = 60_000  # other tests run beside this one
LOCAL_SCHEMES = ("file:", "data:", "blob:", "about:")
INTERACTIVE = ("plotly-graph-div", "interactive-figure")
WITHOUT_CODE = """() => {
    const article = document.querySelector('article').cloneNode(true);
    article.querySelectorAll('pre, code, script, style, mjx-container').forEach(e => e.remove());
    return article.textContent;
}"""
BROKEN_IMAGES = """() => [...document.querySelectorAll('article img')]
    .filter(image => !(image.complete && image.naturalWidth > 0)).map(image => image.src)"""
ALL_ANSWERED = "() => [...document.querySelectorAll('article img')].every(i => i.complete)"
CUT_FORMULAS = """() => [...document.querySelectorAll('article div.math')]
    .filter(box => [box, ...box.querySelectorAll('mjx-container, mjx-math')].some(
        part => part.checkVisibility() && part.scrollWidth > part.clientWidth + 1
            && getComputedStyle(part).overflowX === 'auto'))
    .map(box => box.id || box.textContent.slice(0, 60))"""
# Move a menu or a slider to another of its values, as a reader would.
MOVE_CONTROL = """control => {
    const last = control.options ? control.options.length - 1 : Number(control.max);
    const before = control.value;
    control.value = String(Number(before) === last ? 0 : last);
    control.dispatchEvent(new Event('input', {bubbles: true}));
    return control.value !== before;
}"""
VISIBLE_SEARCH = """() => [...document.querySelectorAll(
    '.search-button-field, .search-button, form.bd-search')].filter(e => e.checkVisibility()).length
"""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Keep the output of the tests free of requests."""


@dataclass
class Visit:
    """A page in the browser, with everything it asked for and complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "requestfailed", lambda request: self.complaints.append(f"not loaded: {request.url}")
        )
        self.page.on("console", self.hear)

    def hear(self, message) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def open(self, address: str) -> Page:
        self.page.goto(address, wait_until="load", timeout=PATIENCE_MS)
        # MathJax announces the end of its first run by this promise, where a page has math.
        self.page.evaluate("() => window.MathJax && window.MathJax.startup.promise.then(() => 0)")
        return self.page

    def left_the_machine(self, server: str) -> list[str]:
        allowed = (*LOCAL_SCHEMES, f"{server}/")
        return [address for address in self.requests if not address.startswith(allowed)]


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    with open_browser(viewport={"width": 1280, "height": 900}) as context:
        yield context


@pytest.fixture
def visit(browser: BrowserContext) -> Iterator[Visit]:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    visit = Visit(page)
    visit.listen()
    yield visit
    page.close()


@pytest.fixture(scope="module")
def server(html: Path) -> Iterator[str]:
    handler = functools.partial(QuietHandler, directory=html)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as http_server:
        threading.Thread(target=http_server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http_server.server_port}"
        http_server.shutdown()


def address_of(origin: str, name: str, html: Path, server: str) -> str:
    return (html / f"{name}.html").as_uri() if origin == "file" else f"{server}/{name}.html"


def assert_math_is_rendered(page: Page, source: str) -> None:
    """Compare with the page's source: it says how many formulas there should be."""
    formulas = len(re.findall(r'class="[^"]*\bmath\b[^"]*"', source))
    assert page.locator("mjx-container").count() >= formulas
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    raw = re.findall(r"\$\$|\\\(|\\\[|\\begin\{", page.evaluate(WITHOUT_CODE))
    assert raw == []


def assert_figures_are_drawn(page: Page, source: str) -> None:
    page.evaluate("() => window.scrollTo(0, document.body.scrollHeight)")
    page.wait_for_function(ALL_ANSWERED)
    assert page.evaluate(BROKEN_IMAGES) == []
    interactive = sum(source.count(f'class="{kind}"') for kind in INTERACTIVE)
    if interactive:
        page.wait_for_selector(".js-plotly-plot .main-svg", state="attached")
    assert page.locator(".js-plotly-plot").count() == interactive


@pytest.mark.parametrize("origin", ["file", "http"])
@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole(visit: Visit, html: Path, server: str, name: str, origin: str) -> None:
    page = visit.open(address_of(origin, name, html, server))
    source = (html / f"{name}.html").read_text(encoding="utf-8")
    assert_math_is_rendered(page, source)
    assert_figures_are_drawn(page, source)
    assert visit.requests
    assert visit.left_the_machine(server) == []
    assert visit.complaints == []


@pytest.mark.parametrize("name", PAGES)
def test_each_control_redraws_its_figure(visit: Visit, html: Path, name: str) -> None:
    page = visit.open((html / f"{name}.html").as_uri())
    controls = page.locator(".interactive-figure :is(select, input)")
    source = (html / f"{name}.html").read_text(encoding="utf-8")
    assert bool(controls.count()) == ('class="interactive-figure"' in source)
    for index in range(controls.count()):
        control = controls.nth(index)
        figure = control.locator("xpath=ancestor::*[@class='interactive-figure']")
        before = figure.locator(".main-svg").first.inner_html()
        assert control.evaluate(MOVE_CONTROL)
        assert figure.locator(".main-svg").first.inner_html() != before
    assert visit.complaints == []


@pytest.mark.parametrize("name", PAGES)
def test_displayed_formulas_fit_a_wide_page(visit: Visit, html: Path, name: str) -> None:
    """On a phone a long formula scrolls; on a desk it should be broken into lines instead."""
    page = visit.open((html / f"{name}.html").as_uri())
    assert page.evaluate(CUT_FORMULAS) == []


@pytest.mark.parametrize("name", PAGES)
def test_page_fits_a_phone(visit: Visit, html: Path, name: str) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 844})
    page = visit.open((html / f"{name}.html").as_uri())
    page.wait_for_timeout(300)  # figures adapt to the width
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("name", PAGES)
def test_one_search_box_is_visible(visit: Visit, html: Path, name: str) -> None:
    page = visit.open((html / f"{name}.html").as_uri())
    assert page.evaluate(VISIBLE_SEARCH) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_follows_the_colour_scheme(visit: Visit, html: Path, scheme: str) -> None:
    visit.page.emulate_media(color_scheme=scheme)
    page = visit.open((html / f"{PAGES[0]}.html").as_uri())
    assert page.evaluate("() => document.documentElement.dataset.theme") == scheme
    channels = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    brightness = max(int(number) for number in re.findall(r"\d+", channels)[:3])
    assert (brightness < 128) == (scheme == "dark")


def test_first_page_leads_to_the_book(visit: Visit, html: Path) -> None:
    visit.page.goto((html / "index.html").as_uri())
    visit.page.wait_for_url(f"**/{PAGES[0]}.html")
    assert visit.page.locator("article h1").count() == 1


def test_search_answers(visit: Visit, server: str) -> None:
    page = visit.open(f"{server}/search.html?q=residual")
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li a").count() > 0
    assert visit.left_the_machine(server) == []
    assert visit.complaints == []


def test_search_finds_nothing_for_nonsense(visit: Visit, server: str) -> None:
    page = visit.open(f"{server}/search.html?q=xqzzyk")
    page.wait_for_selector("#search-results .search-summary")
    page.wait_for_function(
        "() => /did not match/.test(document.querySelector('#search-results').textContent)"
    )
    assert page.locator("#search-results li a").count() == 0


def test_defects_would_be_noticed(visit: Visit, tmp_path: Path) -> None:
    """A page that calls out, logs an error and shows raw math."""
    (tmp_path / "bad.html").write_text(
        "<article><p>raw $$x$$</p><img src='gone.png'></article>"
        "<script src='http://127.0.0.1:9/x.js'></script><script>console.error('oops')</script>"
    )
    page = visit.open((tmp_path / "bad.html").as_uri())
    assert visit.left_the_machine("http://127.0.0.1:1") == ["http://127.0.0.1:9/x.js"]
    assert "oops" in visit.complaints
    assert len(page.evaluate(BROKEN_IMAGES)) == 1
    with pytest.raises(AssertionError):
        assert_math_is_rendered(page, "")
