"""Which score tells who orders again: areas by counting pairs, errors by leaving out, planted ranks."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from loyaltylab import satisfaction
from loyaltylab.errors import UnanswerableError
from loyaltylab.numbers import Numbers
from loyaltylab.satisfaction.contest import ALL, BASE, Foretold, _latest, _placements
from tests.test_effect import answers

N = 5000


@pytest.fixture(scope="module")
def frame():
    """NPS tells much of ordering again, CES nothing; half of the answers are to each."""
    found = answers(1, n=N, slope=0.4)[0]
    random = np.random.default_rng(2)
    asked = random.random(N) < 0.5
    found["instrument"] = np.where(asked, "nps", "ces")
    often = found["ordered"][asked].mean()  # so that which question was answered tells nothing
    found["ordered"] = np.where(asked, found["ordered"], (random.random(N) < often) * 1.0)
    found["score"] = found["score"].where(asked, random.integers(1, 8, N))
    # Each a customer alone, so that only their own answer is known.
    return found.assign(person=np.arange(N)).sort_values("day", kind="stable")


def test_areas_and_errors_of_two_models_by_hand():
    y = np.array([1.0, 1, 0, 0])
    told = Foretold(y, np.arange(4), {BASE: np.full(4, 0.5), "NPS": np.array([0.9, 0.4, 0.6, 0.1])})
    table = satisfaction.scores_compared(told).set_index("model")
    # Pairs in which who ordered was given more: 3 of 4.
    assert table.loc[BASE, "auc"] == 0.5 and table.loc["NPS", "auc"] == 0.75
    assert table.loc["NPS", "more_auc"] == 0.25
    # Mean squares: (.01 + .36 + .36 + .01) / 4 = .185 beside .25.
    assert table.loc["NPS", "less_brier"] == pytest.approx(0.25 - 0.185)
    assert np.isnan(table.loc[BASE, "more_auc"]) and np.isnan(table.loc[BASE, "less_brier"])
    area, adds = _placements(y, told.chances["NPS"])
    # Above: all of 2 and one of 2 for who ordered; of the others 1 − ½ and 1 were below.
    np.testing.assert_allclose(adds, [0.125, -0.125, -0.125, 0.125])
    assert area == 0.75


def test_they_are_scikit_learns(frame):
    told = satisfaction.foretell(frame)
    table = satisfaction.scores_compared(told).set_index("model")
    assert list(table.index) == [BASE, "NPS", "CES", ALL]
    for name, chance in told.chances.items():
        assert table.loc[name, "auc"] == pytest.approx(roc_auc_score(told.ordered, chance))
        assert table.loc[name, "brier"] == pytest.approx(brier_score_loss(told.ordered, chance))


def test_the_score_that_tells_is_found_and_the_other_is_not(frame):
    table = satisfaction.scores_compared(satisfaction.foretell(frame))
    rows = table.set_index("model")
    assert rows.loc["NPS", "low"] > 0.02 and rows.loc["NPS", "brier_low"] > 0
    assert rows.loc["CES", "low"] < 0.002 and rows.loc["CES", "high"] < 0.02
    assert rows.loc["NPS", "slope"] == pytest.approx(1, abs=0.15)
    text = satisfaction.contest_finding(table)
    assert text.startswith("## Of the scores, ") and "adds most" in text
    only = table[table["model"].isin([BASE, "CES"])].assign(low=-0.1)
    assert satisfaction.contest_finding(only).startswith(
        "## Earlier orders tell who orders again; no score adds to that"
    )


def test_intervals_of_areas_are_those_of_a_bootstrap_of_persons():
    random = np.random.default_rng(3)
    n = 400
    person = np.repeat(np.arange(n), 2)  # each says the same twice
    y = np.repeat((random.random(n) < 0.4) * 1.0, 2)
    one = np.repeat(random.random(n) + 0.3 * y[::2], 2)
    other = np.repeat(random.random(n) + 0.1 * y[::2], 2)
    told = Foretold(y, person, {BASE: other / 2, "NPS": one / 2})
    found = satisfaction.scores_compared(told).set_index("model").loc["NPS"]
    draws = []
    for _ in range(400):
        rows = np.repeat(2 * random.integers(0, n, n), 2) + np.tile([0, 1], n)
        draws.append(roc_auc_score(y[rows], one[rows]) - roc_auc_score(y[rows], other[rows]))
    half = (found["high"] - found["low"]) / 2 / 1.959964
    assert half == pytest.approx(np.std(draws), rel=0.12)


def test_what_is_known_is_what_was_last_said_and_nothing_later():
    days = pd.to_datetime(["2025-01-01", "2025-02-01", "2025-03-01", "2025-04-01"])
    frame = pd.DataFrame({"day": days, "person": [1, 1, 1, 2], "score": [3.0, 6, 9, 10],
                          "instrument": ["nps", "ces", "nps", "nps"]})  # fmt: skip
    assert _latest(frame, "nps").tolist() == [[3, 1], [3, 1], [9, 1], [10, 1]]
    assert _latest(frame, "ces").tolist() == [[6, 0], [6, 1], [6, 1], [6, 0]]


def test_numbers_of_customers_make_no_difference(frame):
    one = satisfaction.scores_compared(satisfaction.foretell(frame))
    other = satisfaction.scores_compared(
        satisfaction.foretell(frame.assign(person=N - frame["person"]))
    )
    pd.testing.assert_frame_equal(one, other, rtol=1e-9)


def test_too_few_answers_are_not_compared(frame):
    with pytest.raises(UnanswerableError, match="Collect more answers to compare scores"):
        satisfaction.foretell(frame.head(300))
    with pytest.raises(UnanswerableError):
        satisfaction.foretell(frame.assign(ordered=np.nan))
    with pytest.raises(UnanswerableError, match="one score alone"):
        satisfaction.foretell(frame.assign(score=5.0))
    assert satisfaction.contest_of(frame.head(300)) == (None, None)
    assert "cannot be told" in satisfaction.contest_finding(None)


def test_what_all_scores_add_is_recorded(frame):
    told = satisfaction.foretell(frame)
    table = satisfaction.scores_compared(told)
    numbers = Numbers("05_satisfaction", as_of=dt.date(2025, 6, 30))
    satisfaction.record_contest(numbers, table, told)
    told_of = numbers.records["satisfaction.delta_auc"]
    assert told_of.value == pytest.approx(table.iloc[-1]["more_auc"]) and told_of.n == N
    shown = satisfaction.contest_table(table)
    assert shown["more"].isna().tolist() == [True, False, False, False]
