"""The summary: the headline numbers of the other notebooks, in sentences that link to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from loyaltylab.dataset import Lab, notebook_stems
from loyaltylab.numbers import Number, sentence
from loyaltylab.pages import href, label

# The findings, in the order in which they are told: the numbers that one needs, and its words.
FINDINGS: list[tuple[list[str], str]] = [
    (
        ["retention.repeat_rate", "retention.customers"],
        "**{repeat_rate:.0%} of {customers:,} customers have come back** for a second purchase so far "
        "({repeat_rate.low:.1%} to {repeat_rate.high:.1%}); the others bought on one day only.",
    ),
    (
        ["retention.returned_30_days", "retention.returned_180_days"],
        "**{returned_30_days:.0%} return within 30 days of their first purchase, "
        "{returned_180_days:.0%} within 180** ({returned_180_days.low:.1%} to "
        "{returned_180_days.high:.1%}): who is to be won back is best asked early.",
    ),
    (
        ["retention.churn_rate", "retention.repeat_revenue_share"],
        "**{churn_rate:.1%} of active customers go in a month** ({churn_rate.low:.1%} to "
        "{churn_rate.high:.1%}), and {repeat_revenue_share:.0%} of the last year's revenue came from "
        "customers who had bought before. Nobody cancels here: gone is who has been silent for longer "
        "than nearly all who ever came back.",
    ),
    (
        ["retention.cac", "retention.payback_months"],
        "**A new customer costs {cac:,.2f} {currency} to win** ({cac.low:,.2f} to {cac.high:,.2f}). On "
        "average the margin covers that {payback_months:.0f} months after the first purchase (0: with "
        "it).",
    ),
    (
        [
            "lifetime_value.expected_value",
            "lifetime_value.mean",
            "lifetime_value.horizon_weeks",
            "lifetime_value.holdout_spend_bias",
        ],
        "**Today's customers are expected to bring {expected_value:,.0f} {currency}** of revenue in "
        "the next {horizon_weeks} weeks, {mean:,.2f} {currency} each on average, those who have left "
        "included. On weeks that it had not seen, such a forecast was off by "
        "{holdout_spend_bias:+.0%}.",
    ),
    (
        ["lifetime_value.top_tenth_share"],
        "**The most valuable tenth of customers stands for {top_tenth_share:.0%} of that.** They are "
        "known today; whether money spent on them brings more, only a trial would tell.",
    ),
    (
        ["value.new_customer", "value.ltv_to_cac", "value.horizon_weeks"],
        "**A customer brings {ltv_to_cac:.1f} times what it costs to win one** ({ltv_to_cac.low:.1f} to "
        "{ltv_to_cac.high:.1f}): a new one is worth {new_customer:,.2f} {currency} "
        "({new_customer.low:,.2f} to {new_customer.high:,.2f}), first order included, within "
        "{horizon_weeks:,} weeks.",
    ),
    (
        ["satisfaction.nps", "satisfaction.nps_response"],
        "**NPS is {nps:+.0f}** ({nps.low:+.0f} to {nps.high:+.0f}) among the {nps_response:.0%} who "
        "answered. The others may feel differently, and no interval allows for that.",
    ),
    (
        ["satisfaction.effect_nps", "satisfaction.plain_effect_nps"],
        "**A step of NPS goes with {effect_nps:+.1f} points in the chance of ordering again** "
        "({effect_nps.low:+.1f} to {effect_nps.high:+.1f}), of customers who had behaved alike; the "
        "plain look says {plain_effect_nps:+.1f}. Where that interval holds 0, neither an effect nor "
        "its absence is shown.",
    ),
    (
        ["service.median_reply_hours", "service.p90_reply_hours", "service.tickets_per_100_orders"],
        "**Of {tickets_per_100_orders:.0f} support cases per 100 orders, half have a reply within "
        "{median_reply_hours:.0f} hours**, nine of ten within {p90_reply_hours:.0f}.",
    ),
]

KEY_FIGURES = {
    "retention.customers": "customers",
    "retention.repeat_rate": "came back for a second purchase",
    "retention.returned_30_days": "returned within 30 days of the first purchase",
    "retention.returned_365_days": "returned within 365 days of it",
    "retention.median_gap_days": "median days between purchases of those who returned",
    "retention.churn_rate": "of active customers go in a month",
    "retention.top_decile_revenue_share": "of revenue from the tenth of customers who spent most",
    "retention.repeat_revenue_share": "of revenue from customers who had bought before",
    "retention.purchase_frequency": "purchases a year of a customer who buys",
    "retention.cac": "acquisition spend a new customer",
    "retention.payback_months": "until the margin covers that",
    "satisfaction.nps": "NPS of those who answered",
    "satisfaction.nps_response": "answered when asked for NPS",
    "satisfaction.effect_nps": "chance of ordering again, a step of NPS, at equal behaviour",
    "service.median_reply_hours": "half of support cases replied to within",
    "service.reopened": "of solved cases reopened",
    "lifetime_value.horizon_weeks": "the forecast looks ahead",
    "lifetime_value.expected_orders": "orders expected",
    "lifetime_value.expected_value": "revenue expected",
    "lifetime_value.mean": "revenue expected of a customer",
    "value.new_customer": "worth of a new customer",
    "value.ltv_to_cac": "value of a customer over what winning one costs",
    "lifetime_value.holdout_bias": "forecast of orders in unseen weeks, off by",
    "lifetime_value.holdout_spend_bias": "forecast of revenue in unseen weeks, off by",
}


def by_name(lab: Lab) -> dict[str, Number]:
    """The numbers that all other notebooks recorded, by name."""
    records = lab.numbers(notebook_stems(lab.root))
    return {record["name"]: Number(**record) for record in records}


def about(lab: Lab) -> str:
    """What the dataset is, in a paragraph."""
    simulated = "**All of it is simulated.** " if lab.spec.simulated else ""
    return simulated + sentence(
        "{title}, observed until {until:%-d %B %Y}. {description}",
        title=lab.spec.title,
        until=lab.observed_until,
        description=lab.spec.description,
    )


def findings(numbers: Mapping[str, Number], *, currency: str) -> list[str]:
    """One sentence a finding whose numbers are all known, with a link to where they were found."""
    told = []
    for names, words in FINDINGS:
        values = [numbers.get(name) for name in names]
        if all(number is not None and number.value is not None for number in values):
            known: dict[str, Any] = {n.rpartition(".")[2]: numbers[n] for n in names}
            text = sentence(words, **known, currency=currency)
            told.append(f"{text} {_link(numbers[names[0]])}")
    return told


def _left_out(persons: float) -> str:
    return f"; {persons:,.0f} of them do not consent and are in no finding" if persons else ""


def trust(numbers: Mapping[str, Number]) -> list[str]:
    """How far the data, the persons and the forecast can be trusted, one sentence each."""
    told = []
    read = {n: r for n, r in numbers.items() if n.startswith("validation.rows_read.")}
    if read:
        kept = sum(_value(numbers, n.replace("rows_read", "rows_accepted")) for n in read)
        rows = sum(_value(numbers, n) for n in read)
        told.append(
            sentence(
                "**Data:** {kept:,.0f} of {rows:,.0f} rows keep every rule{aside}. ",
                kept=kept,
                rows=rows,
                aside="; the others were put aside with their reasons" if kept < rows else "",
            )
            + _link(next(iter(read.values())))
        )
    sure = numbers.get("linkage.mean_confidence")
    if sure is not None and isinstance(sure.value, float):
        told.append(
            sentence(
                "**Persons:** {records:,.0f} records are taken for {persons:,.0f} people, with links "
                "that are {sure:.0%} sure on average{out}. ",
                records=_value(numbers, "linkage.records"),
                persons=_value(numbers, "linkage.persons"),
                sure=sure.value,
                out=_left_out(_value(numbers, "linkage.left_out")),
            )
            + _link(sure)
        )
    bias = numbers.get("lifetime_value.holdout_bias")
    if bias is not None and isinstance(bias.value, float):
        told.append(
            sentence(
                "**Forecast:** tried on weeks that it had not seen, its total of orders was "
                "{miss:.0%} too {way}. ",
                miss=abs(bias.value),
                way="low" if bias.value < 0 else "high",
            )
            + _link(bias)
        )
    return told


def key_figures(numbers: Mapping[str, Number]) -> pd.DataFrame:
    """Grain: one key figure that was recorded. figure, value, interval, page; index its page."""
    known = [(words, numbers[name]) for name, words in KEY_FIGURES.items() if name in numbers]
    return pd.DataFrame(
        [
            {
                "figure": words,
                "value": in_unit(number),
                "95% interval": interval(number),
                "page": label(number.notebook),
            }
            for words, number in known
        ],
        index=[href(number.notebook) for _, number in known],
        columns=["figure", "value", "95% interval", "page"],
    )


def in_unit(number: Number) -> str:
    """Its value as people write it: 48.9%, 2,500 USD, 34 days."""
    value: Any = number.value
    if value is None:
        return "unknown"
    if number.unit == "share":
        return f"{value:.1%}"
    if number.unit == "points":
        return f"{value:+.{_digits(number)}f}"
    return f"{value:,.{_digits(number)}f} {number.unit}"


def _digits(number: Number) -> int:
    """After the point. Days are whole ones, points below ten have one; what is small enough, two."""
    value: Any = number.value
    if number.unit == "points":
        return int(abs(value) < 10)
    return 0 if number.unit == "days" or abs(value) >= 100 or float(value).is_integer() else 2


def interval(number: Number) -> str:
    """Its interval as people write it: 41.4% to 42.1%; a dash without one."""
    if number.low is None or number.high is None:
        return "–"
    digits = _digits(number)
    if number.unit == "share":
        return f"{number.low:.1%} to {number.high:.1%}"
    if number.unit == "points":
        return f"{number.low:+,.{digits}f} to {number.high:+,.{digits}f}"
    return f"{number.low:,.{digits}f} to {number.high:,.{digits}f}"


def _value(numbers: Mapping[str, Number], name: str) -> float:
    value = numbers[name].value
    return value if isinstance(value, int | float) else 0


def _link(number: Number) -> str:
    return f"[{label(number.notebook)}]({href(number.notebook)})"
