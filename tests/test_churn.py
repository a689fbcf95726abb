"""Churn where nobody cancels: by hand, and against slow literal translations day by day."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyaltylab import intervals, retention
from loyaltylab.numbers import Numbers
from loyaltylab.timelines import timelines
from tests.test_survival import counted, histories, purchases_of

UNTIL = dt.date(2024, 6, 30)
ALLOWED = pd.DataFrame({"rank": [1, 3], "days": [60.0, 35.0]})


def ranked_of(rows, until=UNTIL):
    return timelines(purchases_of(rows), until=until)


def spells_of(rows, allowed=ALLOWED, until=UNTIL):
    return retention.spells(ranked_of(rows, until), allowed, until=until)


# ---- After how long a silence.


def test_silence_by_hand_where_all_return():
    table = counted(range(10, 110, 10), [True] * 10)
    found = retention.thresholds(table, false_alarm=0.1, shortest=1).iloc[0]
    # Of ten who returned one was silent for longer than 90 days; of more than 80, two.
    assert (found["days"], found["returned"], found["within"]) == (90, 10, 100)
    assert found["returners"] == pytest.approx(1)
    assert retention.thresholds(table, false_alarm=0.2, shortest=1)["days"].tolist() == [80]
    assert found["low"] <= 90 <= found["high"] == 100


def test_silence_takes_open_silences_in_and_those_who_never_return_out():
    # By Kaplan-Meier of 8: away .75 after day 10, .75 · 2/4 = .375 after day 30, the others stay away.
    table = counted([10, 10, 20, 20, 30, 30, 90, 90], [1, 1, 0, 0, 1, 1, 0, 0])
    found = retention.thresholds(table, false_alarm=0.6, shortest=1).iloc[0]
    # (.75 − .375) / (1 − .375) = .6 of the returners are later than day 10.
    assert found["days"] == 10 and found["returners"] == pytest.approx(0.625)
    assert retention.thresholds(table, false_alarm=0.59, shortest=1)["days"].tolist() == [30]


@given(
    st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=50),
    st.floats(0.02, 0.9),
    st.integers(5, 80),
)
@settings(max_examples=60)
def test_silence_equals_its_literal_translation(rows, false_alarm, within):
    table = counted(*zip(*rows, strict=True))
    found = retention.thresholds(table, false_alarm=false_alarm, within=within, shortest=1).iloc[0]
    within = min(within, max(time for time, _ in rows))
    away, curve = 1.0, {0: 1.0}
    for day in range(1, within + 1):
        at_risk = sum(time >= day for time, _ in rows)
        away *= 1 - sum(time == day and back for time, back in rows) / at_risk
        curve[day] = away
    if away == 1:
        assert math.isnan(found["days"])
        return
    late = {day: (curve[day] - away) / (1 - away) for day in curve}
    returns = {time for time, back in rows if back}
    assert found["days"] == min(d for d in late if late[d] <= false_alarm + 1e-12 and d in returns)
    assert found["low"] <= found["days"] <= found["high"] <= within


def test_numbers_of_purchases_with_few_returns_are_taken_together():
    def of(rank, returns):
        return counted(range(40, 40 + returns), [True] * returns).assign(rank=rank)

    table = pd.concat([of(1, 90), of(2, 40), of(3, 20), of(4, 15)])
    found = retention.thresholds(table)
    assert found[["rank", "returned"]].values.tolist() == [[1, 90], [2, 40], [3, 35]]
    table = pd.concat([of(1, 90), of(2, 40), of(3, 20), of(4, 5)])
    found = retention.thresholds(table)
    assert found[["rank", "returned"]].values.tolist() == [[1, 90], [2, 65]]
    assert retention.thresholds(of(1, 3))["rank"].tolist() == [1]


def test_no_silence_is_shorter_than_the_shortest():
    table = counted([3, 5, 8], [True] * 3)
    assert retention.thresholds(table)["days"].tolist() == [31]
    with pytest.raises(ValueError, match="false_alarm: expected a share between 0 and 1, got 1"):
        retention.thresholds(table, false_alarm=1)


# ---- Who goes, and when.


def test_spells_by_hand():
    rows = [("a", "2024-01-01"), ("a", "2024-03-01"),  # 60 days later: still a customer
            ("b", "2024-01-01"), ("b", "2024-03-02"),  # 61: gone since that morning, and back
            ("c", "2024-05-01"),  # 60 days to the last: gone in the evening
            ("d", "2024-05-02")]  # 59: not yet  # fmt: skip
    table = spells_of(rows).to_pyarrow().to_pylist()
    found = {
        (row["person_id"], row["rank"]): (
            f"{row['end']:%m-%d}", row["gone"], row["back_on"] and f"{row['back_on']:%m-%d}"
        )
        for row in table
    }  # fmt: skip
    assert found == {
        ("a", 1): ("03-01", False, None),
        ("a", 2): ("04-30", True, None),
        ("b", 1): ("03-01", True, "03-02"),
        ("b", 2): ("05-01", True, None),
        ("c", 1): ("06-30", True, None),
        ("d", 1): ("06-30", False, None),
    }
    status = retention.status(spells_of(rows), until=UNTIL).to_pandas()
    assert dict(status.itertuples(index=False)) == {"a": True, "b": True, "c": True, "d": False}


def literal_churn(rows, allowed, until):
    """Month by month and person by person, from the definition."""
    bought = {}
    for person, day in rows:
        if day <= until:
            bought.setdefault(person, []).append(day)

    def last_before(days, morning):
        days = sorted(day for day in days if day < morning)
        return (days[-1], len(days)) if days else None

    def active(days, morning):
        last = last_before(days, morning)
        return last is not None and (morning - last[0]).days <= allowance(last[1])

    def allowance(rank):
        return allowed[allowed["rank"] <= rank]["days"].iloc[-1]

    month = pd.Period(min(map(min, bought.values())), "M") + 1
    table = {}
    while month.start_time.date() <= until:
        morning, end = month.start_time.date(), month.end_time.date()
        evening = [morning + dt.timedelta(days=i) for i in range(1, (end - morning).days + 2)]
        starts = [days for days in bought.values() if active(days, morning)]
        churned = sum(
            any(not active([d for d in days if d < day], day) and last_before(days, day)[0] < morning
                for day in evening) for days in starts
        )  # fmt: skip
        inside = [(days, day) for days in bought.values() for day in days if morning <= day <= end]
        won = sum(day == min(days) for days, day in inside)
        back = sum(day > min(days) and not active(days, day) for days, day in inside)
        counts = (churned, won, back) if end <= until else (None, None, None)
        table[morning] = (len(starts), *counts)
        month += 1
    return table


@given(histories)
@settings(max_examples=25)
def test_churn_equals_its_literal_translation(rows):
    table = retention.churn_by_period(spells_of(rows), ALLOWED, until=UNTIL, period="month")
    found = {
        row.start.date(): tuple(
            None if math.isnan(v) else v for v in (row.active, row.churned, row.won, row.won_back)
        )
        for row in table.itertuples()
    }
    assert found == literal_churn(rows, ALLOWED, UNTIL)
    # What a month ends with is what the next begins with.
    ends = (table["retained"] + table["won"] + table["won_back"]).iloc[:-1]
    assert ends.tolist() == table["active"].iloc[1:].tolist()


@given(histories, st.integers(1, 12))
@settings(max_examples=15)
def test_the_churn_rate_is_that_of_the_months_together(rows, months):
    spells = spells_of(rows)
    table = retention.churn_by_period(spells, ALLOWED, until=UNTIL, period="month")
    rate = retention.churn_rate(spells, ALLOWED, until=UNTIL, months=months)
    old = table["start"] - pd.Timestamp(min(d for _, d in rows)) >= pd.Timedelta(days=60)
    last = table[old & table["churned"].notna()].tail(months)
    assert rate.months == len(last)
    if last["active"].sum() == 0:
        assert math.isnan(rate.share)
        return
    assert rate.churned == last["churned"].sum()
    assert rate.share == pytest.approx(last["churned"].sum() / last["active"].sum())
    assert rate.low <= rate.share <= rate.high


def test_a_month_that_is_not_over_and_a_base_too_young_are_missing():
    rows = [("a", dt.date(2024, 1, 1)), ("b", dt.date(2024, 2, 1)), ("c", dt.date(2024, 5, 20))]
    table = retention.churn_by_period(
        spells_of(rows, until=dt.date(2024, 6, 29)),
        ALLOWED,
        until=dt.date(2024, 6, 29),
        period="month",
    ).set_index("start")
    # By the end of February 59 days have passed, fewer than a one-time buyer is allowed.
    assert math.isnan(table.loc["2024-02-01", "churn"]) and table.loc["2024-02-01", "churned"] == 0
    assert table.loc["2024-03-01", "churn"] == 0.5  # a goes on 2 March; b on 2 April
    assert table.loc["2024-04-01", ["active", "churned", "churn"]].tolist() == [1, 1, 1]
    assert table.loc["2024-06-01", "active"] == 1
    assert table.loc["2024-06-01", ["churned", "won", "churn", "low"]].isna().all()


def test_a_period_longer_than_the_silence_is_refused():
    with pytest.raises(
        ValueError, match=r"no longer than the silence allowed, 35 days; got quarter"
    ):
        retention.churn_by_period(spells_of([("a", UNTIL)]), ALLOWED, until=UNTIL, period="quarter")


def test_quarters_add_up_to_months():
    rows = [(str(i), dt.date(2023, 1 + i % 12, 1 + i % 28)) for i in range(60)]
    allowed = pd.DataFrame({"rank": [1], "days": [120.0]})
    spells = spells_of(rows, allowed)
    by = {
        period: retention.churn_by_period(spells, allowed, until=UNTIL, period=period)
        for period in ("month", "quarter")
    }
    months = by["month"].groupby(by["month"]["start"].dt.to_period("Q"))[["churned", "won"]].sum()
    quarters = by["quarter"].set_index(by["quarter"]["start"].dt.to_period("Q"))
    assert quarters["churned"].sum() == 60
    pd.testing.assert_frame_equal(
        quarters[["churned", "won"]],
        months.loc[quarters.index],
        check_dtype=False,
        check_names=False,
    )


def test_one_time_buyers_alone_give_sentences_not_errors():
    for rows in ([("a", "2024-01-01"), ("b", "2024-01-01")], [("a", "2024-06-30")]):
        waits = retention.waits(ranked_of(rows), until=UNTIL)
        allowed = retention.thresholds(waits)
        assert allowed["days"].isna().all()
        assert retention.silence_finding(allowed).startswith("## Nobody has returned yet")
        spells = spells_of(rows, allowed)
        assert not retention.status(spells, until=UNTIL).to_pandas()["gone"].any()
        table = retention.churn_by_period(spells, allowed, until=UNTIL, period="month")
        assert table["churn"].isna().all()
        rate = retention.churn_rate(spells, allowed, until=UNTIL)
        assert rate.months == 0
        numbers = Numbers("03_retention", as_of=UNTIL)
        assert retention.record_churn(numbers, rate).value is None
        words = retention.churn_finding(table, rate, period="month")
        assert words.startswith("## Too early to say how many customers go")
        assert "nobody" in retention.describe_churn(table, period="month")
        axes = retention.plot_churn(table, period="month")
        assert [text.get_text() for text in axes.texts] == ["nothing to show yet"]


def test_where_everybody_has_gone_no_share_is_told():
    spells = spells_of([("a", "2023-12-01"), ("b", "2023-12-01")])
    table = retention.churn_by_period(spells, ALLOWED, until=UNTIL, period="month")
    rate = retention.churn_rate(spells, ALLOWED, until=UNTIL, months=1)
    assert (rate.months, rate.customers, rate.churned) == (1, 0, 0)
    assert retention.record_churn(Numbers("03_retention", as_of=UNTIL), rate).value is None
    words = retention.churn_finding(table, rate, period="month")
    assert words.startswith("## Nobody was left to go\n") and "nan" not in words


def test_findings_and_figures_say_what_the_tables_hold():
    rows = [("a", "2024-01-01"), ("b", "2024-02-01"), ("c", "2024-05-20"), ("d", "2023-12-05")]
    spells = spells_of(rows)
    table = retention.churn_by_period(spells, ALLOWED, until=UNTIL, period="month")
    rate = retention.churn_rate(spells, ALLOWED, until=UNTIL, months=3)
    assert (rate.months, rate.churned, rate.customers) == (
        3,
        1,
        2,
    )  # b in April, of b and c in June
    words = retention.churn_finding(table, rate, period="month")
    assert words.startswith("## 50.0% of active customers go in a month")
    assert "last 3 whole months" in words and "0 of 1 went; 0 were won" in words
    seen = table.dropna(subset="churn")
    drawn = retention.plot_churn(table, period="month").lines[0].get_ydata()
    np.testing.assert_allclose(drawn, seen["churn"])
    assert "100.0%, in that of April 2024" in retention.describe_churn(table, period="month")
    bars = retention.plot_active(table).patches
    assert sum(bar.get_height() for bar in bars) == 3 - 3  # won after the first month, less gone
    assert "3 customers won, 0 won back and 3 gone" in retention.describe_active(table)
    found = retention.thresholds(counted(range(40, 140), [True] * 100))
    words = retention.silence_finding(found)
    assert words.startswith("## After 129 days of silence a customer counts as gone")


# ---- The interval of a ratio, and how often all of them hold.


def test_ratio_by_hand():
    # Three customers: 1 of 2, 0 of 3, 2 of 3. r = 3/8; deviations .25, −1.125, .875.
    ratio, low, high = intervals.ratio_with_interval([1, 0, 2], [2, 3, 3], [1, 1, 1])
    variance = 3 / 2 * (0.25**2 + 1.125**2 + 0.875**2) / 64
    spread = math.exp(1.959964 * math.sqrt(variance) / 0.375)
    assert (ratio, low, high) == pytest.approx((0.375, 0.375 / spread, 0.375 * spread), rel=1e-6)
    grouped = intervals.ratio_with_interval([1, 0], [2, 3], [2, 1])
    assert grouped == pytest.approx(intervals.ratio_with_interval([1, 1, 0], [2, 2, 3], [1, 1, 1]))
    assert np.isnan(intervals.ratio_with_interval([], [], [])).all()
    # Of none, and of one customer alone, the exact bounds of a Poisson count: −log(.025) of none.
    assert intervals.ratio_with_interval([0], [10], [5]) == pytest.approx((0, 0, 3.688879 / 50))
    assert intervals.ratio_with_interval([10], [2], [1])[1] == pytest.approx(4.795389 / 2)


def test_count_interval_is_garwoods():
    """Garwood (1936), table: 10 counted, 4.795 to 18.39."""
    assert intervals.count_interval(10) == pytest.approx((4.795, 18.39), abs=0.005)
    low, high = intervals.count_interval([0, 1])
    assert low == pytest.approx([0, 0.0253], abs=5e-5) and high == pytest.approx(
        [3.689, 5.572], abs=5e-4
    )
