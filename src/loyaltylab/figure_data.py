"""The table behind a figure. Grain in: a drawn figure. Grain out: one table, its cells as texts.

Lines, steps, bars, points and their intervals are read off the axes: the table says what was drawn,
and not what was meant. A figure of anything else is given its table by `tabulate`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.category import StrCategoryFormatter
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.dates import DateFormatter, num2date
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from loyaltylab.errors import LabError
from loyaltylab.intervals import LEVEL
from loyaltylab.language import filled, phrase, shown

MIME = "application/vnd.loyaltylab.table+json"
INTERVAL = f"{LEVEL:.0%} interval"
MISSING = "–"
MOST = 200  # rows that are all shown; of more, about SOME
SOME = 40
GROUP = "group"  # what the rows are where the axis of their names does not say


@dataclass(frozen=True)
class FigureData:
    """What a figure shows: `rows` of texts under `columns`, and `notes` that hold for all of them."""

    caption: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)


@dataclass
class _Series:
    """What one label of the legend stands for. data : value, low and high (of them what
    there is), by place along the axis of the key."""

    name: str
    data: pd.DataFrame
    percent: bool
    color: tuple[float, ...] | None = None
    step: bool = False


_given: WeakKeyDictionary[Axes, FigureData] = WeakKeyDictionary()


def tabulate(
    ax: Axes,
    table: pd.DataFrame,
    caption: str,
    *,
    formats: Mapping[Any, str] | str | None = None,
    notes: Sequence[str] = (),
) -> Axes:
    """Give a figure the table that cannot be read off its axes. Returns `ax`.

    Caption and headings are in English, and shown in the language in use; notes are in that.
    formats : column → format of its numbers, or one for all columns but the first; else as they need.
    """
    of: Mapping[Any, str] = formats if isinstance(formats, Mapping) else {}
    if isinstance(formats, str):
        of = dict.fromkeys(table.columns[1:], formats)
    cells = {phrase(str(c)): _texts(table[c], of.get(c)) for c in table}
    _given[ax] = _table(phrase(caption), cells, notes)
    return ax


def read(figure: Figure, words: str) -> FigureData | None:
    """The table of a figure; None if nothing is drawn in it.

    words : the figure's alt text. Of a long table, the rows that it names stay.
    Raises LabError if something is drawn that cannot be read off and was not given.
    """
    axes = [ax for ax in figure.axes if ax.axison]
    if given := [_given[ax] for ax in axes if ax in _given]:
        return given[0]
    panels = [_Panel(ax) for ax in axes]
    series = _joined([one for panel in panels for one in panel.series])
    if not series:
        return None
    first, notes = panels[0], [note for panel in panels for note in panel.notes]
    places = functools.reduce(pd.Index.union, (one.data.index for one in series))
    if first.named:
        places = places.intersection(pd.Index(first.key.get_majorticklocs()))
    elif len(places) > MOST:
        of_all, places = len(places), _some(places, series, first, words)
        notes.append(phrase("{some} of {all:,} rows", some=len(places), all=of_all))
    heading = first.heading(places)
    cells = {heading: first.said(places)}
    for name, (start, end) in first.shaded.items():
        cells[name] = [phrase("yes" if start <= place <= end else "no") for place in places]
    for one in series:
        at = one.data.reindex(places)
        if one.step:  # holds until the next one
            held = one.data.reindex(one.data.index.union(places)).ffill().reindex(places)
            at = held[places <= one.data.index.max()].reindex(places)
        form = "{:.1%}" if one.percent else None
        largest = max(other.data.abs().max().max() for other in series)
        if "value" in at:
            cells[one.name] = _texts(at["value"], form or _digits(at["value"], largest))
        if "low" in at:
            alone = len(series) == 1
            both = form or _digits(pd.concat([at["low"], at["high"]]), largest)
            ends = zip(_texts(at["low"], both), _texts(at["high"], both), strict=True)
            name = phrase(INTERVAL) if alone else f"{one.name}: {phrase(INTERVAL)}"
            cells[name if "value" in at else one.name] = [
                MISSING if MISSING in pair else _to(*pair) for pair in ends
            ]
    values = dict.fromkeys(filter(None, (_label(panel.value) for panel in panels)))
    said = ", ".join(values) or ", ".join(one.name for one in series)
    by = phrase("{said} by {heading}", said="", heading=heading)
    if heading == phrase(GROUP) or said.endswith(by):
        return _table(said, cells, notes)
    return _table(phrase("{said} by {heading}", said=said, heading=heading), cells, notes)


class _Panel:
    """One pair of axes, what is drawn in it, and along which of its axes the rows stand."""

    def __init__(self, ax: Axes) -> None:
        self.ax = ax
        self.lying = has_names(ax.yaxis) and not has_names(ax.xaxis)
        self.key: Axis = ax.yaxis if self.lying else ax.xaxis
        self.value: Axis = ax.xaxis if self.lying else ax.yaxis
        self.named = has_names(self.key)
        self.dated = isinstance(self.key.get_major_formatter(), DateFormatter)
        self.series: list[_Series] = []
        self.notes: list[str] = []
        self.shaded: dict[str, tuple[float, float]] = {}  # from where to where
        errors = [box for box in ax.containers if isinstance(box, ErrorbarContainer)]
        ends = {id(part) for error in errors for parts in error.lines[1:] for part in parts}
        lines = {id(error.lines[0]): str(error.get_label()) for error in errors}
        for bars in (box for box in ax.containers if isinstance(box, BarContainer)):
            self._bars(bars)
        for line in (line for line in ax.lines if id(line) not in ends):
            self._line(line, lines.get(id(line), str(line.get_label())))
        for error in errors:
            drawn = [end for part in error.lines[2] for end in part.get_segments()]
            segments = np.array(
                [end for end in drawn if len(end) == 2]
            )  # one that is missing has none
            around = segments[:, :, int(not self.lying)]
            places = segments[:, 0, int(self.lying)]
            self._interval(
                pd.DataFrame({"low": around.min(axis=1), "high": around.max(axis=1)}, places)
            )
        for area in (area for area in ax.collections if id(area) not in ends):
            if not isinstance(area, FillBetweenPolyCollection):
                raise _unread(type(area).__name__)
            if _is_name(label := str(area.get_label())):
                self.series.append(_Series(label, _filled(area), _in_percent(self.value)))
            else:
                color: Any = area.get_facecolor()
                self._interval(_filled(area), tuple(to_rgb(color[0])))
        for patch in ax.patches:
            if not isinstance(patch, Rectangle):
                raise _unread(type(patch).__name__)
            self._span(patch)
        if ax.images:
            raise _unread("an image")
        if self.named:
            self._to_names()

    def heading(self, places: pd.Index) -> str:
        """What the rows are."""
        if self.dated and all(num2date(place).day == 1 for place in places):
            monthly = np.diff(places).min(initial=31) < 32
            return _label(self.key) or phrase("month" if monthly else "from")
        return _label(self.key) or phrase("date" if self.dated else GROUP)

    def said(self, places: pd.Index) -> list[str]:
        """Places along the key's axis as it names them."""
        if self.named:
            ticks = zip(self.key.get_majorticklocs(), self.key.get_majorticklabels(), strict=True)
            names = {place: label.get_text() for place, label in ticks}
            return [names[place] for place in places]
        if self.dated:
            days = [num2date(place) for place in places]
            form = "%b %Y" if all(day.day == 1 for day in days) else "%-d %b %Y"
            return [shown(day, form) for day in days]
        return _texts(pd.Series(places), "{:.1%}" if _in_percent(self.key) else None)

    def _add(self, label: str, values: pd.Series, **more: Any) -> None:
        named = self._named(label)
        name = ": ".join(filter(None, [self.ax.get_title(), named])) or _label(self.value)
        # Of two values at one place, a step reaches the last.
        data = values.groupby(level=0).last().to_frame("value")
        self.series.append(_Series(name or phrase("value"), data, _in_percent(self.value), **more))

    def _named(self, label: str) -> str:
        """What the legend calls a series, under its title; no need to say that it has an interval."""
        if not _is_name(label):
            return ""
        legend = self.ax.get_legend()
        title = legend.get_title().get_text() if legend and label[0] != "_" else ""
        return f"{title} {label.lstrip('_').removesuffix(f', {phrase(INTERVAL)}')}".strip()

    def _bars(self, bars: BarContainer) -> None:
        lying = bars.orientation == "horizontal"
        boxes = (
            [(p.get_y(), p.get_height(), p.get_width()) for p in bars.patches]
            if lying
            else [(p.get_x(), p.get_width(), p.get_height()) for p in bars.patches]
        )
        starts, widths, lengths = np.array(boxes, float).T
        # Where the middles are no whole numbers, the bars begin at their places.
        places = starts + widths / 2
        if not self.named and not np.allclose(places, places.round()):
            places = starts
        self._add(str(bars.get_label()), pd.Series(lengths, places))

    def _line(self, line: Line2D, label: str) -> None:
        x, y = (np.asarray(part, float) for part in line.get_data(orig=False))
        if line.get_transform() != self.ax.transData:  # a mark from side to side
            upright = line.get_transform() == self.ax.get_xaxis_transform(which="grid")
            axis, at = (self.ax.xaxis, x[0]) if upright else (self.ax.yaxis, y[0])
            if _is_name(label):
                self.notes.append(f"{label.lstrip('_')}: {self._one(axis, at)}")
            return
        step = str(line.get_drawstyle()).startswith("steps")
        if len(x) and (self.named or step or len(x) != 2 or not np.allclose(x, y)):
            # A diagonal is where both are equal, without steps; of two groups one may have none, the
            # other all.
            values = pd.Series(x, y) if self.lying else pd.Series(y, x)
            color: Any = line.get_color()
            self._add(label, values, color=tuple(to_rgb(color)), step=step)

    def _interval(self, ends: pd.DataFrame, color: tuple[float, ...] | None = None) -> None:
        """Give it to the last series that it holds, of its own colour if it has one."""
        for one in (one for one in reversed(self.series) if "value" in one.data):
            inside = one.data["value"].reindex(ends.index)
            room = 1e-9 + 1e-6 * inside.abs()
            held = (ends["low"] <= inside + room) & (inside <= ends["high"] + room)
            alike = None in (color, one.color) or np.allclose(color, one.color)  # type: ignore[arg-type]
            missing = inside.isna() | ends["low"].isna()
            if alike and "low" not in one.data and not missing.all() and (held | missing).all():
                one.data = one.data.join(ends)
                return
        raise _unread("an interval around no line")

    def _span(self, patch: Rectangle) -> None:
        label, box = str(patch.get_label()), patch.get_bbox()
        if not _is_name(label):
            return
        if patch.get_data_transform() == self.ax.get_xaxis_transform(which="grid"):
            self.shaded[label] = (box.x0, box.x1)
        else:
            low, high = self._one(self.ax.yaxis, box.y0), self._one(self.ax.yaxis, box.y1)
            self.notes.append(f"{label.lstrip('_')}: {_to(low, high)}")

    def _one(self, axis: Axis, at: float) -> str:
        if axis is self.key:
            return self.said(pd.Index([at]))[0]
        return _texts(pd.Series([at]), "{:.1%}" if _in_percent(axis) else None)[0]

    def _to_names(self) -> None:
        """Bars of one name stand side by side: each at the name that is nearest."""
        ticks = np.asarray(self.key.get_majorticklocs(), float)
        for one in self.series:
            nearest = np.abs(one.data.index.to_numpy(float)[:, None] - ticks).argmin(axis=1)
            one.data.index = pd.Index(ticks[nearest])


def _joined(series: list[_Series]) -> list[_Series]:
    """Series of one name are one, as long as they do not meet."""
    found: dict[str, _Series] = {}
    for one in series:
        if one.name not in found:
            found[one.name] = one
        elif found[one.name].data.index.intersection(one.data.index).empty:
            found[one.name].data = pd.concat([found[one.name].data, one.data])
        else:
            raise _unread(f'two series that are both "{one.name}"')
    return list(found.values())


def _some(places: pd.Index, series: list[_Series], panel: _Panel, words: str) -> pd.Index:
    """Of many places, the ends, round ones between them, the highest and the lowest, and those that
    `words` names."""
    if all(one.step for one in series):
        between = MaxNLocator(SOME, integer=True).tick_values(places[0], places[-1])
    else:
        between = places.to_numpy()[np.linspace(0, len(places) - 1, SOME).astype(int)]
    kept = {places[0], places[-1], *between}
    for one in (one for one in series if "value" in one.data):
        kept |= {one.data["value"].idxmin(), one.data["value"].idxmax()}
    named = set(re.findall(r"[\d.,]*\d", words))
    kept |= {place for place, said in zip(places, panel.said(places), strict=True) if said in named}
    return pd.Index(sorted(place for place in kept if places[0] <= place <= places[-1]))


def _filled(area: FillBetweenPolyCollection) -> pd.DataFrame:
    """The ends of a filled band, low and high by place: along the one edge, and back along the other."""
    parts = []
    for path in area.get_paths():
        points = np.asarray(path.vertices)
        many = (len(points) - 3) // 2
        edges = points[1 : many + 1], points[many + 2 : 2 * many + 2][::-1]
        sides = [pd.Series(edge[:, 1], edge[:, 0]).groupby(level=0).last() for edge in edges]
        both = pd.concat(sides, axis=1)
        parts.append(pd.DataFrame({"low": both.min(axis=1), "high": both.max(axis=1)}))
    return pd.concat(parts)


def _table(caption: str, cells: Mapping[str, Sequence[str]], notes: Sequence[str]) -> FigureData:
    rows = [list(row) for row in zip(*cells.values(), strict=True)]
    return FigureData(caption, list(cells), rows, list(notes))


def _to(low: str, high: str) -> str:
    return phrase("{low} to {high}", low=low, high=high)


def _texts(values: pd.Series, form: str | None = None) -> list[str]:
    """Cells of a column; without a format, as dates or numbers that have the digits they need."""
    if form is None and pd.api.types.is_datetime64_any_dtype(values):
        form = "{:%b %Y}" if (values.dropna().dt.day == 1).all() else "{:%-d %b %Y}"
    elif form is None and pd.api.types.is_numeric_dtype(values):
        form = _digits(values, values.abs().max())
    return [MISSING if pd.isna(value) else filled(form or "{}", value) for value in values]


def _digits(values: pd.Series, largest: float) -> str:
    """A format: no decimals for whole numbers, else as many as are of use beside the largest number."""
    known = values.dropna().astype(float)
    whole = bool((known == known.round()).all())
    return f"{{:,.{0 if whole or largest >= 10_000 else 2 if largest >= 1 else 4}f}}"


def _label(axis: Axis) -> str:
    return " ".join(axis.get_label_text().split())


def _is_name(label: str) -> bool:
    """Whether a label was given. One that begins with _ names a series, though not in the legend."""
    return bool(label) and not re.fullmatch(r"_(child|container|line)\d+|_nolegend_|None", label)


def has_names(axis: Axis) -> bool:
    """Whether the axis names its places; what stands on a logarithmic one is between the names."""
    form = axis.get_major_formatter()
    if isinstance(form, StrCategoryFormatter):
        return True
    told = isinstance(form, FuncFormatter) and isinstance(form.func, functools.partial)
    return told and axis.get_scale() == "linear"


def _in_percent(axis: Axis) -> bool:
    form = axis.get_major_formatter()
    return isinstance(form, FuncFormatter) and form(0.5).endswith("%")


def _unread(what: str) -> LabError:
    return LabError(
        f"show: expected a figure whose data can be read off, found {what}. Name each series by a "
        "label, or give the table with figure_data.tabulate."
    )
