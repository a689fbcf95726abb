"""What is said of effects follows from what was found; and the simulated truth is what it is held to."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from loyaltylab import satisfaction
from loyaltylab.numbers import Numbers, chance
from loyaltylab.satisfaction import effect_findings, evidence, planted
from loyaltylab.satisfaction.effect import Effect
from loyaltylab.satisfaction.still_there import StateShift
from loyaltylab.world import World
from tests import study_satisfaction as study
from tests.test_effect import answers

SHIFT = StateShift(-0.4, 0.1, {"nps": np.array([[10.0, np.inf]])}, {"nps": np.zeros(2)})


def found_of(value, error, plain=0.02):
    return {
        "plain": Effect(plain, 0.001, 0.3, 500, 480),
        "hardy": Effect(value, error, 0.3, 500, 480),
    }


def answered():
    """Of 40 promoters 30 order again, of 20 detractors 5, of 4 passives 2; one window is not over."""
    rows = [(9.0, n < 30) for n in range(40)] + [(2.0, n < 5) for n in range(20)]
    rows += [(7.0, n < 2) for n in range(4)] + [(10.0, np.nan)]
    frame = pd.DataFrame(rows, columns=["score", "ordered"]).astype(float)
    return frame.assign(instrument="nps", age=30, day=pd.Timestamp("2025-01-15"))


def test_shares_that_ordered_again_by_hand():
    table = satisfaction.outcomes_by_group(answered(), minimum=4).set_index("group")
    assert table["answers"].to_dict() == {"bad": 20, "neither": 4, "good": 40}
    assert table["share"].to_dict() == {"bad": 0.25, "neither": 0.5, "good": 0.75}
    assert (table["low"] < table["share"]).all() and (table["share"] < table["high"]).all()
    few = satisfaction.outcomes_by_group(answered(), minimum=5)
    assert list(few["group"]) == ["bad", "good"]


def test_at_first_sight():
    frame = answered()
    text = satisfaction.plain_finding(
        satisfaction.outcomes_by_group(frame, minimum=5), frame, window=90
    )
    assert text.startswith("## Customers who answer well order again more often\n")
    assert "good NPS, 75% ordered again within 90 days, of those who gave a bad one 25%" in text
    assert "cohorts' means" not in text.split("Both numbers")[0]  # one cohort has none
    alike = frame.assign(ordered=frame["ordered"].where(frame["ordered"].isna(), 1.0))
    alike.loc[[0, 45], "ordered"] = 0.0
    text = satisfaction.plain_finding(
        satisfaction.outcomes_by_group(alike, minimum=5), alike, window=90
    )
    assert text.startswith("## Customers who answer well do not clearly order again more often\n")
    never = frame.assign(ordered=frame["ordered"].where(frame["ordered"].isna(), 0.0))
    text = satisfaction.plain_finding(
        satisfaction.outcomes_by_group(never, minimum=5), never, window=90
    )
    assert "0% ordered again within 90 days, of those who gave a bad one 0%." in text
    nothing = satisfaction.plain_finding(
        satisfaction.outcomes_by_group(frame, minimum=50), frame, window=90
    )
    assert nothing.startswith("## Whether the satisfied order again cannot be seen yet")


@pytest.mark.parametrize(
    ("value", "heading"),
    [
        (0.04, "## Customers with a better NPS order again more often\n"),
        (-0.04, "## Customers with a better NPS order again less often\n"),
        (0.01, "## That a better score keeps customers is not shown\n"),
    ],
)
def test_the_heading_follows_the_interval(value, heading):
    text = satisfaction.effect_finding({"nps": found_of(value, 0.01)}, SHIFT, window=180)
    assert text.startswith(heading)
    assert "at first sight it looked like +2.0" in text
    assert "0.40 standard deviations lower (-0.60 to -0.20)" in text
    # 500 answers and an error of a point: 500 (1.96 + .8416)² = 3,925 to see a point.
    assert ("as many answers as 3,925 of NPS" in text) == (value == 0.01)


def test_without_enough_answers_it_says_so():
    only = {"nps": {"plain": Effect(0.02, 0.001, 0.3, 30, 30)}}
    text = satisfaction.effect_finding(only, SHIFT, window=180)
    assert text.startswith("## Whether a better score keeps customers cannot be told")


def test_records_table_and_figure_say_the_same():
    ladders = {"nps": found_of(0.012, 0.002), "ces": {"plain": Effect(0.03, 0.01, 0.5, 90, 90)}}
    numbers = Numbers("05_satisfaction", as_of=dt.date(2025, 6, 30))
    satisfaction.record_effects(numbers, ladders, window=180)
    assert set(numbers.records) == {
        "satisfaction.effect_nps", "satisfaction.plain_effect_nps", "satisfaction.plain_effect_ces"
    }  # fmt: skip
    told = numbers.records["satisfaction.effect_nps"]
    assert (told.value, told.unit, told.n) == (1.2, "points", 500)
    table = satisfaction.effects_table(ladders)
    assert list(table["points"]) == pytest.approx([2.0, 1.2, 3.0])
    axes = satisfaction.plot_effects(table)
    drawn = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert drawn == pytest.approx([2.0, 1.2, 3.0])
    words = satisfaction.describe_effects(table)
    assert "NPS and who stays anyway made up for: +1.2 (+0.8 to +1.6)" in words


def test_other_ways_to_ask_are_dashes_where_answers_do_not_suffice():
    known = {
        "frequency": 1,
        "silence": 3,
        "basket": 20.0,
        "wait": 5.0,
        "observed": 200,
        "left": 0.0,
        "hardy": 0.0,
    }
    then = dict.fromkeys(["before", "frequency_then", "age_then", "silence_then"], np.nan)
    frame = answered().iloc[:4].assign(person=range(4), **known, **then)
    table = satisfaction.checks(frame, SHIFT, satisfaction.bad_to_good(frame, SHIFT))
    assert list(table) == ["way to ask", "NPS"] and len(table) == 7
    assert (table["NPS"] == "–").all()


def test_other_ways_to_ask_say_what_each_of_them_found():
    frame, _ = answers(3, n=2500)
    random = np.random.default_rng(1)
    wait = random.integers(1, 300, len(frame)) * 1.0
    then = {f"{n}_then": frame[n] for n in ("frequency", "age", "silence")}
    frame = frame.assign(wait=wait, before=(random.random(len(frame)) < 0.5) * 1.0, **then)
    frame = frame.sort_values("day", kind="stable")
    nobody = StateShift(0.0, 0.0, SHIFT.thresholds, SHIFT.slopes)
    groups = satisfaction.bad_to_good(frame, nobody)
    table = satisfaction.checks(frame, nobody, groups).set_index("way to ask")["NPS"]
    one, rate = groups["nps"], evidence.hazard(frame)
    points = f"{100 * one.value:+.1f} ({100 * one.low:+.1f} to {100 * one.high:+.1f})"
    assert table["from bad to good, points"] == points
    assert table["rate of ordering a step"] == "{:.2f} ({:.2f} to {:.2f})".format(*rate)
    assert table["E-value"] == "{:.1f} ({:.1f})".format(*evidence.e_value(one))
    assert table["window before, points a step"].startswith(
        f"{100 * evidence.before(frame).value:+.1f}"
    )
    bent = evidence.shape(frame, "nps", nobody)
    assert table["losses and gains alike"] == chance(bent.p_equal)
    assert table["all steps alike"] == chance(bent.p_line)
    assert table["odds a step, same customer"].startswith(f"{evidence.within(frame).odds:.2f} (")


def test_true_chances_are_those_of_a_race_between_order_and_leaving():
    """Without season and regular buyers λ / (λ + h) (1 − exp(−(λ + h) W)), with h = μ HR^s."""
    world = World(holiday_purchases=1.0)
    asked = pd.DataFrame(
        {"purchase_rate": [2.0, 5.0], "dropout_rate": [1.0, 3.0], "regular": False,
         "satisfaction": [1.5, -2.0], "first": 10.0, "last": 100.0, "sent": 130.0, "gone": False}
    )  # fmt: skip
    found = planted.chances(asked, world, window=180)
    rate = asked["purchase_rate"] / 365.25
    for name, content in (("own", asked["satisfaction"]), ("even", 0.0)):
        leaves = asked["dropout_rate"] / 365.25 * world.hazard_ratio**content
        both = rate + leaves
        np.testing.assert_allclose(found[name], rate / both * (1 - np.exp(-both * 180)), rtol=1e-4)
    gone = planted.chances(asked.assign(gone=True), world, window=180)
    assert (gone == 0).all(axis=None)


def test_true_chances_are_what_happens_in_the_simulated_company():
    world = World(customers=8000, seed=4)
    frame, told = study.company(world)
    over = frame["ordered"].notna().to_numpy()
    chances = planted.chances(told, world, window=study.WINDOW)[over]
    came = frame["ordered"][over]
    # An order on the day of the answer is behind the landmark, and what follows a case is left out.
    error = np.sqrt((chances["own"] * (1 - chances["own"])).sum()) / len(came)
    assert abs(came.mean() - chances["own"].mean()) < 3 * error + 0.005
    for _, rows in told[over].groupby("instrument"):
        own = chances["own"][rows.index]
        assert abs(came[rows.index].mean() - own.mean()) < 0.03


def test_with_no_effect_planted_the_true_one_is_none():
    world = World(customers=6000, seed=5, hazard_ratio=1.0)
    frame, told = study.company(world)
    rows = frame[
        (frame["instrument"] == "csat") & frame["score"].notna() & frame["ordered"].notna()
    ]
    chances = planted.chances(told, world, window=study.WINDOW).loc[rows.index]
    assert planted.true_effect(rows, chances, satisfaction.OWN_STEP) == pytest.approx(0, abs=1e-12)
    kept = World(customers=6000, seed=5)
    frame, told = study.company(kept)
    rows = frame[
        (frame["instrument"] == "csat") & frame["score"].notna() & frame["ordered"].notna()
    ]
    chances = planted.chances(told, kept, window=study.WINDOW).loc[rows.index]
    assert planted.true_effect(rows, chances, satisfaction.OWN_STEP) > 0.005


def test_the_parameters_come_back_from_the_table_of_truth():
    world = World(customers=500, hazard_ratio=0.7)
    effects = {name: float(value) for name, value in world.model_dump().items()}
    assert planted.world_of(effects) == world


def test_the_truth_is_recorded_beside_what_the_page_says():
    world = World(customers=6000, seed=6)
    frame, told = study.company(world)
    frame = frame[frame["score"].notna()]
    chances = planted.chances(told, world, window=study.WINDOW).loc[frame.index]
    shift = satisfaction.fit_shift(frame)
    ladders = satisfaction.ladders(frame, shift)
    numbers = Numbers("05_satisfaction", as_of=dt.date(2025, 6, 30))
    text = satisfaction.truth_finding(numbers, frame, chances, ladders)
    assert set(numbers.records) == {
        f"satisfaction.truth.effect_{name}" for name in effect_findings.main_effects(ladders)
    }
    assert "in truth, " in text and (
        "inside the interval" in text or "outside the interval" in text
    )


def test_in_short():
    text = satisfaction.short_answer({"nps": found_of(0.04, 0.01)}, window=90)
    assert text.startswith("**In short: customers with a better NPS order again more often.**")
    assert "+4.0 points (+2.0 to +6.0, 95% confidence)" in text and "+2.0." in text
    assert "cannot be told" in satisfaction.short_answer({}, window=90)


def test_e_values_are_recorded_of_bad_to_good():
    numbers = Numbers("05_satisfaction", as_of=dt.date(2025, 6, 30))
    satisfaction.record_e_values(numbers, {"nps": Effect(0.29, 0.1, 0.1, 77, 70)})
    told = numbers.records["satisfaction.e_value_nps"]
    assert told.value == pytest.approx(7.26, abs=0.005) and told.n == 77
