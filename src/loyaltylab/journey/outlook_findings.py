"""What the page says and records of likely converters, and of the gap of interest and purchases."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from loyaltylab.journey.findings import each, intervals
from loyaltylab.journey.gap import EVERYBODY
from loyaltylab.language import listed, phrase, shown
from loyaltylab.numbers import Numbers, sentence

_TOLD = {
    "auc": (
        "journey.likely_auc",
        "AUC of the score of open visitors, on visitors of later days than it learned from",
    ),
    "brier": ("journey.likely_brier", "Brier score of the score of open visitors, on later days"),
    "base_brier": (
        "journey.likely_base_brier",
        "Brier score of the share that converted before, given to everybody, on the same days",
    ),
}


def record_score(numbers: Numbers, judged: Mapping[str, float]) -> None:
    """Record journey.likely_auc, _brier and _base_brier from `converters.judge`."""
    for name, (number, definition) in _TOLD.items():
        numbers.record_spanned(
            number,
            (judged[name], judged[f"{name}_low"], judged[f"{name}_high"]),
            unit="score",
            n=round(judged["visitors"]),
            definition=phrase(definition),
        )


def score_finding(judged: Mapping[str, float], *, ahead: int) -> str:
    """What the score is worth, from `converters.judge`: a heading and its sentences."""
    heading = (
        "## Some visitors are likelier to buy than others, and a score tells which"
        if judged["better_low"] > 0
        else "## A score of visitors says no more than the share that buys"
    )
    text = sentence(
        "Of {visitors:,.0f} open visitors that it had not seen, {share:.1%} bought within {ahead} days; "
        "{expected:.1%} were expected. **Of one who bought and one who did not, the score is higher for "
        "the first in {auc:.0%} of pairs** ({auc_low:.1%} to {auc_high:.1%}, 95% confidence; a coin has "
        "{coin:.0%}). Its squared error is {better:.1%} below that of the base rate for everybody "
        "({better_low:.1%} to {better_high:.1%}), and its slope is {slope:.2f} ({slope_low:.2f} to "
        "{slope_high:.2f}; {one}: neither too bold nor too shy).",
        ahead=ahead,
        coin=0.5,
        one=1,
        **judged,
    )
    return f"{phrase(heading)}\n\n{text}"


def list_finding(told: Mapping[str, int]) -> str:
    """Who is on the list, from `converters.write_list`."""
    return sentence(
        "Open today are {open:,} visitors, {known:,} of them known persons. The {listed:,} likeliest of "
        "these who consent to marketing are in `downloads/likely_converters.csv` of the dataset, "
        "by person id; strangers are scored to learn from and listed nowhere.",
        **told,
    )


# ---- The gap.


def record_gaps(numbers: Numbers, table: pd.DataFrame) -> None:
    """Record journey.gap.<category>, the ratio of all visitors together, from `gap.gaps`."""
    for row in each(table[table["segment"] == EVERYBODY]):
        numbers.record_spanned(
            f"journey.gap.{row.category}",
            (row.ratio, row.low, row.high),
            unit="times",
            n=row.buys,
            definition=phrase(
                "share of what is bought that is of this category, over the share of visits without a "
                "purchase that look at it"
            ),
        )


def gap_finding(table: pd.DataFrame, *, limit: float) -> str:
    """Which categories are looked at and not bought, from `gap.gaps`: a heading and its sentences."""
    if table.empty:
        return phrase(
            "## Nothing says whether what is looked at is bought\n\n"
            "No category that visits look at stands under the same name in orders, or too few do."
        )
    under = table[table["found"] & (table["ratio"] < 1)].sort_values("shrunk")
    over = table[table["found"] & (table["ratio"] > 1)].sort_values("shrunk", ascending=False)
    if under.empty and over.empty:
        return sentence(
            "## What people look at is what they buy\n\nOf {n:,} categories none is bought more or "
            "less, for how much it is looked at, than chance brings.",
            n=len(table),
        )
    most = under.iloc[0] if len(under) else over.iloc[0]
    heading = (
        "## People look at {category} more than they buy it"
        if len(under)
        else "## People buy {category} more than they look at it"
    )
    said = [
        sentence(heading, category=most["category"])
        + "\n\n"
        + sentence(
            "It has {looked:.1%} of the looks and {bought:.1%} of what is bought: **{ratio:.2f} times "
            "as much as all together** ({low:.2f} to {high:.2f}, 95% confidence).",
            **{k: most[k] for k in ("looked", "bought", "ratio", "low", "high")},
        )
    ]
    for rows, template in (
        (under, "Bought less than they are looked at: {names}."),
        (over, "Bought more than they are looked at: {names}."),
    ):
        if len(rows):
            names = [f"{row.category} ({shown(row.shrunk, '.2f')})" for row in each(rows)]
            said.append(sentence(template, names=listed(names)))
    said.append(
        sentence(
            "In brackets the ratio, drawn to {one} by as much as chance makes ratios differ; of all "
            "that are named so, at most {limit:.0%} are expected to be so by chance.",
            one=1,
            limit=limit,
        )
    )
    return " ".join(said)


def segment_finding(table: pd.DataFrame) -> str:
    """In how many segments each category is out of line, in a sentence."""
    found = table[table["found"]]
    return sentence(
        "Within segments, by what customers bought lately and how often, {found:,} of {cells:,} pairs "
        "of segment and category are out of line with what the segment looks at.",
        found=len(found),
        cells=len(table),
    )


def gap_table(table: pd.DataFrame, *, most: int | None = None) -> pd.DataFrame:
    """`gap.gaps` in words; farthest from 1 first, `most` of those found where given."""
    rows = table.assign(far=np.abs(np.log(table["shrunk"])))
    if most is not None:
        rows = rows[rows["found"]]
    rows = rows.sort_values(["far", "segment", "category"], ascending=[False, True, True]).head(
        len(rows) if most is None else most
    )
    told = {}
    if not (table["segment"] == EVERYBODY).all():
        told[phrase("segment")] = [phrase(name) for name in rows["segment"]]
    return pd.DataFrame(
        told
        | {
            phrase("category"): list(rows["category"]),
            phrase("of looks"): [shown(x, ".1%") for x in rows["looked"]],
            phrase("of what is bought"): [shown(x, ".1%") for x in rows["bought"]],
            phrase("bought for looked at"): intervals(rows, ["ratio", "low", "high"], ".2f"),
            phrase("drawn to 1"): [shown(x, ".2f") for x in rows["shrunk"]],
            phrase("beyond chance"): [phrase("yes") if x else phrase("no") for x in rows["found"]],
        }
    )
