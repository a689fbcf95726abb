"""What customers allowed: what their consent covers, and what is held of those to be forgotten.

Rows come in as `tables`: name → accepted rows of a canonical table, as `Lab.table` gives them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab import schemas
from loyaltylab.language import counted
from loyaltylab.numbers import sentence

# What consent is asked for → the column of customers that has it.
PURPOSES = {"analytics": "consent_analytics", "marketing": "consent_marketing"}
_RECORD = ["source", "record_id"]


def about_records(tables: Mapping[str, ir.Table]) -> list[str]:
    """Which of the tables hold data about records, by source and record_id.

    Requests to be forgotten do not count: they are kept to prove what was done, and not analysed.
    """
    known = [name for name in schemas.TABLES if name in tables and name != "erasures"]
    return [name for name in known if set(_RECORD) <= set(schemas.column_types(name))]


def consent(tables: Mapping[str, ir.Table]) -> pd.DataFrame:
    """What consent covers. Grain: one table about records (`about_records`) and source.

    table, source, rows, and for each purpose the share of rows whose own customer record (same
    source and record_id) says so: analytics_granted, analytics_declined, analytics_unknown (no such
    record, or it does not say); marketing_… alike. Each three add up to 1. Consent given in another
    system is not looked for: that takes linkage. Where several records have one number, a single
    refusal stands for all, and no row counts twice.
    """
    said = _consents(tables["customers"]) if "customers" in tables else None
    parts = []
    for name in about_records(tables):
        rows = tables[name].select(_RECORD)
        none = {purpose: ibis.null("boolean") for purpose in PURPOSES}
        rows = rows.mutate(**none) if said is None else rows.left_join(said, _RECORD)
        counts = {}
        for purpose in PURPOSES:
            counts[f"{purpose}_granted"] = rows[purpose].fill_null(False).sum()
            counts[f"{purpose}_declined"] = (~rows[purpose]).fill_null(False).sum()
            counts[f"{purpose}_unknown"] = rows[purpose].isnull().sum()
        found = rows.group_by("source").agg(rows=rows.count(), **counts).order_by("source")
        parts.append(found.to_pandas().assign(table=name))
    answers = [f"{p}_{answer}" for p in PURPOSES for answer in ("granted", "declined", "unknown")]
    table = _joined(parts, ["table", "source", "rows", *answers])
    table[answers] = table[answers].astype(float).div(table["rows"], axis=0)
    return table


def _consents(customers: ir.Table) -> ir.Table:
    """Grain: one record. source, record_id, and whether it consents to each of PURPOSES."""
    given = {
        purpose: customers[column].all() if column in customers.columns else ibis.null("boolean")
        for purpose, column in PURPOSES.items()
    }
    return customers.group_by(_RECORD).agg(**given)


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """`consent` with headings as a reader sees them."""
    return table.rename(columns=_HEADINGS)


_HEADINGS = {
    "analytics_granted": "analytics granted",
    "analytics_declined": "analytics declined",
    "analytics_unknown": "analytics unknown",
    "marketing_granted": "marketing granted",
    "marketing_declined": "marketing declined",
    "marketing_unknown": "marketing unknown",
}


def erasures(tables: Mapping[str, ir.Table]) -> pd.DataFrame:
    """What is still held of those who asked to be forgotten. Grain as in `consent`.

    table, source, rows, held (rows of records that a request names by the same source and record_id;
    missing if the dataset has no table of requests). Rows of the same person's other records, and
    lines of their orders, are not among them. A law may ask for some to be kept, such as orders for
    the tax office (GDPR art. 17(3)): those may stay, though not be analysed.
    """
    asked = None
    if "erasures" in tables:
        asked = tables["erasures"].select(_RECORD).distinct()
    parts = []
    for name in about_records(tables):
        rows = tables[name].select(_RECORD)
        count = rows.group_by("source").agg(rows=rows.count()).order_by("source")
        found = count.to_pandas().assign(table=name, held=pd.NA)
        if asked is not None:
            named = rows.semi_join(asked, _RECORD)
            held = named.group_by("source").agg(held=named.count()).to_pandas()
            found["held"] = found["source"].map(held.set_index("source")["held"]).fillna(0)
        parts.append(found)
    return _joined(parts, ["table", "source", "rows", "held"]).astype({"held": "Int64"})


def _joined(parts: Sequence[pd.DataFrame], names: Sequence[str]) -> pd.DataFrame:
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(names))
    return table[list(names)]


def consent_finding(table: pd.DataFrame) -> str:
    """What consent covers of the orders, from `consent`: a heading and its sentences."""
    orders = table[table["table"] == "orders"]
    rows = int(orders["rows"].sum())
    share = {
        answer: (orders[f"analytics_{answer}"] * orders["rows"]).sum() / rows
        for answer in ("granted", "declined", "unknown")
    }
    if share["unknown"] == 1:
        return sentence(
            "## Nothing says whether customers consent to analytics\n\n"
            "The customer records behind {orders} do not tell, or are not there. Without consent, "
            "analysis needs another legal basis (GDPR art. 6).",
            orders=counted(rows, "order"),
        )
    return sentence(
        "## {granted:.0%} of orders come from records that consent to analytics\n\n"
        "Of {orders}, {declined:.0%} come from records that say no, and should be in no analysis of "
        "persons. For {unknown:.0%} no record tells: to analyse these needs another legal basis "
        "(GDPR art. 6).",
        orders=counted(rows, "order"),
        **share,
    )


def erasure_finding(table: pd.DataFrame) -> str:
    """What is still held of those who asked to be forgotten, from `erasures`: heading, sentence."""
    if table["held"].isna().all():
        return sentence(
            "## Nothing says who asked to be forgotten\n\n"
            "This dataset has no requests; whether all were met cannot be checked here."
        )
    held = table[table["held"] > 0]
    if held.empty:
        return sentence(
            "## Nothing is held of records whose owner asked to be forgotten\n\n"
            "No row of any table carries the number of such a record."
        )
    return sentence(
        "## {rows} still held of records whose owner asked to be forgotten\n\n"
        "They are in {tables}. They should be gone, unless a law asks to keep them (GDPR art. 17).",
        rows=counted(int(held["held"].sum()), "row is", "rows are"),
        tables=", ".join(held["table"].unique()),
    )
