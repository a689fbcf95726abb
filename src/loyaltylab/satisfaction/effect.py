"""What a better score goes with: the chance of ordering again, at equal earlier behaviour.

The estimand: by how much the probability of ordering again within the window after an answer is higher
when the score is one step higher, of customers who behaved alike up to the answer.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import chi2, norm
from statsmodels.genmod.families import Binomial, links
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

from loyaltylab.errors import UnanswerableError
from loyaltylab.intervals import Z, clustered_error
from loyaltylab.language import phrase
from loyaltylab.satisfaction.still_there import StateShift

_YEAR = 365.25
# Answers a parameter, of those who ordered again and of those who did not: Vittinghoff & McCulloch
# (2007), American Journal of Epidemiology 165, 710–718, find trouble below.
LEAST = 5
_LEFT_AT_MOST = 0.1  # probability of having left, up to which one counts as still there
_NEWCOMERS = 90  # days since the first order, up to which one counts as a newcomer
_POWER = float(norm.ppf(0.8))
_TINY = 1e-12  # of a chance
_SETTLED = 20.0  # log-odds that no answers of customers have, unless something settles the outcome
# How much of a satisfaction lasts as long as a customer: nobody knows, so evenly from none to all.
LASTING = (0.5, 1 / 12**0.5)
OWN_STEP = ("own", 0.5)  # half a step to each side of each one's own score


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error."""

    value: float
    error: float

    @property
    def low(self) -> float:
        """Where its interval at LEVEL begins."""
        return self.value - Z * self.error

    @property
    def high(self) -> float:
        """Where it ends."""
        return self.value + Z * self.error


@dataclass(frozen=True)
class Effect(Estimate):
    """A difference in the chance of ordering again, in shares (0.01: a point).

    base : the chance that it is a difference to; answers, persons : it rests on.
    """

    base: float
    answers: int
    persons: int

    def needed(self, worth: float) -> int:
        """Answers that it would take to see an effect of `worth` in four cases of five, by chance alone
        in one of twenty: as many times more as the standard error has to shrink, squared."""
        return int(np.ceil(self.answers * (self.error * (Z + _POWER) / worth) ** 2))


class _Chances(links.Logit):  # type: ignore[misc]
    """Logit of the chance that a customer orders who is there with a known probability."""

    def __init__(self, there: np.ndarray) -> None:
        self.there = there

    def _clean(self, p: Any) -> Any:
        return self.there * np.clip(p / self.there, _TINY, 1 - _TINY)

    def __call__(self, p: Any) -> Any:
        return logit(self._clean(p) / self.there)

    def inverse(self, z: Any) -> Any:
        return self.there * expit(z)

    def deriv(self, p: Any) -> Any:
        p = self._clean(p)
        return self.there / (p * (self.there - p))

    def deriv2(self, p: Any) -> Any:
        p = self._clean(p)
        return -self.there * (self.there - 2 * p) / (p * (self.there - p)) ** 2

    def inverse_deriv(self, z: Any) -> Any:
        return self.there * expit(z) * expit(-z)


@dataclass(frozen=True)
class Fitted:
    """A fit of `fit`: parameters (those of the score first) and covariance, clustered by person; columns
    that were adjusted for; there (the probability that each was still a customer)."""

    parameters: np.ndarray
    covariance: np.ndarray
    adjusted: np.ndarray
    there: np.ndarray
    log_likelihood: float

    def mean(self, terms: np.ndarray) -> tuple[float, np.ndarray]:
        """Mean chance of ordering with these terms of the score, and its slopes by the parameters."""
        x = np.column_stack([terms, self.adjusted])
        chance = expit(x @ self.parameters)
        slopes = (self.there * chance * (1 - chance)) @ x / len(x)
        return float((self.there * chance).mean()), slopes

    def wald(self, contrasts: np.ndarray) -> float:
        """p of these combinations (a row each) of the score's parameters being 0."""
        wide = np.column_stack([contrasts, np.zeros((len(contrasts), self.adjusted.shape[1]))])
        away = wide @ self.parameters
        spread = wide @ self.covariance @ wide.T
        return float(chi2.sf(away @ np.linalg.solve(spread, away), len(away)))


def adjustment(frame: pd.DataFrame) -> np.ndarray:
    """What answers are compared at: an intercept, earlier orders, time since the first and the last of
    them, what an order day brought, the time of year and the trend. Standardised; a row an answer.
    Raises UnanswerableError if there is none."""
    if frame.empty:
        raise UnanswerableError(
            phrase("surveys: expected answers whose window is over, found none.")
        )
    age, silence = np.log1p(frame["age"] / 30), np.log1p(frame["silence"])
    orders = np.log1p(frame["frequency"])
    turn = 2 * np.pi * frame["day"].dt.day_of_year / _YEAR
    columns = [
        age, age**2, orders, orders * age, silence, np.log(frame["basket"].clip(lower=0.01)),
        np.cos(turn), np.sin(turn), frame["observed"] / _YEAR,
    ]  # fmt: skip
    x = np.column_stack([np.asarray(c, float) for c in columns])
    spread = x.std(axis=0)
    kept = spread > 1e-9  # what is the same for all tells nobody apart
    return np.column_stack([np.ones(len(x)), (x[:, kept] - x[:, kept].mean(axis=0)) / spread[kept]])


def fit(
    terms: np.ndarray,
    adjusted: np.ndarray,
    ordered: np.ndarray,
    *,
    persons: np.ndarray,
    there: np.ndarray,
    start: np.ndarray | None = None,
) -> Fitted:
    """Logistic regression of ordering again on the score, of customers there with a known probability.

    terms : of the score, a column each; adjusted : `adjustment`; ordered : 0 or 1; persons : codes, by
    which errors are clustered; there : 1 for all makes it the plain one; start : parameters near by.
    Raises UnanswerableError if there are fewer than LEAST answers of either kind for a parameter, or if
    some value of a column settles the outcome.
    """
    told = np.column_stack([np.ones(len(terms)), terms])
    if np.linalg.matrix_rank(told) < told.shape[1]:
        raise UnanswerableError(
            phrase(
                "surveys: expected answers that differ, good ones and others, found some kind lacking. "
                "Nothing can be told by a score that is always the same."
            )
        )
    x, many = np.column_stack([terms, adjusted]), int(min(ordered.sum(), (1 - ordered).sum()))
    need = LEAST * x.shape[1]
    if many < need:
        raise UnanswerableError(
            phrase(
                "surveys: expected at least {need:,} answers that were followed by an order and as many "
                "that were not, found {ordered:,} and {others:,}. Collect more answers, or shorten or "
                "lengthen the window.",
                need=need,
                ordered=int(ordered.sum()),
                others=int((1 - ordered).sum()),
            )
        )
    if start is None:
        share, start = ordered.mean(), np.zeros(x.shape[1])
        start[terms.shape[1]] = logit(min(share / max(there.mean(), share + 1e-6), 0.99))
    family = Binomial(_Chances(np.clip(there, 1e-9, 1)), check_link=False)
    model = GLM(ordered, x, family=family)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PerfectSeparationWarning)  # it is refused below
        found = model.fit(
            start_params=start,
            cov_type="cluster",
            cov_kwds={"groups": persons},
            maxiter=200,
            tol=1e-10,
        )
    log_odds = np.abs(x @ found.params)
    if not found.converged or not np.isfinite(found.bse).all() or log_odds.max() > _SETTLED:
        raise UnanswerableError(
            phrase(
                "surveys: expected answers that ordering again does not follow from, found that some "
                "value of the score, or of what went before, settles it. Collect more answers."
            )
        )
    return Fitted(
        np.asarray(found.params), np.asarray(found.cov_params()), adjusted, there, float(found.llf)
    )


def effect(
    frame: pd.DataFrame,
    terms: Callable[[np.ndarray], np.ndarray],
    contrast: tuple[Any, Any],
    *,
    shift: StateShift | None = None,
    lasting: tuple[float, float] | None = None,
) -> Effect:
    """An average marginal effect. frame : `landmarks` of one instrument whose window is over, with left
    and hardy.

    terms : columns of the score's terms, of scores; contrast : two scores, the lower first, or OWN_STEP.
    shift : takes out customers who had left already. lasting : how much of a satisfaction lasts, 0 to 1,
    and its standard error; makes up for who is there still. Where rates of leaving have a gamma
    distribution, who was exposed to more of a hazard and is there yet has a lower one: among those with
    this `hardy` the effect of a step on it looks smaller by lasting × hardy (Vaupel, Manton & Stallard
    1979, Demography 16, 439–454). The uncertainty of both is in the error. Raises as `fit`.
    """
    scores, ordered = frame["score"].to_numpy(float), frame["ordered"].to_numpy(float)
    persons, adjusted = frame["person"].to_numpy(), adjustment(frame)
    low, high = (terms(np.broadcast_to(end, scores.shape)) for end in ends(scores, contrast))
    near: np.ndarray | None = None

    def told(shifted: float | None, lasts: float) -> tuple[float, float, float]:
        nonlocal near
        left = 0.0 if shift is None else shift.left(frame, shift=shifted)
        there = np.broadcast_to(1 - np.asarray(left), scores.shape)
        shown = (1 - lasts * frame["hardy"].to_numpy(float))[:, None] if lasts else 1.0
        known: dict[str, Any] = {"persons": persons, "there": there, "start": near}
        fitted = fit(terms(scores) * shown, adjusted, ordered, **known)
        near = fitted.parameters
        (base, down), (upper, up) = fitted.mean(low * shown), fitted.mean(low * shown + high - low)
        return upper - base, float((up - down) @ fitted.covariance @ (up - down)), base

    lasts, unsure = lasting or (0.0, 0.0)
    value, variance, base = told(None, lasts)
    if shift is not None:
        more, less = (told(shift.shift + by * shift.error, lasts)[0] for by in (0.5, -0.5))
        variance += (more - less) ** 2
    if unsure:
        more, less = (told(None, lasts + by * unsure)[0] for by in (0.5, -0.5))
        variance += (more - less) ** 2
    return Effect(value, float(np.sqrt(variance)), base, len(frame), len(np.unique(persons)))


def ends(scores: np.ndarray, contrast: tuple[Any, Any]) -> Sequence[Any]:
    """The two scores that are compared, an array or a number each."""
    if contrast[0] == "own":
        return scores - contrast[1], scores + contrast[1]
    return contrast


def linear(scores: np.ndarray) -> np.ndarray:
    """One term: every step of the score is worth the same."""
    return scores[:, None]


def plain(frame: pd.DataFrame) -> Effect:
    """A step of the score as if nothing else mattered: the slope of a straight line through ordering
    again, errors clustered by person."""
    x, y = frame["score"].to_numpy(float), frame["ordered"].to_numpy(float)
    if not len(x) or np.ptp(x) == 0:
        raise UnanswerableError(
            phrase("surveys: expected answers that differ, found one score alone.")
        )
    away = x - x.mean()
    slope = away @ y / (away @ away)
    rest = away * (y - y.mean() - slope * away)
    error = clustered_error(rest / (away @ away), frame["person"])
    return Effect(float(slope), error, y.mean(), len(frame), frame["person"].nunique())


def ladder(frame: pd.DataFrame, shift: StateShift) -> dict[str, Effect]:
    """A step of the score by ever better methods; those that the answers suffice for. frame : as of
    `effect`.

    plain : `plain`. alike : at equal earlier behaviour. left : and who had left already taken out.
    hardy : and who is there still although dissatisfied made up for; the method of the page. lately : as
    alike, of those alone who had in all likelihood not left. newcomers : as hardy, of newcomers alone,
    of whom least was sorted out yet (Ray 2003, American Journal of Epidemiology 158, 915–920).
    """
    lately = frame[frame["left"] <= _LEFT_AT_MOST]
    newcomers = frame[frame["age"] <= _NEWCOMERS]
    tried: dict[str, Callable[[], Effect]] = {
        "plain": lambda: plain(frame),
        "alike": lambda: effect(frame, linear, OWN_STEP),
        "left": lambda: effect(frame, linear, OWN_STEP, shift=shift),
        "hardy": lambda: effect(frame, linear, OWN_STEP, shift=shift, lasting=LASTING),
        "lately": lambda: effect(lately, linear, OWN_STEP),
        "newcomers": lambda: effect(newcomers, linear, OWN_STEP, shift=shift, lasting=LASTING),
    }
    found = {}
    for name, one in tried.items():
        with contextlib.suppress(UnanswerableError):
            found[name] = one()
    return found
