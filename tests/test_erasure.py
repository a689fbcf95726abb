"""Forgetting: whom a request reaches, tombstones, and that nothing of them is left in any file."""

import datetime as dt
import hashlib
import hmac
import shutil

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ibis.backends.duckdb import Backend

from loyaltylab import validation
from loyaltylab.dataset import Lab
from loyaltylab.linkage import devices, erasure, persons, removal
from loyaltylab.linkage.keys import Keys

TEXT, TIME = pa.string(), pa.timestamp("us")
KEY = b"a key of the tests"
KEYS = Keys(KEY)
REQUEST = {"source": TEXT, "record_id": TEXT, "requested_at": TIME}
RECORD = {"source": TEXT, "record_id": TEXT, "person_id": TEXT, "confidence": pa.float64()}


def at(number):
    return dt.datetime(2024, 1, number, 12)


@pytest.fixture(scope="module")
def con(either):
    return either


@pytest.fixture
def load(con, tmp_path):
    def load(rows, schema):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
        listed = [dict(zip(schema, row, strict=True)) for row in rows]
        pq.write_table(pa.Table.from_pylist(listed, pa.schema(schema)), path)
        return con.read_parquet(str(path))

    return load


# ---- Whom a request reaches.

ASSIGNED = [
    ("shop", "1", "p", 1.0),
    ("shop", "2", "p", 0.9),
    ("crm", "1", "p", 0.7),  # a weak link
    ("crm", "2", "q", 1.0),
    ("crm", "3", "r", 0.5),  # named itself, though it may not be r's
    ("shop", "3", "r", 1.0),
]


def reached(load, requests, certain=0.9):
    found = erasure.to_erase(load(requests, REQUEST), load(ASSIGNED, RECORD), certain=certain)
    erase = found.erase.order_by("source", "record_id").to_pyarrow().to_pylist()
    decide = found.decide.order_by("source", "record_id").to_pyarrow().to_pylist()
    return [tuple(row.values()) for row in erase], [tuple(row.values()) for row in decide]


def test_a_request_reaches_all_sure_records_of_the_person(load):
    erase, decide = reached(load, [("shop", "1", at(5)), ("shop", "1", at(3))])
    assert erase == [("shop", "1", "p", at(3)), ("shop", "2", "p", at(3))]
    assert decide == [("crm", "1", "p", at(3), 0.7)]


def test_certainty_is_that_of_both_links(load):
    # 0.9 × 1.0 reaches shop/1 just so; 0.9 × 0.7 does not reach crm/1.
    erase, decide = reached(load, [("shop", "2", at(3))])
    assert [row[:2] for row in erase] == [("shop", "1"), ("shop", "2")]
    assert decide == [("crm", "1", "p", at(3), pytest.approx(0.63))]
    # A record named itself goes, however weak its link, and takes nobody with it by that link.
    erase, decide = reached(load, [("crm", "3", at(3))])
    assert [row[:2] for row in erase] == [("crm", "3")]
    assert decide == [("shop", "3", "r", at(3), 0.5)]
    assert reached(load, [("crm", "3", at(3))], certain=0.5)[1] == []


def test_the_surest_of_several_requests_counts(load):
    requests = [("crm", "1", at(9)), ("shop", "1", at(4))]
    erase, decide = reached(load, requests)
    assert [row[:2] for row in erase] == [("crm", "1"), ("shop", "1"), ("shop", "2")]
    assert [row[3] for row in erase] == [at(9), at(4), at(4)] and decide == []
    assert reached(load, requests[::-1] * 2) == (erase, decide)


def test_a_record_that_linkage_does_not_know_goes_as_well(load):
    assert reached(load, [("app", "1", at(1))]) == ([("app", "1", None, at(1))], [])
    assert reached(load, []) == ([], [])


# ---- Tombstones.


def test_a_tombstone_by_hand():
    expected = hmac.new(KEY, b'["shop", "7"]', hashlib.sha256).hexdigest()
    assert erasure.tombstone(KEY, "shop", "7") == expected
    assert erasure.tombstone(b"another", "shop", "7") != expected


@given(st.text(), st.text(), st.text(), st.text())
def test_no_two_records_share_a_tombstone(a, b, c, d):
    assume((a, b) != (c, d))
    assert erasure.tombstone(KEY, a, b) != erasure.tombstone(KEY, c, d)
    # Nor do those in which the sign between the two has moved.
    for mark in ('", "', ":", "\0", "\\"):
        first = erasure.tombstone(KEY, a + mark + b, c)
        assert first != erasure.tombstone(KEY, a, b + mark + c)


def test_tombstones_are_known_again_without_the_request(load, tmp_path):
    path = tmp_path / "stones.csv"
    assigned = load(ASSIGNED, RECORD)
    assert erasure.forgotten(assigned, path, KEYS).to_pyarrow().num_rows == 0
    asked = load([("shop", "1", at(9)), ("crm", "2", at(2))], REQUEST)
    erasure.remember(path, KEYS, asked)
    once = path.read_bytes()
    erasure.remember(path, KEYS, load([("shop", "1", at(11))], REQUEST))  # later: nothing new
    assert path.read_bytes() == once
    header, *lines = once.decode().splitlines()
    assert header == "tombstone,requested_on" and lines == sorted(lines) and len(lines) == 2
    assert f"{erasure.tombstone(KEY, 'crm', '2')},2024-01-02" in lines
    found = erasure.forgotten(assigned, path, KEYS).order_by("source").to_pyarrow().to_pylist()
    midnight = dt.datetime(2024, 1, 9)
    assert [tuple(row.values()) for row in found] == [
        ("crm", "2", "q", dt.datetime(2024, 1, 2)),
        ("shop", "1", "p", midnight),
    ]
    assert erasure.forgotten(assigned, path, Keys(b"another")).to_pyarrow().num_rows == 0


# ---- Every derived file of a dataset.

YML = """
title: Small
currency: EUR
tables:
  orders: {path: raw/orders.csv, source: shop, columns: {order_id: Order, record_id: Customer}}
  order_lines: raw/lines.csv
  customers:
  - {path: raw/shop.csv, source: shop, country: DE, columns: {record_id: Customer}}
  - {path: raw/crm.csv, source: crm, delimiter: ";"}
  tickets: {path: raw/tickets.jsonl, source: shop}
  visits: {path: raw/visits.csv, source: shop}
  feedback: raw/feedback.csv
  erasures: raw/erasures.csv
"""
RAW = {
    # 7700001 and 7700003 are Zebulon's, the second put aside for its HTML; so are K-7700002 in the
    # CRM, and a row there that cannot be read.
    # Zebulon recommended the shop to Ann, and to 44, whose row is put aside.
    "shop.csv": """Customer,given_name,family_name,email,phone,referred_by
7700001,Zebulon,Quastenhuber,Zebulon@quasten.example,0151 77889900,42
7700003,<b>Zebulon</b>,Quastenhuber,zeb@quasten.example,,
42,Ann ,Berg,ann@x.example,0151 11223344,7700001
43,<b>Bo</b>,Dahl,bo@x.example,,42
44,<b>Di</b>,Dahl,di@x.example,,7700001
""",
    "crm.csv": """record_id;given_name;family_name;email;phone
K-7700002; Zebulon ;Quastenhuber;;+49 151 77889900
K-9;Anna ;Berg;ann@x.example;
K-8;Cy;Moe;cy@x.example;;;1
K-5;a row of;Zebulon;Quastenhuber;that has;too many fields
K-6;a row of;zebulon@quasten.example;that;has;too many
K-7;a row of;0151/778 899 00;that;has;too many
a row of;K-7700002;that;has;too;many
""",
    "orders.csv": """Order,Customer,ordered_at,amount,currency
ord-z1,7700001,2024-01-01,10,EUR
ord-z2,7700001,2024-01-02,10,NOK
ord-a1,42,2024-01-03,10,EUR
ord-a2,42,2024-01-04,10,NOK
ord-z3,K-1,2024-01-05,10,EUR
""",
    "lines.csv": """order_id,product_id,quantity,unit_price
ord-z1,cup-z,1,10
ord-z2,jug-z,1,10
ord-z2,jug-z,x,10
ord-a1,cup,1,10
ord-a2,jug,1,10
ord-a1,jug,x,10
""",
    "tickets.jsonl": """{"ticket_id": "t1", "record_id": "7700001", "opened_at": "2024-01-02",\
 "text": "Zebulon \\u200bhere"}
{"ticket_id": "t2", "record_id": "42", "opened_at": "2024-01-02", "text": "Ann here"}
{"ticket_id": "t3", "record_id": "7700001", "opened_at": "never", "text": "Zebulon again"}
""",
    "visits.csv": """visit_id,device_id,record_id,started_at,stage
v1,dev-z,,2024-01-01,view
v2,dev-z,7700001,2024-01-02,view
v3,dev-z,,2024-01-03,nowhere
v4,dev-both,7700001,2024-01-04,view
v5,dev-both,42,2024-01-05,view
v6,dev-both,,2024-01-06,view
v7,dev-none,,2024-01-07,view
v8,dev-aside,7700001,2024-01-08,nowhere
v9,dev-aside,,2024-01-09,view
v10,dev-none,,2024-01-10,nowhere
""",
    "feedback.csv": """feedback_id,platform,posted_at,rating,text
f1,web,2024-01-01,5,good
""",
    "erasures.csv": """source,record_id,requested_at
shop,7700001,2024-01-20
shop,7700003,2024-01-21
""",
}  # fmt: skip
LINKS = [
    ("shop", "7700001", "p1", 1.0), ("shop", "7700003", "p1", 1.0), ("crm", "K-7700002", "p1", 1.0),
    ("shop", "42", "p2", 1.0), ("crm", "K-9", "p2", 1.0), ("shop", "43", "p3", 1.0),
    ("shop", "K-1", "p4", 1.0),
    ("crm", "K-4", "p1", 0.5),  # for a person to decide
]  # fmt: skip
FORGOTTEN = {"7700001", "7700003"}
SECRETS = [
    "zebulon", "zeb@", "quastenhuber", "quasten.example", "77889900", "7700001", "7700002",
    "7700003", "ord-z1", "ord-z2", "dev-z", "dev-aside", "cup-z", "jug-z",
]  # fmt: skip
DERIVED = ("validated", "quarantine", "audit", "linked")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A dataset validated and linked, to be copied."""
    root = tmp_path_factory.mktemp("root")
    (root / "notebooks").mkdir()
    folder = root / "data/small"
    (folder / "raw").mkdir(parents=True)
    (folder / "dataset.yml").write_text(YML)
    for name, text in RAW.items():
        (folder / "raw" / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        lab = Lab("small")
        validation.validate(lab)
        links = pa.Table.from_pylist(
            [dict(zip(RECORD, row, strict=True)) for row in LINKS], pa.schema(RECORD)
        )
        assigned = lab.engine.create_table("assigned", links, temp=True)
        signed = devices.sign_ins(lab.table("visits"), assigned)
        owners = devices.owners(signed, 0.1)
        orders = lab.table("orders")
        used = orders.group_by("source", "record_id").agg(used_at=orders["ordered_at"].max())
        one = assigned.rename("{name}_l")
        other = assigned.rename("{name}_r")
        pairs = one.join(other, one["person_id_l"] == other["person_id_r"])
        tables = {
            "assigned": assigned,
            "devices": owners,
            "persons": persons.golden(lab.table("customers"), assigned, used),
            "pairs": pairs.drop("person_id_l", "person_id_r"),
            "visits": devices.attribute(lab.table("visits"), assigned, owners),
        }
        lab.linked.mkdir()
        for name, rows in tables.items():
            lab.engine.to_parquet(rows, lab.linked / f"{name}.parquet", COMPRESSION="zstd")
    return root


@pytest.fixture
def lab(world, tmp_path, monkeypatch):
    root = tmp_path / "root"
    shutil.copytree(world, root)
    monkeypatch.chdir(root)
    return Lab("small")


def contents(lab):
    """Path → bytes, of all files but what the engine spills."""
    paths = (p for p in lab.folder.rglob("*") if p.is_file() and ".scratch" not in p.parts)
    return {p.relative_to(lab.folder).as_posix(): p.read_bytes() for p in paths}


def parquet(lab, name):
    return pq.read_table(lab.folder / f"{name}.parquet").to_pylist()


def left_of(lab):
    """(file, secret) for each that is there: in the bytes, or in the values that they unpack to."""
    found = []
    for name, data in contents(lab).items():
        if name.split("/")[0] in DERIVED:
            table = pq.read_table(lab.folder / name)
            text = (str(table.to_pylist()) + data.decode("latin-1")).lower()
            found += [(name, secret) for secret in SECRETS if secret in text]
    return found


def asked(lab):
    requests = lab.table("erasures")
    assigned = lab.engine.read_parquet(str(lab.linked / "assigned.parquet"))
    erase = erasure.to_erase(requests, assigned, certain=0.9).erase
    return lab.engine.create_table(ibis.util.gen_name("erase"), erase, temp=True)


def forget(lab, records=None):
    stones = lab.folder / "tombstones.csv"
    records = asked(lab) if records is None else records
    return removal.forget(lab, records, keys=KEYS, tombstones=stones)


def test_nothing_of_the_person_is_left(lab):
    there = {secret for _, secret in left_of(lab)}
    assert there == set(SECRETS)  # or this test would find nothing
    forget(lab)
    assert left_of(lab) == []
    names = set(contents(lab))
    assert {"validated/customers.parquet", "linked/persons.parquet", "tombstones.csv"} <= names
    assert not [name for name in names if ".part" in name]


def recommended_by_others(row):
    """The row without that a forgotten record recommended its customer."""
    return row | {"referred_by": None} if row.get("referred_by") in FORGOTTEN else row


def test_everybody_else_is_left_as_they_were(lab):
    before = {name: parquet(lab, name.removesuffix(".parquet")) for name in contents(lab)
              if name.endswith(".parquet")}  # fmt: skip
    lost = forget(lab)
    assert list(lost) == ["folder", "table", "rows"]
    counted = {f"{r.folder}/{r.table}.parquet": r.rows for r in lost.itertuples()}
    for name, rows in before.items():
        after = parquet(lab, name.removesuffix(".parquet"))
        assert len(rows) - len(after) == counted.get(name, 0)
        rest = iter(map(recommended_by_others, rows))
        assert all(row in rest for row in after), name  # the same rows in the same order

    def told(name, column):
        return [row[column] for row in parquet(lab, name)]

    assert told("validated/customers", "record_id") == ["42", "K-9"]
    assert told("validated/orders", "order_id") == ["ord-a1", "ord-z3"]
    assert told("validated/order_lines", "product_id") == ["cup", "jug"]
    assert told("validated/tickets", "ticket_id") == ["t2"]
    assert told("validated/visits", "visit_id") == ["v5", "v6", "v7"]
    assert told("validated/erasures", "record_id") == []
    assert told("validated/feedback", "feedback_id") == ["f1"]
    aside = [(row["file"], row["row"]) for row in parquet(lab, "quarantine/customers")]
    assert aside == [("raw/shop.csv", 4), ("raw/crm.csv", 3)]
    assert told("quarantine/orders", "row") == [4]
    assert told("quarantine/order_lines", "row") == [6]
    assert told("quarantine/tickets", "row") == []
    assert told("quarantine/visits", "row") == [10]
    noted = {(row["file"], row["row"]) for row in parquet(lab, "audit/customers")}
    assert noted == {("raw/shop.csv", 3), ("raw/crm.csv", 2)}
    assert sorted(set(told("linked/persons", "person_id"))) == ["p2", "p3", "p4"]
    assert set(told("linked/pairs", "record_id_l")) == {"42", "K-9", "43", "K-1", "K-4"}
    assert sorted(told("linked/devices", "device_id")) == ["dev-both"]
    # The weak record stays p1's; whose golden record is to be made anew, from it alone.
    stays = {row["record_id"]: row["person_id"] for row in parquet(lab, "linked/assigned")}
    assert stays == {"42": "p2", "K-9": "p2", "43": "p3", "K-1": "p4", "K-4": "p1"}


@pytest.mark.parametrize(
    ("original", "goes"),
    [
        ("12;Li;Bo", True),  # the number
        ("12", True),
        ("112;x", False),  # a number that it is part of
        ('{"a":"LI@X.example "}', True),
        ("ali@x.example", False),
        ("a;Bo ;b;Mo-Li", True),  # both names
        ("a;Bo;b;Moli", False),
        ("a;Bob;b;Mo-Li", False),
        ("a;b;Mo-Li", False),
        ("0151 / 234 56 789", True),
        ("0151 / 234 56 788", False),
        ("x", False),
    ],
)
def test_raw_rows_that_tell_nobody_by_what_they_hold(original, goes):
    named = {"email": "li@x.example", "phone": "+4915123456789"}
    named |= {"given_name": "Bo", "family_name": "Mo-Li"}
    values = [{"record_id": "12"} | named, {"record_id": "13"} | dict.fromkeys(named)]
    values += [{"record_id": "14"} | dict.fromkeys(named) | {"phone": "1"}]  # too short to tell
    record = {"source": "string", "record_id": "string"}
    nothing = {name: ibis.memtable([], schema={name: "string"})
               for name in ("person_id", "order_id", "device_id")}  # fmt: skip
    gone = removal._Gone(
        records=ibis.memtable([("crm", "12")], schema=record),
        persons=nothing["person_id"],
        orders=nothing["order_id"],
        devices=nothing["device_id"],
        values=ibis.memtable(
            pa.Table.from_pylist(values, pa.schema(dict.fromkeys(values[0], TEXT)))
        ),
    )
    schema = {"file": "string", "row": "int64"} | record | {"original": "string"}
    rows = ibis.memtable([("a", 1, None, None, original), ("a", 2, "crm", "9", original)],
                         schema=schema)  # fmt: skip
    found = (
        ibis.duckdb.connect()
        .to_pyarrow(removal._put_aside(rows, gone, quarantined=True))
        .to_pylist()
    )
    # A row that tells its record is that one's, whatever else it holds.
    assert found == ([{"file": "a", "row": 1}] if goes else [])


def test_an_order_of_another_system_with_the_same_number_stays():
    record = {"source": "string", "record_id": "string"}
    order = ibis.memtable([("7",)], schema={"order_id": "string"})
    gone = removal._Gone(
        records=ibis.memtable([("shop", "1")], schema=record),
        persons=ibis.memtable([], schema={"person_id": "string"}),
        orders=order,
        devices=ibis.memtable([], schema={"device_id": "string"}),
        values=order,
    )
    orders = [("shop", "1", "7"), ("till", "1", "7"), ("shop", "2", "7"), ("shop", None, "7")]
    rows = ibis.memtable(orders, schema=record | {"order_id": "string"})
    found = ibis.duckdb.connect().to_pyarrow(rows.filter(removal._theirs(rows, gone))).to_pylist()
    assert [tuple(row.values()) for row in found] == [("shop", "1", "7")]
    lines = rows.select("order_id")  # whose they are only the number tells
    assert int(lines.filter(removal._theirs(lines, gone)).count().to_pyarrow().as_py()) == 4


def test_a_second_run_changes_no_byte(lab):
    records = asked(lab)
    forget(lab, records)
    once = contents(lab)
    assert forget(lab, records).empty
    assert contents(lab) == once


def test_raw_files_are_not_written(lab):
    before = {name: data for name, data in contents(lab).items() if name.startswith("raw/")}
    assert before
    forget(lab)
    assert {n: data for n, data in contents(lab).items() if n.startswith("raw/")} == before


def test_nobody_asked(lab):
    before = contents(lab)
    assert forget(lab, asked(lab).limit(0)).empty
    after = contents(lab)
    assert after.pop("tombstones.csv") == b"tombstone,requested_on\n"
    assert after == before


@pytest.mark.parametrize("stops_at", [1, 7, 13])
def test_a_run_that_is_cut_short_can_be_repeated(lab, monkeypatch, stops_at):
    records, before, calls = asked(lab), contents(lab), []
    write = Backend.to_parquet

    def broken(self, rows, path, **options):
        write(self, rows, path, **options)
        calls.append(path)
        if len(calls) == stops_at:
            path.write_bytes(path.read_bytes()[:40])
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Backend, "to_parquet", broken)
        with pytest.raises(KeyboardInterrupt):
            forget(lab, records)
    now = contents(lab)
    assert sum(now[name] != data for name, data in before.items()) == stops_at - 1
    assert not [name for name in now if name.endswith(".part")]
    forget(lab, records)
    assert left_of(lab) == []


def test_a_later_run_without_the_request(lab):
    """The export still has the customer, and the request is gone: the tombstone knows them."""
    forget(lab)
    once = contents(lab)
    (lab.folder / "raw/erasures.csv").write_text("source,record_id,requested_at\n")
    again = Lab("small")
    validation.validate(again)
    assert left_of(again)
    links = pa.Table.from_pylist([dict(zip(RECORD, row, strict=True)) for row in LINKS])
    assigned = again.engine.create_table("links", links, temp=True)
    known = erasure.forgotten(assigned, lab.folder / "tombstones.csv", KEYS)
    forget(again, known)
    assert left_of(again) == []
    assert contents(again)["tombstones.csv"] == once["tombstones.csv"]
