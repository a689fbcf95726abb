"""Gradient boosting: against a slow literal translation, on customers whose rates are known, and on
data that are hostile."""

import datetime as dt
import itertools
import math

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from loyaltylab import engine
from loyaltylab.errors import UnanswerableError
from loyaltylab.lifetime_value import boosting, gini, with_holdout
from loyaltylab.timelines import timelines
from tests.bought import histories, literal_purchases, purchases_of

UNTIL = dt.date(2024, 3, 31)
START = dt.date(2021, 1, 1)
WEEKS = 26
CUTOFF = START + dt.timedelta(days=720)


def days_ago(n, until=UNTIL):
    return until - dt.timedelta(days=n)


def literal_features(rows, until=UNTIL):
    """Person by person, from what was bought by `until`."""
    found = {}
    bought = literal_purchases([row for row in rows if row[1] <= until])
    for person, own in bought.groupby("person_id"):
        days, amounts = list(own["day"]), list(own["amount"])
        gaps = [(b - a).days for a, b in itertools.pairwise(days)]
        turn = 2 * math.pi * days[0].timetuple().tm_yday / 365.25
        nan = float("nan")
        found[person] = {
            "frequency": len(gaps),
            "recency": sum(gaps),
            "age": (until - days[0]).days,
            "silence": (until - days[-1]).days,
            **{f"days_{n}": sum(day > days_ago(n) for day in days) for n in (28, 91, 182, 364)},
            "mean_gap": sum(gaps) / len(gaps) if gaps else nan,
            "gap_spread": float(np.std(gaps, ddof=1)) if len(gaps) > 1 else nan,
            "last_gap": gaps[-1] if gaps else nan,
            "silence_in_gaps": (until - days[-1]).days * len(gaps) / sum(gaps) if gaps else nan,
            "season_sine": math.sin(turn),
            "season_cosine": math.cos(turn),
            "spend": sum(amounts),
            "mean_spend": sum(amounts) / len(amounts),
            **{
                f"spend_{n}": sum(a for d, a in zip(days, amounts, strict=True) if d > days_ago(n))
                for n in (182, 364)
            },
            "last_spend": amounts[-1],
        }
    return pd.DataFrame.from_dict(found, orient="index").astype(float)


@given(histories)
@settings(max_examples=25, deadline=None)
def test_features_equal_their_literal_translation(rows):
    table = boosting.features(purchases_of(rows), until=UNTIL)
    assert list(table.columns) == ["person_id", *boosting.FEATURES]
    found = table.to_pandas().set_index("person_id").sort_index()
    if not len(found):
        assert all(row[1] > UNTIL for row in rows)
        return
    # A spread of equal gaps is 0 here, and 1e-15 by numpy.
    expected = literal_features(rows).sort_index()
    pd.testing.assert_frame_equal(found.astype(float), expected, atol=1e-9, check_names=False)


def test_later_weeks_by_hand():
    """The cutoff is before them, the last day of the last week in them."""
    rows = [
        ("ann", dt.date(2024, 1, 1), 5, 1), ("ann", UNTIL, 5, 1),
        ("ann", days_ago(-1), 7, 1), ("ann", days_ago(-14), 8, 1), ("ann", days_ago(-15), 99, 1),
        ("bo", UNTIL, 5, 1),
        ("cy", days_ago(-3), 5, 1),  # nobody's customer yet
    ]  # fmt: skip
    bought = purchases_of(rows)
    people = boosting.features(bought, until=UNTIL).select("person_id")
    found = with_holdout(people, bought, cutoff=UNTIL, weeks=2).order_by("person_id")
    assert found.to_pandas().to_numpy().tolist() == [["ann", 2, 15], ["bo", 0, 0]]


def company(customers, *, seed, span=900, shape=0.8, scale=60.0, life=400.0):
    """Customers won all along who buy at random, at a gamma rate of their own (shape, scale in days),
    until they leave; and pay about the same each time, each at a level of their own."""
    random = np.random.default_rng(seed)
    rate = random.gamma(shape, 1 / scale, customers)
    first = random.integers(0, span, customers)
    active = np.minimum(random.exponential(random.gamma(2, life / 2, customers)), span - first)
    level = random.lognormal(3, 0.6, customers)
    who = np.repeat(np.arange(customers), random.poisson(rate * active))
    day = np.append(first, (first[who] + random.random(len(who)) * active[who]).astype(int))
    rows = pd.DataFrame({"who": np.append(np.arange(customers), who), "day": day})
    rows = rows.drop_duplicates(ignore_index=True)
    rows["amount"] = (level[rows["who"]] * random.gamma(3, 1 / 3, len(rows))).round(2)
    return rows


def bought_by(rows):
    """`timelines` of who, day (number) and amount."""
    rows = pd.DataFrame(
        {
            "person_id": "p" + rows["who"].astype(str),
            "day": pd.Timestamp(START) + pd.to_timedelta(rows["day"], unit="D"),
            "orders": 1,
            "amount": rows["amount"].astype(float),
        }
    )
    table = ibis.memtable(rows)
    cast = {"day": table["day"].date(), "amount": table["amount"].cast("decimal(18, 4)")}
    return timelines(table.mutate(**cast)).cache()


def fit(bought, *, until=CUTOFF, weeks=WEEKS, seed=0, **more):
    return boosting.fit_boosting(bought, until=until, weeks=weeks, seed=seed, **more)


def predicted(model, bought, *, until=CUTOFF, **more):
    return model.predict(boosting.features(bought, until=until, **more))


def judged(bought, *, until=CUTOFF, weeks=WEEKS, **more):
    known = boosting.features(bought, until=until, **more)
    table = with_holdout(known, bought, cutoff=until, weeks=weeks)
    rows = table.to_pandas().sort_values("person_id", ignore_index=True)
    return rows.astype({"later_spend": float})


def assert_sane(found, weeks=WEEKS):
    numbers = found[["chance", "orders", "spend"]].to_numpy()
    assert len(found) and np.isfinite(numbers).all() and (numbers >= 0).all()
    assert (found["chance"] <= 1).all()
    assert (found["orders"] >= found["chance"] * (1 - 1e-12)).all()
    assert (found["orders"] <= 7 * weeks + 1e-9).all()


ROWS = company(2_500, seed=2)


@pytest.fixture(scope="module")
def bought():
    return bought_by(ROWS)


@pytest.fixture(scope="module")
def model(bought):
    return fit(bought)


def test_a_hold_out_is_forecast_better_than_by_the_mean(bought, model):
    actual = judged(bought)
    found = predicted(model, bought)
    assert_sane(found)
    assert (found["person_id"] == actual["person_id"]).all()
    assert (model.weeks, model.trained_weeks) == (WEEKS, WEEKS)
    for name in ("orders", "spend"):
        later = actual[f"later_{name}"]
        assert found[name].sum() == pytest.approx(later.sum(), rel=0.12)
        mean = (later - later.mean()).abs().mean()
        assert (later - found[name]).abs().mean() < 0.75 * mean
    ones = np.ones(len(actual))
    orders = actual["later_orders"]
    assert gini(found["orders"], orders, ones) > 0.7 * gini(orders, orders, ones)
    # A chance is how often it comes true, be it high or low.
    tenth = pd.qcut(found["chance"].rank(method="first"), 10)
    rates = pd.DataFrame({"said": found["chance"], "came": orders > 0}).groupby(tenth).mean()
    assert (rates["said"] - rates["came"]).abs().max() < 0.12


def test_at_least_adds_up_to_the_orders_expected(bought, model):
    found = predicted(model, bought).sort_values("orders").tail(200)
    told = model.at_least(found, 5_000)
    assert told.shape == (200, 5_000)
    np.testing.assert_allclose(told.sum(axis=1), found["orders"], rtol=1e-6)
    np.testing.assert_allclose(told[:, 0], found["chance"])
    assert (np.diff(told, axis=1) <= 0).all()
    never = pd.DataFrame({"chance": [0.0, 1.0, 0.5], "orders": [0.0, 1.0, 1.0]})
    expected = [[0, 0, 0], [1, 0, 0], [0.5, 0.25, 0.125]]
    np.testing.assert_allclose(model.at_least(never, 3), expected)


def test_nothing_after_the_last_day_changes_features_or_forecasts(bought):
    """Without what came later, next_day and the last gaps are others."""
    early = bought_by(ROWS[ROWS["day"] <= 720])
    assert bought["next_day"].count().execute() > early["next_day"].count().execute()
    one, other = (
        boosting.features(table, until=CUTOFF).order_by("person_id").to_pandas()
        for table in (bought, early)
    )
    pd.testing.assert_frame_equal(one, other)
    one, other = (fit(table, at_most=500).predict(one) for table in (bought, early))
    pd.testing.assert_frame_equal(one, other)


def test_examples_are_customers_as_they_stood(bought, model):
    """Of the customers of the earlier day alone, with what came in the weeks since."""
    origin = CUTOFF - dt.timedelta(weeks=WEEKS)
    trained, rows = boosting._examples(bought, CUTOFF, WEEKS, None, 0, 100_000)
    expected = judged(bought, until=origin).drop(columns="person_id")
    expected = expected.sort_values(list(expected), ignore_index=True)
    pd.testing.assert_frame_equal(rows, expected)
    assert trained == WEEKS and model.customers == len(rows)
    assert model.buyers == (rows["later_orders"] > 0).sum()


def test_neither_the_order_of_rows_nor_names_of_persons_matter(bought, model):
    shuffled = ROWS.sample(frac=1, random_state=1).assign(who=10_000 - ROWS["who"])
    again = bought_by(shuffled)
    found = predicted(fit(again), again)
    found["person_id"] = "p" + (10_000 - found["person_id"].str[1:].astype(int)).astype(str)
    found = found.sort_values("person_id", ignore_index=True)
    pd.testing.assert_frame_equal(found, predicted(model, bought))


def test_batches_of_a_table_are_forecast_as_a_data_frame(bought, model, monkeypatch):
    people = boosting.features(bought, until=CUTOFF)
    frame = people.to_pandas().sample(frac=1, random_state=1)
    whole = model.predict(frame)
    assert list(whole.index) == list(frame.index)
    monkeypatch.setattr(boosting, "_BATCH", 300)
    parts = model.predict(people)
    whole = whole.sort_values("person_id", ignore_index=True)
    pd.testing.assert_frame_equal(parts, whole)


def test_a_sample_is_the_same_whatever_the_order_of_rows(bought):
    shuffled = bought_by(ROWS.sample(frac=1, random_state=1))
    one, other = (fit(table, at_most=300) for table in (bought, shuffled))
    assert one.customers == other.customers == 300
    pd.testing.assert_frame_equal(predicted(one, bought), predicted(other, bought))
    drawn = [boosting._examples(bought, CUTOFF, WEEKS, None, seed, 300)[1] for seed in (0, 1)]
    assert not drawn[0].equals(drawn[1])


def test_both_engines_learn_the_same(engines):
    bought = bought_by(company(300, seed=1, life=2_000)).to_pyarrow()
    traits = traits_of({who: "ab"[who % 2] for who in range(100)})
    found = []
    for con in engines:
        table = engine.keep(con, ibis.memtable(bought), "bought")
        model = fit(table, at_most=150, traits=traits)
        found.append(predicted(model, table, traits=traits))
    pd.testing.assert_frame_equal(*found, check_dtype=False)


def test_a_short_history_is_learned_from_in_fewer_weeks_and_stretched(bought):
    """720 days hold 51 weeks before 51 others; 60 are halved, and what is expected doubled."""
    half, double = (fit(bought, weeks=weeks, at_most=800) for weeks in (30, 60))
    assert (half.trained_weeks, double.trained_weeks, double.weeks) == (30, 30, 60)
    one, two = (predicted(model, bought) for model in (half, double))
    for name in ("orders", "spend"):
        np.testing.assert_allclose(two[name], 2 * one[name])
    np.testing.assert_allclose(two["chance"], 1 - (1 - one["chance"]) ** 2)
    assert_sane(two, weeks=60)


def test_a_history_must_go_back_as_many_weeks_before_the_examples(bought):
    first = ROWS["day"].min()
    for days, trained in ((2 * 7 * WEEKS, WEEKS), (2 * 7 * WEEKS - 1, WEEKS // 2)):
        until = START + dt.timedelta(days=int(first) + days)
        assert fit(bought, until=until).trained_weeks == trained


def test_too_few_customers_are_refused_in_a_sentence():
    few = bought_by(company(120, seed=3))
    with pytest.raises(UnanswerableError) as error:
        fit(few)
    said = str(error.value)
    assert said.startswith(
        "purchases: expected 50 customers who bought again in some last weeks up to 2022-12-22, with "
        "as many weeks of purchases before these; found "
    )
    found = int(said.partition("found ")[2].partition(".")[0])
    assert 0 < found < 50
    assert said.endswith("or forecast with BG/NBD, which needs fewer.")
    # Nobody yet, and no purchases at all.
    for table in (few, few.limit(0)):
        with pytest.raises(UnanswerableError, match="found 0"):
            fit(table, until=START - dt.timedelta(days=1))


def daily(count, *, start=0, every=1, first=0, span=900):
    """So many customers who buy every so many days."""
    rows = [(first + i, day) for i in range(count) for day in range(start, span, every)]
    return pd.DataFrame(rows, columns=["who", "day"]).assign(amount=10.0)


def test_customers_who_buy_hundreds_of_times():
    """Order days in a Poisson loss without an offset lead to infinity here."""
    crowd = company(6_000, seed=4, scale=400)
    crowd = pd.concat([crowd, daily(32, first=9_000)], ignore_index=True)
    table = bought_by(crowd)
    found, actual = predicted(fit(table), table), judged(table)
    assert_sane(found)
    heavy = actual["frequency"] > 300
    assert heavy.sum() == 32
    assert found["orders"][heavy].mean() == pytest.approx(
        actual["later_orders"][heavy].mean(), rel=0.1
    )
    assert found["orders"][~heavy].sum() == pytest.approx(
        actual["later_orders"][~heavy].sum(), rel=0.25
    )


def test_nobody_is_expected_on_more_days_than_there_are():
    """Who bought every day since 14 weeks goes beyond, at a rate drawn less and less to the others'."""
    once = pd.DataFrame({"who": range(900), "day": range(900), "amount": 10.0})
    table = bought_by(pd.concat([once, daily(100, first=900, start=440)], ignore_index=True))
    found = predicted(fit(table), table)
    assert_sane(found)
    assert found["orders"].max() > 180


@pytest.mark.parametrize(("every", "orders"), [(WEEKS, 7), (150, 1)])
def test_all_customers_alike(every, orders):
    """In as many weeks before the cutoff, all bought so many times, for 10 each."""
    table = bought_by(daily(200, every=every))
    found = predicted(fit(table), table)
    assert_sane(found)
    assert found["chance"].unique().tolist() == [1]
    np.testing.assert_allclose(found["orders"], orders, rtol=0.02)
    np.testing.assert_allclose(found["spend"], 10 * orders, rtol=0.02)


def test_few_who_pay_are_a_mean_of_order_days():
    """Of 14 for 10 and of 7 for 40, the other 160 paying nothing: 20 among those who pay, and of all
    order days 420 of 1540."""
    often, dear, free = (
        daily(20, every=13),
        daily(20, every=26, first=20),
        daily(160, every=26, first=40),
    )
    rows = pd.concat([often, dear.assign(amount=40.0), free.assign(amount=0.0)], ignore_index=True)
    model = fit(bought_by(rows))
    assert model.basket(pd.DataFrame(index=[0])) == pytest.approx(20)
    assert model.kept == pytest.approx(420 / 1540)


def test_one_time_buyers_alone_cannot_be_learned_from():
    once = company(2_000, seed=5).drop_duplicates("who")
    with pytest.raises(UnanswerableError, match="found 0"):
        fit(bought_by(once))


@pytest.mark.parametrize("amounts", ["zero", "negative", "mixed"])
def test_amounts_that_are_not_above_zero(amounts):
    rows = company(1_000, seed=6).assign(amount=10.0)
    some = np.resize([1, 1, 1, 0, -1], len(rows))
    factor = {"zero": 0, "negative": -1, "mixed": some}[amounts]
    table = bought_by(rows.assign(amount=10.0 * factor))
    found = predicted(fit(table), table)
    assert_sane(found)
    if amounts == "mixed":
        # Refunds are in what is expected: .4 of what it is without them.
        whole = predicted(fit(bought_by(rows)), bought_by(rows))
        assert found["spend"].sum() == pytest.approx(0.4 * whole["spend"].sum(), rel=0.1)
    else:
        assert (found["spend"] == 0).all()


def traits_of(kinds):
    """A table of traits from who → value."""
    frame = pd.DataFrame({"person_id": [f"p{who}" for who in kinds], "kind": list(kinds.values())})
    frame = frame.astype({"kind": "str"}) if frame["kind"].notna().any() else frame
    return ibis.memtable(frame, schema={"person_id": "string", "kind": "string"})


def test_a_trait_tells_who_comes_back():
    """Won at day 450 on: what they are is known of new ones alone by their kind."""
    random = np.random.default_rng(1)
    kinds = {who: random.choice(["a", "b"]) for who in range(1_500)}
    first = random.integers(0, 900, 1_500)
    rows = [(who, day) for who, day in enumerate(first)]
    for who, day in enumerate(first):
        if kinds[who] == "a":
            rows += [(who, later) for later in range(day + 60, 900, 60)]
    table = bought_by(pd.DataFrame(rows, columns=["who", "day"]).assign(amount=20.0))
    traits = traits_of(kinds)
    model = fit(table, traits=traits)
    actual = judged(table, traits=traits)
    found = model.predict(actual)
    new = actual["age"] < 50
    assert found["chance"][new & (actual["kind"] == "a")].min() > 0.9
    assert found["chance"][new & (actual["kind"] == "b")].max() < 0.1
    some = actual.head(150)
    told, again = (boosting.importances(model, rows, seed=1) for rows in (some, some[::-1]))
    pd.testing.assert_frame_equal(told, again)
    assert sorted(told["feature"]) == sorted([*boosting.FEATURES, "kind"])
    assert told["feature"][0] == "kind" and told["importance"].is_monotonic_decreasing
    assert told.set_index("feature")["importance"]["last_spend"] == 0  # the same for all


@pytest.mark.parametrize(
    "kinds",
    [
        {},
        dict.fromkeys(range(3_000)),
        dict.fromkeys(range(3_000), "all"),
        {who: None if who % 3 else "other" for who in range(3_000)},
        {who: f"v{min(who, 60 + who % 7)}" for who in range(3_000)},
    ],
    ids=["nobody has one", "all missing", "one value", "some missing", "rare ones"],
)
def test_traits_that_say_nothing(bought, kinds):
    traits = traits_of(kinds)
    more = {"traits": traits.mutate(person_index=ibis.row_number(), age=ibis.literal(3))}
    model = fit(bought, at_most=500, **more)
    assert_sane(predicted(model, bought, **more))
    assert len(model.traits["kind"]) <= 50 and "other" not in model.traits["kind"]
    assert "person_index" not in model.traits


def test_rare_and_unknown_values_are_one(bought):
    """The most frequent 50 stand for themselves. Who has a rare one here buys often."""
    often = ROWS["who"].value_counts().sort_index() > 3
    kinds = {who: f"rare{who}" if often[who] else f"v{who % 50}" for who in often.index}
    traits = traits_of(kinds)
    model = fit(bought, traits=traits)
    assert sorted(model.traits["kind"]) == sorted({f"v{i}" for i in range(50)})
    people = judged(bought, traits=traits).head(200)
    rare, unknown, lumped, missing = (
        model.predict(people.assign(kind=value)) for value in ("rare0", "new", "other", None)
    )
    pd.testing.assert_frame_equal(rare, lumped)
    pd.testing.assert_frame_equal(unknown, lumped)
    assert (lumped["chance"] - missing["chance"]).mean() > 0.05
    with pytest.raises(KeyError, match="kind"):
        model.predict(people.drop(columns="kind"))
