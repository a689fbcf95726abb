"""When customers come back: the wait for the second purchase, and the rhythm of those who did."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from loyaltylab.intervals import LEVEL, Z
from loyaltylab.language import phrase
from loyaltylab.numbers import Number, Numbers, sentence
from loyaltylab.retention.survival import returned_within

MILESTONES = (30, 90, 180, 365)  # days after the first purchase that sentences speak of


def gaps(table: pd.DataFrame) -> pd.DataFrame:
    """Days between a person's purchase and the next one, from `waits`. Grain: one length of gap.

    days (1 or more), gaps (how many of that length). Gaps still open on the last day are not in it:
    the lengths are those of people who did return, and shorter than those yet to come.
    """
    lengths = table.groupby("days")["returned"].sum().rename("gaps")
    return lengths[lengths > 0].reset_index()


def gap_quantile(table: pd.DataFrame, share: float) -> float:
    """The shortest gap that at least this share of gaps do not exceed; missing without gaps."""
    if table.empty:
        return float("nan")
    reached = table["gaps"].cumsum() >= share * table["gaps"].sum()
    return float(table.loc[reached, "days"].iloc[0])


def gap_median(table: pd.DataFrame, people: pd.DataFrame) -> tuple[float, float, float]:
    """The median gap and its interval at LEVEL, the gaps of a day taken as spread evenly over it.

    table : `gaps`; people : `purchase_counts` with their `gap_quantile` as `gap`. A customer's gaps are
    alike, so the share of short ones varies as a ratio over customers (Cochran 1977, Sampling
    Techniques, section 6.4), and the gaps at the ends of that share's interval are those of the
    median's (Woodruff 1952, JASA 47, 635–646). Missing without gaps, the interval of one customer too.
    """
    of = people[people["purchases"] > 1]
    each, n = of["purchases"] - 1, of["customers"].sum()
    half = np.nan
    if n > 1:
        gaps = (each * of["customers"]).sum()
        share = of["short"].sum() / gaps
        squares = of["short_squares"] - 2 * share * each * of["short"]
        squares += (share * each) ** 2 * of["customers"]
        half = Z * np.sqrt(n / (n - 1) * max(squares.sum(), 0)) / gaps
    ends = 0.5, 0.5 - half, 0.5 + half
    value, low, high = (_within_a_day(table, share) for share in ends)
    return value, low, high


def _within_a_day(table: pd.DataFrame, share: float) -> float:
    """The gap that this share of gaps do not exceed; a share below 0 counts as 0, one above 1 as 1."""
    if table.empty or np.isnan(share):
        return float("nan")
    days, gaps, so_far = table["days"].to_numpy(), table["gaps"].to_numpy(), table["gaps"].cumsum()
    level = np.clip(share, 0, 1) * so_far.iloc[-1]
    row = np.searchsorted(so_far, level)
    return float(days[row] - (so_far.iloc[row] - level) / gaps[row])


def record_returns(numbers: Numbers, table: pd.DataFrame, *, days: Sequence[int]) -> None:
    """Record retention.returned_<days>_days each with its interval.

    table : `waits` after the first purchase.
    """
    for within in days:
        share = returned_within(table, within)
        numbers.record(
            f"retention.returned_{within}_days",
            share["share"],
            low=share["low"],
            high=share["high"],
            level=LEVEL,
            unit="share",
            n=table[["returned", "waiting"]].to_numpy().sum(),
            definition=phrase(
                "share of customers with a second purchase within {within} days of their first "
                "(Kaplan-Meier, so that customers observed for less count for what was seen)",
                within=within,
            ),
        )


def record_median_gap(numbers: Numbers, table: pd.DataFrame, people: pd.DataFrame) -> Number:
    """Record retention.median_gap_days, from what `gap_median` takes; missing without gaps."""
    value, low, high = gap_median(table, people)
    return numbers.record(
        "retention.median_gap_days",
        value,
        low=low,
        high=high,
        level=LEVEL,
        unit="days",
        n=table["gaps"].sum(),
        definition=phrase(
            "median days from one purchase to the next, of purchases that had a next one"
        ),
    )


def return_finding(table: pd.DataFrame) -> str:
    """How soon customers come back, from `waits` after the first: a heading and its sentence."""
    if not table["returned"].any():
        return phrase("## Nobody has returned yet\n\nNo customer has bought on two days.")
    seen = [within for within in MILESTONES if within <= table["days"].max()]
    if not seen:
        return phrase(
            "## Too early to say how soon customers return\n\nNobody was observed for a month."
        )
    first, last = returned_within(table, seen[0]), returned_within(table, seen[-1])
    if not last["share"]:
        return sentence(
            "## Nobody has returned within {late} days\n\n"
            "Of others like them at most {high:.1%} would, with 95% confidence. The first to return "
            "did so after {days:,} days.",
            late=seen[-1],
            high=last["high"],
            days=table.loc[table["returned"] > 0, "days"].min(),
        )
    template = (
        "## {first:.0%} return within {soon} days\n\n"
        "Between {low:.1%} and {high:.1%} do, with 95% confidence."
    )
    if len(seen) > 1:
        template = (
            "## {first:.0%} return within {soon} days, {last:.0%} within {late}\n\n"
            "Between {low:.1%} and {high:.1%} do, with 95% confidence. Of those who return within "
            "{late} days, {early:.0%} do so in the first {soon}."
        )
    return sentence(
        template,
        first=first["share"],
        soon=seen[0],
        low=first["low"],
        high=first["high"],
        last=last["share"],
        late=seen[-1],
        early=first["share"] / last["share"],
    )


def gap_finding(table: pd.DataFrame) -> str:
    """The rhythm of customers who return, from `gaps`: a sentence."""
    if table.empty:
        return phrase("There are no gaps between purchases yet.")
    return sentence(
        "Customers who came back did so, in half of the cases, within **{median:.0f} days** of the "
        "purchase before, and nine times in ten within {most:.0f}. Frequent customers make most of "
        "these gaps, and gaps still open are not among them, so a customer picked at random takes "
        "longer.",
        median=gap_quantile(table, 0.5),
        most=gap_quantile(table, 0.9),
    )
