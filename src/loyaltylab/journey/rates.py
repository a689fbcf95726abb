"""Shares of visits, with intervals that know that visits of one visitor are alike. Grain in: one deal.

Visitors are dealt to DEALS parts as by lot; how far the parts differ tells how far a share would for
other visitors (the method of random groups: Wolter, K. M. (2007), Introduction to Variance Estimation,
chapter 2). So a hundred million visits are counts of a few thousand cells, and nothing need be assumed
of how often one visitor comes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t

from loyaltylab.intervals import LEVEL, share_with_interval

Table = pd.DataFrame


def weighed(cells: Table, counts: str, analysed: float) -> Table:
    """cells with the column `counts` as floats; strangers' are times `analysed`.

    Of known persons only those are there who may be analysed, this share of them, and strangers all.
    A share of visits that compares the two takes as many of both, as acquisition does of spend.
    """
    return cells.assign(**{counts: np.where(cells["known"], 1.0, analysed) * cells[counts]})


def clustered_share(part: Any, whole: Any) -> tuple[float, float, float]:
    """Σ part / Σ whole with its interval at LEVEL; missing where nothing is in the whole.

    part, whole : of each deal. The variance of a ratio of totals of G random groups,
    G / (G − 1) · Σ (p − r w)² / (Σ w)² (Wolter 2007, section 2.5), on the scale of log-odds with G − 1
    degrees of freedom. At shares of 0 and 1, and of one group alone, Wilson's interval.
    """
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    top, bottom, groups = part.sum(), whole.sum(), int((whole > 0).sum())
    if not bottom:
        return float("nan"), float("nan"), float("nan")
    share = float(top / bottom)
    if groups < 2 or not 0 < share < 1:
        return tuple(float(x) for x in share_with_interval(top, bottom))  # type: ignore[return-value]
    variance = groups / (groups - 1) * ((part - share * whole) ** 2).sum() / bottom**2
    reach = float(t.ppf((1 + LEVEL) / 2, groups - 1)) * np.sqrt(variance) / (share * (1 - share))
    odds = np.log(share / (1 - share))
    low, high = 1 / (1 + np.exp(-(odds - reach))), 1 / (1 + np.exp(-(odds + reach)))
    return share, float(min(low, share)), float(max(high, share))


def clustered_total(amounts: Any) -> tuple[float, float, float]:
    """The sum of what each of all deals has, with its interval at LEVEL, not below 0."""
    amounts = np.asarray(amounts, float)
    n, total = len(amounts), float(amounts.sum())
    reach = float(t.ppf((1 + LEVEL) / 2, n - 1)) * np.sqrt(n) * float(amounts.std(ddof=1))
    return total, max(0.0, total - reach), total + reach


def shares(cells: Table, by: list[str], part: str, whole: str, *, minimum: int) -> Table:
    """`clustered_share` of each group. Grain: one value of `by`.

    cells : deal, the columns of `by`, part and whole. Returns those columns, whole, part, share, low,
    high. A group that fewer than `minimum` deals are in is left out: it may be of fewer persons.
    """
    rows = []
    for key, group in cells.groupby(by, sort=True):
        sums = group.groupby("deal")[list(dict.fromkeys([part, whole]))].sum()
        if (sums[whole] > 0).sum() < minimum:
            continue
        share, low, high = clustered_share(sums[part], sums[whole])
        rows.append((*key, sums[whole].sum(), sums[part].sum(), share, low, high))
    return pd.DataFrame(rows, columns=[*by, "whole", "part", "share", "low", "high"])
