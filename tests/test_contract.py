"""dataset.yml: what it may say, and that all it may not say is told at once, one problem a line."""

import datetime as dt

import pytest

from loyaltylab import contract, schemas
from loyaltylab.contract import DuckDB, Engine, Spark
from loyaltylab.errors import LabError

TOP = (
    "title, description, simulated, language, currency, observed_until, engine, simulation, tables, "
    "rules, thresholds, protected, segments, minimum_cell, keep, parameters"
)
TABLES = (
    "orders, order_lines, customers, surveys, tickets, visits, contracts, campaigns, spend, feedback, "
    "erasures"
)
OF_FILE = (
    "path, format, source, delimiter, quote, names, widths, encoding, decimal, thousands, "
    "sign, date_format, sheet, country, owner, verified_email, one_per_person, columns"
)
OF_RULE = (
    "required, unique, min, max, allowed, pattern, at_least, at_most, references, note"  # design
)
ORDERS = "dataset.yml under tables.orders: "
AMOUNT = "dataset.yml under rules.orders.amount: "
PROTECTED = (
    "dataset.yml: protected is {}; expected columns of customers: given_name, family_name, email, "
    "phone, birth_date, street, postcode, city, country, registered_at, acquired_through, "
    "customer_type, referred_by, loyalty_member, consent_analytics, consent_marketing."
)


def yml(file="", more="", *, title="Shop", currency="EUR"):
    """A right dataset.yml but for what is given: keys of the file of orders, and further lines."""
    orders = "{path: raw/a.csv, source: shop" + (f", {file}" if file else "") + "}"
    return f"title: {title}\ncurrency: {currency}\ntables:\n  orders: {orders}\n{more}\n"


def ruled(rule):
    return yml(more=f"rules: {{orders: {{amount: {{{rule}}}}}}}")


def load(folder, text):
    path = folder / "dataset.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return contract.load(path)


def refused(folder, text):
    with pytest.raises(LabError) as error:
        load(folder, text)
    return str(error.value).splitlines()


def test_the_least_that_will_do(tmp_path):
    dataset = load(tmp_path, "title: A\ncurrency: EUR\ntables: {orders: raw/a.csv}\n")
    assert dataset.tables["orders"][0].path == "raw/a.csv"
    assert dataset.tables["orders"][0].format == "csv"
    assert dataset.engine == Engine()
    assert (dataset.observed_until, dataset.simulated, dataset.parameters) == (None, False, {})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.csv", "csv"),
        ("A.CSV", "csv"),
        ("a.tsv", "csv"),
        ("a.txt", "text"),
        ("a.parquet", "parquet"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.xlsx", "excel"),
        ("package:lifetimes/datasets/CDNOW_master.txt", "text"),
    ],
)
def test_the_ending_tells_the_format(path, expected):
    file = contract.File.model_validate(path)
    assert file.format == expected
    assert file.delimiter == ("\t" if path.endswith("tsv") else ",")


def test_a_delimiter_makes_it_a_csv_whatever_the_ending():
    assert contract.File.model_validate({"path": "a.txt", "delimiter": ";"}).format == "csv"


def test_a_table_of_several_files(tmp_path):
    text = "title: A\ncurrency: EUR\ntables:\n  orders:\n  - raw/a.csv\n  - {path: raw/b.tsv}\n"
    files = load(tmp_path, text).tables["orders"]
    assert [(f.path, f.delimiter) for f in files] == [("raw/a.csv", ","), ("raw/b.tsv", "\t")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("duckdb", Engine()),
        (
            "{duckdb: {memory_limit: 2GB, threads: 1}}",
            Engine(duckdb=DuckDB(memory_limit="2GB", threads=1)),
        ),
        ("{spark: 'local[2]'}", Engine(spark=Spark(master="local[2]"))),
        ("{spark: 'spark://a.example:7077,b:7077'}", Engine(spark="spark://a.example:7077,b:7077")),
        ("{spark: yarn}", Engine(spark="yarn")),
        (
            "{spark: 'sc://h.example:443/;use_ssl=true;token=${TOKEN}'}",
            Engine(spark="sc://h.example:443/;use_ssl=true;token=${TOKEN}"),
        ),
        (
            "{spark: {master: 'local[*]', settings: {spark.executor.memory: 2g}}, most_rows: 9}",
            Engine(
                spark=Spark(master="local[*]", settings={"spark.executor.memory": "2g"}),
                most_rows=9,
            ),
        ),
    ],
)
def test_engine(tmp_path, given, expected):
    assert load(tmp_path, yml(more=f"engine: {given}")).engine == expected


def test_rules(tmp_path):
    text = ruled("required: true, min: 0.5, max: 2024-12-31, allowed: [1, EUR, true]")
    told = load(tmp_path, text).rules["orders"]["amount"]
    assert told.required and not told.unique and not told.note
    # A day is a text until its column says what it is.
    assert (told.min, told.max, told.allowed) == (0.5, "2024-12-31", [1, "EUR", True])
    assert (told.pattern, told.at_least, told.at_most, told.references) == (None,) * 4
    assert load(tmp_path, yml()).rules == {}


def test_thresholds(tmp_path):
    told = load(tmp_path, yml()).thresholds
    assert (told.put_aside, told.score) == (0.05, None)
    told = load(tmp_path, yml(more="thresholds: {put_aside: null, score: 0.9}")).thresholds
    assert (told.put_aside, told.score) == (None, 0.9)


def test_what_may_be_protected(tmp_path):
    assert load(tmp_path, yml()).protected == []
    told = load(tmp_path, yml(more="protected: [birth_date, country]"))
    assert told.protected == ["birth_date", "country"]
    every = ["source", "record_id", *contract.PROTECTABLE]
    assert every == list(schemas.column_types("customers"))


def test_a_file_has_an_owner_and_a_country(tmp_path):
    (file,) = load(tmp_path, yml("owner: Shop team, country: DE")).tables["orders"]
    assert (file.owner, file.country) == ("Shop team", "DE")


@pytest.mark.parametrize("given", ["1998-06-30", "'1998-06-30'"])
def test_observed_until(tmp_path, given):
    dataset = load(tmp_path, yml(more=f"observed_until: {given}"))
    assert dataset.observed_until == dt.date(1998, 6, 30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Unknown keys, at each level.
        (
            yml(more="curency: EUR"),
            f'dataset.yml: unknown key "curency"; expected one of {TOP}. Did you mean "currency"?',
        ),
        (
            yml(more="zzz: 1"),
            f'dataset.yml: unknown key "zzz"; expected one of {TOP}. Remove it.',
        ),
        (yml(more="5: 1"), 'dataset.yml: key "5" is no text. Put it in quotes.'),
        (yml(more="'5': 1"), f'dataset.yml: unknown key "5"; expected one of {TOP}. Remove it.'),
        (
            yml("sorce: b"),
            f'{ORDERS}unknown key "sorce"; expected one of {OF_FILE}. Did you mean "source"?',
        ),
        (
            yml().replace("orders: {", "orders: {path: b.csv}\n  oders: {"),
            f'dataset.yml under tables: unknown key "oders"; expected one of {TABLES}. '
            'Did you mean "orders"?',
        ),
        (
            yml(more="engine: {duckbd: {}}"),
            'dataset.yml under engine: unknown key "duckbd"; expected one of duckdb, spark, '
            'most_rows. Did you mean "duckdb"?',
        ),
        (
            yml(more="engine: {duckdb: {memory: 1GB}}"),
            'dataset.yml under engine.duckdb: unknown key "memory"; expected one of '
            'memory_limit, threads, spill. Did you mean "memory_limit"?',
        ),
        # Missing ones.
        (yml().replace("title: Shop\n", ""), 'dataset.yml: key "title" is missing. Add it.'),
        (
            "title: A\ncurrency: EUR\ntables: {orders: {path: a.dat}}",
            f'{ORDERS}key "format" is missing. Add it, since the ending of path does not tell it.',
        ),
        (
            "title: A\ncurrency: EUR\ntables: {visits: raw/a.csv}",
            'dataset.yml under tables: expected a table "orders"; there are visits.',
        ),
        # Wrong types.
        (yml(title="5"), "dataset.yml: title is 5; expected a text; put it in quotes."),
        (yml(title=""), "dataset.yml: title is empty; expected a text; put it in quotes."),
        (
            "title: A\ncurrency: EUR\ntables: [a]",
            "dataset.yml: tables is ['a']; expected keys below it.",
        ),
        (
            "title: A\ncurrency: EUR\ntables:\n  orders:",
            "dataset.yml under tables: orders is empty; expected a path, or keys such as path and "
            "columns.",
        ),
        (
            "title: A\ncurrency: EUR\ntables: {orders: []}",
            "dataset.yml under tables: orders is []; expected at least one file.",
        ),
        (
            yml("columns: {amount: 5}"),
            "dataset.yml under tables.orders.columns: amount is 5; expected a text; put it in "
            "quotes.",
        ),
        (
            yml(more="simulated: perhaps"),
            "dataset.yml: simulated is 'perhaps'; expected true or false.",
        ),
        (
            yml(more="parameters: {03_retention: {period: [1]}}"),
            "dataset.yml under parameters.03_retention: period is [1]; expected one value: "
            "a number, a text, or true or false.",
        ),
        (
            yml(more="parameters: {03_retention: {period: .nan}}"),
            "dataset.yml under parameters.03_retention: period is nan; expected a finite number.",
        ),
        # Values that are none.
        (
            yml(currency="Euro"),
            "dataset.yml: currency is 'Euro'; expected three capital letters such as EUR.",
        ),
        (
            yml(currency="eur"),
            "dataset.yml: currency is 'eur'; expected three capital letters such as EUR.",
        ),
        (
            yml(more="observed_until: 30.06.1998"),
            "dataset.yml: observed_until is '30.06.1998'; expected a day such as 2024-12-31.",
        ),
        (
            yml(more="observed_until: 1998-02-30"),
            "dataset.yml: observed_until is '1998-02-30'; expected a day such as 2024-12-31.",
        ),
        (
            yml(more="observed_until: 899164800"),  # seconds that pydantic would read as a day
            "dataset.yml: observed_until is 899164800; expected a day such as 2024-12-31.",
        ),
        (
            yml("format: xml"),
            f"{ORDERS}format is 'xml'; expected csv, text, fixed, parquet, jsonl, excel or database.",
        ),
        (
            yml("encoding: klingon"),
            f"{ORDERS}encoding is 'klingon'; expected an encoding that Python knows, such as utf-8 "
            "or cp1252.",
        ),
        (
            yml("encoding: hex"),
            f"{ORDERS}encoding is 'hex'; expected an encoding that Python knows, such as utf-8 or "
            "cp1252.",
        ),
        (
            yml("delimiter: '\\t'"),
            f"{ORDERS}delimiter is '\\\\t'; expected one character; a tab is written \"\\t\".",
        ),
        (
            yml('delimiter: "\'", quote: "\'"'),
            f"{ORDERS}expected delimiter and quote that differ from each other and from a line end.",
        ),
        (
            yml("decimal: ',', thousands: ','"),
            f'{ORDERS}expected decimal and thousands that differ; both are ",".',
        ),
        (
            yml("date_format: YYYY-MM-DD"),
            f"{ORDERS}date_format is 'YYYY-MM-DD'; expected a strptime pattern with a year and no "
            'time zone, such as "%d.%m.%Y".',
        ),
        (
            yml("date_format: '%Y-%m-%d %H:%M%z'"),
            f"{ORDERS}date_format is '%Y-%m-%d %H:%M%z'; expected a strptime pattern with a year "
            'and no time zone, such as "%d.%m.%Y".',
        ),
        (yml("format: fixed"), f"{ORDERS}expected names and widths for a fixed-width file."),
        (
            yml("format: fixed, names: [a, b], widths: [3]"),
            f"{ORDERS}expected as many names as widths; there are 2 and 1.",
        ),
        (
            yml("format: fixed, names: [a, b], widths: [3, 0]"),
            "dataset.yml under tables.orders.widths: 2 is 0; expected 1 or more.",
        ),
        (
            yml("names: [id, ID]"),
            f"{ORDERS}expected names that differ, in more than upper and lower case.",
        ),
        (yml("sheet: May"), f"{ORDERS}expected sheet only for format excel; this one is csv."),
        (
            yml(more="engine: spark"),
            "dataset.yml: engine is 'spark'; expected duckdb, or a key duckdb with its settings, "
            "or a key spark with its master.",
        ),
        (
            yml(more="engine: {duckdb: {memory_limit: lots}}"),
            "dataset.yml under engine.duckdb: memory_limit is 'lots'; expected a size such as 2GB.",
        ),
        (
            yml(more="engine: {duckdb: {memory_limit: 80%}}"),  # which DuckDB does not take
            "dataset.yml under engine.duckdb: memory_limit is '80%'; expected a size such as 2GB.",
        ),
        (
            yml(more="engine: {duckdb: {threads: 0}}"),
            "dataset.yml under engine.duckdb: threads is 0; expected 1 or more.",
        ),
        *(
            (
                yml(more=f"engine: {{spark: '{url}'}}"),
                f"dataset.yml under engine.spark: master is '{url}'; expected spark://host:7077, yarn, "
                "k8s://…, sc://host:15002, or local[2] for this machine.",
            )
            for url in ("spark://", "spark://host", "local[]", "lokal", "sc://")
        ),
        (
            yml(more="engine: {spark: 'sc://h:443/;token=dapi123'}"),
            "dataset.yml under engine.spark: master is 'sc://h:443/;token=…'; expected an address "
            "without a token: name a variable, token=${NAME}.",
        ),
        (
            yml(more="engine: {spark: {master: yarn, settings: {executor.memory: 2g}}}"),
            "dataset.yml under engine.spark.settings: expected names of Spark's settings, as "
            'spark.executor.memory; found "executor.memory".',
        ),
        (
            yml(more="engine: {spark: {master: yarn, settings: {spark.authenticate.secret: x1}}}"),
            "dataset.yml under engine.spark.settings: expected no secret; spark.authenticate.secret "
            "belongs in spark-defaults.conf.",
        ),
        # Rules.
        (
            yml(more="rules: {ordrs: {amount: {min: 1}}}"),
            f'dataset.yml under rules: unknown key "ordrs"; expected one of {TABLES}. '
            'Did you mean "orders"?',
        ),
        (
            yml(more="rules: {orders: 5}"),
            "dataset.yml under rules: orders is 5; expected keys below it.",
        ),
        (
            yml(more="rules: {orders: {amount: 5}}"),
            "dataset.yml under rules.orders: amount is 5; expected keys below it.",
        ),
        (
            ruled("mn: 1"),
            f'{AMOUNT}unknown key "mn"; expected one of {OF_RULE}. Did you mean "min"?',
        ),
        (
            ruled("min: [1]"),
            f"{AMOUNT}min is [1]; expected one value: a number, a text, or true or false.",
        ),
        (ruled("max: .nan"), f"{AMOUNT}max is nan; expected a finite number."),
        (ruled("allowed: 5"), f"{AMOUNT}allowed is 5; expected a list."),
        (ruled("allowed: []"), f"{AMOUNT}allowed is []; expected at least one value."),
        (
            ruled("allowed: [1, .inf]"),
            "dataset.yml under rules.orders.amount.allowed: 2 is inf; expected a finite number.",
        ),
        (ruled("pattern: 5"), f"{AMOUNT}pattern is 5; expected a text; put it in quotes."),
        *(
            (
                ruled(f"pattern: '{pattern}'"),
                f"{AMOUNT}pattern is {pattern!r}; expected a regular expression without looking "
                "around or back.",
            )
            for pattern in ("[", "(?=a)", "(?<!a)b", r"(a)\1", "(?>a)", "a++", r"\Z", "a{1001}")
        ),
        (ruled("required: perhaps"), f"{AMOUNT}required is 'perhaps'; expected true or false."),
        *(
            (
                ruled(f"note: true, {key}: true"),
                "dataset.yml under rules.orders.amount: expected required and unique without note: "
                "they put rows aside.",
            )
            for key in ("required", "unique")
        ),
        (ruled("at_least: 5"), f"{AMOUNT}at_least is 5; expected a text; put it in quotes."),
        # What is protected.
        (yml(more="protected: [birthdate]"), PROTECTED.format("['birthdate']")),
        (yml(more="protected: [source]"), PROTECTED.format("['source']")),
        (yml(more="protected: country"), "dataset.yml: protected is 'country'; expected a list."),
        (
            yml(more="protected: [5]"),
            "dataset.yml under protected: 1 is 5; expected a text; put it in quotes.",
        ),
        # Thresholds.
        (
            yml(more="thresholds: {scroe: 1}"),
            'dataset.yml under thresholds: unknown key "scroe"; expected one of put_aside, '
            'score. Did you mean "score"?',
        ),
        (
            yml(more="thresholds: {put_aside: 5}"),
            "dataset.yml under thresholds: put_aside is 5; expected 1 or less.",
        ),
        (
            yml(more="thresholds: {score: -0.1}"),
            "dataset.yml under thresholds: score is -0.1; expected 0 or more.",
        ),
        (
            yml(more="thresholds: {score: much}"),
            "dataset.yml under thresholds: score is 'much'; expected a number.",
        ),
        (yml(more="thresholds: 5"), "dataset.yml: thresholds is 5; expected keys below it."),
        (
            yml("country: Germany"),
            f"{ORDERS}country is 'Germany'; expected an ISO 3166 code such as DE.",
        ),
        (yml("owner: 5"), f"{ORDERS}owner is 5; expected a text; put it in quotes."),
        # A later entry of a list.
        (
            "title: A\ncurrency: EUR\ntables:\n  orders:\n  - a.csv\n  - {path: b.csv, decimal: x}",
            "dataset.yml under tables.orders.2: decimal is 'x'; expected . or ,.",
        ),
        # Given twice.
        (
            yml(more="currency: USD"),
            'dataset.yml: key "currency" is given twice, again in line 5. Keep one.',
        ),
        (
            yml("source: b"),
            'dataset.yml: key "source" is given twice, again in line 4. Keep one.',
        ),
        # No YAML, or no keys.
        (
            yml("date_format: %d.%m.%Y"),
            "dataset.yml: expected YAML, cannot read it in line 4: found character '%' that cannot "
            "start any token. Correct the line; quote a text that holds signs.",
        ),
        (
            b"title: \xff\n",
            "dataset.yml: expected UTF-8 text, found other bytes. Save it as UTF-8.",
        ),
        *(
            (
                text,
                "dataset.yml: expected keys such as title, currency and tables, found none. "
                "Write them.",
            )
            for text in ("", "# only a comment\n", "- a\n", "hello\n")
        ),
    ],
)
def test_one_problem_one_sentence(tmp_path, text, expected):
    assert refused(tmp_path, text) == [expected]


@pytest.mark.parametrize("path", ["../a.csv", "raw/../../a.csv", "/etc/a.csv", "raw\\a.csv"])
def test_a_path_stays_in_the_folder(tmp_path, path):
    (problem,) = refused(tmp_path, yml().replace("raw/a.csv", path))
    assert problem == (
        f"{ORDERS}path is {path!r}; expected a path below the dataset's folder, without .. and "
        "with forward slashes."
    )


def test_all_problems_at_once_one_a_line(tmp_path):
    text = yml("sorce: b, decimal: x", "foo: 1\ncurrency: Euro\n", title="5")
    starts = [line.split(";")[0] for line in refused(tmp_path, text)]
    assert len(starts) == 6
    assert set(starts) == {
        "dataset.yml under tables.orders: decimal is 'x'",
        'dataset.yml under tables.orders: unknown key "sorce"',
        'dataset.yml: key "currency" is given twice, again in line 6. Keep one.',
        "dataset.yml: currency is 'Euro'",
        "dataset.yml: title is 5",
        'dataset.yml: unknown key "foo"',
    }


@pytest.mark.parametrize(
    "text", ["title: !!python/object/apply:os.getcwd []\n", "[a]: 1\n", "a: &a [*a]\n", "\0"]
)
def test_strange_yaml_is_refused_in_words(tmp_path, text):
    assert all(line.startswith("dataset.yml") for line in refused(tmp_path, text))


def test_a_simulation_says_that_it_is_one_and_its_last_day(tmp_path):
    told = load(tmp_path, yml(more="simulation: {first_year: 2019, years: 2}"))
    assert told.simulated
    assert told.observed_until == dt.date(2020, 12, 31)
    told = load(tmp_path, yml(more="simulation: {}\nobserved_until: 2025-06-30"))
    assert told.observed_until == dt.date(2025, 6, 30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            yml(more="simulation: {typo_rate: 0.3}"),
            "dataset.yml under simulation: typo_rate is 0.3; expected a number from 0 to 0.2.",
        ),
        (
            yml(more="simulation: {german_share: 0.8, norwegian_share: 0.3}"),
            "dataset.yml under simulation: expected german_share and norwegian_share that make 1 or "
            "less together (the rest is English); they make 1.1.",
        ),
        (
            yml(more="simulation: {}", currency="USD"),
            "dataset.yml under simulation: expected currency EUR, as its files have; it is USD.",
        ),
    ],
)
def test_what_no_simulation_can_be(tmp_path, text, expected):
    (told,) = refused(tmp_path, text)
    assert told.endswith(expected)


def test_an_unknown_parameter_of_a_simulation_is_told_the_nearest(tmp_path):
    (told,) = refused(tmp_path, yml(more="simulation: {typo_rat: 0.1}"))
    assert told.startswith('dataset.yml under simulation: unknown key "typo_rat"; expected one of')
    assert told.endswith('Did you mean "typo_rate"?')
