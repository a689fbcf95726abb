"""Coverage over time: weeks, gaps, jumps, categories that come and go."""

import datetime as dt
from decimal import Decimal

import ibis
import numpy as np
import pandas as pd
import pytest

from loyaltylab import schemas
from loyaltylab.validation import coverage
from loyaltylab.validation import jumps as jumps_module
from loyaltylab.validation.categories import AT_MOST, CATEGORIES, categories
from loyaltylab.validation.jumps import COLUMNS, jumps
from tests.shop import table

DAY = pd.Timedelta(days=1)


def spans(found, first="since", last="until"):
    return list(zip(found[first], found[last], strict=True))


def feedback(counts, *, start="2024-01-01"):
    """A table of feedback with so many rows on each day from the first."""
    days = np.repeat(np.arange(len(counts)), counts)
    posted = pd.Timestamp(start) + pd.to_timedelta(days, unit="D")
    return ibis.memtable(pd.DataFrame({"platform": "shop", "posted_at": posted}))


# ---- Weeks.

ORDERS = [  # 1 January 2024 is a Monday
    {"ordered_at": "2024-01-01 09:00", "amount": Decimal(10), "channel": "web"},
    {"ordered_at": "2024-01-07 23:59", "amount": Decimal(30), "channel": None},
    {"ordered_at": "2024-01-07 23:59", "amount": Decimal(1000), "channel": None},
    {"ordered_at": "2024-01-16 00:00", "amount": Decimal(-5), "channel": "web"},
    {"ordered_at": "2024-01-20 12:00", "amount": Decimal(5), "channel": "web"},
]


def test_weeks_by_hand():
    found = coverage.weekly(table(ORDERS, "orders"), "orders")
    assert found.columns.tolist() == ["week", "rows", "whole", "amount", "missing channel"]
    assert found["week"].tolist() == list(pd.date_range("2024-01-01", periods=3, freq="7D"))
    assert found["rows"].tolist() == [3, 0, 2]
    assert found["whole"].tolist() == [True, True, False]  # the last order is on a Saturday
    assert found["amount"].fillna(-1).tolist() == [30, -1, 0]
    assert found["missing channel"].tolist() == [2, 0, 0]


def test_a_week_that_begins_late_is_cut():
    later = [row | {"ordered_at": str(pd.Timestamp(row["ordered_at"]) + DAY)} for row in ORDERS]
    assert coverage.weekly(table(later, "orders"), "orders")["whole"].tolist() == [
        False,
        True,
        True,
    ]


def test_rows_without_a_time_are_in_no_week():
    known = [{"registered_at": "2024-01-01", "phone": "1"}] * 2
    found = coverage.weekly(table([*known, {"registered_at": None}], "customers"), "customers")
    assert found.columns.tolist() == ["week", "rows", "whole"]  # of these no phone is missing
    assert found["rows"].tolist() == [2]


def test_weeks_of_no_rows():
    found = coverage.weekly(table([], "orders"), "orders")
    assert found.empty and found.columns.tolist() == ["week", "rows", "whole", "amount"]
    assert jumps(found).empty
    assert coverage.gaps(
        coverage.daily(table([], "orders"), "orders"), until=dt.date(2024, 1, 1)
    ).empty
    assert categories(table([], "orders"), "orders").empty


# ---- Gaps.


def literal(counts):
    """What silences does, day by day in plain Python."""
    runs = []
    for day, rows in enumerate(counts):
        if rows:
            after = next((d for d in range(day + 1, len(counts)) if counts[d]), len(counts))
            runs.append((day + 1, after))
    told = []
    for first, after in runs:
        verdicts = []
        for step, edge in ((-1, first - 1), (1, after)):
            weeks = []
            for week in range(8):
                days = [edge + step * (7 * week + d) for d in range(7)]
                if all(0 <= d < len(counts) for d in days):
                    weeks.append({d % 7: counts[d] for d in days})
            if weeks and after > first:
                total = sum(sum(week.values()) for week in weeks)
                share = {w: sum(week[w] for week in weeks) / total for w in range(7)}
                length = sum(share[d % 7] for d in range(first, after))
                usual = sorted(sum(week.values()) for week in weeks)[(len(weeks) - 1) // 2]
                chance = (1 + length / len(weeks)) ** -(len(weeks) * usual)
                verdicts.append((chance, length, usual * length))
        told.append(max(verdicts, key=lambda v: v[0]) if verdicts else (1.0, 0.0, 0.0))
    usual = np.quantile([length for _, length, _ in told], 0.9)
    return [
        (first, after - 1, expected, chance if length >= 2 * usual else 1.0)
        for (first, after), (chance, length, expected) in zip(runs, told, strict=True)
    ]


@pytest.mark.parametrize("rate", [0.1, 0.5, 2, 20])
def test_silences_are_those_of_the_literal_version(rate):
    rng = np.random.default_rng(1)
    for weekend in (1, 0):
        rates = rate * np.array([1, 2, 1, 1, 1, weekend, weekend])
        counts = rng.poisson(np.resize(rates, 150))
        counts[60:75] = 0
        counts = counts[np.flatnonzero(counts)[0] :]
        found = coverage.silences(counts)[["first", "last", "expected", "chance"]]
        np.testing.assert_allclose(found, literal(counts), rtol=1e-9, atol=1e-300)


def test_a_gap_by_hand():
    """Ten rows on each day but Sunday; Wednesday to Monday of the ninth week are silent."""
    counts = np.resize([10, 10, 10, 10, 10, 10, 0], 16 * 7)
    counts[58:64] = 0
    found = coverage.gaps(coverage.daily(feedback(counts), "feedback"), until=dt.date(2024, 4, 21))
    # Of the silent days two are Sundays' neighbours: Wednesday to Saturday and Monday had 10 each.
    assert found.to_dict("records") == [
        {
            "first": pd.Timestamp("2024-02-28"),
            "last": pd.Timestamp("2024-03-04"),
            "days": 6,
            "expected": pytest.approx(50),
        }
    ]
    assert coverage.silences(counts)["chance"].min() == pytest.approx((1 + 50 / 360) ** -360)


def test_the_silence_up_to_the_last_day_observed_counts():
    rows = feedback([10] * 70)
    assert coverage.gaps(coverage.daily(rows, "feedback"), until=dt.date(2024, 3, 10)).empty
    found = coverage.gaps(coverage.daily(rows, "feedback"), until=dt.date(2024, 3, 13))
    assert spans(found, "first", "last") == [
        (pd.Timestamp("2024-03-11"), pd.Timestamp("2024-03-13"))
    ]
    assert found["expected"].tolist() == [30]
    # Rows after it are rows, and end no earlier.
    assert coverage.gaps(coverage.daily(rows, "feedback"), until=dt.date(2024, 2, 1)).empty


def found_gaps(counts):
    chance = coverage.silences(counts)["chance"]
    return int((chance * len(chance) <= coverage.FALSE_ALARM).sum())


def test_chance_is_no_gap():
    """A thousand days at each of these rates, ten times: no gap in 160 of them."""
    rng = np.random.default_rng(2)
    season = np.where(np.arange(1000) % 365 > 330, 2, 1)
    growth = np.linspace(0.2, 1, 1000)
    for rate in (1 / 30, 1 / 7, 0.5, 2, 5, 50):
        for pattern in (1, season, growth, np.resize([1, 1, 1, 1, 1, 0.3, 0], 1000)):
            assert sum(found_gaps(rng.poisson(rate * pattern, 1000)) for _ in range(4)) == 0


def test_what_one_run_in_a_hundred_would_be_is_no_gap_of_many():
    counts = np.r_[np.random.default_rng(2).poisson(1, 900), 1]
    assert (coverage.silences(counts)["chance"] <= coverage.FALSE_ALARM).sum() > 0
    until = (pd.Timestamp("2024-01-01") + 900 * DAY).date()
    assert coverage.gaps(coverage.daily(feedback(counts), "feedback"), until=until).empty


def test_rows_in_batches_have_no_gaps():
    rng = np.random.default_rng(3)
    for every in (7, 14, 30):
        for jitter in (1, 4):
            days = np.arange(0, 990, every)
            days += rng.integers(0, jitter, len(days))
            counts = np.zeros(days[-1] + 1, int)
            counts[days] = rng.poisson(5000, len(days))
            assert found_gaps(counts) == 0, (every, jitter)


def test_a_silent_weekday_is_no_gap_and_stays_none_when_its_pattern_changes():
    first, later = [40, 40, 40, 40, 40, 20, 0], [40, 40, 40, 40, 40, 20, 30]
    counts = np.random.default_rng(4).poisson(np.r_[np.resize(first, 350), np.resize(later, 350)])
    assert found_gaps(counts) == 0


@pytest.mark.parametrize(("rate", "days"), [(50, 1), (5, 6), (1, 30)])
def test_gaps_are_found(rate, days):
    """38 of 40 at least, and their days."""
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(40):
        counts = rng.poisson(rate, 1000)
        counts[[499, 500 + days]] = 1
        counts[500 : 500 + days] = 0
        found = coverage.silences(counts)
        found = found[found["chance"] * len(found) <= coverage.FALSE_ALARM]
        hits += found[["first", "last"]].to_numpy().tolist() == [[500, 499 + days]]
    assert hits >= 38


# ---- Jumps.

START = pd.Timestamp("2021-01-04")


def weeks(rng, rows, *, amount=60.0, phone=0.3, score=0.02):
    """A hundred and fifty weeks, of which these are the rates; Poisson, log-normal and binomial."""
    n = 150
    rows = rng.poisson(np.broadcast_to(rows, n))
    medians = np.exp(0.7 * 1.2533 * rng.normal(size=n) / np.sqrt(np.maximum(rows, 1)))
    frame = pd.DataFrame(
        {
            "week": pd.date_range(START, periods=n, freq="7D"),
            "rows": rows,
            "whole": True,
            "amount": np.where(rows > 0, amount * medians, np.nan),
            "missing phone": rng.binomial(rows, phone),
            "missing score": rng.binomial(rows, score),
        }
    )
    return frame


def calm(n=40):
    """Weeks of which nothing is to be said."""
    return pd.DataFrame(
        {
            "week": pd.date_range(START, periods=n, freq="7D"),
            "rows": 100,
            "whole": True,
            "amount": 50.0,
            "missing phone": 20,
        }
    )


def test_a_jump_by_hand():
    frame = calm()
    frame.loc[20:22, "rows"] = [200, 210, 190]
    found = jumps(frame)
    assert found["measure"].tolist() == ["rows", "missing phone"]  # 20 of 200 is a share of 10%
    jump = found.iloc[0]
    assert (jump["since"], jump["until"]) == tuple(frame["week"][[20, 22]])
    assert (jump["usual"], jump["observed"], jump["change"]) == (100, 200, 2)
    # 2 (√(210 + 3/8) − √(100 + 3/8)) / √(1 + π/2 / 8): Poisson error of a week and of the median.
    assert jump["z"] == pytest.approx(2 * (210.375**0.5 - 100.375**0.5) / 1.1963495**0.5)
    assert np.isnan(jump["a_year_earlier"]) and not jump["seasonal"]
    assert found.iloc[1]["change"] == pytest.approx(0.1 - 0.2)


def test_the_spread_of_amounts_by_hand():
    """Fifty and sixty by turns: from one week to the next the logarithm moves by log 1.2."""
    frame = calm()
    frame["amount"] = np.where(np.arange(40) % 2, 60.0, 50.0)
    frame.loc[20, ["rows", "missing phone", "amount"]] = [140, 28, 500.0]
    (found,) = jumps(frame).to_dict("records")
    assert (found["measure"], found["usual"], found["observed"]) == ("amount", 55, 500)
    spread = 1.4826 * np.log(1.2) / (1 / 100 + 1 / 100) ** 0.5
    error = spread * (1 / 140 + np.pi / 2 / 100 / 8) ** 0.5
    usual = (np.log(50) + np.log(60)) / 2
    assert found["z"] == pytest.approx((np.log(500) - usual) / error, rel=1e-3)


def test_a_week_alone_is_a_jump_from_four_errors_on():
    for rows, alarms in ((145, 0), (155, 1)):  # 3.7 and 4.5 by the hand of the test above
        frame = calm()
        frame.loc[20, ["rows", "missing phone"]] = [rows, rows // 5]
        assert len(jumps(frame)) == alarms


def test_three_weeks_running_are_a_jump_at_half_as_many_errors():
    for week in (22, 21):
        frame = calm()
        frame.loc[20:week, ["rows", "missing phone"]] = [140, 28]
        assert spans(jumps(frame)) == ([tuple(frame["week"][[20, 22]])] if week == 22 else [])


def test_the_middle_of_three_weeks_must_matter():
    frame = calm().assign(rows=1000, **{"missing phone": 200})
    for middle, alarms in ((1250, 0), (1310, 1)):
        frame.loc[20:22, "rows"] = [1250, middle, 1310]
        frame.loc[20:22, "missing phone"] = frame["rows"] // 5
        found = jumps(frame)
        assert (len(found), frame["week"][20] in found["since"].tolist()) == (1, bool(alarms))


def test_a_table_that_is_restless_of_late_has_no_jumps_of_that_size():
    frame = calm(150)
    frame.loc[60:80:2, ["rows", "missing phone"]] = [160, 32]
    frame.loc[61:81:2, ["rows", "missing phone"]] = [60, 12]
    found = jumps(frame)
    assert len(found) and (found["since"] < frame["week"][68]).all()
    assert spans(found) == [(week, week) for week in found["since"]]


def test_what_silent_weeks_lack_is_not_known():
    frame = calm()
    frame.loc[17:19, ["rows", "missing phone", "amount"]] = [0, 0, np.nan]
    frame.loc[20:, "missing phone"] = 80
    found = jumps(frame).set_index("measure")
    assert found.loc["rows", "observed"] == 0
    assert found.loc["missing phone", ["since", "usual"]].tolist() == [frame["week"][20], 0.2]
    assert len(found) == 2


def test_what_did_not_change_is_no_jump():
    assert jumps(calm()).empty
    assert jumps(calm()).columns.tolist() == list(COLUMNS)
    assert jumps(calm(5)).empty


def test_a_change_that_stays_is_one_jump_until_the_last_week():
    frame = calm(100)
    frame.loc[20:, "rows"], frame.loc[20:, "missing phone"] = 50, 10
    found = jumps(frame)
    assert found[["measure", "since", "until", "change"]].to_numpy().tolist() == [
        ["rows", frame["week"][20], frame["week"][99], 0.5]
    ]


def test_a_change_that_goes_back_ends_and_begins_no_other():
    frame = calm(100)
    frame.loc[20:59, "rows"], frame.loc[20:59, "missing phone"] = 50, 10
    found = jumps(frame)
    assert spans(found) == [tuple(frame["week"][[20, 59]])]


def test_a_change_after_a_change_is_another():
    frame = calm(100)
    frame.loc[20:59, "amount"], frame.loc[60:, "amount"] = 100, 5000
    found = jumps(frame)
    assert found["since"].tolist() == frame["week"][[20, 60]].tolist()
    assert found["until"].tolist() == frame["week"][[59, 99]].tolist()
    assert found["usual"].tolist() == [50, 100] and found["change"].tolist() == [2, 50]


def test_an_amount_may_change_its_sign():
    frame = calm()
    frame.loc[30:, "amount"] *= -1
    found = jumps(frame)
    assert found[["measure", "since", "change"]].to_numpy().tolist() == [
        ["amount", frame["week"][30], -1.0]
    ]


def test_weeks_cut_short_are_not_judged():
    frame = calm()
    frame.loc[[0, 39], ["rows", "missing phone", "whole"]] = [1, 1, False]
    assert jumps(frame).empty


def test_a_season_was_there_a_year_earlier_and_a_fault_was_not():
    frame = calm(150)
    for year in (0, 1):
        frame.loc[40 + 52 * year : 43 + 52 * year, ["rows", "missing phone"]] = [200, 40]
    frame.loc[120:121, ["rows", "missing phone"]] = [200, 40]
    found = jumps(frame)
    assert found["measure"].unique().tolist() == ["rows"]
    assert found["since"].tolist() == frame["week"][[40, 92, 120]].tolist()
    assert found["seasonal"].tolist() == [False, True, False]
    assert found["a_year_earlier"].fillna(0).tolist() == [0, 2, 1]


def test_a_week_is_held_against_the_same_week():
    frame = calm(120)
    for week in (40, 92):
        frame.loc[week, ["rows", "missing phone"]] = [200, 40]
    found = jumps(frame)
    assert found["a_year_earlier"].fillna(0).tolist() == [0, 2]
    # A fall is as far as its least week, not as its greatest.
    frame.loc[60:61, ["rows", "missing phone"]] = [[40, 8], [20, 4]]
    fall = jumps(frame).iloc[1]
    assert fall["z"] == pytest.approx(2 * (20.375**0.5 - 100.375**0.5) / 1.1963495**0.5)


def test_a_year_is_missing_where_less_than_half_of_its_weeks_was_observed():
    frame = calm(120)
    frame.loc[60, ["rows", "missing phone"]] = [200, 40]
    for unknown, earlier in ((3, 1.0), (5, np.nan)):  # of the eight before week 60 - 52
        frame["whole"] = frame.index >= unknown
        assert jumps(frame)["a_year_earlier"].tolist() == pytest.approx([earlier], nan_ok=True)


@pytest.mark.parametrize(
    ("earlier", "seasonal"), [(130, False), (145, True), (1500, False), (50, False)]
)
def test_a_season_goes_the_same_way_half_to_twice_as_far(earlier, seasonal):
    frame = calm(120)
    for week, rows in ((40, earlier), (92, 200)):
        frame.loc[week, ["rows", "missing phone"]] = [rows, rows // 5]
    assert jumps(frame).iloc[-1]["seasonal"] == seasonal


def test_a_drop_in_last_years_season_is_not_its_season():
    frame = calm(150)
    frame.loc[40:43, ["rows", "missing phone"]] = [200, 40]
    frame.loc[92:95, ["rows", "missing phone"]] = [20, 4]
    assert jumps(frame)["seasonal"].tolist() == [False, False]


@pytest.mark.parametrize("rate", [3, 30, 300])
def test_chance_is_seldom_a_jump(rate):
    """In 40 series of 150 weeks and four measures at most 4 alarms: one in ten series."""
    rng = np.random.default_rng(6)
    assert sum(len(jumps(weeks(rng, rate))) for _ in range(40)) <= 4


def test_growth_is_no_jump_and_a_ramp_up_alarms_once_at_most():
    rng, week = np.random.default_rng(7), np.arange(150)
    for rate in (
        300 * 1.15 ** (week / 52),
        300 * 1.6 ** (week / 52),
        10 * np.minimum(week + 1, 30),
    ):
        assert sum(len(jumps(weeks(rng, rate))) for _ in range(10)) <= 1
    fast = 300 * np.minimum(1, 1.1 ** (week - 30))
    assert max((jumps(weeks(rng, fast))["measure"] == "rows").sum() for _ in range(10)) <= 2


CHANGES = {
    "rows": {"rows": np.where(np.arange(150) < 100, 300, 150)},
    "amount": {"rows": 300, "amount": np.where(np.arange(150) < 100, 60, 6000)},
    "missing phone": {"rows": 300, "phone": np.where(np.arange(150) < 100, 0.3, 1)},
    "missing score": {"rows": 300, "score": np.where(np.arange(150) < 100, 0.02, 0.12)},
}


@pytest.mark.parametrize("measure", CHANGES)
def test_faults_are_found_at_their_week_until_the_last(measure):
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(20):
        found = jumps(weeks(rng, **CHANGES[measure]))
        found = found[found["measure"] == measure]
        exact = (START + 700 * DAY, START + 149 * 7 * DAY)
        hits += spans(found) == [exact]
    assert hits >= 19


# ---- Categories.


def orders(channels, *, start="2024-01-01"):
    """An order a day, in this channel."""
    days = pd.date_range(start, periods=len(channels))
    return table(
        [{"ordered_at": day, "channel": c} for day, c in zip(days, channels, strict=True)], "orders"
    )


def test_categories_by_hand():
    """From the hundredth row on, every second is of the app; the shop's last was the fiftieth."""
    channels = ["web", "shop"] * 25 + ["web"] * 50 + ["web", "app"] * 50
    found = categories(orders(channels), "orders").to_dict("records")
    assert found == [
        {
            "column": "channel",
            "category": "app",
            "what": "new",
            "since": pd.Timestamp("2024-01-01") + 101 * DAY,
            "rows": 50,
            "expected": pytest.approx(50 * 101 / 99),
        },
        {
            "column": "channel",
            "category": "shop",
            "what": "lost",
            "since": pd.Timestamp("2024-01-01") + 49 * DAY,
            "rows": 25,
            "expected": pytest.approx(25 * 150 / 50),
        },
    ]


def test_few_rows_of_a_category_may_come_late_by_chance():
    assert categories(orders(["web"] * 100 + ["app"]), "orders").empty
    found = categories(orders(["web"] * 100 + ["app"] * 2), "orders")
    assert found["category"].tolist() == ["app"]  # (2 / 102)² ≤ 0.01 / 4


def test_rows_without_a_category_count_for_none():
    """The column begins late, its categories do not."""
    assert categories(orders([None] * 200 + ["web", "app"] * 50), "orders").empty


def test_what_begins_with_the_table_is_no_news():
    later = ["app", "web"] * 200
    assert categories(orders(["web"] * 27 + later), "orders").empty
    assert categories(orders(["web"] * 28 + later), "orders")["what"].tolist() == ["new"]


def test_growth_alone_brings_no_categories():
    """Half of the rows are of the last fifth; one in fifty of a channel: its first may be late."""
    rng = np.random.default_rng(9)
    alarms = 0
    for _ in range(5):
        day = np.sort((1000 * rng.random(500) ** 0.3).astype(int))
        channel = rng.choice(["a", "b", "c", "d"], 500, p=[0.6, 0.3, 0.08, 0.02])
        rows = [
            {"ordered_at": pd.Timestamp("2022-01-01") + int(d) * DAY, "channel": c}
            for d, c in zip(day, channel, strict=True)
        ]
        alarms += len(categories(table(rows, "orders"), "orders"))
    assert alarms <= 1


def test_free_text_is_said_to_be_too_varied():
    names = [f"c{i}" for i in range(AT_MOST)]
    assert categories(orders(names), "orders").empty
    found = categories(orders([*names, "one more"]), "orders")
    assert found[["column", "what"]].to_numpy().tolist() == [["channel", "too varied"]]
    assert found["category"].isna().all() and found["since"].isna().all()


def test_categories_are_texts_of_canonical_tables():
    for name in CATEGORIES:
        types = [
            schemas.column_types(t)[name] for t in schemas.TABLES if name in schemas.column_types(t)
        ]
        assert types and all(dtype == schemas.TEXT for dtype in types), name


# ---- The figure.


def test_the_figure_shows_what_its_words_say():
    rows = feedback([10] * 70)
    strips = {"feedback": coverage.weekly(rows, "feedback"), "erasures": calm(0)}
    gaps = {"feedback": coverage.gaps(coverage.daily(rows, "feedback"), until=dt.date(2024, 3, 13))}
    axes = coverage.plot_coverage(strips, gaps=gaps)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["feedback"]
    assert axes.images[0].get_array().tolist() == [[1.0] * 10]
    assert len(axes.collections) >= 1  # the gap
    assert coverage.describe_coverage(strips, gaps=gaps) == (
        "A strip for 1 table, a cell a week: feedback from the week of 1 January 2024 to that of "
        "4 March 2024, 1 gap (3 days from 11 March 2024)."
    )
    two = pd.concat([gaps["feedback"].assign(days=2), gaps["feedback"]])
    assert "2 gaps (the longest 3 days from" in coverage.describe_coverage(
        strips, gaps={"feedback": two}
    )
    assert "no gap" in coverage.describe_coverage(strips, gaps={})
    nothing = coverage.plot_coverage({"feedback": calm(0)}, gaps={})
    assert not nothing.images
    assert "no table" in coverage.describe_coverage({"feedback": calm(0)}, gaps={})


def test_weeks_without_rows_and_beyond_a_table_differ_in_the_figure():
    # A week cut short is no measure of the others.
    cut = calm(3).assign(rows=[10, 100, 10], whole=[False, True, False])
    cells = coverage.plot_coverage({"a": cut}, gaps={}).images[0].get_array()
    assert cells.tolist() == [[0.1, 1, 0.1]]
    frames = {"a": calm(20), "b": calm(10).assign(rows=[50, 0, *[100] * 8])}
    cells = np.ma.filled(coverage.plot_coverage(frames, gaps={}).images[0].get_array(), np.nan)
    assert cells[1, :3].tolist() == [0.5, 0, 1]
    assert np.isnan(cells[1, 10:]).all() and (cells[0] == 1).all()


def test_tables_joined_keep_their_names():
    one = pd.DataFrame({"since": [1, 2]})
    both = coverage.joined({"orders": one, "visits": one.head(0), "spend": one.head(1)})
    assert both.to_dict("list") == {"table": ["orders", "orders", "spend"], "since": [1, 2, 1]}
    none = coverage.joined({"orders": one.head(0)})
    assert none.empty and list(none.columns) == ["table", "since"]


def test_jumps_are_written_in_the_units_of_their_measure():
    day = pd.Timestamp("2024-01-01")
    rows = [
        ("rows", day, day, 1200.0, 2400.0, 2.0, 9.0, 1.5, True),
        ("amount", day, day, 19.9, 1990.0, 100.0, 9.0, np.nan, False),
        ("missing phone", day, day, 0.051, 0.5, 0.449, 9.0, 0.1, False),
    ]
    table = jumps_module.readable(pd.DataFrame(rows, columns=list(jumps_module.COLUMNS)))
    assert table[["usual", "observed", "a year earlier"]].values.tolist()[0] == [
        "1,200 a week",
        "2,400 a week",
        "× 1.50",
    ]
    assert table.loc[1, ["usual", "observed"]].tolist() == ["19.90", "1,990.00"]
    assert pd.isna(table.loc[1, "a year earlier"])
    assert table.loc[2, ["usual", "observed", "a year earlier"]].tolist() == [
        "5.1%",
        "50.0%",
        "+10%",
    ]
