"""A no to being analysed or written to counts, whatever else is wrong with its row."""

import pyarrow.parquet as pq
import pytest

from loyaltylab import linkage, validation
from loyaltylab.dataset import REFUSALS, Lab

YML = """
title: Small
currency: EUR
tables:
  orders: {path: raw/orders.csv, source: shop}
  customers: {path: raw/customers.csv, source: shop}
"""
# c is put aside for the HTML in her name, d's second row for its number, f's for its date.
CUSTOMERS = """record_id,given_name,family_name,email,registered_at,consent_analytics,consent_marketing
a,Ann,Berg,ann@x.example,2024-01-01,yes,yes
b,Bo,Dahl,bo@x.example,2024-01-01,no,yes
c,<b>Cy</b>,Moe,cy@x.example,2024-01-01,no,yes
d,Di,Ek,di@x.example,2024-01-01,yes,yes
d,Di,Ek,di@x.example,2024-01-02,yes,no
e,<b>Ed</b>,Fox,ed@x.example,2024-01-01,yes,yes
f,Fi,Gul,fi@x.example,never,no,no
"""
ORDERS = "record_id,ordered_at,amount\n" + "".join(
    f"{n},2024-02-0{i},10\n" for i, n in enumerate("abcdef", 1)
)


@pytest.fixture
def lab(tmp_path, monkeypatch):
    folder = tmp_path / "data/small"
    (folder / "raw").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    (folder / "dataset.yml").write_text(YML)
    (folder / "raw/customers.csv").write_text(CUSTOMERS)
    (folder / "raw/orders.csv").write_text(ORDERS)
    monkeypatch.chdir(tmp_path)
    lab = Lab("small")
    validation.validate(lab)
    return lab


def test_what_rows_put_aside_refuse_is_kept(lab):
    found = pq.read_table(lab.validated / REFUSALS).to_pylist()
    assert [tuple(row.values()) for row in found] == [
        ("shop", "c", False, None), ("shop", "d", None, False), ("shop", "f", False, False)
    ]  # fmt: skip


def test_who_refuses_is_in_no_person_level_table(lab):
    linkage.resolve(lab, budget=10, certain=0.9)
    records = pq.read_table(lab.linked / "records.parquet").to_pylist()
    assert {r["record_id"] for r in records if r["analysed"]} == {"a", "d", "e"}
    assert lab.purchases().count().to_pyarrow().as_py() == 3
    person = {r["record_id"]: r["person_id"] for r in records}
    golden = {r["person_id"]: r for r in pq.read_table(lab.linked / "persons.parquet").to_pylist()}
    told = {name: golden[person[name]]["consent_marketing"] for name in "abcdef"}
    assert told == {"a": True, "b": True, "c": None, "d": False, "e": None, "f": False}


def test_without_customers_nothing_of_an_earlier_run_stays(lab):
    path = lab.folder / "dataset.yml"
    path.write_text("\n".join(line for line in YML.splitlines() if "customers" not in line))
    validation.validate(Lab("small"))
    assert not (lab.validated / REFUSALS).exists()


def test_the_form_of_a_name_is_shown_only_if_others_have_it(lab):
    found = validation.validate(lab).reasons.set_index("reason")["example"]
    assert found.isna()["given_name holds HTML"]  # of two
    assert found["registered_at is not a date"] == "xxxxx"  # which says nothing of who it is
