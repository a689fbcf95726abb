"""Which topics grow, and which jumped last month. Grain in: one group and month, with its exposure.

The exposure is how often it could have happened (orders of the month, or texts in all): so a season
in which everything grows is no alarm.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.stats import nbinom, norm, poisson
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

from loyaltylab.intervals import Z, holm

FALSE_ALARMS = 0.05  # of months in which nothing changed, the share with any alarm, at most
PAST = 24  # months that a month is held against, at most
FEWEST = 6  # and at least
TESTED = 12  # last months that are looked at


def trends(cells: pd.DataFrame) -> pd.DataFrame:
    """How each group changes a year, per exposure. Grain: one group.

    cells : group, month, count, exposure, each group with all months. Returns group, count, rate (per
    100 of the exposure), change (ratio of a year to the one before, less 1), low, high, p (Holm over
    the groups). Quasi-Poisson regression of the count on time with the exposure as offset (McCullagh &
    Nelder 1989, section 6.2), the dispersion not taken below 1. Missing where a group has fewer than a
    year of months, or fewer than 20 in all.
    """
    rows = []
    for group, part in cells.groupby("group", sort=True):
        part = part[part["exposure"] > 0].sort_values("month")
        count, exposure = part["count"].sum(), part["exposure"].sum()
        row = {"group": group, "count": int(count), "rate": 100 * count / exposure}
        slope, error = _slope(part) if len(part) >= 12 and count >= 20 else (np.nan, np.nan)
        ends = {"change": slope, "low": slope - Z * error, "high": slope + Z * error}
        row |= {name: float(np.expm1(end)) for name, end in ends.items()}
        row["p"] = float(2 * norm.sf(abs(slope / error)))
        rows.append(row)
    names = ["group", "count", "rate", "change", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=names)
    return table.assign(p=holm(table["p"]))


def _slope(part: pd.DataFrame) -> tuple[float, float]:
    """Change of the logarithm a year, and its standard error."""
    years = (part["month"] - part["month"].iloc[0]).dt.days.to_numpy() / 365.25
    design = np.column_stack([np.ones(len(part)), years - years.mean()])
    model = sm.GLM(
        part["count"].to_numpy(float),
        design,
        family=sm.families.Poisson(),
        offset=np.log(part["exposure"].to_numpy(float)),
    )
    with warnings.catch_warnings():
        # Counts that are the same in every month are fitted perfectly, and that is no mistake.
        warnings.simplefilter("ignore", PerfectSeparationWarning)
        fit = model.fit()
    dispersion = max(1.0, float(fit.pearson_chi2 / fit.df_resid))
    return float(fit.params[1]), float(np.sqrt(dispersion * fit.cov_params()[1, 1]))


def alarms(cells: pd.DataFrame) -> pd.DataFrame:
    """Each of the last months held against what the group did before. Grain: group × tested month.

    cells : as for `trends`, and shown (whether the cell may be). Returns group, month, count, shown,
    expected (from the rate of up to PAST months before and the month's exposure), p (of so many or
    more, Holm over the groups of the month), alarm (never of what is not shown).
    A count is taken as negative binomial with that mean; its variance holds chance, how much months
    differed beyond chance (by moments), and that the rate itself is only estimated. So in a month in
    which nothing changed at most FALSE_ALARMS have any alarm. Months with fewer than FEWEST before them
    are not tested.
    """
    rows = []
    for group, part in cells.groupby("group", sort=True):
        part = part.sort_values("month")
        count, exposure = (part[name].to_numpy(float) for name in ("count", "exposure"))
        for at in range(max(FEWEST, len(part) - TESTED), len(part)):
            past = slice(max(0, at - PAST), at)
            expected, p = _excess(count[past], exposure[past], count[at], exposure[at])
            month = part["month"].iloc[at]
            row = {"group": group, "month": month, "count": int(count[at])}
            row |= {"shown": bool(part["shown"].iloc[at]), "expected": expected, "p": p}
            rows.append(row)
    names = ["group", "month", "count", "shown", "expected", "p"]
    table = pd.DataFrame(rows, columns=names).astype({"shown": bool})
    tested = [part.assign(p=holm(part["p"])) for _, part in table.groupby("month", sort=True)]
    table = pd.concat(tested) if tested else table
    table["alarm"] = (table["p"] < FALSE_ALARMS) & table["shown"]
    return table.sort_values(["group", "month"], ignore_index=True)


def _excess(
    before: np.ndarray, exposed: np.ndarray, now: float, exposure: float
) -> tuple[float, float]:
    """The count expected now, and the chance of as many or more."""
    total, months = before.sum(), len(before)
    if exposed.sum() == 0 or exposure == 0:
        return np.nan, np.nan
    # Half a case (Jeffreys' prior) for what never happened before: once may still be chance.
    rate = max(total, 0.5) / exposed.sum()
    mean = rate * exposure
    usual = rate * exposed
    beyond = ((before - usual) ** 2).sum() * months / (months - 1) - usual.sum()
    spread = max(0.0, beyond / (usual**2).sum())
    variance = mean + mean**2 * (spread * (1 + 1 / months) + 1 / max(total, 0.5))
    if variance <= mean:
        return mean, float(poisson.sf(now - 1, mean))
    size = mean**2 / (variance - mean)
    return mean, float(nbinom.sf(now - 1, size, size / (size + mean)))
