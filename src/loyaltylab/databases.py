"""Databases to read tables from: PostgreSQL, MySQL, and files of SQLite or DuckDB. Never written.

Each is opened for one transaction that only reads and sees one moment of all its tables. Rows come
as texts, a chunk at a time, with what type they are of; names are quoted, so that none is a command.
An error is told in our words: a database's own may quote a customer's values, or a password.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import duckdb

from loyaltylab.addresses import Address, expanded
from loyaltylab.errors import LabError
from loyaltylab.locations import LEAVES, leaves

CHUNK = 20_000  # rows that pass through Python at once
CONNECTING = 10  # seconds until a server must have answered
WAITING = 60  # seconds for a lock, or for the next rows

Table = tuple[str, ...]
Rows = Sequence[Sequence[str | None]]


class UnreadableError(Exception):
    """Why a database cannot be read: what was found, and what to do."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(f"expected a table to read, found {found}. {advice}")


class Database(Protocol):
    """An open database.

    columns : empty if there is no such table. types : what each column is stored as, a DuckDB type;
    DECIMAL has as many digits behind the mark as its values need.
    """

    def tables(self) -> list[Table]: ...

    def columns(self, table: Table) -> list[str]: ...

    def types(self, table: Table, columns: Sequence[str]) -> list[str]: ...

    def rows(self, table: Table, columns: Sequence[str]) -> Iterator[Rows]: ...


@contextlib.contextmanager
def opened(address: Address, *, label: str, folder: Path) -> Iterator[Database]:
    """The database of an address; folder : of the dataset, where files are.

    Raises UnreadableError if it cannot be opened, or where the block that reads from it fails;
    LabError, which `label` begins, if its address or this machine lacks something.
    """
    if address.kind == "file":
        path = folder / address.database
        _refuse_other_than_file(path, label, folder)
        reader = _duckdb_file if _is_duckdb(path, label) else _sqlite_file
        with reader(path) as database:
            yield database
        return
    parts = ("host", "port", "user", "password", "database")
    given = {name: expanded(getattr(address, name), label=label) for name in parts}
    given = {name: value for name, value in given.items() if value}
    if not given.get("port", "1").isdecimal():
        raise LabError(f"{label}: expected a number as port, found another text. Correct it.")
    with {"postgresql": _postgresql, "mysql": _mysql}[address.kind](given, label) as database:
        yield database


_PRIVILEGE = ("one that this user may not read", "Grant SELECT on it, or name another user.")
_PASSWORD = (
    "a server that refuses this user or its password",
    "Correct the user in dataset.yml, or the password in the environment.",
)
_NO_DATABASE = ("no such database on the server", "Correct its name in dataset.yml.")
_LOCKED = (f"it locked for {WAITING} seconds", "Try again when what writes there has ended.")
_LOST = ("a connection that was lost", "Try again.")
_NO_SERVER = (
    f"no server that answers within {CONNECTING} seconds",
    "Start it, or correct host and port in dataset.yml.",
)


# ---- PostgreSQL

_POSTGRESQL_TYPES = {
    16: "BOOLEAN",
    20: "BIGINT",
    21: "BIGINT",
    23: "BIGINT",
    700: "DOUBLE",
    701: "DOUBLE",
    1082: "DATE",
    1114: "TIMESTAMP",
    1184: "TIMESTAMP",
    1700: "DECIMAL",
}
_WITH_ZONE = 1184
_SQLSTATES = {
    "42501": _PRIVILEGE,
    "55P03": _LOCKED,
    "57014": ("a query that was cancelled", "Try again."),
    "3D000": _NO_DATABASE,
    "28P01": _PASSWORD,
    "28000": _PASSWORD,
}
# What libpq says before there is a session, for which it gives no code.
_REFUSALS = [
    (r"password authentication failed|no password supplied|role .* does not exist", _PASSWORD),
    (r"database .* does not exist", _NO_DATABASE),
    (r"permission denied", _PRIVILEGE),
    (
        r"FATAL",
        (
            "a server that refuses the connection",
            "Ask who runs it: pg_hba.conf, the number of connections, or encryption (PGSSLMODE).",
        ),
    ),
]


@contextlib.contextmanager
def _postgresql(given: Mapping[str, str], label: str) -> Iterator[Database]:
    try:
        import psycopg  # slow to import, and few datasets need it
    except ImportError:
        raise LabError(
            f"{label}: PostgreSQL needs the package psycopg, and it is not installed. "
            "Run pip install psycopg psycopg-binary."
        ) from None
    given = {"dbname" if name == "database" else name: value for name, value in given.items()}
    given["host"] = given["host"].strip("[]")  # of an IPv6 address
    waiting = str(1000 * WAITING)
    con = None
    try:
        con = psycopg.connect(
            **given,
            connect_timeout=CONNECTING,
            application_name="loyaltylab",
            keepalives_idle=CONNECTING,
            tcp_user_timeout=waiting,
            client_encoding="utf8",
        )
        con.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        con.execute("SET LOCAL datestyle = ISO; SET LOCAL TIME ZONE 'UTC'")
        con.execute(f"SET LOCAL lock_timeout = {waiting}")
        yield _PostgreSQL(con)
    except psycopg.Error as error:
        raise UnreadableError(*_said_by_postgresql(error, connected=con is not None)) from None
    finally:
        if con is not None:
            con.close()


def _said_by_postgresql(error: Any, *, connected: bool) -> tuple[str, str]:
    if error.sqlstate in _SQLSTATES:
        return _SQLSTATES[error.sqlstate]
    if connected and error.sqlstate is None:
        return _LOST
    if connected:
        return f"an error while it is read (SQLSTATE {error.sqlstate})", "Mend the table or view."
    return next((told for words, told in _REFUSALS if re.search(words, str(error))), _NO_SERVER)


class _PostgreSQL:
    def __init__(self, con: Any) -> None:
        self.con = con

    def tables(self) -> list[Table]:
        rows = self.con.execute(
            "SELECT nspname, relname, nspname = ANY(current_schemas(false)) "
            "FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
            "WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname <> 'information_schema' "
            "AND nspname !~ '^pg_' ORDER BY 3 DESC, 1, 2"
        )
        return [(name,) if usual else (schema, name) for schema, name, usual in rows]

    def columns(self, table: Table) -> list[str]:
        return list(self._given(table))

    def types(self, table: Table, columns: Sequence[str]) -> list[str]:
        given = self._given(table)
        return [_POSTGRESQL_TYPES.get(given[column], "VARCHAR") for column in columns]

    def _given(self, table: Table) -> dict[str, int]:
        """Column → the number of its type; a domain has that of what it is made of."""
        rows = self.con.execute(
            "SELECT attname, coalesce(nullif(typbasetype, 0), t.oid)::int FROM pg_attribute "
            "JOIN pg_type t ON t.oid = atttypid WHERE attrelid = to_regclass(%s) "
            "AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            [_dotted(table)],
        )
        return dict(rows.fetchall())

    def rows(self, table: Table, columns: Sequence[str]) -> Iterator[Rows]:
        given = self._given(table)
        texts = (
            f"({_name(c)} AT TIME ZONE 'UTC')::text"
            if given[c] == _WITH_ZONE
            else f"{_name(c)}::text"
            for c in columns
        )
        with self.con.cursor(name="loyaltylab") as cursor:
            # Not a query with parameters, in which a % of a name would be one.
            cursor.execute(f"SELECT {', '.join(texts)} FROM {_dotted(table)}")
            yield from _chunks(cursor)


# ---- MySQL

_MYSQL_WHOLE = {1, 2, 3, 8, 9, 13}
_MYSQL_TYPES = dict.fromkeys(_MYSQL_WHOLE, "BIGINT") | {
    0: "DECIMAL",
    246: "DECIMAL",
    4: "DOUBLE",
    5: "DOUBLE",
    7: "TIMESTAMP",
    12: "TIMESTAMP",
    10: "DATE",
}
_MYSQL_ERRORS = {
    1045: _PASSWORD,
    1698: _PASSWORD,
    1044: _NO_DATABASE,
    1049: _NO_DATABASE,
    1142: _PRIVILEGE,
    1143: _PRIVILEGE,
    1205: _LOCKED,
    2003: _NO_SERVER,
}


@contextlib.contextmanager
def _mysql(given: Mapping[str, str], label: str) -> Iterator[Database]:
    try:
        import pymysql
    except ImportError:
        raise LabError(
            f"{label}: MySQL needs the package pymysql, and it is not installed. "
            "Run pip install pymysql."
        ) from None
    settings: dict[str, Any] = {"password": os.environ.get("MYSQL_PWD", "")} | dict(given)
    settings["password"] = settings["password"].encode()  # a text it would take for Latin-1
    settings["port"] = int(given.get("port", 3306))
    con = None
    try:
        con = pymysql.connect(
            **settings,
            charset="utf8mb4",
            connect_timeout=CONNECTING,
            read_timeout=WAITING,
            read_default_file="~/.my.cnf",
            conv=pymysql.converters.encoders,  # values stay the texts that the server sends
        )
        with con.cursor() as cursor:
            cursor.execute("SET SESSION time_zone = '+00:00'")
            cursor.execute(f"SET SESSION lock_wait_timeout = {WAITING}")
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        yield _MySQL(con)
    except pymysql.Error as error:
        code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        lost = _NO_SERVER if con is None else _LOST
        other = (f"an error while it is read (MySQL's number {code})", "Mend the table or view.")
        said = _MYSQL_ERRORS.get(code, lost if code in (0, 2013, 2006) else other)
        raise UnreadableError(*said) from None
    finally:
        if con is not None and con.open:
            con.close()


class _MySQL:
    def __init__(self, con: Any) -> None:
        self.con = con

    def _asked(self, query: str, values: Sequence[str] | None = None) -> list[str]:
        with self.con.cursor() as cursor:
            cursor.execute(query, values)
            return [str(name) for (name,) in cursor.fetchall()]

    def tables(self) -> list[Table]:
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = database()"
        return [(name,) for name in sorted(self._asked(query))]

    def columns(self, table: Table) -> list[str]:
        *schema, name = table
        place = "%s" if schema else "database()"
        named = self._asked(
            "SELECT column_name FROM information_schema.columns "
            f"WHERE table_schema = {place} AND table_name = %s ORDER BY ordinal_position",
            [*schema, name],
        )
        if not named and not schema and table in self.tables():
            self._asked(f"SELECT * FROM {_dotted(table, '`')} LIMIT 0")  # which says why
        return named

    def types(self, table: Table, columns: Sequence[str]) -> list[str]:
        with self.con.cursor() as cursor:
            cursor.execute(self._query(table, columns) + " LIMIT 0")
            return [_MYSQL_TYPES.get(described[1], "VARCHAR") for described in cursor.description]

    @staticmethod
    def _query(table: Table, columns: Sequence[str]) -> str:
        names = ", ".join(_name(column, "`") for column in columns)
        return f"SELECT {names} FROM {_dotted(table, '`')}"

    def rows(self, table: Table, columns: Sequence[str]) -> Iterator[Rows]:
        from pymysql.cursors import SSCursor

        with self.con.cursor(SSCursor) as cursor:
            cursor.execute(self._query(table, columns))
            for chunk in _chunks(cursor):
                yield [[_as_text(value) for value in row] for row in chunk]


# ---- Files


def _unreadable_file(*, locked: bool) -> UnreadableError:
    if locked:
        return UnreadableError("it locked", "Try again when what writes there has ended.")
    return UnreadableError(
        "a file that cannot be read as a database", "Copy it again while nothing writes to it."
    )


def _refuse_other_than_file(path: Path, label: str, folder: Path) -> None:
    if path.exists() and not path.is_file():  # it may have no end, or wait for ever
        raise LabError(
            f"{label}: expected a database file, found a folder, a device or a pipe. "
            "Correct path in dataset.yml."
        )
    if leaves(folder, path):
        raise LabError(LEAVES.format(label=label))


def _is_duckdb(path: Path, label: str) -> bool:
    """Raises LabError if it is a file of neither kind."""
    try:
        with path.open("rb") as file:
            begins = file.read(16)
    except FileNotFoundError:
        raise LabError(
            f"{label}: expected a database file, found none. "
            "Put it there, or correct path in dataset.yml."
        ) from None
    except OSError as error:
        raise LabError(
            f"{label}: expected a database file to read, found none ({error.strerror}). "
            "Correct path in dataset.yml, or its permissions."
        ) from None
    if begins[8:12] == b"DUCK":
        return True
    if begins != b"SQLite format 3\0":
        raise LabError(
            f"{label}: expected an SQLite or DuckDB file, found another kind. "
            "Correct path in dataset.yml, or copy it again."
        )
    return False


@contextlib.contextmanager
def _sqlite_file(path: Path) -> Iterator[Database]:
    with path.open("rb") as file:
        logs = file.read(20)[18] == 2
    # To open a file with a write-ahead log makes two files beside it, unless it is said to rest.
    rests = logs and not path.with_name(f"{path.name}-wal").exists()
    before = path.stat()
    con = None
    try:
        how = "mode=ro&immutable=1" if rests else "mode=ro"
        uri = f"{path.resolve().as_uri()}?{how}"
        con = sqlite3.connect(uri, uri=True, timeout=CONNECTING, isolation_level=None)
        con.text_factory = lambda given: given.decode("utf-8", "backslashreplace")
        con.execute("BEGIN")
        yield _SQLite(con)
        after = path.stat()
        if rests and (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
            raise UnreadableError("one that was written meanwhile", "Try again.")
    except sqlite3.Error as error:
        raise _unreadable_file(locked="locked" in str(error)) from None
    finally:
        if con is not None:
            con.close()


class _SQLite:
    """A value has a type of its own there, whatever is declared of its column."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self.con = con

    def tables(self) -> list[Table]:
        query = (
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
            "AND name NOT LIKE 'sqlite@_%' ESCAPE '@' ORDER BY 1"
        )
        return [(name,) for (name,) in self.con.execute(query)]

    def columns(self, table: Table) -> list[str]:
        if table[:-1] not in ((), ("main",)):
            return []
        query = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid"
        return [name for (name,) in self.con.execute(query, table[-1:])]

    def types(self, table: Table, columns: Sequence[str]) -> list[str]:
        kinds = ", ".join(f"typeof({_name(column)})" for column in columns)
        found = self.con.execute(f"SELECT DISTINCT {kinds} FROM {_dotted(table)}").fetchall()
        return [self._type({row[place] for row in found}) for place in range(len(columns))]

    @staticmethod
    def _type(kinds: set[str]) -> str:
        kinds = kinds - {"null"}
        if kinds == {"integer"}:
            return "BIGINT"
        return "DOUBLE" if kinds and kinds <= {"integer", "real"} else "VARCHAR"

    def rows(self, table: Table, columns: Sequence[str]) -> Iterator[Rows]:
        names = ", ".join(map(_name, columns))
        for chunk in _chunks(self.con.execute(f"SELECT {names} FROM {_dotted(table)}")):
            yield [[_as_text(value) for value in row] for row in chunk]


# A view of it reads no other file, and nothing is written beside it.
_DUCKDB_ALONE: dict[str, Any] = {"enable_external_access": "false", "temp_directory": ""}


@contextlib.contextmanager
def _duckdb_file(path: Path) -> Iterator[Database]:
    con = None
    try:
        con = duckdb.connect(str(path), read_only=True, config=_DUCKDB_ALONE)
        con.execute("BEGIN")
        yield _DuckDB(con)
    except duckdb.Error as error:
        raise _unreadable_file(locked="Could not set lock" in str(error)) from None
    finally:
        if con is not None:
            con.close()


class _DuckDB:
    _KEPT = re.compile(r"BOOLEAN|U?(TINY|SMALL|BIG)?INT(EGER)?|DOUBLE|DATE")

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con

    def tables(self) -> list[Table]:
        rows = self.con.execute(
            "SELECT table_schema, table_name FROM information_schema.tables ORDER BY 1, 2"
        )
        return [(name,) if schema == "main" else (schema, name) for schema, name in rows.fetchall()]

    def columns(self, table: Table) -> list[str]:
        return list(self._given(table))

    def types(self, table: Table, columns: Sequence[str]) -> list[str]:
        given = self._given(table)
        return [self._stored(given[column]) for column in columns]

    def _given(self, table: Table) -> dict[str, str]:
        schema, name = table if len(table) > 1 else ("main", table[0])
        rows = self.con.execute(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position",
            [schema, name],
        )
        return dict(rows.fetchall())

    def _stored(self, given: str) -> str:
        if given.startswith(("DECIMAL", "HUGEINT", "UHUGEINT")):
            return "DECIMAL"
        if given.startswith("TIMESTAMP"):
            return "TIMESTAMP"
        if given == "FLOAT":
            return "DOUBLE"
        return given if self._KEPT.fullmatch(given) else "VARCHAR"

    def rows(self, table: Table, columns: Sequence[str]) -> Iterator[Rows]:
        given = self._given(table)
        texts = (
            f"CAST({_name(c)} AT TIME ZONE 'UTC' AS VARCHAR)"
            if given[c] == "TIMESTAMP WITH TIME ZONE"
            else f"CAST({_name(c)} AS VARCHAR)"
            for c in columns
        )
        yield from _chunks(self.con.execute(f"SELECT {', '.join(texts)} FROM {_dotted(table)}"))


def _chunks(cursor: Any) -> Iterator[Rows]:
    while chunk := cursor.fetchmany(CHUNK):
        yield chunk


def _as_text(value: Any) -> str | None:
    """Bytes, as some systems write their texts, are text if they can be."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


def _name(name: str, quote: str = '"') -> str:
    return quote + name.replace(quote, 2 * quote) + quote


def _dotted(table: Table, quote: str = '"') -> str:
    return ".".join(_name(name, quote) for name in table)
