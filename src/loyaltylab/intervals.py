"""Intervals that several pages need, all at one level."""

from __future__ import annotations

from typing import Any

import numpy as np
from statsmodels.stats.proportion import proportion_confint

LEVEL = 0.95  # of every interval in the lab


def share_with_interval(part: Any, whole: Any) -> tuple[Any, Any, Any]:
    """part / whole with its Wilson interval at LEVEL; scalars or arrays; missing where whole is 0.

    Wilson, E. B. (1927), JASA 22, 209–212: holds its level for small counts and shares near 0 and 1.
    """
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(whole > 0, part / whole, np.nan)
        low, high = proportion_confint(part, whole, alpha=1 - LEVEL, method="wilson")
    missing = ~(whole > 0)
    low, high = np.where(missing, np.nan, low), np.where(missing, np.nan, high)
    # At shares of 0 and 1 the bound is the share itself; rounding may put it a hair inside.
    return share, np.minimum(low, share), np.maximum(high, share)
