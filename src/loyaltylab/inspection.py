"""Looking a dataset over before anything runs: everything that is wrong with it, at once."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir

from loyaltylab import engine, schemas, sources, validation
from loyaltylab.contract import Dataset, Engine, TableName
from loyaltylab.dataset import load
from loyaltylab.errors import LabError
from loyaltylab.execution import parameter_problems
from loyaltylab.validation import cleaning, declared

LOOKED_AT = 1000  # rows of each file


def problems(folder: Path, *, notebooks: Path) -> list[str]:
    """Every problem of the dataset in `folder`, a sentence each; empty if there is none.

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
    if dataset.engine.spark and (lacks := engine.spark_lacks()):
        found.append(lacks)
    with tempfile.TemporaryDirectory(prefix="loyaltylab-") as spill:
        con = engine.connect(Engine(), spill=Path(spill))
        cleaning.define(con)
        for table in dataset.tables:
            found += _table_problems(con, dataset, folder, table)
        con.disconnect()
    return found


def _table_problems(con: Any, dataset: Dataset, folder: Path, table: TableName) -> list[str]:
    found: list[str] = []
    rows = 0
    try:
        declared.for_table(dataset, table)
    except LabError as error:
        found.append(str(error))
    for file in dataset.tables[table]:
        try:
            for source in sources.find(folder, file):
                raw = sources.read(con, source, first=LOOKED_AT)
                rows += raw.count().to_pyarrow().as_py()
                with sources.whole([source.label]):
                    found += _unreadable_rows(raw, table, source)
                    found += _unreadable_columns(raw, table, source, dataset.currency)
        except LabError as error:
            found += [_named(table, line) for line in str(error).splitlines()]
    if table == "orders" and not rows and not found:
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


def _unreadable_columns(
    raw: ir.Table, table: str, source: sources.Source, currency: str
) -> list[str]:
    """Columns of which no value is what it should be: the file, not a row, is misread."""
    file, (rows, _) = source.file, validation.typed(raw, table, source, currency=currency)
    columns = validation.mapping(table, raw["fields"].type().names, source)
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
            + (f", expected {expected}. Set date_format" if is_date else ". Set decimal")
            + ", or map another column, in dataset.yml."
        )
    return found


def _shape(raw: ir.Table, column: str) -> str:
    """The commonest form of a column's values, digits as 9 and letters as x: no value is told."""
    shapes = raw.select(shape=sources.shape(raw["fields"][column])).filter(
        lambda t: t["shape"].notnull()
    )
    counted = shapes.group_by("shape").agg(n=lambda t: t.count())
    commonest = counted.order_by(ibis.desc("n"), "shape").limit(1).to_pyarrow()
    return str(commonest["shape"][0])
