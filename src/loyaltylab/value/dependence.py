"""Whether customers who come more often spend more at a time, and a model of spend in which they may.

Gamma-Gamma takes spend as independent of frequency. Where it is not, the frequent, from whom most
orders are to come, are valued wrongly: Glady, Baesens & Croux (2009), Expert Systems with Applications
36, 2062–2071. Grain: one frequency and repeat spend, as `lifetime_value.spend_histories` counts them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.linalg import block_diag
from scipy.special import betaincinv

from loyaltylab.intervals import Z
from loyaltylab.lifetime_value import GammaGamma, fit_gamma_gamma

CLASSES = (1, 2, 3, 7)  # repeat orders with which a class begins
ENOUGH = 30  # customers of a class; fewer go with the class below
MATTERS = 0.02  # of the total: a dependence that moves it by less changes no decision
_POINTS = 200  # of a distribution


@dataclass(frozen=True)
class Dependence:
    """Spearman's correlation of repeat orders and mean spend on one, of customers with a repeat order.

    value, low, high : at LEVEL, Bonett & Wright (2000), Psychometrika 65, 23–28 (missing of fewer than
    four customers, or where all came as often or spent as much); independent : what it would be if
    spend did not depend on frequency; customers.
    """

    value: float
    low: float
    high: float
    independent: float
    customers: int

    @property
    def beyond_chance(self) -> bool:
        return not np.isnan(self.value) and not self.low <= self.independent <= self.high


def dependence(spent: pd.DataFrame, spend: GammaGamma) -> Dependence:
    """Dependence of `spend_histories`. spend : Gamma-Gamma fitted to them.

    Few orders make a mean uncertain and, as spend is skewed, mostly lower than what it tends to: so
    ranks correlate a little even where spend does not depend on frequency, by as much as Gamma-Gamma
    with the same frequencies says.
    """
    frequency, customers = spent["frequency"].to_numpy(float), spent["customers"].to_numpy(float)
    n = int(customers.sum())
    value = spearman(frequency, spent["repeat_spend"].to_numpy(float) / frequency, customers)
    if n < 4 or np.isnan(value):
        return Dependence(np.nan, np.nan, np.nan, np.nan, n)
    half = Z * np.sqrt((1 + value**2 / 2) / (n - 3))
    at = np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12))
    low, high = np.tanh(at - half), np.tanh(at + half)
    ends = float(min(low, value)), float(max(high, value))
    return Dependence(value, *ends, _independent(spent, spend), n)


def spearman(x: np.ndarray, y: np.ndarray, customers: np.ndarray) -> float:
    """Spearman's rank correlation, equal values ranked at their middle; missing if one never varies."""
    ranks = np.stack([_ranks(values, customers) for values in (x, y)])
    (xx, xy), (_, yy) = np.cov(ranks, aweights=customers, ddof=0)
    return float(xy / np.sqrt(xx * yy)) if min(xx, yy) > 1e-12 * customers.sum() else float("nan")


def _ranks(values: np.ndarray, customers: np.ndarray) -> np.ndarray:
    _, place = np.unique(values, return_inverse=True)
    held = np.bincount(place, weights=customers)
    return (np.cumsum(held) - held / 2)[place]


def _independent(spent: pd.DataFrame, spend: GammaGamma) -> float:
    """Spearman's correlation of customers as frequent as these whose spend is that of the model."""
    p, q = spend.parameters["p"], spend.parameters["q"]
    customers = spent.groupby("frequency")["customers"].sum()
    x = customers.index.to_numpy(float)[:, None]
    # Given x, the mean spend is v / (p x) times beta prime (p x, q); v moves no rank.
    share = betaincinv(p * x, q, (np.arange(_POINTS) + 0.5) / _POINTS)
    mean = share / (1 - share) / (p * x)
    each = np.repeat(customers.to_numpy(float) / _POINTS, _POINTS)
    return spearman(np.broadcast_to(x, mean.shape).ravel(), mean.ravel(), each)


class ByFrequency(GammaGamma):
    """Gamma-Gamma in which what customers spend an order day may differ between classes of frequency:
    in units of their class's mean they are as one. Who never came back is taken as who came back once.

    Parameters p, q and v (in such units), and from_1, …: the mean of the class that begins there.
    """

    def _unit(self, groups: pd.DataFrame) -> np.ndarray:
        begins = [name for name in self.parameters if name.startswith("from_")]
        edges = [int(name.removeprefix("from_")) for name in begins]
        at = np.searchsorted(edges, groups["frequency"].to_numpy(float), side="right") - 1
        return np.array([self.parameters[name] for name in begins])[np.maximum(at, 0)]

    def _scaled(self, groups: pd.DataFrame) -> pd.DataFrame:
        return groups.assign(repeat_spend=groups["repeat_spend"] / self._unit(groups))

    def expected_spend(self, groups: pd.DataFrame) -> np.ndarray:
        return self._unit(groups) * super().expected_spend(self._scaled(groups))

    def spread(self, groups: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        within, between = super().spread(self._scaled(groups))
        return self._unit(groups) ** 2 * within, self._unit(groups) ** 2 * between


def fit_by_frequency(spent: pd.DataFrame) -> ByFrequency:
    """Fit to `spend_histories`: the class means by themselves, the rest by maximum likelihood in units
    of them. Raises UnanswerableError as `fit_gamma_gamma`."""
    mean = spent["repeat_spend"] / spent["frequency"]
    begin = _begins(spent)
    weighted = pd.DataFrame({"n": spent["customers"], "sum": mean * spent["customers"]})
    sums = weighted.groupby(begin).sum()
    means = sums["sum"] / sums["n"]
    about = (mean - begin.map(means)) ** 2 * spent["customers"]
    # Relative variance of a mean: that of its logarithm.
    variance = about.groupby(begin).sum() / sums["n"] ** 2 / means**2
    scaled = spent.assign(repeat_spend=spent["repeat_spend"] / begin.map(means))
    fit = fit_gamma_gamma(scaled)
    own = {f"from_{edge}": float(means[edge]) for edge in means.index}
    reach = {f"from_{edge}": float(np.exp(Z * variance[edge] ** 0.5)) for edge in means.index}
    return ByFrequency(
        fit.parameters | own,
        fit.low | {name: own[name] / by for name, by in reach.items()},
        fit.high | {name: own[name] * by for name, by in reach.items()},
        fit.log_likelihood,
        fit.customers,
        None if fit.covariance is None else block_diag(fit.covariance, np.diag(variance)),
    )


def _begins(spent: pd.DataFrame) -> pd.Series:
    """Where the class of each row begins; classes of fewer than ENOUGH go with the one below."""
    edges = list(CLASSES)
    while True:
        at = np.searchsorted(edges, spent["frequency"].to_numpy(float), side="right") - 1
        begin = pd.Series(np.array(edges)[np.maximum(at, 0)], index=spent.index)
        held = spent["customers"].groupby(begin).sum()
        few = [edge for edge in edges[1:] if held.get(edge, 0) < ENOUGH]
        if not few:
            return begin
        edges.remove(few[-1])
