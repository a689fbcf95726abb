"""Resolution: from the accepted tables of a dataset to its persons, written to linked/.

Grain: one record in, one person out. Later pages count persons as this says.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from loyaltylab import engine, schemas
from loyaltylab.contract import Engine
from loyaltylab.dataset import Lab
from loyaltylab.files import written_whole
from loyaltylab.linkage import devices, erasure, identity, links, persons, removal
from loyaltylab.linkage.devices import Sharing
from loyaltylab.linkage.links import Links

_RECORD = ["source", "record_id"]


@dataclass(frozen=True)
class Resolution:
    """con : the engine that holds the tables. links : None if the dataset has no customer records, or
    nothing in them to compare.

    records : grain one record that any table names; source, record_id, person_id, confidence,
    analysed (whether its person may be analysed). devices : `devices.owners`; None without visits.
    sharing : how much devices are shared; None without visits. erased : records forgotten in this
    run; undecided : those that a person must decide about.
    """

    con: Any
    links: Links | None
    records: ir.Table
    devices: ir.Table | None
    sharing: Sharing | None
    erased: int
    undecided: int


def resolve(lab: Lab, *, budget: float, certain: float) -> Resolution:
    """Link the records, forget who asked for it, and write linked/.

    budget : see `links.link`; certain : see `erasure.to_erase`.
    """
    # Records are compared where raw files are read; an engine elsewhere gets what comes of it.
    con = engine.connect(Engine(duckdb=lab.spec.engine.duckdb), spill=lab.scratch)
    tables = _accepted(con, lab)
    key = identity.key_of(lab.private)
    every = _every_record(con, tables)
    found = _linked(con, lab, tables, budget)
    clustered = _clustered(con, every, found)
    named = identity.person_ids(con, clustered, before=None, key=key)
    assigned = named.join(clustered.select(*_RECORD, "confidence"), _RECORD)
    assigned = engine.keep(con, assigned.select(*_RECORD, "person_id", "confidence"), "assigned")
    erased, undecided = _forget(con, lab, tables, assigned, key, certain)
    assigned = engine.keep(con, assigned.anti_join(erased, _RECORD), "assigned")
    tables = _accepted(con, lab)
    customers = tables.get("customers", _nobody())
    golden = persons.golden(customers, assigned, _used(tables))
    golden = engine.keep(con, golden.order_by("person_id"), "persons")
    _write(con, lab, "persons", golden)
    refused = golden.filter(golden["consent_analytics"] == False)  # noqa: E712
    records = assigned.mutate(analysed=assigned["person_id"].notin(refused["person_id"]))
    records = engine.keep(con, records.order_by(_RECORD), "records")
    _write(con, lab, "records", records)
    if found is not None:
        _write(con, lab, "pairs", _pairs(found, records))
    owners, sharing = None, None
    if "visits" in tables:
        signed = devices.sign_ins(tables["visits"], assigned)
        sharing = devices.sharing(signed)
        owners = engine.keep(con, devices.owners(signed, sharing.theta), "owners")
        _write(con, lab, "devices", owners.order_by("device_id"))
    counts = [int(con.execute(table.count())) for table in (erased, undecided)]
    return Resolution(con, found, records, owners, sharing, *counts)


def _accepted(con: Any, lab: Lab) -> Mapping[str, ir.Table]:
    """The accepted rows of each table that the dataset has."""
    paths = {name: lab.validated / f"{name}.parquet" for name in lab.spec.tables}
    return {name: con.read_parquet(glob.escape(str(path))) for name, path in paths.items()}


def _nobody() -> ir.Table:
    return ibis.memtable([], schema=schemas.column_types("customers"))


def _every_record(con: Any, tables: Mapping[str, ir.Table]) -> ir.Table:
    """source and record_id of all that any table names."""
    parts = [
        table.filter(table["record_id"].notnull()).select(_RECORD)
        for table in tables.values()
        if {*_RECORD} <= {*table.columns}
    ]
    return engine.keep(
        con, ibis.union(*parts, distinct=True) if len(parts) > 1 else parts[0].distinct(), "every"
    )


def _linked(con: Any, lab: Lab, tables: Mapping[str, ir.Table], budget: float) -> Links | None:
    if "customers" not in tables:
        return None
    files = lab.spec.tables["customers"]
    return links.link(
        con,
        tables["customers"],
        verified=[file.source for file in files if file.source and file.verified_email],
        alone=[file.source for file in files if file.source and file.one_per_person],
        budget=budget,
    )


def _clustered(con: Any, every: ir.Table, found: Links | None) -> ir.Table:
    """Grain: one record of `every`; source, record_id, cluster, confidence."""
    number = ibis.row_number().over(order_by=_RECORD)
    if found is None:
        return engine.keep(con, every.mutate(cluster=number, confidence=1.0), "clustered")
    known = links.cluster(con, found)
    rest = every.anti_join(known, _RECORD)
    alone = rest.mutate(cluster=-1 - number, confidence=ibis.literal(1.0))
    both = known.select(*_RECORD, "cluster", "confidence").union(alone)
    return engine.keep(con, both, "clustered")


def _forget(
    con: Any,
    lab: Lab,
    tables: Mapping[str, ir.Table],
    assigned: ir.Table,
    key: bytes,
    certain: float,
) -> tuple[ir.Table, ir.Table]:
    """Forget who asked, in this run or an earlier one; the records erased, and those undecided."""
    stones = lab.private / "tombstones.csv"
    erased = erasure.forgotten(assigned, stones, key)
    undecided = erased.limit(0)
    if "erasures" in tables:
        asked = erasure.to_erase(tables["erasures"], assigned, certain=certain)
        erased = erased.union(asked.erase)
        undecided = engine.keep(con, asked.decide, "undecided")
    first = erased.group_by(*_RECORD).agg(
        person_id=erased["person_id"].max(), requested_at=erased["requested_at"].min()
    )
    erased = engine.keep(con, first, "erased")
    if int(con.execute(erased.count())):
        removal.forget(lab, erased, key=key, tombstones=stones)
    return erased, undecided


def _used(tables: Mapping[str, ir.Table]) -> ir.Table:
    """When each record was last used; source, record_id, used_at."""
    parts = [
        tables[name]
        .filter(tables[name]["record_id"].notnull())
        .select(*_RECORD, used_at=tables[name][time])
        for name, time in schemas.MAIN_TIME.items()
        if name in tables and name not in ("customers", "erasures")
        and {*_RECORD} <= {*tables[name].columns}
    ]  # fmt: skip
    every = ibis.union(*parts) if len(parts) > 1 else parts[0]
    return every.group_by(*_RECORD).agg(used_at=every["used_at"].max())


def _pairs(found: Links, records: ir.Table) -> ir.Table:
    """Grain: one pair that may be one person: the records, probability, and joined (whether they
    are taken as one)."""
    of = found.fields.select("record", *_RECORD).join(records, _RECORD)
    sides = [
        of.select(**{f"{name}_{side}": name for name in ("record", *_RECORD, "person_id")})
        for side in "lr"
    ]
    both = found.pairs.join(sides[0], "record_l").join(sides[1], "record_r")
    both = both.mutate(joined=both["person_id_l"] == both["person_id_r"])
    names = [f"{name}_{side}" for side in "lr" for name in _RECORD]
    return both.select(*names, "probability", "joined").order_by(names)


def _write(con: Any, lab: Lab, name: str, rows: ir.Table) -> None:
    with written_whole(lab.linked / f"{name}.parquet") as part:
        con.to_parquet(rows, part, COMPRESSION="zstd")
