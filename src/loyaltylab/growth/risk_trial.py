"""How often honest customers look like abusers: the signals of risk, tried where who is who is known."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab import engine, truth
from loyaltylab.dataset import Lab
from loyaltylab.growth import risk
from loyaltylab.simulation import Company, simulate
from loyaltylab.simulation.calendar import timestamps
from loyaltylab.world import World


@dataclass(frozen=True)
class Tried:
    """customers who were looked at, and how many of them were flagged."""

    customers: int
    flagged: int


def of_company(company: Company) -> dict[str, pd.DataFrame]:
    """A simulated company's orders, lines and customers as `risk.features` wants them, with the true
    person (a number) as person_id."""
    lived, sold, records = company.behaviour.orders, company.baskets, company.records.table
    number = np.arange(len(lived)).astype(str).astype(object)
    orders = pd.DataFrame(
        {
            "person_id": lived["customer"].astype(str),
            "order_id": number,
            "ordered_at": timestamps(company.world, lived["time"].to_numpy()),
            "amount": sold.orders["amount"],
            "status": np.where(sold.orders["cancelled"], "cancelled", "completed"),
            "returned_amount": sold.orders["returned"],
            "voucher": pd.Series(company.vouchers, dtype="string"),
        }
    )
    lines = pd.DataFrame(
        {
            "order_id": number[sold.lines["order"]],
            "product_id": sold.lines["product"].astype(str),
            "quantity": sold.lines["quantity"].astype(float),
        }
    )
    whose = records["customer"].to_numpy()
    business = company.behaviour.customers["business"].to_numpy()[whose]
    referrer = records["referrer"].to_numpy()
    ids = company.records.ids(np.arange(len(records)))
    customers = pd.DataFrame(
        {
            "person_id": whose.astype(str),
            "source": records["system"].astype(str),
            "record_id": ids,
            "customer_type": np.where(business, "business", "private"),
            "referred_by": np.where(referrer >= 0, ids[np.maximum(referrer, 0)], None),
        }
    ).astype({"referred_by": "string"})
    return {"orders": orders, "lines": lines, "customers": customers}


def suspects_of(con: Any, company: Company, *, alarm: float, signals: Collection[str]) -> set[int]:
    """The customers of a simulated company that one of these signals flags, by number."""
    tables = {name: ibis.memtable(rows) for name, rows in of_company(company).items()}
    people = risk.features(tables["orders"], lines=tables["lines"], customers=tables["customers"])
    people = engine.keep(con, people, "tried")
    found = risk.suspects(risk.scored(people, signals=signals), alarm=alarm)
    return {int(person) for person in con.execute(found.select("person_id"))["person_id"]}


def honest(con: Any, *, customers: int, seed: int, alarm: float, signals: Collection[str]) -> Tried:
    """How many are flagged of simulated customers of whom nobody abuses anything, though some look as
    if they did: families that send much back, businesses that buy much, eager recommenders."""
    company = simulate(World(customers=customers, seed=seed, abuse_share=0))
    return Tried(customers, len(suspects_of(con, company, alarm=alarm, signals=signals)))


def against_truth(lab: Lab, suspects: ir.Table) -> dict[str, int]:
    """Abusers among the persons who may be analysed (true), persons flagged (found), and of these
    the abusers (right); flagged_abusers of the true ones.

    suspects : person_id as `Lab.orders` gives it. A person found whose records are of several people in
    truth is right if one of them is an abuser.
    """
    records = lab.records().filter(lambda row: row["analysed"])
    known = records.join(
        truth.table(lab, "records").select("source", "record_id", "person"), ["source", "record_id"]
    )
    abusers = truth.table(lab, "abusers").select("person")
    theirs = known.semi_join(abusers, "person").select("person_id", "person").distinct()
    flagged = theirs.semi_join(suspects, "person_id")
    counted = {
        "true": theirs["person"].nunique(),
        "flagged_abusers": flagged["person"].nunique(),
        "right": flagged["person_id"].nunique(),
        "found": suspects.count(),
    }
    return {name: int(value.to_pyarrow().as_py() or 0) for name, value in counted.items()}
