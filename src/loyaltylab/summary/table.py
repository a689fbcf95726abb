"""All numbers of a report as a table for spreadsheets. Grain: one number."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from loyaltylab.numbers import Number

COLUMNS = [field.name for field in fields(Number)]

# What spreadsheets take for the beginning of a formula; an apostrophe before it makes it a text.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def as_csv(records: Iterable[Mapping[str, Any]]) -> str:
    """The records of a numbers.json as CSV in RFC 4180, a column a field; what is missing is empty.

    A text that a spreadsheet would compute stands behind an apostrophe; numbers stay numbers.
    """
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(COLUMNS)
    writer.writerows([[_harmless(record.get(name)) for name in COLUMNS] for record in records])
    return table.getvalue()


def _harmless(value: Any) -> Any:
    beginning = isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA)
    return f"'{value}" if beginning else value
