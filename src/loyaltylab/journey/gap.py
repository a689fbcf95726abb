"""What people look at against what they buy. Grain in: one visit, and one line of an order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, t

from loyaltylab import engine
from loyaltylab.intervals import LEVEL
from loyaltylab.journey.visits import BOUGHT, DEALS, OTHER, UNKNOWN, dealt, numbered

EVERYBODY = "everybody"


def looks(placed: ir.Table, names: Sequence[str], groups: ir.Table | None = None) -> pd.DataFrame:
    """Visits without a purchase. Grain: one deal and category (interest, of `names`); and looks.

    groups : visitor and segment; with it, grain: also one segment, of visitors who have one.
    """
    rows = placed.filter(placed["stage"] < BOUGHT)
    by = ["deal", "interest"]
    if groups is not None:
        groups = groups.select("visitor", "segment")
        rows, by = rows.join(groups, "visitor"), ["deal", "segment", "interest"]
    found = rows.group_by(by).agg(looks=rows.count()).order_by(by).to_pandas()
    found["category"] = [names[code] for code in found.pop("interest")]
    return found


def buys(
    placed: ir.Table,
    orders: ir.Table,
    lines: ir.Table,
    *,
    since: dt.date,
    until: dt.date,
    segments: ir.Table | None = None,
) -> pd.DataFrame:
    """Lines of orders of persons, in the days that visits cover. Grain: one deal and category; and buys.

    orders : with person_id, order_id and ordered_at; lines : order_lines; segments : person_id and
    segment; with it, grain: also one segment. A buyer without a visit is dealt by the time of the
    first order.
    """
    con = placed.get_backend()
    day = orders["ordered_at"].date()
    made = orders.filter(day.between(since, until)).select(
        _order=engine.hashed(con, orders["order_id"]),
        _who=numbered(con, orders),
        moment=engine.whole_seconds(con, orders["ordered_at"]),
    )
    began = made.group_by("_who").agg(first=made["moment"].min())
    seen = placed.filter(placed["place"] == 0, placed["known"]).select(_who="visitor", _deal="deal")
    began = began.left_join(seen, "_who")
    people = began.select("_who", deal=began["_deal"].coalesce(dealt(began["first"])))
    by = ["deal", "category"]
    if segments is not None:
        people = people.join(segments.select("segment", _who=numbered(con, segments)), "_who")
        by = ["deal", "segment", "category"]
    bought = made.select("_order", "_who").join(people, "_who")
    named = lines.select(
        _order=engine.hashed(con, lines["order_id"]),
        category=engine.lowercase(lines["category"].strip()),
    )
    rows = bought.join(named.filter(named["category"].notnull()), "_order")
    return rows.group_by(by).agg(buys=rows.count()).order_by(by).to_pandas()


def gaps(looks: pd.DataFrame, buys: pd.DataFrame, *, minimum: int, limit: float) -> pd.DataFrame:
    """Which categories are bought more, and which less, than they are looked at. Grain: one category of
    a segment (EVERYBODY where there is none) that both sides have and `minimum` deals look at and buy.

    segment, category, looks, buys, looked and bought (shares of the segment's), ratio (bought over
    looked; 1: bought as all together are), low, high, shrunk (the ratio drawn towards 1 by as much as
    chance makes ratios differ), p (that chance alone makes it so far from 1), q (the share of false
    discoveries if this and all with a smaller p are taken for real), found (whether q ≤ `limit`).

    The error of log ratio is that of random groups, linearised; a visitor's looks and purchases go
    together in it. Shrinkage: ratios are log-normal around 1 with a variance by moments (DerSimonian, R.
    & Laird, N. (1986), Controlled Clinical Trials 7, 177–188). q : Benjamini, Y. & Hochberg, Y. (1995),
    JRSS B 57, 289–300, over all rows at once.
    """
    sides = []
    for side, name in ((looks, "looks"), (buys, "buys")):
        given = side if "segment" in side.columns else side.assign(segment=EVERYBODY)
        given = given[~given["category"].isin([OTHER, UNKNOWN])]
        sides.append(
            given.groupby(["segment", "category", "deal"])[name].sum().unstack(fill_value=0)
        )
    both = sides[0].index.intersection(sides[1].index).sort_values()
    columns = ["segment", "category", "looks", "buys", "looked", "bought", "ratio", "low", "high"]
    if both.empty:
        return pd.DataFrame(columns=[*columns, "shrunk", "p", "q", "found"])
    seen, bought = (side.reindex(columns=range(DEALS), fill_value=0).loc[both] for side in sides)
    keys = both.to_frame(index=False)
    rows = [seen.to_numpy(float), bought.to_numpy(float)]
    wholes = [side.groupby("segment").transform("sum").to_numpy(float) for side in (seen, bought)]
    sums, totals = [x.sum(axis=1) for x in rows], [x.sum(axis=1) for x in wholes]
    shares = [n / total for n, total in zip(sums, totals, strict=True)]
    effect = np.log(shares[1] / shares[0])
    # What each deal adds to the logarithm of the ratio.
    looked, got = (
        x / n[:, None] - whole / total[:, None]
        for x, n, whole, total in zip(rows, sums, wholes, totals, strict=True)
    )
    error = np.sqrt(DEALS / (DEALS - 1) * ((got - looked) ** 2).sum(axis=1))
    table = keys.assign(looks=sums[0], buys=sums[1], looked=shares[0], bought=shares[1])
    told = ((np.array(rows) > 0).sum(axis=2) >= minimum).all(axis=0) & (error > 0)
    table, effect, error = table[told].reset_index(drop=True), effect[told], error[told]
    reach = t.ppf((1 + LEVEL) / 2, DEALS - 1) * error
    chance = 2 * t.sf(np.abs(effect) / error, DEALS - 1)
    falsely = false_discovery_control(chance) if len(chance) else chance
    return table.astype({"looks": int, "buys": int}).assign(
        ratio=np.exp(effect),
        low=np.exp(effect - reach),
        high=np.exp(effect + reach),
        shrunk=np.exp(effect * _kept(effect, error)),
        p=chance,
        q=falsely,
        found=falsely <= limit,
    )


def _kept(effect: np.ndarray, error: np.ndarray) -> np.ndarray:
    """How much of each effect is left when it is drawn to 0: the share of its variance that is real."""
    weight = 1 / error**2
    excess = (weight * effect**2).sum() - len(effect)
    spread = max(0.0, excess / weight.sum()) if len(effect) else 0.0
    return np.asarray(spread / (spread + error**2))


def segment_of(people: ir.Table) -> ir.Table:
    """people (person_id and segment) with visitor, as in `visits.owned`; those with a segment."""
    known = people.filter(people["segment"].notnull())
    return known.select("person_id", "segment", visitor=numbered(known.get_backend(), known))
