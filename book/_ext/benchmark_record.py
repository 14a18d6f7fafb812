"""Directive ``{benchmark-record} PATH``: tables from the stored benchmark record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class BenchmarkRecord(SphinxDirective):
    """Show machine, ratios and facts of a record, whose path is relative to the page."""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """Build the tables; the page is read again when the record changes."""
        page = Path(self.env.doc2path(self.env.docname))
        path = (page.parent / self.arguments[0]).resolve()
        self.env.note_dependency(str(path))
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            message = f"no benchmark record at {path.name}: {error}; run `make bench`"
            raise self.error(message) from error
        ratios = [
            [
                row["what"],
                _value(row),
                f"{'≥' if row['at_least'] else '≤'} {row['bound']:g}",
                "met" if row["met"] else "missed",
                row["context"],
            ]
            for row in record["ratios"]
        ]
        head = ["what", "median (10–90 %)", "target", "", "context"]
        return [
            table(head, ratios),
            table(["also measured", ""], [list(fact) for fact in record["facts"].items()]),
            table(["machine", ""], [list(fact) for fact in record["machine"].items()]),
        ]


def _value(row: dict[str, Any]) -> str:
    """Median with its quantiles; a number measured once stands alone."""
    if row["rounds"] == 1:
        return f"{row['median']:.3g}"
    return f"{row['median']:.3g} ({row['low']:.3g}–{row['high']:.3g})"


def table(head: list[str], rows: list[list[str]]) -> nodes.table:
    """Plain docutils table."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    group += nodes.thead("", _row(head))
    group += nodes.tbody("", *[_row(row) for row in rows])
    return nodes.table("", group)


def _row(cells: list[str]) -> nodes.row:
    return nodes.row("", *[nodes.entry("", nodes.paragraph(text=cell)) for cell in cells])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("benchmark-record", BenchmarkRecord)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
