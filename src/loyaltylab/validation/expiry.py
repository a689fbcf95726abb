"""Expiry: rows that are older than dataset.yml keeps them. Grain: one row of a canonical table.

A company may keep customers' data no longer than it needs them (GDPR art. 5(1)(e)). Rows that expired
are left out before any rule is asked of them, and counted; what is derived is what it would be if the
files had never held them.
"""

from __future__ import annotations

import datetime as dt
import glob
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import ibis
import ibis.expr.types as ir

from loyaltylab import schemas
from loyaltylab.contract import Dataset, KeptName, TableName
from loyaltylab.dataset import record_key
from loyaltylab.validation.tables import Checked

_ORDERS = "expired-orders.parquet"
Expires = Callable[[ir.Table], ir.BooleanValue]


def expires(
    con: Any, spec: Dataset, table: TableName, accepted: Mapping[str, Path], scratch: Path
) -> Expires | None:
    """Which rows of a table are kept no longer; None if all are.

    accepted : table → the file of its accepted rows, of those that were validated before, which is all
    others where customers are asked for; scratch : where `remember` wrote.

    Lines expire with their order. A customer's record is kept while it is young enough, and as long as a
    row of another table tells of it within its own period.
    """
    if table == "order_lines" and "orders" in spec.keep:
        gone = con.read_parquet(glob.escape(str(scratch / _ORDERS)))
        return lambda lines: lines["order_id"].isin(gone["order_id"]).fill_null(False)
    if table not in spec.keep:
        return None
    since = spec.kept_since(table)
    if table != "customers":
        return lambda rows: _too_old(rows, table, since)
    telling = []
    for name in get_args(KeptName):
        if name != table and name in accepted:
            rows = con.read_parquet(glob.escape(str(accepted[name])))
            if "record_id" in rows.columns:
                recent = rows.filter(rows[schemas.MAIN_TIME[name]].date() >= ibis.date(since))
                telling.append(recent.select(key=record_key(recent)))
    used = ibis.union(*telling, distinct=True)
    return lambda rows: (
        _too_old(rows, table, since) & record_key(rows).notin(used["key"]).fill_null(True)
    )


def _too_old(rows: ir.Table, table: str, since: dt.date) -> ir.BooleanValue:
    """Whether a row is from before that day. Not if no day is known, or one that cannot be: such a row
    is put aside."""
    day = rows[schemas.MAIN_TIME[table]].date()
    sane = day >= ibis.date(schemas.EARLIEST)
    return (sane & (day < ibis.date(since))).fill_null(False)


def remember(checked: Checked, scratch: Path) -> None:
    """Leave the numbers of orders that expired, all rows of theirs, for their lines."""
    kept = checked.rows.select("order_id")
    gone = checked.expired.select("order_id").distinct().anti_join(kept, "order_id")
    checked.con.to_parquet(gone, scratch / _ORDERS)


def began_before(checked: Checked) -> int:
    """Customers (source and record_id) with an accepted order, and with one that expired."""
    record = ["source", "record_id"]
    both = checked.accepted.select(record).distinct().semi_join(checked.expired, record)
    return int(checked.con.execute(both.count()))
