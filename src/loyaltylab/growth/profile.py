"""Ideal customer profile: which traits of the first order go with much value after it.

Value is modelled by a Tweedie regression with a logarithmic link (power 1.5: many bring nothing, the
rest positive amounts; Jørgensen, B. (1987), JRSS B 49, 127–162), whose ridge penalty is chosen by what
it says of later cohorts. Scores are with the penalty. Effects are without it, since a shrunken effect
has no interval that holds the truth: from the same equations, with errors that ask of the variance
nothing but that persons are independent (White, H. (1982), Econometrica 50, 1–25), which is what a
bootstrap over persons tends to. Rows come in as `profile_people.learned_from` has them.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2
from sklearn.linear_model import TweedieRegressor

from loyaltylab.errors import UnanswerableError
from loyaltylab.growth.profile_people import UNKNOWN
from loyaltylab.intervals import Z, holm
from loyaltylab.language import phrase

Array = np.ndarray[Any, np.dtype[Any]]

POWER = 1.5
OTHER = "other"  # levels that too few have
AMOUNT = "price_band"
_BANDS = 5  # of the first order's amount, as many customers in each
_MOST = 12  # levels of a trait that stand by themselves
_RARE = 50  # customers: fewer do not make a level
_FEWEST = 200  # customers to learn from, of whom a tenth brought something
_PENALTIES = tuple(10.0 ** np.arange(0, -5, -1))  # the heaviest first, where little is to be found
_FOLDS = 5
_NOT_TRAITS = ("first", "value", "amount")
_LARGEST = 30.0  # of a logarithm of expected value over the mean: beyond it nothing is told apart


@dataclass(frozen=True)
class Periods:
    """Which cohorts are learned from, and which are judged. Days of the first order.

    learned : the last day of those learned from; judged : of the judged ones the day before the first;
    apart : whether all value of the former was over before the latter began.
    """

    learned: dt.date
    judged: dt.date
    apart: bool


def _too_little(customers: int, brought: int) -> UnanswerableError:
    """To learn from. brought : how many of the customers brought something."""
    return UnanswerableError(
        phrase(
            "Too little is known to say whom to win: expected {fewest} customers whose first order "
            "lies far enough back and {some} of whom came again, found {customers:,} and "
            "{brought:,}. Choose a shorter horizon_weeks, or wait.",
            fewest=_FEWEST,
            some=_FEWEST // 10,
            customers=customers,
            brought=brought,
        )
    )


def periods(firsts: pd.Series, *, days: int) -> Periods:
    """Where to part cohorts whose value is known. firsts : their days of the first order.

    Both halves are as long, and between them lie the days over which value is counted, so that nothing
    is learned that was not known when the judged ones came. Where too little was observed for that, the
    last third is judged by the two before. Raises UnanswerableError where there are none.
    """
    if firsts.empty:
        raise _too_little(0, 0)
    early, late = firsts.min(), firsts.max()
    half = ((late - early).days - days) // 2
    if half >= days / 2:
        learned = early + pd.Timedelta(days=half)
        return Periods(learned.date(), (learned + pd.Timedelta(days=days)).date(), True)
    parted = firsts.sort_values().iloc[2 * len(firsts) // 3].date()
    return Periods(parted, parted, False)


@dataclass(frozen=True)
class Coding:
    """How traits become columns: a level's is 1 for those who have it, less the share who do, and all
    of a trait's are 0 where it is not known, which so counts as the average.

    levels : trait → its levels, of two or more; shares : customers who have each, of whom it is known.
    """

    levels: Mapping[str, Sequence[str]]
    shares: Mapping[str, Array]

    def columns(self, rows: pd.DataFrame) -> Array:
        """Grain: one row × one level."""
        parts = [np.empty((len(rows), 0))]
        for trait, levels in self.levels.items():
            told = rows[trait].to_numpy(object)
            marks = np.column_stack([told == level for level in levels]).astype(float)
            rest = (marks.sum(axis=1) == 0) & (told != UNKNOWN)
            if OTHER in levels:
                marks[rest, levels.index(OTHER)] = 1
            parts.append(marks - self.shares[trait] * marks.sum(axis=1, keepdims=True))
        return np.concatenate(parts, axis=1)

    def place(self, trait: str) -> slice:
        """Where the columns of a trait are."""
        names = list(self.levels)
        before = sum(len(self.levels[name]) for name in names[: names.index(trait)])
        return slice(before, before + len(self.levels[trait]))


def bands(amounts: pd.Series) -> list[float]:
    """Where amounts of first orders are cut into price bands: at fifths, in two digits."""
    cuts = np.quantile(amounts, np.arange(1, _BANDS) / _BANDS)
    return sorted({float(f"{cut:.2g}") for cut in cuts})


def banded(rows: pd.DataFrame, cuts: Sequence[float]) -> pd.DataFrame:
    """rows with the price band of the first order as AMOUNT, by its place in `cuts`."""
    return rows.assign(
        **{AMOUNT: np.searchsorted(cuts, rows["amount"], side="right").astype(str).astype(object)}
    )


def coding(rows: pd.DataFrame, *, rare: int = _RARE) -> Coding:
    """The traits of rows that two levels or more have, each of `rare` customers; what fewer have is
    OTHER, or unknown where these are fewer than `rare` as well."""
    levels: dict[str, list[str]] = {}
    shares: dict[str, Array] = {}
    for trait in (str(name) for name in rows if name not in _NOT_TRAITS):
        told_of = rows[trait][rows[trait] != UNKNOWN]
        counts = told_of.value_counts().sort_index()
        counts = counts.sort_values(ascending=False, kind="stable")
        kept = counts[counts >= rare].head(_MOST)
        rest = counts.drop(kept.index).sum()
        told = {str(level): int(n) for level, n in kept.items()}
        if rest >= rare:
            told[OTHER] = told.get(OTHER, 0) + int(rest)
        if len(told) > 1:
            levels[trait] = sorted(told, key=lambda level: (level == OTHER, level))
            known = np.array([told[level] for level in levels[trait]], float)
            shares[trait] = known / known.sum()
    return Coding(levels, shares)


@dataclass(frozen=True)
class Profile:
    """What a customer's traits say of the value to come.

    cuts : of price bands; mean : money that those learned from brought; penalty : chosen by later
    cohorts; weights : of the columns of `coding`, on the scale of logarithms; effects : trait, level,
    customers, ratio, low, high (times what the average customer brings, all other traits alike, without
    penalty, at LEVEL), strength (of the trait: how far from 1 its clearest effect is for sure, as a
    ratio of 1 or more) and p (of the trait having no effect, Holm's for all), the strongest first.
    reference : expected logarithms of those learned from, in order: what scores are places in.
    """

    cuts: Sequence[float]
    coding: Coding
    mean: float
    penalty: float
    intercept: float
    weights: Array
    effects: pd.DataFrame
    reference: Array
    customers: int

    def logarithms(self, rows: pd.DataFrame) -> Array:
        """Expected value over the mean of those learned from, on the scale of logarithms."""
        told = self.coding.columns(banded(rows, self.cuts)) @ self.weights
        return np.asarray((self.intercept + told).round(9))

    def expected(self, rows: pd.DataFrame) -> Array:
        """Expected value of each row, in the currency."""
        return self.mean * np.exp(self.logarithms(rows))

    def score(self, rows: pd.DataFrame) -> Array:
        """Fit from 0 to 100: the share of those learned from who are expected to bring less, half of
        those who are expected to bring as much included."""
        told = self.logarithms(rows)
        below = np.searchsorted(self.reference, told, side="left")
        up_to = np.searchsorted(self.reference, told, side="right")
        return np.asarray((50 * (below + up_to) / len(self.reference)).round(1))


def fit(
    rows: pd.DataFrame, *, cuts: Sequence[float] | None = None, penalty: float | None = None
) -> Profile:
    """The profile of these customers. cuts, penalty : those of an earlier fit, else found here.

    Raises UnanswerableError where there are fewer than _FEWEST customers, too few brought something, or
    no trait differs between them.
    """
    brought = int((rows["value"] > 0).sum())
    if len(rows) < _FEWEST or brought < _FEWEST / 10:
        raise _too_little(len(rows), brought)
    cuts = bands(rows["amount"]) if cuts is None else cuts
    rows = banded(rows, cuts)
    coded = coding(rows)
    if not coded.levels:
        raise UnanswerableError(
            phrase(
                "Nothing tells customers apart at their first order: expected a trait of which two "
                "values have {rare} customers each, found none.",
                rare=_RARE,
            )
        )
    mean = float(rows["value"].clip(lower=0).mean())
    y = rows["value"].clip(lower=0).to_numpy() / mean
    x = coded.columns(rows)
    penalty = chosen(x, y) if penalty is None else penalty
    model = _tweedie(penalty).fit(x, y)
    logs = (model.intercept_ + x @ model.coef_).round(9)
    return Profile(
        cuts=cuts,
        coding=coded,
        mean=mean,
        penalty=penalty,
        intercept=float(model.intercept_),
        weights=model.coef_,
        effects=effects(rows, coded, y, np.r_[model.intercept_, model.coef_]),
        reference=np.sort(logs),
        customers=len(rows),
    )


def _tweedie(penalty: float, *, again: bool = False) -> TweedieRegressor:
    """again : whether a further fit begins from the last."""
    return TweedieRegressor(
        power=POWER,
        link="log",
        alpha=penalty,
        solver="newton-cholesky",
        max_iter=50,
        tol=1e-5,
        warm_start=again,
    )


def chosen(x: Array, y: Array) -> float:
    """The penalty with the least deviance of later rows: rows stand in the order of first orders, and
    each fifth after the second is expected from those before it."""
    ends = np.linspace(0, len(y), _FOLDS + 1).astype(int)
    lost = dict.fromkeys(_PENALTIES, 0.0)
    for start, end in list(itertools.pairwise(ends))[2:]:
        if not y[:start].any():
            continue
        model = _tweedie(_PENALTIES[0], again=True)
        for penalty in _PENALTIES:
            model.set_params(alpha=penalty).fit(x[:start], y[:start])
            expected = np.exp(model.intercept_ + x[start:end] @ model.coef_)
            lost[penalty] += deviance(y[start:end], expected)
    return min(lost, key=lambda penalty: (lost[penalty], -penalty))


def deviance(y: Array, expected: Array) -> float:
    """Sum of the Tweedie deviances of power 1.5: 4 (√y − √μ)² / √μ."""
    return float((4 * (np.sqrt(y) - np.sqrt(expected)) ** 2 / np.sqrt(expected)).sum())


def unshrunk(x: Array, y: Array, start: Array) -> tuple[Array, Array]:
    """Coefficients without a penalty and their covariance, by Fisher scoring from `start`; the first
    is the intercept. Where columns cannot be told apart, the shortest of the solutions."""
    x = np.column_stack([np.ones(len(x)), x])
    beta = np.asarray(start, float)
    for _ in range(25):
        expected = np.exp(np.clip(x @ beta, -_LARGEST, _LARGEST))
        information = (x * expected[:, None] ** (2 - POWER)).T @ x
        inverse = np.linalg.pinv(information, rcond=1e-9, hermitian=True)
        adds = x * ((y - expected) * expected ** (1 - POWER))[:, None]
        step = inverse @ adds.sum(axis=0)
        beta = beta + step
        if np.abs(step).max() < 1e-8:
            break
    return beta, inverse @ (adds.T @ adds) @ inverse


def effects(rows: pd.DataFrame, coded: Coding, y: Array, start: Array) -> pd.DataFrame:
    """What levels go with, without a penalty. Grain: trait × level; columns as in Profile.effects.

    y : value of rows over its mean; start : intercept and coefficients to begin from.
    """
    beta, covariance = unshrunk(coded.columns(rows), y, start)
    parts, chances = [], []
    for trait, levels in coded.levels.items():
        against = contrasts(coded, trait)
        values, of = against @ beta, against @ covariance @ against.T
        errors = np.sqrt(np.diag(of).clip(0))
        wald = values @ np.linalg.pinv(of, hermitian=True, rcond=1e-9) @ values
        chances.append(float(chi2.sf(wald, len(levels) - 1)))
        counts = [int((rows[trait] == level).sum()) for level in levels]
        part = pd.DataFrame(
            {
                "trait": trait,
                "level": levels,
                "customers": counts,
                "ratio": np.exp(values),
                "low": np.exp(values - Z * errors),
                "high": np.exp(np.minimum(values + Z * errors, _LARGEST)),
            }
        )
        parts.append(part.assign(strength=_strength(part)))
    adjusted = dict(zip(coded.levels, holm(chances), strict=True))
    table = pd.concat(parts, ignore_index=True)
    table["p"] = table["trait"].map(adjusted)
    return table.sort_values(
        ["strength", "p", "trait", "ratio"], ascending=[False, True, True, False], ignore_index=True
    )


def contrasts(coded: Coding, trait: str) -> Array:
    """Of each level of a trait, what to add of intercept and coefficients for how it differs from the
    average customer of whom the trait is known. Grain: level × coefficient."""
    place, shares = coded.place(trait), coded.shares[trait]
    whole = sum(len(levels) for levels in coded.levels.values())
    found = np.zeros((len(shares), 1 + whole))
    found[:, 1 + place.start : 1 + place.stop] = np.eye(len(shares)) - shares
    return found


def _strength(part: pd.DataFrame) -> float:
    """How far from 1 the interval of the clearest level is, as a ratio of 1 or more."""
    return float(np.maximum(np.maximum(part["low"], 1 / part["high"]), 1).max())


def stability(rows: pd.DataFrame, profile: Profile, *, at_most: int = 4) -> pd.DataFrame:
    """The clearest level of each trait, in cohorts one after the other. Grain: trait × cohort.

    rows : those that the profile was learned from, parted by time into as many customers each, at most
    so many parts of _FEWEST or more. Seasons are left out. Returns trait, level, cohort (number), since,
    until (days of the first order), ratio, low, high, and p: of the level's effect being the same in all
    cohorts (Cochran, W. G. (1954), Biometrics 10, 101–129; Holm's for all traits). Traits in the order
    of the effects.
    """
    parts = min(at_most, len(rows) // _FEWEST)
    if parts < 2:
        return pd.DataFrame(columns=["trait", "level", "cohort", "since", "until", *_ENDS, "p"])
    rows = banded(rows, profile.cuts)
    clearest = clearest_levels(profile.effects)
    clearest.pop("season", None)  # which cohorts of other lengths than years cannot tell
    found = []
    for cohort, part in enumerate(np.array_split(np.arange(len(rows)), parts)):
        own = rows.iloc[part]
        if not (own["value"] > 0).any():
            continue
        coded = coding(own, rare=_RARE // 2)
        mean = own["value"].clip(lower=0).mean()
        size = 1 + sum(len(levels) for levels in coded.levels.values())
        y = own["value"].clip(lower=0).to_numpy() / mean
        beta, covariance = unshrunk(coded.columns(own), y, np.zeros(size))
        for trait, level in clearest.items():
            if level not in coded.levels.get(trait, ()):
                continue
            against = contrasts(coded, trait)[coded.levels[trait].index(level)]
            value, error = against @ beta, float(np.sqrt(against @ covariance @ against))
            span = own["first"].iloc[0], own["first"].iloc[-1]
            found.append((trait, level, cohort, *span, value, error))
    table = pd.DataFrame(
        found, columns=["trait", "level", "cohort", "since", "until", "value", "error"]
    )
    chances = {trait: _alike(part) for trait, part in table.groupby("trait", sort=False)}
    adjusted = dict(zip(chances, holm(chances.values()), strict=True))
    half = Z * table["error"]
    table["ratio"], table["low"] = np.exp(table["value"]), np.exp(table["value"] - half)
    table["high"] = np.exp((table["value"] + half).clip(upper=_LARGEST))
    order = {trait: number for number, trait in enumerate(clearest)}
    table["p"], table["_order"] = table["trait"].map(adjusted), table["trait"].map(order)
    table = table.sort_values(["_order", "cohort"], ignore_index=True)
    return table[["trait", "level", "cohort", "since", "until", *_ENDS, "p"]]


_ENDS = ["ratio", "low", "high"]


def clearest_levels(table: pd.DataFrame) -> dict[str, str]:
    """trait → the level whose interval is farthest from 1, in the order of the effects."""
    far: pd.Series = table["low"].combine(1 / table["high"], max)
    best = far.groupby(table["trait"], sort=False).idxmax()
    return {str(table.loc[i, "trait"]): str(table.loc[i, "level"]) for i in best}


def _alike(part: pd.DataFrame) -> float:
    if len(part) < 2:
        return np.nan
    weights = 1 / part["error"].clip(lower=1e-9) ** 2
    mean = (weights * part["value"]).sum() / weights.sum()
    return float(chi2.sf((weights * (part["value"] - mean) ** 2).sum(), len(part) - 1))
