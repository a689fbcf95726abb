"""Fields: what a customer record says of its owner, in the form in which records are compared.

Grain in and out: one customer record.
"""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from loyaltylab import engine

# How keyboards without them write these letters (DIN 5007-2, and what Danes and Norwegians do).
_TRANSCRIBED = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "ø": "oe", "æ": "ae"}

COMPARED = (
    "given_name", "family_name", "email", "phone", "birth_date", "street", "postcode", "city",
)  # fmt: skip


def fold(con: Any, text: ir.StringValue) -> ir.StringValue:
    """Small plain letters and digits alone; missing if none is left. Müller and Mueller agree."""
    text = engine.lowercase(text)
    for letter, written in _TRANSCRIBED.items():
        text = text.replace(letter, written)
    text = engine.without_accents(con, text)
    return text.re_replace(r"[^\p{L}\p{N}]", "").nullif("")


def mark(con: Any, customers: ir.Table) -> ir.IntegerValue:
    """A hash of all that is compared, by which a record that says something else is known."""
    return engine.hashed(con, ibis.struct({name: customers[name] for name in COMPARED}))


def fields(con: Any, customers: ir.Table, *, first: int = 0) -> ir.Table:
    """Adds to source and record_id: record (a number from `first`, in their order), mark, and as
    text, missing where there is nothing to compare: given, family, email, local (what stands before
    the @), phone (digits), birth (2024-12-31), street, postcode, city. Kept in the engine.
    """
    number = ibis.row_number().over(order_by=["source", "record_id"]) + first
    email = engine.lowercase(customers["email"]).nullif("")
    folded = customers.select(
        "source",
        "record_id",
        record=number,
        mark=mark(con, customers),
        given=fold(con, customers["given_name"]),
        family=fold(con, customers["family_name"]),
        email=email,
        local=fold(con, email.split("@")[0]),
        phone=customers["phone"].re_replace("[^0-9]", "").nullif(""),
        birth=customers["birth_date"].strftime("%Y-%m-%d"),
        **{name: fold(con, customers[name]) for name in ("street", "postcode", "city")},
    )
    return engine.keep(con, folded, "fields")
