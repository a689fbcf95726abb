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
from loyaltylab.retention.cohorts import Period, pooled
from loyaltylab.retention.returns import MILESTONES, gap_quantile
from loyaltylab.retention.survival import return_curve, returned_within

_NONE = "no {period} after a first purchase is over yet, or no cohort is large enough to show."
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
            "label": "of the cohort",
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
    ax.set(xlabel=f"{period}s after the first purchase", ylabel="first purchase in")
    told = shares.map("{:.1%}".format, na_action="ignore")
    for share, cell in zip(so_far, later.loc[so_far.index].to_dict("records"), strict=True):
        if cell["age"] in ages:
            told.loc[_label(cell["cohort"], period), cell["age"]] = f"{share:.1%} so far"
    whole = pooled(later).set_index("age")["share"].map("{:.1%}".format)
    told.loc["all cohorts, periods that are over"] = whole.reindex(told.columns)
    told = told.rename_axis("first purchase in").reset_index()
    return tabulate(ax, told, f"share who buy, by {period}s after the first purchase")


def _label(cohort: pd.Timestamp, period: Period) -> str:
    if period == "quarter":
        return f"{cohort.year} Q{cohort.quarter}"
    return f"{cohort:%b %Y}" if period == "month" else f"{cohort:%d %b %Y}"


def describe_triangle(cells: pd.DataFrame, *, period: Period) -> str:
    """What the heat map shows, in words."""
    table = pooled(cells[cells["age"] > 0])
    if table.empty:
        return f"Heat map without cells: {_NONE.format(period=period)}"
    first, last = table.iloc[0], table.iloc[-1]
    cohorts = cells.dropna(subset="share")["cohort"].nunique()
    return (
        f"Heat map of {cohorts} cohorts by {period}s since the first purchase: of all cohorts together "
        f"{first['share']:.1%} bought again {first['age']:.0f} {period} later and "
        f"{last['share']:.1%} did {last['age']:.0f} {period}s later."
    )


def plot_curves(cells: pd.DataFrame, *, period: Period, ax: Axes | None = None) -> Axes:
    """Each cohort's share by age, and all of them together with the interval."""
    if cells[cells["age"] > 0]["share"].isna().all():
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    table = pooled(cells[cells["age"] > 0])
    grey: Any = {"color": plots.NEUTRAL, "linewidth": 0.8}
    ax.plot([], [], label="each cohort", **grey)
    for start, cohort in cells[cells["age"] > 0].dropna(subset="share").groupby("cohort"):
        name = f"_{_label(pd.Timestamp(str(start)), period)}"  # in the table, not in the legend
        ax.plot(cohort["age"], cohort["share"], alpha=0.7, label=name, **grey)
    ax.plot(table["age"], table["share"], color=plots.OBSERVED, linewidth=2, label="all cohorts")
    ax.fill_between(table["age"], table["low"], table["high"], color=plots.OBSERVED, alpha=0.2)
    ax.fill_between(
        table["age"],
        table["band_low"],
        table["band_high"],
        color=plots.OBSERVED,
        alpha=0.1,
        label="95% band of the whole curve",
    )
    ax.legend(frameon=False)
    ax.yaxis.set_major_formatter(plots.percent)
    ax.set_ylim(bottom=0)
    ax.set(xlabel=f"{period}s after the first purchase", ylabel="share who buy")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def describe_curves(cells: pd.DataFrame, *, period: Period) -> str:
    """What the curves show, in words."""
    table = pooled(cells[cells["age"] > 0])
    if table.empty:
        return f"Curves without points: {_NONE.format(period=period)}"
    points = table.iloc[sorted({0, min(2, len(table) - 1), len(table) // 2, len(table) - 1})]
    said = ", ".join(
        f"{p.share:.1%} ({p.low:.1%} to {p.high:.1%}) at age {p.age}" for p in points.itertuples()
    )
    return f"Curve of the share of customers who buy by {period}s since the first purchase: {said}."


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
    ax.set(xlabel="days since the first purchase", ylabel="share who have returned")
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    return ax


def describe_returns(table: pd.DataFrame) -> str:
    """What plot_returns shows, in words."""
    curve = return_curve(table)
    if curve.empty:
        return "Curve without points: nobody bought on two days."
    said = []
    for within in (w for w in MILESTONES if w <= table["days"].max()):
        at = returned_within(table, within)
        said.append(f"{at['share']:.1%} ({at['low']:.1%} to {at['high']:.1%}) by day {within}")
    said.append(
        f"{curve['share'].iloc[-1]:.1%} by day {curve['days'].iloc[-1]:.0f}, the last return"
    )
    return f"Curve of the share of customers with a second purchase: {', '.join(said)}."


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
        f"half within {median:.0f} days",
        (median, ax.get_ylim()[1] * 0.96),
        xytext=(6, 0),
        textcoords="offset points",
        color=plots.MODEL,
        va="top",
    )
    ax.grid(visible=False, axis="x")
    ax.yaxis.set_major_formatter(plots.thousands)
    ax.set(xlabel="days from one purchase to the next", ylabel="purchases, by week")
    longest = table["days"].max()
    days = [f"{7 * week + 1} to {min(7 * week + 7, longest)}" for week in weeks.index]
    told = pd.DataFrame({"days to the next purchase": days, "purchases": weeks.to_numpy()})
    shares = {"a quarter": 0.25, "half": 0.5, "nine in ten": 0.9}
    notes = [f"{part} within {gap_quantile(table, s):.0f} days" for part, s in shares.items()]
    return tabulate(ax, told, "purchases by days since the one before", notes=notes)


def describe_gaps(table: pd.DataFrame) -> str:
    """What the histogram of gaps shows, in words."""
    if table.empty:
        return "Histogram without bars: nobody bought on two days."
    quarter, half, most = (gap_quantile(table, share) for share in (0.25, 0.5, 0.9))
    return (
        f"Histogram of {table['gaps'].sum():,} gaps between purchases: a quarter end within "
        f"{quarter:.0f} days, half within {half:.0f}, nine in ten within {most:.0f}; the longest "
        f"took {table['days'].max()} days."
    )
