"""Links: pairs of records, how probable it is that they are one person, and the clusters they form.

Grain in: one customer record. Grain out: one pair, or one record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa

from loyaltylab import collecting, engine
from loyaltylab.linkage import blocking, comparison, evidence
from loyaltylab.linkage.calibration import Calibration
from loyaltylab.linkage.clusters import clusters, components
from loyaltylab.linkage.fields import fields
from loyaltylab.linkage.model import Model, fit, probability

# What an address that its owner confirmed says of two records that share it, and do not contradict.
CONFIRMED = 0.999
_KEPT = 0.001  # probability from which on a pair is kept
_RECORD = ["source", "record_id"]


@dataclass(frozen=True)
class Scorer:
    """All that is needed to compare further records as the first were.

    records : how many the model was fitted to; budget : the pairs a record that it might compare.
    rules : `blocking.counted` of them, with used; most : how many records may share a key. names :
    `evidence.rarities`. systems : in the order of their numbers; verified : those in
    which an e-mail address was confirmed by its owner; alone : those in which a person has one record
    at most.
    """

    model: Model
    records: int
    budget: float
    rules: pd.DataFrame
    most: int
    names: pd.DataFrame
    systems: tuple[str, ...]
    verified: tuple[str, ...]
    alone: tuple[str, ...]
    calibration: Calibration

    @property
    def used(self) -> list[str]:
        """The rules of blocking."""
        return self.rules.loc[self.rules["used"], "rule"].tolist()


@dataclass(frozen=True)
class Links:
    """records : how many were compared. fields : grain one record, as `fields.fields` and
    `evidence.with_rarity` give them. keyed : `blocking.keyed`. compared : grain one pair that was;
    record_l, record_r, pattern. pairs : those likelier than one in a thousand, with probability.
    patterns : grain one pattern of agreement; what it is made of, pattern, pairs and probability.
    """

    scorer: Scorer
    records: int
    fields: ir.Table
    keyed: ir.Table
    compared: ir.Table
    pairs: ir.Table
    patterns: pd.DataFrame


def link(
    con: Any,
    customers: ir.Table,
    *,
    verified: Sequence[str] = (),
    alone: Sequence[str] = (),
    budget: float = blocking.BUDGET,
) -> Links:
    """Compare the records that may be one person, and fit the model.

    verified : systems in which an e-mail address was confirmed by its owner; alone : systems in
    which a person has one record at most; budget : pairs a record that may be compared.
    """
    plain = fields(con, customers)
    names = evidence.frequencies(con, plain)
    sources = con.execute(plain.select("source").distinct().order_by("source"))["source"]
    systems = tuple(sources.tolist())
    rare = evidence.rarities(names)
    records = evidence.with_rarity(con, plain, rare, systems)
    keyed = blocking.keyed(con, records)
    count = int(con.execute(records.count()))
    most = blocking.most(records=count, budget=budget)
    rules = blocking.counted(con, keyed, most=most)
    rules["used"] = rules["rule"].isin(blocking.choose(rules, records=count, budget=budget))
    compared = _compared(con, records, keyed, rules.loc[rules["used"], "rule"], most, len(systems))
    found = evidence.gather(con, records, compared, names, systems)
    scorer = Scorer(
        model=fit(found),
        records=count,
        budget=budget,
        rules=rules,
        most=most,
        names=rare,
        systems=systems,
        verified=tuple(verified),
        alone=tuple(alone),
        calibration=Calibration("none", 0),
    )
    patterns = scored(scorer, found.patterns)
    pairs = likely(con, compared, patterns)
    return Links(scorer, count, records, keyed, compared, pairs, patterns)


def link_again(con: Any, customers: ir.Table, scorer: Scorer) -> Links:
    """Compare all records as the first were. Their systems must be among those of the scorer."""
    records = evidence.with_rarity(con, fields(con, customers), scorer.names, scorer.systems)
    keyed = blocking.keyed(con, records)
    compared = _compared(con, records, keyed, scorer.used, scorer.most, len(scorer.systems))
    patterns = scored(scorer, evidence.patterns(con, compared, systems=len(scorer.systems)))
    count, pairs = int(con.execute(records.count())), likely(con, compared, patterns)
    return Links(scorer, count, records, keyed, compared, pairs, patterns)


def _compared(
    con: Any, records: ir.Table, keyed: ir.Table, rules: Sequence[str], most: int, systems: int
) -> ir.Table:
    pairs = engine.keep(con, blocking.pairs(keyed, rules, most=most), "pairs")
    return engine.keep(con, comparison.compare(con, records, pairs, systems=systems), "compared")


def likely(con: Any, compared: ir.Table, patterns: pd.DataFrame) -> ir.Table:
    """Those of the compared pairs that are likelier than one in a thousand, with probability."""
    some = patterns.loc[patterns["probability"] >= _KEPT, ["pattern", "probability"]]
    return engine.keep(con, compared.join(ibis.memtable(some), "pattern"), "links")


def unlikely(links: Links) -> ir.Table:
    """The compared pairs that are not in links.pairs."""
    rest = links.patterns.loc[links.patterns["probability"] < _KEPT, ["pattern"]]
    return links.compared.semi_join(ibis.memtable(rest), "pattern")


def scored(scorer: Scorer, patterns: pd.DataFrame) -> pd.DataFrame:
    """Patterns with the probability that a pair of each is of one person.

    Two records that share a verified e-mail address are one person's for sure, unless given name or
    birth date contradict: then the model decides.
    """
    found = scorer.calibration(probability(scorer.model, patterns))
    places = [scorer.systems.index(name) for name in scorer.verified if name in scorer.systems]
    both = {comparison.system_pair(min(a, b), max(a, b)) for a in places for b in places}
    sure = patterns[comparison.SYSTEMS].isin(both)
    sure &= patterns["e-mail"] == comparison.best("e-mail")
    for field in ("given name", "birth date"):
        sure &= patterns[field] != 0
    return patterns.assign(probability=np.where(sure, np.maximum(found, CONFIRMED), found))


def calibrated(con: Any, links: Links, calibration: Calibration) -> Links:
    """The same with probabilities as decided pairs say that they are true."""
    scorer = replace(links.scorer, calibration=calibration)
    patterns = scored(scorer, links.patterns)
    known = ibis.memtable(patterns[["pattern", "probability"]])
    pairs = links.pairs.drop("probability").join(known, "pattern")
    return replace(
        links, scorer=scorer, patterns=patterns, pairs=engine.keep(con, pairs, "calibrated")
    )


def found_by(con: Any, links: Links) -> pd.DataFrame:
    """`blocking.found_by` of its pairs."""
    systems = ibis.memtable(links.patterns[["pattern", comparison.SYSTEMS]])
    pairs = links.pairs.join(systems, "pattern")
    return blocking.found_by(con, links.keyed, pairs, links.scorer.used)


def cluster(con: Any, links: Links, *, threshold: float = 0.5) -> ir.Table:
    """Grain: one record; record, source, record_id, cluster (the first record of it, in the order of
    source and record_id), confidence (the probability of its likeliest pair within the cluster; 1 for
    a record alone) and chain (the first record of all that likely pairs join, however long the chain).

    threshold : see `clusters.clusters`.
    """
    found = clustered(
        con, links.scorer, links.fields, links.pairs, unlikely(links), threshold=threshold
    )
    return engine.keep(con, found, "clusters")


def clustered(
    con: Any,
    scorer: Scorer,
    records: ir.Table,
    pairs: ir.Table,
    against: ir.Table,
    *,
    threshold: float = 0.5,
) -> ir.Table:
    """`cluster` of some records, of which these are all likely pairs and unlikely ones."""
    table = records.select("record", "system", *_RECORD).order_by(_RECORD)
    with collecting.whole(con):  # chains are followed in this process
        ordered = con.to_pyarrow(table.select("record", "system"))
    number, system = ordered["record"].to_numpy(), ordered["system"].to_numpy()
    place = np.full(number.max(initial=-1) + 1, -1)
    place[number] = np.arange(len(number))
    left, right, probability = _arrays(con, pairs, place)
    # Unlikely pairs hold apart whom others would join: those of one chain are enough.
    chain = components(len(number), left, right, probability, threshold=threshold)
    of = ibis.memtable(pa.table({"record": number, "chain": chain}))
    for side in "lr":
        against = against.join(of.rename({f"{c}_{side}": c for c in of.columns}), f"record_{side}")
    against = against.filter(against["chain_l"] == against["chain_r"])
    held = _arrays(con, against.mutate(probability=ibis.literal(_KEPT)), place)
    left, right = np.append(left, held[0]), np.append(right, held[1])
    probability = np.append(probability, held[2])
    single = [scorer.systems.index(name) for name in scorer.alone if name in scorer.systems]
    apart = np.where(np.isin(system, single), system, -1) if single else None
    found = clusters(len(number), left, right, probability, apart=apart, threshold=threshold)
    within = found[left] == found[right]
    confidence = np.zeros(len(number))
    for ends in (left, right):
        np.maximum.at(confidence, ends[within], probability[within])
    size = np.bincount(found, minlength=len(number))[found]
    confidence[size == 1] = 1.0
    _, first, of_chain = np.unique(chain, return_index=True, return_inverse=True)
    table = pa.table(
        {
            "record": number,
            "cluster": number[found],
            "confidence": confidence,
            "chain": number[first[of_chain]],
        }
    )
    return records.select("record", *_RECORD).join(ibis.memtable(table), "record")


def _arrays(con: Any, pairs: ir.Table, place: Any) -> tuple[Any, Any, Any]:
    """The places of both records and the probability, in the order of the places."""
    with collecting.whole(con):
        table = con.to_pyarrow(pairs.select("record_l", "record_r", "probability"))
    one, other = place[table["record_l"].to_numpy()], place[table["record_r"].to_numpy()]
    left, right = np.minimum(one, other), np.maximum(one, other)
    order = np.lexsort((right, left))
    return left[order], right[order], table["probability"].to_numpy()[order]
