"""Triangles, bands, cohorts side by side, and cohorts by traits."""

import datetime as dt
import math

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyaltylab import retention
from loyaltylab.purchases import purchase_days
from loyaltylab.timelines import first_orders, timelines
from loyaltylab.traits import traits
from tests.bought import base_of, histories, literal_purchases, purchases_of, triangle_of

settings.register_profile("shared", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("shared")

UNTIL = dt.date(2024, 5, 15)
SUMS = ["active", "purchases", "orders", "amount", "margin"]
UNITS = {"week": "W", "month": "M", "quarter": "Q"}


@given(histories, st.sampled_from(list(UNITS)))
@settings(max_examples=12)
def test_cells_add_up_to_the_purchases_of_periods_that_are_over(rows, period):
    unit = UNITS[period]
    cells = triangle_of(purchases_of(rows), period=period, until=UNTIL)
    bought = literal_purchases(rows)
    bought = bought[bought["day"] <= UNTIL]
    at = bought["day"].map(lambda day: pd.Period(day, unit))
    over = at.map(lambda p: p.end_time.date() <= UNTIL).astype(bool)
    for name, total in (
        ("purchases", over.sum()),
        ("orders", bought.loc[over, "orders"].sum()),
        ("amount", bought.loc[over, "amount"].sum()),
        ("margin", bought.loc[over, "margin"].sum()),
        ("so_far", bought.loc[~over, "person_id"].nunique()),
    ):
        assert cells[name].sum() == pytest.approx(total)
    # One period is cut short, the same for all cohorts, and no rate knows it.
    partial = cells[cells["so_far"].notna()]
    assert (
        partial[["active", "purchases", "amount", "margin", "share", "low"]].isna().all(axis=None)
    )
    assert partial["cohort"].nunique() == cells["cohort"].nunique()


@given(histories)
@settings(max_examples=10)
def test_triangles_of_a_split_add_up_to_the_whole(rows):
    bought = purchases_of(rows)
    split = bought.mutate(half=(bought["person_id"] < "d").ifelse("a", ibis.null("string")))
    parts = triangle_of(split, period="quarter", until=UNTIL, by="half")
    whole = triangle_of(bought, period="quarter", until=UNTIL)
    names = ["customers", *SUMS, "so_far"]
    summed = parts.groupby(["cohort", "age"])[names].sum().reset_index()
    np.testing.assert_allclose(summed[names], whole[names].fillna(0))
    assert set(parts["half"]) <= {"a", "unknown"}


@given(histories, st.sampled_from(["year", "quarter"]))
@settings(max_examples=15)
def test_quarters_from_months_are_those_counted_as_quarters(rows, cohort):
    bought = purchases_of(rows)
    bought = bought.mutate(half=(bought["person_id"] < "d").cast("string"))
    months = retention.flows(bought, period="month", until=UNTIL, by="half")
    quarters = retention.triangle(months, period="quarter", until=UNTIL)
    pd.testing.assert_frame_equal(quarters, triangle_of(bought, period="quarter", until=UNTIL))
    split = retention.triangle(months, period="quarter", until=UNTIL, by="half")
    literal = triangle_of(bought, period="quarter", until=UNTIL, by="half")
    pd.testing.assert_frame_equal(split, literal)
    pd.testing.assert_frame_equal(
        retention.base(months, period="quarter", until=UNTIL, cohort=cohort),
        base_of(bought, period="quarter", until=UNTIL, cohort=cohort),
    )


def test_flows_by_hand():
    rows = [("a", "2023-01-05", 4, 1), ("a", "2023-01-09", 5, None), ("a", "2023-12-01", 6, 2)]
    found = retention.flows(purchases_of(rows), period="month", until=UNTIL)
    assert found["at"].astype(str).tolist() == ["2023-01", "2023-01", "2023-12"]
    by = found.set_index(found["gap"].fillna(-1))
    assert by.loc[[-1, 0, 6], "amount"].tolist() == [4, 5, 6]  # eleven months are "6 or more"
    assert math.isnan(by.loc[0, "margin"]) and by.loc[6, "margin"] == 2


def test_weeks_are_no_parts_of_quarters():
    weeks = retention.flows(purchases_of([("a", "2024-01-05", 1, 1)]), period="week", until=UNTIL)
    with pytest.raises(ValueError, match="holds periods of W whole, got quarter"):
        retention.triangle(weeks, period="quarter", until=UNTIL)
    with pytest.raises(ValueError, match="holds periods of W whole, got year"):
        retention.base(weeks, period="week", until=UNTIL)


def test_margin_is_missing_only_where_none_is_known():
    rows = [("a", "2024-01-05", 10, None), ("a", "2024-02-05", 10, 3), ("b", "2024-02-06", 5, None)]
    cells = triangle_of(purchases_of(rows), period="month", until=dt.date(2024, 3, 31))
    assert np.array_equal(cells["margin"], [np.nan, 3, 0, np.nan, 0], equal_nan=True)


def test_a_day_with_an_order_of_unknown_margin_has_none():
    rows = [("a", "2024-01-05", 10, None), ("a", "2024-01-05", 10, 3), ("a", "2024-01-06", 10, 3)]
    found = purchases_of(rows).order_by("day").to_pandas()
    assert found["orders"].tolist() == [2, 1]
    assert pd.isna(found["margin"].iloc[0]) and found["margin"].iloc[1] == 3


def test_a_cohort_of_few_shows_nothing_but_how_many_they_are():
    rows = [("single", "2024-01-05", 10, 1), ("single", "2024-02-05", 10, 1)]
    rows += [(f"p{i}", f"2024-0{month}-09", 10, 1) for i in range(5) for month in (2, 3)]
    cells = triangle_of(purchases_of(rows), period="month", until=UNTIL)
    shown = retention.suppressed(cells, minimum=5)
    january = shown["cohort"] == pd.Timestamp("2024-01-01")
    assert cells.loc[january, "share"].tolist()[:2] == [1, 1]
    assert cells.loc[january, "low"].iloc[1] < 0.21  # Wilson, 1 of 1: 1 / (1 + 3.84)
    assert shown[january].drop(columns=["cohort", "age", "customers"]).isna().all(axis=None)
    pd.testing.assert_frame_equal(shown[~january], cells[~january])
    drawn = retention.plot_triangle(shown, period="month").collections[0].get_array()
    assert np.isnan(np.ma.filled(drawn, np.nan).reshape(2, -1)[0]).all()
    curves = [
        line for line in retention.plot_curves(shown, period="month").lines if len(line.get_xdata())
    ]
    assert len(curves) == 2  # of February, and of all
    nobody = retention.suppressed(cells, minimum=6)
    assert "no cohort is large enough" in retention.describe_triangle(nobody, period="month")
    assert "no cohort is large enough" in retention.describe_curves(nobody, period="month")


def test_nobody_by_the_last_day_is_a_table_without_rows():
    cells = triangle_of(purchases_of([("a", "2024-06-01", 1, 1)]), period="month", until=UNTIL)
    split = purchases_of([("a", "2024-06-01", 1, 1)]).mutate(of=ibis.literal("x"))
    assert triangle_of(split, period="month", until=UNTIL, by="of").empty
    assert cells.empty and retention.pooled(cells).empty and retention.generations(cells).empty


def test_the_hatched_cells_are_those_of_the_period_that_is_not_over():
    rows = [("a", "2024-01-05", 1, 1), ("b", "2024-02-05", 1, 1), ("a", "2024-05-02", 1, 1)]
    rows += [("c", "2023-12-01", 1, 1)]
    cells = triangle_of(purchases_of(rows), period="month", until=UNTIL)
    hatched = [
        p.get_xy() for p in retention.plot_triangle(cells, period="month").patches if p.get_hatch()
    ]
    # Ages 1 to 4 are drawn; May is age 5 of December (not drawn), 4 of January, 3 of February.
    assert hatched == [(3, 1), (2, 2)]


def test_the_band_holds_the_whole_curve_as_often_as_it_says():
    """Customers who differ, so that a cohort's ages go together; 12 ages of 400 customers."""
    random, worlds, held, single = np.random.default_rng(4), 250, 0, 0
    cohort = pd.Timestamp("2024-01-01")
    truth = 0.25 * np.exp(-np.arange(12) / 8) + 0.05
    for _ in range(worlds):
        own = random.beta(1, 1, 400)[:, None] * 2  # mean 1
        active = (random.random((400, 12)) < np.minimum(own * truth, 1)).sum(axis=0)
        cells = pd.DataFrame(
            {"cohort": cohort, "age": range(13), "customers": 400.0, "active": [400, *active]}
        )
        table = retention.pooled(cells.assign(share=cells["active"] / 400)).iloc[1:]
        held += ((table["band_low"] <= truth) & (truth <= table["band_high"])).all()
        single += ((table["low"] <= truth) & (truth <= table["high"])).all()
    assert 0.92 <= held / worlds <= 0.99
    assert single / worlds < 0.8  # which is what intervals of single ages are not for


def cells_of(sizes, active, days):
    start = pd.Timestamp("2020-01-01")
    cohorts = [start + pd.Timedelta(days=d) for d in days]
    cells = pd.DataFrame({"cohort": cohorts, "age": 1, "customers": sizes, "active": active})
    return cells.assign(share=cells["active"] / cells["customers"])


def test_trend_is_that_of_agresti():
    """Malformations by alcohol: Agresti (2002), Categorical Data Analysis: z² = 6.57, p = .01."""
    sizes = [17066 + 48, 14464 + 38, 788 + 5, 126 + 1, 37 + 1]
    cells = cells_of(sizes, [48, 38, 5, 1, 1], [0, 5, 15, 40, 70])
    found = retention.trends(cells, ages=[1]).iloc[0]
    assert found["p"] == pytest.approx(0.0104, abs=0.00005)
    assert found["customers"] == sum(sizes) and found["cohorts"] == 5


def test_trends_by_hand_with_holm():
    one = cells_of([100, 100], [30, 50], [0, 365])
    # The line through two cohorts: 20 points; its error that of a difference of shares.
    cells = pd.concat([one, one.assign(age=3, active=[30, 31]), one.assign(age=12, share=math.nan)])
    table = retention.trends(cells).set_index("age")
    half = 1.959964 * math.sqrt(0.3 * 0.7 / 100 + 0.5 * 0.5 / 100)
    found = table.loc[1, ["change", "low", "high"]].to_list()
    assert found == pytest.approx([0.2, 0.2 - half, 0.2 + half], rel=1e-6)
    assert table.loc[1, "p_holm"] == pytest.approx(2 * table.loc[1, "p"])
    assert table.loc[3, "p_holm"] == pytest.approx(table.loc[3, "p"])
    assert math.isnan(table.loc[12, "p"])
    words = retention.trend_finding(table.reset_index(), period="month")
    assert words.startswith("## Newer cohorts come back more often\n") and "+20.0 points" in words
    alone = retention.trends(one.iloc[:1])
    assert retention.trend_finding(alone, period="month").startswith("## Too early")


def test_generations_take_ages_that_all_cohorts_of_a_year_reached():
    rows = [("a", "2023-01-05", 1, 1), ("a", "2023-02-05", 1, 1), ("b", "2023-03-05", 1, 1)]
    rows += [("c", "2024-01-05", 1, 1), ("c", "2024-04-05", 1, 1)]
    cells = triangle_of(purchases_of(rows), period="quarter", until=dt.date(2024, 6, 30))
    table = retention.generations(cells).set_index(["year", "age"])
    assert table.loc[2023, "customers"].tolist() == [2] * 6
    assert table.loc[2024, "active"].tolist() == [1, 1]
    months = triangle_of(purchases_of(rows), period="month", until=dt.date(2024, 6, 30))
    assert retention.generations(months).groupby("year")["age"].max().to_dict() == {
        2023: 15,
        2024: 5,
    }
    lines = retention.plot_generations(table.reset_index(), period="quarter").lines
    assert [list(line.get_ydata()) for line in lines] == [[0, 0, 0, 0, 0], [1]]
    assert "2024 100.0% at age 1" in retention.describe_generations(
        table.reset_index(), period="quarter"
    )


ORDERS = ibis.memtable(
    pd.DataFrame(
        [
            ("ann", "shop", "2", "2023-11-15 10:00", "web"),
            ("ann", "shop", "1", "2023-11-15 10:00", "app"),
            ("ann", "shop", "0", "2024-01-01 10:00", "store"),
            ("bo", "shop", "3", "2023-12-25 09:00", "web"),
            ("bo", "shop", "4", "2023-12-25 08:00", None),
            ("cy", "shop", "5", "2023-12-24 23:59", "web"),
        ],
        columns=["person_id", "source", "order_id", "ordered_at", "channel"],
    ).astype({"ordered_at": "datetime64[us]"})
)
NUMBERED = ORDERS.mutate(person_index=ORDERS["person_id"].cases(("ann", 7), ("bo", 8), else_=9))
PEOPLE = NUMBERED.select("person_id", "person_index").distinct()
FIRSTS = first_orders(
    NUMBERED,
    timelines(purchase_days(ORDERS.mutate(amount=ibis.literal(1)))).join(PEOPLE, "person_id"),
)
LINES = ibis.memtable(
    pd.DataFrame(
        [
            ("1", "tea", 2.0, 3.0),
            ("1", "cups", 1.0, 6.0),
            ("1", None, 9.0, 9.0),
            ("2", "rugs", 1.0, 99.0),
            ("4", "rugs", 1.0, 5.0),
            ("4", "tea", 1.0, 3.0),
            ("4", "tea", 1.0, 3.0),
        ],
        columns=["order_id", "category", "quantity", "unit_price"],
    )
)
PERSONS = ibis.memtable(
    pd.DataFrame(
        {"person_id": ["ann", "cy"], "country": ["DE", "NO"], "acquired_through": ["ads", "mail"]}
    )
)


def test_traits_by_hand():
    table = traits(FIRSTS, lines=LINES, persons=PERSONS).order_by("person_id").to_pandas()
    assert table["person_id"].tolist() == ["ann", "bo", "cy"]
    # Ann's two orders of one moment: the first by number. Its tea and cups cost the same: by name.
    assert table["channel"].fillna("-").tolist() == ["app", "-", "web"]
    assert table["category"].fillna("-").tolist() == ["cups", "tea", "-"]
    assert table["country"].fillna("-").tolist() == ["DE", "-", "NO"]
    assert "category" not in traits(FIRSTS).columns


def test_seasons_by_hand():
    first, winter = FIRSTS["first"], ((12, 25), (1, 6))
    seasons = {"usual": retention.season(first), "winter": retention.season(first, holidays=winter)}
    named = FIRSTS.select("person_id", **seasons)
    table = named.order_by("person_id").to_pandas()
    assert table["usual"].tolist() == ["holiday", "other", "holiday"]
    assert table["winter"].tolist() == ["other", "holiday", "other"]


@given(histories, st.sampled_from([30, 180]))
@settings(max_examples=12)
def test_returned_by_equals_its_literal_translation(rows, days):
    bought = purchases_of(rows)
    bought = bought.mutate(season=retention.season(bought["first"]))
    table = retention.returned_by(bought, by="season", days=days, until=UNTIL)
    literal = {}
    for _, own in literal_purchases(rows).groupby("person_id"):
        dates = sorted(own["day"])
        if dates[0] + dt.timedelta(days=days) > UNTIL:
            continue
        first = dates[0]
        festive = dt.date(first.year, 11, 15) <= first <= dt.date(first.year, 12, 24)
        counts = literal.setdefault(("holiday" if festive else "other", first.year), [0, 0])
        counts[0] += 1
        counts[1] += len(dates) > 1 and (dates[1] - first).days <= days
    found = {(r.season, r.year): [r.customers, r.returned] for r in table.itertuples()}
    assert found == literal


def seasons(rows):
    return pd.DataFrame(rows, columns=["season", "year", "customers", "returned"])


def test_difference_is_that_of_newcombe():
    """Newcombe (1998), Statistics in Medicine 17, table II: 56/70 - 48/80, method 10: .0524 to .3339."""
    table = seasons([("holiday", 2023, 70, 56), ("other", 2023, 80, 48)])
    found = retention.against_others(table, "holiday")
    assert [found["low"], found["high"]] == pytest.approx([0.0524, 0.3339], abs=0.00005)
    assert found["adjusted"] == pytest.approx(found["difference"]) == pytest.approx(0.2)


def test_years_that_differ_are_compared_within_themselves():
    """In each year both return alike; most holiday customers are of the poor year."""
    table = seasons(
        [
            ("holiday", 2022, 100, 50),
            ("other", 2022, 900, 450),
            ("holiday", 2023, 900, 90),
            ("other", 2023, 100, 10),
        ]
    )
    found = retention.against_others(table, "holiday")
    assert found["difference"] == pytest.approx(0.14 - 0.46)
    assert found["adjusted"] == pytest.approx(0, abs=1e-12)
    assert found["p"] == pytest.approx(1)
    assert "about as often" in retention.holiday_finding({90: table})
    worse = table.assign(returned=[20, 450, 20, 10])
    words = retention.holiday_finding({90: worse, 180: table})
    assert words.startswith("## Customers won before the holidays return less often\n")
    assert "Within 90 days 4.0% of them came back, and 46.0% of the others" in words
    nobody = table[table["season"] == "other"]
    assert retention.holiday_finding({90: nobody}).startswith("## Too early")
