"""Quality: how far each export can be trusted, what to mend first, and whether to go on.

Grain in: `Findings`. Grain out: one export, or one reason of one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from loyaltylab import plots, reasons
from loyaltylab.contract import Thresholds
from loyaltylab.dataset import GATE
from loyaltylab.figure_data import tabulate
from loyaltylab.files import write_json
from loyaltylab.language import counted, phrase, shown
from loyaltylab.numbers import Numbers, sentence
from loyaltylab.validation.findings import Findings
from loyaltylab.validation.rules import Dimension

DIMENSIONS = (*get_args(Dimension), "timeliness")

# From good, nearly white, to bad.
_LACK = LinearSegmentedColormap.from_list("lack", ["#F3F8FC", "#F0A46B"])
_STILL = pd.Timedelta(days=30)


def score_card(findings: Findings) -> pd.DataFrame:
    """Grain: one export. Each dimension in [0, 1], and missing where an export has no such thing.

    completeness (of the cells that should hold a value, those that do), validity, uniqueness and
    consistency (rows that break no rule of the kind: of a value by itself; that a key or a whole row
    comes once; between columns or tables), timeliness (days from its first to the last day observed
    that lie in no gap), score (their mean), and table, export, read. Rows that break a rule and are
    accepted with a note count as well.
    """
    card = findings.exports.set_index("export")
    cells = findings.columns[findings.columns["expected"]].groupby("export")["present"]
    looked_at = card["read"] - card["expired"]
    read = looked_at.where(looked_at > 0)
    broken = findings.broken.pivot_table(
        index="export", columns="dimension", values="rows", aggfunc="sum"
    )
    shares = pd.DataFrame({"completeness": cells.sum() / (cells.size() * read)}, index=card.index)
    for dimension in ("validity", "uniqueness", "consistency"):
        rows = broken.get(dimension, pd.Series(dtype=float)).reindex(card.index).fillna(0)
        shares[dimension] = 1 - rows / read
    shares["timeliness"] = 1 - card["silent_days"] / card["days"]
    shares = shares.astype(float)
    shares["score"] = shares.mean(axis=1)
    return card[["table", "read"]].join(shares).reset_index()


def plot_score_card(card: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Heat map of exports and dimensions; the darker, the more is wrong."""
    shares = card.set_index("export")[[*DIMENSIONS, "score"]].rename(columns=phrase)
    ax = plots.new_axes(ax, width=6.8, height=1.1 + 0.3 * len(shares))
    sns.heatmap(
        1 - shares,
        ax=ax,
        cmap=_LACK,
        vmin=0,
        vmax=0.1,
        annot=shares.map(lambda share: "–" if pd.isna(share) else _percent(share)),
        fmt="",
        annot_kws={"size": 9, "color": plots.INK},
        linewidths=1,
        cbar=False,
    )
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.tick_params(axis="y", rotation=0)
    ax.tick_params(axis="x", labelsize=9)
    ax.xaxis.tick_top()
    ax.set(xlabel="", ylabel="")
    cells = shares.map(_percent, na_action="ignore").reset_index()
    return tabulate(ax, cells, "share of rows without a fault, by export and dimension")


def _percent(share: float) -> str:
    """In percent, and 100 only where nothing is lacking."""
    return shown(1, ".0%") if share == 1 else shown(min(share, 0.999), ".1%")


def describe_score_card(card: pd.DataFrame) -> str:
    """What plot_score_card shows, in words."""
    rows = card.sort_values(["score", "export"])
    told = [
        f"{export} {_percent(score)}"
        for export, score in zip(rows["export"], rows["score"], strict=True)
    ]
    return phrase(
        "Heat map of {exports} by five dimensions; scores from the lowest: {scores}.",
        exports=counted(len(card), "export"),
        scores=", ".join(told),
    )


def weakest(card: pd.DataFrame) -> tuple[str, float, str]:
    """The export with the lowest score, that score, and the dimension that it is lowest in."""
    row = card.sort_values(["score", "export"]).iloc[0]
    return row["export"], row["score"], str(row[list(DIMENSIONS)].astype(float).idxmin())


def fix_first(findings: Findings) -> pd.DataFrame:
    """Grain: one reason of an export, first what affects the most revenue, then the most rows.

    export, owner, reason, treatment, rows, share (of the export's rows), since (the first day of such
    a row), still (whether one is within 30 days of the export's last; missing if no day is known),
    example, revenue.
    """
    about = findings.exports[["export", "owner", "read", "expired", "last_day"]]
    table = findings.reasons.merge(about, "left", "export", suffixes=("", "_of_export"))
    table["share"] = table["rows"] / (table["read"] - table["expired"])
    still = table["last_day"] >= table["last_day_of_export"] - _STILL
    table["still"] = still.where(table["last_day"].notna()).astype("boolean")
    table = table.rename(columns={"first_day": "since"})
    names = ["export", "owner", "reason", "treatment", "rows", "share", "since", "still", "example"]
    ranked = table.sort_values(
        ["revenue", "rows", "export", "reason"], ascending=[False, False, True, True]
    )
    return ranked[[*names, "revenue"]].reset_index(drop=True)


def readable(table: pd.DataFrame, *, minimum: int = 1) -> pd.DataFrame:
    """`fix_first` as a reader sees it, without columns of which nothing is known, and without the
    revenue of fewer than `minimum` rows: these may be so few customers'."""
    table = table.assign(revenue=table["revenue"].where(table["rows"] >= minimum))
    words = {True: phrase("yes"), False: phrase("no")}
    return table.dropna(axis=1, how="all").assign(
        reason=table["reason"].map(reasons.in_words),
        treatment=table["treatment"].map(phrase),
        still=table["still"].map(words),
    )


def rows_of_exports(findings: Findings) -> pd.DataFrame:
    """The rows of each export as a reader sees them, without columns of which nothing is known; too old
    where any row was."""
    table = findings.exports.rename(columns={"quarantined": "put aside", "expired": "too old"})
    names = ["export", "owner", "files", "read", "accepted", "put aside"]
    names += ["too old"] if table["too old"].any() else []
    return table[names].dropna(axis=1, how="all")


def accepted_finding(findings: Findings, beyond: list[str]) -> str:
    """How many rows were accepted, and whether that is enough; beyond : `failures`, for the page."""
    rows = findings.exports[["read", "accepted", "quarantined", "expired"]].sum()
    told = (
        "**{accepted:,} of {read:,} rows in {tables} were accepted.** {aside} put aside, with the "
        "reasons, and {expired} left out as older than dataset.yml keeps them. In every "
        "table, these and the rows accepted add up to the rows read."
        if rows["expired"]
        else "**{accepted:,} of {read:,} rows in {tables} were accepted.** {aside} put aside, with the "
        "reasons. In every table, the rows accepted and the rows put aside add up to the rows read."
        if rows["quarantined"]
        else "**All {read:,} rows in {tables} were accepted.** {aside} put aside, with the reasons. In "
        "every table, the rows accepted and the rows put aside add up to the rows read."
    )
    told = sentence(
        told,
        accepted=rows["accepted"],
        read=rows["read"],
        tables=counted(findings.exports["table"].nunique(), "table"),
        aside=counted(rows["quarantined"], "row was", "rows were"),
        expired=counted(rows["expired"], "row was", "rows were"),
    )
    if findings.began_before:
        told += "\n\n" + sentence(
            "Customers who ordered both before and since the first day of which orders are kept: "
            "{customers:,}. Later pages take them for new customers of the day of their first order "
            "since.",
            customers=findings.began_before,
        )
    gate = (
        "Beyond the thresholds of dataset.yml: {beyond}"
        if beyond
        else "The data are good enough to go on: nothing is beyond the thresholds of dataset.yml."
    )
    return f"{told}\n\n{sentence(gate, beyond=' '.join(beyond))}"


def failures(
    findings: Findings,
    card: pd.DataFrame,
    thresholds: Thresholds,
    *,
    write: Callable[..., str] = str.format,
) -> list[str]:
    """What is beyond the thresholds, a sentence each; empty if the report may go on.

    write : makes a sentence of a template and its values; `phrase` for a page, and otherwise English.
    """
    found = []
    tables = findings.exports.groupby("table", sort=False)[["read", "quarantined", "expired"]].sum()
    tables["read"] -= tables.pop("expired")  # those that rules were asked of
    limit = thresholds.put_aside
    for table, row in tables.iterrows():
        if limit is not None and row["quarantined"] > limit * row["read"]:
            found.append(
                write(
                    "{table}: {share:.1%} of {read:,} rows were put aside; at most {limit:.1%} may be "
                    "(thresholds.put_aside).",
                    table=table,
                    share=row["quarantined"] / row["read"],
                    read=row["read"],
                    limit=limit,
                )
            )
    lowest = thresholds.score
    for score in card.to_dict("records"):
        if lowest is not None and score["score"] < lowest:
            found.append(
                write(
                    "{export}: the data-quality score is {score:.1%}; at least {lowest:.1%} is asked "
                    "for (thresholds.score).",
                    export=score["export"],
                    score=min(score["score"], 0.999),
                    lowest=lowest,
                )
            )
    return found


def save_gate(results: Path, found: list[str]) -> None:
    """Write what `make report` stops for, whole or not at all."""
    write_json(results / GATE, found)


def gate(results: Path) -> list[str]:
    """What `save_gate` wrote."""
    return list(json.loads((results / GATE).read_text("utf-8")))


def record(numbers: Numbers, findings: Findings, card: pd.DataFrame) -> None:
    """Record validation.rows_read|rows_accepted|rows_quarantined of each table, and rows_expired if any
    are; and validation.score of each export."""
    meanings = {
        "read": "rows in the raw files, those that could not be read included",
        "accepted": "rows that keep every rule of their table",
        "quarantined": "rows put aside with their reasons",
    }
    if findings.exports["expired"].any():
        meanings["expired"] = "rows older than dataset.yml keeps them, of which nothing is kept"
    tables = findings.exports.groupby("table", sort=False)[list(meanings)].sum()
    for table, row in tables.iterrows():
        for part, meaning in meanings.items():
            name = f"validation.rows_{part}.{table}"
            numbers.record(name, row[part], unit="rows", n=row["read"], definition=phrase(meaning))
    for score in card.to_dict("records"):
        numbers.record(
            f"validation.score.{score['export']}",
            score["score"],
            unit="share",
            n=score["read"],
            definition=phrase(
                "mean of completeness, validity, uniqueness, consistency and timeliness"
            ),
        )
