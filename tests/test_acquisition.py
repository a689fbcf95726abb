"""What a customer costs and when the margin has paid for it: by hand and translated literally."""

import datetime as dt

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from loyaltylab import acquisition
from loyaltylab.acquisition import UNKNOWN
from loyaltylab.numbers import Numbers

settings.register_profile("shared", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("shared")

UNTIL = dt.date(2024, 4, 30)
MONEY = "decimal(18, 4)"


def orders_of(rows):
    """(person, "YYYY-MM-DD", amount, margin or None, channel or None)"""
    names = ["person_id", "ordered_at", "amount", "margin", "channel"]
    frame = pd.DataFrame(rows, columns=names)
    frame["ordered_at"] = pd.to_datetime(frame["ordered_at"])
    frame["margin"] = frame["margin"].astype(float)
    frame["channel"] = frame["channel"].astype(object)
    types = ["string", "timestamp", "float64", "float64", "string"]
    table = ibis.memtable(frame, schema=dict(zip(names, types, strict=True)))
    margin = table["margin"].nullif(float("nan")).cast(MONEY)
    return table.mutate(amount=table["amount"].cast(MONEY), margin=margin)


def persons_of(**channels):
    rows = list(channels.items()) or [("nobody", None)]
    frame = pd.DataFrame(rows, columns=["person_id", "acquired_through"])
    return ibis.memtable(frame, schema={"person_id": "string", "acquired_through": "string"})


def spend_of(rows):
    frame = pd.DataFrame(rows, columns=["date", "channel", "amount"])
    frame["date"] = pd.to_datetime(frame["date"])
    types = {"date": "timestamp", "channel": "string", "amount": "float64"}
    table = ibis.memtable(frame, schema=types)
    return table.mutate(amount=table["amount"].cast(MONEY))


# Ann and Bo come in January through search, Cy in March through social, Di in March through none
# that costs, and nobody knows how Ed came in April.
ORDERS = orders_of(
    [
        ("ann", "2024-01-31", 50, 20, "web"),
        ("ann", "2024-02-29", 50, 10, "web"),
        ("ann", "2024-03-01", 50, 5, "web"),
        ("bo", "2024-01-15", 10, 2, "app"),
        ("bo", "2024-01-15", 10, 1, "app"),
        ("cy", "2024-03-10", 10, 4, "web"),
        ("di", "2024-03-31", 10, 4, "web"),
        ("ed", "2024-04-30", 10, 4, "web"),
    ]
)
PERSONS = persons_of(ann="search", bo=" Search ", cy="social", di="direct", ed=None)
SPEND = spend_of(
    [
        ("2024-01-01", "search", 30),
        ("2024-01-31", "Search", 10),
        ("2024-02-10", "search", 5),
        ("2024-03-31", "social", 12),
        ("2024-04-30", "search", 3),
        ("2024-05-01", "search", 1000),  # after the last day
    ]
)


def new_and_costs(orders=ORDERS, persons=PERSONS, spend=SPEND, until=UNTIL, **options):
    new = acquisition.newcomers(orders, persons, spend, until=until).cache()
    return new, acquisition.costs(new, spend, until=until, **options)


def test_costs_by_hand():
    _, cells = new_and_costs()
    found = cells.set_index(["channel", cells["cohort"].dt.month])
    assert len(cells) == 4 * 4 and cells["over"].all()
    assert found.loc[("search", 1), ["spend", "customers", "cac"]].tolist() == [40, 2, 20]
    # Money spent and nobody won: the cost of one is missing, not infinite.
    assert found.loc[("search", 2), ["spend", "customers"]].tolist() == [5, 0]
    assert found.loc[("search", 2), ["cac", "low", "high"]].isna().all()
    # Won without spend: nothing says the cost, which is not zero.
    assert found.loc[("direct", 3), ["spend", "customers"]].tolist() == [0, 1]
    assert np.isnan(found.loc[("direct", 3), "cac"])
    assert found.loc[(UNKNOWN, 4), "customers"] == 1
    assert cells["customers"].sum() == 5 and cells["spend"].sum() == 60
    told = acquisition.totals(cells)
    assert (told["cac"], told["unpaid"], told["unknown"]) == (12, 0.2, 0.2)
    assert (told["idle"], told["idle_months"]) == (8, 2)  # search in February and April
    channels = acquisition.by_channel(cells).set_index("channel")
    assert channels.loc["search", "cac"] == 24 and channels.loc["social", "cac"] == 12
    assert list(channels.index) == ["search", "social", "direct", UNKNOWN]


def test_a_month_that_is_not_over_is_marked_and_months_without_spend_are_not_there():
    _, cells = new_and_costs(until=dt.date(2024, 4, 29))
    assert not cells.loc[cells["cohort"].dt.month == 4, "over"].any()
    assert cells["customers"].sum() == 4  # Ed comes on the 30th
    _, later = new_and_costs(spend=spend_of([("2024-03-05", "social", 9)]))
    assert later["cohort"].dt.month.unique().tolist() == [3] and later["customers"].sum() == 2


def test_only_the_share_of_spend_that_won_the_analysed_is_compared_with_them():
    _, cells = new_and_costs(analysed=0.5)
    assert acquisition.totals(cells)["cac"] == 6
    frame = pd.DataFrame(
        [
            ("s", "1", "a", True),
            ("s", "2", "a", True),
            ("s", "3", "b", False),
            ("s", "4", "c", True),
        ],
        columns=["source", "record_id", "person_id", "analysed"],
    )
    orders = ibis.memtable(frame.iloc[[0, 0, 1, 2]][["source", "record_id"]])
    assert acquisition.analysed_share(orders, ibis.memtable(frame)) == 0.5  # c never ordered


def test_interval_is_that_of_garwood():
    """Garwood (1936), table: 2 events are compatible with means of 0.2422 to 7.2247."""
    table = acquisition.with_cost(pd.DataFrame({"spend": [100.0], "customers": [2]}))
    assert 100 / table["high"].item() == pytest.approx(0.2422, abs=5e-5)
    assert 100 / table["low"].item() == pytest.approx(7.2247, abs=5e-5)
    # The definition: at each end what was seen or more extreme has a chance of 2.5%.
    assert poisson.sf(1, 100 / table["high"].item()) == pytest.approx(0.025)
    assert poisson.cdf(2, 100 / table["low"].item()) == pytest.approx(0.025)


def test_the_first_order_tells_the_channel_where_records_do_not():
    rows = [("a", "2024-01-05", 1, 1, "Search"), ("a", "2024-02-05", 1, 1, "social")]
    orders = orders_of([*rows, ("b", "2024-01-06", 1, 1, None)])
    new, _ = new_and_costs(orders, persons_of(a="walked in"))
    told = new.to_pandas().set_index("person_id")
    assert told["channel"].to_dict() == {"a": "search", "b": UNKNOWN}
    assert told["cohort"].astype(str).tolist() == ["2024-01-01"] * 2
    # Where neither names a channel that is paid for, what the records say stands.
    new, _ = new_and_costs(ORDERS, persons_of(ann="walked in"))
    assert set(new.to_pandas()["channel"]) == {"walked in", UNKNOWN}


def test_findings_and_records_of_costs():
    _, cells = new_and_costs()
    words = acquisition.cac_finding(cells, currency="EUR")
    assert words.startswith("## A new customer costs 12.00 EUR\n")
    assert "**search costs 24.00** and **social 12.00**" in words
    assert "20.0% came through channels without spend; of 20.0% the channel is not known" in words
    assert "8.00 EUR were spent in months in which the channel won nobody" in words
    numbers = Numbers("03_retention", as_of=UNTIL)
    record = acquisition.record_cac(numbers, cells, currency="EUR")
    assert (record.value, record.n, record.unit) == (12, 5, "EUR")
    assert record.low < 12 < record.high
    # Nobody won at all: missing, and said.
    _, empty = new_and_costs(spend=spend_of([("2024-02-05", "social", 9)]))
    assert np.isnan(acquisition.totals(empty)["cac"])
    assert acquisition.cac_finding(empty, currency="EUR").startswith("## Nothing says")
    numbers = Numbers("03_retention", as_of=UNTIL)
    assert acquisition.record_cac(numbers, empty, currency="EUR").value is None
    _, none = new_and_costs(spend=SPEND.filter(SPEND["amount"] < 0))
    assert none.empty and acquisition.cac_finding(none, currency="EUR").startswith("## Nothing")
    for cells in (empty, none):
        assert "Lines without points" in acquisition.describe_cac(cells, currency="EUR")
        assert acquisition.plot_cac(cells, currency="EUR").texts


def test_gains_by_hand():
    new, _ = new_and_costs()
    cells = acquisition.gains(ORDERS, new, until=UNTIL, months=4, rate=0.4)
    found = cells.set_index(["channel", cells["cohort"].dt.month, "month"])
    # Ann: 20 on 31 January; 29 February is within one month of it, 1 March within two. Bo: 3.
    assert found.loc[("search", 1), "margin"].tolist()[:4] == [23, 33, 38, 38]
    assert found.loc[("search", 1, 1), "squares"] == 30**2 + 3**2
    # April is over: three months after January. The fourth is not, nor March's second.
    assert np.isnan(found.loc[("search", 1, 4), "margin"])
    assert found.loc[("social", 3), "margin"].notna().tolist() == [True, True, False, False, False]


def test_a_month_ends_the_day_before_the_same_day_of_the_next():
    days = ["2024-01-15", "2024-02-14", "2024-02-15"]
    orders = orders_of(
        [("bo", day, 1, margin, None) for day, margin in zip(days, (1, 10, 100), strict=True)]
    )
    new = acquisition.newcomers(orders, persons_of(), SPEND, until=UNTIL)
    cells = acquisition.gains(orders, new, until=UNTIL, months=2, rate=0.0)
    assert cells["margin"].tolist() == [1, 11, 111]


def test_an_order_without_margin_takes_the_rate():
    rows = [("ann", "2024-01-31", 50, None, None), ("ann", "2024-02-01", 100, 40, None)]
    orders = orders_of(rows)
    assert acquisition.margin_rate(orders) == {"rate": 0.4, "lacking": 0.5}
    new, costs = new_and_costs(orders)
    cells = acquisition.gains(orders, new, until=UNTIL, months=1, rate=0.4)
    assert cells["margin"].tolist() == [20, 60]
    # Without a rate nothing can be said of these customers.
    unknown = acquisition.margin_rate(orders_of(rows[:1]))
    assert np.isnan(unknown["rate"]) and unknown["lacking"] == 1
    cells = acquisition.gains(orders, new, until=UNTIL, months=1, rate=unknown["rate"])
    assert cells["margin"].isna().all()
    curve = acquisition.payback_curve(cells, costs)
    assert acquisition.payback_finding(curve, currency="EUR").startswith("## Nothing says when")
    assert acquisition.record_payback(Numbers("x", as_of=UNTIL), curve).value is None
    assert acquisition.plot_payback(curve, currency="EUR").texts


def literal_gains(rows, until, months):
    """Person by person, a calendar month at a time."""
    first = {}
    for person, day, *_ in rows:
        first[person] = min(day, first.get(person, day))
    found = {}
    for person, start in first.items():
        cohort = start.replace(day=1)
        for month in range(months + 1):
            end = pd.Timestamp(cohort) + pd.DateOffset(months=month + 1) - pd.Timedelta(days=1)
            last = start
            if month:
                # The day before the same day of the month, or that month's last where it has none.
                same = pd.Timestamp(start) + pd.DateOffset(months=month)
                gone = same.day < start.day
                last = (same if gone else same - pd.Timedelta(days=1)).date()
            gained = sum(m for p, day, _, m, _ in rows if p == person and day <= last)
            before = found.get((cohort, month), (0, 0.0, 0.0))
            seen = end.date() <= until
            found[cohort, month] = (
                before[0] + 1,
                before[1] + gained if seen else np.nan,
                before[2] + gained**2 if seen else np.nan,
            )
    return found


days = st.dates(dt.date(2023, 11, 28), UNTIL)
histories = st.lists(
    st.tuples(st.sampled_from("abcde"), days, st.just(1), st.integers(-3, 9), st.none()),
    min_size=1,
    max_size=25,
)


@given(histories)
@settings(max_examples=12)
def test_gains_equal_their_literal_translation(rows):
    orders = orders_of(rows)
    new = acquisition.newcomers(orders, persons_of(), SPEND, until=UNTIL)
    cells = acquisition.gains(orders, new, until=UNTIL, months=3, rate=0.0)
    expected = literal_gains(rows, UNTIL, 3)
    assert len(cells) == len(expected)
    for row in cells.to_dict("records"):
        values = [row["customers"], row["margin"], row["squares"]]
        np.testing.assert_allclose(values, expected[row["cohort"].date(), row["month"]])


def test_payback_curve_by_hand():
    new, costs = new_and_costs()
    cells = acquisition.gains(ORDERS, new, until=UNTIL, months=4, rate=0.4)
    curve = acquisition.payback_curve(cells, costs).set_index("month")
    # All cohorts on the first day: 35 of margin, 60 of spend, 5 customers. Then January and March.
    assert curve.loc[0, ["customers", "cohorts"]].tolist() == [5, 3]
    assert curve.loc[0, "margin"] == pytest.approx(7)
    # February won nobody: left out. April's search of 3 counts, as Ed came.
    assert curve.loc[0, "cac"] == pytest.approx((40 + 12 + 3) / 5)
    assert curve.loc[1, "customers"] == 4
    assert curve.loc[1, ["margin", "cac"]].tolist() == pytest.approx([(33 + 8) / 4, 52 / 4])
    assert curve.loc[3, ["margin", "cac"]].tolist() == [19, 20]
    assert 4 not in curve.index
    # The delta method by its definition, customer by customer.
    net = 7 - 11
    spread = 1.959964 * np.sqrt(sum((x - net) ** 2 for x in (20, 3, 4, 4, 4))) / 5
    assert curve.loc[0, ["low", "high"]].tolist() == pytest.approx([net - spread, net + spread])
    alone = acquisition.cohort_paybacks(cells, costs).set_index("cohort")
    assert alone.loc["2024-01-01", ["customers", "cac", "first", "margin", "observed"]].tolist() == [
        2, 20, 11.5, 19, 3,
    ]  # fmt: skip
    assert np.isnan(alone.loc["2024-01-01", "month"])
    assert alone.loc["2024-04-01", "month"] == 0  # 4 against 3


def curve_of(net, low, high):
    count = len(net)
    return pd.DataFrame(
        {"month": range(count), "customers": 10, "margin": np.add(net, 5), "cac": 5.0}
        | {"net": net, "low": low, "high": high}
    )


def test_payback_is_the_first_month_that_covers_the_cost():
    curve = curve_of([-2, -1, 0, 1], [-4, -3, -1, 0], [-1, 0, 1, 2])
    assert acquisition.payback(curve) == {"month": 2, "low": 1, "high": 3}
    record = acquisition.record_payback(Numbers("x", as_of=UNTIL), curve)
    assert (record.value, record.low, record.high, record.n) == (2, 1, 3, 10)
    words = acquisition.payback_finding(curve, currency="EUR")
    assert words.startswith("## New customers pay for themselves within 2 months\n")
    assert "5.00 EUR of margin, and cost 5.00" in words and "month 1 or month 3" in words
    at_once = acquisition.payback_finding(curve_of([1], [0], [2]), currency="EUR")
    assert at_once.startswith("## New customers pay for themselves with their first purchase\n")
    assert "Chance" not in at_once


def test_a_payback_not_reached_is_missing_and_said():
    curve = curve_of([-2, -1], [-4, -3], [-1, 1])
    found = acquisition.payback(curve)
    assert np.isnan(found["month"]) and found["low"] == 1 and np.isnan(found["high"])
    assert acquisition.record_payback(Numbers("x", as_of=UNTIL), curve).value is None
    words = acquisition.payback_finding(curve, currency="EUR")
    assert words.startswith("## New customers have not paid for themselves within 1 month\n")
    assert "brought 4.00 EUR of margin, and cost 5.00" in words
    # Reached, but not beyond doubt: no interval, and said.
    doubtful = curve_of([-2, 1], [-4, -1], [-1, 3])
    record = acquisition.record_payback(Numbers("x", as_of=UNTIL), doubtful)
    assert (record.value, record.low, record.high) == (1, None, None)
    assert "no month observed is beyond doubt" in acquisition.payback_finding(
        doubtful, currency="EUR"
    )


def test_intervals_cover():
    """2,000 worlds: 50 customers expected, gamma margins of mean 20, spend of 1,000: net is 0."""
    random, worlds = np.random.default_rng(5), 2000
    margins = [random.gamma(2, 10, random.poisson(50)) for _ in range(worlds)]
    # A world in the place of each month of age.
    cells = pd.DataFrame(
        {
            "channel": "a",
            "cohort": pd.Timestamp("2024-01-01"),
            "month": range(worlds),
            "customers": [len(x) for x in margins],
            "margin": [x.sum() for x in margins],
            "squares": [(x**2).sum() for x in margins],
        }
    )
    costs = cells.head(1)[["channel", "cohort"]].assign(over=True, spend=1000.0)
    curve = acquisition.payback_curve(cells, costs)
    assert len(curve) == worlds
    assert 0.93 <= ((curve["low"] <= 0) & (curve["high"] >= 0)).mean() <= 0.97
    n = random.poisson(50, worlds)
    table = acquisition.with_cost(pd.DataFrame({"spend": 1000.0, "customers": n}))
    # Exact intervals hold their level and more.
    assert 0.945 <= ((table["low"] <= 20) & (table["high"] >= 20)).mean() <= 0.98


def test_figures_show_what_their_words_say():
    new, costs = new_and_costs()
    cells = acquisition.gains(ORDERS, new, until=UNTIL, months=4, rate=0.4)
    curve = acquisition.payback_curve(cells, costs)
    margin, cost = acquisition.plot_payback(curve, currency="EUR").lines
    np.testing.assert_array_equal(margin.get_ydata(), curve["margin"])
    np.testing.assert_array_equal(cost.get_ydata(), curve["cac"])
    assert "7.00 against 11.00 in month 0" in acquisition.describe_payback(curve, currency="EUR")
    drawn = acquisition.plot_cac(costs, currency="EUR").lines[0].get_ydata()
    np.testing.assert_array_equal(drawn, [20, np.nan, np.nan, np.nan])
    words = acquisition.describe_cac(costs, currency="EUR")
    assert "search between 20.00 and 20.00; social between 12.00 and 12.00" in words
