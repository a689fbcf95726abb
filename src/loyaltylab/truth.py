"""What only a simulation knows. Sections "Against the truth" read it; no finding may.

truth/ is beside raw/ in the folder of a dataset that was simulated, and nowhere else.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab.dataset import Lab, record_key
from loyaltylab.errors import LabError
from loyaltylab.validation import cleaning, rules


def table(lab: Lab, name: str) -> ir.Table:
    """A table of truth/, as data/README.md describes it."""
    path = lab.folder / "truth" / f"{name}.parquet"
    if not path.exists():
        raise LabError(f"{lab.name}: expected truth/{name}.parquet, found none. Simulate it first.")
    return lab.engine.read_parquet(str(path))


def persons(lab: Lab, rows: ir.Table) -> ir.Table:
    """rows with source and record_id, and whose record each is, as person_id."""
    known = table(lab, "records").select("source", "record_id", really="person")
    found = rows.left_join(known, ["source", "record_id"])
    return found.mutate(person_id=found["really"]).drop("really", "source_right", "record_id_right")


# A kind of defect → how the reason or the cleaning begins or ends that is right for it.
_RIGHT = {
    "repeated_row": f"^{rules.REPEATS}$",
    "foreign_currency": "^currency is not ",
    "impossible_date": "^(ordered_at|birth_date) is (not a date|before |after )",
    "negative_amount": "^amount is below 0$",
    "broken_bytes": "^family_name holds bytes that are not ",
    "markup": "^given_name holds HTML$",
    "formula": "^given_name is a spreadsheet's formula$",
    "misread_letters": f"^{cleaning.MISREAD}$",
    "control_character": f"^{cleaning.CONTROLS}$",
}
# Cleaning that mends a defect; the other kinds bring what is right into one form.
_MENDED = [cleaning.MISREAD, cleaning.CONTROLS]


def defects_found(lab: Lab) -> pd.DataFrame:
    """Which of the defects put into the raw files were found. Grain: one kind of defect.

    kind, defects, put_aside (their row was), mended (their value was, to what it had been), right
    (either of the two, and for the reason that is right); the most frequent first. A last row of
    kind None counts rows put aside and values mended that have no defect (put_aside and mended alone).
    """
    defects, said = table(lab, "defects"), _said(lab)
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
    table_ = pd.concat([found, clean.fillna(0)], ignore_index=True)
    return table_.astype(dict.fromkeys(["defects", "put_aside", "mended", "right"], "Int64"))


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


def pairs(lab: Lab, rows: ir.Table, *, same: ir.Column) -> dict[str, int]:
    """Pairs of records that are one person, and pairs that agree in `same` (missing agrees with none).

    rows : source and record_id, one row a record. Returns true (pairs of one person), found (pairs
    that agree) and right (pairs that are both).
    """
    known = persons(lab, rows.mutate(same=same))
    agreeing = known.filter(known["same"].notnull())
    return {
        "true": _pairs(known, "person_id"),
        "found": _pairs(agreeing, "same"),
        "right": _pairs(agreeing, "same", "person_id"),
    }


def _pairs(rows: ir.Table, *keys: str) -> int:
    size = rows.group_by(*keys).agg(size=rows.count())["size"]
    return int((size * (size - 1) / 2).sum().to_pyarrow().as_py() or 0)


def still_customers(lab: Lab, people: ir.Table) -> ir.Table:
    """people (person_id as Lab.orders gives it) with still: whether who it is has not left for good."""
    records = table(lab, "records")
    left = table(lab, "people").select("person", "left_at")
    known = records.mutate(person_id=record_key(records)).join(left, "person")
    known = known.select("person_id", still=known["left_at"].isnull())
    return people.join(known, "person_id")
