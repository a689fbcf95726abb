"""Whether effort makes customers disloyal: ordering again by how hard it was made. Grain in: an answer.

That effort drives customers away was found of what they intend to do (Dixon, Freeman & Toman 2010,
Harvard Business Review 88(7), 116–122). Here it is asked of what they did.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from loyaltylab.intervals import difference_interval
from loyaltylab.language import phrase
from loyaltylab.numbers import sentence
from loyaltylab.satisfaction.effect import Effect
from loyaltylab.satisfaction.scores import NAMES


def effort_finding(
    outcomes: pd.DataFrame,
    groups: Mapping[str, Effect],
    contest: pd.DataFrame | None,
    *,
    window: int,
) -> str:
    """How many more of those who had it hard did not order again, as it looks and at equal behaviour,
    and whether effort tells more of it than the other scores.

    outcomes : `outcomes_by_group`; groups : `bad_to_good`; contest : `scores_compared`, if there is one.
    """
    ces = outcomes[outcomes["instrument"] == "ces"].set_index("group").to_dict("index")
    if not {"bad", "good"} <= set(ces) or "ces" not in groups:
        return phrase(
            "## Whether effort drives customers away cannot be told yet\n\n"
            "Too few answers to CES lie far enough back to tell those who had it hard from the others."
        )
    hard, easy, one = ces["bad"], ces["good"], groups["ces"]
    (hard_left, hard_all), (easy_left, easy_all) = (
        (round((1 - row["share"]) * row["answers"]), row["answers"]) for row in (hard, easy)
    )
    low, high = difference_interval(hard_left, hard_all, easy_left, easy_all)
    shown = one.low > 0
    heading = (
        "Customers whose request was hard to get done order again less often"
        if shown
        else "That effort drives customers away is not shown"
    )
    said = sentence(
        "Of those who had it hard, {hard:.0%} did not order again within {window} days, of those who "
        "had it easy {easy:.0%}: {more:+.0f} points ({low:+.0f} to {high:+.0f}, 95% confidence). Of "
        "customers who behaved alike and were still there it is {alike:+.1f} points ({alike_low:+.1f} "
        "to {alike_high:+.1f}).",
        window=window,
        hard=1 - hard["share"],
        easy=1 - easy["share"],
        more=100 * (easy["share"] - hard["share"]),
        low=100 * low,
        high=100 * high,
        alike=100 * one.value,
        alike_low=100 * one.low,
        alike_high=100 * one.high,
    )
    return f"## {phrase(heading)}\n\n{said}{_beside_others(contest)}"


def _beside_others(contest: pd.DataFrame | None) -> str:
    """How CES does at telling who orders again, beside NPS and CSAT."""
    if contest is None or NAMES["ces"] not in set(contest["model"]):
        return ""
    single = contest[contest["model"].isin([*NAMES.values()])].sort_values("more_auc")
    own = single[single["model"] == NAMES["ces"]].iloc[0]
    best = str(single["model"].iloc[-1])
    if own["low"] <= 0:
        template = (
            "Of who orders again, how hard it was tells nothing more that can be shown beside behaviour "
            "alone ({more:+.1f} points, {low:+.1f} to {high:+.1f})."
        )
    elif best == NAMES["ces"]:
        template = (
            "Of who orders again, how hard it was tells more than any other score beside behaviour "
            "alone ({more:+.1f} points, {low:+.1f} to {high:+.1f})."
        )
    else:
        template = (
            "Of who orders again, how hard it was tells something, but {best} more beside behaviour "
            "alone ({more:+.1f} points, {low:+.1f} to {high:+.1f})."
        )
    return " " + sentence(
        template,
        best=best,
        more=100 * own["more_auc"],
        low=100 * own["low"],
        high=100 * own["high"],
    )
