"""How long linkage takes over a million records, and how right it is; how long ten thousand more take.
Each in a process of its own.

The records are those of a simulated company, as validation accepts them.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.apart import run

CUSTOMERS = 393_000  # who have about a million records
MOST_SECONDS, MOST_BYTES, LEAST_F1 = 30, 2e9, 0.95
NEW, MOST_UPDATE_SECONDS = 10_000, 5

LINK = """
    from pathlib import Path
    from loyaltylab import engine
    from loyaltylab.contract import DuckDB, Engine
    from loyaltylab.linkage import links

    con = engine.connect(Engine(duckdb=DuckDB(threads=2)), spill=Path("spill"))
    customers = con.read_parquet("customers.parquet")
    began = time.monotonic()
    found = links.link(con, customers)
    clusters = links.cluster(con, found)
    seconds = time.monotonic() - began
    known = con.read_parquet("truth/records.parquet").select("source", "record_id", "person")
    both = clusters.join(known, ["source", "record_id"])

    def pairs(*by):
        size = both.group_by(*by).agg(n=both.count())
        return int(con.execute((size["n"] * (size["n"] - 1) / 2).sum()))

    right = pairs("cluster", "person")
    f1 = 2 * right / (pairs("cluster") + pairs("person"))
    records = found.records
"""

# The first of two runs; the second begins with what this one leaves.
FIT = """
    from pathlib import Path
    from loyaltylab import engine
    from loyaltylab.contract import DuckDB, Engine
    from loyaltylab.linkage import kept, links

    con = engine.connect(Engine(duckdb=DuckDB(threads=2)), spill=Path("spill"))
    customers = con.read_parquet("customers.parquet")
    number = engine.hashed(con, customers["record_id"])
    every = con.execute(customers.count())
    parts = customers.mutate(new=number % (every // {new}) == 0)
    con.to_parquet(parts, "parts.parquet")
    before = con.read_parquet("parts.parquet").filter(lambda t: ~t["new"]).drop("new")
    found = links.link(con, before)
    kept.save(con, Path("kept"), found, links.cluster(con, found))
"""

UPDATE = """
    from pathlib import Path
    import ibis
    from loyaltylab import engine
    from loyaltylab.contract import DuckDB, Engine
    from loyaltylab.linkage import kept, links, updates

    con = engine.connect(Engine(duckdb=DuckDB(threads=2)), spill=Path("spill"))
    customers = con.read_parquet("parts.parquet").drop("new")
    began = time.monotonic()
    before = kept.load(con, Path("kept"))
    found = updates.update(con, before, customers)
    seconds = time.monotonic() - began
    kept.extend(con, Path("kept"), found)
    written = time.monotonic() - began - seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    again = links.link_again(con, customers, before.scorer)
    anew = links.cluster(con, again)

    def told(clusters):
        # Each record with its confidence, and a number that all records of its cluster make.
        member = engine.hashed(con, ibis.struct({n: clusters[n] for n in ("source", "record_id")}))
        whole = member.bit_xor().over(group_by="cluster")
        return clusters.select("source", "record_id", "confidence", whole=whole)

    same = int(con.execute(ibis.intersect(told(found.clusters), told(anew)).count()))
    records, came = found.links.records, found.came
"""

VALIDATE = """
from pathlib import Path
from loyaltylab import dataset, engine
from loyaltylab.contract import Engine
from loyaltylab.validation import tables

folder = Path("{folder}")
con = engine.connect(Engine(), spill=folder / "spill")
checked = tables.check(con, dataset.load(folder), folder, "customers")
con.to_parquet(checked.accepted, folder / "customers.parquet")
"""


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    folder = tmp_path_factory.mktemp("company")
    spec = yaml.safe_load(Path("data/demo/dataset.yml").read_text("utf-8"))
    spec["simulation"] = {"customers": CUSTOMERS}
    (folder / "dataset.yml").write_text(yaml.safe_dump(spec), "utf-8")
    simulate = ["-m", "loyaltylab", "simulate", str(folder)]
    for command in (simulate, ["-c", VALIDATE.format(folder=folder)]):
        subprocess.run([sys.executable, "-W", "ignore", *command], check=True, capture_output=True)
    return folder


def test_linkage(company, capsys):
    ours = run(LINK, company, "seconds", "f1", "records")
    with capsys.disabled():
        print(
            f"\n{ours['records']:,} records: {ours['seconds']:.1f} s, {ours['peak'] / 1e9:.2f} GB, "
            f"F1 of clusters {ours['f1']:.4f}"
        )
    assert ours["records"] > 990_000
    assert ours["seconds"] < MOST_SECONDS and ours["peak"] < MOST_BYTES
    assert ours["f1"] > LEAST_F1


def test_records_that_came(company, capsys):
    """From what the last run left on disk to the clusters, which are those of comparing all again."""
    run(FIT.format(new=NEW), company)
    names = ("seconds", "written", "records", "came", "same")
    ours = run(UPDATE, company, *names)
    with capsys.disabled():
        print(
            f"\n{ours['came']:,} records into {ours['records'] - ours['came']:,}: "
            f"{ours['seconds']:.1f} s, and {ours['written']:.1f} s to write them; "
            f"{ours['peak'] / 1e9:.2f} GB; {ours['same']:,} as comparing all again finds them"
        )
    assert 0.9 * NEW < ours["came"] < 1.1 * NEW and ours["records"] > 990_000
    assert ours["same"] == ours["records"]
    assert ours["seconds"] < MOST_UPDATE_SECONDS
