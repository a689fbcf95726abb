"""What the page says and records of channels: conversion, cost, credits and ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from loyaltylab.intervals import LEVEL
from loyaltylab.journey.attribution import RULES
from loyaltylab.journey.findings import each, intervals, named
from loyaltylab.journey.visits import UNKNOWN
from loyaltylab.language import phrase, shown
from loyaltylab.numbers import Numbers, sentence


def channels(
    conversion: pd.DataFrame, names: Sequence[str], costs: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Conversion and cost side by side. Grain: one channel that visits came by.

    conversion : `funnel.conversion` by channel; costs : `acquisition.by_channel`, channels compared by
    name. channel (its name), visits, share, low, high, and cac, cac_low, cac_high (missing without
    spend); most likely to convert first.
    """
    table = conversion.assign(channel=[names[code] for code in conversion["channel"]])
    table = table.rename(columns={"whole": "visits"}).drop(columns="part")
    cost = {"cac": "cac", "low": "cac_low", "high": "cac_high"}
    if costs is None:
        table = table.assign(**dict.fromkeys(cost.values(), np.nan))
    else:
        told = costs[["channel", *cost]].rename(columns=cost)
        table = table.merge(told, on="channel", how="left", validate="one_to_one")
    return table.sort_values(["share", "channel"], ascending=[False, True], ignore_index=True)


def record_channels(numbers: Numbers, table: pd.DataFrame, *, currency: str) -> None:
    """Record journey.conversion_rate.<channel>, and journey.cac.<channel> where it is known."""
    for row in each(table):
        if row.channel == UNKNOWN:
            continue
        numbers.record_spanned(
            f"journey.conversion_rate.{row.channel}",
            (row.share, row.low, row.high),
            unit="share",
            n=round(row.visits),
            definition=phrase("visits with a purchase over all visits that came by this channel"),
        )
        if not np.isnan(row.cac):
            numbers.record_spanned(
                f"journey.cac.{row.channel}",
                (row.cac, row.cac_low, row.cac_high),
                unit=currency,
                n=None,
                definition=phrase("acquisition spend of this channel over the customers it won"),
            )


def channel_finding(table: pd.DataFrame, *, currency: str) -> str:
    """Which channel converts best, and what it costs, from `channels`: a heading and its sentences."""
    known = table[table["channel"] != UNKNOWN]
    if len(known) < 2:
        return phrase(
            "## Nothing tells channels apart\n\n"
            "Visits came by one channel alone, or do not say by which, so no two can be compared."
        )
    best, worst = known.iloc[0], known.iloc[-1]
    # Intervals of two shares that do not meet: surely more than chance.
    heading = (
        "## Visits by {best} end with a purchase most often"
        if best["low"] > worst["high"]
        else "## No channel converts better beyond chance"
    )
    said = [
        sentence(heading, best=best["channel"])
        + "\n\n"
        + sentence(
            "By {best} it is {share:.1%} of visits ({low:.1%} to {high:.1%}, 95% confidence), by "
            "{worst} {least:.1%} ({least_low:.1%} to {least_high:.1%}).",
            best=best["channel"],
            worst=worst["channel"],
            share=best["share"],
            low=best["low"],
            high=best["high"],
            least=worst["share"],
            least_low=worst["low"],
            least_high=worst["high"],
        )
    ]
    paid = known.dropna(subset="cac").sort_values(["cac", "channel"])
    if len(paid) > 1:
        cheap, dear = paid.iloc[0], paid.iloc[-1]
        said.append(
            sentence(
                "A new customer costs least by {cheap}, {cac:,.2f} {currency} ({low:,.2f} to "
                "{high:,.2f}), and most by {dear}, {most:,.2f} ({most_low:,.2f} to {most_high:,.2f}).",
                cheap=cheap["channel"],
                dear=dear["channel"],
                cac=cheap["cac"],
                low=cheap["cac_low"],
                high=cheap["cac_high"],
                most=dear["cac"],
                most_low=dear["cac_low"],
                most_high=dear["cac_high"],
                currency=currency,
            )
        )
    return " ".join(said)


def channel_table(table: pd.DataFrame, *, currency: str) -> pd.DataFrame:
    """`channels` in words."""
    return pd.DataFrame(
        {
            phrase("channel"): [named(name) for name in table["channel"]],
            phrase("visits"): [shown(n, ",.0f") for n in table["visits"]],
            phrase("end with a purchase"): intervals(table),
            phrase("{currency} a new customer", currency=currency): intervals(
                table, ["cac", "cac_low", "cac_high"], ",.2f"
            ),
        }
    )


# ---- Credits.

RULE_NAMES: Mapping[str, str] = {
    "first": "first touch",
    "last": "last touch",
    "linear": "linear",
    "markov": "Markov removal effect",
}


def record_credits(numbers: Numbers, table: pd.DataFrame) -> None:
    """Record journey.credit.<channel>, by removal effects, from `attribution.credits`."""
    for row in each(table):
        if row.channel != UNKNOWN:
            numbers.record_spanned(
                f"journey.credit.{row.channel}",
                (row.markov, row.markov_low, row.markov_high),
                unit="share",
                n=round(row.touches),
                definition=phrase(
                    "share of first orders credited to this channel by the removal effects of a Markov "
                    "chain; not what would be lost without it"
                ),
            )


def credit_finding(table: pd.DataFrame) -> str:
    """Where the rules differ, from `attribution.credits`: a heading and its sentences."""
    known = table[table["channel"] != UNKNOWN]
    if len(known) < 2 or known["first"].isna().all():
        return phrase(
            "## There is no credit to share out\n\nEither visits came by one channel alone, or no way "
            "led to an order that visits show."
        )
    spread = known[list(RULES)].max(axis=1) - known[list(RULES)].min(axis=1)
    row = known.iloc[int(spread.argmax())]
    apart = row["first_low"] > row["last_high"] or row["last_low"] > row["first_high"]
    heading = (
        "## How much {channel} is worth depends on the rule"
        if apart
        else "## Four rules share out first orders much alike"
    )
    return "\n\n".join(
        [
            sentence(heading, channel=row["channel"]),
            sentence(
                "By the first touch **{channel} is credited with {first:.1%} of first orders** "
                "({first_low:.1%} to {first_high:.1%}, 95% confidence), by the last touch with "
                "{last:.1%} ({last_low:.1%} to {last_high:.1%}), by equal parts with {linear:.1%} and "
                "by removal effects with {markov:.1%} ({markov_low:.1%} to {markov_high:.1%}). **None "
                "of the four is causal**: they share out what was counted, and none says what happens "
                "without a channel. Only a trial does.",
                **{str(k): v for k, v in row.items()},
            ),
        ]
    )


def credit_table(table: pd.DataFrame) -> pd.DataFrame:
    """`attribution.credits` in words."""
    told = {
        phrase("channel"): [named(name) for name in table["channel"]],
        phrase("visits on the way"): [shown(n, ",.0f") for n in table["touches"]],
    }
    for rule in RULES:
        told[phrase(RULE_NAMES[rule])] = intervals(table, [rule, f"{rule}_low", f"{rule}_high"])
    return pd.DataFrame(told)


# ---- Ways.


def way(channels: Sequence[str], more: bool) -> str:
    """A way as an axis has it: "social → search → …"."""
    return " → ".join([*(named(name) for name in channels), *["…"] * bool(more)])


def way_finding(table: pd.DataFrame) -> str:
    """The most frequent ways, from `paths.frequent`: a heading and a sentence."""
    if table.empty:
        return phrase("## No way is frequent\n\nEvery way is of too few visitors to be shown.")
    top, best = table.iloc[0], table.sort_values(["low"], ascending=False).iloc[0]
    return sentence(
        "## The most frequent way is {way}\n\nOf its {visitors:,.0f} visitors {share:.1%} order "
        "({low:.1%} to {high:.1%}, {level:.0%} confidence); of those shown, most do of {best}, "
        "{best_share:.1%} ({best_low:.1%} to {best_high:.1%}).",
        way=way(top["channels"], top["more"]),
        visitors=top["visitors"],
        share=top["share"],
        low=top["low"],
        high=top["high"],
        level=LEVEL,
        best=way(best["channels"], best["more"]),
        best_share=best["share"],
        best_low=best["low"],
        best_high=best["high"],
    )
