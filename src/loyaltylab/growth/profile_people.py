"""What is known of customers when they first order, and what they bring after it. Grain out: one person.

Nothing that was known later is among the traits: what systems say is taken from records that were
there by then, and the device from visits that were signed in by then.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab import engine
from loyaltylab.engine import lot, lowercase
from loyaltylab.schemas import TOTAL_MONEY
from loyaltylab.traits import traits
from loyaltylab.value import earned

UNKNOWN = ""  # a trait that nothing tells
# What records say: column of customers → the trait that is made of it.
OF_RECORDS = {
    "customer_type": "customer_type",
    "acquired_through": "won_through",
    "country": "country",
    "birth_date": "age",
    "referred_by": "referred",
}
_WORDS = ("customer_type", "acquired_through")  # of which small and capital letters are one
_RECORD = ["source", "record_id"]
# Years from which on somebody is of an age.
AGES = {
    0: "under 25",
    25: "25 to 34",
    35: "35 to 44",
    45: "45 to 54",
    55: "55 to 64",
    65: "65 or older",
}
_YEAR = 365.25


def opening(orders: ir.Table, firsts: ir.Table) -> ir.Table:
    """The order that each person began with, and what it says. Grain: one person.

    orders : with person_id; firsts : `Lab.first_orders`. Returns person_id, first (its day), source,
    record_id, order_id, ordered_at, amount, channel and voucher.
    """
    began = orders.semi_join(firsts, ["person_id", "source", "order_id"])
    told = [*_RECORD, "order_id", "ordered_at", "amount", "channel", "voucher"]
    return began.select("person_id", *told, first=began["ordered_at"].date())


def said(
    firsts: ir.Table,
    customers: ir.Table,
    records: ir.Table,
    columns: Collection[str],
    *,
    protected: Collection[str] = (),
) -> ir.Table:
    """What records said of each person at the first order. Grain: one person of whom a record is known.

    firsts : `opening`; records : `Lab.records`. A record counts if it ordered then, or was made by
    then; of several that have a value the one that ordered, or else the earliest. Returns person_id
    and the columns of customers asked for (a birth date as age, by years at the first order), missing
    where none says; none of them is among the `protected`, nor is when a record was made looked at if
    that is.
    """
    columns = [name for name in columns if name not in protected]
    # What may not be used is left behind before anything is computed.
    made = ibis.null("timestamp") if "registered_at" in protected else customers["registered_at"]
    rows = customers.select(*_RECORD, *columns, _made=made)
    rows = rows.join(records.select(*_RECORD, "person_id"), _RECORD)
    began = firsts.select("person_id", "first", own="source", own_id="record_id")
    rows = rows.join(began, "person_id")
    own = (rows["source"] == rows["own"]) & (rows["record_id"] == rows["own_id"])
    known = rows.filter(own | (rows["_made"].date() <= rows["first"]).fill_null(False))
    own = (known["source"] == known["own"]) & (known["record_id"] == known["own_id"])
    order = [own.ifelse(0, 1), "_made", *_RECORD]
    known = known.mutate(place=ibis.row_number().over(group_by="person_id", order_by=order))
    values = {name: _value(known, name) for name in columns}
    found = known.mutate(**values)
    return found.group_by("person_id").agg(
        **{
            name: found[name].argmin(found["place"], where=found[name].notnull())
            for name in columns
        }
    )


def _value(rows: ir.Table, column: str) -> ir.StringValue:
    """A column of customers as the trait that is made of it."""
    if column == "birth_date":
        days = rows["first"].delta(rows["birth_date"].date(), unit="day")
        told = [(days >= round(_YEAR * years), name) for years, name in AGES.items()]
        return ibis.cases(*reversed(told), else_=ibis.null("string"))
    if column == "referred_by":
        return rows[column].notnull().ifelse("yes", "no")
    if column in _WORDS:
        return _plain(rows[column])
    return rows[column].cast("string").strip().nullif("")


def _plain(text: ir.StringValue) -> ir.StringValue:
    return lowercase(text.strip()).nullif("")


def followed(
    orders: ir.Table, firsts: ir.Table, *, days: int, until: dt.date, rates: dict[str, Any]
) -> ir.Table:
    """What each person brought after the day of the first order, up to so many days after it: person_id,
    value (money, a decimal). Who brought nothing is not there.

    rates : what `value.earned` takes besides.
    """
    dated = orders.join(firsts.select("person_id", "first"), "person_id")
    since = dated["ordered_at"].date().delta(dated["first"], unit="day")
    later = dated.filter((since > 0) & (since <= days))
    return earned(later, until=until, **rates).rename(value="gain")


def people(
    con: Any,
    firsts: ir.Table,
    *,
    told: ir.Table | None,
    lines: ir.Table | None,
    visits: ir.Table | None,
    gains: ir.Table,
    days: int,
    until: dt.date,
) -> ir.Table:
    """Each customer's traits and value. Grain: one person of `firsts`, kept in the engine.

    told : `said`; lines : order_lines; visits : with person_id; each None where the dataset lacks it.
    gains : `followed`. Returns person_id, first (day), amount (of the first order), value (money of the
    days after it, 0 if nothing came), old_enough (whether all of these days were observed), and the
    traits as texts, UNKNOWN where nothing tells: category, channel, checkout, voucher, weekday, hour,
    season, device and those of `said`.
    """
    at = firsts["ordered_at"]
    found: dict[str, ir.Value] = {
        "channel": _plain(firsts["channel"]),
        "checkout": firsts["source"],
        "voucher": _plain(firsts["voucher"]).notnull().ifelse("yes", "no"),
        "weekday": (at.day_of_week.index() < 5).ifelse("Monday to Friday", "Saturday or Sunday"),
        "hour": _part(at.hour(), (0, 6, 12, 18), ("night", "morning", "afternoon", "evening")),
        "season": _part(at.month() % 12, (0, 3, 6, 9), ("winter", "spring", "summer", "autumn")),
    }
    table = firsts.select("person_id", "first", amount=firsts["amount"].cast("float64"), **found)
    if lines is not None:
        index = firsts.mutate(person_index=ibis.literal(0, "int64"))
        category = traits(index, lines=lines).select("person_id", "category")
        table = _joined(table, category, category=_plain(category["category"]))
    if visits is not None:
        seen = _first_visits(firsts, visits)
        table = _joined(table, seen, device=_plain(seen["device"]))
    if told is not None:
        names = [name for name in told.columns if name != "person_id"]
        table = _joined(table, told, **{OF_RECORDS[name]: told[name] for name in names})
    table = _joined(table, gains, value=gains["value"])
    own = [name for name in table.columns if name not in ("person_id", "first", "amount", "value")]
    table = table.mutate(
        value=table["value"].fill_null(0).cast(TOTAL_MONEY),
        old_enough=table["first"] <= until - dt.timedelta(days=days),
        **{name: table[name].fill_null(UNKNOWN) for name in own},
    )
    return engine.keep(con, table, "profiled")


def _part(number: ir.IntegerValue, starts: Sequence[int], names: Sequence[str]) -> ir.StringValue:
    told = [(number >= start, name) for start, name in zip(starts, names, strict=True)]
    return ibis.cases(*reversed(told))


def _joined(table: ir.Table, other: ir.Table, **columns: ir.Value) -> ir.Table:
    more = other.select("person_id", **columns)
    return table.left_join(more, "person_id").drop("person_id_right")


def _first_visits(firsts: ir.Table, visits: ir.Table) -> ir.Table:
    """person_id, device: of the earliest visit that was signed in, up to the day of the first order."""
    dated = visits.join(firsts.select("person_id", "first"), "person_id")
    known = dated.filter((dated["started_at"].date() <= dated["first"]) & dated["device"].notnull())
    order = ["started_at", "device"]
    known = known.mutate(place=ibis.row_number().over(group_by="person_id", order_by=order))
    return known.filter(known["place"] == 0).select("person_id", "device")


def learned_from(table: ir.Table, *, seed: int, most: int) -> pd.DataFrame:
    """Customers of `people` who are old enough, at most so many, without their numbers.

    Those of the lowest lots, in the order of what is known of them: the same for the same seed,
    whatever order they stand in.
    """
    old = table.filter(table["old_enough"])
    drawn = old.mutate(drawn=lot(old["person_id"], seed=seed), value=old["value"].cast("float64"))
    rows = drawn.order_by("drawn", "person_id").limit(most).drop("drawn", "person_id", "old_enough")
    found = rows.to_pandas().astype({"first": "datetime64[s]"})
    return found.sort_values(["first", *(c for c in found if c != "first")], ignore_index=True)
