"""The figures of the lifetime-value page, each beside its words."""

from __future__ import annotations

from itertools import cycle

import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.figure_data import tabulate
from loyaltylab.lifetime_value.forecasts import repeat_names


def plot_tracking(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Repeat orders a week, observed and expected (`tracking`)."""
    ax = _tracked(table, "actual", "expected", ax)
    ax.set(xlabel="week ending", ylabel="repeat orders a week")
    ax.legend(loc="lower right")
    return ax


def plot_cumulative(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Repeat orders up to each week, observed and expected (`tracking`)."""
    ax = _tracked(table, "actual_total", "expected_total", ax)
    ax.set(xlabel="week ending", ylabel="repeat orders so far")
    ax.legend(loc="upper left")
    return ax


def _tracked(table: pd.DataFrame, actual: str, expected: str, ax: Axes | None) -> Axes:
    """Two columns of `tracking`, week by week, with the weeks held out shaded."""
    ax = plots.new_axes(ax)
    held_out = table["week_end"][table["held_out"]]
    ax.axvspan(held_out.iloc[0], held_out.iloc[-1], color="#F2F2F2", zorder=0,
               label="not seen by the model")  # fmt: skip
    ax.plot(table["week_end"], table[actual], color=plots.OBSERVED, label="observed")
    ax.plot(table["week_end"], table[expected], color=plots.MODEL, linestyle="--", label="expected")
    plots.date_axis(ax)
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(plots.thousands)
    return ax


def describe_tracking(table: pd.DataFrame) -> str:
    """The tracking plot in words."""
    parts = []
    for held_out, name in ((False, "weeks fitted"), (True, "weeks held out")):
        weeks = table[table.held_out == held_out]
        parts.append(
            f"in the {len(weeks)} {name}, to {weeks.week_end.iloc[-1]:%Y-%m-%d}, "
            f"{weeks.actual.sum():,} observed and {weeks.expected.sum():,.0f} expected"
        )
    peak = table.iloc[int(table.actual.argmax())]
    last = table.iloc[-1]
    return (
        f"Lines of repeat orders a week: {'; '.join(parts)}. Observed orders peak at "
        f"{peak.actual:,} in the week ending {peak.week_end:%Y-%m-%d}; in the last week "
        f"{last.actual:,} are observed and {last.expected:,.0f} expected."
    )


def describe_cumulative(table: pd.DataFrame) -> str:
    """The cumulative tracking in words."""
    said = []
    for held_out, name in ((False, "at the cutoff"), (True, "at the end of the hold-out")):
        last = table[table["held_out"] == held_out].iloc[-1]
        said.append(
            f"{name}, {last.week_end:%Y-%m-%d}, {last.actual_total:,.0f} observed and "
            f"{last.expected_total:,.0f} expected"
        )
    return f"Lines of all repeat orders so far, week by week: {'; '.join(said)}."


def plot_holdout(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Hold-out orders by orders before it, observed and predicted (`holdout_by_frequency`)."""
    ax = plots.new_axes(ax)
    ax.plot(table.frequency, table.actual, "o-", color=plots.OBSERVED, label="observed")
    ax.plot(table.frequency, table.predicted, "D--", color=plots.MODEL, label="predicted")
    ax.axhline(0, color=plots.NEUTRAL, linewidth=2.5, label="predicting zero for everyone")
    ax.set_xticks(table.frequency, repeat_names(table.frequency))
    ax.set(xlabel="repeat orders before the hold-out", ylabel="orders a customer in the hold-out")
    ax.legend(loc="upper left")
    return ax


def describe_holdout(table: pd.DataFrame) -> str:
    """The hold-out plot in words."""
    rows = zip(repeat_names(table.frequency), table.actual, table.predicted, strict=True)
    points = "; ".join(f"{name}: {actual:.2f} and {said:.2f}" for name, actual, said in rows)
    return (
        "Mean hold-out orders a customer, observed and predicted, by repeat orders before the "
        f"hold-out. {points}. Predicting zero is the line along the bottom."
    )


def plot_silence(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Probability of being active by weeks without an order, a line a frequency (`silence`)."""
    ax = plots.new_axes(ax)
    styles = ["-", "--", ":", "-."]
    for (frequency, line), style in zip(table.groupby("frequency"), cycle(styles), strict=False):
        label = f"{frequency} repeat order{'s' * (frequency != 1)}"
        ax.plot(line.weeks, line.alive, linestyle=style, color=plots.MODEL, label=label)
    ax.set(xlabel="weeks since the last order", ylabel="probability of being active")
    ax.set_ylim(0, 1)
    ax.yaxis.set_major_formatter(plots.percent)
    ax.legend(loc="lower left")
    return ax


def describe_silence(table: pd.DataFrame) -> str:
    """The silence plot in words: when each line falls below one half."""
    parts = []
    for frequency, line in table.groupby("frequency"):
        below = line.weeks[line.alive < 0.5]
        when = f"after {below.iloc[0]} weeks" if len(below) else "never within the weeks shown"
        parts.append(
            f"with {frequency} repeat order{'s' * (frequency != 1)} from {line.alive.iloc[0]:.0%} "
            f"to {line.alive.iloc[-1]:.0%}, below one half {when}"
        )
    return (
        f"Probability of being active over {table.weeks.max()} weeks without an order: "
        f"{'; '.join(parts)}."
    )


def plot_concentration(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Share of the expected value by tenth of the customers (`concentration`)."""
    ax = plots.new_axes(ax)
    bars = ax.bar(table.decile, table.share, color=plots.MODEL)
    ax.bar_label(bars, [f"{share:.0%}" for share in table.share], padding=2, fontsize=9)
    ax.set_xticks(table.decile)
    ax.grid(visible=False, axis="x")
    ax.set(xlabel="tenths of the customers, most valuable first", ylabel="share of expected value")
    ax.yaxis.set_major_formatter(plots.percent)
    return ax


def describe_concentration(table: pd.DataFrame) -> str:
    """The concentration plot in words."""
    shares = ", ".join(f"{share:.1%}" for share in table.share)
    return (
        "Bars of the share of expected value that each tenth of the customers brings, the most "
        f"valuable first: {shares}."
    )


def plot_calibration(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Orders that came against orders expected, a point a tenth of the customers (`calibration`)."""
    ax = plots.new_axes(ax)
    top = 1.05 * max(table["predicted"].max(), table["actual"].max())
    ax.plot([0, top], [0, top], color=plots.NEUTRAL, linewidth=1, label="as expected")
    ax.plot(
        table["predicted"], table["actual"], "o", color=plots.OBSERVED, label="tenths of customers"
    )
    ax.set(xlabel="orders a customer, expected", ylabel="orders a customer, observed")
    ax.set_xlim(0, top)
    ax.set_ylim(0, top)
    ax.legend(loc="upper left")
    told = table[["tenth", "predicted", "actual"]]
    told = told.set_axis(["tenth of the customers", "expected", "observed"], axis=1)
    return tabulate(ax, told, "orders a customer, expected and observed")


def describe_calibration(table: pd.DataFrame) -> str:
    """The calibration plot in words."""
    points = "; ".join(
        f"{row.tenth}: {row.predicted:.2f} and {row.actual:.2f}" for row in table.itertuples()
    )
    return (
        "Orders a customer expected and observed in the hold-out, by tenths of the customers ranked by "
        f"the forecast, the lowest first. {points}. On the line both are the same."
    )
