"""Looking a dataset over before anything runs: everything that is wrong with it, at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir

from loyaltylab import engine, fetching, schemas, sources, spark, validation
from loyaltylab.contract import Dataset, Engine, File, TableName
from loyaltylab.dataset import load
from loyaltylab.errors import LabError
from loyaltylab.execution import parameter_problems
from loyaltylab.files import scratch
from loyaltylab.validation import cleaning, declared

LOOKED_AT = 1000  # rows of each file
# So many numbers of three digits behind the mark, and none of other than three, are no accident.
SUSPICIOUS = 10


def problems(folder: Path, *, notebooks: Path, fetch: bool = True) -> list[str]:
    """Every problem of the dataset in `folder`, a sentence each; empty if there is none.

    fetch : whether to read tables of databases first, or to look at the copies that are there.

    Looks at dataset.yml, at the parameters it sets, and at the first rows of every file. What is
    wrong with single rows is validation's to say.
    """
    try:
        dataset = load(folder)
    except LabError as error:
        return str(error).splitlines()
    if dataset.simulation and not (folder / "truth").exists():
        return [
            f"{folder.name}: expected the files of its simulation, found none. "
            f"Run python -m loyaltylab simulate {folder.parent.name}/{folder.name}."
        ]
    found = parameter_problems(dataset, notebooks)
    if dataset.engine.spark and (lacks := spark.lacks(dataset.engine.spark)):
        found.append(lacks)
    unread = _unread(dataset, folder) if fetch else []
    found += unread
    with scratch() as spill:
        con = engine.connect(Engine(), spill=Path(spill))
        cleaning.define(con)
        for table in dataset.tables:
            files = [f for f in dataset.tables[table] if not (unread and f.format == "database")]
            found += _table_problems(con, dataset, folder, table, files)
        con.disconnect()
    return found


def _unread(dataset: Dataset, folder: Path) -> list[str]:
    """What keeps tables of databases from being read."""
    if not any(file.format == "database" for files in dataset.tables.values() for file in files):
        return []
    try:
        fetching.fetch(dataset, folder)
    except LabError as error:
        return str(error).splitlines()
    return []


def _table_problems(
    con: Any, dataset: Dataset, folder: Path, table: TableName, files: Sequence[File]
) -> list[str]:
    found: list[str] = []
    rows = 0
    try:
        declared.for_table(dataset, table)
    except LabError as error:
        found.append(str(error))
    for file in files:
        there: dict[str, set[str]] = {}
        try:
            for source in sources.find(folder, file):
                raw = sources.read(con, source, first=LOOKED_AT)
                rows += raw.count().to_pyarrow().as_py()
                columns = validation.mapping(table, raw["fields"].type().names, source)
                there[source.label] = set(columns)
                with sources.whole([source.label]):
                    found += _unreadable_rows(raw, table, source)
                    found += _unreadable_columns(raw, table, source, columns, dataset.currency)
                    found += _doubtful_numbers(raw, table, source, columns)
            found += _unlike(table, there)
        except LabError as error:
            found += [_named(table, line) for line in str(error).splitlines()]
    if table == "orders" and files and not rows and not found:
        found.append(validation.NO_ORDERS)
    return found


def _named(table: str, problem: str) -> str:
    return problem if problem.startswith(f"{table}: ") else f"{table}: {problem}"


def _unreadable_rows(raw: ir.Table, table: str, source: sources.Source) -> list[str]:
    """Whether not one row can be read: the file, not a row, is misread."""
    counted = raw.aggregate(rows=raw.count(), bad=raw["problem"].count(), why=raw["problem"].mode())
    row = counted.to_pyarrow().to_pylist()[0]
    if not row["rows"] or row["bad"] < row["rows"]:
        return []
    return [
        f"{table}: expected rows in {source.label}, found none of the first {row['rows']:,} that can "
        f"be read ({row['why']}). Correct encoding, delimiter, quote or names in dataset.yml."
    ]


def _unlike(table: str, there: Mapping[str, set[str]]) -> list[str]:
    """Columns that some files of a pattern have and others lack, where they would read as empty."""
    anywhere = set().union(*there.values())
    return [
        f"{table}: expected {', '.join(sorted(anywhere - columns))} in {label} as in the other files "
        "of its pattern, found no such column. Export it again, or give the file an entry of its own."
        for label, columns in there.items()
        if anywhere - columns
    ]


def _unreadable_columns(
    raw: ir.Table,
    table: str,
    source: sources.Source,
    columns: Mapping[str, str],
    currency: str,
) -> list[str]:
    """Columns of which no value is what it should be: the file, not a row, is misread."""
    file, types = source.file, dict(raw["fields"].type().items())
    if nested := sorted({c for c in columns.values() if types[c].is_nested()}):
        return [
            f'{table}: expected one value a row in column "{column}" of {source.label}, found lists or '
            "records. Export it flat, or map another column in dataset.yml."
            for column in nested
        ]
    rows = validation.typed(raw, table, source, currency=currency)
    reasons = {n: schemas.unreadable(n, t) for n, t in schemas.column_types(table).items()}
    counted = (
        rows.aggregate(
            **{f"read_{n}": rows[n].count() for n in columns},
            **{f"unread_{n}": rows["_unreadable"].contains(reasons[n]).sum() for n in columns},
        )
        .to_pyarrow()
        .to_pylist()[0]
    )
    found = []
    for name, column in columns.items():
        if counted[f"read_{name}"] or not counted[f"unread_{name}"]:
            continue
        expected = f"date_format {file.date_format}" if file.date_format else "ISO 8601 dates"
        is_date = schemas.column_types(table)[name].is_timestamp()
        found.append(
            f'{table}: {reasons[name]} anywhere in column "{column}" of {source.label}; its values '
            f"look like {_shape(raw, column)}"
            + (f", expected {expected}. Set date_format" if is_date else ". Set decimal or sign")
            + ", or map another column, in dataset.yml."
        )
    return found


def _doubtful_numbers(
    raw: ir.Table, table: str, source: sources.Source, columns: Mapping[str, str]
) -> list[str]:
    """Columns whose numbers may be 1234 as much as 1.234, and dataset.yml does not say which."""
    if "thousands" in source.file.model_fields_set:
        return []
    mark = source.file.decimal
    counted: dict[str, ir.Value] = {}
    for name, dtype in schemas.column_types(table).items():
        given = raw["fields"][columns[name]] if name in columns else ibis.null("string")
        # Parquet's own numbers cannot be misread.
        if (
            name in columns
            and given.type().is_string()
            and (dtype.is_decimal() or dtype.is_integer())
        ):
            text = given.strip()
            counted[f"marked_{name}"] = text.contains(mark).sum()
            thousands = rf"^[+-]?[1-9][0-9]{{0,2}}{re.escape(mark)}[0-9]{{3}}$"
            counted[f"thousands_{name}"] = text.re_search(thousands).sum()
    if not counted:
        return []
    row = raw.aggregate(**counted).to_pyarrow().to_pylist()[0]
    return [
        f'{table}: expected decimals in column "{column}" of {source.label}, found three digits behind '
        f'every "{mark}", which may stand before thousands. Set thousands and decimal in dataset.yml; '
        'thousands: "" if they are decimals.'
        for name, column in columns.items()
        if f"marked_{name}" in row
        and row[f"marked_{name}"] == row[f"thousands_{name}"]
        and (row[f"marked_{name}"] or 0) >= SUSPICIOUS
    ]


def _shape(raw: ir.Table, column: str) -> str:
    """The commonest form of a column's values, digits as 9 and letters as x: no value is told."""
    shapes = raw.select(shape=sources.shape(raw["fields"][column])).filter(
        lambda t: t["shape"].notnull()
    )
    counted = shapes.group_by("shape").agg(n=lambda t: t.count())
    commonest = counted.order_by(ibis.desc("n"), "shape").limit(1).to_pyarrow()
    return str(commonest["shape"][0])
