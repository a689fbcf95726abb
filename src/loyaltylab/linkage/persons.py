"""Persons: of all that systems say about somebody, what is taken to hold. Grain out: one person.

The golden record of a person has for each field the value that survives by the field's rule, with the
record that it is from. Of two records the one used more recently counts as the more recent, and so does
one whose date is known; of two used at the same time the first by source and record_id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

_RECORD = ["source", "record_id"]
_EXACT = dt.Decimal(18, 12)  # so that a mean is the same whatever order threads add it in
_FAR = 1 << 32  # above any number of records of one person

# A rule gives every value a score, whole numbers of which the highest survives and no two of a
# person's records share one. It sees the values of a field, and the ranks of `_ranked`.
Rule = Callable[[ir.Table, list[str]], ir.IntegerValue]


def most_recent(rows: ir.Table, columns: list[str]) -> ir.IntegerValue:
    """The value of the most recently used record that has one."""
    return -rows["recency"]


def earliest(rows: ir.Table, columns: list[str]) -> ir.IntegerValue:
    """The value of the record that was made first, of those that have one."""
    return -rows["seniority"]


def most_agreed(rows: ir.Table, columns: list[str]) -> ir.IntegerValue:
    """The value that most records have, letter by letter; of several the most recent."""
    same = ibis.window(group_by=["person_id", *columns])
    return rows.count().over(same) * _FAR - rows["recency"]


def most_recent_whole(rows: ir.Table, columns: list[str]) -> ir.IntegerValue:
    """An address as it stands in one record: the most recent that has street and postcode, or else
    the most recent that has any part. Parts of two addresses make one where nobody lives."""
    whole = rows["street"].notnull() & rows["postcode"].notnull()
    return whole.ifelse(_FAR, 0) - rows["recency"]


@dataclass(frozen=True)
class Field:
    """columns of customers that survive together, by a rule."""

    columns: tuple[str, ...]
    rule: Rule


# Slips of typing are single, so names and birth dates go by the majority; what people change goes by
# what was used last; how somebody was won is what the first record says.
FIELDS: Mapping[str, Field] = {
    "given_name": Field(("given_name",), most_agreed),
    "family_name": Field(("family_name",), most_agreed),
    "email": Field(("email",), most_recent),
    "phone": Field(("phone",), most_recent),
    "birth_date": Field(("birth_date",), most_agreed),
    "address": Field(("street", "postcode", "city", "country"), most_recent_whole),
    "loyalty_member": Field(("loyalty_member",), most_recent),
    "acquired_through": Field(("acquired_through",), earliest),
    "customer_type": Field(("customer_type",), most_recent),
}


def golden(customers: ir.Table, assigned: ir.Table, used: ir.Table) -> ir.Table:
    """What is known of each person. Grain: one person of `assigned`.

    assigned : one row a record; source, record_id, person_id, confidence. used : one row a record, of
    those that were; source, record_id, used_at (its last order, case, answer or visit).
    Returns person_id; the columns of FIELDS, missing where no record has a value; for each field
    <field>_source (the system that it is from) and <field>_at (when that record was last used or, if
    it was not since, made; missing if neither is known); records, systems; confidence (mean over the
    records); first_seen, last_seen (the earliest and latest of being made and used; missing if neither
    is known); consent_analytics, consent_marketing: no if any record says no, as who withdraws consent
    in one system withdraws it, yes if one says yes and none no, missing if none says.
    """
    rows = _ranked(_joined(customers, assigned, used))
    scores = {name: field.rule(rows, list(field.columns)) for name, field in FIELDS.items()}
    rows = rows.mutate(**{f"_{name}": score for name, score in scores.items()})
    survivors = {name: _survivor(rows, name, field) for name, field in FIELDS.items()}
    found = rows.group_by("person_id").agg(
        **survivors,
        records=rows.count(),
        systems=rows["source"].nunique(),
        confidence=rows["confidence"].cast(_EXACT).sum().cast("float64") / rows.count(),
        first_seen=rows["made_at"].min(),
        last_seen=rows["touched_at"].max(),
        consent_analytics=rows["consent_analytics"].all(),
        consent_marketing=rows["consent_marketing"].all(),
    )
    told: dict[str, ir.Value] = {}
    for name, field in FIELDS.items():
        told |= {column: found[name][column] for column in field.columns}
        told |= {f"{name}_source": found[name]["source"], f"{name}_at": found[name]["at"]}
    rest = [name for name in found.columns if name not in FIELDS and name != "person_id"]
    return found.select("person_id", **told, **{name: found[name] for name in rest})


def _joined(customers: ir.Table, assigned: ir.Table, used: ir.Table) -> ir.Table:
    """Grain: one record of `assigned`. Adds what customers say, made_at and touched_at."""
    records = customers.rename(_source="source", _record_id="record_id")
    uses = used.select(_used_source="source", _used_id="record_id", used_at="used_at")
    rows = assigned.left_join(
        records,
        [assigned["source"] == records["_source"], assigned["record_id"] == records["_record_id"]],
    )
    rows = rows.left_join(
        uses, [rows["source"] == uses["_used_source"], rows["record_id"] == uses["_used_id"]]
    )
    return rows.mutate(
        made_at=ibis.least(rows["registered_at"], rows["used_at"]),  # the one, without the other
        touched_at=ibis.greatest(rows["registered_at"], rows["used_at"]),
    )


def _ranked(rows: ir.Table) -> ir.Table:
    """Adds ranks within the person: recency (0 the last used), seniority (0 the first made)."""

    def rank(first: ir.Value) -> ir.IntegerValue:
        order = ibis.window(group_by="person_id", order_by=[first, *_RECORD])
        return ibis.row_number().over(order)

    return rows.mutate(
        recency=rank(ibis.desc(rows["touched_at"], nulls_first=False)),
        seniority=rank(ibis.asc(rows["made_at"], nulls_first=False)),
    )


def _survivor(rows: ir.Table, name: str, field: Field) -> ir.StructScalar:
    """The value of a field that survives, as a struct of its columns, source and at."""
    columns = list(field.columns)
    there = ibis.or_(*(rows[column].notnull() for column in columns))
    value = ibis.struct(
        {column: rows[column] for column in columns}
        | {"source": rows["source"], "at": rows["touched_at"]}
    )
    return value.argmax(rows[f"_{name}"], where=there)
