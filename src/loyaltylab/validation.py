"""Validation: raw files in, accepted and quarantined rows out. Grain: one row of a raw file.

rows read = rows accepted + rows quarantined, for each table; a quarantined row keeps its original
values, its file, its row number and every reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandas as pd

from loyaltylab import engine, schemas, sources
from loyaltylab.contract import Dataset, File
from loyaltylab.dataset import Lab
from loyaltylab.errors import LabError
from loyaltylab.files import written_whole
from loyaltylab.numbers import Numbers

_YES, _NO = ["true", "t", "yes", "y", "1", "ja", "j"], ["false", "f", "no", "n", "0", "nein", "nei"]


@dataclass(frozen=True)
class Checked:
    """A table after its rules. rows: grain one raw row, in the files' order; canonical columns and
    _file, _row, _reasons (empty if accepted), _original (JSON of the raw fields, if refused).
    """

    table: str
    rows: ir.Table

    @property
    def accepted(self) -> ir.Table:
        rows = self.rows.filter(self.rows["_reasons"].length() == 0)
        return rows.order_by("_order").select(list(schemas.column_types(self.table)))

    @property
    def quarantined(self) -> ir.Table:
        """Grain: one refused row; columns file, row, reasons, original."""
        rows = self.rows.filter(self.rows["_reasons"].length() > 0).order_by("_order")
        return rows.select(
            **{name: rows[f"_{name}"] for name in ("file", "row", "reasons", "original")}
        )


def mapping(table: str, columns: tuple[str, ...], file: File, label: str) -> dict[str, str]:
    """canonical column → the file's column, for those that the file has.

    Raises LabError naming every required column that is not there, and every column mapped to one
    that is not there.
    """
    there = [name for name in columns if not name.startswith("_")]
    wanted = {name: file.columns.get(name, name) for name in schemas.column_types(table)}
    required = set(schemas.required_columns(table)) - ({"source"} if file.source else set())
    problems = [
        f'{table}: column "{column}" not found in {label}; it has {", ".join(there)}. '
        "Map it in dataset.yml under columns."
        + (
            ' Or name the system that the file comes from under "source".'
            if name == "source"
            else ""
        )
        for name, column in wanted.items()
        if column not in there and (name in required or name in file.columns)
    ]
    if problems:
        raise LabError("\n".join(problems))
    return {name: column for name, column in wanted.items() if column in there}


def typed(raw: ir.Table, table: str, source: sources.Source) -> ir.Table:
    """Raw text → canonical types. What is no value of its type becomes missing, and a reason.

    Grain: one raw row. Adds _unreadable (reasons, empty if all was read) and _original (JSON).
    """
    file = source.file
    columns = mapping(table, raw.columns, file, source.label)
    values: dict[str, ir.Value] = {}
    unread: dict[str, ir.BooleanValue] = {}
    for name, dtype in schemas.column_types(table).items():
        if name not in columns:
            values[name] = ibis.null(dtype)
            continue
        given = raw[columns[name]]
        if given.type().is_string():
            given = given.strip().nullif("")
        values[name] = value = _parse(given, dtype, file)
        unread[schemas.unreadable(name, dtype)] = given.notnull() & value.isnull()
    if file.source and "source" not in columns:
        values["source"] = ibis.literal(file.source)
    whole = raw["_problem"].isnull()
    fields = [name for name in raw.columns if not name.startswith("_")]
    as_read = ibis.struct({name: raw[name].cast("string") for name in fields}).cast("json")
    return raw.select(
        **values,
        _file=raw["_file"],
        _row=raw["_row"],
        _problem=raw["_problem"],
        _unreadable=whole.ifelse(schemas.where_true(unread), ibis.array([raw["_problem"]])),
        _original=raw["_line"].coalesce(as_read.cast("string")),
    )


def _parse(given: Any, dtype: dt.DataType, file: File) -> Any:
    if dtype.is_string():
        return given.cast("string")
    if not given.type().is_string():  # Parquet carries types
        return given.try_cast(dtype)
    if dtype.is_timestamp():
        return engine.parse_timestamp(given, file.date_format)
    if dtype.is_boolean():
        word = given.lower()
        return ibis.cases((word.isin(_YES), True), (word.isin(_NO), False), else_=None)
    return engine.parse_number(given, dtype, decimal=file.decimal, thousands=file.thousands)


def check(con: Any, dataset: Dataset, folder: Path, table: str, *, scratch: Path) -> Checked:
    """Read all files of a table, type them, and give each row its reasons.

    Raises LabError if a file cannot be read as a whole, or if no row at all can be accepted.
    """
    parts = []
    for file in dataset.tables[table]:
        for source in sources.find(folder, file):
            rows = typed(sources.read(con, source, scratch=scratch), table, source)
            order = ibis.struct({"file": ibis.literal(len(parts)), "row": rows["_row"]})
            parts.append(rows.mutate(_order=order))
    rows = reduce(lambda one, other: one.union(other), parts)
    found = schemas.reasons(rows, schemas.TABLES[table])
    if table == "orders" and dataset.observed_until:
        late = (rows["ordered_at"].date() > dataset.observed_until).fill_null(False)
        said = f"ordered_at is after observed_until, {dataset.observed_until}"
        found = found.concat(schemas.where_true({said: late}))
    # A row that could not be read is not also blamed for the values that it therefore lacks.
    found = rows["_problem"].isnull().ifelse(found, rows["_unreadable"])
    rows = rows.mutate(_reasons=found).drop("_problem", "_unreadable")
    rows = rows.mutate(
        _original=(rows["_reasons"].length() > 0).ifelse(rows["_original"], ibis.null("string"))
    )
    checked = Checked(table, con.create_table(f"checked_{table}", rows, temp=True))
    counted = counts(checked)
    if not counted["accepted"]:
        raise LabError(_none_accepted(checked, counted["read"]))
    return checked


def _none_accepted(checked: Checked, read: int) -> str:
    if not read:
        return f"{checked.table}: expected rows, found a header alone. Export the file again."
    most = reason_counts(checked).iloc[0]
    return (
        f"{checked.table}: expected rows to work with; none of {read:,} could be accepted, "
        f"{most['rows']:,} because {most['reason']}. "
        "Correct the file, or how dataset.yml says to read it (columns, date_format, decimal)."
    )


def counts(checked: Checked) -> dict[str, int]:
    """read, accepted, quarantined; read is counted by itself, so that the sum can be held to it."""
    refused = checked.rows["_reasons"].length() > 0
    row = checked.rows.aggregate(
        read=checked.rows.count(), accepted=(~refused).sum(), quarantined=refused.sum()
    ).to_pandas()
    return {name: int(row[name].fillna(0).iloc[0]) for name in row}


def reason_counts(checked: Checked) -> pd.DataFrame:
    """Grain: one reason; columns reason, rows. A row with two reasons counts for each."""
    reason = checked.quarantined.select(reason=checked.quarantined["reasons"].unnest())
    table = reason.group_by("reason").agg(rows=reason.count())
    return table.order_by(ibis.desc("rows"), "reason").to_pandas()


def write(con: Any, checked: Checked, *, validated: Path, quarantine: Path) -> dict[str, int]:
    """Write both halves as Parquet, each whole or not at all; returns what `counts` does."""
    for rows, folder in ((checked.accepted, validated), (checked.quarantined, quarantine)):
        with written_whole(folder / f"{checked.table}.parquet") as part:
            con.to_parquet(rows, part, COMPRESSION="zstd")
    return counts(checked)


def validate(lab: Lab) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Validate every table of a dataset and write both halves of each.

    Returns counts (one row a table: table, read, accepted, quarantined) and reasons (one row a
    table and reason: table, reason, rows).
    """
    counted, refused = [], []
    for table in lab.spec.tables:
        checked = check(lab.engine, lab.spec, lab.folder, table, scratch=lab.scratch)
        written = write(lab.engine, checked, validated=lab.validated, quarantine=lab.quarantine)
        counted.append({"table": table} | written)
        refused.append(reason_counts(checked).assign(table=table))
    reasons = pd.concat(refused, ignore_index=True)
    return pd.DataFrame(counted), reasons[["table", "reason", "rows"]]


def record_counts(numbers: Numbers, counts: pd.DataFrame) -> None:
    """Record validation.rows_read|rows_accepted|rows_quarantined of each table."""
    meanings = {
        "read": "rows in the raw files, those that could not be read included",
        "accepted": "rows that keep every rule of their table",
        "quarantined": "rows put aside with their reasons",
    }
    for row in counts.to_dict("records"):
        for part, meaning in meanings.items():
            name = f"validation.rows_{part}.{row['table']}"
            numbers.record(name, row[part], unit="rows", n=row["read"], definition=meaning)
