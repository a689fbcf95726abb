"""Sensitivity: what later pages would say if links were drawn more or less readily.

Grain in: one record; grain out: one threshold.
"""

from __future__ import annotations

from typing import Any

import ibis.expr.types as ir
import pandas as pd

from loyaltylab.linkage.links import Links, cluster

_RECORD = ["source", "record_id"]


def by_threshold(
    con: Any, links: Links, orders: ir.Table, thresholds: tuple[float, ...]
) -> pd.DataFrame:
    """Grain: one threshold of probability, and at the end (threshold missing) no linkage at all.

    threshold, persons (among the customer records), buyers, repeat_rate (share of buyers with orders
    on two days or more), orders, amount (of a buyer, on average).
    """
    rows = [_told(con, orders, cluster(con, links, threshold=t), t) for t in thresholds]
    alone = links.fields.select(*_RECORD, cluster="record")
    return pd.DataFrame([*rows, _told(con, orders, alone, None)])


def _told(
    con: Any, orders: ir.Table, clusters: ir.Table, threshold: float | None
) -> dict[str, Any]:
    found = orders.left_join(clusters.select(*_RECORD, "cluster"), _RECORD)
    # A record that no export of customers knows is a person of its own.
    person = (
        found["cluster"].cast("string").coalesce(found["source"].concat("|", found["record_id"]))
    )
    dated = found.select(person=person, day=found["ordered_at"].date(), amount=found["amount"])
    people = dated.group_by("person").agg(
        days=dated["day"].nunique(), orders=dated.count(), amount=dated["amount"].sum()
    )
    told = con.execute(
        people.agg(
            buyers=people.count(),
            repeat_rate=(people["days"] > 1).mean(),
            orders=people["orders"].mean(),
            amount=people["amount"].sum().cast("float64") / people.count(),
        )
    ).iloc[0]
    persons = int(con.execute(clusters["cluster"].nunique()))
    return {"threshold": threshold, "persons": persons} | dict(told)
