"""Findings held against what a simulation knows: by hand on a folder of a few rows."""

import datetime as dt

import ibis
import pandas as pd
import pytest

from loyaltylab import truth
from loyaltylab.dataset import Lab
from loyaltylab.errors import LabError

YML = """
title: Small
currency: EUR
simulated: true
tables: {orders: raw/orders.csv}
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    folder = tmp_path / "data" / "small"
    for part in ("truth", "quarantine"):
        (folder / part).mkdir(parents=True)
    (folder / "dataset.yml").write_text(YML)
    records = [("shop", "1", "p"), ("shop", "2", "q"), ("guest", "1", "p"), ("a:b", "1", "r")]
    pd.DataFrame(records, columns=["source", "record_id", "person"]).to_parquet(
        folder / "truth" / "records.parquet"
    )
    people = {"person": ["p", "q", "r"], "left_at": [pd.NaT, pd.Timestamp("2024-02-01"), pd.NaT]}
    pd.DataFrame(people).to_parquet(folder / "truth" / "people.parquet")
    defects = [
        ("raw/orders.csv", 1, "negative_amount"),
        ("raw/orders.csv", 2, "impossible_date"),
        ("raw/orders.csv", 3, "impossible_date"),
        ("raw/crm.csv", 2, "markup"),
    ]
    pd.DataFrame(defects, columns=["file", "row", "kind"]).to_parquet(
        folder / "truth" / "defects.parquet"
    )
    aside = {"orders": [("raw/orders.csv", 2), ("raw/orders.csv", 3), ("raw/orders.csv", 9)],
             "customers": [("raw/crm.csv", 3), ("raw/orders.csv", 2)]}  # fmt: skip
    for name, rows in aside.items():
        pd.DataFrame(rows, columns=["file", "row"]).assign(more="x").to_parquet(
            folder / "quarantine" / f"{name}.parquet"
        )
    monkeypatch.chdir(tmp_path)
    return Lab("small")


def rows(lab, *ids):
    table = pd.DataFrame([i.split("/") for i in ids], columns=["source", "record_id"])
    return lab.engine.create_table(ibis.util.gen_name("rows"), table, temp=True)


def test_persons_replace_records_and_lose_no_row(lab):
    orders = rows(lab, "shop/1", "guest/1", "shop/2", "shop/1", "shop/9")
    found = truth.persons(lab, orders).to_pandas()
    assert sorted(found["person_id"].fillna("?")) == ["?", "p", "p", "p", "q"]
    assert set(found.columns) == {"source", "record_id", "person_id"}


def test_defects_found_and_rows_put_aside_without_one(lab):
    found = truth.defects_found(lab)
    known = found.dropna(subset="kind").set_index("kind")
    assert known["defects"].to_dict() == {"impossible_date": 2, "markup": 1, "negative_amount": 1}
    assert known["put_aside"].to_dict() == {"impossible_date": 2, "markup": 0, "negative_amount": 0}
    assert known.index[0] == "impossible_date"
    wrongly = found[found["kind"].isna()]
    assert wrongly["put_aside"].tolist() == [2]  # row 9 of the orders, row 3 of the CRM


def test_pairs_of_records_of_one_person(lab):
    records = rows(lab, "shop/1", "guest/1", "shop/2", "a:b/1", "shop/9")
    email = {"shop/1": "x", "guest/1": "x", "shop/2": "x", "a:b/1": None, "shop/9": None}
    keyed = records.mutate(
        email=(records["source"] + "/" + records["record_id"]).cases(
            *[(key, value) for key, value in email.items() if value], else_=ibis.null("string")
        )
    )
    # p has two records: one true pair. Three records share x: three pairs, one of them right; the
    # two without an address share none.
    assert truth.pairs(lab, keyed, same=keyed["email"]) == {"true": 1, "found": 3, "right": 1}


def test_who_is_still_a_customer_by_record(lab):
    people = lab.engine.create_table(
        "people", pd.DataFrame({"person_id": ["shop:1", "guest:1", "shop:2", "a%3Ab:1"]}), temp=True
    )
    found = truth.still_customers(lab, people).to_pandas().set_index("person_id")["still"]
    assert found.to_dict() == {"shop:1": True, "guest:1": True, "shop:2": False, "a%3Ab:1": True}


def test_a_dataset_without_truth_says_so(lab):
    with pytest.raises(LabError, match=r"small: expected truth/surveys\.parquet, found none"):
        truth.table(lab, "surveys")
    assert dt.date(2024, 2, 1) == truth.table(lab, "people")["left_at"].max().to_pandas().date()
