"""Row-level work on orders, in steps between which a test can disturb it."""

import datetime as dt
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from loyaltylab import engine, retention
from loyaltylab.contract import Engine
from loyaltylab.files import write_json
from loyaltylab.lifetime_value import histories, summarise
from loyaltylab.timelines import timelines, with_margin
from tests.bought import base_of, triangle_of
from tests.spark_cluster import QUICK, SETTINGS

ROOT = Path(__file__).parents[1]

UNTIL = dt.date(2023, 12, 31)


def write_orders(path):
    """Orders of 150 customers over two years, some twice on a day, as validation writes them."""
    n, start = 2000, dt.datetime(2022, 1, 1, 23, 30)
    table = {
        "source": ["shop"] * n,
        "record_id": [str(i * i * 17 % 151) for i in range(n)],
        "ordered_at": [start + dt.timedelta(hours=i * i * 7 % 17_000) for i in range(n)],
        "amount": pa.array([Decimal(i * 37 % 1000) / 100 for i in range(n)], pa.decimal128(18, 4)),
    }
    pq.write_table(pa.table(table), path)


def totals(orders, _):
    found = orders.group_by("person_id").agg(
        orders=orders.count(),
        amount=orders["amount"].sum(),
        days=orders["ordered_at"].date().nunique(),
        first=orders["ordered_at"].date().min(),
    )
    return found.order_by("person_id").to_pandas()


STEPS = {
    "totals": totals,
    "triangle": lambda _, days: triangle_of(days, period="month", until=UNTIL),
    "histories": lambda _, days: histories(summarise(days, until=UNTIL)),
    "purchase_counts": lambda _, days: retention.purchase_counts(days),
    "base": lambda _, days: base_of(days, period="quarter", until=UNTIL),
    "waits": lambda _, days: retention.waits(days, until=UNTIL),
}


class Run:
    """`main` in a process of its own, on a cluster.

    wait : seconds, as spark_backend.WAIT. settings : of Spark's own, beside those of the cluster.
    """

    def __init__(self, machines, orders, folder, *, wait=60, **settings):
        self.target = folder / "answers.json"
        asked = {"spark": {"master": machines.url, "settings": SETTINGS | settings}}
        start = f"""
import sys
from loyaltylab import spark_backend
from loyaltylab.errors import LabError
from tests import spark_rows
spark_backend.WAIT = {wait}
try:
    spark_rows.main(*sys.argv[1:])
except LabError as error:
    sys.exit(str(error))
"""
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", start, json.dumps(asked), orders, self.target],
            cwd=ROOT,
            env=os.environ | {"JDK_JAVA_OPTIONS": QUICK, "PYTHONPATH": f"{ROOT}/src:{ROOT}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until(self, step):
        """Wait until that step is done."""
        for line in self.process.stdout:
            if line.strip() == step:
                return
        raise AssertionError(self.process.stderr.read())

    def end(self):
        """Its exit code and what it said of errors."""
        _, said = self.process.communicate(timeout=300)
        return self.process.returncode, said

    @property
    def answers(self):
        return json.loads(self.target.read_text())


def answers(con, path, folder, *, after=lambda name: None):
    """Every table of STEPS as JSON has it, and `lines`, those of a file with all orders in their order.

    folder : where that file is written. after : called with the name of each step that is done.
    """
    orders = con.read_parquet(str(path))
    orders = orders.mutate(person_id=orders["source"] + ":" + orders["record_id"])
    days = timelines(with_margin(orders), until=UNTIL)
    found = {}
    for name, step in STEPS.items():
        table = step(orders, days)
        text = table.to_json(orient="records", date_format="iso", double_precision=15)
        found[name] = json.loads(text)
        after(name)
    con.to_csv(orders.order_by("ordered_at", "record_id", "amount"), folder / "orders.csv")
    return found | {"lines": (folder / "orders.csv").read_text().splitlines()}


def main(settings, orders, target):
    """settings : of dataset.yml's engine, as JSON. The name of each step that is done is said;
    `answers` go to target at the end."""
    folder = Path(target).parent
    con = engine.connect(Engine(**json.loads(settings)), spill=folder / "spill")
    print("connected", flush=True)
    found = answers(con, orders, folder, after=lambda name: print(name, flush=True))
    write_json(Path(target), found)
