"""What kind of customer somebody was from the start, and whether some kinds return more often.

Grain out: one person, by attributes of the first order or of the person.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.multitest import multipletests

from loyaltylab.intervals import LEVEL, Z, difference_interval
from loyaltylab.language import phrase
from loyaltylab.numbers import chance, sentence

HOLIDAYS = ((11, 15), (12, 24))  # month and day, both included: the weeks before Christmas


def season(
    first: ir.DateValue, *, holidays: tuple[tuple[int, int], tuple[int, int]] = HOLIDAYS
) -> ir.StringValue:
    """Whether somebody whose first purchase was on this day was won before the holidays: "holiday" or
    "other". holidays : first and last (month, day) of that season, which may go over the end of a year.
    """
    since, until = (100 * month + day for month, day in holidays)
    date = 100 * first.month() + first.day()
    inside = date >= since, date <= until
    festive = inside[0] & inside[1] if since <= until else inside[0] | inside[1]
    return festive.ifelse("holiday", "other")


def returned_by(purchases: ir.Table, *, by: str, days: int, until: dt.date) -> pd.DataFrame:
    """Customers who bought again within so many days, by a trait. Grain: its value × year of the first.

    purchases : as `timelines` gives them, with a column `by` that holds for a person. Only customers
    whose first purchase was `days` or more before `until`: all were observed for equally long.
    Returns the trait's value ("unknown" if missing), year, customers, returned.
    """
    seen = purchases.filter(purchases["first"] <= until - dt.timedelta(days=days))
    since = seen["day"].delta(seen["first"], unit="day")
    seen = seen.filter(
        seen["previous"].isnull() | ((seen["previous"] == seen["first"]) & (since <= days))
    )
    values = seen[by].cast("string").fill_null("unknown")
    marked = seen.mutate(**{by: values, "year": seen["first"].year()})
    table = marked.group_by(by, "year").agg(
        customers=marked["previous"].isnull().sum(), returned=marked["previous"].notnull().sum()
    )
    return table.order_by(by, "year").to_pandas()


def against_others(table: pd.DataFrame, value: str) -> pd.Series:
    """Customers of one value of a trait against all others, from `returned_by`.

    customers, returned (share), others, others_returned; difference with low and high
    (`difference_interval`); adjusted, adjusted_low, adjusted_high: the same
    difference within each year of first purchase, years weighted as by Mantel & Haenszel (Greenland &
    Robins 1985, Biometrics 41, 55–68, their weights with the binomial variance); p (Cochran–Mantel–
    Haenszel test over the years). Missing where there is nobody on one side.
    """
    by = table.columns[0]
    own = table[by] == value
    sides = [table[side].groupby("year")[["customers", "returned"]].sum() for side in (own, ~own)]
    one, other = (side.sum() for side in sides)
    found = {"customers": one["customers"], "others": other["customers"]}
    nothing = ["returned", "others_returned", "difference", "low", "high"]
    nothing += ["adjusted", "adjusted_low", "adjusted_high", "p"]
    found |= dict.fromkeys(nothing, np.nan)
    if not one["customers"] or not other["customers"]:
        return pd.Series(found)
    shares = one["returned"] / one["customers"], other["returned"] / other["customers"]
    low, high = difference_interval(
        *(int(side[name]) for side in (one, other) for name in ("returned", "customers"))
    )
    found |= {"returned": shares[0], "others_returned": shares[1], "low": low, "high": high}
    found["difference"] = shares[0] - shares[1]
    both = sides[0].merge(sides[1], left_index=True, right_index=True, suffixes=("", "_2"))
    return pd.Series(found | _within_years(both))


def _within_years(both: pd.DataFrame) -> dict[str, float]:
    """The adjusted difference and its test; both sides a year: customers, returned, and those of _2."""
    n, m = both["customers"], both["customers_2"]
    p, q = both["returned"] / n, both["returned_2"] / m
    weight = n * m / (n + m)
    total = weight.sum()
    if not total:
        return {}
    value = (weight * (p - q)).sum() / total
    variance = (weight**2 * (p * (1 - p) / n + q * (1 - q) / m)).sum() / total**2
    half = Z * np.sqrt(variance)
    squares = [
        np.array([[a, n - a], [b, m - b]], float)
        for n, a, m, b in both[["customers", "returned", "customers_2", "returned_2"]].to_numpy()
    ]
    varies = [s for s in squares if s.sum(axis=0).all()]
    tested = StratifiedTable(varies).test_null_odds(correction=False).pvalue if varies else np.nan
    return {
        "adjusted": value,
        "adjusted_low": value - half,
        "adjusted_high": value + half,
        "p": tested,
    }


def holiday_finding(tables: Mapping[int, pd.DataFrame]) -> str:
    """Whether customers won before the holidays return as often: a heading and its sentence.

    tables : days → `returned_by` season within so many days; each is tested, with Holm's correction.
    """
    found = {days: against_others(table, "holiday") for days, table in tables.items()}
    tested = {days: row for days, row in found.items() if not np.isnan(row["p"])}
    if not tested:
        return phrase(
            "## Too early to say whether customers won before the holidays return\n\n"
            "There are not both, customers won then and others, observed for long enough."
        )
    corrected = multipletests([row["p"] for row in tested.values()], method="holm")[1]
    sure = [
        row["adjusted"] for row, p in zip(tested.values(), corrected, strict=True) if p < 1 - LEVEL
    ]
    if not sure:
        heading = "Customers won before the holidays return about as often as others"
    elif max(sure) < 0:
        heading = "Customers won before the holidays return less often"
    elif min(sure) > 0:
        heading = "Customers won before the holidays return more often"
    else:
        heading = "Customers won before the holidays return at other times than others"
    said = " ".join(
        sentence(
            "Within {days} days {share:.1%} of them came back, and {other:.1%} of the others: a "
            "difference of {difference:+.1f} points ({low:+.1f} to {high:+.1f}), or {adjusted:+.1f} "
            "({adjusted_low:+.1f} to {adjusted_high:+.1f}) between customers won in the same year "
            "({p}).",
            days=days,
            share=row["returned"],
            other=row["others_returned"],
            p=chance(p),
            **{
                name: 100 * row[name]
                for name in (
                    "difference",
                    "low",
                    "high",
                    "adjusted",
                    "adjusted_low",
                    "adjusted_high",
                )
            },
        )
        for (days, row), p in zip(tested.items(), corrected, strict=True)
    )
    caveat = phrase("All were observed for that long; the seasons they had differ.")
    return f"## {phrase(heading)}\n\n{said} {caveat}"
