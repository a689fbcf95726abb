"""What is at stake with customers at risk, and whether those flagged earlier did leave."""

from __future__ import annotations

import datetime as dt

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.cells import hidden
from loyaltylab.intervals import LEVEL, share_with_interval
from loyaltylab.language import counted, phrase
from loyaltylab.numbers import Number, Numbers, sentence, spanned
from loyaltylab.retention.risk import ALARM, YEAR, buying_rates, falls, histories, silences

AHEAD = 180  # days in which those flagged are followed
_EDGES = [1, 2, 3, 5, 10, np.inf]
_BANDS = ["2", "3", "4 to 5", "6 to 10", "more than 10"]
_GROUPS = ["flagged", "as many with the longest silence", "not flagged", "uses less"]


def risk_bands(silences: ir.Table, listed: ir.Table) -> pd.DataFrame:
    """Customers by number of purchases, and how many of them are at risk. Grain: a band of purchases.

    silences : all who could be at risk, as `risk.silences`; listed : those who are, as `risk.at_risk`.
    purchases (as text), customers, flagged, share (of the customers), value (what those flagged spent
    in the YEAR days up to the last one observed). All bands, also those without anybody.
    """
    everybody, flagged = (
        people.group_by("purchases")
        .agg(customers=people.count(), value=people["value"].sum().cast("float64"))
        .to_pandas()
        for people in (silences, listed)
    )

    def banded(table: pd.DataFrame) -> pd.DataFrame:
        band = pd.cut(table["purchases"], _EDGES, labels=_BANDS)
        return table.groupby(band, observed=False)[["customers", "value"]].sum()

    found, of_flagged = banded(everybody), banded(flagged)
    found["flagged"], found["value"] = of_flagged["customers"], of_flagged["value"]
    found["share"], _, _ = share_with_interval(found["flagged"], found["customers"])
    names = ["purchases", "customers", "flagged", "share", "value"]
    return found.reset_index().astype({"purchases": str})[names]


def shown_bands(bands: pd.DataFrame, *, minimum: int) -> pd.DataFrame:
    """`risk_bands` without what tells of fewer than `minimum` customers, be they flagged or the others
    of a band: of both, it is known how many there are in all."""
    whole = hidden(bands[["customers"]], minimum=minimum, down=True)["customers"]
    parts = pd.DataFrame(
        {"flagged": bands["flagged"], "others": bands["customers"] - bands["flagged"]}
    )
    apart = hidden(parts, minimum=minimum, sums=[["flagged", "others"]], down=True)
    gone = apart["flagged"] | whole
    return bands.assign(
        customers=bands["customers"].astype("Int64").mask(whole),
        flagged=bands["flagged"].astype("Int64").mask(gone),
        share=bands["share"].mask(gone),
        value=bands["value"].mask(gone),
    )


def risk_holdout(
    purchases: ir.Table,
    *,
    until: dt.date,
    alarm: float = ALARM,
    days: int = AHEAD,
    events: ir.Table | None = None,
) -> pd.DataFrame:
    """Who of those flagged `days` days before `until` has not bought since. Grain: a group.

    Everything is computed as it would have been then. events : as for `risk.falls`. group
    ("flagged", whose silence was unusual; "as many with the longest silence", which is what is flagged
    without knowing anybody's rhythm; "not flagged"; "uses less", of the latter those whose use had
    fallen, with events alone), customers, lost (no purchase in the days after), share, low, high
    (Wilson), value (what those lost had spent in the YEAR days before). Shares of a group without
    anybody are missing. Of silences equally long, as many as are still wanted are taken, with the
    same share lost and the same value of each.
    """
    cutoff = until - dt.timedelta(days=days)
    past = histories(purchases, until=cutoff, followed_until=until).cache()
    joined = silences(past, buying_rates(past))
    less: ir.BooleanValue = ibis.literal(False)
    if events is not None:
        fallen = falls(events, until=cutoff, alarm=alarm).select(fallen_id="person_id")
        joined = joined.left_join(fallen, joined["person_id"] == fallen["fallen_id"])
        less = joined["fallen_id"].notnull()
    followed = joined.select(
        "silence",
        "value",
        flagged=joined["probability"] <= alarm,
        less=less,
        lost=~joined["later"],
    )
    value = followed["value"].sum(where=followed["lost"]).cast("float64")
    found = (
        followed.group_by("silence", "flagged", "less")
        .agg(customers=followed.count(), lost=followed["lost"].sum(), value=value)
        .to_pandas()
        .fillna({"value": 0})
    )
    sizes = ["customers", "lost", "value"]
    flagged, less = found["flagged"].astype(bool), found["less"].astype(bool)
    sums = {
        "flagged": found.loc[flagged, sizes].sum(),
        "not flagged": found.loc[~flagged, sizes].sum(),
        "uses less": found.loc[~flagged & less, sizes].sum(),
    }
    wanted = sums["flagged"]["customers"]
    longest = found.groupby("silence")[sizes].sum()[::-1]
    before = longest["customers"].cumsum() - longest["customers"]
    taken = (wanted - before).clip(0, longest["customers"]) / longest["customers"]
    sums["as many with the longest silence"] = longest.mul(taken, axis=0).sum()
    groups = _GROUPS[: None if events is not None else -1]
    table = pd.DataFrame([sums[group] for group in groups])
    table["share"], table["low"], table["high"] = share_with_interval(
        table["lost"], table["customers"]
    )
    table.insert(0, "group", groups)
    return table.reset_index(drop=True)


def record_risk(
    numbers: Numbers, bands: pd.DataFrame, *, currency: str, minimum: int = 1
) -> tuple[Number, Number]:
    """Record retention.at_risk_customers and retention.at_risk_value, from `risk_bands`; not known where
    these are fewer than `minimum` customers."""
    n, flagged = bands["customers"].sum(), bands["flagged"].sum()
    few = 0 < flagged < minimum
    return (
        numbers.record(
            "retention.at_risk_customers",
            None if few else flagged,
            unit="customers",
            n=n,
            definition=phrase(
                "customers whose silence is unusual for their own rhythm, or who use the company less; "
                "of those with two purchases or more, the last within a year"
            ),
        ),
        numbers.record(
            "retention.at_risk_value",
            None if few else bands["value"].sum(),
            unit=currency,
            n=n,
            definition=phrase(
                "spent in the last {year} days by customers whose silence is unusual for their own "
                "rhythm, or who use the company less",
                year=YEAR,
            ),
        ),
    )


def record_holdout(numbers: Numbers, table: pd.DataFrame, *, days: int = AHEAD) -> Number:
    """Record retention.at_risk_precision from `risk_holdout`."""
    flagged = table.set_index("group").loc["flagged"]
    return numbers.record(
        "retention.at_risk_precision",
        flagged["share"],
        low=flagged["low"],
        high=flagged["high"],
        level=LEVEL,
        unit="share",
        n=flagged["customers"],
        definition=phrase(
            "share of customers flagged {days} days before the end, from what was known then, who "
            "bought nothing in those days",
            days=days,
        ),
    )


def risk_finding(
    bands: pd.DataFrame,
    holdout: pd.DataFrame,
    *,
    currency: str,
    days: int = AHEAD,
    minimum: int = 1,
) -> str:
    """How many customers are at risk, and what the flag was worth earlier: heading and sentences."""
    flagged = int(bands["flagged"].sum())
    if not flagged:
        return phrase(
            "## Nobody's silence is unusual\n\n"
            "Of customers with two purchases or more none has been silent for longer than their own "
            "rhythm explains."
        )
    if flagged < minimum:
        return sentence(
            "## Hardly anybody's silence is unusual\n\n"
            "Of customers with two purchases or more, fewer than {minimum} have been silent for longer "
            "than their own rhythm explains.",
            minimum=minimum,
        )
    text = sentence(
        "## {flagged} who spent {value:,.0f} {currency} in the last year may be leaving\n\n"
        "They are {share:.0%} of those with two purchases or more, the last within a year.",
        flagged=counted(flagged, "customer"),
        value=bands["value"].sum(),
        currency=currency,
        share=flagged / bands["customers"].sum(),
    )
    groups = holdout.set_index("group")
    then, others, longest = (
        groups.loc[g] for g in ("flagged", "not flagged", "as many with the longest silence")
    )
    if not then["customers"] or not others["customers"]:
        return text
    past = sentence(
        "What the flag is worth can be seen in the past: of {then:,.0f} flagged {days} days before the "
        "end **{lost:.1%}** bought nothing since ({low:.1%} to {high:.1%}, 95% confidence), of those "
        "not flagged {other:.1%} ({other_low:.1%} to {other_high:.1%}). Of as many with the longest "
        "silence, whatever their rhythm, {longest:.1%} did; those had spent {longest_value:,.0f} "
        "{currency} in the year before, the flagged ones who were lost {value_lost:,.0f}.",
        currency=currency,
        then=then["customers"],
        days=days,
        lost=then["share"],
        low=then["low"],
        high=then["high"],
        other=others["share"],
        other_low=others["low"],
        other_high=others["high"],
        longest=longest["share"],
        longest_value=longest["value"],
        value_lost=then["value"],
    )
    return f"{text} {past}"


def plot_holdout(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Share of each group of `risk_holdout` that bought nothing more, with its interval."""
    seen = table.dropna(subset="share")
    if seen.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=2.2)
    around = [seen["share"] - seen["low"], seen["high"] - seen["share"]]
    groups = seen["group"].map(phrase)
    ax.errorbar(seen["share"], groups, xerr=around, fmt="o", color=plots.OBSERVED, capsize=3)
    ax.invert_yaxis()
    ax.margins(y=0.3)
    ax.xaxis.set_major_formatter(plots.percent)
    ax.set_xlim(0, 1)
    ax.set(xlabel=phrase("share who bought nothing since"))
    return ax


def describe_holdout(table: pd.DataFrame) -> str:
    """What plot_holdout shows, in words."""
    seen = table.dropna(subset="share")
    if seen.empty:
        return phrase("Points without groups: nobody could be flagged then.")
    said = ", ".join(
        f"{phrase(group)} {spanned(share, low, high, '.1%')}"
        for group, share, low, high in seen[["group", "share", "low", "high"]].to_numpy()
    )
    return phrase("Points of the share who bought nothing since: {groups}.", groups=said)
