"""The figures of the page on service, each beside its words."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.language import phrase, shown
from loyaltylab.service.sentiment import Sentiment
from loyaltylab.service.volumes import named

_PANELS = 6  # topics with a panel of their own: those with most tickets
_PLATFORMS = 4  # platforms with one: those with most reviews


def _band(ax: Axes, x: pd.Series, table: pd.DataFrame, name: str, color: str) -> None:
    ends = (table[f"{name}_low"], table[f"{name}_high"])
    ax.fill_between(x, *ends, color=color, alpha=0.18, linewidth=0)


def plot_volumes(months: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Tickets per 100 orders in the months that are over, with their interval."""
    rows = months[months["over"]].dropna(subset="per_100")
    if rows.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    ax.plot(rows["month"], rows["per_100"], color=plots.OBSERVED, linewidth=2)
    ax.fill_between(
        rows["month"], rows["low"], rows["high"], color=plots.OBSERVED, alpha=0.18, linewidth=0
    )
    ax.set_ylim(bottom=0)
    ax.set(ylabel=phrase("tickets per 100 orders"))
    plots.date_axis(ax)
    return ax


def describe_volumes(months: pd.DataFrame) -> str:
    """What plot_volumes shows, in words."""
    over = months[months["over"]].dropna(subset="per_100")
    if over.empty:
        return phrase("A line without points: no month with orders is over yet.")
    said = ", ".join(
        phrase(
            "{value:.1f} ({low:.1f} to {high:.1f}) in {month:%b %Y}",
            value=row.per_100,
            low=row.low,
            high=row.high,
            month=row.month,
        )
        for row in _some(over)
    )
    return phrase("Line of tickets per 100 orders by month, with its interval: {said}.", said=said)


def _some(table: pd.DataFrame) -> list[Any]:
    """The first, the middle and the last row."""
    return list(table.iloc[sorted({0, len(table) // 2, len(table) - 1})].itertuples())


def plot_waits(months: pd.DataFrame, *, level: float, ax: Axes | None = None) -> Axes:
    """Hours to the first reply by month of opening: half of the tickets, and nine in ten."""
    rows = months.dropna(subset="median")
    if rows.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    lines = (
        ("p90", plots.MODEL, "--", phrase("nine in ten")),
        ("median", plots.OBSERVED, "-", phrase("half")),
    )
    for name, color, line, label in lines:
        ax.plot(rows["month"], rows[name], color=color, linestyle=line, linewidth=2, label=label)
        _band(ax, rows["month"], rows, name, color)
    label = phrase("service level")
    ax.axhline(level, color=plots.NEUTRAL, linestyle=":", linewidth=1.2, label=label)
    ax.legend(frameon=False, ncols=3, loc="upper left", bbox_to_anchor=(0, -0.14))
    ax.set_ylim(0, 1.3 * max(level, float(rows["p90"].fillna(0).max())))
    ax.set(ylabel=phrase("hours until so many have a reply"))
    plots.date_axis(ax)
    return ax


def describe_waits(months: pd.DataFrame) -> str:
    """What plot_waits shows, in words."""
    had = months.dropna(subset="median")
    if had.empty:
        return phrase("Lines without points: in no month half of the tickets had a reply.")
    said = ", ".join(
        phrase(
            "{half:.1f} and {most} in {month:%b %Y}",
            half=row.median,
            most=_number(row.p90),
            month=row.month,
        )
        for row in _some(had)
    )
    return phrase(
        "Lines of the hours by which half of a month's tickets, and nine in ten, have a reply: {said}.",
        said=said,
    )


def _number(value: float) -> str:
    return phrase("not known") if pd.isna(value) else shown(value, ".1f")


def plot_backlog(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Tickets open at the end of each month."""
    if table["open"].isna().all():
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=2.6)
    ax.bar(table["month"], table["open"], width=22, color=plots.OBSERVED)
    ax.grid(visible=False, axis="x")
    ax.set(ylabel=phrase("tickets open\nat the month's end"))
    plots.date_axis(ax)
    return ax


def describe_backlog(table: pd.DataFrame) -> str:
    """What plot_backlog shows, in words."""
    known = table.dropna(subset="open")
    if known.empty:
        return phrase("Bars without height: no ticket has the time of its solution.")
    said = ", ".join(
        phrase("{open:,.0f} in {month:%b %Y}", open=row.open, month=row.month)
        for row in _some(known)
    )
    return phrase("Bars of the tickets open at the end of each month: {said}.", said=said)


def plot_topics(cells: pd.DataFrame, alarms: pd.DataFrame) -> Axes:
    """Tickets per 100 orders by month, a panel a topic; alarms as marks. Returns the first panel."""
    groups = _largest(cells)
    if not groups:
        return plots.nothing_yet(plots.new_axes(height=1.2))
    rows = -(-len(groups) // 2)
    panels = plots.panels(rows, 2)
    for ax, group in zip(panels, groups, strict=False):
        part = cells[(cells["group"] == group) & (cells["exposure"] > 0)]
        rate = (100 * part["count"] / part["exposure"]).where(part["shown"])
        ax.plot(part["month"], rate, color=plots.OBSERVED, linewidth=1.5, marker=".", markersize=3)
        loud = alarms[(alarms["group"] == group) & alarms["alarm"]]
        marked = part["month"].isin(loud["month"])
        ax.plot(part["month"][marked], rate[marked], "D", color=plots.MODEL, markersize=7,
                label=phrase("alarm"))  # fmt: skip
        ax.set_title(named(group), fontsize=10)
        ax.set_ylim(0, 1.2 * max(float(rate.max()), 0.01))
        plots.date_axis(ax)
        # Three months within each panel: labels at its ends would meet those of the next one.
        ticks = [at * len(part) // 6 for at in (1, 3, 5)]
        ax.set_xticks(part["month"].iloc[ticks])
    for ax in panels[len(groups) :]:
        ax.set_axis_off()
    panels[2 * ((rows - 1) // 2)].set_ylabel(phrase("tickets per 100 orders"))
    return panels[0]


def _largest(cells: pd.DataFrame) -> list[str]:
    """The topics that have a panel: with most tickets, of those that have a month to show."""
    told = cells[cells["group"].isin(cells.loc[cells["shown"], "group"])]
    counts = told.groupby("group")["count"].sum()
    return counts.sort_values(ascending=False, kind="stable").head(_PANELS).index.tolist()


def describe_topics(cells: pd.DataFrame, alarms: pd.DataFrame) -> str:
    """What plot_topics shows, in words."""
    groups = _largest(cells)
    if not groups:
        return phrase("Panels without lines: of no topic enough customers write in a month.")
    said = []
    for group in groups:
        part = cells[(cells["group"] == group) & (cells["exposure"] > 0)]
        rate = (100 * part["count"] / part["exposure"]).where(part["shown"])
        loud = alarms[(alarms["group"] == group) & alarms["alarm"]]
        marks = [phrase("alarm in {month:%b %Y}", month=month) for month in loud["month"]]
        ends = phrase(
            "{group} between {low:.1f} and {high:.1f}",
            group=named(group),
            low=rate.min(),
            high=rate.max(),
        )
        said.append(", ".join([ends, *marks]))
    return phrase(
        "Lines of tickets per 100 orders by month and topic: {said}.", said="; ".join(said)
    )


def plot_calibration(found: Sentiment, *, ax: Axes | None = None) -> Axes:
    """How often texts are favourable beside how likely they were judged to be."""
    ax = plots.new_axes(ax, width=5.2, height=3.6)
    label = phrase("as it should be")
    ax.plot([0, 1], [0, 1], color=plots.NEUTRAL, linestyle=":", linewidth=1.2, label=label)
    for skill, color, mark, label in (
        (found.known, plots.OBSERVED, "o", phrase("words seen before")),
        (found.new, plots.MODEL, "s", phrase("new words")),
    ):
        bars = skill.calibration
        spread = [bars["observed"] - bars["low"], bars["high"] - bars["observed"]]
        ax.errorbar(
            bars["predicted"], bars["observed"], yerr=spread, fmt=mark, color=color, label=label
        )
    ax.xaxis.set_major_formatter(plots.percent)
    ax.yaxis.set_major_formatter(plots.percent)
    ax.set(
        xlabel=phrase("judged to be favourable with a chance of"),
        ylabel=phrase("favourable in fact"),
    )
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.2), ncols=3, fontsize=9)
    return ax


def describe_calibration(found: Sentiment) -> str:
    """What plot_calibration shows, in words."""
    said = []
    for skill, template in (
        (found.known, "in words seen before {points}"),
        (found.new, "in new words {points}"),
    ):
        points = (
            phrase(
                "{observed:.0%} where {predicted:.0%} were expected",
                observed=row.observed,
                predicted=row.predicted,
            )
            for row in _some(skill.calibration)
        )
        said.append(phrase(template, points=", ".join(points)))
    return phrase(
        "Points of the share of texts that are favourable by the chance given: {said}.",
        said="; ".join(said),
    )


def plot_reviews(table: pd.DataFrame) -> Axes:
    """Share of favourable reviews by month with its interval, a panel a platform; gaps where there are
    too few. Returns the first panel."""
    known = table.dropna(subset="share")
    platforms = _platforms(known)
    if not platforms:
        return plots.nothing_yet(plots.new_axes(height=1.2))
    panels = plots.panels(len(platforms), width=6.4, height=2)
    months = pd.date_range(known["month"].min(), known["month"].max(), freq="MS")
    for ax, platform in zip(panels, platforms, strict=True):
        part = known[known["platform"] == platform].set_index("month").reindex(months)
        spread = [part["share"] - part["low"], part["high"] - part["share"]]
        ax.errorbar(
            months, part["share"], yerr=spread, color=plots.OBSERVED, marker=".", elinewidth=0.8
        )
        ax.set_title(platform, fontsize=10)
        ax.yaxis.set_major_formatter(plots.percent)
        ax.set_ylim(-0.04, 1.04)
        ax.set(ylabel=phrase("favourable"))
        plots.date_axis(ax)
    return panels[0]


def _platforms(table: pd.DataFrame) -> list[str]:
    counts = table.groupby("platform")["texts"].sum()
    return counts.sort_values(ascending=False, kind="stable").head(_PLATFORMS).index.tolist()


def describe_reviews(table: pd.DataFrame) -> str:
    """What plot_reviews shows, in words."""
    known = table.dropna(subset="share")
    if known.empty:
        return phrase("Lines without points: no month has enough reviews.")
    said = []
    for platform in _platforms(known):
        part = known[known["platform"] == platform]
        points = (
            phrase(
                "{share:.0%} ({low:.0%} to {high:.0%}) in {month:%b %Y}",
                share=row.share,
                low=row.low,
                high=row.high,
                month=row.month,
            )
            for row in _some(part)
        )
        said.append(f"{platform} {', '.join(points)}")
    return phrase(
        "Lines of the share of favourable reviews by month: {said}.", said="; ".join(said)
    )
