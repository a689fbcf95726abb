from typing import Any

import pandera.ibis as pa
import pytest

from loyaltylab import language, reasons, schemas
from loyaltylab.validation import declared, rules

# What dataset.yml may ask for beside the rules of `schemas`, on a number, a time and a text.
_CHECKS: dict[str, list[Any]] = {
    "amount": [
        pa.Check.gt(1),
        pa.Check.lt(9),
        pa.Check.in_range(1, 9),
        pa.Check.eq(3),
        pa.Check.ne(4),
    ],
    "ordered_at": [pa.Check.gt("2024-01-01"), pa.Check.lt("2025-01-01"), pa.Check.le("2025-01-01")],
    "channel": [
        pa.Check.isin(["a", "b"]),
        pa.Check.notin(["c"]),
        pa.Check.str_matches("a.c"),
        pa.Check.str_contains("b"),
        pa.Check.str_startswith("a"),
        pa.Check.str_endswith("c"),
        pa.Check.str_length(2, 5),
        pa.Check.str_length(2),
        pa.Check.str_length(None, 5),
    ],
}


def every_reason() -> list[str]:
    compiled = [rules.compiled(schema) for schema in schemas.TABLES.values()]
    types = {name: schemas.TABLES["orders"].columns[name].dtype.type for name in _CHECKS}
    columns = {name: pa.Column(types[name], checks) for name, checks in _CHECKS.items()}
    compiled.append(rules.compiled(pa.DataFrameSchema(columns)))
    found = {words for one in compiled for words in one.dimensions()}
    found |= {rule.words for choice in declared.CHOICES.values() for rule in choice}
    for schema in schemas.TABLES.values():
        found |= {schemas.unreadable(n, c.dtype.type) for n, c in schema.columns.items()}
    return sorted(found)


def test_in_english_a_reason_stands_as_the_rule_words_it():
    assert [reasons.in_words(reason) for reason in every_reason()] == every_reason()


@pytest.mark.parametrize("spoken", ["de", "nb"])
def test_every_reason_of_a_rule_is_said_in_the_language_of_the_page(spoken):
    language.use(spoken)
    same = [reason for reason in every_reason() if reasons.in_words(reason) == reason]
    assert same == []
    # "is no address" is not a case of "is {value}".
    values = [reason.partition(" is ")[2].removeprefix("not ") for reason in every_reason()]
    pairs = zip(every_reason(), values, strict=True)
    assert [r for r, value in pairs if " " in value and reasons.in_words(r).endswith(value)] == []


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("amount is missing", "amount fehlt"),
        ("ordered_at is not a date", "ordered_at ist kein Datum"),
        ("ordered_at is not before 2025-01-01", "ordered_at liegt nicht vor 2025-01-01"),
        ("channel is not web", "channel ist nicht web"),
        ("repeats an earlier row", "wiederholt eine frühere Zeile"),
        ("row cannot be read: not text", "Zeile ist nicht lesbar: kein Text"),
        (
            "row cannot be read: longer than 131,072 characters",
            "Zeile ist nicht lesbar: länger als 131.072 Zeichen",
        ),
    ],
)
def test_a_reason_keeps_the_names_and_values_of_the_data(reason, said):
    language.use("de")
    assert reasons.in_words(reason) == said
