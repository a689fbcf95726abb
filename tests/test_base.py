"""Lens 5, the whole base: against slow literal translations on random purchases."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyaltylab import retention
from loyaltylab.numbers import Numbers
from tests.bought import base_of, histories, literal_purchases, purchases_of

settings.register_profile("shared", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("shared")

UNTIL = dt.date(2024, 5, 15)  # in the middle of a month, a quarter and a week
UNITS = {"week": "W", "month": "M", "quarter": "Q"}

BY_HAND = [
    ("ann", "2023-11-05", 10, 4),
    ("ann", "2024-03-01", 20, 8),
    ("ann", "2024-04-30", 5, 1),
    ("bo", "2024-03-31", 7, 3),
    ("bo", "2024-05-02", 9, 2),
    ("bo", "2024-05-16", 99, 9),
]


def literal_base(rows, period, cohort):
    """Cohort × period → who bought, and what."""
    bought = literal_purchases(rows)
    bought = bought[bought["day"] <= UNTIL]
    cells = {}
    for row in bought.itertuples():
        key = (
            pd.Period(row.first, cohort).start_time,
            pd.Period(row.day, UNITS[period]).start_time,
        )
        cell = cells.setdefault(key, {"people": set(), "amount": 0, "repeat": 0, "orders": 0})
        cell["people"].add(row.person_id)
        cell["amount"] += row.amount
        cell["repeat"] += row.amount * (row.day > row.first)
        cell["orders"] += row.orders
    return cells


@given(histories, st.sampled_from(list(UNITS)), st.sampled_from(["year", "quarter"]))
@settings(max_examples=15)
def test_base_equals_its_literal_translation(rows, period, cohort):
    table = base_of(purchases_of(rows), period=period, until=UNTIL, cohort=cohort)
    literal = literal_base(rows, period, cohort[0].upper())
    found = {
        (r.cohort, r.at): (r.customers, r.amount, r.repeat_amount, r.orders)
        for r in table.itertuples()
    }
    assert found == {
        key: (len(c["people"]), c["amount"], c["repeat"], c["orders"]) for key, c in literal.items()
    }
    bought = literal_purchases(rows)
    assert table["amount"].sum() == bought.loc[bought["day"] <= UNTIL, "amount"].sum()
    ends = table["at"].dt.to_period(UNITS[period]).dt.end_time.dt.date
    assert (table["complete"] == (ends <= UNTIL)).all()


@given(histories, st.sampled_from(list(UNITS)))
@settings(max_examples=15)
def test_health_equals_its_literal_translation(rows, period):
    table = base_of(purchases_of(rows), period=period, until=UNTIL)
    by = retention.health(table, period=period)
    bought = literal_purchases(rows)
    bought = bought[bought["day"] <= UNTIL]
    periods = [pd.Period(day, UNITS[period]) for day in bought["day"]]
    active = {}
    for person, at in zip(bought["person_id"], periods, strict=True):
        active.setdefault(at, set()).add(person)
    before, known = set(), set()
    for row, at in zip(
        by.itertuples(), pd.period_range(min(periods), max(periods)) if periods else [], strict=True
    ):
        now = active.get(at, set())
        assert row.at == at.start_time
        assert (row.active, row.new) == (len(now), len(now - known))
        assert (row.retained, row.won_back) == (len(now & before), len((now & known) - before))
        if at == min(periods) or not row.complete:
            assert math.isnan(row.lapsed)
        else:
            assert row.lapsed == len(before - now)
        before, known = now, known | now


def test_health_by_hand():
    by = retention.health(
        base_of(purchases_of(BY_HAND), period="month", until=UNTIL), period="month"
    ).set_index("at")
    assert len(by) == 7  # November to May, the months without a purchase too
    assert by["complete"].tolist() == [True] * 6 + [False]
    assert by.loc["2024-03-01", ["new", "retained", "won_back"]].tolist() == [1, 0, 1]
    assert by.loc["2024-04-01", ["retained", "lapsed"]].tolist() == [1, 1]
    assert math.isnan(by.loc["2024-05-01", "lapsed"]) and math.isnan(
        by.loc["2024-01-01", "repeat_share"]
    )
    assert by.loc["2024-03-01", "repeat_share"] == pytest.approx(20 / 27)


def test_repeat_share_is_as_sure_as_the_jackknife_says():
    random = np.random.default_rng(2)
    start = pd.Timestamp("2023-01-01")
    rows = [
        (f"p{p}", start + pd.Timedelta(days=int(d)), round(float(random.gamma(2, 20)), 2), None)
        for p in range(400)
        for d in random.integers(0, 365, 1 + random.poisson(1.2))
    ]
    since, until = dt.date(2023, 3, 1), dt.date(2023, 12, 31)
    people = retention.totals(purchases_of(rows), since=since, until=until)
    found = retention.repeat_share(people)
    each = people.to_pandas().astype({"amount": float}).fillna({"repeat_amount": 0})
    again, amount = each["repeat_amount"].astype(float), each["amount"]
    assert found["share"] == pytest.approx(again.sum() / amount.sum())
    without = (again.sum() - again) / (amount.sum() - amount)
    error = np.sqrt((len(each) - 1) * without.var(ddof=0))
    assert (found["high"] - found["low"]) / (2 * 1.959964) == pytest.approx(error, rel=0.01)


def test_repeat_share_covers_the_truth_as_often_as_it_says():
    """The variance of a ratio over customers, here from the same sums as the engine makes."""
    import ibis

    random = np.random.default_rng(9)

    def world(n):
        bought = 1 + random.poisson(random.gamma(1, 1.5, n))
        amount = random.gamma(2 * bought, 20)
        again = np.where(bought > 1, amount * random.beta(2, 2, n), 0)
        return pd.DataFrame({"purchases": bought, "amount": amount, "repeat_amount": again})

    large = world(1_000_000)
    truth, covered, worlds = large["repeat_amount"].sum() / large["amount"].sum(), 0, 150
    for _ in range(worlds):
        found = retention.repeat_share(ibis.memtable(world(300)))
        covered += found["low"] <= truth <= found["high"]
    assert 0.915 <= covered / worlds <= 0.985  # 150 worlds: give or take two errors of 1.8 points


def test_all_on_one_day_and_all_after_the_last_day():
    one = [("ann", "2024-05-01", 4, 1), ("bo", "2024-05-01", 6, 1)]
    table = base_of(purchases_of(one), period="month", until=dt.date(2024, 5, 31))
    assert table[["customers", "new", "repeat_amount"]].iloc[0].tolist() == [2, 2, 0]
    assert "2 bought: 2 new" in retention.describe_health(table, period="month")
    assert "lapsed" not in retention.describe_health(table, period="month")
    none = base_of(purchases_of(one), period="month", until=dt.date(2024, 4, 30))
    assert none.empty and retention.health(none, period="month").empty
    assert "no period is over" in retention.describe_base(none, currency="EUR")
    for axes in (
        retention.plot_base(none, currency="EUR"),
        retention.plot_health(none, period="month"),
    ):
        assert [text.get_text() for text in axes.texts] == ["nothing to show yet"]
    people = retention.totals(
        purchases_of(one), since=dt.date(2023, 1, 1), until=dt.date(2023, 2, 1)
    )
    found = retention.repeat_share(people)
    assert math.isnan(found["share"])
    numbers = Numbers("03_retention", as_of=UNTIL)
    share = retention.record_repeat_share(numbers, found, since=UNTIL, until=UNTIL)
    assert retention.base_finding(none, share=share).startswith("## No revenue yet")


def test_figures_show_the_tables():
    bought = purchases_of(BY_HAND)
    table = base_of(bought, period="month", until=UNTIL)
    axes = retention.plot_base(table, currency="EUR")
    assert sum(bar.get_height() for bar in axes.patches) == pytest.approx(51)
    assert {round(bar.get_height()) for bar in axes.patches if bar.get_hatch()} == {0, 9}
    assert "customers won in 2023 brought 5" in retention.describe_base(table, currency="EUR")
    words = retention.describe_health(table, period="month")
    assert "In the last one 1 bought: 0 new, 1 who had bought in the month before" in words
    people = retention.totals(bought, since=dt.date(2023, 11, 1), until=UNTIL)
    numbers = Numbers("03_retention", as_of=UNTIL)
    share = retention.record_repeat_share(
        numbers, retention.repeat_share(people), since=dt.date(2023, 11, 1), until=UNTIL
    )
    assert share.value == pytest.approx(34 / 51)
    assert retention.base_finding(table, share=share).startswith(
        "## 67% of revenue is repeat business"
    )


def test_revenue_by_month_by_hand_without_months_of_too_few():
    flows = retention.flows(purchases_of(BY_HAND), period="month", until=UNTIL)
    found = retention.monthly_revenue(flows, until=UNTIL, minimum=2).set_index("month")
    assert list(found.index.strftime("%y-%m")) == [
        *("23-11", "23-12", "24-01", "24-02", "24-03", "24-04", "24-05")
    ]
    # Nobody bought in the months of 0; in those that are missing one did.
    missing = math.nan
    np.testing.assert_array_equal(found["revenue"], [missing, 0, 0, 0, 27, missing, missing])
    np.testing.assert_array_equal(found["customers"], [missing, 0, 0, 0, 2, missing, missing])
    assert found["complete"].tolist() == [True] * 6 + [False]
