"""Addresses of tables in databases, as dataset.yml writes them. Grain: one table.

    postgresql://user@host:5432/database#schema.table
    mysql://user@host:3306/database#table
    raw/shop.db#table                    an SQLite or DuckDB file

User, host, port, database and password may be ${NAME}, which is looked up in the environment. No
other password is taken: what stands in dataset.yml is committed and shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from loyaltylab.errors import LabError

_ENDINGS = r"\.(db|sqlite|sqlite3|duckdb)"
_FILE = re.compile(rf"(?P<database>[^#]+{_ENDINGS})(#(?P<table>.*))?", re.IGNORECASE | re.DOTALL)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PART = r"[^@:/?#\s]"
_SERVER = re.compile(
    rf"(?P<kind>postgresql|postgres|mysql)://((?P<user>{_PART}+)(:(?P<password>{_VARIABLE.pattern}))?@)?"
    rf"(?P<host>{_PART}+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]+|{_VARIABLE.pattern}))?"
    rf"/(?P<database>{_PART}+)#(?P<table>.+)",
    re.DOTALL,
)
_NAME = re.compile(r'"(?P<quoted>([^"]|"")+)"|(?P<plain>[^".]+)')
# What may be a password: between the user and the last @, or where a port should be.
_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^@/:]*:(?P<password>.*)@", re.DOTALL)
_HARMLESS = re.compile(rf"[^@/:\s]*(:{_VARIABLE.pattern})?@[^@?]*")
_PORT = re.compile(rf"[^@/:\s]*(:([0-9]+|{_VARIABLE.pattern})?)?([/#][^?]*)?")

# What a Spark Connect may be used with.
_TOKEN = re.compile(r"(token=)(?!\$\{)[^;'\"]*", re.IGNORECASE)


@dataclass(frozen=True)
class Address:
    """A table and where it is, as written: variables are still names.

    database : its name on the server, or the path of a file below the dataset's folder.
    table : its name, after that of its schema if one is given.
    """

    kind: Literal["postgresql", "mysql", "file"]
    database: str
    table: tuple[str, ...]
    host: str = ""
    port: str = ""
    user: str = ""
    password: str = ""

    @property
    def place(self) -> tuple[str, ...]:
        """What tables of one database have in common."""
        return (self.kind, self.host, self.port, self.user, self.password, self.database)


def is_address(path: str) -> bool:
    """Whether it means a table of a database, rightly written or not."""
    return "://" in path or _FILE.fullmatch(path) is not None


def parse(path: str) -> Address:
    """Raises ValueError with what was expected; it repeats nothing of the address."""
    given = _PASSWORD.match(path)
    if given and not _VARIABLE.fullmatch(given["password"]):
        raise ValueError(
            "an address without a password: name a variable of the environment instead, "
            "${NAME}, or leave it out for PGPASSWORD, ~/.pgpass or MYSQL_PWD to say it"
        )
    if file := _FILE.fullmatch(path):
        if "://" in path:
            raise ValueError("a path below the dataset's folder, such as raw/shop.db#orders")
        if not file["table"]:
            raise ValueError("a table after the file's name, such as raw/shop.db#orders")
        return Address("file", file["database"], _names(file["table"]))
    server = _SERVER.fullmatch(path)
    if server is None:
        raise ValueError(
            "an address such as postgresql://user@host:5432/database#schema.table, or mysql://…, "
            "or raw/shop.db#table; settings after ? come from the environment"
        )
    parts = {name: unquote(server[name] or "") for name in ("user", "host", "port", "database")}
    kind: Literal["postgresql", "mysql"] = "mysql" if server["kind"] == "mysql" else "postgresql"
    return Address(kind, table=_names(server["table"]), password=server["password"] or "", **parts)


def _names(text: str) -> tuple[str, ...]:
    """schema.table or table; a name with a dot or a quote in it stands in quotes."""
    names, place = [], 0
    while part := _NAME.match(text, place):
        names.append(part["plain"] or part["quoted"].replace('""', '"'))
        place = part.end() + 1
        if text[part.end() : place] != ".":
            break
    if place <= len(text) or len(names) > 2 or not all(map(str.isprintable, names)):
        raise ValueError('a table as table, schema.table or "schema"."table" after #')
    return tuple(names)


def said(names: tuple[str, ...]) -> str:
    """Names as an address has them."""
    plain = re.compile(r'[^".]+')
    return ".".join(
        name if plain.fullmatch(name) else '"' + name.replace('"', '""') + '"' for name in names
    )


def expanded(text: str, *, label: str, environment: Mapping[str, str] = os.environ) -> str:
    """With each ${NAME} as the environment has it. Raises LabError if one is not set there."""
    for name in _VARIABLE.findall(text):
        if not environment.get(name):
            raise LabError(
                f"{label}: expected a variable {name} in the environment, found none. Set it."
            )
    return _VARIABLE.sub(lambda variable: environment[variable[1]], text)


def masked(text: str) -> str:
    """A message without what may be a password or a token in an address that it repeats."""
    text = _TOKEN.sub(r"\1…", text)
    before, sign, after = text.partition("://")
    if not sign or _HARMLESS.fullmatch(after) or ("@" not in after and _PORT.fullmatch(after)):
        return text
    return f"{before}://…{after.rpartition('@')[2].partition('?')[0] if '@' in after else ''}"
