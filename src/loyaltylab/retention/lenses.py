"""The figures of the customer-base audit's lenses, each beside its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from loyaltylab import plots
from loyaltylab.figure_data import tabulate
from loyaltylab.retention.base import health
from loyaltylab.retention.change import ABSENT, factors
from loyaltylab.retention.cohorts import Period
from loyaltylab.retention.spread import gini, lorenz, top_share

_COLOURS = (plots.OBSERVED, plots.INK, "#00795A", plots.NEUTRAL)
_LINES = ["-", "--", ":", "-."]


def plot_lorenz(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Share of revenue by share of customers, the lowest spenders first (`spread`)."""
    curve = lorenz(table)
    if curve.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    ax.plot([0, 1], [0, 1], color=plots.NEUTRAL, linestyle="--", label="if all spent the same")
    ax.plot(
        curve["customers"], curve["amount"], color=plots.OBSERVED, linewidth=2, label="observed"
    )
    ax.xaxis.set_major_formatter(plots.percent)
    ax.yaxis.set_major_formatter(plots.percent)
    ax.set(xlabel="customers, those who spent least first", ylabel="share of revenue")
    ax.legend(frameon=False)
    tenths = curve.iloc[:: (len(curve) - 1) // 10]
    told = tenths.assign(tenth=tenths["amount"].diff()).iloc[1:]
    told.columns = ["customers, those who spent least first", "share of revenue", "of this tenth"]
    return tabulate(
        ax,
        told,
        "share of revenue by customers",
        formats=dict(zip(told.columns, ["{:.0%}", "{:.1%}", "{:.1%}"], strict=True)),
        notes=[f"Gini coefficient: {gini(table)[0]:.2f}"],
    )


def describe_lorenz(table: pd.DataFrame) -> str:
    """The Lorenz curve in words."""
    curve = lorenz(table)
    if curve.empty:
        return "Curve without points: the period has no revenue."
    half = curve["amount"].iloc[len(curve) // 2]
    return (
        f"Curve of revenue by customers, the lowest spenders first: the lower half brings {half:.1%} "
        f"of revenue, the highest tenth {top_share(table)[0]:.1%}; the Gini coefficient is "
        f"{gini(table)[0]:.2f}."
    )


def plot_change(table: pd.DataFrame, *, currency: str, ax: Axes | None = None) -> Axes:
    """What each factor added to revenue or took from it, with its interval (`changes`)."""
    if not (table["amount_1"].sum() > 0 and table["customers"].sum()):
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    # To the cent: the order in which an engine adds up must not move a pixel.
    parts = factors(table).dropna(subset="amount").round(2)
    ax = plots.new_axes(ax)
    half = parts["amount_high"] - parts["amount"]
    ax.barh(parts["factor"], parts["amount"], xerr=half, color=plots.OBSERVED, ecolor=plots.INK)
    ax.axvline(0, color=plots.NEUTRAL, linewidth=0.8)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.xaxis.set_major_formatter(plots.thousands)
    ax.set(xlabel=f"change of revenue, {currency}")
    return ax


def describe_change(table: pd.DataFrame, *, currency: str) -> str:
    """The bars of the change in words."""
    if not (table["amount_1"].sum() > 0 and table["customers"].sum()):
        return "Bars without lengths: the data do not hold two periods."
    parts = factors(table).dropna(subset="amount")
    said = "; ".join(
        f"{row.factor} {row.amount:+,.0f} ({row.amount_low:+,.0f} to {row.amount_high:+,.0f})"
        for row in parts.itertuples()
    )
    return f"Bars of what changed revenue, in {currency}, with 95% intervals: {said}."


def plot_migration(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Heat map of customers by decile before and after (`migration`), in percent of each row."""
    whole = table.sum(axis=1)
    if not whole.drop(ABSENT).sum():
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    shares = table.drop(index=ABSENT).div(whole.drop(ABSENT).where(lambda n: n > 0), axis=0)
    ax = plots.new_axes(ax, width=6.8, height=4.2)
    sns.heatmap(
        shares,
        ax=ax,
        cmap=plots.SEQUENCE,
        vmin=0,
        annot=shares.map(lambda s: "" if pd.isna(s) else f"{100 * s:.0f}"),
        fmt="",
        annot_kws={"size": 8, "color": plots.INK},
        linewidths=0.5,
        cbar_kws={"format": plots.percent, "label": "of the decile before"},
    )
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.tick_params(axis="y", rotation=0)
    ax.tick_params(axis="x", rotation=0)
    ax.set(xlabel="decile of spend in the later period", ylabel="decile in the earlier period")
    ax.set_xticklabels([*shares.columns[:-1], "not\nthere"])
    there = table.drop(index=ABSENT).sum()
    told = pd.concat([shares, (there / there.sum()).rename("all").to_frame().T])
    told = told.rename_axis("decile before").reset_index()
    caption = "share of the customers of each decile before, by decile in the later period"
    return tabulate(ax, told, caption, formats="{:.1%}")


def describe_migration(table: pd.DataFrame) -> str:
    """The heat map of migration in words."""
    there = table.drop(index=ABSENT)
    if not there.to_numpy().sum():
        return "Heat map without cells: nobody bought in the earlier period."
    gone = there[ABSENT].sum() / there.to_numpy().sum()
    best = there.loc["1"].sum()
    kept, lost = (there.loc["1", [name]].sum() for name in ("1", ABSENT))
    said = (
        f"of the highest tenth before, {kept / best:.0%} are in the highest tenth after and "
        f"{lost / best:.0%} did not buy; "
        if best
        else ""
    )
    return f"Heat map of deciles of spend, before and after: {said}of all, {gone:.0%} did not buy."


def plot_generations(table: pd.DataFrame, *, period: Period, ax: Axes | None = None) -> Axes:
    """Curves of cohorts by year, on one axis of age, with intervals (`generations`)."""
    later = table[table["age"] > 0]
    if later.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    for i, (year, line) in enumerate(later.groupby("year")):
        color = _COLOURS[i % len(_COLOURS)]
        ax.plot(
            line["age"],
            line["share"],
            color=color,
            linestyle=_LINES[i % len(_LINES)],
            marker="o" if len(line) == 1 else None,
            label=f"won in {year}",
        )
        ax.fill_between(line["age"], line["low"], line["high"], color=color, alpha=0.15)
    ax.legend(frameon=False)
    ax.yaxis.set_major_formatter(plots.percent)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylim(bottom=0)
    ax.set(xlabel=f"{period}s after the first purchase", ylabel="share who buy")
    return ax


def describe_generations(table: pd.DataFrame, *, period: Period) -> str:
    """The curves by year in words."""
    later = table[table["age"] > 0]
    if later.empty:
        return f"Curves without points: no year's cohorts all have a {period} after their first."
    parts = []
    for year, line in later.groupby("year"):
        ends = line.iloc[sorted({0, len(line) - 1})]
        said = " and ".join(f"{row.share:.1%} at age {row.age}" for row in ends.itertuples())
        parts.append(f"{year} {said}")
    return f"Curves of the share who buy by {period}s since the first, by year: {'; '.join(parts)}."


def plot_base(table: pd.DataFrame, *, currency: str, ax: Axes | None = None) -> Axes:
    """Revenue of each period, stacked by the year in which customers were won (`base`): C3 chart.

    The period that is not over is hatched.
    """
    if table.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    stacked = table.pivot(index="at", columns="cohort", values="amount").fillna(0)
    over = table.groupby("at")["complete"].all().reindex(stacked.index).to_numpy()
    starts = stacked.index.to_numpy()
    last = starts[-1:] + (np.diff(starts)[-1:] if len(starts) > 1 else np.timedelta64(31, "D"))
    widths = 0.9 * (np.append(starts[1:], last) - starts)
    bottom = np.zeros(len(stacked))
    for shade, (cohort, amounts) in zip(_shades(stacked.shape[1]), stacked.items(), strict=True):
        bars = ax.bar(
            stacked.index,
            amounts,
            width=widths,
            bottom=bottom,
            color=shade,
            align="edge",
            label=_named(pd.DatetimeIndex(stacked.columns), pd.Timestamp(str(cohort))),
        )
        for bar, complete in zip(bars, over, strict=True):
            if not complete:
                bar.set(hatch="///", edgecolor="white", alpha=0.6)
        bottom += amounts.to_numpy()
    plots.date_axis(ax)
    ax.yaxis.set_major_formatter(plots.thousands)
    ax.grid(visible=False, axis="x")
    ax.set(ylabel=f"revenue, {currency}")
    ax.legend(
        frameon=False, reverse=True, title="won in", loc="center left", bbox_to_anchor=(1, 0.5)
    )
    return ax


def _named(cohorts: pd.DatetimeIndex, cohort: pd.Timestamp) -> str:
    return f"{cohort.year}" if (cohorts.month == 1).all() else f"{cohort.year} Q{cohort.quarter}"


def describe_base(table: pd.DataFrame, *, currency: str) -> str:
    """The stacked bars in words."""
    over = table[table["complete"]]
    if over.empty:
        return "Stacked bars without height: no period is over yet."
    cohorts = pd.DatetimeIndex(table["cohort"].unique())
    last = over[over["at"] == over["at"].max()]
    said = "; ".join(
        f"customers won in {_named(cohorts, row.cohort)} brought {row.amount:,.0f}"
        for row in last.itertuples()
    )
    return (
        f"Stacked bars of revenue in {currency} by period, {over['at'].min():%b %Y} to "
        f"{over['at'].max():%b %Y}. In the last complete period {said}."
    )


def plot_health(table: pd.DataFrame, *, period: Period, ax: Axes | None = None) -> Axes:
    """Customers who came, stayed, came back and lapsed in each complete period (`base`)."""
    by = health(table, period=period)
    by = by[by["complete"]]
    if by.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    of = {
        "new": "new",
        "retained": "bought in the one before too",
        "won_back": "back after a break",
    }
    colours = [plots.OBSERVED, "#5FA8DE", "#A9CDE8"]
    ax.stackplot(by["at"], [by[name] for name in of], labels=list(of.values()), colors=colours)
    ax.plot(by["at"], -by["lapsed"], color=plots.MODEL, linewidth=2, label="lapsed")
    ax.axhline(0, color=plots.NEUTRAL, linewidth=0.8)
    plots.date_axis(ax)
    ax.yaxis.set_major_formatter(plots.thousands)
    ax.set(ylabel=f"customers a {period}")
    ax.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    told = by[["at", "active", *of, "lapsed"]].rename(
        columns={"at": period, "active": "bought"} | of
    )
    return tabulate(ax, told, f"customers by {period}")


def describe_health(table: pd.DataFrame, *, period: Period) -> str:
    """The base's health in words."""
    by = health(table, period=period)
    by = by[by["complete"]]
    if by.empty:
        return f"Areas without height: no {period} is over yet."
    last = by.iloc[-1]
    lapsed = "" if pd.isna(last["lapsed"]) else f", and {last['lapsed']:,.0f} lapsed"
    return (
        f"Areas of customers by {period}, {by['at'].min():%b %Y} to {by['at'].max():%b %Y}. In the last "
        f"one {last['active']:,} bought: {last['new']:,} new, {last['retained']:,} who had bought in "
        f"the {period} before, {last['won_back']:,} back after a break{lapsed}."
    )


def _shades(count: int) -> list[tuple[float, ...]]:
    """Blues from dark (the oldest) to light."""
    return [tuple(c) for c in sns.color_palette("blend:#08365C,#A9CDE8", count)]
