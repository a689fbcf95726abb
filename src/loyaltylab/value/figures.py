"""Figures of the page on value, each with its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from loyaltylab import plots
from loyaltylab.figure_data import tabulate
from loyaltylab.language import filled, phrase
from loyaltylab.numbers import spanned
from loyaltylab.value.breakdown import named

_RULE = 3  # of thumb, times the cost


def plot_groups(table: pd.DataFrame, *, currency: str, ax: Axes | None = None) -> Axes:
    """Bars of what a customer of each group (`by_group`) brought so far and is expected to bring."""
    shown = _told(table)
    if shown.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=0.9 + 0.5 * len(shown))
    at = np.arange(len(shown))
    ax.barh(at - 0.19, shown["so_far"], 0.36, color=plots.OBSERVED, label=phrase("so far"))
    ax.barh(at + 0.19, shown["to_come"], 0.36, color=plots.MODEL, label=phrase("to come"))
    ends = np.abs(shown[["low", "high"]].to_numpy().T - shown["to_come"].to_numpy())
    ax.errorbar(shown["to_come"], at + 0.19, xerr=ends, fmt="none", color=plots.INK, capsize=2)
    ax.set_yticks(at, shown[table.columns[0]].astype(str).tolist())
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.axvline(0, color="#999999", linewidth=0.8)
    ax.set(xlabel=phrase("{currency} a customer", currency=currency))
    ax.xaxis.set_major_formatter(plots.thousands)
    ax.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    return ax


def describe_groups(table: pd.DataFrame, *, currency: str) -> str:
    """What plot_groups shows, in words."""
    shown = _told(table)
    if shown.empty:
        return phrase("Bars without values: no group has customers enough to be shown.")
    parts = [
        phrase(
            "{name}: {so_far:,.2f} and {to_come:,.2f}",
            name=row[0],
            so_far=row.so_far,
            to_come=row.to_come,
        )
        for row in shown.itertuples(index=False)
    ]
    return phrase(
        "Bars of {currency} a customer, so far and to come. {parts}.",
        currency=currency,
        parts="; ".join(parts),
    )


def _told(table: pd.DataFrame) -> pd.DataFrame:
    return named(table.dropna(subset="to_come"))


def plot_ratios(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Value over cost by channel (`ltv_to_cac`) with its interval, and where cost is just covered."""
    shown = named(table.dropna(subset="ratio"))
    if shown.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=1.1 + 0.4 * len(shown))
    at = np.arange(len(shown))
    ends = np.abs(shown[["low", "high"]].to_numpy().T - shown["ratio"].to_numpy())
    ax.errorbar(shown["ratio"], at, xerr=ends, fmt="o", color=plots.MODEL, capsize=3)
    for level, line, said in ((1, "-", "cost covered"), (_RULE, ":", "rule of thumb")):
        ax.axvline(level, color=plots.NEUTRAL, linestyle=line, linewidth=1.2, label=phrase(said))
    ax.set_yticks(at, shown["channel"].tolist())
    ax.set_ylim(len(shown) - 0.5, -0.5)
    ax.set_xlim(left=min(0, float(shown["low"].min())))
    ax.grid(axis="y", visible=False)
    ax.set(xlabel=phrase("value of a customer over the cost to win one"))
    ax.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    return ax


def describe_ratios(table: pd.DataFrame) -> str:
    """What plot_ratios shows, in words."""
    shown = named(table.dropna(subset="ratio"))
    if shown.empty:
        return phrase("Points without values: no channel has both spend and customers.")
    ends = zip(shown["channel"], shown["ratio"], shown["low"], shown["high"], strict=True)
    parts = [f"{channel} {spanned(ratio, low, high, '.1f')}" for channel, ratio, low, high in ends]
    return phrase(
        "Points of value over cost, with lines at 1 and {rule}: {parts}.",
        rule=_RULE,
        parts="; ".join(parts),
    )


def plot_sensitivity(
    table: pd.DataFrame, *, margin: float, discount: float, ax: Axes | None = None
) -> Axes:
    """Worth by margin and discount (`sensitivity`), in all and below it of a customer; a frame around
    what the page uses."""
    wide, each = (table.pivot(index="discount", columns="margin", values=name)
                  for name in ("total", "mean"))  # fmt: skip
    ax = plots.new_axes(ax, height=0.9 + 0.5 * len(wide))
    values, mean = wide.to_numpy(), each.to_numpy()
    ax.imshow(values, cmap=plots.SEQUENCE, aspect="auto")
    ax.grid(visible=False)
    for (row, column), value in np.ndenumerate(values):
        text = filled("{:,.0f}\n{:,.2f}", value, mean[row, column])
        ax.text(column, row, text, ha="center", va="center", color=plots.INK, fontsize=9)
    ax.set_xticks(range(wide.shape[1]), [filled("{:.0%}", m) for m in wide.columns])
    ax.set_yticks(range(wide.shape[0]), [filled("{:.0%}", d) for d in wide.index])
    column, row = (
        np.abs(axis.to_numpy(float) - at).argmin()
        for axis, at in ((wide.columns, margin), (wide.index, discount))
    )
    corner = (column - 0.5, row - 0.5)
    ax.set(xlabel=phrase("margin, share of the amount"), ylabel=phrase("discount a year"))
    ax.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=plots.MODEL, linewidth=2.5))
    told = table[["margin", "discount", "total", "mean"]].set_axis(
        ["margin", "discount a year", "worth of all", "worth of a customer"], axis=1
    )
    formats = {"margin": "{:.0%}", "discount a year": "{:.0%}"}
    return tabulate(ax, told, "worth by margin and discount", formats=formats)


def describe_sensitivity(table: pd.DataFrame, *, currency: str) -> str:
    """What plot_sensitivity shows, in words."""
    ranked = table.sort_values("total", kind="stable")
    low, high = ranked.iloc[0], ranked.iloc[-1]
    return phrase(
        "Cells of total worth in {currency} by margin and discount a year: from {least:,.0f} at a "
        "margin of {low_margin:.0%} and a discount of {low_discount:.0%} to {most:,.0f} at "
        "{high_margin:.0%} and {high_discount:.0%}.",
        currency=currency,
        least=low["total"],
        low_margin=low["margin"],
        low_discount=low["discount"],
        most=high["total"],
        high_margin=high["margin"],
        high_discount=high["discount"],
    )
