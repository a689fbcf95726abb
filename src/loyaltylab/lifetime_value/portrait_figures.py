"""The figures of the page on how the forecast works, each beside its words. Tables: `portraits`."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from loyaltylab import plots
from loyaltylab.figure_data import tabulate
from loyaltylab.language import counted, filled, phrase, shown
from loyaltylab.lifetime_value.forecasts import class_names
from loyaltylab.lifetime_value.history import DAYS

# Whether customers had come back → what of them was observed, what was expected, and both.
_CAME_BACK = {
    True: (
        "had come back before: observed",
        "had come back before: expected",
        "Who had come back before: {groups}.",
    ),
    False: (
        "had bought once: observed",
        "had bought once: expected",
        "Who had bought once: {groups}.",
    ),
}


def plot_repeats(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Customers by repeat orders, counted and expected, of one model of `repeat_histogram`."""
    ax = plots.new_axes(ax)
    names, label = class_names(table["repeats"]), phrase("counted")
    ax.bar(names, table["customers"], width=0.7, color=plots.OBSERVED, label=label)
    _expected(ax, np.arange(len(table)), table["expected"], phrase("expected"))
    ax.grid(visible=False, axis="x")
    ax.set(xlabel=phrase("repeat orders up to the cutoff"), ylabel=phrase("customers"))
    ax.yaxis.set_major_formatter(plots.thousands)
    _legend(ax, "upper right")
    return ax


def describe_repeats(table: pd.DataFrame) -> str:
    """The histogram of repeat orders in words."""
    return phrase(
        "Bars of customers by repeat orders, and points of as many as the model expects: {classes}.",
        classes=_counted_expected(class_names(table["repeats"]), table),
    )


def plot_by_repeats(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Orders of the hold-out by repeat orders before it, as they came and expected
    (`holdout_by_repeats`)."""
    ax = plots.new_axes(ax)
    at = np.arange(len(table))
    _observed(ax, at, table, phrase("observed, 95% interval"))
    _expected(ax, at, table["predicted"], phrase("expected"))
    ax.set_xticks(at, class_names(table["repeats"]))
    ax.set(
        xlabel=phrase("repeat orders before the hold-out"),
        ylabel=phrase("orders a customer in the hold-out"),
    )
    ax.set_ylim(bottom=0)
    _legend(ax, "upper left")
    return ax


def describe_by_repeats(table: pd.DataFrame) -> str:
    """The hold-out by repeat orders in words."""
    return phrase(
        "Mean orders a customer in the hold-out by repeat orders before it, with 95% intervals: "
        "{groups}.",
        groups=_came_expected(class_names(table["repeats"]), table),
    )


def plot_by_silence(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Orders of the hold-out by weeks since the last order, as they came and expected
    (`holdout_by_silence`), of who had come back and of who had bought once."""
    ax = plots.new_axes(ax)
    for came_back, part in table.groupby("came_back", sort=False):
        observed, expected, _ = map(phrase, _CAME_BACK[bool(came_back)])
        _observed(ax, part["weeks"], part, observed, hollow=not came_back)
        _expected(ax, part["weeks"], part["predicted"], expected, "-" if came_back else ":")
    ax.set(
        xlabel=phrase("weeks since the last order, before the hold-out"),
        ylabel=phrase("orders a customer in the hold-out"),
    )
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    _legend(ax, "upper right")
    return ax


def describe_by_silence(table: pd.DataFrame) -> str:
    """The hold-out by silence in words."""
    parts = []
    for came_back, part in table.groupby("came_back", sort=False):
        weeks = [phrase("{weeks:.0f} weeks", weeks=weeks) for weeks in part["weeks"]]
        said = _CAME_BACK[bool(came_back)][2]
        parts.append(phrase(said, groups=_came_expected(weeks, part)))
    return phrase(
        "Mean orders a customer in the hold-out by weeks since the last order, with 95% intervals. "
        "{parts}",
        parts=" ".join(parts),
    )


def plot_matrix(table: pd.DataFrame, *, what: str, ax: Axes | None = None) -> Axes:
    """Heat map of `history_matrix` by repeat orders and weeks of silence. what : "alive" or "orders"."""
    cells = table.pivot(index="silence", columns="frequency", values=what)
    ax = plots.new_axes(ax, width=6.4, height=1.2 + 0.3 * len(cells))
    figure = "{:.0%}" if what == "alive" else "{:.1f}"
    sns.heatmap(
        cells,
        ax=ax,
        cmap=plots.SEQUENCE,
        vmin=0,
        annot=cells.map(lambda value: "" if pd.isna(value) else filled(figure, value)),
        fmt="",
        annot_kws={"size": 9, "color": plots.INK},
        linewidths=0.5,
        cbar=False,
    )
    ax.grid(visible=False)
    ax.tick_params(length=0, axis="both")
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel=phrase("repeat orders so far"), ylabel=phrase("weeks since the last order"))
    names = {x: phrase("with {orders}", orders=x) for x in cells.columns}
    told = cells.rename(columns=names).rename_axis("weeks of silence").reset_index()
    caption = {
        "alive": "probability of still being a customer by weeks since the last order and repeat orders",
        "orders": "orders expected by weeks since the last order and repeat orders",
    }[what]
    return tabulate(ax, told, caption, formats=figure.replace(".0%", ".1%").replace(".1f", ".2f"))


def describe_matrix(table: pd.DataFrame, *, what: str) -> str:
    """The heat map in words: its corners, and where each row is highest."""
    text = {
        "alive": "Heat map of the probability of still being a customer by repeat orders and weeks "
        "since the last order: {corners}. After {weeks} weeks of silence it is highest with {top:.0f}.",
        "orders": "Heat map of the orders expected by repeat orders and weeks since the last order: "
        "{corners}. After {weeks} weeks of silence it is highest with {top:.0f}.",
    }[what]
    figure = "{:.0%}" if what == "alive" else "{:.1f}"
    few, many = table["frequency"].min(), table["frequency"].max()
    rows = [table["silence"].min(), table["silence"][table["frequency"] == many].max()]
    corners = []
    for silence in rows:
        for x in (int(few), int(many)):
            cell = table[(table["silence"] == silence) & (table["frequency"] == x)].iloc[0]
            corners.append(
                phrase(
                    "{value} with {orders} and {weeks} weeks of silence",
                    value=filled(figure, cell[what]),
                    orders=counted(x, "repeat order"),
                    weeks=silence,
                )
            )
    last = table[table["silence"] == rows[1]]
    top = last.loc[last[what].idxmax(), "frequency"]
    return phrase(text, corners=", ".join(corners), weeks=rows[1], top=top)


def plot_paths(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Customers one below the other: their orders as ticks, and the probability that they were still
    there, day by day (`alive_paths`)."""
    names = list(table["customer"].drop_duplicates())
    ax = plots.new_axes(ax, height=0.6 + 0.75 * len(names))
    end = table["day"].max() / DAYS
    for place, (name, path) in enumerate(table.groupby("customer", sort=False)):
        floor, weeks = -place, path["day"] / DAYS
        top = floor + 0.7 * path["alive"]
        ax.fill_between(weeks, floor, top, color=plots.MODEL, alpha=0.15, linewidth=0)
        ax.plot(weeks, top, color=plots.MODEL, linewidth=1.5)
        days = weeks[path["ordered"]]
        ax.vlines(days, floor, floor + 0.2, color=plots.OBSERVED, linewidth=2.5)
        ax.annotate(
            shown(path["alive"].iloc[-1], ".0%"),
            (end, top.iloc[-1]),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=plots.MODEL,
            annotation_clip=False,
        )
        ax.annotate(str(name), (end * 0.99, floor + 0.76), ha="right", va="bottom", fontsize=9)
    floors, ends = -np.arange(len(names)), [shown(share, ".0%") for share in (0, 1)]
    ax.set_yticks(np.sort([*floors, *(floors + 0.7)]), ends * len(names), fontsize=8)
    ax.spines["left"].set_visible(False)
    ax.set_xlim(-end / 100, end)
    ax.set_ylim(-len(names) + 0.9, 1.05)
    ax.set(xlabel=phrase("weeks since the first order; blue: a day with an order"))
    return tabulate(ax, _turns(table), "probability of still being a customer", formats={
        "week": "{:.1f}", "probability": "{:.1%}"})  # fmt: skip


def _turns(table: pd.DataFrame) -> pd.DataFrame:
    """The days on which a line of `alive_paths` turns: of an order, before one, and the last."""
    before = table.groupby("customer")["ordered"].shift(-1)
    turns = table[table["ordered"] | before.isna() | before.eq(True)]
    return pd.DataFrame(
        {
            "customer": turns["customer"],
            "week": turns["day"] / DAYS,
            "order": np.where(turns["ordered"], phrase("yes"), phrase("no")),
            "probability": turns["alive"],
        }
    )


def describe_paths(table: pd.DataFrame) -> str:
    """The timelines in words: orders, the lowest and the last probability of each customer."""
    parts = []
    for name, path in table.groupby("customer", sort=False):
        said = phrase(
            "{name}, orders in week {weeks}: at its lowest {least:.0%}, at the end {last:.0%}",
            name=name,
            weeks=", ".join(f"{day / DAYS:.0f}" for day in path["day"][path["ordered"]]),
            least=path["alive"].min(),
            last=path["alive"].iloc[-1],
        )
        parts.append(said)
    return phrase(
        "Lines of the probability of still being a customer over {weeks} weeks: {parts}.",
        weeks=table["day"].max() // DAYS,
        parts="; ".join(parts),
    )


def plot_spend(table: pd.DataFrame, *, currency: str, ax: Axes | None = None) -> Axes:
    """Customers by mean spend an order, counted and expected (`spend_histogram`). The outer bars hold
    all below and above."""
    ax = plots.new_axes(ax)
    low, high = _ends(table)
    ax.bar(
        low,
        table["customers"],
        width=high - low,
        align="edge",
        color=plots.OBSERVED,
        edgecolor="white",
        linewidth=0.8,
        label=phrase("counted"),
    )
    ax.set_xscale("log")
    _expected(ax, np.sqrt(low * high), table["expected"], phrase("expected"))
    ticks = [m * 10.0**k for k in range(-6, 12) for m in (1, 2, 5)]
    ax.xaxis.set_major_locator(FixedLocator([t for t in ticks if low[0] <= t <= high[-1]]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, ",g")))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.grid(visible=False, axis="x")
    ax.set(
        xlabel=phrase("mean spend on a repeat order, {currency}", currency=currency),
        ylabel=phrase("customers"),
    )
    ax.yaxis.set_major_formatter(plots.thousands)
    _legend(ax, "upper right")
    told = table[["customers", "expected"]].set_axis(["counted", "expected"], axis=1)
    spend = phrase("mean spend on a repeat order, {currency}", currency=currency)
    told.insert(0, spend, _classes(table))
    return tabulate(ax, told, "customers by mean spend on a repeat order")


def describe_spend(table: pd.DataFrame, *, currency: str) -> str:
    """The histogram of spend in words: every fourth class, and the outer ones."""
    places = sorted({0, *range(2, len(table) - 1, 4), len(table) - 1})
    names = _classes(table.iloc[places])
    return phrase(
        "Bars of customers by mean spend on a repeat order in {currency}, and points of as many as the "
        "model expects, some of {number} classes: {classes}.",
        currency=currency,
        number=len(table),
        classes=_counted_expected(names, table.iloc[places]),
    )


def _classes(table: pd.DataFrame) -> list[str]:
    """What the classes of `spend_histogram` are called."""
    names = []
    for row in table.to_dict("records"):
        low, high = row["low"], row["high"]
        if pd.isna(low) and pd.isna(high):
            names.append(phrase("any"))
        elif pd.isna(low):
            names.append(phrase("below {high:,g}", high=high))
        elif pd.isna(high):
            names.append(phrase("{low:,g} or more", low=low))
        else:
            names.append(phrase("{low:,g} to {high:,g}", low=low, high=high))
    return names


def _ends(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Where bars begin and end: the open ones are as wide as the median of the others."""
    low, high = table["low"].to_numpy(float), table["high"].to_numpy(float)
    steps = (high / low)[~np.isnan(low) & ~np.isnan(high)]
    step = float(np.median(steps)) if len(steps) else 2.0
    only = np.isnan(low) & np.isnan(high)
    low, high = np.where(only, 1.0, low), np.where(only, step, high)
    return np.where(np.isnan(low), high / step, low), np.where(np.isnan(high), low * step, high)


def _observed(
    ax: Axes, at: pd.Series | np.ndarray, table: pd.DataFrame, label: str, *, hollow: bool = False
) -> None:
    spread = [table["actual"] - table["low"], table["high"] - table["actual"]]
    ax.errorbar(
        at,
        table["actual"],
        yerr=spread,
        fmt="o",
        color=plots.OBSERVED,
        markerfacecolor="white" if hollow else plots.OBSERVED,
        elinewidth=1.5,
        label=label,
    )


def _expected(
    ax: Axes,
    at: pd.Series | np.ndarray,
    values: pd.Series,
    label: str,
    style: str = "--",
) -> None:
    ax.plot(
        at, values, marker="D", markersize=5, linestyle=style, color=plots.MODEL, linewidth=1.2,
        markeredgecolor="white", markeredgewidth=0.6, label=label,
    )  # fmt: skip


def _legend(ax: Axes, where: Literal["upper left", "upper right"]) -> None:
    """What was observed first: matplotlib names lines before bars and points."""
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], labels[::-1], loc=where, fontsize=9)


def _counted_expected(names: pd.Series | list[str], table: pd.DataFrame) -> str:
    rows = zip(names, table["customers"], table["expected"], strict=True)
    return "; ".join(
        phrase("{name}: {count:,} and {said:,.0f}", name=name, count=count, said=said)
        for name, count, said in rows
    )


def _came_expected(names: pd.Series | list[str], table: pd.DataFrame) -> str:
    said = []
    for name, row in zip(names, table.to_dict("records"), strict=True):
        told = phrase(
            "{name}: {actual:.2f} ({low:.2f} to {high:.2f}) observed and {predicted:.2f} expected",
            name=name,
            actual=row["actual"],
            low=row["low"],
            high=row["high"],
            predicted=row["predicted"],
        )
        said.append(told)
    return "; ".join(said)
