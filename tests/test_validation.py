"""Validation: raw files to accepted and quarantined rows, each row kept, and CDNOW's own figures."""

import datetime as dt
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyaltylab import contract, engine, schemas, validation
from loyaltylab.dataset import Lab
from loyaltylab.errors import LabError
from loyaltylab.validation import profile, tables
from tests.shop import accepted, orders, refused

ROOT = Path(__file__).parents[1]
MONEY = schemas.MONEY


def test_each_rule_broken_once(shop):
    checked = shop.check(
        orders(
            "a;1;2024-01-05;10",
            "b;2;2024-01-05;",
            "c;3;2024-01-05;ten",
            "d;4;2024-02-30;10",
            "e;5;1949-12-31;10",
            "f;6;2024-07-01;10",
            "a;7;2024-01-05;10",
            "g;;2024-01-05;10",
            "h;8;2024-01-05",
            "i;9;;inf",
            ";10;2024-06-30 23:59;10",
            ";10;2024-06-30 23:59;10",  # no order_id, so no second order of one
            "a;1;2024-01-05;10",
            "j;11;2024-01-05;-5",
        ),
        until="2024-06-30",
    )
    assert refused(checked) == {
        2: ["amount is missing"],
        3: ["amount is not a number"],
        4: ["ordered_at is not a date"],
        5: ["ordered_at is before 1950-01-01"],
        6: ["ordered_at is after observed_until, 2024-06-30"],
        7: ["order_id appears again, with other values"],
        8: ["record_id is missing"],
        9: ["row cannot be read: wrong number of fields"],
        10: ["amount is not a number", "ordered_at is missing"],
        13: ["repeats an earlier row"],
    }
    assert accepted(checked, "order_id", "record_id", "amount") == [
        ("a", "1", 10),
        (None, "10", 10),
        (None, "10", 10),
        ("j", "11", -5),
    ]
    assert validation.counts(checked) == {
        "read": 14,
        "accepted": 4,
        "quarantined": 10,
        "expired": 0,
    }
    assert validation.reason_counts(checked).head(2).to_records(index=False).tolist() == [
        ("amount is not a number", 2),
        ("amount is missing", 1),
    ]


def test_another_currency_is_not_added_up(shop):
    text = "order_id,record_id,ordered_at,amount,currency\n"
    rows = ["a,1,2024-01-05,10,EUR", "b,2,2024-01-05,10,", "c,3,2024-01-05,10,eur"]
    rows += ["d,4,2024-01-05,10,USD", "d,4,2024-01-05,9,€", "e,5,2024-01-05,x,$"]
    checked = shop.check((text + "\n".join(rows), {"source": "shop"}))
    assert refused(checked) == {
        4: ["currency is not EUR", "order_id appears again, with other values"],
        6: ["amount is not a number", "currency is not EUR"],
    }
    # Of order d the row that breaks no other rule is kept, though it is the second.
    assert accepted(checked, "order_id", "amount") == [("a", 10), ("b", 10), ("c", 10), ("d", 9)]


def test_quarantine_holds_what_the_file_holds(shop):
    checked = shop.check(
        orders("a;1;05.01.2024; x ", "b;2", 'c;3;2024-01-05;"7"'), orders("d;4;no;", path="two.csv")
    )
    found = checked.quarantined.to_pyarrow().to_pylist()
    assert [(r["file"], r["row"]) for r in found] == [("0.csv", 1), ("0.csv", 2), ("two.csv", 1)]
    first = {"order_id": "a", "record_id": "1", "ordered_at": "05.01.2024", "amount": " x "}
    assert json.loads(found[0]["original"]) == first
    assert found[1]["original"] == "b;2"
    assert json.loads(found[2]["original"])["amount"] is None
    assert accepted(checked, "record_id") == [("3",)]


def test_the_first_good_row_of_an_order_is_kept(shop):
    checked = shop.check(
        orders("a;1;2024-01-05;x", "a;2;2024-01-05;1", "a;3;2024-01-05;2"),
        orders("a;4;2024-01-05;3"),
        orders("a;5;2024-01-05;4", source="till"),  # another system numbers for itself
    )
    assert accepted(checked, "source", "record_id") == [("shop", "2"), ("till", "5")]
    reasons = [r["reasons"] for r in checked.quarantined.to_pyarrow().to_pylist()]
    assert reasons == [
        ["amount is not a number", "order_id appears again, with other values"],
        ["order_id appears again, with other values"],
        ["order_id appears again, with other values"],
    ]


def test_a_column_may_name_the_source(shop):
    text = "source,record_id,ordered_at,amount\ntill,1,2024-01-05,1\n,2,2024-01-05,1\n"
    checked = shop.check((text, {"source": "shop"}))
    assert accepted(checked, "source", "record_id") == [("till", "1")]
    assert refused(checked) == {2: ["source is missing"]}


def test_german_export(shop):
    """Semicolons, decimal comma, dots for thousands, day first, Windows letters."""
    text = (
        "Beleg;Kunde;Datum;Betrag €\n"
        "0017;0815;05.01.2024 09:30;1.234,50\n"
        '0018;Müller;31.12.2023 23:59;"-3,99"\n'
        "0019;x;31.11.2023 10:00;1\n"
        "0020;x;05.01.2024 10:00;1.23\n"
    ).encode("cp1252")
    columns = {
        "order_id": "Beleg",
        "record_id": "Kunde",
        "ordered_at": "Datum",
        "amount": "Betrag €",
    }
    options = {"decimal": ",", "thousands": ".", "encoding": "cp1252", "delimiter": ";"}
    options |= {"date_format": "%d.%m.%Y %H:%M", "source": "erp", "columns": columns}
    checked = shop.check((text, options))
    assert accepted(checked, "order_id", "record_id", "ordered_at", "amount") == [
        ("0017", "0815", dt.datetime(2024, 1, 5, 9, 30), Decimal("1234.5")),
        ("0018", "Müller", dt.datetime(2023, 12, 31, 23, 59), Decimal("-3.99")),
    ]
    assert refused(checked) == {
        3: ["ordered_at is not a date"],
        4: ["amount is not a number"],
    }


def test_parquet_of_other_types(shop):
    table = pa.table(
        {
            "order_id": [1, 2, 3],
            "record_id": [7, 8, 9],
            "ordered_at": [20240105, 20240106, 20240230],
            "amount": [0.1, float("nan"), 1.0],
        }
    )
    pq.write_table(table, shop.folder / "a.parquet")
    data = (shop.folder / "a.parquet").read_bytes()
    options = {"path": "a.parquet", "source": "s", "date_format": "%Y%m%d"}
    checked = shop.check((data, options))
    assert accepted(checked, "order_id", "record_id", "ordered_at", "amount") == [
        ("1", "7", dt.datetime(2024, 1, 5), Decimal("0.1"))
    ]
    assert refused(checked) == {2: ["amount is not a number"], 3: ["ordered_at is not a date"]}


def test_a_parquet_file_damaged_in_the_middle(shop):
    n = 20_000
    table = {"record_id": [str(i) for i in range(n)], "ordered_at": ["2024-01-05"] * n}
    table["amount"] = [i / 7 for i in range(n)]
    pq.write_table(pa.table(table), shop.folder / "a.parquet", compression="zstd")
    data = (shop.folder / "a.parquet").read_bytes()
    damaged = data[:2000] + bytes(200) + data[2200:]
    with pytest.raises(LabError) as error:
        shop.check((damaged, {"path": "a.parquet", "source": "s"}))
    assert str(error.value) == (
        "a.parquet: expected a file to read to its end, found it damaged. Export it again."
    )


def test_parquet_dates_and_times(shop):
    noon = dt.datetime(2024, 1, 5, 12)
    times = {
        "day": pa.array([noon.date()]),
        "moment": pa.array([noon], pa.timestamp("ns")),
        "utc": pa.array([noon], pa.timestamp("us", tz="Europe/Berlin")),
    }
    for name, values in times.items():
        row = {"record_id": [1], "ordered_at": values, "amount": pa.array([Decimal("1.20")])}
        pq.write_table(pa.table(row), shop.folder / "a.parquet")
        data = (shop.folder / "a.parquet").read_bytes()
        checked = shop.check((data, {"path": "a.parquet", "source": "s"}))
        expected = dt.datetime(2024, 1, 5) if name == "day" else noon
        assert accepted(checked, "ordered_at", "amount") == [(expected, Decimal("1.2"))]


def test_amounts_are_exact(shop):
    checked = shop.check(orders(*[f";{i};2024-01-05;0.1" for i in range(10)]))
    total = checked.accepted["amount"].sum().to_pyarrow().as_py()
    assert total == Decimal("1.0000")


# ---- Types.

ISO = {
    "2024-01-05": dt.datetime(2024, 1, 5),
    "2024-01-05 10:00": dt.datetime(2024, 1, 5, 10),
    "2024-01-05T10:00:30": dt.datetime(2024, 1, 5, 10, 0, 30),
    "2024-01-05T10:00:30.25Z": dt.datetime(2024, 1, 5, 10, 0, 30, 250_000),
    "2024-01-05 10:00:00 UTC": dt.datetime(2024, 1, 5, 10),
    # The customer's own day, whatever day it is in Greenwich.
    "2024-01-05T00:30:00+02:00": dt.datetime(2024, 1, 5, 0, 30),
    "2024-01-05 23:30:00-0500": dt.datetime(2024, 1, 5, 23, 30),
    "2024-02-29": dt.datetime(2024, 2, 29),
}
NO_ISO = ["2023-02-29", "05.01.2024", "20240105", "2024-1-5", "2024-01", "24-01-05", "infinity"]
NO_ISO += ["epoch", "2024-01-05 (BC)", "2024-01-05 25:00", "2024-01-05x", "today", "1704412800"]


def values(con, texts, parse):
    """Each text on its own, as `parse` reads it."""
    table = ibis.memtable(
        {"i": range(len(texts)), "text": texts}, schema={"i": "int", "text": "string"}
    )
    found = con.to_pyarrow(table.select("i", value=parse(table["text"])).order_by("i"))
    return found["value"].to_pylist()


def test_iso_dates(con):
    found = values(con, [*ISO, *NO_ISO], lambda t: engine.parse_timestamp(t, None))
    assert found == [*ISO.values(), *(None for _ in NO_ISO)]


def test_dates_by_pattern(con):
    dates = {"5.1.24": dt.datetime(2024, 1, 5), "31.11.23": None, "5.1.24 10:00": None, "": None}
    found = values(con, list(dates), lambda t: engine.parse_timestamp(t, "%d.%m.%y"))
    assert found == list(dates.values())


def literally(text, decimal, thousands):
    """What a person would take the text for: its number as a Decimal, or None."""
    marks = {" ": " \u00a0\u202f", "'": "'\u2019"}.get(thousands, thousands)
    mantissa, e, exponent = text.replace("E", "e").partition("e")
    digits = exponent[1:] if exponent[:1] in tuple("+-") else exponent
    if e and not (digits.isascii() and digits.isdigit()):
        return None
    sign, rest = (mantissa[0], mantissa[1:]) if mantissa[:1] in tuple("+-") else ("", mantissa)
    whole, _, fraction = rest.partition(decimal)
    if fraction and not (fraction.isascii() and fraction.isdigit()):
        return None
    groups = [whole]
    if marks:
        for mark in marks:
            whole = whole.replace(mark, "|")
        groups = whole.split("|")
    no_digits = not all(group.isascii() and group.isdigit() for group in groups)
    if no_digits and not (whole == "" and fraction):
        return None
    if len(groups) > 1 and (len(groups[0]) > 3 or any(len(g) != 3 for g in groups[1:])):
        return None
    return Decimal(f"{sign}{''.join(groups) or 0}.{fraction or 0}{'e' + exponent if e else ''}")


NUMBERS = st.text(st.sampled_from("0012345679.,' \u00a0+-eE_x"), max_size=9)


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(NUMBERS, min_size=1, max_size=40),
    marks=st.sampled_from([(".", ""), (",", ""), (",", "."), (".", ","), (",", " "), (".", "'")]),
)
def test_numbers_against_a_literal_reading(con, texts, marks):
    decimal, thousands = marks
    texts += ["1234", "1 234", "1.234,5", "1,234.5", "1'234.5", "1.5", "1,5", "-.5", "1_000", "nan"]
    texts += ["5E-10", "-5e-6", "15E-5", "1E17"]
    read = [literally(text, decimal, thousands) for text in texts]
    four = Decimal("0.0001")
    expected = [
        None if n is None or abs(n) >= Decimal("1e14") else float(n.quantize(four, "ROUND_HALF_UP"))
        for n in (n if n is None or abs(n) < Decimal("1e15") else Decimal("1e15") for n in read)
    ]

    def parse(dtype):
        return lambda text: engine.parse_number(text, dtype, decimal=decimal, thousands=thousands)

    money = values(con, texts, parse(MONEY))
    assert [None if n is None else float(n) for n in money] == expected
    floats = values(con, texts, parse(schemas.NUMBER))
    for text, number, found in zip(texts, read, floats, strict=True):
        if number is None or abs(number) > Decimal("1.7e308"):
            assert found is None, text
        else:
            assert found == pytest.approx(float(number), rel=1e-12), text


def test_signs_of_money_stand_beside_a_number_and_nowhere_else(con):
    texts = {"12,5 €": 12.5, "€12,5": 12.5, "-€ 1.200": -1200, "€ -3": -3, "7\u00a0€": 7, "8": 8}
    texts |= {"€": None, "€5€": None, "1€2": None, "$5": None, "5 € ": None, "5  €": None}

    def parse(text):
        return engine.parse_number(text, MONEY, decimal=",", thousands=".", sign="€")

    found = values(con, list(texts), parse)
    assert [None if n is None else float(n) for n in found] == list(texts.values())


def test_whole_numbers(con):
    texts = {"7": 7, "7.0": 7, "-7.": -7, "7.5": None, "7.00001": None, "1e3": None, "x": None}
    parse = engine.parse_number
    found = values(con, list(texts), lambda t: parse(t, schemas.WHOLE, decimal=".", thousands=""))
    assert found == list(texts.values())


def test_infinite_numbers_are_none(con):
    texts = ["1e400", "inf", "-Infinity", "NaN", "1e308"]
    parse = engine.parse_number
    found = values(con, texts, lambda t: parse(t, schemas.NUMBER, decimal=".", thousands=""))
    assert found == [None, None, None, None, 1e308]


def test_yes_and_no(shop):
    words = ["true", "No", "1", "nein", "", "perhaps"]
    rows = "".join(f"{i},{word}\n" for i, word in enumerate(words))
    text = "record_id,consent_analytics\n" + rows
    checked = shop.check((text, {"source": "crm"}), table="customers")
    assert accepted(checked, "consent_analytics") == [(True,), (False,), (True,), (False,), (None,)]
    assert refused(checked) == {6: ["consent_analytics is not a yes or no"]}


# ---- No row is lost.

FIELD = st.sampled_from(
    ["", "1", "2024-01-05", "x", '"', '"a\nb"', "é", "1e400", "-0.5", "a;b", "\xff"]
)
LINE = st.lists(FIELD, min_size=1, max_size=5).map(";".join)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lines=st.lists(LINE | st.sampled_from(["a;1;2024-01-05;1", "b;2;2024-01-05;2"]), max_size=12),
    last=st.booleans(),
)
def test_read_is_accepted_plus_quarantined(shop, lines, last):
    text = "order_id;record_id;ordered_at;amount\n" + "\n".join([*lines, "c;3;2024-01-05;3"])
    data = text.encode("latin-1") if last else text.encode()
    checked = shop.check((data, {"source": "shop", "delimiter": ";"}))
    rows = checked.rows.to_pyarrow().to_pylist()
    assert sorted(row["_row"] for row in rows) == list(range(1, len(rows) + 1))
    counted = validation.counts(checked)
    assert counted["read"] == counted["accepted"] + counted["quarantined"] == len(rows)
    assert counted["accepted"] == len(accepted(checked, "amount"))
    assert counted["quarantined"] == len(refused(checked))
    assert all(refused(checked).values())
    assert [r for r in accepted(checked, "order_id") if r == ("c",)] == [("c",)]
    # What DuckDB or Python holds for a record may span lines; no line is in no record.
    if '"' not in text:
        assert len(rows) == sum(1 for line in [*lines, "c"] if line)


def test_a_lost_row_would_be_noticed(shop):
    checked = shop.check(orders("a;1;2024-01-05;1", "b;2;2024-01-05;x"))
    lost = replace(checked, rows=checked.rows.filter(checked.rows["_row"] == 2))
    with pytest.raises(RuntimeError, match="orders: 2 rows read"):
        validation.counts(lost)


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (orders(), "orders: expected rows, found a header alone. Export the file again."),
        (
            orders("a;1;5.1.24;1", "b;2;6.1.24;x"),
            "orders: expected rows to work with; none of 2 could be accepted, 2 because ordered_at "
            "is not a date. Correct the file, or how dataset.yml says to read it (columns, "
            "date_format, decimal, encoding, currency).",
        ),
    ],
)
def test_no_order_at_all(shop, file, problem):
    with pytest.raises(LabError) as error:
        shop.check(file)
    assert str(error.value) == problem


def test_another_table_may_be_empty(shop):
    text = "record_id,requested_at\n"
    checked = shop.check((text, {"source": "crm"}), table="erasures")
    assert validation.counts(checked) == {"read": 0, "accepted": 0, "quarantined": 0, "expired": 0}
    with pytest.raises(LabError, match=r"erasures: .* none of 1 could be accepted"):
        shop.check((text + "1,soon\n", {"source": "crm"}), table="erasures")


def test_many_files(shop):
    checked = shop.check(*[orders(f"{i};1;2024-01-05;1") for i in range(30)])
    assert [order_id for (order_id,) in accepted(checked, "order_id")] == [
        str(i) for i in range(30)
    ]


def test_columns_mapped_wrongly(shop):
    with pytest.raises(LabError) as error:
        shop.check(orders("a;1;2024-01-05;1", columns={"amout": "amount", "channel": "shop"}))
    columns = ", ".join(schemas.column_types("orders"))
    assert str(error.value).splitlines() == [
        'orders: unknown column "amout" in dataset.yml under columns; expected one of '
        f'{columns}. Did you mean "amount"?',
        'orders: column "shop" not found in 0.csv; it has order_id, record_id, ordered_at, amount. '
        "Correct it in dataset.yml under columns, where it is mapped to channel.",
    ]


def test_a_column_may_serve_twice(shop):
    checked = shop.check(orders("a;1;2024-01-05;1", columns={"order_id": "record_id"}))
    assert accepted(checked, "order_id", "record_id") == [("1", "1")]


# ---- Choices about orders.


def test_what_is_put_aside_only_if_asked(shop):
    rows = [
        "a;1;2024-01-05;10",
        "b;1;2024-01-06;-10",
        "c;1;2024-01-05 20:00;3",
        "d;2;2024-01-05;0",
        "e;2;2024-01-06;-1",
        ";3;2024-01-05;1",
        ";3;2024-01-05;1",
    ]
    chosen = {
        (): {},
        ("negative_amounts",): {5: ["amount is below 0"]},
        ("cancelled_orders",): {
            1: ["amount is netted by a later cancellation"],
            2: ["amount is below 0 and cancels an earlier order"],
        },
        ("zero_amounts",): {4: ["amount is 0"]},
        ("exact_duplicates",): {7: ["repeats an earlier row"]},
        ("same_day_orders",): {
            3: ["ordered_at is on the day of an earlier order"],
            7: ["repeats an earlier row"],
        },
    }
    for put_aside, expected in chosen.items():
        checked = shop.check(orders(*rows), put_aside=put_aside, cancelled_within=14)
        assert refused(checked) == expected, put_aside
    # Beyond the days that are given, an amount below 0 cancels nothing.
    checked = shop.check(orders(*rows), put_aside=("negative_amounts",), cancelled_within=0)
    assert refused(checked) == {2: ["amount is below 0"], 5: ["amount is below 0"]}


# ---- Exports that overlap.


def test_a_file_that_comes_again(shop):
    """Without order ids, rows of a second file repeat those of the first, as often as there; where
    the files have them, a row that lacks its own is left alone."""
    rows = [";1;2024-01-05;1", ";1;2024-01-05;1", "broken", ";2;2024-01-05;1"]
    checked = shop.check(orders(*rows), orders(*rows, ";1;2024-01-05;1"))
    assert validation.counts(checked) == {"read": 9, "accepted": 7, "quarantined": 2, "expired": 0}

    def plain(*rows):
        text = "record_id;ordered_at;amount\n" + "".join(row[1:] + "\n" for row in rows)
        return text, {"source": "shop", "delimiter": ";"}

    checked = shop.check(plain(*rows), plain(*rows, ";1;2024-01-05;1"))
    found = checked.quarantined.to_pyarrow().to_pylist()
    unread = ["row cannot be read: wrong number of fields"]
    assert [(r["file"], r["row"], r["reasons"]) for r in found] == [
        ("0.csv", 3, unread),
        ("1.csv", 1, ["repeats an earlier row"]),
        ("1.csv", 2, ["repeats an earlier row"]),
        ("1.csv", 3, unread),
        ("1.csv", 4, ["repeats an earlier row"]),
    ]


def test_rows_that_cannot_be_read_repeat_nothing(shop):
    checked = shop.check(
        orders("x", "y", "a;1;2024-01-05;1"), put_aside=("exact_duplicates", "same_day_orders")
    )
    unread = ["row cannot be read: wrong number of fields"]
    assert refused(checked) == {1: unread, 2: unread}


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a.csv"], ["orders"]),
        ([{"path": "a.csv", "source": "shop"}, {"path": "b.csv", "source": "till"}],
         ["orders.shop", "orders.till"]),
        ([{"path": "a.csv", "source": "shop"}, "b.csv", {"path": "c.csv", "source": "shop"}],
         ["orders.1", "orders.2", "orders.3"]),
    ],
)  # fmt: skip
def test_names_of_exports(files, names):
    entries = [contract.File.model_validate(file) for file in files]
    assert tables.export_names("orders", entries) == names


# ---- The declaration.


def test_ranges_and_choices(shop):
    text = "response_id,record_id,instrument,sent_at,score\n"
    rows = [
        "a,1,nps,2024-01-05,10",
        "b,1,nps,2024-01-05,10.5",
        "c,1,sus,2024-01-05,",
        "d,1,ces,,-1",
    ]
    checked = shop.check((text + "\n".join(rows), {"source": "s"}), table="surveys")
    assert refused(checked) == {
        2: ["score is outside the instrument's scale"],
        3: ["instrument is none of nps, csat, ces"],
        4: ["sent_at is missing", "score is outside the instrument's scale"],
    }


# ---- Whole datasets.


def test_cdnow(con, monkeypatch, tmp_path):
    """Figures of the issue, which are those of the master file: see data/cdnow/dataset.yml."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("LOYALTYLAB_DERIVED", str(tmp_path))
    lab = Lab("cdnow")
    findings = validation.validate(lab)
    (counted,) = findings.exports.to_dict("records")
    assert (counted["export"], counted["read"], counted["accepted"]) == ("orders", 69_659, 69_659)
    assert counted["quarantined"] == 0
    assert findings.reasons.empty and findings.broken.empty
    assert findings.changes[["kind", "values"]].values.tolist() == [["date read as %Y%m%d", 69_659]]
    found = profile.orders_profile(lab.table("orders"))
    assert found["customers"] == 23_570
    assert found["exact_duplicates"] == 255
    assert found["zero_amounts"] == 80
    assert found["repeated_customer_days"] == 2_068
    assert lab.table("orders").columns == tuple(schemas.column_types("orders"))
    assert sorted(p.name for p in tmp_path.glob("cdnow/[a-z]*/*")) == ["orders.parquet"] * 3


def test_a_table_no_longer_named_is_removed(monkeypatch, tmp_path):
    for folder in ("notebooks", "data/a"):
        (tmp_path / folder).mkdir(parents=True)
    folder = tmp_path / "data/a"
    (folder / "orders.csv").write_text("record_id,ordered_at,amount\na,2024-01-05,10\n")
    (folder / "erasures.csv").write_text("record_id,requested_at\na,2024-01-05\n")
    contract = "title: A\ncurrency: EUR\ntables:\n  orders: {path: orders.csv, source: shop}\n"
    more = contract + "  erasures: {path: erasures.csv, source: shop}\n"
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOYALTYLAB_DERIVED", raising=False)
    for text, there in ((more, ["erasures", "orders"]), (contract, ["orders"])):
        (folder / "dataset.yml").write_text(text)
        lab = Lab("a")
        validation.validate(lab)
        for derived in (lab.validated, lab.quarantine, lab.audit):
            assert sorted(p.stem for p in derived.iterdir()) == there


def test_two_runs_write_the_same_bytes(shop, tmp_path):
    rows = [f"{i % 50};{i};2024-01-{i % 31 + 1:02};{i / 7:.2f}" for i in range(2000)]
    written = []
    for run in "ab":
        checked = shop.check(orders(*rows, "broken"))
        folder = tmp_path / run
        counted = validation.write(
            checked, validated=folder / "v", quarantine=folder / "q", audit=folder / "a"
        )
        assert counted == validation.counts(checked)
        written.append([p.read_bytes() for p in sorted(folder.rglob("*.parquet"))])
    assert written[0] == written[1]
    assert len(written[0]) == 3
