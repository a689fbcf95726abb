"""What is still to come of customers, discounted. Grain: a group of equal histories.

The value of a customer of history h in the next H weeks is

    m (1 − ρ) E[z | h] Σ over weeks k of (E[N(k) | h] − E[N(k − 1) | h]) d^(k / YEAR)

with N the order days, z what one of them brings, m the margin, ρ the share that comes back and
d = 1 / (1 + a year's discount rate): Berger & Nasr (1998), Journal of Interactive Marketing 12, 17–30,
in the form of Fader, Hardie & Lee (2005), Journal of Marketing Research 42, 415–430, who let weeks
become ever shorter. So do we: see `Terms.waits`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from loyaltylab.intervals import Z
from loyaltylab.lifetime_value import HISTORY, Combined, GammaGamma, OrderModel, Total
from loyaltylab.lifetime_value.models import distinct_histories
from loyaltylab.lifetime_value.totals import Slopes, error, slopes, variance_of_value
from loyaltylab.value.terms import Terms


@dataclass(frozen=True)
class Worth:
    """each : money expected of one customer of each group, discounted; variance : of what one makes of
    the chances; orders, spend : what the models' parameters leave open, model by model."""

    each: np.ndarray
    variance: np.ndarray
    orders: tuple[Slopes, ...]
    spend: tuple[Slopes, ...]

    def error(self, customers: np.ndarray) -> float:
        """Standard error of `total` for want of knowing the models' parameters."""
        return float(np.hypot(error(self.orders, customers), error(self.spend, customers)))

    def total(self, customers: np.ndarray) -> Total:
        """Money of so many customers of each group together, with its interval at LEVEL, which allows
        for chance and for what is not known of the parameters, as `lifetime_value.total_value` does."""
        value = float(self.each @ customers)
        half = Z * float(np.hypot(self.error(customers), (self.variance @ customers) ** 0.5))
        # An order brings money or costs some: however few or many come, its sign stays.
        ends = np.sign(value) * np.array([max(abs(value) - half, 0.0), abs(value) + half])
        return Total(value, float(ends.min()), float(ends.max()))


def worth(
    groups: pd.DataFrame, model: OrderModel | Combined, spend: GammaGamma, terms: Terms
) -> Worth:
    """Worth of customers of each group. groups : HISTORY and repeat_spend.

    Orders and what is spent on them are taken as independent given the history. The variance is that
    of the undiscounted sum, scaled as the mean is by the discount: when orders come within the
    horizon moves it by little.
    """
    orders, basket = discounted(model, groups, terms), spend.expected_spend(groups)
    plain, kept = model.expected_orders(groups, terms.weeks), terms.kept
    scale = kept * orders / np.where(plain > 0, plain, 1)
    return Worth(
        each=kept * orders * basket,
        variance=scale**2 * variance_of_value(groups, model, spend, weeks=terms.weeks),
        orders=slopes(model, lambda of: kept * basket * discounted(of, groups, terms)),
        spend=slopes(spend, lambda of: kept * orders * of.expected_spend(groups)),
    )


def newcomer(
    model: OrderModel | Combined, spend: GammaGamma, terms: Terms, *, first: Total
) -> Total:
    """Money that a customer yet to be won brings on average: the first order, and those that follow
    within the horizon, discounted to the day of the first.

    first : amount of a first order, the mean of customers so far with its interval.
    The interval is that of the mean of many: one customer differs far more.
    """
    new = pd.DataFrame([dict.fromkeys([*HISTORY, "repeat_spend"], 0.0)])
    later, one = worth(new, model, spend, terms), np.ones(1)
    value = terms.kept * first.value + float(later.each[0])
    known = terms.kept * (first.high - first.value) / Z
    half = Z * float(np.hypot(known, later.error(one)))
    return Total(value, value - half, value + half)


def sensitivity(
    groups: pd.DataFrame,
    model: OrderModel | Combined,
    spend: GammaGamma,
    terms: Terms,
    *,
    margins: Sequence[float],
    discounts: Sequence[float],
) -> pd.DataFrame:
    """The worth of all customers on other terms. groups : as for `worth`, and customers.

    Grain: one pair of margin and discount. Returns margin, discount, total, mean (a customer).
    """
    customers = groups["customers"].to_numpy(float)
    amounts = customers * spend.expected_spend(groups)
    rows = []
    for discount in discounts:
        amount = discounted(model, groups, replace(terms, discount=discount)) @ amounts
        rows += [(m, discount, amount * replace(terms, margin=m).kept) for m in margins]
    table = pd.DataFrame(rows, columns=["margin", "discount", "total"])
    return table.assign(mean=table["total"] / customers.sum())


def discounted(model: OrderModel | Combined, groups: pd.DataFrame, terms: Terms) -> np.ndarray:
    """Order days expected of one customer of each group, each counted at its discount."""
    distinct, of = distinct_histories(groups)
    parts = (w * model.expected_orders(distinct, t) for t, w in zip(*terms.waits(), strict=True))
    return np.asarray(sum(parts))[of]
