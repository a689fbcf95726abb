"""Who comes back, cohort by cohort. Grain in: one purchase, as `timelines` gives them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Literal

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency

from loyaltylab.cells import blanked, some_of
from loyaltylab.intervals import LEVEL, share_with_interval
from loyaltylab.language import counted, phrase
from loyaltylab.numbers import Number, Numbers, chance, sentence
from loyaltylab.periods import UNITS, Span, of_ordinals, ordinal, whole

Period = Literal["week", "month", "quarter"]
FAR = 6  # periods between purchases that are told apart: months enough to tell the quarter before
SUMS = ["purchases", "orders", "amount", "margin"]
_TOO_EARLY = {
    "week": "No week after a first purchase is over.",
    "month": "No month after a first purchase is over.",
    "quarter": "No quarter after a first purchase is over.",
}
_NEXT = {
    "week": "## Only {first:.0%} buy in the calendar week after that of their first purchase",
    "month": "## Only {first:.0%} buy in the calendar month after that of their first purchase",
    "quarter": "## Only {first:.0%} buy in the calendar quarter after that of their first purchase",
}
_LATER = {
    "week": "{age} weeks on, {last:.0%} of the {customers:,} observed so long buy.",
    "month": "{age} months on, {last:.0%} of the {customers:,} observed so long buy.",
    "quarter": "{age} quarters on, {last:.0%} of the {customers:,} observed so long buy.",
}
_FEWER_THAN_TWO = {
    "week": "Fewer than two have been observed for a week after their first.",
    "month": "Fewer than two have been observed for a month after their first.",
    "quarter": "Fewer than two have been observed for a quarter after their first.",
}
_DIFFER = {
    "week": "Cohorts differ in how many buy one week later",
    "month": "Cohorts differ in how many buy one month later",
    "quarter": "Cohorts differ in how many buy one quarter later",
}
_HARDLY_DIFFER = {
    "week": "Cohorts hardly differ in how many buy one week later",
    "month": "Cohorts hardly differ in how many buy one month later",
    "quarter": "Cohorts hardly differ in how many buy one quarter later",
}
_ONLY_THAT = {
    "week": "Only that week is tested: along a row, a busy season shows in each cohort at another age.",
    "month": "Only that month is tested: along a row, a busy season shows in each cohort at another "
    "age.",
    "quarter": "Only that quarter is tested: along a row, a busy season shows in each cohort at another "
    "age.",
}


def purchase_counts(purchases: ir.Table, *, gap: float = 0) -> pd.DataFrame:
    """How many people bought on how many days. Grain: one number of purchases.

    purchases : as `timelines` gives them. Returns purchases (1 or more), customers, amount (what those
    customers spent in all), short (gaps of at most `gap` days between two of a customer's purchases),
    short_squares (sum of each customer's squared; for the interval of a quantile of gaps).
    """
    short = purchases["next_day"].delta(purchases["day"], unit="day") <= gap
    people = purchases.group_by("person_id").agg(
        purchases=purchases.count(),
        amount=purchases["amount"].sum(),
        short=short.fill_null(False).sum(),
    )
    table = people.group_by("purchases").agg(
        customers=people.count(),
        amount=people["amount"].sum().cast("float64"),
        short=people["short"].sum(),
        short_squares=(people["short"] * people["short"]).sum(),
    )
    return table.order_by("purchases").to_pandas()


def flows(
    purchases: ir.Table,
    *,
    period: Period,
    until: dt.date,
    cohort: Span | None = None,
    by: str | None = None,
) -> pd.DataFrame:
    """Purchases by when their customers were won, when they bought and how long before they had: what
    `triangle` and `base` count, in one pass over the rows. Grain: (segment ×) cohort × period × gap.

    purchases : as `timelines` gives them; those until `until` count. cohort : the span in which a cohort
    is won; `period`, unless told. by : a column of `purchases` that holds for a person, such as the
    channel of the first order: then a first column of that name ("unknown" where it is missing).
    Returns cohort, at (pandas periods), gap (periods since that of the purchase before, FAR where there
    are more; missing for first purchases), purchases, orders, amount, margin (of the purchases that
    have one; missing where none has).
    """
    seen = purchases.filter(purchases["day"] <= until)
    at = ordinal(seen["day"], period)
    dated = seen.mutate(
        cohort=ordinal(seen["first"], cohort or period),
        at=at,
        # The least of a missing number and another would be the other.
        gap=seen["previous"]
        .isnull()
        .ifelse(ibis.null("int64"), ibis.least(at - ordinal(seen["previous"], period), FAR)),
        **({by: seen[by].cast("string").fill_null("unknown")} if by else {}),
    )
    keys = [*([by] if by else []), "cohort", "at", "gap"]
    sums = dated.group_by(*keys).agg(
        purchases=dated.count(),
        orders=dated["orders"].sum(),
        amount=dated["amount"].sum().cast("float64"),
        margin=dated["margin"].sum().cast("float64"),
    )
    found = sums.order_by(*keys).to_pandas()
    found["cohort"] = of_ordinals(found["cohort"], cohort or period)
    found["at"] = of_ordinals(found["at"], period)
    return found


def in_periods(flows: pd.DataFrame, *, period: Period, cohort: Span) -> pd.DataFrame:
    """`flows` with longer periods and spans of cohorts; gaps of two or more are then "two or more".

    Raises ValueError where they do not nest: weeks are parts of nothing else.
    """
    at = whole(flows["at"], period)
    before = whole(flows["at"] - flows["gap"].fillna(0).astype("int64"), period)
    gap = (at.astype("int64") - before.astype("int64")).where(flows["gap"].notna())
    return flows.assign(cohort=whole(flows["cohort"], cohort), at=at, gap=gap)


def triangle(
    flows: pd.DataFrame, *, period: Period, until: dt.date, by: str | None = None
) -> pd.DataFrame:
    """Share of each acquisition cohort that buys again k periods later. Grain: cohort × age.

    flows : of `period`, or of months for quarters. until : last day observed; a cell whose period ends
    after it is missing, not zero. by : the segment that the flows tell; each has a triangle of its own,
    in a first column of that name.
    Returns cohort (first day of the period), age (periods since the first purchase's), customers
    (of the cohort), active, purchases, orders, amount, margin (of the purchases that have one;
    missing where none has), share in [0, 1], low, high (Wilson, 95%); so_far (active in the period
    that `until` cuts short; missing in all others, and in no rate). A cohort whose own period is not
    over is there too, with nothing but its customers so far.
    """
    dated = in_periods(flows, period=period, cohort=period)
    # Of a person's purchases in one period the first alone makes the person active.
    dated["active"] = dated["purchases"].where(dated["gap"] != 0, 0)
    split = [by] if by else []
    keys = [*split, "cohort", "at"]
    grouped = dated.groupby(keys, observed=True)
    found = grouped[["active", *SUMS]].sum().assign(margin=grouped["margin"].sum(min_count=1))
    found = found.reset_index()
    known = found[[*split, "cohort"]].drop_duplicates()
    cells = known.merge(_cells(known["cohort"].unique(), until, period), on="cohort")
    cells = cells.merge(found, on=keys, how="left", validate="one_to_one")
    own = found.loc[found["cohort"] == found["at"], [*split, "cohort", "active"]]
    cells = cells.merge(own.rename(columns={"active": "customers"}), on=[*split, "cohort"])
    over = cells["at"].dt.end_time.dt.date <= until
    cells["so_far"] = cells["active"].fillna(0).where(~over)
    if found["margin"].notna().any():
        cells["margin"] = cells["margin"].where(cells["active"].notna(), 0.0)
    cells["margin"] = cells["margin"].where(over)
    for name in ("active", "purchases", "orders", "amount"):
        cells[name] = cells[name].fillna(0).where(over)
    cells["share"], cells["low"], cells["high"] = share_with_interval(
        cells["active"], cells["customers"].where(over)
    )
    cells["cohort"] = cells["cohort"].dt.start_time
    names = ["age", "customers", "active", "purchases", "orders", "amount", "margin"]
    names = [*split, "cohort", *names, "share", "low", "high", "so_far"]
    return cells[names].sort_values([*split, "cohort", "age"], ignore_index=True)


def _cells(cohorts: Any, until: dt.date, period: Period) -> pd.DataFrame:
    """Every cohort in every period from its own to the one that holds `until`."""
    last = pd.Period(until, UNITS[period])
    rows = [
        (cohort, age, cohort + age)
        for cohort in sorted(cohorts)
        for age in range((last - cohort).n + 1)
    ]
    kind = f"period[{last.freqstr}]"  # which a table without rows would lack
    return pd.DataFrame(rows, columns=["cohort", "age", "at"]).astype(
        {"cohort": kind, "age": "int64", "at": kind}
    )


def suppressed(cells: pd.DataFrame, *, minimum: int) -> pd.DataFrame:
    """`triangle` without what cohorts of fewer than `minimum` customers did: missing, as if unobserved.

    Of so few, a page would tell what single persons do; and their shares tell nothing else.
    """
    told = ["active", "purchases", "orders", "amount", "margin", "share", "low", "high", "so_far"]
    return cells.assign(**{name: cells[name].where(cells["customers"] >= minimum) for name in told})


def pooled(cells: pd.DataFrame) -> pd.DataFrame:
    """All cohorts together at each age. Grain: one age, of cohorts observed at it alone.

    age, customers, active, share, low, high (as in `triangle`); band_low, band_high: a band that
    holds the whole curve after age 0 at LEVEL, where low and high hold one age. Each of its k ages
    has an interval at LEVEL to the power of 1/k (Šidák 1967, JASA 62, 626–633: enough whatever the
    correlation between ages).
    """
    seen = cells.dropna(subset="share")
    table = seen.groupby("age", as_index=False)[["customers", "active"]].sum()
    counts = table["active"], table["customers"]
    table["share"], table["low"], table["high"] = share_with_interval(*counts)
    ages = max((table["age"] > 0).sum(), 1)
    _, table["band_low"], table["band_high"] = share_with_interval(
        *counts, level=LEVEL ** (1 / ages)
    )
    return table


def purchase_groups(people: pd.DataFrame, *, minimum: int = 1) -> pd.DataFrame:
    """`purchase_counts` in six groups. purchases (as text), customers, and the shares of both; missing
    where they tell of fewer than `minimum` customers."""
    groups = pd.cut(
        people["purchases"],
        [0, 1, 2, 3, 5, 10, np.inf],
        labels=["1", "2", "3", "4 to 5", "6 to 10", "more than 10"],
    )
    table = people.groupby(groups, observed=True)[["customers", "amount"]].sum().reset_index()
    table["of customers"] = table["customers"] / table["customers"].sum()
    table["of revenue"] = table["amount"] / table["amount"].sum()
    table = table.astype({"purchases": str}).drop(columns="amount")
    shares = ["of customers", "of revenue"]
    return blanked(table, "customers", shares, minimum=minimum, whole=True)


def record_repeat_rate(numbers: Numbers, people: pd.DataFrame, *, minimum: int = 1) -> Number:
    """Record retention.customers and retention.repeat_rate from `purchase_counts`; the rate as not known
    where those who came back, or those who did not, are fewer than `minimum`."""
    customers = people["customers"].sum()
    again = people.loc[people["purchases"] > 1, "customers"].sum()
    rate, low, high = share_with_interval(again, customers)
    numbers.record(
        "retention.customers",
        customers,
        unit="customers",
        n=customers,
        definition=phrase("people with at least one purchase"),
    )
    told = not np.isnan(some_of(again, customers, minimum=minimum))
    return numbers.record_spanned(
        "retention.repeat_rate",
        (rate, low, high) if told else (None, None, None),
        unit="share",
        n=customers,
        definition=phrase(
            "share of customers with purchases on two or more days until {until}; customers won late "
            "have had less time for the second",
            until=numbers.as_of,
        ),
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
            definition=phrase(
                "share of customers who bought in the {age}. calendar month after that of their first "
                "purchase, all cohorts observed so long together",
                age=age,
            ),
        )


def loss_finding(cells: pd.DataFrame, *, period: Period) -> str:
    """Where most customers are lost, from `triangle`: a heading and its sentence."""
    table = pooled(cells[cells["age"] > 0])
    if table.empty:
        heading = phrase("## Too early to say where customers are lost")
        return f"{heading}\n\n{phrase(_TOO_EARLY[period])}"
    first, last = table.iloc[0], table.iloc[-1]
    heading = sentence(_NEXT[period], first=first["share"])
    text = sentence(
        "Of all cohorts together, {low:.1%} to {high:.1%} do (95% confidence).",
        low=first["low"],
        high=first["high"],
    )
    if len(table) > 1:
        later = sentence(
            _LATER[period],
            age=int(last["age"]),
            last=last["share"],
            customers=int(last["customers"]),
        )
        text = f"{text} {later}"
    return f"{heading}\n\n{text}"


def cohort_finding(cells: pd.DataFrame, *, period: Period) -> str:
    """Whether first returns differ between cohorts more than chance allows: heading and sentence.

    Chi-square test of equal shares over the cohorts observed at age 1.
    """
    first = cells[cells["age"] == 1].dropna(subset="share")
    if len(first) < 2 or first["active"].sum() in (0, first["customers"].sum()):
        heading = phrase("## Too early to compare cohorts")
        return f"{heading}\n\n{phrase(_FEWER_THAN_TWO[period])}"
    lost = first["customers"] - first["active"]
    test = chi2_contingency(np.array([first["active"], lost]), correction=False)
    if test.pvalue < 1 - LEVEL:
        heading = _DIFFER[period]
        verdict = (
            "Between {low:.1%} and {high:.1%} of a cohort do. That is more than chance would explain "
            "({p}, chi-square test over {cohorts})."
        )
    else:
        heading = _HARDLY_DIFFER[period]
        verdict = (
            "Between {low:.1%} and {high:.1%} of a cohort do. Chance alone could explain that "
            "({p}, chi-square test over {cohorts})."
        )
    text = sentence(
        verdict,
        low=first["share"].min(),
        high=first["share"].max(),
        p=chance(test.pvalue),
        cohorts=counted(len(first), "cohort"),
    )
    return f"## {phrase(heading)}\n\n{text} {phrase(_ONLY_THAT[period])}"
