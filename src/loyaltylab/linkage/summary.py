"""What linkage found, as small tables and sentences for the page. Grain in: a `Resolution`."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.linkage import devices
from loyaltylab.linkage.resolution import Resolution
from loyaltylab.numbers import counted, sentence

MOST = 5  # records of one person; those with more are shown together


def facts(found: Resolution) -> dict[str, Any]:
    """records, persons, links (pairs of records taken as one person), mean_confidence (mean
    probability of these pairs; missing if there are none), joined (share of records that share their
    person with another), refused (persons who do not consent to be analysed)."""
    records = found.records
    size = records.group_by("person_id").agg(n=records.count(), analysed=records["analysed"].all())
    told = found.con.execute(
        size.agg(
            records=size["n"].sum(),
            persons=size.count(),
            joined=size["n"].sum(where=size["n"] > 1),
            refused=(~size["analysed"]).sum(),
        )
    ).iloc[0]
    pairs = found.pairs.filter(found.pairs["joined"])
    said = found.con.execute(
        pairs.agg(links=pairs.count(), mean_confidence=pairs["probability"].mean())
    ).iloc[0]
    counts = {name: int(told[name]) for name in ("records", "persons", "refused")}
    return counts | {
        "joined": float(told["joined"] or 0) / max(counts["records"], 1),
        "links": int(said["links"]),
        "mean_confidence": said["mean_confidence"],
    }


def sizes(found: Resolution) -> pd.DataFrame:
    """How many records persons have. Grain: one number of records; records (MOST or more together),
    persons."""
    records = found.records.group_by("person_id").agg(records=lambda t: t.count())
    table = found.con.execute(records.group_by("records").agg(persons=records.count()))
    table["records"] = table["records"].clip(upper=MOST)
    return table.groupby("records", as_index=False)["persons"].sum()


def plot_sizes(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """How many persons have one record, two, …"""
    ax = plots.new_axes(ax, height=2.4)
    bars = ax.bar([_label(n) for n in table["records"]], table["persons"], width=0.7,
                  color=plots.OBSERVED)  # fmt: skip
    ax.bar_label(bars, fmt="{:,.0f}", padding=2)
    ax.grid(visible=False, axis="x")
    ax.yaxis.set_major_formatter(plots.thousands)
    ax.set(xlabel="records of one person", ylabel="persons")
    return ax


def describe_sizes(table: pd.DataFrame) -> str:
    """What plot_sizes shows, in words."""
    parts = ", ".join(
        f"{_label(n)}: {p:,}" for n, p in zip(table["records"], table["persons"], strict=True)
    )
    return f"Bars of how many persons have how many records. {parts}."


def _label(records: int) -> str:
    return f"{records} or more" if records == MOST else counted(records, "record")


def history_finding(history: pd.DataFrame | None) -> str:
    """What became of persons since the last run: a heading and a sentence."""
    if history is None:
        return (
            "## No earlier run on other data to compare with\n\n"
            "The next run on other data tells here which persons merged or split since, and why."
        )
    merged, split = (int((history["what"] == what).sum()) for what in ("merged", "split"))
    if not merged + split:
        return "## Nobody merged or split since the last run\n\nPersons have the records they had."
    return sentence(
        "## {merged} merged and {split} split since the last run\n\n"
        "Of those that merged, {new:,} did so as new records came; the others as records are likelier "
        "to be of one person than they were.",
        merged=counted(merged, "person"),
        split=counted(split, "person"),
        new=int((history["new_records"] & (history["what"] == "merged")).sum()),
    )


def visits(found: Resolution, rows: Any) -> dict[str, Any]:
    """rows : accepted visits. visits, signed_in, attributed (visits without a sign-in on a device that
    somebody signed in to), confidence (mean, of those attributed)."""
    told = devices.attribute(rows, found.records, found.devices)
    signed, known = told["record_id"].notnull(), told["person_id"].notnull()
    counts = found.con.execute(
        told.agg(
            visits=told.count(),
            signed_in=signed.sum(),
            attributed=(known & ~signed).sum(),
            confidence=told["confidence"].mean(where=known & ~signed),
        )
    ).iloc[0]
    return dict(counts)
