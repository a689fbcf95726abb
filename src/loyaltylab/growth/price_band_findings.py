"""What the page says of buyers who move to dearer products."""

from __future__ import annotations

import pandas as pd

from loyaltylab.growth.price_bands import BANDS
from loyaltylab.growth.rows import ends
from loyaltylab.intervals import LEVEL
from loyaltylab.language import phrase
from loyaltylab.numbers import Numbers, sentence, spanned

_TIMES = {1: "after the first purchase", 2: "after the second", 3: "after later ones"}


def record_climbs(numbers: Numbers, every: pd.DataFrame) -> None:
    """Record growth.up_sell.share from `climbs` of all categories; nothing if it has no row."""
    for row in every.to_dict("records"):
        numbers.record(
            "growth.up_sell.share",
            row["share"],
            low=row["low"],
            high=row["high"],
            level=LEVEL,
            unit="share",
            n=row["moves"],
            definition=phrase(
                "next purchases in a category that are of a higher price band, over those after a "
                "purchase in the low or the middle band"
            ),
        )


def climb_finding(every: pd.DataFrame, of_times: pd.DataFrame) -> str:
    """Who moves up a price band: a heading and its sentences. From `climbs` of all, and by times."""
    if every.empty:
        return phrase(
            "## Nothing says who buys dearer things\n\nToo few bought again in a category with several "
            "prices."
        )
    row = every.to_dict("records")[0]
    values = {name: row[name] for name in ("share", "low", "high", "moves", "chance")}
    verdicts = {
        -1: "If the last price did not matter it would be {chance:.0%}: **customers keep to their band "
        "more than chance would have it**, so that something dearer is the harder offer.",
        0: "If the last price did not matter it would be {chance:.0%}, which is no different.",
        1: "If the last price did not matter it would be {chance:.0%}: **customers work their way up**.",
    }
    side = int(row["low"] > row["chance"]) - int(row["high"] < row["chance"])
    said = [
        sentence(
            "## {share:.0%} of next purchases in a category are dearer by a band\n\n"
            "Within each category, products are parted by price into a low, a middle and a high band. "
            "Of {moves:,} times that somebody who bought in the low or the middle band came back to the "
            "category, {share:.1%} were in a higher band ({low:.1%} to {high:.1%}, 95% confidence).",
            **values,
        ),
        sentence(verdicts[side], **values),
    ]
    if len(of_times) > 1:
        parts = [
            phrase("{share:.1%} {when}", share=row["share"], when=phrase(_TIMES[row["times"]]))
            for row in of_times.to_dict("records")
        ]
        said.append(sentence("Of those who could, {parts} moved up.", parts=", ".join(parts)))
    return " ".join(said)


_NEXT = ("next low", "next middle", "next high")  # as BANDS are


def transition_table(moved: pd.DataFrame) -> pd.DataFrame:
    """`transitions` for a reader: one row a band, its next bands beside each other."""
    rows = []
    for _, some in moved.groupby("band"):
        cells = some.to_dict("records")
        row = {"band before": phrase(BANDS[cells[0]["band"]]), "times": cells[0]["moves"]}
        for cell in cells:
            row[_NEXT[cell["next_band"]]] = spanned(*ends(cell), ".1%")
        rows.append(row)
    return pd.DataFrame(rows)
