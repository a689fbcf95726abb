"""Offers: by hand, against literal versions, on worlds whose habits are known, on real baskets."""

import csv
import datetime as dt
import itertools
import math
import random
from types import SimpleNamespace

import ibis
import numpy as np
import pandas as pd
import pytest

from loyaltylab.engine import keep
from loyaltylab.growth import offer_evaluation, offer_figures, offer_findings, offers
from loyaltylab.growth.offers import Recipe
from loyaltylab.numbers import Numbers
from tests.groceries import groceries

UNTIL = dt.date(2024, 6, 30)


@pytest.fixture
def con():
    return ibis.duckdb.connect()


def sold(con, rows):
    """`bought`, of (person, day, product) and what else is said of a row."""
    told = [
        {
            "person_id": person,
            "order_id": f"{person}-{day}",
            "day": UNTIL - dt.timedelta(days=day),
            "product_id": product,
            "category": more.get("category", "all"),
            "price": 1.0,
            "returned": more.get("returned", False),
        }
        for person, day, product, *rest in rows
        for more in [rest[0] if rest else {}]
    ]
    frame = pd.DataFrame(told).astype({"category": "string"})
    return keep(con, ibis.memtable(frame), "sold")


def seen(table):
    return table.to_pandas()


SHOWN = {"recent_days": 30, "minimum": 2}


def test_bought_takes_pieces_that_were_sold_and_says_what_came_back(con):
    orders = ibis.memtable(
        pd.DataFrame(
            {
                "person_id": ["a", "a", "b"],
                "order_id": ["1", "2", "3"],
                "ordered_at": pd.to_datetime(
                    ["2024-01-01 23:59", "2024-01-02 00:00", "2024-07-01 00:00"]
                ),
                "amount": [10.0, 5.0, 1.0],
                "returned_amount": [10.0, 1.0, None],
            }
        )
    )
    lines = ibis.memtable(
        pd.DataFrame(
            {
                "order_id": ["1", "1", "2", "2", "3"],
                "product_id": ["x", "x", "x", "y", "x"],
                "category": ["cups", None, " ", "jugs", "cups"],
                "quantity": [1, 2, 1, 0, 1],
                "unit_price": [4.0, 3.0, 5.0, 9.0, 1.0],
            }
        )
    )
    found = con.execute(offers.bought(orders, lines, until=UNTIL)).sort_values("order_id")
    assert found[["order_id", "product_id", "price", "returned"]].to_numpy().tolist() == [
        ["1", "x", 3.0, True],
        ["2", "x", 5.0, False],
    ]
    assert found["category"].iloc[0] == "cups" and pd.isna(found["category"].iloc[1])
    # A table of lines without categories, and orders that do not say what came back.
    bare = offers.bought(orders.drop("returned_amount"), lines.drop("category"), until=UNTIL)
    assert not con.execute(bare)["returned"].any() and con.execute(bare)["category"].isna().all()


def test_what_may_be_offered_is_sold_now_and_tells_of_nobody(con):
    rows = [("a", 5, "new"), ("b", 3, "new"), ("a", 90, "old"), ("b", 80, "old"), ("c", 1, "rare")]
    rows += [("a", 2, "wine", {"category": "drinks"}), ("c", 2, "wine", {"category": "drinks"})]
    rows = sold(con, rows)
    found = seen(offers.catalogue(con, rows, until=UNTIL, **SHOWN))
    assert found[["product_id", "item"]].to_numpy().tolist() == [["new", 0], ["wine", 1]]
    # Three bought in the last 30 days, two of them each.
    assert found["popular"].tolist() == [pytest.approx(2 / 3)] * 2
    dry = offers.catalogue(con, rows, until=UNTIL, without=["drinks"], **SHOWN)
    assert seen(dry)["product_id"].tolist() == ["new"]
    one = offers.catalogue(con, rows, until=UNTIL, most=1, **SHOWN)
    assert seen(one)["product_id"].tolist() == ["new"]


def habits(seed, persons=60, products=12, days=120):
    drawn = random.Random(seed)
    return [
        (f"p{person}", drawn.randrange(days), f"x{drawn.randrange(products):02}")
        for person in range(persons)
        for _ in range(drawn.randrange(1, 9))
    ]


def test_likeness_and_evidence_are_those_of_a_literal_version(con):
    rows = habits(1)
    table = sold(con, rows)
    products = offers.catalogue(con, table, until=UNTIL, **SHOWN)
    near = offers.neighbours(con, table, products, until=UNTIL)
    item = seen(products).set_index("product_id")["item"].to_dict()
    has = {}
    for person, _, product in rows:
        if product in item:
            has.setdefault(person, set()).add(item[product])
    literal = {}
    for one, two in itertools.permutations(item.values(), 2):
        n1, n2 = (sum(i in own for own in has.values()) for i in (one, two))
        both = sum({one, two} <= own for own in has.values())
        if both:
            likeness = both / math.sqrt(n1 * n2) * both / (both + offers.SHRINKAGE)
            literal[one, two] = pytest.approx(likeness)
    found = seen(near).set_index(["item", "other"])["likeness"].to_dict()
    assert found == literal

    who = ibis.memtable(pd.DataFrame({"person_id": ["p0", "p7", "nobody"]}))
    told = offers.candidates(table, products, near, who, until=UNTIL, half_life=30)
    own, likely = {}, {}
    for person, day, product in set(rows):
        if person in ("p0", "p7") and product in item:
            key = person, item[product]
            own[key] = own.get(key, 0) + 0.5 ** (day / 30)
    for (person, one), weight in own.items():
        every = sum(w for (p, _), w in own.items() if p == person)
        for (here, two), likeness in found.items():
            if here == one:
                likely[person, two] = likely.get((person, two), 0) + weight / every * likeness
    for row in con.execute(told).itertuples():
        key = row.person_id, row.item
        assert row.own == pytest.approx(own.get(key, 0), abs=1e-8)
        assert row.near == pytest.approx(likely.get(key, 0), abs=1e-8)
    assert set(con.execute(told)["person_id"]) == {"p0", "p7", "nobody"}


def test_only_the_products_and_persons_that_are_learned_from_count(con, monkeypatch):
    """Bounds hold where there is more of everything: work grows with them and not with the data."""
    monkeypatch.setattr(offers, "OWN", 2)
    monkeypatch.setattr(offers, "NEIGHBOURS", 1)
    monkeypatch.setattr(offers, "LEARNED", 5)
    table = sold(con, habits(2))
    products = offers.catalogue(con, table, until=UNTIL, **SHOWN)
    near = seen(offers.neighbours(con, table, products, until=UNTIL))
    # Of each of five persons one pair at most, and of each product its nearest.
    assert near.groupby("item").size().max() == 1 and len(near) <= 10


RECIPE = Recipe(again=0.5, near=3.0, half_life=60.0)


def test_the_list_has_the_ten_that_were_judged(con):
    """The engine ranks for the list, and arrays are ranked for the judgement: both the same."""
    rows = sold(con, habits(3, persons=40, products=30))
    products = offers.catalogue(con, rows, until=UNTIL, **SHOWN)
    near = offers.neighbours(con, rows, products, until=UNTIL)
    who = rows.select("person_id").distinct()
    found = keep(
        con,
        offers.candidates(rows, products, near, who, until=UNTIL, half_life=RECIPE.half_life),
        "found",
    )
    told = con.execute(offers.offered(found, RECIPE, rows, products))
    assert told.groupby("person_id").size().le(offers.OFFERS).all()
    table = con.execute(found.join(products.select("item", "product_id"), "item"))
    table["score"] = offers.score(table, RECIPE)
    for person, some in table.groupby("person_id"):
        best = some.sort_values(["score", "popular", "item"], ascending=[False, False, True])
        ranked = told[told["person_id"] == person].sort_values("rank")["product_id"].tolist()
        assert ranked == best["product_id"].head(offers.OFFERS).tolist()
    reasons = {"again", "likeness", "popularity"}
    assert set(told["reason"]) <= reasons and len(set(told["reason"])) > 1


def test_what_was_sent_back_is_not_offered_again_to_who_did(con):
    rows = [("a", 5, "cup", {"returned": True}), ("b", 3, "cup"), ("c", 3, "cup"), ("a", 2, "jug")]
    rows = sold(con, [*rows, ("b", 1, "jug")])
    products = offers.catalogue(con, rows, until=UNTIL, **SHOWN)
    near = offers.neighbours(con, rows, products, until=UNTIL)
    who = rows.select("person_id").distinct()
    found = offers.candidates(rows, products, near, who, until=UNTIL, half_life=90)
    told = con.execute(offers.offered(found, RECIPE, rows, products))
    of = told.groupby("person_id")["product_id"].apply(set).to_dict()
    assert of == {"a": {"jug"}, "b": {"cup", "jug"}, "c": {"cup", "jug"}}


def test_hit_rate_and_ndcg_by_hand():
    scores = np.array([[9.0, 8, 7, 6], [9, 8, -np.inf, -np.inf], [1, 1, 1, 1]])
    scores = np.pad(scores, ((0, 0), (0, 8)), constant_values=-np.inf)
    true = np.zeros(scores.shape, bool)
    true[0, [0, 2]] = True  # bought: the first and the third of three
    true[1, 2] = True  # no candidate, so no hit
    true[2, 3] = True  # of equal scores the fourth in the order of popularity
    told = offer_evaluation.measures({"true": true}, scores, np.array([3, 1, 1]))
    assert told["hit"].tolist() == [1, 0, 1]
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    by_hand = [(1 + 1 / math.log2(4)) / ideal, 0, 1 / math.log2(5)]
    assert told["ndcg"] == pytest.approx(by_hand)


def test_gains_are_paired():
    told = {
        name: {"hit": np.array(values, float), "ndcg": np.array(values, float)}
        for name, values in (("offers", [1, 1, 0, 1]), ("buy again", [1, 0, 0, 1]))
    }
    gains = offer_evaluation.gains(told)
    # Differences 0, 1, 0, 0: mean 1/4, standard deviation 1/2, so a standard error of 1/4.
    assert gains["value"].tolist() == [0.25, 0.25]
    half = 1.959964 / 4
    assert gains["low"].tolist() == pytest.approx([0.25 - half] * 2, abs=1e-6)
    assert gains["high"].tolist() == pytest.approx([0.25 + half] * 2, abs=1e-6)


# ---- Worlds whose habits are known.


def world(kind, persons=700, seed=4):
    """Each person buys four times, 40 days apart or so: "series": products of one of six series, always
    others; "again": one of their own three; "popular": what everybody takes."""
    drawn, rows = random.Random(seed), []
    for person in range(persons):
        own = drawn.randrange(6)
        series = [f"s{own}-{n:02}" for n in range(20)]
        mine = drawn.sample([f"m{n:03}" for n in range(60)], 3)
        first = drawn.randrange(30)
        for nth, product in enumerate(drawn.sample(series, 4)):
            if kind == "again":
                product = drawn.choice(mine)
            if kind == "popular":
                product = f"q{min(drawn.randrange(40), drawn.randrange(40)):02}"
            rows.append((f"p{person}", first + 40 * nth, product))
    return rows


TRIED = {"days": 35, "recent_days": 60, "minimum": 2}


@pytest.fixture(scope="module")
def trials():
    con = ibis.duckdb.connect()
    return {
        kind: offer_evaluation.try_offers(con, sold(con, world(kind)), until=UNTIL, **TRIED)
        for kind in ("series", "again", "popular")
    }


def of(table, method, measure="hit"):
    (row,) = table[(table["method"] == method) & (table["measure"] == measure)].itertuples()
    return row


def test_offers_find_what_goes_with_what_was_bought(trials):
    trial = trials["series"]
    assert trial.recipe.near > 0
    for measure in ("hit", "ndcg"):
        for method in ("buy again", "popularity"):
            assert of(trial.gains, method, measure).low > 0
    assert of(trial.new_gains, "popularity").low > 0
    # Ten of the series' sixteen that are left; what they cannot know is which.
    assert of(trial.rates, "offers").value == pytest.approx(10 / 17, abs=0.12)


def test_who_buys_the_same_is_offered_the_same(trials):
    trial = trials["again"]
    assert trial.recipe.again > 0
    assert of(trial.gains, "buy again").value == pytest.approx(0, abs=0.05)
    assert of(trial.gains, "popularity").low > 0


def test_where_only_popularity_tells_offers_lose_nothing(trials):
    assert of(trials["popular"].gains, "popularity").value == pytest.approx(0, abs=0.05)


def test_the_recipe_is_chosen_without_a_look_at_the_days_that_judge_it(con):
    rows = world("series")
    cutoff = 35
    after = [(p, day, "s0-00" if day < cutoff else product) for p, day, product in rows]
    one, other = (
        offer_evaluation.try_offers(con, sold(con, table), until=UNTIL, **TRIED)
        for table in (rows, after)
    )
    assert one.recipe == other.recipe and one.again == other.again
    assert not one.rates.equals(other.rates)


def test_nothing_hangs_on_who_is_who(con, trials):
    rows = world("series")
    names = [f"p{n}" for n in range(700)]
    renamed = dict(zip(names, random.Random(1).sample(names, 700), strict=True))
    table = sold(con, rows)
    lookup = pd.DataFrame({"person_id": list(renamed), "other": list(renamed.values())})
    named = table.join(ibis.memtable(lookup), "person_id")
    named = named.mutate(person_id=named["other"]).drop("other").order_by(ibis.desc("person_id"))
    trial = offer_evaluation.try_offers(con, keep(con, named, "named"), until=UNTIL, **TRIED)
    pd.testing.assert_frame_equal(trial.rates, trials["series"].rates)
    pd.testing.assert_frame_equal(trial.new_gains, trials["series"].new_gains)


def test_too_few_to_judge_by_make_no_offers(con):
    few = sold(con, world("series", persons=60))
    assert offer_evaluation.try_offers(con, few, until=UNTIL, **TRIED) is None
    none = few.filter(few["person_id"] == "")
    assert offer_evaluation.try_offers(con, none, until=UNTIL, **TRIED) is None
    assert "35 days" in offer_findings.too_few(35)


# ---- What the page says.


def test_findings_say_who_wins(trials):
    said = offer_findings.offer_finding(trials["series"], days=35)
    assert "**Offers hit more often than what was bought before**" in said
    lost = trials["series"]
    turned = lost.gains.assign(
        value=-lost.gains["value"], low=-lost.gains["high"], high=-lost.gains["low"]
    )
    worse = SimpleNamespace(**{**vars(lost), "gains": turned})
    said = offer_findings.offer_finding(worse, days=35)
    assert "**What was bought before hits more often than offers**" in said
    assert "**What is popular hits more often than offers**" in said
    assert "cannot be told apart" in offer_findings.offer_finding(trials["again"], days=35)
    # Three ways of choosing, two measures, each with both ends of its interval.
    assert offer_figures.describe_offers(lost.rates).count("%") == 3 * 2 * 3
    assert len(offer_findings.offer_table(lost)) == 3
    assert "weighs 1" in offer_findings.recipe_finding(lost)
    offer_figures.plot_offers(lost.rates)


def test_each_number_is_recorded_with_its_baselines(trials):
    numbers = Numbers("07_growth", as_of=UNTIL)
    offer_findings.record_offers(numbers, trials["series"])
    names = {f"growth.offer.{name}" for name in ("hit_rate_10", "ndcg_10", "hit_gain_buy_again")}
    names |= {"growth.offer.hit_rate_10_buy_again", "growth.offer.hit_rate_10_popularity"}
    assert names <= set(numbers.records)
    assert all(number.level == 0.95 for number in numbers.records.values())


def test_the_list_holds_those_alone_who_consent(con, tmp_path):
    rows = sold(con, world("series", persons=40))
    people = pd.DataFrame(
        {
            "person_id": [f"p{n}" for n in range(40)],
            "consent_marketing": [(True, False, None)[n % 3] for n in range(40)],
        }
    ).astype({"consent_marketing": "boolean"})
    counts = offer_findings.save_offers(
        con, rows, ibis.memtable(people), RECIPE, tmp_path, until=UNTIL, recent_days=60, minimum=1
    )
    with (tmp_path / "offers.csv").open(newline="") as file:
        told = list(csv.DictReader(file))
    consenting = set(people.loc[people["consent_marketing"].fillna(False), "person_id"])
    assert {row["person_id"] for row in told} == consenting
    assert list(told[0]) == ["person_id", "rank", "product_id", "category", "reason"]
    assert counts == {"customers": 40, "listed": 14, "refused": 13, "never_said": 13}
    assert "14 customers" in offer_findings.list_finding(counts)


def test_a_dataset_without_lines_says_so():
    lab = SimpleNamespace(lacks=lambda *tables: "missing")
    assert "**order_lines**" in offer_findings.nothing_to_offer(lab)
    assert offer_findings.nothing_to_offer(SimpleNamespace(lacks=lambda *tables: "")) == ""
    assert offer_findings.categories(" wine, beer ,,") == ["wine", "beer"]


# ---- Real baskets.


def test_offers_hold_their_own_against_buying_again_on_real_baskets(con):
    """A seventh of the households; tests/studies/offers.csv has all of them."""
    orders, lines = groceries(con)
    orders = orders.filter(orders["person_id"].cast("int64") % 7 == 0)
    until = dt.date(2017, 12, 31)
    rows = keep(con, offers.bought(orders, lines, until=until), "bought")
    trial = offer_evaluation.try_offers(con, rows, until=until, days=28, recent_days=56, minimum=5)
    assert trial.persons > 250
    for measure in ("hit", "ndcg"):
        assert of(trial.gains, "popularity", measure).low > 0
        assert of(trial.gains, "buy again", measure).high > 0
