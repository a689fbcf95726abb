"""What each person did: the histories that the models are fitted to. Grain in: one purchase."""

from __future__ import annotations

from datetime import date, timedelta

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab.errors import UnanswerableError
from loyaltylab.language import phrase
from loyaltylab.lifetime_value.clock import Clock

DAYS = 7  # in a week, the models' unit of time
HISTORY = ("frequency", "recency", "age")
STEPS = (1, 7, 14, 28)  # days
MOST_HISTORIES = 200_000  # asked of the models day by day; in longer steps, if there are more
_DIGITS = 16  # to how many parts a large frequency is told


def summarise(purchases: ir.Table, *, until: date, clock: Clock | None = None) -> ir.Table:
    """What each person did up to and including `until`; stays in the engine.

    purchases : as `timelines` gives them, of any time; what came after `until` makes no difference.
    Returns one row a person who bought by then: person_id, first_day, frequency (order days after
    the first), recency (days from first to last order day), age (days from first order day to
    `until`), log_gaps (sum of the logs of the days, by the clock if there is one, between one order day
    and the next; 0 without any), spend and repeat_spend (total amount, and that of the days after the
    first; decimals).
    Raises UnanswerableError if nobody ordered by then.
    """
    seen = purchases.filter(purchases["day"] <= until)
    gaps = seen["day"].delta(seen["previous"], unit="day").cast("float64")
    if clock is not None:
        dates = clock.dates(seen["day"].min().to_pyarrow().as_py() or until)
        then = dates.rename(previous="day", passed_then="passed")
        seen = seen.join(dates, "day").left_join(then, "previous")
        gaps = seen["passed"] - seen["passed_then"]
    repeat = seen["rank"] > 1
    people = seen.group_by("person_id").aggregate(
        first_day=seen["first"].min(),
        last_day=seen["day"].max(),
        frequency=seen.count() - 1,
        log_gaps=gaps.ln().sum(where=repeat),
        spend=seen["amount"].sum(),
        repeat_spend=seen["amount"].sum(where=repeat),
    )
    if people.count().execute() == 0:
        raise UnanswerableError(
            phrase(
                "orders: expected some on or before {until:%Y-%m-%d}, found none. "
                "Shorten the hold-out or give earlier orders.",
                until=until,
            )
        )
    return people.select(
        "person_id",
        "first_day",
        "frequency",
        recency=people.last_day.delta(people.first_day, unit="day"),
        age=ibis.literal(until).delta(people.first_day, unit="day"),
        # Of the digits that depend on the order in which an engine adds, none is kept.
        log_gaps=people.log_gaps.fill_null(0.0).round(9),
        spend=people.spend,
        repeat_spend=people.repeat_spend.fill_null(0),
    )


def with_holdout(people: ir.Table, purchases: ir.Table, *, cutoff: date, weeks: int) -> ir.Table:
    """`people` observed until `cutoff`, with what they did in the `weeks` weeks after it.

    Adds later_orders (order days in (cutoff, cutoff + weeks]) and later_spend (their amount), 0 for
    a person without any. Persons who first order after the cutoff are not in it.
    """
    end = cutoff + timedelta(weeks=weeks)
    later = (
        purchases.filter(purchases["day"] > cutoff, purchases["day"] <= end)
        .group_by("person_id")
        .aggregate(later_orders=ibis._.count(), later_spend=ibis._.amount.sum())
    )
    joined = people.left_join(later, "person_id").drop("person_id_right")
    return joined.mutate(
        later_orders=joined.later_orders.fill_null(0), later_spend=joined.later_spend.fill_null(0)
    )


def tally(people: ir.Table, *columns: str, total: str | None = None) -> pd.DataFrame:
    """Equal rows counted: `columns`, customers, and the sum of the column `total` where given.

    This is all that leaves the engine: sufficient statistics, ordered by `columns`, money as float.
    """
    sums = {} if total is None else {total: people[total].sum()}
    table = people.group_by(columns).aggregate(customers=people.count(), **sums)
    money = [c for c in table.columns if table[c].type().is_decimal()]
    floats = ibis.selectors.across(money, ibis._.cast("float64"))
    counted: pd.DataFrame = table.order_by(columns).mutate(floats).execute()
    return counted


def step_of(people: ir.Table, *, at_most: int = MOST_HISTORIES) -> int:
    """Days in which time is counted so that no more than so many histories are distinct, if one of STEPS
    will do: of millions of customers hardly two are alike to the day, and models need a while for each.
    """
    for step in STEPS[:-1]:
        alike = alike_by(people, step).select(*HISTORY).distinct()
        if alike.count().to_pyarrow().as_py() <= at_most:
            return step
    return STEPS[-1]


def alike_by(people: ir.Table, step: int) -> ir.Table:
    """`people` with recency and age in whole steps of so many days, and where a step is more than a day
    with frequencies from 32 on rounded by a thirtieth at most. A step of one day changes nothing."""
    if step == 1:
        return people
    silent = people["age"] - people["recency"]
    age = people["age"] - people["age"] % step
    many = people["frequency"]
    wide = 2 ** (many.fill_null(0).cast("float64") + 0.5).log2().floor().cast("int64") // _DIGITS
    rounded = ((many + wide / 2) / ibis.greatest(wide, 1)).floor().cast("int64") * wide
    return people.mutate(
        age=age,
        recency=age - (silent - silent % step),
        frequency=(many < 2 * _DIGITS).ifelse(many, rounded),
    )


def histories(people: ir.Table) -> pd.DataFrame:
    """The models' sufficient statistics: frequency, recency and age (days), log_gaps (of all customers
    of the group together), customers."""
    return tally(people, *HISTORY, total="log_gaps")


def spend_histories(people: ir.Table) -> pd.DataFrame:
    """The Gamma-Gamma's sufficient statistics: frequency, repeat_spend (money), customers.

    Only customers with a repeat order and positive repeat spend: the model knows no other money.
    """
    return tally(
        people.filter(people.frequency > 0, people.repeat_spend > 0), "frequency", "repeat_spend"
    )
