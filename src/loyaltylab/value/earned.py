"""What customers brought so far, from their orders. Grain in: one order of a person."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np

from loyaltylab.acquisition import margin_rate
from loyaltylab.engine import lowercase
from loyaltylab.intervals import Z
from loyaltylab.lifetime_value import Total
from loyaltylab.money import within_money
from loyaltylab.schemas import MONEY, WIDE_MONEY


@dataclass(frozen=True)
class Rates:
    """What orders say of their money.

    margin : over the amount, of orders that have one (missing: none has); returned : share of the
    amount of orders above zero that came back or was cancelled (missing: no order says); lacking :
    share of the orders without a margin; orders, negative, zero : how many, and of what amount.
    """

    margin: float
    returned: float
    lacking: float
    orders: int
    negative: int
    zero: int


def rates(orders: ir.Table, *, until: dt.date, cancelled: str) -> Rates:
    """Rates of orders up to `until`. cancelled : the status of those that brought nothing."""
    seen = orders.filter(orders["ordered_at"].date() <= until)
    amount = seen["amount"]
    void, paid = _void(seen, cancelled), amount > 0
    back = void.ifelse(amount, seen["returned_amount"].fill_null(0))
    told = seen.agg(
        back=back.sum(where=paid).cast("float64"),
        paid=amount.sum(where=paid).cast("float64"),
        says=(seen["returned_amount"].notnull() | void).sum().fill_null(0),
        orders=seen.count(),
        negative=(amount < 0).sum().fill_null(0),
        zero=(amount == 0).sum().fill_null(0),
    )
    found = told.to_pandas().iloc[0]
    known = margin_rate(seen)
    return Rates(
        margin=known["rate"],
        returned=float(found["back"] / found["paid"])
        if found["says"] and found["paid"]
        else np.nan,
        lacking=known["lacking"],
        orders=int(found["orders"]),
        negative=int(found["negative"]),
        zero=int(found["zero"]),
    )


def _void(orders: ir.Table, cancelled: str) -> ir.BooleanValue:
    return (_plain(orders["status"]) == _plain(ibis.literal(cancelled))).fill_null(False)


def _plain(status: ir.StringValue) -> ir.StringValue:
    return lowercase(status.strip())


def earned(
    orders: ir.Table, *, until: dt.date, cancelled: str, margin: float, returned: float
) -> ir.Table:
    """What each person brought up to `until`: person_id, gain (money, a decimal).

    An order brings its margin, less the share of its amount that came back, and nothing where it was
    cancelled; one below zero takes away what it says.
    margin : over the amount of orders whose own is missing; returned : share of the amount that came
    back, where no order says (else the share that says nothing came back whole).
    """
    seen = orders.filter(orders["ordered_at"].date() <= until)
    amount = seen["amount"].cast("float64")
    own = seen["margin"].cast("float64").coalesce(amount * margin)
    back = seen["returned_amount"].cast("float64").coalesce(amount * returned) / amount.nullif(0)
    lost = (amount > 0).ifelse(back.clip(0, 1), 0.0)
    stays = _void(seen, cancelled).ifelse(0.0, own * (1 - lost.fill_null(0.0)))
    # Sums of decimals are exact: no digit depends on the order in which an engine adds.
    gains = seen.select("person_id", gain=stays.round(MONEY.scale).cast(MONEY))
    return gains.group_by("person_id").agg(gain=gains["gain"].sum())


def mean_earned(people: ir.Table, name: str) -> Total:
    """Mean of a column of money over people and its interval at LEVEL; no interval of one alone.

    Raises UnanswerableError where somebody's money has more digits than money has here.
    """
    within_money(people, [name])
    value = people[name].cast(MONEY)
    sums = {"total": value.sum(), "squares": (value * value.cast(WIDE_MONEY)).sum()}
    told = people.agg(
        n=people.count(), **{name: sum_.cast("float64") for name, sum_ in sums.items()}
    )
    n, total, squares = (float(v or 0) for v in told.to_pyarrow().to_pylist()[0].values())
    if n < 2:
        return Total(total / n if n else np.nan, np.nan, np.nan)
    mean = total / n
    half = Z * (max(squares - n * mean**2, 0) / (n * (n - 1))) ** 0.5
    return Total(mean, mean - half, mean + half)
