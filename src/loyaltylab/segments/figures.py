"""The figures of the page on segments, each beside its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.figure_data import tabulate
from loyaltylab.segments.migration import NEWCOMERS
from loyaltylab.segments.rfm import SEGMENTS


def plot_segments(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Each segment's share of customers beside its share of revenue, from `segment_table`."""
    ax = plots.new_axes(ax, height=1.2 + 0.34 * len(table))
    at = np.arange(len(table))
    ax.barh(
        at - 0.18, table["of_customers"], height=0.34, color=plots.NEUTRAL, label="of customers"
    )
    ax.barh(at + 0.18, table["of_revenue"], height=0.34, color=plots.OBSERVED, label="of revenue")
    ax.set_yticks(at, table["segment"])
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_formatter(plots.percent)
    ax.legend(frameon=False, ncols=2, loc="upper left", bbox_to_anchor=(-0.05, -0.08))
    return ax


def describe_segments(table: pd.DataFrame) -> str:
    """What plot_segments shows, in words."""
    money = table["of_revenue"].map("{:.0%}".format, na_action="ignore").fillna("unknown")
    parts = [
        f"{name} {share:.0%} and {revenue}"
        for name, share, revenue in zip(table["segment"], table["of_customers"], money, strict=True)
    ]
    return f"Bars of each segment's share of customers and of revenue: {'; '.join(parts)}."


def plot_grid(cells: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Heat map of the share of customers by class of recency and of frequency, from `grid`."""
    shares = cells.assign(share=cells["customers"] / cells["customers"].sum())
    table = shares.pivot(index="r", columns="f", values="share").sort_index(ascending=False)
    ax = plots.new_axes(ax, width=5.2, height=3.6)
    _heat(table, ax)
    ax.set(xlabel="frequency, 5: buy most often", ylabel="recency, 5: bought last")
    told = table.rename(columns="frequency {}".format).rename_axis("recency").reset_index()
    told["recency"] = told["recency"].astype(str)
    caption = "share of customers by recency and frequency, 5 the best"
    return tabulate(ax, told, caption, formats="{:.1%}")


def describe_grid(cells: pd.DataFrame) -> str:
    """What plot_grid shows, in words."""
    shares = cells.assign(share=cells["customers"] / cells["customers"].sum())
    most = shares.nlargest(3, "share")
    said = ", ".join(
        f"{row.share:.0%} in recency {row.r} and frequency {row.f}" for row in most.itertuples()
    )
    return f"Heat map of customers by class of recency and of frequency, 5 the best: {said}."


def plot_migration(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Heat map of where the customers of each earlier segment are now, from `moves`."""
    rows = [*SEGMENTS, NEWCOMERS]
    shares = table.pivot(index="before", columns="now", values="share").reindex(rows)
    shares = shares[list(SEGMENTS)].dropna(how="all")
    if shares.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, width=6.8, height=2.0 + 0.3 * len(shares))
    _heat(shares, ax)
    ax.tick_params(axis="x", rotation=45)
    for label in ax.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    ax.set(xlabel="segment now", ylabel="segment before")
    told = shares.rename_axis("segment before").reset_index()
    caption = "share of each segment before, by segment now"
    return tabulate(ax, told, caption, formats="{:.1%}")


def describe_migration(table: pd.DataFrame) -> str:
    """What plot_migration shows, in words."""
    seen = table.dropna(subset="share")
    if seen.empty:
        return "Heat map without cells: there was no customer to move."
    top = seen.loc[seen.groupby("before", sort=False)["share"].idxmax()]
    said = "; ".join(f"{row.before} mostly {row.now} ({row.share:.0%})" for row in top.itertuples())
    return f"Heat map of segments before by segments now, in shares of those before: {said}."


def plot_shares(table: pd.DataFrame, *, what: str, ax: Axes | None = None) -> Axes:
    """share with its interval, one line a group, from `by_group` or `judged`; what : of the share."""
    seen = table.dropna(subset="share")
    if seen.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    names = seen.columns[0]
    ax = plots.new_axes(ax, height=1.0 + 0.32 * len(seen))
    spread = np.clip([seen["share"] - seen["low"], seen["high"] - seen["share"]], 0, None)
    ax.errorbar(
        seen["share"], seen[names], xerr=spread, fmt="o", color=plots.OBSERVED, elinewidth=2
    )
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.margins(y=0.1)
    ax.xaxis.set_major_formatter(plots.percent)
    ax.set(xlabel=what)
    return ax


def describe_shares(table: pd.DataFrame, *, what: str) -> str:
    """What plot_shares shows, in words."""
    seen = table.dropna(subset="share")
    if seen.empty:
        return f"Points of {what}: none was observed yet."
    names = seen.columns[0]
    said = "; ".join(
        f"{row[names]} {row['share']:.1%} ({row['low']:.1%} to {row['high']:.1%})"
        for row in seen.to_dict("records")
    )
    return f"Points of {what}, with 95% intervals: {said}."


def _heat(shares: pd.DataFrame, ax: Axes) -> None:
    """Shares in percent in their cells, which are the darker the greater."""
    sns.heatmap(
        shares,
        ax=ax,
        cmap=plots.SEQUENCE,
        vmin=0,
        annot=shares.map(lambda s: f"{100 * s:.0f}" if s > 0 else ""),
        fmt="",
        annot_kws={"size": 9, "color": plots.INK},
        linewidths=0.5,
        cbar=False,
    )
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.tick_params(axis="y", rotation=0)
