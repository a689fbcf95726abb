"""What the page says of offers, and the list of them that leaves it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab.consent import reachable
from loyaltylab.dataset import Lab
from loyaltylab.engine import keep
from loyaltylab.files import written_whole
from loyaltylab.growth.offer_evaluation import (
    BLEND,
    BUY_AGAIN,
    FEWEST,
    MEASURES,
    POPULARITY,
    RECIPES,
    Trial,
)
from loyaltylab.growth.offers import (
    OFFERS,
    Recipe,
    candidates,
    catalogue,
    neighbours,
    offered,
)
from loyaltylab.growth.rows import ends
from loyaltylab.language import phrase
from loyaltylab.numbers import Numbers, sentence, spanned

# Persons: of each there are hundreds of candidates, and memory holds those of so many.
_AT_ONCE = 20_000
_VALUE = ("value", "low", "high")
_NAMES = {BLEND: "", BUY_AGAIN: "_buy_again", POPULARITY: "_popularity"}
_DEFINITIONS = {
    "hit": "customers who bought at least one of ten products chosen for them on their next day with "
    "an order, over those who had one in the time held out; chosen by {method}",
    "ndcg": "normalised discounted cumulative gain of ten products chosen for a customer, by what the "
    "next day with an order brought; chosen by {method}",
}
_GAINED = {
    "hit": "gain in hit rate of offers over {method}, customer by customer",
    "ndcg": "gain in NDCG of offers over {method}, customer by customer",
}


def nothing_to_offer(lab: Lab) -> str:
    """Why no offers can be made, as a section of the page; empty if they can."""
    if not lab.lacks("order_lines"):
        return ""
    return phrase(
        "## Nothing says what to offer\n\nThat needs the table **order_lines**: what was in each order. "
        "This dataset does not have it, so what to offer, what goes with what and who buys dearer "
        "things stay open."
    )


def too_few(days: int) -> str:
    """What is said where `try_offers` finds too few persons."""
    return sentence(
        "## Too few came back to judge offers by\n\nOffers are chosen on {days} days and judged on the "
        "{days} days after them. In each, {fewest} customers or more who had bought before have to buy "
        "again; here they are fewer, so no offers are made.",
        days=days,
        fewest=FEWEST,
    )


def categories(listed: str) -> list[str]:
    """A parameter's "toys, tools" as a list."""
    return [name.strip() for name in listed.split(",") if name.strip()]


def record_offers(numbers: Numbers, trial: Trial) -> None:
    """Record growth.offer.hit_rate_10 and growth.offer.ndcg_10 with those of the baselines, such as
    growth.offer.hit_rate_10_buy_again, and what is gained over these."""
    for (method, measure), row in _by(trial.rates).items():
        name = "hit_rate_10" if measure == "hit" else "ndcg_10"
        _record(numbers, f"{name}{_NAMES[method]}", row, _DEFINITIONS[measure])
    for (method, measure), row in _by(trial.gains).items():
        _record(numbers, f"{measure}_gain{_NAMES[method]}", row, _GAINED[measure])


def _by(table: pd.DataFrame) -> dict[tuple[str, str], Mapping[Any, Any]]:
    """Rows of `rates` or `gains` by method and measure."""
    return {(row["method"], row["measure"]): row for row in table.to_dict("records")}


def _record(numbers: Numbers, name: str, row: Mapping[Any, Any], definition: str) -> None:
    numbers.record_spanned(
        f"growth.offer.{name}",
        ends(row, _VALUE),
        unit="share",
        n=row["persons"],
        definition=phrase(definition, method=phrase(row["method"])),
    )


def offer_finding(trial: Trial, *, days: int) -> str:
    """How often offers hit, and whether they beat what anyone could do without: heading, sentences."""
    rate = _by(trial.rates)
    hit = rate[BLEND, "hit"]
    said = [
        sentence(
            "## {hit:.0%} of returning customers buy one of their ten offers\n\n"
            "Of {persons:,} customers who had bought by {cutoff:%-d %B %Y} and did again in the {days} "
            "days after, **{hit:.1%}** bought, on their next day with an order, at least one of ten "
            "products offered to them on that day ({low:.1%} to {high:.1%}, 95% confidence). Ten that "
            "they had bought before would have hit {again:.1%}, the ten most popular {popular:.1%}.",
            hit=hit["value"],
            low=hit["low"],
            high=hit["high"],
            persons=hit["persons"],
            cutoff=trial.cutoff,
            days=days,
            again=rate[BUY_AGAIN, "hit"]["value"],
            popular=rate[POPULARITY, "hit"]["value"],
        ),
        *(_verdict(trial.gains, method) for method in (BUY_AGAIN, POPULARITY)),
    ]
    return " ".join(said)


_VERDICTS = {
    ("hit", BUY_AGAIN, 1): "**Offers hit more often than what was bought before**: by {gain}.",
    ("hit", BUY_AGAIN, 0): "In how many they hit, offers and what was bought before cannot be told "
    "apart: the difference is {gain}.",
    ("hit", BUY_AGAIN, -1): "**What was bought before hits more often than offers**, by {gain}: offer "
    "that again.",
    ("hit", POPULARITY, 1): "**They hit more often than what is popular**: by {gain}.",
    ("hit", POPULARITY, 0): "In how many they hit, offers and what is popular cannot be told apart: the "
    "difference is {gain}.",
    ("hit", POPULARITY, -1): "**What is popular hits more often than offers**, by {gain}: offer that.",
    ("ndcg", BUY_AGAIN, 1): "Counting all ten and their order (NDCG), they are better, by {gain}.",
    ("ndcg", BUY_AGAIN, 0): "Counting all ten and their order (NDCG) tells no difference: {gain}.",
    ("ndcg", BUY_AGAIN, -1): "Counting all ten and their order (NDCG), they are worse, by {gain}.",
}  # fmt: skip


def _verdict(gains: pd.DataFrame, method: str) -> str:
    """Whether offers beat `method`, as far as the intervals tell."""
    said = []
    for (other, measure), row in _by(gains).items():
        if other != method or (measure == "ndcg" and method != BUY_AGAIN):
            continue
        told, sign = ends(row, _VALUE), (row["low"] > 0) - (row["high"] < 0)
        # Where the other is better, the sentence says by how much.
        value, low, high = told if sign >= 0 else (-told[0], -told[2], -told[1])
        spec = ".1f" if sign else "+.1f"
        amount = phrase(
            "{amount} percentage points", amount=spanned(100 * value, 100 * low, 100 * high, spec)
        )
        said.append(sentence(_VERDICTS[measure, method, sign], gain=amount))
    return " ".join(said)


def recipe_finding(trial: Trial) -> str:
    """What weighs how much, and how offers do where nothing is bought again."""
    recipe = trial.recipe
    said = [
        sentence(
            "In the recipe, chosen among {recipes:,} on the time before, a product's popularity "
            "weighs 1, its likeness to what somebody bought {near:g}, and each time that they bought "
            "it {again:g}; a purchase counts half after {half_life:,.0f} days.",
            recipes=len(RECIPES),
            near=recipe.near,
            again=recipe.again,
            half_life=recipe.half_life,
        )
    ]
    rate, gain = _by(trial.new_rates), _by(trial.new_gains)[POPULARITY, "hit"]
    new = rate[BLEND, "hit"]
    if new["persons"] >= FEWEST:
        value, low, high = (100 * end for end in ends(gain, _VALUE))
        said.append(
            sentence(
                "An offer of what somebody buys anyway earns little. **Of {persons:,} who then bought "
                "something for the first time, {new:.1%} bought one of ten offers of new products**, "
                "and {popular:.1%} one of the ten most popular ones new to them; the difference is "
                "{gain} percentage points.",
                new=new["value"],
                persons=new["persons"],
                popular=rate[POPULARITY, "hit"]["value"],
                gain=spanned(value, low, high),
            )
        )
    return " ".join(said)


def offer_table(trial: Trial) -> pd.DataFrame:
    """Grain: one way to choose; ten products, hit rate, NDCG, gain in hit rate."""
    rate, gained = _by(trial.rates), _by(trial.gains)
    rows = []
    for method in (BLEND, BUY_AGAIN, POPULARITY):
        hit, ndcg = (gained.get((method, measure)) for measure in MEASURES)
        rows.append(
            {
                "ten products by": phrase(method),
                "hit rate": spanned(*ends(rate[method, "hit"], _VALUE), ".1%"),
                "NDCG": spanned(*ends(rate[method, "ndcg"], _VALUE), ".1%"),
                "hit rate of offers, less it": hit and spanned(*ends(hit, _VALUE), "+.1%"),
                "NDCG of offers, less it": ndcg and spanned(*ends(ndcg, _VALUE), "+.1%"),
            }
        )
    return pd.DataFrame(rows)


def save_offers(
    con: Any,
    rows: ir.Table,
    persons: ir.Table,
    recipe: Recipe,
    folder: Path,
    *,
    until: dt.date,
    **chosen: Any,
) -> dict[str, int]:
    """Write <folder>/offers.csv: ten products a person, of those who consent to marketing.

    rows : `bought`; persons : `Lab.persons`; chosen : of `catalogue`. Who refused, and who never said,
    is not on the list, and no offers are made for them. Columns as in `offered`; a person_id is a hash
    that only the dataset's private key can make. Returns customers (who bought a product), listed,
    refused, never_said.
    """
    buyers = rows.select("person_id").distinct()
    known = buyers.left_join(persons.select("person_id", "consent_marketing"), "person_id")
    who = known.filter(known["consent_marketing"].fill_null(False)).select("person_id")
    place = ibis.row_number().over(order_by="person_id")
    who = keep(con, who.mutate(part=(place // _AT_ONCE).cast("int64")), "offered_to")
    products = catalogue(con, rows, until=until, **chosen)
    near = neighbours(con, rows, products, until=until)
    counts, parts = reachable(known), []
    for nth in range(counts["listed"] // _AT_ONCE + 1):
        some = who.filter(who["part"] == nth).select("person_id")
        found = candidates(rows, products, near, some, until=until, half_life=recipe.half_life)
        parts.append(keep(con, offered(found, recipe, rows, products, offers=OFFERS), "offered"))
    told = ibis.union(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / "offers.csv") as part:
        con.to_csv(told.order_by("person_id", "rank"), part)
    return counts


def list_finding(counts: dict[str, int]) -> str:
    """Who is on the list of offers."""
    return sentence(
        "Ten offers for each of **{listed:,} customers who consent to marketing** are in "
        "`downloads/offers.csv`, each with what speaks for it. {refused:,} who refused and "
        "{never_said:,} who never said are not there. Nothing is offered that few ever bought, that "
        "nobody buys any more, or that its customer sent back.",
        **counts,
    )
