"""What a run keeps of the accepted rows, for the next run to compare: totals, and nobody's values.

Grain in: one row of a canonical table. Kept are counts alone: by month, by category, by class of
size, of what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pandas as pd

from loyaltylab import schemas
from loyaltylab.files import write_json
from loyaltylab.validation.categories import category_columns, category_counts

VERSION = 1  # of what is kept; another one is not compared
RARE = 5  # rows; a category with fewer may be one person's, and is kept under OTHER
OTHER = "other"
PER_DECADE = 20  # classes of size from 1 to 10, each 12% wide; 1, 2, … 10 have one each
_NEAREST, _FARTHEST = -99, 400  # classes of the smallest and largest sizes told apart: 1e-5, 1e20


def snapshot(tables: Mapping[str, ir.Table]) -> dict[str, Any]:
    """name of a table → what is kept of its accepted rows; plain enough for JSON.

    rows; first and last (days as text, None without one) and months ("2024-01" → rows) of its main
    time, if it has one; missing (column → rows without a value); categories (column → category →
    rows, RARE ones together under OTHER; a column with too many values to be categories is left
    out); numbers (column → class of size → rows), for classes see `size_class`.
    """
    return {name: _table(rows, name) for name, rows in tables.items()}


def _table(rows: ir.Table, name: str) -> dict[str, Any]:
    figures: dict[str, Any] = {"rows": rows.count()}
    if name in schemas.MAIN_TIME:
        day = rows[schemas.MAIN_TIME[name]].date()
        figures |= {"first": day.min().cast("string"), "last": day.max().cast("string")}
    kept = _first(rows.aggregate(**figures))
    present = _first(rows.aggregate(**{c: rows[c].count() for c in rows.columns}))
    if name in schemas.MAIN_TIME:
        kept["months"] = _counts(rows, day.truncate("M"), lambda month: month.isoformat()[:7])
    kept["missing"] = {column: kept["rows"] - present[column] for column in rows.columns}
    kept["categories"] = {}
    for column in category_columns(rows):
        table = category_counts(rows, column)
        if table is not None and len(table):
            kept["categories"][column] = _pooled(table)
    numeric = [c for c, dtype in schemas.column_types(name).items() if dtype.is_numeric()]
    kept["numbers"] = {
        column: _counts(rows, size_class(rows[column]), str)
        for column in numeric
        if column in rows.columns and present[column]
    }
    return kept


def size_class(number: ir.NumericColumn) -> ir.IntegerColumn:
    """Whole numbers in the order of sizes: 0 of 0, PER_DECADE from x to ten times x, less than 0 of
    numbers below 0. The same in each run, so that the classes of two runs can be compared.

    The edges lie between round numbers: half a class beside 1, 10, 100.
    """
    size = number.cast("float64")
    apart = (size == 0).ifelse(1.0, size.abs()).log10() * PER_DECADE
    step = (apart + 0.5).floor().clip(_NEAREST, _FARTHEST).cast("int64") - _NEAREST + 1
    return (size == 0).ifelse(0, (size < 0).ifelse(-step, step))


def size_of(size_class: int) -> float:
    """The number in the middle of a class."""
    if size_class == 0:
        return 0.0
    size = 10 ** ((abs(size_class) + _NEAREST - 1) / PER_DECADE)
    return float(size if size_class > 0 else -size)


def _first(table: ir.Table) -> dict[str, Any]:
    return table.to_pyarrow().to_pylist()[0]


def _counts(rows: ir.Table, key: ir.Value, text: Callable[[Any], str]) -> dict[str, int]:
    """A key's values as text, in order, each with its rows; rows without one are left out."""
    keyed = rows.select(key=key)
    found = keyed.group_by("key").agg(rows=lambda t: t.count()).to_pyarrow().to_pylist()
    return dict(sorted((text(row["key"]), row["rows"]) for row in found if row["key"] is not None))


def _pooled(table: pd.DataFrame) -> dict[str, int]:
    """category → rows, of a table with a row for each, the rare ones as one."""
    counts = table.sort_values("category").set_index("category")["rows"].astype(int)
    kept = {str(category): int(n) for category, n in counts[counts >= RARE].items()}
    rare = int(counts[counts < RARE].sum())
    return kept | {OTHER: kept.get(OTHER, 0) + rare} if rare else kept


def remember(path: Path, current: dict[str, Any]) -> dict[str, Any] | None:
    """The last snapshot that differs from this one, or None; this one is kept at path.

    The file holds these two alone, so that a second run on the same data is compared with what the
    first was. One that is damaged, or of another VERSION, is as good as none, and written anew.
    Raises LabError if it cannot be written.
    """
    stored = _stored(path)
    if stored and stored["current"] == current:
        return stored["previous"]
    previous = stored["current"] if stored else None
    write_json(path, {"version": VERSION, "current": current, "previous": previous})
    return previous


def _stored(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("version") != VERSION:
        return None
    told = isinstance(found.get("current"), dict) and isinstance(
        found.get("previous", ""), dict | None
    )
    return found if told else None
