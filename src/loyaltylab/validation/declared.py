"""The rules that hold for a dataset: those of `schemas`, those that dataset.yml adds, and choices.

dataset.yml can add a rule and so tighten what is accepted; it cannot take one away.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

import ibis
import ibis.expr.types as ir
import pandera.ibis as pa

from loyaltylab import reasons, schemas
from loyaltylab.contract import ColumnRule, Dataset
from loyaltylab.errors import LabError
from loyaltylab.validation import cancellations, rules
from loyaltylab.validation.rules import Key, Rule, Rules
from loyaltylab.wording import did_you_mean

Choice = Literal["keep", "put aside"]


def repeated_exports(table: str) -> Key:
    """That no file repeats rows of an earlier one, where rows have no key that would tell."""
    return Key(reasons.REPEATS, _whole_row(table), across_files=True)


def _same_day(rows: ir.Table) -> Mapping[str, ir.Value]:
    who = {name: rows[name] for name in ("source", "record_id")}
    return who | {"day": rows["ordered_at"].date()}


def _whole_row(table: str) -> Callable[[ir.Table], Mapping[str, ir.Value]]:
    """Every column; two values that are both missing are alike."""
    types = schemas.column_types(table)
    return lambda rows: {name: rows[name].cast("string").coalesce("") for name in types}


# What may be right or wrong: the page's parameters say what is done about it.
CHOICES: Mapping[str, tuple[Rule | Key, ...]] = {
    "exact_duplicates": (Key(reasons.REPEATS, _whole_row("orders")),),
    "same_day_orders": (Key(reasons.of("ordered_at", reasons.SAME_DAY), _same_day),),
    "zero_amounts": (
        Rule(
            reasons.of("amount", reasons.IS, value=0), "validity", lambda rows: rows["amount"] == 0
        ),
    ),
    "negative_amounts": (
        Rule(
            reasons.of("amount", reasons.BELOW, bound=0),
            "validity",
            lambda rows: (rows["amount"] < 0) & ~rows["_cancels"],
        ),
    ),
    "cancelled_orders": (
        Rule(cancellations.CANCELS, "consistency", lambda rows: rows["_cancels"]),
        Rule(cancellations.CANCELLED, "consistency", lambda rows: rows["_cancelled"]),
    ),
}


def chosen(**choices: Choice) -> tuple[str, ...]:
    """The choices that put orders aside, as `for_table` takes them; the rest keep them.

    Raises LabError on a choice of another name or value.
    """
    for name, choice in choices.items():
        if name not in CHOICES or choice not in get_args(Choice):
            raise LabError(
                f'choices: {name} is "{choice}"; expected one of {", ".join(CHOICES)} to be '
                f"{' or '.join(get_args(Choice))}. Correct it in dataset.yml under parameters."
            )
    return tuple(name for name, choice in choices.items() if choice == "put aside")


def for_table(dataset: Dataset, table: str, *, put_aside: tuple[str, ...] = ()) -> Rules:
    """All rules of a table.

    put_aside : which of CHOICES put an order aside; the others accept it.
    Raises LabError on a rule of dataset.yml that does not fit its column.
    """
    found = rules.compiled(_tightened(dataset, table))
    if until := dataset.observed_until:
        others = found.rules
        if until.isoformat() <= schemas.LATEST:
            # What comes after the last day that can be is also after that: one reason will do.
            said = reasons.AFTER.format(bound=schemas.LATEST)
            others = tuple(r for r in others if not r.words.endswith(f" {said}"))
        found = replace(found, rules=(*others, *_observed(table, until)))
    if table == "orders":
        chosen = [rule for name in put_aside for rule in CHOICES[name]]
        found = rules.with_more(found, _currency(dataset), *chosen)
    return found


def _observed(table: str, until: dt.date) -> list[Rule]:
    """Nothing happened after the last day seen."""

    def rule(name: str) -> Rule:
        return Rule(
            reasons.of(name, reasons.AFTER_ALL, until=until),
            "validity",
            # Not of its day, so that the engine need not look where no time is as late.
            lambda rows: rows[name] >= ibis.timestamp(f"{until + dt.timedelta(days=1)} 00:00:00"),
        )

    types = schemas.column_types(table)
    return [rule(name) for name, dtype in types.items() if dtype.is_timestamp()]


def _currency(dataset: Dataset) -> Rule:
    # Amounts are added up, and no rate of exchange is known.
    return Rule(
        reasons.of("currency", reasons.IS_NOT, value=dataset.currency),
        "validity",
        lambda rows: rows["currency"] != dataset.currency,
    )


def _tightened(dataset: Dataset, table: str) -> pa.DataFrameSchema:
    """The table's declaration, with what dataset.yml says of it under rules."""
    schema = schemas.TABLES[table]
    given = dataset.rules.get(table, {})  # type: ignore[call-overload]
    if not given:
        return schema
    columns, whole, linked = dict(schema.columns), list(schema.checks), []
    for name, rule in given.items():
        where = f"dataset.yml under rules.{table}"
        if name not in columns:
            raise LabError(f"{where}: {_unknown_column(name, columns)}")
        declared = columns[name]
        columns[name] = pa.Column(
            declared.dtype.type,
            [*declared.checks, *_checks(rule, declared, f"{where}.{name}")],
            nullable=declared.nullable and not rule.required,
            required=declared.required,
            unique=rule.unique,
            metadata=declared.metadata,
        )
        for other, words, kept in _between(rule):
            whole.append(_pair(columns, name, other, words, kept, f"{where}.{name}", rule.note))
        if rule.references:
            linked.append(_reference(dataset, table, name, rule))
    metadata = {"references": [*schemas.references(schema), *linked]}
    return pa.DataFrameSchema(columns, checks=whole, unique=schema.unique, metadata=metadata)


def _unknown_column(name: str, known: Mapping[str, Any]) -> str:
    advice = did_you_mean(name, known) or "Remove it."
    return f'unknown column "{name}"; expected one of {", ".join(known)}. {advice}'


def _checks(rule: ColumnRule, declared: pa.Column, where: str) -> list[pa.Check]:
    note: dict[str, Any] = {"raise_warning": rule.note}
    found = []
    if rule.min is not None:
        found.append(pa.Check.ge(_bound(rule.min, declared, f"{where}: min"), **note))
    if rule.max is not None:
        found.append(pa.Check.le(_bound(rule.max, declared, f"{where}: max"), **note))
    if rule.allowed is not None:
        allowed = [_bound(value, declared, f"{where}: allowed") for value in rule.allowed]
        found.append(pa.Check.isin(allowed, **note))
    if rule.pattern is not None:
        if not declared.dtype.type.is_string():
            raise LabError(f"{where}: pattern is for texts; {where.rsplit('.', 1)[1]} is none.")
        found.append(_whole_match(rule.pattern, **note))
    return found


def _whole_match(pattern: str, **note: Any) -> pa.Check:
    # pandera's own would match the start alone, and an a|b with a $ behind it only b to its end.
    return pa.Check(
        lambda data: data.table[data.key].re_search(f"^(?:{pattern})$"),
        name=reasons.OTHER_FORM.format(pattern=pattern),
        **note,
    )


def _bound(given: Any, declared: pa.Column, where: str) -> Any:
    """A value of dataset.yml as one of the column's type."""
    kind = declared.dtype.type
    if kind.is_timestamp():
        expected = 'a day such as "2024-12-31"'
        if isinstance(given, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", given):
            with contextlib.suppress(ValueError):
                dt.date.fromisoformat(given)
                return given
    elif kind.is_numeric():
        expected = "a number"
        if isinstance(given, int | float) and not isinstance(given, bool):
            return given
    elif kind.is_boolean():
        expected = "true or false"
        if isinstance(given, bool):
            return given
    else:
        expected = "a text; put it in quotes"
        if isinstance(given, str):
            return given
    raise LabError(f"{where} is {given!r}; expected {expected}.")


def _between(rule: ColumnRule) -> list[tuple[str, tuple[str, str], Callable[[Any, Any], Any]]]:
    """Of two columns: the other one, what a row does that breaks the rule (of times, of numbers), what
    it must keep."""
    found: list[tuple[str, tuple[str, str], Callable[[Any, Any], Any]]] = []
    if rule.at_least:
        found.append(
            (rule.at_least, (reasons.BEFORE, reasons.BELOW), lambda this, other: this >= other)
        )
    if rule.at_most:
        found.append(
            (rule.at_most, (reasons.AFTER, reasons.ABOVE), lambda this, other: this <= other)
        )
    return found


def _pair(
    columns: Mapping[str, pa.Column],
    name: str,
    other: str,
    words: tuple[str, str],
    kept: Callable[[Any, Any], Any],
    where: str,
    note: bool,
) -> pa.Check:
    if other not in columns:
        raise LabError(f"{where}: {_unknown_column(other, columns)}")
    kinds = [columns[column].dtype.type for column in (name, other)]
    times = [kind.is_timestamp() for kind in kinds]
    if not (all(times) or all(kind.is_numeric() for kind in kinds)):
        raise LabError(f"{where}: expected two numbers or two times, found {name} and {other}.")
    at_a_time, otherwise = words
    said = reasons.of(name, at_a_time if all(times) else otherwise, bound=other)
    return pa.Check(
        lambda data: kept(data.table[name], data.table[other]), name=said, raise_warning=note
    )


def _reference(dataset: Dataset, table: str, name: str, rule: ColumnRule) -> schemas.Reference:
    # By name: the two sides of a reference are columns called alike.
    able = [
        f"{other}.{name}"
        for other, columns in schemas.REFERRED.items()
        if name in columns and other in dataset.tables and _comes_before(other, table)
    ]
    if rule.references not in able:
        said = f"dataset.yml under rules.{table}.{name}: references is {rule.references!r}"
        if not able:
            raise LabError(f"{said}; no table of the dataset can be asked for {name}. Remove it.")
        raise LabError(f"{said}; expected {' or '.join(able)}.")
    other = rule.references.partition(".")[0]
    return schemas.Reference(
        (name,), other, reasons.of(name, reasons.NO_ROW, table=other), note=rule.note
    )


def _comes_before(other: str, table: str) -> bool:
    """Whether the rows of other are known by the time that those of table are checked."""
    order = [*schemas.REFERRED, table]
    return order.index(other) < order.index(table)
