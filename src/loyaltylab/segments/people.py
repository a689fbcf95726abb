"""Customers as segments see them: one row a person, in the engine. Grain in: one purchase.

Purchases are those of `purchases.purchase_days`, as `Lab.purchases` has them.
"""

from __future__ import annotations

import datetime as dt

import ibis
import ibis.expr.types as ir

from loyaltylab.errors import UnanswerableError
from loyaltylab.language import phrase

# What is known of a person beside the orders, from the persons that linkage found.
KNOWN = ("country", "acquired_through", "loyalty_member", "consent_marketing")


def customers(bought: ir.Table, *, until: dt.date, days: int | None = None) -> ir.Table:
    """What each person bought up to and including `until`. Grain: one person who did.

    bought : person_id, day, amount; one row a person and day (`purchase_days`).
    days : length of the window, ending on `until`, in which frequency and monetary are counted;
        None: as long as the person was observed.
    Returns person_id; first_day, last_day; purchases, spend and first_spend (in all, and on the first
    day); average_basket (spend a purchase) and mean_gap_days (missing with one purchase);
    days_since_first; and recency (days since the last purchase, 0 or more), frequency (purchases)
    and monetary (spend) as RFM counts them. Money is in the purchases' currency, a decimal.
    """
    bought = bought.filter(bought["day"] <= until)
    counted = {"purchases": bought.count(), "spend": bought["amount"].sum()}
    if days is None:
        recent = {"frequency": bought.count(), "monetary": bought["amount"].sum()}
    else:
        inside = bought["day"] > until - dt.timedelta(days=days)
        recent = {
            "frequency": inside.sum(),
            "monetary": inside.ifelse(bought["amount"], 0).sum(),
        }
    people = bought.group_by("person_id").agg(
        first_day=bought["day"].min(),
        last_day=bought["day"].max(),
        first_spend=bought["amount"].argmin(bought["day"]),
        **counted,
        **recent,
    )
    last_day = ibis.literal(until)
    lived = people["last_day"].delta(people["first_day"], unit="day")
    return people.mutate(
        average_basket=people["spend"].cast("float64") / people["purchases"],
        mean_gap_days=lived.cast("float64") / (people["purchases"] - 1).nullif(0),
        days_since_first=last_day.delta(people["first_day"], unit="day"),
        recency=last_day.delta(people["last_day"], unit="day"),
    )


def described(people: ir.Table, persons: ir.Table) -> ir.Table:
    """`people` with what `persons` knows of each: the columns KNOWN, missing where it knows nothing."""
    known = persons.select("person_id", *KNOWN)
    return people.left_join(known, "person_id").drop("person_id_right")


def cut_points(people: ir.Table, value: ir.NumericColumn, *, classes: int) -> list[float]:
    """Where a column of people is cut into classes of as many people each: classes − 1 values.

    The k-th is the smallest value that at least k / classes of the people do not exceed. People with
    the same value are never parted: classes differ in size, and may be empty, where many share one.
    Raises UnanswerableError if there is nobody.
    """
    by_value = people.group_by(value=value.cast("float64")).agg(n=people.count())
    ranked = by_value.mutate(
        up_to=by_value["n"].sum().over(ibis.cumulative_window(order_by="value")),
        all=by_value["n"].sum().over(),
    )
    cuts = {
        f"cut_{k}": ranked["value"].min(where=ranked["up_to"] * classes >= k * ranked["all"])
        for k in range(1, classes)
    }
    found = ranked.agg(**cuts).to_pandas().iloc[0]
    if found.isna().any():
        raise UnanswerableError(
            phrase(
                "There was nobody to put into segments: expected a customer who bought by then, "
                "found none."
            )
        )
    return [float(found[cut]) for cut in cuts]
