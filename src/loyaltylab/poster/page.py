"""The poster drawn on its sheet, and written as SVG and PNG: the same bytes for the same content."""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from loyaltylab import plots
from loyaltylab.files import write_text, written_whole
from loyaltylab.language import active
from loyaltylab.poster.content import Cell, Poster
from loyaltylab.poster.panels import Panel
from loyaltylab.poster.sheet import (
    HEIGHT,
    RISE,
    SMALLEST,
    WIDTH,
    Box,
    Lines,
    Sheet,
    fitted,
    one,
    width,
    wrapped,
)

DOTS = 150  # an inch: three to a pixel of a phone
_MARGIN = 14.0
_GAP = 10.0
_COLUMNS = 3
_HIGHEST = 200.0  # of a figure, where there are few
_QUIET, _LIGHT = "#4D4D4D", "#B8C0C6"
_STYLE: Any = {
    "font.family": plots.FONT,
    "text.parse_math": False,  # a dollar in a title is a dollar
    "svg.fonttype": "path",  # as forwarded, no reader has to have the font
}


def write(poster: Poster, svg: Path, png: Path) -> None:
    """Write both pictures, whole or not at all; the SVG comes last and stands for both."""
    figure = draw(poster)
    with written_whole(png) as part:
        figure.savefig(part, format="png", dpi=DOTS, metadata={"Software": None})
    write_text(svg, _as_svg(figure, poster))


def _as_svg(figure: Figure, poster: Poster) -> str:
    drawing = io.StringIO()
    salt = hashlib.sha256(poster.said.encode()).hexdigest()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({**_STYLE, "svg.hashsalt": salt}):
        figure.savefig(drawing, format="svg", metadata=nothing)
    # A hundredth of a point is seen by nobody, and six digits are a third of the file.
    svg = re.sub(
        r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), drawing.getvalue()
    )
    title = html.escape(f"{poster.title}: {poster.headline}", quote=False)
    words = html.escape(poster.said, quote=False)
    # As wide as paper, but no wider than the screen that it is opened on.
    named = (
        f' xml:lang="{active()}" role="img" aria-labelledby="title" aria-describedby="words"'
        ' style="max-width: 100%; height: auto"'
    )
    told = [f'<title id="title">{title}</title>', f'<desc id="words">{words}</desc>']
    return re.sub(
        r"(<svg [^>]*)>", lambda start: "\n ".join([f"{start[1]}{named}>", *told]), svg, count=1
    )


def draw(poster: Poster) -> Figure:
    """The poster as a figure of the size of A4."""
    with mpl.rc_context(_STYLE):
        sheet = Sheet()
        room = WIDTH - 2 * _MARGIN
        notes = fitted(poster.notes, [SMALLEST], room, most=5)
        foot = HEIGHT - _MARGIN - notes.height
        sheet.put(notes, _MARGIN, foot, colour=_QUIET)
        at = _head(sheet, poster, _MARGIN, room)
        at = _numbers(sheet, poster.cells, at, room)
        _figures(sheet, poster.panels, Box(_MARGIN, at, room, foot - _GAP / 2 - at))
        return sheet.figure


def _head(sheet: Sheet, poster: Poster, top: float, room: float) -> float:
    """Whose poster it is, and what it finds; where that ends."""
    title = fitted(poster.title, [11, 10, 9], room, most=2, bold=True)
    at = sheet.put(title, _MARGIN, top, colour=plots.OBSERVED)
    about = fitted(poster.about, [SMALLEST], room, most=2)
    at = sheet.put(about, _MARGIN, at, colour=_QUIET) + 5
    headline = fitted(
        poster.headline, [19, 18, 17, 16, 15, 14, 13, 12], room, most=3, bold=True, even=True
    )
    at = sheet.put(headline, _MARGIN, at)
    more = fitted(poster.more, [10, SMALLEST], room, most=2)
    return sheet.put(more, _MARGIN, at + 2, colour=_QUIET) + _GAP - 2


def _numbers(sheet: Sheet, cells: Sequence[Cell], top: float, room: float) -> float:
    """The numbers in rows of three, their values at one height in a row; where they end."""
    wide = (room - _GAP * (_COLUMNS - 1)) / _COLUMNS
    for start in range(0, len(cells), _COLUMNS):
        row = cells[start : start + _COLUMNS]
        labels = [fitted(cell.label, [SMALLEST], wide, most=3, even=True) for cell in row]
        values = top + 4 + max(label.height for label in labels)
        ends = []
        for i, (cell, label) in enumerate(zip(row, labels, strict=True)):
            left = _MARGIN + i * (wide + _GAP)
            sheet.rule(left, left + wide, top, colour=plots.OBSERVED, width=1.2)
            sheet.put(label, left, top + 4)
            ends.append(_number(sheet, cell, Box(left, values, wide, 0)))
        top = max(ends) + _GAP
    return top


def _number(sheet: Sheet, cell: Cell, box: Box) -> float:
    """A value with its unit, behind it or below, and what is known of it; where that ends."""
    value = one(cell.value, 21, box.width, bold=True)
    at = sheet.put(value, box.left, box.top)
    beside = box.left + width(cell.value, value.size, bold=True) + 4
    below = [cell.interval, cell.change]
    if beside + width(cell.unit, SMALLEST) <= box.left + box.width:
        foot = (value.size - SMALLEST) * RISE  # on one line with the value
        sheet.put(one(cell.unit, SMALLEST, box.width), beside, box.top + foot, colour=_QUIET)
    else:
        below.insert(0, cell.unit)
    for text in filter(None, below):
        colour = plots.INK if text == cell.change else _QUIET
        at = sheet.put(_whole(text, box.width), box.left, at, colour=colour)
    return at


def _whole(text: str, room: float) -> Lines:
    """A text with figures, of which nothing is cut or broken: in two lines, or else as small as they
    ask."""
    for size in (SMALLEST, 8.0, 7.0):
        lines = wrapped(text, size, room)
        if len(lines) <= 2 and " ".join(lines) == text:
            return Lines(tuple(lines), size)
    return one(text, SMALLEST, room)


def _figures(sheet: Sheet, panels: Sequence[Panel], box: Box) -> None:
    """The first figure over the whole width, and two more side by side."""
    if not panels:
        return
    rows = [panels[:1], panels[1:]] if len(panels) > 1 else [panels]
    high = min(_HIGHEST, (box.height - _GAP * (len(rows) - 1)) / len(rows))
    for i, row in enumerate(rows):
        wide = (box.width - 2 * _GAP * (len(row) - 1)) / len(row)
        for j, panel in enumerate(row):
            left, top = box.left + j * (wide + 2 * _GAP), box.top + i * (high + _GAP)
            title = fitted(
                panel.title, [10.5, 10, 9.5, SMALLEST], wide, most=2, bold=True, even=True
            )
            sheet.rule(left, left + wide, top, colour=_LIGHT, width=0.8)
            below = sheet.put(title, left, top + 3) + 2
            panel.draw(sheet, Box(left, below, wide, top + high - below))
