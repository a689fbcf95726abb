"""Seasons: the clock by hand and against slow translations; companies whose season is known."""

import datetime as dt
import math
from dataclasses import replace

import ibis
import numpy as np
import pandas as pd
import pytest

from loyaltylab import engine
from loyaltylab import lifetime_value as lv
from loyaltylab.lifetime_value.seasons import find_season
from loyaltylab.timelines import timelines
from tests.bought import purchases_of

UNTIL = dt.date(2024, 3, 31)
FLAT = lv.Clock(UNTIL, (1.0,) * 366)
# Twice as fast in March: the numbers of the first of March and of April in a leap year are 60 and 91.
MARCH = lv.Clock(UNTIL, (1.0,) * 60 + (2.0,) * 31 + (1.0,) * 275)
GROUPS = pd.DataFrame({"frequency": [0, 1, 5], "recency": [0, 40, 300], "age": [400, 90, 333]})


def literal_days(clock, after, until):
    """Day by day, by the date alone."""
    days = [after + dt.timedelta(days=n) for n in range(1, (until - after).days + 1)]
    return sum(
        clock.profile[(dt.date(2024, d.month, d.day) - dt.date(2024, 1, 1)).days] for d in days
    )


def company(*, seed, years=3, customers=1500, season=lambda day: 1.0, rate=0.02):
    """Purchases of customers won evenly over the years, who buy at random, the more so in the season, at
    a rate a day of their own, and leave after one purchase in seven, some sooner than others."""
    random = np.random.default_rng(seed)
    days = pd.date_range(UNTIL - dt.timedelta(days=round(365.25 * years)), UNTIL)
    passed = np.cumsum([season(day) for day in days])
    first = random.integers(len(days), size=customers)
    now, own = passed[first], random.gamma(1.5, rate / 1.5, customers)
    leaves = random.beta(1, 6, customers)
    who, rows = np.arange(customers), [(np.arange(customers), first)]
    while len(who):
        now = now + random.exponential(1 / own[who])
        going = (now < passed[-1]) & (random.random(len(who)) >= leaves[who])
        who, now = who[going], now[going]
        rows.append((who, np.searchsorted(passed, now)))
    person, day = (np.concatenate(values) for values in zip(*rows, strict=True))
    found = {
        "person_id": [f"p{n:05d}" for n in person],
        "day": days[day],
        "orders": 1,
        "amount": 10.0,
    }
    table = ibis.memtable(pd.DataFrame(found).drop_duplicates(ignore_index=True))
    cast = {"day": table["day"].date(), "amount": table["amount"].cast("decimal(18, 4)")}
    return timelines(table.mutate(**cast)).cache()


def christmas(day):
    """Half as much again in December, a tenth less otherwise: about 1 on average."""
    return 1.5 if day.month == 12 else 0.955


def test_days_of_the_clock_are_those_counted_one_by_one():
    random = np.random.default_rng(1)
    clock = lv.Clock(UNTIL, tuple(random.uniform(0.5, 2, 366)))
    back, ahead = clock.back(np.arange(1600)), clock.ahead(np.arange(1600))
    for days in (0, 1, 2, 30, 31, 59, 365, 366, 800, 1599):
        then, later = UNTIL - dt.timedelta(days=days), UNTIL + dt.timedelta(days=days)
        assert back[days] == pytest.approx(literal_days(clock, then, UNTIL))
        assert ahead[days] == pytest.approx(literal_days(clock, UNTIL, later))
    days = random.uniform(0, 1500, 20)
    assert clock.ago(clock.back(days)) == pytest.approx(days)


def test_the_clock_by_hand():
    """The last 31 days are March, and count double; so do those of the March to come."""
    assert MARCH.back([0, 1, 31, 32, 0.5]).tolist() == [0, 2, 62, 63, 1]
    assert MARCH.ahead([0, 1, 335, 366]).tolist() == [
        0,
        1,
        336,
        397,
    ]  # 334 days to the 28th of February
    table = lv.MbgNbd({}, {}, {}, 0, 1, None, False, MARCH)._in_weeks(GROUPS)
    # Of 400 days 62 are of a March, of 90 and of the last 33 and 50 of them 31.
    assert np.array(table).tolist() == [
        [0, 1, 5], [0, 40 / 7, 300 / 7], [(400 + 2 * 31) / 7, 121 / 7, 364 / 7]
    ]  # fmt: skip


def test_a_clock_without_seasons_changes_nothing():
    random = np.random.default_rng(5)
    model = lv.MbgCnbd({"k": 2.0, "r": 1.1, "alpha": 9.0, "a": 0.8, "b": 2.0}, {}, {}, 0.0, 1)
    people = model.simulate(random.integers(50, 900, 2000), random, weeks=26)
    people = people.assign(customers=1)
    for name, fit in lv.MODELS.items():
        plain, timed = fit(people, edge=True), fit(people, edge=True, clock=FLAT)
        assert timed.parameters == pytest.approx(plain.parameters), name
        assert timed.log_likelihood == pytest.approx(plain.log_likelihood)
        for ask in ("alive", "expected_orders", "will_order"):
            more = () if ask == "alive" else (26,)
            own, other = (getattr(fit, ask)(people, *more) for fit in (plain, timed))
            np.testing.assert_allclose(own, other, rtol=1e-6)


@pytest.mark.parametrize("name", list(lv.MODELS))
def test_a_model_with_a_clock_is_the_model_in_the_time_of_the_clock(name):
    """All that it says of a history in days is what it says without of that history by the clock."""
    own = {"r": 0.6, "alpha": 9.0, "a": 0.8, "b": 2.0, "s": 0.6, "beta": 11.0, "k": 2.0}
    model = KINDS[name](own, {}, {}, 0.0, 1)
    timed = replace(model, clock=MARCH)
    age = MARCH.back(GROUPS["age"])
    recency = age - MARCH.back(GROUPS["age"] - GROUPS["recency"])
    by_clock = GROUPS.assign(recency=recency, age=age)
    weeks = float(MARCH.ahead(7 * 52) / 7)
    assert weeks > 52
    np.testing.assert_allclose(timed.alive(GROUPS), model.alive(by_clock))
    np.testing.assert_allclose(
        timed.expected_orders(GROUPS, 52), model.expected_orders(by_clock, weeks)
    )
    np.testing.assert_allclose(timed.at_least(GROUPS, 52, 9), model.at_least(by_clock, weeks, 9))
    both = lv.Combined((timed, timed))
    np.testing.assert_allclose(both.expected_orders(GROUPS, 52), timed.expected_orders(GROUPS, 52))


KINDS = {
    "nbd": lv.Nbd, "bg_nbd": lv.BgNbd, "mbg_nbd": lv.MbgNbd, "pareto_nbd": lv.ParetoNbd,
    "mbg_cnbd_k": lv.MbgCnbd,
}  # fmt: skip


@pytest.mark.parametrize("name", list(lv.MODELS))
def test_simulated_customers_of_the_season_do_what_is_expected_of_them(name):
    own = {"r": 2.0, "alpha": 9.0, "a": 0.8, "b": 4.0, "s": 1.5, "beta": 60.0, "k": 2.0}
    model = KINDS[name](own, {}, {}, 0.0, 1, None, False, MARCH)
    random = np.random.default_rng(2)
    people = model.simulate(np.full(20_000, 200), random, weeks=50)
    expected = model.expected_orders(people, 50)
    error = (people["later_orders"] - expected).std() / len(people) ** 0.5
    assert abs((people["later_orders"] - expected).mean()) < 4 * error
    # Repeat orders since the first of March are those of twice as many days.
    lately = people["age"] - people["recency"] < 31
    by_then = replace(model, clock=None).new_customer_orders(np.array([231.0, 169.0]) / 7)
    assert people["frequency"].mean() == pytest.approx(by_then[0], rel=0.04)
    assert lately.mean() > 0.05


def test_gaps_are_counted_by_the_clock(either):
    rows = [
        ("ann", dt.date(2024, 2, 20), 5, None), ("ann", dt.date(2024, 3, 2), 5, None),
        ("ann", dt.date(2024, 3, 2), 7, None), ("ann", UNTIL, 5, None), ("bo", UNTIL, 5, None),
        ("cy", dt.date(2023, 2, 27), 5, None), ("cy", dt.date(2023, 3, 2), 5, None),
    ]  # fmt: skip
    bought = engine.keep(either, purchases_of(rows), "bought")
    plain, timed = (
        lv.summarise(bought, until=UNTIL, clock=clock).order_by("person_id").to_pandas()
        for clock in (None, MARCH)
    )
    # Ann's gaps: nine days of February and two of March, 29 of March. Cy's: one day, two of March.
    gaps = [math.log(9 + 2 * 2) + math.log(2 * 29), 0, math.log(1 + 2 * 2)]
    assert timed["log_gaps"].tolist() == pytest.approx(gaps)
    assert plain["log_gaps"].tolist() == pytest.approx([math.log(11 * 29), 0, math.log(3)])
    pd.testing.assert_frame_equal(plain.drop(columns="log_gaps"), timed.drop(columns="log_gaps"))


def test_tracking_follows_the_clock():
    days = [(f"p{n}", UNTIL - dt.timedelta(days=n), 5, None) for n in (0, 3, 40, 200, 200, 444)]
    own = {"r": 0.6, "alpha": 9.0, "a": 0.8, "b": 2.0}
    model = lv.MbgNbd(own, {}, {}, 0.0, 1, None, False, MARCH)
    cutoff = UNTIL - dt.timedelta(weeks=6)
    table = lv.tracking(purchases_of(days), model, cutoff=cutoff, weeks=6)
    firsts = sorted({day for _, day, _, _ in days if day <= cutoff})
    plain = replace(model, clock=None)
    for row in table.itertuples():
        spans = [literal_days(MARCH, first, row.week_end.date()) for first in firsts
                 if first <= row.week_end.date()]  # fmt: skip
        expected = plain.new_customer_orders(np.array(spans) / 7).sum() if spans else 0.0
        assert row.expected_total == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_season_that_comes_again_is_found_and_helps(seed):
    bought = company(seed=seed, years=4, customers=6000, season=christmas)
    cutoff = UNTIL - dt.timedelta(weeks=26)
    clock = find_season(bought, until=cutoff)
    rates = np.array(clock.profile)
    assert rates.mean() == pytest.approx(1)
    truth = np.array([christmas(day) for day in pd.date_range("2024-01-01", "2024-12-31")])
    truth /= truth.mean()
    # Waves of two months cannot follow a step, but its month as a whole.
    assert rates[335:].mean() == pytest.approx(truth[335:].mean(), rel=0.12)
    assert rates[120:300].mean() == pytest.approx(truth[120:300].mean(), rel=0.06)
    misses = []
    for known in (None, clock):
        people = lv.judged_people(bought, cutoff=cutoff, weeks=26, clock=known)
        model = lv.fit_mbg_nbd(lv.groups_of(people), clock=known)
        weekly = lv.tracking(bought, model, cutoff=cutoff, weeks=26)
        held = weekly[weekly["held_out"]]
        misses.append((held["actual"] - held["expected"]).abs().mean())
    assert misses[1] < 0.9 * misses[0]


def test_what_came_once_is_no_season():
    """A campaign of one year, thrice as many orders for two months, foretells nothing of another."""
    once = company(
        seed=3, years=4, season=lambda day: 3.0 if (day.year, day.month // 2) == (2022, 2) else 1.0
    )
    assert find_season(once, until=UNTIL) is None


def test_nothing_is_known_of_less_than_two_years():
    bought = company(seed=4, years=1.9, customers=3000, season=christmas)
    assert find_season(bought, until=UNTIL) is None
    assert find_season(purchases_of([("ann", UNTIL, 5, None)]), until=UNTIL) is None
    everyone = [(p, UNTIL - dt.timedelta(days=900), 5, None) for p in "abcdef"]
    assert find_season(purchases_of(everyone), until=UNTIL) is None  # nobody came back
