"""A bounded part of the campaign of `make fuzz`, and what it found: each fault has its test."""

import json
import os
import warnings
from dataclasses import replace
from decimal import Decimal

import duckdb
import ibis
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

from loyaltylab import (
    contract,
    engine,
    execution,
    fetching,
    figure_data,
    history,
    retention,
    segments,
    sources,
    workbooks,
)
from loyaltylab.contract import Engine, File
from loyaltylab.dataset import load
from loyaltylab.errors import LabError, UnanswerableError
from loyaltylab.lifetime_value.seasons import find_season
from loyaltylab.numbers import Number
from loyaltylab.summary import figures
from loyaltylab.timelines import timelines
from loyaltylab.value.earned import mean_earned
from tests import attacks, attacks_contract, attacks_data, attacks_reports, extremes

# How many of each kind, by how long one takes: half a minute together.
BOUNDED = {
    "dataset.yml: values and keys": 120,
    "dataset.yml: as it is written": 100,
    "paths, links and devices": 40,
    "parameters of notebooks": 60,
    "earlier reports": 120,
    "files of text": 60,
    "Parquet files and workbooks": 30,
    "whole datasets": 8,
    "files of databases": 8,
    "exports for make new": 3,
}
ATTACKS = {
    attack.name: attack
    for module in (attacks_contract, attacks_reports, attacks_data)
    for attack in module.ATTACKS
}


@pytest.mark.parametrize("name", ATTACKS)
def test_hostile_input_ends_in_rows_accounted_for_or_in_words(name):
    attack = ATTACKS[name]

    @settings(
        max_examples=BOUNDED[name],
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(attack.examples)
    def attempts(example):
        attacks.attempt(attack, example)

    attempts()


def test_what_may_not_happen_is_noticed(tmp_path):
    """Else a campaign of any size would find nothing."""

    def of(run):
        attacks.attempt(attacks.Attack("a", None, run), None)

    def crashes(_, folder):
        raise ValueError

    def reads(_, folder):
        (folder.parent / "other" / "raw" / "orders.csv").read_text()

    def writes(_, folder):
        (folder.parent / "other" / "raw" / "orders.csv").write_text("")

    def adds(_, folder):
        (folder.parent / "more").mkdir()
        (folder.parent / "more" / "a").touch()

    def tells(_, folder):
        raise LabError(f"found {attacks.SECRET}")

    def mumbles(_, folder):
        raise LabError("a\n\nb")

    def swells(_, folder):
        raise LabError("a" * 10_000)

    def halves(_, folder):
        raise LabError("\ud800")

    for run in (crashes, reads, writes, adds, tells, mumbles, swells, halves):
        with pytest.raises(attacks.BrokenError):
            of(run)

    def refuses(_, folder):
        raise LabError("expected a, found b.")

    of(refuses)


# ---- dataset.yml


def refused(tmp_path, text):
    path = tmp_path / "dataset.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LabError) as error:
        contract.load(path)
    return str(error.value)


HEAD = "title: A\ncurrency: EUR\ntables: {orders: raw/a.csv}\n"


def bomb(form):
    lines = ["a0: &a0 {b: 1, c: 2}"]
    lines += [f"a{i}: &a{i} " + form.format(*[f"*a{i - 1}"] * 10) for i in range(1, 9)]
    return "\n".join(lines) + "\n" + HEAD


@pytest.mark.parametrize(
    "form", ["[{}, {}, {}, {}, {}, {}, {}, {}, {}, {}]", "{{<<: [{}, {}, {}, {}]}}"]
)
def test_aliases_of_aliases(tmp_path, form):
    """Of eight lines the last stands for a hundred million values."""
    if "<<" in form:
        form = form.replace("{}, {}, {}, {}", ", ".join(["{}"] * 10))
    assert "aliases that stand for more than 100,000 values" in refused(tmp_path, bomb(form))


def test_an_alias_is_no_bomb(tmp_path):
    path = tmp_path / "dataset.yml"
    path.write_text(
        HEAD.replace("raw/a.csv", "&a {path: raw/a.csv}").replace("}\n", ", customers: *a}\n", 1)
    )
    dataset = contract.load(path)
    assert dataset.tables["customers"] == dataset.tables["orders"]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("&a [*a]", "an alias of what it stands in"),
        ("&a {b: {c: *a}}", "an alias of what it stands in"),
        ("[" * 60 + "]" * 60, "more than 50 others"),
        ("[" * 5000 + "]" * 5000, "at most 50 others"),
        ("9" * 5000, "cannot be read as what it is marked as"),
        ("0x" + "f" * 5000, "a whole number of more than 18 digits"),
        (str(2**63), "a whole number of more than 18 digits"),
        ("!!int abc", "cannot be read as what it is marked as"),
        ("!!map [a]", "expected a mapping node"),
        ("!!bool abc", "cannot be read as what it is marked as"),
        ("!!timestamp 2024-13-45", "cannot be read as what it is marked as"),
        ('"\\ud800"', "half a letter"),
    ],
)  # fmt: skip
def test_values_that_yaml_cannot_hold(tmp_path, value, found):
    assert found in refused(tmp_path, f"{HEAD}description: {value}\n")


def test_a_dataset_yml_that_is_too_big(tmp_path):
    assert "expected at most 1,000,000 bytes" in refused(tmp_path, HEAD + "#" * 1_000_000)


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "2100-01-01"])
def test_a_last_day_that_no_data_have(tmp_path, day):
    """After the last of all days there is none."""
    assert "expected a day from 1950 to 2099" in refused(tmp_path, f"{HEAD}observed_until: {day}\n")


@pytest.mark.parametrize("under", ["parameters", "segments"])
def test_keys_that_are_no_texts(tmp_path, under):
    assert 'key "5" is no text. Put it in quotes.' in refused(
        tmp_path, f"{HEAD}{under}: {{5: {{}}}}\n"
    )


def test_a_parameter_below_its_only_bound():
    taken = execution.Parameter("seed", 1, "of draws", low=0)
    assert taken.problem(-1) == "expected 0 or more"
    assert execution.Parameter("a", 1, "", high=5).problem(6) == "expected 5 or less"


# ---- Paths


@pytest.fixture
def folder(tmp_path):
    return attacks.project(tmp_path.resolve())


OUT = "found a link that leads out of it. Copy the file there"


def find(folder, path):
    with pytest.raises(LabError) as error:
        sources.find(folder, File.model_validate({"path": path, "format": "csv", "source": "s"}))
    return str(error.value)


def test_links_that_lead_out_of_the_folder(folder):
    (folder / "raw" / "a.csv").symlink_to(folder.parent.parent / "outside.csv")
    assert OUT in find(folder, "raw/a.csv")
    (folder / "raw" / "b").symlink_to(folder.parent / "other" / "raw")
    assert OUT in find(folder, "raw/b/orders.csv")
    assert OUT in find(folder, "raw/*/*.csv")


def test_links_within_the_folder_are_followed(folder):
    (folder / "raw" / "a.csv").write_text("x")
    (folder / "raw" / "b.csv").symlink_to("a.csv")
    (one,) = sources.find(folder, File.model_validate("raw/b.csv"))
    assert one.path.read_text() == "x"


def test_the_dataset_may_itself_be_a_link(folder, tmp_path):
    (folder / "raw" / "a.csv").write_text("x")
    (folder.parent / "linked").symlink_to(folder)
    assert sources.find(folder.parent / "linked", File.model_validate("raw/a.csv"))


def test_a_dataset_yml_that_is_a_link_elsewhere(folder):
    (folder.parent / "other" / "dataset.yml").write_text(HEAD)
    (folder / "dataset.yml").symlink_to("../other/dataset.yml")
    with pytest.raises(LabError, match="found a link that leads out of it"):
        load(folder)


def test_a_dataset_yml_that_links_to_a_name_too_long(folder):
    (folder / "dataset.yml").symlink_to("x" * 300)
    with pytest.raises(LabError, match="dataset x not found"):
        load(folder)


def test_a_package_is_no_folder_where_one_happens_to_be(folder, monkeypatch):
    """Python takes any folder for a package that it is started beside."""
    monkeypatch.chdir(folder.parent.parent)
    monkeypatch.syspath_prepend("")
    assert "is not installed" in find(folder, "package:data/other/raw/orders.csv")


@pytest.mark.parametrize("what", ["pipe", "link"])
def test_databases_that_are_no_files_of_the_folder(folder, what):
    place = folder / "raw" / "a.db"
    if what == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(folder.parent / "other" / "raw" / "orders.csv")
    orders = {"path": "raw/a.db#orders", "source": "s"}
    given = {"title": "A", "currency": "EUR", "tables": {"orders": orders}}
    with pytest.raises(LabError, match="a pipe" if what == "pipe" else "leads out of it"):
        fetching.fetch(contract.Dataset.model_validate(given), folder)


# ---- Data


@pytest.mark.parametrize("kind", [duckdb.Error, duckdb.InternalException, duckdb.IOException])
def test_a_damaged_file_whatever_the_engine_calls_it(kind):
    with pytest.raises(LabError, match="found it damaged"), sources.whole(["a"]):
        raise kind("Out of buffer")


def test_an_error_of_a_query_is_no_damaged_file():
    with pytest.raises(duckdb.ConversionException), sources.whole(["a"]):
        raise duckdb.ConversionException("of ours")


def test_a_parquet_file_whose_pages_make_no_sense(folder):
    pq.write_table(
        pa.table({"order_id": ["a"] * 9, "amount": [1.5] * 9}), folder / "raw" / "a.parquet"
    )
    data = bytearray((folder / "raw" / "a.parquet").read_bytes())
    data[4:30] = bytes(26)
    (folder / "raw" / "a.parquet").write_bytes(data)
    (source,) = sources.find(folder, File.model_validate("raw/a.parquet"))
    con = engine.connect(Engine(), spill=folder)
    with pytest.raises(LabError, match="found it damaged"), sources.whole([source.label]):
        sources.read(con, source).to_pyarrow()


def test_a_workbook_that_lost_its_first_bytes(folder):
    path = folder / "raw" / "a.xlsx"
    openpyxl.Workbook().save(path)
    path.write_bytes(path.read_bytes()[7:])
    (source,) = sources.find(folder, File.model_validate("raw/a.xlsx"))
    with pytest.raises(LabError, match="expected an Excel workbook; it cannot be read as one"):
        list(workbooks.rows(source))


# ---- Earlier reports

RECORD = {
    "name": "a", "value": 1.5, "low": 1, "high": 2, "level": 0.95, "unit": "share", "n": 3,
    "as_of": "2026-09-30", "notebook": "03_retention", "definition": "a share",
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([RECORD]).replace("1.5", "1e999"),
        json.dumps([RECORD]).replace("1.5", "9" * 30),
        json.dumps([RECORD | {"value": "a text"}]),
        json.dumps([RECORD | {"as_of": 5}]),
        json.dumps([RECORD | {"definition": "\ud800"}]),
    ],
)
def test_numbers_that_no_report_wrote(tmp_path, text):
    path = tmp_path / "numbers.json"
    path.write_text(json.dumps([RECORD]))
    assert history.read_numbers(path)["a"].value == 1.5
    path.write_text(text)
    with pytest.raises(LabError, match="is left out of comparisons"):
        history.read_numbers(path)


def test_an_interval_of_what_is_not_known():
    told = Number(**RECORD | {"value": None})
    assert figures.interval(told) == "100.0% to 200.0%"
    assert figures.interval(replace(told, unit="days")) == "1 to 2"


def test_numbers_that_would_be_waited_for(tmp_path):
    os.mkfifo(tmp_path / "numbers.json")
    with pytest.raises(LabError, match="expected a file, found: something else"):
        history.read_numbers(tmp_path / "numbers.json")


# ---- Statistics


def test_two_groups_of_which_one_has_none_and_one_has_all():
    """It looks like a diagonal, which is no data."""
    groups = {"group": ["a", "b"], "share": [0.0, 1.0], "low": [0.0, 0.3], "high": [0.7, 1.0]}
    ax = segments.plot_shares(pd.DataFrame(groups), what="share")
    data = figure_data.read(ax.get_figure(), "")
    assert data.rows == [["a", "0.0%", "0.0% to 70.0%"], ["b", "100.0%", "30.0% to 100.0%"]]


def test_a_curve_that_is_all_after_one_day():
    """Of customers who buy daily; it looks like a diagonal, too."""
    waits = pd.DataFrame({"rank": 1, "days": [1], "returned": [9], "waiting": [0]})
    data = figure_data.read(retention.plot_waits(waits).get_figure(), "")
    assert [row[:2] for row in data.rows] == [["0", "0.0%"], ["1", "100.0%"]]


@pytest.mark.parametrize("company", ["customers_all_alike", "every_day", "long_asleep"])
def test_no_season_in_orders_of_a_few_days_or_of_all(company):
    rows = extremes.COMPANIES[company]()
    orders = pd.DataFrame(rows, columns=["person_id", "day", "amount"])
    table = ibis.memtable(orders.assign(orders=1))
    cast = {"day": table["day"].date(), "amount": table["amount"].cast("decimal(18, 4)")}
    with warnings.catch_warnings():
        # Of a model without a best fit, or with a perfect one.
        for kind in (RuntimeWarning, PerfectSeparationWarning):
            warnings.simplefilter("error", kind)
        assert find_season(timelines(table.mutate(**cast)), until=extremes.LAST) is None


def test_money_beyond_what_money_holds_is_refused():
    """Two orders of the largest amount that there can be."""
    most = Decimal(10) ** 14 - Decimal("0.0001")
    wide = pa.table({"gain": pa.array([2 * most, Decimal(5)], pa.decimal128(38, 4))})
    with pytest.raises(UnanswerableError, match="add up to 100,000,000,000,000 or more"):
        mean_earned(ibis.memtable(wide), "gain")
    assert mean_earned(ibis.memtable(wide.slice(1)), "gain").value == 5
