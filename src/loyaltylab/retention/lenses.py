"""The figures of the customer-base audit's lenses, each beside its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from loyaltylab import cells, plots
from loyaltylab.figure_data import tabulate
from loyaltylab.language import listed, phrase
from loyaltylab.numbers import spanned
from loyaltylab.retention.base import health
from loyaltylab.retention.change import ABSENT, factors
from loyaltylab.retention.cohorts import Period
from loyaltylab.retention.figures import AFTER_FIRST
from loyaltylab.retention.spread import gini, lorenz, top_share

_COLOURS = (plots.OBSERVED, plots.INK, "#00795A", plots.NEUTRAL)
_LINES = ["-", "--", ":", "-."]
_NO_GENERATION = {
    "week": "Curves without points: no year's cohorts all have a week after their first.",
    "month": "Curves without points: no year's cohorts all have a month after their first.",
    "quarter": "Curves without points: no year's cohorts all have a quarter after their first.",
}
_GENERATIONS = {
    "week": "Curves of the share who buy by weeks since the first, by year: {years}.",
    "month": "Curves of the share who buy by months since the first, by year: {years}.",
    "quarter": "Curves of the share who buy by quarters since the first, by year: {years}.",
}
_CUSTOMERS = {
    "week": "customers a week",
    "month": "customers a month",
    "quarter": "customers a quarter",
}
_BASE = {
    "week": "customers by week",
    "month": "customers by month",
    "quarter": "customers by quarter",
}
_NOT_OVER = {
    "week": "Areas without height: no week is over yet.",
    "month": "Areas without height: no month is over yet.",
    "quarter": "Areas without height: no quarter is over yet.",
}
_AREAS = {
    "week": "Areas of customers by week, {since:%b %Y} to {until:%b %Y}. In the last one "
    "{last[active]:,} bought: {last[new]:,} new, {last[retained]:,} who had bought in the week before, "
    "{last[won_back]:,} back after a break",
    "month": "Areas of customers by month, {since:%b %Y} to {until:%b %Y}. In the last one "
    "{last[active]:,} bought: {last[new]:,} new, {last[retained]:,} who had bought in the month before, "
    "{last[won_back]:,} back after a break",
    "quarter": "Areas of customers by quarter, {since:%b %Y} to {until:%b %Y}. In the last one "
    "{last[active]:,} bought: {last[new]:,} new, {last[retained]:,} who had bought in the quarter "
    "before, {last[won_back]:,} back after a break",
}


def plot_lorenz(table: pd.DataFrame, *, minimum: int = 1, ax: Axes | None = None) -> Axes:
    """Share of revenue by share of customers, the lowest spenders first (`spread`); nothing of fewer
    than `minimum` customers."""
    curve = lorenz(table, minimum=minimum)
    if curve.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    ax.plot([0, 1], [0, 1], color=plots.NEUTRAL, linestyle="--",
            label=phrase("if all spent the same"))  # fmt: skip
    ax.plot(curve["customers"], curve["amount"], color=plots.OBSERVED, linewidth=2,
            label=phrase("observed"))  # fmt: skip
    ax.xaxis.set_major_formatter(plots.percent)
    ax.yaxis.set_major_formatter(plots.percent)
    ax.set(
        xlabel=phrase("customers, those who spent least first"), ylabel=phrase("share of revenue")
    )
    ax.legend(frameon=False)
    tenths = curve.iloc[:: (len(curve) - 1) // 10]
    told = tenths.assign(tenth=tenths["amount"].diff()).iloc[1:]
    told.columns = ["customers, those who spent least first", "share of revenue", "of this tenth"]
    return tabulate(
        ax,
        told,
        "share of revenue by customers",
        formats=dict(zip(told.columns, ["{:.0%}", "{:.1%}", "{:.1%}"], strict=True)),
        notes=[phrase("Gini coefficient: {gini:.2f}", gini=gini(table)[0])],
    )


def describe_lorenz(table: pd.DataFrame, *, minimum: int = 1) -> str:
    """The Lorenz curve in words."""
    curve = lorenz(table, minimum=minimum)
    if curve.empty:
        return phrase("Curve without points: the period has no revenue, or too few customers.")
    half = curve["amount"].iloc[len(curve) // 2]
    return phrase(
        "Curve of revenue by customers, the lowest spenders first: the lower half brings {half:.1%} of "
        "revenue, the highest tenth {top:.1%}; the Gini coefficient is {gini:.2f}.",
        half=half,
        top=top_share(table)[0],
        gini=gini(table)[0],
    )


def plot_change(table: pd.DataFrame, *, currency: str, ax: Axes | None = None) -> Axes:
    """What each factor added to revenue or took from it, with its interval (`changes`)."""
    if not (table["amount_1"].sum() > 0 and table["customers"].sum()):
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    # To the cent: the order in which an engine adds up must not move a pixel.
    parts = factors(table).dropna(subset="amount").round(2)
    ax = plots.new_axes(ax)
    half = parts["amount_high"] - parts["amount"]
    names = parts["factor"].map(phrase)
    ax.barh(names, parts["amount"], xerr=half, color=plots.OBSERVED, ecolor=plots.INK)
    ax.axvline(0, color=plots.NEUTRAL, linewidth=0.8)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.xaxis.set_major_formatter(plots.thousands)
    ax.set(xlabel=phrase("change of revenue, {currency}", currency=currency))
    return ax


def describe_change(table: pd.DataFrame, *, currency: str) -> str:
    """The bars of the change in words."""
    if not (table["amount_1"].sum() > 0 and table["customers"].sum()):
        return phrase("Bars without lengths: the data do not hold two periods.")
    parts = factors(table).dropna(subset="amount")
    said = "; ".join(
        f"{phrase(factor)} {spanned(part, low, high, '+,.0f')}"
        for factor, part, low, high in parts[
            ["factor", "amount", "amount_low", "amount_high"]
        ].to_numpy()
    )
    return phrase(
        "Bars of what changed revenue, in {currency}, with 95% intervals: {parts}.",
        currency=currency,
        parts=said,
    )


def plot_migration(table: pd.DataFrame, *, minimum: int = 1, ax: Axes | None = None) -> Axes:
    """Heat map of customers by decile before and after (`migration`), in percent of each row; without
    what tells of fewer than `minimum`."""
    whole = table.sum(axis=1)
    if not whole.drop(ABSENT).sum():
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    shares = table.drop(index=ABSENT).div(whole.drop(ABSENT).where(lambda n: n > 0), axis=0)
    shares = shares.mask(_few(table, minimum))
    if shares.isna().all(axis=None):
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
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
        cbar_kws={"format": plots.percent, "label": phrase("of the decile before")},
    )
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.tick_params(axis="y", rotation=0)
    ax.tick_params(axis="x", rotation=0)
    ax.set(
        xlabel=phrase("decile of spend in the later period"),
        ylabel=phrase("decile in the earlier period"),
    )
    ax.set_xticklabels([*shares.columns[:-1], phrase(ABSENT).replace(" ", "\n")])
    ax.set_xticklabels([*shares.columns[:-1], phrase(ABSENT).replace(" ", "\n")])
    there = table.drop(index=ABSENT).sum()
    told = pd.concat([shares, (there / there.sum()).rename("all").to_frame().T])
    told = told.rename_axis("decile before").reset_index()
    caption = "share of the customers of each decile before, by decile in the later period"
    return tabulate(ax, told, caption, formats="{:.1%}")


def _few(table: pd.DataFrame, minimum: int) -> pd.DataFrame:
    """Which cells of `migration` must not be told: the shares of a decile add up to all of it."""
    there = table.drop(index=ABSENT)
    return cells.hidden(there, minimum=minimum, sums=[there.columns.tolist()])


def describe_migration(table: pd.DataFrame, *, minimum: int = 1) -> str:
    """The heat map of migration in words."""
    there = table.drop(index=ABSENT)
    if not there.to_numpy().sum():
        return phrase("Heat map without cells: nobody bought in the earlier period.")
    gone = there[ABSENT].sum() / there.to_numpy().sum()
    best = there.loc["1"].sum()
    kept, lost = (there.loc["1", [name]].sum() for name in ("1", ABSENT))
    if not best or _few(table, minimum).loc["1", ["1", ABSENT]].any():
        return phrase(
            "Heat map of deciles of spend, before and after: of all, {gone:.0%} did not buy.",
            gone=gone,
        )
    return phrase(
        "Heat map of deciles of spend, before and after: of the highest tenth before, {kept:.0%} are in "
        "the highest tenth after and {lost:.0%} did not buy; of all, {gone:.0%} did not buy.",
        kept=kept / best,
        lost=lost / best,
        gone=gone,
    )


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
            label=phrase("won in {year}", year=year),
        )
        ax.fill_between(line["age"], line["low"], line["high"], color=color, alpha=0.15)
    ax.legend(frameon=False)
    ax.yaxis.set_major_formatter(plots.percent)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylim(bottom=0)
    ax.set(xlabel=phrase(AFTER_FIRST[period]), ylabel=phrase("share who buy"))
    return ax


def describe_generations(table: pd.DataFrame, *, period: Period) -> str:
    """The curves by year in words."""
    later = table[table["age"] > 0]
    if later.empty:
        return phrase(_NO_GENERATION[period])
    parts = []
    for year, line in later.groupby("year"):
        ends = line.iloc[sorted({0, len(line) - 1})]
        said = listed(
            [phrase("{row.share:.1%} at age {row.age}", row=row) for row in ends.itertuples()]
        )
        parts.append(f"{year} {said}")
    return phrase(_GENERATIONS[period], years="; ".join(parts))


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
    ax.set(ylabel=phrase("revenue, {currency}", currency=currency))
    ax.legend(frameon=False, reverse=True, title=phrase("won in"), loc="center left",
              bbox_to_anchor=(1, 0.5))  # fmt: skip
    return ax


def _named(cohorts: pd.DatetimeIndex, cohort: pd.Timestamp) -> str:
    if (cohorts.month == 1).all():
        return f"{cohort.year}"
    return phrase("{year} Q{quarter}", year=cohort.year, quarter=cohort.quarter)


def describe_base(table: pd.DataFrame, *, currency: str) -> str:
    """The stacked bars in words."""
    over = table[table["complete"]]
    if over.empty:
        return phrase("Stacked bars without height: no period is over yet.")
    cohorts = pd.DatetimeIndex(table["cohort"].unique())
    last = over[over["at"] == over["at"].max()]
    said = "; ".join(
        phrase(
            "customers won in {cohort} brought {amount:,.0f}",
            cohort=_named(cohorts, row.cohort),
            amount=row.amount,
        )
        for row in last.itertuples()
    )
    return phrase(
        "Stacked bars of revenue in {currency} by period, {since:%b %Y} to {until:%b %Y}. In the last "
        "complete period {brought}.",
        currency=currency,
        since=over["at"].min(),
        until=over["at"].max(),
        brought=said,
    )


_CAME = ["new", "retained", "won_back"]


def _hidden(by: pd.DataFrame, minimum: int) -> pd.DataFrame:
    """Which counts of `health` are of too few to be shown: of a period it is known how many bought, and
    of the next how many of these did not."""
    moved = by[[*_CAME, "lapsed"]]
    gone = cells.hidden(moved, minimum=minimum, sums=[_CAME, ["retained", "lapsed"]])
    return gone.assign(active=cells.small(by[["active"]], minimum=minimum)["active"])


def plot_health(
    table: pd.DataFrame, *, period: Period, minimum: int = 1, ax: Axes | None = None
) -> Axes:
    """Customers who came, stayed, came back and lapsed in each complete period (`base`); without numbers
    that tell of fewer than `minimum`."""
    by = health(table, period=period)
    by = by[by["complete"]]
    if by.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    gone = _hidden(by, minimum)
    by = by.assign(**by[gone.columns].mask(gone))
    ax = plots.new_axes(ax)
    of = {
        "new": phrase("new"),
        "retained": phrase("bought in the one before too"),
        "won_back": phrase("back after a break"),
    }
    colours = [plots.OBSERVED, "#5FA8DE", "#A9CDE8"]
    ax.stackplot(
        by["at"], [by[name].fillna(0) for name in of], labels=list(of.values()), colors=colours
    )
    ax.plot(by["at"], -by["lapsed"], color=plots.MODEL, linewidth=2, label=phrase("lapsed"))
    ax.axhline(0, color=plots.NEUTRAL, linewidth=0.8)
    plots.date_axis(ax)
    ax.yaxis.set_major_formatter(plots.thousands)
    ax.set(ylabel=phrase(_CUSTOMERS[period]))
    ax.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    told = by[["at", "active", *of, "lapsed"]].rename(
        columns={"at": period, "active": "bought"} | of
    )
    return tabulate(ax, told, _BASE[period])


def describe_health(table: pd.DataFrame, *, period: Period, minimum: int = 1) -> str:
    """The base's health in words."""
    by = health(table, period=period)
    by = by[by["complete"]]
    if by.empty:
        return phrase(_NOT_OVER[period])
    last = cells.said(by.iloc[-1], _hidden(by, minimum).iloc[-1])
    said = phrase(_AREAS[period], since=by["at"].min(), until=by["at"].max(), last=last)
    if pd.notna(by["lapsed"].iloc[-1]):
        said = phrase("{said}, and {lapsed:,.0f} lapsed", said=said, lapsed=last["lapsed"])
    return f"{said}."


def _shades(count: int) -> list[tuple[float, ...]]:
    """Blues from dark (the oldest) to light."""
    return [tuple(c) for c in sns.color_palette("blend:#08365C,#A9CDE8", count)]
