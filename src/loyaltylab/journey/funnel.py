"""The funnel from a look to a purchase, and where people are lost on it. Grain in: one visit.

A visit counts for each stage up to the one that it reached: what reached the checkout had a cart.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab.journey.rates import clustered_share, shares, weighed
from loyaltylab.journey.visits import BOUGHT, STAGES, counted

REACHED = [
    "viewed",
    "carts",
    "checkouts",
    "purchases",
]  # visits that got at least to each of STAGES
KINDS = {"channel": "channel", "device": "device", "fresh": "visitor"}


def cells(placed: ir.Table) -> pd.DataFrame:
    """How far visits went. Grain: one deal, known, fresh, channel, device and stage; and visits."""
    by = ["deal", "known", "fresh", "channel", "device", "stage"]
    return counted(placed, by, visits=placed.count()).to_pandas()


def reached(counts: pd.DataFrame, analysed: float) -> pd.DataFrame:
    """`cells` with REACHED in place of stage and visits, `weighed`."""
    told = weighed(counts, "visits", analysed)
    stages = {
        name: told["visits"].where(told["stage"] >= stage, 0.0)
        for stage, name in enumerate(REACHED)
    }
    return told.drop(columns=["stage", "visits"]).assign(**stages)


def funnel(counts: pd.DataFrame) -> pd.DataFrame:
    """All visits together, from `reached`. Grain: one stage of STAGES.

    stage, visits, share (of all visits), low, high, kept (share of the stage before), kept_low,
    kept_high; of the first stage, which all reach, share alone. Behind a stage that nothing reached
    kept is missing. attrs["finished"] : the share of visits with a cart that end with a purchase, low
    and high.
    """
    sums = counts.groupby("deal")[REACHED].sum()
    rows = []
    for stage, name in enumerate(REACHED):
        share, kept = (1.0, np.nan, np.nan), (np.nan, np.nan, np.nan)
        if stage:
            share = clustered_share(sums[name], sums["viewed"])
            kept = clustered_share(sums[name], sums[REACHED[stage - 1]])
        rows.append((STAGES[stage], sums[name].sum(), *share, *kept))
    names = ["stage", "visits", "share", "low", "high", "kept", "kept_low", "kept_high"]
    table = pd.DataFrame(rows, columns=names)
    table.attrs["finished"] = clustered_share(sums["purchases"], sums["carts"])
    return table


def conversion(counts: pd.DataFrame, by: str, *, minimum: int) -> pd.DataFrame:
    """Share of visits with a purchase, by a column of `reached`: as `rates.shares`, of visits."""
    return shares(counts, [by], "purchases", "viewed", minimum=minimum)


def losses(counts: pd.DataFrame, by: str, *, minimum: int) -> pd.DataFrame:
    """Where visits of each kind end. Grain: one value of `by`.

    by, visits, and for view, cart and checkout the share of visits that reached the stage and went no
    further, with _low and _high; conversion, with the same. Missing where nothing reached the stage.
    """
    found = conversion(counts, by, minimum=minimum)
    table = found[[by]].assign(visits=found["whole"])
    steps = zip(STAGES, REACHED, REACHED[1:], strict=False)
    for stage, here, there in steps:
        left = counts.assign(left=counts[here] - counts[there])
        lost = shares(left, [by], "left", here, minimum=1).set_index(by).reindex(table[by])
        for end in ("share", "low", "high"):
            table[f"{stage}_{end}"] = lost[end].to_numpy()
    for end in ("share", "low", "high"):
        table[f"conversion_{end}"] = found[end]
    return table


def months(placed: ir.Table) -> pd.DataFrame:
    """Grain: one deal, known, channel and month; viewed (all visits), purchases."""
    by = ["deal", "known", "channel", "month"]
    purchases = (placed["stage"] == BOUGHT).sum()
    found = counted(placed, by, viewed=placed.count(), purchases=purchases).to_pandas()
    years, months = found["month"] // 12, found["month"] % 12 + 1
    first = pd.to_datetime({"year": years, "month": months, "day": 1})
    return found.assign(month=first)


def by_month(cells: pd.DataFrame, analysed: float, *, minimum: int) -> pd.DataFrame:
    """Conversion by channel and month, from `months`: as `rates.shares`."""
    told = weighed(weighed(cells, "viewed", analysed), "purchases", analysed)
    return shares(told, ["channel", "month"], "purchases", "viewed", minimum=minimum)


def durations(placed: ir.Table) -> pd.DataFrame:
    """How long visits are that end in each stage. Grain: one stage with visits.

    stage (place in STAGES), visits, and quarter, median, three_quarters: seconds within which so many
    of them were over. Visits without seconds are not counted.
    """
    known = placed.filter(placed["seconds"].notnull())
    by = ["stage", "seconds"]
    return _quartiles(known.group_by(by).agg(visits=known.count()).to_pandas(), "seconds")


def waits(placed: ir.Table) -> pd.DataFrame:
    """How many days after a visitor's first visit each stage is first reached, on the way to the first
    order. Grain: one stage after the first; as `durations`, in days, visits being visitors.

    Of those who reached the stage: who has not yet is not counted, so that waits seem short where
    many have just come.
    """
    way = placed.filter(placed["fresh"], placed["stage"] > 0)
    firsts = way.group_by("visitor").agg(
        **{
            name: (way["stage"] >= stage).ifelse(way["days"], ibis.null("int32")).min()
            for stage, name in enumerate(REACHED)
            if stage
        }
    )
    first = [
        firsts.filter(firsts[name].notnull()).select(
            stage=ibis.literal(stage, "int8"), days=firsts[name]
        )
        for stage, name in enumerate(REACHED)
        if stage
    ]
    waited = ibis.union(*first)
    by = ["stage", "days"]
    return _quartiles(waited.group_by(by).agg(visits=waited.count()).to_pandas(), "days")


def _quartiles(counts: pd.DataFrame, of: str) -> pd.DataFrame:
    rows = []
    for stage, group in counts.sort_values(of).groupby("stage"):
        upto = group["visits"].cumsum() / group["visits"].sum()
        values = group[of].to_numpy()
        cuts = [values[np.searchsorted(upto, share - 1e-12)] for share in (0.25, 0.5, 0.75)]
        rows.append((stage, group["visits"].sum(), *cuts))
    return pd.DataFrame(rows, columns=["stage", "visits", "quarter", "median", "three_quarters"])
