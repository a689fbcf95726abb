"""Twenty rules by the lab and by Pointblank: both find the same. `bench` says how long each takes."""

from pathlib import Path

import duckdb
import pytest

from tests.apart import run

CUSTOMERS = 1_000_000

# One in some thousand orders breaks a rule, each rule by another row.
ORDERS = f"""
    SELECT
        CASE WHEN i % 50021 = 1 THEN NULL
             ELSE 'SO' || lpad((i - CASE WHEN i % 20011 = 7 THEN 5 ELSE 0 END)::VARCHAR, 9, '0')
        END AS order_id,
        CASE WHEN r % 4 = 0 THEN 'guest' ELSE 'shop' END AS source,
        'c' || r AS record_id,
        TIMESTAMP '2020-01-01' + to_seconds((i * 18.9)::BIGINT)
            - CASE WHEN i % 30011 = 3 THEN INTERVAL 100 YEAR ELSE INTERVAL 0 SECOND END AS ordered_at,
        a AS amount,
        CASE WHEN i % 4001 = 9 THEN 'USD' ELSE 'EUR' END AS currency,
        (abs(a) / 3)::DECIMAL(18, 4) AS margin,
        ['web', 'app', 'store'][i % 3 + 1] AS channel,
        CASE WHEN i % 5003 = 2 THEN 'strange' WHEN i % 10 = 0 THEN 'returned' ELSE 'completed' END
            AS status,
        0::DECIMAL(18, 4) AS returned_amount
    FROM (
        SELECT i, (hash(i) % {CUSTOMERS})::BIGINT + CASE WHEN i % 7001 = 3 THEN {CUSTOMERS} ELSE 0 END
                AS r,
            ((hash(i + 1) % 20000 + 1) / 100 * CASE WHEN i % 3001 = 5 THEN -1 ELSE 1 END)
                ::DECIMAL(18, 4) AS a
        FROM range({{rows}}) t(i)
    )"""
PEOPLE = f"""
    SELECT 'c' || i AS record_id, CASE WHEN i % 4 = 0 THEN 'guest' ELSE 'shop' END AS source
    FROM range({CUSTOMERS}) t(i)"""

OURS = """
    from pathlib import Path
    import ibis
    from loyaltylab import engine
    from loyaltylab.contract import Dataset, Engine, DuckDB
    from loyaltylab.validation import declared, rules

    dataset = Dataset.model_validate({
        "title": "A", "currency": "EUR", "observed_until": "2027-12-31",
        "tables": {"orders": "orders.parquet"},
        "rules": {"orders": {
            "order_id": {"required": True},
            "margin": {"min": 0},
            "amount": {"max": 5000},
            "currency": {"required": True},
            "channel": {"allowed": ["web", "app", "store"]},
            "status": {"allowed": ["completed", "returned"], "required": True},
        }},
    })
    wanted = declared.for_table(dataset, "orders", put_aside=("negative_amounts",))
    assert len(wanted.rules) + len(wanted.keys) + len(wanted.references) == 20
    con = engine.connect(Engine(duckdb=DuckDB(threads=2)), spill=Path("spill"))
    began = time.monotonic()
    orders = con.read_parquet("orders.parquet", file_row_number=True)
    orders = orders.rename(_row="file_row_number").mutate(
        _part=ibis.literal(0), _unreadable=ibis.literal([], type="array<string>"),
        _whole=ibis.literal(True), _cancels=ibis.literal(False),
    )
    found = rules.found(con, orders, wanted, others={"customers": con.read_parquet("people.parquet")})
    con.to_parquet(found, "quarantine.parquet", compression="zstd")
    seconds = time.monotonic() - began
    reasons = found.select(reason=found["_reasons"].concat(found["_notes"]).unnest())
    table = reasons.group_by("reason").agg(rows=reasons.count()).to_pandas()
    again = table["reason"].str.contains("again")
    counts, key = sorted(table["rows"][~again].tolist()), int(table["rows"][again].sum())
"""

POINTBLANK = """
    import datetime as dt
    import ibis
    import pointblank as pb

    con = ibis.duckdb.connect(threads=2)
    began = time.monotonic()
    orders = con.read_parquet("orders.parquet", table_name="orders")
    people = con.read_parquet("people.parquet", table_name="people")
    check = (
        pb.Validate(orders)
        .col_vals_not_null(["source", "record_id", "ordered_at", "amount", "order_id", "currency"])
        .col_vals_not_null("status")
        .col_vals_ge("ordered_at", dt.datetime(1950, 1, 1), na_pass=True)
        .col_vals_le("ordered_at", dt.datetime(2027, 12, 31, 23, 59, 59), na_pass=True)
        .col_vals_ge("margin", 0, na_pass=True)
        .col_vals_ge("amount", 0, na_pass=True)
        .col_vals_le("amount", 5000, na_pass=True)
        .col_vals_ge("returned_amount", 0, na_pass=True)
        .col_vals_in_set("currency", ["EUR"])
        .col_vals_in_set("channel", ["web", "app", "store"])
        .col_vals_in_set("status", ["completed", "returned"])
        .col_vals_le("margin", pb.col("limit"), na_pass=True,
            pre=lambda t: t.mutate(limit=(t.amount < 0).ifelse(t.margin, t.amount)))
        .col_vals_le("returned_amount", pb.col("limit"), na_pass=True,
            pre=lambda t: t.mutate(limit=(t.amount < 0).ifelse(t.returned_amount, t.amount)))
        .rows_distinct(["source", "order_id"])
        .col_vals_in_table(["source", "record_id"], people, ["source", "record_id"])
        .interrogate(collect_tbl_checked=False, extract_limit=10**9)
    )
    extracts = check.get_data_extracts()
    rows = {step: con.execute(e.count()) if hasattr(e, "execute") else len(e)
            for step, e in extracts.items()}
    seconds = time.monotonic() - began
    key = int(rows.pop(next(s.i for s in check.validation_info if s.assertion_type == "rows_distinct")))
    counts = sorted(int(n) for n in rows.values() if n)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    def of(rows):
        folder = tmp_path_factory.mktemp("orders")
        con = duckdb.connect()
        for name, query in (("orders", ORDERS.format(rows=rows)), ("people", PEOPLE)):
            con.execute(f"COPY ({query}) TO '{Path(folder, name)}.parquet' (COMPRESSION zstd)")
        return folder

    return of


def test_both_find_the_same(made):
    """On fewer rows: as many for each rule. Of rows with one key Pointblank names all, and those
    without one as well; here it is the later ones."""
    folder = made(300_000)
    ours, peer = (run(script, folder, "counts", "key") for script in (OURS, POINTBLANK))
    assert ours["counts"] == peer["counts"] and len(ours["counts"]) == 6
    assert 0 < ours["key"] <= peer["key"] / 2
