"""When customers come back: the wait for the second purchase, and the rhythm of those who did."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.stats import norm
from statsmodels.duration.survfunc import SurvfuncRight

from loyaltylab.intervals import LEVEL
from loyaltylab.numbers import Number, Numbers, sentence
from loyaltylab.purchases import purchase_days

MILESTONES = (30, 90, 180, 365)  # days after the first purchase that sentences speak of


def first_returns(orders: ir.Table, *, until: dt.date) -> pd.DataFrame:
    """How long customers took to their second purchase. Grain: one length of wait.

    days (since the first purchase, 0 or more), returned (customers whose second purchase came that
    day), waiting (customers observed for so long who have not come back by `until`).
    """
    bought = purchase_days(orders)
    order = ibis.window(group_by="person_id", order_by="day")
    ranked = bought.mutate(rank=ibis.row_number().over(order))
    people = ranked.group_by("person_id").agg(
        first=ranked["day"].min(), second=ranked["day"].min(where=ranked["rank"] == 1)
    )
    end = people["second"].coalesce(ibis.literal(until))
    waits = people.mutate(days=end.delta(people["first"], unit="day"))
    table = waits.group_by("days").agg(
        returned=waits["second"].count(), waiting=waits["second"].isnull().sum()
    )
    return table.order_by("days").to_pandas()


def return_curve(table: pd.DataFrame) -> pd.DataFrame:
    """Share of customers with a second purchase within so many days, from `first_returns`.

    Kaplan & Meier (1958): customers not back yet count for as long as they were observed. Intervals
    by Greenwood's variance on the log-log scale, at LEVEL.
    Returns days (on which somebody returned), share, low, high; no row if nobody returned.
    """
    long = table.melt("days", ["returned", "waiting"], value_name="customers")
    long = long[long["customers"] > 0]
    if not table["returned"].any():
        return pd.DataFrame(columns=["days", "share", "low", "high"], dtype=float)
    fit = SurvfuncRight(
        long["days"].to_numpy(),
        (long["variable"] == "returned").to_numpy(int),
        freq_weights=long["customers"].to_numpy(),
    )
    away, events, at_risk = fit.surv_prob, fit.n_events, fit.n_risk
    # Greenwood's own sum: with weights, statsmodels' surv_prob_se is that of the cumulative hazard.
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(events / (at_risk * (at_risk - events)))
        spread = norm.ppf((1 + LEVEL) / 2) * np.sqrt(greenwood) / np.abs(np.log(away))
        low, high = 1 - away ** np.exp(-spread), 1 - away ** np.exp(spread)
    # Where all have returned nothing is left to vary.
    low, high = np.where(away > 0, low, 1.0), np.where(away > 0, high, 1.0)
    return pd.DataFrame({"days": fit.surv_times, "share": 1 - away, "low": low, "high": high})


def returned_within(table: pd.DataFrame, days: int) -> pd.Series:
    """share, low and high of `return_curve` at so many days; missing if nobody was seen so long."""
    curve = return_curve(table)
    until_then = curve[curve["days"] <= days]
    if table.empty or table["days"].max() < days or until_then.empty:
        return pd.Series({"share": np.nan, "low": np.nan, "high": np.nan})
    return until_then[["share", "low", "high"]].iloc[-1]


def gaps(orders: ir.Table) -> pd.DataFrame:
    """Days between a person's purchase and the next one. Grain: one length of gap.

    days (1 or more), gaps (how many of that length). Gaps still open on the last day are not in it:
    the lengths are those of people who did return, and shorter than those yet to come.
    """
    bought = purchase_days(orders)
    order = ibis.window(group_by="person_id", order_by="day")
    since = bought["day"].delta(bought["day"].lag().over(order), unit="day")
    lengths = bought.select(days=since).filter(lambda t: t["days"].notnull())
    table = lengths.group_by("days").agg(gaps=lengths.count())
    return table.order_by("days").to_pandas()


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
    half = norm.ppf((1 + LEVEL) / 2) * np.sqrt(0.25 / n)
    return gap_quantile(table, max(0.5 - half, 0)), gap_quantile(table, min(0.5 + half, 1))


def record_returns(numbers: Numbers, table: pd.DataFrame, *, days: Sequence[int]) -> None:
    """Record retention.returned_<days>_days from `first_returns`, each share with its interval."""
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
    """How soon customers come back, from `first_returns`: a heading and its sentence."""
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
