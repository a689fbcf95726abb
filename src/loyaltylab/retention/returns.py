"""When customers come back: the wait for the second purchase, and the rhythm of those who did."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from loyaltylab.intervals import LEVEL, Z
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


def gap_median_interval(table: pd.DataFrame) -> tuple[float, float]:
    """Interval of the median gap from order statistics, at LEVEL, for independent gaps.

    Conover (1999), Practical Nonparametric Statistics, section 3.2, normal approximation.
    """
    n = int(table["gaps"].sum())
    if n == 0:
        return float("nan"), float("nan")
    half = Z * np.sqrt(0.25 / n)
    return gap_quantile(table, max(0.5 - half, 0)), gap_quantile(table, min(0.5 + half, 1))


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
            definition=f"share of customers with a second purchase within {within} days of their "
            "first (Kaplan-Meier, so that customers observed for less count for what was seen)",
        )


def record_median_gap(numbers: Numbers, table: pd.DataFrame) -> Number:
    """Record retention.median_gap_days from `gaps`; missing if nobody returned."""
    low, high = gap_median_interval(table)
    return numbers.record(
        "retention.median_gap_days",
        gap_quantile(table, 0.5),
        low=low,
        high=high,
        level=LEVEL,
        unit="days",
        n=table["gaps"].sum(),
        definition="median days from one purchase to the next, of purchases that had a next one",
    )


def return_finding(table: pd.DataFrame) -> str:
    """How soon customers come back, from `waits` after the first: a heading and its sentence."""
    if not table["returned"].any():
        return "## Nobody has returned yet\n\nNo customer has bought on two days."
    seen = [within for within in MILESTONES if within <= table["days"].max()]
    if not seen:
        return "## Too early to say how soon customers return\n\nNobody was observed for a month."
    first, last = returned_within(table, seen[0]), returned_within(table, seen[-1])
    heading = "## {first:.0%} return within {soon} days"
    text = "Between {low:.1%} and {high:.1%} do, with 95% confidence."
    if len(seen) > 1:
        heading += ", {last:.0%} within {late}"
        text += " Of those who return within {late} days, {early:.0%} do so in the first {soon}."
    return sentence(
        f"{heading}\n\n{text}",
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
        return "There are no gaps between purchases yet."
    return sentence(
        "Customers who came back did so, in half of the cases, within **{median:.0f} days** of the "
        "purchase before, and nine times in ten within {most:.0f}. Frequent customers make most of "
        "these gaps, and gaps still open are not among them, so a customer picked at random takes "
        "longer.",
        median=gap_quantile(table, 0.5),
        most=gap_quantile(table, 0.9),
    )
