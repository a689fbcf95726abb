"""Records, sentences, figures and tables."""

import datetime as dt
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from loyaltylab import language, plots
from loyaltylab import numbers as nb
from loyaltylab.dataset import tables_of
from loyaltylab.errors import LabError


@pytest.fixture
def shown(monkeypatch):
    """What a notebook would display, one bundle each."""
    bundles = []
    monkeypatch.setattr(nb, "display", lambda bundle, raw: bundles.append(bundle))
    return bundles


@pytest.fixture
def numbers():
    return nb.Numbers("03_retention", as_of=dt.date(2024, 6, 30))


def record(numbers, name="a.rate", value=0.25, **more):
    return numbers.record(name, value, unit="share", definition="a share", **more)


def test_a_record_has_the_fields_that_others_read(numbers, tmp_path):
    record(numbers, n=np.int64(40), low=0.1, high=0.4, level=0.95)
    numbers.save(tmp_path)
    assert json.loads((tmp_path / "03_retention.json").read_text()) == [
        {
            "name": "a.rate",
            "value": 0.25,
            "low": 0.1,
            "high": 0.4,
            "level": 0.95,
            "unit": "share",
            "n": 40,
            "as_of": "2024-06-30",
            "notebook": "03_retention",
            "definition": "a share",
            "cell": None,
        }
    ]


def test_a_record_knows_its_cell_which_is_no_part_of_what_it_says(numbers, monkeypatch):
    outside = record(numbers)
    shell = SimpleNamespace(execution_count=7)
    monkeypatch.setattr("loyaltylab.numbers.get_ipython", lambda: shell)
    inside = record(nb.Numbers("03_retention", as_of=dt.date(2024, 6, 30)))
    assert (outside.cell, inside.cell) == (None, 7)
    assert outside == inside and repr(outside) == repr(inside)


def test_what_is_not_known_is_null_and_says_so(numbers, tmp_path):
    number = record(numbers, value=float("nan"), low=np.nan, high=np.nan, level=0.95)
    assert (number.value, number.low, number.level) == (None, None, None)
    assert f"{number:.0%}" == "unknown"
    numbers.save(tmp_path)
    assert json.loads((tmp_path / "03_retention.json").read_text())[0]["value"] is None


def test_counts_stay_exact_and_floats_keep_ten_digits(numbers):
    assert record(numbers, "a.count", np.int64(12_345_678_901)).value == 12_345_678_901
    assert record(numbers, "a.float", np.float64(1 / 3)).value == 0.3333333333
    assert record(numbers, "a.large", 123456.78901).value == 123456.789


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"low": 0.3, "high": 0.4, "level": 0.95}, "outside its interval"),
        ({"low": 0.2}, "low, high and level together"),
        ({"low": 0.2, "high": 0.3}, "low, high and level together"),
        ({"value": float("inf")}, "infinite"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(numbers, more, words):
    with pytest.raises(LabError, match=words):
        record(numbers, **more)


def test_a_missing_count_is_not_known(numbers):
    found = record(numbers, value=pd.NA, n=pd.NA)
    assert (found.value, found.n) == (None, None)
    numbers.keep("a.table", pd.DataFrame({"customers": pd.array([7, None], "Int64")}))
    assert numbers.tables["a.table"] == [{"customers": 7}, {"customers": None}]


def test_a_name_is_taken_once(numbers):
    record(numbers)
    with pytest.raises(LabError, match="recorded twice"):
        record(numbers)


def test_a_sentence_formats_its_numbers(numbers, shown):
    rate = record(numbers, low=0.1, high=0.4, level=0.95)
    nb.say("**{rate:.0%}** ({rate.low:.0%} to {rate.high:.0%})", rate=rate)
    assert shown == [
        {"text/markdown": "**25%** (10% to 40%)", "text/plain": "**25%** (10% to 40%)"}
    ]


def test_a_text_from_the_data_is_shown_not_followed(shown):
    nb.say("Hello {name}", name="**<script>x</script>** [a](http://b) `c`")
    text = shown[0]["text/markdown"]
    assert "<script>" not in text and "**<" not in text
    assert r"\*\*" in text and r"\[a\]\(" in text and r"\`c\`" in text
    nb.say("a finished sentence with {braces}")
    assert shown[1]["text/plain"] == "a finished sentence with {braces}"
    nb.say("")
    assert len(shown) == 2


@pytest.mark.parametrize(
    ("count", "words"), [(0, "no days"), (1, "1 day"), (2, "2 days"), (1200, "1,200 days")]
)
def test_counted(count, words):
    assert language.counted(count, "day") == words


def draw():
    axes = plots.new_axes()
    axes.plot([1, 2, 3], [1, 4, 9], label="a")
    axes.legend()
    return axes


def test_the_same_figure_has_the_same_bytes_and_no_date(shown):
    nb.show(draw(), alt="three points")
    nb.show(draw(), alt="three points")
    assert shown[0] == shown[1]
    assert shown[0]["text/plain"] == "three points"
    svg = shown[0]["image/svg+xml"]
    assert "<dc:date>" not in svg
    assert "<text" in svg  # text stays text


def test_a_figure_without_words_is_refused(shown):
    with pytest.raises(LabError, match="alt"):
        nb.show(draw(), alt=" ")
    assert shown == []


def test_a_table_is_escaped_formatted_and_linked(shown):
    table = pd.DataFrame({"who": ["<b>", "Bo"], "share": [0.5, np.nan]})
    nb.show_table(
        table, caption="A & B", formats={"share": "{:.0%}"}, links={"who": ["a.html", "b.html"]}
    )
    markup = shown[0]["text/html"]
    assert "<caption>A &amp; B</caption>" in markup
    assert '<td><a href="a.html">&lt;b&gt;</a></td><td class="number">50%</td>' in markup
    assert '<td class="number">–</td>' in markup
    assert '<th scope="col" class="number">share</th>' in markup
    assert "50%" in shown[0]["text/plain"]


def test_small_tables_are_kept_beside_the_records(numbers, tmp_path):
    record(numbers)
    days = pd.to_datetime(["2024-05-01", None])
    table = pd.DataFrame({"month": days, "share": [1 / 3, np.nan], "some": np.array([3, 0])})
    numbers.keep("a.table", table)
    with pytest.raises(LabError, match=r"a\.table is kept twice"):
        numbers.keep("a.table", table)
    numbers.save(tmp_path)
    assert json.loads(tables_of(tmp_path, "03_retention").read_text()) == {
        "a.table": [
            {"month": "2024-05-01", "share": 0.3333333333, "some": 3},
            {"month": None, "share": None, "some": 0},
        ]
    }
    assert len(json.loads((tmp_path / "03_retention.json").read_text())) == 1


def test_where_no_table_is_kept_none_is_written(numbers, tmp_path):
    record(numbers)
    numbers.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["03_retention.json"]
