"""Resolution: from the accepted tables of a dataset to its persons, written to linked/.

Grain: one record in, one person out. Later pages count persons as this says.
"""

from __future__ import annotations

import glob
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab import engine, schemas
from loyaltylab.dataset import REFUSALS, Lab
from loyaltylab.files import write_text, written_whole
from loyaltylab.linkage import (
    devices,
    erasure,
    identity,
    kept,
    keys,
    links,
    persons,
    removal,
    updates,
)
from loyaltylab.linkage import labels as labelling
from loyaltylab.linkage.calibration import calibrate
from loyaltylab.linkage.devices import Sharing
from loyaltylab.linkage.fields import COMPARED
from loyaltylab.linkage.links import Links
from loyaltylab.linkage.updates import Update
from loyaltylab.timelines import by_person, first_orders

_RECORD = ["source", "record_id"]
_KEPT = "kept"  # below linked/


@dataclass(frozen=True)
class Resolution:
    """con : the engine that holds all tables. tables : the accepted rows of the dataset. links : None if
    the dataset has no customer records, or no two that could be compared. update : what changed since
    the model was fitted in an earlier run and kept; None if it was fitted in this one.

    records : grain one record that any table names; source, record_id, person_id, confidence,
    analysed (whether its person may be analysed). pairs : of records that may be one person;
    source_l, record_id_l, source_r, record_id_r, probability, joined (taken as one). devices :
    `devices.owners`, and sharing : how much devices are shared; None without visits. erased : records
    forgotten, in this run or before; undecided : records that a person must decide about. golden :
    `persons.golden`. decided : `labels.decided`, and rates : `labels.rates`; None without labels.
    history : `identity.changes` since the last run on other data; None if there was none.
    """

    con: Any
    tables: Mapping[str, ir.Table]
    links: Links | None
    update: Update | None
    records: ir.Table
    pairs: ir.Table
    devices: ir.Table | None
    sharing: Sharing | None
    erased: int
    undecided: int
    golden: ir.Table
    decided: pd.DataFrame | None
    rates: pd.DataFrame | None
    history: pd.DataFrame | None


def resolve(
    lab: Lab, *, budget: float, certain: float, labels: str = "", refit: bool = True
) -> Resolution:
    """Link the records, forget who asked for it, and write linked/.

    budget : see `links.link`; certain : see `erasure.to_erase`; labels : a CSV of decided pairs below
    the dataset's folder, see `labels.decided`, or empty. refit : whether to fit the model anew and
    compare all records; if not, the model stays as it is, its calibration too, and only records that
    came or changed since are compared. It is fitted all the same where there is none, or where the
    systems, the budget, what dataset.yml says of them or the code have changed.
    """
    # Records are compared where raw files are read; an engine elsewhere gets what comes of it.
    con = engine.connect(lab.spec.engine.in_process(), spill=lab.scratch)
    secret = keys.keys_of(lab.private)
    _renumber(lab, secret)
    key, last = secret.current, _read(con, lab, "records")
    tables = _accepted(con, lab)
    settings = budget, labels, refit
    linked, assigned = _assigned(con, lab, tables, last, key, *settings)
    if _forget(con, lab, tables, assigned, secret, certain):
        # As the next run will find it, or one after a crash.
        tables, last = _accepted(con, lab), _read(con, lab, "records")
        linked, assigned = _assigned(con, lab, tables, last, key, *settings)
    linked = _kept(con, lab, linked, refit=refit)
    found = linked.links if linked else None
    decided = rates = None
    if found is not None and labels:
        decided = labelling.decided(con, found, lab.folder / labels)
        rates = labelling.rates(decided, labelling.per_stratum(found))
    customers = tables.get("customers", _nobody())
    golden = persons.golden(customers, assigned, _used(tables))
    golden = _with_refusals(con, lab, golden, assigned)
    golden = golden.mutate(person_index=ibis.row_number().over(order_by="person_id"))
    golden = engine.keep(con, golden.order_by("person_id"), "persons")
    refused = golden.filter(golden["consent_analytics"] == False)  # noqa: E712
    records = assigned.mutate(analysed=assigned["person_id"].notin(refused["person_id"]))
    records = engine.keep(con, records.order_by(_RECORD), "records")
    pairs = engine.keep(con, _pairs(found, records), "told")
    history = _history(con, lab, records, pairs, last)
    known = records.filter(records["analysed"]).join(golden, "person_id")
    known = known.select(*_RECORD, "person_id", "person_index")
    for name, table in (("persons", golden), ("records", records), ("pairs", pairs)):
        _write(con, lab, name, table)
    orders = tables["orders"].join(known, _RECORD)
    _write(con, lab, "purchases", by_person(orders, golden, until=lab.observed_until))
    firsts = first_orders(
        orders, con.read_parquet(glob.escape(str(lab.linked / "purchases.parquet")))
    )
    _write(con, lab, "first_orders", firsts)
    owners, sharing = None, None
    if "visits" in tables:
        signed = devices.sign_ins(tables["visits"], assigned)
        sharing = devices.sharing(signed)
        owners = engine.keep(con, devices.owners(signed, sharing.theta), "owners")
        _write(con, lab, "devices", owners.order_by("device_id"))
    erased = len(erasure.tombstones(lab.private / "tombstones.csv"))
    undecided = _read(con, lab, "undecided")
    open_ = (
        0 if undecided is None else int(con.execute(undecided.semi_join(records, _RECORD).count()))
    )
    return Resolution(
        con,
        tables,
        found,
        linked.update if linked else None,
        records,
        pairs,
        owners,
        sharing,
        erased,
        open_,
        golden,
        decided,
        rates,
        history,
    )


def _with_refusals(con: Any, lab: Lab, golden: ir.Table, assigned: ir.Table) -> ir.Table:
    """golden, and what rows that were put aside refuse: one no of a person's is the person's."""
    path = lab.validated / REFUSALS
    if not path.exists():
        return golden
    said = con.read_parquet(glob.escape(str(path))).join(assigned, _RECORD)
    return golden.mutate(
        **{
            name: golden["person_id"]
            .isin(said.filter(said[name].notnull())["person_id"])
            .ifelse(False, golden[name])
            for name in schemas.CONSENTS
        }
    )


def _renumber(lab: Lab, secret: keys.Keys) -> None:
    """Where the key is another than it was, forget the numbers of earlier runs: nobody keeps theirs."""
    path = lab.linked / "key.txt"
    told = path.read_text("ascii").strip() if path.exists() else secret.mark()
    if told != secret.mark():
        for name in ("records", "pairs", "earlier_records", "earlier_pairs"):
            (lab.linked / f"{name}.parquet").unlink(missing_ok=True)
    write_text(path, secret.mark() + "\n")


def _assigned(
    con: Any,
    lab: Lab,
    tables: Mapping[str, ir.Table],
    last: ir.Table | None,
    key: bytes,
    budget: float,
    labels: str,
    refit: bool,
) -> tuple[_Linked | None, ir.Table]:
    """The links, and for each record that any table names person_id and confidence."""
    found = _linked(con, lab, tables, budget, labels, refit)
    clustered = _clustered(con, _every_record(con, tables), found.clusters if found else None)
    named = identity.person_ids(con, clustered, before=last, key=key)
    assigned = named.join(clustered.select(*_RECORD, "confidence"), _RECORD)
    names = [*_RECORD, "person_id", "confidence"]
    return found, engine.keep(con, assigned.select(names), "assigned")


def _read(con: Any, lab: Lab, name: str) -> ir.Table | None:
    """A table of linked/ as the last run left it, held apart from its file; None if there is none."""
    path = lab.linked / f"{name}.parquet"
    return (
        engine.keep(con, con.read_parquet(glob.escape(str(path))), name) if path.exists() else None
    )


def _history(
    con: Any, lab: Lab, records: ir.Table, pairs: ir.Table, last: ir.Table | None
) -> pd.DataFrame | None:
    """What became of persons since the last run on other data, which is kept in linked/earlier_….

    A run on the same data finds the same persons, and tells the same history.
    """
    if last is not None:
        names = [*_RECORD, "person_id"]
        same = records.select(names).union(last.select(names), distinct=True)
        sizes = [int(con.execute(table.count())) for table in (records, last, same)]
        if len(set(sizes)) > 1:
            for name in ("records", "pairs"):
                # Copied: a run that is killed before it wrote its own starts from the same as this.
                with written_whole(lab.linked / f"earlier_{name}.parquet") as part:
                    shutil.copyfile(lab.linked / f"{name}.parquet", part)
    before, pairs_before = (_read(con, lab, f"earlier_{name}") for name in ("records", "pairs"))
    if before is None or pairs_before is None:
        return None
    return con.execute(identity.changes(records, before, pairs, pairs_before))


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


@dataclass(frozen=True)
class _Linked:
    links: Links
    clusters: ir.Table
    update: Update | None


def _linked(
    con: Any, lab: Lab, tables: Mapping[str, ir.Table], budget: float, labels: str, refit: bool
) -> _Linked | None:
    if "customers" not in tables:
        return None
    customers, files = tables["customers"], lab.spec.tables["customers"]
    said = customers.agg(**{name: customers[name].count() for name in COMPARED})
    if not con.execute(said).to_numpy().any():
        return None  # numbers alone: nothing to compare records by
    verified = tuple(file.source for file in files if file.source and file.verified_email)
    alone = tuple(file.source for file in files if file.source and file.one_per_person)
    before = None if refit else kept.load(con, lab.linked / _KEPT)
    if before is not None:
        there = set(con.execute(customers.select("source").distinct())["source"])
        scorer = before.scorer
        same = (scorer.verified, scorer.alone, scorer.budget) == (verified, alone, budget)
        if same and there <= {*scorer.systems}:
            update = updates.update(con, before, customers)
            return _Linked(update.links, update.clusters, update)
    found = links.link(con, customers, verified=verified, alone=alone, budget=budget)
    if found.patterns.empty:
        return None
    if labels:
        decided = labelling.decided(con, found, lab.folder / labels)
        found = links.calibrated(con, found, calibrate(decided, labelling.per_stratum(found)))
    return _Linked(found, links.cluster(con, found), None)


def _kept(con: Any, lab: Lab, linked: _Linked | None, *, refit: bool) -> _Linked | None:
    """The same, after leaving it to the next run where that is to compare what is new alone."""
    folder = lab.linked / _KEPT
    if refit or linked is None:
        shutil.rmtree(folder, ignore_errors=True)
        return linked
    if linked.update:
        kept.extend(con, folder, linked.update)
    else:
        kept.save(con, folder, linked.links, linked.clusters)
    # The files that these came from may be gone.
    now = kept.load(con, folder)
    assert now is not None
    names = ("fields", "keyed", "compared", "pairs")
    found = replace(linked.links, **{name: getattr(now, name) for name in names})
    return replace(linked, links=found)


def _clustered(con: Any, every: ir.Table, known: ir.Table | None) -> ir.Table:
    """Grain: one record of `every`; source, record_id, cluster, confidence."""
    number = ibis.row_number().over(order_by=_RECORD)
    if known is None:
        return engine.keep(con, every.mutate(cluster=number, confidence=1.0), "clustered")
    rest = every.anti_join(known, _RECORD)
    alone = rest.mutate(cluster=-1 - number, confidence=ibis.literal(1.0))
    both = known.select(*_RECORD, "cluster", "confidence").union(alone)
    return engine.keep(con, both, "clustered")


def _forget(
    con: Any,
    lab: Lab,
    tables: Mapping[str, ir.Table],
    assigned: ir.Table,
    secret: keys.Keys,
    certain: float,
) -> bool:
    """Forget who asked, in this run or an earlier one; whether there was anybody. Records that a
    person must decide about go to linked/undecided.parquet."""
    stones = lab.private / "tombstones.csv"
    erased = erasure.forgotten(assigned, stones, secret)
    if "erasures" in tables and int(con.execute(tables["erasures"].count())):
        asked = erasure.to_erase(tables["erasures"], assigned, certain=certain)
        erased = erased.union(asked.erase)
        undecided = asked.decide.select(*_RECORD, "probability").order_by(_RECORD)
        _write(con, lab, "undecided", undecided)
    first = erased.group_by(*_RECORD).agg(
        person_id=erased["person_id"].max(), requested_at=erased["requested_at"].min()
    )
    erased = engine.keep(con, first, "erased")
    if not int(con.execute(erased.count())):
        return False
    removal.forget(lab, erased, keys=secret, tombstones=stones)
    return True


def _used(tables: Mapping[str, ir.Table]) -> ir.Table:
    """When each record was last used; source, record_id, used_at."""
    parts = [
        tables[name]
        .filter(tables[name]["record_id"].notnull())
        .select(*_RECORD, used_at=tables[name][time])
        for name, time in schemas.MAIN_TIME.items()
        # To be chosen for a campaign is no use of a record: nobody writes to who is held out.
        if name in tables and name not in ("customers", "erasures", "campaigns")
        and {*_RECORD} <= {*tables[name].columns}
    ]  # fmt: skip
    every = ibis.union(*parts) if len(parts) > 1 else parts[0]
    return every.group_by(*_RECORD).agg(used_at=every["used_at"].max())


def _pairs(found: Links | None, records: ir.Table) -> ir.Table:
    """Grain: one pair that may be one person: the records, probability, and joined (whether they
    are taken as one)."""
    names = [f"{name}_{side}" for side in "lr" for name in _RECORD]
    if found is None:
        types = dict.fromkeys(names, "string") | {"probability": "float64", "joined": "boolean"}
        return ibis.memtable([], schema=types)
    of = found.fields.select("record", *_RECORD).join(records, _RECORD)
    sides = [
        of.select(**{f"{name}_{side}": name for name in ("record", *_RECORD, "person_id")})
        for side in "lr"
    ]
    both = found.pairs.join(sides[0], "record_l").join(sides[1], "record_r")
    both = both.mutate(joined=both["person_id_l"] == both["person_id_r"])
    return both.select(*names, "probability", "joined").order_by(names)


def _write(con: Any, lab: Lab, name: str, rows: ir.Table) -> None:
    with written_whole(lab.linked / f"{name}.parquet") as part:
        con.to_parquet(rows, part, COMPRESSION="zstd")
