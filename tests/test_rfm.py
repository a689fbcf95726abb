"""RFM segments, migration and groups: by hand, and against slow literal translations."""

import datetime as dt
import itertools
import warnings

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from loyaltylab import retention, segments
from loyaltylab.errors import UnanswerableError
from loyaltylab.numbers import Numbers
from loyaltylab.purchases import purchase_days
from loyaltylab.retention.change import ABSENT
from loyaltylab.segments.groups import UNKNOWN
from loyaltylab.segments.migration import NEWCOMERS

settings.register_profile("shared", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("shared")

UNTIL = dt.date(2024, 6, 30)
CUTS = {"recency": [10, 20, 30, 40], "frequency": [1, 2, 3, 4], "monetary": [10, 20, 30, 40]}


def bought_of(rows):
    """Purchases of (person, "YYYY-MM-DD", amount) orders."""
    frame = pd.DataFrame(rows, columns=["person_id", "ordered_at", "amount"])
    frame["ordered_at"] = pd.to_datetime(frame["ordered_at"])
    table = ibis.memtable(frame)
    return purchase_days(table.mutate(amount=table["amount"].cast("decimal(18, 4)")))


# Ann buys twice on 1 June, and on 21 June; Bo once, in January; Cy on three days of May.
BY_HAND = bought_of(
    [
        ("ann", "2024-06-01", 10),
        ("ann", "2024-06-01", 5),
        ("ann", "2024-06-21", 30),
        ("bo", "2024-01-31", 7),
        ("cy", "2024-05-01", 1),
        ("cy", "2024-05-02", 2),
        ("cy", "2024-05-31", 3),
    ]
)

people = st.sampled_from("abcdefgh")
days = st.dates(dt.date(2023, 9, 1), UNTIL)
histories = st.lists(st.tuples(people, days, st.integers(-5, 99)), min_size=1, max_size=40)


def rows_of(table):
    return table.to_pandas().set_index("person_id").sort_index()


def test_customers_by_hand():
    found = rows_of(segments.customers(BY_HAND, until=UNTIL))
    assert found["purchases"].tolist() == [2, 1, 3]
    assert found["spend"].astype(float).tolist() == [45, 7, 6]
    assert found["first_spend"].astype(float).tolist() == [15, 7, 1]
    assert found["recency"].tolist() == [9, 151, 30]
    assert found["days_since_first"].tolist() == [29, 151, 60]
    assert found["average_basket"].tolist() == [22.5, 7, 2]
    np.testing.assert_equal(found["mean_gap_days"].to_numpy(float), [20, np.nan, 15])
    assert found["frequency"].tolist() == [2, 1, 3]


def test_a_window_counts_its_days_alone_and_what_comes_after_the_last_day_is_not_seen():
    found = rows_of(segments.customers(BY_HAND, until=dt.date(2024, 6, 1), days=31))
    # The window is 2 May to 1 June; Ann's later purchase has not happened.
    assert found["frequency"].tolist() == [1, 0, 2]
    assert found["monetary"].astype(float).tolist() == [15, 0, 5]
    assert found["purchases"].tolist() == [1, 1, 3]
    assert found["recency"].tolist() == [0, 122, 1]


def test_every_pair_of_classes_belongs_to_one_segment():
    for r, f in itertools.product(range(1, 6), repeat=2):
        holders = [name for name, (rs, fs) in segments.SEGMENTS.items() if r in rs and f in fs]
        assert len(holders) == 1, (r, f, holders)
    # The corners, as the grid is read everywhere.
    corners = {(5, 5): "champions", (5, 1): "new", (1, 5): "cannot lose", (1, 1): "hibernating"}
    for (r, f), name in corners.items():
        assert r in segments.SEGMENTS[name][0] and f in segments.SEGMENTS[name][1]


def test_a_value_at_a_cut_belongs_below_it():
    rows = [("a", 10, 1, 10), ("b", 11, 2, 11), ("c", 40, 5, 41), ("d", 41, 4, 0)]
    frame = pd.DataFrame(rows, columns=["person_id", "recency", "frequency", "monetary"])
    found = rows_of(segments.scored(ibis.memtable(frame), CUTS))
    assert found["r"].tolist() == [5, 4, 2, 1]
    assert found["f"].tolist() == [1, 2, 5, 4]
    assert found["m"].tolist() == [1, 2, 5, 1]
    assert found["segment"].tolist() == ["new", "potential loyalists", "cannot lose", "at risk"]


@pytest.mark.parametrize("cuts", [[1, 2, 3], [4, 3, 2, 1], []])
def test_cuts_that_make_no_five_classes_are_refused(cuts):
    with pytest.raises(ValueError, match="recency: expected 4 cuts that do not fall, found"):
        segments.scored(segments.customers(BY_HAND, until=UNTIL), CUTS | {"recency": cuts})


def test_cuts_by_hand():
    """Ten values 1 to 10: fifths end at 2, 4, 6 and 8. With a tie, nobody is parted from it."""
    ten = ibis.memtable(pd.DataFrame({"value": [*range(1, 11)]}))
    assert segments.cut_points(ten, ten["value"], classes=5) == [2, 4, 6, 8]
    tied = ibis.memtable(pd.DataFrame({"value": [1, 1, 1, 1, 1, 1, 2, 3, 4, 5]}))
    assert segments.cut_points(tied, tied["value"], classes=5) == [1, 1, 1, 3]
    nobody = ten.filter(ten["value"] > 10)
    with pytest.raises(UnanswerableError, match="nobody to put into segments"):
        segments.cut_points(nobody, nobody["value"], classes=5)


def literal_rfm(rows, until):
    """Person by person; a cut is looked for among the sorted values, one step at a time."""
    lived = {}
    for person, day, amount in rows:
        lived.setdefault(person, {}).setdefault(day, 0)
        lived[person][day] += amount
    values = {p: ((until - max(d)).days, len(d), float(sum(d.values()))) for p, d in lived.items()}
    scores = {p: [] for p in values}
    for measure in range(3):
        ordered = sorted(v[measure] for v in values.values())
        cuts = []
        for k in range(1, 5):
            cut = next(v for v in ordered if sum(o <= v for o in ordered) * 5 >= k * len(ordered))
            cuts.append(cut)
        for p, v in values.items():
            over = sum(v[measure] > cut for cut in cuts)
            scores[p].append(5 - over if measure == 0 else 1 + over)
    return scores


@given(histories)
@settings(max_examples=8)
def test_scores_equal_their_literal_translation_and_segments_add_up(rows):
    whole = segments.customers(bought_of(rows), until=UNTIL).cache()
    scored = segments.scored(whole, segments.quantile_cuts(whole)).cache()
    found = rows_of(scored)
    assert found[["r", "f", "m"]].T.to_dict("list") == literal_rfm(rows, UNTIL)
    table = segments.segment_table(scored)
    assert table["segment"].tolist() == list(segments.SEGMENTS)
    assert table["customers"].sum() == len(found)
    assert table["revenue"].sum() == sum(amount for _, _, amount in rows)
    assert segments.grid(scored)["customers"].sum() == len(found)
    assert len(segments.grid(scored)) == 25


@given(histories, st.randoms())
@settings(max_examples=4)
def test_order_of_rows_and_currency_change_no_segment(rows, random):
    shuffled = [(person, day, 100 * amount) for person, day, amount in rows]
    random.shuffle(shuffled)

    def found(given):
        whole = segments.customers(bought_of(given), until=UNTIL).cache()
        scored = segments.scored(whole, segments.quantile_cuts(whole))
        return rows_of(scored)[["r", "f", "m", "segment"]]

    pd.testing.assert_frame_equal(found(rows), found(shuffled))


def test_segments_are_judged_by_what_came_after():
    cutoff = dt.date(2024, 5, 31)
    scored = segments.scored(segments.customers(BY_HAND, until=cutoff), CUTS)
    # By 31 May: Cy bought that day, on three days; Bo four months ago, once. Ann comes later.
    table = segments.judged(
        scored,
        BY_HAND.union(bought_of([("bo", "2024-06-02", 9), ("bo", "2024-07-01", 9)])),
        cutoff=cutoff,
        until=UNTIL,
    ).set_index("segment")
    assert table.loc["potential loyalists", ["customers", "returned"]].tolist() == [1, 0]
    assert table.loc["hibernating", ["customers", "returned", "share"]].tolist() == [1, 1, 1]
    assert table.loc["hibernating", "revenue"] == 9  # neither July's nor Ann's
    assert table["customers"].sum() == 2
    assert table.loc["champions", ["share", "low"]].isna().all()


def test_finding_and_record_tell_the_best_and_the_worst():
    table = pd.DataFrame(
        {
            "segment": ["champions", "at risk"],
            "customers": [1, 3],
            "revenue": [60.0, 40.0],
            "of_customers": [0.25, 0.75],
            "of_revenue": [0.6, 0.4],
        }
    )
    after = pd.DataFrame(
        {
            "segment": ["champions", "at risk", "new"],
            "customers": [10, 20, 0],
            "share": [0.9, 0.1, np.nan],
            "low": [0.6, 0.03, np.nan],
            "high": [0.98, 0.3, np.nan],
        }
    )
    words = segments.segment_finding(table, after, weeks=26)
    head = "## The segment champions, 25% of the customers, brought 60% of the revenue\n"
    assert words.startswith(head)
    assert "**90% of the segment champions**" in words and "**10% of the segment at risk**" in words
    alone = segments.segment_finding(table, after.head(1), weeks=26)
    assert alone.endswith("No earlier day tells yet whether segments foresee.")
    numbers = Numbers("03b_segments", as_of=UNTIL)
    segments.record_segments(numbers, table, after, weeks=26)
    assert numbers.records["segments.at_risk.customers"].value == 3
    assert numbers.records["segments.new.returned"].value is None


def test_moves_by_hand():
    rows = [("a", "new"), ("b", "new"), ("c", "champions")]
    before = ibis.memtable(pd.DataFrame(rows, columns=["person_id", "segment"]))
    rows = [("a", "at risk"), ("b", "new"), ("c", "champions"), ("d", "new")]
    now = ibis.memtable(pd.DataFrame(rows, columns=["person_id", "segment"]))
    table = segments.moves(before, now)
    assert table["customers"].sum() == 4
    cells = table.set_index(["before", "now"])
    assert cells.loc[("new", "at risk"), ["customers", "share"]].tolist() == [1, 0.5]
    assert cells.loc[(NEWCOMERS, "new"), ["customers", "share"]].tolist() == [1, 1]
    assert np.isnan(cells.loc[("hibernating", "new"), "share"])
    assert len(table) == 11 * 10
    words = segments.migration_finding(table, weeks=26)
    assert words.startswith("## 67% are in the segment that they were in 26 weeks before\n")
    assert "Of the 3 customers of that day, 1 left" in words and "and 0 came back" in words
    assert "champions mostly champions (100%)" in segments.describe_migration(table)
    none = segments.moves(before.filter(before["person_id"] == "z"), now)
    assert segments.migration_finding(none, weeks=26).startswith("## Too early")


def test_nothing_is_told_of_fewer_than_may_be_shown():
    """Six champions, five new, two at risk: these, and the next smallest, or the total would tell."""
    counts = {"champions": 6, "new": 5, "at risk": 2}
    rows = [
        {"person_id": f"{name}{i}", "segment": name, "spend": 1.0, "recency": 1, "r": 5, "f": r}
        for r, (name, count) in enumerate(counts.items(), start=1)
        for i in range(count)
    ]
    people = ibis.memtable(pd.DataFrame(rows))
    table = segments.segment_table(people)
    shown = segments.shown_segments(table, minimum=5).set_index("segment")
    assert shown.loc["champions", "customers"] == 6
    assert (
        shown.loc[["new", "at risk"], ["customers", "of_customers", "revenue"]]
        .isna()
        .all(axis=None)
    )
    assert shown.loc["loyal", "customers"] == 0
    shares = segments.grid(people, minimum=5).set_index("f").loc[[1, 2, 3]]
    assert shares.loc[shares["customers"].isin([2, 5]), "share"].isna().all()
    assert segments.grid(people)["share"].sum() == pytest.approx(1)
    nobody = segments.grid(people, minimum=99)
    assert "too few customers" in segments.describe_grid(nobody)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # of a colour scale of nothing
        segments.plot_grid(nobody)
        deciles = [*map(str, range(1, 11)), ABSENT]
        retention.plot_migration(pd.DataFrame(1, index=deciles, columns=deciles), minimum=50)
    numbers = Numbers("03b_segments", as_of=UNTIL)
    bought = bought_of([("champions0", "2024-06-01", 1)])
    cutoff = UNTIL - dt.timedelta(days=9)
    after = segments.judged(people, bought, cutoff=cutoff, until=UNTIL, minimum=5)
    segments.record_segments(numbers, table, after, weeks=1, minimum=5)
    assert numbers.records["segments.at_risk.customers"].value is None
    assert numbers.records["segments.at_risk.returned"].n is None
    assert numbers.records["segments.champions.customers"].value == 6
    words = segments.segment_finding(segments.shown_segments(table, minimum=5), after, weeks=1)
    assert words.startswith("## The segment champions")
    assert "some" in segments.describe_segments(segments.shown_segments(table, minimum=5))
    none = segments.shown_segments(
        table.assign(customers=table["customers"].clip(upper=1)), minimum=5
    )
    assert "Too few customers" in segments.segment_finding(none.dropna(), after, weeks=1)
    now = people.select("person_id", segment=ibis.literal("loyal"))
    moved = segments.moves(people, now, minimum=5).set_index(["before", "now"])["share"]
    assert moved["champions", "loyal"] == 1 and np.isnan(moved["at risk", "loyal"])
    back = people.filter(people["segment"] != "champions").select(
        "person_id", segment=ibis.literal("new")
    )
    words = segments.migration_finding(segments.moves(back, people), weeks=1, minimum=5)
    assert "Of the 7 customers of that day, some left" in words and "and 0 came back" in words


COUNTRIES = {"a": "DE", "b": "DE", "c": "NO", "d": None, "e": "NO"}


def placed(rows):
    bought = bought_of(rows)
    frame = pd.DataFrame(COUNTRIES.items(), columns=["person_id", "country"])
    known = ibis.memtable(frame, schema={"person_id": "string", "country": "string"})
    people = segments.customers(bought, until=UNTIL).left_join(known, "person_id")
    return people.drop("person_id_right"), bought


def test_groups_by_hand():
    people, bought = placed(
        [
            ("a", "2024-01-01", 10),
            ("a", "2024-01-31", 10),  # after 30 days: in time
            ("b", "2024-01-01", 5),
            ("b", "2024-02-01", 5),  # after 31: too late
            ("c", "2024-05-31", 1),  # observed for 30 days
            ("d", "2024-06-01", 1),  # for 29
            ("d", "2024-06-02", 1),
        ]
    )
    table = segments.by_group(people, bought, people["country"], until=UNTIL, within=30)
    found = table.set_index("group")
    assert found["customers"].to_dict() == {"DE": 2, "NO": 1, UNKNOWN: 1}
    assert found["revenue"].to_dict() == {"DE": 30, "NO": 1, UNKNOWN: 2}
    assert found["observed"].to_dict() == {"DE": 2, "NO": 1, UNKNOWN: 0}
    assert found["returned"].to_dict() == {"DE": 1, "NO": 0, UNKNOWN: 0}
    assert found.loc["DE", "difference"] == 0.5
    assert np.isnan(found.loc[UNKNOWN, ["share", "p"]].to_numpy(float)).all()


def test_differences_are_tested_against_all_others_and_corrected():
    """Holm by hand: sorted p times 3, 2, 1, never falling."""
    counts = {"x": (90, 100), "y": (50, 100), "z": (48, 100)}
    rows = []
    for group, (back, whole) in counts.items():
        for number in range(whole):
            rows.append((f"{group}{number}", "2024-01-01", 1))
            rows += [(f"{group}{number}", "2024-01-02", 1)] * (number < back)
    bought = bought_of(rows)
    people = segments.customers(bought, until=UNTIL)
    group = people["person_id"].substr(0, 1)
    table = segments.by_group(people, bought, group, until=UNTIL, within=30).set_index("group")
    raw = {}
    for name, (back, whole) in counts.items():
        others = sum(b for b, _ in counts.values()) - back
        cells = [[back, whole - back], [others, 200 - others]]
        raw[name] = chi2_contingency(cells, correction=False).pvalue
    ordered = sorted(raw, key=raw.get)
    least = 0.0
    for times, name in zip((3, 2, 1), ordered, strict=True):
        least = max(least, min(1, times * raw[name]))
        assert table.loc[name, "p"] == pytest.approx(least)
    assert table.loc["x", "difference"] == pytest.approx(0.9 - 0.49)
    words = segments.group_finding(table.reset_index(), what="letters", within=30)
    assert words.startswith("## Letters differ in who comes back\n")
    assert "that of x: +41.0 points" in words
    alike = table.reset_index().assign(p=0.5)
    assert "hardly differ" in segments.group_finding(alike, what="letters", within=30)
    one = table.reset_index().head(1)
    assert "no two letters" in segments.group_finding(one, what="letters", within=30)


def test_groups_of_fewer_than_may_be_shown_have_no_share():
    rows = [(f"{g}{n}", "2024-01-01", 1) for g, count in (("x", 6), ("y", 4)) for n in range(count)]
    bought = bought_of(rows)
    people = segments.customers(bought, until=UNTIL)
    group = people["person_id"].substr(0, 1)
    table = segments.by_group(people, bought, group, until=UNTIL, within=30, minimum=5)
    assert table.set_index("group").loc["x", "share"] == 0
    assert table.set_index("group").loc["y", ["observed", "returned", "share", "p"]].isna().all()


def test_price_bands_go_by_the_first_purchase():
    rows = [("a", "2024-01-01", 10), ("a", "2024-02-01", 1000), ("b", "2024-01-01", 20)]
    rows += [("c", "2024-01-01", 30), ("d", "2024-01-01", 40), ("e", "2024-01-01", 40)]
    people = segments.customers(bought_of(rows), until=UNTIL)
    cuts = segments.price_cuts(people)
    assert cuts == [20, 30, 40]
    bands = people.select("person_id", band=segments.price_band(people, cuts)).to_pandas()
    assert bands.set_index("person_id")["band"].to_dict() == {
        "a": "1: up to 20.00",
        "b": "1: up to 20.00",
        "c": "2: up to 30.00",
        "d": "3: up to 40.00",
        "e": "3: up to 40.00",
    }


def test_one_customer_and_one_day_give_tables_and_words():
    for rows in ([("a", "2024-06-30", 5)], [("a", "2024-06-30", 5), ("b", "2024-06-30", 5)]):
        bought = bought_of(rows)
        people = segments.customers(bought, until=UNTIL)
        scored = segments.scored(people, segments.quantile_cuts(people))
        table = segments.segment_table(scored)
        # Without anything to part them by, all have bought as recently and as rarely as any.
        assert table.set_index("segment").loc["new", "customers"] == len(rows)
        band = segments.price_band(people, segments.price_cuts(people))
        groups = segments.by_group(people, bought, band, until=UNTIL, within=30)
        assert groups["observed"].tolist() == [0] and groups["share"].isna().all()
        assert "no two bands" in segments.group_finding(groups, what="bands", within=30)
        assert "none was observed" in segments.describe_shares(groups, what="shares")
        assert segments.plot_shares(groups, what="shares").texts[0].get_text()


def test_figures_show_what_their_words_say():
    people = segments.customers(BY_HAND, until=UNTIL)
    scored = segments.scored(people, CUTS)
    table = segments.segment_table(scored)
    bars = segments.plot_segments(table).patches
    assert [bar.get_width() for bar in bars[:10]] == table["of_customers"].tolist()
    assert [bar.get_width() for bar in bars[10:]] == table["of_revenue"].tolist()
    cells = segments.grid(scored)
    drawn = segments.plot_grid(cells).collections[0].get_array()
    assert drawn.shape == (5, 5) and drawn.sum() == pytest.approx(1)
    # Ann is the only one with recency 5, Bo and Cy have 1 and 3: the top row is recency 5.
    assert np.flatnonzero(drawn[0]).tolist() == [1]
    assert "33% in recency 5 and frequency 2" in segments.describe_grid(cells)
