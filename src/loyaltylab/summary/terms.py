"""What the numbers of the summary are called, and how each is computed. Grain: one number by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from loyaltylab.language import phrase
from loyaltylab.numbers import Number, sentence
from loyaltylab.summary.figures import page_link


@dataclass(frozen=True)
class Term:
    """What a number is called, and its formula; empty where it is counted and not computed."""

    title: str
    formula: str = ""


SUMMARY = "What each number means, and its formula"
FORMULA = "*Formula:*"


def term(name: str) -> Term:
    """Of a number that the summary shows. One kind of number may be of a table, an export, a group."""
    return TERMS.get(name) or next(term for kind, term in KINDS.items() if name.startswith(kind))


def glossary(numbers: Mapping[str, Number], names: Iterable[str]) -> str:
    """These numbers as far as they were recorded: title, definition, formula. Folded, in Markdown."""
    told = [_told(term(name), numbers[name]) for name in dict.fromkeys(names) if name in numbers]
    inner = "\n\n".join(told)
    return f"<details><summary>{phrase(SUMMARY)}</summary>\n\n{inner}\n\n</details>" if told else ""


def _told(term: Term, number: Number) -> str:
    definition = sentence("{definition}.", definition=number.definition)
    lines = [f"**{phrase(term.title)}**", f": {definition} {page_link(number)}"]
    return "\n".join(
        lines + ([f": {phrase(FORMULA)} {phrase(term.formula)}"] if term.formula else [])
    )


TERMS = {
    "retention.customers": Term("customers"),
    "retention.repeat_rate": Term(
        "repeat rate", "customers with purchases on two days or more ÷ all customers"
    ),
    "retention.returned_30_days": Term(
        "returned within 30 days", "1 − Π (1 − returns on a day ÷ customers not back before it)"
    ),
    "retention.returned_180_days": Term(
        "returned within 180 days", "1 − Π (1 − returns on a day ÷ customers not back before it)"
    ),
    "retention.returned_365_days": Term(
        "returned within 365 days", "1 − Π (1 − returns on a day ÷ customers not back before it)"
    ),
    "retention.median_gap_days": Term(
        "median days between purchases", "half of the gaps are shorter, half longer"
    ),
    "retention.churn_rate": Term(
        "churn in a month",
        "customers who go in a month ÷ customers active at its beginning, all months counted together",
    ),
    "retention.top_decile_revenue_share": Term(
        "revenue share of the top tenth", "revenue of the tenth who spent most ÷ all revenue"
    ),
    "retention.repeat_revenue_share": Term(
        "repeat revenue", "revenue of purchases that were not the customer's first ÷ all revenue"
    ),
    "retention.revenue_change": Term(
        "change of revenue", "revenue of the last months − revenue of as many months before"
    ),
    "retention.purchase_frequency": Term(
        "purchases a year", "purchases in 365 days ÷ customers who bought in them"
    ),
    "retention.cac": Term(
        "acquisition cost (CAC)", "acquisition spend ÷ new customers in the same time"
    ),
    "retention.payback_months": Term(
        "payback", "first month in which the margin so far ≥ the acquisition cost"
    ),
    "retention.at_risk_customers": Term("customers at risk"),
    "retention.at_risk_value": Term("spent by customers at risk"),
    "retention.at_risk_precision": Term(
        "hits of the list of customers at risk",
        "marked customers who bought nothing after ÷ all marked customers",
    ),
    "satisfaction.nps": Term("NPS", "(share of answers 9 to 10 − share of answers 0 to 6) × 100"),
    "satisfaction.csat": Term("CSAT", "answers of 4 or 5 ÷ all answers, on a scale of 1 to 5"),
    "satisfaction.ces": Term("CES", "answers of 5 to 7 ÷ all answers, on a scale of 1 to 7"),
    "satisfaction.nps_response": Term("NPS response", "answers ÷ invitations"),
    "satisfaction.effect_nps": Term(
        "a step of NPS and ordering again",
        "100 × difference in the chance of ordering again between scores one step apart, at equal "
        "behaviour",
    ),
    "satisfaction.plain_effect_nps": Term(
        "the same as it looks",
        "100 × difference in the chance of ordering again between scores one step apart",
    ),
    "service.median_reply_hours": Term(
        "median time to a reply", "half of the tickets have a first reply by then"
    ),
    "service.p90_reply_hours": Term(
        "time to a reply of nine in ten", "nine tenths of the tickets have a first reply by then"
    ),
    "service.tickets_per_100_orders": Term("tickets per 100 orders", "100 × tickets ÷ orders"),
    "growth.icp.top_fifth": Term(
        "best new customers, times the average",
        "value of later customers with a score of 80 or more ÷ value of all later customers",
    ),
    "service.reopened": Term("reopened", "solved tickets opened again ÷ solved tickets"),
    "journey.conversion_rate": Term("conversion", "visits with a purchase ÷ all visits"),
    "journey.cart_abandonment": Term(
        "carts left behind", "visits with a cart and no purchase ÷ all visits with a cart"
    ),
    "journey.carts_lost_value": Term(
        "worth of carts left", "Σ of what lay in carts that were left and not bought later"
    ),
    "growth.offer.hit_rate_10": Term(
        "hit rate of ten offers",
        "customers who next bought one of ten products offered to them ÷ customers who bought again",
    ),
    "growth.offer.hit_rate_10_buy_again": Term(
        "hit rate of buying again",
        "customers who next bought one of ten products that they had bought before ÷ customers who "
        "bought again",
    ),
    "growth.campaigns.uplift": Term(
        "uplift of campaigns",
        "share who bought of those written to − share who bought of those held out by chance, over "
        "all campaigns measured",
    ),
    "growth.risk.flagged": Term("customers to look at twice"),
    "lifetime_value.horizon_weeks": Term("how far the forecast looks"),
    "lifetime_value.expected_orders": Term(
        "orders expected", "Σ over customers of the orders that the model expects of each"
    ),
    "lifetime_value.expected_value": Term(
        "revenue expected",
        "Σ over customers of (orders expected of each × spend an order expected of each)",
    ),
    "lifetime_value.mean": Term(
        "expected revenue a customer (CLV)", "revenue expected ÷ customers"
    ),
    "lifetime_value.total_12_months": Term(
        "revenue expected in a year",
        "Σ over customers of (orders expected of each × spend an order expected of each)",
    ),
    "lifetime_value.top_tenth_share": Term(
        "top tenth of the revenue expected",
        "revenue expected of the most valuable tenth ÷ revenue expected of all",
    ),
    "lifetime_value.holdout_bias": Term(
        "miss of the forecast, orders", "(orders expected − orders that came) ÷ orders that came"
    ),
    "lifetime_value.holdout_spend_bias": Term(
        "miss of the forecast, revenue",
        "(revenue expected − revenue that came) ÷ revenue that came",
    ),
    "value.holdout_bias": Term(
        "miss of the forecast of value", "(sales expected − sales that came) ÷ sales that came"
    ),
    "value.new_customer": Term(
        "worth of a new customer",
        "Σ over weeks of (money expected in the week ÷ (1 + discount a year)^(week ÷ 52))",
    ),
    "value.horizon_weeks": Term("how far that worth looks"),
    "value.ltv_to_cac": Term(
        "value over acquisition cost (LTV : CAC)",
        "(money brought so far + money expected) ÷ acquisition spend",
    ),
    "linkage.records": Term("records of customers"),
    "linkage.persons": Term("persons"),
    "linkage.left_out": Term("persons left out"),
    "linkage.mean_confidence": Term(
        "confidence of links", "sum of the links' probabilities ÷ number of links"
    ),
}

KINDS = {
    "validation.score.": Term(
        "data quality of an export",
        "(completeness + validity + uniqueness + consistency + timeliness) ÷ 5",
    ),
    "validation.rows_read.": Term("rows read"),
    "validation.rows_accepted.": Term("rows accepted", "rows read − rows put aside"),
    "segments.": Term("customers in a segment"),
}
