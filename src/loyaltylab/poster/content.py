"""What the poster says. Grain in: one number, one small table, by name. Grain out: one poster.

Numbers and headline are those that the summary puts first: the first of its tiles, then of its other
key figures, as far as there are any.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loyaltylab.changes import CHANGED, MOVED, SAME, WITHIN
from loyaltylab.history import Report
from loyaltylab.language import capitalised, phrase
from loyaltylab.numbers import Number
from loyaltylab.poster.panels import Panel, panels
from loyaltylab.summary import KEY_FIGURES, change_of, interval
from loyaltylab.summary.figures import value_and_unit
from loyaltylab.summary.findings import choose, headline, weigh
from loyaltylab.summary.key_tiles import TILES, Tile, of_reports, since_before
from loyaltylab.summary.terms import term

NUMBERS, FIGURES = 6, 3


@dataclass(frozen=True)
class Cell:
    """A number as the poster shows it; `interval` and `change` are empty where there is none."""

    label: str
    value: str
    unit: str
    interval: str
    change: str

    @property
    def said(self) -> str:
        value = " ".join(filter(None, [self.value, self.unit]))
        more = f" ({self.interval})" if self.interval else ""
        parts = [f"{self.label}: {value}{more}", self.change]
        return "; ".join(filter(None, parts))


@dataclass(frozen=True)
class Poster:
    """All texts are plain. `about` says of whom and until when; `more` what goes with the headline;
    `notes` how to read it."""

    title: str
    about: str
    headline: str
    more: str
    cells: list[Cell]
    panels: list[Panel]
    notes: str

    @property
    def said(self) -> str:
        """All that it shows, in words."""
        cells = [f"{cell.said}." for cell in self.cells]
        figures = [f"{panel.title}. {panel.says}" for panel in self.panels]
        parts = [self.about, self.headline, self.more, *cells, *figures, self.notes]
        return " ".join(_ended(part) for part in parts if part)


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def content(
    numbers: Mapping[str, Number],
    reports: Sequence[Report],
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    title: str,
    currency: str,
    simulated: bool,
) -> Poster:
    """reports : the kept ones in the order of their days, the last of which holds these numbers.

    tables : what notebooks kept for figures, as `Lab.tables` has it.
    """
    tiles = _chosen(numbers, reports)
    then = reports[-2] if len(reports) > 1 else None
    changes = [_change(tile) for tile in tiles]
    cells = [_cell(tile, text) for tile, (_, text) in zip(tiles, changes, strict=True)]
    first, more = _headline(numbers, currency)
    return Poster(
        title=title,
        about=_about(numbers, simulated),
        headline=first,
        more=more,
        cells=cells,
        panels=panels(tables, currency=currency)[:FIGURES],
        notes=_notes(cells, {verdict for verdict, text in changes if text}, then),
    )


def _chosen(numbers: Mapping[str, Number], reports: Sequence[Report]) -> list[Tile]:
    others = {term(name).title: name for name in KEY_FIGURES if name not in TILES.values()}
    return of_reports(numbers, reports, of=TILES | others)[:NUMBERS]


def _cell(tile: Tile, change: str) -> Cell:
    value, unit = value_and_unit(tile.number)
    known = tile.number.low is not None and tile.number.high is not None
    label = capitalised(phrase(tile.title))
    return Cell(label, value, unit, interval(tile.number) if known else "", change)


# Verdict → how a rise and a fall are marked.
_MARKS = {MOVED: ("▲ ", "▼ "), WITHIN: ("△ ", "▽ "), CHANGED: ("", "")}


def _change(tile: Tile) -> tuple[str, str]:
    """The verdict on the report before, and the change as it is shown; empty where none can be told."""
    verdict, change = since_before(tile)
    if verdict == SAME:
        return verdict, "="
    if verdict not in _MARKS or math.isnan(change):
        return verdict, ""
    text = change_of(change, tile.number.unit)
    if not re.search("[1-9]", text):
        return SAME, "="
    return verdict, _MARKS[verdict][change < 0] + text


def _headline(numbers: Mapping[str, Number], currency: str) -> tuple[str, str]:
    chosen = choose(weigh(numbers))
    if not chosen:
        return phrase("None of the numbers that findings are made of is known in this dataset."), ""
    first, more = headline(chosen[0], numbers, currency=currency)
    if alone := re.fullmatch(r"\((.*)\)\.?", more):
        more = phrase("With {level:.0%} confidence: {interval}.", level=0.95, interval=alone[1])
    return first, more


def _about(numbers: Mapping[str, Number], simulated: bool) -> str:
    until = max((number.as_of for number in numbers.values()), default="")
    parts = [phrase("All of it is simulated.")] if simulated else []
    if until:
        day = dt.date.fromisoformat(until)
        parts.insert(0, phrase("Customers and purchases until {day:%-d %B %Y}.", day=day))
    return " ".join(parts)


def _notes(cells: Sequence[Cell], verdicts: set[str], then: Report | None) -> str:
    parts = []
    if any(cell.interval for cell in cells):
        parts.append(phrase(RANGES))
    told = [phrase(words) for verdict, words in VERDICTS.items() if verdict in verdicts]
    if told and then is not None:
        parts.append(phrase(SINCE, day=then.day, marks="; ".join(told)))
    return " ".join([*parts, phrase(WHERE)])


RANGES = "Below a number: the range that it lies in with 95% confidence."
SINCE = "Changes since the report of {day:%-d %B %Y}: {marks}."
VERDICTS = {
    MOVED: "▲ ▼ more than chance brings",
    WITHIN: "△ ▽ within what chance brings",
    CHANGED: "without a mark: no range to judge by",
    SAME: "= the same",
}
WHERE = "How each was found, and what could make it wrong, is in the report."
