"""What moves satisfaction: cases against a loop, chances against statsmodels, planted waits."""

import ibis
import numpy as np
import pandas as pd
import pytest
from statsmodels.miscmodels.ordinal_model import OrderedModel

from loyaltylab.errors import UnanswerableError
from loyaltylab.satisfaction import drivers

ANSWERS = [
    ("r1", "a", "ces", "2025-03-10 12:00", 6.0),
    ("r2", "a", "ces", "2025-03-25 12:00", 2.0),  # the later case
    ("r3", "b", "csat", "2025-03-10 12:00", 4.0),  # a case not yet solved
    ("r4", "c", "ces", "2025-03-10 12:00", 5.0),  # a case too long ago
    ("r5", "b", "ces", None, None),
]
TICKETS = [
    ("t1", "a", "2025-03-09 08:00", "2025-03-09 10:00", "2025-03-09 13:00", False, "delivery"),
    ("t2", "a", "2025-03-20 08:00", "2025-03-20 08:30", "2025-03-21 08:30", True, "return"),
    ("t3", "b", "2025-03-10 10:00", "2025-03-10 11:00", "2025-03-12 11:00", False, None),
    ("t4", "c", "2025-02-01 10:00", "2025-02-01 11:00", "2025-02-02 11:00", False, "return"),
    ("t5", "a", "2025-03-26 10:00", None, None, False, "return"),  # after the answers
]


def tables(answers=ANSWERS, tickets=TICKETS):
    asked = pd.DataFrame(
        answers, columns=["response_id", "person_id", "instrument", "answered_at", "score"]
    )
    opened = pd.DataFrame(
        tickets,
        columns=["ticket_id", "person_id", "opened_at", "first_reply_at", "resolved_at",
                 "reopened", "topic"],
    )  # fmt: skip
    asked["answered_at"] = pd.to_datetime(asked["answered_at"])
    for name in ("opened_at", "first_reply_at", "resolved_at"):
        opened[name] = pd.to_datetime(opened[name])
    return ibis.memtable(asked), ibis.memtable(opened)


def simulated(seed, *, n=1500, slow=-0.4, reopened=-0.8):
    """CES that falls by `slow` for every doubling of the wait."""
    random = np.random.default_rng(seed)
    reply = np.exp2(random.normal(3, 1.3, n))
    again = (random.random(n) < 0.15) * 1.0
    felt = slow * np.log2(reply) + reopened * again + random.logistic(size=n)
    score = 1.0 + np.searchsorted([-4, -3.2, -2.5, -1.6, -0.6, 0.9], felt)
    return pd.DataFrame(
        {"response_id": range(n), "instrument": "ces", "score": score, "reply": reply,
         "solution": np.nan, "reopened": again,
         "topic": random.choice(["delivery", "return", "account"], n, p=[0.6, 0.3, 0.1])}
    )  # fmt: skip


def test_the_last_case_before_an_answer_as_it_was_known_by_then():
    rows = drivers.cases(*tables()).set_index("response_id")
    assert list(rows.index) == ["r1", "r2", "r3"]
    assert rows.loc["r1", ["reply", "solution", "reopened", "topic"]].tolist() == [
        2, 3, 0, "delivery",
    ]  # fmt: skip
    assert rows.loc["r2", ["reply", "solution", "reopened", "topic"]].tolist() == [
        0.5, 24, 1, "return",
    ]  # fmt: skip
    assert rows.loc["r3", "reply"] == 1 and np.isnan(rows.loc["r3", "solution"])
    assert pd.isna(rows.loc["r3", "topic"])


def test_tickets_that_hardly_say_anything():
    asked, opened = tables()
    rows = drivers.cases(asked, opened.select("person_id", "ticket_id", "opened_at"))
    assert len(rows) == 3 and rows[["reply", "solution", "reopened"]].isna().all(axis=None)


def test_chances_are_those_of_statsmodels():
    frame = simulated(1)
    model = drivers.fit_drivers(frame, "ces")
    assert model.names == ["reply", "reopened", "topic: account", "topic: return"]
    theirs = OrderedModel(frame["score"].astype(int) - 1, model.x, distr="logit")
    chances = theirs.predict(model.parameters, exog=model.x)
    good = chances[:, 4:].sum(axis=1)  # scores of 5, 6 and 7
    assert model.share(model.x, model.parameters) == pytest.approx(good.mean(), abs=1e-10)
    table = drivers.effects_of(model).set_index("driver")
    doubled = model.x + np.array([1, 0, 0, 0])
    moved = theirs.predict(model.parameters, exog=doubled)[:, 4:].sum(axis=1).mean() - good.mean()
    assert table.loc["reply", "more"] == pytest.approx(moved, abs=1e-9)
    account, others = model.x.copy(), model.x.copy()
    others[:, 2:] = 0
    account[:, 2:] = [1, 0]
    one, other = (theirs.predict(model.parameters, exog=e)[:, 4:].sum(1).mean()
                  for e in (account, others))  # fmt: skip
    assert table.loc["topic: account", "more"] == pytest.approx(one - other, abs=1e-9)


def test_planted_waits_are_found_and_topics_that_do_nothing_are_not():
    """20 times: intervals of parameters hold the truth with .95 each, 17 or more in 99 % of cases."""
    inside, alarms = 0, 0
    for seed in range(20):
        model = drivers.fit_drivers(simulated(seed), "ces")
        error = np.sqrt(np.diag(model.covariance))
        inside += abs(model.parameters[0] + 0.4) <= 1.959964 * error[0]
        table = drivers.effects_of(model).set_index("driver")
        assert table.loc["reply", "high"] < 0 and table.loc["reply", "p"] < 0.001
        alarms += (table.loc[["topic: account", "topic: return"], "p"] < 0.05).any()
    assert inside >= 17 and alarms <= 4
    text = drivers.drivers_finding(model, table.reset_index())
    assert text.startswith("## CES falls with a first reply that takes twice as long\n")
    assert "Of 1,500 answers within 30 days of a support case" in text
    assert "a first reply that takes twice as long goes with" in text
    assert "a case about return" not in text  # which chance may well have brought
    shown = drivers.drivers_table(table.reset_index()).set_index("driver")
    one = table.loc["topic: return"]
    assert shown.loc["a case about return", "points"] == "{:+.1f} ({:+.1f} to {:+.1f})".format(
        *(100 * one[["more", "low", "high"]])
    )
    weak = table.reset_index().assign(p=[0.9, 0.4, *[0.95] * (len(table) - 2)])
    text = drivers.drivers_finding(model, weak)
    assert text.startswith("## Nothing that service did is shown to move CES\n")
    assert "what comes nearest is that a case that had to be reopened goes with" in text


def test_the_curve_goes_through_what_everybody_would_say():
    model = drivers.fit_drivers(simulated(3), "ces")
    curve = drivers.partial_dependence(model, points=5)
    everybody = model.x.copy()
    everybody[:, 0] = np.log2(curve["hours"].iloc[2])
    assert curve["share"].iloc[2] == pytest.approx(model.share(everybody, model.parameters))
    assert (np.diff(curve["share"]) < 0).all()
    assert (curve["low"] < curve["share"]).all() and (curve["share"] < curve["high"]).all()
    axes = drivers.plot_dependence(curve)
    assert axes.lines[0].get_ydata() == pytest.approx(curve["share"])
    assert f"{curve['hours'].iloc[0]:.1f} hours {curve['share'].iloc[0]:.0%}" in (
        drivers.describe_dependence(curve)
    )


def test_the_order_of_rows_and_the_unit_of_scores_make_no_difference():
    frame = simulated(4, n=600)
    one = drivers.effects_of(drivers.fit_drivers(frame, "ces"))
    other = drivers.effects_of(drivers.fit_drivers(frame.sample(frac=1, random_state=1), "ces"))
    np.testing.assert_allclose(one[["more", "low"]], other[["more", "low"]], atol=1e-5)


def test_waits_that_few_know_are_left_out_and_rows_without_others():
    frame = simulated(5)
    frame.loc[:100, "reply"] = np.nan
    assert len(drivers.fit_drivers(frame, "ces").rows) == 1500 - 101
    frame.loc[:500, "reply"] = np.nan
    found = drivers.fit_drivers(frame, "ces")
    assert "reply" not in found.names and len(found.rows) == 1500


def test_too_few_or_all_good_answers_are_refused():
    frame = simulated(6)
    with pytest.raises(UnanswerableError, match="answers to CES after a support case"):
        drivers.fit_drivers(frame.head(60), "ces")
    with pytest.raises(UnanswerableError):
        drivers.fit_drivers(frame.assign(score=7.0), "ces")
    with pytest.raises(UnanswerableError):
        drivers.fit_drivers(frame, "nps")
