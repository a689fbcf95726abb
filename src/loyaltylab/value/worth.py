"""What is still to come of customers, discounted. Grain: a group of equal histories.

The value of a customer of history h in the next H weeks is

    m (1 − ρ) E[z | h] Σ over weeks k of (E[N(k) | h] − E[N(k − 1) | h]) d^(k / YEAR)

with N the order days, z what one of them brings, m the margin, ρ the share that comes back and
d = 1 / (1 + a year's discount rate): Berger & Nasr (1998), Journal of Interactive Marketing 12, 17–30,
in the form of Fader, Hardie & Lee (2005), Journal of Marketing Research 42, 415–430, who let weeks
become ever shorter. So do we: see `Terms.waits`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from loyaltylab.intervals import Z
from loyaltylab.lifetime_value import HISTORY, Combined, Fit, GammaGamma, OrderModel, Total
from loyaltylab.value.terms import Terms

_STEP = 1e-3  # logs of parameters: to each side, for a slope


@dataclass(frozen=True)
class _Slopes:
    """How money of each group moves with the logs of a model's parameters: a row a group, a column a
    parameter; and the covariance of these."""

    slopes: np.ndarray
    covariance: np.ndarray

    def error(self, customers: np.ndarray) -> float:
        """Standard error of the sum over so many customers of each group, by the delta method."""
        slope = customers @ self.slopes
        return float(np.sqrt(slope @ self.covariance @ slope))


@dataclass(frozen=True)
class Worth:
    """each : money expected of one customer of each group, discounted; variance : of what one makes of
    the chances; orders, spend : what the models' parameters leave open, model by model."""

    each: np.ndarray
    variance: np.ndarray
    orders: tuple[_Slopes, ...]
    spend: tuple[_Slopes, ...]

    def error(self, customers: np.ndarray) -> float:
        """Standard error of `total` for want of knowing the models' parameters.

        Models fitted to the same customers are taken as wrong together: their errors are averaged.
        """
        of_orders, of_spend = (
            np.mean([part.error(customers) for part in parts])
            for parts in (self.orders, self.spend)
        )
        return float(np.hypot(of_orders, of_spend))

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
    orders, basket = _discounted(model, groups, terms), spend.expected_spend(groups)
    kept = terms.kept
    plain = model.expected_orders(groups, terms.weeks)
    second = _second_moment(model, groups, terms.weeks, plain)
    # Of n orders of one customer the variance within is n of one order's, that of their mean n².
    within, between = spend.spread(groups)
    spread = plain * within + second * between + np.maximum(second - plain**2, 0) * basket**2
    scale = kept * orders / np.where(plain > 0, plain, 1)
    models = model.models if isinstance(model, Combined) else (model,)
    return Worth(
        each=kept * orders * basket,
        variance=scale**2 * spread,
        orders=_slopes(models, lambda of: kept * basket * _discounted(of, groups, terms)),
        spend=_slopes((spend,), lambda of: kept * orders * of.expected_spend(groups)),
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
        amount = _discounted(model, groups, replace(terms, discount=discount)) @ amounts
        rows += [(m, discount, amount * replace(terms, margin=m).kept) for m in margins]
    table = pd.DataFrame(rows, columns=["margin", "discount", "total"])
    return table.assign(mean=table["total"] / customers.sum())


def _discounted(model: Any, groups: pd.DataFrame, terms: Terms) -> np.ndarray:
    """Order days expected of one customer of each group, each counted at its discount."""
    parts = (w * model.expected_orders(groups, t) for t, w in zip(*terms.waits(), strict=True))
    return np.asarray(sum(parts))


def _second_moment(
    model: OrderModel | Combined, groups: pd.DataFrame, weeks: float, mean: np.ndarray
) -> np.ndarray:
    """Mean of the squared number of orders: sum over n of 2n − 1 times the chance of n or more."""
    most = int(np.ceil(5 * mean.max())) + 20
    chances = model.at_least(groups, weeks, most)
    return np.asarray(chances @ (2 * np.arange(1, most + 1) - 1))


def _slopes(models: Sequence[Fit], told: Callable[[Any], np.ndarray]) -> tuple[_Slopes, ...]:
    """Of each model; one at an edge has no error that is known, and none is counted."""
    found = []
    for model in models:
        names = [name for name in model.parameters if name in model.low]
        if model.covariance is None:
            found.append(_Slopes(np.zeros((len(told(model)), 1)), np.zeros((1, 1))))
            continue
        columns = []
        for name in names:
            ends = [
                told(
                    replace(
                        model, parameters=model.parameters | {name: model.parameters[name] * by}
                    )
                )
                for by in (np.exp(_STEP), np.exp(-_STEP))
            ]
            columns.append((ends[0] - ends[1]) / (2 * _STEP))
        found.append(_Slopes(np.column_stack(columns), model.covariance))
    return tuple(found)
