"""Raw files, read as they are. Grain out: one row of a file.

Every format ends as the same table: fields (struct of the file's own columns: text, but for Parquet
and databases, which carry types), row (1 is the first after the header; blank lines are not counted),
problem (why the row could not be read, missing if it could) and line (such a row as it stands in the
file). No row is left out.
"""

from __future__ import annotations

import contextlib
import glob
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from loyaltylab import headers, records, workbooks
from loyaltylab.errors import LabError
from loyaltylab.headers import Header, holds_values
from loyaltylab.locations import Source, find, refuse_another_kind
from loyaltylab.records import Record

__all__ = ["Source", "find", "holds_values", "read", "whole"]

CHUNK = 20_000  # rows that pass from Python to the engine at once
CHUNK_SIZE = 4_000_000  # fields of them, or so: of a wide file fewer rows pass at once


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
        "database": _read_parquet,  # a copy of its rows, see fetching
    }
    try:
        if source.file.format not in ("parquet", "excel", "database"):
            refuse_another_kind(source)
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
    except duckdb.Error as error:
        # Where bytes of Parquet make no sense, the error is of no kind, or one of the engine's own.
        kinds = (duckdb.InvalidInputException, duckdb.IOException, duckdb.InternalException)
        if not isinstance(error, kinds) and type(error) is not duckdb.Error:
            raise
        which = labels[0] if len(labels) == 1 else f"one of {', '.join(labels)}"
        raise LabError(
            f"{which}: expected a file to read to its end, found it damaged. Export it again."
        ) from error


def _read_csv(con: Any, source: Source, first: int | None) -> ir.Table:
    file = source.file
    lines = records.lines(source.path, file.encoding)
    rows = records.of_csv(lines, delimiter=file.delimiter, quote=file.quote)
    header, rows = headers.taken_off(rows, source)
    if file.encoding == "utf-8":
        try:
            return _read_clean_csv(con, source, header, first)
        except duckdb.Error:  # of several kinds: a line of 100 MB is "not implemented"
            pass  # some row is broken; row by row tells which
    return _stored(con, header.names, records.of_width(rows, len(header.names)), first)


def _read_clean_csv(con: Any, source: Source, header: Header, first: int | None) -> ir.Table:
    """All of the file by the engine, many times faster than row by row.

    Raises duckdb.Error if one row is not as it should be.
    """
    file, name, names = source.file, ibis.util.gen_name("csv"), header.names
    columns = ", ".join(f"c{i}: 'VARCHAR'" for i in range(len(names)))
    fields = ", ".join(f"{_quoted(n)}: c{i}" for i, n in enumerate(names))
    given = header.record.fields or [] if header.record else []
    same = [f"c{i} IS NOT DISTINCT FROM nullif({_quoted(g)}, '')" for i, g in enumerate(given)]
    repeats = " AND ".join(same[: len(names)]) or "false"
    line = _quoted(header.record.line if header.record else "")
    con.raw_sql(f"""
        CREATE TEMP TABLE {name} AS
        SELECT CASE WHEN problem IS NULL THEN fields END AS fields, "row", problem,
            CASE WHEN problem IS NOT NULL THEN {line} END AS line
        FROM (
            SELECT {{{fields}}} AS fields, row_number() OVER () - {len(given) > 0:d} AS "row",
                CASE WHEN {repeats} THEN {_quoted(headers.REPEATED)}
                    -- A file put onto another: its first row is read right, row by row.
                    WHEN starts_with(c0, {_quoted(records.MARK)})
                    THEN error('a mark of byte order') END AS problem
            FROM read_csv({_quoted(glob.escape(str(source.path)))}, columns = {{{columns}}},
                auto_detect = false, header = false, nullstr = '', delim = {_quoted(file.delimiter)},
                quote = {_quoted(file.quote)}, escape = {_quoted(file.quote)},
                max_line_size = {records.LONGEST})
        ) WHERE "row" > 0 {_limit(first)}""")
    return con.table(name)


def _read_text(con: Any, source: Source, first: int | None) -> ir.Table:
    rows = records.of_text(records.lines(source.path, source.file.encoding))
    header, rows = headers.taken_off(rows, source)
    return _stored(con, header.names, records.of_width(rows, len(header.names)), first)


def _read_fixed(con: Any, source: Source, first: int | None) -> ir.Table:
    lines = records.lines(source.path, source.file.encoding)
    rows = records.of_fixed(lines, source.file.widths or [])
    return _stored(con, source.file.names or [], rows, first)


# CASE, since AND may ask json_type of a text that is no JSON, which is an error.
_IS_OBJECT = """CASE WHEN json_valid(fields."text") THEN json_type(fields."text") = 'OBJECT'
    ELSE false END"""
_KEYS = 'json_keys(fields."text")'


def _read_jsonl(con: Any, source: Source, first: int | None) -> ir.Table:
    lines = records.of_json(records.lines(source.path, source.file.encoding))
    raw = _stored(con, ["text"], lines, None).get_name()
    # Keys of all lines: one that the first lines lack is still a column.
    keys = con.raw_sql(f"""
        SELECT DISTINCT unnest(CASE WHEN {_IS_OBJECT} THEN {_KEYS} END) AS k
        FROM {raw} ORDER BY k""").fetchall()
    if not keys:
        raise LabError(
            f"{source.label}: expected a JSON object a line; it has none. "
            "Export it as JSON lines, or correct format."
        )
    pointers = ["/" + key.replace("~", "~0").replace("/", "~1") for (key,) in keys]
    names = headers.named([key for (key,) in keys], source)
    fields = ", ".join(
        f'{_quoted(name)}: json_extract_string(fields."text", {_quoted(pointer)})'
        for name, pointer in zip(names, pointers, strict=True)
    )
    name = ibis.util.gen_name("jsonl")
    con.raw_sql(f"""
        CREATE TEMP TABLE {name} AS
        SELECT CASE WHEN known THEN {{{fields}}} END AS fields, "row", problem,
            CASE WHEN problem IS NOT NULL THEN coalesce(line, fields."text") END AS line
        FROM (
            SELECT * REPLACE (CASE WHEN NOT object THEN coalesce(problem, 'not a JSON object')
                    WHEN twice THEN 'a key given twice' ELSE problem END AS problem),
                object AND NOT twice AS known
            FROM (
                SELECT *, {_IS_OBJECT} AS object,
                    CASE WHEN {_IS_OBJECT} THEN len({_KEYS}) > len(list_distinct({_KEYS}))
                        ELSE false END AS twice
                FROM {raw}
            )
        ) ORDER BY "row" {_limit(first)}""")
    con.drop_table(raw)
    return con.table(name)


def _read_parquet(con: Any, source: Source, first: int | None) -> ir.Table:
    path = _quoted(glob.escape(str(source.path)))
    name = ibis.util.gen_name("parquet")
    try:
        # Names as they are in the file, of which the engine would call a second "a" "a_1".
        given = con.raw_sql(f"DESCRIBE SELECT * FROM read_parquet({path})").fetchall()
        there = con.raw_sql(f"SELECT name, num_children FROM parquet_schema({path})").fetchall()
        headers.named(_top_level(there), source)
        fields = ", ".join(f"{_quoted(n)}: {_as_value(n, dtype)}" for n, dtype, *_ in given)
        # The engine's own number of the row, where no column of the file has taken its name.
        shadowed = any(n.lower() == "file_row_number" for n, *_ in given)
        number = "row_number() OVER ()" if shadowed else "file_row_number + 1"
        con.raw_sql(f"""
            CREATE TEMP VIEW {name} AS
            SELECT {{{fields}}} AS fields, {number} AS "row",
                NULL::VARCHAR AS problem, NULL::VARCHAR AS line
            FROM read_parquet({path}) {_limit(first)}""")
    except duckdb.Error:
        raise LabError(
            f"{source.label}: expected a Parquet file; it cannot be read as one. Export it again."
        ) from None
    return con.table(name)


def _as_value(name: str, dtype: str) -> str:
    """A column of a Parquet file; bytes, as some systems write their texts, are text if they can be."""
    column = _identifier(name)
    return f"coalesce(try(decode({column})), {column}::VARCHAR)" if dtype == "BLOB" else column


def _top_level(schema: Sequence[tuple[str, int | None]]) -> list[str]:
    """The columns' names, from the tree that a Parquet file holds, written branch by branch."""
    names, left = [], [1]  # branches still to come, at each depth
    for name, children in schema:
        while left[-1] == 0:
            left.pop()
        left[-1] -= 1
        if len(left) == 2:
            names.append(name)
        if children:
            left.append(children)
    return names


def _read_excel(con: Any, source: Source, first: int | None) -> ir.Table:
    filled = (Record("\t".join(texts), texts) for texts in workbooks.rows(source))
    header, rows = headers.taken_off(filled, source)
    return _stored(con, header.names, records.of_width(rows, len(header.names)), first)


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
    at_once = min(CHUNK, CHUNK_SIZE // max(len(names), 1) + 1)
    while chunk := list(itertools.islice(numbered, at_once)):
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
            SELECT CASE WHEN fields IS NOT NULL THEN {{{struct}}} END, "row", problem, line
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
