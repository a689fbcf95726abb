"""Scores and who answers: by hand, and against the formula's source."""

import datetime as dt

import ibis
import pandas as pd
import pytest
from scipy.stats import norm

from loyaltylab import satisfaction
from loyaltylab.errors import LabError
from loyaltylab.numbers import Numbers

# Ten invitations to NPS, eight answers: 4 promoters, 1 passive, 3 detractors. Two to CSAT, one answer.
GIVEN = [10, 10, 9, 9, 8, 6, 5, 0, None, None]


@pytest.fixture
def surveys():
    rows = [("nps", score) for score in GIVEN] + [("csat", 4.0), ("csat", None)]
    return ibis.memtable(
        pd.DataFrame(rows, columns=["instrument", "score"]),
        schema={"instrument": "string", "score": "float64"},
    )


def test_answers_have_every_score_of_an_instrument_that_was_used(surveys):
    table = satisfaction.answers(surveys)
    nps = table[table["instrument"] == "nps"].set_index("score")["answers"]
    assert nps.to_dict() == {0: 1, 1: 0, 2: 0, 3: 0, 4: 0, 5: 1, 6: 1, 7: 0, 8: 1, 9: 2, 10: 2}
    assert set(table["instrument"]) == {"nps", "csat"}
    assert table["answers"].sum() == 9


def test_response_rates(surveys):
    table = satisfaction.responses(surveys).set_index("instrument")
    assert list(table.index) == ["nps", "csat"]
    assert table.loc["nps", ["invited", "answered", "rate"]].tolist() == [10, 8, 0.8]
    assert table.loc["csat", ["invited", "answered", "rate"]].tolist() == [2, 1, 0.5]
    # Wilson's interval of 1 of 2, by hand: centre (p + z²/2n) / (1 + z²/n) = .5.
    z = norm.ppf(0.975)
    half = z / (1 + z**2 / 2) * (0.25 / 2 + z**2 / 16) ** 0.5
    assert table.loc["csat", "low"] == pytest.approx(0.5 - half)
    assert table.loc["csat", "high"] == pytest.approx(0.5 + half)


def test_nps_and_its_standard_error(surveys):
    row = satisfaction.scores(satisfaction.answers(surveys)).set_index("instrument").loc["nps"]
    p, d, n = 4 / 8, 3 / 8, 8
    error = 100 * ((p + d - (p - d) ** 2) / n) ** 0.5
    assert row["score"] == pytest.approx(12.5)
    assert row["high"] - row["score"] == pytest.approx(norm.ppf(0.975) * error)
    assert row["score"] - row["low"] == pytest.approx(norm.ppf(0.975) * error)


def test_nps_never_leaves_its_scale():
    table = pd.DataFrame({"instrument": "nps", "score": [9.0, 0.0], "answers": [9, 1]})
    row = satisfaction.scores(table).iloc[0]
    assert row["score"] == pytest.approx(80)
    assert row["high"] == 100


def test_good_answers_of_csat_and_ces():
    table = pd.DataFrame(
        {
            "instrument": ["csat"] * 5 + ["ces"] * 7,
            "score": [1.0, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6, 7],
            "answers": [1, 1, 2, 4, 2, 0, 0, 0, 3, 1, 0, 0],
        }
    )
    scored = satisfaction.scores(table).set_index("instrument")
    assert scored["score"].to_dict() == {"csat": 0.6, "ces": 0.25}
    assert (scored["low"] < scored["score"]).all() and (scored["score"] < scored["high"]).all()


def test_numbers_and_sentences_say_what_was_scored(surveys):
    given = satisfaction.answers(surveys)
    asked, scored = satisfaction.responses(surveys), satisfaction.scores(given)
    numbers = Numbers("05_satisfaction", as_of=dt.date(2024, 6, 30))
    said = satisfaction.record(numbers, asked, scored)
    assert set(numbers.records) == {
        "satisfaction.nps",
        "satisfaction.csat",
        "satisfaction.nps_response",
        "satisfaction.csat_response",
    }
    assert numbers.records["satisfaction.nps"].n == 8
    assert numbers.records["satisfaction.nps_response"].n == 10
    words = satisfaction.finding(given, "nps", said["nps"])
    assert words.startswith("## NPS is +12\n")  # 12.5, rounded to even
    assert "50% of the 8 who answered gave 9 to 10" in words
    assert "38% gave 0 to 6" in words
    words = satisfaction.finding(given, "csat", said["csat"])
    assert words.startswith("## CSAT: 100% of answers are good\n")
    assert "4 to 5 on a scale from 1" in words
    table = satisfaction.overview(asked, scored).set_index("instrument")
    assert table.loc["NPS", ["invited", "answered", "response", "score"]].tolist() == [
        10,
        8,
        "80.0%",
        "+12",
    ]
    with pytest.raises(LabError, match="recorded twice"):
        satisfaction.record(numbers, asked, scored)


def test_figure_and_its_words_say_the_same(surveys):
    given = satisfaction.answers(surveys)
    axes = satisfaction.plot_answers(given, "nps")
    assert [bar.get_height() for bar in axes.patches] == [
        n / 8 for n in (1, 0, 0, 0, 0, 1, 1, 0, 1, 2, 2)
    ]
    words = satisfaction.describe_answers(given, "nps")
    assert "8 answers" in words and "0: 12%" in words and "10: 25%" in words


def test_a_question_that_nobody_answered_has_no_score():
    silent = ibis.memtable(
        pd.DataFrame({"instrument": ["nps", "csat"], "score": [None, 4.0]}),
        schema={"instrument": "string", "score": "float64"},
    )
    asked = satisfaction.responses(silent)
    scored = asked[["instrument"]].assign(
        answers=[0, 1], score=[float("nan"), 1.0], low=[float("nan"), 0.2], high=[float("nan"), 1.0]
    )
    numbers = Numbers("05_satisfaction", as_of=dt.date(2024, 6, 30))
    assert set(satisfaction.record(numbers, asked, scored)) == {"csat"}
    assert numbers.records["satisfaction.nps"].value is None
