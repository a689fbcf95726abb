"""What the orders hold, by hand."""

import ibis
import pandas as pd
import pytest

from loyaltylab import profile

ORDERS = pd.DataFrame(
    [
        ("web", "a", "2024-01-01 09:00", 10),
        ("web", "a", "2024-01-01 18:00", 10),  # a second order of that day
        ("web", "a", "2024-01-01 18:00", 10),  # the same row again
        ("shop", "a", "2024-01-03", 0),  # another system's customer a
        ("web", "b", "2024-01-20", -5),
        ("web", "c", "2024-01-21", 1000),
    ],
    columns=["source", "record_id", "ordered_at", "amount"],
)


@pytest.fixture
def orders():
    table = ibis.memtable(
        ORDERS.assign(ordered_at=pd.to_datetime(ORDERS["ordered_at"], format="mixed"))
    )
    return table.mutate(amount=table["amount"].cast("decimal(18, 4)"))


def test_profile_by_hand(orders):
    facts = profile.orders_profile(orders)
    assert facts["orders"] == 6
    assert facts["customers"] == 4
    assert (facts["first_day"], facts["last_day"]) == (
        pd.Timestamp("2024-01-01"),
        pd.Timestamp("2024-01-21"),
    )
    assert facts["days"] == 21 and facts["days_without_orders"] == 17
    assert facts["exact_duplicates"] == 1
    assert facts["repeated_customer_days"] == 2
    assert facts["zero_amounts"] == 1 and facts["negative_amounts"] == 1
    assert facts["amount"] == 1025 and facts["median_amount"] == 10
    # Quartiles of -5, 0, 10, 10, 10, 1000 by linear interpolation: 2.5 and 10.
    assert facts["far_limit"] == 10 + 3 * 7.5
    assert facts["far_amounts"] == 1


def test_oddities_count_what_the_profile_counts(orders):
    facts = profile.orders_profile(orders)
    table = profile.oddities(facts, currency="EUR").set_index("name")
    assert table["rows"].to_dict() == {
        "exact_duplicates": 1,
        "repeated_customer_days": 2,
        "zero_amounts": 1,
        "negative_amounts": 1,
        "far_amounts": 1,
    }
    assert table.loc["repeated_customer_days", "share"] == pytest.approx(2 / 6)
    assert "32.50 EUR" in table.loc["far_amounts", "what"]


def test_weeks_without_orders_are_there_and_cut_weeks_are_marked(orders):
    table = profile.orders_by_week(orders)
    # 1 January 2024 is a Monday; the last order is on a Sunday: three whole weeks.
    assert table["orders"].tolist() == [4, 0, 2]
    assert table["whole"].all()
    assert table["amount"].tolist() == [30, 0, 995]
    shorter = orders.filter(orders["ordered_at"] < pd.Timestamp("2024-01-21"))
    assert profile.orders_by_week(shorter)["whole"].tolist() == [True, True, False]


def test_the_figure_shows_what_its_words_say(orders):
    table = profile.orders_by_week(orders)
    axes = profile.plot_weeks(table)
    assert axes.lines[0].get_ydata().tolist() == [4, 0, 2]
    words = profile.describe_weeks(table)
    assert "1 January 2024 (4)" in words and "8 January 2024 (0)" in words
    table.loc[2, "whole"] = False
    assert profile.plot_weeks(table).lines[0].get_ydata().tolist() == [4, 0]
    assert "no whole week" in profile.describe_weeks(table.assign(whole=False))
