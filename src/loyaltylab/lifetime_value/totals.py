"""What all customers together will do, and how sure that is. Grain in: a group of equal histories.

Two things are unknown: the parameters, of which the data say so much and no more, and what each customer
makes of the chances. Neither allows for a model that is wrong, or for times that change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from loyaltylab.intervals import Z
from loyaltylab.lifetime_value.models import Combined, Fit, OrderModel
from loyaltylab.lifetime_value.spend import GammaGamma

_STEP = 1e-3  # logs of parameters: to each side, for a slope


@dataclass(frozen=True)
class Total:
    """A sum over all customers, and its interval at LEVEL."""

    value: float
    low: float
    high: float


def total_orders(groups: pd.DataFrame, model: OrderModel | Combined, *, weeks: float) -> Total:
    """Order days that customers make in the next `weeks` weeks. groups : HISTORY and customers."""
    customers = groups["customers"].to_numpy(float)
    mean = model.expected_orders(groups, weeks)
    spread = np.maximum(_second_moment(model, groups, weeks, mean) - mean**2, 0)
    known = _error(model, lambda of: of.expected_orders(groups, weeks) @ customers)
    return _total(mean @ customers, known, spread @ customers)


def total_value(
    groups: pd.DataFrame, model: OrderModel | Combined, spend: GammaGamma, *, weeks: float
) -> Total:
    """Money that customers spend in the next `weeks` weeks. groups : HISTORY, repeat_spend, customers.

    Orders and what is spent on them are taken as independent, as the models have it.
    """
    customers = groups["customers"].to_numpy(float)
    orders, basket = model.expected_orders(groups, weeks), spend.expected_spend(groups)
    second = _second_moment(model, groups, weeks, orders)
    # Of n orders of one customer the variance within is n of one order's, that of their mean n².
    within, between = spend.spread(groups)
    spread = orders * within + second * between + np.maximum(second - orders**2, 0) * basket**2
    of_orders = _error(model, lambda of: (of.expected_orders(groups, weeks) * basket) @ customers)
    of_spend = _error(spend, lambda of: (orders * of.expected_spend(groups)) @ customers)
    return _total((orders * basket) @ customers, np.hypot(of_orders, of_spend), spread @ customers)


def _total(value: float, known: float, variance: float) -> Total:
    half = Z * float(np.hypot(known, variance**0.5))
    return Total(float(value), max(float(value) - half, 0.0), float(value) + half)


def _second_moment(
    model: OrderModel | Combined, groups: pd.DataFrame, weeks: float, mean: np.ndarray
) -> np.ndarray:
    """Mean of the squared number of orders: sum over n of 2n − 1 times the chance of n or more."""
    most = int(np.ceil(5 * mean.max())) + 20
    chances = model.at_least(groups, weeks, most)
    return np.asarray(chances @ (2 * np.arange(1, most + 1) - 1))


def _error(model: Fit | Combined, told: Callable[[Any], float]) -> float:
    """Standard error of what a model tells for want of knowing its parameters, by the delta method.

    Models that were fitted to the same customers are taken as wrong together: errors of "combined" are
    averaged. A fit at an edge has none that is known, and none is counted.
    """
    if isinstance(model, Combined):
        return float(np.mean([_error(part, told) for part in model.models]))
    if model.covariance is None:
        return 0.0
    names = [name for name in model.parameters if name in model.low]
    slopes = []
    for name in names:
        ends = [
            told(replace(model, parameters=model.parameters | {name: model.parameters[name] * by}))
            for by in (np.exp(_STEP), np.exp(-_STEP))
        ]
        slopes.append((ends[0] - ends[1]) / (2 * _STEP))
    slope = np.array(slopes)
    return float(np.sqrt(slope @ model.covariance @ slope))
