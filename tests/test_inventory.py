"""What the company holds, by hand; and that what is declared of it is what the code does."""

import ast
import json
from pathlib import Path

import pandas as pd
import pytest

from loyaltylab import schemas
from loyaltylab.validation import inventory, permissions
from loyaltylab.validation.nature import KINDS, NATURE, ORIGINS, PERSONAL, USED

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "loyaltylab"

# ---- The declaration.


def test_every_canonical_column_is_declared_and_nothing_else():
    assert {table: set(columns) for table, columns in NATURE.items()} == {
        table: set(schemas.column_types(table)) for table in schemas.TABLES
    }
    assert set(USED) == set(schemas.TABLES)
    for table, columns in USED.items():
        assert set(columns) <= set(NATURE[table])
    assert {n.kind for t in NATURE.values() for n in t.values()} == set(KINDS)
    assert {n.origin for t in NATURE.values() for n in t.values()} == set(ORIGINS)
    assert {n.personal for t in NATURE.values() for n in t.values()} == set(PERSONAL)


def declared(chosen):
    return {(t, c) for t, columns in NATURE.items() for c, n in columns.items() if chosen(n)}


def test_what_a_data_protection_officer_would_look_for():
    assert declared(lambda n: n.personal == "directly") == {
        ("customers", c) for c in ("given_name", "family_name", "email", "phone", "street")
    }
    # Business is what is about nobody, and nothing else is.
    nobody = {("spend", c) for c in schemas.column_types("spend")}
    assert declared(lambda n: n.personal == "no") == nobody
    assert declared(lambda n: n.kind == "business") == nobody
    words = {("surveys", "comment"), ("tickets", "text"), ("feedback", "text")}
    assert declared(lambda n: n.free_text) == words
    more = {("customers", "birth_date"), ("customers", "referred_by"), ("visits", "device_id")}
    assert declared(lambda n: n.care) == words | more
    assert declared(lambda n: n.kind == "permission") == {
        ("customers", "consent_analytics"),
        ("customers", "consent_marketing"),
        ("erasures", "requested_at"),
    }
    opinions = {("surveys", "score"), ("feedback", "rating")} | words
    assert declared(lambda n: n.kind == "attitudinal") == opinions


def test_the_glossary_explains_every_word():
    table = inventory.glossary()
    assert table["word"].tolist() == [*KINDS, *ORIGINS, *PERSONAL]
    assert table["about"].tolist() == ["kind"] * 6 + ["origin"] * 4 + ["personal"] * 3
    assert table.iloc[6].tolist() == ["origin", "given", ORIGINS["given"]]


# ---- What is declared used is what the code reads.

# Modules that know no column of a table by its meaning, that compute no finding (truth, simulation),
# or that are the first page's (validation).
APART = {
    "contract",
    "engine",
    "errors",
    "files",
    "intervals",
    "numbers",
    "plots",
    "schemas",
    "simulation",
    "sources",
    "truth",
    "validation",
    "world",
}
PAGES = (
    "02_linkage", "03_retention", "03b_segments", "03c_acquisition", "04_lifetime_value",
    "04b_value", "04c_models", "05_satisfaction", "05b_service", "06_journey", "07_growth",
)  # fmt: skip


# Named by the code of a page, but something else: the score of a forecast, whether somebody has gone.
# Linkage ranks all purchases for later pages, finds each first order's channel, not a ticket's or a
# visit's or a campaign's (whose time it leaves out of when a record was used), as service counts a
# ticket's, not an order's, and forecasts with the module that knows first channels and categories.
# The pages on value and satisfaction take RFM alone from the module that knows rules by these columns,
# too, and the channel of satisfaction is that through which a customer was won. That on the journey
# takes RFM too, of acquisition what a customer costs and not when that comes back, and a visit's number
# for what is true of it. The page on growth knows the numbers of visits by name so as not to count them
# among what they hold, and an order's channel.
OTHERWISE = {
    ("02_linkage", "surveys", "score"),
    ("02_linkage", "tickets", "channel"),
    ("02_linkage", "order_lines", "category"),
    ("04c_models", "orders", "channel"),
    ("03_retention", "orders", "status"),
    ("02_linkage", "visits", "channel"),
    ("02_linkage", "campaigns", "channel"),
    ("02_linkage", "campaigns", "started_at"),
    ("03_retention", "visits", "channel"),
    ("05b_service", "orders", "channel"),
    ("05_satisfaction", "orders", "channel"),
    ("05_satisfaction", "tickets", "channel"),
    ("06_journey", "orders", "margin"),
    ("06_journey", "visits", "visit_id"),
    ("06_journey", "customers", "country"),
    ("06_journey", "customers", "loyalty_member"),
    ("07_growth", "customers", "loyalty_member"),
    *(("07_growth", "visits", name) for name in ("visit_id", "device_id", "seconds", "channel")),
    *(
        (page, "customers", name)
        for page in ("04b_value", "05_satisfaction")
        for name in ("country", "loyalty_member", "consent_marketing")
    ),
}


def code_of(page):
    """The code of a notebook, without what is held against the truth."""
    code = []
    for cell in json.loads((ROOT / "notebooks" / f"{page}.ipynb").read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        if text.startswith("## Against the truth"):
            break
        if cell["cell_type"] == "code":
            code.append(text)
    return ast.parse("\n".join(code))


def imported(tree):
    """Modules and packages right below loyaltylab."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "loyaltylab":
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("loyaltylab."):
            found.add(node.module.split(".")[1])
    return found - APART


def trees(module):
    file = PACKAGE / f"{module}.py"
    files = [file] if file.exists() else sorted((PACKAGE / module).glob("*.py"))
    assert files, module
    return [ast.parse(file.read_text("utf-8")) for file in files]


def read_by(page):
    """The code that a page runs: module → its trees, the notebook's own under its name."""
    found, ahead = {page: [code_of(page)]}, imported(code_of(page))
    while ahead:
        module = ahead.pop()
        found[module] = trees(module)
        ahead |= {name for tree in found[module] for name in imported(tree)} - set(found)
    return found


def names(trees):
    """Texts and attributes: what a column can be called by."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    texts = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return texts | {n.attr for n in nodes if isinstance(n, ast.Attribute)}


def specified(trees):
    """What is read of dataset.yml, such as its currency: no column, though there is one so called."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {n.attr for n in nodes if isinstance(n, ast.Attribute) and called(n.value) == "spec"}


def called(node):
    """The last name of an expression such as found.tables; None if it has none."""
    return getattr(node, "attr", getattr(node, "id", None))


def is_tables(node):
    """Whether it is a dataset's tables by name, and not the files that dataset.yml gives for them."""
    return called(node) == "tables" and called(getattr(node, "value", None)) != "spec"


# Code that goes through all tables takes the rows that tell whose they are: by record, or by order.
SOMEBODYS = {t for t in schemas.TABLES if {"record_id", "order_id"} & set(schemas.column_types(t))}


def tables_of(code):
    """Tables that a page asks the lab for, picks from all, or goes through."""
    found = set()
    trees = [
        tree for module, its_trees in code.items() if module != "dataset" for tree in its_trees
    ]
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("orders", "purchases", "first_orders"):
                found.add("orders")
            if node.func.attr == "persons" and not node.args:
                found.add("customers")
            asked = node.func.attr in ("table", "of_persons")
            if asked or (node.func.attr == "get" and is_tables(node.func.value)):
                found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
        elif isinstance(node, ast.Subscript) and is_tables(node.value):
            found |= {node.slice.value} if isinstance(node.slice, ast.Constant) else set()
        elif isinstance(node, (ast.comprehension, ast.For)) and called(node.iter) == "tables":
            found |= SOMEBODYS
    return found & set(schemas.TABLES)


@pytest.mark.parametrize(
    ("line", "tables"),
    [
        ('lab.table("customers")', {"customers"}),
        ("lab.orders()", {"orders"}),
        ("lab.purchases()", {"orders"}),
        ("lab.first_orders()", {"orders"}),
        ("lab.persons()", {"customers"}),
        ("truth.persons(lab, orders)", set()),
        ('lab.of_persons("surveys")', {"surveys"}),
        ('tables["visits"]', {"visits"}),
        ('found.tables["orders"]', {"orders"}),
        ('tables.get("customers", nobody())', {"customers"}),
        ('found.tables.get("erasures")', {"erasures"}),
        ('words.get("customers")', set()),
        ('"visits" in tables', set()),
        ('lab.spec.tables["customers"]', set()),
        ('lab.spec.tables.get("customers")', set()),
        ("tables[name]", set()),
        (
            "{name: rows(name) for name in lab.spec.tables}",
            SOMEBODYS,
        ),
    ],
)
def test_how_code_comes_by_its_tables(line, tables):
    assert tables_of({"a page": [ast.parse(line)]}) == tables


@pytest.mark.parametrize("page", PAGES)
def test_the_columns_declared_used_are_those_that_a_page_reads(page):
    code = read_by(page)
    trees = [tree for part in code.values() for tree in part]
    read, tables = names(trees) - specified(trees), tables_of(code)
    assert tables
    said = {
        table: {column for column, pages in columns.items() if page in pages}
        for table, columns in USED.items()
    }
    assert {table for table in said if said[table]} == tables
    for table in tables:
        # Of this table alone: another one's column may be called the same.
        others = {column for at, of, column in OTHERWISE if (at, of) == (page, table)}
        timed = {schemas.MAIN_TIME.get(table)} if "MAIN_TIME" in read else set()
        assert said[table] == set(NATURE[table]) & ((read | timed) - others), table


@pytest.mark.parametrize("page", PAGES)
def test_a_later_page_reads_raw_rows_as_the_first_one_and_takes_nothing_else_of_it(page):
    taken = set()
    for node in (n for part in read_by(page).values() for tree in part for n in ast.walk(tree)):
        module = getattr(node, "module", None) or ""
        if isinstance(node, ast.ImportFrom) and module.startswith("loyaltylab.validation"):
            taken |= {name.name for name in node.names}
        elif isinstance(node, ast.Attribute) and called(node.value) == "validation":
            taken.add(node.attr)
    # (And which page reads what, as the matrix of touchpoints tells.)
    allowed = {"02_linkage": {"typed", "cleaning"}, "07_growth": {"USED"}}
    assert taken == allowed.get(page, set())


def test_the_pages_are_those_that_there_are():
    there = {path.stem for path in (ROOT / "notebooks").glob("0*.ipynb")}
    said = {page for columns in USED.values() for pages in columns.values() for page in pages}
    assert said == {"01_validation", *PAGES} == there - {"00_summary"}


def test_what_the_first_page_decides_by():
    validation = [
        ast.parse(path.read_text("utf-8"))
        for path in (PACKAGE / "validation").glob("*.py")
        if path.stem != "nature"
    ]
    read = names(validation)
    for table, columns in USED.items():
        checked = {column for column, pages in columns.items() if "01_validation" in pages}
        assert checked <= set(schemas.TABLES[table].unique or []) | read
        if {"source", "record_id"} <= set(NATURE[table]):
            assert {"source", "record_id"} <= checked
    assert set(permissions.PURPOSES.values()) <= set(USED["customers"])


# ---- Exports by hand.

COLUMNS = pd.DataFrame(
    [
        ("orders", "orders", "No", "order_id"),
        ("orders", "orders", "Customer", "record_id"),
        ("orders", "orders", "Refunded", "returned_amount"),
        ("customers", "customers.crm", "Nr", "record_id"),
        ("customers", "customers.crm", "Nachname", "family_name"),
        ("customers", "customers.crm", "E-Mail", "email"),
        ("customers", "customers.crm", "Geburtsdatum", "birth_date"),
        ("customers", "customers.crm", "Werbung", "consent_marketing"),
        ("customers", "customers.crm", "Umsatz", None),
        ("customers", "customers.shop", "last", "family_name"),
        ("tickets", "tickets.mail", "message", "text"),
        ("tickets", "tickets.chat", "words", "text"),
        ("tickets", "tickets.chat", "replied", "first_reply_at"),
        ("visits", "visits", "device_id", "device_id"),
        ("visits", "visits", "seconds", "seconds"),
        ("visits", "visits.app", "dwell", "seconds"),
        ("visits", "visits.app", "screen", "stage"),
        ("spend", "spend", "clicks", "clicks"),
    ],
    columns=["table", "export", "column", "canonical"],
)


def test_holdings_by_hand():
    table = inventory.holdings(COLUMNS)
    assert table["export"].tolist() == [
        "orders", "customers.crm", "customers.shop", "tickets.mail", "tickets.chat", "visits",
        "visits.app", "spend",
    ]  # fmt: skip
    crm = table.iloc[1].to_dict()
    assert crm.pop("free_text") is None or pd.isna(table.loc[1, "free_text"])
    assert crm == {
        "table": "customers",
        "export": "customers.crm",
        "columns": 6,
        "kinds": "identity, permission",
        "origins": "given, made",
        "direct": 2,  # name and e-mail address
        "by_record": 3,  # number, birth date, consent
        "left_out": "Umsatz",
        "unused": 1,  # what dataset.yml leaves out
    }
    assert table["kinds"].tolist()[3:] == [
        "attitudinal", "behavioural, attitudinal", "identity, behavioural", "behavioural", "business",
    ]  # fmt: skip
    assert table["origins"].tolist()[3:] == [
        "given", "given, made", "observed", "observed", "reported",
    ]  # fmt: skip
    assert table["direct"].tolist() == [0, 2, 1, 0, 0, 0, 0, 0]
    assert table["by_record"].tolist() == [3, 3, 0, 1, 2, 2, 2, 0]
    assert table["free_text"].dropna().tolist() == ["message", "words"]
    assert table["left_out"].dropna().tolist() == ["Umsatz"]
    assert table["unused"].tolist() == [0, 1, 0, 0, 0, 0, 0, 1]


def test_kinds_and_origins_stand_in_the_order_in_which_they_are_explained():
    names = ["registered_at", "country", "record_id"]
    columns = pd.DataFrame({"table": "customers", "export": "x", "column": names})
    told = inventory.holdings(columns.assign(canonical=names)).loc[0]
    assert told["kinds"] == "identity, descriptive, behavioural"
    assert told["origins"] == "given, observed, made"


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_unused_by_hand(missing):
    columns = COLUMNS.astype(object).assign(
        canonical=COLUMNS["canonical"].astype(object).where(COLUMNS["canonical"].notna(), missing)
    )
    columns.index = range(50, 50 + len(columns))
    table = inventory.unused(columns)
    assert list(table) == ["table", "export", "column", "canonical", "personal", "use", "advice"]
    assert table["column"].tolist() == ["Umsatz", "clicks"]
    assert table.index.tolist() == [0, 1]
    assert table["canonical"].isna().tolist() == [True, False]
    assert table["personal"].tolist() == ["not declared", "no"]
    assert table["use"].tolist() == ["left out by dataset.yml", "by no page yet"]
    advice = table.set_index("column")["advice"]
    assert advice["Umsatz"] == "leave it out of the export: nothing can read it"
    assert "about persons" in advice["clicks"]


def test_what_is_unused_in_short():
    table = inventory.by_advice(inventory.unused(COLUMNS))
    assert list(table) == ["table", "columns", "exports", "advice"]
    assert table[["table", "columns", "exports"]].to_numpy().tolist() == [
        ["customers", "Umsatz", "customers.crm"],
        ["spend", "clicks", "spend"],
    ]


def test_every_column_that_is_unused_gets_advice_and_linkage_has_none_of_them():
    every = [
        (table, table, column, column) for table in NATURE for column in schemas.column_types(table)
    ]
    table = inventory.unused(pd.DataFrame(every, columns=list(COLUMNS)))
    assert len(table) == len(every) - sum(len(columns) for columns in USED.values())
    assert table["advice"].str.len().gt(10).all()
    # Nobody is advised to drop what tells which records are one person, or who asked to be forgotten.
    assert not set(table["table"]) & {"customers", "erasures"}
    # And no advice is left that nothing gets.
    assert set(zip(table["table"], table["advice"], strict=True)) == {*inventory._ADVICE.items()}


def test_columns_to_take_care_with():
    table = inventory.care(COLUMNS)
    assert table[["export", "column"]].to_numpy().tolist() == [
        ["customers.crm", "Geburtsdatum"],
        ["tickets.mail", "message"],
        ["tickets.chat", "words"],
        ["visits", "device_id"],
    ]
    assert "child" in table.loc[0, "why"] and "free text" in table.loc[1, "why"]


def test_exports_of_which_everything_is_used():
    columns = COLUMNS.head(2)
    assert inventory.holdings(columns)["unused"].tolist() == [0]
    assert inventory.unused(columns).empty and inventory.by_advice(inventory.unused(columns)).empty
    assert inventory.care(columns).empty
    assert "is used" in inventory.unused_finding(columns)


def test_a_canonical_name_that_is_none():
    with pytest.raises(KeyError, match="emale"):
        inventory.holdings(COLUMNS.replace({"canonical": {"email": "emale"}}))


def test_what_is_unused_in_words():
    words = inventory.unused_finding(COLUMNS)
    assert "No page uses 2 of the 18 columns" in words
    assert "no columns hold data about persons, and 1 is left out by dataset.yml" in words
