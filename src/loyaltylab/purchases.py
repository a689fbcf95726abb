"""Purchases: what a person did on one day. Exports split and repeat orders; a day they cannot split.

A second basket of a day is no return, so every count of repeat business rests on these.
"""

from __future__ import annotations

import ibis.expr.types as ir


def purchase_days(orders: ir.Table) -> ir.Table:
    """Grain in: one order. Grain out: one person and day with an order.

    person_id, day, amount (sum of the day's orders, a decimal).
    """
    dated = orders.mutate(day=orders["ordered_at"].date())
    return dated.group_by("person_id", "day").agg(amount=dated["amount"].sum())
