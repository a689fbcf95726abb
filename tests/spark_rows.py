"""Row-level work on orders, in steps: python -m tests.spark_rows SETTINGS ORDERS ANSWERS

SETTINGS : of dataset.yml's engine, as JSON. After each step its name is said, so that a test can
disturb the next; ANSWERS is written at the end, as JSON.
"""

import datetime as dt
import json
import sys
from pathlib import Path

from loyaltylab import engine, retention
from loyaltylab.contract import Engine
from loyaltylab.files import write_json
from loyaltylab.lifetime_value import histories, summarise
from loyaltylab.timelines import timelines, with_margin
from tests.bought import base_of, triangle_of

UNTIL = dt.date(2023, 12, 31)


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


def answers(con, path, *, after=lambda name: None):
    """Every table of STEPS as JSON has it; what is to be a date may be a time at midnight."""
    orders = con.read_parquet(str(path))
    orders = orders.mutate(person_id=orders["source"] + ":" + orders["record_id"])
    days = timelines(with_margin(orders), until=UNTIL)
    found = {}
    for name, step in STEPS.items():
        table = step(orders, days)
        found[name] = json.loads(table.to_json(orient="records", date_format="iso", double_precision=15))
        after(name)
    return found


if __name__ == "__main__":
    settings, orders, target = sys.argv[1:]
    con = engine.connect(Engine(**json.loads(settings)), spill=Path(target).parent / "spill")
    import time
    print("connected", time.time(), flush=True)
    write_json(Path(target), answers(con, orders, after=lambda name: print(name, time.time(), flush=True)))
