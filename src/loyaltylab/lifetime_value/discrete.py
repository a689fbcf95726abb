"""Customers who can buy once a period: each year a donation or none, each season an order or none.

Grain in: a group of equal histories: frequency (periods with a purchase, after the first of all),
recency (the last such period, 0 without any), periods (observed), customers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from autograd import grad, hessian  # type: ignore[import-untyped]
from lifetimes import BetaGeoBetaBinomFitter
from threadpoolctl import threadpool_limits

from loyaltylab.errors import UnanswerableError
from loyaltylab.language import phrase
from loyaltylab.lifetime_value.fitting import enough, lifetimes_start, optimum
from loyaltylab.lifetime_value.models import Fit

_NAMES = ("alpha", "beta", "gamma", "delta")


class BgBb(Fit):
    """BG/BB: in each period a customer still there buys with a probability of their own (which vary by
    a beta distribution α, β), and before each leaves for good with one (γ, δ).

    Fader, Hardie & Shang (2010), Customer-base analysis in a discrete-time noncontractual setting,
    Marketing Science 29, 1086–1108.
    """

    def alive(self, groups: pd.DataFrame) -> np.ndarray:
        """Probability that a customer of each group is there in the next period; eq. A10."""
        return np.asarray(
            self._fitter.conditional_probability_alive(1, *_data(groups)).clip(max=1.0)
        )

    def expected_purchases(self, groups: pd.DataFrame, periods: int) -> np.ndarray:
        """Periods with a purchase among the next `periods`, of one customer of each group; eq. 13."""
        told = self._fitter.conditional_expected_number_of_purchases_up_to_time
        return np.asarray(told(periods, *_data(groups)))

    @property
    def _fitter(self) -> Any:
        fitter = BetaGeoBetaBinomFitter()
        fitter.params_ = pd.Series(self.parameters)
        return fitter


def fit_bg_bb(groups: pd.DataFrame) -> BgBb:
    """Fit BG/BB by `lifetimes`, and Newton's method from there.

    Raises UnanswerableError with fewer customers who returned than parameters, or without a clear
    optimum; and where a history is none (more purchases than periods up to the last one).
    """
    wrong = (groups["frequency"] > groups["recency"]) | (groups["recency"] > groups["periods"])
    if wrong.any():
        raise UnanswerableError(
            phrase(
                "BG/BB expected at most one purchase a period; {wrong} histories have more, or one "
                "after the last period. Count periods with a purchase, not purchases.",
                wrong=int(wrong.sum()),
            )
        )
    enough(int(groups["customers"][groups["frequency"] > 0].sum()), len(_NAMES), "period")
    data, weights = _data(groups), groups["customers"].to_numpy(float)

    def loss(logs: np.ndarray) -> Any:
        return BetaGeoBetaBinomFitter._negative_log_likelihood(logs, *data, weights)

    with threadpool_limits(1):
        start = lifetimes_start(BetaGeoBetaBinomFitter(), "period", *data, weights=weights)
        logs, count = np.log(start[list(_NAMES)].to_numpy()), int(weights.sum())
        return BgBb(*optimum(_NAMES, logs, loss, grad(loss), hessian(loss), count, "period"))


def _data(groups: pd.DataFrame) -> tuple[np.ndarray, ...]:
    return tuple(groups[name].to_numpy(int) for name in ("frequency", "recency", "periods"))
