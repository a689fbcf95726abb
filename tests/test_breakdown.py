"""Scores by group and period, their errors, and trends: against formulas, and by hand."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from loyaltylab import intervals, satisfaction
from loyaltylab.numbers import Numbers
from loyaltylab.satisfaction import breakdown, trends

Z = norm.ppf(0.975)
JAN = pd.Period("2024-01", "M").ordinal


def rows(score, instrument="nps", person=None, **columns):
    n = len(score)
    person = np.arange(n) if person is None else person
    table = pd.DataFrame({"person": person, "score": np.asarray(score, float), "month": JAN})
    return table.assign(instrument=instrument, **columns)


def test_nps_error_is_the_formula_where_each_answers_once_and_what_resampling_says():
    score = np.array([10] * 52 + [7] * 20 + [3] * 28)
    p, d, n = 0.52, 0.28, 100
    formula = 100 * np.sqrt((p + d - (p - d) ** 2) / n)
    row = satisfaction.overall(rows(score)).iloc[0]
    assert row["error"] == pytest.approx(formula, rel=1e-12)
    assert row["high"] - row["score"] == pytest.approx(Z * formula)
    drawn = np.random.default_rng(1).choice(score, (20_000, n))
    again = 100 * ((drawn >= 9).mean(1) - (drawn <= 6).mean(1))
    assert row["error"] == pytest.approx(again.std(), rel=0.02)


def test_answers_of_one_customer_are_one_draw_as_resampling_customers_says():
    rng = np.random.default_rng(2)
    person = np.repeat(np.arange(150), rng.integers(1, 5, 150))
    score = np.clip(np.round(7 + 3 * rng.standard_normal(150)[person]), 0, 10)
    row = satisfaction.overall(rows(score, person=person)).iloc[0]
    value = pd.Series(100.0 * (score >= 9) - 100.0 * (score <= 6)).groupby(person)
    sums, counts = value.sum().to_numpy(), value.count().to_numpy()
    drawn = rng.integers(0, 150, (20_000, 150))
    again = sums[drawn].sum(1) / counts[drawn].sum(1)
    assert row["error"] == pytest.approx(again.std(), rel=0.04)
    doubled = satisfaction.overall(rows(np.tile(score, 2), person=np.tile(person, 2))).iloc[0]
    assert doubled["error"] == pytest.approx(row["error"])
    assert doubled[["low", "high"]].tolist() == pytest.approx(row[["low", "high"]].tolist())
    assert doubled["customers"] == row["customers"] == 150


def test_all_who_were_asked_are_a_finite_population():
    score = [10] * 40 + [2] * 10 + [np.nan] * 50
    row = satisfaction.overall(rows(score)).iloc[0]
    half, narrow = row["high"] - row["score"], row["asked_high"] - row["score"]
    assert narrow == pytest.approx(half * np.sqrt((100 - 50) / (100 - 1)))
    everybody = satisfaction.overall(rows([10] * 40 + [2] * 10)).iloc[0]
    assert everybody["asked_low"] == everybody["asked_high"] == everybody["score"] == 60
    share = satisfaction.overall(rows([5] * 40 + [2] * 10 + [np.nan] * 50, "csat")).iloc[0]
    worth = 50 * 99 / 50
    assert share[["asked_low", "asked_high"]].tolist() == pytest.approx(
        proportion_confint(0.8 * worth, worth, method="wilson")
    )
    everybody = satisfaction.overall(rows([5] * 40 + [2] * 10, "csat")).iloc[0]
    assert everybody["asked_low"] == everybody["asked_high"] == 0.8


def test_good_answers_have_wilsons_interval_and_means_their_own():
    score = [5] * 6 + [4] * 10 + [2] * 14
    row = satisfaction.overall(rows(score, "csat")).iloc[0]
    assert [row["low"], row["high"]] == pytest.approx(proportion_confint(16, 30, method="wilson"))
    assert row["mean"] == pytest.approx(np.mean(score))
    half = Z * np.std(score) / np.sqrt(30)
    assert [row["mean_low"], row["mean_high"]] == pytest.approx(
        [np.mean(score) - half, np.mean(score) + half]
    )


def test_answers_all_alike_are_not_certain():
    row = satisfaction.overall(rows([10] * 30)).iloc[0]
    other = 1 - proportion_confint(30, 30, method="wilson")[0]
    assert row["score"] == row["high"] == 100
    assert row["low"] == pytest.approx(100 - 200 * other)
    row = satisfaction.overall(rows([7] * 30)).iloc[0]
    assert [row["low"], row["high"]] == pytest.approx([-100 * other, 100 * other])


def test_without_answers_a_score_is_missing_and_an_instrument_not_asked_is_not_there():
    table = satisfaction.overall(rows([np.nan] * 3))
    assert table["instrument"].tolist() == ["nps"]
    assert table.loc[0, "answers"] == 0
    assert table[["score", "low", "high", "asked_low", "mean"]].isna().all(axis=None)
    assert satisfaction.overall(rows([])).empty


def grouped():
    sizes = {"web": 50, "shop": 40, "app": 20, "fax": 15, "post": 4}
    channel = np.repeat(list(sizes), list(sizes.values()))
    score = np.where(np.arange(len(channel)) % 4, 9, 3)
    return rows(score, channel=channel)


def test_small_groups_are_shown_together():
    table = satisfaction.by_group(grouped(), "channel")
    assert table["group"].tolist() == ["web", "shop", breakdown.OTHERS]
    assert table["answers"].tolist() == [50, 40, 39]
    assert table["answers"].sum() == len(grouped())


def test_what_is_small_even_together_is_not_shown():
    table = satisfaction.by_group(grouped(), "channel", minimum=40)
    assert table["group"].tolist() == ["web", "shop"]
    assert satisfaction.by_group(grouped(), "channel", minimum=500).empty
    words = satisfaction.group_finding(table.head(0), what="channels")
    assert words == "Too few answers to tell channels apart."


def test_a_group_counts_as_if_the_others_were_not_there():
    table = satisfaction.by_group(grouped(), "channel").set_index("group")
    alone = satisfaction.overall(grouped().query("channel == 'shop'")).iloc[0]
    assert table.loc["shop", alone.index].tolist() == alone.tolist()


def test_groups_are_told_apart_where_they_differ_alone():
    score = [10] * 80 + [2] * 20 + [10] * 20 + [2] * 80
    apart = satisfaction.by_group(rows(score, channel=["a"] * 100 + ["b*"] * 100), "channel")
    words = satisfaction.group_finding(apart, what="channels")
    assert words.startswith("NPS is highest for a (+60, ")
    assert "lowest for b\\* (-60, " in words and "is more than chance brings (p < 0.001)" in words
    mixed = satisfaction.by_group(rows(score, channel=["a", "b"] * 100), "channel")
    assert "no more than chance brings (p = 1)" in satisfaction.group_finding(
        mixed, what="channels"
    )
    error = 100 * np.sqrt((1 - 0.36) / 100)
    near = apart.assign(score=[10.0, -10.0])
    expected = 2 * norm.sf(20 / (error * np.sqrt(2)))
    assert breakdown.heterogeneity(near) == pytest.approx(expected)


def test_periods_with_few_answers_are_gaps():
    months = np.repeat([JAN, JAN + 1, JAN + 3, JAN + 4], [40, 10, 30, 5])
    table = rows(np.where(np.arange(85) % 3, 10, 2)).assign(month=months)
    by_month = satisfaction.by_period(table, "month")
    assert by_month["group"].dt.strftime("%Y-%m").tolist() == ["2024-01", "2024-04"]
    by_quarter = satisfaction.by_period(table, "quarter")
    assert by_quarter["answers"].tolist() == [50, 35]
    axes = satisfaction.plot_periods(by_quarter, "nps")
    assert axes.lines[0].get_ydata().tolist() == by_quarter["score"].tolist()
    words = satisfaction.describe_periods(by_quarter, "nps")
    assert "over 2 periods" in words and "from Jan 2024" in words
    assert satisfaction.describe_periods(by_quarter, "ces").startswith("No line of CES yet")
    axes = satisfaction.plot_groups(satisfaction.by_group(grouped(), "channel"), "nps")
    assert [text.get_text() for text in axes.get_yticklabels()] == ["web", "shop", "all others"]
    words = satisfaction.describe_groups(satisfaction.by_group(grouped(), "channel"), "nps")
    assert words.count(";") == 2 and "web +" in words


def trending():
    rng = np.random.default_rng(3)
    person = rng.integers(0, 300, 900)
    month = JAN + rng.integers(0, 24, 900)
    felt = 7.5 + 0.1 * (month - JAN) + rng.standard_normal(300)[person] + rng.standard_normal(900)
    score = np.clip(np.round(felt), 0, 10)
    nps = rows(score, person=person).assign(month=month)
    csat = rows(rng.integers(1, 6, 400), "csat").assign(month=JAN + rng.integers(0, 24, 400))
    return pd.concat([nps, csat], ignore_index=True)


def test_the_slope_and_its_error_are_those_of_statsmodels():
    table = satisfaction.trend(trending()).set_index("instrument")
    ps = []
    for name, part in trending().groupby("instrument"):
        value = breakdown.points(str(name), part["score"])
        design = np.column_stack([np.ones(len(part)), part["month"] / 12])
        groups = {"groups": part["person"].to_numpy(), "use_correction": False}
        fitted = OLS(value, design).fit(cov_type="cluster", cov_kwds=groups)
        row = table.loc[name]
        assert row["slope"] == pytest.approx(fitted.params[1])
        assert [row["low"], row["high"]] == pytest.approx(fitted.conf_int()[1].tolist())
        ps.append((name, fitted.pvalues[1]))
    adjusted = multipletests([p for _, p in ps], method="holm")[1]
    for (name, _), p in zip(ps, adjusted, strict=True):
        assert table.loc[name, "p_holm"] == pytest.approx(p)


def test_what_rose_is_said_and_recorded():
    table = satisfaction.trend(trending())
    words = satisfaction.trend_finding(table)
    assert words.startswith("## NPS rose\n\nNPS changed by +")
    assert "percentage points a year" in words
    numbers = Numbers("05_satisfaction", as_of=dt.date(2026, 1, 1))
    satisfaction.record_trend(numbers, table)
    assert list(numbers.records) == ["satisfaction.nps_trend", "satisfaction.csat_trend"]
    assert numbers.records["satisfaction.nps_trend"].unit == "points a year"


@pytest.mark.parametrize(
    "table",
    [
        rows([]),
        rows([10, 2] * 6),  # twelve answers in all
        rows([10, 2] * 60).assign(month=JAN + np.arange(120) % 2),  # of two months
        rows([10] * 120).assign(month=JAN + np.arange(120) % 12),  # all alike
    ],
)
def test_too_little_for_a_trend(table):
    found = satisfaction.trend(table)
    assert found["p_holm"].isna().all()
    assert satisfaction.trend_finding(found).startswith("## Nothing can be said of a trend yet")


def test_many_tests_at_once_are_held_to_as_statsmodels_does():
    chances = [0.04, 0.001, 0.04, 0.9, 0.02]
    expected = multipletests(chances, method="holm")[1].tolist()
    found = intervals.holm([*chances[:2], np.nan, *chances[2:]])
    assert found.tolist() == pytest.approx([*expected[:2], np.nan, *expected[2:]], nan_ok=True)


def test_false_alarms_of_the_trend_are_as_many_as_it_says():
    rng = np.random.default_rng(9)
    alarms = 0
    for _ in range(400):
        person = np.repeat(np.arange(150), 3)
        level = rng.standard_normal(150)[person]
        score = np.where(level + rng.standard_normal(450) > 0, 5, 2)
        table = rows(score, "csat", person=person).assign(month=JAN + rng.integers(0, 24, 450))
        alarms += trends.trend(table)["p"].lt(0.05).sum()
    assert 0.03 <= alarms / 400 <= 0.07
