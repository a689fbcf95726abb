"""Raw files, read as they are. Grain out: one row of a file.

Every format ends as the same kind of table: the file's own columns (text, but for Parquet, which
carries types), `_file` (path as written in dataset.yml), `_row` (1 is the first row after the header;
lines, not rows, are counted past a line break within quotes), `_problem` (why the row could not be
read, missing if it could) and `_line` (such a row as it stands in the file). No row is left out.
"""

from __future__ import annotations

import csv
import importlib.resources
import importlib.util
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from python_calamine import CalamineError, CalamineWorkbook

from loyaltylab.contract import File
from loyaltylab.errors import LabError

PACKAGE = "package:"
KEYS_LOOKED_AT = 10_000  # lines of a JSON lines file whose keys become its columns


@dataclass(frozen=True)
class Source:
    """One file on disk: where it is, what messages call it, and how dataset.yml says to read it."""

    path: Path
    label: str
    file: File


def find(folder: Path, file: File) -> list[Source]:
    """The files that an entry of dataset.yml means, in order of their names.

    Raises LabError if there is none, or if one is empty or no file.
    """
    if file.path.startswith(PACKAGE):
        paths = {file.path: _inside_package(file.path.removeprefix(PACKAGE))}
    elif any(mark in file.path for mark in "*?["):
        paths = {str(p.relative_to(folder)): p for p in sorted(folder.glob(file.path))}
    else:
        paths = {file.path: folder / file.path}
    if not paths:
        raise LabError(f"expected a file matching {file.path}, found none in {folder.name}/.")
    for label, path in paths.items():
        if not path.exists():
            raise LabError(f"{label} does not exist. Put it there, or correct path in dataset.yml.")
        if not path.is_file():
            raise LabError(f"{label}: expected a file, found a folder. Name the file in it.")
        if path.stat().st_size == 0:
            raise LabError(f"{label} is empty: expected a table with rows. Export it again.")
    return [Source(path, label, file) for label, path in paths.items()]


def _inside_package(inner: str) -> Path:
    package, _, rest = inner.partition("/")
    if not package.isidentifier() or importlib.util.find_spec(package) is None:
        raise LabError(f'package "{package}" is not installed: expected it to hold {rest}.')
    return Path(str(importlib.resources.files(package))) / rest


def read(
    con: ibis.BaseBackend, source: Source, *, scratch: Path, first: int | None = None
) -> ir.Table:
    """Read a file into the engine; text in another encoding is first rewritten below `scratch`.

    first : so many rows and no more; all of them if None.
    Raises LabError if the file as a whole cannot be read as what dataset.yml says it is.
    """
    readers: dict[str, Callable[[Any, Source, Path, str], ir.Table]] = {
        "csv": _read_csv,
        "text": _read_text,
        "fixed": _read_fixed,
        "jsonl": _read_jsonl,
        "parquet": _read_parquet,
        "excel": _read_excel,
    }
    limit = "" if first is None else f"LIMIT {first}"
    raw = readers[source.file.format](con, source, scratch, limit)
    return raw.mutate(_file=ibis.literal(source.label))


def _read_csv(con: Any, source: Source, scratch: Path, limit: str) -> ir.Table:
    file, path = source.file, _as_utf8(source, scratch)
    names = file.names or _header(source)
    columns = ", ".join(f"{_quoted(n)}: 'VARCHAR'" for n in names)
    raw, rejects = ibis.util.gen_name("raw"), ibis.util.gen_name("rejects")
    con.raw_sql(f"""
        CREATE TEMP TABLE {raw} AS SELECT *, row_number() OVER () AS "_read"
        FROM read_csv({_quoted(str(path))}, columns = {{{columns}}}, auto_detect = false,
            header = {file.names is None}, delim = {_quoted(file.delimiter)},
            quote = {_quoted(file.quote)}, escape = {_quoted(file.quote)}, nullstr = '',
            max_line_size = 16777216, ignore_errors = true, store_rejects = true,
            rejects_table = '{rejects}', rejects_scan = '{rejects}_scan') {limit}""")
    # `_read` counts the rows that could be read. The k-th of them stands k plus the number of
    # unreadable rows before it into the file.
    header = 0 if file.names else 1
    values = ", ".join(f"r.{_identifier(n)}" for n in names)
    nothing = ", ".join("NULL::VARCHAR" for _ in names)
    table = ibis.util.gen_name("csv")
    con.raw_sql(f"""
        CREATE TEMP TABLE {table} AS
        WITH bad AS (
            SELECT line - {header} AS "_row", arg_min(error_message, column_idx) AS error_message,
                any_value(csv_line) AS csv_line
            FROM {rejects} GROUP BY line
        ), shift AS (
            SELECT "_row" - row_number() OVER (ORDER BY "_row") + 1 AS "_read",
                row_number() OVER (ORDER BY "_row") AS skipped
            FROM bad
        ), last_shift AS (SELECT "_read", max(skipped) AS skipped FROM shift GROUP BY "_read")
        SELECT {values}, r."_read" + coalesce(s.skipped, 0) AS "_row",
            NULL::VARCHAR AS "_problem", NULL::VARCHAR AS "_line"
        FROM {raw} r ASOF LEFT JOIN last_shift s ON r."_read" >= s."_read"
        UNION ALL
        SELECT {nothing}, "_row", 'row cannot be read: ' || {_REJECT_IN_WORDS}, trim(csv_line, chr(10) || chr(13))
        FROM bad
        ORDER BY "_row" """)
    con.raw_sql(f"DROP TABLE {raw}; DROP TABLE {rejects}; DROP TABLE {rejects}_scan")
    return _undecodable(con.table(table), source)


# DuckDB's messages quote the row, which may hold personal data: only their kind is kept.
_REJECT_IN_WORDS = """CASE
    WHEN error_message ILIKE '%Expected Number of Columns%' THEN 'wrong number of fields'
    WHEN error_message ILIKE '%unterminated quote%' THEN 'a quote that is not closed'
    WHEN error_message ILIKE '%unicode%' OR error_message ILIKE '%utf-8%' THEN 'not UTF-8 text'
    WHEN error_message ILIKE '%maximum line size%' THEN 'line too long'
    ELSE 'not as the rest of the file' END"""


def _header(source: Source) -> list[str]:
    file = source.file
    with source.path.open(encoding=_codec(file), errors="replace", newline="") as lines:
        quoting = csv.QUOTE_MINIMAL if file.quote else csv.QUOTE_NONE
        rows = csv.reader(
            lines, delimiter=file.delimiter, quotechar=file.quote or None, quoting=quoting
        )
        names = [name.strip() for name in next(rows, [])]
    return _distinct(names, source)


def _distinct(names: list[str], source: Source) -> list[str]:
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise LabError(
            f'{source.label}: the header names column "{twice}" twice. Rename one in the export.'
        )
    if not all(names):
        raise LabError(
            f"{source.label}: the header has a column without a name; it has "
            f"{', '.join(names)}. Name it, or give names in dataset.yml."
        )
    return names


def _codec(file: File) -> str:
    return "utf-8-sig" if file.encoding == "utf-8" else file.encoding


def _as_utf8(source: Source, scratch: Path) -> Path:
    """The file itself if it is UTF-8, else a copy in UTF-8 in which U+FFFD marks unreadable bytes."""
    if source.file.encoding == "utf-8":
        return source.path
    copy = scratch / f"{ibis.util.gen_name('text')}.txt"
    scratch.mkdir(parents=True, exist_ok=True)
    with (
        source.path.open(encoding=source.file.encoding, errors="replace", newline="") as raw,
        copy.open("w", encoding="utf-8", newline="") as text,
    ):
        while block := raw.read(1 << 20):
            text.write(block)
    return copy


def _undecodable(table: ir.Table, source: Source) -> ir.Table:
    """Mark the rows in which _as_utf8 met bytes that are no text in the stated encoding."""
    if source.file.encoding == "utf-8":
        return table
    names = [n for n in table.columns if not n.startswith("_")]
    spoilt = ibis.or_(*(table[n].contains("\ufffd").fill_null(False) for n in names))
    problem = f"row cannot be read: not {source.file.encoding} text"
    return table.mutate(_problem=spoilt.ifelse(problem, table["_problem"]))


def _lines(con: Any, source: Source, scratch: Path, limit: str) -> ir.Table:
    """Grain: one line that is not blank; columns line, _row (blank lines count)."""
    path, name = _as_utf8(source, scratch), ibis.util.gen_name("lines")
    # \x1f (unit separator) stands in for "no delimiter", which DuckDB does not know.
    con.raw_sql(f"""
        CREATE TEMP TABLE {name} AS
        SELECT * FROM (
            SELECT line, row_number() OVER () AS "_row"
            FROM read_csv({_quoted(str(path))}, columns = {{'line': 'VARCHAR'}}, header = false,
                auto_detect = false, delim = '\x1f', quote = '', escape = '',
                max_line_size = 16777216, null_padding = true)
        ) WHERE trim(coalesce(line, '')) <> '' {limit}""")
    return con.table(name)


def _read_text(con: Any, source: Source, scratch: Path, limit: str) -> ir.Table:
    names = source.file.names
    lines = _lines(con, source, scratch, limit)
    if names is None:
        with source.path.open(encoding=_codec(source.file), errors="replace") as text:
            names = _distinct(next(filter(str.strip, text), "").split(), source)
        lines = lines.mutate(_row=lines["_row"] - 1).filter(lambda t: t["_row"] > 0)
    fields = lines["line"].strip().re_split(r"\s+")
    values = {name: fields[i] for i, name in enumerate(names)}
    whole, none = fields.length() == len(names), ibis.null("string")
    table = lines.select(
        **values,
        _row=lines["_row"],
        _problem=whole.ifelse(none, "row cannot be read: wrong number of fields"),
        _line=whole.ifelse(none, lines["line"]),
    )
    return _undecodable(table, source)


def _read_fixed(con: Any, source: Source, scratch: Path, limit: str) -> ir.Table:
    names, widths = source.file.names or [], source.file.widths or []
    lines = _lines(con, source, scratch, limit)
    starts = itertools.accumulate(widths, initial=0)
    values = {
        name: lines["line"].substr(start, width).strip().nullif("")
        for name, start, width in zip(names, starts, widths, strict=False)
    }
    return _undecodable(_readable(lines.select(**values, _row=lines["_row"])), source)


# CASE, since AND may ask json_type of a text that is no JSON, which is an error.
_IS_OBJECT = "CASE WHEN json_valid(line) THEN json_type(line) = 'OBJECT' ELSE false END"


def _read_jsonl(con: Any, source: Source, scratch: Path, limit: str) -> ir.Table:
    lines = _lines(con, source, scratch, limit).get_name()
    keys = con.raw_sql(f"""
        SELECT DISTINCT unnest(CASE WHEN {_IS_OBJECT} THEN json_keys(line) END) AS k
        FROM (FROM {lines} ORDER BY "_row" LIMIT {KEYS_LOOKED_AT}) ORDER BY k""").fetchall()
    names = _distinct([key for (key,) in keys], source)
    pointers = {n: "/" + n.replace("~", "~0").replace("/", "~1") for n in names}
    values = "".join(
        f"CASE WHEN ok THEN json_extract_string(line, {_quoted(pointer)}) END AS {_identifier(n)}, "
        for n, pointer in pointers.items()
    )
    table = ibis.util.gen_name("jsonl")
    con.raw_sql(f"""
        CREATE TEMP TABLE {table} AS
        SELECT {values} "_row",
            CASE WHEN NOT ok THEN 'row cannot be read: not a JSON object' END AS "_problem",
            CASE WHEN NOT ok THEN line END AS "_line"
        FROM (SELECT *, {_IS_OBJECT} AS ok FROM {lines})""")
    return con.table(table)


def _read_parquet(con: Any, source: Source, scratch: Path, limit: str) -> ir.Table:
    try:
        table = con.read_parquet(source.path, file_row_number=True)
    except Exception as error:
        raise LabError(
            f"{source.label}: expected a Parquet file; it cannot be read as one."
        ) from error
    return _readable(table.mutate(_row=table["file_row_number"] + 1).drop("file_row_number"))


def _read_excel(con: Any, source: Source, scratch: Path, limit: str) -> ir.Table:
    try:
        book = CalamineWorkbook.from_path(source.path)
    except CalamineError as error:
        raise LabError(
            f"{source.label}: expected an Excel workbook; it cannot be read as one."
        ) from error
    sheet = source.file.sheet or book.sheet_names[0]
    if sheet not in book.sheet_names:
        raise LabError(
            f'{source.label}: sheet "{sheet}" not found; it has {", ".join(book.sheet_names)}. '
            "Correct sheet in dataset.yml."
        )
    rows: Iterator[list[Any]] = iter(book.get_sheet_by_name(sheet).to_python())
    names = source.file.names or _distinct([str(n).strip() for n in next(rows, [])], source)
    cells = list(rows)
    columns = {
        name: pa.array([_as_text(row[i]) for row in cells], pa.string())
        for i, name in enumerate(names)
    }
    numbered = pa.table(columns | {"_row": pa.array(range(1, len(cells) + 1), pa.int64())})
    return _readable(con.create_table(ibis.util.gen_name("excel"), numbered, temp=True))


def _readable(table: ir.Table) -> ir.Table:
    """A format in which a row, once the file opens, cannot fail by itself."""
    return table.mutate(_problem=ibis.null("string"), _line=ibis.null("string"))


def _as_text(cell: Any) -> str | None:
    """A cell as text: dates as ISO 8601, whole numbers without a fraction, empty as missing."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return None if cell == "" else str(cell)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
