"""`make new`: from exports to a dataset, with what was recognised, and what is unsure told."""

import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import openpyxl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from loyaltylab import __main__ as command
from loyaltylab import contract, schemas, validation
from loyaltylab.onboarding import layout, names, writing
from loyaltylab.onboarding.guesses import Choice, Guessed, Setting
from tests.test_make import copy_of_project, make

ROOT = Path(__file__).parents[1]


def table(header, row, rows=40):
    """A file of text; row makes the line of a number."""
    return header + "\n" + "".join(row(i) + "\n" for i in range(rows))


def day(i, pattern):
    return (dt.date(2024, 1, 1) + dt.timedelta(days=5 * i)).strftime(pattern)


# Twenty customers whose names may stand in no message.
GERMAN = table(
    "Bestellnummer;Kundennummer;Bestelldatum;Betrag",
    lambda i: f"B{i};Nowak{i % 20};{day(i, '%d.%m.%Y')};{10 + i},50",
)


class Project:
    def __init__(self, root, capsys):
        self.root, self.capsys = root, capsys
        (root / "data").mkdir()
        (root / "notebooks").symlink_to(ROOT / "notebooks")

    def put(self, content, name="orders.csv"):
        path = self.root / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    def new(self, *files, folder="data/shop", column=()):
        """What is printed, and what is said to be wrong."""
        told = [part for text in column for part in ("--column", text)]
        code = command.main(["new", folder, *files, *told])
        out, err = self.capsys.readouterr()
        assert code == (1 if err else 0)
        assert "Nowak" not in out + err
        return out, err

    def made(self, content, **options):
        """The dataset made of one file: its entry of orders, and dataset.yml as text."""
        out, err = self.new(self.put(content), **options)
        assert err == "", err
        assert "Next: make report DATASET=shop" in out
        text = (self.root / "data" / "shop" / "dataset.yml").read_text("utf-8")
        assert "Nowak" not in text
        (file,) = contract.load(self.root / "data" / "shop" / "dataset.yml").tables["orders"]
        return file, text

    def refused(self, *files, **options):
        """The one error, with nothing left behind."""
        before = sorted(self.root.rglob("*"))
        out, err = self.new(*files, **options)
        assert out == ""
        assert len(err.splitlines()) == 1, err
        assert sorted(self.root.rglob("*")) == before
        return err


@pytest.fixture
def project(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, capsys)


def doubted(text):
    """Keys of dataset.yml that are marked as unsure."""
    return re.findall(r"^ *(\w+): .*# unsure: ", text, re.M)


def test_german_headers_without_an_edit(project):
    file, text = project.made(GERMAN.encode("cp1252"))
    assert file.columns == {
        "order_id": "Bestellnummer",
        "record_id": "Kundennummer",
        "ordered_at": "Bestelldatum",
        "amount": "Betrag",
    }
    assert (file.delimiter, file.decimal, file.date_format) == (";", ",", "%d.%m.%Y")
    assert doubted(text) == ["currency"]
    copied = project.root / "data" / "shop" / "raw" / "orders.csv"
    assert copied.read_bytes() == (project.root / "orders.csv").read_bytes()


def test_the_values_are_read_as_they_are_meant(project, con):
    project.made(GERMAN)
    folder = project.root / "data" / "shop"
    checked = validation.check(con, contract.load(folder / "dataset.yml"), folder, "orders")
    rows = checked.accepted.order_by("ordered_at").to_pyarrow().to_pylist()
    assert len(rows) == 40
    assert [float(r["amount"]) for r in rows] == [10.5 + i for i in range(40)]
    assert rows[1]["ordered_at"] == dt.datetime(2024, 1, 6)


@pytest.mark.parametrize(
    "header",
    [
        "order id,customer_id,Order Date,Net amount",
        "Bestell-Nr.,Kunden-Nr.,Bestelldatum,Umsatz",
        "ordrenummer,kundenummer,ordredato,beløp",
        "ORDRENR,KUNDENR,DATO,BELOEB",
        "Ordernummer,Kundnr,Beställningsdatum,Belopp (SEK)",
        "Bestelnummer,Klantnummer,Besteldatum,Bedrag",
        "N° commande,N° client,Date de commande,Montant HT",
        "Número de pedido,Nº cliente,Fecha de pedido,Importe",
        "InvoiceNo,CustomerID,InvoiceDate,Total",
    ],
)
def test_names_in_several_languages(project, header):
    file, text = project.made(
        table(header, lambda i: f"{i},k{i % 9},{day(i, '%Y-%m-%d')},{i + 1}.5")
    )
    ours = ["order_id", "record_id", "ordered_at", "amount"]
    assert [file.columns[name] for name in ours] == header.split(",")
    assert set(doubted(text)) <= {"currency"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_encodings_and_delimiters(project, encoding, sign):
    header = sign.join(["Größe", "Kundennr", "Datum", "Betrag"])
    text = table(header, lambda i: sign.join(["ä", f"k{i % 9}", day(i, "%Y-%m-%d"), f"{i}.25"]))
    file, _ = project.made(text.encode(encoding))
    assert (file.delimiter, file.encoding) == (sign, encoding.removesuffix("-sig"))


@pytest.mark.parametrize(
    ("pattern", "expected", "unsure"),
    [
        ("%Y-%m-%d", None, False),
        ("%Y-%m-%dT%H:%M:%S", None, False),
        ("%d.%m.%Y", "%d.%m.%Y", False),
        ("%d.%m.%y", "%d.%m.%y", False),
        ("%d/%m/%Y", "%d/%m/%Y", False),
        ("%m/%d/%Y", "%m/%d/%Y", False),
        ("%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M %p", False),
        ("%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M", False),
        ("%d %b %Y", "%d %b %Y", False),
        ("%Y%m%d", "%Y%m%d", False),
    ],
)
def test_dates(project, pattern, expected, unsure):
    file, text = project.made(
        table("customer;date;amount", lambda i: f"k{i % 9};{day(i, pattern)};{i}")
    )
    assert file.date_format == expected
    assert ("date_format" in doubted(text)) == unsure


def test_days_that_could_be_months_are_unsure_and_in_order_if_one_way_has_them_so(project):
    """1 to 9 February, a day each: as months of the second day, nine months apart, would do as well."""
    content = table("customer,date,amount", lambda i: f"k{i % 9},02/{1 + i // 4:02}/2024,{i}")
    file, text = project.made(content)
    assert file.date_format in ("%m/%d/%Y", "%d/%m/%Y")
    assert '# unsure: or "%' in text
    shutil.rmtree(project.root / "data" / "shop")
    # 1 February to 9 February, then 1 March to 9 March: in order by month first alone.
    days = [f"0{month}/0{d}/2024" for month in (2, 3) for d in range(1, 10)]
    file, text = project.made(
        table("customer,date,amount", lambda i: f"k{i % 9},{days[i]},{i}", rows=18)
    )
    assert file.date_format == "%m/%d/%Y"
    assert '%m/%d/%Y"  # unsure: or "%d/%m/%Y"' in text


def test_a_day_beyond_twelve_far_down_decides(project):
    """Of a file in order of time, the first thousand rows may all lie in days up to twelve."""
    content = table(
        "customer,date,amount",
        lambda i: f"k{i % 90},{'01/12' if i < 1500 else '01/13'}/2024,{i}",
        rows=1600,
    )
    file, text = project.made(content)
    assert file.date_format == "%m/%d/%Y"
    assert "date_format" not in doubted(text)


@pytest.mark.parametrize(
    ("amounts", "decimal", "thousands", "unsure"),
    [
        (["12", "7"], ".", "", False),
        (["12.50", "7"], ".", "", False),
        (["12,50", "7"], ",", "", False),
        (["1.234,50", "7,00"], ",", ".", False),
        (["1,234.50", "7.00"], ".", ",", False),
        (["1 234,50", "7,00"], ",", " ", False),
        (["1'234.50", "7.00"], ".", "'", False),
        (["1.234", "12.345"], ",", ".", True),
        (["1,234", "7"], ".", ",", True),
        (["-12,5", "0,125"], ",", "", False),
    ],
)
def test_numbers(project, amounts, decimal, thousands, unsure):
    content = table(
        "customer;date;amount",
        lambda i: f"k{i % 9};{day(i, '%Y-%m-%d')};{amounts[i % 2]}",
    )
    file, text = project.made(content)
    assert (file.decimal, file.thousands) == (decimal, thousands)
    assert ("thousands" in doubted(text)) == unsure


def test_columns_that_only_their_values_tell_are_unsure(project):
    content = table("a|b|c|d", lambda i: f"{i}|{i % 17}|{day(i, '%d.%m.%Y')}|{i % 5 + 1}.5")
    file, text = project.made(content)
    assert file.columns == {"order_id": "a", "record_id": "b", "ordered_at": "c", "amount": "d"}
    assert {"order_id", "record_id", "ordered_at", "amount"} <= set(doubted(text))


def test_two_columns_of_one_meaning_are_unsure_with_the_other_named(project):
    content = table(
        "customer,Order date,Date,Net amount",
        lambda i: f"k{i % 9},{day(i, '%Y-%m-%d')},{day(i + 1, '%Y-%m-%d')},{i}",
    )
    file, text = project.made(content)
    assert file.columns["ordered_at"] == "Order date"
    assert 'ordered_at: Order date  # unsure: or "Date"' in text


def test_a_number_of_orders_that_repeats_is_left_out(project):
    """Else the second product of each order would be put aside as the order once more."""
    content = table(
        "invoice no,customer,date,total", lambda i: f"{i // 4},k{i % 9},{day(i, '%Y-%m-%d')},{i}"
    )
    file, text = project.made(content)
    assert "order_id" not in file.columns
    assert "# left out: invoice no: order_id, perhaps; it repeats" in text


def test_a_file_of_products_has_no_amount(project):
    content = table(
        "InvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice,CustomerID",
        lambda i: f"{i // 4},s{i},2,{day(i, '%Y-%m-%d')},2.5,{i % 7}",
    )
    said = project.refused(project.put(content))
    assert "no column found for amount" in said
    assert "A row seems to be a product of an order" in said


def test_further_files_are_known_by_their_columns(project):
    project.put(GERMAN)
    project.put(
        table(
            "Kundennr;Vorname;E-Mail;Geburtsdatum;Ort",
            lambda i: f"Nowak{i};Ada;ada{i}@example.com;{day(i, '%d.%m.%Y')};Ulm",
        ),
        "kunden.csv",
    )
    project.put(
        table(
            "Ticket;Kundennummer;Erstellt am;Betreff",
            lambda i: f"{i};Nowak{i};{day(i, '%d.%m.%Y')};Hilfe",
        ),
        "tickets.csv",
    )
    out, err = project.new("kunden.csv", "orders.csv", "tickets.csv")
    assert err == ""
    spec = contract.load(project.root / "data" / "shop" / "dataset.yml")
    paths = {name: files[0].path for name, files in spec.tables.items()}
    assert paths == {
        "orders": "raw/orders.csv",
        "customers": "raw/kunden.csv",
        "tickets": "raw/tickets.csv",
    }
    assert spec.tables["customers"][0].columns["birth_date"] == "Geburtsdatum"
    # One system: a customer's number is the same in all of them.
    assert {files[0].source for files in spec.tables.values()} == {"shop"}
    assert "example.com" not in out and "Ada" not in out


def test_a_workbook(project):
    book = openpyxl.Workbook()
    book.active.append(["Ordrenr", "Kundenr", "Dato", "Beløp"])
    for i in range(30):
        book.active.append([i, f"k{i % 7}", dt.date(2024, 1, 1 + i), 10.5 + i])
    book.save(project.root / "ordrer.xlsx")
    _, err = project.new("ordrer.xlsx")
    assert err == ""
    (file,) = contract.load(project.root / "data" / "shop" / "dataset.yml").tables["orders"]
    assert (file.format, file.columns["amount"]) == ("excel", "Beløp")


@pytest.mark.parametrize(
    ("amount", "sign", "currency", "unsure"),
    [
        ("1.012,50 €", "€", "EUR", False),
        ("€ 12,50", "€", "EUR", False),
        ("-£12.50", "£", "GBP", False),
        ("$12.50", "$", "USD", True),
        ("1 012,50 kr", "kr", "NOK", True),
        ("12.50 CHF", "CHF", "CHF", False),
    ],
)
def test_signs_of_money_are_read(project, con, amount, sign, currency, unsure):
    header = "Kundennummer;Bestelldatum;Betrag"
    file, text = project.made(table(header, lambda i: f"k{i % 9};{day(i, '%d.%m.%Y')};{amount}"))
    assert file.sign == sign
    assert yaml.safe_load(text)["currency"] == currency
    assert ("currency" in doubted(text)) == unsure
    folder = project.root / "data" / "shop"
    checked = validation.check(con, contract.load(folder / "dataset.yml"), folder, "orders")
    amounts = {float(a) for a in checked.accepted.to_pyarrow()["amount"].to_pylist()}
    assert amounts in ({12.5}, {-12.5}, {1012.5})


@pytest.mark.parametrize(
    ("header", "rest", "code", "unsure"),
    [
        ("Betrag (CHF)", "", "CHF", False),
        ("Betrag in €", "", "EUR", False),
        ("Amount GBP", "", "GBP", False),
        ("Total ($)", "", "USD", True),
        ("amount;currency", ";NOK", "NOK", False),
        ("amount", "", "EUR", True),
    ],
)
def test_currency(project, header, rest, code, unsure):
    content = table(f"customer;date;{header}", lambda i: f"k{i % 9};{day(i, '%Y-%m-%d')};{i}{rest}")
    _, text = project.made(content)
    assert yaml.safe_load(text)["currency"] == code
    assert ("currency" in doubted(text)) == unsure


def test_what_no_name_tells_can_be_said(project):
    content = table("k,date,w x,=y", lambda i: f"c{i % 9},{day(i, '%Y-%m-%d')},{i}.5,{i}.25")
    file, text = project.made(content, column=["amount==y, record_id=k"])
    assert (file.columns["amount"], file.columns["record_id"]) == ("=y", "k")
    assert not {"amount", "record_id"} & set(doubted(text))
    shutil.rmtree(project.root / "data" / "shop")
    assert '"z" is no column of orders.csv' in project.refused("orders.csv", column=["amount=z"])
    assert 'unknown column "sum"' in project.refused("orders.csv", column=["sum=k"])
    assert "expected pairs" in project.refused("orders.csv", column=["amount"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty: expected a table with rows"),
        ("\n \n", "expected several columns"),
        (bytes(range(256)) * 9, "found bytes that are none"),
        (b"PK\x03\x04" + b"\x14\x00\x06\x00" * 30, "found a zip archive or an Excel workbook"),
        (b"%PDF-1.7\n" + b"a,b\n1,2\n" * 9, "found a PDF"),
        ("<!DOCTYPE html>\n<html><p>a, b</p>\n<p>c, d</p>", "found an HTML or XML page"),
        ("order_id,record_id,ordered_at,amount\n", "found a header alone"),
        ("order_id\n1\n2\n", "expected several columns"),
        (
            "customer,date,date,amount\n1,2024-01-01,2024-01-01,2\n",
            'found columns "date" and "date"',
        ),
        (
            table("k,Nowak@example.com,2024-01-01,9", lambda i: f"k,x,{day(i, '%Y-%m-%d')},{i}"),
            "expected a header, found what look like values",
        ),
        ("customer,date,note\na,2024-01-01,x\nb,2024-01-02,y\n", "no column found for amount"),
        ("customer,amount,date\na,1,soon\nb,2,later\n", None),
    ],
)
def test_a_file_that_will_not_do(project, content, said):
    name = project.put(content)
    if said is None:  # found by its name, but not readable: there is a dataset to correct
        out, err = project.new(name)
        assert "ordered_at    UNSURE: its values cannot be read" in out
        assert "ordered_at is not a date anywhere" in err
        assert "Correct data/shop/dataset.yml" in err
        return
    error = project.refused(name)
    assert said in error and error.startswith("orders.csv")


def test_missing_columns_are_named_with_those_that_are_there(project):
    error = project.refused(project.put("Notiz;Bestelldatum\na;01.02.2024\nb;02.02.2024\n"))
    assert error.startswith(
        "orders.csv: no column found for record_id (the customer's number) and amount (what the order "
        'came to); it has "Notiz", "Bestelldatum". Say which it is by COLUMN='
    )


def test_files_that_are_none(project):
    (project.root / "folder").mkdir()
    assert "nowhere.csv does not exist" in project.refused("nowhere.csv")
    assert "found something else" in project.refused("folder")
    assert "no file given" in project.refused("")
    assert "no file given" in project.refused()
    project.put(GERMAN)
    project.put("a,b\n1,2\n", "other.csv")
    assert "expected columns of one of order_lines, customers" in project.refused(
        "orders.csv", "other.csv"
    )
    (project.root / "folder" / "orders.csv").write_text(GERMAN)
    assert "two files are called orders.csv" in project.refused("orders.csv", "folder/orders.csv")


@pytest.mark.parametrize(
    "folder",
    [
        "data/my shop",
        "data/../shop",
        "data/a/b",
        "shop",
        "data/.shop",
        "data/-x",
        "data/a;b",
        "data",
    ],
)
def test_names_that_are_none(project, folder):
    project.put(GERMAN)
    assert "is no name of a dataset" in project.refused("orders.csv", folder=folder)


def test_nothing_is_overwritten(project):
    folder = project.root / "data" / "shop"
    folder.mkdir()
    (folder / "dataset.yml").write_text("title: mine\n")
    project.put(GERMAN)
    assert "data/shop is already there" in project.refused("orders.csv")
    assert (folder / "dataset.yml").read_text() == "title: mine\n"
    shutil.rmtree(folder)
    folder.symlink_to("nowhere")
    assert "data/shop is already there" in project.refused("orders.csv")


def test_a_full_disk_leaves_nothing(project, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    assert "No space left on device" in project.refused(project.put(GERMAN))


NASTY = [
    "<b>Kundennr</b>",
    "=1+cmd|' /C'!A0",
    'a"b: [c] # d',
    "Bestell\ndatum",
    "no",
    "{x}",
    "ID\u2028y",
]


def test_nasty_names(project):
    header = ",".join('"' + name.replace('"', '""') + '"' for name in NASTY)
    content = table(header, lambda i: f"k{i % 9},x,{i}.5,{day(i, '%Y-%m-%d')},y,z,w")
    columns = [f"record_id={NASTY[0]}", f"amount={NASTY[2]}", f"status={NASTY[1]}", "channel=no"]
    file, _ = project.made(content, column=columns)
    assert file.columns == {
        "record_id": NASTY[0],
        "ordered_at": NASTY[3],
        "amount": NASTY[2],
        "channel": "no",
        "status": NASTY[1],
    }


ANY_NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@settings(max_examples=300, deadline=None)
@given(ANY_NAME, ANY_NAME, st.lists(ANY_NAME, max_size=3))
def test_any_name_is_written_so_that_it_is_read_again(column, left_out, unused):
    guessed = Guessed(
        "orders",
        [Choice("amount", column, "its name", "perhaps")],
        [Setting("delimiter", ";")],
        left_out={left_out: "why"},
    )
    entry = writing.Entry(Path("a.csv"), 1, [column, left_out, *unused], [], guessed)
    text = writing.dataset_yml("shop", Setting("currency", "EUR"), [entry])
    assert yaml.safe_load(text) == {
        "title": "Shop",
        "language": "en",
        "currency": "EUR",
        "tables": {
            "orders": {
                "path": "raw/a.csv",
                "source": "shop",
                "delimiter": ";",
                "columns": {"amount": column},
            }
        },
    }
    # Nor does a name write to the terminal what is no letter.
    told = writing.summary(Setting("currency", "EUR"), [entry])
    assert all(sign.isprintable() or sign == "\n" for sign in told)


@settings(deadline=None)
@given(
    st.sampled_from(
        [(t, c, w) for t in schemas.TABLES for c, words in names.known(t).items() for w in words[0]]
    ),
    st.sampled_from(
        [str.upper, str.title, lambda word: f" {word}. ", lambda word: f"{word} (EUR)"]
    ),
)
def test_a_word_is_known_however_it_is_written(word, written):
    name, column, text = word
    assert column in names.match(written(text), name)


@pytest.mark.parametrize("name", list(schemas.TABLES))
def test_words_name_columns_of_our_tables(name):
    text = (ROOT / "src" / "loyaltylab" / "onboarding" / "words.yml").read_text("utf-8")
    listed = yaml.safe_load(text)[name]
    assert set(listed) <= set(schemas.column_types(name))
    for column, words in listed.items():
        flat = [w for word in words for w in (word if isinstance(word, list) else [word])]
        assert all(isinstance(word, str) for word in flat), column


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(list(layout.DELIMITERS)),
    st.lists(
        st.tuples(*[st.text(st.sampled_from('ab ,;\t|"äø1.'), max_size=6)] * 3),
        min_size=1,
        max_size=20,
    ),
)
def test_the_delimiter_of_any_quoted_table(tmp_path_factory, sign, rows):
    """Whatever stands in the cells, where names of columns are known."""
    path = tmp_path_factory.mktemp("any") / "a.csv"
    header = ["Kundennr", "Datum", "Betrag"]
    lines = (sign.join('"' + f.replace('"', '""') + '"' for f in row) for row in [header, *rows])
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    guess = layout.delimiter(path, "utf-8", "a.csv", lambda names: len({*names} & {*header}))
    assert guess is not None and guess.value == sign


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere") / "my lab"
    folder.mkdir()
    copy_of_project(folder)
    (folder / "my orders.csv").write_bytes(GERMAN.encode())
    return folder


def test_two_commands_from_an_export_to_its_validation(lab):
    done = make(lab, "new", "DATASET=mine", "FROM=my orders.csv")
    assert done.returncode == 0, done.stderr
    assert "Next: make report DATASET=mine" in done.stdout
    page = "reports/mine/01_validation.html"
    done = make(lab, page, "DATASET=mine")
    assert done.returncode == 0, done.stderr
    assert "orders" in (lab / page).read_text()
    numbers = json.loads((lab / "data" / "mine" / "results" / "01_validation.json").read_text())
    by_name = {number["name"]: number["value"] for number in numbers}
    assert by_name["validation.rows_accepted.orders"] == 40
    again = make(lab, "new", "DATASET=mine", "FROM=my orders.csv")
    assert again.returncode != 0
    assert "data/mine is already there" in again.stderr
    assert "Traceback" not in again.stderr


def test_make_passes_on_what_was_typed_without_running_it(lab):
    done = make(lab, "new", "DATASET=odd", "FROM=x; touch hit", "COLUMN=amount=`touch hit`")
    assert done.returncode != 0
    assert "does not exist" in done.stderr
    assert not (lab / "hit").exists() and not (lab / "data" / "odd").exists()


def test_a_pipe_is_no_file(project):
    os.mkfifo(project.root / "pipe")
    assert "found something else" in project.refused("pipe")


def test_as_a_command(project):
    """What the tests above call in this process, once as people call it."""
    project.put("")
    done = subprocess.run(
        [sys.executable, "-m", "loyaltylab", "new", "data/shop", "orders.csv"],
        cwd=project.root,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "orders.csv is empty: expected a table with rows. Export it again.\n"
