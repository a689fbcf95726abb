"""How well a profile tells later customers apart. Grain in: one customer whom it did not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from loyaltylab.growth.profile import Array, Profile
from loyaltylab.intervals import LEVEL

_DRAWS = 400
_GROUPS = 5
BEST = 80.0  # score from which on a customer is among the best fifth


@dataclass(frozen=True)
class Estimate:
    """A value with its interval at LEVEL; missing where nothing tells."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Trial:
    """What came of judged cohorts.

    gini, naive, gain : normalised Gini of the profile, of the amount of the first order alone, and the
    first less the second; lift : what the best fifth by score brought over what all did; calibration :
    what was expected over what came; customers : how many were judged; groups : fifth (1 the lowest
    scores), customers, expected, observed, low, high (money a customer).
    """

    gini: Estimate
    naive: Estimate
    gain: Estimate
    lift: Estimate
    calibration: Estimate
    customers: int
    groups: pd.DataFrame


def trial(profile: Profile, rows: pd.DataFrame, *, seed: int) -> Trial:
    """The profile held against rows that it did not know, with intervals by bootstrap over persons
    (Efron, B. (1979), Annals of Statistics 7, 1–26)."""
    value = rows["value"].clip(lower=0).to_numpy(float)
    expected, scores = profile.expected(rows), profile.score(rows)
    n = len(rows)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=_DRAWS)
    weights = np.vstack([np.ones(n), draws])  # the first row is what there is, the others drawn
    perfect = concentration(value, value, weights)
    of = {
        name: concentration(value, by, weights) / perfect
        for name, by in (("gini", expected), ("naive", rows["amount"].to_numpy(float)))
    }
    best = (scores >= BEST).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = weights @ np.column_stack([value, expected, best, best * value])
        lift = sums[:, 3] / sums[:, 2] / (sums[:, 0] / n)
        calibration = sums[:, 1] / sums[:, 0]
    fifth = np.minimum(np.argsort(np.argsort(expected, kind="stable")) * _GROUPS // n, _GROUPS - 1)
    inside = (fifth[:, None] == np.arange(_GROUPS)).astype(float)
    counts, brought = weights @ inside, weights @ (inside * value[:, None])
    means = (expected @ inside) / counts[0]
    told = []
    for group in range(_GROUPS):
        observed = estimate(brought[:, group] / counts[:, group])
        told.append((group + 1, int(counts[0, group]), means[group], *vars(observed).values()))
    names = ["fifth", "customers", "expected", "observed", "low", "high"]
    return Trial(
        gini=estimate(of["gini"]),
        naive=estimate(of["naive"]),
        gain=estimate(of["gini"] - of["naive"]),
        lift=estimate(lift),
        calibration=estimate(calibration),
        customers=n,
        groups=pd.DataFrame(told, columns=names),
    )


def estimate(draws: Any) -> Estimate:
    """The first of draws with the interval at LEVEL of the others, which holds it."""
    value, rest = float(draws[0]), np.asarray(draws[1:], float)
    if np.isnan(value) or np.isnan(rest).all():
        return Estimate(value, np.nan, np.nan)
    low, high = np.nanquantile(rest, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, min(float(low), value), max(float(high), value))


def concentration(value: Array, by: Array, weights: Array) -> Array:
    """Concentration coefficient of value, customers ordered by `by`, for each row of weights.

    One less twice the area below the curve of value so far over customers so far, from the lowest;
    those with the same `by` bring the same on average (Kakwani, N. C. (1977), Econometrica 45, 719–727).
    Over that by value itself it is the normalised Gini, 1 for a perfect order and 0 for none.
    """
    order = np.argsort(by, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(by[order]) != 0])
    customers = np.add.reduceat(weights[:, order], starts, axis=1)
    money = np.add.reduceat(weights[:, order] * value[order], starts, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = customers / customers.sum(axis=1, keepdims=True)
        parts = money / money.sum(axis=1, keepdims=True)
    up_to = np.cumsum(parts, axis=1)
    return np.asarray(1 - (shares * (2 * up_to - parts)).sum(axis=1))
