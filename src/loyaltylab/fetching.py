"""Tables of databases, copied below the dataset's folder. Grain of a copy: one row of the table.

fetched/ holds a Parquet file for each address in dataset.yml, with the columns that the lab takes,
in an order that depends on the rows alone, and tables.json with a hash of each. That file is left
untouched where nothing has changed: for make it stands for the databases, whose dates make cannot see.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from loyaltylab import databases, engine, headers
from loyaltylab.addresses import Address, parse, said
from loyaltylab.contract import Dataset, File
from loyaltylab.databases import Database
from loyaltylab.errors import LabError
from loyaltylab.files import folder_written_whole, scratch, write_json
from loyaltylab.locations import FETCHED, Source, fetched
from loyaltylab.validation import mapping
from loyaltylab.wording import did_you_mean

_NAMED = 20  # tables that a message lists
_DIGITS = 12  # behind the mark


@dataclass
class _Wanted:
    """One address, and for which canonical tables it is read."""

    label: str
    address: Address
    uses: list[tuple[str, File]] = field(default_factory=list)


def fetch(dataset: Dataset, folder: Path) -> dict[str, int]:
    """Read every table of a database that dataset.yml names; address → rows.

    Those of one database are read in one transaction, at one moment of it. The copies take the place
    of the old ones together, once all are there; what no address names any more is removed.
    Raises LabError with all that is wrong, and leaves the old copies as they were.
    """
    wanted = _wanted(dataset)
    below = folder / ".scratch"
    problems: list[str] = []
    told: dict[str, dict[str, Any]] = {}
    try:
        with scratch(below) as name:
            part = Path(name) / FETCHED
            part.mkdir()
            con = engine.connect(dataset.engine.in_process(), spill=Path(name) / "spill")
            for _, tables in groupby(wanted, lambda one: one.address.place):
                try:
                    told |= _fetch_one_database(con, list(tables), folder, part)
                except LabError as error:
                    problems += str(error).splitlines()
            con.disconnect()
            if not problems:
                _put_in_place(part, folder / FETCHED, told)
    except OSError as error:
        raise LabError(
            f"{folder / FETCHED} cannot be written ({error.strerror}): expected a folder with room "
            "for it. Correct its permissions or free some space."
        ) from None
    if problems:
        raise LabError("\n".join(problems))
    return {label: one["rows"] for label, one in told.items()}


def _wanted(dataset: Dataset) -> list[_Wanted]:
    """By database, one of each address."""
    found: dict[str, _Wanted] = {}
    for table, files in dataset.tables.items():
        for file in files:
            if file.format == "database":
                one = found.setdefault(file.path, _Wanted(file.path, parse(file.path)))
                one.uses.append((table, file))
    return sorted(found.values(), key=lambda one: (one.address.place, one.label))


def _fetch_one_database(
    con: Any, tables: Sequence[_Wanted], folder: Path, part: Path
) -> dict[str, dict[str, Any]]:
    problems: list[str] = []
    told = {}
    label = tables[0].label
    try:
        with databases.opened(tables[0].address, label=label, folder=folder) as database:
            for one in tables:
                label = one.label
                target = part / fetched(folder, label).name
                try:
                    rows = _copy(con, database, one, target)
                except LabError as error:
                    problems += str(error).splitlines()
                    continue
                told[label] = {"file": target.name, "rows": rows, "sha256": _hash(target)}
    except databases.UnreadableError as error:
        problems.append(f"{label}: {error}")
    if problems:
        raise LabError("\n".join(problems))
    return told


def _copy(con: Any, database: Database, one: _Wanted, target: Path) -> int:
    """Write the rows of a table as Parquet; how many there are."""
    table = one.address.table
    there = database.columns(table)
    if not there:
        raise LabError(_not_there(database, one))
    columns = _columns(one, there, target)
    headers.named(columns, Source(target, one.label, one.uses[0][1]))
    types = database.types(table, columns)
    names = [f"c{place}" for place in range(len(columns))]
    texts = pa.schema([(name, pa.string()) for name in names])
    con.raw_sql(
        f"CREATE OR REPLACE TEMP TABLE fetched ({', '.join(f'{n} VARCHAR' for n in names)})"
    )
    for chunk in database.rows(table, columns):
        arrays = [pa.array(values, pa.string()) for values in zip(*chunk, strict=True)]
        con.con.register("fetched_rows", pa.Table.from_arrays(arrays, schema=texts))
        con.raw_sql("INSERT INTO fetched SELECT * FROM fetched_rows")
        con.con.unregister("fetched_rows")
    values = _values(con, dict(zip(names, types, strict=True)))
    shown = ", ".join(
        f"{values[name]} AS {_identifier(column)}"
        for name, column in zip(names, columns, strict=True)
    )
    # The same rows in another order are the same table, so that they are sorted.
    path = str(target).replace("'", "''")
    con.raw_sql(
        f"COPY (SELECT {shown} FROM fetched ORDER BY ALL) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
    )
    rows = int(con.raw_sql("SELECT count(*) FROM fetched").fetchone()[0])
    con.raw_sql("DROP TABLE fetched")
    return rows


def _not_there(database: Database, one: _Wanted) -> str:
    known = [said(table) for table in database.tables()]
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    wanted = said(one.address.table)
    close = {name.lower(): name for name in known}
    advice = did_you_mean(wanted.lower(), close)
    for low, name in close.items():
        advice = advice.replace(f'"{low}"', f'"{name}"')
    return (
        f"{one.label}: table {wanted} not found; there {'is' if len(known) == 1 else 'are'} "
        f"{', '.join(known[:_NAMED]) or 'none'}{more}. {advice or 'Correct path in dataset.yml.'}"
    )


def _columns(one: _Wanted, there: Sequence[str], target: Path) -> list[str]:
    """Those that a canonical table takes, in the order of the database."""
    taken: set[str] = set()
    problems: list[str] = []
    for table, file in one.uses:
        try:
            taken |= set(mapping(table, there, Source(target, one.label, file)).values())
        except LabError as error:
            problems += str(error).splitlines()
    if problems:
        raise LabError("\n".join(problems))
    return [column for column in there if column in taken]


def _values(con: Any, types: Mapping[str, str]) -> dict[str, str]:
    """Column of `fetched` → itself as its type; as text where a value has no place in the type, which
    validation then tells of, row by row."""
    values, unfit = {}, {}
    for name, dtype in types.items():
        if dtype == "DECIMAL":
            dtype = _decimal(con, name)
        values[name] = name if dtype == "VARCHAR" else f"TRY_CAST({name} AS {dtype})"
        finite = f" OR NOT isfinite({values[name]})" if dtype in ("DATE", "TIMESTAMP") else ""
        unfit[name] = f"count(*) FILTER ({name} IS NOT NULL AND ({values[name]} IS NULL{finite}))"
    counted = con.raw_sql(f"SELECT {', '.join(unfit.values())} FROM fetched").fetchone()
    return {
        name: name if wrong else value
        for (name, value), wrong in zip(values.items(), counted, strict=True)
    }


def _decimal(con: Any, name: str) -> str:
    """With the digits that its values have; those of 18 and fewer are read many times as fast."""
    before, behind = con.raw_sql(
        f"SELECT max(length(split_part({name}, '.', 1))), max(length(split_part({name}, '.', 2))) "
        "FROM fetched"
    ).fetchone()
    scale = min(behind or 0, _DIGITS)
    return f"DECIMAL({18 if (before or 0) + scale <= 18 else 38}, {scale})"


def _put_in_place(part: Path, target: Path, told: Mapping[str, Any]) -> None:
    """All at once, or none: tables of two moments would be taken for those of one."""
    there = {target / one["file"]: one["sha256"] for one in told.values()}
    same = _stored(target / "tables.json") == told and {*target.glob("*.parquet")} == {*there}
    if same and [*map(_hash, there)] == [*there.values()]:
        return
    with folder_written_whole(target) as new:
        for path in there:
            (part / path.name).replace(new / path.name)
        write_json(new / "tables.json", told)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stored(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
