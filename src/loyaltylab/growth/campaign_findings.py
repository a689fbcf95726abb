"""What the page on growth says of campaigns: what they brought, and how large the next must be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.growth.campaigns import (
    ALL_TREATED,
    MEASURED,
    NONE_TREATED,
    RUNNING,
    SMALL,
    least_uplift,
    of_all,
    sample_size,
)
from loyaltylab.intervals import LEVEL
from loyaltylab.language import counted, listed, phrase
from loyaltylab.numbers import Numbers, chance, sentence, spanned

_WHY_NOT = {
    RUNNING: "not over yet",
    ALL_TREATED: "nobody held out",
    NONE_TREATED: "nobody written to",
    SMALL: "an arm is too small",
}
APART = (
    0.1  # standard deviations by which arms may differ before (Austin 2009, Stat. in Medicine 28)
)


def record_campaigns(numbers: Numbers, table: pd.DataFrame, *, currency: str) -> None:
    """Record growth.campaigns.measured, .raised, .uplift and, of each campaign measured,
    growth.campaign_<n>.uplift, .revenue and .gain, n counting campaigns by their first day."""
    measured = table[table["status"] == MEASURED]
    numbers.record(
        "growth.campaigns.measured",
        len(measured),
        unit="campaigns",
        n=len(table),
        definition=phrase("campaigns with a holdout that can be measured"),
    )
    numbers.record(
        "growth.campaigns.raised",
        int(_raised(measured).sum()),
        unit="campaigns",
        n=len(measured),
        definition=phrase(
            "campaigns after which more of the customers written to bought than of those held out, by "
            "more than chance brings"
        ),
    )
    if len(measured):
        numbers.record_spanned(
            "growth.campaigns.uplift",
            of_all(table),
            unit="share",
            n=measured[["treated", "holdout"]].to_numpy().sum(),
            definition=phrase(
                "share who bought of the customers written to, less that of those held out; mean of the "
                "campaigns measured, each as heavy as it has customers"
            ),
        )
    for at, row in zip(measured.index, measured.to_dict("records"), strict=True):
        name, n = f"growth.campaign_{at + 1}", row["treated"] + row["holdout"]
        for figure, low, high, unit, definition in (
            (
                "uplift", "low", "high", "share",
                phrase(
                    "campaign {campaign}: share who bought of the customers written to, less that of "
                    "those held out", campaign=row["campaign_id"],
                ),
            ),
            (
                "revenue", "revenue_low", "revenue_high", currency,
                phrase(
                    "campaign {campaign}: more revenue for each customer written to",
                    campaign=row["campaign_id"],
                ),
            ),
            (
                "gain", "gain_low", "gain_high", currency,
                phrase(
                    "campaign {campaign}: margin that it brought, less what it cost",
                    campaign=row["campaign_id"],
                ),
            ),
        ):  # fmt: skip
            numbers.record_spanned(
                f"{name}.{figure}",
                (row[figure], row[low], row[high]),
                unit=unit,
                n=n,
                definition=definition,
            )


def _raised(measured: pd.DataFrame) -> pd.Series:
    return (measured["p_holm"] < 1 - LEVEL) & (measured["uplift"] > 0)


def campaign_finding(table: pd.DataFrame, *, currency: str) -> str:
    """What campaigns brought: a heading and its sentences. table : `campaigns.uplifts`."""
    if table.empty:
        return phrase(
            "## No campaign was sent to anybody who may be analysed\n\nSo there is none to measure."
        )
    measured = table[table["status"] == MEASURED]
    if measured.empty:
        head = sentence(
            "## What campaigns brought nobody can tell: of {n}, none has a holdout to be measured by",
            n=counted(len(table), "campaign"),
        )
        return f"{head}\n\n{_not_measured(table)}"
    raised = measured[_raised(measured)]
    lowered = measured[(measured["p_holm"] < 1 - LEVEL) & (measured["uplift"] < 0)]
    head = sentence(
        "## Of {n} with a holdout, {raised} made more customers buy"
        if len(raised)
        else "## Of {n} with a holdout, none surely made more customers buy",
        n=counted(len(measured), "campaign"),
        raised=len(raised),
    )
    said = []
    if len(raised):
        best = raised.iloc[int(raised["uplift"].argmax())]
        said.append(
            sentence(
                "**{campaign} did most**: {treated:.1%} of the customers written to bought by "
                "{ended:%-d %B %Y}, of those held out {holdout:.1%}. That is {points:.1f} more in a "
                "hundred ({low:.1f} to {high:.1f}; {p}), and {revenue} {currency} of revenue for each.",
                campaign=best["campaign_id"],
                treated=best["bought_treated"],
                holdout=best["bought_holdout"],
                ended=best["ended"],
                points=100 * best["uplift"],
                low=100 * best["low"],
                high=100 * best["high"],
                p=chance(best["p_holm"]),
                revenue=spanned(best["revenue"], best["revenue_low"], best["revenue_high"], "+.2f"),
                currency=currency,
            )
        )
    rest = measured[~measured.index.isin([*raised.index, *lowered.index])]
    if len(rest):
        said.append(
            sentence(
                "Of {names} chance explains the difference: it may be nothing, or within the interval "
                "below.",
                names=listed([str(name) for name in rest["campaign_id"]]),
            )
        )
    if len(lowered):
        said.append(
            sentence(
                "**After {names} fewer bought** than without: look at what it said, and to whom.",
                names=listed([str(name) for name in lowered["campaign_id"]]),
            )
        )
    said += [text for text in (_gains(measured, currency=currency), _balance(measured)) if text]
    said += [_not_measured(table)] if len(measured) < len(table) else []
    return " ".join([f"{head}\n\n{said[0]}", *said[1:]])


def _gains(measured: pd.DataFrame, *, currency: str) -> str:
    """Which campaigns paid for themselves; empty if costs or margins are not known."""
    known = measured.dropna(subset="gain")
    if known.empty:
        return ""
    paid, lost = known[known["gain_low"] > 0], known[known["gain_high"] < 0]
    said = []
    for part, template in (
        (paid, "More margin than cost: {parts}."),
        (lost, "Less margin than cost: {parts}."),
    ):
        parts = [
            phrase(
                "{campaign} ({gain} {currency})",
                campaign=row["campaign_id"],
                gain=spanned(row["gain"], row["gain_low"], row["gain_high"], "+,.0f"),
                currency=currency,
            )
            for row in part.to_dict("records")
        ]
        said += [sentence(template, parts=listed(parts))] if parts else []
    if not said:
        return phrase("Whether any of them brought more margin than it cost is not sure.")
    return " ".join(said)


def _balance(measured: pd.DataFrame) -> str:
    """Whether the arms were alike before, as chance makes them."""
    unlike = measured[(measured["p_before"] < 1 - LEVEL) & (measured["apart"].abs() > APART)]
    if unlike.empty:
        return phrase(
            "Before the campaigns both arms had bought alike, as they do where chance chose them."
        )
    return sentence(
        "**The arms of {names} differed before it began** ({p}): it was hardly chance that chose them, "
        "and what it brought is not to be trusted.",
        names=listed([str(name) for name in unlike["campaign_id"]]),
        p=chance(unlike["p_before"].max()),
    )


def _not_measured(table: pd.DataFrame) -> str:
    """Which campaigns cannot be measured, and why."""
    parts = [
        phrase(
            "{campaign} ({why})", campaign=row["campaign_id"], why=phrase(_WHY_NOT[row["status"]])
        )
        for row in table[table["status"] != MEASURED].to_dict("records")
    ]
    return sentence("Not to be measured: {parts}.", parts=listed(parts))


def campaign_table(table: pd.DataFrame, *, currency: str) -> pd.DataFrame:
    """`uplifts` as a reader wants it: a heading for each column, intervals in words."""

    def told(
        row: Mapping[Any, Any], name: str, spec: str, *, ends: tuple[str, str], times: float = 1
    ) -> str:
        if pd.isna(row[name]):
            return "–"
        low, high = (row[end] for end in ends)
        return spanned(times * row[name], times * low, times * high, spec)

    rows = table.to_dict("records")
    shares = [
        phrase("{treated:.1%} and {holdout:.1%}", treated=row["bought_treated"],
               holdout=row["bought_holdout"]) if row["status"] == MEASURED
        else phrase(_WHY_NOT[row["status"]])
        for row in rows
    ]  # fmt: skip
    return pd.DataFrame(
        {
            "campaign": table["campaign_id"],
            "began": [_day(row["started"]) for row in rows],
            "written to": table["treated"],
            "held out": table["holdout"],
            "bought, of both": shares,
            "more in a hundred": [
                told(row, "uplift", "+.1f", ends=("low", "high"), times=100) for row in rows
            ],
            phrase("more revenue each, {currency}", currency=currency): [
                told(row, "revenue", "+.2f", ends=("revenue_low", "revenue_high")) for row in rows
            ],
            phrase("margin less cost, {currency}", currency=currency): [
                told(row, "gain", "+,.0f", ends=("gain_low", "gain_high")) for row in rows
            ],
        }
    )


def _day(day: dt.date) -> str:
    return phrase("{day:%-d %b %Y}", day=day)


def plot_campaigns(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """What each campaign brought, in customers more of a hundred with intervals, from `uplifts`."""
    seen = table[table["status"] == MEASURED]
    if seen.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=1.1 + 0.36 * len(seen))
    at, middle = np.arange(len(seen)), 100 * seen["uplift"]
    spread = 100 * np.clip([seen["uplift"] - seen["low"], seen["high"] - seen["uplift"]], 0, None)
    ax.axvline(0, color=plots.NEUTRAL, linewidth=1)
    ax.errorbar(middle, at, xerr=spread, fmt="o", color=plots.OBSERVED, elinewidth=2)
    ax.set_yticks(at, seen["campaign_id"].astype(str).tolist())
    ax.invert_yaxis()
    ax.margins(y=0.2)
    ax.grid(visible=False, axis="y")
    ax.set(xlabel=phrase("more customers who bought, of a hundred written to"))
    return ax


def describe_campaigns(table: pd.DataFrame) -> str:
    """What plot_campaigns shows, in words."""
    seen = table[table["status"] == MEASURED]
    if seen.empty:
        return phrase("Points of campaigns: none could be measured.")
    parts = [
        phrase(
            "{campaign} {more}", campaign=row["campaign_id"],
            more=spanned(100 * row["uplift"], 100 * row["low"], 100 * row["high"], "+.1f"),
        )
        for row in seen.to_dict("records")
    ]  # fmt: skip
    return phrase(
        "Points of how many more of a hundred customers bought because of each campaign, with 95% "
        "intervals: {parts}.",
        parts="; ".join(parts),
    )


def plan_finding(rates: pd.DataFrame, *, uplift: float, power: float, days: int) -> str:
    """How many customers a campaign takes to be measured, from the company's own rate of buying.

    rates : `campaigns.usual_rates`. uplift : share more who buy that one would want to see.
    """
    known = rates[rates["customers"] > 0]
    customers = int(rates["customers"].iloc[-1]) if len(rates) else 0
    if not customers:
        return phrase(
            "## How large a campaign must be cannot be told\n\nNobody bought in the year before the "
            "last weeks, so nobody is there to be written to."
        )
    usual = float(known["bought"].sum() / known["customers"].sum())
    shares = known["bought"] / known["customers"]
    if usual + uplift >= 1:
        return sentence(
            "## How large a campaign must be cannot be told\n\nOf the customers of the last year "
            "{usual:.1%} buy within {days} days anyway: there is no room for so many more.",
            usual=usual,
            days=days,
        )
    each, halves = int(np.ceil(sample_size(usual, uplift, power=power))), customers // 2
    said = [
        sentence(
            "Of customers who had bought within a year, {usual:.1%} bought again within {days} days "
            "without further help, from {low:.1%} to {high:.1%} by season. To see that a campaign makes "
            "it {points:g} more in a hundred, in {power:.0%} of the times that it does, takes "
            "**{each:,} customers written to and as many held out**, chosen by chance.",
            usual=usual,
            low=shares.min(),
            high=shares.max(),
            days=days,
            points=round(100 * uplift, 6),
            power=power,
            each=each,
        )
    ]
    if each <= halves:
        said.append(sentence("There are {customers:,}, so that is enough.", customers=customers))
    else:
        most = least_uplift(usual, halves, power=power)
        said.append(
            sentence(
                "There are no more than {customers:,}, and in so few no uplift would show.",
                customers=customers,
            )
            if np.isnan(most)
            else sentence(
                "There are no more than {customers:,}: with half of them in each arm, an uplift shows "
                "from {most:.1f} in a hundred on.",
                customers=customers,
                most=100 * most,
            )
        )
    head = sentence(
        "## To measure the next campaign, hold out {each:,} customers by chance",
        each=min(each, halves),
    )
    return " ".join([f"{head}\n\n{said[0]}", *said[1:]])


def none_there() -> str:
    """What the page says of campaigns where the dataset has no table of them."""
    return phrase(
        "## Whether campaigns brought anything, this dataset does not tell\n\nIt has no table of "
        "campaigns: who was written to, and who was held out by chance."
    )


def against_truth(table: pd.DataFrame, truly: pd.DataFrame) -> pd.DataFrame:
    """Each campaign measured, with its true uplift and revenue, and whether the intervals hold them.

    table : `campaigns.uplifts`; truly : campaign_id, uplift, revenue, as truth/campaigns has them.
    Returns campaign_id, uplift, true_uplift, uplift_held, revenue, true_revenue, revenue_held.
    """
    measured = table[table["status"] == MEASURED]
    known = truly.rename(columns={"uplift": "true_uplift", "revenue": "true_revenue"})
    both = measured.merge(known, on="campaign_id", validate="one_to_one")
    both["uplift_held"] = both["true_uplift"].between(both["low"], both["high"])
    both["revenue_held"] = both["true_revenue"].between(both["revenue_low"], both["revenue_high"])
    names = ("uplift", "true_uplift", "uplift_held", "revenue", "true_revenue", "revenue_held")
    return both[["campaign_id", *names]]


def truth_finding(held: pd.DataFrame) -> str:
    """How `against_truth` came out, as a sentence."""
    if held.empty:
        return phrase(
            "No campaign could be measured, so there is nothing to hold against the truth."
        )
    parts = [
        phrase(
            "{campaign} {found:+.1%} (in truth {true:+.1%})",
            campaign=row["campaign_id"],
            found=row["uplift"],
            true=row["true_uplift"],
        )
        for row in held.to_dict("records")
    ]
    return sentence(
        "**Of {n} the intervals of {right} hold the true uplift** of the share who buy, and those of "
        "{money} the true revenue: {parts}.",
        n=counted(len(held), "campaign"),
        right=int(held["uplift_held"].sum()),
        money=int(held["revenue_held"].sum()),
        parts="; ".join(parts),
    )
