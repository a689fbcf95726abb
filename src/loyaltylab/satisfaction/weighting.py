"""What the score would be had everybody answered who was asked. Grain in: `response.Response`.

Each answer stands for itself and for those like it who did not answer, as the odds against an answer
say. What nobody knows is whether they are alike: `gamma` says by how much they are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from loyaltylab.intervals import Z, clustered_error
from loyaltylab.satisfaction.breakdown import NPS_SCALE, Floats, points
from loyaltylab.satisfaction.invitations import NOMINAL, NUMERIC
from loyaltylab.satisfaction.response import LARGEST, SINGULAR, Response

GAMMAS = (-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0)
_FARTHEST = 4.0  # gamma: odds fifty times as high for a standard deviation are no explanation
_STEPS = 50  # of Newton's method; a handful are enough
_SMALL = 1e-9  # a step that moves no odds by more than this share of them is the last


def _odds(model: Response) -> tuple[Floats, Any]:
    """Odds against an answer of each kind of invitation, and whether they were left as they are.

    1 / chance is cut at LARGEST times its mean over the answers, since few answers with large weights
    make an estimate erratic (Potter 1990, Proceedings of the ASA's section on survey research, 225–230).
    """
    chance, answered = (model.kinds[name].to_numpy(float) for name in ("chance", "answered"))
    weight = np.divide(1, chance, out=np.ones_like(chance), where=chance > 0)
    largest = LARGEST * (answered @ weight) / max(answered.sum(), 1)
    return np.minimum(weight, largest) - 1, weight <= largest


def weights(model: Response) -> Floats:
    """What an answer to each kind of invitation stands for: 1 or more, all together those asked."""
    odds, _ = _odds(model)
    answered = model.kinds["answered"].to_numpy(float)
    silent, stand_for = len(model.score) - answered.sum(), answered @ odds
    return 1 + (silent / stand_for if stand_for else 0.0) * odds


def effective(model: Response) -> float:
    """Answers that, all weighing the same, would tell as much (Kish 1965); missing without answers."""
    weight, answered = weights(model), model.kinds["answered"].to_numpy(float)
    squares = answered @ weight**2
    return float((answered @ weight) ** 2 / squares) if squares else float("nan")


def balance(model: Response) -> pd.DataFrame:
    """Those who answered beside those who were asked. Grain: a number, or a level of a feature.

    term, asked, answered, weighted (means; shares for levels), before and after (of weighting: the mean
    of those who answered less that of those asked, in standard deviations of those asked). Numbers are
    of invitations after a first order: years since, doublings of orders and of weeks since the last.
    """
    kinds, weight = model.kinds, weights(model)
    asked, answered = kinds["invited"].to_numpy(float), kinds["answered"].to_numpy(float)
    columns = {name: kinds[name].to_numpy(float) for name in NUMERIC}
    for name in NOMINAL:
        for level in sorted(kinds[name].dropna().unique()):
            columns[f"{name}: {level}"] = kinds[name].eq(level).to_numpy(float)
    told = []
    for term, value in columns.items():
        there = ~np.isnan(value)
        if not (asked * there).sum() or not (answered * there).sum():
            continue
        a, b, c = (
            float(np.average(value[there], weights=by[there]))
            for by in (asked, answered, answered * weight)
        )
        spread = np.sqrt(np.average((value[there] - a) ** 2, weights=asked[there]))
        if spread > 0:
            told.append((term, a, b, c, (b - a) / spread, (c - a) / spread))
    names = ["term", "asked", "answered", "weighted", "before", "after"]
    return pd.DataFrame(told, columns=names)


def _scale(instrument: str) -> tuple[float, float]:
    return NPS_SCALE if instrument == "nps" else (0.0, 1.0)


def weighted_score(model: Response, *, gamma: float = 0.0) -> dict[str, float]:
    """The score of all who were asked, answers standing for those silent. score, low, high.

    gamma : by how much the logarithm of the odds of an answer rises with a standard deviation of the
    score itself, at equal features: the scores of those silent are those of the answers that stand for
    them, tilted by exp(−gamma · standardised score) (Robins, Rotnitzky & Scharfstein 2000, in
    Statistical Models in Epidemiology, IMA 116, 1–94). At 0 silence says nothing beyond the features.
    The interval, normal at LEVEL, is of customers like those asked, is clustered by person, and allows
    for the estimated chances: by the influence function with that of the logistic model in it
    (Lunceford & Davidian 2004, Statistics in Medicine 23, 2937–2960; Kim & Kim 2007, Canadian Journal of
    Statistics 35, 501–514). Missing without answers.
    """
    there, n = model.answered, len(model.score)
    if not there.any():
        return dict.fromkeys(("score", "low", "high"), np.nan)
    told = _tilted(model, gamma)
    silent, total = n - there.sum(), told.odds.sum()
    among_silent, score = told.scores(n)
    errors = np.full(n, (among_silent - score) / n)
    errors[there] = (told.value - score) / n
    if total:
        off, before = told.odds * (told.value - among_silent), told.before
        x, changed = told.design, told.odds - before
        # The tilt's own parameters hang on those of the model: the chain rule, as for any estimate.
        slope = np.linalg.pinv((x * told.odds[:, None]).T @ x, rcond=SINGULAR, hermitian=True)
        slope = slope @ (off @ x)
        errors[there] += silent / n / total * (off - changed * (x @ slope))
        gradient = (changed * told.free * (x @ slope) - off * told.free) @ x / total
        errors += model.influence(silent / n * gradient)
    half = Z * clustered_error(errors, model.person)
    low, high = _scale(model.instrument)
    return {"score": score, "low": max(score - half, low), "high": min(score + half, high)}


@dataclass(frozen=True)
class _Tilted:
    """Of each answer: what it is worth, its row of the design, the odds against it before and after
    tilting, and whether the former follow the model (were not cut)."""

    value: Floats
    design: Floats
    before: Floats
    odds: Floats
    free: Any

    def scores(self, n: int) -> tuple[float, float]:
        """The score among those silent, 0 if their odds are, and among all n who were asked."""
        total = self.odds.sum()
        among_silent = float(self.odds @ self.value / total) if total else 0.0
        silent = n - len(self.value)
        return among_silent, float((self.value.sum() + silent * among_silent) / n)


def _tilted(model: Response, gamma: float) -> _Tilted:
    """The answers of `model`, their odds tilted by exp(−gamma · standardised score − x'd).

    d keeps what is known of those silent as it was (x: the columns of the design): the score alone is
    tilted, at equal features. It is where a convex function is least, found by Newton's method.
    """
    there = model.answered
    kind = model.kind[there]
    before, free = (values[kind] for values in _odds(model))
    given = model.score[there]
    spread = given.std()
    standardised = (given - given.mean()) / spread if spread else np.zeros(len(given))
    x = model.terms.design(model.kinds)[kind]
    goal = before @ x
    tilted = before * np.exp(-gamma * standardised)
    d = np.zeros(x.shape[1])
    if gamma and before.any():
        d[0] = np.log(
            tilted.sum() / before.sum()
        )  # the constant's: a start from which it is not far
        for _ in range(_STEPS):
            odds = tilted * np.exp(-(x @ d))
            step = np.linalg.pinv((x * odds[:, None]).T @ x, rcond=SINGULAR, hermitian=True)
            step = step @ (odds @ x - goal)
            d += step * min(1.0, 2 / max(np.abs(x @ step).max(), _SMALL))
            if np.abs(x @ step).max() < _SMALL:
                break
    return _Tilted(points(model.instrument, given), x, before, tilted * np.exp(-(x @ d)), free)


def weighted(models: Sequence[Response]) -> pd.DataFrame:
    """Grain: one instrument. instrument, answers, effective, score, low, high, and worst and best: the
    score if all those silent had given the lowest or the highest one (Manski 1990, American Economic
    Review 80, 319–323), which no assumption can leave."""
    told = []
    for model in models:
        given = int(model.answered.sum())
        low, high = worst_case(model)
        told.append(
            {"instrument": model.instrument, "answers": given, "effective": effective(model)}
            | weighted_score(model)
            | {"worst": low, "best": high}
        )
    return pd.DataFrame(told)


def worst_case(model: Response) -> tuple[float, float]:
    """The score of all who were asked, had those silent all given the lowest or the highest score."""
    said = points(model.instrument, model.score[model.answered]).sum()
    n, silent = len(model.score), int((~model.answered).sum())
    low, high = ((said + silent * end) / n for end in _scale(model.instrument))
    return float(low), float(high)


def sensitivity(model: Response, gammas: Sequence[float] = GAMMAS) -> pd.DataFrame:
    """The score if silence depends on the score itself. Grain: one gamma.

    instrument, gamma, odds (ratio of the odds of an answer for a standard deviation of the score),
    score, low, high; see `weighted_score`.
    """
    told = [
        {"instrument": model.instrument, "gamma": g, "odds": np.exp(g)}
        | weighted_score(model, gamma=g)
        for g in gammas
    ]
    return pd.DataFrame(told)


def tipping_points(model: Response) -> tuple[float, float]:
    """The gammas at which the score leaves the interval that it has if silence says nothing: that, above
    0, at which it falls below, and that, below 0, at which it rises above. Missing: none does."""
    plain = weighted_score(model)
    below, above = (gamma_at(model, plain[end]) for end in ("low", "high"))
    return below, above


def gamma_at(model: Response, score: float) -> float:
    """The gamma at which the score of all who were asked is `score`; missing if none brings it there.

    The score falls as gamma rises, so there is one at most.
    """

    def above(gamma: float) -> float:
        return _tilted(model, gamma).scores(len(model.score))[1] - score

    if not model.answered.any() or model.answered.all() or np.isnan(score):
        return float("nan")
    side = np.sign(above(0.0))
    for reach in (0.5, 1.0, 2.0, _FARTHEST):
        if side * above(side * reach) < 0:
            return float(brentq(above, *sorted((0.0, side * reach)), xtol=1e-6))
    return float("nan")
