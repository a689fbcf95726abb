"""Comparison: how far two records agree, field by field. Grain: one pair of records.

Levels are splink's, which knows their SQL for each engine; a field's levels count from 0 (nothing
alike) up to the best, and −1 is that one of the two says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import splink.comparison_level_library as cll
from splink.internals.comparison_level_creator import ComparisonLevelCreator as Level

from loyaltylab import engine
from loyaltylab.linkage.nicknames import alike


@dataclass(frozen=True)
class Field:
    """levels : what a pair has in common → its condition, from the best down to all but nothing.
    columns : of `fields`, that the conditions read.
    lacks : when there is nothing to compare.
    """

    columns: tuple[str, ...]
    lacks: Level
    levels: Mapping[str, Level]


def _slip(column: str) -> Level:
    """At most one letter put in, left out, exchanged or swapped with its neighbour."""
    # The distance takes thirty times as long as a look at whether it may be small enough.
    length = f"abs(length({column}_l) - length({column}_r)) <= 1"
    near = cll.JaroWinklerLevel(column, 0.86)
    return cll.And(cll.CustomLevel(length), near, cll.DamerauLevenshteinLevel(column, 1))


_SWAPPED = cll.And(cll.CustomLevel("given_l = family_r"), cll.CustomLevel("family_l = given_r"))


_EXCHANGED = cll.CustomLevel(
    "substr(birth_l, 1, 4) = substr(birth_r, 1, 4)"
    " AND substr(birth_l, 6, 2) = substr(birth_r, 9, 2)"
    " AND substr(birth_l, 9, 2) = substr(birth_r, 6, 2)"
)
_PLACE = cll.Or(cll.ExactMatchLevel("postcode"), cll.ExactMatchLevel("city"))
_STREET = cll.JaroWinklerLevel("street", 0.9)

FIELDS: Mapping[str, Field] = {
    "given name": Field(
        ("given", "family"),
        cll.NullLevel("given"),
        {
            "the same": cll.ExactMatchLevel("given"),
            "given and family name exchanged": _SWAPPED,
            "one short for the other": cll.CustomLevel("short"),
            "nearly the same": cll.JaroWinklerLevel("given", 0.92),
            "similar": cll.JaroWinklerLevel("given", 0.8),
        },
    ),
    # Of names exchanged the given name tells; the other would tell it again.
    "family name": Field(
        ("family", "given"),
        cll.Or(cll.NullLevel("family"), cll.And(_SWAPPED, cll.CustomLevel("given_l <> given_r"))),
        {
            "the same": cll.ExactMatchLevel("family"),
            "nearly the same": cll.JaroWinklerLevel("family", 0.92),
            "similar": cll.JaroWinklerLevel("family", 0.8),
        },
    ),
    "e-mail": Field(
        ("email", "local"),
        cll.NullLevel("email"),
        {
            "the same": cll.ExactMatchLevel("email"),
            "the same name at another domain": cll.ExactMatchLevel("local"),
            "one slip": _slip("local"),
            "similar": cll.JaroWinklerLevel("local", 0.9),
        },
    ),
    "phone": Field(
        ("phone",),
        cll.NullLevel("phone"),
        {
            "the same": cll.ExactMatchLevel("phone"),
            "one slip": _slip("phone"),
        },
    ),
    "birth date": Field(
        ("birth",),
        cll.NullLevel("birth"),
        {
            "the same": cll.ExactMatchLevel("birth"),
            "one slip": _slip("birth"),
            "day and month exchanged": _EXCHANGED,
        },
    ),
    "address": Field(
        ("street", "postcode", "city"),
        cll.And(cll.NullLevel("street"), cll.NullLevel("postcode"), cll.NullLevel("city")),
        {
            "the same street and place": cll.And(cll.ExactMatchLevel("street"), _PLACE),
            "nearly the same street, and place": cll.And(_STREET, _PLACE),
            "the same street": cll.ExactMatchLevel("street"),
            "nearly the same street": _STREET,
            "the same postcode": cll.ExactMatchLevel("postcode"),
            "the same city": cll.ExactMatchLevel("city"),
        },
    ),
}

Ints = np.ndarray[Any, np.dtype[np.int64]]
RARITIES = 10

_DIALECTS = {"duckdb": "duckdb", "pyspark": "spark"}


def best(field: str) -> int:
    """The number of a field's best level."""
    return len(FIELDS[field].levels)


def words(field: str, level: int) -> str:
    """What a level says of a pair."""
    if level < 0:
        return "not known of both"
    return [*FIELDS[field].levels, "different"][best(field) - level]


# Beside the levels, what else tells pairs apart: how rare a name is that both bear, and which two
# systems they come from.
NAMES = {"given name": "given", "family name": "family"}  # → the column of fields
SYSTEMS = "systems"


def parts(systems: int) -> dict[str, int]:
    """What a pattern is made of → how many values each has, with −1 as the first of a field's."""
    sizes = {name: len(field.levels) + 2 for name, field in FIELDS.items()}
    sizes |= {rarity(name): RARITIES for name in NAMES}
    return sizes | {SYSTEMS: systems * (systems + 1) // 2}


def compare(con: Any, fields: ir.Table, pairs: ir.Table, *, systems: int) -> ir.Table:
    """Grain: one of `pairs` (record_l, record_r); these and pattern, the number of how they agree.

    fields : as `fields.fields` gives them. A pair of a record that is not among them is left out.
    `decoded` says what a pattern is.
    """
    needed = {column for field in FIELDS.values() for column in field.columns}
    needed |= {f"{column}_rarity" for column in NAMES.values()} | {"system"}
    sides = [
        fields.select(**{f"{name}_{side}": name for name in ("record", *sorted(needed))})
        for side in "lr"
    ]
    both = (
        pairs.select("record_l", "record_r").join(sides[0], "record_l").join(sides[1], "record_r")
    )
    short = ibis.memtable(sorted(alike()), columns=["given_l", "given_r"]).mutate(short=True)
    short = engine.keep(con, short, "short")
    both = both.left_join(short, ["given_l", "given_r"])
    dialect = _DIALECTS[con.name]
    kept = ["record_l", "record_r", "system_l", "system_r"]
    kept += [f"{column}_rarity_l" for column in NAMES.values()]
    cases = [f"{_case(field, dialect)} AS level_{n}" for n, field in enumerate(FIELDS.values())]
    held = both.alias("both").sql(f"SELECT {', '.join([*kept, *cases])} FROM both", dialect=dialect)
    values: dict[str, ir.IntegerValue] = {
        name: held[f"level_{n}"].cast("int64") + 1 for n, name in enumerate(FIELDS)
    }
    for name, column in NAMES.items():
        shared = values[name] == best(name) + 1
        values[rarity(name)] = shared.ifelse(held[f"{column}_rarity_l"], 0)
    systems_of = held["system_l"], held["system_r"]
    values[SYSTEMS] = system_pair(ibis.least(*systems_of), ibis.greatest(*systems_of))
    pattern: ir.IntegerValue = ibis.literal(0, "int64")
    for name, size in parts(systems).items():
        pattern = pattern * size + values[name]
    return held.select("record_l", "record_r", pattern=pattern.cast("int64"))


def decoded(patterns: Ints, *, systems: int) -> pd.DataFrame:
    """What patterns are made of: a column for each of `parts`; levels as in `words`, −1 included."""
    rest, found = patterns.astype(np.int64), {}
    for name, size in reversed(parts(systems).items()):
        rest, found[name] = np.divmod(rest, size)
    return pd.DataFrame(
        {name: found[name] - (1 if name in FIELDS else 0) for name in parts(systems)}
    )


def system_pair(low: Any, high: Any) -> Any:
    """The number of a pair of systems, of the place of each; for integers and columns of them."""
    return high * (high + 1) // 2 + low


def rarity(name: str) -> str:
    """What `parts` calls the rarity of a name."""
    return f"{name} rarity"


def _case(field: Field, dialect: str) -> str:
    conditions = [field.lacks, *field.levels.values()]
    numbers = [-1, *range(len(field.levels), 0, -1)]
    whens = [
        f"WHEN {level.create_level_dict(dialect)['sql_condition']} THEN {number}"
        for level, number in zip(conditions, numbers, strict=True)
    ]
    return f"CASE {' '.join(whens)} ELSE 0 END"
