"""The one metric by which a company follows its customers' loyalty, month by month."""

from __future__ import annotations

import datetime as dt
import textwrap
from typing import Any, Literal

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.intervals import LEVEL, Z, count_interval
from loyaltylab.language import phrase, shown
from loyaltylab.numbers import Number, Numbers, sentence
from loyaltylab.periods import of_ordinals, ordinal

NorthStar = Literal["active_customers", "repeat_revenue", "purchases_per_customer"]
_WORDS = {
    "active_customers": "customers who bought",
    "repeat_revenue": "revenue from customers won in an earlier month",
    "purchases_per_customer": "purchases of a customer who bought",
}
_DEFINITIONS = {
    "active_customers": "customers who bought in the last whole month until {until}",
    "repeat_revenue": "revenue from customers won in an earlier month in the last whole month until "
    "{until}",
    "purchases_per_customer": "purchases of a customer who bought in the last whole month until {until}",
}
_NOT_YET = {
    "active_customers": "The North Star is customers who bought.",
    "repeat_revenue": "The North Star is {currency} from customers won in an earlier month.",
    "purchases_per_customer": "The North Star is purchases of a customer who bought.",
}
_HEADINGS = {
    "active_customers": "North Star: {value} customers who bought in {month:%B %Y}",
    "repeat_revenue": "North Star: {value} {currency} from customers won in an earlier month in "
    "{month:%B %Y}",
    "purchases_per_customer": "North Star: {value} purchases of a customer who bought in {month:%B %Y}",
}
_MONTHLY = {
    "active_customers": "Curve of customers who bought by month: {first} in {since:%B %Y}, {last} in "
    "{until:%B %Y}; between {least} and {most} in all.",
    "repeat_revenue": "Curve of revenue from customers won in an earlier month by month: {first} in "
    "{since:%B %Y}, {last} in {until:%B %Y}; between {least} and {most} in all.",
    "purchases_per_customer": "Curve of purchases of a customer who bought by month: {first} in "
    "{since:%B %Y}, {last} in {until:%B %Y}; between {least} and {most} in all.",
}


def north_star_by_month(
    purchases: ir.Table, *, until: dt.date, metric: NorthStar, minimum: int = 1
) -> pd.DataFrame:
    """The metric of each calendar month. Grain: month, from the first purchase's to that of `until`.

    purchases : as `timelines` gives them. metric : "active_customers" (who bought in the month),
    "repeat_revenue" (amount of customers won in an earlier month, in the currency of `purchases`) or
    "purchases_per_customer" (of those who bought).
    Returns month (its first day), value, low, high; missing in a month that is not over, in one in which
    fewer than `minimum` customers, though some, bought, and purchases
    of a customer in a month without any (and their interval with one customer). Intervals take
    customers as independent: a Poisson count, a sum of such with variance Σ amount², and a mean.
    Raises ValueError on another metric.
    """
    if metric not in _WORDS:
        raise ValueError(f"north_star: expected one of {', '.join(_WORDS)}, got {metric}.")
    seen = purchases.filter(purchases["day"] <= until)
    seen = seen.mutate(month=ordinal(seen["day"], "month"))
    if metric == "active_customers":  # for which no person need be looked at twice
        opens = seen["previous"].isnull() | (ordinal(seen["previous"], "month") < seen["month"])
        table = seen.group_by("month").agg(customers=opens.sum())
    else:
        again = ordinal(seen["first"], "month") < seen["month"]
        monthly = seen.group_by("month", "person_id").agg(
            bought=seen.count(), again=again.ifelse(seen["amount"], 0).sum().cast("float64")
        )
        table = monthly.group_by("month").agg(
            customers=monthly.count(),
            purchases=monthly["bought"].sum(),
            squares=(monthly["bought"] * monthly["bought"]).sum(),
            revenue=monthly["again"].sum(),
            revenue_squares=(monthly["again"] * monthly["again"]).sum(),
        )
    found = table.to_pandas().set_index("month")
    found.index = of_ordinals(found.index, "month")
    months = pd.period_range(found.index.min(), pd.Period(until, "M"), freq="M")
    found = found.reindex(months, fill_value=0).astype(float)
    over = np.array([month.end_time.date() <= until for month in months])
    table = pd.DataFrame({"month": months.start_time}, index=months)
    table["value"], table["low"], table["high"] = _measured(found, metric)
    names = ["value", "low", "high"]
    few = found["customers"].between(1, minimum - 1).to_numpy()
    table.loc[~over | few, names] = np.nan
    return table.reset_index(drop=True)


def _measured(found: pd.DataFrame, metric: str) -> tuple[Any, Any, Any]:
    if metric == "active_customers":
        return found["customers"], *count_interval(found["customers"])
    if metric == "repeat_revenue":
        spread = Z * np.sqrt(found["revenue_squares"])
        return found["revenue"], found["revenue"] - spread, found["revenue"] + spread
    customers = found["customers"].where(found["customers"] > 0)
    mean = found["purchases"] / customers
    variance = (found["squares"] / customers - mean**2).clip(lower=0) / (
        customers.where(customers > 1) - 1
    )
    spread = Z * np.sqrt(variance)
    return mean, mean - spread, mean + spread


def record_north_star(
    numbers: Numbers, table: pd.DataFrame, *, metric: NorthStar, currency: str
) -> Number:
    """Record retention.north_star: the metric in the last month that is over; missing without one."""
    seen = table.dropna(subset="value")
    last = seen.iloc[-1] if len(seen) else pd.Series({"value": None, "low": None, "high": None})
    units = {"active_customers": "customers", "repeat_revenue": currency}
    return numbers.record(
        "retention.north_star",
        last["value"],
        low=last["low"],
        high=last["high"],
        level=LEVEL,
        unit=units.get(metric, "purchases"),
        definition=phrase(_DEFINITIONS[metric], until=numbers.as_of),
    )


def north_star_finding(table: pd.DataFrame, *, metric: NorthStar, currency: str) -> str:
    """How the metric moved in a year, from `north_star_by_month`: a heading and its sentence."""
    seen = table.dropna(subset=["value", "low"]).set_index("month")
    if seen.empty:
        return f"{phrase('## No month is over yet')}\n\n{sentence(_NOT_YET[metric], currency=currency)}"
    last, month = seen.iloc[-1], seen.index.max()
    digits = ",.2f" if metric == "purchases_per_customer" else ",.0f"
    heading = sentence(
        _HEADINGS[metric], value=shown(last["value"], digits), currency=currency, month=month
    )
    ends = {key: shown(last[key], digits) for key in ("low", "high")}
    said = sentence("Between {low} and {high} with 95% confidence.", **ends)
    before = month - pd.DateOffset(years=1)
    if before in seen.index:
        then = seen.loc[before]
        if last["low"] > then["high"]:
            heading = phrase("{star}, more than a year before", star=heading)
        elif last["high"] < then["low"]:
            heading = phrase("{star}, less than a year before", star=heading)
        else:
            heading = phrase("{star}, about as much as a year before", star=heading)
        ends = {key: shown(then[key], digits) for key in ("value", "low", "high")}
        said = f"{said} {sentence('A year before it was {value} ({low} to {high}).', **ends)}"
    return f"## {heading}\n\n{said}"


def plot_north_star(table: pd.DataFrame, *, metric: NorthStar, ax: Axes | None = None) -> Axes:
    """The metric month by month, with its interval."""
    seen = table.dropna(subset="value")
    if seen.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    ax.plot(
        seen["month"], seen["value"], color=plots.OBSERVED, linewidth=2, marker="o", markersize=3
    )
    ax.fill_between(seen["month"], seen["low"], seen["high"], color=plots.OBSERVED, alpha=0.2)
    if metric != "purchases_per_customer":  # of which there is at least one
        ax.yaxis.set_major_formatter(plots.thousands)
        ax.set_ylim(bottom=min(0, seen["low"].min()))
    plots.date_axis(ax)
    ax.set(ylabel=textwrap.fill(phrase(_WORDS[metric]), 28))
    return ax


def describe_north_star(table: pd.DataFrame, *, metric: NorthStar) -> str:
    """What plot_north_star shows, in words."""
    seen = table.dropna(subset="value")
    if seen.empty:
        return phrase("Curve without points: no month is over yet.")
    digits = ",.2f" if metric == "purchases_per_customer" else ",.0f"
    first, last = seen.iloc[0], seen.iloc[-1]
    return phrase(
        _MONTHLY[metric],
        first=shown(first["value"], digits),
        since=first["month"],
        last=shown(last["value"], digits),
        until=last["month"],
        least=shown(seen["value"].min(), digits),
        most=shown(seen["value"].max(), digits),
    )
