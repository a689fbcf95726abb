"""Findings: what validation found in all tables of a dataset, as small tables for the page.

Grain in: one raw row. Grain out: one export, or one reason or column of an export.
"""

from __future__ import annotations

import datetime as dt
import glob
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dtypes
import ibis.expr.types as ir
import pandas as pd

from loyaltylab import engine, schemas
from loyaltylab.contract import Dataset, File
from loyaltylab.dataset import REFUSALS, Lab
from loyaltylab.files import written_whole
from loyaltylab.language import phrase, rephrased
from loyaltylab.sources import shape
from loyaltylab.validation import cleaning, coverage, declared, expiry, tables
from loyaltylab.validation.nature import tells_who
from loyaltylab.validation.tables import Checked

# What `validate` writes, each a folder of the dataset with a Parquet file a table.
WRITTEN = ("validated", "quarantine", "audit")
# How a file writes values, where it is not as everywhere.
DATES = "date read as {format}"
NUMBERS = "number read with"
DECIMALS = '"{sign}" before decimals'
THOUSANDS = '"{sign}" before thousands'
CURRENCY = '"{sign}" beside it'
# What tells whose revenue a row is about.
_ABOUT = ("source", "record_id", "order_id", "amount", "currency")


@dataclass(frozen=True)
class Findings:
    """Each but the last a pandas table; all have table and export (as `tables.export_names` calls it).

    exports : one row an export; files (how many), owner (missing if dataset.yml does not say), read,
        accepted, quarantined, expired (older than dataset.yml keeps them), first_day and last_day of
        its rows, gaps, silent_days and days (within gaps, and all from the first to the last day
        observed). Without a main time the last five are missing.
    columns : one row a column of an export; column (the file's heading), canonical (missing if
        dataset.yml leaves it out), expected (whether an empty cell is a missing value), present (rows
        with a value).
    reasons : one row a reason; reason, dimension, treatment ("put aside" or "noted"), rows,
        first_day, last_day (of these rows; missing if unknown), example (the commonest form of the
        value, letters as x and digits as 9; missing if there is none), revenue (of the orders that
        it affects; missing if it is about none).
    broken : one row an export and dimension; rows (that break a rule of it).
    changes : one row a kind of cleaning of a column; column (canonical), kind, values. Of texts that
        were changed, and of dates and numbers that are read by a format of their file's own.
    began_before : customers with an accepted order who had one that expired; 0 if all are kept.
    """

    exports: pd.DataFrame
    columns: pd.DataFrame
    reasons: pd.DataFrame
    broken: pd.DataFrame
    changes: pd.DataFrame
    began_before: int = 0


_TABLES = [one.name for one in fields(Findings) if one.name != "began_before"]


def validate(lab: Lab, *, put_aside: tuple[str, ...] = (), cancelled_within: int = 0) -> Findings:
    """Validate every table of a dataset and write accepted, quarantined and audited rows of each.

    put_aside, cancelled_within : as `tables.check` takes them.
    Files of tables that dataset.yml no longer names are removed: they would still be read.
    """
    for table in schemas.TABLES.keys() - lab.spec.tables.keys():
        for name in WRITTEN:
            (getattr(lab, name) / f"{table}.parquet").unlink(missing_ok=True)
    if "customers" not in lab.spec.tables:
        (lab.validated / REFUSALS).unlink(missing_ok=True)
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in _TABLES}
    days: dict[str, pd.Series] = {}
    # Raw files are read by DuckDB, whatever engine works on the accepted rows.
    reading = lab.spec.engine.in_process()
    parents = [name for name in schemas.REFERRED if name in lab.spec.tables]
    if "customers" in lab.spec.keep:  # whose rows are kept all other tables tell
        con = engine.connect(reading, spill=lab.scratch)
        _write_keys(tables.check(con, lab.spec, lab.folder, "customers"), lab.scratch)
        con.disconnect()
    began, written = 0, dict[str, Path]()
    in_order = [*parents, *(name for name in lab.spec.tables if name not in parents)]
    for table in sorted(in_order, key=lambda name: name == "customers" and name in lab.spec.keep):
        con = engine.connect(reading, spill=lab.scratch)
        checked = tables.check(
            con,
            lab.spec,
            lab.folder,
            table,
            others=_parents(con, lab.scratch),
            put_aside=put_aside,
            cancelled_within=cancelled_within,
            expires=expiry.expires(con, lab.spec, table, written, lab.scratch),
        )
        written[table] = lab.validated / f"{table}.parquet"
        tables.write(checked, **{name: getattr(lab, name) for name in WRITTEN})
        if table == "customers":
            with written_whole(lab.validated / REFUSALS) as part:
                con.to_parquet(checked.refusals.order_by("source", "record_id"), part)
        labels = checked.labels().select("_part", "export")
        parts["exports"].append(_exports(checked, labels))
        parts["columns"].append(_columns(checked, labels))
        parts["changes"].append(_changes(checked, labels, parts["columns"][-1]))
        told = _told(checked, labels)
        parts["reasons"].append(_reasons(checked, told, lab.spec.minimum_cell))
        parts["broken"].append(_broken(checked, told))
        days |= _days(checked, labels)
        con.to_parquet(told, lab.scratch / f"told-{table}.parquet")
        if table in parents and _is_referred(lab.spec, table):
            _write_keys(checked, lab.scratch)
        if table == "orders" and table in lab.spec.keep:
            expiry.remember(checked, lab.scratch)
            began = expiry.began_before(checked)
        con.disconnect()  # and what it held is gone before the next table
    place = {table: number for number, table in enumerate(lab.spec.tables)}
    whole = {
        name: pd.concat(some, ignore_index=True).sort_values(
            "table", key=lambda names: names.map(place), kind="stable", ignore_index=True
        )
        for name, some in parts.items()
    }
    whole["exports"] = _with_gaps(whole["exports"], days, lab.observed_until)
    con = engine.connect(reading, spill=lab.scratch)
    revenue = _revenue(con, lab, whole["reasons"]["table"].unique())
    con.disconnect()
    whole["reasons"] = whole["reasons"].merge(revenue, "left", ["table", "export", "reason"])
    return Findings(**whole, began_before=began)


def _write_keys(checked: Checked, scratch: Path) -> None:
    checked.con.to_parquet(_referred(checked), scratch / f"keys-{checked.table}.parquet")


def _parents(con: Any, scratch: Path) -> dict[str, ir.Table]:
    """The keys of tables that were checked before, of those that have any."""
    paths = {name: scratch / f"keys-{name}.parquet" for name in schemas.REFERRED}
    held = {name: con.read_parquet(glob.escape(str(p))) for name, p in paths.items() if p.exists()}
    return {
        name: keys.select(known)
        for name, keys in held.items()
        if (known := [c for c in keys.columns if int(con.execute(keys[c].count()))])
    }


def _referred(checked: Checked) -> ir.Table:
    """The keys by which rows of other tables refer to one of this, of all rows that were read: a row
    put aside, or too old to keep, is there all the same."""
    keys = schemas.REFERRED[checked.table]
    return checked.rows.select(*keys).union(checked.expired.select(*keys))


def _is_referred(spec: Dataset, table: str) -> bool:
    """Whether a rule asks if rows of another table have one here."""
    others = [name for name in spec.tables if name != table]
    rules = (declared.for_table(spec, name) for name in others)
    return any(reference.table == table for rule in rules for reference in rule.references)


def _exports(checked: Checked, labels: ir.Table) -> pd.DataFrame:
    counted = []
    for name, rows in (("quarantined", checked.refused), ("expired", checked.expired)):
        told = rows.join(labels, "_part")
        counted.append(checked.con.execute(told.group_by("export").agg(**{name: told.count()})))
    parts = pd.DataFrame(
        {
            "table": checked.table,
            "export": [part.export for part in checked.parts],
            "owner": [part.source.file.owner for part in checked.parts],
            "read": [part.read for part in checked.parts],
        }
    )
    by_export = parts.groupby(["table", "export"], sort=False)
    table = by_export.agg(files=("read", "size"), owner=("owner", "first"), read=("read", "sum"))
    table = table.reset_index()
    for rows in counted:
        table = table.merge(rows, "left", "export")
    aside = {name: table[name].fillna(0).astype("int64") for name in ("quarantined", "expired")}
    table = table.assign(**aside)
    table.insert(5, "accepted", table["read"] - table["quarantined"] - table["expired"])
    return table


def _columns(checked: Checked, labels: ir.Table) -> pd.DataFrame:
    rows = checked.rows.join(labels, "_part")
    names = list(schemas.column_types(checked.table))
    counted = rows.group_by("export").agg(**{name: rows[name].count() for name in names})
    present = checked.con.execute(counted).set_index("export")
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for part in checked.parts:
        mapped = {column: name for name, column in part.columns.items()}
        for column in part.raw["fields"].type().names:
            name = mapped.get(column)
            found.setdefault(
                (part.export, column),
                {
                    "table": checked.table,
                    "export": part.export,
                    "column": column,
                    "canonical": name,
                    "expected": name is not None and not schemas.may_lack(checked.table, name),
                    "present": present[name].get(part.export, 0) if name else None,
                },
            )
    table = pd.DataFrame(
        found.values(), columns=["table", "export", "column", "canonical", "expected", "present"]
    )
    return table.astype({"present": "Int64", "expected": bool})


def _changes(checked: Checked, labels: ir.Table, columns: pd.DataFrame) -> pd.DataFrame:
    rows = checked.cleaned.join(labels, "_part")
    one = rows.select("export", "column", kind=rows["kinds"].unnest())
    counted = one.group_by("export", "column", "kind").agg(values=one.count())
    texts = checked.con.execute(counted)
    present = columns.set_index(["export", "canonical"])["present"]
    read_as = [
        (part.export, name, kind, present[part.export, name])
        for part in {part.export: part for part in checked.parts}.values()
        for name in part.columns
        if (kind := _format(part.source.file, schemas.column_types(checked.table)[name]))
    ]
    formats = pd.DataFrame(read_as, columns=list(texts.columns))
    table = pd.concat([texts, formats[formats["values"] > 0]]) if read_as else texts
    table = table.sort_values(
        ["export", "values", "column", "kind"], ascending=[True, False, True, True]
    ).astype({"values": "int64"})
    table.insert(0, "table", checked.table)
    return table


def _format(file: File, dtype: dtypes.DataType) -> str:
    """How values of the type are written in a file, where it is not as everywhere; else empty."""
    if dtype.is_timestamp() and file.date_format:
        return DATES.format(format=file.date_format)
    marks = [DECIMALS.format(sign=file.decimal)] if file.decimal != "." else []
    marks += [THOUSANDS.format(sign=file.thousands)] if file.thousands else []
    marks += [CURRENCY.format(sign=file.sign)] if file.sign and dtype.is_decimal() else []
    return f"{NUMBERS} {' and '.join(marks)}" if marks and dtype.is_numeric() else ""


def kind_in_words(kind: str) -> str:
    """A kind of cleaning, as in `Findings.changes`, in the language in use."""
    if not kind.startswith(f"{NUMBERS} "):
        return rephrased(kind, (DATES, *cleaning.KINDS))
    said = ""
    for mark in kind.removeprefix(f"{NUMBERS} ").split(" and "):
        more = rephrased(mark, (DECIMALS, THOUSANDS, CURRENCY))
        said = phrase("{others} and {last}", others=said, last=more) if said else more
    return f"{phrase(NUMBERS)} {said}"


def _told(checked: Checked, labels: ir.Table) -> ir.Table:
    """Grain: one row and one reason of it; export, reason, noted, day, and what tells whose revenue
    it is about."""
    rows = checked.found.join(labels, "_part")
    time = schemas.MAIN_TIME.get(checked.table)
    day = rows[time].date() if time else ibis.null("date")
    # A day that cannot be tells nothing of since when.
    sane = day.between(ibis.date(schemas.EARLIEST), ibis.date(schemas.LATEST))
    day = sane.ifelse(day, ibis.null("date"))
    about = [name for name in _ABOUT if name in rows.columns]
    kinds = [
        rows.select("_part", "_row", "export", *about, day=day, noted=noted, reason=said.unnest())
        for noted, said in ((False, rows["_reasons"]), (True, rows["_notes"]))
    ]
    return checked.con.create_table(ibis.util.gen_name("told"), kinds[0].union(kinds[1]), temp=True)


def _reasons(checked: Checked, told: ir.Table, minimum: int) -> pd.DataFrame:
    counted = told.group_by("export", "reason", "noted").agg(
        rows=told.count(), first_day=told["day"].min(), last_day=told["day"].max()
    )
    ordered = counted.order_by("export", "noted", ibis.desc("rows"), "reason")
    table = checked.con.execute(ordered)
    dimensions = checked.rules.dimensions()
    table["dimension"] = [dimensions.get(reason, "validity") for reason in table["reason"]]
    table["treatment"] = table.pop("noted").map({True: "noted", False: "put aside"})
    table["example"] = [
        _example(checked, told, export, reason, minimum)
        for export, reason in zip(table["export"], table["reason"], strict=True)
    ]
    times = dict.fromkeys(["first_day", "last_day"], "datetime64[ns]")
    table = table.astype(times | {"example": "str", "dimension": "str", "treatment": "str"})
    table.insert(0, "table", checked.table)
    names = ["reason", "dimension", "treatment", "rows", "first_day", "last_day", "example"]
    return table[["table", "export", *names]]


def _example(
    checked: Checked, told: ir.Table, export: str, reason: str, minimum: int
) -> str | None:
    """The commonest form of the values that a reason is about, in the file's own words.

    Where they say who somebody is, it is that of `minimum` rows or more, else shorter, else missing: the
    length of a name and that it is the only one with a tag in it would do to tell whose it is.
    """
    name = reason.split(" ")[0]
    forms = []
    for number, part in enumerate(checked.parts):
        if part.export == export and name in part.columns:
            rows = told.filter(
                (told["reason"] == reason) & (told["export"] == export) & (told["_part"] == number)
            ).select("_row")
            values = part.raw.rename(_row="row").semi_join(rows, "_row")
            given = values["fields"][part.columns[name]].cast("string")
            # Not of the forms: these would then be made of all rows of the file.
            values = values.filter(given.notnull())
            # A byte that is no text is shown as one sign.
            forms.append(values.select(form=shape(given.re_replace(r"\\x[0-9a-f]{2}", "?"))))
    if not forms:
        return None
    found = ibis.union(*forms) if len(forms) > 1 else forms[0]
    shorter = found["form"].re_replace("x+", "x").re_replace("9+", "9")
    for forms in (found, found.select(form=shorter)):
        counted = forms.group_by("form").agg(n=forms.count())
        ranked = counted.order_by(ibis.desc("n"), "form").limit(1)
        for commonest in checked.con.to_pyarrow(ranked).to_pylist():
            if commonest["n"] >= minimum or not tells_who(checked.table, name):
                return str(commonest["form"])
    return None


def _broken(checked: Checked, told: ir.Table) -> pd.DataFrame:
    dimensions = checked.rules.dimensions()
    named = ibis.memtable(
        {"reason": list(dimensions), "dimension": list(dimensions.values())},
        schema={"reason": "string", "dimension": "string"},
    )
    rows = told.left_join(named, "reason")
    # The others are words on what could not be read.
    rows = rows.select(
        "export", "_part", "_row", dimension=rows["dimension"].fill_null("validity")
    ).distinct()
    counted = rows.group_by("export", "dimension").agg(rows=rows.count())
    table = checked.con.execute(counted.order_by("export", "dimension"))
    table.insert(0, "table", checked.table)
    return table


def _days(checked: Checked, labels: ir.Table) -> dict[str, pd.Series]:
    """export → rows of each day that has any, of the rows that are accepted."""
    if checked.table not in schemas.MAIN_TIME:
        return {}
    refused = checked.refused.select("_part", "_row")
    rows = checked.rows.anti_join(refused, ["_part", "_row"]).join(labels, "_part")
    dated = coverage.dated(rows, checked.table)
    counted = checked.con.execute(dated.group_by("export", "_day").agg(rows=dated.count()))
    counted["_day"] = pd.to_datetime(counted["_day"])
    return {
        str(export): days.set_index("_day")["rows"].sort_index()
        for export, days in counted.groupby("export")
    }


def _with_gaps(exports: pd.DataFrame, days: dict[str, pd.Series], until: dt.date) -> pd.DataFrame:
    found = {}
    for export, by_day in days.items():
        gaps = coverage.gaps(by_day, until=until)
        first, last = by_day.index.min(), by_day.index.max()
        found[export] = {
            "first_day": first,
            "last_day": last,
            "gaps": len(gaps),
            "silent_days": gaps["days"].sum(),
            "days": (max(last, pd.Timestamp(until)) - first).days + 1,
        }
    names = ["first_day", "last_day", "gaps", "silent_days", "days"]
    table = pd.DataFrame.from_dict(found, orient="index", columns=names)
    types = dict.fromkeys(names[:2], "datetime64[ns]") | dict.fromkeys(names[2:], "Int64")
    return exports.join(table.astype(types), on="export")


def _revenue(con: Any, lab: Lab, names: Iterable[str]) -> pd.DataFrame:
    """Grain: one reason; table, export, reason, revenue, for the tables that are about orders.

    Of an order put aside its own amount, and the median accepted one where it cannot be told or is
    in another currency; of any other row the accepted orders that it belongs to, or else those of
    the record that it is about, each order once.
    """
    orders = con.read_parquet(glob.escape(str(lab.validated / "orders.parquet")))
    usual = float(con.execute(orders["amount"].cast("float64").median()))
    found = []
    for table in names:
        told = con.read_parquet(glob.escape(str(lab.scratch / f"told-{table}.parquet")))
        by = ["export", "reason"]
        if table == "orders":
            other = told["currency"].notnull() & (told["currency"] != lab.spec.currency)
            amount = other.ifelse(ibis.null("float64"), told["amount"].cast("float64").abs())
            affected = told.mutate(amount=amount.coalesce(usual))
        else:
            keys = next(
                (k for k in (["order_id"], ["source", "record_id"]) if {*k} <= {*told.columns}),
                None,
            )
            if keys is None:
                continue
            one = told.select(*by, *keys).distinct()
            affected = one.join(orders.select(*keys, amount=orders["amount"].cast("float64")), keys)
        summed = affected.group_by(by).agg(revenue=affected["amount"].sum())
        rows = con.execute(summed.order_by(by))
        rows.insert(0, "table", table)
        found.append(rows)
    names_ = ["table", "export", "reason", "revenue"]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=names_)
