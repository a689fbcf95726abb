"""The figures of the page, each with its words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from loyaltylab import plots
from loyaltylab.journey.attribution import RULES
from loyaltylab.journey.channel_findings import RULE_NAMES, way
from loyaltylab.journey.findings import each, named, some
from loyaltylab.journey.visits import UNKNOWN
from loyaltylab.language import phrase, shown
from loyaltylab.numbers import spanned

_LINES = ((plots.OBSERVED, "-"), (plots.INK, "--"), ("#00795A", "-."), (plots.NEUTRAL, ":"))
_MARKS = ("o", "s", "^", "D")


def plot_funnel(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Share of all visits that got at least so far, stage by stage, with its interval."""
    ax = plots.new_axes(ax, height=2.4)
    stages = [phrase(stage) for stage in table["stage"]]
    around = [table["share"] - table["low"], table["high"] - table["share"]]
    ax.barh(
        stages, table["share"], height=0.6, color=plots.OBSERVED, xerr=np.nan_to_num(around),
        ecolor=plots.INK,
    )  # fmt: skip
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_formatter(plots.percent)
    ax.set(xlabel=phrase("share of visits that got at least so far"))
    return ax


def describe_funnel(table: pd.DataFrame) -> str:
    """What plot_funnel shows, in words."""
    said = ", ".join(
        phrase("{share:.1%} {stage}", share=row.share, stage=phrase(row.stage))
        for row in each(table)
    )
    return phrase("Bars of the share of visits that got at least so far: {stages}.", stages=said)


def plot_months(months: pd.DataFrame, names: Sequence[str], *, ax: Axes | None = None) -> Axes:
    """Conversion by month of the channels with most visits, with bands; a gap where too few came."""
    kept = _largest(months, names)
    if not kept:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, width=6.8)
    for (name, rows), (color, line) in zip(kept, _LINES, strict=False):
        every = pd.date_range(rows["month"].min(), rows["month"].max(), freq="MS")
        part = rows.set_index("month").reindex(every)
        ax.plot(every, part["share"], color=color, linestyle=line, linewidth=2, label=named(name))
        ax.fill_between(every, part["low"], part["high"], color=color, alpha=0.12, linewidth=0)
    ax.legend(frameon=False, ncols=4, loc="upper left", bbox_to_anchor=(0, -0.14))
    ax.yaxis.set_major_formatter(plots.percent)
    ax.set_ylim(bottom=0)
    ax.set(ylabel=phrase("visits that end with a purchase"))
    plots.date_axis(ax)
    return ax


def _largest(months: pd.DataFrame, names: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    sizes = months.groupby("channel")["whole"].sum().sort_values(ascending=False, kind="stable")
    codes = [code for code in sizes.index if names[code] != UNKNOWN][: len(_LINES)]
    return [(names[code], months[months["channel"] == code]) for code in codes]


def describe_months(months: pd.DataFrame, names: Sequence[str]) -> str:
    """What plot_months shows, in words."""
    kept = _largest(months, names)
    if not kept:
        return phrase("Lines without points: in no month enough visits came by one channel.")
    said = "; ".join(
        phrase(
            "{channel} {points}",
            channel=named(name),
            points=", ".join(
                phrase("{share:.1%} in {month:%b %Y}", share=row.share, month=row.month)
                for row in some(rows)
            ),
        )
        for name, rows in kept
    )
    return phrase("Lines of the share of visits that end with a purchase: {said}.", said=said)


def plot_credits(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Each channel's share of first orders by each rule, with its interval."""
    rows = table.dropna(subset=list(RULES))
    if rows.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=1.2 + 0.55 * len(rows))
    at = np.arange(len(rows))
    for number, (rule, (color, _), mark) in enumerate(zip(RULES, _LINES, _MARKS, strict=True)):
        around = [rows[rule] - rows[f"{rule}_low"], rows[f"{rule}_high"] - rows[rule]]
        ax.errorbar(
            rows[rule], at + 0.17 * (number - 1.5), xerr=around, fmt=mark, color=color,
            markersize=5, linewidth=1.2, label=phrase(RULE_NAMES[rule]),
        )  # fmt: skip
    ax.set_yticks(at, [named(name) for name in rows["channel"]])
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter(plots.percent)
    ax.set_xlim(left=0)
    ax.set(xlabel=phrase("share of first orders"))
    ax.legend(frameon=False, ncols=4, loc="upper left", bbox_to_anchor=(-0.12, -0.16), fontsize=9)
    return ax


def describe_credits(table: pd.DataFrame) -> str:
    """What plot_credits shows, in words."""
    rows = table.dropna(subset=list(RULES))
    if rows.empty:
        return phrase("Points without channels: no way led to an order that visits show.")
    said = "; ".join(
        phrase(
            "{channel} {first:.1%}, {last:.1%}, {linear:.1%} and {markov:.1%}",
            channel=named(row.channel),
            first=row.first,
            last=row.last,
            linear=row.linear,
            markov=row.markov,
        )
        for row in each(rows)
    )
    return phrase(
        "Points of each channel's share of first orders by first touch, last touch, equal parts and "
        "removal effect: {said}.",
        said=said,
    )


def plot_ways(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Visitors on the most frequent ways, and how many of them ordered."""
    if table.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, width=6.8, height=1.2 + 0.34 * len(table))
    at = np.arange(len(table))
    for place, name, color, label in (
        (-0.18, "visitors", plots.NEUTRAL, phrase("visitors")),
        (0.18, "won", plots.OBSERVED, phrase("ordered")),
    ):
        ax.barh(at + place, table[name].round(), height=0.34, color=color, label=label)
    ax.set_yticks(at, [way(row.channels, row.more) for row in each(table)])
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_formatter(plots.thousands)
    ax.legend(frameon=False, ncols=2, loc="upper left", bbox_to_anchor=(0, -0.1))
    return ax


def describe_ways(table: pd.DataFrame) -> str:
    """What plot_ways shows, in words."""
    if table.empty:
        return phrase("Bars without ways: every way is of too few visitors.")
    said = "; ".join(
        phrase(
            "{way} {visitors:,.0f}, of whom {won:,.0f} ordered",
            way=way(row.channels, row.more),
            visitors=row.visitors,
            won=row.won,
        )
        for row in each(table)
    )
    return phrase("Bars of the visitors on the most frequent ways: {ways}.", ways=said)


def plot_calibration(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """How often visitors bought beside how likely they were thought to, in classes of equal size."""
    ax = plots.new_axes(ax, width=5.2, height=3.6)
    top = 1.1 * float(max(table["high"].max(), table["expected"].max()))
    label = phrase("as it should be")
    ax.plot([0, top], [0, top], color=plots.NEUTRAL, linestyle=":", linewidth=1.2, label=label)
    around = [table["share"] - table["low"], table["high"] - table["share"]]
    ax.errorbar(
        table["expected"], table["share"], yerr=around, fmt="o", color=plots.OBSERVED,
        label=phrase("visitors of later days"),
    )  # fmt: skip
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(plots.percent)
    ax.set(xlabel=phrase("chance that they were given"), ylabel=phrase("bought in fact"))
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.2), ncols=2, fontsize=9)
    return ax


def describe_calibration(table: pd.DataFrame) -> str:
    """What plot_calibration shows, in words."""
    said = ", ".join(
        phrase("{share:.1%} where {expected:.1%} were expected", share=r.share, expected=r.expected)
        for r in each(table)
    )
    return phrase(
        "Points of the share of visitors who bought, from the least likely class on: {points}.",
        points=said,
    )


def plot_gaps(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """How much more each category is bought than looked at, on a scale of ratios."""
    if table.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=1.2 + 0.34 * len(table))
    rows = table.sort_values(["ratio", "category"], ignore_index=True)
    for is_found, color, mark, label in (
        (True, plots.OBSERVED, "o", phrase("beyond chance")),
        (False, plots.NEUTRAL, "s", phrase("not beyond chance")),
    ):
        part = rows[rows["found"] == is_found]
        if len(part):
            around = [part["ratio"] - part["low"], part["high"] - part["ratio"]]
            ax.errorbar(part["ratio"], part.index, xerr=around, fmt=mark, color=color, label=label)
    ax.axvline(1, color=plots.INK, linestyle=":", linewidth=1.2)
    ax.set_xscale("log")
    low, high = float(rows["low"].min()), float(rows["high"].max())
    ticks = [
        x for x in (0.1, 0.2, 0.33, 0.5, 0.7, 1, 1.4, 2, 3, 5, 10) if low / 1.3 < x < high * 1.3
    ]
    ax.set_xticks(ticks)
    ax.minorticks_off()
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: shown(x, "g")))
    ax.set_yticks(range(len(rows)), list(rows["category"]))
    ax.invert_yaxis()
    ax.set(xlabel=phrase("times as much bought as looked at"))
    ax.legend(frameon=False, ncols=2, loc="upper left", bbox_to_anchor=(0, -0.2))
    return ax


def describe_gaps(table: pd.DataFrame) -> str:
    """What plot_gaps shows, in words."""
    if table.empty:
        return phrase("Points without categories: none is looked at and bought often enough.")
    rows = table.sort_values(["ratio", "category"])
    said = ", ".join(
        phrase(
            "{category} {ratio}",
            category=row.category,
            ratio=spanned(row.ratio, row.low, row.high, ".2f"),
        )
        for row in each(rows)
    )
    return phrase(
        "Points of how many times as much each category is bought as looked at: {said}.", said=said
    )
