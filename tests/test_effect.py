"""What a step of a score goes with: against statsmodels, by hand, and where the truth is planted."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from statsmodels.discrete.discrete_model import Logit
from statsmodels.duration.hazard_regression import PHReg

from loyaltylab.errors import UnanswerableError
from loyaltylab.satisfaction import effect as effects
from loyaltylab.satisfaction import evidence
from loyaltylab.satisfaction.effect import OWN_STEP, Effect, effect, fit, linear, plain
from loyaltylab.satisfaction.still_there import StateShift, fit_shift

NOBODY = StateShift(0.0, 0.0, {"nps": np.array([[10.0, np.inf]])}, {"nps": np.zeros(2)})


def answers(seed, *, n=3000, slope=0.15, confounded=0.0, left=0.0, lower=0.0):
    """Answers to NPS with earlier behaviour. confounded : how far a long tenure lifts both, the score
    and ordering; left : mean share who had left, who never order and answer lower by `lower` SD."""
    random = np.random.default_rng(seed)
    age = random.integers(30, 900, n)
    chance = random.beta(0.5, 0.5 / left - 0.5, n) if left else np.zeros(n)
    gone = random.random(n) < chance
    older = (age - 465) / 250
    latent = random.standard_normal(n) + confounded * older - lower * gone
    score = np.searchsorted(np.linspace(-2, 0.7, 10), latent) * 1.0
    ordered = random.random(n) < expit(slope * (score - 7) + confounded * older)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 700, n), unit="D")
    frame = pd.DataFrame(
        {
            "instrument": "nps", "person": random.integers(0, n // 2, n), "score": score,
            "day": day, "age": age, "frequency": random.integers(0, 5, n),
            "silence": random.integers(0, 30, n), "basket": random.lognormal(3, 0.5, n),
            "ordered": (ordered & ~gone) * 1.0, "left": chance, "hardy": 0.0,
        }
    )  # fmt: skip
    return frame.assign(observed=(pd.Timestamp("2026-01-01") - day).days), gone


def truth_of(frame, slope, confounded, gone):
    """The mean difference of a step in the chances that the answers were drawn from."""
    older = (frame["age"] - 465) / 250
    up, down = (expit(slope * (frame["score"] + h - 7) + confounded * older) for h in (0.5, -0.5))
    return float(((up - down) * ~gone).mean())


def test_without_anybody_gone_it_is_statsmodels_logit_with_clustered_errors():
    frame, _ = answers(1)
    x = effects.adjustment(frame)
    there = np.ones(len(frame))
    found = fit(linear(frame["score"].to_numpy()), x, frame["ordered"].to_numpy(),
                persons=frame["person"].to_numpy(), there=there)  # fmt: skip
    design = np.column_stack([frame["score"], x])
    theirs = Logit(frame["ordered"], design).fit(
        disp=False, cov_type="cluster", cov_kwds={"groups": frame["person"]}, tol=1e-12
    )
    np.testing.assert_allclose(found.parameters, theirs.params, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), theirs.bse, rtol=1e-4)
    assert found.log_likelihood == pytest.approx(theirs.llf, rel=1e-9)
    p = found.wald(np.array([[1.0]]))
    assert p == pytest.approx(float(np.asarray(theirs.pvalues)[0]), rel=1e-3)


def test_a_step_is_the_mean_of_each_ones_own_step():
    """By a loop, and its error by moving each parameter."""
    frame, _ = answers(2, n=800)
    x = effects.adjustment(frame)
    scores = frame["score"].to_numpy()
    fitted = fit(linear(scores), x, frame["ordered"].to_numpy(),
                 persons=frame["person"].to_numpy(), there=np.ones(len(frame)))  # fmt: skip

    def told(b):
        steps = [
            expit(b[0] * (s + 0.5) + row @ b[1:]) - expit(b[0] * (s - 0.5) + row @ b[1:])
            for s, row in zip(scores, x, strict=True)
        ]
        return np.mean(steps)

    found = effect(frame, linear, OWN_STEP)
    assert found.value == pytest.approx(told(fitted.parameters))
    moved = np.array([
        (told(fitted.parameters + e) - told(fitted.parameters - e)) / 2e-5
        for e in 1e-5 * np.eye(len(fitted.parameters))
    ])  # fmt: skip
    assert found.error == pytest.approx(np.sqrt(moved @ fitted.covariance @ moved), rel=1e-5)
    assert (found.answers, found.persons) == (800, frame["person"].nunique())


def test_the_planted_effect_is_held_and_at_first_sight_it_is_not():
    """200 sets of answers with a confounder: of intervals that hold the truth with .95, 181 to 197 of
    200 do in 99 % of cases (binomial)."""
    inside, at_first_sight = [], []
    for seed in range(200):
        frame, gone = answers(seed, n=700, confounded=0.4)
        true = truth_of(frame, 0.15, 0.4, gone)
        one, first = effect(frame, linear, OWN_STEP), plain(frame)
        inside.append(one.low <= true <= one.high)
        at_first_sight.append(first.low <= true <= first.high)
    assert 181 <= sum(inside) <= 197
    assert sum(at_first_sight) < 150


def test_no_effect_planted_is_seldom_an_alarm():
    """Of 200, at a rate of .05, 3 to 19 in 99 % of cases."""
    alarms = 0
    for seed in range(200):
        found = effect(answers(seed, n=600, slope=0.0, confounded=0.4)[0], linear, OWN_STEP)
        alarms += not found.low <= 0 <= found.high
    assert 3 <= alarms <= 19


def test_who_had_left_is_taken_out():
    """Nothing is planted but that who has left answers lower; without a correction that looks like an
    effect. Its error allows for the shift not being known."""
    found, without = [], []
    for seed in range(30):
        frame, _ = answers(seed, n=2000, slope=0.0, left=0.3, lower=1.0)
        shift = fit_shift(frame)
        found.append(effect(frame, linear, OWN_STEP, shift=shift))
        without.append(effect(frame, linear, OWN_STEP))
    assert np.mean([one.value for one in without]) > 0.02
    mean = np.mean([one.value for one in found])
    assert abs(mean) < 3 * np.std([one.value for one in found]) / np.sqrt(len(found)) + 1e-3
    assert sum(one.low <= 0 <= one.high for one in found) >= 25  # of 30: in 99 % of cases
    assert all(f.error > w.error for f, w in zip(found, without, strict=True))


def test_the_error_holds_that_of_the_shift():
    frame, _ = answers(12, n=2000, left=0.3, lower=0.8)
    found = fit_shift(frame)
    sure, unsure = (
        effect(frame, linear, OWN_STEP, shift=replace(found, error=error)) for error in (0.0, 0.4)
    )
    more, less = (
        effect(frame, linear, OWN_STEP, shift=replace(found, shift=found.shift + by)).value
        for by in (0.2, -0.2)
    )
    assert unsure.error**2 == pytest.approx(sure.error**2 + (more - less) ** 2, rel=1e-7)
    assert more > less + 0.001  # the less who had left answer lower, the less is taken out


def test_what_hardiness_hides_of_a_step_by_hand():
    """Where all are equally hardy the slope was a share of what it is, and a step moves by all of it."""
    frame, _ = answers(7, n=1500)
    half = frame.assign(hardy=0.5)
    without = effect(frame.assign(hardy=0.0), linear, OWN_STEP, lasting=(0.8, 0.1))
    assert without == effect(frame, linear, OWN_STEP)
    x, scores = effects.adjustment(frame), frame["score"].to_numpy()
    fitted = fit(linear(scores), x, frame["ordered"].to_numpy(),
                 persons=frame["person"].to_numpy(), there=np.ones(len(frame)))  # fmt: skip
    b = fitted.parameters[0]
    down = (scores - 0.5) * b + x @ fitted.parameters[1:]
    by_hand = np.mean(expit(down + b / (1 - 0.8 * 0.5)) - expit(down))
    assert effect(half, linear, OWN_STEP, lasting=(0.8, 0.0)).value == pytest.approx(by_hand)


def test_the_error_holds_that_of_how_much_lasts():
    frame = answers(7, n=1500)[0].assign(hardy=0.6)
    sure, unsure = (effect(frame, linear, OWN_STEP, lasting=(0.5, e)) for e in (0.0, 0.2))
    more, less = (effect(frame, linear, OWN_STEP, lasting=(v, 0.0)).value for v in (0.6, 0.4))
    assert unsure.error**2 == pytest.approx(sure.error**2 + (more - less) ** 2, rel=1e-7)
    assert more > less + 0.001


def test_what_is_sorted_out_is_made_up_for():
    """Customers with gamma rates of leaving, which a lasting satisfaction multiplies by .6 a step; asked
    are those still there after up to 3 years. Who is made up for shows the step as it is for each."""
    random = np.random.default_rng(3)
    n, beta = 150_000, 150.0  # days
    rate, score = random.gamma(0.8, 1 / beta, n), np.round(2 * random.standard_normal(n)) / 2
    age = random.integers(5, 1000, n)
    there = random.random(n) < np.exp(-rate * 0.6**score * age)
    rate, score, age = rate[there], score[there], age[there]

    def chance(s):
        return np.exp(-rate * 0.6**s * 90)

    ordered = random.random(len(rate)) < chance(score)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 700, len(rate)), unit="D")
    frame = pd.DataFrame(
        {"person": np.arange(len(rate)), "score": score, "day": day, "age": age, "frequency": 0,
         "silence": 0, "basket": 20.0, "observed": 400, "ordered": ordered * 1.0, "left": 0.0,
         "hardy": age / (beta + age)}
    )  # fmt: skip
    true = (chance(score + 0.5) - chance(score - 0.5)).mean()
    without = effect(frame, linear, OWN_STEP)
    made_up = effect(frame, linear, OWN_STEP, lasting=(1.0, 0.0))
    assert without.high < 0.7 * true
    assert made_up.value == pytest.approx(true, rel=0.15)


def test_order_of_rows_makes_no_difference_and_copies_no_certainty():
    frame, _ = answers(4, n=900)
    one = effect(frame, linear, OWN_STEP)
    other = effect(frame.sample(frac=1, random_state=1), linear, OWN_STEP)
    assert other.value == pytest.approx(one.value, rel=1e-8)
    assert other.error == pytest.approx(one.error, rel=1e-8)
    twice = effect(pd.concat([frame, frame]), linear, OWN_STEP)
    assert twice.value == pytest.approx(one.value, rel=1e-6)
    assert twice.error == pytest.approx(one.error, rel=0.01)  # the same persons, said again
    assert plain(pd.concat([frame, frame])).error == pytest.approx(plain(frame).error)


def test_first_sight_is_a_straight_line():
    frame = pd.DataFrame({"score": [0.0, 0, 1, 1], "ordered": [0.0, 1, 1, 1], "person": range(4)})
    found = plain(frame)
    assert found.value == pytest.approx(0.5)
    # Residuals ∓1/2 at score 0, 0 at 1; scores are 1/2 from their mean, squares add up to 1.
    assert found.error == pytest.approx(np.sqrt(2 * (0.5 * 0.5) ** 2))


def test_too_few_answers_and_answers_that_settle_it_are_refused():
    frame, _ = answers(5, n=80)
    with pytest.raises(UnanswerableError, match="expected at least 55 answers that were followed"):
        effect(frame, linear, OWN_STEP)
    frame, _ = answers(6, n=600)
    with pytest.raises(UnanswerableError, match="settles it"):
        effect(frame.assign(ordered=(frame["score"] > 6) * 1.0), linear, OWN_STEP)
    same = frame.assign(score=3.0, wait=9.0)
    with pytest.raises(UnanswerableError, match="one score alone"):
        plain(same)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the mean of nothing
        with pytest.raises(UnanswerableError, match="one score alone"):
            plain(same.head(0))
    with pytest.raises(UnanswerableError, match="one score alone"):
        evidence.hazard(same)
    # Two kinds of customers, and all that is known of them says which: no part of it can be told apart.
    kind = np.arange(600) % 2
    known = {"frequency": 1.0, "age": 900.0, "silence": 900.0, "basket": 10.0}
    spells = {"wait": 1.0 + np.arange(600) % 63, "observed": 99.0, "person": range(600)}
    alike = frame.assign(day=pd.Timestamp("2024-01-01"), **spells)
    alike = alike.assign(**{name: least + kind for name, least in known.items()})
    with pytest.raises(UnanswerableError, match="found them alike"):
        evidence.hazard(alike)
    # Everybody bought every hundred days: how often, how long and when all say the same of a customer,
    # almost without rounding. No variance below 0, which would warn of a root.
    turn = np.arange(600) % 4
    same_days = {"frequency": turn + 1.0, "age": 100.0 * turn + 3, "observed": 540.0 - 100 * turn}
    same_days |= {"silence": 3.0, "basket": 10.0, "person": np.arange(600) // 4}
    every = frame.assign(day=pd.Timestamp("2025-01-04") + pd.to_timedelta(100 * turn, unit="D"))
    every = every.assign(**same_days, wait=np.where(turn < 3, 97.0, np.nan))
    with pytest.raises(UnanswerableError, match="found them alike"):
        evidence.hazard(every)
    # Whoever was there yet when the first customer ordered had answered 0.
    late = frame.assign(day=pd.Timestamp("2024-01-01"), **spells, score=5 * (np.arange(600) % 2))
    late = late.assign(wait=99.0, observed=np.where(late["score"] > 0, 9.0, 99.0))
    with pytest.raises(UnanswerableError, match="found them alike"):
        evidence.hazard(late)
    # The better the answer, the sooner the order: of a step more the rate is without end higher.
    soon = frame.assign(day=pd.Timestamp("2024-01-01"), **spells)
    with pytest.raises(UnanswerableError, match="settles it"):
        evidence.hazard(soon.assign(wait=20.0 - soon["score"]))
    with pytest.raises(UnanswerableError, match="good ones and others, found some kind lacking"):
        effect(same, linear, OWN_STEP)
    with pytest.raises(UnanswerableError, match="some kind lacking"):
        evidence.of_groups(frame[frame["score"] > 6], "nps", NOBODY)  # nobody is a detractor


def test_how_many_answers_it_would_take():
    """Power of a normal test: n σ² (1.959964 + .841621)² / δ² answers, with an error of σ / √n now."""
    found = Effect(0.004, 0.01, 0.3, 1000, 900)
    assert found.needed(0.01) == int(np.ceil(1000 * (1.959964 + 0.8416212) ** 2))


def test_from_bad_to_good_skips_what_lies_between():
    frame, _ = answers(7, n=6000, slope=0.2)
    found = evidence.of_groups(frame, "nps", NOBODY)
    chances = expit(0.2 * (frame["score"] - 7))
    good, bad = chances[frame["score"] >= 9].mean(), chances[frame["score"] <= 6].mean()
    assert found.low < good - bad < found.high
    assert found.base == pytest.approx(bad, abs=0.03)


def test_bends_are_seen_where_there_are_and_not_where_there_are_none():
    frame, _ = answers(8, n=6000, slope=0.2)
    straight = evidence.shape(frame, "nps", NOBODY)
    assert straight.below == pytest.approx(0.2, abs=0.08)
    assert straight.above == pytest.approx(0.2, abs=0.15)
    assert straight.p_equal > 0.001 and straight.p_line > 0.001
    random = np.random.default_rng(1)
    lost = expit(0.6 * np.minimum(frame["score"] - 7.5, 0))
    bent = evidence.shape(frame.assign(ordered=(random.random(6000) < lost) * 1.0), "nps", NOBODY)
    assert bent.below == pytest.approx(0.6, abs=0.1) and bent.p_equal < 1e-4
    step = np.where(frame["score"] >= 4, 0.7, 0.2)
    cliff = evidence.shape(frame.assign(ordered=(random.random(6000) < step) * 1.0), "nps", NOBODY)
    assert cliff.p_line < 1e-6


def test_e_value_is_the_published_one():
    """VanderWeele & Ding (2017): a risk ratio of 3.9 (1.8 to 8.7) has one of 7.26, and 3.0 of its
    interval."""
    error = 0.21 / 1.959964  # from 3.9 down to 1.8 of a base of a tenth
    found = Effect(0.29, error, 0.1, 100, 100)
    of_value, of_interval = evidence.e_value(found)
    assert of_value == pytest.approx(7.26, abs=0.005)
    assert of_interval == pytest.approx(3.0, abs=0.005)
    assert evidence.e_value(Effect(0.01, 0.1, 0.1, 100, 100))[1] == 1
    lower = evidence.e_value(Effect(0.1 / 3.9 - 0.1, 1e-9, 0.1, 100, 100))[0]
    assert lower == pytest.approx(of_value)  # a ratio and its inverse are as far from none


def test_the_control_looks_at_the_window_before():
    frame, _ = answers(9, n=2000)
    random = np.random.default_rng(2)
    then = {f"{n}_then": frame[n] for n in ("frequency", "age", "silence")}
    nothing = frame.assign(before=(random.random(2000) < 0.4) * 1.0, **then)
    found = evidence.before(nothing)
    assert abs(found.value) < 3 * found.error
    drawn = expit(0.2 * (frame["score"] - 7))
    seen = evidence.before(frame.assign(before=(random.random(2000) < drawn) * 1.0, **then))
    assert seen.low > 0
    half = nothing.assign(before=nothing["before"].where(nothing.index < 1500))
    assert evidence.before(half).answers == 1500


def test_rates_of_ordering_are_those_of_statsmodels_with_spells_by_hand():
    """Each answer holds until the next order, the next answer or the end."""
    frame, _ = answers(10, n=1500)
    random = np.random.default_rng(3)
    wait = random.exponential(200 * np.exp(-0.1 * (frame["score"] - 7)))
    frame = frame.assign(wait=np.where(wait < frame["observed"], np.ceil(wait), np.nan))
    frame = frame.sort_values(["person", "day"], kind="stable")
    times, status = [], []
    for _, rows in frame.groupby("person"):
        days = list(rows["day"])
        for place, row in enumerate(rows.itertuples()):
            end = row.observed
            if place + 1 < len(days):
                end = min(end, (days[place + 1] - days[place]).days)
            came = row.wait <= end
            times.append(row.wait if came else end)
            status.append(came)
    times, status = np.array(times, float), np.array(status)
    frame = frame.sort_values(["person", "day"], kind="stable")
    x = np.column_stack([frame["score"], effects.adjustment(frame)[:, 1:]])
    keep = times > 0
    theirs = PHReg(times[keep], x[keep], status=status[keep], ties="efron").fit(
        groups=frame["person"].to_numpy()[keep]
    )
    value, low, high = evidence.hazard(frame)
    assert value == pytest.approx(np.exp(theirs.params[0]), rel=1e-9)
    assert np.log(high / low) / 2 == pytest.approx(1.959964 * theirs.bse[0], rel=1e-6)
    assert low < np.exp(0.1) < high
    with pytest.raises(UnanswerableError, match="expected at least 50 orders after an answer"):
        evidence.hazard(frame.assign(wait=np.nan))


def test_the_same_customer_is_compared_with_nobody_else():
    """Pairs of answers, one of which was followed by an order: the odds of it being the higher one, by
    hand, for steps of one."""
    rows = []
    for person in range(50):
        higher_ordered = person < 30
        rows += [(person, 5.0, float(not higher_ordered)), (person, 6.0, float(higher_ordered))]
    frame = pd.DataFrame(rows, columns=["person", "score", "ordered"])
    found = evidence.within(frame)
    assert found.odds == pytest.approx(30 / 20, rel=1e-4) and found.persons == 50
    error = np.sqrt(1 / 30 + 1 / 20)
    assert found.low == pytest.approx(1.5 * np.exp(-1.959964 * error), rel=1e-3)
    assert np.isnan(evidence.within(frame[frame["person"] < 5]).odds)


def test_what_is_usually_reported():
    frame, _ = answers(11, n=1000)
    found = evidence.correlations(frame)
    ranks = frame["score"].rank(), frame["ordered"].rank()
    assert found["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
    plain_one = np.corrcoef(frame["score"], frame["ordered"])[0, 1]
    assert found["point_biserial"] == pytest.approx(plain_one)
    assert -1 <= found["cohorts"] <= 1
    assert np.isnan(evidence.correlations(frame.assign(score=1.0))["spearman"])
    assert np.isnan(evidence.correlations(frame.head(20))["cohorts"])


def test_cox_regression_is_the_published_one():
    """Rossi, Berk & Lenihan (1980), Money, Work, and Crime: 432 released prisoners, weeks to the next
    arrest. Figures: Fox & Weisberg (2011), An R Companion to Applied Regression, appendix on Cox."""
    data = pd.read_csv(Path(__file__).parent / "published" / "rossi.csv")
    names = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]
    spells = pd.DataFrame({"person": data.index, "wait": data["week"].where(data["arrest"] == 1),
                           "observed": data["week"], "day": pd.Timestamp("2024-01-01")})  # fmt: skip
    found, rows = evidence.cox(spells, data[names].to_numpy(float))
    assert rows.all() and found.llf == pytest.approx(-658.748, abs=5e-4)
    told = dict(zip(names, found.params, strict=True))
    assert told["fin"] == pytest.approx(-0.3794, abs=5e-5)
    assert told["prio"] == pytest.approx(0.0915, abs=5e-5)
