"""What was known of a customer when an invitation to a survey was sent. Grain: one invitation.

Nothing from the day of sending on is used: whoever looks at what came later compares those who
answered with themselves.
"""

from __future__ import annotations

import datetime as dt

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab.periods import ordinal

UNKNOWN = "not known"
TICKET_DAYS = 30  # before the invitation, in which a ticket was opened
TICKETS = ("none", "resolved", "open")
MONTH = 30.4375  # days: a twelfth of a year of 365.25
LONGEST = 240  # months: longer tenures count as this
# Classes whose limits double: orders so far from 1, 2, 4 …; weeks since the last from 0, 1, 3, 7 …
_ORDERS = (2, 4, 8, 16, 32, 64)
_WEEKS = (1, 3, 7, 15, 31, 63, 127)
# What the response may depend on. Numbers are classes, so that equal invitations can be counted.
NUMERIC = ("tenure", "orders", "recency")
NOMINAL = ("touchpoint", "channel", "ticket")
_FAR = dt.date(9999, 12, 31)


def invitations(
    surveys: ir.Table,
    purchases: ir.Table,
    *,
    persons: ir.Table | None = None,
    tickets: ir.Table | None = None,
    segments: ir.Table | None = None,
) -> ir.Table:
    """Each invitation with what was known of the customer before the day on which it was sent.

    surveys : person_id, instrument, sent_at, score, perhaps touchpoint; purchases : as
    `timelines.timelines`; persons : person_id, acquired_through; tickets : person_id, opened_at,
    perhaps resolved_at; segments : person_id, segment, as somebody put them on a day of their own.
    Returns person_id, instrument, score (missing: not answered), sent (day), month (its number, as
    `periods.ordinal`), touchpoint and channel (of acquisition; UNKNOWN where nothing tells), ticket (of
    TICKETS: none opened in the TICKET_DAYS days before, all of those resolved by then, one still open;
    missing without `tickets`), and in classes, missing before the first order: tenure (whole
    months since the first order), orders (0: one, 1: two or three, 2: four to seven …) and recency
    (weeks since the last: 0: below one, 1: below three, 2: below seven …). With `segments` the segment
    as well, which may know what came later: it groups scores and explains no answer.
    """
    asked = surveys.mutate(
        sent=surveys["sent_at"].date(),
        month=ordinal(surveys["sent_at"].date(), "month"),
        touchpoint=_told(surveys, "touchpoint"),
    ).select("person_id", "instrument", "score", "sent_at", "sent", "month", "touchpoint")
    # Of a customer's purchases one was the last before the invitation: comparisons alone find it,
    # which an engine can hash, as it cannot with an "or".
    ends = purchases["next_day"].fill_null(ibis.literal(_FAR))
    spells = purchases.select(buyer="person_id", day="day", first="first", rank="rank", ends=ends)
    known = asked.left_join(
        spells,
        [
            asked["person_id"] == spells["buyer"],
            asked["sent"] > spells["day"],
            asked["sent"] <= spells["ends"],
        ],
    )
    known = known.mutate(channel=ibis.literal(UNKNOWN), ticket=ibis.null("string"))
    if persons is not None:
        won = persons.select(won="person_id", through=_told(persons, "acquired_through"))
        joined = known.left_join(won, known["person_id"] == won["won"])
        known = joined.mutate(channel=joined["through"].fill_null(UNKNOWN))
    if tickets is not None:
        known = _with_tickets(known, tickets)
    more = []
    if segments is not None:
        put = segments.select(put="person_id", segment="segment")
        known = known.left_join(put, known["person_id"] == put["put"]).drop("put")
        more = ["segment"]
    days = known["sent"].delta(known["day"], unit="day")
    tenure = known["sent"].delta(known["first"], unit="day").cast("float64")
    return known.select(
        "person_id",
        "instrument",
        "score",
        "sent",
        "month",
        "touchpoint",
        "channel",
        "ticket",
        *more,
        tenure=(tenure / ibis.literal(MONTH, "float64")).floor().clip(upper=LONGEST),
        orders=_class(known["rank"], _ORDERS),
        recency=_class(days // 7, _WEEKS),
    )


def _told(rows: ir.Table, name: str) -> ir.StringValue:
    """A column of text, UNKNOWN where it is missing."""
    return rows[name].fill_null(UNKNOWN) if name in rows.columns else ibis.literal(UNKNOWN)


def _class(value: ir.NumericValue, limits: tuple[int, ...]) -> ir.NumericValue:
    """How many of the limits a value reaches; missing where it is."""
    first, *rest = ((value >= limit).cast("int64") for limit in limits)
    return sum(rest, start=first)


def _with_tickets(known: ir.Table, tickets: ir.Table) -> ir.Table:
    """`known` with the state of the tickets opened in the TICKET_DAYS days before the invitation."""
    has_end = "resolved_at" in tickets.columns
    end = tickets["resolved_at"] if has_end else ibis.null("timestamp")
    cases = tickets.select(who="person_id", opened_at="opened_at", end=end)
    moments = known.select("person_id", "sent_at").distinct()
    near = moments.join(
        cases,
        [
            moments["person_id"] == cases["who"],
            moments["sent_at"] > cases["opened_at"],
            moments["sent_at"] <= cases["opened_at"] + ibis.interval(days=TICKET_DAYS),
        ],
    )
    waits = (near["end"].isnull() | (near["end"] >= near["sent_at"])).any()
    states = near.group_by(who="person_id", at="sent_at").agg(waits=waits)
    joined = known.left_join(
        states, [known["person_id"] == states["who"], known["sent_at"] == states["at"]]
    )
    state = ibis.cases((joined["who"].isnull(), TICKETS[0]), (~joined["waits"], TICKETS[1]))
    return joined.mutate(ticket=state.fill_null(TICKETS[2])).drop("who", "at", "waits")


def frame(invited: ir.Table) -> pd.DataFrame:
    """`invitations` as a narrow table in memory: some 60 bytes an invitation, without any person_id.

    person : a number for each customer; texts are categories. Further columns of `invited` stay, but
    for person_id and sent. Sorted, so that the order in which an engine gives rows moves no sum.
    """
    person = ibis.dense_rank().over(ibis.window(order_by=invited["person_id"]))
    rows = invited.mutate(person=person).drop("person_id", "sent").to_pandas()
    for name in rows.columns.drop(["person", "score", "month", *NUMERIC]):
        rows[name] = rows[name].astype("category")
    for name in NUMERIC:
        rows[name] = rows[name].astype("float32")
    first = ["person", "month", "instrument", "score"]
    return rows.sort_values([*first, *rows.columns.drop(first)], ignore_index=True)
