"""What is to come: a forecast for each kind of customer, and what it says in total."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab import engine
from loyaltylab.anonymity import grouped
from loyaltylab.cells import blanked
from loyaltylab.files import write_text, written_whole
from loyaltylab.language import filled, phrase
from loyaltylab.lifetime_value.evaluation import FREQUENT
from loyaltylab.lifetime_value.history import DAYS, HISTORY, alike_by, tally
from loyaltylab.lifetime_value.models import Combined, OrderModel, distinct_histories, in_parts
from loyaltylab.lifetime_value.spend import GammaGamma

LIKELY = 0.8  # of an interval for one customer
_OR_MORE = "{count} or more"


def forecast(
    people: ir.Table,
    orders: OrderModel | Combined,
    spend: GammaGamma,
    *,
    weeks: int,
    likely: float = LIKELY,
    step: int = 1,
) -> pd.DataFrame:
    """What the next `weeks` weeks bring, a row for equal customers.

    step : days in which their time is counted, see `history.alike_by`.
    Returns frequency, recency, age, repeat_spend, customers, and of one such customer: alive
    (probability of not having stopped), will_order (probability of ordering), orders (order days
    expected), orders_low and orders_high (between which they lie with the probability `likely`, as the
    model has it), value (money expected: orders × spend an order day; revenue, not discounted).
    """
    groups = tally(alike_by(people, step), *HISTORY, "repeat_spend")
    distinct, of = distinct_histories(groups)
    tail = (1 - likely) / 2

    def told(some: pd.DataFrame) -> np.ndarray:
        expected = orders.expected_orders(some, weeks)
        chances = orders.at_least(some, weeks, int(np.ceil(5 * expected.max())) + 20)
        low, high = ((chances > share).sum(axis=1) for share in (1 - tail, tail))
        return np.column_stack([orders.alive(some), chances[:, 0], expected, low, high])

    alive, will_order, expected, low, high = in_parts(told, distinct)[of].T
    return groups.assign(
        alive=alive,
        will_order=will_order,
        orders=expected,
        orders_low=low.astype(int),
        orders_high=high.astype(int),
        value=expected * spend.expected_spend(groups),
    )


def of_each(con: Any, people: ir.Table, expected: pd.DataFrame, *, step: int = 1) -> ir.Table:
    """`forecast` of each person, the most valuable first. Grain: one person of `people`.

    person_id, frequency, recency, age, alive, will_order, orders, orders_low, orders_high, value,
    at_risk (came back before, and more probably gone than not).
    """
    told = ["alive", "will_order", "orders", "orders_low", "orders_high", "value"]
    keys = [*HISTORY, "repeat_spend"]
    known = engine.keep(con, ibis.memtable(expected[[*keys, *told]].round({"value": 4})), "told")
    own = people.mutate(
        repeat_spend=people["repeat_spend"].cast("float64"),
        **{f"own_{name}": people[name] for name in HISTORY},
    )
    joined = alike_by(own, step).join(known, keys)
    at_risk = (joined["own_frequency"] > 0) & (joined["alive"] < 1 / 2)
    history = {name: joined[f"own_{name}"] for name in HISTORY}
    found = joined.select("person_id", **history, **{n: joined[n] for n in told}, at_risk=at_risk)
    return found.order_by(ibis.desc("value"), "person_id")


# What others than the company may know of somebody on the list.
FACTS = ["value", *HISTORY]


def write_forecasts(
    con: Any, each: ir.Table, results: Path, download: Path, *, top: int, minimum: int = 1
) -> int:
    """Write all of `of_each` as Parquet, and the `top` most valuable as CSV for download, with keyed
    person ids alone; how many the download has. What the download tells of each is what `minimum` of
    them or more have in common, see `anonymity.grouped`."""
    with written_whole(results) as part:
        con.to_parquet(each, part)
    rows = each.limit(top).to_pandas()
    digits = {"alive": 3, "will_order": 3, "orders": 2, "value": 2}
    told = ["alive", "will_order", "orders", "orders_low", "orders_high"]
    rows = grouped(rows.round(digits), FACTS, k=minimum, of_these=told)
    rows = rows.sort_values(["value", "person_id"], ascending=[False, True])
    write_text(download, rows.to_csv(index=False, lineterminator="\n"))
    return len(rows)


def value_by_frequency(expected: pd.DataFrame, *, minimum: int = 1) -> pd.DataFrame:
    """`forecast` by repeat orders so far, customers with FREQUENT or more together.

    Returns frequency, customers, share_of_customers, and of one such customer alive, will_order,
    orders, value; share_of_value. Missing where it tells of fewer than `minimum` customers.
    """
    columns = ["alive", "will_order", "orders", "value"]
    total = expected[columns].mul(expected.customers, axis=0).assign(customers=expected.customers)
    table = total.groupby(expected.frequency.clip(upper=FREQUENT)).sum()
    each = (
        table[columns]
        .div(table.customers, axis=0)
        .assign(
            customers=table.customers,
            share_of_customers=table.customers / table.customers.sum(),
            share_of_value=table.value / table.value.sum(),
        )
        .reset_index()
    )
    told = [*columns, "share_of_customers", "share_of_value"]
    return blanked(each, "customers", told, minimum=minimum, whole=True)


def concentration(expected: pd.DataFrame) -> pd.DataFrame:
    """Who the forecast value comes from: customers ranked by expected value, in tenths.

    Returns decile (1 is the most valuable tenth), share and share_up_to (of the total value).
    """
    ranked = expected.sort_values("value", ascending=False, kind="stable")
    across = np.concatenate([[0], ranked.customers.cumsum() / ranked.customers.sum()])
    total = ranked.value * ranked.customers
    up = np.concatenate([[0], total.cumsum() / total.sum()])
    share_up_to = np.interp(np.arange(1, 11) / 10, across, up)
    return pd.DataFrame(
        {
            "decile": np.arange(1, 11),
            "share": np.diff(share_up_to, prepend=0),
            "share_up_to": share_up_to,
        }
    )


def silence(
    model: OrderModel | Combined, *, age: int, frequencies: Sequence[int] = (1, 3, 7)
) -> pd.DataFrame:
    """How silence speaks: probability that a customer is still active, by weeks without an order,
    up to a year of them.

    age : days since the first order of the customers shown, the same for all of them.
    Returns frequency (repeat orders), weeks (since the last order), alive.
    """
    weeks = np.arange(min(age // DAYS, 53))
    table = pd.DataFrame(
        [(x, w, age - DAYS * w, age) for x in frequencies for w in weeks],
        columns=["frequency", "weeks", "recency", "age"],
    )
    return table.assign(alive=model.alive(table))[["frequency", "weeks", "alive"]]


def repeat_names(frequencies: Iterable[int]) -> list[str]:
    """Numbers of repeat orders as labels, "7 or more" for those shown together."""
    return [
        phrase(_OR_MORE, count=f"{x:.0f}") if x == FREQUENT else filled("{:.0f}", x)
        for x in frequencies
    ]


def class_of(count: int) -> str:
    """The class of those with `count` repeat orders or more: "7 or more"; always in English."""
    return _OR_MORE.format(count=count)


def class_names(classes: Iterable[str]) -> list[str]:
    """Classes of repeat orders, "3" or one of `class_of`, in the language in use."""
    parts = (name.partition(" ") for name in classes)
    return [phrase(_OR_MORE, count=count) if more else count for count, _, more in parts]
