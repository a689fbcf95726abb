"""Metrics of loyalty: by hand, and against slow literal translations."""

import datetime as dt
import math

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from loyaltylab import retention
from loyaltylab.numbers import Numbers
from loyaltylab.timelines import timelines
from tests.test_survival import histories, purchases_of

UNTIL = dt.date(2024, 6, 30)


def spent(rows):
    """Purchases of (person, "YYYY-MM-DD", amount) rows."""
    frame = pd.DataFrame(rows, columns=["person_id", "day", "amount"])
    frame["day"] = pd.to_datetime(frame["day"].astype(str), format="ISO8601")
    table = ibis.memtable(frame)
    table = table.mutate(day=table["day"].date(), amount=table["amount"].cast("decimal(18, 4)"))
    return timelines(table)


def test_a_year_of_purchases_by_hand():
    rows = [("ann", "2023-07-01"), ("ann", "2024-06-30"), ("ann", "2024-07-01"),
            ("bo", "2023-06-30"), ("cy", "2024-06-30")]  # fmt: skip
    table = retention.year_purchases(purchases_of(rows), until=UNTIL)
    # The year, of 365 days, begins on 2 July 2023, as 2024 is a leap year: Ann bought on 1 day of it.
    assert table[["purchases", "customers", "days"]].values.tolist() == [[1, 2, 366]]
    numbers = Numbers("03_retention", as_of=UNTIL)
    number = retention.record_frequency(numbers, table)
    assert (number.value, number.n) == (1, 2)
    words = retention.frequency_finding(table, number)
    assert words.startswith("## A customer who buys does so 1.0 times a year")
    assert "100% of them did once" in words and "on average 183 days" in words


@given(histories)
@settings(max_examples=20)
def test_a_year_of_purchases_equals_its_literal_translation(rows):
    start = UNTIL - dt.timedelta(days=364)
    literal, reaches = {}, any(day <= start for _, day in rows)
    for person in {p for p, _ in rows}:
        days = [day for p, day in rows if p == person and day <= UNTIL]
        bought = sum(day >= start for day in days)
        if bought and reaches:
            customers, exposed = literal.get(bought, (0, 0))
            seen = (UNTIL - max(min(days), start)).days + 1
            literal[bought] = customers + 1, exposed + seen
    table = retention.year_purchases(purchases_of(rows), until=UNTIL)
    assert {r.purchases: (r.customers, r.days) for r in table.itertuples()} == literal


def test_less_than_a_year_of_data_says_nothing_about_a_year():
    table = retention.year_purchases(purchases_of([("a", "2023-07-03")]), until=UNTIL)
    number = retention.record_frequency(Numbers("03_retention", as_of=UNTIL), table)
    assert number.value is None and number.low is None
    assert retention.frequency_finding(table, number).startswith("## Too early")


# ---- Membership.

joined = st.lists(
    st.tuples(
        st.sampled_from(["2024-01-05", "2024-04-05"]),
        st.sampled_from([True, False, None]),
        st.integers(1, 3),
        st.integers(1, 50),
    ),
    max_size=40,
)


def members_of(flags):
    people = [str(i) for i in range(len(flags))]
    schema = {"person_id": "string", "loyalty_member": "boolean"}
    frame = pd.DataFrame({"person_id": people, "loyalty_member": pd.array(flags, "boolean")})
    return ibis.memtable(frame, schema=ibis.schema(schema))


def programme(rows, unit=1):
    bought = [("nobody", "2024-01-01", 1)] + [
        (str(i), pd.Timestamp(first) + pd.Timedelta(days=k), unit * amount)
        for i, (first, _, times, amount) in enumerate(rows)
        for k in range(times)
    ]
    return retention.membership_cells(
        spent(bought), members_of([member for _, member, _, _ in rows]), until=UNTIL
    )


@given(joined)
@settings(max_examples=20)
def test_membership_equals_its_literal_translation(rows):
    found = retention.membership(programme(rows)).set_index("measure")
    of = {
        (first, member): [(times > 1, times * amount) for f, m, times, amount in rows
                          if (f, m) == (first, member)]
        for first in ("2024-01-05", "2024-04-05") for member in (True, False)
    }  # fmt: skip
    both = [f for f in ("2024-01-05", "2024-04-05") if min(len(of[f, True]), len(of[f, False])) > 1]
    total = sum(len(of[f, True]) + len(of[f, False]) for f in both)
    for column, measure in enumerate(["repeat rate", "spend of a customer"]):
        row = found.loc[measure]
        everybody = [x[column] for f in ("2024-01-05", "2024-04-05") for x in of[f, True]]
        if everybody:
            assert row["members"] == pytest.approx(np.mean(everybody))
        if not both:
            assert math.isnan(row["difference"])
            continue
        difference = variance = 0
        for first in both:
            one, other = ([x[column] for x in of[first, m]] for m in (True, False))
            weight = (len(one) + len(other)) / total
            difference += weight * (np.mean(one) - np.mean(other))
            variance += weight**2 * sum(np.var(xs) / (len(xs) - 1) for xs in (one, other))
        half = norm.ppf(0.975) * math.sqrt(variance)
        wanted = (difference, difference - half, difference + half)
        assert tuple(row[["difference", "low", "high"]]) == pytest.approx(wanted, abs=1e-6)


def test_membership_is_told_within_cohorts():
    """Members came early and so had more time; within each quarter nobody comes back more often."""
    early = [("2024-01-05", True, 2, 10)] * 30 + [("2024-01-05", False, 2, 10)] * 3
    late = [("2024-04-05", True, 1, 10)] * 3 + [("2024-04-05", False, 1, 10)] * 30
    cells = programme(early + late)
    repeat = retention.membership(cells).iloc[0]
    assert (repeat["members"], repeat["others"]) == pytest.approx((30 / 33, 3 / 33))
    assert repeat["difference"] == pytest.approx(0)
    words = retention.membership_finding(cells, currency="EUR")
    assert "come back about as often as others" in words and "no proof" in words
    better = programme(early + [("2024-01-05", False, 1, 10)] * 30)
    assert "come back more often" in retention.membership_finding(better, currency="EUR")
    worse = programme(
        [(f, not m, t, a) for f, m, t, a in early + [("2024-01-05", False, 1, 10)] * 30]
    )
    assert "come back less often" in retention.membership_finding(worse, currency="EUR")


def test_the_unit_of_money_changes_spend_alone():
    rows = [("2024-01-05", bool(i % 2), 1 + i % 3, 10 + i) for i in range(20)]
    euro, cent = retention.membership(programme(rows)), retention.membership(programme(rows, 100))
    np.testing.assert_allclose(euro.iloc[0, 1:].astype(float), cent.iloc[0, 1:].astype(float))
    np.testing.assert_allclose(100 * euro.iloc[1, 1:].astype(float), cent.iloc[1, 1:].astype(float))


def test_customers_of_whom_membership_is_not_known_are_no_others():
    cells = programme([("2024-01-05", None, 2, 10)] * 5 + [("2024-01-05", True, 2, 10)] * 5)
    assert cells["member"].tolist() == [True] and cells["customers"].sum() == 5
    words = retention.membership_finding(cells, currency="EUR")
    assert words.startswith("## Members cannot be compared with others")


# ---- The North Star.

METRICS = ("active_customers", "repeat_revenue", "purchases_per_customer")


@given(histories, st.integers(0, 20))
@settings(max_examples=12)
def test_the_north_star_equals_its_literal_translation(rows, earlier):
    until = UNTIL - dt.timedelta(days=earlier)
    seen = [(p, pd.Period(day, "M"), 1 + day.day % 7) for p, day in rows if day <= until]
    if not seen:
        return
    won = {p: min(month for q, month, _ in seen if q == p) for p, _, _ in seen}
    purchases = spent([(p, day, 1 + day.day % 7) for p, day in rows])
    months = pd.period_range(min(won.values()), pd.Period(until, "M"), freq="M")
    for metric in METRICS:
        table = retention.north_star_by_month(purchases, until=until, metric=metric)
        assert table["month"].tolist() == [month.start_time for month in months]
        for month, row in zip(months, table.itertuples(), strict=True):
            people = {p for p, m, _ in seen if m == month}
            amounts = {
                p: sum(a for q, m, a in seen if (q, m) == (p, month) and won[p] < month)
                for p in people
            }
            bought = [sum((q, m) == (p, month) for q, m, _ in seen) for p in people]
            value = {
                "active_customers": len(people),
                "repeat_revenue": sum(amounts.values()),
                "purchases_per_customer": np.mean(bought) if people else math.nan,
            }[metric]
            if month.end_time.date() > until:
                assert math.isnan(row.value) and math.isnan(row.low)
                continue
            assert row.value == pytest.approx(value, nan_ok=True)
            spread = None
            if metric == "repeat_revenue":
                spread = math.sqrt(sum(amount**2 for amount in amounts.values()))
            elif metric == "purchases_per_customer" and len(people) > 1:
                spread = np.std(bought, ddof=1) / math.sqrt(len(people))
            if spread is not None:
                assert row.high - row.value == pytest.approx(1.959964 * spread, rel=1e-6, abs=1e-9)


def test_the_north_star_is_said_and_drawn():
    rows = [(str(i), f"2023-06-{1 + i % 28:02}", 10) for i in range(20)]
    rows += [(str(i), f"2024-06-{1 + i % 28:02}", 10) for i in range(60)]
    for metric, heading in {
        "active_customers": "60 customers who bought in June 2024, more than a year before",
        "repeat_revenue": "200 EUR from customers won in an earlier month in June 2024, more than",
        "purchases_per_customer": "1.00 purchases of a customer who bought in June 2024, about as much",
    }.items():
        table = retention.north_star_by_month(spent(rows), until=UNTIL, metric=metric)
        words = retention.north_star_finding(table, metric=metric, currency="EUR")
        assert words.startswith(f"## North Star: {heading}")
        drawn = retention.plot_north_star(table, metric=metric).lines[0].get_ydata()
        np.testing.assert_allclose(drawn, table["value"].dropna())
        assert "June 2024" in retention.describe_north_star(table, metric=metric)
        numbers = Numbers("03_retention", as_of=UNTIL)
        number = retention.record_north_star(numbers, table, metric=metric, currency="EUR")
        assert number.value == table["value"].iloc[-1]
    with pytest.raises(ValueError, match=r"expected one of active_customers, .*, got nps"):
        retention.north_star_by_month(spent(rows), until=UNTIL, metric="nps")


def test_a_month_that_is_not_over_gives_a_sentence():
    purchases = spent([("a", "2024-06-02", 1)])
    until = dt.date(2024, 6, 29)
    table = retention.north_star_by_month(purchases, until=until, metric="active_customers")
    words = retention.north_star_finding(table, metric="active_customers", currency="EUR")
    assert words.startswith("## No month is over yet")
    assert "no month" in retention.describe_north_star(table, metric="active_customers")
    numbers = Numbers("03_retention", as_of=until)
    number = retention.record_north_star(numbers, table, metric="active_customers", currency="EUR")
    assert number.value is None
