"""Sensitivity: what later pages would say if links were drawn more or less readily.

Grain in: one record; grain out: one threshold.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab import engine, lifetime_value
from loyaltylab.errors import UnanswerableError
from loyaltylab.linkage.links import Links, cluster
from loyaltylab.purchases import purchase_days
from loyaltylab.timelines import timelines

_RECORD = ["source", "record_id"]


WEEKS = 52  # that a forecast looks ahead


def by_threshold(
    con: Any, links: Links, orders: ir.Table, thresholds: tuple[float, ...], *, until: dt.date
) -> pd.DataFrame:
    """Grain: one threshold of probability, and at the end (threshold missing) no linkage at all.

    threshold, persons (among the customer records), buyers, repeat_rate (share of buyers with orders
    on two days or more), orders, amount (of a buyer, on average), expected (amount of a buyer in the
    WEEKS after `until`, by BG/NBD and Gamma-Gamma; missing where they cannot be fitted).
    """
    orders = orders.filter(orders["ordered_at"].date() <= until)
    clusterings = [(t, cluster(con, links, threshold=t)) for t in thresholds]
    alone = links.fields.select(*_RECORD, cluster="record")
    return pd.DataFrame([_told(con, orders, c, t, until) for t, c in [*clusterings, (None, alone)]])


def _told(
    con: Any, orders: ir.Table, clusters: ir.Table, threshold: float | None, until: dt.date
) -> dict[str, Any]:
    found = orders.left_join(clusters.select(*_RECORD, "cluster"), _RECORD)
    # A record that no export of customers knows is a person of its own.
    person = (
        found["cluster"].cast("string").coalesce(found["source"].concat("|", found["record_id"]))
    )
    bought = found.select("ordered_at", "amount", person_id=person)
    dated = engine.keep(con, bought, "bought").mutate(day=lambda t: t["ordered_at"].date())
    people = dated.group_by("person_id").agg(
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
    return (
        {"threshold": threshold, "persons": persons}
        | dict(told)
        | {"expected": _expected(dated, until)}
    )


def _expected(orders: ir.Table, until: dt.date) -> float:
    people = lifetime_value.summarise(timelines(purchase_days(orders)), until=until)
    try:
        model = lifetime_value.fit_bg_nbd(lifetime_value.histories(people))
        spend = lifetime_value.fit_gamma_gamma(lifetime_value.spend_histories(people))
    except UnanswerableError:
        return float("nan")
    forecast = lifetime_value.forecast(people, model, spend, weeks=WEEKS)
    return float(np.average(forecast["value"], weights=forecast["customers"]))
