"""Whether offers foresee what customers buy next, and which recipe does it best. Grain: one person.

Offers are made as of a day, from what was bought up to it, and held against what each person bought on
the next day with an order. A recipe is chosen on an earlier such day than the one it is judged on.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab import collecting
from loyaltylab.engine import keep, lot
from loyaltylab.growth.offers import OFFERS, Recipe, candidates, catalogue, neighbours, score
from loyaltylab.intervals import Z, share_with_interval

CHOSEN_ON, JUDGED_ON = 2000, 5000  # persons at most on whom a recipe is chosen, and judged
FEWEST = 100  # persons; of fewer, no rate would say anything
AGAIN = (0.0, 0.1, 0.3, 1.0, 3.0, 1000.0)  # from never what was bought before to that alone
NEAR = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0)
HALF_LIVES = (30.0, 90.0, 365.0)  # days
RECIPES = [Recipe(*values) for values in itertools.product(AGAIN, NEAR, HALF_LIVES)]
POPULARITY, BUY_AGAIN, BLEND = "popularity", "buy again", "offers"
MEASURES = ("hit", "ndcg")
_DISCOUNT = 1 / np.log2(np.arange(2, OFFERS + 2))


@dataclass(frozen=True)
class Judged:
    """What came true of candidates, for persons by a place of their own.

    found : half-life → candidates as arrays, one row a person and as many columns as the longest has:
    own, near, popular (−inf beyond the last), true (whether bought next), known (whether bought
    before). The popular come first, of equal ones by item. size, new : products that each bought next,
    and those of them not bought before; also such as could not be offered.
    """

    found: Mapping[float, Mapping[str, np.ndarray]]
    size: np.ndarray
    new: np.ndarray


def judged(
    con: Any,
    rows: ir.Table,
    *,
    cutoff: dt.date,
    days: int,
    half_lives: Sequence[float],
    persons: int,
    **chosen: Any,
) -> Judged:
    """What would have been offered as of `cutoff`, and what was bought on the next day with an order.

    rows : `bought`; days : the time after the cutoff in which that day is looked for. Persons who bought
    before and then, at most so many of them. chosen : of `catalogue`.
    """
    products = catalogue(con, rows, until=cutoff, **chosen)
    near = neighbours(con, rows, products, until=cutoff)
    before = rows.filter(rows["day"] <= cutoff)
    later = rows.filter((rows["day"] > cutoff) & (rows["day"] <= cutoff + dt.timedelta(days=days)))
    following = later.group_by("person_id").agg(next=later["day"].min())
    people = before.group_by("person_id").agg(lot=lot(before["order_id"].min()))
    who = people.join(following, "person_id").order_by("lot").limit(persons)
    who = keep(con, who, "judged")
    known = before.semi_join(who, "person_id").select("person_id", "product_id").distinct()
    known = keep(con, known.mutate(known=True), "known")
    then = later.join(who, ["person_id", later["day"] == who["next"]])
    then = then.select("lot", "person_id", "product_id").distinct()
    then = keep(con, _with(then, known, "known"), "then")
    with collecting.whole(con):  # each person is judged by the ten best of candidates, here
        sizes = then.group_by("lot").agg(size=then.count(), old=then["known"].sum()).to_pandas()
        sizes = sizes.sort_values("lot", ignore_index=True)
        place = pd.Series(sizes.index, index=sizes["lot"])
        by_half_life = {}
        for half_life in half_lives:
            found = candidates(rows, products, near, who, until=cutoff, half_life=half_life)
            found = found.join(products.select("item", "product_id"), "item")
            found = _with(found, then.select("person_id", "product_id", true=True), "true")
            found = _with(found, known, "known").join(who.select("person_id", "lot"), "person_id")
            columns = ["lot", "item", "own", "near", "popular", "true", "known"]
            table = found.select(*columns).to_pandas()
            by_half_life[half_life] = _squared(table, table["lot"].map(place), len(sizes))
    size = sizes["size"].to_numpy(int)
    return Judged(by_half_life, size, size - sizes["old"].fillna(0).to_numpy(int))


def _with(rows: ir.Table, marked: ir.Table, name: str) -> ir.Table:
    """rows with `name`: whether `marked` has their person_id and product_id."""
    joined = rows.left_join(marked, ["person_id", "product_id"])
    joined = joined.mutate(**{name: joined[name].fill_null(False)})
    return joined.drop("person_id_right", "product_id_right")


def _squared(table: pd.DataFrame, person: pd.Series, persons: int) -> dict[str, np.ndarray]:
    """Columns as arrays of persons × candidates, as `Judged` has them."""
    table = table.assign(person=person).sort_values(
        ["person", "popular", "item"], ascending=[True, False, True], ignore_index=True
    )
    column = table.groupby("person").cumcount().to_numpy()
    shape = (persons, max(int(column.max(initial=-1)) + 1, OFFERS))
    at = table["person"].to_numpy(int), column
    empty = {"own": 0.0, "near": 0.0, "popular": -np.inf, "true": False, "known": False}
    found = {}
    for name, value in empty.items():
        found[name] = np.full(shape, value)
        found[name][at] = table[name].to_numpy()
    return found


def measures(
    told: Mapping[str, np.ndarray], scores: np.ndarray, size: np.ndarray
) -> dict[str, np.ndarray]:
    """Of each person: hit (whether one of the ten products of highest score was bought) and ndcg.

    told : as in `Judged`; size : how many products were bought. Of equal scores the more popular is
    first. NDCG: each of the ten that was bought counts 1 / log₂(rank + 1), over what the best ten could
    have (Järvelin & Kekäläinen 2002, ACM TOIS 20, 422–446).
    """
    best = np.argsort(-scores, axis=1, kind="stable")[:, :OFFERS]
    true = np.take_along_axis(told["true"], best, axis=1)
    true &= np.isfinite(np.take_along_axis(scores, best, axis=1))
    ideal = np.cumsum(_DISCOUNT)[np.clip(size, 1, OFFERS) - 1]
    # Rounded, so that it does not matter in what order ten numbers are added.
    return {"hit": true.any(axis=1).astype(float), "ndcg": np.round(true @ _DISCOUNT / ideal, 12)}


def choose(seen: Judged, recipes: Sequence[Recipe] = RECIPES) -> tuple[Recipe, Recipe]:
    """The recipe with the highest mean NDCG, and of buying again alone; of equal ones the first."""

    def value(recipe: Recipe) -> float:
        told = seen.found[recipe.half_life]
        return math.fsum(measures(told, score(told, recipe), seen.size)["ndcg"])

    again = [recipe for recipe in recipes if recipe.again == max(AGAIN) and recipe.near == 0]
    return max(recipes, key=value), max(again, key=value)


def contest(seen: Judged, recipe: Recipe, again: Recipe) -> dict[str, dict[str, np.ndarray]]:
    """`measures` of each way to choose ten products: `recipe`, `again` alone, and what is popular."""
    scores = {
        BLEND: score(seen.found[recipe.half_life], recipe),
        BUY_AGAIN: score(seen.found[again.half_life], again),
        POPULARITY: seen.found[recipe.half_life]["popular"],
    }
    halves = {BLEND: recipe.half_life, BUY_AGAIN: again.half_life, POPULARITY: recipe.half_life}
    return {
        name: measures(seen.found[halves[name]], values, seen.size)
        for name, values in scores.items()
    }


def of_new(seen: Judged, recipe: Recipe) -> dict[str, dict[str, np.ndarray]]:
    """As `contest`, of products that a person had not bought: of persons who then bought such, and
    offered are such alone. Buying again has none to offer."""
    told, some = seen.found[recipe.half_life], seen.new > 0
    told = {name: values[some] for name, values in told.items()}
    scores = {BLEND: score(told, recipe), POPULARITY: told["popular"]}
    return {
        name: measures(told, np.where(told["known"], -np.inf, values), seen.new[some])
        for name, values in scores.items()
    }


def rates(told: Mapping[str, Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """Grain: one way to choose and one of MEASURES; method, measure, persons, value, low, high.

    Intervals of hit rates are Wilson's, of mean NDCG normal; both at LEVEL, over persons.
    """
    rows = []
    for method, by_measure in told.items():
        for measure, values in by_measure.items():
            if measure == "hit":
                value, low, high = map(float, share_with_interval(values.sum(), len(values)))
            else:
                value, low, high = _mean(values)
            rows.append((method, measure, len(values), value, low, high))
    return pd.DataFrame(rows, columns=["method", "measure", "persons", "value", "low", "high"])


def gains(told: Mapping[str, Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """What offers gain over each other way, person by person. Grain: method × measure; columns as in
    `rates`. The interval is that of the mean of paired differences, at LEVEL."""
    rows = [
        (method, measure, len(values), *_mean(told[BLEND][measure] - values))
        for method, by_measure in told.items()
        for measure, values in by_measure.items()
        if method != BLEND
    ]
    return pd.DataFrame(rows, columns=["method", "measure", "persons", "value", "low", "high"])


def _mean(values: np.ndarray) -> tuple[float, float, float]:
    """The mean with its normal interval at LEVEL; missing of fewer than two."""
    n = len(values)
    if n < 2:
        return math.nan, math.nan, math.nan
    mean = math.fsum(values) / n
    half = Z * math.sqrt(math.fsum((values - mean) ** 2) / (n - 1) / n)
    return mean, mean - half, mean + half


@dataclass(frozen=True)
class Trial:
    """How offers did on the last days, by a recipe chosen on the days before them.

    recipe, again : chosen, see `choose`. cutoff : the day as of which offers were made. rates, gains :
    of all products, new_rates, new_gains : of new ones. persons : on whom they were judged.
    """

    recipe: Recipe
    again: Recipe
    cutoff: dt.date
    persons: int
    rates: pd.DataFrame
    gains: pd.DataFrame
    new_rates: pd.DataFrame
    new_gains: pd.DataFrame


def try_offers(
    con: Any, rows: ir.Table, *, until: dt.date, days: int, **chosen: Any
) -> Trial | None:
    """Offers as of `days` days before `until`, judged by what came after; None if fewer than FEWEST
    persons are there to choose by, or to judge by. rows : `bought`; chosen : of `catalogue`."""
    cutoff = until - dt.timedelta(days=days)
    before = cutoff - dt.timedelta(days=days)
    told = {"days": days, **chosen}
    earlier = judged(con, rows, cutoff=before, half_lives=HALF_LIVES, persons=CHOSEN_ON, **told)
    if len(earlier.size) < FEWEST:
        return None
    recipe, again = choose(earlier)
    halves = sorted({recipe.half_life, again.half_life})
    last = judged(con, rows, cutoff=cutoff, half_lives=halves, persons=JUDGED_ON, **told)
    if len(last.size) < FEWEST:
        return None
    of_all, of_some = contest(last, recipe, again), of_new(last, recipe)
    tables = (table(told) for told in (of_all, of_some) for table in (rates, gains))
    return Trial(recipe, again, cutoff, len(last.size), *tables)
