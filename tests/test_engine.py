"""The engine: its settings, and that DuckDB and Spark answer alike."""

import datetime as dt
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loyaltylab import engine, retention
from loyaltylab.contract import DuckDB, Engine
from loyaltylab.errors import LabError
from loyaltylab.lifetime_value import summarise
from loyaltylab.purchases import purchase_days


def setting(con, name):
    return con.raw_sql(f"SELECT current_setting('{name}')").fetchone()[0]


def test_duckdb_keeps_to_its_settings(tmp_path):
    con = engine.connect(Engine(duckdb=DuckDB(memory_limit="256MiB", threads=1)), spill=tmp_path)
    assert setting(con, "memory_limit") == "256.0 MiB"
    assert setting(con, "threads") == 1
    assert setting(con, "temp_directory") == str(tmp_path)


def test_what_does_not_fit_is_spilled(tmp_path):
    """A sort of 80 MB within 64 MB: done, by files below the folder that was named."""
    con = engine.connect(Engine(duckdb=DuckDB(memory_limit="64MiB", threads=1)), spill=tmp_path)
    con.raw_sql("CREATE TABLE t AS SELECT hash(range) AS h, range AS i FROM range(5_000_000)")
    reader = con.table("t").order_by("h").to_pyarrow_batches(chunk_size=10_000)
    next(reader)
    assert any(tmp_path.iterdir())
    reader.close()
    con.disconnect()


def test_days_do_not_depend_on_where_the_machine_is(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    con = engine.connect(Engine(), spill=tmp_path)
    assert setting(con, "TimeZone") == "UTC"


def test_spark_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(LabError) as error:
        engine.connect(Engine(spark="local[2]"), spill=tmp_path)
    assert str(error.value) == "engine: spark needs the package pyspark. Run make spark."


def test_spark_without_java(tmp_path, monkeypatch):
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda _: True)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(LabError, match="engine: spark needs Java, and none is on the path"):
        engine.connect(Engine(spark="local[2]"), spill=tmp_path)


# ---- Both engines on the same file.


@pytest.fixture(scope="module")
def orders_file(tmp_path_factory):
    """Orders of forty customers over two years, some twice on a day, as validation writes them."""
    n = 400
    start = dt.datetime(2022, 1, 1, 23, 30)
    amounts = [Decimal(i * 37 % 1000) / 100 for i in range(n)]
    path = tmp_path_factory.mktemp("shop") / "orders.parquet"
    table = {
        "source": ["shop"] * n,
        "record_id": [str(i * 17 % 40) for i in range(n)],
        "ordered_at": [start + dt.timedelta(hours=i * i * 7 % 17_000) for i in range(n)],
        "amount": pa.array(amounts, pa.decimal128(18, 4)),
    }
    pq.write_table(pa.table(table), path)
    return path


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    if lacks := engine.spark_lacks():
        pytest.skip(lacks)
    spill = tmp_path_factory.mktemp("spill")
    spark = engine.connect(Engine(spark="local[2]"), spill=spill)
    yield engine.connect(Engine(), spill=spill), spark
    spark.disconnect()


def on_both(engines, orders_file, query):
    answers = []
    for con in engines:
        orders = con.read_parquet(str(orders_file))
        orders = orders.mutate(person_id=orders["source"] + ":" + orders["record_id"])
        answers.append(query(orders))
    return answers


def test_totals_are_the_same_on_both(engines, orders_file):
    def totals(orders):
        found = orders.group_by("person_id").agg(
            orders=orders.count(),
            amount=orders["amount"].sum(),
            days=orders["ordered_at"].date().nunique(),
            first=orders["ordered_at"].date().min(),
        )
        return found.order_by("person_id").to_pyarrow().to_pylist()

    duckdb, spark = on_both(engines, orders_file, totals)
    assert len(duckdb) == 40
    assert duckdb == spark


def test_purchase_days_are_the_same_on_both(engines, orders_file):
    def days(orders):
        return in_words(purchase_days(orders), "person_id", "day")

    duckdb, spark = on_both(engines, orders_file, days)
    assert 40 < len(duckdb) < 400
    assert duckdb == spark


def test_histories_are_the_same_on_both(engines, orders_file):
    def histories(orders):
        return in_words(summarise(orders, until=dt.date(2023, 6, 30)), "person_id")

    duckdb, spark = on_both(engines, orders_file, histories)
    assert len(duckdb) == 40
    assert duckdb == spark


@pytest.mark.parametrize(
    "table",
    [
        lambda orders: retention.triangle(orders, period="week", until=dt.date(2023, 12, 31)),
        lambda orders: retention.triangle(orders, period="quarter", until=dt.date(2023, 12, 31)),
        retention.purchase_counts,
        retention.gaps,
        lambda orders: retention.first_returns(orders, until=dt.date(2023, 12, 31)),
    ],
    ids=["triangle by week", "triangle by quarter", "purchase_counts", "gaps", "first_returns"],
)
def test_tables_of_retention_are_the_same_on_both(engines, orders_file, table):
    duckdb, spark = on_both(engines, orders_file, table)
    assert len(duckdb) > 1
    pd.testing.assert_frame_equal(duckdb, spark, check_dtype=False)


def in_words(table, *order):
    """Rows as text: a day is a day, whether an engine calls it a date or a timestamp."""
    return table.order_by(*order).to_pandas().astype(str).to_dict("records")
