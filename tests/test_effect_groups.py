"""Whom a score keeps more than others, and whether effort drives customers away."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from loyaltylab import satisfaction
from loyaltylab.intervals import difference_interval
from loyaltylab.satisfaction.effect import OWN_STEP, Effect, effect, linear
from tests.test_effect import NOBODY, answers


def of_two_channels(seed, *, slopes):
    """Answers of customers won through shop and search, whom a step keeps by these log-odds."""
    parts = [
        answers(seed + at, n=1500, slope=slope)[0].assign(channel=name)
        for at, (name, slope) in enumerate(zip(("search", "shop"), slopes, strict=True))
    ]
    parts[1]["person"] += 10_000
    return pd.concat(parts, ignore_index=True)


def test_each_group_has_the_effect_of_its_own_answers():
    frame = of_two_channels(1, slopes=(0.1, 0.3))
    table = satisfaction.effects_by_group(frame, NOBODY)
    assert set(table["instrument"]) == {"nps"}
    assert list(table.loc[table["grouping"] == "channel", "group"]) == ["search", "shop"]
    orders = table[table["grouping"] == "orders"].set_index("group")["answers"]
    assert orders.to_dict() == {
        "one": (frame["frequency"] == 0).sum(),
        "two or three": frame["frequency"].isin([1, 2]).sum(),
        "four or more": (frame["frequency"] >= 3).sum(),
    }
    shop = table[table["group"] == "shop"].iloc[0]
    own = effect(frame[frame["channel"] == "shop"], linear, OWN_STEP, shift=NOBODY)
    assert (shop["score"], shop["low"], shop["high"]) == (own.value, own.low, own.high)


def test_an_effect_that_differs_is_found_and_one_that_does_not_seldom():
    """Of 24 worlds without a difference, at a rate of .05 for both comparisons together, at most 4 are
    alarms in 99 % of cases (binomial)."""
    found = satisfaction.effects_by_group(of_two_channels(5, slopes=(0.0, 0.5)), NOBODY)
    by = found.groupby("grouping")["p"].first()
    assert by["channel"] < 0.001 < 0.05 < by["orders"]
    alarms = 0
    for seed in range(24):
        table = satisfaction.effects_by_group(of_two_channels(2 * seed, slopes=(0.2, 0.2)), NOBODY)
        alarms += table["p"].min() < 0.05
    assert alarms <= 4


def test_the_p_of_two_groups_by_hand():
    """Q of two effects is the square of their difference over its error; Holm doubles the smaller p."""
    table = satisfaction.effects_by_group(of_two_channels(9, slopes=(0.1, 0.2)), NOBODY)
    two = table[table["grouping"] == "channel"]
    q = np.diff(two["score"])[0] ** 2 / (two["error"] ** 2).sum()
    plain, other = chi2.sf(q, 1), table.loc[table["grouping"] == "orders", "p"].iloc[0]
    assert two["p"].iloc[0] == pytest.approx(2 * plain if 2 * plain <= other else max(plain, other))


def test_what_is_said_of_groups():
    differing = satisfaction.effects_by_group(of_two_channels(5, slopes=(0.0, 0.5)), NOBODY)
    text = satisfaction.groups_finding(differing)
    assert text.startswith("## Whom a better score keeps depends on the customer\n")
    assert (
        "By channel, a step of NPS goes with most for shop, " in text
        and "least for search, " in text
    )
    alike = satisfaction.effects_by_group(of_two_channels(1, slopes=(0.2, 0.2)), NOBODY)
    text = satisfaction.groups_finding(alike)
    assert text.startswith("## A better score is not shown to keep some more than others\n")
    assert "by channel and by orders so far" in text and "of 2 comparisons together" in text
    few = satisfaction.effects_by_group(of_two_channels(1, slopes=(0.2, 0.2)).head(50), NOBODY)
    assert few.empty and "cannot be told" in satisfaction.groups_finding(few)
    shown = satisfaction.groups_table(alike)
    assert len(shown) == len(alike) and shown["by"].iloc[0] == "channel"
    one = alike.iloc[0]
    words = f"{100 * one['score']:+.1f} ({100 * one['low']:+.1f} to {100 * one['high']:+.1f})"
    assert shown["points a step"].iloc[0] == words


def test_an_unknown_channel_is_no_group():
    frame = of_two_channels(1, slopes=(0.2, 0.2))
    frame.loc[frame["channel"] == "shop", "channel"] = None
    table = satisfaction.effects_by_group(frame, NOBODY)
    assert set(table["grouping"]) == {"orders"}


def outcomes(hard, easy):
    """Of 100 who had it hard and 200 who had it easy so many ordered again."""
    rows = [("ces", "bad", 100, hard / 100), ("ces", "good", 200, easy / 200)]
    return pd.DataFrame(rows, columns=["instrument", "group", "answers", "share"])


def contest(ces, nps):
    columns = ["model", "more_auc", "low", "high"]
    rows = [("behaviour alone", np.nan, np.nan, np.nan), ("NPS", *nps), ("CES", *ces)]
    return pd.DataFrame(rows, columns=columns)


def test_what_is_said_of_effort():
    one = {"ces": Effect(0.10, 0.02, 0.4, 300, 290)}
    text = satisfaction.effort_finding(outcomes(40, 140), one, None, window=90)
    assert text.startswith(
        "## Customers whose request was hard to get done order again less often\n"
    )
    low, high = difference_interval(60, 100, 60, 200)
    assert "hard, 60% did not order again within 90 days, of those who had it easy 30%" in text
    assert f"+30 points ({100 * low:+.0f} to {100 * high:+.0f}, 95% confidence)" in text
    assert "it is +10.0 points (+6.1 to +13.9)" in text and "Of who orders again" not in text
    unsure = {"ces": Effect(0.01, 0.02, 0.4, 300, 290)}
    text = satisfaction.effort_finding(outcomes(40, 140), unsure, None, window=90)
    assert text.startswith("## That effort drives customers away is not shown\n")


@pytest.mark.parametrize(
    ("ces", "nps", "told"),
    [
        ((0.03, 0.01, 0.05), (0.01, 0.0, 0.02), "tells more than any other score"),
        ((0.03, 0.01, 0.05), (0.04, 0.02, 0.06), "tells something, but NPS more"),
        ((0.01, -0.01, 0.03), (0.04, 0.02, 0.06), "tells nothing more that can be shown"),
    ],
)
def test_effort_beside_other_scores(ces, nps, told):
    one = {"ces": Effect(0.10, 0.02, 0.4, 300, 290)}
    text = satisfaction.effort_finding(outcomes(40, 140), one, contest(ces, nps), window=90)
    assert told in text and f"({100 * ces[0]:+.1f} points, " in text


def test_without_answers_to_ces_it_says_so():
    assert "cannot be told yet" in satisfaction.effort_finding(
        outcomes(40, 140).head(1), {}, None, window=90
    )
