"""Segments by rule: what dataset.yml may say, what a rule means, and who comes on a list."""

import itertools
from decimal import Decimal

import ibis
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyaltylab import contract, language, segments
from loyaltylab.criteria import Criterion
from loyaltylab.errors import LabError

settings.register_profile("shared", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("shared")

COLUMNS = (
    "and, or, not, purchases, spend, average_basket, mean_gap_days, days_since_first, "
    "days_since_last, rfm, country, acquired_through, loyalty_member, consent_marketing"  # README
)
HEAD = "title: A\ncurrency: EUR\ntables: {orders: raw/a.csv}\nsegments:\n  "
UNDER = "dataset.yml under segments"
TYPES = {
    "person_id": "string",
    "spend": "decimal(18, 4)",
    "recency": "int64",
    "country": "string",
    "loyalty_member": "boolean",
    "consent_marketing": "boolean",
}


def rule(given):
    return Criterion.model_validate(given)


def refused(folder, text):
    (folder / "dataset.yml").write_text(HEAD + text + "\n")
    with pytest.raises(LabError) as error:
        contract.load(folder / "dataset.yml")
    return str(error.value).splitlines()


def people_of(*rows):
    dicts = [dict(zip(TYPES, row, strict=True)) | {"spend": Decimal(str(row[1]))} for row in rows]
    return ibis.memtable(pa.Table.from_pylist(dicts, schema=ibis.schema(TYPES).to_pyarrow()))


# Five people: all known; below zero; nothing known of Cy's country; Di refused, Ed never said.
FIVE = people_of(
    ("ann", 100, 5, "DE", True, True),
    ("bo", -5, 50, "NO", False, True),
    ("cy", 99.99, 500, None, None, True),
    ("di", 100.01, 0, "GB", True, False),
    ("ed", 300, 120, "DE", None, None),
)


def members(given, people=FIVE):
    table = people.select("person_id", inside=segments.holds(people, rule(given))).to_pandas()
    told = table.set_index("person_id")["inside"].astype(object)
    return {name: None if pd.isna(value) else bool(value) for name, value in told.items()}


def inside(given):
    return sorted(name for name, value in members(given).items() if value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"spend": {"at_least": 100}}, ["ann", "di", "ed"]),
        ({"spend": {"more_than": 100}}, ["di", "ed"]),
        ({"spend": {"at_most": 100}}, ["ann", "bo", "cy"]),
        ({"spend": {"less_than": 100}}, ["bo", "cy"]),
        ({"spend": {"at_least": 0, "less_than": 100}}, ["cy"]),
        ({"days_since_last": {"at_least": 120}}, ["cy", "ed"]),
        ({"country": {"is": "DE"}}, ["ann", "ed"]),
        ({"country": {"one_of": ["NO", "GB"]}}, ["bo", "di"]),
        ({"country": {"missing": True}}, ["cy"]),
        ({"country": {"missing": False}}, ["ann", "bo", "di", "ed"]),
        ({"not": {"country": {"is": "DE"}}}, ["bo", "di"]),  # Cy's is not known
        ({"loyalty_member": {"is": False}}, ["bo"]),
        ({"or": [{"country": {"is": "NO"}}, {"country": {"missing": True}}]}, ["bo", "cy"]),
        (
            {"and": [{"not": {"country": {"is": "NO"}}}, {"spend": {"more_than": 100}}]},
            ["di", "ed"],
        ),
    ],
)
def test_a_rule_by_hand(given, expected):
    assert inside(given) == expected


def test_what_is_missing_makes_a_rule_unknown_but_where_the_rest_decides():
    assert members({"country": {"is": "DE"}})["cy"] is None
    assert members({"not": {"country": {"is": "DE"}}})["cy"] is None
    poor, rich = {"spend": {"less_than": 0}}, {"spend": {"more_than": 0}}
    german = {"country": {"is": "DE"}}
    assert members({"and": [german, poor]})["cy"] is False
    assert members({"and": [german, rich]})["cy"] is None
    assert members({"or": [german, rich]})["cy"] is True
    assert members({"or": [german, poor]})["cy"] is None


def kleene(given, person):
    """The definition, word for word: True, False or None."""
    ((key, value),) = given.items()
    if key == "not":
        found = kleene(value, person)
        return None if found is None else not found
    if key in ("and", "or"):
        found = [kleene(part, person) for part in value]
        decisive = key == "or"
        if decisive in found:
            return decisive
        return None if None in found else not decisive
    known = person[key]
    ((name, wanted),) = value.items()
    if name == "missing":
        return (known is None) == wanted
    if known is None:
        return None
    return known == wanted if name == "is" else known >= wanted


WORLD = [
    {"country": country, "loyalty_member": member, "spend": spend}
    for country, member, spend in itertools.product(["DE", "NO", None], [True, False, None], [0, 1])
]
EVERYBODY = people_of(
    *((f"{i:02}", p["spend"], 0, p["country"], p["loyalty_member"], True)
      for i, p in enumerate(WORLD))
)  # fmt: skip
leaves = st.sampled_from(
    [
        {"country": {"is": "DE"}},
        {"country": {"missing": True}},
        {"loyalty_member": {"is": True}},
        {"loyalty_member": {"missing": False}},
        {"spend": {"at_least": 1}},
    ]
)
rules = st.recursive(
    leaves,
    lambda parts: (
        st.fixed_dictionaries({"not": parts})
        | st.fixed_dictionaries({"and": st.lists(parts, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"or": st.lists(parts, min_size=1, max_size=3)})
    ),
    max_leaves=6,
)


@given(rules)
@settings(max_examples=25)
def test_any_rule_means_what_its_literal_translation_says(given):
    expected = {f"{i:02}": kleene(given, person) for i, person in enumerate(WORLD)}
    assert members(given, EVERYBODY) == expected


RULES = {
    "rich": rule({"spend": {"at_least": 100}}),
    "german": rule({"country": {"is": "DE"}}),
    "nobody": rule({"spend": {"more_than": 1000}}),
}


def test_segments_side_by_side_and_what_they_share():
    marked = segments.with_rules(FIVE, RULES)
    table = segments.rule_table(marked, RULES).set_index("segment")
    assert table["customers"].to_dict() == {"rich": 3, "german": 2, "nobody": 0}
    assert table["of_customers"].to_dict() == {"rich": 0.6, "german": 0.4, "nobody": 0}
    assert table["revenue"].to_dict() == pytest.approx({"rich": 500.01, "german": 400, "nobody": 0})
    assert table["unknown"].to_dict() == {"rich": 0, "german": 1, "nobody": 0}
    shared = segments.overlap(marked, RULES).set_index(["segment", "other"])
    assert shared.loc[("rich", "german"), ["customers", "of_segment"]].tolist() == [2, 2 / 3]
    assert shared.loc[("german", "rich"), ["customers", "of_segment"]].tolist() == [2, 1]
    assert shared.loc[("german", "german"), "customers"] == 2
    assert pd.isna(shared.loc[("nobody", "rich"), "of_segment"])
    assert segments.overlap(marked, {}).empty


def test_a_list_holds_those_who_consent_and_nobody_else(con, tmp_path):
    (tmp_path / "of last year.csv").write_text("person_id\nann\n")
    people = con.create_table("five", FIVE.to_pyarrow().take([4, 3, 2, 1, 0]), temp=True)
    marked = segments.with_rules(people, RULES)
    table = segments.save_lists(con, marked, RULES, tmp_path).set_index("segment")
    assert (tmp_path / "rich.csv").read_text() == "person_id\nann\n"  # not Di, not Ed
    assert (tmp_path / "german.csv").read_text() == "person_id\nann\n"
    assert (tmp_path / "nobody.csv").read_text() == "person_id\n"
    everybody = {"all": rule({"spend": {"missing": False}})}
    segments.save_lists(con, segments.with_rules(people, everybody), everybody, tmp_path / "all")
    # In one order, whatever that of the rows.
    assert (tmp_path / "all" / "all.csv").read_text() == "person_id\nann\nbo\ncy\n"
    assert sorted(p.name for p in tmp_path.glob("*.csv")) == [
        "german.csv",
        "nobody.csv",
        "rich.csv",
    ]
    names = ["customers", "listed", "refused", "never_said"]
    assert table.loc["rich", names].tolist() == [3, 1, 1, 1]
    assert table.loc["german", names].tolist() == [2, 1, 0, 1]
    assert table.loc["nobody", names].tolist() == [0, 0, 0, 0]


def test_a_rule_in_german_words():
    language.use("de")
    asked = {"and": [{"spend": {"at_least": 1200.5}}, {"rfm": {"is": "loyal"}}]}
    assert segments.in_words(rule(asked)) == "Ausgaben mindestens 1.200,5 und RFM-Segment ist Treue"


def test_large_thresholds_keep_their_digits():
    told = [segments.in_words(rule({"spend": {"at_least": at}})) for at in (1e6, 1234567.25)]
    assert told == ["spend at least 1,000,000", "spend at least 1,234,567.25"]


def test_a_rule_in_words():
    nested = {
        "and": [
            {"spend": {"at_least": 500}},
            {"or": [{"country": {"one_of": ["GB", "NO"]}}, {"loyalty_member": {"is": True}}]},
            {"not": {"country": {"missing": True}}},
        ]
    }
    assert segments.in_words(rule(nested)) == (
        "spend at least 500 and (country one of GB, NO or loyalty member is yes) "
        "and not (country not known)"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "vip: {spent: {at_least: 5}}",
            f'{UNDER}.vip: unknown key "spent"; expected one of {COLUMNS}. Did you mean "spend"?',
        ),
        (
            "country: {country: {iss: DE}}",
            f'{UNDER}.country.country: unknown key "iss"; expected one of missing, is, one_of. '
            'Did you mean "is"?',
        ),
        (
            "vip: {and: [{spend: {at_least: 1}}, {or: [{contry: {is: DE}}]}]}",
            f'{UNDER}.vip.and.2.or.1: unknown key "contry"; expected one of {COLUMNS}. '
            'Did you mean "country"?',
        ),
        (
            "vip: {spend: {at_least: 1}, country: {is: DE}}",
            f"{UNDER}.vip: expected one of {COLUMNS} (join several by and: or or:), "
            "found country, spend.",
        ),
        ("vip: {country: {is: NO}}", f"{UNDER}.vip.country: is is False; expected a text; "
         "put it in quotes."),
        ("vip: {spend: {at_least: true}}", f"{UNDER}.vip.spend: at_least is True; "
         "expected a number."),
        ("vip: {or: []}", f"{UNDER}.vip: or is []; expected at least one."),
        ("vip: {country: {one_of: []}}", f"{UNDER}.vip.country: one_of is []; "
         "expected at least one."),
        ("vip: {spend: {}}", f"{UNDER}.vip.spend: expected at least one of missing, at_least, "
         "more_than, at_most, less_than."),
        (
            "Up/..: {spend: {at_least: 1}}",
            f"{UNDER}: expected names of small letters, digits, spaces and hyphens, 60 at most, as a "
            'file is named by each; found "Up/..".',
        ),
    ],
)  # fmt: skip
def test_what_a_rule_may_not_say(tmp_path, text, expected):
    assert refused(tmp_path, text) == [expected]


def test_rules_of_the_example_are_read_as_written(tmp_path):
    (tmp_path / "dataset.yml").write_text(HEAD + "a 1-b: {not: {rfm: {one_of: [new]}}}\n")
    read = contract.load(tmp_path / "dataset.yml").segments
    assert {name: segments.in_words(r) for name, r in read.items()} == {
        "a 1-b": "not (rfm one of new)"
    }
