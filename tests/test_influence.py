"""How much of a sum three customers make, and what of that may be told."""

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyaltylab import influence
from loyaltylab.influence import Influence

MINIMUM = 5


def people(amounts):
    return ibis.memtable(
        pd.DataFrame({"person_id": map(str, range(len(amounts))), "amount": amounts}),
        schema={"person_id": "string", "amount": "decimal(18, 4)"},
    )


def of(amounts):
    """Both ways, which must agree."""
    found = influence.of_amounts(people(amounts))
    groups = pd.DataFrame({"value": amounts, "customers": 1}, dtype=float)
    alike = groups.groupby("value", as_index=False).sum()
    again = influence.of_groups(alike, "value")
    assert found.customers == again.customers
    assert found.share == pytest.approx(again.share, nan_ok=True)
    assert found.largest == pytest.approx(again.largest, nan_ok=True)
    return found


def test_by_hand():
    found = of([40, 30, 20, 1, 2, 3, 4])
    assert found.customers == 7
    assert found.share == pytest.approx(90 / 100)
    assert found.largest == pytest.approx(40 / 100)


def test_who_brought_nothing_makes_no_part_of_it():
    assert of([10, 10, 10, 10, 0, -100]) == Influence(0.75, 0.25, 4)


def test_equal_customers_share_alike():
    assert of([5] * 60).share == pytest.approx(3 / 60)


@pytest.mark.parametrize("amounts", [[], [0, 0], [-1, -2]])
def test_no_sum_has_no_parts(amounts):
    found = of(amounts) if amounts else influence.of_amounts(people([1]).filter(False))
    assert np.isnan(found.share) and found.customers == 0
    assert np.isnan(found.told(minimum=MINIMUM))
    assert influence.finding(found, minimum=MINIMUM) == ""


def test_what_is_told_is_a_step():
    assert Influence(0.234, 0.1, 100).told(minimum=MINIMUM) == 0.25
    assert Influence(0.012, 0.01, 1000).told(minimum=MINIMUM) == 0


def test_nothing_is_told_of_one_who_makes_more_than_half():
    few = Influence(0.9, 0.6, 100)
    assert np.isnan(few.told(minimum=MINIMUM))
    assert influence.finding(few, minimum=MINIMUM).startswith("**More than half of it")
    assert not any(sign.isdigit() for sign in influence.finding(few, minimum=MINIMUM))


def test_nothing_is_told_where_too_few_others_make_the_rest():
    assert np.isnan(Influence(0.6, 0.3, 7).told(minimum=MINIMUM))
    assert Influence(0.6, 0.3, 8).told(minimum=MINIMUM) == 0.6


def test_it_is_said_where_it_is_high_alone():
    assert "About 20% of it comes from three customers" in influence.finding(
        Influence(0.21, 0.1, 90), minimum=MINIMUM
    )
    assert influence.finding(Influence(0.17, 0.1, 90), minimum=MINIMUM) == ""


@given(st.lists(st.integers(1, 10**6), min_size=8, max_size=30))
def test_no_amount_can_be_told_closer_than_a_tenth(amounts):
    """By anybody who knows the sum and all amounts but one: even the other two of the three."""
    amounts.sort(reverse=True)
    whole = sum(amounts)
    found = Influence(sum(amounts[:3]) / whole, amounts[0] / whole, len(amounts))
    told = found.told(minimum=MINIMUM)
    if np.isnan(told):
        return
    others = sum(amounts[1:3])
    half = whole / influence.STEPS / 2
    low, high = told * whole - half - others, told * whole + half - others
    assert low <= amounts[0] + 1e-6 and amounts[0] - 1e-6 <= high
    assert high - low >= 0.1 * amounts[0] - 1e-6
