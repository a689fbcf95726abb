"""How many people write to support, about what and where. Grain in: one ticket, one order."""

from __future__ import annotations

import datetime as dt

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab.intervals import count_interval, ratio_with_interval, share_with_interval
from loyaltylab.language import phrase
from loyaltylab.periods import of_ordinals, ordinal

UNSAID, OTHERS = "not said", "all others"


def opened(tickets: ir.Table, *, until: dt.date) -> ir.Table:
    """Tickets opened by `until`, with day and month (a number, see `periods.ordinal`) of their opening.

    channel and topic without spaces around them; UNSAID where they are missing. tickets : person_id
    and the columns of the canonical table.
    """
    day = tickets["opened_at"].date()
    plain = {
        name: tickets[name].strip().nullif("").fill_null(UNSAID) for name in ("channel", "topic")
    }
    dated = tickets.mutate(day=day, month=ordinal(day, "month"), **plain)
    return dated.filter(dated["day"] <= until)


def named(value: str) -> str:
    """A topic or channel as readers are told of it: UNSAID and OTHERS in their language, data as they
    are."""
    return phrase(value) if value in (UNSAID, OTHERS) else value


def begun(text: str) -> str:
    """A text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def enough(tickets: ir.Table, by: str, *, minimum: int) -> ir.Table:
    """The tickets of those values of `by` that at least `minimum` customers have tickets of."""
    counted = tickets.group_by(by).agg(customers=tickets["person_id"].nunique())
    return tickets.semi_join(counted.filter(counted["customers"] >= minimum), by)


def by_month(tickets: ir.Table, orders: ir.Table, *, until: dt.date, minimum: int) -> pd.DataFrame:
    """Tickets and orders of each month. Grain: a calendar month from that of the first ticket on.

    tickets : `opened`. Returns month (first day), tickets, orders, over (whether the month is), per_100
    (tickets per 100 orders of the same month; missing without orders, and where `_shown` says so), low,
    high (of a Poisson count).
    Of months before the first ticket nothing says whether there were none or none were kept.
    """
    counts = {"tickets": tickets.count(), "customers": tickets["person_id"].nunique()}
    asked = tickets.group_by("month").agg(**counts).to_pandas()
    day = orders["ordered_at"].date()
    dated = orders.select(month=ordinal(day, "month"), day=day)
    dated = dated.filter(dated["day"] <= until)
    bought = dated.group_by("month").agg(orders=dated.count()).to_pandas()
    months = range(int(asked["month"].min()), 12 * (until.year - 1970) + until.month)
    every = pd.DataFrame({"month": months}).merge(asked, how="left").merge(bought, how="left")
    every = every.fillna(0).astype(int)
    low, high = count_interval(every["tickets"])
    shown = _shown(every["customers"], minimum)
    orders_there = every["orders"].where(shown & (every["orders"] > 0))
    rates = {"per_100": every["tickets"], "low": low, "high": high}
    first = of_ordinals(every["month"], "month").to_timestamp()
    over = (first + pd.offsets.MonthEnd(0)).date <= until
    return every.drop(columns="customers").assign(
        month=first, over=over, **{name: 100 * part / orders_there for name, part in rates.items()}
    )


def _shown(customers: pd.Series, minimum: int) -> pd.Series:
    """Whether months may be shown in which so many customers wrote: at least `minimum`. Months without
    any tell of nobody, but only beside all others do they tell the truth: a line of those alone that
    are zero would say that all are."""
    small = (customers > 0) & (customers < minimum)
    return (customers >= minimum) | ((customers == 0) & (not small.any()))


def per_100_orders(tickets: ir.Table, orders: ir.Table, *, until: dt.date) -> dict[str, float]:
    """Tickets per 100 orders since the month of the first ticket: tickets, orders, value, low, high.

    A customer with several tickets counts as one in the interval (`ratio_with_interval`).
    """
    since = tickets["day"].min().truncate("M").to_pyarrow().as_py()
    day = orders["ordered_at"].date()
    rows = orders.filter(day >= ibis.literal(since), day <= ibis.literal(until))
    asked = tickets.group_by("person_id").agg(top=tickets.count())
    bought = rows.group_by("person_id").agg(bottom=rows.count())
    both = asked.outer_join(bought, "person_id")
    people = both.select(top=both["top"].fill_null(0), bottom=both["bottom"].fill_null(0))
    # Sorted, as sums of what follows depend on the order.
    alike = people.group_by("top", "bottom").agg(customers=people.count())
    groups = alike.order_by("top", "bottom").to_pandas()
    ratio = ratio_with_interval(groups["top"], groups["bottom"], groups["customers"])
    sums = {name: int((groups["customers"] * groups[name]).sum()) for name in ("top", "bottom")}
    value, low, high = (100 * end for end in ratio)
    return {"tickets": sums["top"], "orders": sums["bottom"], "value": value} | {
        "low": low,
        "high": high,
    }


def by_value(tickets: ir.Table, by: str, *, minimum: int) -> pd.DataFrame:
    """Tickets by topic or channel. Grain: one value of `by`, most tickets first.

    tickets : `opened`. Returns it, tickets, customers, share (of all tickets), low, high (Wilson);
    values that fewer than `minimum` customers have are taken together as one last row, which is left
    out where even they are fewer.
    """
    rows = tickets.group_by(by).agg(
        tickets=tickets.count(), customers=tickets["person_id"].nunique()
    )
    table = rows.to_pandas().sort_values(["tickets", by], ascending=[False, True])
    whole = table["tickets"].sum()
    small = table[table["customers"] < minimum]
    table = table.drop(small.index)
    if len(small):
        others = tickets.filter(tickets[by].isin(small[by].tolist()))
        told = others.agg(tickets=others.count(), customers=others["person_id"].nunique())
        rest = told.to_pandas().assign(**{by: OTHERS})
        table = pd.concat([table, rest[rest["customers"] >= minimum]])
    share, low, high = share_with_interval(table["tickets"], whole)
    return table.assign(share=share, low=low, high=high).reset_index(drop=True)


def cells(tickets: ir.Table, months: pd.DataFrame, by: str, *, minimum: int) -> pd.DataFrame:
    """Tickets by value and month, zero where there were none. Grain: value of `by` × month that is over.

    months : `by_month`. Returns group (the value), month, count, exposure (orders of the month), shown
    (`_shown`).
    """
    counts = {"count": tickets.count(), "customers": tickets["person_id"].nunique()}
    rows = tickets.group_by(by, "month").agg(**counts).to_pandas()
    rows["month"] = of_ordinals(rows["month"], "month").to_timestamp()
    over = months.loc[months["over"], ["month", "orders"]].rename(columns={"orders": "exposure"})
    groups = pd.DataFrame({by: sorted(rows[by].unique())})
    every = groups.merge(over, how="cross").merge(rows, how="left", on=[by, "month"])
    table = every.rename(columns={by: "group"}).fillna({"count": 0, "customers": 0})
    by_group = table.groupby("group")["customers"]
    table["shown"] = by_group.transform(_shown, minimum).astype(bool)
    return table.astype({"count": int})[["group", "month", "count", "exposure", "shown"]]
