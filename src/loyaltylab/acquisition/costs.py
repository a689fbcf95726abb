"""What a new customer costs, by channel and month. Grain in: one order, and one day of spend.

A customer is new in the month of the first purchase. Months are those that the spend covers.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.cells import blanked
from loyaltylab.engine import lowercase
from loyaltylab.intervals import LEVEL, count_interval
from loyaltylab.language import phrase
from loyaltylab.numbers import Number, Numbers, sentence

UNKNOWN = "not known"
# Lines of the figure: the channels with most spend; more would not be told apart.
_LINES = ((plots.OBSERVED, "-"), (plots.INK, "--"), ("#00795A", "-."), (plots.NEUTRAL, ":"))


def analysed_share(orders: ir.Table, records: ir.Table) -> float:
    """Share of the persons with an accepted order who may be analysed; missing without orders.

    orders : all accepted ones; records : `Lab.records`. Spend won the others too: of it, this share
    is compared with the customers who are counted.
    """
    buyers = orders.select("source", "record_id").distinct().join(records, ["source", "record_id"])
    people = buyers.group_by("person_id").agg(analysed=buyers["analysed"].all())
    counted = people.agg(n=people.count(), analysed=people["analysed"].sum()).to_pandas().iloc[0]
    return float(counted["analysed"]) / int(counted["n"]) if counted["n"] else float("nan")


def newcomers(orders: ir.Table, persons: ir.Table, spend: ir.Table, *, until: dt.date) -> ir.Table:
    """When and through which channel each customer was won. Grain: one person with an order by `until`.

    Returns person_id, first_day, cohort (first day of its month), channel (as spend writes it;
    UNKNOWN where nothing tells). The channel is what the person's records say, acquired_through;
    if none of these is among the spend's channels, the one in which the first order was sold.
    Channels are compared without capital letters and spaces around them.
    """
    dated = orders.mutate(day=orders["ordered_at"].date(), sold_in=_plain(orders["channel"]))
    dated = dated.filter(dated["day"] <= until)
    first = dated.group_by("person_id").agg(first_day=dated["day"].min())
    paid = spend.select(channel=_plain(spend["channel"])).distinct().to_pandas()["channel"].tolist()
    told = persons.select("person_id", channel=_plain(persons["acquired_through"]))
    if paid and not _any(told["channel"].isin(paid)) and _any(dated["sold_in"].isin(paid)):
        both = dated.join(first, ["person_id", dated["day"] == first["first_day"]])
        told = both.group_by("person_id").agg(channel=both["sold_in"].min())
    known = first.left_join(told, "person_id")
    return known.select(
        "person_id",
        "first_day",
        cohort=known["first_day"].truncate("M"),
        channel=known["channel"].fill_null(UNKNOWN),
    )


def _plain(channel: ir.StringValue) -> ir.StringValue:
    return lowercase(channel.strip())


def _any(is_so: ir.BooleanColumn) -> bool:
    return bool(is_so.any().to_pyarrow().as_py())


def costs(new: ir.Table, spend: ir.Table, *, until: dt.date, analysed: float = 1.0) -> pd.DataFrame:
    """Cost of a new customer. Grain: channel × month, of all months that the spend covers.

    new : `newcomers`; analysed : share of the spend that is compared with them (`analysed_share`).
    Returns channel, cohort (first day of the month), over (whether the month is), paid (whether the
    channel ever had spend), spend (that share of it, in the currency), customers, and of `with_cost`
    cac, low, high. Channels without spend have a spend of 0 and no cac: nothing says what they cost.
    """
    dated = spend.mutate(
        cohort=spend["date"].date().truncate("M"), channel=_plain(spend["channel"])
    )
    dated = dated.filter(dated["date"].date() <= until)
    money = dated.group_by("channel", "cohort").agg(spend=dated["amount"].sum().cast("float64"))
    won = new.group_by("channel", "cohort").agg(customers=new.count())
    paid, counted = money.to_pandas(), won.to_pandas()
    for table in (paid, counted):
        table["cohort"] = pd.to_datetime(table["cohort"])
    if paid.empty:
        return pd.DataFrame(columns=["channel", "cohort", "over", "paid", *_COST])
    months = pd.date_range(paid["cohort"].min(), paid["cohort"].max(), freq="MS")
    channels = sorted({*paid["channel"], *counted["channel"]} - {UNKNOWN})
    channels += [UNKNOWN] * (UNKNOWN in set(counted["channel"]))
    cells = pd.MultiIndex.from_product([channels, months], names=["channel", "cohort"]).to_frame(
        index=False
    )
    for table in (paid, counted):
        cells = cells.merge(table, on=["channel", "cohort"], how="left", validate="one_to_one")
    cells["spend"] = cells["spend"].fillna(0) * analysed
    cells["customers"] = cells["customers"].fillna(0).astype(int)
    cells["over"] = (cells["cohort"] + pd.offsets.MonthEnd(0)).dt.date <= until
    cells["paid"] = cells["channel"].isin(paid["channel"])
    return with_cost(cells)[["channel", "cohort", "over", "paid", *_COST]]


_COST = ["spend", "customers", "cac", "low", "high"]


def with_cost(table: pd.DataFrame) -> pd.DataFrame:
    """table with cac = spend / customers, low and high at LEVEL; missing without customers or spend.

    The number of customers won is taken as a Poisson count (`count_interval`); what was spent is
    known.
    """
    n, spend = table["customers"].to_numpy(float), table["spend"].to_numpy(float)
    fewest, most = count_interval(n)
    known = (n > 0) & (spend > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = {
            "cac": spend / n,
            "low": spend / most,
            "high": spend / fewest,
        }
    return table.assign(**{name: np.where(known, value, np.nan) for name, value in ends.items()})


def by_channel(cells: pd.DataFrame, *, minimum: int = 1) -> pd.DataFrame:
    """All months together, from `costs`. Grain: one channel; channel, paid, and as in `with_cost`.

    Customers and costs are missing of a channel that is not shown (`cells.hidden`), as it won fewer than
    `minimum` or tells of one that did.
    """
    sums = cells.groupby(["channel", "paid"], as_index=False, sort=False)[
        ["spend", "customers"]
    ].sum()
    table = with_cost(sums).sort_values(["paid", "spend"], ascending=False, ignore_index=True)
    return blanked(table, "customers", ["cac", "low", "high"], minimum=minimum, whole=True)


def totals(cells: pd.DataFrame) -> dict[str, Any]:
    """All channels and months together, from `costs`.

    customers, spend, cac, low, high (blended: all spend over all new customers); unpaid and unknown
    (shares of the new customers whose channel had no spend, or is not known); idle (spend in a
    month in which its channel won nobody), idle_months (how many of those).
    """
    customers = cells["customers"].sum()
    whole = with_cost(pd.DataFrame({"customers": [customers], "spend": [cells["spend"].sum()]}))
    idle = cells[(cells["customers"] == 0) & (cells["spend"] > 0)]
    unknown = cells["channel"] == UNKNOWN
    apart = {"unpaid": ~cells["paid"] & ~unknown, "unknown": unknown}
    shares = {
        name: cells.loc[rows, "customers"].sum() / customers if customers else float("nan")
        for name, rows in apart.items()
    }
    return {
        **whole.iloc[0].to_dict(),
        **shares,
        "idle": float(idle["spend"].sum()),
        "idle_months": len(idle),
    }


def record_cac(numbers: Numbers, cells: pd.DataFrame, *, currency: str) -> Number:
    """Record retention.cac from `costs`, blended over all channels; missing without customers."""
    told = totals(cells)
    return numbers.record(
        "retention.cac",
        told["cac"],
        low=told["low"],
        high=told["high"],
        level=LEVEL,
        unit=currency,
        n=told["customers"],
        definition=phrase(
            "acquisition spend over new customers, all channels together, those without spend "
            "included; of the spend, the share of customers who may be analysed"
        ),
    )


def cac_finding(cells: pd.DataFrame, *, currency: str, minimum: int = 1) -> str:
    """What a new customer costs, and which channel is dearest: a heading and its sentences. What fewer
    than `minimum` customers tell is left out."""
    told, channels = totals(cells), by_channel(cells, minimum=minimum).dropna(subset="cac")
    told["unknown"] *= told["unknown"] * told["customers"] >= minimum
    if np.isnan(told["cac"]):
        return phrase(
            "## Nothing says what a new customer costs\n\n"
            "In the months that the spend covers there were no new customers, or there was no spend."
        )
    said = [
        "## A new customer costs {cac:,.2f} {currency}\n\n"
        "That is all acquisition spend over all {customers:,.0f} new customers ({low:,.2f} to "
        "{high:,.2f}, 95% confidence, for the chance in how many came)."
    ]
    if len(channels) > 1:
        dear, cheap = (channels.sort_values("cac").iloc[end] for end in (-1, 0))
        said.append(
            "Over the customers that a channel won itself, **{dear} costs {dear_cac:,.2f}** and "
            "**{cheap} {cheap_cac:,.2f}**."
        )
        told |= {"dear": dear["channel"], "dear_cac": dear["cac"]}
        told |= {"cheap": cheap["channel"], "cheap_cac": cheap["cac"]}
    said.append(
        "{unpaid:.1%} came through channels without spend; of {unknown:.1%} the channel is not known."
        if told["unknown"]
        else "{unpaid:.1%} came through channels without spend."
    )
    if told["idle_months"]:
        said.append("{idle:,.2f} {currency} were spent in months in which the channel won nobody.")
    return " ".join(sentence(template, currency=currency, **told) for template in said)


def plot_cac(cells: pd.DataFrame, *, currency: str, ax: Axes | None = None) -> Axes:
    """Cost of a new customer by channel over the months that are over; a gap where none were won."""
    shown = _shown(cells)
    if shown.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, width=6.8)
    for (channel, rows), (color, line) in zip(
        shown.groupby("channel", sort=False), _LINES, strict=False
    ):
        ax.plot(
            rows["cohort"], rows["cac"], color=color, linestyle=line, linewidth=2, label=channel
        )
        ax.fill_between(
            rows["cohort"], rows["low"], rows["high"], color=color, alpha=0.12, linewidth=0
        )
    ax.legend(frameon=False, ncols=2, loc="upper left", bbox_to_anchor=(0, -0.14))
    ax.set_ylim(0, 1.15 * float(shown["high"].quantile(0.95)))
    ax.set(ylabel=phrase("{currency} a new customer", currency=currency))
    plots.date_axis(ax)
    return ax


def _shown(cells: pd.DataFrame) -> pd.DataFrame:
    channels = by_channel(cells).dropna(subset="cac")["channel"].head(len(_LINES))
    rows = cells[cells["over"] & cells["channel"].isin(channels)]
    return (
        rows.set_index("channel")
        .loc[[c for c in channels if c in set(rows["channel"])]]
        .reset_index()
    )


def describe_cac(cells: pd.DataFrame, *, currency: str) -> str:
    """What plot_cac shows, in words."""
    shown = _shown(cells).dropna(subset="cac")
    if shown.empty:
        return phrase("Lines without points: no month with spend and new customers is over yet.")
    parts = [
        phrase(
            "{channel} between {least:,.2f} and {most:,.2f}",
            channel=channel,
            least=rows["cac"].min(),
            most=rows["cac"].max(),
        )
        for channel, rows in shown.groupby("channel", sort=False)
    ]
    return phrase(
        "Lines of what a new customer cost by month, in {currency}: {channels}.",
        currency=currency,
        channels="; ".join(parts),
    )
