"""The figures of churn, each beside its words."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import cells, plots
from loyaltylab.figure_data import tabulate
from loyaltylab.language import phrase, shown
from loyaltylab.retention.churn import ChurnPeriod

_WHO_GO = {
    "month": "active customers who go,\nby month",
    "quarter": "active customers who go,\nby quarter",
}
_CURVE = {
    "month": "Curve of the share of active customers who go in a month: {first[churn]:.1%} in that of "
    "{first[start]:%B %Y}, {last[churn]:.1%} ({last[low]:.1%} to {last[high]:.1%}) in that of "
    "{last[start]:%B %Y}; the most, {top[churn]:.1%}, in that of {top[start]:%B %Y}.",
    "quarter": "Curve of the share of active customers who go in a quarter: {first[churn]:.1%} in that "
    "of {first[start]:%B %Y}, {last[churn]:.1%} ({last[low]:.1%} to {last[high]:.1%}) in that of "
    "{last[start]:%B %Y}; the most, {top[churn]:.1%}, in that of {top[start]:%B %Y}.",
}


def plot_churn(table: pd.DataFrame, *, period: ChurnPeriod, ax: Axes | None = None) -> Axes:
    """Share of active customers who go in each period, with its interval."""
    seen = table.dropna(subset="churn")
    if seen.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    ax.plot(
        seen["start"], seen["churn"], color=plots.OBSERVED, linewidth=2, marker="o", markersize=3
    )
    ax.fill_between(seen["start"], seen["low"], seen["high"], color=plots.OBSERVED, alpha=0.2)
    ax.yaxis.set_major_formatter(plots.percent)
    ax.set_ylim(bottom=0)
    plots.date_axis(ax)
    ax.set(ylabel=phrase(_WHO_GO[period]))
    return ax


def describe_churn(table: pd.DataFrame, *, period: ChurnPeriod) -> str:
    """What plot_churn shows, in words."""
    seen = table.dropna(subset="churn")
    if seen.empty:
        return phrase("Curve without points: nobody could be counted as gone yet.")
    first, last = seen.iloc[0], seen.iloc[-1]
    top = seen.nlargest(1, "churn").iloc[0]
    return phrase(_CURVE[period], first=first, last=last, top=top)


_MOVED = ["won", "won_back", "churned"]


def _hidden(seen: pd.DataFrame, minimum: int) -> pd.DataFrame:
    """Which moves of too few customers are not shown: how many there were before and after is known,
    and how many moved in all periods together."""
    return cells.hidden(seen[_MOVED], minimum=minimum, sums=[_MOVED], down=True)


def plot_active(table: pd.DataFrame, *, minimum: int = 1, ax: Axes | None = None) -> Axes:
    """Customers lost below the line and those won and won back above it, by period; without numbers that
    tell of fewer than `minimum`."""
    seen = table.dropna(subset="churned")
    if seen.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    seen = seen.assign(**seen[_MOVED].mask(_hidden(seen, minimum)))
    ax = plots.new_axes(ax)
    width = 0.8 * (seen["start"].diff().median() if len(seen) > 1 else pd.Timedelta(days=30))
    bars: Any = {"width": width, "align": "edge"}
    ax.bar(seen["start"], seen["won"], color=plots.OBSERVED, label=phrase("won"), **bars)
    ax.bar(
        seen["start"],
        seen["won_back"],
        bottom=seen["won"].fillna(0),
        color="#5FA8DE",
        label=phrase("won back"),
        **bars,
    )
    ax.bar(seen["start"], -seen["churned"], color=plots.NEUTRAL, label=phrase("gone"), **bars)
    ax.axhline(0, color=plots.INK, linewidth=0.8)
    ax.legend(frameon=False, ncols=3, fontsize=9)
    ax.yaxis.set_major_formatter(lambda count, _: shown(abs(count), ",.0f"))
    plots.date_axis(ax)
    ax.grid(visible=False, axis="x")
    ax.set(ylabel=phrase("customers"))
    told = seen[["start", "won", "won_back", "churned"]]
    told = told.set_axis(["from", "won", "won back", "gone"], axis=1)
    return tabulate(ax, told, "customers won, won back and gone, by period")


def describe_active(table: pd.DataFrame, *, minimum: int = 1) -> str:
    """What plot_active shows, in words."""
    seen = table.dropna(subset="churned")
    if seen.empty:
        return phrase("Bars without height: no period is over yet.")
    sums = seen[["won", "won_back", "churned"]].sum()
    return phrase(
        "Bars by period from {since:%B %Y} to {last[start]:%B %Y}: {sums[won]:,.0f} customers won, "
        "{sums[won_back]:,.0f} won back and {sums[churned]:,.0f} gone in all; in the last "
        "{last[won]:,.0f}, {last[won_back]:,.0f} and {last[churned]:,.0f}.",
        since=seen["start"].iloc[0],
        sums=sums,
        last=cells.said(seen.iloc[-1], _hidden(seen, minimum).iloc[-1]),
    )
