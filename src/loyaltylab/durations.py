"""How long something takes, where for some of it one does not know yet.

Kaplan & Meier (1958), JASA 53, 457–481: what has not ended counts for as long as it was observed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from statsmodels.duration.survfunc import SurvfuncRight

from loyaltylab.intervals import Z


def survival(times: Any, ended: Any, open_: Any) -> pd.DataFrame:
    """What has not ended after so long. Grain: a time at which something ended.

    times : any unit; ended, open_ : how many ended at that time, and were seen until then without an
    end; a time may stand in several places.
    Returns time, ended, at_risk (observed for at least so long and not ended before), left (share that
    has not ended), greenwood (sum of ended / (at_risk · (at_risk − ended)) so far: Greenwood's variance
    of log(left); infinite once all have ended). No row if nothing ended.
    """
    times, ended, open_ = (np.asarray(values) for values in (times, ended, open_))
    if not ended.sum():
        names = ["time", "ended", "at_risk", "left", "greenwood"]
        return pd.DataFrame(columns=names, dtype=float)
    counts = np.concatenate([ended, open_])
    there = counts > 0
    fit = SurvfuncRight(
        np.concatenate([times, times])[there],
        np.repeat([1, 0], len(times))[there],
        freq_weights=counts[there],
    )
    events, at_risk = fit.n_events, fit.n_risk
    # statsmodels' surv_prob_se is, with weights, that of the cumulative hazard: the sum is our own.
    with np.errstate(divide="ignore"):
        greenwood = np.cumsum(events / (at_risk * (at_risk - events)))
    return pd.DataFrame(
        {
            "time": fit.surv_times,
            "ended": events,
            "at_risk": at_risk,
            "left": fit.surv_prob,
            "greenwood": greenwood,
        }
    )


def share_ended(left: Any, greenwood: Any) -> tuple[Any, Any, Any]:
    """1 − left with its interval at LEVEL, from `survival`: Greenwood's variance on the log-log scale
    (Kalbfleisch & Prentice 2002, section 1.4)."""
    left = np.asarray(left, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = Z * np.sqrt(np.asarray(greenwood, float)) / np.abs(np.log(left))
        low, high = 1 - left ** np.exp(-spread), 1 - left ** np.exp(spread)
    # Where all has ended nothing is left to vary.
    return 1 - left, np.where(left > 0, low, 1.0), np.where(left > 0, high, 1.0)
