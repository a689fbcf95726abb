"""Models beside what happened: published counts, formulas written out, simulation, and cases by hand."""

import datetime as dt
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import betaln, gammaln

from loyaltylab import language
from loyaltylab import lifetime_value as lv
from loyaltylab.errors import UnanswerableError
from tests.test_lifetime_value import CUTOFF, WEEKS, cdnow, literal_gamma_gamma
from tests.test_order_models import MODELS

COMBINED = lv.Combined(tuple(MODELS.values()))
EVERY = MODELS | {"combined": COMBINED}
GAMMA_GAMMA = lv.GammaGamma({"p": 6.25, "q": 3.74, "v": 15.44}, {}, {}, 0.0, 1)


def people_of(rows, **more):
    """Judged people of (frequency, recency, age, later_orders) rows."""
    table = pd.DataFrame(rows, columns=["frequency", "recency", "age", "later_orders"])
    return table.assign(**more)


# ---- Counts.


def literal_count(parameters, x, weeks):
    """Fader, Hardie & Lee (2005), eq. 8, as printed: P(X(t) = x) of BG/NBD."""
    r, alpha, a, b = (parameters[k] for k in ("r", "alpha", "a", "b"))
    there, ordered = alpha / (alpha + weeks), weeks / (alpha + weeks)

    def orders(j):
        return np.exp(gammaln(r + j) - gammaln(r) - gammaln(j + 1)) * there**r * ordered**j

    chance = np.exp(betaln(a, b + x) - betaln(a, b)) * orders(x)
    if x > 0:
        stopped = np.exp(betaln(a + 1, b + x - 1) - betaln(a, b))
        chance += stopped * (1 - sum(orders(j) for j in range(x)))
    return chance


@pytest.fixture(scope="module")
def sample():
    return cdnow("CDNOW_sample.txt", ["master", "person_id", "date", "cds", "amount"], 0)


@pytest.fixture(scope="module")
def people(sample):
    return lv.judged_people(sample, cutoff=CUTOFF, weeks=WEEKS)


def test_counts_of_the_cdnow_sample(people):
    """Fader, Hardie & Lee (2005), figure 2: how many had come back 0, 1, … 7 or more times, and what
    their formula expects of customers of all ages, added up one by one."""
    fit = lv.fit_bg_nbd(lv.groups_of(people))
    table = lv.repeat_histogram(people, {"bg_nbd": fit})
    assert table["repeats"].tolist() == [*"0123456", "7 or more"]
    assert table["customers"].tolist() == [1411, 439, 214, 100, 62, 38, 29, 64]
    ages = people["age"].to_numpy() / 7
    literal = [sum(literal_count(fit.parameters, x, t) for t in ages) for x in range(7)]
    literal.append(2357 - sum(literal))
    np.testing.assert_allclose(table["expected"], literal, atol=1e-4)
    chances = np.array([[literal_count(fit.parameters, x, t) for x in range(7)] for t in ages])
    spread = np.sqrt((chances * (1 - chances)).sum(axis=0))
    np.testing.assert_allclose(table["spread"][:7], spread, atol=1e-4)


@pytest.mark.parametrize("name", list(EVERY))
@pytest.mark.parametrize("longest", [1, 9, 80, 823, 9000])
def test_chances_between_the_ages_asked_for_are_the_model_s(name, longest):
    ages = np.unique(np.linspace(0, longest, 60).round())
    first = pd.DataFrame({"frequency": [0], "recency": [0], "age": [0]})
    found = lv.chances_by_age(EVERY[name], ages, 7)
    direct = np.array([EVERY[name].at_least(first, age / 7, 7)[0] for age in ages])
    np.testing.assert_allclose(found, direct, atol=2e-7)
    assert ((found >= 0) & (found <= 1)).all() and (np.diff(found, axis=1) <= 1e-6).all()


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("season", [False, True])
def test_counts_are_those_of_simulated_customers(name, season):
    random = np.random.default_rng(7)
    profile = 1 + 0.8 * np.sin(np.arange(366) * 2 * np.pi / 366)
    clock = lv.Clock(dt.date(2024, 9, 30), tuple(profile / profile.mean()))
    model = replace(MODELS[name], clock=clock if season else None)
    made = model.simulate(random.integers(20, 500, 40_000), random)
    table = lv.repeat_histogram(made, {name: model})
    assert table["customers"].sum() == 40_000
    assert (abs(table["customers"] - table["expected"]) < 4 * table["spread"]).all()
    found = lv.misplaced(table)
    assert found["share"] < 2 * found["by_chance"]
    other = lv.repeat_histogram(made.assign(age=made["age"] / 2), {name: model})
    assert lv.misplaced(other)["share"] > 3 * found["at_most"]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 700)), min_size=1, max_size=30),
       st.sampled_from(list(EVERY)), st.integers(1, 6))  # fmt: skip
@settings(max_examples=12, deadline=None)
def test_counts_add_up_and_hold_whatever_the_order(rows, name, minimum):
    people = people_of([(x, min(x, age), age, 0) for x, age in rows])
    table = lv.repeat_histogram(people, {name: EVERY[name]}, minimum=minimum)
    assert table["customers"].sum() == len(rows)
    assert table["expected"].sum() == pytest.approx(len(rows), abs=1e-4)
    assert len(table) == 1 or table["customers"].min() >= minimum
    again = lv.repeat_histogram(people[::-1], {name: EVERY[name]}, minimum=minimum)
    pd.testing.assert_frame_equal(table, again)
    twice = pd.concat([people, people])
    double = lv.repeat_histogram(twice, {name: EVERY[name]}, minimum=2 * minimum)
    assert (double["customers"] == 2 * table["customers"]).all()
    np.testing.assert_allclose(double["expected"], 2 * table["expected"], atol=1e-4)
    np.testing.assert_allclose(double["spread"], 2**0.5 * table["spread"], atol=1e-4)


def test_misplaced_by_hand():
    table = pd.DataFrame({"customers": [8, 2], "expected": [6.0, 4.0], "spread": [1.5, 1.5]})
    found = lv.misplaced(table)
    assert found["share"] == pytest.approx(0.2)  # two of ten would have to go
    assert found["by_chance"] == pytest.approx(np.sqrt(2 / np.pi) * 3 / 20)
    assert found["chi_square"] == pytest.approx(4 / 6) and found["classes"] == 1


def test_chance_alone_misplaces_about_as_much_as_is_said():
    random, shares = np.random.default_rng(3), np.array([0.5, 0.2, 0.15, 0.1, 0.05])
    expected, spread = 1000 * shares, np.sqrt(1000 * shares * (1 - shares))
    drawn = [
        lv.misplaced(pd.DataFrame({"customers": c, "expected": expected, "spread": spread}))
        for c in random.multinomial(1000, shares, size=1000)
    ]
    found = pd.DataFrame(drawn)
    assert found["share"].mean() == pytest.approx(found["by_chance"][0], rel=0.03)
    assert 0.92 < (found["share"] <= found["at_most"]).mean() < 0.98


# ---- Weeks not seen.


def test_holdout_by_repeats_by_hand():
    people = people_of(
        [(0, 0, 9, 0)] * 2 + [(0, 0, 9, 3)] * 2 + [(1, 5, 9, 2)] * 2 + [(9, 8, 9, 7)]
    )
    forecast = lv.Forecast(np.array([1.0, 1, 1, 2, 2, 2, 6]))
    table = lv.holdout_by_repeats(people, forecast)
    # Between 2 and 9 there is nobody, so that they stand together.
    assert table["repeats"].tolist() == ["0", "1", "2 or more"]
    assert table["customers"].tolist() == [4, 2, 1]
    assert table["actual"].tolist() == [1.5, 2, 7]
    assert table["predicted"].tolist() == [1.25, 2, 6]
    # A deviation of √3 over n − 1, of the mean of 4; by logarithms.
    reach = np.exp(1.959964 * (3 / 4) ** 0.5 / 1.5)
    assert table["low"][0] == pytest.approx(1.5 / reach, rel=1e-6)
    assert table["high"][0] == pytest.approx(1.5 * reach, rel=1e-6)
    # Of one customer alone the spread is that of a count; 7 is one of 2.81 to 14.42 (Garwood 1936).
    assert (table["low"][2].round(2), table["high"][2].round(2)) == (2.81, 14.42)
    words = "2 or more: 7.00 (2.81 to 14.42) observed and 6.00 expected"
    assert words in lv.describe_by_repeats(table)
    none = lv.holdout_by_repeats(people.assign(later_orders=0), forecast)
    assert none["high"][0] == pytest.approx(3.6889 / 4, abs=1e-4)  # not surely none
    few = lv.holdout_by_repeats(people, forecast, minimum=3)
    assert few["repeats"].tolist() == ["0", "1 or more"] and few["actual"][1] == 11 / 3
    assert lv.holdout_by_repeats(people, forecast, minimum=4)["repeats"].tolist() == ["0 or more"]


def test_holdout_by_silence_by_hand():
    rows = [(0, 0, age, age % 2) for age in (7, 7, 14, 21)] + [
        (1, 7, 14 + 7 * k, k) for k in range(6)
    ]
    people = people_of(rows)
    forecast = lv.Forecast(np.arange(10.0))
    table = lv.holdout_by_silence(people, forecast, parts=2)
    assert table["came_back"].tolist() == [False, False, True, True]
    assert table["customers"].tolist() == [2, 2, 3, 3]
    assert table["weeks"].tolist() == [1, 2.5, 2, 5]  # since the last order, not the first
    assert table["actual"].tolist() == [1, 0.5, 1, 4]
    assert table["predicted"].tolist() == [0.5, 2.5, 5, 8]
    few = lv.holdout_by_silence(people, forecast, parts=2, minimum=3)
    assert few["came_back"].tolist() == [True, True]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(3, 30), st.integers(0, 4)), min_size=2))
@settings(max_examples=30, deadline=None)
def test_holdout_tables_lose_nobody_and_know_no_order(rows):
    people = people_of([(x, x, age, later) for x, age, later in rows])
    orders = np.arange(len(rows)) / 7
    back = people[::-1].reset_index(drop=True)
    for table_of in (lv.holdout_by_repeats, lv.holdout_by_silence):
        table = table_of(people, lv.Forecast(orders))
        assert table["customers"].sum() == len(rows)
        assert table["actual"] @ table["customers"] == pytest.approx(people["later_orders"].sum())
        assert table["predicted"] @ table["customers"] == pytest.approx(orders.sum())
        pd.testing.assert_frame_equal(table, table_of(back, lv.Forecast(orders[::-1])))


def track(expected):
    weeks = len(expected)
    return pd.DataFrame(
        {
            "week_end": pd.date_range("2024-01-07", periods=weeks + 2, freq="W"),
            "actual": [5, 5, *([10, 14] * weeks)[:weeks]],
            "expected": [4.0, 6.0, *expected],
            "actual_total": np.cumsum([5, 5, *([10, 14] * weeks)[:weeks]]),
            "expected_total": np.cumsum([4.0, 6.0, *expected]),
            "held_out": [False, False] + [True] * weeks,
        }
    )


def test_weekly_contest_by_hand():
    near, far = np.array([11.0, 13.5, 9.8, 14.2] * 5), np.array([20.0, 25, 21, 24] * 5)
    tracks = {"own": track(near), "far": track(far), "perfect": track(np.array([10.0, 14] * 10))}
    table = lv.weekly_contest(tracks, champion="own")
    assert table["verdict"].to_dict() == {"own": "champion", "far": "worse", "perfect": "better"}
    assert table["miss"]["far"] == pytest.approx(((100 + 121 + 121 + 100) / 4) ** 0.5)
    assert table["miss"]["perfect"] == 0 and table["total"]["perfect"] == 0
    assert table["total"]["far"] == pytest.approx(22.5 / 12 - 1)
    assert np.isnan(table["p"]["own"]) and table["p"]["far"] < 0.001
    short = lv.weekly_contest(
        {name: t.head(5) for name, t in tracks.items()}, champion="own"
    )  # three weeks of hold-out
    assert short["verdict"].to_dict() == dict.fromkeys(["far", "perfect"], "cannot tell") | {
        "own": "champion"
    }


def test_models_alike_are_no_different():
    noise = np.random.default_rng(0).normal(0, 1, (2, 20))
    table = lv.weekly_contest(
        {n: track(12 + e) for n, e in zip("ab", noise, strict=True)}, champion="a"
    )
    assert table["verdict"]["b"] == "no different"


def test_by_origin_ranks_within_each_day_and_names_what_is_the_same_once():
    people = people_of([(0, 0, 9, 0), (1, 5, 9, 2), (2, 5, 9, 1)])
    good, poor = lv.Forecast(np.array([0.0, 2, 1])), lv.Forecast(np.array([1.0, 0, 1]))
    told = {"poor": poor, "good": good, "same": good}
    nobody = people.assign(later_orders=0)
    table = lv.by_origin({"May": (people, told), "June": (nobody, told), "July": (people, told)})
    assert table["origin"].tolist() == ["May", "May", "July", "July"]
    assert table["model"].tolist() == ["good", "poor"] * 2
    assert table["mae"].tolist() == [0, 1] * 2 and table["bias"].tolist()[:2] == [
        0,
        round(-1 / 3, 9),
    ]
    with pytest.raises(UnanswerableError, match="after none there are any"):
        lv.by_origin({"June": (nobody, told)})


# ---- Models in words and numbers.


def test_model_tables_and_stories():
    one = lv.MbgCnbd({"k": 1.0} | MODELS["mbg_nbd"].parameters, {}, {}, 0.0, 1)
    fits = MODELS | {"mbg_cnbd": one, "combined": COMBINED}
    assert list(lv.distinct_fits(fits, keep="combined")) == [n for n in fits if n != "mbg_cnbd"]
    assert list(lv.distinct_fits(fits, keep="mbg_cnbd")) == list(fits)
    assert list(lv.distinct_fits(EVERY, keep="nbd")) == list(EVERY)  # k = 3 says something else
    groups = pd.DataFrame(
        {"frequency": [0, 3], "recency": [0, 90], "age": [100, 100], "customers": [3, 1]}
    )
    edge = replace(MODELS["nbd"], edge=True, low={"r": np.nan, "alpha": np.nan})
    table = lv.model_table(EVERY | {"edge": edge}, groups)
    assert table["orders_a_year"]["nbd"] == pytest.approx(52 * 0.4 / 12)
    assert table["orders_a_year"]["mbg_cnbd"] == pytest.approx(52 * 0.9 / 4 / 3)
    assert table["orders_a_year"][["combined", "edge"]].isna().all() and table["edge"]["edge"]
    assert table["first_year"]["nbd"] == pytest.approx(52 * 0.4 / 12)
    alive = MODELS["pareto_nbd"].alive(groups)
    assert table["active"]["pareto_nbd"] == pytest.approx((3 * alive[0] + alive[1]) / 4)
    parameters = lv.parameter_table(EVERY)
    assert len(parameters) == 2 + 4 + 4 + 5 + 4  # the combined have none
    assert parameters["means"].notna().all() and parameters["low"].isna().all()
    stories = {name: lv.model_story(model) for name, model in EVERY.items()}
    assert "order on 1.7 days a year" in stories["nbd"] and "Nobody ever leaves" in stories["nbd"]
    assert "after the first repeat order with a chance of 25%" in stories["bg_nbd"]
    assert "after the first order with a chance of 36%" in stories["mbg_nbd"]
    assert "varies by 58% of its mean" in stories["mbg_cnbd"]
    assert "no parameters" in stories["combined"] and "at the edge" in lv.model_story(edge)
    assert len(set(stories.values())) == len(stories)


def test_stories_tell_of_simulated_customers():
    """Half of the customers order less than the story says; half have left by when it says."""
    random = np.random.default_rng(1)
    rate = 52 * random.gamma(0.55, 1 / 10.6, 100_000)
    assert f"half of them on fewer than {np.median(rate):.1f}." in lv.model_story(
        MODELS["pareto_nbd"]
    )
    life = random.exponential(1 / random.gamma(0.61, 1 / 11.7, 400_000))
    said = lv.model_story(MODELS["pareto_nbd"]).split("within ")[1].split(" weeks")[0]
    assert float(said) == pytest.approx(np.median(life), rel=0.03)
    leaves = np.median(random.beta(0.9, 1.6, 100_000))
    assert f"less than {leaves:.0%} for half" in lv.model_story(MODELS["mbg_nbd"])


# ---- Histories.


@pytest.mark.parametrize("name", list(EVERY))
def test_the_matrix_is_what_the_model_says_of_each_cell(name):
    cells = lv.history_matrix(EVERY[name], age=378, weeks=39)
    assert cells["silence"].max() <= 54 and cells["silence"].nunique() <= 12
    assert not cells.duplicated(["frequency", "silence"]).any()
    row = cells[(cells["frequency"] == 4) & (cells["silence"] == 10)].iloc[0]
    one = pd.DataFrame({"frequency": [4], "recency": [308], "age": [378]})
    assert row["alive"] == EVERY[name].alive(one)[0]
    assert row["orders"] == pytest.approx(EVERY[name].expected_orders(one, 39)[0])
    # Ten repeat order days need ten days.
    short = lv.history_matrix(EVERY[name], age=14, weeks=39)
    assert short[short["silence"] == 1]["frequency"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert short[short["silence"] == 2].empty


def test_typical_histories_by_hand():
    rows = [(1, 60, 200, 0), (1, 80, 200, 0), (1, 100, 200, 0), (3, 90, 200, 0), (7, 70, 200, 0)]
    found = lv.typical_histories(people_of(rows), age=100)
    assert found == {
        "bought once": [0],
        "1 repeat order": [0, 80],
        "3 repeat orders": [0, 30, 60, 90],
        "7 repeat orders": [0, 10, 20, 30, 40, 50, 60, 70],
        "silent, then back": [0, 10, 20, 70],
    }
    few = lv.typical_histories(people_of(rows), age=100, minimum=2)
    assert few == {
        "bought once": [0],
        "1 repeat order": [0, 80],
        "silent, then back": [0, 80],  # what lies after the age is left out
    }
    assert lv.typical_histories(people_of(rows[:0]), age=9) == {"bought once": [0]}


@pytest.mark.parametrize("name", list(EVERY))
def test_paths_are_what_was_known_on_each_day(name):
    model, ordered = EVERY[name], [0, 20, 25, 90]
    clock = lv.Clock(dt.date(2024, 9, 30), tuple(np.linspace(0.5, 1.5, 366)))
    # Which counts for nothing where no date is known.
    if name == "combined":
        model = lv.Combined(tuple(replace(one, clock=clock) for one in COMBINED.models))
    else:
        model = replace(model, clock=clock)
    table = lv.alive_paths(model, {"a": ordered, "b": [0]}, age=120)
    assert (
        table.groupby("customer")["day"]
        .agg(["min", "max", "size"])
        .eq([0, 120, 121])
        .all(axis=None)
    )
    path = table[table["customer"] == "a"].set_index("day")
    assert path.index[path["ordered"]].tolist() == ordered
    for day in (0, 19, 20, 24, 25, 89, 90, 120):
        before = [d for d in ordered if d <= day]
        history = {"frequency": [len(before) - 1], "recency": [before[-1]], "age": [day]}
        alive = EVERY[name].alive(pd.DataFrame(history))[0]
        assert path["alive"][day] == pytest.approx(alive, rel=1e-12)
    silent = path["alive"].diff()[~path["ordered"]]
    assert (silent.dropna() <= 1e-12).all()


# ---- Spend.


def spenders(customers, seed=5):
    """Groups of customers who spend as GAMMA_GAMMA has it."""
    random = np.random.default_rng(seed)
    p, q, v = GAMMA_GAMMA.parameters.values()
    orders = random.geometric(0.4, customers)
    total = random.gamma(p * orders, 1 / random.gamma(q, 1 / v, customers))
    return pd.DataFrame({"frequency": orders, "repeat_spend": total, "customers": 1})


def test_spend_expected_is_the_density_of_the_paper_added_up():
    groups = spenders(40)
    table = lv.spend_histogram(groups, GAMMA_GAMMA, parts=6)
    assert table["expected"].sum() == pytest.approx(40, abs=1e-5)
    parameters = GAMMA_GAMMA.parameters
    for row in table.fillna({"low": 0.0, "high": np.inf}).itertuples():
        literal = 0.0
        for orders in groups["frequency"]:

            def density(z, x=orders):
                return np.exp(literal_gamma_gamma(parameters, x, x * z)) if z > 0 else 0.0

            literal += quad(density, row.low, row.high)[0]
        assert row.expected == pytest.approx(literal, rel=1e-5)


def test_spend_counted_is_that_of_simulated_customers():
    groups = spenders(30_000)
    table = lv.spend_histogram(groups, GAMMA_GAMMA, minimum=5)
    assert len(table) == 22 and table["customers"].sum() == 30_000
    assert (abs(table["customers"] - table["expected"]) < 4 * table["spread"]).all()
    mean = groups["repeat_spend"] / groups["frequency"]
    bounds = table.fillna({"low": 0.0, "high": np.inf})
    for row in bounds.iloc[[0, 7, -1]].itertuples():
        assert row.customers == ((mean >= row.low) & (mean < row.high)).sum()
    other = replace(GAMMA_GAMMA, parameters=GAMMA_GAMMA.parameters | {"v": 25.0})
    found, wrong = lv.misplaced(table), lv.misplaced(lv.spend_histogram(groups, other))
    assert found["share"] < found["at_most"] < wrong["share"]


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 10**6), st.integers(1, 9)), min_size=1),
    st.integers(1, 8),
)
@settings(max_examples=20, deadline=None)
def test_spend_classes_hold_everybody_and_enough_of_them(rows, minimum):
    groups = pd.DataFrame(rows, columns=["frequency", "repeat_spend", "customers"])
    table = lv.spend_histogram(groups, GAMMA_GAMMA, minimum=minimum)
    assert table["customers"].sum() == groups["customers"].sum()
    assert table["expected"].sum() == pytest.approx(groups["customers"].sum(), abs=1e-3)
    assert len(table) == 1 or table["customers"].min() >= minimum
    assert (table["high"].iloc[:-1].to_numpy() == table["low"].iloc[1:].to_numpy()).all()
    back = lv.spend_histogram(groups[::-1], GAMMA_GAMMA, minimum=minimum)
    pd.testing.assert_frame_equal(table, back)
    assert lv.describe_spend(table, currency="EUR")
    plt.close(lv.plot_spend(table, currency="EUR").get_figure())


# ---- Figures.


def test_figures_draw_their_tables_and_their_words_follow(people):
    model = MODELS["mbg_nbd"]
    counts = lv.repeat_histogram(people, {"mbg_nbd": model})
    ax = lv.plot_repeats(counts)
    assert [bar.get_height() for bar in ax.patches] == counts["customers"].tolist()
    assert ax.lines[0].get_ydata().tolist() == counts["expected"].tolist()
    assert f"0: 1,411 and {counts['expected'][0]:,.0f}; 1: 439" in lv.describe_repeats(counts)
    forecast = lv.Forecast(model.expected_orders(people, WEEKS))
    by_repeats = lv.holdout_by_repeats(people, forecast)
    ax = lv.plot_by_repeats(by_repeats)
    drawn = [line.get_ydata().tolist() for line in ax.lines]
    assert by_repeats["actual"].tolist() in drawn and by_repeats["predicted"].tolist() in drawn
    first = by_repeats.iloc[0]
    words = f"0: {first.actual:.2f} ({first.low:.2f} to {first.high:.2f}) observed"
    assert f"{words} and {first.predicted:.2f}" in lv.describe_by_repeats(by_repeats)
    by_silence = lv.holdout_by_silence(people, forecast)
    drawn = [line.get_ydata().tolist() for line in lv.plot_by_silence(by_silence).lines]
    for came_back, part in by_silence.groupby("came_back"):
        assert part["actual"].tolist() in drawn and part["predicted"].tolist() in drawn
        said = lv.describe_by_silence(by_silence)
        assert f"{part['weeks'].iloc[-1]:.0f} weeks: {part['actual'].iloc[-1]:.2f}" in said
        assert ("Who had come back before:" if came_back else "Who had bought once:") in said
    plt.close("all")


def test_figures_of_histories_draw_their_tables_and_their_words_follow(sample):
    model = MODELS["mbg_nbd"]
    weekly = lv.tracking(sample, model, cutoff=CUTOFF, weeks=WEEKS)
    observed, expected = lv.plot_cumulative(weekly).lines
    assert observed.get_ydata().tolist() == weekly["actual_total"].tolist()
    assert expected.get_ydata().tolist() == weekly["expected_total"].tolist()
    last = weekly.iloc[-1]
    words = f"1998-06-30, {last.actual_total:,.0f} observed and {last.expected_total:,.0f} expected"
    assert words in lv.describe_cumulative(weekly)
    cells = lv.history_matrix(model, age=378, weeks=39)
    for what, figure in (("alive", "{:.0%}"), ("orders", "{:.1f}")):
        ax = lv.plot_matrix(cells, what=what)
        written = [text.get_text() for text in ax.texts]
        order = cells.sort_values(["silence", "frequency"])[what]
        assert written == [figure.format(value) for value in order]
        corner = figure.format(cells[what].iloc[0])
        assert f"{corner} with 1 repeat order and 0 weeks" in lv.describe_matrix(cells, what=what)
    paths = lv.alive_paths(model, {"a": [0, 20], "b": [0]}, age=70)
    ax = lv.plot_paths(paths)
    for place, line in enumerate(ax.lines):
        alive = paths["alive"][paths["customer"] == "ab"[place]]
        np.testing.assert_allclose(line.get_ydata(), 0.7 * alive - place)
    assert [len(ticks.get_segments()) for ticks in ax.collections[1::2]] == [2, 1]
    assert "a, orders in week 0, 3: at its lowest" in lv.describe_paths(paths)
    plt.close("all")


def test_outer_classes_of_spend_are_drawn_as_wide_as_the_others():
    table = lv.spend_histogram(spenders(3000), GAMMA_GAMMA)
    bars = lv.plot_spend(table, currency="EUR").patches
    assert [bar.get_height() for bar in bars] == table["customers"].tolist()
    wide = [(bar.get_x() + bar.get_width()) / bar.get_x() for bar in bars]
    assert wide[0] == pytest.approx(np.median(wide)) and wide[-1] == pytest.approx(np.median(wide))
    assert f"below {table['high'][0]:g}: " in lv.describe_spend(table, currency="EUR")
    plt.close("all")


def test_classes_of_repeat_orders_in_german():
    language.use("de")
    assert lv.class_names(["0", "3", "7 or more"]) == ["0", "3", "7 oder mehr"]
    assert lv.repeat_names([2, 7]) == ["2", "7 oder mehr"]
