"""What the page says of categories that go together, or after each other."""

from __future__ import annotations

import pandas as pd

from loyaltylab.growth.cross_sell import FALSE_SHARE, NEXT, SAME
from loyaltylab.growth.rows import ends
from loyaltylab.language import capitalised, phrase
from loyaltylab.numbers import Numbers, sentence, spanned

CAPTIONS = {
    SAME: "Categories bought together, by how many times as often as expected; lift is that without "
    "regard to how full orders are; 95% intervals, wider as only what was found is shown",
    NEXT: "Categories bought after each other, by how many times as often as before each other; lift "
    "does without the direction; 95% intervals, wider as only what was found is shown",
}
_NUMBERS = {SAME: "together", NEXT: "next"}
_SHOWN = 10  # rules of a kind in a table


def record_rules(numbers: Numbers, rules: dict[str, pd.DataFrame]) -> None:
    """Record growth.cross_sell.together and growth.cross_sell.next: how many rules were found."""
    definitions = {
        SAME: "pairs of categories that are in one order more often than orders of like size explain, "
        "at a share of false ones of {share:.0%}",
        NEXT: "pairs of categories of which the second comes after the first more often than before it, "
        "at a share of false ones of {share:.0%}",
    }
    for kind, table in rules.items():
        numbers.record(
            f"growth.cross_sell.{_NUMBERS[kind]}",
            int(table["found"].sum()),
            unit="pairs",
            n=len(table),
            definition=phrase(definitions[kind], share=FALSE_SHARE),
        )


def rule_finding(rules: dict[str, pd.DataFrame]) -> str:
    """What goes with what: a heading and its sentences. rules : kind → `cross_sell.rules`."""
    found = {kind: table[table["found"].astype(bool)] for kind, table in rules.items()}
    told = {
        "same": len(found[SAME]),
        "of_same": len(rules[SAME]),
        "next": len(found[NEXT]),
        "of_next": len(rules[NEXT]),
        "share": FALSE_SHARE,
    }
    if not told["of_same"] + told["of_next"]:
        return phrase(
            "## Nothing says what goes with what\n\nThat needs products of three categories or more, "
            "and enough orders with two of them."
        )
    if not told["same"] + told["next"]:
        return sentence(
            "## No categories go together beyond chance\n\nOf {of_same} pairs in one order none comes "
            "more often than expected, and of {of_next} pairs after each other none more often than the "
            "other way round, at a share of false ones of {share:.0%}.",
            **told,
        )
    kind = SAME if told["same"] else NEXT
    headings = {
        SAME: "## {one} and {other} are bought together {times:.1f} times as often as expected",
        NEXT: "## {one} comes {times:.1f} times as often after {other} as before it",
    }
    top = found[kind].head(1).to_dict("records")[0]
    one, other = (top["first"], top["second"]) if kind == SAME else (top["second"], top["first"])
    heading = sentence(headings[kind], one=capitalised(one), other=other, times=top["times"])
    counts = sentence(
        "**{same} of {of_same} pairs of categories are in one order more often than expected** of "
        "orders of like size, and **{next} of {of_next} after each other more often than the other way "
        "round**. Of those found, {share:.0%} at most are expected to be chance.",
        **told,
    )
    return f"{heading}\n\n{counts}"


def rule_table(rules: pd.DataFrame) -> pd.DataFrame:
    """The rules found, for a reader: at most _SHOWN, the strongest first."""
    rows = [
        {
            "first": row["first"],
            "second": row["second"],
            "times seen": row["seen"],
            "times as often": spanned(*ends(row, ("times", "times_low", "times_high")), ".2f"),
            "lift": spanned(*ends(row, ("lift", "low", "high")), ".2f"),
        }
        for row in rules[rules["found"].astype(bool)].head(_SHOWN).to_dict("records")
    ]
    return pd.DataFrame(rows)


def rules_told(rules: pd.DataFrame, likely: pd.DataFrame) -> dict[str, float]:
    """Rules beside what is planted in a simulated world.

    likely : category, other, planted, lift, of this kind. Returns planted (how many there are), found,
    false (found, though not planted), false_share and recall (missing of none), asked (pairs with a
    lift there), held (share of these whose interval holds the lift that is true), found_held (of those
    found).
    """
    truth = likely.rename(columns={"category": "first", "other": "second"})
    turned = likely.rename(columns={"category": "second", "other": "first"})
    both = pd.concat([truth, turned]).drop_duplicates(["first", "second"])
    both = both[["first", "second", "planted", "lift"]]
    told = rules.merge(both, on=["first", "second"], how="left", suffixes=("", "_true"))
    is_found = told["found"].astype(bool)
    false = int((is_found & ~told["planted"].fillna(False).astype(bool)).sum())
    found, planted = int(is_found.sum()), int(likely["planted"].sum())
    held = told["lift_true"].between(told["low"], told["high"])[told["lift_true"].notna()]
    found_held = held[is_found.reindex(held.index)]
    return {
        "planted": planted,
        "found": found,
        "false": false,
        "false_share": false / found if found else float("nan"),
        "recall": (found - false) / planted if planted else float("nan"),
        "asked": len(held),
        "held": float(held.mean()) if len(held) else float("nan"),
        "found_held": float(found_held.mean()) if len(found_held) else float("nan"),
    }


def truth_finding(told: dict[str, float], kind: str) -> str:
    """`rules_told` in a sentence. The lifts of what follows are those of first products alone, which
    orders do not show, so that none is compared."""
    said = {
        SAME: "**Of {planted} pairs that are bought together in truth, {right} were found, and {false} "
        "besides.** {held:.0%} of the {asked} intervals of lift hold the lift that is true.",
        NEXT: "**Of {planted} pairs that follow each other in truth, {right} were found, and {false} "
        "besides.**",
    }
    return sentence(said[kind], right=told["found"] - told["false"], **told)
