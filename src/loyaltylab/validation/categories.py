"""Values of category columns that appear or disappear. Grain in: one row of a canonical table."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab.validation.coverage import dated

# Columns whose values are few, say nothing of a single person, and are chosen by a system.
CATEGORIES = (
    "source",
    "currency",
    "channel",
    "status",
    "category",
    "country",
    "acquired_through",
    "customer_type",
    "instrument",
    "touchpoint",
    "topic",
    "stage",
    "interest",
    "device",
    "arm",
    "platform",
)
AT_MOST = 200  # values that a column of categories has; with more it is free text
START = 28  # days from a table's first; what a system first writes within them is no news
FALSE_ALARM = 0.01  # chance that a table without a change is said to have one

COLUMNS: dict[str, Any] = {
    "column": object,
    "category": object,
    "what": object,
    "since": "datetime64[ns]",
    "rows": int,
    "expected": float,
}


def category_columns(rows: ir.Table) -> list[str]:
    return [column for column in CATEGORIES if column in rows.columns]


def category_counts(rows: ir.Table, column: str, **figures: ir.Value) -> pd.DataFrame | None:
    """Grain: one value of the column; category, rows, and other figures asked for; none of missing.

    None if there are more than AT_MOST: such a column holds no categories. Most rows first.
    """
    known = rows.filter(rows[column].notnull())
    table = known.group_by(category=known[column]).agg(rows=known.count(), **figures)
    found = table.order_by(ibis.desc("rows"), "category").limit(AT_MOST + 1).to_pandas()
    return found if len(found) <= AT_MOST else None


def categories(rows: ir.Table, name: str) -> pd.DataFrame:
    """Values of the table's CATEGORIES columns that began or ended within it.

    Grain: one value and what became of it. column, category, what ("new" or "lost"), since (the first
    day that has it, or the last), rows (that have it), expected (rows that would have had it before
    since, or after, at the rate at which they do from then on, or did until then). A column with too
    many values to be categories is one row: what "too varied", and the others missing.

    A rate is per row of the table that has a value in the column, so a company that grows is no
    news. Were the n rows of a category spread over the table's rows by chance, they would all fall
    into the share s of these from since on (or until then) with the chance s^n. What is listed has a
    chance below FALSE_ALARM, divided by twice the categories looked at (Bonferroni), and no beginning
    within START.
    """
    found = dated(rows, name)
    listed, looked_at = [], 0
    for column in category_columns(found):
        day = found["_day"]
        table = category_counts(found, column, first=day.min(), last=day.max())
        if table is None:
            listed.append(pd.DataFrame({"column": [column], "what": "too varied", "rows": 0}))
        elif len(table) > 1:
            looked_at += len(table)
            listed += _ends(table.assign(column=column), _by_day(found, column))
    table = pd.concat([pd.DataFrame(columns=[*COLUMNS, "chance"]), *listed], ignore_index=True)
    chance = table["chance"].astype(float).fillna(0)
    return table.loc[chance * 2 * looked_at <= FALSE_ALARM, list(COLUMNS)].astype(COLUMNS)


def _by_day(found: ir.Table, column: str) -> pd.Series:
    """Rows with a value in the column, by day."""
    known = found.filter(found[column].notnull())
    days = known.group_by(day="_day").agg(rows=known.count()).to_pandas()
    return pd.Series(days["rows"].to_numpy(), index=pd.to_datetime(days["day"])).sort_index()


def _ends(table: pd.DataFrame, by_day: pd.Series) -> list[pd.DataFrame]:
    """Each category's beginning and its end, with the chance of a beginning as late, an end as early."""
    total = by_day.sum()
    first, last = pd.to_datetime(table["first"]), pd.to_datetime(table["last"])
    started = by_day.index[0] + pd.Timedelta(days=START)
    until_then = by_day.cumsum()
    since_first = total - until_then[first].to_numpy() + by_day[first].to_numpy()
    ends = []
    for what, day, inside in (
        ("new", first, since_first),
        ("lost", last, until_then[last].to_numpy()),
    ):
        end = table.assign(
            what=what,
            since=day,
            expected=table["rows"] * (total - inside) / inside,
            chance=(inside / total) ** table["rows"].astype(float),
        )
        ends.append(end[day >= started] if what == "new" else end)
    return ends
