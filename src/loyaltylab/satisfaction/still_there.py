"""Who had left already when they answered: an answer may be low because somebody left.

Nobody cancels, so leaving is not seen; but the longer a customer has been silent for their rhythm, the
more probable it is (Pareto/NBD). How far answers fall with that probability says by how much those who
had left answer lower, and so, by Bayes' rule, how probable it is of each answer that its customer had.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import ndtr
from scipy.stats import norm

from loyaltylab.intervals import Z

_PRIOR = 1.0  # standard deviations: of the shift, before any data; nobody expects more than two
_STEP = 1e-4


@dataclass(frozen=True)
class StateShift:
    """shift : by how many standard deviations answers of customers who have left lie above those of
    customers still there (below: negative), with its standard error; thresholds and slopes (of the log
    of age) of each instrument, in standard deviations."""

    shift: float
    error: float
    thresholds: dict[str, np.ndarray]
    slopes: dict[str, np.ndarray]

    @property
    def interval(self) -> tuple[float, float]:
        """Of shift, at LEVEL."""
        return self.shift - Z * self.error, self.shift + Z * self.error

    def left(self, frame: pd.DataFrame, *, shift: float | None = None) -> np.ndarray:
        """Probability that the customer had left, given the answer. frame : instrument, score, age and
        left (that probability without the answer). shift : another one than was found."""
        shift, found = self.shift if shift is None else shift, frame["left"].to_numpy(float).copy()
        for name, thresholds in self.thresholds.items():
            rows = (frame["instrument"] == name).to_numpy()
            part = frame[rows]
            mean = _ages(part) @ self.slopes[name]
            values, left = part["score"].to_numpy(float), part["left"].to_numpy(float)
            there, gone = (_between(thresholds, values, mean + by) for by in (0.0, shift))
            found[rows] = left * gone / np.maximum((1 - left) * there + left * gone, 1e-300)
        return found


def fit_shift(frame: pd.DataFrame) -> StateShift:
    """Fit it to all instruments at once. frame : one answer a row; instrument, score, age, left.

    An ordered probit (McKelvey & Zavoina 1975) of each instrument whose answers come from customers
    still there or, with probability left, from those who have left, shifted by one number that all
    instruments share. It has a normal prior of standard deviation 1, which decides only where nothing
    else does. Answers depend on how long somebody has been silent by leaving alone: that is what the
    shift is told by.
    An instrument whose answers are all the same tells nothing, and is left out.
    """
    parts = {}
    for name, rows in frame.groupby("instrument", sort=True):
        if rows["score"].nunique() > 1:
            parts[str(name)] = _Part(rows)
    if not parts:
        return StateShift(0.0, _PRIOR, {}, {})

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        total, slopes, at = (x[-1] / _PRIOR) ** 2 / 2, np.zeros(len(x)), 0
        slopes[-1] = x[-1] / _PRIOR**2
        for part in parts.values():
            own = slice(at, at + part.size)
            value, slope = part.loss(x[own], x[-1])
            total, at = total + value, at + part.size
            slopes[own] += slope[:-1]
            slopes[-1] += slope[-1]
        return total / len(frame), slopes / len(frame)

    start = np.concatenate([*(part.start for part in parts.values()), [0.0]])
    best = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-7}).x
    eye = np.eye(len(best)) * _STEP
    curved = [(loss(best + e)[1] - loss(best - e)[1]) / (2 * _STEP) for e in eye]
    covariance = np.linalg.pinv((np.array(curved) + np.array(curved).T) / 2 * len(frame))
    thresholds, slopes, at = {}, {}, 0
    for name, part in parts.items():
        thresholds[name], slopes[name] = part.told(best[at : at + part.size])
        at += part.size
    return StateShift(float(best[-1]), float(np.sqrt(covariance[-1, -1])), thresholds, slopes)


class _Part:
    """The answers to one instrument, equal ones not counted together as ages differ."""

    def __init__(self, part: pd.DataFrame) -> None:
        self.values, self.of_value = np.unique(part["score"].to_numpy(float), return_inverse=True)
        self.ages, self.left = _ages(part), part["left"].to_numpy(float)
        self.cuts = len(self.values) - 1
        self.size = self.cuts + self.ages.shape[1]

    @property
    def start(self) -> np.ndarray:
        shares = np.bincount(self.of_value) / len(self.of_value)
        cuts = norm.ppf(np.cumsum(shares)[:-1])
        steps = np.log(np.maximum(np.diff(cuts), 1e-3))
        return np.concatenate([cuts[:1], steps, np.zeros(self.ages.shape[1])])

    def told(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each value of the score ends, below infinity the last; and slopes."""
        cuts = np.cumsum(np.concatenate([x[:1], np.exp(x[1 : self.cuts])]))
        ends = np.concatenate([cuts, [np.inf]])
        return np.column_stack([self.values, ends]), x[self.cuts :]

    def loss(self, x: np.ndarray, shift: float) -> tuple[float, np.ndarray]:
        """Negative log-likelihood, and its slopes by x and the shift."""
        cuts = np.cumsum(np.concatenate([x[:1], np.exp(x[1 : self.cuts])]))
        ends = np.concatenate([[-np.inf], cuts, [np.inf]])
        mean = self.ages @ x[self.cuts :]
        chance, upper, lower, moved = 0.0, 0.0, 0.0, 0.0
        for share, by in ((1 - self.left, 0.0), (self.left, shift)):
            high, low = (ends[self.of_value + k] - mean - by for k in (1, 0))
            chance = chance + share * (ndtr(high) - ndtr(low))
            dense_high, dense_low = norm.pdf(high), norm.pdf(low)
            upper, lower = upper + share * dense_high, lower + share * dense_low
            moved = share * (dense_low - dense_high)  # the last one is of those who left
        chance = np.maximum(chance, 1e-300)
        of_end = np.bincount(self.of_value + 1, upper / chance, len(ends))
        of_end -= np.bincount(self.of_value, lower / chance, len(ends))
        of_cut = of_end[1:-1][::-1].cumsum()[::-1]  # each cut moves all that come after it
        of_cut[1:] *= np.exp(x[1 : self.cuts])
        of_mean = self.ages.T @ ((lower - upper) / chance)
        slopes = np.concatenate([of_cut, of_mean, [(moved / chance).sum()]])
        return -float(np.log(chance).sum()), -slopes


def _ages(part: pd.DataFrame) -> np.ndarray:
    """Of a customer's age, in years and its log: the longer somebody has been one, the kinder."""
    years = part["age"].to_numpy(float) / 365.25
    return np.column_stack([years, np.log1p(12 * years)])


def _between(thresholds: np.ndarray, values: np.ndarray, mean: np.ndarray) -> np.ndarray:
    place = np.searchsorted(thresholds[:, 0], values)
    ends = np.concatenate([[-np.inf], thresholds[:, 1]])
    return np.asarray(ndtr(ends[place + 1] - mean) - ndtr(ends[place] - mean))
