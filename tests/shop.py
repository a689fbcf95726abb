"""What the tests of validation share: a dataset made by hand, and rows held against rules."""

import datetime as dt

import ibis
import pandas as pd
import pyarrow as pa

from loyaltylab import contract, schemas, validation
from loyaltylab.validation import rules

MARKERS = {"_part": "int32", "_row": "int64", "_unreadable": "array<string>", "_whole": "bool"}


class Shop:
    """A dataset of one or more files, and what validation makes of it."""

    def __init__(self, con, folder):
        self.con, self.folder = con, folder

    def check(self, *files, table="orders", until=None, more=None, others=None, **chosen):
        """files : content and options of each; more : further keys of dataset.yml."""
        entries = []
        for number, (content, options) in enumerate(files):
            options = dict(options)
            path = options.pop("path", f"{number}.csv")
            data = content if isinstance(content, bytes) else content.encode()
            (self.folder / path).write_bytes(data)
            entries.append({"path": path} | options)
        given = {"title": "A", "currency": "EUR", "tables": {"orders": entries, table: entries}}
        given |= ({"observed_until": until} if until else {}) | (more or {})
        dataset = contract.Dataset.model_validate(given)
        return validation.check(
            self.con, dataset, self.folder, table, others=others or {}, **chosen
        )


def orders(*rows, **options):
    """One file of orders with the columns order_id, record_id, ordered_at and amount."""
    text = "order_id;record_id;ordered_at;amount\n" + "".join(row + "\n" for row in rows)
    return text, {"source": "shop", "delimiter": ";"} | options


def accepted(checked, *columns):
    rows = checked.accepted.to_pyarrow().to_pylist()
    return [tuple(row[name] for name in columns) for row in rows]


def refused(checked):
    rows = checked.quarantined.to_pyarrow().to_pylist()
    return {row["row"]: row["reasons"] for row in rows}


def noted(checked):
    rows = checked.con.to_pyarrow(checked.found.order_by("_part", "_row")).to_pylist()
    return {row["_row"]: row["_notes"] for row in rows if row["_notes"]}


def as_table(rows, types):
    """Rows by hand as a table of the engine; where no marker is given, each was read well."""
    types = types | MARKERS
    usual = {"_part": 0, "_unreadable": [], "_whole": True}
    whole = [
        dict.fromkeys(types) | usual | {"_row": number} | row for number, row in enumerate(rows, 1)
    ]
    schema = ibis.schema(types).to_pyarrow()
    return ibis.memtable(pa.Table.from_pylist(whole, schema=schema))


def judged(con, rows, wanted, types, others=None):
    """(_part, _row) → (reasons, notes), of the rows that break a rule."""
    found = rules.found(con, as_table(rows, types), wanted, others=others or {})
    names = ("_part", "_row", "_reasons", "_notes")
    table = con.to_pyarrow(found.select(*names).order_by("_part", "_row")).to_pylist()
    return {(r["_part"], r["_row"]): (r["_reasons"], r["_notes"]) for r in table}


def types_of(table):
    return schemas.column_types(table)


def day(text):
    return dt.datetime.fromisoformat(text)


def table(rows, name):
    """The canonical table of these rows (dictionaries), in an engine."""
    types = schemas.column_types(name)
    frame = pd.DataFrame(rows, columns=list(types))
    for column, dtype in types.items():
        if dtype.is_timestamp():
            frame[column] = pd.to_datetime(frame[column], format="mixed")
    return ibis.memtable(frame, schema=ibis.schema(types))
