"""Who moved from which segment to which. Grain in: one person of `scored`, on two days."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab.cells import hidden, some_of
from loyaltylab.language import capitalised, phrase
from loyaltylab.numbers import sentence
from loyaltylab.segments.rfm import SEGMENTS

NEWCOMERS = "not yet a customer"
_ACTIVE = ("champions", "loyal", "potential loyalists", "new", "promising")


def moves(before: ir.Table, now: ir.Table, *, minimum: int = 1) -> pd.DataFrame:
    """How many customers went from one segment to another. Grain: segment before × segment now.

    before, now : `scored` as of two days, by the same cuts, so that somebody moves by what they did
    and not by what others did. Returns before (segments and NEWCOMERS), now, customers (0 where
    nobody went), share (of those before; missing where nobody was there, and where it tells of fewer
    than `minimum`). Customers add up to now's.
    """
    earlier = before.select("person_id", before="segment")
    moved = now.select("person_id", now="segment").left_join(earlier, "person_id")
    moved = moved.mutate(before=moved["before"].coalesce(ibis.literal(NEWCOMERS)))
    counted = moved.group_by("before", "now").agg(customers=moved.count()).to_pandas()
    names = [[*SEGMENTS, NEWCOMERS], list(SEGMENTS)]
    cells = pd.MultiIndex.from_product(names, names=["before", "now"])
    table = counted.set_index(["before", "now"]).reindex(cells, fill_value=0).reset_index()
    whole = table.groupby("before")["customers"].transform("sum")
    table["share"] = table["customers"] / whole.where(whole > 0)
    square = table.pivot(index="before", columns="now", values="customers")
    gone = hidden(square, minimum=minimum, sums=[list(square)]).stack()  # a row's shares are one
    places = pd.MultiIndex.from_frame(table[["before", "now"]])
    return table.assign(share=table["share"].mask(gone.loc[places].to_numpy()))


def migration_finding(table: pd.DataFrame, *, weeks: int, minimum: int = 1) -> str:
    """How many stayed, and where the best went, from `moves`: a heading and its sentence."""
    known = table[table["before"] != NEWCOMERS]
    everybody = known["customers"].sum()
    if not everybody:
        return phrase(
            "## Too early to see customers move\n\nNobody was a customer on the earlier day."
        )
    stayed = known.loc[known["before"] == known["now"], "customers"].sum()
    active = known[known["before"].isin(_ACTIVE)]
    fell = active.loc[~active["now"].isin(_ACTIVE), "customers"].sum()
    back = known[~known["before"].isin(_ACTIVE) & known["now"].isin(_ACTIVE)]["customers"].sum()
    text = (
        "## {stayed:.0%} are in the segment that they were in {weeks} weeks before\n\n"
        "Of the {everybody:,} customers of that day, {fell:,} left the segments of recent buyers and "
        "{back:,} came back into them."
    )
    said = sentence(
        text,
        stayed=some_of(stayed, everybody, minimum=minimum) / everybody,
        weeks=weeks,
        everybody=everybody,
        fell=some_of(fell, everybody, minimum=minimum),
        back=some_of(back, everybody, minimum=minimum),
    )
    return f"## {capitalised(said.removeprefix('## '))}"
