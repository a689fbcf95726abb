"""Cohorts side by side: are newer customers better? (the fourth lens). Grain in: `triangle`'s cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from statsmodels.stats.contingency_tables import Table
from statsmodels.stats.multitest import multipletests

from loyaltylab.intervals import LEVEL, Z, share_with_interval
from loyaltylab.language import phrase
from loyaltylab.numbers import chance, sentence
from loyaltylab.retention.cohorts import Period

_FEWER_THAN_TWO = {
    "week": "Fewer than two cohorts have been observed for a week after their first.",
    "month": "Fewer than two cohorts have been observed for a month after their first.",
    "quarter": "Fewer than two cohorts have been observed for a quarter after their first.",
}
_AT_AGE_ONE = {
    "week": "{age} week after the first, {change:+.1f} points ({low:+.1f} to {high:+.1f}, {p})",
    "month": "{age} month after the first, {change:+.1f} points ({low:+.1f} to {high:+.1f}, {p})",
    "quarter": "{age} quarter after the first, {change:+.1f} points ({low:+.1f} to {high:+.1f}, {p})",
}
_AT_AGE = {
    "week": "{age} weeks after the first, {change:+.1f} points ({low:+.1f} to {high:+.1f}, {p})",
    "month": "{age} months after the first, {change:+.1f} points ({low:+.1f} to {high:+.1f}, {p})",
    "quarter": "{age} quarters after the first, {change:+.1f} points ({low:+.1f} to {high:+.1f}, {p})",
}


def generations(cells: pd.DataFrame) -> pd.DataFrame:
    """Cohorts of one calendar year together. Grain: year × age that all cohorts of the year reached.

    cells : `triangle`, of one value of its `by` if it has one. Since each age holds the same cohorts, a
    curve falls or rises by what customers do, not by who is in it.
    Returns year (of the first purchase), age, customers, active, share, low, high (as in `triangle`).
    """
    dated = cells.assign(year=cells["cohort"].dt.year)
    table = dated.groupby(["year", "age"], as_index=False).agg(
        cohorts=("share", "count"), customers=("customers", "sum"), active=("active", "sum")
    )
    of_year = dated.groupby("year")["cohort"].nunique()
    table = table[table["cohorts"] == table["year"].map(of_year)].drop(columns="cohorts")
    table["share"], table["low"], table["high"] = share_with_interval(
        table["active"], table["customers"]
    )
    return table.reset_index(drop=True)


def trends(cells: pd.DataFrame, *, ages: Sequence[int] = (1, 3, 12)) -> pd.DataFrame:
    """Whether newer cohorts do better at the same age. Grain: one age.

    cells : `triangle`. Returns age, cohorts, customers, change (of the share from the oldest of
    those cohorts to the newest, on a straight line by date) with low and high (at LEVEL, binomial), p
    (Cochran 1954 and Armitage 1955: trend of a share over ordered groups), p_holm (Holm 1979: of all
    ages tested). Missing where fewer than two cohorts were observed, or all or none of them bought.
    """
    rows = [[age, *_trend(cells[cells["age"] == age].dropna(subset="share"))] for age in ages]
    columns = ["age", "cohorts", "customers", "change", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    tested = table["p"].notna()
    table["p_holm"] = np.nan
    if tested.any():
        table.loc[tested, "p_holm"] = multipletests(table.loc[tested, "p"], method="holm")[1]
    return table


def _trend(at: pd.DataFrame) -> list[float]:
    """cohorts, customers, change, low, high and p of the cohorts observed at one age."""
    n, active = at["customers"].to_numpy(float), at["active"].to_numpy(float)
    cohorts = at["cohort"].nunique()
    if cohorts < 2 or active.sum() in (0, n.sum()):
        return [cohorts, n.sum(), *[np.nan] * 4]
    days = (at["cohort"] - at["cohort"].min()).dt.days
    place = (days / days.max()).to_numpy()  # 0 the oldest cohort, 1 the newest
    test = Table(np.column_stack([n - active, active]), shift_zeros=False)
    p = test.test_ordinal_association(row_scores=place, col_scores=np.array([0, 1])).pvalue
    away = place - np.average(place, weights=n)
    squares = (n * away**2).sum()
    change = (away * active).sum() / squares
    share = active / n
    half = Z * np.sqrt((n * away**2 * share * (1 - share)).sum()) / squares
    return [cohorts, n.sum(), change, change - half, change + half, p]


def trend_finding(table: pd.DataFrame, *, period: Period) -> str:
    """Whether newer cohorts are better, from `trends`: a heading and its sentence."""
    tested = table.dropna(subset="p")
    if tested.empty:
        heading = phrase("## Too early to say whether newer customers are better")
        return f"{heading}\n\n{phrase(_FEWER_THAN_TWO[period])}"
    sure = tested[tested["p_holm"] < 1 - LEVEL]
    if sure.empty:
        heading = "Newer cohorts are neither better nor worse than chance allows"
    elif (sure["change"] > 0).all():
        heading = "Newer cohorts come back more often"
    elif (sure["change"] < 0).all():
        heading = "Newer cohorts come back less often"
    else:
        heading = "Newer cohorts come back more often at one age, less often at another"
    said = "; ".join(
        sentence(
            (_AT_AGE_ONE if row["age"] == 1 else _AT_AGE)[period],
            age=row["age"],
            change=100 * row["change"],
            low=100 * row["low"],
            high=100 * row["high"],
            p=chance(row["p_holm"]),
        )
        for row in tested.to_dict("records")
    )
    text = phrase(
        "From the oldest cohort to the newest, the share who buy changes by: {changes}. Compared are "
        "cohorts at the same age, so the time they had is the same; the season at that age is not. p is "
        "of the Cochran–Armitage test of a trend, corrected for the number of ages (Holm).",
        changes=said,
    )
    return f"## {phrase(heading)}\n\n{text}"
