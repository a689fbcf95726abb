"""Blocking: which pairs of records are compared at all. Grain in: one record; out: one pair.

Two records are compared if they agree in the keys of some rule. Which rules are used follows from
how many pairs each brings and how many may be compared; what the rules miss is estimated from how
often they find the same pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab import engine

# A key that so many records share (a placeholder, a shop's own address) tells nobody apart.
MOST = 2000
BUDGET = 10  # pairs a record
_SHIFT = 1 << 31


def keys(fields: ir.Table) -> dict[str, ir.StringValue]:
    """Rule → its key, a text, missing where a record lacks a part of it.

    Each rule is blind to other errors: for every field there are rules that do without it.
    """
    f = fields
    # Of two names exchanged the key is the same.
    names = ibis.least(f.given, f.family).concat("|", ibis.greatest(f.given, f.family))
    names = (f.given.notnull() & f.family.notnull()).ifelse(names, ibis.null("string"))

    def of(*parts: ir.StringValue) -> ir.StringValue:
        joined = parts[0]
        for part in parts[1:]:
            joined = joined.concat("|", part)
        return joined

    return {
        "e-mail": f.email,
        "phone": f.phone,
        "e-mail before the @": f.local,
        "both names": names,
        "given name, birth date": of(f.given, f.birth),
        "family name, birth date": of(f.family, f.birth),
        "birth date, postcode": of(f.birth, f.postcode),
        "given name, street": of(f.given, f.street),
        "family name, street": of(f.family, f.street),
        "street, postcode": of(f.street, f.postcode),
        "given name, postcode": of(f.given, f.postcode),
        "family name, postcode": of(f.family, f.postcode),
        "birth date, city": of(f.birth, f.city),
        "given name, start of family name": of(f.given, f.family.substr(0, 3)),
        "family name, start of given name": of(f.family, f.given.substr(0, 3)),
    }


def keyed(con: Any, fields: ir.Table) -> ir.Table:
    """Grain: one record; record, and for each rule a hash of its key (`engine.hashed`)."""
    hashes = {}
    for rule, key in keys(fields).items():
        hashed = engine.hashed(con, key)
        hashes[rule] = key.notnull().ifelse(hashed, ibis.null(hashed.type()))
    return engine.keep(con, fields.select("record", **hashes), "keyed")


def most(*, records: int, budget: float = BUDGET) -> int:
    """How many records may share a key: MOST, and fewer where one key would take half the budget,
    so that one record repeated a thousand times costs no rule its other pairs."""
    return min(MOST, max(2, math.isqrt(int(budget * records))))


def counted(con: Any, keyed: ir.Table, *, most: int = MOST) -> pd.DataFrame:
    """How many pairs each rule brings. Grain: one rule that brings any; the fewest pairs first.

    rule, pairs, left_out (pairs of keys that more than `most` records share, which are not compared).
    """
    parts = []
    for rule in keyed.columns[1:]:
        sizes = keyed.filter(keyed[rule].notnull()).group_by(rule).agg(n=lambda t: t.count())
        pairs = sizes["n"] * (sizes["n"] - 1) / 2
        told = sizes.agg(
            pairs=pairs.sum(where=sizes["n"] <= most), left_out=pairs.sum(where=sizes["n"] > most)
        )
        parts.append(told.mutate(rule=ibis.literal(rule)))
    table = con.execute(ibis.union(*parts)).fillna(0).astype({"pairs": int, "left_out": int})
    table = table[table["pairs"] + table["left_out"] > 0]
    return table.sort_values(["pairs", "rule"], ignore_index=True)[["rule", "pairs", "left_out"]]


def choose(table: pd.DataFrame, *, records: int, budget: float = BUDGET) -> list[str]:
    """The rules used: those with the fewest pairs, as long as all together stay within the budget.

    table : `counted`; budget : pairs a record, at the most.
    """
    within = table["pairs"].cumsum() <= budget * records
    return table.loc[within & (table["pairs"] > 0), "rule"].tolist()


def pairs(
    keyed: ir.Table, rules: Sequence[str], *, new: ir.Table | None = None, most: int = MOST
) -> ir.Table:
    """Grain: one pair of records that agrees in the key of some rule; record_l is the lower number.

    new : records (record); only pairs that have one of them. most : as in `counted`.
    """
    found = []
    for rule in rules:
        rows = keyed.filter(keyed[rule].notnull()).select("record", key=rule)
        sizes = rows.group_by("key").agg(n=rows.count())
        usable = sizes.filter((sizes["n"] > 1) & (sizes["n"] <= most))
        rows = rows.semi_join(usable, "key")
        some = rows if new is None else rows.semi_join(new, "record")
        both = some.join(rows, "key", rname="other_{name}")
        low, high = (
            ibis.least(both["record"], both["other_record"]),
            ibis.greatest(both["record"], both["other_record"]),
        )
        differ = (
            both["record"] < both["other_record"]
            if new is None
            else both["record"] != both["other_record"]
        )
        # One number for two, as repetitions are then found in half the time.
        found.append(both.filter(differ).select(pair=low * _SHIFT + high))
    if not found:
        return keyed.select(record_l="record", record_r="record").limit(0)
    every = (ibis.union(*found) if len(found) > 1 else found[0]).distinct()
    return every.select(record_l=every["pair"] // _SHIFT, record_r=every["pair"] % _SHIFT)


def found_by(con: Any, keyed: ir.Table, rules: Sequence[str], pairs: ir.Table) -> dict[int, float]:
    """number of rules → expected number of pairs of one person that so many of these rules found.

    pairs : record_l, record_r, probability.
    """
    if not rules:
        return {}
    likely = pairs.filter(pairs["probability"] >= 0.5)
    sides = [
        keyed.select(**{f"{name}_{side}": name for name in ("record", *rules)}) for side in "lr"
    ]
    both = likely.join(sides[0], "record_l").join(sides[1], "record_r")
    agree = [(both[f"{r}_l"] == both[f"{r}_r"]).fill_null(False).cast("int64") for r in rules]
    counted = both.select("probability", rules=sum(agree[1:], agree[0]))
    counted = counted.group_by("rules").agg(pairs=counted["probability"].sum())
    table = con.execute(counted.order_by("rules"))
    return dict(zip(table["rules"].astype(int), table["pairs"].astype(float), strict=True))


def missed(found_by: Mapping[int, float], *, rules: int) -> float:
    """About how many pairs of one person no rule found.

    found_by : number of rules → expected number of pairs of one person that so many of `rules` rules
    found. Chao's estimate from those found by one and by two of k rules,
    (k − 1)/k · f₁ (f₁ − 1) / (2 (f₂ + 1)) (Chao 1987, Biometrics 43:783, in the form that stands
    f₂ = 0). It is right where rules are alike and err independently. Where what misleads one rule
    misleads another, as here it does, it is too low; where rules differ much, too high.
    """
    once, twice = found_by.get(1, 0.0), found_by.get(2, 0.0)
    return (rules - 1) / rules * max(once * (once - 1), 0.0) / (2 * (twice + 1)) if rules else 0.0
