"""Where nobody cancels: after how long a silence a customer counts as gone.

A customer is gone on the morning after a silence that hardly anybody who came back had kept. How long
that is depends on how often they had bought: one-time buyers return late, frequent ones soon.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab.intervals import Z
from loyaltylab.language import phrase
from loyaltylab.numbers import sentence
from loyaltylab.retention.survival import kaplan_meier

FALSE_ALARM = 0.1
WITHIN = 730  # days: who returns later than that is a customer won anew
SHORTEST = 31  # days: nobody goes twice in a month
LEAST = 30  # returns that a threshold rests on, and customers still watched where a curve is read


def thresholds(
    waits: pd.DataFrame,
    *,
    false_alarm: float = FALSE_ALARM,
    within: int = WITHIN,
    shortest: int = SHORTEST,
) -> pd.DataFrame:
    """The silence after which a customer counts as gone. Grain: number of purchases so far.

    The smallest number of days so that of customers who do return at most `false_alarm` had been
    silent for longer. Returns seen so far are the quick ones: of S, the share away by Kaplan-Meier,
    those who return within w days are 1 − S(w), and (S(d) − S(w)) / (1 − S(w)) of them after d. So the
    silences still open count, and those who never return do not. Each number of purchases has its own,
    since of it a customer has one silence: frequent buyers do not outvote the others. Numbers with
    fewer than LEAST returns are taken together.

    waits : as `survival.waits` gives them, without the waits after later purchases, of which a customer
    may have several; false_alarm : in (0, 1); within : days w, or the last day
    on which LEAST customers (or of few, one in a hundred) are still watched; shortest : days, no
    threshold is below.
    Returns rank (this many purchases up to the next row's, or more), returned, days, low, high
    (interval at LEVEL: the days at which the share does not differ from `false_alarm`, by the delta
    method with Greenwood's variance), within (w), returners (share who return within w). Days and
    what rests on them are missing where nobody returned: then no silence can be told from leaving.
    """
    if not 0 < false_alarm < 1:
        raise ValueError(f"false_alarm: expected a share between 0 and 1, got {false_alarm}.")
    counts = waits.groupby("rank")["returned"].sum()
    few = counts.index[(counts < LEAST) & (counts.index > counts.index.min())]
    lowest = counts.index.tolist()
    if len(few):
        lowest = [rank for rank in counts.index if rank <= few[0]]
        if counts[counts.index >= few[0]].sum() < LEAST:
            lowest = lowest[:-1]
    classes = pd.cut(waits["rank"], [*lowest, np.inf], right=False, labels=lowest)
    rows = [
        {"rank": int(rank), "returned": some["returned"].sum()}
        | _threshold(some, false_alarm, within, shortest)
        for rank, some in waits.groupby(classes, observed=True)
    ]
    return pd.DataFrame(rows)


def _threshold(
    waits: pd.DataFrame, false_alarm: float, within: int, shortest: int
) -> dict[str, float]:
    found = kaplan_meier(waits)
    all_of = waits.groupby("days")[["returned", "waiting"]].sum().sum(axis=1)
    watched = all_of[::-1].cumsum()[::-1]
    within = min(within, watched.index[watched >= min(LEAST, watched.max() / 100)].max())
    found = found[found["days"] <= within]
    if found.empty:
        return dict.fromkeys(("days", "low", "high", "within", "returners"), float("nan"))
    away, greenwood = found["away"].to_numpy(), found["greenwood"].to_numpy()
    end, returners = away[-1], 1 - away[-1]
    late = (away - end) / returners
    # cov(S(d), S(w)) = S(d) S(w) greenwood(d) for d ≤ w. Where all returned, S(w) is 0 without variance.
    to_d, to_end = 1 / returners, -(1 - away) / returners**2
    last = greenwood[-1] if end > 0 else 0.0
    own = np.where(away > 0, greenwood, 0.0)
    variance = (
        (to_d * away) ** 2 * own + (to_end * end) ** 2 * last + 2 * to_d * to_end * away * end * own
    )
    spread = Z * np.sqrt(np.maximum(variance, 0))
    days = found["days"].to_numpy()
    bounds = (late, late - spread, late + spread)
    chosen, low, high = (
        max(float(days[share <= false_alarm + 1e-12].min()), shortest) for share in bounds
    )
    return {
        "days": chosen,
        "low": low,
        "high": high,
        "within": within,
        "returners": returners,
    }


def spells(purchases: ir.Table, thresholds: pd.DataFrame, *, until: dt.date) -> ir.Table:
    """When customers came and went. Grain: a purchase by which somebody became a customer for the first
    time, or after which one went; the others change nothing.

    purchases : as `timelines` gives them. Returns person_id, rank (1: the first purchase), day, gone
    (whether the silence allowed was over by `until`, without a purchase), end (the last day on which the
    customer counts as one by this purchase: that of the next, the last of the silence allowed, or
    `until`), back_on (of a customer gone, the day of the next purchase).
    """
    known = thresholds[["rank", "days"]].dropna().astype("int64").to_numpy().tolist()[::-1]
    never = ibis.null("date")

    def of_rank(rows: ir.Table, values: Sequence[Any], missing: ir.Value) -> ir.Value:
        cases = zip([rows["rank"] >= rank for rank, _ in known], values, strict=True)
        return ibis.cases(*cases, else_=missing) if known else missing

    # Who came back on the last day allowed was still a customer; who has not by its evening is none.
    morning = ibis.literal(until + dt.timedelta(days=1))
    silent = purchases["next_day"].coalesce(morning).delta(purchases["day"], unit="day")
    allowed = of_rank(purchases, [days for _, days in known], ibis.null("int64"))
    gone = (silent > allowed).fill_null(False)
    # Most return soon: the engine need not look for the silence that their number allows.
    long = silent > min((days for _, days in known), default=0)
    rows = purchases.filter((purchases["rank"] == 1) | (long & gone)).mutate(gone=gone)
    midnight = rows["day"].cast("timestamp")
    over = of_rank(rows, [(midnight + ibis.interval(days=days)).date() for _, days in known], never)
    return rows.select(
        "person_id",
        "rank",
        "day",
        "gone",
        end=rows["gone"].ifelse(over, rows["next_day"].coalesce(ibis.literal(until))),
        back_on=rows["gone"].ifelse(rows["next_day"], never),
    )


def status(spells: ir.Table, *, until: dt.date) -> ir.Table:
    """Whether each customer counts as gone on the evening of `until`. person_id, gone."""
    last = spells.group_by("person_id").agg(
        lost=(spells["gone"] & spells["back_on"].isnull()).any()
    )
    return last.select("person_id", gone=last["lost"])


def silence_finding(thresholds: pd.DataFrame, *, false_alarm: float = FALSE_ALARM) -> str:
    """After how long a silence customers count as gone, from `thresholds`: heading and sentence."""
    known = thresholds.dropna(subset="days")
    if known.empty:
        return phrase(
            "## Nobody has returned yet, so no silence can be told from leaving\n\n"
            "A customer counts as gone after a silence that hardly anybody who came back had kept."
        )
    first, last = known.iloc[0], known.iloc[-1]
    template = (
        "## After {days:.0f} days of silence a customer counts as gone\n\n"
        "Of customers who return within {within:.0f} days of their first purchase, at most "
        "{false_alarm:.0%} had been silent for longer than {days:.0f} days ({low:.0f} to {high:.0f} "
        "with 95% confidence). So of those who are still customers some are counted as gone, and "
        "win-backs show it."
    )
    if len(known) > 1:
        template = (
            "## A one-time buyer counts as gone after {days:.0f} days, a frequent one after "
            "{late:.0f}\n\n"
            "Of customers who return within {within:.0f} days of their first purchase, at most "
            "{false_alarm:.0%} had been silent for longer than {days:.0f} days ({low:.0f} to "
            "{high:.0f} with 95% confidence); after {rank} purchases, than {late:.0f} "
            "({late_low:.0f} to {late_high:.0f}). So of those who are still customers some are counted "
            "as gone, and win-backs show it."
        )
    return sentence(
        template,
        days=first["days"],
        low=first["low"],
        high=first["high"],
        within=first["within"],
        false_alarm=false_alarm,
        rank=int(last["rank"]),
        late=last["days"],
        late_low=last["low"],
        late_high=last["high"],
    )
