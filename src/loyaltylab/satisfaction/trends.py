"""Whether a score rises or falls. Grain in: one invitation, from `invitations.frame`."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.stats import norm

from loyaltylab import plots
from loyaltylab.intervals import LEVEL, Z, clustered_error, holm
from loyaltylab.language import phrase
from loyaltylab.numbers import Numbers, chance
from loyaltylab.satisfaction.breakdown import MINIMUM, group_name, points
from loyaltylab.satisfaction.scores import NAMES, SCALES, with_ends

_MONTHS = 3  # with answers, without which nobody speaks of a trend
_COLUMNS = ("instrument", "answers", "months", "slope", "low", "high", "p", "p_holm")


def trend(rows: pd.DataFrame) -> pd.DataFrame:
    """Change of each instrument's score per year. Grain: one instrument.

    instrument, answers, months (with answers), slope (points a year for NPS, else share a year), low,
    high, p, p_holm (for all instruments together). Least squares of what each answer is worth on the
    month of its invitation, errors clustered by person (Liang & Zeger 1986, Biometrika 73, 13–22); of a
    share that is the trend of Armitage (1955, Biometrics 11, 375–386) without its assumption that
    answers are independent. Missing with fewer than MINIMUM answers, in fewer than three
    months, or all alike.
    """
    given = rows[rows["score"].notna()]
    found = [
        _slope(name, part) for name in SCALES if len(part := given[given["instrument"] == name])
    ]
    table = pd.DataFrame(found, columns=list(_COLUMNS[:-1]))
    return table.assign(p_holm=holm(table["p"]))


def _slope(instrument: str, given: pd.DataFrame) -> dict[str, object]:
    months = given["month"].to_numpy()
    several = np.unique(months).size
    told = {"instrument": instrument, "answers": len(given), "months": several}
    value = points(instrument, given["score"])
    if len(given) < MINIMUM or several < _MONTHS or value.min() == value.max():
        return told | dict.fromkeys(("slope", "low", "high", "p"), np.nan)
    years = (months - months.min()) / 12
    time = years - years.mean()
    spread = (time**2).sum()
    slope = float((time * value).sum() / spread)
    left = time * (value - value.mean() - slope * time)
    error = clustered_error(left / spread, given["person"])
    p = float(2 * norm.sf(abs(slope) / error))
    return told | {"slope": slope, "low": slope - Z * error, "high": slope + Z * error, "p": p}


def trend_finding(table: pd.DataFrame) -> str:
    """Which scores rise or fall, from `trend`: a heading and its sentences."""
    tested = table[table["p_holm"].notna()]
    if tested.empty:
        return phrase(
            "## Nothing can be said of a trend yet\n\nIt takes answers from three months or more that "
            "are not all alike."
        )
    moved = tested[tested["p_holm"] < 1 - LEVEL]
    head = ", ".join(
        phrase("{name} rose" if slope > 0 else "{name} fell", name=NAMES[name])
        for name, slope in _pairs(moved)
    )
    told = [_changed(row) for row in tested.to_dict("records")]
    if len(tested) > 1:
        told.append(phrase("The p-values are for all questions together."))
    return f"## {head or phrase('No score moved more than chance brings')}\n\n{' '.join(told)}"


def _pairs(table: pd.DataFrame) -> list[tuple[str, float]]:
    return list(zip(table["instrument"].astype(str), table["slope"], strict=True))


def _changed(row: dict[Hashable, Any]) -> str:
    instrument = str(row["instrument"])
    if instrument == "nps":
        size, template = (
            1,
            (
                "{name} changed by {slope:+.1f} points a year ({low:+.1f} to {high:+.1f}, {level:.0%} "
                "confidence; {p})."
            ),
        )
    else:
        size, template = (
            100,
            (
                "{name} changed by {slope:+.1f} percentage points a year ({low:+.1f} to {high:+.1f}, "
                "{level:.0%} confidence; {p})."
            ),
        )
    ends = {end: size * row[end] for end in ("slope", "low", "high")}
    known: dict[str, Any] = {"name": NAMES[instrument], "level": LEVEL, "p": chance(row["p_holm"])}
    return phrase(template, **known, **ends)


def record_trend(numbers: Numbers, table: pd.DataFrame) -> None:
    """Record satisfaction.<instrument>_trend from `trend`; missing where it cannot be told."""
    for row in table.to_dict("records"):
        is_nps = row["instrument"] == "nps"
        numbers.record(
            f"satisfaction.{row['instrument']}_trend",
            row["slope"],
            low=row["low"],
            high=row["high"],
            level=LEVEL,
            unit="points a year" if is_nps else "share a year",
            n=row["answers"],
            definition=phrase(
                "slope of {name} over the months of the invitations, errors clustered by customer",
                name=NAMES[str(row["instrument"])],
            ),
        )


def plot_periods(table: pd.DataFrame, instrument: str, *, ax: Axes | None = None) -> Axes:
    """One instrument's score by period with its interval, from `by_period`."""
    part = _of(table, instrument)
    if part.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=2.6)
    ax.fill_between(
        part["group"], part["low"], part["high"], color=plots.OBSERVED, alpha=0.15, linewidth=0
    )
    ax.plot(part["group"], part["score"], color=plots.OBSERVED, linewidth=2, marker="o", ms=4)
    if instrument != "nps":
        ax.yaxis.set_major_formatter(plots.percent)
    ax.set(ylabel=_label(instrument))
    plots.date_axis(ax)
    return ax


_MOMENTS = {
    "first": "first {score} from {month:%b %Y}",
    "last": "last {score} from {month:%b %Y}",
    "highest": "highest {score} from {month:%b %Y}",
    "lowest": "lowest {score} from {month:%b %Y}",
}


def _label(instrument: str) -> str:
    name = NAMES[instrument]
    return name if instrument == "nps" else phrase("good answers to {name}", name=name)


def _span(instrument: str, row: Any) -> str:
    return with_ends(instrument, row["score"], row["low"], row["high"])


def _of(table: pd.DataFrame, instrument: str) -> pd.DataFrame:
    return table[table["instrument"] == instrument]


def describe_periods(table: pd.DataFrame, instrument: str) -> str:
    """What plot_periods shows, in words."""
    part = _of(table, instrument)
    if part.empty:
        return phrase(
            "No line of {name} yet: no period has answers enough.", name=NAMES[instrument]
        )
    first, last = part.iloc[0], part.iloc[-1]
    best, worst = part.nlargest(1, "score").iloc[0], part.nsmallest(1, "score").iloc[0]
    said = ", ".join(
        phrase(_MOMENTS[moment], score=_span(instrument, row), month=row["group"])
        for moment, row in (("first", first), ("last", last), ("highest", best), ("lowest", worst))
    )
    return phrase(
        "Line of {label} over {periods} periods, with 95% intervals: {said}.",
        label=_label(instrument),
        periods=len(part),
        said=said,
    )


def plot_groups(table: pd.DataFrame, instrument: str, *, ax: Axes | None = None) -> Axes:
    """One instrument's score in each group with its interval, from `by_group`."""
    part = _of(table, instrument)
    if part.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=0.9 + 0.34 * len(part))
    ends = [part["score"] - part["low"], part["high"] - part["score"]]
    at = np.arange(len(part))
    ax.errorbar(part["score"], at, xerr=ends, fmt="o", color=plots.OBSERVED, capsize=3)
    ax.set_yticks(at, [group_name(group) for group in part["group"]])
    ax.invert_yaxis()
    ax.margins(y=0.5 / len(part))
    if instrument != "nps":
        ax.xaxis.set_major_formatter(plots.percent)
    ax.set(xlabel=_label(instrument))
    return ax


def describe_groups(table: pd.DataFrame, instrument: str) -> str:
    """What plot_groups shows, in words."""
    said = "; ".join(
        f"{group_name(row['group'])} {_span(instrument, row)}"
        for row in _of(table, instrument).to_dict("records")
    )
    return phrase(
        "Points of {label} with 95% intervals: {said}.",
        label=_label(instrument),
        said=said or phrase("none yet"),
    )
