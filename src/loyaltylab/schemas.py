"""The canonical tables and their rules, declared with pandera; `validation.rules` compiles them.

A check with raise_warning=True notes a row and accepts it; any other puts the row aside. What a
declaration cannot say in pandera's own words stands in `metadata`: a column's {"may_lack": True}
(to be empty says something, such as not answered yet) and a table's {"references": [Reference]}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandera.ibis as pa

from loyaltylab import reasons

MONEY = dt.Decimal(18, 4)  # exact, so that a sum is the same whatever order threads add it in
# One factor of a product of money: of two with 18 digits DuckDB makes one of 18, too few for 100,000².
WIDE_MONEY = dt.Decimal(19, 4)
# What a customer brings in all, of orders that may each use all digits of money.
TOTAL_MONEY = dt.Decimal(28, 4)
NUMBER = dt.Float64()
WHOLE = dt.Int64()
TEXT = dt.String()
TIME = dt.Timestamp()
FLAG = dt.Boolean()

# Before or after these a date is a default of some system (1900-01-01, 9999-12-31), not an event.
EARLIEST, LATEST = "1950-01-01", "2099-12-31"
BORN_EARLIEST = "1900-01-01"


class Reference(NamedTuple):
    """columns of a row must be those of some row of another table, its own `columns` there.

    within : the first of them must be known there at all for the rule to say something; customers
    of a system that exports no customers are not missing from it.
    """

    columns: tuple[str, ...]
    table: str
    words: str
    within: bool = False
    note: bool = False


def _column(
    dtype: dt.DataType, *checks: pa.Check, required: bool = False, may_lack: bool = False
) -> pa.Column:
    return pa.Column(
        dtype,
        list(checks),
        nullable=not required,
        required=required,
        metadata={"may_lack": may_lack} if may_lack else None,
    )


def _happened(*, required: bool = True, may_lack: bool = False) -> pa.Column:
    sane = (pa.Check.ge(EARLIEST), pa.Check.le(LATEST))
    return _column(TIME, *sane, required=required, may_lack=may_lack)


def _said(words: str, is_so: Any) -> pa.Check:
    """A check of whole rows; words say what is wrong with those that fail, a column first."""
    return pa.Check(lambda data: is_so(data.table), name=words)


def _not_before(later: str, earlier: str) -> pa.Check:
    return _said(
        reasons.of(later, reasons.BEFORE, bound=earlier), lambda row: row[later] >= row[earlier]
    )


def _at_most(less: str, more: str) -> pa.Check:
    return _said(reasons.of(less, reasons.ABOVE, bound=more), lambda row: row[less] <= row[more])


def _of_column(words: str, is_so: Any, *, note: bool = False) -> pa.Check:
    """A check of one column by our own condition; words say what is wrong with it."""
    return pa.Check(lambda data: is_so(data.table[data.key]), name=words, raise_warning=note)


_NOT_NEGATIVE = pa.Check.ge(0)

# A tag, or a letter written as HTML writes it. "<3" is neither.
_HTML = r"<[A-Za-z/!][^>]*>?|&(#[0-9]+|[A-Za-z]+);"
# What a spreadsheet computes on opening (CWE-1236): these signs first, with something behind them.
_FORMULA = r"^[=+@-]."
# U+FFFD stands where a letter was lost; the private area where a font was meant to help.
_LOST = "\ufffd"
_ADDRESS = r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$"


def _name(*, may_lack: bool = False) -> pa.Column:
    """What people read as a name of a person or place: one line of plain text."""
    return _column(
        TEXT,
        _of_column(reasons.HTML, lambda text: ~text.re_search(_HTML)),
        _of_column(reasons.FORMULA, lambda text: ~text.re_search(_FORMULA)),
        _of_column(reasons.LOST_LETTERS, lambda text: ~text.contains(_LOST)),
        may_lack=may_lack,
    )


_RECORD = {"source": _column(TEXT, required=True), "record_id": _column(TEXT, required=True)}
_OF_CUSTOMER = Reference(
    ("source", "record_id"),
    "customers",
    reasons.of("record_id", reasons.NO_CUSTOMER),
    within=True,
    note=True,
)

# Each instrument's lowest and highest answer.
SCALES = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7)}


def _on_scale(row: ir.Table) -> ir.BooleanValue:
    scales = (
        (row["instrument"] == name, row["score"].between(*ends)) for name, ends in SCALES.items()
    )
    return ibis.cases(*scales, else_=ibis.null("boolean"))


TABLES: Mapping[str, pa.DataFrameSchema] = {
    "orders": pa.DataFrameSchema(
        {
            "order_id": _column(TEXT),
            **_RECORD,
            "ordered_at": _happened(),
            "amount": _column(MONEY, required=True),
            "currency": _column(TEXT),
            "margin": _column(MONEY),
            "channel": _column(TEXT),
            "status": _column(TEXT),
            "returned_amount": _column(MONEY, _NOT_NEGATIVE, may_lack=True),
            "voucher": _column(TEXT, may_lack=True),
        },
        checks=[
            _said(
                reasons.of("returned_amount", reasons.ABOVE, bound="amount"),
                lambda row: (row["returned_amount"] <= row["amount"]) | (row["amount"] < 0),
            ),
            _said(
                reasons.of("margin", reasons.ABOVE, bound="amount"),
                lambda row: (row["margin"] <= row["amount"]) | (row["amount"] < 0),
            ),
        ],
        unique=["source", "order_id"],
        metadata={"references": [_OF_CUSTOMER]},
    ),
    "order_lines": pa.DataFrameSchema(
        {
            "order_id": _column(TEXT, required=True),
            "product_id": _column(TEXT, required=True),
            "category": _column(TEXT),
            "quantity": _column(NUMBER, pa.Check.ne(0), required=True),
            "unit_price": _column(MONEY, _NOT_NEGATIVE, required=True),
        },
        metadata={
            "references": [
                Reference(("order_id",), "orders", reasons.of("order_id", reasons.NO_ORDER))
            ]
        },
    ),
    "customers": pa.DataFrameSchema(
        {
            **_RECORD,
            "given_name": _name(),
            "family_name": _name(),
            "email": _column(
                TEXT,
                _of_column(reasons.NO_ADDRESS, lambda text: text.re_search(_ADDRESS), note=True),
            ),
            "phone": _column(
                TEXT,
                _of_column(
                    reasons.NO_PHONE,
                    lambda text: text.re_search(r"^\+[1-9][0-9]{6,14}$"),
                    note=True,
                ),
            ),
            "birth_date": _column(TIME, pa.Check.ge(BORN_EARLIEST), pa.Check.le(LATEST)),
            "street": _name(),
            "postcode": _column(TEXT),
            "city": _name(),
            "country": _column(TEXT),
            "registered_at": _happened(required=False),
            "acquired_through": _column(TEXT),
            "customer_type": _column(TEXT),
            "referred_by": _column(TEXT, may_lack=True),
            "loyalty_member": _column(FLAG),
            "consent_analytics": _column(FLAG),
            "consent_marketing": _column(FLAG),
        },
        checks=[_not_before("registered_at", "birth_date")],
        unique=["source", "record_id"],
    ),
    "surveys": pa.DataFrameSchema(
        {
            "response_id": _column(TEXT, required=True),
            **_RECORD,
            "instrument": _column(TEXT, pa.Check.isin(list(SCALES)), required=True),
            "touchpoint": _column(TEXT),
            "sent_at": _happened(),
            "answered_at": _happened(required=False, may_lack=True),
            "score": _column(NUMBER, may_lack=True),
            "comment": _column(TEXT, may_lack=True),
        },
        checks=[
            _not_before("answered_at", "sent_at"),
            _said(reasons.of("score", reasons.OFF_SCALE), _on_scale),
        ],
        unique=["source", "response_id"],
        metadata={"references": [_OF_CUSTOMER]},
    ),
    "tickets": pa.DataFrameSchema(
        {
            "ticket_id": _column(TEXT, required=True),
            **_RECORD,
            "opened_at": _happened(),
            "first_reply_at": _happened(required=False, may_lack=True),
            "resolved_at": _happened(required=False, may_lack=True),
            "reopened": _column(FLAG),
            "channel": _column(TEXT),
            "topic": _column(TEXT),
            "text": _column(TEXT),
        },
        checks=[
            _not_before("first_reply_at", "opened_at"),
            _not_before("resolved_at", "opened_at"),
        ],
        unique=["source", "ticket_id"],
        metadata={"references": [_OF_CUSTOMER]},
    ),
    "visits": pa.DataFrameSchema(
        {
            "visit_id": _column(TEXT, required=True),
            "device_id": _column(TEXT, required=True),
            "source": _column(TEXT, required=True),
            "record_id": _column(TEXT, may_lack=True),
            "started_at": _happened(),
            "seconds": _column(NUMBER, _NOT_NEGATIVE),
            "stage": _column(TEXT, pa.Check.isin(["view", "cart", "checkout", "purchase"])),
            "interest": _column(TEXT, may_lack=True),
            "channel": _column(TEXT),
            "device": _column(TEXT),
            "cart_value": _column(MONEY, _NOT_NEGATIVE, may_lack=True),
        },
        unique=["source", "visit_id"],
        metadata={"references": [_OF_CUSTOMER]},
    ),
    "contracts": pa.DataFrameSchema(
        {
            "contract_id": _column(TEXT, required=True),
            **_RECORD,
            "began_at": _happened(),
            "ended_at": _happened(required=False, may_lack=True),
        },
        checks=[_not_before("ended_at", "began_at")],
        unique=["source", "contract_id"],
        metadata={"references": [_OF_CUSTOMER]},
    ),
    "campaigns": pa.DataFrameSchema(
        {
            "campaign_id": _column(TEXT, required=True),
            **_RECORD,
            "arm": _column(TEXT, pa.Check.isin(["treated", "holdout"]), required=True),
            "started_at": _happened(),
            "ended_at": _happened(required=False, may_lack=True),
            "channel": _column(TEXT),
            "cost": _column(MONEY, _NOT_NEGATIVE),
        },
        checks=[_not_before("ended_at", "started_at")],
        unique=["campaign_id", "source", "record_id"],
        metadata={"references": [_OF_CUSTOMER]},
    ),
    "spend": pa.DataFrameSchema(
        {
            "date": _happened(),
            "channel": _column(TEXT, required=True),
            "amount": _column(MONEY, _NOT_NEGATIVE, required=True),
            "impressions": _column(WHOLE, _NOT_NEGATIVE),
            "clicks": _column(WHOLE, _NOT_NEGATIVE),
        },
        checks=[_at_most("clicks", "impressions")],
    ),
    "feedback": pa.DataFrameSchema(
        {
            "feedback_id": _column(TEXT, required=True),
            "platform": _column(TEXT, required=True),
            "posted_at": _happened(),
            "rating": _column(NUMBER),
            "text": _column(TEXT, may_lack=True),
        },
        unique=["platform", "feedback_id"],
    ),
    "erasures": pa.DataFrameSchema(
        {**_RECORD, "requested_at": _happened()}, metadata={"references": [_OF_CUSTOMER]}
    ),
}

# What rows of other tables may refer to: table → its columns. Tables are checked in this order, before
# all others; so a row refers to a table further up.
REFERRED: Mapping[str, tuple[str, ...]] = {
    "customers": ("source", "record_id"),
    "orders": ("source", "record_id", "order_id"),
}

# When a row of the table happened; order_lines has no time of its own.
MAIN_TIME: Mapping[str, str] = {
    "orders": "ordered_at",
    "customers": "registered_at",
    "surveys": "sent_at",
    "tickets": "opened_at",
    "visits": "started_at",
    "contracts": "began_at",
    "campaigns": "started_at",
    "spend": "date",
    "feedback": "posted_at",
    "erasures": "requested_at",
}

# What a customer allows or refuses.
CONSENTS = ("consent_analytics", "consent_marketing")

# Texts of several lines, in which HTML, line ends and the like are what somebody wrote.
FREE_TEXTS = frozenset({"comment", "text"})


def column_types(table: str) -> dict[str, dt.DataType]:
    """The table's columns in order, each with its type in the engine."""
    return {name: column.dtype.type for name, column in TABLES[table].columns.items()}


def required_columns(table: str) -> list[str]:
    return [name for name, column in TABLES[table].columns.items() if column.required]


def may_lack(table: str, column: str) -> bool:
    """Whether an empty cell of the column says something, rather than that a value is missing."""
    return bool((TABLES[table].columns[column].metadata or {}).get("may_lack"))


def references(schema: pa.DataFrameSchema) -> list[Reference]:
    return (schema.metadata or {}).get("references", [])


def unreadable(name: str, dtype: dt.DataType) -> str:
    """The reason given where a raw value is no value of its column's type."""
    words = {
        "Timestamp": reasons.NOT_A_DATE,
        "Boolean": reasons.NOT_A_FLAG,
        "Int64": reasons.NOT_WHOLE,
    }
    return reasons.of(name, words.get(type(dtype).__name__, reasons.NOT_A_NUMBER))
