"""Rules: a declaration of `schemas` compiled into one query. Grain in and out: one typed row.

pandera's own Ibis backend cannot say which row fails for which reason, leaves out uniqueness, and
does not know other tables. Here each check becomes a condition, and one expression gives each row
that breaks any the list of those it breaks; the same on DuckDB and on Spark.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, Literal

import ibis
import ibis.expr.types as ir
import pandera.ibis as pa
from pandera.api.function_dispatch import Dispatcher
from pandera.api.ibis.types import IbisData

from loyaltylab import engine, reasons, schemas
from loyaltylab.errors import LabError

Dimension = Literal["completeness", "validity", "uniqueness", "consistency"]


@dataclass(frozen=True)
class Rule:
    """What a row by itself must keep. words : the reason, with the column it is about first.

    breaks : rows → whether each breaks it; missing counts as no.
    note : the row is accepted, and the rule only counted.
    """

    words: str
    dimension: Dimension
    breaks: Callable[[ir.Table], ir.BooleanValue]
    note: bool = False


@dataclass(frozen=True)
class Key:
    """What must differ between rows. words : the reason of each row but the first that is right.

    values : rows → the parts of the key by name; a row that lacks one is left alone.
    across_files : only a row of another file counts as an earlier one, the first like the first and
        the second like the second; so two equal rows of one file are left alone.
    """

    words: str
    values: Callable[[ir.Table], Mapping[str, ir.Value]]
    across_files: bool = False


@dataclass(frozen=True)
class Rules:
    """All rules of a table."""

    rules: tuple[Rule, ...] = ()
    keys: tuple[Key, ...] = ()
    references: tuple[schemas.Reference, ...] = ()

    def dimensions(self) -> dict[str, Dimension]:
        """The reasons that they may give → what each is about."""
        found: dict[str, Dimension] = {rule.words: rule.dimension for rule in self.rules}
        found |= {reference.words: "consistency" for reference in self.references}
        found |= {key.words: "uniqueness" for key in self.keys}
        return found | ({reasons.REPEATS: "uniqueness"} if self.keys else {})


def _typed(column: ir.Column, bound: Any) -> ir.Value:
    # Numbers stay as they are: 2.5 as a whole number would be another bound.
    literal = ibis.literal(bound)
    return literal.cast(column.type()) if column.type().is_timestamp() else literal


def _when(column: ir.Column, at_a_time: str, otherwise: str) -> str:
    return at_a_time if column.type().is_timestamp() else otherwise


def _sided(statistics: Mapping[str, Any], side: str, column: ir.Column) -> ir.BooleanValue:
    given = statistics[f"{side}_value"]
    bound = _typed(column, given)
    if statistics.get(f"include_{side}", True):
        return column >= bound if side == "min" else _until(column, given) <= bound
    return column > bound if side == "min" else column < bound


def _until(column: ir.Column, bound: Any) -> ir.Column:
    """What is held against a last value allowed: a day as such holds all its hours."""
    is_day = column.type().is_timestamp() and len(str(bound)) == len("2024-12-31")
    return column.truncate("D") if is_day else column


def _listed(values: Iterable[Any]) -> str:
    # A set has an order of its own in each run.
    ordered = sorted(values, key=str) if isinstance(values, Set) else values
    return ", ".join(str(value) for value in ordered)


def _pattern(statistics: Mapping[str, Any]) -> str:
    given = statistics["pattern"]
    return given.pattern if isinstance(given, re.Pattern) else given


def _length(column: ir.Column, statistics: Mapping[str, Any]) -> tuple[str, ir.BooleanValue]:
    exact, least, most = (statistics.get(f"{name}_value") for name in ("exact", "min", "max"))
    length = column.length()
    if exact is not None:
        return reasons.OTHER_LENGTH.format(exact=exact), length == exact
    if most is None:
        return reasons.SHORTER.format(least=least), length >= least
    if least is None:
        return reasons.LONGER.format(most=most), length <= most
    return reasons.LENGTH_OUTSIDE.format(least=least, most=most), length.between(least, most)


# A check → (what a value does that fails it, the condition that a present value must meet), by
# pandera's name of the check and those of its statistics.
_Compiled = Callable[[ir.Column, Mapping[str, Any]], tuple[str, ir.BooleanValue]]
_CHECKS: dict[str, _Compiled] = {
    "equal_to": lambda c, s: (reasons.IS_NOT.format(value=s["value"]), c == _typed(c, s["value"])),
    "not_equal_to": lambda c, s: (reasons.IS.format(value=s["value"]), c != _typed(c, s["value"])),
    "greater_than_or_equal_to": lambda c, s: (
        _when(c, reasons.BEFORE, reasons.BELOW).format(bound=s["min_value"]),
        c >= _typed(c, s["min_value"]),
    ),
    "greater_than": lambda c, s: (
        _when(c, reasons.NOT_AFTER, reasons.NOT_ABOVE).format(bound=s["min_value"]),
        c > _typed(c, s["min_value"]),
    ),
    "less_than_or_equal_to": lambda c, s: (
        _when(c, reasons.AFTER, reasons.ABOVE).format(bound=s["max_value"]),
        _until(c, s["max_value"]) <= _typed(c, s["max_value"]),
    ),
    "less_than": lambda c, s: (
        _when(c, reasons.NOT_BEFORE, reasons.NOT_BELOW).format(bound=s["max_value"]),
        c < _typed(c, s["max_value"]),
    ),
    "in_range": lambda c, s: (
        reasons.OUTSIDE.format(low=s["min_value"], high=s["max_value"]),
        _sided(s, "min", c) & _sided(s, "max", c),
    ),
    "isin": lambda c, s: (
        reasons.NONE_OF.format(values=_listed(s["allowed_values"])),
        c.isin([_typed(c, value) for value in s["allowed_values"]]),
    ),
    "notin": lambda c, s: (
        reasons.ONE_OF.format(values=_listed(s["forbidden_values"])),
        c.notin([_typed(c, value) for value in s["forbidden_values"]]),
    ),
    # From the start, as pandera matches; in brackets, or of a|b only a would stand there.
    "str_matches": lambda c, s: (
        reasons.OTHER_FORM.format(pattern=_pattern(s)),
        c.re_search(f"^({_pattern(s)})"),
    ),
    "str_contains": lambda c, s: (
        reasons.NOT_WITHIN_IT.format(pattern=_pattern(s)),
        c.re_search(_pattern(s)),
    ),
    "str_startswith": lambda c, s: (
        reasons.OTHER_START.format(text=s["string"]),
        c.startswith(s["string"]),
    ),
    "str_endswith": lambda c, s: (
        reasons.OTHER_END.format(text=s["string"]),
        c.endswith(s["string"]),
    ),
    "str_length": _length,
}


def _custom(check: pa.Check, rows: ir.Table, key: str) -> ir.BooleanValue:
    """The condition of a check by a function of ours, which is one of rows rather than of a table."""
    met = check._check_fn(IbisData(rows, key), **check._check_kwargs)
    if not isinstance(met, ir.BooleanColumn):
        raise LabError(
            f'rules: check "{check.name}" of {key} cannot be compiled; expected a function that '
            f"gives a condition for each row, found one that gives {type(met).__name__}."
        )
    return met


def _builtin(check: pa.Check) -> str | None:
    """pandera's name of a check that is one of its own."""
    return check._check_fn.__name__ if isinstance(check._check_fn, Dispatcher) else None


def _is_known(check: pa.Check) -> bool:
    """Whether all that a check says is compiled, its words included."""
    if check.element_wise or check.groupby or check.n_failure_cases is not None:
        return False
    if not check.ignore_na or type(check) is not pa.Check:
        return False
    name = _builtin(check)
    if name is None:  # a condition of ours; a lambda's own name says nothing
        return check.error is None and not check.name.startswith("<")
    # Words of its own would be left out; pandera's begin with the name.
    return name in _CHECKS and check.name == name and str(check.error).startswith(f"{name}(")


# What a table or a column of pandera may ask for beside its checks → how it stands where it does not.
_OPTIONS: dict[str, Any] = {
    "strict": False,
    "ordered": False,
    "regex": False,
    "parsers": [],
    "coerce": False,
    "index": None,
    "default": None,
    "unique_column_names": False,
    "add_missing_columns": False,
    "on_missing_columns": None,
    "on_missing": None,
    "drop_invalid_rows": False,
    "report_duplicates": "all",
}


def _refuse_unknown(schema: pa.DataFrameSchema) -> None:
    """Raise LabError on what `compiled` would leave out of a declaration."""
    parts = [("the whole table", schema, _OPTIONS | {"dtype": None})]
    parts += [(name, column, _OPTIONS) for name, column in schema.columns.items()]
    unknown = []
    for where, declared, options in parts:
        given = {name: getattr(declared, name, usual) for name, usual in options.items()}
        unknown += [f"{k}={v!r} of {where}" for k, v in given.items() if v != options[k]]
        for check in declared.checks:
            if not _is_known(check) or (declared is schema and _builtin(check)):
                unknown.append(f'check "{check.name}" of {where}, as it stands')
    if unknown:
        raise LabError(
            f"rules: {'; '.join(unknown)} cannot be compiled; expected checks that are a condition "
            f"of ours with a name, or one of {', '.join(_CHECKS)}. Teach validation.rules the new one."
        )


def _column_rule(name: str, check: pa.Check) -> Callable[[ir.Table], tuple[str, ir.BooleanValue]]:
    if (known := _builtin(check)) is None:
        return lambda rows: (str(check.name), _custom(check, rows, name))
    return lambda rows: _CHECKS[known](rows[name], check.statistics)


def compiled(schema: pa.DataFrameSchema) -> Rules:
    """The rules of a declaration.

    Raises LabError on a pandera check that this compiler does not know, rather than ignore it.
    """
    _refuse_unknown(schema)
    # Words depend on a column's type alone, so any rows of the declared types tell them.
    example = ibis.table({name: c.dtype.type for name, c in schema.columns.items()}, "example")
    rules: list[Rule] = []
    for name, declared in schema.columns.items():
        if not declared.nullable:
            rules.append(_presence(name, declared))
        for check in declared.checks:
            rule = _column_rule(name, check)
            words, _ = rule(example)
            rules.append(
                Rule(
                    f"{name} {words}",
                    "validity",
                    lambda rows, name=name, rule=rule: (  # type: ignore[misc]
                        # A missing value breaks none, whatever a condition makes of it.
                        rows[name].notnull() & ~rule(rows)[1]
                    ),
                    bool(check.raise_warning),
                )
            )
    for check in schema.checks:
        _custom(check, example, "the table")
        rules.append(
            Rule(
                str(check.name),
                "consistency",
                lambda rows, check=check: ~_custom(check, rows, "the table"),  # type: ignore[misc]
                bool(check.raise_warning),
            )
        )
    keys = [_key(list(schema.unique))] if schema.unique else []
    keys += [_key([name]) for name, declared in schema.columns.items() if declared.unique]
    return Rules(tuple(rules), tuple(keys), tuple(schemas.references(schema)))


def _presence(name: str, declared: pa.Column) -> Rule:
    unreadable = schemas.unreadable(name, declared.dtype.type)

    def breaks(rows: ir.Table) -> ir.BooleanValue:
        return rows[name].isnull() & ~rows["_unreadable"].contains(unreadable)

    return Rule(reasons.of(name, reasons.MISSING), "completeness", breaks)


def _key(names: Sequence[str]) -> Key:
    return Key(
        reasons.of(names[-1], reasons.AGAIN),
        lambda rows: {name: rows[name] for name in names},
    )


def found(
    con: Any, rows: ir.Table, rules: Rules, *, others: Mapping[str, ir.Table] | None = None
) -> ir.Table:
    """The rows that break any rule, each with what it breaks; all others are left out.

    con : the engine's connection. rows must have `_unreadable` (why raw values could not be typed,
    empty if all could), `_whole` (false if not even its fields could be told), and `_part` and
    `_row` (where it stands in the files). others : table → its rows, for references; a reference to
    a table that is not there says nothing.
    The result is a temporary table of the engine. It has `_reasons`, for which a row is put aside,
    and `_notes`, with which it is accepted; one of them may be empty. Of rows with one key, the first
    that breaks no rule of its own and no reference is right.
    """
    rows = _with_markers(con, rows, rules, others or {})
    refusing, noting = _conditions(rows, rules)
    suspect = rows["_unreadable"].length() > 0
    for breaks in (*refusing.values(), *noting.values()):
        suspect |= breaks
    for number in range(len(rules.keys)):
        suspect |= rows[f"_again_{number}"]
    refused = rows["_unreadable"].concat(where_true(refusing))
    # A row that could not be read is not also blamed for the values that it therefore lacks.
    wanted = rows.filter(suspect).mutate(
        _reasons=rows["_whole"].ifelse(refused, rows["_unreadable"]),
        _notes=rows["_whole"].ifelse(where_true(noting), ibis.literal([], type="array<string>")),
    )
    held = engine.keep(con, wanted, "suspects")
    held = _with_places(held, rules)
    repeats = _repetitions(held, rules)
    markers = ("_again_", "_unknown_", "_place_", "_cancel")
    dropped = [name for name in held.columns if name.startswith(markers)]
    held = held.mutate(_reasons=held["_reasons"].concat(where_true(repeats))).drop(*dropped)
    held = held.filter((held["_reasons"].length() > 0) | (held["_notes"].length() > 0))
    return engine.keep(con, held, "found")


def _with_markers(
    con: Any, rows: ir.Table, rules: Rules, others: Mapping[str, ir.Table]
) -> ir.Table:
    """Adds _again_n, whether the n-th key may be that of another row too, and _unknown_n, whether
    the n-th reference leads nowhere."""
    bare = rows
    for number, key in enumerate(rules.keys):
        into = f"_again_{number}"
        rows = engine.mark_repeated(con, bare, key.values(bare), into=into, onto=rows)
        # Of a row whose fields could not be told, nothing is known to be that of another one.
        rows = rows.mutate(**{into: rows[into] & rows["_whole"]})
    for number, reference in enumerate(rules.references):
        into = f"_unknown_{number}"
        there = others.get(reference.table)
        if there is None or not {*reference.columns} <= {*there.columns}:
            rows = rows.mutate(**{into: ibis.literal(False)})
            continue
        rows = engine.mark_unknown(con, bare, reference.columns, there=there, into=into, onto=rows)
        if reference.within:
            first = reference.columns[0]
            known = con.to_pyarrow(there.select(first).distinct())[first].to_pylist()
            rows = rows.mutate(**{into: rows[into] & rows[first].isin(known)})
    return rows


def _conditions(
    rows: ir.Table, rules: Rules
) -> tuple[dict[str, ir.BooleanValue], dict[str, ir.BooleanValue]]:
    """What puts a row aside and what is only noted: words → whether a row breaks it, missing if it
    cannot (which neither a filter nor ifelse takes for yes)."""
    refusing: dict[str, ir.BooleanValue] = {}
    noting: dict[str, ir.BooleanValue] = {}
    for rule in rules.rules:
        (noting if rule.note else refusing)[rule.words] = rule.breaks(rows)
    for number, reference in enumerate(rules.references):
        (noting if reference.note else refusing)[reference.words] = rows[f"_unknown_{number}"]
    return refusing, noting


def _with_places(held: ir.Table, rules: Rules) -> ir.Table:
    """Adds _place_n, for each key that counts across files: the how manieth of its file a row is."""
    for number, key in enumerate(rules.keys):
        if key.across_files:
            alike = [*key.values(held).values(), held["_part"], held[f"_again_{number}"]]
            place = ibis.row_number().over(group_by=alike, order_by=_best_first(held))
            held = held.mutate(**{f"_place_{number}": place})
    return held


def _best_first(held: ir.Table) -> list[ir.Value]:
    return [held["_reasons"].length() > 0, held["_part"], held["_row"]]


def _repetitions(held: ir.Table, rules: Rules) -> dict[str, ir.BooleanValue]:
    """Of the rows that may share a key: which repeat which, in words."""
    again: dict[str, ir.BooleanValue] = {}
    best_first = _best_first(held)
    content = [held[name] for name in held.columns if not name.startswith("_")]
    is_repetition = ibis.literal(False)
    for number, key in enumerate(rules.keys):
        values = list(key.values(held).values())
        marked = held[f"_again_{number}"]
        if key.across_files:
            values = [*values, held[f"_place_{number}"]]
        later = ibis.row_number().over(group_by=[*values, marked], order_by=best_first) > 0
        later &= marked
        if key.words == reasons.REPEATS:
            is_repetition |= later
            continue
        alike = ibis.row_number().over(group_by=[*content, marked], order_by=best_first) > 0
        is_repetition |= later & alike
        again[key.words] = again.get(key.words, ibis.literal(False)) | (later & ~alike)
    return ({reasons.REPEATS: is_repetition} if rules.keys else {}) | again


def where_true(conditions: Mapping[str, ir.BooleanValue]) -> ir.ArrayColumn:
    """The keys whose condition is true in a row, as a list."""
    if not conditions:
        return ibis.literal([], type="array<string>")
    said = [is_so.ifelse(words, ibis.null("string")) for words, is_so in conditions.items()]
    return ibis.array(said).filter(lambda words: words.notnull())


def with_more(rules: Rules, *more: Rule | Key) -> Rules:
    """The same, and rules that no declaration of `schemas` has."""
    return replace(
        rules,
        rules=(*rules.rules, *(rule for rule in more if isinstance(rule, Rule))),
        keys=(*rules.keys, *(key for key in more if isinstance(key, Key))),
    )
