"""Who comes back. Grain in: one order, with person_id, ordered_at, amount.

What is counted are `purchases`: one person's orders of one day are one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Literal

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from scipy.stats import chi2_contingency
from statsmodels.stats.proportion import proportion_confint

from loyaltylab import plots
from loyaltylab.numbers import Number, Numbers, counted, sentence
from loyaltylab.purchases import purchase_days

Period = Literal["week", "month", "quarter"]
LEVEL = 0.95  # of every interval here

_UNITS: dict[str, Literal["W", "M", "Q"]] = {"week": "W", "month": "M", "quarter": "Q"}
_ANNOTATED = 240  # cells of a heat map that still have room for their figure


def purchase_counts(orders: ir.Table) -> pd.DataFrame:
    """How many people bought on how many days. Grain: one number of purchases.

    purchases (1 or more), customers, amount (what those customers spent in all).
    """
    bought = purchase_days(orders)
    people = bought.group_by("person_id").agg(
        purchases=bought.count(), amount=bought["amount"].sum()
    )
    table = people.group_by("purchases").agg(
        customers=people.count(), amount=people["amount"].sum().cast("float64")
    )
    return table.order_by("purchases").to_pandas()


def share_with_interval(part: Any, whole: Any) -> tuple[Any, Any, Any]:
    """part / whole with its Wilson interval at LEVEL; scalars or arrays; missing where whole is 0.

    Wilson, E. B. (1927), JASA 22, 209–212: holds its level for small counts and shares near 0 and 1.
    """
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(whole > 0, part / whole, np.nan)
        low, high = proportion_confint(part, whole, alpha=1 - LEVEL, method="wilson")
    missing = ~(whole > 0)
    low, high = np.where(missing, np.nan, low), np.where(missing, np.nan, high)
    # At shares of 0 and 1 the bound is the share itself; rounding may put it a hair inside.
    return share, np.minimum(low, share), np.maximum(high, share)


def triangle(orders: ir.Table, *, period: Period, until: dt.date) -> pd.DataFrame:
    """Share of each acquisition cohort that buys again k periods later. Grain: cohort × age.

    until : last day observed; a cell whose period ends after it is missing, not zero.
    Returns cohort (first day of the period), age (periods since the first purchase's), customers
    (of the cohort), active, amount, share in [0, 1], low, high (Wilson, 95%). A cohort whose own
    period is not over is there too, with nothing but its customers so far.
    """
    bought = purchase_days(orders)
    bought = bought.mutate(at=bought["day"].truncate(_UNITS[period]))
    cohort = bought["at"].min().over(group_by="person_id")
    dated = bought.mutate(cohort=cohort)
    active = dated.group_by("cohort", "at").agg(
        active=dated["person_id"].nunique(), amount=dated["amount"].sum().cast("float64")
    )
    found = active.order_by("cohort", "at").to_pandas()
    for name in ("cohort", "at"):
        found[name] = pd.to_datetime(found[name]).dt.to_period(_UNITS[period])
    whole = _cells(found["cohort"].unique(), until, period)
    cells = whole.merge(found, on=["cohort", "at"], how="left", validate="one_to_one")
    sizes = found.loc[found["cohort"] == found["at"]].set_index("cohort")["active"]
    cells["customers"] = cells["cohort"].map(sizes)
    over = cells["at"].dt.end_time.dt.date <= until
    for name in ("active", "amount"):
        cells[name] = cells[name].fillna(0).where(over)
    cells["share"], cells["low"], cells["high"] = share_with_interval(
        cells["active"], cells["customers"].where(over)
    )
    cells["cohort"] = cells["cohort"].dt.start_time
    names = ["cohort", "age", "customers", "active", "amount", "share", "low", "high"]
    return cells[names].sort_values(["cohort", "age"], ignore_index=True)


def _cells(cohorts: Any, until: dt.date, period: Period) -> pd.DataFrame:
    """Every cohort in every period from its own to the one that holds `until`."""
    last = pd.Period(until, _UNITS[period])
    rows = [
        (cohort, age, cohort + age)
        for cohort in sorted(cohorts)
        for age in range((last - cohort).n + 1)
    ]
    return pd.DataFrame(rows, columns=["cohort", "age", "at"])


def pooled(cells: pd.DataFrame) -> pd.DataFrame:
    """All cohorts together at each age. Grain: one age, of cohorts observed at it alone.

    age, customers, active, share, low, high (as in `triangle`).
    """
    seen = cells.dropna(subset="share")
    table = seen.groupby("age", as_index=False)[["customers", "active"]].sum()
    table["share"], table["low"], table["high"] = share_with_interval(
        table["active"], table["customers"]
    )
    return table


def gaps(orders: ir.Table) -> pd.DataFrame:
    """Days between a person's purchase and the next one. Grain: one length of gap.

    days (1 or more), gaps (how many of that length). Gaps still open on the last day are not in it:
    the lengths are those of people who did return, and shorter than those yet to come.
    """
    bought = purchase_days(orders)
    order = ibis.window(group_by="person_id", order_by="day")
    since = bought["day"].delta(bought["day"].lag().over(order), unit="day")
    lengths = bought.select(days=since).filter(lambda t: t["days"].notnull())
    table = lengths.group_by("days").agg(gaps=lengths.count())
    return table.order_by("days").to_pandas()


def gap_quantile(table: pd.DataFrame, share: float) -> float:
    """The shortest gap that at least this share of gaps do not exceed; missing without gaps."""
    if table.empty:
        return float("nan")
    reached = table["gaps"].cumsum() >= share * table["gaps"].sum()
    return float(table.loc[reached, "days"].iloc[0])


def gap_median_interval(table: pd.DataFrame) -> tuple[float, float]:
    """Interval of the median gap from order statistics, at LEVEL, for independent gaps.

    Conover (1999), Practical Nonparametric Statistics, section 3.2, normal approximation.
    """
    n = int(table["gaps"].sum())
    if n == 0:
        return float("nan"), float("nan")
    half = 1.959964 * np.sqrt(0.25 / n)
    return gap_quantile(table, max(0.5 - half, 0)), gap_quantile(table, min(0.5 + half, 1))


def record_repeat_rate(numbers: Numbers, people: pd.DataFrame) -> Number:
    """Record retention.customers and retention.repeat_rate from `purchase_counts`."""
    customers = people["customers"].sum()
    again = people.loc[people["purchases"] > 1, "customers"].sum()
    rate, low, high = share_with_interval(again, customers)
    numbers.record(
        "retention.customers",
        customers,
        unit="customers",
        n=customers,
        definition="people with at least one purchase",
    )
    return numbers.record(
        "retention.repeat_rate",
        rate,
        low=low,
        high=high,
        level=LEVEL,
        unit="share",
        n=customers,
        definition="share of customers with purchases on two or more days",
    )


def record_median_gap(numbers: Numbers, table: pd.DataFrame) -> Number:
    """Record retention.median_gap_days from `gaps`; missing if nobody returned."""
    low, high = gap_median_interval(table)
    return numbers.record(
        "retention.median_gap_days",
        gap_quantile(table, 0.5),
        low=low,
        high=high,
        level=LEVEL,
        unit="days",
        n=table["gaps"].sum(),
        definition="median days from one purchase to the next, of purchases that had a next one",
    )


def record_ages(numbers: Numbers, monthly: pd.DataFrame, *, ages: Sequence[int]) -> None:
    """Record retention.month_<age> from a triangle of months, for ages that were observed."""
    table = pooled(monthly).set_index("age").reindex(list(ages)).fillna({"customers": 0})
    for age, row in table.iterrows():
        numbers.record(
            f"retention.month_{age}",
            row["share"],
            low=row["low"],
            high=row["high"],
            level=LEVEL,
            unit="share",
            n=row["customers"],
            definition=f"share of customers who bought in the {age}. calendar month after that of "
            "their first purchase, all cohorts observed so long together",
        )


def purchase_groups(people: pd.DataFrame) -> pd.DataFrame:
    """`purchase_counts` in six groups. purchases (as text), customers, and the shares of both."""
    groups = pd.cut(
        people["purchases"],
        [0, 1, 2, 3, 5, 10, np.inf],
        labels=["1", "2", "3", "4 to 5", "6 to 10", "more than 10"],
    )
    table = people.groupby(groups, observed=True)[["customers", "amount"]].sum().reset_index()
    table["of customers"] = table["customers"] / table["customers"].sum()
    table["of revenue"] = table["amount"] / table["amount"].sum()
    return table.astype({"purchases": str}).drop(columns="amount")


def loss_finding(cells: pd.DataFrame, *, period: Period) -> str:
    """Where most customers are lost, from `triangle`: a heading and its sentence."""
    table = pooled(cells[cells["age"] > 0])
    if table.empty:
        return (
            "## Too early to say where customers are lost\n\n"
            f"No {period} after a first purchase is over."
        )
    first, last = table.iloc[0], table.iloc[-1]
    text = (
        "## Only {first:.0%} buy again in the {period} after their first purchase\n\n"
        "Of all cohorts together {low:.1%} to {high:.1%} do (95% confidence)."
    )
    if len(table) > 1:
        text += " {age} {period}s after it, {last:.0%} buy."
    return sentence(
        text,
        first=first["share"],
        low=first["low"],
        high=first["high"],
        period=period,
        age=int(last["age"]),
        last=last["share"],
    )


def cohort_finding(cells: pd.DataFrame, *, period: Period) -> str:
    """Whether first returns differ between cohorts more than chance allows: heading and sentence.

    Chi-square test of equal shares over the cohorts observed at age 1.
    """
    first = cells[cells["age"] == 1].dropna(subset="share")
    if len(first) < 2 or first["active"].sum() in (0, first["customers"].sum()):
        return (
            "## Too early to compare cohorts\n\n"
            f"Fewer than two have been observed for a {period} after their first."
        )
    lost = first["customers"] - first["active"]
    test = chi2_contingency(np.array([first["active"], lost]), correction=False)
    if test.pvalue < 1 - LEVEL:
        heading = "Cohorts differ by more than chance"
        verdict = "More than chance would explain"
    else:
        heading = "No sign that newer customers stay better or worse"
        verdict = "Chance alone could explain that"
    return sentence(
        "## {heading}\n\nBetween {low:.1%} and {high:.1%} of a cohort came back one {period} later. "
        "{verdict} (p = {p:.2g}, chi-square test over {cohorts}).",
        heading=heading,
        low=first["share"].min(),
        high=first["share"].max(),
        period=period,
        verdict=verdict,
        p=test.pvalue,
        cohorts=counted(len(first), "cohort"),
    )


def gap_finding(table: pd.DataFrame) -> str:
    """When customers return, from `gaps`: a heading and its sentence."""
    if table.empty:
        return "## Nobody has returned yet\n\nNo customer has bought on two days."
    return sentence(
        "## Half of all returns happen within {median:.0f} days\n\n"
        "Counted from the purchase before, nine in ten happen within {most:.0f} days. A reminder has "
        "most people to reach in the first weeks; silence of more than {most:.0f} days is unusual "
        "even for those who do return.",
        median=gap_quantile(table, 0.5),
        most=gap_quantile(table, 0.9),
    )


def plot_triangle(cells: pd.DataFrame, *, period: Period, ax: Axes | None = None) -> Axes:
    """Heat map of the share who buy at each age after the first period; blank is not yet observed."""
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
        cbar_kws={"format": plots.percent, "label": "of the cohort"},
    )
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel=f"{period}s after the first purchase", ylabel="first purchase in")
    return ax


def _label(cohort: pd.Timestamp, period: Period) -> str:
    if period == "quarter":
        return f"{cohort.year} Q{cohort.quarter}"
    return f"{cohort:%b %Y}" if period == "month" else f"{cohort:%d %b %Y}"


def describe_triangle(cells: pd.DataFrame, *, period: Period) -> str:
    """What the heat map shows, in words."""
    table = pooled(cells[cells["age"] > 0])
    if table.empty:
        return f"Heat map without cells: no {period} after a first purchase is over yet."
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
    for _, cohort in cells[cells["age"] > 0].dropna(subset="share").groupby("cohort"):
        ax.plot(cohort["age"], cohort["share"], color=plots.NEUTRAL, linewidth=0.8, alpha=0.7)
    table = pooled(cells[cells["age"] > 0])
    ax.plot(table["age"], table["share"], color=plots.OBSERVED, linewidth=2)
    ax.fill_between(table["age"], table["low"], table["high"], color=plots.OBSERVED, alpha=0.2)
    ax.plot([], [], color=plots.NEUTRAL, linewidth=0.8, label="each cohort")
    ax.plot([], [], color=plots.OBSERVED, linewidth=2, label="all cohorts, 95% interval")
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
        return f"Curves without points: no {period} after a first purchase is over yet."
    points = table.iloc[sorted({0, min(2, len(table) - 1), len(table) // 2, len(table) - 1})]
    said = ", ".join(
        f"{p.share:.1%} ({p.low:.1%} to {p.high:.1%}) at age {p.age}" for p in points.itertuples()
    )
    return f"Curve of the share of customers who buy by {period}s since the first purchase: {said}."


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
    return ax


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
