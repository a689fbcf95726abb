"""Labels: pairs that a person decided, and those that it would teach the most to decide.

Grain: one pair of records. Both are CSV files below the dataset's folder, since they hold personal
data: source_l, record_id_l, source_r, record_id_r and same (yes or no; others are left out). No text in
them is a formula of a spreadsheet's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd

from loyaltylab import engine, spreadsheets
from loyaltylab.errors import LabError
from loyaltylab.files import write_text
from loyaltylab.intervals import Z
from loyaltylab.linkage.calibration import STRATA, Floats, strata, weights
from loyaltylab.linkage.links import Links

_PAIR = ["source_l", "record_id_l", "source_r", "record_id_r"]
_SHOWN = ["given", "family", "email", "phone", "birth", "street", "postcode", "city"]
_YES, _NO = {"yes", "y", "true", "1", "ja", "j"}, {"no", "n", "false", "0", "nei", "nein"}


def per_stratum(links: Links) -> Floats:
    """The number of pairs compared in each of STRATA."""
    stratum = strata(links.patterns["probability"])
    return np.bincount(stratum, links.patterns["pairs"], len(STRATA) - 1).astype(float)


def to_decide(con: Any, links: Links, path: Path, *, pairs: int) -> int:
    """Write pairs for a person to decide, with what both records say; returns how many.

    As many of each stratum of probability, so that doubtful pairs, of which there are few, are many
    among them; within a stratum drawn by a hash, the same in every run.
    """
    each = -(-pairs // (len(STRATA) - 1))
    stratum = ibis.cases(
        *((links.pairs["probability"] < end, n) for n, end in enumerate(STRATA[1:-1])),
        else_=len(STRATA) - 2,
    )
    scattered = (
        links.pairs["record_l"] * 2_654_435_761 + links.pairs["record_r"] * 40_503
    ) % 1_000_003
    ranked = links.pairs.mutate(_stratum=stratum, _at=scattered)
    place = ibis.row_number().over(group_by="_stratum", order_by=["_at", "record_l", "record_r"])
    chosen = ranked.mutate(_place=place).filter(lambda t: t["_place"] < each)
    sides = [
        links.fields.select(
            **{f"{name}_{side}": name for name in ("record", "source", "record_id", *_SHOWN)}
        )
        for side in "lr"
    ]
    both = chosen.join(sides[0], "record_l").join(sides[1], "record_r")
    shown = [f"{name}_{side}" for name in _SHOWN for side in "lr"]
    table = con.execute(both.select(*_PAIR, *shown).order_by(_PAIR))
    table.insert(4, "same", "")
    write_text(path, table.map(spreadsheets.cell).to_csv(index=False, lineterminator="\n"))
    return len(table)


def decided(con: Any, links: Links, path: Path) -> pd.DataFrame:
    """The pairs that a person decided, of those that were compared: probability (as the model states
    it), same.

    Raises LabError if the file is not there, lacks a column, or says something but yes and no.
    """
    if not path.is_file():
        raise LabError(f"{path.name}: expected a CSV of decided pairs, found none. Correct labels.")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = [name for name in [*_PAIR, "same"] if name not in table.columns]
    if missing:
        raise LabError(
            f"{path.name}: expected the columns {', '.join([*_PAIR, 'same'])}, found no "
            f"{', '.join(missing)}. Fill in the file that linkage wrote, linked/to_decide.csv."
        )
    said = table["same"].str.strip().str.lower()
    wrong = ~said.isin(_YES | _NO | {""})
    if wrong.any():
        raise LabError(
            f"{path.name}: same is neither yes, no nor empty in {wrong.sum()} rows, the first of them "
            f"row {int(np.flatnonzero(wrong)[0]) + 1}. Correct them."
        )
    told = table.loc[said != "", _PAIR].map(spreadsheets.read)
    told = told.assign(same=said[said != ""].isin(_YES))
    named = ibis.memtable(told.drop_duplicates(_PAIR))
    numbers = links.fields.select("record", "source", "record_id")
    for side in "lr":
        named = named.join(
            numbers.select(**{f"{n}_{side}": n for n in ("record", "source", "record_id")}),
            [f"source_{side}", f"record_id_{side}"],
        )
    low = ibis.least(named["record_l"], named["record_r"])
    high = ibis.greatest(named["record_l"], named["record_r"])
    given = engine.keep(con, named.select(record_l=low, record_r=high, same="same"), "decided")
    pairs = links.pairs.select("record_l", "record_r", "probability")
    known = given.join(pairs, ["record_l", "record_r"]).order_by("record_l", "record_r")
    return con.execute(known.select("probability", "same"))


def rates(
    labels: pd.DataFrame, pairs_of_stratum: Floats, *, threshold: float = 0.5
) -> pd.DataFrame:
    """Precision and recall of the pairs above a threshold, from decided pairs. Grain: one of the two.

    name, value, low, high (by the delta method, strata independent; recall among the pairs that were
    compared). Missing where no decided pair tells.
    """
    joined = (labels["probability"] >= threshold).to_numpy()
    same = labels["same"].to_numpy(bool)
    weight = weights(labels, pairs_of_stratum)
    return pd.DataFrame(
        [
            _ratio("precision", same & joined, joined, weight, labels),
            _ratio("recall", same & joined, same, weight, labels),
        ]
    )


def _ratio(
    name: str, part: Any, whole: Any, weight: Floats, labels: pd.DataFrame
) -> dict[str, Any]:
    total = float((weight * whole).sum())
    if total == 0:
        return {"name": name, "value": None, "low": None, "high": None}
    value = float((weight * part).sum()) / total
    # Variance of a ratio of weighted sums, by its linearisation within strata (Cochran 1977, 6.11).
    moved = (part - value * whole) * weight / total
    variance = 0.0
    for _, these in pd.Series(moved).groupby(strata(labels["probability"])):
        if len(these) > 1:
            variance += float(these.var(ddof=1)) * len(these)
    reach = Z * variance**0.5
    return {
        "name": name,
        "value": value,
        "low": max(value - reach, 0),
        "high": min(value + reach, 1),
    }
