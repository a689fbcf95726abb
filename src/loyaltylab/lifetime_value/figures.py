"""The figures of the lifetime-value page, each beside its words."""

from __future__ import annotations

from itertools import cycle

import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.figure_data import tabulate
from loyaltylab.language import counted, filled, phrase, shown
from loyaltylab.lifetime_value.forecasts import repeat_names


def plot_tracking(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Repeat orders a week, observed and expected (`tracking`)."""
    ax = _tracked(table, "actual", "expected", ax)
    ax.set(xlabel=phrase("week ending"), ylabel=phrase("repeat orders a week"))
    ax.legend(loc="lower right")
    return ax


def plot_cumulative(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Repeat orders up to each week, observed and expected (`tracking`)."""
    ax = _tracked(table, "actual_total", "expected_total", ax)
    ax.set(xlabel=phrase("week ending"), ylabel=phrase("repeat orders so far"))
    ax.legend(loc="upper left")
    return ax


def _tracked(table: pd.DataFrame, actual: str, expected: str, ax: Axes | None) -> Axes:
    """Two columns of `tracking`, week by week, with the weeks held out shaded."""
    ax = plots.new_axes(ax)
    held_out = table["week_end"][table["held_out"]]
    ax.axvspan(held_out.iloc[0], held_out.iloc[-1], color="#F2F2F2", zorder=0,
               label=phrase("not seen by the model"))  # fmt: skip
    for column, colour, style, label in (
        (actual, plots.OBSERVED, "-", phrase("observed")),
        (expected, plots.MODEL, "--", phrase("expected")),
    ):
        ax.plot(table["week_end"], table[column], color=colour, linestyle=style, label=label)
    plots.date_axis(ax)
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(plots.thousands)
    return ax


def describe_tracking(table: pd.DataFrame) -> str:
    """The tracking plot in words."""
    parts = []
    for held_out, template in (
        (
            False,
            "in the {weeks} weeks fitted, to {until:%Y-%m-%d}, {actual:,} observed and "
            "{expected:,.0f} expected",
        ),
        (
            True,
            "in the {weeks} weeks held out, to {until:%Y-%m-%d}, {actual:,} observed and "
            "{expected:,.0f} expected",
        ),
    ):
        weeks = table[table.held_out == held_out]
        said = phrase(
            template,
            weeks=len(weeks),
            until=weeks.week_end.iloc[-1],
            actual=weeks.actual.sum(),
            expected=weeks.expected.sum(),
        )
        parts.append(said)
    peak = table.iloc[int(table.actual.argmax())]
    last = table.iloc[-1]
    return phrase(
        "Lines of repeat orders a week: {parts}. Observed orders peak at {peak:,} in the week ending "
        "{at:%Y-%m-%d}; in the last week {actual:,} are observed and {expected:,.0f} expected.",
        parts="; ".join(parts),
        peak=peak.actual,
        at=peak.week_end,
        actual=last.actual,
        expected=last.expected,
    )


def describe_cumulative(table: pd.DataFrame) -> str:
    """The cumulative tracking in words."""
    said = []
    for held_out, template in (
        (
            False,
            "at the cutoff, {day:%Y-%m-%d}, {actual:,.0f} observed and {expected:,.0f} expected",
        ),
        (
            True,
            "at the end of the hold-out, {day:%Y-%m-%d}, {actual:,.0f} observed and "
            "{expected:,.0f} expected",
        ),
    ):
        last = table[table["held_out"] == held_out].iloc[-1]
        totals = {"actual": last.actual_total, "expected": last.expected_total}
        said.append(phrase(template, day=last.week_end, **totals))
    return phrase("Lines of all repeat orders so far, week by week: {said}.", said="; ".join(said))


def plot_holdout(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Hold-out orders by orders before it, observed and predicted (`holdout_by_frequency`)."""
    ax = plots.new_axes(ax)
    x = table.frequency
    ax.plot(x, table.actual, "o-", color=plots.OBSERVED, label=phrase("observed"))
    ax.plot(x, table.predicted, "D--", color=plots.MODEL, label=phrase("predicted"))
    zero = phrase("predicting zero for everyone")
    ax.axhline(0, color=plots.NEUTRAL, linewidth=2.5, label=zero)
    ax.set_xticks(x, repeat_names(x))
    ax.set(
        xlabel=phrase("repeat orders before the hold-out"),
        ylabel=phrase("orders a customer in the hold-out"),
    )
    ax.legend(loc="upper left")
    return ax


def describe_holdout(table: pd.DataFrame) -> str:
    """The hold-out plot in words."""
    rows = zip(repeat_names(table.frequency), table.actual, table.predicted, strict=True)
    points = [
        phrase("{name}: {actual:.2f} and {said:.2f}", name=name, actual=actual, said=said)
        for name, actual, said in rows
    ]
    return phrase(
        "Mean hold-out orders a customer, observed and predicted, by repeat orders before the "
        "hold-out. {points}. Predicting zero is the line along the bottom.",
        points="; ".join(points),
    )


def plot_silence(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Probability of being active by weeks without an order, a line a frequency (`silence`)."""
    ax = plots.new_axes(ax)
    styles = ["-", "--", ":", "-."]
    for (frequency, line), style in zip(table.groupby("frequency"), cycle(styles), strict=False):
        label = counted(int(str(frequency)), "repeat order")
        ax.plot(line.weeks, line.alive, linestyle=style, color=plots.MODEL, label=label)
    ax.set(
        xlabel=phrase("weeks since the last order"), ylabel=phrase("probability of being active")
    )
    ax.set_ylim(0, 1)
    ax.yaxis.set_major_formatter(plots.percent)
    ax.legend(loc="lower left")
    return ax


def describe_silence(table: pd.DataFrame) -> str:
    """The silence plot in words: when each line falls below one half."""
    parts = []
    for frequency, line in table.groupby("frequency"):
        below = line.weeks[line.alive < 0.5]
        ends = {"first": line.alive.iloc[0], "last": line.alive.iloc[-1]}
        orders = counted(int(str(frequency)), "repeat order")
        if len(below):
            said = phrase(
                "with {orders} from {first:.0%} to {last:.0%}, below one half after {weeks} weeks",
                orders=orders,
                weeks=below.iloc[0],
                **ends,
            )
        else:
            said = phrase(
                "with {orders} from {first:.0%} to {last:.0%}, below one half never within the weeks "
                "shown",
                orders=orders,
                **ends,
            )
        parts.append(said)
    return phrase(
        "Probability of being active over {weeks} weeks without an order: {parts}.",
        weeks=table.weeks.max(),
        parts="; ".join(parts),
    )


def plot_concentration(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Share of the expected value by tenth of the customers (`concentration`)."""
    ax = plots.new_axes(ax)
    bars = ax.bar(table.decile, table.share, color=plots.MODEL)
    ax.bar_label(bars, [shown(share, ".0%") for share in table.share], padding=2, fontsize=9)
    ax.set_xticks(table.decile)
    ax.grid(visible=False, axis="x")
    ax.set(
        xlabel=phrase("tenths of the customers, most valuable first"),
        ylabel=phrase("share of expected value"),
    )
    ax.yaxis.set_major_formatter(plots.percent)
    return ax


def describe_concentration(table: pd.DataFrame) -> str:
    """The concentration plot in words."""
    return phrase(
        "Bars of the share of expected value that each tenth of the customers brings, the most "
        "valuable first: {shares}.",
        shares=", ".join(shown(share, ".1%") for share in table.share),
    )


def plot_calibration(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Orders that came against orders expected, a point a tenth of the customers (`calibration`)."""
    ax = plots.new_axes(ax)
    top = 1.05 * max(table["predicted"].max(), table["actual"].max())
    ax.plot([0, top], [0, top], color=plots.NEUTRAL, linewidth=1, label=phrase("as expected"))
    tenths = phrase("tenths of customers")
    ax.plot(table["predicted"], table["actual"], "o", color=plots.OBSERVED, label=tenths)
    ax.set(
        xlabel=phrase("orders a customer, expected"), ylabel=phrase("orders a customer, observed")
    )
    ax.set_xlim(0, top)
    ax.set_ylim(0, top)
    ax.legend(loc="upper left")
    told = table[["tenth", "predicted", "actual"]]
    told = told.set_axis(["tenth of the customers", "expected", "observed"], axis=1)
    return tabulate(ax, told, "orders a customer, expected and observed")


def describe_calibration(table: pd.DataFrame) -> str:
    """The calibration plot in words."""
    points = [
        phrase(
            "{name}: {actual:.2f} and {said:.2f}",
            name=filled("{}", row.tenth),
            actual=row.predicted,
            said=row.actual,
        )
        for row in table.itertuples()
    ]
    return phrase(
        "Orders a customer expected and observed in the hold-out, by tenths of the customers ranked by "
        "the forecast, the lowest first. {points}. On the line both are the same.",
        points="; ".join(points),
    )
