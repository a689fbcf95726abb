"""What the orders hold, by hand."""

import ibis
import pandas as pd
import pytest

from loyaltylab import schemas, validation
from loyaltylab.dataset import Lab
from loyaltylab.validation import profile
from loyaltylab.validation.declared import CHOICES

ORDERS = pd.DataFrame(
    [
        ("web", "a", "2024-01-01 09:00", 10),
        ("web", "a", "2024-01-01 18:00", 10),  # a second order of that day
        ("web", "a", "2024-01-01 18:00", 10),  # the same row again
        ("shop", "a", "2024-01-03", 0),  # another system's customer a
        ("web", "b", "2024-01-20", -5),
        ("web", "c", "2024-01-21", 1000),
    ],
    columns=["source", "record_id", "ordered_at", "amount"],
)


@pytest.fixture
def orders():
    table = ibis.memtable(
        ORDERS.assign(ordered_at=pd.to_datetime(ORDERS["ordered_at"], format="mixed"))
    )
    return table.mutate(amount=table["amount"].cast("decimal(18, 4)"))


def test_profile_by_hand(orders):
    facts = profile.orders_profile(orders)
    assert facts["orders"] == 6
    assert facts["customers"] == 4
    assert (facts["first_day"], facts["last_day"]) == (
        pd.Timestamp("2024-01-01"),
        pd.Timestamp("2024-01-21"),
    )
    assert facts["days"] == 21 and facts["days_without_orders"] == 17
    assert facts["exact_duplicates"] == 1
    assert facts["repeated_customer_days"] == 2
    assert facts["zero_amounts"] == 1 and facts["negative_amounts"] == 1
    assert facts["amount"] == 1025 and facts["median_amount"] == 10
    # Quartiles of -5, 0, 10, 10, 10, 1000 by linear interpolation: 2.5 and 10.
    assert facts["far_limit"] == 10 + 3 * 7.5
    assert facts["far_amounts"] == 1


def test_oddities_count_what_the_profile_counts(orders):
    facts = profile.orders_profile(orders)
    none = pd.DataFrame(columns=["table", "reason", "treatment", "rows"])
    table = profile.oddities(facts, none, dict.fromkeys(CHOICES, "keep"), currency="EUR")
    table = table.set_index("name")
    assert table["rows"].to_dict() == {
        "exact_duplicates": 1,
        "repeated_customer_days": 2,
        "zero_amounts": 1,
        "negative_amounts": 1,
        "cancelled_orders": 0,
        "far_amounts": 1,
    }
    assert table.loc["repeated_customer_days", "share"] == pytest.approx(2 / 6)
    assert "32.50 EUR" in table.loc["far_amounts", "what"]
    assert table.loc["far_amounts", "definition"] == (
        "orders above 32.50 EUR: the third quartile plus three times the interquartile range"
    )
    # Nothing reads them as returns: they are counted and added up as they stand.
    assert table.loc["negative_amounts", "treatment"] == (
        "kept: they count as orders and lower the revenue"
    )


def test_oddities_put_aside_are_counted_and_said(orders):
    facts = profile.orders_profile(orders.filter(orders["amount"] > 0))
    reasons = pd.DataFrame(
        [
            ("orders", "amount is below 0", "put aside", 1),
            ("orders", "amount is 0", "put aside", 1),
            ("orders", "repeats an earlier row", "put aside", 4),  # of one order number
            ("orders", "amount is netted by a later cancellation", "put aside", 3),
            ("orders", "amount is below 0 and cancels an earlier order", "put aside", 3),
            ("spend", "amount is below 0", "put aside", 9),
        ],
        columns=["table", "reason", "treatment", "rows"],
    )
    choices = dict.fromkeys(CHOICES, "put aside") | dict.fromkeys(
        ["exact_duplicates", "same_day_orders"], "keep"
    )
    table = profile.oddities(facts, reasons, choices, currency="EUR").set_index("name")
    assert table["rows"].drop("far_amounts").to_dict() == {
        "exact_duplicates": 5,
        "repeated_customer_days": 2,
        "zero_amounts": 1,
        "negative_amounts": 1,
        "cancelled_orders": 6,
    }
    said = table["treatment"].to_dict()
    assert (
        said["zero_amounts"] == said["negative_amounts"] == said["cancelled_orders"] == "put aside"
    )
    assert said["exact_duplicates"].startswith(
        "put aside where the order number is the same; else kept"
    )
    assert said["repeated_customer_days"] == "kept: they count as one purchase"


VISITS = pd.DataFrame(
    [
        ("v1", "web", "a", "2024-01-01 09:00", 10.0, None),
        ("v1", "web", "a", "2024-01-01 09:00", 10.0, None),  # the same row again
        ("v2", "app", "a", "2024-01-01 23:59", None, None),  # another system's customer a
        ("v3", "web", None, "2024-01-05", None, None),
        ("v4", "web", None, "2024-01-05", None, None),
    ],
    columns=["visit_id", "source", "record_id", "started_at", "seconds", "interest"],
)


def visits(rows):
    return ibis.memtable(
        rows.assign(started_at=pd.to_datetime(rows["started_at"], format="mixed")),
        schema=dict.fromkeys(rows, "string") | {"started_at": "timestamp", "seconds": "float64"},
    )


def test_a_table_by_hand():
    assert profile.table_profile(visits(VISITS), "visits") == {
        "table": "visits",
        "rows": 5,
        "customers": 2,
        "first_day": pd.Timestamp("2024-01-01"),
        "last_day": pd.Timestamp("2024-01-05"),
        "days_without_rows": 3,
        "exact_duplicates": 1,
        "emptiest_column": "seconds",  # no visit has an interest: the files have no such column
        "share_missing": 3 / 5,
    }


def test_a_table_without_rows_or_gaps():
    empty = profile.table_profile(visits(VISITS.head(0)), "visits")
    assert (empty["rows"], empty["customers"], empty["exact_duplicates"]) == (0, 0, 0)
    assert empty["days_without_rows"] is empty["emptiest_column"] is empty["share_missing"] is None
    full = profile.table_profile(visits(VISITS.head(2)), "visits")
    assert full["emptiest_column"] is None and full["days_without_rows"] == 0


def test_each_table_of_a_dataset_is_profiled(tmp_path, monkeypatch):
    for folder in ("notebooks", "data/a"):
        (tmp_path / folder).mkdir(parents=True)
    files = {
        "order_lines": "order_id,product_id,quantity,unit_price,category\n1,p,2,5,\n1,q,1,1,x\n"
    }
    files["orders"] = "record_id,ordered_at,amount\na,2024-01-05,10\nb,2024-01-07,10\n"
    files["erasures"] = "record_id,requested_at\n"
    tables = ""
    for name, text in files.items():
        (tmp_path / "data/a" / f"{name}.csv").write_text(text)
        tables += f"  {name}: {{path: {name}.csv, source: shop}}\n"
    (tmp_path / "data/a/dataset.yml").write_text(
        f"title: A\ncurrency: EUR\nminimum_cell: 2\ntables:\n{tables}"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOYALTYLAB_DERIVED", raising=False)
    lab = Lab("a")
    validation.validate(lab)
    found = profile.tables_profile(lab)
    assert found["table"].tolist() == ["order_lines", "orders", "erasures"]
    assert found["rows"].tolist() == [2, 2, 0]
    assert found["customers"].tolist() == [pd.NA, 2, 0]
    lab.spec.minimum_cell = 3
    assert profile.tables_profile(lab)["customers"].tolist() == [pd.NA, pd.NA, 0]
    assert found["first_day"].tolist() == [pd.NaT, pd.Timestamp("2024-01-05"), pd.NaT]
    assert found["days_without_rows"].tolist() == [pd.NA, 1, pd.NA]
    assert found["emptiest_column"].dropna().tolist() == ["category"]
    assert found["share_missing"].dropna().tolist() == [0.5]


def test_each_main_time_is_a_time_of_its_table():
    for name, column in schemas.MAIN_TIME.items():
        assert schemas.column_types(name)[column] == schemas.TIME
    assert set(schemas.TABLES) - set(schemas.MAIN_TIME) == {"order_lines"}


def test_weeks_without_orders_are_there_and_cut_weeks_are_marked(orders):
    table = profile.orders_by_week(orders)
    # 1 January 2024 is a Monday; the last order is on a Sunday: three whole weeks.
    assert table["orders"].tolist() == [4, 0, 2]
    assert table["whole"].all()
    assert table["amount"].tolist() == [30, 0, 995]
    shorter = orders.filter(orders["ordered_at"] < pd.Timestamp("2024-01-21"))
    assert profile.orders_by_week(shorter)["whole"].tolist() == [True, True, False]


def test_the_figure_shows_what_its_words_say(orders):
    table = profile.orders_by_week(orders)
    axes = profile.plot_weeks(table)
    assert axes.lines[0].get_ydata().tolist() == [4, 0, 2]
    words = profile.describe_weeks(table)
    assert "1 January 2024 (4)" in words and "8 January 2024 (0)" in words
    table.loc[2, "whole"] = False
    assert profile.plot_weeks(table).lines[0].get_ydata().tolist() == [4, 0]
    assert "no whole week" in profile.describe_weeks(table.assign(whole=False))
