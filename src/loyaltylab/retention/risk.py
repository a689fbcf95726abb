"""Customers at risk: whose silence is long for their own rhythm, or who use the company less.

A customer buys at random at a rate of their own, and rates vary between customers by a gamma
distribution of shape r and scale α: the NBD model (Ehrenberg 1959, Applied Statistics 8, 26–41;
Schmittlein, Morrison & Colombo 1987, Management Science 33, 1–24). After x gaps in t days the rate's
distribution is gamma with r + x and α + t, so that nothing in the next s days has probability

    E[exp(−rate · s)] = ((α + t) / (α + t + s)) ** (r + x),

the survival function of a Lomax distribution. Who buys regularly, like every Saturday, is taken for
more random than they are, and noticed late rather than too often.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.stats import binom

from loyaltylab.anonymity import grouped
from loyaltylab.files import write_text

ALARM = 0.1
YEAR = 365  # days that a customer's value is of
WEEK = 7
COMPARED = 90  # days of use held against as many before


@dataclass(frozen=True)
class Rates:
    """How often customers buy, while they are customers: gamma with this shape r and scale α in days."""

    shape: float
    scale: float


def histories(
    purchases: ir.Table, *, until: dt.date, followed_until: dt.date | None = None
) -> ir.Table:
    """What each customer did up to `until`. Grain: a person who bought by then.

    purchases : as `timelines` gives them. followed_until : to add later, whether a purchase came after
    `until` and by this day. Returns person_id, purchases, last_day, span (days from first to last
    purchase), silence (days from the last to `until`), value (amount of the YEAR days up to `until`,
    decimal; missing: bought nothing).
    """
    # Who came after that day was nobody's customer yet.
    seen = purchases.filter(
        purchases["first"] <= until, purchases["day"] <= (followed_until or until)
    )
    then = seen["day"] <= until if followed_until else ibis.literal(True)
    recent = then & (seen["day"] > ibis.literal(until - dt.timedelta(days=YEAR)))
    more = {"later": (~then).any()} if followed_until else {}
    people = seen.group_by("person_id").agg(
        purchases=then.sum() if followed_until else seen.count(),
        first_day=seen["first"].min(),
        last_day=seen["day"].max(where=then),
        value=seen["amount"].sum(where=recent),
        **more,
    )
    return people.select(
        "person_id",
        "purchases",
        "last_day",
        *more,
        span=people["last_day"].delta(people["first_day"], unit="day"),
        silence=ibis.literal(until).delta(people["last_day"], unit="day"),
        value="value",
    )


def buying_rates(histories: ir.Table) -> Rates:
    """How often customers buy, by BG/NBD (Fader, Hardie & Lee 2005), which lets customers leave.

    The NBD model itself takes a silence that is leaving for slow buying, and would find no silence
    unusual. Fitted to counts of equal histories, in whole weeks. Raises UnanswerableError if there are
    too few who returned, or no clear optimum.
    """
    from loyaltylab.lifetime_value.fitting import fit_bg_nbd  # slow to import

    weeks = histories.group_by(
        frequency=histories["purchases"] - 1,
        recency=histories["span"] // WEEK,
        age=(histories["span"] + histories["silence"]) // WEEK,
    ).agg(customers=histories.count())
    groups = weeks.order_by("frequency", "recency", "age").to_pandas()
    # A week stands for the days in it, of which this is the middle.
    middle = WEEK // 2
    groups["age"] = WEEK * groups["age"] + middle
    groups["recency"] = WEEK * groups["recency"] + np.where(groups["frequency"] > 0, middle, 0)
    found = fit_bg_nbd(groups).parameters
    return Rates(found["r"], found["alpha"] * WEEK)


def silences(histories: ir.Table, rates: Rates) -> ir.Table:
    """How unusual each customer's silence is. Grain: a person with two purchases or more, the last of
    them within YEAR days: one purchase shows no rhythm, and who is silent for a year is lost already.

    As `histories`, with usual_gap (mean days between purchases) and probability (of a silence as long
    or longer if nothing has changed).
    """
    people = histories.filter(histories["purchases"] > 1, histories["silence"] < YEAR)
    # Without the cast, DuckDB would take the scale for a decimal, and reckon ten times as long.
    gaps, known = people["purchases"] - 1, people["span"].cast("float64") + rates.scale
    return people.mutate(
        usual_gap=people["span"] / gaps,
        probability=(known / (known + people["silence"])) ** (gaps.cast("float64") + rates.shape),
    )


def falls(
    events: ir.Table, *, until: dt.date, alarm: float = ALARM, days: int = COMPARED
) -> ir.Table:
    """Who uses the company less than before. Grain: a person, if and only if so; person_id, before,
    recent (events in the `days` days up to `until`, and in as many before them).

    events : person_id and day, one row each: visits, calls, logins. Of n events of both spans as many
    as of everybody's are expected to be recent, so that a season is nobody's fall; who has so few that
    the chance of it is at most `alarm` (binomial, given n) uses it less.
    """
    middle, start = (until - dt.timedelta(days=span) for span in (days, 2 * days))
    seen = events.filter(events["day"] > ibis.literal(start), events["day"] <= until)
    late = seen["day"] > ibis.literal(middle)
    people = seen.group_by("person_id").agg(all=seen.count(), recent=late.sum())
    total = people.aggregate(
        all=people["all"].sum(), recent=people["recent"].sum(), most=people["all"].max()
    )
    everybody = total.to_pyarrow().to_pylist()[0]
    share = (everybody["recent"] or 0) / (everybody["all"] or 1)
    numbers = np.arange(1, (everybody["most"] or 0) + 1)
    few = binom.ppf(alarm, numbers, share)
    few -= binom.cdf(few, numbers, share) > alarm
    cuts = pd.DataFrame({"all": numbers, "few": few.astype("int64")})
    few_of = ibis.memtable(cuts, schema=ibis.schema({"all": "int64", "few": "int64"}))
    judged = people.join(few_of, "all")
    fallen = judged.filter(judged["recent"] <= judged["few"])
    return fallen.select("person_id", before=fallen["all"] - fallen["recent"], recent="recent")


def at_risk(
    silences: ir.Table, *, alarm: float = ALARM, fallen: ir.Table | None = None
) -> ir.Table:
    """Who may be leaving, the most valuable first. Grain: a person flagged, of `silences`.

    alarm : silences of at most this probability are flagged; fallen : `falls`, who is flagged too.
    person_id, last_day, silence, usual_gap, probability, purchases, value (spent in the YEAR days up
    to the last one observed: what is at stake in a year), unusual_silence, uses_less (false if not
    known).
    """
    people = silences.mutate(unusual_silence=silences["probability"] <= alarm)
    less = ibis.literal(False)
    if fallen is not None:
        found = fallen.select(fallen_id="person_id")
        people = people.left_join(found, people["person_id"] == found["fallen_id"])
        less = people["fallen_id"].notnull()
    people = people.mutate(uses_less=less)
    flagged = people.filter(people["unusual_silence"] | people["uses_less"])
    return flagged.select(
        "person_id",
        "last_day",
        "silence",
        "usual_gap",
        "probability",
        "purchases",
        "value",
        "unusual_silence",
        "uses_less",
    ).order_by(ibis.desc("value"), "person_id")


# What others than the company may know of somebody on the list.
FACTS = ["value", "silence", "usual_gap", "purchases"]


def write_at_risk(listed: ir.Table, path: Path, *, top: int, minimum: int = 1) -> int:
    """Write the `top` most valuable of `at_risk` as CSV, with keyed person ids alone; how many.

    What is told of each is what `minimum` of them or more have in common, see `anonymity.grouped`.
    """
    rows = listed.limit(top).to_pandas()
    rows = rows.round({"usual_gap": 1, "probability": 4}).assign(
        value=rows["value"].astype(float).round(2), last_day=pd.to_datetime(rows["last_day"])
    )
    until = (rows["last_day"] + pd.to_timedelta(rows["silence"], unit="D")).max()
    rows = grouped(rows, FACTS, k=minimum, of_these=["probability"])
    rows["last_day"] = (until - pd.to_timedelta(rows["silence"], unit="D")).dt.date
    rows = rows.sort_values(["value", "person_id"], ascending=[False, True])
    write_text(path, rows.to_csv(index=False, lineterminator="\n"))
    return len(rows)
