"""The parameters cell, and running a notebook."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from loyaltylab import execution
from loyaltylab.__main__ import main
from loyaltylab.contract import Dataset
from loyaltylab.errors import LabError

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def notebook(path, *sources, parameters='dataset = "shop"  # text: folder below data/'):
    tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    cells = [new_markdown_cell("# Title"), tagged, *map(new_code_cell, sources)]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    nbformat.write(new_notebook(cells=cells, metadata=KERNEL), path)
    return path


ALL_KINDS = """\
weeks = 39  # 1..520 weeks: held out at the end
share = 0.5  # 0..1: of the customers
least = 1  # 1.. customers: in a cell
period = "month"  # week | month | quarter: length of a cohort
topic = ""  # text: what to look for
strict = True  # flag: stop at the first problem
"""


@pytest.fixture
def takes(tmp_path):
    return execution.parameters(notebook(tmp_path / "03_x.ipynb", parameters=ALL_KINDS))


def test_every_kind_of_parameter_is_read(takes):
    assert list(takes) == ["weeks", "share", "least", "period", "topic", "strict"]
    weeks = takes["weeks"]
    assert (weeks.default, weeks.low, weeks.high, weeks.unit) == (39, 1, 520, "weeks")
    assert weeks.meaning == "held out at the end"
    assert takes["least"].high is None
    assert takes["period"].choices == ("week", "month", "quarter")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("weeks", 1, ""),
        ("weeks", 520, ""),
        ("weeks", 0, "expected 1 or more and 520 or less weeks"),
        ("weeks", 521, "expected 1 or more and 520 or less weeks"),
        ("weeks", 2.5, "expected a whole number"),
        ("weeks", True, "expected a whole number"),
        ("weeks", "39", "expected a whole number"),
        ("share", 1, ""),
        ("share", 1.5, "expected 0 or more and 1 or less"),
        ("least", 10**9, ""),
        ("period", "week", ""),
        ("period", "year", "expected one of week, month, quarter"),
        ("topic", "anything", ""),
        ("topic", 3, "expected a text"),
        ("strict", False, ""),
        ("strict", 1, "expected true or false"),
    ],
)
def test_a_value_is_held_to_name_type_and_range(takes, name, value, problem):
    assert takes[name].problem(value) == problem


@pytest.mark.parametrize(
    "line",
    [
        "weeks = 39",
        "weeks = 39  # no colon",
        "weeks = 39  # weeks: no range",
        "weeks = f()  # text: x",
    ],
)
def test_a_parameter_that_does_not_say_what_it_takes_is_refused(tmp_path, line):
    with pytest.raises(LabError, match="parameters, line 1"):
        execution.parameters(notebook(tmp_path / "03_x.ipynb", parameters=line))


def test_a_parameters_cell_that_is_no_python_is_refused(tmp_path):
    with pytest.raises(LabError, match="parameters, line 2: expected Python"):
        execution.parameters(notebook(tmp_path / "03_x.ipynb", parameters="a = 1  # 1.. x: y\nb ="))


def test_a_notebook_that_is_none_is_refused(tmp_path):
    (tmp_path / "03_x.ipynb").write_text("<<<<<<< HEAD\n{}")
    with pytest.raises(LabError, match=r"03_x\.ipynb cannot be read as a notebook"):
        execution.parameters(tmp_path / "03_x.ipynb")


def test_the_words_of_a_failing_library_are_not_told(tmp_path):
    source = notebook(tmp_path / "03_x.ipynb", "raise ValueError('cannot read anna@example.org')")
    with pytest.raises(LabError) as error:
        execution.run(source, tmp_path / "out.ipynb", {})
    assert "anna" not in str(error.value)
    assert "ValueError" in str(error.value)


def test_a_kernel_that_dies_is_one_clear_error(tmp_path):
    source = notebook(tmp_path / "03_x.ipynb", "import os; os._exit(1)")
    with pytest.raises(LabError, match="its kernel died at cell 3 of 3"):
        execution.run(source, tmp_path / "out.ipynb", {})


def test_all_wrong_parameters_are_told_at_once(tmp_path):
    notebook(tmp_path / "03_x.ipynb", parameters=ALL_KINDS)
    dataset = Dataset.model_validate(
        {
            "title": "Shop",
            "currency": "EUR",
            "tables": {"orders": "raw/a.csv"},
            "parameters": {"03_x": {"perod": "month", "weeks": 0}, "04_y": {"a": 1}},
        }
    )
    first, second, third = execution.parameter_problems(dataset, tmp_path)
    assert 'unknown parameter "perod"' in first and 'Did you mean "period"?' in first
    assert "weeks is 0; expected 1 or more" in second
    assert 'no notebook "04_y"; expected one of 03_x' in third


def test_a_notebook_runs_with_its_parameters_and_leaves_no_trace(tmp_path):
    source = notebook(tmp_path / "03_x.ipynb", "print(dataset)")
    target = tmp_path / "out" / "03_x.ipynb"
    execution.run(source, target, {"dataset": "other"}, report=lambda _: None)
    first = target.read_bytes()
    execution.run(source, target, {"dataset": "other"}, report=lambda _: None)
    assert target.read_bytes() == first
    executed = nbformat.reads(first.decode(), as_version=4)
    assert executed.cells[-1].outputs[0].text == "other\n"
    assert "papermill" not in first.decode()
    assert str(tmp_path) not in first.decode()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "1 / 0",
            r'^03_x\.ipynb, cell 3 of 3, below "Title": expected it to run, found ZeroDivisionError '
            r"in line 1\.\n",
        ),
        (
            "from loyaltylab.errors import LabError\nraise LabError('orders: expected rows.')",
            r'^orders: expected rows\.\n03_x\.ipynb stopped there: cell 3 of 3, below "Title"\.\n',
        ),
    ],
)
def test_a_failing_cell_is_named_and_nothing_is_left(tmp_path, source, words):
    target = tmp_path / "out" / "03_x.ipynb"
    with pytest.raises(LabError, match=words):
        execution.run(notebook(tmp_path / "03_x.ipynb", source), target, {}, report=print)
    assert list(target.parent.iterdir()) == []


FAILING = """\
customer = "anna@example.org"
def look(name):
    raise ValueError(f"cannot read {name}")

look(customer)"""


@pytest.fixture
def failing(tmp_path):
    """A run that failed below a heading that was shown, with a parameter of its own."""
    shown = "from IPython.display import display\n"
    shown += "display({'text/markdown': '## Who left\\n\\ntext', 'text/plain': 'text'}, raw=True)"
    source = notebook(tmp_path / "03_x.ipynb", shown, FAILING, "print('never')")
    with pytest.raises(LabError) as error:
        execution.run(
            source, tmp_path / "out.ipynb", {"dataset": "other"}, failed=tmp_path / ".failed"
        )
    return source, tmp_path / ".failed" / "03_x.ipynb", str(error.value)


def test_a_failure_names_cell_heading_and_line_but_no_value(failing):
    _, kept, words = failing
    first, where, how = words.splitlines()
    assert first == (
        '03_x.ipynb, cell 4 of 5, below "Who left": expected it to run, found ValueError in line 3.'
    )
    assert str(kept) in where and "may quote customers' data" in where
    assert "make lab NOTEBOOK=03_x, then cell 4" in how
    assert "anna" not in words and "other" not in words


def test_a_failed_run_is_kept_until_the_notebook_runs_again(failing, tmp_path):
    source, kept, _ = failing
    cells = nbformat.read(kept, as_version=4).cells
    assert cells[-2].outputs[0].evalue == "cannot read anna@example.org"
    assert cells[-1].outputs == []
    assert "papermill-error" not in kept.read_text()
    assert not (tmp_path / "out.ipynb").exists()
    mended = nbformat.read(source, as_version=4)
    mended.cells[3]["source"] = "print()"
    nbformat.write(mended, source)
    execution.run(source, tmp_path / "out.ipynb", {}, failed=kept.parent, report=lambda _: None)
    assert not kept.exists()


def test_a_failure_is_told_where_its_run_cannot_be_kept(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match="found ZeroDivisionError") as error:
        execution.run(
            notebook(tmp_path / "03_x.ipynb", "1 / 0"),
            tmp_path / "out.ipynb",
            {},
            failed=tmp_path / "file" / ".failed",
        )
    assert ".failed" not in str(error.value)


def test_a_cell_that_is_no_python_is_told_by_its_line(tmp_path):
    with pytest.raises(LabError, match=r"found SyntaxError in line 2\."):
        execution.run(notebook(tmp_path / "03_x.ipynb", "a = 1\nb ="), tmp_path / "out.ipynb", {})


def test_a_long_heading_is_told_by_its_beginning(tmp_path):
    source = notebook(tmp_path / "03_x.ipynb", "1 / 0")
    written = nbformat.read(source, as_version=4)
    written.cells[0].source = f"# {'long ' * 40}"
    nbformat.write(written, source)
    with pytest.raises(LabError) as error:
        execution.run(source, tmp_path / "out.ipynb", {})
    heading = str(error.value).split('"')[1]
    assert len(heading) == 80 and heading.endswith("long…")


def test_what_each_cell_took_is_kept_for_the_next_run_alone(tmp_path):
    source = notebook(tmp_path / "03_x.ipynb", "import time; time.sleep(0.2)")
    kept, target = tmp_path / "seconds" / "03_x.json", tmp_path / "out.ipynb"
    for _ in range(2):
        execution.run(source, target, {"dataset": "a"}, seconds=kept, report=lambda _: None)
    took = json.loads(kept.read_text())
    assert list(took) == ["cell-1", "cell-2"]  # no prose, no cell of papermill's
    assert took["cell-2"] >= 0.2
    (tmp_path / "file").touch()
    execution.run(source, target, {}, seconds=tmp_path / "file" / "a", report=lambda _: None)


def test_a_question_that_the_data_cannot_answer_ends_its_page_and_passes(tmp_path):
    cells = [
        "print('before')",
        "from loyaltylab.errors import UnanswerableError\n"
        "raise UnanswerableError('Four customers are too few.')",
        "print('after')",
    ]
    source = notebook(tmp_path / "04_x.ipynb", *cells)
    target, results = tmp_path / "out" / "04_x.ipynb", tmp_path / "results"
    results.mkdir()
    (results / "04_x.json").write_text('[{"name": "of an earlier run"}]')
    (results / "04_x.tables.json").write_text('{"of an earlier run": []}')
    execution.run(source, target, {}, results=results, report=lambda _: None)
    assert not (results / "04_x.tables.json").exists()
    cells = nbformat.read(target, as_version=4).cells
    assert cells[-1].outputs[0].data["text/markdown"] == (
        "**This page ends here.** Four customers are too few."
    )
    assert cells[-2].outputs[0].text == "before\n"
    assert "after" not in target.read_text()
    assert "Traceback" not in target.read_text()
    assert "papermill" not in target.read_text()
    assert json.loads((results / "04_x.json").read_text()) == []
    with pytest.raises(LabError, match="too few"):
        execution.run(source, target, {})


def test_what_a_page_had_saved_before_it_ends_stays(tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    (results / "03_x.json").write_text('[{"name": "of an earlier run"}]')
    cells = [
        f"from pathlib import Path\nPath({str(results / '03_x.json')!r}).write_text('[1]')",
        "from loyaltylab.errors import UnanswerableError\nraise UnanswerableError('Too few.')",
    ]
    source = notebook(tmp_path / "03_x.ipynb", *cells)
    execution.run(source, tmp_path / "out.ipynb", {}, results=results, report=lambda _: None)
    assert json.loads((results / "03_x.json").read_text()) == [1]


def test_a_failing_run_keeps_the_last_good_result(tmp_path):
    target = tmp_path / "03_x.ipynb.done"
    target.write_text(json.dumps("good"))
    with pytest.raises(LabError):
        execution.run(notebook(tmp_path / "03_x.ipynb", "1 / 0"), target, {})
    assert json.loads(target.read_text()) == "good"


def test_cells_with_a_tag_can_be_left_out(tmp_path):
    path = notebook(tmp_path / "03_x.ipynb", "print('kept')", "raise ValueError")
    written = nbformat.read(path, as_version=4)
    written.cells[-1].metadata["tags"] = ["truth", "other"]
    nbformat.write(written, path)
    target = tmp_path / "executed" / "03_x.ipynb"
    execution.run(path, target, {}, without=("truth",), report=lambda _: None)
    done = nbformat.read(target, as_version=4)
    assert [cell.source for cell in done.cells][-1] == "print('kept')"
    assert done.cells[-1].outputs[0].text == "kept\n"
    with pytest.raises(LabError, match="ValueError"):
        execution.run(path, target, {}, report=lambda _: None)


def test_a_notebook_that_no_longer_takes_what_dataset_yml_sets(tmp_path, monkeypatch, capsys):
    """It changed after the dataset was looked over."""
    shop = tmp_path / "data" / "shop"
    shop.mkdir(parents=True)
    (shop / "dataset.yml").write_text(
        "title: Shop\ncurrency: EUR\nparameters: {05_x: {weeks: 3}}\n"
        "tables: {orders: [{path: orders.csv, format: csv}]}\n",
        encoding="utf-8",
    )
    (tmp_path / "notebooks").mkdir()
    cell = new_code_cell("days = 3  # 1..9 days: how long", metadata={"tags": ["parameters"]})
    path = tmp_path / "notebooks" / "05_x.ipynb"
    nbformat.write(new_notebook(cells=[cell]), path)
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(path), "data/shop", "out.ipynb"]) == 1
    assert 'unknown parameter "weeks"; expected one of days' in capsys.readouterr().err
    assert not (tmp_path / "out.ipynb").exists()
