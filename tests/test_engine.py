"""The engine: its settings, and that DuckDB and Spark answer alike."""

import hashlib

import ibis
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyaltylab import engine
from loyaltylab.contract import DuckDB, Engine


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
