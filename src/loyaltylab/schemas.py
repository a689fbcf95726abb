"""The canonical tables and their rules, declared with pandera, compiled into one query.

pandera's own Ibis backend cannot say which row fails for which reason; `reasons` can: it turns a
declaration into one expression that gives each row the list of rules it breaks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandera.ibis as pa

from loyaltylab.errors import LabError

MONEY = dt.Decimal(18, 4)  # exact, so that a sum is the same whatever order threads add it in
NUMBER = dt.Float64()
WHOLE = dt.Int64()
TEXT = dt.String()
TIME = dt.Timestamp()
FLAG = dt.Boolean()

# Before this a date is a default of some system (1900-01-01 and the like) rather than an event.
EARLIEST = "1950-01-01"


def _required(dtype: dt.DataType, *checks: pa.Check) -> pa.Column:
    return pa.Column(dtype, list(checks), nullable=False, required=True)


def _optional(dtype: dt.DataType, *checks: pa.Check) -> pa.Column:
    return pa.Column(dtype, list(checks), nullable=True, required=False)


def _happened(*, required: bool = True) -> pa.Column:
    return (_required if required else _optional)(TIME, pa.Check.ge(EARLIEST))


_NOT_NEGATIVE = pa.Check.ge(0)
_RECORD = {"source": _required(TEXT), "record_id": _required(TEXT)}

TABLES: Mapping[str, pa.DataFrameSchema] = {
    "orders": pa.DataFrameSchema(
        {
            "order_id": _optional(TEXT),
            **_RECORD,
            "ordered_at": _happened(),
            "amount": _required(MONEY),
            "currency": _optional(TEXT),
            "margin": _optional(MONEY),
            "channel": _optional(TEXT),
            "status": _optional(TEXT),
            "returned_amount": _optional(MONEY, _NOT_NEGATIVE),
        },
        unique=["source", "order_id"],
    ),
    "order_lines": pa.DataFrameSchema(
        {
            "order_id": _required(TEXT),
            "product_id": _required(TEXT),
            "category": _optional(TEXT),
            "quantity": _required(NUMBER),
            "unit_price": _required(MONEY),
        }
    ),
    "customers": pa.DataFrameSchema(
        {
            **_RECORD,
            **{
                name: _optional(TEXT)
                for name in (
                    "given_name",
                    "family_name",
                    "email",
                    "phone",
                    "street",
                    "postcode",
                    "city",
                    "country",
                    "acquired_through",
                )
            },
            "birth_date": _optional(TIME),
            "registered_at": _happened(required=False),
            "loyalty_member": _optional(FLAG),
            "consent_analytics": _optional(FLAG),
            "consent_marketing": _optional(FLAG),
        },
        unique=["source", "record_id"],
    ),
    "surveys": pa.DataFrameSchema(
        {
            "response_id": _required(TEXT),
            **_RECORD,
            "instrument": _required(TEXT, pa.Check.isin(["nps", "csat", "ces"])),
            "touchpoint": _optional(TEXT),
            "sent_at": _happened(),
            "answered_at": _happened(required=False),
            "score": _optional(NUMBER, pa.Check.in_range(0, 10)),
            "comment": _optional(TEXT),
        },
        unique=["source", "response_id"],
    ),
    "tickets": pa.DataFrameSchema(
        {
            "ticket_id": _required(TEXT),
            **_RECORD,
            "opened_at": _happened(),
            "first_reply_at": _happened(required=False),
            "resolved_at": _happened(required=False),
            "reopened": _optional(FLAG),
            "channel": _optional(TEXT),
            "topic": _optional(TEXT),
            "text": _optional(TEXT),
        },
        unique=["source", "ticket_id"],
    ),
    "visits": pa.DataFrameSchema(
        {
            "visit_id": _required(TEXT),
            "device_id": _required(TEXT),
            "source": _required(TEXT),
            "record_id": _optional(TEXT),
            "started_at": _happened(),
            "seconds": _optional(NUMBER, _NOT_NEGATIVE),
            "stage": _optional(TEXT, pa.Check.isin(["view", "cart", "checkout", "purchase"])),
            "interest": _optional(TEXT),
        },
        unique=["source", "visit_id"],
    ),
    "spend": pa.DataFrameSchema(
        {
            "date": _happened(),
            "channel": _required(TEXT),
            "amount": _required(MONEY, _NOT_NEGATIVE),
            "impressions": _optional(WHOLE, _NOT_NEGATIVE),
            "clicks": _optional(WHOLE, _NOT_NEGATIVE),
        }
    ),
    "feedback": pa.DataFrameSchema(
        {
            "feedback_id": _required(TEXT),
            "platform": _required(TEXT),
            "posted_at": _happened(),
            "rating": _optional(NUMBER),
            "text": _optional(TEXT),
        },
        unique=["platform", "feedback_id"],
    ),
    "erasures": pa.DataFrameSchema({**_RECORD, "requested_at": _happened()}),
}

# When a row of the table happened; order_lines has no time of its own.
MAIN_TIME: Mapping[str, str] = {
    "orders": "ordered_at",
    "customers": "registered_at",
    "surveys": "sent_at",
    "tickets": "opened_at",
    "visits": "started_at",
    "spend": "date",
    "feedback": "posted_at",
    "erasures": "requested_at",
}


def column_types(table: str) -> dict[str, dt.DataType]:
    """The table's columns in order, each with its type in the engine."""
    return {name: column.dtype.type for name, column in TABLES[table].columns.items()}


def required_columns(table: str) -> list[str]:
    return [name for name, column in TABLES[table].columns.items() if column.required]


def _typed(column: ir.Column, bound: Any) -> ir.Value:
    return ibis.literal(bound).cast(column.type())


# A check → (the rule in words, the condition that a present value must meet), by pandera's name of
# the check and those of its statistics.
_Compiled = Callable[[ir.Column, Mapping[str, Any]], tuple[str, ir.BooleanValue]]
_CHECKS: dict[str, _Compiled] = {
    "greater_than_or_equal_to": lambda c, s: (
        f"is {'before' if c.type().is_timestamp() else 'below'} {s['min_value']}",
        c >= _typed(c, s["min_value"]),
    ),
    "in_range": lambda c, s: (
        f"is not within {s['min_value']} to {s['max_value']}",
        c.between(_typed(c, s["min_value"]), _typed(c, s["max_value"])),
    ),
    "isin": lambda c, s: (
        f"is none of {', '.join(s['allowed_values'])}",
        c.isin(s["allowed_values"]),
    ),
}


def _refuse_unknown(schema: pa.DataFrameSchema) -> None:
    """Raise LabError on what `reasons` would leave out of a declaration."""
    unknown = [f'check "{check.name}" of the whole table' for check in schema.checks]
    for name, column in schema.columns.items():
        if column.unique:
            unknown.append(f"unique=True of {name} (the table takes unique=[...])")
        for check in column.checks:
            whole = all(check.statistics.get(end, True) for end in ("include_min", "include_max"))
            if check.name not in _CHECKS or not whole or not check.ignore_na:
                unknown.append(f'check "{check.name}" of {name}, as it stands')
    if unknown:
        raise LabError(
            f"rules: {'; '.join(unknown)} cannot be compiled; expected checks that are one of "
            f"{', '.join(_CHECKS)}. Teach schemas the new one."
        )


def reasons(
    rows: ir.Table,
    schema: pa.DataFrameSchema,
    *,
    dataset_rules: Mapping[str, ir.BooleanValue] | None = None,
) -> ir.ArrayColumn:
    """The rules that each row breaks, in words. Grain in and out: one typed row.

    rows must have `_unreadable` (why raw values could not be typed, empty if all could) and `_order`
    (where the row stands in the files). dataset_rules : words → whether a row breaks what dataset.yml
    says of the table; missing counts as no. Of rows with one key, the first that breaks no other rule
    is right and the others break "appears again".
    Raises LabError on a pandera check that this compiler does not know, rather than ignore it.
    """
    _refuse_unknown(schema)
    broken: dict[str, ir.BooleanValue] = {}
    for name, declared in schema.columns.items():
        if not declared.nullable:
            unread = rows["_unreadable"].contains(unreadable(name, declared.dtype.type))
            broken[f"{name} is missing"] = rows[name].isnull() & ~unread
        for check in declared.checks:
            words, met = _CHECKS[check.name](rows[name], check.statistics)
            broken[f"{name} {words}"] = (~met).fill_null(False)
    for words, breaks in (dataset_rules or {}).items():
        broken[words] = breaks.fill_null(False)
    found = rows["_unreadable"].concat(where_true(broken))
    if not schema.unique:
        return found
    key = [rows[name] for name in schema.unique]
    best_first = [found.length() > 0, rows["_order"]]
    again = ibis.row_number().over(group_by=key, order_by=best_first) > 0
    again &= ibis.and_(*(column.notnull() for column in key))
    return found.concat(where_true({f"{schema.unique[-1]} appears again": again}))


def where_true(conditions: Mapping[str, ir.BooleanValue]) -> ir.ArrayColumn:
    """The keys whose condition is true in a row, as a list."""
    said = [is_so.ifelse(words, ibis.null("string")) for words, is_so in conditions.items()]
    return ibis.array(said).filter(lambda words: words.notnull())


def unreadable(name: str, dtype: dt.DataType) -> str:
    """The reason given where a raw value is no value of its column's type."""
    words = {"Timestamp": "a date", "Boolean": "a yes or no", "Int64": "a whole number"}
    return f"{name} is not {words.get(type(dtype).__name__, 'a number')}"
