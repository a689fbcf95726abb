"""What all customers together will do, and how sure that is. Grain in: a group of equal histories.

Two things are unknown: the parameters, of which the data say so much and no more, and what each customer
makes of the chances. Neither allows for a model that is wrong, or for times that change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from loyaltylab.intervals import Z
from loyaltylab.lifetime_value.models import (
    Combined,
    Fit,
    OrderModel,
    distinct_histories,
    in_parts,
)
from loyaltylab.lifetime_value.spend import GammaGamma

_STEP = 1e-3  # logs of parameters: to each side, for a slope


@dataclass(frozen=True)
class Total:
    """A sum over all customers, and its interval at LEVEL."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Slopes:
    """How what is told of each group moves with the logs of a model's parameters: a row a group, a
    column a parameter; and the covariance of these."""

    slopes: np.ndarray
    covariance: np.ndarray

    def error(self, customers: np.ndarray) -> float:
        """Standard error of the sum over so many customers of each group, by the delta method."""
        slope = customers @ self.slopes
        return float(np.sqrt(slope @ self.covariance @ slope))


def total_orders(groups: pd.DataFrame, model: OrderModel | Combined, *, weeks: float) -> Total:
    """Order days that customers make in the next `weeks` weeks. groups : HISTORY and customers."""
    distinct, of = distinct_histories(groups)
    customers = np.asarray(np.bincount(of, groups["customers"]), float)
    mean = model.expected_orders(distinct, weeks)
    spread = np.maximum(_second_moment(model, distinct, weeks, mean) - mean**2, 0)
    known = error(slopes(model, lambda of: of.expected_orders(distinct, weeks)), customers)
    return _total(mean @ customers, known, spread @ customers)


def total_value(
    groups: pd.DataFrame, model: OrderModel | Combined, spend: GammaGamma, *, weeks: float
) -> Total:
    """Money that customers spend in the next `weeks` weeks. groups : HISTORY, repeat_spend, customers.

    Orders and what is spent on them are taken as independent, as the models have it.
    """
    customers = groups["customers"].to_numpy(float)
    distinct, of = distinct_histories(groups)
    orders, basket = model.expected_orders(distinct, weeks), spend.expected_spend(groups)
    spread = variance_of_value(groups, model, spend, weeks=weeks)
    # An order of each of those with a history.
    money = np.asarray(np.bincount(of, basket * customers), float)
    of_orders = slopes(model, lambda of: of.expected_orders(distinct, weeks))
    of_spend = slopes(spend, lambda told: orders[of] * told.expected_spend(groups))
    known = np.hypot(error(of_orders, money), error(of_spend, customers))
    return _total(orders @ money, known, spread @ customers)


def variance_of_value(
    groups: pd.DataFrame, model: OrderModel | Combined, spend: GammaGamma, *, weeks: float
) -> np.ndarray:
    """Variance of the money of one customer of each group in the next `weeks` weeks, of what one makes
    of the chances alone. groups : HISTORY, repeat_spend."""
    distinct, of = distinct_histories(groups)
    orders, basket = model.expected_orders(distinct, weeks), spend.expected_spend(groups)
    second = _second_moment(model, distinct, weeks, orders)[of]
    orders = orders[of]
    # Of n orders of one customer the variance within is n of one order's, that of their mean n².
    within, between = spend.spread(groups)
    return np.asarray(
        orders * within + second * between + np.maximum(second - orders**2, 0) * basket**2
    )


def slopes(model: Fit | Combined, told: Callable[[Any], np.ndarray]) -> tuple[Slopes, ...]:
    """Of what a model tells of each group: one, or one for each model that "combined" is made of.

    A fit at an edge has no error that is known, and none is counted.
    """
    return tuple(
        _slopes(part, told) for part in (model.models if isinstance(model, Combined) else (model,))
    )


def error(parts: Sequence[Slopes], customers: np.ndarray) -> float:
    """Standard error of the sum over so many customers of each group, for want of knowing parameters.

    Models that were fitted to the same customers are taken as wrong together: their errors are
    averaged.
    """
    return float(np.mean([part.error(customers) for part in parts]))


def _total(value: float, known: float, variance: float) -> Total:
    half = Z * float(np.hypot(known, variance**0.5))
    return Total(float(value), max(float(value) - half, 0.0), float(value) + half)


def _second_moment(
    model: OrderModel | Combined, groups: pd.DataFrame, weeks: float, mean: np.ndarray
) -> np.ndarray:
    """Mean of the squared number of orders: sum over n of 2n − 1 times the chance of n or more."""
    most = int(np.ceil(5 * mean.max())) + 20
    n = 2 * np.arange(1, most + 1) - 1
    return in_parts(lambda some: model.at_least(some, weeks, most) @ n, groups)


def _slopes(model: Fit, told: Callable[[Any], np.ndarray]) -> Slopes:
    if model.covariance is None:
        return Slopes(np.zeros((len(told(model)), 1)), np.zeros((1, 1)))
    columns = []
    for name in [name for name in model.parameters if name in model.low]:
        up, down = (
            told(replace(model, parameters=model.parameters | {name: model.parameters[name] * by}))
            for by in (np.exp(_STEP), np.exp(-_STEP))
        )
        columns.append((up - down) / (2 * _STEP))
    return Slopes(np.column_stack(columns), model.covariance)
