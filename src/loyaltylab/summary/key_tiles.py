"""Key figures as tiles: the value, what changed since the report before, and a line over all of them.

Grain: one tile. What they are made of is Markdown with a few elements of HTML, so that a page shows
them without a script; the line is a picture of its own, described in words.
"""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from loyaltylab import history
from loyaltylab.changes import CHANGED, MOVED, NEW, OTHER_UNIT, SAME, WITHIN, compare
from loyaltylab.dataset import Lab
from loyaltylab.history import Report
from loyaltylab.language import phrase
from loyaltylab.numbers import Number, sentence
from loyaltylab.summary.figures import address, change_of, in_unit, interval, value_and_unit

# Title of a tile → the numbers that it is of, by name or by the beginning of their names: of several,
# the lowest.
TILES = {
    "Bought so far": "retention.customers",
    "Came back for a second purchase": "retention.repeat_rate",
    "Active customers who go in a month": "retention.churn_rate",
    "Revenue expected of a customer": "lifetime_value.mean",
    "Worth of a new customer": "value.new_customer",
    "NPS of those who answered": "satisfaction.nps",
    "CSAT: good answers": "satisfaction.csat",
    "CES: good answers": "satisfaction.ces",
    "Data quality of the weakest export": "validation.score.",
}
AT_MOST = 24  # reports that a line goes over: two years of months

_WIDTH, _HEIGHT, _MARGIN = 120, 32, 4
_COLOUR = "#4f81a8"  # three times as bright or as dark as any page behind it


@dataclass(frozen=True)
class Tile:
    """A key figure; `values` are those of the kept reports, the last one's at the end, missing where
    a report lacks it or has it in another unit."""

    title: str
    number: Number
    before: Number | None
    values: tuple[float | None, ...]


def tiles(lab: Lab, numbers: Mapping[str, Number]) -> str:
    """The tiles of a dataset in Markdown; empty if it has none of these numbers."""
    reports = kept(lab, numbers)
    return written(of_reports(numbers, reports), then=reports[-2] if len(reports) > 1 else None)


def kept(lab: Lab, numbers: Mapping[str, Number]) -> list[Report]:
    """The kept reports in the order of their days, the last of which holds these numbers; none if they
    were not kept."""
    now = history.of_numbers(lab.history, numbers)
    return history.until(lab.history, now.day, at_most=AT_MOST) if now else []


def of_reports(
    numbers: Mapping[str, Number],
    reports: Sequence[Report],
    *,
    of: Mapping[str, str] = TILES,
) -> list[Tile]:
    """reports : the kept ones in the order of their days, the last of which holds these numbers; of :
    title → number, as in TILES."""
    found = []
    for title, name in of.items():
        number = _pick(numbers, name)
        if number is None or number.value is None or isinstance(number.value, str):
            continue
        past = [_pick(report.numbers, name) for report in reports]
        values = tuple(_value(one) if one and one.unit == number.unit else None for one in past)
        found.append(Tile(title, number, past[-2] if len(past) > 1 else None, values))
    return found


def _pick(numbers: Mapping[str, Number], name: str) -> Number | None:
    if not name.endswith("."):
        return numbers.get(name)
    found = [one for key, one in numbers.items() if key.startswith(name)]
    return min((one for one in found if _value(one) is not None), key=_sorted, default=None)


def _sorted(number: Number) -> float:
    return float(number.value or 0)


def _value(number: Number) -> float | None:
    return float(number.value) if isinstance(number.value, int | float) else None


def names(numbers: Mapping[str, Number]) -> list[str]:
    """The numbers that the tiles show."""
    return [tile.number.name for tile in of_reports(numbers, [])]


# ---- As Markdown.


def written(tiles: Iterable[Tile], *, then: Report | None) -> str:
    parts = [_tile(tile, then) for tile in tiles]
    return "\n".join(['<dl class="tiles">', *parts, "</dl>"]) if parts else ""


def _tile(tile: Tile, then: Report | None) -> str:
    value, unit = (sentence("{part}", part=part) for part in value_and_unit(tile.number))
    cells = [_cell(f"[**{value}**]({address(tile.number)}) {unit}".rstrip())]
    if tile.number.low is not None:
        cells.append(_cell(sentence("{interval}", interval=interval(tile.number)), "interval"))
    if then is not None:
        text, direction = changed(tile, then)
        cells.append(_cell(text, " ".join(filter(None, ["change", direction]))))
    if picture := sparkline(tile):
        alt = html.escape(describe_line(tile))
        cells.append(f'<dd class="line"><img alt="{alt}" src="{picture}"></dd>')
    return "\n".join(["<div>", f"<dt>{html.escape(phrase(tile.title))}</dt>", *cells, "</div>"])


def _cell(text: str, kind: str = "value") -> str:
    return "\n\n".join([f'<dd class="{kind}">', text, "</dd>"])


def changed(tile: Tile, then: Report) -> tuple[str, str]:
    """What changed since the report before in words, and "up", "down" or "" where it cannot be told."""
    verdict, change = since_before(tile)
    if verdict in _NOT_TOLD:
        return sentence(_NOT_TOLD[verdict], day=then.day), ""
    if math.isnan(change):
        return sentence(NOT_KNOWN, day=then.day), ""
    text = change_of(change, tile.number.unit)
    if not re.search("[1-9]", text):
        return sentence(HARDLY, day=then.day), ""
    words, direction = (UP, "up") if change > 0 else (DOWN, "down")
    return sentence(words[verdict], change=text, day=then.day), direction


def since_before(tile: Tile) -> tuple[str, float]:
    """The verdict of `compare` on a tile and the report before, and by how much the value differs:
    NaN where that cannot be said."""
    if tile.before is None:
        return NEW, math.nan
    row = compare({"": tile.before}, {"": tile.number}).iloc[0]
    return row["verdict"], float(row["change"])


NOT_THERE = "Not in the report of {day:%-d %B %Y}."
NOT_KNOWN = "Not known in the report of {day:%-d %B %Y}."
UNLIKE = "In another unit in the report of {day:%-d %B %Y}, so not compared."
UNCHANGED = "The same as on {day:%-d %B %Y}."
HARDLY = "Changed by less than is shown since {day:%-d %B %Y}."
_NOT_TOLD = {NEW: NOT_THERE, OTHER_UNIT: UNLIKE, SAME: UNCHANGED}
UP = {
    MOVED: "Up, {change} since {day:%-d %B %Y}: more than chance brings.",
    WITHIN: "Up, {change} since {day:%-d %B %Y}: within what chance brings.",
    CHANGED: "Up, {change} since {day:%-d %B %Y}; no intervals to judge that by.",
}
DOWN = {
    MOVED: "Down, {change} since {day:%-d %B %Y}: more than chance brings.",
    WITHIN: "Down, {change} since {day:%-d %B %Y}: within what chance brings.",
    CHANGED: "Down, {change} since {day:%-d %B %Y}; no intervals to judge that by.",
}
LINE = "Line over {reports} reports: from {first} to {last}; lowest {lowest}, highest {highest}."


def describe_line(tile: Tile) -> str:
    """What `sparkline` shows, in words. Plain text."""
    known = [value for value in tile.values if value is not None]
    shown = {"first": known[0], "last": known[-1], "lowest": min(known), "highest": max(known)}
    words = {key: in_unit(replace(tile.number, value=value)) for key, value in shown.items()}
    return phrase(LINE, reports=len(known), **words)


def sparkline(tile: Tile) -> str:
    """A line over the reports as the address of an SVG picture, the last value marked; one step a
    report, a gap where one lacks it. Empty if fewer than two have it."""
    known = [value for value in tile.values if value is not None]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    step = (_WIDTH - 2 * _MARGIN) / (len(tile.values) - 1)
    runs: list[list[str]] = [[]]
    for i, value in enumerate(tile.values):
        if value is None:
            runs.append([])
        else:
            up = (value - low) / (high - low) if high > low else 0.5
            y = _MARGIN + (1 - up) * (_HEIGHT - 2 * _MARGIN)
            runs[-1].append(f"{_MARGIN + i * step:.1f},{y:.1f}")
    lines = "".join(f'<polyline points="{" ".join(run)}"/>' for run in runs if len(run) > 1)
    # The last report always has it: it is this one.
    dots = dict.fromkeys([*(run[0] for run in runs if len(run) == 1), runs[-1][-1]])
    points = "".join(
        f'<circle cx="{x}" cy="{y}" r="2.5" fill="{_COLOUR}" stroke="none"/>'
        for x, y in (dot.split(",") for dot in dots)
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}"><g fill="none" stroke="{_COLOUR}" stroke-width="1.5" '
        f'stroke-linejoin="round">{lines}{points}</g></svg>'
    )
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
