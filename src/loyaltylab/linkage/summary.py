"""What linkage found, as small tables and sentences for the page. Grain in: a `Resolution`."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.intervals import LEVEL
from loyaltylab.language import counted, phrase, shown
from loyaltylab.linkage import blocking, devices
from loyaltylab.linkage.links import Links, found_by
from loyaltylab.linkage.resolution import Resolution
from loyaltylab.numbers import Number, Numbers, sentence

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
    ax.bar_label(bars, [shown(n, ",") for n in table["persons"]], padding=2)
    ax.grid(visible=False, axis="x")
    ax.yaxis.set_major_formatter(plots.thousands)
    ax.set(xlabel=phrase("records of one person"), ylabel=phrase("persons"))
    return ax


def describe_sizes(table: pd.DataFrame) -> str:
    """What plot_sizes shows, in words."""
    sizes = ", ".join(
        f"{_label(n)}: {shown(p, ',')}"
        for n, p in zip(table["records"], table["persons"], strict=True)
    )
    return phrase("Bars of how many persons have how many records. {sizes}.", sizes=sizes)


def _label(records: int) -> str:
    if records == MOST:
        return phrase("{records} or more", records=records)
    return counted(records, "record")


def record_missed(numbers: Numbers, con: Any, links: Links) -> Number:
    """Record linkage.missed_pairs, see `blocking.missed`."""
    counts = found_by(con, links)
    sure = (counts["contact"] + counts["other"] - counts["both"]).sum()
    value, low, high = (n / (n + sure) if n + sure > 0 else None for n in blocking.missed(counts))
    return numbers.record(
        "linkage.missed_pairs",
        value,
        low=low,
        high=high,
        level=LEVEL,
        unit="share",
        n=sure,
        definition=phrase(
            "pairs of one person that no rule of blocking finds (Chapman's estimate)"
        ),
    )


def missed_finding(links: Links, missed: Number) -> str:
    """How much was compared, and what that misses: a heading and a sentence."""
    told = (
        "## Comparing {compared:,} of {every:,.0f} pairs misses an estimated {missed:.1%}\n\n"
        "Only pairs that agree in a key are compared: the rules with the fewest pairs, {used} of "
        "{rules} here, as long as there are at most {budget} pairs a record. How many true pairs none "
        "of them finds is estimated from how many both kinds of them find, those that look at e-mail "
        "addresses and phone numbers and those that look at names, dates and addresses: {low:.1%} to "
        "{high:.1%}, if a pair that one kind misses is not missed by the other the more for it, and "
        "more otherwise."
    )
    if missed.value is None:
        told = (
            "## Comparing {compared:,} of {every:,.0f} pairs misses an unknown share\n\n"
            "Only pairs that agree in a key are compared: the rules with the fewest pairs, {used} of "
            "{rules} here, as long as there are at most {budget} pairs a record. How many true pairs "
            "none of them finds cannot be estimated: it takes rules of two kinds."
        )
    return sentence(
        told,
        compared=int(links.patterns["pairs"].sum()),
        every=links.records * (links.records - 1) / 2,
        missed=missed,
        low=missed.low,
        high=missed.high,
        used=len(links.scorer.used),
        rules=len(links.scorer.rules),
        budget=links.scorer.budget,
    )


def blocking_rules(links: Links) -> pd.DataFrame:
    """The rules of blocking as a reader sees them. Grain: one rule; rule, pairs, left out, used."""
    rules = links.scorer.rules
    words = {True: phrase("yes"), False: phrase("no")}
    told = rules.assign(rule=rules["rule"].map(phrase), used=rules["used"].map(words))
    return told.rename(columns={"left_out": "left out"})


def update_finding(found: Resolution) -> str:
    """What was compared with the model of an earlier run; empty if it was fitted in this one."""
    if found.update is None or found.links is None:
        return ""
    return sentence(
        "The model is that of an earlier run, fitted to {fitted:,} records. {came} or changed since and "
        "{gone}; only these were compared.",
        fitted=found.links.scorer.records,
        came=counted(found.update.came, "record came", "records came"),
        gone=counted(found.update.gone, "went or changed", "went or changed"),
    )


def history_finding(history: pd.DataFrame | None) -> str:
    """What became of persons since the last run: a heading and a sentence."""
    if history is None:
        return sentence(
            "## No earlier run on other data to compare with\n\n"
            "The next run on other data tells here which persons merged or split since, and why."
        )
    merged, split = (int((history["what"] == what).sum()) for what in ("merged", "split"))
    if not merged + split:
        return sentence(
            "## Nobody merged or split since the last run\n\nPersons have the records they had."
        )
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
