"""Findings: every column of every table, on a dataset of two tables made by hand."""

import math

import pandas as pd
import pytest

from loyaltylab import validation
from loyaltylab.dataset import Lab

SHOP = """order_id,record_id,ordered_at,amount,currency,margin,note
a,1,2024-01-01,100,EUR,30,x
b,1,2024-01-02,-40,EUR,,
c,2,2024-01-03,50,NOK,,
d,3,31.01.2024,many,EUR,,
e,4,2024-01-05,60,€,,
e,4,2024-01-05,60,EUR,,
e,4,2024-01-06,70,EUR,,
f,9,2024-01-07,30,EUR,,
"""
TILL = """order_id,record_id,ordered_at,amount
t,Kundin Ólöf 7,2024-01-04,20
u,,2024-01-08,25
"""
LINES = """order_id,product_id,quantity,unit_price
a,p,1,60
a,q,0,40
a,r,0,1
e,p,x,60
z,p,1,1
"""
CRM = """record_id,given_name,email,phone,country
1,Ann,Ann@Shop.Example,0151 23456789,Germany
2,<b>Bo</b>,bo@shop,,DE
3,MÃ¼nch,m@shop.example,,
4, Cy ,c@shop.example,,
"""
DATASET = """
title: A
currency: EUR
minimum_cell: 1
observed_until: 2024-01-31
tables:
  orders:
  - {path: shop.csv, source: shop, owner: Shop team}
  - {path: till.csv, source: till}
  order_lines: lines.csv
  customers: {path: crm.csv, source: shop, owner: CRM team}
"""
PERSONAL = ["Ann", "Bo", "nch", "Cy", "Ólöf", "Kundin", "shop.example", "23456789", "many"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    for folder in ("notebooks", "data/a"):
        (root / folder).mkdir(parents=True)
    for name, text in {"shop": SHOP, "till": TILL, "lines": LINES, "crm": CRM}.items():
        (root / "data/a" / f"{name}.csv").write_text(text)
    (root / "data/a/dataset.yml").write_text(DATASET)
    return root


@pytest.fixture(scope="module")
def findings(root):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("LOYALTYLAB_DERIVED", raising=False)
        return validation.validate(Lab("a"), put_aside=("negative_amounts",), cancelled_within=14)


def plain(value):
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    return None if isinstance(value, float) and math.isnan(value) else value


def rows(table, *names):
    return [
        tuple(plain(value) for value in row) for row in table[list(names)].itertuples(index=False)
    ]


def test_exports(findings):
    names = ["table", "export", "files", "owner", "read", "accepted", "quarantined"]
    assert list(findings.exports) == [
        *names, "expired", "first_day", "last_day", "gaps", "silent_days", "days"
    ]  # fmt: skip
    assert rows(findings.exports, *names) == [
        ("orders", "orders.shop", 1, "Shop team", 8, 3, 5),
        ("orders", "orders.till", 1, None, 2, 1, 1),
        ("order_lines", "order_lines", 1, None, 5, 1, 4),
        ("customers", "customers", 1, "CRM team", 4, 3, 1),
    ]
    assert rows(findings.exports, "first_day", "last_day", "gaps", "silent_days", "days") == [
        ("2024-01-01", "2024-01-07", 0, 0, 31),
        ("2024-01-04", "2024-01-04", 0, 0, 28),
        (None,) * 5,
        (None,) * 5,
    ]


def test_columns(findings):
    names = ["table", "export", "column", "canonical", "expected", "present"]
    assert list(findings.columns) == names
    assert rows(findings.columns[findings.columns["table"] == "orders"], *names[1:]) == [
        ("orders.shop", "order_id", "order_id", True, 8),
        ("orders.shop", "record_id", "record_id", True, 8),
        ("orders.shop", "ordered_at", "ordered_at", True, 7),
        ("orders.shop", "amount", "amount", True, 7),
        ("orders.shop", "currency", "currency", True, 8),
        ("orders.shop", "margin", "margin", True, 1),
        ("orders.shop", "note", None, False, None),
        ("orders.till", "order_id", "order_id", True, 2),
        ("orders.till", "record_id", "record_id", True, 1),
        ("orders.till", "ordered_at", "ordered_at", True, 2),
        ("orders.till", "amount", "amount", True, 2),
    ]


def test_reasons(findings):
    names = ["table", "export", "reason", "dimension", "treatment", "rows"]
    assert list(findings.reasons) == [*names, "first_day", "last_day", "example", "revenue"]
    shop, lines = "orders.shop", "order_lines"
    usual = 45  # the median of the accepted orders: 100, 60, 30, 20
    told = [tuple(r[1:]) for r in rows(findings.reasons, *findings.reasons.columns)]
    put, day = "put aside", "2024-01-0{}".format
    assert sorted(told, key=str) == sorted(
        [
            (shop, "amount is below 0", "validity", put, 1, day(2), day(2), "-99", 40),
            (shop, "amount is not a number", "validity", put, 1, None, None, "xxxx", usual),
            (shop, "currency is not EUR", "validity", put, 1, day(3), day(3), "xxx", usual),
            (shop, "order_id appears again, with other values", "uniqueness", put, 1, day(6),
             day(6), "x", 70),
            (shop, "ordered_at is not a date", "validity", put, 1, None, None, "99.99.9999", usual),
            (shop, "repeats an earlier row", "uniqueness", put, 1, day(5), day(5), None, 60),
            (shop, "record_id is no customer's", "consistency", "noted", 1, day(7), day(7), "9", 30),
            ("orders.till", "record_id is missing", "completeness", put, 1, day(8), day(8), None, 25),
            (lines, "quantity is 0", "validity", put, 2, None, None, "9", 100),
            (lines, "order_id is in no order", "consistency", put, 1, None, None, "x", None),
            (lines, "quantity is not a number", "validity", put, 1, None, None, "x", 60),
            ("customers", "given_name holds HTML", "validity", put, 1, None, None, "<x>xx</x>", None),
            ("customers", "email is no address", "validity", "noted", 1, None, None, "xx@xxxx", None),
        ],
        key=str,
    )  # fmt: skip


def test_the_order_of_tables_is_that_of_the_contract(findings):
    for table in (findings.exports, findings.columns, findings.reasons, findings.broken):
        assert list(dict.fromkeys(table["table"])) == ["orders", "order_lines", "customers"]
    assert list(dict.fromkeys(findings.changes["table"])) == ["orders", "customers"]


def test_broken(findings):
    assert rows(findings.broken, *["table", "export", "dimension", "rows"]) == [
        ("orders", "orders.shop", "consistency", 1),
        ("orders", "orders.shop", "uniqueness", 2),
        ("orders", "orders.shop", "validity", 3),  # one of them for two reasons
        ("orders", "orders.till", "completeness", 1),
        ("order_lines", "order_lines", "consistency", 1),
        ("order_lines", "order_lines", "validity", 3),
        ("customers", "customers", "validity", 1),  # for a note and a reason
    ]


def test_changes(findings):
    assert rows(findings.changes, "table", "export", "column", "kind", "values") == [
        ("orders", "orders.shop", "currency", "currency written in another way than ISO 4217", 1),
        ("customers", "customers", "country", "country written in another way than ISO 3166", 1),
        ("customers", "customers", "email", "capital letters", 1),
        ("customers", "customers", "given_name", "letters misread in another encoding", 1),
        ("customers", "customers", "given_name", "spaces around it", 1),
        ("customers", "customers", "phone", "phone written in another way than E.164", 1),
    ]


def test_no_personal_value_is_told(findings):
    for name in ("exports", "columns", "reasons", "broken", "changes"):
        text = getattr(findings, name).to_csv()
        assert [value for value in PERSONAL if value in text] == []


def test_what_is_written(root, findings):
    derived = {
        folder: sorted(p.name for p in (root / "data/a" / folder).iterdir())
        for folder in ("validated", "quarantine", "audit")
    }
    tables = ["customers.parquet", "order_lines.parquet", "orders.parquet"]
    assert derived == dict.fromkeys(derived, tables) | {"validated": [*tables, "refusals.parquet"]}
    audit = pd.read_parquet(root / "data/a/audit/orders.parquet")
    assert audit.to_dict("records")[-1]["kinds"].tolist() == ["record_id is no customer's"]


def test_orders_without_numbers_cannot_be_referred_to(root, findings, monkeypatch):
    """Lines of orders that have no number of their own: nothing can be said of them."""
    folder = root / "data/b"
    folder.mkdir()
    (folder / "orders.csv").write_text("record_id,ordered_at,amount\n1,2024-01-01,10\n")
    (folder / "lines.csv").write_text(LINES)
    orders = "{path: orders.csv, source: shop}"
    (folder / "dataset.yml").write_text(
        f"title: B\ncurrency: EUR\ntables: {{orders: {orders}, order_lines: lines.csv}}\n"
    )
    monkeypatch.chdir(root)
    monkeypatch.delenv("LOYALTYLAB_DERIVED", raising=False)
    found = validation.validate(Lab("b"))
    assert found.reasons["reason"].tolist() == ["quantity is 0", "quantity is not a number"]
