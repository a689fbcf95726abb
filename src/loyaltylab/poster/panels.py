"""The figures of the poster, from small tables that notebooks kept. Grain: one figure.

Each is a sentence for its title, what it shows in words, and how it is drawn; one whose table is not
there, or holds too little to draw, is left out and the next takes its place.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from loyaltylab import plots
from loyaltylab.language import capitalised, phrase, shown
from loyaltylab.poster.sheet import LINE, SMALLEST, Box, Sheet, fitted, one, points, width

Row = Mapping[str, Any]
BEFORE = "#8C959D"  # three times as dark as the paper
MONTHS = 12
SEGMENTS = 4  # at most so many in a figure

_GRID = "#DDE2E6"
_QUIET = "#4D4D4D"
_LABEL = SMALLEST * LINE  # height of a line of labels


@dataclass(frozen=True)
class Panel:
    """title : what it shows, or finds; says : the figure in words; both are plain text.

    draw : onto a sheet, in a box below its title.
    """

    title: str
    says: str
    draw: Callable[[Sheet, Box], None]


def panels(tables: Mapping[str, Sequence[Row]], *, currency: str) -> list[Panel]:
    """All that can be drawn of these tables, what a reader should see first at the beginning."""
    made = (
        _revenue(tables.get("retention.revenue_by_month", ()), currency),
        _returns(tables.get("retention.returns", ())),
        _segments(tables.get("segments.shares", ())),
        _tenths(tables.get("retention.tenths", ())),
    )
    return [panel for panel in made if panel is not None]


# ---- Revenue by month, beside the same month of the year before.


def _revenue(rows: Sequence[Row], currency: str) -> Panel | None:
    """Of the last twelve months that are over. A month that is not known has no bar."""
    by = {dt.date.fromisoformat(row["month"]): row["revenue"] for row in rows if row["complete"]}
    months = sorted(by)[-MONTHS:]
    now = [by[month] for month in months]
    before = [by.get(month.replace(year=month.year - 1)) for month in months]
    known = [value for value in (*now, *before) if value is not None]
    if sum(value is not None for value in now) < 2 or not any(known):
        return None
    factor, money = _in_large(max(abs(value) for value in known), currency)
    pairs = [(a, b) for a, b in zip(now, before, strict=True) if a is not None and b is not None]
    sums = [sum(pair) for pair in zip(*pairs, strict=True)] or [0, 0]
    title = phrase("Revenue by month")
    if sums[1] > 0:
        words = YEARS if len(pairs) == MONTHS else PART
        title = phrase(words, change=sums[0] / sums[1] - 1, months=len(pairs))
    scaled = [[None if v is None else v / factor for v in values] for values in (now, before)]

    def draw(sheet: Sheet, box: Box) -> None:
        _draw_revenue(sheet, box, months, *scaled, money=money)

    return Panel(title, _describe_revenue(months, *scaled, money=money), draw)


YEARS = "Revenue: {change:+.0%} on the twelve months before"
PART = "Revenue: {change:+.0%} on the same {months} months a year before"


def _in_large(largest: float, currency: str) -> tuple[float, str]:
    """By what money is divided so that its figures are short, and what they then are."""
    for factor, words in LARGE.items():
        if largest >= 10 * factor:
            return factor, phrase(words, currency=currency)
    return 1.0, currency


LARGE = {1e9: "{currency}, billions", 1e6: "{currency}, millions", 1e3: "{currency}, thousands"}


def _draw_revenue(
    sheet: Sheet,
    box: Box,
    months: Sequence[dt.date],
    now: Sequence[float | None],
    before: Sequence[float | None],
    *,
    money: str,
) -> None:
    known = [value for value in (*now, *before) if value is not None]
    these = phrase("{first:%b %Y} to {last:%b %Y}, {money}", first=months[0], last=months[-1],
                   money=money)  # fmt: skip
    keys = [(plots.OBSERVED, these)]
    if any(value is not None for value in before):
        keys.append((BEFORE, phrase("a year before")))
    box = box.below(_legend(sheet, box, keys))
    ax, plot = _scaled(sheet, box, min(0, *known), max(0, *known), below=_LABEL)
    for values, colour, wide in ((before, BEFORE, 0.84), (now, plots.OBSERVED, 0.5)):
        bars = [(i, value) for i, value in enumerate(values) if value is not None]
        ax.bar([i for i, _ in bars], [v for _, v in bars], width=wide, color=colour)
    ax.set_xlim(-0.6, len(months) - 0.4)
    ax.axhline(0, color=_QUIET, linewidth=points(0.7))
    names = [shown(month, "%b") for month in months]
    room = plot.width / (len(months) + 0.2)
    step = max(1, math.ceil((max(width(name, SMALLEST) for name in names) + 2) / room))
    for i in range(len(months) - 1, -1, -step):
        label = one(names[i], SMALLEST, room * step)
        sheet.put(
            label, plot.left + (i + 0.6) * room, plot.bottom + 1, colour=_QUIET, align="center"
        )


def _describe_revenue(
    months: Sequence[dt.date],
    now: Sequence[float | None],
    before: Sequence[float | None],
    *,
    money: str,
) -> str:
    parts = [
        phrase("{month:%b %Y} {now} (a year before {before})", month=month, now=_figure(a),
               before=_figure(b))
        if b is not None
        else phrase("{month:%b %Y} {now}", month=month, now=_figure(a))
        for month, a, b in zip(months, now, before, strict=True)
    ]  # fmt: skip
    return phrase("Bars by month, {money}: {parts}.", money=money, parts="; ".join(parts))


def _figure(value: float | None) -> str:
    return phrase("unknown") if value is None else shown(value, f",.{_digits([value])}f")


# ---- How soon customers come back.


def _returns(rows: Sequence[Row]) -> Panel | None:
    if len(rows) < 2 or not rows[-1]["share"]:
        return None
    last = rows[-1]
    within = WITHIN_A_YEAR if last["days"] == 365 else WITHIN_DAYS
    title = phrase(within, **last)
    says = phrase(
        "Curve of the share of customers with a second purchase, with its 95% range: {parts}.",
        parts="; ".join(
            phrase("{share:.1%} by day {days} ({low:.1%} to {high:.1%})", **row)
            for row in rows
            if row["days"] in (30, 90, 180, last["days"])
        ),
    )

    def draw(sheet: Sheet, box: Box) -> None:
        _draw_returns(sheet, box, rows)

    return Panel(title, says, draw)


WITHIN_A_YEAR = "{share:.0%} come back within a year"
WITHIN_DAYS = "{share:.0%} come back within {days} days"


def _draw_returns(sheet: Sheet, box: Box, rows: Sequence[Row]) -> None:
    days, share, low, high = (
        [row[key] for row in rows] for key in ("days", "share", "low", "high")
    )
    # Above the curve is room for its last value.
    ax, plot = _scaled(sheet, box, 0, 1.25 * max(high), below=2 * _LABEL, percent=True)
    ax.set_xlim(0, days[-1] * 1.04)
    ax.fill_between(days, low, high, color=plots.OBSERVED, alpha=0.25, linewidth=0)
    ax.plot(days, share, color=plots.OBSERVED, linewidth=points(1.8))
    ax.plot(days[-1:], share[-1:], "o", color=plots.OBSERVED, markersize=points(4))
    scale = plot.width / (days[-1] * 1.04)
    top = plot.bottom - plot.height * high[-1] / ax.get_ylim()[1]
    label = one(shown(share[-1], ".0%"), 11, plot.width, bold=True)
    right = plot.left + days[-1] * scale + 4
    above = max(box.top, top - label.height - 1)
    sheet.put(label, right, above, colour=plots.OBSERVED, align="right")
    taken = math.inf
    for day in sorted({*(d for d in (30, 90, 180, 365) if d < days[-1]), days[-1]}, reverse=True):
        text = one(shown(day, ",d"), SMALLEST, plot.width)
        half = width(text.lines[0], text.size) / 2
        at = plot.left + day * scale
        if at + half < taken - 3:
            sheet.put(text, at, plot.bottom + 1, colour=_QUIET, align="center")
            taken = at - half
    below = fitted(phrase("days since the first purchase"), [SMALLEST], box.width, most=1)
    sheet.put(below, box.left + box.width, plot.bottom + 1 + _LABEL, colour=_QUIET, align="right")


# ---- Who brings the money.


def _segments(rows: Sequence[Row]) -> Panel | None:
    top = sorted(rows, key=lambda row: -row["of_revenue"])[:SEGMENTS]
    if len(top) < 2:
        return None
    named = [{**row, "name": phrase(row["segment"])} for row in top]
    title = phrase(
        "{name}: {of_customers:.0%} of customers, {of_revenue:.0%} of revenue",
        **named[0] | {"name": capitalised(named[0]["name"])},
    )
    parts = [phrase("{name} {of_customers:.0%} and {of_revenue:.0%}", **row) for row in named]
    says = phrase(
        "Bars of the share of customers and of revenue, by segment: {parts}.",
        parts="; ".join(parts),
    )

    def draw(sheet: Sheet, box: Box) -> None:
        _draw_segments(sheet, box, named)

    return Panel(title, says, draw)


def _draw_segments(sheet: Sheet, box: Box, rows: Sequence[Row]) -> None:
    keys = [(BEFORE, phrase("of customers")), (plots.OBSERVED, phrase("of revenue"))]
    box = box.below(_legend(sheet, box, keys))
    rows = rows[: max(1, int(box.height / (_LABEL + 7.5)))]
    each = box.height / len(rows)
    most = max(max(row["of_customers"], row["of_revenue"]) for row in rows)
    for i, row in enumerate(rows):
        top = box.top + i * each
        share = one(shown(row["of_revenue"], ".0%"), SMALLEST, box.width, bold=True)
        room = box.width - width(share.lines[0], share.size, bold=True) - 4
        name = fitted(capitalised(row["name"]), [SMALLEST], room, most=1)
        sheet.put(name, box.left, top)
        sheet.put(share, box.left + box.width, top, colour=plots.OBSERVED, align="right")
        for j, (key, colour) in enumerate(
            (("of_customers", BEFORE), ("of_revenue", plots.OBSERVED))
        ):
            long = box.width * max(0.0, row[key]) / most
            sheet.bar(Box(box.left, top + _LABEL + 0.5 + 3.5 * j, long, 3), colour=colour)


def _tenths(rows: Sequence[Row]) -> Panel | None:
    if len(rows) < 10:
        return None
    shares = [row["share"] for row in sorted(rows, key=lambda row: row["decile"])]
    title = phrase("The tenth of customers who spent most: {share:.0%} of revenue", share=shares[0])
    parts = "; ".join(shown(share, ".1%") for share in shares)
    says = phrase(
        "Bars of revenue by tenths of customers, who spent most first: {parts}.", parts=parts
    )

    def draw(sheet: Sheet, box: Box) -> None:
        _draw_tenths(sheet, box, shares)

    return Panel(title, says, draw)


def _draw_tenths(sheet: Sheet, box: Box, shares: Sequence[float]) -> None:
    ax, plot = _scaled(sheet, box, min(0, *shares), max(0, *shares), below=2 * _LABEL, percent=True)
    colours = [plots.OBSERVED, *[BEFORE] * 9]
    ax.bar(range(10), shares, width=0.7, color=colours)
    ax.set_xlim(-0.6, 9.6)
    for i in range(10):
        label = one(str(i + 1), SMALLEST, plot.width / 10)
        at = plot.left + (i + 0.6) * plot.width / 10.2
        sheet.put(label, at, plot.bottom + 1, colour=_QUIET, align="center")
    words = phrase("tenths of customers by spend")
    below = fitted(words, [SMALLEST], box.width, most=1)
    sheet.put(below, box.left + box.width, plot.bottom + 1 + _LABEL, colour=_QUIET, align="right")


# ---- What they share.


def _legend(sheet: Sheet, box: Box, keys: Sequence[tuple[str, str]]) -> float:
    """Coloured squares with their names in a line; how high it is."""
    left = box.left
    needed = sum(width(words, SMALLEST) for _, words in keys)
    room = min(1.0, (box.width - 17 * len(keys) + 8) / needed)
    for colour, words in keys:
        sheet.bar(Box(left, box.top + 2.5, 6, 6), colour=colour)
        name = fitted(words, [SMALLEST], width(words, SMALLEST) * room, most=1)
        sheet.put(name, left + 9, box.top, colour=_QUIET)
        left += 9 + width(name.lines[0], name.size) + 8
    return _LABEL + 3


def _scaled(
    sheet: Sheet, box: Box, low: float, high: float, *, below: float, percent: bool = False
) -> tuple[Axes, Box]:
    """Axes with a few labelled lines across, and their place: beside the labels, and above so much
    room for others."""
    # The highest label stands half above its line.
    room = max(1.0, box.height - below - 1 - _LABEL / 2)
    ticks = _apart(MaxNLocator(3).tick_values(low, high), low, high, _LABEL * (high - low) / room)
    digits = _digits(ticks)
    labels = [shown(t, ".0%") if percent else shown(t, f",.{digits}f") for t in ticks]
    lines = [one(label, SMALLEST, box.width / 3) for label in labels]
    beside = max(width(line.lines[0], line.size) for line in lines) + 5
    plot = Box(box.left + beside, box.top + _LABEL / 2, box.width - beside, room)
    ax = sheet.axes(plot)
    ax.set_ylim(low, high)
    for tick, line in zip(ticks, lines, strict=True):
        at = plot.bottom - plot.height * (tick - low) / (high - low)
        ax.axhline(tick, color=_GRID, linewidth=points(0.6), zorder=0)
        right = plot.left - 4
        sheet.put(line, right, at - line.height / 2, colour=_QUIET, align="right")
    return ax, plot


def _apart(ticks: Sequence[float], low: float, high: float, least: float) -> list[float]:
    """0, and of the other ticks inside those that are at least so far from it and from each other."""
    kept = [0.0]
    for tick in sorted(ticks, key=abs):
        if low <= tick <= high and all(abs(tick - other) >= least for other in kept):
            kept.append(float(tick))
    return kept


def _digits(values: Sequence[float]) -> int:
    """After the point: none for what is whole or large, else one or two."""
    if all(float(value).is_integer() or abs(value) >= 100 for value in values):
        return 0
    return (
        1
        if all(math.isclose(value, round(value, 1)) or abs(value) >= 10 for value in values)
        else 2
    )
