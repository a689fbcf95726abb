"""Answers as landmarks: against a plain loop over orders and answers."""

import datetime as dt

import ibis
import numpy as np
import pandas as pd
import pytest

from loyaltylab.lifetime_value import ParetoNbd
from loyaltylab.satisfaction import landmark
from tests.bought import purchases_of

UNTIL, WINDOW = dt.date(2025, 6, 30), 60
ORDERS = [
    ("a", "2025-01-01", 10), ("a", "2025-02-01", 30), ("a", "2025-04-01", 20),
    ("b", "2025-03-01", 50), ("c", "2025-05-20", 5), ("c", "2025-06-10", 7),
]  # fmt: skip
ANSWERS = [
    ("r1", "a", "nps", "2025-02-01 08:00", 9.0),  # on the day of the second order
    ("r2", "a", "nps", "2025-03-31 23:00", 3.0),  # the day before the third
    ("r3", "b", "csat", "2025-03-05 12:00", 4.0),  # never again
    ("r4", "c", "ces", "2025-06-01 12:00", 7.0),  # the window is not over
    ("r5", "b", "csat", "2025-02-20 12:00", 1.0),  # before any order: nobody's landmark
    ("r6", "b", "nps", None, None),
]


def surveys_of(rows):
    frame = pd.DataFrame(
        rows, columns=["response_id", "person_id", "instrument", "answered_at", "score"]
    )
    frame["answered_at"] = pd.to_datetime(frame["answered_at"])
    frame["touchpoint"] = "delivery"
    return ibis.memtable(frame)


@pytest.fixture(scope="module")
def frame():
    bought = purchases_of([(who, day, amount, None) for who, day, amount in ORDERS])
    return landmark.landmarks(surveys_of(ANSWERS), bought, until=UNTIL, window=WINDOW)


def test_what_was_known_and_what_came_is_what_a_loop_finds(frame):
    rows = frame.set_index("response_id")
    assert sorted(rows.index) == ["r1", "r2", "r3", "r4"]
    days = {who: [pd.Timestamp(d) for w, d, _ in ORDERS if w == who] for who in "abc"}
    money = {who: [m for w, _, m in ORDERS if w == who] for who in "abc"}
    for response, who, _, answered, score in ANSWERS[:4]:
        at, own = pd.Timestamp(answered).normalize(), rows.loc[response]
        past = [d for d in days[who] if d <= at]
        future = [d for d in days[who] if d > at]
        assert own["score"] == score and own["day"] == at
        assert own["frequency"] == len(past) - 1
        assert own["recency"] == (past[-1] - past[0]).days
        assert own["age"] == (at - past[0]).days and own["silence"] == (at - past[-1]).days
        assert own["basket"] == sum(money[who][: len(past)]) / len(past)
        wait = (future[0] - at).days if future else np.nan
        assert own["wait"] == wait or (np.isnan(own["wait"]) and np.isnan(wait))
        assert own["observed"] == (pd.Timestamp(UNTIL) - at).days
        if own["observed"] < WINDOW:
            assert np.isnan(own["ordered"])
        else:
            assert own["ordered"] == (wait <= WINDOW)


def test_the_window_before_ends_with_the_answer(frame):
    rows = frame.set_index("response_id")
    # 60 days before 31 March is 30 January: one order so far, and the next two days later.
    assert rows.loc["r2", ["frequency_then", "age_then", "silence_then"]].tolist() == [0, 29, 29]
    assert rows.loc["r2", "before"] == 1
    assert rows.loc[["r1", "r3", "r4"], "before"].isna().all()  # no customers yet


def test_who_is_who_stays_together_and_nothing_else_is_kept(frame):
    rows = frame.set_index("response_id")["person"]
    assert rows["r1"] == rows["r2"] != rows["r3"]
    assert "person_id" not in frame.columns


def test_orders_after_the_answer_move_only_what_came_after():
    known = ["frequency", "recency", "age", "silence", "basket", "frequency_then", "before"]
    early = purchases_of([(w, d, m, None) for w, d, m in ORDERS])
    more = purchases_of([(w, d, m, None) for w, d, m in [*ORDERS, ("b", "2025-03-20", 99)]])
    before, after = (
        landmark.landmarks(surveys_of(ANSWERS), bought, until=UNTIL, window=WINDOW)
        for bought in (early, more)
    )
    pd.testing.assert_frame_equal(before[known], after[known])
    assert before["ordered"].tolist() != after["ordered"].tolist()


def test_the_chance_of_having_left_is_that_of_the_model(frame):
    model = ParetoNbd({"r": 1.0, "alpha": 10.0, "s": 0.8, "beta": 20.0}, {}, {}, 0.0, 1)
    left = landmark.left_by(frame, model)
    for row, own in zip(left, frame.itertuples(), strict=True):
        one = pd.DataFrame([{"frequency": own.frequency, "recency": own.recency, "age": own.age}])
        assert row == pytest.approx(1 - model.alive(one)[0])
    groups = pd.DataFrame({"frequency": [0.0], "recency": 0.0, "age": 9.0, "customers": 5})
    refused = landmark.survivors(frame, groups.assign(log_gaps=0.0))
    assert (refused[["left", "hardy"]] == 0).all(axis=None)
    silent = frame.assign(age=frame["age"] + 300)
    assert (landmark.left_by(silent, model) > left).all()


def test_who_is_there_still_is_hardier_as_gamma_rates_are(frame):
    """Of rates of leaving with shape s and scale β, those of who is there after a time have β + time:
    their mean is found by weighing each rate with its chance to be there."""
    model = ParetoNbd({"r": 1.0, "alpha": 10.0, "s": 0.8, "beta": 20.0}, {}, {}, 0.0, 1)
    rates = np.random.default_rng(1).gamma(0.8, 1 / 20, 2_000_000)
    for hardy, days in zip(landmark.hardy_by(frame, model), frame["age"], strict=True):
        there = np.exp(-rates * days / 7)
        mean = (rates * there).sum() / there.sum()
        assert 1 - hardy == pytest.approx(mean / rates.mean(), rel=0.01)


def test_of_many_histories_each_so_manyth_is_taken(frame, monkeypatch):
    groups = pd.DataFrame({"frequency": np.arange(7.0), "recency": 0.0, "age": 9.0, "customers": 5})
    taken = []

    def noted(histories, **_):
        taken.append(histories["frequency"].tolist())
        return ParetoNbd({"r": 1.0, "alpha": 10.0, "s": 0.8, "beta": 20.0}, {}, {}, 0.0, 1)

    monkeypatch.setattr(landmark, "fit_pareto_nbd", noted)
    landmark.survivors(frame, groups)
    monkeypatch.setattr(landmark, "_HISTORIES", 3)
    landmark.survivors(frame, groups)
    assert taken == [[0, 1, 2, 3, 4, 5, 6], [0, 3, 6]]
