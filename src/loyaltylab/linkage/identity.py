"""Identity: a number for each person that stays from run to run, and what became of those before.

Grain in and out: one record, or one change of a person.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import ibis
import ibis.expr.types as ir

from loyaltylab import collecting, engine
from loyaltylab.dataset import record_key

_RECORD = ["source", "record_id"]


def person_ids(con: Any, clusters: ir.Table, *, before: ir.Table | None, key: bytes) -> ir.Table:
    """clusters (source, record_id, cluster) with person_id, kept in the engine.

    before : source, record_id and person_id as they were. A cluster keeps the id of the person most
    of whose records it has, and each id goes to one cluster alone; of several ids the one with the
    most records there stays. Any other cluster gets a keyed hash (HMAC-SHA256) of its first record,
    hashed again as long as a person had that id before.
    """
    named = clusters.mutate(_key=record_key(clusters))
    first = named.group_by("cluster").agg(founder=named["_key"].min())
    if before is None:
        ids = first.mutate(person_id=_hashed(key)(first["founder"]))
    else:
        first = first.left_join(_kept(con, clusters, before), "cluster").drop("cluster_right")
        # A person's id stays with the larger part, which may not have its first record.
        with collecting.whole(con):  # a new id must be none of them
            used = con.execute(before.select("person_id").distinct())["person_id"]
        new = _hashed(key, frozenset(used))(first["founder"])
        ids = first.mutate(person_id=first["person_id"].coalesce(new))
    found = clusters.join(ids.select("cluster", "person_id"), "cluster")
    return engine.keep(con, found.select(*_RECORD, "cluster", "person_id"), "assigned")


def changes(now: ir.Table, before: ir.Table, pairs: ir.Table, pairs_before: ir.Table) -> ir.Table:
    """What became of persons since. Grain: one person that took records over from another.

    now, before : source, record_id, person_id; pairs, pairs_before : source_l, record_id_l, source_r,
    record_id_r, probability, joined.
    what ("merged": the person took over all records of the other, or "split": a part of them),
    person_id, other_id (the one they were of), records (how many), probability, probability_before
    (of the likeliest pair between these records and the rest of the person they came to or from; 0 if
    none was likely enough to be kept), new_records (whether the person has records that are new).
    """
    was = before.select(*_RECORD, other_id="person_id")
    both = (
        now.select(*_RECORD, "person_id")
        .left_join(was, _RECORD)
        .drop("source_right", "record_id_right")
    )
    fresh = both.filter(both["other_id"].isnull()).select("person_id").distinct()
    moved = both.filter(both["other_id"] != both["person_id"])
    counted = moved.group_by("person_id", "other_id").agg(records=moved.count())
    left = (
        both.filter(both["other_id"] == both["person_id"]).select(other_id="person_id").distinct()
    )
    counted = counted.mutate(
        what=counted["other_id"].isin(left["other_id"]).ifelse("split", "merged"),
        new_records=counted["person_id"].isin(fresh["person_id"]),
    )
    for name, some in (("probability", pairs), ("probability_before", pairs_before)):
        best = _between(some, both, name)
        counted = counted.left_join(best, ["person_id", "other_id"]).drop(
            "person_id_right", "other_id_right"
        )
        counted = counted.mutate(**{name: counted[name].fill_null(0.0)})
    names = ["what", "person_id", "other_id", "records", "probability", "probability_before"]
    return counted.select(*names, "new_records").order_by("what", "person_id", "other_id")


def _between(pairs: ir.Table, both: ir.Table, name: str) -> ir.Table:
    """person_id, other_id and the likeliest pair of a record that went from one to the other, and one
    that was in only one of them, whichever it is."""
    sides = [
        both.select(
            **{f"{column}_{side}": column for column in (*_RECORD, "person_id", "other_id")}
        )
        for side in "lr"
    ]
    joined = pairs
    for side, rows in zip("lr", sides, strict=True):
        joined = joined.join(rows, [f"source_{side}", f"record_id_{side}"])
    parts = []
    for one, other in ("lr", "rl"):
        went = joined[f"person_id_{one}"] != joined[f"other_id_{one}"]
        stayed = joined[f"person_id_{other}"] == joined[f"other_id_{other}"].coalesce(
            joined[f"person_id_{other}"]
        )
        to = joined[f"person_id_{one}"] == joined[f"person_id_{other}"]
        of = joined[f"other_id_{one}"] == joined[f"person_id_{other}"]
        rows = joined.filter(went & stayed & (to | of))
        parts.append(
            rows.select(
                person_id=rows[f"person_id_{one}"],
                other_id=rows[f"other_id_{one}"],
                probability=rows["probability"],
            )
        )
    every = parts[0].union(parts[1])
    return every.group_by("person_id", "other_id").agg(**{name: every["probability"].max()})


def _kept(con: Any, clusters: ir.Table, before: ir.Table) -> ir.Table:
    """cluster and the person_id that it keeps, of those that keep one.

    A cluster and an id that share more records with each other than with any other are taken first,
    then those that are so among the rest, and so on.
    """
    both = clusters.select(*_RECORD, "cluster").join(before.select(*_RECORD, "person_id"), _RECORD)
    rest = both.group_by("cluster", "person_id").agg(n=lambda t: t.count())
    most = [ibis.desc("n"), ibis.asc("cluster"), ibis.asc("person_id")]
    taken = []
    while True:
        ranked = engine.keep(
            con,
            rest.mutate(
                of_id=ibis.row_number().over(group_by="person_id", order_by=most),
                of_cluster=ibis.row_number().over(group_by="cluster", order_by=most),
            ),
            "ranked",
        )
        best = ranked.filter((ranked["of_id"] == 0) & (ranked["of_cluster"] == 0))
        taken.append(best.select("cluster", "person_id"))
        rest = ranked.anti_join(best, "cluster").anti_join(best, "person_id")
        rest = rest.select("cluster", "person_id", "n")
        if not int(con.execute(rest.count())):
            return ibis.union(*taken) if len(taken) > 1 else taken[0]


def _hashed(key: bytes, used: frozenset[str] = frozenset()) -> Any:
    @ibis.udf.scalar.python  # type: ignore[untyped-decorator]
    def keyed_hash(text: str) -> str:
        while (text := hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:20]) in used:
            pass
        return text

    return keyed_hash
