"""What simulated customers do: each parameter found again, within sampling error."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifetimes import ParetoNBDFitter
from scipy import stats

from loyaltylab.simulation import (
    acquisition,
    baskets,
    behaviour,
    calendar,
    surveys,
)
from loyaltylab.world import World
from tests.sampling import (
    OFF,
    RATES,
    YEAR,
    averages,
    coefficients,
    counted,
    counts,
    falls,
    follows,
    observed,
    shares,
    within,
)

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
    assert (lines["unit_price"] > 0).all()
    customer = lived.orders["customer"].to_numpy()[lines["order"]]
    business = lived.customers["business"].to_numpy()[customer]
    assert set(lines["quantity"][~business]) == {1, 2}
    assert set(lines["quantity"][business]) == set(range(1, 13))


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
