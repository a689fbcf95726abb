"""The figures of the page on service, each beside its words."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.service.sentiment import Sentiment

_PANELS = 6  # topics with a panel of their own: those with most tickets
_PLATFORMS = 4  # platforms with one: those with most reviews


def _band(ax: Axes, x: pd.Series, table: pd.DataFrame, name: str, color: str) -> None:
    ends = (table[f"{name}_low"], table[f"{name}_high"])
    ax.fill_between(x, *ends, color=color, alpha=0.18, linewidth=0)


def plot_volumes(months: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Tickets per 100 orders in the months that are over, with their interval."""
    shown = months[months["over"]].dropna(subset="per_100")
    if shown.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    ax.plot(shown["month"], shown["per_100"], color=plots.OBSERVED, linewidth=2)
    ax.fill_between(
        shown["month"], shown["low"], shown["high"], color=plots.OBSERVED, alpha=0.18, linewidth=0
    )
    ax.set_ylim(bottom=0)
    ax.set(ylabel="tickets per 100 orders")
    plots.date_axis(ax)
    return ax


def describe_volumes(months: pd.DataFrame) -> str:
    """What plot_volumes shows, in words."""
    shown = months[months["over"]].dropna(subset="per_100")
    if shown.empty:
        return "A line without points: no month with orders is over yet."
    said = ", ".join(
        f"{row.per_100:.1f} ({row.low:.1f} to {row.high:.1f}) in {row.month:%b %Y}"
        for row in _some(shown)
    )
    return f"Line of tickets per 100 orders by month, with its interval: {said}."


def _some(table: pd.DataFrame) -> list[Any]:
    """The first, the middle and the last row."""
    return list(table.iloc[sorted({0, len(table) // 2, len(table) - 1})].itertuples())


def plot_waits(months: pd.DataFrame, *, level: float, ax: Axes | None = None) -> Axes:
    """Hours to the first reply by month of opening: half of the tickets, and nine in ten."""
    shown = months.dropna(subset="median")
    if shown.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    lines = (("p90", plots.MODEL, "--", "nine in ten"), ("median", plots.OBSERVED, "-", "half"))
    for name, color, line, label in lines:
        ax.plot(shown["month"], shown[name], color=color, linestyle=line, linewidth=2, label=label)
        _band(ax, shown["month"], shown, name, color)
    ax.axhline(level, color=plots.NEUTRAL, linestyle=":", linewidth=1.2, label="service level")
    ax.legend(frameon=False, ncols=3, loc="upper left", bbox_to_anchor=(0, -0.14))
    ax.set_ylim(0, 1.3 * max(level, float(shown["p90"].fillna(0).max())))
    ax.set(ylabel="hours until so many have a reply")
    plots.date_axis(ax)
    return ax


def describe_waits(months: pd.DataFrame) -> str:
    """What plot_waits shows, in words."""
    shown = months.dropna(subset="median")
    if shown.empty:
        return "Lines without points: in no month half of the tickets had a reply."
    said = ", ".join(
        f"{row.median:.1f} and {_number(row.p90)} in {row.month:%b %Y}" for row in _some(shown)
    )
    return (
        "Lines of the hours by which half of a month's tickets, and nine in ten, have a reply: "
        f"{said}."
    )


def _number(value: float) -> str:
    return "not known" if pd.isna(value) else f"{value:.1f}"


def plot_backlog(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Tickets open at the end of each month."""
    if table["open"].isna().all():
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=2.6)
    ax.bar(table["month"], table["open"], width=22, color=plots.OBSERVED)
    ax.grid(visible=False, axis="x")
    ax.set(ylabel="tickets open\nat the month's end")
    plots.date_axis(ax)
    return ax


def describe_backlog(table: pd.DataFrame) -> str:
    """What plot_backlog shows, in words."""
    known = table.dropna(subset="open")
    if known.empty:
        return "Bars without height: no ticket has the time of its solution."
    said = ", ".join(f"{row.open:,.0f} in {row.month:%b %Y}" for row in _some(known))
    return f"Bars of the tickets open at the end of each month: {said}."


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
                label="alarm")  # fmt: skip
        ax.set_title(group, fontsize=10)
        ax.set_ylim(0, 1.2 * max(float(rate.max()), 0.01))
        plots.date_axis(ax)
        # Three months within each panel: labels at its ends would meet those of the next one.
        ticks = [at * len(part) // 6 for at in (1, 3, 5)]
        ax.set_xticks(part["month"].iloc[ticks])
    for ax in panels[len(groups) :]:
        ax.set_axis_off()
    panels[2 * ((rows - 1) // 2)].set_ylabel("tickets per 100 orders")
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
        return "Panels without lines: of no topic enough customers write in a month."
    said = []
    for group in groups:
        part = cells[(cells["group"] == group) & (cells["exposure"] > 0)]
        rate = (100 * part["count"] / part["exposure"]).where(part["shown"])
        loud = alarms[(alarms["group"] == group) & alarms["alarm"]]
        marks = "".join(f", alarm in {month:%b %Y}" for month in loud["month"])
        said.append(f"{group} between {rate.min():.1f} and {rate.max():.1f}{marks}")
    return f"Lines of tickets per 100 orders by month and topic: {'; '.join(said)}."


def plot_calibration(found: Sentiment, *, ax: Axes | None = None) -> Axes:
    """How often texts are favourable beside how likely they were judged to be."""
    ax = plots.new_axes(ax, width=5.2, height=3.6)
    ax.plot(
        [0, 1], [0, 1], color=plots.NEUTRAL, linestyle=":", linewidth=1.2, label="as it should be"
    )
    for skill, color, mark, label in (
        (found.known, plots.OBSERVED, "o", "words seen before"),
        (found.new, plots.MODEL, "s", "new words"),
    ):
        bars = skill.calibration
        spread = [bars["observed"] - bars["low"], bars["high"] - bars["observed"]]
        ax.errorbar(
            bars["predicted"], bars["observed"], yerr=spread, fmt=mark, color=color, label=label
        )
    ax.xaxis.set_major_formatter(plots.percent)
    ax.yaxis.set_major_formatter(plots.percent)
    ax.set(xlabel="judged to be favourable with a chance of", ylabel="favourable in fact")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.2), ncols=3, fontsize=9)
    return ax


def describe_calibration(found: Sentiment) -> str:
    """What plot_calibration shows, in words."""
    said = []
    for skill, label in ((found.known, "in words seen before"), (found.new, "in new words")):
        points = (
            f"{r.observed:.0%} where {r.predicted:.0%} were expected"
            for r in _some(skill.calibration)
        )
        said.append(f"{label} {', '.join(points)}")
    return (
        f"Points of the share of texts that are favourable by the chance given: {'; '.join(said)}."
    )


def plot_reviews(table: pd.DataFrame) -> Axes:
    """Share of favourable reviews by month with its interval, a panel a platform; gaps where there are
    too few. Returns the first panel."""
    shown = table.dropna(subset="share")
    platforms = _platforms(shown)
    if not platforms:
        return plots.nothing_yet(plots.new_axes(height=1.2))
    panels = plots.panels(len(platforms), width=6.4, height=2)
    months = pd.date_range(shown["month"].min(), shown["month"].max(), freq="MS")
    for ax, platform in zip(panels, platforms, strict=True):
        part = shown[shown["platform"] == platform].set_index("month").reindex(months)
        spread = [part["share"] - part["low"], part["high"] - part["share"]]
        ax.errorbar(
            months, part["share"], yerr=spread, color=plots.OBSERVED, marker=".", elinewidth=0.8
        )
        ax.set_title(platform, fontsize=10)
        ax.yaxis.set_major_formatter(plots.percent)
        ax.set_ylim(-0.04, 1.04)
        ax.set(ylabel="favourable")
        plots.date_axis(ax)
    return panels[0]


def _platforms(table: pd.DataFrame) -> list[str]:
    counts = table.groupby("platform")["texts"].sum()
    return counts.sort_values(ascending=False, kind="stable").head(_PLATFORMS).index.tolist()


def describe_reviews(table: pd.DataFrame) -> str:
    """What plot_reviews shows, in words."""
    shown = table.dropna(subset="share")
    if shown.empty:
        return "Lines without points: no month has enough reviews."
    said = []
    for platform in _platforms(shown):
        part = shown[shown["platform"] == platform]
        points = (
            f"{r.share:.0%} ({r.low:.0%} to {r.high:.0%}) in {r.month:%b %Y}" for r in _some(part)
        )
        said.append(f"{platform} {', '.join(points)}")
    return f"Lines of the share of favourable reviews by month: {'; '.join(said)}."
