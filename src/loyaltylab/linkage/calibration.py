"""Calibration: probabilities that are true as stated, and how true they are.

Grain in: one pair with the probability that it is of one person, or one decided pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from loyaltylab import plots
from loyaltylab.figure_data import tabulate
from loyaltylab.language import phrase

Floats = np.ndarray[Any, np.dtype[np.float64]]

# Where probabilities are divided to draw pairs for a person to decide, and to weigh the decisions.
STRATA = (0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)
_ISOTONIC = 1000  # decided pairs from which on no form is assumed
_ENOUGH = 30
_PRIOR = (0.5, 0.5)
_FURTHEST = 1e-6


@dataclass(frozen=True)
class Calibration:
    """How a stated probability becomes a true one. method : "none", "Platt" or "isotonic"; pairs :
    decided ones that it was fitted to. stated, true : points of the curve between which it is a
    straight line in log-odds."""

    method: str
    pairs: int
    stated: tuple[float, ...] = ()
    true: tuple[float, ...] = ()

    def __call__(self, probability: Floats) -> Floats:
        if not self.stated:
            return probability
        odds = np.interp(_odds(probability), self.stated, self.true)
        return 1 / (1 + np.exp(-odds))


def _odds(probability: Any) -> Floats:
    p = np.clip(np.asarray(probability, float), _FURTHEST, 1 - _FURTHEST)
    return np.log(p) - np.log1p(-p)


def strata(probability: Any) -> Any:
    """The stratum of each probability, a number from 0."""
    return np.clip(np.searchsorted(STRATA, probability, "right") - 1, 0, len(STRATA) - 2)


def weights(decided: pd.DataFrame, pairs_of_stratum: Floats) -> Floats:
    """For how many pairs each decided one stands: those of its stratum, shared out evenly."""
    stratum = strata(decided["probability"])
    share = np.bincount(stratum, minlength=len(STRATA) - 1)
    return pairs_of_stratum[stratum] / share[stratum]


def calibrate(decided: pd.DataFrame, pairs_of_stratum: Floats) -> Calibration:
    """From decided pairs: probability (as the model states it) and same (what a person decided).

    pairs_of_stratum : the number of pairs compared in each of STRATA. Platt's logistic curve on the
    log-odds (Platt 1999), and from 1,000 decisions on isotonic regression (Zadrozny & Elkan 2002).
    Before any decision the model is taken to be about right: shift and slope of the curve are normal
    around 0 and 1 with the deviations of _PRIOR, and what is taken is the most probable pair of them.
    With fewer than 30, or all decided alike, nothing can be learned: method "none".
    """
    same = decided["same"].to_numpy(bool)
    if len(decided) < _ENOUGH or same.all() or not same.any():
        return Calibration("none", len(decided))
    odds, weight = _odds(decided["probability"]), weights(decided, pairs_of_stratum)
    ends = _odds([0.0, 1.0])
    if len(decided) < _ISOTONIC:
        shift, slope = _logistic(odds, same, weight / weight.mean())
        return Calibration("Platt", len(decided), tuple(ends), tuple(slope * ends + shift))
    curve = IsotonicRegression(out_of_bounds="clip").fit(odds, same, sample_weight=weight)
    at = np.unique(curve.X_thresholds_)
    return Calibration("isotonic", len(decided), tuple(at), tuple(_odds(curve.predict(at))))


def _logistic(odds: Floats, same: Any, weight: Floats) -> tuple[float, float]:
    """Shift and slope, by the mode of their distribution given the decisions."""

    def loss(parameters: Floats) -> float:
        found = parameters[0] + parameters[1] * odds
        off = (parameters - (0.0, 1.0)) / _PRIOR
        return float((weight * (np.logaddexp(0, found) - same * found)).sum() + (off**2).sum() / 2)

    shift, slope = minimize(loss, np.array([0.0, 1.0])).x
    return float(shift), float(slope)


def reliability(
    probability: Floats, same: Floats, pairs: Floats, *, bins: int = 10
) -> pd.DataFrame:
    """Grain: one bin of stated probability that has any pair; low, high, pairs, stated (mean), true
    (share of them that is of one person).

    same, pairs : how many pairs have each probability, and how many of them are of one person.
    """
    place = np.minimum((probability * bins).astype(int), bins - 1)
    table = pd.DataFrame(
        {"bin": place, "pairs": pairs, "stated": probability * pairs, "true": same}
    )
    found = table.groupby("bin", as_index=False).sum()
    found = found[found["pairs"] > 0]
    for name in ("stated", "true"):
        found[name] /= found["pairs"]
    found.insert(0, "low", found["bin"] / bins)
    found.insert(1, "high", (found.pop("bin") + 1) / bins)
    return found.reset_index(drop=True)


def calibration_error(table: pd.DataFrame) -> float:
    """Mean distance of stated from true probability, over pairs (expected calibration error, Naeini,
    Cooper & Hauskrecht 2015). table : `reliability`."""
    off = (table["stated"] - table["true"]).abs() * table["pairs"]
    return float(off.sum() / table["pairs"].sum())


def plot_reliability(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Stated against true probability; on the line they are equal, and larger marks are more pairs."""
    ax = plots.new_axes(ax, width=4.6, height=4.2)
    ax.plot([0, 1], [0, 1], color=plots.NEUTRAL, linewidth=1)
    area = 20 + 180 * np.sqrt(table["pairs"] / table["pairs"].max())
    ax.scatter(table["stated"], table["true"], s=area, color=plots.MODEL, alpha=0.8)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(plots.percent)
    ax.set(
        xlabel=phrase("stated probability"),
        ylabel=phrase("of one person in truth"),
        xlim=(0, 1.02),
        ylim=(0, 1.02),
    )
    told = pd.DataFrame(
        {
            "stated probability": table["stated"],
            "of one person in truth": table["true"],
            "pairs": table["pairs"],
        }
    )
    shares = dict.fromkeys(told.columns[:2], "{:.1%}")
    return tabulate(ax, told, "probability stated and true, by bands of it", formats=shares)


def describe_reliability(table: pd.DataFrame) -> str:
    """What plot_reliability shows, in words."""
    bands = [
        phrase("{stated:.0%} stated and {true:.0%} true", stated=stated, true=true)
        for stated, true in zip(table["stated"], table["true"], strict=True)
    ]
    return phrase(
        "Stated against true probability, by bands of it: {bands}.", bands=", ".join(bands)
    )
