"""Erasure: whom requests to be forgotten reach, and what is left of them. Grain in: one request.

A law gives the right (GDPR art. 17). What is left of a record is a tombstone: a keyed hash by which a
later run knows it when an export still has it, and from which nobody without the key can tell who it
was. raw/ is the owner's and is never written: the systems must forget for themselves.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import hmac
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from loyaltylab.files import write_text
from loyaltylab.linkage.keys import Keys

_RECORD = ["source", "record_id"]
_HEADER = ["tombstone", "requested_on"]


def tombstone(key: bytes, source: str, record_id: str) -> str:
    """HMAC-SHA256 (RFC 2104) of a record, in hex.

    Customers' numbers are few enough to hash them all, so a plain hash would tell whose it is. The two
    parts are put together as JSON, so that no other two give the same text.
    """
    told = json.dumps([source, record_id]).encode("ascii")
    return hmac.new(key, told, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Requested:
    """What requests to be forgotten reach. Both are a table with the grain of one record: source,
    record_id, person_id (missing if linkage knows no such record), requested_at (the first request).

    erase : to be forgotten. decide : to be shown to a person, with probability, in (0, 1]: that the
    record is of somebody who asked.
    """

    erase: ir.Table
    decide: ir.Table


def to_erase(erasures: ir.Table, assigned: ir.Table, *, certain: float) -> Requested:
    """The records that requests name, and all others of the persons whom they name by any record.

    assigned : one row a record; source, record_id, person_id, confidence.
    certain : in (0, 1], the least probability that a record is of whoever asked at which it is erased
    unseen. It is the product of two confidences, that the record named in the request is this person's
    and that the other one is; of several requests the highest counts. To erase on a weak link would
    destroy somebody else's data, who did not ask and cannot be asked, and to leave it would keep
    what must go: below `certain` the record is for a person to decide. A record that is named itself
    is erased whatever its confidence.
    """
    asked = erasures.group_by(_RECORD).agg(requested_at=erasures["requested_at"].min())
    known = asked.left_join(assigned, _RECORD)
    named = known.select(*_RECORD, "person_id", "requested_at")
    persons = known.group_by("person_id").agg(
        requested_at=known["requested_at"].min(), named_confidence=known["confidence"].max()
    )
    theirs = assigned.join(persons, "person_id").anti_join(asked, _RECORD)
    probability = theirs["confidence"] * theirs["named_confidence"]
    theirs = theirs.select(*_RECORD, "person_id", "requested_at", probability=probability)
    sure = theirs.filter(theirs["probability"] >= certain).drop("probability")
    return Requested(erase=named.union(sure), decide=theirs.filter(theirs["probability"] < certain))


def remember(path: Path, keys: Keys, records: ir.Table) -> None:
    """Add tombstones of records (source, record_id, requested_at) to the file at path.

    A CSV, one row a record: tombstone, requested_on (the day of its first request); sorted, each
    once, and of the current key alone. Raises LabError if it cannot be written.
    """
    stones = tombstones(path)
    for row in records.select(*_RECORD, "requested_at").to_pyarrow().to_pylist():
        record, day = (row["source"], row["record_id"]), row["requested_at"].date()
        days = [stones.pop(tombstone(key, *record), day) for key in (keys.current, *keys.retired)]
        stones[tombstone(keys.current, *record)] = min(day, *days)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    writer.writerows(sorted(stones.items()))
    write_text(path, text.getvalue(), mode=0o600)


def forgotten(assigned: ir.Table, path: Path, keys: Keys) -> ir.Table:
    """The records that have a tombstone, be it of a retired key, which an export may still have when the
    request has gone from it. Grain and columns as in `Requested.erase`.

    A system that gives a number to somebody else later makes them forgotten too.
    """

    stones = tombstones(path)
    days = [dt.datetime.combine(day, dt.time()) for day in stones.values()]
    held = ibis.memtable(
        pa.table(
            {
                "_stone": pa.array(list(stones), pa.string()),
                "requested_at": pa.array(days, pa.timestamp("us")),
            }
        )
    )
    marked = [
        assigned.mutate(_stone=_tombstones_of(key)(assigned["source"], assigned["record_id"]))
        for key in (keys.current, *keys.retired)
    ]
    both = ibis.union(*marked) if len(marked) > 1 else marked[0]
    return both.join(held, "_stone").select(*_RECORD, "person_id", "requested_at")


def _tombstones_of(key: bytes) -> Any:
    @ibis.udf.scalar.python  # type: ignore[untyped-decorator]
    def _tombstone(source: str, record_id: str) -> str:
        return tombstone(key, source, record_id)

    return _tombstone


def tombstones(path: Path) -> dict[str, dt.date]:
    """What `remember` wrote: tombstone → requested_on; none where there is no file yet."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as opened:
        rows = csv.DictReader(opened)
        return {row["tombstone"]: dt.date.fromisoformat(row["requested_on"]) for row in rows}
