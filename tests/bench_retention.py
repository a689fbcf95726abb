"""How long the tables of the page on retention take over a hundred million orders, how much memory they
need, and what a bare scan takes; how long pandas takes for three of them over ten million.

Linkage ranks the purchases once for all pages: what that takes stands beside. Each contender runs in a
process of its own.
"""

import pytest

from tests.apart import run

ORDERS, PANDAS_ORDERS, YEARS = 100_000_000, 10_000_000, 5
MOST_SECONDS, MOST_BYTES, LEAST_FASTER = 90, 4e9, 2

# Order i of n comes at i / n of the time. Customers are won all along; few buy often.
GENERATE = """
    import duckdb
    con = duckdb.connect()
    con.execute("SET threads = 2")
    con.execute(\"\"\"
        COPY (
            SELECT lpad(to_hex(hash(p)), 16, '0') || lpad(to_hex(hash(p + 1) % 65536), 4, '0')
                    AS person_id, p AS person_index, 'SO' || lpad(i::VARCHAR, 10, '0') AS order_id,
                'shop' AS source, a AS amount, (a * 0.3)::DECIMAL(18, 4) AS margin,
                TIMESTAMP '2021-01-01' + to_seconds((i * {seconds} / {n})::BIGINT) AS ordered_at,
                ['web', 'app', 'store'][(p % 3)::INT + 1] AS channel
            FROM (
                SELECT i, ((hash(i + 7) % 20000 + 1) / 100)::DECIMAL(18, 4) AS a,
                    (pow((hash(i) % 1000003) / 1000003.0, 2.2) * (0.15 + 0.85 * i / {n}) * {n} / 20)
                        ::BIGINT AS p
                FROM range({n}) t(i)
            )
        ) TO 'orders.parquet' (FORMAT parquet, COMPRESSION zstd)
    \"\"\")
"""

CONNECT = """
    import datetime as dt
    from pathlib import Path
    from loyaltylab import engine, retention
    from loyaltylab.contract import DuckDB, Engine
    from loyaltylab.timelines import by_person, first_orders, timelines, with_margin
    from loyaltylab.traits import traits

    settings = DuckDB(threads=2, memory_limit="3GB")
    con = engine.connect(Engine(duckdb=settings), spill=Path("spill"))
    until = dt.date(2025, 12, 30)
"""

RANK = """
    orders = con.read_parquet("orders.parquet")
    began = time.monotonic()
    bought = by_person(orders, until=until)
    con.to_parquet(bought, "purchases.parquet", COMPRESSION="zstd")
    firsts = first_orders(orders, con.read_parquet("purchases.parquet")).order_by("person_id")
    con.to_parquet(firsts, "firsts.parquet", COMPRESSION="zstd")
    seconds = time.monotonic() - began
"""

# As the notebook has them, in its order.
TABLES = """
    began = time.monotonic()
    bought, months = con.read_parquet("purchases.parquet"), 12
    waits = retention.waits(bought, until=until)
    numbered, gaps = waits[waits["rank"] <= retention.RANKS], retention.gaps(waits)
    counts = retention.purchase_counts(bought, gap=retention.gap_quantile(gaps, 0.5))
    since = retention.starts(months, until)[1]
    people = engine.keep(con, retention.totals(bought, since=since, until=until), "totals")
    spread, measures = retention.spread(people), retention.measures(people)
    span = retention.comparable_months(bought, until=until, at_most=months)
    pairs = engine.keep(con, retention.compared(bought, months=span, until=until), "compared")
    kinds, moved = retention.changes(pairs), retention.migration(pairs)
    known = traits(con.read_parquet("firsts.parquet")).select("person_index", "channel")
    marked = bought.left_join(known, "person_index")
    flows = retention.flows(marked, period="month", until=until, by="channel")
    cells = retention.triangle(flows, period="month", until=until)
    seasoned = bought.mutate(season=retention.season(bought["first"]))
    for days in (90, 180):
        retention.returned_by(seasoned, by="season", days=days, until=until)
    retention.triangle(flows, period="quarter", until=until, by="channel")
    whole = retention.base(flows, period="month", until=until)
    retention.repeat_share(people)
    opening = bought.filter(bought["rank"] == 1).join(known, "person_index")
    retention.waits(opening, until=until, ranks=1, by="channel")
    allowed = retention.thresholds(numbered)
    spells = engine.keep(con, retention.spells(bought, allowed, until=until), "spells")
    churned = retention.churn_by_period(spells, allowed, until=until, period="month")
    rate = retention.churn_rate(spells, allowed, until=until)
    year = retention.year_purchases(bought, until=until)
    members = con.read_parquet("firsts.parquet").select("person_id", "channel")
    members = members.select("person_id", loyalty_member=members["channel"] == "app")
    retention.membership_cells(bought, members, until=until)
    retention.north_star_by_month(bought, until=until, metric="active_customers")
    histories = engine.keep(con, retention.histories(bought, until=until), "histories")
    silences = retention.silences(histories, retention.buying_rates(histories))
    listing = retention.at_risk(silences)
    retention.risk_bands(silences, listing)
    retention.write_at_risk(listing, Path("at_risk.csv"), top=500)
    retention.risk_holdout(bought, until=until)
    seconds = time.monotonic() - began
    orders = int(whole["orders"].sum())
    assert orders == cells["orders"].sum() + whole.loc[~whole["complete"], "orders"].sum()
"""

FEW = """
    began = time.monotonic()
    orders = con.read_parquet("orders.parquet")
    bought = engine.keep(con, timelines(with_margin(orders), until=until), "bought")
    waits = retention.waits(bought, until=until)
    counts = retention.purchase_counts(bought)
    flows = retention.flows(bought, period="month", until=until)
    cells = retention.triangle(flows, period="month", until=until)
    seconds = time.monotonic() - began
    told = [int(waits["returned"].sum()), len(counts), int(cells["active"].sum())]
"""

PANDAS = """
    import pandas as pd

    began = time.monotonic()
    rows = pd.read_parquet("orders.parquet", columns=["person_id", "ordered_at", "amount", "margin"])
    rows = rows.astype({"amount": float, "margin": float})
    rows["day"] = rows.pop("ordered_at").dt.floor("D")
    rows = rows[rows["day"] <= "2025-12-30"]
    days = rows.groupby(["person_id", "day"], as_index=False).agg(
        orders=("amount", "size"), amount=("amount", "sum"), margin=("margin", "sum")
    )
    person = days.groupby("person_id")["day"]
    days["first"], days["rank"] = person.transform("first"), person.cumcount() + 1
    days["previous"], days["next_day"] = person.shift(), person.shift(-1)
    end = days["next_day"].fillna(pd.Timestamp("2025-12-30"))
    waits = days.assign(
        rank=days["rank"].clip(upper=7), days=(end - days["day"]).dt.days,
        returned=days["next_day"].notna(), waiting=days["next_day"].isna(),
    ).groupby(["rank", "days"])[["returned", "waiting"]].sum()
    counts = days.groupby("person_id").agg(n=("day", "size"), amount=("amount", "sum"))
    counts = counts.groupby("n").agg(customers=("amount", "size"), amount=("amount", "sum"))
    at, cohort = (days[name].dt.year * 12 + days[name].dt.month for name in ("day", "first"))
    before = days["previous"].dt.year * 12 + days["previous"].dt.month
    cells = days.assign(at=at, cohort=cohort, active=~(before == at)).groupby(["cohort", "at"])[
        ["active", "orders", "amount", "margin"]
    ].sum()
    seconds = time.monotonic() - began
    over = cells[cells.index.get_level_values("at") < 2025 * 12 + 12]
    told = [int(waits["returned"].sum()), len(counts), int(over["active"].sum())]
"""

SCAN = """
    import duckdb

    con = duckdb.connect()
    con.execute("SET threads = 2")
    began = time.monotonic()
    con.execute("SELECT count(*), sum(amount) FROM 'orders.parquet'").fetchall()
    seconds = time.monotonic() - began
"""


def company(folder, orders):
    run(GENERATE.format(n=orders, seconds=YEARS * 365 * 86_400), folder)
    return folder


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return company(tmp_path_factory.mktemp("large"), ORDERS)


def test_tables_of_the_page(large, capsys):
    ranked = run(CONNECT + RANK, large, "seconds")
    scan = run(SCAN, large, "seconds")
    ours = run(CONNECT + TABLES, large, "seconds", "orders")
    with capsys.disabled():
        print(
            f"\n{ours['orders']:,} orders: {ours['seconds']:.1f} s, {ours['peak'] / 1e9:.2f} GB; bare "
            f"scan {scan['seconds']:.2f} s; ranked by linkage in {ranked['seconds']:.0f} s, "
            f"{ranked['peak'] / 1e9:.2f} GB"
        )
    assert ours["orders"] > 0.99 * ORDERS
    assert ours["seconds"] < MOST_SECONDS
    assert max(ours["peak"], ranked["peak"]) < MOST_BYTES


def test_beside_pandas(tmp_path, capsys):
    """From orders to waits, counts and the triangle."""
    company(tmp_path, PANDAS_ORDERS)
    ours, theirs = (run(body, tmp_path, "seconds", "told") for body in (CONNECT + FEW, PANDAS))
    with capsys.disabled():
        print(
            f"\n{PANDAS_ORDERS:,} orders to three tables: {ours['seconds']:.1f} s, "
            f"{ours['peak'] / 1e9:.2f} GB; pandas {theirs['seconds']:.1f} s, "
            f"{theirs['peak'] / 1e9:.2f} GB"
        )
    assert ours["told"] == theirs["told"]
    assert theirs["seconds"] > LEAST_FASTER * ours["seconds"]
