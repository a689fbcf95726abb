"""Every number has a name; every sentence, figure and table that a notebook shows comes from here.

A number is recorded once, and sentences, the summary and the tests read that record.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import html
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from IPython import get_ipython
from IPython.display import display

from loyaltylab.dataset import tables_of
from loyaltylab.errors import LabError
from loyaltylab.files import write_json
from loyaltylab.language import filled, phrase, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DIGITS = 10  # significant digits kept: beyond them, two machines' arithmetic may differ

Value = int | float | str


@dataclass(frozen=True)
class Number:
    """One headline number. `low` and `high` bound it at confidence `level`; missing if not known.

    cell : which of the cells that its notebook ran, from 1, recorded it; missing outside of one. Where
    a number comes from is no part of what it is: two are equal whatever their cells.
    In a format string it stands for its value: f"{rate:.0%}".
    """

    name: str
    value: Value | None
    low: float | None
    high: float | None
    level: float | None
    unit: str
    n: int | None
    as_of: str
    notebook: str
    definition: str
    cell: int | None = field(default=None, repr=False, compare=False)

    def __format__(self, spec: str) -> str:
        return phrase("unknown") if self.value is None else format(self.value, spec)


class Numbers:
    """The records of one notebook, in the order in which they were made."""

    def __init__(self, notebook: str, *, as_of: dt.date) -> None:
        self.notebook = notebook
        self.as_of = as_of.isoformat()
        self.records: dict[str, Number] = {}
        self.tables: dict[str, list[dict[str, Any]]] = {}

    def record(
        self,
        name: str,
        value: Any,
        *,
        unit: str,
        definition: str,
        n: Any = None,
        low: Any = None,
        high: Any = None,
        level: float | None = None,
    ) -> Number:
        """Record a number under its dotted name and return it. NaN, NA and None mean not known.

        unit : "share" (0 to 1), "days", "orders", a currency's code …; n : what it was counted over.
        Raises LabError if the name is taken, or an interval does not hold its value.
        """
        if name in self.records:
            raise LabError(f"{name} is recorded twice in {self.notebook}. Give each its own name.")
        value, low, high = _plain(value), _plain(low), _plain(high)
        if low is None and high is None:
            level = None
        if (low is None) != (high is None) or (level is None) != (low is None):
            raise LabError(f"{name}: expected low, high and level together or not at all.")
        if low is not None and value is not None and not low <= value <= high:
            raise LabError(f"{name}: {value} is outside its interval {low} to {high}.")
        count = None if _plain(n) is None else int(n)
        shell = get_ipython()
        number = Number(
            name, value, low, high, level, unit, count, self.as_of, self.notebook, definition,
            cell=shell.execution_count if shell else None,
        )  # fmt: skip
        self.records[name] = number
        return number

    def record_spanned(
        self, name: str, ends: tuple[Any, Any, Any], *, unit: str, n: Any, definition: str
    ) -> Number:
        """`record` a value with its low and high at LEVEL; alone where one of the three is not known."""
        # Slow to import, and pages without intervals need it not.
        from loyaltylab.intervals import LEVEL

        value, low, high = ends
        told: dict[str, Any] = {}
        if not any(_plain(end) is None for end in ends):
            told = {"low": low, "high": high, "level": LEVEL}
        return self.record(name, value, unit=unit, n=n, definition=definition, **told)

    def keep(self, name: str, table: pd.DataFrame) -> None:
        """Keep a small table of aggregates under its dotted name, for a figure beside this notebook's.

        Days are kept as 2026-06-30, NaN as not known. Raises LabError if the name is taken.
        """
        if name in self.tables:
            raise LabError(f"{name} is kept twice in {self.notebook}. Give each its own name.")
        rows = table.to_dict("records")
        self.tables[name] = [{str(k): _plain(v) for k, v in row.items()} for row in rows]

    def save(self, folder: Path) -> None:
        """Write the records as a JSON list, and the tables beside them, each whole or not at all."""
        if self.tables:
            write_json(tables_of(folder, self.notebook), self.tables)
        # These stand for the results: they come last.
        write_json(folder / f"{self.notebook}.json", [asdict(r) for r in self.records.values()])


def _plain(value: Any) -> Any:
    """A Python int, a float of DIGITS significant digits, a text, a day as a text, or None."""
    if value is None or value is pd.NA:
        return None
    if isinstance(value, str | bool):
        return value
    if isinstance(value, dt.date):
        return None if pd.isna(value) else f"{value:%Y-%m-%d}"
    if hasattr(value, "item"):  # numpy
        value = value.item()
    if isinstance(value, int):
        return value
    value = float(value)
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise LabError("a recorded number is infinite: expected a finite one, or none at all.")
    return float(f"{value:.{DIGITS}g}")


def sentence(template: str, **values: Any) -> str:
    """A sentence in Markdown whose numbers are computed: "**{rate:.0%}** came back".

    It is said in the language in use. Texts among the values are data, and stand as they are: no
    markup of theirs is followed.
    """
    safe = {k: _escaped(v) if isinstance(v, str) else v for k, v in values.items()}
    return phrase(template, **safe)


def say(template: str, **values: Any) -> None:
    """Show a `sentence`, or nothing where it is empty; without values, `template` may be one already."""
    if text := sentence(template, **values):
        display({"text/markdown": text, "text/plain": text}, raw=True)


def chance(p: float) -> str:
    """A p-value as a reader wants it: "p = 0.03", "p < 0.001"."""
    return filled("p < {:g}", 0.001) if p < 0.001 else filled("p = {:.2g}", p)


def spanned(value: float, low: float, high: float, spec: str = "+.1f") -> str:
    """A value and its interval as a cell of a table has them: "+1.2 (+0.3 to +2.1)"; a dash where the
    value is not known."""
    if _plain(value) is None:
        return "–"
    ends = {"value": value, "low": low, "high": high}
    texts = {name: shown(end, spec) for name, end in ends.items()}
    return phrase("{value} ({low} to {high})", **texts)


def _escaped(text: str) -> str:
    """On one line, as lines begin headings and lists; with an address that is no link."""
    line = re.sub(r"\s*[\r\n]\s*", " ", html.escape(text, quote=False))
    return re.sub(r"([\\`*_{}\[\]()#+!|~$-]|(?<=:)/(?=/))", r"\\\1", line)


def show(axes: Axes, *, alt: str) -> None:
    """Show the figure of these axes as SVG, with its data. `alt` says in words, from the plotted table,
    what it shows.

    The tests compare `alt` and the data, not the drawing. Raises LabError if `alt` is empty, or the data
    can neither be read off the axes nor were given (`figure_data.tabulate`).
    """
    import matplotlib as mpl  # slow to import, and half of the notebooks draw nothing
    import matplotlib.pyplot as plt

    from loyaltylab import figure_data, plots

    if not alt.strip():
        raise LabError("show: expected alt, the figure in words computed from its table.")
    figure = axes.get_figure(root=True)
    assert figure is not None
    plots.localise(figure)
    data = figure_data.read(figure, alt)
    plots.shorten(figure)  # after the data are read, which have names whole
    drawing = io.StringIO()
    # The same drawing gets the same ids, and two figures of a page different ones.
    salt = hashlib.sha256(alt.encode()).hexdigest()
    with mpl.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(drawing, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    # Where the reader lacks the font that the layout was made with, Verdana is as wide.
    svg = drawing.getvalue().replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    # A hundredth of a point is seen by nobody, and six digits are a third of a long page.
    svg = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), svg)
    bundle: dict[str, Any] = {"image/svg+xml": svg, "text/plain": alt}
    if data is not None:
        bundle[figure_data.MIME] = asdict(data)
    display(bundle, raw=True)


def show_table(
    table: pd.DataFrame,
    *,
    caption: str,
    formats: Mapping[str, str] | None = None,
    links: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Show a small table, one format string a column; a missing value is a dash.

    Caption and headings are in English, and shown in the language in use.
    links : column → the address that each of its cells links to.
    """
    formats, links = formats or {}, links or {}
    cells = pd.DataFrame(
        {c: [_cell(v, formats.get(c, "{}")) for v in table[c]] for c in table.columns}
    )
    numeric = {c for c in table.columns if pd.api.types.is_numeric_dtype(table[c])}
    marked = cells.map(html.escape)
    for column, addresses in links.items():
        marked[column] = [
            f'<a href="{html.escape(address)}">{cell}</a>'
            for address, cell in zip(addresses, marked[column], strict=True)
        ]
    head = "".join(
        f'<th scope="col"{_number(c in numeric)}>{html.escape(phrase(c))}</th>'
        for c in cells.columns
    )
    rows = "".join(
        "<tr>" + "".join(f"<td{_number(c in numeric)}>{v}</td>" for c, v in row.items()) + "</tr>\n"
        for row in marked.to_dict("records")
    )
    caption = phrase(caption)
    markup = (
        f"<table>\n<caption>{html.escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}</tbody>\n</table>"
    )
    plain = f"{caption}\n{cells.to_string(index=False)}"
    display({"text/html": markup, "text/plain": plain}, raw=True)


def _cell(value: Any, pattern: str) -> str:
    return "–" if pd.isna(value) else filled(pattern, value)


def _number(is_number: bool) -> str:
    return ' class="number"' if is_number else ""
