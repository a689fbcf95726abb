"""Blocking: which pairs of records are compared at all. Grain in: one record; out: one pair.

Two records are compared if they agree in the keys of some rule. Which rules are used follows from
how many pairs each brings and how many may be compared; what the rules miss is estimated from how
many pairs two kinds of them both find.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab import engine
from loyaltylab.intervals import Z

# A key that so many records share (a placeholder, a shop's own address) tells nobody apart.
MOST = 2000
BUDGET = 10  # pairs a record
# The rules that look at contact data alone.
CONTACT = ("e-mail", "phone", "e-mail before the @")
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


def pairs(keyed: ir.Table, rules: Sequence[str], *, most: int = MOST) -> ir.Table:
    """Grain: one pair of records that agrees in the key of some rule; record_l is the lower number.

    most : as in `counted`.
    """
    found = []
    for rule in rules:
        rows = keyed.filter(keyed[rule].notnull()).select("record", key=rule)
        sizes = rows.group_by("key").agg(n=rows.count())
        usable = sizes.filter((sizes["n"] > 1) & (sizes["n"] <= most))
        rows = rows.semi_join(usable, "key")
        both = rows.join(rows, "key", rname="other_{name}")
        found.append(_numbered(both.filter(both["record"] < both["other_record"])))
    if not found:
        return keyed.select(record_l="record", record_r="record").limit(0)
    return _parted(ibis.union(*found) if len(found) > 1 else found[0])


def further(
    con: Any, before: ir.Table, came: ir.Table, rules: Sequence[str], *, gone: ir.Table, most: int
) -> ir.Table | None:
    """The pairs that records which came bring; grain and columns as in `pairs`.

    before, came : `keyed` of the records that were there and of those that came, whose numbers are
    higher. gone : of the former, those that went (record). None if a key won or lost so many that more
    than `most` share it now, or no longer: then pairs of records that stayed come or go as well.
    """

    def long(keyed: ir.Table) -> ir.Table:
        every = keyed.select("record", *rules).pivot_longer(
            ibis.selectors.cols(*rules),
            names_to="rule",
            names_transform=rules.index,
            values_to="key",
        )
        return every.filter(every["key"].notnull())

    moved = long(came).union(long(before.semi_join(gone, "record")))
    moved = engine.keep(con, moved.select("rule", "key").distinct(), "moved")
    rows = long(before).semi_join(moved, ["rule", "key"]).mutate(new=ibis.literal(False))
    rows = rows.left_join(gone.mutate(gone=True), "record").drop("record_right")
    rows = rows.union(long(came).mutate(new=True, gone=ibis.null("boolean")))
    rows = engine.keep(con, rows, "sharing")
    sizes = rows.group_by("rule", "key").agg(
        before=(~rows["new"]).sum(), after=rows["gone"].isnull().sum()
    )
    sizes = engine.keep(con, sizes, "sizes")
    crossed = (sizes["before"] > most) != (sizes["after"] > most)
    if int(con.execute(crossed.sum().fill_null(0))):
        return None
    usable = sizes.filter((sizes["after"] > 1) & (sizes["after"] <= most))
    rows = rows.filter(rows["gone"].isnull()).semi_join(usable, ["rule", "key"])
    rows = rows.select("record", "rule", "key", "new")
    both = rows.filter(rows["new"]).join(rows, ["rule", "key"], rname="other_{name}")
    return _parted(_numbered(both.filter(both["record"] != both["other_record"])))


def _numbered(both: ir.Table) -> ir.Table:
    """One number for two, as repetitions are then found in half the time."""
    ends = both["record"], both["other_record"]
    return both.select(pair=ibis.least(*ends) * _SHIFT + ibis.greatest(*ends))


def _parted(numbered: ir.Table) -> ir.Table:
    every = numbered.distinct()
    return every.select(record_l=every["pair"] // _SHIFT, record_r=every["pair"] % _SHIFT)


def found_by(con: Any, keyed: ir.Table, pairs: ir.Table, rules: Sequence[str]) -> pd.DataFrame:
    """By which rules the pairs of one person were found. Grain: one pair of systems.

    pairs : record_l, record_r, systems (the pair of them) and probability. Returns systems, and the
    expected number of pairs of one person that rules of CONTACT found, contact, that others did, other,
    and that both did, both.
    """
    sides = [
        keyed.select(**{f"{name}_{side}": name for name in ("record", *rules)}) for side in "lr"
    ]
    told = pairs.join(sides[0], "record_l").join(sides[1], "record_r")

    def agree(some: Sequence[str]) -> ir.BooleanValue:
        same = [(told[f"{rule}_l"] == told[f"{rule}_r"]).fill_null(False) for rule in some]
        return ibis.or_(ibis.literal(False), *same)

    told = told.select(
        "systems",
        "probability",
        contact=agree([rule for rule in rules if rule in CONTACT]),
        other=agree([rule for rule in rules if rule not in CONTACT]),
    )
    weight = told["probability"]
    counted = told.group_by("systems").agg(
        contact=weight.sum(where=told["contact"]),
        other=weight.sum(where=told["other"]),
        both=weight.sum(where=told["contact"] & told["other"]),
    )
    return con.execute(counted.order_by("systems")).fillna(0.0)


def missed(found_by: pd.DataFrame) -> tuple[float, float, float]:
    """About how many pairs of one person no rule found, and its interval at LEVEL.

    Two counts of one population, by rules that look at contact data and by rules that look at names,
    dates and addresses, tell its size, if who is missed by the one is not missed by the other the more
    for it: Chapman's estimate (1951) with Seber's variance (1970, Biometrika 57:13), for each pair of
    systems, as they ask for different fields. Missing if there is not one rule of each sort.
    """
    both = found_by["both"]
    contact, other = found_by["contact"] - both, found_by["other"] - both
    if found_by.empty or not found_by["contact"].any() or not found_by["other"].any():
        return np.nan, np.nan, np.nan
    missed = (contact * other / (both + 1)).sum()
    one, two = found_by["contact"] + 1, found_by["other"] + 1
    variance = (one * two * contact * other / ((both + 1) ** 2 * (both + 2))).sum()
    reach = Z * np.sqrt(variance)
    return missed, max(missed - reach, 0.0), missed + reach
