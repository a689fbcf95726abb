"""The whole customer base over time (the fifth lens). Grain in: `flows` of purchases.

Fader, Hardie & Ross (2022), The Customer-Base Audit.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab.intervals import LEVEL, mean_interval
from loyaltylab.language import phrase
from loyaltylab.numbers import Number, Numbers, sentence
from loyaltylab.periods import UNITS
from loyaltylab.retention.cohorts import SUMS, Period, in_periods

Cohort = Literal["quarter", "year"]


def base(
    flows: pd.DataFrame, *, period: Period, until: dt.date, cohort: Cohort = "year"
) -> pd.DataFrame:
    """What each acquisition cohort brought in each calendar period. Grain: cohort × period with a
    purchase; the rows add up to all purchases until `until`.

    flows : of `period`, or of months for quarters; where they are of weeks, of cohorts of `cohort`.
    Returns cohort and at (first days of the periods), complete (whether the period is over by `until`),
    customers (active), new (first purchase ever), retained (active in the period before too),
    purchases, orders, amount, margin (of the purchases that have one; missing where none has),
    repeat_amount (of purchases that were not a person's first).
    """
    found = in_periods(flows, period=period, cohort=cohort)
    new, gap = found["gap"].isna(), found["gap"]
    counts = {"customers": new | (gap > 0), "new": new, "retained": gap == 1}
    for name, rows in counts.items():
        found[name] = found["purchases"].where(rows, 0)
    found["repeat_amount"] = found["amount"].where(~new, 0.0)
    cells = found.groupby(["cohort", "at"])
    table = cells[[*counts, *SUMS, "repeat_amount"]].sum()
    table = table.assign(margin=cells["margin"].sum(min_count=1)).reset_index()
    table.insert(2, "complete", table["at"].dt.end_time.dt.date <= until)
    return table.assign(cohort=table["cohort"].dt.start_time, at=table["at"].dt.start_time)


def health(table: pd.DataFrame, *, period: Period) -> pd.DataFrame:
    """How many customers came, stayed and went, from `base`. Grain: one calendar period, none left out.

    at, complete, active, new, retained (active in the period before too), won_back (active before
    that alone), lapsed (active in the period before, not in this one; missing in the first period and
    in one that is not over), amount, repeat_amount, repeat_share (missing without revenue).
    active = new + retained + won_back; active of the period before = retained + lapsed.
    """
    sums = ["customers", "new", "retained", "amount", "repeat_amount"]
    at = table["at"].dt.to_period(UNITS[period])
    by = table.groupby(at)[sums].sum()
    if len(by):
        by = by.reindex(pd.period_range(by.index[0], by.index[-1], name="at"), fill_value=0)
    by = by.rename(columns={"customers": "active"})
    complete = table.groupby(at)["complete"].all().reindex(by.index, fill_value=True)
    by.insert(0, "complete", complete)
    by["won_back"] = by["active"] - by["new"] - by["retained"]
    by["lapsed"] = (by["active"].shift() - by["retained"]).where(by["complete"])
    by["repeat_share"] = (by["repeat_amount"] / by["amount"]).where(by["amount"] > 0)
    return by.reset_index().assign(at=lambda t: t["at"].dt.start_time)


def monthly_revenue(flows: pd.DataFrame, *, until: dt.date, minimum: int) -> pd.DataFrame:
    """Revenue by calendar month, from flows of months. Grain: one month, none left out.

    month (its first day), complete (whether it is over by `until`), customers, revenue: both missing
    where fewer than `minimum` customers, though some, bought.
    """
    by = health(base(flows, period="month", until=until), period="month")
    told = (by["active"] == 0) | (by["active"] >= minimum)
    return pd.DataFrame(
        {
            "month": by["at"],
            "complete": by["complete"],
            "customers": by["active"].where(told),
            "revenue": by["amount"].where(told),
        }
    )


def repeat_share(people: ir.Table) -> pd.Series:
    """Share of revenue from purchases that were not a customer's first. From `totals` of a period.

    Returns share, low, high (normal, at LEVEL) and customers. A ratio of two sums over customers, who
    are what varies: Cochran (1977), Sampling Techniques, section 6.4. Missing without revenue.
    """
    amount, again = people["amount"].cast("float64"), people["repeat_amount"]
    repeated = again.fill_null(0).cast("float64")
    sums = people.aggregate(
        customers=people.count(),
        amount=amount.sum(),
        again=repeated.sum(),
        squares=(amount * amount).sum(),
        both=(amount * repeated).sum(),
        again_squares=(repeated * repeated).sum(),
    )
    found = sums.to_pandas().iloc[0]
    n, spent = found["customers"], found["amount"]
    if not spent > 0:
        return pd.Series({"share": np.nan, "low": np.nan, "high": np.nan, "customers": n})
    share = found["again"] / spent
    left = found["again_squares"] - 2 * share * found["both"] + share**2 * found["squares"]
    low, high = mean_interval(share, left / spent**2, n)
    return pd.Series({"share": share, "low": low, "high": high, "customers": n})


def record_repeat_share(
    numbers: Numbers, found: pd.Series, *, since: dt.date, until: dt.date
) -> Number:
    """Record retention.repeat_revenue_share from `repeat_share`."""
    return numbers.record(
        "retention.repeat_revenue_share",
        found["share"],
        low=found["low"],
        high=found["high"],
        level=LEVEL,
        unit="share",
        n=found["customers"],
        definition=phrase(
            "share of revenue from {since:%Y-%m-%d} to {until:%Y-%m-%d} from purchases that were not "
            "the customer's first",
            since=since,
            until=until,
        ),
    )


def base_finding(table: pd.DataFrame, *, share: Number) -> str:
    """What keeps the business going, from `base`: a heading and its sentence.

    share : retention.repeat_revenue_share.
    """
    if share.value is None:
        return phrase("## No revenue yet\n\nNobody's orders of the period brought any.")
    years = table[table["complete"]].groupby("cohort")["amount"].sum()
    heading = sentence("## {share:.0%} of revenue is repeat business", share=share)
    said = []
    if share.low != share.high:
        said.append(
            sentence(
                "Between {share.low:.1%} and {share.high:.1%} with 95% confidence.", share=share
            )
        )
    said.append(
        phrase("Nobody bought for the first time.")
        if share.value == 1
        else phrase("The rest came with customers' first purchases.")
    )
    last = table.loc[table["complete"] & (table["at"] == table.loc[table["complete"], "at"].max())]
    if len(years) > 1 and last["amount"].sum() > 0:
        old = last.loc[last["cohort"] < last["cohort"].max(), "amount"].sum()
        said.append(
            sentence(
                "In the last complete period {old:.0%} of revenue came from customers won before "
                "{newest:%B %Y}.",
                old=old / last["amount"].sum(),
                newest=last["cohort"].max(),
            )
        )
    return f"{heading}\n\n{' '.join(said)}"
