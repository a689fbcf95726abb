"""Churn where nobody cancels: how many customers go in a period, and how many come.

A customer goes on the morning after the last day of the silence allowed (`silence.thresholds`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab.intervals import LEVEL, ratio_with_interval, share_with_interval
from loyaltylab.language import counted, phrase
from loyaltylab.numbers import Number, Numbers, sentence
from loyaltylab.periods import UNITS, of_ordinals, ordinal

ChurnPeriod = Literal["month", "quarter"]
_LONGEST = {"month": 31, "quarter": 92}  # days
MONTHS = 12  # whole ones that the churn rate is of
_WENT = {
    "month": "In the last month that is over, {churned:,.0f} of {active:,.0f} went; {won:,.0f} were won "
    "and {back:,.0f} won back.",
    "quarter": "In the last quarter that is over, {churned:,.0f} of {active:,.0f} went; {won:,.0f} were "
    "won and {back:,.0f} won back.",
}


def churn_by_period(
    spells: ir.Table, thresholds: pd.DataFrame, *, until: dt.date, period: ChurnPeriod
) -> pd.DataFrame:
    """How many customers go, and how many come. Grain: one calendar period, from the second on.

    Returns start (its first day), active (customers in the morning of it), churned (of them, whose
    allowed silence ended in it), retained (the others), won (first purchases), won_back (purchases of
    customers gone), churn (churned / active), low, high (Wilson). What the next period begins with is
    retained + won + won_back. Missing: all but active in a period that is not over on `until`, and
    churn in a period that began when the data were younger than the longest threshold, so that not
    everybody could have gone.
    Raises ValueError if a threshold is shorter than the period: then a customer may go twice in it.
    """
    shortest = thresholds["days"].min()
    if shortest < _LONGEST[period]:
        raise ValueError(
            f"period: expected one no longer than the silence allowed, {shortest:.0f} days; "
            f"got {period}."
        )
    dated = spells.select(
        "gone",
        "day",
        start=ordinal(spells["day"], period),
        last=ordinal(spells["end"], period),
        back=ordinal(spells["back_on"], period),
        first=spells["rank"] == 1,
    )
    keys = ["start", "last", "back", "first", "gone"]
    found = dated.group_by(keys).agg(n=dated.count(), day=dated["day"].min()).to_pandas()
    last = pd.Period(until, UNITS[period]).ordinal
    numbers = range(found["start"].min() + 1, last + 1)
    periods = of_ordinals(numbers, period)

    def count(at: pd.Series, rows: pd.Series) -> pd.Series:
        """How many purchases of these rows have this period."""
        return found.loc[rows, "n"].groupby(at[rows]).sum()

    table = pd.DataFrame(
        {
            "churned": count(found["last"], found["gone"]),
            "won": count(found["start"], found["first"]),
            "won_back": count(found["back"], found["back"].notna()),
        },
        index=range(found["start"].min(), last + 1),
    ).fillna(0)
    # Who comes counts from the next period on, who goes to the end of the one in which it is.
    change = table["won"] + table["won_back"] - table["churned"]
    table.insert(0, "active", change.cumsum().shift())
    table = table.iloc[1:]
    table.index = periods
    over = pd.Series([end.date() <= until for end in periods.end_time], index=periods)
    decided = over & (_ages(periods, found["day"].min()) >= thresholds["days"].max())
    table.insert(2, "retained", table["active"] - table["churned"])
    for name in ("churned", "retained", "won", "won_back"):
        table[name] = table[name].where(over)
    table["churn"], table["low"], table["high"] = share_with_interval(
        table["churned"], table["active"].where(decided)
    )
    table.insert(0, "start", periods.start_time)
    return table.reset_index(drop=True)


def _ages(periods: pd.PeriodIndex, first: dt.date) -> pd.Series:
    """Days from the first purchase of all to the first day of each period."""
    return pd.Series((periods.start_time - pd.Timestamp(first)).days, index=periods)


@dataclass(frozen=True)
class Rate:
    """churned of so many customer-months, over so many whole months; share a month, low, high."""

    months: int
    customers: int
    churned: int
    share: float
    low: float
    high: float


def churn_rate(
    spells: ir.Table, thresholds: pd.DataFrame, *, until: dt.date, months: int = MONTHS
) -> Rate:
    """Share of active customers who go in a month, over the last `months` whole months.

    All of these months' churned over all of their active customers (`churn_by_period`): missing if there
    is no month in which everybody could have gone. A customer counts in several months, so the interval
    draws customers and not months of theirs (`ratio_with_interval`).
    """
    whole = pd.Period(until, "M")
    if whole.end_time.date() > until:
        whole -= 1
    first = spells["day"].min().to_pyarrow().as_py()
    period = pd.period_range(pd.Period(first, "M") + 1, whole, freq="M")
    decided = period[(_ages(period, first) >= thresholds["days"].max()).to_numpy()][-months:]
    if not len(decided):
        return Rate(0, 0, 0, *[float("nan")] * 3)
    low, high = (at.ordinal for at in (decided[0], decided[-1]))
    start, last, back = (ordinal(spells[name], "month") for name in ("day", "end", "back_on"))

    def after(month: ir.Value) -> ir.Value:
        """How many of the months from `low` to `high` come after this one."""
        return ibis.greatest(high - ibis.greatest(month, ibis.literal(low - 1)), 0)

    # From the month after that of coming on a customer is active, up to and with the one of going. The
    # greatest of a missing number and another is the other: who is not back is put after all months.
    rows = spells.select(
        "person_id",
        active=(spells["rank"] == 1).ifelse(after(start), 0)
        - spells["gone"].ifelse(after(last) - after(back.fill_null(high)), 0),
        churned=(spells["gone"] & (start < last) & last.between(low, high)).cast("int64"),
    )
    people = rows.group_by("person_id").agg(
        active=rows["active"].sum(), churned=rows["churned"].sum()
    )
    people = people.filter(people["active"] > 0)
    tally = people.group_by("active", "churned").agg(customers=people.count()).to_pandas()
    share, below, above = ratio_with_interval(tally["churned"], tally["active"], tally["customers"])
    return Rate(
        len(decided),
        int(tally["customers"].sum()),
        int((tally["churned"] * tally["customers"]).sum()),
        share,
        below,
        min(above, 1.0) if above == above else above,
    )


def record_churn(numbers: Numbers, rate: Rate) -> Number:
    """Record retention.churn_rate, of a month."""
    return numbers.record(
        "retention.churn_rate",
        rate.share,
        low=rate.low,
        high=rate.high,
        level=LEVEL,
        unit="share",
        n=rate.customers,
        definition=phrase(
            "share of active customers who go in a month, over the last {months} (to go: to be silent "
            "for longer than nine in ten of those who returned had been after as many purchases)",
            months=counted(rate.months, "whole month"),
        ),
    )


def churn_finding(table: pd.DataFrame, rate: Rate, *, period: ChurnPeriod) -> str:
    """How many active customers go, from `churn_by_period` and `churn_rate`: heading and sentence."""
    if not rate.months:
        return phrase(
            "## Too early to say how many customers go\n\n"
            "The data are younger than the silence after which a customer counts as gone."
        )
    if not rate.customers:
        return phrase(
            "## Nobody was left to go\n\n"
            "In the last months there was no active customer: who had bought before had been silent for "
            "so long as to count as gone."
        )
    seen = table.dropna(subset="churn")
    text = sentence(
        "## {share:.1%} of active customers go in a month\n\n"
        "So many did in each of the last {months}, taken together ({low:.1%} to {high:.1%} with 95% "
        "confidence).",
        share=rate.share,
        low=rate.low,
        high=rate.high,
        months=counted(rate.months, "whole month"),
    )
    if seen.empty:
        return text
    last = seen.iloc[-1]
    went = sentence(
        _WENT[period],
        churned=last["churned"],
        active=last["active"],
        won=last["won"],
        back=last["won_back"],
    )
    return f"{text} {went}"
