"""How long the page on the way to an order takes over many visits: whose they are, the funnel, ways with
their credits, and the gap of interest. In a process of its own, as is the making of the visits.

VISITS="1e6 1e7" says of how many, 1e8 if nothing does: that takes 2 GB of disk and some minutes.
"""

import os

import pytest

from tests.apart import run

SIZES = [int(float(size)) for size in os.environ.get("VISITS", "1e8").split()]
MOST_SECONDS, MOST_BYTES = 90, 4e9
THREADS, MEMORY_LIMIT = 2, "3GB"

# Devices are visited unequally often; three of ten have an owner, one owner of eight refused.
MAKE = """
    import duckdb

    visits, people, devices = {visits}, {visits} // 10, {visits} // 3
    con = duckdb.connect(config=dict(threads={threads}, memory_limit="2GB"))
    con.execute("SET preserve_insertion_order = false")
    lists = dict(
        stage=["view"] * 7 + ["cart", "cart", "checkout", "purchase"],
        channel=["search", "social", "affiliate", "e-mail", "referral", "direct"],
        device=["phone", "computer", "tablet"],
        interest=["kitchen", "textiles", "lighting", "garden", "decoration", "furniture", "bath"],
    )
    drawn = ", ".join(
        f"{{values}}[1 + (hash(i, {{n}}) % {{len(values)}})::INTEGER] AS {{name}}"
        for n, (name, values) in enumerate(lists.items())
    )
    person = "md5({{}}::VARCHAR)[:20]"
    for name, query in dict(
        visits=f'''
            SELECT i::VARCHAR AS visit_id, d::VARCHAR AS device_id, 'shop' AS source,
                CASE WHEN d % 10 < 3 AND hash(i, 7) % 10 < 4 THEN (d % {{people}})::VARCHAR END
                    AS record_id,
                TIMESTAMP '2023-01-01' + to_seconds((hash(i, 8) % 94000000)::BIGINT) AS started_at,
                (30 + hash(i, 9) % 600)::DOUBLE AS seconds, {{drawn}},
                (hash(i, 10) % 10000 / 100)::DECIMAL(18, 4) AS cart_value
            FROM (SELECT i, (pow(hash(i) % 1000000007 / 1000000007, 2) * {{devices}})::BIGINT AS d
                  FROM range({{visits}}) _(i))''',
        records=f'''SELECT 'shop' AS source, i::VARCHAR AS record_id,
            {{person.format("i")}} AS person_id, i % 8 > 0 AS analysed FROM range({{people}}) _(i)''',
        devices=f'''SELECT d::VARCHAR AS device_id, {{person.format(f"(d % {{people}})")}} AS person_id
            FROM range({{devices}}) _(d) WHERE d % 10 < 3''',
        firsts=f'''SELECT {{person.format("i")}} AS person_id,
            DATE '2023-01-01' + (hash(i) % 1000)::INTEGER AS first
            FROM range({{people}}) _(i) WHERE i % 8 > 3''',
        orders=f'''SELECT i::VARCHAR AS order_id,
            {{person.format(f"(hash(i) % {{people}})")}} AS person_id,
            TIMESTAMP '2023-01-01' + to_seconds((hash(i, 1) % 94000000)::BIGINT) AS ordered_at
            FROM range({{visits}} // 10) _(i)''',
        order_lines=f'''SELECT i::VARCHAR AS order_id,
            {{lists["interest"]}}[1 + (hash(i, 2) % 7)::INTEGER] AS category
            FROM range({{visits}} // 10) _(i)''',
    ).items():
        con.execute(f"COPY ({{query}}) TO '{{name}}.parquet'")
"""

ASK = """
    import datetime as dt
    from pathlib import Path
    from loyaltylab import engine, journey
    from loyaltylab.contract import DuckDB, Engine

    settings = DuckDB(threads={threads}, memory_limit="{memory}")
    con = engine.connect(Engine(duckdb=settings), spill=Path("spill"))
    until, told = dt.date(2025, 12, 31), dict(minimum=5)
    names = ("visits", "records", "devices", "firsts", "orders", "order_lines")
    visits, records, devices, firsts, orders, lines = (
        con.read_parquet(f"{{name}}.parquet") for name in names
    )
    began, parts = time.monotonic(), {{}}

    def took(part):
        parts[part] = round(time.monotonic() - began - sum(parts.values()), 1)

    analysed = journey.analysed_share(visits, records, devices)
    found = journey.coded(visits)
    owned = journey.owned(found.rows, records, devices, firsts, until=until)
    placed = journey.placed(con, owned)
    took("whose")
    cells = journey.reached(journey.cells(placed), analysed)
    funnel = journey.funnel(cells)
    losses = [journey.losses(cells, kind, **told) for kind in journey.KINDS]
    months = journey.by_month(journey.months(placed), analysed, **told)
    journey.durations(placed), journey.waits(placed)
    took("funnel")
    names = found.names["channel"]
    credits = journey.credits(
        journey.touches(placed), journey.lengths(placed), names,
        analysed=analysed, draws=500, seed=1, **told,
    )
    journey.frequent(placed, names, analysed=analysed, top=10, **told)
    took("paths")
    since = dt.date(2023, 1, 1)
    looked = journey.looks(placed, found.names["interest"])
    bought = journey.buys(placed, orders, lines, since=since, until=until)
    gaps = journey.gaps(looked, bought, limit=0.1, **told)
    took("gap")
    seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime
    rows = int(con.execute(placed.count()))
"""


@pytest.mark.parametrize("visits", SIZES)
def test_the_page_of_many_visits(visits, tmp_path, capsys):
    run(MAKE.format(visits=visits, threads=THREADS), tmp_path)
    ours = run(
        ASK.format(threads=THREADS, memory=MEMORY_LIMIT),
        tmp_path,
        *("seconds", "cpu", "parts", "rows"),
    )
    with capsys.disabled():
        print(
            f"\n{visits:,} visits, {ours['rows']:,} of them told: {ours['seconds']:.1f} s, "
            f"{ours['cpu']:.1f} s of CPU, {ours['peak'] / 1e9:.2f} GB; {ours['parts']}"
        )
    assert ours["rows"] > 0.8 * visits
    assert ours["seconds"] < MOST_SECONDS and ours["peak"] < MOST_BYTES
