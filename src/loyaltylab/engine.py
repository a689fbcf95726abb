"""The query engine: DuckDB in this process, or an existing Spark, both behind Ibis.

Operations that the two answer differently stand here under a name of their own, each with a test on
both. Everything else in the package is plain Ibis.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.backends.duckdb as ibis_duckdb
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np

from loyaltylab import spark
from loyaltylab.collecting import Bounded
from loyaltylab.contract import Engine


def connect(engine: Engine, *, spill: Path) -> Any:
    """Open the engine; files that do not fit in memory go below `spill` and end with the process.

    Raises LabError if Spark is asked for and cannot be had.
    """
    return spark.connect(engine, spill=spill) if engine.spark else _duckdb(engine, spill)


class _DuckDB(Bounded, ibis_duckdb.Backend):  # type: ignore[misc]
    """DuckDB, bounded."""


def _duckdb(engine: Engine, spill: Path) -> Any:
    settings = engine.duckdb
    options = {"temp_directory": str(spill)}
    if settings.memory_limit:
        options["memory_limit"] = settings.memory_limit
    if settings.threads:
        options["threads"] = str(settings.threads)
    con = _DuckDB().connect(**options)
    con.most_rows = engine.most_rows
    # It would stand among what a command prints; Jupyter has none, and cannot switch it off.
    with contextlib.suppress(duckdb.InvalidInputException):
        con.raw_sql("SET enable_progress_bar = false")
    return con


@ibis.udf.scalar.builtin(name="try_strptime")  # type: ignore[untyped-decorator]
def _try_strptime(text: str, pattern: str) -> ibis.dtype("timestamp"):  # type: ignore[valid-type]
    """DuckDB's own parser of dates; NULL where the text does not fit."""


# A date, or a date and a time of day, and what may follow it: Z, UTC or an offset.
_ISO = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?)?)"
    r" ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)?$"
)


def parse_timestamp(text: ir.StringValue, pattern: str | None) -> ir.TimestampValue:
    """Text to a timestamp by a strptime pattern, by ISO 8601 if None; NULL where it does not fit.

    The time is the one that the clock on the wall showed: an offset that follows it is left out, as
    a day's orders are those of the customer's own day. DuckDB only: raw files are always read in
    this process, whatever engine reads their results.
    """
    if pattern is None:
        return text.re_extract(_ISO, 1).nullif("").try_cast("timestamp")
    return _try_strptime(text, pattern)


def lowercase(text: ir.StringValue) -> ir.StringValue:
    """The text in small letters, each by itself: Spark alone would look at what stands around a Σ,
    and make two letters of İ."""
    return text.replace("İ", "i").replace("Σ", "σ").lower()


@ibis.udf.scalar.builtin(name="list_position")  # type: ignore[untyped-decorator]
def _list_position(values: list[str], text: str) -> int:  # type: ignore[empty-body]
    """DuckDB's place in a list, from 1; missing: not in it. Looked up once of a text that a file names
    once, which of cases it is not."""


def place_among(con: Any, values: Sequence[str], text: ir.StringValue) -> ir.IntegerValue:
    """Where a text stands among these different values, from 0; missing: not there, or missing."""
    listed = ibis.literal(list(values), type="array<string>")
    if con.name == "duckdb":
        return (_list_position(listed, text) - 1).cast("int32")
    return listed.index(text).nullif(-1).cast("int32")


@ibis.udf.scalar.builtin(name="strip_accents")  # type: ignore[untyped-decorator]
def _strip_accents(text: str) -> str:  # type: ignore[empty-body]
    """DuckDB's letters without accents."""


@functools.cache
def _accented() -> tuple[str, str]:
    """Letters with accents, and the plain letter of each in the same order; behind them in the first
    text, marks that are accents by themselves. As DuckDB has it."""
    with duckdb.connect() as con:
        plain = con.execute("""
            SELECT chr(code::INTEGER) AS letter, strip_accents(letter) FROM range(192, 131072) _(code)
            WHERE code NOT BETWEEN 55296 AND 57343""").fetchall()
    changed = sorted(((a, b) for a, b in plain if a != b), key=lambda pair: not pair[1])
    return "".join(letter for letter, _ in changed), "".join(base for _, base in changed)


def without_accents(con: Any, text: ir.StringValue) -> ir.StringValue:
    """Letters without their accents (é as e), small and capital ones as they are."""
    if con.name == "duckdb":  # which takes twenty times as long to translate
        return _strip_accents(text)
    return text.translate(*_accented())


_ROOM = dt.Decimal(38, 20)  # for the digits that an exponent moves
# What thousands marks look like: French exports write a space that does not break.
_SPACE = "[ \u00a0\u202f]"
_MARKS = {" ": "[ \u00a0\u202f]", "'": "['\u2019]"}


def parse_number(
    text: ir.StringValue,
    dtype: dt.DataType,
    *,
    decimal: str,
    thousands: str,
    sign: str | None = None,
) -> ir.NumericValue:
    """Text to a finite number of `dtype`; NULL where it is none, or has no place in the type.

    A number: digits, a sign before them, the decimal mark, an exponent. Thousands marks stand before
    each three digits or nowhere, so that 1.50 with dots for thousands is no number rather than 150.
    2.0 is a whole number, 2.5 is not. `sign`, such as €, may stand before or behind it.
    Decimals are rounded to the scale of `dtype`. DuckDB only.
    """
    digits, mark, point = "[0-9]+", "", re.escape(decimal)
    if thousands:
        mark = _MARKS.get(thousands, re.escape(thousands))
        digits = rf"([0-9]+|[0-9]{{1,3}}({mark}[0-9]{{3}})+)"
    fraction = rf"{point}0*" if dtype.is_integer() else rf"{point}[0-9]*"
    number = rf"{digits}({fraction})?"
    if not dtype.is_integer():
        number = rf"({number}|{point}[0-9]+)([eE][+-]?[0-9]+)?"
    forms = rf"[+-]?{number}"
    if sign:
        said = re.escape(sign)
        before, behind = rf"{said}{_SPACE}?", rf"{_SPACE}?{said}"
        forms = rf"{forms}|{before}{forms}|[+-]{before}{number}|{forms}{behind}"
    text = text.re_search(rf"^({forms})$").ifelse(text, ibis.null("string"))
    if sign:
        text = text.replace(sign, "").re_replace(rf"^([+-]?){_SPACE}|{_SPACE}$", r"\1")
    if mark:
        text = text.re_replace(mark, "")
    if dtype.is_integer():
        return text.re_replace(rf"{fraction}$", "").try_cast(dtype)
    text = text.replace(decimal, ".")
    value = text.try_cast(dtype)
    if dtype.is_floating():
        return value.isinf().ifelse(ibis.null(dtype), value)
    # DuckDB rounds at each digit that an exponent moves, 5E-10 up to .0001: with room, it does once.
    return text.re_search("[eE]").ifelse(text.try_cast(_ROOM).try_cast(dtype), value)


def keep(con: Any, rows: ir.Table, name: str) -> ir.Table:
    """The rows as a temporary table, computed once. Spark has none such: there it is a view."""
    if con.name == "duckdb":
        return con.create_table(ibis.util.gen_name(name), rows, temp=True)
    return con.create_view(ibis.util.gen_name(name), rows)


Hashes = np.ndarray[Any, np.dtype[Any]]
_AT_ONCE = 1 << 24  # hashes sorted at once: 128 MB


def mark_repeated(
    con: Any,
    rows: ir.Table,
    key: Mapping[str, ir.Value],
    *,
    into: str,
    onto: ir.Table | None = None,
) -> ir.Table:
    """Adds `into`: whether another row may have the same key; a row that lacks a part of it has none.

    onto : the same rows with further columns, to be marked instead; so that many marks are each
    computed from rows that have none yet.

    "May", since keys are compared by a hash: true wherever a key is twice, and false where it is
    once, but for a collision.
    """
    hashed, whole = _hash(con, key)
    hashes = rows.filter(whole).select(_hash=hashed)
    if con.name == "duckdb":
        # Sorting hashes here takes a third of the time and memory that DuckDB needs to group as
        # many different values (measured at 10 million).
        parts = _parts(con, rows)
        found = np.concatenate([_twice(values) for values in _sorted(con, hashes, parts)])
        repeated = ibis.memtable({"_hash": found}) if len(found) else None
    else:
        counted = hashes.group_by("_hash").agg(n=hashes.count())
        repeated = counted.filter(counted["n"] > 1)
    again = whole & hashed.isin(repeated["_hash"]) if repeated is not None else ibis.literal(False)
    return (rows if onto is None else onto).mutate(**{into: again})


def mark_unknown(
    con: Any,
    rows: ir.Table,
    columns: Sequence[str],
    *,
    there: ir.Table,
    into: str,
    onto: ir.Table | None = None,
) -> ir.Table:
    """Adds `into`: whether no row of `there` has the same values in these columns; a row that lacks
    one of them is not marked. onto : as in `mark_repeated`.

    On DuckDB values are compared by a hash of 64 bits: that of 10 million different ones a single one
    passes for one of a million others has a chance of 1 in 2 million.
    """
    hashed, whole = _hash(con, {name: rows[name] for name in columns})
    if con.name == "duckdb":
        of_there, known = _hash(con, {name: there[name] for name in columns})
        asked = rows.filter(whole).select(_hash=hashed)
        given = there.filter(known).select(_hash=of_there)
        parts = _parts(con, rows)
        both = zip(_sorted(con, asked, parts), _sorted(con, given, parts), strict=True)
        found = np.concatenate([_without(values, others) for values, others in both])
        missing = ibis.memtable({"_hash": found}) if len(found) else None
        unknown = (
            whole & hashed.isin(missing["_hash"]) if missing is not None else ibis.literal(False)
        )
        return (rows if onto is None else onto).mutate(**{into: unknown})
    rows = rows if onto is None else onto
    renamed = {f"{into}_{name}": name for name in columns}
    known_keys = there.select(*columns).distinct().rename(renamed).mutate(_there=True)
    joined = rows.left_join(
        known_keys, [rows[name] == known_keys[new] for new, name in renamed.items()]
    )
    whole = ibis.and_(*(joined[name].notnull() for name in columns))
    return joined.mutate(**{into: whole & joined["_there"].isnull()}).drop("_there", *renamed)


def count_distinct(rows: ir.Table, columns: Sequence[str]) -> int:
    """How many different rows there are of these columns, missing values being alike.

    On DuckDB by a hash of 64 bits, as in `mark_unknown`: of 100 million different ones two pass for
    one with a chance of 1 in 4,000, and counting them takes a third of the time and memory.
    """
    con = rows.get_backend()
    if con.name != "duckdb":
        return int(con.execute(rows.select(*columns).distinct().count()))
    hashes = rows.select(_hash=hashed(con, ibis.struct({name: rows[name] for name in columns})))
    return sum(len(_once(values)) for values in _sorted(con, hashes, _parts(con, rows)))


# Not Ibis' own hash(), which is 32 bits wide on Spark, and twice as slow as it need be on DuckDB.
@ibis.udf.scalar.builtin(name="hash")  # type: ignore[untyped-decorator]
def _duckdb_hash(key) -> dt.uint64:  # type: ignore[no-untyped-def]
    """DuckDB's hash of a struct."""


@ibis.udf.scalar.builtin(name="xxhash64")  # type: ignore[untyped-decorator]
def _spark_hash(key) -> dt.int64:  # type: ignore[no-untyped-def]
    """Spark's hash of a struct."""


def hashed(con: Any, value: ir.Value) -> ir.IntegerValue:
    """A hash of 64 bits; each engine has its own."""
    return _duckdb_hash(value) if con.name == "duckdb" else _spark_hash(value)


def lot(text: ir.StringValue, *, seed: int = 0) -> ir.StringValue:
    """What a row draws: the lowest are taken, on every engine the same. MD5, for that reason."""
    return (ibis.literal(f"{seed} ") + text.cast("string")).hexdigest("md5")


@ibis.udf.scalar.builtin(name="epoch")  # type: ignore[untyped-decorator]
def _epoch(time: dt.timestamp) -> float:  # type: ignore[empty-body]
    """DuckDB's seconds since 1970, with their fraction."""


def whole_seconds(con: Any, time: ir.TimestampValue) -> ir.IntegerValue:
    """Seconds since 1970 that are over. DuckDB would round them up from half a second on, and takes
    three times as long to cut the time off before."""
    if con.name == "duckdb":
        return _epoch(time).floor().cast("int64")
    return time.truncate("s").epoch_seconds().cast("int64")  # Ibis takes it for 32 bits


def at_second(con: Any, seconds: ir.IntegerValue) -> ir.TimestampValue:
    """The time so many seconds after 1970 began. DuckDB looks up the time zone of each where it is asked
    of seconds, which takes many times as long; Spark has it of seconds alone."""
    if con.name == "duckdb":
        return (seconds * 1000).as_timestamp("ms")
    return seconds.as_timestamp("s")


def _hash(con: Any, key: Mapping[str, ir.Value]) -> tuple[ir.Value, ir.BooleanValue]:
    """A key's hash of 64 bits, and whether all of its parts are there."""
    whole = ibis.struct(dict(key))
    return hashed(con, whole), ibis.and_(*(value.notnull() for value in key.values()))


def _parts(con: Any, rows: ir.Table) -> int:
    """In how many parts to sort the hashes of so many rows."""
    return 1 + int(con.execute(rows.count())) // _AT_ONCE


def _sorted(con: Any, hashes: ir.Table, parts: int) -> Iterator[Hashes]:
    """The column `_hash`, a part of all values at a time, each sorted."""
    for part in range(parts):
        some = hashes.filter(hashes["_hash"] % parts == part) if parts > 1 else hashes
        values = np.asarray(con.raw_sql(con.compile(some)).fetchnumpy()["_hash"])
        values.sort()
        yield values


def _twice(values: Hashes) -> Hashes:
    """Of sorted values, those that come more than once."""
    return _once(values[1:][values[1:] == values[:-1]])


def _once(values: Hashes) -> Hashes:
    """Sorted values without repetitions; np.unique would hash them, which takes ten times as long."""
    return values[np.append(True, values[1:] != values[:-1])] if len(values) else values


def _without(values: Hashes, others: Hashes) -> Hashes:
    """Of sorted values, those that are not among others, which are sorted too."""
    values = _once(values)
    if not len(others):
        return values
    nearest = np.minimum(np.searchsorted(others, values), len(others) - 1)
    return values[others[nearest] != values]
