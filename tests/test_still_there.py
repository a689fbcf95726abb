"""Who had left already: against statsmodels, Bayes' rule by hand, and where the truth is known."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from statsmodels.miscmodels.ordinal_model import OrderedModel

from loyaltylab.satisfaction import still_there
from loyaltylab.satisfaction.still_there import StateShift, fit_shift

CUTS = {"nps": np.linspace(-2, 0.7, 10), "csat": np.array([-1.6, -1.2, -0.6, 0.4])}


def answers(seed, *, shift=-0.8, n=4000, left=None):
    """Answers of customers some of whom have left, who answer lower by `shift`."""
    random, parts = np.random.default_rng(seed), []
    for name, cuts in CUTS.items():
        age = random.integers(10, 900, n)
        chance = random.beta(0.7, 1.0, n) if left is None else np.full(n, left)
        gone = random.random(n) < chance
        latent = random.standard_normal(n) + 0.3 * age / 365.25 + shift * gone
        score = np.searchsorted(cuts, latent) + (name == "csat")
        parts.append(pd.DataFrame({"instrument": name, "score": score * 1.0, "age": age,
                                   "left": chance, "gone": gone}))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def test_slopes_of_the_likelihood_are_its_differences():
    frame = answers(1, n=300)
    part = still_there._Part(frame[frame["instrument"] == "csat"])
    random = np.random.default_rng(2)
    x = part.start + 0.1 * random.standard_normal(part.size)
    slopes = part.loss(x, -0.5)[1]
    for place, found in enumerate(slopes):
        step = np.zeros(len(x) + 1)
        step[place] = 1e-6
        up, down = (part.loss(x + s * step[:-1], -0.5 + s * step[-1])[0] for s in (1, -1))
        assert found == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-5)


def test_with_nobody_gone_it_is_statsmodels_ordered_probit():
    frame = answers(3, n=800, left=0.0)
    own = frame[frame["instrument"] == "csat"]
    found = fit_shift(own)
    theirs = OrderedModel(own["score"], still_there._ages(own), distr="probit").fit(
        method="bfgs", disp=False, gtol=1e-8
    )
    np.testing.assert_allclose(found.slopes["csat"], theirs.params.iloc[:2], atol=1e-4)
    ends = theirs.model.transform_threshold_params(theirs.params.to_numpy())[1:-1]
    np.testing.assert_allclose(found.thresholds["csat"][:-1, 1], ends, atol=1e-4)
    # Nothing is told of the shift: it stays at its prior.
    assert found.shift == pytest.approx(0, abs=1e-6) and found.error == pytest.approx(1, rel=1e-6)


def test_the_planted_shift_is_found_and_its_interval_holds():
    """40 sets of answers: 35 intervals or more hold the truth in 99 % of cases (binomial, .95)."""
    found = [fit_shift(answers(seed, n=600)) for seed in range(40)]
    inside = [low <= -0.8 <= high for low, high in (one.interval for one in found)]
    assert sum(inside) >= 35
    assert np.mean([one.shift for one in found]) == pytest.approx(-0.8, abs=0.05)


def test_who_had_left_by_bayes_rule():
    """Two scores, 2 in half of all cases: of those who left in Φ(0 − 1)."""
    ends = np.array([[1.0, 0.0], [2.0, np.inf]])
    shift = StateShift(-1.0, 0.1, {"nps": ends}, {"nps": np.zeros(2)})
    frame = pd.DataFrame({"instrument": "nps", "score": [1.0, 2.0], "age": 100, "left": 0.3})
    high = norm.cdf(-1)
    by_hand = [
        0.3 * (1 - high) / (0.3 * (1 - high) + 0.7 * 0.5), 0.3 * high / (0.3 * high + 0.7 * 0.5)
    ]  # fmt: skip
    np.testing.assert_allclose(shift.left(frame), by_hand, rtol=1e-12)
    np.testing.assert_allclose(shift.left(frame, shift=0.0), [0.3, 0.3])


def test_the_share_who_had_left_is_right_score_by_score():
    frame = answers(5, n=30_000)
    frame["found"] = fit_shift(frame).left(frame)
    by = frame.groupby(["instrument", "score"])[["found", "gone"]].agg(["mean", "size"])
    error = np.sqrt(0.25 / by["gone"]["size"])
    assert ((by["found"]["mean"] - by["gone"]["mean"]).abs() < 4 * error + 0.005).all()
    # Without the answer it is wrong at both ends.
    assert abs(frame["left"].mean() - frame["gone"][frame["score"] == 0].mean()) > 0.1


def test_order_of_rows_makes_no_difference():
    frame = answers(6, n=500)
    one, other = fit_shift(frame), fit_shift(frame.sample(frac=1, random_state=1))
    assert one.shift == pytest.approx(other.shift, abs=1e-6)
    assert one.error == pytest.approx(other.error, rel=1e-5)


def test_answers_that_are_all_the_same_say_nothing():
    frame = answers(7, n=50).assign(score=3.0)
    found = fit_shift(frame)
    assert (found.shift, found.error, found.thresholds) == (0, 1, {})
    np.testing.assert_array_equal(found.left(frame), frame["left"])
    varied = answers(7, n=50)
    only = varied["instrument"] == "nps"
    varied.loc[only, "score"] = 3.0
    told = fit_shift(varied)
    assert list(told.thresholds) == ["csat"]
    np.testing.assert_array_equal(told.left(varied)[only], varied["left"][only])
