"""All numbers of a report as a table for spreadsheets. Grain: one number."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from loyaltylab.numbers import Number
from loyaltylab.spreadsheets import cell

COLUMNS = [field.name for field in fields(Number)]


def as_csv(records: Iterable[Mapping[str, Any]]) -> str:
    """The records of a numbers.json as CSV in RFC 4180, a column a field; what is missing is empty.

    No text is a formula, see `spreadsheets`; numbers stay numbers.
    """
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(COLUMNS)
    writer.writerows([[cell(record.get(name)) for name in COLUMNS] for record in records])
    return table.getvalue()
