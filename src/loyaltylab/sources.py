"""Raw files, read as they are. Grain out: one row of a file.

Every format ends as the same table: fields (struct of the file's own columns: text, but for Parquet,
which carries types), row (1 is the first after the header; blank lines are not counted), problem
(why the row could not be read, missing if it could) and line (such a row as it stands in the file).
No row is left out.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import glob
import importlib.util
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
from python_calamine import CalamineError, CalamineWorkbook

from loyaltylab import records
from loyaltylab.contract import File
from loyaltylab.errors import LabError
from loyaltylab.records import Record

PACKAGE = "package:"
CHUNK = 20_000  # rows that pass from Python to the engine at once


@dataclass(frozen=True)
class Source:
    """One file on disk: where it is, what messages call it, and how dataset.yml says to read it."""

    path: Path
    label: str
    file: File


def find(folder: Path, file: File) -> list[Source]:
    """The files that an entry of dataset.yml means, in order of their names.

    Raises LabError if there is none, or if one is empty, is no file or must not be read.
    """
    if file.path.startswith(PACKAGE):
        paths = {file.path: _inside_package(file.path.removeprefix(PACKAGE))}
    elif not (folder / file.path).exists() and any(mark in file.path for mark in "*?["):
        found = (p for p in sorted(folder.glob(file.path)) if not p.name.startswith((".", "~$")))
        paths = {p.relative_to(folder).as_posix(): p for p in found}
        if not paths:
            raise LabError(
                f"{file.path}: expected files of such names, found none in {folder.name}/. "
                "Put them there, or correct path in dataset.yml."
            )
    else:
        paths = {file.path: folder / file.path}
    if problems := [words for label, path in paths.items() if (words := _unfit(label, path))]:
        raise LabError("\n".join(problems))
    return [Source(path, label, file) for label, path in paths.items()]


def _unfit(label: str, path: Path) -> str:
    if not path.exists():
        return f"{label} does not exist. Put it there, or correct path in dataset.yml."
    if not path.is_file():
        return f"{label}: expected a file, found a folder. Name the file in it."
    if not os.access(path, os.R_OK):
        return f"{label}: expected a file to read, found one without the permission. Allow it."
    if path.stat().st_size == 0:
        return f"{label} is empty: expected a table with rows. Export it again."
    return ""


def _inside_package(inner: str) -> Path:
    package, _, rest = inner.partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise LabError(f'package "{package}" is not installed: expected it to hold {rest}.')
    return Path(spec.submodule_search_locations[0]) / rest


def read(con: Any, source: Source, *, first: int | None = None) -> ir.Table:
    """Read a file into DuckDB.

    first : so many rows and no more; all of them if None.
    Raises LabError if the file as a whole cannot be read as what dataset.yml says it is.
    """
    readers: dict[str, Callable[[Any, Source, int | None], ir.Table]] = {
        "csv": _read_csv,
        "text": _read_text,
        "fixed": _read_fixed,
        "jsonl": _read_jsonl,
        "parquet": _read_parquet,
        "excel": _read_excel,
    }
    try:
        return readers[source.file.format](con, source, first)
    except UnicodeError:
        raise LabError(
            f"{source.label}: expected text in {source.file.encoding}, found bytes that are none. "
            "Correct encoding in dataset.yml."
        ) from None


@contextlib.contextmanager
def whole(labels: Sequence[str]) -> Iterator[None]:
    """For a block that works on files already opened: LabError if one turns out to be damaged."""
    try:
        yield
    except (duckdb.InvalidInputException, duckdb.IOException) as error:
        which = labels[0] if len(labels) == 1 else f"one of {', '.join(labels)}"
        raise LabError(
            f"{which}: expected a file to read to its end, found it damaged. Export it again."
        ) from error


def holds_values(names: Iterable[str]) -> bool:
    """Whether a first row looks like values, which no message may repeat, rather than like names."""
    return any(re.search(r"@|[0-9]{4}|^[\W\d_]+$", name) for name in names)


def _names(given: Iterable[str], source: Source) -> list[str]:
    """The columns' names: stripped, all different, a column without one called by its place."""
    names = [n.strip() or f"column {place}" for place, n in enumerate(given, 1)]
    folded = [name.lower() for name in names]
    twice = [name for name, low in zip(names, folded, strict=True) if folded.count(low) > 1]
    if twice and holds_values(names):
        raise LabError(
            f"{source.label}: expected a header, found what look like values in the first row. "
            "Give names in dataset.yml."
        )
    if twice:
        told = " and ".join(f'"{name}"' for name in twice[:2])
        raise LabError(
            f"{source.label}: expected names that differ, found columns {told}. "
            "Rename one in the export; upper and lower case are the same here."
        )
    return names


def _with_header(rows: Iterator[Record], source: Source) -> tuple[list[str], Iterator[Record]]:
    """The names, from the file's entry or else from its first record, and the records after it."""
    if source.file.names:
        return source.file.names, rows
    header = next(rows, Record("", []))
    if header.fields is None:
        raise LabError(
            f"{source.label}: expected a header in the first row; it cannot be read "
            f"({header.problem}). Correct encoding or quote in dataset.yml, or the export."
        )
    if not any(name.strip() for name in header.fields):
        raise LabError(f"{source.label} is empty: expected a table with rows. Export it again.")
    return _names(header.fields, source), rows


def _read_csv(con: Any, source: Source, first: int | None) -> ir.Table:
    file = source.file
    lines = records.lines(source.path, file.encoding)
    rows = records.of_csv(lines, delimiter=file.delimiter, quote=file.quote)
    names, rows = _with_header(rows, source)
    if file.encoding == "utf-8":
        try:
            return _read_clean_csv(con, source, names, first)
        except duckdb.InvalidInputException:
            pass  # some row is broken; row by row tells which
    return _stored(con, names, records.of_width(rows, len(names)), first)


def _read_clean_csv(con: Any, source: Source, names: list[str], first: int | None) -> ir.Table:
    """All of the file by the engine, many times faster than row by row.

    Raises duckdb.InvalidInputException if one row is not as it should be.
    """
    file, name = source.file, ibis.util.gen_name("csv")
    columns = ", ".join(f"c{i}: 'VARCHAR'" for i in range(len(names)))
    fields = ", ".join(f"{_quoted(n)}: c{i}" for i, n in enumerate(names))
    header = 0 if file.names else 1
    con.raw_sql(f"""
        CREATE TEMP TABLE {name} AS
        SELECT *, NULL::VARCHAR AS problem, NULL::VARCHAR AS line
        FROM (
            SELECT {{{fields}}} AS fields, row_number() OVER () - {header} AS "row"
            FROM read_csv({_quoted(glob.escape(str(source.path)))}, columns = {{{columns}}},
                auto_detect = false, header = false, nullstr = '', delim = {_quoted(file.delimiter)},
                quote = {_quoted(file.quote)}, escape = {_quoted(file.quote)},
                max_line_size = {records.LONGEST})
        ) WHERE "row" > 0 {_limit(first)}""")
    return con.table(name)


def _read_text(con: Any, source: Source, first: int | None) -> ir.Table:
    rows = records.of_text(records.lines(source.path, source.file.encoding))
    names, rows = _with_header(rows, source)
    return _stored(con, names, records.of_width(rows, len(names)), first)


def _read_fixed(con: Any, source: Source, first: int | None) -> ir.Table:
    lines = records.lines(source.path, source.file.encoding)
    rows = records.of_fixed(lines, source.file.widths or [])
    return _stored(con, source.file.names or [], rows, first)


# CASE, since AND may ask json_type of a text that is no JSON, which is an error.
_IS_OBJECT = """CASE WHEN json_valid(fields."text") THEN json_type(fields."text") = 'OBJECT'
    ELSE false END"""


def _read_jsonl(con: Any, source: Source, first: int | None) -> ir.Table:
    lines = records.of_lines(records.lines(source.path, source.file.encoding))
    raw = _stored(con, ["text"], lines, None).get_name()
    # Keys of all lines: one that the first lines lack is still a column.
    keys = con.raw_sql(f"""
        SELECT DISTINCT unnest(CASE WHEN {_IS_OBJECT} THEN json_keys(fields."text") END) AS k
        FROM {raw} ORDER BY k""").fetchall()
    if not keys:
        raise LabError(
            f"{source.label}: expected a JSON object a line; it has none. Correct format."
        )
    pointers = ["/" + key.replace("~", "~0").replace("/", "~1") for (key,) in keys]
    names = _names([key for (key,) in keys], source)
    fields = ", ".join(
        f'{_quoted(name)}: json_extract_string(fields."text", {_quoted(pointer)})'
        for name, pointer in zip(names, pointers, strict=True)
    )
    name = ibis.util.gen_name("jsonl")
    con.raw_sql(f"""
        CREATE TEMP TABLE {name} AS
        SELECT CASE WHEN good THEN {{{fields}}} END AS fields, "row",
            CASE WHEN NOT good THEN coalesce(problem, 'not a JSON object') END AS problem,
            CASE WHEN NOT good THEN coalesce(line, fields."text") END AS line
        FROM (SELECT *, {_IS_OBJECT} AS good FROM {raw}) ORDER BY "row" {_limit(first)}""")
    con.drop_table(raw)
    return con.table(name)


def _read_parquet(con: Any, source: Source, first: int | None) -> ir.Table:
    try:
        table = con.read_parquet(glob.escape(str(source.path)), file_row_number=True)
    except duckdb.Error:
        raise LabError(
            f"{source.label}: expected a Parquet file; it cannot be read as one. Export it again."
        ) from None
    names = [name for name in table.columns if name != "file_row_number"]
    table = table.limit(first) if first else table
    return table.select(
        fields=ibis.struct({name: table[name] for name in names}),
        row=table["file_row_number"] + 1,
        problem=ibis.null("string"),
        line=ibis.null("string"),
    )


def _read_excel(con: Any, source: Source, first: int | None) -> ir.Table:
    try:
        book = CalamineWorkbook.from_path(source.path)
        sheet = source.file.sheet or book.sheet_names[0]
        if sheet not in book.sheet_names:
            raise LabError(
                f'{source.label}: sheet "{sheet}" not found; it has {", ".join(book.sheet_names)}. '
                "Correct sheet in dataset.yml."
            )
        cells = book.get_sheet_by_name(sheet).to_python()
    except CalamineError:
        raise LabError(
            f"{source.label}: expected an Excel workbook; it cannot be read as one. Save it again."
        ) from None
    texts = ([_as_text(cell, source.file) for cell in row] for row in cells)
    names, rows = _with_header((Record("", row) for row in texts if any(row)), source)
    return _stored(con, names, records.of_width(rows, len(names)), first)


def _as_text(cell: Any, file: File) -> str:
    """A cell as the text that dataset.yml says to expect."""
    if isinstance(cell, dt.date):
        return cell.strftime(file.date_format) if file.date_format else str(cell)
    if isinstance(cell, float):
        return (str(int(cell)) if cell.is_integer() else str(cell)).replace(".", file.decimal)
    return str(cell)


def _stored(con: Any, names: list[str], rows: Iterator[Record], first: int | None) -> ir.Table:
    """Records as a table of the engine, passed on a chunk at a time."""
    name = ibis.util.gen_name("records")
    struct = ", ".join(f"{_quoted(n)}: nullif(fields[{i}], '')" for i, n in enumerate(names, 1))
    types = ", ".join(f"{_identifier(n)} VARCHAR" for n in names)
    con.raw_sql(
        f'CREATE TEMP TABLE {name} (fields STRUCT({types}), "row" BIGINT, '
        "problem VARCHAR, line VARCHAR)"
    )
    numbered = enumerate(itertools.islice(rows, first), 1)
    while chunk := list(itertools.islice(numbered, CHUNK)):
        table = pa.table(
            {
                "fields": pa.array([r.fields for _, r in chunk], pa.list_(pa.string())),
                "row": pa.array([number for number, _ in chunk], pa.int64()),
                "problem": pa.array([r.problem for _, r in chunk], pa.string()),
                "line": pa.array([r.line if r.problem else None for _, r in chunk], pa.string()),
            }
        )
        con.con.register("chunk", table)
        con.raw_sql(f"""
            INSERT INTO {name}
            SELECT CASE WHEN problem IS NULL THEN {{{struct}}} END, "row", problem, line
            FROM chunk""")
        con.con.unregister("chunk")
    return con.table(name)


def shape(value: ir.Value) -> ir.StringValue:
    """The form of a value, digits as 9 and letters as x, so that none is told; 24 signs of it."""
    text = value.cast("string").strip().nullif("")
    return text.re_replace(r"[\p{L}\p{M}]", "x").re_replace(r"\p{N}", "9").substr(0, 24)


def _limit(first: int | None) -> str:
    return "" if first is None else f"LIMIT {first}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
