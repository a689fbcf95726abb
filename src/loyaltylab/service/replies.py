"""How long customers wait for a reply and for a solution, and what is still open.

Grain in: one ticket of `volumes.opened`. A ticket without a reply yet has waited until the last day
observed and counts as such (Kaplan–Meier), instead of being left out: what is left out first is what
waits longest.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab.durations import share_ended, survival
from loyaltylab.engine import whole_seconds
from loyaltylab.intervals import share_with_interval
from loyaltylab.periods import of_ordinals, ordinal

Event = Literal["reply", "solution"]


def _end(tickets: ir.Table, event: Event, over: dt.datetime) -> ir.TimestampValue:
    """When it was; missing if not before the end of the observation. What was solved without a noted
    reply had its reply by then at the latest."""
    at = tickets["resolved_at"]
    if event == "reply":
        at = tickets["first_reply_at"].coalesce(at)
    return (at < ibis.literal(over)).ifelse(at, ibis.null("timestamp"))


def _over(until: dt.date) -> dt.datetime:
    return dt.datetime.combine(until, dt.time()) + dt.timedelta(days=1)


def waits(
    tickets: ir.Table, event: Event, *, until: dt.date, by: str | None = None
) -> pd.DataFrame:
    """How long tickets waited. Grain: (value of `by` ×) hours, in steps of a minute.

    Returns (by,) hours, ended (tickets whose reply or solution came after so long), open (without one
    by the end of `until`, after so long).
    """
    con, over = tickets.get_backend(), _over(until)
    at = _end(tickets, event, over)
    # Not delta(): its unit "minute" counts borders crossed on one engine, minutes gone by on another.
    until_then = whole_seconds(con, at.coalesce(ibis.literal(over)))
    seconds = until_then - whole_seconds(con, tickets["opened_at"])
    rows = tickets.mutate(minutes=seconds // 60, at=at)
    keys = ["minutes"] if by is None else [by, "minutes"]
    table = rows.group_by(keys).agg(ended=rows["at"].count(), open=rows["at"].isnull().sum())
    found = table.order_by(keys).to_pandas()
    found.insert(len(keys), "hours", found.pop("minutes") / 60)
    return found.astype({"ended": int, "open": int})


def summary(table: pd.DataFrame, *, within: float, by: str | None = None) -> pd.DataFrame:
    """`waits` in a line. Grain: one value of `by`, or one row in all.

    Returns (by,) tickets, ended, median, p90 (hours), each with _low and _high; within (share within so
    many hours), within_low, within_high. A quantile is missing where fewer have ended, its bounds where
    the curve's interval does not reach it (Brookmeyer & Crowley 1982, Biometrics 38, 29–41); the share
    where nothing was observed for so long, unless all had ended before, and where nothing ended at all:
    then nothing says that ends are noted.
    """
    if by is None:
        return pd.DataFrame([_summary(table, within)])
    rows = [{by: value} | _summary(part, within) for value, part in table.groupby(by, sort=True)]
    return pd.DataFrame(rows, columns=[by, *_summary(table, within)]).astype({by: table[by].dtype})


def _summary(part: pd.DataFrame, within: float) -> dict[str, float]:
    found = survival(part["hours"], part["ended"], part["open"])
    share, low, high = share_ended(found["left"], found["greenwood"])
    times = found["time"].to_numpy()
    told: dict[str, float] = {
        "tickets": int(part[["ended", "open"]].to_numpy().sum()),
        "ended": int(part["ended"].sum()),
    }
    for name, quantile in (("median", 0.5), ("p90", 0.9)):
        for ending, curve in (("", share), ("_low", high), ("_high", low)):
            # Rounding must not move a share of exactly one half below it.
            reached = times[curve >= quantile - 1e-12]
            told[name + ending] = float(reached[0]) if len(reached) else np.nan
    # Where all have ended, the rest is known: nobody waits for longer.
    seen = len(found) and (part["hours"].max() >= within or found["left"].iloc[-1] <= 0)
    at = int(np.searchsorted(times, within, side="right")) - 1
    values = (share, low, high)
    for ending, curve in zip(("", "_low", "_high"), values, strict=True):
        told["within" + ending] = np.nan if not seen else float(curve[at]) if at >= 0 else 0.0
    # Where none or all ended so soon, the curve does not vary: what could be is what Wilson says.
    n = told["tickets"]
    if told["within"] == 0:
        told["within_high"] = float(share_with_interval(0, n)[2])
    if told["within"] == 1:
        told["within_low"] = float(share_with_interval(n, n)[1])
    return told


def by_month(tickets: ir.Table, event: Event, *, until: dt.date, within: float) -> pd.DataFrame:
    """`summary` by the month in which tickets were opened: month (first day), and as there."""
    table = summary(waits(tickets, event, until=until, by="month"), within=within, by="month")
    return table.assign(month=of_ordinals(table["month"], "month").to_timestamp())


def reopening(tickets: ir.Table, *, until: dt.date, by: str | None = None) -> pd.DataFrame:
    """Solved tickets that came back. Grain: one value of `by`, or one row in all.

    Returns (by,) solved (of which it is known), reopened, share, low, high (Wilson).
    """
    solved = _end(tickets, "solution", _over(until)).notnull()
    rows = tickets.filter(solved, tickets["reopened"].notnull())
    sums = {"solved": rows.count(), "reopened": rows["reopened"].cast("int64").sum().fill_null(0)}
    grouped = rows.agg(**sums) if by is None else rows.group_by(by).agg(**sums).order_by(by)
    found = grouped.to_pandas()
    found["share"], found["low"], found["high"] = share_with_interval(
        found["reopened"], found["solved"]
    )
    return found


def backlog(tickets: ir.Table, *, until: dt.date) -> pd.DataFrame:
    """What is open at the end of each month, or of `until` in the last. Grain: one calendar month.

    Returns month (first day), opened, solved (in the month), open (at its end), days (that it would
    take to solve them as fast as in that month; missing where none were solved). Missing, all of it,
    if no ticket has a solution: then nothing says what is open.
    """
    came = tickets.group_by("month").agg(opened=tickets.count()).to_pandas()
    at = _end(tickets, "solution", _over(until))
    done = tickets.select(month=ordinal(at.date(), "month"), at=at)
    done = done.filter(done["at"].notnull())
    went = done.group_by("month").agg(solved=done.count()).to_pandas()
    months = range(int(came["month"].min()), 12 * (until.year - 1970) + until.month)
    table = pd.DataFrame({"month": months}).merge(came, how="left").merge(went, how="left")
    known = len(went) > 0
    table = table.fillna(0).astype(int)
    first = of_ordinals(table["month"], "month").to_timestamp()
    lasted = np.array([min(day.date(), until).day for day in first + pd.offsets.MonthEnd(0)])
    table["open"] = (table["opened"] - table["solved"]).cumsum()
    speed = table["solved"].where(table["solved"] > 0) / lasted
    table["days"] = table["open"] / speed
    if not known:
        table[["solved", "open", "days"]] = np.nan
    return table.assign(month=first)
