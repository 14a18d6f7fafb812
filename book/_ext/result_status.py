"""Provenance on the pages: chapter stamps, sources of figures, directive ``{result-status}``.

Authors name the experiments of a figure in the metadata of its cell,
``companion: {experiments: [ID]}``, or the functions that compute it on the page,
``companion: {code: [companion.papers.primer.log_norms]}``; everything else is written here, once
all chapters are executed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for `tools`, beside this folder

from benchmark_record import table

from companion import evidence
from tools import provenance

STATUS_PAGE = "book/status"
_CHAPTERS = ["chapter", "built from", "preset", "device", "seed", "run time", "run on", "versions"]
_EXPERIMENTS = [
    *("experiment", "commit", "preset", "device", "seed", "networks", "run time"),
    *("last full run", "versions", "code"),
]


class ResultStatus(SphinxDirective):
    """Mark the place of the tables of chapters and experiments."""

    def run(self) -> list[nodes.Node]:
        """Leave a mark; the tables are made when every chapter is executed."""
        return [nodes.container("", classes=["result-status"])]


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Write stamps, sources of figures and status tables into a page."""
    root = Path(app.srcdir)
    up = "../" * docname.count("/")
    if docname == STATUS_PAGE:
        marks = doctree.findall(nodes.container)
        next(mark for mark in marks if "result-status" in mark["classes"]).extend(_status(root, up))
    page = Path(app.env.doc2path(docname)).relative_to(root).as_posix()
    if page in provenance.chapter_pages(root):
        _stamp(doctree, provenance.chapter(root, page), up)
        for cell in _sourced_cells(doctree):
            _add_sources(cell, provenance.chapter(root, page), up)


def _status(root: Path, up: str) -> list[nodes.Node]:
    rows = [_chapter_row(provenance.chapter(root, page)) for page in provenance.chapter_pages(root)]
    experiments = [_experiment_row(facts) for facts in provenance.all_experiments()]
    found = table(_EXPERIMENTS, experiments)
    for row in found.findall(nodes.row):
        first = row[0][0]
        name = first.astext()
        if isinstance(row.parent, nodes.tbody) and provenance.experiment(name)["manifest"]:
            address = f"{up}{provenance.DATA}/{name}.csv"
            first.clear()
            first += nodes.reference("", name, refuri=address)
    return [
        nodes.rubric(text="Chapters"),
        table(_CHAPTERS, rows),
        nodes.rubric(text="Experiments"),
        found,
    ]


def _chapter_row(facts: dict[str, Any]) -> list[str]:
    return [
        Path(facts["page"]).stem,
        facts["stamp"],
        facts["preset"],
        facts["device"],
        str(evidence.LIVE_SEED) if facts["experiments"] else "in the cells",
        provenance.seconds_text(facts["seconds"]),
        facts["date"] or "–",
        facts["libraries"],
    ]


def _experiment_row(facts: dict[str, Any]) -> list[str]:
    manifest = facts["manifest"]
    if manifest is None:
        return [facts["id"], *["–"] * 6, "never", "–", "not published yet"]
    commit = (manifest["git_commit"] or "unknown")[:7]
    return [
        facts["id"],
        f"{commit} with local changes" if manifest["git_changed"] else commit,
        manifest["preset"],
        manifest["device"]["name"],
        str(manifest["seed"]),
        f"{manifest['networks']:,}".replace(",", " "),
        provenance.seconds_text(manifest["shard_seconds"]),
        manifest["date"][:10],
        ", ".join(f"{name} {manifest['versions'][name]}" for name in ("torch", "numpy")),
        "current" if facts["current"] else "older code",
    ]


def _stamp(doctree: nodes.document, facts: dict[str, Any], up: str) -> None:
    """Say at the head of a chapter how it was computed."""
    published = [provenance.experiment(name) for name in dict.fromkeys(facts["experiments"])]
    older = [facts["id"] for facts in published if not facts["current"]]
    dates = sorted(f["manifest"]["date"][:10] for f in published if f["manifest"])
    text = (
        f"Computed {facts['date'] or 'now'}: preset {facts['preset']}, {facts['device']}, "
        f"{provenance.seconds_text(facts['seconds'])}, {facts['stamp']}."
    )
    if dates:
        full = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
        text += f" Published data: full runs of {full}."
    if older:
        text += f" Older code: {', '.join(older)}."
    paragraph = nodes.paragraph("", f"{text} ", classes=["companion-stamp"])
    paragraph += nodes.reference("", "Status of all results", refuri=f"{up}{STATUS_PAGE}.html")
    for title in doctree.findall(nodes.title):
        title.parent.insert(title.parent.index(title) + 1, paragraph)
        return


def _sourced_cells(doctree: nodes.document) -> Iterator[nodes.container]:
    for cell in list(doctree.findall(nodes.container)):
        if cell.get("nb_element") == "cell_code" and "companion" in cell["cell_metadata"]:
            yield cell


def _add_sources(cell: nodes.container, chapter: dict[str, Any], up: str) -> None:
    """Link data and code under a figure: in its caption, or below one without."""
    metadata = cell["cell_metadata"]
    source = nodes.inline("", classes=["companion-source"])
    for name in provenance.named(metadata):
        source += _source(name, up)
    for name in provenance.functions(metadata):
        code = nodes.reference("", "code", refuri=provenance.function_url(name))
        source += [nodes.Text(f"{name.split('.')[-1]}, computed on this page: "), code]
        source += nodes.Text(". ")
    label = "Live run" if provenance.named(metadata) else "Run"
    source += nodes.Text(f"{label}: {chapter['preset']}, {chapter['device']}, {chapter['date']}.")
    captions = list(cell.findall(nodes.caption))
    if captions:
        captions[0] += [nodes.Text(" "), source]
    else:
        cell += nodes.paragraph("", "", source)


def _source(name: str, up: str) -> list[nodes.Node]:
    facts = provenance.experiment(name)
    parts: list[nodes.Node] = [nodes.Text(f"{name} ({provenance.sentence(name)}): ")]
    if facts["manifest"] is not None:
        for label, kind in (("CSV", "csv"), ("Parquet", "parquet"), ("manifest", "json")):
            address = f"{up}{provenance.DATA}/{name}.{kind}"
            parts += [nodes.reference("", label, refuri=address), nodes.Text(", ")]
    parts += [
        nodes.reference("", "code", refuri=provenance.code_url(**facts["code"])),
        nodes.Text(". "),
    ]
    return parts


def _serve_data(app: Sphinx, config: Config) -> None:
    root = Path(app.srcdir)
    config.html_extra_path.append(str(provenance.copy_data(root, root / "build" / "published")))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and what is written into chapters."""
    app.add_directive("result-status", ResultStatus)
    app.connect("config-inited", _serve_data)
    app.connect("doctree-resolved", fill)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
