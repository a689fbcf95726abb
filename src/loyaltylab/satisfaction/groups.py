"""Whom a better score keeps more than others: the effect of each group. Grain in: one answer.

Groups are those of the moment of the answer, or of the day somebody was won: a group that somebody is
put into later may be one because they ordered again.
"""

from __future__ import annotations

import contextlib

import numpy as np
import pandas as pd

from loyaltylab.errors import UnanswerableError
from loyaltylab.intervals import LEVEL, holm
from loyaltylab.language import phrase
from loyaltylab.numbers import chance, sentence, spanned
from loyaltylab.satisfaction.breakdown import group_name, heterogeneity
from loyaltylab.satisfaction.effect import LASTING, OWN_STEP, Effect, effect, linear
from loyaltylab.satisfaction.scores import NAMES
from loyaltylab.satisfaction.still_there import StateShift

# Column of `landmarks` → what its groups are called; and orders so far in groups, by the first of them.
GROUPINGS = {"channel": "channel", "orders": "orders so far"}
_COMPARED = {
    (
        "channel",
    ): "Customers were compared by channel; that the effect differs is no more than chance "
    "brings (of {tests} comparisons together, the strongest has {p}).",
    (
        "orders",
    ): "Customers were compared by orders so far; that the effect differs is no more than "
    "chance brings (of {tests} comparisons together, the strongest has {p}).",
    (
        "channel",
        "orders",
    ): "Customers were compared by channel and by orders so far; that the effect "
    "differs is no more than chance brings (of {tests} comparisons together, the strongest has {p}).",
}
_DIFFERENT = {
    "channel": "By channel, a step of {name} goes with most for {best}, {most} points, and with least "
    "for {least}, {few}; {p} for all comparisons together.",
    "orders": "By orders so far, a step of {name} goes with most for {best}, {most} points, and with "
    "least for {least}, {few}; {p} for all comparisons together.",
}
_ORDERS = {1: "one", 2: "two or three", 4: "four or more"}


def effects_by_group(frame: pd.DataFrame, shift: StateShift) -> pd.DataFrame:
    """The effect of a step in each group whose answers suffice. frame : `landmarks`, with left.

    Grain: instrument × grouping × group, of groupings with two groups or more. Returns instrument,
    grouping, group, score (the effect in shares) and its error, low, high, answers, and p: of all groups
    of the grouping being alike, Holm's for all instruments and groupings.
    """
    over = frame[frame["ordered"].notna()]
    many = np.searchsorted([*_ORDERS], over["frequency"] + 1, side="right") - 1
    names = [*_ORDERS.values()]
    over = over.assign(orders=pd.Categorical.from_codes(many, pd.Index(names), ordered=True))
    found = []
    for name in NAMES:
        own = over[over["instrument"] == name]
        for grouping in (g for g in GROUPINGS if g in own):
            part = [
                [name, grouping, str(group), one.value, one.error, one.low, one.high, one.answers]
                for group, rows in own.groupby(grouping, observed=True)
                if (one := _effect(rows, shift)) is not None
            ]
            found += part if len(part) > 1 else []
    table = pd.DataFrame(
        found, columns=[*_KEYS, "group", "score", "error", "low", "high", "answers"]
    )
    tests = {key: heterogeneity(part) for key, part in table.groupby(_KEYS, sort=False)}
    adjusted = dict(zip(tests, holm(tests.values()), strict=True))
    return table.assign(
        p=[adjusted[key] for key in table[_KEYS].itertuples(index=False, name=None)]
    )


_KEYS = ["instrument", "grouping"]


def _effect(rows: pd.DataFrame, shift: StateShift) -> Effect | None:
    with contextlib.suppress(UnanswerableError):
        return effect(rows, linear, OWN_STEP, shift=shift, lasting=LASTING)
    return None


def groups_finding(table: pd.DataFrame) -> str:
    """Whether the effect differs between groups, from `effects_by_group`."""
    if table.empty:
        return phrase(
            "## Whom a better score keeps more than others cannot be told\n\n"
            "Too few answers of any two groups lie far enough back."
        )
    parts = [part for _, part in table.groupby(_KEYS, sort=False)]
    sure = [part for part in parts if part["p"].iloc[0] < 1 - LEVEL]
    if not sure:
        compared = tuple(g for g in GROUPINGS if g in set(table["grouping"]))
        heading = phrase("A better score is not shown to keep some more than others")
        text = sentence(
            _COMPARED[compared],
            tests=len(parts),
            p=chance(min(part["p"].iloc[0] for part in parts)),
        )
        return f"## {heading}\n\n{text}"
    said = []
    for part in sure:
        best, least = part.nlargest(1, "score").iloc[0], part.nsmallest(1, "score").iloc[0]
        said.append(
            sentence(
                _DIFFERENT[best["grouping"]],
                name=NAMES[best["instrument"]],
                best=_group(best),
                most=_in_points(best),
                least=_group(least),
                few=_in_points(least),
                p=chance(best["p"]),
            )
        )
    return f"## {phrase('Whom a better score keeps depends on the customer')}\n\n{' '.join(said)}"


def groups_table(table: pd.DataFrame) -> pd.DataFrame:
    """`effects_by_group` for readers. Grain: instrument × group."""
    return pd.DataFrame(
        {
            "score": table["instrument"].map(NAMES),
            "by": [phrase(GROUPINGS[grouping]) for grouping in table["grouping"]],
            "group": [_group(row) for _, row in table.iterrows()],
            "points a step": [_in_points(row) for _, row in table.iterrows()],
            "answers": table["answers"],
            "all alike": table["p"].map(chance),
        }
    )


def _group(row: pd.Series) -> str:
    return phrase(row["group"]) if row["grouping"] == "orders" else group_name(row["group"])


def _in_points(row: pd.Series) -> str:
    return spanned(*(100 * row[name] for name in ("score", "low", "high")))
