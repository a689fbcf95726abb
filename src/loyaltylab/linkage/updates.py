"""Updates: records that came, changed or went since all were linked, compared with the others alone.

Grain: one record. With the model as it was fitted the result is that of comparing all of them again,
in a small part of the time: whoever is in a chain of links that no record came to or left stays of the
person that they were of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import ibis
import ibis.expr.types as ir

from loyaltylab import engine
from loyaltylab.linkage import blocking, comparison, evidence, links
from loyaltylab.linkage.fields import fields, mark
from loyaltylab.linkage.links import Links, Scorer

_RECORD = ["source", "record_id"]


@dataclass(frozen=True)
class Linked:
    """What further records are compared with: of `links.Links`, all but patterns, and clusters as
    `links.cluster` gives them."""

    scorer: Scorer
    fields: ir.Table
    keyed: ir.Table
    compared: ir.Table
    pairs: ir.Table
    clusters: ir.Table


@dataclass(frozen=True)
class Update:
    """links and clusters as if all records had been compared again. came, gone : how many records are
    new, and how many are no more; one that says something else than before is both. first : the number
    of the first that came; None if pairs of others came or went too, so that all were compared again.
    """

    links: Links
    clusters: ir.Table
    came: int
    gone: int
    first: int | None


def update(con: Any, before: Linked, customers: ir.Table) -> Update:
    """The links of customers, from those of an earlier state of them.

    The systems of customers must be among those of the scorer. A record keeps its number, and the next
    are given to those that came: numbers of those that went stay free.
    """
    scorer = before.scorer
    count = len(scorer.systems)
    highest = con.execute(before.fields["record"].max().fill_null(-1))
    first = int(highest) + 1
    known = before.fields.select(*_RECORD, "record", known=before.fields["mark"])
    now = customers.mutate(mark=mark(con, customers)).left_join(known, _RECORD)
    now = now.mutate(same=(now["mark"] == now["known"]).fill_null(False))
    same = engine.keep(con, now.filter(now["same"]).select("record"), "same")
    gone = engine.keep(con, before.fields.anti_join(same, "record").select("record"), "gone")
    came = engine.keep(con, now.filter(~now["same"]).select(customers.columns), "came")
    counts = int(con.execute(came.count())), int(con.execute(gone.count()))
    came = evidence.with_rarity(con, fields(con, came, first=first), scorer.names, scorer.systems)
    keys = blocking.keyed(con, came)
    pairs = None
    if scorer.used:
        pairs = blocking.further(con, before.keyed, keys, scorer.used, gone=gone, most=scorer.most)
    if pairs is None:
        found = links.link_again(con, customers, scorer)
        return Update(found, links.cluster(con, found), *counts, None)
    records, keyed = before.fields, before.keyed
    compared, likely = before.compared, before.pairs
    if counts[1]:
        records, keyed = _without(records, gone, "record"), _without(keyed, gone, "record")
        compared, likely = _without(compared, gone, *_ENDS), _without(likely, gone, *_ENDS)
    records = records.union(came)
    if counts[1]:
        scorer = _of_those(con, scorer, records)
    pairs = engine.keep(con, pairs, "pairs")
    some = engine.keep(con, records.semi_join(_ends(pairs), "record"), "some")
    new = engine.keep(con, comparison.compare(con, some, pairs, systems=count), "compared")
    compared = compared.union(new)
    patterns = links.scored(scorer, evidence.patterns(con, compared, systems=count))
    joined = links.likely(con, new, patterns)
    found = Links(
        scorer,
        int(con.execute(records.count())),
        records,
        keyed.union(keys),
        compared,
        likely.union(joined),
        patterns,
    )
    touched = engine.keep(con, _touched(before.clusters, gone, came, joined), "touched")
    redone = links.clustered(
        con,
        scorer,
        records.semi_join(touched, "record"),
        _between(found.pairs, touched),
        _between(links.unlikely(found), touched),
    )
    rest = before.clusters.anti_join(touched, "record").anti_join(gone, "record")
    clusters = engine.keep(con, rest.union(redone.select(rest.columns)), "clusters")
    return Update(found, clusters, *counts, first)


_ENDS = ("record_l", "record_r")


def _touched(clusters: ir.Table, gone: ir.Table, came: ir.Table, joined: ir.Table) -> ir.Table:
    """record : of chains that one left, or that one that came is joined to, and those that came."""
    pairs = joined.filter(joined["probability"] > 0.5)
    chains = clusters.semi_join(_ends(pairs).union(gone), "record").select("chain")
    members = clusters.semi_join(chains, "chain").anti_join(gone, "record")
    return members.select("record").union(came.select("record"))


def _ends(pairs: ir.Table) -> ir.Table:
    return pairs.select(record="record_l").union(pairs.select(record="record_r"))


def _of_those(con: Any, scorer: Scorer, records: ir.Table) -> Scorer:
    """The scorer without names that none of the records bears: what is left of one who went."""
    borne = [
        records.select(name=column).distinct().mutate(kind=ibis.literal(kind))
        for kind, column in comparison.NAMES.items()
    ]
    names = ibis.memtable(scorer.names).semi_join(ibis.union(*borne), ["kind", "name"])
    return replace(scorer, names=con.execute(names.order_by("kind", "name")))


def _without(rows: ir.Table, records: ir.Table, *names: str) -> ir.Table:
    for name in names:
        rows = rows.anti_join(records, [(name, "record")])
    return rows


def _between(pairs: ir.Table, records: ir.Table) -> ir.Table:
    for name in _ENDS:
        pairs = pairs.semi_join(records, [(name, "record")])
    return pairs
