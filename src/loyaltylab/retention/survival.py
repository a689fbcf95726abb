"""How long customers take to their next purchase, and how many ever make it.

Kaplan & Meier (1958), JASA 53, 457–481: who has not bought again yet counts for as long as observed.
"""

from __future__ import annotations

import datetime as dt

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab.durations import share_ended, survival
from loyaltylab.intervals import LEVEL, Z, count_interval, share_with_interval
from loyaltylab.language import phrase
from loyaltylab.numbers import Numbers, sentence

RANKS = 6  # purchases after which waits are told apart; those after later ones are taken together
HORIZON = 365  # days that findings look ahead


def waits(
    purchases: ir.Table, *, until: dt.date, ranks: int = RANKS, by: str | None = None
) -> pd.DataFrame:
    """How long customers took to their next purchase. Grain: (segment ×) number of purchase × days.

    purchases : as `timelines` gives them. ranks : the waits after so many first purchases are told
    apart, one a customer; those after later ones, of which a customer may have several, have the rank
    after these, and no interval that takes waits as independent. by : a column of `purchases` that
    says a person's segment.
    Returns rank (of the purchase that the wait follows), days, returned (next purchases made after so
    many days) and waiting (customers who, observed for so long, have made none by `until`).

    A customer who reached a late rank has been observed for less time since, and the quicker ones
    longer: of ranks above 1 the curve is that of customers who got there by `until`.
    """
    keys = ["rank", "days"] if by is None else [by, "rank", "days"]
    end = purchases["next_day"].coalesce(ibis.literal(until))
    rows = purchases.mutate(
        rank=ibis.least(purchases["rank"], ranks + 1), days=end.delta(purchases["day"], unit="day")
    )
    table = rows.group_by(keys).agg(
        returned=rows["next_day"].count(), waiting=rows["next_day"].isnull().sum()
    )
    return table.order_by(keys).to_pandas()


def kaplan_meier(table: pd.DataFrame) -> pd.DataFrame:
    """Who is still away, from rows with days, returned and waiting. Grain: a day with returns.

    days, returned, at_risk (observed for at least so long and not back before), away (share not back
    after so many days), greenwood (sum of returned / (at_risk · (at_risk − returned)) so far:
    Greenwood's variance of log(away); infinite once all are back).
    """
    found = survival(table["days"], table["returned"], table["waiting"])
    return found.rename(columns={"time": "days", "ended": "returned", "left": "away"})


def return_curve(table: pd.DataFrame) -> pd.DataFrame:
    """Share of customers with a next purchase within so many days, from rows of `waits`.

    Intervals by Greenwood's variance on the log-log scale, at LEVEL (Kalbfleisch & Prentice 2002,
    section 1.4). Returns days (on which somebody returned), share, low, high; no row if nobody did.
    """
    found = kaplan_meier(table)
    share, low, high = share_ended(found["away"], found["greenwood"])
    return pd.DataFrame({"days": found["days"], "share": share, "low": low, "high": high})


def returned_within(table: pd.DataFrame, days: int) -> pd.Series:
    """share, low and high of `return_curve` at so many days; missing if nobody was seen so long.

    Before the first return the share is 0, of which Greenwood's variance says nothing: its interval is
    Wilson's, of the customers seen so long.
    """
    names = ["share", "low", "high"]
    curve = return_curve(table)
    until_then = curve[curve["days"] <= days]
    if len(until_then) and table["days"].max() >= days:
        return until_then[names].iloc[-1]
    seen = table.loc[table["days"] >= days, ["returned", "waiting"]].to_numpy().sum()
    return pd.Series([float(end) for end in share_with_interval(0, seen)], names)


def returns_of_a_year(table: pd.DataFrame, *, minimum: int) -> pd.DataFrame:
    """`return_curve` every fifth day of the first year after a purchase. Grain: one day, from 0.

    days, share, low, high; up to the last day to which `minimum` customers were away and watched. No
    row if nobody returned.
    """
    curve = return_curve(table).set_index("days")
    watched = table.groupby("days")[["returned", "waiting"]].sum().sum(axis=1)[::-1].cumsum()
    many = watched.index[watched >= minimum]
    if curve.empty or not len(many):
        return curve.reset_index().iloc[:0]
    last = min(365, int(many.max()))
    days = pd.Index([*range(0, last, 5), last], name="days")
    every = curve.reindex(curve.index.union(days)).ffill().reindex(days)
    return every.fillna(0.0).reset_index()


def median_wait(table: pd.DataFrame) -> tuple[float, float, float]:
    """Days until half have bought again, and its interval at LEVEL; missing where half have not.

    Brookmeyer & Crowley (1982), Biometrics 38, 29–41: the days at which the curve's interval holds
    one half.
    """
    curve = return_curve(table)
    reached = (curve.loc[curve[name] >= 0.5, "days"] for name in ("share", "high", "low"))
    median, low, high = (float(days.min()) for days in reached)
    return median, low, high


def mean_wait(table: pd.DataFrame, *, horizon: int) -> tuple[float, float, float]:
    """Mean days to the next purchase, a longer wait counted as `horizon`, with its interval at LEVEL.

    The area under the curve of those away, variance as in Klein & Moeschberger (2003), eq. 4.5.2;
    missing if nobody was observed for `horizon` days.
    """
    if table.empty or table["days"].max() < horizon:
        return float("nan"), float("nan"), float("nan")
    found = kaplan_meier(table).query("days < @horizon")
    edges = np.concatenate([[0], found["days"], [horizon]])
    areas = np.diff(edges) * np.concatenate([[1], found["away"]])
    after = areas[1:][::-1].cumsum()[::-1]  # from each return on
    events, at_risk = found["returned"].to_numpy(), found["at_risk"].to_numpy()
    left = np.where(after > 0, at_risk * (at_risk - events), 1)
    spread = Z * np.sqrt((after**2 * events / left).sum())
    mean = areas.sum()
    return float(mean), max(float(mean - spread), 0), min(float(mean + spread), horizon)


def wait_summary(table: pd.DataFrame, *, horizon: int = HORIZON) -> pd.DataFrame:
    """`waits` in a line for each number of purchases. Grain: rank.

    table : of which a customer has one wait a rank. Returns rank, customers (who made that many),
    share, low, high (with a next purchase within `horizon` days), median, median_low, median_high (days
    to it, missing where half have none), mean, mean_low, mean_high (days, a longer wait counted as
    `horizon`).
    """
    rows = []
    for rank, some in table.groupby("rank"):
        median, mean = median_wait(some), mean_wait(some, horizon=horizon)
        rows.append(
            {"rank": rank, "customers": some[["returned", "waiting"]].to_numpy().sum()}
            | returned_within(some, horizon).to_dict()
            | dict(zip(("median", "median_low", "median_high"), median, strict=True))
            | dict(zip(("mean", "mean_low", "mean_high"), mean, strict=True))
        )
    return pd.DataFrame(rows)


def hazard(table: pd.DataFrame, *, bins: int = 12) -> pd.DataFrame:
    """How readily customers still away come back, by days since the purchase. Grain: a bin of days.

    Bins hold about equally many returns and none is without; what comes after the last return is in
    none. Returns after and until (days; a bin is above the one up to the other), returned, exposure
    (days that customers waited in it), rate (returns in 30 days of one waiting customer), low, high
    (`count_interval`).
    """
    returned = table.groupby("days")["returned"].sum()
    so_far = returned.cumsum().to_numpy()
    wanted = np.arange(1, bins + 1) * so_far[-1] / bins if len(so_far) and so_far[-1] else []
    edges = np.unique(returned.index.to_numpy()[np.searchsorted(so_far, wanted)])
    found = pd.DataFrame({"after": np.concatenate([[0], edges])[:-1], "until": edges})
    days, all_of = table["days"].to_numpy(), table[["returned", "waiting"]].to_numpy().sum(axis=1)
    bounds = list(zip(found["after"], found["until"], strict=True))
    found["returned"] = [
        returned[(returned.index > a) & (returned.index <= b)].sum() for a, b in bounds
    ]
    found["exposure"] = [(all_of * np.clip(days - a, 0, b - a)).sum() for a, b in bounds]
    low, high = count_interval(found["returned"])
    counts = {"rate": found["returned"], "low": low, "high": high}
    return found.assign(**{name: 30 * count / found["exposure"] for name, count in counts.items()})


def record_waits(numbers: Numbers, summary: pd.DataFrame, *, horizon: int = HORIZON) -> None:
    """Record retention.again_after_<rank> from `wait_summary`, each share with its interval."""
    for row in summary.itertuples():
        numbers.record(
            f"retention.again_after_{row.rank}",
            row.share,
            low=row.low,
            high=row.high,
            level=LEVEL,
            unit="share",
            n=row.customers,
            definition=phrase(
                "share with a next purchase within {horizon} days of purchase {rank} (Kaplan-Meier)",
                horizon=horizon,
                rank=row.rank,
            ),
        )


def wait_finding(summary: pd.DataFrame, *, horizon: int = HORIZON) -> str:
    """Whether each purchase makes the next more likely, from `wait_summary`: heading and sentence."""
    known = summary.dropna(subset="share")
    if len(known) < 2:
        return sentence(
            "## Too early to compare first purchases with later ones\n\n"
            "Too few purchases have been followed for {horizon} days.",
            horizon=horizon,
        )
    first, last = known.iloc[0], known.iloc[-1]
    more, less = last["low"] > first["high"], last["high"] < first["low"]
    if more:
        heading = (
            "## After {rank} purchases another is more likely: {late:.0%} make it within {horizon} "
            "days, {early:.0%} after the first"
        )
    elif less:
        heading = (
            "## After {rank} purchases another is less likely: {late:.0%} make it within {horizon} "
            "days, {early:.0%} after the first"
        )
    else:
        heading = (
            "## After {rank} purchases another is about as likely: {late:.0%} make it within "
            "{horizon} days, {early:.0%} after the first"
        )
    rank = int(last["rank"])
    heading = sentence(
        heading, rank=rank, late=last["share"], early=first["share"], horizon=horizon
    )
    said = [
        sentence(
            "With 95% confidence {late_low:.1%} to {late_high:.1%} after purchase {rank}, "
            "{early_low:.1%} to {early_high:.1%} after the first.",
            rank=rank,
            late_low=last["low"],
            late_high=last["high"],
            early_low=first["low"],
            early_high=first["high"],
        )
    ]
    if pd.notna(last["median"]):
        said.append(
            sentence(
                "Half of the former have bought again after {median:.0f} days.",
                median=last["median"],
            )
        )
    said.append(
        phrase(
            "Frequent buyers are all that is left at late purchases: it need not be the purchases "
            "that make customers loyal."
        )
    )
    return f"{heading}\n\n{' '.join(said)}"
