"""Sudden changes from week to week: of the rows, of their median amount, of what they lack."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from loyaltylab.language import capitalised, counted, phrase, shown
from loyaltylab.numbers import sentence
from loyaltylab.validation.coverage import MISSING

BASE = 8  # weeks that say what is usual; a change that lasts as long is the new usual
FAR = 4.0  # robust standard errors from the usual, from which on chance is no explanation
RUN = 3  # weeks in a row that also count if each is half as far
RATIO = 0.3  # a change of the rows or of the amount that matters: up or down by 30%
POINTS = 0.05  # one of a share
_YEAR = pd.Timedelta(days=364)  # the same weekdays
_MAD = 1.4826  # a normal law's standard deviation, in median absolute deviations
_MEDIAN = np.pi / 2  # variance of a median of normal values, in variances of their mean

_Floats = npt.NDArray[np.float64]

COLUMNS: dict[str, Any] = {
    "measure": object,
    "since": "datetime64[ns]",
    "until": "datetime64[ns]",
    "usual": float,
    "observed": float,
    "change": float,
    "z": float,
    "a_year_earlier": float,
    "seasonal": bool,
}


@dataclass(frozen=True)
class _Measure:
    """One measure by week. Missing where a week has no row to tell it.

    value : as a reader sees it. level : the same, on a scale on which its sampling variance,
    `variance`, does not depend on it. least : the least spread, in sampling variances. ratio :
    whether a change is a ratio, or else a difference.
    """

    name: str
    week: pd.DatetimeIndex
    value: _Floats
    level: _Floats
    variance: _Floats
    least: float
    ratio: bool


@dataclass(frozen=True)
class _Usual:
    """What some weeks say is usual: medians, and the spread of one week and of the median level."""

    weeks: list[int]
    value: float
    level: float
    spread: float  # variance, in sampling variances
    error: float  # of the median level, as a sampling variance


@dataclass
class _Jump:
    since: int
    usual: _Usual
    weeks: list[int]  # those of the changed stretch, at most BASE
    until: int


def jumps(weeks: pd.DataFrame) -> pd.DataFrame:
    """Sudden changes in `coverage.weekly`. Grain: one change of one measure, a stretch of weeks.

    measure ("rows", "amount", "missing <column>"), since (its first week), until (its last; the last
    week of all if nothing has changed back), usual (median of the up to eight weeks before), observed
    (median of the stretch, of its first eight weeks if it is longer), change (their ratio; of shares
    missing the difference), z (the largest of these weeks, in robust standard errors), a_year_earlier
    (change of the same weeks a year earlier; missing if these were not observed), seasonal (whether
    that is a change the same way, half to twice as far).

    A stretch begins where a week is FAR from the median of the eight usual weeks before it and
    differs by RATIO, or POINTS, both from that median and from where the straight line through
    those weeks leads (Theil, H. 1950; Sen, P. K. 1968, JASA 63, 1379–1389): growth is no jump. So
    does a RUN of weeks of which each is half as far and whose median differs as much. A stretch
    ends where a week is not half as far; eight weeks in a row of which none is usual are the new
    usual, until weeks are as before them again.

    The spread is the largest of the sampling error (Poisson of rows, binomial of shares, on the
    scales of Anscombe, F. J. 1948, Biometrika 35, 246–254, that make it constant), of the median
    absolute deviation of the eight weeks, and of that of all differences from one week to the next,
    which a jump does not move (Rice, J. 1984, Ann. Statist. 12, 1215–1230). The spread of a median
    amount is known from the last two alone, and falls with the root of the week's rows. Weeks cut
    short, and the first eight, are not judged.
    """
    found = [_told(measure, jump) for measure in _measures(weeks) for jump in _scan(measure)]
    return pd.DataFrame(found, columns=list(COLUMNS)).astype(COLUMNS)


def _measures(weeks: pd.DataFrame) -> list[_Measure]:
    whole = weeks[weeks["whole"]]
    rows, week = whole["rows"].to_numpy(float), pd.DatetimeIndex(whole["week"])
    level = 2 * np.sqrt(rows + 3 / 8)
    found = [_Measure("rows", week, rows, level, np.ones_like(rows), 1.0, True)]
    with np.errstate(divide="ignore", invalid="ignore"):
        if "amount" in whole:
            amount = whole["amount"].to_numpy(float)
            # A logarithm that goes through zero, for amounts that turn negative.
            level = (
                np.arcsinh(100 * amount / np.nanmedian(np.abs(amount))) if rows.any() else amount
            )
            found.append(_Measure("amount", week, amount, level, 1 / rows, 1e-4, True))
        for name in (column for column in whole if str(column).startswith(MISSING)):
            lacking = whole[name].to_numpy(float)
            level = 2 * np.arcsin(np.sqrt((lacking + 3 / 8) / (rows + 3 / 4)))
            level[rows == 0] = np.nan
            found.append(
                _Measure(str(name), week, lacking / rows, level, 1 / (rows + 1 / 2), 1.0, False)
            )
    return found


def _scan(measure: _Measure) -> list[_Jump]:
    """The jumps of a measure, week by week."""
    found: list[_Jump] = []
    judged = [int(i) for i in np.flatnonzero(np.isfinite(measure.level))]
    if len(judged) <= BASE:
        return []
    spread = _spread(measure, judged)
    usual = _usual(measure, judged[:BASE], spread)
    stretch: _Jump | None = None  # being watched
    former: _Jump | None = None  # the one that made the present usual
    away: list[int] = []  # weeks since the last that was usual
    for at, i in enumerate(judged[BASE:], BASE):
        weeks = judged[at : at + RUN]
        if stretch and _far(measure, i, usual, part=0.5) == _side(measure, stretch):
            stretch.weeks.append(i)
            stretch.until = i
        else:
            stretch = None
            begun = _begins(measure, weeks, usual)
            if not begun or not _sudden(measure, begun, usual):
                usual, away = _usual(measure, [*usual.weeks[1 - BASE :], i], spread), []
                continue
            if former and not _begins(measure, weeks, former.usual):
                former.until = i - 1
                usual = _usual(measure, [*former.usual.weeks[1 - BASE :], i], spread)
                former, away = None, []
                continue
            stretch = _Jump(i, usual, [i], i)
            found.append(stretch)
        away.append(i)
        if len(away) == BASE:
            if former:
                former.until = away[0] - 1
            # Weeks that went to and fro are usual from now on, and the last of them is over.
            former = stretch if len(stretch.weeks) > BASE / 2 else None
            usual, stretch, away = _usual(measure, away, spread), None, []
    if former:
        former.until = judged[-1]
    return found


def _spread(measure: _Measure, judged: list[int]) -> float:
    """Variance from one week to the next, in sampling variances; robust, and at least `least`."""
    level, variance = measure.level[judged], measure.variance[judged]
    steps = np.diff(level) / np.sqrt(variance[1:] + variance[:-1])
    return max(measure.least, float(_MAD * np.median(np.abs(steps))) ** 2)


def _usual(measure: _Measure, weeks: list[int], spread: float) -> _Usual:
    level, variance = measure.level[weeks], measure.variance[weeks]
    middle = median(level)
    around = [_MAD * off for off in np.abs(level - middle) / np.sqrt(variance)]
    return _Usual(
        weeks,
        median(measure.value[weeks]),
        middle,
        max(spread, median(around) ** 2),
        _MEDIAN * variance.mean() / len(weeks),
    )


def _z(measure: _Measure, i: int, usual: _Usual) -> float:
    """How far a week is from the usual, in standard errors of that difference."""
    error = usual.spread * (measure.variance[i] + usual.error)
    return float((measure.level[i] - usual.level) / np.sqrt(error))


def _far(measure: _Measure, i: int, usual: _Usual, *, part: float = 1.0) -> int:
    """1 if a week is far above the usual, -1 if far below, else 0; part : how far is far."""
    z = _z(measure, i, usual)
    matters = _matters(measure, measure.value[i], usual.value, part)
    return int(np.sign(z)) if abs(z) >= part * FAR and matters else 0


def _begins(measure: _Measure, weeks: list[int], usual: _Usual) -> list[int]:
    """Of the next weeks those by which a stretch begins; none if it does not.

    The first, if it is far from the usual, or all, if each is half as far the same way.
    """
    if _far(measure, weeks[0], usual):
        return weeks[:1]
    side = _far(measure, weeks[0], usual, part=0.5)
    if not side or len(weeks) < RUN:
        return []
    same = all(_far(measure, i, usual, part=0.5) == side for i in weeks[1:])
    enough = _matters(measure, median(measure.value[weeks]), usual.value, 1.0)
    return weeks if same and enough else []


def _side(measure: _Measure, jump: _Jump) -> int:
    return int(np.sign(measure.level[jump.since] - jump.usual.level))


def _sudden(measure: _Measure, weeks: list[int], usual: _Usual) -> bool:
    """Whether weeks are also not where the line through those before leads."""
    slope, start, *_ = stats.theilslopes(measure.value[usual.weeks], usual.weeks)
    ahead = float(start + slope * np.mean(weeks))
    return _matters(measure, median(measure.value[weeks]), ahead, 1.0)


def _matters(measure: _Measure, value: float, usual: float, part: float) -> bool:
    if measure.ratio:
        return bool(abs(value - usual) >= part * RATIO * abs(usual))
    return bool(abs(value - usual) >= part * POINTS)


def _change(measure: _Measure, observed: float, usual: float) -> float:
    if not measure.ratio:
        return observed - usual
    return observed / usual if usual else np.inf


def _told(measure: _Measure, jump: _Jump) -> tuple[Any, ...]:
    usual = jump.usual.value
    observed = float(median(measure.value[jump.weeks]))
    z = max((_z(measure, i, jump.usual) for i in jump.weeks), key=abs)
    change = _change(measure, observed, usual)
    earlier = _a_year_earlier(measure, jump)
    return (
        measure.name,
        measure.week[jump.since],
        measure.week[jump.until],
        usual,
        observed,
        change,
        z,
        earlier,
        _alike(change, earlier, ratio=measure.ratio),
    )


def _a_year_earlier(measure: _Measure, jump: _Jump) -> float:
    """The change between the same weeks a year earlier; missing if half of them were not observed."""
    medians = []
    for weeks in (jump.weeks, jump.usual.weeks):
        then = measure.week.get_indexer(measure.week[weeks] - _YEAR)
        values = measure.value[then[then >= 0]]
        values = values[np.isfinite(values)]
        if len(values) < len(weeks) / 2:
            return np.nan
        medians.append(float(np.median(values)))
    return _change(measure, medians[0], medians[1])


def _alike(change: float, earlier: float, *, ratio: bool) -> bool:
    """Whether two changes go the same way, one at most twice as far as the other."""
    if np.isnan(earlier):
        return False
    if ratio:
        change, earlier = (float(np.log(np.clip(c, 1e-9, 1e9))) for c in (change, earlier))
    return 0.5 <= earlier / change <= 2


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Jumps as a reader sees them: table (if there), measure, since, until, usual and observed (rows
    a week, the median amount, or a share in percent) and what the change was a year earlier."""
    told = table.copy()
    for column in ("usual", "observed"):
        told[column] = [
            _written(measure, value)
            for measure, value in zip(table["measure"], table[column], strict=True)
        ]
    told["a year earlier"] = [
        None if pd.isna(change) else _changed(measure, change)
        for measure, change in zip(table["measure"], table["a_year_earlier"], strict=True)
    ]
    told["measure"] = [
        phrase("missing {column}", column=measure.removeprefix(MISSING))
        if _is_share(measure)
        else phrase(measure)
        for measure in table["measure"]
    ]
    names = ["measure", "since", "until", "usual", "observed", "a year earlier"]
    return told[[*(["table"] if "table" in told else []), *names]]


def finding(table: pd.DataFrame) -> str:
    """How many jumps of all tables no season explains: a heading and its sentences."""
    odd = table[~table["seasonal"]]
    told = sentence(
        "### {odd} that no season explains\n\n"
        "Weeks far from the eight before them, in rows, in the median amount or in the share of values "
        "missing. {seasonal} there a year earlier as well, as a season is, and not listed.",
        odd=capitalised(counted(len(odd), "sudden change")),
        seasonal=capitalised(counted(int(table["seasonal"].sum()), "more was", "more were")),
    )
    unknown = int(odd["a_year_earlier"].isna().sum())
    without = {
        0: "Of those listed, all have a year before to look at.",
        1: "Of those listed, one has no year before to look at.",
    }.get(unknown, "Of those listed, {unknown:,} have no year before to look at.")
    return f"{told} {sentence(without, unknown=unknown)}" if len(odd) else told


def _changed(measure: str, change: float) -> str:
    return shown(change, "+.0%") if _is_share(measure) else f"× {shown(change, '.2f')}"


def _is_share(measure: str) -> bool:
    return measure.startswith(MISSING)


def _written(measure: str, value: float) -> str:
    if _is_share(measure):
        return shown(value, ".1%")
    return phrase("{rows:,.0f} a week", rows=value) if measure == "rows" else shown(value, ",.2f")
