"""Validation: raw files in, accepted and quarantined rows out. Grain: one row of a raw file.

rows read = rows accepted + rows quarantined, for each table; a quarantined row keeps its original
values, its file, its row number and every reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandas as pd

from loyaltylab import engine, schemas, sources
from loyaltylab.contract import Dataset, Engine, File, TableName
from loyaltylab.dataset import Lab
from loyaltylab.errors import LabError
from loyaltylab.files import written_whole
from loyaltylab.numbers import Numbers
from loyaltylab.wording import did_you_mean

_YES, _NO = ["true", "t", "yes", "y", "1", "ja", "j"], ["false", "f", "no", "n", "0", "nein"]


@dataclass(frozen=True)
class Checked:
    """A table after its rules.

    rows : grain one raw row; canonical columns and _order (where it stands in the files), _file,
        _row, _reasons (empty if accepted), _original (what the file holds, if refused).
    read : how many rows the raw files have.
    """

    table: str
    rows: ir.Table
    read: int

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


def mapping(table: str, there: Sequence[str], source: sources.Source) -> dict[str, str]:
    """canonical column → the file's column, for those that the file has.

    Raises LabError naming every required column that is not there, every column mapped to one that
    is not there, and every key under columns that is no column of the table.
    """
    file, known = source.file, schemas.column_types(table)
    problems = []
    for name in file.columns:
        if name not in known:
            advice = did_you_mean(name, known) or "Remove it."
            problems.append(
                f'{table}: unknown column "{name}" in dataset.yml under columns; expected one of '
                f"{', '.join(known)}. {advice}"
            )
    wanted = {name: file.columns.get(name, name) for name in known}
    required = set(schemas.required_columns(table)) - ({"source"} if file.source else set())
    missing = [
        name
        for name, column in wanted.items()
        if column not in there and (name in required or name in file.columns)
    ]
    has_header = file.format in ("csv", "text", "excel") and not file.names
    if missing and has_header and sources.holds_values(there):
        problems.append(
            f"{table}: expected a header in {source.label}, found what look like values in the "
            "first row. Give names in dataset.yml."
        )
        missing = []
    elif missing and len(there) == 1 and file.format == "csv":
        problems.append(
            f"{table}: expected several columns in {source.label}, found one: {there[0]}. "
            "Set delimiter in dataset.yml to the sign between them."
        )
        missing = []
    for name in missing:
        advice = "Map it in dataset.yml under columns."
        if name in file.columns:
            advice = f"Correct it in dataset.yml under columns, where it is mapped to {name}."
        elif name == "source":
            advice += ' Or name the system that the file comes from under "source".'
        problems.append(
            f'{table}: column "{wanted[name]}" not found in {source.label}; it has '
            f"{', '.join(there)}. {advice}"
        )
    if problems:
        raise LabError("\n".join(problems))
    return {name: column for name, column in wanted.items() if column in there}


def typed(raw: ir.Table, table: str, source: sources.Source) -> ir.Table:
    """Raw text → canonical types. What is no value of its type becomes missing, and a reason.

    Grain: one raw row. Adds _file, _row, _unreadable (reasons, empty if all was read) and _original
    (the fields as JSON, or a row that could not be read as it stands).
    """
    file, fields, problem = source.file, raw["fields"], raw["problem"]
    columns = mapping(table, fields.type().names, source)
    values: dict[str, ir.Value] = {}
    unread: dict[str, ir.BooleanValue] = {}
    for name, dtype in schemas.column_types(table).items():
        if name not in columns:
            values[name] = ibis.null(dtype)
            continue
        given = fields[columns[name]]
        if given.type().is_string():
            given = given.strip().nullif("")
        values[name] = value = _parse(given, dtype, file)
        unread[schemas.unreadable(name, dtype)] = given.notnull() & value.isnull()
    if file.source and "source" not in columns:
        values["source"] = ibis.literal(file.source)
    said = "row cannot be read: " + problem
    return raw.select(
        **values,
        _file=ibis.literal(source.label),
        _row=raw["row"],
        _whole=problem.isnull(),
        _unreadable=problem.isnull().ifelse(schemas.where_true(unread), ibis.array([said])),
        _original=raw["line"].coalesce(fields.cast("json").cast("string")),
    )


def _parse(given: Any, dtype: dt.DataType, file: File) -> Any:
    if dtype.is_string():
        return given.cast("string")
    kept = given.type()  # Parquet carries types
    if (kept.is_numeric() and dtype.is_numeric()) or (kept.is_temporal() and dtype.is_timestamp()):
        return given.try_cast(dtype)
    if not kept.is_string():
        given = given.cast("string")
    if dtype.is_timestamp():
        return engine.parse_timestamp(given, file.date_format)
    if dtype.is_boolean():
        word = given.lower()
        return ibis.cases((word.isin(_YES), True), (word.isin(_NO), False), else_=None)
    return engine.parse_number(given, dtype, decimal=file.decimal, thousands=file.thousands)


def check(con: Any, dataset: Dataset, folder: Path, table: TableName) -> Checked:
    """Read all files of a table, type them, and give each row its reasons.

    con : a DuckDB connection.
    Raises LabError if a file cannot be read as a whole, if of the rows there are none can be
    accepted, or if there is no order at all. Any other table may be empty: nobody asked to be
    forgotten yet.
    """
    parts: list[ir.Table] = []
    labels: list[str] = []
    read = 0
    for file in dataset.tables[table]:
        for source in sources.find(folder, file):
            raw = sources.read(con, source)
            read += int(raw.count().to_pyarrow().as_py())
            rows = typed(raw, table, source)
            order = ibis.struct({"file": ibis.literal(len(parts)), "row": rows["_row"]})
            parts.append(rows.mutate(_order=order))
            labels.append(source.label)
    rows = ibis.union(*parts) if len(parts) > 1 else parts[0]
    rules = _orders_rules(rows, dataset) if table == "orders" else {}
    found = schemas.reasons(rows, schemas.TABLES[table], dataset_rules=rules)
    # A row that could not be read is not also blamed for the values that it therefore lacks.
    found = rows["_whole"].ifelse(found, rows["_unreadable"])
    rows = rows.mutate(_reasons=found).drop("_whole", "_unreadable")
    rows = rows.mutate(
        _original=(rows["_reasons"].length() > 0).ifelse(rows["_original"], ibis.null("string"))
    )
    with sources.whole(labels):
        checked = Checked(table, con.create_table(f"checked_{table}", rows, temp=True), read)
    if (read or table == "orders") and not counts(checked)["accepted"]:
        raise LabError(_none_accepted(checked) if read else NO_ORDERS)
    return checked


def _orders_rules(rows: ir.Table, dataset: Dataset) -> dict[str, ir.BooleanValue]:
    """What dataset.yml says of orders: words → whether a row breaks it, missing if it cannot."""
    until, currency = dataset.observed_until, dataset.currency
    # Amounts are added up, and no rate of exchange is known.
    rules = {f"currency is not {currency}": rows["currency"].upper() != currency}
    if until:
        rules[f"ordered_at is after observed_until, {until}"] = rows["ordered_at"].date() > until
    return rules


NO_ORDERS = "orders: expected rows, found a header alone. Export the file again."


def _none_accepted(checked: Checked) -> str:
    most = reason_counts(checked).iloc[0]
    return (
        f"{checked.table}: expected rows to work with; none of {checked.read:,} could be accepted, "
        f"{most['rows']:,} because {most['reason']}. "
        "Correct the file, or how dataset.yml says to read it (columns, date_format, decimal, "
        "encoding, currency)."
    )


def counts(checked: Checked) -> dict[str, int]:
    """read, accepted, quarantined. Raises RuntimeError if the last two are not what was read."""
    refused = checked.rows["_reasons"].length() > 0
    row = checked.rows.aggregate(accepted=(~refused).sum(), quarantined=refused.sum()).to_pandas()
    counted = {name: int(row[name].fillna(0).iloc[0]) for name in row}
    if sum(counted.values()) != checked.read:
        raise RuntimeError(f"{checked.table}: {checked.read} rows read, but {counted}")
    return {"read": checked.read} | counted


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

    Files of tables that dataset.yml no longer names are removed: they would still be read.
    Returns counts (one row a table: table, read, accepted, quarantined) and reasons (one row a
    table and reason: table, reason, rows).
    """
    for table in schemas.TABLES.keys() - lab.spec.tables.keys():
        for folder in (lab.validated, lab.quarantine):
            (folder / f"{table}.parquet").unlink(missing_ok=True)
    counted, refused = [], []
    # Raw files are read by DuckDB, whatever engine works on the accepted rows.
    reading = Engine(duckdb=lab.spec.engine.duckdb)
    for table in lab.spec.tables:
        con = engine.connect(reading, spill=lab.scratch)
        checked = check(con, lab.spec, lab.folder, table)
        written = write(con, checked, validated=lab.validated, quarantine=lab.quarantine)
        counted.append({"table": table} | written)
        refused.append(reason_counts(checked).assign(table=table))
        con.disconnect()  # and what it held is gone before the next table
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
