"""Figures of the page on value, each with its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from loyaltylab import plots
from loyaltylab.figure_data import tabulate

_RULE = 3  # of thumb, times the cost


def plot_groups(table: pd.DataFrame, *, currency: str, ax: Axes | None = None) -> Axes:
    """Bars of what a customer of each group (`by_group`) brought so far and is expected to bring."""
    shown = _told(table)
    if shown.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=0.9 + 0.5 * len(shown))
    at = np.arange(len(shown))
    ax.barh(at - 0.19, shown["so_far"], 0.36, color=plots.OBSERVED, label="so far")
    ax.barh(at + 0.19, shown["to_come"], 0.36, color=plots.MODEL, label="to come")
    ends = np.abs(shown[["low", "high"]].to_numpy().T - shown["to_come"].to_numpy())
    ax.errorbar(shown["to_come"], at + 0.19, xerr=ends, fmt="none", color=plots.INK, capsize=2)
    ax.set_yticks(at, shown[table.columns[0]].astype(str).tolist())
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.axvline(0, color="#999999", linewidth=0.8)
    ax.set(xlabel=f"{currency} a customer")
    ax.xaxis.set_major_formatter(plots.thousands)
    ax.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    return ax


def describe_groups(table: pd.DataFrame, *, currency: str) -> str:
    """What plot_groups shows, in words."""
    shown = _told(table)
    if shown.empty:
        return "Bars without values: no group has customers enough to be shown."
    parts = [
        f"{row[0]}: {row.so_far:,.2f} and {row.to_come:,.2f}"
        for row in shown.itertuples(index=False)
    ]
    return f"Bars of {currency} a customer, so far and to come. {'; '.join(parts)}."


def _told(table: pd.DataFrame) -> pd.DataFrame:
    return table.dropna(subset="to_come")


def plot_ratios(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Value over cost by channel (`ltv_to_cac`) with its interval, and where cost is just covered."""
    shown = table.dropna(subset="ratio")
    if shown.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=1.1 + 0.4 * len(shown))
    at = np.arange(len(shown))
    ends = np.abs(shown[["low", "high"]].to_numpy().T - shown["ratio"].to_numpy())
    ax.errorbar(shown["ratio"], at, xerr=ends, fmt="o", color=plots.MODEL, capsize=3)
    for level, line, said in ((1, "-", "cost covered"), (_RULE, ":", "rule of thumb")):
        ax.axvline(level, color=plots.NEUTRAL, linestyle=line, linewidth=1.2, label=said)
    ax.set_yticks(at, shown["channel"].tolist())
    ax.set_ylim(len(shown) - 0.5, -0.5)
    ax.set_xlim(left=min(0, float(shown["low"].min())))
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="value of a customer over the cost to win one")
    ax.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    return ax


def describe_ratios(table: pd.DataFrame) -> str:
    """What plot_ratios shows, in words."""
    shown = table.dropna(subset="ratio")
    if shown.empty:
        return "Points without values: no channel has both spend and customers."
    parts = [
        f"{row.channel} {row.ratio:.1f} ({row.low:.1f} to {row.high:.1f})"
        for row in shown.itertuples()
    ]
    return f"Points of value over cost, with lines at 1 and {_RULE}: {'; '.join(parts)}."


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
        text = f"{value:,.0f}\n{mean[row, column]:,.2f}"
        ax.text(column, row, text, ha="center", va="center", color=plots.INK, fontsize=9)
    ax.set_xticks(range(wide.shape[1]), [f"{m:.0%}" for m in wide.columns])
    ax.set_yticks(range(wide.shape[0]), [f"{d:.0%}" for d in wide.index])
    column, row = (
        np.abs(axis.to_numpy(float) - at).argmin()
        for axis, at in ((wide.columns, margin), (wide.index, discount))
    )
    corner = (column - 0.5, row - 0.5)
    ax.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=plots.MODEL, linewidth=2.5))
    ax.set(xlabel="margin, share of the amount", ylabel="discount a year")
    told = table[["margin", "discount", "total", "mean"]].set_axis(
        ["margin", "discount a year", "worth of all", "worth of a customer"], axis=1
    )
    formats = {"margin": "{:.0%}", "discount a year": "{:.0%}"}
    return tabulate(ax, told, "worth by margin and discount", formats=formats)


def describe_sensitivity(table: pd.DataFrame, *, currency: str) -> str:
    """What plot_sensitivity shows, in words."""
    ranked = table.sort_values("total", kind="stable")
    low, high = ranked.iloc[0], ranked.iloc[-1]
    return (
        f"Cells of total worth in {currency} by margin and discount a year: from {low['total']:,.0f} at "
        f"a margin of {low['margin']:.0%} and a discount of {low['discount']:.0%} to "
        f"{high['total']:,.0f} at {high['margin']:.0%} and {high['discount']:.0%}."
    )
