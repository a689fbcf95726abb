"""`python -m loyaltylab check`: all that is wrong, in words, before anything runs."""

import os
import subprocess
import sys
from pathlib import Path

import openpyxl
import pytest

from loyaltylab import __main__ as command
from loyaltylab import inspection
from loyaltylab.schemas import column_types

ROOT = Path(__file__).parents[1]
# A person of the raw files: nothing of theirs may stand in a message.
PERSON = ("Anna", "Nowak", "anna@example.com", "4711", "2024-01-05", "05.01.2024", "12.5", "12,5")
RIGHT = "order_id,record_id,ordered_at,amount\n4711,Anna Nowak,2024-01-05,12.5\n"
YML = "title: Shop\ncurrency: EUR\ntables:\n  orders: {path: raw/sales.csv, source: shop%s}\n%s\n"


class Project:
    """A lab with one dataset, data/shop, right until a test spoils it."""

    def __init__(self, root):
        self.root, self.folder = root, root / "data" / "shop"
        (self.folder / "raw").mkdir(parents=True)
        (root / "notebooks").symlink_to(ROOT / "notebooks")
        self.raw("sales.csv", RIGHT)
        self.yml()

    def raw(self, name, content):
        path = self.folder / "raw" / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def yml(self, file="", more=""):
        (self.folder / "dataset.yml").write_text(YML % (f", {file}" if file else "", more))

    def files(self):
        return {p: p.read_bytes() if p.is_file() else b"" for p in self.root.rglob("*")}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture
def check(project, capsys):
    """The lines that `check data/shop` ends with, as the command itself; [] if all is right."""

    def run(folder="data/shop"):
        before = project.files()
        code = command.main(["check", folder])
        said = capsys.readouterr()
        assert project.files() == before  # nothing written
        assert code == (1 if said.err else 0)
        assert said.out == ("" if said.err else f"{folder}: nothing wrong.\n")
        assert not any(word in said.err for word in ("Traceback", *PERSON))
        return said.err.splitlines()

    return run


def test_a_right_dataset(check):
    assert check() == []


def test_a_run_that_failed_on_earlier_data_is_not_kept(project):
    """It may quote who has been erased since. A check by hand stamps nothing and removes nothing."""
    kept = project.folder / ".failed" / "03_retention.ipynb"
    kept.parent.mkdir()
    kept.write_text("anna@example.org")
    assert command.main(["check", "data/shop"]) == 0
    assert kept.exists()
    assert command.main(["check", "data/shop", "--stamp", "data/shop/.checked"]) == 0
    assert not kept.parent.exists()


def test_wrong_column(project, check):
    project.raw("sales.csv", "date,cust,value\n2024-01-05,4711,12.5\n")
    project.yml("columns: {ordered_at: date, record_id: cust}")
    assert check() == [
        'orders: column "amount" not found in raw/sales.csv; it has date, cust, value. '
        "Map it in dataset.yml under columns."
    ]


def test_missing_dataset(check):
    (problem,) = check("data/shopp")
    assert problem == (
        "dataset shopp not found: expected data/shopp/dataset.yml; there is shop. "
        "Choose one by DATASET=…, or write that file."
    )


def test_missing_file(project, check):
    (project.folder / "raw" / "sales.csv").unlink()
    assert check() == [
        "orders: raw/sales.csv does not exist. Put it there, or correct path in dataset.yml."
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "orders: raw/sales.csv is empty: expected a table with rows. Export it again."),
        (
            "\n \n",
            "orders: raw/sales.csv is empty: expected a table with rows. Export it again.",
        ),
        (
            RIGHT.replace("Anna", "Änna").encode("cp1252"),
            "orders: expected rows in raw/sales.csv, found none of the first 1 that can be read (not "
            "text). Correct encoding, delimiter, quote or names in dataset.yml.",
        ),
        (
            "order_id,record_id,ordered_at,amount\n",
            "orders: expected rows, found a header alone. Export the file again.",
        ),
        (
            RIGHT.replace("2024-01-05", "05.01.2024"),
            'orders: ordered_at is not a date anywhere in column "ordered_at" of raw/sales.csv; its '
            "values look like 99.99.9999, expected ISO 8601 dates. Set date_format, or map another "
            "column, in dataset.yml.",
        ),
        (
            RIGHT.replace("12.5", '"12,5 €"'),
            'orders: amount is not a number anywhere in column "amount" of raw/sales.csv; its '
            "values look like 99,9 €. Set decimal or sign, or map another column, in dataset.yml.",
        ),
        (
            RIGHT.replace("12.5", "Änne"),
            'orders: amount is not a number anywhere in column "amount" of raw/sales.csv; its '
            "values look like xxxx. Set decimal or sign, or map another column, in dataset.yml.",
        ),
        (
            RIGHT.split("\n")[1],
            "orders: expected a header in raw/sales.csv, found what look like values in the first "
            "row. Give names in dataset.yml.",
        ),
        (
            "Anna,Anna,2024-01-05,anna@example.com\n" * 2,
            "orders: raw/sales.csv: expected a header, found what look like values in the first "
            "row. Give names in dataset.yml.",
        ),
        (b"PK\x03\x04\xff\xfe\x00\n\x00", None),
        ("\ufeff".encode("utf-16") + RIGHT.encode("utf-16"), None),
    ],
)
def test_contents(project, check, content, problem):
    project.raw("sales.csv", content)
    problems = check()
    assert problems
    assert all(line.startswith("orders: ") and line.endswith(".") for line in problems)
    assert problem is None or problems == [problem]


def test_wrong_delimiter(project, check):
    project.raw("sales.csv", RIGHT.replace(",", ";"))
    assert check() == [
        "orders: expected several columns in raw/sales.csv, found one: "
        "order_id;record_id;ordered_at;amount. "
        "Set delimiter in dataset.yml to the sign between them."
    ]


def test_a_folder_instead_of_a_file(project, check):
    (project.folder / "raw" / "sales.csv").unlink()
    (project.folder / "raw" / "sales.csv").mkdir()
    assert check() == [
        "orders: raw/sales.csv: expected a file, found a folder. Name the file in it."
    ]


def test_dates_that_do_not_fit_date_format(project, check):
    project.yml("date_format: '%d.%m.%Y'")
    (problem,) = check()
    assert problem.endswith(
        "its values look like 9999-99-99, expected date_format %d.%m.%Y. Set date_format, or map "
        "another column, in dataset.yml."
    )


def test_one_good_value_is_left_to_validation(project, check):
    project.raw("sales.csv", RIGHT + "x,Anna,soon,much\n" * 5 + "1,2\n")
    assert check() == []


@pytest.mark.parametrize(
    ("name", "said"), [("sales.xlsx", "an Excel workbook"), ("sales.parquet", "a Parquet file")]
)
def test_not_what_the_ending_says(project, check, name, said):
    project.raw(name, RIGHT)
    text = (project.folder / "dataset.yml").read_text()
    (project.folder / "dataset.yml").write_text(text.replace("sales.csv", name))
    (problem,) = check()
    assert problem.startswith(f"orders: raw/{name}: expected {said}; it cannot be read as one.")


def test_wrong_sheet(project, check):
    book = openpyxl.Workbook()
    book.active.title = "May"
    book.save(project.folder / "raw" / "sales.xlsx")
    (project.folder / "dataset.yml").write_text(
        "title: A\ncurrency: EUR\ntables: {orders: {path: raw/sales.xlsx, sheet: Mai}}\n"
    )
    assert check() == [
        'orders: raw/sales.xlsx: sheet "Mai" not found; it has May. Correct sheet in dataset.yml.'
    ]


def test_unknown_key(project, check):
    project.yml("sorce: a")
    (problem,) = check()
    assert problem.startswith('dataset.yml under tables.orders: unknown key "sorce"; expected one')
    assert problem.endswith('Did you mean "source"?')


def test_unknown_canonical_column(project, check):
    project.yml("columns: {amout: amount}")
    assert check() == [
        'orders: unknown column "amout" in dataset.yml under columns; expected one of '
        f'{", ".join(column_types("orders"))}. Did you mean "amount"?'
    ]


@pytest.mark.parametrize(
    ("parameters", "start", "end"),
    [
        (
            "03_retention: {peroid: week}",
            'dataset.yml under parameters.03_retention: unknown parameter "peroid"; expected one of',
            'Did you mean "period"?',
        ),
        (
            "03_retention: {period: decade}",
            "dataset.yml under parameters.03_retention: period is 'decade'; expected one of",
            ".",
        ),
        (
            "03_retention: {period: 3}",
            "dataset.yml under parameters.03_retention: period is 3; expected a text",
            ".",
        ),
        (
            "04_lifetime_value: {holdout_weeks: -1}",
            "dataset.yml under parameters.04_lifetime_value: holdout_weeks is -1; expected",
            ".",
        ),
        (
            "04_lifetime_value: {holdout_weeks: long}",
            "dataset.yml under parameters.04_lifetime_value: holdout_weeks is 'long'; expected",
            ".",
        ),
        (
            "03_retentoin: {period: week}",
            'dataset.yml under parameters: no notebook "03_retentoin"; expected one of 00_summary',
            'Did you mean "03_retention"?',
        ),
    ],
)
def test_parameters(project, check, parameters, start, end):
    project.yml(more=f"parameters: {{{parameters}}}")
    (problem,) = check()
    assert problem.startswith(start)
    assert problem.endswith(end)


def test_all_at_once(project, check):
    project.raw("sales.csv", RIGHT.replace("2024-01-05", "05.01.2024").replace("12.5", "viel"))
    project.raw("visits.csv", "a,b\n1,2\n")
    project.yml(
        "columns: {status: state, amout: x}",
        "  visits: [{path: raw/visits.csv, source: web}, raw/nowhere.csv]\n"
        "  spend: raw/*.parquet\n"
        "parameters: {03_retention: {peroid: week}, 09_x: {}}",
    )
    problems = check()
    said = ["peroid", "09_x", "state", "amout", "visit_id", "device_id", "started_at", "nowhere"]
    assert all(any(word in problem for problem in problems) for word in [*said, "*.parquet"])
    assert len(problems) == len(said) + 1
    project.yml()
    assert [problem.split(" anywhere")[0] for problem in check()] == [
        "orders: ordered_at is not a date",
        "orders: amount is not a number",
    ]


def test_spark_that_is_not_there(project, check, monkeypatch):
    monkeypatch.setattr(inspection.spark, "lacks", lambda _: "engine: spark needs Java.")
    project.yml(more="engine: {spark: 'local[2]'}")
    assert check() == ["engine: spark needs Java."]


def as_command(project, folder="data/shop", **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [sys.executable, "-m", "loyaltylab", "check", folder],
        cwd=project.root,
        env=environment,
        capture_output=True,
        text=True,
        **options,
    )


def test_as_a_command(project):
    """What the tests above call in this process, once as people call it."""
    right = as_command(project)
    assert (right.returncode, right.stdout, right.stderr) == (0, "data/shop: nothing wrong.\n", "")
    project.raw("sales.csv", "a,b\n1,2\n")
    before = project.files()
    wrong = as_command(project)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith(
        'orders: column "record_id" not found in raw/sales.csv; it has a'
    )
    assert len(wrong.stderr.splitlines()) == 3
    assert project.files() == before


def test_a_file_that_must_not_be_read(project, check, monkeypatch):
    path = project.folder / "raw" / "sales.csv"
    if os.geteuid() == 0:  # who may read everything
        monkeypatch.setattr(os, "access", lambda *_: False)
    else:
        monkeypatch.setattr(Project, "files", lambda _: {})
        path.chmod(0)
    assert check() == [
        "orders: raw/sales.csv: expected a file to read, found one without the permission. Allow it."
    ]


def test_a_dataset_that_is_not_simulated_yet(project, check):
    project.yml(more="simulation: {customers: 100}")
    (project.folder / "raw" / "sales.csv").unlink()
    assert check() == [
        "shop: expected the files of its simulation, found none. "
        "Run python -m loyaltylab simulate data/shop."
    ]
