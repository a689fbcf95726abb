"""Who fits the profile: a score for each customer, channel and group. Grain in: one customer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.stats import norm

from loyaltylab import engine
from loyaltylab.anonymity import in_line
from loyaltylab.cells import blanked
from loyaltylab.consent import reachable
from loyaltylab.files import written_whole
from loyaltylab.growth.profile import Profile
from loyaltylab.growth.profile_people import UNKNOWN
from loyaltylab.growth.profile_trial import BEST
from loyaltylab.intervals import LEVEL, Z, share_with_interval
from loyaltylab.schemas import MONEY, TOTAL_MONEY, WIDE_MONEY


def scored(con: Any, people: ir.Table, profile: Profile) -> ir.Table:
    """Each customer of `profile_people.people` with score (0 to 100, one decimal) and expected (value to
    come after the first order, in the currency, a decimal). Grain: one person.

    Customers who are alike in all that the profile knows are scored once.
    """
    amount, names = people["amount"], [name for name in profile.coding.levels if name in people]
    at_least = ((amount >= ibis.literal(cut, "float64")).cast("int64") for cut in profile.cuts)
    banded = people.mutate(band=sum(at_least, ibis.literal(0, "int64")))
    alike = banded.group_by([*names, "band"]).agg(amount=banded["amount"].min())
    cells = alike.order_by([*names, "band"]).to_pandas()
    told = cells[[*names, "band"]].assign(
        score=profile.score(cells), expected=profile.expected(cells).round(2)
    )
    schema = dict.fromkeys(names, "string") | {"band": "int64"}
    schema |= {"score": "float64", "expected": "float64"}
    table = ibis.memtable(told, schema=schema)
    joined = banded.left_join(table, [*names, "band"])
    exact = {"score": joined["score"].cast(MONEY), "expected": joined["expected"].cast(TOTAL_MONEY)}
    return engine.keep(con, joined.select(*people.columns, **exact), "scored")


def by_group(scores: ir.Table, group: ir.StringColumn, *, minimum: int) -> pd.DataFrame:
    """Scores by group, the best first, and UNKNOWN last. Grain: one group.

    Returns group, customers, score (mean) with low, high, best (share who score BEST or more) with
    best_low, best_high, and expected (mean value to come, in the currency); all at LEVEL, for the
    chance in who is in a group; missing where they tell of fewer than `minimum` customers.
    """
    rows = scores.mutate(group=group.fill_null(UNKNOWN))
    score = rows["score"]
    counted = rows.group_by("group").agg(
        customers=rows.count(),
        total=score.sum().cast("float64"),
        squares=(score * score.cast(WIDE_MONEY)).sum().cast("float64"),
        best=(score >= BEST).sum(),
        expected=rows["expected"].sum().cast("float64"),
    )
    table = counted.order_by("group").to_pandas()
    n, mean = table["customers"], table["total"] / table["customers"]
    spread = (table["squares"] - n * mean**2).clip(lower=0) / (n - 1).where(n > 1)
    half = Z * np.sqrt(spread / n)
    table = table.assign(score=mean, low=mean - half, high=mean + half)
    shares = share_with_interval(table["best"], n)
    table["best"], table["best_low"], table["best_high"] = shares
    table["expected"] = table["expected"] / n
    shown = ["score", "low", "high", "best", "best_low", "best_high", "expected"]
    table = table[["group", "customers", *shown]]
    table = blanked(table, "customers", shown, minimum=minimum, whole=True)
    order = table.assign(last=table["group"] == UNKNOWN)
    order = order.sort_values(["last", "score"], ascending=[True, False], kind="stable")
    return table.loc[order.index].reset_index(drop=True)


def widest(groups: pd.DataFrame) -> tuple[float, float, float] | None:
    """Mean score of the best group less that of the worst, with its interval, those unknown aside, from
    `by_group`; None where fewer than two are shown.

    The interval is that of all pairs of groups at once (Bonferroni), as these two are the ones that lie
    farthest apart.
    """
    known = groups[groups["group"] != UNKNOWN].dropna(subset=["score", "low"])
    if len(known) < 2:
        return None
    best, worst = known.iloc[0], known.iloc[-1]
    pairs = len(known) * (len(known) - 1) / 2
    gap = best["score"] - worst["score"]
    error = np.hypot(best["high"] - best["score"], worst["high"] - worst["score"]) / Z
    half = float(norm.isf((1 - LEVEL) / 2 / pairs) * error)
    return float(gap), float(gap - half), float(gap + half)


def write_scores(
    con: Any, scores: ir.Table, persons: ir.Table, path: Path, *, minimum: int
) -> dict[str, int]:
    """Write score and expected value by person_id as CSV, the best first, of those who consent to
    marketing: who is scored so that they are written to. Who refused is left out, and who never said.
    What is told of each is what `minimum` of them or more have in common, see `anonymity.in_line`.

    Returns customers, listed, refused, never_said.
    """
    asked = persons.select("person_id", "consent_marketing")
    rows = scores.left_join(asked, "person_id").drop("person_id_right")
    listed = rows.filter(rows["consent_marketing"]).select(
        "person_id",
        score=rows["score"].cast("float64"),
        expected=rows["expected"].cast("float64"),
    )
    listed = in_line(listed, ["score", "expected"], "person_id", k=minimum)
    with written_whole(path) as part:
        con.to_csv(listed.order_by(ibis.desc("score"), "person_id"), part)
    return reachable(rows)
