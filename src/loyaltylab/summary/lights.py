"""How far a report can be trusted, as lights. Grain: one light: the data, the persons, the forecast."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loyaltylab.dataset import GATE
from loyaltylab.language import phrase
from loyaltylab.numbers import Number, sentence
from loyaltylab.summary.figures import known, linked, page_link

GOOD, FAIR, POOR = "good", "fair", "poor"
LEVELS = (GOOD, FAIR, POOR)
WORDS = {GOOD: "Good", FAIR: "With care", POOR: "Poor"}

# Rows that may be put aside: whatever is the matter with them, one in a hundred moves no share of the
# rows by more than about one point.
FEW_ROWS = 0.01
# Of links at 95% one in twenty is expected to be wrong, as of intervals at that level; of links at 90%
# one in ten, so that one customer in ten may be two, or half of one.
SURE, LIKELY = 0.95, 0.90
# Lewis, C. D. 1982, Industrial and Business Forecasting Methods: a forecast that misses by less than
# 10% is highly accurate, by 10 to 20% good; beyond that it is at best reasonable.
CLOSE, NEAR = 0.10, 0.20


@dataclass(frozen=True)
class Light:
    """level : good, fair or poor; says : what was found; rule : what the level goes by. Markdown."""

    level: str
    says: str
    rule: str
    name: str  # of the number that it is judged by


def trust(numbers: Mapping[str, Number], *, results: Path) -> str:
    """The lights of a report and the worst of them, in Markdown; empty if nothing is known of it.

    results : folder with what validation found beyond its thresholds.
    """
    path = results / GATE
    failed = len(json.loads(path.read_text("utf-8"))) if path.exists() else None
    lights = of_numbers(numbers, failed=failed)
    if not lights:
        return ""
    rule = phrase(RULE)
    items = [f"- {_lit(light.level)} {light.says}<br>\n  {rule} {light.rule}" for light in lights]
    overall = sentence(OVERALL[worst(lights)])
    return "\n".join([f"{_lit(worst(lights))} {overall}", "", *items])


OVERALL = {
    GOOD: "**Overall:** nothing below speaks against using this report.",
    FAIR: "**Overall:** use this report with care; what is marked so below says where.",
    POOR: "**Overall:** decide nothing costly on this report before what is poor below is mended.",
}
RULE = "*Rule:*"


def _lit(level: str) -> str:
    return f'<span class="light {level}">{phrase(WORDS[level])}</span>'


def worst(lights: Sequence[Light]) -> str:
    return max((light.level for light in lights), key=LEVELS.index)


def of_numbers(numbers: Mapping[str, Number], *, failed: int | None) -> list[Light]:
    """failed : what of the data is beyond the thresholds of dataset.yml; missing if not checked."""
    lights = [_data(numbers, failed), _persons(numbers), _forecast(numbers)]
    return [light for light in lights if light is not None]


def at_least(value: float, good: float, fair: float) -> str:
    return GOOD if value >= good else FAIR if value >= fair else POOR


def _data(numbers: Mapping[str, Number], failed: int | None) -> Light | None:
    read = [name for name in numbers if name.startswith("validation.rows_read.")]
    rows = sum(_value(numbers, name) for name in read)
    if not rows:
        return None
    kept = sum(_value(numbers, name.replace("rows_read", "rows_accepted")) for name in read)
    few = rows - kept <= FEW_ROWS * rows
    level = POOR if failed else GOOD if few and failed == 0 else FAIR
    words = DATA_WHOLE if kept == rows else DATA
    return Light(
        level,
        sentence(words, kept=kept, rows=rows) + " " + page_link(numbers[read[0]]),
        sentence(DATA_RULE, few=FEW_ROWS),
        read[0],
    )


DATA_WHOLE = "**Data:** all {rows:,.0f} rows keep every rule."
DATA = (
    "**Data:** {kept:,.0f} of {rows:,.0f} rows keep every rule; the others were put aside with their "
    "reasons."
)
DATA_RULE = (
    "good if the checks set in dataset.yml were passed and at most {few:.0%} of the rows were put "
    "aside; with care if more were; poor if a check was not passed."
)


def _persons(numbers: Mapping[str, Number]) -> Light | None:
    sure = numbers.get("linkage.mean_confidence")
    if sure is None or not known(numbers, sure.name, "linkage.records", "linkage.persons"):
        return None
    left_out = _value(numbers, "linkage.left_out")
    names = ["linkage.mean_confidence", "linkage.records", "linkage.persons"]
    names += ["linkage.left_out"] if left_out else []
    words = PERSONS_LEFT_OUT if left_out else PERSONS
    return Light(
        at_least(_value(numbers, sure.name), SURE, LIKELY),
        sentence(words, **linked(numbers, *names)) + " " + page_link(sure),
        sentence(PERSONS_RULE, sure=SURE, likely=LIKELY),
        sure.name,
    )


PERSONS = (
    "**Persons:** {records:,} records are taken for {persons:,} people, with links that are "
    "{mean_confidence:.0%} sure on average."
)
PERSONS_LEFT_OUT = (
    "**Persons:** {records:,} records are taken for {persons:,} people, with links that are "
    "{mean_confidence:.0%} sure on average; {left_out:,} of them do not consent and are in no finding."
)
PERSONS_RULE = "good from {sure:.0%}, with care from {likely:.0%}, else poor."


def _forecast(numbers: Mapping[str, Number]) -> Light | None:
    bias = numbers.get("lifetime_value.holdout_bias")
    if bias is None or not isinstance(bias.value, int | float):
        return None
    words = FORECAST_LOW if bias.value < 0 else FORECAST_HIGH
    return Light(
        at_least(-abs(bias.value), -CLOSE, -NEAR),
        sentence(words, miss=abs(bias.value)) + " " + page_link(bias),
        sentence(FORECAST_RULE, close=CLOSE, near=NEAR),
        bias.name,
    )


FORECAST_LOW = (
    "**Forecast:** tried on weeks that it had not seen, its total of orders was {miss:.0%} too low."
)
FORECAST_HIGH = (
    "**Forecast:** tried on weeks that it had not seen, its total of orders was {miss:.0%} too "
    "high."
)
FORECAST_RULE = "good up to {close:.0%} off, with care up to {near:.0%}, else poor."


def names(numbers: Mapping[str, Number]) -> list[str]:
    """The numbers that the lights are judged by."""
    return [light.name for light in of_numbers(numbers, failed=None)]


def _value(numbers: Mapping[str, Number], name: str) -> float:
    value = numbers[name].value if name in numbers else 0
    return value if isinstance(value, int | float) else 0
