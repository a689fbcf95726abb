"""Rows older than dataset.yml keeps them: left out before anything is derived of them, and counted."""

import datetime as dt
import json

import pyarrow.parquet as pq
import pytest
import yaml

from loyaltylab import contract, keeping, validation
from loyaltylab.dataset import Lab
from loyaltylab.errors import LabError
from loyaltylab.validation import quality

UNTIL = dt.date(2024, 12, 31)
SPEC = {
    "title": "Small", "currency": "EUR", "observed_until": "2024-12-31",
    "tables": {
        "orders": {"path": "raw/orders.csv", "source": "shop"},
        "order_lines": "raw/lines.csv",
        "customers": {"path": "raw/customers.csv", "source": "shop"},
        "tickets": {"path": "raw/tickets.csv", "source": "shop"},
        "feedback": "raw/feedback.csv",
    },
}  # fmt: skip
KEEP = {"orders": "2 years", "customers": "1 year", "tickets": "60 days"}
# Rows that go under KEEP end in "old"; "  " marks one that a rule puts aside.
RAW = {
    "orders": [
        "order_id,record_id,ordered_at,amount",
        "o1,gone,2022-12-31 23:59:59,10 old",
        "o2,back,2022-06-01,10 old",
        "o3,back,2023-01-01 00:00:00,10",
        "o4,early,2023-02-01,10",
        "o5,odd,2022-01-01,-10 old",
        "o6,odd,2024-01-01,-10",
        "o7,odd,never,10",
        "o8,odd,1900-01-01,10",
        "o9,young,2024-06-01,10",
    ],
    "lines": [
        "order_id,product_id,quantity,unit_price",
        "o1,cup,1,10 old",
        "o1,jug,-1,10 old",
        "o3,cup,1,10",
        "o8,cup,1,10",
        "o99,cup,1,10",
    ],
    "customers": [
        "record_id,given_name,registered_at",
        "gone,Ann,2020-01-01 old",
        "gone,Ann,2020-01-01 old",
        "back,Bo,2020-01-01 old",
        "early,Cy,2020-01-01 old",
        "wrote,Di,2020-01-01",
        "young,Ed,2024-02-01",
        "nobody,Fi,2023-12-31 old",
        "new,Gus,2024-01-01",
        "undated,Hal,",
    ],
    "tickets": [
        "ticket_id,record_id,opened_at,text",
        "t1,wrote,2024-11-01,old words old",
        "t2,wrote,2024-11-02,new words",
        "t3,wrote,2024-10-01,earlier words old",
    ],
    "feedback": ["feedback_id,platform,posted_at,rating,text", "f1,web,2020-01-01,5,good"],
}  # fmt: skip


def lab(root, monkeypatch, *, keep=None, without_old=False, raw=RAW):
    folder = root / "data/small"
    (folder / "raw").mkdir(parents=True)
    (root / "notebooks").mkdir()
    (folder / "dataset.yml").write_text(yaml.safe_dump(SPEC | ({"keep": keep} if keep else {})))
    for name, rows in raw.items():
        left_out = without_old and name != "customers"
        kept = [row for row in rows if not (left_out and row.endswith(" old"))]
        text = "\n".join(row.removesuffix(" old") for row in kept)
        (folder / f"raw/{name}.csv").write_text(text + "\n")
    monkeypatch.chdir(root)
    return Lab("small")


def rows(lab, folder, table):
    return pq.read_table(getattr(lab, folder) / f"{table}.parquet").to_pylist()


def test_what_is_derived_is_as_if_the_files_had_never_held_them(tmp_path, monkeypatch):
    keep = {name: period for name, period in KEEP.items() if name != "customers"}
    kept = lab(tmp_path / "kept", monkeypatch, keep=keep)
    found = validation.validate(kept)
    never = lab(tmp_path / "never", monkeypatch, without_old=True)
    expected = validation.validate(never)
    for table in SPEC["tables"]:
        assert rows(kept, "validated", table) == rows(never, "validated", table), table
        for folder in ("quarantine", "audit"):  # but for the numbers of their rows
            told = [{**row, "row": 0} for row in rows(kept, folder, table)]
            assert told == [{**row, "row": 0} for row in rows(never, folder, table)], table
    for name in ("columns", "reasons", "broken", "changes"):
        assert getattr(found, name).equals(getattr(expected, name)), name
    card = quality.score_card(found).drop(columns="read")
    assert card.equals(quality.score_card(expected).drop(columns="read"))
    assert [row["order_id"] for row in rows(kept, "validated", "orders")] == [
        "o3",
        "o4",
        "o6",
        "o9",
    ]


def test_a_customer_is_kept_while_a_row_of_another_table_tells_of_them(tmp_path, monkeypatch):
    kept = lab(tmp_path, monkeypatch, keep=KEEP)
    validation.validate(kept)
    names = [row["record_id"] for row in rows(kept, "validated", "customers")]
    assert names == ["wrote", "young", "new", "undated"]
    # Their orders are known to be a customer's, whose record alone is gone.
    noted = [row for row in rows(kept, "audit", "orders") if row["column"] == "record_id"]
    assert [row["row"] for row in noted] == [6, 7, 8]  # those of "odd"


def test_every_row_is_accounted_for(tmp_path, monkeypatch):
    found = validation.validate(lab(tmp_path, monkeypatch, keep=KEEP))
    old = {name: sum(row.endswith(" old") for row in text) for name, text in RAW.items()}
    table = found.exports.set_index("table")
    assert table["expired"].to_dict() == {
        "orders": old["orders"], "order_lines": old["lines"], "customers": old["customers"],
        "tickets": old["tickets"], "feedback": 0,
    }  # fmt: skip
    assert (table["read"] == table[["accepted", "quarantined", "expired"]].sum(axis=1)).all()
    assert found.began_before == 2  # "back" and "odd"
    shown = quality.rows_of_exports(found)
    assert shown["too old"].tolist() == table["expired"].tolist()
    told = quality.accepted_finding(found, [])
    assert f"{sum(old.values())} rows were left out as older" in told
    assert "first day of which orders are kept: 2." in told


def test_where_all_is_kept_nothing_is_said_of_it(tmp_path, monkeypatch):
    found = validation.validate(lab(tmp_path, monkeypatch))
    assert not found.exports["expired"].any() and found.began_before == 0
    assert "too old" not in quality.rows_of_exports(found)
    assert "older" not in quality.accepted_finding(found, [])


def test_nothing_of_them_is_in_any_derived_file(tmp_path, monkeypatch):
    kept = lab(tmp_path, monkeypatch, keep=KEEP)
    validation.validate(kept)
    derived = [
        p for name in ("validated", "quarantine", "audit") for p in getattr(kept, name).iterdir()
    ]
    told = json.dumps([pq.read_table(path).to_pylist() for path in derived], default=str)
    assert '"o3"' in told and '"t2"' in told and "new words" in told
    for secret in ('"o1"', '"o2"', '"o5"', '"t1"', "old words", "earlier words", "Ann", '"gone"'):
        assert secret not in told, secret


def test_raw_files_are_not_changed(tmp_path, monkeypatch):
    kept = lab(tmp_path, monkeypatch, keep=KEEP)
    before = {path.name: path.read_bytes() for path in (kept.folder / "raw").iterdir()}
    validation.validate(kept)
    assert {path.name: path.read_bytes() for path in (kept.folder / "raw").iterdir()} == before


def test_all_orders_too_old(tmp_path, monkeypatch):
    with pytest.raises(LabError, match="all are older than dataset"):
        validation.validate(
            lab(
                tmp_path,
                monkeypatch,
                keep={"orders": "1 day"},
                raw=RAW | {"orders": RAW["orders"][:3]},
            )
        )


@pytest.mark.parametrize(
    ("period", "until", "first"),
    [
        ("1 day", UNTIL, "2024-12-31"),
        ("2 weeks", UNTIL, "2024-12-18"),
        ("1 year", UNTIL, "2024-01-01"),
        ("366 days", UNTIL, "2024-01-01"),
        ("3 months", dt.date(2024, 5, 31), "2024-03-01"),  # February had 29 days
        ("12 months", dt.date(2024, 2, 29), "2023-03-01"),
        ("1 month", dt.date(2024, 1, 15), "2023-12-16"),
        ("9999 years", UNTIL, "0001-01-01"),
        ("9999 months", UNTIL, "1191-10-01"),
        ("9999 weeks", UNTIL, "1833-05-15"),
    ],
)
def test_the_first_day_that_is_kept(period, until, first):
    assert keeping.first_day(period, until).isoformat() == first


@pytest.mark.parametrize(
    ("keep", "told"),
    [
        (
            {"tickets": "2 Jahre"},
            "tickets is '2 Jahre'; expected a period such as 400 days, 18 months",
        ),
        ({"tickets": "0 days"}, "expected a period such as"),
        ({"tickets": 400}, "tickets is 400; expected a period such as"),
        ({"tickets": "-1 years"}, "expected a period such as"),
        ({"tickets": "99999 days"}, "expected a period such as"),
        ({"ticket": "2 years"}, 'unknown key "ticket"; expected one of orders, customers,'),
        ({"order_lines": "2 years"}, 'unknown key "order_lines"'),
        ({"visits": "2 years"}, "dataset.yml under keep: expected only what is under tables"),
        ("2 years", "keep is '2 years'; expected keys below it"),
    ],
)
def test_what_cannot_be_kept(tmp_path, keep, told):
    path = tmp_path / "dataset.yml"
    path.write_text(yaml.safe_dump(SPEC | {"keep": keep}))
    with pytest.raises(LabError) as error:
        contract.load(path)
    assert told in str(error.value)


def test_periods_need_a_day_to_count_back_from(tmp_path):
    path = tmp_path / "dataset.yml"
    spec = {name: value for name, value in SPEC.items() if name != "observed_until"}
    path.write_text(yaml.safe_dump(spec | {"keep": {"tickets": "2 years"}}))
    with pytest.raises(LabError, match="under keep: expected observed_until beside it"):
        contract.load(path)
