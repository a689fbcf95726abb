"""Waits for the next purchase: by hand, against published figures and slow literal translations."""

import datetime as dt
import math

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from statsmodels.duration.survfunc import survdiff

from loyaltylab import retention
from loyaltylab.numbers import Numbers
from loyaltylab.timelines import timelines

settings.register_profile("shared", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("shared")

UNTIL = dt.date(2024, 6, 30)


def purchases_of(rows):
    """A table of purchases of (person, "YYYY-MM-DD") rows."""
    frame = pd.DataFrame([(p, str(d)) for p, d in rows], columns=["person_id", "day"])
    frame["day"] = pd.to_datetime(frame["day"])
    table = ibis.memtable(frame.assign(amount=1.0))
    return timelines(table.mutate(day=table["day"].date()))


def waits_of(rows, until=UNTIL, **options):
    return retention.waits(timelines(purchases_of(rows), until=until), until=until, **options)


def counted(times, returned):
    """Rows of waits of single customers."""
    returned = np.asarray(returned, bool)
    table = pd.DataFrame({"days": times, "returned": returned, "waiting": ~returned})
    return table.groupby("days", as_index=False).sum().assign(rank=1)


# Remission of 42 children with leukaemia, in weeks: Freireich et al. (1963), Blood 21, 699–716, as
# printed in Kleinbaum & Klein, Survival Analysis (2012), table 1.1; + is censored.
MP = (6, 6, 6, 7, 10, 13, 16, 22, 23), (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)
PLACEBO = (1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23), ()


def arm(events, censored):
    return counted([*events, *censored], [True] * len(events) + [False] * len(censored))


REMISSION = pd.concat([arm(*MP).assign(arm="6-MP"), arm(*PLACEBO).assign(arm="placebo")])


def test_kaplan_meier_of_the_leukaemia_data_is_the_published_one():
    """Kleinbaum & Klein (2012), section 2.3, and its Greenwood standard errors (Collett's example)."""
    found = retention.kaplan_meier(arm(*MP))
    assert found["days"].tolist() == [6, 7, 10, 13, 16, 22, 23]
    published = [0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482]
    np.testing.assert_allclose(found["away"], published, atol=5e-5)
    errors = found["away"] * np.sqrt(found["greenwood"])
    np.testing.assert_allclose(
        errors, [0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346], atol=5e-5
    )
    assert retention.median_wait(arm(*MP))[0] == 23
    assert retention.median_wait(arm(*PLACEBO))[0] == 8


def test_log_rank_of_the_leukaemia_data_is_the_published_one():
    """Kleinbaum & Klein (2012), section 2.4: 16.79."""
    statistic, degrees, p = retention.log_rank_test(REMISSION, by="arm")
    assert statistic == pytest.approx(16.79, abs=0.005)
    assert degrees == 1 and p == pytest.approx(4.17e-5, rel=0.01)


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.booleans(), st.sampled_from("abc")), min_size=3, max_size=40
    )
)
@settings(max_examples=60)
def test_log_rank_equals_statsmodels_on_single_customers(rows):
    times, returned, names = (np.array(column) for column in zip(*rows, strict=True))
    table = counted(times, returned)
    parts = [counted(times[names == n], returned[names == n]).assign(s=n) for n in set(names)]
    table = pd.concat(parts)
    statistic, degrees, p = retention.log_rank_test(table, by="s")
    if degrees < len(set(names)) - 1 or degrees == 0:
        return  # where a segment is never compared survdiff inverts a singular matrix
    expected = survdiff(times, returned.astype(int), names)
    assert (statistic, p) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_log_rank_does_not_count_a_segment_that_is_never_at_risk_beside_another():
    alone = counted([9, 9], [False, False]).assign(s="c")
    both = pd.concat([counted([2, 3], [True, True]).assign(s=s) for s in "ab"])
    early = counted([1], [False]).assign(s="d")
    statistic, degrees, _ = retention.log_rank_test(pd.concat([both, early]), by="s")
    assert degrees == 1
    assert statistic == pytest.approx(retention.log_rank_test(both, by="s")[0])
    nothing, degrees, p = retention.log_rank_test(alone, by="s")
    assert math.isnan(nothing) and degrees == 0 and math.isnan(p)


def test_pairs_of_segments_by_holm():
    """Holm by hand: the smallest p times three, the next times two, the last as it is, in order."""
    random = np.random.default_rng(3)
    parts = [
        counted(np.ceil(random.exponential(mean, 60)), np.ones(60)).assign(s=name)
        for name, mean in (("a", 10), ("b", 14), ("c", 30))
    ]
    pairs = retention.log_rank_pairs(pd.concat(parts), by="s").sort_values("p")
    p = pairs["p"].tolist()
    by_hand = [3 * p[0], max(3 * p[0], 2 * p[1]), max(3 * p[0], 2 * p[1], p[2])]
    assert pairs["p_holm"].tolist() == pytest.approx(by_hand)
    assert pairs["differ"].tolist() == [value < 0.05 for value in by_hand]
    # d, of whom nobody was seen with others, is a pair without a test, and costs the others nothing.
    unseen = counted([0], [False]).assign(s="d")
    more = retention.log_rank_pairs(pd.concat([*parts, unseen]), by="s")
    assert len(more) == 6 and more["p"].isna().sum() == 3
    assert sorted(more["p_holm"].dropna()) == pytest.approx(sorted(pairs["p_holm"]))


HISTORY = [("ann", "2024-01-01"), ("ann", "2024-01-11"), ("ann", "2024-03-01"), ("bo", "2024-06-20"),
           ("cy", "2024-06-30"), ("bo", "2024-07-05")]  # fmt: skip


def test_waits_by_hand():
    table = waits_of(HISTORY)
    found = {(r.rank, r.days): (r.returned, r.waiting) for r in table.itertuples()}
    # Ann waits 10, then 50 days, and since 1 March for 121; Bo for 10, Cy for none. Bo's purchase of
    # July is not observed yet.
    assert found == {(1, 0): (0, 1), (1, 10): (1, 1), (2, 50): (1, 0), (3, 121): (0, 1)}
    pooled = waits_of(HISTORY, ranks=1)
    assert set(pooled["rank"]) == {1, 2}
    assert pooled.query("rank == 2")[["returned", "waiting"]].sum().tolist() == [1, 1]


people, days = st.sampled_from("abcdef"), st.dates(dt.date(2023, 6, 1), dt.date(2024, 8, 31))
histories = st.sets(st.tuples(people, days), min_size=1, max_size=40).filter(
    lambda rows: any(day <= UNTIL for _, day in rows)
)


@given(histories, st.integers(1, 6), st.randoms())
@settings(max_examples=30)
def test_waits_equal_their_literal_translation(rows, ranks, random):
    """In whatever order the rows are."""
    rows = list(rows)
    random.shuffle(rows)
    literal = {}
    for person in {p for p, _ in rows}:
        bought = sorted(day for p, day in rows if p == person and day <= UNTIL)
        for i, day in enumerate(bought):
            back = i + 1 < len(bought)
            key = min(i + 1, ranks + 1), ((bought[i + 1] if back else UNTIL) - day).days
            returned, waiting = literal.get(key, (0, 0))
            literal[key] = (returned + back, waiting + (not back))
    table = waits_of(rows, ranks=ranks)
    assert {(r.rank, r.days): (r.returned, r.waiting) for r in table.itertuples()} == literal


def test_waits_by_segment_add_up_to_those_of_all():
    purchases = purchases_of(HISTORY)
    dated = purchases.mutate(shop=(purchases["person_id"] == "ann").ifelse("x", "y"))
    ranked = timelines(dated, until=UNTIL)
    parts = retention.waits(ranked, until=UNTIL, by="shop")
    summed = parts.groupby(["rank", "days"], as_index=False)[["returned", "waiting"]].sum()
    pd.testing.assert_frame_equal(summed, retention.waits(ranked, until=UNTIL), check_dtype=False)
    assert parts.query("shop == 'y'")["returned"].sum() == 0


waiting = st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=40)


@given(waiting, st.integers(1, 45))
@settings(max_examples=60)
def test_mean_wait_equals_its_literal_translation(rows, horizon):
    """Day by day the share away; and the variance return by return."""
    table = counted(*zip(*rows, strict=True))
    mean, low, high = retention.mean_wait(table, horizon=horizon)
    if max(time for time, _ in rows) < horizon:
        assert math.isnan(mean) and math.isnan(low) and math.isnan(high)
        return
    away, by_day, steps = 1.0, [], []
    for day in range(horizon):
        at_risk = sum(time >= day for time, _ in rows)
        events = sum(time == day and back for time, back in rows)
        away *= 1 - events / at_risk
        by_day.append(away)
        steps.append((events, at_risk))
    variance = sum(
        sum(by_day[day:]) ** 2 * events / (at_risk * (at_risk - events))
        for day, (events, at_risk) in enumerate(steps)
        if 0 < events < at_risk
    )
    spread = 1.959964 * math.sqrt(variance)
    assert mean == pytest.approx(sum(by_day))
    assert low == pytest.approx(max(sum(by_day) - spread, 0), rel=1e-6, abs=1e-9)
    assert high == pytest.approx(min(sum(by_day) + spread, horizon), rel=1e-6)


@given(waiting, st.integers(1, 8))
@settings(max_examples=60)
def test_hazard_counts_each_day_that_somebody_waits(rows, bins):
    table = counted(*zip(*rows, strict=True))
    found = retention.hazard(table, bins=bins)
    assert found["returned"].sum() == table["returned"].sum()
    assert (found["returned"] > 0).all() and len(found) <= bins
    for row in found.itertuples():
        exposure = sum(
            day <= time for time, _ in rows for day in range(row.after + 1, row.until + 1)
        )
        returned = sum(back and row.after < time <= row.until for time, back in rows)
        assert (row.exposure, row.returned) == (exposure, returned)
        assert row.rate == pytest.approx(30 * returned / exposure)
        assert row.low < row.rate < row.high


def test_median_wait_is_missing_where_half_have_not_returned():
    table = counted([5, 9, 9, 9, 9], [True, False, False, False, False])
    assert all(math.isnan(value) for value in retention.median_wait(table)[::2])
    median, low, high = retention.median_wait(arm(*PLACEBO))
    curve = retention.return_curve(arm(*PLACEBO)).set_index("days")
    assert low <= median <= high
    assert curve.loc[low, "high"] >= 0.5 > curve["high"][curve.index < low].max()
    assert curve.loc[high, "low"] >= 0.5 > curve["low"][curve.index < high].max()


def test_one_customer_and_one_time_buyers_give_sentences_not_errors():
    for rows in ([("ann", "2024-06-30")], [("ann", "2024-01-01"), ("bo", "2024-01-01")]):
        table = waits_of(rows)
        assert retention.hazard(table).empty
        summary = retention.wait_summary(table)
        assert summary["customers"].tolist() == [len(rows)]
        assert summary[["share", "median"]].isna().all(axis=None)
        assert retention.wait_finding(summary).startswith("## Too early")
        assert "nobody" in retention.describe_waits(table)
        assert "nobody" in retention.describe_hazard(table)
        for axes in (retention.plot_waits(table), retention.plot_hazard(table)):
            assert [text.get_text() for text in axes.texts] == ["nothing to show yet"]
        words = retention.segment_finding(table.assign(s="a"), by="s", name="channels")
        assert words.startswith("## Too early to compare channels")


def test_the_finding_says_more_likely_only_where_intervals_are_apart():
    first = counted([10] * 40 + [400] * 60, [True] * 40 + [False] * 60)
    more = counted([10] * 80 + [400] * 20, [True] * 80 + [False] * 20).assign(rank=2)
    summary = retention.wait_summary(pd.concat([first, more]))
    words = retention.wait_finding(summary)
    assert words.startswith("## After 2 purchases another is more likely: 80% make it within 365")
    assert "bought again after 10 days" in words
    alike = retention.wait_summary(pd.concat([first, first.assign(rank=2)]))
    assert "about as likely" in retention.wait_finding(alike)
    swapped = retention.wait_summary(pd.concat([first.assign(rank=2), more.assign(rank=1)]))
    assert "less likely" in retention.wait_finding(swapped)
    numbers = Numbers("03_retention", as_of=UNTIL)
    retention.record_waits(numbers, summary)
    assert numbers.records["retention.again_after_2"].value == pytest.approx(0.8)
    assert "of purchase 2 (" in numbers.records["retention.again_after_2"].definition


def test_segments_that_differ_are_said_to():
    words = retention.segment_finding(REMISSION, by="arm", name="arms", horizon=20)
    # At week 20 nineteen of 21 are back of the one, and by Kaplan-Meier 1 − .6275 of the other.
    assert "Customers of some arms return more readily" in words
    assert "90.5% of *placebo* are back and 37.3% of *6" in words
    alike = pd.concat([arm(*MP).assign(arm=name) for name in "ab"])
    assert "The arms hardly differ" in retention.segment_finding(
        alike, by="arm", name="arms", horizon=20
    )
    shares = retention.segment_returns(REMISSION, by="arm", horizon=20)
    assert shares[["segment", "customers"]].values.tolist() == [["placebo", 21], ["6-MP", 21]]


def test_figures_show_what_their_words_say():
    table = pd.concat([arm(*MP), arm(*PLACEBO).assign(rank=2)])
    axes = retention.plot_waits(table)
    curve = retention.return_curve(arm(*PLACEBO))
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [0, *curve["share"]])
    words = retention.describe_waits(table)
    # 1 − .4482 at week 23, the last; of the others nobody was followed for 30.
    assert "after purchase 1 55.2% (" in words and "purchase 2" not in words
    steps = retention.plot_hazard(arm(*PLACEBO)).patches[0].get_data()
    np.testing.assert_allclose(steps.values, retention.hazard(arm(*PLACEBO))["rate"])
    assert f"{steps.values[0]:.2g}" in retention.describe_hazard(arm(*PLACEBO))


def test_returns_of_a_year_by_hand():
    """Of ten, one is back after 4 days, and one of the eight still watched after 12; the last is
    watched for 13 days."""
    table = counted([4, 8, 12, *[13] * 7], [True, False, True, *[False] * 7])
    found = retention.returns_of_a_year(table, minimum=1)
    assert found["days"].tolist() == [0, 5, 10, 13]
    np.testing.assert_allclose(found["share"], [0, 0.1, 0.1, 1 - 0.9 * 7 / 8])
    curve = retention.return_curve(table).set_index("days")
    np.testing.assert_allclose(found[["low", "high"]].iloc[-1], curve.loc[12, ["low", "high"]])
    assert found[["low", "high"]].iloc[0].tolist() == [0, 0]
    # Eight are watched for 12 days, nine for 8.
    assert retention.returns_of_a_year(table, minimum=8)["days"].max() == 12
    assert retention.returns_of_a_year(table, minimum=9)["days"].max() == 8
    assert retention.returns_of_a_year(table, minimum=11).empty


def test_returns_of_a_year_end_with_it_and_there_are_none_of_nobody():
    long = counted([1, 400, 500], [True, False, True])
    assert retention.returns_of_a_year(long, minimum=1)["days"].iloc[-1] == 365
    assert retention.returns_of_a_year(counted([9], [False]), minimum=1).empty
    assert retention.returns_of_a_year(counted([], []), minimum=1).empty
