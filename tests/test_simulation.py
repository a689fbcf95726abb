"""The simulated company: each parameter found again in what it does, and in its files."""

import csv
import datetime as dt
import functools
import hashlib
import io
import json
import math
import os
import shutil
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import statsmodels.api as sm
from lifetimes import ParetoNBDFitter
from pydantic import ValidationError
from scipy import stats

from loyaltylab import __main__ as command
from loyaltylab import contract, engine, simulation, validation
from loyaltylab.errors import LabError
from loyaltylab.simulation import (
    acquisition,
    baskets,
    behaviour,
    calendar,
    exports,
    folder,
    people,
    records,
    surveys,
    visits,
)
from loyaltylab.world import World

ROOT = Path(__file__).parents[1]
YEAR = 365.25
DATA = ("given_name", "family_name", "email", "phone", "birth_date", "street", "postcode", "city")

RATES = {
    "purchase_shape": 1.1,
    "purchases_per_year": 2.2,
    "dropout_shape": 0.8,
    "dropouts_per_year": 2,
}
# Every effect off: what is left is the Pareto/NBD model, and Gamma-Gamma spend.
OFF = RATES | {
    "order_value": 62,
    "order_shape": 4,
    "customer_shape": 5,
    "ticket_rate": 0,
    "hazard_ratio": 1,
    "channel_effect": 0,
    "holiday_newcomers": 1,
    "holiday_purchase_ratio": 1,
    "holiday_dropout_ratio": 1,
    "holiday_purchases": 1,
    "regular_share": 0,
}
NO_ERRORS = dict.fromkeys(
    ("missing_rate", "typo_rate", "swap_rate", "nickname_rate", "transcription_rate"), 0
)


@pytest.fixture(scope="module", autouse=True)
def names():
    """Those of a seed are drawn once: it takes half a second."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(people, "Pools", functools.lru_cache(people.Pools))
        yield


# ---- Within sampling error: four standard errors, or a p-value above 1e-4.


def within(z, what):
    assert abs(z) < 4, f"z = {z:.1f}: {what}"


def shares(happened, chance):
    """Each happens by its own chance."""
    happened = np.asarray(happened, float)
    chance = np.broadcast_to(np.asarray(chance, float), happened.shape)
    n, error = len(happened), math.sqrt((chance * (1 - chance)).sum())
    assert n >= 200, f"n = {n} shows nothing"
    if error == 0:
        assert (happened == chance).all()
    else:
        what = f"{happened.mean():.4f} of n = {n:,}, expected {chance.mean():.4f}"
        within((happened - chance).sum() / error, what)


def counts(number, chance):
    """So many of those that each happen by a chance."""
    chance = np.asarray(chance)
    what = f"{number:,} of n = {len(chance):,}, expected {chance.sum():,.0f}"
    within((number - chance.sum()) / math.sqrt((chance * (1 - chance)).sum()), what)


def averages(values, expected):
    off = np.asarray(values, float) - expected
    n = len(off)
    assert n >= 200, f"n = {n} shows nothing"
    what = f"off by {off.mean():.4f} in the mean of n = {n:,}"
    within(off.mean() / (off.std() / math.sqrt(n)), what)


def follows(values, law):
    assert len(values) >= 200
    found = stats.kstest(values, law.cdf)
    assert found.pvalue > 1e-4, f"n = {len(values):,}, D = {found.statistic:.4f}"


def falls(counts, chances):
    """Counts of kinds by their chances, by chi-square."""
    chances = np.asarray(chances) / np.sum(chances)
    expected = chances * np.sum(counts)
    assert expected.min() >= 5
    found = stats.chisquare(counts, expected)
    assert found.pvalue > 1e-4, f"n = {np.sum(counts):,}: {counts} instead of {expected.round(1)}"


def coefficients(model, expected):
    fitted = model.fit()
    for name, value in expected.items():
        what = f"{name} is {fitted.params[name]:.3f}, expected {value:.3f}, n = {fitted.nobs:,.0f}"
        within((fitted.params[name] - value) / fitted.bse[name], what)


def observed(world, lived):
    """Years from each customer's first order to the end."""
    return (world.days - lived.customers["acquired"].to_numpy()) / YEAR


def counted(lived):
    """Orders of each customer."""
    return np.bincount(lived.orders["customer"], minlength=len(lived.customers))


# ---- The days.


def days_of(world):
    return [world.first_day + dt.timedelta(day) for day in range(world.days)]


def in_season(day):
    return (11, 24) <= (day.month, day.day) <= (12, 24)


@pytest.mark.parametrize(("growth", "ratio"), [(1.3, 2.5), (0.6, 4), (1, 1)])
def test_newcomers_grow_and_come_in_the_season(growth, ratio):
    world = World(growth=growth, holiday_newcomers=ratio)
    flow = calendar.newcomer_shares(world)
    days = days_of(world)
    assert len(flow) == len(days) == 1096 and flow.sum() == pytest.approx(1)
    season = np.where([in_season(day) for day in days], ratio, 1)
    # From a weekday to the same one a week later nothing else differs.
    expected = growth ** (7 / YEAR) * season[7:] / season[:-7]
    assert flow[7:] / flow[:-7] == pytest.approx(expected)
    assert flow[:7].max() / flow[:7].min() < 1.5  # so much may weekdays differ


def test_cohorts_have_their_size():
    world = World(customers=60_000, seed=3)
    came = acquisition.newcomers(world)
    assert len(came) == 60_000 and came["acquired"].is_monotonic_increasing
    per_day = np.bincount(came["acquired"].astype(int), minlength=world.days)
    falls(per_day, calendar.newcomer_shares(world))
    follows(came["acquired"] % 1, stats.uniform)
    days = days_of(world)
    season = [in_season(days[int(time)]) for time in came["acquired"]]
    assert came["holiday"].tolist() == season
    months = pd.PeriodIndex(days, freq="M")
    flow = pd.Series(calendar.newcomer_shares(world)).groupby(months).sum()
    falls(pd.Series(per_day).groupby(months).sum().to_numpy(), flow.to_numpy())


def test_a_moment_keeps_its_day_and_its_place():
    world = World(first_year=2024, years=1)
    time = np.sort(np.random.default_rng(1).uniform(0, 366, 5000))
    time[-1] = np.nextafter(366, 0)
    stamps = calendar.timestamps(world, np.append(time, np.nan))
    assert np.isnat(stamps[-1]) and not np.isnat(stamps[:-1]).any()
    assert (np.diff(stamps[:-1]) >= np.timedelta64(0, "s")).all()
    day = np.datetime64("2024-01-01") + np.floor(time).astype(int)
    assert (stamps[:-1].astype("datetime64[D]") == day).all()


# ---- Who comes, and at what cost.


@pytest.mark.parametrize(("purchases", "dropouts"), [(0.6, 1.6), (2.0, 0.5), (1, 1)])
def test_holiday_newcomers_differ_as_stated(purchases, dropouts):
    ratios = {"holiday_purchase_ratio": purchases, "holiday_dropout_ratio": dropouts}
    world = World(customers=40_000, channel_effect=0, seed=4, **ratios, **RATES)
    won = behaviour.simulate(world).customers
    for holiday, buys, drops in ((False, 1, 1), (True, purchases, dropouts)):
        who = won[won["holiday"] == holiday]
        follows(who["purchase_rate"], stats.gamma(1.1, scale=2.2 * buys / 1.1))
        follows(who["dropout_rate"], stats.gamma(0.8, scale=2.0 * drops / 0.8))


@pytest.mark.parametrize("effect", [0, 1, 2])
def test_channels_differ_as_stated(effect):
    world = World(customers=60_000, seed=5, **OFF | {"channel_effect": effect})
    won = behaviour.simulate(world).customers
    channels = acquisition.CHANNELS
    falls(np.bincount(won["channel"]), channels["share"])
    for code, channel in enumerate(channels.itertuples()):
        who = won[won["channel"] == code]
        buys, drops = channel.purchase_ratio**effect, channel.dropout_ratio**effect
        follows(who["purchase_rate"], stats.gamma(1.1, scale=2.2 * buys / 1.1))
        follows(who["dropout_rate"], stats.gamma(0.8, scale=2.0 * drops / 0.8))


def test_a_newcomer_costs_what_is_said():
    world = World(cost_per_newcomer=31, seed=6)
    paid = acquisition.spend(world)
    assert paid["date"].nunique() == 1096 and "direct" not in set(paid["channel"])
    # A day's spend spreads by a quarter around its mean.
    spread = math.sqrt(math.exp(0.25**2) - 1)
    error = spread * math.sqrt((paid["amount"] ** 2).sum()) / world.customers
    within((paid["amount"].sum() / world.customers - 31) / error, paid["amount"].sum())
    total = paid.groupby("channel")["amount"].sum()
    channels = acquisition.CHANNELS.set_index("channel")
    per_head = total / (channels["share"] * world.customers)[total.index]
    ratio = per_head / per_head["search"]
    # 1,096 days of each: their sums spread by less than 2 %.
    assert ratio.to_numpy() == pytest.approx(channels["cost"][total.index].to_numpy(), rel=0.06)
    assert (paid["clicks"] <= paid["impressions"]).all()
    assert acquisition.spend(World(cost_per_newcomer=0))["amount"].sum() == 0


# ---- With every effect off: the Pareto/NBD model.


@pytest.fixture(scope="module")
def plain():
    world = World(customers=40_000, seed=7, **OFF)
    return world, behaviour.simulate(world)


def test_repeat_purchases_are_those_of_the_closed_form(plain):
    world, lived = plain
    r, alpha, s, beta = 1.1, 1.1 / 2.2, 0.8, 0.8 / 2.0
    t = observed(world, lived)
    # E[X(t)], Schmittlein, Morrison & Colombo 1987, equation 17.
    expected = r * beta / (alpha * (s - 1)) * (1 - (beta / (beta + t)) ** (s - 1))
    for years in (t < 1, (t >= 1) & (t < 2), t >= 2):
        averages((counted(lived) - 1)[years], expected[years])


def test_the_likelihood_is_greatest_at_the_parameters(plain):
    world, lived = plain
    times = lived.orders.groupby("customer")["time"].agg(["min", "max"]).to_numpy() / YEAR
    data = (counted(lived) - 1, times[:, 1] - times[:, 0], observed(world, lived))

    def score_test(values):
        """Rao's: whether the log-likelihood's slope at these parameters is none."""
        step = 1e-4
        slopes = []
        for at in range(4):
            near = [list(values), list(values)]
            near[0][at] *= math.exp(step)
            near[1][at] *= math.exp(-step)
            up, down = (ParetoNBDFitter._conditional_log_likelihood(v, *data) for v in near)
            slopes.append((up - down) / (2 * step))
        total = np.sum(slopes, axis=1)
        statistic = total @ np.linalg.solve(np.array(slopes) @ np.transpose(slopes), total)
        return stats.chi2.sf(statistic, 4)

    right = [1.1, 1.1 / 2.2, 0.8, 0.8 / 2.0]
    assert score_test(right) > 1e-4
    for at in range(4):  # it would see a tenth of a difference
        wrong = list(right)
        wrong[at] *= 1.1
        assert score_test(wrong) < 1e-4


def test_the_share_left_is_the_mixture(plain):
    world, lived = plain
    left = lived.customers["left_at"].to_numpy()
    acquired, t = lived.customers["acquired"].to_numpy(), observed(world, lived)
    for years in (0.1, 0.5, 1, 2.5):
        seen = t >= years
        gone = left[seen] - acquired[seen] <= years * YEAR
        shares(gone, 1 - (0.4 / (0.4 + years)) ** 0.8)
    shares(~np.isnan(left), 1 - np.exp(-lived.customers["dropout_rate"].to_numpy() * t))
    last = lived.orders.groupby("customer")["time"].max().to_numpy()
    assert (np.isnan(left) | (left > last)).all() and np.nanmax(left) < world.days


def test_nobody_leaves_without_a_hazard():
    world = World(customers=2000, dropouts_per_year=0)
    assert behaviour.simulate(world).customers["left_at"].isna().all()


# ---- When they buy.

STEADY = OFF | {"dropouts_per_year": 0, "purchase_shape": 20, "purchases_per_year": 30, "years": 2}


@pytest.fixture(scope="module")
def steady():
    """Half of them regular; all buy so often that each has gaps in the second year."""
    world = World(customers=4000, seed=8, **STEADY | {"regular_share": 0.5, "regularity": 6})
    return world, behaviour.simulate(world)


def test_gaps_are_exponential_or_regular(steady):
    _, lived = steady
    regular = lived.customers["regular"].to_numpy()
    shares(regular, 0.5)
    orders = lived.orders.pivot(index="customer", columns="nth", values="time").to_numpy()
    rate = lived.customers["purchase_rate"].to_numpy() / YEAR
    early = orders[:, 0] < YEAR
    for shape, who in ((1, early & ~regular), (6, early & regular)):
        gaps = (np.diff(orders[who, :3]) * rate[who, None]).T
        follows(gaps[0], stats.gamma(shape, scale=1 / shape))
        follows(gaps[1], stats.gamma(shape, scale=1 / shape))
        assert stats.spearmanr(*gaps).pvalue > 1e-4


def test_counts_vary_as_poisson_ones_or_less(steady):
    world, lived = steady
    expected = lived.customers["purchase_rate"].to_numpy() * observed(world, lived)
    repeats = counted(lived) - 1
    regular = lived.customers["regular"].to_numpy()
    some, often = ~regular & (expected > 5), regular & (expected > 15)
    averages(repeats[some], expected[some])
    # Each of its terms has variance 2 + 1/expected under Poisson.
    terms = (repeats - expected)[some] ** 2 / expected[some]
    error = math.sqrt((2 + 1 / expected[some]).sum())
    within((terms - 1).sum() / error, f"dispersion {terms.mean():.3f}")
    # A renewal process starts with a whole gap: half a gap less one sixth are lost.
    averages(repeats[often], expected[often] - (1 - 1 / 6) / 2)
    ratio = (repeats - expected)[often].var() / expected[often].mean()
    assert ratio == pytest.approx(1 / 6, rel=0.15)


def test_regularity_of_one_is_no_regularity():
    one = World(customers=500, seed=9, **OFF | {"regular_share": 1, "regularity": 1})
    none = World(customers=500, seed=9, **OFF)
    pd.testing.assert_frame_equal(behaviour.simulate(one).orders, behaviour.simulate(none).orders)


@pytest.mark.parametrize("ratio", [1.7, 1])
def test_they_buy_faster_in_the_season(ratio):
    world = World(customers=4000, seed=10, **STEADY | {"holiday_purchases": ratio})
    lived = behaviour.simulate(world)
    acquired = lived.customers["acquired"].to_numpy()
    within_season = np.zeros(len(acquired))
    for year in (2023, 2024):
        start, end = ((dt.date(year, *day) - world.first_day).days for day in ((11, 24), (12, 25)))
        within_season += np.clip(end - np.maximum(acquired, start), 0, end - start)
    outside = world.days - acquired - within_season
    rate = lived.customers["purchase_rate"].to_numpy() / YEAR
    repeats = lived.orders[lived.orders["nth"] > 0]["time"]
    days = days_of(world)
    season = np.array([in_season(days[int(time)]) for time in repeats])
    for found, expected in (
        (season.sum(), ratio * (rate * within_season).sum()),
        ((~season).sum(), (rate * outside).sum()),
    ):
        within((found - expected) / math.sqrt(expected), f"{found} orders, not {expected:.0f}")


# ---- Satisfaction, and what it does.


def at_risk(world, lived):
    """Grain: one stretch of time in which a customer's satisfaction stays as it is."""
    felt, orders = lived.moods, lived.orders
    customer, start = felt["customer"].to_numpy(), felt["time"].to_numpy()
    left = lived.customers["left_at"].to_numpy()[customer]
    following = felt.groupby("customer")["time"].shift(-1).to_numpy()
    end = np.fmin(np.fmin(following, left), world.days)
    bought = orders["time"].to_numpy()[behaviour.latest(orders, customer, start)]
    return pd.DataFrame(
        {
            "days": end - start,
            "leaves": end == left,
            "satisfaction": felt["satisfaction"],
            "tenure": (bought - lived.customers["acquired"].to_numpy()[customer]) / YEAR,
            "rate": lived.customers["dropout_rate"].to_numpy()[customer],
        }
    ).query("days > 0")


@pytest.mark.parametrize(("ratio", "confounding"), [(0.5, 0), (1, 0), (1.6, 0.8)])
def test_satisfaction_and_tenure_move_the_hazard_as_stated(ratio, confounding):
    given = {"hazard_ratio": ratio, "tenure_confounding": confounding}
    # Many leave while they wait for a reply, and many after it.
    service = {"ticket_rate": 0.4, "wait_hours": 700, "purchases_per_year": 5}
    world = World(customers=20_000, seed=11, dropouts_per_year=3, **given, **service)
    lived = behaviour.simulate(world)
    risk = at_risk(world, lived)
    assert risk["leaves"].sum() == lived.customers["left_at"].notna().sum()
    # Exponential hazards are a Poisson regression with the time at risk as its exposure.
    model = sm.GLM(
        risk["leaves"].astype(float),
        sm.add_constant(risk[["satisfaction", "tenure"]]),
        family=sm.families.Poisson(),
        offset=np.log(risk["rate"] * risk["days"] / YEAR),
    )
    expected = {"const": 0, "satisfaction": math.log(ratio), "tenure": -confounding}
    coefficients(model, expected)


def test_without_a_hazard_ratio_tickets_change_no_order():
    off = {"customers": 500, "hazard_ratio": 1, "ticket_rate": 0.9}
    calm, upset = (
        behaviour.simulate(World(**off, ticket_effect=effect, wait_effect=effect))
        for effect in (0, -5)
    )
    pd.testing.assert_frame_equal(calm.orders, upset.orders)
    pd.testing.assert_frame_equal(calm.customers, upset.customers)
    assert upset.moods["satisfaction"].mean() < calm.moods["satisfaction"].mean() - 1


def test_satisfaction_varies_by_one(plain):
    _, lived = plain
    follows(lived.customers["level"], stats.norm(scale=math.sqrt(0.5)))
    at = lived.orders["nth"].to_numpy()
    assert len(lived.moods) == len(at)  # without tickets, one at each order
    for nth in (0, 1, 4):
        follows(lived.moods["satisfaction"][at == nth], stats.norm)


@pytest.fixture(scope="module")
def troubled():
    service = {"ticket_rate": 0.5, "wait_hours": 100, "satisfaction_memory": 0.8}
    effects = {"ticket_effect": -0.9, "wait_effect": -0.6, "hazard_ratio": 0.5}
    world = World(customers=10_000, seed=12, purchases_per_year=6, **service, **effects)
    return world, behaviour.simulate(world)


def test_tickets_come_at_their_rate(troubled):
    world, lived = troubled
    orders, tickets = lived.orders, lived.tickets
    has = np.isin(np.arange(len(orders)), tickets["order"])
    early = (
        orders["time"].to_numpy() < world.days - 90
    )  # a ticket comes three days after, on average
    shares(has[early], 0.5)
    wait = (tickets["replied"] - tickets["opened"])[tickets["opened"] < world.days - 400] * 24
    assert wait.notna().all()
    shares(wait <= 100, 0.5)  # a median
    assert stats.kstest(np.log(wait / 100), "norm", (0, 0.9)).pvalue > 1e-4
    falls(np.bincount(tickets["topic"]), behaviour.TOPIC_SHARES)
    assert (orders["customer"].to_numpy()[tickets["order"]] == tickets["customer"]).all()
    assert (orders["time"].to_numpy()[tickets["order"]] < tickets["opened"]).all()
    assert (tickets["opened"] < tickets["replied"].fillna(np.inf)).all()
    assert tickets[["opened", "replied", "resolved"]].max().max() <= world.days


def test_a_ticket_moves_satisfaction_by_its_effect_and_its_wait(troubled):
    _, lived = troubled
    felt, tickets = lived.moods, lived.tickets
    following = lived.orders.groupby("customer")["time"].shift(-1).to_numpy()[tickets["order"]]
    between = tickets[tickets["resolved"] < following]
    customer, closed = between["customer"].to_numpy(), between["resolved"].to_numpy()
    row = behaviour.latest(felt, customer, closed)
    assert (felt["customer"].to_numpy()[row] == customer).all()
    assert (felt["time"].to_numpy()[row] == closed).all() and len(row) > 5000
    satisfaction = felt["satisfaction"].to_numpy()
    wait = (between["replied"] - between["opened"]) * 24
    expected = -0.9 - 0.6 * np.log(wait / 100)
    assert satisfaction[row] - satisfaction[row - 1] == pytest.approx(expected, abs=1e-6)


def test_a_mood_is_remembered_at_the_next_order(troubled):
    _, lived = troubled
    felt = lived.moods
    level = lived.customers["level"].to_numpy()[felt["customer"]]
    mood = felt["satisfaction"].to_numpy() - level
    order = felt.merge(lived.orders, how="left", on=["customer", "time"])["nth"].to_numpy()
    # A case that the next order closes stands first at that order's time.
    last_at = ~felt.duplicated(["customer", "time"], keep="last").to_numpy()
    later = np.flatnonzero((order > 0) & last_at)
    assert len(later) == (lived.orders["nth"] > 0).sum()
    follows(mood[later] - 0.8 * mood[later - 1], stats.norm(scale=math.sqrt(0.5 * (1 - 0.8**2))))


def test_moods_change_at_orders_and_closed_cases_alone(troubled):
    _, lived = troubled
    orders, tickets = lived.orders, lived.tickets
    following = orders.groupby("customer")["time"].shift(-1).to_numpy()[tickets["order"]]
    closed = np.fmin(tickets["resolved"].to_numpy(), following)
    known = set(zip(orders["customer"], orders["time"], strict=True))
    known |= set(zip(tickets["customer"], closed, strict=True))
    changes = zip(lived.moods["customer"], lived.moods["time"], strict=True)
    assert [change for change in changes if change not in known] == []


def test_satisfaction_is_that_of_the_last_change():
    lived = behaviour.simulate(World(customers=100, seed=13, ticket_rate=0.5, hazard_ratio=1))
    rng = np.random.default_rng(1)
    felt = list(lived.moods.itertuples(index=False))
    who = rng.integers(0, 100, 300)
    first = lived.customers["acquired"].to_numpy()[who]
    when = first + rng.random(300) * (1096 - first)
    again = lived.moods.sample(50, random_state=1)  # at the very time of a change, too
    who = np.concatenate([who, again["customer"]])
    when = np.concatenate([when, again["time"]])
    expected = [
        [m.satisfaction for m in felt if m.customer == customer and m.time <= time][-1]
        for customer, time in zip(who, when, strict=True)
    ]
    assert lived.satisfaction(who, when).tolist() == expected


# ---- Surveys.


@pytest.fixture(scope="module")
def lived():
    """Lives of the default company's customers; surveys may be held among them."""
    return behaviour.simulate(World(customers=30_000, seed=14))


def survey(lived, **given):
    world = World(customers=len(lived.customers), seed=14, **given)
    return surveys.simulate(world, lived)


def years_since_first(asked, lived):
    return (asked["sent"] - lived.customers["acquired"].to_numpy()[asked["customer"]]) / YEAR


@pytest.mark.parametrize(
    ("rate", "satisfaction", "tenure"), [(0.2, 0.5, 0.2), (0.35, -0.9, 0.7), (0.1, 0, 0)]
)
def test_answers_come_as_stated(lived, rate, satisfaction, tenure):
    given = {"response_by_satisfaction": satisfaction, "response_by_tenure": tenure}
    asked = survey(lived, response_rate=rate, **given)
    answered = asked["answered"].notna()
    shares(answered, rate)
    design = pd.DataFrame(
        {"satisfaction": asked["satisfaction"], "tenure": years_since_first(asked, lived)}
    )
    model = sm.GLM(answered.astype(float), sm.add_constant(design), family=sm.families.Binomial())
    coefficients(model, {"satisfaction": satisfaction, "tenure": tenure})


def test_what_is_not_answered_is_missing(lived):
    asked = survey(lived, comment_rate=0.3)
    answered = asked["answered"].notna()
    assert (asked["score"].isna() == ~answered).all()
    assert (asked["score"] == asked["told"])[answered].all() and asked["told"].notna().all()
    assert (asked["answered"] > asked["sent"])[answered].all() and asked["answered"].max() < 1096
    assert asked["sent"].is_monotonic_increasing and asked["sent"].max() < 1096
    assert not asked["comment"][~answered].any()
    shares(asked["comment"][answered], 0.3)
    at = lived.satisfaction(asked["customer"].to_numpy(), asked["sent"].to_numpy())
    assert (asked["satisfaction"] == at).all()


def test_as_many_are_asked_as_stated(lived):
    asked = survey(lived, nps_share=0.3, csat_share=0.6, ces_share=0.9)
    nps, csat, ces = (asked[asked["instrument"] == code] for code in range(3))
    assert surveys.INSTRUMENTS == ("nps", "csat", "ces")
    acquired = lived.customers["acquired"].to_numpy()
    first = acquired + 60
    shares(np.isin(first, nps["sent"])[first < 1096], 0.3)
    years = (nps["sent"].to_numpy() - first[nps["customer"]]) / YEAR
    assert years == pytest.approx(np.round(years), abs=1e-9) and set(np.round(years)) == {0, 1, 2}
    # A year later those are asked who have ordered within two years.
    second = first + YEAR
    shares(np.isin(second, nps["sent"])[second < 1096], 0.3)
    third = first + 2 * YEAR
    last = lived.orders.groupby("customer")["time"].max().to_numpy()
    still = (last >= third - 2 * YEAR) & (third < 1096)
    assert (acquired < last)[still].all()
    shares(np.isin(third, nps["sent"])[still & (last < third)], 0.3)
    assert not np.isin(third, nps["sent"])[~still].any()

    # Asked 3 to 8 days after an order, and within a day after a case, if that is before the end.
    counts(len(csat), 0.6 * np.clip((1096 - 3 - lived.orders["time"]) / 5, 0, 1))
    resolved = lived.tickets["resolved"].dropna()
    counts(len(ces), 0.9 * np.clip((1096 - 0.1 - resolved) / 0.9, 0, 1))
    assert len(survey(lived, nps_share=0, csat_share=0, ces_share=0)) == 0


def score_of(instrument, latent):
    """The latent answer's place among the thresholds that the shares make, one at a time."""
    least = {"nps": 0, "csat": 1, "ces": 1, "review": 1}[instrument]
    cuts = stats.norm.ppf(np.cumsum(surveys.SCORE_SHARES[instrument])[:-1])
    return least + sum((latent > cut).astype(int) for cut in cuts)


def test_scores_have_their_shares_where_satisfaction_is_normal(plain):
    world, lived = plain
    asked = survey(lived, csat_share=1, nps_share=1, hazard_ratio=1, ticket_rate=0)
    for code, instrument in ((0, "nps"), (1, "csat")):
        first = asked[asked["instrument"] == code].drop_duplicates("customer")
        least = score_of(instrument, np.array([-9.0]))[0]
        told = np.bincount((first["told"] - least).astype(int))
        falls(told, surveys.SCORE_SHARES[instrument])
    given = world.model_copy(update={"review_rate": 0.5})
    wrote = surveys.reviews(given, lived)
    first = wrote.drop_duplicates("customer")
    falls(np.bincount(first["stars"].astype(int))[1:], surveys.SCORE_SHARES["review"])
    # Posted nine days after the order in the mean, if that is before the end.
    counts(len(wrote), 0.5 * (1 - np.exp(-(world.days - lived.orders["time"]) / 9)))
    # Cases that leave no trace: whoever has one is like anybody.
    off = {"hazard_ratio": 1, "ticket_effect": 0, "wait_effect": 0, "ticket_rate": 0.5}
    calm = behaviour.simulate(World(customers=30_000, seed=15, **off))
    asked = survey(calm, ces_share=1)
    first = asked[asked["instrument"] == 2].drop_duplicates("customer")
    falls(np.bincount(first["told"].astype(int))[1:], surveys.SCORE_SHARES["ces"])


@pytest.mark.parametrize("reliability", [0, 0.4, 0.75])
def test_scores_are_as_reliable_as_stated(lived, reliability):
    asked = survey(lived, score_reliability=reliability)
    noise = math.sqrt(1 - reliability**2)
    for code, instrument in enumerate(surveys.INSTRUMENTS):
        these = asked[asked["instrument"] == code]
        content = these["satisfaction"].to_numpy()
        cuts = stats.norm.ppf(np.cumsum(surveys.SCORE_SHARES[instrument])[:-1])
        least = score_of(instrument, np.array([-9.0]))[0]
        for above, cut in enumerate(cuts, least + 1):
            chance = stats.norm.sf((cut - reliability * content) / noise)
            better = (these["told"] >= above).to_numpy()
            shares(better, chance)
            # …and by as much at each satisfaction.
            error = math.sqrt((content**2 * chance * (1 - chance)).sum())
            within((content * (better - chance)).sum() / error, (instrument, above))


@pytest.mark.parametrize(("reverse", "confounding"), [(0, 0), (1.5, 0), (0, 0.8), (2, 1)])
def test_a_reliable_score_is_satisfaction_and_what_distorts_it(lived, reverse, confounding):
    given = {"reverse_causality": reverse, "tenure_confounding": confounding}
    asked = survey(lived, score_reliability=1, **given)
    gone = lived.customers["left_at"].to_numpy()[asked["customer"]] <= asked["sent"]
    assert 0.1 < gone.mean() < 0.9
    latent = asked["satisfaction"] + confounding * years_since_first(asked, lived) - reverse * gone
    for code, instrument in enumerate(surveys.INSTRUMENTS):
        these = asked["instrument"] == code
        expected = score_of(instrument, latent[these].to_numpy())
        assert (asked["told"][these] == expected).all()


# ---- Orders.


@pytest.fixture(scope="module")
def shop():
    world = World(customers=60_000, seed=16, return_rate=0.09, cancellation_rate=0.02)
    lived = behaviour.simulate(world)
    return world, lived, baskets.simulate(world, lived)


@pytest.mark.parametrize("value", [62, 400])
def test_an_order_is_worth_what_is_said(value):
    world = World(customers=40_000, seed=17, **OFF | {"order_value": value})
    lived = behaviour.simulate(world)
    follows(value * 4 / lived.customers["order_value"], stats.gamma(5))
    sold = baskets.simulate(world, lived).orders["amount"]
    own = lived.customers["order_value"].to_numpy()[lived.orders["customer"]]
    averages(sold / own, 1)
    follows((sold / own)[:20_000], stats.gamma(4, scale=1 / 4))


def test_orders_spread_as_their_shape_says():
    world = World(customers=20_000, seed=18, **OFF | {"order_shape": 1.5, "customer_shape": 12})
    lived = behaviour.simulate(world)
    own = lived.customers["order_value"]
    follows(62 * 11 / own, stats.gamma(12))
    sold = baskets.simulate(world, lived).orders["amount"]
    ratio = sold / own.to_numpy()[lived.orders["customer"]]
    averages((ratio - 1) ** 2, 1 / 1.5)


@pytest.mark.parametrize("correlation", [-0.6, 0, 0.7])
def test_spend_and_rate_correlate_as_stated(correlation):
    world = World(customers=20_000, seed=19, spend_rate_correlation=correlation, **OFF)
    won = behaviour.simulate(world).customers
    found = stats.spearmanr(won["purchase_rate"], won["order_value"]).statistic
    expected = 6 / math.pi * math.asin(correlation / 2)  # of a Gaussian copula
    # Fisher's z of a rank correlation has a standard error of about 1.03 / sqrt(n).
    within((math.atanh(found) - math.atanh(expected)) * math.sqrt(20_000) / 1.03, found)
    follows(won["purchase_rate"], stats.gamma(1.1, scale=2.0))
    follows(62 * 4 / won["order_value"], stats.gamma(5))


def test_lines_add_up_to_their_order(shop):
    _, lived, sold = shop
    lines = sold.lines
    cents = (lines["unit_price"] * 100).round().astype(int) * lines["quantity"]
    total = cents.groupby(lines["order"]).sum()
    assert len(total) == len(lived.orders) == len(sold.orders)
    assert ((sold.orders["amount"] * 100).round().astype(int) == total).all()
    assert (sold.orders["amount"] == sold.orders["amount"].round(2)).all()
    assert lines.groupby("product")["unit_price"].nunique().max() == 1
    assert lines.groupby("product")["category"].nunique().max() == 1
    assert (lines["line"] == lines.groupby("order").cumcount()).all()
    first = lines[lines["line"] == 0]["category"].to_numpy()
    assert (sold.orders["first_category"] == first).all()
    assert (lines["unit_price"] > 0).all() and set(lines["quantity"]) == {1, 2}


def test_returns_and_cancellations_come_at_their_rates(shop):
    _, _, sold = shop
    orders = sold.orders
    shares(orders["cancelled"], 0.02)
    shares(orders["returned"][~orders["cancelled"]] > 0, 0.09)
    assert not orders["returned"][orders["cancelled"]].any()
    assert (orders["returned"] <= orders["amount"]).all() and (orders["returned"] >= 0).all()


def test_the_highest_rate_of_returns_is_reached(shop):
    _, lived, _ = shop
    rate = World.bounds("return_rate")[1]
    world = World(customers=60_000, seed=16, return_rate=rate)
    orders = baskets.simulate(world, lived).orders
    shares(orders["returned"][~orders["cancelled"]] > 0, rate)


@pytest.mark.parametrize("margin", [0, 0.38, World.bounds("margin")[1]])
def test_the_margin_is_that_share_of_sales(shop, margin):
    _, lived, _ = shop
    world = World(customers=60_000, seed=16, margin=margin)
    orders = baskets.simulate(world, lived).orders
    assert (orders["margin"] <= orders["amount"]).all() and (orders["margin"] >= 0).all()
    if margin == 0:
        assert not orders["margin"].any()
        return
    over = orders["margin"] - margin * orders["amount"]
    of_customer = over.groupby(lived.orders["customer"]).sum()  # orders of one are alike
    averages(of_customer, 0)


# ---- Who they are.


@pytest.fixture(scope="module")
def everybody():
    given = {"namesake_share": 0.05, "shared_email_share": 0, "household_share": 0.3}
    given |= {"german_share": 0.4, "norwegian_share": 0.35, "moves_per_year": 0.08}
    given |= {"marriages_per_year": 0.1, "email_changes_per_year": 0.06}
    world = World(customers=20_000, **given)
    return world, people.people(world)


def test_names_end_in_plain_letters():
    assert people.fold("Müller-Lüdenscheidt") == "muellerluedenscheidt"
    assert people.fold("Øyvind Ås Æsir") == "oeyvindaasaesir"
    assert people.fold("Strauß") == "strauss"


def test_households_share_an_address_and_a_move(everybody):
    _, who = everybody
    table = who.table
    together = table[table["household"] >= 0].groupby("household")
    sizes = together.size()
    assert set(sizes) == {2, 3} and abs(sizes.sum() - 0.3 * 20_000) <= 2
    same = ["locale", "street", "number", "place", "street_new", "number_new", "place_new"]
    assert (together[[*same, "moved_at"]].nunique(dropna=False) == 1).all(axis=None)
    shares(table["locale"][table["household"] < 0] == 0, 0.4)
    shares(table["locale"][table["household"] < 0] == 1, 0.35)
    assert people.LOCALES == ("de", "nb", "en") and people.COUNTRIES == ("DE", "NO", "GB")


def test_who_lives_with_another_may_use_their_email():
    who = people.people(World(customers=20_000, shared_email_share=0.4))
    table = who.table.assign(now=who.emails[0], then=who.emails[1])
    assert not table["now"][table["household"] < 0].duplicated().any()
    of_first = table.groupby("now")["household"].transform("nunique")
    assert (of_first == 1).all()  # nobody else has it
    members = table[table["household"] >= 0]
    sizes, addresses = members.groupby("household").size(), members.groupby("household")["now"]
    counts((sizes - addresses.nunique()).sum(), np.full((sizes - 1).sum(), 0.4))
    both = members[members["now"].duplicated(keep=False)].groupby("now")
    assert (both[["then", "email_changed_at"]].nunique(dropna=False) == 1).all(axis=None)


def test_an_email_is_made_of_the_name(everybody):
    _, who = everybody
    table, pools = who.table, who.pools
    assert len(set(who.emails.ravel())) == 2 * len(table)
    for after in (0, 1):
        for person, row in table.head(3000).iterrows():
            local, domain = who.emails[after, person].split("@")
            given = people.fold(pools.given[row["given"]])
            married = after and row["married_at"] <= row["email_changed_at"]
            family = people.fold(pools.family[row["family_married" if married else "family"]])
            year = row["birth"][2:4]
            assert domain.endswith(".example")
            assert local.split("_")[0] in (
                f"{given}.{family}",
                f"{given}{family}",
                f"{given[0]}.{family}",
                f"{family}.{given}",
                f"{given}.{family}{year}",
                f"{given}{year}",
            )


def test_changes_come_at_their_rates(everybody):
    world, who = everybody
    table = who.table
    alone = table["household"] < 0
    for moment, rate in (("moved_at", 0.08), ("married_at", 0.1), ("email_changed_at", 0.06)):
        happened = table[moment][alone]
        shares(happened.notna(), 1 - math.exp(-rate * world.days / YEAR))
        early = happened[happened < world.days / 3]
        shares(happened < world.days / 3, 1 - math.exp(-rate * world.days / 3 / YEAR))
        assert early.min() > 0
    off = dict.fromkeys(("moves_per_year", "marriages_per_year", "email_changes_per_year"), 0)
    still = people.people(World(customers=300, **off)).table
    assert still[["moved_at", "married_at", "email_changed_at"]].isna().all(axis=None)


def test_namesakes_bear_the_name_of_somebody_else(everybody):
    _, who = everybody
    bears = who.table.duplicated(["given", "family"])
    # Of these, one in twenty has the name of somebody who was given another one.
    shares(bears, 0.05 * 0.95)
    none = people.people(World(customers=20_000, namesake_share=0)).table
    assert none.duplicated(["given", "family"]).mean() < 0.001


def test_people_are_what_their_country_has(everybody):
    world, who = everybody
    table, pools = who.table, who.pools
    start = {0: "49", 1: "47", 2: "44"}
    assert all(
        phone.startswith(start[locale]) and phone.isdigit()
        for phone, locale in zip(table["phone"], table["locale"], strict=True)
    )
    born = pd.to_datetime(table["birth"])
    age = (pd.Timestamp(world.first_day) - born).dt.days / YEAR
    assert age.min() >= 18 and age.max() <= 80.1
    shares(table["sex"][table["household"] < 0] == 0, 0.58)
    rng = np.random.default_rng(1)
    for person in rng.integers(0, len(table), 300).tolist():
        row = table.loc[person]
        low, high = pools.given_of[row["locale"]][row["sex"]]
        assert low <= row["given"] < high
        for name, spans in (("family", pools.family_of), ("street", pools.street_of)):
            low, high = spans[row["locale"]]
            assert low <= row[name] < high
        for new in (False, True):
            line, postcode, city = who.address(np.array([person]), np.array([new]))
            suffix = "_new" if new else ""
            street, number = pools.street[row["street" + suffix]], row["number" + suffix]
            british = row["locale"] == 2
            assert line[0] == (f"{number} {street}" if british else f"{street} {number}")
            place = row["place" + suffix]
            assert (postcode[0], city[0]) == (pools.postcode[place], pools.city[place])


# ---- The records of them.

SHOP, GUEST, CRM, SUPPORT, SURVEY = range(5)
CONTACT = {"given_name", "family_name", "email"}
ASKED = {
    SHOP: set(DATA),
    GUEST: set(DATA) - {"birth_date"},
    CRM: set(DATA),
    SUPPORT: CONTACT | {"phone"},
    SURVEY: CONTACT,
}
REQUIRED = {
    SHOP: {"email"},
    GUEST: {"email", "street", "postcode", "city"},
    CRM: {"family_name"},
    SUPPORT: set(),
    SURVEY: {"email"},
}
UMLAUTS = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "ø": "oe", "æ": "ae"}
UMLAUTS |= {big.upper(): two.capitalize() for big, two in UMLAUTS.items() if big != "ß"}


@pytest.fixture(scope="module")
def company():
    """The default company."""
    return simulation.simulate(World())


def kept(company, **given):
    """The records that the same company would keep with other parameters."""
    parts = (company.behaviour, company.people, company.consents, company.invitations)
    return records.records(World(**given), *parts, company.visits)


def transcribed(name):
    for letter, two in UMLAUTS.items():
        name = name.replace(letter, two)
    return name


def is_one_slip(right, wrong):
    """A letter left out, doubled, exchanged with the next, or another one; of a short one, added."""
    made = {right[:i] + right[i + 1 :] for i in range(len(right))}
    made |= {right[: i + 1] + right[i:] for i in range(len(right))}
    made |= {right[:i] + right[i + 1] + right[i] + right[i + 2 :] for i in range(len(right) - 1)}
    if wrong == right:
        return False
    if wrong in made or (len(right) < 3 and wrong[:-1] == right):
        return True
    return len(wrong) == len(right) and sum(map(str.__ne__, right, wrong)) == 1


def test_systems_are_numbered_as_here(company):
    assert records.SYSTEMS == ("shop", "guest", "crm", "support", "survey")
    assert records.FIELDS == DATA


@pytest.mark.parametrize("rate", [0.08, 0.4, 0])
def test_so_many_records_are_second_ones(company, rate):
    table = kept(company, duplicate_rate=rate).table
    assert len(table) > 30_000
    # Of all records: each first one has a second with odds of the rate.
    firsts = (~table["second"]).sum()
    odds = rate / (1 - rate)
    error = math.sqrt(firsts * odds * (1 - odds)) if rate else 1
    within((table["second"].sum() - firsts * odds) / error, f"{table['second'].mean():.4f}")
    within((table["second"].mean() - rate) * len(table) / error, f"{table['second'].mean():.4f}")
    later = table.duplicated(["system", "customer"])  # they stand in order of time
    assert (later == table["second"]).all()


def test_who_has_a_record_where(company):
    table, orders = company.records.table, company.behaviour.orders
    first = table[~table["second"]]
    systems = first.groupby("customer").size()
    assert systems.min() >= 1 and systems.max() == 4 and len(systems) == 20_000
    since = first.pivot(index="customer", columns="system", values="since")
    acquired = company.behaviour.customers["acquired"]
    assert (since[[SHOP, GUEST]].min(axis=1) == acquired).all()
    shares(since[GUEST] == acquired, company.world.guest_share)  # a guest's first order is one
    for system, events, moment in (
        (SUPPORT, company.behaviour.tickets, "opened"),
        (SURVEY, company.invitations, "sent"),
    ):
        pd.testing.assert_series_equal(
            since[system].dropna(), events.groupby("customer")[moment].min(), check_names=False
        )
    # The CRM takes its share within 120 days on average, of those whom not all others know.
    others = since[[SHOP, GUEST, SUPPORT, SURVEY]].isna().any(axis=1)
    chance = company.world.crm_share * (1 - np.exp(-(1096 - acquired) / 120))
    shares(since[CRM].notna()[others], chance[others])
    assert not since[CRM].notna()[~others].any()
    # Whoever opens an account stays with it.
    system = table["system"].to_numpy()[company.records.order_record]
    assert set(system) == {SHOP, GUEST}
    steps = pd.Series(system).groupby(orders["customer"]).diff()
    assert set(steps.dropna()) <= {0, SHOP - GUEST}
    from_guest = pd.Series(system).groupby(orders["customer"]).shift() == GUEST
    shares(system[from_guest] == SHOP, 0.4)
    assert kept(company, guest_share=0).table["system"].ne(GUEST).all()
    assert kept(company, crm_share=0).table["system"].ne(CRM).all()


def test_ids_are_given_in_order_of_time(company):
    table = company.records.table
    for _, ours in table.groupby("system"):
        ids = ours.sort_values("since")["record_id"]
        assert ids.is_unique
        assert ids.str.extract(r"(\d+)$")[0].astype(int).is_monotonic_increasing


def test_what_happens_stands_under_the_latest_record_of_the_one_who_did_it(company):
    table, kept = company.records.table, company.records
    lived = company.behaviour
    for events, moment, rows, systems in (
        (lived.orders, "time", kept.order_record, {SHOP, GUEST}),
        (lived.tickets, "opened", kept.ticket_record, {SUPPORT}),
        (company.invitations, "sent", kept.invitation_record, {SURVEY}),
    ):
        under = table.iloc[rows]
        assert (under["customer"].to_numpy() == events["customer"]).all()
        assert (under["since"].to_numpy() <= events[moment]).all()
        assert set(under["system"]) == systems
        for at in range(0, len(events), len(events) // 150):
            mine = table[
                (table["customer"] == events["customer"].iloc[at])
                & (table["system"] == under["system"].iloc[at])
                & (table["since"] <= events[moment].iloc[at])
            ]
            assert mine["since"].max() == under["since"].iloc[at]


def test_a_visit_is_signed_in_only_to_an_account_of_ones_own(company):
    table, seen, row = company.records.table, company.visits, company.records.visit_record
    signed = row >= 0
    under = table.iloc[row[signed]]
    assert signed.any() and set(under["system"]) == {SHOP}
    assert (under["customer"].to_numpy() == seen["customer"][signed]).all()
    assert (under["since"].to_numpy() <= seen["start"][signed]).all()
    account = table[table["system"] == SHOP].groupby("customer")["since"].min()
    has = seen["customer"].map(account).le(seen["start"]).to_numpy()
    assert (signed == (has & seen["signs_in"])).all()
    shares(signed[has & (seen["stage"] < 3)], company.world.sign_in_rate)
    assert signed[has & (seen["stage"] == 3)].all()


def fields_with(among, table):
    """For each field, which records' systems have it in a list such as ASKED."""
    system = table["system"].to_numpy()
    return {name: np.isin(system, [s for s in among if name in among[s]]) for name in DATA}


def truth_of(company, table):
    """What a record without errors would say of names, and whether its person moves."""
    who, since = company.people, table["since"].to_numpy()
    person = who.table.iloc[table["customer"]].reset_index(drop=True)
    married = person["married_at"] <= since
    return {
        "given_name": who.pools.given[person["given"]],
        "nickname": who.pools.nickname[person["given"]],
        "family_name": who.pools.family[
            np.where(married, person["family_married"], person["family"])
        ],
        "moved": (person["moved_at"] <= since).to_numpy(),
        "moves_later": (person["moved_at"] > since).to_numpy(),
    }


@pytest.mark.parametrize("correlation", [0, 0.5, 1])
def test_each_error_has_its_rate(company, correlation):
    rates = {"typo_rate": 0.1, "swap_rate": 0.05, "nickname_rate": 0.15}
    rates |= {"missing_rate": 0, "transcription_rate": 0.2}
    table = kept(company, error_correlation=correlation, **rates).table
    asked = fields_with(ASKED, table)
    typos = {name: table[f"typo_{name}"].to_numpy() for name in (*CONTACT, "street")}
    for name, typo in typos.items():
        shares(typo[asked[name]], 0.1)
        assert not typo[~asked[name]].any()
    shares(table["swapped_names"], 0.05)
    right = truth_of(company, table)
    short = np.array([name is not None for name in right["nickname"]])
    shares(table["nickname"][short], 0.15)
    assert not table["nickname"][~short].any()
    given = np.where(table["nickname"], right["nickname"], right["given_name"])
    letters = [
        transcribed(first) != first or transcribed(last) != last
        for first, last in zip(given, right["family_name"], strict=True)
    ]
    shares(table["transcription"][letters], 0.2)
    # One record in five has 1 + 4 c times the errors, the others 1 - c times.
    together = 0.2 * (1 + 4 * correlation) ** 2 + 0.8 * (1 - correlation) ** 2
    shares(typos["given_name"] & typos["family_name"], 0.1 * 0.1 * together)
    shares(typos["email"] & table["swapped_names"], 0.1 * 0.05 * together)


@pytest.mark.parametrize("correlation", [0, 0.5, 1])
def test_fields_are_missing_at_their_rate(company, correlation):
    given = {"missing_rate": 0.15, "typo_rate": 0.2, "swap_rate": 0.2, "nickname_rate": 0.2}
    kinds = kept(company, error_correlation=correlation, **given)
    table = kinds.table
    asked, required = fields_with(ASKED, table), fields_with(REQUIRED, table)
    for name in DATA:
        missing = table[f"missing_{name}"].to_numpy()
        shares(missing[asked[name] & ~required[name]], 0.15)
        assert not missing[~asked[name] | required[name]].any()
        said = np.array([value is not None for value in kinds.fields[name]])
        assert (said == (asked[name] & ~missing)).all()
        if f"typo_{name}" in table:
            assert not table[f"typo_{name}"][missing].any()  # no slip in what is not there
    assert not (table["nickname"] & table["missing_given_name"]).any()


def test_without_errors_records_tell_the_truth(company):
    calm = kept(company, old_address_rate=1, **NO_ERRORS)
    table, said = calm.table, calm.fields
    right, asked = truth_of(company, table), fields_with(ASKED, table)
    person = company.people.table.iloc[table["customer"]].reset_index(drop=True)
    for name in ("given_name", "family_name"):
        assert (said[name] == right[name]).all()
    for name, column in (("phone", "phone"), ("birth_date", "birth")):
        assert (said[name] == person[column].to_numpy())[asked[name]].all()
    errors = [name for name in table if name.startswith(("missing_", "typo_"))]
    assert not table[[*errors, "nickname", "transcription", "swapped_names"]].any(axis=None)
    for name in DATA:
        assert ([value is not None for value in said[name]] == asked[name]).all()
    # The address of then; the e-mail address too, but of some second records the newer one.
    now, then = (
        company.people.address(table["customer"].to_numpy(), np.full(len(table), new))
        for new in (True, False)
    )
    for at, name in enumerate(("street", "postcode", "city")):
        expected = np.where(right["moved"], now[at], then[at])
        assert (said[name] == expected)[asked[name]].all()
    before, after = company.people.emails[:, table["customer"]]
    changed = (person["email_changed_at"] <= table["since"]).to_numpy()
    usual, second = said["email"] == np.where(changed, after, before), table["second"].to_numpy()
    assert usual[~second].all() and (usual | (said["email"] == after)).all()
    shares(usual[second & ~changed], 0.4)


def test_old_addresses_stay_at_their_rate(company):
    calm = kept(company, old_address_rate=0.6, **NO_ERRORS)
    table, said = calm.table, calm.fields
    right, asked = truth_of(company, table), fields_with(ASKED, table)["street"]
    could = right["moves_later"] & asked
    shares(table["old_address"][could], 0.6)
    assert not table["old_address"][~could].any()
    new = right["moved"] | (right["moves_later"] & ~table["old_address"].to_numpy())
    line, _, city = company.people.address(table["customer"].to_numpy(), new)
    assert (said["street"] == line)[asked].all() and (said["city"] == city)[asked].all()
    assert not kept(company, old_address_rate=0).table["old_address"].any()


def test_an_error_is_what_its_name_says(company):
    rates = {"typo_rate": 0.1, "swap_rate": 0.1, "nickname_rate": 0.1, "missing_rate": 0.02}
    wrong = kept(company, error_correlation=0, transcription_rate=0.2, **rates)
    calm = kept(company, **NO_ERRORS)
    table, nickname = wrong.table, truth_of(company, wrong.table)["nickname"]
    on_names = ["nickname", "transcription", "swapped_names", "typo_given_name"]
    on_names += ["typo_family_name", "missing_given_name", "missing_family_name"]
    flags = table[on_names].to_numpy()
    seen = dict.fromkeys(["none", *on_names], 0)
    for row in np.flatnonzero(flags.sum(axis=1) <= 1).tolist():
        kind = on_names[flags[row].argmax()] if flags[row].any() else "none"
        seen[kind] += 1
        said = wrong.fields["given_name"][row], wrong.fields["family_name"][row]
        given, family = right = calm.fields["given_name"][row], calm.fields["family_name"][row]
        if kind == "none":
            assert said == right
        elif kind == "nickname":
            assert said == (nickname[row], family) and said != right
        elif kind == "transcription":
            assert said == (transcribed(given), transcribed(family))
            assert said != right
        elif kind == "swapped_names":
            assert said == (family, given)
        elif kind == "typo_given_name":
            assert is_one_slip(given, said[0]) and said[1] == family
        elif kind == "typo_family_name":
            assert is_one_slip(family, said[1]) and said[0] == given
        else:
            kept_names = (None, family) if kind == "missing_given_name" else (given, None)
            assert said == kept_names
    assert min(seen.values()) > 100, seen
    for name in ("email", "street"):
        said, right = wrong.fields[name], calm.fields[name]
        typo = table[f"typo_{name}"].to_numpy()
        there = np.array([value is not None for value in said])
        assert (said == right)[there & ~typo].all()
        assert all(is_one_slip(right[row], said[row]) for row in np.flatnonzero(typo)[:2000])


def test_consents_are_given_withdrawn_and_mostly_heard(company):
    first = {"analytics_consent": 0.88, "marketing_consent": 0.5}
    world = World(withdrawals_per_year=0.3, erasure_rate=0.1, **first)
    acquired = company.behaviour.customers["acquired"].to_numpy()
    said = records.consents(world, acquired)
    shares(said["analytics"], 0.88)
    shares(said["marketing"], 0.5)
    shares(said["analytics"] & said["marketing"], 0.88 * 0.5)
    given = (said["analytics"] | said["marketing"]).to_numpy()
    withdrawn = said["withdrawn_at"].notna().to_numpy()
    shares(withdrawn[given], 1 - np.exp(-0.3 * (1096 - acquired[given]) / YEAR))
    assert not withdrawn[~given].any()
    assert (said["withdrawn_at"] > acquired)[withdrawn].all()
    asked = said["erasure_at"].notna()
    shares(asked, 0.1)
    follows(((said["erasure_at"] - acquired) / (1096 - acquired))[asked], stats.uniform)

    table = company.records.table
    of = company.consents.iloc[table["customer"]].reset_index(drop=True)
    withdrawn = of["withdrawn_at"].notna()
    for purpose in ("analytics", "marketing"):
        now = table[f"consent_{purpose}"]
        assert (now == of[purpose])[~withdrawn].all() and not now[~of[purpose]].any()
        shares(now[withdrawn & of[purpose]], 0.3)


# ---- Visits.


def test_visits_come_at_their_rate(company):
    seen, lived = company.visits, company.behaviour
    people_, ordered = lived.customers, lived.orders.sort_values("time")
    assert seen["start"].is_monotonic_increasing and (seen["seconds"] > 0).all()
    assert seen["start"].between(0, 1096, inclusive="left").all()
    bought = seen[seen["stage"] == 3]
    assert bought["start"].tolist() == ordered["time"].tolist()
    assert bought["customer"].tolist() == ordered["customer"].tolist()
    first = company.baskets.orders["first_category"]
    assert bought["interest"].tolist() == first[ordered.index].tolist()
    won_by = people_["channel"].to_numpy()[bought["customer"]]
    assert (bought["channel"] == won_by)[(ordered["nth"] == 0).to_numpy()].all()

    looked = seen[(seen["customer"] >= 0) & (seen["stage"] < 3)]
    who, start = looked["customer"].to_numpy(), looked["start"].to_numpy()
    acquired, left = people_["acquired"].to_numpy(), people_["left_at"].fillna(1096).to_numpy()
    often = company.world.visits_per_year
    for came, expected in (
        ((start >= acquired[who]) & (start < left[who]), often * (left - acquired).sum() / YEAR),
        (start >= left[who], often * 0.15 * (1096 - left).sum() / YEAR),
        # 1.6 before the first order, nine days in the mean, as far as the world goes back.
        (start < acquired[who], 1.6 * (1 - np.exp(-acquired / 9)).sum()),
    ):
        within((came.sum() - expected) / math.sqrt(expected), f"{came.sum()}, not {expected:.0f}")
    assert seen["device"][seen["customer"] < 0].nunique() == 20_000
    assert (seen.groupby("device")[["customer", "kind"]].nunique() == 1).all(axis=None)


def test_visits_and_strangers_can_be_none():
    world = World(customers=300, visits_per_year=0, strangers=0)
    lived = behaviour.simulate(world)
    seen = visits.simulate(world, lived, baskets.simulate(world, lived))
    after = seen["start"] > lived.customers["acquired"].to_numpy()[seen["customer"]]
    assert (seen["customer"] >= 0).all() and (seen["stage"][after] == 3).all()


# ---- The default company, and which parameter moves what.


def test_the_default_company_is_believable(company):
    assert company.world == World() and company.world.customers == 20_000
    assert 0.25 <= (counted(company.behaviour) > 1).mean() <= 0.45
    asked = company.invitations
    assert 0.1 <= asked["answered"].notna().mean() <= 0.3
    nps = asked["score"][asked["instrument"] == 0].dropna()
    assert 10 <= 100 * ((nps >= 9).mean() - (nps <= 6).mean()) <= 50
    assert 0.05 <= company.records.table["second"].mean() <= 0.15


def parts_of(company):
    lived, sold = company.behaviour, company.baskets
    return {
        "customers": lived.customers,
        "orders": lived.orders,
        "tickets": lived.tickets,
        "moods": lived.moods,
        "baskets": sold.orders,
        "lines": sold.lines,
        "people": company.people.table,
        "emails": pd.DataFrame(company.people.emails),
        "consents": company.consents,
        "invitations": company.invitations,
        "reviews": company.reviews,
        "visits": company.visits,
        "records": company.records.table,
        "fields": pd.DataFrame(company.records.fields),
    }


@pytest.fixture(scope="module")
def small():
    return parts_of(simulation.simulate(World(customers=300)))


@pytest.mark.parametrize(
    ("given", "moved"),
    [
        ({}, ""),
        ({"csat_share": 0.6, "response_rate": 0.5}, "invitations records fields"),
        ({"score_reliability": 0.2, "comment_rate": 1}, "invitations reviews"),
        ({"typo_rate": 0.2, "error_correlation": 1}, "records fields"),
        ({"visits_per_year": 9, "sign_in_rate": 0.9}, "visits"),
        ({"order_value": 99, "margin": 0.2, "return_rate": 0.3}, "customers baskets lines visits"),
        ({"household_share": 0.6, "moves_per_year": 0.5}, "people emails records fields"),
        ({"analytics_consent": 0.2, "erasure_rate": 0.2}, "consents records"),
        ({"repeated_rows": 0.1, "markup_in_names": 0.1, "impossible_dates": 0}, ""),
    ],
)
def test_a_parameter_moves_what_it_is_about_and_nothing_else(small, given, moved):
    other = parts_of(simulation.simulate(World(customers=300, **given)))
    found = {name for name, part in small.items() if not part.equals(other[name])}
    assert found == set(moved.split())


def test_another_seed_is_another_company(small):
    other = parts_of(simulation.simulate(World(customers=300, seed=2)))
    assert [name for name, part in small.items() if part.equals(other[name])] == []


@pytest.mark.parametrize("bound", [0, 1])
def test_the_least_and_the_greatest_of_everything_is_a_company(bound):
    given = {name: World.bounds(name)[bound] for name in World.model_fields}
    given |= {"customers": 300, "purchases_per_year": (0.01, 30)[bound], "norwegian_share": 0}
    made = simulation.simulate(World(**given))
    assert len(made.people.table) == 300
    assert made.behaviour.orders["time"].between(0, made.world.days).all()
    assert (made.baskets.orders["amount"] > 0).all()


# ---- The files.

DIRT = {
    "impossible_dates": 0.1,
    "negative_amounts": 0.08,
    "foreign_currencies": 0.06,
    "repeated_rows": 0.05,
    "markup_in_names": 0.1,
    "formulas_in_names": 0.07,
    "control_characters": 0.04,
    "misread_letters": 0.1,
    "broken_bytes": 0.09,
}
NO_DIRT = dict.fromkeys(DIRT, 0)
FILES = {"customers": 3500, "german_share": 0.55, "norwegian_share": 0.4, "wait_hours": 100}
FILES |= {"visits_per_year": 1, "strangers": 0.2, "erasure_rate": 0.1}
YML = """\
title: Shop
currency: EUR
simulation: {given}
tables: {{orders: raw/shop/orders.csv}}
"""


class Here:
    """Does at once, in this process, what else workers do."""

    def submit(self, function, *arguments):
        done = Future()
        done.set_result(function(*arguments))
        return done

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def written(base, company):
    """The files of a company as `fill` writes them, without its processes."""
    for part in ("raw", "truth"):
        (base / part).mkdir(parents=True)
    exports.export(company, base / "raw", base / "truth", apart=Here())
    return base


def hashes(base):
    files = [path for path in sorted(base.rglob("*")) if path.is_file()]
    return {
        path.relative_to(base).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.parts[len(base.parts)] in ("raw", "truth") and not path.name.startswith(".")
    }


def rows_of(path, encoding="utf-8-sig", delimiter=","):
    """Header and rows; bytes that are no text stay as surrogates."""
    text = path.read_bytes().decode(encoding, "surrogateescape")
    header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return header, rows


@pytest.fixture(scope="module")
def dirty(tmp_path_factory):
    return written(tmp_path_factory.mktemp("dirty"), simulation.simulate(World(**FILES, **DIRT)))


@pytest.fixture(scope="module")
def made():
    """The company of the clean files."""
    return simulation.simulate(World(**FILES, **NO_DIRT))


@pytest.fixture(scope="module")
def clean(tmp_path_factory, made):
    return written(tmp_path_factory.mktemp("clean"), made)


FORMATS = {
    "raw/shop/orders.csv": {},
    "raw/shop/customers.csv": {},
    "raw/shop/guests.csv": {},
    "raw/crm/kontakte.csv": {"encoding": "cp1252", "delimiter": ";"},
}


def is_defect(kind, was, found):
    """Whether a cell is what such a defect makes of the right value."""
    if kind == "markup":
        return was in found and ("<" in found or "&lt;" in found)
    if kind == "formula":
        return was in found and found[0] in "=+@"
    if kind == "control_character":
        return found.replace(was, "") in ("\x07", "\x1f", "\x0b", "\xa0")
    if kind == "misread_letters":
        return found != was and found.encode("cp1252").decode() == was
    if kind == "broken_bytes":
        return found.encode("utf-8", "surrogateescape") == was.encode("latin-1")
    if kind == "impossible_date":
        day = found[:10] if found[4] == "-" else f"{found[6:]}-{found[3:5]}-{found[:2]}"
        try:
            return dt.date.fromisoformat(day) > dt.date(2026, 1, 1)
        except ValueError:
            return True
    if kind == "negative_amount":
        return float(found) == -float(was) < 0
    return kind == "foreign_currency" and was == "EUR" and found in ("NOK", "GBP")


def test_every_defect_is_where_it_is_said_to_be_and_no_other(dirty, clean):
    defects = pd.read_parquet(dirty / "truth/defects.parquet")
    assert set(defects["file"]) == set(FORMATS)
    for file, form in FORMATS.items():
        header, rows = rows_of(dirty / file, **form)
        right_header, right = rows_of(clean / file, **form)
        assert header == right_header
        noted = {}
        for defect in defects[defects["file"] == file].itertuples():
            if defect.kind == "repeated_row":
                assert len(right) < defect.row <= len(rows) and pd.isna(defect.was)
                assert rows[defect.row - 1] in rows[: len(right)]
                continue
            at = defect.row - 1, header.index(defect.column)
            noted[at] = defect.kind
            found, value = rows[at[0]][at[1]], right[at[0]][at[1]]
            assert is_defect(defect.kind, value, found), (defect, found, value)
            if defect.kind == "foreign_currency":
                rate = {"NOK": 11.6, "GBP": 0.85}[found]
                for money in map(header.index, ("Net amount", "Margin", "Refunded")):
                    noted[at[0], money] = "converted"
                    expected = float(right[at[0]][money]) * rate
                    assert float(rows[at[0]][money]) == pytest.approx(expected, abs=0.0051)
            same = defect.was == value or float(defect.was) == float(value)
            assert same
        repeated = (defects["file"] == file) & (defects["kind"] == "repeated_row")
        assert len(rows) == len(right) + repeated.sum()
        for number, (row, expected) in enumerate(zip(rows, right, strict=False)):
            for column, (found, value) in enumerate(zip(row, expected, strict=True)):
                assert found == value or (number, column) in noted


def test_defects_come_at_their_rates(dirty, made):
    defects = pd.read_parquet(dirty / "truth/defects.parquet")

    def drawn(file, among, *steps):
        """Each kind among the rows that no earlier one has hit; returns which are left."""
        left = np.array(among)
        for kind, rate in steps:
            of = defects[(defects["file"] == file) & (defects["kind"] == kind)]
            hit = np.isin(np.arange(1, len(left) + 1), of["row"])
            assert left[hit].all() and len(of) == hit.sum()
            shares(hit[left], rate)
            left &= ~hit
        return left

    steps = (("impossible_date", 0.1), ("negative_amount", 0.08), ("foreign_currency", 0.06))
    number = len(made.behaviour.orders)
    left = drawn("raw/shop/orders.csv", np.ones(number, bool), *steps)
    orders = [row[0] for row in rows_of(dirty / "raw/shop/orders.csv")[1]]
    again = np.isin(orders[:number], orders[number:])
    shares(again[left], 0.05)
    assert not again[~left].any() and again.sum() == len(orders) - number

    table, said = made.records.table, made.records.fields
    for system, file in ((SHOP, "shop/customers"), (GUEST, "shop/guests"), (CRM, "crm/kontakte")):
        rows = table[table["system"] == system].sort_values("since").index
        given, family = said["given_name"][rows], said["family_name"][rows]
        steps = (("markup", 0.1), ("formula", 0.07), ("control_character", 0.04))
        drawn(f"raw/{file}.csv", [name is not None for name in given], *steps)
        letters = [name is not None and not name.isascii() for name in family]
        if system == SHOP:
            drawn(f"raw/{file}.csv", letters, ("misread_letters", 0.1), ("broken_bytes", 0.09))
    born = [day is not None for day in said["birth_date"][rows]]
    drawn("raw/crm/kontakte.csv", born, ("impossible_date", 0.1))


def test_dirt_is_all_that_dirt_changes(dirty, clean):
    one, other = hashes(dirty), hashes(clean)
    assert one.keys() == other.keys()
    changed = {name for name in one if one[name] != other[name]}
    assert changed == {*FORMATS, "truth/defects.parquet", "truth/effects.parquet"}
    assert len(pd.read_parquet(clean / "truth/defects.parquet")) == 0


def checked(base, tables=None, until="2025-12-31"):
    """Rows read, and those put aside, of tables in files that the demo's dataset.yml describes."""
    lines = (ROOT / "data/demo/dataset.yml").read_text("utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("observed_until")]
    (base / "dataset.yml").write_text("\n".join([*lines, f"observed_until: {until}"]), "utf-8")
    dataset = contract.load(base / "dataset.yml")
    con = engine.connect(engine.Engine(), spill=base / "spill")
    found = {}
    for table in tables or dataset.tables:
        result = validation.check(con, dataset, base, table)
        aside = result.quarantined.to_pandas()
        found[table] = (result.read, list(zip(aside["file"], aside["row"], strict=True)))
    con.disconnect()
    return found


def test_validation_accepts_every_row_without_dirt(clean, made):
    read = checked(clean)
    expected = {
        "orders": len(made.behaviour.orders),
        "order_lines": len(made.baskets.lines),
        "customers": len(made.records.table),
        "surveys": len(made.invitations),
        "tickets": len(made.behaviour.tickets),
        "visits": len(made.visits),
        "spend": 1096 * 5,
        "feedback": len(made.reviews),
        "erasures": made.consents["erasure_at"].notna().sum(),
    }
    assert read == {table: (rows, []) for table, rows in expected.items()}


def test_validation_puts_aside_the_rows_with_defects(dirty):
    defects = pd.read_parquet(dirty / "truth/defects.parquet")
    read = checked(dirty, ["orders", "customers"])
    orders = defects["file"] == "raw/shop/orders.csv"
    for table, of, kinds in (
        ("orders", orders, ["impossible_date", "foreign_currency", "repeated_row"]),
        ("customers", ~orders, ["impossible_date", "broken_bytes"]),
    ):
        bad = defects[of & defects["kind"].isin(kinds)]
        assert sorted(read[table][1]) == sorted(set(zip(bad["file"], bad["row"], strict=True)))


def test_a_day_that_never_was_is_none_in_any_year(tmp_path):
    given = {"customers": 300, "first_year": 2098, "years": 2, "impossible_dates": 0.1}
    base = written(tmp_path, simulation.simulate(World(**NO_DIRT | given)))
    defects = pd.read_parquet(base / "truth/defects.parquet").query("file == 'raw/shop/orders.csv'")
    _, aside = checked(base, ["orders"], until="2099-12-31")["orders"]
    assert len(defects) > 10 and [row for _, row in aside] == defects["row"].tolist()


@pytest.mark.parametrize(
    ("given", "tables"),
    [
        ({"guest_share": 0, "crm_share": 0}, ["customers"]),
        ({"erasure_rate": 0, "review_rate": 0}, ["erasures", "feedback"]),
        ({"nps_share": 0, "csat_share": 0, "ces_share": 0}, ["surveys", "customers"]),
    ],
)
def test_what_is_switched_off_leaves_files_that_can_be_read(given, tables, tmp_path):
    world = World(**NO_DIRT | {"customers": 100} | given)
    base = written(tmp_path, simulation.simulate(world))
    read = checked(base, tables)
    assert [aside for _, aside in read.values()] == [[] for _ in tables]
    assert all((rows == 0) == (table != "customers") for table, (rows, _) in read.items())


def test_the_shop_marks_its_utf8_and_the_office_writes_as_windows_does(clean, made):
    for name in ("orders", "order_lines", "customers", "guests"):
        assert (clean / f"raw/shop/{name}.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    contacts = (clean / "raw/crm/kontakte.csv").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        contacts.decode("utf-8")
    header, rows = rows_of(clean / "raw/crm/kontakte.csv", "cp1252", ";")
    assert header[4:8] == ["Telefon", "Geburtsdatum", "Straße", "PLZ"]
    table = pd.DataFrame(rows, columns=header)
    ours = made.records.table.query("system == 2").set_index("record_id")
    person = ours.loc[table["Kontakt-Nr"], "customer"].to_numpy()
    spent = np.bincount(made.behaviour.orders["customer"], made.baskets.orders["amount"])
    assert table["Umsatz"].str.fullmatch(r"\d+,\d\d").all()
    assert table["Umsatz"].str.replace(",", ".").astype(float).to_numpy() == pytest.approx(
        spent[person], abs=0.0051
    )
    born = table["Geburtsdatum"].replace("", None).dropna()
    expected = pd.to_datetime(made.people.table["birth"].to_numpy()[person[born.index]])
    assert (pd.to_datetime(born, format="%d.%m.%Y").to_numpy() == expected).all()
    prefix = {"DE": "+49", "NO": "+47", "GB": "+44"}
    country = np.array(["DE", "NO", "GB"])[made.people.table["locale"].to_numpy()[person]]
    there = table["Telefon"] != ""
    assert (table["Telefon"].str[:3] == pd.Series(country).map(prefix))[there].all()


def test_orders_and_lines_are_in_the_files_as_they_were_made(clean, made):
    header, rows = rows_of(clean / "raw/shop/orders.csv")
    orders = pd.DataFrame(rows, columns=header)
    by_time = made.behaviour.orders.sort_values("time").index
    sold = made.baskets.orders.loc[by_time]
    for column, value in (("Net amount", "amount"), ("Margin", "margin"), ("Refunded", "returned")):
        assert orders[column].astype(float).tolist() == sold[value].tolist()
    record = made.records.table.iloc[made.records.order_record[by_time]]
    assert orders["Customer ID"].tolist() == record["record_id"].tolist()
    names = np.array(["shop", "guest"])[record["system"]]
    assert (orders["Checkout"] == names).all() and orders["Ordered at"].is_monotonic_increasing
    status = np.full(len(sold), "completed", object)
    status[sold["returned"] > 0] = "partly returned"
    status[sold["returned"] == sold["amount"]] = "returned"
    status[sold["cancelled"]] = "cancelled"
    assert orders["Status"].tolist() == status.tolist() and set(orders["Currency"]) == {"EUR"}
    header, rows = rows_of(clean / "raw/shop/order_lines.csv")
    lines = pd.DataFrame(rows, columns=header)
    worth = lines["Quantity"].astype(int) * lines["Unit price"].astype(float)
    total = worth.groupby(lines["Order"]).sum()[orders["Order"]]
    assert total.to_numpy() == pytest.approx(orders["Net amount"].astype(float).to_numpy())


def test_a_workbook_holds_dates_numbers_and_texts(clean, made):
    (path,) = (clean / "raw/survey").iterdir()
    book = openpyxl.load_workbook(path, read_only=True)
    assert path.name == "export_1.xlsx" and book.sheetnames == ["Invitations", "Respondents"]
    header, *rows = book["Invitations"].iter_rows(values_only=True)
    table = pd.DataFrame(rows, columns=header)
    asked = made.invitations
    stamps = calendar.timestamps(made.world, asked["sent"].to_numpy())
    assert (table["Sent"].dt.round("s").to_numpy() == stamps).all()
    stamps = calendar.timestamps(made.world, asked["answered"].to_numpy())
    assert table["Answered"].isna().tolist() == np.isnat(stamps).tolist()
    assert table["Score"].astype(float).equals(asked["score"])
    assert table["Survey"].tolist() == [surveys.INSTRUMENTS[i] for i in asked["instrument"]]
    assert table["Comment"].notna().tolist() == asked["comment"].tolist()
    header, *rows = book["Respondents"].iter_rows(values_only=True)
    known = {row[0] for row in rows}
    assert set(table["Respondent"]) <= known and len(known) == len(rows)
    assert len(known) == (made.records.table["system"] == SURVEY).sum()


def test_support_leaves_out_what_it_does_not_know(clean, made):
    cases = made.behaviour.tickets.sort_values("opened")
    lines = (clean / "raw/support/tickets.jsonl").read_text("utf-8").splitlines()
    tickets = [json.loads(line) for line in lines]
    assert [ticket["topic"] for ticket in tickets] == [behaviour.TOPICS[i] for i in cases["topic"]]
    assert all(None not in ticket.values() for ticket in tickets)
    times = ["created_at", "first_reply_at", "solved_at"]
    table = pd.DataFrame(tickets).reindex(columns=times)
    assert all(table[name].dropna().str.endswith("+01:00").all() for name in times)
    table = table.apply(pd.to_datetime)
    assert table["created_at"].is_monotonic_increasing
    for name, moment in (("first_reply_at", "replied"), ("solved_at", "resolved")):
        took = (table[name] - table["created_at"]).dt.total_seconds().to_numpy()
        expected = ((cases[moment] - cases["opened"]) * 86_400).to_numpy()
        # Not known yet at the end; there the hour of a day may move a moment over it.
        assert np.isnan(took[np.isnan(expected)]).all() and np.isnan(expected).any()
        assert np.isnan(took).sum() <= np.isnan(expected).sum() + 5
        known = ~np.isnan(took)
        assert took[known] == pytest.approx(expected[known], abs=1)


def test_the_truth_is_what_was_simulated(clean, made):
    truth = {path.stem: pd.read_parquet(path) for path in (clean / "truth").glob("*.parquet")}
    won = made.behaviour.customers
    assert truth["people"]["person"].tolist() == [str(n) for n in range(1, 3501)]
    for name in ("purchase_rate", "dropout_rate", "order_value", "regular", "holiday"):
        assert truth["people"][name].tolist() == won[name].tolist()
    left = calendar.timestamps(made.world, won["left_at"].to_numpy())
    assert truth["people"]["left_at"].astype("datetime64[s]").equals(pd.Series(left))
    table = made.records.table
    assert truth["records"]["record_id"].tolist() == table["record_id"].tolist()
    assert truth["records"]["person"].tolist() == [str(n + 1) for n in table["customer"]]
    assert truth["records"]["source"].tolist() == [records.SYSTEMS[n] for n in table["system"]]
    for name in ("second", "old_address", "swapped_names", "typo_email", "missing_phone"):
        assert truth["records"][name].tolist() == table[name].tolist()
    asked = made.invitations
    assert truth["surveys"]["would_have_scored"].tolist() == asked["told"].tolist()
    assert truth["surveys"]["satisfaction"].tolist() == asked["satisfaction"].tolist()
    assert len(truth["satisfaction"]) == len(made.behaviour.moods)
    effects = truth["effects"].set_index("name")["value"].to_dict()
    assert effects == {name: float(value) for name, value in made.world.model_dump().items()}
    seen = (
        pd.read_parquet(clean / "raw/web/visits.parquet").set_index("device_id")["account"].dropna()
    )
    whose = truth["devices"].set_index("device_id")["person"]
    of_record = truth["records"].query("source == 'shop'").set_index("record_id")["person"]
    assert len(seen) > 300
    assert (whose[seen.index].to_numpy() == of_record[seen].to_numpy()).all()
    # Who asks to be forgotten does so once, through a system that knows them by then.
    _, erased = rows_of(clean / "raw/privacy/erasures.csv")
    systems = np.array(records.SYSTEMS)[table["system"]]
    rows = dict(zip(zip(systems, table["record_id"], strict=True), table.index, strict=True))
    under = table.loc[[rows[system, record] for system, record, _ in erased]]
    wanted = np.flatnonzero(made.consents["erasure_at"].notna())
    assert sorted(under["customer"]) == wanted.tolist() and len(wanted) > 100
    since = calendar.timestamps(made.world, under["since"].to_numpy())
    assert (since <= np.array([asked for *_, asked in erased], "datetime64[s]")).all()


# ---- A dataset's folder.


@pytest.fixture
def quick(monkeypatch):
    """`fill` without its processes, which take seconds to start."""
    monkeypatch.setattr(folder, "ProcessPoolExecutor", lambda *_, **__: Here())


def test_the_same_seed_gives_the_same_bytes(dirty, tmp_path):
    (tmp_path / "notebooks").mkdir()
    shop = tmp_path / "data" / "shop"
    shop.mkdir(parents=True)
    (shop / "dataset.yml").write_text(YML.format(given=json.dumps(FILES | DIRT)))
    # In another process, in which Python orders its sets another way, and with workers.
    code = [sys.executable, "-m", "loyaltylab", "simulate", str(shop)]
    done = subprocess.run(
        code, env=os.environ | {"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{shop}: 3,500 customers simulated.\n"
    made = hashes(shop)
    recipe = json.loads((shop / "truth" / "world.json").read_text())
    assert recipe == World(**FILES, **DIRT).model_dump()
    assert made.pop("truth/world.json") and made == hashes(dirty) and len(made) > 15
    assert sorted(path.name for path in shop.iterdir()) == ["dataset.yml", "raw", "truth"]


def test_another_seed_gives_other_bytes(clean, tmp_path):
    world = World(**FILES | NO_DIRT | {"seed": 2})
    other = hashes(written(tmp_path, simulation.simulate(world)))
    same = {name for name, found in hashes(clean).items() if found == other[name]}
    assert same == {"truth/defects.parquet"}  # none


def test_files_that_no_simulation_made_are_kept(tmp_path, quick):
    own = tmp_path / "shop" / "raw" / "orders.csv"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    with pytest.raises(LabError, match="shop/raw holds files that no simulation made"):
        simulation.fill(tmp_path / "shop", World(customers=100))
    assert own.read_text() == "mine"
    assert [path.name for path in (tmp_path / "shop").iterdir()] == ["raw"]


def test_files_put_in_the_place_of_simulated_ones_are_kept(tmp_path, quick):
    simulation.fill(tmp_path, World(customers=100))
    shutil.rmtree(tmp_path / "raw")
    own = tmp_path / "raw" / "orders.csv"
    own.parent.mkdir()
    own.write_text("mine")
    with pytest.raises(LabError, match="no simulation made"):
        simulation.fill(tmp_path, World(customers=100))
    assert own.read_text() == "mine"


def test_a_simulation_that_fails_leaves_the_files_as_they_were(tmp_path, quick, monkeypatch):
    simulation.fill(tmp_path, World(customers=150))
    before = hashes(tmp_path)
    assert "truth/world.json" in before

    def full(company, raw, truth, **_):
        (raw / "orders.csv").write_text("half")
        raise OSError("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(folder, "export", full)
        with pytest.raises((OSError, LabError)):
            simulation.fill(tmp_path, World(customers=150, seed=2))
    assert hashes(tmp_path) == before
    simulation.fill(tmp_path, World(customers=150, seed=2))
    assert hashes(tmp_path) != before
    assert json.loads((tmp_path / "truth" / "world.json").read_text())["seed"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "truth"]


def test_a_failed_first_simulation_makes_no_later_file_its_own(tmp_path, quick, monkeypatch):
    def full(*_, **__):
        raise OSError("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(folder, "export", full)
        with pytest.raises((OSError, LabError)):
            simulation.fill(tmp_path, World(customers=100))
    own = tmp_path / "raw" / "orders.csv"
    own.parent.mkdir(exist_ok=True)
    own.write_text("mine")
    with pytest.raises(LabError, match="no simulation made"):
        simulation.fill(tmp_path, World(customers=100))
    assert own.read_text() == "mine"


# ---- Impossible parameters.


@pytest.mark.parametrize("name", list(World.model_fields))
def test_a_parameter_out_of_its_range_is_an_error_that_names_both(name):
    low, high = World.bounds(name)
    whole = World.model_fields[name].annotation is int
    below, above = (
        (low - 1, high + 1)
        if whole
        else (math.nextafter(low, -math.inf), math.nextafter(high, math.inf))
    )
    for wrong in (below, above, math.nan, math.inf, "many", None, True, [1]):
        with pytest.raises(ValidationError) as caught:
            World.model_validate({name: wrong})
        (error,) = caught.value.errors()
        assert error["loc"] == (name,)
        assert f"{'whole ' * whole}number from {low} to {high}" in error["msg"]
    if whole:
        with pytest.raises(ValidationError):
            World.model_validate({name: low + 0.5})
    rest = {"german_share": 0, "norwegian_share": 0}
    for right in (low, high):
        assert getattr(World.model_validate(rest | {name: right}), name) == right
    default = World.model_fields[name].default
    assert low <= default <= high


@pytest.mark.parametrize(
    "given",
    [{"typo_rate": -0.1}, {"duplicate_rate": 1.2}, {"duplicate_rate": 0.5}, {"response_rate": 1}]
    + [{"customers": 99}, {"years": 0}, {"order_value": 0}, {"hazard_ratio": 0}, {"dirt": 1}],
)
def test_what_cannot_be_is_no_world(given):
    with pytest.raises(ValidationError):
        World(**given)


def test_shares_of_countries_make_one_at_most():
    World(german_share=0.6, norwegian_share=0.4)
    with pytest.raises(ValidationError, match=r"german_share and norwegian_share .* make 1\.1"):
        World(german_share=0.6, norwegian_share=0.5)


def test_a_world_has_its_calendar():
    world = World(first_year=2024, years=2)
    assert (world.first_day, world.last_day) == (dt.date(2024, 1, 1), dt.date(2025, 12, 31))
    assert world.days == 366 + 365


def test_dataset_yml_says_what_is_wrong_with_its_simulation(tmp_path):
    path = tmp_path / "dataset.yml"
    path.write_text(YML.format(given="{typo_rate: 0.5, customers: 12, tipo_rate: 0.1}"))
    with pytest.raises(LabError) as caught:
        contract.load(path)
    said = sorted(str(caught.value).splitlines())
    assert said[0] == (
        "dataset.yml under simulation: customers is 12; expected a whole number from 100 to 5000000."
    )
    assert (
        said[1]
        == "dataset.yml under simulation: typo_rate is 0.5; expected a number from 0 to 0.2."
    )
    assert 'unknown key "tipo_rate"' in said[2] and 'Did you mean "typo_rate"?' in said[2]
    path.write_text(YML.format(given="{german_share: 0.8, norwegian_share: 0.4}"))
    with pytest.raises(LabError, match="simulation: expected german_share and norwegian_share"):
        contract.load(path)


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    shop = tmp_path / "data" / "shop"
    shop.mkdir(parents=True)
    (shop / "dataset.yml").write_text(YML.format(given="{customers: 100, seed: 3}"))
    monkeypatch.chdir(tmp_path)
    return shop


def test_the_command_takes_another_number_of_customers(project, quick, capsys):
    assert command.main(["simulate", "data/shop", "--customers", "130"]) == 0
    assert capsys.readouterr().out == "data/shop: 130 customers simulated.\n"
    recipe = json.loads((project / "truth" / "world.json").read_text())
    assert recipe == World(customers=130, seed=3).model_dump()


def test_the_command_refuses_too_few_customers(project, capsys):
    assert command.main(["simulate", "data/shop", "--customers", "50"]) == 1
    said = capsys.readouterr()
    assert said.err == "customers is 50; expected a whole number from 100 to 5000000.\n"
    assert said.out == "" and [path.name for path in project.iterdir()] == ["dataset.yml"]


def test_the_command_leaves_a_real_dataset_alone(project, capsys):
    text = (project / "dataset.yml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("simulation")]
    (project / "dataset.yml").write_text("\n".join(lines))
    assert command.main(["simulate", "data/shop"]) == 1
    assert capsys.readouterr().err.startswith("dataset shop is not simulated")
    assert [path.name for path in project.iterdir()] == ["dataset.yml"]
