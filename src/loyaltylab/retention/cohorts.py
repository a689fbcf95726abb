"""Who comes back, cohort by cohort. Grain in: one order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Literal

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency

from loyaltylab.intervals import LEVEL, share_with_interval
from loyaltylab.numbers import Number, Numbers, counted, sentence
from loyaltylab.purchases import purchase_days

Period = Literal["week", "month", "quarter"]
_UNITS: dict[str, Literal["W", "M", "Q"]] = {"week": "W", "month": "M", "quarter": "Q"}


def purchase_counts(orders: ir.Table) -> pd.DataFrame:
    """How many people bought on how many days. Grain: one number of purchases.

    purchases (1 or more), customers, amount (what those customers spent in all).
    """
    bought = purchase_days(orders)
    people = bought.group_by("person_id").agg(
        purchases=bought.count(), amount=bought["amount"].sum()
    )
    table = people.group_by("purchases").agg(
        customers=people.count(), amount=people["amount"].sum().cast("float64")
    )
    return table.order_by("purchases").to_pandas()


def triangle(orders: ir.Table, *, period: Period, until: dt.date) -> pd.DataFrame:
    """Share of each acquisition cohort that buys again k periods later. Grain: cohort × age.

    until : last day observed; a cell whose period ends after it is missing, not zero.
    Returns cohort (first day of the period), age (periods since the first purchase's), customers
    (of the cohort), active, amount, share in [0, 1], low, high (Wilson, 95%). A cohort whose own
    period is not over is there too, with nothing but its customers so far.
    """
    bought = purchase_days(orders)
    bought = bought.mutate(at=bought["day"].truncate(_UNITS[period]))
    cohort = bought["at"].min().over(group_by="person_id")
    dated = bought.mutate(cohort=cohort)
    active = dated.group_by("cohort", "at").agg(
        active=dated["person_id"].nunique(), amount=dated["amount"].sum().cast("float64")
    )
    found = active.order_by("cohort", "at").to_pandas()
    for name in ("cohort", "at"):
        found[name] = pd.to_datetime(found[name]).dt.to_period(_UNITS[period])
    whole = _cells(found["cohort"].unique(), until, period)
    cells = whole.merge(found, on=["cohort", "at"], how="left", validate="one_to_one")
    sizes = found.loc[found["cohort"] == found["at"]].set_index("cohort")["active"]
    cells["customers"] = cells["cohort"].map(sizes)
    over = cells["at"].dt.end_time.dt.date <= until
    for name in ("active", "amount"):
        cells[name] = cells[name].fillna(0).where(over)
    cells["share"], cells["low"], cells["high"] = share_with_interval(
        cells["active"], cells["customers"].where(over)
    )
    cells["cohort"] = cells["cohort"].dt.start_time
    names = ["cohort", "age", "customers", "active", "amount", "share", "low", "high"]
    return cells[names].sort_values(["cohort", "age"], ignore_index=True)


def _cells(cohorts: Any, until: dt.date, period: Period) -> pd.DataFrame:
    """Every cohort in every period from its own to the one that holds `until`."""
    last = pd.Period(until, _UNITS[period])
    rows = [
        (cohort, age, cohort + age)
        for cohort in sorted(cohorts)
        for age in range((last - cohort).n + 1)
    ]
    return pd.DataFrame(rows, columns=["cohort", "age", "at"])


def pooled(cells: pd.DataFrame) -> pd.DataFrame:
    """All cohorts together at each age. Grain: one age, of cohorts observed at it alone.

    age, customers, active, share, low, high (as in `triangle`).
    """
    seen = cells.dropna(subset="share")
    table = seen.groupby("age", as_index=False)[["customers", "active"]].sum()
    table["share"], table["low"], table["high"] = share_with_interval(
        table["active"], table["customers"]
    )
    return table


def purchase_groups(people: pd.DataFrame) -> pd.DataFrame:
    """`purchase_counts` in six groups. purchases (as text), customers, and the shares of both."""
    groups = pd.cut(
        people["purchases"],
        [0, 1, 2, 3, 5, 10, np.inf],
        labels=["1", "2", "3", "4 to 5", "6 to 10", "more than 10"],
    )
    table = people.groupby(groups, observed=True)[["customers", "amount"]].sum().reset_index()
    table["of customers"] = table["customers"] / table["customers"].sum()
    table["of revenue"] = table["amount"] / table["amount"].sum()
    return table.astype({"purchases": str}).drop(columns="amount")


def record_repeat_rate(numbers: Numbers, people: pd.DataFrame) -> Number:
    """Record retention.customers and retention.repeat_rate from `purchase_counts`."""
    customers = people["customers"].sum()
    again = people.loc[people["purchases"] > 1, "customers"].sum()
    rate, low, high = share_with_interval(again, customers)
    numbers.record(
        "retention.customers",
        customers,
        unit="customers",
        n=customers,
        definition="people with at least one purchase",
    )
    return numbers.record(
        "retention.repeat_rate",
        rate,
        low=low,
        high=high,
        level=LEVEL,
        unit="share",
        n=customers,
        definition=f"share of customers with purchases on two or more days until {numbers.as_of}; "
        "customers won late have had less time for the second",
    )


def record_ages(numbers: Numbers, monthly: pd.DataFrame, *, ages: Sequence[int]) -> None:
    """Record retention.month_<age> from a triangle of months, for ages that were observed."""
    table = pooled(monthly).set_index("age").reindex(list(ages)).fillna({"customers": 0})
    for age, row in table.iterrows():
        numbers.record(
            f"retention.month_{age}",
            row["share"],
            low=row["low"],
            high=row["high"],
            level=LEVEL,
            unit="share",
            n=row["customers"],
            definition=f"share of customers who bought in the {age}. calendar month after that of "
            "their first purchase, all cohorts observed so long together",
        )


def loss_finding(cells: pd.DataFrame, *, period: Period) -> str:
    """Where most customers are lost, from `triangle`: a heading and its sentence."""
    table = pooled(cells[cells["age"] > 0])
    if table.empty:
        return (
            "## Too early to say where customers are lost\n\n"
            f"No {period} after a first purchase is over."
        )
    first, last = table.iloc[0], table.iloc[-1]
    text = (
        "## Only {first:.0%} buy in the calendar {period} after that of their first purchase\n\n"
        "Of all cohorts together, {low:.1%} to {high:.1%} do (95% confidence)."
    )
    if len(table) > 1:
        text += " {age} {period}s on, {last:.0%} of the {customers:,} observed so long buy."
    return sentence(
        text,
        first=first["share"],
        low=first["low"],
        high=first["high"],
        period=period,
        age=int(last["age"]),
        last=last["share"],
        customers=int(last["customers"]),
    )


def cohort_finding(cells: pd.DataFrame, *, period: Period) -> str:
    """Whether first returns differ between cohorts more than chance allows: heading and sentence.

    Chi-square test of equal shares over the cohorts observed at age 1.
    """
    first = cells[cells["age"] == 1].dropna(subset="share")
    if len(first) < 2 or first["active"].sum() in (0, first["customers"].sum()):
        return (
            "## Too early to compare cohorts\n\n"
            f"Fewer than two have been observed for a {period} after their first."
        )
    lost = first["customers"] - first["active"]
    test = chi2_contingency(np.array([first["active"], lost]), correction=False)
    if test.pvalue < 1 - LEVEL:
        heading = "Cohorts differ in how many buy one {period} later"
        verdict = "That is more than chance would explain"
    else:
        heading = "Cohorts hardly differ in how many buy one {period} later"
        verdict = "Chance alone could explain that"
    return sentence(
        f"## {heading}\n\n"
        "Between {low:.1%} and {high:.1%} of a cohort do. {verdict} (p = {p:.2g}, chi-square test over "
        "{cohorts}). Only that {period} is tested: along a row, a busy season shows in each cohort at "
        "another age.",
        low=first["share"].min(),
        high=first["share"].max(),
        period=period,
        verdict=verdict,
        p=test.pvalue,
        cohorts=counted(len(first), "cohort"),
    )
