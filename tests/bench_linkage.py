"""How long linkage takes over a million records, and how right it is; in a process of its own.

The records are those of a simulated company, as validation accepts them.
"""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

CUSTOMERS = 393_000  # who have about a million records
MOST_SECONDS, MOST_BYTES, LEAST_F1 = 30, 2e9, 0.95

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
    script = "import json, resource, time\n" + textwrap.dedent(LINK)
    script += (
        "\npeak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024"
        "\nprint(json.dumps({'seconds': seconds, 'peak': peak, 'f1': f1, 'records': records}))"
    )
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, cwd=company, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    ours = json.loads(done.stdout.splitlines()[-1])
    with capsys.disabled():
        print(
            f"\n{ours['records']:,} records: {ours['seconds']:.1f} s, {ours['peak'] / 1e9:.2f} GB, "
            f"F1 of clusters {ours['f1']:.4f}"
        )
    assert ours["records"] > 990_000
    assert ours["seconds"] < MOST_SECONDS and ours["peak"] < MOST_BYTES
    assert ours["f1"] > LEAST_F1
