"""Customers at risk: by hand, by numerical integration, and against slow literal translations."""

import datetime as dt
from importlib.resources import files

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, gamma

from loyaltylab import retention
from loyaltylab.intervals import share_with_interval
from loyaltylab.numbers import Numbers
from loyaltylab.retention import risk_evidence
from loyaltylab.retention.risk import Rates
from loyaltylab.timelines import timelines
from tests.test_survival import histories, purchases_of

UNTIL = dt.date(2024, 6, 30)
RATES = Rates(shape=0.7, scale=40.0)


def silences_of(rows, until=UNTIL, rates=RATES):
    return retention.silences(retention.histories(purchases_of(rows), until=until), rates)


WEEKLY = [("ann", dt.date(2024, 1, 1) + dt.timedelta(weeks=week)) for week in range(20)]
ROWS = [
    *WEEKLY,  # to 13 May: 48 days of silence after gaps of 7
    ("bo", "2024-03-01"), ("bo", "2024-05-13"),  # the same silence after a gap of 73
    ("cy", "2024-05-13"),  # bought once
    ("di", "2022-01-01"), ("di", "2023-06-30"),  # silent for a year
    ("eve", "2024-05-13"), ("eve", "2024-07-01"),  # not observed yet
]  # fmt: skip


def test_silences_by_hand():
    found = silences_of(ROWS).to_pandas().set_index("person_id")
    assert sorted(found.index) == ["ann", "bo"]
    assert found["silence"].tolist() == [48, 48]
    assert found.loc["ann", ["purchases", "usual_gap", "span"]].tolist() == [20, 7, 133]
    assert found.loc["bo", "usual_gap"] == 73
    # ((40 + 133) / (40 + 133 + 48)) ** (.7 + 19), and ((40 + 73) / (40 + 73 + 48)) ** (.7 + 1).
    assert found.loc["ann", "probability"] == pytest.approx((173 / 221) ** 19.7)
    assert found.loc["bo", "probability"] == pytest.approx((113 / 161) ** 1.7)


@given(
    st.integers(1, 30),
    st.integers(1, 700),
    st.integers(0, 300),
    st.floats(0.2, 5),
    st.floats(5, 99),
)
@settings(max_examples=15)
def test_probability_of_a_silence_is_that_of_no_purchase_at_a_rate_that_is_not_known(
    gaps, span, silence, shape, scale
):
    """The mean of exp(−rate · silence) over the rates that a history leaves possible."""
    span = max(span, gaps)
    last = UNTIL - dt.timedelta(days=silence)
    days = {last - dt.timedelta(days=span), last}
    days |= {last - dt.timedelta(days=i) for i in range(1, gaps)}
    found = silences_of([("a", day) for day in days], rates=Rates(shape, scale)).to_pandas()
    posterior = gamma(shape + gaps, scale=1 / (scale + span))
    rates = posterior.ppf((np.arange(20_000) + 0.5) / 20_000)
    expected = np.exp(-rates * silence).mean()
    assert found["probability"].item() == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_rates_are_those_of_the_published_model():
    """BG/NBD on the CDNOW sample, to 30 September 1997: r .2426, α 4.4137 weeks (Fader, Hardie &
    Lee 2005, table 2). Counted by whole weeks here, which moves them by less than one in a hundred."""
    rows = pd.read_csv(
        files("lifetimes") / "datasets" / "CDNOW_sample.txt", sep=r"\s+", header=None
    )
    table = pd.DataFrame({"person_id": rows[1], "day": pd.to_datetime(rows[2].astype(str))})
    table = ibis.memtable(table.drop_duplicates().assign(amount=1.0))
    purchases = timelines(table.mutate(day=table["day"].date()))
    rates = retention.buying_rates(retention.histories(purchases, until=dt.date(1997, 9, 30)))
    assert rates.shape == pytest.approx(0.2426, rel=0.01)
    assert rates.scale == pytest.approx(7 * 4.4137, rel=0.01)


@given(histories)
@settings(max_examples=25)
def test_histories_equal_their_literal_translation(rows):
    found = retention.histories(purchases_of(rows), until=UNTIL).to_pyarrow().to_pylist()
    literal = []
    for person in {p for p, day in rows if day <= UNTIL}:
        days = sorted(day for p, day in rows if p == person and day <= UNTIL)
        value = sum((UNTIL - day).days < 365 for day in days)
        literal.append(
            {
                "person_id": person,
                "purchases": len(days),
                "last_day": days[-1],
                "span": (days[-1] - days[0]).days,
                "silence": (UNTIL - days[-1]).days,
                "value": value or None,
            }
        )
    key = lambda row: row["person_id"]  # noqa: E731
    assert sorted(found, key=key) == sorted(literal, key=key)


events = st.lists(
    st.tuples(st.sampled_from("abc"), st.dates(dt.date(2024, 5, 1), dt.date(2024, 7, 3))),
    max_size=40,
)


@given(events, st.sampled_from([0.1, 0.3, 0.5]))
@settings(max_examples=30)
def test_falls_equal_their_literal_translation(rows, alarm):
    table = purchases_of(rows) if rows else purchases_of([("a", "2030-01-01")])
    found = retention.falls(table, until=UNTIL, alarm=alarm, days=20).to_pandas()
    ages = [(person, (UNTIL - day).days) for person, day in rows]
    recent = {p: sum(q == p and 0 <= age < 20 for q, age in ages) for p, _ in ages}
    before = {p: sum(q == p and 20 <= age < 40 for q, age in ages) for p, _ in ages}
    total = sum(recent.values()) + sum(before.values())
    share = sum(recent.values()) / total if total else 0
    literal = {
        (p, before[p], recent[p])
        for p in recent
        if before[p] + recent[p] and binom.cdf(recent[p], before[p] + recent[p], share) <= alarm
    }
    assert set(found.itertuples(index=False, name=None)) == literal


def test_a_fall_of_everybody_is_nobodys():
    spring, summer = dt.date(2024, 3, 1), dt.date(2024, 6, 1)
    rows = [(p, spring + dt.timedelta(days=i)) for p in "abcd" for i in range(20)]
    rows += [(p, summer + dt.timedelta(days=i)) for p in "abc" for i in range(6)]
    found = retention.falls(purchases_of(rows), until=UNTIL).to_pandas()
    assert found.values.tolist() == [["d", 20, 0]]


def test_the_list_is_ranked_by_value_and_says_why():
    people = silences_of(ROWS)
    fallen = ibis.memtable({"person_id": ["bo", "zoe"], "before": [9, 9], "recent": [0, 0]})
    assert retention.at_risk(people, alarm=0.05).to_pandas()["person_id"].tolist() == ["ann"]
    both = retention.at_risk(people, alarm=0.05, fallen=fallen).to_pandas()
    assert both[["person_id", "value", "unusual_silence", "uses_less"]].values.tolist() == [
        ["ann", 20, True, False],
        ["bo", 2, False, True],
    ]
    assert "fallen_id" not in both.columns


def test_the_download_holds_the_most_valuable_and_no_more(tmp_path):
    listed = retention.at_risk(silences_of(ROWS), alarm=1)
    path = tmp_path / "downloads" / "at_risk.csv"
    assert retention.write_at_risk(listed, path, top=1) == 1
    lines = path.read_text().splitlines()
    assert lines == [
        "person_id,last_day,silence,usual_gap,probability,purchases,value,unusual_silence,uses_less",
        "ann,2024-05-13,48,7.0,0.008,20,20.0,True,False",
    ]
    assert retention.write_at_risk(listed, path, top=9) == 2


def test_bands_hold_everybody_and_all_value():
    people = silences_of(ROWS)
    listed = retention.at_risk(people, alarm=0.05)
    bands = retention.risk_bands(people, listed)
    assert bands["purchases"].tolist() == ["2", "3", "4 to 5", "6 to 10", "more than 10"]
    assert bands["customers"].tolist() == [1, 0, 0, 0, 1]
    assert bands["flagged"].tolist() == [0, 0, 0, 0, 1]
    assert bands["value"].tolist() == [0, 0, 0, 0, 20]
    assert bands["share"].fillna(-1).tolist() == [0, -1, -1, -1, 1]


def test_bands_are_shown_without_few():
    counts = {"customers": [90, 40, 20, 3, 0], "flagged": [30, 20, 2, 1, 0]}
    bands = pd.DataFrame({"purchases": list("abcde"), "share": 0.5, "value": 9.0} | counts)
    shown = retention.shown_bands(bands, minimum=5)
    # Of 153 in all the 3 would be what is left: the next smallest band goes with them.
    assert shown["customers"].isna().tolist() == [False, False, True, True, False]
    assert shown["flagged"].isna().tolist() == shown["value"].isna().tolist()
    assert shown["flagged"].isna()[[2, 3]].all() and shown["flagged"][4] == 0
    few = bands.assign(flagged=[3, 0, 0, 0, 0])
    words = retention.risk_finding(few, pd.DataFrame(), currency="EUR", minimum=5)
    assert words.startswith("## Hardly anybody's silence is unusual") and "fewer than 5" in words
    numbers = Numbers("03_retention", as_of=UNTIL)
    assert [n.value for n in retention.record_risk(numbers, few, currency="EUR", minimum=5)] == [
        None, None
    ]  # fmt: skip


@given(histories, st.sampled_from([0.2, 0.5]))
@settings(max_examples=8)
def test_holdout_equals_its_literal_translation(rows, alarm):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(risk_evidence, "buying_rates", lambda _: RATES)
        table = retention.risk_holdout(purchases_of(rows), until=UNTIL, alarm=alarm, days=90)
    cutoff = UNTIL - dt.timedelta(days=90)
    flagged, others, everybody = [], [], []
    for person in {p for p, _ in rows}:
        days = sorted(day for p, day in rows if p == person and day <= cutoff)
        if len(days) < 2 or (cutoff - days[-1]).days >= 365:
            continue
        lost = not any(p == person and cutoff < day <= UNTIL for p, day in rows)
        span, silence = (days[-1] - days[0]).days, (cutoff - days[-1]).days
        chance = ((40 + span) / (40 + span + silence)) ** (len(days) - 1 + 0.7)
        (flagged if chance <= alarm else others).append(lost)
        everybody.append((silence, lost))
    found = table.set_index("group")[["customers", "lost"]].to_dict("index")
    assert found["flagged"] == {"customers": len(flagged), "lost": sum(flagged)}
    assert found["not flagged"] == {"customers": len(others), "lost": sum(others)}
    wanted, lost = len(flagged), 0.0
    for silence in sorted({silence for silence, _ in everybody}, reverse=True):
        same = [lost for days, lost in everybody if days == silence]
        taken = min(wanted, len(same))
        lost, wanted = lost + sum(same) * taken / len(same), wanted - taken
    longest = found["as many with the longest silence"]
    assert longest == pytest.approx({"customers": len(flagged), "lost": lost})
    for row in table.itertuples():
        expected = [float(value) for value in share_with_interval(row.lost, row.customers)]
        assert (row.share, row.low, row.high) == pytest.approx(expected, nan_ok=True)


def test_holdout_with_use_has_a_group_of_those_who_use_less(monkeypatch):
    monkeypatch.setattr(risk_evidence, "buying_rates", lambda _: RATES)
    rows = [("a", "2024-01-05"), ("a", "2024-02-05"), ("b", "2024-01-05"), ("b", "2024-02-05"),
            ("b", "2024-06-01")]  # fmt: skip
    used = [("a", f"2023-12-{day:02}") for day in range(1, 29)]
    used += [("b", f"2024-03-{day:02}") for day in range(1, 29)]
    table = retention.risk_holdout(
        purchases_of(rows), until=UNTIL, alarm=0.01, days=91, events=purchases_of(used)
    )
    found = table.set_index("group")
    assert found.loc["uses less", ["customers", "lost", "value"]].tolist() == [1, 1, 2]
    assert found.loc["not flagged", ["customers", "lost", "value"]].tolist() == [2, 1, 2]


def test_one_time_buyers_alone_give_sentences_not_errors():
    people = silences_of([("a", "2024-06-01"), ("b", "2024-06-01")])
    listed = retention.at_risk(people)
    bands = retention.risk_bands(people, listed)
    assert bands["customers"].sum() == 0 and bands["share"].isna().all()
    empty = pd.DataFrame({"group": ["flagged"], "customers": 0, "share": np.nan})
    words = retention.risk_finding(bands, empty, currency="EUR")
    assert words.startswith("## Nobody's silence is unusual")
    assert "nobody" in retention.describe_holdout(empty)
    axes = retention.plot_holdout(empty)
    assert [text.get_text() for text in axes.texts] == ["nothing to show yet"]


def test_the_finding_says_what_the_tables_hold():
    people = silences_of(ROWS)
    bands = retention.risk_bands(people, retention.at_risk(people, alarm=0.05))
    holdout = pd.DataFrame(
        {
            "group": ["flagged", "as many with the longest silence", "not flagged"],
            "customers": [10, 10, 100],
            "lost": [9, 8, 50],
            "value": [700.0, 300.0, 900.0],
        }
    )
    holdout["share"], holdout["low"], holdout["high"] = share_with_interval(
        holdout["lost"], holdout["customers"]
    )
    words = retention.risk_finding(bands, holdout, currency="EUR")
    assert words.startswith("## 1 customer who spent 20 EUR in the last year may be leaving")
    assert "They are 50% of those" in words and "**90.0%** bought nothing since" in words
    assert (
        "of those not flagged 50.0%" in words
        and "longest silence, whatever their rhythm, 80.0%" in words
    )
    assert "300 EUR in the year before, the flagged ones who were lost 700" in words
    numbers = Numbers("03_retention", as_of=UNTIL)
    customers, value = retention.record_risk(numbers, bands, currency="EUR")
    assert (customers.value, customers.n, value.value, value.unit) == (1, 2, 20, "EUR")
    assert retention.record_holdout(numbers, holdout).value == 0.9
    axes = retention.plot_holdout(holdout)
    np.testing.assert_allclose(axes.lines[0].get_xdata().astype(float), holdout["share"])
    assert "not flagged 50.0% (40.4% to 59.6%)" in retention.describe_holdout(holdout)
