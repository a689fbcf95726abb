"""Whether segments come back at different speed: the log-rank test on counted waits.

statsmodels' survdiff wants one row a customer; the test needs no more than counts by day.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import chi2
from statsmodels.stats.multitest import multipletests

from loyaltylab.intervals import LEVEL
from loyaltylab.language import phrase
from loyaltylab.numbers import chance, sentence
from loyaltylab.retention.survival import HORIZON, returned_within

_ROUNDING = 1e-9  # of the variance of all returns: less is none


def log_rank_test(table: pd.DataFrame, *, by: str) -> tuple[float, int, float]:
    """Chi-square, its degrees of freedom, and p, that all segments return alike.

    table : `by` (the segment; rows without are left out), days, returned, waiting, as of `waits`.
    Mantel (1966), Cancer Chemotherapy Reports 50, 163–170; Peto & Peto (1972), JRSS A 135, 185–207,
    with the hypergeometric variance. Missing, with 0 degrees, where nothing can differ: one segment,
    or nobody at risk in two at a day with returns.
    """
    found = table.pivot_table(
        index="days", columns=by, values=["returned", "waiting"], aggfunc="sum"
    )
    found = found.fillna(0)
    if found.empty:
        return float("nan"), 0, float("nan")
    returned = found["returned"].to_numpy(float)
    at_risk = (returned + found["waiting"].to_numpy(float))[::-1].cumsum(axis=0)[::-1]
    events, everybody = returned.sum(axis=1), at_risk.sum(axis=1)
    part = at_risk / everybody[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(everybody > 1, events * (everybody - events) / (everybody - 1), 0.0)
    excess = (returned - events[:, None] * part).sum(axis=0)
    variance = np.diag(spread @ part) - (part * spread[:, None]).T @ part
    # The excesses add up to zero, so that one direction at least has no variance but rounding's.
    size, direction = np.linalg.eigh(variance)
    kept = size > _ROUNDING * spread.sum()
    if not kept.any():
        return float("nan"), 0, float("nan")
    statistic = float(((excess @ direction)[kept] ** 2 / size[kept]).sum())
    degrees = int(kept.sum())
    return statistic, degrees, float(chi2.sf(statistic, degrees))


def segment_returns(table: pd.DataFrame, *, by: str, horizon: int = HORIZON) -> pd.DataFrame:
    """Share of each segment that is back within `horizon` days. Grain: segment.

    segment, customers, share, low, high (`returned_within`), the most loyal first.
    """
    rows = [
        {"segment": segment, "customers": some[["returned", "waiting"]].to_numpy().sum()}
        | returned_within(some, horizon).to_dict()
        for segment, some in table.groupby(by)
    ]
    found = pd.DataFrame(rows, columns=["segment", "customers", "share", "low", "high"])
    return found.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def log_rank_pairs(table: pd.DataFrame, *, by: str) -> pd.DataFrame:
    """Each two segments by `log_rank_test`. Grain: a pair of segments.

    one, other, chi_square, p, p_holm (Holm 1979: of all pairs together, the chance to call any two
    different that are not is held), differ (p_holm below 1 − LEVEL). A pair that cannot be told
    apart has missing p and is not among those that Holm counts.
    """
    rows = []
    for one, other in combinations(sorted(table[by].dropna().unique()), 2):
        statistic, _, p = log_rank_test(table[table[by].isin([one, other])], by=by)
        rows.append({"one": one, "other": other, "chi_square": statistic, "p": p})
    found = pd.DataFrame(rows, columns=["one", "other", "chi_square", "p"])
    known = found["p"].notna()
    found["p_holm"] = np.nan
    if known.any():
        found.loc[known, "p_holm"] = multipletests(found.loc[known, "p"], method="holm")[1]
    return found.assign(differ=found["p_holm"] < 1 - LEVEL)


def segment_finding(table: pd.DataFrame, *, by: str, name: str, horizon: int = HORIZON) -> str:
    """Whether segments return alike, from `waits` after one purchase: heading and sentence.

    name : what the segments are called: "channels".
    """
    _, _, p = log_rank_test(table, by=by)
    shares = segment_returns(table, by=by, horizon=horizon).dropna(subset="share")
    if np.isnan(p) or len(shares) < 2:
        return sentence(
            "## Too early to compare {name}\n\nFewer than two have been observed for {horizon} days.",
            name=phrase(name),
            horizon=horizon,
        )
    pairs = log_rank_pairs(table, by=by)
    best, worst = shares.iloc[0], shares.iloc[-1]
    if p < 1 - LEVEL:
        template = (
            "## Customers of some {name} return more readily than of others\n\n"
            "Within {horizon} days {high:.1%} of *{best}* are back and {low:.1%} of *{worst}*: more "
            "than chance would explain ({p}, log-rank test over all days). Of {pairs} pairs {differ} "
            "differ when all are compared at once (Holm)."
        )
    else:
        template = (
            "## The {name} hardly differ in how readily customers return\n\n"
            "Within {horizon} days {high:.1%} of *{best}* are back and {low:.1%} of *{worst}*: no more "
            "than chance could explain ({p}, log-rank test over all days). Of {pairs} pairs {differ} "
            "differ when all are compared at once (Holm)."
        )
    return sentence(
        template,
        name=phrase(name),
        horizon=horizon,
        high=best["share"],
        best=str(best["segment"]),
        low=worst["share"],
        worst=str(worst["segment"]),
        p=chance(p),
        pairs=len(pairs),
        differ=int(pairs["differ"].sum()),
    )
