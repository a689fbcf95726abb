"""A whole report of a dataset whose orders are a table of PostgreSQL, made in a copy of the project."""

import pytest

from tests import postgresql, test_make
from tests.postgresql import PASSWORD
from tests.test_make import copy_of_project, executed, rerun

DATASET = """\
title: Small
currency: EUR
tables:
  orders:
    path: {address}
    source: shop
"""
FILL = """
    CREATE TABLE orders AS
    SELECT 10 * c + i AS order_id, 'K' || c AS record_id, (5 + (c * 7 + i * 13) % 50)::numeric(9, 2)
        AS amount, date '2023-01-01' + (c * 37 % 300) + i * (10 + c * 11 % 60) AS ordered_at
    FROM generate_series(1, 300) c, generate_series(0, 8) i WHERE i <= c % 9
"""


def make(folder, *arguments, password=PASSWORD):
    return test_make.make(folder, *arguments, "DATASET=small", seconds=900, PGPASSWORD=password)


@pytest.fixture(scope="module")
def server():
    if postgresql.programs() is None:
        pytest.skip("no PostgreSQL here: initdb not found")
    with postgresql.server() as started:
        with started.connect("shop") as con:
            con.execute(FILL)
            con.execute("GRANT SELECT ON orders TO reader")
        yield started


@pytest.fixture(scope="module")
def small(server, tmp_path_factory):
    """The report, and what making it said."""
    folder = copy_of_project(tmp_path_factory.mktemp("project"))
    (folder / "data" / "small").mkdir()
    text = DATASET.format(address=server.address("orders"))
    (folder / "data" / "small" / "dataset.yml").write_text(text)
    done = make(folder, "-j2", "report")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout + done.stderr


def test_the_report_is_made_and_its_password_is_nowhere(small):
    folder, told = small
    assert (folder / "reports" / "small" / "index.html").exists()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".parquet" for path in files)
    spellings = [PASSWORD.encode(), repr(PASSWORD).encode(), b"marker-"]
    holding = [p for p in files if any(spelled in p.read_bytes() for spelled in spellings)]
    assert holding == [] and PASSWORD not in told


def test_an_unchanged_table_runs_nothing_again(small):
    folder, _ = small
    before = executed(folder, "small")
    done = make(folder, "report")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if "read." not in line] == [
        "Open reports/small/index.html"
    ]
    assert rerun(before, executed(folder, "small")) == set()


def test_fetch_0_goes_on_with_what_was_read_last(small):
    folder, _ = small
    before = executed(folder, "small")
    assert make(folder, "report", "FETCH=0", password="wrong").returncode == 0
    assert rerun(before, executed(folder, "small")) == set()
    done = make(folder, "report", password="wrong")
    assert done.returncode != 0
    assert "found a server that refuses this user or its password." in done.stderr
    assert "Traceback" not in done.stderr and PASSWORD not in done.stderr


def test_one_changed_value_is_read_and_validated_again(small, server):
    folder, _ = small
    with server.connect("shop") as con:
        con.execute("UPDATE orders SET amount = amount + 1 WHERE order_id = 10")
    before = executed(folder, "small")
    page = "reports/small/executed/01_validation.ipynb"
    done = make(folder, page)
    assert done.returncode == 0, done.stderr
    assert rerun(before, executed(folder, "small")) == {"01_validation"}
