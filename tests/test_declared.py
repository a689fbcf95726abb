"""Rules of dataset.yml: each key, each word on what it may not be, and that none loosens."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyaltylab import contract, reasons, schemas
from loyaltylab.errors import LabError
from loyaltylab.validation import declared, rules
from tests.shop import Shop, noted, orders, refused

HEADER = "order_id,source,record_id,ordered_at,amount,margin,returned_amount,channel\n"
ROWS = """a,shop,1,2024-01-05 10:00,10,3,,web
b,shop,2,2024-01-06 00:00,20,4,5,app
c,shop,3,2024-01-07 23:59,30,,,
d,till,3,2024-01-08 00:00,40,6,1,web 2
"""


@pytest.mark.parametrize(
    ("column", "rule", "expected"),
    [
        ("margin", {"required": True}, {3: ["margin is missing"]}),
        ("record_id", {"unique": True}, {4: ["record_id appears again, with other values"]}),
        ("amount", {"min": 20}, {1: ["amount is below 20"]}),
        ("amount", {"min": 20.5}, {1: ["amount is below 20.5"], 2: ["amount is below 20.5"]}),
        ("amount", {"max": 30}, {4: ["amount is above 30"]}),
        ("ordered_at", {"min": "2024-01-06"}, {1: ["ordered_at is before 2024-01-06"]}),
        ("ordered_at", {"max": "2024-01-07"}, {4: ["ordered_at is after 2024-01-07"]}),
        ("channel", {"allowed": ["web", "app"]}, {4: ["channel is none of web, app"]}),
        ("amount", {"allowed": [10, 20, 30.0]}, {4: ["amount is none of 10, 20, 30.0"]}),
        ("channel", {"pattern": "[a-z]+"}, {4: ["channel does not match [a-z]+"]}),
        ("channel", {"pattern": "web|app"}, {4: ["channel does not match web|app"]}),
        ("channel", {"pattern": "(?i)WEB.*|app"}, {}),
        ("margin", {"at_least": "returned_amount"}, {2: ["margin is below returned_amount"]}),
        ("returned_amount", {"at_most": "margin"}, {2: ["returned_amount is above margin"]}),
        ("record_id", {"references": "customers.record_id"},
         {1: ["record_id is in no row of customers"]}),
        ("margin", {"min": 4, "max": 5},
         {1: ["margin is below 4"], 4: ["margin is above 5"]}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("note", [False, True])
def test_each_key(shop, con, column, rule, expected, note):
    customers = con.create_table(
        "known", schema={"source": "string", "record_id": "string"}, temp=True, overwrite=True
    )
    con.raw_sql("INSERT INTO known VALUES ('shop', '2'), ('shop', '3'), ('shop', NULL)")
    more = {"rules": {"orders": {column: rule | ({"note": True} if note else {})}}}
    if note and {"required", "unique"} & set(rule):
        with pytest.raises(ValueError, match="required and unique without note"):
            contract.ColumnRule.model_validate(rule | {"note": True})
        return
    if "references" in rule:
        more["tables"] = {"orders": ["0.csv"], "customers": ["0.csv"]}
    only = customers.select("record_id")  # the source is no part of this reference
    checked = shop.check((HEADER + ROWS, {}), more=more, others={"customers": only})
    assert (noted if note else refused)(checked) == expected
    assert (refused if note else noted)(checked) == {}


TIMES = "ticket_id,source,record_id,opened_at,first_reply_at,resolved_at\n"


def test_two_times_are_before_and_after(shop):
    rows = "a,s,1,2024-01-05,2024-01-07,2024-01-06\nb,s,1,2024-01-05,2024-01-06,2024-01-06\n"
    for rule, words in (
        ({"resolved_at": {"at_least": "first_reply_at"}}, "resolved_at is before first_reply_at"),
        ({"first_reply_at": {"at_most": "resolved_at"}}, "first_reply_at is after resolved_at"),
    ):
        checked = shop.check((TIMES + rows, {}), table="tickets", more={"rules": {"tickets": rule}})
        assert refused(checked) == {1: [words]}


def test_a_required_column_that_cannot_be_read(shop):
    text = HEADER + "a,shop,1,2024-01-05,10,x,,\nb,shop,1,2024-01-05,10,1,,\n"
    checked = shop.check((text, {}), more={"rules": {"orders": {"margin": {"required": True}}}})
    assert refused(checked) == {1: ["margin is not a number"]}


def test_an_expected_flag(shop):
    text = "source,record_id,loyalty_member\ncrm,1,yes\ncrm,2,no\ncrm,3,\n"
    more = {"rules": {"customers": {"loyalty_member": {"allowed": [True]}}}}
    checked = shop.check((text, {}), table="customers", more=more)
    assert refused(checked) == {2: ["loyalty_member is none of True"]}


KNOWN = ", ".join(schemas.column_types("orders"))
WHERE = "dataset.yml under rules.orders"


def dataset(told, tables=("orders", "customers"), **more):
    given = {"title": "A", "currency": "EUR", "tables": dict.fromkeys(tables, "a.csv")}
    return contract.Dataset.model_validate(given | {"rules": told} | more)


@pytest.mark.parametrize(
    ("column", "rule", "words"),
    [
        ("amout", {"min": 1},
         f'{WHERE}: unknown column "amout"; expected one of {KNOWN}. Did you mean "amount"?'),
        ("zzz", {"min": 1}, f'{WHERE}: unknown column "zzz"; expected one of {KNOWN}. Remove it.'),
        ("amount", {"min": "1"}, f"{WHERE}.amount: min is '1'; expected a number."),
        ("amount", {"max": True}, f"{WHERE}.amount: max is True; expected a number."),
        ("amount", {"allowed": [1, "2"]}, f"{WHERE}.amount: allowed is '2'; expected a number."),
        ("ordered_at", {"min": 2024},
         f'{WHERE}.ordered_at: min is 2024; expected a day such as "2024-12-31".'),
        ("ordered_at", {"max": "31.12.2024"},
         f"{WHERE}.ordered_at: max is '31.12.2024'; expected a day such as \"2024-12-31\"."),
        ("ordered_at", {"max": "2024-02-30"},
         f"{WHERE}.ordered_at: max is '2024-02-30'; expected a day such as \"2024-12-31\"."),
        ("channel", {"min": 1}, f"{WHERE}.channel: min is 1; expected a text; put it in quotes."),
        ("channel", {"allowed": [True]},
         f"{WHERE}.channel: allowed is True; expected a text; put it in quotes."),
        ("amount", {"pattern": "1"}, f"{WHERE}.amount: pattern is for texts; amount is none."),
        ("amount", {"at_least": "margn"},
         f'{WHERE}.amount: unknown column "margn"; expected one of {KNOWN}. '
         'Did you mean "margin"?'),
        ("amount", {"at_most": "ordered_at"},
         f"{WHERE}.amount: expected two numbers or two times, found amount and ordered_at."),
        ("channel", {"at_most": "status"},
         f"{WHERE}.channel: expected two numbers or two times, found channel and status."),
        ("record_id", {"references": "customers"},
         f"{WHERE}.record_id: references is 'customers'; expected customers.record_id."),
        ("record_id", {"references": "customers.email"},
         f"{WHERE}.record_id: references is 'customers.email'; expected customers.record_id."),
        ("record_id", {"references": "orders.record_id"},
         f"{WHERE}.record_id: references is 'orders.record_id'; expected customers.record_id."),
        ("channel", {"references": "spend.channel"},
         f"{WHERE}.channel: references is 'spend.channel'; no table of the dataset can be asked "
         "for channel. Remove it."),
    ],
)  # fmt: skip
def test_what_a_rule_may_not_be(column, rule, words):
    with pytest.raises(LabError) as error:
        declared.for_table(dataset({"orders": {column: rule}}), "orders")
    assert str(error.value) == words


def test_what_a_flag_may_be():
    given = dataset({"customers": {"loyalty_member": {"min": 1}}})
    with pytest.raises(LabError, match="min is 1; expected true or false"):
        declared.for_table(given, "customers")


@pytest.mark.parametrize(
    ("table", "name", "tables", "able"),
    [
        ("orders", "record_id", ["orders"], "no table of the dataset can be asked for record_id"),
        ("customers", "record_id", ["orders", "customers"], "no table of the dataset can"),
        ("visits", "record_id", ["orders", "customers"],
         "expected customers.record_id or orders.record_id."),
        ("order_lines", "order_id", ["orders"], "expected orders.order_id."),
    ],
)  # fmt: skip
def test_which_tables_can_be_referred_to(table, name, tables, able):
    given = dataset({table: {name: {"references": "x"}}}, tables)
    with pytest.raises(LabError) as error:
        declared.for_table(given, table)
    assert able in str(error.value)


def test_a_reference_is_added_to_those_there_are():
    given = dataset(
        {"order_lines": {"order_id": {"references": "orders.order_id"}, "quantity": {"min": 1}}}
    )
    found = declared.for_table(given, "order_lines").references
    assert [one.words for one in found] == [
        "order_id is in no order",
        "order_id is in no row of orders",
    ]


# ---- The last day observed.


def test_nothing_is_after_the_last_day_observed(shop):
    row = "a;1;{};1"
    days = ["2024-06-30 23:59:59", "2024-07-01", "2199-12-31", "1949-12-31"]
    given = [row.format(day).replace("a", str(i), 1) for i, day in enumerate(days)]
    after = ["ordered_at is after observed_until, 2024-06-30"]
    early = ["ordered_at is before 1950-01-01"]
    checked = shop.check(orders(*given), until="2024-06-30")
    assert refused(checked) == {2: after, 3: after, 4: early}
    # The latest day of all takes nothing away.
    checked = shop.check(orders(*given), until="2099-12-31")
    assert refused(checked) == {3: ["ordered_at is after observed_until, 2099-12-31"], 4: early}


# ---- No rule takes another one away.

COLUMNS = {
    "amount": st.integers(-5, 5) | st.floats(-5, 5, width=16),
    "margin": st.integers(-5, 5),
    "returned_amount": st.integers(-5, 5),
    "channel": st.sampled_from(["web", "app", "x"]),
    "ordered_at": st.sampled_from(["1900-01-01", "2024-01-05", "2099-12-31", "2999-12-31"]),
}


@st.composite
def column_rules(draw):
    name = draw(st.sampled_from(list(COLUMNS)))
    bound = COLUMNS[name]
    numbers = ["amount", "margin", "returned_amount"]
    keys = {
        "required": st.booleans(),
        "unique": st.booleans(),
        "min": bound,
        "max": bound,
        "allowed": st.lists(bound, min_size=1, max_size=3),
    }
    if name == "channel":
        keys["pattern"] = st.sampled_from(["web|x", "[a-z]{3}", ""])
    if name in numbers:
        keys["at_least"] = keys["at_most"] = st.sampled_from(numbers)
    chosen = draw(st.lists(st.sampled_from(list(keys)), unique=True, min_size=1, max_size=3))
    rule = {key: draw(keys[key]) for key in chosen}
    if not rule.get("required") and not rule.get("unique"):
        rule["note"] = draw(st.booleans())
    return name, rule


MIXED = (
    HEADER
    + "".join(
        f"{i % 9},shop,{i % 4},{when},{amount},{margin},{back},{channel}\n"
        for i, (when, amount, margin, back, channel) in enumerate(
            zip(
                ["2024-01-05", "2024-01-05 10:00", "2100-01-01", "1899-01-01", ""] * 6,
                [-3, 0, 1, 2.5, 4, ""] * 5,
                [-4, "", 1, 5, 0, 3] * 5,
                ["", -1, 1, 2, 5] * 6,
                ["web", "app", "", "web 2", "x"] * 6,
                strict=True,
            )
        )
    )
    + "z,shop,5,2024-01-05,0,0,0,web\n"
)


@pytest.fixture(scope="module")
def mixed(con, tmp_path_factory):
    """Orders of any kind, typed."""
    checked = Shop(con, tmp_path_factory.mktemp("mixed")).check((MIXED, {}))
    return con.create_table("mixed", checked.rows.mutate(_cancels=False, _cancelled=False))


def held_against(con, rows, wanted):
    """_row → reasons, of the rows that are put aside."""
    found = con.to_pyarrow(rules.found(con, rows, wanted).select("_row", "_reasons")).to_pylist()
    return {row["_row"]: row["_reasons"] for row in found if row["_reasons"]}


@settings(max_examples=15, deadline=None)
@given(
    given=st.lists(column_rules(), max_size=3),
    until=st.sampled_from(["2024-01-05", "2099-12-31", None]),
    put_aside=st.sampled_from([(), tuple(declared.CHOICES)]),
)
def test_no_rule_loosens(con, mixed, given, until, put_aside):
    found = []
    for told, last in (({}, None), ({"orders": dict(given)}, until)):
        more = {"observed_until": last} if last else {}
        wanted = declared.for_table(dataset(told, **more), "orders", put_aside=put_aside)
        found.append(held_against(con, mixed, wanted))
    before, after = found
    late = {"ordered_at is after 2099-12-31"} if until else set()
    keys = {key.words for key in wanted.keys} | {reasons.REPEATS}
    for row, said in before.items():
        assert set(said) - keys - late <= set(after.get(row, []))
        # Of a key's rows another one may be the first that is right; otherwise none is accepted.
        assert row in after or set(said) <= keys
    assert len(after) >= len(before)


def test_choices_of_the_page():
    said = {"zero_amounts": "keep", "negative_amounts": "put aside", "same_day_orders": "put aside"}
    assert declared.chosen(**said) == ("negative_amounts", "same_day_orders")
    assert declared.chosen() == ()


@pytest.mark.parametrize(
    ("name", "choice"), [("zero_amounts", "drop"), ("zeros", "keep"), ("zero_amounts", True)]
)
def test_a_choice_that_is_none(name, choice):
    with pytest.raises(LabError) as error:
        declared.chosen(**{name: choice})
    assert str(error.value) == (
        f'choices: {name} is "{choice}"; expected one of exact_duplicates, same_day_orders, '
        "zero_amounts, negative_amounts, cancelled_orders to be keep or put aside. Correct it in "
        "dataset.yml under parameters."
    )
