"""What would show that the effect of a score is not what it seems. Grain in: one answer."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import pointbiserialr, spearmanr
from statsmodels.discrete.conditional_models import ConditionalLogit
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.tools.sm_exceptions import ConvergenceWarning

from loyaltylab.errors import UnanswerableError
from loyaltylab.intervals import Z
from loyaltylab.language import phrase
from loyaltylab.satisfaction.effect import (
    LASTING,
    LEAST,
    OWN_STEP,
    Effect,
    adjustment,
    effect,
    fit,
    linear,
)
from loyaltylab.satisfaction.scores import DETRACTORS, SCALES
from loyaltylab.satisfaction.still_there import StateShift

# From which score on an answer is good, and up to which one it is bad; between them, neither.
BAD = {"nps": DETRACTORS, "csat": 2, "ces": 3}


def of_groups(frame: pd.DataFrame, instrument: str, shift: StateShift) -> Effect:
    """From a bad answer to a good one (of NPS: from detractor to promoter), whatever lies between."""
    low, high, good = SCALES[instrument]

    def groups(scores: np.ndarray) -> np.ndarray:
        return np.column_stack([scores >= good, (scores > BAD[instrument]) & (scores < good)]) * 1.0

    return effect(frame, groups, (low, high), shift=shift, lasting=LASTING)


@dataclass(frozen=True)
class Shape:
    """below, above : log-odds of ordering again a step, below and above the middle of the scale; p_equal
    : of both being the same; p_line : of every step being worth the same."""

    below: float
    above: float
    p_equal: float
    p_line: float


def shape(frame: pd.DataFrame, instrument: str, shift: StateShift) -> Shape:
    """Whether bad answers cost more than good ones bring (Mittal, Ross & Baldasare 1998, Journal of
    Marketing 62, 33–47), and whether some step is a threshold (Mittal & Kamakura 2001). Raises as
    `effect.fit`."""
    scores, ordered = frame["score"].to_numpy(float), frame["ordered"].to_numpy(float)
    low, high, good = SCALES[instrument]
    middle = (BAD[instrument] + good) / 2
    known: dict[str, Any] = {"persons": frame["person"].to_numpy(), "there": 1 - shift.left(frame)}
    x = adjustment(frame)
    bent = np.column_stack([np.minimum(scores - middle, 0), np.maximum(scores - middle, 0)])
    halves = fit(bent, x, ordered, **known)
    values, counts = np.unique(scores, return_counts=True)
    own = [v for v, n in zip(values, counts, strict=True) if low < v < high and n >= 2 * LEAST]
    steps = np.column_stack([scores, *(scores == v for v in own)]) * 1.0
    p_line = np.nan
    if own:
        with contextlib.suppress(UnanswerableError):
            p_line = fit(steps, x, ordered, **known).wald(np.eye(len(own) + 1)[1:])
    below, above = halves.parameters[:2]
    return Shape(float(below), float(above), halves.wald(np.array([[1.0, -1.0]])), p_line)


def before(frame: pd.DataFrame) -> Effect:
    """The negative control (Lipsitch, Tchetgen Tchetgen & Cohen 2010, Epidemiology 21, 383–388): the
    same difference in orders of a window that was over when the answer came: it caused none of them.

    frame : `landmarks` of one instrument. Compared are customers who were alike when that window began.
    """
    rows = frame[frame["before"].notna()]
    names = ("frequency", "age", "silence")
    then = rows.assign(**{n: rows[f"{n}_then"] for n in names}, ordered=rows["before"])
    return effect(then, linear, OWN_STEP)


def e_value(found: Effect) -> tuple[float, float]:
    """How strongly something unknown would have to go with both, the score and ordering again, each as a
    ratio of risks, to make all of the effect, and to move its interval to 0 (1: it is there already).

    VanderWeele & Ding (2017), Annals of Internal Medicine 167, 268–274.
    """

    def of(change: float) -> float:
        ratio = max((found.base + change) / found.base, 1e-9)
        ratio = max(ratio, 1 / ratio)
        return float(ratio + np.sqrt(ratio * (ratio - 1)))

    nearest = found.low if found.value > 0 else found.high
    return of(found.value), of(nearest) if nearest * found.value > 0 else 1.0


def hazard(frame: pd.DataFrame) -> tuple[float, float, float]:
    """Ratio of the rate of ordering for one step more, with its interval: Cox regression from each
    answer to the next order, the next answer, or the last day observed, so that windows that are not
    over count, too, and a score holds until the next one. Errors clustered by person.

    frame : `landmarks` of one instrument, whatever its window.
    Raises UnanswerableError if there are fewer than LEAST orders for a parameter, or the order in which
    customers ordered follows from what is known of them.
    """
    if frame["score"].nunique() < 2:
        raise UnanswerableError(
            phrase("surveys: expected answers that differ, found one score alone.")
        )
    found, _ = cox(frame, np.column_stack([frame["score"], adjustment(frame)[:, 1:]]))
    value, error = found.params[0], found.bse[0]
    return tuple(float(np.exp(value + by * error)) for by in (0, -Z, Z))  # type: ignore[return-value]


def cox(frame: pd.DataFrame, x: np.ndarray) -> tuple[Any, np.ndarray]:
    """Cox regression (1972; ties by Efron) of spells from an answer on by columns x, and which rows have
    a spell at all. Errors are clustered by person. frame, what it raises : as of `hazard`."""
    later = frame.groupby("person")["day"].shift(-1)
    until = (later - frame["day"]).dt.days.fillna(np.inf)
    end = np.minimum(frame["observed"], until)
    ordered = (frame["wait"] <= end).to_numpy()
    time = np.where(ordered, frame["wait"], end)
    rows = time > 0
    if ordered[rows].sum() < LEAST * x.shape[1]:
        raise UnanswerableError(
            phrase(
                "surveys: expected at least {need:,} orders after an answer, found {ordered:,}. Collect "
                "more answers.",
                need=LEAST * x.shape[1],
                ordered=int(ordered[rows].sum()),
            )
        )
    # What can be told apart at all is told apart among those at risk when the first of them ordered.
    # Inverted is the square of the columns: beyond one in 10^7 that is rounding, to variances below 0.
    at_risk = x[rows & (time >= time[rows & ordered].min())]
    told = np.column_stack([np.ones(len(at_risk)), at_risk])
    length = np.linalg.norm(told, axis=0)
    if not length.all() or np.linalg.matrix_rank(told / length, rtol=1e-7) < told.shape[1]:
        raise UnanswerableError(
            phrase(
                "surveys: expected customers who differ in what they did before, found them alike."
            )
        )
    model = PHReg(time[rows], x[rows], status=ordered[rows], ties="efron")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            return model.fit(groups=frame["person"].to_numpy()[rows]), rows
    # A ratio without end: no estimate, nor an interval, is at a maximum.
    except (ConvergenceWarning, np.linalg.LinAlgError):
        raise UnanswerableError(
            phrase(
                "surveys: expected answers that ordering again does not follow from, found that some "
                "value of the score, or of what went before, settles it. Collect more answers."
            )
        ) from None


@dataclass(frozen=True)
class Change:
    """Odds of ordering again for one step more of the same customer, with its interval; persons who
    answered more than once and ordered again after some answers alone."""

    odds: float
    low: float
    high: float
    persons: int


def within(frame: pd.DataFrame) -> Change:
    """The same customer, answering differently: conditional logistic regression, to which all that stays
    the same of a customer, known or not, makes no difference (Chamberlain 1980).

    Missing where fewer than 2 × LEAST persons say something.
    """
    told = frame.groupby("person")[["ordered", "score"]].nunique().gt(1).all(axis=1)
    rows = frame[frame["person"].isin(told.index[told])]
    if told.sum() < 2 * LEAST:
        return Change(np.nan, np.nan, np.nan, int(told.sum()))
    x = rows[["score"]].to_numpy(float)
    model = ConditionalLogit(rows["ordered"].to_numpy(float), x, groups=rows["person"].to_numpy())
    found = model.fit(disp=False)
    value, error = found.params[0], found.bse[0]
    odds, low, high = (float(np.exp(value + by * error)) for by in (0, -Z, Z))
    return Change(odds, low, high, int(told.sum()))


def correlations(frame: pd.DataFrame) -> dict[str, float]:
    """What is usually reported: Spearman's and the point-biserial correlation of score and ordering
    again, of answers, and Spearman's of means by month of the first order (cohorts of ten answers or
    more; missing where there are fewer than five). What is so of means need not be so of customers:
    Robinson (1950), American Sociological Review 15, 351–357.
    """
    scores, ordered = frame["score"].to_numpy(float), frame["ordered"].to_numpy(float)
    varied = len(np.unique(scores)) > 1 and len(np.unique(ordered)) > 1
    joined = frame["day"] - pd.to_timedelta(frame["age"], unit="D")
    means = frame.groupby(joined.dt.to_period("M")).agg(
        answers=("score", "size"), score=("score", "mean"), ordered=("ordered", "mean")
    )
    means = means[means["answers"] >= 10]
    return {
        "spearman": float(spearmanr(scores, ordered).statistic) if varied else np.nan,
        "point_biserial": float(pointbiserialr(ordered, scores).statistic) if varied else np.nan,
        "cohorts": float(spearmanr(means["score"], means["ordered"]).statistic)
        if len(means) >= 5 and means.nunique()[["score", "ordered"]].min() > 1
        else np.nan,
    }
