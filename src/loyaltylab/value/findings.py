"""What the page on value says of what it rests on, and what it records."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd

from loyaltylab.acquisition import UNKNOWN
from loyaltylab.intervals import LEVEL
from loyaltylab.language import counted, phrase
from loyaltylab.lifetime_value import Total
from loyaltylab.numbers import Number, Numbers, sentence
from loyaltylab.value.dependence import MATTERS, Dependence
from loyaltylab.value.earned import Rates
from loyaltylab.value.terms import LONGEST, POINTS, Terms


def premises(
    known: Rates,
    terms: Terms,
    *,
    asked: int,
    observed: float,
    margin: float,
    returned: float,
    currency: str,
) -> str:
    """What value is counted as, what was assumed, and what of the data is odd: heading and sentences.

    asked : weeks of horizon that were asked for; observed : weeks that the data cover; margin, returned
    : as assumed, see `agreed`.
    """
    revenue = not margin and np.isnan(known.margin)
    said = [
        "## Value here is revenue, since no order has a margin\n\n"
        "All of the amount is counted as if it stayed; with `assumed_margin` a share of it is."
        if revenue
        else "## Of each 100 {currency} sold, {hundred:.2f} stay\n\n"
        "That is the margin of {margin:.1%} of the amount, less the {returned:.1%} of it that comes "
        "back or is cancelled."
    ]
    if margin:
        said.append("The margin is **assumed**, for orders to come and for past ones without one.")
    elif known.lacking and not revenue:
        said.append(
            "{lacking:.1%} of the orders have no margin: theirs is taken as that of the others."
        )
    if returned >= 0:
        said.append("That {returned:.1%} of the amount comes back is **assumed**.")
    elif np.isnan(known.returned):
        said.append("No order says what came back: **nothing is assumed to.**")
    if terms.kept <= 0 and not revenue:
        said.append("**An order brings nothing or costs money**, so more orders are worth less.")
    if known.negative:
        said.append("{negative} with an amount below zero take away what they say.")
    if known.zero:
        said.append("{zero} of an amount of zero count as orders that bring nothing.")
    if terms.weeks < asked:
        said.append(
            "**A horizon of {asked:,.0f} weeks is beyond reason** for data of {observed:,.0f}: the "
            "page looks {weeks:,.0f} ahead, {longest} times as far as the data reach back."
        )
    values: dict[str, Any] = {
        "currency": currency,
        "hundred": 100 * terms.kept,
        "margin": terms.margin,
        "returned": terms.returned,
        "lacking": known.lacking,
        "negative": counted(known.negative, "order"),
        "zero": counted(known.zero, "order"),
        "asked": asked,
        "observed": observed,
        "weeks": terms.weeks,
        "longest": LONGEST,
    }
    return " ".join(sentence(text, **values) for text in said)


def past_finding(past: Number, *, kind: str, until: dt.date, currency: str) -> str:
    """What customers brought so far on average, from value.historical_mean: a sentence.

    kind : what the money is, margin or revenue.
    """
    if past.n == 1:
        text = (
            "The one customer known by {until:%-d %B %Y} brought **{past:,.2f} {currency}** of {kind} "
            "so far."
        )
    elif past.low is None:
        text = (
            "The **{n:,}** customers known by {until:%-d %B %Y} brought **{past:,.2f} {currency}** of "
            "{kind} so far."
        )
    else:
        text = (
            "The **{n:,}** customers known by {until:%-d %B %Y} brought **{past:,.2f} {currency}** of "
            "{kind} each so far ({past.low:,.2f} to {past.high:,.2f}, 95% confidence)."
        )
    return sentence(text, n=past.n, until=until, past=past, currency=currency, kind=phrase(kind))


def record_money(
    numbers: Numbers, name: str, value: Total, *, unit: str, n: int, definition: str, by: float = 1
) -> Number:
    """Record value / by with its interval, which may be missing."""
    bounded = not np.isnan([value.value, value.low, value.high]).any()
    return numbers.record(
        name,
        value.value / by,
        low=value.low / by if bounded else None,
        high=value.high / by if bounded else None,
        level=LEVEL if bounded else None,
        unit=unit,
        n=n,
        definition=definition,
    )


def record_dependence(numbers: Numbers, found: Dependence) -> Number:
    """Record value.spend_frequency_correlation."""
    return record_money(
        numbers,
        "value.spend_frequency_correlation",
        Total(found.value, found.low, found.high),
        unit="number",
        n=found.customers,
        definition=phrase("Spearman's correlation of repeat orders and mean spend a repeat order"),
    )


def dependence_finding(found: Dependence, *, moved: float, used: bool) -> str:
    """Whether spend goes with frequency and what that does: a heading and its sentences.

    moved : relative change of the total if baskets may differ by frequency; used : whether they do.
    """
    if np.isnan(found.value):
        return phrase(
            "## Whether frequent customers spend more at a time cannot be told\n\n"
            "Too few came back, or all of them as often or for as much: spend is taken as independent "
            "of frequency."
        )
    more = found.value > found.independent
    if not found.beyond_chance:
        heading = "## Frequent customers do not spend more or less at a time than others"
    elif used:
        heading = (
            "## Frequent customers spend more at a time"
            if more
            else "## Frequent customers spend less at a time"
        )
    else:
        heading = (
            "## Frequent customers spend a little more at a time, and it matters little"
            if more
            else "## Frequent customers spend a little less at a time, and it matters little"
        )
    text = sentence(
        "Repeat orders and mean spend on one have a rank correlation of {value:+.2f} "
        "({low:+.2f} to {high:+.2f}, 95% confidence); were they independent it would be "
        "{independent:+.2f}. Baskets that may differ by frequency move the total by {moved:+.1%}.",
        value=found.value,
        low=found.low,
        high=found.high,
        independent=found.independent,
        moved=moved,
    )
    choice = sentence(
        "That is beyond chance and more than {matters:.0%}: **this page values customers by baskets of "
        "their own frequency.**"
        if used
        else "They would be used if that were more than {matters:.0%}, and the correlation beyond "
        "chance. So **one model of spend for all is used.**",
        matters=MATTERS,
    )
    return f"{phrase(heading)}\n\n{text} {choice}"


def cohort_finding(table: pd.DataFrame, *, currency: str) -> str:
    """Whose future is worth most by year of the first purchase, from `by_group`: heading, sentences."""
    shown = table.dropna(subset="to_come")
    if shown.empty:
        return phrase("## No year has customers enough to say what they are worth")
    best = shown.sort_values("to_come", kind="stable").iloc[-1]
    first, last = shown.iloc[0], shown.iloc[-1]
    if len(shown) == 1:
        text = (
            "## A customer brought {so_far:,.2f} {currency} and has {to_come:,.2f} to come\n\n"
            "All were first seen in {year}."
        )
    else:
        text = (
            "## Customers first seen in {year} have most still to come: {to_come:,.2f} {currency} "
            "each\n\nThey bring {share:.0%} of all that is to come. One first seen in {first} brought "
            "{older:,.2f} so far, one in {last} {newer:,.2f}, and "
            "had less time for it. The older a year, the more of its customers have left."
        )
    return sentence(
        text,
        year=best["year"],
        to_come=best["to_come"],
        so_far=best["so_far"],
        currency=currency,
        share=best["share"],
        first=first["year"],
        older=first["so_far"],
        last=last["year"],
        newer=last["so_far"],
    )


def spread_finding(table: pd.DataFrame, *, currency: str) -> str:
    """Which segment is worth most, from `by_group` by segment: a heading and its sentences."""
    shown = table.dropna(subset="to_come")
    if len(shown) < 2:
        return phrase("## Segments tell nothing of value yet\n\nToo few of them have customers.")
    best, last = shown.iloc[0], shown.iloc[-1]
    past = shown.sort_values("so_far", kind="stable").iloc[-1]
    text = sentence(
        "## A customer of the segment {name} is still worth {to_come:,.2f} {currency}, one of {other} "
        "{least:,.2f}\n\nThe segment {name} is {customers:,} customers and {share:.0%} of all that is "
        "to come.",
        name=phrase(best["segment"]),
        to_come=best["to_come"],
        currency=currency,
        other=phrase(last["segment"]),
        least=last["to_come"],
        customers=int(best["customers"]),
        share=best["share"],
    )
    if past["segment"] == best["segment"]:
        return text
    return f"{text} " + sentence(
        "By what they brought so far the segment {past} would come first ({brought:,.2f} each): "
        "the past counts those who have left.",
        past=phrase(past["segment"]),
        brought=past["so_far"],
    )


def channel_finding(table: pd.DataFrame, *, currency: str) -> str:
    """Whose customers are worth most by channel, from `by_group` by channel: heading and sentence."""
    shown = table.dropna(subset="to_come")
    shown = shown[shown["channel"] != UNKNOWN]
    if len(shown) < 2:
        return phrase("## Channels cannot be compared\n\nOnly one of them won customers enough.")
    best, last = shown.iloc[0], shown.iloc[-1]
    return sentence(
        "## Customers won through {best} have most still to come: {most:,.2f} {currency} each\n\n"
        "{most_low:,.2f} to {most_high:,.2f} (95% confidence), against {least:,.2f} ({least_low:,.2f} "
        "to {least_high:,.2f}) of one won through {last}. The forecast knows no channels: it tells them "
        "apart by what their customers did.",
        currency=currency,
        best=best["channel"],
        most=best["to_come"],
        most_low=best["low"],
        most_high=best["high"],
        last=last["channel"],
        least=last["to_come"],
        least_low=last["low"],
        least_high=last["high"],
    )


def record_ratio(numbers: Numbers, table: pd.DataFrame, *, within: str) -> Number:
    """Record value.ltv_to_cac from `ltv_to_cac`, all channels together."""
    whole = table.iloc[0]
    return record_money(
        numbers,
        "value.ltv_to_cac",
        Total(*whole[["ratio", "low", "high"]].astype(float)),
        unit="times",
        n=whole["customers"],
        definition=phrase(
            "money that customers brought and are to bring over what it cost to win them, all "
            "channels together, of those won in the months with spend; to come: {within}",
            within=within,
        ),
    )


def sensitivity_finding(table: pd.DataFrame, terms: Terms) -> str:
    """How far margin and discount move the total, from `sensitivity` on the `grid`."""
    ours = table[np.isclose(table["margin"], terms.margin)].set_index("discount")["total"]
    dearer = ours.iloc[np.isclose(ours.index, terms.discount + POINTS).argmax()]
    used = ours.iloc[np.isclose(ours.index, terms.discount).argmax()]
    return sentence(
        "## Margin moves the value more than the discount does\n\n"
        "{points:.0f} points less margin take {margin:.0%} of it, {points:.0f} points more discount "
        "{discount:.0%}."
        if POINTS / terms.margin > 1 - dearer / used
        else "## The discount moves the value more than the margin does\n\n"
        "{points:.0f} points more discount take {discount:.0%} of it, {points:.0f} points less margin "
        "{margin:.0%}.",
        points=100 * POINTS,
        margin=POINTS / terms.margin,
        discount=1 - dearer / used,
    )


def cac_finding(table: pd.DataFrame, *, weeks: float, currency: str) -> str:
    """What customers bring over what they cost, from `ltv_to_cac`: a heading and its sentences."""
    whole, shown = table.iloc[0], table.iloc[1:].dropna(subset="ratio")
    if np.isnan(whole["ratio"]):
        return phrase(
            "## Nothing says whether customers bring more than they cost\n\n"
            "In the months that the spend covers nobody was won, or nothing was spent."
        )
    said = [
        sentence(
            "## Customers bring {ratio:.1f} times what they cost\n\n"
            "Those won in the months with spend brought and will bring {value:,.2f} {currency} each "
            "within {weeks:,.0f} weeks from now, and cost {cac:,.2f}: **{ratio:.1f} to 1** ({low:.1f} "
            "to {high:.1f}, 95% confidence).",
            ratio=whole["ratio"],
            low=whole["low"],
            high=whole["high"],
            value=whole["value"],
            cac=whole["cac"],
            weeks=weeks,
            currency=currency,
        )
    ]
    if len(shown) > 1:
        best, worst = shown.iloc[0], shown.iloc[-1]
        said.append(
            sentence(
                "{best} brings {most:.1f} times its cost, {worst} {least:.1f} times.",
                best=best["channel"],
                most=best["ratio"],
                worst=worst["channel"],
                least=worst["ratio"],
            )
        )
    said.append(
        phrase(
            "Above 1 the cost is covered. That it should be 3 is a rule of thumb and no law: what is "
            "left has to pay for all other costs, and a high ratio may mean that too little is spent "
            "on winning customers."
        )
    )
    return " ".join(said)
