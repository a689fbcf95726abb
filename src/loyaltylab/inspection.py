"""Looking a dataset over before anything runs: everything that is wrong with it, at once."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import ibis

from loyaltylab import engine, schemas, sources, validation
from loyaltylab.contract import Dataset
from loyaltylab.dataset import load
from loyaltylab.errors import LabError
from loyaltylab.execution import parameter_problems

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
    found = parameter_problems(dataset, notebooks)
    with tempfile.TemporaryDirectory(prefix="loyaltylab-") as scratch:
        con = engine.connect(engine.Engine(), spill=Path(scratch))
        for table in dataset.tables:
            found += _table_problems(con, dataset, folder, table, Path(scratch))
    return found


def _table_problems(
    con: Any, dataset: Dataset, folder: Path, table: str, scratch: Path
) -> list[str]:
    found: list[str] = []
    for file in dataset.tables[table]:
        unknown = set(file.columns) - set(schemas.column_types(table))
        found += [
            f'dataset.yml under tables.{table}.columns: unknown column "{name}"; expected one of '
            f"{', '.join(schemas.column_types(table))}."
            for name in sorted(unknown)
        ]
        try:
            for source in sources.find(folder, file):
                raw = sources.read(con, source, scratch=scratch, first=LOOKED_AT)
                found += _unreadable_columns(
                    validation.typed(raw, table, source), raw, table, source
                )
        except LabError as error:
            found += [_named(table, line) for line in str(error).splitlines()]
    return found


def _named(table: str, problem: str) -> str:
    return problem if problem.startswith(f"{table}: ") else f"{table}: {problem}"


def _unreadable_columns(rows: Any, raw: Any, table: str, source: sources.Source) -> list[str]:
    """Columns of which no value is what it should be: the file, not a row, is misread."""
    file = source.file
    columns = validation.mapping(table, raw.columns, file, source.label)
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


def _shape(raw: Any, column: str) -> str:
    """The commonest form of a column's values, digits as 9 and letters as x: no value is told."""
    text = raw[column].cast("string").strip().nullif("")
    shape = text.re_replace(r"\p{L}", "x").re_replace(r"\d", "9").substr(0, 24)
    counted = raw.select(shape=shape).filter(lambda t: t["shape"].notnull()).group_by("shape")
    rows = (
        counted.agg(n=lambda t: t.count()).order_by(ibis.desc("n"), "shape").limit(1).to_pyarrow()
    )
    return rows["shape"][0].as_py()
