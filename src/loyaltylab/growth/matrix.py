"""Customer-experience matrix: how connected each touchpoint is, against how used. Grain out: touchpoint.

A touchpoint is where a system meets customers: one source of a table, one platform of public feedback,
one occasion of surveys. What is counted here of values is no use of them: that is what findings read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab import schemas
from loyaltylab.language import phrase
from loyaltylab.numbers import Number, Numbers, sentence
from loyaltylab.validation.nature import USED

# Table → the column that tells its touchpoints apart.
TOUCHPOINTS = {
    "orders": "source",
    "customers": "source",
    "visits": "source",
    "surveys": "touchpoint",
    "tickets": "source",
    "contracts": "source",
    "campaigns": "source",
    "feedback": "platform",
}
_CHECKS = "01_validation"  # looks at every value and finds nothing about customers
_NUMBERS = frozenset(
    ("source", "record_id", "order_id", "visit_id", "device_id", "ticket_id", "response_id")
    + ("contract_id", "campaign_id", "feedback_id", "platform")
)
HALF_LIFE = 30.0  # days beyond the usual after which what is not renewed counts half
CONNECTED = 0.5  # from which on a touchpoint counts as connected
MUCH = 3  # pages: from which on it counts as much used


def touchpoint(
    rows: ir.Table, table: str, records: ir.Table, known: ir.Table, *, until: dt.date
) -> pd.DataFrame:
    """What the touchpoints of a table hold. Grain: one of them with a row.

    rows : the accepted ones; records : `Lab.records`; known : the records that make a row lead to
    somebody, of orders those of customers, of all else those of persons who ordered (source,
    record_id). Rows of persons who may not be analysed are left out of what is linked.
    Returns table, touchpoint, rows, linked (share of rows that lead to somebody; 0 of a table that
    names nobody), behind (days from the last row to `until`), usual (days from one day with rows to the
    next, on average; 0 of one alone), complete (share of the cells that should
    hold a value which do, of all columns that the lab knows), filled (the columns that hold any).
    """
    names = [n for n in schemas.column_types(table) if n not in _NUMBERS]
    expected = [n for n in names if not schemas.may_lack(table, n)]
    found = rows.mutate(_touchpoint=rows[TOUCHPOINTS[table]].fill_null(""))
    of_record = {"source", "record_id"} <= set(schemas.column_types(table))
    if of_record:
        keys = ["source", "record_id"]
        refused = records.filter(~records["analysed"]).select(*keys, _refused=True)
        there = known.select(*keys).distinct().mutate(_known=True)
        found = found.left_join(refused, keys).drop("source_right", "record_id_right")
        found = found.left_join(there, keys).drop("source_right", "record_id_right")
    else:
        found = found.mutate(_refused=ibis.null("boolean"), _known=ibis.null("boolean"))
    may = ~found["_refused"].fill_null(False)
    day = found[schemas.MAIN_TIME[table]].date()
    counted = found.group_by("_touchpoint").agg(
        rows=found.count(),
        _may=may.sum(),
        _linked=(may & found["_known"].fill_null(False)).sum(),
        _first=day.min(),
        _last=day.max(),
        _days=day.nunique(),
        **{f"has_{name}": found[name].count() for name in names},
    )
    cells = counted.order_by("_touchpoint").to_pandas()
    first, last = (pd.to_datetime(cells[name]) for name in ("_first", "_last"))
    pauses = (cells["_days"] - 1).clip(lower=1)
    has = cells[[f"has_{name}" for name in expected]]
    return pd.DataFrame(
        {
            "table": table,
            "touchpoint": cells["_touchpoint"],
            "rows": cells["rows"],
            "linked": (cells["_linked"] / cells["_may"].where(cells["_may"] > 0)).fillna(0.0),
            "behind": (pd.Timestamp(until) - last).dt.days.clip(lower=0).astype(float),
            "usual": ((last - first).dt.days / pauses).astype(float),
            "complete": has.sum(axis=1) / (len(expected) * cells["rows"]),
            "filled": [
                tuple(n for n in names if row[f"has_{n}"]) for row in cells.to_dict("records")
            ],
        }
    )


def who_is_known(
    orders: ir.Table, customers: ir.Table | None, records: ir.Table
) -> dict[str, ir.Table]:
    """Table → the records that lead to somebody, as `touchpoint` takes them; of orders those with a
    record of customers (all that ordered, where there is no such table), of all other tables ("") those
    of persons who ordered."""
    keys = ["source", "record_id"]
    bought = orders.select(*keys).distinct().join(records, keys).select("person_id").distinct()
    buyers = records.semi_join(bought, "person_id").select(*keys)
    return {"": buyers, "orders": buyers if customers is None else customers.select(*keys)}


def matrix(parts: Iterable[pd.DataFrame], *, pages: Sequence[str]) -> pd.DataFrame:
    """The touchpoints of all tables with how connected and how used they are, the most used first.

    pages : the notebooks that there are. Adds fresh (1 of what is behind no longer than usual, half for
    each HALF_LIFE days more), connected (linked × complete × fresh, in [0, 1]), weakest (which of the
    three is least), pages (stems of the findings that read a value which the touchpoint fills), used
    (how many).
    """
    table = pd.concat(list(parts), ignore_index=True)
    late = (table["behind"] - table["usual"]).clip(lower=0).fillna(np.inf)
    fresh = 0.5 ** (late / HALF_LIFE)
    shares = pd.DataFrame(
        {"linked": table["linked"], "complete": table["complete"], "fresh": fresh}
    )
    read = [
        _read_by(name, filled, pages)
        for name, filled in zip(table["table"], table["filled"], strict=True)
    ]
    table = table.assign(
        fresh=fresh,
        connected=shares.prod(axis=1),
        weakest=shares.idxmin(axis=1),
        pages=pd.Series(read, dtype=object),
        used=[len(stems) for stems in read],
    )
    return table.sort_values(
        ["used", "connected", "table", "touchpoint"],
        ascending=[False, False, True, True],
        ignore_index=True,
    )


def _read_by(table: str, filled: Iterable[str], pages: Sequence[str]) -> list[str]:
    read = {page for name in filled for page in USED[table].get(name, ())}
    return [page for page in pages if page in read and page != _CHECKS]


def what_next(row: Mapping[str, object]) -> str:
    """What to do with a touchpoint of `matrix`, by its quarter and by what connects it least."""
    connected, used = row["connected"], row["used"]
    assert isinstance(connected, float) and isinstance(used, int)
    if connected >= CONNECTED and used >= MUCH:
        return phrase("keep it so: findings rest on it")
    if connected >= CONNECTED:
        return phrase("ask it something: it is connected, and few pages read it")
    mend = {
        "linked": "connect it: ask for the customer's number or a sign-in there",
        "complete": "fill it: export the columns that it lacks",
        "fresh": "export it more often: its last row is old",
    }
    drop = {
        "linked": "connect it, or expect little of it: few rows lead to somebody, and few pages read it",
        "complete": "fill it, or expect little of it: it holds little, and few pages read it",
        "fresh": "renew it, or expect little of it: it is old, and few pages read it",
    }
    return phrase((mend if used >= MUCH else drop)[str(row["weakest"])])


def name(table: str, touchpoint: str) -> str:
    """A touchpoint as a reader has it: its table and the system, platform or occasion; names of data."""
    return f"{table}: {touchpoint}" if touchpoint else table


def matrix_table(found: pd.DataFrame) -> pd.DataFrame:
    """`matrix` for readers. Grain: one touchpoint."""
    rows = found.to_dict("records")
    return pd.DataFrame(
        {
            "touchpoint": [name(row["table"], row["touchpoint"]) for row in rows],
            "rows": found["rows"],
            "linked": found["linked"],
            "days behind": found["behind"],
            "complete": found["complete"],
            "connected": found["connected"],
            "pages that read it": found["used"],
            "next": [what_next({str(k): v for k, v in row.items()}) for row in rows],
        }
    )


def record_matrix(numbers: Numbers, found: pd.DataFrame) -> Number:
    """Record growth.experience.connected: the share of touchpoints' rows that is connected."""
    return numbers.record(
        "growth.experience.connected",
        float((found["connected"] >= CONNECTED).mean()) if len(found) else float("nan"),
        unit="share",
        n=len(found),
        definition=phrase(
            "touchpoints of which linked share × completeness × freshness is a half or more"
        ),
    )


def matrix_finding(found: pd.DataFrame) -> str:
    """Where what customers do is known and not used, or used and not known: a heading and sentences."""
    loose = found[(found["connected"] < CONNECTED) & (found["used"] >= MUCH)]
    idle = found[(found["connected"] >= CONNECTED) & (found["used"] < MUCH)]
    well = int((found["connected"] >= CONNECTED).sum())
    heading = phrase("{well} of {all} touchpoints are connected", well=well, all=len(found))
    said = [
        phrase(
            "A touchpoint is connected, as {share:.0%} are, if its rows lead to somebody known, hold "
            "what they could hold and are not late: the three shares times each other make a "
            "half or more. It is much used if findings of {much} pages or more read what it fills.",
            share=(found["connected"] >= CONNECTED).mean(),
            much=MUCH,
        )
    ]
    for part, words in (
        (loose, "Much used and poorly connected: **{names}**. What is said of them holds for a part of "
                "the customers; connect these first."),
        (idle, "Connected and little used: **{names}**. There the next question costs least."),
    ):  # fmt: skip
        if len(part):
            rows = part.to_dict("records")
            names = ", ".join(name(row["table"], row["touchpoint"]) for row in rows)
            said.append(sentence(words, names=names))
    return f"## {heading}\n\n{' '.join(said)}"
