"""The engine: its settings, and that DuckDB and Spark answer alike."""

import datetime as dt
import hashlib
from decimal import Decimal

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyaltylab import engine, retention
from loyaltylab.contract import DuckDB, Engine
from loyaltylab.lifetime_value import summarise
from loyaltylab.schemas import TABLES, column_types
from loyaltylab.timelines import timelines, with_margin
from loyaltylab.validation import cancellations, declared, rules
from tests.bought import base_of, triangle_of
from tests.shop import MARKERS


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


def test_lots_are_the_same_on_both(engines):
    """And have no more to do with each other under another seed."""
    texts = pd.DataFrame({"text": ["", "a", "ß", "person 7", None]})
    drawn = []
    for con in engines:
        rows = con.create_view(ibis.util.gen_name("texts"), ibis.memtable(texts))
        lots = {f"of_{seed}": engine.lot(rows["text"], seed=seed) for seed in (0, 5)}
        drawn.append(con.to_pyarrow(rows.select("text", **lots).order_by("text")).to_pylist())
    assert drawn[0] == drawn[1]
    for row in drawn[0]:
        for seed in (0, 5):
            known = row["text"] is not None
            lot = hashlib.md5(f"{seed} {row['text']}".encode()).hexdigest() if known else None
            assert row[f"of_{seed}"] == lot


# ---- Keys that come twice, and keys that are nowhere.


def keyed(con, pairs, name):
    """A table of the engine with the columns i, a and b."""
    table = pa.table(
        {
            "i": pa.array(range(len(pairs)), pa.int64()),
            "a": pa.array([a for a, _ in pairs], pa.string()),
            "b": pa.array([b for _, b in pairs], pa.int64()),
        }
    )
    return con.create_table(name, table, temp=True, overwrite=True)


def told(con, rows, into):
    return con.to_pyarrow(rows.select("i", into).order_by("i"))[into].to_pylist()


PAIRS = st.lists(
    st.tuples(st.sampled_from(["x", "y", "", None]), st.sampled_from([1, 2, -1, None])), max_size=12
)


@pytest.mark.parametrize("at_once", [1 << 24, 3, 1])
@settings(max_examples=15, deadline=None)
@given(pairs=PAIRS, others=PAIRS)
def test_keys_against_counting(con, at_once, pairs, others):
    """However few hashes are sorted at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_AT_ONCE", at_once)
        rows, there = keyed(con, pairs, "pairs"), keyed(con, others, "others")
        key = {"a": rows["a"], "b": rows["b"]}
        repeated = engine.mark_repeated(con, rows, key, into="again")
        again = [pairs.count(pair) > 1 and None not in pair for pair in pairs]
        assert told(con, repeated, "again") == again
        unknown = engine.mark_unknown(con, rows, ["a", "b"], there=there, into="unknown")
        missing = [pair not in others and None not in pair for pair in pairs]
        assert told(con, unknown, "unknown") == missing
        assert unknown.columns == (*rows.columns, "unknown")


def test_many_keys_in_parts(con, monkeypatch):
    """Every key is in one part alone, each part in its turn."""
    n = 20_000
    pairs = [(str(i // 2 if i < 1000 else i), i % 7 if i >= 1000 else 0) for i in range(n)]
    rows, there = keyed(con, pairs, "many"), keyed(con, pairs[: n // 2], "half")
    monkeypatch.setattr(engine, "_AT_ONCE", 3000)
    repeated = engine.mark_repeated(con, rows, {"a": rows["a"], "b": rows["b"]}, into="again")
    assert told(con, repeated, "again") == [i < 1000 for i in range(n)]
    unknown = engine.mark_unknown(con, rows, ["a", "b"], there=there, into="unknown")
    assert told(con, unknown, "unknown") == [i >= n // 2 for i in range(n)]


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
        return in_words(with_margin(orders), "person_id", "day")

    duckdb, spark = on_both(engines, orders_file, days)
    assert 40 < len(duckdb) < 400
    assert duckdb == spark


def test_histories_are_the_same_on_both(engines, orders_file):
    def histories(orders):
        bought = timelines(with_margin(orders))
        return in_words(summarise(bought, until=dt.date(2023, 6, 30)), "person_id")

    duckdb, spark = on_both(engines, orders_file, histories)
    assert len(duckdb) == 40
    assert duckdb == spark


START, END = dt.date(2023, 3, 1), dt.date(2023, 12, 31)
ALLOWED = pd.DataFrame({"rank": [1, 3], "days": [60.0, 35.0]})


def _at_risk(purchases):
    rates = retention.Rates(shape=1.0, scale=30.0)
    people = retention.silences(retention.histories(purchases, until=END), rates)
    fallen = retention.falls(purchases, until=END, alarm=0.4, days=40)
    listed = retention.at_risk(people, alarm=0.3, fallen=fallen)
    return listed.mutate(probability=listed["probability"].round(9))


def _members(orders):
    people = orders.select("person_id").distinct()
    return people.mutate(loyalty_member=people["person_id"].cast("string").length() % 2 == 0)


@pytest.mark.parametrize(
    "table",
    [
        lambda days: triangle_of(days, period="week", until=dt.date(2023, 12, 31)),
        lambda days: triangle_of(days, period="quarter", until=dt.date(2023, 12, 31)),
        retention.purchase_counts,
        lambda days: retention.waits(days, until=END),
        lambda days: retention.churn_by_period(
            retention.spells(days, ALLOWED, until=END),
            ALLOWED,
            until=END,
            period="month",
        ),
        lambda days: pd.DataFrame(
            in_words(
                retention.status(retention.spells(days, ALLOWED, until=END), until=END), "person_id"
            )
        ),
        lambda days: pd.DataFrame(
            [retention.churn_rate(retention.spells(days, ALLOWED, until=END), ALLOWED, until=END)]
            * 2
        ),
        lambda days: pd.DataFrame(in_words(_at_risk(days), "person_id")),
        lambda days: retention.year_purchases(days, until=END),
        lambda days: retention.membership_cells(days, _members(days), until=END),
        lambda days: retention.north_star_by_month(days, until=END, metric="repeat_revenue"),
        lambda days: retention.north_star_by_month(days, until=END, metric="active_customers"),
        lambda days: base_of(days, period="week", until=END),
        lambda days: retention.measures(retention.totals(days, since=START, until=END)),
        lambda days: retention.changes(retention.compared(days, months=6, until=END)),
        lambda days: retention.returned_by(
            days.mutate(season=retention.season(days["first"], holidays=((1, 1), (1, 9)))),
            by="season",
            days=60,
            until=END,
        ),
        lambda days: pd.DataFrame(
            in_words(retention.histories(days, until=START, followed_until=END), "person_id")
        ),
    ],
    ids=[
        "triangle by week",
        "triangle by quarter",
        "purchase_counts",
        "waits",
        "churn_by_period",
        "status",
        "churn_rate",
        "at_risk",
        "year_purchases",
        "membership_cells",
        "north_star by person",
        "north_star",
        "base",
        "measures",
        "changes",
        "returned_by",
        "histories",
    ],
)
def test_tables_of_retention_are_the_same_on_both(engines, orders_file, table):
    def told(orders):
        return table(timelines(with_margin(orders), until=END))

    duckdb, spark = on_both(engines, orders_file, told)
    assert len(duckdb) > 1
    pd.testing.assert_frame_equal(duckdb, spark, check_dtype=False)


@pytest.fixture(scope="module")
def raw_orders_file(tmp_path_factory):
    """Orders as validation reads them: keys twice and missing, amounts below 0, some unreadable."""
    n, start = 120, dt.datetime(2024, 1, 1)
    types = ibis.schema(column_types("orders") | MARKERS).to_pyarrow()
    rows = [
        dict.fromkeys(types.names)
        | {
            "order_id": [None, *map(str, range(50))][i * 13 % 51],
            "source": "ab"[i % 2],
            "record_id": [None, "1", "2", "3"][i * 7 // 3 % 4],
            "ordered_at": None if i % 29 == 5 else start + dt.timedelta(hours=i * 11 % 240),
            "amount": None if i % 31 == 3 else Decimal([-2, -1, 0, 1, 2][i * i % 5]),
            "currency": [None, "EUR", "USD"][i * 5 % 3],
            "margin": Decimal(1) if i % 17 == 0 else None,
            "_part": i % 2,
            "_row": i // 2 + 1,
            "_unreadable": ["amount is not a number"] if i % 31 == 3 else [],
            "_whole": True,
        }
        for i in range(n)
    ]
    path = tmp_path_factory.mktemp("raw") / "orders.parquet"
    pq.write_table(pa.Table.from_pylist(rows + rows[:20], schema=types), path)
    known = path.with_name("customers.parquet")
    pq.write_table(pa.table({"source": ["a", "a"], "record_id": ["1", "2"]}), known)
    return path


def test_keys_are_the_same_on_both(engines, raw_orders_file):
    answers = []
    for con in engines:
        rows = con.read_parquet(str(raw_orders_file))
        there = con.read_parquet(str(raw_orders_file.with_name("customers.parquet")))
        key = {name: rows[name] for name in ("source", "record_id", "ordered_at")}
        rows = engine.mark_repeated(con, rows, key, into="again")
        rows = engine.mark_unknown(con, rows, ["source", "record_id"], there=there, into="unknown")
        names = ["_part", "_row", "again", "unknown"]
        answers.append(con.to_pyarrow(rows.select(names).order_by(names)).to_pylist())
    assert {row["again"] for row in answers[0]} == {row["unknown"] for row in answers[0]}
    assert {row["again"] for row in answers[0]} == {True, False}
    assert answers[0] == answers[1]


def test_rules_and_cancellations_are_the_same_on_both(engines, raw_orders_file):
    wanted = rules.compiled(TABLES["orders"])
    chosen = [rule for some in declared.CHOICES.values() for rule in some]
    wanted = rules.with_more(wanted, *chosen, declared.repeated_exports("orders"))
    answers = []
    for con in engines:
        rows = con.read_parquet(str(raw_orders_file)).distinct()
        there = con.read_parquet(str(raw_orders_file.with_name("customers.parquet")))
        marked = cancellations.mark(con, rows, within=3)
        found = rules.found(con, marked, wanted, others={"customers": there})
        names = ["_part", "_row", "_reasons", "_notes"]
        answers.append(con.to_pyarrow(found.select(names).order_by("_part", "_row")).to_pylist())
    said = {words for row in answers[0] for words in (*row["_reasons"], *row["_notes"])}
    assert {cancellations.CANCELS, cancellations.CANCELLED, "record_id is no customer's"} <= said
    assert answers[0] == answers[1]


def in_words(table, *order):
    """Rows as text: a day is a day, whether an engine calls it a date or a timestamp."""
    return table.order_by(*order).to_pandas().astype(str).to_dict("records")
