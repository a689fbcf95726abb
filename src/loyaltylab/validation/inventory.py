"""What customer data the company holds: what is in each export, and which columns nothing uses.

Exports come in as `columns`, a pandas frame. Grain: one column of one export. table, export (its
label, such as "customers.crm"), column (heading in the file), canonical (missing if dataset.yml
leaves the column out).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from loyaltylab.language import counted, phrase
from loyaltylab.numbers import sentence
from loyaltylab.validation.nature import KINDS, NATURE, ORIGINS, PERSONAL, USED, Nature

# What to do with columns that nothing uses, by table. Tables of which every
# column is used are not there.
_ADVICE: Mapping[str, str] = {
    "spend": "keep or drop it at will: data minimisation is about persons",
}


def glossary() -> pd.DataFrame:
    """The words of `holdings` and `unused`. Grain: one word. about, word, meaning."""
    words: dict[str, Mapping[Any, str]] = {"kind": KINDS, "origin": ORIGINS, "personal": PERSONAL}
    rows = [
        (phrase(about), phrase(word), phrase(meaning))
        for about, meanings in words.items()
        for word, meaning in meanings.items()
    ]
    return pd.DataFrame(rows, columns=["about", "word", "meaning"])


def holdings(columns: pd.DataFrame) -> pd.DataFrame:
    """What each export holds. Grain: one export, in the order of `columns`.

    table, export, columns (of the file), kinds and origins (words of `nature`), direct and by_record
    (how many columns are personal: by themselves, or by way of the record), free_text (headings;
    missing if there is none), left_out (headings that dataset.yml leaves out, and whose nature
    nobody has declared; missing if there is none), unused (how many columns nothing uses, those left
    out among them).
    """
    told = _told(columns)
    rows = []
    for (table, export), part in told.groupby(["table", "export"], sort=False):
        natures = [nature for nature in part["nature"] if nature]
        rows.append(
            {
                "table": table,
                "export": export,
                "columns": len(part),
                "kinds": _words(
                    phrase(kind) for kind in KINDS if kind in {n.kind for n in natures}
                ),
                "origins": _words(
                    phrase(way) for way in ORIGINS if way in {n.origin for n in natures}
                ),
                "direct": sum(n.personal == "directly" for n in natures),
                "by_record": sum(n.personal == "by its record" for n in natures),
                "free_text": _words(part.loc[part["free_text"], "column"]),
                "left_out": _words(part.loc[part["nature"].isna(), "column"]),
                "unused": int((~part["used"]).sum()),
            }
        )
    return pd.DataFrame(rows)


def care(columns: pd.DataFrame) -> pd.DataFrame:
    """Columns to take special care with: birth dates, devices, free text. Grain: one such column.

    table, export, column, canonical, why.
    """
    told = _told(columns)
    table = told.assign(why=[phrase(nature.care) if nature else "" for nature in told["nature"]])
    chosen = table.loc[table["why"] != "", ["table", "export", "column", "canonical", "why"]]
    return chosen.reset_index(drop=True)


def unused(columns: pd.DataFrame) -> pd.DataFrame:
    """Columns that nothing uses, with what to do. Grain: one column of one export.

    table, export, column, canonical (missing if dataset.yml leaves it out), personal (as in
    `nature`; "not declared" where dataset.yml leaves it out), use ("left out by dataset.yml" or "by
    no page yet"), advice.
    """
    told = _told(columns)
    table = told[~told["used"]].reset_index(drop=True)
    named = list(zip(table["table"], table["canonical"], strict=True))
    table["personal"] = [n.personal if n else "not declared" for n in table["nature"]]
    table["use"] = ["by no page yet" if c else "left out by dataset.yml" for _, c in named]
    table["advice"] = [_advice(*name) for name in named]
    return table[["table", "export", "column", "canonical", "personal", "use", "advice"]]


def by_advice(table: pd.DataFrame) -> pd.DataFrame:
    """`unused` in short. Grain: one table and advice.

    table, columns (canonical names, headings where dataset.yml leaves them out), exports, advice.
    """
    named = table.assign(name=table["canonical"].fillna(table["column"]))
    groups = named.groupby(["table", "advice"], sort=False)
    short = groups.agg(columns=("name", _words), exports=("export", _words)).reset_index()
    short["advice"] = short["advice"].map(phrase)
    return short[["table", "columns", "exports", "advice"]]


def _told(columns: pd.DataFrame) -> pd.DataFrame:
    """`columns` with nature (None if dataset.yml leaves one out), free_text, used.

    Raises KeyError on a canonical name that is none.
    """
    canonical = columns["canonical"].astype(object)
    canonical = canonical.where(canonical.notna(), None)
    names = list(zip(columns["table"], canonical, strict=True))
    natures: list[Nature | None] = [NATURE[table][c] if c else None for table, c in names]
    return columns.assign(
        canonical=canonical,
        nature=pd.Series(natures, index=columns.index, dtype=object),
        free_text=[nature is not None and nature.free_text for nature in natures],
        used=[c in USED[table] for table, c in names],
    )


def _advice(table: str, canonical: str | None) -> str:
    if canonical is None:
        return "leave it out of the export: nothing can read it"
    return _ADVICE[table]


def _words(names: Iterable[str]) -> str | None:
    """Each name once, with commas; None if there is none."""
    return ", ".join(dict.fromkeys(names)) or None


def unused_finding(columns: pd.DataFrame) -> str:
    """How much of the exports nothing uses: a heading and its sentences."""
    table = unused(columns)
    if table.empty:
        return sentence("## Every column of the exports is used\n\nThere is nothing to drop.")
    personal = table["personal"].isin(["directly", "by its record"]).sum()
    return sentence(
        "## No page uses {unused:,} of the {columns:,} columns in the exports\n\n"
        "Among them {personal} data about persons, and {left} left out by dataset.yml and of undeclared "
        "nature. What no purpose needs should not be held (data minimisation, GDPR art. 5(1)(c)).",
        unused=len(table),
        columns=len(columns),
        personal=counted(int(personal), "column holds", "columns hold"),
        left=counted(int(table["canonical"].isna().sum()), "is", "are"),
    )
