"""What only a simulation knows. Sections "Against the truth" read it; no finding may.

truth/ is beside raw/ in the folder of a dataset that was simulated, and nowhere else.
"""

from __future__ import annotations

import glob
from typing import Any

import ibis.expr.types as ir
import pandas as pd

from loyaltylab import engine
from loyaltylab.dataset import Lab
from loyaltylab.errors import LabError
from loyaltylab.language import phrase
from loyaltylab.numbers import Numbers


def table(lab: Lab, name: str) -> ir.Table:
    """A table of truth/, as data/README.md describes it."""
    path = lab.folder / "truth" / f"{name}.parquet"
    if not path.exists():
        raise LabError(f"{lab.name}: expected truth/{name}.parquet, found none. Simulate it first.")
    return lab.engine.read_parquet(str(path))


def persons(lab: Lab, rows: ir.Table) -> ir.Table:
    """rows with source and record_id, and whose record each is, as person_id."""
    known = table(lab, "records").select("source", "record_id", really="person")
    found = rows.left_join(known, ["source", "record_id"])
    return found.mutate(person_id=found["really"]).drop("really", "source_right", "record_id_right")


def pairs(lab: Lab, rows: ir.Table, *, same: ir.Column) -> dict[str, int]:
    """Pairs of records that are one person, and pairs that agree in `same` (missing agrees with none).

    rows : source and record_id, one row a record. Returns true (pairs of one person), found (pairs
    that agree) and right (pairs that are both).
    """
    known = persons(lab, rows.mutate(same=same))
    agreeing = known.filter(known["same"].notnull())
    return {
        "true": _pairs(known, "person_id"),
        "found": _pairs(agreeing, "same"),
        "right": _pairs(agreeing, "same", "person_id"),
    }


def scored(lab: Lab, pairs: ir.Table) -> pd.DataFrame:
    """How often pairs of a probability are one person. Grain: one probability; probability, pairs, same.

    pairs : source_l, record_id_l, source_r, record_id_r, probability.
    """
    known = table(lab, "records").select("source", "record_id", "person")
    for side in "lr":
        pairs = pairs.join(known.rename({f"{c}_{side}": c for c in known.columns}),
                           [f"source_{side}", f"record_id_{side}"])  # fmt: skip
    same = pairs["person_l"] == pairs["person_r"]
    counted = pairs.group_by("probability").agg(pairs=pairs.count(), same=same.sum())
    return counted.order_by("probability").to_pandas()


def compared(lab: Lab, con: Any, fields: ir.Table, pairs: ir.Table) -> int:
    """How many pairs of records that are one person were compared at all.

    con : the engine that holds fields (record, source, record_id) and pairs (record_l, record_r).
    """
    path = lab.folder / "truth" / "records.parquet"
    known = con.read_parquet(glob.escape(str(path))).select("source", "record_id", "person")
    of = fields.select("record", "source", "record_id").join(known, ["source", "record_id"])
    of = engine.keep(con, of.select("record", "person"), "truly")
    for side in "lr":
        pairs = pairs.join(of.rename({f"{c}_{side}": c for c in of.columns}), f"record_{side}")
    same = (pairs["person_l"] == pairs["person_r"]).sum()
    return int(con.execute(same.fill_null(0)))


def accuracy(true: float, found: float, right: float) -> dict[str, float]:
    """precision, recall and f1 of pairs; missing where nothing was found or nothing is true."""
    precision = right / found if found else float("nan")
    recall = right / true if true else float("nan")
    return {"precision": precision, "recall": recall, "f1": 2 * right / max(true + found, 1)}


def keep_accuracy(
    numbers: Numbers,
    name: str,
    rates: dict[str, float],
    *,
    n: int,
    of: str = "pairs of records taken as one person",
) -> None:
    """Record `accuracy` as <name>_precision, <name>_recall and <name>_f1. n : of `of`, how many truly
    are."""
    for rate, value in rates.items():
        definition = phrase(_RATES[rate], of=phrase(of))
        numbers.record(f"{name}_{rate}", value, unit="share", n=n, definition=definition)


_RATES = {
    "precision": "precision of {of}, against the simulated truth",
    "recall": "recall of {of}, against the simulated truth",
    "f1": "f1 of {of}, against the simulated truth",
}


def _pairs(rows: ir.Table, *keys: str) -> int:
    size = rows.group_by(*keys).agg(size=rows.count())["size"]
    return int((size * (size - 1) / 2).sum().to_pyarrow().as_py() or 0)


def still_customers(lab: Lab, people: ir.Table) -> ir.Table:
    """people (person_id as Lab.orders gives it) with still: whether who it is has not left for good;
    of several whom linkage takes for one, whether any has not."""
    records = lab.records().join(table(lab, "records"), ["source", "record_id"])
    left = table(lab, "people").select("person", "left_at")
    known = records.select("person_id", "person").join(left, "person")
    still = known.group_by("person_id").agg(still=known["left_at"].isnull().any())
    return people.join(still, "person_id")


def departures(lab: Lab, people: ir.Table) -> dict[str, int]:
    """Customers who have left for good (true), whom `gone` says have (found), and both (right).

    people : person_id as Lab.orders gives it, and gone; one row a person.
    """
    known = still_customers(lab, people)
    counted = known.aggregate(
        true=(~known["still"]).sum(),
        found=known["gone"].sum(),
        right=(known["gone"] & ~known["still"]).sum(),
    )
    return {name: int(value or 0) for name, value in counted.to_pyarrow().to_pylist()[0].items()}
