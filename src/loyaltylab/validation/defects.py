"""Defects that a simulation put into the raw files, and what validation made of them.

For the section "Against the truth" alone. Grain in: one defect, and one reason of a row.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab import reasons, truth
from loyaltylab.dataset import Lab
from loyaltylab.language import phrase
from loyaltylab.validation import cleaning

# A kind of defect → how the reason or the cleaning begins or ends that is right for it.
_RIGHT = {
    "repeated_row": f"^{reasons.REPEATS}$",
    "foreign_currency": "^currency is not ",
    "impossible_date": "^(ordered_at|birth_date) is (not a date|before |after )",
    "negative_amount": "^amount is below 0$",
    "broken_bytes": "^family_name holds bytes that are not ",
    "markup": "^given_name holds HTML$",
    "formula": "^given_name is a spreadsheet's formula$",
    "misread_letters": f"^{cleaning.MISREAD}$",
    "control_character": f"^{cleaning.CONTROLS}$",
}
_KINDS = {
    "repeated_row": "repeated row",
    "foreign_currency": "foreign currency",
    "impossible_date": "impossible date",
    "negative_amount": "negative amount",
    "broken_bytes": "broken bytes",
    "markup": "markup",
    "formula": "formula",
    "misread_letters": "misread letters",
    "control_character": "control character",
}
# Cleaning that mends a defect; the other kinds bring what is right into one form.
_MENDED = [cleaning.MISREAD, cleaning.CONTROLS]


def defects_found(lab: Lab) -> pd.DataFrame:
    """Which of the defects put into the raw files were found. Grain: one kind of defect.

    kind, defects, put_aside (their row was), mended (their value was, to what it had been), right
    (either of the two, and for the reason that is right); the most frequent first. A last row of
    kind None counts rows put aside and values mended that have no defect (put_aside and mended alone).
    """
    defects, said = truth.table(lab, "defects"), _said(lab)
    both = defects.left_join(said, ["file", "row"])
    is_right = ibis.or_(
        *((both["kind"] == kind) & both["reason"].re_search(of) for kind, of in _RIGHT.items())
    )
    mended = (both["cleaned"] == both["was"]).fill_null(False)
    one = both.mutate(
        put_aside=both["put_aside"].fill_null(False),
        mended=mended,
        right=(is_right & (both["put_aside"] | mended)).fill_null(False),
    )
    one = one.group_by("file", "row", "column", "kind").agg(
        {name: one[name].any() for name in ("put_aside", "mended", "right")}
    )
    counted = one.group_by("kind").agg(
        defects=one.count(), **{n: one[n].sum() for n in ("put_aside", "mended", "right")}
    )
    found = counted.order_by(ibis.desc("defects"), "kind").to_pandas()
    wrong = said.anti_join(defects, ["file", "row"]).select("file", "row", "put_aside").distinct()
    clean = wrong.aggregate(
        put_aside=wrong["put_aside"].sum(), mended=(~wrong["put_aside"]).sum()
    ).to_pandas()
    table = pd.concat([found, clean.fillna(0)], ignore_index=True)
    return table.astype(dict.fromkeys(["defects", "put_aside", "mended", "right"], "Int64"))


def readable(found: pd.DataFrame) -> pd.DataFrame:
    """`defects_found` as a reader sees it, without the last row."""
    known = found.dropna(subset="kind")
    kinds = [phrase(_KINDS[kind]) for kind in known["kind"]]
    return known.assign(kind=kinds).rename(columns={"put_aside": "put aside", "right": "rightly"})


def recall_precision(found: pd.DataFrame) -> tuple[float, float]:
    """From `defects_found`: the share of defects found for the right reason, and of all that was put
    aside or mended the share that had a defect."""
    known = found.dropna(subset="kind")
    acted = found[["put_aside", "mended"]].sum().sum()
    right = known[["put_aside", "mended"]].sum().sum()
    return float(known["right"].sum() / known["defects"].sum()), float(right / acted)


def _said(lab: Lab) -> ir.Table:
    """Grain: one reason of a row that was put aside, or one kind of mending of a value.

    file, row, put_aside (false if it was mended), reason, cleaned (the value after mending).
    """
    parts = []
    for folder, listed in ((lab.quarantine, "reasons"), (lab.audit, "kinds")):
        for path in sorted(folder.glob("*.parquet")):
            rows = lab.engine.read_parquet(str(path))
            aside = ibis.literal(folder == lab.quarantine)
            cleaned = ibis.null("string") if folder == lab.quarantine else rows["cleaned"]
            reason = rows[listed].unnest()
            parts.append(
                rows.select("file", "row", put_aside=aside, reason=reason, cleaned=cleaned)
            )
    said = ibis.union(*parts)
    return said.filter(said["put_aside"] | said["reason"].isin(_MENDED))
