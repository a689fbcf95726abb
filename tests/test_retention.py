"""Retention: by hand, and against slow literal translations on random orders."""

import datetime as dt
import math

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from statsmodels.duration.survfunc import SurvfuncRight

from loyaltylab import intervals, retention
from loyaltylab.numbers import Numbers
from loyaltylab.timelines import timelines, with_margin
from tests.bought import triangle_of

settings.register_profile("shared", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("shared")


def orders_of(rows):
    """The purchases in orders of (person, "YYYY-MM-DD[ HH:MM]", amount) rows."""
    frame = pd.DataFrame(rows, columns=["person_id", "ordered_at", "amount"])
    frame["ordered_at"] = pd.to_datetime(frame["ordered_at"], format="mixed")
    table = ibis.memtable(frame)
    return timelines(with_margin(table.mutate(amount=table["amount"].cast("decimal(18, 4)"))))


def waits_of(purchases, until):
    known = purchases.select("person_id", "day")
    return retention.waits(timelines(known, until=until), until=until)


def first_waits_of(purchases, until):
    return waits_of(purchases, until).query("rank == 1")


# Ann buys in January (twice on one day), February and April; Bo in January and March; Cy in March.
BY_HAND = orders_of(
    [
        ("ann", "2024-01-05 09:00", 10),
        ("ann", "2024-01-05 18:00", 5),
        ("ann", "2024-02-01", 20),
        ("ann", "2024-04-30", 1),
        ("bo", "2024-01-31", 7),
        ("bo", "2024-03-01", 8),
        ("cy", "2024-03-15", 9),
    ]
)

people = st.sampled_from("abcdef")
days = st.dates(dt.date(2023, 1, 1), dt.date(2024, 6, 30))
histories = st.lists(st.tuples(people, days, st.integers(-5, 99)), min_size=1, max_size=40)


def test_triangle_by_hand():
    cells = triangle_of(BY_HAND, period="month", until=dt.date(2024, 4, 30))
    found = cells.pivot(index="cohort", columns="age", values="active")
    january, march = pd.Timestamp("2024-01-01"), pd.Timestamp("2024-03-01")
    assert found.loc[january].tolist() == [2, 1, 1, 1]
    assert found.loc[march].tolist()[:2] == [1, 0]
    # March is one month old on 30 April: what comes after is unknown, not zero.
    assert cells[cells["cohort"] == march]["age"].max() == 1
    sizes = cells.groupby("cohort")["customers"].unique()
    assert sizes[january].tolist() == [2] and sizes[march].tolist() == [1]


def test_a_period_that_is_not_over_is_missing_not_zero():
    cells = triangle_of(BY_HAND, period="month", until=dt.date(2024, 4, 29))
    last = cells[(cells["cohort"] == "2024-03-01") & (cells["age"] == 1)].squeeze()
    assert math.isnan(last["active"]) and math.isnan(last["share"]) and math.isnan(last["low"])


def literal_triangle(rows, period, until):
    """The definition, word for word, person by person."""
    unit = {"week": "W", "month": "M", "quarter": "Q"}[period]
    bought = {}
    for person, day, _ in rows:
        bought.setdefault(person, set()).add(pd.Period(day, unit))
    table = {}
    for cohort in {min(periods) for periods in bought.values()}:
        members = [p for p in bought.values() if min(p) == cohort]
        age = 0
        while (cohort + age).start_time.date() <= until:
            over = (cohort + age).end_time.date() <= until
            active = sum((cohort + age) in periods for periods in members)
            table[cohort.start_time, age] = (len(members), active if over else None)
            age += 1
    return table


@given(histories, st.sampled_from(["week", "month", "quarter"]))
@settings(max_examples=40)
def test_triangle_equals_its_literal_translation(rows, period):
    until = max(day for _, day, _ in rows)
    cells = triangle_of(orders_of(rows), period=period, until=until)
    found = {
        (row.cohort, row.age): (row.customers, None if math.isnan(row.active) else row.active)
        for row in cells.itertuples()
    }
    assert found == literal_triangle(rows, period, until)
    whole = cells.dropna(subset="share")
    assert (whole["share"] == whole["active"] / whole["customers"]).all()
    assert whole.query("age == 0")["share"].eq(1).all()


@given(histories)
@settings(max_examples=20)
def test_triangle_revenue_adds_up_to_the_orders_of_periods_that_are_over(rows):
    until = dt.date(2024, 6, 30)  # the last day of a month: every cell is over
    cells = triangle_of(orders_of(rows), period="month", until=until)
    assert cells["amount"].sum() == sum(amount for _, _, amount in rows)


@given(histories, st.randoms())
@settings(max_examples=15)
def test_order_and_repetition_of_rows_change_nothing(rows, random):
    shuffled = rows * 2
    random.shuffle(shuffled)
    until = max(day for _, day, _ in rows)
    sums = ["amount", "orders"]
    one = triangle_of(orders_of(rows), period="month", until=until).drop(columns=sums)
    two = triangle_of(orders_of(shuffled), period="month", until=until).drop(columns=sums)
    pd.testing.assert_frame_equal(one, two)
    pd.testing.assert_frame_equal(
        waits_of(orders_of(rows), until), waits_of(orders_of(shuffled), until)
    )


def test_pooled_takes_only_cohorts_observed_at_that_age():
    cells = triangle_of(BY_HAND, period="month", until=dt.date(2024, 4, 30))
    table = retention.pooled(cells).set_index("age")
    assert table.loc[1, ["customers", "active"]].tolist() == [3, 1]  # January and March
    assert table.loc[2, ["customers", "active"]].tolist() == [2, 1]  # January alone
    # A day earlier April is not over: March has no month after its first that is, January's third.
    cells = triangle_of(BY_HAND, period="month", until=dt.date(2024, 4, 29))
    table = retention.pooled(cells).set_index("age")
    assert table.loc[1, ["customers", "active"]].tolist() == [2, 1]
    assert 3 not in table.index


def test_gaps_by_hand():
    table = retention.gaps(waits_of(BY_HAND, dt.date(2024, 4, 30)))
    # Ann: 5 Jan → 1 Feb = 27, 1 Feb → 30 Apr = 89 (2024 is a leap year); Bo: 31 Jan → 1 Mar = 30.
    assert dict(zip(table["days"], table["gaps"], strict=True)) == {27: 1, 30: 1, 89: 1}
    assert retention.gap_quantile(table, 0.5) == 30


def test_first_returns_by_hand():
    table = first_waits_of(BY_HAND, dt.date(2024, 4, 30)).set_index("days")
    # Ann returns after 27 days, Bo after 30; Cy waits since 15 March, for 46.
    assert table["returned"].to_dict() == {27: 1, 30: 1, 46: 0}
    assert table["waiting"].to_dict() == {27: 0, 30: 0, 46: 1}


def test_return_curve_by_hand():
    table = pd.DataFrame({"days": [5, 8, 9], "returned": [1, 0, 1], "waiting": [0, 1, 1]})
    curve = retention.return_curve(table)
    # Of 4 one returns on day 5; of the 2 still observed on day 9 one: 1 - 3/4 and 1 - 3/4 · 1/2.
    assert curve["days"].tolist() == [5, 9]
    assert curve["share"].tolist() == pytest.approx([0.25, 0.625])
    # Greenwood on day 9: 1/(4·3) + 1/(2·1), on the log-log scale.
    spread = 1.959964 * math.sqrt(1 / 12 + 1 / 2) / abs(math.log(0.375))
    assert curve["low"].iloc[1] == pytest.approx(1 - 0.375 ** math.exp(-spread), rel=1e-6)
    assert curve["high"].iloc[1] == pytest.approx(1 - 0.375 ** math.exp(spread), rel=1e-6)
    assert retention.returned_within(table, 8)["share"] == pytest.approx(0.25)
    assert retention.returned_within(table, 9)["share"] == pytest.approx(0.625)
    assert math.isnan(retention.returned_within(table, 10)["share"])
    # Before day 5 none of 4 has returned: Wilson's interval of 0 of 4 ends at z² / (4 + z²).
    none = 1.959964**2 / (4 + 1.959964**2)
    assert retention.returned_within(table, 4).tolist() == pytest.approx([0, 0, none], rel=1e-6)


def test_return_finding_says_what_the_curve_shows():
    table = pd.DataFrame({"days": [10, 40, 100], "returned": [2, 1, 0], "waiting": [0, 0, 7]})
    words = retention.return_finding(table)
    assert words.startswith("## 20% return within 30 days, 30% within 90\n")
    assert "Of those who return within 90 days, 67% do so in the first 30." in words


def test_returns_that_come_later_than_findings_look_are_told():
    """Nobody for longer than a year, and then all at once; interval as above."""
    table = pd.DataFrame({"days": [907, 908], "returned": [2, 1], "waiting": [0, 1]})
    words = retention.return_finding(table)
    assert words.startswith("## Nobody has returned within 365 days\n")
    assert "at most 49.0% would" in words and "after 907 days." in words
    assert "0.0% (0.0% to 49.0%) by day 30" in retention.describe_returns(table)


def test_return_curve_equals_statsmodels_on_single_customers():
    """Grouped and weighted here, one row a customer there, where Greenwood's formula is used."""
    random = np.random.default_rng(1)
    wait, seen = random.geometric(0.02, 400), random.integers(20, 90, 400)
    days, back = np.minimum(wait, seen), wait <= seen
    table = (
        pd.DataFrame({"days": days, "returned": back, "waiting": ~back}).groupby("days").sum()
    ).reset_index()
    single = SurvfuncRight(days, back.astype(int))
    curve = retention.return_curve(table)
    np.testing.assert_allclose(curve["share"], 1 - single.surv_prob)
    band = single.surv_prob_se / (single.surv_prob * np.abs(np.log(single.surv_prob))) * 1.959964
    np.testing.assert_allclose(curve["low"], 1 - single.surv_prob ** np.exp(-band), rtol=1e-6)


def test_gap_quantile_on_the_boundary():
    two = pd.DataFrame({"days": [3, 8], "gaps": [1, 1]})
    assert retention.gap_quantile(two, 0.5) == 3  # one of two gaps: at least half


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80), st.floats(0.01, 1))
def test_gap_quantile_equals_its_literal_translation(lengths, share):
    table = (
        pd.Series(lengths).value_counts().sort_index().rename_axis("days").reset_index(name="gaps")
    )
    literal = sorted(lengths)[max(math.ceil(share * len(lengths) - 1e-9), 1) - 1]
    assert retention.gap_quantile(table, share) == literal


def test_median_gap_interval_covers_the_median_as_often_as_it_says():
    random, covered, worlds = np.random.default_rng(7), 0, 600
    until = [1 - math.exp(-day / 30) for day in (20, 21)]  # share of gaps of so many whole days
    true = 20 + (0.5 - until[0]) / (until[1] - until[0])
    for _ in range(worlds):
        lengths = pd.Series(np.ceil(random.exponential(30, size=200)).astype(int), name="days")
        table = lengths.groupby(lengths).size().rename("gaps").reset_index()
        # Of each customer one gap.
        short = int((lengths <= retention.gap_quantile(table, 0.5)).sum())
        known = {"purchases": [2], "customers": 200, "short": short, "short_squares": short}
        _, low, high = retention.gap_median(table, pd.DataFrame(known))
        covered += low <= true <= high
    assert 0.93 <= covered / worlds <= 0.97


def test_gaps_that_repeat_those_of_the_same_customer_make_nothing_surer():
    table = pd.DataFrame({"days": [10, 20, 30, 40], "gaps": [50, 60, 50, 40]})
    once = pd.DataFrame({"purchases": [2], "customers": 200, "short": 110, "short_squares": 110})
    again = pd.DataFrame({"purchases": [5], "customers": 200, "short": 440, "short_squares": 1760})
    found = retention.gap_median(table, once)
    assert found == pytest.approx(retention.gap_median(table.assign(gaps=4 * table["gaps"]), again))
    # The 100th of 200 gaps is the 50th of 60 on day 20. Woodruff by hand: .55 are short, so the ends
    # are at .5 ± 1.96 √(.55 · .45 / 199), 13.8 gaps away: among the 60 of day 20, and the 50 of day 30.
    half = 1.959964 * math.sqrt(0.55 * 0.45 / 199) * 200
    by_hand = [19 + 50 / 60, 19 + (50 - half) / 60, 29 + (half - 10) / 50]
    assert found == pytest.approx(by_hand, rel=1e-6)
    alone = retention.gap_median(table, once.assign(customers=1, short=1, short_squares=1))
    assert alone[0] == found[0] and np.isnan(alone[1:]).all()


def test_purchase_counts_and_repeat_rate_by_hand():
    table = retention.purchase_counts(BY_HAND, gap=100)
    assert table.to_dict("list") == {
        "purchases": [1, 2, 3],
        "customers": [1, 1, 1],
        "amount": [9.0, 15.0, 36.0],
        "short": [0, 1, 2],
        "short_squares": [0, 1, 4],
    }
    numbers = Numbers("03_retention", as_of=dt.date(2024, 4, 30))
    rate = retention.record_repeat_rate(numbers, table)
    # Wilson by hand: (2/3 + z²/6 ± z·√(2/27 + z²/36)) / (1 + z²/3), z = 1.959964.
    z = 1.959964
    centre, half = 2 / 3 + z**2 / 6, z * math.sqrt(2 / 27 + z**2 / 36)
    assert rate.value == pytest.approx(2 / 3, rel=1e-7)
    assert rate.low == pytest.approx((centre - half) / (1 + z**2 / 3), rel=1e-6)
    assert rate.high == pytest.approx((centre + half) / (1 + z**2 / 3), rel=1e-6)


@pytest.mark.parametrize(
    ("once", "again", "told"), [(5, 5, True), (0, 9, True), (4, 9, False), (9, 4, False)]
)
def test_no_repeat_rate_tells_of_few(once, again, told):
    people = pd.DataFrame({"purchases": [1, 2], "customers": [once, again]})
    numbers = Numbers("03_retention", as_of=dt.date(2024, 4, 30))
    rate = retention.record_repeat_rate(numbers, people, minimum=5)
    assert (rate.value is not None) == told == (rate.low is not None)
    assert numbers.records["retention.customers"].value == once + again


def test_groups_hold_all_customers_and_all_revenue():
    table = retention.purchase_groups(retention.purchase_counts(BY_HAND))
    assert table["customers"].sum() == 3
    assert table["of customers"].sum() == pytest.approx(1)
    assert table["of revenue"].sum() == pytest.approx(1)


def test_groups_of_few_are_not_shown():
    people = pd.DataFrame({"purchases": [1, 2, 3, 12], "customers": [90, 30, 8, 2], "amount": 1.0})
    table = retention.purchase_groups(people, minimum=5).set_index("purchases")
    hidden = table.loc[["3", "more than 10"], ["customers", "of customers", "of revenue"]]
    assert hidden.isna().all(axis=None) and table.loc["1", "customers"] == 90
    tenths = pd.DataFrame({"decile": [1, 2], "customers": [4.5, 4.5], "amount": [9.0, 1.0]})
    shown = retention.shown_deciles(tenths, minimum=5)
    assert shown["decile"].tolist() == [1, 2] and shown["amount"].isna().all()
    assert retention.shown_deciles(tenths, minimum=4).equals(tenths)


def test_share_of_nobody_is_missing():
    share, low, high = intervals.share_with_interval([0, 5], [0, 5])
    assert np.isnan([share[0], low[0], high[0]]).all()
    assert share[1] == high[1] == 1 and 0 < low[1] < 1


def test_one_time_buyers_alone_give_sentences_not_errors():
    orders = orders_of([("a", "2024-01-01", 1), ("b", "2024-01-09", 2)])
    cells = triangle_of(orders, period="month", until=dt.date(2024, 1, 20))
    assert retention.loss_finding(cells, period="month").startswith("## Too early")
    assert retention.cohort_finding(cells, period="month").startswith("## Too early")
    gaps = retention.gaps(waits_of(orders, dt.date(2024, 1, 20)))
    numbers = Numbers("03_retention", as_of=dt.date(2024, 1, 20))
    people = retention.purchase_counts(orders, gap=retention.gap_quantile(gaps, 0.5))
    assert retention.record_median_gap(numbers, gaps, people).value is None
    assert "nobody" in retention.describe_gaps(gaps)
    returns = first_waits_of(orders, dt.date(2024, 1, 20))
    assert retention.return_finding(returns).startswith("## Nobody has returned yet")
    assert "nobody" in retention.describe_returns(returns)
    retention.record_returns(numbers, returns, days=[30])
    assert numbers.records["retention.returned_30_days"].value is None
    retention.record_ages(numbers, cells, ages=[1, 12])
    for axes in (
        retention.plot_curves(cells, period="month"),
        retention.plot_triangle(cells, period="month"),
        retention.plot_gaps(gaps),
        retention.plot_returns(returns),
    ):
        assert [text.get_text() for text in axes.texts] == ["nothing to show yet"]
    assert numbers.records["retention.month_12"].value is None


def test_cohorts_that_differ_are_said_to_differ():
    """Chi-square of 90/100 against 10/100 by hand: 128 on one degree of freedom."""
    cells = pd.DataFrame(
        {
            "cohort": pd.to_datetime(["2024-01-01", "2024-02-01"]),
            "age": 1,
            "customers": 100,
            "active": [90, 10],
            "share": [0.9, 0.1],
        }
    )
    assert "Cohorts differ" in retention.cohort_finding(cells, period="month")
    cells["active"], cells["share"] = [50, 51], [0.50, 0.51]
    assert "Cohorts hardly differ" in retention.cohort_finding(cells, period="month")


def test_figures_show_what_their_words_say():
    cells = triangle_of(BY_HAND, period="month", until=dt.date(2024, 4, 30))
    axes = retention.plot_curves(cells, period="month")
    pooled = retention.pooled(cells[cells["age"] > 0])
    bold = max(axes.lines, key=lambda line: (line.get_linewidth(), len(line.get_xdata())))
    np.testing.assert_allclose(bold.get_ydata(), pooled["share"])
    assert f"{pooled['share'].iloc[0]:.1%}" in retention.describe_curves(cells, period="month")
    heat = retention.plot_triangle(cells, period="month")
    drawn = heat.collections[0].get_array()
    later = cells[cells["age"] > 0].pivot(index="cohort", columns="age", values="share")
    np.testing.assert_allclose(
        np.ma.filled(drawn.astype(float), np.nan).ravel(), later.to_numpy().ravel()
    )
    returns = first_waits_of(BY_HAND, dt.date(2024, 4, 30))
    step = retention.plot_returns(returns).lines[0]
    np.testing.assert_allclose(step.get_ydata(), retention.return_curve(returns)["share"])
    gaps = retention.gaps(waits_of(BY_HAND, dt.date(2024, 4, 30)))
    bars = retention.plot_gaps(gaps)
    assert sum(patch.get_height() for patch in bars.patches) == gaps["gaps"].sum()
