"""Who answers: what was known when asked, weights by hand, and scores against simulated truth."""

import datetime as dt

import ibis
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from statsmodels.discrete.discrete_model import Logit

from loyaltylab import satisfaction
from loyaltylab.intervals import Z
from loyaltylab.numbers import Numbers
from loyaltylab.satisfaction import response
from loyaltylab.timelines import timelines

DAY = dt.date(2024, 6, 1)


def rows(score, instrument="csat", person=None, **columns):
    """Invitations as `satisfaction.frame` has them, alike but for what is given."""
    n = len(score)
    usual = {"month": 650, "touchpoint": "shop", "channel": "search", "ticket": "none"}
    usual |= {"tenure": 0.0, "orders": 0.0, "recency": 0.0}
    table = pd.DataFrame(
        {
            "person": np.arange(n) if person is None else person,
            "instrument": instrument,
            "score": np.asarray(score, float),
        }
    )
    return table.assign(**(usual | columns))


# What was known when asked.


def asked(surveys, purchases, **more):
    bought = pd.DataFrame(purchases, columns=["person_id", "day"])
    bought["day"] = pd.to_datetime(bought["day"]).dt.date
    days = ibis.memtable(bought, schema={"person_id": "string", "day": "date"})
    names = ["person_id", "sent_at", "score"]
    table = pd.DataFrame(surveys, columns=names).assign(instrument="nps", touchpoint="shop")
    table["sent_at"] = pd.to_datetime(table["sent_at"])
    return satisfaction.invitations(ibis.memtable(table), timelines(days), **more)


def test_only_what_was_known_before_the_day_of_the_invitation():
    table = asked(
        [("a", "2024-06-01 12:00", 9.0), ("b", "2024-06-01 12:00", None)],
        [
            ("a", "2023-06-01"),
            ("a", "2024-05-22"),
            ("a", "2024-06-01"),
            ("a", "2024-06-05"),
            ("b", "2024-06-01"),
        ],
    ).to_pandas()
    found = table.set_index("person_id")
    # a: 366 days are twelve months, two orders are class 1, and ten days class 1 (one to three weeks).
    assert found.loc["a", ["tenure", "orders", "recency", "score"]].tolist() == [12, 1, 1, 9]
    # b's only order came on the day itself, and may have come after the invitation.
    assert found.loc["b", ["tenure", "orders", "recency"]].isna().all()
    assert found.loc["a", "month"] == pd.Period("2024-06", "M").ordinal


def test_tickets_of_the_days_before_and_what_had_become_of_them():
    tickets = pd.DataFrame(
        [
            ("none", "2024-04-30", "2024-05-02"),  # too early
            ("late", "2024-06-01 13:00", None),  # after the invitation
            ("done", "2024-05-20", "2024-05-25"),
            ("open", "2024-05-20", None),
            ("soon", "2024-05-20", "2024-06-02"),  # resolved, but not by then
            ("both", "2024-05-20", "2024-05-25"),
            ("both", "2024-05-21", None),
        ],
        columns=["person_id", "opened_at", "resolved_at"],
    )
    for name in ("opened_at", "resolved_at"):
        tickets[name] = pd.to_datetime(tickets[name], format="mixed")
    who = ["none", "late", "done", "open", "soon", "both"]
    table = asked([(w, "2024-06-01 12:00", 9.0) for w in who], [], tickets=ibis.memtable(tickets))
    found = table.to_pandas().set_index("person_id")["ticket"]
    assert found.to_dict() == {
        "none": "none",
        "late": "none",
        "done": "resolved",
        "open": "open",
        "soon": "open",
        "both": "open",
    }


def test_features_equal_a_plain_loop_and_no_invitation_is_lost_or_doubled():
    rng = np.random.default_rng(5)
    who = [f"p{k}" for k in rng.integers(0, 12, 150)]
    days = [DAY - dt.timedelta(days=int(d)) for d in rng.integers(0, 1500, 150)]
    purchases = sorted(set(zip(who, days, strict=True)))
    surveys = [
        (f"p{k}", pd.Timestamp(DAY - dt.timedelta(days=int(d))), float(s))
        for k, d, s in zip(
            rng.integers(0, 14, 80), rng.integers(0, 1500, 80), rng.integers(0, 11, 80), strict=True
        )
    ]
    through = pd.DataFrame({"person_id": ["p1", "p2"], "acquired_through": ["search", None]})
    table = asked(surveys, purchases, persons=ibis.memtable(through)).to_pandas()
    assert len(table) == len(surveys)
    expected = []
    for person, sent, score in surveys:
        before = [d for p, d in purchases if p == person and d < sent.date()]
        channel = "search" if person == "p1" else "not known"
        known = (np.nan, np.nan, np.nan)
        if before:
            months = (sent.date() - before[0]).days // 30.4375
            weeks = (sent.date() - before[-1]).days // 7
            known = (months, np.floor(np.log2(len(before))), np.floor(np.log2(weeks + 1)))
        expected.append((person, sent.date(), score, channel, *known))
    names = ["person_id", "sent", "score", "channel", "tenure", "orders", "recency"]
    expected = pd.DataFrame(expected, columns=names).sort_values(names, ignore_index=True)
    found = table[names].assign(sent=pd.to_datetime(table["sent"]).dt.date)
    found = found.sort_values(names, ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_segments_come_along_and_nobody_is_lost_who_has_none():
    put = ibis.memtable(pd.DataFrame({"person_id": ["a"], "segment": ["loyal"]}))
    table = asked([("a", "2024-06-01", 9.0), ("b", "2024-06-01", 9.0)], [], segments=put)
    assert table.to_pandas().set_index("person_id")["segment"].fillna("–").to_dict() == {
        "a": "loyal",
        "b": "–",
    }


def test_the_frame_holds_no_person_id_and_the_order_of_rows_moves_nothing():
    surveys = [(f"p{k % 40}", "2024-06-01", float(k % 11)) for k in range(80)]
    purchases = [(f"p{k}", f"2024-0{1 + k % 5}-01") for k in range(30)]
    first = satisfaction.frame(asked(surveys, purchases))
    other = satisfaction.frame(asked(surveys[::-1], purchases[::-1]))
    pd.testing.assert_frame_equal(first, other)
    assert "person_id" not in first and first["person"].nunique() == 40


# Weights.


def strata():
    """Old and new customers of two channels: 40, 60, 80 and 20 asked; 30, 20, 20 and 15 answered."""
    cells = [("a", 0.0, 40, 30), ("a", 24.0, 60, 20), ("b", 0.0, 80, 20), ("b", 24.0, 20, 15)]
    parts = []
    for channel, tenure, invited, answered in cells:
        score = np.full(invited, np.nan)
        score[:answered] = np.where(np.arange(answered) % 3 == 0, 5, 2)
        parts.append(rows(score, channel=channel, tenure=tenure))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(person=np.arange(len(table)))


def test_one_kind_of_invitation_each_weights_give_back_the_margins_of_those_asked():
    model = satisfaction.fit(strata(), "csat")
    assert model.kinds["invited"].tolist() == [40, 80, 60, 20]
    weight = satisfaction.weights(model)
    assert (weight >= 1).all()
    assert model.kinds["answered"] @ weight == pytest.approx(200)


def test_of_two_strata_an_answer_stands_for_as_many_as_were_asked():
    table = strata()
    model = satisfaction.fit(table[table["channel"] == "a"], "csat")
    assert satisfaction.weights(model) == pytest.approx([40 / 30, 60 / 20])
    # Of 30 answers every third is good, and so are 7 of 20: the shares among 40 and 60 asked.
    expected = (40 * 10 / 30 + 60 * 7 / 20) / 100
    assert satisfaction.weighted_score(model)["score"] == pytest.approx(expected)
    assert satisfaction.effective(model) == pytest.approx(100**2 / (40**2 / 30 + 60**2 / 20))
    found = satisfaction.balance(model).set_index("term").loc["tenure"]
    assert found["asked"] == pytest.approx(0.6 * 2 + 0.5 / 12)
    assert found["answered"] == pytest.approx(0.4 * 2 + 0.5 / 12)
    assert found["before"] == pytest.approx(-0.2 / np.sqrt(0.24))
    assert found["after"] == pytest.approx(0, abs=1e-9)


def test_the_error_over_strata_is_that_within_and_between_them():
    # Post-stratified: the strata's shares of those asked are estimated too, but by all of those asked.
    table = strata()
    model = satisfaction.fit(table[table["channel"] == "a"], "csat")
    share, good, n = np.array([0.4, 0.6]), np.array([10 / 30, 7 / 20]), np.array([30, 20])
    score = share @ good
    within = (share**2 * good * (1 - good) / n).sum()
    between = (share * (good - score) ** 2).sum() / 100
    found = satisfaction.weighted_score(model)
    half = Z * np.sqrt(within + between)
    assert found["high"] - found["score"] == pytest.approx(half, rel=1e-9)


def test_two_by_two_strata_give_back_exactly_the_composition_of_those_asked():
    # Odds that multiply: 1 and 1/3 by tenure, times 1 and 1/3 by channel, as the model has it.
    cells = [("a", 0.0, 80, 40), ("a", 24.0, 80, 20), ("b", 0.0, 80, 20), ("b", 24.0, 100, 10)]
    parts = []
    for channel, tenure, invited, answered in cells:
        score = np.full(invited, np.nan)
        score[:answered] = 5
        parts.append(rows(score, channel=channel, tenure=tenure))
    table = pd.concat(parts, ignore_index=True).assign(person=np.arange(340))
    model = satisfaction.fit(table, "csat")
    kinds = model.kinds.sort_values(["channel", "tenure"])
    weight = pd.Series(satisfaction.weights(model)).loc[kinds.index]
    assert weight.tolist() == pytest.approx([2, 4, 4, 10])
    assert (satisfaction.balance(model)["after"].abs() < 1e-9).all()


def test_large_weights_are_cut():
    score = np.full(4000, np.nan)
    tenure = np.where(np.arange(4000) < 2000, 0.0, 24.0)
    score[:1000], score[2000:2010] = 5, 1  # one in two, and one in two hundred
    model = satisfaction.fit(rows(score, tenure=tenure), "csat")
    mean = (1000 * 2 + 10 * 200) / 1010
    odds = np.array([1, response.LARGEST * mean - 1])
    expected = 1 + (4000 - 1010) * odds / (1000 * odds[0] + 10 * odds[1])
    assert satisfaction.weights(model) == pytest.approx(expected)


def test_chances_are_those_of_statsmodels_and_the_area_is_the_share_of_pairs():
    rng = np.random.default_rng(3)
    tenure = rng.integers(0, 48, 2000)
    answers = rng.random(2000) < expit(-1 + tenure / 24)
    table = rows(np.where(answers, 4, np.nan), tenure=tenure.astype(float))
    model = satisfaction.fit(table, "csat")
    years = (tenure + 0.5) / 12
    chance = Logit(answers.astype(float), np.column_stack([np.ones(2000), years, years**2]))
    chance = chance.fit(disp=0).predict()
    assert model.kinds["chance"].to_numpy()[model.kind] == pytest.approx(chance, abs=1e-6)
    said, silent = chance[answers], chance[~answers]
    above = (said[:, None] > silent + 1e-12).mean() + (
        abs(said[:, None] - silent) < 1e-12
    ).mean() / 2
    assert satisfaction.auc(model) == pytest.approx(above)
    later = np.column_stack([np.ones(2000), years + 1, (years + 1) ** 2])
    fitted = Logit(answers.astype(float), np.column_stack([np.ones(2000), years, years**2]))
    more = fitted.fit(disp=0).predict(later).mean() - chance.mean()
    row = satisfaction.who_answers(model).iloc[0]
    assert row["who"] == "customers for a year longer"
    assert row["more"] == pytest.approx(more, abs=1e-6)
    assert row["low"] < more < row["high"] and row["p"] < 1e-6


# Scores against a truth that is known.

MONTHS = np.arange(48)
GOOD, BAD = expit(-1.5 + MONTHS / 16), expit(0.5 - MONTHS / 16) / 2  # NPS rises with tenure


def world(rng, people=700):
    """Customers asked once or twice, whose answers are alike; the long-standing answer more."""
    tenure = rng.integers(0, 48, people)
    level = rng.random(people)  # of each customer: below GOOD a promoter, above 1 − BAD a detractor
    person = np.repeat(np.arange(people), rng.integers(1, 3, people))
    again = rng.random(len(person)) < 0.5
    felt = np.where(again, level[person], rng.random(len(person)))
    months = tenure[person]
    told = np.select([felt < GOOD[months], felt > 1 - BAD[months]], [10.0, 3.0], 7.0)
    answers = rng.random(len(person)) < expit(-1.5 + months / 20)
    score = np.where(answers, told, np.nan)
    return rows(score, "nps", person=person, tenure=months.astype(float))


def test_weighted_scores_hold_the_truth_as_often_as_they_say_and_plain_ones_do_not():
    rng = np.random.default_rng(8)
    truth = 100 * (GOOD - BAD).mean()
    held = {"plain": 0, "weighted": 0}
    for _ in range(400):
        table = world(rng)
        found = {
            "plain": satisfaction.overall(table).iloc[0],
            "weighted": satisfaction.weighted_score(satisfaction.fit(table, "nps")),
        }
        for name, row in found.items():
            held[name] += row["low"] <= truth <= row["high"]
    assert 0.93 <= held["weighted"] / 400 <= 0.97
    assert held["plain"] / 400 < 0.25


def test_answers_that_depend_on_themselves_are_told_with_the_planted_gamma_alone():
    rng = np.random.default_rng(2)
    n, gamma = 200_000, 0.6
    told = rng.choice(np.arange(11.0), n, p=[0.05] * 8 + [0.15, 0.2, 0.25])
    # The scale of gamma is that of those who answered: found by going round once or twice.
    spread, centre = told.std(), told.mean()
    for _ in range(20):
        chance = expit(-1 + gamma * (told - centre) / spread)
        mean = np.average(told, weights=chance)
        centre, spread = mean, np.sqrt(np.average((told - mean) ** 2, weights=chance))
    score = np.where(rng.random(n) < chance, told, np.nan)
    model = satisfaction.fit(rows(score, "nps"), "nps")
    truth = 100 * ((told >= 9).mean() - (told <= 6).mean())
    found = satisfaction.sensitivity(model, [0.0, gamma]).set_index("gamma")
    assert found.loc[gamma, "low"] <= truth <= found.loc[gamma, "high"]
    assert abs(found.loc[gamma, "score"] - truth) < 1
    assert found.loc[0.0, "score"] > truth + 10
    worst, best = satisfaction.worst_case(model)
    assert worst <= truth <= best


def silent_by_score(rng, n, gamma):
    """Answering depends on tenure and on the score, which rises with tenure: rows, and all scores."""
    tenure = rng.integers(0, 48, n)
    told = np.clip(np.round(6 + 3 * (tenure - 24) / 14 + 2 * rng.standard_normal(n)), 0, 10)
    answers = rng.random(n) < expit(-0.5 + 0.6 * (tenure - 24) / 14 + gamma * (told - 6))
    return rows(np.where(answers, told, np.nan), "nps", tenure=tenure.astype(float)), told


def test_the_tilt_is_at_equal_features():
    table, told = silent_by_score(np.random.default_rng(1), 200_000, 0.15)
    model = satisfaction.fit(table, "nps")
    planted = 0.15 * table["score"].std()
    truth = 100 * ((told >= 9).mean() - (told <= 6).mean())
    assert satisfaction.gamma_at(model, truth) == pytest.approx(planted, abs=0.04)
    assert satisfaction.weighted_score(model)["low"] > truth
    found = satisfaction.weighted_score(model, gamma=planted)
    assert found["low"] <= truth <= found["high"]


def test_tilted_scores_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(12)
    _, told = silent_by_score(rng, 1_000_000, 0.15)
    truth, held = 100 * ((told >= 9).mean() - (told <= 6).mean()), 0
    for _ in range(300):
        table, _ = silent_by_score(rng, 1500, 0.15)
        model = satisfaction.fit(table, "nps")
        found = satisfaction.weighted_score(model, gamma=0.15 * table["score"].std())
        held += found["low"] <= truth <= found["high"]
    assert 0.93 <= held / 300 <= 0.97


def test_tilted_scores_by_hand_and_where_they_leave_the_interval():
    # Three answers of 5 and one of 1 on four silent: tilted, silent ones weigh exp(−gamma · z).
    score = [5, 5, 5, 1] + [np.nan] * 4
    model = satisfaction.fit(rows(score), "csat")
    z = (np.array([5, 1]) - 4) / np.sqrt(3)
    good, bad = 3 * np.exp(-z[0]), np.exp(-z[1])
    expected = (3 + 4 * good / (good + bad)) / 8
    table = satisfaction.sensitivity(model, [0.0, 1.0]).set_index("gamma")
    assert table.loc[0.0, "score"] == pytest.approx(0.75)
    assert table.loc[1.0, "score"] == pytest.approx(expected)
    assert satisfaction.worst_case(model) == (3 / 8, 7 / 8)
    many = satisfaction.fit(rows(score * 100), "csat")
    plain = satisfaction.weighted_score(many)
    less, more = satisfaction.tipping_points(many)
    assert more < 0 < less
    assert satisfaction.weighted_score(many, gamma=less)["score"] == pytest.approx(plain["low"])
    assert satisfaction.weighted_score(many, gamma=more)["score"] == pytest.approx(plain["high"])
    assert f"by {np.exp(less):.2f} or more" in satisfaction.sensitivity_finding(many)
    assert satisfaction.gamma_at(many, 0.6) > less
    worst, best = satisfaction.worst_case(many)
    assert np.isnan(satisfaction.gamma_at(many, worst - 0.01))
    assert np.isnan(satisfaction.gamma_at(many, best + 0.01))


def test_error_without_features_is_that_of_the_plain_score():
    score = [10] * 30 + [8] * 10 + [2] * 20 + [np.nan] * 140
    model = satisfaction.fit(rows(score, "nps"), "nps")
    found, plain = (
        satisfaction.weighted_score(model),
        satisfaction.overall(rows(score, "nps")).iloc[0],
    )
    assert found["score"] == pytest.approx(plain["score"])
    half = Z * 100 * np.sqrt((5 / 6 - (1 / 6) ** 2) / 60)
    assert found["high"] - found["score"] == pytest.approx(half)


def test_rows_in_another_order_and_rows_doubled_say_the_same():
    table = world(np.random.default_rng(4))
    model = satisfaction.fit(table, "nps")
    found = satisfaction.sensitivity(model)
    shuffled = table.sample(frac=1, random_state=1)
    doubled = pd.concat([table, table], ignore_index=True)
    for other in (shuffled, doubled):
        again = satisfaction.sensitivity(satisfaction.fit(other, "nps"))
        pd.testing.assert_frame_equal(found, again, rtol=1e-7)


# Data that say little.


@pytest.mark.parametrize("score", [[np.nan] * 50, [5] * 50, [5] * 20 + [np.nan] * 30, [3]])
def test_nobody_everybody_and_answers_all_alike(score):
    table = rows(score, tenure=np.arange(len(score), dtype=float))
    model = satisfaction.fit(table, "csat")
    assert satisfaction.who_answers(model).empty
    shown = satisfaction.weighted([model])
    given = np.array(score)[~np.isnan(score)]
    if len(given):
        assert shown.loc[0, "score"] == (given[0] >= 4)
    else:
        assert np.isnan(shown.loc[0, "score"])
    numbers = Numbers("05_satisfaction", as_of=DAY)
    satisfaction.record_response(numbers, table)
    satisfaction.record_weighted(numbers, shown)
    plain = satisfaction.overall(table)
    assert len(satisfaction.compared(plain, shown)) == 1
    assert satisfaction.weighting_finding(plain, shown).startswith("## ")
    assert satisfaction.who_finding([model]).startswith("## Nothing tells who answers\n")
    assert satisfaction.sensitivity_finding(model)
    balance, tilted = satisfaction.balance(model), satisfaction.sensitivity(model)
    assert satisfaction.plot_balance(balance) and satisfaction.describe_balance(balance)
    assert satisfaction.plot_sensitivity(tilted, model)
    assert satisfaction.describe_sensitivity(tilted)


def test_an_instrument_that_was_not_asked_is_an_error():
    with pytest.raises(ValueError, match="expected one that was asked, got ces"):
        satisfaction.fit(rows([5]), "ces")


def test_a_rare_level_counts_as_the_commonest():
    rng = np.random.default_rng(6)
    score = np.where(rng.random(3000) < 0.4, 4, np.nan)
    channel = np.where(np.arange(3000) < 12, "rare", np.where(np.arange(3000) < 900, "b", "a"))
    model = satisfaction.fit(rows(score, channel=channel), "csat")
    chance = model.kinds.set_index("channel")["chance"]
    assert chance["rare"] == chance["a"] != chance["b"]


def test_numbers_sentences_and_figures_say_what_was_found():
    table = world(np.random.default_rng(1), people=3000)
    model = satisfaction.fit(table, "nps")
    shown, plain = satisfaction.weighted([model]), satisfaction.overall(table)
    numbers = Numbers("05_satisfaction", as_of=DAY)
    rate = satisfaction.record_response(numbers, table)
    said = satisfaction.record_weighted(numbers, shown)
    assert list(numbers.records) == ["satisfaction.response_rate", "satisfaction.nps_weighted"]
    assert rate.value == pytest.approx(table["score"].notna().mean())
    assert said["nps"].low < said["nps"].value < said["nps"].high
    words = satisfaction.weighting_finding(plain, shown)
    assert words.startswith("## Weighting for who answers moves NPS\n")
    assert f"NPS is {said['nps']:+.0f} (" in words
    zero = satisfaction.gamma_at(model, 0)
    assert satisfaction.weighted_score(model, gamma=zero)["score"] == pytest.approx(0, abs=1e-3)
    assert f"by {np.exp(zero):.2f}, it would be 0." in satisfaction.sensitivity_finding(model)
    words = satisfaction.who_finding([model])
    assert words.startswith("## Who answers is no accident\n")
    assert "customers for a year longer answer" in words and "percentage points more often" in words
    balance = satisfaction.balance(model)
    axes = satisfaction.plot_balance(balance)
    assert axes.lines[1].get_xdata().tolist() == balance["before"].tolist()
    assert "of tenure; weighted at most" in satisfaction.describe_balance(balance)
    tilted = satisfaction.sensitivity(model)
    axes = satisfaction.plot_sensitivity(tilted, model)
    assert axes.lines[0].get_ydata().tolist() == tilted["score"].tolist()
    assert f"1.00: {said['nps']:+.0f} (" in satisfaction.describe_sensitivity(tilted)
