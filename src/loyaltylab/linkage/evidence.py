"""Evidence: what a model of linkage is fitted to. Grain in: one record, one pair; out: one pattern."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab import engine
from loyaltylab.linkage.comparison import (
    FIELDS,
    NAMES,
    RARITIES,
    SYSTEMS,
    best,
    compare,
    decoded,
)
from loyaltylab.linkage.model import Evidence

_COMMONEST = 5  # names that 2⁻⁵ of records or more bear have rarity 0, the next half as common 1 …
_AT_RANDOM = 500_000


def frequencies(con: Any, fields: ir.Table) -> pd.DataFrame:
    """How common names are. Grain: one name; kind (of NAMES), name, records."""
    counted = [
        fields.filter(fields[column].notnull())
        .group_by(name=column)
        .agg(records=lambda t: t.count())
        .mutate(kind=ibis.literal(kind))
        for kind, column in NAMES.items()
    ]
    return con.execute(ibis.union(*counted).order_by("kind", "name"))[["kind", "name", "records"]]


def rarities(names: pd.DataFrame) -> pd.DataFrame:
    """How rare names are, from `frequencies`. Grain: one name but the rarest; kind, name, step (0,
    common, to RARITIES − 2)."""
    share = names["records"] / names.groupby("kind")["records"].transform("sum")
    known = names.assign(step=_rarity(share))
    return known.loc[known["step"] < RARITIES - 1, ["kind", "name", "step"]]


def with_rarity(
    con: Any, fields: ir.Table, names: pd.DataFrame, systems: Sequence[str]
) -> ir.Table:
    """fields, and given_rarity and family_rarity (the step in names, `rarities`; RARITIES − 1 of a
    name that is not there) and system (the place in systems)."""
    for kind, column in NAMES.items():
        table = names.loc[names["kind"] == kind, ["name", "step"]]
        of_kind = ibis.memtable(
            table.rename(columns={"name": column, "step": f"{column}_rarity"}),
            schema={column: "string", f"{column}_rarity": "int64"},
        )
        fields = fields.left_join(of_kind, column).drop(f"{column}_right")
        rare = fields[f"{column}_rarity"].fill_null(RARITIES - 1)
        fields = fields.mutate(**{f"{column}_rarity": rare})
    place = ibis.memtable({"source": systems, "system": list(range(len(systems)))},
                          schema={"source": "string", "system": "int64"})  # fmt: skip
    return engine.keep(con, fields.join(place, "source"), "fields")


def _rarity(share: Any) -> Any:
    """The rarity of names that these shares of records bear."""
    return np.clip(np.floor(-np.log2(share)).astype(int) - _COMMONEST, 0, RARITIES - 1)


def at_random(fields: ir.Table, records: int) -> ir.Table:
    """About half a million pairs of records, or all if there are fewer; record_l, record_r.

    Each record is paired with others that a multiplication scatters: random for this purpose, and
    the same on every engine (Knuth, The Art of Computer Programming 3, 6.4).
    """
    records = max(records, 1)
    rounds = min(-(-_AT_RANDOM // records), records - 1)
    turn = ibis.range(rounds).unnest().name("turn").as_table()
    both = fields.select("record").cross_join(turn)
    other = (both["record"] * 2_654_435_761 + both["turn"] * 40_503 + 12_345) % records
    both = both.mutate(record_l=both["record"], record_r=other)
    return both.filter(both["record_l"] != both["record_r"]).select("record_l", "record_r")


def patterns(con: Any, compared: ir.Table, *, systems: int) -> pd.DataFrame:
    """Grain: one pattern that any compared pair shows; what it is made of, pattern and pairs."""
    counted = con.execute(
        compared.group_by("pattern").agg(pairs=compared.count()).order_by("pattern")
    )
    found = decoded(counted["pattern"].to_numpy(), systems=systems)
    return found.assign(pattern=counted["pattern"], pairs=counted["pairs"])


def gather(
    con: Any, fields: ir.Table, compared: ir.Table, names: pd.DataFrame, systems: Sequence[str]
) -> Evidence:
    """compared : as `compare` gives it, of all pairs that blocking found."""
    count = int(con.execute(fields.count()))
    found = patterns(con, compared, systems=len(systems))
    picked = compare(con, fields, at_random(fields, count), systems=len(systems))
    random = con.execute(picked.group_by("pattern").agg(pairs=picked.count()))
    by_chance = decoded(random["pattern"].to_numpy(), systems=len(systems))
    chance, known = {}, {}
    for name, field in FIELDS.items():
        # What two records need to be compared at all.
        present = ibis.or_(*(fields[column].notnull() for column in _needed(name)))
        n = int(con.execute(fields.filter(present).count()))
        level = by_chance[name].to_numpy()
        seen = np.bincount(level[level >= 0], random["pairs"][level >= 0], best(name) + 1)
        if n < 2 or not seen.sum() or not (found[name] >= 0).any():
            continue
        known[name] = n * (n - 1) / 2
        share = seen / seen.sum()
        if name != "address":  # pairs with one value are counted, not sampled
            valued = fields.filter(fields[field.columns[0]].notnull())
            equal = valued.group_by(field.columns[0]).agg(n=valued.count())
            same = float(con.execute((equal["n"] * (equal["n"] - 1) / 2).sum())) / known[name]
            share = np.append(share[:-1] * (1 - same) / max(1 - share[-1], 1e-9), same)
        chance[name] = share
    sizes = con.execute(fields.group_by("system").agg(n=fields.count()).order_by("system"))
    n = sizes["n"].to_numpy(float)
    by_system = np.array([n[i] * n[j] if i != j else n[i] * (n[i] - 1) / 2
                          for i in range(len(n)) for j in range(i + 1)])  # fmt: skip
    every = count * (count - 1) / 2
    if every:
        chance[SYSTEMS], known[SYSTEMS] = by_system / every, every
    rarity = {}
    for kind in NAMES:
        some = names[names["kind"] == kind]
        share = some["records"] / some["records"].sum()
        step = _rarity(share)
        of_records = np.bincount(step, share, RARITIES).astype(float)
        of_pairs = np.bincount(step, share**2, RARITIES).astype(float)
        rarity[kind] = (of_records, of_pairs / max(of_pairs.sum(), 1e-300))
    return Evidence(found, chance, known, every, rarity)


def _needed(name: str) -> tuple[str, ...]:
    return FIELDS[name].columns if name == "address" else FIELDS[name].columns[:1]
