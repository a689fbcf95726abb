"""Calibration: by hand, and against distortions that are known."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from loyaltylab.linkage import calibration
from loyaltylab.linkage.calibration import STRATA, calibrate, strata, weights

N_STRATA = len(STRATA) - 1


def odds(p):
    return np.log(p) - np.log1p(-p)


def chance(log_odds):
    return 1 / (1 + np.exp(-log_odds))


def decided(probability, same):
    return pd.DataFrame({"probability": probability, "same": np.asarray(same, bool)})


def sizes(probability):
    return np.bincount(strata(probability), minlength=N_STRATA)


def test_each_probability_has_its_stratum():
    stated = [0, 0.0099, 0.01, 0.1, 0.29, 0.3, 0.5, 0.7, 0.9, 0.989, 0.99, 1]
    assert strata(stated).tolist() == [0, 0, 1, 2, 2, 3, 4, 5, 6, 6, 7, 7]


def test_each_decision_stands_for_its_share_of_its_stratum():
    pairs = np.array([0, 0, 0, 90, 0, 0, 0, 500])
    of = weights(decided([0.4, 0.995, 0.45, 1.0, 0.31], [0, 1, 0, 1, 1]), pairs)
    assert of.tolist() == [30, 250, 30, 250, 30]


def world(rng, pairs=40_000):
    """Pairs as a model states them, most of them clear, and whether they are of one person. What is
    true is the logistic curve with slope 0.6 and shift −0.5."""
    stated = chance(rng.normal(-2, 4, pairs))
    return stated, rng.random(pairs) < chance(0.6 * odds(stated) - 0.5)


def by_stratum(rng, stated, same, each):
    stratum = strata(stated)
    drawn = np.concatenate([
        rng.choice(np.flatnonzero(stratum == n), each, replace=False) for n in range(N_STRATA)
    ])  # fmt: skip
    return decided(stated[drawn], same[drawn])


def test_a_sample_drawn_by_stratum_and_weighed_stands_for_all_pairs():
    rng = np.random.default_rng(1)
    stated, same = world(rng)
    estimates, plain = [], []
    for _ in range(300):
        drawn = by_stratum(rng, stated, same, 20)
        estimates.append(np.average(drawn["same"], weights=weights(drawn, sizes(stated))))
        plain.append(drawn["same"].mean())
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - same.mean()) < 4 * error
    assert abs(np.mean(plain) - same.mean()) > 10 * error  # what the weights are there for


def unbiased(drawn, pairs):
    """Platt's curve without anything known before."""
    x = odds(drawn["probability"].clip(1e-6, 1 - 1e-6)).to_numpy()[:, None]
    return LogisticRegression(C=np.inf).fit(x, drawn["same"], sample_weight=weights(drawn, pairs))


def test_a_logistic_distortion_is_undone():
    """Nearer to what is true than a curve that takes nothing for granted, though it errs towards what
    the model states; by 900 decisions that has gone."""
    rng = np.random.default_rng(2)
    stated, same = world(rng)
    at = np.array([0.05, 0.2, 0.5, 0.8, 0.95])
    true = 0.6 * odds(at) - 0.5
    for each, rounds in ((40, 100), (120, 40)):
        found, plain = [], []
        for _ in range(rounds):
            drawn = by_stratum(rng, stated, same, each)
            learned = calibrate(drawn, sizes(stated))
            assert learned.method == "Platt" and learned.pairs == each * N_STRATA
            found.append(odds(learned(at)) - true)
            oracle = unbiased(drawn, sizes(stated))
            plain.append(oracle.decision_function(odds(at)[:, None]) - true)
        far, far_plain = (np.sqrt(np.mean(np.square(off), axis=0)) for off in (found, plain))
        assert (far < 0.35).all() and (far < 1.05 * far_plain).all()
        assert np.mean(far) < np.mean(far_plain)
    assert (np.abs(np.mean(found, axis=0)) < 0.5 * np.std(found, axis=0)).all()  # next to no bias


def test_few_decisions_say_less_than_many():
    """Of decisions by chance alone, 5 of 40 pairs at even odds: with the shift normal around 0, by hand
    the mode solves 40 (1 / (1 + e^−x) − 5/40) + x / .25 = 0."""
    stated, same = np.full(40, 0.5), np.arange(40) < 5
    x = odds(calibrate(decided(stated, same), sizes(stated))(np.array([0.5])))[0]
    assert abs(40 * (chance(x) - 5 / 40) + x / 0.25) < 1e-3
    assert odds(5 / 40) + 0.2 < x < 0
    many = calibrate(decided(np.tile(stated, 20), np.tile(same, 20)), sizes(np.tile(stated, 20)))
    assert abs(odds(many(np.array([0.5]))[0]) - odds(5 / 40)) < 0.1


def test_with_many_decisions_any_rising_curve_is_found():
    rng = np.random.default_rng(3)
    stated = rng.random(30_000)
    true = np.where(stated < 0.5, 0.1, 0.8)  # which no logistic curve is
    same = rng.random(30_000) < true
    learned = calibrate(decided(stated, same), sizes(stated))
    assert learned.method == "isotonic"
    off = np.abs(learned(stated) - true)
    assert off[np.abs(stated - 0.5) > 0.02].mean() < 0.02
    assert (np.diff(learned(np.linspace(0, 1, 500))) >= 0).all()


def test_the_curve_is_chosen_by_the_number_of_decisions():
    rng = np.random.default_rng(4)
    stated, same = world(rng)
    for number, method in ((29, "none"), (30, "Platt"), (999, "Platt"), (1000, "isotonic")):
        learned = calibrate(decided(stated[:number], same[:number]), sizes(stated))
        assert (learned.method, learned.pairs) == (method, number)


@pytest.mark.parametrize("number", [0, 29, 500, 5000])
@pytest.mark.parametrize("same", [True, False])
def test_nothing_is_learned_of_decisions_that_are_few_or_all_alike(number, same):
    stated = np.linspace(0, 1, number)
    learned = calibrate(decided(stated, np.full(number, same)), sizes(stated))
    assert learned.method == "none"
    assert learned(stated) is stated


def test_sure_probabilities_stay_within_their_range():
    rng = np.random.default_rng(5)
    stated, same = world(rng)
    for number in (300, 3000):
        learned = calibrate(decided(stated[:number], same[:number]), sizes(stated))
        ends = learned(np.array([0.0, 1e-12, 0.5, 1 - 1e-12, 1.0]))
        assert np.isfinite(ends).all() and (np.diff(ends) >= 0).all()
        assert 0 <= ends[0] < ends[-1] <= 1


def test_reliability_by_hand():
    table = calibration.reliability(
        np.array([0.02, 0.08, 0.5, 0.95, 1.0]),
        same=np.array([0.0, 1.0, 3.0, 4.0, 10.0]),
        pairs=np.array([10.0, 10.0, 4.0, 5.0, 10.0]),
    )
    assert table.to_dict("list") == {
        "low": [0, 0.5, 0.9],
        "high": [0.1, 0.6, 1],
        "pairs": [20, 4, 15],
        "stated": pytest.approx([0.05, 0.5, 14.75 / 15]),
        "true": pytest.approx([0.05, 0.75, 14 / 15]),
    }
    # |.05 − .05| · 20 + |.5 − .75| · 4 + |14.75 − 14| over 39 pairs
    assert calibration.calibration_error(table) == pytest.approx((0 + 1 + 0.75) / 39)


def test_reliability_in_other_bins_and_with_nothing_in_one():
    table = calibration.reliability(
        np.array([0.1, 0.6]), np.array([1.0, 0.0]), np.array([2.0, 0.0]), bins=2
    )
    assert table.to_dict("records") == [
        {"low": 0, "high": 0.5, "pairs": 2, "stated": 0.1, "true": 0.5}
    ]
