"""The figures of the retention page, each beside its words."""

from __future__ import annotations

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from loyaltylab import plots
from loyaltylab.figure_data import tabulate
from loyaltylab.language import phrase, shown
from loyaltylab.retention.cohorts import Period, pooled
from loyaltylab.retention.returns import MILESTONES, gap_quantile
from loyaltylab.retention.survival import return_curve, returned_within

AFTER_FIRST = {
    "week": "weeks after the first purchase",
    "month": "months after the first purchase",
    "quarter": "quarters after the first purchase",
}
_NONE = {
    "week": "no week after a first purchase is over yet, or no cohort is large enough to show.",
    "month": "no month after a first purchase is over yet, or no cohort is large enough to show.",
    "quarter": "no quarter after a first purchase is over yet, or no cohort is large enough to show.",
}
_HEAT_MAP = {
    "week": "Heat map of {cohorts} cohorts by weeks since the first purchase: of all cohorts together "
    "{first[share]:.1%} bought again {first[age]:.0f} week later and {last[share]:.1%} did "
    "{last[age]:.0f} weeks later.",
    "month": "Heat map of {cohorts} cohorts by months since the first purchase: of all cohorts together "
    "{first[share]:.1%} bought again {first[age]:.0f} month later and {last[share]:.1%} did "
    "{last[age]:.0f} months later.",
    "quarter": "Heat map of {cohorts} cohorts by quarters since the first purchase: of all cohorts "
    "together {first[share]:.1%} bought again {first[age]:.0f} quarter later and {last[share]:.1%} did "
    "{last[age]:.0f} quarters later.",
}
_CURVES = {
    "week": "Curve of the share of customers who buy by weeks since the first purchase: {points}.",
    "month": "Curve of the share of customers who buy by months since the first purchase: {points}.",
    "quarter": "Curve of the share of customers who buy by quarters since the first purchase: {points}.",
}
_WHO_BUY = {
    "week": "share who buy, by weeks after the first purchase",
    "month": "share who buy, by months after the first purchase",
    "quarter": "share who buy, by quarters after the first purchase",
}
_GAPS_WITHIN = {
    0.25: "a quarter within {days:.0f} days",
    0.5: "half within {days:.0f} days",
    0.9: "nine in ten within {days:.0f} days",
}
_ANNOTATED = 240  # cells of a heat map that still have room for their figure


def plot_triangle(cells: pd.DataFrame, *, period: Period, ax: Axes | None = None) -> Axes:
    """Heat map of the share who buy at each age after the first period; blank is not yet observed.

    Hatched, with the share so far in grey, is the period that is not over.
    """
    later = cells[cells["age"] > 0]
    shares = later.pivot(index="cohort", columns="age", values="share").dropna(how="all", axis=1)
    if shares.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    shares.index = [_label(cohort, period) for cohort in shares.index]
    ax = plots.new_axes(ax, width=6.8, height=1.2 + 0.3 * len(shares))
    annotated = shares.map(lambda s: "" if pd.isna(s) else f"{100 * s:.0f}")
    sns.heatmap(
        shares,
        ax=ax,
        cmap=plots.SEQUENCE,
        vmin=0,
        annot=annotated if shares.size <= _ANNOTATED else False,
        fmt="",
        annot_kws={"size": 8, "color": plots.INK},
        linewidths=0.5,
        xticklabels="auto" if shares.shape[1] <= 24 else 3,  # all of them would touch each other
        cbar_kws={
            "format": plots.percent,
            "label": phrase("of the cohort"),
            "aspect": 40,
            "fraction": 0.06,
        },
    )
    so_far = (later["so_far"] / later["customers"]).dropna()
    cohorts, ages = list(later["cohort"].drop_duplicates()), list(shares.columns)
    for share, cell in zip(so_far, later.loc[so_far.index].to_dict("records"), strict=True):
        if cell["age"] in ages:
            corner = ages.index(cell["age"]), cohorts.index(cell["cohort"])
            ax.add_patch(
                Rectangle(corner, 1, 1, fill=False, hatch="////", linewidth=0, edgecolor="#DDDDDD")
            )
            if shares.size <= _ANNOTATED:
                centre = corner[0] + 0.5, corner[1] + 0.5
                said = f"{100 * share:.0f}"
                ax.annotate(said, centre, ha="center", va="center", fontsize=8, color=plots.NEUTRAL)
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel=phrase(AFTER_FIRST[period]), ylabel=phrase("first purchase in"))
    told = shares.map(lambda share: shown(share, ".1%"), na_action="ignore")
    for share, cell in zip(so_far, later.loc[so_far.index].to_dict("records"), strict=True):
        if cell["age"] in ages:
            told.loc[_label(cell["cohort"], period), cell["age"]] = phrase(
                "{share:.1%} so far", share=share
            )
    whole = pooled(later).set_index("age")["share"].map(lambda share: shown(share, ".1%"))
    told.loc[phrase("all cohorts, periods that are over")] = whole.reindex(told.columns)
    told = told.rename_axis("first purchase in").reset_index()
    return tabulate(ax, told, _WHO_BUY[period])


def _label(cohort: pd.Timestamp, period: Period) -> str:
    if period == "quarter":
        return phrase("{year} Q{quarter}", year=cohort.year, quarter=cohort.quarter)
    return shown(cohort, "%b %Y" if period == "month" else "%d %b %Y")


def describe_triangle(cells: pd.DataFrame, *, period: Period) -> str:
    """What the heat map shows, in words."""
    table = pooled(cells[cells["age"] > 0])
    if table.empty:
        return phrase("Heat map without cells: {why}", why=phrase(_NONE[period]))
    first, last = table.iloc[0], table.iloc[-1]
    cohorts = cells.dropna(subset="share")["cohort"].nunique()
    return phrase(_HEAT_MAP[period], cohorts=cohorts, first=first, last=last)


def plot_curves(cells: pd.DataFrame, *, period: Period, ax: Axes | None = None) -> Axes:
    """Each cohort's share by age, and all of them together with the interval."""
    if cells[cells["age"] > 0]["share"].isna().all():
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    table = pooled(cells[cells["age"] > 0])
    grey: Any = {"color": plots.NEUTRAL, "linewidth": 0.8}
    ax.plot([], [], label=phrase("each cohort"), **grey)
    for start, cohort in cells[cells["age"] > 0].dropna(subset="share").groupby("cohort"):
        name = f"_{_label(pd.Timestamp(str(start)), period)}"  # in the table, not in the legend
        ax.plot(cohort["age"], cohort["share"], alpha=0.7, label=name, **grey)
    ax.plot(table["age"], table["share"], color=plots.OBSERVED, linewidth=2,
            label=phrase("all cohorts"))  # fmt: skip
    ax.fill_between(table["age"], table["low"], table["high"], color=plots.OBSERVED, alpha=0.2)
    ax.fill_between(
        table["age"],
        table["band_low"],
        table["band_high"],
        color=plots.OBSERVED,
        alpha=0.1,
        label=phrase("95% band of the whole curve"),
    )
    ax.legend(frameon=False)
    ax.yaxis.set_major_formatter(plots.percent)
    ax.set_ylim(bottom=0)
    ax.set(xlabel=phrase(AFTER_FIRST[period]), ylabel=phrase("share who buy"))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def describe_curves(cells: pd.DataFrame, *, period: Period) -> str:
    """What the curves show, in words."""
    table = pooled(cells[cells["age"] > 0])
    if table.empty:
        return phrase("Curves without points: {why}", why=phrase(_NONE[period]))
    points = table.iloc[sorted({0, min(2, len(table) - 1), len(table) // 2, len(table) - 1})]
    said = ", ".join(
        phrase("{p.share:.1%} ({p.low:.1%} to {p.high:.1%}) at age {p.age}", p=p)
        for p in points.itertuples()
    )
    return phrase(_CURVES[period], points=said)


def plot_returns(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """`return_curve` with its interval."""
    curve = return_curve(table)
    if curve.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    ax.step(curve["days"], curve["share"], where="post", color=plots.OBSERVED, linewidth=2)
    ax.fill_between(
        curve["days"], curve["low"], curve["high"], step="post", color=plots.OBSERVED, alpha=0.2
    )
    ax.yaxis.set_major_formatter(plots.percent)
    ax.set(xlabel=phrase("days since the first purchase"), ylabel=phrase("share who have returned"))
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    return ax


def describe_returns(table: pd.DataFrame) -> str:
    """What plot_returns shows, in words."""
    curve = return_curve(table)
    if curve.empty:
        return phrase("Curve without points: nobody bought on two days.")
    said = []
    for within in (w for w in MILESTONES if w <= table["days"].max()):
        at = returned_within(table, within)
        said.append(
            phrase(
                "{at[share]:.1%} ({at[low]:.1%} to {at[high]:.1%}) by day {within}",
                at=at,
                within=within,
            )
        )
    said.append(
        phrase("{last[share]:.1%} by day {last[days]:.0f}, the last return", last=curve.iloc[-1])
    )
    return phrase(
        "Curve of the share of customers with a second purchase: {points}.", points=", ".join(said)
    )


def plot_gaps(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """How many gaps of each length, by weeks; the median marked."""
    if table.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    weeks = table.assign(week=(table["days"] - 1) // 7).groupby("week")["gaps"].sum()
    ax.bar(7 * weeks.index + 3.5, weeks, width=6.4, color=plots.OBSERVED)
    median = gap_quantile(table, 0.5)
    ax.axvline(median, color=plots.MODEL, linewidth=1.5)
    ax.annotate(
        phrase("half within {median:.0f} days", median=median),
        (median, ax.get_ylim()[1] * 0.96),
        xytext=(6, 0),
        textcoords="offset points",
        color=plots.MODEL,
        va="top",
    )
    ax.grid(visible=False, axis="x")
    ax.yaxis.set_major_formatter(plots.thousands)
    ax.set(xlabel=phrase("days from one purchase to the next"), ylabel=phrase("purchases, by week"))
    longest = table["days"].max()
    days = [
        phrase("{low} to {high}", low=7 * week + 1, high=min(7 * week + 7, longest))
        for week in weeks.index
    ]
    told = pd.DataFrame({"days to the next purchase": days, "purchases": weeks.to_numpy()})
    notes = [phrase(note, days=gap_quantile(table, part)) for part, note in _GAPS_WITHIN.items()]
    return tabulate(ax, told, "purchases by days since the one before", notes=notes)


def describe_gaps(table: pd.DataFrame) -> str:
    """What the histogram of gaps shows, in words."""
    if table.empty:
        return phrase("Histogram without bars: nobody bought on two days.")
    quarter, half, most = (gap_quantile(table, share) for share in (0.25, 0.5, 0.9))
    return phrase(
        "Histogram of {gaps:,} gaps between purchases: a quarter end within {quarter:.0f} days, half "
        "within {half:.0f}, nine in ten within {most:.0f}; the longest took {longest} days.",
        gaps=table["gaps"].sum(),
        quarter=quarter,
        half=half,
        most=most,
        longest=table["days"].max(),
    )
