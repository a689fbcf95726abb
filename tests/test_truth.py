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
    (folder / "truth").mkdir(parents=True)
    (folder / "dataset.yml").write_text(YML)
    records = [("shop", "1", "p"), ("shop", "2", "q"), ("guest", "1", "p"), ("a:b", "1", "r")]
    pd.DataFrame(records, columns=["source", "record_id", "person"]).to_parquet(
        folder / "truth" / "records.parquet"
    )
    people = {"person": ["p", "q", "r"], "left_at": [pd.NaT, pd.Timestamp("2024-02-01"), pd.NaT]}
    pd.DataFrame(people).to_parquet(folder / "truth" / "people.parquet")
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


def test_who_is_still_a_customer(lab):
    """A is p's two records, B q's; C, which nobody knows of, is left out; D is taken for p and q."""
    lab.linked.mkdir()
    linked = [("shop", "1", "A"), ("guest", "1", "A"), ("shop", "2", "B"), ("shop", "9", "C")]
    linked += [("a:b", "1", "D"), ("shop", "2", "D")]
    pd.DataFrame(linked, columns=["source", "record_id", "person_id"]).to_parquet(
        lab.linked / "records.parquet"
    )
    people = lab.engine.create_table("people", pd.DataFrame({"person_id": [*"ABCD"]}), temp=True)
    found = truth.still_customers(lab, people).to_pandas().set_index("person_id")["still"]
    assert found.to_dict() == {"A": True, "B": False, "D": True}
    gone = pd.DataFrame({"person_id": [*"ABCD"], "gone": [True, True, True, False]})
    people = lab.engine.create_table("judged", gone, temp=True)
    # Of A, B and D, B has left; A and B count as gone.
    assert truth.departures(lab, people) == {"true": 1, "found": 2, "right": 1}


def test_a_dataset_without_truth_says_so(lab):
    with pytest.raises(LabError, match=r"small: expected truth/surveys\.parquet, found none"):
        truth.table(lab, "surveys")
    assert dt.date(2024, 2, 1) == truth.table(lab, "people")["left_at"].max().to_pandas().date()
