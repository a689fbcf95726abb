"""Tables of databases: read once, at one moment, whatever they are called; no password is ever told.

PostgreSQL is a real one, see tests.postgresql; MySQL too where there is one (MariaDB will do).
"""

import contextlib
import datetime as dt
import decimal
import os
import socket
import sqlite3
import subprocess
import sys
import threading

import duckdb
import pytest

from loyaltylab import addresses, contract, databases, fetching, inspection, locations, sources
from loyaltylab.addresses import Address
from loyaltylab.errors import LabError
from tests import mysql, postgresql
from tests.postgresql import PASSWORD

ORDERS = "order_id, record_id, ordered_at, amount"


def yml(folder, more="", **tables):
    """A dataset; table → its entry in dataset.yml, a path or keys."""
    lines = ["title: A", "currency: EUR", "tables:"]
    for table, entry in tables.items():
        given = {"path": entry} if isinstance(entry, str) else entry
        lines.append(f"  {table}:")
        lines += [f"    {key}: {value}" for key, value in ({"source": "shop"} | given).items()]
    folder.mkdir(exist_ok=True)
    (folder / "dataset.yml").write_text("\n".join([*lines, more]) + "\n", encoding="utf-8")
    return folder


def read(folder):
    return fetching.fetch(contract.load(folder / "dataset.yml"), folder)


def refused(folder):
    with pytest.raises(LabError) as error:
        read(folder)
    assert PASSWORD not in str(error.value)
    return str(error.value).splitlines()


def copy(con, folder, table="orders"):
    """The copy's rows as validation meets them."""
    (file,) = contract.load(folder / "dataset.yml").tables[table]
    (source,) = locations.find(folder, file)
    raw = sources.read(con, source)
    rows = raw.order_by("row").to_pyarrow().to_pylist()
    return [row["fields"] for row in rows], dict(raw["fields"].type().items())


# ---- Addresses


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "postgresql://ann@db.example:5433/shop#sales.orders",
            Address("postgresql", "shop", ("sales", "orders"), "db.example", "5433", "ann"),
        ),
        ("mysql://h/shop#orders", Address("mysql", "shop", ("orders",), "h")),
        (
            'postgres://${WHO}:${WORD}@[::1]:${P}/my%20shop#"Sa.les"."Or""der s"',
            Address(
                *("postgresql", "my shop", ("Sa.les", 'Or"der s')),
                *("[::1]", "${P}", "${WHO}", "${WORD}"),
            ),
        ),
        ("raw/shop.db#Order Lines", Address("file", "raw/shop.db", ("Order Lines",))),
        ("raw/a.DuckDB#main.x", Address("file", "raw/a.DuckDB", ("main", "x"))),
    ],
)
def test_an_address_is_taken_apart(path, expected):
    assert addresses.is_address(path)
    assert addresses.parse(path) == expected
    assert addresses.masked(path) == path  # nothing in it is secret


@pytest.mark.parametrize(
    "path",
    [
        "postgresql://h/shop",
        "postgresql://h/shop#",
        "postgresql://h#orders",
        "mysql://h/shop#a.b.c",
        "mysql://h/shop#a..b",
        'mysql://h/shop#"a',
        "oracle://h/shop#orders",
        "postgresql://h:port/shop#orders",
        "postgresql://h/shop?sslmode=require#orders",
        "sqlite:///raw/shop.db#orders",
        "raw/shop.db",
        "raw/shop.sqlite#",
        "../shop.db#orders",
        "/srv/shop.duckdb#orders",
        '"mysql://h/shop#a\\0b"',
    ],
)
def test_what_is_no_address_is_told_in_one_sentence(tmp_path, path):
    with pytest.raises(LabError) as error:
        contract.load(yml(tmp_path, orders=path) / "dataset.yml")
    (told,) = str(error.value).splitlines()
    assert told.startswith("dataset.yml under tables.orders: path is ") and "; expected a" in told


@pytest.mark.parametrize(
    "path",
    [
        f"postgresql://ann:{PASSWORD}@h:5432/shop#orders",
        f"postgresql://:{PASSWORD}@h/shop#orders",
        f"mysql://ann:{PASSWORD}@h/shop",
        f"mssql://ann:{PASSWORD}@h/shop#orders",
        f"postgresql://an/n:{PASSWORD}@h/shop#orders",
        f"postgresql://ann:{PASSWORD}x${{NAME}}@h/shop#orders",
        "postgresql://ann:marker-alone/shop#orders",
        f"postgresql://h/shop?user=ann&password={PASSWORD}#orders",
        f"postgresql://ann:{'long' * 30}{PASSWORD}@h/shop#orders",
    ],
)
@pytest.mark.parametrize("as_key", ["path", "owner", "pfad", "encoding"])
def test_a_password_in_dataset_yml_is_refused_and_not_repeated(tmp_path, path, as_key):
    entry = {"path": "raw/a.csv"} | {as_key: f"'{path}'"}
    if as_key == "owner":  # which takes any text: what is wrong stands elsewhere
        entry["format"] = "xml"
    with pytest.raises(LabError) as error:
        contract.load(yml(tmp_path, orders=entry) / "dataset.yml")
    assert "marker" not in str(error.value) and "long" not in str(error.value)
    if as_key == "path":
        assert len(str(error.value).splitlines()) == 1
        assert "expected an address" in str(error.value)


def test_a_password_as_path_alone_is_not_repeated(tmp_path):
    text = f"title: A\ncurrency: EUR\ntables:\n  orders: postgresql://a:{PASSWORD}@h/d#t\n"
    (tmp_path / "dataset.yml").write_text(text, encoding="utf-8")
    with pytest.raises(LabError, match="an address without a password") as error:
        contract.load(tmp_path / "dataset.yml")
    assert "marker" not in str(error.value)


@pytest.mark.parametrize(
    "option", ["delimiter: ';'", "encoding: latin-1", "sheet: a", "format: csv"]
)
def test_options_of_files_are_not_for_databases(tmp_path, option):
    key, value = option.split(": ")
    folder = yml(tmp_path, orders={"path": "mysql://h/d#t", key: value})
    with pytest.raises(LabError, match="format"):
        contract.load(folder / "dataset.yml")


def test_a_csv_whose_name_has_the_sign_is_still_a_file(tmp_path):
    folder = yml(tmp_path, orders="raw/orders#1.csv")
    assert contract.load(folder / "dataset.yml").tables["orders"][0].format == "csv"


# ---- SQLite and DuckDB


def sqlite_shop(path, rows=(("1", "K1", "2024-03-01", 9.5),), more=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as con:
        con.executescript(f"CREATE TABLE orders ({ORDERS}, secret); {more}")
        con.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, 'not taken')", rows)
        con.commit()
    return path


def test_sqlite_values_keep_their_kind(con, tmp_path):
    rows = [(1, "Zoë 'x' \"q\"\n;--", "2024-03-01", 9.5), (2, None, "2024-03-02 10:00", 7)]
    sqlite_shop(tmp_path / "raw/shop.db", rows)
    folder = yml(tmp_path, orders="raw/shop.db#orders")
    assert read(folder) == {"raw/shop.db#orders": 2}
    found, types = copy(con, folder)
    assert [tuple(row.values()) for row in found] == [
        (1, "Zoë 'x' \"q\"\n;--", "2024-03-01", 9.5),
        (2, None, "2024-03-02 10:00", 7.0),
    ]
    assert types["order_id"].is_integer() and types["amount"].is_floating()
    assert "secret" not in types  # what the lab does not take stays where it is


@pytest.mark.parametrize("ending", ["db", "duckdb"])
def test_a_file_is_told_by_what_it_holds_and_never_written(con, tmp_path, ending):
    raw = tmp_path / "raw"
    raw.mkdir()
    path = raw / f"shop.{ending}"
    with duckdb.connect(str(path)) as there:
        there.execute("""CREATE SCHEMA "Sa les"; CREATE TABLE "Sa les"."Or""ders" AS
            SELECT 1 AS order_id, 'K' AS record_id, 1.50::DECIMAL(9, 2) AS amount,
            TIMESTAMPTZ '2024-03-01 00:30:00+02' AS ordered_at""")
    content, beside = path.read_bytes(), sorted(raw.iterdir())
    folder = yml(tmp_path, orders=f'\'raw/shop.{ending}#Sa les."Or""ders"\'')
    read(folder)
    assert path.read_bytes() == content and sorted(raw.iterdir()) == beside
    (row,), types = copy(con, folder)
    assert row["ordered_at"] == dt.datetime(2024, 2, 29, 22, 30)  # as UTC has it
    assert row["amount"] == decimal.Decimal("1.50") and types["amount"].scale == 2


def test_a_resting_file_with_a_write_ahead_log_gets_no_files_beside_it(tmp_path):
    path = sqlite_shop(tmp_path / "raw/shop.db", more="PRAGMA journal_mode = wal;")
    assert path.read_bytes()[18] == 2
    before, beside = path.read_bytes(), sorted(path.parent.iterdir())
    assert read(yml(tmp_path, orders="raw/shop.db#orders")) == {"raw/shop.db#orders": 1}
    assert path.read_bytes() == before and sorted(path.parent.iterdir()) == beside == [path]


def test_what_still_stands_in_the_write_ahead_log_is_read(tmp_path):
    path = sqlite_shop(tmp_path / "raw/shop.db", more="PRAGMA journal_mode = wal;")
    with contextlib.closing(sqlite3.connect(path)) as writer:
        writer.execute("INSERT INTO orders VALUES ('2', 'K2', '2024-03-02', 1, '')")
        writer.commit()
        assert read(yml(tmp_path, orders="raw/shop.db#orders")) == {"raw/shop.db#orders": 2}


def test_a_value_without_a_place_in_its_type_stays_text(con, tmp_path):
    (tmp_path / "raw").mkdir()
    with duckdb.connect(str(tmp_path / "raw/a.duckdb")) as there:
        there.execute("""CREATE TABLE orders AS SELECT * FROM (VALUES (1, 'a', DATE 'infinity', 1.5),
            (2, 'b', DATE '2024-03-01', 2.5)) AS t(order_id, record_id, ordered_at, amount)""")
    folder = yml(tmp_path, orders="raw/a.duckdb#orders")
    read(folder)
    rows, types = copy(con, folder)
    assert types["ordered_at"].is_string()
    assert [row["ordered_at"] for row in rows] == ["infinity", "2024-03-01"]


def test_the_order_of_rows_does_not_count(tmp_path):
    rows = [(str(i), f"K{i}", "2024-03-01", i) for i in range(50)]
    sqlite_shop(tmp_path / "raw/shop.db", rows)
    folder = yml(tmp_path, orders="raw/shop.db#orders")
    read(folder)
    stamp = folder / "fetched" / "tables.json"
    first, when = stamp.read_bytes(), stamp.stat().st_mtime_ns
    (tmp_path / "raw/shop.db").unlink()
    sqlite_shop(tmp_path / "raw/shop.db", rows[::-1])
    read(folder)
    assert (stamp.read_bytes(), stamp.stat().st_mtime_ns) == (first, when)
    (tmp_path / "raw/shop.db").unlink()
    sqlite_shop(tmp_path / "raw/shop.db", [*rows[1:], rows[1]])
    read(folder)
    assert stamp.read_bytes() != first


def test_a_copy_that_no_address_names_is_removed(tmp_path):
    sqlite_shop(tmp_path / "raw/shop.db", more=f"CREATE TABLE old ({ORDERS});")
    read(yml(tmp_path, orders="raw/shop.db#old"))
    read(yml(tmp_path, orders="raw/shop.db#orders"))
    kept = sorted(path.name.partition("-")[0] for path in (tmp_path / "fetched").iterdir())
    assert kept == ["orders", "tables.json"]


def test_one_table_may_serve_two(con, tmp_path):
    sqlite_shop(
        tmp_path / "raw/shop.db",
        more=f"CREATE TABLE both ({ORDERS}, started_at, requested_at, visit_id, device_id);"
        "INSERT INTO both VALUES (1, 'K', '2024-03-01', 5, '', '2024-04-01', '', '');",
    )
    columns = "{record_id: record_id}"
    folder = yml(
        tmp_path,
        orders="raw/shop.db#both",
        erasures={"path": "raw/shop.db#both", "columns": columns},
    )
    assert read(folder) == {"raw/shop.db#both": 1}
    assert copy(con, folder, "erasures")[0][0]["requested_at"] == "2024-04-01"


ORDERS_OF_A = "orders: raw/shop.db#orders: "


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            "raw/shop.db#Order",
            "raw/shop.db#Order: table Order not found; there are clients, orders. "
            'Did you mean "orders"?',
        ),
        (
            "raw/shop.db#sales.orders",
            "raw/shop.db#sales.orders: table sales.orders not found; there are clients, orders. "
            'Did you mean "orders"?',
        ),
        (
            {"path": "raw/shop.db#orders", "columns": "{amount: Betrag}"},
            'orders: column "Betrag" not found in raw/shop.db#orders; it has order_id, record_id, '
            "ordered_at, amount, secret. Correct it in dataset.yml under columns, where it is mapped "
            "to amount.",
        ),
        (
            "raw/none.db#orders",
            "raw/none.db#orders: expected a database file, found none. Put it there, or correct path "
            "in dataset.yml.",
        ),
        (
            "raw/text.db#orders",
            "raw/text.db#orders: expected an SQLite or DuckDB file, found another kind. Correct path "
            "in dataset.yml, or copy it again.",
        ),
        (
            "raw/cut.db#orders",
            "raw/cut.db#orders: expected a table to read, found a file that cannot be read as a "
            "database. Copy it again while nothing writes to it.",
        ),
        (
            "raw/cut.duckdb#orders",
            "raw/cut.duckdb#orders: expected a table to read, found a file that cannot be read as a "
            "database. Copy it again while nothing writes to it.",
        ),
        (
            "raw/folder.db#orders",
            "raw/folder.db#orders: expected a database file, found a folder, a device or a pipe. "
            "Correct path in dataset.yml.",
        ),
    ],
)
def test_a_file_that_will_not_do_is_one_sentence(tmp_path, entry, expected):
    path = sqlite_shop(tmp_path / "raw/shop.db", more="CREATE TABLE clients (a);")
    (tmp_path / "raw/text.db").write_text("order_id,record_id\n1,2\n")
    (tmp_path / "raw/cut.db").write_bytes(path.read_bytes()[:5000])
    (tmp_path / "raw/cut.duckdb").write_bytes(b"12345678DUCK" + bytes(5000))
    (tmp_path / "raw/folder.db").mkdir()
    assert refused(yml(tmp_path, orders=entry)) == [expected]
    assert not (tmp_path / "fetched").exists()


def test_a_file_that_is_locked_is_waited_for_and_told(tmp_path, monkeypatch):
    monkeypatch.setattr(databases, "CONNECTING", 0.1)
    path = sqlite_shop(tmp_path / "raw/shop.db")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        (told,) = refused(yml(tmp_path, orders="raw/shop.db#orders"))
    assert told == (
        "raw/shop.db#orders: expected a table to read, found it locked. "
        "Try again when what writes there has ended."
    )


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    sqlite_shop(tmp_path / "raw/shop.db")
    folder = yml(tmp_path, orders="raw/shop.db#order", visits="raw/none.db#a", spend="raw/a.csv")
    problems = inspection.problems(folder, notebooks=tmp_path)
    assert len(problems) == 3
    assert any("table order not found" in problem for problem in problems)
    assert any("raw/none.db#a" in problem for problem in problems)
    assert any("raw/a.csv does not exist" in problem for problem in problems)


def test_the_check_reads_what_is_there(tmp_path):
    sqlite_shop(tmp_path / "raw/shop.db", [("1", "K", "the other day", 1)])
    folder = yml(tmp_path, orders="raw/shop.db#orders")
    (told,) = inspection.problems(folder, notebooks=tmp_path)
    assert "ordered_at is not a date anywhere" in told and "look like xxx xxxxx xxx," in told


def test_without_a_copy_it_is_said_how_to_get_one(tmp_path):
    folder = yml(tmp_path, orders="mysql://h/d#t")
    (told,) = inspection.problems(folder, notebooks=tmp_path, fetch=False)
    assert "expected a copy of its rows in fetched/, found none. Run python -m loyaltylab" in told


@pytest.mark.parametrize(("kind", "package"), [("postgresql", "psycopg"), ("mysql", "pymysql")])
def test_a_missing_driver_is_named(tmp_path, monkeypatch, kind, package):
    monkeypatch.setitem(sys.modules, package, None)
    (told,) = refused(yml(tmp_path, orders=f"{kind}://h/d#t"))
    assert f"needs the package {package}, and it is not installed. Run pip install" in told


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_variable_that_is_not_set_is_named(tmp_path, monkeypatch, kind):
    monkeypatch.delenv("SHOP_WORD", raising=False)
    folder = yml(tmp_path, orders=f"{kind}://ann:${{SHOP_WORD}}@h/d#t")
    assert refused(folder) == [
        f"{kind}://ann:${{SHOP_WORD}}@h/d#t: expected a variable SHOP_WORD in the environment, found "
        "none. Set it."
    ]


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_no_server_is_one_sentence(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("SHOP_WORD", PASSWORD)
    port = postgresql.free_port()
    address = f"{kind}://ann:${{SHOP_WORD}}@127.0.0.1:{port}/shop#orders"
    assert refused(yml(tmp_path, orders=address)) == [
        f"{address}: expected a table to read, found no server that answers within 10 seconds. "
        "Start it, or correct host and port in dataset.yml."
    ]


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_server_that_never_speaks_is_not_waited_for(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(databases, "CONNECTING", 2)
    monkeypatch.setattr(databases, "WAITING", 2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"{kind}://ann@127.0.0.1:{mute.getsockname()[1]}/shop#orders"
        told = []
        reading = threading.Thread(
            target=lambda: told.extend(refused(yml(tmp_path, orders=address))), daemon=True
        )
        reading.start()
        reading.join(20)
    assert len(told) == 1 and "found no server that answers" in told[0]


# ---- PostgreSQL


@pytest.fixture(scope="module")
def server():
    if postgresql.programs() is None:
        pytest.skip("no PostgreSQL here: initdb not found")
    with postgresql.server() as started:
        yield started


@pytest.fixture
def shop(server, monkeypatch):
    """A fresh schema public of the database shop, and the password where libpq looks for it."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with server.connect("shop") as con:
        con.execute("DROP SCHEMA public CASCADE")
        con.execute("CREATE SCHEMA public")
        con.execute("GRANT USAGE ON SCHEMA public TO reader")
        con.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader")
        con.execute(
            "CREATE TABLE orders AS SELECT i AS order_id, 'K' || i AS record_id, "
            "date '2024-01-01' + i AS ordered_at, i::numeric(9, 2) AS amount "
            "FROM generate_series(1, 100) i"
        )
        yield con


def test_types_of_postgresql(con, tmp_path, server, shop):
    shop.execute("CREATE DOMAIN money_of_ours AS numeric(10, 3)")
    shop.execute("""CREATE TABLE typed (order_id bigint, record_id numeric, ordered_at timestamptz,
        amount money_of_ours, margin numeric, channel char(5), status text, returned_amount float8)""")
    shop.execute(
        "INSERT INTO typed VALUES (9007199254740993, 12, '2024-03-31 00:30+02', 1234.5, 0.1, 'a', "
        "%s, 0.1), (2, 7, NULL, NULL, NULL, NULL, '', NULL)",
        ["'; DROP TABLE orders; -- \\ \t\n € 𝄞"],
    )
    folder = yml(tmp_path, orders=server.address("typed"))
    read(folder)
    (least, most), types = copy(con, folder)
    assert list(most.values()) == [
        *(9007199254740993, decimal.Decimal("12"), dt.datetime(2024, 3, 30, 22, 30)),
        *(decimal.Decimal("1234.500"), decimal.Decimal("0.1"), "a"),
        *("'; DROP TABLE orders; -- \\ \t\n € 𝄞", 0.1),
    ]
    assert list(least.values()) == [2, decimal.Decimal("7"), *[None] * 4, "", None]
    assert types["record_id"].scale == 0  # 12, not 12.000, once it is a text


def test_flags_and_days_of_postgresql(con, tmp_path, server, shop):
    shop.execute("""CREATE TABLE people AS SELECT 'K1' AS record_id, true AS loyalty_member,
        NULL::boolean AS consent_marketing, date '1980-02-29' AS birth_date,
        timestamp '2024-03-31 02:30' AS registered_at""")
    folder = yml(tmp_path, orders=server.address("orders"), customers=server.address("people"))
    read(folder)
    (row,), types = copy(con, folder, "customers")
    assert row["loyalty_member"] is True and row["consent_marketing"] is None
    assert row["birth_date"] == dt.date(1980, 2, 29)
    assert row["registered_at"] == dt.datetime(2024, 3, 31, 2, 30)
    assert types["loyalty_member"].is_boolean()


def test_what_is_no_number_is_told_row_by_row_and_not_lost(con, tmp_path, server, shop):
    shop.execute("UPDATE orders SET amount = 'NaN' WHERE order_id = 7")
    folder = yml(tmp_path, orders=server.address("orders"))
    read(folder)
    rows, types = copy(con, folder)
    assert types["amount"].is_string()
    assert {row["order_id"]: row["amount"] for row in rows}[7] == "NaN"


ODD = ['Or"der S.x', "a%s b%%", "'; DROP TABLE orders; --", "Käufe", "select", "order"]


@pytest.mark.parametrize("odd", ODD)
def test_odd_names_are_names(con, tmp_path, server, shop, odd):
    name = '"' + odd.replace('"', '""') + '"'
    with server.connect("shop") as there:
        there.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}".encode())
        there.execute(f"CREATE TABLE {name}.{name} ({name} int, record_id text, Am int)".encode())
        there.execute(f"GRANT USAGE ON SCHEMA {name} TO reader".encode())
        there.execute(f"GRANT SELECT ON {name}.{name} TO reader".encode())
        there.execute(f"INSERT INTO {name}.{name} VALUES (20240101, 'K', 5)".encode())
    columns = "\n".join(
        ["", f"      order_id: {yaml(odd)}", f"      ordered_at: {yaml(odd)}", "      amount: am"]
    )
    address = server.address(f"{name}.{name}")
    folder = yml(tmp_path, orders={"path": yaml(address), "columns": columns})
    assert list(read(folder).values()) == [1]
    assert copy(con, folder)[0] == [{odd: 20240101, "record_id": "K", "am": 5}]
    assert shop.execute("SELECT count(*) FROM orders").fetchone() == (100,)
    shop.execute(f"DROP SCHEMA {name} CASCADE".encode())


def yaml(text):
    return "'" + text.replace("'", "''") + "'"


def test_a_name_is_taken_as_it_is_written(tmp_path, server, shop):
    shop.execute('CREATE TABLE "Orders" AS SELECT * FROM orders LIMIT 3')
    folder = yml(tmp_path, orders=server.address("Orders"))
    assert list(read(folder).values()) == [3]


def test_a_view_is_a_table_too(tmp_path, server, shop):
    shop.execute("CREATE VIEW dear AS SELECT * FROM orders WHERE amount > 90")
    assert list(read(yml(tmp_path, orders=server.address("public.dear"))).values()) == [10]


def test_tables_of_a_database_are_of_one_moment(tmp_path, server, shop, monkeypatch):
    """While the first table is read, somebody adds a row to each, in one transaction."""
    shop.execute("CREATE TABLE lines AS SELECT order_id, 'P' AS product_id, 1 AS quantity, "
                 "amount AS unit_price FROM orders")  # fmt: skip
    original, written = fetching._copy, []

    def copy_and_write(*arguments):
        rows = original(*arguments)
        if not written:
            with shop.transaction():
                shop.execute("INSERT INTO orders VALUES (101, 'K', '2024-01-01', 1)")
                shop.execute("INSERT INTO lines VALUES (101, 'P', 1, 1)")
            written.append(True)
        return rows

    monkeypatch.setattr(fetching, "_copy", copy_and_write)
    folder = yml(tmp_path, orders=server.address("orders"), order_lines=server.address("lines"))
    assert set(read(folder).values()) == {100}
    assert set(read(folder).values()) == {101}


def test_nothing_can_be_written(tmp_path, server, shop):
    shop.execute("GRANT ALL ON orders TO reader")
    shop.execute("CREATE FUNCTION sly() RETURNS int LANGUAGE sql AS "
                 "'DELETE FROM orders RETURNING 1'")  # fmt: skip
    shop.execute("CREATE VIEW trap AS SELECT *, sly() FROM orders")
    shop.execute("CREATE VIEW sly_view AS SELECT sly() AS order_id, record_id, ordered_at, amount "
                 "FROM orders")  # fmt: skip
    shop.execute("GRANT SELECT ON sly_view TO reader")
    (told,) = refused(yml(tmp_path, orders=server.address("sly_view")))
    assert "found an error while it is read (SQLSTATE 25006)" in told  # read_only_sql_transaction
    assert shop.execute("SELECT count(*) FROM orders").fetchone() == (100,)


def test_more_rows_than_pass_at_once(tmp_path, server, shop, monkeypatch):
    monkeypatch.setattr(databases, "CHUNK", 7)
    assert list(read(yml(tmp_path, orders=server.address("orders"))).values()) == [100]


def test_an_empty_table_is_a_table(con, tmp_path, server, shop):
    shop.execute("CREATE TABLE gone (record_id text, requested_at timestamptz)")
    folder = yml(tmp_path, orders=server.address("orders"), erasures=server.address("gone"))
    read(folder)
    rows, types = copy(con, folder, "erasures")
    assert rows == [] and types["requested_at"].is_timestamp()


EXPECTED = ": expected a table to read, found "


def test_errors_of_postgresql_are_one_sentence_each(tmp_path, server, shop, monkeypatch):
    def told(table="orders", **where):
        address = server.address(table, **where)
        (problem,) = refused(yml(tmp_path, orders=yaml(address)))
        assert problem.startswith(address)
        return problem.removeprefix(address).removeprefix(EXPECTED)

    assert told("orderz") == ': table orderz not found; there is orders. Did you mean "orders"?'
    assert told("sales.orders").startswith(": table sales.orders not found; there is orders.")
    assert told(database="shoq").startswith("no such database on the server. Correct its name")
    assert told(user="nobody").startswith("a server that refuses this user or its password.")
    shop.execute("REVOKE SELECT ON orders FROM reader")
    assert told().startswith("one that this user may not read. Grant SELECT")
    shop.execute("REVOKE USAGE ON SCHEMA public FROM reader")
    assert told("public.orders").startswith("one that this user may not read. Grant SELECT")
    monkeypatch.setenv("PGPASSWORD", "wrong")
    assert told().startswith("a server that refuses this user or its password.")
    monkeypatch.delenv("PGPASSWORD")
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    assert told().startswith("a server that refuses this user or its password.")


def test_a_missing_column_is_told_with_those_there(tmp_path, server, shop):
    address = server.address("orders")
    entry = {"path": address, "columns": "{amount: Betrag}"}
    assert refused(yml(tmp_path, orders=entry)) == [
        f'orders: column "Betrag" not found in {address}; it has order_id, record_id, ordered_at, '
        "amount. Correct it in dataset.yml under columns, where it is mapped to amount."
    ]


def test_columns_that_may_be_read_are_enough(tmp_path, server, shop):
    shop.execute("ALTER TABLE orders ADD COLUMN iban text")
    shop.execute("REVOKE SELECT ON orders FROM reader")
    shop.execute(f"GRANT SELECT ({ORDERS}) ON orders TO reader")
    assert list(read(yml(tmp_path, orders=server.address("orders"))).values()) == [100]


def test_of_two_tables_the_one_that_fails_is_named(tmp_path, server, shop):
    shop.execute(
        "CREATE TABLE visits (visit_id int, device_id int, record_id int, started_at date)"
    )
    shop.execute("REVOKE SELECT ON visits FROM reader")
    folder = yml(tmp_path, orders=server.address("orders"), visits=server.address("visits"))
    (told,) = refused(folder)
    assert told.startswith(server.address("visits") + EXPECTED + "one that this user may not read")


def test_a_lock_is_not_waited_for_for_ever(tmp_path, server, shop, monkeypatch):
    monkeypatch.setattr(databases, "WAITING", 1)
    with server.connect("shop") as writer, writer.transaction():
        writer.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        (told,) = refused(yml(tmp_path, orders=server.address("orders")))
    assert "found it locked for" in told


def test_a_value_in_an_error_of_the_server_is_not_told(tmp_path, server, shop):
    shop.execute("CREATE VIEW broken AS SELECT record_id::int AS order_id, record_id, ordered_at, "
                 "amount FROM orders")  # fmt: skip
    (told,) = refused(yml(tmp_path, orders=server.address("broken")))
    assert "(SQLSTATE 22P02)" in told and "K1" not in told


def test_a_copy_stays_where_reading_anew_fails(tmp_path, server, shop):
    folder = yml(tmp_path, orders=server.address("orders"))
    read(folder)
    before = {path: path.read_bytes() for path in (folder / "fetched").iterdir()}
    shop.execute("DROP TABLE orders")
    refused(folder)
    assert {path: path.read_bytes() for path in (folder / "fetched").iterdir()} == before


def test_the_address_may_name_variables(tmp_path, server, shop, monkeypatch):
    monkeypatch.delenv("PGPASSWORD")
    monkeypatch.setenv("SHOP_WORD", PASSWORD)
    monkeypatch.setenv("SHOP_HOST", server.host)
    address = f"postgresql://reader:${{SHOP_WORD}}@${{SHOP_HOST}}:{server.port}/shop#orders"
    folder = yml(tmp_path, orders=address)
    assert read(folder) == {address: 100}
    written = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert PASSWORD.encode() not in written and server.host.encode() not in written


def test_the_password_may_stand_in_pgpass(tmp_path, server, shop, monkeypatch):
    monkeypatch.delenv("PGPASSWORD")
    passes = tmp_path / "pgpass"
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    passes.write_text(f"{server.host}:{server.port}:*:reader:{escaped}\n", encoding="utf-8")
    passes.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passes))
    assert list(read(yml(tmp_path / "d", orders=server.address("orders"))).values()) == [100]


@pytest.mark.parametrize("table", ["orders", "orderz", "locked"])
def test_the_command_tells_no_password(tmp_path, server, shop, table):
    shop.execute("CREATE TABLE locked AS SELECT * FROM orders; REVOKE SELECT ON locked FROM reader")
    folder = yml(tmp_path / "d", orders=server.address(table))
    done = subprocess.run(
        [sys.executable, "-m", "loyaltylab", "fetch", folder],
        env=os.environ | {"PGPASSWORD": PASSWORD},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == (table == "orders")
    assert PASSWORD not in done.stdout + done.stderr and "Traceback" not in done.stderr
    assert len((done.stdout + done.stderr).splitlines()) == 1


# ---- MySQL


@pytest.fixture(scope="module")
def mysql_server():
    if mysql.program() is None:
        pytest.skip("no MariaDB here: mariadbd not found")
    with mysql.server() as started:
        *_, admin = started
        with admin.cursor() as cursor:
            cursor.execute("DELETE FROM mysql.global_priv WHERE user = ''")  # it would come first
            cursor.execute("FLUSH PRIVILEGES")
            cursor.execute("CREATE USER reader IDENTIFIED BY %s", [PASSWORD])
        yield started


@pytest.fixture
def mysql_shop(mysql_server, monkeypatch):
    """An address of a table, and what runs a statement as the owner, in a fresh database shop."""
    monkeypatch.setenv("MYSQL_PWD", PASSWORD)
    host, port, admin = mysql_server

    def run(statement, values=None):
        with admin.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()

    def address(table, user="reader", database="shop"):
        return f"mysql://{user}@{host}:{port}/{database}#{table}"

    run("DROP DATABASE IF EXISTS shop")
    run("CREATE DATABASE shop CHARACTER SET utf8mb4")
    run("USE shop")
    run("CREATE TABLE orders AS SELECT 1 AS order_id, 'K1' AS record_id, "
        "DATE '2024-01-01' AS ordered_at, 9.50 AS amount")  # fmt: skip
    run("GRANT SELECT ON shop.orders TO reader")
    return address, run


def test_types_and_odd_names_of_mysql(con, tmp_path, mysql_shop):
    address, run = mysql_shop
    run("""CREATE TABLE `Or``der "s" %s` (order_id bigint, record_id varchar(50), ordered_at datetime,
        amount decimal(10, 3), `my margin` double, returned_amount decimal(9, 2), status blob)""")
    run("GRANT SELECT ON shop.* TO reader")
    run("""INSERT INTO `Or``der "s" %s` VALUES (1, '', NULL, NULL, NULL, NULL, NULL),
        (9007199254740993, 'Zoë €', '2024-03-31 02:30', 1.5, 0.1, NULL, 'blob')""")
    path = address('"Or`der ""s"" %s"')
    folder = yml(tmp_path, orders={"path": yaml(path), "columns": "{margin: my margin}"})
    assert list(read(folder).values()) == [2]
    (least, most), types = copy(con, folder)
    assert list(most.values()) == [
        *(
            9007199254740993,
            "Zoë €",
            dt.datetime(2024, 3, 31, 2, 30),
            decimal.Decimal("1.500"),
            0.1,
        ),
        *(None, "blob"),
    ]
    assert least["record_id"] == "" and least["amount"] is None
    assert types["amount"].scale == 3


def test_zero_dates_of_mysql_are_told_and_not_lost(con, tmp_path, mysql_shop):
    address, run = mysql_shop
    run("SET sql_mode = ''")
    run("INSERT INTO orders VALUES (2, 'K2', '0000-00-00', 1)")
    folder = yml(tmp_path, orders=address("orders"))
    read(folder)
    assert [row["ordered_at"] for row in copy(con, folder)[0]] == ["2024-01-01", "0000-00-00"]


def test_tables_of_mysql_are_of_one_moment(tmp_path, mysql_shop, monkeypatch):
    address, run = mysql_shop
    run("CREATE TABLE `lines` AS SELECT order_id, 'P' AS product_id, 1 AS quantity, 1.5 AS unit_price "
        "FROM orders")  # fmt: skip
    run("GRANT SELECT ON shop.* TO reader")
    original = fetching._copy

    def copy_and_write(*arguments):
        rows = original(*arguments)
        run("INSERT INTO orders SELECT order_id + 1, record_id, ordered_at, amount FROM orders")
        run(
            "INSERT INTO `lines` SELECT order_id + 1, product_id, quantity, unit_price FROM `lines`"
        )
        return rows

    monkeypatch.setattr(fetching, "_copy", copy_and_write)
    folder = yml(tmp_path, orders=address("orders"), order_lines=address("lines"))
    assert set(read(folder).values()) == {1}


def test_errors_of_mysql_are_one_sentence_each(tmp_path, mysql_shop, monkeypatch):
    address, run = mysql_shop
    run("GRANT SELECT ON shop.* TO reader")

    def told(table="orders", **where):
        path = address(table, **where)
        (problem,) = refused(yml(tmp_path, orders=path))
        return problem.removeprefix(path).removeprefix(EXPECTED)

    assert told("orderz") == ': table orderz not found; there is orders. Did you mean "orders"?'
    assert told(database="shoq").startswith("no such database on the server")
    assert told(user="nobody").startswith("a server that refuses this user or its password.")
    run("CREATE VIEW broken AS SELECT order_id, missing.record_id, ordered_at, amount FROM orders "
        "JOIN (SELECT 'secret-value' AS record_id) missing")  # fmt: skip
    run("ALTER TABLE orders DROP COLUMN ordered_at")
    assert "secret-value" not in told("broken")
    monkeypatch.setenv("MYSQL_PWD", "wrong")
    assert told().startswith("a server that refuses this user or its password.")
    monkeypatch.delenv("MYSQL_PWD")
    assert told().startswith("a server that refuses this user or its password.")


def test_mysql_is_not_written(tmp_path, mysql_shop):
    address, run = mysql_shop
    run("GRANT ALL ON shop.* TO reader")
    run(
        "CREATE FUNCTION sly() RETURNS int MODIFIES SQL DATA BEGIN DELETE FROM orders; RETURN 1; END"
    )
    run("CREATE TABLE others AS SELECT * FROM orders")
    run("CREATE VIEW trap AS SELECT sly() AS order_id, record_id, ordered_at, amount FROM others")
    (told,) = refused(yml(tmp_path, orders=address("trap")))
    assert "MySQL's number 1792" in told  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
    assert run("SELECT count(*) FROM orders") == ((1,),)
    assert PASSWORD not in told
