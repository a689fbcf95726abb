"""The page of `make bench`: what was measured, as tables with the look of a report's pages."""

from __future__ import annotations

import html
import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from loyaltylab import report

Record = Mapping[str, Any]
NAMES = {
    "scan": "bare scan of the export",
    "01_validation": "validation",
    "02_linkage": "who is who (by record numbers)",
    "03_retention": "retention",
    "04_lifetime_value": "lifetime value",
}
RUNS = {
    "cold": "everything, cold kernels",
    "warm": "everything, warm kernels",
    "touched": "one notebook touched",
    "nothing": "nothing touched",
}
GOAL_SIZE, GOAL_SECONDS, GOAL_BYTES, GOAL_EXPONENT = 10**8, 600, 8e9, 1.1
GOAL_STAGES = ("01_validation", "03_retention", "04_lifetime_value")
GOAL_RUNS = {"cold": 45, "touched": 8, "nothing": 0.5}
UNKNOWN = "–"


def write(measured: Sequence[Record], target: Path, about: Record, left_out: Record) -> None:
    """left_out : package → why nothing was measured of it."""
    cells = [new_markdown_cell(f"# How fast it is, and how much it needs\n\n{_machine(about)}")]
    for heading, text, tables in (
        ("Goals", "", [_goals(measured)]),
        ("Stages of a report", _STAGES_TEXT, [_stages(measured)]),
        ("Other packages", _PEERS_TEXT, [_peers(measured), _linkage(measured), _left(left_out)]),
        ("What notebooks cost", _NOTEBOOKS_TEXT, [_notebooks(measured)]),
    ):
        cells.append(new_markdown_cell(f"## {heading}\n\n{text}".strip()))
        shown = [new_output("display_data", {"text/html": table}) for table in tables if table]
        cells.append(new_code_cell("", outputs=shown))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "00_summary.ipynb"
        nbformat.write(new_notebook(cells=cells), source)
        page = report.render(source, title="Benchmark", simulated=False, stems=["00_summary"])
    # It is no page of a report: no others beside it, and no code that its tables were made by.
    for part, instead in (
        (r"<nav aria-label=\"Reports\">.*?</nav>", ""),
        (r"<details class=\"code[^>]*>.*?</details>", ""),
        (r"(<footer[^>]*>\s*<p>).*?(</p>)", rf"\1{_FOOTER}\2"),
    ):
        page, changed = re.subn(part, instead, page, flags=re.DOTALL)
        assert changed
    target.write_text(page, "utf-8")


_FOOTER = "Measured by <code>make bench</code>; results.json beside this page has each figure."
_STAGES_TEXT = (
    "Each notebook as `make report` runs it, one after the other, each in a kernel of its own: its "
    "imports, tables, figures and files are counted, and so is what is not row work. Orders and "
    "customers of one shop are Parquet files; records are told apart by their numbers alone. The "
    "exponent says by which power of the orders the time has grown since the line before: 1 is as "
    "fast as they."
)
_PEERS_TEXT = (
    "The same work on the same files, each package in a process of its own. Imports, and the reading "
    "of histories and records, are not counted."
)
_NOTEBOOKS_TEXT = "`make -j2 report` of the demo. Peak memory is that of the largest process."


def _machine(about: Record) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    return (
        f"Measured with {about['processors']} processors and {about['memory'] / 1e9:.0f} GB of memory, "
        f"the engine limited to {about['memory_limit']}. Python {about['python']}, {packages}."
    )


def _table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> str:
    """The first `texts` columns are words, the others numbers; the first of all names its row."""
    if not rows:
        return ""
    kinds = ["" if place < texts else ' class="number"' for place in range(len(columns))]
    head = "".join(
        f'<th scope="col"{kind}>{html.escape(name)}</th>'
        for name, kind in zip(columns, kinds, strict=True)
    )
    body = "".join(
        f'<tr><th scope="row">{html.escape(row[0])}</th>'
        + "".join(
            f"<td{kind}>{html.escape(value)}</td>"
            for value, kind in zip(row[1:], kinds[1:], strict=True)
        )
        + "</tr>\n"
        for row in rows
    )
    return (
        f"<table>\n<caption>{html.escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}</tbody>\n</table>"
    )


def _of(measured: Sequence[Record], group: str) -> list[Record]:
    return [one for one in measured if one["group"] == group]


def _whole(measured: Sequence[Record]) -> dict[int, Record]:
    """Of each size the stages of the goal together; of those that have all."""
    found = {}
    stages = _of(measured, "stages")
    for size in sorted({one["size"] for one in stages}):
        some = [one for one in stages if one["size"] == size and one["stage"] in GOAL_STAGES]
        if len(some) == len(GOAL_STAGES):
            found[size] = {
                "rows": some[0]["rows"],
                "seconds": sum(one["seconds"] for one in some),
                "processor": sum(one["processor"] for one in some),
                "peak": max(one["peak"] for one in some),
            }
    return found


def exponent(smaller: Record, larger: Record) -> float:
    """By which power of the orders the time grows."""
    times, orders = (larger[name] / smaller[name] for name in ("seconds", "rows"))
    return math.log(times) / math.log(orders)


def _goals(measured: Sequence[Record]) -> str:
    whole, rows = _whole(measured), []

    def goal(what: str, wanted: str, found: float | None, told: str, most: float) -> None:
        held = "not measured" if found is None else "yes" if found <= most else "no"
        rows.append((what, wanted, UNKNOWN if found is None else told.format(found), held))

    last, first = whole.get(GOAL_SIZE), whole.get(10**6)
    name = f"validation, retention and lifetime value of {GOAL_SIZE:,} orders"
    goal(name, "10 min", last and last["seconds"] / 60, "{:.1f} min", GOAL_SECONDS / 60)
    goal("peak memory of these", "8 GB", last and last["peak"] / 1e9, "{:.1f} GB", GOAL_BYTES / 1e9)
    grown = exponent(first, last) if first and last else None
    goal("growth of their time from 1 to 100 million", "1.1", grown, "{:.2f}", GOAL_EXPONENT)
    runs = {one["run"]: one["seconds"] for one in _of(measured, "notebooks")}
    for run, most in GOAL_RUNS.items():
        goal(f"report of the demo: {RUNS[run]}", f"{most:g} s", runs.get(run), "{:.1f} s", most)
    return _table(
        "What must hold, and whether it does", ["goal", "at most", "measured", "holds"], rows, 1
    )


def _stages(measured: Sequence[Record]) -> str:
    stages, rows = _of(measured, "stages"), []
    scans = {one["size"]: one["seconds"] for one in stages if one["stage"] == "scan"}
    parts = {
        name: {one["size"]: one for one in stages if one["stage"] == stage}
        for stage, name in NAMES.items()
    }
    parts["validation, retention and lifetime value together"] = _whole(measured)
    for name, by_size in parts.items():
        before: Record | None = None
        for size, one in sorted(by_size.items()):
            grown = exponent(before, one) if before else None
            rows.append(
                (
                    f"{name}, {_short(size)}",
                    f"{one['rows']:,}",
                    f"{one['seconds']:.1f}",
                    f"{one['processor']:.0f}" if "processor" in one else UNKNOWN,
                    f"{one['peak'] / 1e9:.2f}",
                    f"{one['seconds'] / scans[size]:,.0f}" if size in scans else UNKNOWN,
                    UNKNOWN if grown is None else f"{grown:.2f}",
                )
            )
            before = one
    columns = [
        "stage",
        "orders",
        "seconds",
        "of processors",
        "GB at most",
        "bare scans",
        "exponent",
    ]
    return _table("Stages by number of orders", columns, rows, 1)


def _short(size: int) -> str:
    return f"{size // 10**6} million" if size >= 10**6 else f"{size // 1000} thousand"


def _peers(measured: Sequence[Record]) -> str:
    some, rows = _of(measured, "peers"), []
    own = {(one["work"], one["size"]): one for one in some if one["by"] == "loyaltylab"}
    for one in sorted(some, key=lambda one: (one["work"], one["size"], one["by"] != "loyaltylab")):
        ours = own.get((one["work"], one["size"]))
        rows.append(
            (
                f"{one['work']}, {_short(one['size'])}",
                one["by"],
                f"{one['seconds']:.1f}",
                f"{one['peak'] / 1e9:.2f}",
                f"{one['seconds'] / ours['seconds']:.1f}" if ours else UNKNOWN,
            )
        )
    columns = ["work, orders", "by", "seconds", "GB at most", "times the lab's"]
    return _table("The same work by other packages", columns, rows, 2)


def _linkage(measured: Sequence[Record]) -> str:
    rows = [
        (
            one["work"],
            one["by"],
            f"{one['seconds']:.1f}",
            f"{one['peak'] / 1e9:.2f}",
            f"{one['f1']:.3f}",
        )
        for one in _of(measured, "linkage")
    ]
    columns = ["work", "by", "seconds", "GB at most", "F1 of clusters"]
    return _table("Who is who, by records that say more than a number", columns, rows, 2)


def _left(left_out: Record) -> str:
    rows = [(name, why) for name, why in left_out.items()]
    return _table("Not measured", ["package", "why"], rows, 2)


def _notebooks(measured: Sequence[Record]) -> str:
    runs = {one["run"]: one for one in _of(measured, "notebooks")}
    rows = [
        (
            name,
            f"{runs[run]['seconds']:.1f}",
            f"{runs[run]['processor']:.1f}" if run == "cold" else UNKNOWN,
            f"{runs[run]['peak'] / 1e9:.2f}" if runs[run]["peak"] else UNKNOWN,
        )
        for run, name in RUNS.items()
        if run in runs
    ]
    return _table(
        "A report of the demo", ["run", "seconds", "of processors", "GB at most"], rows, 1
    )
