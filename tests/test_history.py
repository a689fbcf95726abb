"""What earlier reports said, what moved since, and what was changed."""

import dataclasses
import datetime as dt
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyaltylab import changes, contract, history, language, provenance, since
from loyaltylab.__main__ import main
from loyaltylab.changes import CHANGED, GONE, MOVED, NEW, OTHER_UNIT, SAME, WITHIN, compare
from loyaltylab.errors import LabError
from loyaltylab.numbers import Number
from loyaltylab.provenance import Made

SEPTEMBER, OCTOBER, NOVEMBER = dt.date(2026, 9, 1), dt.date(2026, 10, 1), dt.date(2026, 11, 1)
MADE = Made("2026-09-30", {"orders": "a", "surveys": "b"}, "c", {"03_retention.period": "month"})


def number(value, low=None, high=None, *, name="retention.repeat_rate", unit="share", **more):
    level = None if low is None else more.pop("level", 0.95)
    definition = more.pop("definition", "a share until 2026-09-30")
    return Number(
        name, value, low, high, level, unit, None, "2026-09-30", "03_retention", definition
    )


def named(*numbers):
    return {number.name: number for number in numbers}


def records(*numbers):
    return [dataclasses.asdict(number) for number in numbers]


def verdict(then, now):
    table = compare(named(then), named(now))
    return table["verdict"].item()


# ---- Comparing two reports.


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        # Reaches of 0.03 and 0.04 toward each other: the difference reaches 0.05.
        (number(0.20, 0.18, 0.23), number(0.26, 0.22, 0.28), MOVED),
        (number(0.20, 0.18, 0.23), number(0.24, 0.20, 0.26), WITHIN),
        # The other way the other sides count: 0.02 and 0.02 reach less than 0.03.
        (number(0.24, 0.22, 0.28), number(0.21, 0.17, 0.23), MOVED),
        (number(0.20, 0.18, 0.23), number(0.20, 0.10, 0.30), SAME),
        (number(0.20, 0.18, 0.23), number(0.26), CHANGED),
        (number(0.20), number(0.26), CHANGED),
        (number(0.20), number(0.20), SAME),
        (number(0.20, 0.18, 0.23), number(0.26, 0.25, 0.27, level=0.5), CHANGED),
        (number(None), number(0.26, 0.22, 0.28), CHANGED),
        (number(None), number(None), SAME),
        (number(12, unit="EUR"), number(12, unit="USD"), OTHER_UNIT),
        (number("BG/NBD", unit="model"), number("NBD", unit="model"), CHANGED),
        (number("NBD", unit="model"), number("NBD", unit="model"), SAME),
        (number(0.3333333333), number(0.3333333334), SAME),  # the last digit that is kept
        (number(0), number(0.0), SAME),
    ],
)
def test_a_number_moved_if_the_difference_leaves_its_interval(then, now, expected):
    assert verdict(then, now) == expected


def test_the_change_is_now_less_then_and_both_intervals_are_shown():
    row = compare(named(number(0.20, 0.18, 0.23)), named(number(0.26, 0.22, 0.28))).iloc[0]
    assert row["change"] == pytest.approx(0.06)
    shown = ["then", "then_low", "then_high", "now", "now_low", "now_high"]
    assert row[shown].tolist() == [0.20, 0.18, 0.23, 0.26, 0.22, 0.28]


def test_what_is_new_gone_or_of_another_unit_is_not_compared():
    then = named(number(1, name="a", unit="EUR"), number(2, name="b"))
    now = named(number(3, name="c"), number(4, name="a", unit="USD"))
    table = compare(then, now)
    assert table["verdict"].to_dict() == {"c": NEW, "b": GONE, "a": OTHER_UNIT}
    assert table["change"].isna().all()
    assert table.loc["c", ["then", "now"]].tolist() == [None, 3]


def test_those_that_moved_come_first_in_the_report_s_order():
    moved = number(0.1, 0.09, 0.11), number(0.5, 0.49, 0.51)
    then, now = ([dataclasses.replace(one, name=name) for name in "db"] for one in moved)
    same = number(1, name="a")
    table = compare(named(same, *then), named(same, *now))
    assert list(table.index) == ["d", "b", "a"]


def test_other_words_of_a_definition_are_told_and_other_dates_in_it_are_not():
    then = number(0.2, definition="share above 219.50 EUR until 2026-09-30")
    later = number(0.2, definition="share above 1,220 EUR until 2026-10-31")
    other = number(0.2, definition="share of revenue above 219.50 EUR until 2026-09-30")
    assert not compare(named(then), named(later))["redefined"].item()
    (row,) = (row for _, row in compare(named(then), named(other)).iterrows())
    assert since.verdict_of(row) == "the same, defined otherwise"


def test_two_empty_reports_are_alike():
    assert compare({}, {}).empty


finite = st.floats(-1e6, 1e6).map(lambda value: float(f"{value:.10g}"))


@st.composite
def some_number(draw, name):
    value = draw(st.one_of(finite, st.none(), st.integers(-1000, 1000), st.sampled_from("xy")))
    unit = draw(st.sampled_from(["share", "EUR"]))
    if value is None or isinstance(value, str) or draw(st.booleans()):
        return number(value, name=name, unit=unit)
    low, high = (draw(st.floats(0, 1e6)) for _ in range(2))
    return number(value, value - low, value + high, name=name, unit=unit)


@st.composite
def some_report(draw):
    names = draw(st.lists(st.sampled_from("abcdef"), unique=True))
    return named(*(draw(some_number(name)) for name in names))


@given(some_report())
def test_a_report_is_the_same_as_itself(report):
    table = compare(report, report)
    assert table["verdict"].eq(SAME).all() and not table["redefined"].any()
    assert (table["change"].isna() | table["change"].eq(0)).all()


@given(some_report(), some_report())
def test_swapped_a_comparison_turns_signs_and_keeps_verdicts(a, b):
    table, swapped = compare(a, b), compare(b, a)
    assert set(table.index) == set(swapped.index) == set(a) | set(b)
    swapped = swapped.loc[table.index]
    turned = {NEW: GONE, GONE: NEW}
    assert [turned.get(v, v) for v in swapped["verdict"]] == table["verdict"].tolist()
    assert (-swapped["change"]).equals(table["change"])
    assert swapped["then_low"].equals(table["now_low"].rename("then_low"))


# ---- Keeping and reading them.


def test_what_is_kept_is_read_again(tmp_path):
    kept = records(number(0.25, 0.2, 0.3), number("NBD", name="a.model", unit="model"))
    folder = history.keep(tmp_path / "history", kept, MADE, today=OCTOBER)
    assert folder == tmp_path / "history" / "2026-10-01"
    assert json.loads((folder / "numbers.json").read_text()) == kept
    report = history.load(tmp_path / "history", OCTOBER)
    assert report.day == OCTOBER and report.made == MADE
    assert records(*report.numbers.values()) == kept
    assert sorted(path.name for path in (tmp_path / "history").iterdir()) == ["2026-10-01"]


def test_a_later_report_of_a_day_takes_the_place_of_the_earlier(tmp_path):
    for value in (1, 2):
        history.keep(tmp_path, records(number(value)), MADE, today=OCTOBER)
    assert history.days(tmp_path) == [OCTOBER]
    assert history.load(tmp_path, OCTOBER).numbers["retention.repeat_rate"].value == 2
    assert [path.name for path in tmp_path.iterdir()] == ["2026-10-01"]


def test_today_is_the_clock_s(tmp_path):
    first = dt.date.today()
    folder = history.keep(tmp_path, [], MADE)
    assert first <= dt.date.fromisoformat(folder.name) <= dt.date.today()


def test_a_report_that_cannot_be_kept_leaves_the_one_that_is_there(tmp_path, monkeypatch):
    history.keep(tmp_path, records(number(1)), MADE, today=OCTOBER)

    def broken(path, value):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(history, "write_json", broken)
        with pytest.raises(LabError, match="No space left"):
            history.keep(tmp_path, records(number(2)), MADE, today=OCTOBER)
    assert history.load(tmp_path, OCTOBER).numbers["retention.repeat_rate"].value == 1
    assert [path.name for path in tmp_path.iterdir()] == ["2026-10-01"]


def test_the_one_that_is_there_is_put_back_if_the_new_one_cannot_take_its_place(
    tmp_path, monkeypatch
):
    history.keep(tmp_path, records(number(1)), MADE, today=OCTOBER)
    replace = Path.replace

    def broken(path, target):
        if path.suffix == ".part" and target.suffix == "" and path.is_dir():
            raise OSError(5, "Input/output error")
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", broken)
        with pytest.raises(LabError, match="Input/output error"):
            history.keep(tmp_path, records(number(2)), MADE, today=OCTOBER)
    assert history.load(tmp_path, OCTOBER).numbers["retention.repeat_rate"].value == 1
    assert [path.name for path in tmp_path.iterdir()] == ["2026-10-01"]


def test_what_a_killed_run_left_is_put_back_and_taken_away(tmp_path):
    """Killed between moving the day's earlier report aside and putting the new one in its place."""
    history.keep(tmp_path, records(number(1)), MADE, today=OCTOBER)
    (tmp_path / "2026-10-01").rename(tmp_path / ".2026-10-01.old")
    (tmp_path / ".2026-10-01.part").mkdir()
    (tmp_path / ".2026-10-01.part" / "numbers.json").write_text("[")
    assert history.days(tmp_path) == []
    with pytest.raises(TypeError):
        history.keep(tmp_path, [object()], MADE, today=OCTOBER)
    assert history.load(tmp_path, OCTOBER).numbers["retention.repeat_rate"].value == 1
    history.keep(tmp_path, records(number(2)), MADE, today=OCTOBER)
    assert history.load(tmp_path, OCTOBER).numbers["retention.repeat_rate"].value == 2
    assert [path.name for path in tmp_path.iterdir()] == ["2026-10-01"]


def test_a_file_in_place_of_the_history_is_one_clear_error_and_stays(tmp_path):
    (tmp_path / "history").write_text("mine")
    with pytest.raises(LabError, match="expected a folder for the numbers of earlier reports"):
        history.keep(tmp_path / "history", [], MADE, today=OCTOBER)
    assert (tmp_path / "history").read_text() == "mine"
    assert history.days(tmp_path / "history") == []
    (tmp_path / "2026-10-01").write_text("mine")
    with pytest.raises(LabError, match="cannot be written"):
        history.keep(tmp_path, [], MADE, today=OCTOBER)
    assert (tmp_path / "2026-10-01").read_text() == "mine"


def test_folders_of_other_names_are_nobody_s_business(tmp_path):
    for name in (
        "notes",
        "2026-02-31",
        "2026-1-1",
        ".2026-10-01.part",
        "2026-10-01 copy",
        "20261001",
    ):
        (tmp_path / name).mkdir()
    assert history.days(tmp_path) == []


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("made.json", None, "made.json is left out of comparisons: expected it to be there"),
        ("numbers.json", None, "numbers.json is left out of comparisons"),
        ("numbers.json", '[{"name": "a', "expected JSON, found: half a file"),
        ("numbers.json", '{"a": 1}', "expected a JSON list"),
        ("numbers.json", '[{"value": 1}]', "expected records of numbers"),
        ("numbers.json", '[{"name": "a", "value": [1]}]', "expected records of numbers"),
        ("numbers.json", '[{"name": "a", "value": NaN}]', "expected JSON"),
        ("numbers.json", "[" * 100_000, "expected JSON"),
        ("made.json", "[]", "expected a JSON object"),
        ("made.json", '{"data": {}}', "expected version 1 of its form, found: none"),
        ("made.json", '{"version": 7}', "expected version 1 of its form, found: 7"),
        (
            "made.json",
            '{"version": 1, "data": {}}',
            "expected observed_until, data, code, parameters",
        ),
    ],
)
def test_half_a_report_or_one_of_another_form_is_passed_over_with_a_sentence(
    tmp_path, file, content, words
):
    for day in (SEPTEMBER, OCTOBER, NOVEMBER):
        history.keep(tmp_path, records(number(day.month)), MADE, today=day)
    path = tmp_path / "2026-10-01" / file
    path.unlink() if content is None else path.write_text(content)
    report, ignored = history.before(tmp_path, NOVEMBER)
    assert report.day == SEPTEMBER
    (sentence,) = ignored
    assert words in sentence and "2026-10-01/" in sentence and str(tmp_path) not in sentence


def test_a_report_of_another_version_of_the_lab_is_read_as_far_as_it_is_known(tmp_path):
    kept = [{"name": "a", "value": 1, "colour": "red", "unit": "EUR"}]
    history.keep(tmp_path, kept, MADE, today=OCTOBER)
    found = history.load(tmp_path, OCTOBER).numbers["a"]
    assert (found.value, found.unit, found.low, found.definition) == (1, "EUR", None, "")


def test_the_report_before_is_of_an_earlier_day(tmp_path):
    for day in (SEPTEMBER, OCTOBER, NOVEMBER):
        history.keep(tmp_path, [], MADE, today=day)
    assert history.before(tmp_path, NOVEMBER)[0].day == OCTOBER
    assert history.before(tmp_path, SEPTEMBER) == (None, [])


def test_a_day_that_is_yet_to_come_is_told_and_left_alone(tmp_path, capsys):
    history.keep(tmp_path, records(number(1)), MADE, today=NOVEMBER)
    history.keep(tmp_path, records(number(2)), MADE, today=OCTOBER)
    assert "found 2026-11-01, which is left alone" in capsys.readouterr().err
    now = history.of_numbers(tmp_path, named(number(2)))
    assert now.day == OCTOBER


# ---- What a report is made of.


def dataset(**more):
    given = {"title": "A", "currency": "EUR", "tables": {"orders": "orders_*.csv"}} | more
    return contract.Dataset.model_validate(given)


def test_data_are_their_content_whatever_the_files_are_called(tmp_path):
    (tmp_path / "orders_2026-09.csv").write_text("a")
    (tmp_path / "orders_2026-10.csv").write_text("b")
    first = provenance.data_of(dataset(), tmp_path)
    (tmp_path / "orders_2026-09.csv").rename(tmp_path / "orders_2026-11.csv")
    assert provenance.data_of(dataset(), tmp_path) == first
    assert set(first) == {"orders"}
    (tmp_path / "orders_2026-11.csv").write_text("c")
    assert provenance.data_of(dataset(), tmp_path) != first


def test_code_is_what_computes_numbers(tmp_path):
    def write(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def code():
        return provenance.code_of(tmp_path / "src", [tmp_path / "03.ipynb"], lock=tmp_path / "lock")

    def notebook(source="x", prose="# Title", parameter="p = 1", output="1"):
        cells = [
            nbformat.v4.new_markdown_cell(prose, id="a"),
            nbformat.v4.new_code_cell(parameter, id="b", metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell(
                source, id="c", outputs=[nbformat.v4.new_output("stream", text=output)]
            ),
        ]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "03.ipynb")

    write(tmp_path / "src" / "engine.py", "1")
    write(tmp_path / "src" / "retention" / "summary.py", "1")
    write(tmp_path / "lock", "1")
    notebook()
    first = code()
    for path in (
        "summary/key_tiles.py",
        "template/page.css",
        "retention/__pycache__/a.pyc",
        "__pycache__/b.pyc",
    ):
        write(tmp_path / "src" / path, "2")
    notebook(prose="# Other", parameter="p = 2", output="2")
    assert code() == first
    for path in ("src/engine.py", "src/retention/summary.py", "src/new.py", "lock"):
        before = code()
        write(tmp_path / path, "2")
        assert code() != before, path
    before = code()
    notebook(source="y")
    assert code() != before


def test_code_is_what_make_runs_notebooks_again_for():
    """A file counts as code if, and only if, the Makefile runs a notebook with numbers again for it."""
    from tests.test_make import ROOT, make

    show = "show: ; @echo ran $(COMMON) $(SUBJECTS)"
    ran = re.search("^ran (.*)", make(ROOT, "show", "--eval", show).stdout, re.M)[1].split()
    package = ROOT / "src" / "loyaltylab"
    modules = {p.relative_to(ROOT).as_posix() for p in package.rglob("*.py")}
    modules = {m for m in modules if "/simulation/" not in m}
    ours = {m for m in modules if m.split("/")[2] not in provenance._NO_NUMBERS}
    assert ours == {module for module in ran if "loyaltylab/summary/" not in module} & modules
    assert modules - ours >= {"src/loyaltylab/summary/key_tiles.py", "src/loyaltylab/report.py"}


def test_parameters_are_what_notebooks_run_with_and_dataset_yml_sets(tmp_path):
    cell = nbformat.v4.new_code_cell(
        'dataset = "demo"  # text: folder\nperiod = "month"  # week | month: cohorts\n'
        "weeks = 39  # 1.. weeks: held out",
        metadata={"tags": ["parameters"]},
    )
    odd = nbformat.v4.new_code_cell("a = f()", metadata={"tags": ["parameters"]})
    paths = [tmp_path / "03_retention.ipynb", tmp_path / "07_own.ipynb"]
    for path, one in zip(paths, (cell, odd), strict=True):
        nbformat.write(nbformat.v4.new_notebook(cells=[one]), path)
    spec = dataset(
        parameters={"03_retention": {"period": "week"}},
        rules={"orders": {"amount": {"max": 100, "note": True}}},
        thresholds={"put_aside": 0.1},
        observed_until="2026-09-30",
    )
    found = provenance.parameters_of(spec, paths)
    assert found["03_retention.period"] == "week" and found["03_retention.weeks"] == 39
    assert found["rules.orders.amount.max"] == 100 and found["thresholds.put_aside"] == 0.1
    assert found["tables.orders.delimiter"] == ","
    assert "07_own.cell" in found
    wheres = ("title", "observed_until", "tables.orders.path", "03_retention.dataset")
    assert not set(found).intersection(wheres)
    moved = dataset(title="B", tables={"orders": {"path": "x/*.csv", "owner": "shop"}})
    assert provenance.parameters_of(moved, []) == provenance.parameters_of(dataset(), [])
    json.dumps(found, allow_nan=False)


# ---- What a reader is told.


@pytest.fixture
def lab(tmp_path):
    return SimpleNamespace(history=tmp_path / "history")


def keep(lab, day, *numbers, **other):
    made = dataclasses.replace(MADE, **other)
    history.keep(lab.history, records(*numbers), made, today=day)
    return named(*numbers)


LOW, HIGH = number(0.20, 0.18, 0.23), number(0.30, 0.28, 0.33)


def test_without_an_earlier_report_nothing_is_told(lab):
    assert since.told(since.since_last(lab, named(LOW))) == []
    now = keep(lab, OCTOBER, LOW)
    last = since.since_last(lab, now)
    assert since.told(last) == [] and since.key_figures(last).empty
    keep(lab, OCTOBER, HIGH)  # later that day
    assert since.since_last(lab, named(HIGH)) is None


def test_numbers_that_were_not_kept_are_not_compared(lab):
    """As of a notebook run by hand."""
    keep(lab, SEPTEMBER, LOW)
    keep(lab, OCTOBER, HIGH)
    assert since.since_last(lab, named(number(0.5))) is None


def test_what_moved_is_told_with_its_cause(lab):
    gap = "retention.median_gap_days"
    keep(lab, OCTOBER, LOW, number(30, name=gap, unit="days"), number(1, name="x"))
    now = keep(lab, NOVEMBER, HIGH, number(32, name=gap, unit="days"), code="other")
    last = since.since_last(lab, now)
    head, count, cause, why, all_told = since.told(last)
    assert head == "## Since the last report"
    assert count == (
        "**1 key figure moved by more than chance brings**; "
        "1 changed, came or went without intervals to judge by."
    )
    assert cause == (
        "Since the report of 1 October 2026, the code changed. "
        "The data and the parameters are the same."
    )
    assert "The change of any number comes from the code" in why
    assert all_told.startswith("Of all 3 numbers, 1 moved")
    table = since.key_figures(last)
    assert table.iloc[0].tolist() == [
        "came back for a second purchase", "20.0%", "30.0%", "+10.0 points", "moved",
    ]  # fmt: skip
    assert table.iloc[1]["change"] == "+2 days"
    assert list(table.columns) == ["figure", "1 October 2026", "now", "change", "verdict"]
    assert "November" not in " ".join([*since.told(last), table.to_string()])


def test_nothing_moved(lab):
    keep(lab, OCTOBER, LOW)
    last = since.since_last(lab, keep(lab, NOVEMBER, LOW))
    assert since.told(last)[1:] == [
        "**Nothing moved:** every number is what it was.",
        "The data, the code and the parameters are the same as in the report of 1 October 2026.",
    ]
    assert since.key_figures(last).empty


def test_a_damaged_report_is_told_if_it_would_have_been_the_last(lab):
    keep(lab, SEPTEMBER, LOW)
    keep(lab, OCTOBER, LOW)
    now = keep(lab, NOVEMBER, HIGH)
    (lab.history / "2026-10-01" / "made.json").unlink()
    told = since.told(since.since_last(lab, now))
    assert "1 September 2026" in told[2] and "left out of comparisons" in told[-1]
    shutil.rmtree(lab.history / "2026-09-01")
    last = since.since_last(lab, now)
    told = since.told(last)
    assert since.key_figures(last).empty
    assert len(told) == 2 and "left out of comparisons" in told[-1]


def test_what_moved_is_told_in_german(lab):
    keep(lab, OCTOBER, LOW, number(1, name="retention.median_gap_days", unit="days"))
    now = keep(lab, NOVEMBER, HIGH, code="other")
    (lab.history / "2026-10-15").mkdir()
    language.use("de")
    last = since.since_last(lab, now)
    head, count, cause, _, all_told, ignored = since.told(last)
    assert head == "## Seit dem letzten Bericht"
    assert count.startswith("**1 Kennzahl stärker verändert") and "1 verändert, hinzu" in count
    assert cause == (
        "Seit dem Bericht vom 1. Oktober 2026 geändert: der Code. Unverändert: die Daten und die "
        "Parameter."
    )
    assert all_told.startswith("Von allen 2 Zahlen") and "bleibt bei Vergleichen" in ignored
    table = since.key_figures(last)
    assert list(table.columns)[1] == "1. Oktober 2026"
    assert table["verdict"].tolist() == ["mehr als Zufall", "entfallen"]


def causal(changed=True, then=MADE, **other):
    a, b = (
        history.Report("2026-10-01", {}, one) for one in (then, dataclasses.replace(MADE, **other))
    )
    return " ".join(changes.causes_told(a, b, since="then", changed=changed))


def test_causes_are_told_apart_only_where_they_can_be():
    assert "The data and the code are the same." in causal(parameters={})
    assert "(03_retention.period: month → not set)" in causal(parameters={})
    assert "comes from the parameters" in causal(parameters={})
    assert "comes from the code" not in causal(code="x", data={}) + causal(data={}, parameters={})
    assert "More than one" in causal(code="x", data={})
    only_data = causal(data=MADE.data | {"orders": "x", "visits": "y"})
    assert "the data (orders; visits) changed" in only_data
    assert "in part about the same customers" in only_data and "More than one" not in only_data
    assert "(observed until: 2026-09-30 → 2026-10-31)" in causal(observed_until="2026-10-31")
    assert "comes from the computer" in causal()
    assert "computer" not in causal(changed=False)
    assert "not known" in " ".join(
        changes.causes_told(
            history.Report("a", {}, None), history.Report("b", {}, MADE), since="a", changed=True
        )
    )


def test_many_changed_parameters_are_counted():
    told = causal(
        parameters={f"a.{i}": i for i in range(9)}, then=dataclasses.replace(MADE, parameters={})
    )
    assert "a.4: not set → 4; and 4 more" in told and "a.5" not in told


# ---- make compare.


def test_the_full_comparison_is_a_table_of_text(lab):
    keep(lab, SEPTEMBER, LOW)
    keep(lab, OCTOBER, LOW, number(5, name="a.gone", unit="EUR"))
    keep(lab, NOVEMBER, HIGH, number(None, name="a.new"), data={})
    text = since.report(lab.history, "2026-10-01", "2026-11-01")
    assert text == since.report(lab.history, "", "")
    lines = text.splitlines()
    assert lines[0] == "Then 2026-10-01, now 2026-11-01: 1 moved, 1 added, 1 dropped."
    assert "the data (orders; surveys) changed" in lines[1]
    rows = [re.split(r" {2,}", line) for line in lines[lines.index("") + 1 :]]
    assert rows[0] == ["number", "then", "interval", "now", "interval", "change", "verdict"]
    assert rows[1:] == [
        ["retention.repeat_rate", "20.0%", "18.0% to 23.0%", "30.0%", "28.0% to 33.0%", "+10.0 points",
         "moved"],
        ["a.new", "–", "–", "unknown", "–", "–", "added"],
        ["a.gone", "5 EUR", "–", "–", "–", "–", "dropped"],
    ]  # fmt: skip


def test_a_file_of_numbers_is_compared_as_a_day_is(lab, tmp_path):
    keep(lab, OCTOBER, LOW)
    path = tmp_path / "numbers.json"
    path.write_text(json.dumps(records(HIGH)))
    for a, b in (("2026-10-01", str(path)), ("", str(path)), (str(tmp_path), "2026-10-01")):
        text = since.report(lab.history, a, b)
        assert "1 moved" in text and "not known: no made.json" in text


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ("2026-09-30", "", 'no report "2026-09-30"'),
        ("2026-09-30", "", "there are 2026-10-01, 2026-11-01."),
        ("", "nowhere/numbers.json", "expected the path of a numbers.json, or a day of"),
        ("", "2026-10-01", "expected a report of a day before 2026-10-01"),
    ],
)
def test_a_report_that_is_not_there_is_one_clear_error(lab, a, b, words):
    keep(lab, OCTOBER, LOW)
    keep(lab, NOVEMBER, LOW)
    with pytest.raises(LabError, match=re.escape(words)):
        since.report(lab.history, a, b)


def test_no_history_at_all_says_what_to_do(tmp_path):
    with pytest.raises(LabError, match="Run make report"):
        since.report(tmp_path / "history", "", "")


def test_the_command_says_it_without_a_traceback(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LOYALTYLAB_DERIVED", str(tmp_path))
    assert main(["compare", "data/cdnow", "2026-10-01"]) == 1
    assert "Run make report" in capsys.readouterr().err
    folder = tmp_path / "cdnow" / "history"
    for day, one in ((OCTOBER, LOW), (NOVEMBER, HIGH)):
        history.keep(folder, records(one), MADE, today=day)
    assert main(["compare", "data/cdnow", "2026-10-01", "2026-11-01"]) == 0
    assert "1 moved" in capsys.readouterr().out


def test_the_numbers_are_kept_before_their_file_stands_for_both(monkeypatch, tmp_path):
    monkeypatch.setenv("LOYALTYLAB_DERIVED", str(tmp_path))
    results = tmp_path / "cdnow" / "results"
    results.mkdir(parents=True)
    (results / "03_retention.json").write_text(json.dumps(records(LOW)))
    target = tmp_path / "numbers.json"
    (tmp_path / "cdnow" / "history").write_text("in the way")
    arguments = ["numbers", "data/cdnow", "notebooks/03_retention.ipynb", str(target)]
    assert main(arguments) == 1 and not target.exists()
    (tmp_path / "cdnow" / "history").unlink()
    assert main(arguments) == 0
    (day,) = history.days(tmp_path / "cdnow" / "history")
    kept = history.load(tmp_path / "cdnow" / "history", day)
    assert kept.numbers == history.read_numbers(target) == named(LOW)
    assert kept.made.observed_until == "2026-09-30" and set(kept.made.data) == {"orders"}
