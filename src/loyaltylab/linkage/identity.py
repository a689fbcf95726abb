"""Identity: a number for each person that stays from run to run, and what became of those before.

Grain in and out: one record, or one change of a person.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir

from loyaltylab import engine
from loyaltylab.dataset import record_key
from loyaltylab.files import write_text

_RECORD = ["source", "record_id"]


def key_of(folder: Path) -> bytes:
    """The dataset's secret, made when there is none: without it an id would tell whose it is to
    anybody who can guess record numbers."""
    path = folder / "person.key"
    if not path.exists():
        write_text(path, secrets.token_hex(32) + "\n", mode=0o600)
    return bytes.fromhex(path.read_text("ascii").strip())


def person_ids(con: Any, clusters: ir.Table, *, before: ir.Table | None, key: bytes) -> ir.Table:
    """clusters (source, record_id, cluster) with person_id, kept in the engine.

    before : source, record_id and person_id as they were. A cluster keeps the id of the person most
    of whose records it has, and each id goes to one cluster alone; of several ids the one with the
    most records there stays. Any other cluster gets a keyed hash (HMAC-SHA256) of its first record.
    """
    named = clusters.mutate(_key=record_key(clusters))
    first = named.group_by("cluster").agg(
        founder=named["_key"].min(), every=named["_key"].group_concat("\n", order_by="_key")
    )
    new = _hashed(key)(first["founder"])
    if before is None:
        ids = first.mutate(person_id=new)
    else:
        kept = _kept(clusters, before)
        first = first.left_join(kept, "cluster").drop("cluster_right")
        new = _hashed(key)(first["founder"])
        # A person's number stays with the larger part, which may not have its first record.
        used = before.select("person_id").distinct()
        new = new.isin(used["person_id"]).ifelse(_hashed(key)(first["every"]), new)
        ids = first.mutate(person_id=first["person_id"].coalesce(new))
    found = clusters.join(ids.select("cluster", "person_id"), "cluster")
    return engine.keep(con, found.select(*_RECORD, "cluster", "person_id"), "assigned")


def _kept(clusters: ir.Table, before: ir.Table) -> ir.Table:
    """cluster and the person_id that it keeps, of those that keep one."""
    shared = (
        clusters.join(before, _RECORD).group_by("cluster", "person_id").agg(n=lambda t: t.count())
    )
    most = [ibis.desc("n"), ibis.asc("cluster"), ibis.asc("person_id")]
    place = ibis.row_number().over(group_by="person_id", order_by=most)
    shared = shared.mutate(_place=place).filter(lambda t: t["_place"] == 0)
    place = ibis.row_number().over(group_by="cluster", order_by=most)
    shared = shared.mutate(_place=place).filter(lambda t: t["_place"] == 0)
    return shared.select("cluster", "person_id")


def _hashed(key: bytes) -> Any:
    @ibis.udf.scalar.python  # type: ignore[untyped-decorator]
    def keyed_hash(text: str) -> str:
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:20]

    return keyed_hash
