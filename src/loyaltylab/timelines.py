"""Timelines: each person's purchases in order, with what they earned.

Grain out: one person and day with an order. All tables of the page on retention are counts of these.
"""

from __future__ import annotations

import datetime as dt

import ibis
import ibis.expr.types as ir

from loyaltylab.money import LARGEST
from loyaltylab.purchases import purchase_days
from loyaltylab.schemas import MONEY


def with_margin(orders: ir.Table) -> ir.Table:
    """`purchase_days` and margin: the sum of the day's orders; missing where an order of the day has
    none, and where the table has no such column."""
    if "margin" not in orders.columns:
        return purchase_days(orders).mutate(margin=ibis.null(MONEY))
    margin = orders["margin"]
    return purchase_days(
        orders, margin=margin.isnull().any().ifelse(ibis.null(MONEY), margin.sum())
    )


def timelines(purchases: ir.Table, *, until: dt.date | None = None) -> ir.Table:
    """`purchase_days` up to `until` with what went before and came after: the table that linkage writes
    once, and pages on what persons bought read.

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


def by_person(orders: ir.Table, persons: ir.Table, *, until: dt.date) -> ir.Table:
    """`timelines` of the orders, each person's purchases one after the other, as linkage writes them.

    orders : with person_index; persons : person_id and person_index, its place in their order.
    Returns both of them.
    """
    # Numbers are grouped and sorted faster than texts, and by them persons come in the same order.
    numbered = orders.drop("person_id").rename(person_id="person_index")
    bought = timelines(with_margin(numbered), until=until).rename(person_index="person_id")
    bought = bought.join(persons.select("person_id", "person_index"), "person_index")
    money = [name for name in ("amount", "margin") if name in orders.columns]
    sums = orders.agg(**{name: orders[name].abs().sum().fill_null(0) for name in money})
    # Sums are twice as wide as what they are sums of, and then read half as fast; few need to be.
    narrow = [name for name, whole in sums.to_pandas().iloc[0].items() if whole < LARGEST]
    bought = bought.mutate(**{str(name): bought[str(name)].cast(MONEY) for name in narrow})
    return bought.relocate("person_id").order_by("person_index", "day")


def first_orders(orders: ir.Table, purchases: ir.Table) -> ir.Table:
    """The order that each person began with. Grain: one person with a purchase.

    orders : with person_id and person_index; purchases : `by_person` of them. The earliest order, of
    several at one moment the first by source, order_id and channel. Returns person_id, person_index,
    first (day), source, order_id and channel, as far as orders have them.
    """
    dated = orders.mutate(day=orders["ordered_at"].date())
    began = purchases.filter(purchases["rank"] == 1).select("person_index", "first")
    # Ranking the orders of first days alone spares the engine to sort all that came later.
    opening = dated.join(began, ["person_index", dated["day"] == began["first"]])
    told = [name for name in ("source", "order_id", "channel") if name in dated.columns]
    window = ibis.window(group_by="person_index", order_by=["ordered_at", *told])
    ranked = opening.mutate(place=ibis.row_number().over(window))
    first = ranked.filter(ranked["place"] == 0)
    return first.select("person_id", "person_index", "first", *told).order_by("person_index")
