"""Since last time, in words: a section of the summary, and the whole comparison as plain text."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from loyaltylab import history
from loyaltylab.changes import (
    CHANGED,
    GONE,
    MOVED,
    NEW,
    OTHER_UNIT,
    SAME,
    VERDICTS,
    WITHIN,
    causes_told,
    compare,
)
from loyaltylab.dataset import Lab
from loyaltylab.errors import LabError
from loyaltylab.history import Report
from loyaltylab.language import capitalised, counted, phrase, shown
from loyaltylab.numbers import Number, sentence
from loyaltylab.summary import KEY_FIGURES, change_of, in_unit, interval


@dataclass(frozen=True)
class Since:
    """This report and the last one of an earlier day; `ignored` says why newer ones are not it."""

    then: Report | None
    now: Report
    ignored: list[str]

    @cached_property
    def table(self) -> pd.DataFrame:
        """`compare` of both; without an earlier report all of it is new."""
        return compare(self.then.numbers if self.then else {}, self.now.numbers)


def since_last(lab: Lab, numbers: Mapping[str, Number]) -> Since | None:
    """The report with these numbers and the last of a day before its own; none if it was not kept."""
    now = history.of_numbers(lab.history, numbers)
    if now is None:
        return None
    then, ignored = history.before(lab.history, now.day)
    return Since(then, now, ignored) if then or ignored else None


def told(since: Since | None) -> list[str]:
    """A section of the summary in sentences, its heading first; nothing without an earlier report."""
    if since is None:
        return []
    texts = [f"## {phrase('Since the last report')}"]
    if since.then is not None:
        table = since.table
        changed = bool((table["verdict"] != SAME).any())
        day = sentence("the report of {day:%-d %B %Y}", day=since.then.day)
        causal = causes_told(since.then, since.now, since=day, changed=changed)
        texts += [_count(table), *(sentence("{text}", text=text) for text in causal)]
        if changed:
            texts.append(_all_told(table))
    return texts + [sentence("{text}", text=text) for text in since.ignored]


def _count(table: pd.DataFrame) -> str:
    """Of key figures, how many moved."""
    if table["verdict"].eq(SAME).all():
        return phrase("**Nothing moved:** every number is what it was.")
    verdicts = table.loc[[name for name in KEY_FIGURES if name in table.index], "verdict"]
    moved, within = (int(verdicts.eq(verdict).sum()) for verdict in (MOVED, WITHIN))
    others = int(verdicts.isin([CHANGED, NEW, GONE, OTHER_UNIT]).sum())
    if not moved + within + others:
        return phrase("**No key figure changed.**")
    figures = capitalised(counted(moved, "key figure"))
    parts = [phrase("**{figures} moved by more than chance brings**", figures=figures)]
    if within:
        parts.append(phrase("{within:,} changed within what chance brings", within=within))
    if others:
        words = "{others:,} changed, came or went without intervals to judge by"
        parts.append(phrase(words, others=others))
    return "; ".join(parts) + "."


def _all_told(table: pd.DataFrame) -> str:
    moved = int(table["verdict"].eq(MOVED).sum())
    words = MOVES if moved else NO_MOVE
    return phrase(words, numbers=counted(len(table), "number"), moved=moved)


MOVES = "Of all {numbers}, {moved:,} moved by more than chance brings; `make compare` lists them."
NO_MOVE = "Of all {numbers}, none moved by more than chance brings; `make compare` lists them."


def key_figures(since: Since | None) -> pd.DataFrame:
    """Grain: one key figure of either report that is not the same in both; those that moved first.
    figure, the day of the report before, now, change, what it is; empty without an earlier report."""
    if since is None or since.then is None:
        return pd.DataFrame()
    then, now = since.then.numbers, since.now.numbers
    table = since.table
    moves = table[table["verdict"].ne(SAME) & table.index.isin(list(KEY_FIGURES))]
    day = shown(since.then.day, "%-d %B %Y")
    return pd.DataFrame(
        [
            {
                "figure": phrase(KEY_FIGURES[str(name)]),
                day: written(then.get(str(name))),
                "now": written(now.get(str(name))),
                "change": change_of(row["change"], row["unit"]),
                "verdict": verdict_of(row),
            }
            for name, row in moves.iterrows()
        ],
        columns=["figure", day, "now", "change", "verdict"],
    )


# ---- As text.


def written(number: Number | None) -> str:
    """Its value in its unit; a dash if a report lacks it."""
    if number is None:
        return "–"
    return number.value if isinstance(number.value, str) else in_unit(number)


def verdict_of(row: pd.Series) -> str:
    verdict = phrase(row["verdict"])
    return phrase("{verdict}, defined otherwise", verdict=verdict) if row["redefined"] else verdict


def report(folder: Path, a: str, b: str) -> str:
    """The full comparison of two reports in plain text: what was changed, then all numbers.

    folder : of the history; a, b : as `history.find` takes them, or empty: b is then the newest
    report, a the last one of a day before it.
    Raises LabError if either is not there.
    """
    days = history.days(folder)
    if not b and not days:
        raise LabError(
            f"{folder}: expected the numbers of earlier reports, found none. Run make report; from the "
            "second day on there is something to compare."
        )
    now = history.find(folder, b or days[-1].isoformat())
    then = history.find(folder, a) if a else _before(folder, now)
    table = compare(then.numbers, now.numbers)
    changed = bool((table["verdict"] != SAME).any())
    causal = causes_told(then, now, since=f"{then.name}", changed=changed)
    counts = table["verdict"].value_counts()
    there = [verdict for verdict in VERDICTS if verdict in counts]
    count = ", ".join(f"{shown(counts[verdict], ',')} {phrase(verdict)}" for verdict in there)
    rows = [
        [
            str(name),
            *_cells(then, name),
            *_cells(now, name),
            change_of(row["change"], row["unit"]),
            verdict_of(row),
        ]
        for name, row in table.iterrows()
    ]
    head = ["number", "then", "interval", "now", "interval", "change", "verdict"]
    title = phrase(
        "Then {then}, now {now}: {count}.",
        then=then.name,
        now=now.name,
        count=count or phrase("no numbers"),
    )
    table_of_text = _aligned([[phrase(column) for column in head], *rows])
    return "\n".join([title, *causal, "", *table_of_text])


def _before(folder: Path, now: Report) -> Report:
    try:
        day: dt.date | None = now.day
    except ValueError:  # a file of numbers
        day = None
    then, ignored = history.before(folder, day or dt.date.max)
    if then is None:
        reasons = " ".join(ignored)
        raise LabError(
            f"expected a report of a day before {now.name} in {folder}, found none. Say which one to "
            f"compare with by A=. {reasons}".rstrip()
        )
    return then


def _cells(report: Report, name: Hashable) -> list[str]:
    number = report.numbers.get(str(name))
    return [written(number), interval(number) if number else "–"]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
