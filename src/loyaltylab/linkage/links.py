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

from loyaltylab import engine
from loyaltylab.linkage import blocking, comparison, evidence
from loyaltylab.linkage.calibration import Calibration
from loyaltylab.linkage.clusters import clusters, components
from loyaltylab.linkage.fields import fields
from loyaltylab.linkage.model import Model, fit, probability

# What an address that its owner confirmed says of two records that share it, and do not contradict.
CONFIRMED = 0.999
_KEPT = 0.001  # probability from which on a pair is kept


@dataclass(frozen=True)
class Scorer:
    """All that is needed to compare further records as the first were: the model, the rules of
    blocking, how common names were, the systems, and the calibration."""

    model: Model
    rules: tuple[str, ...]
    names: pd.DataFrame
    systems: tuple[str, ...]
    calibration: Calibration


@dataclass(frozen=True)
class Links:
    """records : how many were compared. fields : grain one record, as `fields.fields` and
    `evidence.with_rarity` give them. pairs : grain one pair that is likelier than one in a thousand;
    record_l, record_r, pattern, probability. unlikely : all others that were compared. patterns : grain
    one pattern of agreement; what it is made of, pattern, pairs and probability. rules :
    `blocking.counted`, with used. alone : systems in which a person has one record at most. found_by :
    number of rules → expected number of pairs of one person that so many rules found.
    """

    scorer: Scorer
    records: int
    fields: ir.Table
    pairs: ir.Table
    unlikely: ir.Table
    patterns: pd.DataFrame
    rules: pd.DataFrame
    alone: tuple[str, ...]
    found_by: dict[int, float]


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
    records = evidence.with_rarity(con, plain, names, systems)
    keyed = blocking.keyed(con, records)
    count = int(con.execute(records.count()))
    most = blocking.most(records=count, budget=budget)
    rules = blocking.counted(con, keyed, most=most)
    used = blocking.choose(rules, records=count, budget=budget)
    rules["used"] = rules["rule"].isin(used)
    pairs = engine.keep(con, blocking.pairs(keyed, used, most=most), "pairs")
    compared = comparison.compare(con, records, pairs, systems=len(systems))
    compared = engine.keep(con, compared, "compared")
    found = evidence.gather(con, records, compared, names, systems)
    scorer = Scorer(fit(found), tuple(used), names, systems, Calibration("none", 0))
    patterns = found.patterns
    patterns["probability"] = score(scorer, patterns, verified=verified)
    likely = patterns.loc[patterns["probability"] >= _KEPT, ["pattern", "probability"]]
    kept = compared.join(ibis.memtable(likely), "pattern")
    kept = engine.keep(con, kept, "links")
    rest = patterns.loc[patterns["probability"] < _KEPT, ["pattern"]]
    unlikely = compared.semi_join(ibis.memtable(rest), "pattern").select("record_l", "record_r")
    found_by = blocking.found_by(con, keyed, used, kept)
    return Links(scorer, count, records, kept, unlikely, patterns, rules, tuple(alone), found_by)


def score(scorer: Scorer, patterns: pd.DataFrame, *, verified: Sequence[str]) -> Any:
    """The probability that pairs of these patterns are of one person.

    Two records that share a verified e-mail address are one person's for sure, unless given name or
    birth date contradict: then the model decides.
    """
    found = scorer.calibration(probability(scorer.model, patterns))
    places = [scorer.systems.index(name) for name in verified if name in scorer.systems]
    both = {comparison.system_pair(min(a, b), max(a, b)) for a in places for b in places}
    sure = patterns[comparison.SYSTEMS].isin(both)
    sure &= patterns["e-mail"] == comparison.best("e-mail")
    for field in ("given name", "birth date"):
        sure &= patterns[field] != 0
    return np.where(sure, np.maximum(found, CONFIRMED), found)


def calibrated(con: Any, links: Links, calibration: Calibration) -> Links:
    """The same with probabilities as decided pairs say that they are true."""
    patterns = links.patterns.assign(
        probability=calibration(links.patterns["probability"].to_numpy())
    )
    known = ibis.memtable(patterns[["pattern", "probability"]])
    pairs = links.pairs.drop("probability").join(known, "pattern")
    return replace(
        links,
        scorer=replace(links.scorer, calibration=calibration),
        patterns=patterns,
        pairs=engine.keep(con, pairs, "calibrated"),
    )


def cluster(con: Any, links: Links, *, threshold: float = 0.5) -> ir.Table:
    """Grain: one record; record, source, record_id, cluster (the lowest record of it) and confidence
    (the probability of its likeliest pair within the cluster; 1 for a record alone).

    threshold : see `clusters.clusters`.
    """
    known = _arrays(con, links.pairs)
    left, right, probability = known["record_l"], known["record_r"], known["probability"]
    # Unlikely pairs hold apart whom others would join: those of one component are enough.
    part = components(links.records, left, right, probability, threshold=threshold)
    of = ibis.memtable(pa.table({"record": np.arange(links.records), "part": part}))
    against = links.unlikely
    for side in "lr":
        against = against.join(of.rename({f"{c}_{side}": c for c in of.columns}), f"record_{side}")
    against = against.filter(against["part_l"] == against["part_r"])
    held = _arrays(con, against.mutate(probability=ibis.literal(_KEPT)))
    left, right = np.append(left, held["record_l"]), np.append(right, held["record_r"])
    probability = np.append(probability, held["probability"])
    count, apart = links.records, None
    if links.alone:
        systems = links.scorer.systems
        system = con.execute(links.fields.order_by("record").select("system"))["system"].to_numpy()
        single = [systems.index(name) for name in links.alone if name in systems]
        apart = np.where(np.isin(system, single), system, -1)
    found = clusters(count, left, right, probability, apart=apart, threshold=threshold)
    within = found[left] == found[right]
    confidence = np.zeros(count)
    for records in (left, right):
        np.maximum.at(confidence, records[within], probability[within])
    size = np.bincount(found, minlength=count)[found]
    confidence[size == 1] = 1.0
    table = pa.table({"record": np.arange(count), "cluster": found, "confidence": confidence})
    named = links.fields.select("record", "source", "record_id").join(
        ibis.memtable(table), "record"
    )
    return engine.keep(con, named, "clusters")


def _arrays(con: Any, pairs: ir.Table) -> dict[str, Any]:
    """record_l, record_r and probability, in the order of the records."""
    ordered = pairs.select("record_l", "record_r", "probability").order_by("record_l", "record_r")
    table = con.to_pyarrow(ordered)
    return {name: table[name].to_numpy() for name in table.column_names}
