"""Ways to the first order, by channel. Grain in: one visit of `visits.placed`."""

from __future__ import annotations

from collections.abc import Sequence

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab.intervals import share_with_interval
from loyaltylab.journey.rates import weighed
from loyaltylab.journey.visits import counted


def touches(placed: ir.Table) -> pd.DataFrame:
    """Visits on the way to the first order. Grain: one deal, known, previous channel (missing: the way
    begins), channel, last (whether the way ends there) and won; and touches."""
    way = placed.filter(placed["fresh"])
    by = ["deal", "known", "previous", "channel", "last", "won"]
    return counted(way, by, touches=way.count()).to_pandas()


def lengths(placed: ir.Table) -> pd.DataFrame:
    """Visits on ways that led to an order, by how long these are. Grain: one deal, known, channel and
    length (visits of the way, that of the order included); and touches."""
    way = placed.filter(placed["fresh"], placed["won"])
    sized = way.mutate(length=way.count().over(group_by="visitor"))
    by = ["deal", "known", "channel", "length"]
    return counted(sized, by, touches=sized.count()).to_pandas()


def frequent(
    placed: ir.Table, names: Sequence[str], *, analysed: float, minimum: int, top: int
) -> pd.DataFrame:
    """The `top` most frequent ways. Grain: one beginning of a way, by its first three channels.

    channels (tuple of names), more (whether the way goes on), visitors, won (of them, ordered), share,
    low, high (won among visitors, strangers weighed as in `rates.weighed`; Wilson). Ways of fewer than
    `minimum` visitors are left out. Of equally frequent ones the first by name.
    """
    # The third visit knows the two before it; where the way is shorter, its last one does.
    begun = (placed["place"] == 2) | ((placed["place"] < 2) & placed["last"])
    firsts = placed.filter(placed["fresh"], begun)
    by = ["before", "previous", "channel", "last", "known"]
    found = counted(firsts, by, visitors=firsts.count(), won=firsts["won"].sum()).to_pandas()
    told = weighed(weighed(found, "visitors", analysed), "won", analysed)
    codes = told[by[:3]].to_numpy(float)
    told["channels"] = [tuple(names[int(c)] for c in row if not np.isnan(c)) for row in codes]
    told["more"] = ~told["last"].astype(bool)
    told["people"] = found["visitors"]
    sums = told.groupby(["channels", "more"], as_index=False)[["visitors", "won", "people"]].sum()
    sums = sums[sums["people"] >= minimum]
    sums = sums.sort_values(["visitors", "channels", "more"], ascending=[False, True, True])
    sums = sums.drop(columns="people").head(top).reset_index(drop=True)
    share, low, high = share_with_interval(sums["won"], sums["visitors"])
    return sums.assign(share=share, low=low, high=high)
