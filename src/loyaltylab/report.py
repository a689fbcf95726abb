"""Report pages. Grain in: one executed notebook. Grain out: one self-contained HTML file.

A page asks nothing of the network, runs no script and holds no date, path or random id: the
same executed notebook gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import nbformat
from nbconvert.exporters.html import HTMLExporter
from nbconvert.exporters.templateexporter import TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from traitlets.config import Config

from loyaltylab.errors import LabError
from loyaltylab.files import write_text
from loyaltylab.language import markdown, phrase, use
from loyaltylab.markup import Fragments
from loyaltylab.pages import anchor, href, label

# What an output is shown as: the first of these that it has.
SHOWN = ["image/svg+xml", "text/html", "text/markdown", "image/png", "text/plain"]


class _Exporter(HTMLExporter):
    """nbconvert's, but for its last step, which reads the whole page again to mend what a page of this
    template has not: images without words, and cells that the keyboard cannot reach."""

    def from_notebook_node(  # type: ignore[override]
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        self.register_filter("highlight_code", Highlight2HTML(pygments_lexer="python", parent=self))
        told = self._init_resources(resources)
        return TemplateExporter.from_notebook_node(self, nb, told, **options)


def render(
    executed: Path,
    *,
    title: str,
    simulated: bool,
    stems: Sequence[str],
    language: str = "en",
    recorded: Mapping[str, int | None] | None = None,
) -> str:
    """The page of an executed notebook.

    executed : the .ipynb with its outputs; its stem says which of `stems` the page is.
    title : the dataset's title, such as "CDNOW".
    simulated : whether the data are simulated, which the page then says.
    stems : the notebooks of the report in their order, such as "03_retention".
    language : that of the page, in which its outputs are already, such as "de".
    recorded : number by name → the cell that recorded it, as in `Number`, to which links may lead.
    Raises LabError if `executed` cannot be read as a notebook, or holds an SVG that is not one.
    """
    use(language)
    fragments = Fragments({f"{stem}.ipynb": href(stem) for stem in stems})
    exporter = _Exporter(
        template_name="template",
        extra_template_basedirs=[str(Path(__file__).parent)],
        filters={
            "prose": fragments.prose,
            "markup": fragments.markup,
            "figure": fragments.figure,
            "kind": _kind,
            "phrase": phrase,
            "translated": markdown,
            "anchors": lambda cell: cell.metadata.get("anchors", ()),
        },
        config=Config(
            NbConvertBase={"display_data_priority": SHOWN},
            # How a kernel cuts what it prints into pieces varies from run to run.
            CoalesceStreamsPreprocessor={"enabled": True},
        ),
    )
    stem = executed.stem
    # A global and not a resource: nbconvert copies those, and the cells add to `fragments`.
    exporter.environment.globals["report"] = {
        "fragments": fragments,
        "title": title,
        "simulated": simulated,
        "language": language,
        "label": label(stem),
        "notebook": f"{stem}.ipynb",
        "anchors": [],
        "links": [{"href": href(s), "label": label(s), "current": s == stem} for s in stems],
    }
    try:
        notebook = _read(executed)
        exporter.environment.globals["report"]["anchors"] = _anchor(notebook, recorded or {})
        html, _ = exporter.from_notebook_node(notebook)
    except ParseError as error:
        raise LabError(
            f"{executed}: expected figures in SVG, found one that is not well-formed ({error}). "
            "Show figures with loyaltylab.numbers.show."
        ) from error
    return html


def write(
    executed: Path,
    target: Path,
    *,
    title: str,
    simulated: bool,
    stems: Sequence[str],
    language: str = "en",
    recorded: Mapping[str, int | None] | None = None,
) -> None:
    """Write the page of `executed` to `target`, whole or not at all; see `render`.

    Raises LabError as `render` does, and if `target` cannot be written.
    """
    page = render(
        executed,
        title=title,
        simulated=simulated,
        stems=stems,
        language=language,
        recorded=recorded,
    )
    write_text(target, page)


def _anchor(notebook: NotebookNode, recorded: Mapping[str, int | None]) -> list[str]:
    """Give each cell the anchors of what it recorded; the page itself has those of no known cell."""
    cells = {count: cell for cell in notebook.cells for count in cell.metadata.get("ran", ())}
    astray: list[str] = []
    known: set[str] = set()
    for name, count in recorded.items():
        if (own := anchor(name)) not in known:
            known.add(own)
            there = count in cells
            (cells[count].metadata.setdefault("anchors", []) if there else astray).append(own)
    return astray


def _read(executed: Path) -> NotebookNode:
    """The notebook with its code gathered for a reader.

    The parameters are one cell, and a code cell that shows nothing joins a neighbour.
    """
    try:
        notebook = nbformat.read(executed, as_version=4)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "something else"
        raise LabError(
            f"{executed}: expected an executed notebook, found: {reason}. "
            "Delete it and run make report again."
        ) from error
    # A kernel names IPython's own lexer, whose import takes longer than all of the page.
    notebook.metadata.language_info = {"name": "python"}
    filled = [cell for cell in notebook.cells if cell.source.strip() or cell.get("outputs")]
    notebook.cells = []
    for kind, run in groupby(filled, _kind):
        cells = list(run)
        notebook.cells += _joined(cells) if kind in ("code", "parameters") else cells
    return notebook


def _joined(run: list[NotebookNode]) -> list[NotebookNode]:
    """Adjacent code cells; one that shows nothing joins the next that does, else the one before."""
    joined: list[NotebookNode] = []
    sources: list[str] = []
    ran: list[int] = []  # the numbers of the cells that are one now
    for cell in run:
        sources.append(cell.source.strip())
        ran.append(cell.execution_count)
        if cell.outputs:
            cell.source = "\n\n".join(sources)
            cell.metadata["ran"] = ran
            joined.append(cell)
            sources, ran = [], []
    if sources and joined:
        joined[-1].source = "\n\n".join([joined[-1].source, *sources])
        joined[-1].metadata["ran"] += ran
    elif sources:
        metadata = cell.metadata | {"ran": ran}
        joined.append(new_code_cell("\n\n".join(sources), metadata=metadata))
    return joined


def _kind(cell: NotebookNode) -> str:
    """`parameters` for the cell of parameters and the one papermill adds, else the cell's type."""
    if {"parameters", "injected-parameters"}.intersection(cell.metadata.get("tags", ())):
        return "parameters"
    return str(cell.cell_type)
