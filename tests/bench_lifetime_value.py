"""The BG/NBD fit on grouped histories against the same customers row by row.

The customers are CDNOW's 23,570, taken as often as asked for. `make bench` runs this: a column of the
table says how many times as long each takes as the fastest of its group.
"""

import datetime as dt
import importlib.resources

import ibis
import pytest

from loyaltylab import lifetime_value


@pytest.fixture(scope="module")
def people():
    path = importlib.resources.files("lifetimes") / "datasets" / "CDNOW_master.txt"
    lines = ibis.duckdb.connect().read_csv(
        str(path), header=False, skip=1, columns={"line": "VARCHAR"}, delim="\t"
    )
    fields = lines.line.strip().re_split(r"\s+")
    orders = lines.select(
        person_id=fields[0],
        ordered_at=fields[1].as_timestamp("%Y%m%d"),
        amount=fields[3].cast("decimal(18, 4)"),
    ).cache()
    return lifetime_value.summarise(orders, until=dt.date(1998, 6, 30)).cache()


@pytest.mark.parametrize("times", [1, 5])
@pytest.mark.parametrize("rows", ["grouped", "row by row"])
def test_fit(benchmark, people, rows, times):
    groups = lifetime_value.histories(people)
    groups = groups.assign(customers=groups.customers * times)
    customers = groups.customers.sum()
    if rows == "row by row":
        groups = groups.loc[groups.index.repeat(groups.customers)].assign(customers=1)
    benchmark.group = f"BG/NBD fit, {customers:,} customers"
    fit = benchmark.pedantic(lifetime_value.fit_bg_nbd, args=(groups,), rounds=5, warmup_rounds=1)
    assert fit.customers == customers


def test_summary(benchmark, people):
    benchmark.group = "histories of 23,570 customers, counted in the engine"
    assert benchmark(lifetime_value.histories, people).customers.sum() == 23_570
