"""The golden record: each rule by hand on each engine, and against a slow literal translation."""

import datetime as dt
import itertools
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyaltylab import engine, schemas
from loyaltylab.contract import Engine
from loyaltylab.linkage import persons

TEXT, TIME = pa.string(), pa.timestamp("us")
CUSTOMER = {name: kind.to_pyarrow() for name, kind in schemas.column_types("customers").items()}
RECORD = {"source": TEXT, "record_id": TEXT, "person_id": TEXT, "confidence": pa.float64()}
USED = {"source": TEXT, "record_id": TEXT, "used_at": TIME}


def day(number):
    return dt.datetime(2024, 1, 1) + dt.timedelta(days=number)


@pytest.fixture(scope="module")
def con(either):
    return either


@pytest.fixture(scope="module")
def duck(tmp_path_factory):
    return engine.connect(Engine(), spill=tmp_path_factory.mktemp("spill"))


def load(con, folder, rows, schema):
    path = folder / f"{len(list(folder.iterdir()))}.parquet"
    listed = [dict.fromkeys(schema) | row for row in rows]
    pq.write_table(pa.Table.from_pylist(listed, pa.schema(schema)), path)
    return con.read_parquet(str(path))


def golden(con, folder, records):
    """person_id → the golden record. records : "source/record_id" → (person_id, what it says); used
    is a day's number, customer False where customers have no such record."""
    customers, assigned, used = [], [], []
    for key, (person, told) in records.items():
        said = dict(told)
        source, record_id = key.split("/")
        named = {"source": source, "record_id": record_id}
        confidence = said.pop("confidence", 1.0)
        assigned.append(named | {"person_id": person, "confidence": confidence})
        if (number := said.pop("used", None)) is not None:
            used.append(named | {"used_at": day(number)})
        if said.pop("customer", True):
            if (made := said.pop("made", None)) is not None:
                said["registered_at"] = day(made)
            customers.append(named | said)
    found = persons.golden(
        load(con, folder, customers, CUSTOMER),
        load(con, folder, assigned, RECORD),
        load(con, folder, used, USED),
    )
    rows = found.order_by("person_id").to_pyarrow().to_pylist()
    assert len({row["person_id"] for row in rows}) == len(rows)
    return {row["person_id"]: row for row in rows}


TOLD = {}  # test → of each person in it, what their records say


def told(*people, **records):
    """What the records of a test's persons say; records : of the one, where it is about one."""
    people = people or (records,)

    def keep(test):
        TOLD[test.__name__] = [
            {name.replace("_", "/"): said for name, said in own.items()} for own in people
        ]
        return test

    return keep


@pytest.fixture(scope="module")
def all_found(con, tmp_path_factory):
    """(test, number of the person) → the golden record: of all tests in one query, as to compile it
    takes longest."""
    records = {}
    for test, people in TOLD.items():
        for number, own in enumerate(people):
            for key, said in own.items():
                source, record = key.split("/")
                records[f"{source}/{test} {number} {record}"] = (f"{test} {number}", said)
    return golden(con, tmp_path_factory.mktemp("golden"), records)


@pytest.fixture
def each_found(all_found, request):
    """The golden record of each person of the test."""
    name = request.function.__name__
    return [all_found[f"{name} {number}"] for number in range(len(TOLD[name]))]


@pytest.fixture
def found(each_found):
    """The golden record of the person of the test."""
    (found,) = each_found
    return found


@told(
    a_1={"given_name": "Jon", "used": 1},
    a_2={"given_name": "John", "used": 9},
    b_3={"given_name": "Jon", "made": 2, "used": 3},
    b_4={"used": 10},  # says nothing
)
def test_a_name_is_as_most_records_spell_it(found):
    assert found["given_name"] == "Jon"
    # It is from the most recently used of those that agree.
    assert (found["given_name_source"], found["given_name_at"]) == ("b", day(3))
    assert found["family_name"] is found["family_name_source"] is found["family_name_at"] is None


@told(
    a_1={"family_name": "Berg", "birth_date": day(0), "used": 1},
    a_2={"family_name": "Dahl", "birth_date": day(1), "used": 5},
    a_3={"family_name": "Berg", "birth_date": day(0), "used": 2},
    a_4={"family_name": "Dahl", "birth_date": day(1), "used": 3},
)
def test_of_equally_frequent_names_the_one_used_last(found):
    assert found["family_name"] == "Dahl" and found["birth_date"] == day(1)


@told(
    a_1={"birth_date": day(7), "used": 1},
    a_2={"birth_date": day(7), "used": 2},
    a_9={"birth_date": day(8), "used": 9},
)
def test_birth_date_by_the_majority(found):
    assert found["birth_date"] == day(7)


@told(
    a_0={"phone": "+4911111111", "used": 1},
    a_1={"email": "old@x.example", "phone": "+4911111111", "used": 1},
    a_2={"email": "old@x.example", "phone": "+4922222222", "used": 8},
    a_3={"email": "new@x.example", "used": 9},
)
def test_mail_and_phone_are_those_used_last(found):
    assert (found["email"], found["email_at"]) == ("new@x.example", day(9))
    assert (found["phone"], found["phone_at"]) == ("+4922222222", day(8))


@told(
    a_1={"email": "used@x.example", "made": 0, "used": 5},
    a_2={"email": "made@x.example", "made": 6},
    a_3={"email": "never@x.example"},  # no date is known of it
)
def test_a_record_made_after_the_last_use_is_the_most_recent(found):
    assert (found["email"], found["email_at"]) == ("made@x.example", day(6))


@told(b_1={"email": "b@x.example"}, a_2={"email": "2@x.example"}, a_10={"email": "10@x.e"})
def test_of_records_without_a_date_the_first_by_name(found):
    assert found["email"] == "10@x.e"
    assert (found["email_source"], found["email_at"]) == ("a", None)


WHOLE = {"street": "Gate 1", "postcode": "0001", "used": 1}
LATER = {"street": "Gate 2", "postcode": "0002", "city": "Oslo", "used": 2}
PART = {"street": "Gate 3", "city": "Bergen", "country": "NO", "used": 3}


@told(
    {"a_1": WHOLE, "b_2": LATER, "c_3": PART},
    {"c_3": PART, "c_4": {"city": "Oslo", "used": 2}},
)
def test_an_address_is_of_one_record(each_found):
    found, alone = each_found
    block = ("street", "postcode", "city", "country", "address_source", "address_at")
    # Not the part, though it is more recent; nor its country, which is of another address.
    assert [found[name] for name in block] == ["Gate 2", "0002", "Oslo", None, "b", day(2)]
    assert [alone[name] for name in block] == ["Gate 3", None, "Bergen", "NO", "c", day(3)]


@told(
    a_1={"acquired_through": "search", "loyalty_member": False, "made": 3, "used": 11},
    b_2={"acquired_through": "referral", "loyalty_member": True, "made": 2, "used": 9},
    c_3={"made": 1, "used": 1},  # the first of all, but does not say
    a_0={"acquired_through": "display"},  # nobody knows when
)
def test_what_won_somebody_is_what_the_first_record_says(found):
    assert (found["acquired_through"], found["acquired_through_source"]) == ("referral", "b")
    assert found["loyalty_member"] is False


CONSENTS = list(itertools.product((True, False, None), repeat=2))


@told(
    *[
        {
            "a_1": {"consent_analytics": first, "consent_marketing": second, "used": 1},
            "b_2": {"consent_analytics": second, "consent_marketing": True, "used": 2},
        }
        for first, second in CONSENTS
    ]
)
def test_consent_is_as_wide_as_its_narrowest(each_found):
    for (first, second), found in zip(CONSENTS, each_found, strict=True):
        said = {first, second}
        expected = False if False in said else True if True in said else None
        assert found["consent_analytics"] is expected
        assert found["consent_marketing"] is (second is not False)


def test_everybody_is_there_with_counts_and_days(con, tmp_path):
    found = golden(
        con,
        tmp_path,
        {
            "a/1": ("p", {"made": 5, "used": 9, "confidence": 0.9}),
            "a/2": ("p", {"made": 7, "confidence": 0.6}),
            "b/2": ("p", {"customer": False, "used": 8, "confidence": 0.9}),
            "c/1": ("q", {"customer": False, "used": 4, "confidence": 0.5}),
            "c/2": ("r", {"customer": False}),
            "c/3": ("s", {"email": "s@x.example", "made": 6}),
        },
    )
    names = ("records", "systems", "confidence", "first_seen", "last_seen")
    told = {person: tuple(row[name] for name in names) for person, row in found.items()}
    assert told == {
        "p": (3, 2, pytest.approx(0.8), day(5), day(9)),
        "q": (1, 1, 0.5, day(4), day(4)),
        "r": (1, 1, 1.0, None, None),
        "s": (1, 1, 1.0, day(6), day(6)),
    }
    said = {column for field in persons.FIELDS.values() for column in field.columns}
    assert all(found["q"][column] is None for column in said)
    assert found["s"]["email"] == "s@x.example"


def test_every_column_that_can_survive_has_a_rule():
    columns = [column for field in persons.FIELDS.values() for column in field.columns]
    apart = {"source", "record_id", "registered_at", "referred_by"}
    apart |= {"consent_analytics", "consent_marketing"}
    assert sorted([*columns, *apart]) == sorted(CUSTOMER)


# ---- Against a slow literal translation.

MAYBE = st.none() | st.integers(0, 3)
RECORD_OF_ONE = st.tuples(st.sampled_from("pq"), st.sampled_from("ab"), MAYBE, MAYBE, *[MAYBE] * 6)
# Many towns of two persons at a time, as an engine takes as long for one.
TOWNS = st.lists(st.lists(RECORD_OF_ONE, max_size=7), min_size=5, max_size=12)


def literally(records):
    """person_id → the columns that survive, by reading the rules aloud."""
    found = {}
    for person in {person for person, _ in records.values()}:
        own = [said | {"key": key} for key, (who, said) in records.items() if who == person]

        def touched(record):
            dates = [record[name] for name in ("made", "used") if record[name] is not None]
            return max(dates, default=-1)

        def made(record):
            dates = [record[name] for name in ("made", "used") if record[name] is not None]
            return min(dates, default=99)

        own.sort(key=lambda record: record["key"].split("/"))
        recent = sorted(own, key=touched, reverse=True)  # stable: ties stay in order of the key
        senior = sorted(own, key=made)

        def first(ordered, name):
            return next((r[name] for r in ordered if r[name] is not None), None)

        def agreed(name, recent=recent):
            votes = Counter(r[name] for r in recent if r[name] is not None)
            most = max(votes.values(), default=0)
            return next((r[name] for r in recent if votes.get(r[name]) == most), None)

        block = ("street", "postcode", "city")
        whole = [r for r in recent if r["street"] is not None and r["postcode"] is not None]
        some = [r for r in recent if any(r[name] is not None for name in block)]
        address = (whole + some + [dict.fromkeys(block)])[0]
        found[person] = {
            "given_name": agreed("given_name"),
            "email": first(recent, "email"),
            "acquired_through": first(senior, "acquired_through"),
            **{name: address[name] for name in block},
        }
    return found


@settings(max_examples=6, deadline=None)
@given(towns=TOWNS, data=st.data())
def test_rules_against_reading_them_aloud(duck, tmp_path_factory, towns, data):
    names = ("given_name", "email", "acquired_through", "street", "postcode", "city")
    records = {}
    for town, drawn in enumerate(towns):
        for number, (person, source, made, used, *values) in enumerate(drawn):
            texts = [None if value is None else str(value) for value in values]
            said = {"made": made, "used": used} | dict(zip(names, texts, strict=True))
            records[f"{source}/{town} {number}"] = (f"{person}{town}", said)
    turned = dict(data.draw(st.permutations(list(records.items()))))
    found = golden(duck, tmp_path_factory.mktemp("golden"), turned)
    expected = literally(records)
    kept = {p: {name: row[name] for name in names} for p, row in found.items()}
    assert kept == expected
