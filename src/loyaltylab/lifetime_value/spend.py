"""How much customers spend on a day with an order: the Gamma-Gamma model."""

from __future__ import annotations

import numpy as np
import pandas as pd
from lifetimes import GammaGammaFitter

from loyaltylab.lifetime_value.models import Fit


class GammaGamma(Fit):
    """Gamma-Gamma: what a customer spends an order day varies by a gamma distribution with shape p,
    whose rate varies between customers by a gamma distribution with shape q and rate v (money);
    spend is taken as independent of how often one orders.
    """

    def expected_spend(self, groups: pd.DataFrame) -> np.ndarray:
        """Money an order day expected of one customer of each group; eq. 5.

        The customer's own mean, drawn towards everybody's: for frequency 0 it is everybody's.
        Negative repeat spend counts as zero.
        """
        fitter = GammaGammaFitter()
        fitter.params_ = pd.Series(self.parameters)
        mean = groups.repeat_spend.clip(lower=0) / groups.frequency.clip(lower=1)
        return np.asarray(fitter.conditional_expected_average_profit(groups.frequency, mean))

    def spread(self, groups: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Variance of what one customer of each group spends on an order day around the customer's own
        mean, and that of this mean, which is not known; infinite where there is none (q + p x ≤ 2).

        Given the history the rate of spend is gamma with shape q + p x and rate v + repeat spend.
        """
        p, q, v = (self.parameters[name] for name in ("p", "q", "v"))
        shape = q + p * groups["frequency"].to_numpy(float)
        rate = v + groups["repeat_spend"].clip(lower=0).to_numpy(float)
        with np.errstate(divide="ignore"):
            squared = np.where(
                shape > 2, rate**2 / ((shape - 1) * np.maximum(shape - 2, 0)), np.inf
            )
        return p * squared, p**2 * (squared - (rate / (shape - 1)) ** 2)
