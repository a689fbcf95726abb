"""Who moves to dearer products. Grain in: one order and product (`offers.bought`).

Within a category, products are parted into three bands by price, of as many purchases as ties allow.
A move is from a day on which somebody bought in the category to the next such day.
"""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab.engine import keep
from loyaltylab.intervals import ratio_with_interval

BANDS = ("low", "middle", "high")
ALL = "all"
_FEWEST = 30  # moves that a category needs for a share of its own
_TIMES = 3  # purchases in the category so far, from which on they are counted together
_PRICE = "decimal(18, 4)"


def band_moves(con: Any, rows: ir.Table) -> ir.Table:
    """Days with a purchase in a category and the next such. Grain: one person, category and two days.

    A product's price is the mean of what was paid; of several products of a category on a day the
    dearest counts. Returns person_id, category, band, next_band (0 low, 1 middle, 2 high), times (how
    often the person had bought in the category by then, at most _TIMES). Products without category,
    and categories of one price, are left out.
    """
    known = rows.filter(rows["category"].notnull())
    # Decimals, since a sum of floats depends on the order in which threads add them.
    paid = known.mutate(paid=known["price"].cast(_PRICE))
    of_product = paid.group_by("category", "product_id").agg(
        total=paid["paid"].sum(), n=paid.count()
    )
    price = (of_product["total"].cast("float64") / of_product["n"]).cast(_PRICE)
    of_product = of_product.mutate(price=price)
    prices = of_product.group_by("category", "price").agg(n=of_product["n"].sum())
    several = prices.count().over(ibis.window(group_by="category")) > 1
    bands = banded(prices.mutate(several=several), len(BANDS), by="category")
    bands = bands.filter(bands["several"]).select("category", "price", "band")
    of_product = of_product.join(bands, ["category", "price"])
    of_product = of_product.select("category", "product_id", "band")
    found = known.join(of_product, ["category", "product_id"])
    days = found.group_by("person_id", "category", "day").agg(band=found["band"].max())
    at = ibis.window(group_by=["person_id", "category"], order_by="day")
    told = days.mutate(
        next_band=days["band"].lead().over(at),
        times=ibis.least(ibis.row_number().over(at) + 1, _TIMES),
    )
    told = told.filter(told["next_band"].notnull())
    return keep(con, told.select("person_id", "category", "band", "next_band", "times"), "moves")


def banded(prices: ir.Table, bands: int, *, by: str | None = None) -> ir.Table:
    """prices with band: 0 for the cheapest, up to bands − 1, of as many as ties allow.

    prices : price and n (how many have it), each price once in each value of `by`. Equal prices are in
    one band: the one in which the middle of those who have it is, from the cheapest on.
    """
    below = ibis.cumulative_window(group_by=by, order_by="price")
    up_to, every = prices["n"].sum().over(below), prices["n"].sum().over(ibis.window(group_by=by))
    # In whole numbers, where no third is rounded.
    return prices.mutate(band=(((2 * up_to - prices["n"]) * bands) // (2 * every)).cast("int64"))


def transitions(told: ir.Table, *, minimum: int) -> pd.DataFrame:
    """Where buyers of each band are next, of all categories. Grain: band × next band.

    told : `band_moves`. Returns band, next_band (0 low, 1 middle, 2 high), moves (from the band), share
    (of them, to the next band), low, high. Bands of fewer than `minimum` persons are left out.
    """
    ends = {f"to_{band}": (told["next_band"] == band).sum() for band in range(len(BANDS))}
    each = told.group_by("person_id", "band").agg(moves=told.count(), **ends)
    alike = each.group_by("band", "moves", *ends).agg(persons=each.count()).to_pandas()
    rows = []
    for band, some in alike.groupby("band"):
        if some["persons"].sum() >= minimum:
            moved = int((some["moves"] * some["persons"]).sum())
            for to, end in enumerate(ends):
                share = ratio_with_interval(some[end], some["moves"], some["persons"])
                rows.append((band, to, moved, *share))
    return pd.DataFrame(rows, columns=["band", "next_band", "moves", "share", "low", "high"])


def climbs(told: ir.Table, by: str | None = None, *, minimum: int) -> pd.DataFrame:
    """Who moves up a band. Grain: one value of `by`, category or times; one row of all, if None.

    told : `band_moves`. Returns by, moves (from a band that is not the high one), share (of them, to a
    higher band), low, high (a person's moves go together), chance: the share if the next purchase were
    drawn from all next purchases in the category, whatever came before. Values of fewer than _FEWEST
    such moves or `minimum` persons are left out; the highest share first, times in order.
    """
    name = by or "all"
    told = told.mutate(all=ibis.literal(ALL))
    open_above = told.filter(told["band"] < len(BANDS) - 1)
    each = open_above.group_by("person_id", name).agg(
        moves=open_above.count(), up=(open_above["next_band"] > open_above["band"]).sum()
    )
    alike = each.group_by(name, "moves", "up").agg(persons=each.count()).to_pandas()
    chance = _by_chance(told, name)
    rows = []
    for value, some in alike.groupby(name):
        moved, persons = int((some["moves"] * some["persons"]).sum()), some["persons"].sum()
        if moved >= _FEWEST and persons >= minimum:
            share = ratio_with_interval(some["up"], some["moves"], some["persons"])
            rows.append((value, moved, *share, chance[value]))
    table = pd.DataFrame(rows, columns=[name, "moves", "share", "low", "high", "chance"])
    if by == "category":
        return table.sort_values(["share", name], ascending=[False, True], ignore_index=True)
    return table


def _by_chance(told: ir.Table, name: str) -> dict[Any, float]:
    """The share that would move up if next bands did not depend on the band before, by `name`."""
    keys = list(dict.fromkeys(["category", name, "band", "next_band"]))
    cells = told.group_by(*keys).agg(n=told.count()).to_pandas()
    ends = cells.groupby(["category", "next_band"])["n"].sum().unstack(fill_value=0)
    ends = ends.reindex(columns=range(len(BANDS)), fill_value=0)
    above = 1 - (ends.cumsum(axis=1).div(ends.sum(axis=1), axis=0))
    cells = cells[cells["band"] < len(BANDS) - 1]
    likely = [above.at[row.category, row.band] for row in cells.itertuples()]
    of_value = cells.assign(up=cells["n"] * likely).groupby(name)[["up", "n"]].sum()
    return dict((of_value["up"] / of_value["n"]).items())
