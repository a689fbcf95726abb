"""Purchases made by hand or at random, for the tests of retention."""

import datetime as dt

import ibis
import pandas as pd
from hypothesis import strategies as st

from loyaltylab import retention
from loyaltylab.timelines import timelines, with_margin

people = st.sampled_from("abcdefgh")
days = st.dates(dt.date(2022, 11, 1), dt.date(2024, 6, 30))
margins = st.one_of(st.none(), st.integers(-3, 9))
histories = st.lists(st.tuples(people, days, st.integers(-5, 30), margins), min_size=1, max_size=40)


def orders_of(rows):
    """Orders of (person, day, amount, margin) rows."""
    frame = pd.DataFrame(rows, columns=["person_id", "ordered_at", "amount", "margin"])
    frame["ordered_at"] = pd.to_datetime(frame["ordered_at"], format="mixed")
    frame = frame.astype({"person_id": "str", "amount": "float64", "margin": "float64"})
    table = ibis.memtable(frame)
    money = {name: table[name].cast("decimal(18, 4)") for name in ("amount", "margin")}
    return table.mutate(**money)


def purchases_of(rows):
    """Their purchases, as the pages keep them."""
    return timelines(with_margin(orders_of(rows)))


def literal_purchases(rows):
    """The same, row by row: person, day, orders, amount, margin, first and previous day."""
    found = []
    for person in sorted({row[0] for row in rows}):
        own = [row for row in rows if row[0] == person]
        dates = sorted({row[1] for row in own})
        for i, day in enumerate(dates):
            of_day = [row for row in own if row[1] == day]
            each = [row[3] for row in of_day]
            found.append(
                {
                    "person_id": person,
                    "day": day,
                    "orders": len(of_day),
                    "amount": float(sum(row[2] for row in of_day)),
                    "margin": float("nan") if None in each else float(sum(each)),
                    "first": dates[0],
                    "previous": dates[i - 1] if i else None,
                }
            )
    return pd.DataFrame(found)


def triangle_of(purchases, *, period, until, by=None):
    flows = retention.flows(purchases, period=period, until=until, by=by)
    return retention.triangle(flows, period=period, until=until, by=by)


def base_of(purchases, *, period, until, cohort="year"):
    flows = retention.flows(purchases, period=period, until=until, cohort=cohort)
    return retention.base(flows, period=period, until=until, cohort=cohort)
