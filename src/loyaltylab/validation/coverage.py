"""Where accepted rows lie in time: rows of each week, and days that are silent without a reason.

Grain in: one row of a canonical table with a main time (`schemas.MAIN_TIME`). Rows whose main time
is missing lie nowhere and are left out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.patches import Patch

from loyaltylab import plots, schemas
from loyaltylab.figure_data import tabulate
from loyaltylab.language import counted, phrase, shown

MISSING = "missing "  # before the name of a column: how many of its values a week's rows lack

WEEKS = 8  # on either side of a silence, that say how many rows were usual
FALSE_ALARM = 0.01  # chance that a table with no gap is said to have one
_DAY = pd.Timedelta(days=1)
_Days = npt.NDArray[np.int64]


def dated(rows: ir.Table, name: str) -> ir.Table:
    """The rows of the table called `name` that have a main time, with _day, the day of it."""
    time = rows[schemas.MAIN_TIME[name]]
    return rows.filter(time.notnull()).mutate(_day=time.date())


def weekly(rows: ir.Table, name: str) -> pd.DataFrame:
    """Grain: one week (from Monday) from the first to the last, weeks without rows included.

    week, rows, whole (False if the first or last row's day cuts the week short), amount (median of
    the week's amounts, in the dataset's currency; missing in a week without rows; only of a table
    with amounts) and, for each column that lacks some of its values and not all, "missing <column>":
    how many. The median, since a few far amounts would move a mean.
    """
    found = dated(rows, name)
    total = found.count()
    figures = {"rows": total, "_first": found["_day"].min(), "_last": found["_day"].max()}
    if "amount" in rows.columns:
        figures["amount"] = found["amount"].cast("float64").median()
    absent = {f"{MISSING}{column}": total - found[column].count() for column in rows.columns}
    weeks = found.group_by(week=found["_day"].truncate("W")).agg(**figures, **absent)
    table = weeks.to_pandas()
    sums = table[list(absent)].sum()
    kept = [column for column in absent if 0 < sums[column] < table["rows"].sum()]
    first, last = (pd.to_datetime(table[end]) for end in ("_first", "_last"))
    table["week"] = pd.to_datetime(table["week"])
    columns = ["rows", *(["amount"] if "amount" in figures else []), *kept]
    table = table.set_index("week")[columns]
    if len(table):
        every = pd.date_range(table.index.min(), table.index.max(), freq="7D", name="week")
        table = table.reindex(every).fillna(dict.fromkeys(["rows", *kept], 0))
    table = table.astype(dict.fromkeys(["rows", *kept], "int64")).reset_index()
    whole = (table["week"] >= first.min()) & (table["week"] + 6 * _DAY <= last.max())
    table.insert(2, "whole", whole)
    return table


def daily(rows: ir.Table, name: str) -> pd.Series:
    """Rows of each day that has any, by day."""
    found = dated(rows, name)
    by_day = found.group_by("_day").agg(rows=found.count()).to_pandas()
    return by_day.set_index(pd.to_datetime(by_day["_day"]))["rows"].sort_index()


def gaps(by_day: pd.Series, *, until: dt.date) -> pd.DataFrame:
    """Runs of days without a row that chance does not explain. Grain: one run, in order of time.

    by_day : as `daily` gives it. first and last (its days), days, expected (rows that so many days,
    of these weekdays, usually have). until : the last day observed; the silence from the last row to
    it counts as well.

    The WEEKS before a run and those after it each say how many rows a week has (their median, the
    lower of two, so that neither a busy week nor a bulk of rows counts) and how these fall on the
    weekdays. Of n rows, all would miss the run with the chance (1 + run / weeks)^-n, the run's length
    in usual weeks: the exact comparison of two Poisson rates (Przyborowski, J. & Wilenski, H. 1940,
    Biometrika 31, 313–323). A run is a gap if, by the weeks before it and by those after it, that
    chance times the number of runs stays below FALSE_ALARM (Bonferroni), and if it is twice as long as
    nine in ten of the table's silences: rows that come in batches are silent between them.
    """
    times = dict.fromkeys(["first", "last"], "datetime64[ns]")
    columns: dict[str, Any] = times | {"days": int, "expected": float}
    if by_day.empty:
        return pd.DataFrame(columns=list(columns)).astype(columns)
    start, end = by_day.index.min(), max(by_day.index.max(), pd.Timestamp(until))
    counts = by_day.reindex(pd.date_range(start, end), fill_value=0)
    table = silences(counts.to_numpy())
    said = pd.DataFrame(
        {
            "first": start + table["first"] * _DAY,
            "last": start + table["last"] * _DAY,
            "days": table["last"] - table["first"] + 1,
            "expected": table["expected"],
        }
    )
    said = said[table["chance"] * len(table) <= FALSE_ALARM]
    return said.astype(columns).reset_index(drop=True)


def silences(counts: _Days) -> pd.DataFrame:
    """Rows by day, from the first with a row → how each day with rows is followed.

    Grain: one day with rows. first, last (positions of the silent days that follow; first > last if
    none does), expected (rows) and chance that a run as silent arises by chance, 1 if it is not
    longer than the table's silences usually are.
    """
    days = np.flatnonzero(counts)
    first, after = days + 1, np.append(days[1:], len(counts))
    judged = np.zeros((len(days), 3))  # length in usual weeks, rows expected, chance
    judged[:, 2] = 1
    for i in np.flatnonzero(after > first):
        judged[i] = _judged(counts, first[i], after[i])
    length = judged[:, 0]
    chance = np.where(length >= 2 * np.quantile(length, 0.9), judged[:, 2], 1.0)
    return pd.DataFrame(
        {"first": first, "last": after - 1, "expected": judged[:, 1], "chance": chance}
    )


def _judged(counts: _Days, first: int, after: int) -> tuple[float, float, float]:
    """length, expected and chance of the silent days from first until before after.

    By the side for which it is the likelier: both must be convinced. Nothing can be said of a run
    without a whole week on either side.
    """
    verdicts = [(0.0, 0.0, 1.0)]
    before = counts[max(0, first - 7 * WEEKS) : first]
    weeks_before = before[len(before) % 7 :].reshape(-1, 7)
    following = counts[after : after + 7 * WEEKS]
    weeks_after = following[: len(following) // 7 * 7].reshape(-1, 7)
    # Weeks of either side start as many days from the run as make them meet it: a day of the run
    # stands in the column of its own weekday.
    for weeks, start in ((weeks_before, first), (weeks_after, after)):
        if len(weeks) == 0:
            continue
        share = weeks.sum(axis=0) / weeks.sum()
        length = share[(np.arange(first, after) - start) % 7].sum()
        usual = np.sort(weeks.sum(axis=1))[(len(weeks) - 1) // 2]
        chance = (1 + length / len(weeks)) ** -float(len(weeks) * usual)
        verdicts.append((length, usual * length, chance))
    return max(verdicts[1:] or verdicts, key=lambda verdict: verdict[2])


def plot_coverage(
    tables: Mapping[str, pd.DataFrame],
    *,
    gaps: Mapping[str, pd.DataFrame],
    ax: Axes | None = None,
) -> Axes:
    """A strip a table, a cell a week: the darker, the more rows beside the table's median week.

    tables : name → weekly, in the order in which they stand from above; gaps : name → gaps, each
    framed, and widened to a width that can be seen. A week twice the median, or more, is darkest.
    """
    strips = {name: weeks for name, weeks in tables.items() if len(weeks)}
    if not strips:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=1.1 + 0.3 * len(strips))
    every = pd.date_range(
        min(weeks["week"].min() for weeks in strips.values()),
        max(weeks["week"].max() for weeks in strips.values()),
        freq="7D",
    )
    cells = [_relative(weeks).reindex(every) for weeks in strips.values()]
    edges = date2num([every[0], every[-1] + 7 * _DAY])
    ax.imshow(
        np.array(cells),
        cmap=plots.SEQUENCE,
        vmin=0,
        vmax=2,
        aspect="auto",
        interpolation="nearest",
        extent=(edges[0], edges[1], len(strips) - 0.5, -0.5),
    )
    least = (edges[1] - edges[0]) / 150
    ends = [edges[1]]
    for row, name in enumerate(strips):
        found = gaps[name] if name in gaps else pd.DataFrame(columns=["first", "last"])
        for first, last in zip(found["first"], found["last"], strict=True):
            left, right = date2num([first, last + _DAY])
            spare = max(0.0, least - (right - left)) / 2
            bar = [(left - spare, right - left + 2 * spare)]
            ax.broken_barh(bar, (row - 0.4, 0.8), facecolor="white", edgecolor=plots.MODEL, lw=1.4)
            ends.append(right)
    ax.hlines(np.arange(len(strips) - 1) + 0.5, edges[0], max(ends), color="white", linewidth=4)
    ax.set_xlim(edges[0], max(ends))
    ax.grid(visible=False)
    ax.set_yticks(range(len(strips)), list(strips))
    plots.date_axis(ax)
    said = [phrase("no rows"), phrase("a median week"), phrase("twice as many")]
    handles = [
        Patch(facecolor=c, edgecolor="#999999", lw=0.5) for c in plots.SEQUENCE([0, 0.5, 1.0])
    ]
    if any(len(gaps[name]) for name in strips if name in gaps):
        handles.append(Patch(facecolor="white", edgecolor=plots.MODEL, lw=1.4))
        said.append(phrase("gap"))
    ax.legend(
        handles, said, ncols=4, frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1)
    )
    told = {"week of": every} | dict(zip(strips, cells, strict=True))
    caption = "rows a week, of those in the median week, by table"
    return tabulate(ax, pd.DataFrame(told), caption, formats="{:.0%}")


def _relative(weeks: pd.DataFrame) -> pd.Series:
    """Rows beside those of the median whole week (of all weeks, if none is whole), by week."""
    judged = weeks.loc[weeks["whole"], "rows"]
    median = (judged if len(judged) else weeks["rows"]).median()
    return weeks.set_index("week")["rows"] / max(median, 1)


def describe_coverage(
    tables: Mapping[str, pd.DataFrame], *, gaps: Mapping[str, pd.DataFrame]
) -> str:
    """What plot_coverage shows, in words."""
    strips = {name: weeks for name, weeks in tables.items() if len(weeks)}
    if not strips:
        return phrase("Strips without cells: no table has a row with a date.")
    said = [_strip(name, weeks, gaps.get(name)) for name, weeks in strips.items()]
    return phrase(
        "A strip for {tables}, a cell a week: {strips}.",
        tables=counted(len(said), "table"),
        strips="; ".join(said),
    )


def _strip(name: str, weeks: pd.DataFrame, found: pd.DataFrame | None) -> str:
    values = {"table": name, "first": weeks["week"].iloc[0], "last": weeks["week"].iloc[-1]}
    if found is None or found.empty:
        return phrase(_NO_GAP, **values)
    longest = found.iloc[int(found["days"].to_numpy().argmax())]
    return phrase(
        _ONE_GAP if len(found) == 1 else _GAPS,
        gaps=shown(len(found), ","),
        days=counted(int(longest["days"]), "day"),
        since=longest["first"],
        **values,
    )


_NO_GAP = "{table} from the week of {first:%-d %B %Y} to that of {last:%-d %B %Y}, no gap"
_ONE_GAP = (
    "{table} from the week of {first:%-d %B %Y} to that of {last:%-d %B %Y}, "
    "{gaps} gap ({days} from {since:%-d %B %Y})"
)
_GAPS = (
    "{table} from the week of {first:%-d %B %Y} to that of {last:%-d %B %Y}, "
    "{gaps} gaps (the longest {days} from {since:%-d %B %Y})"
)


def joined(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of several canonical tables as one, with the name of each in the column table."""
    named = [found.assign(table=name) for name, found in tables.items() if len(found)]
    table = (
        pd.concat(named, ignore_index=True)
        if named
        else next(iter(tables.values())).assign(table="")
    )
    return table[["table", *(name for name in table.columns if name != "table")]]
