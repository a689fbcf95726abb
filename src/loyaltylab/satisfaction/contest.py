"""Which score tells who orders again: each beside behaviour alone, out of sample. Grain in: an answer.

At the same moments, of the same customers: what each model may use is what was known by then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import logit
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from statsmodels.discrete.discrete_model import Logit

from loyaltylab.errors import UnanswerableError
from loyaltylab.intervals import LEVEL, Z, clustered_error
from loyaltylab.language import phrase
from loyaltylab.numbers import Numbers, spanned
from loyaltylab.satisfaction.effect import LEAST, adjustment
from loyaltylab.satisfaction.scores import NAMES

BASE, ALL = "behaviour alone", "all scores"
_PARTS = 5  # of all customers: each is foretold by a model that has seen the others alone


@dataclass(frozen=True)
class Foretold:
    """Of each answer whose window is over: ordered, person, and chances by name of the model."""

    ordered: np.ndarray
    person: np.ndarray
    chances: dict[str, np.ndarray]


def foretell(frame: pd.DataFrame) -> Foretold:
    """Chances of ordering again, by what each model may know. frame : `landmarks`, and left.

    behaviour alone : what the effect is adjusted for, and the chance of having left; and beside it the
    latest NPS, CSAT or CES that the customer had given by then, or all of them. Logistic regression with
    a ridge of one squared standard deviation, cross-validated in five parts by the day of the first
    order, so that a customer is in one part and no part depends on how customers are numbered.
    Raises UnanswerableError if there are too few answers of either kind.
    """
    scores = {name: _latest(frame, name) for name in NAMES}
    over = frame["ordered"].notna().to_numpy()
    rows, ordered = frame[over], frame["ordered"].to_numpy(float)[over]
    there = [name for name in NAMES if np.unique(scores[name][over][:, 0]).size > 1]
    behaviour = np.column_stack([adjustment(rows)[:, 1:], rows["left"]]) if len(rows) else rows
    many = int(min(ordered.sum(), (1 - ordered).sum()))
    need = _PARTS * LEAST * (behaviour.shape[1] + 2 * len(there))
    if many < need:
        raise UnanswerableError(
            phrase(
                "surveys: expected at least {need:,} answers that were followed by an order and as many "
                "that were not, found {ordered:,} and {others:,}. Collect more answers to compare "
                "scores.",
                need=need,
                ordered=int(ordered.sum()),
                others=int((1 - ordered).sum()),
            )
        )
    if not there:
        raise UnanswerableError(
            phrase("surveys: expected answers that differ, found one score alone.")
        )
    known = {BASE: [behaviour]} | {NAMES[n]: [behaviour, scores[n][over]] for n in there}
    if len(there) > 1:
        known[ALL] = [behaviour, *(scores[name][over] for name in there)]
    first = rows["day"] - pd.to_timedelta(rows["age"], unit="D")
    part = (first - pd.Timestamp("1970-01-01")).dt.days.to_numpy() % _PARTS
    chances = {}
    for name, columns in known.items():
        x, chance = np.column_stack(columns), np.empty(len(rows))
        for one in range(_PARTS):
            out = part == one
            if out.any():
                model = make_pipeline(
                    StandardScaler(), LogisticRegression(C=1.0, solver="newton-cholesky")
                )
                chance[out] = model.fit(x[~out], ordered[~out]).predict_proba(x[out])[:, 1]
        chances[name] = chance
    return Foretold(ordered, rows["person"].to_numpy(), chances)


def contest_of(frame: pd.DataFrame) -> tuple[Foretold | None, pd.DataFrame | None]:
    """`foretell` and `compared`, or neither where answers do not suffice."""
    try:
        told = foretell(frame)
    except UnanswerableError:
        return None, None
    return told, compared(told)


def _latest(frame: pd.DataFrame, instrument: str) -> np.ndarray:
    """The score last given by each landmark, the middle of all where there is none, and whether there
    is one. frame : sorted by day."""
    own = frame["score"].where(frame["instrument"] == instrument)
    known = own.groupby(frame["person"]).ffill()
    return np.column_stack([known.fillna(own.mean()).fillna(0), known.notna()])


def compared(told: Foretold) -> pd.DataFrame:
    """How well each model tells who orders again. Grain: one model, behaviour alone first.

    model; auc; more_auc over behaviour alone, with low and high; brier; less_brier than behaviour alone,
    with brier_low and brier_high; slope (of the log-odds: 1 if chances are as sure as they should be).
    Errors are clustered by person: of the area under the curve by its placements, as Obuchowski (1997),
    Biometrics 53, 567–578, clusters those of DeLong, DeLong & Clarke-Pearson (1988).
    """
    y, base = told.ordered, told.chances[BASE]
    area, placed = _placements(y, base)
    rows = []
    for name, chance in told.chances.items():
        own, own_placed = _placements(y, chance)
        half = Z * clustered_error(own_placed - placed, told.person)
        gains = (y - base) ** 2 - (y - chance) ** 2
        brier_half = Z * clustered_error((gains - gains.mean()) / len(y), told.person)
        slope = _slope(y, chance)
        more, less = own - area, gains.mean()
        rows.append([name, own, more, more - half, more + half, np.mean((y - chance) ** 2),
                     less, less - brier_half, less + brier_half, slope])  # fmt: skip
    columns = ["model", "auc", "more_auc", "low", "high", "brier", "less_brier", "brier_low",
               "brier_high", "slope"]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    table.loc[table["model"] == BASE, ["more_auc", "low", "high", *columns[6:9]]] = np.nan
    return table


def _slope(y: np.ndarray, chance: np.ndarray) -> float:
    """Cox (1958): of a logistic regression on the log-odds; missing where all chances are the same."""
    odds = logit(np.clip(chance, 1e-9, 1 - 1e-9))
    if np.ptp(odds) == 0:
        return np.nan
    return float(Logit(y, np.column_stack([odds, np.ones(len(y))])).fit(disp=False).params[0])


def _placements(y: np.ndarray, chance: np.ndarray) -> tuple[float, np.ndarray]:
    """The area under the curve, and what each answer adds to its error."""
    came, stayed = chance[y == 1], chance[y == 0]
    both = rankdata(np.concatenate([came, stayed]))
    above = (both[: len(came)] - rankdata(came)) / len(stayed)
    below = 1 - (both[len(came) :] - rankdata(stayed)) / len(came)
    area, adds = above.mean(), np.empty(len(y))
    adds[y == 1] = (above - area) / len(came)
    adds[y == 0] = (below - area) / len(stayed)
    return float(area), adds


def contest_finding(table: pd.DataFrame | None) -> str:
    """Which score tells most, from `compared` if there is one: a heading and its sentences."""
    if table is None:
        return phrase(
            "## Which score tells most cannot be told\n\n"
            "Too few answers lie far enough back to try models on customers whom they have not seen."
        )
    base, others = table.iloc[0], table.iloc[1:]
    better = others[others["low"] > 0].sort_values("more_auc", ascending=False)
    heading = (
        phrase("Earlier orders tell who orders again; no score adds to that")
        if better.empty
        else phrase(
            "Of the scores, all scores adds most to what earlier orders tell"
            if better.iloc[0]["model"] == ALL
            else "Of the scores, {model} adds most to what earlier orders tell",
            model=better.iloc[0]["model"],
        )
    )
    changes = 100 * others[["more_auc", "low", "high"]]
    said = "; ".join(
        f"{phrase(model)} {spanned(*change)}"
        for model, change in zip(others["model"], changes.to_numpy(), strict=True)
    )
    text = phrase(
        "Of two customers, one who orders again and one who does not, behaviour alone tells which is "
        "which in {auc:.1%} of cases. With a score beside it that changes by, in points: {said}. Each "
        "is tried on customers whom its model has not seen, and may use what they had answered by then.",
        auc=base["auc"],
        said=said,
    )
    return f"## {heading}\n\n{text}"


def record_contest(numbers: Numbers, table: pd.DataFrame, told: Foretold) -> None:
    """Record satisfaction.delta_auc: what all scores together add to behaviour alone."""
    last = table.iloc[-1]
    numbers.record(
        "satisfaction.delta_auc",
        last["more_auc"],
        unit="share",
        n=len(told.ordered),
        low=last["low"],
        high=last["high"],
        level=LEVEL,
        definition=phrase(
            "area under the curve of ordering again by {model} and behaviour, less that by behaviour "
            "alone, on customers not seen",
            model=phrase(last["model"]),
        ),
    )


def contest_table(table: pd.DataFrame) -> pd.DataFrame:
    """`compared` for readers. Grain: one model."""
    return pd.DataFrame(
        {
            "known": table["model"].map(phrase),
            "area under the curve": table["auc"],
            "more": _ends(table, "more_auc", "low", "high"),
            "mean squared error": table["brier"],
            "less": _ends(table, "less_brier", "brier_low", "brier_high"),
            "calibration slope": table["slope"],
        }
    )


def _ends(table: pd.DataFrame, *names: str) -> list[str | None]:
    return [
        None if np.isnan(value) else spanned(value, low, high, "+.4f")
        for value, low, high in table[list(names)].itertuples(index=False)
    ]
