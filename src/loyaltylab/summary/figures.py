"""Key figures: which they are, how people write them, and where each was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from loyaltylab.dataset import Lab, notebook_stems
from loyaltylab.language import phrase, shown
from loyaltylab.numbers import Number
from loyaltylab.pages import anchor, href, label

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
    "journey.conversion_rate": "of visits end with a purchase",
    "journey.cart_abandonment": "of carts are left behind",
    "journey.carts_lost_value": "in carts that were left and not bought later",
    "growth.offer.hit_rate_10": "of customers next bought one of ten offers made to them",
    "growth.offer.hit_rate_10_buy_again": "would have, were they offered what they bought before",
    "growth.campaigns.uplift": "more of those whom campaigns wrote to bought",
    "growth.risk.flagged": "customers to look at twice",
    "lifetime_value.horizon_weeks": "the forecast looks ahead",
    "lifetime_value.expected_orders": "orders expected",
    "lifetime_value.expected_value": "revenue expected",
    "lifetime_value.mean": "revenue expected of a customer",
    "value.new_customer": "worth of a new customer",
    "value.ltv_to_cac": "value of a customer over what winning one costs",
    "lifetime_value.holdout_bias": "forecast of orders in unseen weeks, off by",
    "lifetime_value.holdout_spend_bias": "forecast of revenue in unseen weeks, off by",
}


class Linked(Number):
    """A number that leads to where it was recorded: in a sentence it is a link around its value."""

    def __format__(self, spec: str) -> str:
        return f"[{super().__format__(spec)}]({address(self)})"


def by_name(lab: Lab) -> dict[str, Number]:
    """The numbers that all other notebooks recorded, by name."""
    records = lab.numbers(notebook_stems(lab.root))
    return {record["name"]: Number(**record) for record in records}


def known(numbers: Mapping[str, Number], *names: str) -> bool:
    """Whether all of them were recorded and have a value."""
    return all(name in numbers and numbers[name].value is not None for name in names)


def linked(numbers: Mapping[str, Number], *names: str) -> dict[str, Any]:
    """Numbers by the last part of their names, as a sentence takes them: links to their places."""
    return {name.rpartition(".")[2]: _whole(numbers[name], Linked) for name in names}


def plain(numbers: Mapping[str, Number], *names: str) -> dict[str, Any]:
    """The same without links."""
    return {name.rpartition(".")[2]: _whole(numbers[name], Number) for name in names}


def _whole(number: Number, kind: type[Number]) -> Number:
    fields: dict[str, Any] = vars(number)
    lacking = {bound: _Unknown() for bound in ("low", "high") if fields[bound] is None}
    return kind(**fields | lacking)


class _Unknown:
    """In a sentence, what stands for a bound that is not known."""

    def __format__(self, spec: str) -> str:
        return phrase("unknown")


def address(number: Number) -> str:
    """The place on its page where it was recorded."""
    return f"{href(number.notebook)}#{anchor(number.name)}"


def page_link(number: Number) -> str:
    """Its page's name in Markdown, a link to where it was recorded."""
    return f"[{label(number.notebook)}]({address(number)})"


def key_figures(numbers: Mapping[str, Number]) -> pd.DataFrame:
    """Grain: one key figure that was recorded. figure, value, interval, page; index the place on it."""
    rows = [(words, numbers[name]) for name, words in KEY_FIGURES.items() if name in numbers]
    return pd.DataFrame(
        [
            {
                "figure": phrase(words),
                "value": in_unit(number),
                "95% interval": interval(number),
                "page": label(number.notebook),
            }
            for words, number in rows
        ],
        index=[address(number) for _, number in rows],
        columns=["figure", "value", "95% interval", "page"],
    )


def in_unit(number: Number) -> str:
    """Its value as people write it: 48.9%, 2,500 USD, 34 days."""
    return " ".join(filter(None, value_and_unit(number)))


def value_and_unit(number: Number) -> tuple[str, str]:
    """Its value as people write it, and its unit where that stands behind it as a word, or empty."""
    value: Any = number.value
    if value is None:
        return phrase("unknown"), ""
    if number.unit == "share":
        return shown(value, ".1%"), ""
    if number.unit == "points":
        return shown(value, f"+.{_digits(number)}f"), ""
    return shown(value, f",.{_digits(number)}f"), phrase(number.unit)


def _digits(number: Number) -> int:
    """After the point. Days are whole ones, points below ten have one; what is small enough, two."""
    # Of a value that is not known there may be an interval all the same.
    value: Any = number.high if number.value is None else number.value
    if number.unit == "points":
        return int(abs(value) < 10)
    return 0 if number.unit == "days" or abs(value) >= 100 or float(value).is_integer() else 2


def interval(number: Number) -> str:
    """Its interval as people write it: 41.4% to 42.1%; a dash without one."""
    if number.low is None or number.high is None:
        return "–"
    specs = {"share": ".1%", "points": f"+,.{_digits(number)}f"}
    spec = specs.get(number.unit, f",.{_digits(number)}f")
    low, high = shown(number.low, spec), shown(number.high, spec)
    return phrase("{low} to {high}", low=low, high=high)


def change_of(change: float | None, unit: str) -> str:
    """A difference of two values in their unit; of two shares, in points. A dash if there is none."""
    if change is None or pd.isna(change):
        return "–"
    if unit == "share":
        return phrase("{change:+.1f} points", change=100 * change)
    whole = abs(change) >= 100 or float(round(change, 6)).is_integer()
    written = shown(change, f"+,.{0 if whole else 2}f")
    return written if unit == "points" else f"{written} {phrase(unit)}"
