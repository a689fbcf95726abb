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
from loyaltylab.numbers import Numbers, chance
from loyaltylab.satisfaction.breakdown import MINIMUM, points
from loyaltylab.satisfaction.scores import NAMES, SCALES, in_words

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
        return (
            "## Nothing can be said of a trend yet\n\nIt takes answers from three months or more that "
            "are not all alike."
        )
    moved = tested[tested["p_holm"] < 1 - LEVEL]
    head = ", ".join(f"{NAMES[n]} {'rose' if s > 0 else 'fell'}" for n, s in _pairs(moved))
    told = [_changed(row) for row in tested.to_dict("records")]
    several = " The p-values are for all questions together." if len(tested) > 1 else ""
    return f"## {head or 'No score moved more than chance brings'}\n\n{' '.join(told)}{several}"


def _pairs(table: pd.DataFrame) -> list[tuple[str, float]]:
    return list(zip(table["instrument"].astype(str), table["slope"], strict=True))


def _changed(row: dict[Hashable, Any]) -> str:
    instrument = str(row["instrument"])
    size, unit = (1, "points") if instrument == "nps" else (100, "percentage points")
    slope, low, high = (f"{size * row[end]:+.1f}" for end in ("slope", "low", "high"))
    return (
        f"{NAMES[instrument]} changed by {slope} {unit} a year ({low} to {high}, "
        f"{LEVEL:.0%} confidence; {chance(row['p_holm'])})."
    )


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
            definition=f"slope of {NAMES[str(row['instrument'])]} over the months of the invitations, "
            "errors clustered by customer",
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
    ax.set(ylabel=_LABEL[instrument])
    plots.date_axis(ax)
    return ax


_LABEL = {"nps": "NPS"} | {i: f"good answers to {NAMES[i]}" for i in SCALES if i != "nps"}


def _of(table: pd.DataFrame, instrument: str) -> pd.DataFrame:
    return table[table["instrument"] == instrument]


def describe_periods(table: pd.DataFrame, instrument: str) -> str:
    """What plot_periods shows, in words."""
    part = _of(table, instrument)
    if part.empty:
        return f"No line of {NAMES[instrument]} yet: no period has answers enough."
    first, last = part.iloc[0], part.iloc[-1]
    best, worst = part.nlargest(1, "score").iloc[0], part.nsmallest(1, "score").iloc[0]
    said = ", ".join(
        f"{word} {in_words(instrument, row['score'])} ({in_words(instrument, row['low'])} to "
        f"{in_words(instrument, row['high'])}) from {row['group']:%b %Y}"
        for word, row in (("first", first), ("last", last), ("highest", best), ("lowest", worst))
    )
    return f"Line of {_LABEL[instrument]} over {len(part)} periods, with 95% intervals: {said}."


def plot_groups(table: pd.DataFrame, instrument: str, *, ax: Axes | None = None) -> Axes:
    """One instrument's score in each group with its interval, from `by_group`."""
    part = _of(table, instrument)
    if part.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=0.9 + 0.34 * len(part))
    ends = [part["score"] - part["low"], part["high"] - part["score"]]
    at = np.arange(len(part))
    ax.errorbar(part["score"], at, xerr=ends, fmt="o", color=plots.OBSERVED, capsize=3)
    ax.set_yticks(at, part["group"].astype(str))
    ax.invert_yaxis()
    ax.margins(y=0.5 / len(part))
    if instrument != "nps":
        ax.xaxis.set_major_formatter(plots.percent)
    ax.set(xlabel=_LABEL[instrument])
    return ax


def describe_groups(table: pd.DataFrame, instrument: str) -> str:
    """What plot_groups shows, in words."""
    said = "; ".join(
        f"{row['group']} {in_words(instrument, row['score'])} ({in_words(instrument, row['low'])} to "
        f"{in_words(instrument, row['high'])})"
        for row in _of(table, instrument).to_dict("records")
    )
    return f"Points of {_LABEL[instrument]} with 95% intervals: {said or 'none yet'}."
