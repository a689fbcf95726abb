"""Purchases: what a person did on one day. Exports split and repeat orders; a day they cannot split.

A second basket of a day is no return, so every count of repeat business rests on these.
"""

from __future__ import annotations

import ibis.expr.types as ir


def purchase_days(orders: ir.Table, **more: ir.Value) -> ir.Table:
    """Grain in: one order. Grain out: one person and day with an order.

    person_id, day, orders (how many), amount (sum of the day's orders, a decimal), and more :
    further aggregates of the day's orders.
    """
    day = orders["ordered_at"].date()
    return orders.group_by("person_id", day=day).agg(
        orders=orders.count(), amount=orders["amount"].sum(), **more
    )
