"""Rules: each broken once, each check as pandera judges it, and all of them by a literal reading."""

import datetime as dt
import math
from dataclasses import replace
from decimal import Decimal

import ibis
import pandera.ibis as pandera
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.api.parsers import Parser

from loyaltylab import schemas
from loyaltylab.errors import LabError
from loyaltylab.reasons import REPEATS
from loyaltylab.schemas import FLAG, MONEY, NUMBER, TEXT, TIME, WHOLE, Reference
from loyaltylab.validation import declared, rules
from loyaltylab.validation.rules import Key, Rule, Rules
from tests.shop import as_table, day, judged, types_of

# ---- Each rule of every table, broken once.

WHEN, SOON = day("2024-01-05"), day("2024-01-06")
WHO = {"source": "shop", "record_id": "1"}
GOOD = {
    "orders": WHO
    | {"order_id": "a", "ordered_at": WHEN, "amount": Decimal(10), "currency": "EUR"}
    | {"margin": Decimal(3), "returned_amount": Decimal(10)},
    "order_lines": {"order_id": "a", "product_id": "p", "quantity": 1.0, "unit_price": Decimal(0)},
    "customers": WHO
    | {"given_name": "Åse <3", "family_name": "-", "email": "a@b.example", "phone": "+4915123456"}
    | {"birth_date": day("1900-01-01"), "street": "Weg 1 & 2", "city": "=", "registered_at": WHEN},
    "surveys": WHO
    | {
        "response_id": "r",
        "instrument": "nps",
        "sent_at": WHEN,
        "answered_at": WHEN,
        "score": 10.0,
    },
    "tickets": WHO
    | {"ticket_id": "t", "opened_at": WHEN, "first_reply_at": WHEN, "resolved_at": WHEN},
    "visits": WHO
    | {"visit_id": "v", "device_id": "d", "started_at": WHEN, "seconds": 0.0, "stage": "view"},
    "contracts": WHO | {"contract_id": "k", "began_at": WHEN, "ended_at": WHEN},
    "campaigns": WHO
    | {"campaign_id": "s", "arm": "holdout", "started_at": WHEN, "ended_at": WHEN}
    | {"cost": Decimal(0)},
    "spend": {"date": WHEN, "channel": "c", "amount": Decimal(0), "impressions": 5, "clicks": 5},
    "feedback": {"feedback_id": "f", "platform": "p", "posted_at": WHEN, "rating": 5.0},
    "erasures": WHO | {"requested_at": WHEN},
}
EARLY, LATE = day("1949-12-31 23:59"), day("2100-01-01")
BROKEN = {
    "orders": {
        "source is missing": {"source": None},
        "record_id is missing": {"record_id": None},
        "ordered_at is missing": {"ordered_at": None},
        "ordered_at is before 1950-01-01": {"ordered_at": EARLY},
        "ordered_at is after 2099-12-31": {"ordered_at": LATE},
        "amount is missing": {"amount": None},
        "returned_amount is below 0": {"returned_amount": Decimal("-0.0001")},
        "returned_amount is above amount": {"returned_amount": Decimal("10.0001")},
        "margin is above amount": {"margin": Decimal("10.0001")},
        "record_id is no customer's": {"record_id": "2"},
    },
    "order_lines": {
        "order_id is missing": {"order_id": None},
        "product_id is missing": {"product_id": None},
        "quantity is missing": {"quantity": None},
        "quantity is 0": {"quantity": 0.0},
        "unit_price is missing": {"unit_price": None},
        "unit_price is below 0": {"unit_price": Decimal("-0.01")},
        "order_id is in no order": {"order_id": "b"},
    },
    "customers": {
        "source is missing": {"source": None},
        "record_id is missing": {"record_id": None},
        "given_name holds HTML": {"given_name": "<b>Åse</b>"},
        "family_name holds HTML": {"family_name": "Möller &amp; Sohn"},
        "street holds HTML": {"street": "<script"},
        "city holds HTML": {"city": "K&#246;ln"},
        "given_name is a spreadsheet's formula": {"given_name": "=1+1"},
        "family_name is a spreadsheet's formula": {"family_name": "+cmd"},
        "street is a spreadsheet's formula": {"street": "@SUM(A1)"},
        "city is a spreadsheet's formula": {"city": "-1"},
        "given_name has lost letters": {"given_name": "\ufffdse"},
        "family_name has lost letters": {"family_name": "M\ufffdller"},
        "street has lost letters": {"street": "Stra\ufffde"},
        "city has lost letters": {"city": "K\ufffdln"},
        "email is no address": {"email": "a@b"},
        "phone is no number that can be dialled": {"phone": "0151 23456"},
        "birth_date is before 1900-01-01": {"birth_date": day("1899-12-31")},
        "birth_date is after 2099-12-31": {"birth_date": LATE, "registered_at": None},
        "registered_at is before 1950-01-01": {"registered_at": EARLY},
        "registered_at is after 2099-12-31": {"registered_at": LATE},
        "registered_at is before birth_date": {"birth_date": SOON},
    },
    "surveys": {
        "response_id is missing": {"response_id": None},
        "source is missing": {"source": None},
        "record_id is missing": {"record_id": None},
        "instrument is missing": {"instrument": None},
        "instrument is none of nps, csat, ces": {"instrument": "sus"},
        "sent_at is missing": {"sent_at": None},
        "sent_at is before 1950-01-01": {"sent_at": EARLY},
        "sent_at is after 2099-12-31": {"sent_at": LATE, "answered_at": None},
        "answered_at is before 1950-01-01": {"sent_at": None, "answered_at": EARLY},
        "answered_at is after 2099-12-31": {"answered_at": LATE},
        "answered_at is before sent_at": {"sent_at": SOON},
        "score is outside the instrument's scale": {"score": 10.5},
        "record_id is no customer's": {"record_id": "2"},
    },
    "tickets": {
        "ticket_id is missing": {"ticket_id": None},
        "source is missing": {"source": None},
        "record_id is missing": {"record_id": None},
        "opened_at is missing": {"opened_at": None},
        "opened_at is before 1950-01-01": {"opened_at": EARLY},
        "opened_at is after 2099-12-31": {
            "opened_at": LATE,
            "first_reply_at": None,
            "resolved_at": None,
        },
        "first_reply_at is before 1950-01-01": {"opened_at": None, "first_reply_at": EARLY},
        "first_reply_at is after 2099-12-31": {"first_reply_at": LATE},
        "resolved_at is before 1950-01-01": {"opened_at": None, "resolved_at": EARLY},
        "resolved_at is after 2099-12-31": {"resolved_at": LATE},
        "first_reply_at is before opened_at": {"opened_at": SOON, "resolved_at": None},
        "resolved_at is before opened_at": {"opened_at": SOON, "first_reply_at": None},
        "record_id is no customer's": {"record_id": "2"},
    },
    "visits": {
        "visit_id is missing": {"visit_id": None},
        "device_id is missing": {"device_id": None},
        "source is missing": {"source": None},
        "started_at is missing": {"started_at": None},
        "started_at is before 1950-01-01": {"started_at": EARLY},
        "started_at is after 2099-12-31": {"started_at": LATE},
        "seconds is below 0": {"seconds": -0.5},
        "stage is none of view, cart, checkout, purchase": {"stage": "View"},
        "cart_value is below 0": {"cart_value": Decimal("-0.01")},
        "record_id is no customer's": {"record_id": "2"},
    },
    "spend": {
        "date is missing": {"date": None},
        "date is before 1950-01-01": {"date": EARLY},
        "date is after 2099-12-31": {"date": LATE},
        "channel is missing": {"channel": None},
        "amount is missing": {"amount": None},
        "amount is below 0": {"amount": Decimal("-0.01")},
        "impressions is below 0": {"impressions": -1, "clicks": None},
        "clicks is below 0": {"clicks": -1},
        "clicks is above impressions": {"clicks": 6},
    },
    "contracts": {
        "source is missing": {"source": None},
        "record_id is missing": {"record_id": None},
        "contract_id is missing": {"contract_id": None},
        "began_at is missing": {"began_at": None},
        "began_at is before 1950-01-01": {"began_at": EARLY},
        "began_at is after 2099-12-31": {"began_at": LATE, "ended_at": None},
        "ended_at is after 2099-12-31": {"ended_at": LATE},
        "ended_at is before 1950-01-01": {"ended_at": EARLY, "began_at": None},
        "ended_at is before began_at": {"ended_at": day("2000-01-01")},
        "record_id is no customer's": {"record_id": "2"},
    },
    "campaigns": {
        "source is missing": {"source": None},
        "record_id is missing": {"record_id": None},
        "campaign_id is missing": {"campaign_id": None},
        "arm is missing": {"arm": None},
        "arm is none of treated, holdout": {"arm": "control"},
        "started_at is missing": {"started_at": None},
        "started_at is before 1950-01-01": {"started_at": EARLY},
        "started_at is after 2099-12-31": {"started_at": LATE, "ended_at": None},
        "ended_at is after 2099-12-31": {"ended_at": LATE},
        "ended_at is before 1950-01-01": {"ended_at": EARLY, "started_at": None},
        "ended_at is before started_at": {"ended_at": day("2000-01-01")},
        "cost is below 0": {"cost": Decimal("-0.01")},
        "record_id is no customer's": {"record_id": "2"},
    },
    "feedback": {
        "feedback_id is missing": {"feedback_id": None},
        "platform is missing": {"platform": None},
        "posted_at is missing": {"posted_at": None},
        "posted_at is before 1950-01-01": {"posted_at": EARLY},
        "posted_at is after 2099-12-31": {"posted_at": LATE},
    },
    "erasures": {
        "source is missing": {"source": None},
        "record_id is missing": {"record_id": None},
        "requested_at is missing": {"requested_at": None},
        "requested_at is before 1950-01-01": {"requested_at": EARLY},
        "requested_at is after 2099-12-31": {"requested_at": LATE},
        "record_id is no customer's": {"record_id": "2"},
    },
}
# What a row breaks besides, since it cannot break the other alone.
ALSO = {
    ("surveys", "answered_at is before 1950-01-01"): ["sent_at is missing"],
    ("tickets", "first_reply_at is before 1950-01-01"): ["opened_at is missing"],
    ("tickets", "resolved_at is before 1950-01-01"): ["opened_at is missing"],
    ("contracts", "ended_at is before 1950-01-01"): ["began_at is missing"],
    ("campaigns", "ended_at is before 1950-01-01"): ["started_at is missing"],
    ("customers", "registered_at is before 1950-01-01"): [],
}
NOTES = {"email is no address", "phone is no number that can be dialled"}
NOTES |= {"record_id is no customer's"}


def parents(con):
    """A customer 1 of the shop and an order a, as what rows refer to."""
    known = {"customers": {"source": ["shop"], "record_id": ["1"]}, "orders": {"order_id": ["a"]}}
    return {
        name: con.create_table(name, ibis.memtable(keys), temp=True, overwrite=True)
        for name, keys in known.items()
    }


@pytest.mark.parametrize("table", schemas.TABLES)
def test_each_rule_broken_once(con, table):
    compiled = rules.compiled(schemas.TABLES[table])
    by_itself = replace(compiled, keys=())
    rows = [GOOD[table] | change for change in [{}, *BROKEN[table].values()]]
    found = judged(con, rows, by_itself, types_of(table), parents(con))
    expected = {}
    for number, words in enumerate(BROKEN[table], 2):
        said = sorted([words, *ALSO.get((table, words), [])])
        expected[0, number] = ([], said) if words in NOTES else (said, [])
    assert {at: (sorted(reasons), notes) for at, (reasons, notes) in found.items()} == expected
    told = {rule.words for rule in compiled.rules}
    told |= {reference.words for reference in compiled.references}
    assert told == set(BROKEN[table])


@pytest.mark.parametrize(
    ("table", "key"), [(name, schema.unique) for name, schema in schemas.TABLES.items()]
)
def test_keys(con, table, key):
    """Two rows of one key: the first is right, whatever the second says. Without one, both are."""
    compiled = replace(rules.compiled(schemas.TABLES[table]), references=())
    changed = next(name for name in GOOD[table] if name not in (key or []))
    rows = [GOOD[table], GOOD[table], GOOD[table] | {changed: None}, GOOD[table]]
    found = judged(con, rows, replace(compiled, rules=()), types_of(table))
    again = f"{(key or [''])[-1]} appears again, with other values"
    assert found == (
        {(0, 2): ([REPEATS], []), (0, 3): ([again], []), (0, 4): ([REPEATS], [])} if key else {}
    )
    for name in key or []:
        other = [GOOD[table], GOOD[table] | {name: "another"}, GOOD[table] | {name: None}]
        assert judged(con, other, replace(compiled, rules=()), types_of(table)) == {}


@pytest.mark.parametrize("name", ["<3 you", "AT&T", "a < b", "-", "=", "Ann-Kathrin", "&;", "Q&A;"])
def test_what_is_no_markup_and_no_formula(con, name):
    row = GOOD["customers"] | {"family_name": name}
    found = judged(con, [row], rules.compiled(schemas.TABLES["customers"]), types_of("customers"))
    assert found == ({} if name != "Q&A;" else {(0, 1): (["family_name holds HTML"], [])})


def test_amounts_below_0_have_no_bounds_above(con):
    """A cancellation's margin and refund stand above its amount, as both are below 0."""
    row = GOOD["orders"] | {"amount": Decimal(-10), "margin": Decimal(-3), "returned_amount": None}
    wanted = rules.compiled(schemas.TABLES["orders"])
    assert judged(con, [row], wanted, types_of("orders")) == {}


@pytest.mark.parametrize(("instrument", "ends"), schemas.SCALES.items())
def test_scales(con, instrument, ends):
    wanted = rules.compiled(schemas.TABLES["surveys"])
    low, high = ends
    scores = [low - 0.5, low, high, high + 0.5, math.nan, None]
    rows = [
        GOOD["surveys"] | {"instrument": instrument, "score": score, "response_id": str(score)}
        for score in scores
    ]
    outside = (["score is outside the instrument's scale"], [])
    assert judged(con, rows, wanted, types_of("surveys")) == dict.fromkeys(
        [(0, 1), (0, 4), (0, 5)], outside
    )


def test_what_could_not_be_read_is_not_missing_too(con):
    wanted = rules.compiled(schemas.TABLES["orders"])
    rows = [
        GOOD["orders"] | {"amount": None, "_unreadable": ["amount is not a number"]},
        {"_unreadable": ["row cannot be read: x"], "_whole": False},
    ]
    assert judged(con, rows, wanted, types_of("orders")) == {
        (0, 1): (["amount is not a number"], []),
        (0, 2): (["row cannot be read: x"], []),
    }


# ---- Each check as pandera judges it.

CHECK = pandera.Check
TEXTS = st.text(st.sampled_from("abAB01-é."), max_size=4)
MONIES = st.integers(-40_000, 40_000).map(lambda n: Decimal(n) / 10_000)
FLOATS = st.sampled_from([-2.5, -1.0, -0.5, 0.0, 0.1, 0.5, 1.0, 2.5, 3.0])
INTS = st.integers(-3, 3)
TIMES = st.integers(0, 6).map(lambda n: dt.datetime(2024, 1, 5) + n * dt.timedelta(hours=8))
# Whole numbers and amounts are held against bounds with more digits, too.
KINDS = {
    MONEY: (MONIES, MONIES | FLOATS | INTS | st.just(0.00005)),
    NUMBER: (FLOATS, FLOATS | INTS),
    WHOLE: (INTS, INTS | FLOATS),
    TEXT: (TEXTS, TEXTS),
    TIME: (TIMES, TIMES),
}


@st.composite
def comparisons(draw):
    kind = draw(st.sampled_from(list(KINDS)))
    values, bounds = KINDS[kind]
    a, b = draw(bounds), draw(bounds)
    low, high = min(a, b), max(a, b)
    several = draw(st.lists(bounds, max_size=3))
    made = [getattr(CHECK, name)(a) for name in ("eq", "ne", "gt", "ge", "lt", "le")]
    made += [CHECK.isin(several), CHECK.notin(several)]
    ends = {"include_min": draw(st.booleans()), "include_max": draw(st.booleans())}
    if low < high:
        made.append(CHECK.in_range(low, high, **ends))
    return kind, draw(st.sampled_from(made)), draw(st.lists(values | st.none(), max_size=8))


@st.composite
def text_checks(draw):
    pattern = draw(st.sampled_from(["a", "[ab]+", "^a", "a.?b$", "", r"\d", "A|b$"]))
    length = draw(st.integers(0, 3))
    made = [
        CHECK.str_contains(pattern),
        CHECK.str_matches(pattern if "|" not in pattern else "a"),
        CHECK.str_startswith(draw(TEXTS)),
        CHECK.str_endswith(draw(TEXTS)),
        CHECK.str_length(length),
        CHECK.str_length(exact_value=length),
        CHECK.str_length(min_value=length),
        CHECK.str_length(max_value=length),
        CHECK.str_length(length, length + draw(st.integers(0, 2))),
    ]
    return TEXT, draw(st.sampled_from(made)), draw(st.lists(TEXTS | st.none(), max_size=8))


def failing(con, kind, check, values):
    """What fails by our rules and by pandera's own verdict."""
    schema = pandera.DataFrameSchema({"value": pandera.Column(kind, check, nullable=True)})
    rows = as_table([{"value": value} for value in values], {"value": kind})
    found = rules.found(con, rows, rules.compiled(schema))
    ours = con.to_pyarrow(found.select("value"))["value"].to_pylist()
    table = con.create_table("held", rows.select("value"), temp=True, overwrite=True)
    cases = check(table, "value").failure_cases
    theirs = con.to_pyarrow(cases)["value"].to_pylist()
    return sorted(ours), sorted(theirs)


@settings(max_examples=30, deadline=None)
@given(case=comparisons() | text_checks())
def test_checks_as_pandera_judges_them(con, case):
    ours, theirs = failing(con, *case)
    assert ours == theirs


ENDS = [(low, high) for low in (True, False) for high in (True, False)]
EDGES = [CHECK.in_range(0, 2, include_min=a, include_max=b) for a, b in ENDS]
EDGES += [getattr(CHECK, name)(bound) for name in ("ge", "gt", "le", "lt", "eq", "ne")
          for bound in (0.5, 1.5, 2, 0.00005)]  # fmt: skip
EDGES += [CHECK.isin([0.5, 2]), CHECK.notin([0.5, 2]), CHECK.isin([]), CHECK.notin([])]
EDGES += [CHECK(lambda d: d.table[d.key].coalesce(-1) >= 0, name="is below 0")]


@pytest.mark.parametrize("kind", [MONEY, NUMBER, WHOLE], ids=str)
def test_edges_as_pandera_judges_them(con, kind):
    """Bounds that the column's type has no place for, and open ends."""
    values = [0, 1, 2, 3, None] if kind == WHOLE else [0, 0.0001, 0.5, 1, 1.5, 2, 2.5, None]
    values = [v if v is None or kind != MONEY else Decimal(str(v)) for v in values]
    for check in EDGES:
        ours, theirs = failing(con, kind, check, values)
        assert ours == theirs, check


@pytest.mark.parametrize("value", [True, False])
def test_flags_as_pandera_judges_them(con, value):
    for check in (CHECK.eq(value), CHECK.ne(value), CHECK.isin([value])):
        ours, theirs = failing(con, FLAG, check, [True, False, None])
        assert ours == theirs


WORDS = [
    (CHECK.eq(1), "is not 1"),
    (CHECK.ne(1), "is 1"),
    (CHECK.gt(1), "is not above 1"),
    (CHECK.ge(1), "is below 1"),
    (CHECK.lt(1), "is not below 1"),
    (CHECK.le(1.5), "is above 1.5"),
    (CHECK.in_range(1, 2), "is not within 1 to 2"),
    (CHECK.isin([1, 2]), "is none of 1, 2"),
    (CHECK.isin({"b", "a", "c"}), "is none of a, b, c"),
    (CHECK.notin([1, 2]), "is one of 1, 2"),
    (CHECK.gt("2024-01-05"), "is not after 2024-01-05"),
    (CHECK.ge("2024-01-05"), "is before 2024-01-05"),
    (CHECK.lt("2024-01-05"), "is not before 2024-01-05"),
    (CHECK.le("2024-01-05"), "is after 2024-01-05"),
    (CHECK.str_matches("a+"), "does not match a+"),
    (CHECK.str_contains("a+"), "does not contain a+"),
    (CHECK.str_startswith("a"), "does not start with a"),
    (CHECK.str_endswith("a"), "does not end with a"),
    (CHECK.str_length(2), "has not 2 characters"),
    (CHECK.str_length(2, 3), "has not 2 to 3 characters"),
    (CHECK.str_length(min_value=2), "has fewer than 2 characters"),
    (CHECK.str_length(max_value=2), "has more than 2 characters"),
    (CHECK(lambda data: data.table[data.key] > 0, name="is wrong"), "is wrong"),
    (CHECK(lambda data, than: data.table[data.key] > than, name="is small", than=2), "is small"),
]


@pytest.mark.parametrize(("check", "words"), WORDS)
def test_words(check, words):
    bounds = str(check.statistics)
    kind = TIME if "2024" in bounds else TEXT if "'a'" in bounds or "str_" in check.name else MONEY
    schema = pandera.DataFrameSchema({"v": pandera.Column(kind, check, nullable=True)})
    (rule,) = rules.compiled(schema).rules
    assert (rule.words, rule.dimension, rule.note) == (f"v {words}", "validity", False)


def test_every_check_that_is_known_has_been_tried():
    tried = {rules._builtin(check) for check, _ in WORDS} - {None}
    assert tried == set(rules._CHECKS)


LAST = [
    CHECK.le("2024-01-05"),
    CHECK.le(dt.date(2024, 1, 5)),
    CHECK.in_range("2024-01-01", "2024-01-05"),
]


@pytest.mark.parametrize("check", LAST)
def test_a_day_as_the_last_one_holds_its_hours(con, check):
    """Where pandera means its first moment: the one deviation from it, but for the next."""
    times = [day("2024-01-05"), day("2024-01-05 23:59:59.999999"), day("2024-01-06")]
    schema = pandera.DataFrameSchema({"v": pandera.Column(TIME, check, nullable=True)})
    found = judged(con, [{"v": t} for t in times], rules.compiled(schema), {"v": TIME})
    assert list(found) == [(0, 3)]
    exact = pandera.DataFrameSchema({"v": pandera.Column(TIME, CHECK.le(times[0]), nullable=True)})
    found = judged(con, [{"v": t} for t in times], rules.compiled(exact), {"v": TIME})
    assert list(found) == [(0, 2), (0, 3)]


def test_a_choice_of_patterns_matches_from_the_start(con):
    """pandera takes ^a|b for it, which finds a b anywhere."""
    check = CHECK.str_matches("a|b")
    schema = pandera.DataFrameSchema({"v": pandera.Column(TEXT, check, nullable=True)})
    values = [{"v": v} for v in ("ax", "bx", "xb", None)]
    assert list(judged(con, values, rules.compiled(schema), {"v": TEXT})) == [(0, 3)]


# ---- What is not known is refused.


@pytest.mark.parametrize(
    ("column", "what"),
    [
        (pandera.Column(MONEY, CHECK(lambda t: t)), 'check "<lambda>"'),
        (pandera.Column(MONEY, CHECK.ge(0, ignore_na=False)), "check"),
        (pandera.Column(MONEY, CHECK.ge(0, element_wise=True)), "check"),
        (pandera.Column(MONEY, CHECK.ge(0, n_failure_cases=0)), "check"),
        (pandera.Column(MONEY, CHECK.ge(0, name="is too low")), 'check "is too low"'),
        (pandera.Column(MONEY, CHECK.ge(0, error="is too low")), "check"),
        (pandera.Column(MONEY, CHECK.unique_values_eq([1])), 'check "unique_values_eq"'),
        (pandera.Column(MONEY, CHECK(lambda d: True, name="x", error="is bad")), 'check "x"'),
        (pandera.Column(MONEY, regex=True), "regex=True"),
        (pandera.Column(MONEY, parsers=Parser(lambda t: t)), "parsers"),
        (pandera.Column(MONEY, coerce=True), "coerce=True"),
        (pandera.Column(MONEY, default=1), "default=1"),
        (pandera.Column(MONEY, drop_invalid_rows=True), "drop_invalid_rows=True"),
        (pandera.Column(MONEY, report_duplicates="exclude_first"), "report_duplicates"),
    ],
)
def test_what_a_column_may_not_ask(column, what):
    with pytest.raises(LabError) as error:
        rules.compiled(pandera.DataFrameSchema({"amount": column}))
    said = str(error.value)
    assert said.startswith(f"rules: {what}")
    assert " of amount" in said
    assert said.endswith("cannot be compiled; expected checks that are a condition of ours with a "
                         f"name, or one of {', '.join(rules._CHECKS)}. Teach validation.rules the "
                         "new one.")  # fmt: skip


@pytest.mark.parametrize(
    "option",
    [
        {"checks": CHECK.ge(0)},
        {"checks": CHECK(lambda d: d.table["amount"] > 0)},
        {"checks": CHECK(lambda d: d.table["amount"] > 0, name="x", ignore_na=False)},
        {"strict": True},
        {"strict": "filter"},
        {"ordered": True},
        {"coerce": True},
        {"dtype": WHOLE},
        {"index": "x"},
        {"parsers": Parser(lambda t: t)},
        {"unique_column_names": True},
        {"on_missing_columns": "warn"},
        {"drop_invalid_rows": True},
        {"report_duplicates": "exclude_last"},
    ],
    ids=str,
)
def test_what_a_table_may_not_ask(option):
    schema = pandera.DataFrameSchema({"amount": pandera.Column(MONEY)}, **option)
    with pytest.raises(LabError, match=r"of the whole table.* cannot be compiled"):
        rules.compiled(schema)


def test_no_option_of_pandera_is_left_out():
    """Every argument of a declaration is compiled, refused or mere words; a new one fails here."""
    import inspect

    compiled = {"self", "columns", "checks", "unique", "nullable", "metadata", "dtype", "required"}
    words = {"name", "title", "description", "column_kwargs"}
    for kind in (pandera.DataFrameSchema, pandera.Column):
        options = set(inspect.signature(kind.__init__).parameters)
        options |= {"parsers", "report_duplicates"}
        assert options - compiled - words <= set(rules._OPTIONS)
    given = {"check_fn", "groups", "groupby", "ignore_na", "element_wise", "name", "error"}
    given |= {"self", "raise_warning", "n_failure_cases", "statistics", "check_kwargs"}
    # How the others of its backends run it, or what makes examples of it.
    given |= {"native", "title", "description", "strategy", "constraint", "determined_by_unique"}
    assert set(inspect.signature(CHECK.__init__).parameters) == given


@pytest.mark.parametrize("scope", ["column", "table"])
def test_a_condition_of_all_rows_at_once_is_refused(scope):
    check = CHECK(lambda data: data.table["amount"].max() > 0, name="is empty")
    column = pandera.Column(MONEY, check if scope == "column" else None)
    schema = pandera.DataFrameSchema({"amount": column}, checks=[check] * (scope == "table"))
    with pytest.raises(LabError) as error:
        rules.compiled(schema)
    where = "amount" if scope == "column" else "the table"
    assert str(error.value) == (
        f'rules: check "is empty" of {where} cannot be compiled; expected a function that gives a '
        "condition for each row, found one that gives BooleanScalar."
    )


def test_a_warning_is_a_note(con):
    checks = [CHECK.ge(0), CHECK.le(5, raise_warning=True)]
    above = CHECK(lambda d: d.table["v"] != 7, name="v is 7", raise_warning=True)
    schema = pandera.DataFrameSchema(
        {"v": pandera.Column(MONEY, checks, nullable=True)}, checks=[above]
    )
    found = judged(con, [{"v": v} for v in (-1, 5, 6, 7)], rules.compiled(schema), {"v": MONEY})
    assert found == {
        (0, 1): (["v is below 0"], []),
        (0, 3): ([], ["v is above 5"]),
        (0, 4): ([], ["v is above 5", "v is 7"]),
    }


def test_a_unique_column_is_a_key(con):
    schema = pandera.DataFrameSchema({"v": pandera.Column(TEXT, unique=True, nullable=True)})
    rows = [{"v": v} for v in ("a", None, "a", None)]
    found = judged(con, rows, rules.compiled(schema), {"v": TEXT})
    assert found == {(0, 3): ([REPEATS], [])}


def test_dimensions():
    told = rules.compiled(schemas.TABLES["orders"]).dimensions()
    assert told["amount is missing"] == "completeness"
    assert told["returned_amount is below 0"] == "validity"
    assert told["margin is above amount"] == "consistency"
    assert told["record_id is no customer's"] == "consistency"
    assert told["order_id appears again, with other values"] == told[REPEATS] == "uniqueness"
    assert REPEATS not in rules.compiled(schemas.TABLES["spend"]).dimensions()


# ---- All of them, by a literal reading.

TYPES = {"source": TEXT, "id": TEXT, "who": TEXT, "amount": MONEY}
NEGATIVE = Rule("amount is below 0", "validity", lambda rows: rows["amount"] < 0)
LARGE = Rule("amount is above 2", "validity", lambda rows: rows["amount"] > 2, note=True)
ID = rules._key(["source", "id"])
WHO_DAY = Key("who comes twice", lambda rows: {"who": rows["who"], "source": rows["source"]})


def _whole(rows):
    return {name: rows[name].cast("string").coalesce("") for name in TYPES}


ALIKE = Key(REPEATS, _whole)
AGAIN = Key(REPEATS, _whole, across_files=True)
OF_ID = Reference(("id",), "parents", "id is in no parent")
OF_WHO = Reference(("source", "who"), "parents", "who is no parent's", within=True, note=True)
KEYS = {
    ID: lambda row: (row["source"], row["id"]),
    WHO_DAY: lambda row: (row["who"], row["source"]),
    ALIKE: lambda row: content(row),
    AGAIN: lambda row: content(row),
}


def content(row):
    return tuple(str(row[name] if row[name] is not None else "") for name in TYPES)


def literally(rows, wanted, parents):
    """What `rules.found` says, row by row and rule by rule."""
    own = {}
    for row in rows:
        reasons, notes = list(row["_unreadable"]), []
        if row["_whole"]:
            amount = row["amount"]
            if NEGATIVE in wanted.rules and amount is not None and amount < 0:
                reasons.append(NEGATIVE.words)
            ids = {None, *(p["id"] for p in parents)}
            if OF_ID in wanted.references and row["id"] not in ids:
                reasons.append(OF_ID.words)
            if LARGE in wanted.rules and amount is not None and amount > 2:
                notes.append(LARGE.words)
            known = {p["source"] for p in parents}
            pair = (row["source"], row["who"])
            asked = OF_WHO in wanted.references and None not in pair and row["source"] in known
            if asked and pair not in {(p["source"], p["who"]) for p in parents}:
                notes.append(OF_WHO.words)
        own[row["_part"], row["_row"]] = (reasons, notes)

    def place(row):
        return row["_part"], row["_row"]

    best = sorted(rows, key=lambda row: (bool(own[place(row)][0]), place(row)))
    said = {at: [] for at in own}
    for key in wanted.keys:
        seen = {}
        for row in best:
            parts = KEYS[key](row)
            if None in parts or not row["_whole"]:
                continue
            earlier = seen.setdefault(parts, [])
            if key.across_files:
                # The first of one file stands for the first of another, and so on.
                same = sum(other["_part"] == row["_part"] for other in earlier)
                rank = {}
                for other in earlier:
                    rank[other["_part"]] = rank.get(other["_part"], 0) + 1
                later = any(n > same for part, n in rank.items() if part != row["_part"])
            else:
                later = bool(earlier)
            alike = key.words == REPEATS or any(
                [o[name] for name in TYPES] == [row[name] for name in TYPES] for o in earlier
            )
            earlier.append(row)
            if later:
                said[place(row)].append(REPEATS if alike else key.words)
    order = dict.fromkeys([REPEATS, *(key.words for key in wanted.keys)])
    told = {}
    for at, (reasons, notes) in own.items():
        reasons = reasons + [words for words in order if words in said[at]]
        if reasons or notes:
            told[at] = (reasons, notes)
    return told


SMALL = st.sampled_from(["a", "b", None])
ROW = st.fixed_dictionaries(
    {
        "source": SMALL,
        "id": SMALL,
        "who": SMALL,
        "amount": st.sampled_from([Decimal(-1), Decimal(1), Decimal(3), None]),
        "_unreadable": st.sampled_from([[], [], [], [], ["amount is not a number"]]),
    }
)
LOST = st.just(dict.fromkeys(TYPES) | {"_unreadable": ["row cannot be read: x"], "_whole": False})
PARENT = st.fixed_dictionaries({"source": SMALL, "id": SMALL, "who": SMALL})


@st.composite
def tables(draw):
    """Rows of up to three files, in any order."""
    rows = []
    for part in range(draw(st.integers(1, 3))):
        of_file = draw(st.lists(st.one_of(ROW, ROW, ROW, LOST), max_size=7))
        for number, row in enumerate(of_file, 1):
            rows.append({"_whole": True} | row | {"_part": part, "_row": number})
    return draw(st.permutations(rows))


WANTED = st.builds(
    Rules,
    st.sets(st.sampled_from([NEGATIVE, LARGE])).map(
        lambda some: tuple(rule for rule in (NEGATIVE, LARGE) if rule in some)
    ),
    st.lists(st.sampled_from(list(KEYS)), unique=True, max_size=2).map(tuple),
    st.sampled_from([(), (OF_ID,), (OF_WHO,), (OF_ID, OF_WHO)]),
)


def told(con, rows, wanted, given):
    names = ("source", "id", "who")
    keys = ibis.memtable(
        {name: [p[name] for p in given] for name in names}, schema=dict.fromkeys(names, "string")
    )
    others = con.create_table("parents", keys, temp=True, overwrite=True)
    return judged(con, rows, wanted, TYPES, {"parents": others})


@settings(max_examples=40, deadline=None)
@given(rows=tables(), wanted=WANTED, given=st.lists(PARENT, max_size=4))
def test_found_against_a_literal_reading(con, rows, wanted, given):
    assert told(con, rows, wanted, given) == literally(rows, wanted, given)


@settings(max_examples=8, deadline=None)
@given(rows=tables(), wanted=WANTED)
def test_the_same_rows_once_more(con, rows, wanted):
    """Of a file that comes again, each row repeats one; nothing changes for the first."""
    wanted = rules.with_more(Rules(wanted.rules), ALIKE)
    once = told(con, rows, wanted, [])
    again = [row | {"_part": row["_part"] + 10} for row in rows]
    twice = told(con, rows + again, wanted, [])
    assert {at: said for at, said in twice.items() if at[0] < 10} == once
    whole = [row for row in again if row["_whole"]]
    assert all(REPEATS in twice[row["_part"], row["_row"]][0] for row in whole)


def test_a_reference_to_what_is_not_there_says_nothing(con):
    wanted = Rules(references=(OF_ID,))
    rows = [{"id": "a"}]
    assert judged(con, rows, wanted, TYPES) == {}
    without = ibis.memtable({"source": ["a"]})
    assert judged(con, rows, wanted, TYPES, {"parents": without}) == {}
    empty = con.create_table("nobody", schema={"id": "string"}, temp=True)
    assert judged(con, rows, wanted, TYPES, {"parents": empty}) == {
        (0, 1): (["id is in no parent"], [])
    }


def test_the_first_of_a_file_repeats_the_first_of_another(con):
    """Two alike in one file are two; the third of the second file has no counterpart in the first."""
    wanted = Rules(keys=(AGAIN,))
    rows = [{"id": "a", "_part": 0, "_row": i} for i in (1, 2)]
    rows += [{"id": "a", "_part": 1, "_row": i} for i in (1, 2, 3)]
    rows += [{"id": "b", "_part": 1, "_row": 4}]
    assert judged(con, rows, wanted, TYPES) == {
        (1, 1): ([REPEATS], []),
        (1, 2): ([REPEATS], []),
    }


def test_the_first_row_of_a_key_that_is_right(con):
    """By file, then by row, wherever it lies; one that breaks another rule is not right."""
    key = {"source": "a", "id": "a"}
    rows = [
        key | {"amount": Decimal(2), "_part": 1, "_row": 1},
        key | {"amount": Decimal(1), "_part": 0, "_row": 3},
        key | {"amount": Decimal(-1), "_part": 0, "_row": 1},
        key | {"amount": Decimal(1), "_part": 0, "_row": 2},
    ]
    assert judged(con, rows, Rules((NEGATIVE,), (ID,)), TYPES) == {
        (0, 1): ([NEGATIVE.words, ID.words], []),
        (0, 3): ([REPEATS], []),
        (1, 1): ([ID.words], []),
    }


def test_a_row_that_could_not_be_read_has_no_notes(con):
    lacks = Rule("amount is usual", "validity", lambda rows: rows["amount"].isnull(), note=True)
    rows = [{}, {"_unreadable": ["row cannot be read: x"], "_whole": False}]
    assert judged(con, rows, Rules((lacks,)), TYPES) == {
        (0, 1): ([], ["amount is usual"]),
        (0, 2): (["row cannot be read: x"], []),
    }


def test_choices_that_need_no_order_id(con):
    """The choices of the page on one table: what repeats, and what comes twice a day."""
    when = {"ordered_at": day("2024-01-05 09:00")}
    later = {"ordered_at": day("2024-01-05 21:00")}
    base = WHO | {"amount": Decimal(1)}
    rows = [base | when, base | when, base | later, base | {"ordered_at": SOON}]
    types = types_of("orders")
    repeated = Rules(keys=declared.CHOICES["exact_duplicates"])
    assert judged(con, rows, repeated, types) == {(0, 2): ([REPEATS], [])}
    daily = Rules(keys=declared.CHOICES["same_day_orders"])
    assert judged(con, rows, daily, types) == {
        (0, 2): ([REPEATS], []),
        (0, 3): (["ordered_at is on the day of an earlier order"], []),
    }
