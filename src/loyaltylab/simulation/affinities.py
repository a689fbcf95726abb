"""What goes with what: categories bought together or after each other, and series of design.

A product is of one category, price and variant; its series follows from these, so that each series
runs across all categories and prices, and each price is as common as without any affinity.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from loyaltylab.simulation.arrays import Flags, Floats, Ints, random
from loyaltylab.world import World

_CLASSES, _VARIANTS = 4, 3
SERIES = _CLASSES * _VARIANTS
# Categories in the order of baskets.CATEGORIES, each with the one that it is bought together with …
TOGETHER = np.array([6, 5, 4, 7, 2, 1, 0, 3])
# … and that which follows it in the next order, −1 for none.
AFTER = np.array([1, -1, -1, -1, -1, 2, 4, -1])


def drawn(
    world: World, orders: pd.DataFrame, order: Ints, first: Ints, category: Ints
) -> tuple[Ints, Flags]:
    """The category of each line, some of which follow from an earlier line's; and after which orders
    one that comes next may follow.

    orders : customer and nth; sorted by them. order : of each line; first : the first line of each
    order. A first line may follow the last order's, if that did not itself follow; a further line
    goes with its order's first.
    """
    rng = random(world.seed, "categories")
    again = orders["nth"].to_numpy() > 0
    follows = again & (rng.random(len(orders)) < world.bought_after)
    goes = rng.random(len(order)) < world.bought_together
    found = category.copy()
    before = np.maximum(np.arange(len(orders)) - 1, 0)
    after = AFTER[category[first[before]]]
    moved = follows & ~follows[before] & (after >= 0)
    found[first[moved]] = after[moved]
    further = np.arange(len(order)) > first[order]
    partner = TOGETHER[found[first[order]]]
    return np.where(goes & further, partner, found), ~follows


def in_series(
    world: World, customer: Ints, step: Ints, category: Ints, steps: int
) -> tuple[Ints, Ints, np.ndarray]:
    """step and variant of each line as its customer's series has them, and which lines are of it.

    customer : of each line. steps : how many prices there are. Variants count from 0.
    """
    rng = random(world.seed, "series")
    own = series(world)[customer]
    loyal = rng.random(len(step)) < world.series_loyalty
    off = (own // _VARIANTS - step - category) % _CLASSES
    half = np.where(rng.random(len(step)) < 0.5, 2, -2)
    moved = step + np.choose(
        off, [np.zeros_like(half), np.ones_like(half), half, -np.ones_like(half)]
    )
    moved = np.where(moved < 0, moved + _CLASSES, moved)
    moved = np.where(moved >= steps, moved - _CLASSES, moved)
    return np.where(loyal, moved, step), own % _VARIANTS, loyal


def series(world: World) -> Ints:
    """The series that each customer prefers. Shape (customers,)."""
    return random(world.seed, "taste").integers(0, SERIES, world.customers)


def expected(
    world: World,
    orders: pd.DataFrame,
    order: Ints,
    first: Ints,
    category: Ints,
    leads: Flags,
    chance: Floats,
) -> pd.DataFrame:
    """How much likelier than by chance pairs of categories are in truth, apart from the luck of draws.

    category, leads : as `drawn` gives them; chance : that a line would be of each category but for
    affinities, shape (lines, categories). What an order begins with is as likely as the order before it
    makes it. Returns kind ("together": in one order; "after": first lines of an order
    and the next), category, other (of "together" each pair once), planted (whether the world makes it
    so), lift (chance of both over the product of their chances).
    """
    kinds = chance.shape[1]
    after = np.flatnonzero(orders["nth"].to_numpy() > 0)
    was, begins = category[first[after - 1]], chance[first]
    led = leads[after - 1] & (AFTER[was] >= 0)
    begins[after[led]] *= 1 - world.bought_after
    begins[after[led], AFTER[was[led]]] += world.bought_after
    further = np.flatnonzero(np.arange(len(order)) > first[order])
    both = np.zeros((kinds, kinds))
    one = np.zeros(kinds)
    pairs = list(itertools.combinations(range(kinds), 2))
    whose = order[further]

    def none_of(likely: Floats) -> Floats:
        """The chance that none of an order's further lines is what is `likely` for each line."""
        with np.errstate(divide="ignore"):
            return np.exp(np.bincount(whose, np.log1p(-np.minimum(likely, 1)), len(first)))

    for head in range(kinds):  # the category of the first line
        of_line = (1 - world.bought_together) * chance[further]
        of_line[:, TOGETHER[head]] += world.bought_together
        begun = begins[:, head]
        lacks = [begun * ((n != head) and none_of(of_line[:, n])) for n in range(kinds)]
        one += [(begun - without).sum() for without in lacks]
        for a, b in pairs:
            neither = begun * ((head not in (a, b)) and none_of(of_line[:, a] + of_line[:, b]))
            both[a, b] += (begun - lacks[a] - lacks[b] + neither).sum()
    rows = [
        ("together", a, b, TOGETHER[a] == b and world.bought_together > 0,
         both[a, b] * len(first) / (one[a] * one[b]))
        for a, b in pairs
    ]  # fmt: skip
    comes = begins[after]
    usual = comes.mean(0) if len(after) else np.ones(kinds)
    for a in range(kinds):
        mean = comes[was == a].mean(0) if (was == a).any() else usual
        rows += [
            ("after", a, b, AFTER[a] == b and world.bought_after > 0, mean[b] / usual[b])
            for b in range(kinds)
            if a != b
        ]
    return pd.DataFrame(rows, columns=["kind", "category", "other", "planted", "lift"])
