"""Renewals: how many of a cohort are still customers, where endings are visible (contracts).

Parameters on an open scale are `scale`: log-odds of the mean churn α / (α + β), log-odds of the
polarisation 1 / (α + β + 1) (0: all customers alike; 1: each is certain to stay or to go), and log c.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import betaln, expit, logit

from loyaltylab.errors import LabError
from loyaltylab.periods import Span, of_ordinals, ordinal

Model = Literal["sBG", "BdW"]
Array = np.ndarray[Any, np.dtype[Any]]

_MONTHS = {"month": 1, "quarter": 3, "year": 12}
WIDTH: dict[str, int] = {"sBG": 2, "BdW": 3}  # parameters of a model
# Beyond these, curves differ by less than any cohort could show.
LOWEST, HIGHEST = np.array([-10.0, -9.0, -2.5]), np.array([10.0, 9.0, 2.5])
_STARTS = [(0.0, 0.3), (-2.0, 0.0), (1.0, 0.6)]  # polarisation, log c


def survivors(persons: ir.Table, *, period: Span, until: dt.date) -> pd.DataFrame:
    """Who is still a customer after k whole periods. Grain in: one person. Grain out: cohort × age.

    persons : started (date), ended (date: the first day on which the person was no customer
    any more; missing while there is no such day). An age counts from each person's own start: age 1 of
    who started on 31 January is 29 February. One who ended by the day of the start leaves at age 1.
    until : last day observed; who started after it is left out. An age that not everybody of a cohort
    can have reached by then is missing, not zero.
    Returns cohort (first day of the period of the start), age (periods), customers (of the cohort),
    survivors. A cohort whose own period is not over is there too, with nothing but its customers.
    Raises LabError if nobody started by `until`.
    """
    people = persons.select(
        cohort=ordinal(persons["started"].cast("date"), period),
        started=persons["started"].cast("date"),
        last=persons["ended"].cast("date") - ibis.interval(days=1),
    )
    people = people.filter(people["started"] <= ibis.literal(until))
    ages = _whole_periods(people["started"], people["last"], period)
    # Missing where nobody knows of an end, which ibis.greatest would turn into 0.
    found = people.mutate(reached=(ages < 0).ifelse(0, ages)).group_by("cohort", "reached")
    counts = found.agg(customers=lambda t: t.count()).to_pandas()
    if counts.empty:
        raise LabError(f"persons: expected somebody who started by {until}, found nobody.")
    counts["cohort"] = of_ordinals(counts["cohort"], period)
    rows = []
    for cohort, of in counts.groupby("cohort"):
        customers, reached = of["customers"].to_numpy(), of["reached"].to_numpy(float)
        reached = np.where(np.isnan(reached), np.inf, reached)
        seen = _ages_seen(cohort, period, until)
        rows += [
            (cohort.start_time, age, customers.sum(), customers[reached >= age].sum())
            for age in range(seen + 1)
        ] or [(cohort.start_time, 0, customers.sum(), np.nan)]
    return pd.DataFrame(rows, columns=["cohort", "age", "customers", "survivors"])


def _whole_periods(first: ir.DateValue, last: ir.DateValue, period: Span) -> ir.IntegerValue:
    """How many anniversaries of `first`, in periods, `last` has reached."""
    if period == "week":
        return (last.delta(first, unit="day") // 7).cast("int64")
    months = (last.year() - first.year()) * 12 + last.month() - first.month()
    # The 31st's anniversary is the last day of a month that has no 31st.
    ends_month = (last + ibis.interval(days=1)).month() != last.month()
    short = (last.day() < first.day()) & ~ends_month
    months = months - short.cast("int64")
    return (months / _MONTHS[period]).floor().cast("int64")


def _ages_seen(cohort: pd.Period, period: Span, until: dt.date) -> int:
    """The highest age that whoever started last in a cohort has reached; -1 if not even the start."""
    last, end = cohort.end_time.normalize(), pd.Timestamp(until)
    if period == "week":
        return max((end - last).days // 7, -1)
    months = (end.year - last.year) * 12 + end.month - last.month
    months -= end.day < last.day and not end.is_month_end
    return max(months // _MONTHS[period], -1)


@dataclass(frozen=True)
class Observed:
    """A triangle of survivors as arrays, a row a cohort.

    labels : the cohorts, in order; customers : of each; last : the highest age observed (-1: none);
    lost : cohort × age 1, 2, …, how many left; zero where not observed; left : survivors at `last`.
    """

    labels: list[Any]
    customers: Array
    last: Array
    lost: Array
    left: Array


def observed(cells: pd.DataFrame) -> Observed:
    """The triangle in arrays. cells : cohort, age, customers, survivors (missing: not observed).

    Raises LabError unless each cohort is observed from age 0 on without a hole, with all of its
    customers at age 0 and never more than at the age before.
    """
    wide = cells.pivot(index="cohort", columns="age", values="survivors").astype(float)
    wide = wide.reindex(columns=range(int(cells["age"].max()) + 1))
    counts = wide.to_numpy()
    sizes = cells.groupby("cohort")["customers"].first().reindex(wide.index).to_numpy(float)
    last = np.isfinite(counts).sum(axis=1) - 1
    for name, row, end, size in zip(wide.index, counts, last, sizes, strict=True):
        seen = row[: end + 1]
        if not np.isfinite(seen).all():
            raise LabError(
                f"cohort {name}: expected survivors at each age from 0 to the last one observed, "
                f"found none at age {int(np.flatnonzero(np.isnan(seen))[0])}."
            )
        if end >= 0 and (seen[0] != size or (np.diff(seen) > 0).any() or seen[-1] < 0):
            raise LabError(
                f"cohort {name}: expected its {size:,.0f} customers at age 0 and no more at any age "
                f"than at the one before, found {', '.join(f'{count:,.0f}' for count in seen)}."
            )
    lost = np.nan_to_num(-np.diff(counts, axis=1))
    left = np.where(last >= 0, counts[np.arange(len(counts)), np.maximum(last, 0)], 0)
    return Observed(wide.index.tolist(), sizes, last, lost, left)


def parameters(scale: Array) -> tuple[Array, Array, Array]:
    """α, β and c from the open scale, along its last axis; c is 1 where it has two columns."""
    scale = np.clip(scale, LOWEST[: scale.shape[-1]], HIGHEST[: scale.shape[-1]])
    total = np.exp(-scale[..., 1])
    c = np.exp(scale[..., 2]) if scale.shape[-1] == 3 else np.ones(scale.shape[:-1])
    return expit(scale[..., 0]) * total, expit(-scale[..., 0]) * total, c


def log_survival(alpha: Any, beta: Any, c: Any, ages: Array) -> Array:
    """log S(t) = log B(α, β + t^c) − log B(α, β), with the ages along a new last axis.

    Fader, Hardie, Liu, Davin & Steenburgh (2018), Journal of Interactive Marketing 43, 1–16: a customer
    leaves at each renewal with a chance of his own, which grows or falls with age by c (beta-discrete-
    Weibull). With c = 1 the sBG of Fader & Hardie (2007), Journal of Interactive Marketing 21, 76–90.
    """
    alpha, beta, c = (np.asarray(value, float)[..., None] for value in (alpha, beta, c))
    return betaln(alpha, beta + np.asarray(ages, float) ** c) - betaln(alpha, beta)


def log_likelihood(data: Observed, scale: Array) -> Array:
    """Of each cohort, at parameters of shape (…, cohorts, 2 or 3)."""
    log_s = log_survival(*parameters(scale), np.arange(data.lost.shape[1] + 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        leaving = log_s[..., :-1] + np.log(-np.expm1(np.diff(log_s, axis=-1)))
        gone = np.where(data.lost > 0, data.lost * leaving, 0).sum(axis=-1)
    last = np.broadcast_to(np.maximum(data.last, 0)[:, None], (*log_s.shape[:-1], 1))
    return gone + data.left * np.take_along_axis(log_s, last, axis=-1)[..., 0]


def only(data: Observed, row: int) -> Observed:
    """One cohort of the triangle."""
    one = slice(row, row + 1)
    return Observed(
        data.labels[one], data.customers[one], data.last[one], data.lost[one], data.left[one]
    )


def fit(cells: pd.DataFrame, *, model: Model) -> pd.DataFrame:
    """Each cohort alone, at its maximum of likelihood. Grain: one cohort.

    cells : as in `survivors`. Returns cohort, customers, renewals (the last age observed), alpha, beta,
    c, log_likelihood, settled: whether the optimum is a clear one, within the range of curves that can
    be told apart. All are missing where fewer renewals were observed than the model has parameters.
    Raises LabError as `observed` does.
    """
    data = observed(cells)
    rows = []
    for row, label in enumerate(data.labels):
        head = (label, data.customers[row], max(data.last[row], 0))
        if data.last[row] < WIDTH[model]:
            rows.append((*head, *[np.nan] * 4, False))
            continue
        best, settled = _optimum(only(data, row), WIDTH[model])
        values = [float(value) for value in parameters(best)]
        rows.append(
            (*head, *values, float(log_likelihood(only(data, row), best[None])[0]), settled)
        )
    names = ["cohort", "customers", "renewals", "alpha", "beta", "c", "log_likelihood", "settled"]
    return pd.DataFrame(rows, columns=names)


def _optimum(data: Observed, width: int) -> tuple[Array, bool]:
    """Of one cohort, from several starts; and whether it is a clear one inside the range."""
    low, high = LOWEST[:width], HIGHEST[:width]
    churn = logit((data.lost[0, 0] + 0.5) / (data.customers[0] + 1))
    found = [
        minimize(
            lambda scale: -log_likelihood(data, scale[None])[0],
            np.array([churn, *start])[:width],
            method="Nelder-Mead",
            bounds=list(zip(low, high, strict=True)),
            options={"xatol": 1e-6, "fatol": 1e-8, "maxiter": 4000, "maxfev": 4000},
        )
        for start in _STARTS
    ]
    best = min(found, key=lambda result: result.fun)
    inside = ((best.x > low + 0.1) & (best.x < high - 0.1)).all()
    return best.x, bool(best.success and inside and np.isfinite(best.fun))
