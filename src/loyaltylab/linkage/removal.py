"""Removal: the rows about forgotten records, taken out of every derived file. Grain: one row of it.

Derived files are those of validated/, quarantine/, audit/ and linked/. raw/ is read, since quarantine/
and audit/ tell a row by its number in the raw file, and never written. As in validation, DuckDB works on
the files, whatever engine reads them.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from loyaltylab import engine, schemas, sources, validation
from loyaltylab.contract import TableName
from loyaltylab.dataset import Lab, record_key
from loyaltylab.files import written_whole
from loyaltylab.linkage.erasure import remember
from loyaltylab.linkage.keys import Keys
from loyaltylab.validation import cleaning

_WRITTEN = ("validated", "quarantine", "audit", "linked")
_PUT_ASIDE = ("quarantine", "audit")
# Rows of other tables are found by these, so they are written last: a run cut short can be repeated.
_LAST = ("customers", "orders", "visits")
_RECORD = ["source", "record_id"]
# By these columns a row of a canonical table tells whom it is about.
_TELLING = ("source", "record_id", "order_id", "device_id", "referred_by")
_NAMES = ("email", "phone", "given_name", "family_name")
_DIGITS = 8  # the last ones of a phone number, which it has however it is written


@dataclass(frozen=True)
class _Gone:
    """What goes, each a table without repetitions. records : source, record_id. persons : person_id.
    orders : order_id. devices : device_id. values : record_id and _NAMES of each record's rows."""

    records: ir.Table
    persons: ir.Table
    orders: ir.Table
    devices: ir.Table
    values: ir.Table


def forget(lab: Lab, records: ir.Table, *, keys: Keys, tombstones: Path) -> pd.DataFrame:
    """Take all rows about records out of the derived files, and leave tombstones of them.

    records : as `Requested.erase` has them; source, record_id, person_id, requested_at.
    Of a table these rows go: those of a record (source and record_id; also of pairs, with an ending
    such as _l and _r); those of a person that tell no record, as of a golden record, which is to be
    made anew if the person has records left; lines of the records' orders; visits of devices on which
    nobody but forgotten records ever signed in, as such a device is theirs alone. On a device that
    others signed in to, visits without a sign-in stay: whose they are nobody can tell. Of quarantine/
    and audit/ go the raw rows of whom the raw file says so, and raw rows that tell nobody but hold
    the number, e-mail address, phone number or both names of a forgotten record. Whom they recommended
    stays, without that it was they; where such a row was put aside, it goes. Feedback and spend
    tell nobody and stay, as does what others say in free texts.

    A file is written whole or not at all, and not at all if it has no such row; so a second run
    changes no byte. Tombstones are written first. raw/ must be as it was when it was validated, or row
    numbers are those of others. Person ids must not be made of records' numbers, or rows that stay
    would tell them. Rows read are no longer rows accepted plus rows put aside.
    Returns one row a file that lost rows: folder, table, rows (lost).
    Raises LabError if a raw file or derived one cannot be read or written.
    """
    remember(tombstones, keys, records)
    con = engine.connect(lab.spec.engine.in_process(), spill=lab.scratch)
    cleaning.define(con)
    aside: dict[str, ir.Table] = {
        table: _aside(con, lab, table)
        for table in lab.spec.tables
        if {"record_id", "order_id"} & set(schemas.column_types(table))
    }
    gone = _gone(con, lab, records.to_pyarrow(), aside)
    lost = []
    for path in _files(lab, _WRITTEN):
        rows = con.read_parquet(glob.escape(str(path)), file_row_number=True)
        if path.parent.name not in _PUT_ASIDE:
            going = rows.filter(_theirs(rows, gone))
        elif path.stem in aside:
            named = _put_aside(aside[path.stem], gone, quarantined=path.parent.name == "quarantine")
            going = rows.semi_join(named, ["file", "row"])
        else:
            continue
        count = int(con.execute(going.count()))
        staying = rows.anti_join(going, "file_row_number").order_by("file_row_number")
        untold = 0
        if "referred_by" in rows.columns:
            theirs = _recommended(staying, gone).fill_null(False)
            untold = int(con.execute(theirs.sum().fill_null(0)))
            none = ibis.null("string")
            staying = staying.mutate(referred_by=theirs.ifelse(none, staying["referred_by"]))
        if count or untold:
            made = path.stat().st_mtime_ns
            with written_whole(path) as part:
                con.to_parquet(staying.drop("file_row_number"), part, COMPRESSION="zstd")
            # Make takes a younger file for one that somebody else wrote, and validates again.
            os.utime(path, ns=(made, made))
        if count:
            lost.append({"folder": path.parent.name, "table": path.stem, "rows": count})
    con.disconnect()
    return pd.DataFrame(lost, columns=["folder", "table", "rows"])


def _files(lab: Lab, folders: Sequence[str]) -> list[Path]:
    """The derived Parquet files, those of _LAST last."""
    found = [path for name in folders for path in sorted(getattr(lab, name).glob("*.parquet"))]
    return sorted(found, key=lambda path: path.stem in _LAST)


def _aside(con: Any, lab: Lab, table: TableName) -> ir.Table:
    """The raw rows that quarantine/ or audit/ tell of. Grain: one raw row.

    file, row, those of _TELLING and _NAMES that the table has (as validation reads them; missing
    where the row cannot be read), original (the row as text).
    """
    types = {
        name: dtype
        for name, dtype in schemas.column_types(table).items()
        if name in (*_TELLING, *_NAMES)
    }
    schema = ibis.schema({"file": "string", "row": "int64", **types, "original": "string"})
    parts = [ibis.memtable([], schema=schema)]
    told = [
        con.read_parquet(glob.escape(str(path))).select("file", "row")
        for path in _files(lab, _PUT_ASIDE)
        if path.stem == table
    ]
    wanted = ibis.union(ibis.memtable([], schema={"file": "string", "row": "int64"}), *told)
    wanted = con.create_table(ibis.util.gen_name("wanted"), wanted.distinct(), temp=True)
    labels = con.to_pyarrow(wanted.select("file").distinct())["file"].to_pylist()
    with sources.whole(labels):
        for file in lab.spec.tables[table] if labels else []:
            for source in sources.find(lab.folder, file):
                if source.label not in labels:
                    continue
                here = wanted.filter(wanted["file"] == source.label)
                # Kept, or all that is not asked for would be cleaned first.
                raw = engine.keep(con, sources.read(con, source).semi_join(here, "row"), "told")
                rows = validation.typed(raw, table, source, currency=lab.spec.currency)
                text = raw["line"].coalesce(raw["fields"].cast("json").cast("string"))
                rows = rows.select("_row", *types).join(
                    raw.select(_row="row", original=text), "_row"
                )
                names = {name: rows[name] for name in types}
                label = ibis.literal(source.label)
                parts.append(rows.select(file=label, row="_row", **names, original="original"))
        return con.create_table(ibis.util.gen_name("aside"), ibis.union(*parts), temp=True)


def _gone(con: Any, lab: Lab, erased: pa.Table, aside: Mapping[str, ir.Table]) -> _Gone:
    def kept(rows: ir.Table) -> ir.Table:
        return con.create_table(ibis.util.gen_name("gone"), rows.distinct(), temp=True)

    def everywhere(table: str, *columns: str) -> ir.Table:
        """Rows of a table, accepted or not; none if the dataset has no such table."""
        types = {name: schemas.column_types(table)[name] for name in columns}
        parts = [ibis.memtable([], schema=types)]
        path = lab.validated / f"{table}.parquet"
        if path.exists():
            parts.append(con.read_parquet(glob.escape(str(path))).select(*columns))
        if table in aside:
            parts.append(aside[table].select(*columns))
        return ibis.union(*parts)

    given = con.create_table(ibis.util.gen_name("erased"), erased, temp=True)
    records = kept(given.select(*_RECORD))
    persons = given.filter(given["person_id"].notnull()).select("person_id")
    orders = everywhere("orders", *_RECORD, "order_id").semi_join(records, _RECORD)
    visits = everywhere("visits", *_RECORD, "device_id")
    signed = visits.filter(visits["record_id"].notnull())
    others = signed.anti_join(records, _RECORD).select("device_id")
    devices = signed.semi_join(records, _RECORD).anti_join(others, "device_id")
    customers = everywhere("customers", *_RECORD, *_NAMES)
    return _Gone(
        records=records,
        persons=kept(persons),
        orders=kept(orders.filter(orders["order_id"].notnull()).select("order_id")),
        devices=kept(devices.select("device_id")),
        values=kept(records.left_join(customers, _RECORD).select("record_id", *_NAMES)),
    )


def _theirs(rows: ir.Table, gone: _Gone) -> ir.BooleanValue:
    """Whether a row goes, by the columns that it has; false or missing if it stays."""
    endings = [
        name.removeprefix("record_id")
        for name in rows.columns
        if name.startswith("record_id") and name.replace("record_id", "source") in rows.columns
    ]
    going = [ibis.literal(False)]
    keys = gone.records.select(key=record_key(gone.records))["key"]
    for ending in endings:
        pair = {name: rows[name + ending] for name in _RECORD}
        going.append(record_key(pair).isin(keys))
    if "person_id" in rows.columns:
        alone = ibis.and_(*(rows[f"record_id{ending}"].isnull() for ending in endings))
        going.append(alone & rows["person_id"].isin(gone.persons["person_id"]))
    if "order_id" in rows.columns and not endings:
        going.append(rows["order_id"].isin(gone.orders["order_id"]))
    if "device_id" in rows.columns:
        going.append(rows["device_id"].isin(gone.devices["device_id"]))
    return ibis.or_(*going)


def _recommended(rows: ir.Table, gone: _Gone) -> ir.BooleanValue:
    """Whether a record was recommended by one that is forgotten; missing if by nobody."""
    keys = gone.records.select(key=record_key(gone.records))["key"]
    by = {"source": rows["source"], "record_id": rows["referred_by"]}
    return record_key(by).isin(keys)


def _put_aside(rows: ir.Table, gone: _Gone, *, quarantined: bool) -> ir.Table:
    """Of the raw rows of `_aside`, those that go; file, row. quarantined : or cleaned, and accepted."""
    going = _theirs(rows, gone)
    if quarantined and "referred_by" in rows.columns:
        going = going | _recommended(rows, gone)
    told = rows.filter(going).select("file", "row")
    main = "record_id" if "record_id" in rows.columns else "order_id"
    nobodys = rows.filter(rows[main].isnull())
    if "device_id" in rows.columns:  # a visit without a sign-in is a device's
        nobodys = nobodys.filter(nobodys["device_id"].isnull())
    both = nobodys.select("file", "row", "original").cross_join(gone.values)
    words, digits = _words(both["original"]), both["original"].re_replace("[^0-9]", "")
    number = both["phone"].right(_DIGITS)
    holds = [
        words.contains(_words(both["record_id"])),
        words.contains(_words(both["email"])),
        words.contains(_words(both["given_name"])) & words.contains(_words(both["family_name"])),
        digits.contains(number) & (number.length() == _DIGITS),
    ]
    guessed = both.filter(ibis.or_(*holds))
    return told.union(guessed.select("file", "row")).distinct()


def _words(text: ir.StringValue) -> ir.StringValue:
    """Its words in small letters, with one space around each: whole words alone are found in it."""
    return ibis.literal(" ") + text.lower().re_replace(r"[^\p{L}\p{N}]+", " ").strip() + " "
