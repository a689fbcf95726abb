"""What each person did: the histories that the models are fitted to. Grain in: one order."""

from __future__ import annotations

from datetime import date, timedelta

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab.errors import UnanswerableError
from loyaltylab.purchases import purchase_days

DAYS = 7  # in a week, the models' unit of time
HISTORY = ("frequency", "recency", "age")


def summarise(orders: ir.Table, *, until: date) -> ir.Table:
    """What each person did up to and including `until`; stays in the engine.

    orders : person_id, ordered_at, amount, none of them missing.
    Returns one row a person who ordered by then: person_id, first_day, frequency (order days after
    the first), recency (days from first to last order day), age (days from first order day to
    `until`), spend and repeat_spend (total amount, and that of the days after the first; decimals).
    Raises UnanswerableError if nobody ordered by then.
    """
    seen = purchase_days(orders).filter(ibis._.day <= until)
    people = seen.group_by("person_id").aggregate(
        first_day=seen.day.min(),
        last_day=seen.day.max(),
        frequency=seen.count() - 1,
        spend=seen.amount.sum(),
        first_spend=seen.amount.argmin(seen.day),
    )
    if people.count().execute() == 0:
        raise UnanswerableError(
            f"orders: expected some on or before {until}, found none. "
            "Shorten the hold-out or give earlier orders."
        )
    return people.select(
        "person_id",
        "first_day",
        "frequency",
        recency=people.last_day.delta(people.first_day, unit="day"),
        age=ibis.literal(until).delta(people.first_day, unit="day"),
        spend=people.spend,
        repeat_spend=people.spend - people.first_spend,
    )


def with_holdout(people: ir.Table, orders: ir.Table, *, cutoff: date, weeks: int) -> ir.Table:
    """`people` observed until `cutoff`, with what they did in the `weeks` weeks after it.

    Adds later_orders (order days in (cutoff, cutoff + weeks]) and later_spend (their amount), 0 for
    a person without any. Persons who first order after the cutoff are not in it.
    """
    days = purchase_days(orders)
    end = cutoff + timedelta(weeks=weeks)
    later = (
        days.filter(days.day > cutoff, days.day <= end)
        .group_by("person_id")
        .aggregate(later_orders=ibis._.count(), later_spend=ibis._.amount.sum())
    )
    joined = people.left_join(later, "person_id").drop("person_id_right")
    return joined.mutate(
        later_orders=joined.later_orders.fill_null(0), later_spend=joined.later_spend.fill_null(0)
    )


def tally(people: ir.Table, *columns: str, total: str | None = None) -> pd.DataFrame:
    """Equal rows counted: `columns`, customers, and the sum of the column `total` where given.

    This is all that leaves the engine: sufficient statistics, ordered by `columns`, money as float.
    """
    sums = {} if total is None else {total: people[total].sum()}
    table = people.group_by(columns).aggregate(customers=people.count(), **sums)
    money = [c for c in table.columns if table[c].type().is_decimal()]
    floats = ibis.selectors.across(money, ibis._.cast("float64"))
    counted: pd.DataFrame = table.order_by(columns).mutate(floats).execute()
    return counted


def histories(people: ir.Table) -> pd.DataFrame:
    """The BG/NBD's sufficient statistics: frequency, recency and age (days), customers."""
    return tally(people, *HISTORY)


def spend_histories(people: ir.Table) -> pd.DataFrame:
    """The Gamma-Gamma's sufficient statistics: frequency, repeat_spend (money), customers.

    Only customers with a repeat order and positive repeat spend: the model knows no other money.
    """
    return tally(
        people.filter(people.frequency > 0, people.repeat_spend > 0), "frequency", "repeat_spend"
    )
