"""What a step is worth: money by a loop, differences and products by hand."""

import datetime as dt

import ibis
import numpy as np
import pandas as pd
import pytest

from loyaltylab.errors import UnanswerableError
from loyaltylab.numbers import Numbers
from loyaltylab.satisfaction import money
from loyaltylab.satisfaction.effect import Effect, Estimate
from tests.bought import purchases_of

ORDERS = [
    ("a", "2025-01-01", 100, 40), ("a", "2025-02-01", 50, 10), ("a", "2025-02-20", 30, None),
    ("a", "2025-06-01", 999, 500), ("b", "2025-01-05", 20, 8),
]  # fmt: skip
ANSWERS = [("r1", "a", "2025-01-10 12:00", 9.0), ("r2", "b", "2025-01-10 12:00", 2.0),
           ("r3", "a", "2025-02-01 12:00", 8.0), ("r4", "c", "2025-02-01 12:00", 8.0)]  # fmt: skip


def surveys():
    frame = pd.DataFrame(ANSWERS, columns=["response_id", "person_id", "answered_at", "score"])
    return ibis.memtable(frame.assign(answered_at=pd.to_datetime(frame["answered_at"])))


def test_money_after_an_answer_by_hand():
    values = ibis.memtable(pd.DataFrame({"person_id": ["a", "b"], "value": [200.0, 10.0]}))
    found = money.earned_after(surveys(), purchases_of(ORDERS), values, window=60, rate=0.5)
    rows = found.set_index("response_id")
    # 1 February with its margin of 10, 20 February with half of 30; the order of June is too late.
    assert rows["gain"].to_dict() == {"r1": 25.0, "r2": 0.0, "r3": 15.0, "r4": 0.0}
    assert rows["to_come"].to_dict() == {"r1": 100.0, "r2": 5.0, "r3": 100.0, "r4": 0.0}


def test_without_any_margin_all_money_counts():
    values = ibis.memtable(pd.DataFrame({"person_id": ["b"], "value": [10.0]}))
    bought = purchases_of([(who, day, amount, None) for who, day, amount, _ in ORDERS])
    found = money.earned_after(surveys(), bought, values, window=60, rate=float("nan"))
    assert found["gain"].tolist() == [80.0, 0.0, 30.0, 0.0]
    assert found["to_come"].tolist() == [0.0, 10.0, 0.0, 0.0]


def frame_of(ordered, persons=None):
    n = len(ordered)
    return pd.DataFrame(
        {"response_id": range(n), "ordered": ordered, "person": persons or range(n)}
    )


def test_who_orders_again_brings_more_by_hand():
    frame = frame_of([1.0, 1, 0, 0, np.nan])
    earned = pd.DataFrame({"response_id": range(5), "gain": [10.0, 20, 0, 0, 99],
                           "to_come": [5.0, 5, 1, 3, 99]})  # fmt: skip
    found = money.of_retained(frame, earned)
    assert found.value == 20 - 2
    # Squares of distances to the means 20 and 2, over 2 × 2 of each: 50/4 + 2/4.
    assert found.error == pytest.approx(np.sqrt(50 / 4 + 2 / 4))
    again = money.of_retained(
        pd.concat([frame, frame.assign(response_id=frame["response_id"] + 5)]),
        pd.concat([earned, earned.assign(response_id=earned["response_id"] + 5)]),
    )
    assert again.error == pytest.approx(found.error)  # the same persons, said twice
    with pytest.raises(UnanswerableError, match="one kind alone"):
        money.of_retained(frame_of([1.0, 1.0]), earned)


def test_the_error_of_a_product_is_that_of_draws():
    found, retained = Effect(0.02, 0.01, 0.3, 500, 480), Estimate(40.0, 8.0)
    step = money.of_step(found, retained)
    random = np.random.default_rng(1)
    draws = 1000 * random.normal(0.02, 0.01, 400_000) * random.normal(40, 8, 400_000)
    assert step.value == pytest.approx(800)
    assert step.error == pytest.approx(draws.std(), rel=0.01)


def test_what_is_said_and_recorded():
    found, retained = Effect(0.02, 0.005, 0.3, 500, 480), Estimate(40.0, 8.0)
    steps = {"nps": (found, retained, money.of_step(found, retained))}
    text = money.money_finding(steps, currency="EUR", window=180)
    assert text.startswith("## A step of NPS is worth 800 EUR of 1,000 customers\n")
    assert "of 1,000 customers +20 more (+10 to +30) would order again within 180 days" in text
    unsure = Effect(0.02, 0.02, 0.3, 500, 480)
    steps = {"nps": (unsure, retained, money.of_step(unsure, retained))}
    text = money.money_finding(steps, currency="EUR", window=180)
    assert text.startswith("## No score is shown to be worth money yet\n")
    assert "cannot be told" in money.money_finding({}, currency="EUR", window=180)
    numbers = Numbers("05_satisfaction", as_of=dt.date(2025, 6, 30))
    money.record_money(numbers, "nps", found, steps["nps"][2], currency="EUR", window=180)
    told = numbers.records["satisfaction.step_worth_nps"]
    assert told.value == pytest.approx(800) and told.unit == "EUR"


def test_more_money_than_is_counted_is_refused_in_words():
    values = ibis.memtable(pd.DataFrame({"person_id": ["a"], "value": [10.0]}))
    bought = purchases_of([("a", "2025-02-01", 6 * 10**13, None)] * 2)
    with pytest.raises(UnanswerableError, match="add up to 100,000,000,000,000 or more"):
        money.earned_after(surveys(), bought, values, window=60, rate=0.5)
