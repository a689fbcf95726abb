"""The figures of the page on segments, each beside its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.cells import Some
from loyaltylab.figure_data import tabulate
from loyaltylab.language import phrase, shown
from loyaltylab.numbers import spanned
from loyaltylab.segments.groups import UNKNOWN
from loyaltylab.segments.migration import NEWCOMERS
from loyaltylab.segments.rfm import SEGMENTS


def plot_segments(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Each segment's share of customers beside its share of revenue, from `segment_table`."""
    ax = plots.new_axes(ax, height=1.2 + 0.34 * len(table))
    at = np.arange(len(table))
    for place, name, colour, label in (
        (-0.18, "of_customers", plots.NEUTRAL, phrase("of customers")),
        (0.18, "of_revenue", plots.OBSERVED, phrase("of revenue")),
    ):
        ax.barh(at + place, table[name], height=0.34, color=colour, label=label)
    ax.set_yticks(at, _names(table))
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_formatter(plots.percent)
    ax.legend(frameon=False, ncols=2, loc="upper left", bbox_to_anchor=(-0.05, -0.08))
    return ax


def describe_segments(table: pd.DataFrame) -> str:
    """What plot_segments shows, in words."""
    parts = [
        phrase(
            "{name} {share:.0%} and {revenue}",
            name=name,
            share=Some("nan") if pd.isna(share) else share,
            revenue=phrase("unknown") if pd.isna(revenue) else shown(revenue, ".0%"),
        )
        for name, share, revenue in zip(
            _names(table), table["of_customers"], table["of_revenue"], strict=True
        )
    ]
    return phrase(
        "Bars of each segment's share of customers and of revenue: {parts}.", parts="; ".join(parts)
    )


def plot_grid(cells: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Heat map of the share of customers by class of recency and of frequency, from `grid`."""
    if cells["share"].isna().all():
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    table = cells.pivot(index="r", columns="f", values="share").sort_index(ascending=False)
    ax = plots.new_axes(ax, width=5.2, height=3.6)
    _heat(table, ax)
    ax.set(xlabel=phrase("frequency, 5: buy most often"), ylabel=phrase("recency, 5: bought last"))
    names = {f: phrase("frequency {f}", f=f) for f in table.columns}
    told = table.rename(columns=names).rename_axis("recency").reset_index()
    told["recency"] = told["recency"].astype(str)
    caption = "share of customers by recency and frequency, 5 the best"
    return tabulate(ax, told, caption, formats="{:.1%}")


def describe_grid(cells: pd.DataFrame) -> str:
    """What plot_grid shows, in words."""
    most = cells.dropna(subset="share").nlargest(3, "share")
    if most.empty:
        return phrase("Heat map without cells: there are too few customers to show any.")
    said = [
        phrase("{share:.0%} in recency {r} and frequency {f}", share=row.share, r=row.r, f=row.f)
        for row in most.itertuples()
    ]
    return phrase(
        "Heat map of customers by class of recency and of frequency, 5 the best: {said}.",
        said=", ".join(said),
    )


def plot_migration(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Heat map of where the customers of each earlier segment are now, from `moves`."""
    rows = [*SEGMENTS, NEWCOMERS]
    shares = table.pivot(index="before", columns="now", values="share").reindex(rows)
    shares = shares[list(SEGMENTS)].dropna(how="all")
    if shares.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, width=6.8, height=2.0 + 0.3 * len(shares))
    _heat(shares.rename(index=phrase, columns=phrase), ax)
    ax.tick_params(axis="x", rotation=45)
    for label in ax.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    ax.set(xlabel=phrase("segment now"), ylabel=phrase("segment before"))
    told = shares.rename(index=phrase).rename_axis("segment before").reset_index()
    caption = "share of each segment before, by segment now"
    return tabulate(ax, told, caption, formats="{:.1%}")


def describe_migration(table: pd.DataFrame) -> str:
    """What plot_migration shows, in words."""
    seen = table.dropna(subset="share")
    if seen.empty:
        return phrase("Heat map without cells: there was no customer to move.")
    top = seen.loc[seen.groupby("before", sort=False)["share"].idxmax()]
    said = [
        phrase(
            "{before} mostly {now} ({share:.0%})",
            before=phrase(row["before"]),
            now=phrase(row["now"]),
            share=row["share"],
        )
        for row in top.to_dict("records")
    ]
    return phrase(
        "Heat map of segments before by segments now, in shares of those before: {said}.",
        said="; ".join(said),
    )


def plot_shares(table: pd.DataFrame, *, what: str, ax: Axes | None = None) -> Axes:
    """share with its interval, one line a group, from `by_group` or `judged`; what : of the share."""
    seen = table.dropna(subset="share")
    if seen.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=1.0 + 0.32 * len(seen))
    spread = np.clip([seen["share"] - seen["low"], seen["high"] - seen["share"]], 0, None)
    ax.errorbar(
        seen["share"], _names(seen), xerr=spread, fmt="o", color=plots.OBSERVED, elinewidth=2
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
        return phrase("Points of {what}: none was observed yet.", what=what)
    ends = zip(_names(seen), seen["share"], seen["low"], seen["high"], strict=True)
    said = [f"{name} {spanned(share, low, high, '.1%')}" for name, share, low, high in ends]
    return phrase("Points of {what}, with 95% intervals: {said}.", what=what, said="; ".join(said))


def _names(table: pd.DataFrame) -> list[str]:
    """The first column as a reader has it: segments and what is not known have names of ours, any other
    name is data."""
    names = table[table.columns[0]]
    ours = SEGMENTS if names.name == "segment" else (UNKNOWN,)
    return [phrase(name) if name in ours else name for name in names]


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
