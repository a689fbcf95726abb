"""Fields and nicknames: by hand on each engine."""

import datetime as dt

import ibis
import pytest

from loyaltylab.linkage import fields, nicknames
from tests import shop

FOLDED = {
    "Müller": "mueller",
    "Mueller": "mueller",
    "MÜLLER": "mueller",
    "Jäger": "jaeger",
    "Søren": "soeren",
    "SØREN": "soeren",
    "Ångström": "aangstroem",
    "Kjær": "kjaer",
    "Größe": "groesse",
    "René": "rene",
    "Ana-María": "anamaria",
    "O'Brien": "obrien",
    "van der Berg": "vanderberg",
    "Łódź": "łodz",  # ł is a letter of its own, not an l with an accent
    "12 b": "12b",
    "": None,
    "  ": None,
    "–": None,
}


def told(con, rows):
    return con.execute(fields.fields(con, shop.table(rows, "customers")).order_by("record"))


def fold(con, texts):
    table = ibis.memtable({"text": list(texts)}, schema={"text": "string"})
    found = con.execute(table.mutate(folded=fields.fold(con, table["text"])))
    return {row.text: row.folded if isinstance(row.folded, str) else None
            for row in found.itertuples()}  # fmt: skip


def test_names_written_in_other_ways_are_folded_alike(con):
    assert fold(con, FOLDED) == FOLDED


def test_letters_that_are_not_latin_stay(con):
    assert fold(con, ["Анна Петрова", "Ольга"]) == {
        "Анна Петрова": "аннапетрова", "Ольга": "ольга"}  # fmt: skip


def test_both_engines_fold_alike(engines):
    duck, spark = engines
    assert fold(duck, FOLDED) == fold(spark, FOLDED)


RECORD = {
    "source": "shop",
    "record_id": "1",
    "given_name": "Jürgen",
    "family_name": "O'Neill",
    "email": "J.Neill@Mail.example",
    "phone": "+49 30 / 123-45",
    "birth_date": dt.datetime(1980, 3, 9),
    "street": "Am Bächle 7",
    "postcode": "D-10 115",
    "city": "St. Gallen",
}


def test_each_field(con):
    (row,) = told(con, [RECORD]).to_dict("records")
    assert row.pop("mark") > 0
    assert row == {
        "source": "shop",
        "record_id": "1",
        "record": 0,
        "given": "juergen",
        "family": "oneill",
        "email": "j.neill@mail.example",
        "local": "jneill",
        "phone": "493012345",
        "birth": "1980-03-09",
        "street": "ambaechle7",
        "postcode": "d10115",
        "city": "stgallen",
    }


def test_what_says_nothing_is_missing(con):
    empty = dict.fromkeys(RECORD, "") | {"source": "a", "record_id": "1", "birth_date": None}
    signs = dict.fromkeys(RECORD, "- /") | {"source": "a", "record_id": "2", "birth_date": None}
    nothing = {"source": "a", "record_id": "3"}
    found = told(con, [empty, signs, nothing])
    assert found["email"].fillna("").tolist() == ["", "- /", ""]
    of = found.drop(columns=["source", "record_id", "record", "mark", "email"])
    assert len(of.columns) == 8 and of.isna().all(axis=None)


def test_records_are_numbered_in_their_order_whatever_that_of_the_rows(con):
    keys = [("shop", "10"), ("crm", "7"), ("shop", "9"), ("crm", "12"), ("shop", "1")]
    rows = [RECORD | {"source": source, "record_id": key} for source, key in keys]
    for order in (rows, rows[::-1]):
        found = told(con, order)
        # As text, so that 12 stands before 7.
        assert list(zip(found["source"], found["record_id"], strict=True)) == sorted(keys)
        assert found["record"].tolist() == [0, 1, 2, 3, 4]


def test_nicknames_go_both_ways():
    pairs = nicknames.alike()
    assert pairs and all((other, one) in pairs for one, other in pairs)
    assert all(one != other for one, other in pairs)


@pytest.mark.parametrize(("one", "other"), [
    ("robert", "bob"), ("william", "bill"), ("elizabeth", "liz"), ("margaret", "peggy"),
    ("johannes", "hannes"), ("katharina", "kathi"), ("friedrich", "fritz"), ("georg", "schorsch"),
    ("kristian", "kris"), ("magdalena", "lena"),
    ("bob", "rob"),  # both for Robert
])  # fmt: skip
def test_one_person_may_bear_both(one, other):
    assert (one, other) in nicknames.alike()


@pytest.mark.parametrize(("one", "other"), [("anna", "robert"), ("hans", "bob"), ("ann", "bill")])
def test_one_person_hardly_bears_both(one, other):
    assert (one, other) not in nicknames.alike()


def test_nicknames_are_written_as_names_are_folded(con):
    names = sorted({name for pair in nicknames.alike() for name in pair})
    assert fold(con, names) == {name: name for name in names}


def test_a_record_that_says_something_else_has_another_mark(con):
    said = dict.fromkeys(["given_name", "family_name", "email", "phone", "street", "city"], "a")
    said |= {"birth_date": "1990-01-02", "postcode": "a"}
    others = [said | {name: None} for name in said]
    others += [said | {"birth_date": "1990-01-03"}, said | {"given_name": "b"}]
    others.append(said | {"given_name": "b", "family_name": "a"})
    rows = [
        {"source": "shop", "record_id": f"{n:02d}"} | row for n, row in enumerate([said, *others])
    ]
    marks = told(con, rows)["mark"].tolist()
    # The last two say the same.
    assert len(set(marks)) == len(rows) - 1 and marks[-1] == marks[-2]
    again = told(con, [rows[0] | {"record_id": "x", "country": "NO"}])["mark"].tolist()
    assert again == marks[:1]
