"""No personal value in what may be passed on, and that a search finds those that are planted."""

import base64
import html
import json
import urllib.parse
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from loyaltylab.linkage.weights import MASK as HIDDEN
from loyaltylab.linkage.weights import _in_common
from loyaltylab.service import texts as written
from tests import leaks, proof

ROOT = Path(__file__).parents[1]
ROW = {
    "record_id": "10012345", "given_name": "Zebulon", "family_name": "Quastenhuber",
    "email": "zeb.q@quasten.example", "phone": "0151 77889900", "birth_date": "04.10.1965",
    "street": "Hohe Gasse 12", "postcode": "40077", "city": "Zerbst",
}  # fmt: skip
TEXT = "my parcel for aunt Mathilda never came"


@pytest.fixture(scope="module")
def wanted():
    rows = [("customers", ROW), ("tickets", {"record_id": "10012345", "text": TEXT})]
    return leaks.of_rows(rows, common=leaks._lab_words() | {"hohe", "gasse"})


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ZEBULON", "given_name"), ("of Quastenhuber's", "family_name"),
        ("zeb.q @ quasten . example", "email"), ("+4915177889900", "phone"),
        ("+49 151 77889900", "phone"), ("015177889900", "phone"), ("born 1965-10-04", "birth_date"),
        ("4. Oktober 1965", "birth_date"), ("Oct 4, 1965", "birth_date"), ("Hohe Gasse, 12", "street"),
        ("40077 Zerbst", "place"), ("no 10012345", "number"), ("Quastenhuber, Zebulon", "full name"),
        ("for Aunt Mathilda never", "text"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "written_as",
    [
        str,
        html.escape,
        lambda text: "".join(f"&#{ord(letter)};" for letter in text),
        urllib.parse.quote,
        lambda text: f"<b>{text[:3]}</b>{text[3:]}",
        lambda text: f"base64,{base64.b64encode(text.encode() * 4).decode()}",
    ],
)  # fmt: skip
def test_a_value_is_found_however_it_is_written(wanted, tmp_path, text, kind, written_as):
    path = tmp_path / "page.html"
    path.write_text(f"<p title='x'>{written_as(f' {text} ')}</p>", encoding="utf-8")
    assert kind in {hit for _, hit, _ in leaks.search([path], wanted).found}


def test_a_value_is_found_in_every_kind_of_file(wanted, tmp_path):
    name = "Jürgen-Quastenhuber"
    notebook = {"cells": [{"outputs": [{"data": {"text/plain": ["x\n", name]}}]}]}
    (tmp_path / "a.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    (tmp_path / "b.csv").write_text(f"n;{name}\n", encoding="utf-8")
    pq.write_table(pa.table({"who": [name]}), tmp_path / "c.parquet")
    (tmp_path / "quastenhuber.log").write_text("nothing")
    written = PngInfo()
    written.add_text("Title", f"of {name}")
    Image.new("1", (1, 1)).save(tmp_path / "d.png", pnginfo=written)
    # Dots of a picture, and figures of a share, that are a name and a day by chance.
    Image.frombytes("L", (12, 1), b"quastenhuber").save(tmp_path / "fine.png", compress_level=0)
    (tmp_path / "fine.txt").write_text("Quasten huber, 40077, May, 12, 55.19651004")
    found = leaks.search(leaks.files_below(tmp_path), wanted)
    assert [Path(file).name for file, *_ in found.found] == [
        "a.ipynb", "b.csv", "c.parquet", "d.png", "quastenhuber.log"
    ]  # fmt: skip
    assert found.files == 7 and found.bytes > 0


def test_what_cannot_be_told_from_a_report_s_own_words_is_counted():
    rows = [("customers", ROW | {"given_name": "May", "city": "Page"})]
    found = leaks.of_rows(rows, common=leaks._lab_words())
    assert ("may",) not in found.wanted["given_name"] and found.skipped["given_name"] == 1
    assert ("may", "quastenhuber") in found.wanted["full name"]
    assert found.skipped["postcode"] == 1 and ("40077", "page") in found.wanted["place"]


def test_what_many_wrote_is_nobody_s():
    rows = [
        ("tickets", {"record_id": f"r{n}", "text": "thanks for all the help"}) for n in range(5)
    ]
    assert not leaks.of_rows(rows, common=set()).wanted["text"]
    assert leaks.of_rows(rows[:4], common=set()).wanted["text"]


def test_nothing_of_the_demo_is_told():
    """Of 20,000 customers, in the stored notebooks and in the report, if make has made it."""
    folder = ROOT / "data" / "demo"
    if not (folder / "raw").exists():
        pytest.skip("data/demo/raw is not there: make data/demo makes it")
    everything = leaks.values(folder)
    assert everything.count > 100_000
    found = leaks.search([*leaks.goldens(), *leaks.of_report(ROOT, "demo")], everything)
    assert found.files >= len(leaks.goldens()) and found.found == []


def test_the_campaign_looked_at_much():
    """tests/trust_privacy.py, which `make trust` runs; that nothing failed is asked of all campaigns."""
    (told,) = [one for one in proof.read() if one.name == "privacy"]
    values, forgotten, refused, numbers, tables, lists, counts = told.detail.values()
    assert values >= 40_000 and forgotten >= 20 and refused >= 20 and numbers >= 500
    assert tables >= 9 and lists >= 2 and counts >= 1000


def test_counts_of_persons_are_found(tmp_path):
    table = {"caption": "who", "columns": ["of", "Customers"], "rows": [["a", "1,203"], ["b", "–"]]}
    page = "<table><tr><th>x</th><th>flagged</th></tr><tr><td>y</td><td>3</td></tr></table>"
    outputs = [{"data": {leaks.MIME: table}}, {"data": {"text/html": [page]}}]
    path = tmp_path / "03.ipynb"
    path.write_text(json.dumps({"cells": [{"outputs": outputs}]}), encoding="utf-8")
    assert [(count.of, count.persons) for count in leaks.counts(path)] == [("a", 1203), ("y", 3)]
    kept = tmp_path / "03.tables.json"
    kept.write_text(json.dumps({"t": [{"month": "2024", "customers": 2}, {"customers": None}]}))
    assert [count.persons for count in leaks.kept_counts(kept)] == [2]
    numbers = tmp_path / "03.json"
    record = {"name": "a", "unit": "customers", "value": 4}
    numbers.write_text(json.dumps([record, record | {"value": None}, record | {"unit": "days"}]))
    assert [count.persons for count in leaks.kept_counts(numbers)] == [4]


def test_a_masked_text_may_be_of_as_many_as_wrote_it_so():
    texts = [
        "The parcel of Ann is late",
        "the parcel of Bo is late!",
        "The parcel of us all is late",
    ]
    assert written.worn_by("The parcel of … is late", texts, [1, 2, 3]) == 3
    assert written.worn_by("The parcel of … is late", texts, [1, 1, 3]) == 2
    assert written.worn_by("the parcel of Ann is late", texts, [1, 2, 3]) == 1
    assert written.worn_by("… is late", texts, [1, 2, 3]) == 3
    assert written.worn_by("… was late", texts, [1, 2, 3]) == 0


def test_the_forms_of_a_pair_are_those_of_many():
    import pandas as pd

    among = pd.DataFrame(
        {"name": ["xxxx"] * 9 + ["xxxxxxxxxxxx"], "street": ["xxxx 99"] * 5 + ["xxx 9"] * 5}
    )
    common = {"name": "xxxx", "street": "xxxx 99"}
    assert _in_common(pd.Series(common), among, 5) == common
    rare = _in_common(among.iloc[9], among, 5)
    assert rare == {"name": "x", "street": "xxx 9"}
    alone = _in_common(pd.Series({"name": "x-x", "street": None}), among, 5)
    assert alone == {"name": HIDDEN, "street": HIDDEN}
