"""Directive ``{claims-ledger}``: the claims that were tested, with filters that need no script."""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for `tools`, beside this folder

from companion.papers.ledger import evidence_html
from tools import provenance

Row = dict[str, Any]
_HEAD = ("id", "verdict", "claim", "observed", "expected", "criterion", "where")
_VERDICTS = {
    "supported": "supported",
    "conditional": "conditional",
    "not-supported": "not supported",
}


class ClaimsLedger(SphinxDirective):
    """Show the stored run of the claims of this book."""

    def run(self) -> list[nodes.Node]:
        """Build filters and table."""
        try:
            stored = provenance.claims(Path(self.env.srcdir))
        except FileNotFoundError as error:
            message = "the claims were not tested since the package changed: run "
            raise self.error(message + "`python -m tools.claims`") from error
        rows = sorted(stored["claims"], key=lambda row: row["id"])
        run = nodes.paragraph(text=_run_text(stored))
        controls = nodes.raw("", _controls(rows), format="html")
        return [nodes.container("", run, controls, _table(rows), classes=["claims-ledger"])]


def _run_text(stored: Row) -> str:
    device = stored["claims"][0]["device"] if stored["claims"] else "no device"
    agree = sum(row["agrees"] for row in stored["claims"])
    return (
        f"{len(stored['claims'])} claims, {agree} with the verdict on record. Preset "
        f"{stored['preset']}, {device}, {stored['date']}, {stored['stamp']}."
    )


def verdict_class(row: Row) -> str:
    """Return the kind of a verdict, without its condition."""
    return "-".join(str(row["verdict"]).split(":")[0].split())


def _controls(rows: list[Row]) -> str:
    """Radio buttons, the rules that let them hide rows, and the number of rows they leave."""
    papers = {"all": "all"} | {row["paper"]: row["paper"] for row in rows}
    verdicts = {"all": "all"} | _VERDICTS
    fields = _field("paper", papers) + _field("verdict", verdicts)
    rules = [*_hiding("paper", papers), *_hiding("verdict", verdicts)]
    counts = []
    for paper in papers:
        for verdict in verdicts:
            chosen = [r for r in rows if _matches(r, paper, verdict)]
            counts.append(f'<span class="n-{paper}-{verdict}">{len(chosen)} shown</span>')
            rules.append(
                f".claims-ledger:has(#ledger-paper-{paper}:checked)"
                f":has(#ledger-verdict-{verdict}:checked) .n-{paper}-{verdict}{{display:inline}}"
            )
    style = "<style>" + "\n".join([".ledger-count span{display:none}", *rules]) + "</style>"
    count = f'<p class="ledger-count" aria-live="polite">{"".join(counts)}</p>'
    return f'{style}<form class="ledger-filters">{fields}{count}</form>'


def _matches(row: Row, paper: str, verdict: str) -> bool:
    return paper in ("all", row["paper"]) and verdict in ("all", verdict_class(row))


def _field(name: str, options: dict[str, str]) -> str:
    buttons = "".join(
        f'<label><input type="radio" name="ledger-{name}" id="ledger-{name}-{key}"'
        f"{' checked' if key == 'all' else ''}> {escape(text)}</label>"
        for key, text in options.items()
    )
    return f"<fieldset><legend>{name}</legend>{buttons}</fieldset>"


def _hiding(name: str, options: dict[str, str]) -> list[str]:
    return [
        f".claims-ledger:has(#ledger-{name}-{key}:checked) "
        f'tr[class*="{name}-"]:not(.{name}-{key}){{display:none}}'
        for key in options
        if key != "all"
    ]


def _table(rows: list[Row]) -> nodes.table:
    group = nodes.tgroup(cols=len(_HEAD))
    group += [nodes.colspec(colwidth=1) for _ in _HEAD]
    head = [nodes.entry("", nodes.paragraph(text=text)) for text in _HEAD]
    group += nodes.thead("", nodes.row("", *head))
    group += nodes.tbody("", *[_row(row) for row in rows])
    return nodes.table("", group, classes=["ledger"])


def _row(row: Row) -> nodes.row:
    first = row["checks"][0]
    cells = [
        _text(row["id"]),
        _text(row["verdict"] + ("" if row["agrees"] else f" (on record: {row['recorded']})")),
        _claim(row),
        _text(f"{first['quantity']}: {first['observed_text']}"),
        _text(first["expected_text"]),
        _text(first["criterion"]),
        _where(row),
    ]
    classes = [f"paper-{row['paper']}", f"verdict-{verdict_class(row)}"]
    return nodes.row("", *[nodes.entry("", *cell) for cell in cells], classes=classes)


def _text(text: str) -> list[nodes.Node]:
    return [nodes.paragraph(text=text)]


def _claim(row: Row) -> list[nodes.Node]:
    note = f"<p><small>{escape(row['note'])}</small></p>" if row["note"] else ""
    defect = f"<p><small>Planted defect: {escape(row['defect'])}</small></p>"
    return [
        nodes.paragraph(text=row["statement"]),
        nodes.paragraph("", "", nodes.emphasis(text=row["origin"])),
        nodes.raw("", evidence_html(row["checks"]) + defect + note, format="html"),
    ]


def _where(row: Row) -> list[nodes.Node]:
    section = addnodes.pending_xref(
        "",
        nodes.inline(text=row["anchor"]),
        refdomain="std",
        reftype="ref",
        reftarget=row["anchor"],
        refexplicit=False,
        refwarn=True,
    )
    code = nodes.reference("", "code", refuri=provenance.code_url(**row["code"]))
    return [nodes.paragraph("", "", section), nodes.paragraph("", "", code)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("claims-ledger", ClaimsLedger)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
