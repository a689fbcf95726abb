"""A new dataset as text: its dataset.yml, and what a person is told of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from loyaltylab.onboarding.guesses import Guessed, Setting, shown


@dataclass(frozen=True)
class Entry:
    """A file of the new dataset: where it lies now, its rows and columns, and what it was taken for."""

    path: Path
    rows: int
    columns: Sequence[str]
    settings: Sequence[Setting]
    guessed: Guessed

    @property
    def unused(self) -> list[str]:
        """Columns that are not taken for anything, nor told of as left out."""
        named = {choice.name for choice in self.guessed.choices} | set(self.guessed.left_out)
        return [name for name in self.columns if name not in named]


HEAD = """\
# Written by make new. Where it was unsure, the line ends in "# unsure: …": look at those.
# data/README.md says what else may stand here.
"""


def scalar(text: str) -> str:
    """A text on one line of YAML that is read as the same text, whatever is in it."""
    if re.fullmatch(r"[^\W_][\w .()/-]*", text):  # emitted plain, unless it reads as a number or no
        return str(
            yaml.safe_dump([text], default_flow_style=True, width=10**9, allow_unicode=True)
        )[1:-2]
    return str(yaml.safe_dump(text, default_style='"', width=10**9, allow_unicode=True)).strip()


def dataset_yml(name: str, currency: Setting, entries: Sequence[Entry]) -> str:
    """The text of dataset.yml."""
    lines = [
        f"title: {scalar(title(name))}",
        "language: en  # of its report; de: German, nb: Norwegian",
        _line(currency),
        "# observed_until: 2026-06-30  # the last day that the export covers, if not the last order's",
        "tables:",
    ]
    for entry in entries:
        lines.append(f"  {entry.guessed.table}:")
        lines.append(f"    path: {scalar('raw/' + entry.path.name)}")
        if "source" not in {choice.column for choice in entry.guessed.choices}:
            lines.append(f"    source: {scalar(name)}  # the system that it comes from")
        lines += [f"    {_line(s)}" for s in [*entry.settings, *entry.guessed.settings]]
        lines.append("    columns:")
        for choice in entry.guessed.choices:
            lines.append(f"      {choice.column}: {scalar(choice.name)}{_unsure(choice.doubt)}")
        for left, why in entry.guessed.left_out.items():
            lines.append(f"      # left out: {scalar(left)}: {why}")
        if entry.unused:
            lines.append(f"      # not used: {', '.join(map(scalar, entry.unused))}")
    return HEAD + "\n".join(lines) + "\n"


def _line(setting: Setting) -> str:
    return f"{setting.key}: {scalar(setting.value)}{_unsure(setting.doubt)}"


def _unsure(doubt: str) -> str:
    return f"  # unsure: {doubt}" if doubt else ""


def title(name: str) -> str:
    return re.sub(r"[-_]+", " ", name).strip().capitalize()


def summary(currency: Setting, entries: Sequence[Entry]) -> str:
    """What was recognised, a line for each column and setting."""
    lines = []
    for entry in entries:
        guessed = entry.guessed
        rows = "1 row" if entry.rows == 1 else f"{entry.rows:,} rows"
        lines += [f"{shown(entry.path.name)}: {rows} of {guessed.table}", ""]
        table = [(shown(c.name), c.column, _sure(c.told_by, c.doubt)) for c in guessed.choices]
        table += [(shown(n), "left out", why) for n, why in guessed.left_out.items()]
        table += [(shown(n), "not used", "") for n in entry.unused]
        widths = [max(len(row[i]) for row in [*table, _TITLES]) for i in (0, 1)]
        for row in [_TITLES, *table]:
            lines.append(f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}".rstrip())
        lines.append("")
        for setting in [*entry.settings, *guessed.settings]:
            lines.append(f"  {setting.key} {scalar(setting.value)}: {_sure('', setting.doubt)}")
        lines += [""] if entry.settings or guessed.settings else []
    lines.append(f"currency {currency.value}: {_sure('', currency.doubt)}")
    return "\n".join(lines)


_TITLES = ("your column", "is taken for", "how sure")


def _sure(told_by: str, doubt: str) -> str:
    by = f", by {told_by}" if told_by.startswith("its") else f", {told_by}" if told_by else ""
    return f"UNSURE: {doubt}" if doubt else f"sure{by}"


def doubts(currency: Setting, entries: Sequence[Entry]) -> int:
    """How many lines of dataset.yml are marked as unsure."""
    marked = [currency.doubt]
    for entry in entries:
        guessed = entry.guessed
        marked += [s.doubt for s in [*entry.settings, *guessed.settings]]
        marked += [choice.doubt for choice in guessed.choices]
    return sum(bool(doubt) for doubt in marked)
