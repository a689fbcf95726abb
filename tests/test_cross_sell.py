"""Categories that go together, and dearer products: by hand, by invariance, against what is planted."""

import datetime as dt
import itertools
import math
import random
import warnings

import ibis
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from loyaltylab.growth import (
    cross_sell,
    cross_sell_findings,
    offer_figures,
    price_band_findings,
    price_bands,
)
from loyaltylab.growth.cross_sell import NEXT, SAME
from loyaltylab.numbers import Numbers
from tests import study_offers

DAY = dt.date(2024, 1, 1)


@pytest.fixture
def con():
    return ibis.duckdb.connect()


def sold(orders):
    """`bought`, of (person, day, categories)."""
    return ibis.memtable(
        pd.DataFrame(
            [
                {
                    "person_id": person,
                    "order_id": f"{person}-{day}",
                    "day": DAY + dt.timedelta(days=day),
                    "category": category,
                }
                for person, day, categories in orders
                for category in categories
            ]
        )
    )


def drawn(seed, persons=400, together=0.0, after=0.0):
    """Orders of one to three of six categories: of persons with a favourite, and not all as often. Of
    each order with "a", a share `together` has "b" as well; of those after one with "c", `after` "d"."""
    random_ = random.Random(seed)
    names, weights = "abcdef", [4, 3, 3, 2, 2, 1]
    orders = []
    for person in range(persons):
        favourite, was = random_.choices(names, weights)[0], ""
        for nth in range(random_.randrange(2, 8)):
            has = {
                favourite if random_.random() < 0.3 else random_.choices(names, weights)[0]
                for _ in range(random_.randrange(1, 4))
            }
            has |= {"b"} if "a" in has and random_.random() < together else set()
            has |= {"d"} if "c" in was and random_.random() < after else set()
            was = "".join(sorted(has))
            orders.append((f"p{person}", 10 * nth, was))
    return orders


def counted(con, orders, kind):
    return cross_sell.rules(cross_sell.count_pairs(con, sold(orders), kind), minimum=1)


def pair(table, first, second):
    (row,) = table[(table["first"] == first) & (table["second"] == second)].itertuples()
    return row


@pytest.mark.parametrize("kind", [SAME, NEXT])
def test_pairs_of_few_whose_error_has_no_bounds_do_not_warn(con, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        counted(con, drawn(1, persons=30), kind)


def test_lift_is_that_of_the_counts(con):
    orders = drawn(1)
    row = pair(counted(con, orders, SAME), "a", "b")
    both, a, b = (sum(set(s) <= set(has) for _, _, has in orders) for s in ("ab", "a", "b"))
    assert row.seen == both and row.lift == pytest.approx(both * len(orders) / (a * b))
    assert row.low < row.lift < row.high

    row = pair(counted(con, orders, NEXT), "a", "b")
    following = [
        (has, then)
        for (person, _, has), (other, _, then) in itertools.pairwise(orders)
        if person == other
    ]
    both = sum("a" in has and "b" in then for has, then in following)
    a, b = sum("a" in has for has, _ in following), sum("b" in then for _, then in following)
    assert row.seen == both and row.lift == pytest.approx(both * len(following) / (a * b))


def test_pairs_of_parts_times_parts_are_as_expected():
    """A table made by quasi-independence is fitted by itself, whatever is on its diagonal."""
    row, column = np.array([1.0, 2, 3, 5]), np.array([2.0, 1, 4, 3])
    table = np.outer(row, column) * (1 - np.eye(4))
    fitted = cross_sell._quasi_independent(table[None])[0]
    assert fitted == pytest.approx(table, rel=1e-6)


def test_what_comes_as_often_before_as_after_is_as_expected():
    """A symmetric table times a row's part over a column's: quasi-symmetry fits it exactly."""
    random_ = np.random.default_rng(1)
    symmetric = random_.uniform(10, 90, (5, 5))
    symmetric = symmetric + symmetric.T
    part = np.array([1.0, 2, 0.5, 1.5, 3])
    table = (symmetric * part[:, None] / part[None, :])[None]
    every = np.ones((5, 5), bool)
    assert cross_sell._one_way(table, every)[0] == pytest.approx(np.zeros((5, 5)), abs=1e-9)
    table[0, 1, 3] *= 2
    rest = every.copy()
    rest[1, 3] = rest[3, 1] = False
    assert cross_sell._one_way(table, rest)[0, 1, 3] == pytest.approx(math.log(2))


def test_nothing_is_found_where_nothing_is(con):
    """Favourites, full orders and common categories are no rules; of 20 worlds with 15 and 30 pairs."""
    found = 0
    for seed in range(20):
        rules = cross_sell.cross_rules(con, sold(drawn(seed)), minimum=1)
        found += sum(int(table["found"].sum()) for table in rules.values())
    assert found <= 1


@pytest.fixture(scope="module")
def planted():
    """Rules together, of a world where "b" goes with "a", and next, of one where "d" follows "c"."""
    con = ibis.duckdb.connect()
    same, following = (
        cross_sell.cross_rules(con, sold(drawn(2, 1200, **world)), minimum=1)
        for world in ({"together": 0.4}, {"after": 0.4})
    )
    return {SAME: same[SAME], NEXT: following[NEXT]}


def test_what_is_planted_is_found_with_its_direction(planted):
    same, following = (
        planted[kind][planted[kind]["found"]].nsmallest(1, "p").iloc[0] for kind in (SAME, NEXT)
    )
    assert (same["first"], same["second"]) == ("a", "b") and same["times_low"] > 1
    assert (following["first"], following["second"]) == ("c", "d") and following["times_low"] > 1


def test_turning_time_turns_the_rule(con):
    orders = drawn(3, 800, after=0.4)
    back = [(person, 100 - day, has) for person, day, has in orders]
    forward, turned = counted(con, orders, NEXT), counted(con, back, NEXT)
    one, other = pair(forward, "c", "d"), pair(turned, "d", "c")
    for name in ("seen", "lift", "times", "p", "found"):
        assert getattr(one, name) == pytest.approx(getattr(other, name))
    # A direction and the other one are two sides of the same.
    across = pair(forward, "d", "c")
    assert one.times * across.times == pytest.approx(1) and one.p + across.p == pytest.approx(1)


def test_a_rule_that_a_stronger_one_explains_is_left_out():
    def table(rows):
        columns = ["first", "second", "p", "found"]
        return pd.DataFrame([(*row, True) for row in rows], columns=columns)

    same = table([("b", "x", 0.001)])
    following = table([("a", "b", 1e-9), ("a", "x", 1e-4), ("c", "x", 1e-5), ("c", "b", 1e-3)])
    assert cross_sell._direct(following, same) == [True, False, True, False]


def test_intervals_of_what_was_found_among_many_are_wider_and_no_others():
    """By hand: one of ten found, so at 1 − .05 / 10, by Student's t of 31 groups."""
    rules = pd.DataFrame(
        {"found": [True] + 9 * [False], "lift": 1.5, "low": 1.2, "high": 1.5**2 / 1.2}
        | {"times": 2.0, "times_low": 1.0, "times_high": 4.0}
    )
    told = cross_sell.widened(rules)
    more = stats.t.isf(0.0025, 31) / stats.t.isf(0.025, 31)
    assert told["times_high"].tolist() == pytest.approx([2 * 2**more, *9 * [4.0]])
    assert told["low"].tolist() == pytest.approx([1.5 * (1.2 / 1.5) ** more, *9 * [1.2]])
    assert told["lift"].equals(rules["lift"])
    none = rules.assign(found=False)
    assert cross_sell.widened(none).equals(none)


def test_small_groups_and_few_categories_say_nothing(con):
    assert counted(con, [("p", 0, "ab"), ("q", 0, "b")], SAME).empty
    few = cross_sell.rules(cross_sell.count_pairs(con, sold(drawn(1)), SAME), minimum=401)
    assert few.empty
    bare = sold(drawn(1)).mutate(category=ibis.null("string"))
    rules = cross_sell.cross_rules(con, bare, minimum=1)
    assert all(table.empty for table in rules.values())
    assert "Nothing says what goes with what" in cross_sell_findings.rule_finding(rules)
    assert "no pair" in offer_figures.describe_rules(rules)
    offer_figures.plot_rules(rules)


def test_rules_are_told_and_recorded(planted):
    rules = {kind: table.nsmallest(2, "p") for kind, table in planted.items()}
    rules = {kind: t.assign(found=[True, False]) for kind, t in rules.items()}
    said = cross_sell_findings.rule_finding(rules)
    assert said.startswith("## A and b are bought together") and "**1 of 2 pairs" in said
    alone = {SAME: rules[SAME].assign(found=False), NEXT: rules[NEXT]}
    assert "## D comes" in cross_sell_findings.rule_finding(alone)
    none = {kind: table.assign(found=False) for kind, table in rules.items()}
    assert "## No categories go together" in cross_sell_findings.rule_finding(none)
    numbers = Numbers("07_growth", as_of=DAY)
    cross_sell_findings.record_rules(numbers, rules)
    assert numbers.records["growth.cross_sell.together"].value == 1
    assert numbers.records["growth.cross_sell.next"].n == 2
    assert list(cross_sell_findings.rule_table(rules[SAME])["first"]) == ["a"]
    alt = offer_figures.describe_rules(rules)
    assert "a and b" in alt and "c, then d" in alt
    offer_figures.plot_rules(rules)


def test_the_planted_affinities_of_a_simulated_company_are_found(con):
    """One world; tests/studies/cross_sell.csv has more."""
    same, following = study_offers.of_world(con, 1)
    assert (same["planted"], same["recall"], same["false"]) == (4, 1, 0)
    assert (following["planted"], following["recall"], following["false"]) == (3, 1, 0)
    assert "4 were found" in cross_sell_findings.truth_finding(same, SAME)


# ---- Dearer products.


def priced(rows):
    """`bought`, of (person, day, product, price)."""
    return ibis.memtable(
        pd.DataFrame(
            [(p, DAY + dt.timedelta(days=d), "c", x, float(price)) for p, d, x, price in rows],
            columns=["person_id", "day", "category", "product_id", "price"],
        )
    )


def test_bands_are_thirds_by_price_and_ties_stay_together():
    prices = ibis.memtable(pd.DataFrame({"price": [1.0, 2, 3, 4], "n": [1, 1, 3, 1]}))
    told = price_bands.banded(prices, 3).to_pandas().sort_values("price")
    # The middle of those with each price is at 1, 3, 7 and 11 twelfths.
    assert told["band"].tolist() == [0, 0, 1, 2]


def test_moves_by_hand(con):
    rows = [("a", 0, "low", 1), ("a", 5, "mid", 2), ("a", 9, "top", 3), ("b", 0, "top", 3)]
    rows += [("b", 4, "low", 1), ("b", 4, "mid", 2), ("c", 1, "low", 1), ("c", 2, "top", 3)]
    told = price_bands.band_moves(con, priced([*rows, ("c", 2, "mid", 2)]))
    found = told.to_pandas().sort_values(["person_id", "times"])
    columns = ["person_id", "band", "next_band", "times"]
    # b's second day counts with the dearest, mid.
    assert found[columns].to_numpy().tolist() == [
        ["a", 0, 1, 1],
        ["a", 1, 2, 2],
        ["b", 2, 1, 1],
        ["c", 0, 2, 1],
    ]


def walk(seed, sticky, persons=400):
    """Persons who buy five times; with a chance of `sticky` at the price of the last time."""
    random_, rows = random.Random(seed), []
    for person in range(persons):
        price = random_.randrange(9)
        for nth in range(5):
            price = price if random_.random() < sticky else random_.randrange(9)
            rows.append((f"p{person}", nth, f"x{price}", price))
    return rows


def test_chance_is_what_happens_where_the_last_price_does_not_matter(con):
    (row,) = price_bands.climbs(
        price_bands.band_moves(con, priced(walk(1, 0.0))), minimum=1
    ).itertuples()
    assert row.low < row.chance < row.high
    (kept,) = price_bands.climbs(
        price_bands.band_moves(con, priced(walk(2, 0.6))), minimum=1
    ).itertuples()
    assert kept.high < kept.chance
    # By chance half of the low band and a third of all move from the low or the middle band.
    assert row.chance == pytest.approx(0.5, abs=0.05)


def test_the_interval_holds_the_share_that_is_true(con):
    """Of 40 worlds of 100 persons each, whose moves go together, at .95: 34 or more in 99.9 %."""
    held = 0
    for seed in range(40):
        moves = price_bands.band_moves(con, priced(walk(seed, 0.5, persons=100)))
        (row,) = price_bands.climbs(moves, minimum=1).itertuples()
        # Half stay; the others are drawn: from low to two bands of three, from middle to one.
        held += row.low <= 0.25 <= row.high
    assert held >= 34


def test_shares_of_a_band_add_up_and_small_ones_are_left_out(con):
    moves = price_bands.band_moves(con, priced(walk(3, 0.3)))
    table = price_bands.transitions(moves, minimum=1)
    assert table.groupby("band")["share"].sum().tolist() == pytest.approx([1, 1, 1])
    assert price_bands.transitions(moves, minimum=401).empty
    assert price_bands.climbs(moves, "category", minimum=401).empty
    assert len(price_band_findings.transition_table(table)) == 3


def test_findings_of_dearer_products(con):
    moves = price_bands.band_moves(con, priced(walk(2, 0.6)))
    every, times = (price_bands.climbs(moves, by, minimum=1) for by in (None, "times"))
    said = price_band_findings.climb_finding(every, times)
    assert "keep to their band" in said and "after later ones" in said
    numbers = Numbers("07_growth", as_of=DAY)
    price_band_findings.record_climbs(numbers, every)
    assert numbers.records["growth.up_sell.share"].n == every["moves"].iloc[0]
    by_category = price_bands.climbs(moves, "category", minimum=1)
    assert "by chance" in offer_figures.describe_climbs(by_category)
    offer_figures.plot_climbs(by_category)
    nothing = every.head(0)
    assert "Nothing says who" in price_band_findings.climb_finding(nothing, nothing)
    price_band_findings.record_climbs(numbers, nothing)


def test_a_category_of_one_price_has_no_bands(con):
    same = priced([("a", 0, "x", 1), ("a", 1, "y", 1)])
    assert con.execute(price_bands.band_moves(con, same).count()) == 0
