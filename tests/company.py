"""A company of any size for benchmarks: a dataset folder of Parquet files, as a company would export
them. Grain out: one order, sorted by time; one customer record.

About n orders in five years by n / 20 customers of one web shop. Each customer buys at a rate of their
own until they leave for good; one order in a few thousand breaks a rule. Nothing is drawn at random: a
number's hash says what it is.
"""

from pathlib import Path

import duckdb
import yaml

CUSTOMER_HAS = 20  # orders, on average
YEARS, FIRST, LAST = 5, "2021-01-01", "2025-12-30"

# Uniform in (0, 1), another for each purpose.
_DRAW = "((hash({key} * 31 + {purpose}) % 1000003 + 0.5) / 1000003.0)"

_CUSTOMERS = """
    SELECT c, began, least(began - ln({life}) * 700, {days}) AS ended, -ln({rate}) * {pace} AS rate,
        20 + 80 * {basket} AS basket
    FROM (SELECT c::BIGINT AS c, {start} * ({days} - 1) AS began FROM range({customers}) t(c))
"""
_ORDERS = """
    SELECT c, basket, place, c * 4096 + place AS number,
        began + (ended - began) * CASE WHEN place = 0 THEN 0 ELSE {when} END AS day
    FROM (
        SELECT *, unnest(range(1 + least(4095, floor(rate * (ended - began) + {extra})::INT))) AS place
        FROM customers
    )
"""
_EXPORT = """
    SELECT
        CASE WHEN number % 50021 = 1 THEN NULL ELSE 'SO' || lpad(number::VARCHAR, 12, '0') END
            AS order_id,
        'C' || lpad(c::VARCHAR, 8, '0') AS record_id,
        TIMESTAMP '{first}' + to_seconds((day * 86400)::BIGINT) AS ordered_at,
        (CASE WHEN number % 5003 = 5 THEN -1 ELSE 1 END * value)::DECIMAL(18, 4) AS amount,
        CASE WHEN number % 8009 = 9 THEN 'USD' ELSE 'EUR' END AS currency,
        (value * 0.3)::DECIMAL(18, 4) AS margin,
        ['web', 'app', 'store'][1 + (c % 3)::INT] AS channel,
        CASE WHEN number % 10 = 0 THEN 'returned' ELSE 'completed' END AS status
    FROM (SELECT *, round(basket * (0.5 + {amount}), 2) AS value FROM orders)
    ORDER BY ordered_at
"""
_RECORDS = """
    SELECT 'C' || lpad(c::VARCHAR, 8, '0') AS record_id,
        TIMESTAMP '{first}' + to_seconds((began * 86400)::BIGINT) AS registered_at,
        ['search', 'friends', 'fair', 'partner'][1 + (c % 4)::INT] AS acquired_through,
        ['DE', 'NO', 'GB'][1 + (c % 3)::INT] AS country,
        c % 5 = 0 AS loyalty_member, c % 50 <> 7 AS consent_analytics
    FROM customers ORDER BY c
"""


def write(folder: Path, orders: int, *, memory_limit: str, threads: int = 2) -> None:
    """Write raw/ and dataset.yml of a dataset to this folder. orders : about how many."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    days = YEARS * 365 - 1
    con = duckdb.connect()
    con.execute(f"SET threads = {threads}")
    con.execute("SET memory_limit = '6GB'")
    con.execute(f"SET temp_directory = '{folder / 'spill'}'")
    draw = {
        name: _DRAW.format(key=key, purpose=purpose)
        for purpose, (name, key) in enumerate(
            {"start": "c", "life": "c", "rate": "c", "basket": "c", "extra": "c"}.items()
        )
    }
    draw |= {
        "when": _DRAW.format(key="(c * 4096 + place)", purpose=7),
        "amount": _DRAW.format(key="number", purpose=8),
    }
    more = {"days": days, "customers": orders // CUSTOMER_HAS, "first": FIRST, "pace": 0.041}
    for name, query in (("customers", _CUSTOMERS), ("orders", _ORDERS)):
        con.execute(f"CREATE VIEW {name} AS {query.format(**draw, **more)}")
    for name, query in (("orders", _EXPORT), ("customers", _RECORDS)):
        rows = query.format(**draw, **more)
        con.execute(f"COPY ({rows}) TO '{raw / name}.parquet' (FORMAT parquet, COMPRESSION zstd)")
    con.close()
    tables = {
        name: {"path": f"raw/{name}.parquet", "source": "shop"} for name in ("orders", "customers")
    }
    tables["customers"]["one_per_person"] = True
    spec = {
        "title": "A company for benchmarks",
        "currency": "EUR",
        "observed_until": LAST,
        "engine": {"duckdb": {"memory_limit": memory_limit, "threads": threads}},
        "tables": tables,
    }
    (folder / "dataset.yml").write_text(yaml.safe_dump(spec, sort_keys=False), "utf-8")
