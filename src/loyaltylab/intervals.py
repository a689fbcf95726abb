"""Intervals that several pages need, all at one level, and what they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

LEVEL = 0.95  # of every interval in the lab
Z = float(norm.ppf((1 + LEVEL) / 2))  # standard errors that a normal interval reaches to each side


def share_with_interval(part: Any, whole: Any, *, level: float = LEVEL) -> tuple[Any, Any, Any]:
    """part / whole with its Wilson interval at `level`; scalars or arrays; missing where whole is 0.

    Wilson, E. B. (1927), JASA 22, 209–212: holds its level for small counts and shares near 0 and 1.
    """
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(whole > 0, part / whole, np.nan)
        low, high = proportion_confint(part, whole, alpha=1 - level, method="wilson")
    missing = ~(whole > 0)
    low, high = np.where(missing, np.nan, low), np.where(missing, np.nan, high)
    # At shares of 0 and 1 the bound is the share itself; rounding may put it a hair inside.
    return share, np.minimum(low, share), np.maximum(high, share)


def difference_interval(part: int, whole: int, other: int, of_other: int) -> tuple[float, float]:
    """Interval at LEVEL of part / whole − other / of_other, neither whole being 0.

    Newcombe, R. G. (1998), Statistics in Medicine 17, 873–890, method 10.
    """
    low, high = confint_proportions_2indep(
        part, whole, other, of_other, method="newcomb", compare="diff", alpha=1 - LEVEL
    )
    return low, high


def mean_interval(value: float, variance: float, n: float) -> tuple[float, float]:
    """Normal interval at LEVEL of a share or the like, within 0 and 1 where the value is.

    variance : of the value, with n instead of n − 1; n : customers that it rests on. Missing of one
    customer alone.
    """
    if n < 2:
        return np.nan, np.nan
    half = Z * np.sqrt(max(variance, 0) * n / (n - 1))
    return max(value - half, min(0.0, value)), min(value + half, max(1.0, value))


def count_interval(count: Any) -> tuple[Any, Any]:
    """Interval at LEVEL of what a Poisson count is the count of; a scalar or an array.

    Garwood, F. (1936), Biometrika 28, 437–442: exact, so at least as wide as LEVEL asks.
    """
    tail = (1 - LEVEL) / 2
    low = np.nan_to_num(chi2.ppf(tail, 2 * np.asarray(count)) / 2)  # of none it is 0
    return low, chi2.ppf(1 - tail, 2 * np.asarray(count) + 2) / 2


def ratio_with_interval(top: Any, bottom: Any, customers: Any) -> tuple[float, float, float]:
    """Sum of `top` over sum of `bottom` with its interval at LEVEL; missing if nothing is at the bottom.

    top, bottom : what each group of equal customers counts (0 or more); customers : how many are in it.
    So a customer who is counted several times is drawn as one. The ratio's linearised variance
    (Cochran 1977, Sampling Techniques, section 6.4) on the scale of logarithms; where nothing is at
    the top, or all is one customer's, that of a Poisson count.
    """
    top, bottom, customers = (np.asarray(values, float) for values in (top, bottom, customers))
    n, above, below = customers.sum(), (customers * top).sum(), (customers * bottom).sum()
    if below == 0:
        return float("nan"), float("nan"), float("nan")
    ratio = above / below
    if above == 0 or n < 2:
        low, high = count_interval(above)
        return float(ratio), float(low / below), float(high / below)
    variance = n / (n - 1) * (customers * (top - ratio * bottom) ** 2).sum() / below**2
    spread = np.exp(Z * np.sqrt(variance) / ratio)
    return float(ratio), float(ratio / spread), float(ratio * spread)


def clustered_error(adds: Any, person: Any) -> float:
    """Standard error of a sum to which each row adds so much, where rows of one person vary together.

    adds : each row's own part of the error, 0 on average (its influence); person : whose it is.
    Liang, K.-Y. & Zeger, S. L. (1986), Biometrika 73, 13–22.
    """
    codes = pd.factorize(np.asarray(person))[0]
    return float(np.sqrt((np.bincount(codes, weights=adds) ** 2).sum()))


def holm(chances: Any) -> np.ndarray:
    """p-values for so many tests at once; one that is missing was no test.

    Holm, S. (1979), Scandinavian Journal of Statistics 6, 65–70. As `multipletests` of statsmodels,
    which collects garbage at each call and so takes a fifth of a second.
    """
    chances = np.asarray(list(chances), float)
    order = np.argsort(chances)[: np.count_nonzero(~np.isnan(chances))]  # missing ones are last
    raised = chances[order] * np.arange(len(order), 0, -1)
    adjusted = np.full(len(chances), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(raised), 1)
    return adjusted
