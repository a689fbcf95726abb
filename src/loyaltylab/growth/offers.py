"""What somebody is likely to buy next. Grain in: one order line. Grain out: one person and product.

Three things speak for a product: that the person bought it before, that those who bought the same
bought it, and that many buy it now. Each is counted in the engine; a `Recipe` says what each weighs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from loyaltylab.engine import keep, lot

OFFERS = 10  # products offered to a person
PRODUCTS = 5000  # products that may be offered at most: those that most persons bought
OWN = 100  # products that speak for somebody: those bought last and most often
NEIGHBOURS = 50  # of each product, those most like it
LEARNED = 100_000  # persons from whom likeness is learned
SHRINKAGE = 20  # persons; a likeness that so many bear out counts half
_POPULAR = 50  # products that everybody might be offered
_LIKELY = 100  # further ones for each person, by what others bought
_EXACT = 10**9  # whole billionths add up to the same in whatever order


@dataclass(frozen=True)
class Recipe:
    """What speaks for a product, weighed: again · own + near · likeness + popularity.

    again, near : weights beside popularity, 0 or more; half_life : days after which a purchase counts
    half. Popularity is as a purchase that nobody has made yet and each might: own counts purchases, so
    the more somebody bought, the less the others matter.
    """

    again: float
    near: float
    half_life: float


def bought(orders: ir.Table, lines: ir.Table, *, until: dt.date) -> ir.Table:
    """Who bought what. Grain: one order up to `until` and product.

    orders : with person_id; lines : order_lines. Returns person_id, order_id, day, product_id, category
    (of several the first by name; missing if not known), price (the lowest, a float) and returned
    (whether all of the order's money was refunded; False if not known). Pieces below or of zero are no
    purchase.
    """
    order = orders.filter(orders["ordered_at"].date() <= until)
    refunded: ir.Value = ibis.literal(False)
    if "returned_amount" in orders.columns:
        back = (order["amount"] > 0) & (order["returned_amount"] >= order["amount"])
        refunded = back.fill_null(False)
    order = order.select("person_id", "order_id", day=order["ordered_at"].date(), refunded=refunded)
    category = lines["category"] if "category" in lines.columns else ibis.null("string")
    line = lines.filter(lines["quantity"] > 0).select(
        "order_id",
        "product_id",
        category=category.strip().nullif(""),
        price=lines["unit_price"].cast("float64"),
    )
    both = order.join(line, "order_id")
    return both.group_by("person_id", "order_id", "day", "product_id").agg(
        category=both["category"].min(),
        price=both["price"].min(),
        returned=both["refunded"].all(),
    )


def catalogue(
    con: Any,
    rows: ir.Table,
    *,
    until: dt.date,
    recent_days: int,
    minimum: int,
    without: Sequence[str] = (),
    most: int = PRODUCTS,
) -> ir.Table:
    """What may be offered on the day after `until`. Grain: one product.

    rows : `bought`. Those that somebody bought in the last `recent_days` days, since others may be
    sold no more; that `minimum` persons or more ever bought, so that no offer tells of one of them;
    of no category in `without`; and of these the `most` that most persons bought.
    Returns item (0, 1, … by product_id), product_id, category, persons (who bought it), popular (share
    of the recent buyers who bought it).
    """
    seen = rows.filter(rows["day"] <= until)
    recent = seen["day"] > until - dt.timedelta(days=recent_days)
    lately = seen.filter(recent)["person_id"].nunique()
    counted = seen.group_by("product_id").agg(
        category=seen["category"].min(),
        persons=seen["person_id"].nunique(),
        lately=seen["person_id"].nunique(where=recent),
    )
    shown = counted.filter((counted["persons"] >= minimum) & (counted["lately"] > 0))
    if without:
        shown = shown.filter(~shown["category"].isin(list(without)).fill_null(False))
    shown = shown.order_by(ibis.desc("persons"), "product_id").limit(most)
    everybody = max(int(con.execute(lately)), 1)
    return keep(
        con,
        shown.select(
            "product_id",
            "category",
            "persons",
            item=ibis.row_number().over(order_by="product_id").cast("int64"),
            popular=shown["lately"].cast("float64") / everybody,
        ),
        "catalogue",
    )


def neighbours(con: Any, rows: ir.Table, products: ir.Table, *, until: dt.date) -> ir.Table:
    """Which products are bought by the same persons. Grain: one product and one of its NEIGHBOURS.

    rows : `bought`; products : `catalogue`. Returns item, other, likeness in (0, 1): the cosine of two
    products over persons, n₁₂ / √(n₁ n₂) (Deshpande & Karypis 2004, ACM TOIS 22, 143–177), times
    n₁₂ / (n₁₂ + SHRINKAGE), as few persons are no evidence (Bell & Koren 2007, KDD Cup Workshop, 7–14).
    Of a person the OWN products bought last count; of more persons than LEARNED, those of lowest lots.
    """
    seen = rows.filter(rows["day"] <= until).join(
        products.select("product_id", "item"), "product_id"
    )
    own = seen.group_by("person_id", "item").agg(last=seen["day"].max(), lot=seen["order_id"].min())
    place = ibis.row_number().over(
        ibis.window(group_by="person_id", order_by=[ibis.desc("last"), "item"])
    )
    own = own.mutate(place=place).filter(lambda t: t["place"] < OWN)
    # Lots are drawn by orders: they do not change with the key that persons' numbers are made of.
    people = own.group_by("person_id").agg(lot=lot(own["lot"].min()))
    people = people.order_by("lot", "person_id").limit(LEARNED)
    own = keep(con, own.semi_join(people, "person_id").select("person_id", "item"), "histories")
    persons = own.group_by("item").agg(n=own.count())
    pairs = own.join(own.rename(other="item"), "person_id")
    pairs = (
        pairs.filter(pairs["item"] != pairs["other"])
        .group_by("item", "other")
        .agg(both=lambda t: t.count())
    )
    counted = pairs.join(persons, "item").join(persons.rename(other="item", of_other="n"), "other")
    both = counted["both"].cast("float64")
    cosine = both / (counted["n"].cast("float64") * counted["of_other"].cast("float64")).sqrt()
    alike = counted.select("item", "other", likeness=cosine * both / (both + SHRINKAGE))
    nearest = ibis.row_number().over(
        ibis.window(group_by="item", order_by=[ibis.desc("likeness"), "other"])
    )
    alike = alike.mutate(place=nearest).filter(lambda t: t["place"] < NEIGHBOURS)
    return keep(con, alike.drop("place"), "neighbours")


def candidates(
    rows: ir.Table,
    products: ir.Table,
    near: ir.Table,
    who: ir.Table,
    *,
    until: dt.date,
    half_life: float,
) -> ir.Table:
    """What might be offered to each person on the day after `until`, and what speaks for it.

    rows, products, near : `bought`, `catalogue`, `neighbours`; who : one row a person_id. Grain: one
    person and product: those bought, those most like them and the most popular ones. Returns person_id,
    item, own (purchases of it, each halved every `half_life` days), near (likeness to what the person
    bought, 0 to 1: the mean over these, each weighing as much as `own` says), popular (`catalogue`).
    """
    seen = rows.filter(rows["day"] <= until).semi_join(who, "person_id")
    seen = seen.join(products.select("product_id", "item"), "product_id")
    # Two orders of a day are one purchase.
    seen = seen.select("person_id", "day", "item").distinct()
    age = ibis.literal(until).delta(seen["day"], unit="day").cast("float64")
    # However long ago, it was bought: nobody's purchases together count for nothing.
    counts = ibis.greatest(_billionths(ibis.literal(0.5, "float64") ** (age / half_life)), 1)
    own = seen.group_by("person_id", "item").agg(own=counts.sum())
    own = _first(own, "own", OWN)
    sums = own.group_by("person_id").agg(all=own["own"].sum())
    reached = own.join(near, "item").join(sums, "person_id")
    part = reached["own"].cast("float64") / reached["all"].cast("float64") * reached["likeness"]
    reached = reached.mutate(part=_billionths(part))
    reached = reached.group_by("person_id", item=reached["other"]).agg(near=reached["part"].sum())
    reached = _first(reached, "near", _LIKELY)
    top = products.order_by(ibis.desc("popular"), "item").limit(_POPULAR).select("item")
    nothing = ibis.literal(0, "int64")
    every = ibis.union(
        own.select("person_id", "item", "own", near=nothing),
        reached.select("person_id", "item", own=nothing, near=reached["near"]),
        who.select("person_id").cross_join(top).mutate(own=nothing, near=nothing),
    )
    found = every.group_by("person_id", "item").agg(
        own=every["own"].sum().cast("float64") / _EXACT,
        near=every["near"].sum().cast("float64") / _EXACT,
    )
    return found.join(products.select("item", "popular"), "item")


def _billionths(number: ir.FloatingValue) -> ir.IntegerValue:
    return (number * ibis.literal(_EXACT, "float64")).round().cast("int64")


def _first(rows: ir.Table, by: str, most: int) -> ir.Table:
    """The rows of each person with the highest `by`, of equal ones the first by item."""
    rows = rows.mutate(**{by: rows[by].cast("int64")})
    place = ibis.row_number().over(
        ibis.window(group_by="person_id", order_by=[ibis.desc(by), "item"])
    )
    return rows.mutate(place=place).filter(lambda t: t["place"] < most).drop("place")


def score(rows: Any, recipe: Recipe) -> Any:
    """What speaks for each candidate, weighed. rows : a table of the engine or of pandas."""
    return rows["own"] * recipe.again + rows["near"] * recipe.near + rows["popular"]


def offered(
    found: ir.Table, recipe: Recipe, rows: ir.Table, products: ir.Table, *, offers: int = OFFERS
) -> ir.Table:
    """The offers themselves. Grain: one person and one of at most `offers` products.

    found : `candidates`; rows, products : `bought`, `catalogue`. What a person sent back, and bought
    not once without, is not offered again. Returns person_id, rank (1 is the likeliest), product_id,
    category, reason: what weighs most, "again", "likeness" or "popularity".
    """
    sent_back = rows.group_by("person_id", "product_id").agg(returned=rows["returned"].all())
    sent_back = sent_back.filter(sent_back["returned"])
    known = found.join(products.select("item", "product_id", "category"), "item")
    known = known.anti_join(sent_back, ["person_id", "product_id"])
    order = [ibis.desc("score"), ibis.desc("popular"), "item"]
    ranked = known.mutate(score=score(known, recipe)).mutate(
        rank=ibis.row_number().over(ibis.window(group_by="person_id", order_by=order)) + 1
    )
    own, near = ranked["own"] * recipe.again, ranked["near"] * recipe.near
    reason = ibis.cases(
        ((own > 0) & (own >= near) & (own >= ranked["popular"]), "again"),
        ((near > 0) & (near >= ranked["popular"]), "likeness"),
        else_="popularity",
    )
    best = ranked.mutate(reason=reason).filter(ranked["rank"] <= offers)
    return best.select("person_id", "rank", "product_id", "category", "reason")
