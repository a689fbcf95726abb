"""Tables: raw files in, accepted and quarantined rows out. Grain: one row of a raw file.

rows read = rows accepted + rows quarantined + rows expired, for each table; a quarantined row keeps
its original values, its file, its row number and every reason, and of one that expired nothing is
kept. An export is one entry of dataset.yml under a table: a file, or files alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandas as pd

from loyaltylab import engine, reasons, schemas, sources
from loyaltylab.contract import Dataset, File, TableName
from loyaltylab.errors import LabError
from loyaltylab.files import written_whole
from loyaltylab.validation import cancellations, cleaning, declared, rules
from loyaltylab.validation.rules import Rules, where_true
from loyaltylab.wording import did_you_mean

_YES, _NO = ["true", "t", "yes", "y", "1", "ja", "j"], ["false", "f", "no", "n", "0", "nein"]
_NOT_TEXT = "not text"


@dataclass(frozen=True)
class Part:
    """A file of a table. columns : canonical column → the file's, for those that dataset.yml maps."""

    export: str
    source: sources.Source
    raw: ir.Table
    columns: Mapping[str, str]
    read: int


@dataclass(frozen=True)
class Checked:
    """A table after its rules. Grain of each table here: one raw row, told by `_part` and `_row`.

    rows : canonical columns of every row but those of `expired`, which dataset.yml keeps no longer.
    found : of the rows that break a rule, the same columns and `_reasons` (put aside for them) and
    `_notes` (accepted with them). cleaned : canonical column, kinds, original and cleaned, of each
    value that was changed.
    """

    con: Any
    table: str
    parts: Sequence[Part]
    rows: ir.Table
    found: ir.Table
    cleaned: ir.Table
    expired: ir.Table
    rules: Rules = field(default_factory=Rules)

    @property
    def read(self) -> int:
        return sum(part.read for part in self.parts)

    @property
    def refused(self) -> ir.Table:
        return self.found.filter(self.found["_reasons"].length() > 0)

    @property
    def accepted(self) -> ir.Table:
        rows = self.rows.anti_join(self.refused.select("_part", "_row"), ["_part", "_row"])
        # Of one file they come in its order but for blocks of some hundred thousand, as threads are
        # done with them: a sort of a hundred million rows would need more than all the rest.
        if len(self.parts) > 1:
            rows = rows.order_by("_part", "_row")
        return rows.select(list(schemas.column_types(self.table)))

    @property
    def quarantined(self) -> ir.Table:
        """Grain: one refused row; columns file, row, reasons, original (the fields as JSON, or a row
        that could not be read as it stands)."""
        files = [
            _originals(part, self.refused.filter(self.refused["_part"] == number))
            for number, part in enumerate(self.parts)
        ]
        originals = ibis.union(*files) if len(files) > 1 else files[0]
        joined = self.refused.join(originals, ["_part", "_row"]).order_by("_part", "_row")
        return joined.select(file="file", row="_row", reasons="_reasons", original="original")

    @property
    def refusals(self) -> ir.Table:
        """What customers' rows that were put aside refuse: a no is one, whatever else is wrong with its
        row. Grain: one record; source, record_id, and by CONSENTS false, or missing if none said no."""
        told = self.refused.filter(self.refused["record_id"].notnull())
        said = {name: told[name].min().nullif(True) for name in schemas.CONSENTS}
        found = told.group_by("source", "record_id").agg(**said)
        return found.filter(ibis.or_(*(found[name].notnull() for name in schemas.CONSENTS)))

    @property
    def audited(self) -> ir.Table:
        """Grain: one value that was changed, or one rule that a row breaks and is accepted with.

        Columns file, row, column, kinds (what was changed, or the rule), original, cleaned (both
        missing for a rule).
        """
        noted = self.found.filter(self.found["_notes"].length() > 0)
        notes = noted.select("_part", "_row", note=noted["_notes"].unnest())
        both = self.cleaned.union(
            notes.select(
                "_part",
                "_row",
                column=notes["note"].split(" ")[0],
                kinds=ibis.array([notes["note"]]),
                original=ibis.null("string"),
                cleaned=ibis.null("string"),
            )
        )
        labels = self.labels()
        named = both.join(labels, "_part").order_by("_part", "_row", "column", "kinds")
        return named.select("file", "column", "kinds", "original", "cleaned", row="_row").relocate(
            "file", "row"
        )

    def labels(self) -> ir.Table:
        """Grain: one file; columns _part, file (what messages call it), export."""
        return ibis.memtable(
            {
                "_part": list(range(len(self.parts))),
                "file": [part.source.label for part in self.parts],
                "export": [part.export for part in self.parts],
            },
            schema={"_part": "int32", "file": "string", "export": "string"},
        )


def _originals(part: Part, refused: ir.Table) -> ir.Table:
    raw = part.raw.rename(_row="row")
    wanted = refused.select("_part", "_row").join(raw, "_row")
    return wanted.select(
        "_part",
        "_row",
        file=ibis.literal(part.source.label),
        original=wanted["line"].coalesce(wanted["fields"].cast("json").cast("string")),
    )


def export_names(table: str, files: Sequence[File]) -> list[str]:
    """What each entry of dataset.yml under a table is called: the table, and the source system or
    the number where there are several."""
    if len(files) == 1:
        return [table]
    sources_ = [file.source for file in files]
    return [
        f"{table}.{file.source if file.source and sources_.count(file.source) == 1 else number}"
        for number, file in enumerate(files, 1)
    ]


def mapping(table: str, there: Sequence[str], source: sources.Source) -> dict[str, str]:
    """canonical column → the file's column, for those that the file has.

    Raises LabError naming every required column that is not there, every column mapped to one that
    is not there, and every key under columns that is no column of the table.
    """
    file, known = source.file, schemas.column_types(table)
    problems = []
    for name in file.columns:
        if name not in known:
            advice = did_you_mean(name, known) or "Remove it."
            problems.append(
                f'{table}: unknown column "{name}" in dataset.yml under columns; expected one of '
                f"{', '.join(known)}. {advice}"
            )
    wanted = {name: file.columns.get(name, name) for name in known}
    required = set(schemas.required_columns(table)) - ({"source"} if file.source else set())
    missing = [
        name
        for name, column in wanted.items()
        if column not in there and (name in required or name in file.columns)
    ]
    has_header = file.format in ("csv", "text", "excel") and not file.names
    if missing and has_header and sources.holds_values(there):
        problems.append(
            f"{table}: expected a header in {source.label}, found what look like values in the "
            "first row. Give names in dataset.yml."
        )
        missing = []
    elif missing and len(there) == 1 and file.format == "csv":
        problems.append(
            f"{table}: expected several columns in {source.label}, found one: {there[0]}. "
            "Set delimiter in dataset.yml to the sign between them."
        )
        missing = []
    for name in missing:
        advice = "Map it in dataset.yml under columns."
        if name in file.columns:
            advice = f"Correct it in dataset.yml under columns, where it is mapped to {name}."
        elif name == "source":
            advice += ' Or name the system that the file comes from under "source".'
        problems.append(
            f'{table}: column "{wanted[name]}" not found in {source.label}; it has '
            f"{', '.join(there)}. {advice}"
        )
    if problems:
        raise LabError("\n".join(problems))
    return {name: column for name, column in wanted.items() if column in there}


_NO_CHANGES = ibis.literal(
    [],
    type="array<struct<column: string, original: string, cleaned: string, home: string>>",
)


def typed(
    raw: ir.Table, table: str, source: sources.Source, *, currency: str, con: Any = None
) -> ir.Table:
    """Raw text → canonical types. What is no value of its type becomes missing, and a reason.

    con : to look first at which columns need no cleaning, where the rows are read several times.

    Grain: one raw row; adds _row, _unreadable (reasons, empty if all was read), _whole (whether its
    fields could be told) and _changes (for each text that cleaning changed column, original, cleaned
    and, of a phone number, home; see `cleaning.home`).
    """
    file, fields = source.file, raw["fields"]
    columns = mapping(table, fields.type().names, source)
    types = schemas.column_types(table)
    texts = {
        name: fields[columns[name]].cast("string") for name in columns if types[name].is_string()
    }
    plain = cleaning.all_plain(con, raw, texts) if con is not None else frozenset()
    values: dict[str, ir.Value] = {}
    unread: dict[str, ir.BooleanValue] = {}
    changed = []
    for name, dtype in types.items():
        if name not in columns:
            values[name] = ibis.null(dtype)
        elif dtype.is_string():
            in_order = name in plain
            home = cleaning.home(texts, file=file) if name == "phone" else ibis.null("string")
            taken = cleaning.steps(
                texts[name], name, home=home, currency=currency, all_plain=in_order
            )
            values[name] = cleaning.cleaned(taken)
            if len(taken) > 1 or not in_order:
                changed.append(_change(name, texts[name], values[name], home))
        else:
            given = fields[columns[name]]
            if given.type().is_string():
                given = given.strip().nullif("")
            values[name] = value = _parse(given, dtype, file)
            unread[schemas.unreadable(name, dtype)] = given.notnull() & value.isnull()
    if file.source and "source" not in columns and "source" in types:
        values["source"] = ibis.literal(file.source)
    told = ibis.array(changed).filter(lambda change: change.notnull()) if changed else _NO_CHANGES
    return raw.select(
        **values,
        _row=raw["row"],
        _unreadable=_unreadable(raw, columns, unread, file),
        _whole=_is_whole(raw),
        _changes=told,
    )


def _is_whole(raw: ir.Table) -> ir.BooleanValue:
    return raw["problem"].isnull() | ((raw["problem"] == _NOT_TEXT) & raw["fields"].notnull())


def _unreadable(
    raw: ir.Table, columns: Mapping[str, str], unread: Mapping[str, ir.BooleanValue], file: File
) -> ir.ArrayValue:
    """Why raw values could not be typed, or why the whole row could not be read."""
    problem = raw["problem"]
    if file.format in ("parquet", "excel", "database"):  # they hold text, or none at all
        broken = {}
    else:
        broken = {
            reasons.of(name, reasons.OTHER_BYTES, encoding=file.encoding): (problem == _NOT_TEXT)
            & raw["fields"][column].cast("string").re_search(r"\\x[0-9a-f]{2}")
            for name, column in columns.items()
        }
    said = ibis.array([reasons.CANNOT_BE_READ.format(problem="") + problem])
    return _is_whole(raw).ifelse(where_true(dict(unread) | broken), said)


def _change(
    name: str, given: ir.StringValue, value: ir.Value, home: ir.StringValue
) -> ir.StructValue:
    """What cleaning changed a value to; missing if it did not."""
    said = ibis.struct(
        {"column": ibis.literal(name), "original": given, "cleaned": value, "home": home}
    )
    # Steps that undo each other changed nothing.
    return (given.nullif("") != value.coalesce("")).ifelse(said, ibis.null(said.type()))


def _parse(given: Any, dtype: dt.DataType, file: File) -> Any:
    if dtype.is_string():
        return given.cast("string")
    kept = given.type()  # Parquet carries types
    if (kept.is_numeric() and dtype.is_numeric()) or (kept.is_temporal() and dtype.is_timestamp()):
        return given.try_cast(dtype)
    if not kept.is_string():
        given = given.cast("string")
    if dtype.is_timestamp():
        return engine.parse_timestamp(given, file.date_format)
    if dtype.is_boolean():
        word = given.lower()
        return ibis.cases((word.isin(_YES), True), (word.isin(_NO), False), else_=None)
    sign = file.sign if dtype.is_decimal() else None
    return engine.parse_number(
        given, dtype, decimal=file.decimal, thousands=file.thousands, sign=sign
    )


def check(
    con: Any,
    dataset: Dataset,
    folder: Path,
    table: TableName,
    *,
    others: Mapping[str, ir.Table] | None = None,
    put_aside: tuple[str, ...] = (),
    cancelled_within: int = 0,
    expires: Callable[[ir.Table], ir.BooleanValue] | None = None,
) -> Checked:
    """Read all files of a table, clean and type them, and find the rows that break a rule.

    con : a DuckDB connection; others : table → its rows, for references to it; put_aside : see
    `declared.CHOICES`; cancelled_within : days, see `cancellations.mark`; expires : see
    `expiry.expires`; such rows are left out before any rule is asked of the others.
    Raises LabError if a file cannot be read as a whole, if of the rows there are none can be
    accepted, or if there is no order at all. Any other table may be empty: nobody asked to be
    forgotten yet.
    """
    wanted = declared.for_table(dataset, table, put_aside=put_aside)
    cleaning.define(con)
    # Text is parsed, and phone numbers looked up, once; Parquet is quicker read again.
    again = table != "customers" and all(f.format == "parquet" for f in dataset.tables[table])
    parts: list[Part] = []
    read = []
    entries = dataset.tables[table]
    for export, file in zip(export_names(table, entries), entries, strict=True):
        for source in sources.find(folder, file):
            raw = sources.read(con, source)
            columns = mapping(table, raw["fields"].type().names, source)
            with sources.whole([source.label]):
                rows = typed(
                    raw, table, source, currency=dataset.currency, con=con if again else None
                )
            read.append(rows.mutate(_part=ibis.literal(len(parts), "int32")))
            parts.append(Part(export, source, raw, columns, int(con.execute(raw.count()))))
    with sources.whole([part.source.label for part in parts]):
        every = ibis.union(*read) if len(read) > 1 else read[0]
        if not again:
            every = con.create_table(ibis.util.gen_name(f"typed_{table}"), every, temp=True)
        gone = ibis.literal(False) if expires is None else expires(every)
        expired = every.filter(gone).drop("_changes")
        every = every if expires is None else every.filter(~gone)
        rows = every.drop("_changes")
        if len(parts) > 1 and _lacks_key(table, parts):
            wanted = rules.with_more(wanted, declared.repeated_exports(table))
        marked = (
            cancellations.mark(con, rows, within=cancelled_within) if table == "orders" else rows
        )
        found = rules.found(con, marked, wanted, others=others)
        cleaned = _cleaned(con, every, table, currency=dataset.currency)
    checked = Checked(con, table, parts, rows, found, cleaned, expired, wanted)
    refused = int(con.execute(checked.refused.count()))
    left = checked.read - int(con.execute(expired.count()))
    if refused == left and (refused or table == "orders"):
        raise LabError(
            _none_accepted(checked) if left else NO_ORDERS if not checked.read else ALL_EXPIRED
        )
    return checked


def _lacks_key(table: str, parts: Sequence[Part]) -> bool:
    """Whether rows of the table cannot be told apart by a key of theirs."""
    key = schemas.TABLES[table].unique
    return not key or any(
        name not in part.columns and not (name == "source" and part.source.file.source)
        for part in parts
        for name in key
    )


def _cleaned(con: Any, rows: ir.Table, table: str, *, currency: str) -> ir.Table:
    """Grain: one changed value; _part, _row, column, kinds, original, cleaned."""
    changed = rows.filter(rows["_changes"].length() > 0)
    one = changed.select("_part", "_row", change=changed["_changes"].unnest())
    names = ("column", "original", "cleaned", "home")
    told = engine.keep(
        con,
        one.select("_part", "_row", **{name: one["change"][name] for name in names}),
        "changed",
    )
    texts = [name for name, dtype in schemas.column_types(table).items() if dtype.is_string()]
    told = told.mutate(kinds=cleaning.kinds(told, texts, currency=currency))
    return engine.keep(
        con, told.select("_part", "_row", "column", "kinds", "original", "cleaned"), "cleaned"
    )


NO_ORDERS = "orders: expected rows, found a header alone. Export the file again."


ALL_EXPIRED = (
    "orders: expected orders to work with, and all are older than dataset.yml keeps them. Export newer "
    "ones, or set a longer period under keep."
)


def _none_accepted(checked: Checked) -> str:
    most = reason_counts(checked).iloc[0]
    return (
        f"{checked.table}: expected rows to work with; none of {checked.read:,} could be accepted, "
        f"{most['rows']:,} because {most['reason']}. "
        "Correct the file, or how dataset.yml says to read it (columns, date_format, decimal, "
        "encoding, currency)."
    )


def counts(checked: Checked) -> dict[str, int]:
    """read, accepted, quarantined, expired. Raises RuntimeError if the last three are not the first."""
    counted = {
        "accepted": int(checked.con.execute(checked.accepted.count())),
        "quarantined": int(checked.con.execute(checked.refused.count())),
        "expired": int(checked.con.execute(checked.expired.count())),
    }
    if sum(counted.values()) != checked.read:
        raise RuntimeError(f"{checked.table}: {checked.read} rows read, but {counted}")
    return {"read": checked.read} | counted


def reason_counts(checked: Checked) -> pd.DataFrame:
    """Grain: one reason; columns reason, rows. A row with two reasons counts for each."""
    reason = checked.refused.select(reason=checked.refused["_reasons"].unnest())
    table = reason.group_by("reason").agg(rows=reason.count())
    return checked.con.execute(table.order_by(ibis.desc("rows"), "reason"))


def write(checked: Checked, *, validated: Path, quarantine: Path, audit: Path) -> dict[str, int]:
    """Write accepted, quarantined and audited rows as Parquet, each whole or not at all; returns
    what `counts` does."""
    for rows, folder in (
        (checked.accepted, validated),
        (checked.quarantined, quarantine),
        (checked.audited, audit),
    ):
        with written_whole(folder / f"{checked.table}.parquet") as part:
            checked.con.to_parquet(rows, part, COMPRESSION="zstd")
    return counts(checked)
