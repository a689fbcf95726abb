"""What is said of a notebook whose cell failed: where, why, and how to look at it.

Our own errors speak for themselves. The words of any other may quote a customer's data, as may the
traceback and a line of the notebook, so of such an error its type alone is told, and where it was.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from loyaltylab.shortage import shortage

OURS = ("LabError", "UnanswerableError")
# Papermill's own cells, which the notebook has not: its marks of the error, and the parameters.
ADDED = {"papermill-error-cell-tag", "injected-parameters"}
HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)
LONGEST = 80  # characters of a heading that are told


def without_marks(executed: Any) -> Any:
    """The failed run without the cells that papermill wrote about the failure."""
    executed.cells = [
        cell
        for cell in executed.cells
        if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])
    ]
    return executed


def told(notebook: Path, executed: Any, name: str, words: str, kept: Path | None) -> str:
    """The error and its place, a line each.

    executed : the failed run. name, words : of the error. kept : where that run can be looked at.
    """
    cells = [c for c in executed.cells if not ADDED & set(c.metadata.get("tags", []))]
    failed = next((i for i, cell in enumerate(cells) if _error(cell)), None)
    if failed is None:  # papermill tells of an error that no cell shows
        return words if name in OURS else f"{notebook.name}: expected it to run, found {name}."
    place = f"cell {failed + 1} of {len(cells)}"
    if heading := _heading(cells[: failed + 1]):
        place += f', below "{heading}"'
    if lack := shortage(name, words):
        lines = [f"{notebook.name}, {place}: {lack}"]
    elif name in OURS:
        lines = [words, f"{notebook.name} stopped there: {place}."]
    else:
        lines = [
            f"{notebook.name}, {place}: expected it to run, found {name}{_line(cells[failed])}."
        ]
    if kept is not None:
        lines.append(f"What it showed until then: {kept} (it may quote customers' data).")
    lines.append(
        f"To open it: make lab NOTEBOOK={notebook.stem}, then cell {failed + 1} (its lower edge counts)."
    )
    return "\n".join(lines)


def _error(cell: Any) -> Any:
    """The error that a cell shows; None if it shows none."""
    shown = (output for output in cell.get("outputs", []) if output.output_type == "error")
    return next(shown, None)


def _heading(cells: list[Any]) -> str:
    """The last heading of these cells, written in one or shown by one; empty if there is none."""
    for cell in reversed(cells):
        texts = [cell.source] if cell.cell_type == "markdown" else []
        texts += [
            str(output.data["text/markdown"])
            for output in cell.get("outputs", [])
            if "text/markdown" in output.get("data", {})
        ]
        if found := [heading for text in texts for heading in HEADING.findall(text)]:
            last = found[-1].strip()
            return last if len(last) <= LONGEST else f"{last[: LONGEST - 1]}…"
    return ""


def _line(cell: Any) -> str:
    """Which line of the cell raised, as " in line 3"; empty if that is not known."""
    trace = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(_error(cell).traceback))
    # IPython names a cell by its count: a function of an earlier cell has lines of that one.
    numbers = re.findall(rf"Cell In\[{cell.execution_count}\], line (\d+)", trace)
    return f" in line {numbers[-1]}" if numbers else ""
