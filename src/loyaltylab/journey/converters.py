"""Who is likely to buy soon, of those who visited and did not. Grain in: one visit of `visits.owned`.

A visitor is open on a day who visited within OPEN days up to it and bought nothing in them. The model
learns from visitors as they were on earlier days, whose following days are over, and is judged on the
latest such day; it sees how many were alike, never single visitors.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab.anonymity import grouped
from loyaltylab.files import write_text
from loyaltylab.intervals import LEVEL, share_with_interval
from loyaltylab.journey.visits import BOUGHT, STAGES
from loyaltylab.language import phrase

OPEN = 30  # days in which who visited last is open
LEAST = 30  # visitors who bought, and as many who did not, that a model is learned from
DRAWS = 500
FEATURES = ["visits", "reached", "silence", "bought", "known", "channel"]
FACTS = ("visits", "reached", "last_visit")  # by which somebody on the list could be told
_MOST_VISITS = 4
_SILENCES = (2, 5, 10)  # days: classes of how long ago the last visit was
_DAY, _STEP = 86_400, 64


def open_visitors(rows: ir.Table, *, at: dt.date, ahead: int = 0) -> ir.Table:
    """Who is open at the end of a day, and what was known of them then. Grain: one visitor.

    Whose a device is counts as known once somebody has signed in on it: later sign-ins, of which many
    come with an order, tell nothing yet.

    who (a number), person_id (missing: not known), last (moment), and FEATURES: visits (within OPEN
    days, at most 4), reached (the furthest stage of these), silence (class of days since the last),
    bought (whether ever before), known, channel (number; of the last visit), all whole numbers; and
    converted (whether a purchase came within `ahead` days after).
    """
    end = _end_of(at)
    by_then = rows.filter(rows["signed"], rows["moment"] < end)
    by_then = by_then.select(_machine="machine").distinct()
    # Of who is open, earlier visits tell no more than whether they were purchases.
    lately = rows["moment"] >= end - OPEN * _DAY
    seen = rows.filter(rows["moment"] < end + ahead * _DAY, lately | (rows["stage"] == BOUGHT))
    seen = seen.left_join(by_then, seen["machine"] == by_then["_machine"])
    then, known = seen["moment"] < end, seen["_machine"].notnull()
    recent = then & (seen["moment"] >= end - OPEN * _DAY)
    bought = seen["stage"] == BOUGHT
    people = seen.group_by(who=known.ifelse(seen["visitor"], seen["machine"])).agg(
        person_id=seen["person_id"].max(where=known),
        visits=recent.sum(),
        reached=seen["stage"].max(where=recent),
        last=seen["moment"].max(where=then),
        bought=(then & (bought | (known & (seen["ordered"] < end)).fill_null(False))).any(),
        code=(seen["moment"] * _STEP + seen["channel"].cast("int64")).max(where=then),
        converted=(~then & bought).any(),
    )
    there = people.filter(people["visits"] > 0, people["reached"] < BOUGHT)
    days = (end - 1 - there["last"]) // _DAY
    silence = sum(((days >= cut).cast("int64") for cut in _SILENCES[1:]),
                  start=(days >= _SILENCES[0]).cast("int64"))  # fmt: skip
    return there.select(
        "who", "person_id", "last", "converted",
        visits=ibis.least(there["visits"], _MOST_VISITS).cast("int64"),
        reached=there["reached"].cast("int64"),
        silence=silence,
        bought=there["bought"].cast("int64"),
        known=there["person_id"].notnull().cast("int64"),
        channel=(there["code"] - there["code"] // _STEP * _STEP).cast("int64"),
    )  # fmt: skip


def _end_of(day: dt.date) -> int:
    midnight = dt.datetime.combine(day + dt.timedelta(days=1), dt.time())
    return int((midnight - dt.datetime(1970, 1, 1)).total_seconds())


def alike(rows: ir.Table, *, at: dt.date, ahead: int) -> pd.DataFrame:
    """`open_visitors`, counted. Grain: one combination of FEATURES; visitors, converted (of them)."""
    people = open_visitors(rows, at=at, ahead=ahead)
    found = people.group_by(FEATURES).agg(
        visitors=people.count(), converted=people["converted"].sum()
    )
    return found.order_by(FEATURES).to_pandas()


@dataclass(frozen=True)
class Score:
    """A model of who converts, with an intercept and a slope on its log-odds. base : the share that did
    when it was calibrated."""

    model: Any
    intercept: float
    slope: float
    base: float

    def of(self, groups: pd.DataFrame) -> np.ndarray:
        """The chance that a visitor of each group buys within the days ahead."""
        odds = self.model.decision_function(_inputs(groups))
        return np.asarray(1 / (1 + np.exp(-(self.intercept + self.slope * odds))))


def learn(earlier: pd.DataFrame, later: pd.DataFrame) -> Score:
    """A logistic regression on the one day's visitors, calibrated on those of a later day.

    earlier, later : of `alike`. Calibrated by Platt, J. (1999), Advances in Large Margin Classifiers,
    61–74: a slope and an intercept on the score, so that what has changed since is corrected.
    """
    from sklearn.linear_model import LogisticRegression  # slow to import
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression(max_iter=1000))
    inputs, converted, weight = _rows(earlier)
    model.fit(inputs, converted, logisticregression__sample_weight=weight)
    yes = later["converted"].to_numpy(float)
    whole = later["visitors"].to_numpy(float)
    odds = model.decision_function(_inputs(later))
    intercept, slope = _line(odds, yes, whole - yes)
    return Score(model, intercept, slope, float(yes.sum() / whole.sum()))


def _inputs(groups: pd.DataFrame) -> np.ndarray:
    return groups[FEATURES].to_numpy(int)


def _rows(groups: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each group once for those who converted and once for the others, with their numbers as weights."""
    yes = groups["converted"].to_numpy(float)
    weight = np.concatenate([yes, groups["visitors"].to_numpy(float) - yes])
    outcome = np.repeat([1, 0], len(groups))
    there = weight > 0
    return np.concatenate([_inputs(groups)] * 2)[there], outcome[there], weight[there]


def lacking(*days: pd.DataFrame) -> str:
    """Why no score can be learned and judged, as a sentence; empty if it can."""
    for groups in days:
        yes = int(groups["converted"].sum())
        if min(yes, int(groups["visitors"].sum()) - yes) < LEAST:
            return phrase(
                "On the earlier days that a score would be learned from and judged on, fewer than "
                "{least} open visitors bought afterwards, or fewer than {least} did not: nothing can be "
                "said about who will.",
                least=LEAST,
            )
    return ""


def judge(score: Score, groups: pd.DataFrame, *, seed: int) -> dict[str, float]:
    """How good the score is on visitors it has not seen, of `alike`.

    visitors, converted; brier and base_brier (of the share `score.base` for everybody; Brier, G. W.
    (1950), Monthly Weather Review 78, 1–3), better (1 − brier / base_brier), auc, expected (mean of the
    chances), share (that converted), slope (of a logistic regression of the outcome on the chance's
    log-odds; 1: neither too bold nor too shy); each but the first two with _low and _high from samples
    of visitors with replacement.
    """
    chance = score.of(groups)
    yes = groups["converted"].to_numpy(float)
    no = groups["visitors"].to_numpy(float) - yes
    found = _measures(chance, score.base, yes, no)
    random = np.random.default_rng(seed)
    drawn = pd.DataFrame(
        _measures(chance, score.base, random.poisson(yes), random.poisson(no)) for _ in range(DRAWS)
    )
    tail = (1 - LEVEL) / 2
    told = {"visitors": yes.sum() + no.sum(), "converted": yes.sum()}
    for name, value in found.items():
        low, high = drawn[name].quantile([tail, 1 - tail])
        told |= {name: value, f"{name}_low": min(low, value), f"{name}_high": max(high, value)}
    return told


def _measures(chance: np.ndarray, base: float, yes: np.ndarray, no: np.ndarray) -> dict[str, float]:
    whole = yes.sum() + no.sum()
    brier = (yes * (1 - chance) ** 2 + no * chance**2).sum() / whole
    plain = (yes.sum() * (1 - base) ** 2 + no.sum() * base**2) / whole
    order = np.argsort(chance, kind="stable")
    levels, place = np.unique(chance[order].round(12), return_inverse=True)
    of_no, of_yes = (np.bincount(place, x[order], len(levels)) for x in (no, yes))
    below = np.cumsum(of_no) - of_no
    auc = (of_yes * (below + of_no / 2)).sum() / (yes.sum() * no.sum())
    return {
        "brier": brier,
        "base_brier": plain,
        "better": 1 - brier / plain,
        "auc": auc,
        "expected": (chance * (yes + no)).sum() / whole,
        "share": yes.sum() / whole,
        "slope": _line(np.log(chance / (1 - chance)), yes, no)[1],
    }


def _line(odds: np.ndarray, yes: np.ndarray, no: np.ndarray) -> tuple[float, float]:
    """Intercept and slope of a logistic regression of the outcome on log-odds (Cox, D. R. (1958),
    Biometrika 45, 562–565), by Newton's method."""
    inputs = np.column_stack([np.ones(len(odds)), odds])
    at = np.array([0.0, 1.0])
    for _ in range(25):
        p = 1 / (1 + np.exp(-inputs @ at))
        weight = (yes + no) * p * (1 - p)
        step = np.linalg.solve(
            inputs.T @ (weight[:, None] * inputs), inputs.T @ (yes - (yes + no) * p)
        )
        at = at + step
        if np.abs(step).max() < 1e-10:
            break
    return float(at[0]), float(at[1])


def calibration(score: Score, groups: pd.DataFrame, *, classes: int = 10) -> pd.DataFrame:
    """Chances against what came. Grain: a class of about as many visitors, from the least likely on;
    visitors, expected (mean chance), share (that converted), low, high (Wilson)."""
    told = groups.assign(chance=score.of(groups)).sort_values("chance", kind="stable")
    upto = told["visitors"].cumsum() - told["visitors"] / 2
    number = np.minimum((classes * upto / told["visitors"].sum()).astype(int), classes - 1)
    told = told.assign(number=number, hoped=told["chance"] * told["visitors"])
    sums = told.groupby("number")[["visitors", "hoped", "converted"]].sum().reset_index(drop=True)
    share, low, high = share_with_interval(sums["converted"], sums["visitors"])
    return pd.DataFrame(
        {"visitors": sums["visitors"], "expected": sums["hoped"] / sums["visitors"]}
    ).assign(share=share, low=low, high=high)


def write_list(
    score: Score,
    rows: ir.Table,
    persons: ir.Table,
    path: Path,
    *,
    at: dt.date,
    top: int,
    minimum: int = 1,
) -> dict[str, int]:
    """Write the `top` open visitors most likely to buy as CSV, by person_id; of equally likely ones the
    first by it. On the list is only who may be analysed and consents to marketing.

    persons : person_id and consent_marketing. Columns person_id, probability, visits, reached,
    last_visit; what is told of each is what `minimum` of them or more have in common, see
    `anonymity.grouped`. Returns open (visitors), known (of them, persons), listed.
    """
    people = open_visitors(rows, at=at)
    cells = people.select(FEATURES).distinct().order_by(FEATURES).to_pandas()
    chances = ibis.memtable(
        cells.assign(probability=score.of(cells)) if len(cells) else cells.assign(probability=0.0),
        schema=ibis.schema(dict.fromkeys(FEATURES, "int64") | {"probability": "float64"}),
    )
    agree = persons.filter(persons["consent_marketing"]).select("person_id")
    listed = people.join(agree, "person_id").join(chances, FEATURES)
    counted = people.agg(open=people.count(), known=people["known"].sum().fill_null(0))
    found = {str(k): int(v) for k, v in counted.to_pandas().iloc[0].items()}
    chosen = listed.order_by(ibis.desc("probability"), "person_id").limit(top)
    chosen = chosen.select("person_id", "probability", "visits", "reached", "last").to_pandas()
    chosen["last_visit"] = pd.to_datetime(chosen.pop("last"), unit="s").dt.normalize()
    chosen = grouped(chosen, FACTS, k=minimum, of_these=["probability"])
    chosen["reached"] = chosen["reached"].map(dict(enumerate(STAGES)))
    chosen["last_visit"] = pd.to_datetime(chosen["last_visit"]).dt.strftime("%Y-%m-%d")
    chosen = chosen.astype({"probability": "float64"}).round({"probability": 4})
    chosen = chosen.sort_values(["probability", "person_id"], ascending=[False, True])
    write_text(path, chosen.to_csv(index=False, lineterminator="\n"))
    return found | {"listed": len(chosen)}
