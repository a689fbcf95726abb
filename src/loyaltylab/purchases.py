"""Purchases: what a person did on one day. Exports split and repeat orders; a day they cannot split.

A second basket of a day is no return, so every count of repeat business rests on these.
"""

from __future__ import annotations

import datetime as dt

import ibis
import ibis.expr.types as ir

from loyaltylab.schemas import MONEY


def purchase_days(orders: ir.Table) -> ir.Table:
    """Grain in: one order. Grain out: one person and day with an order.

    person_id, day, orders (how many), amount (sum of the day's orders, a decimal), margin (likewise;
    missing where an order of the day has none, and where the table has no such column).
    """
    dated = orders.mutate(day=orders["ordered_at"].date())
    if "margin" not in dated.columns:
        dated = dated.mutate(margin=ibis.null(MONEY))
    margin = dated["margin"]
    return dated.group_by("person_id", "day").agg(
        orders=dated.count(),
        amount=dated["amount"].sum(),
        margin=margin.isnull().any().ifelse(ibis.null(MONEY), margin.sum()),
    )


def timelines(purchases: ir.Table, *, until: dt.date | None = None) -> ir.Table:
    """`purchase_days` up to `until` with what went before and came after: the table that the page on
    retention keeps once.

    Adds first (the person's first day), rank (1 is a person's first purchase), previous (the day of
    the purchase before; missing at the first) and next_day (of the next; missing: none by `until`). So
    whoever wants to know of new or returning customers, cohorts, gaps and waits needs no further
    grouping by person: all of these are counts of its rows.
    """
    seen = purchases if until is None else purchases.filter(purchases["day"] <= until)
    order = ibis.window(group_by="person_id", order_by="day")
    return seen.mutate(
        first=seen["day"].first().over(order),
        rank=ibis.row_number().over(order) + 1,
        previous=seen["day"].lag().over(order),
        next_day=seen["day"].lead().over(order),
    )
