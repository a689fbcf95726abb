"""Repeat orders week by week, as they came and as a model expects them. Grain in: one purchase."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.stats import t as student

from loyaltylab.lifetime_value.history import DAYS
from loyaltylab.lifetime_value.models import Combined, OrderModel


def tracking(
    purchases: ir.Table, model: OrderModel | Combined, *, cutoff: date, weeks: int
) -> pd.DataFrame:
    """Repeat orders week by week, of the customers won until `cutoff`: observed and expected.

    purchases : as `timelines` gives them. Returns week_end (weeks are counted from the cutoff, the
    first may begin before the first order), actual and expected (repeat order days in the week),
    actual_total and expected_total (up to its end), held_out (the week lies after the cutoff), up to
    `weeks` weeks after the cutoff.
    """
    end = cutoff + timedelta(weeks=weeks)
    counts = daily(purchases, cutoff=cutoff, end=end)
    calendar = pd.DatetimeIndex(counts.index)
    ends = pd.Timestamp(cutoff) + pd.to_timedelta(
        np.arange(-((pd.Timestamp(cutoff) - calendar[0]).days // DAYS), weeks + 1), unit="W"
    )
    expected = expected_by_day(counts["won"].to_numpy(float), model, calendar)
    totals = pd.DataFrame(
        {"actual_total": counts.repeats.cumsum(), "expected_total": expected}, index=calendar
    ).loc[ends]
    return pd.DataFrame(
        {
            "week_end": ends,
            "actual": totals.actual_total.diff().fillna(totals.actual_total).to_numpy(int),
            "expected": totals.expected_total.diff().fillna(totals.expected_total).to_numpy(),
            "actual_total": totals.actual_total.to_numpy(),
            "expected_total": totals.expected_total.to_numpy(),
            "held_out": ends > pd.Timestamp(cutoff),
        }
    )


def daily(purchases: ir.Table, *, cutoff: date, end: date) -> pd.DataFrame:
    """Of customers won until `cutoff`, by day from the first purchase to `end` (the index): won, repeats
    (repeat order days)."""
    ours = purchases.filter(purchases["first"] <= cutoff, purchases["day"] <= end)
    by_day = ours.group_by("day").aggregate(
        won=(ours["rank"] == 1).sum(), repeats=(ours["rank"] > 1).sum()
    )
    counts = by_day.order_by("day").execute().set_index("day")
    counts.index = pd.DatetimeIndex(counts.index)
    return counts.reindex(pd.date_range(counts.index[0], end), fill_value=0)


def expected_by_day(
    won: np.ndarray, model: OrderModel | Combined, calendar: pd.DatetimeIndex
) -> np.ndarray:
    """Repeat orders expected up to the end of each day of the `calendar`, of as many customers `won`
    on each: one won on day s makes as many by day d as in the time between."""
    if isinstance(model, Combined):
        each = [expected_by_day(won, one, calendar) for one in model.models]
        return np.asarray(np.mean(each, axis=0))
    passed = np.arange(len(calendar), dtype=float)
    if model.clock is not None:
        passed = model.clock.between(calendar)
    curve = replace(model, clock=None).new_customer_orders(np.arange(passed[-1] + 2) / DAYS)
    expected = np.zeros(len(calendar))
    for s in np.flatnonzero(won):
        expected[s:] += won[s] * np.interp(passed[s:] - passed[s], np.arange(len(curve)), curve)
    return expected


def diebold_mariano(one: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    """Whether one forecast of the held-out weeks' totals misses by more than another, from two
    `tracking` tables of the same weeks.

    Returns difference (mean squared miss of `one` less that of `other`), statistic and p (two-sided).
    Diebold & Mariano (1995), Journal of Business & Economic Statistics 13, 253–263, with Bartlett's
    weights over lags up to the cube root of the number of weeks, and Student's t as Harvey,
    Leybourne & Newbold (1997) advise. Missing with fewer than eight weeks, or no difference.
    """
    losses = [
        ((table["actual"] - table["expected"]) ** 2)[table["held_out"]].to_numpy()
        for table in (one, other)
    ]
    less = losses[0] - losses[1]
    n, mean = len(less), float(less.mean())
    lags, centred = int(np.cbrt(n)), less - mean
    covariances = [centred[k:] @ centred[: n - k] / n for k in range(lags + 1)]
    variance = covariances[0] + 2 * sum(
        (1 - k / (lags + 1)) * covariances[k] for k in range(1, lags + 1)
    )
    if n < 8 or not variance > 0:
        return {"difference": mean, "statistic": float("nan"), "p": float("nan")}
    statistic = mean / (variance / n) ** 0.5
    return {
        "difference": mean,
        "statistic": float(statistic),
        "p": float(2 * student.sf(abs(statistic), n - 1)),
    }
