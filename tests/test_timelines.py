"""Timelines as linkage writes them."""

import datetime as dt
from decimal import Decimal

import ibis
import pandas as pd
import pytest
from hypothesis import given, settings

from loyaltylab.periods import UNITS, of_ordinals, ordinal
from loyaltylab.timelines import by_person, timelines, with_margin
from tests.bought import histories, orders_of

UNTIL = dt.date(2024, 5, 15)


def numbered(orders):
    """The orders with their persons' numbers, and the persons."""
    persons = orders.select("person_id").distinct()
    persons = persons.mutate(person_index=ibis.row_number().over(order_by="person_id"))
    return orders.join(persons, "person_id"), persons


@given(histories)
@settings(max_examples=10, deadline=None)
def test_by_person_is_timelines_in_order_and_narrow(rows):
    orders = orders_of(rows)
    found = by_person(*numbered(orders), until=UNTIL)
    numbers = {person: place for place, person in enumerate(sorted({row[0] for row in rows}))}
    assert {str(found[name].type()) for name in ("amount", "margin")} == {"decimal(18, 4)"}
    whole = timelines(with_margin(orders), until=UNTIL).order_by("person_id", "day")
    found = found.to_pandas()
    assert (found.pop("person_index") == found["person_id"].map(numbers)).all()
    pd.testing.assert_frame_equal(found, whole.to_pandas())


def test_sums_beyond_the_narrow_type_stay_wide():
    """Two orders of a day that together are 10^14: one more digit than decimal(18, 4) has."""
    rows = [("a", "2024-01-05", 1, 1), ("a", "2024-01-05", 1, 1)]
    orders = orders_of(rows).mutate(amount=ibis.literal(Decimal(5 * 10**13)).cast("decimal(18, 4)"))
    found = by_person(*numbered(orders), until=UNTIL)
    assert found.to_pandas()["amount"].tolist() == [Decimal(10**14)]
    assert str(found["margin"].type()) == "decimal(18, 4)"


@pytest.mark.parametrize("period", list(UNITS))
def test_ordinals_are_those_of_pandas(period):
    days = pd.date_range("1949-12-20", "1970-01-15").append(
        pd.date_range("2019-12-20", "2021-01-10")
    )
    table = ibis.memtable(pd.DataFrame({"day": days.astype("datetime64[us]")}))
    found = (
        table.select("day", number=ordinal(table["day"].date(), period)).order_by("day").to_pandas()
    )
    expected = found["day"].dt.to_period(UNITS[period])
    assert found["number"].tolist() == [at.ordinal for at in expected]
    assert (of_ordinals(found["number"], period) == pd.PeriodIndex(expected)).all()
